//! The gate: what the first flight inside a CONNECT tunnel may be, and that nothing reaches the origin before it is judged.

use crate::corpus::case;
use crate::flight::{Flight, SINK, behind, records, with_sink};
use crate::sink::Sink;
use crate::world::{Builder, World, until};
use egret::lab::client::{Hello, wire::Ended};
use serde_json::Value;
use std::time::{Duration, Instant};

const API: &str = "api.example.com:443";

/// The catalogue's policy, and `public.example.net`: the name in front of a real ECH.
const WITH_PUBLIC: &str = r#"
[[application_rule_collection]]
name = "allowed"
priority = 100
action = "Allow"
  [[application_rule_collection.rule]]
  name = "catalogue"
  source_addresses = ["*"]
  destination_fqdns = ["api.example.com", "*.openai.example.com", "public.example.net"]
"#;

/// Allowed names that lead to the sink.
fn allowed() -> Builder {
    World::builder()
        .record(&format!("t.openai.example.com A {SINK}"))
        .record(&format!("u.openai.example.com A {SINK}"))
        .record("v.openai.example.com A 203.0.113.10")
        .record(&format!("w.blob.example.net A {SINK}"))
}

const TARGET: &str = "t.openai.example.com:443";

/// A hello of a real client, with this SNI.
fn hello(sni: Option<&str>) -> Flight {
    Flight::read(&case("ossl-def")).sni(sni)
}

fn to_target() -> Flight {
    hello(Some("t.openai.example.com"))
}

#[tokio::test]
async fn s_01_the_sni_must_be_the_host_of_the_connect() {
    let world = World::usual().await;
    for sni in [
        "evil.test",
        "neighbour.test",
        "api.example.com.evil.test",
        "xapi.example.com",
    ] {
        let mut tunnel = world.tunnel(API).await;
        let refused = tunnel.handshake(&Hello::to(sni)).await;
        assert!(
            matches!(refused, Err(Ended::Alert(alert)) if u8::from(alert) == 49),
            "{sni}: {refused:?}"
        );
        assert_eq!(world.last_reason(), "SniMismatch", "{sni}");
        assert_eq!(world.last_row()["properties"]["egret"]["sni"], sni);
        assert_eq!(world.last_row()["properties"]["Fqdn"], "api.example.com");
        assert_eq!(world.upstream_bytes(), 0, "{sni}");
        assert_eq!(world.dns().queries(sni), 0, "{sni} is not looked up");
    }
    // The control: the front end does serve its neighbour to whoever says that name.
    let mut wire = world.direct().dial("api.example.com", 443).await.unwrap();
    wire.handshake(&Hello::to("neighbour.test")).await.unwrap();
    assert!(world.site("neighbour").bytes() > 0, "fronting works without egret");
}

#[tokio::test]
async fn s_01_with_decide_the_sni_is_an_attempt_of_its_own() {
    let (world, sink) = with_sink(allowed().config("[proxy]\nsni_mismatch = \"decide\"")).await;
    let mut tunnel = world.tunnel(TARGET).await;
    tunnel.send(&hello(Some("evil.test")).record()).await.unwrap();
    assert_eq!(world.refused_at_gate(&sink, &mut tunnel).await, "NoRuleMatched");
    let row = world.row_of(&tunnel);
    assert_eq!(row["properties"]["Fqdn"], "evil.test", "the name that was judged");
    assert_eq!(row["properties"]["egret"]["name_source"], "sni");
    assert_eq!(row["properties"]["egret"]["requested"], TARGET);
    for key in ["address", "dns"] {
        assert_eq!(
            row["properties"]["egret"][key],
            Value::Null,
            "{key} is the CONNECT host's"
        );
    }
    assert_eq!(world.dns().queries("evil.test"), 0);
}

#[tokio::test]
async fn s_02_two_allowed_names_are_still_two_names() {
    let (world, sink) = with_sink(allowed()).await;
    let flight = hello(Some("u.openai.example.com")).record();
    assert_eq!(world.gate_refuses(&sink, TARGET, &flight).await, "SniMismatch");
}

