//! `[dns]` and `[private_endpoints]` -> where names are asked, and which private addresses are trusted.

use super::{
    at::{At, Span},
    build::{SECOND, set, set_time},
    file::{self, FileConfig, Texts},
    problem::{Finding, Report},
    settings::Settings,
    trusted::{self, networks},
};
use crate::{
    dns::{CacheLimits, DnsPlan, StaticData, StaticRecord, Timing, Zone},
    policy::{AddressPlan, Fqdn, PrivateEndpoints, PrivateLinkZones, vet::PrivateScope},
};
use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

/// Where the servers of this machine are written (resolv.conf(5)).
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// TTL of a static record that says none, in seconds: that of a private endpoint's own record is 10, of most others 300 or more.
const RECORD_TTL: u32 = 300;

/// Zones, records, times and bounds.
pub fn plan(file: &FileConfig, settings: &Settings, report: &mut Report) -> DnsPlan {
    let section = &file.dns;
    let mut plan = DnsPlan {
        zones: zones(section, settings, report),
        of_machine: section.forwarders.is_none(),
        records: records(&section.record, report),
        timing: timing(section, settings, report),
        cache: cache(&section.cache, report),
        ..DnsPlan::default()
    };
    set(&mut plan.cache.entries, &file.limits.dns_cache_entries);
    set(&mut plan.max_queries, &file.limits.dns_queries);
    warn_of_private_zones_forwarded_alone(section, &plan, report);
    plan
}

fn zones(section: &file::Dns, settings: &Settings, report: &mut Report) -> Vec<Zone> {
    let mut zones = vec![Zone::default_zone(default_forwarders(
        &section.forwarders,
        settings,
        report,
    ))];
    let mut seen: HashMap<Fqdn, Span> = HashMap::new();
    for zone in &section.zone {
        let Some(suffix) = zone.name.as_ref().and_then(|name| zone_name(name, report)) else {
            continue;
        };
        let span = zone.name.as_ref().map_or(Span::default(), |name| name.span);
        if seen.insert(suffix.clone(), span).is_some() {
            report.add(
                Finding::error(span, format!("zone `{suffix}` is there twice")).hint("put its servers in one list"),
            );
            continue;
        }
        let forwarders = forwarders(&zone.forwarders, settings, report);
        if let Some(list) = zone.forwarders.as_ref().filter(|list| report.says_nothing(list)) {
            let finding = Finding::error(list.span, format!("zone `{suffix}` has no forwarder"));
            report.add(finding.hint("another zone's servers are never asked instead"));
        }
        zones.push(Zone::new(suffix, forwarders));
    }
    zones
}

fn zone_name(name: &At<String>, report: &mut Report) -> Option<Fqdn> {
    if **name == "." {
        report.add(Finding::error(name.span, "`.` is no zone of its own").hint("write `forwarders` under `[dns]`"));
        return None;
    }
    if let Some(rest) = name.strip_prefix("*.") {
        let finding = Finding::error(name.span, "a zone has no star: it holds the names below it anyway");
        report.add(finding.expected(format!("`{rest}`")));
        return None;
    }
    fqdn(name, report)
}

fn default_forwarders(written: &Texts, settings: &Settings, report: &mut Report) -> Vec<SocketAddr> {
    if written.is_some() {
        return forwarders(written, settings, report);
    }
    // No file or no server in it: names outside the zones do not resolve, and the answer says which zone had no server.
    std::fs::read_to_string(RESOLV_CONF)
        .map(|text| nameservers(&text))
        .unwrap_or_default()
}

/// `nameserver` lines of resolv.conf(5), at most three as libc reads them. An address with a zone id is left out.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let servers = words.filter_map(|words| match words.as_slice() {
        ["nameserver", address, ..] => address.parse::<IpAddr>().ok(),
        _ => None,
    });
    servers.take(3).map(|address| SocketAddr::new(address, 53)).collect()
}

fn forwarders(written: &Texts, settings: &Settings, report: &mut Report) -> Vec<SocketAddr> {
    let texts = written.iter().flat_map(|list| list.iter());
    texts.filter_map(|text| forwarder(text, settings, report)).collect()
}

