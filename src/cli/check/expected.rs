//! The policy tests of one configuration: which failed and why, what they do not reach, what they would not notice.

use crate::{
    cli::{
        check::CheckArgs,
        output::{count, quoted},
    },
    config::{Checked, nearest::nearest, problem::printable},
    expect::{Expectation, Judged, Near, Probe, Run, Suite, Survivor, is_called, is_meant, label},
    policy::{Action, CompiledPolicy, Misses, Mode, RuleId, RuleOutcome, Via, compile::Mutation},
};
use serde_json::{Value, json};
use std::fmt::Write;

/// Most failures, rules and changes that are told of one by one; `--json` has them all.
const MOST_SHOWN: usize = 20;

/// The tests, and what came of them.
pub(super) struct Tests<'a> {
    suite: &'a Suite,
    policy: CompiledPolicy,
    run: Run,
    /// What is asked of coverage and mutation, and not reached.
    short_of: Vec<String>,
}

impl<'a> Tests<'a> {
    pub(super) fn new(checked: &Checked, suite: &'a Suite, args: &CheckArgs) -> Self {
        let mut policy = CompiledPolicy::new(checked.policy.clone());
        let run = Run::new(&mut policy, suite);
        let noticed = run.mutants.as_ref().map(|mutants| mutants.noticed());
        let asked = [
            ("coverage", Some(run.coverage()), args.min_coverage),
            ("mutation", noticed, args.min_mutation),
        ];
        let short = |(what, got, least): (&str, Option<f64>, Option<f64>)| match (got, least) {
            (Some(got), Some(least)) if got < least => Some(format!("{what} is {got:.1} %, {least} % are asked for")),
            _ => None,
        };
        Self {
            short_of: asked.into_iter().filter_map(short).collect(),
            suite,
            policy,
            run,
        }
    }

    pub(super) fn pass(&self) -> bool {
        self.run.failed.is_empty() && self.short_of.is_empty()
    }

    fn failures(&self) -> impl Iterator<Item = (&Expectation, &Judged)> {
        let failed = self.run.failed.iter();
        failed.map(|number| (&self.suite.expectations[*number], &self.run.judged[*number]))
    }

    pub(super) fn text(&self, arguments: &str) -> String {
        let mut text = String::new();
        for (expected, judged) in self.failures().take(MOST_SHOWN) {
            text += &self.failure(arguments, expected, judged);
        }
        more(&mut text, self.run.failed.len(), "failures");
        let (all, failed) = (self.suite.expectations.len(), self.run.failed.len());
        let _ = writeln!(
            text,
            "\n{}, {} as expected, {failed} not",
            count(all, "attempt"),
            all - failed
        );
        self.unreached(&mut text);
        self.survivors(&mut text);
        for short in &self.short_of {
            let _ = writeln!(text, "\nnot enough: {short}");
        }
        text
    }

    fn failure(&self, arguments: &str, expected: &Expectation, judged: &Judged) -> String {
        let mut text = format!("\nFAILED  {}  {}\n", expected.place, printable(&expected.name));
        let probe = &expected.probe;
        let target = printable(&probe.written);
        let (told, asked) = way(probe);
        let _ = writeln!(text, "        {target} from {}{told}", probe.source);
        let _ = writeln!(text, "  expected  {}", wanted(expected));
        let _ = writeln!(text, "  got       {}", self.got(judged));
        let rules = probe.near(&self.policy);
        for (number, (rule, near)) in rules.iter().take(MOST_SHOWN).enumerate() {
            let head = if number == 0 { "why" } else { "" };
            let (label, action) = (label(&self.policy, *rule), self.policy.action(*rule));
            let _ = writeln!(text, "  {head:8}  {label}  {action:?}  {}", how(*near));
        }
        if rules.is_empty() {
            text += "  why       no rule comes near it\n";
        }
        if let Some(note) = self.misnamed(expected) {
            let _ = writeln!(text, "  note      {note}");
        }
        let target = quoted(&target);
        let source = probe.source;
        let _ = writeln!(
            text,
            "  more      egret explain {target} --source {source}{asked}{} {arguments}",
            self.resolved(probe)
        );
        text
    }

