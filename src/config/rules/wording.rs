//! What rules say beside what they match, for an export.

use crate::{
    config::{
        at::At,
        file::{Collection, FileConfig, NatCollection, NetworkRule, Texts},
    },
    policy::{DecidedBy, RuleRef, Wording},
};
use std::{collections::BTreeMap, sync::Arc};

/// The wording of every rule that has one. `own`: the name of the policy itself.
pub(super) fn of(file: &FileConfig, own: &str) -> BTreeMap<(DecidedBy, RuleRef), Wording> {
    let mut reader = Reader::default();
    let parents = file.parent_policy.iter();
    let parents = parents.map(|parent| (text(&parent.name), &parent.rule_collection_group));
    for (policy, groups) in parents.chain([(own, &file.rule_collection_group)]) {
        for group in groups {
            reader.place = [policy.into(), text(&group.name).into()];
            reader.application(&group.application_rule_collection);
            reader.network(&group.network_rule_collection);
            reader.nat(&group.nat_rule_collection);
        }
    }
    reader.place = [own.into(), super::IMPLICIT_GROUP.0.into()];
    reader.application(&file.application_rule_collection);
    reader.network(&file.network_rule_collection);
    reader.nat(&file.nat_rule_collection);
    reader.found
}

#[derive(Default)]
struct Reader {
    /// Policy and group.
    place: [Arc<str>; 2],
    found: BTreeMap<(DecidedBy, RuleRef), Wording>,
}

impl Reader {
    fn application(&mut self, collections: &[Collection<crate::config::file::ApplicationRule>]) {
        for collection in collections {
            for rule in &collection.rule {
                let wording = wording(&rule.description, &rule.source_ip_groups, &None);
                self.put(DecidedBy::Application, &collection.name, &rule.name, wording);
            }
        }
    }

    fn network(&mut self, collections: &[Collection<NetworkRule>]) {
        for collection in collections {
            for rule in &collection.rule {
                let wording = wording(&rule.description, &rule.source_ip_groups, &rule.destination_ip_groups);
                self.put(DecidedBy::Network, &collection.name, &rule.name, wording);
            }
        }
    }

    fn nat(&mut self, collections: &[NatCollection]) {
        for collection in collections {
            for rule in &collection.rule {
                let wording = wording(&rule.description, &rule.source_ip_groups, &None);
                self.put(DecidedBy::Nat, &collection.name, &rule.name, wording);
            }
        }
    }

    fn put(&mut self, kind: DecidedBy, collection: &Option<At<String>>, rule: &Option<At<String>>, wording: Wording) {
        if wording == Wording::default() {
            return;
        }
        let [policy, group] = self.place.clone();
        let rule = RuleRef {
            policy,
            group,
            collection: text(collection).into(),
            rule: text(rule).into(),
        };
        self.found.insert((kind, rule), wording);
    }
}

fn wording(description: &Option<String>, sources: &Texts, destinations: &Texts) -> Wording {
    let names = |list: &Texts| -> Vec<Arc<str>> {
        let names = list.iter().flat_map(|list| list.iter());
        names.map(|name| name.as_str().into()).collect()
    };
    Wording {
        description: description.as_deref().map(Into::into),
        source_ip_groups: names(sources),
        destination_ip_groups: names(destinations),
    }
}

fn text(name: &Option<At<String>>) -> &str {
    name.as_ref().map_or("", |name| name.as_str())
}
