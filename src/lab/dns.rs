//! [`LabDns`]: a DNS server on loopback with a table of records and of misdeeds, which counts what it is asked.
//!
//! In: questions over UDP and TCP on one port. Out: what the table says, the whole chain of aliases in one answer as a
//! recursive server gives it. A view (public, private) is a server of its own with a table of its own; a name that the table
//! lacks does not exist. Questions are counted before they are answered, so that a test can show that a denied name was never
//! asked for.

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, SOA},
    },
};
use std::{
    collections::{HashMap, VecDeque},
    fmt, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    task::AbortHandle,
    time::{sleep, timeout},
};

/// TTL of records that do not say otherwise, in seconds.
pub const TTL: u32 = 60;

/// How long a negative answer stands, in seconds.
const NEGATIVE_TTL: u32 = 30;

/// Links of a chain that are followed at most: more than any resolver follows.
const MAX_CHASE: usize = 32;

/// Names counted apart at most; questions beyond are counted in the total only.
const MAX_NAMES: usize = 100_000;

/// Questions remembered with their details at most: the latest.
const MAX_ASKED: usize = 10_000;

/// An idle TCP connection is closed after this.
const TCP_IDLE: Duration = Duration::from_secs(30);

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

#[derive(Debug, Default)]
struct Table {
    records: HashMap<String, Vec<(u32, RData)>>,
    behaviours: HashMap<String, Behaviour>,
    counts: HashMap<String, usize>,
    total: usize,
    asked: VecDeque<Asked>,
}

/// What is sent for one question.
enum Reaction {
    Nothing,
    Send(Vec<Vec<u8>>),
    Later(Duration, Vec<u8>),
    FromAnotherPort(Vec<u8>),
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

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lower case, no trailing dot.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

/// A name of the lab, which is written in code or in a scenario.
fn wire_name(text: &str) -> Name {
    Name::from_ascii(format!("{}.", plain(text))).expect("names of the lab are DNS names")
}

async fn serve_udp(socket: UdpSocket, table: Arc<Mutex<Table>>) {
    let socket = Arc::new(socket);
    let mut packet = vec![0; 4096];
    loop {
        // an error here is an ICMP message about an earlier answer
        let Ok((len, from)) = socket.recv_from(&mut packet).await else {
            continue;
        };
        let Ok(question) = Message::from_vec(&packet[..len]) else {
            continue;
        };
        match react(&table, &question, from, false) {
            Reaction::Nothing => {}
            Reaction::Send(packets) => {
                for packet in packets {
                    let _ = socket.send_to(&packet, from).await;
                }
            }
            Reaction::Later(time, packet) => {
                let socket = socket.clone();
                tokio::spawn(async move {
                    sleep(time).await;
                    let _ = socket.send_to(&packet, from).await;
                });
            }
            Reaction::FromAnotherPort(packet) => {
                if let Ok(other) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await {
                    let _ = other.send_to(&packet, from).await;
                }
            }
        }
    }
}

async fn serve_tcp(listener: TcpListener, table: Arc<Mutex<Table>>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                tokio::spawn(timeout(TCP_IDLE, serve_stream(stream, from, table.clone())));
            }
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_stream(mut stream: TcpStream, from: SocketAddr, table: Arc<Mutex<Table>>) -> io::Result<()> {
    loop {
        let mut packet = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut packet).await?;
        let question = Message::from_vec(&packet).map_err(io::Error::other)?;
        let packets = match react(&table, &question, from, true) {
            Reaction::Nothing => continue,
            Reaction::Send(packets) => packets,
            Reaction::FromAnotherPort(packet) => vec![packet],
            Reaction::Later(time, packet) => {
                sleep(time).await;
                vec![packet]
            }
        };
        for packet in packets {
            let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
            stream.write_all(&[&length.to_be_bytes()[..], &packet].concat()).await?;
        }
    }
}

