//! An origin that understands nothing: it counts who dials it, keeps every byte, and may speak first.

use crate::world::until;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Stops when dropped.
pub struct Sink {
    pub address: SocketAddr,
    visits: Arc<Mutex<Vec<Visit>>>,
    task: AbortHandle,
}

struct Visit {
    from: SocketAddr,
    heard: Vec<u8>,
    /// One of our own, see [`Sink::settle`].
    own: bool,
}

impl Sink {
    /// Listens on a free port of loopback and says nothing.
    pub async fn start() -> Self {
        Self::that_says(b"").await
    }

    /// The same, but says this as soon as somebody connects.
    pub async fn that_says(greeting: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let visits: Arc<Mutex<Vec<Visit>>> = Arc::default();
        let all = visits.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, from)) = listener.accept().await {
                let (heard, own) = (Vec::new(), false);
                all.lock().unwrap().push(Visit { from, heard, own });
                let index = all.lock().unwrap().len() - 1;
                let all = all.clone();
                tokio::spawn(async move {
                    let _ = stream.write_all(greeting).await;
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        all.lock().unwrap()[index].heard.extend_from_slice(&buffer[..count]);
                    }
                });
            }
        })
        .abort_handle();
        Self { address, visits, task }
    }

    /// Leads every address of these nets, any port, to this sink: entries of `[[dial.override]]`.
    pub fn instead_of(&self, nets: &[&str]) -> String {
        nets.iter()
            .map(|net| format!("[[dial.override]]\nfrom = \"{net}:*\"\nto = \"{}\"\n", self.address))
            .collect()
    }

    /// Connections that were ever made, silent ones included.
    pub async fn dials(&self) -> usize {
        self.settle().await;
        self.heard().len()
    }

    /// Bytes that arrived in all.
    pub async fn bytes(&self) -> usize {
        self.settle().await;
        self.heard().iter().map(Vec::len).sum()
    }

    /// What arrived so far, one entry a connection.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        let visits = self.visits();
        visits
            .iter()
            .filter(|visit| !visit.own)
            .map(|visit| visit.heard.clone())
            .collect()
    }

    /// Waits until what was sent to the sink before has been counted: a visit of our own queues up behind it.
    async fn settle(&self) {
        let mut visitor = TcpStream::connect(self.address).await.unwrap();
        let from = visitor.local_addr().unwrap();
        visitor.write_all(b"?").await.unwrap();
        until("our own visit is noticed", || {
            let mut visits = self.visits();
            let ours = visits
                .iter_mut()
                .rfind(|visit| visit.from == from && !visit.heard.is_empty());
            ours.map(|visit| visit.own = true).is_some()
        })
        .await;
    }

    fn visits(&self) -> MutexGuard<'_, Vec<Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}
