//! [`AddressSet`]: which addresses a rule or list speaks of, as sorted disjoint ranges.

use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc};

/// Addresses, ready to be searched: O(log n) in the number of ranges left after merging. Cloning it is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum AddressSet {
    /// Every address.
    Any,
    /// Inclusive ranges, ascending, disjoint and not adjacent. Both empty: nobody.
    Ranges {
        v4: Arc<[(u32, u32)]>,
        v6: Arc<[(u128, u128)]>,
    },
}

impl AddressSet {
    pub(super) fn of<'a>(nets: impl IntoIterator<Item = &'a IpNet>) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match (net.network().to_canonical(), net.broadcast().to_canonical(), net) {
                // An IPv4-mapped prefix is the IPv4 prefix it holds: a source never shows up as mapped.
                (IpAddr::V4(first), IpAddr::V4(last), _) => v4.push((first.to_bits(), last.to_bits())),
                (_, _, IpNet::V6(net)) => v6.push((net.network().to_bits(), net.broadcast().to_bits())),
                _ => unreachable!("an IPv4 prefix has IPv4 ends"),
            }
        }
        Self::Ranges {
            v4: merged(v4),
            v6: merged(v6),
        }
    }

    /// Whether it holds no address.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Ranges { v4, v6 } if v4.is_empty() && v6.is_empty())
    }

    pub(super) fn contains(&self, source: IpAddr) -> bool {
        match (self, source.to_canonical()) {
            (Self::Any, _) => true,
            (Self::Ranges { v4, .. }, IpAddr::V4(ip)) => within(v4, ip.to_bits()),
            (Self::Ranges { v6, .. }, IpAddr::V6(ip)) => within(v6, ip.to_bits()),
        }
    }
}

fn merged<N: Copy + Ord + Next>(mut ranges: Vec<(N, N)>) -> Arc<[(N, N)]> {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let joins = next.0 <= kept.1.next();
        if joins {
            kept.1 = kept.1.max(next.1);
        }
        joins
    });
    ranges.into()
}

fn within<N: Copy + Ord>(ranges: &[(N, N)], ip: N) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= ip);
    after > 0 && ip <= ranges[after - 1].1
}

/// The number after this one; the last is its own.
trait Next {
    fn next(self) -> Self;
}

impl Next for u32 {
    fn next(self) -> Self {
        self.saturating_add(1)
    }
}

impl Next for u128 {
    fn next(self) -> Self {
        self.saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(nets: &[&str]) -> AddressSet {
        AddressSet::of(&nets.iter().map(|n| n.parse().unwrap()).collect::<Vec<_>>())
    }

    #[test]
    fn prefixes_are_merged_and_found() {
        let set = set(&[
            "10.1.0.0/16",
            "10.0.0.0/16",
            "10.1.2.0/24",
            "192.168.1.1/32",
            "fd00::/8",
            "2001:db8::/32",
        ]);
        let AddressSet::Ranges { v4, v6 } = &set else {
            panic!("{set:?}")
        };
        assert_eq!((v4.len(), v6.len()), (2, 2));
        for (ip, inside) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("192.168.1.1", true),
            ("192.168.1.2", false),
            ("::ffff:10.1.1.1", true), // N-19
            ("fd12::1", true),
            ("fe00::1", false),
            ("2001:db9::", false),
        ] {
            assert_eq!(set.contains(ip.parse().unwrap()), inside, "{ip}");
        }
    }

    #[test]
    fn whole_families_and_mapped_prefixes() {
        assert!(set(&["0.0.0.0/0"]).contains("255.255.255.255".parse().unwrap()));
        assert!(!set(&["0.0.0.0/0"]).contains("::1".parse().unwrap()));
        assert!(set(&["::/0", "2001:db8::/32"]).contains("ffff::".parse().unwrap()));
        assert!(
            !set(&["::/0"]).contains("10.0.0.1".parse().unwrap()),
            "IPv6 prefixes admit no IPv4 source"
        );
        assert!(set(&["::ffff:10.0.0.0/104"]).contains("10.9.9.9".parse().unwrap()));
    }

    #[test]
    fn an_empty_list_matches_nobody() {
        assert!(!set(&[]).contains("10.0.0.1".parse().unwrap()));
        assert!(AddressSet::Any.contains("::1".parse().unwrap()));
    }
}
