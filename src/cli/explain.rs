//! `egret explain`: one attempt, step by step, by the very evaluation that decides flows.

mod resolve;
mod show;

use super::{Answer, ExplainArgs, print, refuse};
use crate::{
    catalogue::Catalogue,
    config::{Checked, nets},
    policy::{
        Action, Attempt, CompiledPolicy, Decision, Expected, Fqdn, Host, Mode, Protocol, Reason, RuleId, Sources,
        Trace, decide::RuleOutcome,
    },
};
use resolve::Resolution;
use std::{net::IpAddr, sync::Arc};

/// Most pieces of advice.
const MOST_ADVICE: usize = 5;

/// Explains one attempt. The answer is yes if it would get through.
pub fn run(args: &ExplainArgs) -> anyhow::Result<Answer> {
    let checked = args.config.load(&[], &[]).map_err(|problems| refuse(&problems))?;
    let mut explanation = explain(&checked, &args.target, args.source.to_canonical());
    if let (true, Ok(name), true) = (args.resolve, &explanation.name, explanation.permitted) {
        let rule = explanation
            .rule
            .and_then(|rule| explanation.policy.application_rule(rule));
        let resolution = resolve::resolve(&checked, name, explanation.target.port.unwrap_or(443), rule)?;
        explanation.permitted &= resolution.vetted.is_ok();
        explanation.resolution = Some(resolution);
    }
    print(&if args.json {
        show::json(&explanation)
    } else {
        show::text(&explanation)
    })?;
    Ok(explanation.permitted.into())
}

/// What was asked for, taken apart but not yet judged.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// `http://` or `https://` was written; without it the target is that of a CONNECT.
    protocol: Option<Protocol>,
    /// As written.
    host: String,
    /// `None`: not a port.
    port: Option<u16>,
}

impl Target {
    fn read(text: &str) -> Self {
        let (protocol, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(Protocol::Https), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(Protocol::Http), rest),
            _ => (None, text),
        };
        let path = if protocol.is_some() {
            rest.find(['/', '?', '#'])
        } else {
            None
        };
        let authority = &rest[..path.unwrap_or(rest.len())];
        let usual = if protocol == Some(Protocol::Http) { 80 } else { 443 };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, nets::port(port)),
            _ => (authority, Some(usual)),
        };
        Self {
            protocol,
            host: host.to_owned(),
            port,
        }
    }
}

/// Everything there is to say about one attempt.
struct Explanation {
    target: Target,
    source: IpAddr,
    policy: CompiledPolicy,
    hash: Arc<str>,
    /// The normal form, or why there is no name to judge.
    name: Result<Fqdn, Reason>,
    /// What it was judged as.
    protocol: Protocol,
    steps: Vec<Step>,
    action: Action,
    reason: Reason,
    mode: Mode,
    rule: Option<RuleId>,
    wide: bool,
    /// Whether the flow would get through, as far as was looked.
    permitted: bool,
    /// What would have to change for it to be allowed.
    advice: Vec<String>,
    resolution: Option<Resolution>,
}

/// One rule and how it fared.
struct Step {
    rule: RuleId,
    outcome: RuleOutcome,
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Trace for Steps {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        self.0.push(Step { rule, outcome });
    }
}

fn explain(checked: &Checked, target: &str, source: IpAddr) -> Explanation {
    let target = Target::read(target);
    let policy = CompiledPolicy::new(checked.policy.clone());
    let name = match (Host::parse(target.host.as_bytes()), target.port) {
        (Ok(_), None) => Err(Reason::BadAuthority),
        (Ok(Host::Address(_)), _) => Err(Reason::IpLiteral),
        (Ok(Host::Name(name)), Some(_)) => Ok(name),
        (Err(error), _) => Err(error.reason()),
    };
    let mut explanation = Explanation {
        protocol: target.protocol.unwrap_or(Protocol::Https),
        target,
        source,
        hash: checked.hash.clone(),
        name,
        steps: Vec::new(),
        action: Action::Deny,
        reason: Reason::NoRuleMatched,
        mode: Mode::Enforce,
        rule: None,
        wide: false,
        permitted: false,
        advice: Vec::new(),
        resolution: None,
        policy,
    };
    match explanation.name.clone() {
        Ok(name) => explanation.judge(&name),
        Err(reason) => {
            explanation.reason = reason;
            explanation.advice.push(reason.row().remedy.to_owned());
        }
    }
    explanation
}

