//! [`Tier`]: what may be done with an address, whatever zone, record, rule or mode says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far an address is trusted before anything is known of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// Never dialled.
    Never,
    /// RFC 1918, CGNAT (RFC 6598), ULA (RFC 4193): dialled only where a zone, a record or a rule vouches for it.
    Private,
    /// Any other unicast address. Documentation prefixes (RFC 5737, RFC 3849) count: nobody routes them and labs use them.
    Public,
}

/// The wire server of Azure: DNS, DHCP, instance health. Forwarders may use it, tunnels may not.
const AZURE_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Instance metadata over IPv6 in another cloud; a ULA, so it is named.
const IPV6_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether an address is dialled for nobody, whoever vouches for it.
pub fn is_never_dialled(ip: IpAddr) -> bool {
    tier(ip) == Tier::Never
}

/// The tier of an address; mapped forms are judged as the IPv4 address they hold.
pub(super) fn tier(ip: IpAddr) -> Tier {
    match ip.to_canonical() {
        IpAddr::V4(ip) => tier_v4(ip),
        IpAddr::V6(ip) => tier_v6(ip),
    }
}

/// RFC 6890 (IANA special-purpose registry), RFC 3927, RFC 2544, RFC 7526.
fn tier_v4(ip: Ipv4Addr) -> Tier {
    match ip.octets() {
        [0 | 127, ..] | [169, 254, ..] | [224..=255, ..] => Tier::Never,
        // protocol assignments (192.0.0.192 is metadata in another cloud), 6to4 relays, benchmarking
        [192, 0, 0, _] | [192, 88, 99, _] | [198, 18 | 19, ..] => Tier::Never,
        _ if ip == AZURE_WIRE_SERVER => Tier::Never,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Tier::Private,
        _ => Tier::Public,
    }
}

/// Global unicast is 2000::/3 and nothing else (RFC 4291 section 2.4, IANA), so that loopback, link-local, site-local,
/// multicast and discard addresses need no list. Of the forms that embed an IPv4 address NAT64's alone may be dialled.
fn tier_v6(ip: Ipv6Addr) -> Tier {
    match (ip.segments(), embedded_v4(ip)) {
        ([0x64, 0xff9b, 0, ..], Some(embedded)) if tier_v4(embedded) == Tier::Public => Tier::Public,
        (_, Some(_)) => Tier::Never,
        // Benchmarking (RFC 5180).
        ([0x2001, 2, 0, ..], _) => Tier::Never,
        ([0x2000..=0x3fff, ..], _) => Tier::Public,
        ([0xfc00..=0xfdff, ..], _) if ip != IPV6_METADATA => Tier::Private,
        _ => Tier::Never,
    }
}

/// The IPv4 address that a translator, relay or tunnel reaches for this IPv6 address: what is denied there is denied here.
/// Mapped addresses are IPv4 by [`IpAddr::to_canonical`]. A NAT64 with a prefix of its own network (RFC 6052 section 2.2)
/// cannot be told from other addresses.
pub(super) fn embedded(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => embedded_v4(ip).map(IpAddr::V4),
    }
}

fn embedded_v4(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let (high, low) = match ip.segments() {
        // NAT64: the well-known prefix (RFC 6052 section 2.1), and the local one (RFC 8215), as a /96.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 1, _, _, _, high, low] => (high, low),
        // ISATAP interface identifier (RFC 5214 section 6.1), in any prefix.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => (high, low),
        // 6to4 (RFC 3056 section 2).
        [0x2002, high, low, ..] => (high, low),
        // Teredo (RFC 4380 section 4): the client's address with all bits turned.
        [0x2001, 0, _, _, _, _, high, low] => (!high, !low),
        // IPv4-compatible (RFC 4291 section 2.5.5.1).
        [0, 0, 0, 0, 0, 0, high, low] => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier_of(text: &str) -> Tier {
        tier(text.parse().unwrap_or_else(|_| panic!("{text}")))
    }

    #[test]
    fn d01_ipv4_addresses_that_are_never_dialled() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "192.0.0.192",
            "192.0.0.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
        ] {
            assert_eq!(tier_of(ip), Tier::Never, "{ip}");
        }
    }

    #[test]
    fn d02_c15_ipv6_addresses_that_are_never_dialled() {
        for ip in [
            "::",
            "::1",
            "::10.0.0.1",
            "::127.0.0.1",
            "::203.0.113.5",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "feff::1",
            "ff02::1",
            "ff0e::1",
            "100::1",
            "fd00:ec2::254",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::a00:1",
            "2002:a9fe:a9fe::1",
            "2002:cb00:7105::1",
            "2001::4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:db8::5efe:10.0.0.1",
            "2001:db8::200:5efe:203.0.113.5",
            "fe80::5efe:10.0.0.1",
            "fd00::5efe:10.0.0.1",
            "5f00::1",
            "4000::1",
        ] {
            assert_eq!(tier_of(ip), Tier::Never, "{ip}");
        }
    }

    #[test]
    fn private_addresses_need_someone_to_vouch() {
        for ip in [
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "fc00::1",
            "fd12:3456::1",
            "::ffff:10.1.2.3",
        ] {
            assert_eq!(tier_of(ip), Tier::Private, "{ip}");
        }
    }

    #[test]
    fn other_unicast_addresses_are_public() {
        for ip in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.5",
            "168.63.129.17",
            "223.255.255.255",
            "2001:db8::1",
            "2001:4860::1",
            "2600::1",
            "3fff::1",
            "64:ff9b::203.0.113.5",
            "::ffff:203.0.113.5",
        ] {
            assert_eq!(tier_of(ip), Tier::Public, "{ip}");
        }
    }
}