#[tokio::test]
async fn s_02_with_decide_an_allowed_sni_passes_only_where_it_leads_to_the_same_address() {
    let (world, sink) = with_sink(allowed().config("[proxy]\nsni_mismatch = \"decide\"")).await;
    let elsewhere = hello(Some("v.openai.example.com")).record();
    assert_eq!(world.gate_refuses(&sink, TARGET, &elsewhere).await, "SniMismatch");
    let nowhere = hello(Some("no-such.openai.example.com")).record();
    assert_eq!(world.gate_refuses(&sink, TARGET, &nowhere).await, "DnsNxdomain");

    let same = hello(Some("u.openai.example.com")).record();
    let wire = world.gate_passes(&sink, TARGET, &same).await;
    let row = world.row_of(&wire);
    assert_eq!(row["properties"]["Fqdn"], "u.openai.example.com");
    assert_eq!(row["properties"]["egret"]["requested"], TARGET);
    assert_eq!(row["properties"]["egret"]["address"], SINK, "it goes there");
    // From now on the tunnel is that name's: a policy without it ends it.
    let (_, revoked) = world.reload(&crate::world::POLICY.replace("\"*.openai", "\"t.openai"));
    assert_eq!(revoked, 1);
    until("the flow's row", || world.find_end(&wire).is_some()).await;
    let flow = world.find_end(&wire).unwrap();
    assert_eq!(flow["properties"]["Fqdn"], "u.openai.example.com", "as in the rule row");
}

#[tokio::test]
async fn s_03_a_hello_without_sni_says_nothing() {
    let (world, sink) = with_sink(allowed()).await;
    assert_eq!(
        world.gate_refuses(&sink, TARGET, &hello(None).record()).await,
        "SniMissing"
    );
}

#[tokio::test]
async fn s_05_an_address_is_no_sni() {
    let (world, sink) = with_sink(allowed()).await;
    for (sni, reason) in [
        ("203.0.113.9", "SniIpLiteral"),
        (SINK, "SniIpLiteral"),
        ("[2001:db8::1]", "SniInvalid"),
        ("2001:db8::1", "SniIpLiteral"),
    ] {
        assert_eq!(
            world.gate_refuses(&sink, TARGET, &hello(Some(sni)).record()).await,
            reason,
            "{sni}"
        );
    }
}

