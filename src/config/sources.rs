//! Lists of addresses: IP groups, the sources of rules, networks.

use super::{
    at::{At, Span},
    file::Texts,
    nearest::nearest,
    problem::{Finding, Report},
};
use crate::nets;
use crate::policy::Sources;
use ipnet::IpNet;
use std::{collections::BTreeMap, sync::Arc};

/// Most prefixes of rules, sources and destinations, IP groups counted once for each rule that names them: about 250 MB of memory
/// until they are part of a policy. 800 rules may each name a group as large as Azure's largest (5,000 addresses).
const MOST_PREFIXES: usize = 4_000_000;

/// The IP groups of the file, and how many prefixes the rules have taken from them.
pub(super) struct IpGroups {
    groups: BTreeMap<Arc<str>, Vec<IpNet>>,
    prefixes: usize,
}

impl IpGroups {
    pub(super) fn new(written: &BTreeMap<String, At<Vec<At<String>>>>, report: &mut Report) -> Self {
        let mut groups = BTreeMap::new();
        for (name, members) in written {
            if report.says_nothing(members) {
                let found = format!("IP group `{name}` is empty: it matches nobody");
                report.add(
                    Finding::warning(members.span, found).hint("write its addresses; anyone is `0.0.0.0/0`, `::/0`"),
                );
            }
            let nets = members.iter().flat_map(|member| read_nets(member, report)).collect();
            groups.insert(name.as_str().into(), nets);
        }
        Self { groups, prefixes: 0 }
    }

    /// `source_addresses` and `source_ip_groups` of a rule. A list that came out empty is nobody, only an absent one is any.
    pub(super) fn sources(&mut self, addresses: &Texts, groups: &Texts, report: &mut Report) -> Sources {
        if addresses.is_none() && groups.is_none() {
            return Sources::Any { written: false };
        }
        let errors = report.errors();
        let mut nets = self.members(groups, report);
        let mut any = false;
        for text in addresses.iter().flat_map(|list| list.iter()) {
            match text.as_str() {
                "*" => any = true,
                group if self.groups.contains_key(group) => {
                    let finding = Finding::error(text.span, format!("`{group}` is an IP group, not an address"));
                    report.add(finding.hint("name it in `source_ip_groups`"));
                }
                _ => nets.extend(read_nets(text, report)),
            }
        }
        if any {
            return Sources::Any { written: true };
        }
        let lists = || addresses.iter().chain(groups);
        let as_written = lists().all(|list| !list.is_empty() || report.says_nothing(list));
        if nets.is_empty() && report.errors() == errors && as_written {
            let span = lists().next().map_or(Span::default(), |list| list.span);
            let finding = Finding::warning(span, "the rule's sources are empty: it matches nobody");
            report.add(finding.hint("anyone is `[\"*\"]`"));
        }
        Sources::Nets(nets)
    }

    /// The members of the groups that a rule names: none once there are too many, which [`Self::finish`] reports. They are counted
    /// before they are copied, since a small file may name a large group very often.
    pub(super) fn members(&mut self, names: &Texts, report: &mut Report) -> Vec<IpNet> {
        let mut nets = Vec::new();
        for name in names.iter().flat_map(|list| list.iter()) {
            match self.groups.get(name.as_str()) {
                Some(members) => {
                    self.prefixes = self.prefixes.saturating_add(members.len());
                    if self.prefixes <= MOST_PREFIXES {
                        nets.extend(members);
                    }
                }
                None => {
                    let finding = Finding::error(name.span, format!("no IP group `{}`", name.value));
                    report.add(match nearest(name, self.groups.keys().map(|known| &**known)) {
                        Some(near) => finding.expected(format!("`{near}`")),
                        None => finding.hint("define it under `[ip_groups]`"),
                    });
                }
            }
        }
        nets
    }

    /// The groups themselves, once all rules are read.
    pub(super) fn finish(self, report: &mut Report) -> BTreeMap<Arc<str>, Vec<IpNet>> {
        if self.prefixes > MOST_PREFIXES {
            let found = format!("the rules hold {} prefixes of IP groups", self.prefixes);
            let finding = Finding::error(Span::default(), found).expected(format!("at most {MOST_PREFIXES}"));
            report.add(finding.hint("an IP group counts once for each rule that names it"));
        }
        self.groups
    }
}

/// A list of prefixes; each bad one is reported.
pub(super) fn networks(written: &Texts, report: &mut Report) -> Vec<IpNet> {
    let texts = written.iter().flat_map(|list| list.iter());
    texts.flat_map(|text| read_nets(text, report)).collect()
}

/// One entry of a list of prefixes.
pub(super) fn read_nets(text: &At<String>, report: &mut Report) -> Vec<IpNet> {
    match nets::nets(text) {
        Ok(found) => {
            if found.host_bits {
                let finding = Finding::warning(text.span, format!("`{}` has bits set behind its prefix", text.value));
                report.add(finding.hint(format!("it is read as `{}`", found.nets[0])));
            }
            found.nets
        }
        Err(fault) => {
            let finding = Finding::error(text.span, format!("`{}`: {fault}", text.value));
            report.add(finding.expected("`10.1.2.3`, `10.1.0.0/16` or `10.1.0.1-10.1.0.9`"));
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_counted_before_they_are_copied_for_sources_and_destinations_alike() {
        let place = Span::default();
        let group: Vec<IpNet> = vec!["10.0.0.1/32".parse().unwrap(); MOST_PREFIXES / 4];
        let mut groups = IpGroups {
            groups: BTreeMap::from([("g".into(), group)]),
            prefixes: 0,
        };
        let names: Texts = Some(At {
            value: vec![At {
                value: "g".to_owned(),
                span: place,
            }],
            span: place,
        });
        let mut report = Report::default();
        let taken: Vec<usize> = (0..3)
            .flat_map(|_| match groups.sources(&None, &names, &mut report) {
                Sources::Nets(nets) => [nets.len(), groups.members(&names, &mut report).len()],
                Sources::Any { .. } => panic!("any source"),
            })
            .collect();
        let one = MOST_PREFIXES / 4;
        assert_eq!(taken, [one, one, one, one, 0, 0]);
        groups.finish(&mut report);
        assert_eq!(report.errors(), 1);
    }
}
