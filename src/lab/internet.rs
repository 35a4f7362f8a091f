//! The lab as a machine without a firewall sees it: ask a DNS server, dial what it says.
//!
//! In: a host and a port. Out: a connection from a chosen source address. Nothing is judged here: this is the road of the
//! controls, of `lab --direct`, and of proxies that decide nothing. Addresses of the lab are mapped to loopback listeners
//! as the last step, by the same table that the gateway's `[[dial.override]]` uses.

use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RData, RecordType},
};
use ipnet::IpNet;
use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpSocket, TcpStream, UdpSocket},
    time::timeout,
};

/// Time for one DNS question: everything is on this machine.
const ASK_TIME: Duration = Duration::from_secs(2);

/// Time for one connection.
const DIAL_TIME: Duration = Duration::from_secs(3);

/// Longest chain of aliases that is followed.
const MAX_LINKS: usize = 8;

/// Where addresses of the lab really are: the first entry that holds the address and the port wins.
#[derive(Clone, Debug, Default)]
pub struct DialMap(pub Vec<(IpNet, Option<u16>, SocketAddr)>);

impl DialMap {
    /// The listener that stands for `address`; itself if no entry holds it.
    pub fn at(&self, address: SocketAddr) -> SocketAddr {
        let holds = |(net, port, _): &&(IpNet, Option<u16>, SocketAddr)| {
            net.contains(&address.ip()) && port.is_none_or(|p| p == address.port())
        };
        self.0.iter().find(holds).map_or(address, |(_, _, to)| *to)
    }
}

/// A DNS server and the map of the lab.
#[derive(Clone, Debug)]
pub struct Internet {
    /// Asked over UDP; it recurses.
    pub dns: SocketAddr,
    /// Where the lab's addresses are.
    pub map: Arc<DialMap>,
}

impl Internet {
    /// Connects to a name or an address literal. Fails if there is no address or nobody listens.
    pub async fn dial(&self, source: IpAddr, host: &str, port: u16) -> io::Result<TcpStream> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses = match bare.parse() {
            Ok(ip) => vec![ip],
            Err(_) => self.resolve(host).await?,
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for ip in addresses {
            match connect_from(source, self.map.at(SocketAddr::new(ip, port))).await {
                Ok(stream) => return Ok(stream),
                Err(e) => last = e,
            }
        }
        Err(last)
    }

    /// The IPv4 addresses of a name, then the IPv6 ones.
    pub async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let mut name = Name::from_ascii(format!("{}.", host.trim_end_matches('.'))).map_err(io::Error::other)?;
        for _ in 0..MAX_LINKS {
            let mut found = Vec::new();
            let mut alias = None;
            for kind in [RecordType::A, RecordType::AAAA] {
                let answer = self.ask(&name, kind).await?;
                let (addresses, end) = walk(&answer, &name);
                found.extend(addresses);
                alias = alias.or(end.filter(|e| *e != name));
            }
            match alias {
                Some(next) if found.is_empty() => name = next,
                _ => return Ok(found),
            }
        }
        Err(io::Error::other(format!("{host}: more than {MAX_LINKS} aliases")))
    }

    async fn ask(&self, name: &Name, kind: RecordType) -> io::Result<Message> {
        let mut question = Message::query();
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(name.clone(), kind));
        let loopback = if self.dns.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        let socket = UdpSocket::bind(loopback).await?;
        socket.connect(self.dns).await?;
        socket.send(&question.to_vec().map_err(io::Error::other)?).await?;
        let mut buffer = [0; 4096];
        let answered = async {
            loop {
                let n = socket.recv(&mut buffer).await?;
                match Message::from_vec(&buffer[..n]) {
                    Ok(answer) if answer.metadata.id == question.metadata.id => return Ok(answer),
                    _ => continue, // not ours: wait for the right one until the time is up
                }
            }
        };
        timeout(ASK_TIME, answered)
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The addresses at the end of the chain that starts at `name`, and where it ends.
fn walk(answer: &Message, name: &Name) -> (Vec<IpAddr>, Option<Name>) {
    let mut at = name.clone();
    for _ in 0..MAX_LINKS {
        let next = answer.answers.iter().find_map(|r| match &r.data {
            RData::CNAME(target) if r.name == at => Some(target.0.clone()),
            _ => None,
        });
        let Some(next) = next else { break };
        at = next;
    }
    let addresses = answer
        .answers
        .iter()
        .filter(|r| r.name == at)
        .filter_map(|r| match &r.data {
            RData::A(a) => Some(IpAddr::V4(a.0)),
            RData::AAAA(a) => Some(IpAddr::V6(a.0)),
            _ => None,
        });
    (addresses.collect(), Some(at))
}

/// Connects from a source address. An unspecified source, or one of the other family, lets the system choose.
pub async fn connect_from(source: IpAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    if source.is_ipv4() == to.is_ipv4() && !source.is_unspecified() {
        socket
            .bind(SocketAddr::new(source, 0))
            .map_err(|e| io::Error::new(e.kind(), format!("cannot use {source} as a client's address: {e}")))?;
    }
    let stream = timeout(DIAL_TIME, socket.connect(to))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The source address that leaves the choice to the system.
pub const ANY_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_holds_address_and_port_wins() {
        let to = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let map = DialMap(vec![
            ("203.0.113.5/32".parse().unwrap(), Some(22), to(1)),
            ("203.0.113.5/32".parse().unwrap(), None, to(2)),
            ("0.0.0.0/0".parse().unwrap(), None, to(3)),
        ]);
        for (asked, port, why) in [
            ("203.0.113.5:22", 1, "its own port"),
            ("203.0.113.5:443", 2, "any other port of the address"),
            ("198.51.100.1:443", 3, "an address that nobody claims"),
        ] {
            assert_eq!(map.at(asked.parse().unwrap()), to(port), "{why}");
        }
        assert_eq!(DialMap::default().at(to(9)), to(9), "an empty map changes nothing");
    }
}
