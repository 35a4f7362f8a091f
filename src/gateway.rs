//! [`Gateway`]: bind, run, swap the snapshot on reload, drain. What `egret run`, the lab and the tests all start.
//!
//! Threads: one current-thread runtime per worker, where a connection stays until it closes, and one control thread for
//! DNS, health, admin and sweeping.

mod bind;
mod error;
mod self_test;
mod worker;

pub use error::{ReloadError, StartError};

use crate::config::settings::Limits;
use crate::config::{Checked, Settings};
use crate::dns::Resolver;
use crate::flow::{Phase, Shared, limits};
use crate::listen::health::Health;
use crate::listen::{self, Listener, admin, health};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::policy::{CompiledPolicy, Mode};
use crate::proof::{Guard, off};
use crate::snapshot::Snapshot;
use bind::{Passed, bind_all};
use self_test::fresh_name;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use worker::work;

/// How long cut tunnels get to write their last rows.
const CUT_TIME: Duration = Duration::from_secs(1);

/// File descriptors of a worker: its epoll and what wakes it, its share of each listener, and a spare one.
const FILES_PER_WORKER: u64 = 6;

/// What a gateway is started with besides its configuration.
#[derive(Default)]
pub struct GatewayOptions {
    /// Rows go here instead of to the sinks of the settings.
    pub log: Option<Log>,
    /// Sockets that listen already: each is used for the listener of its address, and left open when egret ends.
    pub passed: Vec<StdListener>,
}

impl GatewayOptions {
    /// Rows go to `log`; everything is bound by the gateway.
    pub fn logging_to(log: Log) -> Self {
        Self {
            log: Some(log),
            passed: Vec::new(),
        }
    }
}

/// A running gateway. Dropping it cuts everything; [`Gateway::drain`] ends it gracefully.
pub struct Gateway {
    shared: Arc<Shared>,
    health: Arc<Health>,
    control: Handle,
    threads: Mutex<Vec<JoinHandle<()>>>,
    bound: Bound,
    reloading: Mutex<()>,
    hurry: AtomicBool,
}

#[derive(Default)]
struct Bound {
    proxy: Vec<SocketAddr>,
    health: Vec<SocketAddr>,
    admin: Vec<SocketAddr>,
}

impl Gateway {
    /// Bind every listener, start the threads, show that a fresh name is denied, and only then report ready.
    ///
    /// # Errors
    /// Nothing is left running when it fails.
    pub fn start(checked: Checked, options: GatewayOptions) -> Result<Self, StartError> {
        let workers = workers(&checked.settings.limits);
        let files = raise_file_limit().map(|files| files.saturating_sub(FILES_PER_WORKER * workers as u64));
        let listeners = &checked.settings.listeners;
        let mut passed = Passed::new(options.passed)?;
        let (proxy, proxy_addrs) = bind_all("proxy", &listeners.proxy, &mut passed)?;
        let (health_listeners, health_addrs) = bind_all("health", &listeners.health, &mut passed)?;
        let (admin_listeners, admin_addrs) = bind_all("admin", &listeners.admin, &mut passed)?;
        passed.all_used()?;
        let bound = Bound {
            proxy: proxy_addrs,
            health: health_addrs,
            admin: admin_addrs,
        };
        let log = match options.log {
            Some(log) => log,
            None => Log::start(&checked.settings.log, &checked.settings.azure, &checked.settings.limits)?,
        };
        let (phase, _) = watch::channel(Phase::Running);
        let metrics = Metrics::new();
        let mut threads = Vec::new();
        let control = spawn_control(phase.subscribe(), &mut threads)?;
        let self_test = fresh_name();
        let resolver = Resolver::new(Arc::new(checked.dns.clone()), control.clone());
        let snapshot = snapshot(checked, 1, resolver)?;
        let shared = Shared::new(snapshot, log, metrics, self_test.clone(), phase, files);
        shared.bound([&bound.proxy[..], &bound.health, &bound.admin].concat());
        let health = Health::new(shared.log.clone());
        let gateway = Self {
            shared,
            health,
            control,
            threads: Mutex::new(threads),
            bound,
            reloading: Mutex::new(()),
            hurry: AtomicBool::new(false),
        };
        gateway.report();
        gateway.tell_of_files();
        gateway.spawn_workers(&proxy)?;
        gateway.spawn_control_tasks(health_listeners, admin_listeners)?;
        self_test::self_test(gateway.bound.proxy.first(), &self_test)?;
        gateway.health.set_ready(true);
        Ok(gateway)
    }

