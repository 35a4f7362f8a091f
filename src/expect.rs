//! Policy tests: attempts, and the decisions that are expected of them.
//!
//! A file of expectations comes in ([`read`]); what each attempt got, the rules that none reached, and the rules that could be
//! deleted or turned round without a test failing ([`mutants`]) go out. The attempts are judged by the evaluation that decides
//! flows ([`probe`]); nothing is resolved, dialled or bound.

pub mod mutants;
pub mod probe;
pub mod read;
pub mod target;

pub use mutants::{Mutants, Survivor};
pub use probe::{Judged, Near, Probe};
pub use read::Suite;

use crate::policy::{Action, CompiledPolicy, DecidedBy, Reason, RuleId};
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
    /// Whether it came as expected, for certain.
    pub fn holds(&self, policy: &CompiledPolicy, judged: &Judged) -> bool {
        let decision = &judged.decision;
        !judged.unresolved
            && decision.action == self.decision
            && self.reason.is_none_or(|reason| decision.reason == reason)
            && (self.rule.as_ref()).is_none_or(|rule| decision.rule.is_some_and(|id| is_called(policy, id, rule)))
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

/// Whether a rule is the one of this name: `group/collection/rule`, or with its policy in front.
pub fn is_called(policy: &CompiledPolicy, rule: RuleId, name: &str) -> bool {
    let names = policy.rule_ref(rule);
    let short = format!("{}/{}/{}", names.group, names.collection, names.rule);
    short == name
        || name
            .strip_prefix(&*names.policy)
            .and_then(|rest| rest.strip_prefix('/'))
            == Some(short.as_str())
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
        let judged: Vec<Judged> = expectations
            .iter()
            .map(|expected| expected.probe.judge(policy))
            .collect();
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