fn forwarder(text: &At<String>, settings: &Settings, report: &mut Report) -> Option<SocketAddr> {
    let bare = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    let Ok(address) = text.parse::<SocketAddr>().or_else(|_| bare()) else {
        let finding = Finding::error(text.span, format!("`{}` is no address", text.value));
        report.add(
            finding
                .expected("`10.0.0.4`, `10.0.0.4:53` or `[fd00::4]:53`")
                .hint(if text.contains("://") {
                    "a forwarder has no scheme: it is asked over UDP, and over TCP for long answers"
                } else {
                    "a forwarder has no name: nobody could resolve it"
                }),
        );
        return None;
    };
    let listeners = &settings.listeners;
    let own = listeners.proxy.iter().chain(&listeners.health).chain(&listeners.admin);
    let unusable = address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast();
    // Threat D-27: a forwarder that is egret itself would be asked for ever.
    if own.into_iter().any(|listener| *listener == address) || unusable {
        let (what, help) = if unusable {
            ("cannot be asked", "write the server's own address, and port 53 or none")
        } else {
            (
                "is a listener of egret itself",
                "it would ask itself for ever: write the server behind it, in Azure 168.63.129.16",
            )
        };
        report.add(Finding::error(text.span, format!("forwarder `{address}` {what}")).hint(help));
        return None;
    }
    Some(address)
}

fn records(written: &[file::DnsRecord], report: &mut Report) -> BTreeMap<Fqdn, StaticRecord> {
    let mut records = BTreeMap::new();
    for record in written {
        let Some(name) = &record.name else { continue };
        let Some(owner) = fqdn(name, report) else { continue };
        let Some(data) = record_data(record, name, report) else {
            continue;
        };
        let mut ttl = RECORD_TTL;
        set(&mut ttl, &record.ttl);
        if records.insert(owner, StaticRecord { data, ttl }).is_some() {
            let finding = Finding::error(name.span, format!("record `{}` is there twice", name.value));
            report.add(finding.hint("put all its addresses in one record"));
        }
    }
    records
}

fn record_data(record: &file::DnsRecord, name: &At<String>, report: &mut Report) -> Option<StaticData> {
    let has_addresses = record.a.is_some() || record.aaaa.is_some();
    match &record.cname {
        Some(alias) if has_addresses => {
            let finding = Finding::error(
                alias.span,
                "a record is an alias or has addresses, not both (RFC 1034 3.6.2)",
            );
            report.add(finding.hint("leave out `cname`, or `a` and `aaaa`"));
            None
        }
        Some(alias) => fqdn(alias, report).map(StaticData::Alias),
        None if !has_addresses => {
            let finding = Finding::error(name.span, format!("record `{}` says nothing", name.value));
            report.add(finding.expected("`a`, `aaaa` or `cname`"));
            None
        }
        None => Some(StaticData::Addresses {
            a: addresses_of(&record.a, "an IPv4 address", "IPv6 addresses belong in `aaaa`", report),
            aaaa: addresses_of(&record.aaaa, "an IPv6 address", "IPv4 addresses belong in `a`", report),
        }),
    }
}

fn addresses_of<T: FromStr + Copy + Into<IpAddr>>(
    written: &Texts,
    kind: &str,
    help: &str,
    report: &mut Report,
) -> Vec<T> {
    let texts = written.iter().flat_map(|list| list.iter());
    let read = texts.map(|text| {
        let address = text.parse().ok();
        if address.is_none() {
            report.add(Finding::error(text.span, format!("`{}` is not {kind}", text.value)).hint(help));
        }
        if let Some(address) = address {
            trusted::warn_of_record(text, T::into(address), report);
        }
        address
    });
    read.flatten().collect()
}

fn timing(section: &file::Dns, settings: &Settings, report: &mut Report) -> Timing {
    let mut timing = Timing::default();
    set_time(&mut timing.per_try, &section.try_ms, Duration::from_millis(1));
    set_time(&mut timing.total, &section.total_ms, Duration::from_millis(1));
    let written = section.try_ms.as_ref().or(section.total_ms.as_ref());
    if let Some(written) = written.filter(|_| timing.per_try > timing.total) {
        let finding = Finding::error(written.span, "one try is longer than the whole resolution");
        report.add(finding.expected("`try_ms` at most `total_ms`"));
    }
    if let Some(total) = section
        .total_ms
        .as_ref()
        .filter(|_| timing.total >= settings.limits.connect_time)
    {
        let finding = Finding::warning(total.span, "a slow resolution leaves no time to connect");
        let seconds = settings.limits.connect_time.as_secs();
        report.add(finding.hint(format!(
            "`limits.connect_seconds` is {seconds}, for resolving and connecting together"
        )));
    }
    timing
}

