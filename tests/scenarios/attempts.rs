//! Each attempt that was decided has a row of it, and each row says of which attempt it is.

use crate::audited::{self, ask, builder, origin};
use crate::far::{BlackHole, Origin, nobody};
use crate::rows::{QUARANTINE, decisions, of};
use crate::tables::faults;
use crate::world::{World, until};
use egret::lab::client::{Hello, Wire};
use serde_json::{Value, json};
use socket2::SockRef;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

/// What a row says of a decision.
fn shown(row: &Value) -> [String; 4] {
    assert_eq!(faults(row), [""; 0]);
    let egret = of(row, "egret");
    let name = match of(row, "Fqdn") {
        Value::Null => &egret["fqdn"],
        name => name,
    };
    let audit = &egret["audit"]["action"];
    [name, of(row, "Action"), &egret["reason"], audit].map(|value| value.as_str().unwrap_or("-").to_owned())
}

/// How a client goes.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// It ends its side, and reads on.
    HalfClosed,
    Closed,
    Reset,
}

async fn leave(mut wire: Wire, how: Leaves) -> Option<Wire> {
    match how {
        Leaves::HalfClosed => {
            wire.finish().await.unwrap();
            return Some(wire);
        }
        Leaves::Closed => {}
        Leaves::Reset => SockRef::from(wire.stream()).set_linger(Some(Duration::ZERO)).unwrap(),
    }
    None
}

#[tokio::test]
async fn a_client_that_leaves_while_its_target_is_dialled_leaves_the_row_of_its_decision() {
    let hole = BlackHole::start();
    let world = builder(&hole.address.to_string(), "").start().await;
    let get = |host: &str| format!("GET http://{host}/ HTTP/1.1\r\nHost: x\r\n\r\n");
    let connect = |target: &str| format!("CONNECT {target} HTTP/1.1\r\n\r\n");
    for (head, how, name, audit) in [
        (
            connect("www.example.com:443"),
            Leaves::HalfClosed,
            "www.example.com",
            "-",
        ),
        (connect("www.example.com:443"), Leaves::Closed, "www.example.com", "-"),
        (connect("www.example.com:80"), Leaves::Reset, "www.example.com", "-"),
        (get("www.example.com"), Leaves::Reset, "www.example.com", "-"),
        (connect("evil.test:443"), Leaves::HalfClosed, "evil.test", "Deny"),
        (
            connect("moved.example.com:443"),
            Leaves::Closed,
            "moved.example.com",
            "Deny",
        ),
        (get("moved.example.com"), Leaves::Reset, "moved.example.com", "Deny"),
    ] {
        let before = decisions(&world).len();
        let mut wire = world.client().open().await.unwrap();
        let port = wire.local().port();
        wire.send(head.as_bytes()).await.unwrap();
        world.shows("egret_dials_pending 1").await;
        assert_eq!(decisions(&world).len(), before, "{head}: its end is open");
        let _wire = leave(wire, how).await;
        let end = || {
            let ends = world.rows("EgretFlow");
            ends.into_iter().find(|row| of(row, "SourcePort") == port)
        };
        until("the flow ends", || end().is_some()).await;
        let ended = ["Stage", "Reason", "End"].map(|column| of(&end().unwrap(), column).as_str().unwrap().to_owned());
        assert_eq!(ended[..2], ["Connect", "ClientClosed"], "{head}");
        let rows = decisions(&world);
        let [row] = &rows[before..] else {
            panic!("{head}: {rows:#?}")
        };
        assert_eq!(shown(row), [name, "Allow", "ClientClosed", audit], "{head}");
        assert_eq!(of(row, "egret")["address"], Value::Null, "{head}: connected to none");
    }
}

