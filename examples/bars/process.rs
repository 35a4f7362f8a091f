//! The gateway as a process of its own: started, asked, reloaded and ended as a user would, and read from `/proc`.

use crate::rows::{self, OnRow};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How long a start, a reload or a stop may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Pause between two looks at whether something has happened.
const LOOK_EVERY: Duration = Duration::from_micros(500);

/// How a gateway is run.
#[derive(Clone, Debug)]
pub enum How {
    /// `egret run --lab --config FILE` of this binary.
    Binary(PathBuf),
    /// `bars serve`: the library's `Gateway` inside a program, which reloads it without signals.
    Library,
}

/// A running gateway.
pub struct Egret {
    child: Child,
    how: How,
    stderr: Option<JoinHandle<()>>,
    rows: Option<JoinHandle<()>>,
    folder: PathBuf,
    spawned: Instant,
    /// Where the proxy listens.
    pub proxy: SocketAddr,
    health: SocketAddr,
}

/// What the kernel says of a process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Resident memory, in bytes.
    pub rss: i64,
    /// Open file descriptors.
    pub fds: i64,
    /// CPU time so far, user and system.
    pub cpu: Duration,
}

impl Egret {
    /// Starts a gateway with listeners on free ports and the rest of its configuration as given. Every row goes to
    /// `on_row`.
    pub fn spawn(how: &How, config: &str, on_row: OnRow) -> io::Result<Self> {
        let mut command = match how {
            How::Binary(path) => Command::new(path),
            How::Library => Command::new(std::env::current_exe()?),
        };
        match how {
            How::Binary(_) => command.args(["run", "--lab", "--config"]),
            How::Library => command.arg("serve"),
        };
        command.stdin(Stdio::piped());
        let [proxy, health, admin] = free_ports()?;
        Self::start(command, how, [proxy, health, admin], config, on_row)
    }

    /// `egret run` with a proxy port that listens already, passed as systemd does it (sd_listen_fds(3)): descriptor 3, and
    /// variables with the process's own id, which a shell sets before it becomes the gateway.
    pub fn passed(binary: &Path, config: &str, proxy: &TcpListener, on_row: OnRow) -> io::Result<Self> {
        const BECOME: &str = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
        let mut command = Command::new("sh");
        command
            .args(["-c", BECOME, "sh"])
            .arg(binary)
            .args(["run", "--lab", "--config"]);
        command.stdin(OwnedFd::from(proxy.try_clone()?));
        let [health, admin, _] = free_ports()?;
        let addresses = [proxy.local_addr()?, health, admin];
        Self::start(command, &How::Binary(binary.into()), addresses, config, on_row)
    }

    fn start(
        mut command: Command,
        how: &How,
        [proxy, health, admin]: [SocketAddr; 3],
        config: &str,
        on_row: OnRow,
    ) -> io::Result<Self> {
        let folder = folder()?;
        let listeners =
            format!("[listeners]\nproxy = [\"{proxy}\"]\nhealth = [\"{health}\"]\nadmin = [\"{admin}\"]\n\n");
        fs::write(folder.join("listeners.toml"), &listeners)?;
        let file = folder.join("egret.toml");
        fs::write(&file, listeners + config)?;
        let spawned = Instant::now();
        let mut started = started();
        let mut child = command
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| io::Error::new(e.kind(), format!("cannot start {:?}: {e}", command.get_program())))?;
        started.push((child.id(), folder.clone()));
        drop(started);
        let stdout = child.stdout.take().expect("stdout was piped");
        let stderr = child.stderr.take().expect("stderr was piped");
        Ok(Self {
            rows: Some(thread::spawn(move || rows::read(stdout, on_row))),
            stderr: Some(thread::spawn(move || show_faults(stderr))),
            how: how.clone(),
            child,
            folder,
            spawned,
            proxy,
            health,
        })
    }

    /// Waits until `/readyz` says 200. The time since the process was started.
    pub fn ready(&mut self) -> io::Result<Duration> {
        self.wait("ready", |egret| {
            egret
                .ask("/readyz")
                .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 "))
        })?;
        Ok(self.spawned.elapsed())
    }

    /// Swaps the configuration and waits until a new generation is in force.
    pub fn reload(&mut self, config: &str) -> io::Result<()> {
        let (before, _) = self.policy()?;
        let file = self.write_config("egret.toml", config)?;
        match self.how {
            How::Binary(_) => kill_process(Pid::from_child(&self.child), Signal::HUP)?,
            How::Library => self.tell(&format!("reload {}", file.display()))?,
        }
        self.wait("a new generation", |egret| {
            egret.policy().is_ok_and(|(now, _)| now != before)
        })
    }

    /// Lets a gateway of the library swap two configurations `rate` times a second, and waits for the end.
    pub fn storm(&mut self, rate: u64, seconds: u64, configs: [&str; 2]) -> io::Result<()> {
        let (before, _) = self.policy()?;
        let one = self.write_config("one.toml", configs[0])?;
        let other = self.write_config("other.toml", configs[1])?;
        self.tell(&format!("storm {rate} {seconds} {} {}", one.display(), other.display()))?;
        thread::sleep(Duration::from_secs(seconds));
        self.wait("the last reload of a storm", |egret| {
            thread::sleep(Duration::from_millis(10));
            egret.policy().is_ok_and(|(now, _)| now >= before + rate * seconds)
        })
    }

    /// Allocations of a gateway of the library so far.
    pub fn allocations(&mut self) -> io::Result<u64> {
        let file = self.folder.join("allocations");
        self.tell(&format!("allocations {}", file.display()))?;
        self.wait("a count", |_| file.exists())?;
        let text = fs::read_to_string(&file)?;
        fs::remove_file(file)?;
        text.parse().map_err(io::Error::other)
    }

    /// Replaces a file in one step. The listeners stay as they are.
    fn write_config(&self, name: &str, config: &str) -> io::Result<PathBuf> {
        let listeners = fs::read_to_string(self.folder.join("listeners.toml"))?;
        let (next, file) = (self.folder.join("next"), self.folder.join(name));
        fs::write(&next, listeners + config)?;
        fs::rename(next, &file)?;
        Ok(file)
    }

    /// A command for `bars serve`.
    fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().expect("stdin was piped");
        writeln!(stdin, "{line}")
    }

    /// Generation and hash of the policy in force, as readiness says.
    pub fn policy(&self) -> io::Result<(u64, String)> {
        let answer = self.ask("/readyz")?;
        let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(body).map_err(io::Error::other)?;
        match (body["generation"].as_u64(), body["policy_hash"].as_str()) {
            (Some(generation), Some(hash)) => Ok((generation, hash.into())),
            _ => Err(io::Error::other(format!("readiness tells no policy: {body}"))),
        }
    }

    /// The whole answer of the health listener.
    fn ask(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.health)?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn wait(&mut self, what: &str, mut happened: impl FnMut(&Self) -> bool) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !happened(self) {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!(
                    "the gateway ended, {status}, instead of: {what}"
                )));
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("waited {PATIENCE:?} in vain for: {what}")));
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What the kernel says of it now. Fails if it has ended.
    pub fn facts(&self) -> io::Result<Facts> {
        facts(self.pid())
    }

    /// SIGTERM, and its exit. Every row has been seen when this returns.
    pub fn stop(mut self) -> io::Result<()> {
        match self.how {
            How::Binary(_) => kill_process(Pid::from_child(&self.child), Signal::TERM)?,
            How::Library => drop(self.child.stdin.take()),
        }
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait()? {
                Some(status) => break status,
                None if Instant::now() > deadline => return Err(io::Error::other("it did not end when told to")),
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        for reader in [self.rows.take(), self.stderr.take()].into_iter().flatten() {
            let _ = reader.join();
        }
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("it ended with {status}")))
        }
    }
}

