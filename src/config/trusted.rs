//! Where private addresses are trusted, and what can be trusted nowhere: `networks`, `resolves_into`, static records.

use super::{
    at::At,
    file::Texts,
    problem::{Finding, Report},
    sources::read_nets,
};
use crate::policy::is_never_dialled;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Prefixes that private addresses may lie in; those that vouch for everything or for nothing are told of.
pub(super) fn networks(written: &Texts, report: &mut Report) -> Vec<IpNet> {
    let mut trusted = Vec::new();
    for text in written.iter().flat_map(|list| list.iter()) {
        let nets = read_nets(text, report);
        if nets.iter().any(is_wider_than_private_space) {
            let finding = Finding::warning(text.span, format!("`{}` trusts every private address", text.value));
            report.add(finding.hint("write the prefixes where these addresses are, like `10.1.0.0/16`"));
        } else if !nets.is_empty() && nets.iter().all(is_dialled_nowhere) {
            report.add(never_dialled(text));
        }
        trusted.extend(nets);
    }
    trusted
}

/// Tells of an address of a record that nobody will reach.
pub(super) fn warn_of_record(text: &At<String>, address: IpAddr, report: &mut Report) {
    if is_never_dialled(address) {
        report.add(never_dialled(text));
    }
}

fn never_dialled(text: &At<String>) -> Finding {
    Finding::warning(
        text.span,
        format!("`{}` is dialled for nobody, whoever vouches for it", text.value),
    )
    .hint("egret refuses this machine's own addresses, link-local, metadata and multicast ones always: leave it out")
}

/// All of 10.0.0.0/8 (RFC 1918) or fc00::/7 (RFC 4193), and more.
fn is_wider_than_private_space(net: &IpNet) -> bool {
    match net {
        IpNet::V4(net) => net.prefix_len() < 8,
        IpNet::V6(net) => net.prefix_len() < 7,
    }
}

/// By its ends and its middle: what is never dialled comes in whole prefixes.
fn is_dialled_nowhere(net: &IpNet) -> bool {
    let middle = match (net.network(), net.broadcast()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (first.to_bits(), last.to_bits());
            IpAddr::V4(Ipv4Addr::from_bits(first + (last - first) / 2))
        }
        (first, last) => {
            let bits = |ip| match ip {
                IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip).to_bits(),
                IpAddr::V6(ip) => ip.to_bits(),
            };
            let (first, last) = (bits(first), bits(last));
            IpAddr::V6(Ipv6Addr::from_bits(first + (last - first) / 2))
        }
    };
    [net.network(), middle, net.broadcast()]
        .into_iter()
        .all(is_never_dialled)
}
