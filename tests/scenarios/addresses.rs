//! Vetting: which addresses of an answer are dialled, whatever the policy, the zones and the records say.
//!
//! Where "nothing is dialled" is the claim, every address there is leads to a sink that counts who connects to it.

use crate::far::nobody;
use crate::flight::with_sink;
use crate::sink::Sink;
use crate::world::{Builder, World, until};
use egret::lab::client::Hello;
use egret::lab::dns::{Behaviour, LabDns};
use hickory_proto::rr::{RData, RecordType, rdata::A};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Never dialled, whatever vouches for them.
const NEVER: [(&str, &str); 27] = [
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("0.0.0.0", "unspecified: the kernel makes loopback of it"),
    ("169.254.169.254", "instance metadata"),
    ("169.254.1.1", "link-local"),
    ("168.63.129.16", "Azure's wire server"),
    ("192.0.0.192", "metadata of another cloud"),
    ("198.18.0.1", "benchmarking"),
    ("224.0.0.1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::1", "loopback"),
    ("::", "unspecified"),
    ("fe80::1", "link-local"),
    ("fec0::1", "site-local"),
    ("ff02::1", "multicast"),
    ("100::1", "discard"),
    ("fd00:ec2::254", "metadata of another cloud"),
    ("::ffff:169.254.169.254", "mapped"),
    ("::ffff:127.0.0.1", "mapped"),
    ("::10.0.0.1", "IPv4-compatible"),
    ("64:ff9b::a9fe:a9fe", "metadata through NAT64"),
    ("64:ff9b:1::a00:1", "private through local NAT64"),
    ("2002:a9fe:a9fe::1", "metadata through 6to4"),
    ("2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"),
    ("fd00::5efe:10.0.0.1", "ISATAP"),
    ("2001:db8::200:5efe:7f00:1", "ISATAP"),
];

/// Dialled only where a zone, a record or a rule vouches for them.
const PRIVATE: [(&str, &str); 7] = [
    ("10.1.2.3", "RFC 1918"),
    ("172.16.0.1", "RFC 1918"),
    ("192.168.1.1", "RFC 1918"),
    ("100.64.0.1", "CGNAT"),
    ("fc00::1", "ULA"),
    ("fd12:3456::1", "ULA"),
    ("::ffff:10.1.2.3", "mapped"),
];

/// The catalogue's rule, which vouches for every address.
const LAX_POLICY: &str = r#"
[[application_rule_collection]]
name = "lax"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "lax"
  source_addresses = ["*"]
  destination_fqdns = ["*.openai.example.com", "*.lab.example.com"]
  resolves_into = ["0.0.0.0/0", "::/0"]
  private_endpoints = "off"
"#;

fn connect(name: &str) -> String {
    format!("CONNECT {name}:443 HTTP/1.1\r\n\r\n")
}

/// Everything that might be dialled leads to the sink.
async fn trapped(builder: Builder) -> (World, Sink) {
    let sink = Sink::start().await;
    let world = builder.config(&sink.instead_of(&["0.0.0.0/0", "[::]/0"])).start().await;
    (world, sink)
}

/// A name that leads to this address alone.
fn lead(dns: &LabDns, name: &str, address: &str) {
    dns.forget(name).address_of(name, address.parse().unwrap());
}

/// The name is refused for its address, which the row names; nobody is dialled.
async fn is_denied(world: &World, sink: &Sink, name: &str, address: &str, why: &str) {
    let (status, phrase) = world.ask(connect(name)).await;
    assert_eq!(status, 403, "{address}, {why}: {phrase}");
    assert_eq!(world.last_reason(), "AddressDenied", "{address}, {why}");
    let refused: IpAddr = address.parse().unwrap();
    let row = world.last_row();
    assert_eq!(
        row["properties"]["egret"]["refused"],
        json!([refused.to_canonical().to_string()]),
        "{address}, {why}"
    );
    assert_eq!(sink.dials().await, 0, "{address}, {why}: somebody was dialled");
}

#[tokio::test]
async fn d_01_d_02_addresses_that_no_name_may_lead_to() {
    let (world, sink) = trapped(World::builder()).await;
    for (n, (address, why)) in NEVER.into_iter().chain(PRIVATE).enumerate() {
        let name = format!("n{n}.openai.example.com");
        lead(world.dns(), &name, address);
        is_denied(&world, &sink, &name, address, why).await;
        assert!(world.dns().queries(&name) > 0, "it was asked for");
    }
}

