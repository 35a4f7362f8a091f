//! [`Probe`]: one attempt, judged as a flow would be: threat intelligence, DNAT, network and application rules.

use super::{
    fits::{At, Fits},
    target::{Speaks, Target},
};
use crate::policy::{
    Action, Audited, CompiledPolicy, DecidedBy, Decision, Evaluation, Expected, FlowAttempt, Misses, Mode, NoTrace,
    Protocol, Reason, Resolved, RuleId, RuleOutcome, Trace, Via, is_never_dialled,
};
use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

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
    /// A network rule speaks of a name, and the tests do not say where it leads: it could not be told.
    pub by_name: Option<RuleId>,
    /// A network rule denies addresses, and the tests do not say where the name leads that is asked for: it could not be told.
    pub by_address: Option<RuleId>,
    /// It leads to nothing but addresses that the gateway dials for nobody, audit mode or not.
    pub never_dialled: bool,
}

/// One evaluation of an attempt, at the address that decided it.
struct End {
    evaluation: Evaluation,
    /// What was said of the name before anybody looked it up.
    by_name: Decision,
    at: Option<IpAddr>,
    /// Rules that decided, at each address, or swayed what was decided there.
    rules: Vec<RuleId>,
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
        let end = |protocol| self.end(policy, protocol);
        let (ended, mut swayed_by) = match self.target.speaks {
            Speaks::Known(protocol) => one(end(Some(protocol))),
            Speaks::Neither => one(end(None)),
            Speaks::Open => {
                let (https, http) = (end(Some(Protocol::Https)), end(Some(Protocol::Http)));
                let rules = [&https.rules[..], &http.rules].concat();
                (both(https, http, self.target.port).evaluation, rules)
            }
        };
        swayed_by.sort_unstable();
        swayed_by.dedup();
        Judged {
            by: ended.by,
            decision: ended.decision,
            swayed_by,
            by_name: ended.unresolved,
            by_address: ended.by_address,
            never_dialled: self.is_never_dialled(),
        }
    }

    /// Whether it leads to nothing but addresses that the gateway dials for nobody.
    fn is_never_dialled(&self) -> bool {
        let asked = self.target.address().filter(|_| self.via == Via::Explicit);
        let leads_to = self.leads_to().unwrap_or(asked.as_slice());
        !leads_to.is_empty() && leads_to.iter().copied().all(is_never_dialled)
    }

    /// The addresses that the name leads to that is asked for at the proxy port: the one that the test says, or those of the file.
    /// `None`: nobody says it.
    fn leads_to(&self) -> Option<&[IpAddr]> {
        let name = self.target.name().filter(|_| self.via == Via::Explicit)?;
        match self.destination {
            Some(_) => Some(self.destination.as_slice()),
            None => self.resolved.of(name),
        }
    }

    /// One evaluation, or as many as the name has addresses.
    fn end(&self, policy: &CompiledPolicy, protocol: Option<Protocol>) -> End {
        let flow = self.flow(protocol, None);
        let Some(addresses) = self.leads_to() else {
            let said = policy.evaluate(&flow, &mut NoTrace);
            return End {
                rules: rules_of(&said).collect(),
                by_name: said.decision,
                at: None,
                evaluation: match self.is_never_dialled() && said.decision.action == Action::Allow {
                    true => never_dialled(said),
                    false => said,
                },
            };
        };
        // Vetting comes before rules are asked of an address.
        let dialled: Vec<IpAddr> = addresses.iter().copied().filter(|ip| !is_never_dialled(*ip)).collect();
        let led = policy.evaluate_led(&flow, &dialled);
        if led.by_name.decision.action == Action::Allow && self.is_never_dialled() {
            return End {
                rules: rules_of(&led.by_name).collect(),
                by_name: led.by_name.decision,
                at: addresses.first().copied(),
                evaluation: never_dialled(led.by_name),
            };
        }
        let each = (led.each.iter()).flat_map(|(ip, one)| rules_of(one).chain(self.excepted_at(policy, *ip)));
        End {
            rules: rules_of(&led.by_name).chain(each).collect(),
            by_name: led.by_name.decision,
            at: led.at,
            evaluation: led.evaluation,
        }
    }

    /// The rules that its evaluations looked at and that may have had a say in them, beside those that decided.
    pub(super) fn may_sway(&self, policy: &CompiledPolicy) -> BTreeSet<RuleId> {
        let leads_to = self.leads_to();
        let resolved = (self.via == Via::Transparent).then_some(&*self.resolved);
        let mut fits = Fits::new(policy, resolved, leads_to.is_none());
        if self.target.host.is_err() {
            return fits.found;
        }
        let protocols = match self.target.speaks {
            Speaks::Known(protocol) => vec![Some(protocol)],
            Speaks::Neither => vec![None],
            Speaks::Open => vec![Some(Protocol::Https), Some(Protocol::Http)],
        };
        for protocol in protocols {
            let led_to = leads_to.unwrap_or_default().iter().copied().map(Some);
            for at in led_to.chain([None]) {
                let flow = self.flow(protocol, at);
                fits.at = match self.via == Via::Explicit && flow.destination.is_none() {
                    true => At::Asked,
                    false => At::Known(at),
                };
                policy.evaluate(&flow, &mut fits);
            }
        }
        fits.found
    }

    /// The rules that came near, in the order in which they are judged, up to the one that decides.
    pub fn near(&self, policy: &CompiledPolicy) -> Vec<(RuleId, Near)> {
        if self.target.host.is_err() {
            return Vec::new();
        }
        let traced = |protocol| {
            let mut seen = Seen::default();
            let end = self.end(policy, protocol);
            let evaluation = policy.evaluate(&self.flow(protocol, end.at), &mut seen);
            (end.by_name, seen.up_to(&evaluation))
        };
        match self.target.speaks {
            Speaks::Known(protocol) => traced(Some(protocol)).1,
            Speaks::Neither => traced(None).1,
            Speaks::Open => {
                let (https, http) = (traced(Some(Protocol::Https)), traced(Some(Protocol::Http)));
                match Expected::of(https.0, http.0, self.target.port).1 {
                    Protocol::Http => http.1,
                    Protocol::Https => https.1,
                }
            }
        }
    }

    /// The network rules that allow an address of a named target, and so take it out of a later denial.
    fn excepted_at<'a>(&'a self, policy: &'a CompiledPolicy, at: IpAddr) -> impl Iterator<Item = RuleId> + 'a {
        let views = [Audited::Passed, Audited::Ends].into_iter();
        views.filter_map(move |audited| policy.excepting(&self.flow(None, Some(at)), audited))
    }

    /// `at`: one of the addresses that the name leads to.
    fn flow(&self, protocol: Option<Protocol>, at: Option<IpAddr>) -> FlowAttempt<'_> {
        let carried = self.destination.filter(|_| self.via == Via::Transparent);
        FlowAttempt {
            source: self.source,
            via: self.via,
            transport: self.target.transport,
            destination: self.target.address().or(carried).or(at),
            port: self.target.port,
            name: self.target.name(),
            protocol,
            resolved: &self.resolved,
        }
    }
}

