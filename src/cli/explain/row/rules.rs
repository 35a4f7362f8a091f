//! Rules as rows name them: policy, group, collection, rule. A group of a parent may have the name of one of ours.

use super::attempt::RuleColumns;
use crate::{
    config::problem::printable,
    policy::{CompiledPolicy, RuleId},
};

/// A rule, for people and to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    whose: Whose,
    /// `group/collection/rule`
    label: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    Own,
    Parents(String),
    /// The row names a policy that is not in today's chain, or none.
    Unknown,
}

impl Named {
    /// A rule of today.
    pub fn of(policy: &CompiledPolicy, rule: RuleId) -> Self {
        let names = policy.rule_ref(rule);
        Self {
            whose: whose(policy, &names.policy),
            label: format!("{}/{}/{}", names.group, names.collection, names.rule),
        }
    }

    /// A rule of a row.
    pub fn of_row(policy: &CompiledPolicy, columns: &RuleColumns) -> Self {
        Self {
            whose: whose(policy, &columns.policy),
            label: columns.label.clone(),
        }
    }

    /// Whether a rule of a row is this one of today.
    pub fn is(&self, today: &Self) -> bool {
        self.label == today.label && (self.whose == Whose::Unknown || self.whose == today.whose)
    }

    /// As `explain` shows rules elsewhere.
    pub fn shown(&self) -> String {
        match &self.whose {
            Whose::Parents(policy) => printable(&format!("{policy}: {}", self.label)),
            Whose::Own | Whose::Unknown => printable(&self.label),
        }
    }
}

fn whose(policy: &CompiledPolicy, name: &str) -> Whose {
    let model = policy.model();
    let mut parents = model.parents.iter();
    match () {
        () if *model.name == *name => Whose::Own,
        () if parents.any(|parent| *parent.name == *name) => Whose::Parents(name.to_owned()),
        () => Whose::Unknown,
    }
}
