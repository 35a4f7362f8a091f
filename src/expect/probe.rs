//! [`Probe`]: one attempt, judged as a flow would be: threat intelligence, DNAT, network and application rules.

use super::target::{Speaks, Target};
use crate::policy::{
    Action, CompiledPolicy, DecidedBy, Decision, Evaluation, Expected, FlowAttempt, Misses, Mode, NoTrace, Protocol,
    Reason, Resolved, RuleId, RuleOutcome, Trace, Via,
};
use std::{net::IpAddr, sync::Arc};

/// An attempt. What is written may be no target at all: that is judged too.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Canonical source address.
    pub source: IpAddr,
    /// How it comes.
    pub via: Via,
    /// Canonical destination address: that of the packets, or of the name once it is resolved.
    pub destination: Option<IpAddr>,
    /// As written, for people.
    pub written: String,
    target: Target,
    resolved: Arc<Resolved>,
}

/// What an attempt got.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What ended the evaluation.
    pub by: DecidedBy,
    /// The decision.
    pub decision: Decision,
    /// Rules without which it might have been another one.
    pub swayed_by: Vec<RuleId>,
    /// The rule denies by names of which the tests do not say where they lead: it could not be told.
    pub unresolved: bool,
}

/// A rule that was looked at and came near, and how near.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Near {
    /// An application rule that names the target.
    Names(RuleOutcome),
    /// A DNAT or network rule that misses at most one thing.
    Packet(Misses),
}

impl Probe {
    /// An attempt that comes as such targets mostly do; [`Target::read`] says what can be asked for.
    pub fn new(source: IpAddr, target: &str) -> Self {
        let written = target.to_owned();
        let target = Target::read(target);
        Self {
            source: source.to_canonical(),
            via: target.usual_way(),
            destination: None,
            written,
            target,
            resolved: Arc::default(),
        }
    }

    /// How it comes if not as usual, the address that it leads to, and what the destination FQDNs of network rules stand for.
    pub fn coming(self, via: Option<Via>, destination: Option<IpAddr>, resolved: Arc<Resolved>) -> Self {
        Self {
            via: via.unwrap_or(self.via),
            destination: destination.map(|ip| ip.to_canonical()),
            resolved,
            ..self
        }
    }

    /// What the destination FQDNs of network rules stand for.
    pub fn resolved(&self) -> &Resolved {
        &self.resolved
    }

    /// What is asked for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the policy says of it.
    pub fn judge(&self, policy: &CompiledPolicy) -> Judged {
        if let Err(reason) = self.target.host {
            return Judged::refused(reason);
        }
        let evaluate = |protocol| policy.evaluate(&self.flow(protocol), &mut NoTrace);
        let (ended, others) = match self.target.speaks {
            Speaks::Known(protocol) => (evaluate(Some(protocol)), None),
            Speaks::Neither => (evaluate(None), None),
            Speaks::Open => {
                let (https, http) = (evaluate(Some(Protocol::Https)), evaluate(Some(Protocol::Http)));
                (both(https, http, self.target.port), Some([https, http]))
            }
        };
        let ends = others.into_iter().flatten().chain([ended]);
        let decided = ends.filter_map(|end| end.decision.rule);
        let mut swayed_by: Vec<RuleId> = decided.chain(self.excepted_by(policy)).collect();
        swayed_by.sort_unstable();
        swayed_by.dedup();
        Judged {
            by: ended.by,
            decision: ended.decision,
            swayed_by,
            unresolved: ended.unresolved,
        }
    }

    /// The rules that came near, in the order in which they are judged, up to the one that decides.
    pub fn near(&self, policy: &CompiledPolicy) -> Vec<(RuleId, Near)> {
        if self.target.host.is_err() {
            return Vec::new();
        }
        let traced = |protocol| {
            let mut seen = Seen::default();
            (policy.evaluate(&self.flow(protocol), &mut seen), seen.0)
        };
        match self.target.speaks {
            Speaks::Known(protocol) => traced(Some(protocol)).1,
            Speaks::Neither => traced(None).1,
            Speaks::Open => {
                let (https, http) = (traced(Some(Protocol::Https)), traced(Some(Protocol::Http)));
                match Expected::of(https.0.decision, http.0.decision, self.target.port).0 {
                    Expected::Http => http.1,
                    Expected::Tls | Expected::Either => https.1,
                }
            }
        }
    }

    /// The network rules that allow the address of a named target, and so take it out of later denials by address.
    fn excepted_by(&self, policy: &CompiledPolicy) -> Vec<RuleId> {
        let (Via::Explicit, Some(_), Some(ip)) = (self.via, self.target.name(), self.destination) else {
            return Vec::new();
        };
        let mut passed = PassedBy::default();
        policy.network(&self.flow(None), &mut passed);
        let leads = |rule: &RuleId| {
            let network = policy.network_rule(*rule);
            policy.action(*rule) == Action::Allow && network.is_some_and(|network| network.destinations.hold(ip))
        };
        passed.0.into_iter().filter(leads).collect()
    }

    fn flow(&self, protocol: Option<Protocol>) -> FlowAttempt<'_> {
        FlowAttempt {
            source: self.source,
            via: self.via,
            transport: self.target.transport,
            destination: self.target.address().or(self.destination),
            port: self.target.port,
            name: self.target.name(),
            protocol,
            resolved: &self.resolved,
        }
    }
}

/// What stands for a CONNECT, which does not say what will be spoken.
fn both(https: Evaluation, http: Evaluation, port: u16) -> Evaluation {
    match Expected::of(https.decision, http.decision, port).0 {
        Expected::Http => http,
        Expected::Tls | Expected::Either => https,
    }
}

impl Judged {
    /// Refused before any rule is asked.
    fn refused(reason: Reason) -> Self {
        let decision = Decision {
            action: Action::Deny,
            reason,
            rule: None,
            mode: Mode::Enforce,
            wide: false,
        };
        Self {
            by: DecidedBy::Default,
            decision,
            swayed_by: Vec::new(),
            unresolved: false,
        }
    }
}

/// Gathers the rules that came near.
#[derive(Default)]
struct Seen(Vec<(RuleId, Near)>);

impl Trace for Seen {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        if outcome != RuleOutcome::NameDiffers {
            self.0.push((rule, Near::Names(outcome)));
        }
    }

    fn packet_rule(&mut self, rule: RuleId, misses: Misses) {
        if misses.count() <= 1 {
            self.0.push((rule, Near::Packet(misses)));
        }
    }
}

/// Gathers the network rules that do not decide for want of a destination alone.
#[derive(Default)]
struct PassedBy(Vec<RuleId>);

impl Trace for PassedBy {
    fn rule(&mut self, _: RuleId, _: RuleOutcome) {}

    fn packet_rule(&mut self, rule: RuleId, misses: Misses) {
        if misses.count() == 1 && misses.destination {
            self.0.push(rule);
        }
    }
}
