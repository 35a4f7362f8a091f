//! `explicit_network_rules = true`: network rules judge what comes to the proxy port, before application rules.

use crate::far::Origin;
use crate::rows::of;
use crate::sink::Sink;
use crate::tables::faults;
use crate::world::{Builder, World, until};
use egret::lab::client::{Ended, Hello};
use serde_json::{Value, json};
use std::sync::Arc;

/// A jump host by address, a database by name, a forbidden network; names of `example.com` by application rules.
const POLICY: &str = r#"
[[network_rule_collection]]
name = "forbidden"
priority = 100
action = "Deny"
  [[network_rule_collection.rule]]
  name = "visitors"
  protocols = ["TCP"]
  source_addresses = ["127.0.4.0/24"]
  destination_fqdns = ["db.example.com", "old.example.com"]
  destination_ports = ["*"]
  [[network_rule_collection.rule]]
  name = "quarantine"
  protocols = ["Any"]
  source_addresses = ["*"]
  destination_addresses = ["198.51.100.128/25"]
  destination_fqdns = ["old.example.com"]
  destination_ports = ["*"]

[[network_rule_collection]]
name = "allowed"
priority = 200
action = "Allow"
  [[network_rule_collection.rule]]
  name = "jump"
  protocols = ["TCP"]
  source_addresses = ["127.0.1.0/24"]
  destination_addresses = ["198.51.100.0/24", "10.9.0.0/16", "2001:db8:9::/48"]
  destination_ports = ["22", "8000-8100"]
  [[network_rule_collection.rule]]
  name = "database"
  protocols = ["TCP"]
  source_addresses = ["*"]
  destination_fqdns = ["db.example.com"]
  destination_ports = ["1433"]
  [[network_rule_collection.rule]]
  name = "anything"
  protocols = ["TCP"]
  source_addresses = ["127.0.2.0/24"]
  destination_addresses = ["*"]
  destination_ports = ["*"]

[[application_rule_collection]]
name = "apps"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "example"
  source_addresses = ["*"]
  protocols = [{ type = "Https", port = 443 }, { type = "Http", port = 80 }]
  destination_fqdns = ["*.example.com"]
"#;

/// What is spoken here is no TLS and no HTTP.
const SSH: &[u8] = b"SSH-2.0-client\r\n";

pub(crate) fn world(to: &str) -> Builder {
    World::builder()
        .key("explicit_network_rules = true")
        .policy(POLICY)
        .record("db.example.com A 198.51.100.7")
        .record("old.example.com A 198.51.100.8")
        .record("moved.example.com A 198.51.100.200")
        .record("both.example.com A 198.51.100.200")
        .record("both.example.com A 198.51.100.9")
        .record("metadata.example.com A 169.254.169.254")
        .config(&format!(
            "[[dial.override]]\nfrom = \"0.0.0.0/0:*\"\nto = \"{to}\"\n[[dial.override]]\nfrom = \"[::]/0:*\"\nto = \"{to}\""
        ))
}

/// The only row of a decision, which is one of network rules with exactly Azure's columns.
fn network_row(world: &World) -> Value {
    let rows = world.rows("AZFWNetworkRule");
    let [row] = &rows[..] else {
        panic!("one row: {:#?}", world.log.lines())
    };
    assert_eq!(faults(row), [""; 0]);
    assert_eq!(world.rule_rows(), [] as [Value; 0], "and no other row of a decision");
    row.clone()
}

