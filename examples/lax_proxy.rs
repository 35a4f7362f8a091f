//! A deliberately lax proxy: it looks at the name of a CONNECT and at nothing else. `egret lab --proxy` shows what it lets
//! through.
//!
//! ```text
//! cargo run --example lax_proxy -- 127.0.0.1:3129 127.0.0.1:53530 openai.azure.com login.microsoftonline.com contoso.example
//! cargo run --release -- lab --once --proxy http://127.0.0.1:3129
//! ```
//!
//! Arguments: where to listen, the DNS server to ask, and the suffixes that a CONNECT name must end with. For tests only.

use egret::lab::internet::{DialMap, Internet};
use egret::lab::open_proxy::OpenProxy;
use std::net::SocketAddr;
use std::sync::Arc;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut address = |what: &str| -> SocketAddr {
        let text = arguments
            .next()
            .unwrap_or_else(|| panic!("{what} is missing: LISTEN DNS SUFFIX.."));
        text.parse()
            .unwrap_or_else(|_| panic!("{what}: `{text}` is no address with a port"))
    };
    let (listen, dns) = (address("LISTEN"), address("DNS"));
    let proxy = OpenProxy {
        internet: Internet {
            dns,
            map: Arc::new(DialMap::default()),
        },
        allow: arguments.collect(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(listen).await.expect("LISTEN is free");
        proxy.serve(listener).await;
    });
}
