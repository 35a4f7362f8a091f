//! Plain HTTP: absolute-form on the proxy port, and tunnels that an `Http` rule allows. Each request is an attempt.
//!
//! ```text
//! client -> guard -> hyper's server half -> exchange -> hyper's client half -> guard -> upstream
//! ```
//!
//! hyper speaks HTTP, leniently; the guards let it see only what can be read in one way ([`head`], [`framing`]), so that
//! egret, hyper and the origin read the same. [`exchange`] judges; [`fields`] and [`target`] say what goes on.

mod exchange;
mod fields;
mod framing;
pub(crate) mod fuzz;
mod guard;
mod head;
mod line;
mod message;
mod target;
mod upstream;
mod upstream_guard;

use super::answer;
use super::connect::Upstream;
use super::gate::Passed;
use super::held::Held;
use super::record::Record;
use super::relay;
use super::shared::Phase;
use crate::config::settings::Limits;
use crate::log::FlowEndKind;
use crate::policy::{Fqdn, Reason};
use exchange::{Conversation, NoAnswer, Outcome, Route};
use guard::{Bounds, ClientGuard};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use line::{Gone, Line};
use message::Reply;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long a client may take to read what upstream sent together with its 101.
const FIRST_BYTES_TIME: Duration = Duration::from_secs(5);

/// A client that has sent its request may end its side at once, and is owed the response. One that is gone altogether looks
/// the same until something is written to it: this part of the idle limit is as long as it may be silent.
const HALF_CLOSED_SHARE: u32 = 4;

/// Serve absolute-form requests. `held` was read already and has the first head.
pub(crate) async fn serve_absolute(client: TcpStream, held: Held, record: Record) {
    let limits = record.shared.snapshot().settings.limits.clone();
    let line = Line::new();
    let guard = ClientGuard::new(client, held, Bounds::from(&limits), line.clone());
    let conversation = Conversation::new(record, Route::Absolute, line.clone());
    serve(guard, conversation, line, &limits).await;
}

/// Serve origin-form requests inside a tunnel for `name`, whose CONNECT has had its 200. `upstream` was opened for it under
/// a rule for plain HTTP, or there is none. `held` came with or behind the CONNECT.
pub(crate) async fn serve_tunnel(
    client: TcpStream,
    held: Held,
    name: Fqdn,
    upstream: Option<Upstream>,
    record: Record,
) {
    let limits = record.shared.snapshot().settings.limits.clone();
    let line = Line::new();
    let guard = ClientGuard::new(client, held, Bounds::from(&limits), line.clone()).hurried();
    let route = Route::Tunnel(name.clone(), record.port);
    let mut conversation = Conversation::new(record, route, line.clone());
    if let Some(upstream) = upstream {
        // Where it fails, the first request opens a connection of its own, or is told why not.
        let _ = conversation.adopt(upstream, &name).await;
    }
    serve(guard, conversation, line, &limits).await;
}

/// How hyper's part ended.
enum End {
    InOrder,
    Failed,
    Idle,
}

async fn serve(guard: ClientGuard<TcpStream>, conversation: Conversation, line: Arc<Line>, limits: &Limits) {
    let shared = conversation.record.shared.clone();
    let conversation = Arc::new(Mutex::new(conversation));
    let service = service_fn(|request: Request<Incoming>| {
        let conversation = conversation.clone();
        async move { conversation.lock().await.answer(request).await as Result<Response<Reply>, NoAnswer> }
    });
    let mut connection = http1::Builder::new()
        .preserve_header_case(true)
        .title_case_headers(true)
        .auto_date_header(false)
        .max_headers(limits.head_fields)
        .max_buf_size((limits.head_bytes + 1024).max(16 * 1024))
        .serve_connection(TokioIo::new(guard), service);
    let end = {
        let mut idle = pin!(line.idle(limits.idle));
        let mut draining = pin!(shared.until(Phase::Draining));
        let mut told = false;
        loop {
            tokio::select! {
                biased;
                result = &mut connection => break if result.is_ok() { End::InOrder } else { End::Failed },
                () = &mut idle => break End::Idle,
                () = line.news() => {
                    if line.gone() == Some(Gone::Closed) {
                        std::pin::Pin::new(&mut connection).graceful_shutdown();
                        idle.set(line.idle(limits.idle / HALF_CLOSED_SHARE));
                    }
                    // Locked: a request is under way, and fails by itself.
                    if conversation.try_lock().is_ok_and(|mut conversation| conversation.let_go()) {
                        break End::Failed;
                    }
                }
                () = &mut draining, if !told => {
                    told = true;
                    std::pin::Pin::new(&mut connection).graceful_shutdown();
                }
            }
        }
    };
    let parts = connection.into_parts();
    let (client, held) = parts.io.into_inner().into_inner();
    let held = [&parts.read_buf[..], &held].concat();
    if let Some(conversation) = Arc::into_inner(conversation) {
        finish(client, held, conversation.into_inner(), end, &line, limits.idle).await;
    }
}

