//! Azure Container Registry, to pull from: its challenge, tokens, manifests, and layers that lie elsewhere.
//!
//! Paths and shapes: "Docker Registry HTTP API V2", OCI's image and distribution specifications, "Azure Container
//! Registry REST API reference". Every repository holds one image, `latest` and `v1`. A blob is not sent but redirected to
//! the registry's data endpoint, `<registry>.westeurope.data.azurecr.io`: another host, which a firewall must know too.

use super::{
    answers::{Answer, Said, empty, ok, ranged, refuse, said, text, with},
    archive::{gzip, tar},
    digest::sha256,
    entra::token_for,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// Bytes of the one large file in the layer.
const FILLER: usize = 1024 * 1024;

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// When the image was made.
const MADE: &str = "2025-01-01T00:00:00.0000000Z";

const ROUTES: &[Route] = &[
    on("GET", "/v2", |_| ok(&json!({}))),
    on("GET", "/v2/_catalog", catalog),
    on("GET", "/acr/v1/_catalog", catalog),
    on("POST", "/oauth2/exchange", exchange),
    on("POST", "/oauth2/token", token),
    on("GET", "/oauth2/token", token),
    on("GET", "/v2/{*}/manifests/{}", manifest),
    on("GET", "/v2/{*}/blobs/{}", redirect),
    on("GET", "/v2/{*}/tags/list", tag_list),
    on("GET", "/acr/v1/{*}/_tags/{}", tag),
    on("GET", "/acr/v1/{*}/_tags", tags),
    on("GET", "/acr/v1/{*}/_manifests/{}", manifest_properties),
    on("GET", "/acr/v1/{*}/_manifests", manifests),
    on("GET", "/acr/v1/{*}", repository),
    on("GET", "/{}/docker/registry/v2/blobs/sha256/{}/{}/data", data),
];

/// A registry and its data endpoint.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard,
    missing: |_| unknown("NAME_UNKNOWN", "the mock knows no such path"),
};

/// The image: its layer, its configuration, its manifest.
struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let plain = tar(&[("hello.txt", b"Hello from the egret lab.\n"), ("filler", &vec![b'x'; FILLER])]);
        let layer = gzip(&plain);
        let config = json!({
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [named(&plain)]},
        });
        let config = config.to_string().into_bytes();
        let part = |kind: &str, bytes: &[u8]| {
            json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": named(bytes), "size": bytes.len()})
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": part("config.v1+json", &config),
            "layers": [part("layer.v1.tar+gzip", &layer)],
        });
        Image {
            layer,
            config,
            manifest: manifest.to_string().into_bytes(),
        }
    })
}

fn named(bytes: &[u8]) -> String {
    format!("sha256:{}", sha256(bytes))
}

fn blob(digest: &str) -> Option<&'static [u8]> {
    let image = image();
    [&image.layer, &image.config, &image.manifest]
        .into_iter()
        .find(|bytes| named(bytes) == digest)
        .map(Vec::as_slice)
}

fn guard(call: &Call<'_>) -> Option<Answer> {
    let path = call.asked.uri.path();
    let open = !path.starts_with("/v2") && !path.starts_with("/acr/");
    if open || call.has_any(&["authorization"]) {
        return None;
    }
    let host = call.host();
    let named = path.strip_prefix("/v2/");
    let scope = match named.and_then(|p| p.split_once("/manifests/").or(p.split_once("/blobs/"))) {
        Some((name, _)) => format!(",scope=\"repository:{name}:pull\""),
        None if path.ends_with("/_catalog") => ",scope=\"registry:catalog:*\"".to_owned(),
        None if call.part(0).is_empty() => String::new(),
        None => format!(",scope=\"repository:{}:metadata_read\"", call.part(0)),
    };
    let challenge = format!("Bearer realm=\"https://{host}/oauth2/token\",service=\"{host}\"{scope}");
    let refusal = failed(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "authentication required");
    Some(with(
        with(refusal, "www-authenticate", challenge),
        "docker-distribution-api-version",
        "registry/2.0",
    ))
}

