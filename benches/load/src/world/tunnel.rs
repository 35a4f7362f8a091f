//! The upstream of tunnels: a ClientHello, [`HELLO_ANSWER_BYTES`], a request of [`REQUEST_BYTES`], and what that asks for.

use super::pattern;
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer};
use std::{
    io::{self, ErrorKind},
    sync::Arc,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

/// What answers a ClientHello, in bytes: a server's flight with a short certificate chain.
pub const HELLO_ANSWER_BYTES: usize = 2_500;

/// Length of a request, in bytes: that of a small API call.
pub const REQUEST_BYTES: usize = 400;

/// Length of one message of [`Asked::Echo`], in bytes.
pub const MESSAGE_BYTES: usize = 512;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// So many bytes down.
    Send(u64),
    /// So many bytes up, and then one down.
    Take(u64),
    /// So many bytes up and down at once.
    Both(u64),
    /// Each message of [`MESSAGE_BYTES`] back, until the client ends.
    Echo,
}

impl Asked {
    /// As a client sends it.
    pub fn request(self) -> [u8; REQUEST_BYTES] {
        let (kind, length) = match self {
            Self::Send(length) => (b'S', length),
            Self::Take(length) => (b'T', length),
            Self::Both(length) => (b'B', length),
            Self::Echo => (b'E', 0),
        };
        let mut request = [b'.'; REQUEST_BYTES];
        request[0] = kind;
        request[1..9].copy_from_slice(&length.to_be_bytes());
        request
    }

    fn parse(request: &[u8; REQUEST_BYTES]) -> io::Result<Self> {
        let length = u64::from_be_bytes(request[1..9].try_into().expect("8 bytes"));
        match request[0] {
            b'S' => Ok(Self::Send(length)),
            b'T' => Ok(Self::Take(length)),
            b'B' => Ok(Self::Both(length)),
            b'E' => Ok(Self::Echo),
            _ => Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// Serves one tunnel. `InvalidData` where other bytes come than a client sends.
pub async fn serve(mut stream: TcpStream) -> io::Result<()> {
    answer_connect(&mut stream).await?;
    if !read_hello(&mut stream).await? {
        return Ok(());
    }
    stream.write_all(pattern::at(0, HELLO_ANSWER_BYTES as u64)).await?;
    serve_request(stream).await
}

/// The same with a real handshake instead of a ClientHello and its answer.
pub async fn serve_tls(mut stream: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    answer_connect(&mut stream).await?;
    serve_request(acceptor.accept(stream).await?).await
}

/// A certificate for all allowed names, signed by itself: clients of this crate take any.
pub fn acceptor() -> io::Result<TlsAcceptor> {
    let key = rcgen::generate_simple_self_signed(super::names().collect::<Vec<_>>()).map_err(io::Error::other)?;
    let chain = vec![key.cert.der().clone()];
    let secret = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(io::Error::other)?;
    Ok(Arc::new(config).into())
}

/// Some proxies pass the head of a CONNECT on instead of ending it.
async fn answer_connect(stream: &mut TcpStream) -> io::Result<()> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 || first != *b"C" {
        return Ok(());
    }
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 8192 || stream.read_buf(&mut head).await? == 0 {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await
}

/// One TLS record (RFC 8446 section 5.1), all that clients of this crate need. False if the client ended before its first byte.
async fn read_hello(stream: &mut TcpStream) -> io::Result<bool> {
    let mut hello = [0; 4096];
    let mut length = 0;
    loop {
        match stream.read(&mut hello[length..]).await? {
            0 if length == 0 => return Ok(false),
            0 => return Err(ErrorKind::InvalidData.into()),
            more => length += more,
        }
        if hello[0] != 0x16 {
            return Err(ErrorKind::InvalidData.into());
        }
        if length < 5 {
            continue;
        }
        let whole = 5 + usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        match length.cmp(&whole) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Ok(true),
            std::cmp::Ordering::Greater => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

async fn serve_request(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut request = [0; REQUEST_BYTES];
    stream.read_exact(&mut request).await?;
    match Asked::parse(&request)? {
        Asked::Send(length) => send(&mut stream, length).await?,
        Asked::Take(length) => {
            take(&mut stream, length).await?;
            stream.write_all(b".").await?;
        }
        Asked::Both(length) => {
            let (mut reader, mut writer) = split(&mut stream);
            tokio::try_join!(take(&mut reader, length), send(&mut writer, length))?;
        }
        Asked::Echo => return echo(&mut stream).await,
    }
    // The client closes first: whoever does keeps the port for a while.
    match stream.read(&mut [0]).await? {
        0 => Ok(()),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

async fn echo(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    while stream.read_exact(&mut message).await.is_ok() {
        stream.write_all(&message).await?;
    }
    Ok(())
}

/// Sends the first `length` bytes of the pattern.
pub async fn send(stream: &mut (impl AsyncWrite + Unpin), length: u64) -> io::Result<()> {
    let mut sent = 0;
    while sent < length {
        sent += stream.write(pattern::at(sent, length - sent)).await? as u64;
    }
    stream.flush().await
}

/// Takes the first `length` bytes of the pattern. `InvalidData` if others come.
pub async fn take(stream: &mut (impl AsyncRead + Unpin), length: u64) -> io::Result<()> {
    let mut buffer = vec![0; length.min(pattern::CHUNK_BYTES as u64) as usize];
    let mut taken = 0;
    while taken < length {
        let room = (length - taken).min(buffer.len() as u64) as usize;
        taken += take_some(stream, taken, &mut buffer[..room]).await?;
    }
    Ok(())
}

/// Takes what there is of the pattern from `start`, at most a buffer of up to [`pattern::CHUNK_BYTES`]: how many bytes.
pub async fn take_some(stream: &mut (impl AsyncRead + Unpin), start: u64, buffer: &mut [u8]) -> io::Result<u64> {
    match stream.read(buffer).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        more if pattern::is_at(&buffer[..more], start) => Ok(more as u64),
        _ => Err(ErrorKind::InvalidData.into()),
    }
}
