//! `decide`: one attempt against the compiled policy. Pure, allocates nothing, generic over a trace sink.

use super::{
    Action, Audited, CompiledPolicy, Fqdn, Misses, Mode, Protocol, ProtocolPort, Reason, RuleId, names::Candidate,
};
use std::net::IpAddr;

/// What one source asks, as far as an application rule can see it.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// Canonical source address (IPv4-mapped is IPv4).
    pub source: IpAddr,
    /// What is, or would be, spoken.
    pub protocol: Protocol,
    /// The name asked for.
    pub name: &'a Fqdn,
    /// The port asked for.
    pub port: u16,
}

/// The answer of one evaluation. Small and `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the policy says.
    pub action: Action,
    /// `RuleMatched` or `NoRuleMatched`.
    pub reason: Reason,
    /// The rule that ended the evaluation.
    pub rule: Option<RuleId>,
    /// The rule that lets it through all the same, if `rule` denies in audit mode.
    pub behind: Option<RuleId>,
    /// `Audit`: a denial here is recorded and not carried out.
    pub mode: Mode,
    /// The pattern by which it is let through, or denied, admits every tenant's resource.
    pub wide: bool,
}

impl Decision {
    /// Whether the flow may go on: allowed, or denied in audit mode.
    pub fn permits(&self) -> bool {
        self.action == Action::Allow || self.mode == Mode::Audit
    }

    /// A denial that is recorded and not carried out, of an attempt that comes through by this one.
    pub fn behind_which(self, through: Decision) -> Self {
        Self {
            behind: through.allowing(),
            wide: through.wide,
            ..self
        }
    }

    /// The rule that allows it, be it behind one that denies in audit mode.
    pub fn allowing(&self) -> Option<RuleId> {
        match self.action {
            Action::Allow => self.rule,
            Action::Deny => self.behind,
        }
    }
}

/// What the first bytes of a tunnel must be: the protocol, or protocols, that the policy lets through in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A ClientHello.
    Tls,
    /// An HTTP/1 request.
    Http,
    /// Either of them.
    Either,
}

impl Expected {
    /// From what the policy says of a CONNECT's target for each protocol; with the one whose decision stands for both until
    /// the first bytes tell which is spoken. What audit mode lets through may be spoken like what is allowed, but a rule that
    /// allows stands before it: a name leads where that rule says.
    pub fn of(https: Decision, http: Decision, port: u16) -> (Self, Protocol) {
        match (https.permits(), http.permits()) {
            (true, true) => {
                let only_http = https.allowing().is_none() && (http.allowing().is_some() || port == 80);
                (Self::Either, if only_http { Protocol::Http } else { Protocol::Https })
            }
            (true, false) => (Self::Tls, Protocol::Https),
            (false, true) => (Self::Http, Protocol::Http),
            // A Deny rule for the other protocol says more than that no rule matched.
            (false, false) if http.rule.is_some() && (https.rule.is_none() || port == 80) => {
                (Self::Http, Protocol::Http)
            }
            (false, false) => (Self::Tls, Protocol::Https),
        }
    }
}

/// Sees the rules of an evaluation, in the order in which they are judged, up to the one that ends it.
pub trait Trace {
    /// Whether anyone looks: without it the evaluation gathers nothing.
    const ACTIVE: bool = true;

    /// An application rule was looked at; `outcome` says why it did not match, or that it did.
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome);

    /// A DNAT or network rule was looked at; it matched if it misses nothing.
    fn packet_rule(&mut self, _: RuleId, _: Misses) {}
}

/// How one rule fared. Ascending: of several patterns of a rule the one that came furthest counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleOutcome {
    /// A pattern admits the name, for another source.
    SourceDiffers,
    /// No pattern admits the name.
    NameDiffers,
    /// The name is admitted on another port or protocol.
    PortDiffers,
    /// It matched: the evaluation ends here.
    Matched,
}

/// The sink that sees nothing.
pub struct NoTrace;
impl Trace for NoTrace {
    const ACTIVE: bool = false;

    #[inline(always)]
    fn rule(&mut self, _: RuleId, _: RuleOutcome) {}
}

/// Outer names behind which a provider of Encrypted Client Hello hides those of all its customers (RFC 9849 section 6.1
/// calls it `public_name`). Only a rule that names one exactly allows it: a wildcard's author did not mean them all.
pub(super) const ECH_PUBLIC_NAMES: [&str; 2] = ["cloudflare-ech.com", "public.tls-ech.dev"];

