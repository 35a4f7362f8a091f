//! Plays one attempt: what it sends, and what came back.
//!
//! In: an [`Attempt`] and a client on some road. Out: [`Played`], which tells of bytes and not of meaning.

use super::{
    client::{Client, Ended, Hello, Reply, Road, Wire},
    scenario::{Attempt, Request, Speaks, split_url},
};
use crate::config::problem::printable;
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// What came of one attempt, as its client saw it.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// The client's addresses, one a connection; rows are found by them.
    pub sources: Vec<SocketAddr>,
    /// The answers in the order of the requests. The last one may be a proxy's refusal.
    pub replies: Vec<Reply>,
    /// The site that answered raw bytes.
    pub raw_site: Option<String>,
    /// Why it went no further, if it did not.
    pub ended: Option<Ended>,
    /// From the first byte to the last.
    pub took: Duration,
}

impl Played {
    /// The site that answered last.
    pub fn site(&self) -> Option<&str> {
        self.raw_site.as_deref().or_else(|| self.replies.last()?.site())
    }

    /// What the client was told, in a few words.
    pub fn told(&self) -> String {
        // The words are those of whoever answered.
        printable(&match (&self.ended, self.replies.last()) {
            (Some(ended), _) => ended.to_string(),
            (None, Some(reply)) => format!("{} {}", reply.status, reply.phrase),
            (None, None) => self.raw_site.clone().unwrap_or_else(|| "nothing".to_owned()),
        })
    }

    /// Why there was no proxy to try, where that ended it.
    pub fn no_proxy(&self) -> Option<&str> {
        match &self.ended {
            Some(Ended::NoProxy(why)) => Some(why),
            _ => None,
        }
    }
}

/// Plays an attempt to its end; every wait of the client is bounded.
pub async fn play(client: &Client, attempt: &Attempt) -> Played {
    let mut played = Played::default();
    let start = Instant::now();
    let ended = match (&attempt.connect, client.road()) {
        (Some(target), _) => tunnel(client, attempt, target, &mut played).await,
        (None, Road::Proxy(_)) => absolute(client, attempt, &mut played).await,
        (None, Road::Direct(_)) => dialled(client, attempt, &mut played).await,
    };
    played.ended = ended.err();
    played.took = start.elapsed();
    played
}

async fn tunnel(client: &Client, attempt: &Attempt, target: &str, played: &mut Played) -> Result<(), Ended> {
    let mut connected = client.connect(target).await?;
    played.sources.push(connected.wire.local());
    if connected.status() != 200 {
        played.replies.push(connected.answer);
        return Ok(());
    }
    let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
    let wire = &mut connected.wire;
    match &attempt.speaks {
        Speaks::Raw(bytes) => return raw(wire, bytes, played).await,
        Speaks::Tls {
            sni,
            split,
            post_quantum,
        } => {
            let hello = Hello {
                sni: sni.is_some(),
                split: *split,
                post_quantum: *post_quantum,
                ..Hello::to(sni.as_deref().unwrap_or(host))
            };
            wire.handshake(&hello).await?;
        }
        Speaks::Http => {}
    }
    for request in &attempt.requests {
        let host = match &attempt.speaks {
            Speaks::Tls { sni: Some(sni), .. } => sni,
            _ => host,
        };
        exchange(wire, request, &request.target, host, played).await?;
    }
    Ok(())
}

/// Sites answer raw bytes with one line that names them.
async fn raw(wire: &mut Wire, bytes: &[u8], played: &mut Played) -> Result<(), Ended> {
    wire.send(bytes).await?;
    while !wire.received().contains(&b'\n') {
        if wire.fill().await? == 0 {
            return Err(Ended::Closed);
        }
    }
    let line = String::from_utf8_lossy(wire.received()).into_owned();
    played.raw_site = line.strip_prefix("lab-site: ").map(|site| site.trim_end().to_owned());
    Ok(())
}

async fn absolute(client: &Client, attempt: &Attempt, played: &mut Played) -> Result<(), Ended> {
    let mut wire = client.open().await?;
    played.sources.push(wire.local());
    for request in &attempt.requests {
        let (authority, _) = split_url(&request.target);
        exchange(&mut wire, request, &request.target, authority, played).await?;
    }
    Ok(())
}

/// Without a proxy a client opens a connection to each host itself.
async fn dialled(client: &Client, attempt: &Attempt, played: &mut Played) -> Result<(), Ended> {
    for request in &attempt.requests {
        let (authority, path) = split_url(&request.target);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().unwrap_or(80)),
            _ => (authority, 80),
        };
        let mut wire = client.dial(host, port).await?;
        played.sources.push(wire.local());
        exchange(&mut wire, request, path, authority, played).await?;
    }
    Ok(())
}

async fn exchange(
    wire: &mut Wire,
    request: &Request,
    target: &str,
    host: &str,
    played: &mut Played,
) -> Result<(), Ended> {
    let host = request.host.as_deref().unwrap_or(host);
    let mut head = format!("{} {target} HTTP/1.1\r\nHost: {host}\r\n", request.method);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    wire.send(format!("{head}\r\n{}", request.body).as_bytes()).await?;
    played.replies.push(wire.reply(&request.method).await?);
    Ok(())
}
