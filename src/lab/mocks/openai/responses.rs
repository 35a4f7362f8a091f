//! Responses, whole and streamed. Shapes: OpenAI's API reference, `response` and its server-sent events.

use super::{WORDS, bad, model, now};
use crate::lab::mocks::{
    answers::{Answer, events, ok},
    route::Call,
};
use serde_json::{Value, json};

/// The one message of a response.
const MESSAGE: &str = "msg_egret_lab";

pub(super) fn create(call: &Call<'_>) -> Answer {
    let Some(body) = call.json().filter(|body| !body["input"].is_null()) else {
        return bad("'input' is a required property");
    };
    let done = response(
        model(call, &body),
        "completed",
        json!([message("completed", &WORDS.concat())]),
    );
    match body["stream"].as_bool() {
        Some(true) => events(numbered(stream(model(call, &body), done))),
        _ => ok(&done),
    }
}

/// The events of a response, in order.
fn stream(model: &str, done: Value) -> Vec<Value> {
    let started = response(model, "in_progress", json!([]));
    let place = json!({"item_id": MESSAGE, "output_index": 0, "content_index": 0});
    let at = |kind: &str, more: Value| merged(json!({"type": kind}), [&place, &more]);
    let mut all = vec![
        json!({"type": "response.created", "response": started}),
        json!({"type": "response.in_progress", "response": started}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": message("in_progress", "")}),
        at("response.content_part.added", json!({"part": part("")})),
    ];
    let deltas = WORDS
        .iter()
        .map(|word| at("response.output_text.delta", json!({"delta": word, "logprobs": []})));
    all.extend(deltas);
    let whole = WORDS.concat();
    all.extend([
        at("response.output_text.done", json!({"text": whole, "logprobs": []})),
        at("response.content_part.done", json!({"part": part(&whole)})),
        json!({"type": "response.output_item.done", "output_index": 0, "item": message("completed", &whole)}),
        json!({"type": "response.completed", "response": done}),
    ]);
    all
}

fn numbered(all: Vec<Value>) -> Vec<String> {
    let numbered = all.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or_default()
        )
    });
    numbered.collect()
}

/// An object with the keys of others; what is no object counts as an empty one.
pub(super) fn merged<'a>(base: Value, others: impl IntoIterator<Item = &'a Value>) -> Value {
    let mut base = if base.is_object() { base } else { json!({}) };
    for (key, value) in others.into_iter().filter_map(Value::as_object).flatten() {
        base[key] = value.clone();
    }
    base
}

fn response(model: &str, status: &str, output: Value) -> Value {
    let tokens = WORDS.len();
    json!({
        "id": "resp_egret_lab", "object": "response", "created_at": now(), "status": status, "model": model,
        "output": output, "parallel_tool_calls": true, "tool_choice": "auto", "tools": [], "error": null,
        "incomplete_details": null, "instructions": null, "metadata": {},
        "usage": {
            "input_tokens": 9, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": tokens, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 9 + tokens,
        },
    })
}

fn message(status: &str, text: &str) -> Value {
    let content = if text.is_empty() {
        json!([])
    } else {
        json!([part(text)])
    };
    json!({"id": MESSAGE, "type": "message", "role": "assistant", "status": status, "content": content})
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

#[cfg(test)]
mod tests {
    use super::super::super::ask::Ask;

    #[tokio::test]
    async fn a_response_is_said_at_once_or_word_by_word() {
        let mut ask = Ask::to("openai").header("api-key", "lab");
        for path in [
            "/openai/v1/responses",
            "/openai/responses?api-version=2025-03-01-preview",
        ] {
            let said = ask.post(path, r#"{"model": "m", "input": "hi"}"#).json();
            assert_eq!(said["output"][0]["content"][0]["text"], "Hello from the egret lab.");
        }
        assert_eq!(ask.post("/openai/v1/responses", "{}").status(), 400);
        let said = ask.post("/openai/v1/responses", r#"{"input": "hi", "stream": true}"#);
        let pieces = said.stream().await;
        assert_eq!(pieces.len(), 13);
        assert!(pieces[0].starts_with("event: response.created\n"));
        assert!(pieces[12].contains("response.completed") && pieces[12].contains("\"sequence_number\":12"));
    }
}
