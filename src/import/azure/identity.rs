//! [`Identity`]: what is known of where a resource is and what it is called, and [`Register`]: things by it. Templates leave
//! subscription and resource group to the deployment, exports write them out, names may be stand-ins; none of it is thrown away.
//! What is not known is the same as nothing for certain, and different from nothing for certain.

use crate::import::{
    arm::Resource,
    ids::{Id, MAX_ID_BYTES, Part, Same, Word, is_too_long, same_names, words},
    text::Text,
    value::Kind,
};
use std::collections::HashMap;

/// Most things among which the one that is meant is looked for; of more, none is.
const MOST_ALIKE: usize = 100;

/// What tells one resource from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    id: Id,
    /// The names as they read, each with its parents' before it.
    shown: Option<String>,
}

/// The full type of a resource id, in lower case; `None` if the text is none.
pub(super) fn kind_of_id(id: &str) -> Option<String> {
    Id::of(&Text::known(id)).kind
}

impl Identity {
    /// Of a resource: from its id if it was printed with one (PowerShell has a group's in `Properties`), else from its name and
    /// where it is deployed.
    pub fn of(resource: &Resource) -> Self {
        let body = &resource.body;
        let inner = body.get("properties").and_then(|properties| properties.get("id"));
        let printed = [body.get("id"), inner].into_iter().flatten();
        let mut printed = printed.filter_map(|id| match &id.kind {
            Kind::Text(id) => Some(Self::meant_by(id)),
            _ => None,
        });
        if let Some(printed) = printed.find(|id| id.id.kind.as_ref() == Some(&resource.kind)) {
            return printed;
        }
        let names = match &resource.name.kind {
            Kind::Text(name) => words(name),
            _ => Vec::new(),
        };
        let shown = resource.name.as_str().map(|name| name.trim().trim_matches('/'));
        Self {
            id: Id {
                subscription: Part::of_value(resource.target.subscription.as_ref()),
                group: Part::of_value(resource.target.resource_group.as_ref()),
                kind: Some(resource.kind.clone()),
                names,
            },
            shown: shown
                .filter(|name| !name.is_empty() && name.len() <= MAX_ID_BYTES)
                .map(str::to_owned),
        }
    }

    /// What an id, or a name alone, refers to.
    pub fn referred(id: &str) -> Self {
        Self::meant_by(&Text::known(id))
    }

    /// What a reference means, which may be computed.
    pub fn meant_by(text: &Text) -> Self {
        let id = Id::of(text);
        if is_too_long(text) {
            return Self { id, shown: None };
        }
        let parts: Vec<&str> = text.text.trim().split('/').filter(|part| !part.is_empty()).collect();
        let at = parts.iter().position(|part| part.eq_ignore_ascii_case("providers"));
        let shown = match at {
            Some(at) if id.kind.is_some() => parts
                .iter()
                .skip(at + 3)
                .step_by(2)
                .copied()
                .collect::<Vec<_>>()
                .join("/"),
            _ => parts.last().copied().unwrap_or_default().to_owned(),
        };
        Self {
            id,
            shown: (!shown.is_empty()).then_some(shown),
        }
    }

    /// Of the resource that it is a child of. Its name is not known if this one was printed without it.
    pub fn parent(&self) -> Self {
        let parent = self.shown.as_deref().and_then(|name| name.rsplit_once('/'));
        // What stands before a policy's name is nothing of Azure's.
        let parent = parent.map(|(parent, _)| parent.rsplit('/').next().unwrap_or(parent).to_owned());
        let kind = self.id.kind.as_deref().and_then(|kind| kind.rsplit_once('/'));
        let above = self.id.names.len().checked_sub(2).and_then(|at| self.id.names.get(at));
        Self {
            id: Id {
                names: above.cloned().into_iter().collect(),
                kind: kind.map(|(kind, _)| kind.to_owned()),
                ..self.id.clone()
            },
            shown: parent.filter(|name| !name.is_empty()),
        }
    }

    /// The last part of the name, as it reads.
    pub fn last(&self) -> Option<&str> {
        self.shown.as_deref().and_then(|name| name.rsplit('/').next())
    }

    /// The last part of the name; nothing is known of it if that is not.
    pub fn word(&self) -> Word {
        self.id.names.last().cloned().unwrap_or(Word::InDoubt)
    }

    /// The type that an id says.
    pub fn kind(&self) -> Option<&str> {
        self.id.kind.as_deref()
    }

