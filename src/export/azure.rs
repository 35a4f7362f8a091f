//! An Azure Firewall policy as an ARM template: policies, rule collection groups, IP groups.
//!
//! What Azure cannot express is left out and named; what would exceed its published limits is an error. Tags that Azure does not
//! have become the names that they hold, and a rule with tags and names becomes one rule of each, since Azure's rules have one
//! kind of destination.

use super::{
    Beside,
    ip_groups::{self, IpGroups},
    limits, rules,
};
use crate::policy::{Mode, Policy, RuleCollection, RuleCollectionGroup, Rules, ThreatMode};
use serde_json::{Value, json};
use std::sync::Arc;

/// API version of the resources: policies since 2020-05-01 look alike in it.
const API_VERSION: &str = "2024-05-01";

/// A template, and what it does not say.
#[derive(Debug)]
pub struct Exported {
    /// The ARM template.
    pub template: Value,
    /// What Azure cannot express, or does otherwise.
    pub notes: Vec<String>,
}

/// The template of a policy and its parents; what stands `beside` the rules goes into the policy itself. Fails with every limit
/// of Azure that it exceeds, and what to do.
pub fn azure_firewall(policy: &Policy, beside: &Beside) -> Result<Exported, Vec<String>> {
    let mut export = Export {
        ip_groups: IpGroups::new(&policy.ip_groups),
        beside,
        notes: Vec::new(),
        resources: Vec::new(),
    };
    export.beside_the_rules(policy);
    let mut base = None;
    for (name, groups) in policy.chain() {
        let last = export.policy(policy, name, groups, base.as_ref());
        base = Some(Base { name, last });
    }
    export.notes.extend(beside.notes.iter().cloned());
    let ip_groups = export.ip_groups.resources(API_VERSION);
    let mut resources = ip_groups;
    resources.append(&mut export.resources);
    let faults = limits::exceeded(policy, &resources);
    if !faults.is_empty() {
        return Err(faults);
    }
    let template = json!({
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "location": {
                "type": "string",
                "defaultValue": "[resourceGroup().location]",
                "metadata": { "description": "Region of the policy and the IP groups." }
            },
            "tier": {
                "type": "string",
                "defaultValue": "Standard",
                "allowedValues": ["Standard", "Premium"],
                "metadata": { "description": "Tier of the firewall; every rule here is one of Standard." }
            }
        },
        "resources": resources,
    });
    Ok(Exported {
        template,
        notes: export.notes,
    })
}

/// The parent of a policy.
struct Base<'a> {
    name: &'a str,
    /// Id of its resource that is deployed last.
    last: String,
}

struct Export<'a> {
    ip_groups: IpGroups<'a>,
    beside: &'a Beside,
    notes: Vec<String>,
    resources: Vec<Value>,
}

