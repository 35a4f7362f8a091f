//! Connections that were refused without a task of their own, until their clients have read why.
//!
//! Closing a socket whose client still sends resets it, and the reset would overtake the answer (RFC 9112 section 9.6). So a
//! refused connection is half-closed, and looked at again, each time twice as long after the time before, until its client
//! has closed too: no registration, timer or task for each.

use super::answer::{self, LINGER, LINGER_BYTES};
use super::limits::LingerPermit;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use std::collections::VecDeque;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The first look comes after so long, each further one after twice as long as the one before.
const FIRST_LOOK: Duration = Duration::from_millis(5);

/// Looks at one connection: they come to a little more than [`LINGER`].
const LOOKS: usize = 9;

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
    /// Send what the client is told, and close without losing it. The socket is fresh: it takes the answer whole, or its
    /// client is gone. Without a place nothing is waited for: a client that is busy sending may then see a reset instead.
    pub(crate) fn refuse(&self, client: TcpStream, response: &[u8], place: Option<LingerPermit>) {
        let Some(place) = place else {
            return answer::refuse_at_once(&client, response);
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = rustix::net::send(&client, response, flags).is_ok_and(|sent| sent == response.len());
        if !sent || rustix::net::shutdown(&client, Shutdown::Write).is_err() {
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

    /// Look after them, without end.
    pub(crate) async fn look_after(&self) {
        loop {
            if self.waiting().iter().all(VecDeque::is_empty) {
                self.inner.came.notified().await;
            }
            // Together rather than each when it is due: a timer costs more than a look.
            tokio::time::sleep(FIRST_LOOK).await;
            self.look(Instant::now());
        }
    }

    /// Only this worker's thread comes here. A panic elsewhere leaves whole entries behind a lock: go on.
    fn waiting(&self) -> MutexGuard<'_, Queues> {
        self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, now: Instant) {
        let mut waiting = self.waiting();
        for looks in (0..LOOKS).rev() {
            while let Some(mut refused) = waiting[looks].pop_front_if(|refused| refused.due <= now) {
                if looks + 1 < LOOKS && refused.is_open() {
                    refused.due = now + FIRST_LOOK * (2 << looks);
                    waiting[looks + 1].push_back(refused);
                }
            }
            // A crowd must not keep its memory for ever.
            if waiting[looks].is_empty() && waiting[looks].capacity() > 64 {
                waiting[looks] = VecDeque::new();
            }
        }
    }
}

impl Refused {
    /// Read and throw away what the client has sent. False once it has closed, was reset, or has sent more than any answer
    /// is worth.
    fn is_open(&mut self) -> bool {
        let mut bytes = [0; 4096];
        loop {
            match rustix::net::recv(&self.client, &mut bytes, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return false,
                Ok((read, _)) => {
                    self.read += read;
                    if self.read >= LINGER_BYTES {
                        return false;
                    }
                    if read < bytes.len() {
                        return true;
                    }
                }
                Err(rustix::io::Errno::AGAIN) => return true,
                Err(_) => return false,
            }
        }
    }
}
