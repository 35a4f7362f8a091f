//! Collections of a classic firewall that `az` prints without it.

use super::{Sources, no_group};
use crate::import::{
    arm::Resource,
    azure::{
        Import,
        collections::GroupSource,
        groups::{NO_GROUP, origin, unknown},
        identity::Identity,
        register::Meant,
        schema::{Section, Shape},
    },
    ids::Word,
    model::Origin,
    value::{Unknown, Value},
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Types of the collections that `az` prints without the firewall that they are of.
const LOOSE: [(&str, Section); 3] = [
    ("microsoft.network/azurefirewalls/natrulecollections", Section::Nat),
    (
        "microsoft.network/azurefirewalls/networkrulecollections",
        Section::Network,
    ),
    (
        "microsoft.network/azurefirewalls/applicationrulecollections",
        Section::Application,
    ),
];

pub(super) fn section(resource: &Resource) -> Option<Section> {
    let known = LOOSE.iter().find(|(kind, _)| *kind == resource.kind);
    known.map(|(_, section)| *section)
}

impl Sources {
    /// Collections that were printed without their firewall.
    pub(super) fn loose(&mut self, import: &Import<'_>, resources: &[&Resource]) {
        let mut by_firewall: BTreeMap<usize, Vec<(Value, Shape, Origin)>> = BTreeMap::new();
        let mut doubts: HashMap<usize, Arc<Unknown>> = HashMap::new();
        for (resource, section) in resources.iter().filter_map(|one| Some((*one, section(one)?))) {
            let id = Identity::of(resource).parent();
            let meant = self.firewalls.meant(&id);
            let place = match meant {
                Meant::One(place) | Meant::Perhaps(place, _) => place,
                Meant::None | Meant::Several => self.push_firewall(&id, origin(resource)),
            };
            let collection = (resource.body.clone(), Shape::Classic(section), origin(resource));
            by_firewall.entry(place).or_default().push(collection);
            let of_another = || {
                let nameless = id.is_nameless() || self.all[place].id.is_nameless();
                let doubted = matches!(meant, Meant::Perhaps(..)) && !nameless;
                doubted.then(|| unknown("whether it is of this firewall".to_owned(), resource.body.at))
            };
            // What one of them allows is in doubt with another: they make one group.
            if let Some(doubt) = resource.doubt.clone().or_else(of_another) {
                doubts.entry(place).or_insert(doubt);
            }
        }
        for (place, collections) in by_firewall {
            let group = GroupSource {
                doubt: doubts.remove(&place),
                ..no_group(collections)
            };
            self.attach(import, place, group, Word::Known(NO_GROUP.0.into()));
        }
    }
}
