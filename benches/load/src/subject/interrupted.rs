//! What this program started ends with it, also where a signal ends it (`timeout`, Ctrl-C): a proxy that stayed would have part
//! of the machine in every later run.

use super::send;
use crate::{process::Tree, signals};
use rustix::process::Signal;
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Child, Command, exit},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// How long subjects may take to end.
const PATIENCE: Duration = Duration::from_secs(3);

/// The process of each subject that runs, and its folder.
static STARTED: Mutex<Vec<(Tree, PathBuf)>> = Mutex::new(Vec::new());

fn started() -> MutexGuard<'static, Vec<(Tree, PathBuf)>> {
    STARTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a subject. None is between its start and the list when a signal comes.
pub(super) fn spawn(command: &mut Command, folder: &Path) -> io::Result<Child> {
    let mut started = started();
    let child = command.spawn()?;
    started.push((Tree { pid: child.id() }, folder.to_owned()));
    Ok(child)
}

pub(super) fn remove(tree: Tree) {
    started().retain(|(other, _)| other.pid != tree.pid);
}

/// From now on SIGINT, SIGTERM and SIGHUP, unless they are ignored, end every subject that runs, and then this program, with 128
/// and the signal's number. Where no thread or signal can be had they end this program alone, as they do without this.
pub fn end_subjects_with_us() {
    let _ = thread::Builder::new().name("signals".into()).spawn(|| {
        let number = crate::block_on(signals::first());
        // Held to the end: nothing is started any more.
        let started = started();
        let trees = started.iter().flat_map(|(tree, _)| tree.pids().unwrap_or_default());
        let pids: Vec<u32> = trees.collect();
        send(Signal::TERM, &pids);
        let (begin, live) = (Instant::now(), |pid: &u32| Tree { pid: *pid }.pids().is_ok());
        while pids.iter().any(live) && begin.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
        // The others' numbers may be those of strangers by now.
        let left: Vec<u32> = pids.into_iter().filter(live).collect();
        send(Signal::KILL, &left);
        for (_, folder) in started.iter() {
            let _ = fs::remove_dir_all(folder);
        }
        exit(128 + number);
    });
}
