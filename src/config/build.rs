//! [`FileConfig`] -> what can run: settings here, rules, names and DNS in the files beside this one. Every check reports and
//! goes on, so that one run tells all.

use super::{
    DialOverride,
    at::{At, Span},
    azure_limits, dns, file,
    file::FileConfig,
    nearest::nearest,
    problem::{Finding, Report},
    rules,
    settings::{Azure, FileLog, Limits, Listeners, LogSettings, OnFull, Proxy, Settings},
};
use crate::{
    dns::DnsPlan,
    nets,
    policy::{AddressPlan, FqdnPattern, Policy, PrivateEndpoints, Rules},
};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

/// A configuration without the name and text that it came from. It can run only if nothing was reported as an error.
#[derive(Debug)]
pub struct Built {
    /// Listeners, limits, log, Azure names.
    pub settings: Settings,
    /// The rules.
    pub policy: Policy,
    /// What vetting reads.
    pub addresses: AddressPlan,
    /// What resolving reads.
    pub dns: DnsPlan,
    /// `[[dial.override]]`
    pub overrides: Vec<DialOverride>,
}

/// Checks everything that a schema cannot say. `base`: the folder of the file, for relative paths.
pub fn build(file: &FileConfig, base: &Path, report: &mut Report) -> Built {
    let settings = Settings {
        listeners: listeners(&file.listeners, report),
        proxy: proxy(&file.proxy),
        limits: limits(&file.limits, report),
        log: log(&file.log),
        azure: azure(&file.azure, report),
    };
    let policy = rules::policy(file, base, &settings, report);
    azure_limits::warn(file, report);
    let dns = dns::plan(file, &settings, report);
    let mut addresses = dns::addresses(file, report);
    addresses.tagged = tagged(file, &policy, report);
    let overrides = file
        .dial
        .overrides
        .iter()
        .filter_map(|entry| dial_override(entry, report))
        .collect();
    Built {
        settings,
        policy,
        addresses,
        dns,
        overrides,
    }
}

/// `private_endpoints.tags`: the patterns of each tag, as the rules that name it came to hold them.
fn tagged(file: &FileConfig, policy: &Policy, report: &mut Report) -> Vec<(FqdnPattern, PrivateEndpoints)> {
    let rules = policy.collections().flat_map(|collection| match &collection.rules {
        Rules::Application(rules) => rules.as_slice(),
        Rules::Network(_) | Rules::Nat(_) => &[],
    });
    let targets: Vec<_> = rules.flat_map(|rule| &rule.targets).collect();
    let mut tagged = Vec::new();
    for (tag, mode) in file.private_endpoints.tags.iter().flatten() {
        let of_tag = targets.iter().filter(|target| target.tag.as_deref() == Some(tag));
        let before = tagged.len();
        tagged.extend(of_tag.map(|target| (target.pattern.clone(), PrivateEndpoints::from(**mode))));
        if tagged.len() == before {
            let finding = Finding::warning(
                mode.span,
                format!("no rule names the FQDN tag `{tag}`: this has no effect"),
            );
            let named = targets.iter().filter_map(|target| target.tag.as_deref());
            report.add(match nearest(tag, named) {
                Some(near) => finding.expected(format!("`{near}`")),
                None => finding.hint("name it in `destination_fqdn_tags` of a rule, or leave this out"),
            });
        }
    }
    tagged
}