/// Its upstream was connected to: nothing else tells that a rule allowed that.
#[tokio::test]
async fn a_client_that_leaves_its_tunnel_before_it_says_anything_leaves_the_row_of_its_decision() {
    let echo = Origin::echo().await;
    let world = builder(&echo.address.to_string(), "").start().await;
    for (target, audit) in [
        ("www.example.com:443", "-"),
        ("www.example.com:80", "-"),
        ("evil.test:443", "Deny"),
        ("evil.test:80", "Deny"),
    ] {
        let before = decisions(&world).len();
        let tunnel = world.client().connect(target).await.unwrap();
        assert_eq!(tunnel.status(), 200, "{target}");
        drop(tunnel);
        until("the row", || decisions(&world).len() > before).await;
        let rows = decisions(&world);
        let [row] = &rows[before..] else {
            panic!("{target}: {rows:#?}")
        };
        let (name, port) = target.split_once(':').unwrap();
        assert_eq!(shown(row), [name, "Allow", "ClientClosed", audit], "{target}");
        let protocol = if port == "80" { "HTTP" } else { "HTTPS" };
        let egret = of(row, "egret");
        assert_eq!(
            (of(row, "Protocol"), &egret["name_source"], &egret["requested"]),
            (&json!(protocol), &json!("connect"), &json!(target))
        );
        assert!(egret["address"].is_string(), "{target}: it was connected to");
        until("the end", || world.rows("EgretFlow").len() == before + 1).await;
    }
}

/// By which protocol's rules it may pass is known, though nothing was spoken.
#[tokio::test]
async fn a_connect_that_carries_nothing_is_told_by_the_protocol_that_may_pass() {
    let echo = Origin::echo().await;
    let more = "{ type = \"Https\", port = 80 }, { type = \"Http\", port = 80 }, { type = \"Http\", port = 8080 }";
    let apps = audited::POLICY.replace("{ type = \"Http\", port = 80 }", more);
    for (to, status, reason) in [(echo.address, 200, "ClientClosed"), (nobody(), 502, "UpstreamRefused")] {
        let world = World::builder()
            .policy(&apps)
            .record("www.example.com A 198.51.100.7")
            .config(&format!("[[dial.override]]\nfrom = \"0.0.0.0/0:*\"\nto = \"{to}\""));
        let world = world.start().await;
        for (at, (port, protocol)) in [(443, "HTTPS"), (80, "HTTPS"), (8080, "HTTP")].into_iter().enumerate() {
            let target = format!("www.example.com:{port}");
            let tunnel = world.client().connect(&target).await.unwrap();
            assert_eq!(tunnel.status(), status, "{target}");
            drop(tunnel);
            until("the row", || decisions(&world).len() > at).await;
            let row = decisions(&world).swap_remove(at);
            assert_eq!(shown(&row), ["www.example.com", "Allow", reason, "-"], "{target}");
            assert_eq!(
                (of(&row, "Protocol"), of(&row, "Rule")),
                (&json!(protocol), &json!("example")),
                "{target}"
            );
        }
    }
}

/// It has said something, and not all: however it goes, that is no ClientHello.
#[tokio::test]
async fn a_client_that_leaves_within_its_hello_is_told_alike_however_it_goes() {
    let echo = Origin::echo().await;
    let world = builder(&echo.address.to_string(), "").start().await;
    let hello = Hello::to("www.example.com").bytes(&world.lab.authority).unwrap();
    for (at, how) in [Leaves::HalfClosed, Leaves::Closed, Leaves::Reset]
        .into_iter()
        .enumerate()
    {
        let mut tunnel = world.client().connect("www.example.com:443").await.unwrap();
        tunnel.wire.send(&hello[..50]).await.unwrap();
        // It is read before the reset, which would overtake it.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let _wire = leave(tunnel.wire, how).await;
        until("the row", || decisions(&world).len() > at).await;
        assert_eq!(
            shown(&decisions(&world).swap_remove(at)),
            ["www.example.com", "Deny", "TlsIncomplete", "-"],
            "{how:?}"
        );
    }
}

