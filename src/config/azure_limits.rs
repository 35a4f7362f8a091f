//! What fits egret and would not fit Azure Firewall: its published limits, as warnings.
//!
//! Azure subscription and service limits, "Azure Firewall limits" (edition of 2023-10), and Azure Firewall's known issues. Sizes
//! are counted from below, so that what is told of is too large however it is written.

use super::{
    at::{At, Span},
    file::{ApplicationRule, Collection, FileConfig, Group, NatCollection, NatRule, NetworkRule, Texts},
    problem::{Finding, Report},
};
use std::collections::HashSet;

/// Rule collection groups of one policy.
const MOST_GROUPS: usize = 60;
/// Bytes of one rule collection group.
const MOST_GROUP_BYTES: usize = 2 << 20;
/// Rule collections of one kind.
const MOST_COLLECTIONS: usize = 2_000;
/// Public addresses of a firewall and unique destinations (address, port, protocol) of its DNAT rules together.
const MOST_DNAT_DESTINATIONS: usize = 250;
/// Unique pairs of source and destination in network rules; an IP group counts as one.
const MOST_PAIRS: usize = 20_000;
/// FQDNs in all network rules: advice, for the sake of DNS.
const MOST_NETWORK_FQDNS: usize = 1_000;
/// IP groups of one firewall, and addresses or prefixes of one group.
const MOST_IP_GROUPS: usize = 200;
const MOST_IP_GROUP_ENTRIES: usize = 5_000;

/// Warns of what Azure would refuse to hold.
pub(super) fn warn(file: &FileConfig, report: &mut Report) {
    let policies: Vec<Vec<View<'_>>> = policies(file).collect();
    for groups in &policies {
        if let Some(group) = groups.get(MOST_GROUPS) {
            let found = format!("{} rule collection groups", groups.len());
            report.add(too_much(group.span, &found, &format!("{MOST_GROUPS} in a policy")));
        }
        groups.iter().for_each(|group| group_bytes(group, report));
    }
    ip_groups(file, report);
    dns_cache(file, report);
    let groups: Vec<View<'_>> = policies.into_iter().flatten().collect();
    collections(&groups, report);
    network_rules(&groups, report);
    dnat_rules(&groups, report);
}

/// A group as written, or the one of the collections at top level.
struct View<'a> {
    span: Span,
    application: &'a [Collection<ApplicationRule>],
    network: &'a [Collection<NetworkRule>],
    nat: &'a [NatCollection],
}

impl<'a> View<'a> {
    fn of(group: &'a Group) -> Self {
        Self {
            span: span_of(&group.name),
            application: &group.application_rule_collection,
            network: &group.network_rule_collection,
            nat: &group.nat_rule_collection,
        }
    }

    fn implicit(file: &'a FileConfig) -> Option<Self> {
        let (application, network) = (&file.application_rule_collection, &file.network_rule_collection);
        let names = application.iter().map(|one| &one.name);
        let names = names.chain(network.iter().map(|one| &one.name));
        let mut names = names.chain(file.nat_rule_collection.iter().map(|one| &one.name));
        Some(Self {
            span: span_of(names.next()?),
            application,
            network,
            nat: &file.nat_rule_collection,
        })
    }
}

/// The groups of each policy, parents first.
fn policies(file: &FileConfig) -> impl Iterator<Item = Vec<View<'_>>> {
    let parents = file.parent_policy.iter();
    let parents = parents.map(|parent| parent.rule_collection_group.iter().map(View::of).collect());
    let own = file.rule_collection_group.iter().map(View::of);
    parents.chain([own.chain(View::implicit(file)).collect()])
}

fn too_much(span: Span, found: &str, most: &str) -> Finding {
    Finding::warning(span, format!("{found} fit egret, and not Azure Firewall")).hint(format!(
        "Azure holds {most}: fewer, or several policies, if this is to be deployed there"
    ))
}

fn span_of(name: &Option<At<String>>) -> Span {
    name.as_ref().map_or(Span::default(), |name| name.span)
}

/// Longest that Azure Firewall keeps an answer, in seconds ("Azure Firewall DNS Proxy details").
fn dns_cache(file: &FileConfig, report: &mut Report) {
    let cache = &file.dns.cache;
    for (written, most) in [(&cache.max_ttl_seconds, 3_600), (&cache.negative_ttl_seconds, 1_800)] {
        if let Some(written) = written.as_ref().filter(|written| written.value > most) {
            let found = format!(
                "answers are kept for {} seconds, longer than by Azure Firewall",
                written.value
            );
            report.add(Finding::warning(written.span, found).hint(format!("it keeps them for {most} at most")));
        }
    }
}

fn ip_groups(file: &FileConfig, report: &mut Report) {
    if let Some((_, members)) = file.ip_groups.iter().nth(MOST_IP_GROUPS) {
        let found = format!("{} IP groups", file.ip_groups.len());
        report.add(too_much(
            members.span,
            &found,
            &format!("{MOST_IP_GROUPS} in a firewall"),
        ));
    }
    for (name, members) in file
        .ip_groups
        .iter()
        .filter(|(_, members)| members.len() > MOST_IP_GROUP_ENTRIES)
    {
        let found = format!("{} entries of IP group `{name}`", members.len());
        report.add(too_much(
            members.span,
            &found,
            &format!("{MOST_IP_GROUP_ENTRIES} in a group"),
        ));
    }
}

