//! What waits for one sink: a batch per stripe of threads, bounded in bytes, and what could not be kept.
//!
//! A thread locks only its own stripe, which no other flow thread uses, for the time of one copy. The bound is shared: it
//! is reserved a chunk at a time, so that one write in a hundred touches it.

use super::row::{Loss, LossCause};
use crate::config::settings::OnFull;
use crate::proof::{Guard, off};
use crate::stripe::{self, Padded, STRIPES};
use std::{
    sync::{
        Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Acquire, Relaxed, Release},
        },
    },
    thread::Thread,
    time::{Duration, Instant, SystemTime},
};

/// Bytes of a batch that are written at once: a pipe holds as many, and larger writes to a file gain nothing.
const CHUNK_BYTES: usize = 64 << 10;

/// What waits for a sink's thread.
pub(super) struct Queue {
    /// `stdout` or `file`.
    pub name: &'static str,
    on_full: OnFull,
    limit: usize,
    chunk: usize,
    reserved: AtomicUsize,
    stripes: Box<[Padded<Mutex<Stripe>>]>,
    awake: AtomicBool,
    thread: OnceLock<Thread>,
    orders: Mutex<Orders>,
    settled: Condvar,
    reopen: AtomicBool,
    trouble: Mutex<Option<String>>,
    broken: AtomicBool,
    pub counts: Counts,
}

/// Totals of a sink.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub rows: AtomicU64,
    pub bytes: AtomicU64,
    pub dropped: AtomicU64,
    pub failures: AtomicU64,
}

/// Whole lines, written at once.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub bytes: Vec<u8>,
    pub rows: u64,
    /// The stripe it was filled in.
    home: usize,
}

impl Chunk {
    /// A line of the sink's own, which holds no place in the queue.
    pub(super) fn own(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            ..Self::default()
        }
    }
}

#[derive(Debug, Default)]
struct Stripe {
    full: Vec<Chunk>,
    current: Chunk,
    lost: Lost,
    closed: bool,
}

/// Rows that were not kept, until a loss row says so.
#[derive(Debug, Default)]
pub(super) struct Lost {
    rows: u64,
    bytes: u64,
    times: Option<(SystemTime, SystemTime)>,
}

/// What others ask of the sink's thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Orders {
    /// Flushes asked for so far.
    pub asked: u64,
    /// The last of them that is done.
    done: u64,
    /// Write what there is, then end.
    pub closing: bool,
    ended: bool,
}

impl Queue {
    /// `chunk_min`: the longest row, in bytes.
    pub(super) fn new(name: &'static str, on_full: OnFull, limit: usize, chunk_min: usize) -> Self {
        Self {
            name,
            on_full,
            limit,
            // A stripe with one row holds a chunk: all of them together an eighth of the queue at most, where that can be.
            chunk: (limit / STRIPES / 8).clamp(chunk_min, CHUNK_BYTES.max(chunk_min)),
            reserved: AtomicUsize::new(0),
            stripes: (0..STRIPES).map(|_| Padded::default()).collect(),
            awake: AtomicBool::new(true),
            thread: OnceLock::new(),
            orders: Mutex::default(),
            settled: Condvar::new(),
            reopen: AtomicBool::new(false),
            trouble: Mutex::default(),
            broken: AtomicBool::new(false),
            counts: Counts::default(),
        }
    }

    /// Takes one line, or counts it as lost. Never waits for the sink.
    pub(super) fn append(&self, line: &[u8], time: SystemTime) {
        let mut stripe = lock(&self.stripes[stripe::own()].0);
        let (held, filled) = self.place(&mut stripe, line.len());
        if held {
            stripe.current.bytes.extend_from_slice(line);
            stripe.current.rows += 1;
        } else {
            stripe.lost.add(line.len(), time);
            self.counts.dropped.fetch_add(1, Relaxed);
        }
        drop(stripe);
        // The sink's thread says that it sleeps before it looks at the stripes for the last time: either it saw this line, or
        // we see that it sleeps.
        if filled || (!self.awake.load(Acquire) && !self.awake.swap(true, AcqRel)) {
            self.wake();
        }
    }

    /// Whether the current chunk has room now, and whether one has just been filled.
    fn place(&self, stripe: &mut Stripe, bytes: usize) -> (bool, bool) {
        let used = stripe.current.bytes.len();
        if stripe.closed {
            return (false, false);
        }
        if used > 0 && used + bytes <= self.chunk {
            return (true, false);
        }
        if !self.reserve() {
            return (false, false);
        }
        if used > 0 {
            let full = std::mem::take(&mut stripe.current);
            stripe.full.push(full);
        }
        stripe.current.bytes.reserve(self.chunk);
        (true, used > 0)
    }

    fn reserve(&self) -> bool {
        let before = self.reserved.fetch_add(self.chunk, Relaxed);
        if before + self.chunk <= self.limit || off(Guard::Limits) {
            return true;
        }
        self.reserved.fetch_sub(self.chunk, Relaxed);
        false
    }

