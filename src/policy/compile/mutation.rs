//! A policy with one rule changed, without compiling it anew: policy tests ask whether anyone would notice.

use super::CompiledPolicy;
use crate::policy::{Action, RuleId, Rules, sources::AddressSet};

/// A change of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mutation {
    /// The rule is not there.
    Deleted,
    /// It allows what it denied, or denies what it allowed.
    Turned,
}

impl CompiledPolicy {
    /// What is seen of the policy while one of its rules is changed. Panics on the rule of a larger policy.
    pub fn mutated<R>(&mut self, rule: RuleId, mutation: Mutation, see: impl FnOnce(&Self) -> R) -> R {
        let at = rule.index();
        let kept = self.rules[at];
        match mutation {
            // A rule that speaks of nobody never matches.
            Mutation::Deleted => self.rules[at].sources = self.nobody(),
            Mutation::Turned => {
                self.rules[at].action = match kept.action {
                    Action::Allow => Action::Deny,
                    Action::Deny => Action::Allow,
                }
            }
        }
        let seen = see(self);
        self.rules[at] = kept;
        seen
    }

    /// The policy with the collection of a rule edited, compiled anew; the number is the rule's in its collection. `None`: no
    /// such rule, or one that stands in no collection.
    pub fn edited(&self, rule: RuleId, edit: impl FnOnce(&mut Rules, usize)) -> Option<Self> {
        self.place(rule)?;
        let place = self.rules[rule.index()].place;
        let mut model = self.model.clone();
        let parents = model.parents.iter_mut().map(|parent| &mut parent.groups);
        let groups = parents.chain([&mut model.groups]).nth(place.policy as usize)?;
        let collection = &mut groups[place.group as usize].collections[place.collection as usize];
        edit(&mut collection.rules, place.rule as usize);
        Some(Self::new(model))
    }

    /// The number of the empty list of sources.
    fn nobody(&mut self) -> u32 {
        let nobody = AddressSet::of(&[]);
        let known = self.sources.iter().rposition(|sources| *sources == nobody);
        let number = known.unwrap_or_else(|| {
            self.sources.push(nobody);
            self.sources.len() - 1
        });
        number as u32
    }
}
