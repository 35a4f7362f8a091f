//! Blob storage: containers, block blobs put whole or in blocks, read in ranges and under conditions.
//!
//! Paths and shapes: "Blob Service REST API". Content lies in the site's spool; what is kept of a blob is where its parts
//! lie and what its headers say. `Content-MD5` is checked where a client sends it and told where a client asks for it.

mod read;

use super::{
    answers::{Answer, Said, empty, said, with},
    digest::{Md5, base64},
    route::{Call, Route, Sent, Service, on, upload},
    spool::{Extent, Spool},
};
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

/// The service version that answers name.
const VERSION: &str = "2025-01-05";

/// Blocks of one blob at most, as the service has it.
const MAX_BLOCKS: usize = 50_000;

const ROUTES: &[Route] = &[
    on("GET", "/", read::containers),
    on("GET", "/{}", read::container),
    on("PUT", "/{}", create),
    on("DELETE", "/{}", drop_container),
    upload("PUT", "/{}/{*}", put),
    on("GET", "/{}/{*}", read::blob),
    on("DELETE", "/{}/{*}", delete),
];

/// A storage account.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard,
    missing: |_| {
        refuse(
            StatusCode::BAD_REQUEST,
            "InvalidUri",
            "The requested URI does not represent any resource.",
        )
    },
};

/// A blob as it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Blob {
    parts: Vec<Extent>,
    etag: String,
    /// Seconds since 1970.
    modified: u64,
    content_type: String,
    md5: Option<String>,
    /// Metadata, by the name of its header.
    metadata: BTreeMap<String, String>,
}

impl Blob {
    fn length(&self) -> u64 {
        self.parts.iter().map(|p| p.length).sum()
    }
}

fn guard(call: &Call<'_>) -> Option<Answer> {
    let signed = call.has_any(&["authorization"]) || call.query("sig").is_some();
    (!signed).then(|| {
        let text = "Server failed to authenticate the request: neither Authorization nor a signature is there.";
        refuse(StatusCode::UNAUTHORIZED, "NoAuthenticationInformation", text)
    })
}

fn container_key(name: &str) -> String {
    format!("container/{name}")
}

fn blob_key(call: &Call<'_>) -> String {
    format!("blob/{}/{}", call.part(0), call.part(1))
}

fn blocks_prefix(call: &Call<'_>) -> String {
    format!("block/{}/{}\n", call.part(0), call.part(1))
}

fn find(call: &Call<'_>) -> Option<Blob> {
    serde_json::from_value(call.kept.find(&blob_key(call))?).ok()
}

fn create(call: &Call<'_>) -> Answer {
    let key = container_key(call.part(0));
    if call.kept.find(&key).is_some() {
        let text = "The specified container already exists.";
        return refuse(StatusCode::CONFLICT, "ContainerAlreadyExists", text);
    }
    let made = json!({"etag": new_etag(call), "modified": now()});
    match call.kept.put(&key, &made) {
        true => marked(
            empty(StatusCode::CREATED),
            made["etag"].as_str().unwrap_or_default(),
            now(),
        ),
        false => full(),
    }
}

fn drop_container(call: &Call<'_>) -> Answer {
    if !call.kept.forget(&container_key(call.part(0))) {
        return no_container();
    }
    for prefix in ["blob", "block"].map(|kind| format!("{kind}/{}/", call.part(0))) {
        for (name, _) in call.kept.under(&prefix) {
            call.kept.forget(&format!("{prefix}{name}"));
        }
    }
    empty(StatusCode::ACCEPTED)
}

/// Put Blob, Put Block, Put Block List, by `comp`.
fn put(call: &Call<'_>) -> Answer {
    let Sent::Spooled(body) = call.asked.body else {
        return refuse(StatusCode::BAD_REQUEST, "InvalidInput", "The body was not read.");
    };
    if call.kept.find(&container_key(call.part(0))).is_none() {
        return no_container();
    }
    let sent = call.header("content-md5");
    if sent.is_some_and(|sent| md5(&call.kept.spool, &[body]).as_deref() != Some(sent)) {
        let text = "The MD5 value specified in the request did not match with the MD5 value calculated by the server.";
        return refuse(StatusCode::BAD_REQUEST, "Md5Mismatch", text);
    }
    let answer = match call.query("comp").as_deref() {
        None => commit(call, vec![body]),
        Some("block") => put_block(call, body),
        Some("blocklist") => put_block_list(call, body),
        Some(_) => refuse(
            StatusCode::BAD_REQUEST,
            "UnsupportedQueryParameter",
            "The mock has no such operation.",
        ),
    };
    match sent {
        Some(sent) if answer.status().is_success() => with(answer, "content-md5", sent),
        _ => answer,
    }
}

