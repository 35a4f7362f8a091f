//! A judged attempt -> [`Upstream`]: what every attempt passes before it is judged, and the way to its target afterwards.
//!
//! `begin` and `named` come before *decide*; `reach` is resolve -> vet -> connect under one deadline.

use super::connect::{self, Upstream};
use super::intent::Target;
use super::record::{Attempted, Record, column};
use super::shared::Own;
use super::{Denial, judge, judge::Screened};
use crate::dns::ResolveError;
use crate::log::Stage;
use crate::policy::{Answer, Decision, Fqdn, Host, Reason, Vetted};
use crate::snapshot::Snapshot;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

/// What every attempt passes before it is judged: its source's rate, and a log that can take its row. Takes the snapshot
/// that the attempt is decided under.
pub(crate) fn begin(attempted: &mut Attempted, record: &mut Record) -> Result<Own<Snapshot>, Denial> {
    record.stage = Stage::Decide;
    let snapshot = record.shared.snapshot();
    record.generation = snapshot.generation;
    attempted.snapshot = Some(snapshot.clone());
    let refused = |reason| Denial::new(reason, Stage::Decide);
    charge(record).map_err(refused)?;
    if spares_log(record) {
        return Err(refused(Reason::LogUnavailable));
    }
    Ok(snapshot)
}

/// One attempt more of this source. Beyond its rate each is refused, and few leave rows.
fn charge(record: &mut Record) -> Result<(), Reason> {
    let (limits, source) = (&record.shared.limits, record.source.ip());
    let charged = limits.attempt(source, &record.shared.now().settings.limits);
    record.quiet = charged.is_err() && !limits.may_tell(source);
    charged
}

/// It ended before anything was asked: there is nobody to refuse. Beyond the rate, or while the log is full, few leave rows.
pub(super) fn closed(record: &mut Record) -> Denial {
    if charge(record).is_ok() {
        spares_log(record);
    }
    Denial::new(Reason::ClientClosed, Stage::Intent)
}

/// Whether the log takes no new flows. Then this one, which is refused, leaves a row only where few others of its source have:
/// what room the log has is for the flows that are open.
fn spares_log(record: &mut Record) -> bool {
    let full = !record.shared.log.accepts_new_flows();
    if full {
        record.quiet = !record.shared.limits.may_tell(record.source.ip());
    }
    full
}

/// What is refused before it can be judged is an attempt too: nonsense must not fill the log faster than sense. Not so at
/// the end of egret, which is none of the source's doing.
pub(crate) fn charged(denial: Denial, record: &mut Record) -> Denial {
    if denial.reason == Reason::Draining {
        return denial;
    }
    match charge(record) {
        Ok(()) => {
            spares_log(record);
            denial
        }
        Err(reason) => Denial::new(reason, denial.stage),
    }
}

/// The name of a target, for rows, and what is denied whatever the rules say: egret itself, and what threat intelligence
/// lists.
pub(crate) fn named(
    target: &Target,
    snapshot: &Snapshot,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<(), Denial> {
    record.name = column(&target.host);
    attempted.name.clone_from(&record.name);
    let own = |ip| record.shared.is_own_listener(SocketAddr::new(ip, target.port));
    if named_address(&target.host).is_some_and(own) {
        return Err(Denial::new(Reason::Loop, Stage::Decide));
    }
    judge::threat(snapshot, &target.host, None, attempted, record, Stage::Decide)
}

/// The address that a target is, if it is one.
pub(crate) fn named_address(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Name(_) => None,
        Host::Address(ip) => Some(*ip),
    }
}

/// resolve -> vet -> connect for a target that the policy permits, under one deadline.
pub(crate) async fn reach(
    snapshot: &Snapshot,
    host: &Host,
    decision: Decision,
    attempted: &mut Attempted,
    record: &mut Record,
) -> Result<Upstream, Denial> {
    let deadline = Instant::now() + snapshot.settings.limits.connect_time;
    record.stage = Stage::Resolve;
    let by_name = attempted.decision;
    let vetted = resolve(snapshot, host, decision, deadline, attempted, record).await?;
    record.stage = Stage::Connect;
    let mut upstream = connect::connect(&vetted, snapshot, &record.shared.limits, deadline).await?;
    upstream.screened = Screened::take(snapshot, attempted, by_name);
    attempted.address = Some(upstream.address);
    record.address = Some(upstream.address);
    Ok(upstream)
}

/// resolve -> vet, for a target that the policy permits. An address stands for itself.
pub(crate) async fn resolve(
    snapshot: &Snapshot,
    host: &Host,
    decision: Decision,
    deadline: Instant,
    attempted: &mut Attempted,
    record: &Record,
) -> Result<Vetted, Denial> {
    let port = attempted.port;
    let vetted = match host {
        Host::Address(ip) => snapshot.addresses.vet_address(*ip, port, decision.allowing().is_some()),
        Host::Name(name) => {
            let answer = ask(snapshot, name, deadline, attempted).await?;
            attempted.answer = Some(answer.clone());
            snapshot.addresses.vet(&answer, port, snapshot.rule_scope(decision))
        }
    };
    let vetted = vetted.map_err(|refusal| {
        let own = |ip: &IpAddr| record.shared.is_own_listener(SocketAddr::new(*ip, port));
        let looped = refusal.refused.iter().copied().find(own);
        let reason = looped.map_or(refusal.reason, |_| Reason::Loop);
        let denial = Denial {
            at: looped,
            ..Denial::new(reason, Stage::Vet)
        };
        denial.refused(refusal.refused)
    })?;
    let vetted = judge::screen(snapshot, host, port, vetted, attempted, record)?;
    attempted.public_resolution = vetted.public_resolution();
    attempted.refused = vetted.refused().to_vec();
    Ok(vetted)
}

/// The answer for a name, until `deadline`; why there is none is kept for the row.
async fn ask(
    snapshot: &Snapshot,
    name: &Fqdn,
    deadline: Instant,
    attempted: &mut Attempted,
) -> Result<Arc<Answer>, Denial> {
    let asked = match snapshot.resolver.known(name) {
        Some(known) => Ok(known),
        // Boxed, so that an attempt whose answer is known does not carry the size of what asks.
        None => Box::pin(timeout_at(deadline, snapshot.resolver.resolve(name))).await,
    };
    match asked {
        Err(_) => {
            let zone = snapshot.resolver.plan().zone_of(name);
            let zone = zone.map_or_else(|| ".".into(), |zone| zone.name.clone());
            attempted.unresolved = Some(Box::new(ResolveError::Timeout { zone }));
            Err(Denial::new(Reason::DnsTimeout, Stage::Resolve))
        }
        Ok(Err(error)) => {
            let denial = Denial::new(error.reason(), Stage::Resolve).detail(error.to_string());
            attempted.unresolved = Some(Box::new(error));
            Err(denial)
        }
        Ok(Ok(answer)) => Ok(answer),
    }
}
