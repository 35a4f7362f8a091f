//! [`Policy`] -> [`CompiledPolicy`]: names in a table searched label by label, sources as sorted ranges, rules by rank.

use super::{ApplicationRule, Mode, Policy, RuleId, RuleRef};

/// A policy that can be asked. Immutable.
#[derive(Debug)]
pub struct CompiledPolicy {
    _private: (),
}

impl CompiledPolicy {
    /// Cannot fail: `config` has checked the policy.
    pub fn new(policy: Policy) -> Self {
        let _ = policy;
        todo!()
    }

    /// The names of a rule, for rows.
    pub fn rule_ref(&self, rule: RuleId) -> &RuleRef {
        let _ = rule;
        todo!()
    }

    /// The application rule itself (`resolves_into`, `private_endpoints`). `None` for network and DNAT rules.
    pub fn application_rule(&self, rule: RuleId) -> Option<&ApplicationRule> {
        let _ = rule;
        todo!()
    }

    /// The model this was compiled from.
    pub fn model(&self) -> &Policy {
        todo!()
    }

    /// Global mode.
    pub fn mode(&self) -> Mode {
        todo!()
    }
}
