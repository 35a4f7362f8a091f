//! A client: how it reaches an upstream, and the tunnels that it opens.

pub mod hello;

use crate::world::{
    pattern,
    tunnel::{Asked, HELLO_ANSWER_BYTES},
};
use hello::Target;
use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long an operation may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Longest answer that is read to a CONNECT, body included, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// Requests that this process has sent to proxies, CONNECTs and others: each is to be in the log of its proxy.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// How many requests this process has sent to proxies, those that warm them included.
pub fn asked() -> u64 {
    ASKED.load(Relaxed)
}

/// One more was sent.
pub(crate) fn count_asked() {
    ASKED.fetch_add(1, Relaxed);
}

/// How an upstream is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight: what is measured without anything between.
    Direct,
    /// By a forward proxy: CONNECT, or an absolute URL.
    Proxy(SocketAddr),
    /// By a port that takes a ClientHello as if it were the upstream.
    Transparent(SocketAddr),
}

/// `InvalidData` with a reason.
pub fn wrong(what: impl Into<String>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.into())
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection to the target's upstream at `upstream`, through a CONNECT if the route has one. Fails if that is answered
/// by anything but 200.
pub async fn connect(route: Route, target: &Target, upstream: SocketAddr) -> io::Result<TcpStream> {
    match route {
        Route::Direct => dial(upstream).await,
        Route::Transparent(port) => dial(port).await,
        Route::Proxy(proxy) => {
            let mut stream = dial(proxy).await?;
            stream.write_all(&target.connect_head(upstream.port())).await?;
            count_asked();
            let answer = read_answer(&mut stream).await?;
            match answer.status {
                200 if answer.after_head == 0 => Ok(stream),
                200 => Err(wrong("bytes after the head of a 200 to CONNECT")),
                status => Err(wrong(format!("CONNECT answered {status}"))),
            }
        }
    }
}

/// A tunnel that stands: its ClientHello was answered, byte for byte.
pub async fn open(route: Route, target: &Target, upstream: SocketAddr) -> io::Result<TcpStream> {
    let mut stream = connect(route, target, upstream).await?;
    stream.write_all(&target.hello).await?;
    expect(&mut stream, HELLO_ANSWER_BYTES).await?;
    Ok(stream)
}

/// A tunnel in which something was asked for.
pub async fn ask(route: Route, target: &Target, upstream: SocketAddr, asked: Asked) -> io::Result<TcpStream> {
    let mut stream = open(route, target, upstream).await?;
    stream.write_all(&asked.request()).await?;
    Ok(stream)
}

/// The first `length` bytes of the pattern, `length` at most 4096.
pub async fn expect(stream: &mut TcpStream, length: usize) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let bytes = buffer.get_mut(..length).ok_or_else(|| wrong("more than a buffer"))?;
    stream.read_exact(bytes).await?;
    if pattern::is_at(bytes, 0) {
        Ok(())
    } else {
        Err(wrong("other bytes than were sent"))
    }
}

/// A denial: a status of 400 to 499 to a CONNECT; no answer of the upstream's to a ClientHello. Fails on anything else.
pub async fn denied(route: Route, target: &Target, upstream: SocketAddr) -> io::Result<()> {
    match route {
        Route::Direct => Err(wrong("nothing denies without a proxy")),
        Route::Proxy(proxy) => {
            let mut stream = dial(proxy).await?;
            stream.write_all(&target.connect_head(upstream.port())).await?;
            count_asked();
            let answer = read_answer(&mut stream).await?;
            match answer.status {
                400..500 => read_body(&mut stream, &answer).await,
                status => Err(wrong(format!("a name that is not allowed was answered {status}"))),
            }
        }
        Route::Transparent(port) => {
            let mut stream = dial(port).await?;
            stream.write_all(&target.hello).await?;
            let mut answer = Vec::new();
            // A reset is a denial as well.
            let _ = stream.take(HELLO_ANSWER_BYTES as u64).read_to_end(&mut answer).await;
            match answer.len() < HELLO_ANSWER_BYTES {
                true => Ok(()),
                false => Err(wrong("a name that is not allowed reached its upstream")),
            }
        }
    }
}

/// An operation, or its failure after [`PATIENCE`].
pub async fn patiently<T>(operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(PATIENCE, operation).await?
}

struct Answer {
    status: u16,
    after_head: usize,
    content_length: Option<usize>,
}

async fn read_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut buffer = [0; 4096];
    let mut length = 0;
    let head = loop {
        let more = stream.read(&mut buffer[length..]).await?;
        if more == 0 {
            return Err(wrong("closed before the head of an answer ended"));
        }
        length += more;
        if let Some(end) = buffer[..length].windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let text = str::from_utf8(&buffer[..head]).map_err(|_| wrong("a head that is no text"))?;
    let status = text
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5)?.parse().ok());
    let content_length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse().ok())?
    });
    Ok(Answer {
        status: status.ok_or_else(|| wrong(format!("no HTTP/1 status: {:?}", text.lines().next())))?,
        after_head: length - head,
        content_length,
    })
}

async fn read_body(stream: &mut TcpStream, answer: &Answer) -> io::Result<()> {
    let length = answer.content_length.unwrap_or(MAX_ANSWER).min(MAX_ANSWER);
    let mut left = length.saturating_sub(answer.after_head);
    let mut buffer = [0; 4096];
    while left > 0 {
        let room = left.min(buffer.len());
        match stream.read(&mut buffer[..room]).await? {
            0 if answer.content_length.is_none() => break,
            0 => return Err(wrong("a body shorter than its length")),
            more => left -= more,
        }
    }
    Ok(())
}
