//! What must hold for any bytes: shared by the bounded runner (`examples/fuzz`) and the coverage-guided targets (`fuzz/`).
#![allow(dead_code, reason = "a coverage-guided target uses one of these functions")]

use egret::{
    dns::{
        DnsPlan, Zone,
        chain::{Chain, MAX_ADDRESSES, MAX_LINKS, Step},
        message::{Family, Question, decode},
    },
    policy::Fqdn,
    tls::client_hello::{Parsed, parse},
};
use std::{io::Cursor, net::SocketAddr, sync::Arc};

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

/// No panic; a chain that gets these bytes as the answer to whatever it asks ends within its bounds.
pub fn dns_message(bytes: &[u8]) {
    let name = |text: &str| Fqdn::parse(text).expect("a host name");
    let forwarder = SocketAddr::from(([127, 0, 0, 1], 53));
    let zones = vec![
        Zone::default_zone(vec![forwarder]),
        Zone::new(name("svc.example.net"), vec![forwarder]),
    ];
    let plan = DnsPlan {
        zones,
        ..DnsPlan::default()
    };
    let server: Arc<str> = "127.0.0.1:53".into();
    let id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    for family in [Family::V4, Family::V6] {
        let (mut chain, mut step) = Chain::start(&plan, &name("api.example.com"), family);
        let mut asked = 0;
        while let Step::Ask(_, name) = step {
            asked += 1;
            assert!(asked <= MAX_LINKS + 1, "asks on and on");
            match decode(bytes, id, &Question { name, family }, &server) {
                Ok(reply) => step = chain.answered(&reply),
                Err(_) => break,
            }
            if let Step::Found(found) = &step {
                assert!(!found.addresses.is_empty() && found.addresses.len() <= MAX_ADDRESSES);
                assert!(found.links.len() <= MAX_LINKS);
                let end = found
                    .links
                    .last()
                    .map_or("api.example.com", |link| link.target.as_str());
                assert!(found.addresses.iter().all(|address| address.owner.as_str() == end));
            }
        }
    }
}
