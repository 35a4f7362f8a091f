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
mod tests;
