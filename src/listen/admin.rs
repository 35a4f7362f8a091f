//! The admin listener: metrics, the policy in force, open flows. Loopback only, and nothing can be changed through it.
//!
//! A page in the machine's own browser can reach loopback under a name of its own (DNS rebinding): the Host field has to
//! be one of this machine's names for itself.

use super::health::Health;
use super::read_only::{self, Asked, Page};
use crate::flow::Shared;
use crate::flow::relay::BUDGET;
use crate::flow::tunnels::Tunnel;
use crate::metrics::{Metric, Sample};
use crate::policy::{
    Action, ApplicationRule, Mode, PrivateEndpoints, Protocol, ProtocolPort, Rules, Sources, TargetFqdn,
};
use crate::policy::{RuleCollection, RuleCollectionGroup};
use crate::snapshot::Snapshot;
use hyper::StatusCode;
use hyper::header::{HOST, HeaderMap};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

/// Enough for a scraper and some people.
const MOST_CONNECTIONS: usize = 16;

/// Flows listed at most; the answer says how many there are.
const MOST_FLOWS: usize = 1000;

/// OpenMetrics 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin listener may read.
pub struct AdminView {
    pub(crate) shared: Arc<Shared>,
    pub(crate) health: Arc<Health>,
    pub(crate) started: SystemTime,
}

/// Answers until the returned future is dropped. Serves nothing on an address that others can reach.
pub async fn serve(listener: TcpListener, view: Arc<AdminView>) {
    if !listener.local_addr().is_ok_and(|address| address.ip().is_loopback()) {
        return tracing::error!("the admin listener serves on loopback only");
    }
    let page = move |asked: Asked| {
        let view = view.clone();
        // A large policy takes a while to print: not on the thread that resolves names.
        async move {
            let page = spawn_blocking(move || page(&asked, &view)).await;
            page.unwrap_or_else(|_| Page::error(StatusCode::INTERNAL_SERVER_ERROR, "a defect of egret"))
        }
    };
    read_only::serve(listener, MOST_CONNECTIONS, page).await;
}

fn page(asked: &Asked, view: &AdminView) -> Page {
    if !names_this_machine(&asked.headers) {
        return Page::error(StatusCode::FORBIDDEN, "Host must be localhost, 127.0.0.1 or [::1]");
    }
    let ok = |value| Page::json(StatusCode::OK, &value);
    match &*asked.path {
        "/metrics" => Page {
            status: StatusCode::OK,
            content_type: OPEN_METRICS,
            body: view.shared.metrics.encode(|sample| fill(sample, view)),
        },
        "/status" => ok(view.health.report(true)),
        "/policy" => ok(policy(&view.shared.snapshot())),
        "/flows" => ok(flows(view)),
        _ => Page::error(StatusCode::NOT_FOUND, "/metrics, /status, /policy or /flows"),
    }
}

/// Exactly one Host field, with one of the names that cannot be somebody else's, whatever the port.
fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|own| name.eq_ignore_ascii_case(own))
}

