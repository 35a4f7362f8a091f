//! Azure Firewall's published limits ("Azure subscription limits", Azure Firewall; "rule processing").

use crate::policy::{Policy, RuleCollectionGroup, Rules};
use serde_json::Value;
use std::collections::HashSet;

/// Rule collection groups of a policy.
const GROUPS: usize = 60;

/// Bytes of a rule collection group.
const GROUP_BYTES: usize = 2 << 20;

/// Rule collections of a kind in a firewall, those of parents included (known issues).
const COLLECTIONS: usize = 2_000;

/// Public addresses of a firewall and unique destinations (address, port, protocol) of its DNAT rules together.
const DNAT_DESTINATIONS: usize = 250;

/// Last port of an application rule (API reference, `protocols.port`), of the explicit proxy (`explicitProxy.httpPort`), and of a
/// DNAT rule (known issues).
const APPLICATION_PORT: u64 = 64_000;
const PROXY_PORT: u64 = 64_000;
const DNAT_PORT: u64 = 63_999;

/// IP groups of a firewall, and entries of one.
const IP_GROUPS: usize = 200;
const IP_GROUP_ENTRIES: usize = 5_000;

/// Pairs of source and destination in network rules; an IP group counts as one.
const NETWORK_PAIRS: usize = 20_000;

/// Characters of a name.
const NAME: usize = 80;

/// What exceeds a limit, each with what to do.
pub(super) fn exceeded(policy: &Policy, resources: &[Value]) -> Vec<String> {
    let mut faults = Vec::new();
    once(policy.chain().map(|(name, _)| &**name), "policies", &mut faults);
    number_of_collections(policy, &mut faults);
    for (name, groups) in policy.chain() {
        named(name, "policy", &mut faults);
        let what = format!("groups of policy `{name}`");
        once(groups.iter().map(|group| &*group.name), &what, &mut faults);
        if groups.len() > GROUPS {
            let count = groups.len();
            faults.push(format!(
                "policy `{name}` has {count} rule collection groups, at most {GROUPS}: join some of them"
            ));
        }
        order(groups.iter().map(|group| group.priority.value()), &what, &mut faults);
        for group in groups {
            named(&group.name, "rule collection group", &mut faults);
            collections(group, &mut faults);
        }
    }
    let of_kind = |kind: &str| {
        let kind = format!("Microsoft.Network/{kind}");
        resources
            .iter()
            .filter(move |resource| resource["type"] == kind.as_str())
    };
    for group in of_kind("firewallPolicies/ruleCollectionGroups") {
        let bytes = group["properties"].to_string().len();
        if bytes > GROUP_BYTES {
            let name = &group["name"];
            faults.push(format!(
                "group {name} takes {bytes} bytes, at most {GROUP_BYTES}: split it, or use IP groups"
            ));
        }
    }
    let ip_groups: Vec<&Value> = of_kind("ipGroups").collect();
    if ip_groups.len() > IP_GROUPS {
        faults.push(format!(
            "{} IP groups, at most {IP_GROUPS}: join some of them",
            ip_groups.len()
        ));
    }
    let names = ip_groups.iter().filter_map(|group| group["name"].as_str());
    once(names, "IP groups", &mut faults);
    for group in ip_groups {
        let name = group["name"].as_str().unwrap_or_default();
        named(name, "IP group", &mut faults);
        let entries = group["properties"]["ipAddresses"].as_array().map_or(0, Vec::len);
        if entries > IP_GROUP_ENTRIES {
            faults.push(format!(
                "IP group `{name}` has {entries} entries, at most {IP_GROUP_ENTRIES}: split it"
            ));
        }
    }
    for policy in of_kind("firewallPolicies") {
        let port = policy["properties"]["explicitProxy"]["httpPort"].as_u64();
        if let Some(port) = port.filter(|port| *port > PROXY_PORT) {
            faults.push(format!(
                "the explicit proxy has port {port}, at most {PROXY_PORT}: take a lower one in `[listeners] proxy`"
            ));
        }
    }
    let rules: Vec<&Value> = rules(of_kind("firewallPolicies/ruleCollectionGroups")).collect();
    rules.iter().for_each(|rule| ports(rule, &mut faults));
    let destinations = dnat_destinations(&rules);
    if destinations > DNAT_DESTINATIONS {
        faults.push(format!(
            "DNAT rules have {destinations} addresses and destinations (address, port, protocol), at most {DNAT_DESTINATIONS}: \
             leave some out"
        ));
    }
    let pairs = network_pairs(&rules);
    if pairs > NETWORK_PAIRS {
        faults.push(format!(
            "network rules have {pairs} pairs of source and destination, at most {NETWORK_PAIRS}: name IP groups, which count as one"
        ));
    }
    faults
}

