//! The ClientHello corpus of `tests/data/clienthellos`: first flights as clients wrote them, with what must be read from them.
//!
//! `real/` holds captures, `derived/` variants with one thing changed. One case is `ID.hex` and `ID.toml`.

#![allow(dead_code, reason = "each test binary uses its part")]

use serde::Deserialize;
use std::{fs, path::Path};

/// One first flight.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub id: String,
    #[serde(skip)]
    pub bytes: Vec<u8>,
    #[serde(rename = "bytes")]
    len: usize,
    #[serde(default)]
    pub hello_end: usize,
    #[serde(default)]
    pub bytes_after_hello: usize,
    #[serde(default)]
    pub ech: String,
    /// Write sizes of the client, where they matter.
    #[serde(default)]
    pub segments: Vec<usize>,
    pub expect: Expect,
}

/// What must be read from it.
#[derive(Debug, Deserialize)]
pub struct Expect {
    /// `sni`, `no_sni`, `incomplete`, `error`, `sslv2` or `not_tls`.
    pub result: String,
    sni_hex: Option<String>,
    #[serde(skip)]
    pub sni: Option<Vec<u8>>,
    /// Whether policy may match the name at all.
    pub sni_valid: Option<bool>,
    pub sni_normalized: Option<String>,
    pub deny_reason: Option<String>,
    pub alt_reason: Option<String>,
}

/// Every case, in the order of its file name.
pub fn corpus() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/clienthellos");
    let mut cases: Vec<Case> = ["real", "derived"]
        .iter()
        .flat_map(|class| fs::read_dir(root.join(class)).expect("the corpus is part of the repository"))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "toml"))
        .map(|path| read(&path))
        .collect();
    cases.sort_by(|a, b| a.id.cmp(&b.id));
    cases
}

fn read(path: &Path) -> Case {
    let text = fs::read_to_string(path).expect("a readable file");
    let mut case: Case = toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    case.bytes = from_hex(&fs::read_to_string(path.with_extension("hex")).expect("its bytes lie beside it"));
    assert_eq!(case.bytes.len(), case.len, "{}", case.id);
    case.expect.sni = case.expect.sni_hex.as_deref().map(from_hex);
    case
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hex digit") as u8;
    digits
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

/// The same handshake bytes in records of other sizes; `size` is asked with the number of the record.
pub fn recut(records: &[u8], size: impl Fn(usize) -> usize) -> Vec<u8> {
    let mut message = Vec::new();
    let mut rest = records;
    while let [_, _, _, high, low, tail @ ..] = rest {
        let (fragment, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(tail.len()));
        message.extend_from_slice(fragment);
        rest = tail;
    }
    let mut out = Vec::new();
    let mut rest = message.as_slice();
    let mut record = 0;
    while !rest.is_empty() {
        let (fragment, tail) = rest.split_at(size(record).clamp(1, rest.len().min(1 << 14)));
        out.extend_from_slice(&[22, 3, 1, (fragment.len() >> 8) as u8, fragment.len() as u8]);
        out.extend_from_slice(fragment);
        rest = tail;
        record += 1;
    }
    out
}
