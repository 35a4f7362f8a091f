//! The model in egret's own TOML, and where each of its lines came from.

use super::model::{
    ApplicationRule, Collection, Group, Model, NatRule, NetworkRule, Origin, Policy, Rules, Sources, ThreatIntelligence,
};
use crate::{
    policy::Action,
    printable::{printable, steers},
};
use std::{fmt::Write, net::IpAddr, sync::Arc};

/// Which JSON each line of the TOML was made of.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    files: Vec<Arc<str>>,
    /// First line, from 1, and its origin, in order.
    lines: Vec<(u32, Origin)>,
}

impl Origins {
    /// File, line, column and JSON path of what made a line of the TOML; `None` for a line of no rule.
    pub fn of_line(&self, line: u32) -> Option<(Arc<str>, u32, u32, String)> {
        let after = self.lines.partition_point(|(first, _)| *first <= line);
        let (_, origin) = self.lines.get(after.checked_sub(1)?)?;
        let file = self.files.get(usize::from(origin.at.file))?;
        Some((file.clone(), origin.at.line, origin.at.column, origin.path.to_string()))
    }
}

/// The TOML of a model, made of these files.
pub(super) fn write(model: &Model, files: &[Arc<str>]) -> (String, Origins) {
    let mut writer = Writer {
        out: String::new(),
        line: 1,
        origins: Origins {
            files: files.to_vec(),
            lines: Vec::new(),
        },
    };
    writer.whole(model, files);
    (writer.out, writer.origins)
}

struct Writer {
    out: String,
    line: u32,
    origins: Origins,
}

impl Writer {
    fn put(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
        self.line += 1;
    }

    fn key(&mut self, indent: &str, key: &str, value: &str) {
        self.put(&format!("{indent}{key} = {value}"));
    }

    fn list(&mut self, indent: &str, key: &str, list: &Option<Vec<String>>) {
        if let Some(list) = list {
            self.key(indent, key, &texts(list));
        }
    }

    fn origin(&mut self, origin: &Origin) {
        self.origins.lines.push((self.line, origin.clone()));
    }

    fn whole(&mut self, model: &Model, files: &[Arc<str>]) {
        let names: Vec<&str> = files.iter().map(|file| &**file).collect();
        let names = printable(&names.join(", "));
        self.put(&format!("# Imported from {names}"));
        self.put("[policy]");
        self.key("", "equal_priorities", "\"file-order\"");
        if !model.not_enforced.is_empty() {
            self.key("", "not_enforced", &texts(&model.not_enforced));
        }
        if let Some(policy) = model.policies.last() {
            self.put("\n[azure]");
            self.line += 1;
            self.key("", "policy", &text(&policy.name));
        }
        if let Some(file) = &model.service_tags {
            self.put("");
            self.put("[service_tags]");
            self.key("", "file", &text(file));
        }
        if let Some(lists) = &model.threat_intelligence {
            self.threat_intelligence(lists);
        }
        if !model.ip_groups.is_empty() {
            self.put("");
            self.put("[ip_groups]");
        }
        for group in &model.ip_groups {
            self.origin(&group.origin);
            self.key("", &text(&group.name), &texts(&group.members));
        }
        let Some((own, parents)) = model.policies.split_last() else {
            return;
        };
        for parent in parents {
            self.put("");
            self.put("[[parent_policy]]");
            self.key("", "name", &text(&parent.name));
            self.policy("parent_policy.rule_collection_group", parent);
        }
        self.policy("rule_collection_group", own);
    }

    fn threat_intelligence(&mut self, lists: &ThreatIntelligence) {
        self.put("");
        self.put("[threat_intelligence]");
        self.key("", "mode", &text(lists.mode));
        if !lists.files.is_empty() {
            self.key("", "files", &texts(&lists.files));
        }
        let (addresses, fqdns) = (&lists.allowed_addresses, &lists.allowed_fqdns);
        if !(addresses.is_empty() && fqdns.is_empty()) {
            let allowed = format!("{{ ip_addresses = {}, fqdns = {} }}", texts(addresses), texts(fqdns));
            self.key("", "allowlist", &allowed);
        }
    }

    fn policy(&mut self, table: &str, policy: &Policy) {
        for group in &policy.groups {
            self.group(table, group);
        }
    }

