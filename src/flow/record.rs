//! What one flow leaves behind: a rule row at its decision, and an `EgretFlow` row at its end, whatever the end is.

mod rows;

use super::{Denial, FlowId, Shared, gate::FirstFlight, intent, judge, judge::Screened, shared::Own, tunnels::Tunnel};
use crate::dns::ResolveError;
use crate::log::{FlowEnd, FlowEndKind, NameSource, Row, Stage};
use crate::policy::threat::Listed;
use crate::policy::{Action, Answer, Decision, Fqdn, Host, Protocol, Reason, Threat};
use crate::snapshot::Snapshot;
use rows::Told;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The end of a flow, gathered along its path. Dropping it writes the `EgretFlow` row: also when the task panics.
pub(crate) struct Record {
    pub shared: Arc<Shared>,
    pub id: FlowId,
    pub source: SocketAddr,
    /// What was asked for: a name, an address, or the escaped bytes.
    pub name: String,
    pub port: u16,
    pub protocol: Option<Protocol>,
    /// The last step that was reached.
    pub stage: Stage,
    pub reason: Reason,
    pub address: Option<SocketAddr>,
    pub sent: u64,
    pub received: u64,
    pub end: FlowEndKind,
    pub generation: u64,
    /// Its source has gone beyond its rate and had its rows about that: none more.
    pub quiet: bool,
    /// Nothing was asked since its last row: no other is owed.
    pub told: bool,
    /// The tunnel whose relay, or exchange, has not ended: it knows what it carried.
    pub relayed: Option<Arc<Tunnel>>,
    started: Instant,
}

impl Record {
    pub(crate) fn new(shared: Arc<Shared>, source: SocketAddr) -> Self {
        Self {
            shared,
            id: FlowId::next(),
            source,
            name: String::new(),
            port: 0,
            protocol: None,
            stage: Stage::Accept,
            reason: Reason::Internal,
            address: None,
            sent: 0,
            received: 0,
            end: FlowEndKind::Refused,
            generation: 0,
            quiet: false,
            told: false,
            relayed: None,
            started: Instant::now(),
        }
    }

    /// The flow ends here, denied.
    pub(crate) fn denied(&mut self, denial: &Denial) {
        self.stage = denial.stage;
        self.reason = denial.reason;
        self.end = match (denial.reason, denial.stage) {
            (Reason::ClientClosed, _) => FlowEndKind::ClientClosed,
            (Reason::Revoked, Stage::Relay) => FlowEndKind::Revoked,
            (Reason::Draining, Stage::Relay) => FlowEndKind::Drained,
            _ => FlowEndKind::Refused,
        };
    }

    /// The row of what has been so far. The flow goes on, and what comes next has a row of its own.
    pub(crate) fn turn(&mut self) {
        self.write();
        self.stage = Stage::Intent;
        self.reason = Reason::Internal;
        self.end = FlowEndKind::Refused;
        self.address = None;
        (self.sent, self.received) = (0, 0);
        self.started = Instant::now();
    }

    /// Its relay, or its exchange, was dropped before it ended.
    fn cut_off(&mut self, tunnel: &Tunnel) {
        let (sent, received) = tunnel.moved();
        self.sent += sent;
        self.received += received;
        let revoked = tunnel.revoked().map(|revoked| revoked.snapshot.generation);
        self.generation = revoked.unwrap_or(tunnel.generation());
        if !std::thread::panicking() {
            self.end = tunnel.order().unwrap_or(FlowEndKind::Drained);
        }
        if self.end == FlowEndKind::Revoked {
            self.reason = Reason::Revoked;
        }
    }

    fn write(&self) {
        self.shared
            .metrics
            .flow_ended(self.end, self.stage, self.reason, self.sent, self.received);
        if self.shared.is_self_test(&self.name) {
            return;
        }
        // What reached an upstream has passed within the rate, and its bytes are told.
        if self.quiet && self.address.is_none() {
            return self.shared.metrics.suppressed();
        }
        self.shared.log.write(&Row::FlowEnd(FlowEnd {
            time: SystemTime::now(),
            flow: self.id,
            source: self.source,
            fqdn: &self.name,
            port: self.port,
            address: self.address,
            protocol: self.protocol,
            sent: self.sent,
            received: self.received,
            duration: self.started.elapsed(),
            end: self.end,
            stage: self.stage,
            reason: self.reason,
            generation: self.generation,
        }));
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(tunnel) = self.relayed.take() {
            self.cut_off(&tunnel);
        }
        if std::thread::panicking() {
            self.reason = Reason::Internal;
            self.shared.metrics.panicked();
        } else if self.reason == Reason::Internal && self.shared.is_ending() {
            // Nobody told it to end: its thread did.
            self.reason = Reason::Draining;
            self.end = FlowEndKind::Drained;
        }
        if !self.told {
            self.write();
        }
    }
}

