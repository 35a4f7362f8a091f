//! A collection in audit mode records what it would deny, and judging goes on behind it: what is in force is the policy without
//! it. It never lets through what nothing else allows.

use super::{Action, CompiledPolicy, Decision, Evaluation, FlowAttempt, Mode, NoTrace, RuleId, Trace};

/// What a rule does that denies in a collection in audit mode. Where the whole policy is in audit mode there are none: each
/// denial ends its evaluation and is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audited {
    /// It is passed over: what is in force.
    Passed,
    /// It ends the evaluation: what is told of an attempt that is let through.
    Ends,
}

impl CompiledPolicy {
    /// Whether a rule records what it would deny, and denies nothing.
    pub fn records_only(&self, rule: RuleId) -> bool {
        self.audits && self.action(rule) == Action::Deny && self.mode_of(rule) == Mode::Audit
    }

    /// Whether what network rules say of the addresses of a name at the proxy port may be recorded alone.
    pub fn records_addresses(&self) -> bool {
        self.model().explicit_network_rules && (self.audits || self.mode() == Mode::Audit)
    }

    /// Whether a rule is passed over in this view of the policy.
    pub(super) fn passes(&self, audited: Audited, rule: RuleId) -> bool {
        audited == Audited::Passed && self.records_only(rule)
    }

    /// What is told of an attempt: what is in force, or, if that lets it through, what would deny it, with what lets it through
    /// behind that.
    pub fn told(&self, in_force: Decision, recorded: impl FnOnce() -> Decision) -> Decision {
        if !self.audits || !in_force.permits() {
            return in_force;
        }
        match recorded() {
            recorded if recorded.action == Action::Deny => recorded.behind_which(in_force),
            _ => in_force,
        }
    }

    /// Threat intelligence, DNAT, network, application, infrastructure, default deny: always in this order of kinds. Inside a
    /// kind the parent policies first, then group priority, then collection priority, low first, rules top down; the first
    /// match ends it (Azure Firewall, rule processing), unless it denies in a collection in audit mode.
    ///
    /// - A DNAT rule translates and allows: no network rule is asked any more, as the page has it since 2023; an older
    ///   edition let a Deny network rule override it. Explicit attempts have no DNAT.
    /// - Network rules are asked for transparent attempts, and for explicit ones if `explicit_network_rules` is on. An
    ///   explicit attempt by name is allowed by exact `destination_fqdns` alone, and denied by these or, once it is resolved,
    ///   by address; a rule that allows the address lets later denials of it alone, and leaves the decision to application rules.
    /// - Application rules are asked if there is a name and HTTP or TLS over TCP.
    ///
    /// The trace sees what is in force, and rules that record only on the way.
    pub fn evaluate<T: Trace>(&self, flow: &FlowAttempt<'_>, trace: &mut T) -> Evaluation {
        let in_force = self.evaluate_as(flow, Audited::Passed, trace);
        if !self.audits || !in_force.decision.permits() {
            return in_force;
        }
        let recorded = self.evaluate_as(flow, Audited::Ends, &mut NoTrace);
        Evaluation {
            decision: self.told(in_force.decision, || recorded.decision),
            by_address: in_force.by_address.or(recorded.by_address),
            ..recorded
        }
    }
}
