//! Shown before egret serves: what nobody allowed is denied.

use super::StartError;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long the self-test may take. It needs one round trip on loopback and no DNS, but the processor may be throttled.
const SELF_TEST_TIME: Duration = Duration::from_secs(10);

/// A name under `.invalid` that nobody else knows.
pub(super) fn fresh_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(std::process::id());
    format!("selftest-{random:016x}.egret.invalid")
}

/// A CONNECT for this name, through the bound listener, must be denied.
pub(super) fn self_test(listener: Option<&SocketAddr>, name: &str) -> Result<(), StartError> {
    let Some(listener) = listener else {
        return Ok(());
    };
    let ip = match listener.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(v6) if v6.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let failed = |e: io::Error| StartError::SelfTest(format!("{listener}: {e}"));
    let address = SocketAddr::new(ip, listener.port());
    let mut stream = TcpStream::connect_timeout(&address, SELF_TEST_TIME).map_err(failed)?;
    stream.set_read_timeout(Some(SELF_TEST_TIME)).map_err(failed)?;
    write!(stream, "CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\n\r\n").map_err(failed)?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).map_err(failed)?;
    if answer.starts_with(b"HTTP/1.1 4") || answer.starts_with(b"HTTP/1.1 5") {
        return Ok(());
    }
    Err(StartError::SelfTest(format!(
        "{name} was answered {:?}",
        String::from_utf8_lossy(&answer)
    )))
}