#[tokio::test]
async fn an_address_that_a_network_rule_allows_is_tunnelled_without_a_gate() {
    for target in ["198.51.100.7:22", "10.9.8.7:8080", "[2001:db8:9::7]:22"] {
        let echo = Origin::echo().await;
        let world = world(&echo.address.to_string()).start().await;
        let mut connected = world.client_at("127.0.1.5").connect(target).await.unwrap();
        assert_eq!(connected.status(), 200, "{target}: {}", connected.phrase());
        connected.wire.send(SSH).await.unwrap();
        assert_eq!(connected.wire.take(SSH.len()).await.unwrap(), SSH, "{target}");
        let row = network_row(&world);
        let (ip, port) = target.rsplit_once(':').unwrap();
        let ip = ip.replace(['[', ']'], "");
        for (column, value) in [
            ("Protocol", json!("TCP")),
            ("SourceIp", json!("127.0.1.5")),
            ("SourcePort", json!(connected.wire.local().port())),
            ("DestinationIp", json!(ip)),
            ("DestinationPort", json!(port.parse::<u16>().unwrap())),
            ("Action", json!("Allow")),
            ("Policy", json!("egret")),
            ("RuleCollectionGroup", json!("default")),
            ("RuleCollection", json!("allowed")),
            ("Rule", json!("jump")),
            ("ActionReason", json!("")),
        ] {
            assert_eq!(of(&row, column), &value, "{column}");
        }
        drop(connected);
        until("the tunnel ends", || !world.rows("EgretFlow").is_empty()).await;
        let end = world.rows("EgretFlow").pop().unwrap();
        assert_eq!(of(&end, "BytesSent"), SSH.len());
        assert_eq!(of(&end, "Reason"), "RuleMatched");
    }
}

#[tokio::test]
async fn a_name_that_a_network_rule_names_exactly_is_tunnelled_without_a_gate() {
    let echo = Origin::echo().await;
    let world = world(&echo.address.to_string()).start().await;
    let mut connected = world.client().connect("DB.example.com.:1433").await.unwrap();
    assert_eq!(connected.status(), 200, "{}", connected.phrase());
    connected.wire.send(b"\x12\x01\x00\x34").await.unwrap();
    assert_eq!(connected.wire.take(4).await.unwrap(), b"\x12\x01\x00\x34");
    let row = network_row(&world);
    assert_eq!(of(&row, "DestinationIp"), "198.51.100.7");
    assert_eq!(of(&row, "Rule"), "database");
    assert_eq!(of(&row, "egret")["fqdn"], "db.example.com");
}

#[tokio::test]
async fn what_network_rules_do_not_allow_is_denied_and_nobody_is_dialled() {
    let sink = Sink::start().await;
    let world = world(&sink.address.to_string()).start().await;
    for (source, target, reason, rule, why) in [
        (
            "127.0.1.5",
            "198.51.100.200:22",
            "RuleMatched",
            "quarantine",
            "a denied address",
        ),
        (
            "127.0.2.5",
            "198.51.100.200:22",
            "RuleMatched",
            "quarantine",
            "denied before all is allowed",
        ),
        ("127.0.1.5", "198.51.100.7:23", "NoRuleMatched", "", "another port"),
        ("127.0.3.5", "198.51.100.7:22", "NoRuleMatched", "", "another source"),
        ("127.0.1.5", "203.0.113.9:22", "NoRuleMatched", "", "another address"),
        (
            "127.0.3.5",
            "old.example.com:443",
            "RuleMatched",
            "quarantine",
            "a denied name, though an application rule allows it",
        ),
        (
            "127.0.3.5",
            "moved.example.com:443",
            "RuleMatched",
            "quarantine",
            "an allowed name that leads to a denied address",
        ),
        // Vetting holds whatever a network rule allows.
        (
            "127.0.2.5",
            "169.254.169.254:80",
            "AddressDenied",
            "anything",
            "instance metadata",
        ),
        (
            "127.0.2.5",
            "168.63.129.16:80",
            "AddressDenied",
            "anything",
            "Azure's wire server",
        ),
        ("127.0.2.5", "127.0.0.1:22", "AddressDenied", "anything", "loopback"),
        (
            "127.0.2.5",
            "[::ffff:169.254.169.254]:80",
            "AddressDenied",
            "anything",
            "mapped",
        ),
    ] {
        let before = world.rows("AZFWNetworkRule").len();
        let denied = world.client_at(source).connect(target).await.unwrap();
        assert_eq!(denied.status(), 403, "{why}: {}", denied.phrase());
        assert!(denied.phrase().contains(reason), "{why}: {}", denied.phrase());
        let rows = world.rows("AZFWNetworkRule");
        assert_eq!(rows.len(), before + 1, "{why}");
        let row = &rows[before];
        assert_eq!(faults(row), [""; 0], "{why}");
        assert_eq!(of(row, "Action"), "Deny", "{why}");
        assert_eq!(of(row, "Rule"), rule, "{why}");
        assert_eq!(of(row, "egret")["reason"], reason, "{why}");
    }
    assert_eq!(world.rule_rows(), [] as [Value; 0]);
    assert_eq!(sink.dials().await, 0, "somebody was dialled");
}

