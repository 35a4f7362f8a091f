//! The evaluation of one attempt, with every rule that was looked at.

use super::{Explanation, asked::Asked};
use crate::{
    expect::{label, target::Speaks},
    policy::{
        Action, CompiledPolicy, DecidedBy, Evaluation, Expected, Misses, Protocol, Resolved, RuleId, RuleOutcome, Trace,
    },
};

/// What was decided, as what, and on the way where.
pub struct Judged {
    /// What it was judged as; `None`: neither HTTP nor TLS.
    pub protocol: Option<Protocol>,
    pub evaluation: Evaluation,
    pub steps: Vec<Step>,
}

/// One rule and how it fared.
#[derive(Clone, Copy)]
pub struct Step {
    pub rule: RuleId,
    pub fared: Fared,
}

/// How a rule fared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fared {
    /// A DNAT or network rule.
    Packet(Misses),
    /// An application rule.
    Application(RuleOutcome),
}

impl Fared {
    /// It would match, or miss in one thing alone.
    pub fn near(self) -> bool {
        match self {
            Self::Packet(misses) => misses.count() <= 1,
            Self::Application(outcome) => outcome != RuleOutcome::NameDiffers,
        }
    }
}

#[derive(Default)]
struct Steps(Vec<Step>);

impl Trace for Steps {
    fn rule(&mut self, rule: RuleId, outcome: RuleOutcome) {
        let fared = Fared::Application(outcome);
        self.0.push(Step { rule, fared });
    }

    fn packet_rule(&mut self, rule: RuleId, misses: Misses) {
        let fared = Fared::Packet(misses);
        self.0.push(Step { rule, fared });
    }
}

/// Why there is no answer: a rule speaks of names or addresses, and whether it speaks of the attempt hangs on where names lead
/// of which nobody says it.
pub fn doubt(it: &Explanation) -> Option<String> {
    let by_name = unresolved(&it.policy, &it.judged()?.evaluation);
    by_name.or_else(|| {
        let (rule, name) = (it.by_address()?, it.asked.target.name()?);
        let unknown = match it.resolution().map(|resolution| &resolution.answer) {
            Some(Err(error)) => format!("could not be looked up ({error}):"),
            _ => "is not known: `--resolve` looks it up,".into(),
        };
        Some(format!(
            "rule {} denies addresses, and where `{name}` leads {unknown} `--resolved {name}=IP` or `--destination IP` says it",
            it.label(rule),
        ))
    })
}

/// A rule speaks of names of which nobody says where they lead: whether it speaks of the attempt is not known.
pub fn unresolved(policy: &CompiledPolicy, evaluation: &Evaluation) -> Option<String> {
    let rule = evaluation.unresolved?;
    let verb = match policy.action(rule) {
        Action::Allow => "allows",
        Action::Deny => "denies",
    };
    let fqdns = &policy.network_rule(rule)?.destinations.fqdns;
    let names: Vec<String> = fqdns.iter().map(|name| format!("`{name}`")).collect();
    Some(format!(
        "rule {} {verb} by name, and where {} leads is not known: `--resolve` looks names up, and could not if it was given; \
         `--resolved NAME=IP` says it, and in policy tests `[resolved]`",
        label(policy, rule),
        names.join(", "),
    ))
}

/// The evaluation; CONNECT does not say what will be spoken, so both protocols are judged and the one that stands is told.
pub fn judge(policy: &CompiledPolicy, asked: &Asked, resolved: &Resolved) -> Judged {
    let judge = |protocol| {
        let mut steps = Steps::default();
        let evaluation = policy.evaluate(&asked.flow(protocol, resolved), &mut steps);
        let mut steps = steps.0;
        // A network rule may decide after the name was judged: what was asked for the name does not count then.
        let ends = evaluation.unresolved.is_none() && evaluation.decision.behind.is_none();
        let rule = evaluation.decision.rule.filter(|_| ends);
        if let Some(at) = steps.iter().position(|step| Some(step.rule) == rule)
            && evaluation.by == DecidedBy::Network
        {
            steps[at].fared = Fared::Packet(Misses::default());
            steps.truncate(at + 1);
        }
        Judged {
            protocol,
            evaluation,
            steps,
        }
    };
    match asked.target.speaks {
        Speaks::Known(protocol) => judge(Some(protocol)),
        Speaks::Open if asked.target.name().is_some() => {
            let (https, http) = (judge(Some(Protocol::Https)), judge(Some(Protocol::Http)));
            let port = asked.target.port;
            match Expected::of(https.evaluation.decision, http.evaluation.decision, port).1 {
                Protocol::Http => http,
                Protocol::Https => https,
            }
        }
        Speaks::Open | Speaks::Neither => judge(None),
    }
}