    /// Where the proxy listens, with the ports that were given for 0.
    pub fn proxy_addrs(&self) -> &[SocketAddr] {
        &self.bound.proxy
    }

    /// Where health listens.
    pub fn health_addrs(&self) -> &[SocketAddr] {
        &self.bound.health
    }

    /// Where admin listens.
    pub fn admin_addrs(&self) -> &[SocketAddr] {
        &self.bound.admin
    }

    /// All counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The decision log.
    pub fn log(&self) -> &Log {
        &self.shared.log
    }

    /// The snapshot of this moment.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot().whole().clone()
    }

    /// Client connections open now.
    pub fn connections(&self) -> usize {
        self.shared.limits.connections()
    }

    /// Swap in a new configuration and judge every open tunnel under it. The new generation, and how many tunnels were
    /// revoked.
    ///
    /// # Errors
    /// Nothing changes when it fails.
    pub fn reload(&self, checked: Checked) -> Result<(u64, usize), ReloadError> {
        let _one_at_a_time = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        match self.next(checked) {
            Ok(next) => self.shared.swap(next),
            Err(error) => {
                self.reload_failed(&error.to_string());
                return Err(error);
            }
        }
        self.shared.metrics.reloaded(true);
        self.report();
        let now = self.shared.snapshot();
        Ok((now.generation, self.shared.tunnels.judge_again(now.whole())))
    }

    /// The snapshot after the one that runs.
    fn next(&self, checked: Checked) -> Result<Snapshot, ReloadError> {
        let old = self.shared.snapshot();
        let fixed = fixed_settings(&old.settings, &checked.settings);
        if !fixed.is_empty() {
            return Err(ReloadError::Fixed(fixed));
        }
        let resolver = if **old.resolver.plan() == checked.dns {
            old.resolver.clone()
        } else {
            old.resolver.renewed(Arc::new(checked.dns.clone()))
        };
        Ok(snapshot(checked, old.generation + 1, resolver)?)
    }

    /// A reload that did not come to be, also one whose configuration did not check out: counted, shown in health.
    pub fn reload_failed(&self, why: &str) {
        self.shared.metrics.reloaded(false);
        self.health.set_reload_error(Some(why.to_string()));
    }

    /// Stop accepting, let open tunnels live for `limit`, then cut and record them. Blocks until all is written.
    pub fn drain(&self, limit: Duration) {
        self.health.set_draining();
        self.shared.enter(Phase::Draining);
        let deadline = Instant::now() + limit;
        while self.connections() > 0 && Instant::now() < deadline && !self.hurry.load(Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
        self.shared.tunnels.drain();
        let deadline = Instant::now() + CUT_TIME;
        while self.connections() > 0 && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
        self.end();
        self.shared.log.close();
    }

    /// Cut a drain that is under way: a second signal came.
    pub fn hurry(&self) {
        self.hurry.store(true, Relaxed);
    }

    fn end(&self) {
        self.shared.enter(Phase::Ended);
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A worker that panicked has said so on stderr already.
            let _ = thread.join();
        }
    }

    fn report(&self) {
        let snapshot = self.shared.snapshot();
        let policy = snapshot.policy.model();
        self.health.set_policy(
            snapshot.generation,
            &snapshot.hash,
            policy.mode == Mode::Audit
                || policy
                    .groups
                    .iter()
                    .any(|g| g.collections.iter().any(|c| c.mode == Mode::Audit)),
            &snapshot.policy.wide_tags(),
            !snapshot.overrides.is_empty(),
        );
        self.health.set_not_enforced(&policy.not_enforced);
    }

    /// Whoever counts on `limits.tunnels` should know that something else is reached before.
    fn tell_of_files(&self) {
        let (fit, tunnels) = (self.shared.limits.fit(), self.shared.snapshot().settings.limits.tunnels);
        if fit < tunnels {
            tracing::info!(
                fit,
                tunnels,
                "the limit on open files allows fewer tunnels than limits.tunnels"
            );
        }
    }

    fn spawn_workers(&self, listeners: &[Listener]) -> io::Result<()> {
        let settings = self.shared.snapshot().settings.clone();
        let count = workers(&settings.limits);
        for (index, listeners) in listen::for_workers(listeners, count)?.into_iter().enumerate() {
            let shared = self.shared.for_worker(index);
            let runtime = runtime()?;
            let thread = thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
                runtime.block_on(work(listeners, shared));
            })?;
            self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        }
        Ok(())
    }

    fn spawn_control_tasks(&self, health_on: Vec<Listener>, admin_on: Vec<Listener>) -> io::Result<()> {
        let _context = self.control.enter();
        for listener in health_on {
            let listener = tokio::net::TcpListener::from_std(listener.socket)?;
            self.control.spawn(health::serve(listener, self.health.clone()));
        }
        let state = Arc::new(admin::AdminView {
            shared: self.shared.clone(),
            health: self.health.clone(),
            started: SystemTime::now(),
        });
        for listener in admin_on {
            let listener = tokio::net::TcpListener::from_std(listener.socket)?;
            self.control.spawn(admin::serve(listener, state.clone()));
        }
        let shared = self.shared.clone();
        self.control.spawn(async move {
            loop {
                tokio::time::sleep(limits::SWEEP_EVERY).await;
                let settings = shared.snapshot().settings.clone();
                shared.limits.sweep(&settings.limits);
                let given_up = shared.given_up();
                if !given_up.is_empty() {
                    // Questions of DNS are asked on this thread.
                    tokio::task::spawn_blocking(move || drop(given_up));
                }
            }
        });
        Ok(())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn spawn_control(mut phase: watch::Receiver<Phase>, threads: &mut Vec<JoinHandle<()>>) -> io::Result<Handle> {
    let runtime = runtime()?;
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new().name("control".into()).spawn(move || {
        runtime.block_on(async {
            let _ = phase.wait_for(|phase| *phase == Phase::Ended).await;
        });
    })?;
    threads.push(thread);
    Ok(handle)
}

fn snapshot(checked: Checked, generation: u64, resolver: Arc<Resolver>) -> io::Result<Snapshot> {
    let mut addresses = checked.addresses;
    addresses.own = own_addresses()?.into();
    let mut settings = checked.settings;
    if off(Guard::Limits) {
        settings.limits = settings.limits.unbounded();
    }
    Ok(Snapshot {
        generation,
        hash: checked.hash,
        settings: Arc::new(settings),
        policy: CompiledPolicy::new(checked.policy),
        addresses,
        resolver,
        overrides: checked.overrides,
    })
}

/// Every address of this machine: none of them is ever dialled.
pub(crate) fn own_addresses() -> io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?
        .iter()
        .map(|interface| interface.ip().to_canonical())
        .collect())
}

/// What is fixed at start and differs.
fn fixed_settings(old: &Settings, new: &Settings) -> Vec<&'static str> {
    let differs = [
        ("listeners", old.listeners != new.listeners),
        ("log", old.log != new.log),
        ("azure", old.azure != new.azure),
        ("limits.workers", old.limits.workers != new.limits.workers),
        (
            "limits.log_queue_mib",
            old.limits.log_queue_bytes != new.limits.log_queue_bytes,
        ),
    ];
    differs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name)
        .collect()
}

fn workers(limits: &Limits) -> usize {
    limits
        .workers
        .unwrap_or_else(|| thread::available_parallelism().map_or(1, |n| n.get()))
}

/// A tunnel needs two descriptors: use what the hard limit gives. The limit then; `None` where there is none.
fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    getrlimit(Resource::Nofile).current
}
