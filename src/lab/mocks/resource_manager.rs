//! Azure Resource Manager, to read: subscriptions, resource groups, resources.
//!
//! Paths and shapes: "Azure Resource Manager REST API reference".

use super::{
    answers::{Answer, ok, refuse, with},
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Value, json};

/// The one subscription that is listed; any other is there too when it is asked for.
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-0000000000a1";

const ROUTES: &[Route] = &[
    on("GET", "/subscriptions", |_| {
        ok(&json!({"value": [subscription_of(SUBSCRIPTION)]}))
    }),
    on("GET", "/tenants", tenants),
    on("GET", "/subscriptions/{}", |call| ok(&subscription_of(call.part(0)))),
    on("GET", "/subscriptions/{}/resourcegroups", groups),
    on("GET", "/subscriptions/{}/resourceGroups", groups),
    on("GET", "/subscriptions/{}/resourcegroups/{}", group),
    on("GET", "/subscriptions/{}/resourceGroups/{}", group),
    on("GET", "/subscriptions/{}/resources", resources),
    on("GET", "/subscriptions/{}/resourcegroups/{}/resources", resources),
    on("GET", "/subscriptions/{}/resourceGroups/{}/resources", resources),
];

/// The management endpoint.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard,
    missing: |_| refuse(StatusCode::NOT_FOUND, "ResourceNotFound", "the mock knows no such path"),
};

fn guard(call: &Call<'_>) -> Option<Answer> {
    (!call.has_any(&["authorization"])).then(|| {
        let text = "Authentication failed. The 'Authorization' header is missing.";
        let refusal = refuse(StatusCode::UNAUTHORIZED, "AuthenticationFailed", text);
        let challenge =
            "Bearer authorization_uri=\"https://login.microsoftonline.com/common\", error=\"invalid_token\"";
        with(refusal, "www-authenticate", challenge)
    })
}

fn subscription_of(id: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{id}"), "subscriptionId": id, "displayName": "egret lab", "state": "Enabled",
        "tenantId": "00000000-0000-0000-0000-00000000c0de", "authorizationSource": "RoleBased",
        "subscriptionPolicies": {"locationPlacementId": "Public_2014-09-01", "quotaId": "Lab_1", "spendingLimit": "Off"},
    })
}

fn tenants(_: &Call<'_>) -> Answer {
    ok(
        &json!({"value": [{"id": "/tenants/00000000-0000-0000-0000-00000000c0de",
        "tenantId": "00000000-0000-0000-0000-00000000c0de", "displayName": "egret lab"}]}),
    )
}

fn group_of(subscription: &str, name: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{subscription}/resourceGroups/{name}"), "name": name,
        "type": "Microsoft.Resources/resourceGroups", "location": "westeurope",
        "properties": {"provisioningState": "Succeeded"},
    })
}

fn groups(call: &Call<'_>) -> Answer {
    ok(&json!({"value": [group_of(call.part(0), "rg-lab")]}))
}

fn group(call: &Call<'_>) -> Answer {
    ok(&group_of(call.part(0), call.part(1)))
}

/// One resource of each kind that a landing zone for AI has.
fn resources(call: &Call<'_>) -> Answer {
    let group = Some(call.part(1)).filter(|name| !name.is_empty()).unwrap_or("rg-lab");
    let kinds = [
        ("contoso-ai", "Microsoft.CognitiveServices/accounts"),
        ("contoso-search", "Microsoft.Search/searchServices"),
        ("contosodata", "Microsoft.Storage/storageAccounts"),
        ("contoso-kv", "Microsoft.KeyVault/vaults"),
    ];
    let all = kinds.map(|(name, kind)| {
        let id = format!(
            "/subscriptions/{}/resourceGroups/{group}/providers/{kind}/{name}",
            call.part(0)
        );
        json!({"id": id, "name": name, "type": kind, "location": "westeurope"})
    });
    ok(&json!({"value": all}))
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    #[test]
    fn what_there_is_is_listed_for_who_has_a_token() {
        let refused = Ask::to("resource-manager").get("/subscriptions");
        assert!(refused.status() == 401 && refused.header("www-authenticate").starts_with("Bearer "));
        let mut ask = Ask::to("resource-manager").header("authorization", "Bearer t");
        assert_eq!(
            ask.get("/subscriptions?api-version=2022-12-01").json()["value"][0]["state"],
            "Enabled"
        );
        for (path, kind) in [
            ("/subscriptions/s/resourcegroups", "Microsoft.Resources/resourceGroups"),
            ("/subscriptions/s/resources", "Microsoft.CognitiveServices/accounts"),
            (
                "/subscriptions/s/resourceGroups/g/resources",
                "Microsoft.CognitiveServices/accounts",
            ),
        ] {
            assert_eq!(ask.get(path).json()["value"][0]["type"], kind, "{path}");
        }
        assert_eq!(ask.get("/providers/x").status(), 404);
    }
}