    /// The name is the one that Azure has, and no stand-in.
    pub fn has_known_name(&self) -> bool {
        !self.id.names.is_empty() && self.id.names.iter().all(Word::is_known)
    }

    /// It was printed without a name, or its name is unknown as a whole.
    pub fn is_nameless(&self) -> bool {
        self.id.names.is_empty()
    }

    /// How many of the parts of its place are known.
    fn known_parts(&self) -> usize {
        usize::from(self.id.subscription.is_known()) + usize::from(self.id.group.is_known())
    }

    pub fn same_place(&self, other: &Self) -> Same {
        self.id.same_place(&other.id)
    }

    pub fn same_name(&self, other: &Self) -> Same {
        same_names(&self.id.names, &other.id.names)
    }

    pub fn same(&self, other: &Self) -> Same {
        self.same_name(other).min(self.same_place(other))
    }

    /// Names and place, by which others that are the same for certain are found.
    fn exact(&self) -> Exact {
        (
            self.id.names.clone(),
            self.id.subscription.clone(),
            self.id.group.clone(),
        )
    }
}

/// Names, subscription, resource group.
type Exact = (Vec<Word>, Part, Part);

/// Things by identity.
#[derive(Debug, Default)]
pub(super) struct Register {
    things: Vec<(Identity, usize)>,
    /// By name: those of which the place is known in full, and the others.
    by_name: HashMap<Vec<Word>, [Vec<usize>; 2]>,
    exact: HashMap<Exact, usize>,
    /// Those of which the name is not known.
    in_doubt: Vec<usize>,
}

/// Which thing an identity means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    None,
    One(usize),
    /// It may be this one, and no other: Azure alone knows.
    Perhaps(usize),
    /// It may be each of several.
    Several,
}

impl Register {
    pub fn add(&mut self, id: &Identity, thing: usize) {
        let place = self.things.len();
        self.things.push((id.clone(), thing));
        if !id.has_known_name() {
            self.in_doubt.push(place);
        }
        let part = usize::from(id.known_parts() < 2);
        self.by_name.entry(id.id.names.clone()).or_default()[part].push(place);
        self.exact.entry(id.exact()).or_insert(place);
    }

    pub fn len(&self) -> usize {
        self.things.len()
    }

    pub fn meant(&self, id: &Identity) -> Meant {
        let exact = self.exact.get(&id.exact()).map(|place| &self.things[*place]);
        if let Some((other, thing)) = exact
            && other.same(id) == Same::Yes
        {
            return Meant::One(*thing);
        }
        // Two places that are known in full and differ are never one.
        let named = self.by_name.get(&id.id.names);
        let named = named.map_or([&[][..], &[]], |[whole, partial]| match id.known_parts() {
            2 => [&[], partial.as_slice()],
            _ => [whole.as_slice(), partial],
        });
        // What is certainly meant may have other names too.
        let named = || named.into_iter().flatten().copied();
        match self.only(id, named()) {
            Meant::None | Meant::Perhaps(_) => {}
            meant => return meant,
        }
        match id.has_known_name() {
            true => self.only(id, named().chain(self.in_doubt.iter().copied())),
            false => self.only(id, 0..self.things.len()),
        }
    }

