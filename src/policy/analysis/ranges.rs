//! [`Ranges`]: sets of addresses or of ports, exact, with the operations that unions of rules need; [`Budget`] bounds them all.

use crate::policy::Sources;
use ipnet::IpNet;
use std::{collections::HashMap, net::IpAddr, sync::Arc};

/// First and last IPv4-mapped address (RFC 4291 section 2.5.5.2): where IPv4 stands among the numbers.
const MAPPED: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

/// Steps that an analysis may take: comparisons of ranges. Enough for 10,000 rules whose source lists all differ, and over
/// within about two seconds.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(100_000_000)
    }
}

impl Budget {
    /// Takes steps; false once there are none left.
    pub(super) fn take(&mut self, steps: usize) -> bool {
        self.0 = self.0.saturating_sub(steps as u64);
        self.0 > 0
    }
}

/// Inclusive ranges, ascending, disjoint and not adjacent: equal sets are equal values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Ranges(Box<[(u128, u128)]>);

impl Ranges {
    /// Every address.
    pub(super) fn all() -> Self {
        Self([(0, u128::MAX)].into())
    }

    /// Every IPv4 address.
    pub(super) fn ipv4() -> Self {
        Self([MAPPED].into())
    }

    /// Every IPv6 address.
    pub(super) fn ipv6() -> Self {
        Self::all().without(&Self::ipv4())
    }

    pub(super) fn of_sources(sources: &Sources) -> Self {
        match sources {
            Sources::Any { .. } => Self::all(),
            Sources::Nets(nets) => Self::of_nets(nets.iter()),
        }
    }

    /// IPv4 prefixes at their IPv4-mapped addresses; IPv6 prefixes without these, as sources are matched.
    pub(super) fn of_nets<'a>(nets: impl IntoIterator<Item = &'a IpNet>) -> Self {
        let mut ranges = Vec::new();
        for net in nets {
            let (first, last) = (number(net.network()), number(net.broadcast()));
            if matches!(net, IpNet::V4(_)) || (first >= MAPPED.0 && last <= MAPPED.1) {
                ranges.push((first, last));
                continue;
            }
            if first < MAPPED.0 {
                ranges.push((first, last.min(MAPPED.0 - 1)));
            }
            if last > MAPPED.1 {
                ranges.push((first.max(MAPPED.1 + 1), last));
            }
        }
        Self::merged(ranges)
    }

    pub(super) fn merged(mut ranges: Vec<(u128, u128)>) -> Self {
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1.saturating_add(1);
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
        Self(ranges.into())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// First and last number, for a quick look; an empty set has none.
    pub(super) fn ends(&self) -> Option<(u128, u128)> {
        Some((self.0.first()?.0, self.0.last()?.1))
    }

    /// Whether all of `part` lies in it.
    pub(super) fn holds(&self, part: &Self) -> bool {
        part.0
            .iter()
            .all(|(first, last)| self.end_at(*first).is_some_and(|end| end >= *last))
    }

    /// What both hold.
    pub(super) fn and(&self, other: &Self) -> Self {
        let (mut one, mut two) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut both = Vec::new();
        while let (Some(a), Some(b)) = (one.peek(), two.peek()) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                both.push((first, last));
            }
            if a.1 <= b.1 {
                one.next();
            } else {
                two.next();
            }
        }
        Self(both.into())
    }

    /// What is left without `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for (first, last) in &self.0 {
            let mut at = Some(*first);
            let from = other.0.partition_point(|(_, end)| end < first);
            for (start, end) in other.0[from..].iter().take_while(|(start, _)| start <= last) {
                if let Some(from) = at.filter(|from| from < start) {
                    left.push((from, start - 1));
                }
                at = end.checked_add(1);
            }
            left.extend(at.filter(|from| from <= last).map(|from| (from, *last)));
        }
        Self(left.into())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The end of the range that holds this number.
    fn end_at(&self, number: u128) -> Option<u128> {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        let (_, last) = self.0.get(after.checked_sub(1)?)?;
        (*last >= number).then_some(*last)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
    .to_bits()
}

/// Which of `parts` together hold all of `whole`; `None`: something is left, or the budget is.
pub(super) fn cover(whole: &Ranges, parts: &[&Ranges], budget: &mut Budget) -> Option<Vec<usize>> {
    let mut used = Vec::new();
    for (first, last) in &whole.0 {
        let mut at = *first;
        loop {
            if !budget.take(parts.len()) {
                return None;
            }
            let ends = parts
                .iter()
                .enumerate()
                .filter_map(|(part, ranges)| Some((ranges.end_at(at)?, part)));
            // The one that goes furthest; of equals the first.
            let (end, part) = ends.max_by_key(|(end, part)| (*end, std::cmp::Reverse(*part)))?;
            if !used.contains(&part) {
                used.push(part);
            }
            if end >= *last {
                break;
            }
            at = end + 1;
        }
    }
    Some(used)
}

/// What is made of source lists: once of one that rules share. It is found by its place in memory, and kept there.
pub(super) struct ByList<T>(HashMap<*const Vec<IpNet>, (Arc<Vec<IpNet>>, T)>);

impl<T> Default for ByList<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Clone> ByList<T> {
    pub(super) fn once(&mut self, sources: &Sources, make: impl FnOnce() -> T) -> T {
        match sources {
            Sources::Nets(list) if Arc::strong_count(list) > 1 => {
                let made = || (Arc::clone(list), make());
                self.0.entry(Arc::as_ptr(list)).or_insert_with(made).1.clone()
            }
            Sources::Nets(_) | Sources::Any { .. } => make(),
        }
    }
}

