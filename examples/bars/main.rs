//! The bars that egret is held to, measured on the real binary: a table of figures, and exit code 1 if one is missed.
//!
//! ```text
//! cargo build --release && cargo run --release --example bars -- start
//! cargo run --release --example bars -- reload
//! cargo run --release --example bars -- slow
//! cargo run --release --example bars -- soak
//! cargo run --release --example bars -- calls
//! cargo run --release --example bars -- allocations
//! cargo run --release --example bars -- idle
//! cargo run --release --example bars -- restart
//! ```
//!
//! Every run brings its own upstream and DNS server on loopback, starts the gateway as a process and ends it. Figures are
//! counts, ratios within one run and slopes, but for memory and the time to ready. Flags scale each run down for CI.

mod calls;
mod idle;
mod process;
mod reload;
mod report;
mod restart;
mod rows;
#[path = "../../benches/load/src/signals.rs"]
mod signals;
mod slow;
mod soak;
mod start;
mod tunnel;
mod world;

use clap::{Parser, Subcommand};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::{
    alloc::System,
    io,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

/// Counts for `allocations`, whose gateway is `bars serve`. Everything else asks the binary, which has an allocator of its own.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Parser)]
#[command(about = "Measure egret against its bars")]
struct Args {
    /// The binary; default: `egret` of this build profile.
    #[arg(long, global = true)]
    egret: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Size, time to ready, idle memory.
    Start(start::StartArgs),
    /// Reloads under load.
    Reload(reload::ReloadArgs),
    /// Slow and silent clients.
    Slow(slow::SlowArgs),
    /// Many tunnels, many names.
    Soak(soak::SoakArgs),
    /// System calls of a tunnel and of a denial; needs strace.
    Calls(calls::CallsArgs),
    /// Allocations of a tunnel and of a denial.
    Allocations(calls::CallsArgs),
    /// Memory of tunnels that say nothing, and what is left of it.
    Idle(idle::IdleArgs),
    /// Restarts on a listening socket that outlives them.
    Restart(restart::RestartArgs),
    /// A gateway in this process, reloaded by its library: what `reload --by library` starts.
    #[command(hide = true)]
    Serve {
        /// Its configuration.
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let args = Args::parse();
    raise_file_limit();
    process::end_gateways_with_us();
    let done = binary(args.egret).and_then(|egret| match args.what {
        What::Start(args) => start::run(&egret, &args),
        What::Reload(args) => reload::run(&egret, &args),
        What::Slow(args) => slow::run(&egret, &args),
        What::Soak(args) => soak::run(&egret, &args),
        What::Calls(args) => calls::system_calls(&egret, &args),
        What::Allocations(args) => calls::allocations(&args),
        What::Idle(args) => idle::run(&egret, &args),
        What::Restart(args) => restart::run(&egret, &args),
        What::Serve { config } => reload::serve(&config).map(|()| true),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("bars: {error}");
            ExitCode::from(2)
        }
    }
}

/// `target/PROFILE/egret`, two folders above `target/PROFILE/examples/bars`.
fn binary(asked: Option<PathBuf>) -> io::Result<PathBuf> {
    let default = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("egret"));
    let path = asked.or_else(default).unwrap_or_default();
    if path.is_file() {
        Ok(path)
    } else {
        let text = format!("{} is not there; build it first: cargo build --release", path.display());
        Err(io::Error::new(io::ErrorKind::NotFound, text))
    }
}

/// Each client is a descriptor here and two in the gateway, which inherits the limit.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        eprintln!("bars: the limit on open files stays as it is: {error}");
    }
}

/// A configuration's rules: these names for everybody on port 443.
fn policy(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!(
        "[[application_rule_collection]]\nname = \"load\"\npriority = 100\naction = \"Allow\"\n\n\
         [[application_rule_collection.rule]]\nname = \"load\"\ndestination_fqdns = [{}]\n",
        names.join(", ")
    )
}

/// Lets every other thread go first, from now on: of this thread alone (Linux).
fn stand_behind() {
    let _ = rustix::process::nice(19);
}

/// Runs a future of this tool: one thread is enough to load a gateway on the other cores.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a process that just started can have a runtime")
        .block_on(future)
}

/// Evenly spaced moments. One that was missed comes at once, so that the count over a run is right.
struct Pace {
    begin: Instant,
    per_second: f64,
    count: u64,
}

impl Pace {
    fn new(per_second: f64) -> Self {
        Self {
            begin: Instant::now(),
            per_second,
            count: 0,
        }
    }

    /// Resolves at the next moment.
    async fn next(&mut self) {
        let due = Duration::from_secs_f64(self.count as f64 / self.per_second);
        self.count += 1;
        match due.checked_sub(self.begin.elapsed()) {
            Some(left) => tokio::time::sleep(left).await,
            None => tokio::task::yield_now().await,
        }
    }
}
