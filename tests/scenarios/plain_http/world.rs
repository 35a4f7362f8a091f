//! A gateway with rules for plain HTTP, one origin that says what it hears, and raw clients.

use egret::{
    config::{self, Checked},
    gateway::{Gateway, GatewayOptions},
    log::{Log, MemoryLog},
};
use serde_json::Value;
use std::{
    collections::HashMap,
    future::Future,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};

/// Longer than anything here takes, shorter than a test run's patience.
const PATIENCE: Duration = Duration::from_secs(10);

/// An origin on loopback: each connection is served by the function it was made with, all that it hears is kept.
pub struct Origin {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// One connection at the origin.
pub struct Served {
    pub stream: TcpStream,
    index: usize,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Read and not yet taken.
    pub rest: Vec<u8>,
}

impl Origin {
    pub async fn serving<F, Fut>(serve: F) -> Self
    where
        F: Fn(Served) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let index = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                tokio::spawn(serve(Served {
                    stream,
                    index,
                    heard: all.clone(),
                    rest: Vec::new(),
                }));
            }
        });
        Self { address, heard }
    }

    /// Answers each request with these bytes.
    pub async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::serving(move |mut served| {
            let answer = answer.clone();
            async move {
                while served.head().await.is_some() {
                    if served.stream.write_all(&answer).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Answers each request with `200` and the body `hello`.
    pub async fn hello() -> Self {
        Self::answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
    }

    /// What came, one text a connection.
    pub fn heard(&self) -> Vec<String> {
        let heard = self.heard.lock().unwrap();
        heard
            .iter()
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
            .collect()
    }

    /// All of it in one.
    pub fn heard_all(&self) -> String {
        self.heard().concat()
    }
}

impl Served {
    /// Reads more; `false` at the end.
    pub async fn more(&mut self) -> bool {
        let mut buffer = vec![0; 64 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(count) if count > 0 => {
                self.heard.lock().unwrap()[self.index].extend_from_slice(&buffer[..count]);
                self.rest.extend_from_slice(&buffer[..count]);
                true
            }
            _ => false,
        }
    }

    /// Takes up to and with `mark`; `None` at the end.
    pub async fn until(&mut self, mark: &str) -> Option<String> {
        loop {
            let found = self
                .rest
                .windows(mark.len())
                .position(|window| window == mark.as_bytes());
            if let Some(at) = found {
                let taken = self.rest.drain(..at + mark.len()).collect();
                return Some(String::from_utf8(taken).unwrap());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Takes a request head.
    pub async fn head(&mut self) -> Option<String> {
        self.until("\r\n\r\n").await
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }
}

/// A gateway whose rules allow `api.example.com` and `*.openai.example.com` on Http 80 (and 8080), all of them at one origin.
pub struct World {
    pub gateway: Arc<Gateway>,
    pub origin: Origin,
    log: MemoryLog,
}

pub const POLICY: &str = r#"
[[application_rule_collection]]
name = "plain"
priority = 100
action = "Allow"
[[application_rule_collection.rule]]
name = "api"
protocols = [{ type = "Http", port = 80 }, { type = "Http", port = 8080 }]
destination_fqdns = ["api.example.com", "*.openai.example.com", "dark.example.com"]
"#;

/// The configuration, with the rules given.
pub fn checked(origin: SocketAddr, rules: &str) -> Checked {
    let record = |name: &str, address: &str| format!("[[dns.record]]\nname = \"{name}\"\na = [\"{address}\"]\n");
    let text = format!(
        "[listeners]\nproxy = [\"127.0.0.1:0\"]\nhealth = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n[log]\nstdout = false\n\
         {}{}{}{}{rules}\n[[dial.override]]\nfrom = \"203.0.113.0/24:*\"\nto = \"{origin}\"\n",
        record("api.example.com", "203.0.113.5"),
        record("x.openai.example.com", "203.0.113.6"),
        record("evil.test", "203.0.113.66"),
        record("dark.example.com", "169.254.169.254"),
    );
    config::from_text("test.toml", &text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

impl World {
    pub async fn with(origin: Origin) -> Self {
        Self::adjusted(origin, |_| {}).await
    }

    pub async fn adjusted(origin: Origin, adjust: impl FnOnce(&mut Checked)) -> Self {
        let mut checked = checked(origin.address, POLICY);
        adjust(&mut checked);
        let (log, memory) = Log::memory();
        let start = move || Gateway::start(checked, GatewayOptions::logging_to(log)).expect("a gateway");
        let gateway = tokio::task::spawn_blocking(start).await.unwrap();
        Self {
            gateway: Arc::new(gateway),
            origin,
            log: memory,
        }
    }

    /// The open flows, as the admin listener lists them.
    pub async fn flows(&self) -> Value {
        let mut admin = TcpStream::connect(self.gateway.admin_addrs()[0]).await.unwrap();
        let request = b"GET /flows HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        admin.write_all(request).await.unwrap();
        let mut answer = String::new();
        admin.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// `properties` of all rows of a table so far.
    pub fn rows(&self, category: &str) -> Vec<Value> {
        let rows = self.log.rows().into_iter();
        rows.filter(|row| row["category"] == category)
            .map(|mut row| row["properties"].take())
            .collect()
    }

    /// The rule rows so far: name, action and reason.
    pub fn decisions(&self) -> Vec<String> {
        let text = |row: &Value| {
            let (name, action, reason) = (&row["Fqdn"], &row["Action"], &row["egret"]["reason"]);
            format!(
                "{} {} {}",
                name.as_str().unwrap(),
                action.as_str().unwrap(),
                reason.as_str().unwrap()
            )
        };
        self.rows("AZFWApplicationRule").iter().map(text).collect()
    }

    /// The latest rule row.
    pub fn last_decision(&self) -> Value {
        self.rows("AZFWApplicationRule").pop().expect("a rule row")
    }

    /// The row of a flow's end, once it is there.
    pub async fn ended(&self) -> Value {
        eventually("the flow ends", || !self.rows("EgretFlow").is_empty()).await;
        self.rows("EgretFlow").pop().unwrap()
    }

    /// All rows as they were written.
    pub fn log(&self) -> String {
        self.log.lines().join("\n")
    }

    pub async fn hello() -> Self {
        Self::with(Origin::hello().await).await
    }

    pub async fn client(&self) -> Client {
        Client::from("127.0.0.1", self.gateway.proxy_addrs()[0]).await
    }

    pub async fn client_at(&self, source: &str) -> Client {
        Client::from(source, self.gateway.proxy_addrs()[0]).await
    }

    /// All that a client gets for these bytes, up to the close.
    pub async fn answer(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut client = self.client().await;
        client.say(bytes).await;
        client.rest().await
    }

    /// A client behind an answered `CONNECT target`.
    pub async fn tunnel(&self, target: &str) -> Client {
        let mut client = self.client().await;
        client
            .say(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"))
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        client
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Its threads are joined: not on the test's own.
        let gateway = self.gateway.clone();
        std::thread::spawn(move || drop(gateway));
    }
}

/// A client that writes bytes as they are.
pub struct Client {
    pub stream: TcpStream,
    rest: Vec<u8>,
}

/// A response as it came.
#[derive(Debug)]
pub struct Response {
    pub head: String,
    pub body: String,
}

impl Response {
    pub fn status(&self) -> u16 {
        status(&self.head)
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// The status of what starts with a status line; 0 where there is none.
pub fn status(text: &str) -> u16 {
    text.strip_prefix("HTTP/1.")
        .and_then(|rest| rest.get(2..5))
        .and_then(|code| code.parse().ok())
        .unwrap_or(0)
}

impl Client {
    async fn from(source: &str, proxy: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        let source: IpAddr = source.parse().unwrap();
        socket.bind(SocketAddr::new(source, 0)).unwrap();
        let stream = socket.connect(proxy).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // A denial may come, and the connection close, before all is written.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    async fn more(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let count = timeout(PATIENCE, self.stream.read(&mut buffer))
            .await
            .expect("an answer in time")?;
        self.rest.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    /// Everything up to the close, or to the reset.
    pub async fn rest(&mut self) -> String {
        while matches!(self.more().await, Ok(true)) {}
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }

    /// Everything up to the close; `Err` where it was a reset.
    pub async fn whole(&mut self) -> std::io::Result<Vec<u8>> {
        while self.more().await? {}
        Ok(std::mem::take(&mut self.rest))
    }

    pub async fn take(&mut self, count: usize) -> Vec<u8> {
        while self.rest.len() < count {
            assert!(self.more().await.unwrap(), "closed too early");
        }
        self.rest.drain(..count).collect()
    }

    pub async fn head(&mut self) -> String {
        loop {
            if let Some(at) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                return String::from_utf8(self.rest.drain(..at + 4).collect()).unwrap();
            }
            let more = self.more().await.expect("no reset");
            assert!(more, "closed inside a head: {:?}", String::from_utf8_lossy(&self.rest));
        }
    }

    /// A response with a Content-Length, or without a body.
    pub async fn response(&mut self) -> Response {
        let head = self.head().await;
        let mut response = Response {
            head,
            body: String::new(),
        };
        if let Some(length) = response.field("content-length") {
            let length = length.parse().unwrap();
            response.body = String::from_utf8(self.take(length).await).unwrap();
        }
        response
    }

    pub async fn get(&mut self, host: &str) -> Response {
        self.say(format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        self.response().await
    }
}

/// The fields of a head by their names as they were sent.
pub fn fields(head: &str) -> HashMap<&str, &str> {
    head.lines().skip(1).filter_map(|line| line.split_once(": ")).collect()
}

/// Polls until it holds.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
