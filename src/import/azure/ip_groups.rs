//! IP groups, and the rules' references to them: by resource id, by name, through variables.

use super::{
    Import,
    draft::{Draft, Effect},
    fields::list,
    groups::{content, origin},
    identity::Identity,
    names::{NO_NAME, Names},
    places::Places,
    register::{MOST_PAIRS, Meant, Register, distinct},
    shapes::{Found, IP_GROUP},
    sources::takes,
};
use crate::{
    import::{
        arm::Resource,
        budget::Budget,
        ids::{Same, is_too_long},
        model::IpGroup,
        report::{Item, ItemKind},
        value::{Kind, Value},
    },
    nets,
};

use std::collections::HashMap;

const MAY_BE_ANOTHER: &str = "another deployment, template or file has one with other addresses that may be this one: which name or resource group one of \
                              them has is not known";

/// An IP group of the files.
#[derive(Debug)]
struct Known {
    group: IpGroup,
    /// Some of its addresses are not known.
    in_part: bool,
    /// Why it cannot be used at all.
    void: Option<String>,
}

/// What one resource says of its group.
struct Written {
    members: Vec<String>,
    in_part: bool,
    void: Option<String>,
    draft: Draft,
}

impl Written {
    fn of(import: &Import<'_>, resource: &Resource) -> Self {
        let mut draft = Draft::new(Effect::Allow);
        let mut members = Vec::new();
        match content(&resource.body) {
            Ok(content) if !import.affords(content) => {}
            Ok(content) => match list(content, "ipAddresses", &mut draft, address) {
                Some(addresses) => members = addresses,
                None => draft.missing("it has no `ipAddresses`: a query may have left them out"),
            },
            Err(unknown) => draft.missing(format!("its addresses are not known: {}", unknown.why)),
        }
        let in_part = draft.missing_parts() > 0;
        let doubt = resource.doubt.as_ref();
        let doubted = doubt.map(|doubt| format!("whether it is deployed is not known: {}", doubt.why));
        let nameless = resource.name.as_unknown();
        let nameless = nameless.map(|unknown| format!("its name is not known: {}", unknown.why));
        let nothing = (in_part && members.is_empty()).then(|| "none of its addresses is known".to_owned());
        let void = nameless.or(doubted).or(nothing);
        Self {
            members,
            in_part,
            void,
            draft,
        }
    }

    /// It is there for certain, with all its addresses.
    fn is_sound(&self) -> bool {
        !self.in_part && self.void.is_none()
    }
}

/// All IP groups of the files.
#[derive(Debug, Default)]
pub(super) struct IpGroups {
    known: Vec<Known>,
    places: Register,
    /// Those that the files hold and do not deploy.
    left_out: Register,
}

impl IpGroups {
    pub fn read(import: &Import<'_>, found: &Found, items: &mut Vec<Item>) -> Self {
        let resources = &found.resources;
        let all = resources.iter().filter(|resource| resource.kind == IP_GROUP);
        let (left_out, deployed): (Vec<_>, Vec<_>) = all.partition(|one| one.left_out.is_some());
        let mut put = |resource: &Resource, draft: Draft| {
            let id = Identity::of(resource);
            let name = id.last().unwrap_or(NO_NAME).to_owned();
            items.extend(import.item(ItemKind::IpGroup, name, &origin(resource), draft.verdict()));
        };
        let mut not_there = Register::default();
        for resource in &left_out {
            not_there.add(&Identity::of(resource), 0);
        }
        let there: Vec<&Resource> = resources.iter().filter(|one| one.left_out.is_none()).collect();
        let own: Vec<Identity> = deployed.iter().map(|group| Identity::of(group)).collect();
        let referred = referred(import, found, &deployed);
        let places = Places::named(&there)
            .mentioned(referred.iter().map(|(_, id)| id))
            .mentioned(&own);
        let with_template = |group: &&Resource| (group.target.template, Identity::of(group));
        let existing = left_out.iter().filter(|one| one.is_existing()).map(with_template);
        let here = deployed.iter().map(with_template).chain(referred.iter().cloned());
        let places = places.existing(existing, here).referred(referred);
        let of_places = distinct(import.budget, &deployed, &places);
        let mut groups = Self {
            known: Vec::new(),
            places: Register::at(places),
            left_out: not_there,
        };
        let mut names = Names::default();
        let mut all = Vec::new();
        for (id, members) in of_places {
            let mut written: Vec<Written> = members.iter().map(|member| Written::of(import, member)).collect();
            let mut known = merged(&mut written);
            let name = id.last().unwrap_or(NO_NAME).to_owned();
            known.group.name = names.take(name, &mut written[0].draft);
            known.group.origin = origin(members[0]);
            groups.places.add(&id, groups.known.len());
            groups.known.push(known);
            all.push((id, members, written));
        }
        let ids: Vec<_> = all.iter().map(|(id, members, _)| (id, members[0].deployment)).collect();
        let doubted = groups.doubt_alike(&ids);
        for ((_, members, written), doubted) in all.into_iter().zip(doubted) {
            for (member, mut written) in members.into_iter().zip(written) {
                if doubted {
                    written.draft.void(MAY_BE_ANOTHER);
                }
                put(member, written.draft);
            }
        }
        // Of what the files deploy nobody has to be told that a template refers to it.
        let is_there = |one: &Resource| matches!(groups.places.meant(&Identity::of(one)), Meant::One(_));
        for resource in left_out.into_iter().filter(|one| !one.only_refers() || !is_there(one)) {
            let mut draft = Draft::new(Effect::Allow);
            draft.void(format!("not deployed: {}", resource.left_out.unwrap_or_default()));
            put(resource, draft);
        }
        groups
    }

