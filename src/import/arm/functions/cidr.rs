//! CIDR functions (Azure documentation, "CIDR functions for ARM templates").

use super::{Call, Fail, Made, bad};
use crate::import::{
    json::shown,
    value::{Kind, Value},
};
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) fn call(call: &Call<'_>, name: &str) -> Made {
    let text = call.str(0)?;
    let net: IpNet = text
        .parse()
        .or_else(|_| bad(format!("`{}` is no prefix", shown(text))))?;
    match name {
        "cidrsubnet" => subnet(call, net),
        "cidrhost" => host(call, net),
        _ => parts(call, net),
    }
}

/// The subnet of this length at this index.
fn subnet(call: &Call<'_>, net: IpNet) -> Made {
    let (length, index) = (call.int(1)?, call.int(2)?);
    let length = u8::try_from(length)
        .ok()
        .filter(|length| (net.prefix_len()..=net.max_prefix_len()).contains(length));
    let (Some(length), Ok(index)) = (length, u128::try_from(index)) else {
        return bad("takes a prefix, a longer length and an index");
    };
    let room = length - net.prefix_len();
    if room < 127 && index >= 1 << room {
        return bad("beyond the prefix");
    }
    let start = number(net.network()) + (index << (net.max_prefix_len() - length));
    call.text(format!("{}/{length}", address(start, net)))
}

/// The usable address at this index: in IPv4 the network address is skipped.
fn host(call: &Call<'_>, net: IpNet) -> Made {
    let index = call.size(1)? as u128;
    let skipped = u128::from(matches!(net, IpNet::V4(net) if net.prefix_len() < 31));
    let found = number(net.network()).checked_add(index + skipped);
    match found.filter(|found| *found <= number(net.broadcast())) {
        Some(found) => call.text(address(found, net).to_string()),
        None => bad("beyond the prefix"),
    }
}

fn parts(call: &Call<'_>, net: IpNet) -> Made {
    let text = |text: String| -> Result<Value, Fail> { call.text(text) };
    let (mut first, mut last) = (number(net.network()), number(net.broadcast()));
    if matches!(net, IpNet::V4(net) if net.prefix_len() < 31) {
        (first, last) = (first + 1, last - 1);
    }
    let mut entries = vec![
        ("network".into(), text(net.network().to_string())?),
        ("netmask".into(), text(net.netmask().to_string())?),
    ];
    if net.network().is_ipv4() {
        entries.push(("broadcast".into(), text(net.broadcast().to_string())?));
    }
    entries.push(("firstUsable".into(), text(address(first, net).to_string())?));
    entries.push(("lastUsable".into(), text(address(last, net).to_string())?));
    entries.push((
        "cidr".into(),
        Value::new(Kind::Int(i64::from(net.prefix_len())), call.at),
    ));
    call.object(entries)
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn address(number: u128, net: IpNet) -> IpAddr {
    match net {
        IpNet::V4(_) => IpAddr::V4(u32::try_from(number).unwrap_or(u32::MAX).into()),
        IpNet::V6(_) => IpAddr::V6(number.into()),
    }
}
