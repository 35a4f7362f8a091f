//! The DNS servers of a scenario: lines of their own, and those that one takes over from another.

use super::Check;
use crate::{
    config::at::{At, Span},
    lab::{scenario::ZoneRecord, site::SiteSpec},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

impl Check<'_> {
    pub(super) fn views(
        &mut self,
        written: BTreeMap<String, Vec<At<String>>>,
        sites: &[SiteSpec],
    ) -> BTreeMap<String, Vec<ZoneRecord>> {
        if !written.contains_key("public") {
            self.say(
                Span::default(),
                "[dns] has no `public` server: what would a machine without a firewall ask?",
            );
        }
        let mut own: BTreeMap<String, Vec<ZoneRecord>> = BTreeMap::new();
        let mut like = Vec::new();
        for (view, lines) in written {
            let (others, lines): (Vec<_>, Vec<_>) = lines.into_iter().partition(|line| other_view(line).is_some());
            like.extend(others.into_iter().map(|line| (view.clone(), line)));
            let records = lines.iter().filter_map(|line| self.record(line, sites)).collect();
            own.insert(view, records);
        }
        let mut views = own.clone();
        for (view, line) in like {
            let other = other_view(&line).unwrap_or_default();
            let Some(theirs) = own.get(other).filter(|_| other != view) else {
                let known: Vec<&str> = own.keys().map(String::as_str).filter(|name| *name != view).collect();
                let name = At {
                    span: line.span,
                    value: other.to_owned(),
                };
                self.unknown(&name, "other DNS server", known.into_iter());
                continue;
            };
            let ours = views.entry(view).or_default();
            let said: BTreeSet<_> = ours.iter().map(|record| record.name.clone()).collect();
            ours.extend(theirs.iter().filter(|record| !said.contains(&record.name)).cloned());
        }
        views
    }

    fn record(&mut self, line: &At<String>, sites: &[SiteSpec]) -> Option<ZoneRecord> {
        match ZoneRecord::parse(line) {
            Ok(record) => {
                let nobody = |ip: &IpAddr| !sites.iter().any(|s| s.addresses.contains(ip));
                if let Some(ip) = record.address().filter(nobody) {
                    self.say(line.span, format!("no site stands at {ip}"));
                }
                Some(record)
            }
            Err(found) => {
                self.say(line.span, found);
                None
            }
        }
    }
}

/// The server whose lines a line takes over: `* AS public`.
fn other_view(line: &str) -> Option<&str> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["*", "AS", view] => Some(view),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::lab::scenario::Shipped;

    #[test]
    fn a_server_that_takes_over_lines_keeps_its_own() {
        let read = Shipped::named("misconfigured").unwrap().scenario();
        let scenario = read.unwrap_or_else(|problems| panic!("{}", problems[0]));
        let said = |view: &str, name: &str| {
            let records = scenario.views[view]
                .iter()
                .filter(|record| record.name.as_str() == name);
            records.map(|record| record.address()).collect::<Vec<_>>()
        };
        let (blob, mirror) = ("contosomisdata.privatelink.blob.core.windows.net", "mirror.example");
        let ip = |ip: &str| vec![Some(ip.parse().unwrap())];
        assert_eq!(said("public", blob), ip("203.0.113.4"));
        assert_eq!(said("private", blob), ip("10.1.6.7"), "its own line alone");
        assert_eq!(
            said("private", mirror),
            said("public", mirror),
            "the others as the public server says them"
        );
        assert_eq!(
            scenario.views["unlinked"], scenario.views["public"],
            "nothing of its own"
        );
    }
}
