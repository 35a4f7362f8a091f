//! What makes a [`Scenario`] of a file: all problems at once, each with its place.

mod attempt;
mod views;
mod written;

use super::{EgretConfig, Scenario};
use crate::{
    config::{
        self, Problem,
        at::{At, Span},
        nearest::nearest,
        problem::{Finding, Report},
    },
    lab::site::SiteSpec,
};
use attempt::Known;
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};
use written::{FileScenario, FileSite};

impl Scenario {
    /// Reads a scenario from its text; `file` is its name in problems, and `config_file` is looked for beside it.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Problem>> {
        let mut check = Check {
            file: file.into(),
            text,
            report: Report::default(),
            inside: Vec::new(),
        };
        let scenario =
            config::parse::<FileScenario>(text, "`egret lab --print core` shows what one says", &mut check.report)
                .and_then(|written| check.scenario(written));
        match scenario {
            Some(scenario) if !check.report.failed() && check.inside.is_empty() => Ok(scenario),
            _ => {
                let mut problems = check.report.problems(&check.file, Some(text));
                problems.append(&mut check.inside);
                Err(problems)
            }
        }
    }

    /// Reads a scenario file.
    pub fn load(path: &Path) -> Result<Self, Vec<Problem>> {
        let file = path.display().to_string();
        let unreadable =
            |e: &dyn std::fmt::Display| vec![Problem::unplaced(file.clone(), format!("cannot be read: {e}"), "")];
        let text = String::from_utf8(config::read(path)?).map_err(|e| unreadable(&e))?;
        Self::parse(&file, &text)
    }
}

/// Gathers problems while the parts are read.
struct Check<'a> {
    file: Arc<str>,
    text: &'a str,
    report: Report,
    /// Problems of the configuration inside.
    inside: Vec<Problem>,
}

/// What does not load of the configuration, whichever addresses the DNS servers get.
fn inside<'a>(config: &EgretConfig, views: impl Iterator<Item = &'a String>) -> Vec<Problem> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    let servers = views.map(|view| (view.clone(), anywhere)).collect();
    match config::from_text(&config.file, &config.with_views(&servers)) {
        Ok(_) => Vec::new(),
        Err(problems) => config.placed(problems),
    }
}