/// Enforcing would end it at its CONNECT: whoever reads rows for that must see it.
#[tokio::test]
async fn a_connect_that_audit_mode_let_through_is_told_beside_the_name_of_its_hello() {
    let echo = Origin::echo().await;
    let world = builder(&echo.address.to_string(), "")
        .record("bad.test A 198.51.100.7")
        .record("both.example.com A 198.51.100.200")
        .record("both.example.com A 198.51.100.7")
        .config("[proxy]\nsni_mismatch = \"decide\"")
        .start()
        .await;
    let allowed = |name| [name, "Allow", "RuleMatched", "-"];
    for (connect, sni, rows) in [
        (
            "bad.test",
            "www.example.com",
            vec![
                ["bad.test", "Allow", "NoRuleMatched", "Deny"],
                allowed("www.example.com"),
            ],
        ),
        (
            "moved.example.com",
            "both.example.com",
            vec![
                ["moved.example.com", "Allow", "RuleMatched", "Deny"],
                allowed("both.example.com"),
            ],
        ),
        (
            "both.example.com",
            "both.example.com",
            vec![allowed("both.example.com")],
        ),
        // It ends at the gate in any mode: nobody let it through.
        (
            "bad.test",
            "moved.example.com",
            vec![["moved.example.com", "Deny", "SniMismatch", "-"]],
        ),
    ] {
        let before = decisions(&world).len();
        let mut tunnel = world.client().connect(&format!("{connect}:443")).await.unwrap();
        let hello = Hello::to(sni).bytes(&world.lab.authority).unwrap();
        tunnel.wire.send(&hello).await.unwrap();
        match rows.last() {
            Some([_, "Allow", ..]) => drop(tunnel.wire.take(hello.len()).await.unwrap()),
            _ => drop(tunnel.wire.to_end().await),
        }
        let told = decisions(&world);
        let told: Vec<_> = told[before..].iter().map(shown).collect();
        assert_eq!(told, rows, "{connect} {sni}");
    }
    let row = decisions(&world).swap_remove(0);
    let egret = of(&row, "egret");
    assert_eq!(
        (&egret["name_source"], &egret["address"], &egret["sni"]),
        (&json!("connect"), &json!("198.51.100.7"), &json!("www.example.com"))
    );
}

/// Of two addresses audit mode would leave one: that is told by all of them, of each request.
#[tokio::test]
async fn each_request_of_a_kept_connection_tells_where_its_name_leads_in_audit_mode() {
    let origin = origin(Arc::default()).await;
    let world = builder(&origin.address.to_string(), "")
        .record("both.example.com A 198.51.100.200")
        .record("both.example.com A 198.51.100.7")
        .start()
        .await;
    let mut wire = world.client().open().await.unwrap();
    let mut tunnel = world.client().connect("both.example.com:80").await.unwrap();
    for _ in 0..2 {
        ask(&mut wire, "http://both.example.com/").await;
        ask(&mut tunnel.wire, "/both.example.com").await;
    }
    let rows = decisions(&world);
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(shown(&row), ["both.example.com", "Allow", "RuleMatched", "-"]);
        let steps = of(&row, "egret")["dns"].as_array().map(Vec::len);
        assert_eq!(steps, Some(2), "{row:#}");
    }
}

/// The CONNECT of a tunnel for plain HTTP has no row of its own: with its first request it is one attempt, of which each hit is told
/// once.
#[tokio::test]
async fn what_lists_say_of_a_connect_and_of_the_first_request_behind_it_is_told_once() {
    let list = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attempts.txt");
    std::fs::write(&list, "198.51.100.200\nmoved.example.com\n").unwrap();
    let lists = format!("[threat_intelligence]\nmode = \"Alert\"\nfiles = [{list:?}]\n");
    let origin = origin(Arc::default()).await;
    // Where TLS may be spoken too, the connection of the CONNECT is not that of the request.
    let either = "{ type = \"Https\", port = 80 }, { type = \"Https\", port = 443 }";
    for protocols in ["{ type = \"Https\", port = 443 }", either] {
        let apps = audited::POLICY.replace("{ type = \"Https\", port = 443 }", protocols);
        let world = builder(&origin.address.to_string(), "").policy(&format!("{lists}{QUARANTINE}{apps}"));
        let world = world.start().await;
        let hits = || world.rows("AZFWThreatIntel").len();
        let mut tunnel = world.client().connect("moved.example.com:80").await.unwrap();
        assert_eq!(hits(), 2, "the name, and where it leads");
        for asked in 1..=3 {
            ask(&mut tunnel.wire, "/").await;
            assert_eq!(hits(), 2 * asked, "{protocols}");
        }
    }
}

