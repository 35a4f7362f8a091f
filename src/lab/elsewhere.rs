//! A scenario at another firewall that has its rules, exported: which attempts may end otherwise there, and the configuration to
//! export. Pure.

use super::{
    scenario::{Attempt, Request, Scenario, Speaks, split_url},
    stand_ins::StandIns,
};
use crate::nets;
use crate::policy::{Protocol, Reason};
use ipnet::IpNet;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};
use toml::{Table, Value};

/// Why an attempt ends otherwise at a firewall that has the same rules and is Azure's; `None` if it does not. `allows` is what the
/// rules say of a name for the attempt's client, by protocol and port: a name that Azure goes by and the rules deny is denied there,
/// too.
pub fn why(attempt: &Attempt, allows: impl Fn(&str, Protocol, u16) -> bool) -> Option<&'static str> {
    let expect = &attempt.expect;
    if expect.audit {
        return Some("audit mode is egret's alone: Azure carries the denial out");
    }
    let port = |target: &str, usual| split_port(target).1.parse().unwrap_or(usual);
    let connect = attempt.connect.as_deref();
    if let (Speaks::Tls { sni: Some(sni), .. }, Some(target)) = (&attempt.speaks, connect)
        && *sni != split_port(target).0
        && allows(sni, Protocol::Https, port(target, 443)) == expect.refused()
    {
        return Some("Azure goes by the SNI alone, egret also by the CONNECT host");
    }
    if let Some(request) = attempt.requests.iter().find(|request| other_host(attempt, request))
        && let Some(host) = &request.host
    {
        let asked = connect.unwrap_or_else(|| split_url(&request.target).0);
        let differs = allows(split_port(host).0, Protocol::Http, port(asked, 80)) == expect.refused();
        return differs.then_some("Azure goes by Host, egret by what the connection or the URL names");
    }
    match expect.reason? {
        Reason::AddressDenied => Some("egret alone vets the addresses that names lead to"),
        Reason::PublicResolution => Some("egret alone demands private endpoints"),
        Reason::DnsNxdomain | Reason::DnsServfail | Reason::DnsTimeout => {
            Some("one DNS server answers for all of the scenario's there")
        }
        _ => None,
    }
}

fn split_port(target: &str) -> (&str, &str) {
    target.rsplit_once(':').unwrap_or((target, ""))
}

fn other_host(attempt: &Attempt, request: &Request) -> bool {
    let Some(host) = &request.host else { return false };
    let asked = attempt
        .connect
        .as_deref()
        .unwrap_or_else(|| split_url(&request.target).0);
    split_port(host).0 != split_port(asked).0
}

/// The scenario's configuration as the firewall at `proxy` needs its rules: its clients and sites at the addresses that stand for
/// them, one DNS server, the proxy's port. `None` if its text is no TOML, of which loading it tells.
pub fn config(scenario: &Scenario, stand_ins: &StandIns, dns: SocketAddr, proxy: SocketAddr) -> Option<String> {
    let servers: BTreeMap<String, SocketAddr> = scenario.views.keys().map(|view| (view.clone(), dns)).collect();
    let mut table: Table = scenario.config.with_views(&servers).parse().ok()?;
    let clients: Vec<IpAddr> = scenario.clients.values().copied().collect();
    table
        .iter_mut()
        .for_each(|(_, value)| replace(value, &clients, stand_ins));
    let one =
        |key: &str, value: String| Value::Table(Table::from_iter([(key.to_owned(), Value::Array(vec![value.into()]))]));
    table.insert("dns".to_owned(), one("forwarders", dns.to_string()));
    table.insert("listeners".to_owned(), one("proxy", proxy.to_string()));
    Some(table.to_string())
}

/// Addresses of the lab become those that stand for them.
fn replace(value: &mut Value, clients: &[IpAddr], stand_ins: &StandIns) {
    match value {
        Value::String(text) => {
            if let Some(stand_in) = address(text).and_then(|ip| stand_ins.get(ip)) {
                *text = stand_in.to_string();
            }
        }
        Value::Array(items) => {
            let replaced = std::mem::take(items).into_iter();
            *items = replaced.flat_map(|item| instead(item, clients, stand_ins)).collect();
        }
        Value::Table(table) => table
            .iter_mut()
            .for_each(|(_, value)| replace(value, clients, stand_ins)),
        _ => {}
    }
}

