//! Entry points for fuzz targets (`fuzz/`, `examples/fuzz`) into parsers that are private. Not an API.

use crate::flow::intent::parse_authority;
use crate::policy::Host;

pub use crate::flow::http::fuzz::{request as http_request, response as http_response};

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
