//! What a client is told: 200, a denial with the whole message in its reason phrase, a TLS alert, and closes that do not
//! lose them.
//!
//! Most SDKs show nothing but the reason phrase of a refused CONNECT, so everything is in it. Never a redirect (clients
//! take the block page for a success), never a silent close (one client then loops), never 407.

use super::FlowId;
use crate::config::settings::{DenyDetail, DenyResponse, Proxy};
use crate::policy::Reason;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::net::TcpStream as Accepted;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// The one positive answer that every client takes, also one that asked in HTTP/1.0.
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// How long a client may take to let its 200 into the socket: one that was asked nothing before has room.
const ESTABLISHED_TIME: Duration = Duration::from_secs(5);

/// Fatal alert `access_denied` (RFC 8446 section 6.2) in a TLS 1.2 record: every client says "access denied".
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// How long a client may take to read a denial, and to close after it.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// Bytes of a refused client that are read and thrown away, so that its socket is not reset under the answer.
pub(super) const LINGER_BYTES: usize = 256 * 1024;

/// Longest target shown in an answer, in bytes; a name has at most 253.
const SHOWN_BYTES: usize = 260;

/// Azure Firewall's status for a denied plain HTTP request; not a registered code.
const AZURE_STATUS: u16 = 470;

/// A denial in words: what the status line, the header and the body of an answer are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    /// HTTP status.
    pub status: u16,
    /// Reason phrase: printable ASCII.
    pub phrase: String,
    /// Value of `Proxy-Status` (RFC 9209).
    pub proxy_status: String,
    /// Body, one or more lines.
    pub body: String,
}

/// Put a denial of `target` (`host:port` as far as it is known) into words.
pub(crate) fn words(reason: Reason, detail: Option<&str>, target: &str, flow: FlowId, proxy: &Proxy) -> Words {
    let row = reason.row();
    if proxy.deny_response == DenyResponse::Azure && row.status == 403 {
        let body = format!("Action: Deny. Reason: {}", azure_reason(reason));
        return Words {
            status: AZURE_STATUS,
            proxy_status: "egret; error=http_request_denied".into(),
            body: format!("{body}\n"),
            phrase: body,
        };
    }
    let verb = if matches!(row.status, 500..) {
        "failed"
    } else {
        "denied"
    };
    if proxy.deny_detail == DenyDetail::FlowId {
        let phrase = format!("egret: {verb} (flow {})", flow.short());
        return Words {
            status: row.status,
            body: format!("{phrase}\n"),
            proxy_status: format!("egret; error={}", row.proxy_error),
            phrase,
        };
    }
    let subject = if target.is_empty() {
        "request".to_string()
    } else {
        shown(target)
    };
    let flow = flow.short();
    let phrase = joined(&["egret: ", &subject, " ", verb, ", ", row.name, " (flow ", &flow, ")"]);
    let detail = detail.map(|detail| shown(detail) + "\n").unwrap_or_default();
    Words {
        status: row.status,
        body: joined(&[&phrase, "\n", row.meaning, "\n", &detail, row.remedy, "\n"]),
        proxy_status: joined(&["egret; error=", row.proxy_error, "; details=\"", row.name, "\""]),
        phrase,
    }
}

/// What `concat` does in twice the time.
fn joined(pieces: &[&str]) -> String {
    let mut whole = String::with_capacity(pieces.iter().map(|piece| piece.len()).sum());
    for piece in pieces {
        whole.push_str(piece);
    }
    whole
}

/// Azure Firewall's sentence for what no rule allows, an address asked for by itself included (seen by third parties: Microsoft
/// documents neither status nor text, and what a rule that denies answers nobody has shown); all else has egret's own name.
fn azure_reason(reason: Reason) -> String {
    match reason {
        Reason::IpLiteral => Reason::NoRuleMatched.azure_action_reason().into(),
        Reason::NoRuleMatched | Reason::SniMissing => reason.azure_action_reason().into(),
        other => format!("{}.", other.name()),
    }
}

/// Printable ASCII only, cut to [`SHOWN_BYTES`]: nothing a client sent may end the status line.
pub(crate) fn shown(text: &str) -> String {
    // Nearly every target.
    if text.len() <= SHOWN_BYTES && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return text.to_owned();
    }
    let mut shown: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(SHOWN_BYTES)
        .collect();
    if text.chars().nth(SHOWN_BYTES).is_some() {
        shown.push_str("...");
    }
    shown
}

impl Words {
    /// The whole response. Put together by hand: a denial costs little else. `Connection: close` is kept by the lingering close
    /// behind it.
    pub(crate) fn response(&self) -> Vec<u8> {
        const FIXED: &str = "\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: ";
        joined(&[
            "HTTP/1.1 ",
            &self.status.to_string(),
            " ",
            &self.phrase,
            "\r\nProxy-Status: ",
            &self.proxy_status,
            "\r\nX-Egret-Reason: ",
            &self.phrase,
            FIXED,
            &self.body.len().to_string(),
            "\r\n\r\n",
            &self.body,
        ])
        .into_bytes()
    }
}

