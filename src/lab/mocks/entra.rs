//! Entra ID as client credentials need it: OIDC discovery, instance discovery, the v2.0 token endpoint.
//!
//! Shapes: "Microsoft identity platform and the OAuth 2.0 client credentials flow" and the discovery documents that MSAL
//! asks for before it asks for a token.

use super::{Answer, Asked, as_json};
use hyper::{Method, StatusCode};
use serde_json::json;

const LOGIN: &str = "https://login.microsoftonline.com";

/// A token in the shape of one: three parts, none of them signed.
const TOKEN: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJhdWQiOiJlZ3JldC1sYWIifQ.bGFi";

/// The answer of Entra ID's login host.
pub fn answer(asked: &Asked) -> Answer {
    let path: Vec<&str> = asked.uri.path().split('/').filter(|p| !p.is_empty()).collect();
    match (&asked.method, path.as_slice()) {
        (&Method::POST, [_, "oauth2", "v2.0", "token"]) => token(asked),
        (&Method::GET, [tenant, "v2.0", ".well-known", "openid-configuration"]) => discovery(tenant),
        (&Method::GET, [_, "discovery", "instance"]) => instances(asked),
        _ => refuse(StatusCode::NOT_FOUND, "not_found", "the mock knows no such path"),
    }
}

fn token(asked: &Asked) -> Answer {
    let form = String::from_utf8_lossy(&asked.body);
    let field = |name: &str| {
        form.split('&')
            .filter_map(|p| p.split_once('='))
            .any(|(n, v)| n == name && !v.is_empty())
    };
    if !field("grant_type") || !field("client_id") {
        let text = "AADSTS900144: The request body must contain grant_type and client_id.";
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", text);
    }
    let token = json!({
        "token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": TOKEN,
    });
    as_json(StatusCode::OK, &token)
}

fn discovery(tenant: &str) -> Answer {
    let document = json!({
        "issuer": format!("{LOGIN}/{tenant}/v2.0"),
        "authorization_endpoint": format!("{LOGIN}/{tenant}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{LOGIN}/{tenant}/oauth2/v2.0/token"),
        "jwks_uri": format!("{LOGIN}/{tenant}/discovery/v2.0/keys"),
        "device_authorization_endpoint": format!("{LOGIN}/{tenant}/oauth2/v2.0/devicecode"),
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "cloud_instance_name": "microsoftonline.com",
    });
    as_json(StatusCode::OK, &document)
}

fn instances(asked: &Asked) -> Answer {
    let tenant = asked
        .query("authorization_endpoint")
        .and_then(|e| e.split("%2F").nth(3))
        .unwrap_or("common");
    let document = json!({
        "tenant_discovery_endpoint": format!("{LOGIN}/{tenant}/v2.0/.well-known/openid-configuration"),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": "login.microsoftonline.com",
            "preferred_cache": "login.windows.net",
            "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
        }],
    });
    as_json(StatusCode::OK, &document)
}

fn refuse(status: StatusCode, error: &str, text: &str) -> Answer {
    as_json(status, &json!({"error": error, "error_description": text}))
}
