//! The world of a lab: its sites behind listeners, its DNS servers, the map from one to the other.
//!
//! In: sites and what each DNS server says. Out: running listeners on loopback and the [`Internet`] of a machine without a
//! firewall. A thread of its own serves it all, whatever runtime its users have.

use super::{
    dns::LabDns,
    internet::{DialMap, Internet},
    open_proxy::OpenProxy,
    scenario::ZoneRecord,
    site::{Front, Site, SiteSpec},
    stand_ins::StandIns,
};
use crate::tls::authority::Authority;
use ipnet::IpNet;
use socket2::{Domain, Socket, Type};
use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    net::TcpSocket,
    runtime::Handle,
    sync::oneshot,
    time::{sleep, timeout},
};

/// Where the listeners of a world stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ground {
    /// On free ports of 127.0.0.1; egret's dial overrides and [`DialMap`] lead there.
    Mapped,
    /// On the real ports of addresses of this machine that stand for the lab's, for a proxy that is not
    /// ours. One DNS server at this address says everything, in stand-ins.
    StandIns(SocketAddr, StandIns),
}

/// A world that runs until it is dropped.
#[derive(Debug)]
pub struct World {
    /// Signs the certificates of every site.
    pub authority: Arc<Authority>,
    sites: Vec<Arc<Site>>,
    fronts: Vec<(Arc<Front>, SocketAddr)>,
    map: Arc<DialMap>,
    nobody: (Socket, SocketAddr),
    stand_ins: StandIns,
    dns: BTreeMap<String, LabDns>,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A world could not be built.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A listener could not be bound.
    #[error("cannot listen on {at}: {cause}{hint}")]
    Bind {
        /// Its address.
        at: SocketAddr,
        /// Why.
        cause: io::Error,
        /// What to do, if something can be done.
        hint: &'static str,
    },
    /// Anything else of the system.
    #[error("the lab cannot start: {0}")]
    Start(String),
}

