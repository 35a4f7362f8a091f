//! What a request asks, and whether it may: from its head to a decision. Nothing here waits for anybody.

use super::{Conversation, Route};
use crate::flow::http::exchange::Asked;
use crate::flow::http::forward::{self, Recipient};
use crate::flow::http::framing::{Framing, Violation};
use crate::flow::http::request::RequestHead;
use crate::flow::http::section::is_token;
use crate::flow::http::target::{self, Wanted};
use crate::flow::http::upstream::Connection;
use crate::flow::intent::Target;
use crate::flow::reach::{begin, charged, named};
use crate::flow::record::{Attempted, safe};
use crate::flow::shared::Own;
use crate::flow::{Denial, judge};
use crate::log::{NameSource, Stage};
use crate::policy::{Decision, Host, Protocol, Reason};
use crate::proof::{Guard, off};
use crate::snapshot::Snapshot;

/// Bytes that are kept of the target of a head that was refused.
const SHOWN_BYTES: usize = 512;

/// A request that may pass.
pub(super) struct Judged {
    pub snapshot: Own<Snapshot>,
    pub host: Host,
    pub decision: Decision,
    /// The head that upstream gets; `None`: it is an OPTIONS whose last hop is this one.
    pub head: Option<Vec<u8>>,
    pub body: Framing,
    pub asked: Asked,
}

impl Conversation {
    pub(super) fn attempt(&self) -> Attempted {
        let (name, port, name_source) = match &self.route {
            Route::Absolute => (String::new(), 80, NameSource::Host),
            Route::Tunnel(inside) => (inside.name.as_str().to_string(), inside.port, NameSource::Connect),
        };
        Attempted {
            name,
            port,
            protocol: Some(Protocol::Http),
            name_source: Some(name_source),
            ..Attempted::default()
        }
    }

    /// Where a request goes, whether it may, and what upstream gets of it.
    pub(super) fn judge(&mut self, head: &RequestHead<'_>) -> Result<Judged, Denial> {
        let wanted = self
            .wanted(head)
            .map_err(|violation| charged(denial_of(violation), &mut self.record))?;
        let Target { host, port } = &wanted.target;
        let leads_there = |open: &Connection| open.leads_to(host, *port);
        if self.connection.as_ref().is_some_and(|open| !leads_there(open)) {
            self.part();
        }
        self.record.port = *port;
        let (snapshot, decision) = self.decide(&wanted.target)?;
        let head_for_upstream = (!forward::ends_here(head)).then(|| forward::for_upstream(head, &wanted));
        let asked = Asked {
            recipient: Recipient {
                minor: head.minor,
                to_head: head.method == b"HEAD",
                // RFC 9112 section 9.3: a proxy keeps no connection with HTTP/1.0.
                last: head.fields.close || head.minor == 0,
            },
            expects_continue: head.fields.expects_continue,
            websocket: head.websocket,
            harmless: head.body == Framing::NONE && matches!(head.method, b"GET" | b"HEAD" | b"OPTIONS"),
        };
        Ok(Judged {
            snapshot,
            host: wanted.target.host,
            decision,
            head: head_for_upstream,
            body: head.body.clone(),
            asked,
        })
    }

    /// Where the request wants to go, and what must not go there whatever the policy says.
    fn wanted<'a>(&mut self, head: &RequestHead<'a>) -> Result<Wanted<'a>, Violation> {
        let host = head.fields.host;
        let wanted = match &self.route {
            Route::Absolute => target::absolute(head.target, head.method),
            Route::Tunnel(inside) => target::origin(head.target, head.method, host, (&inside.name, inside.port)),
        };
        if wanted.as_ref().ok().map(|wanted| wanted.authority) != host {
            self.attempted.host_header = host.map(<[u8]>::to_vec);
        }
        // What the row shows of a request that cannot be read.
        let wanted = wanted.inspect_err(|_| self.attempted.requested = safe(head.target))?;
        self.attempted.name_source = Some(NameSource::Host);
        self.attempted.requested = wanted.authority.to_vec();
        self.attempted.target_url = Some(wanted.shown());
        self.attempted.port = wanted.target.port;
        self.record.protocol = Some(Protocol::Http);
        // RFC 9110 section 9.3.8: it shows a script the credentials that it may not read.
        if head.method == b"TRACE" {
            return Err(Violation::bad_request("TRACE"));
        }
        if forward::came_through_us(&head.fields) {
            return Err(Violation {
                reason: Reason::Loop,
                what: "the request came through this egret before",
            });
        }
        Ok(wanted)
    }

    fn decide(&mut self, target: &Target) -> Result<(Own<Snapshot>, Decision), Denial> {
        let snapshot = begin(&mut self.attempted, &mut self.record)?;
        // What was told of its CONNECT.
        if let Some(connect) = self.connect.take() {
            self.attempted.told = connect.told;
        }
        named(target, &snapshot, &mut self.attempted, &mut self.record)?;
        let decision = match self.first {
            Some(first) if off(Guard::PerRequest) => first,
            _ => judge::request(
                &snapshot,
                self.record.source.ip(),
                Protocol::Http,
                &target.host,
                target.port,
            ),
        };
        self.first.get_or_insert(decision);
        self.attempted.decided(&snapshot, &target.host, decision);
        if decision.permits() {
            Ok((snapshot, decision))
        } else {
            Err(Denial::new(decision.reason, Stage::Decide))
        }
    }
}

/// What stands where the target of a refused head should: all of the line behind the method, since a blank inside userinfo
/// must not hide that it is userinfo. What does not start with a whole request line is no request, perhaps what is left of a body,
/// and has no target.
pub(super) fn shown_target(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let line = &bytes[..end.unwrap_or(bytes.len())];
    let words = line
        .iter()
        .position(|byte| *byte == b' ')
        .map(|blank| line.split_at(blank));
    let Some((_, behind)) = words.filter(|(method, _)| is_token(method)) else {
        return Vec::new();
    };
    let Some(version) = behind
        .windows(6)
        .rposition(|window| window == b" HTTP/")
        .filter(|at| *at > 0)
    else {
        return Vec::new();
    };
    let mut target = safe(&behind[1..version]);
    target.truncate(SHOWN_BYTES);
    target
}

pub(super) fn denial_of(violation: Violation) -> Denial {
    Denial::new(violation.reason, Stage::Intent).detail(violation.what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_request_line_has_no_target_to_show() {
        for (bytes, shown) in [
            ("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "/a"),
            ("GET /a?api-key=secret HTTP/1.1\r\n", "/a"),
            ("GET http://us er:secret@x/ HTTP/1.1\r\n", "***@x/"),
            ("PRI * HTTP/2.0\r\n\r\n", "*"),
            // What is left of a body, and other protocols.
            ("abcpassword=hunter2 token is secret, my dear\r\n\r\n", ""),
            ("password=hunter2 secret HTTP/1.1\r\n", ""),
            ("PASS secret\r\n", ""),
            ("PASS secret\r\nGET /a HTTP/1.1\r\n", ""),
            ("AUTH PLAIN secret\r\n", ""),
            // The rest of it may say that this is userinfo.
            ("GET http://user:secret", ""),
            ("GET HTTP/1.1\r\n", ""),
            ("", ""),
        ] {
            assert_eq!(shown_target(bytes.as_bytes()), shown.as_bytes(), "{bytes:?}");
        }
    }
}