const KINDS: [&str; 3] = ["DNAT", "network", "application"];

fn kind(rules: &Rules) -> &'static str {
    match rules {
        Rules::Nat(_) => KINDS[0],
        Rules::Network(_) => KINDS[1],
        Rules::Application(_) => KINDS[2],
    }
}

fn number_of_collections(policy: &Policy, faults: &mut Vec<String>) {
    for wanted in KINDS {
        let count = policy.collections().filter(|one| kind(&one.rules) == wanted).count();
        if count > COLLECTIONS {
            faults.push(format!(
                "{count} {wanted} rule collections, at most {COLLECTIONS}: join some of them"
            ));
        }
    }
}

fn collections(group: &RuleCollectionGroup, faults: &mut Vec<String>) {
    for wanted in KINDS {
        let of_kind = group.collections.iter().filter(|one| kind(&one.rules) == wanted);
        let what = format!("{wanted} collections of group `{}`", group.name);
        order(of_kind.map(|one| one.priority.value()), &what, faults);
    }
    for collection in &group.collections {
        named(&collection.name, "rule collection", faults);
    }
}

/// Equal priorities: which of the two Azure would ask first is not documented.
fn order(priorities: impl Iterator<Item = u16>, what: &str, faults: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for priority in priorities {
        if !seen.insert(priority) {
            faults.push(format!("two {what} have priority {priority}: give each its own"));
        }
    }
}

/// Names of resources differ in more than case (Azure Resource Manager, naming rules).
fn once<'a>(names: impl Iterator<Item = &'a str>, what: &str, faults: &mut Vec<String>) {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name.to_ascii_lowercase()) {
            faults.push(format!(
                "two {what} are called `{name}`, which Azure does not tell apart by case: rename one"
            ));
        }
    }
}

/// Letters, digits, `_`, `.` and `-`; a letter or digit first; a letter, digit or `_` last ("rule processing").
fn named(name: &str, what: &str, faults: &mut Vec<String>) {
    let word = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    let fits = name.len() <= NAME
        && name.chars().all(word)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if !fits {
        faults.push(format!(
            "{what} `{name}`: Azure takes up to {NAME} letters, digits, `_`, `.`, `-`, a letter or digit first, none of `.`, `-` last: \
             rename it"
        ));
    }
}

fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn rules<'v>(groups: impl Iterator<Item = &'v Value>) -> impl Iterator<Item = &'v Value> {
    let collections = groups.flat_map(|group| list(&group["properties"], "ruleCollections"));
    collections.flat_map(|collection| list(collection, "rules"))
}

/// Ports that Azure does not take in rules of this kind.
fn ports(rule: &Value, faults: &mut Vec<String>) {
    let name = &rule["name"];
    let mut at_most = |most: u64, what: &str, port: Option<u64>| {
        if let Some(port) = port.filter(|port| *port > most) {
            faults.push(format!(
                "rule {name} has {what} {port}, at most {most}: take a lower one"
            ));
        }
    };
    let protocols = list(rule, "protocols").iter();
    protocols.for_each(|protocol| at_most(APPLICATION_PORT, "port", protocol["port"].as_u64()));
    if rule["ruleType"] == "NatRule" {
        let last = |port: &Value| port.as_str()?.rsplit('-').next()?.parse().ok();
        for port in list(rule, "destinationPorts") {
            at_most(DNAT_PORT, "destination port", last(port));
        }
        at_most(DNAT_PORT, "translated port", last(&rule["translatedPort"]));
    }
}

/// What DNAT rules take of their limit: a range or a prefix counts as one.
fn dnat_destinations(rules: &[&Value]) -> usize {
    let texts = |rule, key| list(rule, key).iter().filter_map(Value::as_str);
    let (mut addresses, mut destinations) = (HashSet::new(), HashSet::new());
    for rule in rules.iter().filter(|rule| rule["ruleType"] == "NatRule") {
        for address in texts(rule, "destinationAddresses") {
            addresses.insert(address);
            for port in texts(rule, "destinationPorts") {
                destinations.extend(texts(rule, "ipProtocols").map(|protocol| (address, port, protocol)));
            }
        }
    }
    addresses.len() + destinations.len()
}

fn network_pairs(rules: &[&Value]) -> usize {
    let length = |rule: &Value, keys: &[&str]| -> usize { keys.iter().map(|key| list(rule, key).len()).sum() };
    rules
        .iter()
        .filter(|rule| rule["ruleType"] == "NetworkRule")
        .map(|rule| {
            let from = length(rule, &["sourceAddresses", "sourceIpGroups"]);
            let to = length(
                rule,
                &["destinationAddresses", "destinationIpGroups", "destinationFqdns"],
            );
            from.saturating_mul(to)
        })
        .sum()
}
