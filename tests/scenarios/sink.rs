//! An origin that understands nothing: it counts who dials it, keeps every byte, and may speak first.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

/// Stops when dropped.
pub struct Sink {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    task: AbortHandle,
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
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let all = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let index = {
                    let mut all = all.lock().unwrap();
                    all.push(Vec::new());
                    all.len() - 1
                };
                let all = all.clone();
                tokio::spawn(async move {
                    let _ = stream.write_all(greeting).await;
                    let mut buffer = vec![0; 64 * 1024];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        all.lock().unwrap()[index].extend_from_slice(&buffer[..count]);
                    }
                });
            }
        })
        .abort_handle();
        Self { address, heard, task }
    }

    /// Leads every address that egret may dial to this sink: `[[dial.override]]` for each net, any port.
    pub fn instead_of(&self, nets: &[&str]) -> String {
        nets.iter()
            .map(|net| format!("[[dial.override]]\nfrom = \"{net}:*\"\nto = \"{}\"\n", self.address))
            .collect()
    }

    /// Connections that were ever made, silent ones included.
    pub fn dials(&self) -> usize {
        self.heard().len()
    }

    /// Bytes that arrived in all.
    pub fn bytes(&self) -> usize {
        self.heard().iter().map(Vec::len).sum()
    }

    /// What arrived, one entry a connection.
    pub fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}
