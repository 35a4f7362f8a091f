//! Entry points for fuzz targets (`fuzz/`, `examples/fuzz`) into parsers that are private. Not an API.

use crate::config;
use crate::flow::intent::parse_authority;
use crate::import::{self, Options};
use crate::policy::Host;

pub use crate::flow::http::fuzz::{request as http_request, response as http_response};

/// What separates, counts or repeats in HTTP: put where it does not belong, it spoils heads, chunks and authorities.
pub const SPOILS: [&str; 33] = [
    "\r\n",
    "\n",
    "\r",
    " ",
    "\t",
    "\0",
    ":",
    ",",
    ";",
    "0",
    "5",
    "F",
    "x",
    "-",
    "+",
    "#",
    "@",
    "[",
    "]",
    "%25",
    ".",
    "0x7f",
    "\\",
    "\u{b}",
    "\u{e9}",
    "Host: b\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 05\r\n",
    "Transfer-Encoding: chunked\r\n",
    "0\r\n\r\n",
    "FFFFFFFFFFFFFFFF\r\n",
    "HTTP/1.1",
    "\r\n ",
];

/// The target of a CONNECT: what is read, written down again, reads the same.
pub fn authority(bytes: &[u8]) {
    let Ok(target) = parse_authority(bytes) else { return };
    let again = match &target.host {
        Host::Name(name) => format!("{name}:{}", target.port),
        Host::Address(ip) => std::net::SocketAddr::new(*ip, target.port).to_string(),
    };
    assert_eq!(
        parse_authority(again.as_bytes()),
        Ok(target),
        "{}",
        bytes.escape_ascii()
    );
}

/// A policy in JSON: whatever it says, the import ends; the counts of its report add up; the TOML that it writes loads.
pub fn azure_policy(bytes: &[u8]) {
    let options = Options {
        partial: true,
        sni: bytes.len().is_multiple_of(2),
        ..Options::default()
    };
    let files = [("policy.json".to_owned(), bytes.to_vec())];
    let Ok(imported) = import::azure_firewall(&files, None, &options) else {
        return;
    };
    for count in imported.report.counts.values() {
        assert_eq!(count.held, count.carried + count.approximated + count.absent);
    }
    if let Err(problems) = config::from_text("policy.toml", &imported.toml) {
        panic!("{problems:?}\n{}", imported.toml);
    }
}
