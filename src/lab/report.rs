//! What a play of a scenario looks like: the table, JSON lines, a line for each later row.

use super::{
    course::{Course, Finding, Way},
    row::Row,
};
use crate::policy::Action;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::json;
use std::fmt::Write;

/// Columns of a table that is not shown on a terminal.
const WIDTH: u16 = 160;

/// Columns of the widest table, however wide the terminal is.
const WIDEST: u16 = 180;

/// Columns of the narrowest table: below it words break.
const NARROWEST: u16 = 100;

/// The table, what went otherwise than expected, and a summary.
pub fn text(course: &Course, way: Way, findings: &[Finding]) -> String {
    let mut text = format!("\n{}: {}\n\n", course.scenario().title, through(way));
    let _ = writeln!(
        text,
        "{}",
        if way == Way::Egret {
            egret_table(findings).trim_fmt()
        } else {
            other_table(findings).trim_fmt()
        }
    );
    let faulty: Vec<_> = findings.iter().filter(|finding| !finding.faults.is_empty()).collect();
    for finding in &faulty {
        let _ = writeln!(text, "\n{} tries: {}", finding.attempt.client, finding.attempt.name);
        for fault in &finding.faults {
            let _ = writeln!(text, "  {fault}");
        }
        if !finding.attempt.why.is_empty() && way != Way::Egret {
            let _ = writeln!(text, "  why it matters: {}", finding.attempt.why);
        }
    }
    let controls: usize = findings.iter().map(|finding| finding.controls.len()).sum();
    let _ = match way {
        Way::Egret => writeln!(
            text,
            "\n{} attempts, {} as expected; {controls} controls of denials, each of which must reach a forbidden site.",
            findings.len(),
            findings.len() - faulty.len()
        ),
        _ => writeln!(
            text,
            "\n{} attempts, {} as a firewall should treat them, {} not.",
            findings.len(),
            findings.len() - faulty.len(),
            faulty.len()
        ),
    };
    text
}

fn through(way: Way) -> String {
    match way {
        Way::Egret => "through egret".to_owned(),
        Way::Proxy(proxy) => format!("through the proxy at {proxy}; 127.88.0.0/16 stands for the lab's addresses"),
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
    let mut table = table(&[
        "",
        "who",
        "tries",
        "decision",
        "rule",
        "reason",
        "DNS path [zone]",
        "ms",
        "control",
    ]);
    for finding in findings {
        let row = finding.row.as_ref();
        let cell = |text: Option<String>| text.unwrap_or_default();
        table.add_row([
            mark(finding).to_owned(),
            finding.attempt.client.clone(),
            finding.attempt.name.clone(),
            row.map_or("no row", decision).to_owned(),
            cell(
                row.and_then(|row| row.rule.as_deref())
                    .map(|rule| rule.split_once('/').map_or(rule, |(_, rest)| rest).to_owned()),
            ),
            cell(
                row.filter(|row| row.action == Action::Deny)
                    .map(|row| row.reason.clone()),
            ),
            cell(row.map(Row::path)),
            format!("{:.1}", finding.played.took.as_secs_f64() * 1000.0),
            controls(finding),
        ]);
    }
    table
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
                format!("denied, {}", expect.reason)
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

fn decision(row: &Row) -> &'static str {
    match (row.action, row.audit) {
        (Action::Allow, _) => "Allow",
        (Action::Deny, false) => "Deny",
        (Action::Deny, true) => "Deny (audit: let through)",
    }
}

fn controls(finding: &Finding) -> String {
    let shown = finding.controls.iter().map(|control| match control.bytes {
        0 => format!("{}: NOTHING", control.by),
        bytes => format!("{} {bytes} B", control.by),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// One JSON line for each attempt.
pub fn json(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let controls = finding
            .controls
            .iter()
            .map(|c| json!({ "by": c.by, "bytes_at_forbidden": c.bytes }));
        json!({
            "client": finding.attempt.client,
            "attempt": finding.attempt.name,
            "ok": finding.faults.is_empty(),
            "faults": finding.faults,
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
        decision(row),
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
