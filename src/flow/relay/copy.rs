//! Copying: buffers that a direction borrows from its thread while data waits, and gives back.
//!
//! In: a socket that may be read, or one that may be written. Out: bytes moved, and no buffer held once they are written.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// One read, in bytes. 16 KiB is one full TLS record and was level with 64 KiB for anything but bulk, which is spliced.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;

/// Buffers that a thread keeps for the next tunnel; more are given back to the allocator.
const POOLED_BUFFERS: usize = 64;

/// A buffer on loan from the pool of its thread, and which of its bytes are not written yet.
pub(super) struct Buffer {
    bytes: Box<[u8]>,
    start: u32,
    end: u32,
}

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

impl Buffer {
    fn borrow() -> Self {
        let pooled = POOL.with_borrow_mut(Vec::pop);
        Self {
            bytes: pooled.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice()),
            start: 0,
            end: 0,
        }
    }

    /// One read into a buffer of the pool, which goes back at once if there is nothing to read. An empty one: the source has
    /// ended.
    ///
    /// A read that comes back short has emptied the socket (epoll(7), edge-triggered, question 9), and the next one waits
    /// for an event instead of asking the kernel again.
    pub(super) fn poll_read(cx: &mut Context<'_>, source: &mut ReadHalf<'_>) -> Poll<std::io::Result<Self>> {
        ready!(source.as_ref().poll_read_ready(cx))?;
        let mut buffer = Self::borrow();
        let mut room = ReadBuf::new(&mut buffer.bytes);
        ready!(Pin::new(source).poll_read(cx, &mut room))?;
        buffer.end = room.filled().len() as u32;
        Poll::Ready(Ok(buffer))
    }

    /// Bytes that are not written yet.
    pub(super) fn owed(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    /// So many of them are written.
    pub(super) fn written(&mut self, bytes: usize) {
        self.start += bytes as u32;
    }
}

/// One write; as short as the sink makes it.
pub(super) fn poll_write(cx: &mut Context<'_>, sink: &mut WriteHalf<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
    let written = ready!(Pin::new(sink).poll_write(cx, bytes))?;
    Poll::Ready(if written == 0 {
        Err(std::io::ErrorKind::WriteZero.into())
    } else {
        Ok(written)
    })
}

/// Gives half of the buffers that this thread keeps back to the allocator. Called now and then: those of a crowd are gone
/// soon, and a few stay warm.
pub(super) fn shrink_pool() {
    POOL.with_borrow_mut(|pool| drop(pool.drain(..pool.len() / 2)));
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        // While a thread ends, its pool may be gone before its tunnels are.
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < POOLED_BUFFERS {
                pool.push(bytes);
            }
        });
    }
}
