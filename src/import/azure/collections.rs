//! Groups and collections: order, action, kind; then each rule in its turn.

use super::{
    Import, Options, carried,
    draft::{Draft, Effect, Verdict},
    fields::{below, name_of, property},
    ip_groups::IpGroups,
};
use crate::import::{
    json::shown,
    model::{Collection, Group, Origin, Rules},
    report::{Item, ItemKind},
    value::{Unknown, Value},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// Longest name in egret's rows, in characters; a rule collection's in Azure as well.
pub(super) const LONGEST_NAME: usize = 80;

/// What a thing without a name is called.
const NO_NAME: &str = "without a name";

/// Priorities of groups and collections (API reference, `priority`).
const PRIORITIES: std::ops::RangeInclusive<i64> = 100..=65_000;

/// What reading a rule draws on.
pub(super) struct Reader<'a> {
    pub import: &'a Import<'a>,
    pub options: &'a Options<'a>,
    pub ip_groups: &'a IpGroups,
    pub items: &'a mut Vec<Item>,
}

/// A group as the files hold it.
#[derive(Debug)]
pub(super) struct GroupSource {
    pub name: String,
    pub priority: Option<Value>,
    /// Its collections and their paths; unknown if they are.
    pub collections: Result<Vec<(Value, Shape, Origin)>, Arc<Unknown>>,
    pub origin: Origin,
    pub doubt: Option<Arc<Unknown>>,
}

/// Which schema a collection follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `ruleCollections` of a group.
    Now,
    /// `rules` of a `ruleGroups` resource: each is a collection of conditions.
    Old,
    /// A section of an `azureFirewalls` resource.
    Classic(Section),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Nat,
    Network,
    Application,
}

/// What all rules of a collection share.
struct Shared {
    effect: Effect,
    doubt: Option<Arc<Unknown>>,
    /// Why none of them can be carried.
    void: Option<String>,
}

impl Shared {
    fn draft(&self) -> Draft {
        let mut draft = Draft::new(self.effect);
        if let Some(void) = &self.void {
            draft.void(void.clone());
        }
        if let Some(doubt) = &self.doubt {
            draft.doubted(doubt);
        }
        draft
    }
}

/// Gives each thing a name of its own that rows can hold.
#[derive(Default)]
struct Names {
    used: HashSet<String>,
    /// How often each name was wanted again.
    rounds: HashMap<String, usize>,
}

impl Names {
    fn take(&mut self, wanted: String, draft: &mut Draft) -> String {
        let wanted = if wanted.trim().is_empty() {
            NO_NAME.to_owned()
        } else {
            wanted
        };
        let mut name: String = wanted.chars().take(LONGEST_NAME).collect();
        let round = self.rounds.entry(wanted.clone()).or_insert(1);
        while !self.used.insert(name.clone()) {
            *round += 1;
            let end = format!(" ({round})");
            name = wanted.chars().take(LONGEST_NAME - end.len()).collect::<String>() + &end;
        }
        if name != wanted {
            draft.changed(format!(
                "called `{name}` here: each name once, at most {LONGEST_NAME} characters"
            ));
        }
        name
    }
}

/// The rules of a collection by kind, in their order.
#[derive(Default)]
struct ByKind {
    nat: Vec<crate::import::model::NatRule>,
    network: Vec<crate::import::model::NetworkRule>,
    application: Vec<crate::import::model::ApplicationRule>,
}