/// Hits on lists: of a source, a name, and some of the addresses of an answer. Boxed where few attempts have one.
#[derive(Debug, Default)]
pub(crate) struct Hits(Vec<Threat>);

/// One attempt, gathered along its path for its rule row.
#[derive(Default)]
pub(crate) struct Attempted {
    /// The normal form of the name, an address, or nothing where there was none.
    pub name: String,
    pub port: u16,
    pub protocol: Option<Protocol>,
    /// By which protocol's rules a CONNECT may pass: its row says so where nothing has been spoken in the tunnel.
    pub opened_for: Option<Protocol>,
    /// What was asked for, as sent: the target of a CONNECT, or the authority of a request's URL.
    pub requested: Vec<u8>,
    /// `Host` as sent, where it is not what decided.
    pub host_header: Option<Vec<u8>>,
    /// Without query and userinfo.
    pub target_url: Option<String>,
    pub name_source: Option<NameSource>,
    pub snapshot: Option<Own<Snapshot>>,
    pub decision: Option<Decision>,
    pub answer: Option<Arc<Answer>>,
    /// Why the name has no address. Boxed: few attempts have it.
    pub unresolved: Option<Box<ResolveError>>,
    pub refused: Vec<IpAddr>,
    pub flight: FirstFlight,
    pub address: Option<SocketAddr>,
    pub public_resolution: bool,
    /// The hit on a threat-intelligence list that ends it.
    pub threat: Option<Box<Threat>>,
    /// What is said of the addresses that its name leads to, and does not end it.
    pub screened: Option<Box<Screened>>,
    /// Its hits on lists that were told, be it of the CONNECT whose tunnel it came in: each is told once.
    pub told: Option<Box<Hits>>,
    /// Judged as packets are: its row is that of network rules.
    pub packets: bool,
}

impl Attempted {
    /// From the parts of a CONNECT head whose target was read; the name is told once it is judged.
    pub(crate) fn connect(bytes: &[u8], raw: &Range<usize>, host_header: Option<&Range<usize>>, port: u16) -> Self {
        Self {
            port,
            requested: safe(&bytes[raw.clone()]),
            host_header: host_header.map(|range| safe(&bytes[range.clone()])),
            name_source: Some(NameSource::Connect),
            ..Self::default()
        }
    }

    /// From a head that was refused, with its target if there was one.
    pub(crate) fn refused(target: Option<&[u8]>) -> Self {
        let read = target.and_then(|raw| intent::parse_authority(raw).ok());
        Self {
            name: read.as_ref().map(|read| column(&read.host)).unwrap_or_default(),
            port: read.map_or_else(|| target.map_or(0, port), |read| read.port),
            requested: target.map(safe).unwrap_or_default(),
            name_source: target.map(|_| NameSource::Connect),
            ..Self::default()
        }
    }

    /// What was decided, and in which table it is told. What no rule has a say in is no decision of the policy's.
    pub(crate) fn decided(&mut self, snapshot: &Snapshot, host: &Host, decision: Decision) -> Decision {
        let by_rules = matches!(decision.reason, Reason::RuleMatched | Reason::NoRuleMatched);
        self.decision = by_rules.then_some(decision);
        self.packets = judge::as_packets(snapshot, host, decision);
        decision
    }

    /// What audit mode let through before another name took its place: it has a row of its own, for enforcing ends it there.
    pub(crate) fn let_through(&self) -> Option<Box<Self>> {
        let denied = self.decision.filter(|decision| decision.action == Action::Deny);
        denied.map(|_| {
            Box::new(Self {
                name: self.name.clone(),
                requested: self.requested.clone(),
                host_header: self.host_header.clone(),
                snapshot: self.snapshot.clone(),
                answer: self.answer.clone(),
                refused: self.refused.clone(),
                flight: self.flight.clone(),
                port: self.port,
                protocol: self.protocol,
                name_source: self.name_source,
                decision: self.decision,
                address: self.address,
                public_resolution: self.public_resolution,
                packets: self.packets,
                ..Self::default()
            })
        })
    }

    /// From here on it is about the name of a ClientHello: of where the host of its CONNECT leads nothing holds for that.
    pub(crate) fn renamed(&mut self, sni: &Fqdn) {
        self.name = sni.as_str().to_owned();
        self.name_source = Some(NameSource::Sni);
        self.screened = None;
        if let Some(told) = &mut self.told {
            told.0.retain(|hit| matches!(hit.listed, Listed::Source(_)));
        }
        self.forget_address();
    }

    /// Judged once more, under the same policy: where its name led before does not count.
    pub(crate) fn anew(&mut self, snapshot: Own<Snapshot>) {
        self.snapshot = Some(snapshot);
        self.forget_address();
    }

