//! One connection of the lab's client: what is sent, what comes back, how it ends.

use super::hello::{Hello, split_record};
use crate::tls::authority::Authority;
use rustls::{AlertDescription, ClientConnection, NamedGroup};
use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Longest head and body that a client reads, in bytes.
const MAX_READ: usize = 64 * 1024 * 1024;

/// How a conversation ended that should have gone on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A fatal TLS alert came.
    Alert(AlertDescription),
    /// The other side closed in order (FIN).
    Closed,
    /// The other side reset the connection (RST).
    Reset,
    /// Nothing came for as long as the client waits.
    TimedOut,
    /// No connection to the proxy came about: nothing was decided.
    NoProxy(String),
    /// Anything else, in words.
    Failed(String),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Alert(alert) => write!(f, "TLS alert {} ({alert:?})", u8::from(*alert)),
            Self::Closed => f.write_str("closed"),
            Self::Reset => f.write_str("reset"),
            Self::TimedOut => f.write_str("no answer"),
            Self::NoProxy(text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Ended {
    fn from(e: io::Error) -> Self {
        match e.kind() {
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Self::Reset,
            io::ErrorKind::UnexpectedEof => Self::Closed,
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Failed(e.to_string()),
        }
    }
}
/// A connection of a client: plain, or with TLS after [`Wire::handshake`].
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    local: SocketAddr,
    tls: Option<Box<ClientConnection>>,
    /// What was received and not yet read, decrypted.
    buffer: Vec<u8>,
    authority: Arc<Authority>,
    patience: Duration,
}

impl Wire {
    /// A connection on which nothing has been said. Fails if the socket has no address any more.
    pub fn new(stream: TcpStream, authority: Arc<Authority>, patience: Duration) -> io::Result<Self> {
        let local = stream.local_addr()?;
        Ok(Self {
            stream,
            local,
            tls: None,
            buffer: Vec::new(),
            authority,
            patience,
        })
    }

    /// The client's own address and port, by which its rows are found.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The socket, for tests that reset it or look at it.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// The key exchange that the handshake agreed on.
    pub fn key_exchange(&self) -> Option<NamedGroup> {
        self.tls
            .as_ref()?
            .negotiated_key_exchange_group()
            .map(|group| group.name())
    }

