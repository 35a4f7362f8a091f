//! Names as clients send them: in CONNECT, in a URL, in an SNI. What a pattern admits, what is no name, whose name it is.

use crate::corpus::case;
use crate::flight::{Flight, SINK, with_sink};
use crate::sink::Sink;
use crate::world::{Builder, POLICY, World};

/// A tunnel in which other names are tried as SNI, where `sni_mismatch` has them decided.
const TARGET: &str = "t.openai.example.com:443";

fn connect(name: &str) -> String {
    format!("CONNECT {name}:443 HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn get(name: &str) -> String {
    format!("GET http://{name}/ HTTP/1.1\r\nHost: {name}\r\n\r\n")
}

/// A hello of a real client, with this SNI.
fn hello(name: &str) -> Vec<u8> {
    Flight::read(&case("ossl-def")).sni(Some(name)).record()
}

/// A world where an SNI is an attempt of its own and every name below `openai.example.com` leads to a sink.
async fn deciding(builder: Builder) -> (World, Sink) {
    let (world, sink) = with_sink(builder.config("[proxy]\nsni_mismatch = \"decide\"")).await;
    for name in ["a.openai.example.com", "a.b.c.d.openai.example.com"] {
        world.dns().forget(name);
    }
    world.dns().address_of("*.openai.example.com", SINK.parse().unwrap());
    (world, sink)
}

/// A name is refused with this reason in CONNECT, as the host of a URL, and as the SNI of an allowed tunnel, and is looked
/// up for none of them.
async fn refused_everywhere(world: &World, sink: &Sink, name: &str, reason: &str) {
    // A URL of other than printable ASCII is no request target at all.
    let in_url = [reason, "BadRequest"];
    let in_url = &in_url[..if name.is_ascii() { 1 } else { 2 }];
    world.refuses([connect(name)], &[400, 403], &[reason]).await;
    world.refuses([get(name)], &[400, 403], in_url).await;
    let in_sni = match reason {
        "NameInvalid" => "SniInvalid",
        "IpLiteral" => "SniIpLiteral",
        other => other,
    };
    assert_eq!(world.gate_refuses(sink, TARGET, &hello(name)).await, in_sni, "{name}");
    assert_eq!(world.dns().queries(name), 0, "{name}");
}

async fn all_refused(reason: &str, names: &[&str]) {
    let (world, sink) = deciding(World::builder()).await;
    for name in names {
        refused_everywhere(&world, &sink, name, reason).await;
    }
}

/// The status of a CONNECT.
async fn status(world: &World, source: &str, target: &str) -> u16 {
    world.client_at(source).connect(target).await.unwrap().status()
}

#[tokio::test]
async fn n_01_n_02_n_03_n_11_names_that_only_look_like_allowed_ones_match_no_rule() {
    all_refused(
        "NoRuleMatched",
        &[
            "evilopenai.example.com",
            "openai.example.com.evil.test",
            "openai.example.com",
            "xapi.example.com",
            "x.api.example.com",
            // `openai` with a Cyrillic o
            "xn--penai-7ve.example.com",
            "x.xn--penai-7ve.example.com",
        ],
    )
    .await;
}

#[tokio::test]
async fn n_01_n_03_the_form_without_a_dot_and_the_name_itself_are_allowed_where_they_are_listed() {
    let world = World::builder()
        .policy(&POLICY.replace("*.openai", "*openai"))
        .record("evilopenai.example.com A 203.0.113.10")
        .start()
        .await;
    for name in ["evilopenai.example.com", "openai.example.com"] {
        assert_eq!(world.client().get_https(name, "/").await.unwrap().status, 200, "{name}");
    }
    let both = POLICY.replace("\"*.openai", "\"openai.example.com\", \"*.openai");
    world.reload(&both);
    assert_eq!(status(&world, "127.0.0.1", "openai.example.com:443").await, 200);
    world
        .refuses([connect("evilopenai.example.com")], &[403], &["NoRuleMatched"])
        .await;
}

#[tokio::test]
async fn n_04_n_05_n_09_a_star_reaches_any_depth_below_and_not_the_name_itself() {
    let (world, sink) = deciding(World::builder()).await;
    for name in [
        "a.openai.example.com",
        "a.b.c.d.openai.example.com",
        "_dmarc.openai.example.com",
        "a_b.openai.example.com",
    ] {
        world.gate_passes(&sink, &format!("{name}:443"), &hello(name)).await;
        let deeper = format!("sni.{name}");
        let tunnel = world.gate_passes(&sink, TARGET, &hello(&deeper)).await;
        assert_eq!(world.row_of(&tunnel)["properties"]["Fqdn"], deeper, "as an SNI too");
    }
    let client = world.client();
    for name in ["x.blob.example.net", "a.x.blob.example.net"] {
        assert_eq!(client.ask(get(name)).await.unwrap().status, 200, "{name}");
    }
    world
        .refuses([get(".blob.example.net")], &[400], &["NameInvalid"])
        .await;
    let (world, sink) = deciding(World::builder()).await;
    refused_everywhere(&world, &sink, ".blob.example.net", "NameInvalid").await;
    refused_everywhere(&world, &sink, "blob.example.net", "NoRuleMatched").await;
}

#[tokio::test]
async fn n_07_n_10_n_12_n_13_what_is_no_host_name_is_refused_and_not_looked_up() {
    all_refused(
        "NameInvalid",
        &[
            "*.openai.example.com",
            "*",
            "-a.openai.example.com",
            "a-.openai.example.com",
            "api.example.com\u{200b}",
            "api\u{ad}.example.com",
            "api\u{3002}example\u{3002}com",
            "o\u{fb00}ice.openai.example.com",
            "\u{1e9e}.openai.example.com",
            "\u{212a}.openai.example.com",
            "\u{130}.openai.example.com",
        ],
    )
    .await;
}

#[tokio::test]
async fn n_08_names_are_as_long_as_dns_allows_and_no_longer() {
    let (world, sink) = deciding(World::builder()).await;
    let long = "a".repeat(63);
    // Below `openai.example.com`, and this long in all.
    let of = |bytes: usize| {
        let tail = format!("{long}.{long}.{long}.openai.example.com");
        format!("{}.{tail}", "b".repeat(bytes - 1 - tail.len()))
    };
    for name in [format!("{long}.openai.example.com"), of(253)] {
        world.gate_passes(&sink, &format!("{name}:443"), &hello(&name)).await;
    }
    let (world, sink) = deciding(World::builder()).await;
    for name in [
        format!("{long}a.openai.example.com"),
        of(254),
        of(255),
        vec!["a"; 128].join("."),
    ] {
        refused_everywhere(&world, &sink, &name, "NameInvalid").await;
    }
}

#[tokio::test]
async fn n_22_c_14_names_that_other_software_reads_as_addresses_are_addresses() {
    all_refused(
        "IpLiteral",
        &["foo.1", "1.2.3.4.5", "api.example.0x10", "203.113.9", "0x7f.1"],
    )
    .await;
}

#[tokio::test]
async fn n_20_n_21_special_names_match_no_rule() {
    all_refused("NoRuleMatched", &SPECIAL).await;
    all_refused("NoRuleMatched", &["host.docker.internal"]).await;
}

const SPECIAL: [&str; 11] = [
    "localhost",
    "foo.localhost",
    "ip6-localhost",
    "intranet",
    "wpad",
    "1.0.0.127.in-addr.arpa",
    "x.local",
    "x.onion",
    "x.invalid",
    "x.home.arpa",
    "x.alt",
];

/// Even a rule for everything takes none of them from a hosts file, adds no search suffix, and asks no public server.
#[tokio::test]
async fn n_20_n_21_special_names_lead_nowhere_even_where_everything_is_allowed() {
    let everything = POLICY
        .replace("\"*.openai", "\"*\", \"*.openai")
        .replace("name = \"catalogue\"", "name = \"catalogue\"\n  allow_wide = true");
    let world = World::builder().policy(&everything).start().await;
    // The public server would lie.
    world.dns().address_of("*", "203.0.113.10".parse().unwrap());
    for name in SPECIAL {
        world.dns().address_of(name, "203.0.113.10".parse().unwrap());
        world
            .refuses([connect(name), get(name)], &[502], &["DnsNxdomain"])
            .await;
    }
    assert_eq!(world.dns().total(), 0, "{:#?}", world.dns().asked());
}

/// Two collections for names below `openai.example.com`: one allows them all, one denies `bad`.
fn allow_and_deny(allow: u16, deny: u16) -> String {
    let collection = |action: &str, priority: u16, target: &str| {
        format!(
            "[[application_rule_collection]]\nname = \"{action}\"\npriority = {priority}\naction = \"{action}\"\n\
             [[application_rule_collection.rule]]\nname = \"r\"\ndestination_fqdns = [\"{target}\"]\n"
        )
    };
    collection("Allow", allow, "*.openai.example.com") + &collection("Deny", deny, "bad.openai.example.com")
}

#[tokio::test]
async fn n_14_priority_decides_and_neither_the_narrower_name_nor_the_order_in_the_file() {
    let world = World::builder()
        .record("bad.openai.example.com A 203.0.113.66")
        .start()
        .await;
    for (allow, deny, expected) in [(100, 200, 200), (200, 100, 403)] {
        world.reload(&allow_and_deny(allow, deny));
        let (dialled, bad) = (
            world.lab.dialled("203.0.113.66".parse().unwrap()),
            "bad.openai.example.com:443",
        );
        assert_eq!(status(&world, "127.0.0.1", bad).await, expected, "{allow} {deny}");
        if expected == 403 {
            let row = world.last_row();
            assert_eq!(row["properties"]["RuleCollection"], "Deny");
            assert_eq!(row["properties"]["egret"]["reason"], "RuleMatched");
            assert_eq!(world.lab.dialled("203.0.113.66".parse().unwrap()), dialled);
        }
        assert_eq!(status(&world, "127.0.0.1", "a.openai.example.com:443").await, 200);
    }
}

#[tokio::test]
async fn n_15_a_denied_name_is_denied_however_it_is_spelled() {
    let policy = allow_and_deny(200, 100);
    let world = World::builder()
        .policy(&policy)
        .record("bad.openai.example.com A 203.0.113.66")
        .start()
        .await;
    for spelling in [
        "bad.openai.example.com",
        "BAD.openai.example.com",
        "bad.openai.example.com.",
        "Bad.OpenAI.Example.COM.",
    ] {
        world.refuses([connect(spelling)], &[403], &["RuleMatched"]).await;
        let row = world.last_row();
        assert_eq!(row["properties"]["Fqdn"], "bad.openai.example.com");
        assert_eq!(row["properties"]["RuleCollection"], "Deny");
    }
    world
        .refuses([connect("[bad.openai.example.com]")], &[400], &["BadAuthority"])
        .await;
    world.refuses([connect("203.0.113.66")], &[403], &["IpLiteral"]).await;
    assert_eq!(world.dns().total(), 0);
    assert_eq!(status(&world, "127.0.0.1", "A.openai.example.com:443").await, 200);
}

#[tokio::test]
async fn n_19_each_source_has_the_rules_of_its_groups() {
    let rule = |name: &str, groups: &str, target: &str| {
        format!(
            "[[application_rule_collection.rule]]\nname = \"{name}\"\nsource_ip_groups = [{groups}]\n\
             protocols = [{{ type = \"Https\", port = 443 }}, {{ type = \"Http\", port = 80 }}]\n\
             destination_fqdns = [\"{target}\"]\n"
        )
    };
    let policy = "[ip_groups]\none = [\"127.0.1.1\", \"127.0.1.3\"]\ntwo = [\"127.0.1.2/31\"]\n\
                  [[application_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n"
        .to_string()
        + &rule("first", "\"one\"", "a.openai.example.com")
        + &rule("second", "\"two\"", "x.openai.example.com");
    let world = World::builder().policy(&policy).start().await;
    for (source, first, second) in [
        ("127.0.1.1", 200, 403),
        ("127.0.1.2", 403, 200),
        ("127.0.1.3", 200, 200),
        ("127.0.1.4", 403, 403),
    ] {
        for (name, expected) in [("a.openai.example.com", first), ("x.openai.example.com", second)] {
            assert_eq!(
                status(&world, source, &format!("{name}:443")).await,
                expected,
                "{source} {name}"
            );
            let reply = world.client_at(source).ask(get(name)).await.unwrap();
            assert_eq!(reply.status, expected, "{source} http {name}");
            let row = world.last_row();
            assert_eq!(row["properties"]["SourceIp"], source);
        }
    }
}

#[tokio::test]
async fn c_20_c_21_a_labels_are_compared_without_case_and_never_decoded() {
    let world = World::builder()
        .policy(&POLICY.replace("\"*.openai", "\"bücher.example\", \"*.openai"))
        .record("xn--bcher-kva.example A 203.0.113.10")
        .start()
        .await;
    for name in ["xn--bcher-kva.example", "XN--BCHER-KVA.example"] {
        assert_eq!(world.client().get_https(name, "/").await.unwrap().status, 200, "{name}");
        assert_eq!(world.last_row()["properties"]["Fqdn"], "xn--bcher-kva.example");
        assert_eq!(world.client().ask(get(name)).await.unwrap().status, 200, "{name}");
    }
    let (queries, unlisted) = (
        world.dns().total(),
        [
            "xn--a",
            "xn--a.example",
            "XN--zzzz9999.example",
            "xn--bcher-kvb.example",
        ],
    );
    world.refuses(unlisted.map(connect), &[403], &["NoRuleMatched"]).await;
    // A label that ends in a hyphen is none.
    world.refuses([connect("xn--")], &[400], &["NameInvalid"]).await;
    // Raw UTF-8 is not made into the listed A-label.
    world
        .refuses([connect("bücher.example")], &[400], &["NameInvalid"])
        .await;
    assert_eq!(world.dns().total(), queries);
}
