//! Vetted addresses -> [`Upstream`]: happy eyeballs over them, and nothing else may be dialled.

use super::Denial;
use super::judge::Screened;
use super::limits::{FilePermit, Limits};
use crate::log::Stage;
use crate::policy::vet::Candidate;
use crate::policy::{Reason, Vetted};
use crate::snapshot::Snapshot;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

/// Head start of an address over the next one (RFC 8305 section 5).
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Addresses dialled for one attempt at most: a forwarder must not turn one CONNECT into a port scan.
const MAX_DIALS: usize = 8;

/// A connection to a vetted address. Only [`connect`] makes it.
#[derive(Debug)]
pub(crate) struct Upstream {
    stream: TcpStream,
    file: FilePermit,
    /// The address and where its record came from.
    pub candidate: Candidate,
    /// What was vetted, before any dial override.
    pub address: SocketAddr,
    /// For what goes this way later; `None`: there is nothing to tell.
    pub screened: Option<Box<Screened>>,
}

impl Upstream {
    /// The socket, for the relay and the HTTP path, and its descriptor's place: to be kept as long.
    pub fn into_parts(self) -> (TcpStream, FilePermit) {
        (self.stream, self.file)
    }
}

/// Connect to the first address that answers, until `deadline`.
///
/// # Errors
/// `UpstreamRefused`, `UpstreamUnreachable`, `UpstreamTimeout`, `UpstreamPorts`, `LimitDials`, `LimitFiles`, or
/// `AddressDenied` where the connection turned out to end at this machine.
pub(crate) async fn connect(
    vetted: &Vetted,
    snapshot: &Snapshot,
    limits: &Arc<Limits>,
    deadline: Instant,
) -> Result<Upstream, Denial> {
    let (candidate, (stream, file)) = match vetted.addresses() {
        [only] => {
            let dialled = timeout_at(deadline, pin!(dial(only.ip, vetted.port(), snapshot, limits))).await;
            (only, dialled.unwrap_or_else(|_| Err(late(only.ip)))?)
        }
        several => {
            let ordered = interleave(several);
            // Boxed, so that a tunnel to one address does not carry the size of what it never does.
            let race = Box::pin(race(&ordered, vetted.port(), snapshot, limits));
            let dialled = timeout_at(deadline, race).await;
            let (index, dialled) = dialled.unwrap_or_else(|_| Err(late(ordered[0].ip)))?;
            (ordered[index], dialled)
        }
    };
    let candidate = candidate.clone();
    let address = SocketAddr::new(candidate.ip, vetted.port());
    if snapshot.dialled(address) == address && ends_here(&stream, address) {
        return Err(Denial::new(Reason::AddressDenied, Stage::Connect).refused(vec![candidate.ip]));
    }
    Ok(Upstream {
        stream,
        file,
        candidate,
        address,
        screened: None,
    })
}

fn late(ip: IpAddr) -> Denial {
    Denial::new(Reason::UpstreamTimeout, Stage::Connect).at(ip)
}

/// An address that came to this machine since the list of own addresses was made: the kernel then uses one and the same
/// address for both ends.
fn ends_here(stream: &TcpStream, peer: SocketAddr) -> bool {
    stream
        .local_addr()
        .is_ok_and(|local| local.ip().to_canonical() == peer.ip().to_canonical())
}

/// Families in turn, the first answer's family first (RFC 8305 section 4).
fn interleave(candidates: &[Candidate]) -> Vec<&Candidate> {
    let leading = candidates.first().is_some_and(|c| c.ip.is_ipv6());
    let mut first = candidates.iter().filter(|c| c.ip.is_ipv6() == leading);
    let mut second = candidates.iter().filter(|c| c.ip.is_ipv6() != leading);
    let mut ordered = Vec::with_capacity(candidates.len().min(MAX_DIALS));
    loop {
        let pair = [first.next(), second.next()];
        ordered.extend(pair.into_iter().flatten());
        if ordered.len() >= MAX_DIALS || pair == [None, None] {
            ordered.truncate(MAX_DIALS);
            return ordered;
        }
    }
}

/// A connection and its descriptor's place.
type Dialled = (TcpStream, FilePermit);

