//! Groups, collections and rules: names and priorities used once, sources, protocols; network and DNAT rules.

mod application;
mod network;

use super::{
    at::{At, Span},
    file::{self, FileConfig},
    overlap,
    problem::{Finding, Report},
    settings::Settings,
    sources::IpGroups,
    targets::Tags,
};
use crate::policy::{Action, Mode, Policy, Priority, RuleCollection, RuleCollectionGroup, Rules};
use std::{collections::HashSet, net::SocketAddr};

/// Most rules of one file (threat F-12).
const MOST_RULES: usize = 1_000_000;

/// Name and priority of the group that collections at top level belong to.
const IMPLICIT_GROUP: (&str, u16) = ("default", 1000);

/// All rules of the file.
pub fn policy(file: &FileConfig, settings: &Settings, report: &mut Report) -> Policy {
    let listeners = &settings.listeners.proxy;
    let mut maker = Maker {
        ip_groups: IpGroups::new(&file.ip_groups, report),
        tags: Tags::new(&file.fqdn_tag),
        mode: mode(file.mode.as_deref()),
        open_listener: listeners.iter().copied().find(|address| !address.ip().is_loopback()),
        places: Vec::new(),
        rules: 0,
        report,
    };
    let groups = maker.groups(file);

    let policy = Policy {
        name: settings.azure.policy.clone(),
        mode: maker.mode,
        parent_groups: Vec::new(),
        groups,
        ip_groups: maker.ip_groups.finish(maker.report),
    };
    if !maker.report.failed() {
        overlap::warn(&policy, &maker.places, maker.report);
    }
    policy
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
    priority: Priority,
    priority_span: Span,
    application: &'a [file::Collection<file::ApplicationRule>],
    network: &'a [file::Collection<file::NetworkRule>],
    nat: &'a [file::NatCollection],
}

fn implicit_group(file: &FileConfig) -> Option<GroupView<'_>> {
    let application = file
        .application_rule_collection
        .iter()
        .map(|collection| &collection.name);
    let network = file.network_rule_collection.iter().map(|collection| &collection.name);
    let nat = file.nat_rule_collection.iter().map(|collection| &collection.name);
    let first = application.chain(network).chain(nat).next()?;
    let span = span_of(first);
    Some(GroupView {
        name: IMPLICIT_GROUP.0,
        span,
        priority: Priority::new(IMPLICIT_GROUP.1)?,
        priority_span: span,
        application: &file.application_rule_collection,
        network: &file.network_rule_collection,
        nat: &file.nat_rule_collection,
    })
}

/// The span of a name; without a name the schema has already complained.
fn span_of(name: &Option<At<String>>) -> Span {
    name.as_ref().map_or(Span::default(), |name| name.span)
}

fn text_of(name: &Option<At<String>>) -> &str {
    name.as_ref().map_or("", |name| name.as_str())
}

fn priority(written: &Option<At<i64>>) -> Option<Priority> {
    Priority::new(u16::try_from(**written.as_ref()?).ok()?)
}

/// Stands for a priority that the schema has already refused.
fn placeholder() -> Priority {
    Priority::new(u16::MAX - 535).expect("65000 is in range")
}

/// Names and priorities that were used in one scope.
#[derive(Default)]
struct Used<'a> {
    names: HashSet<&'a str>,
    priorities: HashSet<u16>,
}

/// Where an application rule and its own patterns stand, for warnings about overlaps.
#[derive(Debug)]
pub struct Place {
    /// The rule's name.
    pub span: Span,
    /// The rule's own patterns, in the order of its targets; those of tags come behind and have none.
    pub patterns: Vec<Span>,
}

struct Maker<'a> {
    ip_groups: IpGroups,
    tags: Tags<'a>,
    mode: Mode,
    /// A proxy listener that others than this machine can reach.
    open_listener: Option<SocketAddr>,
    places: Vec<Place>,
    rules: usize,
    report: &'a mut Report,
}

impl<'a> Maker<'a> {
    fn groups(&mut self, file: &'a FileConfig) -> Vec<RuleCollectionGroup> {
        let written = file.rule_collection_group.iter().map(|group| GroupView {
            name: text_of(&group.name),
            span: span_of(&group.name),
            priority: priority(&group.priority).unwrap_or_else(placeholder),
            priority_span: group
                .priority
                .as_ref()
                .map_or(Span::default(), |priority| priority.span),
            application: &group.application_rule_collection,
            network: &group.network_rule_collection,
            nat: &group.nat_rule_collection,
        });
        let mut used = Used::default();
        let views: Vec<GroupView<'a>> = written.chain(implicit_group(file)).collect();
        let mut groups = Vec::with_capacity(views.len());
        for view in &views {
            self.name_once(&mut used, view.name, view.span, "rule collection group", "");
            self.priority_once(&mut used, view.priority, view.priority_span, "group");
            groups.push(self.group(view));
        }
        groups
    }