/// The same where upstream has closed the connection of the CONNECT before anything was asked.
#[tokio::test]
async fn what_lists_say_of_a_connect_is_told_once_though_upstream_closes_before_the_first_request() {
    let list = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("attempts.closed.txt");
    std::fs::write(&list, "198.51.100.200\n").unwrap();
    let lists = format!("[threat_intelligence]\nmode = \"Alert\"\nfiles = [{list:?}]\n");
    let (idle, first) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(true)));
    let closes = idle.clone();
    let origin = Origin::serving("127.0.0.1:0", move |mut stream| {
        let (closes, first) = (closes.clone(), first.swap(false, SeqCst));
        async move {
            if first {
                return closes.notified().await;
            }
            let _ = stream.read(&mut [0; 512]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                .await;
            let _ = stream.read(&mut [0; 512]).await;
        }
    })
    .await;
    let to = origin.address;
    let world = World::builder()
        .policy(&(lists + audited::POLICY))
        .record("moved.example.com A 198.51.100.200")
        .config(&format!("[[dial.override]]\nfrom = \"0.0.0.0/0:*\"\nto = \"{to}\""));
    let world = world.start().await;
    let hits = || world.rows("AZFWThreatIntel").len();
    let mut tunnel = world.client().connect("moved.example.com:80").await.unwrap();
    assert_eq!(hits(), 1);
    world.shows("egret_tunnels_open 1").await;
    idle.notify_one();
    world.shows("egret_tunnels_open 0").await;
    ask(&mut tunnel.wire, "/").await;
    assert_eq!(hits(), 1, "of one attempt");
}

/// What a request inside a tunnel asks for that cannot be read is shown, and its name is that of the CONNECT.
#[tokio::test]
async fn a_request_in_a_tunnel_that_cannot_be_read_is_shown_as_it_was_sent() {
    let world = World::usual().await;
    for (head, reason, requested, host) in [
        (
            "GET http://evil.test/a?key=secret HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            "BadRequest",
            "http://evil.test/a",
            json!("api.example.com"),
        ),
        (
            "GET /b HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            "HostMismatch",
            "/b",
            json!("evil.test"),
        ),
        (
            "GET /c HTTP/1.1\r\nHost: api.example.com\r\nA b: c\r\n\r\n",
            "BadRequest",
            "/c",
            Value::Null,
        ),
    ] {
        let mut tunnel = world.client().connect("api.example.com:80").await.unwrap();
        tunnel.wire.send(head.as_bytes()).await.unwrap();
        tunnel.wire.reply("GET").await.unwrap();
        let row = world.last_row();
        assert_eq!(shown(&row), ["api.example.com", "Deny", reason, "-"], "{head}");
        let egret = of(&row, "egret");
        assert_eq!(
            (&egret["name_source"], &egret["requested"], &egret["host"]),
            (&json!("connect"), &json!(requested), &host),
            "{head}"
        );
    }
}

/// The tunnel leads somewhere already: the row tells where, so that TLS is known to have been spoken.
#[tokio::test]
async fn tls_in_a_tunnel_for_plain_http_is_told_with_where_the_tunnel_leads() {
    let world = World::usual().await;
    let mut tunnel = world.client().connect("api.example.com:80").await.unwrap();
    let hello = Hello::to("api.example.com").bytes(&world.lab.authority).unwrap();
    tunnel.wire.send(&hello).await.unwrap();
    tunnel.wire.to_end().await;
    let row = world.last_row();
    assert_eq!(shown(&row), ["api.example.com", "Deny", "NoRuleMatched", "-"]);
    let egret = of(&row, "egret");
    assert_eq!(
        (of(&row, "Protocol"), &egret["address"], &egret["requested"]),
        (&json!("HTTPS"), &json!("203.0.113.10"), &json!("api.example.com:80"))
    );
    assert_eq!(egret["dns"].as_array().map(Vec::len), Some(1));
}
