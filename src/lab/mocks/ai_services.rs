//! Content Safety, Document Intelligence and the token service of Speech.
//!
//! Paths and shapes: "Azure AI Content Safety REST API", "Document Intelligence REST API 2024-11-30", "Speech to text
//! REST API for short audio" (`issueToken`).

use super::{
    answers::{Answer, empty, ok, refuse, text, with},
    entra::token_for,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Value, json};

/// What every document says.
const CONTENT: &str = "Hello from the egret lab.";

/// Content Safety's paths.
pub const SAFETY: &[Route] = &[
    on("POST", "/contentsafety/text:analyze", |call| safe(call, "text")),
    on("POST", "/contentsafety/image:analyze", |call| safe(call, "image")),
];

/// Document Intelligence's paths.
pub const DOCUMENTS: &[Route] = &[
    on("POST", "/documentintelligence/documentModels/{}:analyze", analyze),
    on(
        "GET",
        "/documentintelligence/documentModels/{}/analyzeResults/{}",
        result,
    ),
];

/// Speech's paths.
pub const SPEECH: &[Route] = &[
    on("POST", "/sts/v1.0/issueToken", issue),
    on("POST", "/sts/v1.0/issuetoken", issue),
];

/// A Content Safety resource.
pub static CONTENT_SAFETY: Service = service(&[SAFETY]);

/// A Document Intelligence resource.
pub static DOCUMENT_INTELLIGENCE: Service = service(&[DOCUMENTS]);

/// A Speech resource.
pub static SPEECH_TOKENS: Service = service(&[SPEECH]);

const fn service(routes: &'static [&'static [Route]]) -> Service {
    Service {
        routes,
        guard,
        missing: |_| refuse(StatusCode::NOT_FOUND, "404", "Resource not found"),
    }
}

fn guard(call: &Call<'_>) -> Option<Answer> {
    let known = call.has_any(&["ocp-apim-subscription-key", "authorization", "api-key"]);
    let message = "Access denied due to invalid subscription key or wrong API endpoint.";
    (!known).then(|| refuse(StatusCode::UNAUTHORIZED, "401", message))
}

fn safe(call: &Call<'_>, what: &str) -> Answer {
    if call.json().is_none_or(|body| body[what].is_null()) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "InvalidRequestBody",
            &format!("The '{what}' is missing."),
        );
    }
    let categories = ["Hate", "SelfHarm", "Sexual", "Violence"].map(|c| json!({"category": c, "severity": 0}));
    ok(&json!({"blocklistsMatch": [], "categoriesAnalysis": categories}))
}

/// Begins: where to ask for the result, and when.
fn analyze(call: &Call<'_>) -> Answer {
    if call.body().is_empty() {
        return refuse(StatusCode::BAD_REQUEST, "InvalidRequest", "The document is missing.");
    }
    let id = format!("{:08}-0000-0000-0000-000000000000", call.kept.number());
    if !call.kept.put(&format!("operation/{id}"), &json!(0)) {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "429", "the mock keeps no more");
    }
    let version = call.query("api-version").unwrap_or_else(|| "2024-11-30".to_owned());
    let at = format!(
        "https://{}/documentintelligence/documentModels/{}/analyzeResults/{id}?api-version={version}",
        call.host(),
        call.part(0)
    );
    with(later(empty(StatusCode::ACCEPTED)), "operation-location", at)
}

/// Asked the first time it runs, then it is done.
fn result(call: &Call<'_>) -> Answer {
    let key = format!("operation/{}", call.part(1));
    let Some(asked) = call.kept.find(&key) else {
        return refuse(StatusCode::NOT_FOUND, "NotFound", "Resource not found.");
    };
    let times = json!({"createdDateTime": "2025-01-01T00:00:00Z", "lastUpdatedDateTime": "2025-01-01T00:00:01Z"});
    let state = |name: &str| {
        let mut state = times.clone();
        state["status"] = json!(name);
        state
    };
    if asked == 0 && call.kept.put(&key, &json!(1)) {
        return later(ok(&state("running")));
    }
    let mut done = state("succeeded");
    done["analyzeResult"] = analyzed(call.part(0));
    ok(&done)
}

fn analyzed(model: &str) -> Value {
    let all = json!([{"offset": 0, "length": CONTENT.len()}]);
    json!({
        "apiVersion": "2024-11-30", "modelId": model, "stringIndexType": "textElements", "content": CONTENT,
        "contentFormat": "text",
        "pages": [{
            "pageNumber": 1, "angle": 0, "width": 8.5, "height": 11, "unit": "inch", "spans": all,
            "words": [], "lines": [{"content": CONTENT, "polygon": [1, 1, 4, 1, 4, 2, 1, 2], "spans": all}],
        }],
        "paragraphs": [{"content": CONTENT, "spans": all}], "tables": [], "styles": [],
    })
}

fn later(answer: Answer) -> Answer {
    with(answer, "retry-after", "1")
}

fn issue(call: &Call<'_>) -> Answer {
    text(StatusCode::OK, token_for(&call.host()))
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    const KEY: &str = "ocp-apim-subscription-key";

    #[test]
    fn a_text_is_analysed() {
        let path = "/contentsafety/text:analyze?api-version=2024-09-01";
        assert_eq!(Ask::to("content-safety").post(path, r#"{"text": "x"}"#).status(), 401);
        let mut ask = Ask::to("content-safety").header(KEY, "lab");
        assert_eq!(
            ask.post(path, r#"{"text": "x"}"#).json()["categoriesAnalysis"][3]["severity"],
            0
        );
        assert_eq!((ask.post(path, "{}").status(), ask.post(path, "").status()), (400, 400));
        assert_eq!(ask.post("/sts/v1.0/issueToken", "").status(), 404, "another service");
    }

    #[test]
    fn a_document_is_analysed_while_the_client_waits() {
        let mut ask = Ask::to("document-intelligence")
            .header(KEY, "lab")
            .header("host", "di.example");
        let path = "/documentintelligence/documentModels/prebuilt-read:analyze?api-version=2024-11-30";
        let begun = ask.post(path, r#"{"urlSource": "https://x.example/a.pdf"}"#);
        assert_eq!(begun.status(), 202);
        let at = begun
            .header("operation-location")
            .strip_prefix("https://di.example")
            .unwrap()
            .to_owned();
        assert_eq!(ask.get(&at).json()["status"], "running");
        let done = ask.get(&at).json();
        assert_eq!(
            (&done["status"], &done["analyzeResult"]["modelId"]),
            (&"succeeded".into(), &"prebuilt-read".into())
        );
        assert_eq!(ask.post(path, "").status(), 400);
        assert_eq!(
            ask.get("/documentintelligence/documentModels/m/analyzeResults/none")
                .status(),
            404
        );
    }

    #[test]
    fn a_token_is_three_parts() {
        let token = Ask::to("speech")
            .header(KEY, "lab")
            .post("/sts/v1.0/issueToken", "")
            .text();
        assert_eq!(token.split('.').count(), 3);
    }
}
