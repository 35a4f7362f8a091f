//! Policy tests: attempts, and the decisions that are expected of them.
//!
//! A file of expectations comes in ([`read`]); what each attempt got, the rules that none reached, and the rules that could be
//! deleted or turned round without a test failing ([`mutants`]) go out. The attempts are judged by the evaluation that decides
//! flows ([`probe`]); nothing is resolved, dialled or bound.

mod fits;
pub mod mutants;
pub mod probe;
pub mod read;
pub mod target;

pub use mutants::{Mutants, Survivor};
pub use probe::{Judged, Near, Probe};
pub use read::Suite;

use crate::policy::{Action, CompiledPolicy, DecidedBy, Reason, RuleId, compile::Mutation};
use std::collections::BTreeSet;

/// One attempt and what is expected of it.
#[derive(Clone, Debug)]
pub struct Expectation {
    /// What it is about, in the words of whoever wrote it.
    pub name: String,
    /// `file:line:column` of the name.
    pub place: String,
    /// The attempt.
    pub probe: Probe,
    /// What the policy is to say. In audit mode that is what it would have been.
    pub decision: Action,
    /// The rule that is to decide, `group/collection/rule`, with the policy in front where two have a group of that name.
    pub rule: Option<String>,
    /// Why.
    pub reason: Option<Reason>,
}

impl Expectation {
    /// What the attempt gets, and by which rules: also by those that do nothing but keep others from deciding it otherwise.
    fn judge(&self, policy: &mut CompiledPolicy) -> Judged {
        let mut judged = self.probe.judge(policy);
        if !judged.told() {
            return judged;
        }
        let verdict = |policy: &CompiledPolicy, judged: &Judged| {
            (judged.decision.action, judged.told(), self.holds(policy, judged))
        };
        let now = verdict(policy, &judged);
        for rule in self.probe.may_sway(policy) {
            if judged.swayed_by.contains(&rule) {
                continue;
            }
            let then = policy.mutated(rule, Mutation::Deleted, |without| {
                verdict(without, &self.probe.judge(without))
            });
            if then != now {
                judged.swayed_by.push(rule);
            }
        }
        judged
    }

    /// Whether it came as expected, for certain.
    pub fn holds(&self, policy: &CompiledPolicy, judged: &Judged) -> bool {
        let decision = &judged.decision;
        judged.told()
            && decision.action == self.decision
            && self.reason.is_none_or(|reason| decision.reason == reason)
            && (self.rule.as_ref()).is_none_or(|rule| decision.rule.is_some_and(|id| is_meant(policy, id, rule)))
    }
}

/// `group/collection/rule`, with the policy in front if it is a parent's.
pub fn label(policy: &CompiledPolicy, rule: RuleId) -> String {
    let names = policy.rule_ref(rule);
    let label = format!("{}/{}/{}", names.group, names.collection, names.rule);
    match names.policy == policy.model().name {
        true => label,
        false => format!("{}/{label}", names.policy),
    }
}

/// Whether a rule has this name: `group/collection/rule`, or with its policy in front.
pub fn is_called(policy: &CompiledPolicy, rule: RuleId, name: &str) -> bool {
    let names = policy.rule_ref(rule);
    let short = [&*names.group, &names.collection, &names.rule];
    reads(name, &short) || behind(name, &names.policy).is_some_and(|rest| reads(rest, &short))
}

/// Whether a rule is the only one that may be meant by this name: [`label`] goes before the other form, and of names with slashes
/// several rules may have one.
pub fn is_meant(policy: &CompiledPolicy, rule: RuleId, name: &str) -> bool {
    let own = |rule| is_labelled(policy, rule, name);
    let mut others = policy.rules().filter(|other| *other != rule);
    match own(rule) {
        true => !others.any(own),
        false => is_called(policy, rule, name) && !others.any(|other| is_called(policy, other, name)),
    }
}

/// Whether this is what [`label`] makes of a rule.
fn is_labelled(policy: &CompiledPolicy, rule: RuleId, name: &str) -> bool {
    let names = policy.rule_ref(rule);
    let rest = match names.policy == policy.model().name {
        true => Some(name),
        false => behind(name, &names.policy),
    };
    rest.is_some_and(|rest| reads(rest, &[&names.group, &names.collection, &names.rule]))
}

/// Whether a text is these parts with slashes between them.
fn reads(text: &str, parts: &[&str]) -> bool {
    match parts {
        [] => false,
        [last] => text == *last,
        [first, more @ ..] => behind(text, first).is_some_and(|rest| reads(rest, more)),
    }
}

/// What stands behind a part and its slash.
fn behind<'a>(text: &'a str, part: &str) -> Option<&'a str> {
    text.strip_prefix(part)?.strip_prefix('/')
}

/// What came of all expectations under one policy.
#[derive(Debug)]
pub struct Run {
    /// What each attempt got, in the order of the expectations.
    pub judged: Vec<Judged>,
    /// Numbers of the expectations that failed.
    pub failed: Vec<usize>,
    /// Rules that decided an attempt, or swayed its decision.
    pub reached: BTreeSet<RuleId>,
    /// All other rules, in the order in which they are judged.
    pub unreached: Vec<RuleId>,
    /// Changes of the rules that nobody would notice; `None`: a test fails anyway.
    pub mutants: Option<Mutants>,
}

impl Run {
    /// Judges all attempts; then, if none failed, the mutants.
    pub fn new(policy: &mut CompiledPolicy, suite: &Suite) -> Self {
        let expectations = &suite.expectations;
        let judged: Vec<Judged> = expectations.iter().map(|expected| expected.judge(policy)).collect();
        let failed: Vec<usize> = (expectations.iter().zip(&judged).enumerate())
            .filter(|(_, (expected, judged))| !expected.holds(policy, judged))
            .map(|(number, _)| number)
            .collect();
        let own = |rule: &RuleId| policy.kind(*rule) != Some(DecidedBy::Infrastructure);
        let reached: BTreeSet<RuleId> = judged
            .iter()
            .flat_map(|judged| judged.swayed_by.iter().copied())
            .filter(own)
            .collect();
        let unreached = policy
            .rules()
            .filter(own)
            .filter(|rule| !reached.contains(rule))
            .collect();
        let mutants = failed.is_empty().then(|| Mutants::of(policy, expectations, &judged));
        Self {
            judged,
            failed,
            reached,
            unreached,
            mutants,
        }
    }

    /// Rules that were reached, in per cent of all; a policy without rules is covered.
    pub fn coverage(&self) -> f64 {
        percent(self.reached.len(), self.reached.len() + self.unreached.len())
    }
}

/// A part in per cent; of nothing it is all.
pub fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        return 100.0;
    }
    part as f64 * 100.0 / whole as f64
}

#[cfg(test)]
mod tests;