#[tokio::test]
async fn plain_http_is_judged_by_network_rules_too() {
    let answer = |mut stream: tokio::net::TcpStream| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut head = [0; 1024];
        let _ = stream.read(&mut head).await;
        let _ = stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            .await;
    };
    let origin = Origin::serving("127.0.0.1:0", answer).await;
    let world = world(&origin.address.to_string()).start().await;
    let get = |url: &str| format!("GET {url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let reply = world
        .client_at("127.0.1.5")
        .ask(get("http://198.51.100.7:8080/"))
        .await
        .unwrap();
    assert_eq!((reply.status, reply.text().as_str()), (200, "hi"));
    assert_eq!(of(&network_row(&world), "Rule"), "jump");
    for (url, why) in [
        ("http://198.51.100.200:8080/", "a denied address"),
        ("http://old.example.com/", "a denied name"),
        ("http://moved.example.com/", "a name that leads to a denied address"),
    ] {
        let reply = world.client_at("127.0.1.5").ask(get(url)).await.unwrap();
        assert_eq!(reply.status, 403, "{why}");
        let row = world.rows("AZFWNetworkRule").pop().unwrap();
        assert_eq!(of(&row, "Rule"), "quarantine", "{why}");
    }
}

#[tokio::test]
async fn application_rules_decide_and_gate_what_no_network_rule_speaks_of() {
    let echo = Origin::echo().await;
    let world = world(&echo.address.to_string()).start().await;
    // From this source a network rule allows every address; that opens no name.
    let client = world.client_at("127.0.2.5");
    let mut tunnel = client.connect("both.example.com:443").await.unwrap();
    assert_eq!(
        tunnel.status(),
        200,
        "one of its addresses is not denied: {}",
        tunnel.phrase()
    );
    let hello = Hello::to("both.example.com").bytes(&world.lab.authority).unwrap();
    tunnel.wire.send(&hello).await.unwrap();
    tunnel.wire.take(hello.len()).await.unwrap();
    let row = world.last_row();
    assert_eq!(of(&row, "Rule"), "example");
    assert_eq!(of(&row, "egret")["address"], "198.51.100.9");
    assert_eq!(of(&row, "egret")["refused"], json!(["198.51.100.200"]));
    let mut gated = client.connect("both.example.com:443").await.unwrap();
    gated.wire.send(SSH).await.unwrap();
    gated.wire.to_end().await;
    assert_eq!(world.last_reason(), "NotTls");
}

#[tokio::test]
async fn without_the_setting_network_rules_have_no_say() {
    let sink = Sink::start().await;
    let builder = World::builder().policy(POLICY).config(&sink.instead_of(&["0.0.0.0/0"]));
    let world = builder.record("old.example.com A 198.51.100.8").start().await;
    let denied = world.client_at("127.0.1.5").connect("198.51.100.7:22").await.unwrap();
    assert_eq!((denied.status(), world.last_reason().as_str()), (403, "IpLiteral"));
    assert_eq!(sink.dials().await, 0);
    let allowed = world.client().connect("old.example.com:443").await.unwrap();
    assert_eq!(allowed.status(), 200, "by the application rule, as in Azure");
    assert_eq!(world.rows("AZFWNetworkRule"), [] as [Value; 0]);
}

