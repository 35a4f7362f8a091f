//! What a client's first flight says before any byte of it goes upstream.
//!
//! In: the bytes read so far, from the first one on. Out: [`Parsed`]. Left to others: how long to wait, how many bytes to
//! hold, what a name may be ([`crate::policy::Host`]) and what follows from it (`flow::gate`).
//!
//! Two stacks that read the same bytes must not read two names, so every length is checked against the one around it and
//! whatever could be read in two ways is [`Parsed::Malformed`]. Records are joined where they lie (RFC 8446 section 5.1
//! lets a message span them at any byte), so nothing is allocated or copied.

mod reader;

use crate::policy::{Fqdn, Host, HostError, Reason};
use reader::Fault::{self, Bad, Short};
use reader::{RECORD_HEADER, Reader};
use std::{fmt, net::IpAddr};

/// Longest first flight worth holding while it is [`Parsed::Incomplete`], in bytes, record headers included.
///
/// RFC 8446 section 4 allows 2^24 - 1. Post-quantum key shares bring common clients to about 2 KiB and the longest of our
/// captures to 5 KiB, so this leaves room for growth while a peer that dribbles bytes can hold no more than this.
pub const MAX_CLIENT_HELLO_BYTES: usize = 64 * 1024;

/// Most records that one hello may be cut into: 64 KiB in pieces of 16 bytes, the smallest that a client was seen to cut
/// on purpose. It bounds the work of looking again after each byte.
const MAX_RECORDS: usize = 4096;

/// Most extensions of one hello. Browsers send about 20; more than this is nobody's hello, and it bounds the search for
/// duplicates.
const MAX_EXTENSIONS: usize = 128;

/// Longest fragment of a plaintext record: 2^14 bytes (RFC 8446 section 5.1).
const MAX_FRAGMENT: usize = 1 << 14;

const HANDSHAKE_HEADER: usize = 4;
const CONTENT_HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;

const EXT_SERVER_NAME: u16 = 0;
const EXT_PRE_SHARED_KEY: u16 = 41;
/// `encrypted_client_hello`, RFC 9849.
const EXT_ECH: u16 = 0xfe0d;
/// `encrypted_server_name` of draft-ietf-tls-esni up to 06, never standardised.
const EXT_ESNI_DRAFT: u16 = 0xffce;

/// What the bytes read so far are.
#[derive(Clone, Copy, Debug)]
pub enum Parsed<'a> {
    /// The start of a hello, as far as can be seen: read on.
    Incomplete,
    /// Another protocol.
    NotTls,
    /// An SSLv2 CLIENT-HELLO (RFC 6176 forbids it), whatever version it offers inside.
    Sslv2,
    /// TLS records that do not hold exactly one well-formed ClientHello; the text names the first fault.
    Malformed(&'static str),
    /// One whole ClientHello.
    Hello(ClientHello<'a>),
}

/// A ClientHello (RFC 8446 section 4.1.2) whose every length holds.
#[derive(Clone, Copy, Debug)]
pub struct ClientHello<'a> {
    /// The one `host_name` of its `server_name` extension (RFC 6066 section 3), not yet judged to be a name: [`ServerName::fqdn`] does that.
    pub server_name: Option<ServerName<'a>>,
    /// Whether it hides another hello.
    pub ech: Ech,
    /// Bytes up to the end of the record that ends the hello, at least 1. What follows is opaque.
    pub hello_end: usize,
}

/// What a hello says of encrypted ClientHello (RFC 9849 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ech {
    /// No such extension.
    None,
    /// An outer hello: a real one and GREASE cannot be told apart.
    Outer,
    /// Marked as the inner hello, which no client sends in the clear.
    Inner,
    /// The extension is there and does not hold what RFC 9849 says.
    Malformed,
    /// The abandoned ESNI draft's extension, and no ECH.
    EsniDraft,
}

impl Ech {
    /// Text for rows: `None` where there is nothing to say.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Ech::None => None,
            Ech::Outer => Some("outer"),
            Ech::Inner => Some("inner"),
            Ech::Malformed => Some("malformed"),
            Ech::EsniDraft => Some("esni_draft"),
        }
    }
}

/// Room for any server name that could be a host name: 253 bytes and a trailing dot, and more, to show that it is too long.
pub const NAME_BUFFER_BYTES: usize = 256;

/// The raw bytes of a server name: 1 to 65535 of any value, possibly in several records.
#[derive(Clone, Copy)]
pub struct ServerName<'a>(Reader<'a>);

