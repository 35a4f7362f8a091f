//! What an attempt asks for, as people write it.

use crate::{
    nets,
    policy::{Fqdn, Host, HostError, Protocol, Reason, Transport, Via},
};
use std::net::IpAddr;

/// A target, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name or address; neither: why it is refused before any rule is asked.
    pub host: Result<Host, Reason>,
    /// Destination port; 0 where the IP protocol has none.
    pub port: u16,
    /// IP protocol.
    pub transport: Transport,
    /// What is spoken over TCP.
    pub speaks: Speaks,
}

/// What is spoken, as far as it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// `http://` or `https://` was written.
    Known(Protocol),
    /// `host:port`: a CONNECT does not say it.
    Open,
    /// `tcp://`, `udp://`, `icmp://`: neither HTTP nor TLS.
    Neither,
}

impl Target {
    /// Reads `https://host[:port][/..]`, `http://host[:port][/..]`, `host[:port]`, `tcp://host:port`, `udp://host:port` or
    /// `icmp://host`.
    pub fn read(text: &str) -> Self {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (String::new(), text),
        };
        let (speaks, transport, usual) = match scheme.as_str() {
            "https" => (Speaks::Known(Protocol::Https), Transport::Tcp, Some(443)),
            "http" => (Speaks::Known(Protocol::Http), Transport::Tcp, Some(80)),
            "tcp" => (Speaks::Neither, Transport::Tcp, None),
            "udp" => (Speaks::Neither, Transport::Udp, None),
            "icmp" => (Speaks::Neither, Transport::Icmp, Some(0)),
            _ => (Speaks::Open, Transport::Tcp, Some(443)),
        };
        // Another scheme is part of what a client would have to send, and no host.
        let rest = if speaks == Speaks::Open { text } else { rest };
        let path = match speaks {
            Speaks::Known(_) => rest.find(['/', '?', '#']),
            Speaks::Open | Speaks::Neither => None,
        };
        let authority = &rest[..path.unwrap_or(rest.len())];
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') && transport != Transport::Icmp => (host, nets::port(port)),
            _ => (authority, usual),
        };
        let host = match (Host::parse(host.as_bytes()), port) {
            (_, None) => Err(Reason::BadAuthority),
            (host, Some(_)) => host.map_err(HostError::reason),
        };
        Self {
            host,
            port: port.unwrap_or(0),
            transport,
            speaks,
        }
    }

    /// How an attempt comes if nobody says it: packets are routed, requests and CONNECTs go to the proxy port.
    pub fn usual_way(&self) -> Via {
        match self.speaks {
            Speaks::Neither => Via::Transparent,
            Speaks::Known(_) | Speaks::Open => Via::Explicit,
        }
    }

    /// Whether it can come this way: the proxy port carries TCP alone.
    pub fn can_come(&self, via: Via) -> bool {
        via == Via::Transparent || self.transport == Transport::Tcp
    }

    /// The name asked for.
    pub fn name(&self) -> Option<&Fqdn> {
        match &self.host {
            Ok(Host::Name(name)) => Some(name),
            _ => None,
        }
    }

    /// The address asked for.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.host {
            Ok(Host::Address(ip)) => Some(*ip),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_taken_apart_like_those_of_clients() {
        use Speaks::{Known, Neither, Open};
        use Transport::{Icmp, Tcp, Udp};
        let cases = [
            ("api.example.com:443", Ok("api.example.com"), 443, Tcp, Open),
            ("api.example.com", Ok("api.example.com"), 443, Tcp, Open),
            (
                "https://API.example.com./v1?x=1",
                Ok("api.example.com"),
                443,
                Tcp,
                Known(Protocol::Https),
            ),
            (
                "HTTP://api.example.com:8080/",
                Ok("api.example.com"),
                8080,
                Tcp,
                Known(Protocol::Http),
            ),
            ("[2001:db8::1]:443", Ok("[2001:db8::1]"), 443, Tcp, Open),
            ("[2001:db8::1]", Ok("[2001:db8::1]"), 443, Tcp, Open),
            ("tcp://10.2.0.4:1433", Ok("10.2.0.4"), 1433, Tcp, Neither),
            ("udp://sql.contoso.com:53", Ok("sql.contoso.com"), 53, Udp, Neither),
            ("icmp://10.2.0.4", Ok("10.2.0.4"), 0, Icmp, Neither),
            ("icmp://10.2.0.4:1", Err(Reason::BadAuthority), 0, Icmp, Neither),
            ("tcp://10.2.0.4", Err(Reason::BadAuthority), 0, Tcp, Neither),
            ("api.example.com:0", Err(Reason::BadAuthority), 0, Tcp, Open),
            ("user@api.example.com:443", Err(Reason::BadAuthority), 443, Tcp, Open),
            ("ftp://api.example.com", Err(Reason::BadAuthority), 0, Tcp, Open),
            ("api..example.com", Err(Reason::NameInvalid), 443, Tcp, Open),
        ];
        for (text, host, port, transport, speaks) in cases {
            let target = Target::read(text);
            let read = target.host.as_ref().map(ToString::to_string).map_err(|reason| *reason);
            assert_eq!(read, host.map(str::to_owned), "{text}");
            assert_eq!(
                (target.port, target.transport, target.speaks),
                (port, transport, speaks),
                "{text}"
            );
        }
    }
}