    /// The only one of these that it may be.
    fn only(&self, id: &Identity, mut places: impl Iterator<Item = usize>) -> Meant {
        let things = places.by_ref().take(MOST_ALIKE).map(|place| &self.things[place]);
        let same = things.map(|(other, thing)| (other.same(id), *thing));
        let mut same = same.filter(|(same, _)| *same != Same::No);
        let (first, second) = (same.next(), same.next());
        match (first, second.is_some() || places.next().is_some()) {
            (None, false) => Meant::None,
            (Some((Same::Yes, thing)), false) => Meant::One(thing),
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
    use crate::import::{
        text::Joined,
        value::{Place, Unknown},
    };

    fn at(group: &str, name: &str) -> Identity {
        Identity::referred(&format!(
            "/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Network/ipGroups/{name}"
        ))
    }

    fn names(id: &str) -> Vec<String> {
        let shown = |word: Word| match word {
            Word::Known(known) => known,
            other => format!("{other:?}"),
        };
        Identity::referred(id).id.names.into_iter().map(shown).collect()
    }

    #[test]
    fn an_id_is_read_with_its_place_and_a_name_stands_for_itself() {
        let id =
            "/subscriptions/S/resourceGroups/rg/providers/Microsoft.Network/firewallPolicies/P/ruleCollectionGroups/g/";
        let group = Identity::referred(id);
        let said = |text: &str| Part::Said(Word::Known(text.into()));
        assert_eq!((&group.id.subscription, &group.id.group), (&said("s"), &said("rg")));
        assert_eq!((group.last(), names(id)), (Some("g"), vec!["p".to_owned(), "g".into()]));
        assert_eq!(group.parent().last(), Some("P"));
        assert_eq!(
            kind_of_id(id).as_deref(),
            Some("microsoft.network/firewallpolicies/rulecollectiongroups")
        );
        assert_eq!(names("spokes"), ["spokes"]);
    }

    #[test]
    fn what_is_no_whole_id_refers_to_nothing() {
        let one = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/ipGroups/a";
        for text in [
            &format!("{one} {one}"),
            &format!("{one},{one}"),
            "a b",
            "a, b",
            "x/y/z/a/ipGroups/b",
            "/resourceGroups/g/providers/Microsoft.Network/ipGroups/b",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/ipGroups",
        ] {
            assert_eq!(names(text), [""; 0], "{text}");
            let mut register = Register::default();
            register.add(&at("g", "b"), 0);
            assert_ne!(register.meant(&Identity::referred(text)), Meant::One(0), "{text}");
        }
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

    /// A text that is a stand-in as a whole, of its own.
    fn stand_in(text: &str) -> Text {
        Text::known(text).stand_in(&Unknown::new("why", Place::default()))
    }

    #[test]
    fn what_stands_in_is_the_same_as_itself_alone_whatever_it_reads() {
        let (one, other) = (stand_in("spokes"), stand_in("spokes"));
        let mut register = Register::default();
        register.add(&Identity::meant_by(&one), 0);
        assert_eq!(register.meant(&Identity::meant_by(&one.clone())), Meant::One(0));
        assert_eq!(register.meant(&Identity::meant_by(&other)), Meant::Perhaps(0));
        assert_eq!(register.meant(&Identity::referred("spokes")), Meant::Perhaps(0));
        assert_eq!(register.meant(&at("a", "spokes")), Meant::Perhaps(0));
        register.add(&Identity::meant_by(&other), 1);
        assert_eq!(register.meant(&Identity::meant_by(&other)), Meant::One(1));
        assert_eq!(register.meant(&Identity::referred("spokes")), Meant::Several);
    }

    #[test]
    fn a_place_in_doubt_is_the_same_as_none_and_different_from_none() {
        let placed = |group: &Text| {
            let mut id = Joined::default();
            id.push_str("/subscriptions/s/resourceGroups/");
            id.push(group);
            id.push_str("/providers/Microsoft.Network/ipGroups/x");
            Identity::meant_by(&id.finish())
        };
        let (one, other) = (stand_in("rg"), stand_in("rg"));
        let mut register = Register::default();
        register.add(&placed(&one), 0);
        assert_eq!(register.meant(&placed(&one)), Meant::One(0));
        assert_eq!(register.meant(&placed(&other)), Meant::Perhaps(0));
        assert_eq!(register.meant(&at("rg", "x")), Meant::Perhaps(0));
        assert_eq!(register.meant(&Identity::referred("x")), Meant::One(0));
        register.add(&placed(&other), 1);
        assert_eq!(register.meant(&placed(&other)), Meant::One(1));
        assert_eq!(register.meant(&at("rg", "x")), Meant::Several);
        assert_eq!(firsts(&[placed(&stand_in("rg")), placed(&stand_in("rg"))]), [0, 1]);
    }

    #[test]
    fn of_many_elsewhere_none_is_looked_for() {
        let wanted = |register: &Register| {
            let mut id = Joined::default();
            id.push_str("/subscriptions/s/resourceGroups/other/providers/Microsoft.Network/ipGroups/");
            id.push(&stand_in("x"));
            register.meant(&Identity::meant_by(&id.finish()))
        };
        let mut register = Register::default();
        for index in 0..MOST_ALIKE {
            register.add(&at(&format!("g{index}"), "x"), index);
        }
        assert_eq!(wanted(&register), Meant::None);
        register.add(&at("last", "x"), MOST_ALIKE);
        assert_eq!(wanted(&register), Meant::Several);
    }

    #[test]
    fn resources_are_one_if_nothing_that_is_known_tells_them_apart() {
        let name = Identity::referred("x");
        assert_eq!(firsts(&[name.clone(), at("a", "x"), name.clone()]), [1, 1, 1]);
        assert_eq!(firsts(&[name, at("a", "x"), at("b", "x")]), [0, 1, 2]);
    }
}
