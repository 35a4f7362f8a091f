//! Which answer a request gets: tables of method, path pattern and function, one for each service.
//!
//! In: a request whose body has been read. Out: the first route that fits, with what the braces of its pattern took.

use super::{answers::Answer, keep::Kept, spool::Extent};
use hyper::{
    Method, Uri,
    body::Bytes,
    header::{self, HeaderMap},
    upgrade::OnUpgrade,
};
use std::sync::{Mutex, PoisonError};

/// Longest path that is looked up, in bytes; longer ones fit no route.
const MAX_PATH: usize = 4096;

/// A request as the mocks see it.
#[derive(Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Sent,
    /// The connection behind it, for a client that wants to speak another protocol.
    pub upgrade: Mutex<Option<OnUpgrade>>,
}

/// The body of a request.
#[derive(Debug)]
pub enum Sent {
    /// In memory, at most 4 MiB.
    Whole(Bytes),
    /// In the site's spool, for routes that take uploads.
    Spooled(Extent),
}

/// What a service answers to one kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    method: &'static str,
    path: &'static str,
    /// The body goes to the spool and not to memory.
    pub spools: bool,
    /// Makes the answer.
    pub answer: fn(&Call<'_>) -> Answer,
}

/// A route: `{}` in the path takes what stands there up to the end of the segment, or up to the literal behind it; a
/// segment `{*}` takes one or more whole segments.
pub const fn on(method: &'static str, path: &'static str, answer: fn(&Call<'_>) -> Answer) -> Route {
    Route {
        method,
        path,
        spools: false,
        answer,
    }
}

/// A route whose bodies may be long.
pub const fn upload(method: &'static str, path: &'static str, answer: fn(&Call<'_>) -> Answer) -> Route {
    Route {
        spools: true,
        ..on(method, path, answer)
    }
}

/// A service: what it answers, to whom, and what it says to the rest.
#[derive(Debug)]
pub struct Service {
    /// Looked through in order.
    pub routes: &'static [&'static [Route]],
    /// The refusal of who may not ask; `None`: go on.
    pub guard: fn(&Call<'_>) -> Option<Answer>,
    /// The answer where no route fits.
    pub missing: fn(&Call<'_>) -> Answer,
}

impl Service {
    /// The route for this request, and what its pattern took.
    pub fn find(&self, method: &Method, path: &str) -> Option<(&'static Route, Vec<String>)> {
        let segments = (path.len() <= MAX_PATH).then(|| segments(path))?;
        let mut all = self.routes.iter().flat_map(|table| table.iter());
        all.find_map(|route| Some((route, route.fits(method, &segments)?)))
    }
}

impl Route {
    fn fits(&self, method: &Method, path: &[String]) -> Option<Vec<String>> {
        // HEAD is GET without the body, which hyper leaves out.
        let same = self.method == method.as_str() || (self.method == "GET" && method == Method::HEAD);
        same.then(|| captures(self.path, path)).flatten()
    }
}

/// The segments of a path, decoded; empty ones do not count.
fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|s| !s.is_empty()).map(decode).collect()
}

fn captures(pattern: &str, path: &[String]) -> Option<Vec<String>> {
    let pattern: Vec<&str> = pattern.split('/').filter(|s| !s.is_empty()).collect();
    let Some(star) = pattern.iter().position(|s| *s == "{*}") else {
        return (pattern.len() == path.len()).then(|| each(&pattern, path)).flatten();
    };
    if path.len() < pattern.len() {
        return None;
    }
    let end = path.len() - (pattern.len() - star - 1);
    let mut taken = each(&pattern[..star], &path[..star])?;
    taken.push(path[star..end].join("/"));
    taken.extend(each(&pattern[star + 1..], &path[end..])?);
    Some(taken)
}

fn each(pattern: &[&str], path: &[String]) -> Option<Vec<String>> {
    let mut taken = Vec::new();
    for (pattern, segment) in pattern.iter().zip(path) {
        match pattern.split_once("{}") {
            Some((before, behind)) => {
                let inner = segment.strip_prefix(before)?.strip_suffix(behind)?;
                taken.push((!inner.is_empty()).then(|| inner.to_owned())?);
            }
            None if pattern == segment => {}
            None => return None,
        }
    }
    Some(taken)
}

/// Percent-decoding; what is no code stays, and what is no UTF-8 is replaced.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let code = behind.get(..2).filter(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        let code = code.and_then(|hex| std::str::from_utf8(hex).ok());
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// One request to one route.
#[derive(Debug)]
pub struct Call<'a> {
    /// The request.
    pub asked: &'a Asked,
    /// What the pattern's braces took, in order.
    pub taken: &'a [String],
    /// The name of the site.
    pub site: &'a str,
    /// What the site keeps between requests.
    pub kept: &'a Kept,
}

