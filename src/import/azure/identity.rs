//! [`Identity`]: what is known of where a resource is and what it is called. Templates leave subscription and resource group to
//! the deployment, exports write them out, names may be stand-ins; none of it is thrown away. What is not known is the same as
//! nothing for certain, and different from nothing for certain.

use super::place::{Fit, NO_GROUP, NO_SUBSCRIPTION, Part};
use crate::import::{
    arm::Resource,
    value::{Text, Value},
};
use std::collections::HashMap;

/// Most things of one name among which the one that is meant is looked for; of more, none is.
const MOST_ALIKE: usize = 1000;

/// The parts of a resource id that tell one resource from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    subscription: Part,
    group: Part,
    /// As it is written, with its parents' before it, `policy/group`; `None` if it is not known.
    pub name: Option<String>,
    /// The name is the one that Azure has, and no stand-in.
    pub sure: bool,
}

/// A resource id in its parts (`/subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME/TYPE/NAME`).
struct Parts<'t> {
    subscription: Option<&'t str>,
    group: Option<&'t str>,
    /// Types and names in turn.
    pairs: Vec<(&'t str, &'t str)>,
    provider: &'t str,
}

impl<'t> Parts<'t> {
    fn of(id: &'t str) -> Self {
        let words: Vec<&str> = id.trim().split('/').filter(|word| !word.is_empty()).collect();
        let place = |wanted: &str| words.iter().rposition(|word| word.eq_ignore_ascii_case(wanted));
        let after = |wanted: &str| place(wanted).and_then(|at| words.get(at + 1)).copied();
        let providers = place("providers");
        let rest = providers.map_or(&[][..], |at| words.get(at + 2..).unwrap_or_default());
        let (pairs, _) = rest.as_chunks::<2>();
        Self {
            subscription: after("subscriptions"),
            group: after("resourceGroups"),
            pairs: pairs.iter().map(|[kind, name]| (*kind, *name)).collect(),
            provider: after("providers").unwrap_or_default(),
        }
    }
}

/// The full type of a resource id, in lower case; `None` if the text is none.
pub(super) fn kind_of_id(id: &str) -> Option<String> {
    let parts = Parts::of(id);
    let mut kind = parts.provider.to_ascii_lowercase();
    for (part, _) in &parts.pairs {
        kind = format!("{kind}/{}", part.to_ascii_lowercase());
    }
    (!parts.pairs.is_empty()).then_some(kind)
}

impl Identity {
    /// Of a resource: from its id if it was printed with one, else from its name and where it is deployed.
    pub fn of(resource: &Resource) -> Self {
        let id = resource.body.get("id").and_then(Value::as_str);
        if let Some(id) = id.filter(|id| kind_of_id(id).is_some_and(|kind| kind == resource.kind)) {
            return Self::referred(id);
        }
        let name = resource.name.as_str().map(|name| name.trim().trim_matches('/'));
        Self {
            subscription: Part::of(resource.target.subscription.as_ref(), NO_SUBSCRIPTION),
            group: Part::of(resource.target.resource_group.as_ref(), NO_GROUP),
            name: name.filter(|name| !name.is_empty()).map(str::to_owned),
            sure: resource.name.doubt().is_none(),
        }
    }

    /// What an id, or a name alone, refers to.
    pub fn referred(id: &str) -> Self {
        let parts = Parts::of(id);
        let names: Vec<&str> = parts.pairs.iter().map(|(_, name)| *name).collect();
        let last = id.trim().trim_end_matches('/').rsplit('/').next();
        let name = match names.is_empty() {
            true => last.unwrap_or_default().to_owned(),
            false => names.join("/"),
        };
        Self {
            subscription: Part::of_text(parts.subscription.unwrap_or_default(), NO_SUBSCRIPTION),
            group: Part::of_text(parts.group.unwrap_or_default(), NO_GROUP),
            name: (!name.is_empty()).then_some(name),
            sure: true,
        }
    }

    /// What a reference means, which may be computed.
    pub fn meant_by(text: &Text) -> Self {
        let id = Self::referred(&text.text);
        let reads = |part: Part| match part {
            Part::Known(text) => Part::Reads(text),
            part => part,
        };
        match text.stands_for {
            None => id,
            Some(_) => Self {
                subscription: reads(id.subscription),
                group: reads(id.group),
                ..id
            },
        }
    }