fn put_block(call: &Call<'_>, body: Extent) -> Answer {
    let id = call.query("blockid").unwrap_or_default();
    if id.is_empty() || id.len() > 128 {
        return refuse(
            StatusCode::BAD_REQUEST,
            "InvalidQueryParameterValue",
            "blockid is missing or too long",
        );
    }
    let prefix = blocks_prefix(call);
    match call.kept.put(&format!("{prefix}{id}"), &json!(body)) {
        true => empty(StatusCode::CREATED),
        false => full(),
    }
}

/// Makes a blob of the blocks that the list names. Blocks that were committed before are not known any more: a list that
/// names them is refused.
fn put_block_list(call: &Call<'_>, body: Extent) -> Answer {
    let list = match call.kept.spool.read(body) {
        Some(list) => String::from_utf8_lossy(&list).into_owned(),
        None if body.length == 0 => String::new(),
        None => return full(),
    };
    let prefix = blocks_prefix(call);
    let mut parts: Vec<Extent> = Vec::new();
    for id in block_ids(&list).take(MAX_BLOCKS) {
        let Some(part) = call.kept.find(&format!("{prefix}{id}")) else {
            return refuse(
                StatusCode::BAD_REQUEST,
                "InvalidBlockList",
                "The specified block list is invalid.",
            );
        };
        parts.extend(serde_json::from_value::<Extent>(part).ok());
    }
    for (id, _) in call.kept.under(&prefix) {
        call.kept.forget(&format!("{prefix}{id}"));
    }
    commit(call, parts)
}

/// The block ids of a `BlockList` document, in order.
fn block_ids(xml: &str) -> impl Iterator<Item = String> {
    let tags = ["<Latest>", "<Uncommitted>", "<Committed>"];
    xml.split_inclusive('>')
        .scan(false, move |inside, piece| {
            let id = (*inside).then(|| piece.split('<').next().unwrap_or_default().trim().to_owned());
            *inside = tags.iter().any(|tag| piece.ends_with(tag));
            Some(id)
        })
        .flatten()
}

fn commit(call: &Call<'_>, parts: Vec<Extent>) -> Answer {
    if let Some(refusal) = read::unmet(call, find(call).as_ref()) {
        return refusal;
    }
    let header = |name: &str| call.header(name).map(str::to_owned);
    let metadata = call
        .asked
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ms-meta-"));
    let blob = Blob {
        parts,
        etag: new_etag(call),
        modified: now(),
        content_type: header("x-ms-blob-content-type").unwrap_or_else(|| "application/octet-stream".to_owned()),
        md5: header("x-ms-blob-content-md5").or_else(|| header("content-md5").filter(|_| call.query("comp").is_none())),
        metadata: metadata
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect(),
    };
    match call.kept.put(&blob_key(call), &json!(blob)) {
        true => marked(empty(StatusCode::CREATED), &blob.etag, blob.modified),
        false => full(),
    }
}

fn delete(call: &Call<'_>) -> Answer {
    match call.kept.forget(&blob_key(call)) {
        true => with(empty(StatusCode::ACCEPTED), "x-ms-version", VERSION),
        false => read::no_blob(),
    }
}

/// The base64 of the MD5 of these parts; `None` if they cannot be read.
fn md5(spool: &Spool, parts: &[Extent]) -> Option<String> {
    let mut md5 = Md5::default();
    for part in parts {
        for start in (part.start..part.start + part.length).step_by(64 * 1024) {
            let length = (part.start + part.length - start).min(64 * 1024);
            md5.update(&spool.read(Extent { start, length })?);
        }
    }
    Some(base64(&md5.finish()))
}

fn new_etag(call: &Call<'_>) -> String {
    format!("\"0x8D{:013X}\"", call.kept.number())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Seconds since 1970 as HTTP writes them.
fn date(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + std::time::Duration::from_secs(seconds))
}

fn marked(answer: Answer, etag: &str, modified: u64) -> Answer {
    let answer = with(with(answer, "etag", etag), "last-modified", date(modified));
    let answer = with(answer, "x-ms-request-server-encrypted", "true");
    with(with(answer, "x-ms-version", VERSION), "x-ms-request-id", "egret-lab")
}

fn no_container() -> Answer {
    refuse(
        StatusCode::NOT_FOUND,
        "ContainerNotFound",
        "The specified container does not exist.",
    )
}

fn full() -> Answer {
    refuse(StatusCode::INSUFFICIENT_STORAGE, "Full", "the mock keeps no more")
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let answer = with(
        said(status, "application/xml", Said::whole(xml)),
        "x-ms-error-code",
        code,
    );
    with(answer, "x-ms-version", VERSION)
}