/// Source lists by number, equal ones held once.
#[derive(Default)]
pub(super) struct SourceSets {
    lists: ByList<u32>,
    sets: Vec<Ranges>,
    numbers: HashMap<Ranges, u32>,
    inside: HashMap<(u32, u32), bool>,
}

impl SourceSets {
    pub(super) fn number(&mut self, sources: &Sources) -> u32 {
        let number = || {
            let ranges = Ranges::of_sources(sources);
            *self.numbers.entry(ranges).or_insert_with_key(|ranges| {
                self.sets.push(ranges.clone());
                self.sets.len() as u32 - 1
            })
        };
        self.lists.once(sources, number)
    }

    pub(super) fn get(&self, set: u32) -> &Ranges {
        &self.sets[set as usize]
    }

    /// Whether all of `part` lies in `whole`.
    pub(super) fn holds(&mut self, whole: u32, part: u32, budget: &mut Budget) -> bool {
        if whole == part {
            return true;
        }
        if let Some(known) = self.inside.get(&(whole, part)) {
            return *known;
        }
        let found = cover(self.get(part), &[self.get(whole)], budget).is_some();
        self.inside.insert((whole, part), found);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_of_a_list_that_rules_share_is_made_once() {
        let shared = Sources::from(vec!["10.0.0.0/8".parse().unwrap()]);
        let also = shared.clone();
        let alone = Sources::from(vec!["10.0.0.0/8".parse().unwrap()]);
        let (mut lists, mut made) = (ByList::default(), 0);
        for sources in [&shared, &also, &alone, &alone] {
            lists.once(sources, || made += 1);
        }
        assert_eq!(made, 3);
    }

    fn ranges(nets: &[&str]) -> Ranges {
        let nets: Vec<IpNet> = nets.iter().map(|net| net.parse().unwrap()).collect();
        Ranges::of_nets(&nets)
    }

    fn covered(whole: &[&str], parts: &[&[&str]]) -> Option<Vec<usize>> {
        let parts: Vec<Ranges> = parts.iter().map(|nets| ranges(nets)).collect();
        let parts: Vec<&Ranges> = parts.iter().collect();
        cover(&ranges(whole), &parts, &mut Budget::default())
    }

    #[test]
    fn prefixes_together_hold_what_none_holds_alone() {
        let halves: &[&[&str]] = &[&["10.0.0.0/25"], &["10.9.0.0/16"], &["10.0.0.128/25"]];
        assert_eq!(covered(&["10.0.0.0/24"], halves), Some(vec![0, 2]));
        assert_eq!(covered(&["10.0.0.0/23"], halves), None);
        assert_eq!(covered(&[], halves), Some(vec![]), "nothing is held by anything");
        assert_eq!(
            covered(&["10.0.0.7/32"], &[&["10.0.0.0/8"], &["0.0.0.0/0"]]),
            Some(vec![1])
        );
    }

    #[test]
    fn both_families_whole_are_any_and_one_is_not() {
        let any = Ranges::of_sources(&Sources::Any { written: true });
        assert_eq!(ranges(&["::/0", "0.0.0.0/0"]), any);
        assert_ne!(ranges(&["::/0"]), any);
        assert_eq!(
            covered(&["10.0.0.1/32"], &[&["::/0"]]),
            None,
            "IPv6 prefixes hold no IPv4 address"
        );
        assert_eq!(ranges(&["::ffff:10.0.0.0/104"]), ranges(&["10.0.0.0/8"]));
    }

    #[test]
    fn what_both_hold_and_what_is_left_make_the_whole() {
        let one = ranges(&["10.0.0.0/24", "10.0.2.0/24", "fd00::/8"]);
        let two = ranges(&["10.0.0.128/25", "10.0.1.0/24", "10.0.2.7/32", "fd12::/16"]);
        let (both, left) = (one.and(&two), one.without(&two));
        assert_eq!(both, ranges(&["10.0.0.128/25", "10.0.2.7/32", "fd12::/16"]));
        assert_eq!(Ranges::merged([&both.0[..], &left.0[..]].concat()), one);
        assert!(both.and(&left).is_empty() && left.without(&one).is_empty());
        assert!(one.holds(&both) && one.holds(&left) && !both.holds(&one));
        assert!(Ranges::all().without(&Ranges::all()).is_empty());
        assert_eq!(Ranges::all().without(&one).without(&two).and(&one), ranges(&[]));
    }

    #[test]
    fn without_a_budget_nothing_is_claimed() {
        let wide = ranges(&["0.0.0.0/0"]);
        let mut spent = Budget(1);
        assert_eq!(cover(&wide, &[&wide], &mut spent), None);
    }

    #[test]
    fn equal_sources_have_one_number() {
        let mut sets = SourceSets::default();
        let nets = |nets: &[&str]| Sources::from(nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<_>>());
        let one = sets.number(&nets(&["10.0.0.0/25", "10.0.0.128/25"]));
        assert_eq!(sets.number(&nets(&["10.0.0.0/24"])), one);
        let any = sets.number(&Sources::Any { written: false });
        let mut budget = Budget::default();
        assert!(sets.holds(any, one, &mut budget) && !sets.holds(one, any, &mut budget));
    }
}
