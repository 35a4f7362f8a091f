//! What stands around the gateway: a DNS server that knows every name, and upstreams that count. On threads of their own, so
//! that they do not disturb who measures; the one that sends without end stands apart from the one that is measured with.

use egret::tls::client_hello::{Parsed, parse};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

/// What names resolve to: a public address of the documentation range (RFC 5737) that a dial override maps.
const ECHO: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);

/// The same for names that begin with [`FLOOD`].
const FLOODS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);

/// Names that begin so get bytes without end from their upstream; all others get their own bytes back.
const FLOOD: &[u8] = b"flood";

/// Sent in a tunnel: the upstream closes once it has given it back.
pub const QUIT: u8 = b'Q';

/// What arrived at the far side.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that reached the upstream.
    pub connections: AtomicU64,
    /// Of them, those that are open.
    pub open: AtomicI64,
    /// Bytes that reached the upstream.
    pub bytes: AtomicU64,
    /// DNS queries.
    pub queries: AtomicU64,
}

/// A running world; it ends with the process.
pub struct World {
    /// Answers every name.
    pub dns: SocketAddr,
    echo: SocketAddr,
    floods: SocketAddr,
    /// What they heard.
    pub counts: Arc<Counts>,
}

impl World {
    /// Binds and starts all servers. Fails if loopback has no port left.
    pub fn start() -> io::Result<Self> {
        let counts = Arc::new(Counts::default());
        let names = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        names.set_nonblocking(true)?;
        let (dns, counted) = (names.local_addr()?, counts.clone());
        thread::Builder::new().name("names".into()).spawn(move || {
            crate::block_on(async {
                let socket = UdpSocket::from_std(names).expect("this thread has a runtime");
                answer_names(socket, counted).await;
            });
        })?;
        Ok(Self {
            dns,
            echo: upstream("echo", &counts)?,
            floods: upstream("floods", &counts)?,
            counts,
        })
    }

    /// The part of a configuration that leads into this world.
    pub fn config(&self) -> String {
        format!(
            "[dns]\nforwarders = [\"{}\"]\n\n[[dial.override]]\nfrom = \"{ECHO}/32:443\"\nto = \"{}\"\n\n\
             [[dial.override]]\nfrom = \"{FLOODS}/32:443\"\nto = \"{}\"\n\n",
            self.dns, self.echo, self.floods
        )
    }
}

/// Starts an upstream on a thread of its own. The one that sends without end stands behind everybody else: it burdens the
/// gateway, not the client that is measured beside it.
fn upstream(name: &str, counts: &Arc<Counts>) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let (at, counts, behind) = (listener.local_addr()?, counts.clone(), name == "floods");
    thread::Builder::new().name(name.into()).spawn(move || {
        if behind {
            crate::stand_behind();
        }
        crate::block_on(async {
            let listener = TcpListener::from_std(listener).expect("this thread has a runtime");
            accept(listener, counts).await;
        });
    })?;
    Ok(at)
}

async fn answer_names(socket: UdpSocket, counts: Arc<Counts>) {
    let mut query = [0; 1500];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut query).await else {
            continue;
        };
        counts.queries.fetch_add(1, Relaxed);
        if let Some(answer) = answer(&query[..length]) {
            // A lost answer is asked for again.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// [`ECHO`] or [`FLOODS`] for a question of type A, no data for any other (RFC 1035 section 4.1; RFC 2308 section 2.2).
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    let mut end = HEADER;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(HEADER..end + 5)?;
    let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = query[..2].to_vec();
    // response, recursion desired and available; one question, and one answer if it is for an address
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0]);
    answer.extend(question);
    if is_a {
        // the name by pointer, A IN, 300 s
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4]);
        let floods = query[HEADER + 1..].starts_with(FLOOD);
        answer.extend(if floods { FLOODS } else { ECHO }.octets());
    }
    Some(answer)
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                counts.connections.fetch_add(1, Relaxed);
                counts.open.fetch_add(1, Relaxed);
                let counts = counts.clone();
                tokio::spawn(async move {
                    // How a client ends is its own business.
                    let _ = serve(stream, &counts).await;
                    counts.open.fetch_sub(1, Relaxed);
                });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve(mut stream: TcpStream, counts: &Counts) -> io::Result<()> {
    let mut buffer = vec![0; 4096];
    let mut first = true;
    loop {
        let length = stream.read(&mut buffer).await?;
        counts.bytes.fetch_add(length as u64, Relaxed);
        if length == 0 {
            return stream.shutdown().await;
        }
        if std::mem::take(&mut first) && wants_flood(&buffer[..length]) {
            return flood(stream).await;
        }
        stream.write_all(&buffer[..length]).await?;
        if buffer[length - 1] == QUIT {
            return stream.shutdown().await;
        }
    }
}

fn wants_flood(bytes: &[u8]) -> bool {
    let Parsed::Hello(hello) = parse(bytes) else {
        return false;
    };
    let name = hello.server_name.and_then(|name| name.fqdn().ok());
    name.is_some_and(|name| name.as_str().as_bytes().starts_with(FLOOD))
}

async fn flood(mut stream: TcpStream) -> io::Result<()> {
    let bytes = [0; 16 * 1024];
    loop {
        stream.write_all(&bytes).await?;
    }
}