impl Check<'_> {
    fn say(&mut self, at: Span, found: impl Into<String>) {
        self.report.add(Finding::error(at, found));
    }

    fn unknown<'n>(&mut self, at: &At<String>, what: &str, known: impl Iterator<Item = &'n str>) {
        let finding = Finding::error(at.span, format!("no {what} is called `{}`", at.value));
        self.report.add(match nearest(at, known) {
            Some(near) => finding.expected(format!("`{near}`")),
            None => finding,
        });
    }

    /// `None` only after a problem was reported.
    fn scenario(&mut self, written: FileScenario) -> Option<Scenario> {
        let config = self.config(written.config, written.config_file);
        if let Some(config) = &config {
            self.inside = inside(config, written.dns.keys());
        }
        let clients = self.clients(written.clients);
        let sites = self.sites(written.site);
        let views = self.views(written.dns, &sites);
        let known = Known {
            clients: &clients,
            sites: &sites,
        };
        let attempts = written
            .attempt
            .into_iter()
            .filter_map(|a| self.attempt(a, &known))
            .collect();
        let stem = Path::new(&*self.file).file_stem().unwrap_or_default();
        Some(Scenario {
            name: stem.to_string_lossy().into_owned(),
            title: written.title,
            config: config?,
            attempts,
            clients,
            stand_for: BTreeMap::new(),
            views,
            sites,
        })
    }

    fn config(&mut self, inline: Option<At<String>>, file: Option<At<String>>) -> Option<EgretConfig> {
        match (inline, file) {
            (Some(text), None) => {
                let start = text.span.start as usize;
                let above = self.text[..start].matches('\n').count();
                // TOML drops the newline behind the opening quotes: the text begins on the next line.
                let next_line = self.text[start..]
                    .trim_start_matches(['\'', '"'])
                    .starts_with(['\n', '\r']);
                let lines_above = u32::try_from(above).unwrap_or(0) + u32::from(next_line);
                Some(EgretConfig {
                    file: self.file.clone(),
                    lines_above,
                    text: text.value,
                })
            }
            (None, Some(path)) => self.config_file(&path),
            _ => {
                self.say(Span::default(), "a scenario has either `config` or `config_file`");
                None
            }
        }
    }

    /// A path is meant from where the scenario is.
    fn config_file(&mut self, path: &At<String>) -> Option<EgretConfig> {
        let beside = Path::new(&*self.file)
            .parent()
            .unwrap_or(Path::new(""))
            .join(&path.value);
        let text = config::read(&beside)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        if text.is_none() {
            self.say(path.span, format!("{} cannot be read as text", beside.display()));
        }
        Some(EgretConfig {
            file: beside.display().to_string().into(),
            lines_above: 0,
            text: text?,
        })
    }

    fn clients(&mut self, written: BTreeMap<String, At<String>>) -> BTreeMap<String, IpAddr> {
        let mut clients = BTreeMap::new();
        for (name, address) in written {
            match address.parse::<Ipv4Addr>() {
                Ok(ip) if ip.is_loopback() => {
                    clients.insert(name, IpAddr::V4(ip));
                }
                _ => self.say(
                    address.span,
                    format!("`{}`: a client has an address of 127.0.0.0/8", address.value),
                ),
            }
        }
        clients
    }

    fn sites(&mut self, written: Vec<FileSite>) -> Vec<SiteSpec> {
        let mut sites: Vec<SiteSpec> = Vec::new();
        for site in written {
            if sites.iter().any(|s| s.name == site.name.value) {
                self.say(site.name.span, format!("`{}` is there twice", site.name.value));
            }
            sites.push(SiteSpec {
                addresses: site.addresses.iter().filter_map(|a| self.address(a)).collect(),
                name: site.name.value,
                hosts: site.hosts.iter().map(|h| h.to_ascii_lowercase()).collect(),
                ports: site.ports,
                serves: site.serves,
                forbidden: site.forbidden,
            });
        }
        sites
    }

    fn address(&mut self, written: &At<String>) -> Option<IpAddr> {
        let parsed = written.parse().ok();
        if parsed.is_none() {
            self.say(written.span, format!("`{}` is not an address", written.value));
        }
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Attempt, CORE};
    use super::*;

    #[test]
    fn the_core_scenario_is_in_order() {
        let scenario = Scenario::parse("core.toml", CORE).unwrap_or_else(|p| panic!("{}", p[0]));
        assert!(scenario.attempts.len() >= 16);
        let denials = scenario.attempts.iter().filter(|a| a.expect.refused());
        assert!(denials.clone().count() >= 12 && denials.into_iter().all(Attempt::needs_control));
        assert!(
            scenario
                .attempts
                .iter()
                .all(|a| !a.expect.refused() || !a.why.is_empty()),
            "each denial says why"
        );
        let line = CORE.lines().nth(scenario.config.lines_above as usize).unwrap();
        assert_eq!(
            Some(line),
            scenario.config.text.lines().next(),
            "problems in the config get the file's lines"
        );
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let text = r#"
title = "broken"
config = "x"
[clients]
a = "10.0.0.1"
b = "127.0.1.1"
[dns]
public = ["x.example A 203.0.113.9", "nonsense", "* AS publik"]
[[site]]
name = "one"
addresses = ["203.0.113.1"]
sevres = "page"
[[attempt]]
name = "n"
client = "c"
connect = "x.example"
expect = { decision = "Deny", reason = "NoRuleMatch" }
[[attempt.request]]
target = "/"
reaches = "onne"
[[attempt]]
name = "alone"
client = "b"
connect = "x.example:443"
unset_proxy = true
forbidden = ["one"]
expect = { decision = "Deny", reason = "NoRuleMatched" }
[[attempt.request]]
target = "/"
"#;
        let problems = Scenario::parse("broken.toml", text).unwrap_err();
        let told: Vec<(u32, &str)> = problems.iter().map(|p| (p.line, p.found.as_str())).collect();
        for (line, part) in [
            (5, "127.0.0.0/8"),
            (8, "no site stands at 203.0.113.9"),
            (8, "not a record"),
            (8, "no other DNS server is called `publik`"),
            (12, "sevres"),
            (14, "mark one `forbidden`"),
            (15, "no client is called `c`"),
            (16, "host:port"),
            (17, "no reason is called"),
            (20, "no site is called `onne`"),
            (27, "egret never hears of an attempt with `unset_proxy`"),
        ] {
            assert!(
                told.iter().any(|(l, found)| *l == line && found.contains(part)),
                "{line} {part}: {told:?}"
            );
        }
    }
}
