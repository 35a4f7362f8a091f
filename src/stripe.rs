//! Which of a few copies of something shared this thread writes to: threads that serve flows do not write each other's
//! cache lines, and whoever reads adds the copies up.

use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Copies of each thing: a power of two. With more threads than this some share a copy, which is slower and still right.
pub(crate) const STRIPES: usize = 16;

/// A value on cache lines of its own: two, as processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub T);

/// This thread's copy: 0 to [`STRIPES`], the same for as long as the thread lives.
pub(crate) fn own() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static OWN: Cell<usize> = const { Cell::new(usize::MAX) });
    let own = OWN.get();
    if own < STRIPES {
        return own;
    }
    let own = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    OWN.set(own);
    own
}
