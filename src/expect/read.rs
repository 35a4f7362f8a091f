//! A file of expectations as written, and what makes a [`Suite`] of it: all problems at once, each with its place.

use super::{Expectation, Probe};
use crate::{
    config::{
        self, Problem,
        at::At,
        nearest::nearest,
        problem::{Finding, Report},
    },
    policy::{Action, Fqdn, Reason, Resolved, Via},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
};

/// Most expectations of one file.
const MOST_EXPECTATIONS: usize = 100_000;

/// Who asks where nothing is said: this machine, as `egret explain` has it.
const DEFAULT_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a file is told that has none.
const ATTEMPTS: &str = "write `[[attempt]]` with `name`, `target` and `decision`";

/// Why the policy alone decides an attempt, or its address: others come later in the life of a flow.
const REASONS: [Reason; 7] = [
    Reason::RuleMatched,
    Reason::NoRuleMatched,
    Reason::NameInvalid,
    Reason::BadAuthority,
    Reason::IpLiteral,
    Reason::ThreatIntelligence,
    Reason::AddressDenied,
];

/// Policy tests of egret: attempts, and the decisions that are expected of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(title = "egret policy tests")]
#[serde(deny_unknown_fields)]
pub struct FileSuite {
    /// Who asks where an attempt does not say it. Default `127.0.0.1`.
    source: Option<At<String>>,
    /// Where names lead, name to addresses: destination FQDNs of network rules for transparent attempts, the name asked for else.
    #[serde(default)]
    resolved: BTreeMap<String, At<Vec<At<String>>>>,
    /// The attempts.
    #[serde(default)]
    attempt: Vec<FileAttempt>,
}

/// `[[attempt]]`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileAttempt {
    /// What it is about: a sentence that is true as long as the test passes.
    #[schemars(required, length(min = 1, max = 200))]
    name: Option<At<String>>,
    /// Address of who asks.
    source: Option<At<String>>,
    /// How it comes. Default: `transparent` for `tcp://`, `udp://` and `icmp://` targets, else `explicit`.
    via: Option<At<FileVia>>,
    /// Address that it leads to: that of the packets of a transparent attempt, or of the name once it is resolved.
    destination: Option<At<String>>,
    /// `https://host[:port]`, `http://host[:port]`, `host:port` as a CONNECT names it, `tcp://ip:port`, `udp://ip:port`, `icmp://ip`.
    #[schemars(required, length(min = 1, max = 1024))]
    target: Option<At<String>>,
    /// What the policy is to say; in audit mode, what it would have said.
    #[schemars(required)]
    decision: Option<FileDecision>,
    /// The rule that is to decide: `group/collection/rule`.
    rule: Option<At<String>>,
    /// Why: `NoRuleMatched`, `RuleMatched`, `IpLiteral`, `NameInvalid`, `BadAuthority`, `ThreatIntelligence`, `AddressDenied`.
    reason: Option<At<String>>,
}

/// `via`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum FileVia {
    /// To the proxy port.
    Explicit,
    /// Routed or redirected: the packets carry the destination address.
    Transparent,
}

/// `decision`
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum FileDecision {
    /// It goes through.
    Allow,
    /// It does not.
    Deny,
}

/// The expectations of one or more files.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// In the order of the files.
    pub expectations: Vec<Expectation>,
}

impl Suite {
    /// Reads a file. Fails with every problem of it.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        match String::from_utf8(config::read(path)?) {
            Ok(text) => Self::parse(&file, &text),
            Err(_) => Err(vec![Problem::unplaced(file, "is not UTF-8", "save it as UTF-8")]),
        }
    }

    /// Reads the text of a file called `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let file: Arc<str> = file.into();
        let mut report = Report::default();
        let written = config::parse::<FileSuite>(text, ATTEMPTS, &mut report);
        let expectations = written.map(|written| expectations(&written, text, &file, &mut report));
        match expectations {
            Some(expectations) if !report.failed() => Ok(Self { expectations }),
            _ => Err(report.problems(&file, Some(text))),
        }
    }
}

