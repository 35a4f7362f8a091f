//! Changes of one rule that no test would notice.
//!
//! Only rules that swayed an attempt are changed, and only the attempts that they swayed are judged again: every other attempt
//! is judged as before, whether the rule is there or not.

use super::{Expectation, Judged};
use crate::policy::{CompiledPolicy, DecidedBy, RuleId, compile::Mutation};
use std::collections::BTreeMap;

/// A change that makes no test fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survivor {
    /// The rule.
    pub rule: RuleId,
    /// What may be done to it unnoticed.
    pub mutation: Mutation,
}

/// What came of changing each rule that decided an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mutants {
    /// Changes that were tried.
    pub tried: usize,
    /// Those that made no test fail, in the order in which the rules are judged.
    pub survivors: Vec<Survivor>,
}

impl Mutants {
    /// Tries every change. `judged` is what the attempts got, all as expected.
    pub(super) fn of(policy: &mut CompiledPolicy, expectations: &[Expectation], judged: &[Judged]) -> Self {
        let mut by_rule: BTreeMap<RuleId, Vec<&Expectation>> = BTreeMap::new();
        for (expected, judged) in expectations.iter().zip(judged) {
            for rule in &judged.swayed_by {
                by_rule.entry(*rule).or_default().push(expected);
            }
        }
        let mut mutants = Self::default();
        for (rule, expectations) in by_rule {
            for mutation in changes(policy.kind(rule)) {
                let noticed = policy.mutated(rule, *mutation, |mutant| {
                    let holds = |expected: &&Expectation| expected.holds(mutant, &expected.probe.judge(mutant));
                    !expectations.iter().all(holds)
                });
                mutants.tried += 1;
                mutants.survivors.extend((!noticed).then_some(Survivor {
                    rule,
                    mutation: *mutation,
                }));
            }
        }
        mutants
    }

    /// Changes that a test noticed, in per cent of those that were tried.
    pub fn noticed(&self) -> f64 {
        super::percent(self.tried - self.survivors.len(), self.tried)
    }
}

/// What can be done to a rule: a DNAT rule only allows, and the infrastructure collection is no rule of the policy's.
fn changes(kind: Option<DecidedBy>) -> &'static [Mutation] {
    match kind {
        Some(DecidedBy::Network | DecidedBy::Application) => &[Mutation::Deleted, Mutation::Turned],
        Some(DecidedBy::Nat) => &[Mutation::Deleted],
        _ => &[],
    }
}
