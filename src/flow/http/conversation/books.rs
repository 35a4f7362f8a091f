//! The rows of a conversation: when the connection at hand goes, what it has carried, and what a denial is told as.

use super::{Conversation, End};
use crate::flow::http::upstream::Connection;
use crate::flow::relay::Transfer;
use crate::flow::tunnel::ended;
use crate::flow::{Denial, answer};
use crate::log::{FlowEndKind, Stage};
use crate::policy::Reason;

impl Conversation {
    /// The client has no more use for the connection at hand, or it is in the way. See [`Conversation::close_apart`].
    pub(super) fn part(&mut self) -> bool {
        self.close_apart(FlowEndKind::ClientClosed)
    }

    /// The connection at hand goes, and its row is written: a row tells of one upstream. One that no request has used has
    /// nothing to tell. Whether there was a row.
    pub(super) fn close_apart(&mut self, end: FlowEndKind) -> bool {
        if !self.connection.as_ref().is_some_and(|connection| connection.used) {
            self.connection = None;
            return false;
        }
        let generation = self.record.generation;
        self.record.stage = Stage::Relay;
        self.close(end);
        self.record.turn();
        self.record.generation = generation;
        true
    }

    /// Close the books on the connection at hand.
    fn close(&mut self, end: FlowEndKind) {
        self.count();
        match self.connection.take() {
            Some(connection) => {
                let (sent, received) = (self.record.sent, self.record.received);
                ended(&connection.entry, Transfer { sent, received, end }, &mut self.record);
            }
            None => self.record.end = end,
        }
    }

    /// The client's connection was cut, and upstream's is.
    pub(in crate::flow::http) fn cut(&mut self, end: FlowEndKind) {
        if let Some(connection) = &self.connection {
            connection.reset();
        }
        self.close(end);
    }

    /// What has moved belongs to the row at hand.
    pub(in crate::flow::http) fn count(&mut self) {
        self.record.relayed = None;
        if let Some(connection) = &mut self.connection {
            let (sent, received) = connection.take_moved();
            self.record.sent += sent;
            self.record.received += received;
            self.record.generation = connection.entry.tunnel.generation();
        }
    }

    /// The connection at hand, for the tunnel behind a 101, with what its entry has counted.
    pub(in crate::flow::http) fn take_connection(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// Row and answer of a denial. The connection ends with it.
    pub(super) fn deny(&mut self, denial: &Denial, to_head: bool) -> End {
        if denial.stage != Stage::Relay {
            // It has nothing to do with where the requests before it went.
            self.part();
        }
        self.record.name.clone_from(&self.attempted.name);
        self.record.port = self.attempted.port;
        self.write_denial(denial);
        let proxy = self.record.shared.snapshot().settings.proxy;
        let detail = denial.detail.as_deref();
        let words = answer::words(denial.reason, detail, &self.attempted.target(), self.record.id, &proxy);
        let mut response = words.response();
        if to_head {
            response.truncate(response.len() - words.body.len());
        }
        End::Denied(response)
    }

    /// It ended before its first request was judged: this is why. The CONNECT of its tunnel is told by itself then, unless the end of
    /// its connection tells of it.
    pub(in crate::flow::http) fn unasked(&mut self, reason: Reason) {
        if self.record.reason != Reason::Internal {
            return;
        }
        self.record.reason = reason;
        if let Some(connect) = self.connect.take().filter(|_| reason != Reason::Revoked) {
            connect.write_denial(&self.record, &Denial::new(reason, Stage::Gate));
        }
    }

    /// The row of a denial. One that comes after the decision is made under the policy of this moment; trouble upstream is no
    /// decision of its own, and the end of the flow tells of it.
    pub(super) fn write_denial(&mut self, denial: &Denial) {
        self.record.denied(denial);
        let decided = denial.stage == Stage::Relay && !matches!(denial.reason, Reason::Revoked | Reason::Draining);
        if !decided && !denial.is_undecided() {
            self.attempted.write_denial(&self.record, denial);
        }
    }
}
