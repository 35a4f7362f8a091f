//! How much a direction moves before its thread turns to other tunnels and to what has arrived meanwhile: less, the more
//! directions are busy on that thread, so that a new connection, or a tunnel that is to be closed, waits for a round of bounded
//! length. `docs/performance.md` has what shorter turns cost.

use std::cell::Cell;

/// Bytes of one turn of all busy directions of a thread together. They take some tens of milliseconds.
const BYTES_PER_ROUND: u64 = 64 << 20;

/// Most bytes of a turn. They take about two milliseconds.
pub(super) const MOST_BYTES: u64 = 8 << 20;

/// Least bytes of a turn, and all that a direction has which has moved less than [`SUSTAINED_BYTES`]: most of those end or stall
/// soon, and there may be very many.
const LEAST_BYTES: u64 = 256 << 10;

/// Bytes that make bulk sustained: more than the buffers of two sockets take from an origin whose client does not read.
const SUSTAINED_BYTES: u64 = 16 << 20;

thread_local! {
    /// Busy directions of this thread.
    static BUSY: Cell<u64> = const { Cell::new(0) };
}

/// Bytes of the next turn of a direction that has moved so many.
pub(super) fn bytes(moved: u64) -> u64 {
    of_round(moved, BUSY.get())
}

fn of_round(moved: u64, busy: u64) -> u64 {
    if moved < SUSTAINED_BYTES {
        return LEAST_BYTES;
    }
    (BYTES_PER_ROUND / busy.max(1)).clamp(LEAST_BYTES, MOST_BYTES)
}

/// A direction that has moved much in its last turn, and is likely to do so in the next. Counted where it was made: the tasks
/// of a worker stay on its thread.
#[derive(Debug)]
pub(super) struct Busy(());

impl Busy {
    /// After a turn in which so many bytes were moved; `before`: what it was until then.
    pub(super) fn after(before: Option<Self>, moved: u64) -> Option<Self> {
        (moved >= LEAST_BYTES).then(|| before.unwrap_or_else(Self::new))
    }

    fn new() -> Self {
        BUSY.set(BUSY.get() + 1);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // While a thread ends, its count may be gone before its tunnels are.
        let _ = BUSY.try_with(|busy| busy.set(busy.get().saturating_sub(1)));
    }
}

/// Directions of this thread that are busy now.
#[cfg(test)]
pub(super) fn busy() -> u64 {
    BUSY.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_is_no_longer_the_more_directions_are_busy() {
        const MIB: u64 = 1 << 20;
        for (moved, busy, turn, why) in [
            (0, 1, MIB / 4, "new"),
            (16 * MIB - 1, 1, MIB / 4, "not sustained yet"),
            (16 * MIB, 0, 8 * MIB, "alone, and not busy yet"),
            (1 << 40, 8, 8 * MIB, "few"),
            (1 << 40, 16, 4 * MIB, "more"),
            (1 << 40, 256, MIB / 4, "hundreds"),
            (1 << 40, 20_000, MIB / 4, "very many"),
        ] {
            assert_eq!(of_round(moved, busy), turn, "{why}");
        }
    }

    #[test]
    fn busy_is_who_moved_much_the_last_time() {
        let busy = Busy::after(None, LEAST_BYTES);
        assert_eq!(BUSY.get(), 1);
        let busy = Busy::after(busy, u64::MAX);
        assert_eq!(BUSY.get(), 1, "counted once");
        let busy = Busy::after(busy, LEAST_BYTES - 1);
        assert!(busy.is_none() && BUSY.get() == 0);
        drop(Busy::after(None, LEAST_BYTES));
        assert_eq!(BUSY.get(), 0, "gone with its direction");
    }
}