impl Reader<'_> {
    fn put(&mut self, kind: ItemKind, name: &str, origin: &Origin, verdict: Verdict) {
        let item = self
            .import
            .item(kind, name.to_owned(), &origin.path, origin.at, verdict);
        self.items.push(item);
    }

    /// A part that may hold rules and cannot be read.
    fn not_read(&mut self, name: &str, origin: &Origin, effect: Effect, why: String) {
        let mut draft = Draft::new(effect);
        draft.void(why);
        self.put(ItemKind::NotRead, name, origin, draft.verdict());
    }

    /// All groups of a policy.
    pub fn groups(&mut self, sources: &[GroupSource]) -> Vec<Group> {
        let mut names = Names::default();
        let mut taken: HashMap<u16, String> = HashMap::new();
        let groups = sources.iter().map(|source| {
            let mut draft = Draft::new(Effect::Allow);
            let name = names.take(source.name.clone(), &mut draft);
            let priority = priority(source.priority.as_ref());
            if let Ok(number) = priority {
                tie(&mut taken, number, &name, &mut draft);
            }
            self.group(source, name, priority, draft)
        });
        groups.collect()
    }

    fn group(&mut self, source: &GroupSource, name: String, priority: Result<u16, String>, mut draft: Draft) -> Group {
        let void = priority.as_ref().err().map(|why| format!("the group's {why}"));
        if let Some(why) = &void {
            draft.changed(format!("its {}", why.trim_start_matches("the group's ")));
        }
        self.put(ItemKind::RuleCollectionGroup, &name, &source.origin, draft.verdict());
        let mut collections = Vec::new();
        match &source.collections {
            Err(unknown) => {
                let why = format!("its rule collections are not known: {}", unknown.why);
                self.not_read(&name, &source.origin, Effect::Unknown, why);
            }
            Ok(written) => {
                let (mut names, mut taken) = (Names::default(), HashMap::new());
                for (value, shape, origin) in written {
                    let shared = Shared {
                        effect: Effect::Unknown,
                        doubt: source.doubt.clone(),
                        void: void.clone(),
                    };
                    let made = self.collection(value, *shape, origin, &name, shared, (&mut names, &mut taken));
                    collections.extend(made);
                }
            }
        }
        Group {
            name,
            priority: priority.unwrap_or(*PRIORITIES.start() as u16),
            collections,
            origin: source.origin.clone(),
        }
    }

    fn collection(
        &mut self,
        value: &Value,
        shape: Shape,
        origin: &Origin,
        group: &str,
        mut shared: Shared,
        (names, taken): (&mut Names, &mut HashMap<(u8, u16), String>),
    ) -> Vec<Collection> {
        if value.as_object().is_none() {
            let why = value
                .as_unknown()
                .map_or("it is no object".into(), |unknown| unknown.why.clone());
            self.not_read(
                group,
                origin,
                Effect::Unknown,
                format!("a rule collection is not known: {why}"),
            );
            return Vec::new();
        }
        let kind_name = property(value, "ruleCollectionType")
            .or(property(value, "ruleType"))
            .and_then(Value::as_str);
        let is_nat = shape == Shape::Classic(Section::Nat)
            || kind_name.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("firewallpolicynat"));
        let action = property(value, "action").map(|action| action.get("type").unwrap_or(action));
        shared.effect = match action.and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
            Some("allow") => Effect::Allow,
            Some("dnat") | None if is_nat => Effect::Allow,
            Some("snat") if is_nat => {
                shared.void = Some("SNAT is no part of egret".into());
                Effect::Allow
            }
            Some("deny") => Effect::Deny,
            _ => {
                let why = action
                    .and_then(Value::doubt)
                    .map_or(String::new(), |doubt| format!(": {}", doubt.why));
                shared.void = Some(format!("the action of its collection is not known{why}"));
                Effect::Unknown
            }
        };
        if !self.import.affords(value) {
            return Vec::new();
        }
        let mut draft = shared.draft();
        let name = names.take(name_of(value.get("name"), NO_NAME), &mut draft);
        let number = priority(property(value, "priority"));
        if let Err(why) = &number {
            shared.void.get_or_insert(format!("the collection's {why}"));
            draft.void(format!("its {why}"));
        }
        let full = format!("{group}/{name}");
        let rules = rules_of(value, shape, origin);
        let item = self.items.len();
        self.put(ItemKind::RuleCollection, &full, origin, carried());
        let by_kind = match rules {
            Ok(rules) => self.rules(&rules, shape, is_nat, &full, &shared),
            Err(why) => {
                draft.void(format!("its rules are not known: {why}"));
                ByKind::default()
            }
        };
        let number = number.unwrap_or(*PRIORITIES.start() as u16);
        let made = self.by_kind(
            by_kind,
            &name,
            number,
            shared.effect,
            origin,
            shape,
            is_nat,
            names,
            taken,
            &mut draft,
        );
        let verdict = draft.verdict();
        let place = self
            .import
            .item(ItemKind::RuleCollection, full, &origin.path, origin.at, verdict);
        self.items[item] = place;
        made
    }

    /// A collection of one kind each; Azure does not mix kinds, files may.
    #[allow(clippy::too_many_arguments, reason = "all of them are of one collection")]
    fn by_kind(
        &self,
        rules: ByKind,
        name: &str,
        priority: u16,
        effect: Effect,
        origin: &Origin,
        shape: Shape,
        is_nat: bool,
        names: &mut Names,
        taken: &mut HashMap<(u8, u16), String>,
        draft: &mut Draft,
    ) -> Vec<Collection> {
        let mut kinds = Vec::new();
        if !rules.nat.is_empty() || is_nat {
            kinds.push((0, Rules::Nat(rules.nat)));
        }
        if !rules.network.is_empty() || shape == Shape::Classic(Section::Network) {
            kinds.push((1, Rules::Network(rules.network)));
        }
        if !rules.application.is_empty() || kinds.is_empty() {
            kinds.push((2, Rules::Application(rules.application)));
        }
        if kinds.len() > 1 {
            draft.changed("it mixes kinds of rules: a collection of each kind here");
        }
        let mut made = Vec::new();
        if !draft.stays() {
            return made;
        }
        for (index, (kind, rules)) in kinds.into_iter().enumerate() {
            let name = match index {
                0 => name.to_owned(),
                _ => names.take(name.to_owned(), draft),
            };
            if let Some(other) = taken.insert((kind, priority), name.clone()) {
                draft.remark(format!(
                    "priority {priority} is that of `{other}` as well: the order of the file counts"
                ));
            }
            made.push(Collection {
                name,
                priority,
                deny: effect != Effect::Allow,
                rules,
                origin: origin.clone(),
            });
        }
        made
    }

    fn rules(&mut self, rules: &[(Value, Origin)], shape: Shape, is_nat: bool, full: &str, shared: &Shared) -> ByKind {
        let mut names = Names::default();
        let mut by_kind = ByKind::default();
        for (rule, origin) in rules {
            if rule.as_object().is_none() {
                let why = rule
                    .as_unknown()
                    .map_or("it is no object".into(), |unknown| unknown.why.clone());
                self.not_read(full, origin, shared.effect, format!("a rule is not known: {why}"));
                continue;
            }
            if !self.import.affords(rule) {
                break;
            }
            let mut draft = shared.draft();
            let name = names.take(name_of(rule.get("name"), NO_NAME), &mut draft);
            let section = if is_nat {
                Some(Section::Nat)
            } else {
                section_of(rule, shape)
            };
            let full = format!("{full}/{name}");
            let kind = match section {
                Some(Section::Nat) => {
                    let rule = self.nat_rule(rule, name, origin.clone(), &mut draft);
                    by_kind.nat.extend(draft.stays().then_some(rule));
                    ItemKind::NatRule
                }
                Some(Section::Network) => {
                    let rule = self.network_rule(rule, name, origin.clone(), &mut draft);
                    by_kind.network.extend(draft.stays().then_some(rule));
                    ItemKind::NetworkRule
                }
                Some(Section::Application) => {
                    let rule = self.application_rule(rule, name, origin.clone(), &mut draft);
                    by_kind.application.extend(draft.stays().then_some(rule));
                    ItemKind::ApplicationRule
                }
                None => {
                    draft.void("of what kind it is cannot be told");
                    ItemKind::NotRead
                }
            };
            self.put(kind, &full, origin, draft.verdict());
        }
        by_kind
    }
}

