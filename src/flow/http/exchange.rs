//! One request: decide -> resolve -> vet -> connect -> send on, and its response back. Every request is an attempt of its
//! own, also on a connection that is kept alive.
//!
//! In: a request that hyper has read and what its guard said of the same bytes. Out: upstream's response, or a denial that
//! the client can show. Nothing of a request reaches upstream before it is judged.

use super::fields;
use super::framing::{Framing, Violation};
use super::head::RequestHead;
use super::line::{Arrived, Gone, Line, Sending};
use super::message::{Reply, again, for_upstream, is_of, response_of};
use super::target::{self, Wanted};
use super::upstream::{Connection, NoResponse};
use crate::flow::connect::Upstream;
use crate::flow::intent::Target;
use crate::flow::record::{Attempted, Record, safe};
use crate::flow::relay::Transfer;
use crate::flow::{Denial, answer, begin, charged, decide, ended, enter, named, reach};
use crate::log::{FlowEndKind, NameSource, Stage};
use crate::policy::{Decision, Fqdn, Host, Protocol, Reason};
use crate::proof::{Guard, off};
use crate::snapshot::Snapshot;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, Version};
use std::sync::Arc;
use std::time::Duration;

/// How requests on a client connection name where they go.
#[derive(Clone, Debug)]
pub(super) enum Route {
    /// Absolute-form on the proxy port.
    Absolute,
    /// Origin-form inside a tunnel that was opened for this name and port.
    Tunnel(Fqdn, u16),
}

/// What became of a client connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on, or ended in order.
    Open,
    /// Its last request was denied.
    Denied,
    /// What came first in a tunnel is another protocol. `tls`: it looks like TLS.
    NotHttp {
        /// An alert will be understood.
        tls: bool,
    },
    /// Upstream agreed to speak WebSocket.
    Switched,
}

/// The first bytes of a tunnel are not HTTP: there is no answer in HTTP.
#[derive(Debug, thiserror::Error)]
#[error("the tunnel does not carry HTTP")]
pub(super) struct NoAnswer;

/// One client connection's requests, one after the other.
pub(super) struct Conversation {
    pub record: Record,
    pub outcome: Outcome,
    /// Where the last request went; used again where the next one may go there too.
    pub connection: Option<Connection>,
    route: Route,
    line: Arc<Line>,
    /// The attempt that is under way.
    attempted: Attempted,
    /// The first decision, for the proof of the tests.
    first: Option<Decision>,
}

impl Conversation {
    pub(super) fn new(record: Record, route: Route, line: Arc<Line>) -> Self {
        Self {
            record,
            outcome: Outcome::Open,
            connection: None,
            route,
            line,
            attempted: Attempted::default(),
            first: None,
        }
    }

    /// A tunnel starts with the upstream that its CONNECT opened.
    pub(super) async fn adopt(&mut self, upstream: Upstream, name: &Fqdn) -> Result<(), Denial> {
        self.attempted = self.attempt();
        let opened = self.open(upstream, name).await;
        self.attempted.snapshot = None;
        opened
    }

    /// Answer one request.
    pub(super) async fn answer(&mut self, request: Request<Incoming>) -> Result<Response<Reply>, NoAnswer> {
        self.record.told = false;
        self.attempted = self.attempt();
        let denial = match self.line.next() {
            // Were the two ever out of step, what one judged would be what the other sends.
            Some(Arrived::Request(head)) if !is_of(&request, &head) => Denial::new(Reason::Internal, Stage::Intent),
            Some(Arrived::Request(head)) => match self.exchange(request, head).await {
                Ok(response) => return Ok(response),
                Err(denial) => denial,
            },
            Some(Arrived::Refused {
                violation,
                first,
                target,
            }) => {
                self.asked(target);
                self.refused(violation, first)?
            }
            None => Denial::new(Reason::Internal, Stage::Intent),
        };
        Ok(self.deny(denial))
    }

    fn attempt(&self) -> Attempted {
        let (name, port) = match &self.route {
            Route::Absolute => (String::new(), 80),
            Route::Tunnel(name, port) => (name.as_str().to_string(), *port),
        };
        Attempted {
            name,
            port,
            protocol: Some(Protocol::Http),
            name_source: Some(NameSource::Host),
            ..Attempted::default()
        }
    }

