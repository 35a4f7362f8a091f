//! Which of several policies is meant.

use super::{Gather, meant};
use crate::import::{
    azure::{
        ImportFault,
        base::Base,
        identity::{Identity, Meant},
        sources::Sources,
    },
    value::Place,
};
use std::collections::BTreeSet;

impl Gather<'_> {
    /// What firewalls of the files use beside the chain that is taken, with parents. Nothing if somebody named the one that is meant.
    pub(super) fn also_in_force(&self, sources: &Sources, chain: &[usize]) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        if self.import.options.policy.is_some() {
            return found;
        }
        let users = sources.users.iter();
        let mut open: Vec<usize> = users.filter_map(|user| meant(sources, &user.policy)).collect();
        while let Some(place) = open.pop() {
            if !chain.contains(&place) && found.insert(place) {
                let bodies = sources.all[place].bodies.iter();
                open.extend(bodies.filter_map(|body| meant(sources, &body.base)));
            }
        }
        found
    }

    /// The policy that is meant: by name or id; or the first that a firewall of the files uses; or the first that is nobody's
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
        let used = |certain: bool| -> BTreeSet<usize> {
            let asked = users().filter(|user| user.certain == certain);
            asked.filter_map(|user| meant(sources, &user.policy)).collect()
        };
        let (used, perhaps) = (used(true), used(false));
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
        for user in users().filter(|user| meant(sources, &user.policy).is_none()) {
            let why = match &user.policy {
                Base::Named(policy) if policy.has_known_name() => {
                    let policy = policy.last().unwrap_or_default();
                    format!("it uses the policy `{policy}`, which is in none of the files: give that one too")
                }
                Base::None => continue,
                _ if no_other => continue,
                _ => "which of the policies it uses is not known: name the one that is meant with `--policy`".into(),
            };
            self.not_read(&user.name, &user.origin, why);
        }
        Ok(chosen)
    }
}
