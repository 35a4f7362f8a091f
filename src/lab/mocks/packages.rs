//! Package sources: a Python index, an npm registry, an apt repository. Each holds one package, made in memory.
//!
//! Paths and shapes: PEP 503 (simple index) and the wheel format, npm's registry API (packument and tarball), the Debian
//! repository format. Hosts are the scenario's; files of the Python index are at `files.<index>`.

use super::{
    answers::{Answer, bytes, ok, text},
    archive::{ar, gzip, tar, zip},
    digest::{hex, sha1, sha256},
    open,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use serde_json::json;
use std::{sync::OnceLock, time::SystemTime};

const WHEEL: &str = "egret_lab-1.0-py3-none-any.whl";
const DEB: &str = "egret-lab_1.0_all.deb";

const PYTHON: &[Route] = &[
    on("GET", "/simple", |_| {
        html("<a href=\"/simple/egret-lab/\">egret-lab</a>")
    }),
    on("GET", "/simple/egret-lab", project),
    on("GET", "/packages/{}", |call| file(call, WHEEL, wheel())),
];

const NPM: &[Route] = &[
    on("GET", "/egret-lab", packument),
    on("GET", "/egret-lab/-/egret-lab-1.0.0.tgz", |_| {
        bytes("application/octet-stream", tarball())
    }),
];

const APT: &[Route] = &[
    on("GET", "/dists/stable/Release", |_| text(StatusCode::OK, release())),
    on("GET", "/dists/stable/main/{}/Packages", |_| {
        text(StatusCode::OK, packages())
    }),
    on("GET", "/pool/main/{}", |call| file(call, DEB, deb())),
];

/// A Python index and the host of its files: `egret-lab` 1.0.
pub static PYTHON_INDEX: Service = service(&[PYTHON]);

/// An npm registry: `egret-lab` 1.0.0.
pub static NPM_REGISTRY: Service = service(&[NPM]);

/// An apt repository, `stable main`, which nobody has signed: `egret-lab` 1.0.
pub static APT_REPOSITORY: Service = service(&[APT]);

const fn service(routes: &'static [&'static [Route]]) -> Service {
    Service {
        routes,
        guard: open,
        missing,
    }
}

fn missing(_: &Call<'_>) -> Answer {
    text(StatusCode::NOT_FOUND, "not found\n")
}

fn html(body: &str) -> Answer {
    let page = format!("<!DOCTYPE html><html><head><title>egret lab</title></head><body>{body}</body></html>\n");
    bytes("text/html; charset=utf-8", page)
}

fn file(call: &Call<'_>, name: &str, content: &'static [u8]) -> Answer {
    match call.part(0) == name {
        true => bytes("application/octet-stream", content),
        false => missing(call),
    }
}

fn project(call: &Call<'_>) -> Answer {
    let digest = sha256(wheel());
    // Without a scheme: the index is asked over http or https, and its files the same way.
    html(&format!(
        "<a href=\"//files.{}/packages/{WHEEL}#sha256={digest}\">{WHEEL}</a>",
        call.host()
    ))
}

fn wheel() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let info = "egret_lab-1.0.dist-info";
        let [metadata, kind, record] = ["METADATA", "WHEEL", "RECORD"].map(|name| format!("{info}/{name}"));
        let record_text = format!("egret_lab.py,,\n{metadata},,\n{kind},,\n{record},,\n");
        zip(&[
            ("egret_lab.py", b"WORDS = 'Hello from the egret lab.'\n"),
            (&metadata, b"Metadata-Version: 2.1\nName: egret-lab\nVersion: 1.0\n"),
            (
                &kind,
                b"Wheel-Version: 1.0\nGenerator: egret\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            ),
            (&record, record_text.as_bytes()),
        ])
    })
}

fn packument(call: &Call<'_>) -> Answer {
    let at = format!("https://{}/egret-lab/-/egret-lab-1.0.0.tgz", call.host());
    let dist = json!({"tarball": at, "shasum": hex(&sha1(tarball()))});
    let version = json!({"name": "egret-lab", "version": "1.0.0", "main": "index.js", "dist": dist});
    ok(&json!({"name": "egret-lab", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}))
}

