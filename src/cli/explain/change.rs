//! The one change that would flip what comes of an attempt: each is made to a copy of the policy and tried, up to the addresses
//! that would be dialled, before it is told.

mod mend;

use super::{
    Explanation,
    end::End,
    judged::{Fared, Step},
    resolve::NEVER,
};
use crate::{
    catalogue::Catalogue,
    policy::{
        Action, CompiledPolicy, FqdnPattern, Reason, RuleId, RuleOutcome, ThreatIntelligence, Via, compile::Mutation,
        is_never_dialled, threat::Listed,
    },
};
use mend::Of;

/// Changes that are tried: each is a policy compiled anew.
const MOST_TRIED: usize = 32;

/// What would have to change. The first line is one change that was tried and flips it, if there is one.
pub fn changes(it: &Explanation) -> Vec<String> {
    let Some(stop) = it.groups.iter().find(|group| !group.allows) else {
        return here(it);
    };
    let first = format!(
        "in network security group {} let a rule that allows it come before rule {} (a number below {}): nothing here helps",
        stop.group, stop.rule, stop.priority
    );
    let then = match it.end.as_ref().is_some_and(End::permitted) {
        true => Vec::new(),
        false => here(it),
    };
    let then = then.into_iter().enumerate().map(|(number, change)| match number {
        0 => format!("and then, since it is denied here too: {change}"),
        _ => change,
    });
    [first].into_iter().chain(then).collect()
}

/// What would have to change in this policy.
fn here(it: &Explanation) -> Vec<String> {
    match &it.end {
        None => vec![it.reason().row().remedy.to_owned()],
        Some(end) if end.allowed() => end.decision().rule.map(|rule| allowed(it, rule)).into_iter().collect(),
        Some(end) => denied(it, end),
    }
}

fn allowed(it: &Explanation, rule: RuleId) -> String {
    let label = it.label(rule);
    match without(it, rule) {
        Some(end) if end.permitted() => format!(
            "nothing alone: without rule {label}, {} allows it too{}",
            allower(it, &end),
            recorded(it, &end)
        ),
        Some(end) => format!(
            "leave out rule {label}, or take this out of it: then {} denies it{}",
            by(it, &end),
            unless_named(it, &end)
        ),
        None => String::new(),
    }
}

/// The end if a rule were not there.
fn without(it: &Explanation, rule: RuleId) -> Option<End> {
    let mut policy = CompiledPolicy::new(it.policy.model().clone());
    policy.mutated(rule, Mutation::Deleted, |policy| it.end_under(policy))
}

/// What lets an end through, in words.
fn allower(it: &Explanation, end: &End) -> String {
    let decision = end.decision();
    match (decision.action, decision.behind) {
        (Action::Allow, _) => decided(it, end),
        (Action::Deny, Some(rule)) => format!("rule {}", it.label(rule)),
        (Action::Deny, None) => "audit mode".into(),
    }
}

/// What audit mode keeps of a denial, in words.
fn recorded(it: &Explanation, end: &End) -> String {
    match end.decision().action {
        Action::Allow => String::new(),
        Action::Deny => format!(", and it is recorded as denied by {}", decided(it, end)),
    }
}

/// Whether an end is the other one: what is denied gets through; what audit mode alone lets through is allowed.
fn flips(it: &Explanation, end: &End) -> bool {
    match it.end.as_ref().is_some_and(End::permitted) {
        true => end.may_be_allowed(),
        false => end.may_pass(),
    }
}

/// What brings an end about, in words. The rules keep their numbers in every change that is tried.
fn by(it: &Explanation, end: &End) -> String {
    if let Some(rule) = end.by_address() {
        return format!("rule {}, if the name leads there,", it.label(rule));
    }
    match end.permitted() == end.decision().permits() {
        true => decided(it, end),
        false => format!("what comes after the rules ({})", end.reason()),
    }
}

