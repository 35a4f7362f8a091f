//! How mocks answer: JSON, text, bytes, events one by one, what lies in a spool.

use super::spool::{Extent, Spool};
use hyper::{
    Response, StatusCode,
    body::{Body, Bytes, Frame},
    header::{self, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;

/// Time between two events of a stream: long enough that a client sees that they come one by one.
const PACE: Duration = Duration::from_millis(5);

/// Bytes of a spool that are read at once.
const PIECE: u64 = 64 * 1024;

/// What a mock answers.
pub type Answer = Response<Said>;

/// A JSON answer.
pub fn as_json(status: StatusCode, value: &Value) -> Answer {
    said(status, "application/json", Said::whole(value.to_string()))
}

/// A JSON answer that says that all is well.
pub fn ok(value: &Value) -> Answer {
    as_json(StatusCode::OK, value)
}

/// A plain text answer.
pub fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    said(status, "text/plain; charset=utf-8", Said::whole(text.into()))
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Said::Whole(None));
    *answer.status_mut() = status;
    answer
}

/// Azure's form of an error: `{"error": {"code", "message"}}`.
pub fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    as_json(status, &json!({"error": {"code": code, "message": message}}))
}

/// Bytes of some type.
pub fn bytes(content_type: &'static str, bytes: impl Into<Bytes>) -> Answer {
    said(StatusCode::OK, content_type, Said::Whole(Some(bytes.into())))
}

/// The bytes that a `Range` header asks for, or all.
pub fn ranged(range_header: Option<&str>, content_type: &'static str, all: &'static [u8]) -> Answer {
    let length = all.len() as u64;
    let whole = |slice: &'static [u8]| Said::Whole(Some(Bytes::from_static(slice)));
    let answer = match range_header.map(|text| range(text, length)) {
        None => said(StatusCode::OK, content_type, whole(all)),
        Some(None) => empty(StatusCode::RANGE_NOT_SATISFIABLE),
        Some(Some((first, last))) => {
            let part = whole(&all[first as usize..=last as usize]);
            let answer = said(StatusCode::PARTIAL_CONTENT, content_type, part);
            with(answer, "content-range", format!("bytes {first}-{last}/{length}"))
        }
    };
    with(answer, "accept-ranges", "bytes")
}

/// First and last byte of `bytes=a-b` or `bytes=a-`; `None` if there is no such byte.
pub fn range(text: &str, length: u64) -> Option<(u64, u64)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let first: u64 = first.parse().ok()?;
    let last = if last.is_empty() { u64::MAX } else { last.parse().ok()? };
    (first < length && first <= last).then(|| (first, last.min(length - 1)))
}

/// An answer with this body.
pub fn said(status: StatusCode, content_type: &'static str, body: Said) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// Server-sent events, each a piece of its own.
pub fn events(events: Vec<String>) -> Answer {
    let (pieces, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        for event in events {
            if pieces.send(Bytes::from(event)).await.is_err() {
                return; // the client is gone
            }
            tokio::time::sleep(PACE).await;
        }
    });
    said(StatusCode::OK, "text/event-stream", Said::Pieces(receiver))
}

/// Adds a header; a value that cannot stand in one is left out.
pub fn with(mut answer: Answer, name: &'static str, value: impl AsRef<str>) -> Answer {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        answer.headers_mut().insert(HeaderName::from_static(name), value);
    }
    answer
}

/// The body of an answer: whole, or in pieces as they come.
#[derive(Debug)]
pub enum Said {
    /// Sent at once; `None` once it is sent.
    Whole(Option<Bytes>),
    /// Each piece is a frame of its own.
    Pieces(mpsc::Receiver<Bytes>),
    /// What lies in a spool, one part after the other.
    Spooled(Arc<Spool>, Vec<Extent>),
    /// At once, with these trailers behind it.
    Trailed(Vec<(&'static str, &'static str)>, Option<Bytes>),
}

impl Said {
    /// A text that is sent at once.
    pub fn whole(text: String) -> Self {
        Self::Whole(Some(Bytes::from(text)))
    }
}

impl Body for Said {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Pieces(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|b| Ok(Frame::data(b)))),
            // A file of the page cache: reading it does not wait.
            Self::Spooled(spool, parts) => Poll::Ready(next_piece(spool, parts).map(|b| Ok(Frame::data(b)))),
            Self::Trailed(trailers, bytes) => Poll::Ready(match bytes.take() {
                Some(bytes) => Some(Ok(Frame::data(bytes))),
                None => trailing(std::mem::take(trailers)).map(Ok),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Pieces(_) => false,
            Self::Spooled(_, parts) => parts.is_empty(),
            Self::Trailed(trailers, bytes) => bytes.is_none() && trailers.is_empty(),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Pieces(_) | Self::Trailed(..) => hyper::body::SizeHint::default(),
            Self::Spooled(_, parts) => hyper::body::SizeHint::with_exact(parts.iter().map(|p| p.length).sum()),
        }
    }
}

fn trailing(trailers: Vec<(&'static str, &'static str)>) -> Option<Frame<Bytes>> {
    let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    (!trailers.is_empty()).then(|| Frame::trailers(trailers.into_iter().map(field).collect()))
}

/// The next bytes of the first part. A spool that cannot be read ends the body early, which the client notices.
fn next_piece(spool: &Spool, parts: &mut Vec<Extent>) -> Option<Bytes> {
    let part = parts.first_mut()?;
    let piece = Extent {
        start: part.start,
        length: part.length.min(PIECE),
    };
    part.start += piece.length;
    part.length -= piece.length;
    if part.length == 0 {
        parts.remove(0);
    }
    spool.read(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_with_the_content() {
        for (text, found) in [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=8-", Some((8, 9))),
            ("bytes=5-100", Some((5, 9))),
            ("bytes=10-11", None),
            ("bytes=3-2", None),
            ("bytes=-3", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(range(text, 10), found, "{text}");
        }
        assert_eq!(range("bytes=0-", 0), None, "what is empty has no byte");
    }
}
