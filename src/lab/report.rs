//! What a play of a scenario looks like: the table, JSON lines, a line for each later row.

use super::{
    course::{Course, Finding, Way},
    decision::Decision,
    elsewhere,
    row::Row,
    scenario::{SHIPPED, Scenario},
};
use crate::policy::{self, Action, Fqdn, NoTrace};
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use std::{fmt::Write, time::Duration};

/// Columns of a table that is not shown on a terminal.
const WIDTH: u16 = 160;

/// Columns of the widest table, however wide the terminal is.
const WIDEST: u16 = 180;

/// Columns of the narrowest table: below it words break.
const NARROWEST: u16 = 100;

/// What came of a scenario, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Attempts.
    pub attempts: usize,
    /// Those that did not go as expected.
    pub faulty: usize,
    /// Controls of denials.
    pub controls: usize,
    /// From the first site that was built to the last answer.
    pub took: Duration,
}

impl Tally {
    /// Counts.
    pub fn of(findings: &[Finding], took: Duration) -> Self {
        Self {
            attempts: findings.len(),
            faulty: findings.iter().filter(|finding| !finding.faults.is_empty()).count(),
            controls: findings.iter().map(|finding| finding.controls.len()).sum(),
            took,
        }
    }

    fn line(&self, way: Way) -> String {
        let Self { attempts, faulty, .. } = self;
        let good = attempts - faulty;
        let seconds = self.took.as_secs_f64();
        match way {
            Way::Egret => format!(
                "{attempts} attempts, {good} as expected; {} controls of denials, each of which must reach a forbidden \
                 site; {seconds:.1} s.\n",
                self.controls
            ),
            _ => {
                format!("{attempts} attempts, {good} as a firewall should treat them, {faulty} not; {seconds:.1} s.\n")
            }
        }
    }
}

/// The table, what went otherwise than expected, and a summary.
pub fn text(course: &Course, way: Way, findings: &[Finding], tally: &Tally) -> String {
    let scenario = course.scenario();
    let mut text = format!("\n{} ({}): {}\n\n", scenario.title, scenario.name, through(way));
    let table = match way {
        Way::Egret => egret_table(findings),
        Way::Proxy(_) | Way::Direct => other_table(findings),
    };
    let _ = writeln!(text, "{}", table.trim_fmt());
    for finding in findings.iter().filter(|finding| !finding.faults.is_empty()) {
        let _ = writeln!(text, "\n{} tries: {}", finding.attempt.client, finding.attempt.name);
        for fault in &finding.faults {
            let _ = writeln!(text, "  {fault}");
        }
        if !finding.attempt.why.is_empty() && way != Way::Egret {
            let _ = writeln!(text, "  why it matters: {}", finding.attempt.why);
        }
    }
    if way == Way::Egret {
        text += &mistakes(findings);
    }
    text + "\n" + &tally.line(way)
}

/// What the attempts that show a mistake teach: where it shows, and what to mend.
fn mistakes(findings: &[Finding]) -> String {
    let shown = findings
        .iter()
        .map(|finding| &finding.attempt)
        .filter(|attempt| !attempt.mend.is_empty());
    shown.fold(String::new(), |text, attempt| {
        text + &format!(
            "\n{}\n  seen: {}\n  mend: {}\n",
            attempt.name, attempt.why, attempt.mend
        )
    })
}

/// The sum of several scenarios.
pub fn total(tallies: &[Tally], way: Way) -> String {
    let sum = |sum: Tally, tally: &Tally| Tally {
        attempts: sum.attempts + tally.attempts,
        faulty: sum.faulty + tally.faulty,
        controls: sum.controls + tally.controls,
        took: sum.took + tally.took,
    };
    let all = tallies.iter().fold(Tally::default(), sum);
    format!("\n{} scenarios: {}", tallies.len(), all.line(way))
}

