//! Accept loops: one for all listeners of the proxy port, on every worker.
//!
//! All workers accept from one shared listening socket: whichever of those that watch it is free takes the next connection
//! (`door.rs`), and no other process of the user can join the port, as SO_REUSEPORT would let it.
//!
//! Whoever is not served is told why: at a limit, without a descriptor left, at the end.

pub mod admin;
mod door;
pub mod health;
mod read_only;

pub(crate) use door::{Door, Watch};

use crate::flow::answer::{self, words};
use crate::flow::lingering::Lingering;
use crate::flow::record::Record;
use crate::flow::{Arrival, Denial, Phase, Shared};
use crate::log::Stage;
use crate::policy::Reason;
use rustix::net::SocketFlags;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as Accepted};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
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

/// One worker's share of a listener, and who of them watches it.
pub(crate) type Share = (Listener, Arc<Watch>);

/// How connections reach the workers, one list of listeners for each: all of them accept from the same sockets, so that
/// whoever of those that watch is free takes the next connection.
///
/// Measured with the bare relay of `benches/load`, two workers, CPU time of a new tunnel, median (range) of 5
/// interleaved rounds on a busy machine: this 102 us (91-111); SO_REUSEPORT 106 us (95-114), level with it; an acceptor that
/// hands over 116 us (98-126). SO_REUSEPORT spreads by hash, so that few heavy tunnels may share a worker, and what waits in
/// a listener that is closed is reset; a shared socket can be passed on (`bars restart`: none reset in 100,000).
pub(crate) fn for_workers(listeners: &[Listener], workers: usize) -> Result<Vec<Vec<Share>>, Error> {
    let watches: Vec<_> = listeners.iter().map(|_| Watch::new(workers)).collect();
    let share = |(listener, watch): (&Listener, &Arc<Watch>)| {
        let listener = Listener {
            socket: listener.socket.try_clone()?,
            passed: listener.passed,
        };
        Ok((listener, watch.clone()))
    };
    let share_all = |_| listeners.iter().zip(&watches).map(share).collect();
    (0..workers).map(share_all).collect()
}

/// Accept until egret drains; what waits in the kernel then is told so, or left to the next process where the socket is not
/// egret's own.
pub(crate) async fn accept(mut door: Door, passed: bool, shared: Arc<Shared>, lingering: Lingering) {
    let mut spare = spare_file();
    let mut draining = pin!(shared.until(Phase::Draining));
    loop {
        let turn = tokio::select! {
            biased;
            () = &mut draining => break,
            turn = door.turn(
                |workers| shared.limits.is_ahead(workers),
                || shared.tunnels.has_own(),
                |client, source| arrive_alone(client, source, &shared, &lingering),
            ) => turn,
        };
        match turn {
            Ok(()) => {}
            Err(error) if out_of_files(&error) => {
                shared.metrics.accept_failed();
                drop(spare.take());
                refuse_for_files(&door, &shared).await;
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
    // No more than could wait when it began: who comes later must not keep egret from its end.
    for _ in 0..BACKLOG {
        match door.accept_waiting() {
            Ok((client, source)) => {
                shared.metrics.accepted();
                answer::refuse_at_once(&client, &refused(source, &shared, Reason::Draining));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => break,
        }
    }
}

/// A descriptor that is given up when there is no other.
fn spare_file() -> Option<File> {
    File::open("/dev/null").ok()
}

/// Take one connection off the queue with the last descriptor and tell it why. Waited for, unlike other refusals: the next
/// one needs the same descriptor.
async fn refuse_for_files(door: &Door, shared: &Arc<Shared>) {
    let Ok((client, source)) = door.accept_waiting() else {
        return;
    };
    shared.metrics.accepted();
    let response = refused(source, shared, Reason::LimitFiles);
    if let Ok(client) = TcpStream::from_std(client) {
        let _ = timeout(OUT_OF_FILES_LINGER, answer::refuse(client, &response)).await;
    }
}

fn accept4(listener: &StdListener) -> Result<(Accepted, SocketAddr), Error> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (client, source) = rustix::net::acceptfrom_with(listener, flags)?;
    let source = source.and_then(|source| SocketAddr::try_from(source).ok());
    // Only IP sockets listen.
    Ok((client.into(), source.ok_or(ErrorKind::AddrNotAvailable)?))
}

fn out_of_files(error: &Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS | ENOMEM))
}

/// A panic ends this connection alone, as it would in a task.
fn arrive_alone(client: Accepted, source: SocketAddr, shared: &Arc<Shared>, lingering: &Lingering) {
    let _ = catch_unwind(AssertUnwindSafe(|| arrive(client, source, shared, lingering)));
}

fn arrive(client: Accepted, source: SocketAddr, shared: &Arc<Shared>, lingering: &Lingering) {
    shared.metrics.accepted();
    let source = canonical(source);
    match shared.limits.admit(source.ip(), &shared.now().settings.limits) {
        Ok(permit) => Arrival::new(client, source, shared.clone(), permit, lingering.clone()).look(),
        Err(reason) => turn_away(client, source, shared, reason, lingering),
    }
}

/// Refuse before anything is read: the answer names the limit.
fn turn_away(client: Accepted, source: SocketAddr, shared: &Arc<Shared>, reason: Reason, lingering: &Lingering) {
    let response = refused(source, shared, reason);
    lingering.refuse(client, source.ip(), &response, &shared.limits);
}

/// The record of a connection that is not served, and what it is told.
fn refused(source: SocketAddr, shared: &Arc<Shared>, reason: Reason) -> Vec<u8> {
    let mut record = Record::new(shared.clone(), canonical(source));
    record.quiet = !shared.limits.may_tell(record.source.ip());
    record.denied(&Denial::new(reason, Stage::Accept));
    words(reason, None, "", record.id, &shared.now().settings.proxy).response()
}

fn canonical(source: SocketAddr) -> SocketAddr {
    SocketAddr::new(source.ip().to_canonical(), source.port())
}
