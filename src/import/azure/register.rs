//! [`Register`]: things by [`Identity`].

use super::{
    identity::{Exact, Identity},
    places::Places,
};
use crate::import::{
    arm::Resource,
    ids::{Same, Word},
};
use crate::import::{budget::Budget, value::Place as At};
use std::{
    cell::Cell,
    collections::{HashMap, HashSet},
};

/// Most steps that looks take between two payments: as many as an import has.
const MOST_LOOKS: usize = 1_000_000;

/// Most things among which the one that is meant is looked for; of more, none is.
pub(super) const MOST_ALIKE: usize = 100;

/// Most pairs of which it is asked whether they may be one: Azure takes 200 IP groups for a firewall ("Azure subscription and service
/// limits, quotas, and constraints"). Of more, each may be another.
pub(super) const MOST_PAIRS: usize = 200 * 200;

/// Things by identity.
#[derive(Debug, Default)]
pub(super) struct Register {
    things: Vec<(Identity, usize)>,
    /// By name: those of which the place is known in full, and the others.
    by_name: HashMap<Vec<Word>, [Vec<usize>; 2]>,
    exact: HashMap<Exact, usize>,
    /// Those of which the name is not known.
    in_doubt: Vec<usize>,
    places: Places,
    /// What looks have taken that were not paid yet, in steps. Of what is beyond them nothing is known, and the import fails.
    looked: Cell<usize>,
}

/// Which thing an identity means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meant {
    None,
    One(usize),
    /// It may be this one, and no other: Azure alone knows. With what leaves it open, if that is where both are and nothing else.
    Perhaps(usize, Option<&'static str>),
    /// It may be each of several.
    Several,
}

impl Register {
    pub fn at(places: Places) -> Self {
        Self {
            places,
            ..Self::default()
        }
    }

    pub fn add(&mut self, id: &Identity, thing: usize) {
        let place = self.things.len();
        self.things.push((id.clone(), thing));
        if !id.has_known_name() {
            self.in_doubt.push(place);
        }
        let part = usize::from(id.known_parts() < 2);
        self.by_name.entry(id.names().to_vec()).or_default()[part].push(place);
        self.exact.entry(id.exact()).or_insert(place);
    }

    /// Pays for the looks so far.
    pub fn pay(&self, budget: &Budget) {
        budget.looks(self.looked.take(), At::default());
    }

    /// Whether two are the same, by all that the files say.
    fn same(&self, one: &Identity, other: &Identity) -> Same {
        match one.same(other) {
            Same::Yes if self.places.why_open(one, other).is_some() => Same::InDoubt,
            same => same,
        }
    }

    /// Whether there is one of this name, wherever it is.
    pub fn has_name(&self, id: &Identity) -> bool {
        self.by_name.contains_key(id.names())
    }

    pub fn len(&self) -> usize {
        self.things.len()
    }

    pub fn meant(&self, id: &Identity) -> Meant {
        self.meant_among(id, |_| true)
    }

    /// The same among those things of which this holds.
    fn meant_among(&self, id: &Identity, holds: impl Fn(usize) -> bool) -> Meant {
        self.looked.set(self.looked.get() + id.weight());
        if self.looked.get() > MOST_LOOKS {
            return Meant::Several;
        }
        let exact = self.exact.get(&id.exact()).map(|place| &self.things[*place]);
        if let Some((other, thing)) = exact
            && other.same(id) == Same::Yes
        {
            return Meant::One(*thing);
        }
        // Two places that are known in full and differ are never one.
        let named = self.by_name.get(id.names());
        let named = named.map_or([&[][..], &[]], |[whole, partial]| match id.known_parts() {
            2 => [&[], partial.as_slice()],
            _ => [whole.as_slice(), partial],
        });
        // What is certainly meant may have other names too.
        let named = || named.into_iter().flatten().copied();
        match self.only(id, &holds, named()) {
            Meant::None | Meant::Perhaps(..) => {}
            meant => return meant,
        }
        match id.has_known_name() {
            true => self.only(id, &holds, named().chain(self.in_doubt.iter().copied())),
            false => self.only(id, &holds, 0..self.things.len()),
        }
    }

