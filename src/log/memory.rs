//! A sink in memory: what tests and the lab read back. A row is there as soon as it was written.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Lines kept; older ones go first. The lab stays up for as long as someone looks at it.
const KEPT_LINES: usize = 65_536;

/// How long [`MemoryLog::wait_for`] waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// The reading end of [`Log::memory`](super::Log::memory).
#[derive(Clone, Default)]
pub struct MemoryLog {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    lines: Mutex<VecDeque<Box<str>>>,
    changed: Condvar,
}

impl MemoryLog {
    /// The rows so far, oldest first, without their line ends. At most 65 536: older ones are forgotten.
    pub fn lines(&self) -> Vec<String> {
        self.locked().iter().map(|line| line.to_string()).collect()
    }

    /// The rows so far, parsed.
    ///
    /// # Panics
    /// If a row is not JSON.
    pub fn rows(&self) -> Vec<serde_json::Value> {
        self.locked()
            .iter()
            .map(|line| serde_json::from_str(line).expect("a row is one JSON object"))
            .collect()
    }

    /// The first line that matches, now or within ten seconds. Blocks the thread.
    pub fn wait_for(&self, matches: impl Fn(&str) -> bool) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.locked();
        loop {
            if let Some(found) = lines.iter().find(|line| matches(line)) {
                return Some(found.to_string());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            lines = self
                .inner
                .changed
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Forgets the rows so far.
    pub fn clear(&self) {
        self.locked().clear();
    }

    pub(super) fn push(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(line)).into();
        let mut lines = self.locked();
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
        self.inner.changed.notify_all();
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Box<str>>> {
        self.inner.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.locked().iter()).finish()
    }
}
