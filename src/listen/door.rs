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
use tokio::time::timeout;

/// Connections taken in a row before the thread turns to those that it has, and to what has arrived for them.
const ACCEPTS_PER_TURN: usize = 16;

/// Times woken in vain after which a worker steps back.
const IN_VAIN: u32 = 4;

/// The longest that a worker stays back without a call: whatever keeps those that watch, a connection waits no longer.
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
            return self.register();
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
            // Of two with tunnels the one with more may be the one with less to do.
            _ if self.ahead && (high || !self.tunnels) => Next::StepBack,
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::net::Ipv4Addr;
    use std::rc::Rc;
    use tokio::net::TcpStream;
    use tokio::task::{LocalSet, spawn_local};

    fn doors() -> ([Door; 2], Arc<Watch>, SocketAddr) {
        let socket = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        let (address, watch) = (socket.local_addr().unwrap(), Watch::new(2));
        let door = || Door::new(socket.try_clone().unwrap(), watch.clone()).unwrap();
        ([door(), door()], watch, address)
    }

    /// What a door that is served takes.
    fn serve(mut door: Door) -> Rc<Cell<usize>> {
        let taken = Rc::new(Cell::new(0));
        let count = taken.clone();
        spawn_local(async move {
            loop {
                let take = |_: Accepted, _| count.set(count.get() + 1);
                door.turn(|_| false, || false, take).await.unwrap();
            }
        });
        taken
    }

    /// Connects so often, one after the other, until `taken` says that each was taken.
    async fn connect(address: SocketAddr, times: usize, taken: impl Fn() -> usize) {
        for n in 1..=times {
            let _client = TcpStream::connect(address).await.unwrap();
            let all_taken = async {
                while taken() < n {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            timeout(Duration::from_secs(20), all_taken)
                .await
                .expect("nobody took it");
        }
    }

    #[tokio::test]
    async fn where_one_is_enough_the_other_steps_back() {
        let alone = async {
            let ([a, b], watch, address) = doors();
            let (a, b) = (serve(a), serve(b));
            connect(address, 3 * IN_VAIN as usize, || a.get() + b.get()).await;
            assert_eq!(watch.watching.load(SeqCst), 1);
        };
        LocalSet::new().run_until(alone).await;
    }

    #[test]
    fn what_a_worker_does_behind_a_turn() {
        const ONE: Seen = Seen {
            taken: 1,
            failed: false,
            ahead: false,
            load: Some(false),
            tunnels: true,
        };
        let high = Some(true);
        for (seen, next) in [
            (ONE, Next::Watch),
            (Seen { taken: 2, ..ONE }, Next::Call),
            (Seen { load: high, ..ONE }, Next::Call),
            (Seen { load: None, ..ONE }, Next::Call),
            (
                Seen {
                    load: high,
                    tunnels: false,
                    ..ONE
                },
                Next::Watch,
            ),
            (Seen { ahead: true, ..ONE }, Next::Call),
            (
                Seen {
                    ahead: true,
                    load: None,
                    ..ONE
                },
                Next::Call,
            ),
            (
                Seen {
                    ahead: true,
                    load: high,
                    ..ONE
                },
                Next::StepBack,
            ),
            (
                Seen {
                    ahead: true,
                    tunnels: false,
                    ..ONE
                },
                Next::StepBack,
            ),
            (
                Seen {
                    taken: 0,
                    failed: true,
                    ..ONE
                },
                Next::Call,
            ),
        ] {
            let mut in_vain = IN_VAIN;
            assert_eq!(seen.next(&mut in_vain), next, "{seen:?}");
            assert_eq!(in_vain, IN_VAIN, "that was not in vain: {seen:?}");
        }
        let (nothing, mut in_vain) = (Seen { taken: 0, ..ONE }, 0);
        for _ in 1..IN_VAIN {
            assert_eq!(nothing.next(&mut in_vain), Next::Watch);
        }
        assert_eq!(nothing.next(&mut in_vain), Next::StepBack);
    }

    #[tokio::test]
    async fn who_steps_back_is_not_woken_and_where_all_stepped_back_but_one_that_one_calls() {
        let ([mut a, mut b], watch, _) = doors();
        a.act(Next::StepBack);
        assert!(a.registered.is_none());
        b.act(Next::StepBack);
        assert!(b.registered.is_some(), "the last");
        let since = Instant::now();
        a.turn(|_| false, || false, |_, _| {}).await.unwrap();
        assert!(since.elapsed() < AWAY, "it was called");
        assert_eq!(watch.watching.load(SeqCst), 2);
        drop(a);
        assert_eq!(watch.watching.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn connections_together_call_the_other() {
        let ([mut a, mut b], watch, address) = doors();
        b.act(Next::StepBack);
        let _clients = [
            TcpStream::connect(address).await.unwrap(),
            TcpStream::connect(address).await.unwrap(),
        ];
        a.turn(|_| false, || false, |_, _| {}).await.unwrap();
        let since = Instant::now();
        b.turn(|_| false, || false, |_, _| {}).await.unwrap();
        assert!(since.elapsed() < AWAY && b.registered.is_some());
        assert_eq!(watch.watching.load(SeqCst), 2);
    }

    #[tokio::test]
    async fn a_connection_does_not_wait_for_a_worker_that_is_kept() {
        let kept = async {
            let ([mut a, _kept], _, address) = doors();
            a.act(Next::StepBack);
            let taken = serve(a);
            connect(address, 1, || taken.get()).await;
        };
        LocalSet::new().run_until(kept).await;
    }
}