/// Name, attempts and title of each scenario.
pub fn list(scenarios: &[Scenario], json: bool) -> String {
    let line = |s: &Scenario| match json {
        true => format!(
            "{}\n",
            json!({ "scenario": s.name, "title": s.title, "attempts": s.attempts.len() })
        ),
        false => format!("{:14} {:3} attempts  {}\n", s.name, s.attempts.len(), s.title),
    };
    scenarios.iter().map(line).collect()
}

/// The scenarios that were not played.
pub fn others() -> String {
    let names: Vec<&str> = SHIPPED[1..].iter().map(|shipped| shipped.name).collect();
    format!(
        "More worlds: {} (`egret lab --scenario NAME`); all of them: `egret lab --once`.\n",
        names.join(", ")
    )
}

fn through(way: Way) -> String {
    match way {
        Way::Egret => "through egret".to_owned(),
        Way::Proxy(proxy) => format!("through the proxy at {proxy}; stand-ins for the lab's addresses"),
        Way::Direct => "without a firewall".to_owned(),
    }
}

fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    let terminal = rustix::termios::tcgetwinsize(std::io::stdout()).ok();
    let wanted = terminal.map_or(WIDTH, |size| size.ws_col);
    table.set_width(wanted.clamp(NARROWEST, WIDEST));
    table.set_header(columns);
    table
}

fn egret_table(findings: &[Finding]) -> Table {
    let mut table = table(&["", "who", "tries", "decision", "DNS path [zone]", "ms", "control"]);
    for finding in findings {
        let row = finding.row.as_ref();
        table.add_row([
            mark(finding).to_owned(),
            finding.attempt.client.clone(),
            finding.attempt.name.clone(),
            match row {
                Some(row) => decided(row),
                None => format!("no row: {}", finding.played.told()),
            },
            row.map(Row::path).unwrap_or_default(),
            format!("{:.1}", finding.played.took.as_secs_f64() * 1000.0),
            controls(finding),
        ]);
    }
    table
}

/// The decision with its reason, if it is a denial, and its rule without the group, if there is one.
fn decided(row: &Row) -> String {
    let mut text = decision(row).text().to_owned();
    if row.action == Action::Deny {
        let _ = write!(text, " {}", row.reason);
    }
    if let Some(rule) = row.rule.as_deref() {
        let _ = write!(text, " ({})", rule.split_once('/').map_or(rule, |(_, rest)| rest));
    }
    text
}

fn other_table(findings: &[Finding]) -> Table {
    let mut table = table(&[
        "",
        "who",
        "tries",
        "should be",
        "client was told",
        "let through",
        "ms",
        "control",
    ]);
    for finding in findings {
        let expect = &finding.attempt.expect;
        let let_through: Vec<&str> = finding
            .faults
            .iter()
            .filter_map(|fault| fault.strip_prefix("let through: "))
            .collect();
        table.add_row([
            mark(finding).to_owned(),
            finding.attempt.client.clone(),
            finding.attempt.name.clone(),
            if expect.refused() {
                expect.reason.map_or("refused by the network".to_owned(), |reason| {
                    format!("denied, {reason}")
                })
            } else {
                "let through".to_owned()
            },
            finding.played.told(),
            let_through.join("; "),
            format!("{:.1}", finding.played.took.as_secs_f64() * 1000.0),
            controls(finding),
        ]);
    }
    table
}

fn mark(finding: &Finding) -> &'static str {
    if finding.faults.is_empty() { "ok" } else { "NOT OK" }
}

fn decision(row: &Row) -> Decision {
    match (row.action, row.audit) {
        (Action::Allow, _) => Decision::Allow,
        (Action::Deny, false) => Decision::Deny,
        (Action::Deny, true) => Decision::Audited,
    }
}

/// Bytes at forbidden sites: without a firewall, then through what refuses nothing.
fn controls(finding: &Finding) -> String {
    let bytes: Vec<String> = finding
        .controls
        .iter()
        .map(|control| control.bytes.to_string())
        .collect();
    match bytes.is_empty() {
        true => String::new(),
        false => format!("{} B", bytes.join(" + ")),
    }
}