    /// The rule that is wanted does not exist: what was probably meant, in words. Or several are called so: none is meant.
    fn misnamed(&self, expected: &Expectation) -> Option<String> {
        let wanted = expected.rule.as_deref()?;
        let shown = printable(wanted);
        let rules = || self.run.reached.iter().chain(&self.run.unreached);
        let mut called = rules().filter(|rule| is_called(&self.policy, **rule, wanted));
        if called.next().is_some() {
            let meant = rules().any(|rule| is_meant(&self.policy, *rule, wanted));
            let several = (!meant).then(|| called.count() + 1).filter(|count| *count > 1);
            return several.map(|count| format!("{count} rules are called {shown}: give each a name of its own"));
        }
        let labels: Vec<String> = rules().map(|rule| label(&self.policy, *rule)).collect();
        let near = nearest(wanted, labels.iter().map(String::as_str));
        Some(format!(
            "no rule is called {shown}{}",
            near.map_or_else(String::new, |near| format!("; {near} is"))
        ))
    }

    fn got(&self, judged: &Judged) -> String {
        let decision = &judged.decision;
        let by = decision
            .rule
            .map_or_else(String::new, |rule| format!(" by {}", label(&self.policy, rule)));
        let audit = match (decision.action, decision.mode) {
            (Action::Deny, Mode::Audit) if judged.never_dialled => {
                ", in audit mode, and where it leads is dialled for nobody: AddressDenied at the gateway"
            }
            (Action::Deny, Mode::Audit) => ", in audit mode: let through and recorded as denied",
            _ => "",
        };
        let doubt = self
            .doubt(judged)
            .map_or_else(String::new, |doubt| format!(", {doubt}"));
        format!("{:?}, {}{by}{audit}{doubt}", decision.action, decision.reason)
    }

    /// Why what it got is no answer.
    fn doubt(&self, judged: &Judged) -> Option<String> {
        match (judged.by_address, judged.by_name) {
            (Some(rule), _) => Some(format!(
                "unless it leads where {} denies: say where, in `[resolved]` or `destination` of the tests",
                label(&self.policy, rule)
            )),
            (None, Some(rule)) if judged.decision.rule == Some(rule) => {
                Some("if a name of it leads there: `[resolved]` of the tests does not say".into())
            }
            (None, Some(rule)) => Some(format!(
                "unless a name leads there that {} allows: `[resolved]` of the tests does not say",
                label(&self.policy, rule)
            )),
            (None, None) => None,
        }
    }

    /// What the tests say of names that the attempt is judged by, for `egret explain`: routed it is those of network rules, at
    /// the proxy port its own.
    fn resolved(&self, probe: &Probe) -> String {
        let mut text = String::new();
        for (name, addresses) in probe.resolved().iter() {
            let asked = match probe.via {
                Via::Explicit => probe.destination.is_none() && probe.target().name() == Some(name),
                Via::Transparent => self.policy.model().names_in_network_rules().any(|fqdn| fqdn == name),
            };
            if asked {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let _ = write!(text, " --resolved {name}={}", addresses.join(","));
            }
        }
        text
    }

    fn unreached(&self, text: &mut String) {
        let (reached, unreached) = (self.run.reached.len(), &self.run.unreached);
        let _ = writeln!(
            text,
            "coverage: {reached} of {} reached ({:.1} %)",
            count(reached + unreached.len(), "rule"),
            self.run.coverage()
        );
        for rule in unreached.iter().take(MOST_SHOWN) {
            let _ = writeln!(
                text,
                "  no attempt reaches {} ({:?})",
                label(&self.policy, *rule),
                self.policy.action(*rule)
            );
        }
        more(text, unreached.len(), "rules");
    }

    fn survivors(&self, text: &mut String) {
        let Some(mutants) = &self.run.mutants else {
            text.push_str("mutation: not tried, because a test fails anyway\n");
            return;
        };
        let survivors = &mutants.survivors;
        let _ = writeln!(
            text,
            "mutation: {} of {} noticed ({:.1} %)",
            mutants.tried - survivors.len(),
            count(mutants.tried, "change"),
            mutants.noticed()
        );
        for survivor in survivors.iter().take(MOST_SHOWN) {
            let _ = writeln!(text, "  no test fails if {}", self.change(survivor));
        }
        more(text, survivors.len(), "changes");
    }

    fn change(&self, survivor: &Survivor) -> String {
        let label = label(&self.policy, survivor.rule);
        match (survivor.mutation, self.policy.action(survivor.rule)) {
            (Mutation::Deleted, _) => format!("{label} is deleted"),
            (Mutation::Turned, Action::Allow) => format!("{label} denies"),
            (Mutation::Turned, Action::Deny) => format!("{label} allows"),
        }
    }

