//! Work that is counted in operations: new tunnels, denials, messages, requests.

use super::{
    Sample, Setup,
    closed_loop::{Plan, operations, run},
};
use crate::{
    client::{self, Route, hello, wrong},
    world::{
        http, pattern,
        tunnel::{Asked, MESSAGE_BYTES},
    },
};
use rustls::pki_types::ServerName;
use std::io;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Length of the last answer in a new tunnel, in bytes.
const ANSWER_BYTES: usize = 1024;

pub fn connect(setup: &Setup) -> io::Result<Sample> {
    let plan = Plan {
        clients: 32,
        operations: setup.scaled(10_000),
    };
    let step = async |setup: &Setup, n| {
        let asked = Asked::Send(ANSWER_BYTES as u64);
        let mut stream = client::ask(setup.route, setup.target(n), setup.world.tunnels, asked).await?;
        client::expect(&mut stream, ANSWER_BYTES).await?;
        Ok(0)
    };
    operations(setup, plan, step)?.sample(setup)
}

pub fn tls(setup: &Setup) -> io::Result<Sample> {
    let plan = Plan {
        clients: 16,
        operations: setup.scaled(3_000),
    };
    let connector = TlsConnector::from(hello::config());
    let step = async move |setup: &Setup, n| {
        let target = setup.target(n);
        let name = ServerName::try_from(target.name.clone()).map_err(io::Error::other)?;
        let stream = client::connect(setup.route, target, setup.world.tls).await?;
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(&Asked::Send(ANSWER_BYTES as u64).request()).await?;
        let mut answer = [0; ANSWER_BYTES];
        stream.read_exact(&mut answer).await?;
        match pattern::is_at(&answer, 0) {
            true => Ok(0),
            false => Err(wrong("other bytes than were sent")),
        }
    };
    operations(setup, plan, step)?.sample(setup)
}

pub fn deny(setup: &Setup) -> io::Result<Sample> {
    let plan = Plan {
        clients: 16,
        operations: setup.scaled(30_000),
    };
    let step = async |setup: &Setup, _| {
        client::denied(setup.route, &setup.denied, setup.world.tunnels).await?;
        Ok(0)
    };
    operations(setup, plan, step)?.sample(setup)
}

pub fn small(setup: &Setup) -> io::Result<Sample> {
    let plan = Plan {
        clients: 64,
        operations: setup.scaled(200_000),
    };
    let open =
        async |setup: &Setup, n| client::ask(setup.route, setup.target(n), setup.world.tunnels, Asked::Echo).await;
    let step = async |_: &Setup, stream: &mut TcpStream, n| {
        let message = pattern::at(n, MESSAGE_BYTES as u64);
        stream.write_all(message).await?;
        let mut back = [0; MESSAGE_BYTES];
        stream.read_exact(&mut back).await?;
        match back == message {
            true => Ok(0),
            false => Err(wrong("another message than was sent")),
        }
    };
    run(setup, plan, open, step)?.sample(setup)
}

pub fn http(setup: &Setup) -> io::Result<Sample> {
    let plan = Plan {
        clients: 32,
        operations: setup.scaled(100_000),
    };
    let open = async |setup: &Setup, n| HttpClient::open(setup, n).await;
    let step = async |_: &Setup, client: &mut HttpClient, _| client.request().await.map(|()| 0);
    run(setup, plan, open, step)?.sample(setup)
}

/// A kept connection and the request that is repeated on it.
struct HttpClient {
    stream: TcpStream,
    request: Vec<u8>,
}

impl HttpClient {
    async fn open(setup: &Setup, n: u64) -> io::Result<Self> {
        let (origin, name) = (setup.world.http, &setup.target(n).name);
        let (address, form) = match setup.route {
            Route::Proxy(proxy) => (proxy, format!("http://{name}:{}/", origin.port())),
            Route::Direct => (origin, "/".to_owned()),
            Route::Transparent(_) => return Err(wrong("plain HTTP has no transparent form here")),
        };
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let port = origin.port();
        let request =
            format!("GET {form} HTTP/1.1\r\nHost: {name}:{port}\r\nUser-Agent: egret-load\r\nAccept: */*\r\n\r\n");
        let request = request.into();
        Ok(Self { stream, request })
    }

    async fn request(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.request).await?;
        client::count_asked();
        let mut answer = [0; 4096];
        let mut length = 0;
        let head = loop {
            match self.stream.read(&mut answer[length..]).await? {
                0 => return Err(wrong("closed instead of an answer")),
                more => length += more,
            }
            if let Some(end) = answer[..length].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        if !answer.starts_with(b"HTTP/1.1 200 ") {
            let line = answer.split(|&byte| byte == b'\r').next().unwrap_or_default();
            return Err(wrong(format!("answered {}", String::from_utf8_lossy(line))));
        }
        let whole = head + http::BODY_BYTES;
        let rest = answer
            .get_mut(length..whole)
            .ok_or_else(|| wrong("a head or body of another length"))?;
        self.stream.read_exact(rest).await?;
        match pattern::is_at(&answer[head..whole], 0) {
            true => Ok(()),
            false => Err(wrong("another body than was sent")),
        }
    }
}
