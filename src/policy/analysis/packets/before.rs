//! Application rules that network rules, which are asked before, leave nothing for.

use super::{Budget, ByList, Fault, Finding, Packets, Piece, Ranges, Ranked, RuleAt, Taker, cover};
use crate::policy::{ApplicationRule, FqdnPattern, ProtocolPort};
use std::rc::Rc;

/// The network rules, as application rules find them: asked before.
pub(super) struct Before<'a> {
    pub network: &'a [Packets<'a>],
    pub by_address: &'a [Taker<'a>],
    pub explicit: bool,
}

impl Before<'_> {
    /// Whether they leave nothing for an application rule.
    pub fn take_all_of(
        &self,
        ranked: &Ranked<'_, ApplicationRule>,
        lists: &mut ByList<Rc<Ranges>>,
        budget: &mut Budget,
    ) -> Option<Finding> {
        let sources = &ranked.rule.sources;
        let sources = lists.once(sources, || Rc::new(Ranges::of_sources(sources)));
        let services = tcp(ranked.rule.protocols.iter());
        if sources.is_empty() || services.is_empty() || ranked.rule.targets.is_empty() {
            return None;
        }
        let mut taken = |to: &Ranges| cover(&Piece([&sources, to, &services]), self.by_address, budget);
        let fault = match (taken(&Ranges::ipv4()), taken(&Ranges::all())) {
            (_, Some(by)) => Fault::BehindNetwork { by, ipv4_alone: false },
            (Some(by), None) => Fault::BehindNetwork { by, ipv4_alone: true },
            (None, None) => Fault::BehindNames {
                by: self.name_all_of(ranked.rule, &sources, budget)?,
            },
        };
        Some(Finding { rule: ranked.at, fault })
    }

    /// The network rules that name all names of an application rule, for its sources and ports.
    fn name_all_of(&self, rule: &ApplicationRule, sources: &Ranges, budget: &mut Budget) -> Option<Vec<RuleAt>> {
        let all = Ranges::all();
        let mut by = Vec::new();
        for target in rule.targets.iter().filter(|_| self.explicit) {
            let FqdnPattern::Exact(name) = &target.pattern else {
                return None;
            };
            if !budget.take(self.network.len()) {
                return None;
            }
            let naming = self
                .network
                .iter()
                .filter(|other| other.fqdns.binary_search(&name).is_ok());
            let takers: Vec<Taker<'_>> = naming
                .map(|other| (other.at, Piece([&other.sources, &all, &other.services])))
                .collect();
            let admitted = |spoken: &&ProtocolPort| target.ports.as_ref().is_none_or(|ports| ports.contains(spoken));
            let services = tcp(rule.protocols.iter().filter(admitted));
            by.extend(cover(&Piece([sources, &all, &services]), &takers, budget)?);
        }
        let mut named: Vec<RuleAt> = self.network.iter().map(|rule| rule.at).collect();
        named.retain(|at| by.contains(at));
        (!named.is_empty()).then_some(named)
    }
}

/// The TCP ports of an application rule, as services.
fn tcp<'a>(spoken: impl Iterator<Item = &'a ProtocolPort>) -> Ranges {
    Ranges::merged(
        spoken
            .map(|spoken| (u128::from(spoken.port), u128::from(spoken.port)))
            .collect(),
    )
}