    pub(super) fn json(&self) -> Value {
        let failures: Vec<Value> = self
            .failures()
            .map(|(expected, judged)| self.failure_json(expected, judged))
            .collect();
        let labels =
            |rules: &[RuleId]| -> Vec<String> { rules.iter().map(|rule| label(&self.policy, *rule)).collect() };
        let survivor = |survivor: &Survivor| json!({ "rule": label(&self.policy, survivor.rule), "change": format!("{:?}", survivor.mutation) });
        let mutation = self.run.mutants.as_ref().map(|mutants| {
            json!({
                "tried": mutants.tried,
                "noticed_percent": mutants.noticed(),
                "survivors": mutants.survivors.iter().map(survivor).collect::<Vec<_>>(),
            })
        });
        json!({
            "attempts": self.suite.expectations.len(),
            "passed": self.pass(),
            "failures": failures,
            "coverage": {
                "percent": self.run.coverage(),
                "reached": self.run.reached.len(),
                "unreached": labels(&self.run.unreached),
            },
            "mutation": mutation,
            "short_of": self.short_of,
        })
    }

    fn failure_json(&self, expected: &Expectation, judged: &Judged) -> Value {
        let decision = &judged.decision;
        let rules = expected.probe.near(&self.policy);
        let rules = rules.iter().map(|(rule, near)| {
            let action = format!("{:?}", self.policy.action(*rule));
            json!({ "rule": label(&self.policy, *rule), "action": action, "how": how(*near) })
        });
        json!({
            "name": expected.name,
            "place": expected.place,
            "source": expected.probe.source,
            "via": match expected.probe.via {
                Via::Explicit => "explicit",
                Via::Transparent => "transparent",
            },
            "destination": expected.probe.destination,
            "target": expected.probe.written,
            "expected": {
                "decision": format!("{:?}", expected.decision),
                "reason": expected.reason.map(|reason| reason.name()),
                "rule": expected.rule,
            },
            "got": {
                "decision": format!("{:?}", decision.action),
                "reason": decision.reason.name(),
                "rule": decision.rule.map(|rule| label(&self.policy, rule)),
                "audit": decision.action == Action::Deny && decision.mode == Mode::Audit,
                "doubt": self.doubt(judged),
            },
            "rules": rules.collect::<Vec<_>>(),
        })
    }
}

fn wanted(expected: &Expectation) -> String {
    let reason = expected.reason.map_or_else(String::new, |reason| format!(", {reason}"));
    let by = |rule: &String| format!(" by {}", printable(rule));
    let rule = expected.rule.as_ref().map_or_else(String::new, by);
    format!("{:?}{reason}{rule}", expected.decision)
}

fn how(near: Near) -> &'static str {
    match near {
        Near::Names(RuleOutcome::NameDiffers) => "does not name it",
        Near::Names(RuleOutcome::SourceDiffers) => "names it, for other sources",
        Near::Names(RuleOutcome::PortDiffers) => "names it, on another port or protocol",
        Near::Names(RuleOutcome::Matched) => "matches: the evaluation ends here",
        Near::Packet(Misses { source: true, .. }) => "would match, for other sources",
        Near::Packet(Misses { protocol: true, .. }) => "would match, for another IP protocol",
        Near::Packet(Misses { destination: true, .. }) => "would match, for other destinations",
        Near::Packet(Misses { port: true, .. }) => "would match, on other ports",
        Near::Packet(_) => "matches: the evaluation ends here",
    }
}

/// How an attempt comes, where it does not as such targets mostly do: for people, and for `egret explain`.
fn way(probe: &Probe) -> (String, String) {
    let via = match probe.via {
        Via::Explicit => "explicit",
        Via::Transparent => "transparent",
    };
    let (mut told, mut asked) = (String::new(), String::new());
    let unusual = probe.via != probe.target().usual_way();
    if unusual || probe.via == Via::Transparent {
        let _ = write!(told, ", {via}");
    }
    if unusual {
        let _ = write!(asked, " --via {via}");
    }
    if let Some(ip) = probe.destination {
        let _ = write!(told, ", to {ip}");
        let _ = write!(asked, " --destination {ip}");
    }
    (told, asked)
}

/// Counts what is not shown.
fn more(text: &mut String, all: usize, what: &str) {
    if all > MOST_SHOWN {
        let _ = writeln!(text, "  .. and {} more {what}: --json has them all", all - MOST_SHOWN);
    }
}
