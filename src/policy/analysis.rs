//! What a policy says twice, or in vain: rules that earlier ones leave nothing for, copies, contradictions.
//!
//! Exact where it speaks, silent where it would have to guess: of an exact name, unions of earlier rules count, whatever
//! their patterns; of a star, unions over sources and ports of patterns that are each as wide as the star; of network and
//! DNAT rules, unions over all they ask. All work is
//! bounded by `Budget`: what is not decided when it runs out is not told of.

mod application;
mod names;
mod order;
mod packets;
mod ranges;

use super::Policy;
pub use order::RuleAt;
use ranges::Budget;

/// One thing that a policy says twice or in vain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule that has no effect, in part or as a whole.
    pub rule: RuleAt,
    /// How so.
    pub fault: Fault,
}

/// Why a rule, or a name of it, has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every attempt that it admits is decided by these earlier rules, of which each takes a part.
    Shadowed {
        /// In the order in which they are judged.
        by: Vec<RuleAt>,
        /// But for IPv6 addresses that embed those that it denies: these are left.
        but_embedded: bool,
    },
    /// An earlier rule has the same match and the same action.
    Duplicate {
        /// The earlier rule.
        of: RuleAt,
    },
    /// An earlier rule has the same match and the other action.
    Contradiction {
        /// The earlier rule.
        of: RuleAt,
        /// It denies, and IPv6 addresses that embed those of the match are left for it.
        but_embedded: bool,
    },
    /// Protocols and ports of its targets have none in common with its own.
    NoPort,
    /// A network rule allows every address: no name is looked at.
    Everywhere,
    /// An application rule is not asked for attempts that come transparently: network rules, which go first, take them all.
    BehindNetwork {
        /// In the order in which they are judged.
        by: Vec<RuleAt>,
        /// So it is with IPv4; IPv6 is left.
        ipv4_alone: bool,
    },
    /// An application rule is not asked for attempts at the proxy port: network rules name all its names.
    BehindNames {
        /// In the order in which they are judged.
        by: Vec<RuleAt>,
    },
    /// One of its targets is taken by earlier rules, or by an earlier target of its own.
    Taken {
        /// Number of the target in the rule.
        target: usize,
        /// Rules and their targets that take it.
        by: Vec<(RuleAt, usize)>,
    },
}

/// Everything of this kind that can be said of the policy: of DNAT and network rules, then of application rules.
pub fn analyse(policy: &Policy) -> Vec<Finding> {
    let mut findings = packets::analyse(policy, &mut Budget::default());
    findings.extend(application::analyse(policy, &mut Budget::default()));
    findings
}
