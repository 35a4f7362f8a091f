//! What stands between client and upstream, as processes that this program starts and ends.

pub mod bare;
pub mod egret;
mod interrupted;

use crate::process::Tree;
pub use interrupted::end_subjects_with_us;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

/// How a subject is started.
#[derive(Clone, Debug, Default)]
pub struct Recipe {
    /// What is run.
    pub program: PathBuf,
    /// Its arguments; `FOLDER` in them is the run's folder.
    pub args: Vec<String>,
    /// Files that it reads: name in the run's folder, content; `FOLDER` in them as well.
    pub files: Vec<(&'static str, String)>,
    /// Where it logs each request. None if it does not.
    pub log: Option<AccessLog>,
    /// The port of its proxy.
    pub proxy: u16,
}

/// An access log.
#[derive(Clone, Copy, Debug)]
pub struct AccessLog {
    /// The file of the run's folder; `said` has what a subject prints.
    pub file: &'static str,
    /// What just one line of each request has in it.
    pub mark: &'static str,
}

/// How long a start or an end may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running subject. It ends, with all that it started, when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    folder: Folder,
    log: Option<AccessLog>,
    /// Its proxy.
    pub proxy: SocketAddr,
}

/// The folder of a run. It goes when this is dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Recipe {
    /// Starts it and waits until it accepts connections. Fails, with what it said, if it ends instead.
    pub fn start(&self) -> io::Result<Running> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("egret-load-{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        let run = Folder(folder);
        let folder = &run.0;
        let here = |text: &str| text.replace("FOLDER", &folder.to_string_lossy());
        for (name, content) in &self.files {
            fs::write(folder.join(name), here(content))?;
        }
        let said = File::create(folder.join("said"))?;
        let mut command = Command::new(&self.program);
        command
            .args(self.args.iter().map(|arg| here(arg)))
            .current_dir(folder)
            .stdin(std::process::Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said);
        let child = interrupted::spawn(&mut command, folder)
            .map_err(|e| io::Error::new(e.kind(), format!("cannot start {}: {e}", self.program.display())))?;
        let mut running = Running {
            child,
            folder: run,
            log: self.log,
            proxy: SocketAddr::from((Ipv4Addr::LOCALHOST, self.proxy)),
        };
        running.ready()?;
        Ok(running)
    }
}

impl Running {
    fn ready(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(self.proxy).is_err() {
            let ended = self.child.try_wait()?;
            if ended.is_some() || Instant::now() > deadline {
                let error = io::Error::other(format!("it does not listen on {}", self.proxy));
                return Err(self.explained(error));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// The error of a run with what this subject has to do with it: that it has ended, and what it said.
    pub fn explained(&mut self, error: io::Error) -> io::Error {
        const MOST: usize = 2048;
        let said = fs::read(self.folder.0.join("said")).unwrap_or_default();
        // It may be an access log.
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(MOST)..]);
        let mut text = error.to_string();
        if let Ok(Some(status)) = self.child.try_wait() {
            text += &format!("; it ended with {status}");
        }
        if !said.trim().is_empty() {
            text += &format!("; it said: {}", said.trim_end());
        }
        io::Error::new(error.kind(), text)
    }

    /// Its processes.
    pub fn tree(&self) -> Tree {
        Tree { pid: self.child.id() }
    }

    /// Ends it. The requests in its log, if it has one.
    pub fn stop(mut self) -> io::Result<Option<u64>> {
        self.end();
        let Some(AccessLog { file, mark }) = self.log else {
            return Ok(None);
        };
        let (lines, mut found) = (BufReader::new(File::open(self.folder.0.join(file))?), 0);
        for line in lines.split(b'\n') {
            found += u64::from(memchr::memmem::find(&line?, mark.as_bytes()).is_some());
        }
        Ok(Some(found))
    }

    fn end(&mut self) {
        self.end_with_patience();
        interrupted::remove(self.tree());
    }

    fn end_with_patience(&mut self) {
        for (with, patience) in [(Signal::TERM, Duration::from_secs(3)), (Signal::KILL, PATIENCE)] {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            send(with, &self.tree().pids().unwrap_or_default());
            let deadline = Instant::now() + patience;
            while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Sends it to every process of these.
fn send(with: Signal, pids: &[u32]) {
    for &pid in pids {
        // One that has ended already needs none.
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let _ = pid.map(|pid| kill_process(pid, with));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> io::Result<u16> {
    free_ports().map(|[port]| port)
}

/// Ports that were free a moment ago, each another: all are held until the last one is chosen. Free for UDP too: egret refuses
/// a forwarder on the port of a listener of its own, as the DNS server of this run may be.
pub fn free_ports<const N: usize>() -> io::Result<[u16; N]> {
    let mut held = Vec::with_capacity(N);
    let mut ports = [0; N];
    for port in &mut ports {
        while *port == 0 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let address = listener.local_addr()?;
            if UdpSocket::bind(address).is_ok() {
                *port = address.port();
            }
            held.push(listener);
        }
    }
    Ok(ports)
}

/// The folder that this program lies in, where its companions are.
pub fn own_folder() -> io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_owned())
}