    /// A chunk is written, or given up: its place is free, and its memory goes back where it came from.
    pub(super) fn release(&self, mut chunk: Chunk) {
        // A loss row has no place in the queue.
        if chunk.rows == 0 {
            return;
        }
        self.reserved.fetch_sub(self.chunk, Relaxed);
        chunk.bytes.clear();
        let mut stripe = lock(&self.stripes[chunk.home].0);
        if stripe.current.bytes.capacity() == 0 {
            stripe.current.bytes = chunk.bytes;
        }
    }

    /// Whether flows may start that will have rows: a quarter of the queue is kept for the rows of those that are open.
    pub(super) fn accepts(&self) -> bool {
        self.on_full == OnFull::Drop || !(self.broken.load(Relaxed) || self.is_filling())
    }

    fn is_filling(&self) -> bool {
        self.reserved.load(Relaxed) > self.limit / 4 * 3 && !off(Guard::Limits)
    }

    /// What is wrong with the sink, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = lock(&self.trouble).clone();
        trouble.or_else(|| {
            self.is_filling()
                .then(|| "slower than the rows that come: its queue is nearly full".into())
        })
    }

    /// Bytes that are reserved.
    pub(super) fn waiting(&self) -> usize {
        self.reserved.load(Relaxed)
    }

    /// Every other line that waits, in order of each stripe, appended to `chunks`; and what was lost since.
    /// With `close`, lines that come later are lost.
    pub(super) fn take(&self, chunks: &mut impl Extend<Chunk>, lost: &mut Lost, close: bool) {
        for (home, stripe) in self.stripes.iter().enumerate() {
            let mut stripe = lock(&stripe.0);
            let full = std::mem::take(&mut stripe.full);
            let current = (!stripe.current.bytes.is_empty()).then(|| std::mem::take(&mut stripe.current));
            chunks.extend(full.into_iter().chain(current).map(|chunk| Chunk { home, ..chunk }));
            lost.merge(std::mem::take(&mut stripe.lost));
            stripe.closed |= close;
        }
    }

    /// Sleeps until a line comes or an order: at once if one is there.
    pub(super) fn sleep(&self, seen: Orders) {
        self.awake.store(false, Release);
        let empty = self.stripes.iter().all(|stripe| {
            let stripe = lock(&stripe.0);
            stripe.current.bytes.is_empty() && stripe.lost.rows == 0
        });
        let orders = self.orders();
        if empty && orders.asked == seen.asked && orders.closing == seen.closing && !self.reopen.load(Relaxed) {
            std::thread::park();
        }
        self.awake.store(true, Release);
    }

    pub(super) fn set_thread(&self, thread: &Thread) {
        let _ = self.thread.set(thread.clone());
    }

    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    pub(super) fn orders(&self) -> Orders {
        *lock(&self.orders)
    }

    /// Every flush up to `asked` is done.
    pub(super) fn settle(&self, asked: u64, ended: bool) {
        let mut orders = lock(&self.orders);
        orders.done = asked;
        orders.ended |= ended;
        self.settled.notify_all();
    }

    /// Asks for everything to be written and waits until it was tried; with `close` the sink ends. False after `patience`.
    pub(super) fn flush(&self, close: bool, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut orders = lock(&self.orders);
        orders.asked += 1;
        orders.closing |= close;
        let asked = orders.asked;
        self.wake();
        while !orders.ended && (orders.done < asked || close) {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else {
                return false;
            };
            orders = self
                .settled
                .wait_timeout(orders, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    pub(super) fn ask_to_reopen(&self) {
        self.reopen.store(true, Relaxed);
        self.wake();
    }

    pub(super) fn take_reopen(&self) -> bool {
        self.reopen.load(Relaxed) && self.reopen.swap(false, Relaxed)
    }

    /// What is wrong now; told once when it changes.
    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        if trouble.is_none() && !self.broken.load(Relaxed) {
            return;
        }
        self.broken.store(trouble.is_some(), Relaxed);
        let mut told = lock(&self.trouble);
        match (&*told, &trouble) {
            (None, Some(now)) => tracing::warn!(sink = self.name, "decision log cannot be written: {now}"),
            (Some(_), None) => tracing::info!(sink = self.name, "decision log is written again"),
            _ => {}
        }
        *told = trouble;
    }
}

impl Lost {
    pub(super) fn add(&mut self, bytes: usize, time: SystemTime) {
        self.merge(Lost {
            rows: 1,
            bytes: bytes as u64,
            times: Some((time, time)),
        });
    }

    fn merge(&mut self, other: Lost) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.times = match (self.times, other.times) {
            (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
            (a, b) => a.or(b),
        };
    }

    /// What a loss row says of it; `None` if nothing was lost.
    pub(super) fn row(&self, sink: &'static str, cause: LossCause) -> Option<Loss> {
        let (first, last) = self.times?;
        Some(Loss {
            time: SystemTime::now(),
            sink,
            rows: self.rows,
            bytes: self.bytes,
            first,
            last,
            cause,
        })
    }
}

/// A panic elsewhere leaves whole lines behind a lock: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
