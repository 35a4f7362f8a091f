//! Policies, groups, collections and rules: names and priorities used once, sources, protocols, destinations.

mod application;
mod destinations;
mod network;
mod speaking;
mod wording;

use super::{
    at::{At, Span},
    file::{self, FileConfig},
    overlap,
    problem::{Finding, Report},
    settings::Settings,
    sources::IpGroups,
    targets::{self, Tags},
    threats,
};
use crate::policy::{
    Action, Mode, ParentPolicy, Policy, Priority, RuleCollection, RuleCollectionGroup, Rules, ServiceTags,
};
use std::{collections::HashSet, net::SocketAddr, path::Path, sync::Arc};

/// Most rules of one file (threat F-12).
const MOST_RULES: usize = 1_000_000;

/// Why a name may not stand twice.
const EACH_NAME_ONCE: &str = "rows name a rule by group, collection and rule: each name once";

/// Name and priority of the group that collections at top level belong to.
const IMPLICIT_GROUP: (&str, u16) = ("default", 1000);

/// All rules of the file.
pub fn policy(file: &FileConfig, base: &Path, settings: &Settings, report: &mut Report) -> Policy {
    let listeners = &settings.listeners.proxy;
    let mut maker = Maker {
        ip_groups: IpGroups::new(&file.ip_groups, report),
        tags: Tags::new(file, base, report),
        service_tags: destinations::service_tags(&file.service_tags, base, report),
        explicit_network_rules: file.explicit_network_rules.as_deref() == Some(&true),
        ties: file.policy.equal_priorities == Some(file::EqualPriorities::FileOrder),
        mode: mode(file.mode.as_deref()),
        open_listener: listeners.iter().copied().find(|address| !address.ip().is_loopback()),
        places: Vec::new(),
        rules: 0,
        report,
    };
    let parents = maker.parents(&file.parent_policy, &settings.azure.policy);
    let own = file.rule_collection_group.iter().map(GroupView::written);
    let groups = maker.groups(own.chain(GroupView::implicit(file)));
    maker.tags.finish(maker.report);
    let infrastructure = file.infrastructure.fqdns.iter().flat_map(|list| list.iter());
    let infrastructure = infrastructure
        .filter_map(|text| targets::pattern(text, maker.report))
        .collect();
    let policy = Policy {
        name: settings.azure.policy.clone(),
        mode: maker.mode,
        threat_intelligence: threats::lists(&file.threat_intelligence, base, maker.report),
        parents,
        groups,
        infrastructure,
        explicit_network_rules: maker.explicit_network_rules,
        not_enforced: not_enforced(file),
        wording: wording::of(file, &settings.azure.policy),
        ip_groups: maker.ip_groups.finish(maker.report),
    };
    if !maker.report.failed() {
        overlap::warn(&policy, &maker.places, maker.report);
    }
    policy
}

fn not_enforced(file: &FileConfig) -> Vec<Arc<str>> {
    let written = file.policy.not_enforced.iter().flat_map(|list| list.iter());
    written.map(|text| text.as_str().into()).collect()
}

fn mode(written: Option<&file::Mode>) -> Mode {
    match written {
        Some(file::Mode::Audit) => Mode::Audit,
        Some(file::Mode::Enforce) | None => Mode::Enforce,
    }
}

/// A group as written, or the implicit one.
struct GroupView<'a> {
    name: &'a str,
    span: Span,
    priority: Option<Priority>,
    priority_span: Span,
    application: &'a [file::Collection<file::ApplicationRule>],
    network: &'a [file::Collection<file::NetworkRule>],
    nat: &'a [file::NatCollection],
}

impl<'a> GroupView<'a> {
    fn written(group: &'a file::Group) -> Self {
        Self {
            name: text_of(&group.name),
            span: span_of(&group.name),
            priority: priority(&group.priority),
            priority_span: group
                .priority
                .as_ref()
                .map_or(Span::default(), |priority| priority.span),
            application: &group.application_rule_collection,
            network: &group.network_rule_collection,
            nat: &group.nat_rule_collection,
        }
    }

    /// Collections at top level; `None` if there are none.
    fn implicit(file: &'a FileConfig) -> Option<Self> {
        let application = file
            .application_rule_collection
            .iter()
            .map(|collection| &collection.name);
        let network = file.network_rule_collection.iter().map(|collection| &collection.name);
        let nat = file.nat_rule_collection.iter().map(|collection| &collection.name);
        let span = span_of(application.chain(network).chain(nat).next()?);
        Some(Self {
            name: IMPLICIT_GROUP.0,
            span,
            priority: Priority::new(IMPLICIT_GROUP.1),
            priority_span: span,
            application: &file.application_rule_collection,
            network: &file.network_rule_collection,
            nat: &file.nat_rule_collection,
        })
    }
}

