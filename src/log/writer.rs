//! The thread of one sink: takes the batches of its [`Queue`] and writes each at once, without ever tearing a line.

use super::{
    Form,
    queue::{Chunk, Lost, Queue},
    row::{LossCause, Row},
};
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Duration, SystemTime},
};

/// Pause between two looks at the batches: few writes under load, and a row is out before a person could look for it.
const BATCH_EVERY: Duration = Duration::from_millis(25);

/// Pause after a failed write: the first, and the longest after doubling.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Where the lines of a sink end up. Tests have outputs that fail on demand.
pub(super) trait Output: Send {
    /// Before `next` bytes are written: rotate, or open again what went away.
    fn ready(&mut self, next: usize) -> io::Result<()> {
        let _ = next;
        Ok(())
    }

    /// As [`io::Write::write`]; may block for as long as it likes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// A write failed when `partial` bytes of a line were out. True if they are taken back, or ended, so that the line can
    /// be written again from its start; false if it has to go on where it stopped.
    fn take_back(&mut self, partial: usize) -> bool {
        let _ = partial;
        false
    }

    /// Open again by name at the next chance: somebody renamed the file.
    fn reopen(&mut self) {}

    /// Bytes of a line that a process before this one left unfinished, and which were cut off.
    fn take_torn(&mut self) -> Option<usize> {
        None
    }
}

pub(super) struct Writer {
    queue: Arc<Queue>,
    output: Box<dyn Output>,
    form: Form,
    pending: VecDeque<Chunk>,
    /// Bytes of the first pending chunk that are written.
    at: usize,
    lost: Lost,
    retry: Duration,
}

impl Writer {
    pub(super) fn spawn(queue: Arc<Queue>, output: Box<dyn Output>, form: Form) -> io::Result<()> {
        let (pending, lost) = Default::default();
        let writer = Self {
            queue: queue.clone(),
            output,
            form,
            pending,
            at: 0,
            lost,
            retry: RETRY.0,
        };
        let thread = thread::Builder::new()
            .name(format!("log-{}", queue.name))
            .spawn(move || writer.run())?;
        queue.set_thread(thread.thread());
        Ok(())
    }

    fn run(mut self) {
        loop {
            let orders = self.queue.orders();
            let moved = self.turn(orders.closing);
            if orders.closing {
                // Nothing is left here unless the last write failed.
                self.queue.take(&mut self.pending, &mut self.lost, true);
                self.give_up();
                // Whoever waits for the end may open the file again at once.
                let queue = self.queue.clone();
                drop(self);
                return queue.settle(orders.asked, true);
            }
            self.queue.settle(orders.asked, false);
            match moved {
                Ok(true) => thread::park_timeout(BATCH_EVERY),
                Ok(false) => self.queue.sleep(orders),
                Err(()) => {
                    thread::park_timeout(self.retry);
                    self.retry = (self.retry * 2).min(RETRY.1);
                }
            }
        }
    }

    /// One look at the queue: whether there was anything to write. `Err` if it could not be written.
    fn turn(&mut self, closing: bool) -> Result<bool, ()> {
        if self.queue.take_reopen() {
            self.output.reopen();
        }
        let (mut taken, mut moved) = (false, false);
        loop {
            // While the sink fails, lines stay where they are: that is what bounds them.
            if self.pending.is_empty() && !std::mem::replace(&mut taken, true) {
                self.queue.take(&mut self.pending, &mut self.lost, closing);
            }
            if self.pending.is_empty() {
                self.say_lost();
            }
            let Some(chunk) = self.pending.front() else {
                return Ok(moved);
            };
            moved = true;
            match write_lines(&mut *self.output, &chunk.bytes, &mut self.at) {
                Ok(()) => self.written(),
                Err(error) => return self.failed(&error),
            }
        }
    }

    fn written(&mut self) {
        let Some(chunk) = self.pending.pop_front() else { return };
        self.at = 0;
        self.retry = RETRY.0;
        self.queue.set_trouble(None);
        self.queue.counts.rows.fetch_add(chunk.rows, Relaxed);
        self.queue.counts.bytes.fetch_add(chunk.bytes.len() as u64, Relaxed);
        self.queue.release(chunk);
    }

    fn failed(&mut self, error: &io::Error) -> Result<bool, ()> {
        self.queue.counts.failures.fetch_add(1, Relaxed);
        self.queue.set_trouble(Some(error.to_string()));
        // Nobody will ever read this pipe again: its rows would only hold memory.
        if error.kind() == ErrorKind::BrokenPipe {
            self.give_up();
        }
        Err(())
    }

    /// Counts what is pending as lost.
    fn give_up(&mut self) {
        self.at = 0;
        for chunk in std::mem::take(&mut self.pending) {
            self.queue.counts.dropped.fetch_add(chunk.rows, Relaxed);
            self.queue.release(chunk);
        }
    }

    /// Puts a loss row in line, if there is a loss to tell.
    fn say_lost(&mut self) {
        let mut torn = Lost::default();
        if let Some(bytes) = self.output.take_torn() {
            torn.add(bytes, SystemTime::now());
        }
        for (lost, cause) in [
            (torn, LossCause::Torn),
            (std::mem::take(&mut self.lost), LossCause::QueueFull),
        ] {
            if let Some(loss) = lost.row(self.queue.name, cause) {
                let mut bytes = Vec::new();
                self.form.push(&mut bytes, &Row::Loss(loss));
                self.pending.push_back(Chunk::own(bytes));
            }
        }
    }
}

/// Writes the lines of `bytes` from `at` on. After an error `at` is where to go on.
fn write_lines(output: &mut dyn Output, bytes: &[u8], at: &mut usize) -> io::Result<()> {
    let result = output.ready(bytes.len() - *at).and_then(|()| {
        while *at < bytes.len() {
            match output.write(&bytes[*at..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => *at += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    if result.is_err() {
        let line = bytes[..*at].iter().rposition(|&b| b == b'\n').map_or(0, |end| end + 1);
        if *at > line && output.take_back(*at - line) {
            *at = line;
        }
    }
    result
}

#[cfg(test)]
mod tests;
