//! A git repository to clone over HTTP, at any path: one branch, one commit, one file.
//!
//! Protocol: git's smart HTTP, version 0 (git's `http-protocol` and `pack-protocol` documents).

use super::{
    answers::{Answer, bytes, text},
    archive::zlib,
    digest::{hex, sha1},
    open,
    route::{Call, Route, Service, on},
};
use hyper::StatusCode;
use std::sync::OnceLock;

/// A packet without content.
const FLUSH: &[u8] = b"0000";

const ROUTES: &[Route] = &[
    on("GET", "/{*}/info/refs", refs),
    on("POST", "/{*}/git-upload-pack", pack_for),
];

/// A host of repositories, all the same.
pub static SERVICE: Service = Service {
    routes: &[ROUTES],
    guard: open,
    missing: |_| text(StatusCode::NOT_FOUND, "not found\n"),
};

/// The repository: its commit, and all its objects in one pack.
struct Repository {
    commit: String,
    pack: Vec<u8>,
}

fn repository() -> &'static Repository {
    static MADE: OnceLock<Repository> = OnceLock::new();
    MADE.get_or_init(|| {
        let readme = b"Hello from the egret lab.\n".to_vec();
        let tree = [b"100644 README.md\0", &object_name("blob", &readme)[..]].concat();
        let who = "egret lab <lab@egret.example> 1735689600 +0000";
        let commit = format!(
            "tree {}\nauthor {who}\ncommitter {who}\n\nThe only commit\n",
            hex(&object_name("tree", &tree))
        );
        let commit = commit.into_bytes();
        Repository {
            commit: hex(&object_name("commit", &commit)),
            pack: pack(&[(1, &commit), (2, &tree), (3, &readme)]),
        }
    })
}

fn object_name(kind: &str, content: &[u8]) -> Vec<u8> {
    sha1(&[format!("{kind} {}\0", content.len()).as_bytes(), content].concat())
}

/// A pack of whole objects, each with its type.
fn pack(objects: &[(u8, &[u8])]) -> Vec<u8> {
    let mut pack = b"PACK\0\0\0\x02\0\0\0".to_vec();
    pack.push(objects.len() as u8);
    for (kind, content) in objects {
        // Four bits of the length beside the type, then seven a byte; the top bit says that more follow.
        let mut length = content.len() >> 4;
        let mut byte = (kind << 4) | (content.len() & 0xf) as u8;
        while length > 0 {
            pack.push(byte | 0x80);
            byte = (length & 0x7f) as u8;
            length >>= 7;
        }
        pack.push(byte);
        pack.extend(zlib(content));
    }
    let sum = sha1(&pack);
    pack.extend(sum);
    pack
}

fn packet(line: &str) -> Vec<u8> {
    format!("{:04x}{line}", line.len() + 4).into_bytes()
}

fn refs(call: &Call<'_>) -> Answer {
    if call.query("service").as_deref() != Some("git-upload-pack") {
        return text(
            StatusCode::FORBIDDEN,
            "this repository is only read, and only by smart clients\n",
        );
    }
    let commit = &repository().commit;
    let abilities = "symref=HEAD:refs/heads/main shallow agent=egret-lab";
    let lines = [
        packet("# service=git-upload-pack\n"),
        FLUSH.to_vec(),
        packet(&format!("{commit} HEAD\0{abilities}\n")),
        packet(&format!("{commit} refs/heads/main\n")),
        FLUSH.to_vec(),
    ];
    bytes("application/x-git-upload-pack-advertisement", lines.concat())
}

/// The whole pack, once the client has said what it has. The only commit has no parents, so that no depth cuts it.
fn pack_for(call: &Call<'_>) -> Answer {
    let said = String::from_utf8_lossy(call.body());
    if !said.contains("want ") {
        return text(StatusCode::BAD_REQUEST, "a want is missing\n");
    }
    let mut answer = Vec::new();
    if said.contains("deepen ") {
        answer.extend_from_slice(FLUSH);
    }
    if said.contains("0009done") {
        answer.extend(packet("NAK\n"));
        answer.extend_from_slice(&repository().pack);
    } else if !said.contains("deepen ") {
        answer.extend(packet("NAK\n"));
    }
    bytes("application/x-git-upload-pack-result", answer)
}

#[cfg(test)]
mod tests {
    use super::super::ask::Ask;

    #[test]
    fn a_clone_gets_the_commit_that_was_advertised() {
        let mut ask = Ask::to("git");
        let refs = ask.get("/lab/hello.git/info/refs?service=git-upload-pack").text();
        let (commit, _) = refs.split_once(" refs/heads/main").unwrap();
        let commit = &commit[commit.len() - 40..];
        assert!(
            refs.starts_with("001e# service=git-upload-pack\n0000") && refs.ends_with("\n0000"),
            "{refs}"
        );
        let want = format!("0032want {commit}\n");
        let pack = ask
            .post("/lab/hello.git/git-upload-pack", &format!("{want}00000009done\n"))
            .bytes();
        assert!(pack.starts_with(b"0008NAK\nPACK\0\0\0\x02\0\0\0\x03"));
        let shallow = ask
            .post(
                "/lab/hello.git/git-upload-pack",
                &format!("{want}000cdeepen 100000009done\n"),
            )
            .bytes();
        assert!(shallow.starts_with(b"00000008NAK\nPACK"));
        assert_eq!(ask.post("/lab/hello.git/git-upload-pack", "").status(), 400);
        assert_eq!(ask.get("/lab/hello.git/info/refs").status(), 403);
        assert_eq!(
            ask.get("/lab/hello.git/info/refs?service=git-receive-pack").status(),
            403
        );
    }
}
