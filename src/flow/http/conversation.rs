//! The requests of one client connection, one after the other: decide -> resolve -> vet -> connect -> send on, and the
//! response back. Every request is an attempt of its own, also on a connection that is kept alive.
//!
//! In: whole heads. Out: upstream's response, or a denial that the client can show. Nothing of a request reaches upstream
//! before it is judged.

mod books;
mod judge;

use super::client::Client;
use super::exchange::{Answered, Exchange, Failure};
use super::forward::{self, Recipient};
use super::framing::{Framing, Violation};
use super::request::RequestHead;
use super::upstream::Connection;
use crate::flow::Denial;
use crate::flow::connect::Upstream;
use crate::flow::judge::tls_instead;
use crate::flow::reach::{charged, reach};
use crate::flow::record::{Attempted, Record};
use crate::flow::tunnel::enter;
use crate::log::{FlowEndKind, Stage};
use crate::policy::{Decision, Fqdn, Host, Protocol, Reason};
use crate::snapshot::Snapshot;
use judge::{Judged, denial_of, shown_target};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// How requests on a client connection name where they go.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// Absolute-form on the proxy port.
    Absolute,
    /// Origin-form inside a tunnel.
    Tunnel(Box<Inside>),
}

/// The tunnel that requests come in. Boxed: a connection carries it for as long as it is open.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    pub name: Fqdn,
    pub port: u16,
}

/// How a client connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// After a whole response, or between two.
    InOrder,
    /// With this response: its last request was denied.
    Denied(Vec<u8>),
    /// What came first in a tunnel is another protocol. `tls`: it looks like TLS, and an alert will be understood.
    NotHttp { tls: bool },
    /// Upstream agreed to speak WebSocket, and said this so far.
    Switched(Vec<u8>),
    /// In the middle: a reset, so that nobody takes it for an end in order.
    Cut(FlowEndKind),
}

/// One client connection's requests.
pub(super) struct Conversation {
    pub record: Box<Record>,
    /// Where the last request went; used again where the next one may go there too.
    connection: Option<Connection>,
    route: Route,
    /// The CONNECT of its tunnel, until its first request is judged: with that it is one attempt.
    pub connect: Option<Box<Attempted>>,
    /// The attempt that is under way.
    attempted: Attempted,
    /// The first decision, for the proof of the tests.
    first: Option<Decision>,
}

impl Conversation {
    pub(super) fn new(record: Box<Record>, route: Route) -> Self {
        Self {
            record,
            connection: None,
            route,
            connect: None,
            attempted: Attempted::default(),
            first: None,
        }
    }

    /// A tunnel starts with the upstream that its CONNECT opened.
    pub(super) fn adopt(&mut self, upstream: Upstream, host: &Host) -> Result<(), Denial> {
        self.attempted = self.attempt();
        self.attempted.told = self.connect.as_mut().and_then(|connect| connect.told.take());
        let opened = self.open(upstream, host);
        if let Some(connect) = &mut self.connect {
            connect.told = self.attempted.told.take();
        }
        self.attempted.snapshot = None;
        opened
    }

    /// Answer one request. `None`: another may follow.
    pub(super) async fn answer(&mut self, client: &mut Client, bytes: Vec<u8>) -> Option<End> {
        self.record.told = false;
        self.attempted = self.attempt();
        let head = match RequestHead::read(&bytes, client.bounds.head_fields) {
            Ok(head) => head,
            Err(violation) => return Some(self.refuse(violation, &bytes)),
        };
        let to_head = head.method == b"HEAD";
        let judged = self.judge(&head);
        drop(bytes);
        let done = match judged {
            Ok(judged) => self.carry_out(client, judged).await,
            Err(denial) => Err(denial),
        };
        done.unwrap_or_else(|denial| Some(self.deny(&denial, to_head)))
    }

