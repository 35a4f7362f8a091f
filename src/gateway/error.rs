//! Why a gateway did not start, or kept its old configuration.

use crate::log::LogError;
use std::io;
use std::net::SocketAddr;

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener could not be bound.
    #[error("{what} listener {address}: {cause}; is another process using the port? choose another under [listeners]")]
    Bind {
        /// `proxy`, `health` or `admin`.
        what: &'static str,
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// A socket was passed that the configuration has no use for.
    #[error(
        "a socket that listens on {0} was passed, but no listener has this address; add it under [listeners], or remove it \
         from the socket unit (ListenStream=)"
    )]
    Passed(SocketAddr),
    /// A log sink could not be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A thread, a runtime or the list of own addresses could not be had.
    #[error("cannot start")]
    System(#[from] io::Error),
    /// A fresh name was not denied through the bound listener.
    #[error("self-test failed: {0}; egret does not serve when it cannot show that it denies")]
    SelfTest(String),
}

/// Why a reload was refused; the old snapshot stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// These settings are fixed at start.
    #[error("{} cannot change while egret runs; restart it to apply", .0.join(", "))]
    Fixed(Vec<&'static str>),
    /// The list of own addresses could not be had.
    #[error("cannot list this machine's addresses: {0}")]
    System(#[from] io::Error),
}
