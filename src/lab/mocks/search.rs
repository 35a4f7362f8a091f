//! Azure AI Search: indexes, documents put into them, found by the words in them.
//!
//! Paths and shapes: "Azure AI Search REST API reference". Paths come in OData's form, `/indexes('name')/docs`, from the
//! SDKs and in the plain form, `/indexes/name/docs`, from people.

use super::{
    answers::{Answer, as_json, empty, ok, refuse, text},
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

/// Documents in one answer when a query asks for no number, as the service has it; and at most.
const TOP: usize = 50;
const MAX_TOP: usize = 1000;

const ROUTES: &[Route] = &[
    on("POST", "/indexes('{}')/docs/search.post.search", search),
    on("POST", "/indexes/{}/docs/search", search),
    on("GET", "/indexes('{}')/docs", search),
    on("GET", "/indexes/{}/docs", search),
    on("POST", "/indexes('{}')/docs/search.index", change),
    on("POST", "/indexes/{}/docs/index", change),
    on("GET", "/indexes('{}')/docs/$count", count),
    on("GET", "/indexes/{}/docs/$count", count),
    on("GET", "/indexes('{}')/docs('{}')", document),
    on("GET", "/indexes/{}/docs/{}", document),
    on("GET", "/indexes('{}')/search.stats", statistics),
    on("PUT", "/indexes('{}')", define),
    on("PUT", "/indexes/{}", define),
    on("POST", "/indexes", define),
    on("GET", "/indexes('{}')", definition),
    on("GET", "/indexes/{}", definition),
    on("DELETE", "/indexes('{}')", forget),
    on("DELETE", "/indexes/{}", forget),
    on("GET", "/indexes", list),
    on("GET", "/servicestats", service),
];

/// A search service. An index that nobody made is there and empty, so that a client need not make one first.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard,
    missing: |_| refuse(StatusCode::NOT_FOUND, "", "the mock knows no such path"),
};

fn guard(call: &Call<'_>) -> Option<Answer> {
    let known = call.has_any(&["api-key", "authorization"]);
    (!known).then(|| {
        refuse(
            StatusCode::FORBIDDEN,
            "",
            "Either an api-key or a bearer token is needed.",
        )
    })
}

fn documents(call: &Call<'_>) -> Vec<(String, Value)> {
    call.kept.under(&format!("doc/{}/", call.part(0)))
}

fn doc_key(call: &Call<'_>, key: &str) -> String {
    format!("doc/{}/{key}", call.part(0))
}

fn index_key(name: &str) -> String {
    format!("index/{name}")
}

/// Upload, merge and delete, each told apart.
fn change(call: &Call<'_>) -> Answer {
    let body = call.json().unwrap_or_default();
    let Some(actions) = body["value"].as_array() else {
        return refuse(StatusCode::BAD_REQUEST, "", "'value' is a required property");
    };
    let results: Vec<Value> = actions.iter().map(|action| act(call, action)).collect();
    let all = results.iter().all(|result| result["status"] == true);
    as_json(
        if all { StatusCode::OK } else { StatusCode::MULTI_STATUS },
        &json!({"value": results}),
    )
}

fn act(call: &Call<'_>, action: &Value) -> Value {
    let result = |key: &str, code: u16, error: Value| json!({"key": key, "status": code < 300, "errorMessage": error, "statusCode": code});
    let Some(fields) = action.as_object() else {
        return result("", 400, json!("an action is an object"));
    };
    let mut fields: Map<String, Value> = fields.clone();
    let kind = fields.remove("@search.action").unwrap_or_else(|| json!("upload"));
    let Some(key) = fields.get(&key_field(call, &fields)).map(as_text) else {
        return result("", 400, json!("the document has no key"));
    };
    let at = doc_key(call, &key);
    if kind == "delete" {
        call.kept.forget(&at);
        return result(&key, 200, Value::Null);
    }
    let before = call.kept.find(&at);
    let code = if before.is_some() { 200 } else { 201 };
    if let (true, Some(Value::Object(old))) = (kind != "upload", before) {
        for (name, value) in old {
            fields.entry(name).or_insert(value);
        }
    }
    match call.kept.put(&at, &Value::Object(fields)) {
        true => result(&key, code, Value::Null),
        false => result(&key, 507, json!("the mock keeps no more")),
    }
}

