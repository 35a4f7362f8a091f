//! Groups in their policies: of two that are one in Azure, and have not one content, neither is known to be in force.

use super::{NOT_KNOWN, Sources, stray};
use crate::import::{
    arm::Resource,
    azure::{
        Import,
        collections::GroupSource,
        groups::{same_group, unknown},
        identity::Identity,
        register::{MOST_PAIRS, Meant},
        schema::Shape,
    },
    ids::{Same, Word},
};

impl Sources {
    /// Puts a group in its policy. In Azure a group has one content: of two that differ neither is known to be in force.
    pub(super) fn attach(&mut self, import: &Import<'_>, place: usize, mut group: GroupSource, word: Word) {
        let groups = &mut self.all[place].groups;
        let is_known = word != Word::InDoubt;
        self.attached.push((place, groups.len(), word.clone()));
        let key = (place, word);
        let other = self.places.get_mut(&key).filter(|_| is_known);
        let Some((index, contested)) = other else {
            self.places.insert(key, (groups.len(), false));
            groups.push(group);
            return;
        };
        let other = &mut groups[*index];
        let at = |group: &GroupSource| format!("{}:{}", import.file(group.origin.at), group.origin.at.line);
        if same_group(import.budget, other, &group) {
            // One of them that is deployed for certain is enough.
            if !*contested {
                other.doubt = other.doubt.take().and(group.doubt.clone());
            }
            let same = at(other);
            self.attached.pop();
            self.doubles.push((group, same));
            return;
        }
        *contested = true;
        let (here, there) = (at(other), at(&group));
        let collections = group.collections.as_ref().map_or(&[][..], Vec::as_slice);
        let of_firewall = collections
            .iter()
            .any(|(_, shape, _)| matches!(shape, Shape::Classic(_)));
        for (one, twin) in [(other, there), (&mut group, here)] {
            // A firewall without a policy has no groups: of its collections, one file holds others than the other does.
            let what = if of_firewall {
                "other collections of this firewall, and which of them it has is not known"
            } else {
                "this group too, with other content"
            };
            let why = format!("{twin} holds {what}");
            one.doubt.get_or_insert_with(|| unknown(why, one.origin.at));
        }
        groups.push(group);
    }

    /// A group of which the policy is not known for certain belongs to the only one that it may belong to. What it allows there is
    /// in doubt if Azure alone knows where either is, if its policy's name is made of something that is not this one's, or if there are
    /// other policies that it is not of: it may be of none of them.
    pub(super) fn adopt(&mut self, import: &Import<'_>, id: &Identity, mut group: GroupSource, resource: &Resource) {
        let policy = id.parent();
        match self.policies.meant(&policy) {
            Meant::One(place) => self.attach(import, place, group, id.word()),
            Meant::Perhaps(place, open) => {
                let of = &self.all[place];
                // Printed without its policy, or without any name: a template has a name, known or not.
                let is_of_any = !resource.in_template && policy.is_nameless() && id.names().iter().all(Word::is_known);
                let has_no_name = match of.bodies.as_slice() {
                    _ if !of.id.is_nameless() => false,
                    [] => !resource.in_template,
                    bodies => !bodies.iter().any(|body| body.in_template),
                };
                let stand_ins = !has_no_name && !is_of_any;
                let same_place = of.id.same_place(&policy) == Same::Yes;
                let is_only = self.policies.len() == 1 && !stand_ins && open.is_none() && same_place;
                if !is_only {
                    let why = open.unwrap_or(NOT_KNOWN);
                    let of_name = resource.name.doubt().filter(|_| stand_ins);
                    let of_name = of_name.map(|name| format!(" ({})", name.why));
                    let why = format!(
                        "it may be of another policy than this: {why}{}",
                        of_name.unwrap_or_default()
                    );
                    group.doubt.get_or_insert_with(|| unknown(why, group.origin.at));
                }
                self.attach(import, place, group, id.word());
            }
            Meant::Several => self.strays.push(stray(group)),
            Meant::None => {
                let place = self.push_policy(&policy, "imported", group.origin.clone());
                self.attach(import, place, group, id.word());
            }
        }
    }

    /// A group of which the name is not known may be one of the same policy that another deployment makes; in one deployment Azure
    /// refuses two of one name.
    pub(super) fn doubt_alike(&mut self, import: &Import<'_>) {
        let in_doubt: Vec<usize> = (0..self.attached.len())
            .filter(|index| !self.attached[*index].2.is_known())
            .collect();
        if in_doubt.len().saturating_mul(self.attached.len()) > MOST_PAIRS {
            for group in self.all.iter_mut().flat_map(|source| &mut source.groups) {
                let why = "too many groups have a name that is not known, and may be this one".to_owned();
                group.doubt.get_or_insert_with(|| unknown(why, group.origin.at));
            }
            return;
        }
        for one in in_doubt {
            for other in 0..self.attached.len() {
                let [(place, index, word), (its_place, its_index, its_word)] =
                    [one, other].map(|at| &self.attached[at]);
                if place != its_place || index == its_index {
                    continue;
                }
                let (place, pair) = (*place, [*index, *its_index]);
                let may_be_one = word.same(its_word) != Same::No;
                let groups = &self.all[place].groups;
                let [ours, theirs] = pair.map(|index| &groups[index]);
                if !may_be_one
                    || (ours.origin.at.file == theirs.origin.at.file && ours.deployment == theirs.deployment)
                    || same_group(import.budget, ours, theirs)
                {
                    continue;
                }
                let at = [theirs, ours].map(|twin| format!("{}:{}", import.file(twin.origin.at), twin.origin.at.line));
                for (index, twin) in pair.into_iter().zip(at) {
                    let group = &mut self.all[place].groups[index];
                    let why =
                        format!("{twin} may hold this group too, with other content: the name of one is not known");
                    group.doubt.get_or_insert_with(|| unknown(why, group.origin.at));
                }
            }
        }
    }
}
