//! Accept loops: one for all listeners of the proxy port, on every worker.
//!
//! All workers accept from one shared listening socket: whichever is free takes the next connection, and no other process
//! of the user can join the port, as SO_REUSEPORT would let it.

pub mod admin;
pub mod health;
mod read_only;

use crate::flow::answer::{self, words};
use crate::flow::limits::ConnectionPermit;
use crate::flow::record::Record;
use crate::flow::{self, Denial, Shared};
use crate::log::Stage;
use crate::policy::Reason;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::File;
use std::io::{Error, ErrorKind};
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Connections that wait in the kernel for a worker. The kernel cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Refusals at accept that linger at once, so that their text is not lost; more are only closed.
const LINGERING_REFUSALS: usize = 256;

/// Pause after the process ran out of file descriptors, so that the loop does not spin until one is free.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(10);

/// Bind a listener that workers share.
pub(crate) fn bind(address: SocketAddr) -> Result<StdListener, Error> {
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
    Ok(socket.into())
}

/// Accept until the returned future is dropped.
pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut spare = File::open("/dev/null").ok();
    let lingering = Arc::new(AtomicUsize::new(0));
    loop {
        match listener.accept().await {
            Ok((client, source)) => arrive(client, source, &shared, &lingering),
            Err(error) if out_of_files(&error) => {
                shared.metrics.accept_failed();
                // The descriptor kept for this moment takes one connection off the queue, to be told why.
                drop(spare.take());
                if let Ok((client, source)) = listener.accept().await {
                    turn_away(client, source, &shared, &lingering, Reason::LimitFiles);
                }
                tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
                spare = File::open("/dev/null").ok();
            }
            // The client was gone before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(_) => {
                shared.metrics.accept_failed();
                tokio::time::sleep(OUT_OF_FILES_PAUSE).await;
            }
        }
    }
}

fn out_of_files(error: &Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS | ENOMEM))
}

fn arrive(client: TcpStream, source: SocketAddr, shared: &Arc<Shared>, lingering: &Arc<AtomicUsize>) {
    shared.metrics.accepted();
    let source = SocketAddr::new(source.ip().to_canonical(), source.port());
    let settings = &shared.snapshot().settings;
    match shared.limits.admit(source.ip(), &settings.limits) {
        Ok(permit) => {
            let permit: ConnectionPermit = permit;
            tokio::spawn(flow::serve(client, source, shared.clone(), permit));
        }
        Err(reason) => turn_away(client, source, shared, lingering, reason),
    }
}

/// Refuse before anything is read: the answer names the limit.
fn turn_away(
    client: TcpStream,
    source: SocketAddr,
    shared: &Arc<Shared>,
    lingering: &Arc<AtomicUsize>,
    reason: Reason,
) {
    let mut record = Record::new(shared.clone(), source);
    record.denied(&Denial::new(reason, Stage::Accept));
    if lingering.fetch_add(1, Relaxed) >= LINGERING_REFUSALS {
        lingering.fetch_sub(1, Relaxed);
        return;
    }
    let lingering = lingering.clone();
    let proxy = shared.snapshot().settings.proxy;
    tokio::spawn(async move {
        let words = words(reason, None, "", record.id, &proxy);
        drop(record);
        answer::refuse(client, &words).await;
        lingering.fetch_sub(1, Relaxed);
    });
}