/// Whether the name is a known public name of an ECH provider; `check` warns where a rule allows one.
pub fn is_ech_public_name(name: &Fqdn) -> bool {
    ECH_PUBLIC_NAMES.contains(&name.as_str())
}

impl CompiledPolicy {
    /// Application rules, the parent policies' first, then by group priority, then by collection priority, low first, rules
    /// top down, and the infrastructure collection last; the first match ends it; nothing matched is Deny `NoRuleMatched`.
    /// What goes before application rules is in [`CompiledPolicy::evaluate`].
    ///
    /// Explicit flows are judged by these rules only, unless `explicit_network_rules` is on. The index gives the rules that admit the name, each list in
    /// order; of the rules that also match source and port the first one wins. Cost: the labels of the name, and the
    /// rules that admit it. Allocates only for a trace.
    pub fn decide<T: Trace>(&self, attempt: &Attempt<'_>, trace: &mut T) -> Decision {
        let in_force = self.decide_as(attempt, Audited::Passed, trace);
        self.told(in_force, || self.decide_as(attempt, Audited::Ends, &mut NoTrace))
    }

    /// The part of [`CompiledPolicy::decide`] that sees rules in audit mode in one way.
    pub fn decide_as<T: Trace>(&self, attempt: &Attempt<'_>, audited: Audited, trace: &mut T) -> Decision {
        let mut winner: Option<Candidate> = None;
        let mut seen = Vec::new();
        let exact_only = is_ech_public_name(attempt.name);
        for found in self.names.lists(attempt.name.as_str()) {
            for &candidate in found.candidates {
                if winner.is_some_and(|winner| !candidate.precedes(winner)) {
                    break;
                }
                if exact_only && !found.exact && self.compiled(candidate).action == Action::Allow {
                    continue;
                }
                let outcome = self.outcome(candidate, attempt);
                if T::ACTIVE {
                    seen.push((RuleId::new(candidate.rule()), outcome));
                }
                if outcome == RuleOutcome::Matched && !self.passes(audited, RuleId::new(candidate.rule())) {
                    winner = Some(candidate);
                    break;
                }
            }
            if winner.is_some_and(|winner| found.ends_with(winner)) {
                break;
            }
        }
        if T::ACTIVE {
            self.report(seen, winner, trace);
        }
        winner.map_or_else(|| self.default_decision(), |winner| self.decision(winner))
    }

    /// How a rule fares whose pattern admits the name.
    fn outcome(&self, candidate: Candidate, attempt: &Attempt<'_>) -> RuleOutcome {
        let asked = ProtocolPort {
            protocol: attempt.protocol,
            port: attempt.port,
        };
        if !self.sources(candidate).contains(attempt.source) {
            RuleOutcome::SourceDiffers
        } else if self.ports(candidate).binary_search(&asked).is_err() {
            RuleOutcome::PortDiffers
        } else {
            RuleOutcome::Matched
        }
    }

    fn decision(&self, winner: Candidate) -> Decision {
        let rule = self.compiled(winner);
        Decision {
            action: rule.action,
            reason: Reason::RuleMatched,
            rule: Some(RuleId::new(winner.rule())),
            behind: None,
            mode: rule.mode,
            wide: winner.wide(),
        }
    }

    pub(super) fn default_decision(&self) -> Decision {
        Decision {
            action: Action::Deny,
            reason: Reason::NoRuleMatched,
            rule: None,
            behind: None,
            mode: self.mode(),
            wide: false,
        }
    }

    /// Tells the trace what the evaluation saw, in order; rules that it never saw do not admit the name.
    fn report<T: Trace>(&self, mut seen: Vec<(RuleId, RuleOutcome)>, winner: Option<Candidate>, trace: &mut T) {
        seen.sort_unstable();
        for rule in self.application_rules() {
            let from = seen.partition_point(|&(other, _)| other < rule);
            let outcomes = seen[from..].iter().take_while(|&&(other, _)| other == rule);
            trace.rule(
                rule,
                outcomes
                    .map(|&(_, outcome)| outcome)
                    .max()
                    .unwrap_or(RuleOutcome::NameDiffers),
            );
            if winner.is_some_and(|winner| winner.rule() as usize == rule.index()) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
