//! Pipes for splice(2), kept by each thread for the next burst.

use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::{cell::RefCell, io, os::fd::OwnedFd};

/// Size asked of the kernel, in bytes; where it refuses, the default size does. 512 KiB to 1 MiB were level, 256 KiB cost
/// 1.4 times as much CPU time per byte.
pub const PIPE_BYTES: usize = 1 << 20;

/// Pipes that a thread keeps.
const POOLED: usize = 16;

thread_local! {
    static POOL: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// An empty pipe.
#[derive(Debug)]
pub struct Pipe {
    /// Where bytes come out.
    pub outlet: OwnedFd,
    /// Where bytes go in.
    pub inlet: OwnedFd,
}

impl Pipe {
    /// One from this thread's pool, or a new one. Fails where the kernel has no more.
    pub fn take() -> io::Result<Self> {
        if let Some(pipe) = POOL.with_borrow_mut(Vec::pop) {
            return Ok(pipe);
        }
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // An unprivileged user gets no more than /proc/sys/fs/pipe-user-pages-soft: the default size works as well.
        let _ = fcntl_setpipe_size(&inlet, PIPE_BYTES);
        Ok(Self { outlet, inlet })
    }

    /// Back to the pool. It must be empty: another tunnel gets it.
    pub fn give_back(self) {
        POOL.with_borrow_mut(|pool| {
            if pool.len() < POOLED {
                pool.push(self);
            }
        });
    }
}