/// The span of a name; without a name the schema has already complained.
fn span_of(name: &Option<At<String>>) -> Span {
    name.as_ref().map_or(Span::default(), |name| name.span)
}

fn text_of(name: &Option<At<String>>) -> &str {
    name.as_ref().map_or("", |name| name.as_str())
}

/// `None` if there is none in range: then the schema has already complained.
fn priority(written: &Option<At<i64>>) -> Option<Priority> {
    Priority::new(u16::try_from(**written.as_ref()?).ok()?)
}

/// Stands for a priority that the schema has refused: what holds it never runs.
fn or_last(priority: Option<Priority>) -> Priority {
    priority.unwrap_or_else(|| Priority::new(65_000).expect("65000 is in range"))
}

/// Where a rule and its own patterns stand, for warnings about overlaps.
#[derive(Debug)]
pub struct Place {
    /// The rule's name.
    pub span: Span,
    /// An application rule's own patterns, in the order of its targets; those of tags come behind and have none.
    pub patterns: Vec<Span>,
}

struct Maker<'a> {
    ip_groups: IpGroups,
    tags: Tags<'a>,
    service_tags: ServiceTags,
    explicit_network_rules: bool,
    /// Equal priorities are in the order of the file.
    ties: bool,
    mode: Mode,
    /// A proxy listener that others than this machine can reach.
    open_listener: Option<SocketAddr>,
    places: Vec<Place>,
    rules: usize,
    report: &'a mut Report,
}

impl<'a> Maker<'a> {
    /// The parents of the policy called `own`. Their groups are apart from each other's and from ours.
    fn parents(&mut self, written: &'a [file::ParentPolicy], own: &str) -> Vec<ParentPolicy> {
        let mut names = HashSet::new();
        let mut parents = Vec::new();
        for parent in written {
            let (name, span) = (text_of(&parent.name), span_of(&parent.name));
            if name == own || !name.is_empty() && !names.insert(name) {
                let finding = Finding::error(span, format!("policy `{name}` is there twice"));
                self.report
                    .add(finding.hint("rows name a rule by its policy too; ours is called `azure.policy`"));
            }
            let groups = parent.rule_collection_group.iter().map(GroupView::written);
            parents.push(ParentPolicy {
                name: name.into(),
                groups: self.groups(groups),
            });
        }
        parents
    }

    /// The groups of one policy.
    fn groups(&mut self, written: impl Iterator<Item = GroupView<'a>>) -> Vec<RuleCollectionGroup> {
        let (mut names, mut priorities) = (HashSet::new(), HashSet::new());
        let mut groups = Vec::new();
        for view in written {
            self.name_once(&mut names, view.name, view.span, "rule collection group", "");
            self.priority_once(&mut priorities, view.priority, view.priority_span, "group");
            groups.push(self.group(&view));
        }
        groups
    }

    fn group(&mut self, view: &GroupView<'a>) -> RuleCollectionGroup {
        let mut collections = Vec::new();
        let mut names = HashSet::new();
        let mut priorities = HashSet::new();
        for nat in view.nat {
            self.enter(&mut names, &mut priorities, view, &nat.name, &nat.priority);
            self.not_carried_out(&nat.name);
            let rules = self.each(view, &nat.name, &nat.rule, |rule| &rule.name, Self::nat_rule);
            collections.push(collection(
                &nat.name,
                &nat.priority,
                Action::Allow,
                self.mode,
                Rules::Nat(rules),
            ));
        }
        (names, priorities) = Default::default();
        for network in view.network {
            self.enter(&mut names, &mut priorities, view, &network.name, &network.priority);
            self.not_asked(network);
            let action = action(network.action);
            let make = |maker: &mut Self, rule| maker.network_rule(rule, action);
            let rules = self.each(view, &network.name, &network.rule, |rule| &rule.name, make);
            collections.push(self.filter(network, Rules::Network(rules)));
        }
        (names, priorities) = Default::default();
        for written in view.application {
            self.enter(&mut names, &mut priorities, view, &written.name, &written.priority);
            // An action that could not be read does not load; what would be wrong if it allowed is said at once.
            let action = written.action.map_or(Action::Allow, |written| action(Some(written)));
            let make = |maker: &mut Self, rule| maker.application_rule(rule, action);
            let rules = self.each(view, &written.name, &written.rule, |rule| &rule.name, make);
            collections.push(self.filter(written, Rules::Application(rules)));
        }
        RuleCollectionGroup {
            name: view.name.into(),
            priority: or_last(view.priority),
            collections,
        }
    }