impl<'a> ServerName<'a> {
    /// Number of bytes as sent.
    #[allow(
        clippy::len_without_is_empty,
        reason = "never empty: RFC 6066 section 3, HostName<1..2^16-1>"
    )]
    pub fn len(&self) -> usize {
        self.0.left
    }

    /// The bytes, joined. Longer names come cut to the buffer, which is still too long to pass as a host name.
    pub fn copy_to<'b>(&self, buffer: &'b mut [u8; NAME_BUFFER_BYTES]) -> &'b [u8] {
        let len = self.len().min(buffer.len());
        for (slot, byte) in buffer.iter_mut().zip(self.bytes()) {
            *slot = byte;
        }
        &buffer[..len]
    }

    /// The host name, or why it cannot be one: `SniIpLiteral` or `SniInvalid`.
    ///
    /// RFC 6066 section 3 permits no address. A bracketed one is no literal here, only bytes that are not a name.
    pub fn fqdn(&self) -> Result<Fqdn, Reason> {
        let mut buffer = [0; NAME_BUFFER_BYTES];
        let raw = self.copy_to(&mut buffer);
        let address = || std::str::from_utf8(raw).is_ok_and(|text| text.parse::<IpAddr>().is_ok());
        match Host::parse(raw) {
            Ok(Host::Name(name)) => Ok(name),
            Err(HostError::IpLiteral) => Err(Reason::SniIpLiteral),
            _ if address() => Err(Reason::SniIpLiteral),
            _ => Err(Reason::SniInvalid),
        }
    }

    /// The bytes one by one.
    pub fn bytes(&self) -> impl Iterator<Item = u8> + 'a {
        let mut reader = self.0;
        std::iter::from_fn(move || reader.u8().ok())
    }
}

impl fmt::Debug for ServerName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for byte in self.bytes() {
            write!(f, "{}", byte.escape_ascii())?;
        }
        f.write_str("\"")
    }
}

/// Reads the first flight. Pure, never panics, never allocates; the work is linear in the bytes.
///
/// Once it is not `Incomplete`, more bytes do not change the answer.
pub fn parse(bytes: &[u8]) -> Parsed<'_> {
    match bytes.first() {
        None => Parsed::Incomplete,
        Some(&CONTENT_HANDSHAKE) => match read_records(bytes) {
            Ok(hello) => Parsed::Hello(hello),
            Err(Fault::Short) => Parsed::Incomplete,
            Err(Fault::Bad(what)) => Parsed::Malformed(what),
        },
        Some(_) => not_a_record(bytes),
    }
}

/// SSLv2's two-byte record header has its high bit set; then type 1, then the version: 2.0, or 3.x in the form that RFC 5246
/// appendix E.2 let clients use to offer newer ones.
fn not_a_record(bytes: &[u8]) -> Parsed<'_> {
    match bytes {
        [0x80..=0xff, _, CLIENT_HELLO, 0, 2, ..] | [0x80..=0xff, _, CLIENT_HELLO, 3, _, ..] => Parsed::Sslv2,
        [0x80..=0xff] | [0x80..=0xff, _] | [0x80..=0xff, _, CLIENT_HELLO] | [0x80..=0xff, _, CLIENT_HELLO, 0 | 3] => {
            Parsed::Incomplete
        }
        _ => Parsed::NotTls,
    }
}

/// Walks the records up to the end of the message, then reads it.
fn read_records(bytes: &[u8]) -> Result<ClientHello<'_>, Fault> {
    let mut header = [0; HANDSHAKE_HEADER];
    // message bytes announced by the record headers so far, and where the next record starts
    let (mut joined, mut at) = (0, 0);
    for _ in 0..MAX_RECORDS {
        let fragment_len = record_header(&bytes[at..])?;
        let fragment = &bytes[at + RECORD_HEADER..bytes.len().min(at + RECORD_HEADER + fragment_len)];
        for (slot, byte) in header.iter_mut().skip(joined).zip(fragment) {
            *slot = *byte;
        }
        let seen = joined + fragment.len();
        joined += fragment_len;
        at += RECORD_HEADER + fragment.len();
        if seen >= 1 && header[0] != CLIENT_HELLO {
            return Err(Bad("a handshake message that is not a ClientHello"));
        }
        let message = HANDSHAKE_HEADER + u32::from_be_bytes([0, header[1], header[2], header[3]]) as usize;
        if seen >= HANDSHAKE_HEADER && seen > message {
            return Err(Bad("bytes after the ClientHello in its last record"));
        }
        if fragment.len() < fragment_len {
            return Err(Short);
        }
        if seen >= HANDSHAKE_HEADER && joined == message {
            return read_message(Reader::over(bytes, message), at);
        }
    }
    Err(Bad("a ClientHello in too many records"))
}

