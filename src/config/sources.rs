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
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Most prefixes of IP groups in rules, sources and destinations: about 250 MB of memory until they are part of a policy. Those that
/// other rules share take time alone ([`SHARED`]): 1,600 rules may each name two groups as large as Azure's largest (5,000 addresses).
const MOST_PREFIXES: usize = 4_000_000;

/// How many prefixes that a rule shares with others count as one.
const SHARED: usize = 4;

/// The IP groups of the file, and how many prefixes the rules have taken from them.
pub(super) struct IpGroups {
    groups: BTreeMap<Arc<str>, Vec<IpNet>>,
    /// The members of groups that rules name together.
    lists: HashMap<Vec<Arc<str>>, Arc<Vec<IpNet>>>,
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
        Self {
            groups,
            lists: HashMap::new(),
            prefixes: 0,
        }
    }

    /// `source_addresses` and `source_ip_groups` of a rule. A list that came out empty is nobody, only an absent one is any.
    pub(super) fn sources(&mut self, addresses: &Texts, groups: &Texts, report: &mut Report) -> Sources {
        if addresses.is_none() && groups.is_none() {
            return Sources::Any { written: false };
        }
        let errors = report.errors();
        let members = self.members(groups, report);
        let (mut own, mut any) = (Vec::new(), false);
        for text in addresses.iter().flat_map(|list| list.iter()) {
            match text.as_str() {
                "*" => any = true,
                group if self.groups.contains_key(group) => {
                    let finding = Finding::error(text.span, format!("`{group}` is an IP group, not an address"));
                    report.add(finding.hint("name it in `source_ip_groups`"));
                }
                _ => own.extend(read_nets(text, report)),
            }
        }
        if any {
            return Sources::Any { written: true };
        }
        let nets = self.joined(members, own);
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
    pub(super) fn members(&mut self, names: &Texts, report: &mut Report) -> Arc<Vec<IpNet>> {
        let named = self.named(names, report);
        let shared = self.lists.get(&named).cloned();
        let count: usize = named.iter().map(|name| self.groups[name].len()).sum();
        match shared {
            Some(list) if self.takes(count.div_ceil(SHARED)) => list,
            None if self.takes(count) => {
                let members = named.iter().flat_map(|name| &self.groups[name]);
                let list: Arc<Vec<IpNet>> = Arc::new(members.copied().collect());
                self.lists.insert(named, Arc::clone(&list));
                list
            }
            _ => Arc::default(),
        }
    }

    /// Members of groups with a rule's own addresses: a list that nobody shares, if it has both.
    pub(super) fn joined(&mut self, members: Arc<Vec<IpNet>>, own: Vec<IpNet>) -> Arc<Vec<IpNet>> {
        match (members.is_empty(), own.is_empty()) {
            (_, true) => members,
            (true, false) => Arc::new(own),
            (false, false) if self.takes(members.len()) => Arc::new([members.as_slice(), &own].concat()),
            (false, false) => Arc::default(),
        }
    }

    /// Counts prefixes. `false`: there are too many.
    fn takes(&mut self, count: usize) -> bool {
        self.prefixes = self.prefixes.saturating_add(count);
        self.prefixes <= MOST_PREFIXES
    }

    fn named(&self, names: &Texts, report: &mut Report) -> Vec<Arc<str>> {
        let mut named = Vec::new();
        for name in names.iter().flat_map(|list| list.iter()) {
            match self.groups.get_key_value(name.as_str()) {
                Some((name, _)) => named.push(Arc::clone(name)),
                None => {
                    let finding = Finding::error(name.span, format!("no IP group `{}`", name.value));
                    report.add(match nearest(name, self.groups.keys().map(|known| &**known)) {
                        Some(near) => finding.expected(format!("`{near}`")),
                        None => finding.hint("define it under `[ip_groups]`"),
                    });
                }
            }
        }
        named
    }

    /// The groups themselves, once all rules are read.
    pub(super) fn finish(self, report: &mut Report) -> BTreeMap<Arc<str>, Vec<IpNet>> {
        if self.prefixes > MOST_PREFIXES {
            let found = format!("the rules hold {} prefixes of IP groups", self.prefixes);
            let finding = Finding::error(Span::default(), found).expected(format!("at most {MOST_PREFIXES}"));
            let hint = format!(
                "an IP group counts for each rule that names it: a {SHARED}th where another names the same and no addresses beside"
            );
            report.add(finding.hint(hint));
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

    fn texts(words: &[&str]) -> Texts {
        let at = |word: &&str| At {
            value: (*word).to_owned(),
            span: Span::default(),
        };
        Some(At {
            value: words.iter().map(at).collect(),
            span: Span::default(),
        })
    }

    fn one_group(members: usize) -> IpGroups {
        let group: Vec<IpNet> = vec!["10.0.0.1/32".parse().unwrap(); members];
        IpGroups {
            groups: BTreeMap::from([("g".into(), group)]),
            lists: HashMap::new(),
            prefixes: 0,
        }
    }

    #[test]
    fn rules_that_name_the_same_groups_share_their_members() {
        let mut groups = one_group(100);
        let mut report = Report::default();
        let first = groups.members(&texts(&["g"]), &mut report);
        for _ in 0..3 {
            assert!(Arc::ptr_eq(&first, &groups.members(&texts(&["g"]), &mut report)));
        }
        assert_eq!(groups.prefixes, 100 + 3 * 100 / SHARED);
        let Sources::Nets(nets) = groups.sources(&texts(&["10.0.0.2"]), &texts(&["g"]), &mut report) else {
            panic!("any source");
        };
        assert_eq!((first.len(), nets.len()), (100, 101));
    }

    #[test]
    fn members_are_counted_before_they_are_copied_for_sources_and_destinations_alike() {
        let mut groups = one_group(MOST_PREFIXES / 4);
        let mut report = Report::default();
        // Each of a list of its own: its addresses stand beside the group.
        let own = texts(&["10.0.0.2"]);
        let mut taken = || match groups.sources(&own, &texts(&["g"]), &mut report) {
            Sources::Nets(nets) => nets.len(),
            Sources::Any { .. } => panic!("any source"),
        };
        let one = MOST_PREFIXES / 4;
        assert_eq!([taken(), taken(), taken()], [one + 1, one + 1, 0]);
        assert!(groups.members(&texts(&["g"]), &mut report).is_empty());
        groups.finish(&mut report);
        assert_eq!(report.errors(), 1);
    }
}