/// Counts a question and says what to send.
fn react(table: &Mutex<Table>, question: &Message, from: SocketAddr, tcp: bool) -> Reaction {
    let Some(query) = question.queries.first() else {
        return Reaction::Nothing;
    };
    let (name, kind) = (plain(&query.name().to_ascii()), query.query_type());
    let mut table = lock(table);
    let payload = question.edns.as_ref().map(|edns| edns.max_payload());
    table.count(Asked {
        name: name.clone(),
        kind,
        tcp,
        from,
        id: question.id,
        payload,
    });
    let behaviour = table
        .behaviours
        .get(&name)
        .or_else(|| table.behaviours.get("*"))
        .cloned();
    let right = table.answer(question, &name, kind);
    drop(table);
    let code = |code| {
        let mut answer = blank(question);
        answer.metadata.response_code = code;
        Reaction::Send(vec![bytes(&answer)])
    };
    match behaviour {
        Some(Behaviour::Silent) => Reaction::Nothing,
        Some(Behaviour::Only(wanted)) if wanted != kind => Reaction::Nothing,
        Some(Behaviour::Code(wanted)) => code(wanted),
        Some(Behaviour::NoEdns) if payload.is_some() => code(ResponseCode::FormErr),
        Some(Behaviour::Late(time)) => Reaction::Later(time, fitted(right, question, tcp)),
        Some(Behaviour::AnotherPort) => Reaction::FromAnotherPort(fitted(right, question, tcp)),
        Some(Behaviour::Packets(packets)) => Reaction::Send(packets(question, right)),
        Some(Behaviour::Truncated) if !tcp => {
            let mut cut = right;
            cut.metadata.truncation = true;
            cut.answers.truncate(1);
            Reaction::Send(vec![bytes(&cut)])
        }
        _ => Reaction::Send(vec![fitted(right, question, tcp)]),
    }
}

/// An answer without records: id, question and flags of a recursive server.
fn blank(question: &Message) -> Message {
    let mut answer = Message::response(question.id, question.op_code);
    answer.metadata.recursion_desired = question.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.add_queries(question.queries.iter().cloned());
    answer
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("what the lab writes can be encoded")
}

/// The answer as bytes; over UDP an empty one with TC if it exceeds what the asker takes.
fn fitted(answer: Message, question: &Message, tcp: bool) -> Vec<u8> {
    let whole = bytes(&answer);
    if tcp || whole.len() <= question.max_payload().into() {
        return whole;
    }
    bytes(&answer.truncate())
}

impl Table {
    fn count(&mut self, asked: Asked) {
        self.total += 1;
        if self.counts.len() < MAX_NAMES || self.counts.contains_key(&asked.name) {
            *self.counts.entry(asked.name.clone()).or_default() += 1;
        }
        if self.asked.len() == MAX_ASKED {
            self.asked.pop_front();
        }
        self.asked.push_back(asked);
    }

    /// Records of a name: its own, else those of the nearest `*.` above it.
    fn records_of(&self, name: &str) -> Option<&Vec<(u32, RData)>> {
        self.records.get(name).or_else(|| {
            let parents = name.match_indices('.').map(|(at, _)| &name[at..]);
            parents
                .filter_map(|parent| self.records.get(&format!("*{parent}")))
                .next()
        })
    }

    /// The right answer: the chain as far as this table knows it, and an SOA if it leads nowhere.
    fn answer(&self, question: &Message, name: &str, kind: RecordType) -> Message {
        let mut answer = blank(question);
        let mut end = name.to_owned();
        for _ in 0..MAX_CHASE {
            let Some(records) = self.records_of(&end) else {
                answer.metadata.response_code = ResponseCode::NXDomain;
                break;
            };
            let mut next = None;
            for (ttl, data) in records {
                if data.record_type() == kind || data.record_type() == RecordType::CNAME {
                    answer.add_answer(Record::from_rdata(wire_name(&end), *ttl, data.clone()));
                }
                if let RData::CNAME(target) = data {
                    next = Some(plain(&target.to_ascii()));
                }
            }
            let Some(next) = next else { break };
            end = next;
            if self.records_of(&end).is_none() {
                // what lies beyond this table is for the asker to look up, unless the table denies it
                let Some(Behaviour::Code(code)) = self.behaviours.get(&end) else {
                    return answer;
                };
                answer.metadata.response_code = *code;
                break;
            }
        }
        if !answer.answers.iter().any(|record| record.record_type() == kind) {
            answer.add_authority(soa_over(&end));
        }
        answer
    }
}

/// The SOA of the domain of two labels that holds a name.
fn soa_over(name: &str) -> Record {
    let labels: Vec<&str> = name.split('.').collect();
    let zone = wire_name(&labels[labels.len().saturating_sub(2)..].join("."));
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 3600, 600, 86400, NEGATIVE_TTL);
    Record::from_rdata(zone, NEGATIVE_TTL, RData::SOA(soa))
}