    /// Of the resource that it is a child of. Its name is not known if this one was printed without it.
    pub fn parent(&self) -> Self {
        let parent = self.name.as_deref().and_then(|name| name.rsplit_once('/'));
        // What stands before a policy's name is nothing of Azure's.
        let parent = parent.map(|(parent, _)| parent.rsplit('/').next().unwrap_or(parent).to_owned());
        Self {
            name: parent.filter(|name| !name.is_empty()),
            ..self.clone()
        }
    }

    /// The last part of the name.
    pub fn last(&self) -> Option<&str> {
        self.name.as_deref().and_then(|name| name.rsplit('/').next())
    }

    fn key(&self) -> Option<String> {
        self.name.as_deref().map(str::to_ascii_lowercase)
    }

    /// What is known of the name: all, a stand-in for it, nothing.
    fn kind(&self) -> usize {
        match &self.name {
            Some(_) if self.sure => 0,
            Some(_) => 1,
            None => 2,
        }
    }

    /// How many of the parts of its place are known.
    fn known_parts(&self) -> usize {
        usize::from(self.subscription.is_known()) + usize::from(self.group.is_known())
    }

    /// Whether both may be in the same place.
    fn fits(&self, other: &Self) -> Fit {
        let subscription = self.subscription.fits(&other.subscription);
        subscription.min(self.group.fits(&other.group))
    }

    /// Whether both may be one and the same.
    pub fn may_be(&self, other: &Self) -> bool {
        self.key() == other.key() && self.fits(other) != Fit::No
    }

    /// Name and place, if they are the same for certain as others that read alike.
    fn exact(&self) -> Option<Exact> {
        let part = |part: &Part| match part {
            Part::InDoubt => None,
            Part::Reads(text) => Some(Part::Known(text.clone())),
            part => Some(part.clone()),
        };
        Some((self.key()?, part(&self.subscription)?, part(&self.group)?))
    }
}

/// Name in lower case, subscription, resource group.
type Exact = (String, Part, Part);

/// Things by identity.
#[derive(Debug, Default)]
pub(super) struct Register {
    things: Vec<(Identity, usize)>,
    /// By name in lower case: those of which the place is known in full, and the others.
    by_name: HashMap<String, [Vec<usize>; 2]>,
    exact: HashMap<Exact, usize>,
    /// By what is known of the name: all, a stand-in for it, nothing.
    by_kind: [Vec<usize>; 3],
}

/// Which thing an identity means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    None,
    One(usize),
    /// It may be this one, and no other: a part of the place is known to Azure alone.
    Perhaps(usize),
    /// It may be each of several.
    Several,
}

impl Register {
    pub fn add(&mut self, id: &Identity, thing: usize) {
        let place = self.things.len();
        self.things.push((id.clone(), thing));
        self.by_kind[id.kind()].push(place);
        if let Some(name) = id.key() {
            let part = usize::from(id.known_parts() < 2);
            self.by_name.entry(name).or_default()[part].push(place);
        }
        if let Some(key) = id.exact() {
            self.exact.entry(key).or_insert(place);
        }
    }

    pub fn meant(&self, id: &Identity) -> Meant {
        let Some(name) = id.key() else { return Meant::None };
        if let Some(place) = id.exact().and_then(|key| self.exact.get(&key)) {
            return Meant::One(self.things[*place].1);
        }
        let Some([whole, partial]) = self.by_name.get(&name) else {
            return Meant::None;
        };
        // Two places that are known in full and differ are never one.
        let whole = if id.known_parts() < 2 { whole.as_slice() } else { &[] };
        self.only(id, whole.iter().chain(partial))
    }

    /// The thing that an identity of another name may mean: one of the names is a stand-in, or not known. Two stand-ins that read
    /// differently may be one name.
    pub fn perhaps(&self, id: &Identity) -> Meant {
        let [sure, stand_ins, nameless] = &self.by_kind;
        let other = match id.kind() {
            0 => [stand_ins, nameless, &Vec::new()],
            _ => [sure, stand_ins, nameless],
        };
        self.only(id, other.into_iter().flatten())
    }

    /// The only one of these that fits.
    fn only<'p>(&self, id: &Identity, mut places: impl Iterator<Item = &'p usize>) -> Meant {
        let things = places.by_ref().take(MOST_ALIKE).map(|place| &self.things[*place]);
        let fits = things.map(|(other, thing)| (other.fits(id), *thing));
        let mut fitting = fits.filter(|(fit, _)| *fit != Fit::No);
        let (first, second) = (fitting.next(), fitting.next());
        match (first, second.is_some() || places.next().is_some()) {
            (None, false) => Meant::None,
            (Some((Fit::Yes, thing)), false) => Meant::One(thing),
            (Some((_, thing)), false) => Meant::Perhaps(thing),
            _ => Meant::Several,
        }
    }
}

