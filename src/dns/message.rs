//! DNS messages on the wire: a [`Question`] out, a [`Reply`] in. Pure; `hickory-proto` reads and writes the bytes.
//!
//! [`decode`] takes whatever arrived on a socket and keeps only what the chain may use: records of class IN that are aliases or
//! addresses of the asked family. Authority and additional sections count for nothing but the SOA of a negative answer.

use crate::policy::Fqdn;
use hickory_proto::{
    op::{Edns, Message, OpCode, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record as WireRecord, RecordType},
};
use std::{net::IpAddr, sync::Arc};

/// The UDP payload size that we advertise, in bytes: what fits every path unfragmented (DNS flag day 2020; RFC 9715).
pub const ADVERTISED_PAYLOAD: u16 = 1232;

/// The longest datagram that is read, in bytes. A server that ignores what we advertise may go this far (RFC 6891 section 6.2.5
/// suggests 4096); a longer datagram counts as truncated.
pub const MAX_DATAGRAM: usize = 4096;

/// Bytes of a DNS header (RFC 1035 section 4.1.1).
const HEADER_LEN: usize = 12;

/// Which addresses are asked for. Each is a question of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Type A.
    V4,
    /// Type AAAA.
    V6,
}

impl Family {
    fn record_type(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
    }
}

/// One question of class IN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The name, asked as it stands: absolute, no search list.
    pub name: Fqdn,
    /// The type.
    pub family: Family,
}

/// What a server said of a question: records in the order they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who said it: `address:port`.
    pub server: Arc<str>,
    /// Code NXDOMAIN: the end of the chain does not exist (RFC 6604 section 3).
    pub nxdomain: bool,
    /// Aliases and addresses of the answer section, whoever owns them.
    pub records: Vec<Record>,
    /// The SOA of the authority section.
    pub soa: Option<Soa>,
}

/// A record that the chain may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose it is.
    pub owner: Fqdn,
    /// Seconds; 0 if the high bit was set (RFC 2181 section 8).
    pub ttl: u32,
    /// What it says.
    pub data: Data,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// CNAME. `None`: the target is not a host name.
    Alias(Option<Fqdn>),
    /// A or AAAA, as asked.
    Address(IpAddr),
}

/// The SOA beside a negative answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// The zone it speaks for. `None`: the root.
    pub zone: Option<Fqdn>,
    /// How long the negative answer stands, in seconds: the lesser of its TTL and its MINIMUM (RFC 2308 section 5).
    pub negative_ttl: u32,
}

impl Soa {
    /// Whether it speaks for this name: then the name has no record of the asked type, and need not be asked again.
    pub fn covers(&self, name: &Fqdn) -> bool {
        self.zone.as_ref().is_none_or(|zone| name.is_below_or_same(zone))
    }
}

/// Why a packet is not a [`Reply`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// It does not answer this question: other id, other question, a query. Dropped; the right answer may still come.
    NotOurs,
    /// TC is set: to be asked over TCP, the part that came is not used (RFC 7766 section 5).
    Truncated,
    /// It carries our id and cannot be read.
    Malformed,
    /// FORMERR or NOTIMP: a server that may not know EDNS (RFC 6891 section 7).
    NoEdns,
    /// REFUSED.
    Refused,
    /// SERVFAIL and every other code.
    Servfail,
}

/// The question as bytes with a random id, recursion desired. `edns` adds the OPT record with [`ADVERTISED_PAYLOAD`].
pub fn encode(question: &Question, edns: bool) -> (u16, Vec<u8>) {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(wire_query(question));
    if edns {
        let mut opt = Edns::new();
        opt.set_max_payload(ADVERTISED_PAYLOAD).set_version(0);
        message.set_edns(opt);
    }
    let bytes = message
        .to_vec()
        .expect("a host name and an OPT record always fit a message");
    (message.id, bytes)
}

fn wire_query(question: &Question) -> Query {
    let mut name = Name::from_ascii(question.name.as_str()).expect("an Fqdn is a DNS name");
    name.set_fqdn(true);
    Query::query(name, question.family.record_type())
}

/// What a packet says of the question asked with this id. `server` is who sent it. Never panics, whatever the bytes.
pub fn decode(packet: &[u8], id: u16, question: &Question, server: &Arc<str>) -> Result<Reply, Flaw> {
    look_at_header(packet, id)?;
    let message = Message::from_vec(packet).map_err(|_| Flaw::Malformed)?;
    let [asked] = message.queries.as_slice() else {
        return Err(Flaw::NotOurs);
    };
    if *asked != wire_query(question) {
        return Err(Flaw::NotOurs);
    }
    let nxdomain = match message.response_code {
        ResponseCode::NoError => false,
        ResponseCode::NXDomain => true,
        ResponseCode::FormErr | ResponseCode::NotImp => return Err(Flaw::NoEdns),
        ResponseCode::Refused => return Err(Flaw::Refused),
        _ => return Err(Flaw::Servfail),
    };
    let records = message
        .answers
        .iter()
        .filter_map(|record| usable(record, question.family))
        .collect();
    let soa = message.authorities.iter().find_map(read_soa);
    Ok(Reply {
        server: server.clone(),
        nxdomain,
        records,
        soa,
    })
}

/// What the header alone decides, before anything is parsed or allocated by its counts.
fn look_at_header(packet: &[u8], id: u16) -> Result<(), Flaw> {
    let Some(header) = packet.first_chunk::<HEADER_LEN>() else {
        return Err(Flaw::NotOurs);
    };
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let (flags, questions, answers) = (word(2), word(4), word(6));
    let (response, opcode, truncated, code) = (
        flags & 0x8000 != 0,
        (flags >> 11) & 0xf,
        flags & 0x0200 != 0,
        flags & 0xf,
    );
    if word(0) != id || !response || opcode != u16::from(u8::from(OpCode::Query)) {
        return Err(Flaw::NotOurs);
    }
    match questions {
        1 if truncated => Err(Flaw::Truncated),
        1 => Ok(()),
        // servers that do not know EDNS may answer with the bare header
        0 if answers == 0 && (code == 1 || code == 4) => Err(Flaw::NoEdns),
        _ => Err(Flaw::NotOurs),
    }
}

fn usable(record: &WireRecord, family: Family) -> Option<Record> {
    if record.dns_class != DNSClass::IN {
        return None;
    }
    let data = match (&record.data, family) {
        (RData::CNAME(target), _) => Data::Alias(host_name(target)),
        (RData::A(address), Family::V4) => Data::Address(address.0.into()),
        (RData::AAAA(address), Family::V6) => Data::Address(address.0.into()),
        _ => return None,
    };
    Some(Record {
        owner: host_name(&record.name)?,
        ttl: ttl(record.ttl),
        data,
    })
}

fn read_soa(record: &WireRecord) -> Option<Soa> {
    let RData::SOA(soa) = &record.data else { return None };
    let zone = if record.name.is_root() {
        None
    } else {
        Some(host_name(&record.name)?)
    };
    Some(Soa {
        zone,
        negative_ttl: ttl(record.ttl).min(ttl(soa.minimum)),
    })
}

/// A TTL with the high bit set is 0 (RFC 2181 section 8).
fn ttl(seconds: u32) -> u32 {
    if seconds > i32::MAX as u32 { 0 } else { seconds }
}

/// A wire name as a host name. A label with a dot or any other byte that host names do not have is no host name: it must never
/// read as another name once written as text.
fn host_name(name: &Name) -> Option<Fqdn> {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !label
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|&byte| char::from(byte)));
    }
    Fqdn::parse(&text).ok()
}

#[cfg(test)]
mod tests;
