//! Reading blob storage: lists, properties, content in ranges, conditions.

use super::{Blob, VERSION, container_key, date, find, marked, md5, no_container, refuse};
use crate::lab::mocks::{
    answers::{Answer, Said, empty, ok, range, said, with},
    route::Call,
    spool::slice,
};
use hyper::{Method, StatusCode};
use serde_json::Value;
use std::{
    fmt::Write as _,
    time::{Duration, UNIX_EPOCH},
};

/// Most names in one list.
const MAX_LISTED: usize = 5000;

/// The account: its containers, or what kind it is.
pub(super) fn containers(call: &Call<'_>) -> Answer {
    if call.query("restype").as_deref() == Some("account") {
        let answer = with(ok(&Value::Null), "x-ms-sku-name", "Standard_LRS");
        return with(answer, "x-ms-account-kind", "StorageV2");
    }
    let prefix = call.query("prefix").unwrap_or_default();
    let mut items = String::new();
    for (name, container) in call.kept.under(&container_key(&prefix)).into_iter().take(MAX_LISTED) {
        let properties = properties(&container["etag"], &container["modified"]);
        let _ = write!(
            items,
            "<Container><Name>{}</Name><Properties>{properties}</Properties></Container>",
            escape(&(prefix.clone() + &name))
        );
    }
    list(call, "", &format!("<Containers>{items}</Containers>"))
}

/// A container: its blobs, or its properties.
pub(super) fn container(call: &Call<'_>) -> Answer {
    let Some(container) = call.kept.find(&container_key(call.part(0))) else {
        return no_container();
    };
    if call.query("comp").as_deref() != Some("list") {
        let etag = container["etag"].as_str().unwrap_or_default();
        let modified = container["modified"].as_u64().unwrap_or_default();
        return marked(empty(StatusCode::OK), etag, modified);
    }
    let prefix = call.query("prefix").unwrap_or_default();
    let mut items = String::new();
    let here = format!("blob/{}/{prefix}", call.part(0));
    for (name, blob) in call.kept.under(&here).into_iter().take(MAX_LISTED) {
        let Ok(blob) = serde_json::from_value::<Blob>(blob) else {
            continue;
        };
        let _ = write!(
            items,
            "<Blob><Name>{}</Name><Properties>{}<Content-Length>{}</Content-Length><Content-Type>{}</Content-Type>\
             <BlobType>BlockBlob</BlobType></Properties></Blob>",
            escape(&(prefix.clone() + &name)),
            properties(&blob.etag.as_str().into(), &blob.modified.into()),
            blob.length(),
            escape(&blob.content_type),
        );
    }
    let named = format!(" ContainerName=\"{}\"", escape(call.part(0)));
    list(call, &named, &format!("<Blobs>{items}</Blobs>"))
}

fn list(call: &Call<'_>, named: &str, items: &str) -> Answer {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://{}/\"{named}>\
         {items}<NextMarker/></EnumerationResults>",
        escape(&call.host())
    );
    with(
        said(StatusCode::OK, "application/xml", Said::whole(xml)),
        "x-ms-version",
        VERSION,
    )
}

