//! What a reader must know of a run to judge its figures.

use std::{fs, process::Command};

/// Machine, commit and circumstances.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Rounds.
    pub rounds: u32,
    /// Part of the usual operations.
    pub scale: f64,
    /// Name and version of each peer.
    pub versions: Vec<String>,
    /// Peers without figures, and why.
    pub absent: Vec<String>,
    /// One-minute load average before the run.
    load_before: String,
}

impl Facts {
    /// Those of now.
    pub fn new(rounds: u32, scale: f64, versions: Vec<String>) -> Self {
        Self {
            rounds,
            scale,
            versions,
            absent: Vec::new(),
            load_before: load(),
        }
    }

    /// As Markdown.
    pub fn show(&self) -> String {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let memory = memory.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?
                .trim()
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()
        });
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let absent = match self.absent.is_empty() {
            true => String::new(),
            false => format!(" Not measured: {}.", self.absent.join("; ")),
        };
        format!(
            "{} cores of {}, {} GiB, Linux {}, all on loopback. egret at commit {}; peers: {}. {} rounds at {} of the usual \
             operations; load average {} before and {} after.{absent}\n\nA cell is the median (least-greatest) of the rounds. \
             Within a round the subjects take turns at each work; \"/ floor\" is the median of the ratios within each round. CPU is \
             utime + stime of the subject's processes alone.\n",
            egret_load::cores(),
            cpu.map_or("an unknown processor", |(_, name)| name),
            memory.unwrap_or_default().div_ceil(1 << 20),
            kernel.trim(),
            commit(),
            self.versions.join(", "),
            self.rounds,
            self.scale,
            self.load_before,
            load(),
        )
    }
}

fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn commit() -> String {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short", "HEAD"]).filter(|commit| !commit.is_empty());
    let changed =
        git(&["status", "--porcelain", "--", "src", "Cargo.toml", "Cargo.lock"]).is_some_and(|files| !files.is_empty());
    let changed = if changed { " with changes" } else { "" };
    format!("{}{changed}", commit.as_deref().unwrap_or("unknown"))
}
