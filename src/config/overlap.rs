//! What [`analyse`] finds of the rules, as warnings at the places where they are written.

use super::{
    at::Span,
    problem::{Finding, Report},
    rules::Place,
};
use crate::policy::{
    Action, Policy, RuleCollection, RuleCollectionGroup, Rules, TargetFqdn,
    analysis::{self, Fault, RuleAt, analyse},
};
use std::collections::HashMap;

/// Most earlier rules that one warning names.
const MOST_NAMED: usize = 3;

/// Warns of rules and names that have no effect. `places` are in written order, as the policy is.
pub fn warn(policy: &Policy, places: &[Place], report: &mut Report) {
    let findings = analyse(policy);
    if findings.is_empty() {
        return;
    }
    let written = written(policy, places);
    for finding in findings {
        if let Some(finding) = told(&finding, &written) {
            report.add(finding);
        }
    }
}

/// A rule as it is written.
struct Written<'a> {
    /// The parent policy it belongs to.
    parent: Option<&'a str>,
    group: &'a RuleCollectionGroup,
    collection: &'a RuleCollection,
    name: &'a str,
    /// Of an application rule.
    targets: &'a [TargetFqdn],
    place: &'a Place,
}

impl Written<'_> {
    fn label(&self) -> String {
        let policy = self.parent.map_or_else(String::new, |name| format!("{name}/"));
        format!("`{policy}{}/{}/{}`", self.group.name, self.collection.name, self.name)
    }

    /// What two rules of this kind have in common when they match the same.
    fn match_of_kind(&self) -> &'static str {
        match self.collection.rules {
            Rules::Application(_) => "the same names, ports and sources",
            Rules::Network(_) | Rules::Nat(_) => "the same destinations, protocols, ports and sources",
        }
    }
}

/// All rules by their places in the policy. They stand in the file as they stand in the policy.
fn written<'a>(policy: &'a Policy, places: &'a [Place]) -> HashMap<RuleAt, Written<'a>> {
    let mut written = HashMap::with_capacity(places.len());
    let mut places = places.iter();
    for (number, (name, groups)) in policy.chain().enumerate() {
        let parent = (number < policy.parents.len()).then_some(&**name);
        for (g, group) in groups.iter().enumerate() {
            for (c, collection) in group.collections.iter().enumerate() {
                for ((r, (name, targets)), place) in rules_of(collection).enumerate().zip(&mut places) {
                    let at = RuleAt {
                        policy: number as u32,
                        group: g as u32,
                        collection: c as u32,
                        rule: r as u32,
                    };
                    let this = Written {
                        parent,
                        group,
                        collection,
                        name,
                        targets,
                        place,
                    };
                    written.insert(at, this);
                }
            }
        }
    }
    written
}

/// Name and targets of each rule.
fn rules_of(collection: &RuleCollection) -> Box<dyn Iterator<Item = (&str, &[TargetFqdn])> + '_> {
    match &collection.rules {
        Rules::Application(rules) => Box::new(rules.iter().map(|rule| (&*rule.name, &*rule.targets))),
        Rules::Network(rules) => Box::new(rules.iter().map(|rule| (&*rule.name, &[][..]))),
        Rules::Nat(rules) => Box::new(rules.iter().map(|rule| (&*rule.name, &[][..]))),
    }
}