impl World {
    /// Binds and serves, on a thread of its own. Fails if the system refuses a listener or a thread.
    pub fn start(
        specs: Vec<SiteSpec>,
        views: &BTreeMap<String, Vec<ZoneRecord>>,
        ground: &Ground,
    ) -> Result<Self, WorldError> {
        let authority = Arc::new(Authority::new().map_err(failed)?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let sites: Vec<Arc<Site>> = specs.into_iter().map(Site::new).collect();
        let mut world = Self {
            authority,
            stand_ins: match ground {
                Ground::Mapped => StandIns::default(),
                Ground::StandIns(_, stand_ins) => stand_ins.clone(),
            },
            sites,
            fronts: Vec::new(),
            map: Arc::default(),
            nobody: nobody().map_err(failed)?,
            dns: BTreeMap::new(),
            handle: runtime.handle().clone(),
            stop: None,
            thread: None,
        };
        world.listen(ground)?;
        // The servers of DNS bind inside the runtime, which must not be entered from within another: hence the thread.
        let (ready, answered) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let servers = world.servers_of(views, ground);
        let serve = move || {
            runtime.block_on(async move {
                let _ = ready.send(answer(servers).await);
                let _ = stopped.await;
            });
        };
        let thread = std::thread::Builder::new().name("lab".to_owned()).spawn(serve);
        world.thread = Some(thread.map_err(failed)?);
        world.stop = Some(stop);
        world.dns = answered.recv().map_err(failed)??;
        Ok(world)
    }

    /// A site by name.
    pub fn site(&self, name: &str) -> Option<&Arc<Site>> {
        self.sites.iter().find(|s| s.name() == name)
    }

    /// All sites, in the order they were given.
    pub fn sites(&self) -> &[Arc<Site>] {
        &self.sites
    }

    /// Connections that reached an address of the lab, silent ones included.
    pub fn dialled(&self, address: IpAddr) -> u64 {
        let there = self.fronts.iter().filter(|(front, _)| front.address == address);
        there.map(|(front, _)| front.accepted()).sum()
    }

    /// Connections to sites that are open now.
    pub fn open(&self) -> u64 {
        self.fronts.iter().map(|(front, _)| front.open()).sum()
    }

    /// Waits until every connection that was made to a site before has been accepted and read to its end: what the sites
    /// then say they heard is all. `false` if it is not so within `patience`, as while somebody keeps a connection open.
    pub async fn settle(&self, patience: Duration) -> bool {
        let settled = async {
            for (front, at) in &self.fronts {
                let socket = TcpSocket::new_v4()?;
                socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
                let accepted = front.expect_probe(socket.local_addr()?);
                let _probe = socket.connect(*at).await?;
                let _ = accepted.await;
            }
            while self.open() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
            io::Result::Ok(())
        };
        matches!(timeout(patience, settled).await, Ok(Ok(())))
    }

    /// Where the lab's addresses are.
    pub fn map(&self) -> &Arc<DialMap> {
        &self.map
    }

    /// The addresses that stand for the lab's; none on [`Ground::Mapped`].
    pub fn stand_ins(&self) -> &StandIns {
        &self.stand_ins
    }

    /// A DNS server by name.
    pub fn dns(&self, view: &str) -> Option<&LabDns> {
        self.dns.get(view)
    }

    /// The addresses of all DNS servers by name.
    pub fn servers(&self) -> BTreeMap<String, SocketAddr> {
        self.dns
            .iter()
            .map(|(view, dns)| (view.clone(), dns.address()))
            .collect()
    }

    /// What a machine without a firewall sees: the `public` server, or the only one there is.
    pub fn internet(&self) -> Internet {
        let dns = self.dns.get("public").or_else(|| self.dns.values().next());
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Internet {
            dns: dns.map_or(nowhere, LabDns::address),
            map: self.map.clone(),
        }
    }

    /// The same names, and no way out: what a machine sees in a network that lets nothing but the proxy through.
    pub fn walled_off(&self) -> Internet {
        Internet {
            map: Arc::new(DialMap(nowhere(self.nobody.1))),
            ..self.internet()
        }
    }

    /// Starts a proxy that decides nothing, and says where.
    pub fn open_proxy(&self) -> Result<SocketAddr, WorldError> {
        let (listener, at) = self.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let proxy = OpenProxy {
            internet: self.internet(),
            allow: Vec::new(),
        };
        self.handle.spawn(proxy.serve(listener));
        Ok(at)
    }

    /// One front end for each address and each port that a site there claims for itself.
    fn listen(&mut self, ground: &Ground) -> Result<(), WorldError> {
        let mut map = DialMap::default();
        for (address, port) in fronts_of(&self.sites, ground) {
            let there = self.sites.iter().filter(|s| stands(s, address, port));
            let mut here: Vec<Arc<Site>> = there.cloned().collect();
            // Of two that take what the others leave, the one that claims the port goes first.
            here.sort_by_key(|site| site.spec().ports.is_empty());
            let front = Front::new(address, port, here, &self.authority);
            let at = match (ground, port) {
                (Ground::StandIns(..), Some(port)) => SocketAddr::new(
                    self.stand_ins
                        .get(address)
                        .ok_or_else(|| failed(format!("nothing stands for {address}")))?,
                    port,
                ),
                _ => SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            };
            let (listener, bound) = self.bind(at)?;
            map.0.push((IpNet::from(address), port, bound));
            self.handle.spawn(front.clone().serve(listener));
            self.fronts.push((front, bound));
        }
        if *ground == Ground::Mapped {
            // Nothing that is dialled by mistake leaves this machine.
            map.0.extend(nowhere(self.nobody.1));
        }
        self.map = Arc::new(map);
        Ok(())
    }

    /// Each DNS server: its name, where it listens, what it says.
    fn servers_of(&self, views: &BTreeMap<String, Vec<ZoneRecord>>, ground: &Ground) -> Vec<Server> {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        match ground {
            Ground::Mapped => views
                .iter()
                .map(|(view, records)| (view.clone(), loopback, records.clone()))
                .collect(),
            Ground::StandIns(at, _) => vec![("public".to_owned(), *at, self.stand_ins.records(views))],
        }
    }

    fn bind(&self, at: SocketAddr) -> Result<(tokio::net::TcpListener, SocketAddr), WorldError> {
        let hint = if at.port() != 0 && at.port() < 1024 {
            " (real ports need root, or `sysctl -w net.ipv4.ip_unprivileged_port_start=0`)"
        } else {
            ""
        };
        let _in_the_runtime = self.handle.enter();
        let bind = || {
            let listener = TcpListener::bind(at)?;
            listener.set_nonblocking(true)?;
            let bound = listener.local_addr()?;
            Ok((tokio::net::TcpListener::from_std(listener)?, bound))
        };
        bind().map_err(|cause| WorldError::Bind { at, cause, hint })
    }
}

type Server = (String, SocketAddr, Vec<ZoneRecord>);

async fn answer(servers: Vec<Server>) -> Result<BTreeMap<String, LabDns>, WorldError> {
    let mut running = BTreeMap::new();
    for (view, at, records) in servers {
        let bound = LabDns::start_at(at).await;
        let dns = bound.map_err(|cause| WorldError::Bind { at, cause, hint: "" })?;
        records.iter().for_each(|record| record.say(&dns));
        running.insert(view, dns);
    }
    Ok(running)
}

fn failed(e: impl std::fmt::Display) -> WorldError {
    WorldError::Start(e.to_string())
}

/// A port that is taken and on which nobody listens: who dials it is refused.
fn nobody() -> io::Result<(Socket, SocketAddr)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let at = socket
        .local_addr()?
        .as_socket()
        .ok_or(io::ErrorKind::AddrNotAvailable)?;
    Ok((socket, at))
}

/// Every address leads to `nobody`.
fn nowhere(nobody: SocketAddr) -> Vec<(IpNet, Option<u16>, SocketAddr)> {
    let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    all.map(|ip| (IpNet::new_assert(ip, 0), None, nobody)).to_vec()
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stands(site: &Site, address: IpAddr, port: Option<u16>) -> bool {
    let spec = site.spec();
    let speaks = match port {
        Some(port) => spec.ports.is_empty() || spec.ports.contains(&port),
        None => spec.ports.is_empty(),
    };
    speaks && spec.addresses.contains(&address)
}

/// Address and port of each front end, those of one port first: the map's first match wins.
fn fronts_of(sites: &[Arc<Site>], ground: &Ground) -> Vec<(IpAddr, Option<u16>)> {
    let mut fronts = Vec::new();
    for site in sites {
        for address in &site.spec().addresses {
            match (site.spec().ports.as_slice(), ground) {
                ([], Ground::Mapped) => fronts.push((*address, None)),
                ([], Ground::StandIns(..)) => fronts.extend([443, 80].map(|port| (*address, Some(port)))),
                (ports, _) => fronts.extend(ports.iter().map(|port| (*address, Some(*port)))),
            }
        }
    }
    fronts.sort_by_key(|(address, port)| (port.is_none(), *address, *port));
    fronts.dedup();
    fronts
}

#[cfg(test)]
mod tests;
