//! A ClientHello taken apart, so that one thing of it can be changed, and what becomes of first flights at the gate.

use crate::sink::Sink;
use crate::world::{Builder, World, until};
use egret::lab::client::{Ended, Wire};
use serde_json::Value;

/// Where the sink of [`with_sink`] stands.
pub const SINK: &str = "203.0.113.200";

/// `server_name` (RFC 6066 section 3).
const SERVER_NAME: u16 = 0;

/// `padding` (RFC 7685).
const PADDING: u16 = 21;

/// A world in which every address of [`SINK`] is a sink.
pub async fn with_sink(builder: Builder) -> (World, Sink) {
    behind(builder, Sink::start().await).await
}

/// The same with a sink of one's own.
pub async fn behind(builder: Builder, sink: Sink) -> (World, Sink) {
    let world = builder.config(&sink.instead_of(&[SINK])).start().await;
    (world, sink)
}

/// The parts of a ClientHello.
#[derive(Clone)]
pub struct Flight {
    /// Version, random, session id, cipher suites, compression.
    fixed: Vec<u8>,
    extensions: Vec<(u16, Vec<u8>)>,
}

impl Flight {
    /// Of a hello that lies whole in one record.
    pub fn read(record: &[u8]) -> Self {
        let hello = &record[9..];
        let mut at = 34;
        at += 1 + usize::from(hello[at]);
        at += 2 + usize::from(word(&hello[at..]));
        at += 1 + usize::from(hello[at]);
        let (fixed, mut rest) = (hello[..at].to_vec(), &hello[at + 2..]);
        rest = &rest[..usize::from(word(&hello[at..]))];
        let mut extensions = Vec::new();
        while let [_, _, _, _, body @ ..] = rest {
            let (body, tail) = body.split_at(usize::from(word(&rest[2..])));
            extensions.push((word(rest), body.to_vec()));
            rest = tail;
        }
        Self { fixed, extensions }
    }

    /// With this SNI, or without any.
    pub fn sni(mut self, name: Option<&str>) -> Self {
        self.extensions.retain(|(kind, _)| *kind != SERVER_NAME);
        if let Some(name) = name {
            let entry = [&[0], &length(name.len())[..], name.as_bytes()].concat();
            let list = [&length(entry.len())[..], &entry].concat();
            self.extensions.insert(0, (SERVER_NAME, list));
        }
        self
    }

    /// With this extension in front of the others: `pre_shared_key` must stay the last.
    pub fn extension(mut self, kind: u16, body: &[u8]) -> Self {
        self.extensions.insert(0, (kind, body.to_vec()));
        self
    }

    /// Whether it has this extension.
    pub fn has(&self, kind: u16) -> bool {
        self.extensions.iter().any(|(known, _)| *known == kind)
    }

    /// With this extension behind all others.
    pub fn at_the_end(mut self, kind: u16, body: &[u8]) -> Self {
        self.extensions.push((kind, body.to_vec()));
        self
    }

    /// Padded, so that all its records of `size` bytes together are `total` bytes.
    pub fn padded_to(self, total: usize, size: usize) -> Vec<u8> {
        let empty = self.clone().extension(PADDING, &[]).message().len();
        (0..=total - empty)
            .rev()
            .map(|padding| empty + padding)
            .find(|length| length + 5 * length.div_ceil(size) == total)
            .map(|length| records(&self.extension(PADDING, &vec![0; length - empty]).message(), size))
            .expect("some padding makes this length")
    }

    /// The handshake message.
    pub fn message(&self) -> Vec<u8> {
        let extensions: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|(kind, body)| [&kind.to_be_bytes()[..], &length(body.len()), body].concat())
            .collect();
        let hello = [&self.fixed[..], &length(extensions.len()), &extensions].concat();
        let size = u32::try_from(hello.len()).unwrap().to_be_bytes();
        [&[1], &size[1..], &hello].concat()
    }

    /// In one record.
    pub fn record(&self) -> Vec<u8> {
        records(&self.message(), 1 << 14)
    }
}

/// Handshake bytes in records of at most `size` bytes.
pub fn records(message: &[u8], size: usize) -> Vec<u8> {
    message
        .chunks(size)
        .flat_map(|part| [&[22, 3, 1], &length(part.len())[..], part].concat())
        .collect()
}

fn word(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

fn length(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap().to_be_bytes()
}

impl World {
    /// An open tunnel: CONNECT was answered 200.
    pub async fn tunnel(&self, target: &str) -> Wire {
        let connected = self.client().connect(target).await.unwrap();
        assert_eq!(connected.status(), 200, "{target}: {}", connected.phrase());
        connected.wire
    }

    /// The rule row of a connection.
    pub fn row_of(&self, wire: &Wire) -> Value {
        self.find_row(wire)
            .unwrap_or_else(|| panic!("no row; all rows: {:#?}", self.log.lines()))
    }

    /// The rule row of a connection, if it is there already.
    pub fn find_row(&self, wire: &Wire) -> Option<Value> {
        let of_wire = |row: &Value| row["properties"]["SourcePort"] == wire.local().port();
        self.rule_rows().into_iter().rfind(of_wire)
    }

    /// `egret.reason` of the rule row of a connection.
    pub fn reason_of(&self, wire: &Wire) -> String {
        let row = self.row_of(wire);
        row["properties"]["egret"]["reason"].as_str().unwrap().to_string()
    }

    /// Sends `flight` behind a CONNECT to `target`: the gate must refuse it, with a word where TLS is spoken, and the
    /// origin must hear nothing. The reason.
    pub async fn gate_refuses(&self, sink: &Sink, target: &str, flight: &[u8]) -> String {
        let mut wire = self.tunnel(target).await;
        wire.send(flight).await.unwrap();
        self.refused_at_gate(sink, &mut wire).await
    }

    /// The gate refuses what was sent on this tunnel. The reason.
    pub async fn refused_at_gate(&self, sink: &Sink, wire: &mut Wire) -> String {
        let (told, end) = wire.to_end().await;
        let reason = self.reason_of(wire);
        assert_eq!(end, Ended::Closed, "{reason}");
        let alert: &[u8] = if matches!(reason.as_str(), "NotTls" | "TlsSslv2") {
            &[]
        } else {
            &[21, 3, 3, 0, 2, 2, 49]
        };
        assert_eq!(told, alert, "{reason}");
        assert_eq!(self.row_of(wire)["properties"]["Action"], "Deny");
        assert_eq!(sink.bytes().await, 0, "{reason}: bytes reached the origin");
        assert_eq!(self.upstream_bytes(), 0, "{reason}: bytes reached an origin");
        reason
    }

    /// Sends `flight` behind a CONNECT to `target`: the gate must open, and the origin must hear the very same bytes.
    pub async fn gate_passes(&self, sink: &Sink, target: &str, flight: &[u8]) -> Wire {
        let mut wire = self.tunnel(target).await;
        wire.send(flight).await.unwrap();
        self.passed_the_gate(sink, &wire, flight).await;
        wire
    }

    /// The gate opens for what was sent on this tunnel.
    pub async fn passed_the_gate(&self, sink: &Sink, wire: &Wire, flight: &[u8]) {
        until("the very same bytes arrive", || {
            sink.heard().iter().any(|heard| heard == flight)
        })
        .await;
        assert_eq!(self.row_of(wire)["properties"]["Action"], "Allow");
    }
}