/// A number from 100 to 65000, or what is wrong with it.
fn priority(value: Option<&Value>) -> Result<u16, String> {
    let Some(value) = value else {
        return Err("priority is not written".into());
    };
    match value.as_int() {
        Some(number) if PRIORITIES.contains(&number) => Ok(u16::try_from(number).expect("it is in range")),
        Some(number) => Err(format!("priority {number} is not from 100 to 65000")),
        None => {
            let why = value.doubt().map_or("it is no number", |doubt| &doubt.why);
            Err(format!("priority is not known: {}", shown(why)))
        }
    }
}

fn tie(taken: &mut HashMap<u16, String>, priority: u16, name: &str, draft: &mut Draft) {
    if let Some(other) = taken.insert(priority, name.to_owned()) {
        draft.remark(format!(
            "priority {priority} is that of `{other}` as well: the order of the file counts"
        ));
    }
}

/// The rules of a collection with their places, or why they are not known.
fn rules_of(value: &Value, shape: Shape, origin: &Origin) -> Result<Vec<(Value, Origin)>, String> {
    let flat = value.get("properties").is_none();
    let prefix = if flat { "" } else { ".properties" };
    if shape == Shape::Old {
        if let Some(condition) = property(value, "ruleCondition") {
            let origin = below(origin, &format!("{prefix}.ruleCondition"), condition);
            return Ok(vec![(old_nat_rule(value, condition), origin)]);
        }
        return listed(value, "ruleConditions", prefix, origin);
    }
    listed(value, "rules", prefix, origin)
}

