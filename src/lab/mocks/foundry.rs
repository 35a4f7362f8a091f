//! Azure AI Foundry: model inference at `<resource>.services.ai.azure.com`, and what Azure OpenAI, Content Safety, Document
//! Intelligence and Speech serve there; a project's deployments, and its models by the paths of Azure OpenAI.
//!
//! Paths and shapes: "Azure AI Model Inference REST API" and what `azure-ai-inference` sends, whose endpoint is either
//! the resource with `/models` or a deployment of its own at the root.

use super::{
    ai_services::{DOCUMENTS, SAFETY, SPEECH},
    answers::{Answer, ok},
    openai,
    route::{Call, Route, Service, on},
};
use serde_json::json;

const ROUTES: &[Route] = &[
    on("POST", "/models/chat/completions", openai::chat),
    on("POST", "/chat/completions", openai::chat),
    on("POST", "/models/embeddings", openai::embeddings),
    on("POST", "/embeddings", openai::embeddings),
    on("GET", "/models/info", info),
    on("GET", "/info", info),
    on("GET", "/api/projects/{}/deployments", deployments),
    on("GET", "/api/projects/{}/connections", connections),
    on("POST", "/api/projects/{}/{*}", project),
    on("GET", "/api/projects/{}/{*}", project),
];

/// A Foundry resource.
pub static SERVICE: Service = Service {
    routes: &[ROUTES, openai::ROUTES, SAFETY, DOCUMENTS, SPEECH],
    guard: openai::guard,
    missing: openai::missing,
};

fn info(_: &Call<'_>) -> Answer {
    ok(&json!({"model_name": "gpt-4o", "model_type": "chat-completion", "model_provider_name": "egret lab"}))
}

/// A project asks the models by the paths of Azure OpenAI.
fn project(call: &Call<'_>) -> Answer {
    openai::behind(call, &[&format!("/{}", call.part(1))]).unwrap_or_else(|| openai::missing(call))
}

fn deployments(_: &Call<'_>) -> Answer {
    ok(&json!({"value": [{
        "name": "gpt-4o", "type": "ModelDeployment", "modelName": "gpt-4o", "modelVersion": "2024-11-20",
        "modelPublisher": "egret lab", "capabilities": {"chat_completion": "true"},
        "sku": {"name": "Standard", "capacity": 1, "family": "", "size": "", "tier": ""},
    }]}))
}

fn connections(_: &Call<'_>) -> Answer {
    ok(&json!({"value": []}))
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    #[test]
    fn models_are_asked_under_either_path_and_by_the_paths_of_openai() {
        let mut ask = Ask::to("foundry").header("api-key", "lab");
        let chat = r#"{"messages": [], "model": "phi"}"#;
        for path in [
            "/models/chat/completions?api-version=2024-05-01-preview",
            "/openai/v1/chat/completions",
        ] {
            let said = ask.post(path, chat).json();
            assert_eq!(
                (&said["model"], &said["usage"]["total_tokens"]),
                (&"phi".into(), &14.into()),
                "{path}"
            );
        }
        assert_eq!(
            ask.post("/models/embeddings", r#"{"input": ["a"]}"#).json()["id"],
            "egret-lab"
        );
        assert_eq!(ask.get("/models/info").json()["model_type"], "chat-completion");
        assert_eq!(Ask::to("foundry").get("/models/info").status(), 401);
        let said = ask
            .post(
                "/api/projects/lab/openai/v1/responses",
                r#"{"model": "m", "input": "hi"}"#,
            )
            .json();
        assert_eq!(said["output"][0]["content"][0]["text"], "Hello from the egret lab.");
        assert_eq!(
            ask.get("/api/projects/lab/deployments").json()["value"][0]["name"],
            "gpt-4o"
        );
        assert_eq!(ask.get("/api/projects/lab/other").status(), 404);
    }
}