    /// The only one of these that it may be.
    fn only(&self, id: &Identity, holds: &impl Fn(usize) -> bool, mut places: impl Iterator<Item = usize>) -> Meant {
        let things = places.by_ref().take(MOST_ALIKE).map_while(|place| {
            let (other, thing) = &self.things[place];
            self.looked.set(self.looked.get() + 1 + id.weight() + other.weight());
            (self.looked.get() <= MOST_LOOKS).then_some((other, thing))
        });
        let same = things.map(|(other, thing)| (self.same(other, id), other, *thing));
        let mut same = same.filter(|(same, _, thing)| *same != Same::No && holds(*thing));
        let (first, second) = (same.next(), same.next());
        if self.looked.get() > MOST_LOOKS {
            return Meant::Several;
        }
        match (first, second.is_some() || places.next().is_some()) {
            (None, false) => Meant::None,
            (Some((Same::Yes, _, thing)), false) => Meant::One(thing),
            (Some((_, other, thing)), false) => {
                let open = self.places.why_open(other, id).filter(|_| other.same(id) == Same::Yes);
                Meant::Perhaps(thing, open)
            }
            _ => Meant::Several,
        }
    }
}

/// Resources that are one and the same, in the order of the first of each, with all that is known of them. What is written
/// without a place is the one of its name that has one, if there is only one in other files, or other templates of one: a template says
/// of its own that they are two by saying another place of each. What else the files say is in `places`.
pub(super) fn distinct<'r>(
    budget: &Budget,
    resources: &[&'r Resource],
    places: &Places,
) -> Vec<(Identity, Vec<&'r Resource>)> {
    let ids: Vec<Identity> = resources.iter().map(|one| Identity::of(one)).collect();
    let sources: Vec<_> = resources.iter().map(|one| one.target.template).collect();
    let first = firsts(budget, &ids, &sources, places);
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
fn firsts(budget: &Budget, ids: &[Identity], sources: &[u32], places: &Places) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|index| (2 - ids[*index].known_parts(), *index));
    let mut register = Register::at(places.clone().mentioned(ids));
    let mut numbers = HashMap::new();
    let alike: Vec<usize> = ids
        .iter()
        .map(|id| {
            let next = numbers.len();
            *numbers.entry(id.exact()).or_insert(next)
        })
        .collect();
    let held: HashSet<_> = sources.iter().copied().zip(alike.iter().copied()).collect();
    let mut same: Vec<usize> = (0..ids.len()).collect();
    for index in order {
        let of_others = |other: usize| !held.contains(&(sources[index], alike[other]));
        match register.meant_among(&ids[index], of_others) {
            Meant::One(other) => same[index] = other,
            Meant::None | Meant::Perhaps(..) | Meant::Several => register.add(&ids[index], index),
        }
    }
    register.pay(budget);
    same
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::{
        text::{Joined, Text},
        value::{Place, Unknown},
    };

    fn at(group: &str, name: &str) -> Identity {
        Identity::referred(&format!(
            "/subscriptions/s/resourceGroups/{group}/providers/Microsoft.Network/ipGroups/{name}"
        ))
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
        assert_eq!(register.meant(&Identity::meant_by(&other)), Meant::Perhaps(0, None));
        assert_eq!(register.meant(&Identity::referred("spokes")), Meant::Perhaps(0, None));
        assert_eq!(register.meant(&at("a", "spokes")), Meant::Perhaps(0, None));
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
        assert_eq!(register.meant(&placed(&other)), Meant::Perhaps(0, None));
        assert_eq!(register.meant(&at("rg", "x")), Meant::Perhaps(0, None));
        assert_eq!(register.meant(&Identity::referred("x")), Meant::One(0));
        register.add(&placed(&other), 1);
        assert_eq!(register.meant(&placed(&other)), Meant::One(1));
        assert_eq!(register.meant(&at("rg", "x")), Meant::Several);
        assert_eq!(
            firsts(
                &Budget::default(),
                &[placed(&stand_in("rg")), placed(&stand_in("rg"))],
                &[0, 1],
                &Places::default()
            ),
            [0, 1]
        );
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
        assert_eq!(
            firsts(
                &Budget::default(),
                &[name.clone(), at("a", "x"), name.clone()],
                &[0, 1, 2],
                &Places::default()
            ),
            [1, 1, 1]
        );
        assert_eq!(
            firsts(
                &Budget::default(),
                &[name, at("a", "x"), at("b", "x")],
                &[0, 1, 2],
                &Places::default()
            ),
            [0, 1, 2]
        );
    }
}
