//! Plain HTTP: absolute-form on the proxy port, and tunnels that an `Http` rule allows. Each request is an attempt.
//!
//! ```text
//! client -> request -> conversation (judges) -> forward -> exchange -> upstream
//! ```
//!
//! No general HTTP library stands on this path: heads and bodies are read here, once, and only what can be read in one way
//! goes on, written anew ([`forward`], [`chunked`]). So egret and the origin read the same. Pure are [`section`],
//! [`fields`], [`request`], [`response`], [`framing`], [`chunked`], [`target`] and [`forward`].

mod chunked;
mod client;
mod conversation;
mod exchange;
mod fields;
mod forward;
mod framing;
pub(crate) mod fuzz;
mod passage;
mod request;
mod response;
mod section;
mod target;
mod upstream;

use super::answer;
use super::connect::Upstream;
use super::gate::Passed;
use super::held::Held;
use super::record::{Attempted, Record};
use super::relay;
use super::shared::Phase;
use crate::log::FlowEndKind;
use crate::policy::{Fqdn, Host, Reason};
use client::{Arrived, Bounds, Client};
use conversation::{Conversation, End, Inside, Route};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a client may take to read a denial, or what upstream sent together with its 101.
const LAST_BYTES_TIME: Duration = Duration::from_secs(5);

/// Serve absolute-form requests. `held` was read already and has the first head.
pub(crate) async fn serve_absolute(client: TcpStream, held: Held, record: Box<Record>) {
    let bounds = Bounds::from(&record.shared.now().settings.limits);
    let client = Client::new(client, held, bounds);
    serve(client, Conversation::new(record, Route::Absolute)).await;
}

/// Serve origin-form requests inside a tunnel for `name`, whose CONNECT has had its 200. `upstream` was opened for it under
/// a rule for plain HTTP, or there is none. `held` came with or behind the CONNECT.
pub(crate) async fn serve_tunnel(
    client: TcpStream,
    held: Held,
    name: Fqdn,
    upstream: Option<Upstream>,
    connect: Box<Attempted>,
    record: Box<Record>,
) {
    let bounds = Bounds::from(&record.shared.now().settings.limits);
    let client = Client::new(client, held, bounds).hurried();
    let route = Route::Tunnel(Box::new(Inside {
        name: name.clone(),
        port: record.port,
    }));
    let mut conversation = Conversation::new(record, route);
    conversation.connect = Some(connect);
    if let Some(upstream) = upstream {
        // Where it fails, the first request opens a connection of its own, or is told why not.
        let _ = conversation.adopt(upstream, &Host::Name(name));
    }
    serve(client, conversation).await;
}

async fn serve(mut client: Client, mut conversation: Conversation) {
    let shared = conversation.record.shared.clone();
    let end = {
        let mut draining = pin!(shared.until(Phase::Draining));
        loop {
            let next = poll_fn(|cx| {
                // What was revoked or closed must not be used again.
                if let Poll::Ready(end) = conversation.poll_connection(cx) {
                    return Poll::Ready(Err(End::Cut(end)));
                }
                if let Poll::Ready(arrived) = client.poll_head(cx) {
                    return Poll::Ready(Ok(arrived));
                }
                draining.as_mut().poll(cx).map(|()| Err(End::InOrder))
            });
            let end = match next.await {
                Ok(Arrived::Head(head)) => conversation.answer(&mut client, head).await,
                Ok(Arrived::Refused(violation, bytes)) => Some(conversation.refuse(violation, &bytes)),
                Ok(Arrived::Left) => Some(End::InOrder),
                Ok(Arrived::Reset) => Some(End::Cut(FlowEndKind::ClientReset)),
                Ok(Arrived::Idle) => Some(End::Cut(FlowEndKind::Idle)),
                Err(end) => Some(end),
            };
            if let Some(end) = end {
                break end;
            }
        }
    };
    finish(client, conversation, end).await;
}

/// The tunnel behind a 101, a close that loses nothing, or a reset that nobody takes for an end.
async fn finish(client: Client, mut conversation: Conversation, end: End) {
    let drained = conversation.record.shared.is_ending() && !client.is_silent();
    let stream = client.stream;
    match end {
        End::NotHttp { tls } => answer::refuse_tunnel(stream, tls).await,
        End::Switched(first) => websocket(stream, client.held, first, conversation).await,
        End::Denied(response) => last_words(stream, &response).await,
        End::InOrder => {
            conversation.count();
            let (kind, reason) = match drained {
                true => (FlowEndKind::Drained, Reason::Draining),
                false => (FlowEndKind::ClientClosed, Reason::ClientClosed),
            };
            conversation.unasked(reason);
            conversation.record.end = kind;
            answer::linger(stream).await;
        }
        End::Cut(kind) => {
            conversation.unasked(match kind {
                FlowEndKind::Revoked => Reason::Revoked,
                FlowEndKind::Drained => Reason::Draining,
                _ => Reason::ClientClosed,
            });
            relay::reset(&stream);
            conversation.cut(kind);
        }
    }
}

async fn last_words(mut client: TcpStream, response: &[u8]) {
    if matches!(timeout(LAST_BYTES_TIME, client.write_all(response)).await, Ok(Ok(()))) {
        answer::linger(client).await;
    }
}

/// The tunnel behind a 101: what upstream sent with it goes first, then both ways.
async fn websocket(mut client: TcpStream, held: Held, first: Vec<u8>, mut conversation: Conversation) {
    let Some(connection) = conversation.take_connection() else {
        return;
    };
    let mut record = conversation.record;
    let idle = record.shared.now().settings.limits.idle;
    let (mut upstream, entry, _file) = connection.into_tunnel();
    let written = tokio::select! {
        biased;
        // The relay sees it too, and ends at once.
        _ = entry.tunnel.stopped() => true,
        written = timeout(LAST_BYTES_TIME, client.write_all(&first)) => matches!(written, Ok(Ok(()))),
    };
    drop(first);
    let transfer = if written {
        relay::relay(&mut client, &mut upstream, Passed::upgraded(held), &entry.tunnel, idle).await
    } else {
        relay::reset(&upstream);
        relay::reset(&client);
        let (sent, received) = entry.tunnel.moved();
        relay::Transfer {
            sent,
            received,
            end: FlowEndKind::ClientReset,
        }
    };
    super::tunnel::ended(&entry, transfer, &mut record);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a connection that waits for its next request keeps of it, its sockets apart.
    #[test]
    fn f_04_a_kept_connection_fits_in_a_few_kilobytes() {
        fn size<F>(_: impl FnOnce(TcpStream, Held, Box<Record>) -> F) -> usize {
            size_of::<F>()
        }
        let bytes = size(serve_absolute);
        assert!(bytes <= 6 * 1024, "{bytes} bytes a connection");
    }
}
