//! What the lab's sites answer. Every answer names its site in `X-Lab-Site`, so that a client can tell who answered.

pub mod entra;
pub mod openai;

use super::site::Visit;
use http_body_util::{BodyExt, Limited};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Body, Bytes, Frame, Incoming},
    header::{self, HeaderMap, HeaderValue},
};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    fmt::Write as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::mpsc;

/// Longest request body that a mock reads, in bytes; longer ones get 413.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// What a site serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Serves {
    /// Text that says what was asked, of whom, with which headers.
    #[default]
    Page,
    /// Azure OpenAI's chat completions.
    Openai,
    /// Entra ID's token endpoint and discovery.
    Entra,
    /// An instance metadata service: the token that an attacker is after.
    Metadata,
}

/// A request as the mocks see it.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most 4 MiB.
    pub body: Bytes,
}

impl Asked {
    /// A query parameter as it was written.
    pub fn query(&self, name: &str) -> Option<&str> {
        let pairs = self.uri.query()?.split('&');
        pairs
            .filter_map(|p| p.split_once('='))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    }
}

/// What a mock answers.
pub type Answer = Response<Said>;

/// Answers one request on behalf of the site that its host chooses.
pub(super) async fn answer(visit: Arc<Visit>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    // A request in absolute form reached a server: RFC 9112 3.2.2 gives its authority the last word.
    let authority = request.uri().authority().map(|a| a.as_str()).or(host);
    let site = visit.name(authority.map(|a| a.rsplit_once(':').map_or(a, |(name, _)| name)));
    site.count_request();
    let (parts, body) = request.into_parts();
    let mut answer = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => {
            let asked = Asked {
                method: parts.method,
                uri: parts.uri,
                headers: parts.headers,
                body: body.to_bytes(),
            };
            match site.spec().serves {
                Serves::Page => page(site.name(), &asked),
                Serves::Openai => openai::answer(&asked),
                Serves::Entra => entra::answer(&asked),
                Serves::Metadata => metadata(),
            }
        }
        Err(_) => text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the body is too long for a mock\n".to_owned(),
        ),
    };
    if let Ok(name) = HeaderValue::from_str(site.name()) {
        answer.headers_mut().insert("x-lab-site", name);
    }
    Ok(answer)
}

fn page(site: &str, asked: &Asked) -> Answer {
    // `/bytes/N`: a body of N bytes, for transfers.
    if let Some(n) = asked
        .uri
        .path()
        .strip_prefix("/bytes/")
        .and_then(|n| n.parse::<usize>().ok())
    {
        return text(StatusCode::OK, "x".repeat(n.min(64 * 1024 * 1024)));
    }
    let mut page = format!("site: {site}\nrequest: {} {}\n", asked.method, asked.uri);
    for (name, value) in &asked.headers {
        let _ = writeln!(page, "{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    let _ = writeln!(page, "body: {} bytes", asked.body.len());
    text(StatusCode::OK, page)
}

fn metadata() -> Answer {
    let token = json!({"access_token": "the-managed-identity-of-the-firewall", "token_type": "Bearer"});
    as_json(StatusCode::OK, &token)
}

/// A JSON answer.
pub(super) fn as_json(status: StatusCode, value: &Value) -> Answer {
    said(status, "application/json", Said::whole(value.to_string()))
}

/// A plain text answer.
pub(super) fn text(status: StatusCode, text: String) -> Answer {
    said(status, "text/plain; charset=utf-8", Said::whole(text))
}

/// An answer with this body.
pub(super) fn said(status: StatusCode, content_type: &'static str, body: Said) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

/// The body of an answer: whole, or in pieces as they come.
#[derive(Debug)]
pub enum Said {
    /// Sent at once; `None` once it is sent.
    Whole(Option<Bytes>),
    /// Each piece is a frame of its own.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Said {
    fn whole(text: String) -> Self {
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
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Pieces(_) => hyper::body::SizeHint::default(),
        }
    }
}
