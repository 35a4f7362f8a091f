//! Which header fields go on: hop-by-hop ones end here, in both directions (RFC 9110 section 7.6.1). Pure.

use super::framing::trimmed;
use hyper::HeaderMap;
use hyper::header::{CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderName, HeaderValue, TE, UPGRADE, VIA};
use hyper::header::{MAX_FORWARDS, TRANSFER_ENCODING};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Fields for one connection only, besides those that Connection names and all `Proxy-*`.
const HOP_BY_HOP: [HeaderName; 5] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Fields that Connection may not take away: they say where a message goes and where it ends.
const NEVER_REMOVED: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

/// Our name in Via: `egret` and a number of this process, so that two egrets in a row are no loop but one seen twice is.
static PSEUDONYM: LazyLock<String> = LazyLock::new(|| format!("egret-{:08x}", RandomState::new().hash_one(0) as u32));

/// Takes what is not for upstream out of a request: hop-by-hop fields, credentials for us, and what the client says about
/// where the request came from, which nobody behind us should believe.
pub(super) fn clean_request(fields: &mut HeaderMap, websocket: bool) {
    remove_hop_by_hop(fields);
    remove_where(fields, |name| {
        *name == FORWARDED || name.as_str().starts_with("x-forwarded-") || name.as_str().starts_with("x-egret-")
    });
    if websocket {
        insert_upgrade(fields);
    }
}

/// Takes what is not for the client out of a response: hop-by-hop fields, and what only we say.
pub(super) fn clean_response(fields: &mut HeaderMap, websocket: bool) {
    remove_hop_by_hop(fields);
    remove_where(fields, |name| name.as_str().starts_with("x-egret-"));
    if websocket {
        insert_upgrade(fields);
    }
}

fn remove_hop_by_hop(fields: &mut HeaderMap) {
    let named: Vec<HeaderName> = fields
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(trimmed(name)).ok())
        .filter(|name| !NEVER_REMOVED.contains(name))
        .collect();
    remove_where(fields, |name| {
        HOP_BY_HOP.contains(name) || named.contains(name) || name.as_str().starts_with("proxy-")
    });
}

/// Order of the others is kept, which removing one by one would not.
fn remove_where(fields: &mut HeaderMap, unwanted: impl Fn(&HeaderName) -> bool) {
    if !fields.keys().any(&unwanted) {
        return;
    }
    let mut last = None;
    for (name, value) in std::mem::take(fields) {
        last = name.or(last);
        match &last {
            Some(name) if !unwanted(name) => drop(fields.append(name, value)),
            _ => {}
        }
    }
}

fn insert_upgrade(fields: &mut HeaderMap) {
    fields.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    fields.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// Adds us to Via (RFC 9110 section 7.6.3) for a message that came as HTTP/1.`minor`.
pub(super) fn add_via(fields: &mut HeaderMap, minor: u8) {
    let via = HeaderValue::from_maybe_shared(format!("1.{minor} {}", *PSEUDONYM)).expect("made of visible ASCII");
    fields.append(VIA, via);
}

/// Whether a request came through us before.
pub(super) fn came_through_us(fields: &HeaderMap) -> bool {
    let mut hops = fields
        .get_all(VIA)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    hops.any(|hop| {
        let mut words = hop
            .split(|byte| matches!(byte, b' ' | b'\t'))
            .filter(|word| !word.is_empty());
        words
            .nth(1)
            .is_some_and(|by| by.eq_ignore_ascii_case(PSEUDONYM.as_bytes()))
    })
}

/// Max-Forwards (RFC 9110 section 7.6.2): hops that are left, one less afterwards. `None` where it is absent or no number.
pub(super) fn take_forward(fields: &mut HeaderMap) -> Option<u64> {
    let left: u64 = fields.get(MAX_FORWARDS)?.to_str().ok()?.parse().ok()?;
    if left > 0 {
        fields.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        lines.iter().map(pair).collect()
    }

    fn shown(fields: &HeaderMap) -> Vec<String> {
        let line = |(name, value): (&HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        fields.iter().map(line).collect()
    }

    #[test]
    fn c_44_hop_by_hop_fields_end_here() {
        let mut request = fields(&[
            ("Host", "api.example.com"),
            ("Accept", "a"),
            ("Connection", "close, Host, X-Secret, content-length"),
            ("Connection", "X-Other"),
            ("X-Secret", "1"),
            ("Accept", "b"),
            ("X-Other", "1"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Proxy-Authorization", "Basic x"),
            ("TE", "trailers, x"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("Content-Length", "5"),
            ("Authorization", "Bearer y"),
        ]);
        clean_request(&mut request, false);
        let left = [
            "host: api.example.com",
            "accept: a",
            "accept: b",
            "content-length: 5",
            "authorization: Bearer y",
        ];
        assert_eq!(shown(&request), left);
    }

    #[test]
    fn c_62_what_a_client_says_of_its_origin_is_dropped() {
        let mut request = fields(&[
            ("X-Forwarded-For", "10.0.0.1"),
            ("X-Forwarded-Host", "evil.test"),
            ("Forwarded", "for=10.0.0.1"),
            ("X-Egret-Source", "10.0.0.1"),
            ("X-Request-Id", "7"),
        ]);
        clean_request(&mut request, false);
        assert_eq!(shown(&request), ["x-request-id: 7"]);
    }

    #[test]
    fn c_57_an_upgrade_that_goes_on_is_websocket_alone() {
        let mut request = fields(&[
            ("Connection", "keep-alive, Upgrade"),
            ("Upgrade", "h2c, websocket"),
            ("X-A", "1"),
        ]);
        clean_request(&mut request, true);
        assert_eq!(shown(&request), ["x-a: 1", "connection: Upgrade", "upgrade: websocket"]);
        let mut response = fields(&[
            ("Proxy-Authenticate", "Basic"),
            ("X-Egret-Reason", "forged"),
            ("Alt-Svc", "clear"),
        ]);
        clean_response(&mut response, false);
        assert_eq!(shown(&response), ["alt-svc: clear"]);
    }

    #[test]
    fn c_46_a_request_that_came_through_us_is_known_by_its_via() {
        let mut request = fields(&[("Via", "1.1 other, 1.0 egret")]);
        assert!(!came_through_us(&request), "another egret is no loop");
        add_via(&mut request, 0);
        assert!(came_through_us(&request));
        assert_eq!(shown(&request)[1], format!("via: 1.0 {}", *PSEUDONYM));
        let mixed = format!("HTTP/1.1   {} (comment), 1.1 x", PSEUDONYM.to_uppercase());
        assert!(came_through_us(&fields(&[("Via", &mixed)])));
        assert!(
            !came_through_us(&fields(&[("Via", &PSEUDONYM)])),
            "a protocol stands before the name"
        );
    }

    #[test]
    fn c_45_forwards_are_counted_down() {
        for (sent, left, after) in [
            ("0", Some(0), "0"),
            ("3", Some(3), "2"),
            ("x", None, "x"),
            ("-1", None, "-1"),
        ] {
            let mut request = fields(&[("Max-Forwards", sent)]);
            assert_eq!(take_forward(&mut request), left);
            assert_eq!(shown(&request), [format!("max-forwards: {after}")]);
        }
        assert_eq!(take_forward(&mut HeaderMap::new()), None);
    }
}
