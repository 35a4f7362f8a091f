//! Private zones and private endpoints: whose private addresses are trusted, and names that must have one.

use crate::flight::with_sink;
use crate::sink::Sink;
use crate::world::{Builder, World, until};
use egret::lab::client::Hello;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Names that these scenarios ask for.
const POLICY: &str = r#"
[[application_rule_collection]]
name = "azure"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "names"
  source_addresses = ["*"]
  destination_fqdns = [
    "contoso-a.openai.azure.com", "contoso-b.openai.azure.com", "contoso-c.openai.azure.com",
    "contoso-d.openai.azure.com", "api.example.com", "evil.contoso.com", "contoso-a.search.windows.net",
    "*.openai.example.com", "*.priv.example.com", "*.plain.example.com", "xpriv.example.com", "*.svc.example.net",
  ]
"#;

/// A private zone, and one that is only forwarded.
const ZONES: &str = r#"
[[dns.zone]]
name = "priv.example.com"
forwarders = ["{private}"]
private = true
networks = ["10.0.0.0/8"]
[[dns.zone]]
name = "plain.example.com"
forwarders = ["{private}"]
"#;

fn egret(row: &Value) -> &Value {
    &row["properties"]["egret"]
}

fn connect(name: &str) -> String {
    format!("CONNECT {name}:443 HTTP/1.1\r\n\r\n")
}

/// The allowed site stands at 10.1.2.3 and at 203.0.113.10.
fn builder() -> Builder {
    World::builder().policy(POLICY)
}

impl World {
    /// A first flight for the name arrives at the site that stands at this address.
    async fn reaches(&self, name: &str, address: &str) {
        let ip: IpAddr = address.parse().unwrap();
        let (dials, bytes) = (self.lab.dialled(ip), self.upstream_bytes());
        let mut tunnel = self.tunnel(&format!("{name}:443")).await;
        let flight = Hello::to(name).bytes(&self.lab.authority).unwrap();
        tunnel.send(&flight).await.unwrap();
        until(&format!("{name} reaches {address}"), || {
            self.upstream_bytes() >= bytes + flight.len() as u64
        })
        .await;
        assert_eq!(self.lab.dialled(ip), dials + 1, "{name}: {address} was dialled");
        assert_eq!(egret(&self.row_of(&tunnel))["address"], address);
    }

    /// The name is refused for this reason, and nobody is dialled.
    async fn refuses_name(&self, name: &str, reason: &str, why: &str) {
        let dialled = || ["10.1.2.3", "203.0.113.10", "203.0.113.66"].map(|ip| self.lab.dialled(ip.parse().unwrap()));
        let before = dialled();
        let (_, phrase) = self.ask(connect(name)).await;
        assert_eq!(self.last_reason(), reason, "{name}, {why}: {phrase}");
        assert_eq!(self.last_row()["properties"]["Action"], "Deny");
        assert_eq!(dialled(), before, "{name}, {why}: somebody was dialled");
    }
}

#[tokio::test]
async fn d_04_a_private_zone_vouches_for_its_own_names_inside_its_networks() {
    let world = builder()
        .config(ZONES)
        .private_record("db.priv.example.com A 10.1.2.3")
        .private_record("far.priv.example.com A 192.168.1.1")
        .private_record("db.plain.example.com A 10.1.2.3")
        .record("xpriv.example.com A 10.1.2.3")
        .start()
        .await;
    world.reaches("db.priv.example.com", "10.1.2.3").await;
    for (name, why) in [
        ("far.priv.example.com", "outside the zone's networks"),
        (
            "db.plain.example.com",
            "the same answer from a zone that is not private",
        ),
        ("xpriv.example.com", "another zone, in spite of its letters"),
    ] {
        world.refuses_name(name, "AddressDenied", why).await;
    }
    assert_eq!(
        world.dns().queries("db.priv.example.com"),
        0,
        "the public server is not asked"
    );
}

