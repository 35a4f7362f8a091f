//! Azure OpenAI: chat, embeddings and responses, whole and streamed, and realtime, as deep as the `openai` SDKs need.
//!
//! Paths and shapes: "Azure OpenAI REST API reference" (deployments path with `api-version`, `/openai/v1` without) and
//! OpenAI's API reference (`chat.completion`, `chat.completion.chunk`, `data: [DONE]`).

mod realtime;
mod responses;

use super::{
    answers::{Answer, events, ok, refuse},
    digest::base64,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the mock always says.
pub(super) const WORDS: [&str; 5] = ["Hello ", "from ", "the ", "egret ", "lab."];

/// Numbers in an embedding: fewer than any model gives, enough to be one.
const DIMENSIONS: usize = 8;

/// Texts of one embedding request at most, as the service has it.
const MAX_TEXTS: usize = 2048;

/// What an Azure OpenAI resource answers; other services answer it too.
pub const ROUTES: &[Route] = &[
    on("POST", "/openai/deployments/{}/chat/completions", chat),
    on("POST", "/openai/v1/chat/completions", chat),
    on("POST", "/v1/chat/completions", chat),
    on("POST", "/openai/deployments/{}/embeddings", embeddings),
    on("POST", "/openai/v1/embeddings", embeddings),
    on("POST", "/v1/embeddings", embeddings),
    on("POST", "/openai/responses", responses::create),
    on("POST", "/openai/v1/responses", responses::create),
    on("POST", "/v1/responses", responses::create),
    on("GET", "/openai/realtime", realtime::open),
    on("GET", "/openai/v1/realtime", realtime::open),
    on("GET", "/openai/models", models),
    on("GET", "/openai/v1/models", models),
    on("GET", "/v1/models", models),
];

/// An Azure OpenAI resource.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard,
    missing,
};

/// A key or a token is needed, in a header or, for the WebSocket of a browser, in the query; and a version where the path
/// has none.
pub fn guard(call: &Call<'_>) -> Option<Answer> {
    let known = call.has_any(&["api-key", "authorization", "ocp-apim-subscription-key"]);
    if !known && call.query("api-key").is_none() {
        let text = "Access denied due to missing credentials: send api-key or a bearer token.";
        return Some(refuse(StatusCode::UNAUTHORIZED, "401", text));
    }
    let path = call.asked.uri.path();
    let dated = path.starts_with("/openai/") && !path.starts_with("/openai/v1/");
    (dated && call.query("api-version").is_none()).then(|| missing(call))
}

/// What a resource answers under the first of these paths that it knows: for services that stand in front of it.
pub fn behind(call: &Call<'_>, paths: &[&str]) -> Option<Answer> {
    let known = |path: &&str| SERVICE.find(&call.asked.method, path);
    let (route, taken) = paths.iter().find_map(known)?;
    Some((route.answer)(&Call { taken: &taken, ..*call }))
}

/// No such resource.
pub fn missing(_: &Call<'_>) -> Answer {
    refuse(StatusCode::NOT_FOUND, "404", "Resource not found")
}

fn bad(message: &str) -> Answer {
    refuse(StatusCode::BAD_REQUEST, "400", message)
}

/// The model of a request: as it says, as the deployment is called, or the lab's.
fn model<'a>(call: &'a Call<'_>, body: &'a Value) -> &'a str {
    let deployment = Some(call.part(0)).filter(|d| !d.is_empty());
    body["model"].as_str().or(deployment).unwrap_or("gpt-4o")
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn models(_: &Call<'_>) -> Answer {
    let model = json!({"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"});
    ok(&json!({"object": "list", "data": [model]}))
}

/// A chat completion.
pub fn chat(call: &Call<'_>) -> Answer {
    let Some(body) = call.json() else {
        return bad("The body is not JSON.");
    };
    if !body["messages"].is_array() {
        return bad("'messages' is a required property");
    }
    let model = model(call, &body);
    if body["stream"].as_bool() == Some(true) {
        return stream(model, body["stream_options"]["include_usage"].as_bool() == Some(true));
    }
    let message = json!({"role": "assistant", "content": WORDS.concat(), "refusal": null});
    let choice = json!({"index": 0, "message": message, "finish_reason": "stop", "logprobs": null});
    let mut completion = envelope("chat.completion", model, choice);
    completion["usage"] = usage_of();
    ok(&completion)
}