/// Send the 200: false where the client does not take it.
pub(super) async fn establish(client: &mut TcpStream) -> bool {
    let written = match client.try_write(ESTABLISHED) {
        Ok(written) => written,
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        Err(_) => return false,
    };
    let rest = &ESTABLISHED[written..];
    if rest.is_empty() {
        return true;
    }
    let rest = Box::pin(timeout(ESTABLISHED_TIME, client.write_all(rest)));
    matches!(rest.await, Ok(Ok(())))
}

/// Send a refusal instead of the 200, then close without losing it.
pub(crate) async fn refuse(mut client: TcpStream, response: &[u8]) {
    if timeout(LINGER, client.write_all(response))
        .await
        .is_ok_and(|sent| sent.is_ok())
    {
        linger(client).await;
    }
}

/// Send a refusal on a socket that nothing was sent on before, and end this side of it: it takes the answer whole, or its
/// client is gone. It is told as unfinished (MSG_MORE of send(2)), so that the end goes in the same segment: one packet less.
pub(super) fn tell(client: &Accepted, response: &[u8]) -> bool {
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL | SendFlags::MORE;
    let sent = rustix::net::send(client, response, flags).is_ok_and(|sent| sent == response.len());
    sent && rustix::net::shutdown(client, Shutdown::Write).is_ok()
}

/// Read and throw away what a refused client has sent by now, as far as one look goes; `read` bytes of it came before. `None`:
/// it has closed, was reset, or has sent more than any answer is worth.
pub(super) fn discard_arrived(client: &Accepted, mut read: usize) -> Option<usize> {
    // Not filled in advance: nearly always there is nothing to read but the end.
    let mut bytes = [MaybeUninit::uninit(); 8192];
    for _ in 0..4 {
        match rustix::net::recv(client, &mut bytes[..], RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return None,
            Ok((_, more)) => read += more,
            Err(Errno::AGAIN) => break,
            Err(_) => return None,
        }
    }
    (read < LINGER_BYTES).then_some(read)
}

/// The same without waiting for the client. What it has sent by now is read, so that closing resets nothing.
pub(crate) fn refuse_at_once(client: &Accepted, response: &[u8]) {
    if tell(client, response) {
        discard_arrived(client, 0);
    }
}

/// Refuse inside a tunnel whose 200 is sent: an alert where TLS is spoken, then a clean close.
pub(crate) async fn refuse_tunnel(mut client: TcpStream, tls: bool) {
    if tls && timeout(LINGER, client.write_all(&ACCESS_DENIED)).await.is_err() {
        return;
    }
    linger(client).await;
}

/// Half-close, then read and throw away until the client closes: closing a socket with unread bytes resets it, and the
/// reset would overtake the answer (RFC 9112 section 9.6).
pub(crate) async fn linger(mut client: TcpStream) {
    if client.shutdown().await.is_err() {
        return;
    }
    let deadline = Instant::now() + LINGER;
    let mut read = 0;
    while read < LINGER_BYTES && matches!(timeout_at(deadline, client.readable()).await, Ok(Ok(()))) {
        match discard(&client) {
            Ok(0) => return,
            Ok(n) => read += n,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// One read that is thrown away. Not inline in the loop: its buffer would live in every flow's future.
fn discard(client: &TcpStream) -> std::io::Result<usize> {
    client.try_read(&mut [0; 4096])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_message_is_in_the_reason_phrase() {
        let words = words(
            Reason::NoRuleMatched,
            None,
            "paste.example:443",
            FlowId::next(),
            &Proxy::default(),
        );
        assert_eq!(words.status, 403);
        assert!(
            words
                .phrase
                .starts_with("egret: paste.example:443 denied, NoRuleMatched (flow "),
            "{}",
            words.phrase
        );
        assert_eq!(
            words.proxy_status,
            "egret; error=http_request_denied; details=\"NoRuleMatched\""
        );
        let response = String::from_utf8(words.response()).unwrap();
        assert!(response.contains("\r\nConnection: close\r\n"), "{response}");
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
    }

    #[test]
    fn what_a_client_sent_cannot_end_the_status_line() {
        let words = words(
            Reason::BadAuthority,
            None,
            "a\r\nSet-Cookie: x:443\u{1b}[31m",
            FlowId::next(),
            &Proxy::default(),
        );
        assert_eq!(words.phrase.lines().count(), 1);
        assert!(words.phrase.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
    }

    #[test]
    fn azures_sentence_is_that_of_the_default_action_and_never_said_of_a_rule() {
        let proxy = Proxy {
            deny_response: DenyResponse::Azure,
            ..Proxy::default()
        };
        for (reason, body) in [
            (
                Reason::NoRuleMatched,
                "Action: Deny. Reason: No rule matched. Proceeding with default action.",
            ),
            (Reason::RuleMatched, "Action: Deny. Reason: RuleMatched."),
        ] {
            assert_eq!(
                words(reason, None, "a.example:443", FlowId::next(), &proxy)
                    .body
                    .trim_end(),
                body
            );
        }
    }

    #[test]
    fn flow_id_detail_hides_rule_and_reason() {
        let proxy = Proxy {
            deny_detail: DenyDetail::FlowId,
            ..Proxy::default()
        };
        let words = words(
            Reason::NoRuleMatched,
            Some("rule x"),
            "paste.example:443",
            FlowId::next(),
            &proxy,
        );
        let response = String::from_utf8(words.response()).unwrap();
        assert!(
            !response.contains("NoRuleMatched") && !response.contains("paste"),
            "{response}"
        );
    }
}
