//! Whatever a client sends, and however it is cut: what the origin gets is read by a reader of its own, httparse and a decoder
//! of plain chunks, as exactly the requests that rows say were let through.

use super::world::{Origin, Served, World, eventually};
use crate::random::Random;
use egret::fuzz::SPOILS;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::AsyncWriteExt;

/// Connections tried; each sends a few requests, whole or spoilt.
const CONNECTIONS: u64 = 150;

const REQUESTS: [&str; 7] = [
    "GET http://api.example.com/a?b HTTP/1.1\r\nHost: api.example.com\r\nX-A:\t1 \r\n\r\n",
    "GET http://x.openai.example.com/ HTTP/1.1\r\nHost: evil.test\r\nConnection: Host, X-A\r\nX-A: 1\r\n\r\n",
    "POST http://api.example.com/c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "PUT http://api.example.com:8080/d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
     05;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\nX-B: 2\r\n\r\n",
    "GET http://evil.test/e HTTP/1.1\r\nHost: evil.test\r\n\r\n",
    "HEAD http://api.example.com/f HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET http://api.example.com/g HTTP/1.0\r\n\r\n",
];

/// What streams of requests are spoilt with beside [`SPOILS`].
const REQUESTS_AND_ENDS: [&str; 2] = [
    "Connection: close\r\n",
    "GET http://evil.test/ HTTP/1.1\r\nHost: b\r\n\r\n",
];

impl Random {
    fn spoil(&mut self) -> &'static str {
        let which = self.below(SPOILS.len() + REQUESTS_AND_ENDS.len());
        SPOILS
            .iter()
            .chain(&REQUESTS_AND_ENDS)
            .nth(which)
            .expect("it is below their number")
    }

    /// Requests one behind the other, and whether they are spoilt: less than half are, in a few places.
    fn stream(&mut self) -> (Vec<u8>, bool) {
        let count = 1 + self.below(5);
        let mut bytes: Vec<u8> = (0..count).flat_map(|_| self.pick(&REQUESTS).bytes()).collect();
        let spoils = self.below(2) * self.below(4);
        for _ in 0..spoils {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(3)).min(bytes.len());
            bytes.splice(at..end, self.spoil().bytes());
        }
        (bytes, spoils > 0)
    }
}

/// A request as the origin reads it.
#[derive(Debug)]
struct Read {
    method: String,
    path: String,
    host: String,
    /// Its body is not all there.
    cut: bool,
}

/// All requests in what one connection brought. Panics at what is none.
fn read_all(mut bytes: &[u8]) -> Vec<Read> {
    let mut requests = Vec::new();
    while let Some((request, end)) = read_one(bytes) {
        bytes = &bytes[end..];
        requests.push(request);
    }
    requests
}

fn read_one(bytes: &[u8]) -> Option<(Read, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(head) = request.parse(bytes).expect("nothing but requests") else {
        return None;
    };
    let all = |name: &str| -> Vec<String> {
        let named = request
            .headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        named
            .map(|field| String::from_utf8_lossy(field.value).into_owned())
            .collect()
    };
    let (hosts, lengths, codings) = (all("host"), all("content-length"), all("transfer-encoding"));
    assert_eq!(
        (hosts.len(), lengths.len() + codings.len() <= 1),
        (1, true),
        "{}",
        bytes.escape_ascii()
    );
    let body = &bytes[head..];
    let end = match (lengths.first(), codings.first()) {
        (Some(length), _) => Some(length.parse().expect("a length")).filter(|length| *length <= body.len()),
        (None, Some(coding)) => {
            assert_eq!(coding, "chunked");
            end_of_chunks(body)
        }
        (None, None) => Some(0),
    };
    let read = Read {
        method: request.method?.into(),
        path: request.path?.into(),
        host: hosts[0].clone(),
        cut: end.is_none(),
    };
    Some((read, end.map_or(bytes.len(), |end| head + end)))
}

fn end_of_chunks(body: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = body[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let digits = std::str::from_utf8(&body[at..at + line]).unwrap();
        let size = usize::from_str_radix(digits, 16).expect("a size and nothing else");
        at += line + 2;
        if size == 0 {
            let trailer = body[at..].windows(2).position(|pair| pair == b"\r\n")?;
            return match trailer {
                0 => Some(at + 2),
                _ => Some(at + body[at..].windows(4).position(|pair| pair == b"\r\n\r\n")? + 4),
            };
        }
        assert_eq!(body.get(at + size..at + size + 2)?, b"\r\n");
        at += size + 2;
    }
}

/// Answers each request once it is whole.
async fn serve(mut served: Served) {
    loop {
        while read_one(&served.rest).is_none_or(|(read, _)| read.cut) {
            if !served.more().await {
                return;
            }
        }
        let (read, end) = read_one(&served.rest).unwrap();
        served.rest.drain(..end);
        let body = if read.method == "HEAD" { "" } else { "hello" };
        served
            .say(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"))
            .await;
    }
}

#[tokio::test]
async fn c_39_whatever_is_sent_the_origin_reads_exactly_the_requests_that_were_let_through() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let origin = Origin::serving(move |served| {
        let count = count.clone();
        async move {
            serve(served).await;
            count.fetch_add(1, SeqCst);
        }
    });
    let world = World::with(origin.await).await;
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let mut requests = 0;
    for connection in 0..CONNECTIONS {
        let (origin_before, rows_before) = (world.origin.heard().len(), world.rows("AZFWApplicationRule").len());
        let (bytes, spoilt) = random.stream();
        let size = [bytes.len(), 1 + random.below(40)][random.below(2)];
        let mut client = world.client().await;
        for piece in bytes.chunks(size) {
            client.say(piece).await;
        }
        let _ = client.stream.shutdown().await;
        client.rest().await;
        drop(client);
        eventually("the flow ends", || world.gateway.connections() == 0).await;
        let opened = world
            .rows("EgretFlow")
            .iter()
            .filter(|row| row["DestinationIp"] != "")
            .count();
        eventually("the origin has all of it", || ended.load(SeqCst) == opened).await;
        let heard: Vec<Read> = world.origin.heard()[origin_before..]
            .iter()
            .flat_map(|bytes| read_all(bytes.as_bytes()))
            .collect();
        let rows = &world.rows("AZFWApplicationRule")[rows_before..];
        let passed: Vec<String> = rows
            .iter()
            .filter(|row| row["Action"] == "Allow")
            .map(|row| row["TargetUrl"].as_str().unwrap().to_string())
            .collect();
        let url = |read: &Read| format!("http://{}{}", read.host, read.path.split('?').next().unwrap());
        let whole: Vec<String> = heard.iter().filter(|read| !read.cut).map(url).collect();
        let sent = bytes.escape_ascii();
        // Of a request that is let through and whose body is spoilt, the origin gets a part, and then a reset.
        let reset = usize::from(spoilt && passed.len() > whole.len());
        assert_eq!(
            whole,
            passed[..passed.len() - reset],
            "connection {connection} sent {sent}"
        );
        let cut = heard.iter().position(|read| read.cut).unwrap_or(heard.len());
        assert!(
            cut + 1 >= heard.len() && (cut == heard.len() || reset == 1),
            "connection {connection} sent {sent}: {heard:?}"
        );
        assert!(
            !heard.iter().any(|read| read.host.contains("evil")),
            "{sent}: {heard:?}"
        );
        requests += heard.len();
    }
    assert!(requests > CONNECTIONS as usize, "only {requests} requests passed");
}
