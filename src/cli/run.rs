//! `egret run`: start a gateway, carry signals and changes of the file to it, drain it.

use super::{
    Answer,
    config::{COMMAND_LINE, ConfigArgs},
    output::{refuse, say, tell},
};
use crate::{
    config::{
        self, Checked, Problem,
        settings::Level,
        watch::{Seen, Watch},
    },
    gateway::{Gateway, GatewayOptions},
    policy::{Mode, Rules},
    printable::printable,
};
use anyhow::{Context, bail};
use clap::Args;
use listenfd::ListenFd;
use std::{
    collections::BTreeSet,
    io::{IsTerminal, stderr},
    mem::take,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{
    runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    time::{self, MissedTickBehavior},
};

/// How often the file is looked at. A change is taken up at the second look, so within two of these.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Stack of the thread that reads a configuration, in bytes: as much as the first one had.
const READING_STACK: usize = 8 << 20;

/// `egret run`
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Where the rules come from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Listen here instead of `127.0.0.1:3128` and `[::1]:3128`; may be repeated
    #[arg(long, value_name = "ADDRESS:PORT", conflicts_with = "config")]
    pub listen: Vec<String>,
    /// Who --allow speaks of: address, prefix or `*`; needed when others than this machine can reach --listen
    #[arg(long, value_name = "NET", conflicts_with_all = ["config", "azure_policy"])]
    pub clients: Vec<String>,
    /// Honour [[dial.override]], which leads vetted addresses elsewhere: for labs, never for production
    #[arg(long)]
    pub lab: bool,
}

/// Runs until SIGTERM or SIGINT. Fails if it could not start.
pub fn run(args: &RunArgs) -> anyhow::Result<Answer> {
    if cfg!(feature = "proof") {
        bail!("this build can switch its guards off (feature `proof`): it is for tests and does not run");
    }
    // Before there is a second thread: taking them clears the variables that name them.
    let passed = passed_sockets()?;
    let checked = args
        .config
        .load(&args.listen, &args.clients)
        .map_err(|problems| refuse(&problems))?;
    if let Some(why) = overrides_outside_lab(&checked, args.lab) {
        bail!(why);
    }
    diagnostics(checked.settings.log.level);
    tell(&checked.warnings);
    for notice in notices(&checked) {
        say(&format!("egret: {notice}"));
    }
    let watch = watch(args, &checked);
    let drain_time = checked.settings.limits.drain_time;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    // Signals are caught from here on: one that comes during the start must not be lost.
    let signals = runtime
        .block_on(async { Signals::new() })
        .context("cannot catch signals")?;
    let options = GatewayOptions { log: None, passed };
    let gateway = Arc::new(Gateway::start(checked, options)?);
    let list = |addresses: &[SocketAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    tracing::info!(
        listening = list(gateway.proxy_addrs()),
        health = list(gateway.health_addrs()),
        admin = list(gateway.admin_addrs()),
        "ready"
    );
    runtime.block_on(serve(&gateway, signals, watch, args.lab, drain_time));
    Ok(Answer::Yes)
}

/// The listening sockets that systemd passes, if it does (sd_listen_fds(3)).
fn passed_sockets() -> anyhow::Result<Vec<TcpListener>> {
    let mut passed = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..passed.len() {
        let socket = passed
            .take_tcp_listener(index)
            .with_context(|| format!("socket {index} that was passed does not listen for TCP (ListenStream=)"))?;
        sockets.extend(socket);
    }
    Ok(sockets)
}

/// What can change while egret runs: a file, or the files of a policy.
fn watch(args: &RunArgs, checked: &Checked) -> Option<Watch> {
    let (hash, sources) = (checked.hash.clone(), checked.sources.clone());
    match &args.config.config {
        Some(path) => Some(Watch::new(path.clone(), hash, sources)),
        None if args.config.azure.is_given() => {
            let text = args.config.azure.toml(&args.listen);
            Some(Watch::of_text(COMMAND_LINE, text, hash, sources))
        }
        None => None,
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    /// A signal to reload came while a configuration was being read: what it is about may have been read before.
    again: bool,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            again: false,
        })
    }

    async fn next(&mut self) -> Wish {
        if take(&mut self.again) {
            return Wish::Reload;
        }
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = self.hang_up.recv() => Wish::Reload,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Wish {
    Stop,
    Reload,
}

/// Reloads on SIGHUP and on a change of the file, until a signal to stop; then drains.
async fn serve(
    gateway: &Arc<Gateway>,
    mut signals: Signals,
    mut watch: Option<Watch>,
    lab: bool,
    drain_time: Duration,
) {
    let mut look = time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let wish = tokio::select! {
            wish = signals.next() => Some(wish),
            _ = look.tick() => None,
        };
        if wish == Some(Wish::Reload) {
            // Whoever rotates the log from outside signals afterwards.
            gateway.log().reopen();
        }
        let changed = match (wish, &mut watch) {
            (Some(Wish::Stop), _) => break,
            (Some(Wish::Reload), Some(watch)) => watch.now().map(Some),
            (Some(Wish::Reload), None) => {
                tracing::info!("nothing to reload: the rules came from the command line");
                continue;
            }
            (None, Some(watch)) => match watch.poll() {
                Seen::Changed(bytes) => Ok(Some(bytes)),
                Seen::Fault(fault) => Err(fault),
                Seen::Nothing => Ok(None),
            },
            (None, None) => Ok(None),
        };
        match (changed, &mut watch) {
            (Ok(Some(bytes)), Some(watch)) => {
                let path = watch.path().display().to_string();
                let Some(checked) = read(gateway, &mut signals, &path, bytes).await else {
                    break;
                };
                match checked {
                    Ok(checked) => reload(gateway, watch, checked, lab),
                    Err(problems) => keep(gateway, &problems),
                }
            }
            (Err(fault), _) => keep(gateway, &fault),
            (Ok(_), _) => {}
        }
    }
    drain(gateway, signals, drain_time).await;
}