#[tokio::test]
async fn d_01_d_02_no_zone_or_rule_vouches_for_what_is_never_dialled() {
    let zone = "[[dns.zone]]\nname = \"openai.example.com\"\nforwarders = [\"{private}\"]\nprivate = true\n\
                networks = [\"0.0.0.0/0\", \"::/0\"]\n";
    let (world, sink) = trapped(World::builder().policy(LAX_POLICY).config(zone)).await;
    for (n, (address, why)) in NEVER.into_iter().enumerate() {
        let name = format!("n{n}.openai.example.com");
        lead(world.private_dns(), &name, address);
        is_denied(&world, &sink, &name, address, why).await;
    }
    // The control: it does vouch for all others.
    for (n, (address, why)) in PRIVATE.into_iter().enumerate() {
        let name = format!("p{n}.openai.example.com");
        lead(world.private_dns(), &name, address);
        let connected = world.client().connect(&format!("{name}:443")).await.unwrap();
        assert_eq!(connected.status(), 200, "{address}, {why}");
    }
}

#[tokio::test]
async fn d_01_d_02_no_record_of_the_configuration_vouches_for_what_is_never_dialled() {
    let record = |(n, (address, _)): (usize, (&str, &str))| {
        let kind = if address.contains(':') { "aaaa" } else { "a" };
        format!(
            "[[dns.record]]\nname = \"n{n}.lab.example.com\"\n{kind} = [\"{address}\"]\nprivate = true\n\
             networks = [\"0.0.0.0/0\", \"::/0\"]\n"
        )
    };
    let records: String = NEVER.into_iter().enumerate().map(record).collect();
    let (world, sink) = trapped(World::builder().policy(LAX_POLICY).config(&records)).await;
    for (n, (address, why)) in NEVER.into_iter().enumerate() {
        is_denied(&world, &sink, &format!("n{n}.lab.example.com"), address, why).await;
    }
    assert_eq!(world.dns().total(), 0, "records of one's own are not asked for");
}

#[tokio::test]
async fn d_01_x_05_an_address_of_this_machine_is_never_dialled() {
    let (world, sink) = trapped(World::builder().policy(LAX_POLICY)).await;
    // Which source address the kernel would take: nothing is sent.
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = match socket.connect("203.0.113.1:9") {
        Ok(()) => socket.local_addr().unwrap().ip(),
        Err(_) => Ipv4Addr::LOCALHOST.into(),
    };
    lead(world.dns(), "own.openai.example.com", &own.to_string());
    is_denied(&world, &sink, "own.openai.example.com", &own.to_string(), "our own").await;
}

#[tokio::test]
async fn d_03_refused_addresses_of_a_mixed_answer_are_not_dialled_and_are_named() {
    let sink = Sink::start().await;
    let world = World::builder()
        .config(&sink.instead_of(&["127.0.0.0/8", "10.0.0.0/8", "[::1]/128"]))
        .record("mixed.openai.example.com A 127.0.0.1")
        .record("mixed.openai.example.com A 203.0.113.10")
        .record("mixed.openai.example.com A 10.1.2.3")
        .record("mixed.openai.example.com AAAA ::1")
        .start()
        .await;
    let mut tunnel = world.tunnel("mixed.openai.example.com:443").await;
    let flight = Hello::to("mixed.openai.example.com")
        .bytes(&world.lab.authority)
        .unwrap();
    tunnel.send(&flight).await.unwrap();
    until("the public one is used", || world.site("allowed").bytes() > 0).await;
    let egret = &world.row_of(&tunnel)["properties"]["egret"];
    assert_eq!(egret["address"], "203.0.113.10");
    assert_eq!(egret["refused"], json!(["::1", "127.0.0.1", "10.1.2.3"]));
    assert_eq!(sink.dials().await, 0);
}