    /// Something that is no request. Only what comes first in a tunnel can be another protocol.
    pub(super) fn refuse(&mut self, mut violation: Violation, bytes: &[u8]) -> End {
        self.record.told = false;
        self.attempted = self.attempt();
        self.attempted.requested = shown_target(bytes);
        if violation.reason == Reason::NotHttp {
            if let (Route::Tunnel(inside), None) = (&self.route, self.first) {
                let tls = bytes.first() == Some(&22);
                self.attempted.address = self.connection.as_ref().map(|open| open.address);
                if let Some(connect) = &mut self.connect {
                    self.attempted.requested = std::mem::take(&mut connect.requested);
                    self.attempted.answer = connect.answer.take();
                    self.attempted.told = connect.told.take();
                }
                let mut denial = charged(denial_of(violation), &mut self.record);
                if let Some(open) = self
                    .connection
                    .as_ref()
                    .filter(|_| tls && denial.reason == Reason::NotHttp)
                {
                    // It is not let in here whatever the answer is, but the rules have one.
                    let judged = tls_instead(
                        &inside.name,
                        &open.entry.tunnel.candidate,
                        &mut self.attempted,
                        &mut self.record,
                    );
                    denial = judged.err().unwrap_or(denial);
                }
                self.write_denial(&denial);
                return End::NotHttp { tls };
            }
            violation.reason = Reason::BadRequest;
        }
        let denial = charged(denial_of(violation), &mut self.record);
        self.deny(&denial, bytes.starts_with(b"HEAD "))
    }

    /// resolve -> vet -> connect -> send on, for a request that may pass.
    async fn carry_out(&mut self, client: &mut Client, judged: Judged) -> Result<Option<End>, Denial> {
        let Judged {
            snapshot,
            host,
            decision,
            head,
            body,
            asked,
        } = judged;
        let idle = snapshot.settings.limits.idle;
        let Some(head) = head else {
            self.passed(decision);
            let last = asked.recipient.last || body != Framing::NONE;
            return Ok(own_options(
                client,
                Recipient {
                    last,
                    ..asked.recipient
                },
                idle,
            )
            .await);
        };
        let opened = tokio::select! {
            biased;
            opened = self.connect(&snapshot, &host, decision) => Some(opened),
            () = poll_fn(|cx| client.poll_gone(cx)) => None,
        };
        opened.unwrap_or_else(|| Err(Denial::new(Reason::ClientClosed, self.record.stage)))?;
        self.passed(decision);
        // A response may take its time and last: what decided it does not wait with it.
        drop(snapshot);
        let ahead = client.take_body(&body);
        let exchange = Exchange::new(asked, head, body, ahead);
        self.run(client, exchange, (&host, decision), idle).await
    }

    /// The connection at hand, if it was opened for the same host and port under the same generation; else a new one.
    async fn connect(&mut self, snapshot: &Snapshot, host: &Host, decision: Decision) -> Result<(), Denial> {
        if let Some(open) = &self.connection
            && open.serves(host, self.attempted.port, snapshot.generation)
        {
            self.attempted.address = Some(open.address);
            if let Some(screened) = &open.screened {
                screened.tell(snapshot, host, &mut self.attempted, &self.record);
            }
            return Ok(());
        }
        self.part();
        let upstream = reach(snapshot, host, decision, &mut self.attempted, &mut self.record).await?;
        self.open(upstream, host)
    }

    fn open(&mut self, upstream: Upstream, host: &Host) -> Result<(), Denial> {
        let (protocol, generation) = (Some(Protocol::Http), self.record.generation);
        let entry = enter(host, protocol, &upstream, &mut self.attempted, &mut self.record)?;
        // A later policy has judged where it leads for this attempt alone.
        self.connection = Some(Connection::new(upstream, entry, generation));
        Ok(())
    }

    /// The row of the decision, before the first byte goes up.
    fn passed(&mut self, decision: Decision) {
        self.attempted.write_passed(&self.record);
        self.relays(decision);
    }

    fn relays(&mut self, decision: Decision) {
        // Where the name leads may have told otherwise.
        let told = self.attempted.decision.take().unwrap_or(decision);
        (self.attempted.snapshot, self.attempted.answer) = (None, None);
        self.record.stage = Stage::Relay;
        self.record.reason = told.reason;
    }

    /// Send it. A kept connection may have been closed by upstream at the same moment: then it goes over a new one, where it
    /// may, unless the policy has changed meanwhile.
    async fn run(
        &mut self,
        client: &mut Client,
        mut exchange: Exchange,
        (host, decision): (&Host, Decision),
        idle: Duration,
    ) -> Result<Option<End>, Denial> {
        loop {
            let Some(connection) = &mut self.connection else {
                return Err(Denial::new(Reason::UpstreamClosed, Stage::Relay));
            };
            self.record.relayed = Some(connection.entry.tunnel.clone());
            let (used, shared) = (connection.used, &self.record.shared);
            let failure = match exchange.run(client, connection, idle, || shared.is_ending()).await {
                Ok(answered) => return Ok(self.answered(answered)),
                Err(failure) => failure,
            };
            let again = failure == Failure::Closed && used && exchange.may_go_again();
            if !again || !self.open_again(host, decision).await? {
                return self.failed(failure, exchange.can_be_answered(), client.is_silent());
            }
            exchange.rewind();
        }
    }

