//! [`Forwarders`]: one question to one zone's servers, over UDP, over TCP when the answer is truncated.
//!
//! The servers of the zone are asked in order, the next one as soon as one fails or stays silent; all that were asked are
//! listened to until the deadline, and the first right answer wins. A server that stayed silent while it was waited for rests:
//! it is asked last, until a question on the side shows that it answers again. No server of another zone is ever asked.

use super::{
    counters::{Counters, count},
    error::ResolveError,
    message::{Flaw, MAX_DATAGRAM, Question, Reply, decode, encode},
    plan::DnsPlan,
};
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    task::JoinSet,
    time::{sleep_until, timeout},
};

/// How long a server that stayed silent is asked last before it is tried again.
const REST: Duration = Duration::from_secs(30);

/// The servers of every zone, with what is known of their health.
#[derive(Debug)]
pub struct Forwarders {
    zones: Vec<ZoneServers>,
    per_try: Duration,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct ZoneServers {
    name: Arc<str>,
    servers: Vec<Arc<Server>>,
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    /// `address`, as answers name it.
    label: Arc<str>,
    health: Health,
}

/// Until when a server rests.
#[derive(Debug)]
struct Health {
    rest: Duration,
    since: Instant,
    /// Milliseconds after `since`. 0: it does not rest.
    rests_until: AtomicU64,
}

/// Where a server stands in the order.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Well,
    Resting,
    /// It has rested long enough, and whoever sees this must try it: nobody else is told before it has rested again.
    Due,
}

impl Health {
    fn new(rest: Duration) -> Self {
        Self {
            rest,
            since: Instant::now(),
            rests_until: AtomicU64::new(0),
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.since)
            .as_millis()
            .try_into()
            .unwrap_or(u64::MAX)
    }

    fn standing(&self, now: Instant) -> Standing {
        let until = self.rests_until.load(Relaxed);
        if until == 0 {
            return Standing::Well;
        }
        let (now, next) = (self.millis(now), self.millis(now + self.rest));
        let due = now >= until && self.rests_until.compare_exchange(until, next, Relaxed, Relaxed).is_ok();
        if due { Standing::Due } else { Standing::Resting }
    }

    fn rest(&self, now: Instant) {
        self.rests_until.store(self.millis(now + self.rest), Relaxed);
    }

    fn recover(&self) {
        self.rests_until.store(0, Relaxed);
    }
}

/// Everything that one exchange with one server needs.
#[derive(Clone)]
struct Exchange {
    server: Arc<Server>,
    zone: Arc<str>,
    question: Question,
    per_try: Duration,
    counters: Arc<Counters>,
}

/// Why an exchange over one transport ended without a reply.
enum Stop {
    Flaw(Flaw),
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Forwarders {
    /// The servers of a plan, all of them well.
    pub fn new(plan: &DnsPlan, counters: Arc<Counters>) -> Self {
        Self::resting(plan, counters, REST)
    }

    fn resting(plan: &DnsPlan, counters: Arc<Counters>, rest: Duration) -> Self {
        let server = |&address: &SocketAddr| {
            Arc::new(Server {
                address,
                label: address.to_string().into(),
                health: Health::new(rest),
            })
        };
        let servers = |forwarders: &[SocketAddr]| forwarders.iter().map(server).collect();
        let zones = plan.zones.iter();
        let zones = zones.map(|zone| ZoneServers {
            name: zone.name.clone(),
            servers: servers(&zone.forwarders),
        });
        Self {
            zones: zones.collect(),
            per_try: plan.timing.per_try,
            counters,
        }
    }

    /// Asks the servers of the zone at this index of the plan. Must run inside a tokio runtime.
    ///
    /// # Errors
    /// What the zone's servers said, the most telling of it (no such name is a reply, not an error).
    pub async fn ask(&self, zone: usize, question: Question, deadline: Instant) -> Result<Reply, ResolveError> {
        let ZoneServers { name: zone, servers } = &self.zones[zone];
        let mut waiting = self.in_order(servers, zone, &question).into_iter();
        let mut running: JoinSet<Result<Reply, ResolveError>> = JoinSet::new();
        let mut failure = ResolveError::Timeout { zone: zone.clone() };
        if waiting.len() == 0 {
            return Err(ResolveError::NoForwarder);
        }
        let mut next_try = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(ended) = running.join_next() => match ended {
                    Ok(Ok(reply)) => {
                        // the silent ones are put to rest before the next question is asked
                        running.shutdown().await;
                        return Ok(reply);
                    }
                    Ok(Err(error)) if error.rank() < failure.rank() => failure = error,
                    Ok(Err(_)) => {}
                    Err(_) => failure = ResolveError::Internal,
                },
                () = sleep_until(next_try.into()), if waiting.len() > 0 => {
                    let now = Instant::now();
                    if let Some(exchange) = waiting.next() {
                        running.spawn(exchange.run(now));
                    }
                    next_try = now + self.per_try;
                    continue;
                },
                () = sleep_until(deadline.into()) => return Err(failure),
            }
            // one has failed: the next is asked at once
            match (waiting.len(), running.len()) {
                (0, 0) => return Err(failure),
                (0, _) => {}
                _ => {
                    count(&self.counters.failovers);
                    next_try = Instant::now();
                }
            }
        }
    }

    /// Exchanges to try: servers that are well as configured, then those that rest. One whose rest is over is asked on the
    /// side, so that nobody waits for it.
    fn in_order(&self, servers: &[Arc<Server>], zone: &Arc<str>, question: &Question) -> Vec<Exchange> {
        let now = Instant::now();
        let (mut well, mut resting) = (Vec::with_capacity(servers.len()), Vec::new());
        for server in servers {
            let exchange = Exchange {
                server: server.clone(),
                zone: zone.clone(),
                question: question.clone(),
                per_try: self.per_try,
                counters: self.counters.clone(),
            };
            match server.health.standing(now) {
                Standing::Well => well.push(exchange),
                Standing::Resting => resting.push(exchange),
                Standing::Due => {
                    tokio::spawn(timeout(self.per_try, exchange.clone().run(now)));
                    resting.push(exchange);
                }
            }
        }
        well.append(&mut resting);
        well
    }
}