impl Call<'_> {
    /// What the `n`-th brace took; empty if the pattern has fewer.
    pub fn part(&self, n: usize) -> &str {
        self.taken.get(n).map_or("", String::as_str)
    }

    /// A query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<String> {
        field(self.asked.uri.query().unwrap_or_default(), name)
    }

    /// A field of a form in the body, decoded.
    pub fn form(&self, name: &str) -> Option<String> {
        field(std::str::from_utf8(self.body()).ok()?, name)
    }

    /// A header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.asked.headers.get(name)?.to_str().ok()
    }

    /// One of these headers is there.
    pub fn has_any(&self, headers: &[&str]) -> bool {
        headers.iter().any(|name| self.asked.headers.contains_key(*name))
    }

    /// The body; empty if it went to the spool.
    pub fn body(&self) -> &[u8] {
        match &self.asked.body {
            Sent::Whole(bytes) => bytes,
            Sent::Spooled(_) => &[],
        }
    }

    /// The body as JSON.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(self.body()).ok()
    }

    /// The host that was asked, in lower case and without port; `lab.invalid` if none was named.
    pub fn host(&self) -> String {
        let named = self.asked.uri.authority().map(|a| a.as_str());
        let host = named
            .or_else(|| self.header(header::HOST.as_str()))
            .unwrap_or("lab.invalid");
        host.rsplit_once(':')
            .map_or(host, |(name, _)| name)
            .to_ascii_lowercase()
    }

    /// The connection, for who asks first.
    pub fn upgrade(&self) -> Option<OnUpgrade> {
        self.asked.upgrade.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn field(pairs: &str, name: &str) -> Option<String> {
    let mut pairs = pairs.split('&').filter_map(|p| p.split_once('='));
    let value = pairs.find(|(n, _)| decode(n) == name)?.1;
    Some(decode(&value.replace('+', " ")))
}

#[cfg(test)]
mod tests {
    use super::{
        super::ask::{Ask, kinds},
        *,
    };

    #[test]
    fn a_pattern_takes_what_its_braces_stand_for() {
        for (pattern, path, taken, why) in [
            ("/a/b", "/a/b/", Some(vec![]), "a slash at the end does not count"),
            ("/a/b", "//a//b", Some(vec![]), "nor do doubled ones"),
            ("/a/{}", "/a", None, "braces take something"),
            ("/a/{}", "/a/x%20y", Some(vec!["x y"]), "what they take is decoded"),
            (
                "/i('{}')/d",
                "/i%28%27docs%27%29/d",
                Some(vec!["docs"]),
                "literals around braces may be encoded",
            ),
            ("/m/{}:go", "/m/read:go", Some(vec!["read"]), "a literal behind them"),
            ("/m/{}:go", "/m/read", None, "which must be there"),
            (
                "/v2/{*}/tags/{}",
                "/v2/a/b/c/tags/1",
                Some(vec!["a/b/c", "1"]),
                "a star takes whole segments",
            ),
            ("/v2/{*}/tags", "/v2/tags", None, "one at least"),
            ("/{}/{*}", "/c/d/e", Some(vec!["c", "d/e"]), "a star at the end"),
        ] {
            let taken: Option<Vec<String>> = taken.map(|t| t.into_iter().map(str::to_owned).collect());
            assert_eq!(captures(pattern, &segments(path)), taken, "{pattern} {path}: {why}");
        }
    }

    #[test]
    fn odd_codes_stay_as_they_are() {
        for (text, decoded) in [
            ("%41%zz%4", "A%zz%4"),
            ("%ff", "\u{fffd}"),
            ("100%", "100%"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(decode(text), decoded);
        }
        assert_eq!(field("a=1&b%20c=d+e%2B", "b c").as_deref(), Some("d e+"));
    }

    /// What may stand in a body, and what may not.
    const BODIES: [&str; 10] = [
        "",
        "{",
        "7",
        "null",
        "\"x\"",
        "[]",
        "[7]",
        "{\"value\": [7, {}], \"input\": {}, \"name\": 7}",
        "a=%zz&=&want \u{0}é",
        "{\"messages\": [], \"stream\": 7, \"fields\": [], \"item\": 7}",
    ];

    #[tokio::test]
    async fn no_route_of_any_kind_fails_at_odd_requests() {
        let mut asked = 0;
        for kind in kinds() {
            let mut ask = Ask::to(&kind)
                .header("authorization", "Bearer t")
                .header("range", "bytes=7-2");
            ask.set("content-type", "application/grpc");
            for route in ask.service().routes.iter().flat_map(|table| table.iter()) {
                let path = route.path.replace("{*}", "a/%2F/b").replace("{}", "%00x");
                for query in [
                    "",
                    "?",
                    "?api-version=1&comp=block&blockid=%ff&sig=&=&$top=-1&service=git-upload-pack",
                ] {
                    for body in BODIES {
                        let status = ask.send(route.method, &format!("{path}{query}"), body).status();
                        assert!((200..600).contains(&status), "{kind} {path}");
                        asked += 1;
                    }
                }
            }
            assert!(
                ask.get(&format!("/{}", "x/".repeat(MAX_PATH))).status() >= 200,
                "{kind} and a long path"
            );
        }
        assert!(asked > 3000, "{asked}");
    }
}
