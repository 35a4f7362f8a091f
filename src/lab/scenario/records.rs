//! The lines of a lab's DNS servers: `name [ttl] TYPE value`.

use crate::{
    lab::dns::{Behaviour, LabDns, TTL},
    policy::Fqdn,
};
use hickory_proto::{
    op::ResponseCode,
    rr::{
        Name, RData,
        rdata::{A, AAAA, CNAME},
    },
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One line of a lab's DNS server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRecord {
    /// The owner.
    pub name: Fqdn,
    /// Seconds.
    pub ttl: u32,
    /// What the server says.
    pub data: ZoneData,
}

/// What a lab's DNS server says of a name. Names without a line do not exist (NXDOMAIN).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ZoneData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// An alias.
    Cname(Fqdn),
    /// The name does not exist, whatever a shorter line says.
    Nxdomain,
    /// The server fails.
    Servfail,
    /// The server does not answer.
    Silent,
}

impl ZoneRecord {
    /// Reads `name [ttl] TYPE value`. The error says what is wrong.
    pub fn parse(line: &str) -> Result<Self, String> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (name, ttl, kind, value) = match words.as_slice() {
            [name, ttl, kind, value] if ttl.bytes().all(|b| b.is_ascii_digit()) => (*name, *ttl, *kind, Some(*value)),
            [name, kind, value] => (*name, "", *kind, Some(*value)),
            [name, kind] => (*name, "", *kind, None),
            _ => return Err("not a record: write `name [ttl] TYPE value`".to_owned()),
        };
        let data = match (kind, value) {
            ("A", Some(ip)) => ip
                .parse()
                .map(ZoneData::A)
                .map_err(|_| format!("`{ip}` is not an IPv4 address"))?,
            ("AAAA", Some(ip)) => ip
                .parse()
                .map(ZoneData::Aaaa)
                .map_err(|_| format!("`{ip}` is not an IPv6 address"))?,
            ("CNAME", Some(to)) => ZoneData::Cname(fqdn(to)?),
            ("NXDOMAIN", None) => ZoneData::Nxdomain,
            ("SERVFAIL", None) => ZoneData::Servfail,
            ("SILENT", None) => ZoneData::Silent,
            _ => {
                return Err(format!(
                    "`{kind}`: expected A, AAAA or CNAME with a value, or NXDOMAIN, SERVFAIL or SILENT"
                ));
            }
        };
        let ttl = if ttl.is_empty() { Ok(TTL) } else { ttl.parse() };
        Ok(Self {
            name: fqdn(name)?,
            ttl: ttl.map_err(|_| "a TTL is below 2^32".to_owned())?,
            data,
        })
    }

    /// Makes a server say this.
    pub fn say(&self, dns: &LabDns) {
        let name = self.name.as_str();
        match &self.data {
            ZoneData::A(ip) => dns.record(name, self.ttl, RData::A(A(*ip))),
            ZoneData::Aaaa(ip) => dns.record(name, self.ttl, RData::AAAA(AAAA(*ip))),
            ZoneData::Cname(to) => {
                let to = Name::from_ascii(format!("{}.", to.as_str())).expect("a checked name is a DNS name");
                dns.record(name, self.ttl, RData::CNAME(CNAME(to)))
            }
            ZoneData::Nxdomain => dns.behave(name, Behaviour::Code(ResponseCode::NXDomain)),
            ZoneData::Servfail => dns.behave(name, Behaviour::Code(ResponseCode::ServFail)),
            ZoneData::Silent => dns.behave(name, Behaviour::Silent),
        };
    }

    /// The address, if it is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.data {
            ZoneData::A(ip) => Some(ip.into()),
            ZoneData::Aaaa(ip) => Some(ip.into()),
            _ => None,
        }
    }
}

fn fqdn(text: &str) -> Result<Fqdn, String> {
    Fqdn::parse(text).map_err(|_| format!("`{text}` is not a host name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_name_a_type_and_what_the_type_needs() {
        let record = ZoneRecord::parse("API.example.com. 5 A 203.0.113.5").unwrap();
        assert_eq!(
            (record.name.as_str(), record.ttl),
            ("api.example.com", 5),
            "names are normalised, the TTL is read"
        );
        assert_eq!(record.address(), Some("203.0.113.5".parse().unwrap()));
        assert_eq!(ZoneRecord::parse("a.test SILENT").unwrap().data, ZoneData::Silent);
        for (line, why) in [
            ("a.test", "no type"),
            ("a.test A", "no value"),
            ("a.test A ::1", "the wrong family"),
            ("a.test CNAME -bad-", "the target is no name"),
            ("a.test 4294967296 A 203.0.113.5", "a TTL of 33 bits"),
            ("a.test SERVFAIL now", "a value too many"),
        ] {
            assert!(ZoneRecord::parse(line).is_err(), "{why}");
        }
    }
}