/// The rule that is told, and the one that lets it through behind it.
fn rules_of(evaluation: &Evaluation) -> impl Iterator<Item = RuleId> + use<> {
    let decision = evaluation.decision;
    [decision.rule, decision.behind].into_iter().flatten()
}

/// What the rules let through, and the gateway never dials.
fn never_dialled(said: Evaluation) -> Evaluation {
    Evaluation {
        by: DecidedBy::Default,
        decision: refused(Reason::AddressDenied),
        unresolved: None,
        by_address: None,
        ..said
    }
}

fn refused(reason: Reason) -> Decision {
    Decision {
        action: Action::Deny,
        reason,
        rule: None,
        behind: None,
        mode: Mode::Enforce,
        wide: false,
    }
}

fn one(end: End) -> (Evaluation, Vec<RuleId>) {
    (end.evaluation, end.rules)
}

/// What stands for a CONNECT, which does not say what will be spoken: that is settled by the name, before it is looked up.
fn both(https: End, http: End, port: u16) -> End {
    match Expected::of(https.by_name, http.by_name, port).1 {
        Protocol::Http => http,
        Protocol::Https => https,
    }
}

impl Judged {
    /// Whether that is an answer.
    pub fn told(&self) -> bool {
        self.by_name.or(self.by_address).is_none()
    }

    /// Refused before any rule is asked.
    fn refused(reason: Reason) -> Self {
        Self {
            by: DecidedBy::Default,
            decision: refused(reason),
            swayed_by: Vec::new(),
            by_name: None,
            by_address: None,
            never_dialled: false,
        }
    }
}

/// Gathers the rules that came near.
#[derive(Default)]
struct Seen(Vec<(RuleId, Near)>);

impl Seen {
    /// Up to a network rule that decided: it may do so after the name was judged.
    fn up_to(mut self, evaluation: &Evaluation) -> Vec<(RuleId, Near)> {
        let ends = evaluation.unresolved.is_none() && evaluation.decision.behind.is_none();
        let rule = evaluation.decision.rule.filter(|_| ends);
        if let Some(at) = self.0.iter().position(|(seen, _)| Some(*seen) == rule)
            && evaluation.by == DecidedBy::Network
        {
            self.0[at].1 = Near::Packet(Misses::default());
            self.0.truncate(at + 1);
        }
        self.0
    }
}

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
