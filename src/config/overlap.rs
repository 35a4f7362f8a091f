//! What [`analyse`] finds of the rules, as warnings at the places where they are written.

use super::{
    at::Span,
    problem::{Finding, Report},
    rules::Place,
};
use crate::policy::{
    Action, ApplicationRule, Policy, RuleCollection, RuleCollectionGroup, Rules,
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
    group: &'a RuleCollectionGroup,
    collection: &'a RuleCollection,
    rule: &'a ApplicationRule,
    place: &'a Place,
}

impl Written<'_> {
    fn label(&self) -> String {
        format!("`{}/{}/{}`", self.group.name, self.collection.name, self.rule.name)
    }
}

fn written<'a>(policy: &'a Policy, places: &'a [Place]) -> HashMap<RuleAt, Written<'a>> {
    let mut written = HashMap::with_capacity(places.len());
    let mut places = places.iter();
    for (number, (_, groups)) in policy.chain().enumerate() {
        for (g, group) in groups.iter().enumerate() {
            for (c, collection) in group.collections.iter().enumerate() {
                let Rules::Application(rules) = &collection.rules else {
                    continue;
                };
                for ((r, rule), place) in rules.iter().enumerate().zip(&mut places) {
                    let at = RuleAt {
                        policy: number as u32,
                        group: g as u32,
                        collection: c as u32,
                        rule: r as u32,
                    };
                    let this = Written {
                        group,
                        collection,
                        rule,
                        place,
                    };
                    written.insert(at, this);
                }
            }
        }
    }
    written
}

/// `None`: not worth a word.
fn told(finding: &analysis::Finding, written: &HashMap<RuleAt, Written<'_>>) -> Option<Finding> {
    let this = &written[&finding.rule];
    let (span, label, action) = (this.place.span, this.label(), this.collection.action);
    Some(match &finding.fault {
        Fault::Shadowed { by } => {
            let turned = by.iter().any(|rule| written[rule].collection.action != action);
            let effect = if turned { turned_round(action) } else { "" };
            let more = match by.len().checked_sub(MOST_NAMED + 1) {
                Some(rest) => format!(" (and {} more)", rest + 1),
                None => String::new(),
            };
            Finding::warning(span, format!("rule {label} never matches"))
                .hint(format!(
                    "all of it is taken before by {}{more}{effect}: give it a lower priority number, or leave it out",
                    labels(by, written)
                ))
                .see(names(by, written))
        }
        Fault::Duplicate { of } => Finding::warning(
            span,
            format!("rule {label} says again what rule {} says", written[of].label()),
        )
        .hint("the same names, ports and sources, and the same action: leave one of them out")
        .see(names(&[*of], written)),
        Fault::Contradiction { of } => {
            let (does, other) = match action {
                Action::Allow => ("allows", "denies"),
                Action::Deny => ("denies", "allows"),
            };
            Finding::warning(span, format!("rule {label} {does} what rule {} {other}", written[of].label()))
                .hint(
                    "the same names, ports and sources: the other one is judged first and decides; leave one of them out, or \
                     give this one a lower priority number",
                )
                .see(names(&[*of], written))
        }
        Fault::NoPort => Finding::warning(
            span,
            format!("rule {label} never matches: its tags have none of its ports"),
        )
        .hint("`egret catalogue TAG` shows the ports of a tag; name them in `protocols`"),
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
    let pattern = &this.rule.targets[target].pattern;
    let takers: Vec<String> = (by.iter().take(MOST_NAMED))
        .map(|(taker, other)| {
            let through = &written[taker].rule.targets[*other].pattern;
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

fn labels(rules: &[RuleAt], written: &HashMap<RuleAt, Written<'_>>) -> String {
    let labels: Vec<String> = rules
        .iter()
        .take(MOST_NAMED)
        .map(|rule| written[rule].label())
        .collect();
    labels.join(", ")
}

/// What it means that rules of the other action come first.
fn turned_round(action: Action) -> &'static str {
    match action {
        Action::Deny => ", so what it denies is allowed",
        Action::Allow => ", so what it allows is denied",
    }
}
