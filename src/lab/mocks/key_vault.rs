//! Key Vault: secrets, behind the challenge that tells a client where to get its token.
//!
//! Paths and shapes: "Azure Key Vault REST API reference", secrets. Clients compare the challenge's `resource` with the
//! host that they asked, so it names the vault's own domain.

use super::{
    answers::{Answer, empty, ok, refuse, with},
    digest::hex,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The tenant in the challenge.
const TENANT: &str = "00000000-0000-0000-0000-00000000c0de";

const ROUTES: &[Route] = &[
    on("PUT", "/secrets/{}", set),
    on("GET", "/secrets/{}", latest),
    on("GET", "/secrets/{}/{}", version),
    on("DELETE", "/secrets/{}", delete),
    on("GET", "/deletedsecrets/{}", deleted),
    on("GET", "/secrets", list),
];

/// A vault. It has one secret from the start, `lab-secret`.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard: challenge,
    missing: |_| refuse(StatusCode::NOT_FOUND, "NotFound", "the mock knows no such path"),
};

fn challenge(call: &Call<'_>) -> Option<Answer> {
    if call.header("authorization").is_some_and(|a| a.starts_with("Bearer ")) {
        return None;
    }
    let host = call.host();
    let domain = host.split_once('.').map_or(host.as_str(), |(_, domain)| domain);
    let answer = refuse(
        StatusCode::UNAUTHORIZED,
        "Unauthorized",
        "AKV10000: Request is missing a Bearer or PoP token.",
    );
    let challenge =
        format!("Bearer authorization=\"https://login.microsoftonline.com/{TENANT}\", resource=\"https://{domain}\"");
    Some(with(answer, "www-authenticate", challenge))
}

fn set(call: &Call<'_>) -> Answer {
    let body = call.json().unwrap_or_default();
    if !body["value"].is_string() {
        return refuse(StatusCode::BAD_REQUEST, "BadParameter", "Property 'value' is required");
    }
    let version = hex(&u128::from(call.kept.number()).to_be_bytes());
    let secret = secret(call, call.part(0), &version, &body);
    match call.kept.put(&key(call.part(0)), &secret) {
        true => ok(&secret),
        false => refuse(StatusCode::INSUFFICIENT_STORAGE, "Full", "the mock keeps no more"),
    }
}

fn latest(call: &Call<'_>) -> Answer {
    match current(call) {
        Some(secret) => ok(&secret),
        None => not_found(call),
    }
}

fn version(call: &Call<'_>) -> Answer {
    let found = current(call).filter(|s| s["id"].as_str().is_some_and(|id| id.ends_with(call.part(1))));
    found.map_or_else(|| not_found(call), |secret| ok(&secret))
}

fn delete(call: &Call<'_>) -> Answer {
    let Some(mut secret) = current(call) else {
        return not_found(call);
    };
    call.kept.forget(&key(call.part(0)));
    secret["recoveryId"] = json!(format!("https://{}/deletedsecrets/{}", call.host(), call.part(0)));
    let gone = call.kept.put(&format!("deleted/{}", call.part(0)), &secret);
    if gone {
        ok(&secret)
    } else {
        empty(StatusCode::NO_CONTENT)
    }
}

/// Clients poll it until the deletion is done; it is at once.
fn deleted(call: &Call<'_>) -> Answer {
    let found = call.kept.find(&format!("deleted/{}", call.part(0)));
    found.map_or_else(|| not_found(call), |secret| ok(&secret))
}

fn list(call: &Call<'_>) -> Answer {
    let secrets = call.kept.under("secret/").into_iter().map(|(name, secret)| {
        json!({
            "id": format!("https://{}/secrets/{name}", call.host()), "attributes": secret["attributes"],
        })
    });
    ok(&json!({"value": secrets.collect::<Vec<_>>(), "nextLink": null}))
}

fn key(name: &str) -> String {
    format!("secret/{name}")
}

fn current(call: &Call<'_>) -> Option<Value> {
    let kept = call.kept.find(&key(call.part(0)));
    kept.or_else(|| {
        let first = json!({"value": "a secret of the lab"});
        (call.part(0) == "lab-secret").then(|| secret(call, "lab-secret", &"0".repeat(32), &first))
    })
}

fn secret(call: &Call<'_>, name: &str, version: &str, given: &Value) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let mut secret = json!({
        "id": format!("https://{}/secrets/{name}/{version}", call.host()), "value": given["value"],
        "attributes": {
            "enabled": true, "created": now, "updated": now, "recoveryLevel": "Recoverable+Purgeable",
            "recoverableDays": 90,
        },
    });
    for optional in ["contentType", "tags"] {
        if !given[optional].is_null() {
            secret[optional] = given[optional].clone();
        }
    }
    secret
}

fn not_found(call: &Call<'_>) -> Answer {
    let text = format!(
        "A secret with (name/id) {} was not found in this key vault.",
        call.part(0)
    );
    refuse(StatusCode::NOT_FOUND, "SecretNotFound", &text)
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    #[test]
    fn the_challenge_names_the_domain_of_the_vault() {
        let mut ask = Ask::to("key-vault").header("host", "contoso-kv.vault.azure.net");
        let answer = ask.get("/secrets/lab-secret/?api-version=7.6");
        assert_eq!(answer.status(), 401);
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.ends_with("resource=\"https://vault.azure.net\""),
            "{challenge}"
        );
    }

    #[test]
    fn a_secret_is_set_read_listed_and_deleted() {
        let mut ask = Ask::to("key-vault").header("authorization", "Bearer t");
        assert_eq!(ask.get("/secrets/lab-secret/").json()["value"], "a secret of the lab");
        assert_eq!(ask.get("/secrets/db").status(), 404);
        assert_eq!(ask.put("/secrets/db", r#"{"no": 1}"#).status(), 400);
        let set = ask.put("/secrets/db", r#"{"value": "p", "tags": {"a": "b"}}"#).json();
        assert_eq!((&set["value"], &set["tags"]["a"]), (&"p".into(), &"b".into()));
        assert_eq!(ask.get("/secrets/db").json()["id"], set["id"]);
        let version = set["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        assert_eq!(ask.get(&format!("/secrets/db/{version}")).json()["value"], "p");
        assert_eq!(ask.get("/secrets").json()["value"].as_array().unwrap().len(), 1);
        assert_eq!(ask.send("DELETE", "/secrets/db", "").status(), 200);
        assert_eq!(
            (ask.get("/secrets/db").status(), ask.get("/deletedsecrets/db").status()),
            (404, 200)
        );
    }
}
