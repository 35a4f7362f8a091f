//! [`DnsPlan`]: where each name is asked, and within which bounds. Pure and checked; `config` makes it, the resolver reads it.
//!
//! Two plans that are equal answer alike: a reload that leaves the plan as it was keeps the resolver and its cache.

use crate::policy::Fqdn;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// Zones, static records and bounds of the resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsPlan {
    /// Forward zones, each suffix at most once, at most one without a suffix (the default, `.`).
    pub zones: Vec<Zone>,
    /// The default zone's forwarders are those of this machine: none is written.
    pub of_machine: bool,
    /// Static records: each answers for exactly its own name, before any zone.
    pub records: BTreeMap<Fqdn, StaticRecord>,
    /// How long forwarders are waited for.
    pub timing: Timing,
    /// How much is remembered, and for how long.
    pub cache: CacheLimits,
    /// Resolutions in flight, one per name; more are `LimitDnsQueries`. Each holds up to one socket per family and forwarder,
    /// so a small open-file limit is met first and reported as `LimitFiles`.
    pub max_queries: usize,
}

impl Default for DnsPlan {
    /// No zone, no record; 10 000 resolutions in flight.
    fn default() -> Self {
        Self {
            zones: Vec::new(),
            of_machine: false,
            records: BTreeMap::new(),
            timing: Timing::default(),
            cache: CacheLimits::default(),
            max_queries: 10_000,
        }
    }
}

/// A suffix and the forwarders that are asked for it, and nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// The suffix as text, `.` for the default zone: what answers, rows and errors call it.
    pub name: Arc<str>,
    /// Names that are this suffix or lie below it. `None`: the default zone.
    pub suffix: Option<Fqdn>,
    /// In order of preference.
    pub forwarders: Vec<SocketAddr>,
}

impl Zone {
    /// A zone for a suffix.
    pub fn new(suffix: Fqdn, forwarders: Vec<SocketAddr>) -> Self {
        Self {
            name: suffix.as_str().into(),
            suffix: Some(suffix),
            forwarders,
        }
    }

    /// The zone of every name that no other zone holds.
    pub fn default_zone(forwarders: Vec<SocketAddr>) -> Self {
        Self {
            name: ".".into(),
            suffix: None,
            forwarders,
        }
    }

    /// Whether this is `.`.
    pub fn is_default(&self) -> bool {
        self.suffix.is_none()
    }
}

/// A record of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticRecord {
    /// What the name stands for.
    pub data: StaticData,
    /// Seconds.
    pub ttl: u32,
}

/// An alias or addresses, never both (RFC 1034 section 3.6.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StaticData {
    /// `cname`
    Alias(Fqdn),
    /// `a` and `aaaa`. A family without an address exists and is empty; it is not asked elsewhere.
    Addresses {
        /// IPv4.
        a: Vec<Ipv4Addr>,
        /// IPv6.
        aaaa: Vec<Ipv6Addr>,
    },
}

/// How long forwarders are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// A forwarder silent for this long is asked again and the next one of its zone beside it; it is still listened to until
    /// `total`. Also how long the second address family is waited for once the first has answered.
    pub per_try: Duration,
    /// One whole resolution: every link, both families.
    pub total: Duration,
}

impl Default for Timing {
    /// 500 ms, so that a dead first forwarder costs its zone half a second once; 5 s, which leaves 4 of the 9 s for connecting.
    fn default() -> Self {
        Self {
            per_try: Duration::from_millis(500),
            total: Duration::from_secs(5),
        }
    }
}

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Names remembered at most.
    pub entries: usize,
    /// Raises shorter TTLs, TTL 0 included. At 0 an answer with TTL 0 is used once and not kept.
    pub min_ttl: Duration,
    /// Cuts longer TTLs.
    pub max_ttl: Duration,
    /// Cuts the TTL of "no such name" and "no such record" (RFC 2308 section 5), and of an answer that lacks a family because
    /// asking for it failed.
    pub negative_max: Duration,
    /// How long a failure (SERVFAIL, timeout, unreadable answer) stands: 1 s to 5 min by RFC 9520 section 3.2.
    pub failure: Duration,
}

impl Default for CacheLimits {
    /// 100 000 names; positive up to 1 h, as Azure Firewall's DNS proxy; negative 30 s, so that a private endpoint's new
    /// record is seen soon; failures 2 s.
    fn default() -> Self {
        Self {
            entries: 100_000,
            min_ttl: Duration::ZERO,
            max_ttl: Duration::from_secs(3600),
            negative_max: Duration::from_secs(30),
            failure: Duration::from_secs(2),
        }
    }
}

/// Who answers for a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority<'a> {
    /// A static record.
    Record(&'a StaticRecord),
    /// The zone at this index of [`DnsPlan::zones`].
    Zone(usize),
    /// A special-use name that no record and no zone of the configuration holds: it does not exist, and nobody is asked.
    SpecialUse,
    /// No zone holds the name and there is no default zone.
    Nobody,
}