fn listed(value: &Value, key: &str, prefix: &str, origin: &Origin) -> Result<Vec<(Value, Origin)>, String> {
    let Some(list) = property(value, key) else {
        return Ok(Vec::new());
    };
    let Some(items) = list.as_list() else {
        return Err(match list.doubt() {
            Some(doubt) => doubt.why.clone(),
            None => format!("`{key}` is {}; `ConvertTo-Json` needs `-Depth 100`", list.type_name()),
        });
    };
    let placed = items.iter().enumerate().map(|(index, item)| {
        let origin = below(origin, &format!("{prefix}.{key}[{index}]"), item);
        (item.clone(), origin)
    });
    Ok(placed.collect())
}

/// A DNAT rule of the old schema says what it translates to beside its condition.
fn old_nat_rule(value: &Value, condition: &Value) -> Value {
    let mut entries = condition
        .as_object()
        .map_or_else(Vec::new, |object| object.entries.clone());
    entries.retain(|(key, _)| !key.eq_ignore_ascii_case("name"));
    for key in ["name", "translatedAddress", "translatedPort"] {
        if let Some(own) = property(value, key) {
            entries.push((key.into(), own.clone()));
        }
    }
    Value::object(entries, condition.at).unwrap_or_else(|_| Value::unknown("it nests too deep", condition.at))
}

fn section_of(rule: &Value, shape: Shape) -> Option<Section> {
    if let Shape::Classic(section) = shape {
        return Some(section);
    }
    let kind = rule
        .get("ruleType")
        .or(rule.get("ruleConditionType"))
        .and_then(Value::as_str);
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("applicationrule" | "applicationrulecondition") => return Some(Section::Application),
        Some("networkrule" | "networkrulecondition") => return Some(Section::Network),
        Some("natrule" | "natrulecondition") => return Some(Section::Nat),
        Some(_) => return None,
        None => {}
    }
    let has = |key: &str| rule.get(key).is_some();
    if has("translatedPort") {
        Some(Section::Nat)
    } else if has("targetFqdns") || has("fqdnTags") || has("targetUrls") || has("webCategories") {
        Some(Section::Application)
    } else if has("destinationPorts") {
        Some(Section::Network)
    } else {
        None
    }
}
