//! Which of a few copies of something shared this thread writes to: threads that serve flows do not write each other's
//! cache lines, and whoever reads adds the copies up.

use std::{
    cell::Cell,
    sync::atomic::{
        AtomicIsize, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
    },
};

/// Copies of each thing: a power of two. With more threads than this some share a copy, which is slower and still right.
pub(crate) const STRIPES: usize = 16;

/// A value on cache lines of its own: two, as processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub T);

/// Threads that have a copy.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// This thread's copy: 0 to [`STRIPES`], the same for as long as the thread lives.
pub(crate) fn own() -> usize {
    thread_local!(static OWN: Cell<usize> = const { Cell::new(usize::MAX) });
    let own = OWN.get();
    if own < STRIPES {
        return own;
    }
    let own = THREADS.fetch_add(1, SeqCst) % STRIPES;
    OWN.set(own);
    own
}

/// Copies that some thread has: the others hold nothing.
fn in_use() -> usize {
    THREADS.load(SeqCst).min(STRIPES)
}

/// A total that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Total([Padded<AtomicU64>; STRIPES]);

impl Total {
    pub(crate) fn add(&self, more: u64) {
        self.0[own()].0.fetch_add(more, Relaxed);
    }

    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().map(|stripe| stripe.0.load(Relaxed)).sum()
    }
}

/// `N` counts of what is held, none ever beyond its bound, although every thread writes lines of its own: whoever takes writes
/// first and adds up second, so of two that want the last place at least one sees the other, its first place included: a thread
/// has a copy before it writes. Where many want it at once it may stay free.
#[derive(Debug)]
pub(crate) struct Counts<const N: usize>(Box<[Padded<[AtomicIsize; N]>]>);

/// Two that came for the last place at once both step back; this often they come again while it is free.
const TRIES: usize = 8;

impl<const N: usize> Counts<N> {
    pub(crate) fn new() -> Self {
        let zero = |_| Padded([const { AtomicIsize::new(0) }; N]);
        Self((0..STRIPES).map(zero).collect())
    }

    /// One more of `what`, if that makes no more than `most`.
    pub(crate) fn take(&self, what: usize, most: usize) -> bool {
        for _ in 0..TRIES {
            self.0[own()].0[what].fetch_add(1, SeqCst);
            if self.total(what) <= most {
                return true;
            }
            self.give_back(what);
            if self.total(what) >= most {
                return false;
            }
        }
        false
    }

    /// One less of `what`, on whichever thread.
    pub(crate) fn give_back(&self, what: usize) {
        self.0[own()].0[what].fetch_sub(1, SeqCst);
    }

    /// How many there are.
    pub(crate) fn total(&self, what: usize) -> usize {
        let stripes = self.0[..in_use()].iter();
        let sum: isize = stripes.map(|stripe| stripe.0[what].load(SeqCst)).sum();
        // What one thread took another may have given back between two of the loads.
        sum.max(0).cast_unsigned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    #[test]
    fn a_bound_is_kept_by_threads_that_write_apart_and_every_place_is_taken() {
        const MOST: usize = 5;
        let (counts, beyond) = (Counts::<2>::new(), AtomicBool::new(false));
        let seen = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        if counts.take(1, MOST) {
                            let held = seen.fetch_add(1, SeqCst) + 1;
                            beyond.fetch_or(held > MOST, SeqCst);
                            seen.fetch_sub(1, SeqCst);
                            counts.give_back(1);
                        }
                    }
                });
            }
        });
        assert!(!beyond.into_inner(), "more than {MOST} were held at once");
        assert_eq!((counts.total(0), counts.total(1)), (0, 0));
        assert!((0..MOST).all(|_| counts.take(1, MOST)) && !counts.take(1, MOST));
        assert_eq!(counts.total(1), MOST);
    }

    #[test]
    fn what_one_thread_took_another_may_give_back() {
        let counts = Counts::<1>::new();
        assert!(counts.take(0, 1));
        thread::scope(|scope| scope.spawn(|| counts.give_back(0)).join().unwrap());
        assert_eq!(counts.total(0), 0);
        assert!(counts.take(0, 1));
    }
}
