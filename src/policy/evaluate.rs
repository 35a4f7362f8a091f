//! `evaluate`: the whole order of one attempt, of which [`CompiledPolicy::decide`] is the part for names. Pure.

mod unsaid;

use super::{
    Action, Attempt, Audited, CompiledPolicy, Decision, Fqdn, Misses, Mode, Protocol, Reason, RuleId, Threat,
    ThreatMode, Trace, Transport, address::embedded,
};
use crate::proof::{self, Guard};
use std::{collections::BTreeMap, net::IpAddr};
use unsaid::{Perhaps, Unsaid, named};

/// How an attempt comes to egret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// To the proxy port, which was told where to go: mostly by name.
    Explicit,
    /// Routed or redirected: the packets carry the destination address.
    Transparent,
}

/// What ended an evaluation, in the order in which they are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DecidedBy {
    /// A list in mode `Deny`.
    ThreatIntelligence,
    /// A DNAT rule: it translates and allows.
    Nat,
    /// A network rule.
    Network,
    /// An application rule.
    Application,
    /// The infrastructure collection.
    Infrastructure,
    /// Nothing matched.
    Default,
}

/// What one source asks, as far as is known.
#[derive(Clone, Copy, Debug)]
pub struct FlowAttempt<'a> {
    /// Canonical source address (IPv4-mapped is IPv4).
    pub source: IpAddr,
    /// How it comes.
    pub via: Via,
    /// IP protocol.
    pub transport: Transport,
    /// Canonical destination address: that of the packets, or of an explicit target once it is resolved.
    pub destination: Option<IpAddr>,
    /// Destination port; 0 where the IP protocol has none.
    pub port: u16,
    /// The name asked for: explicit target, SNI or `Host`.
    pub name: Option<&'a Fqdn>,
    /// What is, or would be, spoken. `None`: neither HTTP nor TLS.
    pub protocol: Option<Protocol>,
    /// What the destination FQDNs of network rules stand for at this moment. Of the name that is asked for at the proxy port it
    /// says that somebody knows where it leads, and judges each address by itself.
    pub resolved: &'a Resolved,
}

/// Addresses of the destination FQDNs of network rules, for attempts that carry an address alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved(BTreeMap<Fqdn, Vec<IpAddr>>);

impl Resolved {
    /// Nothing is resolved.
    pub const NONE: &'static Self = &Self(BTreeMap::new());

    /// Each name with its addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&Fqdn, &[IpAddr])> {
        self.0.iter().map(|(name, addresses)| (name, &addresses[..]))
    }

    /// The addresses that a name stands for; they take the place of former ones.
    pub fn set(&mut self, name: Fqdn, addresses: Vec<IpAddr>) {
        self.0.insert(name, addresses);
    }

    /// Where a name leads; `None`: nobody says.
    pub fn of(&self, name: &Fqdn) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }

    /// Whether the address is one of the name's; `None`: nobody says where the name leads.
    pub fn leads(&self, name: &Fqdn, to: IpAddr) -> Option<bool> {
        self.0.get(name).map(|addresses| addresses.contains(&to))
    }
}

/// The answer of a whole evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What ended it.
    pub by: DecidedBy,
    /// What was decided, and by which rule.
    pub decision: Decision,
    /// A list was hit: in mode `Alert` beside the decision, in mode `Deny` as its cause.
    pub threat: Option<Threat>,
    /// A network rule has destination FQDNs of which nobody says where they lead, and the action hangs on it. One that denies is
    /// taken to match, one that allows is not, which is the narrow side; who explains or tests a policy must not take that for an
    /// answer.
    pub unresolved: Option<RuleId>,
    /// A name asked for at the proxy port goes through unless it leads where this rule denies, and nobody says where it leads.
    /// The gateway judges each address once it is looked up; who explains or tests a policy must do so too, or give no answer.
    pub by_address: Option<RuleId>,
}

/// Whether a network rule denies where a name leads that nobody looked up.
#[derive(Clone, Copy)]
enum Denies {
    /// Some addresses.
    Some(RuleId),
    /// Wherever that is.
    All(RuleId),
}

/// Where a rule leads, held against an attempt.
#[derive(Clone, Copy)]
struct Leads {
    by_name: bool,
    by_address: bool,
    /// Of one of its names nobody says where it leads.
    perhaps: bool,
}

