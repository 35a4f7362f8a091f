//! Which of several policies is meant.

use super::{Gather, meant};
use crate::import::{
    azure::{ImportFault, base::Base, identity::Identity, register::Meant, shapes::FIREWALL, sources::Sources},
    ids::Same,
    value::Place,
};
use std::collections::BTreeSet;

/// Most references in doubt that are looked at one by one; more may mean any policy.
const MOST_IN_DOUBT: usize = 16;

impl Gather<'_> {
    /// What firewalls use beside the chain that is taken, with parents, and what those may use of which the policy is not known.
    /// Nothing if somebody named the one that is meant.
    pub(super) fn also_in_force(&self, sources: &Sources, chain: &[usize]) -> [BTreeSet<usize>; 2] {
        if self.import.options.policy.is_some() {
            return Default::default();
        }
        let [certain, perhaps] = [true, false].map(|certain| used(sources, certain));
        // If nothing is used for certain, a firewall of which the policy is not known stops the import by itself.
        let users = sources.users.iter().filter(|_| !certain.is_empty());
        let in_doubt = users.map(|user| &user.policy).filter(|base| in_doubt(sources, base));
        let in_doubt: Vec<&Base> = in_doubt.take(MOST_IN_DOUBT + 1).collect();
        let may_be_used = (0..sources.all.len()).filter(|place| {
            let id = &sources.all[*place].id;
            let is_policy = id.kind() != Some(FIREWALL);
            let any = in_doubt.len() > MOST_IN_DOUBT;
            is_policy && (any || in_doubt.iter().any(|base| may_mean(base, id)))
        });
        let closed = |mut open: Vec<usize>| {
            let mut found = BTreeSet::new();
            while let Some(place) = open.pop() {
                if !chain.contains(&place) && found.insert(place) {
                    let bodies = sources.all[place].bodies.iter();
                    open.extend(bodies.filter_map(|body| meant(sources, &body.base)));
                }
            }
            found
        };
        [
            closed(certain.union(&perhaps).copied().collect()),
            closed(may_be_used.collect()),
        ]
    }

    /// The policy that is meant: by name or id; or the first that a firewall uses; or the first that is nobody's
    /// parent, but one whose parent is not known before those which that may be.
    pub(super) fn choose(&mut self, sources: &Sources) -> Result<usize, Box<ImportFault>> {
        let fault = |found: String, hint: &str| {
            Box::new(ImportFault {
                hint: hint.to_owned(),
                ..self.import.fault(Place::default(), "$", found)
            })
        };
        let bases = sources
            .all
            .iter()
            .flat_map(|source| &source.bodies)
            .map(|body| &body.base);
        let parents: BTreeSet<usize> = bases.filter_map(|base| meant(sources, base)).collect();
        let leaves = || (0..sources.all.len()).filter(|place| !parents.contains(place));
        if let Some(wanted) = &self.import.options.policy {
            if let Meant::One(place) = sources.meant(&Identity::referred(wanted)) {
                return Ok(place);
            }
            let is_wanted = |place: &usize| sources.all[*place].name.eq_ignore_ascii_case(wanted);
            let called: Vec<usize> = leaves().filter(is_wanted).collect();
            let names: Vec<&str> = sources.all.iter().map(|source| source.name.as_str()).collect();
            return match called.as_slice() {
                [place] => Ok(*place),
                [] => Err(fault(
                    format!("no policy `{wanted}`"),
                    &format!("the files hold: {}", names.join(", ")),
                )),
                _ => Err(fault(
                    format!("several policies `{wanted}`"),
                    "name the one that is meant by its resource id",
                )),
            };
        }
        let users = || sources.users.iter();
        let [used, perhaps] = [true, false].map(|certain| used(sources, certain));
        let first_of =
            |places: &mut dyn Iterator<Item = usize>| places.min_by_key(|place| sources.all[*place].origin.at);
        let mut unresolved = leaves().filter(|place| {
            let mut bases = sources.all[*place].bodies.iter().map(|body| &body.base);
            bases.any(|base| !matches!(base, Base::None) && meant(sources, base).is_none())
        });
        let chosen = first_of(&mut used.iter().copied())
            .or_else(|| first_of(&mut perhaps.iter().copied()))
            .or_else(|| first_of(&mut unresolved))
            .or_else(|| first_of(&mut leaves()));
        let chosen = chosen.ok_or_else(|| match sources.all.is_empty() {
            true => fault(
                "no policy and no rule in these files is deployed".into(),
                "an IP group alone makes no policy, nor does what a condition leaves out",
            ),
            false => fault(
                "each policy is the parent of another".into(),
                "name the one that is meant: `--policy`",
            ),
        })?;
        let no_other = !used.is_empty() || sources.all.len() < 2;
        for user in users() {
            let why = match (&user.policy, meant(sources, &user.policy)) {
                (_, Some(place)) => match sources.why_not_whole(place) {
                    Some(why) => format!("it uses the policy `{}`, which {why}", sources.all[place].name),
                    None => continue,
                },
                (Base::Named(policy), None) if policy.has_known_name() => {
                    let name = policy.last().unwrap_or_default();
                    format!("it uses the policy `{name}`, which {}", sources.why_none(policy))
                }
                (Base::None, None) => continue,
                _ if no_other => continue,
                _ => "which of the policies it uses is not known: name the one that is meant with `--policy`".into(),
            };
            self.not_read(&user.name, &user.origin, why);
        }
        Ok(chosen)
    }
}

/// The policies that firewalls use: those of the files, and those that the policies themselves list.
fn used(sources: &Sources, certain: bool) -> BTreeSet<usize> {
    let users = sources.users.iter().filter(|user| user.certain == certain);
    let named = users.filter_map(|user| meant(sources, &user.policy));
    let listed = sources.all.iter().enumerate().filter(|(_, source)| {
        let mut bodies = source.bodies.iter().filter(|body| body.is_in_use());
        bodies.any(|body| body.doubt.is_none() == certain)
    });
    named.chain(listed.map(|(place, _)| place)).collect()
}

/// It is not known which policy is meant, nor whether that is in the files.
fn in_doubt(sources: &Sources, base: &Base) -> bool {
    match base {
        Base::None => false,
        Base::Unknown(_) => true,
        Base::Named(named) => !named.has_known_name() && meant(sources, base).is_none(),
    }
}

/// Whether such a reference may mean this policy.
fn may_mean(base: &Base, id: &Identity) -> bool {
    match base {
        Base::Named(named) => named.same(id) != Same::No,
        Base::None | Base::Unknown(_) => true,
    }
}
