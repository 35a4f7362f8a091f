//! How much a direction moves before its thread turns to other tunnels and to what has arrived meanwhile: the less, the more
//! others have their turns between two of its own. So what a new connection waits for, or a tunnel that is to be closed, grows
//! little up to some hundreds of busy directions; with thousands each still has its least. `docs/performance.md` has what shorter turns cost.

use std::cell::Cell;

/// Bytes of a turn of each busy direction together, as long as that gives each [`LEAST_BYTES`]: 16 ms and more.
const BYTES_PER_ROUND: u64 = 64 << 20;

/// Most bytes of a turn. They take about two milliseconds.
pub(super) const MOST_BYTES: u64 = 8 << 20;

/// Least bytes of a turn, and all that a direction has which has moved less than [`SUSTAINED_BYTES`]: most of those end or
/// stall soon, and there may be very many. Any turn may go beyond its bytes by a splice, a pipe at most.
pub(super) const LEAST_BYTES: u64 = 256 << 10;

/// Bytes that make bulk sustained: more than the buffers of two sockets take from an origin whose client does not read.
pub(super) const SUSTAINED_BYTES: u64 = 16 << 20;

/// Bytes of one poll that count as a turn. For less others hardly wait.
pub(super) const COUNTED_BYTES: u64 = LEAST_BYTES / 2;

thread_local! {
    /// Turns that this thread has seen.
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// When a direction had its last two turns: each is the number of turns that its thread had seen then.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    last: u64,
    before: u64,
}

impl Turn {
    /// Bytes of the next turn of a direction that has moved so many.
    pub(super) fn bytes(self, moved: u64) -> u64 {
        if moved < SUSTAINED_BYTES {
            return LEAST_BYTES;
        }
        // Of two rounds, since tokio wakes last who stepped back first: what is late in one round is early in the next.
        let turns = TAKEN.get().saturating_sub(self.before).div_ceil(2);
        (BYTES_PER_ROUND / turns.max(1)).clamp(LEAST_BYTES, MOST_BYTES)
    }

    /// It has moved so many bytes in one poll.
    pub(super) fn took(&mut self, bytes: u64) {
        if bytes >= COUNTED_BYTES {
            TAKEN.set(TAKEN.get() + 1);
            (self.before, self.last) = (self.last, TAKEN.get());
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

    /// Bytes of the third turns of so many directions; each round is in the order of the one before, or the other way round.
    fn third_turns(directions: usize, reversed: bool) -> Vec<u64> {
        let mut turns = vec![Turn::default(); directions];
        let mut round = || {
            let mut bytes = Vec::new();
            for turn in &mut turns {
                bytes.push(turn.bytes(1 << 40));
                turn.took(LEAST_BYTES);
            }
            if reversed {
                turns.reverse();
            }
            bytes
        };
        (round(), round(), round()).2
    }

    #[test]
    fn turns_are_the_shorter_the_more_have_them_in_whatever_order() {
        for (directions, turn) in [
            (1, 8 * MIB),
            (8, 8 * MIB),
            (16, 4 * MIB),
            (256, MIB / 4),
            (1000, MIB / 4),
        ] {
            for reversed in [false, true] {
                let found = third_turns(directions, reversed);
                assert_eq!(found, vec![turn; directions], "{directions} directions, {reversed}");
            }
        }
    }

    #[test]
    fn who_has_moved_little_has_a_short_turn_and_who_is_alone_again_a_long_one() {
        let mut turn = Turn::default();
        let alone = |turn: &mut Turn| (0..2).for_each(|_| turn.took(LEAST_BYTES));
        alone(&mut turn);
        assert_eq!(turn.bytes(SUSTAINED_BYTES - 1), LEAST_BYTES, "not sustained yet");
        assert_eq!(turn.bytes(SUSTAINED_BYTES), MOST_BYTES);
        third_turns(256, false);
        assert_eq!(turn.bytes(SUSTAINED_BYTES), LEAST_BYTES, "there may be others still");
        (0..2).for_each(|_| turn.took(COUNTED_BYTES - 1));
        assert_eq!(turn.bytes(SUSTAINED_BYTES), LEAST_BYTES, "these were none");
        alone(&mut turn);
        assert_eq!(turn.bytes(SUSTAINED_BYTES), MOST_BYTES, "there are none");
    }
}
