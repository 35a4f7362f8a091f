//! A DNS server that knows every name.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    thread,
};

/// Length of the header, in bytes (RFC 1035 section 4.1.1).
const HEADER: usize = 12;

/// Starts a server for which every name is `address`. Fails if it cannot bind.
pub fn start(listen: SocketAddr, address: Ipv4Addr) -> io::Result<SocketAddr> {
    let socket = UdpSocket::bind(listen)?;
    let at = socket.local_addr()?;
    thread::spawn(move || {
        let mut query = [0; 1500];
        loop {
            let Ok((length, from)) = socket.recv_from(&mut query) else {
                continue;
            };
            if let Some(answer) = answer(&query[..length], address) {
                // A lost answer is asked for again.
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    Ok(at)
}

/// `address` for a question of type A; for any other no data, with a SOA so that it can be kept (RFC 2308 section 2.2). Both
/// for 300 s.
fn answer(query: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    const TTL: [u8; 4] = [0, 0, 1, 44];
    let mut end = HEADER;
    while *query.get(end)? != 0 {
        end += usize::from(query[end]) + 1;
    }
    let question = query.get(HEADER..end + 5)?;
    let is_a = question[question.len() - 4..] == [0, 1, 0, 1];
    let mut answer = query[..2].to_vec();
    // response, recursion desired and available; one question; an answer or an authority
    answer.extend([0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, u8::from(!is_a), 0, 0]);
    answer.extend(question);
    // the name, by pointer
    answer.extend([0xc0, HEADER as u8]);
    if is_a {
        answer.extend([0, 1, 0, 1]);
        answer.extend(TTL);
        answer.extend([0, 4]);
        answer.extend(address.octets());
    } else {
        answer.extend([0, 6, 0, 1]);
        answer.extend(TTL);
        // root as server and mailbox, then serial, refresh, retry, expire and the time that "no data" is kept
        answer.extend([0, 22, 0, 0]);
        answer.extend([0; 16]);
        answer.extend(TTL);
    }
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_address_and_nothing_else_and_half_a_question_has_no_answer() {
        let question = |kind: u8| [&[7, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, kind, 0, 1][..]].concat();
        let address = answer(&question(1), Ipv4Addr::LOCALHOST).expect("an answer");
        assert!(address.ends_with(&[0, 4, 127, 0, 0, 1]) && address[7] == 1);
        let none = answer(&question(28), Ipv4Addr::LOCALHOST).expect("an answer");
        assert!(none[7] == 0 && none[9] == 1, "no answer, one authority");
        assert_eq!(answer(&question(1)[..16], Ipv4Addr::LOCALHOST), None);
    }
}
