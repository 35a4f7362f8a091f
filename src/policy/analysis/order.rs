//! Rules in the order in which they are judged, each with its place in the model.

use crate::policy::{
    Action, ApplicationRule, Mode, NatRule, NetworkRule, Policy, RuleCollection, RuleCollectionGroup, Rules,
};

/// The place of a rule in its [`Policy`]: numbers from 0, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleAt {
    /// Of the chain of policies, the root first.
    pub policy: u32,
    /// Of the groups of that policy.
    pub group: u32,
    /// Of the collections of that group, of all kinds.
    pub collection: u32,
    /// Of the rules of that collection.
    pub rule: u32,
}

/// A rule at its place.
pub(super) struct Ranked<'a, R> {
    pub(super) at: RuleAt,
    pub(super) action: Action,
    /// It only records what it would deny: it takes nothing from later rules.
    pub(super) records: bool,
    pub(super) rule: &'a R,
}

/// The application rules.
pub(super) fn application_rules(policy: &Policy) -> Vec<Ranked<'_, ApplicationRule>> {
    ranked(policy, |rules| match rules {
        Rules::Application(rules) => rules,
        Rules::Network(_) | Rules::Nat(_) => &[],
    })
}

/// The network rules.
pub(super) fn network_rules(policy: &Policy) -> Vec<Ranked<'_, NetworkRule>> {
    ranked(policy, |rules| match rules {
        Rules::Network(rules) => rules,
        Rules::Application(_) | Rules::Nat(_) => &[],
    })
}

/// The DNAT rules.
pub(super) fn nat_rules(policy: &Policy) -> Vec<Ranked<'_, NatRule>> {
    ranked(policy, |rules| match rules {
        Rules::Nat(rules) => rules,
        Rules::Application(_) | Rules::Network(_) => &[],
    })
}

/// The rules of one kind: parent policies first, then by the priority of groups, then of collections, equal ones as written.
fn ranked<'a, R>(policy: &'a Policy, of_kind: impl Fn(&'a Rules) -> &'a [R]) -> Vec<Ranked<'a, R>> {
    let mut ranked = Vec::new();
    let records = policy.mode == Mode::Enforce;
    for (number, (_, groups)) in policy.chain().enumerate() {
        let mut groups: Vec<(usize, &RuleCollectionGroup)> = groups.iter().enumerate().collect();
        groups.sort_by_key(|(_, group)| group.priority);
        for (group, written) in groups {
            let mut collections: Vec<(usize, &RuleCollection)> = written.collections.iter().enumerate().collect();
            collections.sort_by_key(|(_, collection)| collection.priority);
            for (collection, written) in collections {
                let rules = of_kind(&written.rules).iter().enumerate();
                ranked.extend(rules.map(|(rule, written_rule)| Ranked {
                    at: RuleAt {
                        policy: number as u32,
                        group: group as u32,
                        collection: collection as u32,
                        rule: rule as u32,
                    },
                    action: written.action,
                    records: records && written.action == Action::Deny && written.mode == Mode::Audit,
                    rule: written_rule,
                }));
            }
        }
    }
    ranked
}
