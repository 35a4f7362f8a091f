//! IPv6 addresses that embed what a rule denies: NAT64, 6to4, Teredo, ISATAP. They lie all over IPv6, so that only rules that deny
//! the same IPv4 addresses, or names, are known to take them, and rules that together hold the whole of IPv6.

use super::{Budget, Packets, Piece, Ranges, RuleAt, Taker, cover};
use crate::policy::{Action, Fqdn};
use std::collections::HashMap;

/// The earlier rules that take such addresses.
pub(super) struct Embedded<'a> {
    all: &'a Ranges,
    ipv6: &'a Ranges,
    /// By the IPv4 address that is embedded, `whole` among them.
    by_address: Vec<Taker<'a>>,
    by_name: HashMap<&'a Fqdn, Vec<Taker<'a>>>,
    /// Whatever is embedded.
    whole: Vec<Taker<'a>>,
    /// By the IPv6 addresses themselves.
    parts: Vec<Taker<'a>>,
}

impl<'a> Embedded<'a> {
    pub(super) fn new(all: &'a Ranges, ipv6: &'a Ranges) -> Self {
        Self {
            all,
            ipv6,
            by_address: Vec::new(),
            by_name: HashMap::new(),
            whole: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// One more earlier rule.
    pub(super) fn takes(&mut self, rule: &'a Packets<'a>) {
        let piece = |to: &'a Ranges| (rule.at, Piece([&rule.sources, to, &rule.services]));
        if !rule.destinations.and(self.ipv6).is_empty() {
            self.parts.push(piece(&rule.destinations));
        }
        if rule.destinations.holds(self.ipv6) {
            self.whole.push(piece(self.all));
            self.by_address.push(piece(self.all));
        } else if rule.action == Action::Deny {
            self.by_address.push(piece(&rule.ipv4));
            for fqdn in &rule.fqdns {
                self.by_name.entry(fqdn).or_default().push(piece(self.all));
            }
        }
    }

    /// The earlier rules that take all that a rule denies in this way, none if it denies nothing so; `None`: something is left.
    pub(super) fn taken_of(&self, rule: &Packets<'_>, budget: &mut Budget) -> Option<Vec<RuleAt>> {
        if rule.action != Action::Deny || rule.destinations.holds(self.ipv6) {
            return Some(Vec::new());
        }
        let ipv6 = Piece([&rule.sources, self.ipv6, &rule.services]);
        (self.each_taken_of(rule, budget)).or_else(|| cover(&ipv6, &self.parts, budget))
    }

    /// By what they embed.
    fn each_taken_of(&self, rule: &Packets<'_>, budget: &mut Budget) -> Option<Vec<RuleAt>> {
        let whole = |to| Piece([&rule.sources, to, &rule.services]);
        let mut by = cover(&whole(&rule.ipv4), &self.by_address, budget)?;
        for fqdn in &rule.fqdns {
            let naming = self.by_name.get(fqdn).map_or(&[][..], Vec::as_slice);
            if !budget.take(naming.len() + self.whole.len()) {
                return None;
            }
            let takers = [naming, &self.whole].concat();
            by.extend(cover(&whole(self.all), &takers, budget)?);
        }
        Some(by)
    }
}