#[tokio::test]
async fn s_08_the_time_for_a_hello_runs_from_its_first_byte() {
    let (world, sink) = with_sink(allowed().limits("client_hello_seconds = 2")).await;
    let flight = to_target().record();
    let (slow, rest) = flight.split_at(flight.len() - 1);
    let mut tunnel = world.tunnel(TARGET).await;
    let start = Instant::now();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for byte in slow.chunks(1) {
        tunnel.send(byte).await.unwrap();
        if start.elapsed() < Duration::from_millis(2100) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    tunnel.send(rest).await.unwrap();
    world.passed_the_gate(&sink, &tunnel, &flight).await;
    assert!(
        start.elapsed() > Duration::from_secs(2),
        "it took longer than the limit"
    );
}

#[tokio::test]
async fn s_09_a_hello_in_forty_records_is_a_hello() {
    let world = World::usual().await;
    for size in [1, 16, 100] {
        let hello = Hello {
            split: Some(size),
            ..Hello::to("api.example.com")
        };
        let mut tunnel = world.tunnel(API).await;
        tunnel
            .handshake(&hello)
            .await
            .unwrap_or_else(|end| panic!("records of {size}: {end}"));
    }
    let (world, sink) = with_sink(allowed()).await;
    let flight = records(&to_target().message(), 16);
    world.gate_passes(&sink, TARGET, &flight).await;
}

#[tokio::test]
async fn s_10_f_02_a_padded_hello_passes_up_to_the_limit_and_not_beyond() {
    let (world, sink) = with_sink(allowed()).await;
    let cap = 64 * 1024;
    let record = 1 << 14;
    for total in [17_000, cap - 1, cap] {
        world
            .gate_passes(&sink, TARGET, &to_target().padded_to(total, record))
            .await;
    }
    let (world, sink) = with_sink(allowed()).await;
    let over = to_target().padded_to(cap + 1, record);
    assert_eq!(world.gate_refuses(&sink, TARGET, &over).await, "TlsTooLarge");
    // What announces 16 MiB may go on for as long as any other.
    let mut endless = to_target().message();
    endless[1..4].fill(0xff);
    endless.resize(cap, 0);
    assert_eq!(
        world.gate_refuses(&sink, TARGET, &records(&endless, record)).await,
        "TlsTooLarge"
    );
}

#[tokio::test]
async fn s_11_f_02_half_a_hello_is_refused_at_the_time_limit() {
    let (world, sink) = with_sink(allowed().limits("client_hello_seconds = 1")).await;
    let flight = to_target().record();
    let start = Instant::now();
    let reason = world.gate_refuses(&sink, TARGET, &flight[..flight.len() / 2]).await;
    assert_eq!(reason, "TlsIncomplete");
    assert!(
        (1..9).contains(&start.elapsed().as_secs()),
        "after {:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn s_12_s_13_s_14_s_31_what_another_stack_may_read_otherwise_is_malformed() {
    let (world, sink) = with_sink(allowed()).await;
    let plain = to_target();
    let again = plain.clone().extension(0, b"\0\x0c\0\0\x09evil.test");
    let two_hellos = [plain.message(), hello(Some("evil.test")).message()].concat();
    let mut after_psk = Flight::read(&case("resume-psk"));
    after_psk = after_psk.sni(None).at_the_end(0, b"\0\x17\0\0\x14t.openai.example.com");
    let message = plain.message();
    let (head, tail) = message.split_at(100);
    let with_between = |between: &[u8]| [&records(head, 100), between, &records(tail, 1000)].concat();
    for (flight, why) in [
        (again.record(), "two server_name extensions"),
        (records(&two_hellos, 1 << 14), "two hellos in one record"),
        (after_psk.record(), "something behind pre_shared_key"),
        (
            plain
                .clone()
                .extension(16, b"\0\x03\x02h2")
                .extension(16, b"\0\x03\x02h2")
                .record(),
            "an extension twice",
        ),
        (with_between(&[21, 3, 3, 0, 2, 1, 0]), "an alert between two fragments"),
        (with_between(&[23, 3, 3, 0, 1, 0]), "data between two fragments"),
        (with_between(&[22, 3, 3, 0, 0]), "an empty record between two fragments"),
    ] {
        assert_eq!(
            world.gate_refuses(&sink, TARGET, &flight).await,
            "TlsMalformed",
            "{why}"
        );
    }
}

#[tokio::test]
async fn s_15_old_framing_is_refused() {
    let (world, sink) = with_sink(allowed()).await;
    for id in ["sslscan-a", "sslv2-compat-tls12"] {
        assert_eq!(world.gate_refuses(&sink, TARGET, &case(id)).await, "TlsSslv2", "{id}");
    }
}

#[tokio::test]
async fn s_16_grease_is_no_obstacle() {
    let (world, sink) = with_sink(allowed()).await;
    // Real clients that send GREASE, and all the rest of it (RFC 8701).
    for id in ["utlsgo-chrome-152", "cffi-chrome146", "firefox"] {
        let mut flight = Flight::read(&case(id)).sni(Some("t.openai.example.com"));
        for grease in (0..16).map(|n| n << 12 | n << 4 | 0x0a0a) {
            if !flight.has(grease) {
                flight = flight.extension(grease, b"\0");
            }
        }
        world.gate_passes(&sink, TARGET, &flight.record()).await;
    }
}

#[tokio::test]
async fn s_17_a_post_quantum_hello_in_two_segments_completes_its_handshake() {
    let world = World::usual().await;
    let hello = Hello {
        post_quantum: true,
        ..Hello::to("api.example.com")
    };
    assert!(hello.bytes(&world.lab.authority).unwrap().len() > 1460);
    world.tunnel(API).await.handshake(&hello).await.unwrap();

    let (world, sink) = with_sink(allowed()).await;
    let flight = Flight::read(&case("bun")).sni(Some("t.openai.example.com")).record();
    assert!((1460..2200).contains(&flight.len()), "{}", flight.len());
    let mut tunnel = world.tunnel(TARGET).await;
    tunnel.send(&flight[..1400]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(sink.bytes().await, 0, "held until it is whole");
    tunnel.send(&flight[1400..]).await.unwrap();
    world.passed_the_gate(&sink, &tunnel, &flight).await;
}

#[tokio::test]
async fn s_18_s_19_the_outer_name_of_an_ech_is_the_name() {
    // Behind GREASE or a real inner hello: nobody outside can tell.
    let outer = |sni: &str| Flight::read(&case("utlsgo-chrome-152")).sni(Some(sni)).record();
    let (world, sink) = with_sink(allowed()).await;
    let wire = world.gate_passes(&sink, TARGET, &outer("t.openai.example.com")).await;
    assert_eq!(world.row_of(&wire)["properties"]["egret"]["ech"], "outer", "recorded");

    // Real ECH through a proxy: CONNECT has the inner name, the hello the provider's.
    let real = case("go-ech");
    for (policy, decide, reason) in [
        (crate::world::POLICY, "deny", "SniMismatch"),
        (WITH_PUBLIC, "deny", "SniMismatch"),
        (crate::world::POLICY, "decide", "NoRuleMatched"),
        (WITH_PUBLIC, "decide", "SniMismatch"),
    ] {
        let (world, sink) = with_sink(
            allowed()
                .record("public.example.net A 203.0.113.10")
                .policy(policy)
                .config(&format!("[proxy]\nsni_mismatch = \"{decide}\"")),
        )
        .await;
        assert_eq!(
            world.gate_refuses(&sink, TARGET, &real).await,
            reason,
            "{decide}, {policy}"
        );
    }
}

#[tokio::test]
async fn s_18_s_19_with_ech_denied_no_hello_with_it_passes() {
    let (world, sink) = with_sink(allowed().policy(WITH_PUBLIC).config("[proxy]\nech = \"deny\"")).await;
    let outer = Flight::read(&case("utlsgo-chrome-152"));
    for (flight, why) in [
        (
            outer.clone().sni(Some("t.openai.example.com")).record(),
            "the host's own name",
        ),
        (outer.sni(None).record(), "no name at all"),
        (case("go-ech"), "a provider's name"),
    ] {
        assert_eq!(world.gate_refuses(&sink, TARGET, &flight).await, "EchDenied", "{why}");
    }
    world.gate_passes(&sink, TARGET, &to_target().record()).await;
}

#[tokio::test]
async fn s_20_c_53_a_server_that_speaks_first_is_not_heard_before_the_client_was_judged() {
    let sink = Sink::that_says(b"220 mail.example.com ESMTP\r\n").await;
    let (world, sink) = behind(allowed().limits("client_hello_seconds = 2"), sink).await;
    let mut silent = world.tunnel(TARGET).await;
    assert_eq!(world.refused_at_gate(&sink, &mut silent).await, "TlsIncomplete");
    assert_eq!(sink.dials().await, 1, "it was connected, and it did speak");

    // Held, not lost: after the decision the client gets it.
    let mut tunnel = world.tunnel(TARGET).await;
    tunnel.send(&to_target().record()).await.unwrap();
    assert_eq!(tunnel.take(28).await.unwrap(), b"220 mail.example.com ESMTP\r\n");
}

#[tokio::test]
async fn s_21_other_protocols_are_no_tls() {
    let (world, sink) = with_sink(allowed()).await;
    for (flight, what) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "SSH"),
        (b"GET / HTTP/1.1\r\nHost: t.openai.example.com\r\n\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 without TLS"),
        (b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n", "another CONNECT"),
        (b"EHLO me\r\n", "SMTP"),
        (
            b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00",
            "RDP",
        ),
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", "PostgreSQL"),
        (b"\x05\x01\x00", "SOCKS5"),
        (b"\x16", "one byte of a record and then nothing"),
        (b"\x00", "a zero"),
    ] {
        let mut tunnel = world.tunnel(TARGET).await;
        tunnel.send(flight).await.unwrap();
        tunnel.finish().await.unwrap();
        let reason = world.refused_at_gate(&sink, &mut tunnel).await;
        let expected = if flight[0] == 22 { "TlsIncomplete" } else { "NotTls" };
        assert_eq!(reason, expected, "{what}");
    }
}

/// A documented limit: what is inside TLS is not seen without inspection.
#[tokio::test]
async fn s_23_what_is_inside_tls_is_relayed_unseen() {
    let world = World::usual().await;
    let mut tunnel = world.tunnel(API).await;
    tunnel.handshake(&Hello::to("api.example.com")).await.unwrap();
    tunnel
        .send(b"CONNECT evil.test:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")
        .await
        .unwrap();
    until("the origin is asked", || world.site("allowed").requests() == 1).await;
    assert_eq!(world.rule_rows().len(), 1, "one decision");
    assert_eq!(world.site("forbidden").bytes(), 0, "and no way on from the origin");
}

#[tokio::test]
async fn s_24_s_25_resumption_and_early_data_skip_no_check() {
    let (world, sink) = with_sink(allowed()).await;
    let whole = case("resume-0rtt");
    // The record of the hello, and what it hopes to have sent already.
    let hello_end = 5 + usize::from(u16::from_be_bytes([whole[3], whole[4]]));
    let (resumed, early) = (Flight::read(&whole[..hello_end]), &whole[hello_end..]);
    assert!(!early.is_empty());
    for (sni, reason) in [
        (Some("evil.test"), "SniMismatch"),
        (Some("u.openai.example.com"), "SniMismatch"),
        (None, "SniMissing"),
    ] {
        let flight = [&resumed.clone().sni(sni).record(), early].concat();
        assert_eq!(world.gate_refuses(&sink, TARGET, &flight).await, reason, "{sni:?}");
    }
    let flight = [&resumed.sni(Some("t.openai.example.com")).record(), early].concat();
    world.gate_passes(&sink, TARGET, &flight).await;
}

#[tokio::test]
async fn s_31_of_two_hellos_in_two_records_the_first_decides() {
    let (world, sink) = with_sink(allowed()).await;
    let flight = [to_target().record(), hello(Some("evil.test")).record()].concat();
    world.gate_passes(&sink, TARGET, &flight).await;
    let (world, sink) = with_sink(allowed()).await;
    let flight = [hello(Some("evil.test")).record(), to_target().record()].concat();
    assert_eq!(world.gate_refuses(&sink, TARGET, &flight).await, "SniMismatch");
}

#[tokio::test]
async fn s_32_the_esni_draft_hides_no_name() {
    let (world, sink) = with_sink(allowed()).await;
    let draft = |sni| hello(sni).extension(0xffce, &[0; 32]).record();
    assert_eq!(world.gate_refuses(&sink, TARGET, &draft(None)).await, "SniMissing");
    assert_eq!(
        world.gate_refuses(&sink, TARGET, &draft(Some("evil.test"))).await,
        "SniMismatch"
    );
    world
        .gate_passes(&sink, TARGET, &draft(Some("t.openai.example.com")))
        .await;
}

#[tokio::test]
async fn s_34_only_the_minor_version_of_a_record_is_ignored() {
    let (world, sink) = with_sink(allowed()).await;
    let mut flight = to_target().record();
    flight[..3].copy_from_slice(&[22, 0xfe, 0xfd]);
    assert_eq!(world.gate_refuses(&sink, TARGET, &flight).await, "TlsMalformed", "DTLS");
    for minor in [4, 0xff] {
        flight[..3].copy_from_slice(&[22, 3, minor]);
        world.gate_passes(&sink, TARGET, &flight).await;
    }
}
