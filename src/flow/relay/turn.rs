//! How much a direction moves before its thread turns to other tunnels and to what has arrived meanwhile: the less, the more
//! others had their turn since its last one. So a new connection, or a tunnel that is to be closed, waits about as long for
//! hundreds of busy directions as for a few. `docs/performance.md` has what shorter turns cost.

use std::cell::Cell;

/// Bytes of all turns between two of one direction, where [`LEAST_BYTES`] allow it: 16 ms and more.
const BYTES_PER_ROUND: u64 = 64 << 20;

/// Most bytes of a turn. They take about two milliseconds.
pub(super) const MOST_BYTES: u64 = 8 << 20;

/// Least bytes of a turn, beyond which one splice may go by a pipe; and all that a direction has which has moved less than
/// [`SUSTAINED_BYTES`]: most of those end or stall soon, and there may be very many.
pub(super) const LEAST_BYTES: u64 = 256 << 10;

/// Bytes that make bulk sustained: more than the buffers of two sockets take from an origin whose client does not read.
pub(super) const SUSTAINED_BYTES: u64 = 16 << 20;

thread_local! {
    /// Turns of at least [`LEAST_BYTES`] that this thread has seen.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// When a direction had its last turn.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// Of the turns of its thread.
    last: u64,
}

impl Turn {
    /// Bytes of the next turn of a direction that has moved so many.
    pub(super) fn bytes(self, moved: u64) -> u64 {
        if moved < SUSTAINED_BYTES {
            return LEAST_BYTES;
        }
        let others = TAKEN.get().saturating_sub(self.last);
        (BYTES_PER_ROUND / others.saturating_add(1)).clamp(LEAST_BYTES, MOST_BYTES)
    }

    /// It has moved so many bytes. Few were no turn: nobody waited for them.
    pub(super) fn took(&mut self, bytes: u64) {
        if bytes >= LEAST_BYTES {
            self.last = TAKEN.get() + 1;
            TAKEN.set(self.last);
        }
    }
}

/// Turns that this thread has seen.
#[cfg(test)]
pub(super) fn taken() -> u64 {
    TAKEN.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Bytes of the turns of so many directions that take them one after the other, when each has had some.
    fn of_many(directions: usize) -> Vec<u64> {
        let mut turns = vec![Turn::default(); directions];
        for _ in 0..2 {
            turns.iter_mut().for_each(|turn| turn.took(LEAST_BYTES));
        }
        let next = |turn: &mut Turn| {
            let bytes = turn.bytes(1 << 40);
            turn.took(bytes);
            bytes
        };
        turns.iter_mut().map(next).collect()
    }

    #[test]
    fn turns_are_shorter_the_more_others_there_are() {
        for (directions, turn) in [
            (1, 8 * MIB),
            (8, 8 * MIB),
            (16, 4 * MIB),
            (256, MIB / 4),
            (1000, MIB / 4),
        ] {
            assert_eq!(of_many(directions), vec![turn; directions], "{directions} directions");
        }
    }

    #[test]
    fn who_has_moved_little_has_a_short_turn_and_who_is_alone_again_a_long_one() {
        let mut turn = Turn::default();
        turn.took(LEAST_BYTES);
        assert_eq!(turn.bytes(16 * MIB - 1), LEAST_BYTES, "not sustained yet");
        assert_eq!(turn.bytes(16 * MIB), MOST_BYTES);
        of_many(256);
        assert_eq!(turn.bytes(16 * MIB), LEAST_BYTES, "there may be others still");
        turn.took(LEAST_BYTES - 1);
        assert_eq!(turn.bytes(16 * MIB), LEAST_BYTES, "that was none");
        turn.took(LEAST_BYTES);
        assert_eq!(turn.bytes(16 * MIB), MOST_BYTES, "there are none");
    }
}
