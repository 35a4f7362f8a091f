//! [`Door`]: one worker's hold on a listening socket that all workers share, and how many of them watch it.
//!
//! A connection wakes every worker that watches, and one of them takes it. (epoll(7) would wake a single one for
//! EPOLLEXCLUSIVE, which tokio does not ask for.) So no more watch than there is work for: who is woken in vain steps back, and
//! who watches calls another when connections come together, when it is busy with its tunnels, or when it has more connections
//! than the others.

use std::io::Error;
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as Accepted};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// Connections taken in a row before the thread turns to those that it has, and to what has arrived for them.
const ACCEPTS_PER_TURN: usize = 16;

/// Times woken in vain after which a worker steps back.
const IN_VAIN: u32 = 4;

/// The longest that a worker stays back without a call: whatever keeps those that watch, a connection waits no longer for one
/// that is free.
const AWAY: Duration = Duration::from_secs(1);

/// Who watches one listening socket.
#[derive(Debug)]
pub(crate) struct Watch {
    workers: usize,
    watching: AtomicUsize,
    called: Notify,
}

/// A listening socket of one worker. What it accepts is not registered with the worker's epoll: a connection that is refused
/// at once never is.
pub(crate) struct Door {
    socket: Arc<StdListener>,
    watch: Arc<Watch>,
    /// `None`: others watch.
    registered: Option<AsyncFd<Arc<StdListener>>>,
    in_vain: u32,
    load: Load,
}

impl Watch {
    /// Of a socket that so many workers share.
    pub(crate) fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            workers,
            watching: AtomicUsize::new(0),
            called: Notify::new(),
        })
    }

    /// Whether some have stepped back.
    fn can_call(&self) -> bool {
        self.watching.load(SeqCst) < self.workers
    }

    /// One watches less, unless it is the last.
    fn step_back(&self) -> bool {
        let less = |watching: usize| (watching > 1).then(|| watching - 1);
        self.watching.fetch_update(SeqCst, SeqCst, less).is_ok()
    }
}

impl Door {
    /// Within a runtime.
    ///
    /// # Errors
    /// The kernel has no room for the registration.
    pub(crate) fn new(socket: StdListener, watch: Arc<Watch>) -> Result<Self, Error> {
        let mut door = Self {
            socket: Arc::new(socket),
            watch,
            registered: None,
            in_vain: 0,
            load: Load::new(),
        };
        door.register()?;
        Ok(door)
    }

    /// Counted only once it is registered: the others step back on the strength of that.
    fn register(&mut self) -> Result<(), Error> {
        self.registered = Some(registered(&self.socket)?);
        self.in_vain = 0;
        self.watch.watching.fetch_add(1, SeqCst);
        Ok(())
    }

    /// Wait for connections and take some. `is_ahead`: whether this worker has more connections than the others of so many;
    /// `has_tunnels`: whether some of its are tunnels.
    pub(super) async fn turn(
        &mut self,
        is_ahead: impl Fn(usize) -> bool,
        has_tunnels: impl Fn() -> bool,
        take: impl FnMut(Accepted, SocketAddr),
    ) -> Result<(), Error> {
        let Some(registered) = &self.registered else {
            let _ = timeout(AWAY, self.watch.called.notified()).await;
            // Who watches may still accept: that is not the trouble of whoever waits to be accepted.
            if let Err(error) = self.register() {
                tracing::warn!(%error, "a worker cannot watch its listener, and tries again in a second");
                sleep(AWAY).await;
            }
            return Ok(());
        };
        let (taken, result) = take_some(registered, take).await;
        let seen = Seen {
            taken,
            failed: result.is_err(),
            ahead: taken > 0 && is_ahead(self.watch.workers),
            load: self.load.now(),
            tunnels: has_tunnels(),
        };
        let next = seen.next(&mut self.in_vain);
        self.act(next);
        if taken == ACCEPTS_PER_TURN {
            yield_now().await;
        }
        result
    }

    /// Nobody steps back who is the last, and nobody is called where all watch.
    fn act(&mut self, next: Next) {
        match next {
            Next::StepBack if self.watch.step_back() => self.registered = None,
            Next::StepBack | Next::Call if self.watch.can_call() => self.watch.called.notify_one(),
            _ => {}
        }
    }