/// Checks a record header, as far as it is there; its fragment's length, 1 to 2^14.
fn record_header(bytes: &[u8]) -> Result<usize, Fault> {
    let [kind, major, _minor, high, low] = match bytes.first_chunk::<RECORD_HEADER>() {
        Some(header) => *header,
        None if bytes.first().is_some_and(|&kind| kind != CONTENT_HANDSHAKE) => return Err(Bad(INTERLEAVED)),
        None if bytes.get(1).is_some_and(|&major| major != 3) => return Err(Bad(VERSION)),
        None => return Err(Short),
    };
    if kind != CONTENT_HANDSHAKE {
        return Err(Bad(INTERLEAVED));
    }
    if major != 3 {
        return Err(Bad(VERSION));
    }
    match usize::from(u16::from_be_bytes([high, low])) {
        0 => Err(Bad("an empty handshake record")),
        len if len > MAX_FRAGMENT => Err(Bad("a record longer than 2^14 bytes")),
        len => Ok(len),
    }
}

/// RFC 8446 section 5.1: handshake messages must not be interleaved with other record types.
const INTERLEAVED: &str = "another record type before the ClientHello ends";
/// DTLS (0xfeff, 0xfefd) and SSLv2-like versions; the minor number is to be ignored (RFC 8446 section 5.1).
const VERSION: &str = "a record version that is not 3.x";

/// Reads the whole message, header included.
fn read_message(mut message: Reader<'_>, hello_end: usize) -> Result<ClientHello<'_>, Fault> {
    message.skip(HANDSHAKE_HEADER)?;
    match message.u16()? {
        // RFC 7568 section 3: a hello that offers no more than SSL 3.0 is refused by everyone.
        0x0300 => return Err(Bad("an SSL 3.0 ClientHello")),
        version if version >> 8 != 3 => return Err(Bad("a ClientHello version that is not 3.x")),
        _ => message.skip(32)?,
    }
    let session_id = message.vector8()?;
    if session_id.left > 32 {
        return Err(Bad("a session id longer than 32 bytes"));
    }
    let ciphers = message.vector16()?;
    if ciphers.left == 0 || ciphers.left % 2 != 0 {
        return Err(Bad("a cipher suite list that is empty or odd"));
    }
    if message.vector8()?.left == 0 {
        return Err(Bad("an empty list of compression methods"));
    }
    let mut hello = ClientHello {
        server_name: None,
        ech: Ech::None,
        hello_end,
    };
    // RFC 5246 section 7.4.1.2: the extension block may be absent as a whole.
    if message.left > 0 {
        let extensions = message.vector16()?;
        message.must_be_at_end()?;
        read_extensions(extensions, &mut hello)?;
    }
    Ok(hello)
}

fn read_extensions<'a>(mut extensions: Reader<'a>, hello: &mut ClientHello<'a>) -> Result<(), Fault> {
    let mut seen = [0; MAX_EXTENSIONS];
    let mut count = 0;
    let mut esni = false;
    while extensions.left > 0 {
        let kind = extensions.u16()?;
        let body = extensions.vector16()?;
        if seen[..count].last() == Some(&EXT_PRE_SHARED_KEY) {
            return Err(Bad("an extension after pre_shared_key"));
        }
        if seen[..count].contains(&kind) {
            return Err(Bad("an extension that comes twice"));
        }
        *seen.get_mut(count).ok_or(Bad("too many extensions"))? = kind;
        count += 1;
        match kind {
            EXT_SERVER_NAME => hello.server_name = Some(read_server_name(body)?),
            EXT_ECH => hello.ech = read_ech(body).unwrap_or(Ech::Malformed),
            EXT_ESNI_DRAFT => esni = true,
            _ => {}
        }
    }
    if esni && hello.ech == Ech::None {
        hello.ech = Ech::EsniDraft;
    }
    Ok(())
}