/// Server-sent events, one a word, then the usage if asked for, then `[DONE]`.
fn stream(model: &str, usage: bool) -> Answer {
    let mut chunks: Vec<Value> = vec![chunk(model, json!({"role": "assistant", "content": ""}), None)];
    chunks.extend(WORDS.iter().map(|word| chunk(model, json!({"content": word}), None)));
    chunks.push(chunk(model, json!({}), Some("stop")));
    if usage {
        let mut last = envelope("chat.completion.chunk", model, json!(null));
        last["choices"] = json!([]);
        last["usage"] = usage_of();
        chunks.push(last);
    }
    let lines = chunks.iter().map(|chunk| format!("data: {chunk}\n\n"));
    events(lines.chain(["data: [DONE]\n\n".to_owned()]).collect())
}

fn chunk(model: &str, delta: Value, finish: Option<&str>) -> Value {
    let choice = json!({"index": 0, "delta": delta, "finish_reason": finish, "logprobs": null});
    envelope("chat.completion.chunk", model, choice)
}

fn envelope(object: &str, model: &str, choice: Value) -> Value {
    json!({
        "id": "chatcmpl-egret-lab", "object": object, "created": now(), "model": model,
        "choices": [choice], "system_fingerprint": "fp_egret_lab",
    })
}

fn usage_of() -> Value {
    json!({"prompt_tokens": 9, "completion_tokens": WORDS.len(), "total_tokens": 9 + WORDS.len()})
}

/// An embedding for each text, as numbers or as the base64 of their bytes.
pub fn embeddings(call: &Call<'_>) -> Answer {
    let Some(body) = call.json() else {
        return bad("The body is not JSON.");
    };
    let texts = match &body["input"] {
        Value::String(_) => 1,
        Value::Array(texts) if (1..=MAX_TEXTS).contains(&texts.len()) => texts.len(),
        _ => return bad("'input' is a required property"),
    };
    let packed = body["encoding_format"] == "base64";
    let data: Vec<Value> = (0..texts)
        .map(|index| json!({"object": "embedding", "index": index, "embedding": embedding(index, packed)}))
        .collect();
    ok(&json!({
        "id": "egret-lab", "object": "list", "data": data, "model": model(call, &body),
        "usage": {"prompt_tokens": texts, "completion_tokens": 0, "total_tokens": texts},
    }))
}

/// A vector of length 1 along one axis.
fn embedding(index: usize, packed: bool) -> Value {
    let numbers: [f32; DIMENSIONS] = std::array::from_fn(|axis| if axis == index % DIMENSIONS { 1.0 } else { 0.0 });
    if packed {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        return json!(base64(&bytes));
    }
    json!(numbers)
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    const CHAT: &str = "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21";

    #[test]
    fn a_chat_needs_a_key_a_version_and_messages() {
        let body = r#"{"messages": [{"role": "user", "content": "hello"}]}"#;
        assert_eq!(Ask::to("openai").post(CHAT, body).status(), 401);
        let mut ask = Ask::to("openai").header("api-key", "lab");
        for (path, body, status, why) in [
            (CHAT, body, 200, "all there"),
            ("/openai/v1/chat/completions", body, 200, "the path without a version"),
            ("/openai/deployments/gpt-4o/chat/completions", body, 404, "no version"),
            (
                "/openai/deployments/gpt-4o/images?api-version=1",
                body,
                404,
                "no such operation",
            ),
            (CHAT, "{}", 400, "no messages"),
            (CHAT, "{", 400, "no JSON"),
        ] {
            assert_eq!(ask.post(path, body).status(), status, "{why}");
        }
        let said = ask.post(CHAT, body).json();
        assert_eq!(said["choices"][0]["message"]["content"], "Hello from the egret lab.");
        assert_eq!(said["model"], "gpt-4o");
    }

    #[tokio::test]
    async fn a_streamed_chat_comes_word_by_word() {
        let body = r#"{"messages": [], "stream": true, "stream_options": {"include_usage": true}}"#;
        let pieces = Ask::to("openai")
            .header("api-key", "lab")
            .post(CHAT, body)
            .stream()
            .await;
        assert_eq!(pieces.len(), 9, "role, five words, end, usage, done");
        assert!(pieces[7].contains("total_tokens") && pieces[8] == "data: [DONE]\n\n");
    }

    #[test]
    fn each_text_gets_an_embedding() {
        let mut ask = Ask::to("openai").header("authorization", "Bearer t");
        let path = "/openai/deployments/e/embeddings?api-version=2024-10-21";
        let said = ask.post(path, r#"{"input": ["a", "b"]}"#).json();
        assert_eq!(said["data"][1]["embedding"][1], 1.0);
        let said = ask.post(path, r#"{"input": "a", "encoding_format": "base64"}"#).json();
        assert!(said["data"][0]["embedding"].as_str().unwrap().starts_with("AACAPwAA"));
        for odd in [r#"{"input": []}"#, r#"{"input": 7}"#, "{}", "[]", ""] {
            assert_eq!(ask.post(path, odd).status(), 400, "{odd}");
        }
    }
}