impl CompiledPolicy {
    /// The part of [`CompiledPolicy::evaluate`] that sees rules in audit mode in one way.
    pub(super) fn evaluate_as<T: Trace>(&self, flow: &FlowAttempt<'_>, audited: Audited, trace: &mut T) -> Evaluation {
        let threat = self.threat(flow.source, flow.name, flow.destination);
        if threat.is_some_and(|threat| threat.mode == ThreatMode::Deny) {
            return Evaluation {
                by: DecidedBy::ThreatIntelligence,
                decision: THREAT_DENIED,
                threat,
                unresolved: None,
                by_address: None,
            };
        }
        let mut perhaps = Perhaps::default();
        let (by, decision) = self
            .nat(flow, trace)
            .or_else(|| self.first_network(flow, audited, trace, &mut perhaps))
            .or_else(|| self.application(flow, audited, trace))
            .unwrap_or_else(|| (DecidedBy::Default, self.nothing_matched(flow)));
        let (denies, allows) = perhaps.against(decision);
        let by_address = match decision.permits() {
            true => self.denied_by_address(flow, audited, decision.rule),
            false => None,
        };
        let (by_address, denied) = match by_address {
            Some(Denies::Some(rule)) => (Some(rule), denies),
            Some(Denies::All(rule)) => (None, Some(rule)),
            None => (None, denies),
        };
        Evaluation {
            by: denied.map_or(by, |_| DecidedBy::Network),
            decision: denied.map_or(decision, |rule| self.matched(rule)),
            threat,
            unresolved: denies.or(allows),
            by_address,
        }
    }

    /// What network rules deny of the addresses that a name at the proxy port leads to, when none is known: they are judged
    /// after the name, in the order of the rules, and those before `last` alone if it is a network rule.
    fn denied_by_address(&self, flow: &FlowAttempt<'_>, audited: Audited, last: Option<RuleId>) -> Option<Denies> {
        let known = flow.name.is_none_or(|name| flow.resolved.of(name).is_some());
        let asked = flow.via == Via::Explicit && flow.destination.is_none() && !known;
        if !asked || !self.model().explicit_network_rules || proof::off(Guard::NetworkRules) {
            return None;
        }
        let rules = self.network_rules().take_while(|rule| Some(*rule) != last);
        let rules = rules.filter(|rule| !self.passes(audited, *rule));
        let (mut excepted, mut found) = (false, None);
        for rule in rules.filter(|rule| self.misses(*rule, flow, false).count() == 0) {
            let packet = &self.packets[rule.index()];
            let denies = self.action(rule) == Action::Deny;
            match (denies, packet.leads_everywhere()) {
                (false, true) => break,
                (false, false) => excepted |= packet.has_addresses(),
                // What an earlier rule may deny is denied alike.
                (true, true) if !excepted && found.is_none_or(|first| self.mode_of(first) == self.mode_of(rule)) => {
                    return Some(Denies::All(rule));
                }
                (true, _) if packet.has_addresses() => found = found.or(Some(rule)),
                (true, _) => {}
            }
        }
        found.map(Denies::Some)
    }

    /// Whether a list holds what is known of an attempt: its name, or an address at one of its ends. The first of its hits.
    pub fn threat(&self, source: IpAddr, name: Option<&Fqdn>, destination: Option<IpAddr>) -> Option<Threat> {
        self.threats(source, name, destination).next()
    }

    /// Everything of an attempt that is listed: its name, its destination, its source.
    pub fn threats(
        &self,
        source: IpAddr,
        name: Option<&Fqdn>,
        destination: Option<IpAddr>,
    ) -> impl Iterator<Item = Threat> + use<> {
        let lists = (self.threats.as_ref()).filter(|_| !proof::off(Guard::ThreatIntelligence));
        let hits = lists.map(|lists| lists.hits(source, name, destination));
        hits.into_iter().flatten()
    }

    /// Whether the addresses that a name leads to are judged too: by threat intelligence, or by network rules.
    pub fn screens_addresses(&self) -> bool {
        self.threats.is_some() || self.model().explicit_network_rules
    }

    /// What the network rules say of an attempt; `None`: nothing, so that application rules are asked.
    pub fn network<T: Trace>(&self, flow: &FlowAttempt<'_>, audited: Audited, trace: &mut T) -> Option<Decision> {
        let found = self.first_network(flow, audited, trace, &mut Perhaps::default());
        found.map(|(_, decision)| decision)
    }

    /// The network rule that allows the address of a name asked for at the proxy port, and so takes it out of a later rule that
    /// denies it. `None`: no rule denies it, or one does before any allows it.
    pub fn excepting(&self, flow: &FlowAttempt<'_>, audited: Audited) -> Option<RuleId> {
        let asked = flow.via == Via::Explicit && flow.name.is_some() && self.model().explicit_network_rules;
        let mut excepts = None;
        let rules = self
            .network_rules()
            .filter(|rule| asked && !self.passes(audited, *rule));
        for rule in rules.filter(|rule| self.misses(*rule, flow, false).count() == 0) {
            let leads = self.leads(rule, flow);
            match (leads.by_name, leads.by_address, self.action(rule)) {
                (true, ..) => return None,
                (false, true, Action::Deny) => return excepts,
                (false, true, Action::Allow) => excepts = excepts.or(Some(rule)),
                (false, false, _) => {}
            }
        }
        None
    }