/// RFC 6066 section 3: a list of names, at most one of each type. Names of a type that nobody defined are passed over.
fn read_server_name(mut body: Reader<'_>) -> Result<ServerName<'_>, Fault> {
    let mut list = body.vector16()?;
    body.must_be_at_end()?;
    let mut types = [false; 256];
    let mut found = None;
    while list.left > 0 {
        let kind = list.u8()?;
        let name = list.vector16()?;
        if std::mem::replace(&mut types[usize::from(kind)], true) {
            return Err(Bad("two server names of one type"));
        }
        if name.left == 0 {
            return Err(Bad("an empty server name"));
        }
        if kind == 0 {
            found = Some(ServerName(name));
        }
    }
    found.ok_or(Bad("a server_name extension without a host name"))
}

/// RFC 9849 section 5, `ECHClientHello`.
fn read_ech(mut body: Reader<'_>) -> Result<Ech, Fault> {
    match body.u8()? {
        0 => {
            body.skip(2 + 2 + 1)?; // kdf, aead, config id
            body.vector16()?; // enc: empty in a hello after HelloRetryRequest
            if body.vector16()?.left == 0 {
                return Err(Bad("an empty ECH payload"));
            }
            body.must_be_at_end()?;
            Ok(Ech::Outer)
        }
        1 => body.must_be_at_end().map(|()| Ech::Inner),
        _ => Err(Bad("an unknown ECH type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An extension with its length.
    fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &(body.len() as u16).to_be_bytes(), body].concat()
    }

    fn server_name(names: &[(u8, &str)]) -> Vec<u8> {
        let entry = |(kind, name): &(u8, &str)| [&[*kind, 0, name.len() as u8], name.as_bytes()].concat();
        let list: Vec<u8> = names.iter().flat_map(entry).collect();
        extension(
            EXT_SERVER_NAME,
            &[&(list.len() as u16).to_be_bytes()[..], &list].concat(),
        )
    }

    /// A handshake message of the given version around these extensions.
    fn message(version: [u8; 2], extensions: &[Vec<u8>]) -> Vec<u8> {
        let block = extensions.concat();
        let body = [
            &version[..],
            &[7; 32],
            &[0],
            &[0, 2, 0x13, 1],
            &[1, 0],
            &(block.len() as u16).to_be_bytes(),
            &block,
        ]
        .concat();
        [&[CLIENT_HELLO, 0][..], &(body.len() as u16).to_be_bytes(), &body].concat()
    }

    fn record(kind: u8, version: [u8; 2], fragment: &[u8]) -> Vec<u8> {
        [&[kind][..], &version, &(fragment.len() as u16).to_be_bytes(), fragment].concat()
    }

    fn hello(extensions: &[Vec<u8>]) -> Vec<u8> {
        record(CONTENT_HANDSHAKE, [3, 1], &message([3, 3], extensions))
    }

    fn api() -> Vec<u8> {
        server_name(&[(0, "api.example.com")])
    }

    /// The verdict in one line.
    fn said(bytes: &[u8]) -> String {
        match parse(bytes) {
            Parsed::Hello(ClientHello {
                server_name,
                ech,
                hello_end,
            }) => {
                let name = server_name.map_or("-".to_owned(), |name| format!("{name:?}"));
                format!("{name} {} +{}", ech.label().unwrap_or("-"), bytes.len() - hello_end)
            }
            Parsed::Malformed(what) => format!("malformed: {what}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn s_12_s_13_what_extensions_say_is_read_in_one_way_or_not_at_all() {
        let other = || server_name(&[(0, "evil.test")]);
        let unknown_first = server_name(&[(7, "x"), (0, "api.example.com")]);
        let padded_list = extension(0, &[0, 4, 0, 0, 1, b'a', 0]);
        let short_list = extension(0, &[0, 3, 0, 0, 1]);
        for (why, extensions, expected) in [
            ("one name", vec![api()], "\"api.example.com\" - +0"),
            ("no extension at all inside the block", vec![], "- - +0"),
            (
                "an unknown type before the host name does not count",
                vec![unknown_first],
                "\"api.example.com\" - +0",
            ),
            (
                "server_name twice",
                vec![api(), other()],
                "malformed: an extension that comes twice",
            ),
            (
                "any extension twice",
                vec![extension(9, &[]), extension(9, &[])],
                "malformed: an extension that comes twice",
            ),
            (
                "a name after pre_shared_key",
                vec![extension(41, &[0; 4]), api()],
                "malformed: an extension after pre_shared_key",
            ),
            (
                "pre_shared_key last",
                vec![api(), extension(41, &[0; 4])],
                "\"api.example.com\" - +0",
            ),
            (
                "two host names in one list",
                vec![server_name(&[(0, "a"), (0, "b")])],
                "malformed: two server names of one type",
            ),
            (
                "two names of an unknown type",
                vec![server_name(&[(9, "a"), (9, "b"), (0, "c")])],
                "malformed: two server names of one type",
            ),
            (
                "a name of no bytes",
                vec![server_name(&[(0, "")])],
                "malformed: an empty server name",
            ),
            (
                "an empty list",
                vec![server_name(&[])],
                "malformed: a server_name extension without a host name",
            ),
            (
                "only an unknown type",
                vec![server_name(&[(1, "a")])],
                "malformed: a server_name extension without a host name",
            ),
            (
                "bytes behind the list",
                vec![padded_list],
                "malformed: bytes left over at the end of a field",
            ),
            (
                "a list shorter than its name",
                vec![short_list],
                "malformed: a length that is longer than what holds it",
            ),
            (
                "an extension body as a server sends it",
                vec![extension(0, &[])],
                "malformed: a length that is longer than what holds it",
            ),
            (
                "NUL in the name is for the policy to refuse",
                vec![server_name(&[(0, "a\0b")])],
                "\"a\\x00b\" - +0",
            ),
        ] {
            assert_eq!(said(&hello(&extensions)), expected, "{why}");
        }
        let many: Vec<_> = (100..100 + MAX_EXTENSIONS as u16)
            .map(|kind| extension(kind, &[]))
            .collect();
        assert_eq!(said(&hello(&many)), "- - +0");
        assert_eq!(
            said(&hello(&[many, vec![api()]].concat())),
            "malformed: too many extensions"
        );
    }

    #[test]
    fn s_05_n_12_a_server_name_is_a_host_name_or_has_its_own_reason() {
        let long = "a.".repeat(200);
        for (sent, expected) in [
            ("api.example.com", Ok("api.example.com")),
            ("API.Example.com.", Ok("api.example.com")),
            ("203.0.113.9", Err(Reason::SniIpLiteral)),
            ("2001:db8::1", Err(Reason::SniIpLiteral)),
            ("0xcb007109", Err(Reason::SniIpLiteral)),
            ("[2001:db8::1]", Err(Reason::SniInvalid)),
            ("[api.example.com]", Err(Reason::SniInvalid)),
            ("api.example.com:443", Err(Reason::SniInvalid)),
            ("*.example.com", Err(Reason::SniInvalid)),
            ("api.example.com\0.evil.test", Err(Reason::SniInvalid)),
            ("bücher.example", Err(Reason::SniInvalid)),
            ("api\u{200b}.example.com", Err(Reason::SniInvalid)),
            (&long[..250], Ok(&long[..249])),
            (&long[..], Err(Reason::SniInvalid)),
        ] {
            let list = [&[0, (sent.len() >> 8) as u8, sent.len() as u8], sent.as_bytes()].concat();
            let body = [&(list.len() as u16).to_be_bytes()[..], &list].concat();
            let bytes = hello(&[extension(EXT_SERVER_NAME, &body)]);
            let Parsed::Hello(ClientHello {
                server_name: Some(name),
                ..
            }) = parse(&bytes)
            else {
                panic!("{sent}")
            };
            assert_eq!(
                name.fqdn().as_ref().map(Fqdn::as_str).map_err(|reason| *reason),
                expected,
                "{sent}"
            );
        }
    }

    #[test]
    fn s_18_s_32_hidden_names_are_seen() {
        let outer = || extension(EXT_ECH, &[0, 0, 1, 0, 1, 9, 0, 1, 0xaa, 0, 1, 0xbb]);
        let draft = || extension(EXT_ESNI_DRAFT, &[1, 2]);
        for (why, extensions, expected) in [
            (
                "an outer hello, real or GREASE",
                vec![api(), outer()],
                "\"api.example.com\" outer +0",
            ),
            ("an outer hello without a name", vec![outer()], "- outer +0"),
            (
                "an inner hello in the clear",
                vec![extension(EXT_ECH, &[1])],
                "- inner +0",
            ),
            (
                "an inner hello with more in it",
                vec![extension(EXT_ECH, &[1, 0])],
                "- malformed +0",
            ),
            ("an unknown kind", vec![extension(EXT_ECH, &[2])], "- malformed +0"),
            ("nothing in it", vec![extension(EXT_ECH, &[])], "- malformed +0"),
            (
                "no payload",
                vec![extension(EXT_ECH, &[0, 0, 1, 0, 1, 9, 0, 0, 0, 0])],
                "- malformed +0",
            ),
            ("the old draft without a name", vec![draft()], "- esni_draft +0"),
            (
                "the old draft with a name",
                vec![api(), draft()],
                "\"api.example.com\" esni_draft +0",
            ),
            ("both: the standard one counts", vec![draft(), outer()], "- outer +0"),
        ] {
            assert_eq!(said(&hello(&extensions)), expected, "{why}");
        }
    }

    #[test]
    fn s_14_s_15_s_31_s_34_only_one_hello_in_records_of_its_own_is_read() {
        let message = message([3, 3], &[api()]);
        let (head, tail) = message.split_at(60);
        let handshake = |fragment: &[u8]| record(CONTENT_HANDSHAKE, [3, 1], fragment);
        let between = |middle: Vec<u8>| [handshake(head), middle, handshake(tail)].concat();
        let of_version = |minor| record(CONTENT_HANDSHAKE, [3, minor], &message);
        let said_version = |version| said(&handshake(&super::tests::message(version, &[api()])));
        let api = "\"api.example.com\" - +0";
        for (why, bytes, expected) in [
            ("two records", between(vec![]), api),
            (
                "an alert between them",
                between(record(21, [3, 1], &[1, 0])),
                "malformed: another record type before the ClientHello ends",
            ),
            (
                "application data between them",
                between(record(23, [3, 1], &[0])),
                "malformed: another record type before the ClientHello ends",
            ),
            (
                "an empty record between them",
                between(handshake(&[])),
                "malformed: an empty handshake record",
            ),
            (
                "two hellos in one record",
                handshake(&[message.clone(), message.clone()].concat()),
                "malformed: bytes after the ClientHello in its last record",
            ),
            (
                "two hellos in two records: the second is opaque",
                [handshake(&message), handshake(&message)].concat(),
                "\"api.example.com\" - +76",
            ),
            ("record version 3.4", of_version(4), api),
            ("record version 3.255", of_version(255), api),
            ("record version 3.0", of_version(0), api),
            (
                "DTLS 1.2",
                record(CONTENT_HANDSHAKE, [254, 253], &message),
                "malformed: a record version that is not 3.x",
            ),
            (
                "the first two bytes of DTLS",
                vec![22, 254],
                "malformed: a record version that is not 3.x",
            ),
            (
                "a handshake message from a server",
                handshake(&[2, 0, 0, 1, 0]),
                "malformed: a handshake message that is not a ClientHello",
            ),
            ("SSLv2", vec![0x80, 46, 1, 0, 2], "Sslv2"),
            ("SSLv2 framing that offers TLS 1.2", vec![0x80, 46, 1, 3, 3], "Sslv2"),
            ("not yet to be told from SSLv2", vec![0x80, 46, 1, 0], "Incomplete"),
            ("no version of SSLv2", vec![0x80, 46, 1, 0, 3], "NotTls"),
            ("an alert first", record(21, [3, 1], &[1, 0]), "NotTls"),
            ("plain HTTP", b"GET / HTTP/1.1".to_vec(), "NotTls"),
            ("nothing", vec![], "Incomplete"),
        ] {
            assert_eq!(said(&bytes), expected, "{why}");
        }
        assert_eq!(said_version([3, 0]), "malformed: an SSL 3.0 ClientHello");
        assert_eq!(said_version([3, 1]), api);
        assert_eq!(said_version([3, 9]), api);
        assert_eq!(said_version([2, 0]), "malformed: a ClientHello version that is not 3.x");
    }

    #[test]
    fn work_is_bounded_however_finely_the_hello_is_cut() {
        let filler = extension(21, &[0; 9000]);
        let fine = |message: &[u8]| -> Vec<u8> { message.iter().flat_map(|&byte| [22, 3, 1, 0, 1, byte]).collect() };
        let long = message([3, 3], &[api(), filler]);
        assert_eq!(said(&fine(&message([3, 3], &[api()]))), "\"api.example.com\" - +0");
        assert_eq!(said(&fine(&long)), "malformed: a ClientHello in too many records");
        assert_eq!(said(&fine(&long[..MAX_RECORDS - 1])), "Incomplete");
    }
}