impl Explanation {
    fn judge(&mut self, name: &Fqdn) {
        let port = self.target.port.unwrap_or(443);
        let (protocol, decision, steps) = match self.target.protocol {
            Some(protocol) => self.decide(protocol, name, port),
            // CONNECT does not say what will be spoken.
            None => {
                let https = self.decide(Protocol::Https, name, port);
                let http = self.decide(Protocol::Http, name, port);
                match Expected::of(https.1, http.1, port) {
                    (Expected::Http, _) => http,
                    (Expected::Tls | Expected::Either, _) => https,
                }
            }
        };
        self.protocol = protocol;
        self.steps = steps.0;
        self.action = decision.action;
        self.reason = decision.reason;
        self.mode = decision.mode;
        self.rule = decision.rule;
        self.wide = decision.wide;
        self.permitted = decision.permits();
        if decision.action == Action::Deny {
            self.advice = self.advise(name, port);
        }
    }

    fn decide(&self, protocol: Protocol, name: &Fqdn, port: u16) -> (Protocol, Decision, Steps) {
        let attempt = Attempt {
            source: self.source,
            protocol,
            name,
            port,
        };
        let mut steps = Steps::default();
        let decision = self.policy.decide(&attempt, &mut steps);
        (protocol, decision, steps)
    }

    /// `group/collection/rule`
    fn label(&self, rule: RuleId) -> String {
        let names = self.policy.rule_ref(rule);
        format!("{}/{}/{}", names.group, names.collection, names.rule)
    }

    fn advise(&self, name: &Fqdn, port: u16) -> Vec<String> {
        if let Some(rule) = self.rule {
            let label = self.label(rule);
            return vec![format!(
                "rule {label} denies it: take the name out of that rule, or let a rule that allows it come before (a lower \
                 priority number)"
            )];
        }
        let allowing = self
            .steps
            .iter()
            .filter(|step| self.policy.action(step.rule) == Action::Allow);
        let near = allowing.filter_map(|step| self.advice_on(step, port));
        let mut advice: Vec<String> = near.take(MOST_ADVICE).collect();
        if advice.is_empty() {
            advice.push(format!(
                "no rule names it: add \"{name}\" to `destination_fqdns` of a rule that allows {}",
                self.source
            ));
            let holders = Catalogue::embedded().holders(name);
            advice.extend(holders.first().map(|holder| {
                let tag = holder.tag.name();
                format!(
                    "if that is a resource of yours, tag {tag} can name it: `--allow {holder}`, or `[fqdn_tag.{tag}]`"
                )
            }));
        }
        advice
    }

    /// What a rule that names the target lacks.
    fn advice_on(&self, step: &Step, port: u16) -> Option<String> {
        let label = self.label(step.rule);
        match step.outcome {
            RuleOutcome::SourceDiffers => Some(format!(
                "rule {label} allows the name to others: add \"{}\" to its `source_addresses`, or to one of its IP groups",
                self.source
            )),
            RuleOutcome::PortDiffers => {
                let protocol = self.protocol;
                Some(format!(
                    "rule {label} allows the name on another port or protocol: add {{ type = \"{protocol:?}\", port = {port} }} \
                     to its `protocols`"
                ))
            }
            RuleOutcome::NameDiffers | RuleOutcome::Matched => None,
        }
    }

    /// How a rule fared, in words.
    fn outcome(&self, step: &Step) -> String {
        let rule = self.policy.application_rule(step.rule);
        match step.outcome {
            RuleOutcome::NameDiffers => "does not name it".into(),
            RuleOutcome::SourceDiffers => match rule.map(|rule| &rule.sources) {
                Some(Sources::Nets(nets)) if nets.is_empty() => "names it, for nobody: its sources are empty".into(),
                Some(Sources::Nets(nets)) => {
                    let shown: Vec<String> = nets.iter().take(3).map(ToString::to_string).collect();
                    let more = if nets.len() > 3 { ", .." } else { "" };
                    format!("names it, for other sources: {}{more}", shown.join(", "))
                }
                _ => "names it, for other sources".into(),
            },
            RuleOutcome::PortDiffers => {
                let ports = rule.iter().flat_map(|rule| &rule.protocols);
                let shown: Vec<String> = ports
                    .take(4)
                    .map(|port| format!("{:?} {}", port.protocol, port.port))
                    .collect();
                format!("names it, on other ports: {}", shown.join(", "))
            }
            RuleOutcome::Matched => "matches: the evaluation ends here".into(),
        }
    }
}

#[cfg(test)]
mod tests;
