//! Which policies the files name.

use crate::import::{
    arm::Resource,
    azure::{
        base::{Base, base},
        fields::property,
        identity::Identity,
        shapes::{GROUP, OLD_GROUP, POLICY},
    },
};

/// The policies that resources are, are of, or refer to.
pub(super) fn all(resources: &[&Resource]) -> Vec<Identity> {
    let of = |resource: &&Resource| {
        let id = Identity::of(resource);
        match resource.kind.as_str() {
            POLICY => Some(id),
            GROUP | OLD_GROUP => Some(id.parent()),
            _ => None,
        }
    };
    let referred = bases(resources).map(|(_, id)| id);
    resources.iter().filter_map(of).chain(referred).collect()
}

/// The policies that resources refer to, each with the number of the template that does.
pub(super) fn bases(resources: &[&Resource]) -> impl Iterator<Item = (u32, Identity)> {
    let of = |resource: &&Resource| {
        let template = resource.target.template;
        let bases = ["basePolicy", "firewallPolicy"].map(|key| property(&resource.body, key).map(base));
        bases.into_iter().filter_map(move |base| match base {
            Some(Base::Named(id)) => Some((template, id)),
            _ => None,
        })
    };
    resources.iter().flat_map(of)
}

/// The policies among these, each with the number of its template.
pub(super) fn policies(resources: &[&Resource]) -> impl Iterator<Item = (u32, Identity)> {
    let policies = resources.iter().filter(|one| one.kind == POLICY);
    policies.map(|one| (one.target.template, Identity::of(one)))
}