#[tokio::test]
async fn l_07_a_reload_judges_ungated_tunnels_again() {
    let echo = Origin::echo().await;
    let world = Arc::new(world(&echo.address.to_string()).start().await);
    let open = async |source: &str, target: &str| {
        let mut wire = world.client_at(source).connect(target).await.unwrap().wire;
        wire.send(SSH).await.unwrap();
        wire.take(SSH.len()).await.unwrap();
        wire
    };
    let mut jump = open("127.0.1.5", "198.51.100.7:22").await;
    let mut database = open("127.0.0.1", "db.example.com:1433").await;
    let mut kept = open("127.0.1.5", "10.9.8.7:22").await;
    // The jump host's network is denied now. The database's port is allowed by an application rule alone, whose gate the
    // tunnel never passed.
    let policy = POLICY
        .replace("198.51.100.128/25", "198.51.100.0/25")
        .replace(
            "destination_fqdns = [\"db.example.com\"]",
            "destination_fqdns = [\"db2.example.com\"]",
        )
        .replace("port = 443", "port = 1433");
    let reloading = world.clone();
    let reloaded = tokio::task::spawn_blocking(move || reloading.reload(&policy))
        .await
        .unwrap();
    assert_eq!(reloaded, (2, 2));
    for (wire, why) in [(&mut jump, "an address"), (&mut database, "a name")] {
        assert_eq!(wire.to_end().await.1, Ended::Reset, "{why}");
    }
    until("their rows", || {
        let rows = world.rows("AZFWNetworkRule");
        rows.iter()
            .filter(|row| of(row, "egret")["reason"] == "Revoked")
            .count()
            == 2
    })
    .await;
    kept.send(b"goes on").await.unwrap();
    assert_eq!(kept.take(7).await.unwrap(), b"goes on");
}

#[tokio::test]
async fn audit_mode_lets_a_denied_address_through_and_says_so() {
    let echo = Origin::echo().await;
    let world = world(&echo.address.to_string()).key("mode = \"audit\"").start().await;
    let mut connected = world.client().connect("198.51.100.200:22").await.unwrap();
    assert_eq!(connected.status(), 200, "{}", connected.phrase());
    connected.wire.send(SSH).await.unwrap();
    connected.wire.take(SSH.len()).await.unwrap();
    let row = network_row(&world);
    assert_eq!(
        (of(&row, "Action"), of(&row, "Rule")),
        (&json!("Allow"), &json!("quarantine"))
    );
    assert_eq!(of(&row, "egret")["audit"], json!({ "action": "Deny" }));
    // Nobody vouches for a private address that no rule allows.
    let denied = world.client().connect("10.8.8.8:22").await.unwrap();
    assert_eq!(denied.status(), 403, "{}", denied.phrase());
}

/// Enforced, the address that nothing denies would be dialled, and the application rule decide.
#[tokio::test]
async fn audit_mode_tells_of_no_denial_that_enforcing_would_not_make() {
    let echo = Origin::echo().await;
    for mode in ["enforce", "audit"] {
        let mode = format!("mode = \"{mode}\"");
        let world = world(&echo.address.to_string()).key(&mode).start().await;
        let mut tunnel = world.client().connect("both.example.com:443").await.unwrap();
        let hello = Hello::to("both.example.com").bytes(&world.lab.authority).unwrap();
        tunnel.wire.send(&hello).await.unwrap();
        tunnel.wire.take(hello.len()).await.unwrap();
        let row = world.last_row();
        assert_eq!(of(&row, "Rule"), "example", "{mode}");
        assert_eq!(of(&row, "Action"), "Allow", "{mode}");
        assert_eq!(of(&row, "egret")["audit"]["action"], Value::Null, "{mode}");
        assert_eq!(world.rows("AZFWNetworkRule"), [] as [Value; 0], "{mode}");
    }
}

/// The tunnel leads where its CONNECT asked to go; what is denied is the name inside, and where that one leads.
#[tokio::test]
async fn the_row_of_a_name_inside_a_tunnel_tells_of_that_name_alone() {
    let sink = Sink::start().await;
    let world = world(&sink.address.to_string())
        .config("[proxy]\nsni_mismatch = \"decide\"")
        .start()
        .await;
    for (sni, address, reason, rule) in [
        ("moved.example.com", "198.51.100.200", "RuleMatched", "quarantine"),
        ("old.example.com", "", "RuleMatched", "quarantine"),
    ] {
        let mut tunnel = world.client().connect("both.example.com:443").await.unwrap();
        let hello = Hello::to(sni).bytes(&world.lab.authority).unwrap();
        tunnel.wire.send(&hello).await.unwrap();
        tunnel.wire.to_end().await;
        let row = world.rows("AZFWNetworkRule").pop().unwrap();
        assert_eq!(faults(&row), [""; 0], "{sni}");
        assert_eq!(of(&row, "DestinationIp"), address, "{sni}");
        assert_eq!(of(&row, "Rule"), rule, "{sni}");
        let egret = of(&row, "egret");
        for (key, value) in [
            ("reason", json!(reason)),
            ("fqdn", json!(sni)),
            ("name_source", json!("sni")),
            ("sni", json!(sni)),
            ("requested", json!("both.example.com:443")),
            ("address", Value::Null),
        ] {
            assert_eq!(egret[key], value, "{sni}: {key}");
        }
        let way = egret["dns"].to_string();
        assert!(!way.contains("both.example.com"), "{sni}: {way}");
    }
    assert_eq!(sink.bytes().await, 0, "something was sent");
}