    fn forget_address(&mut self) {
        (self.answer, self.address) = (None, None);
        self.refused.clear();
        self.public_resolution = false;
    }

    /// `host:port` for answers: the normal form, or what was sent.
    pub(crate) fn target(&self) -> String {
        if self.name.is_empty() {
            String::from_utf8_lossy(&self.requested).into_owned()
        } else if self.name.as_bytes().contains(&b':') {
            ["[", &self.name, "]:", &self.port.to_string()].concat()
        } else {
            [&self.name, ":", &self.port.to_string()].concat()
        }
    }

    /// What the rules say, or what stopped it behind them. Trouble with the destination is no denial: Azure writes the rule's
    /// Allow and the connection fails; the end of the flow has a row of its own.
    fn action(&self, reason: Reason) -> Action {
        let allowed = self.decision.is_some_and(|d| d.action == Action::Allow);
        let passed = reason == Reason::RuleMatched || reason.is_trouble();
        match allowed && passed {
            true => Action::Allow,
            false => Action::Deny,
        }
    }

    /// The row of a denial.
    pub(crate) fn write_denial(&self, record: &Record, denial: &Denial) {
        self.write(
            record,
            denial.reason,
            denial.at,
            denial.detail.as_deref(),
            &denial.refused,
        );
    }

    /// The row of an attempt that may pass: allowed, or denied in audit mode.
    pub(crate) fn write_passed(&self, record: &Record) {
        let Some(decision) = self.decision else { return };
        self.write(record, decision.reason, None, None, &self.refused);
    }

    fn write(&self, record: &Record, reason: Reason, at: Option<IpAddr>, detail: Option<&str>, refused: &[IpAddr]) {
        let action = self.action(reason);
        // What is refused before it is judged is refused under the policy of this moment.
        let now = self.snapshot.is_none().then(|| record.shared.snapshot());
        let Some(snapshot) = self.snapshot.as_ref().or(now.as_ref()) else {
            return;
        };
        let mode = self.decision.map_or_else(|| snapshot.policy.mode(), |d| d.mode);
        record.shared.metrics.decided(action, mode, reason);
        if record.shared.is_self_test(&self.name) {
            return;
        }
        if record.quiet {
            return record.shared.metrics.suppressed();
        }
        let told = Told {
            attempted: self,
            record,
            snapshot,
            action,
            mode,
            reason,
            at,
            detail,
            refused,
        };
        told.write();
    }

    /// The row of a hit on a threat-intelligence list that does not end the attempt.
    pub(crate) fn write_threat(&mut self, record: &Record, threat: Threat) {
        if record.quiet || record.shared.is_self_test(&self.name) {
            return;
        }
        let told = self.told.get_or_insert_default();
        if told.0.contains(&threat) {
            return;
        }
        told.0.push(threat);
        let snapshot = self.snapshot.clone().unwrap_or_else(|| record.shared.snapshot());
        rows::write_threat(self, record, &snapshot, threat);
    }
}

/// A host as rows name it.
pub(crate) fn column(host: &Host) -> String {
    match host {
        Host::Name(name) => name.as_str().to_owned(),
        Host::Address(ip) => ip.to_string(),
    }
}

/// The port of a target whose host may be no host; 0 where it has none.
fn port(raw: &[u8]) -> u16 {
    let digits = raw
        .rsplit(|byte| *byte == b':')
        .next()
        .filter(|digits| digits.len() < raw.len());
    digits.and_then(intent::parse_port).unwrap_or(0)
}

/// What a row shows of a target as it was sent: neither userinfo nor query nor fragment, and nothing where they cannot be
/// told apart.
pub(crate) fn safe(raw: &[u8]) -> Vec<u8> {
    let end = memchr::memchr2(b'?', b'#', raw).unwrap_or(raw.len());
    let at = memchr::memrchr(b'@', raw);
    match at {
        Some(at) if at > end => b"***".to_vec(),
        Some(at) => [b"***", &raw[at..end]].concat(),
        None => raw[..end].to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_02_what_is_shown_of_a_refused_target_holds_no_secret() {
        for (raw, shown) in [
            ("http://api.example.com/a?api-key=secret", "http://api.example.com/a"),
            ("http://user:secret@api.example.com/a", "***@api.example.com/a"),
            (
                "http://user:secret@api.example.com/a?key=secret",
                "***@api.example.com/a",
            ),
            ("http://user:secret?@api.example.com/a", "***"),
            ("http://api.example.com/?to=a@b.example&key=secret", "***"),
            ("/path", "/path"),
        ] {
            assert_eq!(safe(raw.as_bytes()), shown.as_bytes(), "{raw}");
        }
    }
}