fn listeners(file: &file::Listeners, report: &mut Report) -> Listeners {
    let defaults = Listeners::default();
    let mut taken: Vec<(SocketAddr, Span)> = Vec::new();
    let mut read = |written: &file::Texts, default: Vec<SocketAddr>, report: &mut Report| {
        let Some(list) = written else { return default };
        list.iter()
            .filter_map(|text| listener(text, &mut taken, report))
            .collect()
    };
    let listeners = Listeners {
        proxy: read(&file.proxy, defaults.proxy, report),
        health: read(&file.health, defaults.health, report),
        admin: read(&file.admin, defaults.admin, report),
    };
    for (what, written, default) in [
        ("proxy", &file.proxy, &listeners.proxy),
        ("health", &file.health, &listeners.health),
        ("admin", &file.admin, &listeners.admin),
    ] {
        let meets = |address: SocketAddr| written.is_none() && default.iter().any(|other| collide(*other, address));
        for (address, span) in taken.iter().filter(|(address, _)| meets(*address)) {
            let finding = Finding::error(
                *span,
                format!("`{address}` is where the {what} listener stands by default"),
            );
            report.add(finding.hint(format!("choose another port, or say `listeners.{what}`")));
        }
    }
    if let Some(list) = file.proxy.as_ref().filter(|list| report.says_nothing(list)) {
        report.add(
            Finding::error(list.span, "no proxy listener").hint("leave the key out to listen on 127.0.0.1 and ::1"),
        );
    }
    for text in file.admin.iter().flat_map(|list| list.iter()) {
        if text
            .parse()
            .is_ok_and(|address: SocketAddr| !address.ip().is_loopback())
        {
            let finding = Finding::error(text.span, format!("admin listener `{}` is not on loopback", text.value));
            report.add(
                finding
                    .expected("127.0.0.1 or [::1]")
                    .hint("for probes from elsewhere use `listeners.health`"),
            );
        }
    }
    listeners
}

fn listener(text: &At<String>, taken: &mut Vec<(SocketAddr, Span)>, report: &mut Report) -> Option<SocketAddr> {
    let Ok(address) = text.parse::<SocketAddr>() else {
        let finding = Finding::error(text.span, format!("`{}` is no address with a port", text.value));
        report.add(finding.expected("`127.0.0.1:3128`, `[::1]:3128` or `0.0.0.0:3128`"));
        return None;
    };
    if taken.iter().any(|(other, _)| collide(*other, address)) {
        let finding = Finding::error(
            text.span,
            format!("`{address}` is taken by another listener of this file"),
        );
        report.add(finding.hint("give it a port of its own"));
    }
    taken.push((address, text.span));
    Some(address)
}

/// Whether the second bind would fail: the same port, and the same address or one that stands for all.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlap = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && same_family && overlap
}

fn proxy(file: &file::Proxy) -> Proxy {
    Proxy {
        sni_mismatch: file.sni_mismatch.unwrap_or_default(),
        ech: file.ech.unwrap_or_default(),
        deny_response: file.deny_response.unwrap_or_default(),
        deny_detail: file.deny_detail.unwrap_or_default(),
    }
}

fn limits(file: &file::Limits, report: &mut Report) -> Limits {
    let workers = file.workers.as_ref().and_then(|number| usize::try_from(**number).ok());
    let mut limits = Limits {
        workers,
        ..Limits::default()
    };
    set(&mut limits.head_bytes, &file.head_bytes);
    set(&mut limits.head_fields, &file.head_fields);
    set_time(&mut limits.head_time, &file.head_seconds, SECOND);
    set(&mut limits.client_hello_bytes, &file.client_hello_bytes);
    set_time(&mut limits.client_hello_time, &file.client_hello_seconds, SECOND);
    set(&mut limits.tunnels, &file.tunnels);
    set(&mut limits.tunnels_per_source, &file.tunnels_per_source);
    set(
        &mut limits.attempts_per_second_per_source,
        &file.attempts_per_second_per_source,
    );
    set(&mut limits.attempts_burst_per_source, &file.attempts_burst_per_source);
    set_mib(&mut limits.held_bytes, &file.held_mib);
    set(&mut limits.dials, &file.dials);
    set_time(&mut limits.idle, &file.idle_seconds, SECOND);
    set_time(&mut limits.connect_time, &file.connect_seconds, SECOND);
    set_time(&mut limits.drain_time, &file.drain_seconds, SECOND);
    set_mib(&mut limits.log_queue_bytes, &file.log_queue_mib);
    if let Some(per_source) = file
        .tunnels_per_source
        .as_ref()
        .filter(|_| limits.tunnels_per_source > limits.tunnels)
    {
        let finding = Finding::warning(per_source.span, "one source may hold more than all sources together");
        report.add(finding.hint(format!(
            "`limits.tunnels` is {}: one source can use up all of it",
            limits.tunnels
        )));
    }
    limits
}

