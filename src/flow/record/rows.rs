//! Which table a decision goes to, and what its row says.

use super::{Attempted, Record};
use crate::dns::ResolveError;
use crate::log::{
    ApplicationRow, NameSource, NetworkRow, ResolveFailureRow, Row, Spoken, ThreatAction, ThreatIntelRow, Transport,
};
use crate::policy::{Action, Mode, Protocol, Reason, RuleRef, Threat, ThreatMode, threat::Listed};
use crate::snapshot::Snapshot;
use std::net::IpAddr;
use std::time::SystemTime;

/// A decision that is to be written down.
pub(super) struct Told<'a> {
    pub attempted: &'a Attempted,
    pub record: &'a Record,
    pub snapshot: &'a Snapshot,
    pub action: Action,
    pub mode: Mode,
    pub reason: Reason,
    pub at: Option<IpAddr>,
    pub detail: Option<&'a str>,
    pub refused: &'a [IpAddr],
}

impl Told<'_> {
    /// Azure writes a denial by threat intelligence to that table alone.
    pub(super) fn write(&self) {
        match &self.attempted.threat {
            Some(threat) => write_threat(self.attempted, self.record, self.snapshot, **threat),
            None if self.attempted.packets => self.network(),
            None => self.application(),
        }
        if let Some(error) = &self.attempted.unresolved {
            self.unresolved(error);
        }
    }

    /// The row of a name that a rule admits and that has no address. Limits of ours say nothing of the name.
    fn unresolved(&self, error: &ResolveError) {
        if matches!(
            error,
            ResolveError::TooManyQueries | ResolveError::NoSocket | ResolveError::Internal
        ) {
            return;
        }
        let zones = &self.snapshot.resolver.plan().zones;
        let zone = zones.iter().find(|zone| error.zone() == Some(&zone.name));
        let server = zone.and_then(|zone| match zone.forwarders[..] {
            [only] => Some(only),
            _ => None,
        });
        self.record.shared.log.write(&Row::ResolveFailure(ResolveFailureRow {
            time: SystemTime::now(),
            flow: self.record.id,
            fqdn: &self.attempted.name,
            error: &error.to_string(),
            zone: error.zone().map(|zone| &**zone),
            server,
            rule: self.rule(),
            reason: self.reason,
            generation: self.snapshot.generation,
            policy_hash: &self.snapshot.hash,
        }));
    }

    fn rule(&self) -> Option<&RuleRef> {
        let rule = self.attempted.decision.and_then(|decision| decision.rule);
        rule.map(|rule| self.snapshot.policy.rule_ref(rule))
    }

    fn behind(&self) -> Option<&RuleRef> {
        let rule = self.attempted.decision.and_then(|decision| decision.behind);
        rule.map(|rule| self.snapshot.policy.rule_ref(rule))
    }

    fn network(&self) {
        let attempted = self.attempted;
        let asked = attempted.name.parse::<IpAddr>().ok();
        let dialled = attempted.address.map(|address| address.ip());
        self.record.shared.log.write(&Row::Network(NetworkRow {
            time: SystemTime::now(),
            flow: self.record.id,
            source: self.record.source,
            transport: Transport::Tcp,
            destination: asked.or(dialled).or(self.at),
            port: attempted.port,
            fqdn: asked.is_none().then_some(&attempted.name),
            name_source: attempted.name_source.unwrap_or(NameSource::None),
            requested: (!attempted.requested.is_empty()).then_some(&attempted.requested),
            sni: attempted.flight.sni.as_deref(),
            host_header: attempted.host_header.as_deref(),
            ech: attempted.flight.ech,
            action: self.action,
            mode: self.mode,
            rule: self.rule(),
            behind: self.behind(),
            reason: self.reason,
            generation: self.snapshot.generation,
            policy_hash: &self.snapshot.hash,
            dns: attempted.answer.as_deref(),
            address: attempted.address,
            refused_addresses: self.refused,
            overrides: !self.snapshot.overrides.is_empty(),
            detail: self.detail,
        }));
    }

    fn application(&self) {
        let attempted = self.attempted;
        let usual = if attempted.port == 80 {
            Protocol::Http
        } else {
            Protocol::Https
        };
        self.record.shared.log.write(&Row::Application(ApplicationRow {
            time: SystemTime::now(),
            flow: self.record.id,
            source: self.record.source,
            protocol: attempted.protocol.or(attempted.opened_for).unwrap_or(usual),
            port: attempted.port,
            fqdn: &attempted.name,
            requested: (!attempted.requested.is_empty()).then_some(&attempted.requested),
            target_url: attempted.target_url.as_deref(),
            action: self.action,
            mode: self.mode,
            rule: self.rule(),
            behind: self.behind(),
            reason: self.reason,
            explicit: true,
            name_source: attempted.name_source.unwrap_or(NameSource::None),
            sni: attempted.flight.sni.as_deref(),
            host_header: attempted.host_header.as_deref(),
            ech: attempted.flight.ech,
            generation: self.snapshot.generation,
            policy_hash: &self.snapshot.hash,
            dns: attempted.answer.as_deref(),
            address: attempted.address,
            refused_addresses: self.refused,
            wide: attempted.decision.is_some_and(|d| d.wide),
            public_resolution: attempted.public_resolution,
            overrides: !self.snapshot.overrides.is_empty(),
            detail: self.detail,
        }));
    }
}

/// A hit on a list, whether it ends the attempt or not.
pub(super) fn write_threat(attempted: &Attempted, record: &Record, snapshot: &Snapshot, threat: Threat) {
    let asked = attempted.name.parse::<IpAddr>().ok();
    let (listed, description) = match threat.listed {
        Listed::Name => (None, format!("the name {} is listed", attempted.name)),
        Listed::Destination(ip) => (Some(ip), format!("the destination {ip} is listed")),
        Listed::Source(ip) => (None, format!("the source {ip} is listed")),
    };
    record.shared.log.write(&Row::ThreatIntel(ThreatIntelRow {
        time: SystemTime::now(),
        flow: record.id,
        source: record.source,
        spoken: attempted
            .protocol
            .map_or(Spoken::Transport(Transport::Tcp), Spoken::Application),
        destination: listed.or(asked),
        port: attempted.port,
        fqdn: if asked.is_some() { "" } else { &attempted.name },
        target_url: attempted.target_url.as_deref(),
        action: match threat.mode {
            ThreatMode::Deny => ThreatAction::Deny,
            ThreatMode::Alert | ThreatMode::Off => ThreatAction::Alert,
        },
        description: &description,
        generation: snapshot.generation,
        policy_hash: &snapshot.hash,
    }));
}
