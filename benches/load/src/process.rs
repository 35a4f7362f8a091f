//! What the kernel says of a process and everything that it started, from `/proc` (proc(5)).

use rustix::time::{ClockId, clock_gettime};
use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// A tree of processes.
#[derive(Clone, Copy, Debug)]
pub struct Tree {
    /// Its root.
    pub pid: u32,
}

/// What a tree has used and holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// Resident memory, in bytes.
    pub resident: u64,
    /// Most resident memory since [`Tree::forget_peak`], in bytes.
    pub peak: u64,
    /// Open file descriptors.
    pub files: u64,
}

/// CPU time of this process, threads that have ended included.
pub fn own_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

impl Tree {
    /// The root and all its descendants that live. Fails if the root has ended, be it that nobody has asked for its status yet.
    pub fn pids(self) -> io::Result<Vec<u32>> {
        let state = fields(self.pid).and_then(|fields| fields.into_iter().next());
        if state.is_none_or(|state| state == "Z") {
            let text = format!("there is no process {}, or no longer", self.pid);
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for entry in fs::read_dir("/proc")? {
            let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            // Others may end while we look.
            if let Some((pid, parent)) = pid.and_then(|pid| Some((pid, fields(pid)?.get(1)?.parse().ok()?))) {
                children.entry(parent).or_default().push(pid);
            }
        }
        let mut tree = vec![self.pid];
        let mut next = 0;
        while let Some(pid) = tree.get(next) {
            tree.extend(children.remove(pid).unwrap_or_default());
            next += 1;
        }
        Ok(tree)
    }

    /// What it has used by now. Fails if the root has ended.
    pub fn usage(self) -> io::Result<Usage> {
        let mut usage = Usage::default();
        for pid in self.pids()? {
            usage.cpu += cpu(pid);
            let status = fs::read_to_string(of(pid, "status")).unwrap_or_default();
            usage.resident += kib(&status, "VmRSS:") * 1024;
            usage.peak += kib(&status, "VmHWM:") * 1024;
            usage.files += fs::read_dir(of(pid, "fd")).map_or(0, |files| files.count() as u64);
        }
        Ok(usage)
    }

    /// Starts the peak anew.
    pub fn forget_peak(self) -> io::Result<()> {
        for pid in self.pids()? {
            // Refused for processes of another user: their peak is then that of their life.
            let _ = fs::write(of(pid, "clear_refs"), "5");
        }
        Ok(())
    }
}

fn of(pid: u32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

/// The fields of `/proc/PID/stat` after the name, which may hold blanks: state, parent, ..
fn fields(pid: u32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(of(pid, "stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// utime and stime count in ticks of 10 ms and keep the time of threads that have ended; the schedstat of the living ones
/// counts in nanoseconds. Each is at most the truth, so the larger is nearer.
fn cpu(pid: u32) -> Duration {
    let ticks: u64 = fields(pid)
        .iter()
        .flat_map(|fields| fields.iter().skip(11).take(2))
        .filter_map(|ticks| ticks.parse::<u64>().ok())
        .sum();
    let tasks = fs::read_dir(of(pid, "task")).into_iter().flatten().flatten();
    let nanos = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_millis(ticks * 10).max(Duration::from_nanos(nanos.sum()))
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_has_ended_has_no_usage() {
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let tree = Tree { pid: child.id() };
        // It is not waited for: what is left of it still has a folder in /proc.
        let ended = (0..1000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            tree.usage().is_err()
        });
        child.wait().expect("it was started here");
        assert!(ended, "it has a usage after ten seconds");
    }

    #[test]
    fn processor_time_of_this_process_grows_as_it_works() {
        let tree = Tree {
            pid: std::process::id(),
        };
        let (before, own) = (tree.usage().expect("it lives"), own_cpu());
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(50) {
            std::hint::black_box(fields(tree.pid));
        }
        let after = tree.usage().expect("it lives");
        assert!(own_cpu() > own && own > Duration::ZERO);
        assert!(after.cpu > before.cpu && after.resident > 1 << 20 && after.files > 0);
    }
}
