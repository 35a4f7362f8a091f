//! Addresses as people write them: one address, a prefix, a range; ports likewise.

use crate::policy::PortRange;
use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Subnets};
use std::net::IpAddr;

/// What was read, and whether something was cut off.
#[derive(Debug, PartialEq, Eq)]
pub struct Nets {
    /// The prefixes; a range becomes the fewest that cover it exactly.
    pub nets: Vec<IpNet>,
    /// Bits behind the prefix length were set (`10.1.2.3/16`) and are ignored.
    pub host_bits: bool,
}

/// Reads `10.1.2.3`, `10.1.0.0/16`, `10.1.0.1-10.1.0.9`, the same in IPv6. IPv4-mapped IPv6 is IPv4 (threat N-19).
/// Fails with what is wrong, said for people.
pub fn nets(text: &str) -> Result<Nets, &'static str> {
    if let Some((first, last)) = text.split_once('-') {
        return range(first.trim(), last.trim()).map(|nets| Nets { nets, host_bits: false });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Nets {
            nets: vec![address.to_canonical().into()],
            host_bits: false,
        });
    }
    match text.parse::<IpNet>() {
        Ok(net) => {
            let net = unmapped(net);
            Ok(Nets {
                nets: vec![net.trunc()],
                host_bits: net.trunc() != net,
            })
        }
        Err(_) if looks_like_service_tag(text) => Err("service tags can be destinations of network rules only"),
        Err(_) => Err("not an address, a prefix or a range"),
    }
}

fn range(first: &str, last: &str) -> Result<Vec<IpNet>, &'static str> {
    let address = |text: &str| text.parse::<IpAddr>().map(|ip| ip.to_canonical());
    match (address(first), address(last)) {
        (Ok(first), Ok(last)) if first > last => Err("the range ends before it starts"),
        (Ok(IpAddr::V4(first)), Ok(IpAddr::V4(last))) => Ok(Ipv4Subnets::new(first, last, 0).map(IpNet::V4).collect()),
        (Ok(IpAddr::V6(first)), Ok(IpAddr::V6(last))) => Ok(Ipv6Subnets::new(first, last, 0).map(IpNet::V6).collect()),
        (Ok(_), Ok(_)) => Err("the range mixes IPv4 and IPv6"),
        (Err(_), Err(_)) => Err("not an address, a prefix or a range"),
        _ => Err("not a range of addresses"),
    }
}

/// `::ffff:10.1.0.0/112` is `10.1.0.0/16`: sources are compared in canonical form.
fn unmapped(net: IpNet) -> IpNet {
    let IpNet::V6(v6) = net else { return net };
    let Some(v4) = v6.addr().to_ipv4_mapped() else {
        return net;
    };
    v6.prefix_len()
        .checked_sub(96)
        .and_then(|length| Ipv4Net::new(v4, length).ok())
        .map_or(net, IpNet::V4)
}

/// Whether these prefixes hold every IPv4 address, alone or together.
pub fn hold_ipv4<'a>(nets: impl IntoIterator<Item = &'a IpNet>) -> bool {
    let v4 = nets.into_iter().filter_map(|net| match net {
        IpNet::V4(net) => Some(*net),
        IpNet::V6(_) => None,
    });
    let v4: Vec<Ipv4Net> = v4.collect();
    // Most lists are far from it, and need no merging.
    let addresses: u64 = v4.iter().map(|net| 1 << (32 - net.prefix_len())).sum();
    addresses >= 1 << 32 && Ipv4Net::aggregate(&v4) == [Ipv4Net::default()]
}

/// Service tags are written in upper camel case; host names mostly are not.
pub fn looks_like_service_tag(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_uppercase()) && !text.contains(['/', ':'])
}

/// Reads `443`, `8000-8100` or `*` as an inclusive range. `None` if it is none of these.
pub fn ports(text: &str) -> Option<PortRange> {
    if text == "*" {
        return Some(PortRange::ANY);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (port(first.trim_end())?, port(last.trim_start())?);
    (first <= last).then_some(PortRange { first, last })
}

/// Reads a port from 1 to 65535, digits alone: no sign, no leading zero.
pub fn port(text: &str) -> Option<u16> {
    let digits = !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_prefixes_and_ranges() {
        let cases: [(&str, Result<&[&str], &str>); 18] = [
            ("10.1.2.3", Ok(&["10.1.2.3/32"])),
            ("10.1.0.0/16", Ok(&["10.1.0.0/16"])),
            ("fd00::/8", Ok(&["fd00::/8"])),
            ("10.0.0.1-10.0.0.2", Ok(&["10.0.0.1/32", "10.0.0.2/32"])),
            ("10.0.0.0 - 10.0.1.255", Ok(&["10.0.0.0/23"])),
            ("0.0.0.0-255.255.255.255", Ok(&["0.0.0.0/0"])),
            ("::ffff:10.1.1.1", Ok(&["10.1.1.1/32"])),
            ("::ffff:10.1.0.0/112", Ok(&["10.1.0.0/16"])),
            ("10.0.0.9-10.0.0.1", Err("the range ends before it starts")),
            ("10.0.0.1-fd00::1", Err("the range mixes IPv4 and IPv6")),
            ("10.0.0.1-", Err("not a range of addresses")),
            ("10.0.0.0/33", Err("not an address, a prefix or a range")),
            ("010.0.0.1", Err("not an address, a prefix or a range")),
            ("vm-1.corp.example", Err("not an address, a prefix or a range")),
            ("localhost", Err("not an address, a prefix or a range")),
            ("10.0.0", Err("not an address, a prefix or a range")),
            ("", Err("not an address, a prefix or a range")),
            (
                "Storage.WestEurope",
                Err("service tags can be destinations of network rules only"),
            ),
        ];
        for (text, expected) in cases {
            let found = nets(text).map(|found| found.nets.iter().map(IpNet::to_string).collect::<Vec<_>>());
            assert_eq!(
                found,
                expected.map(|nets| nets.iter().map(|net| net.to_string()).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn all_of_ipv4_in_one_prefix_or_several() {
        for (written, all) in [
            (&["0.0.0.0/0"][..], true),
            (&["128.0.0.0/1", "10.0.0.0/8", "0.0.0.0/1"], true),
            (&["0.0.0.0/1", "128.0.0.0/2", "0.0.0.0/1"], false),
            (&["::/0"], false),
            (&[], false),
        ] {
            let nets: Vec<IpNet> = written.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(hold_ipv4(&nets), all, "{written:?}");
        }
    }

    #[test]
    fn bits_behind_the_prefix_are_noticed() {
        let found = nets("10.1.2.3/16").unwrap();
        assert_eq!(
            (found.nets[0].to_string().as_str(), found.host_bits),
            ("10.1.0.0/16", true)
        );
        assert!(!nets("10.1.0.0/16").unwrap().host_bits);
    }

    #[test]
    fn port_ranges() {
        let cases = [
            ("443", Some((443, 443))),
            ("8000-8100", Some((8000, 8100))),
            ("*", Some((0, 65535))),
            ("0", None),
            ("65536", None),
            ("0443", None),
            ("+443", None),
            ("9-1", None),
            ("1-", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(first, last)| PortRange { first, last });
            assert_eq!(ports(text), expected, "{text}");
        }
    }
}
