//! HTTP/1.1 for the health and admin listeners: it answers GET and HEAD, one request a connection, and nothing that comes
//! in can change anything or hold much.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// Longest request head in bytes; hyper reads no less.
const HEAD_BYTES: usize = 8 << 10;

/// Most header fields.
const HEAD_FIELDS: usize = 64;

/// Time for the whole request head.
const HEAD_TIME: Duration = Duration::from_secs(1);

/// Time for everything, the answer to a slow reader included.
const WHOLE_TIME: Duration = Duration::from_secs(15);

/// Pause when the process is out of file descriptors.
const OUT_OF_FILES_PAUSE: Duration = Duration::from_millis(10);

/// An answer.
pub(super) struct Page {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: String,
}

/// What a page may depend on.
pub(super) struct Asked {
    /// The path as it was sent: nothing is decoded, no dots are resolved.
    pub path: String,
    pub headers: HeaderMap,
}

impl Page {
    pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Self {
        Self {
            status,
            content_type: "application/json",
            body: format!("{body:#}\n"),
        }
    }

    /// A refusal in one line.
    pub(super) fn error(status: StatusCode, says: &str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            body: format!("{says}\n"),
        }
    }
}

/// Serves until the returned future is dropped. Of more than `most` connections at once the oldest is
/// closed: silent ones never keep a new one out.
pub(super) async fn serve<F, A>(listener: TcpListener, most: usize, page: F)
where
    F: Fn(Asked) -> A + Clone + Send + Sync + 'static,
    A: Future<Output = Page> + Send + 'static,
{
    let mut open = VecDeque::with_capacity(most);
    loop {
        let Ok((client, _)) = listener.accept().await else {
            sleep(OUT_OF_FILES_PAUSE).await;
            continue;
        };
        open.retain(|connection: &AbortHandle| !connection.is_finished());
        if open.len() >= most
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        // A client that is too slow, or breaks off, gets a closed connection: there is nobody to tell.
        let served = timeout(WHOLE_TIME, connection(client, page.clone()));
        open.push_back(tokio::spawn(served).abort_handle());
    }
}

async fn connection<F, A>(client: TcpStream, page: F)
where
    F: Fn(Asked) -> A,
    A: Future<Output = Page>,
{
    let service = service_fn(|request| {
        let answer = judge(&request).map(&page);
        async move {
            let page = match answer {
                Ok(page) => page.await,
                Err(refusal) => refusal,
            };
            Ok::<_, Infallible>(response(page))
        }
    });
    let _ = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(client), service)
        .await;
}

fn judge(request: &Request<Incoming>) -> Result<Asked, Page> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Page::error(StatusCode::METHOD_NOT_ALLOWED, "read-only: GET and HEAD"));
    }
    if request.uri().authority().is_some() {
        return Err(Page::error(StatusCode::BAD_REQUEST, "this is not a proxy port"));
    }
    Ok(Asked {
        path: request.uri().path().to_string(),
        headers: request.headers().clone(),
    })
}

fn response(page: Page) -> Response<Full<Bytes>> {
    let refused_method = page.status == StatusCode::METHOD_NOT_ALLOWED;
    let mut response = Response::new(Full::new(Bytes::from(page.body)));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, page.content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if refused_method {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