pub(super) const SECOND: Duration = Duration::from_secs(1);

/// The schema has checked the range; what it refused is absent here and leaves the default.
pub(super) fn set<T: TryFrom<i64>>(field: &mut T, written: &Option<At<i64>>) {
    if let Some(number) = written.as_ref().and_then(|number| T::try_from(**number).ok()) {
        *field = number;
    }
}

pub(super) fn set_time(field: &mut Duration, written: &Option<At<i64>>, unit: Duration) {
    if let Some(number) = written.as_ref().and_then(|number| u32::try_from(**number).ok()) {
        *field = unit * number;
    }
}

fn set_mib(field: &mut usize, written: &Option<At<i64>>) {
    if let Some(number) = written.as_ref().and_then(|number| usize::try_from(**number).ok()) {
        *field = number.saturating_mul(1 << 20);
    }
}

fn log(file: &file::Log) -> LogSettings {
    let defaults = LogSettings::default();
    LogSettings {
        format: file.format.unwrap_or(defaults.format),
        stdout: file.stdout.unwrap_or(defaults.stdout),
        file: file.file.as_ref().map(log_file),
        level: file.level.unwrap_or(defaults.level),
    }
}

fn log_file(file: &file::LogFile) -> FileLog {
    let mut mib = 256_u64;
    set(&mut mib, &file.max_mib);
    let mut keep = 8;
    set(&mut keep, &file.keep);
    let hours = file
        .max_age_hours
        .as_ref()
        .and_then(|hours| u32::try_from(**hours).ok());
    FileLog {
        path: PathBuf::from(file.path.as_ref().map_or("", |path| path)),
        max_bytes: mib << 20,
        keep,
        max_age: hours.map(|hours| SECOND * 3600 * hours),
        on_full: file.on_full.unwrap_or(OnFull::Deny),
    }
}

fn azure(file: &file::Azure, report: &mut Report) -> Azure {
    if let Some(id) = file
        .resource_id
        .as_ref()
        .filter(|id| !id.is_empty() && !is_resource_id(id))
    {
        let finding = Finding::warning(id.span, format!("`{}` is no Azure resource id", id.value));
        report.add(finding.expected(
            "`/subscriptions/<id>/resourceGroups/<group>/providers/Microsoft.Network/azureFirewalls/<name>`",
        ));
    }
    let defaults = Azure::default();
    let text = |written: &Option<At<String>>, default| written.as_ref().map_or(default, |text| text.as_str().into());
    Azure {
        resource_id: text(&file.resource_id, defaults.resource_id),
        policy: text(&file.policy, defaults.policy),
        action_reason: text(&file.action_reason, defaults.action_reason),
    }
}

/// As far as queries take it apart: they split at `/` and compare without case.
fn is_resource_id(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text.starts_with("/subscriptions/") && text.contains("/providers/microsoft.")
}

fn dial_override(file: &file::Override, report: &mut Report) -> Option<DialOverride> {
    let (from, to) = (file.from.as_ref()?, file.to.as_ref()?);
    let target = to.parse::<SocketAddr>();
    if target.is_err() {
        let finding = Finding::error(to.span, format!("`{}` is no address with a port", to.value));
        report.add(finding.expected("`127.0.0.1:18443`"));
    }
    let Some((net, port)) = net_and_port(from) else {
        let finding = Finding::error(from.span, format!("`{}` is no prefix with a port", from.value));
        report.add(finding.expected("`10.1.0.0/16:443`, `203.0.113.5:*` or `[fd00::]/8:443`"));
        return None;
    };
    Some(DialOverride {
        from: net,
        port,
        to: target.ok()?,
    })
}

fn net_and_port(text: &str) -> Option<(ipnet::IpNet, Option<u16>)> {
    let (net, port) = text.rsplit_once(':')?;
    let found = nets::nets(&net.replace(['[', ']'], "")).ok()?.nets;
    let [net] = found.as_slice() else { return None };
    match port {
        "*" => Some((*net, None)),
        digits => Some((*net, Some(nets::port(digits)?))),
    }
}
