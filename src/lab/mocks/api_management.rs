//! API Management in front of Azure OpenAI: the subscription's key at the gateway, the answers of the model behind it.
//!
//! Shapes: "Subscriptions in Azure API Management" (header `Ocp-Apim-Subscription-Key`, or `api-key` where an API was
//! imported from Azure OpenAI). The API may have a path prefix, with or without `/openai` behind it.

use super::{
    answers::{Answer, as_json, with},
    openai,
    route::{Call, Service},
};
use hyper::StatusCode;
use serde_json::json;

/// A gateway.
pub static SERVICE: Service = Service {
    routes: &[],
    guard,
    missing: forward,
};

fn guard(call: &Call<'_>) -> Option<Answer> {
    let known = call.has_any(&["ocp-apim-subscription-key", "api-key"]) || call.query("subscription-key").is_some();
    (!known).then(|| {
        let text = "Access denied due to missing subscription key. Include a subscription key in the request.";
        let refusal = as_json(StatusCode::UNAUTHORIZED, &json!({"statusCode": 401, "message": text}));
        let realm = format!(
            "AzureApiManagementKey realm=\"https://{}/\",name=\"api-key\",type=\"header\"",
            call.host()
        );
        marked(with(refusal, "www-authenticate", realm))
    })
}

fn forward(call: &Call<'_>) -> Answer {
    let path = call.asked.uri.path();
    let behind = path
        .trim_start_matches('/')
        .split_once('/')
        .map_or("", |(_, rest)| rest);
    let answer = openai::behind(call, &[path, &format!("/{behind}"), &format!("/openai/{behind}")]);
    let missing = || {
        as_json(
            StatusCode::NOT_FOUND,
            &json!({"statusCode": 404, "message": "Resource not found"}),
        )
    };
    marked(answer.unwrap_or_else(missing))
}

fn marked(answer: Answer) -> Answer {
    let answer = with(answer, "apim-request-id", "00000000-0000-0000-0000-00000000a915");
    with(
        with(answer, "x-ms-region", "West Europe"),
        "request-context",
        "appId=cid-v1:egret-lab",
    )
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    #[test]
    fn a_subscription_is_needed_and_the_prefix_is_the_gateways() {
        let body = r#"{"messages": []}"#;
        let refused = Ask::to("api-management").post("/openai/v1/chat/completions", body);
        assert_eq!(refused.status(), 401);
        assert!(refused.header("www-authenticate").starts_with("AzureApiManagementKey"));
        let mut ask = Ask::to("api-management").header("ocp-apim-subscription-key", "lab");
        for path in [
            "/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            "/ai/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            "/ai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
            "/ai/v1/chat/completions",
        ] {
            let said = ask.post(path, body);
            assert!(!said.header("apim-request-id").is_empty());
            assert_eq!(
                said.json()["choices"][0]["message"]["content"],
                "Hello from the egret lab.",
                "{path}"
            );
        }
        assert_eq!(ask.post("/", body).status(), 404);
        assert_eq!(ask.get("/ai/other").status(), 404);
    }
}