fn collections(groups: &[View<'_>], report: &mut Report) {
    let kinds = [
        ("application", groups.iter().map(|group| group.application.len()).sum()),
        ("network", groups.iter().map(|group| group.network.len()).sum()),
        ("DNAT", groups.iter().map(|group| group.nat.len()).sum::<usize>()),
    ];
    for (kind, number) in kinds.into_iter().filter(|(_, number)| *number > MOST_COLLECTIONS) {
        let span = groups.first().map_or(Span::default(), |group| group.span);
        let found = format!("{number} {kind} rule collections");
        report.add(too_much(span, &found, &format!("{MOST_COLLECTIONS} of a kind")));
    }
}

/// Destinations of DNAT rules with the addresses that they are of, once each; a range of ports counts as one.
fn dnat_rules(groups: &[View<'_>], report: &mut Report) {
    let (mut addresses, mut destinations) = (HashSet::new(), HashSet::new());
    let collections = groups.iter().flat_map(|group| group.nat);
    for rule in collections.flat_map(|collection| &collection.rule) {
        let one = rule.destination_address.iter().map(|address| address.as_str());
        let own = one.chain(texts(&rule.destination_addresses));
        let own = own.flat_map(|address| texts(&rule.destination_ports).map(move |port| (address, port)));
        let spoken = || rule.protocols.iter().flatten();
        let own = own.flat_map(|(address, port)| spoken().map(move |protocol| (address, port, *protocol)));
        // Past the limit nothing more is counted: the sets stay small.
        for (address, port, protocol) in own {
            addresses.insert(address);
            destinations.insert((address, port, protocol));
            if addresses.len() + destinations.len() > MOST_DNAT_DESTINATIONS {
                let found = format!("more than {MOST_DNAT_DESTINATIONS} addresses and destinations of DNAT rules");
                let most = format!("{MOST_DNAT_DESTINATIONS}, public addresses and unique destinations together");
                return report.add(too_much(span_of(&rule.name), &found, &most));
            }
        }
    }
}

fn network_rules(groups: &[View<'_>], report: &mut Report) {
    let collections = groups.iter().flat_map(|group| group.network);
    let rules = collections.flat_map(|collection| &collection.rule);
    let mut pairs = HashSet::new();
    let mut fqdns = HashSet::new();
    for rule in rules {
        let span = span_of(&rule.name);
        let (pairs_before, fqdns_before) = (pairs.len(), fqdns.len());
        fqdns.extend(texts(&rule.destination_fqdns));
        // Past the limit nothing more is counted: the set stays small.
        for source in ends(&rule.source_addresses, &rule.source_ip_groups).take(MOST_PAIRS + 1) {
            if pairs.len() > MOST_PAIRS {
                break;
            }
            pairs.extend(
                destinations(rule)
                    .take(MOST_PAIRS + 1)
                    .map(|destination| (source, destination)),
            );
        }
        if pairs_before <= MOST_PAIRS && pairs.len() > MOST_PAIRS {
            let found = format!("more than {MOST_PAIRS} pairs of source and destination in network rules");
            report.add(too_much(
                span,
                &found,
                &format!("{MOST_PAIRS}, of which an IP group counts as one"),
            ));
        }
        if fqdns_before <= MOST_NETWORK_FQDNS && fqdns.len() > MOST_NETWORK_FQDNS {
            let found = format!("more than {MOST_NETWORK_FQDNS} FQDNs in network rules");
            report.add(too_much(
                span,
                &found,
                &format!("{MOST_NETWORK_FQDNS} at most, by Microsoft's advice"),
            ));
        }
    }
}

fn texts(list: &Texts) -> impl Iterator<Item = &str> {
    list.iter().flat_map(|list| list.iter()).map(|text| text.as_str())
}

/// Addresses as they are written, and IP groups as one each; with neither, anyone.
fn ends<'a>(addresses: &'a Texts, groups: &'a Texts) -> impl Iterator<Item = &'a str> {
    let any = (addresses.is_none() && groups.is_none()).then_some("*");
    texts(addresses).chain(texts(groups)).chain(any)
}

fn destinations(rule: &NetworkRule) -> impl Iterator<Item = &str> {
    ends(&rule.destination_addresses, &rule.destination_ip_groups)
        .chain(texts(&rule.destination_fqdns))
        .filter(|text| *text != "*" || rule.destination_addresses.is_some())
}

/// The texts of a group alone, without a byte for what stands between them.
fn group_bytes(group: &View<'_>, report: &mut Report) {
    let lists = |lists: &[&Texts]| lists.iter().flat_map(|list| texts(list)).map(str::len).sum::<usize>();
    let application = group.application.iter().flat_map(|collection| &collection.rule);
    let network = group.network.iter().flat_map(|collection| &collection.rule);
    let nat = group.nat.iter().flat_map(|collection| &collection.rule);
    let name = |name: &Option<At<String>>| name.as_ref().map_or(0, |name| name.len());
    let of_application = |rule: &ApplicationRule| {
        name(&rule.name)
            + lists(&[
                &rule.source_addresses,
                &rule.destination_fqdns,
                &rule.destination_fqdn_tags,
            ])
    };
    let of_network = |rule: &NetworkRule| {
        let destinations = [
            &rule.destination_addresses,
            &rule.destination_fqdns,
            &rule.destination_ports,
        ];
        name(&rule.name) + lists(&[&rule.source_addresses]) + lists(&destinations)
    };
    let of_nat = |rule: &NatRule| name(&rule.name) + lists(&[&rule.source_addresses, &rule.destination_ports]);
    let bytes = application.map(of_application).sum::<usize>()
        + network.map(of_network).sum::<usize>()
        + nat.map(of_nat).sum::<usize>();
    if bytes > MOST_GROUP_BYTES {
        let found = format!("{} KiB in one rule collection group", bytes >> 10);
        report.add(too_much(
            group.span,
            &found,
            "2 MB in a group, names and punctuation included",
        ));
    }
}