/// What is left when hyper is done: the tunnel behind a 101, a close that loses nothing, or a reset that nobody takes for
/// an end.
async fn finish(
    client: TcpStream,
    held: Vec<u8>,
    mut conversation: Conversation,
    end: End,
    line: &Line,
    idle: Duration,
) {
    conversation.denied_late();
    conversation.count();
    let drained = conversation.record.shared.is_ending() && line.gone().is_none();
    let (ended, reason) = if drained {
        (FlowEndKind::Drained, Reason::Draining)
    } else {
        (FlowEndKind::ClientClosed, Reason::ClientClosed)
    };
    if conversation.outcome == Outcome::Open && conversation.record.reason == Reason::Internal {
        // It ended before its first request was judged.
        conversation.record.reason = reason;
    }
    match (conversation.outcome, end) {
        (Outcome::NotHttp { tls }, _) => answer::refuse_tunnel(client, tls).await,
        (Outcome::Switched, End::InOrder) => websocket(client, held, conversation, idle).await,
        (Outcome::Denied, End::InOrder) => answer::linger(client).await,
        (_, End::InOrder) => {
            conversation.record.end = ended;
            answer::linger(client).await;
        }
        (outcome, end) => {
            let kind = match end {
                End::Idle if line.gone().is_none() => FlowEndKind::Idle,
                _ => broken(&conversation, line),
            };
            relay::reset(&client);
            if outcome != Outcome::Denied {
                conversation.close(kind);
            }
        }
    }
}

/// Who broke an exchange off.
fn broken(conversation: &Conversation, line: &Line) -> FlowEndKind {
    let failure = conversation.connection.as_ref().map(upstream::Connection::failure);
    match (failure, line.gone()) {
        (Some(upstream::NoResponse::Stopped(end)), _) => end,
        (_, Some(Gone::Closed | Gone::CutOff)) => FlowEndKind::ClientClosed,
        (_, Some(Gone::Reset)) => FlowEndKind::ClientReset,
        (_, None) => FlowEndKind::UpstreamReset,
    }
}

/// The tunnel behind a 101: what upstream sent with it goes first, then both ways.
async fn websocket(mut client: TcpStream, held: Vec<u8>, mut conversation: Conversation, idle: Duration) {
    let Some(mut connection) = conversation.connection.take() else {
        return;
    };
    let Some((mut upstream, first)) = connection.tunnel().await else {
        conversation.record.end = FlowEndKind::UpstreamReset;
        return relay::reset(&client);
    };
    if !matches!(timeout(FIRST_BYTES_TIME, client.write_all(&first)).await, Ok(Ok(()))) {
        conversation.record.end = FlowEndKind::ClientReset;
        return relay::reset(&client);
    }
    let passed = Passed::upgraded(held);
    let mut transfer = relay::relay(&mut client, &mut upstream, passed, &connection.entry.tunnel, idle).await;
    transfer.sent += conversation.record.sent;
    transfer.received += conversation.record.received;
    super::ended(&connection.entry, transfer, &mut conversation.record);
}