/// The key field of the index; without a definition: `id`, or the first field.
fn key_field(call: &Call<'_>, fields: &Map<String, Value>) -> String {
    let index = call.kept.find(&index_key(call.part(0))).unwrap_or_default();
    let keys = index["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|field| field["key"] == true);
    let defined = keys
        .filter_map(|field| field["name"].as_str())
        .next()
        .map(str::to_owned);
    let guessed = || {
        Some("id".to_owned())
            .filter(|id| fields.contains_key(id))
            .or_else(|| fields.keys().next().cloned())
    };
    defined.or_else(guessed).unwrap_or_default()
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Documents that hold one of the words; vectors find everything.
fn search(call: &Call<'_>) -> Answer {
    // A search may be all in the query of a GET.
    let body = match call.json() {
        None if !call.body().is_empty() => return refuse(StatusCode::BAD_REQUEST, "", "the body is not JSON"),
        body => body.unwrap_or_default(),
    };
    let asked = |name: &str| match &body[name] {
        Value::Null => call.query(&format!("${name}")).or_else(|| call.query(name)),
        value => Some(as_text(value)),
    };
    let words = asked("search").unwrap_or_default().to_lowercase();
    let words: Vec<&str> = words.split_whitespace().filter(|word| *word != "*").collect();
    let number = |name, default| asked(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    let all = documents(call).into_iter().map(|(_, document)| document);
    let found: Vec<Value> = all.filter(|document| holds(document, &words)).collect();
    let total = found.len();
    let page = found
        .into_iter()
        .skip(number("skip", 0))
        .take(number("top", TOP).min(MAX_TOP));
    let page: Vec<Value> = page.map(scored).collect();
    let mut answer = json!({"@odata.context": format!("https://{}/indexes('{}')/$metadata#docs(*)", call.host(), call.part(0)), "value": page});
    if asked("count").as_deref() == Some("true") {
        answer["@odata.count"] = json!(total);
    }
    ok(&answer)
}

fn holds(document: &Value, words: &[&str]) -> bool {
    let text = document.to_string().to_lowercase();
    words.is_empty() || words.iter().any(|word| text.contains(word))
}

fn scored(mut document: Value) -> Value {
    document["@search.score"] = json!(1.0);
    document
}

fn document(call: &Call<'_>) -> Answer {
    let found = call.kept.find(&doc_key(call, call.part(1)));
    found.map_or_else(|| empty(StatusCode::NOT_FOUND), |document| ok(&document))
}

fn count(call: &Call<'_>) -> Answer {
    text(StatusCode::OK, documents(call).len().to_string())
}

fn define(call: &Call<'_>) -> Answer {
    let mut index = call.json().unwrap_or_default();
    let name = match (call.part(0), index["name"].as_str()) {
        ("", Some(name)) => name.to_owned(),
        ("", None) => return refuse(StatusCode::BAD_REQUEST, "", "'name' is a required property"),
        (name, _) => name.to_owned(),
    };
    if !index["fields"].is_array() {
        return refuse(StatusCode::BAD_REQUEST, "", "'fields' is a required property");
    }
    index["name"] = json!(name);
    index["@odata.etag"] = json!(format!("\"0x{:016X}\"", call.kept.number()));
    match call.kept.put(&index_key(&name), &index) {
        true => as_json(StatusCode::CREATED, &index),
        false => refuse(StatusCode::INSUFFICIENT_STORAGE, "", "the mock keeps no more"),
    }
}

fn definition(call: &Call<'_>) -> Answer {
    let found = call.kept.find(&index_key(call.part(0)));
    let text = format!("No index with the name '{}' was found in the service.", call.part(0));
    found.map_or_else(|| refuse(StatusCode::NOT_FOUND, "", &text), |index| ok(&index))
}

fn forget(call: &Call<'_>) -> Answer {
    for (key, _) in documents(call) {
        call.kept.forget(&doc_key(call, &key));
    }
    let gone = call.kept.forget(&index_key(call.part(0)));
    empty(if gone {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    })
}

fn list(call: &Call<'_>) -> Answer {
    let all: Vec<Value> = call.kept.under("index/").into_iter().map(|(_, index)| index).collect();
    ok(&json!({"value": all}))
}

fn statistics(call: &Call<'_>) -> Answer {
    ok(&json!({"documentCount": documents(call).len(), "storageSize": 0, "vectorIndexSize": 0}))
}

fn service(call: &Call<'_>) -> Answer {
    let counter = |usage: usize, quota: u64| json!({"usage": usage, "quota": quota});
    ok(&json!({
        "counters": {
            "documentCount": counter(call.kept.under("doc/").len(), 10_000),
            "indexesCount": counter(call.kept.under("index/").len(), 15),
            "aliasesCount": counter(0, 0), "indexersCount": counter(0, 15), "dataSourcesCount": counter(0, 15),
            "storageSize": counter(0, 2_147_483_648), "synonymMaps": counter(0, 3), "skillsetCount": counter(0, 15),
            "vectorIndexSize": counter(0, 1_073_741_824),
        },
        "limits": {"maxFieldsPerIndex": 1000, "maxFieldNestingDepthPerIndex": 10},
    }))
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    #[test]
    fn documents_are_put_counted_found_and_taken_out() {
        let mut ask = Ask::to("search").header("api-key", "lab");
        let index = r#"{"name": "docs", "fields": [{"name": "no", "type": "Edm.String", "key": true}]}"#;
        assert_eq!(ask.put("/indexes('docs')?api-version=2024-07-01", index).status(), 201);
        let actions = r#"{"value": [
            {"@search.action": "upload", "no": "1", "text": "a white heron"},
            {"@search.action": "mergeOrUpload", "no": "2", "text": "a grey Egret"},
            {"@search.action": "merge", "no": "1", "legs": 2},
            {"@search.action": "upload", "text": "no key"}, 7]}"#;
        let done = ask.post("/indexes('docs')/docs/search.index", actions);
        assert_eq!(done.status(), 207, "some failed");
        let codes: Vec<_> = done.json()["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["statusCode"].as_u64())
            .collect();
        assert_eq!(codes, [201, 201, 200, 400, 400].map(Some));
        assert_eq!(ask.get("/indexes('docs')/docs/$count").text(), "2");
        let merged = ask.get("/indexes%28%27docs%27%29/docs%28%271%27%29").json();
        assert_eq!((&merged["text"], &merged["legs"]), (&"a white heron".into(), &2.into()));

        let found = ask
            .post(
                "/indexes('docs')/docs/search.post.search",
                r#"{"search": "egret", "count": true}"#,
            )
            .json();
        assert_eq!(
            (&found["@odata.count"], &found["value"][0]["no"]),
            (&1.into(), &"2".into())
        );
        for (query, hits, why) in [
            ("search=*", 2, "all"),
            ("search=heron+egret", 2, "either word"),
            ("search=*&$top=1", 1, "one page"),
            ("search=*&$skip=2", 0, "behind the end"),
            ("$top=x", 2, "no number"),
        ] {
            let found = ask.get(&format!("/indexes/docs/docs?{query}")).json();
            assert_eq!(found["value"].as_array().unwrap().len(), hits, "{why}");
        }
        ask.post(
            "/indexes/docs/docs/index",
            r#"{"value": [{"@search.action": "delete", "no": "1"}]}"#,
        );
        assert_eq!(ask.get("/servicestats").json()["counters"]["documentCount"]["usage"], 1);
        assert_eq!(ask.send("DELETE", "/indexes('docs')", "").status(), 204);
        assert_eq!(ask.get("/indexes('docs')/docs/$count").text(), "0");
    }

    #[test]
    fn odd_requests_are_refused() {
        assert_eq!(Ask::to("search").get("/servicestats").status(), 403);
        let mut ask = Ask::to("search").header("authorization", "Bearer t");
        for body in ["", "[]", r#"{"value": 1}"#] {
            assert_eq!(ask.post("/indexes/a/docs/index", body).status(), 400, "{body}");
        }
        assert_eq!(ask.put("/indexes('a')", "{}").status(), 400);
        assert_eq!(ask.put("/indexes('a')", "[1]").status(), 400);
        assert_eq!(ask.get("/indexes('a')").status(), 404);
    }
}
