//! IP groups, and the rules' references to them.

use super::azure::{escaped, quoted};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

/// The IP groups of a policy, which rules hold member by member. A rule names those that it was written with, and no other that
/// happens to have its addresses: whoever changes that one later would change the rule.
pub(super) struct IpGroups<'a> {
    /// IPv4 alone, largest first.
    groups: Vec<(&'a Arc<str>, Vec<IpNet>)>,
}

impl<'a> IpGroups<'a> {
    pub fn new(groups: &'a BTreeMap<Arc<str>, Vec<IpNet>>) -> Self {
        let v4 = |nets: &Vec<IpNet>| nets.iter().filter(|net| net.network().is_ipv4()).copied().collect();
        let mut groups: Vec<(_, Vec<IpNet>)> = groups.iter().map(|(name, nets)| (name, v4(nets))).collect();
        groups.retain(|(_, nets)| !nets.is_empty());
        groups.sort_by_key(|(_, nets)| std::cmp::Reverse(nets.len()));
        Self { groups }
    }

    pub fn ids(&self) -> Vec<String> {
        self.groups.iter().map(|(name, _)| id(name)).collect()
    }

    /// One after the other: two at a time fail once a firewall uses them (Azure Firewall, known issues).
    pub fn resources(&self, api_version: &str) -> Vec<Value> {
        let before = [None].into_iter().chain(self.ids().into_iter().map(Some));
        let groups = self.groups.iter().zip(before).map(|((name, nets), before)| {
            json!({
                "type": "Microsoft.Network/ipGroups",
                "apiVersion": api_version,
                "name": escaped(name),
                "location": "[parameters('location')]",
                "dependsOn": before.into_iter().collect::<Vec<_>>(),
                "properties": { "ipAddresses": nets.iter().map(written).collect::<Vec<_>>() },
            })
        });
        groups.collect()
    }

    /// Prefixes as ids of the groups that were written, and what is left.
    pub fn named(&self, nets: &[IpNet], wanted: &[Arc<str>]) -> (Vec<String>, Vec<String>) {
        let all: HashSet<IpNet> = nets.iter().copied().collect();
        let mut left = all.clone();
        let mut ids = Vec::new();
        for (name, members) in self.groups.iter().filter(|(name, _)| wanted.contains(name)) {
            if members.iter().all(|net| all.contains(net)) {
                members.iter().for_each(|net| {
                    left.remove(net);
                });
                ids.push(id(name));
            }
        }
        let mut seen = HashSet::new();
        let addresses = nets.iter().filter(|net| left.contains(net) && seen.insert(**net));
        (ids, ranges(addresses))
    }
}

/// Prefixes in a row that go on where the one before ends become the range that they were read from: Azure takes ranges, and
/// counts each as one. Two stay as they are.
fn ranges<'n>(nets: impl Iterator<Item = &'n IpNet>) -> Vec<String> {
    let nets: Vec<&IpNet> = nets.collect();
    let runs = nets.chunk_by(|one, next| follows(one, next));
    let texts = runs.flat_map(|run| match run {
        [first, _, .., last] => vec![format!("{}-{}", first.network(), last.broadcast())],
        few => few.iter().map(|net| written(net)).collect(),
    });
    texts.collect()
}

fn follows(one: &IpNet, next: &IpNet) -> bool {
    match (one.broadcast(), next.network()) {
        (IpAddr::V4(last), IpAddr::V4(first)) => u32::from(last).checked_add(1) == Some(first.into()),
        _ => false,
    }
}

fn id(name: &str) -> String {
    format!("[resourceId('Microsoft.Network/ipGroups', {})]", quoted(name))
}

/// A prefix; one address without its length.
pub(super) fn written(net: &IpNet) -> String {
    match net.prefix_len() == net.max_prefix_len() {
        true => net.addr().to_string(),
        false => net.to_string(),
    }
}
