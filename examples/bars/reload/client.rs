//! The clients of a run: what each kind of name must live to see.

use super::{ALWAYS, NEVER, SOURCES, TURNS};
use crate::tunnel::{Refusal, Tunnel, source};
use std::{
    cell::RefCell,
    net::SocketAddr,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What the clients saw.
#[derive(Default)]
pub struct Counts {
    /// Tunnels that were asked for.
    pub attempts: u64,
    /// Tunnels that both policies allow and that came to harm.
    pub permitted_lost: u64,
    /// Tunnels that neither allows and that stood.
    pub forbidden_passed: u64,
    /// Tunnels that were cut.
    pub cut: u64,
    /// Of those that are allowed in turns, the longest life.
    pub longest: Duration,
}

/// All clients of a run.
pub struct Client {
    /// Where the gateway listens.
    pub proxy: SocketAddr,
    /// What they saw.
    pub counts: RefCell<Counts>,
    /// Tunnels of each turn name that stand now.
    pub live: RefCell<[i64; 2]>,
}

impl Client {
    /// Clients of this gateway.
    pub fn of(proxy: SocketAddr) -> Self {
        Self {
            proxy,
            counts: RefCell::default(),
            live: RefCell::default(),
        }
    }

    /// One tunnel; counted.
    pub async fn open(&self, n: usize, name: &str) -> Result<Tunnel, Refusal> {
        self.counts.borrow_mut().attempts += 1;
        Tunnel::open(self.proxy, source(n % SOURCES), name).await
    }

    /// A tunnel that both policies allow: nothing may happen to it.
    pub async fn permitted(&self, n: usize) {
        let done = async {
            let mut tunnel = self.open(n, ALWAYS).await.map_err(|e| e.to_string())?;
            tunnel
                .echo(b"some bytes of the workload")
                .await
                .map_err(|e| e.to_string())?;
            tunnel.close(n.is_multiple_of(2)).await.map_err(|e| e.to_string())
        };
        if let Err(why) = done.await {
            self.counts.borrow_mut().permitted_lost += 1;
            eprintln!("  permitted tunnel lost: {why}");
        }
    }

    /// A name that neither policy allows.
    pub async fn forbidden(&self, n: usize) {
        match self.open(n, NEVER).await {
            Err(Refusal::Answered(line)) if line.contains("NoRuleMatched") => {}
            Err(other) => eprintln!("  forbidden tunnel: {other}"),
            Ok(_) => self.counts.borrow_mut().forbidden_passed += 1,
        }
    }

    /// A tunnel that one policy allows: held until it is cut. `over` resolves when nothing is measured any more.
    pub async fn in_turn(&self, n: usize, turn: usize, mut over: watch::Receiver<bool>) {
        // Refused when the other policy is in force: as it should be.
        let Ok(mut tunnel) = self.open(n, TURNS[turn]).await else {
            return;
        };
        let since = Instant::now();
        self.live.borrow_mut()[turn] += 1;
        tokio::select! {
            () = tunnel.cut() => {
                let mut counts = self.counts.borrow_mut();
                counts.cut += 1;
                counts.longest = counts.longest.max(since.elapsed());
                self.live.borrow_mut()[turn] -= 1;
            }
            _ = over.wait_for(|over| *over) => {}
        }
    }
}
