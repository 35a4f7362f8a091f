//! `--row FILE:LINE`: the attempt of a log row, judged by today's policy.
//!
//! Rows of application, network and DNAT rules and of threat intelligence are taken, as egret and Azure Firewall's diagnostic
//! settings write them, in the newer form and the older one: one JSON object a line. Each is compared with what the same table
//! would hold today. What a row does not tell is never guessed.

mod attempt;
mod led_to;
mod possible;
mod read;
mod rules;
mod sentence;
mod spoken;

use crate::{
    cli::{Answer, output::print},
    config::{Checked, problem::printable},
    policy::{Action, CompiledPolicy, DecidedBy, NoTrace, ThreatMode, Translated, Via},
};
use anyhow::{Context, bail};
use attempt::{Attempt, Then};
use possible::Possible;
use read::Row;
use rules::Named;
use serde_json::json;

/// Reads the row, judges its attempt, and says whether it came out alike.
pub fn run(checked: &Checked, place: &str, as_json: bool) -> anyhow::Result<Answer> {
    let policy = CompiledPolicy::new(checked.policy.clone());
    let compared = Row::at(place).and_then(|row| Compared::new(&policy, place, &row));
    let compared = compared.with_context(|| printable(place))?;
    print(&if as_json { compared.json() } else { compared.text() })?;
    Ok((compared.then.word == compared.now.word).into())
}

/// A row, and what the same table would hold today.
struct Compared {
    place: String,
    attempt: Attempt,
    then: Verdict,
    now: Verdict,
    /// What could not be asked.
    unasked: Option<&'static str>,
}

/// In the words of the table.
#[derive(Debug)]
struct Verdict {
    word: String,
    /// Of the rules, or of the default if it is by none.
    reason: Option<&'static str>,
    rules: Vec<Named>,
    /// Why it may be by none of the rules as well.
    or_default: Option<&'static str>,
}

impl Compared {
    fn new(policy: &CompiledPolicy, place: &str, row: &Row) -> anyhow::Result<Self> {
        let attempt = Attempt::read(row)?;
        let now = match attempt.then {
            Then::Listed(_) => listed(policy, &attempt)?,
            Then::Rules(_) => by_rules(policy, &attempt)?,
            Then::Translated(..) => translated(policy, &attempt)?,
        };
        let lists = &policy.model().threat_intelligence;
        let by_address = lists.mode == ThreatMode::Deny && !lists.addresses.is_empty();
        let unasked = match (attempt.destination, &attempt.led_to) {
            (None, None) => Some("lists of addresses were not asked: the row names none"),
            // Denied by a list: no other address changes that.
            _ if matches!(attempt.then, Then::Listed(_)) && now.word == "Deny" => None,
            _ if attempt.ways.iter().any(|via| attempt.tells_one_address(*via)) => {
                Some("lists of addresses were asked of one address alone: the row names no other")
            }
            _ => None,
        };
        Ok(Self {
            place: place.to_owned(),
            then: Verdict {
                word: match attempt.then {
                    Then::Rules(word) | Then::Listed(word) => word.into(),
                    Then::Translated(ip, port) => translated_to(&ip.to_string(), port),
                },
                reason: None,
                or_default: None,
                rules: attempt.rule.iter().map(|rule| Named::of_row(policy, rule)).collect(),
            },
            now,
            unasked: unasked.filter(|_| by_address),
            attempt,
        })
    }

    fn text(&self) -> String {
        let shown = |verdict: &Verdict| {
            let reason = verdict.reason.map_or_else(String::new, |reason| format!(", {reason}"));
            let default = verdict.or_default.map(|reason| format!("the default ({reason})"));
            let by: Vec<String> = verdict.rules.iter().map(Named::shown).chain(default).collect();
            let by = match &by[..] {
                [] => String::new(),
                by => format!(" by {}", by.join(" or ")),
            };
            format!("{}{reason}{by}", verdict.word)
        };
        let end = match (self.then.word == self.now.word, self.same_rule()) {
            (true, true) => "decided alike",
            (true, false) => match (&self.then.rules[..], &self.now.rules[..]) {
                ([], _) => "decided alike, now by a rule",
                (_, []) => "decided alike, now by no rule",
                (_, _) => "decided alike, by another rule",
            },
            (false, _) => "decided otherwise",
        };
        let unasked = self
            .unasked
            .map_or_else(String::new, |what| format!("           {what}\n"));
        format!(
            "{} from {}\n\nthen       {}\nnow        {}\n           {end}\n{unasked}",
            self.attempt.target(),
            self.attempt.source,
            shown(&self.then),
            shown(&self.now),
        )
    }

    fn same_rule(&self) -> bool {
        match &self.then.rules[..] {
            [] => self.now.rules.is_empty() || self.now.or_default.is_some(),
            then => self.now.rules.iter().any(|now| then[0].is(now)),
        }
    }

    fn json(&self) -> String {
        let value = json!({
            "row": self.place,
            "target": self.attempt.target(),
            "source": self.attempt.source,
            "then": { "action": self.then.word, "rule": self.then.rules.first().map(Named::shown) },
            "now": { "action": self.now.word, "reason": self.now.reason, "rules": self.now.rules.iter().map(Named::shown).collect::<Vec<_>>(), "or_default": self.now.or_default },
            "alike": self.then.word == self.now.word,
            "not_asked": self.unasked,
        });
        format!("{value:#}\n")
    }
}