    fn group(&mut self, table: &str, group: &Group) {
        self.put("");
        self.origin(&group.origin);
        self.put(&format!("[[{table}]]"));
        self.key("", "name", &text(&group.name));
        self.key("", "priority", &group.priority.to_string());
        for collection in &group.collections {
            self.collection(table, collection);
        }
    }

    fn collection(&mut self, table: &str, collection: &Collection) {
        let (kind, action) = match &collection.rules {
            Rules::Nat(_) => ("nat_rule_collection", "Dnat"),
            Rules::Network(action, _) => ("network_rule_collection", word(*action)),
            Rules::Application(action, _) => ("application_rule_collection", word(*action)),
        };
        let table = format!("{table}.{kind}");
        self.put("");
        self.origin(&collection.origin);
        self.put(&format!("  [[{table}]]"));
        self.key("  ", "name", &text(&collection.name));
        self.key("  ", "priority", &collection.priority.to_string());
        self.key("  ", "action", &text(action));
        let table = format!("    [[{table}.rule]]");
        match &collection.rules {
            Rules::Nat(rules) => rules.iter().for_each(|rule| self.nat(&table, rule)),
            Rules::Network(_, rules) => rules.iter().for_each(|rule| self.network(&table, rule)),
            Rules::Application(_, rules) => rules.iter().for_each(|rule| self.application(&table, rule)),
        }
    }

    fn head(&mut self, table: &str, origin: &Origin, name: &str, description: &Option<String>, sources: &Sources) {
        self.origin(origin);
        self.put(table);
        self.key(RULE, "name", &text(name));
        if let Some(description) = description {
            self.key(RULE, "description", &text(description));
        }
        self.list(RULE, "source_addresses", &sources.addresses);
        self.list(RULE, "source_ip_groups", &sources.ip_groups);
    }

    fn application(&mut self, table: &str, rule: &ApplicationRule) {
        self.head(table, &rule.origin, &rule.name, &rule.description, &rule.sources);
        let mut protocols = String::new();
        for (index, (kind, port)) in rule.protocols.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            let _ = write!(protocols, "{comma}{{ type = \"{kind}\", port = {port} }}");
        }
        self.key(RULE, "protocols", &format!("[{protocols}]"));
        self.list(RULE, "destination_fqdns", &rule.fqdns);
        self.list(RULE, "destination_fqdn_tags", &rule.fqdn_tags);
        if rule.allow_wide {
            self.key(RULE, "allow_wide", "true");
        }
    }

    fn network(&mut self, table: &str, rule: &NetworkRule) {
        self.head(table, &rule.origin, &rule.name, &rule.description, &rule.sources);
        self.key(RULE, "protocols", &words(&rule.protocols));
        self.list(RULE, "destination_addresses", &rule.addresses);
        self.list(RULE, "destination_ip_groups", &rule.ip_groups);
        self.list(RULE, "destination_fqdns", &rule.fqdns);
        self.key(RULE, "destination_ports", &texts(&rule.ports));
    }

    fn nat(&mut self, table: &str, rule: &NatRule) {
        self.head(table, &rule.origin, &rule.name, &rule.description, &rule.sources);
        self.key(RULE, "protocols", &words(&rule.protocols));
        self.key(RULE, "destination_addresses", &texts(&rule.addresses));
        self.key(RULE, "destination_ports", &texts(&rule.ports));
        let key = match rule.translated.parse::<IpAddr>() {
            Ok(_) => "translated_address",
            Err(_) => "translated_fqdn",
        };
        self.key(RULE, key, &text(&rule.translated));
        self.key(RULE, "translated_port", &rule.translated_port.to_string());
    }
}

/// Indent of a rule's keys.
const RULE: &str = "    ";

fn word(action: Action) -> &'static str {
    match action {
        Action::Allow => "Allow",
        Action::Deny => "Deny",
    }
}

fn words(words: &[&str]) -> String {
    let owned: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    texts(&owned)
}

fn texts(list: &[String]) -> String {
    let list: Vec<String> = list.iter().map(|item| text(item)).collect();
    format!("[{}]", list.join(", "))
}

/// A basic string of one line (TOML 1.0, "String").
fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // The TOML goes to a terminal too.
            c if steers(c) => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