    /// A connection that waits in the kernel, if one does: another worker may have taken it.
    pub(super) fn accept_waiting(&self) -> Result<(Accepted, SocketAddr), Error> {
        super::accept4(&self.socket)
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe code: it has the caller promise that the descriptor lives as long as its owner, which \
              std's listener does"
)]
fn registered(socket: &Arc<StdListener>) -> Result<AsyncFd<Arc<StdListener>>, Error> {
    AsyncFd::with_interest(socket.clone(), Interest::READABLE)
}

/// How many connections one turn took, and how it ended: where nothing else waits, or when it has taken enough.
async fn take_some(
    registered: &AsyncFd<Arc<StdListener>>,
    mut take: impl FnMut(Accepted, SocketAddr),
) -> (usize, Result<(), Error>) {
    let mut ready = match registered.readable().await {
        Ok(ready) => ready,
        Err(error) => return (0, Err(error)),
    };
    for taken in 0..ACCEPTS_PER_TURN {
        match ready.try_io(|socket| super::accept4(socket.get_ref())) {
            Ok(Ok((client, source))) => take(client, source),
            Ok(Err(error)) => return (taken, Err(error)),
            // There is no other, or another worker took it.
            Err(_would_block) => return (taken, Ok(())),
        }
    }
    (ACCEPTS_PER_TURN, Ok(()))
}

/// What a worker knows when it has taken what there was.
#[derive(Clone, Copy, Debug)]
struct Seen {
    taken: usize,
    failed: bool,
    /// It has more connections than the others.
    ahead: bool,
    load: Option<bool>,
    tunnels: bool,
}

/// What a worker does behind a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Watch,
    /// Watch on, and call another.
    Call,
    /// Leave it to the others; where there are none, call one.
    StepBack,
}

impl Seen {
    /// Nobody else waited when it stopped.
    fn emptied(self) -> bool {
        self.taken < ACCEPTS_PER_TURN && !self.failed
    }

    /// `in_vain`: how often this worker was woken in vain since it came.
    fn next(self, in_vain: &mut u32) -> Next {
        let high = self.load == Some(true);
        if self.taken == 0 && !self.failed {
            *in_vain = in_vain.saturating_add(1);
            return if *in_vain >= IN_VAIN {
                Next::StepBack
            } else {
                Next::Watch
            };
        }
        // A load that is not known may be high.
        let busy = self.tunnels && self.load != Some(false);
        match self {
            // Of two with tunnels the one with more may be the one with less to do. Nobody leaves what still waits.
            _ if self.emptied() && self.ahead && (high || !self.tunnels) => Next::StepBack,
            _ if self.ahead || busy || self.failed || self.taken > 1 => Next::Call,
            _ => Next::Watch,
        }
    }
}

/// How busy a worker's thread is.
struct Load {
    metrics: RuntimeMetrics,
    since: Instant,
    busy: Duration,
    high: Option<bool>,
}

impl Load {
    /// The shortest time over which it is judged.
    const WINDOW: Duration = Duration::from_millis(10);

    /// The longest: nothing is known of the end of a longer time.
    const LONGEST: Duration = Duration::from_millis(100);

    fn new() -> Self {
        Self {
            metrics: Handle::current().metrics(),
            since: Instant::now(),
            busy: Duration::ZERO,
            high: None,
        }
    }

    /// Whether it worked for more than three quarters of the time since the last look.
    fn now(&mut self) -> Option<bool> {
        let elapsed = self.since.elapsed();
        if elapsed >= Self::WINDOW {
            let busy = self.metrics.worker_total_busy_duration(0);
            let high = busy.saturating_sub(self.busy) > elapsed * 3 / 4;
            self.high = (elapsed <= Self::LONGEST).then_some(high);
            (self.since, self.busy) = (self.since + elapsed, busy);
        }
        self.high
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.registered.is_some() {
            self.watch.watching.fetch_sub(1, SeqCst);
            // It may have been the last.
            self.watch.called.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
