//! Equal priorities, where only the order of the file says who is judged first. TOML refuses them; imported policies may have
//! them, and Azure does not document what it makes of them.

use super::{CompiledPolicy, RuleId};
use crate::policy::RuleCollectionGroup;
use std::mem::discriminant;

/// What stands at the same priority as the collection and the group of a rule, and has rules of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ties<'a> {
    /// Other collections of the group, in written order.
    pub collections: Vec<&'a str>,
    /// Other groups of the policy, in written order.
    pub groups: Vec<&'a str>,
}

impl CompiledPolicy {
    /// The ties of a rule; none for the infrastructure collection, which stands alone.
    pub fn ties(&self, rule: RuleId) -> Ties<'_> {
        self.find_ties(rule).unwrap_or_default()
    }

    fn find_ties(&self, rule: RuleId) -> Option<Ties<'_>> {
        let (rules, _) = self.place(rule)?;
        let place = self.rules.get(rule.index())?.place;
        let (_, groups) = self.model.chain().nth(place.policy as usize)?;
        let (own_group, own_collection) = (place.group as usize, place.collection as usize);
        let (group, collection) = (&groups[own_group], &groups[own_group].collections[own_collection]);
        let kind = discriminant(rules);
        let of_kind = |group: &RuleCollectionGroup| {
            let mut collections = group.collections.iter();
            collections.any(|other| discriminant(&other.rules) == kind)
        };
        let collections = group.collections.iter().enumerate().filter(|(at, other)| {
            *at != own_collection && other.priority == collection.priority && discriminant(&other.rules) == kind
        });
        let tied = groups.iter().enumerate();
        let tied = tied.filter(|(at, other)| *at != own_group && other.priority == group.priority && of_kind(other));
        Some(Ties {
            collections: collections.map(|(_, other)| &*other.name).collect(),
            groups: tied.map(|(_, other)| &*other.name).collect(),
        })
    }
}