fn failed(status: StatusCode, code: &str, message: &str) -> Answer {
    let body = json!({"errors": [{"code": code, "message": message}]});
    said(status, "application/json", Said::whole(body.to_string()))
}

fn unknown(code: &str, message: &str) -> Answer {
    failed(StatusCode::NOT_FOUND, code, message)
}

/// An Entra token for a refresh token of the registry.
fn exchange(call: &Call<'_>) -> Answer {
    let given = |name: &str| call.form(name).is_some_and(|value| !value.is_empty());
    match given("service") && (given("access_token") || given("refresh_token")) {
        true => ok(&json!({"refresh_token": token_for(&call.host())})),
        false => refuse(
            StatusCode::BAD_REQUEST,
            "BAD_REQUEST",
            "service and access_token are needed",
        ),
    }
}

/// A refresh token, or a name and password, or nobody, for an access token.
fn token(call: &Call<'_>) -> Answer {
    ok(&json!({"access_token": token_for(&call.host()), "token_type": "Bearer", "expires_in": 3600}))
}

fn catalog(_: &Call<'_>) -> Answer {
    ok(&json!({"repositories": ["lab/hello"]}))
}

fn manifest(call: &Call<'_>) -> Answer {
    let image = image();
    let digest = named(&image.manifest);
    if !["latest", "v1", &digest].contains(&call.part(1)) {
        return unknown("MANIFEST_UNKNOWN", "manifest is not found");
    }
    let text = String::from_utf8_lossy(&image.manifest).into_owned();
    with(
        said(StatusCode::OK, OCI_MANIFEST, Said::whole(text)),
        "docker-content-digest",
        digest,
    )
}

fn redirect(call: &Call<'_>) -> Answer {
    let digest = call.part(1);
    let (Some(_), Some(hex)) = (blob(digest), digest.strip_prefix("sha256:")) else {
        return unknown("BLOB_UNKNOWN", "blob is not found");
    };
    let host = call.host();
    let registry = host.split('.').next().unwrap_or_default();
    let at = format!(
        "https://{registry}.westeurope.data.azurecr.io/00000000-0000-0000-0000-00000000ac12/docker/registry/v2/blobs/sha256/{}/{hex}/data?sig=lab",
        &hex[..2]
    );
    let answer = with(empty(StatusCode::TEMPORARY_REDIRECT), "location", at);
    with(answer, "docker-content-digest", digest)
}

/// The data endpoint asks for no token: the signature is in the address.
fn data(call: &Call<'_>) -> Answer {
    if call.query("sig").is_none() {
        return text(StatusCode::FORBIDDEN, "no signature\n");
    }
    match blob(&format!("sha256:{}", call.part(2))) {
        Some(bytes) => ranged(call.header("range"), "application/octet-stream", bytes),
        None => text(StatusCode::NOT_FOUND, "no such blob\n"),
    }
}

fn tag_list(call: &Call<'_>) -> Answer {
    ok(&json!({"name": call.part(0), "tags": ["latest", "v1"]}))
}

fn changeable() -> Value {
    json!({"deleteEnabled": true, "writeEnabled": true, "readEnabled": true, "listEnabled": true})
}

fn tag_of(name: &str) -> Value {
    json!({
        "name": name, "digest": named(&image().manifest), "createdTime": MADE, "lastUpdateTime": MADE,
        "signed": false, "changeableAttributes": changeable(),
    })
}

fn about(call: &Call<'_>, more: (&str, Value)) -> Answer {
    let mut about = json!({"registry": call.host(), "imageName": call.part(0)});
    about[more.0] = more.1;
    ok(&about)
}

fn tags(call: &Call<'_>) -> Answer {
    about(call, ("tags", json!([tag_of("latest"), tag_of("v1")])))
}

fn tag(call: &Call<'_>) -> Answer {
    match call.part(1) {
        name @ ("latest" | "v1") => about(call, ("tag", tag_of(name))),
        _ => unknown("TAG_UNKNOWN", "the specified tag does not exist"),
    }
}