/// What nobody counts as it happens.
fn fill(sample: &mut Sample, view: &AdminView) {
    let (shared, health) = (&view.shared, &view.health);
    let snapshot = shared.snapshot();
    let resolver = &snapshot.resolver;
    let dns = resolver.counters();
    for (metric, value) in [
        (Metric::StartTime, seconds(view.started)),
        (Metric::Ready, health.readiness().serves().into()),
        (Metric::NotEnforced, snapshot.policy.model().not_enforced.len() as u64),
        (Metric::Generation, snapshot.generation),
        (Metric::Audit, health.audit().into()),
        (Metric::Connections, shared.limits.connections() as u64),
        (Metric::Tunnels, shared.tunnels.len() as u64),
        (Metric::Dials, shared.limits.dials() as u64),
        (Metric::Held, shared.limits.held() as u64),
        (Metric::RelayPipes, BUDGET.open() as u64),
        (Metric::DnsFailures, dns.failures.load(Relaxed)),
        (Metric::DnsFailovers, dns.failovers.load(Relaxed)),
        (Metric::DnsCached, resolver.cached_names() as u64),
        (Metric::DnsInFlight, resolver.in_flight() as u64),
    ] {
        sample.set(metric, &[], value);
    }
    for (metric, label, counter) in [
        (Metric::SpliceRefused, "budget", &BUDGET.exhausted),
        (Metric::SpliceRefused, "kernel", &BUDGET.refused),
        (Metric::DnsLookups, "miss", &dns.misses),
        (Metric::DnsLookups, "joined", &dns.joined),
        (Metric::DnsLookups, "refused", &dns.refused),
        (Metric::DnsQuestions, "udp", &dns.queries_udp),
        (Metric::DnsQuestions, "tcp", &dns.queries_tcp),
        (Metric::DnsReplies, "taken", &dns.replies),
        (Metric::DnsReplies, "ignored", &dns.ignored),
        (Metric::DnsReplies, "malformed", &dns.malformed),
    ] {
        sample.set(metric, &[label], counter.load(Relaxed));
    }
    sample.set(Metric::DnsLookups, &["hit"], dns.hits.sum());
    for sink in shared.log.status() {
        for (metric, value) in [
            (Metric::LogRows, sink.rows),
            (Metric::LogDropped, sink.dropped),
            (Metric::LogBytes, sink.bytes),
            (Metric::LogFailures, sink.failures),
            (Metric::LogWaiting, sink.waiting as u64),
            (Metric::LogDegraded, sink.trouble.is_some().into()),
        ] {
            sample.set(metric, &[sink.sink], value);
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn flows(view: &AdminView) -> Value {
    let tunnels = view.shared.tunnels.list(MOST_FLOWS);
    json!({
        "open": view.shared.tunnels.len(),
        "listed": tunnels.len(),
        "flows": tunnels.iter().map(|tunnel| flow(tunnel)).collect::<Vec<_>>(),
    })
}

fn flow(tunnel: &Tunnel) -> Value {
    let (sent, received) = tunnel.moved();
    json!({
        "flow": tunnel.flow.to_string(),
        "source": tunnel.source.to_string(),
        "fqdn": tunnel.host.to_string(),
        "port": tunnel.port,
        "protocol": tunnel.protocol.map_or("TCP", protocol),
        "address": tunnel.candidate.ip.to_string(),
        "generation": tunnel.generation(),
        "open_seconds": tunnel.since.elapsed().unwrap_or_default().as_secs(),
        "sent_bytes": sent,
        "received_bytes": received,
    })
}

/// The policy in force, in the order in which it is judged.
fn policy(snapshot: &Snapshot) -> Value {
    let model = snapshot.policy.model();
    json!({
        "generation": snapshot.generation,
        "hash": &*snapshot.hash,
        "name": &*model.name,
        "mode": mode(model.mode),
        "parents": model.parents.iter().map(|parent| json!({
            "name": &*parent.name,
            "groups": groups(&parent.groups),
        })).collect::<Vec<_>>(),
        "groups": groups(&model.groups),
    })
}

fn groups(groups: &[RuleCollectionGroup]) -> Vec<Value> {
    let mut ordered: Vec<_> = groups.iter().collect();
    ordered.sort_by_key(|group| group.priority);
    let shown = ordered.iter().map(|group| {
        let mut collections: Vec<_> = group.collections.iter().collect();
        collections.sort_by_key(|collection| collection.priority);
        json!({
            "name": &*group.name,
            "priority": group.priority.value(),
            "collections": collections.iter().map(|c| collection(c)).collect::<Vec<_>>(),
        })
    });
    shown.collect()
}

fn collection(collection: &RuleCollection) -> Value {
    let (kind, rules): (_, Vec<_>) = match &collection.rules {
        Rules::Application(rules) => ("application", rules.iter().map(application).collect()),
        Rules::Network(rules) => (
            "network",
            rules.iter().map(|rule| json!({ "name": &*rule.name })).collect(),
        ),
        Rules::Nat(rules) => ("nat", rules.iter().map(|rule| json!({ "name": &*rule.name })).collect()),
    };
    json!({
        "name": &*collection.name,
        "priority": collection.priority.value(),
        "kind": kind,
        "action": match collection.action { Action::Allow => "Allow", Action::Deny => "Deny" },
        "mode": mode(collection.mode),
        "rules": rules,
    })
}

fn application(rule: &ApplicationRule) -> Value {
    let sources = match &rule.sources {
        Sources::Any { .. } => json!(["*"]),
        Sources::Nets(nets) => nets.iter().map(ToString::to_string).collect(),
    };
    json!({
        "name": &*rule.name,
        "sources": sources,
        "protocols": ports(&rule.protocols),
        "targets": rule.targets.iter().map(target).collect::<Vec<_>>(),
        "resolves_into": rule.resolves_into.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "private_endpoints": rule.private_endpoints.map(|mode| match mode {
            PrivateEndpoints::Require => "require",
            PrivateEndpoints::Log => "log",
            PrivateEndpoints::Off => "off",
        }),
    })
}

fn target(target: &TargetFqdn) -> Value {
    json!({
        "fqdn": target.pattern.to_string(),
        "tag": target.tag.as_deref(),
        "ports": target.ports.as_deref().map(ports),
        "wide": target.wide,
    })
}

fn ports(ports: &[ProtocolPort]) -> Vec<String> {
    ports
        .iter()
        .map(|p| format!("{}:{}", protocol(p.protocol), p.port))
        .collect()
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "Http",
        Protocol::Https => "Https",
    }
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Audit => "audit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_cannot_be_anybody_elses() {
        for (hosts, good) in [
            (&["localhost"][..], true),
            (&["LOCALHOST:9180"], true),
            (&["127.0.0.1:9180"], true),
            (&["[::1]"], true),
            (&["[::1]:9180"], true),
            (&[], false),
            (&["localhost", "localhost"], false),
            (&["evil.test"], false),
            (&["localhost.evil.test:9180"], false),
            (&["localhost:evil"], false),
            (&["127.0.0.1.evil.test"], false),
            (&["127.0.0.2"], false),
            (&["::1"], false),
            (&["localhost:"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(HOST, host.parse().unwrap());
            }
            assert_eq!(names_this_machine(&headers), good, "{hosts:?}");
        }
    }
}