/// What the rules decide by, in words.
fn decided(it: &Explanation, end: &End) -> String {
    let decision = end.decision();
    match decision.rule {
        // Nobody says where the names lead by which it denies.
        Some(rule) if end.judged.evaluation.unresolved == Some(rule) => {
            format!("rule {}, if a name of it leads there,", it.label(rule))
        }
        Some(rule) => format!("rule {}", it.label(rule)),
        None => format!("the default ({})", decision.reason),
    }
}

/// What is left open of a change that lets a name through: where it leads.
fn unless(it: &Explanation, end: &End) -> String {
    let open = end.by_address();
    open.map_or_else(String::new, |rule| {
        format!(", unless the name leads where rule {} denies", it.label(rule))
    })
}

/// What is left open of a denial: a rule allows by names of which nobody says where they lead.
fn unless_named(it: &Explanation, end: &End) -> String {
    let open = end.judged.evaluation.unresolved;
    let allows = open.filter(|rule| !end.permitted() && it.policy.action(*rule) == Action::Allow);
    allows.map_or_else(String::new, |rule| {
        format!(
            ", unless a name of rule {}, which allows it, leads there",
            it.label(rule)
        )
    })
}

/// Something that is tried.
enum Change<'a> {
    /// A rule is left out: it decides, or denies an address.
    Without(RuleId),
    /// What is listed stands on the allowlist.
    Allowlisted(&'static str, String, ThreatIntelligence),
    /// A rule gets the one thing that it lacks.
    Mended(&'a Step, Of),
    /// Network rules are asked.
    Setting,
}

fn denied(it: &Explanation, end: &End) -> Vec<String> {
    let mut all = candidates(it, end).into_iter();
    let flips = all.by_ref().take(MOST_TRIED).find_map(|change| tried(it, &change));
    if let Some(words) = flips {
        let unseen = it.ask && it.answer.is_none() && it.asked.via == Via::Explicit && it.asked.target.name().is_some();
        let unseen = unseen.then(|| "its addresses were not looked up, since it is not allowed: try again then".into());
        return [words].into_iter().chain(unseen).chain(tag(it, end)).collect();
    }
    let untried = all.count();
    let more = (untried > 0).then(|| format!("{untried} further changes of one rule were not tried"));
    let words = otherwise(it, end);
    [words].into_iter().chain(more).chain(tag(it, end)).collect()
}

/// What may flip a denial, the likeliest first. Rules that lack one thing go before rules that do not name the target at all.
fn candidates<'a>(it: &'a Explanation, end: &'a End) -> Vec<Change<'a>> {
    let judged = [(Of::Attempt, &end.judged)];
    let addresses = end.denied().iter().map(|(ip, judged)| (Of::Address(*ip), judged));
    let judged: Vec<_> = judged.into_iter().chain(addresses).collect();
    let deny = judged.iter().map(|(_, judged)| judged.evaluation.decision);
    let deny = deny
        .chain([end.decision()])
        .filter(|decision| decision.action == Action::Deny)
        .filter_map(|decision| decision.rule);
    let listed: Vec<Listed> = judged
        .iter()
        .filter_map(|(_, judged)| judged.evaluation.threat)
        .map(|threat| threat.listed)
        .collect();
    // What is listed, then what takes the whole attempt out: lists may hold more of it.
    let whole = [Listed::Name, Listed::Source(it.asked.source)]
        .into_iter()
        .filter(|_| !listed.is_empty());
    let listed = listed
        .iter()
        .copied()
        .chain(whole)
        .filter_map(|listed| allowlisted(it, listed));
    let steps = || {
        let steps = judged
            .iter()
            .flat_map(|(of, judged)| judged.steps.iter().map(|step| (*of, step)));
        steps.filter(|(_, step)| it.policy.action(step.rule) == Action::Allow)
    };
    let near = steps().filter(|(_, step)| step.fared.near());
    let far = steps().filter(|(_, step)| step.fared == Fared::Application(RuleOutcome::NameDiffers));
    let mended = near.chain(far).map(|(of, step)| Change::Mended(step, of));
    deny.map(Change::Without)
        .chain(listed)
        .chain(mended)
        .chain([Change::Setting])
        .collect()
}

/// The words of a change that flips it.
fn tried(it: &Explanation, change: &Change<'_>) -> Option<String> {
    let flipped = |policy: &CompiledPolicy| it.end_under(policy).filter(|end| flips(it, end));
    match change {
        Change::Without(rule) => {
            let end = without(it, *rule).filter(|end| flips(it, end))?;
            let (label, by) = (it.label(*rule), allower(it, &end));
            Some(format!(
                "leave out rule {label}, or take this out of it: then {by} allows it{}{}",
                recorded(it, &end),
                unless(it, &end)
            ))
        }
        Change::Allowlisted(key, what, lists) => {
            let mut model = it.policy.model().clone();
            model.threat_intelligence = lists.clone();
            let end = flipped(&CompiledPolicy::new(model))?;
            Some(format!(
                "{}: then the rules allow it{}{}",
                if_wrong(key, what),
                recorded(it, &end),
                unless(it, &end)
            ))
        }
        Change::Mended(step, of) => {
            let (words, policy) = mend::mended(it, step.rule, step.fared, *of)?;
            let end = flipped(&policy)?;
            let before = it.end.as_ref().and_then(|end| end.decision().rule);
            let before =
                before.filter(|rule| it.policy.action(*rule) == Action::Deny && end.decision().rule != Some(*rule));
            let before = before.map_or_else(String::new, |rule| {
                format!(": it is asked before rule {}", it.label(rule))
            });
            Some(words + &before + &recorded(it, &end) + &unless(it, &end))
        }
        Change::Setting => network_rules(it),
    }
}

/// What is listed, on the allowlist.
fn allowlisted<'a>(it: &Explanation, listed: Listed) -> Option<Change<'a>> {
    let mut lists = it.policy.model().threat_intelligence.clone();
    Some(match listed {
        Listed::Destination(ip) | Listed::Source(ip) => {
            lists.allowed_addresses.push(ip.into());
            Change::Allowlisted("ip_addresses", ip.to_string(), lists)
        }
        Listed::Name => {
            let name = it.asked.target.name()?;
            lists.allowed_fqdns.push(FqdnPattern::Exact(name.clone()));
            Change::Allowlisted("fqdns", name.to_string(), lists)
        }
    })
}

fn if_wrong(key: &str, what: &str) -> String {
    format!("put \"{what}\" on `threat_intelligence.allowlist.{key}`, if the list is wrong")
}

/// No single change flips it: what is missing.
fn otherwise(it: &Explanation, end: &End) -> String {
    // Each has something of its own, be it a rule that denies all of them.
    if let Some(words) = addresses(it, end).filter(|_| !end.permitted()) {
        return words;
    }
    let threat = end.told.threat;
    if let (Reason::ThreatIntelligence, Some(threat)) = (end.decision().reason, threat) {
        return match allowlisted(it, threat.listed) {
            Some(Change::Allowlisted(key, what, _)) => {
                format!("{}: the rules deny it all the same", if_wrong(key, &what))
            }
            _ => Reason::ThreatIntelligence.row().remedy.to_owned(),
        };
    }
    let decision = end.decision();
    // What audit mode lets through is not what denies it.
    let rules = decision.permits() == end.permitted();
    match (decision.action, decision.rule, it.asked.target.name()) {
        (Action::Deny, Some(rule), _) if rules => {
            let without = without(it, rule);
            let (by, unless) = without.map_or_else(Default::default, |end| (by(it, &end), unless_named(it, &end)));
            format!(
                "let a rule that allows it come before rule {} (a lower priority number): without that rule {by} denies it{unless}",
                it.label(rule)
            )
        }
        (Action::Deny, None, Some(_)) if rules => a_rule(it),
        (_, _, None) if it.no_rule_helps() => NEVER.to_owned(),
        (Action::Deny, None, None) if decision.reason == Reason::NoRuleMatched => {
            "no rule comes near: add a network rule for this address and port".into()
        }
        _ if end.never_dialled && it.no_rule_helps() => NEVER.to_owned(),
        _ => {
            let resolution = end.resolution.as_ref();
            resolution
                .map_or(end.reason().row().remedy, |found| found.remedy(end.reason()))
                .to_owned()
        }
    }
}

/// More than one thing is missing: the rule that would do.
fn a_rule(it: &Explanation) -> String {
    let (source, port) = (it.asked.source, it.asked.target.port);
    let name = it.asked.target.name().map(ToString::to_string).unwrap_or_default();
    let protocol = it.judged().and_then(|judged| judged.protocol);
    let Some(protocol) = protocol else {
        return "application rules know names over HTTP and TLS alone: add a network rule for the address and port"
            .into();
    };
    format!(
        "no rule is one change away: it takes one with \"{source}\" in `source_addresses`, \"{name}\" in `destination_fqdns` \
         and {{ type = \"{protocol:?}\", port = {port} }} in `protocols`"
    )
}

/// The addresses of a name are denied, each by something of its own.
fn addresses(it: &Explanation, end: &End) -> Option<String> {
    let by = end
        .denied()
        .iter()
        .map(|(ip, judged)| match judged.evaluation.decision.rule {
            Some(rule) => format!("{ip} by rule {}", it.label(rule)),
            None => format!("{ip} by threat intelligence"),
        });
    let by: Vec<String> = by.take(4).collect();
    (!by.is_empty()).then(|| {
        format!(
            "no one change does: the name may pass, its addresses are denied, {}",
            by.join(", ")
        )
    })
}

/// The setting that would have the network rules asked.
fn network_rules(it: &Explanation) -> Option<String> {
    if it.asked.via != Via::Explicit || it.policy.model().explicit_network_rules {
        return None;
    }
    let mut model = it.policy.model().clone();
    model.explicit_network_rules = true;
    let end = it.end_under(&CompiledPolicy::new(model)).filter(|end| flips(it, end))?;
    Some(format!(
        "set `explicit_network_rules = true`: then network rule {} allows it, without a gate{}{}",
        it.label(end.decision().allowing()?),
        recorded(it, &end),
        unless(it, &end)
    ))
}

impl Explanation {
    /// Whether an address that is asked for, or that packets carry, is never dialled, whatever a rule allows.
    fn no_rule_helps(&self) -> bool {
        if self.asked.via == Via::Transparent {
            return self.asked.destination.is_some_and(is_never_dialled);
        }
        let address = self.asked.target.address().filter(|_| self.asked.via == Via::Explicit);
        address.is_some_and(|ip| self.addresses.vet_address(ip, self.asked.target.port, true).is_err())
    }

    /// Whether an application rule that was looked at names the target, whoever may ask and on whichever port.
    fn is_named(&self) -> bool {
        let mut steps = self.judged().into_iter().flat_map(|judged| &judged.steps);
        steps.any(|step| matches!(step.fared, Fared::Application(outcome) if outcome != RuleOutcome::NameDiffers))
    }
}

/// The tag that would hold the name, bound.
fn tag(it: &Explanation, end: &End) -> Option<String> {
    if end.decision().rule.is_some() {
        return None;
    }
    if it.is_named() {
        return None;
    }
    let holders = Catalogue::embedded().holders(it.asked.target.name()?);
    let holder = holders.first()?;
    let tag = holder.tag.name();
    Some(format!(
        "if that is a resource of yours, tag {tag} can name it: `--allow {holder}`, or `[fqdn_tag.{tag}]`"
    ))
}
