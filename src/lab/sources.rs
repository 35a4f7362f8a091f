//! Who the lab's clients are to a policy that knows nothing of the lab. Pure.

use crate::policy::{Policy, RuleCollection, Rules, Sources};
use ipnet::IpNet;
use std::{net::IpAddr, sync::Arc};

/// Makes `client` a source of every rule that `source` is a source of.
pub fn stand_for(policy: &mut Policy, client: IpAddr, source: IpAddr) {
    let parents = policy.parents.iter_mut().flat_map(|parent| &mut parent.groups);
    let groups = parents.chain(&mut policy.groups);
    for collection in groups.flat_map(|group| &mut group.collections) {
        for sources in of_rules_mut(&mut collection.rules) {
            if let Sources::Nets(nets) = sources
                && nets.iter().any(|net| net.contains(&source))
            {
                Arc::make_mut(nets).push(IpNet::from(client));
            }
        }
    }
}

/// Whether some rule may match one of these clients; so it is if there are no rules.
pub fn means_any(policy: &Policy, clients: &[IpAddr]) -> bool {
    let mut collections = policy.collections().peekable();
    let is_meant = |sources: &Sources| match sources {
        Sources::Any { .. } => true,
        Sources::Nets(nets) => nets.iter().any(|net| clients.iter().any(|client| net.contains(client))),
    };
    collections.peek().is_none() || collections.any(|collection| of_rules(collection).any(is_meant))
}

fn of_rules(collection: &RuleCollection) -> impl Iterator<Item = &Sources> {
    let (nat, network, application) = match &collection.rules {
        Rules::Nat(rules) => (&rules[..], &[][..], &[][..]),
        Rules::Network(rules) => (&[][..], &rules[..], &[][..]),
        Rules::Application(rules) => (&[][..], &[][..], &rules[..]),
    };
    let nat = nat.iter().map(|rule| &rule.sources);
    let network = network.iter().map(|rule| &rule.sources);
    nat.chain(network).chain(application.iter().map(|rule| &rule.sources))
}

fn of_rules_mut(rules: &mut Rules) -> Vec<&mut Sources> {
    match rules {
        Rules::Nat(rules) => rules.iter_mut().map(|rule| &mut rule.sources).collect(),
        Rules::Network(rules) => rules.iter_mut().map(|rule| &mut rule.sources).collect(),
        Rules::Application(rules) => rules.iter_mut().map(|rule| &mut rule.sources).collect(),
    }
}
