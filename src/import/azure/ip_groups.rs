//! IP groups, and the rules' references to them: by resource id, by name, through variables.

use super::{
    Import,
    draft::{Draft, Effect},
    fields::list,
    groups::{content, origin},
    identity::{Identity, Meant, Register, distinct},
    names::{NO_NAME, Names},
    shapes::IP_GROUP,
};
use crate::{
    import::{
        arm::Resource,
        model::IpGroup,
        report::{Item, ItemKind},
        value::{Kind, Value},
    },
    nets,
};

use std::collections::HashSet;

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
}

impl IpGroups {
    pub fn read(import: &Import<'_>, resources: &[Resource], items: &mut Vec<Item>) -> Self {
        let all = resources.iter().filter(|resource| resource.kind == IP_GROUP);
        let (left_out, deployed): (Vec<_>, Vec<_>) = all.partition(|one| one.left_out.is_some());
        let mut put = |resource: &Resource, draft: Draft| {
            let id = Identity::of(resource);
            let name = id.last().unwrap_or(NO_NAME).to_owned();
            items.extend(import.item(ItemKind::IpGroup, name, &origin(resource), draft.verdict()));
        };
        for resource in left_out {
            let mut draft = Draft::new(Effect::Allow);
            draft.void(format!("not deployed: {}", resource.left_out.unwrap_or_default()));
            put(resource, draft);
        }
        let mut groups = Self::default();
        let mut names = Names::default();
        for (id, members) in distinct(&deployed) {
            let mut written: Vec<Written> = members.iter().map(|member| Written::of(import, member)).collect();
            let mut known = merged(&mut written);
            let name = id.last().unwrap_or(NO_NAME).to_owned();
            known.group.name = names.take(name, &mut written[0].draft);
            known.group.origin = origin(members[0]);
            groups.places.add(&id, groups.known.len());
            groups.known.push(known);
            for (member, written) in members.into_iter().zip(written) {
                put(member, written.draft);
            }
        }
        groups
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
                Meant::None => {
                    draft.missing(format!("IP group `{name}` is in none of the files"));
                    continue;
                }
                Meant::Perhaps(_) => {
                    let why = value.doubt().map_or("the files do not say it", |doubt| &doubt.why);
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

/// An address, a prefix or a range.
pub(super) fn address(text: &str) -> Result<String, String> {
    nets::nets(text).map(|_| text.to_owned()).map_err(str::to_owned)
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
    let held: HashSet<&String> = one.group.members.iter().collect();
    let differ = |other: &Written| match sound {
        Some(_) if other.in_part => other.members.iter().any(|member| !held.contains(member)),
        Some(_) => other.members != one.group.members,
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
