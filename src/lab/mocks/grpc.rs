//! gRPC: the health check of every service, and an echo of every other call.
//!
//! Protocol: gRPC over HTTP/2, which this kind of site alone offers; `grpc.health.v1`. An echo needs no schema: what a call
//! sends is what it gets, message by message.

use super::{
    answers::{Answer, Said, said, text},
    open,
    route::{Call, Route, Service, on},
};
use hyper::{StatusCode, body::Bytes};

const ROUTES: &[Route] = &[
    on("POST", "/grpc.health.v1.Health/Check", |call| answer(call, SERVING)),
    on("POST", "/{}/{}", |call| answer(call, call.body())),
];

/// A message of five bytes' head: `HealthCheckResponse { status: SERVING }`.
const SERVING: &[u8] = &[0, 0, 0, 0, 2, 0x08, 0x01];

/// A server of gRPC.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard: open,
    missing: |_| text(StatusCode::NOT_FOUND, "not found\n"),
};

fn answer(call: &Call<'_>, messages: &[u8]) -> Answer {
    match call.header("content-type") {
        Some(kind) if kind.starts_with("application/grpc") => {
            let body = Said::Trailed(vec![("grpc-status", "0")], Some(Bytes::copy_from_slice(messages)));
            said(StatusCode::OK, "application/grpc", body)
        }
        _ => text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "this is gRPC\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::ask::Ask, *};

    #[test]
    fn health_is_told_and_the_rest_echoed() {
        let mut ask = Ask::to("grpc").header("content-type", "application/grpc");
        for (path, sent, heard) in [
            ("/grpc.health.v1.Health/Check", "\0\0\0\0\0", SERVING),
            ("/lab.Echo/Say", "\0\0\0\0\u{3}abc", b"\0\0\0\0\x03abc"),
        ] {
            let Said::Trailed(trailers, Some(messages)) = ask.post(path, sent).0.into_body() else {
                panic!("no answer to {path}");
            };
            assert_eq!((trailers, &messages[..]), (vec![("grpc-status", "0")], heard), "{path}");
        }
        assert_eq!(Ask::to("grpc").post("/lab.Echo/Say", "").status(), 415);
    }
}