#[tokio::test]
async fn d_03_refused_addresses_are_no_fallback_when_the_public_one_is_down() {
    let sink = Sink::start().await;
    let closed = nobody();
    let world = World::builder()
        .config(&format!(
            "[[dial.override]]\nfrom = \"203.0.113.99:*\"\nto = \"{closed}\"\n"
        ))
        .config(&sink.instead_of(&["127.0.0.0/8"]))
        .record("down.openai.example.com A 203.0.113.99")
        .record("down.openai.example.com A 127.0.0.1")
        .start()
        .await;
    let (status, phrase) = world.ask(connect("down.openai.example.com")).await;
    assert_eq!(status, 502, "{phrase}");
    assert_eq!(world.last_reason(), "UpstreamRefused");
    let row = world.last_row();
    let told = ["Action", "ActionReason"].map(|column| row["properties"][column].as_str());
    assert_eq!(told, [Some("Allow"), Some("")], "a rule allowed it: {row}");
    assert_eq!(sink.dials().await, 0);
}

#[tokio::test]
async fn d_12_an_answer_that_changes_its_mind_is_judged_again_each_time() {
    let (world, sink) = trapped(World::builder()).await;
    let name = "rebind.openai.example.com";
    let now = |address: [u8; 4]| {
        let data = RData::A(A(address.into()));
        world.dns().forget(name).record(name, 0, data);
    };
    now([203, 0, 113, 10]);
    let open = world.tunnel(&format!("{name}:443")).await;
    assert_eq!(sink.dials().await, 1);
    now([127, 0, 0, 1]);
    for _ in 0..3 {
        assert_eq!(world.ask(connect(name)).await.0, 403);
        assert_eq!(world.last_reason(), "AddressDenied");
    }
    assert_eq!(sink.dials().await, 1, "only the address that had passed was dialled");
    now([203, 0, 113, 10]);
    // What was refused is not remembered.
    world.tunnel(&format!("{name}:443")).await;
    drop(open);
}

#[tokio::test]
async fn d_13_the_dialled_address_is_the_judged_one_and_the_name_is_resolved_once() {
    let (world, sink) = trapped(World::builder()).await;
    let name = "toctou.openai.example.com";
    world.dns().record(name, 0, RData::A(A::new(203, 0, 113, 10)));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    // The first question for an address gets a public one; whoever asks again is led to loopback.
    world.dns().behave(
        name,
        Behaviour::Packets(Arc::new(move |question, mut answer| {
            if question.queries[0].query_type() == RecordType::A && count.fetch_add(1, SeqCst) > 0 {
                answer.answers[0].data = RData::A(A::new(127, 0, 0, 1));
            }
            vec![answer.to_vec().unwrap()]
        })),
    );
    let mut tunnel = world.tunnel(&format!("{name}:443")).await;
    let flight = Hello::to(name).bytes(&world.lab.authority).unwrap();
    tunnel.send(&flight).await.unwrap();
    world.passed_the_gate(&sink, &tunnel, &flight).await;
    assert_eq!(world.row_of(&tunnel)["properties"]["egret"]["address"], "203.0.113.10");
    assert_eq!(asked.load(SeqCst), 1, "resolved once, with a TTL of 0");
    assert_eq!(
        world.ask(connect(name)).await.0,
        403,
        "the next attempt is another resolution"
    );
    assert_eq!(world.last_reason(), "AddressDenied");
    assert_eq!(sink.dials().await, 1);
}

#[tokio::test]
async fn d_08_an_alias_is_judged_by_its_owner_and_its_address_and_the_chain_is_in_the_row() {
    let (world, sink) = with_sink(
        World::builder()
            .record("alias.openai.example.com CNAME evil.test")
            .record("trick.openai.example.com CNAME inner.test")
            .record("inner.test A 127.0.0.1"),
    )
    .await;
    let mut tunnel = world.tunnel("alias.openai.example.com:443").await;
    let flight = Hello::to("alias.openai.example.com")
        .bytes(&world.lab.authority)
        .unwrap();
    tunnel.send(&flight).await.unwrap();
    until("the alias leads on", || world.site("forbidden").bytes() > 0).await;
    let row = world.row_of(&tunnel);
    assert_eq!(row["properties"]["Fqdn"], "alias.openai.example.com");
    let path: Vec<&str> = row["properties"]["egret"]["dns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step.as_str().unwrap())
        .collect();
    assert!(
        path[0].starts_with("alias.openai.example.com CNAME evil.test (zone ., server 127.0.0.1:"),
        "{path:?}"
    );
    assert!(path[1].starts_with("evil.test A 203.0.113.66 (zone ., "), "{path:?}");
    drop(sink);

    // Being an alias excuses no address.
    assert_eq!(world.ask(connect("trick.openai.example.com")).await.0, 403);
    assert_eq!(world.last_reason(), "AddressDenied");
}