#[tokio::test]
async fn d_05_d_06_the_private_server_wins_and_nobody_stands_in_for_it() {
    let zone = "[[dns.zone]]\nname = \"openai.example.com\"\nforwarders = [\"{private}\"]\nprivate = true\n\
                [[dns.record]]\nname = \"own.openai.example.com\"\na = [\"10.1.2.3\"]\nprivate = true\n";
    let world = builder()
        .config(zone)
        .record("t.privatelink.openai.example.com A 203.0.113.66")
        .private_record("t.privatelink.openai.example.com A 10.1.2.3")
        .private_record("broken.openai.example.com SERVFAIL")
        .record("broken.openai.example.com A 203.0.113.66")
        .record("gone.openai.example.com A 203.0.113.66")
        .start()
        .await;
    world.reaches("t.privatelink.openai.example.com", "10.1.2.3").await;
    world.reaches("own.openai.example.com", "10.1.2.3").await;
    world
        .refuses_name(
            "broken.openai.example.com",
            "DnsServfail",
            "the public server would know",
        )
        .await;
    world
        .refuses_name("gone.openai.example.com", "DnsNxdomain", "the public server would know")
        .await;
    assert_eq!(world.dns().total(), 0, "no name of the zone leaks to the public server");
}

/// Real shapes of names with a private endpoint, as one forwarder that recurses answers them.
fn shapes(builder: Builder) -> Builder {
    builder
        .record("contoso-a.openai.azure.com CNAME contoso-a.privatelink.openai.azure.com")
        .record("contoso-a.privatelink.openai.azure.com A 10.1.2.3")
        .record("contoso-b.openai.azure.com CNAME contoso-b.privatelink.openai.azure.com")
        .record("contoso-b.privatelink.openai.azure.com CNAME prod.trafficmanager.example")
        .record("prod.trafficmanager.example A 203.0.113.10")
        .record("contoso-c.openai.azure.com A 203.0.113.10")
        .record("contoso-d.openai.azure.com CNAME contoso-d.privatelink.openai.azure.com")
        .record("contoso-d.privatelink.openai.azure.com A 203.0.113.10")
        .record("contoso-d.privatelink.openai.azure.com A 10.1.2.3")
}

#[tokio::test]
async fn d_07_under_require_a_name_with_a_private_endpoint_ends_in_private_addresses() {
    let world = shapes(builder().config("[private_endpoints]\nmode = \"require\"\nnetworks = [\"10.1.0.0/16\"]\n"))
        .start()
        .await;
    world.reaches("contoso-a.openai.azure.com", "10.1.2.3").await;
    world
        .refuses_name(
            "contoso-b.openai.azure.com",
            "PublicResolution",
            "the chain leaves by the public endpoint",
        )
        .await;
    assert_eq!(egret(&world.last_row())["refused"], json!(["203.0.113.10"]));
    world
        .refuses_name(
            "contoso-c.openai.azure.com",
            "PublicResolution",
            "a flattened public answer",
        )
        .await;
    world.reaches("contoso-d.openai.azure.com", "10.1.2.3").await;
    assert_eq!(
        egret(&world.last_row())["refused"],
        json!(["203.0.113.10"]),
        "dropped and named"
    );
    world.reaches("api.example.com", "203.0.113.10").await;
}

#[tokio::test]
async fn d_07_under_log_it_is_recorded_and_under_off_it_is_not_asked() {
    for (mode, flagged) in [("log", json!(true)), ("off", json!(null))] {
        let world = shapes(builder().config(&format!("[private_endpoints]\nmode = \"{mode}\"\n")))
            .start()
            .await;
        for name in ["contoso-b.openai.azure.com", "contoso-c.openai.azure.com"] {
            world.reaches(name, "203.0.113.10").await;
            assert_eq!(egret(&world.last_row())["public_resolution"], flagged, "{mode}, {name}");
        }
        for (name, address) in [
            ("contoso-a.openai.azure.com", "10.1.2.3"),
            ("api.example.com", "203.0.113.10"),
        ] {
            world.reaches(name, address).await;
            assert_eq!(
                egret(&world.last_row())["public_resolution"],
                json!(null),
                "{mode}, {name}"
            );
        }
    }
}

