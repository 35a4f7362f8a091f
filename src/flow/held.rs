//! Bytes of a client that wait to be judged: its head, then its first flight, or heads that follow. All flows together hold
//! no more of them than `limits.held_mib`, those of one source no more than a quarter.

use super::limits::HeldPermit;
use crate::policy::Reason;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::MaybeUninit;
use std::net::TcpStream as Accepted;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What every flow may hold uncounted, in bytes: the heads and hellos of almost all clients. At the limit they still pass.
const FREE_BYTES: usize = 4 << 10;

/// Least room for a read, in bytes.
const LEAST_ROOM: usize = 1 << 10;

/// A buffer that is counted by its capacity.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub bytes: Vec<u8>,
    /// `None`: bytes that were counted elsewhere.
    permit: Option<HeldPermit>,
}

impl Held {
    pub(crate) fn new(permit: HeldPermit) -> Self {
        Self {
            bytes: Vec::new(),
            permit: Some(permit),
        }
    }

    /// These bytes are held again, in place of none. `LimitHeldBytes` where all flows, or those of this source, hold too much
    /// already: then nothing is held.
    pub(crate) fn put_back(&mut self, bytes: Vec<u8>, budget: usize) -> Result<(), Reason> {
        self.count(bytes.capacity(), budget)?;
        self.bytes = bytes;
        Ok(())
    }

    /// No bytes and no buffer any more.
    pub(crate) fn release(&mut self) {
        self.bytes = Vec::new();
        if let Some(permit) = &mut self.permit {
            permit.release();
        }
    }

    fn count(&mut self, capacity: usize, budget: usize) -> Result<(), Reason> {
        match &mut self.permit {
            Some(permit) => permit.grow(capacity.saturating_sub(FREE_BYTES), budget),
            None => Ok(()),
        }
    }

    /// One read into the tail, which never grows past `cap` by more than a read. `LimitHeldBytes` where all flows together
    /// hold `budget` bytes already. There is no buffer before there is something to read, and a read that came back short is
    /// not followed by one that finds nothing. Cancel safe.
    pub(crate) async fn read(
        &mut self,
        client: &mut TcpStream,
        cap: usize,
        budget: usize,
    ) -> Result<io::Result<usize>, Reason> {
        poll_fn(|cx| self.poll_read(cx, client, cap, budget)).await
    }

    /// What has arrived, as far as it fits into a first buffer, and without waiting for it; `None`: nothing yet.
    pub(crate) fn read_arrived(
        &mut self,
        client: &Accepted,
        cap: usize,
        budget: usize,
    ) -> Result<Option<io::Result<usize>>, Reason> {
        let mut buffer = [MaybeUninit::uninit(); 2 * LEAST_ROOM];
        let arrived = match rustix::net::recv(client, &mut buffer[..], RecvFlags::DONTWAIT) {
            Ok(((arrived, _), _)) => arrived,
            Err(Errno::AGAIN) => return Ok(None),
            Err(error) => return Ok(Some(Err(error.into()))),
        };
        if !arrived.is_empty() {
            self.make_room(cap, budget)?;
            self.bytes.extend_from_slice(arrived);
        }
        Ok(Some(Ok(arrived.len())))
    }

    /// See [`Held::read`].
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut TcpStream,
        cap: usize,
        budget: usize,
    ) -> Poll<Result<io::Result<usize>, Reason>> {
        if let Err(error) = ready!(client.poll_read_ready(cx)) {
            return Poll::Ready(Ok(Err(error)));
        }
        self.make_room(cap, budget)?;
        // It reads into spare capacity, so nothing is zeroed first.
        pin!(client.read_buf(&mut self.bytes)).poll(cx).map(Ok)
    }

    fn make_room(&mut self, cap: usize, budget: usize) -> Result<(), Reason> {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if capacity - len >= LEAST_ROOM {
            return Ok(());
        }
        // A hello of one packet, and one of two, need no counting.
        let larger = (2 * capacity).min(cap).max(len + 2 * LEAST_ROOM);
        self.count(larger, budget)?;
        self.bytes.reserve_exact(larger - len);
        Ok(())
    }
}

impl From<Vec<u8>> for Held {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, permit: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Limits as Settings;
    use crate::flow::limits::{ConnectionPermit, Limits};
    use std::net::IpAddr;
    use std::sync::Arc;

    /// Grow to this many bytes, as reads would.
    fn fill(held: &mut Held, bytes: usize, budget: usize) -> Result<(), Reason> {
        while held.bytes.len() < bytes {
            held.make_room(64 << 10, budget)?;
            let room = held.bytes.capacity().min(bytes);
            held.bytes.resize(room, 0);
        }
        Ok(())
    }

    fn source(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    /// Flows of 60 KiB until one is refused, each of the next of so many sources.
    fn crowd(limits: &Arc<Limits>, sources: u8, budget: usize) -> Vec<Held> {
        let mut held = Vec::new();
        loop {
            let mut flow = Held::new(limits.hold(source(held.len() as u8 % sources)));
            match fill(&mut flow, 60 << 10, budget) {
                Ok(()) => held.push(flow),
                Err(reason) => {
                    assert_eq!(reason, Reason::LimitHeldBytes);
                    return held;
                }
            }
        }
    }

    /// Sources that have a connection each.
    fn admitted(limits: &Arc<Limits>, sources: u8) -> Vec<ConnectionPermit> {
        let admit = |n| limits.admit(source(n), &Settings::default()).unwrap();
        (0..sources).map(admit).collect()
    }

    #[test]
    fn f_08_all_flows_together_hold_no_more_than_the_budget() {
        let (limits, budget) = (Limits::new(None), 1 << 20);
        let _admitted = admitted(&limits, 9);
        let held = crowd(&limits, 8, budget);
        assert!((14..=18).contains(&held.len()), "{} hellos of 60 KiB", held.len());
        let counted: usize = held.iter().map(|flow| flow.bytes.capacity() - FREE_BYTES).sum();
        assert_eq!(limits.held(), counted, "what was refused gave its bytes back");
        let mut usual = Held::new(limits.hold(source(8)));
        assert!(fill(&mut usual, 2 << 10, budget).is_ok(), "a usual hello still passes");
        drop((held, usual));
        assert_eq!(limits.held(), 0);
    }

    #[test]
    fn f_08_one_source_holds_no_more_than_its_share() {
        let (limits, budget) = (Limits::new(None), 1 << 20);
        let _admitted = admitted(&limits, 2);
        let held = crowd(&limits, 1, budget);
        assert!((3..=4).contains(&held.len()), "{} hellos of 60 KiB", held.len());
        let mut other = Held::new(limits.hold(source(1)));
        assert!(
            fill(&mut other, 60 << 10, budget).is_ok(),
            "another source has a share of its own"
        );
        drop(held);
        let mut again = Held::new(limits.hold(source(0)));
        assert!(
            fill(&mut again, 60 << 10, budget).is_ok(),
            "what it gave back it may hold again"
        );
        again.release();
        drop((again, other));
        assert_eq!(limits.held(), 0);
    }

    #[test]
    fn a_buffer_never_grows_past_its_cap_by_more_than_a_read() {
        let mut held = Held::new(Limits::new(None).hold(source(0)));
        fill(&mut held, 64 << 10, usize::MAX >> 1).unwrap();
        assert!(
            held.bytes.capacity() <= (64 << 10) + 2 * LEAST_ROOM,
            "{}",
            held.bytes.capacity()
        );
    }
}
