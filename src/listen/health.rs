//! The health listener: `/healthz` says that the process answers, `/readyz` whether new flows are served. It may be bound
//! to any address, so it tells no names, paths or rules.

use super::read_only::{self, Page};
use crate::log::Log;
use hyper::StatusCode;
use serde_json::json;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// Probes come one at a time; whoever holds more connections open than this loses the oldest.
const MOST_CONNECTIONS: usize = 64;

/// What a gateway reports of itself.
pub struct Health {
    state: Mutex<State>,
    log: Log,
}

#[derive(Clone, Default)]
struct State {
    self_tested: bool,
    draining: bool,
    generation: u64,
    hash: Arc<str>,
    audit: bool,
    wide: Vec<Arc<str>>,
    not_enforced: Vec<Arc<str>>,
    overrides: bool,
    reload_error: Option<String>,
}

/// Whether new flows are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Yes.
    Ready,
    /// Yes, while rows may be lost.
    Degraded,
    /// Not yet: the self-test has not passed.
    Starting,
    /// No more: egret is stopping.
    Draining,
    /// No: a log with `on_full = "deny"` cannot take their rows.
    LogUnavailable,
}

impl Readiness {
    /// Text in the answer.
    pub fn name(self) -> &'static str {
        match self {
            Readiness::Ready => "ready",
            Readiness::Degraded => "degraded",
            Readiness::Starting => "starting",
            Readiness::Draining => "draining",
            Readiness::LogUnavailable => "log unavailable",
        }
    }

    /// Whether load balancers should send flows here.
    pub fn serves(self) -> bool {
        matches!(self, Readiness::Ready | Readiness::Degraded)
    }
}

impl Health {
    /// Not ready yet, without a policy. The log's state is read from `log` itself.
    pub fn new(log: Log) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            log,
        })
    }

    /// The self-test has passed.
    pub fn set_ready(&self, ready: bool) {
        self.state().self_tested = ready;
    }

    /// egret is stopping. There is no way back.
    pub fn set_draining(&self) {
        self.state().draining = true;
    }

    /// A reload was refused: why, for the admin listener. Nothing else changes.
    pub fn set_reload_error(&self, why: Option<String>) {
        self.state().reload_error = why;
    }

    /// A configuration is in force: generation, hash, whether anything is in audit mode, tags that admit every tenant's
    /// resource, whether dial overrides are on. The last reload has not failed.
    pub fn set_policy(&self, generation: u64, hash: &str, audit: bool, wide: &[Arc<str>], overrides: bool) {
        let mut state = self.state();
        *state = State {
            self_tested: state.self_tested,
            draining: state.draining,
            generation,
            hash: hash.into(),
            audit,
            wide: wide.to_vec(),
            not_enforced: Vec::new(),
            overrides,
            reload_error: None,
        };
    }

    /// Denials of the imported policy in force that are not carried out.
    pub fn set_not_enforced(&self, denials: &[Arc<str>]) {
        self.state().not_enforced = denials.to_vec();
    }

    /// Whether new flows are served.
    pub fn readiness(&self) -> Readiness {
        let state = self.state().clone();
        if state.draining {
            Readiness::Draining
        } else if !state.self_tested || state.generation == 0 {
            Readiness::Starting
        } else if !self.log.accepts_new_flows() {
            Readiness::LogUnavailable
        } else if self.log.status().iter().any(|sink| sink.trouble.is_some()) {
            Readiness::Degraded
        } else {
            Readiness::Ready
        }
    }

    /// Whether the policy, or a part of it, is in audit mode.
    pub(super) fn audit(&self) -> bool {
        self.state().audit
    }

    /// The answer of `/readyz`; with `details` also what only the machine itself may read.
    pub(super) fn report(&self, details: bool) -> serde_json::Value {
        let readiness = self.readiness();
        let state = self.state().clone();
        let mut report = json!({
            "status": readiness.name(),
            "ready": readiness.serves(),
            "self_test": if state.self_tested { "passed" } else { "pending" },
            "generation": state.generation,
            "policy_hash": &*state.hash,
            "mode": if state.audit { "audit" } else { "enforce" },
            "overrides": state.overrides,
            "wide": !state.wide.is_empty(),
            "partial": !state.not_enforced.is_empty(),
            "last_reload": if state.reload_error.is_some() { "failed" } else { "ok" },
            "degraded_logs": self.log.status().iter().filter(|s| s.trouble.is_some()).map(|s| s.sink).collect::<Vec<_>>(),
        });
        if details {
            report["version"] = json!(env!("CARGO_PKG_VERSION"));
            report["wide_tags"] = state.wide.iter().map(|tag| &**tag).collect();
            report["not_enforced"] = state.not_enforced.iter().map(|denial| &**denial).collect();
            report["reload_error"] = json!(state.reload_error);
            let sinks = self.log.status();
            report["logs"] = sinks
                .iter()
                .map(|sink| {
                    json!({
                        "sink": sink.sink, "rows": sink.rows, "dropped": sink.dropped,
                        "waiting_bytes": sink.waiting, "trouble": sink.trouble,
                    })
                })
                .collect();
        }
        report
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self, path: &str) -> Page {
        match path {
            "/healthz" => Page::json(StatusCode::OK, &json!({ "status": "alive" })),
            "/readyz" => {
                let serves = self.readiness().serves();
                let status = if serves {
                    StatusCode::OK
                } else {
                    StatusCode::SERVICE_UNAVAILABLE
                };
                Page::json(status, &self.report(false))
            }
            _ => Page::error(StatusCode::NOT_FOUND, "/healthz or /readyz"),
        }
    }
}

/// Answers probes until the returned future is dropped.
pub async fn serve(listener: TcpListener, health: Arc<Health>) {
    let page = move |asked: read_only::Asked| {
        let health = health.clone();
        async move { health.page(&asked.path) }
    };
    read_only::serve(listener, MOST_CONNECTIONS, page).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_between_the_self_test_and_the_stop() {
        let health = Health::new(Log::memory().0);
        assert_eq!(health.readiness(), Readiness::Starting);
        health.set_ready(true);
        assert_eq!(health.readiness(), Readiness::Starting, "there is no policy yet");
        health.set_policy(1, "cafe", true, &["AzureOpenAI".into()], false);
        assert_eq!(health.readiness(), Readiness::Ready);
        health.set_reload_error(Some("egret.toml:3: no".into()));
        assert_eq!(health.readiness(), Readiness::Ready, "the old policy serves");
        assert_eq!(health.report(false)["last_reload"], "failed");
        assert!(
            !health.report(false).to_string().contains("egret.toml"),
            "probes read no paths"
        );
        let wide = |details| health.report(details).to_string().contains("AzureOpenAI");
        assert!(wide(true) && !wide(false), "nor what the policy admits");
        assert_eq!(health.report(false)["version"], serde_json::Value::Null);
        for key in ["ready", "status", "generation", "policy_hash", "mode"] {
            assert_ne!(health.report(false)[key], serde_json::Value::Null, "{key}");
        }
        assert_eq!(health.report(true)["reload_error"], "egret.toml:3: no");
        health.set_policy(2, "beef", false, &[], false);
        assert_eq!(health.report(true)["reload_error"], serde_json::Value::Null);
        health.set_draining();
        assert_eq!(health.readiness(), Readiness::Draining);
    }
}
