//! Entra ID as client credentials need it: discovery of OIDC and of the instance, keys, the token endpoint.
//!
//! Shapes: "Microsoft identity platform and the OAuth 2.0 client credentials flow" and the discovery documents that MSAL
//! asks for before it asks for a token. The documents name the login host that was asked.

use super::{
    answers::{Answer, as_json, ok},
    digest::base64url,
    open,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long a token is good, in seconds.
const LIFETIME: u64 = 3600;

const ROUTES: &[Route] = &[
    on("POST", "/{}/oauth2/v2.0/token", token),
    on("POST", "/{}/oauth2/token", token),
    on("GET", "/{}/v2.0/.well-known/openid-configuration", discovery),
    on("GET", "/{}/.well-known/openid-configuration", discovery),
    on("GET", "/common/discovery/instance", instances),
    on("GET", "/{}/discovery/v2.0/keys", keys),
    on("GET", "/{}/discovery/keys", keys),
];

/// A login host.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard: open,
    missing,
};

fn token(call: &Call<'_>) -> Answer {
    let given = |name: &str| call.form(name).is_some_and(|value| !value.is_empty());
    if !given("grant_type") || !given("client_id") {
        let text = "AADSTS900144: The request body must contain grant_type and client_id.";
        return refuse(StatusCode::BAD_REQUEST, "invalid_request", text);
    }
    if !given("client_secret") && !given("client_assertion") && !given("refresh_token") {
        let text = "AADSTS7000218: The request body must contain client_assertion or client_secret.";
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client", text);
    }
    let audience = call.form("scope").or_else(|| call.form("resource")).unwrap_or_default();
    ok(&json!({
        "token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME,
        "access_token": token_for(audience.trim_end_matches("/.default")),
    }))
}

/// A token in the shape of one: it names its audience and its end, and nobody has signed it.
pub fn token_for(audience: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let header = json!({"alg": "none", "typ": "JWT"});
    let claims = json!({"aud": audience, "iss": "egret-lab", "iat": now, "nbf": now, "exp": now + LIFETIME});
    let part = |value: &serde_json::Value| base64url(value.to_string().as_bytes());
    format!("{}.{}.{}", part(&header), part(&claims), base64url(b"nobody"))
}

fn discovery(call: &Call<'_>) -> Answer {
    let login = format!("https://{}/{}", call.host(), call.part(0));
    ok(&json!({
        "issuer": format!("{login}/v2.0"),
        "authorization_endpoint": format!("{login}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{login}/oauth2/v2.0/token"),
        "jwks_uri": format!("{login}/discovery/v2.0/keys"),
        "device_authorization_endpoint": format!("{login}/oauth2/v2.0/devicecode"),
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
        "response_types_supported": ["code", "id_token", "token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "cloud_instance_name": "microsoftonline.com",
    }))
}

fn instances(call: &Call<'_>) -> Answer {
    let endpoint = call.query("authorization_endpoint").unwrap_or_default();
    let tenant = endpoint.split('/').nth(3).filter(|t| !t.is_empty()).unwrap_or("common");
    ok(&json!({
        "tenant_discovery_endpoint":
            format!("https://{}/{tenant}/v2.0/.well-known/openid-configuration", call.host()),
        "api-version": "1.1",
        "metadata": [{
            "preferred_network": "login.microsoftonline.com",
            "preferred_cache": "login.windows.net",
            "aliases": ["login.microsoftonline.com", "login.windows.net", "login.microsoft.com", "sts.windows.net"],
        }],
    }))
}

/// A key set with one key: the lab signs nothing with it.
fn keys(_: &Call<'_>) -> Answer {
    let modulus = base64url(&[0xc5; 256]);
    ok(&json!({"keys": [{"kty": "RSA", "use": "sig", "kid": "egret-lab", "n": modulus, "e": "AQAB"}]}))
}

fn missing(_: &Call<'_>) -> Answer {
    refuse(StatusCode::NOT_FOUND, "not_found", "the mock knows no such path")
}

fn refuse(status: StatusCode, error: &str, text: &str) -> Answer {
    as_json(status, &json!({"error": error, "error_description": text}))
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    const TOKEN: &str = "/tenant/oauth2/v2.0/token";

    #[test]
    fn a_token_needs_a_grant_a_client_and_its_secret() {
        for (form, status, why) in [
            (
                "grant_type=client_credentials&client_id=a&client_secret=s&scope=https%3A%2F%2Fvault.azure.net%2F.default",
                200,
                "all there",
            ),
            ("grant_type=client_credentials&client_id=a", 401, "no secret"),
            ("client_id=a&client_secret=s", 400, "no grant"),
            ("", 400, "nothing"),
            ("%%%=&&=", 400, "odd"),
        ] {
            assert_eq!(Ask::to("entra").post(TOKEN, form).status(), status, "{why}");
        }
    }

    #[test]
    fn discovery_names_the_host_that_was_asked() {
        for host in ["login.microsoftonline.com", "login.microsoft.com"] {
            let mut ask = Ask::to("entra").header("host", host);
            let found = ask.get("/contoso/v2.0/.well-known/openid-configuration").json();
            assert_eq!(
                found["token_endpoint"],
                format!("https://{host}/contoso/oauth2/v2.0/token")
            );
            let asked = "/common/discovery/instance?authorization_endpoint=https%3A%2F%2Fx%2Fcontoso%2Foauth2";
            let found = ask.get(asked).json();
            let next = format!("https://{host}/contoso/v2.0/.well-known/openid-configuration");
            assert_eq!(found["tenant_discovery_endpoint"], next);
            assert_eq!(ask.get("/contoso/discovery/v2.0/keys").json()["keys"][0]["kty"], "RSA");
        }
    }
}