fn tarball() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let package = json!({"name": "egret-lab", "version": "1.0.0", "main": "index.js"}).to_string();
        gzip(&tar(&[
            ("package/package.json", package.as_bytes()),
            ("package/index.js", b"module.exports = 'Hello from the egret lab.'\n"),
        ]))
    })
}

/// What a Debian package says of itself.
const CONTROL: &str = "Package: egret-lab\nVersion: 1.0\nArchitecture: all\nMaintainer: egret lab <lab@egret.example>\n\
                       Description: a package of the egret lab\n";

fn deb() -> &'static [u8] {
    static MADE: OnceLock<Vec<u8>> = OnceLock::new();
    MADE.get_or_init(|| {
        let control = tar(&[("./control", CONTROL.as_bytes())]);
        let data = tar(&[("./usr/share/egret-lab/hello.txt", b"Hello from the egret lab.\n")]);
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar", &data),
        ])
    })
}

fn packages() -> String {
    let deb = deb();
    format!(
        "{CONTROL}Filename: pool/main/{DEB}\nSize: {}\nSHA256: {}\n\n",
        deb.len(),
        sha256(deb)
    )
}

fn release() -> String {
    let (list, date) = (packages(), httpdate::fmt_http_date(SystemTime::now()));
    let lists = ["all", "amd64", "arm64"].map(|arch| {
        format!(
            " {} {} main/binary-{arch}/Packages\n",
            sha256(list.as_bytes()),
            list.len()
        )
    });
    format!(
        "Origin: egret lab\nSuite: stable\nCodename: stable\nDate: {}\nArchitectures: all amd64 arm64\n\
         Components: main\nSHA256:\n{}",
        date.replace("GMT", "UTC"),
        lists.concat()
    )
}

#[cfg(test)]
mod tests {
    use super::super::{ask::Ask, digest::sha256};

    #[test]
    fn a_python_index_leads_to_a_wheel_by_its_digest() {
        let mut ask = Ask::to("python-index").header("host", "python.packages.example");
        let page = ask.get("/simple/egret-lab/").text();
        let wheel = ask.get("/packages/egret_lab-1.0-py3-none-any.whl").bytes();
        let link = format!(
            "//files.python.packages.example/packages/egret_lab-1.0-py3-none-any.whl#sha256={}",
            sha256(&wheel)
        );
        assert!(page.contains(&link) && wheel.starts_with(b"PK\x03\x04"), "{page}");
        assert_eq!(
            (
                ask.get("/simple/other/").status(),
                ask.get("/packages/other.whl").status()
            ),
            (404, 404)
        );
    }

    #[test]
    fn an_npm_registry_names_its_tarball() {
        let mut ask = Ask::to("npm-registry").header("host", "npm.packages.example");
        let said = ask.get("/egret-lab").json();
        let at = said["versions"]["1.0.0"]["dist"]["tarball"].as_str().unwrap();
        let tarball = ask
            .get(at.strip_prefix("https://npm.packages.example").unwrap())
            .bytes();
        assert!(tarball.starts_with(&[0x1f, 0x8b]));
        assert_eq!(ask.get("/other").status(), 404);
    }

    #[test]
    fn an_apt_repository_vouches_for_its_lists_and_they_for_the_package() {
        let mut ask = Ask::to("apt");
        let (release, list) = (
            ask.get("/dists/stable/Release").text(),
            ask.get("/dists/stable/main/binary-amd64/Packages").text(),
        );
        assert!(release.contains(&format!(
            " {} {} main/binary-amd64/Packages\n",
            sha256(list.as_bytes()),
            list.len()
        )));
        let deb = ask.get("/pool/main/egret-lab_1.0_all.deb").bytes();
        assert!(list.contains(&sha256(&deb)) && deb.starts_with(b"!<arch>\ndebian-binary"));
        assert_eq!(ask.get("/dists/stable/InRelease").status(), 404);
    }
}
