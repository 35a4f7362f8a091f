//! Realtime: events over a WebSocket, text only.
//!
//! Shapes: OpenAI's API reference, "Realtime server events". Under `/openai/v1` the names are those of the general
//! release; `/openai/realtime`, which has an `api-version`, still says `response.text.delta` and `conversation.item.created`.

use super::{WORDS, responses::merged};
use crate::lab::mocks::{
    answers::Answer,
    route::Call,
    websocket::{self, Socket},
};
use serde_json::{Value, json};
use std::io;
use tokio::io::{AsyncRead, AsyncWrite};

/// A session.
pub(super) fn open(call: &Call<'_>) -> Answer {
    let model = call.query("model").or_else(|| call.query("deployment"));
    let model = model.unwrap_or_else(|| "gpt-realtime".to_owned());
    let released = call.asked.uri.path().starts_with("/openai/v1/");
    websocket::accept(call, move |socket| talk(socket, model, released))
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: Socket<S>,
    model: String,
    released: bool,
) -> io::Result<()> {
    let session = json!({
        "id": "sess_egret_lab", "object": "realtime.session", "type": "realtime", "model": model,
        "output_modalities": ["text"],
    });
    let mut sent = 0;
    let mut next = vec![json!({"type": "session.created", "session": session})];
    loop {
        for mut event in next {
            sent += 1;
            event["event_id"] = json!(format!("event_{sent}"));
            socket.say(&event.to_string()).await?;
        }
        let Some(message) = socket.message().await? else {
            return Ok(());
        };
        let asked = serde_json::from_slice(&message).unwrap_or_default();
        next = answers(&asked, &session, released);
    }
}

/// The events that follow one of the client's.
fn answers(asked: &Value, session: &Value, released: bool) -> Vec<Value> {
    match asked["type"].as_str().unwrap_or_default() {
        "session.update" => {
            let session = merged(session.clone(), [&asked["session"]]);
            vec![json!({"type": "session.updated", "session": session})]
        }
        "conversation.item.create" => {
            let item = merged(
                asked["item"].clone(),
                [&json!({"id": "item_user", "object": "realtime.item"})],
            );
            let kinds: &[&str] = match released {
                true => &["conversation.item.added", "conversation.item.done"],
                false => &["conversation.item.created"],
            };
            let event = |kind: &&str| json!({"type": kind, "previous_item_id": null, "item": item});
            kinds.iter().map(event).collect()
        }
        "response.create" => response(if released { "output_text" } else { "text" }),
        "input_audio_buffer.append" | "response.cancel" => Vec::new(),
        "input_audio_buffer.commit" => vec![json!({"type": "input_audio_buffer.committed", "item_id": "item_user"})],
        "input_audio_buffer.clear" => vec![json!({"type": "input_audio_buffer.cleared"})],
        other => {
            let message = format!("Invalid value: '{other}'.");
            let error =
                json!({"type": "invalid_request_error", "code": "invalid_value", "message": message, "param": "type"});
            vec![json!({"type": "error", "error": error})]
        }
    }
}

/// A response, word by word; `text` is what the service calls its text.
fn response(text: &str) -> Vec<Value> {
    let whole = WORDS.concat();
    let item = |status: &str, content: Value| {
        json!({
            "id": "item_egret_lab", "object": "realtime.item", "type": "message", "status": status,
            "role": "assistant", "content": content,
        })
    };
    let response = |status: &str, output: Value| {
        json!({
            "id": "resp_egret_lab", "object": "realtime.response", "status": status, "status_details": null,
            "output": output, "conversation_id": "conv_egret_lab", "output_modalities": ["text"],
            "usage": {"total_tokens": 9 + WORDS.len(), "input_tokens": 9, "output_tokens": WORDS.len()},
        })
    };
    let said = json!([{"type": text, "text": whole}]);
    let done = item("completed", said.clone());
    let place = json!({"response_id": "resp_egret_lab", "output_index": 0});
    let part = json!({"item_id": "item_egret_lab", "content_index": 0});
    let event = |kind: &str, more: Value| merged(json!({"type": kind}), [&place, &more]);
    let of_part = |kind: &str, more: Value| merged(event(kind, more), [&part]);
    let mut all = vec![
        json!({"type": "response.created", "response": response("in_progress", json!([]))}),
        event(
            "response.output_item.added",
            json!({"item": item("in_progress", json!([]))}),
        ),
        of_part(
            "response.content_part.added",
            json!({"part": {"type": "text", "text": ""}}),
        ),
    ];
    let delta = format!("response.{text}.delta");
    all.extend(WORDS.iter().map(|word| of_part(&delta, json!({"delta": word}))));
    all.extend([
        of_part(&format!("response.{text}.done"), json!({"text": whole})),
        of_part(
            "response.content_part.done",
            json!({"part": {"type": "text", "text": whole}}),
        ),
        event("response.output_item.done", json!({"item": done})),
        json!({"type": "response.done", "response": response("completed", json!([done]))}),
    ]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::mocks::ask::Ask;

    #[test]
    fn each_event_of_a_client_has_its_answers() {
        let session = json!({"id": "s", "model": "m"});
        for (asked, released, kinds, why) in [
            (
                json!({"type": "session.update", "session": {"model": "n"}}),
                true,
                &["session.updated"][..],
                "a change",
            ),
            (
                json!({"type": "conversation.item.create", "item": {"type": "message"}}),
                true,
                &["conversation.item.added", "conversation.item.done"],
                "an item",
            ),
            (
                json!({"type": "conversation.item.create"}),
                false,
                &["conversation.item.created"],
                "before the release",
            ),
            (
                json!({"type": "input_audio_buffer.append", "audio": ""}),
                true,
                &[],
                "audio is taken",
            ),
            (json!({"type": "odd"}), true, &["error"], "an unknown event"),
            (json!(7), true, &["error"], "no event"),
        ] {
            let answers = answers(&asked, &session, released);
            let found: Vec<&str> = answers.iter().map(|event| event["type"].as_str().unwrap()).collect();
            assert_eq!(found, kinds, "{why}");
        }
    }

    #[test]
    fn a_response_is_said_word_by_word_and_then_whole() {
        let all = response("output_text");
        let kind = |event: &Value| event["type"].as_str().unwrap().to_owned();
        let deltas = all.iter().filter(|event| kind(event) == "response.output_text.delta");
        let text: String = deltas
            .map(|event| event["delta"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(text, "Hello from the egret lab.");
        assert_eq!(
            (kind(&all[0]), kind(all.last().unwrap())),
            ("response.created".into(), "response.done".into())
        );
    }

    #[test]
    fn who_asks_without_an_upgrade_is_told_so() {
        let mut ask = Ask::to("openai").header("api-key", "lab");
        assert_eq!(ask.get("/openai/v1/realtime?model=m").status(), 426);
        assert_eq!(ask.get("/openai/realtime?deployment=m").status(), 404, "no version");
    }
}