    /// One of which Azure alone knows the name or the place may be one that another deployment makes: if that has other addresses,
    /// nobody can tell those of either. In one deployment Azure refuses two of one name and place. Each comes with the number of
    /// its deployment; the answer is of which that is so.
    fn doubt_alike(&mut self, ids: &[(&Identity, u32)]) -> Vec<bool> {
        let in_doubt: Vec<usize> = (0..ids.len()).filter(|place| ids[*place].0.is_in_doubt()).collect();
        let of_one = ids.windows(2).all(|pair| pair[0].1 == pair[1].1);
        let too_many = !of_one && in_doubt.len().saturating_mul(ids.len()) > MOST_PAIRS;
        let mut doubted = vec![too_many; ids.len()];
        let pairs = if of_one || too_many { &[] } else { in_doubt.as_slice() };
        let known = if pairs.is_empty() { &[] } else { self.known.as_slice() };
        let sets: Vec<_> = known.iter().map(|known| set(&known.group.members)).collect();
        for one in pairs.iter().copied() {
            for other in 0..ids.len() {
                let [(our, here), (their, there)] = [one, other].map(|place| ids[place]);
                let [ours, theirs] = [one, other].map(|place| &self.known[place].group);
                let elsewhere = ours.origin.at.file != theirs.origin.at.file;
                let apart = elsewhere || (here != there && our.may_be_again(their));
                if apart && our.same(their) != Same::No && sets[one] != sets[other] {
                    doubted[one] = true;
                    doubted[other] = true;
                }
            }
        }
        for (known, _) in self.known.iter_mut().zip(&doubted).filter(|(_, doubted)| **doubted) {
            known.void.get_or_insert_with(|| MAY_BE_ANOTHER.to_owned());
        }
        doubted
    }

    /// Pays for what was looked up.
    pub fn pay(&self, budget: &Budget) {
        self.places.pay(budget);
        self.left_out.pay(budget);
    }

    /// The groups that a rule names, as the TOML calls them. `None`: the list is absent; one that is null names no group.
    pub fn named(&self, rule: &Value, key: &str, draft: &mut Draft) -> Option<Vec<String>> {
        let value = rule.written(key)?;
        let items = match &value.kind {
            Kind::Null => &[],
            Kind::List(list) => list.items.as_slice(),
            Kind::Text(_) | Kind::Object(_) => std::slice::from_ref(value),
            _ => {
                let why = value.as_unknown().map_or("it is no list", |unknown| &unknown.why);
                draft.missing(format!("`{key}` is not known: {why}"));
                return Some(Vec::new());
            }
        };
        let mut names = Vec::with_capacity(items.len());
        for item in items {
            let value = item.get("id").unwrap_or(item);
            let text = match &value.kind {
                Kind::Text(text) if !text.text.trim().is_empty() => text,
                _ => {
                    let why = item.as_unknown().map_or("it is no id", |unknown| &unknown.why);
                    draft.missing(format!("an entry of `{key}` is not known: {why}"));
                    continue;
                }
            };
            let id = Identity::meant_by(text);
            let name = id.last().unwrap_or_default();
            if id.kind().is_some_and(|kind| kind != IP_GROUP) {
                draft.missing(format!(
                    "an entry of `{key}` is the id of something else than an IP group"
                ));
                continue;
            }
            let known = match self.places.meant(&id) {
                Meant::One(place) => &self.known[place],
                Meant::None | Meant::Several if !id.has_known_name() && value.doubt().is_some() => {
                    let why = value.doubt().map_or("", |doubt| &doubt.why);
                    draft.missing(format!("which IP group is meant is not known: {why}"));
                    continue;
                }
                Meant::None => {
                    let why = match (self.left_out.meant(&id), self.places.has_name(&id)) {
                        (Meant::None, true) => {
                            "is in none of the files, which have one of this name in another resource group or subscription"
                        }
                        (Meant::None, false) => "is in none of the files",
                        _ => "is not deployed by the files: give the one that is there too",
                    };
                    draft.missing(format!("IP group `{name}` {why}"));
                    continue;
                }
                Meant::Perhaps(_, open) => {
                    let doubt = || value.doubt().map_or("the files do not say it", |doubt| &doubt.why);
                    let why = open.unwrap_or_else(doubt);
                    draft.missing(format!(
                        "which IP group is meant is not known, `{name}` of the files or another: {why}"
                    ));
                    continue;
                }
                Meant::Several => {
                    draft.missing(format!("IP group `{name}`: it may be each of several"));
                    continue;
                }
            };
            match known {
                Known { void: Some(why), .. } => draft.missing(format!("IP group `{name}`: {why}")),
                known => {
                    if known.in_part {
                        draft.missing(format!("IP group `{name}`: some of its addresses are not known"));
                    }
                    // It is nobody: a rule that names it alone names no source.
                    if known.group.members.is_empty() {
                        draft.remark(format!("IP group `{name}` is empty"));
                        continue;
                    }
                    names.push(known.group.name.clone());
                }
            }
        }
        Some(names)
    }

