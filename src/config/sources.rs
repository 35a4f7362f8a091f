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

/// Most source prefixes, IP groups counted once for each rule that names them: about 180 MB of memory.
const MOST_SOURCE_PREFIXES: usize = 10_000_000;

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
        self.prefixes += nets.len();
        if self.prefixes > MOST_SOURCE_PREFIXES {
            nets.clear();
        }
        Sources::Nets(nets)
    }

    /// The members of the groups that a rule names.
    pub(super) fn members(&self, names: &Texts, report: &mut Report) -> Vec<IpNet> {
        let mut nets = Vec::new();
        for name in names.iter().flat_map(|list| list.iter()) {
            match self.groups.get(name.as_str()) {
                Some(members) => nets.extend(members),
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
        if self.prefixes > MOST_SOURCE_PREFIXES {
            let found = format!("the rules hold {} source prefixes", self.prefixes);
            let finding = Finding::error(Span::default(), found).expected(format!("at most {MOST_SOURCE_PREFIXES}"));
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
