//! What a verdict means: loops, audit mode, and the wordings of a denial.

use crate::flight::with_sink;
use crate::sink::Sink;
use crate::world::{World, until};
use egret::lab::client::{Client, Hello, Road};
use serde_json::{Value, json};

fn connect(target: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\n\r\n")
}

fn egret(row: &Value) -> &Value {
    &row["properties"]["egret"]
}

#[tokio::test]
async fn c_46_x_05_egrets_own_listeners_are_no_destination() {
    let sink = Sink::start().await;
    let world = World::builder()
        .config(&sink.instead_of(&["0.0.0.0/0", "[::]/0"]))
        .record("own.openai.example.com A 127.0.0.1")
        .record("both.openai.example.com A 127.0.0.1")
        .record("both.openai.example.com AAAA ::1")
        .start()
        .await;
    let gateway = &world.gateway;
    let listeners = [
        gateway.proxy_addrs()[0],
        gateway.health_addrs()[0],
        gateway.admin_addrs()[0],
    ];
    let protocols: String = listeners
        .iter()
        .map(|at| at.port())
        .map(|port| format!("{{ type = \"Https\", port = {port} }}, {{ type = \"Http\", port = {port} }},"))
        .collect();
    // Even a policy that asks for it.
    world.reload(&format!(
        "[[application_rule_collection]]\nname = \"a\"\npriority = 100\naction = \"Allow\"\n\
         [[application_rule_collection.rule]]\nname = \"own\"\nsource_addresses = [\"*\"]\nprotocols = [{protocols}]\n\
         destination_fqdns = [\"*.openai.example.com\", \"localhost\"]\nresolves_into = [\"127.0.0.0/8\"]\n"
    ));
    let mut asked = 0;
    for port in listeners.map(|at| at.port()) {
        for (host, reasons) in [
            ("127.0.0.1", &["Loop"][..]),
            ("[::ffff:127.0.0.1]", &["Loop"]),
            ("own.openai.example.com", &["Loop"]),
            ("both.openai.example.com", &["Loop"]),
            ("2130706433", &["IpLiteral", "Loop"]),
            ("127.1", &["IpLiteral", "Loop"]),
            ("[::1]", &["IpLiteral"]),
            ("0.0.0.0", &["IpLiteral", "Loop"]),
            ("localhost", &["NameInvalid", "DnsNxdomain", "NoRuleMatched"]),
        ] {
            let get = format!("GET http://{host}:{port}/metrics HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
            for head in [connect(&format!("{host}:{port}")), get] {
                let (status, phrase) = world.ask(&head).await;
                asked += 1;
                assert!(status >= 400, "{head}: {phrase}");
                assert!(reasons.contains(&world.last_reason().as_str()), "{head}: {phrase}");
            }
        }
    }
    assert_eq!(sink.dials().await, 0, "nobody was dialled");
    assert_eq!(world.rule_rows().len(), asked, "and none of them came round again");
}

/// `mode` in what `/readyz` says.
async fn mode_in_health(world: &World) -> String {
    let health = Road::Proxy(world.gateway.health_addrs()[0]);
    let prober = Client::new("127.0.0.1".parse().unwrap(), health, world.lab.authority.clone());
    let reply = prober
        .ask("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let said: Value = serde_json::from_slice(&reply.body).unwrap();
    said["mode"].as_str().unwrap().to_string()
}

/// The catalogue's rules, an audited Deny collection in front of them and an enforced one.
const DENIALS: &str = r#"
[[application_rule_collection]]
name = "tried out"
priority = 100
action = "Deny"
mode = "audit"
  [[application_rule_collection.rule]]
  name = "tried out"
  source_addresses = ["*"]
  destination_fqdns = ["x.openai.example.com"]
[[application_rule_collection]]
name = "meant"
priority = 110
action = "Deny"
  [[application_rule_collection.rule]]
  name = "meant"
  source_addresses = ["*"]
  destination_fqdns = ["a.openai.example.com"]
[[application_rule_collection]]
name = "allowed"
priority = 200
action = "Allow"
  [[application_rule_collection.rule]]
  name = "allowed"
  source_addresses = ["*"]
  destination_fqdns = ["*.openai.example.com"]
"#;

#[tokio::test]
async fn l_12_an_audited_collection_lets_through_what_it_would_deny_and_no_other_does() {
    let world = World::builder()
        .policy(DENIALS)
        .record("x.blob.example.net A 203.0.113.10")
        .start()
        .await;
    let mut tunnel = world.tunnel("x.openai.example.com:443").await;
    tunnel.handshake(&Hello::to("x.openai.example.com")).await.unwrap();
    let row = world.row_of(&tunnel);
    assert_eq!(
        row["properties"]["Action"], "Allow",
        "Azure's columns tell what happened"
    );
    assert_eq!(
        egret(&row)["audit"],
        json!({ "action": "Deny", "behind": {
            "policy": "egret", "group": "default", "collection": "allowed", "rule": "allowed",
        } }),
        "what it would have been, and the rule that lets it through"
    );
    assert_eq!(egret(&row)["mode"], "audit");
    assert_eq!(row["properties"]["RuleCollection"], "tried out");
    assert_eq!(mode_in_health(&world).await, "audit", "a part of the policy is");

    for (target, rule) in [("a.openai.example.com:443", "meant"), ("evil.test:443", "")] {
        assert_eq!(world.ask(connect(target)).await.0, 403, "{target}");
        let row = world.last_row();
        assert_eq!(row["properties"]["Action"], "Deny", "{target}");
        assert_eq!(row["properties"]["Rule"], rule, "{target}");
        assert_eq!(egret(&row)["audit"], Value::Null, "{target}");
    }
    let mut tunnel = world.tunnel("other.openai.example.com:443").await;
    tunnel
        .send(
            &Hello::to("other.openai.example.com")
                .bytes(&world.lab.authority)
                .unwrap(),
        )
        .await
        .unwrap();
    until("the row", || world.find_row(&tunnel).is_some()).await;
    assert_eq!(
        egret(&world.row_of(&tunnel))["audit"],
        Value::Null,
        "allowed is allowed"
    );
}

#[tokio::test]
async fn l_12_audit_of_all_softens_the_rules_and_nothing_else() {
    let (world, sink) = with_sink(
        World::builder()
            .key("mode = \"audit\"")
            .record("to-sink.test A 203.0.113.200")
            .record("rebind.test A 127.0.0.1")
            .record("metadata.openai.example.com A 169.254.169.254"),
    )
    .await;
    assert_eq!(mode_in_health(&world).await, "audit");
    assert_eq!(mode_in_health(&World::usual().await).await, "enforce");
    // What no rule allows goes through, recorded.
    let mut tunnel = world.tunnel("evil.test:443").await;
    tunnel.handshake(&Hello::to("evil.test")).await.unwrap();
    let row = world.row_of(&tunnel);
    assert_eq!(row["properties"]["Action"], "Allow");
    assert_eq!(egret(&row)["reason"], "NoRuleMatched");
    assert_eq!(egret(&row)["audit"], json!({ "action": "Deny" }));
    assert!(world.site("forbidden").bytes() > 0);
    drop(tunnel);
    let of_evil = |row: &&Value| row["properties"]["Fqdn"] == "evil.test";
    until("the end of the flow", || {
        world.rows("EgretFlow").iter().any(|row| of_evil(&row))
    })
    .await;
    let rows = world.rows("EgretFlow");
    let flow = rows.iter().find(of_evil).unwrap();
    assert_eq!(flow["properties"]["Reason"], "NoRuleMatched", "as in the rule row");
    until("the site is done with it", || world.lab.open() == 0).await;
    let before = world.upstream_bytes();

    // Vetting, parser and loops are enforced,
    for (target, reason) in [
        ("rebind.test:443", "AddressDenied"),
        ("metadata.openai.example.com:443", "AddressDenied"),
        ("169.254.169.254:443", "IpLiteral"),
        ("no-such.test:443", "DnsNxdomain"),
        ("bad..name:443", "NameInvalid"),
        ("api.example.com", "BadAuthority"),
        (&format!("127.0.0.1:{}", world.proxy().port()), "Loop"),
    ] {
        let (status, phrase) = world.ask(connect(target)).await;
        assert!(status >= 400, "{target}: {phrase}");
        assert_eq!(world.last_reason(), reason, "{target}");
        let row = world.last_row();
        assert_eq!(row["properties"]["Action"], "Deny", "{target}");
        assert_eq!(egret(&row)["audit"], Value::Null, "{target}");
    }
    // and so is the gate.
    let hello = |sni| Hello::to(sni).bytes(&world.lab.authority).unwrap();
    for (flight, reason) in [
        (hello("evil.test"), "SniMismatch"),
        (
            Hello {
                sni: false,
                ..Hello::to("to-sink.test")
            }
            .bytes(&world.lab.authority)
            .unwrap(),
            "SniMissing",
        ),
        // Audit mode lets HTTP through as well as TLS, and it is neither.
        (b"SSH-2.0-x\r\n".to_vec(), "NotHttp"),
    ] {
        let mut tunnel = world.tunnel("to-sink.test:443").await;
        tunnel.send(&flight).await.unwrap();
        tunnel.to_end().await;
        assert_eq!(world.reason_of(&tunnel), reason);
        assert_eq!(world.row_of(&tunnel)["properties"]["Action"], "Deny", "{reason}");
        assert_eq!(egret(&world.row_of(&tunnel))["audit"], Value::Null, "{reason}");
    }
    assert_eq!(sink.bytes().await, 0);
    assert_eq!(world.upstream_bytes(), before);
}

/// A name that is for plain HTTP, where its rule trusts a private address, and one whose TLS a rule denies.
const HTTP_ALONE: &str = r#"
[[application_rule_collection]]
name = "tls"
priority = 100
action = "Deny"
  [[application_rule_collection.rule]]
  name = "tls"
  source_addresses = ["*"]
  protocols = [{ type = "Https", port = 8443 }]
  destination_fqdns = ["x.openai.example.com"]
[[application_rule_collection]]
name = "plain"
priority = 200
action = "Allow"
  [[application_rule_collection.rule]]
  name = "plain"
  source_addresses = ["*"]
  protocols = [{ type = "Http", port = 80 }, { type = "Http", port = 8443 }]
  destination_fqdns = ["*.openai.example.com"]
  resolves_into = ["10.1.2.0/24"]
"#;

#[tokio::test]
async fn l_12_audit_lets_tls_through_where_only_plain_http_is_allowed_and_the_other_way_round() {
    let world = World::builder()
        .key("mode = \"audit\"")
        .policy(HTTP_ALONE)
        .start()
        .await;
    for (target, reason, rule) in [
        ("a.openai.example.com:80", "NoRuleMatched", ""),
        ("a.openai.example.com:8443", "NoRuleMatched", ""),
        ("x.openai.example.com:8443", "RuleMatched", "tls"),
        ("evil.test:80", "NoRuleMatched", ""),
    ] {
        let name = target.split(':').next().unwrap();
        let hello = Hello::to(name).bytes(&world.lab.authority).unwrap();
        let before = world.upstream_bytes();
        let mut tunnel = world.tunnel(target).await;
        tunnel.send(&hello).await.unwrap();
        until(target, || world.upstream_bytes() >= before + hello.len() as u64).await;
        let row = world.row_of(&tunnel);
        let told = ["Protocol", "Action", "Rule"].map(|column| row["properties"][column].as_str().unwrap());
        assert_eq!(told, ["HTTPS", "Allow", rule], "{target}");
        assert_eq!(egret(&row)["reason"], reason, "{target}");
        assert_eq!(egret(&row)["audit"], json!({ "action": "Deny" }), "{target}");
    }
    // Plain HTTP where TLS or nothing is allowed.
    for target in ["evil.test:443", "x.openai.example.com:443"] {
        let mut tunnel = world.tunnel(target).await;
        let get = format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n");
        tunnel.send(get.as_bytes()).await.unwrap();
        until(target, || world.find_row(&tunnel).is_some()).await;
        let row = world.row_of(&tunnel);
        assert_eq!(row["properties"]["Protocol"], "HTTP", "{target}");
        assert_eq!(egret(&row)["audit"], json!({ "action": "Deny" }), "{target}");
    }
}

#[tokio::test]
async fn tls_that_audit_lets_through_leads_nowhere_that_the_rule_for_plain_http_alone_trusts() {
    let world = World::builder()
        .key("mode = \"audit\"")
        .policy(HTTP_ALONE)
        .record("private.openai.example.com A 10.1.2.3")
        .start()
        .await;
    let before = world.upstream_bytes();
    let mut tunnel = world.tunnel("private.openai.example.com:8443").await;
    let hello = Hello::to("private.openai.example.com")
        .bytes(&world.lab.authority)
        .unwrap();
    tunnel.send(&hello).await.unwrap();
    tunnel.to_end().await;
    let row = world.row_of(&tunnel);
    assert_eq!(
        (&row["properties"]["Action"], &egret(&row)["reason"]),
        (&json!("Deny"), &json!("AddressDenied"))
    );
    assert_eq!(egret(&row)["refused"], json!(["10.1.2.3"]));
    assert_eq!(world.upstream_bytes(), before);
    // What is allowed is not hurt by what is not.
    let mut tunnel = world.tunnel("private.openai.example.com:8443").await;
    let get = "GET / HTTP/1.1\r\nHost: private.openai.example.com:8443\r\n\r\n";
    tunnel.send(get.as_bytes()).await.unwrap();
    until("the request", || world.upstream_bytes() > before).await;
    assert_eq!(world.row_of(&tunnel)["properties"]["Rule"], "plain");
}

#[tokio::test]
async fn tls_in_a_tunnel_for_plain_http_is_told_as_the_rules_decide_it() {
    let world = World::builder().policy(HTTP_ALONE).start().await;
    for (name, reason, rule) in [
        ("x.openai.example.com", "RuleMatched", "tls"),
        ("a.openai.example.com", "NoRuleMatched", ""),
    ] {
        let mut tunnel = world.tunnel(&format!("{name}:8443")).await;
        let hello = Hello::to(name).bytes(&world.lab.authority).unwrap();
        tunnel.send(&hello).await.unwrap();
        tunnel.to_end().await;
        let row = world.row_of(&tunnel);
        let told = ["Protocol", "Action", "Rule"].map(|column| row["properties"][column].as_str().unwrap());
        assert_eq!(told, ["HTTPS", "Deny", rule], "{name}");
        assert_eq!(egret(&row)["reason"], reason, "{name}");
        assert_eq!(
            world
                .rule_rows()
                .iter()
                .filter(|row| row["properties"]["Fqdn"] == name)
                .count(),
            1
        );
    }
    assert_eq!(world.upstream_bytes(), 0);
}

/// A row names no rule that its protocol is not judged by.
#[tokio::test]
async fn a_denied_connect_is_told_by_the_protocol_of_the_rule_that_denies_it() {
    let rule = |name: &str, protocols: &str, fqdn: &str| {
        format!(
            "[[application_rule_collection.rule]]\nname = \"{name}\"\nsource_addresses = [\"*\"]\nprotocols = [{protocols}]\n\
             destination_fqdns = [\"{fqdn}\"]\n"
        )
    };
    let policy = format!(
        "[[application_rule_collection]]\nname = \"deny\"\npriority = 100\naction = \"Deny\"\n{}{}{}",
        rule("no-tls-on-80", "{ type = \"Https\", port = 80 }", "a.contoso.com"),
        rule("only-tls-on-80", "{ type = \"Https\", port = 80 }", "b.example.com"),
        rule(
            "no-http",
            "{ type = \"Http\", port = 80 }, { type = \"Http\", port = 8080 }",
            "*.contoso.com"
        ),
    );
    let world = World::builder().policy(&policy).start().await;
    for (target, protocol, rule) in [
        ("a.contoso.com:80", "HTTP", "no-http"),
        ("a.contoso.com:8080", "HTTP", "no-http"),
        ("b.example.com:80", "HTTPS", "only-tls-on-80"),
        ("c.example.com:80", "HTTP", ""),
        ("c.example.com:8080", "HTTPS", ""),
    ] {
        assert_eq!(world.client().connect(target).await.unwrap().status(), 403, "{target}");
        let row = world.last_row();
        let told = ["Protocol", "Action", "Rule"].map(|column| row["properties"][column].as_str().unwrap());
        assert_eq!(told, [protocol, "Deny", rule], "{target}");
    }
}

#[tokio::test]
async fn a_denial_may_be_worded_as_azures() {
    let world = World::builder()
        .config("[proxy]\ndeny_response = \"azure\"")
        .record("rebind.openai.example.com A 127.0.0.1")
        .start()
        .await;
    let said = "Action: Deny. Reason: No rule matched. Proceeding with default action.";
    let reply = world.client().ask(connect("evil.test:443")).await.unwrap();
    assert_eq!((reply.status, reply.phrase.as_str()), (470, said));
    assert_eq!(reply.text().trim_end(), said);
    assert_eq!(reply.header("connection"), Some("close"));
    assert_eq!(world.last_reason(), "NoRuleMatched", "rows are as ever");
    let plain = world
        .ask("GET http://evil.test/ HTTP/1.1\r\nHost: evil.test\r\n\r\n")
        .await;
    assert_eq!(
        (plain.0, plain.1.contains(said)),
        (470, true),
        "plain HTTP, of which others report it: {plain:?}"
    );
    let rebound = world.ask(connect("rebind.openai.example.com:443")).await;
    assert!(
        rebound.0 == 470 && rebound.1.contains("Action: Deny. Reason: AddressDenied."),
        "{rebound:?}"
    );
    // What is no matter of rules keeps its own status.
    assert_eq!(world.ask(connect("api.example.com")).await.0, 400);
    assert_eq!(world.ask(connect("no-such.openai.example.com:443")).await.0, 502);
    world.tunnel("api.example.com:443").await;
}

#[tokio::test]
async fn a_denial_may_tell_the_client_its_flow_alone() {
    let world = World::builder()
        .config("[proxy]\ndeny_detail = \"flow-id\"")
        .record("rebind.openai.example.com A 127.0.0.1")
        .start()
        .await;
    for (target, status, verb) in [
        ("evil.test:443", 403, "denied"),
        ("rebind.openai.example.com:443", 403, "denied"),
        ("no-such.openai.example.com:443", 502, "failed"),
    ] {
        let reply = world.client().ask(connect(target)).await.unwrap();
        let row = world.last_row();
        let flow = egret(&row)["flow"].as_str().unwrap();
        assert_eq!(reply.status, status, "{target}");
        assert_eq!(reply.phrase, format!("egret: {verb} (flow {})", &flow[8..]), "{target}");
        let host = target.split(':').next().unwrap();
        let said = format!("{}{:?}{}", reply.phrase, reply.headers, reply.text());
        for hidden in [host, egret(&row)["reason"].as_str().unwrap(), "catalogue", "127.0.0.1"] {
            assert!(!said.contains(hidden), "{target}: {hidden} in {said}");
        }
    }
}
