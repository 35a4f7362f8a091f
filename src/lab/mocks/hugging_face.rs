//! The Hugging Face hub: what is in a model's repository, and its files, the large ones from another host.
//!
//! Paths and headers as `huggingface_hub` uses them: a HEAD names commit, ETag and size; small files are answered, large
//! ones redirected to `cdn-lfs.<hub>`. Every repository holds the same files.

use super::{
    answers::{Answer, empty, ok, ranged, text, with},
    digest::{hex, sha1, sha256},
    open,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The commit that every branch points to.
const COMMIT: &str = "0e93e70000000000000000000000000000000001";

/// Numbers in the model: 1 MiB of them.
const WEIGHTS: usize = 256 * 1024;

const ROUTES: &[Route] = &[
    on("GET", "/api/models/{*}/revision/{}", info),
    on("GET", "/api/models/{*}/tree/{}", tree),
    on("GET", "/api/models/{*}", info),
    on("GET", "/{*}/resolve/{}/{}", resolve),
    on("GET", "/repos/lab/{}", large),
];

/// The hub and the host of its large files.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard: open,
    missing,
};

/// The files of every repository.
fn files() -> &'static [(&'static str, Vec<u8>); 3] {
    static FILES: OnceLock<[(&str, Vec<u8>); 3]> = OnceLock::new();
    FILES.get_or_init(|| {
        let config = json!({"model_type": "egret-lab", "architectures": ["EgretLab"]});
        [
            ("config.json", config.to_string().into_bytes()),
            ("README.md", b"# A model of the egret lab\n".to_vec()),
            ("model.safetensors", model()),
        ]
    })
}

/// A file of safetensors: the length of its head, the head, the numbers.
fn model() -> Vec<u8> {
    let bytes = WEIGHTS * 4;
    let head = json!({"weight": {"dtype": "F32", "shape": [WEIGHTS], "data_offsets": [0, bytes]}}).to_string();
    [&(head.len() as u64).to_le_bytes()[..], head.as_bytes(), &vec![0; bytes]].concat()
}

fn file(name: &str) -> Option<&'static [u8]> {
    files()
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, bytes)| bytes.as_slice())
}

fn is_large(name: &str) -> bool {
    name.ends_with(".safetensors")
}

/// Git's name for a small file, the SHA-256 of a large one.
fn etag(name: &str, bytes: &[u8]) -> String {
    match is_large(name) {
        true => sha256(bytes),
        false => hex(&sha1(&[format!("blob {}\0", bytes.len()).as_bytes(), bytes].concat())),
    }
}

fn resolve(call: &Call<'_>) -> Answer {
    let name = call.part(2);
    let Some(bytes) = file(name) else {
        return with(
            with(missing(call), "x-error-code", "EntryNotFound"),
            "x-repo-commit",
            COMMIT,
        );
    };
    let etag = format!("\"{}\"", etag(name, bytes));
    let answer = match is_large(name) {
        true => {
            let at = format!("https://cdn-lfs.{}/repos/lab/{name}?sig=lab", call.host());
            let answer = with(empty(StatusCode::FOUND), "location", at);
            let answer = with(answer, "x-linked-etag", &etag);
            with(answer, "x-linked-size", bytes.len().to_string())
        }
        false => ranged(call.header("range"), "text/plain; charset=utf-8", bytes),
    };
    with(with(answer, "x-repo-commit", COMMIT), "etag", etag)
}

fn large(call: &Call<'_>) -> Answer {
    match file(call.part(0)) {
        Some(bytes) => ranged(call.header("range"), "binary/octet-stream", bytes),
        None => missing(call),
    }
}

fn info(call: &Call<'_>) -> Answer {
    let siblings: Vec<Value> = files().iter().map(|(name, _)| json!({"rfilename": name})).collect();
    ok(&json!({
        "_id": "egret-lab", "id": call.part(0), "modelId": call.part(0), "sha": COMMIT, "private": false,
        "gated": false, "disabled": false, "downloads": 0, "likes": 0, "tags": [], "siblings": siblings,
        "createdAt": "2025-01-01T00:00:00.000Z", "lastModified": "2025-01-01T00:00:00.000Z",
    }))
}

fn tree(_: &Call<'_>) -> Answer {
    let all = files()
        .iter()
        .map(|(name, bytes)| json!({"type": "file", "path": name, "size": bytes.len(), "oid": etag(name, bytes)}));
    ok(&all.collect())
}

fn missing(_: &Call<'_>) -> Answer {
    text(StatusCode::NOT_FOUND, "Entry not found")
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    #[test]
    fn small_files_are_here_and_large_ones_elsewhere() {
        let mut ask = Ask::to("hugging-face").header("host", "huggingface.co");
        let small = ask.send("HEAD", "/lab/tiny/resolve/main/config.json", "");
        assert_eq!(
            (
                small.status(),
                small.header("x-repo-commit").len(),
                small.header("etag").len()
            ),
            (200, 40, 42)
        );
        let large = ask.send("HEAD", "/lab/tiny/resolve/main/model.safetensors", "");
        assert_eq!(large.status(), 302);
        let size: usize = large.header("x-linked-size").parse().unwrap();
        let at = large
            .header("location")
            .strip_prefix("https://cdn-lfs.huggingface.co")
            .unwrap();
        assert_eq!(Ask::to("hugging-face").get(at).bytes().len(), size);
        let none = ask.get("/lab/tiny/resolve/main/none.bin");
        assert_eq!((none.status(), none.header("x-error-code")), (404, "EntryNotFound"));
    }

    #[test]
    fn a_model_says_what_it_holds() {
        let mut ask = Ask::to("hugging-face");
        for path in [
            "/api/models/lab/tiny",
            "/api/models/lab/tiny/revision/main",
            "/api/models/gpt",
        ] {
            assert_eq!(
                ask.get(path).json()["siblings"][0]["rfilename"],
                "config.json",
                "{path}"
            );
        }
        assert_eq!(
            ask.get("/api/models/lab/tiny/tree/main").json()[2]["path"],
            "model.safetensors"
        );
    }
}