    fn group(&mut self, view: &GroupView<'a>) -> RuleCollectionGroup {
        let mut names = Used::default();
        let mut collections = Vec::new();
        let mut used = Used::default();
        for nat in view.nat {
            self.enter(
                &mut names,
                &mut used,
                view,
                &nat.name,
                &nat.priority,
                "nat_rule_collection",
            );
            self.not_matched_yet(&nat.name, "DNAT rules");
            let rules = self.each(view, text_of(&nat.name), &nat.rule, |rule| &rule.name, Self::nat_rule);
            collections.push(collection(
                &nat.name,
                &nat.priority,
                Action::Allow,
                self.mode,
                Rules::Nat(rules),
            ));
        }
        let mut used = Used::default();
        for network in view.network {
            self.enter(
                &mut names,
                &mut used,
                view,
                &network.name,
                &network.priority,
                "network_rule_collection",
            );
            self.not_matched_yet(&network.name, "network rules");
            let rules = self.each(
                view,
                text_of(&network.name),
                &network.rule,
                |rule| &rule.name,
                Self::network_rule,
            );
            collections.push(self.filter(network, Rules::Network(rules)));
        }
        let mut used = Used::default();
        for application in view.application {
            let name = text_of(&application.name);
            self.enter(
                &mut names,
                &mut used,
                view,
                &application.name,
                &application.priority,
                "application_rule_collection",
            );
            let action = action(application.action);
            let rules = self.each(
                view,
                name,
                &application.rule,
                |rule| &rule.name,
                |maker, rule| maker.application_rule(rule, action),
            );
            collections.push(self.filter(application, Rules::Application(rules)));
        }
        RuleCollectionGroup {
            name: view.name.into(),
            priority: view.priority,
            collections,
        }
    }

    fn enter(
        &mut self,
        names: &mut Used<'a>,
        used: &mut Used<'a>,
        view: &GroupView<'a>,
        name: &'a Option<At<String>>,
        written: &'a Option<At<i64>>,
        kind: &str,
    ) {
        let within = format!(" in group `{}`", view.name);
        self.name_once(names, text_of(name), span_of(name), "rule collection", &within);
        if let (Some(priority), Some(place)) = (priority(written), written) {
            self.priority_once(used, priority, place.span, &format!("{kind} of group `{}`", view.name));
        }
    }

    fn name_once(&mut self, used: &mut Used<'a>, name: &'a str, span: Span, what: &str, within: &str) {
        if !name.is_empty() && !used.names.insert(name) {
            let finding = Finding::error(span, format!("{what} `{name}` is there twice{within}"));
            self.report
                .add(finding.hint("rows name a rule by group, collection and rule: each name once"));
        }
    }

    fn priority_once(&mut self, used: &mut Used<'a>, priority: Priority, span: Span, what: &str) {
        if !used.priorities.insert(priority.value()) {
            let number = priority.value();
            let finding = Finding::error(span, format!("priority {number} is taken by another {what}"));
            self.report
                .add(finding.hint("equal priorities would leave the order to chance"));
        }
    }

    /// The rules of one collection, each name once, at most [`MOST_RULES`] in the file.
    fn each<R, M>(
        &mut self,
        view: &GroupView<'a>,
        collection: &str,
        written: &'a [R],
        name: impl Fn(&R) -> &Option<At<String>>,
        make: impl Fn(&mut Self, &'a R) -> M,
    ) -> Vec<M> {
        let mut used = HashSet::new();
        let mut rules = Vec::with_capacity(written.len().min(MOST_RULES));
        for rule in written {
            let (text, span) = (text_of(name(rule)), span_of(name(rule)));
            if !text.is_empty() && !used.insert(text.to_owned()) {
                let within = format!("`{}/{collection}`", view.name);
                let finding = Finding::error(span, format!("rule `{text}` is there twice in {within}"));
                self.report
                    .add(finding.hint("rows name a rule by group, collection and rule: each name once"));
            }
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

    fn not_matched_yet(&mut self, name: &Option<At<String>>, what: &str) {
        let finding = Finding::warning(span_of(name), format!("{what} are kept, and not matched yet"));
        self.report
            .add(finding.hint("flows through the proxy port are judged by application rules alone, as in Azure"));
    }

    fn filter<R>(&self, written: &file::Collection<R>, rules: Rules) -> RuleCollection {
        let mode = written.mode.as_deref().map_or(self.mode, |written| mode(Some(written)));
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
    let priority = priority(written).unwrap_or_else(placeholder);
    RuleCollection {
        name: text_of(name).into(),
        priority,
        action,
        mode,
        rules,
    }
}
