//! The messages themselves: what upstream gets of a request, and what a client gets of a denial.

use super::fields;
use super::framing::Framing;
use super::head::RequestHead;
use super::line::{Line, Sending};
use super::target::Wanted;
use crate::flow::{Denial, answer};
use crate::log::Stage;
use crate::policy::{Fqdn, Reason};
use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::ext::ReasonPhrase;
use hyper::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING};
use hyper::{Request, Response, StatusCode, Uri, Version};
use std::sync::Arc;

/// What a client gets: a text of ours, or what upstream sends.
pub(super) type Reply = Either<Full<Bytes>, Incoming>;

/// A denial as a response.
pub(super) fn response_of(words: answer::Words) -> Response<Reply> {
    let fields = words.fields().map(|(name, value)| {
        // `words` holds printable ASCII alone
        (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
    });
    let mut response = Response::new(Either::Left(Full::default()));
    for pair in fields {
        if let (Ok(name), Ok(value)) = pair {
            response.headers_mut().append(name, value);
        }
    }
    *response.status_mut() = StatusCode::from_u16(words.status).unwrap_or(StatusCode::FORBIDDEN);
    if let Ok(phrase) = ReasonPhrase::try_from(words.phrase) {
        response.extensions_mut().insert(phrase);
    }
    *response.body_mut() = Either::Left(Full::from(words.body));
    response
}

/// The head that upstream gets: what was judged, and nothing that is meant for us.
pub(super) fn for_upstream(
    mut parts: hyper::http::request::Parts,
    wanted: &Wanted,
    name: &Fqdn,
    head: &RequestHead,
) -> Result<hyper::http::request::Parts, Denial> {
    let bad = || Denial::new(Reason::BadRequest, Stage::Intent);
    parts.uri = Uri::try_from(&wanted.origin_form[..]).map_err(|_| bad())?;
    parts.version = Version::HTTP_11;
    fields::clean_request(&mut parts.headers, head.websocket);
    let host = match wanted.target.port {
        80 => name.as_str().to_string(),
        port => format!("{name}:{port}"),
    };
    parts
        .headers
        .insert(HOST, HeaderValue::try_from(host).map_err(|_| bad())?);
    // The body that was judged says its length, not what hyper made of the fields.
    parts.headers.remove(CONTENT_LENGTH);
    match head.body {
        Framing::Length(0) if !head.has_length => {}
        Framing::Length(length) => drop(parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length))),
        // hyper would leave the body out of methods that rarely have one
        _ => drop(
            parts
                .headers
                .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        ),
    }
    fields::add_via(&mut parts.headers, head.minor);
    Ok(parts)
}

/// Whether hyper read the request that the guard let through.
pub(super) fn is_of(request: &Request<Incoming>, head: &RequestHead) -> bool {
    let same_target = Uri::try_from(&head.target[..]).is_ok_and(|target| target == *request.uri());
    same_target && request.method().as_str().as_bytes() == head.method
}

/// The same request without a body, once more.
pub(super) fn again(request: &Request<Sending>, line: &Arc<Line>) -> Request<Sending> {
    let mut copy = Request::new(Sending::nothing(line.clone()));
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy
}
