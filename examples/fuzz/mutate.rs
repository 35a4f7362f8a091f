//! How inputs are spoilt: bytes at random, and what TLS and HTTP are built of.

use crate::random::Random;
use egret::fuzz::SPOILS;

impl Random {
    fn byte(&mut self) -> u8 {
        // lengths, types and separators live at the small and the extreme values
        match self.below(4) {
            0 => *self.pick(&[0, 1, 2, 3, 22, 0x7f, 0x80, 0xff, b'\r', b'\n', b' ', b':']),
            _ => self.bits() as u8,
        }
    }
}

/// One change that knows nothing of the format.
pub fn bytes(rng: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = rng.below(input.len() + 1);
    let other = rng.pick(seeds);
    match rng.below(7) {
        0 => input.truncate(at),
        1 => input.insert(at, rng.byte()),
        2 if at < input.len() => drop(input.remove(at)),
        3 if at < input.len() => input[at] ^= 1 << rng.below(8),
        4 => {
            let from = rng.below(other.len() + 1);
            let to = from + rng.below((other.len() - from).min(64) + 1);
            input.splice(at..at, other[from..to].iter().copied());
        }
        5 => {
            let to = at + rng.below((input.len() - at).min(64) + 1);
            drop(input.drain(at..to));
        }
        _ if at < input.len() => input[at] = rng.byte(),
        _ => {}
    }
}

/// One change to a first flight: half of them keep the lengths around it right, so that they reach the inner fields.
pub fn client_hello(rng: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    match rng.below(6) {
        0 => recut(rng, input),
        1 | 2 => {
            let _ = extensions(rng, input, seeds);
        }
        3 => {
            // one length or count, anywhere, off by one
            let at = rng.below(input.len() + 1);
            if let Some(byte) = input.get_mut(at) {
                *byte = if rng.below(2) == 0 {
                    byte.wrapping_add(1)
                } else {
                    byte.wrapping_sub(1)
                };
            }
        }
        _ => bytes(rng, input, seeds),
    }
}

/// The same message in records of other sizes.
fn recut(rng: &mut Random, input: &mut Vec<u8>) {
    let message = join(input);
    *input = cut(rng, &message, 1);
}

fn join(records: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut rest = records;
    while let [22, _, _, high, low, tail @ ..] = rest {
        let (fragment, tail) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(tail.len()));
        message.extend_from_slice(fragment);
        rest = tail;
    }
    message
}

fn cut(rng: &mut Random, message: &[u8], records: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = message;
    let most = 1 + rng.below(message.len() / records.max(1) + 1);
    while !rest.is_empty() {
        let (fragment, tail) = rest.split_at((1 + rng.below(most)).min(rest.len()).min(1 << 14));
        out.extend_from_slice(&[22, 3, 1, (fragment.len() >> 8) as u8, fragment.len() as u8]);
        out.extend_from_slice(fragment);
        rest = tail;
    }
    out
}

/// Extensions dropped, doubled, moved, or taken from another hello, with every length around them put right.
fn extensions(rng: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) -> Option<()> {
    let message = join(input);
    let block = block_start(&message)?;
    let mut list = split(message.get(block + 2..)?);
    let other = join(rng.pick::<Vec<u8>>(seeds));
    let more = block_start(&other)
        .and_then(|at| other.get(at + 2..))
        .map(split)
        .unwrap_or_default();
    let at = rng.below(list.len() + 1);
    match rng.below(5) {
        0 if at < list.len() => drop(list.remove(at)),
        1 if at < list.len() => list.push(list[at].clone()),
        2 if at < list.len() => {
            let to = rng.below(list.len());
            list.swap(at, to);
        }
        3 if at < list.len() => {
            // a body of another kind, or a spoilt one, under a right length
            let mut body = list[at].split_off(4);
            bytes(rng, &mut body, seeds);
            body.truncate(0xffff);
            list[at][2..].copy_from_slice(&(body.len() as u16).to_be_bytes());
            list[at].append(&mut body);
        }
        _ if !more.is_empty() => list.insert(at, rng.pick::<Vec<u8>>(&more).clone()),
        _ => {}
    }
    let joined = list.concat();
    let mut out = message[..block].to_vec();
    out.extend_from_slice(&u16::try_from(joined.len()).ok()?.to_be_bytes());
    out.extend_from_slice(&joined);
    let body = u32::try_from(out.len() - 4).ok()?.to_be_bytes();
    out[1..4].copy_from_slice(&body[1..]);
    *input = if rng.below(3) == 0 {
        cut(rng, &out, 1)
    } else {
        whole(&out)
    };
    Some(())
}

fn whole(message: &[u8]) -> Vec<u8> {
    message
        .chunks(1 << 14)
        .flat_map(|part| [&[22, 3, 1, (part.len() >> 8) as u8, part.len() as u8], part].concat())
        .collect()
}

/// Where the length of the extension block lies in a message.
fn block_start(message: &[u8]) -> Option<usize> {
    let session = 4 + 2 + 32;
    let ciphers = session + 1 + usize::from(*message.get(session)?);
    let len = u16::from_be_bytes([*message.get(ciphers)?, *message.get(ciphers + 1)?]);
    let compression = ciphers + 2 + usize::from(len);
    Some(compression + 1 + usize::from(*message.get(compression)?))
}

