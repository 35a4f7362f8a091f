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
#[cfg(test)]
mod counted;
mod diagnostics;
mod escape;
mod file;
mod json;
mod memory;
mod queue;
mod row;
mod stdout;
mod text;
mod time;
mod writer;

pub use crate::policy::Transport;
pub use memory::MemoryLog;
pub(crate) use row::let_through;
pub use row::{
    ApplicationAggregate, ApplicationRow, DnsQueryRow, FatFlowRow, FlowEnd, FlowEndKind, FlowId, FlowTraceRow, IdpsRow,
    Loss, LossCause, NameSource, NatAggregate, NatRow, NetworkAggregate, NetworkRow, Packets, ResolveFailureRow, Row,
    Spoken, Stage, ThreatAction, ThreatIntelRow, TraceFlag,
};

use crate::config::settings::{Azure, Limits, LogFormat, LogSettings, OnFull};
use azfw::Envelope;
use file::RotatingFile;
use queue::Queue;
use std::{
    cell::RefCell,
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};
use stdout::Stdout;
use writer::{Output, Writer};

/// How long a stop waits for a sink that does not move.
const PATIENCE: Duration = Duration::from_secs(5);

/// The writing end: cheap to clone, shared by all threads. The last one that is dropped closes the sinks.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    form: Form,
    sinks: Vec<Arc<Queue>>,
    memory: Option<MemoryLog>,
}

/// How a row becomes a line.
#[derive(Clone)]
enum Form {
    Azure(Arc<Envelope>),
    AzureDiagnostics(Arc<Envelope>),
    Text(Arc<Envelope>),
}

/// A sink could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the decision log {sink}: {cause}")]
pub struct LogError {
    /// Path of the file, or `stdout`.
    sink: String,
    cause: std::io::Error,
}

/// How one sink fares, for metrics and health.
#[derive(Clone, Debug)]
pub struct SinkStatus {
    /// `stdout` or `file`.
    pub sink: &'static str,
    /// Rows written.
    pub rows: u64,
    /// Bytes written, loss rows included.
    pub bytes: u64,
    /// Rows lost.
    pub dropped: u64,
    /// Writes that failed.
    pub failures: u64,
    /// Bytes of the queue in use.
    pub waiting: usize,
    /// What is wrong now: readiness is degraded.
    pub trouble: Option<String>,
}

impl Log {
    /// Opens the sinks of the settings and starts a thread for each.
    ///
    /// # Errors
    /// A sink cannot be opened: egret does not start without the log that it was asked for.
    pub fn start(settings: &LogSettings, azure: &Azure, limits: &Limits) -> Result<Log, LogError> {
        let form = Form::new(settings.format, azure);
        let mut sinks = Vec::new();
        if settings.stdout {
            let failed = |cause| LogError {
                sink: "stdout".into(),
                cause,
            };
            let output = Stdout::open().map_err(failed)?;
            sinks.push(start_sink("stdout", OnFull::Drop, limits, Box::new(output), &form).map_err(failed)?);
        }
        if let Some(file) = &settings.file {
            let failed = |cause| LogError {
                sink: file.path.display().to_string(),
                cause,
            };
            let output = RotatingFile::open(file.clone()).map_err(failed)?;
            sinks.push(start_sink("file", file.on_full, limits, Box::new(output), &form).map_err(failed)?);
        }
        Ok(Self::of(form, sinks, None))
    }

    /// A log that keeps its rows in memory, in Azure's form, for tests and the lab.
    pub fn memory() -> (Log, MemoryLog) {
        let memory = MemoryLog::default();
        let form = Form::new(LogFormat::Azure, &Azure::default());
        (Self::of(form, Vec::new(), Some(memory.clone())), memory)
    }

    fn of(form: Form, sinks: Vec<Arc<Queue>>, memory: Option<MemoryLog>) -> Self {
        Self {
            inner: Arc::new(Inner { form, sinks, memory }),
        }
    }