    /// `perhaps`: what may have matched before.
    fn first_network<'a, T: Trace>(
        &'a self,
        flow: &FlowAttempt<'_>,
        audited: Audited,
        trace: &mut T,
        perhaps: &mut Perhaps<'a>,
    ) -> Option<(DecidedBy, Decision)> {
        let explicit = flow.via == Via::Explicit;
        if explicit && !self.model().explicit_network_rules {
            return None;
        }
        let named = explicit && flow.name.is_some();
        // An earlier rule allows the address of a named target: what denies it later does not count.
        let mut excepted = false;
        for rule in self.network_rules() {
            let but_for_destination = self.misses(rule, flow, false);
            let fits = but_for_destination.count() == 0;
            // Nothing comes of a rule for other packets, and its names may be many: only who looks on is told of them.
            if !fits && !T::ACTIVE {
                continue;
            }
            let leads = self.leads(rule, flow);
            let allows = self.action(rule) == Action::Allow;
            let by_address = leads.by_address;
            let open = leads.perhaps.then(|| self.unsaid(rule, flow, perhaps));
            // What asks for the name itself is what the rule denies, wherever that leads.
            let by_name = leads.by_name || !allows && open == Some(Unsaid::Asked);
            let decides = by_name || by_address && !(named && (allows || excepted));
            let misses = Misses {
                destination: !decides,
                ..but_for_destination
            };
            if T::ACTIVE {
                trace.packet_rule(rule, misses);
            }
            if self.passes(audited, rule) {
                continue;
            }
            if misses.count() == 0 && (allows || !proof::off(Guard::NetworkRules)) {
                return Some((DecidedBy::Network, self.matched(rule)));
            }
            if !fits {
                continue;
            }
            excepted |= named && allows && by_address;
            if open.is_some_and(|open| open != Unsaid::Nothing) {
                perhaps.note(rule, allows);
            }
            if leads.perhaps {
                self.speak_for(rule, flow, perhaps);
            }
        }
        None
    }

    fn nat<T: Trace>(&self, flow: &FlowAttempt<'_>, trace: &mut T) -> Option<(DecidedBy, Decision)> {
        if flow.via == Via::Explicit {
            return None;
        }
        self.nat_rules().find_map(|rule| {
            let misses = self.misses(rule, flow, !self.leads(rule, flow).by_address);
            if T::ACTIVE {
                trace.packet_rule(rule, misses);
            }
            (misses.count() == 0).then(|| (DecidedBy::Nat, self.matched(rule)))
        })
    }

    fn application<T: Trace>(
        &self,
        flow: &FlowAttempt<'_>,
        audited: Audited,
        trace: &mut T,
    ) -> Option<(DecidedBy, Decision)> {
        let (name, protocol) = (flow.name?, flow.protocol.filter(|_| flow.transport == Transport::Tcp)?);
        let attempt = Attempt {
            source: flow.source,
            protocol,
            name,
            port: flow.port,
        };
        let decision = self.decide_as(&attempt, audited, trace);
        decision.rule.and_then(|rule| Some((self.kind(rule)?, decision)))
    }

    /// An explicit target that is an address cannot match an application rule: that is worth a reason of its own.
    fn nothing_matched(&self, flow: &FlowAttempt<'_>) -> Decision {
        let address = flow.via == Via::Explicit && flow.name.is_none();
        if address && !self.model().explicit_network_rules {
            return Decision {
                reason: Reason::IpLiteral,
                mode: Mode::Enforce,
                ..self.default_decision()
            };
        }
        self.default_decision()
    }

    /// Whether a DNAT or network rule speaks of the destination. What denies an address denies it in every form that
    /// embeds it too; what allows it speaks of the very address.
    fn leads(&self, rule: RuleId, flow: &FlowAttempt<'_>) -> Leads {
        let packet = &self.packets[rule.index()];
        let denies = self.action(rule) == Action::Deny;
        let holds = |ip| packet.admits_address(ip);
        let mut leads = Leads {
            by_name: false,
            by_address: match flow.destination {
                Some(ip) => holds(ip) || denies && embedded(ip).is_some_and(holds),
                None => flow.via == Via::Transparent && packet.leads_everywhere(),
            },
            perhaps: false,
        };
        for fqdn in packet.fqdns() {
            match named(fqdn, flow, denies) {
                Some(named) => leads.by_name |= named,
                None => leads.perhaps = true,
            }
        }
        leads
    }

    fn misses(&self, rule: RuleId, flow: &FlowAttempt<'_>, destination: bool) -> Misses {
        let packet = &self.packets[rule.index()];
        Misses {
            source: !self.sources_of(rule).contains(flow.source),
            protocol: !packet.admits_protocol(flow.transport),
            destination,
            port: !packet.admits_port(flow.transport, flow.port),
        }
    }

    fn matched(&self, rule: RuleId) -> Decision {
        Decision {
            action: self.action(rule),
            reason: Reason::RuleMatched,
            rule: Some(rule),
            behind: None,
            mode: self.mode_of(rule),
            wide: false,
        }
    }
}

/// A hit in mode `Deny`. Audit mode softens rules alone.
const THREAT_DENIED: Decision = Decision {
    action: Action::Deny,
    reason: Reason::ThreatIntelligence,
    rule: None,
    behind: None,
    mode: Mode::Enforce,
    wide: false,
};

#[cfg(test)]
mod tests;