/// `None`: not worth a word.
fn told(finding: &analysis::Finding, written: &HashMap<RuleAt, Written<'_>>) -> Option<Finding> {
    let this = &written[&finding.rule];
    let (span, label, action) = (this.place.span, this.label(), this.collection.action);
    let same = this.match_of_kind();
    Some(match &finding.fault {
        Fault::Shadowed { by, but_embedded } => {
            let turned = by.iter().any(|rule| written[rule].collection.action != action);
            let effect = if turned { turned_round(action) } else { "" };
            let by_rules = labels(by, written);
            let (found, all, or) = match but_embedded {
                false => ("never matches", "all", ", or leave it out"),
                true => (
                    "matches only IPv6 addresses that embed those it denies (NAT64, 6to4)",
                    "the rest",
                    "",
                ),
            };
            Finding::warning(span, format!("rule {label} {found}"))
                .hint(format!(
                    "{all} of it is taken before by {by_rules}{effect}: give it a lower priority number{or}"
                ))
                .see(names(by, written))
        }
        Fault::Duplicate { of } => {
            let other = written[of].label();
            Finding::warning(span, format!("rule {label} says again what rule {other} says"))
                .hint(format!(
                    "{same}, and the other one is judged first: leave one of them out"
                ))
                .see(names(&[*of], written))
        }
        Fault::Contradiction { of, but_embedded } => {
            let (does, not) = match action {
                Action::Allow => ("allows", "denies"),
                Action::Deny => ("denies", "allows"),
            };
            Finding::warning(
                span,
                format!("rule {label} {does} what rule {} {not}", written[of].label()),
            )
            .hint(match but_embedded {
                false => format!(
                    "{same}: the other one is judged first and decides; leave one of them out, or give this one a lower \
                     priority number"
                ),
                true => format!(
                    "{same}: the other one is judged first and decides, but for IPv6 addresses that embed these (NAT64, \
                     6to4); leave the other one out, or give this one a lower priority number"
                ),
            })
            .see(names(&[*of], written))
        }
        Fault::NoPort => Finding::warning(
            span,
            format!("rule {label} never matches: its tags have none of its ports"),
        )
        .hint("`egret catalogue TAG` shows the ports of a tag; name them in `protocols`"),
        Fault::Everywhere => Finding::warning(
            span,
            format!("rule {label} allows every address: whoever has one may be reached, by any name"),
        )
        .hint("name the addresses or service tags that are meant; names are for application rules"),
        Fault::BehindNetwork { by, ipv4_alone } => {
            let family = if *ipv4_alone { "IPv4 " } else { "" };
            let by_rules = labels(by, written);
            Finding::warning(span, format!("rule {label} is never asked for routed {family}flows"))
                .hint(format!(
                    "network rules are judged before application rules, and {by_rules} takes all of it whatever the name: \
                     narrow that, or leave this one out"
                ))
                .see(names(by, written))
        }
        Fault::BehindNames { by } => Finding::warning(span, format!("rule {label} is never asked at the proxy port"))
            .hint(format!(
                "network rules are judged before application rules, and {} has all its names: leave one of them out",
                labels(by, written)
            ))
            .see(names(by, written)),
        Fault::Taken { target, by } => return taken(finding.rule, *target, by, written),
    })
}

/// Names out of tags overlap by nature; only names that someone wrote are told of.
fn taken(
    rule: RuleAt,
    target: usize,
    by: &[(RuleAt, usize)],
    written: &HashMap<RuleAt, Written<'_>>,
) -> Option<Finding> {
    let this = &written[&rule];
    let span = *this.place.patterns.get(target)?;
    let pattern = &this.targets[target].pattern;
    let takers: Vec<String> = (by.iter().take(MOST_NAMED))
        .map(|(taker, other)| {
            let through = &written[taker].targets[*other].pattern;
            let through = if through == pattern {
                String::new()
            } else {
                format!(" with `{through}`")
            };
            if *taker == rule {
                format!("this rule itself{through}")
            } else {
                format!("rule {}{through}", written[taker].label())
            }
        })
        .collect();
    let others: Vec<RuleAt> = by
        .iter()
        .map(|(taker, _)| *taker)
        .filter(|taker| *taker != rule)
        .collect();
    let turned = others
        .iter()
        .any(|taker| written[taker].collection.action != this.collection.action);
    let effect = if turned {
        turned_round(this.collection.action)
    } else {
        ""
    };
    Some(
        Finding::warning(span, format!("`{pattern}` is already taken by {}", takers.join(", ")))
            .hint(format!("leave it out{effect}"))
            .see(names(&others, written)),
    )
}

/// Rules with their places.
fn names(rules: &[RuleAt], written: &HashMap<RuleAt, Written<'_>>) -> Vec<(String, Span)> {
    let named = rules.iter().take(MOST_NAMED).map(|rule| &written[rule]);
    named
        .map(|rule| (format!("rule {}", rule.label()), rule.place.span))
        .collect()
}

/// The first of them, and how many more there are.
fn labels(rules: &[RuleAt], written: &HashMap<RuleAt, Written<'_>>) -> String {
    let named = rules.iter().take(MOST_NAMED).map(|rule| written[rule].label());
    let named = named.collect::<Vec<_>>().join(", ");
    match rules.len().saturating_sub(MOST_NAMED) {
        0 => named,
        more => format!("{named} (and {more} more)"),
    }
}

/// What it means that rules of the other action come first.
fn turned_round(action: Action) -> &'static str {
    match action {
        Action::Deny => ", so what it denies is allowed",
        Action::Allow => ", so what it allows is denied",
    }
}
