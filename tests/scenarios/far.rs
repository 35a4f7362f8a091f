//! Far ends that misbehave: nobody takes the call, nobody is there, or somebody never stops talking.

use crate::world::{Builder, World};
use egret::lab::client::{Client, Hello, Wire};
use socket2::{Domain, Socket, Type};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A listener whose queue is full: the kernel drops every SYN, as a network does that leads nowhere.
pub struct BlackHole {
    pub address: SocketAddr,
    _listener: Socket,
    _queue: Vec<StdStream>,
}

impl BlackHole {
    /// On a free port of loopback.
    pub fn start() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let dial = || StdStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        Self {
            address,
            _queue: std::iter::from_fn(dial).take(64).collect(),
            _listener: listener,
        }
    }
}

/// An address of loopback on which nobody listens, and nobody will: the port is taken for as long as the tests run.
pub fn nobody() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(socket);
    address
}

/// A page of this admin listener.
pub async fn page(admin: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let ask = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    page
}

/// An origin that each connection is served by this function. Stops when dropped.
pub struct Origin {
    pub address: SocketAddr,
    task: AbortHandle,
}

impl Origin {
    pub async fn serving<F, Fut>(at: &str, serve: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(at).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accept = async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream));
            }
        };
        Self {
            address,
            task: tokio::spawn(accept).abort_handle(),
        }
    }

    /// Sends back what it gets.
    pub async fn echo() -> Self {
        Self::serving("127.0.0.1:0", |mut stream| async move {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        })
        .await
    }

    /// Sends as fast as it can, for ever.
    pub async fn flood() -> Self {
        Self::serving("127.0.0.1:0", |mut stream| async move {
            let block = vec![b'x'; 64 * 1024];
            while stream.write_all(&block).await.is_ok() {}
        })
        .await
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Builder {
    /// The allowed name `{label}.openai.example.com` leads to this address of loopback.
    pub fn leads(self, label: &str, to: SocketAddr) -> Self {
        let number = label
            .bytes()
            .fold(0u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
        self.record(&format!("{label}.openai.example.com A 198.51.100.{number}"))
            .config(&format!(
                "[[dial.override]]\nfrom = \"198.51.100.{number}:*\"\nto = \"{to}\""
            ))
    }
}

impl World {
    /// An open tunnel to `{label}.openai.example.com` whose hello has passed the gate, with the length of that hello.
    pub async fn passed(&self, client: &Client, label: &str) -> (Wire, usize) {
        let name = format!("{label}.openai.example.com");
        let mut connected = client.connect(&format!("{name}:443")).await.unwrap();
        assert_eq!(connected.status(), 200, "{}", connected.phrase());
        let hello = Hello::to(&name).bytes(&self.lab.authority).unwrap();
        connected.wire.send(&hello).await.unwrap();
        (connected.wire, hello.len())
    }

    /// The same to an origin that echoes: the hello came back, so that the tunnel is known to be up.
    pub async fn echoing(&self, client: &Client, label: &str) -> Wire {
        let (mut wire, hello) = self.passed(client, label).await;
        wire.take(hello).await.unwrap();
        wire
    }

    /// Waits until the admin listener shows this sample.
    pub async fn shows(&self, sample: &str) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let page = page(self.gateway.admin_addrs()[0], "/metrics").await;
            if page.lines().any(|line| line == sample) {
                return;
            }
            assert!(Instant::now() < deadline, "never came: {sample}\n{page}");
        }
    }

    /// The end of a connection's flow, if it is there already.
    pub fn find_end(&self, wire: &Wire) -> Option<serde_json::Value> {
        let mut ends = self.rows("EgretFlow").into_iter();
        ends.rfind(|row| row["properties"]["SourcePort"] == wire.local().port())
    }
}