#[tokio::test]
async fn d_07_require_may_be_asked_of_a_rule_or_of_a_tag_alone() {
    let policy = r#"
[fqdn_tag.AzureOpenAI]
resource = ["contoso-b"]
[[application_rule_collection]]
name = "azure"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "exempt"
  source_addresses = ["127.0.1.9"]
  destination_fqdns = ["contoso-b.openai.azure.com"]
  private_endpoints = "off"
  [[application_rule_collection.rule]]
  name = "tagged"
  source_addresses = ["*"]
  destination_fqdn_tags = ["AzureOpenAI"]
  [[application_rule_collection.rule]]
  name = "strict"
  source_addresses = ["*"]
  destination_fqdns = ["contoso-c.openai.azure.com"]
  private_endpoints = "require"
  [[application_rule_collection.rule]]
  name = "other"
  source_addresses = ["*"]
  destination_fqdns = ["contoso-e.search.windows.net"]
"#;
    let world = shapes(World::builder())
        .record("contoso-e.search.windows.net A 203.0.113.10")
        .config("[private_endpoints.tags]\nAzureOpenAI = \"require\"\n")
        .policy(policy)
        .start()
        .await;
    world
        .refuses_name("contoso-b.openai.azure.com", "PublicResolution", "by its tag")
        .await;
    world
        .refuses_name("contoso-c.openai.azure.com", "PublicResolution", "by its rule")
        .await;
    world.reaches("contoso-e.search.windows.net", "203.0.113.10").await;
    let exempt = world
        .client_at("127.0.1.9")
        .connect("contoso-b.openai.azure.com:443")
        .await
        .unwrap();
    assert_eq!(
        exempt.status(),
        200,
        "its rule goes before the tag: {}",
        exempt.phrase()
    );
}

#[tokio::test]
async fn d_07_a_missing_record_in_a_private_zone_has_a_hint() {
    let zone = "[[dns.zone]]\nname = \"openai.azure.com\"\nforwarders = [\"{private}\"]\n";
    let world = builder()
        .config(zone)
        .private_record("contoso-a.openai.azure.com CNAME contoso-a.privatelink.openai.azure.com")
        .private_record("contoso-a.privatelink.openai.azure.com NXDOMAIN")
        .record("contoso-a.openai.azure.com A 203.0.113.66")
        .start()
        .await;
    let reply = world.client().ask(connect("contoso-a.openai.azure.com")).await.unwrap();
    assert_eq!(reply.status, 502);
    assert_eq!(world.last_reason(), "DnsNxdomain");
    let detail = egret(&world.last_row())["detail"].as_str().unwrap().to_string();
    assert!(detail.contains("private endpoint"), "{detail}");
    assert!(
        reply.text().contains(&detail),
        "the client is told, too: {}",
        reply.text()
    );
    assert_eq!(world.dns().total(), 0);
}

#[tokio::test]
async fn d_10_a_public_name_cannot_pull_an_answer_out_of_a_private_zone() {
    let world = builder()
        .config(ZONES)
        .record("evil-ok.openai.example.com CNAME db.priv.example.com")
        // what the public view says of the private name is not believed
        .record("db.priv.example.com A 203.0.113.66")
        .private_record("db.priv.example.com A 10.1.2.3")
        .start()
        .await;
    world
        .refuses_name(
            "evil-ok.openai.example.com",
            "AddressDenied",
            "an alias into a private zone",
        )
        .await;
    assert_eq!(egret(&world.last_row())["refused"], json!(["10.1.2.3"]));
    assert!(
        world.private_dns().queries("db.priv.example.com") > 0,
        "asked of its own zone"
    );
    assert_eq!(world.dns().queries("db.priv.example.com"), 0);
}

#[tokio::test]
async fn d_10_a_name_of_another_service_or_owner_cannot_use_a_private_link_zone() {
    let world = builder()
        .record("evil.contoso.com CNAME contoso-a.privatelink.openai.azure.com")
        .record("contoso-a.search.windows.net CNAME contoso-a.privatelink.openai.azure.com")
        .record("contoso-a.openai.azure.com CNAME contoso-a.privatelink.openai.azure.com")
        .record("contoso-a.privatelink.openai.azure.com A 10.1.2.3")
        .start()
        .await;
    for name in ["evil.contoso.com", "contoso-a.search.windows.net"] {
        world.refuses_name(name, "AddressDenied", "not the paired zone").await;
        assert_eq!(egret(&world.last_row())["refused"], json!(["10.1.2.3"]));
    }
    world.reaches("contoso-a.openai.azure.com", "10.1.2.3").await;
}