/// The first of them to connect. Where none does: why the last one did not.
async fn race(
    ordered: &[&Candidate],
    port: u16,
    snapshot: &Snapshot,
    limits: &Arc<Limits>,
) -> Result<(usize, Dialled), Denial> {
    let mut dials = JoinSet::new();
    let mut next = 0;
    let mut last = Denial::new(Reason::UpstreamUnreachable, Stage::Connect);
    loop {
        if next < ordered.len() {
            let (index, dialled) = (next, dial(ordered[next].ip, port, snapshot, limits));
            dials.spawn(async move { (index, dialled.await) });
            next += 1;
        }
        let head_start = Instant::now() + CONNECTION_ATTEMPT_DELAY;
        tokio::select! {
            ended = dials.join_next() => match ended {
                Some(Ok((index, Ok(dialled)))) => return Ok((index, dialled)),
                Some(Ok((_, Err(denial)))) => last = denial,
                Some(Err(_)) => {}
                None => return Err(last),
            },
            () = sleep_until(head_start), if next < ordered.len() => {}
        }
    }
}

/// One dial, whose places are taken at once.
fn dial(
    ip: IpAddr,
    port: u16,
    snapshot: &Snapshot,
    limits: &Arc<Limits>,
) -> impl Future<Output = Result<Dialled, Denial>> + use<> {
    let address = snapshot.dialled(SocketAddr::new(ip, port));
    let permit = limits.dial(&snapshot.settings.limits);
    let permits = permit.and_then(|dial| Ok((dial, limits.file()?)));
    async move {
        let (_dial, file) = permits.map_err(|reason| Denial::new(reason, Stage::Connect))?;
        let failed = |e: Error| {
            let denial = Denial::new(reason_of(&e), Stage::Connect).at(ip);
            denial.detail(e.to_string())
        };
        Ok((dial_one(address).await.map_err(failed)?, file))
    }
}

async fn dial_one(address: SocketAddr) -> Result<TcpStream, Error> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    socket.connect(address).await
}

fn reason_of(error: &Error) -> Reason {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    match error.kind() {
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Reason::UpstreamRefused,
        ErrorKind::TimedOut => Reason::UpstreamTimeout,
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => Reason::UpstreamPorts,
        _ if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) => Reason::LimitFiles,
        _ => Reason::UpstreamUnreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Fqdn;

    fn candidates(texts: &[&str]) -> Vec<Candidate> {
        let owner = Fqdn::parse("api.example.com").unwrap();
        texts
            .iter()
            .map(|t| Candidate {
                ip: t.parse().unwrap(),
                owner: Some(owner.clone()),
                zone: None,
                through_private_link: false,
            })
            .collect()
    }

    #[test]
    fn families_take_turns() {
        let given = candidates(&[
            "2001:db8::1",
            "2001:db8::2",
            "203.0.113.1",
            "203.0.113.2",
            "203.0.113.3",
        ]);
        let order: Vec<_> = interleave(&given).iter().map(|c| c.ip.to_string()).collect();
        assert_eq!(
            order,
            [
                "2001:db8::1",
                "203.0.113.1",
                "2001:db8::2",
                "203.0.113.2",
                "203.0.113.3"
            ]
        );
    }

    #[test]
    fn a_long_answer_is_no_port_scan() {
        let many: Vec<_> = (0..60).map(|n| format!("203.0.113.{n}")).collect();
        let given = candidates(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(interleave(&given).len(), MAX_DIALS);
    }

    #[test]
    fn r_09_r_10_errors_of_the_kernel_have_their_reasons() {
        for (code, reason, status, what) in [
            (111, Reason::UpstreamRefused, 502, "connection refused"),
            (
                113,
                Reason::UpstreamUnreachable,
                502,
                "no route to host, also TTL exceeded",
            ),
            (101, Reason::UpstreamUnreachable, 502, "no route to the network"),
            (110, Reason::UpstreamTimeout, 504, "the kernel gave up"),
            (99, Reason::UpstreamPorts, 503, "no source port left"),
            (24, Reason::LimitFiles, 503, "no descriptor left for the process"),
            (23, Reason::LimitFiles, 503, "no descriptor left on the machine"),
        ] {
            let found = reason_of(&Error::from_raw_os_error(code));
            assert_eq!((found, found.row().status), (reason, status), "{what}");
        }
    }
}