/// Resources that are one and the same, in the order of the first of each, with all that is known of them. What is written
/// without a place is the one of its name that has one, if there is only one.
pub(super) fn distinct<'r>(resources: &[&'r Resource]) -> Vec<(Identity, Vec<&'r Resource>)> {
    let ids: Vec<Identity> = resources.iter().map(|one| Identity::of(one)).collect();
    let first = firsts(&ids);
    let mut made: Vec<(Identity, Vec<&Resource>)> = Vec::new();
    let mut places: HashMap<usize, usize> = HashMap::new();
    for ((resource, id), first) in resources.iter().zip(ids).zip(first) {
        let place = *places.entry(first).or_insert(made.len());
        match made.get_mut(place) {
            None => made.push((id, vec![resource])),
            Some((known, members)) => {
                members.push(resource);
                if id.known_parts() > known.known_parts() {
                    *known = id;
                }
            }
        }
    }
    made
}

/// For each identity the one that stands for it.
fn firsts(ids: &[Identity]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|index| (2 - ids[*index].known_parts(), *index));
    let mut register = Register::default();
    let mut same: Vec<usize> = (0..ids.len()).collect();
    for index in order {
        match register.meant(&ids[index]) {
            Meant::One(other) => same[index] = other,
            Meant::None | Meant::Perhaps(_) | Meant::Several => register.add(&ids[index], index),
        }
    }
    same
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(group: &str, name: &str) -> Identity {
        Identity::referred(&format!(
            "/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Network/ipGroups/{name}"
        ))
    }

    #[test]
    fn an_id_is_read_with_its_place_and_a_name_stands_for_itself() {
        let id =
            "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Network/firewallPolicies/p/ruleCollectionGroups/g/";
        let group = Identity::referred(id);
        assert_eq!(
            (group.subscription.clone(), group.group.clone()),
            (Part::Known("s".into()), Part::Known("rg".into()))
        );
        assert_eq!((group.name.as_deref(), group.last()), (Some("p/g"), Some("g")));
        assert_eq!(group.parent().name.as_deref(), Some("p"));
        assert_eq!(
            kind_of_id(id).as_deref(),
            Some("microsoft.network/firewallpolicies/rulecollectiongroups")
        );
        assert_eq!(Identity::referred("spokes").name.as_deref(), Some("spokes"));
        assert_eq!(
            Identity::referred("/x/firewallPolicies/base/").name.as_deref(),
            Some("base")
        );
    }

    #[test]
    fn a_name_without_a_place_means_the_only_one_of_its_name() {
        let mut register = Register::default();
        register.add(&at("a", "spokes"), 0);
        assert_eq!(register.meant(&Identity::referred("SPOKES")), Meant::One(0));
        assert_eq!(register.meant(&at("b", "spokes")), Meant::None);
        register.add(&at("b", "spokes"), 1);
        assert_eq!(register.meant(&Identity::referred("spokes")), Meant::Several);
        assert_eq!(register.meant(&at("b", "Spokes")), Meant::One(1));
    }

    #[test]
    fn a_place_in_doubt_is_the_same_as_none_and_different_from_none() {
        let stand_in = |address| Identity {
            group: Part::StandIn(address, "rg".into()),
            ..at("", "x")
        };
        let in_doubt = Identity {
            group: Part::InDoubt,
            ..at("", "x")
        };
        let mut register = Register::default();
        register.add(&stand_in(1), 0);
        assert_eq!(register.meant(&stand_in(1)), Meant::One(0));
        assert_eq!(register.meant(&stand_in(2)), Meant::Perhaps(0));
        assert_eq!(register.meant(&at("rg", "x")), Meant::Perhaps(0));
        assert_eq!(register.meant(&Identity::referred("x")), Meant::One(0));
        register.add(&stand_in(2), 1);
        assert_eq!(register.meant(&stand_in(2)), Meant::One(1));
        assert_eq!(register.meant(&in_doubt), Meant::Several);
        assert_eq!(firsts(&[in_doubt.clone(), in_doubt]), [0, 1]);
    }

    #[test]
    fn resources_are_one_if_nothing_that_is_known_tells_them_apart() {
        let name = Identity::referred("x");
        assert_eq!(firsts(&[name.clone(), at("a", "x"), name.clone()]), [1, 1, 1]);
        assert_eq!(firsts(&[name, at("a", "x"), at("b", "x")]), [0, 1, 2]);
    }
}
