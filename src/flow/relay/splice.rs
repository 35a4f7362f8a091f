//! Splicing: bytes go from socket to socket through a pipe and never come to user space (splice(2)).

use super::pipes::{self, Pipe};
use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};
use std::io::{Error, ErrorKind, Result};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// A pipe is not waited for: its socket is.
const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// Asked of one call, in bytes: more than a pipe holds.
const MOST: usize = 1 << 20;

/// Fill an empty pipe from the source. It is taken only when there is something to read, and goes back while there is not.
///
/// `None`: there is no pipe, the kernel does not splice from this source, or it finds no more in it: at its end, and at urgent
/// data that the end follows. A read tells.
pub(super) fn poll_fill(cx: &mut Context<'_>, source: &TcpStream) -> Poll<Result<Option<Pipe>>> {
    loop {
        ready!(source.poll_read_ready(cx))?;
        let Some(mut pipe) = Pipe::take() else {
            return Poll::Ready(Ok(None));
        };
        let fill = || Ok(splice(source, None, pipe.write_end(), None, MOST, FLAGS)?);
        match source.try_io(Interest::READABLE, fill) {
            Ok(0) => return Poll::Ready(Ok(None)),
            Ok(bytes) => {
                pipe.filled(bytes);
                return Poll::Ready(Ok(Some(pipe)));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) if refuses(&e) => {
                drop(pipe);
                pipes::refused();
                return Poll::Ready(Ok(None));
            }
            Err(e) => return Poll::Ready(Err(e)),
        }
    }
}

/// Splice what is in the pipe into the sink, as far as it takes it: how much that was.
pub(super) fn poll_drain(cx: &mut Context<'_>, sink: &TcpStream, pipe: &mut Pipe) -> Poll<Result<usize>> {
    loop {
        ready!(sink.poll_write_ready(cx))?;
        let drain = || Ok(splice(pipe.read_end(), None, sink, None, pipe.bytes(), FLAGS)?);
        match sink.try_io(Interest::WRITABLE, drain) {
            Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
            Ok(bytes) => {
                pipe.drained(bytes);
                return Poll::Ready(Ok(bytes));
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(e) => return Poll::Ready(Err(e)),
        }
    }
}

/// The kernel, or a filter of its calls, does not splice here; a socket that failed says something else.
fn refuses(error: &Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::NOMEM)
    )
}