/// Whether a list would be hit today, and in which mode. Fails if that depends on an address that the row does not tell.
fn listed(policy: &CompiledPolicy, attempt: &Attempt) -> anyhow::Result<Verdict> {
    let name = attempt.name.as_ref();
    let hit = policy.threat(attempt.source, name, attempt.destination);
    if hit.is_none() && attempt.destination.is_none() && policy.may_list(attempt.source, name) {
        bail!(
            "the row does not tell enough: lists hold addresses, and not the one that its name leads to; say it: `egret explain TARGET \
             --destination IP`"
        );
    }
    let word = match hit.map(|threat| threat.mode) {
        Some(ThreatMode::Deny) => "Deny",
        Some(ThreatMode::Alert) => "Alert",
        Some(ThreatMode::Off) | None => "not listed",
    };
    Ok(Verdict {
        word: word.into(),
        reason: None,
        rules: Vec::new(),
        or_default: None,
    })
}

/// What the rules say today. Fails if that depends on what the row does not tell.
fn by_rules(policy: &CompiledPolicy, attempt: &Attempt) -> anyhow::Result<Verdict> {
    let mut answers: Vec<Possible> = Vec::new();
    let mut within = false;
    for (via, protocol) in (attempt.ways.iter()).flat_map(|via| {
        attempt
            .spoken(policy, *via)
            .into_iter()
            .map(move |spoken| (*via, spoken))
    }) {
        let (found, evaluations) = possible::of_attempt(policy, attempt, &attempt.flow(via, protocol));
        let mut doubts = evaluations
            .iter()
            .filter_map(|evaluation| super::judged::unresolved(policy, evaluation));
        if let Some(doubt) = doubts.next() {
            bail!("{doubt}; with `egret explain TARGET --via transparent --destination IP` in place of `--row`");
        }
        within |= found.iter().any(|answer| answer.action != found[0].action);
        answers.extend(found);
    }
    let one = |action| answers.iter().find(|answer| answer.action == action);
    if let (Some(allow), Some(deny)) = (one(Action::Allow), one(Action::Deny)) {
        let by = |answer: &Possible| match answer.rule {
            Some(rule) => Named::of(policy, rule).shown(),
            None => "the default".into(),
        };
        bail!(
            "the row does not tell enough: by {} it is allowed, by {} denied, depending on {}; say it: `egret explain TARGET --via \
             WAY --destination IP`",
            by(allow),
            by(deny),
            open(policy, attempt, within).join(" and ")
        );
    }
    let mut rules: Vec<Named> = (answers.iter().filter_map(|answer| answer.rule))
        .map(|rule| Named::of(policy, rule))
        .collect();
    rules.dedup();
    let first = answers.first().context("an evaluation has an end")?;
    let by_rule = answers.iter().find(|answer| answer.rule.is_some());
    let by_none = answers.iter().find(|answer| answer.rule.is_none());
    Ok(Verdict {
        word: format!("{:?}", first.action),
        reason: Some(by_rule.unwrap_or(first).reason.name()),
        rules,
        or_default: by_rule.and(by_none).map(|answer| answer.reason.name()),
    })
}

/// What the row does not tell, in words. `within`: it may be decided either way of one way and one protocol.
fn open(policy: &CompiledPolicy, attempt: &Attempt, within: bool) -> Vec<&'static str> {
    let routed = attempt.ways.contains(&Via::Transparent);
    let either = |via: &Via| attempt.spoken(policy, *via).len() > 1;
    let said = [
        (attempt.ways.len() > 1, "the way it came"),
        (attempt.ways.iter().any(either), "whether TLS or HTTP is spoken"),
        (within && attempt.led_to.is_some(), "which of its addresses are dialled"),
        (
            within && routed && attempt.name.is_none(),
            "what is spoken, and to which name",
        ),
        (
            within && attempt.led_to.is_none() && attempt.destination.is_none(),
            "the address that it leads to",
        ),
        (
            within && attempt.tells_one_address(attempt.ways[0]),
            "where else its name leads",
        ),
    ];
    said.into_iter()
        .filter(|(open, _)| *open)
        .map(|(_, what)| what)
        .collect()
}

/// Where a DNAT rule would send it today.
fn translated(policy: &CompiledPolicy, attempt: &Attempt) -> anyhow::Result<Verdict> {
    let flow = attempt.flow(Via::Transparent, None);
    let evaluation = policy.evaluate(&flow, &mut NoTrace);
    let decision = evaluation.decision;
    let rules: Vec<Named> = decision.rule.iter().map(|rule| Named::of(policy, *rule)).collect();
    let nat = decision.rule.and_then(|rule| policy.nat_rule(rule));
    let word = match (evaluation.by, nat, &attempt.then) {
        (DecidedBy::Nat, Some(nat), Then::Translated(_, then)) => match &nat.translated {
            Translated::Address(ip) => translated_to(&ip.to_string(), nat.translated_port),
            Translated::Fqdn(name) if nat.translated_port == *then => bail!(
                "rule {} translates to {name}, and the row tells an address: resolve the name and compare",
                rules.iter().map(Named::shown).collect::<String>()
            ),
            Translated::Fqdn(name) => translated_to(name.as_str(), nat.translated_port),
        },
        _ if spoken::allowed_within(policy, &flow, &evaluation).is_some() => "not translated".into(),
        _ => format!("not translated: {:?}", decision.action),
    };
    Ok(Verdict {
        word,
        reason: Some(decision.reason.name()),
        rules,
        or_default: None,
    })
}

fn translated_to(host: &str, port: u16) -> String {
    format!("translated to {host}, port {port}")
}

#[cfg(test)]
mod tests;
