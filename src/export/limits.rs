//! Azure Firewall's published limits ("Azure subscription limits", Azure Firewall; "rule processing").

use crate::policy::{Policy, RuleCollectionGroup, Rules};
use serde_json::Value;
use std::collections::HashSet;

/// Rule collection groups of a policy.
const GROUPS: usize = 60;

/// Bytes of a rule collection group.
const GROUP_BYTES: usize = 2 << 20;

/// Rule collections of a kind.
const COLLECTIONS: usize = 2_000;

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
    for (name, groups) in policy.chain() {
        named(name, "policy", &mut faults);
        if groups.len() > GROUPS {
            let count = groups.len();
            faults.push(format!(
                "policy `{name}` has {count} rule collection groups, at most {GROUPS}: join some of them"
            ));
        }
        order(
            groups.iter().map(|group| group.priority.value()),
            &format!("groups of policy `{name}`"),
            &mut faults,
        );
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
    let pairs = network_pairs(of_kind("firewallPolicies/ruleCollectionGroups"));
    if pairs > NETWORK_PAIRS {
        faults.push(format!(
            "network rules have {pairs} pairs of source and destination, at most {NETWORK_PAIRS}: name IP groups, which count as one"
        ));
    }
    faults
}

fn collections(group: &RuleCollectionGroup, faults: &mut Vec<String>) {
    let kind = |rules: &Rules| match rules {
        Rules::Nat(_) => "DNAT",
        Rules::Network(_) => "network",
        Rules::Application(_) => "application",
    };
    for wanted in ["DNAT", "network", "application"] {
        let of_kind = || group.collections.iter().filter(|one| kind(&one.rules) == wanted);
        let count = of_kind().count();
        if count > COLLECTIONS {
            faults.push(format!(
                "group `{}` has {count} {wanted} collections, at most {COLLECTIONS}",
                group.name
            ));
        }
        let what = format!("{wanted} collections of group `{}`", group.name);
        order(of_kind().map(|one| one.priority.value()), &what, faults);
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

fn network_pairs<'v>(groups: impl Iterator<Item = &'v Value>) -> usize {
    let length = |rule: &Value, keys: &[&str]| -> usize {
        keys.iter().map(|key| rule[*key].as_array().map_or(0, Vec::len)).sum()
    };
    let list = |value: &'v Value, key: &str| value[key].as_array().map_or(&[][..], Vec::as_slice);
    let collections = groups.flat_map(|group| list(&group["properties"], "ruleCollections"));
    let rules = collections.flat_map(|collection| list(collection, "rules"));
    rules
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