    /// The line that a sink of this form would get, line end included.
    pub fn line(format: LogFormat, azure: &Azure, row: &Row<'_>) -> String {
        let mut line = Vec::new();
        Form::new(format, azure).push(&mut line, row);
        String::from_utf8(line).expect("escaping leaves no byte that is not UTF-8")
    }

    /// Writes one row to every sink. Never waits for a sink.
    pub fn write(&self, row: &Row<'_>) {
        thread_local!(static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        // A thread that is ending has no buffer of its own any more.
        LINE.try_with(|line| self.share(&mut line.borrow_mut(), row))
            .unwrap_or_else(|_| self.share(&mut Vec::new(), row));
    }

    fn share(&self, line: &mut Vec<u8>, row: &Row<'_>) {
        line.clear();
        self.inner.form.push(line, row);
        for sink in &self.inner.sinks {
            sink.append(line, row.time());
        }
        if let Some(memory) = &self.inner.memory {
            memory.push(line);
        }
    }

    /// Whether new flows may start: false while a sink with `on_full = "deny"` cannot be written, or has a quarter of its
    /// queue left. Open flows may go on; their rows still find room.
    pub fn accepts_new_flows(&self) -> bool {
        self.inner.sinks.iter().all(|sink| sink.accepts())
    }

    /// How each sink fares.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.inner.sinks.iter().map(|sink| status(sink)).collect()
    }

    /// Opens the file again by its name: whoever rotates it from outside renames it first. Rows that were decided before
    /// may still go to the new file, never to both.
    pub fn reopen(&self) {
        self.inner.sinks.iter().for_each(|sink| sink.ask_to_reopen());
    }

    /// Waits until every row written before is with the system, or was tried, at most five seconds. Blocks the thread.
    pub fn flush(&self) {
        for sink in &self.inner.sinks {
            sink.flush(false, PATIENCE);
        }
    }

    /// [`Log::flush`], then ends the sinks. Rows written later are counted as lost. Blocks the thread.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn close(&self) {
        for sink in &self.sinks {
            if !sink.flush(true, PATIENCE) {
                tracing::warn!(
                    sink = sink.name,
                    "decision log does not move: what waits for it is lost"
                );
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("sinks", &self.status())
            .finish_non_exhaustive()
    }
}

impl Form {
    fn new(format: LogFormat, azure: &Azure) -> Self {
        let envelope = Arc::new(Envelope::new(azure));
        match format {
            LogFormat::Azure => Self::Azure(envelope),
            LogFormat::AzureDiagnostics => Self::AzureDiagnostics(envelope),
            LogFormat::Text => Self::Text(envelope),
        }
    }

    fn push(&self, out: &mut Vec<u8>, row: &Row<'_>) {
        match self {
            Self::Azure(envelope) => envelope.push(out, row),
            Self::AzureDiagnostics(envelope) => diagnostics::push(out, envelope, row),
            Self::Text(envelope) => text::push(out, envelope, row),
        }
    }
}

fn start_sink(
    name: &'static str,
    on_full: OnFull,
    limits: &Limits,
    output: Box<dyn Output>,
    form: &Form,
) -> std::io::Result<Arc<Queue>> {
    let queue = Arc::new(Queue::new(name, on_full, limits.log_queue_bytes, azfw::MAX_ROW_BYTES));
    Writer::spawn(queue.clone(), output, form.clone())?;
    Ok(queue)
}

fn status(sink: &Queue) -> SinkStatus {
    SinkStatus {
        sink: sink.name,
        rows: sink.counts.rows.load(Relaxed),
        bytes: sink.counts.bytes.load(Relaxed),
        dropped: sink.counts.dropped.load(Relaxed),
        failures: sink.counts.failures.load(Relaxed),
        waiting: sink.waiting(),
        trouble: sink.trouble(),
    }
}

/// Whether these bytes are the start of a row, in either form, however short.
fn starts_a_row(bytes: &[u8]) -> bool {
    let azure = azfw::START.iter().zip(bytes).all(|(a, b)| a == b);
    azure || bytes.iter().take(4).all(u8::is_ascii_digit)
}