/// What an item of a list becomes. Addresses, prefixes and ranges of this machine become those of the clients in them: there
/// they say nothing.
fn instead(mut item: Value, clients: &[IpAddr], stand_ins: &StandIns) -> Vec<Value> {
    let Some(own) = item.as_str().and_then(of_this_machine) else {
        replace(&mut item, clients, stand_ins);
        return vec![item];
    };
    let inside = clients
        .iter()
        .filter(|client| own.iter().any(|net| net.contains(*client)));
    inside
        .map(|client| stand_ins.get(*client).unwrap_or(*client).to_string().into())
        .collect()
}

/// The prefixes of a text that holds loopback addresses alone.
fn of_this_machine(text: &str) -> Option<Vec<IpNet>> {
    let nets = nets::nets(text).ok()?.nets;
    let own = |net: &IpNet| net.network().is_loopback() && net.broadcast().is_loopback();
    nets.iter().all(own).then_some(nets)
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config, lab::scenario::SHIPPED};

    fn core() -> Scenario {
        SHIPPED[0]
            .scenario()
            .unwrap_or_else(|problems| panic!("{}", problems[0]))
    }

    #[test]
    fn what_egret_asks_beyond_the_rules_may_end_otherwise_and_the_rules_may_not() {
        let scenario = core();
        let allows = |name: &str, _, _| name == "docs.contoso.example";
        let otherwise: Vec<&str> = scenario
            .attempts
            .iter()
            .filter(|attempt| why(attempt, allows).is_some())
            .map(|attempt| &*attempt.name)
            .collect();
        assert_eq!(
            otherwise,
            [
                "a collection in audit mode: let through, recorded as denied",
                "Host differs from the URL (it is replaced)",
                "private endpoint forgotten: the name resolves publicly",
                "the same, flattened: no privatelink link in the answer",
                "a partner's alias into our private zone",
                "listed name that resolves to loopback (rebinding)",
                "instance metadata by a listed name",
                "a raw address",
            ]
        );
    }

    #[test]
    fn the_configuration_to_export_names_the_addresses_that_clients_come_from() {
        let scenario = core();
        let stand_ins = StandIns::of([&scenario], "10.0.2.32/27".parse().unwrap()).unwrap();
        let (dns, proxy) = ("10.0.2.4:53".parse().unwrap(), "10.0.1.4:8080".parse().unwrap());
        let text = super::config(&scenario, &stand_ins, dns, proxy).unwrap();
        let checked = config::from_text("core.toml", &text).unwrap_or_else(|problems| panic!("{}", problems[0]));
        let of = |client: &str| stand_ins.get(scenario.clients[client]).unwrap();
        let groups = &checked.policy.ip_groups;
        assert_eq!(groups["workload"], [of("workload").into()], "without 127.0.0.1");
        assert_eq!(groups["build"], [of("build").into()]);
        assert_ne!(of("workload"), of("build"), "two rights, two addresses");
        assert_eq!(checked.settings.listeners.proxy, [proxy]);
        assert_eq!(checked.dns.zones[0].forwarders, [dns]);
    }

    #[test]
    fn a_prefix_or_a_range_of_clients_becomes_the_addresses_that_they_come_from() {
        let scenario = core();
        let stand_ins = StandIns::of([&scenario], "10.0.2.32/27".parse().unwrap()).unwrap();
        let clients: Vec<IpAddr> = scenario.clients.values().copied().collect();
        let of = |client: &str| stand_ins.get(scenario.clients[client]).unwrap().to_string();
        let (build, workload) = (of("build"), of("workload"));
        for (written, expected) in [
            ("127.0.1.0/24", vec![&*build, &*workload]),
            ("127.0.1.20/32", vec![&*build]),
            ("127.0.1.8-127.0.1.12", vec![&*workload]),
            ("127.0.0.1", vec![]),
            ("127.9.0.0/16", vec![]),
            ("10.1.0.0/16", vec!["10.1.0.0/16"]),
            ("0.0.0.0/0", vec!["0.0.0.0/0"]),
            ("8000-8100", vec!["8000-8100"]),
            ("*", vec!["*"]),
        ] {
            let mut list = Value::Array(vec![written.into()]);
            replace(&mut list, &clients, &stand_ins);
            let list: Vec<_> = list
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item.as_str().unwrap())
                .collect();
            assert_eq!(list, expected, "{written}");
        }
    }
}