#[tokio::test]
async fn d_10_a_private_record_vouches_for_its_own_name_alone() {
    let record = "[[dns.record]]\nname = \"db.openai.example.com\"\na = [\"10.1.2.3\"]\nprivate = true\n";
    let world = builder()
        .config(record)
        .record("evil-ok.openai.example.com CNAME db.openai.example.com")
        .start()
        .await;
    world
        .refuses_name(
            "evil-ok.openai.example.com",
            "AddressDenied",
            "an alias of a private record",
        )
        .await;
    world.reaches("db.openai.example.com", "10.1.2.3").await;
}

#[tokio::test]
async fn d_10_a_private_link_zone_speaks_for_the_public_zone_paired_with_it() {
    let link = "[[dns.zone]]\nname = \"privatelink.svc.example.net\"\nforwarders = [\"{private}\"]\nprivate = true\n\
                [[dns.zone]]\nname = \"openai.azure.com\"\nforwarders = [\"{private}\"]\n";
    let world = builder()
        .config(link)
        .record("x.svc.example.net CNAME x.privatelink.svc.example.net")
        .private_record("x.privatelink.svc.example.net A 10.1.2.3")
        .private_record("contoso-a.openai.azure.com CNAME contoso-a.privatelink.openai.azure.com")
        .private_record("contoso-a.privatelink.openai.azure.com A 10.1.2.3")
        .record("y.openai.example.com CNAME x.privatelink.svc.example.net")
        .start()
        .await;
    world.reaches("x.svc.example.net", "10.1.2.3").await;
    world.reaches("contoso-a.openai.azure.com", "10.1.2.3").await;
    world
        .refuses_name("y.openai.example.com", "AddressDenied", "not the paired zone")
        .await;
}

#[tokio::test]
async fn private_endpoints_live_in_their_networks() {
    let networks = "[private_endpoints]\nnetworks = [\"10.2.0.0/16\"]\n";
    let world = shapes(builder().config(networks)).start().await;
    world
        .refuses_name(
            "contoso-a.openai.azure.com",
            "AddressDenied",
            "10.1.2.3 is not in 10.2.0.0/16",
        )
        .await;
}

#[tokio::test]
async fn a_rule_may_say_where_its_names_resolve_into_and_a_reload_takes_it_back() {
    let policy = |into: &str| {
        format!(
            "[[application_rule_collection]]\nname = \"a\"\npriority = 100\naction = \"Allow\"\n\
             [[application_rule_collection.rule]]\nname = \"into\"\nsource_addresses = [\"*\"]\n\
             destination_fqdns = [\"in.openai.example.com\"]\n{into}\n\
             [[application_rule_collection.rule]]\nname = \"not\"\nsource_addresses = [\"*\"]\n\
             destination_fqdns = [\"not.openai.example.com\"]\n"
        )
    };
    let builder = World::builder().policy(&policy("resolves_into = [\"10.9.0.0/16\"]"));
    let sink = Sink::start().await;
    let (world, _other) = with_sink(
        builder
            .config(&sink.instead_of(&["10.0.0.0/8"]))
            .record("in.openai.example.com A 10.9.0.1")
            .record("in.openai.example.com A 10.8.0.1")
            .record("not.openai.example.com A 10.9.0.1"),
    )
    .await;
    let flight = Hello::to("in.openai.example.com").bytes(&world.lab.authority).unwrap();
    let mut tunnel = world.gate_passes(&sink, "in.openai.example.com:443", &flight).await;
    assert_eq!(egret(&world.row_of(&tunnel))["refused"], json!(["10.8.0.1"]));
    world
        .refuses_name("not.openai.example.com", "AddressDenied", "another rule's networks")
        .await;
    assert_eq!(sink.dials().await, 1);

    let (_, revoked) = world.reload(&policy(""));
    assert_eq!(revoked, 1, "what it led to may not be dialled any more");
    tunnel.to_end().await;
    until("the row", || world.reason_of(&tunnel) == "Revoked").await;
    assert_eq!(egret(&world.row_of(&tunnel))["detail"], "AddressDenied");
}
