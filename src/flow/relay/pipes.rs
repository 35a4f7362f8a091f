//! Pipes for splice(2): few, large, and never handed on with bytes in them.
//!
//! In: a wish for a pipe. Out: an empty [`Pipe`], or nothing, and then the caller goes on copying. A pipe that is dropped
//! goes back to the pool of its thread if it is empty; with bytes in it, it is closed, so that no tunnel ever gets bytes of
//! another one.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::cell::RefCell;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Room of a pipe, in bytes. Measured in CPU time per byte: 512 KiB cost 1.1 times as much, 256 KiB 1.3 times, the
/// kernel's 64 KiB 1.7 times.
const PIPE_BYTES: usize = 1 << 20;

/// The kernel counts a pipe's room in pages against its user (pipe(7), `/proc/sys/fs/pipe-user-pages-soft`).
const PAGE_BYTES: usize = 4 << 10;

/// What that limit is where it cannot be read, in pages: the kernel's default.
const USER_PAGES: usize = 16 << 10;

/// Empty pipes that a thread keeps for the next burst. Each holds about 18 KiB in the kernel.
const POOLED_PIPES: usize = 16;

/// Most pipes at once where the limits of the system do not say less.
const MOST_PIPES: usize = 1024;

/// After the kernel refused a pipe, a thread copies for so long before it asks again.
const REST: Duration = Duration::from_secs(1);

/// Pipes that the process may have, and how often there was none to be had.
pub(crate) struct Budget {
    most: usize,
    /// Room of each pipe.
    pipe_bytes: usize,
    open: AtomicUsize,
    /// Times that the budget was used up.
    pub exhausted: AtomicU64,
    /// Times that the kernel refused a pipe, its size, or to splice.
    pub refused: AtomicU64,
}

/// The budget of this process. Its first use comes after the limit on files was raised.
pub(crate) static BUDGET: LazyLock<Budget> = LazyLock::new(|| {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let pages = std::fs::read_to_string("/proc/sys/fs/pipe-user-pages-soft");
    let pages = pages.ok().and_then(|text| text.trim().parse().ok());
    Budget::new(most(files, pages.unwrap_or(USER_PAGES)), PIPE_BYTES)
});

/// Pipes within these limits: three quarters of the pages that the user may have, since other processes of the same user count
/// too (0 is no limit), and one in 64 of the descriptors beyond a few, at two a pipe.
fn most(files: Option<u64>, user_pages: usize) -> usize {
    let by_pages = match user_pages {
        0 => usize::MAX,
        pages => pages / 4 * 3 / (PIPE_BYTES / PAGE_BYTES),
    };
    by_pages.min(of_files(files)).min(MOST_PIPES)
}

/// Pipes that so many descriptors allow: of a small limit none, since tunnels need them more.
fn of_files(files: Option<u64>) -> usize {
    const SMALL: usize = 512;
    let files = files
        .and_then(|files| usize::try_from(files).ok())
        .unwrap_or(usize::MAX);
    files.saturating_sub(SMALL) / 128
}

/// Descriptors that pipes may take up, of so many: what flows leave to them.
pub(crate) fn descriptors(files: usize) -> usize {
    2 * of_files(Some(files as u64)).min(MOST_PIPES)
}

impl Budget {
    const fn new(most: usize, pipe_bytes: usize) -> Self {
        Self {
            most,
            pipe_bytes,
            open: AtomicUsize::new(0),
            exhausted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Pipes open now, those in pools included.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    fn place(&'static self) -> Option<Place> {
        let room = |open: usize| (open < self.most).then_some(open + 1);
        match self.open.fetch_update(Relaxed, Relaxed, room) {
            Ok(_) => Some(Place(self)),
            Err(_) => {
                self.exhausted.fetch_add(1, Relaxed);
                None
            }
        }
    }
}

/// One pipe's place in the budget.
struct Place(&'static Budget);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Both ends; closed when dropped.
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
    _place: Place,
}

impl Ends {
    fn open(budget: &'static Budget) -> Result<Self, Refused> {
        let place = budget.place().ok_or(Refused::ByBudget)?;
        let opened = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).and_then(|(read, write)| {
            // A user beyond its pages gets pipes of two pages, which are slower than copying.
            fcntl_setpipe_size(&write, budget.pipe_bytes)?;
            Ok((read, write))
        });
        let (read, write) = opened.map_err(|_| Refused::ByKernel)?;
        Ok(Self {
            read,
            write,
            _place: place,
        })
    }
}

enum Refused {
    ByBudget,
    ByKernel,
}

/// The pipes of one thread.
struct Pool {
    budget: Option<&'static Budget>,
    empty: Vec<Ends>,
    /// Copy until then: the kernel has just refused.
    rests_until: Option<Instant>,
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { budget: None, empty: Vec::new(), rests_until: None }) };
}