/// Top-level domains that the public DNS does not serve and that must not leak to it: RFC 6761 section 6.3 (`localhost`) and
/// 6.4 (`invalid`), RFC 6762 (`local`), RFC 7686 (`onion`), RFC 9476 (`alt`). `arpa` holds no host: it covers `home.arpa`
/// (RFC 8375) and reverse names.
const SPECIAL_USE: [&str; 6] = ["alt", "arpa", "invalid", "local", "localhost", "onion"];

/// Special-use names, and names of one label: those are host names of some network, never of the public DNS (RFC 8499, "dotless").
fn is_special_use(name: &Fqdn) -> bool {
    match name.as_str().rsplit_once('.') {
        Some((_, top)) => SPECIAL_USE.contains(&top),
        None => true,
    }
}

impl DnsPlan {
    /// The zone that holds a name: the longest suffix, on label borders.
    pub fn zone_of(&self, name: &Fqdn) -> Option<&Zone> {
        self.zone_index(name).map(|index| &self.zones[index])
    }

    fn zone_index(&self, name: &Fqdn) -> Option<usize> {
        let holds = |zone: &Zone| zone.suffix.as_ref().is_none_or(|suffix| name.is_below_or_same(suffix));
        let length = |zone: &Zone| zone.suffix.as_ref().map_or(0, |suffix| suffix.as_str().len());
        let held = self.zones.iter().enumerate().filter(|(_, zone)| holds(zone));
        held.max_by_key(|(_, zone)| length(zone)).map(|(index, _)| index)
    }

    /// Who answers for a name: its own record, else the zone that holds it.
    pub fn authority(&self, name: &Fqdn) -> Authority<'_> {
        if let Some(record) = self.records.get(name) {
            return Authority::Record(record);
        }
        match self.zone_index(name) {
            Some(index) if !self.zones[index].is_default() => Authority::Zone(index),
            _ if is_special_use(name) => Authority::SpecialUse,
            Some(index) => Authority::Zone(index),
            None => Authority::Nobody,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Fqdn {
        Fqdn::parse(text).expect("test name")
    }

    fn plan() -> DnsPlan {
        let server = |port| vec![SocketAddr::from(([127, 0, 0, 1], port))];
        let addresses = StaticData::Addresses {
            a: vec![Ipv4Addr::new(10, 1, 2, 4)],
            aaaa: vec![],
        };
        DnsPlan {
            zones: vec![
                Zone::default_zone(server(1)),
                Zone::new(name("example.com"), server(2)),
                Zone::new(name("priv.example.com"), server(3)),
                Zone::new(name("corp.local"), server(4)),
            ],
            records: BTreeMap::from([(
                name("db.priv.example.com"),
                StaticRecord {
                    data: addresses,
                    ttl: 60,
                },
            )]),
            ..DnsPlan::default()
        }
    }

    #[test]
    fn d_28_the_longest_suffix_on_a_label_border_answers() {
        let plan = plan();
        for (asked, zone) in [
            ("priv.example.com", "priv.example.com"),
            ("x.priv.example.com", "priv.example.com"),
            ("a.b.priv.example.com", "priv.example.com"),
            ("xpriv.example.com", "example.com"),
            ("example.com", "example.com"),
            ("notexample.com", "."),
            ("example.com.evil.test", "."),
        ] {
            let found = plan.zone_of(&name(asked)).map(|zone| &*zone.name);
            assert_eq!(found, Some(zone), "{asked}");
            assert!(matches!(plan.authority(&name(asked)), Authority::Zone(_)), "{asked}");
        }
    }

    #[test]
    fn a_record_answers_for_exactly_its_name() {
        let plan = plan();
        assert!(matches!(
            plan.authority(&name("db.priv.example.com")),
            Authority::Record(_)
        ));
        assert_eq!(plan.authority(&name("x.db.priv.example.com")), Authority::Zone(2));
    }

    #[test]
    fn n_21_special_use_names_are_asked_of_configured_zones_only() {
        let plan = plan();
        for asked in [
            "localhost",
            "foo.localhost",
            "x.local",
            "x.onion",
            "x.invalid",
            "x.home.arpa",
            "1.0.0.127.in-addr.arpa",
            "x.alt",
            "intranet",
            "wpad",
        ] {
            assert_eq!(plan.authority(&name(asked)), Authority::SpecialUse, "{asked}");
        }
        assert_eq!(
            plan.authority(&name("db.corp.local")),
            Authority::Zone(3),
            "a zone of ours covers it"
        );
        assert_eq!(
            plan.authority(&name("notlocal.example")),
            Authority::Zone(0),
            "only whole labels are special"
        );
    }

    #[test]
    fn without_a_default_zone_nobody_is_asked() {
        let plan = DnsPlan {
            zones: vec![Zone::new(name("example.com"), vec![])],
            ..DnsPlan::default()
        };
        assert_eq!(plan.authority(&name("a.test")), Authority::Nobody);
        assert_eq!(plan.authority(&name("x.invalid")), Authority::SpecialUse);
    }
}