    /// Whether it may go over a new connection, which is judged as that of a first request and denied as one; trouble on the way
    /// there adds nothing to the end that the kept one had.
    async fn open_again(&mut self, host: &Host, decision: Decision) -> Result<bool, Denial> {
        let snapshot = self.record.shared.snapshot();
        if snapshot.generation != self.record.generation {
            return Ok(false);
        }
        // What was told of this request is not told again.
        self.attempted.screened = self.connection.as_mut().and_then(|open| open.screened.take());
        let audited = self.attempted.screened.as_ref().and_then(|told| told.audited());
        self.close_apart(FlowEndKind::UpstreamClosed);
        self.attempted.anew(snapshot.clone());
        self.attempted.decided(&snapshot, host, decision);
        let told = audited.or(self.attempted.decision);
        match self.connect(&snapshot, host, decision).await {
            Err(denial) if !denial.reason.is_trouble() => return Err(denial),
            Ok(()) if self.attempted.decision != told => self.passed(decision),
            opened => {
                self.relays(decision);
                return Ok(opened.is_ok());
            }
        }
        Ok(true)
    }

    fn answered(&mut self, answered: Answered) -> Option<End> {
        match answered {
            Answered::Switched(first) => Some(End::Switched(first)),
            Answered::Whole {
                client_stays: false, ..
            } => Some(End::InOrder),
            Answered::Whole { upstream_stays, .. } => {
                if !upstream_stays {
                    self.record.told = self.part();
                }
                None
            }
        }
    }

    /// What a failure comes to: an answer in the words of a denial as long as that is possible, else a reset. `silent`: the
    /// client has ended its side, and nobody waits for an answer any more.
    fn failed(&mut self, failure: Failure, can_be_answered: bool, silent: bool) -> Result<Option<End>, Denial> {
        let relay = |reason| Denial::new(reason, Stage::Relay);
        let (denial, kind) = match failure {
            Failure::ClientReset => return Ok(Some(End::Cut(FlowEndKind::ClientReset))),
            Failure::Silent if silent => return Ok(Some(End::Cut(FlowEndKind::ClientClosed))),
            Failure::Silent => (relay(Reason::UpstreamTimeout), FlowEndKind::Idle),
            Failure::Spoilt(violation) => (denial_of(violation), FlowEndKind::Refused),
            Failure::CutOff => (relay(Reason::ClientClosed), FlowEndKind::ClientClosed),
            Failure::Closed => (relay(Reason::UpstreamClosed), FlowEndKind::UpstreamReset),
            Failure::Invalid(what) => (
                relay(Reason::UpstreamInvalid).detail(what.to_string()),
                FlowEndKind::UpstreamReset,
            ),
            Failure::Stopped(FlowEndKind::Drained) => (relay(Reason::Draining), FlowEndKind::Drained),
            Failure::Stopped(end) => (relay(Reason::Revoked), end),
        };
        if can_be_answered {
            self.count();
            if let Some(connection) = self.connection.take() {
                connection.reset();
            }
            return Err(denial);
        }
        if denial.stage != Stage::Relay {
            self.write_denial(&denial);
        }
        Ok(Some(End::Cut(kind)))
    }

    /// Whether the connection at hand has ended while no request is under way, and the client's must too: the reason. That of
    /// a tunnel must where the policy ends it: it is for this upstream alone.
    pub(super) fn poll_connection(&mut self, cx: &mut Context<'_>) -> Poll<FlowEndKind> {
        let Some(connection) = &mut self.connection else {
            return Poll::Pending;
        };
        let Poll::Ready(end) = connection.poll_ended(cx) else {
            return Poll::Pending;
        };
        if end != FlowEndKind::UpstreamClosed && matches!(self.route, Route::Tunnel(..)) {
            return Poll::Ready(end);
        }
        let told = self.close_apart(end);
        self.record.told |= told;
        Poll::Pending
    }
}

/// The answer of the last hop, which is this one.
async fn own_options(client: &mut Client, recipient: Recipient, idle: Duration) -> Option<End> {
    let response = forward::own_options(recipient);
    match timeout(idle, client.stream.write_all(&response)).await {
        Ok(Ok(())) if recipient.last => Some(End::InOrder),
        Ok(Ok(())) => None,
        _ => Some(End::Cut(FlowEndKind::ClientReset)),
    }
}