impl Pool {
    fn budget(&self) -> &'static Budget {
        self.budget.unwrap_or(&BUDGET)
    }

    fn take(&mut self) -> Option<Ends> {
        if let Some(ends) = self.empty.pop() {
            return Some(ends);
        }
        if self.rests_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        match Ends::open(self.budget()) {
            Ok(ends) => {
                self.rests_until = None;
                Some(ends)
            }
            Err(Refused::ByBudget) => None,
            Err(Refused::ByKernel) => {
                self.refused();
                None
            }
        }
    }

    fn refused(&mut self) {
        self.budget().refused.fetch_add(1, Relaxed);
        self.rests_until = Some(Instant::now() + REST);
        // What does not splice now shall not be tried with a pipe that is there already.
        self.empty.clear();
    }
}

/// The kernel would not splice: this thread copies for a while.
pub(super) fn refused() {
    POOL.with_borrow_mut(Pool::refused);
}

/// Closes half of the empty pipes that this thread keeps. Called now and then.
pub(super) fn shrink_pool() {
    POOL.with_borrow_mut(|pool| drop(pool.empty.drain(..pool.empty.len().div_ceil(2))));
}

/// A pipe on loan, and how many bytes are in it.
pub(super) struct Pipe {
    ends: Option<Ends>,
    bytes: usize,
}

impl Pipe {
    /// An empty pipe, if there is one to be had.
    pub(super) fn take() -> Option<Self> {
        let ends = POOL.with_borrow_mut(Pool::take)?;
        Some(Self {
            ends: Some(ends),
            bytes: 0,
        })
    }

    /// Bytes in it.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So many bytes were put in.
    pub(super) fn filled(&mut self, bytes: usize) {
        self.bytes += bytes;
    }

    /// So many bytes were taken out.
    pub(super) fn drained(&mut self, bytes: usize) {
        self.bytes -= bytes;
    }

    /// Where bytes come out.
    pub(super) fn read_end(&self) -> BorrowedFd<'_> {
        self.ends().read.as_fd()
    }

    /// Where bytes go in.
    pub(super) fn write_end(&self) -> BorrowedFd<'_> {
        self.ends().write.as_fd()
    }

    fn ends(&self) -> &Ends {
        self.ends.as_ref().expect("only dropping takes the ends")
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take().filter(|_| self.bytes == 0) else {
            return;
        };
        // While a thread ends, its pool may be gone before its tunnels are.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.empty.len() < POOLED_PIPES {
                pool.empty.push(ends);
            }
        });
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Budgets of a test's own: threads of other tests keep theirs.

    use super::{Budget, POOL, Pool};

    /// This thread has so many pipes of so much room from now on.
    pub(in super::super) fn budget(most: usize, pipe_bytes: usize) -> &'static Budget {
        let budget: &'static Budget = Box::leak(Box::new(Budget::new(most, pipe_bytes)));
        POOL.set(Pool {
            budget: Some(budget),
            empty: Vec::new(),
            rests_until: None,
        });
        budget
    }

    /// Empty pipes in the pool of this thread.
    pub(in super::super) fn pooled() -> usize {
        POOL.with_borrow(|pool| pool.empty.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_of_the_system_bound_the_pipes() {
        for (files, pages, pipes, why) in [
            (Some(131_072), USER_PAGES, 48, "three quarters of the default pages"),
            (Some(1 << 20), 0, 1024, "no limit on pages"),
            (Some(2048), 0, 12, "one descriptor in 64 beyond the first 512"),
            (Some(64), USER_PAGES, 0, "none to spare"),
            (None, 512, 1, "few pages"),
        ] {
            assert_eq!(most(files, pages), pipes, "{why}");
        }
        assert_eq!(descriptors(2048), 24);
    }
}