    /// What the row of a request shows that cannot be read. Inside a tunnel it is a path, and the name is known.
    fn asked(&mut self, target: Vec<u8>) {
        if let Route::Absolute = self.route {
            self.attempted.requested = target;
        }
    }

    /// A head that the guard refused. Only what comes first in a tunnel can be another protocol.
    fn refused(&mut self, mut violation: Violation, first: u8) -> Result<Denial, NoAnswer> {
        if violation.reason == Reason::NotHttp {
            if let (Route::Tunnel(..), None) = (&self.route, self.first) {
                let denial = charged(denial_of(violation), &mut self.record);
                self.write_denial(&denial);
                self.outcome = Outcome::NotHttp { tls: first == 22 };
                return Err(NoAnswer);
            }
            violation.reason = Reason::BadRequest;
        }
        Ok(charged(denial_of(violation), &mut self.record))
    }

    async fn exchange(&mut self, request: Request<Incoming>, head: RequestHead) -> Result<Response<Reply>, Denial> {
        let wanted = self
            .wanted(&request, &head)
            .map_err(|violation| charged(denial_of(violation), &mut self.record))?;
        let Target { host, port } = &wanted.target;
        let leads_there = |open: &Connection| matches!(host, Host::Name(name) if open.leads_to(name, *port));
        if self.connection.as_ref().is_some_and(|open| !leads_there(open)) {
            self.part();
        }
        self.record.port = wanted.target.port;
        let (snapshot, name, decision) = self.judge(&wanted.target)?;
        let (mut parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS && fields::take_forward(&mut parts.headers) == Some(0) {
            self.passed(decision);
            return Ok(self.own_options());
        }
        let request = match head.body {
            Framing::NONE => Sending::nothing(self.line.clone()),
            _ => Sending::new(body, self.line.clone()),
        };
        let request = Request::from_parts(for_upstream(parts, &wanted, &name, &head)?, request);
        self.connect(&snapshot, &name, decision).await?;
        self.passed(decision);
        // A response may take its time and last: what decided it does not wait with it.
        let idle = snapshot.settings.limits.idle;
        drop(snapshot);
        match self.send(request, &head, (&name, decision), idle).await {
            Ok(response) => Ok(self.received(response, head.websocket)),
            Err(failure) => {
                self.connection = None;
                Err(self.why(failure))
            }
        }
    }

    /// Where the request wants to go, and what must not go there whatever the policy says.
    fn wanted(&mut self, request: &Request<Incoming>, head: &RequestHead) -> Result<Wanted, Violation> {
        let host = head.host.as_deref();
        self.attempted.host_header.clone_from(&head.host);
        self.asked(safe(&head.target));
        let wanted = match &self.route {
            Route::Absolute => target::absolute(&head.target, request.method()),
            Route::Tunnel(name, port) => target::origin(&head.target, request.method(), host, (name, *port)),
        }?;
        if self.attempted.host_header.as_ref() == Some(&wanted.authority) {
            self.attempted.host_header = None;
        }
        self.attempted.requested.clone_from(&wanted.authority);
        self.attempted.target_url = Some(wanted.shown());
        self.attempted.port = wanted.target.port;
        self.record.protocol = Some(Protocol::Http);
        // RFC 9110 section 9.3.8: it shows a script the credentials that it may not read.
        if request.method() == Method::TRACE {
            return Err(Violation::bad_request("TRACE"));
        }
        if fields::came_through_us(request.headers()) {
            return Err(Violation {
                reason: Reason::Loop,
                what: "the request came through this egret before",
            });
        }
        Ok(wanted)
    }

    fn judge(&mut self, target: &Target) -> Result<(Arc<Snapshot>, Fqdn, Decision), Denial> {
        let snapshot = begin(&mut self.attempted, &mut self.record)?;
        let name = named(target, &mut self.attempted, &mut self.record)?;
        let decision = match self.first {
            Some(first) if off(Guard::PerRequest) => first,
            _ => decide(&snapshot, self.record.source.ip(), Protocol::Http, &name, target.port),
        };
        self.first.get_or_insert(decision);
        self.attempted.decision = Some(decision);
        if decision.permits() {
            Ok((snapshot, name, decision))
        } else {
            Err(Denial::new(decision.reason, Stage::Decide))
        }
    }

    /// The connection at hand, if it was opened for the same name and port under the same generation; else a new one.
    async fn connect(&mut self, snapshot: &Snapshot, name: &Fqdn, decision: Decision) -> Result<(), Denial> {
        if let Some(open) = &self.connection
            && open.serves(name, self.attempted.port, snapshot.generation)
        {
            self.attempted.address = Some(open.address);
            return Ok(());
        }
        self.part();
        let upstream = reach(snapshot, name, decision, &mut self.attempted, &mut self.record).await?;
        self.open(upstream, name).await
    }

    async fn open(&mut self, upstream: Upstream, name: &Fqdn) -> Result<(), Denial> {
        let entry = enter(name, &upstream, &mut self.attempted, &mut self.record)?;
        let generation = self.record.generation;
        let opened = Connection::open(upstream, entry, generation, self.line.clone()).await;
        self.connection = Some(opened.map_err(|_| Denial::new(Reason::UpstreamClosed, Stage::Connect))?);
        Ok(())
    }

    /// The row of the decision, before the first byte goes up.
    fn passed(&mut self, decision: Decision) {
        self.attempted.write_passed(&self.record);
        self.attempted.decision = None;
        self.attempted.snapshot = None;
        self.attempted.answer = None;
        self.relays(decision);
    }

    fn relays(&mut self, decision: Decision) {
        self.record.stage = Stage::Relay;
        self.record.reason = decision.reason;
    }

    /// Send it. A kept connection may have been closed by upstream at the same moment: what was not sent, or does no harm
    /// when it is sent twice, goes over a new one (RFC 9112 section 9.3.1), unless the policy has changed meanwhile.
    async fn send(
        &mut self,
        request: Request<Sending>,
        head: &RequestHead,
        (name, decision): (&Fqdn, Decision),
        idle: Duration,
    ) -> Result<Response<Incoming>, NoResponse> {
        let connection = self.connection.as_mut().ok_or(NoResponse::Closed)?;
        let used = connection.used();
        let harmless = request.method().is_safe() && head.body == Framing::NONE;
        let spare = (used && harmless).then(|| again(&request, &self.line));
        let (failure, unsent) = match connection.send(request, head.websocket, idle).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let snapshot = self.record.shared.snapshot();
        let (Some(request), NoResponse::Closed, true) = (unsent.or(spare), failure, used) else {
            return Err(failure);
        };
        if snapshot.generation != self.record.generation {
            return Err(failure);
        }
        self.part();
        let opened = self.connect(&snapshot, name, decision).await;
        (self.attempted.snapshot, self.attempted.answer) = (None, None);
        drop(snapshot);
        self.relays(decision);
        let connection = self.connection.as_mut().filter(|_| opened.is_ok()).ok_or(failure)?;
        let sent = connection.send(request, head.websocket, idle).await;
        sent.map_err(|(failure, _)| failure)
    }

    fn received(&mut self, response: Response<Incoming>, websocket: bool) -> Response<Reply> {
        let (mut parts, body) = response.into_parts();
        // From now on hyper would send HTTP/1.0 here, which has neither chunked bodies nor WebSocket.
        if let (Version::HTTP_10, Some(connection)) = (parts.version, &mut self.connection) {
            connection.retire();
        }
        let switched = parts.status == StatusCode::SWITCHING_PROTOCOLS;
        match (websocket, switched) {
            (_, true) => self.outcome = Outcome::Switched,
            (true, false) => self.line.stays_http(),
            (false, false) => {}
        }
        fields::clean_response(&mut parts.headers, switched);
        fields::add_via(&mut parts.headers, u8::from(parts.version != Version::HTTP_10));
        parts.version = Version::HTTP_11;
        Response::from_parts(parts, Either::Right(body))
    }

    /// Why upstream gave no response, in the words of a denial.
    fn why(&self, failure: NoResponse) -> Denial {
        if let Some(violation) = self.line.spoilt() {
            return denial_of(violation);
        }
        match (failure, self.line.gone()) {
            (NoResponse::Closed, Some(Gone::CutOff | Gone::Reset)) => Denial::new(Reason::ClientClosed, Stage::Relay),
            (NoResponse::Invalid(what), _) => {
                Denial::new(Reason::UpstreamInvalid, Stage::Relay).detail(what.to_string())
            }
            (NoResponse::Stopped(FlowEndKind::Drained), _) => Denial::new(Reason::Draining, Stage::Relay),
            (NoResponse::Stopped(_), _) => Denial::new(Reason::Revoked, Stage::Relay),
            (NoResponse::Closed, _) => Denial::new(Reason::UpstreamClosed, Stage::Relay),
            (NoResponse::Silent, _) => Denial::new(Reason::UpstreamTimeout, Stage::Relay),
        }
    }

    /// A denial that came too late for an answer: the row alone.
    pub(super) fn denied_late(&mut self) {
        let Some(violation) = self.line.spoilt().filter(|_| self.outcome == Outcome::Open) else {
            return;
        };
        self.write_denial(&denial_of(violation));
    }

    /// The upstream connection was revoked or drained while no request waits for its response. Whether the client's must end
    /// too: one that is in the middle of a response, and that of a tunnel, which is for this upstream alone.
    pub(super) fn let_go(&mut self) -> bool {
        let Some(connection) = self.connection.as_ref().filter(|connection| connection.stopped()) else {
            return false;
        };
        if connection.owes() || matches!(self.route, Route::Tunnel(..)) {
            return true;
        }
        self.part();
        self.record.told = true;
        false
    }

    /// The connection at hand goes, and its row is written: a row tells of one upstream. One that no request has used has
    /// nothing to tell.
    fn part(&mut self) {
        let Some(connection) = self.connection.as_ref().filter(|connection| connection.used()) else {
            self.connection = None;
            return;
        };
        let (end, generation) = (connection.end(), self.record.generation);
        self.record.stage = Stage::Relay;
        self.close(end);
        self.record.turn();
        self.record.generation = generation;
    }

    /// Close the books on the connection at hand.
    pub(super) fn close(&mut self, end: FlowEndKind) {
        self.count();
        match self.connection.take() {
            Some(connection) => {
                let (sent, received) = (self.record.sent, self.record.received);
                ended(&connection.entry, Transfer { sent, received, end }, &mut self.record);
            }
            None => self.record.end = end,
        }
    }

    /// What has moved belongs to the row at hand.
    pub(super) fn count(&mut self) {
        let (sent, received) = self.line.take_moved();
        self.record.sent += sent;
        self.record.received += received;
    }

    /// Row and answer of a denial. The connection ends with it.
    fn deny(&mut self, denial: Denial) -> Response<Reply> {
        self.outcome = Outcome::Denied;
        if denial.stage != Stage::Relay {
            // It has nothing to do with where the requests before it went.
            self.part();
        }
        self.record.name = match &self.attempted.name[..] {
            "" => self.attempted.target(),
            name => name.to_string(),
        };
        self.record.port = self.attempted.port;
        self.write_denial(&denial);
        let proxy = self.record.shared.snapshot().settings.proxy;
        let detail = denial.detail.as_deref();
        let words = answer::words(denial.reason, detail, &self.attempted.target(), self.record.id, &proxy);
        response_of(words)
    }

    /// The row of a denial. One that comes after the decision is made under the policy of this moment; trouble upstream is no
    /// decision of its own, and the end of the flow tells of it.
    fn write_denial(&mut self, denial: &Denial) {
        self.record.denied(denial);
        let decided = denial.stage == Stage::Relay;
        if decided && !matches!(denial.reason, Reason::Revoked | Reason::Draining) {
            return;
        }
        self.attempted.write_denial(&self.record, denial);
    }

    /// The last hop of an OPTIONS is this one (RFC 9110 section 7.6.2).
    fn own_options(&self) -> Response<Reply> {
        let mut response = Response::new(Either::Left(Full::default()));
        fields::add_via(response.headers_mut(), 1);
        response
    }
}

fn denial_of(violation: Violation) -> Denial {
    Denial::new(violation.reason, Stage::Intent).detail(violation.what.to_string())
}
