//! A policy's parents.

use super::{Gather, meant};
use crate::import::{
    azure::{
        base::Base,
        fields::located,
        sources::{Body, Source, Sources},
    },
    model::Origin,
};
use std::collections::BTreeSet;

/// Most parents above a policy; Azure has one.
const MOST_PARENTS: usize = 8;

impl Gather<'_> {
    /// The policy and its parents, root first. A parent that is in none of the files may deny.
    pub(super) fn chain(&mut self, sources: &Sources, chosen: usize) -> Vec<usize> {
        let mut chain = vec![chosen];
        while let Some(link) = chain.last().map(|link| &sources.all[*link]) {
            let mut next = BTreeSet::new();
            let mut without = false;
            for body in &link.bodies {
                let why = match (&body.base, meant(sources, &body.base)) {
                    (Base::None, _) => {
                        without = true;
                        continue;
                    }
                    (_, Some(parent)) if chain.len() <= MOST_PARENTS && !chain.contains(&parent) => {
                        next.insert(parent);
                        match sources.why_not_whole(parent) {
                            Some(why) => format!("its parent policy `{}` {why}", sources.all[parent].name),
                            None => continue,
                        }
                    }
                    (base, parent) => why_not(sources, base, parent.is_some()),
                };
                self.not_read(&link.name, &of_base(body), why);
            }
            if next.len() > 1 || (without && !next.is_empty()) {
                let why = "the files hold this policy more than once, with another parent or with none";
                self.not_read(&link.name, &of_base(&link.bodies[0]), why);
            }
            match next.first() {
                Some(parent) => chain.push(*parent),
                None => break,
            }
        }
        chain.reverse();
        chain
    }
}

/// Whether a parent of a policy is missing, in part or as a whole.
pub(super) fn lacks_one(sources: &Sources, source: &Source) -> bool {
    let is_there = |body: &Body| match (&body.base, meant(sources, &body.base)) {
        (Base::None, _) => true,
        (_, Some(parent)) => sources.why_not_whole(parent).is_none(),
        (_, None) => false,
    };
    !source.bodies.iter().all(is_there)
}

fn of_base(body: &Body) -> Origin {
    match located(&body.value, "basePolicy", &body.origin) {
        Some((origin, _)) => origin,
        None => body.origin.clone(),
    }
}

/// Why a parent is not taken.
fn why_not(sources: &Sources, base: &Base, is_there: bool) -> String {
    match base {
        Base::None => String::new(),
        Base::Unknown(unknown) => format!("its parent policy is not known: {}", unknown.why),
        Base::Named(id) => {
            let name = id.last().unwrap_or_default();
            match is_there {
                true => format!("its parent policy `{name}` has it as a parent in turn"),
                false => format!("its parent policy `{name}` {}", sources.why_none(id)),
            }
        }
    }
}