fn manifest_of() -> Value {
    let manifest = &image().manifest;
    json!({
        "digest": named(manifest), "imageSize": manifest.len(), "createdTime": MADE, "lastUpdateTime": MADE,
        "architecture": "amd64", "os": "linux", "mediaType": OCI_MANIFEST, "tags": ["latest", "v1"],
        "changeableAttributes": changeable(),
    })
}

fn manifests(call: &Call<'_>) -> Answer {
    about(call, ("manifests", json!([manifest_of()])))
}

fn manifest_properties(call: &Call<'_>) -> Answer {
    match call.part(1) == named(&image().manifest) {
        true => about(call, ("manifest", manifest_of())),
        false => unknown("MANIFEST_UNKNOWN", "manifest is not found"),
    }
}

fn repository(call: &Call<'_>) -> Answer {
    let attributes = json!({
        "registry": call.host(), "imageName": call.part(0), "createdTime": MADE, "lastUpdateTime": MADE,
        "manifestCount": 1, "tagCount": 2, "changeableAttributes": changeable(),
    });
    ok(&attributes)
}

#[cfg(test)]
mod tests {
    use super::super::{ask::Ask, digest::sha256};

    #[test]
    fn a_pull_goes_from_the_challenge_to_the_data_endpoint() {
        let mut ask = Ask::to("container-registry").header("host", "contoso.azurecr.io");
        let refused = ask.get("/v2/lab/hello/manifests/latest");
        assert_eq!(refused.status(), 401);
        let challenge = "Bearer realm=\"https://contoso.azurecr.io/oauth2/token\",service=\"contoso.azurecr.io\",scope=\"repository:lab/hello:pull\"";
        assert_eq!(refused.header("www-authenticate"), challenge);
        let form = "grant_type=access_token&service=contoso.azurecr.io&access_token=t";
        assert!(ask.post("/oauth2/exchange", form).json()["refresh_token"].is_string());
        assert_eq!(ask.post("/oauth2/exchange", "").status(), 400);
        let token = ask.post("/oauth2/token", "grant_type=refresh_token").json()["access_token"]
            .as_str()
            .unwrap()
            .to_owned();
        ask.set("authorization", &format!("Bearer {token}"));

        let manifest = ask.get("/v2/lab/hello/manifests/latest");
        let digest = manifest.header("docker-content-digest").to_owned();
        let manifest = manifest.bytes();
        assert_eq!(digest, format!("sha256:{}", sha256(&manifest)));
        assert_eq!(ask.get("/v2/lab/hello/manifests/v9").status(), 404);
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        let layer = manifest["layers"][0]["digest"].as_str().unwrap();
        let there = ask.get(&format!("/v2/lab/hello/blobs/{layer}"));
        assert_eq!(there.status(), 307);
        let at = there
            .header("location")
            .strip_prefix("https://contoso.westeurope.data.azurecr.io")
            .unwrap();
        let mut data = Ask::to("container-registry").header("range", "bytes=0-9");
        assert_eq!(data.get(at.split('?').next().unwrap()).status(), 403, "unsigned");
        assert_eq!(data.get(at).status(), 206);
        data.set("range", "bytes=0-");
        assert_eq!(format!("sha256:{}", sha256(&data.get(at).bytes())), layer);
    }

    #[test]
    fn what_there_is_is_listed_and_the_rest_is_unknown() {
        let mut ask = Ask::to("container-registry").header("authorization", "Bearer t");
        assert_eq!(ask.get("/acr/v1/_catalog").json()["repositories"][0], "lab/hello");
        assert_eq!(ask.get("/acr/v1/lab/hello/_tags").json()["tags"][1]["name"], "v1");
        assert_eq!(
            ask.get("/acr/v1/lab/hello/_manifests").json()["manifests"][0]["tags"][0],
            "latest"
        );
        assert_eq!(ask.get("/acr/v1/lab/hello").json()["tagCount"], 2);
        for path in [
            "/v2/a/blobs/sha256:0",
            "/v2/a/blobs/x",
            "/acr/v1/a/_tags/v9",
            "/acr/v1/a/_manifests/x",
            "/odd",
        ] {
            assert_eq!(ask.get(path).status(), 404, "{path}");
        }
    }
}
