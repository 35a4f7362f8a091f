//! The floor: what the work costs a program that decides nothing. All ratios are to it, so it is as lean as tokio allows:
//! a current-thread runtime per core with SO_REUSEPORT, no timers, no policy, no names, no log.

pub mod pipe;
pub mod relay;

use socket2::{Domain, Protocol, Socket, Type};
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    pin::Pin,
    task::{Poll, ready},
    thread,
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{TcpListener, TcpStream},
};

/// Connections that may wait to be accepted, as egret's.
const BACKLOG: i32 = 4096;

/// Longest head that a floor reads, in bytes: that of egret's default limit.
pub const HEAD_BYTES: usize = 16 * 1024;

/// Accepts on `address`, on one thread a core, and serves each connection by `serve`. Returns only if a listener fails.
pub fn run<F, Fut>(address: SocketAddr, serve: F) -> io::Result<()>
where
    F: Fn(TcpStream) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let mut workers = Vec::new();
    for _ in 0..crate::cores() {
        let (listener, serve) = (bind(address)?, serve.clone());
        workers.push(thread::spawn(move || crate::block_on(accept(listener, serve))));
    }
    for worker in workers {
        worker.join().map_err(|_| io::Error::other("a worker panicked"))??;
    }
    Ok(())
}

/// Accepts without end.
pub async fn accept<F, Fut>(listener: StdListener, serve: F) -> io::Result<()>
where
    F: Fn(TcpStream) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::from_std(listener)?;
    loop {
        // A client that was gone before it was accepted is no reason to end; neither is a lack of descriptors.
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(serve(client))),
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

/// A listener that others may share the port with. Accepted sockets inherit TCP_NODELAY.
pub fn bind(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connects upstream with the options that egret sets.
pub async fn dial(upstream: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads a request head, which must come alone. Fails where it does not end in [`HEAD_BYTES`] or the client is gone.
///
/// Through a buffer of the thread: a task that held one would carry it for the life of its tunnel.
pub async fn read_head(client: &mut TcpStream) -> io::Result<()> {
    const END: &[u8] = b"\r\n\r\n";
    let mut part = Vec::new();
    loop {
        let ended = poll_fn(|cx| {
            SCRATCH.with_borrow_mut(|scratch| {
                let mut filled = ReadBuf::new(scratch);
                ready!(Pin::new(&mut *client).poll_read(cx, &mut filled))?;
                let bytes = filled.filled();
                if bytes.is_empty() || part.len() + bytes.len() > HEAD_BYTES {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::InvalidData)));
                }
                if part.is_empty() && bytes.ends_with(END) {
                    return Poll::Ready(Ok(true));
                }
                part.extend_from_slice(bytes);
                Poll::Ready(Ok(part.ends_with(END)))
            })
        });
        if ended.await? {
            return Ok(());
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; HEAD_BYTES].into_boxed_slice());
}