    /// Sends bytes, through TLS after a handshake.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        match &mut self.tls {
            Some(tls) => {
                tls.writer().write_all(bytes)?;
                self.flush().await
            }
            None => self.write(bytes).await,
        }
    }

    /// Ends this side's sending (FIN).
    pub async fn finish(&mut self) -> Result<(), Ended> {
        Ok(self.stream.shutdown().await?)
    }

    /// Completes a TLS handshake: what is sent and read from now on is inside.
    pub async fn handshake(&mut self, hello: &Hello) -> Result<(), Ended> {
        let mut tls = hello.start(&self.authority)?;
        let mut first = Vec::new();
        tls.write_tls(&mut first)?;
        match hello.split {
            Some(size) => {
                for part in split_record(&first, size) {
                    self.write(&part).await?;
                    if !hello.pause.is_zero() {
                        tokio::time::sleep(hello.pause).await;
                    }
                }
            }
            None => self.write(&first).await?,
        }
        self.tls = Some(Box::new(tls));
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            if self.fill().await? == 0 {
                return Err(Ended::Closed);
            }
        }
        if hello.post_quantum && self.key_exchange() != Some(NamedGroup::X25519MLKEM768) {
            return Err(Ended::Failed(format!(
                "agreed on {:?}, not on X25519MLKEM768",
                self.key_exchange()
            )));
        }
        Ok(())
    }

    /// Reads once from the socket. The number of bytes that came off it; 0 at its end.
    pub async fn fill(&mut self) -> Result<usize, Ended> {
        let mut bytes = [0; 16 * 1024];
        let n = timeout(self.patience, self.stream.read(&mut bytes))
            .await
            .map_err(|_| Ended::TimedOut)??;
        match &mut self.tls {
            None => self.buffer.extend_from_slice(&bytes[..n]),
            Some(tls) => {
                let mut received = &bytes[..n];
                while !received.is_empty() {
                    tls.read_tls(&mut received)?;
                    let state = tls.process_new_packets().map_err(|e| match e {
                        rustls::Error::AlertReceived(alert) => Ended::Alert(alert),
                        other => Ended::Failed(other.to_string()),
                    })?;
                    let start = self.buffer.len();
                    self.buffer.resize(start + state.plaintext_bytes_to_read(), 0);
                    tls.reader().read_exact(&mut self.buffer[start..])?;
                }
                self.flush().await?;
            }
        }
        Ok(n)
    }

    /// What was received and not yet read.
    pub fn received(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes `n` bytes; fails if the other side ends before.
    pub async fn take(&mut self, n: usize) -> Result<Vec<u8>, Ended> {
        while self.buffer.len() < n {
            if self.fill().await? == 0 {
                return Err(Ended::Closed);
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    /// Everything until the other side ends, and how it ended.
    pub async fn to_end(&mut self) -> (Vec<u8>, Ended) {
        let end = loop {
            match self.fill().await {
                Ok(0) => break Ended::Closed,
                Ok(_) if self.buffer.len() > MAX_READ => break Ended::Failed("it does not end".to_owned()),
                Ok(_) => {}
                Err(end) => break end,
            }
        };
        (std::mem::take(&mut self.buffer), end)
    }

    /// Reads one HTTP answer to a request with this method, interim answers skipped.
    pub async fn reply(&mut self, method: &str) -> Result<Reply, Ended> {
        loop {
            let mut reply = self.reply_head().await?;
            match reply.status {
                100..=199 if reply.status != 101 => continue,
                101 | 204 | 304 => return Ok(reply),
                200..=299 if method == "CONNECT" => return Ok(reply),
                _ if method == "HEAD" => return Ok(reply),
                _ => self.reply_body(&mut reply).await?,
            }
            return Ok(reply);
        }
    }

    async fn reply_head(&mut self) -> Result<Reply, Ended> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return Reply::parse(&head);
            }
            if self.buffer.len() > MAX_READ {
                return Err(Ended::Failed("an endless head".to_owned()));
            }
            if self.fill().await? == 0 {
                return Err(Ended::Closed);
            }
        }
    }

    async fn reply_body(&mut self, reply: &mut Reply) -> Result<(), Ended> {
        if reply
            .header("transfer-encoding")
            .is_some_and(|v| v.eq_ignore_ascii_case("chunked"))
        {
            return self.chunks(reply).await;
        }
        let Some(length) = reply.header("content-length").and_then(|v| v.parse::<usize>().ok()) else {
            let (body, end) = self.to_end().await;
            reply.body = body;
            return if end == Ended::Closed { Ok(()) } else { Err(end) };
        };
        reply.body = self.take(length).await?;
        Ok(())
    }

    async fn chunks(&mut self, reply: &mut Reply) -> Result<(), Ended> {
        loop {
            let line = loop {
                if let Some(end) = find(&self.buffer, b"\r\n") {
                    break self.buffer.drain(..end + 2).collect::<Vec<u8>>();
                }
                reply.pieces += 1;
                if self.fill().await? == 0 {
                    return Err(Ended::Closed);
                }
            };
            let digits = String::from_utf8_lossy(&line);
            let size = usize::from_str_radix(digits.trim(), 16)
                .ok()
                .filter(|size| *size <= MAX_READ)
                .ok_or_else(|| Ended::Failed(format!("a chunk of size {digits:?}")))?;
            let chunk = self.take(size + 2).await?;
            reply.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Ended> {
        timeout(self.patience, self.stream.write_all(bytes))
            .await
            .map_err(|_| Ended::TimedOut)??;
        Ok(())
    }

    /// Sends what TLS has to say.
    async fn flush(&mut self) -> Result<(), Ended> {
        let mut out = Vec::new();
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut out)?;
            }
        }
        self.write(&out).await
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}
/// An HTTP answer as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub phrase: String,
    /// Header names, as sent, and values.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// Times that the client had to wait for a further chunk: more than one for a stream that was not held back.
    pub pieces: usize,
}

impl Reply {
    fn parse(head: &[u8]) -> Result<Self, Ended> {
        let text = String::from_utf8_lossy(head);
        let bad = || {
            Ended::Failed(format!(
                "not an HTTP answer: {:?}",
                text.chars().take(80).collect::<String>()
            ))
        };
        let mut lines = text.split("\r\n");
        let mut words = lines.next().unwrap_or_default().splitn(3, ' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|s| s.parse().ok()).ok_or_else(bad)?;
        if !version.starts_with("HTTP/1.") {
            return Err(bad());
        }
        let phrase = words.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|l| l.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Ok(Self {
            status,
            phrase,
            headers,
            ..Self::default()
        })
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
    }

    /// The site that answered; `None` if a proxy did.
    pub fn site(&self) -> Option<&str> {
        self.header("x-lab-site")
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