/// What the kernel says of a process. Fails if it has ended.
pub fn facts(pid: u32) -> io::Result<Facts> {
    let of = |name: &str| Path::new("/proc").join(pid.to_string()).join(name);
    let status = fs::read_to_string(of("status"))?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = rss.and_then(|rss| rss.split_whitespace().next()?.parse::<i64>().ok());
    let stat = fs::read_to_string(of("stat"))?;
    // utime and stime are fields 14 and 15 (proc(5)); the name before them may hold blanks and ends with ')'.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Ok(Facts {
        rss: kib.unwrap_or_default() * 1024,
        fds: i64::try_from(fs::read_dir(of("fd"))?.count()).unwrap_or(i64::MAX),
        cpu: Duration::from_millis(ticks * 10),
    })
}

impl Drop for Egret {
    fn drop(&mut self) {
        // Nothing of a run that failed half-way may be left behind; after `stop` both are gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        started().retain(|(pid, _)| *pid != self.child.id());
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The process of each gateway that runs, and its folder.
static STARTED: Mutex<Vec<(u32, PathBuf)>> = Mutex::new(Vec::new());

fn started() -> MutexGuard<'static, Vec<(u32, PathBuf)>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on SIGINT, SIGTERM and SIGHUP, unless they are ignored, end every gateway that runs, and then this program, with 128 and
/// the signal's number: one that stayed would have part of the machine in every later run. Where no thread or signal can be had they
/// end this program alone.
pub fn end_gateways_with_us() {
    let _ = thread::Builder::new().name("signals".into()).spawn(move || {
        let number = crate::block_on(crate::signals::first());
        // Held to the end: nothing is started any more.
        let started = started();
        for (pid, folder) in started.iter() {
            let pid = i32::try_from(*pid).ok().and_then(Pid::from_raw);
            // As when it is dropped: told to end in order, it would first wait for its tunnels.
            let _ = pid.map(|pid| kill_process(pid, Signal::KILL));
            let _ = fs::remove_dir_all(folder);
        }
        std::process::exit(128 + number);
    });
}

fn folder() -> io::Result<PathBuf> {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("egret-bars-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder)?;
    Ok(folder)
}

/// Ports that were free a moment ago: a start that loses one to somebody else fails and says so.
fn free_ports() -> io::Result<[SocketAddr; 3]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = [bind()?, bind()?, bind()?];
    Ok([held[0].local_addr()?, held[1].local_addr()?, held[2].local_addr()?])
}

/// Passes on what is not the ordinary course of things; a storm of reloads says so a hundred times a second.
fn show_faults(stderr: ChildStderr) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if ["ERROR", "panicked", "error:", "failed", "bars:"]
            .iter()
            .any(|sign| line.contains(sign))
        {
            eprintln!("  | {line}");
        }
    }
}