/// What was decided: by egret's row, or, where a proxy has none, by whether a site answered.
fn outcome(finding: &Finding) -> Decision {
    match &finding.row {
        Some(row) => decision(row),
        None if finding.played.site().is_some() => Decision::Allow,
        None => Decision::Deny,
    }
}

/// Why the attempt ends otherwise at an Azure Firewall with these rules; told of runs through egret.
fn elsewhere(course: &Course, finding: &Finding) -> Option<&'static str> {
    let policy = course.gateway.as_ref()?.snapshot();
    let allows = |name: &str, protocol, port| {
        let of = |name: &Fqdn| {
            let attempt = policy::Attempt {
                source: finding.attempt.source,
                protocol,
                name,
                port,
            };
            policy.policy.decide(&attempt, &mut NoTrace).permits()
        };
        Fqdn::parse(name).is_ok_and(|name| of(&name))
    };
    elsewhere::why(&finding.attempt, allows)
}

/// One JSON line for each attempt.
pub fn json(course: &Course, findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let controls = finding
            .controls
            .iter()
            .map(|c| json!({ "by": c.by, "bytes_at_forbidden": c.bytes }));
        json!({
            "scenario": course.scenario().name,
            "client": finding.attempt.client,
            "attempt": finding.attempt.name,
            "why": finding.attempt.why,
            "mend": finding.attempt.mend,
            "ok": finding.faults.is_empty(),
            "faults": finding.faults,
            "decision": outcome(finding).text(),
            "elsewhere": elsewhere(course, finding),
            "told": finding.played.told(),
            "milliseconds": finding.played.took.as_secs_f64() * 1000.0,
            "controls": controls.collect::<Vec<_>>(),
            "row": finding.row.as_ref().map(|row| &row.json),
        })
    };
    findings
        .iter()
        .fold(String::new(), |text, finding| text + &line(finding).to_string() + "\n")
}

/// A later row in a line.
pub fn line(row: &Row) -> String {
    let text = |key: &str| row.json["properties"][key].as_str().unwrap_or_default().to_owned();
    let rule = row.rule.as_deref().map(|rule| format!("  {rule}")).unwrap_or_default();
    let path = row.path();
    let path = if path.is_empty() { path } else { format!("  {path}") };
    let name = crate::flow::answer::shown(&text("Fqdn"));
    format!(
        "{}  {}  {name}:{}  {}{rule}{path}\n",
        row.source.ip(),
        decision(row).text(),
        row.json["properties"]["DestinationPort"],
        row.reason
    )
}

/// What each site has heard.
pub struct Heard(Vec<HeardSite>);

struct HeardSite {
    name: String,
    forbidden: bool,
    connections: u64,
    bytes: u64,
}

impl Heard {
    /// Since the lab began.
    pub fn so_far(course: &Course) -> Self {
        let sites = course.world.sites().iter().map(|site| HeardSite {
            name: site.name().to_owned(),
            forbidden: site.spec().forbidden,
            connections: site.connections(),
            bytes: site.bytes(),
        });
        Self(sites.collect())
    }

    /// What came after `before`, which is of the same lab.
    pub fn since(mut self, before: &Self) -> Self {
        for (site, earlier) in self.0.iter_mut().zip(&before.0) {
            site.connections -= earlier.connections;
            site.bytes -= earlier.bytes;
        }
        self
    }

    /// For people: what no one should have heard. For programs: one JSON line that says what every site heard.
    pub fn shown(&self, json: bool) -> String {
        if json {
            let site = |site: &HeardSite| {
                let heard = json!({
                    "forbidden": site.forbidden, "connections": site.connections, "bytes": site.bytes,
                });
                (site.name.clone(), heard)
            };
            let sites: serde_json::Map<_, _> = self.0.iter().map(site).collect();
            return format!("{}\n", json!({ "heard": sites }));
        }
        let forbidden = self.0.iter().filter(|site| site.forbidden);
        let each: Vec<String> = forbidden
            .map(|site| format!("{} {} B", site.name, site.bytes))
            .collect();
        format!("\nthe sites that nobody may reach heard by hand: {}\n", each.join(", "))
    }
}
