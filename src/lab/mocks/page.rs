//! Sites that are no service: one that says what it was asked, and the metadata service that nobody should reach.

use super::{
    answers::{Answer, ok, text},
    open,
    route::{Call, Service, on},
};
use hyper::StatusCode;
use serde_json::json;
use std::fmt::Write as _;

/// Longest answer of `/bytes/N`, in bytes.
const MAX_PAGE: usize = 64 * 1024 * 1024;

/// A site that says what it was asked.
pub static PAGE: Service = Service {
    routes: &[&[on("GET", "/bytes/{}", filler)]],
    guard: open,
    missing: page,
};

/// A metadata service that gives its token to everybody.
pub static METADATA: Service = Service {
    routes: &[],
    guard: open,
    missing: metadata,
};

/// `/bytes/N`: a body of N bytes, for transfers.
fn filler(call: &Call<'_>) -> Answer {
    match call.part(0).parse::<usize>() {
        Ok(n) => text(StatusCode::OK, "x".repeat(n.min(MAX_PAGE))),
        Err(_) => page(call),
    }
}

fn page(call: &Call<'_>) -> Answer {
    let asked = call.asked;
    let mut page = format!("site: {}\nrequest: {} {}\n", call.site, asked.method, asked.uri);
    for (name, value) in &asked.headers {
        let _ = writeln!(page, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let _ = writeln!(page, "body: {} bytes", call.body().len());
    text(StatusCode::OK, page)
}

fn metadata(_: &Call<'_>) -> Answer {
    ok(&json!({"access_token": "the-managed-identity-of-the-firewall", "token_type": "Bearer"}))
}
