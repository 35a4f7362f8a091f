//! Accept loops: one for all listeners of the proxy port, on every worker.
//!
//! All workers accept from one shared listening socket: whichever is free takes the next connection, and no other process
//! of the user can join the port, as SO_REUSEPORT would let it.
//!
//! Whoever is not served is told why: at a limit, without a descriptor left, at the end.

pub mod admin;
pub mod health;
mod read_only;

use crate::flow::answer::{self, Words, words};
use crate::flow::record::Record;
use crate::flow::{self, Denial, Phase, Shared};
use crate::log::Stage;
use crate::policy::Reason;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::future::poll_fn;
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Connections that wait in the kernel for a worker. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Pause after the process ran out of file descriptors, so that the loop does not spin until one is free.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(10);

/// How long the one descriptor that is kept for such a moment may be taken up by one client.
const OUT_OF_FILES_LINGER: Duration = Duration::from_millis(100);

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    pub socket: StdListener,
    /// Whoever passed it keeps it open: what waits in the kernel when egret ends is for the process after it.
    pub passed: bool,
}

/// Bind a listener.
pub(crate) fn bind(address: SocketAddr) -> Result<Listener, Error> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Inherited by every accepted socket: one system call less per connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(Listener {
        socket: socket.into(),
        passed: false,
    })
}

/// Use a socket that listens already, as systemd passes it (sd_listen_fds(3)).
pub(crate) fn passed(socket: StdListener) -> Result<Listener, Error> {
    socket2::SockRef::from(&socket).set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(Listener { socket, passed: true })
}

/// How connections reach the workers, one list of listeners for each: all of them accept from the same sockets, so that
/// whoever is free takes the next connection.
///
/// Measured with the bare relay of `benches/load`, two workers, processor time of a new tunnel, median (range) of 5
/// interleaved rounds on a busy machine: this 102 us (91-111); SO_REUSEPORT 106 us (95-114), level with it; an acceptor that
/// hands over 116 us (98-126). SO_REUSEPORT spreads by hash, so that few heavy tunnels may share a worker, and what waits in
/// a listener that is closed is reset; a shared socket can be passed on (`bars restart`: none reset in 100,000).
pub(crate) fn for_workers(listeners: &[Listener], workers: usize) -> Result<Vec<Vec<Listener>>, Error> {
    let share = |listener: &Listener| {
        Ok(Listener {
            socket: listener.socket.try_clone()?,
            passed: listener.passed,
        })
    };
    (0..workers).map(|_| listeners.iter().map(share).collect()).collect()
}

/// Accept until egret drains; what waits in the kernel then is told so, or left to the next process where the socket is not
/// egret's own.
pub(crate) async fn accept(listener: TcpListener, passed: bool, shared: Arc<Shared>) {
    let mut spare = spare_file();
    let mut draining = pin!(shared.until(Phase::Draining));
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut draining => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((client, source)) => arrive(client, source, &shared),
            Err(error) if out_of_files(&error) => {
                shared.metrics.accept_failed();
                drop(spare.take());
                refuse_for_files(&listener, &shared).await;
                spare = spare_file();
                tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
            }
            // The client was gone before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => {
                shared.metrics.accept_failed();
                tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
            }
        }
    }
    if passed {
        return;
    }
    while let Some((client, source)) = waiting(&listener).await {
        shared.metrics.accepted();
        answer::refuse_at_once(&client, &refused(source, &shared, Reason::Draining));
    }
}

/// A descriptor that is given up when there is no other.
fn spare_file() -> Option<File> {
    File::open("/dev/null").ok()
}

/// A connection that waits in the kernel, if one does: another worker may have taken it.
async fn waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    poll_fn(|cx| match listener.poll_accept(cx) {
        Poll::Ready(Ok(accepted)) => Poll::Ready(Some(accepted)),
        Poll::Ready(Err(_)) | Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// Take one connection off the queue with the last descriptor and tell it why. Waited for, unlike other refusals: the next
/// one needs the same descriptor.
async fn refuse_for_files(listener: &TcpListener, shared: &Arc<Shared>) {
    if let Some((client, source)) = waiting(listener).await {
        shared.metrics.accepted();
        let words = refused(source, shared, Reason::LimitFiles);
        let _ = timeout(OUT_OF_FILES_LINGER, answer::refuse(client, &words)).await;
    }
}

fn out_of_files(error: &Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS | ENOMEM))
}

fn arrive(client: TcpStream, source: SocketAddr, shared: &Arc<Shared>) {
    shared.metrics.accepted();
    let source = canonical(source);
    let settings = &shared.snapshot().settings;
    match shared.limits.admit(source.ip(), &settings.limits) {
        Ok(permit) => drop(tokio::spawn(flow::serve(client, source, shared.clone(), permit))),
        Err(reason) => turn_away(client, source, shared, reason),
    }
}

/// Refuse before anything is read: the answer names the limit. Where too many linger already it is sent and nothing waited
/// for: a client that is busy sending may then see a reset instead.
fn turn_away(client: TcpStream, source: SocketAddr, shared: &Arc<Shared>, reason: Reason) {
    let words = refused(source, shared, reason);
    let Some(place) = shared.limits.linger() else {
        return answer::refuse_at_once(&client, &words);
    };
    tokio::spawn(async move {
        let _place = place;
        answer::refuse(client, &words).await;
    });
}

/// The record of a connection that is not served, and what it is told.
fn refused(source: SocketAddr, shared: &Arc<Shared>, reason: Reason) -> Words {
    let mut record = Record::new(shared.clone(), canonical(source));
    record.quiet = !shared.limits.may_tell(record.source.ip());
    record.denied(&Denial::new(reason, Stage::Accept));
    words(reason, None, "", record.id, &shared.snapshot().settings.proxy)
}

fn canonical(source: SocketAddr) -> SocketAddr {
    SocketAddr::new(source.ip().to_canonical(), source.port())
}
