//! Azure Monitor, to send to: logs to a data collection endpoint, telemetry to Application Insights.
//!
//! Paths and shapes: "Logs Ingestion API in Azure Monitor" and Application Insights' `track` endpoint. What comes is
//! counted where it can be read; packed bodies are taken as they are.

use super::{
    answers::{Answer, as_json, empty, refuse},
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Value, json};

const ROUTES: &[Route] = &[
    on("POST", "/dataCollectionRules/{}/streams/{}", ingest),
    on("POST", "/v2.1/track", track),
    on("POST", "/v2/track", track),
];

/// A data collection endpoint and an ingestion endpoint of Application Insights in one.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard,
    missing: |_| refuse(StatusCode::NOT_FOUND, "NotFound", "the mock knows no such path"),
};

/// Telemetry names its resource in the body; logs come with a token.
fn guard(call: &Call<'_>) -> Option<Answer> {
    let open = call.asked.uri.path().ends_with("/track") || call.has_any(&["authorization"]);
    (!open).then(|| {
        refuse(
            StatusCode::UNAUTHORIZED,
            "AuthenticationFailed",
            "Authentication failed",
        )
    })
}

/// Records in a body; `None` if there are none. A packed body counts as one.
fn records(call: &Call<'_>) -> Option<usize> {
    if call.header("content-encoding") == Some("gzip") {
        return call.body().starts_with(&[0x1f, 0x8b]).then_some(1);
    }
    if let Some(Value::Array(list)) = call.json() {
        return Some(list.len());
    }
    let lines = std::str::from_utf8(call.body())
        .ok()?
        .lines()
        .filter(|line| !line.trim().is_empty());
    let lines: Vec<_> = lines.collect();
    let all = lines.iter().all(|line| serde_json::from_str::<Value>(line).is_ok());
    (all && !lines.is_empty()).then_some(lines.len())
}

fn ingest(call: &Call<'_>) -> Answer {
    match records(call) {
        Some(_) => empty(StatusCode::NO_CONTENT),
        None => refuse(
            StatusCode::BAD_REQUEST,
            "InvalidPayload",
            "The body is no list of records.",
        ),
    }
}

fn track(call: &Call<'_>) -> Answer {
    let (status, count) = records(call).map_or((StatusCode::BAD_REQUEST, 0), |count| (StatusCode::OK, count));
    as_json(
        status,
        &json!({"itemsReceived": count, "itemsAccepted": count, "appId": null, "errors": []}),
    )
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    const LOGS: &str = "/dataCollectionRules/dcr-1/streams/Custom-Lab_CL?api-version=2023-01-01";

    #[test]
    fn logs_come_with_a_token_and_are_records() {
        assert_eq!(Ask::to("monitor").post(LOGS, "[]").status(), 401);
        let mut ask = Ask::to("monitor").header("authorization", "Bearer t");
        for (body, status) in [(r#"[{"a": 1}]"#, 204), ("", 400), ("{", 400)] {
            assert_eq!(ask.post(LOGS, body).status(), status, "{body}");
        }
        ask.set("content-encoding", "gzip");
        assert_eq!(ask.post(LOGS, r#"[{"a": 1}]"#).status(), 400, "that is not packed");
    }

    #[test]
    fn telemetry_is_counted() {
        let mut ask = Ask::to("monitor");
        for (body, count) in [
            (r#"[{"a": 1}, {"b": 2}]"#, 2),
            ("{\"a\": 1}\n{\"b\": 2}\n", 2),
            (r#"{"a": 1}"#, 1),
        ] {
            assert_eq!(ask.post("/v2.1/track", body).json()["itemsAccepted"], count, "{body}");
        }
        assert_eq!(ask.post("/v2/track", "no").status(), 400);
    }
}
