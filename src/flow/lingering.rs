//! Connections that were refused without a task of their own, until their clients have read why.
//!
//! Closing a socket whose client still sends resets it, and the reset would overtake the answer (RFC 9112 section 9.6). So a
//! refused connection is half-closed, and looked at again, each time twice as long after the time before, until its client
//! has closed too: no registration, timer or task for each.

use super::answer::{self, LINGER};
use super::limits::{Limits, LingerPermit};
use std::collections::VecDeque;
use std::net::{IpAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The first look comes after so long, each further one after twice as long as the one before.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// Looks at one connection: they come to a little more than [`LINGER`].
const LOOKS: usize = 9;

/// Connections looked at in a row before the thread turns to others. Each look reads 32 KiB at most.
const LOOKS_PER_TURN: usize = 32;

/// Least time between two looks for want of a place.
const EARLY_LOOKS: Duration = Duration::from_millis(1);

const _: () = assert!(FIRST_LOOK.as_millis() << LOOKS > LINGER.as_millis());

/// Those that wait for their first look, their second, and so on.
type Queues = [VecDeque<Refused>; LOOKS];

/// The refused connections of one worker.
#[derive(Clone, Default)]
pub(crate) struct Lingering {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By the number of looks so far. All that wait for the same look wait equally long, so the first is always due first.
    waiting: Mutex<Queues>,
    /// When some were looked at because there was no place left.
    looked_early: Mutex<Option<Instant>>,
    /// Somebody came while nobody waited.
    came: Notify,
}

struct Refused {
    client: TcpStream,
    due: Instant,
    read: usize,
    _place: LingerPermit,
}

impl Lingering {
    /// Send what the client is told, and close without losing it. Where too many linger already nothing is waited for: a client
    /// that is busy sending may then see a reset behind the answer.
    pub(crate) fn refuse(&self, client: TcpStream, source: IpAddr, response: &[u8], limits: &Arc<Limits>) {
        let place = limits.linger(source).or_else(|| {
            // Some may have closed since they were looked at.
            self.look_early();
            limits.linger(source)
        });
        let Some(place) = place else {
            return answer::refuse_at_once(&client, response);
        };
        if !answer::tell(&client, response) {
            return;
        }
        let refused = Refused {
            client,
            due: Instant::now() + FIRST_LOOK,
            read: 0,
            _place: place,
        };
        let mut waiting = self.waiting();
        if waiting.iter().all(VecDeque::is_empty) {
            self.inner.came.notify_one();
        }
        waiting[0].push_back(refused);
    }

    /// Of those that came first, whoever has closed leaves now. Not oftener than every [`EARLY_LOOKS`], and no more than a turn.
    fn look_early(&self) {
        let mut last = self.inner.looked_early.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| last.elapsed() < EARLY_LOOKS) {
            return;
        }
        *last = Some(Instant::now());
        let mut turn = LOOKS_PER_TURN;
        for queue in self.waiting().iter_mut() {
            queue.retain_mut(|refused| {
                let looked_at = turn > 0;
                turn = turn.saturating_sub(1);
                !looked_at || refused.is_open()
            });
        }
    }

    /// Look after them, without end.
    pub(crate) async fn look_after(&self) {
        loop {
            if self.waiting().iter().all(VecDeque::is_empty) {
                self.inner.came.notified().await;
            }
            // Together rather than each when it is due: a timer costs more than a look.
            tokio::time::sleep(FIRST_LOOK).await;
            while self.look(Instant::now()) {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Only this worker's thread comes here. A panic elsewhere leaves whole entries behind a lock: go on.
    fn waiting(&self) -> MutexGuard<'_, Queues> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Look at those that are due: whether some are left when the thread should turn to its open tunnels.
    fn look(&self, now: Instant) -> bool {
        let mut waiting = self.waiting();
        let mut turn = LOOKS_PER_TURN;
        for looks in (0..LOOKS).rev() {
            while let Some(mut refused) = waiting[looks].pop_front_if(|refused| refused.due <= now) {
                if looks + 1 < LOOKS && refused.is_open() {
                    refused.due = now + FIRST_LOOK * (2 << looks);
                    waiting[looks + 1].push_back(refused);
                }
                turn -= 1;
                if turn == 0 {
                    return true;
                }
            }
            // A crowd must not keep its memory for ever.
            if waiting[looks].is_empty() && waiting[looks].capacity() > 64 {
                waiting[looks] = VecDeque::new();
            }
        }
        false
    }
}

impl Refused {
    /// Read and throw away what the client has sent. False where nothing is to be waited for any more.
    fn is_open(&mut self) -> bool {
        match answer::discard_arrived(&self.client, self.read) {
            Some(read) => self.read = read,
            None => return false,
        }
        true
    }
}