fn cache(section: &file::DnsCache, report: &mut Report) -> CacheLimits {
    let mut cache = CacheLimits::default();
    set_time(&mut cache.min_ttl, &section.min_ttl_seconds, SECOND);
    set_time(&mut cache.max_ttl, &section.max_ttl_seconds, SECOND);
    set_time(&mut cache.negative_max, &section.negative_ttl_seconds, SECOND);
    set_time(&mut cache.failure, &section.failure_seconds, SECOND);
    let written = section.min_ttl_seconds.as_ref().or(section.max_ttl_seconds.as_ref());
    if let Some(written) = written.filter(|_| cache.min_ttl > cache.max_ttl) {
        let finding = Finding::error(written.span, "the shortest TTL is longer than the longest");
        report.add(finding.expected("`min_ttl_seconds` at most `max_ttl_seconds`"));
    }
    cache
}

/// A name under `openai.azure.com` is never asked of the servers of `privatelink.openai.azure.com` unless the public zone's own
/// servers lead there: so forwarding the private zone alone does nothing for it (design: private endpoints).
fn warn_of_private_zones_forwarded_alone(section: &file::Dns, plan: &DnsPlan, report: &mut Report) {
    let table = PrivateLinkZones::embedded();
    for zone in &section.zone {
        let Some(name) = &zone.name else { continue };
        // Of several the table has the one first that clients ask for: `vault.azure.net`, not `vaultcore.azure.net`.
        let Some(public) = table.public_of(&name.to_ascii_lowercase()) else {
            continue;
        };
        let zone = Fqdn::from_config(public).ok().and_then(|public| plan.zone_of(&public));
        if zone.is_none_or(|zone| zone.is_default()) {
            let finding = Finding::warning(name.span, format!("`{}` is forwarded, `{public}` is not", name.value));
            report.add(finding.hint(format!(
                "clients ask for names under `{public}`: forward that zone, and the private one follows (Azure: private \
                 endpoint DNS integration)"
            )));
        }
    }
}

/// Which private addresses are trusted for which names.
pub fn addresses(file: &FileConfig, report: &mut Report) -> AddressPlan {
    let zones = file
        .dns
        .zone
        .iter()
        .map(|zone| (zone.private, &zone.name, &zone.networks, true));
    let records = file
        .dns
        .record
        .iter()
        .map(|record| (record.private, &record.name, &record.networks, false));
    let mut private = Vec::new();
    for (marked, name, written, zone) in zones.chain(records) {
        let networks = networks(written, report);
        match (marked, written) {
            (Some(true), _) => {
                let name = name.as_ref().and_then(|name| Fqdn::from_config(name).ok());
                private.extend(name.map(|name| PrivateScope { name, zone, networks }));
            }
            (_, Some(list)) => {
                let finding = Finding::warning(list.span, "`networks` without `private = true` has no effect");
                report.add(finding.hint("say `private = true` if private addresses are meant, or leave it out"));
            }
            _ => {}
        }
    }
    AddressPlan {
        private,
        networks: networks(&file.private_endpoints.networks, report),
        private_endpoints: file
            .private_endpoints
            .mode
            .map(PrivateEndpoints::from)
            .unwrap_or_default(),
        tagged: Vec::new(),
        private_link: PrivateLinkZones::embedded(),
        own: Arc::default(),
    }
}

/// A name of the file in its normal form; a bad one is reported.
pub(super) fn fqdn(text: &At<String>, report: &mut Report) -> Option<Fqdn> {
    let name = Fqdn::from_config(text);
    if let Err(fault) = &name {
        report.add(Finding::error(text.span, format!("`{}`: {fault}", text.value)).expected("a host name"));
    }
    name.ok()
}

impl From<file::PrivateEndpoints> for PrivateEndpoints {
    fn from(written: file::PrivateEndpoints) -> Self {
        match written {
            file::PrivateEndpoints::Require => Self::Require,
            file::PrivateEndpoints::Log => Self::Log,
            file::PrivateEndpoints::Off => Self::Off,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_of_this_machine() {
        let text = "# made by dhcp\nsearch corp.example\nnameserver 10.0.0.4\n nameserver fd00::4 # second\nnameserver fe80::1%eth0\n\
                    options ndots:5\nnameserver 10.0.0.5\nnameserver 10.0.0.6\n";
        let found: Vec<String> = nameservers(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(found, ["10.0.0.4:53", "[fd00::4]:53", "10.0.0.5:53"]);
    }
}