    /// Those that can be used.
    pub fn into_groups(self) -> Vec<IpGroup> {
        let usable = self.known.into_iter().filter(|known| known.void.is_none());
        let mut groups: Vec<IpGroup> = usable.map(|known| known.group).collect();
        groups.sort_by_key(|group| group.origin.at);
        groups
    }
}

/// The groups that rules name by a resource id, each with the number of the template, if there is one of which no place is said.
/// Values may share what is in them, so that a small file holds a great many: each look is paid for, and without enough left the
/// import fails.
fn referred(import: &Import<'_>, found: &Found, groups: &[&Resource]) -> Vec<(u32, Identity)> {
    let placed = |group: &&Resource| Identity::of(group).parts().iter().all(|part| part.is_known());
    if groups.iter().all(placed) {
        return Vec::new();
    }
    let rules = found.resources.iter().filter(|one| takes(one));
    let rules = rules.map(|one| (one.target.template, &one.body));
    // What stands outside any template has no number of one.
    let bare = found
        .bare
        .iter()
        .map(|(value, _)| (u32::MAX - u32::from(value.at.file), value));
    let mut open: Vec<(u32, &Value)> = rules.chain(bare).collect();
    let mut texts = HashMap::new();
    while let Some((template, value)) = open.pop() {
        let (items, members) = match &value.kind {
            Kind::List(list) => (list.items.as_slice(), &[][..]),
            Kind::Object(object) => (&[][..], object.entries.as_slice()),
            // A long text is no id, and may be shared by a great many.
            Kind::Text(text) if !is_too_long(text) && text.text.contains('/') => {
                // What of it stands in says no place, whatever it reads like.
                if !import.budget.looks(1 + text.text.len() / 64 + text.guesses(), value.at) {
                    break;
                }
                let written = (template, &*text.text, text.unknown_places());
                texts.entry(written).or_insert(text);
                continue;
            }
            _ => continue,
        };
        // A look takes less than a step.
        if !import.budget.looks(1 + (items.len() + members.len()) / 8, value.at) {
            break;
        }
        let inside = items.iter().chain(members.iter().map(|(_, value)| value));
        open.extend(inside.map(|value| (template, value)));
    }
    let ids = texts
        .into_iter()
        .map(|((template, ..), text)| (template, Identity::meant_by(text)));
    ids.filter(|(_, id)| id.kind() == Some(IP_GROUP)).collect()
}

/// An address, a prefix or a range.
pub(super) fn address(text: &str) -> Result<String, String> {
    nets::nets(text).map(|_| text.to_owned()).map_err(str::to_owned)
}

/// The addresses of a group, which have no order.
fn set(members: &[String]) -> Vec<&String> {
    let mut set: Vec<_> = members.iter().collect();
    set.sort_unstable();
    set.dedup();
    set
}

/// What several resources say of one group. One that is known in full (`az` printed it) stands for others that ask Azure; if two
/// that are known differ, or none is known, nobody can tell its addresses.
fn merged(written: &mut [Written]) -> Known {
    let known = |written: &Written| Known {
        group: IpGroup {
            name: String::new(),
            members: written.members.clone(),
            origin: crate::import::model::Origin::default(),
        },
        in_part: written.in_part,
        void: written.void.clone(),
    };
    let sound = written.iter().position(Written::is_sound);
    let mut one = known(&written[sound.unwrap_or(0)]);
    // Whether it is deployed, where, by what name: what it certainly holds and the sound one does not tells them apart.
    let ours = set(&one.group.members);
    let differ = |other: &Written| match sound {
        Some(_) if other.in_part => other.members.iter().any(|member| ours.binary_search(&member).is_err()),
        Some(_) => set(&other.members) != ours,
        None => true,
    };
    if written.len() > 1 && written.iter().any(differ) {
        one.void = Some("there are two of this name with other addresses".into());
    }
    for other in written {
        match (&one.void, sound) {
            (Some(why), _) => other.draft.void(why.clone()),
            (None, Some(_)) if !other.is_sound() => {
                other
                    .draft
                    .remark("another of the same name, which is known in full, stands for it");
            }
            _ => {}
        }
    }
    one
}
