//! One connection to a front end: which tenant it speaks to, what it says, how many bytes.
//!
//! In: an accepted connection. Out: counts at the tenant that SNI or `Host` chose, and an answer. Bytes without a name are
//! the tenant's that takes what the others leave, also when the connection ends before a name could be read.

use super::{Front, KEPT_BYTES, Site, lock};
use crate::lab::mocks::{self, Serves};
use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{LazyConfigAcceptor, rustls::server::Acceptor};

/// The methods by which plain HTTP is told from raw bytes.
const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"HEAD ",
    b"POST ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
];

/// One connection to a front end: who is being spoken to, and what has been read.
#[derive(Debug)]
pub struct Visit {
    front: Arc<Front>,
    state: Mutex<VisitState>,
}

#[derive(Debug, Default)]
struct VisitState {
    site: Option<Arc<Site>>,
    /// Bytes read since a site was last named.
    fresh: u64,
    /// What was read before a site was named.
    unnamed: Vec<u8>,
    /// Where the first site keeps this connection's bytes.
    slot: Option<usize>,
}

impl Drop for Visit {
    fn drop(&mut self) {
        // Bytes of which no name could be read still reached somebody: the tenant for nameless ones.
        let unnamed = {
            let state = lock(&self.state);
            state.site.is_none() && state.fresh > 0
        };
        if unnamed {
            self.name(None);
        }
        self.front.open.fetch_sub(1, Relaxed);
    }
}

impl Visit {
    pub(super) async fn run(front: Arc<Front>, stream: TcpStream) {
        let visit = Arc::new(Self {
            front,
            state: Mutex::default(),
        });
        let _ = stream.set_nodelay(true);
        let mut stream = Metered {
            stream,
            replay: Vec::new(),
            visit: visit.clone(),
        };
        // How a visit ends is the visitor's business; what arrived has been counted.
        let _ = match stream.first_flight().await {
            Ok(Kind::Tls) => visit.tls(stream).await,
            Ok(Kind::Http) => visit.http(stream).await,
            Ok(Kind::Raw) => visit.raw(stream).await,
            Err(e) => Err(e),
        };
    }

    /// The site that this name chooses hears what was read since the last call, and what comes next.
    pub(in crate::lab) fn name(&self, name: Option<&str>) -> Arc<Site> {
        let site = self.front.tenant(name).clone();
        let mut state = lock(&self.state);
        let fresh = std::mem::take(&mut state.fresh);
        let same = state.site.as_ref().is_some_and(|now| Arc::ptr_eq(now, &site));
        if !same {
            // A pipelined request may have come with its predecessor's bytes: one at least was this site's.
            site.bytes.fetch_add(fresh.max(1), Relaxed);
            site.connections.fetch_add(1, Relaxed);
            state.slot = if state.site.is_none() {
                site.keep_new(std::mem::take(&mut state.unnamed))
            } else {
                None
            };
            state.site = Some(site.clone());
        }
        site
    }

    fn count(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        state.fresh += bytes.len() as u64;
        match &state.site {
            Some(site) => {
                site.bytes.fetch_add(bytes.len() as u64, Relaxed);
                if let Some(slot) = state.slot {
                    keep(&mut lock(&site.heard)[slot], bytes);
                }
            }
            None => keep(&mut state.unnamed, bytes),
        }
    }

    async fn tls(self: &Arc<Self>, stream: Metered) -> io::Result<()> {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let site = self.name(start.client_hello().server_name());
        // The others stay with what the Azure SDKs speak; gRPC has no other way.
        let tls = match site.spec().serves {
            Serves::Grpc => &self.front.tls_h2,
            _ => &self.front.tls,
        };
        let stream = start.into_stream(tls.clone()).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.http2(stream).await,
            _ => self.http(stream).await,
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: &Arc<Self>, stream: S) -> io::Result<()> {
        let service = service_fn(|request| mocks::answer(self.clone(), request));
        http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
            .await
            .map_err(io::Error::other)
    }

    async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self: &Arc<Self>, stream: S) -> io::Result<()> {
        let service = service_fn(|request| mocks::answer(self.clone(), request));
        http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .await
            .map_err(io::Error::other)
    }

    async fn raw(self: &Arc<Self>, mut stream: Metered) -> io::Result<()> {
        let site = self.name(None);
        stream
            .write_all(format!("lab-site: {}\n", site.name()).as_bytes())
            .await?;
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT_BYTES.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

enum Kind {
    Tls,
    Http,
    Raw,
}

/// A stream whose received bytes are counted, with the first ones read again.
struct Metered {
    stream: TcpStream,
    replay: Vec<u8>,
    visit: Arc<Visit>,
}

impl Metered {
    /// Reads until the protocol is known. Fails if the client closes before.
    async fn first_flight(&mut self) -> io::Result<Kind> {
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let n = self.stream.read(&mut buffer).await?;
            self.visit.count(&buffer[..n]);
            seen.extend_from_slice(&buffer[..n]);
            let kind = match seen.first() {
                Some(0x16) => Some(Kind::Tls),
                _ if METHODS.iter().any(|m| seen.starts_with(m)) => Some(Kind::Http),
                _ if n > 0 && METHODS.iter().any(|m| m.starts_with(&seen)) => None,
                Some(_) => Some(Kind::Raw),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            };
            if let Some(kind) = kind {
                self.replay = seen;
                return Ok(kind);
            }
        }
    }
}

impl AsyncRead for Metered {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.replay.is_empty() {
            let n = self.replay.len().min(buf.remaining());
            buf.put_slice(&self.replay[..n]);
            self.replay.drain(..n);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.visit.count(&buf.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Metered {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