    /// A collection's name and priority are its own among the collections of its kind in the group: rows of each kind have a table
    /// of their own.
    fn enter(
        &mut self,
        names: &mut HashSet<&'a str>,
        priorities: &mut HashSet<u16>,
        view: &GroupView<'a>,
        name: &'a Option<At<String>>,
        written: &Option<At<i64>>,
    ) {
        let within = format!(" in group `{}`", view.name);
        self.name_once(names, text_of(name), span_of(name), "rule collection", &within);
        let span = written.as_ref().map_or(Span::default(), |written| written.span);
        self.priority_once(
            priorities,
            priority(written),
            span,
            "collection of this kind in the group",
        );
    }

    fn name_once(&mut self, names: &mut HashSet<&'a str>, name: &'a str, span: Span, what: &str, within: &str) {
        if !name.is_empty() && !names.insert(name) {
            let finding = Finding::error(span, format!("{what} `{name}` is there twice{within}"));
            self.report.add(finding.hint(EACH_NAME_ONCE));
        }
    }

    fn priority_once(&mut self, used: &mut HashSet<u16>, priority: Option<Priority>, span: Span, what: &str) {
        let Some(number) = priority.map(Priority::value) else {
            return;
        };
        if !used.insert(number) {
            let found = format!("priority {number} is taken by another {what}");
            self.report.add(match self.ties {
                true => Finding::warning(span, found).hint("the order of the file counts"),
                false => Finding::error(span, found).hint("equal priorities would leave the order to chance"),
            });
        }
    }

    /// The rules of one collection, each name once, at most [`MOST_RULES`] in the file.
    fn each<R, M>(
        &mut self,
        view: &GroupView<'a>,
        collection: &Option<At<String>>,
        written: &'a [R],
        name: impl Fn(&'a R) -> &'a Option<At<String>>,
        make: impl Fn(&mut Self, &'a R) -> M,
    ) -> Vec<M> {
        let mut used = HashSet::new();
        let within = format!(" in `{}/{}`", view.name, text_of(collection));
        let mut rules = Vec::with_capacity(written.len().min(MOST_RULES));
        for rule in written {
            let (text, span) = (text_of(name(rule)), span_of(name(rule)));
            self.name_once(&mut used, text, span, "rule", &within);
            self.rules += 1;
            if self.rules == MOST_RULES + 1 {
                let finding = Finding::error(span, format!("more than {MOST_RULES} rules"));
                self.report
                    .add(finding.hint("one rule takes many names: put them in one `destination_fqdns`"));
            }
            if self.rules <= MOST_RULES {
                rules.push(make(self, rule));
            }
        }
        rules
    }

    /// DNAT is for what is routed to egret; a proxy port has no address to translate.
    fn not_carried_out(&mut self, name: &Option<At<String>>) {
        let finding = Finding::warning(span_of(name), "DNAT rules have no part in flows through the proxy port");
        self.report
            .add(finding.hint("`egret explain --via transparent` judges by them"));
    }

    /// Network rules that no flow through the proxy port is judged by.
    fn not_asked(&mut self, network: &file::Collection<file::NetworkRule>) {
        let (found, hint) = match self.explicit_network_rules {
            false => (
                "flows through the proxy port are not judged by network rules, as in Azure",
                "`explicit_network_rules = true` puts them before application rules there",
            ),
            true if !network.rule.iter().any(file::NetworkRule::names_tcp) => (
                "no rule of this collection is for TCP: flows through the proxy port are TCP alone",
                "`egret explain --via transparent` judges by them",
            ),
            true => return,
        };
        self.report
            .add(Finding::warning(span_of(&network.name), found).hint(hint));
    }

    fn filter<R>(&mut self, written: &file::Collection<R>, rules: Rules) -> RuleCollection {
        let own = written.mode.as_ref();
        if let Some(own) = own.filter(|own| self.mode == Mode::Audit && ***own == file::Mode::Enforce) {
            let finding = Finding::warning(own.span, "`enforce` has no effect: the whole policy is in audit mode");
            self.report
                .add(finding.hint("leave the global `mode` out, and write `mode = \"audit\"` where it is meant"));
        }
        let mode = own.map_or(self.mode, |own| mode(Some(&own.value)));
        collection(&written.name, &written.priority, action(written.action), mode, rules)
    }
}

fn action(written: Option<file::Action>) -> Action {
    match written {
        Some(file::Action::Allow) => Action::Allow,
        Some(file::Action::Deny) | None => Action::Deny,
    }
}

fn collection(
    name: &Option<At<String>>,
    written: &Option<At<i64>>,
    action: Action,
    mode: Mode,
    rules: Rules,
) -> RuleCollection {
    RuleCollection {
        name: text_of(name).into(),
        priority: or_last(priority(written)),
        action,
        mode,
        rules,
    }
}
