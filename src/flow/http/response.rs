//! Response heads, read as strictly as request heads. Pure.

use super::fields::Fields;
use super::framing::Framing;
use super::section::may_stand_in_value;

/// A response head that can be read in one way only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ResponseHead<'a> {
    /// HTTP/1.`minor`.
    pub minor: u8,
    /// 100 to 599.
    pub status: u16,
    /// What stands behind the code: a blank and the reason phrase, or nothing.
    pub phrase: &'a [u8],
    /// What stands behind the status line.
    pub fields: Fields<'a>,
    /// How its body ends.
    pub body: Framing,
    /// It agrees to go on with WebSocket: a 101 that says so.
    pub websocket: bool,
}

impl<'a> ResponseHead<'a> {
    /// Reads a response head, from its status line to its empty line. `to_head`: the request was HEAD.
    pub(super) fn read(head: &'a [u8], to_head: bool, max_fields: usize) -> Result<Self, &'static str> {
        let end = head.iter().position(|byte| *byte == b'\n').unwrap_or(head.len());
        let (minor, status, phrase) = status_line(&head[..end.saturating_sub(1)])?;
        let fields = Fields::read(head.get(end + 1..).unwrap_or_default(), max_fields);
        let fields = fields.map_err(|violation| violation.what)?;
        if fields.chunked && (minor == 0 || status < 200 || status == 204) {
            return Err("Transfer-Encoding where it must not be");
        }
        let framing = fields.framing().map_err(|violation| violation.what)?;
        let without_body = to_head || status < 200 || matches!(status, 204 | 304);
        Ok(Self {
            minor,
            status,
            phrase,
            websocket: status == 101 && fields.websocket(),
            body: if without_body {
                Framing::NONE
            } else {
                framing.unwrap_or(Framing::UntilClose)
            },
            fields,
        })
    }
}

/// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 section 4). The blank behind the code may be missing with the
/// phrase: common, and not ambiguous.
fn status_line(line: &[u8]) -> Result<(u8, u16, &[u8]), &'static str> {
    let minor = match line.first_chunk::<9>() {
        Some(b"HTTP/1.1 ") => 1,
        Some(b"HTTP/1.0 ") => 0,
        _ => return Err("a status line of another version than HTTP/1.0 and 1.1"),
    };
    let (code, phrase) = line[9..]
        .split_at_checked(3)
        .ok_or("a status line without a status code")?;
    let status = match code {
        [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9'] => code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0')),
        _ => return Err("a status code outside of 100 to 599"),
    };
    match phrase {
        [] | [b' ', ..] if phrase.iter().all(|byte| may_stand_in_value(*byte)) => Ok((minor, status, phrase)),
        _ => Err("a status line with something other than a reason phrase behind the code"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunked::Chunked;
    use super::*;

    fn answered(head: &str) -> Result<ResponseHead<'_>, &'static str> {
        ResponseHead::read(head.as_bytes(), false, 100)
    }

    #[test]
    fn a_response_head_says_where_its_body_ends() {
        let chunked = Framing::Chunked(Chunked::default());
        for (head, to_head, status, body) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
                false,
                200,
                Framing::Length(5),
            ),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, 200, Framing::NONE),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                false,
                200,
                chunked.clone(),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                true,
                200,
                Framing::NONE,
            ),
            ("HTTP/1.0 200 OK\r\n\r\n", false, 200, Framing::UntilClose),
            ("HTTP/1.1 200\r\n\r\n", false, 200, Framing::UntilClose),
            ("HTTP/1.1 204 No Content\r\n\r\n", false, 204, Framing::NONE),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
                false,
                304,
                Framing::NONE,
            ),
            ("HTTP/1.1 100 Continue\r\n\r\n", false, 100, Framing::NONE),
        ] {
            let read = ResponseHead::read(head.as_bytes(), to_head, 100).unwrap();
            assert_eq!(
                (read.status, read.body, read.websocket),
                (status, body, false),
                "{head:?}"
            );
        }
        let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n";
        assert!(answered(agreed).unwrap().websocket);
        for other in ["Upgrade: websocket\r\n", "Connection: Upgrade\r\nUpgrade: h2c\r\n", ""] {
            assert!(
                !answered(&format!("HTTP/1.1 101 x\r\n{other}\r\n")).unwrap().websocket,
                "{other:?}"
            );
        }
    }

    #[test]
    fn c_58_a_response_that_can_be_read_in_two_ways_is_none() {
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/2 200 OK\r\n\r\n",
            "HTTP/1.2 200 OK\r\n\r\n",
            "http/1.1 200 OK\r\n\r\n",
            "HTTP/1.1  200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 600 OK\r\n\r\n",
            "HTTP/1.1 099 OK\r\n\r\n",
            "HTTP/1.1 200\tOK\r\n\r\n",
            "HTTP/1.1 200 a\rb\r\n\r\n",
            "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : 1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n",
        ] {
            assert!(answered(head).is_err(), "{head:?}");
        }
    }
}
