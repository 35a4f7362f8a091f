//! IP groups, and the rules' references to them: by resource id, by name, through variables.

use super::{
    Import, carried,
    draft::{Draft, Effect, Verdict},
    fields::{list, name_of},
    shapes::IP_GROUP,
};
use crate::{
    config::nets,
    import::{
        arm::Resource,
        model::{IpGroup, Origin},
        report::{Item, ItemKind},
        value::{Kind, Value},
    },
};
use std::collections::HashMap;

/// An IP group of the files.
#[derive(Debug)]
struct Known {
    group: IpGroup,
    /// Some of its addresses are not known.
    in_part: bool,
    /// Why it cannot be used at all.
    void: Option<String>,
}

/// All IP groups of the files.
#[derive(Debug, Default)]
pub(super) struct IpGroups {
    /// By name in lower case.
    known: HashMap<String, Known>,
}

impl IpGroups {
    pub fn read(import: &Import<'_>, resources: &[Resource], items: &mut Vec<Item>) -> Self {
        let mut groups = Self::default();
        for resource in resources.iter().filter(|resource| resource.kind == IP_GROUP) {
            let verdict = groups.add(resource);
            let name = last_part(&name_of(Some(&resource.name), "without a name"));
            items.push(import.item(ItemKind::IpGroup, name, &resource.path, resource.body.at, verdict));
        }
        groups
    }

    fn add(&mut self, resource: &Resource) -> Verdict {
        let mut draft = Draft::new(Effect::Allow);
        if let Some(unknown) = resource.name.as_unknown() {
            draft.void(format!("its name is not known: {}", unknown.why));
            return draft.verdict();
        }
        let name = last_part(&name_of(Some(&resource.name), "without a name"));
        let body = match resource.body.get("properties") {
            Some(properties) => properties,
            None => &resource.body,
        };
        if let Some(unknown) = body.as_unknown() {
            draft.missing(format!("its addresses are not known: {}", unknown.why));
        }
        let members = list(body, "ipAddresses", &mut draft, address).unwrap_or_default();
        let in_part = draft.missing_parts() > 0;
        let mut void = (in_part && members.is_empty()).then(|| "none of its addresses is known".to_owned());
        if let Some(other) = self.find(&name) {
            if other.group.members == members && !in_part && !other.in_part {
                return carried();
            }
            // What `az` printed is known in full, and stands for the template's, which asks Azure for its addresses.
            if in_part && !other.in_part {
                draft.remark("the one of another file, which is known in full, stands for it");
                return draft.verdict();
            }
            if in_part || !other.in_part {
                void = Some("there are two of this name with other addresses".into());
            }
        }
        if let Some(why) = &void {
            draft.void(why.clone());
        }
        let origin = Origin {
            path: resource.path.clone(),
            at: resource.body.at,
        };
        let group = IpGroup { name, members, origin };
        let known = Known { group, in_part, void };
        self.known.insert(known.group.name.to_ascii_lowercase(), known);
        draft.verdict()
    }

    fn find(&self, name: &str) -> Option<&Known> {
        self.known.get(&name.to_ascii_lowercase())
    }

    /// The groups that a rule names, as the TOML calls them. `None`: the list is absent.
    pub fn named(&self, rule: &Value, key: &str, draft: &mut Draft) -> Option<Vec<String>> {
        let value = rule.get(key)?;
        let items = match &value.kind {
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
            // A reference is told by type and name: the subscription of a template is a stand-in anyway.
            let text = item.as_str().or_else(|| item.get("id")?.as_str());
            let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
                let why = item.as_unknown().map_or("it is no id", |unknown| &unknown.why);
                draft.missing(format!("an entry of `{key}` is not known: {why}"));
                continue;
            };
            let name = last_part(text);
            match self.find(&name) {
                None => draft.missing(format!("IP group `{name}` is in none of the files")),
                Some(Known { void: Some(why), .. }) => draft.missing(format!("IP group `{name}`: {why}")),
                Some(known) => {
                    if known.in_part {
                        draft.missing(format!("IP group `{name}`: some of its addresses are not known"));
                    }
                    names.push(known.group.name.clone());
                }
            }
        }
        Some(names)
    }

    /// Those that can be used.
    pub fn into_groups(self) -> Vec<IpGroup> {
        let usable = self.known.into_values().filter(|known| known.void.is_none());
        let mut groups: Vec<IpGroup> = usable.map(|known| known.group).collect();
        groups.sort_by_key(|group| group.origin.at);
        groups
    }
}

/// An address, a prefix or a range.
pub(super) fn address(text: &str) -> Result<String, String> {
    nets::nets(text).map(|_| text.to_owned()).map_err(str::to_owned)
}

/// The name in an id, or the name itself.
fn last_part(text: &str) -> String {
    text.trim_end_matches('/').rsplit('/').next().unwrap_or(text).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_the_last_part_of_an_id_or_the_name_itself() {
        assert_eq!(
            last_part("/subscriptions/x/providers/Microsoft.Network/ipGroups/spokes"),
            "spokes"
        );
        assert_eq!(last_part("spokes"), "spokes");
    }
}