fn properties(etag: &Value, modified: &Value) -> String {
    let modified = date(modified.as_u64().unwrap_or_default());
    let etag = etag.as_str().unwrap_or_default();
    format!("<Last-Modified>{modified}</Last-Modified><Etag>{}</Etag>", escape(etag))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Get Blob and Get Blob Properties.
pub(super) fn blob(call: &Call<'_>) -> Answer {
    let Some(blob) = find(call) else {
        return no_blob();
    };
    if let Some(refusal) = unmet(call, Some(&blob)) {
        return refusal;
    }
    let length = blob.length();
    let asked = call.header("x-ms-range").or_else(|| call.header("range"));
    let range = match asked
        .filter(|_| call.asked.method != Method::HEAD)
        .map(|r| range(r, length))
    {
        None => None,
        Some(Some(range)) => Some(range),
        Some(None) => {
            let text = "The range specified is invalid for the current size of the resource.";
            let answer = refuse(StatusCode::RANGE_NOT_SATISFIABLE, "InvalidRange", text);
            return with(answer, "content-range", format!("bytes */{length}"));
        }
    };
    let parts = match range {
        Some((first, last)) => slice(&blob.parts, first, last),
        None => blob.parts.clone(),
    };
    let range_md5 = call.header("x-ms-range-get-content-md5") == Some("true");
    let checked = range.filter(|_| range_md5).and_then(|_| md5(&call.kept.spool, &parts));
    let status = if range.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let mut answer = described(
        said(
            status,
            "application/octet-stream",
            Said::Spooled(call.kept.spool.clone(), parts),
        ),
        &blob,
    );
    let sum = if range.is_some() { checked } else { blob.md5.clone() };
    if let Some(sum) = sum {
        answer = with(answer, "content-md5", sum);
    }
    match range {
        Some((first, last)) => with(answer, "content-range", format!("bytes {first}-{last}/{length}")),
        None => answer,
    }
}

fn described(answer: Answer, blob: &Blob) -> Answer {
    let mut answer = marked(answer, &blob.etag, blob.modified);
    for (name, value) in [
        ("content-type", blob.content_type.as_str()),
        ("x-ms-blob-type", "BlockBlob"),
        ("x-ms-lease-state", "available"),
        ("x-ms-lease-status", "unlocked"),
        ("x-ms-server-encrypted", "true"),
        ("accept-ranges", "bytes"),
        ("x-ms-blob-content-md5", blob.md5.as_deref().unwrap_or_default()),
    ] {
        if !value.is_empty() {
            answer = with(answer, name, value);
        }
    }
    for (name, value) in &blob.metadata {
        if let (Ok(name), Ok(value)) = (hyper::header::HeaderName::try_from(name), value.try_into()) {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// The refusal that the request's conditions ask for, given the blob that is there.
pub(super) fn unmet(call: &Call<'_>, blob: Option<&Blob>) -> Option<Answer> {
    let reads = matches!(call.asked.method, Method::GET | Method::HEAD);
    let same = |tags: &str, blob: &Blob| tags.split(',').any(|tag| tag.trim() == "*" || tag.trim() == blob.etag);
    let since = |name: &str| httpdate::parse_http_date(call.header(name)?).ok();
    let changed = |blob: &Blob| UNIX_EPOCH + Duration::from_secs(blob.modified);
    let failed = |what| refuse(StatusCode::PRECONDITION_FAILED, "ConditionNotMet", what);
    if let Some(tags) = call.header("if-match")
        && !blob.is_some_and(|blob| same(tags, blob))
    {
        return Some(failed(
            "The condition specified using HTTP conditional header(s) is not met.",
        ));
    }
    let blob = blob?;
    if since("if-unmodified-since").is_some_and(|since| changed(blob) > since) {
        return Some(failed("The blob was modified since."));
    }
    let known = call.header("if-none-match").is_some_and(|tags| same(tags, blob));
    let old = since("if-modified-since").is_some_and(|since| changed(blob) <= since);
    match (known || old, reads) {
        (false, _) => None,
        (true, true) => Some(marked(empty(StatusCode::NOT_MODIFIED), &blob.etag, blob.modified)),
        (true, false) if call.header("if-none-match") == Some("*") => Some(refuse(
            StatusCode::CONFLICT,
            "BlobAlreadyExists",
            "The specified blob already exists.",
        )),
        (true, false) => Some(failed("The blob has not changed.")),
    }
}

pub(super) fn no_blob() -> Answer {
    refuse(
        StatusCode::NOT_FOUND,
        "BlobNotFound",
        "The specified blob does not exist.",
    )
}

#[cfg(test)]
mod tests {
    use crate::lab::mocks::ask::Ask;

    fn account() -> Ask {
        let mut ask = Ask::to("blob").header("authorization", "Bearer t");
        assert_eq!(ask.put("/docs?restype=container", "").status(), 201);
        ask
    }

    #[test]
    fn blocks_become_a_blob_in_the_order_of_the_list() {
        let mut ask = account();
        for (id, block) in [("Qg==", "World"), ("QQ==", "Hello, "), ("Qw==", "!")] {
            let path = format!("/docs/a/b.txt?comp=block&blockid={}", id.replace('=', "%3D"));
            assert_eq!(ask.put(&path, block).status(), 201);
        }
        let list = "<?xml version='1.0'?><BlockList><Latest>QQ==</Latest>\n<Latest>Qg==</Latest><Latest>Qw==</Latest></BlockList>";
        assert_eq!(ask.get("/docs/a/b.txt").status(), 404, "blocks are no blob");
        assert_eq!(ask.put("/docs/a/b.txt?comp=blocklist", list).status(), 201);
        assert_eq!(ask.get("/docs/a/b.txt").text(), "Hello, World!");
        let again = ask.put("/docs/a/b.txt?comp=blocklist", list);
        assert_eq!(
            (again.status(), again.header("x-ms-error-code")),
            (400, "InvalidBlockList")
        );

        ask.set("x-ms-range", "bytes=5-8");
        ask.set("x-ms-range-get-content-md5", "true");
        let part = ask.get("/docs/a/b.txt");
        assert_eq!((part.status(), part.header("content-range")), (206, "bytes 5-8/13"));
        assert_eq!(part.header("content-md5"), "o5mTqyApkxsTGtJfmHBYyQ==", "of `, Wo`");
        assert_eq!(part.text(), ", Wo");
        ask.set("x-ms-range", "bytes=13-");
        assert_eq!(ask.get("/docs/a/b.txt").status(), 416);

        let listed = ask.get("/docs?restype=container&comp=list&prefix=a/").text();
        assert!(
            listed.contains("<Name>a/b.txt</Name>") && listed.contains("<Content-Length>13<"),
            "{listed}"
        );
        assert!(ask.get("/?comp=list").text().contains("<Name>docs</Name>"));
    }

    #[test]
    fn what_arrives_broken_is_refused() {
        let mut ask = account();
        ask.set("content-md5", "XUFAKrxLKna5cZ2REBfFkg==");
        assert_eq!(ask.put("/docs/x", "hello").status(), 201);
        let read = ask.get("/docs/x");
        assert_eq!(read.header("content-md5"), "XUFAKrxLKna5cZ2REBfFkg==");
        let broken = ask.put("/docs/x", "hellO");
        assert_eq!(
            (broken.status(), broken.header("x-ms-error-code")),
            (400, "Md5Mismatch")
        );
        assert_eq!(ask.get("/docs/x").text(), "hello");
    }

    #[test]
    fn conditions_are_kept() {
        let mut ask = account();
        let etag = ask.put("/docs/x", "one").header("etag").to_owned();
        for (header, value, read, write, why) in [
            ("if-none-match", "*", 304, 409, "only if there is none"),
            ("if-none-match", etag.as_str(), 304, 412, "only if it changed"),
            ("if-none-match", "\"other\"", 200, 201, "it did"),
            ("if-match", "\"other\"", 412, 412, "only if it is that one"),
            (
                "if-unmodified-since",
                "Thu, 01 Jan 2015 00:00:00 GMT",
                412,
                412,
                "it was",
            ),
            ("if-modified-since", "Thu, 01 Jan 2015 00:00:00 GMT", 200, 201, "it was"),
        ] {
            let mut ask = account();
            ask.put("/docs/x", "one");
            ask.set(header, value);
            assert_eq!(ask.get("/docs/x").status(), read, "read {header}: {value}: {why}");
            assert_eq!(
                ask.put("/docs/x", "two").status(),
                write,
                "write {header}: {value}: {why}"
            );
        }
    }

    #[test]
    fn who_signs_nothing_reads_nothing_and_nothing_is_made_twice() {
        assert_eq!(Ask::to("blob").get("/docs/x").status(), 401);
        assert_eq!(Ask::to("blob").get("/docs/x?sig=a").status(), 404);
        let mut ask = account();
        assert_eq!(ask.put("/docs?restype=container", "").status(), 409);
        assert_eq!(ask.put("/other/x", "").status(), 404, "no container");
        assert_eq!(ask.put("/docs/x?comp=block", "").status(), 400, "no id");
        ask.put("/docs/empty", "");
        assert_eq!(
            (ask.get("/docs/empty").status(), ask.get("/docs/empty").text()),
            (200, String::new())
        );
        assert_eq!(ask.send("DELETE", "/docs/empty", "").status(), 202);
        assert_eq!(ask.send("DELETE", "/docs/empty", "").status(), 404);
        assert_eq!(ask.send("DELETE", "/docs?restype=container", "").status(), 202);
        assert_eq!(ask.get("/docs?restype=container&comp=list").status(), 404);
    }
}
