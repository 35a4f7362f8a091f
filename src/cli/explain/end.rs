//! What comes of an attempt under a policy: the rules, vetting, and what the rules say of the addresses that its name leads to.
//! Pure: what had to be looked up is handed in, so that a changed policy is judged by the same facts.

use super::{
    Explanation,
    judged::{self, Judged},
    resolve::Resolution,
};
use crate::policy::{
    Action, CompiledPolicy, DecidedBy, Decision, Evaluation, Fqdn, Reason, Resolved, RuleId, Via, is_never_dialled,
};
use std::net::IpAddr;

/// The end of an attempt, as far as was looked.
pub struct End {
    /// What was said before anything was looked up, step by step.
    pub judged: Judged,
    /// What is told in the end: of the name, or of the addresses that it leads to.
    pub told: Evaluation,
    /// An address that is never dialled, whatever the rules say.
    pub never_dialled: bool,
    /// What becomes of the name's addresses, if they were looked up.
    pub resolution: Option<Resolution>,
}

impl End {
    pub fn decision(&self) -> Decision {
        self.told.decision
    }

    /// Whether the flow would get through, for certain.
    pub fn permitted(&self) -> bool {
        self.may_pass() && self.by_address().is_none()
    }

    /// Whether it would, unless its name leads where a rule denies.
    pub fn may_pass(&self) -> bool {
        let dialled = self.resolution.as_ref().is_none_or(|found| found.vetted.is_ok());
        self.passes_rules() && dialled
    }

    /// Whether it gets as far as its addresses.
    fn passes_rules(&self) -> bool {
        self.judged.evaluation.decision.permits() && !self.never_dialled
    }

    /// The rule that may deny where the name leads, if nobody says where that is.
    pub fn by_address(&self) -> Option<RuleId> {
        let open = self.judged.evaluation.by_address;
        let known = self.resolution.as_ref().is_some_and(Resolution::is_known);
        open.filter(|_| !known && !self.never_dialled)
    }

    /// Whether it would get through in every mode: what audit mode lets through is denied.
    pub fn allowed(&self) -> bool {
        self.permitted() && self.decision().action == Action::Allow
    }

    /// Whether it would in every mode, unless its name leads where a rule denies.
    pub fn may_be_allowed(&self) -> bool {
        self.may_pass() && self.decision().action == Action::Allow
    }

    /// The addresses that are denied for themselves, with what was judged of each.
    pub fn denied(&self) -> &[(IpAddr, Judged)] {
        self.resolution.as_ref().map_or(&[], |found| &found.denied)
    }

    /// Why it ends so.
    pub fn reason(&self) -> Reason {
        match &self.resolution {
            Some(Resolution {
                vetted: Err(reason), ..
            }) => *reason,
            _ if self.never_dialled => Reason::AddressDenied,
            _ => self.decision().reason,
        }
    }
}

impl Explanation {
    /// The end under a policy; `None`: what was asked for is refused before any rule is asked.
    pub fn end_under(&self, policy: &CompiledPolicy) -> Option<End> {
        self.end_where(policy, &self.known())
    }

    /// The same as far as is known where names lead.
    fn end_where(&self, policy: &CompiledPolicy, resolved: &Resolved) -> Option<End> {
        self.asked.target.host.as_ref().ok()?;
        let judged = judged::judge(policy, &self.asked, resolved);
        let mut end = End {
            told: judged.evaluation,
            judged,
            never_dialled: false,
            resolution: None,
        };
        if !end.passes_rules() {
            return Some(end);
        }
        let decision = end.decision();
        // Vetting holds whatever network rules allow; a private address is vouched for by the rule that allows it.
        if let Some(ip) = self.asked.target.address().filter(|_| self.asked.via == Via::Explicit) {
            let allowed = decision.allowing().is_some();
            end.never_dialled = self.addresses.vet_address(ip, self.asked.target.port, allowed).is_err();
        }
        // Of what is routed nothing leaves for such an address either; what is translated leaves for another one.
        let carried = self.asked.destination.filter(|_| self.asked.via == Via::Transparent);
        let translated = end.judged.evaluation.by == DecidedBy::Nat;
        end.never_dialled |= carried.is_some_and(|ip| !translated && is_never_dialled(ip));
        if let Some(answer) = self.answer.as_ref().filter(|_| self.looks_up(&end)) {
            let scope = decision.allowing().and_then(|rule| policy.application_rule(rule));
            let mut resolution = Resolution::vetted(answer, &self.addresses, self.asked.target.port, scope);
            if self.asked.via == Via::Explicit {
                let judge = |ip| judged::judge(policy, &self.asked.leading_to(ip), resolved);
                if let Some(mut told) = resolution.judge(judge) {
                    if told.decision.permits() {
                        told.decision = told.decision.behind_which(decision);
                    }
                    end.told = told;
                }
            }
            end.resolution = Some(resolution);
        }
        Some(end)
    }

    /// What was said of where names lead, with what was found out of the one that is asked for.
    fn known(&self) -> Resolved {
        let mut known = self.resolved.clone();
        if let (Some(name), Some(answer)) = (self.asked.target.name(), &self.answer)
            && self.asked.via == Via::Explicit
            && Resolution::knows(answer)
        {
            let addresses = answer.iter().flat_map(|answer| &answer.addresses);
            known.set(name.clone(), addresses.map(|address| address.ip).collect());
        }
        known
    }

    /// Whether a name is looked up: not before it is allowed, and not for what is translated.
    pub fn looks_up(&self, end: &End) -> bool {
        end.passes_rules() && end.judged.evaluation.by != DecidedBy::Nat && self.asked.target.name().is_some()
    }

    /// Whether the name by itself is let in, so that the gateway looks it up, whatever rules say of every address then.
    pub fn is_let_in(&self, name: &Fqdn) -> bool {
        let mut resolved = self.resolved.clone();
        if self.asked.via == Via::Explicit {
            resolved.set(name.clone(), Vec::new());
        }
        let end = self.end_where(&self.policy, &resolved);
        end.is_some_and(|end| self.looks_up(&end))
    }
}
