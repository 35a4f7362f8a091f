//! [`LabDns`]: a DNS server on loopback with a table of records and of misdeeds, which counts what it is asked.
//!
//! In: questions over UDP and TCP on one port. Out: what the table says, the whole chain of aliases in one answer as a
//! recursive server gives it. A view (public, private) is a server of its own with a table of its own; a name that the table
//! lacks does not exist. Questions are counted before they are answered, so that a test can show that a denied name was never
//! asked for.

mod serve;
mod table;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        RData, RecordType,
        rdata::{A, AAAA, CNAME},
    },
};
use serve::{serve_tcp, serve_udp};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use table::{Table, lock, plain, wire_name};
use tokio::{
    net::{TcpListener, UdpSocket},
    task::AbortHandle,
};

/// TTL of records that do not say otherwise, in seconds.
pub const TTL: u32 = 60;

/// What a server does with questions for one name instead of reading its table.
#[derive(Clone)]
pub enum Behaviour {
    /// Answers with this code and nothing else (`SERVFAIL`, `REFUSED`, `NXDOMAIN`). At the end of a chain of this server's
    /// table, the code stands beside the chain.
    Code(ResponseCode),
    /// Says nothing.
    Silent,
    /// Answers by the table, later.
    Late(Duration),
    /// Over UDP: TC and the first record only. Over TCP: the table.
    Truncated,
    /// Knows no EDNS: `FORMERR` to questions that use it.
    NoEdns,
    /// Answers by the table, over UDP from another port.
    AnotherPort,
    /// Answers questions for one type by the table and says nothing to others.
    Only(RecordType),
    /// Sends these packets, given the question and the answer by the table.
    Packets(Packets),
}

/// Makes packets of a question and its right answer.
pub type Packets = Arc<dyn Fn(&Message, Message) -> Vec<Vec<u8>> + Send + Sync>;

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "Code({code})"),
            Self::Silent => f.write_str("Silent"),
            Self::Late(time) => write!(f, "Late({time:?})"),
            Self::Truncated => f.write_str("Truncated"),
            Self::NoEdns => f.write_str("NoEdns"),
            Self::AnotherPort => f.write_str("AnotherPort"),
            Self::Only(kind) => write!(f, "Only({kind})"),
            Self::Packets(_) => f.write_str("Packets"),
        }
    }
}

/// One question as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Lower case, no trailing dot.
    pub name: String,
    /// The type.
    pub kind: RecordType,
    /// Over TCP.
    pub tcp: bool,
    /// Who asked.
    pub from: SocketAddr,
    /// Message id.
    pub id: u16,
    /// EDNS payload size, if EDNS was used.
    pub payload: Option<u16>,
}

/// A DNS server. Stops when dropped.
#[derive(Debug)]
pub struct LabDns {
    address: SocketAddr,
    table: Arc<Mutex<Table>>,
    tasks: [AbortHandle; 2],
}

impl LabDns {
    /// Starts a server with an empty table on 127.0.0.1, UDP and TCP on one free port. Must run inside a tokio runtime.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await
    }

    /// Starts a server at an address; port 0 asks for a free one. Must run inside a tokio runtime.
    pub async fn start_at(at: SocketAddr) -> io::Result<Self> {
        // the port is free for TCP; now and then somebody has it for UDP
        let mut attempts = 0;
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind(at).await?;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => break (udp, tcp),
                Err(error) if attempts == 10 || at.port() != 0 => return Err(error),
                Err(_) => attempts += 1,
            }
        };
        let address = udp.local_addr()?;
        let table = Arc::<Mutex<Table>>::default();
        let udp = tokio::spawn(serve_udp(udp, table.clone())).abort_handle();
        let tcp = tokio::spawn(serve_tcp(tcp, table.clone())).abort_handle();
        Ok(Self {
            address,
            table,
            tasks: [udp, tcp],
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an A or AAAA record. An owner `*.example.com` stands for every name below that has no entry of its own.
    pub fn address_of(&self, owner: &str, ip: IpAddr) -> &Self {
        let data = match ip {
            IpAddr::V4(ip) => RData::A(A(ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        };
        self.record(owner, TTL, data)
    }

    /// Adds a CNAME record.
    pub fn alias(&self, owner: &str, target: &str) -> &Self {
        self.record(owner, TTL, RData::CNAME(CNAME(wire_name(target))))
    }

    /// Adds a record.
    pub fn record(&self, owner: &str, ttl: u32, data: RData) -> &Self {
        lock(&self.table)
            .records
            .entry(plain(owner))
            .or_default()
            .push((ttl, data));
        self
    }

    /// Makes the server misbehave for a name; `*` for every name.
    pub fn behave(&self, owner: &str, behaviour: Behaviour) -> &Self {
        lock(&self.table).behaviours.insert(plain(owner), behaviour);
        self
    }

    /// Forgets records and misbehaviour of a name; counts stay.
    pub fn forget(&self, owner: &str) -> &Self {
        let mut table = lock(&self.table);
        table.records.remove(&plain(owner));
        table.behaviours.remove(&plain(owner));
        drop(table);
        self
    }

    /// Questions for a name, of any type, repeated ones included.
    pub fn queries(&self, name: &str) -> usize {
        lock(&self.table).counts.get(&plain(name)).copied().unwrap_or(0)
    }

    /// Questions in all.
    pub fn total(&self) -> usize {
        lock(&self.table).total
    }

    /// The latest questions, oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.table).asked.iter().cloned().collect()
    }
}

impl Drop for LabDns {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}
