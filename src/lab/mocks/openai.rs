//! Azure OpenAI's chat completions, whole and streamed, as deep as the `openai` SDKs need.
//!
//! Paths and shapes: "Azure OpenAI REST API reference" (deployments path with `api-version`, `/openai/v1` without) and
//! OpenAI's API reference (`chat.completion`, `chat.completion.chunk`, `data: [DONE]`).

use super::{Answer, Asked, Said, as_json, said};
use hyper::{Method, StatusCode, body::Bytes};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Time between two events of a stream: long enough that a client sees that they come one by one.
const PACE: Duration = Duration::from_millis(5);

/// What the mock always says.
const WORDS: [&str; 5] = ["Hello ", "from ", "the ", "egret ", "lab."];

/// The answer of an Azure OpenAI resource.
pub fn answer(asked: &Asked) -> Answer {
    let path: Vec<&str> = asked.uri.path().split('/').filter(|p| !p.is_empty()).collect();
    match (&asked.method, path.as_slice()) {
        (&Method::POST, ["openai", "deployments", deployment, "chat", "completions"]) => {
            if asked.query("api-version").is_none() {
                return refuse(StatusCode::NOT_FOUND, "404", "Resource not found");
            }
            chat(asked, deployment)
        }
        (&Method::POST, ["openai", "v1", "chat", "completions"] | ["v1", "chat", "completions"]) => chat(asked, ""),
        (&Method::GET, ["openai", "models"] | ["openai", "v1", "models"] | ["v1", "models"]) => {
            let model = json!({"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"});
            as_json(StatusCode::OK, &json!({"object": "list", "data": [model]}))
        }
        _ => refuse(StatusCode::NOT_FOUND, "404", "Resource not found"),
    }
}

fn chat(asked: &Asked, deployment: &str) -> Answer {
    if !["api-key", "authorization"]
        .iter()
        .any(|h| asked.headers.contains_key(*h))
    {
        let text = "Access denied due to missing credentials: send api-key or a bearer token.";
        return refuse(StatusCode::UNAUTHORIZED, "401", text);
    }
    let Ok(body) = serde_json::from_slice::<Value>(&asked.body) else {
        return refuse(StatusCode::BAD_REQUEST, "400", "The body is not JSON.");
    };
    if !body["messages"].is_array() {
        return refuse(StatusCode::BAD_REQUEST, "400", "'messages' is a required property");
    }
    let model = body["model"]
        .as_str()
        .unwrap_or(if deployment.is_empty() { "gpt-4o" } else { deployment });
    if body["stream"].as_bool() == Some(true) {
        let usage = body["stream_options"]["include_usage"].as_bool() == Some(true);
        return stream(model, usage);
    }
    let message = json!({"role": "assistant", "content": WORDS.concat(), "refusal": null});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop", "logprobs": null});
    let mut completion = envelope("chat.completion", model, choice);
    completion["usage"] = usage_of();
    as_json(StatusCode::OK, &completion)
}

/// Server-sent events, one a word, then the usage if asked for, then `[DONE]`.
fn stream(model: &str, usage: bool) -> Answer {
    let mut events: Vec<Value> = vec![chunk(model, json!({"role": "assistant", "content": ""}), None)];
    events.extend(WORDS.iter().map(|word| chunk(model, json!({"content": word}), None)));
    events.push(chunk(model, json!({}), Some("stop")));
    if usage {
        let mut last = envelope("chat.completion.chunk", model, json!(null));
        last["choices"] = json!([]);
        last["usage"] = usage_of();
        events.push(last);
    }
    let (pieces, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let lines = events
            .iter()
            .map(|e| format!("data: {e}\n\n"))
            .chain(["data: [DONE]\n\n".to_owned()]);
        for line in lines {
            if pieces.send(Bytes::from(line)).await.is_err() {
                return; // the client is gone
            }
            tokio::time::sleep(PACE).await;
        }
    });
    said(StatusCode::OK, "text/event-stream", Said::Pieces(receiver))
}

fn chunk(model: &str, delta: Value, finish: Option<&str>) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish, "logprobs": null});
    envelope("chat.completion.chunk", model, choice)
}

fn envelope(object: &str, model: &str, choice: Value) -> Value {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    json!({
        "id": "chatcmpl-egret-lab", "object": object, "created": created, "model": model,
        "choices": [choice], "system_fingerprint": "fp_egret_lab",
    })
}

fn usage_of() -> Value {
    json!({"prompt_tokens": 9, "completion_tokens": WORDS.len(), "total_tokens": 9 + WORDS.len()})
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Answer {
    as_json(status, &json!({"error": {"code": code, "message": message}}))
}