impl Export<'_> {
    /// What a policy of egret's may say and one of Azure's cannot.
    fn beside_the_rules(&mut self, policy: &Policy) {
        let audit = |collection: &RuleCollection| collection.mode == Mode::Audit;
        if policy.mode == Mode::Audit || policy.collections().any(audit) {
            self.notes.push("audit mode: Azure carries denials out".into());
        }
        if policy.parents.len() > 1 {
            self.notes
                .push("a parent that has a parent: Azure documents one parent, and may refuse more".into());
        }
        let nobody = policy.ip_groups.iter().filter(|(_, nets)| !nets.iter().any(is_v4));
        for (name, _) in nobody {
            self.notes
                .push(format!("IP group `{name}` has no IPv4 entry, and is left out"));
        }
        if policy.explicit_network_rules {
            self.notes
                .push("`explicit_network_rules`: Azure judges explicit flows by application rules alone".into());
        }
        if !policy.infrastructure.is_empty() {
            self.notes
                .push("`infrastructure`: Azure has a built-in collection of its own".into());
        }
        let lists = &policy.threat_intelligence;
        if !(lists.addresses.is_empty() && lists.fqdns.is_empty()) {
            self.notes
                .push("lists of threat intelligence: Azure judges by Microsoft's, in the same mode".into());
        }
        for denial in &policy.not_enforced {
            self.notes.push(format!(
                "egret does not carry it out, see to it in the template: {denial}"
            ));
        }
    }

    /// A policy and its groups; the id of the one that is deployed last.
    fn policy(
        &mut self,
        policy: &Policy,
        name: &Arc<str>,
        groups: &[RuleCollectionGroup],
        base: Option<&Base<'_>>,
    ) -> String {
        let lists = &policy.threat_intelligence;
        let mut properties = json!({
            "sku": { "tier": "[parameters('tier')]" },
            "threatIntelMode": match lists.mode {
                ThreatMode::Off => "Off",
                ThreatMode::Alert => "Alert",
                ThreatMode::Deny => "Deny",
            },
            "threatIntelWhitelist": {
                "ipAddresses": lists.allowed_addresses.iter().map(ip_groups::written).collect::<Vec<_>>(),
                "fqdns": lists.allowed_fqdns.iter().map(ToString::to_string).collect::<Vec<_>>(),
            },
        });
        if policy.collections().any(has_names_in_network_rules) {
            // Azure resolves the FQDNs of network rules only as a DNS proxy ("FQDN filtering in network rules").
            properties["dnsSettings"] = json!({ "enableProxy": true });
            let note = "FQDNs in network rules: the policy switches on Azure's DNS proxy, which clients must then ask";
            if !self.notes.iter().any(|known| known == note) {
                self.notes.push(note.into());
            }
        }
        if *name == policy.name {
            self.beside.write(&mut properties);
        }
        let mut needs: Vec<Value> = Vec::new();
        if let Some(base) = base {
            let id = policy_id(base.name);
            properties["basePolicy"] = json!({ "id": id });
            // A policy cannot be changed while its parent is: it waits for the parent's groups.
            if base.last != id {
                needs.push(base.last.clone().into());
            }
            needs.push(id.into());
        }
        self.resources.push(json!({
            "type": "Microsoft.Network/firewallPolicies",
            "apiVersion": API_VERSION,
            "name": escaped(name),
            "location": "[parameters('location')]",
            "dependsOn": needs,
            "properties": properties,
        }));
        // One after the other: Azure takes one change of a policy at a time.
        let mut before = policy_id(name);
        for group in groups {
            let made = self.collections(policy, name, group);
            let (own, mut needs) = (group_id(name, &group.name), self.ip_groups.ids());
            needs.push(before);
            self.resources.push(json!({
                "type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups",
                "apiVersion": API_VERSION,
                "name": escaped(&format!("{name}/{}", group.name)),
                "dependsOn": needs,
                "properties": { "priority": group.priority.value(), "ruleCollections": made },
            }));
            before = own;
        }
        before
    }

    /// The collections of a group, each with a name of its own: egret has one set of names for each kind of rules, as a
    /// firewall without a policy has.
    fn collections(&mut self, policy: &Policy, name: &Arc<str>, group: &RuleCollectionGroup) -> Vec<Value> {
        let mut made = Vec::new();
        let mut names = rules::Names::keeping(group.collections.iter().map(|collection| &collection.name));
        for collection in &group.collections {
            let place = rules::Place {
                wording: &policy.wording,
                kind: collection.rules.kind(),
                policy: name,
                group: &group.name,
                collection: &collection.name,
            };
            let rules = rules::of(collection, &place, &self.ip_groups, &mut self.notes);
            let (kind, action) = match (&collection.rules, collection.action) {
                (Rules::Nat(_), _) => ("FirewallPolicyNatRuleCollection", "DNAT"),
                (_, crate::policy::Action::Allow) => ("FirewallPolicyFilterRuleCollection", "Allow"),
                (_, crate::policy::Action::Deny) => ("FirewallPolicyFilterRuleCollection", "Deny"),
            };
            // Azure refuses a collection without a rule.
            if rules.is_empty() {
                self.notes.push(format!(
                    "`{}/{}` holds no rule that can be written, and is left out: Azure refuses a collection without one",
                    group.name, collection.name
                ));
                continue;
            }
            let own = names.take(&collection.name);
            if own != *collection.name {
                self.notes.push(format!(
                    "`{}/{}`: the group has two collections of this name, of different kinds; this one is called `{own}`",
                    group.name, collection.name
                ));
            }
            made.push(json!({
                "ruleCollectionType": kind,
                "name": escaped(&own),
                "priority": collection.priority.value(),
                "action": { "type": action },
                "rules": rules,
            }));
        }
        made
    }
}

fn is_v4(net: &ipnet::IpNet) -> bool {
    net.network().is_ipv4()
}

fn has_names_in_network_rules(collection: &RuleCollection) -> bool {
    match &collection.rules {
        Rules::Network(rules) => rules.iter().any(|rule| !rule.destinations.fqdns.is_empty()),
        Rules::Nat(_) | Rules::Application(_) => false,
    }
}

/// A text that a template would take for an expression gets a second bracket; one that does not end with a bracket is none ("Syntax
/// and expressions in ARM templates", "Escape characters").
pub(super) fn escaped(text: &str) -> String {
    match text.starts_with('[') && text.ends_with(']') {
        true => format!("[{text}"),
        false => text.to_owned(),
    }
}

/// A text inside an expression: its quotes are doubled.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn policy_id(name: &str) -> String {
    format!("[resourceId('Microsoft.Network/firewallPolicies', {})]", quoted(name))
}

fn group_id(policy: &str, group: &str) -> String {
    let kind = "Microsoft.Network/firewallPolicies/ruleCollectionGroups";
    format!("[resourceId('{kind}', {}, {})]", quoted(policy), quoted(group))
}
