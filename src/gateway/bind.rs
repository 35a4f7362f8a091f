//! Where the gateway listens: sockets that were passed, and those that it binds.

use super::StartError;
use crate::listen::{self, Listener};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};

/// Listeners that were passed, until they are used.
pub(super) struct Passed(Vec<(SocketAddr, StdListener)>);

impl Passed {
    pub(super) fn new(sockets: Vec<StdListener>) -> io::Result<Self> {
        let known = |socket: StdListener| Ok((socket.local_addr()?, socket));
        Ok(Self(sockets.into_iter().map(known).collect::<io::Result<_>>()?))
    }

    fn take(&mut self, address: SocketAddr) -> Option<StdListener> {
        let at = self.0.iter().position(|(known, _)| *known == address)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(super) fn all_used(&self) -> Result<(), StartError> {
        match self.0.first() {
            Some((address, _)) => Err(StartError::Passed(*address)),
            None => Ok(()),
        }
    }
}

/// Bind all of these, or use what was passed for them. With the ports that were given for 0.
pub(super) fn bind_all(
    what: &'static str,
    addresses: &[SocketAddr],
    passed: &mut Passed,
) -> Result<(Vec<Listener>, Vec<SocketAddr>), StartError> {
    let mut listeners = Vec::new();
    let mut bound = Vec::new();
    for address in addresses {
        let listener = match passed.take(*address) {
            Some(socket) => listen::passed(socket),
            None => listen::bind(*address),
        };
        let listener = match listener {
            Ok(listener) => listener,
            // A machine without IPv6 has no ::1; the IPv4 listener of the same port serves it.
            Err(error) if address.is_ipv6() && no_ipv6(&error) && addresses.iter().any(SocketAddr::is_ipv4) => {
                tracing::warn!(%address, %error, "no IPv6 on this machine: not listening there");
                continue;
            }
            Err(cause) => {
                return Err(StartError::Bind {
                    what,
                    address: *address,
                    cause,
                });
            }
        };
        bound.push(listener.socket.local_addr()?);
        listeners.push(listener);
    }
    Ok((listeners, bound))
}

fn no_ipv6(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}