/// Puts the server to rest if the exchange is given up after it had its time.
struct Silence<'a> {
    server: &'a Server,
    since: Instant,
    patience: Duration,
    heard: bool,
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if !self.heard && now - self.since >= self.patience {
            self.server.health.rest(now);
        }
    }
}

impl Exchange {
    /// Asks until the server has answered one way or another; whoever waits sets the deadline. `since`: when it was its
    /// turn. The task may start later, and a silent server would then seem not to have had its time.
    async fn run(self, since: Instant) -> Result<Reply, ResolveError> {
        let mut silence = Silence {
            server: &self.server,
            since,
            patience: self.per_try,
            heard: false,
        };
        let outcome = self.over_udp_then_tcp().await;
        silence.heard = true;
        let zone = self.zone.clone();
        let error = match outcome {
            Ok(reply) => {
                count(&self.counters.replies);
                self.server.health.recover();
                return Ok(reply);
            }
            Err(Stop::Io(error)) if out_of_sockets(&error) => return Err(ResolveError::NoSocket),
            Err(Stop::Io(_)) => ResolveError::Unreachable { zone },
            Err(Stop::Flaw(Flaw::Refused)) => ResolveError::Refused { zone },
            Err(Stop::Flaw(Flaw::Servfail | Flaw::NoEdns)) => ResolveError::Servfail { zone },
            Err(Stop::Flaw(Flaw::NotOurs | Flaw::Truncated | Flaw::Malformed)) => {
                count(&self.counters.malformed);
                ResolveError::Malformed { zone }
            }
        };
        match error {
            ResolveError::Unreachable { .. } => self.server.health.rest(Instant::now()),
            // it lives; what it says of one name says nothing of the next
            _ => self.server.health.recover(),
        }
        Err(error)
    }

    async fn over_udp_then_tcp(&self) -> Result<Reply, Stop> {
        let mut edns = true;
        loop {
            match self.over_udp(edns).await {
                Err(Stop::Flaw(Flaw::NoEdns)) if edns => edns = false,
                Err(Stop::Flaw(Flaw::Truncated)) => return self.over_tcp(edns).await,
                other => return other,
            }
        }
    }

    /// A socket of its own for each exchange: the kernel draws its port at random and, since it is connected, drops what other
    /// addresses send (RFC 5452 sections 4 and 9). Sent again, with the same id from the same port, as long as it is silent.
    async fn over_udp(&self, edns: bool) -> Result<Reply, Stop> {
        let (id, query) = encode(&self.question, edns);
        let any: SocketAddr = match self.server.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        socket.connect(self.server.address).await?;
        let mut patience = self.per_try;
        loop {
            count(&self.counters.queries_udp);
            socket.send(&query).await?;
            if let Ok(ended) = timeout(patience, self.receive(&socket, id)).await {
                return ended;
            }
            patience *= 2;
        }
    }

    /// Waits for the answer; what is not ours is dropped and counted.
    async fn receive(&self, socket: &UdpSocket, id: u16) -> Result<Reply, Stop> {
        loop {
            socket.readable().await?;
            // lives on the stack only while there is something to read, so a waiting question holds no buffer
            let mut packet = [0; MAX_DATAGRAM + 1];
            let len = match socket.try_recv(&mut packet) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error.into()),
            };
            if len > MAX_DATAGRAM {
                packet[2] |= 0x02; // cut off by us: as good as TC
            }
            match decode(&packet[..len], id, &self.question, &self.server.label) {
                Err(Flaw::NotOurs) => count(&self.counters.ignored),
                other => return other.map_err(Stop::Flaw),
            }
        }
    }

    /// One question, one connection (RFC 7766); an answer grows in memory only as it arrives.
    async fn over_tcp(&self, edns: bool) -> Result<Reply, Stop> {
        count(&self.counters.queries_tcp);
        let (id, query) = encode(&self.question, edns);
        let mut stream = TcpStream::connect(self.server.address).await?;
        let length = u16::try_from(query.len()).expect("a question is far below 64 KiB");
        stream.write_all(&[&length.to_be_bytes()[..], &query].concat()).await?;
        let length = stream.read_u16().await?;
        let mut packet = Vec::new();
        stream.take(length.into()).read_to_end(&mut packet).await?;
        decode(&packet, id, &self.question, &self.server.label).map_err(Stop::Flaw)
    }
}

/// EMFILE or ENFILE.
fn out_of_sockets(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests;
