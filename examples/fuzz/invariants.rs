//! What must hold for any bytes: shared by the bounded runner (`examples/fuzz`) and the coverage-guided targets (`fuzz/`).

use egret::tls::client_hello::{Parsed, parse};
use std::io::Cursor;

/// No panic; more bytes never change a verdict; where rustls reads a hello too, both read the same name.
pub fn client_hello(bytes: &[u8]) {
    let whole = verdict(parse(bytes));
    // Every prefix would be quadratic: a spread of them, and all around the end of the hello.
    let spread = (0..16).map(|step| bytes.len() * step / 16);
    let end = whole.as_ref().map_or(bytes.len(), |(_, end)| *end);
    for cut in spread.chain(end.saturating_sub(2)..=end.min(bytes.len())) {
        let parsed = parse(&bytes[..cut]);
        if !matches!(parsed, Parsed::Incomplete) {
            assert_eq!(verdict(parsed), whole, "cut at {cut}");
        }
    }
    if let Parsed::Hello(hello) = parse(bytes)
        && let Some(theirs) = rustls_reads(&bytes[..hello.hello_end])
    {
        let ours = hello.server_name.and_then(|name| name.fqdn().ok());
        let theirs = theirs.map(|name| name.to_ascii_lowercase());
        match (ours, theirs) {
            (Some(ours), theirs) => assert_eq!(Some(ours.as_str()), theirs.as_deref()),
            // rustls takes names that policy refuses, but only ones that were sent
            (None, Some(theirs)) => {
                let sent: Vec<u8> = hello.server_name.expect("rustls read a name").bytes().collect();
                let sent = sent.strip_suffix(b".").unwrap_or(&sent).to_ascii_lowercase();
                assert_eq!(sent, theirs.as_bytes());
            }
            (None, None) => {}
        }
    }
}

/// The fault or the name and end of the hello; nothing while incomplete.
type Verdict = Option<(Result<Option<Vec<u8>>, &'static str>, usize)>;

fn verdict(parsed: Parsed<'_>) -> Verdict {
    match parsed {
        Parsed::Incomplete => None,
        Parsed::NotTls => Some((Err("not TLS"), 0)),
        Parsed::Sslv2 => Some((Err("SSLv2"), 0)),
        Parsed::Malformed(what) => Some((Err(what), 0)),
        Parsed::Hello(hello) => Some((
            Ok(hello.server_name.map(|name| name.bytes().collect())),
            hello.hello_end,
        )),
    }
}

/// The name in a hello that rustls accepts.
fn rustls_reads(bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = rustls::server::Acceptor::default();
    let mut source = Cursor::new(bytes);
    while acceptor.read_tls(&mut source).ok()? > 0 {
        if let Some(accepted) = acceptor.accept().ok()? {
            return Some(accepted.client_hello().server_name().map(str::to_owned));
        }
    }
    None
}
