//! How a name became addresses, for `properties.egret`.

use super::{CONFIGURED, NAME};
use crate::{
    log::{
        escape::{self, Style},
        json::{push_address, push_number},
    },
    policy::Answer,
};
use std::{io::Write, net::IpAddr};

/// Longest way of a name, in bytes.
const DNS: usize = 1536;

/// Refused addresses shown.
const SHOWN_REFUSED: usize = 8;

pub(super) fn refused(out: &mut Vec<u8>, addresses: &[IpAddr]) {
    out.push(b'[');
    for (i, ip) in addresses.iter().take(SHOWN_REFUSED).enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\"{}\"", ip.to_canonical()).expect("writing to a Vec cannot fail");
    }
    out.push(b']');
}

/// The way a name was resolved, one sentence a step: `a.example CNAME b.example (zone a.example, server 10.0.0.4:53, 300 s)`.
/// Names here have been parsed and hold nothing that needs care; zone and server come from the configuration.
pub(super) fn dns(out: &mut Vec<u8>, answer: &Answer) {
    let start = out.len();
    out.push(b'[');
    let steps = answer.links.len() + answer.addresses.len();
    for shown in 0..steps {
        let before = out.len();
        if shown > 0 {
            out.push(b',');
        }
        dns_step(out, answer, shown);
        if out.len() - start > DNS {
            out.truncate(before);
            let comma = if shown > 0 { "," } else { "" };
            write!(out, "{comma}\"...(cut, {steps} steps)\"").expect("writing to a Vec cannot fail");
            break;
        }
    }
    out.push(b']');
}

fn dns_step(out: &mut Vec<u8>, answer: &Answer, step: usize) {
    out.push(b'"');
    let (zone, server, ttl) = if let Some(link) = answer.links.get(step) {
        out.extend_from_slice(link.owner.as_str().as_bytes());
        out.extend_from_slice(b" CNAME ");
        out.extend_from_slice(link.target.as_str().as_bytes());
        (&link.zone, &link.server, link.ttl)
    } else {
        let found = &answer.addresses[step - answer.links.len()];
        out.extend_from_slice(found.owner.as_str().as_bytes());
        match found.ip {
            IpAddr::V4(_) => {
                out.extend_from_slice(b" A ");
                push_address(out, found.ip);
            }
            // As the record has it, an IPv4-mapped one too.
            IpAddr::V6(v6) => write!(out, " AAAA {v6}").expect("writing to a Vec cannot fail"),
        }
        (&found.zone, &found.server, found.ttl)
    };
    out.extend_from_slice(b" (zone ");
    escape::push(out, zone.as_bytes(), NAME, Style::Json);
    out.extend_from_slice(b", server ");
    escape::push(out, server.as_bytes(), CONFIGURED, Style::Json);
    out.extend_from_slice(b", ");
    push_number(out, ttl.into());
    out.extend_from_slice(b" s)\"");
}