fn expectations(written: &FileSuite, text: &str, file: &Arc<str>, report: &mut Report) -> Vec<Expectation> {
    let source = written
        .source
        .as_ref()
        .map_or(Some(DEFAULT_SOURCE), |text| address(text, report));
    if written.attempt.is_empty() && !report.failed() {
        let finding = Finding::error(config::at::Span::default(), "the file expects nothing");
        report.add(finding.hint(ATTEMPTS));
    }
    if let Some(one) = written.attempt.get(MOST_EXPECTATIONS) {
        let span = one.name.as_ref().map_or_else(Default::default, |name| name.span);
        report.add(Finding::error(span, format!("more than {MOST_EXPECTATIONS} attempts")).hint("split the file"));
        return Vec::new();
    }
    let mut names: HashMap<&str, &At<String>> = HashMap::new();
    let mut lines = Lines { text, at: 0, line: 1 };
    let resolved = Arc::new(resolved(&written.resolved, report));
    let mut found = Vec::new();
    for attempt in &written.attempt {
        if let Some(name) = &attempt.name
            && let Some(other) = names.insert(name, name)
        {
            let finding = Finding::error(name.span, format!("`{}` is there twice", name.value));
            report.add(
                finding
                    .hint("each test has a name of its own")
                    .see(vec![("the other one".into(), other.span)]),
            );
        }
        let (Some(name), Some(target), Some(decision)) = (&attempt.name, &attempt.target, attempt.decision) else {
            continue;
        };
        let own = attempt.source.as_ref().map(|text| address(text, report));
        let reason = attempt.reason.as_ref().map(|text| reason(text, report));
        let destination = attempt.destination.as_ref().and_then(|text| address(text, report));
        let Some(source) = own.unwrap_or(source) else { continue };
        let via = attempt.via.as_ref().map(|via| match via.value {
            FileVia::Transparent => Via::Transparent,
            FileVia::Explicit => Via::Explicit,
        });
        let probe = Probe::new(source, target).coming(via, destination, Arc::clone(&resolved));
        check_ends(attempt, target, &probe, report);
        found.push(Expectation {
            name: name.value.clone(),
            place: format!("{file}:{}", lines.of(name.span.start as usize)),
            probe,
            decision: match decision {
                FileDecision::Allow => Action::Allow,
                FileDecision::Deny => Action::Deny,
            },
            rule: attempt.rule.as_ref().map(|rule| rule.value.clone()),
            reason: reason.flatten(),
        });
    }
    found
}

/// An attempt has one destination, a transparent one an address, and an explicit one TCP.
fn check_ends(attempt: &FileAttempt, target: &At<String>, probe: &Probe, report: &mut Report) {
    if let Some(via) = attempt.via.as_ref().filter(|_| !probe.target().can_come(probe.via)) {
        let finding = Finding::error(via.span, "the proxy port carries TCP alone");
        report.add(finding.hint("leave `via` out, and the attempt is taken as routed"));
    }
    match (&attempt.destination, probe.target().address()) {
        (Some(text), Some(_)) => {
            let finding = Finding::error(text.span, "the target is an address already");
            report.add(finding.hint("leave `destination` out"));
        }
        (None, None) if probe.via == Via::Transparent && probe.target().host.is_ok() => {
            let finding = Finding::error(target.span, "packets lead to an address, and none is said");
            report.add(finding.expected("`destination`, or a target like `tcp://10.2.0.4:1433`"));
        }
        _ => {}
    }
}

fn resolved(written: &BTreeMap<String, At<Vec<At<String>>>>, report: &mut Report) -> Resolved {
    let mut resolved = Resolved::default();
    for (name, addresses) in written {
        let found: Vec<IpAddr> = addresses.iter().filter_map(|text| address(text, report)).collect();
        match Fqdn::from_config(name) {
            Ok(name) => resolved.set(name, found.iter().map(IpAddr::to_canonical).collect()),
            Err(fault) => report.add(Finding::error(addresses.span, format!("`{name}`: {fault}"))),
        }
    }
    resolved
}

/// Lines of places that come in the order of the text.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn of(&mut self, start: usize) -> usize {
        let start = start.max(self.at);
        self.line += self.text.as_bytes()[self.at..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        self.at = start;
        self.line
    }
}

fn address(text: &At<String>, report: &mut Report) -> Option<IpAddr> {
    let address = text.parse().ok();
    if address.is_none() {
        report.add(Finding::error(text.span, format!("`{}` is no address", text.value)).expected("`10.1.0.4`"));
    }
    address
}

fn reason(text: &At<String>, report: &mut Report) -> Option<Reason> {
    let known = REASONS.iter().find(|reason| reason.name() == text.as_str());
    if known.is_none() {
        let names = || REASONS.iter().map(|reason| reason.name());
        let finding = Finding::error(text.span, format!("`{}` is no reason that a policy has", text.value));
        report.add(match nearest(text, names()) {
            Some(near) => finding.expected(format!("`{near}`")),
            None => finding.expected(format!("one of `{}`", names().collect::<Vec<_>>().join("`, `"))),
        });
    }
    known.copied()
}