/// What denies the address denies it in TLS as well, whatever the tunnel was opened for.
#[tokio::test]
async fn audit_mode_tells_of_tls_in_a_tunnel_for_plain_http_what_would_deny_its_address() {
    let echo = Origin::echo().await;
    let world = world(&echo.address.to_string()).key("mode = \"audit\"").start().await;
    for (name, table, rule) in [
        ("moved.example.com", "AZFWNetworkRule", "quarantine"),
        // Enforced, the other address would be dialled, and no application rule allows TLS on port 80.
        ("both.example.com", "AZFWApplicationRule", ""),
    ] {
        let mut tunnel = world.client().connect(&format!("{name}:80")).await.unwrap();
        let hello = Hello::to(name).bytes(&world.lab.authority).unwrap();
        tunnel.wire.send(&hello).await.unwrap();
        tunnel.wire.take(hello.len()).await.unwrap();
        let rows = world.rows(table);
        let row = rows
            .last()
            .unwrap_or_else(|| panic!("{name}: {:#?}", world.log.lines()));
        assert_eq!(
            (of(row, "Action"), of(row, "Rule")),
            (&json!("Allow"), &json!(rule)),
            "{name}"
        );
        assert_eq!(of(row, "egret")["audit"]["action"], "Deny", "{name}");
    }
}

/// In a network with DNS64 an address with the prefix 64:ff9b::/96 is the IPv4 host itself (RFC 6052).
#[tokio::test]
async fn an_address_that_embeds_a_denied_one_is_denied_with_it() {
    let sink = Sink::start().await;
    let world = world(&sink.address.to_string())
        .record("six.example.com AAAA 64:ff9b::c633:64c8")
        .start()
        .await;
    for (source, target) in [
        ("127.0.2.5", "[64:ff9b::c633:64c8]:22"),
        ("127.0.2.5", "[64:ff9b::198.51.100.200]:443"),
        ("127.0.3.5", "six.example.com:443"),
    ] {
        let denied = world.client_at(source).connect(target).await.unwrap();
        assert_eq!(denied.status(), 403, "{target}: {}", denied.phrase());
        let row = world.rows("AZFWNetworkRule").pop().unwrap();
        assert_eq!(of(&row, "Rule"), "quarantine", "{target}");
    }
    let narrow = world
        .client_at("127.0.1.5")
        .connect("[64:ff9b::c633:6407]:22")
        .await
        .unwrap();
    assert_eq!(
        narrow.status(),
        403,
        "a rule that allows 198.51.100.7 says nothing of another address"
    );
    assert_eq!(sink.dials().await, 0, "somebody was dialled");
}

/// Azure's rules know IPv4 alone, and say everything by `0.0.0.0/0`.
#[tokio::test]
async fn what_denies_all_of_ipv4_leaves_no_way_by_ipv6() {
    let sink = Sink::start().await;
    let policy = POLICY.replace("[\"198.51.100.128/25\"]", "[\"0.0.0.0/1\", \"128.0.0.0/1\"]");
    let world = world(&sink.address.to_string())
        .policy(&policy)
        .record("dual.example.com A 203.0.113.9")
        .record("dual.example.com AAAA 2606:4700::1")
        .start()
        .await;
    for target in ["dual.example.com:443", "[2606:4700::1]:443"] {
        let denied = world.client_at("127.0.2.5").connect(target).await.unwrap();
        assert_eq!(denied.status(), 403, "{target}: {}", denied.phrase());
        let row = world.rows("AZFWNetworkRule").pop().unwrap();
        assert_eq!(of(&row, "Rule"), "quarantine", "{target}");
    }
    assert_eq!(sink.dials().await, 0, "somebody was dialled");
}
