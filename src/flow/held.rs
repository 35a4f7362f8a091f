//! Bytes of a client that wait to be judged: its head, then its first flight. All flows together hold no more of them than
//! `limits.held_mib`.

use super::limits::HeldPermit;
use crate::policy::Reason;
use std::io;
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

    /// The bytes, for who has bounds of its own.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// One read into the tail, which never grows past `cap` by more than a read. `LimitHeldBytes` where all flows together
    /// hold `budget` bytes already.
    pub(crate) fn read(&mut self, client: &TcpStream, cap: usize, budget: usize) -> Result<io::Result<usize>, Reason> {
        self.make_room(cap, budget)?;
        // `try_read_buf` writes into spare capacity, so nothing is zeroed first.
        Ok(client.try_read_buf(&mut self.bytes))
    }

    fn make_room(&mut self, cap: usize, budget: usize) -> Result<(), Reason> {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if capacity - len >= LEAST_ROOM {
            return Ok(());
        }
        let larger = (2 * capacity).min(cap).max(len) + 2 * LEAST_ROOM;
        if let Some(permit) = &mut self.permit {
            permit.grow(larger.saturating_sub(FREE_BYTES), budget)?;
        }
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
    use crate::flow::limits::Limits;

    /// Grow to this many bytes, as reads would.
    fn fill(held: &mut Held, bytes: usize, budget: usize) -> Result<(), Reason> {
        while held.bytes.len() < bytes {
            held.make_room(64 << 10, budget)?;
            let room = held.bytes.capacity().min(bytes);
            held.bytes.resize(room, 0);
        }
        Ok(())
    }

    #[test]
    fn f_08_all_flows_together_hold_no_more_than_the_budget() {
        let (limits, budget) = (Limits::new(None), 1 << 20);
        let mut held = Vec::new();
        let refused = loop {
            let mut flow = Held::new(limits.hold());
            match fill(&mut flow, 60 << 10, budget) {
                Ok(()) => held.push(flow),
                Err(reason) => break reason,
            }
        };
        assert_eq!(refused, Reason::LimitHeldBytes);
        assert!((14..=18).contains(&held.len()), "{} hellos of 60 KiB", held.len());
        let counted: usize = held.iter().map(|flow| flow.bytes.capacity() - FREE_BYTES).sum();
        assert_eq!(limits.held(), counted, "what was refused gave its bytes back");
        let mut usual = Held::new(limits.hold());
        assert!(fill(&mut usual, 2 << 10, budget).is_ok(), "a usual hello still passes");
        drop((held, usual));
        assert_eq!(limits.held(), 0);
    }

    #[test]
    fn a_buffer_never_grows_past_its_cap_by_more_than_a_read() {
        let mut held = Held::new(Limits::new(None).hold());
        fill(&mut held, 64 << 10, usize::MAX >> 1).unwrap();
        assert!(
            held.bytes.capacity() <= (64 << 10) + 2 * LEAST_ROOM,
            "{}",
            held.bytes.capacity()
        );
    }
}
