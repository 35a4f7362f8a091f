//! Questions over UDP and TCP, and what is sent for each.

use super::{
    Asked, Behaviour,
    table::{Table, blank, lock, plain},
};
use hickory_proto::op::{Message, ResponseCode};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    time::{sleep, timeout},
};

/// An idle TCP connection is closed after this.
const TCP_IDLE: Duration = Duration::from_secs(30);

/// What is sent for one question.
enum Reaction {
    Nothing,
    Send(Vec<Vec<u8>>),
    Later(Duration, Vec<u8>),
    FromAnotherPort(Vec<u8>),
}

pub(super) async fn serve_udp(socket: UdpSocket, table: Arc<Mutex<Table>>) {
    let socket = Arc::new(socket);
    let mut packet = vec![0; 4096];
    loop {
        // an error here is an ICMP message about an earlier answer
        let Ok((len, from)) = socket.recv_from(&mut packet).await else {
            continue;
        };
        let Ok(question) = Message::from_vec(&packet[..len]) else {
            continue;
        };
        match react(&table, &question, from, false) {
            Reaction::Nothing => {}
            Reaction::Send(packets) => {
                for packet in packets {
                    let _ = socket.send_to(&packet, from).await;
                }
            }
            Reaction::Later(time, packet) => {
                let socket = socket.clone();
                tokio::spawn(async move {
                    sleep(time).await;
                    let _ = socket.send_to(&packet, from).await;
                });
            }
            Reaction::FromAnotherPort(packet) => {
                if let Ok(other) = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await {
                    let _ = other.send_to(&packet, from).await;
                }
            }
        }
    }
}

pub(super) async fn serve_tcp(listener: TcpListener, table: Arc<Mutex<Table>>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                tokio::spawn(timeout(TCP_IDLE, serve_stream(stream, from, table.clone())));
            }
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn serve_stream(mut stream: TcpStream, from: SocketAddr, table: Arc<Mutex<Table>>) -> io::Result<()> {
    loop {
        let mut packet = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut packet).await?;
        let question = Message::from_vec(&packet).map_err(io::Error::other)?;
        let packets = match react(&table, &question, from, true) {
            Reaction::Nothing => continue,
            Reaction::Send(packets) => packets,
            Reaction::FromAnotherPort(packet) => vec![packet],
            Reaction::Later(time, packet) => {
                sleep(time).await;
                vec![packet]
            }
        };
        for packet in packets {
            let length = u16::try_from(packet.len()).map_err(io::Error::other)?;
            stream.write_all(&[&length.to_be_bytes()[..], &packet].concat()).await?;
        }
    }
}

/// Counts a question and says what to send.
fn react(table: &Mutex<Table>, question: &Message, from: SocketAddr, tcp: bool) -> Reaction {
    let Some(query) = question.queries.first() else {
        return Reaction::Nothing;
    };
    let (name, kind) = (plain(&query.name().to_ascii()), query.query_type());
    let mut table = lock(table);
    let payload = question.edns.as_ref().map(|edns| edns.max_payload());
    table.count(Asked {
        name: name.clone(),
        kind,
        tcp,
        from,
        id: question.id,
        payload,
    });
    let behaviour = table
        .behaviours
        .get(&name)
        .or_else(|| table.behaviours.get("*"))
        .cloned();
    let right = table.answer(question, &name, kind);
    drop(table);
    let code = |code| {
        let mut answer = blank(question);
        answer.metadata.response_code = code;
        Reaction::Send(vec![bytes(&answer)])
    };
    match behaviour {
        Some(Behaviour::Silent) => Reaction::Nothing,
        Some(Behaviour::Only(wanted)) if wanted != kind => Reaction::Nothing,
        Some(Behaviour::Code(wanted)) => code(wanted),
        Some(Behaviour::NoEdns) if payload.is_some() => code(ResponseCode::FormErr),
        Some(Behaviour::Late(time)) => Reaction::Later(time, fitted(right, question, tcp)),
        Some(Behaviour::AnotherPort) => Reaction::FromAnotherPort(fitted(right, question, tcp)),
        Some(Behaviour::Packets(packets)) => Reaction::Send(packets(question, right)),
        Some(Behaviour::Truncated) if !tcp => {
            let mut cut = right;
            cut.metadata.truncation = true;
            cut.answers.truncate(1);
            Reaction::Send(vec![bytes(&cut)])
        }
        _ => Reaction::Send(vec![fitted(right, question, tcp)]),
    }
}

fn bytes(message: &Message) -> Vec<u8> {
    message.to_vec().expect("what the lab writes can be encoded")
}

/// The answer as bytes; over UDP an empty one with TC if it exceeds what the asker takes.
fn fitted(answer: Message, question: &Message, tcp: bool) -> Vec<u8> {
    let whole = bytes(&answer);
    if tcp || whole.len() <= question.max_payload().into() {
        return whole;
    }
    bytes(&answer.truncate())
}