/// Lets open tunnels end; a second signal cuts them. The limit is that of the start: a reload cannot stretch a stop.
async fn drain(gateway: &Arc<Gateway>, mut signals: Signals, limit: Duration) {
    tracing::info!(
        connections = gateway.connections(),
        seconds = limit.as_secs(),
        "stopping: open tunnels may end"
    );
    let draining = gateway.clone();
    let mut drained = tokio::task::spawn_blocking(move || draining.drain(limit));
    loop {
        tokio::select! {
            _ = &mut drained => return,
            wish = signals.next() => if wish == Wish::Stop { gateway.hurry() },
        }
    }
}

/// Reads a configuration on a thread of its own: a large one takes seconds, which a stop does not wait for. `None`: a signal to
/// stop came first. A signal to reload in the meantime is followed afterwards.
async fn read(
    gateway: &Gateway,
    signals: &mut Signals,
    path: &str,
    bytes: Vec<u8>,
) -> Option<Result<Checked, Vec<Problem>>> {
    tracing::info!(path, "the configuration is read anew");
    let (send, checked) = oneshot::channel();
    let named = path.to_owned();
    let thread = thread::Builder::new().name("reload".into()).stack_size(READING_STACK);
    let started = thread.spawn(move || {
        // Nobody waits for it any more: a stop came first.
        let _ = send.send(config::from_bytes(&named, bytes));
    });
    let failed = |why: &dyn std::fmt::Display| {
        let found = format!("it cannot be read: {why}");
        Some(Err(vec![Problem::unplaced(path, found, "")]))
    };
    if let Err(error) = started {
        return failed(&error);
    }
    let checked = waiting(checked, signals, || gateway.log().reopen()).await?;
    checked.map_or_else(|error| failed(&error), Some)
}

/// What `answer` brings. `None`: a signal to stop came first. `reopen` follows a signal to reload at once, the rest of it afterwards.
async fn waiting<T>(
    mut answer: oneshot::Receiver<T>,
    signals: &mut Signals,
    mut reopen: impl FnMut(),
) -> Option<Result<T, oneshot::error::RecvError>> {
    let mut again = false;
    let answer = loop {
        tokio::select! {
            answer = &mut answer => break answer,
            wish = signals.next() => match wish {
                Wish::Stop => return None,
                Wish::Reload => {
                    reopen();
                    again = true;
                }
            },
        }
    };
    signals.again = again;
    Some(answer)
}