/// The extensions of a block, each with its header.
fn split(block: &[u8]) -> Vec<Vec<u8>> {
    let mut list = Vec::new();
    let mut rest = block;
    while let [_, _, high, low, ..] = rest {
        let len = 4 + usize::from(u16::from_be_bytes([*high, *low]));
        let (one, tail) = rest.split_at(len.min(rest.len()));
        list.push(one.to_vec());
        rest = tail;
    }
    list.retain(|one| one.len() >= 4);
    list
}

/// Requests of every framing.
pub const REQUESTS: [&str; 5] = [
    "GET http://api.example.com/a?b HTTP/1.1\r\nHost: api.example.com\r\nX-A:\t1 \r\nX-B:\r\n\r\n",
    "POST http://api.example.com:80 HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
    "PUT /x HTTP/1.1\r\nhost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: [2001:db8::1]:80\r\nConnection: close, X-A\r\nTE: trailers\r\n\r\n",
];

/// Responses of every framing.
pub const RESPONSES: [&str; 4] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.0 404 Not Found\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nuntil the end",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
];

/// Targets of CONNECT.
pub const AUTHORITIES: [&str; 6] = [
    "api.example.com:443",
    "API.Example.com.:80",
    "xn--bcher-kva.example:443",
    "203.0.113.5:443",
    "[2001:db8::1]:443",
    "[::ffff:127.0.0.1]:8443",
];

/// One change to a text protocol.
pub fn http(rng: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    if rng.below(2) == 0 {
        return bytes(rng, input, seeds);
    }
    let at = rng.below(input.len() + 1);
    let end = (at + rng.below(3)).min(input.len());
    let word = rng.pick::<&str>(&SPOILS);
    input.splice(at..end, word.bytes());
}

/// A template with loops, lambdas, nested scopes and rules of each kind.
pub const POLICY: &str = r#"{"contentVersion": "1", "parameters": {"n": {"type": "int", "defaultValue": 2}},
"variables": {"copy": [{"name": "names", "count": "[parameters('n')]", "input": "[format('h{0}.example', copyIndex('names'))]"}]},
"functions": [{"namespace": "my", "members": {"f": {"parameters": [{"name": "x"}], "output": {"value": "[concat(parameters('x'), '.1')]"}}}}],
"resources": [{"type": "Microsoft.Network/ipGroups", "name": "g", "properties": {"ipAddresses": ["10.0.0.0/8"]}},
{"type": "Microsoft.Resources/deployments", "name": "d", "properties": {"expressionEvaluationOptions": {"scope": "inner"},
"parameters": {"names": {"value": "[variables('names')]"}}, "template": {"parameters": {"names": {"type": "array"}},
"resources": [{"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g", "copy": {"name": "c", "count": 2},
"properties": {"priority": "[add(200, copyIndex())]", "ruleCollections": [
{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "a", "priority": 100, "action": {"type": "Allow"}, "rules": [
{"ruleType": "ApplicationRule", "name": "r", "sourceIpGroups": ["[resourceId('Microsoft.Network/ipGroups', 'g')]"],
"protocols": [{"protocolType": "Https", "port": 443}], "targetFqdns": "[filter(parameters('names'), lambda('n', not(equals(lambdaVariables('n'), 'h0.example'))))]"}]},
{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "n", "priority": 200, "action": {"type": "Deny"}, "rules": [
{"ruleType": "NetworkRule", "name": "r", "ipProtocols": ["TCP", "Any"], "sourceAddresses": ["*"], "destinationAddresses": ["10.1.2.0/24", "10.1.2.3-10.1.2.9"], "destinationPorts": ["443", "8000-8100", "*"]}]},
{"ruleCollectionType": "FirewallPolicyNatRuleCollection", "name": "d", "priority": 300, "action": {"type": "DNAT"}, "rules": [
{"ruleType": "NatRule", "name": "r", "ipProtocols": ["UDP"], "sourceAddresses": ["*"], "destinationAddresses": ["192.0.2.1", "192.0.2.2"],
"destinationPorts": ["53"], "translatedAddress": "10.0.0.4", "translatedPort": "53"}]}]}}]}}}]}"#;

/// What policies are spoilt with.
const JSON: [&str; 28] = [
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "[]",
    "{}",
    "\"[",
    "]\"",
    "'",
    "-1",
    "65001",
    "\"*\"",
    "Deny",
    "/*",
    "//",
    "[[",
    "copyIndex()",
    "parameters('n')",
    "variables('names')",
    "reference('x').y",
    "\\u0000",
    "\"a\": ",
    "union(",
];

/// One change to a policy.
pub fn json(rng: &mut Random, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    if rng.below(3) == 0 {
        return bytes(rng, input, seeds);
    }
    let at = rng.below(input.len() + 1);
    let end = (at + rng.below(12)).min(input.len());
    let word = rng.pick::<&str>(&JSON);
    input.splice(at..end, word.bytes());
}

pub fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks_exact(2)
        .map(|pair| (pair[0] << 4 | pair[1]) as u8)
        .collect()
}
