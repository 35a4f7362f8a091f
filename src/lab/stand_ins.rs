//! Addresses that stand for the lab's where a proxy that is not ours must dial them itself.
//!
//! In: every scenario that is played. Out: one address of this machine for each of their sites', on loopback unless the proxy is
//! elsewhere, where each client has one, too, and what DNS and attempts say with these in place. Worlds that are built one after
//! the other share them, since the proxy between may remember what a name resolved to.

use super::scenario::{Attempt, Scenario, ZoneData, ZoneRecord, split_url};
use ipnet::Ipv4Net;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

/// Where the addresses lie unless somebody says otherwise: no other machine reaches them.
pub const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 88, 0, 0), 16);

/// Addresses of this machine by those that they stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StandIns {
    by_address: BTreeMap<IpAddr, IpAddr>,
}

impl StandIns {
    /// In the order of the addresses that they stand for: 127.88.0.1, 127.88.0.2, ... of [`LOOPBACK`]. Elsewhere clients come
    /// first: another machine answers them there, and has rights for each.
    ///
    /// # Errors
    /// The prefix holds fewer addresses than are needed; says how many that are.
    pub fn of<'a>(scenarios: impl IntoIterator<Item = &'a Scenario>, prefix: Ipv4Net) -> Result<Self, usize> {
        let (mut clients, mut sites) = (BTreeSet::new(), BTreeSet::new());
        for scenario in scenarios {
            if !prefix.network().is_loopback() {
                clients.extend(scenario.clients.values().copied());
            }
            sites.extend(scenario.sites.iter().flat_map(|site| &site.addresses).copied());
        }
        let all: Vec<IpAddr> = clients.iter().chain(sites.difference(&clients)).copied().collect();
        let needed = all.len();
        let by_address: BTreeMap<_, _> = all.into_iter().zip(prefix.hosts().map(IpAddr::V4)).collect();
        if by_address.len() < needed {
            return Err(needed);
        }
        Ok(Self { by_address })
    }

    /// The one that stands for this address.
    pub fn get(&self, address: IpAddr) -> Option<IpAddr> {
        self.by_address.get(&address).copied()
    }

    /// What one DNS server for everybody says: each name as the first server says it that has words of its own for it,
    /// inner ones before the public one.
    pub fn records(&self, views: &BTreeMap<String, Vec<ZoneRecord>>) -> Vec<ZoneRecord> {
        let public = views.get("public").map_or(&[][..], Vec::as_slice);
        let inner = views.iter().filter(|(view, _)| *view != "public");
        let own = inner.map(|(_, records)| records.iter().filter(|r| !public.contains(r)).collect());
        let mut said: Vec<ZoneRecord> = Vec::new();
        for view in own.chain([public.iter().collect()]).collect::<Vec<Vec<_>>>() {
            let known: BTreeSet<_> = said.iter().map(|record| record.name.clone()).collect();
            said.extend(view.into_iter().filter(|record| !known.contains(&record.name)).cloned());
        }
        for record in &mut said {
            if let Some(IpAddr::V4(ip)) = record.address().and_then(|ip| self.get(ip)) {
                record.data = ZoneData::A(ip);
            }
        }
        said
    }

    /// An attempt with stand-ins for the literal addresses in what it asks, so that nothing leaves the machine.
    pub fn attempt(&self, attempt: &Attempt) -> Attempt {
        let mut attempt = attempt.clone();
        attempt.source = self.get(attempt.source).unwrap_or(attempt.source);
        if let Some(target) = &mut attempt.connect
            && let Some(stand_in) = self.authority(target)
        {
            *target = stand_in;
        }
        for request in attempt.requests.iter_mut().filter(|r| !r.target.starts_with('/')) {
            let (authority, path) = split_url(&request.target);
            if let Some(stand_in) = self.authority(authority) {
                request.target = format!("http://{stand_in}{path}");
            }
        }
        attempt
    }

    /// `address[:port]` with the stand-in; `None` for a name.
    fn authority(&self, authority: &str) -> Option<String> {
        let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
        let stand_in = self.get(host.parse().ok()?)?;
        Some(match port {
            "" => stand_in.to_string(),
            port => format!("{stand_in}:{port}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::scenario::{SHIPPED, Shipped};

    #[test]
    fn a_name_is_said_as_the_server_says_it_that_knows_better_than_the_public_one() {
        let text = Shipped::named("misconfigured").unwrap().scenario();
        let scenario = text.unwrap_or_else(|problems| panic!("{}", problems[0]));
        let stand_ins = StandIns::of([&scenario], LOOPBACK).unwrap();
        let records = stand_ins.records(&scenario.views);
        let at = |name: &str| {
            let of = records.iter().filter(|record| record.name.as_str() == name);
            of.map(|record| record.address()).collect::<Vec<_>>()
        };
        let stands_for = |ip: &str| vec![stand_ins.get(ip.parse().unwrap())];
        for (name, ip, why) in [
            ("mirror.example", "203.0.113.33", "only the public server has it"),
            (
                "contosomisdata.privatelink.blob.core.windows.net",
                "10.1.6.7",
                "the private zone has it",
            ),
            (
                "contoso-mis-kv.vault.azure.net",
                "203.0.113.4",
                "another inner server has it",
            ),
        ] {
            assert_eq!(at(name), stands_for(ip), "{why}");
        }
        assert_eq!(
            at("contoso-mis-index.privatelink.search.windows.net"),
            [None],
            "a denial, once"
        );
    }

    #[test]
    fn shipped_scenarios_together_say_one_thing_of_a_name() {
        let scenarios: Vec<_> = SHIPPED.iter().filter_map(|shipped| shipped.scenario().ok()).collect();
        assert_eq!(scenarios.len(), SHIPPED.len());
        let stand_ins = StandIns::of(&scenarios, LOOPBACK).unwrap();
        let mut said = BTreeMap::new();
        for scenario in &scenarios {
            for record in stand_ins.records(&scenario.views) {
                let (name, data) = (record.name.clone(), record.data.clone());
                let before = said.entry(name).or_insert_with(|| data.clone());
                assert_eq!(*before, data, "{}: a proxy may remember {}", scenario.name, record.name);
            }
        }
    }

    #[test]
    fn literal_addresses_are_replaced_and_names_are_not() {
        let scenario = SHIPPED[0]
            .scenario()
            .unwrap_or_else(|problems| panic!("{}", problems[0]));
        let stand_ins = StandIns::of([&scenario], LOOPBACK).unwrap();
        let played = |name: &str| {
            let attempt = scenario.attempts.iter().find(|attempt| attempt.name == name);
            stand_ins.attempt(attempt.unwrap_or_else(|| panic!("{name}")))
        };
        let metadata = stand_ins.get("169.254.169.254".parse().unwrap()).unwrap();
        let asked = &played("instance metadata by its address").requests[0].target;
        assert!(asked.starts_with(&format!("http://{metadata}/metadata/")), "{asked}");
        let raw = stand_ins.get("203.0.113.66".parse().unwrap()).unwrap();
        assert_eq!(played("a raw address").connect, Some(format!("{raw}:443")));
        assert_eq!(played("no SNI").connect.as_deref(), Some("docs.contoso.example:443"));
    }

    #[test]
    fn another_machines_proxy_is_given_addresses_that_it_reaches_and_clients_that_it_can_answer() {
        let scenario = SHIPPED[0]
            .scenario()
            .unwrap_or_else(|problems| panic!("{}", problems[0]));
        let prefix = "10.0.2.32/27".parse().unwrap();
        let stand_ins = StandIns::of([&scenario], prefix).unwrap();
        let addresses: BTreeSet<_> = stand_ins.by_address.values().collect();
        assert_eq!(addresses.len(), stand_ins.by_address.len(), "each has its own");
        assert!(
            addresses
                .iter()
                .all(|ip| matches!(ip, IpAddr::V4(ip) if prefix.contains(ip)))
        );
        assert!(addresses.first().is_some_and(|ip| ip.to_string() == "10.0.2.33"));
        let of = |client: &str| stand_ins.get(scenario.clients[client]).unwrap();
        assert_eq!(stand_ins.attempt(&scenario.attempts[0]).source, of("workload"));
        assert_ne!(of("workload"), of("build"), "rules tell clients by their sources");
        let loopback = StandIns::of([&scenario], LOOPBACK).unwrap();
        assert!(loopback.attempt(&scenario.attempts[0]).source.is_loopback());
        let few = "10.0.2.0/30".parse().unwrap();
        assert_eq!(StandIns::of([&scenario], few), Err(addresses.len()));
    }
}