fn reload(gateway: &Gateway, watch: &mut Watch, checked: Checked, lab: bool) {
    if let Some(why) = overrides_outside_lab(&checked, lab) {
        let path = watch.path().display().to_string();
        return keep(gateway, &[Problem::unplaced(path, why, "")]);
    }
    watch.set_sources(checked.sources.clone());
    for warning in &checked.warnings {
        tracing::warn!("{}", warning.one_line());
    }
    for notice in notices(&checked) {
        tracing::warn!("{notice}");
    }
    let hash = checked.hash.clone();
    match gateway.reload(checked) {
        Ok((generation, revoked)) => tracing::info!(generation, %hash, revoked, "reloaded"),
        Err(error) => tracing::error!(%error, "not reloaded: the old configuration stays"),
    }
}

/// The old configuration stays (threats L-01 to L-04).
fn keep(gateway: &Gateway, problems: &[Problem]) {
    for problem in problems {
        tracing::error!("{}", problem.one_line());
    }
    tracing::error!("not reloaded: the old configuration stays");
    gateway.reload_failed(&problems.first().map_or_else(String::new, Problem::one_line));
}

fn overrides_outside_lab(checked: &Checked, lab: bool) -> Option<&'static str> {
    let refused = !lab && !checked.overrides.is_empty();
    refused.then_some("[[dial.override]] leads connections elsewhere than names say: it needs `run --lab`, and a lab")
}

/// What must not go unnoticed, each in one line.
fn notices(checked: &Checked) -> Vec<String> {
    let policy = &checked.policy;
    let rules = policy.collections().flat_map(|collection| match &collection.rules {
        Rules::Application(rules) => rules.as_slice(),
        Rules::Network(_) | Rules::Nat(_) => &[],
    });
    let mut notices = Vec::new();
    if rules.clone().next().is_none() {
        notices.push("NO RULES: every attempt is denied. Rules come from --allow or --config.".into());
    }
    if policy.mode == Mode::Audit {
        notices.push("AUDIT MODE: what the policy would deny is let through and recorded.".into());
    } else if policy.collections().any(|collection| collection.mode == Mode::Audit) {
        notices.push("AUDIT MODE in some collections: what they would deny is let through and recorded.".into());
    }
    let wide = rules.flat_map(|rule| &rule.targets).filter(|target| target.wide);
    let names: BTreeSet<String> = wide
        .map(|target| {
            target
                .tag
                .as_ref()
                .map_or_else(|| target.pattern.to_string(), |tag| format!("tag {tag}"))
        })
        .collect();
    for name in names {
        notices.push(format!(
            "WIDE: {name} admits every tenant's resources, an exfiltration path."
        ));
    }
    for denial in &policy.not_enforced {
        notices.push(format!("NOT ENFORCED: {}.", printable(denial)));
    }
    if !checked.overrides.is_empty() {
        notices.push("LAB: [[dial.override]] leads vetted addresses elsewhere.".into());
    }
    notices
}

/// Diagnostics go to standard error; standard output belongs to decision rows.
fn diagnostics(level: Level) {
    let level = match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_max_level(level)
        .with_target(false);
    // Another subscriber is there only in tests, and then it is the one that is wanted.
    let _ = subscriber.try_init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Sent, getpid, kill_process};

    #[tokio::test]
    async fn a_signal_to_reload_while_a_configuration_is_read_is_followed_afterwards() {
        // Signals that nothing else in this process uses stand for those of `egret run`.
        let (stop, again) = (SignalKind::user_defined1(), SignalKind::user_defined2());
        let mut signals = Signals {
            terminate: signal(stop).unwrap(),
            interrupt: signal(stop).unwrap(),
            hang_up: signal(again).unwrap(),
            again: false,
        };
        let (send, read) = oneshot::channel();
        let mut send = Some(send);
        kill_process(getpid(), Sent::USR2).unwrap();
        // It is read only once the signal has been seen.
        let read = waiting(read, &mut signals, || {
            let _ = send.take().map(|send| send.send("read"));
        });
        assert_eq!(read.await.map(Result::unwrap), Some("read"));
        let next = time::timeout(Duration::from_secs(10), signals.next());
        assert_eq!(next.await, Ok(Wish::Reload));
        let next = time::timeout(Duration::from_millis(10), signals.next());
        assert!(next.await.is_err(), "once");
    }
}
