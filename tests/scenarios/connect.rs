//! CONNECT: how its head is read, and what its target may be. Each vector gets a connection of its own.

use crate::world::{World, until};
use egret::lab::client::{Hello, wire::Ended};

fn connect(authority: &str) -> String {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: x\r\n\r\n")
}

fn connects(authorities: &[&str]) -> Vec<String> {
    authorities.iter().map(|a| connect(a)).collect()
}

const BAD: &[u16] = &[400];

#[tokio::test]
async fn an_allowed_name_is_reached_and_the_row_says_by_which_rule() {
    let world = World::usual().await;
    let reply = world.client().get_https("api.example.com", "/hello").await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(world.site("allowed").bytes() > 0);
    let row = world.last_row();
    assert_eq!(row["properties"]["Action"], "Allow");
    assert_eq!(row["properties"]["Rule"], "catalogue");
    assert_eq!(row["properties"]["Fqdn"], "api.example.com");
    assert_eq!(row["properties"]["DestinationPort"], 443);
    assert_eq!(row["properties"]["IsExplicitProxyRequest"], true);
}

#[tokio::test]
async fn an_unlisted_name_is_refused_before_any_query_and_the_control_reaches_it() {
    let world = World::usual().await;
    world
        .refuses(connects(&["evil.test:443"]), &[403], &["NoRuleMatched"])
        .await;
    assert_eq!(
        world.dns().queries("evil.test"),
        0,
        "a name that no rule could allow causes no query"
    );
    let control = world.direct().get_https("evil.test", "/").await.unwrap();
    assert_eq!(control.status, 200, "without egret the same attempt succeeds");
    assert!(world.site("forbidden").bytes() > 0);
}

#[tokio::test]
async fn c_01_c_02_c_03_a_port_is_needed_and_is_a_number() {
    let world = World::usual().await;
    let ports = [
        "",
        ":",
        ":0",
        ":65536",
        ":4294967739",
        ":-443",
        ":+443",
        ":0443",
        ":443x",
        ":https",
    ];
    let vectors: Vec<_> = ports
        .iter()
        .map(|port| connect(&format!("api.example.com{port}")))
        .collect();
    world.refuses(vectors, BAD, &["BadAuthority"]).await;
    world
        .refuses(
            connects(&["api.example.com:4 43"]),
            BAD,
            &["BadAuthority", "BadRequest"],
        )
        .await;
}

#[tokio::test]
async fn c_04_userinfo_has_no_place_and_its_password_is_in_no_row() {
    let world = World::usual().await;
    let vectors = connects(&[
        "user:s3cret@api.example.com:443",
        "api.example.com:443@evil.test:443",
        "evil.test:443@api.example.com:443",
    ]);
    world.refuses(vectors, BAD, &["BadAuthority"]).await;
    assert!(
        world.log.lines().iter().all(|line| !line.contains("s3cret")),
        "{:#?}",
        world.log.lines()
    );
}

#[tokio::test]
async fn c_06_other_forms_of_a_target_are_refused() {
    let world = World::usual().await;
    world
        .refuses(
            connects(&["https://api.example.com:443/", "/api.example.com:443", "*"]),
            BAD,
            &["BadAuthority"],
        )
        .await;
}

#[tokio::test]
async fn c_10_c_14_addresses_are_no_names_in_any_spelling() {
    let world = World::usual().await;
    world
        .refuses(
            connects(&["[2001:db8::1]:443", "203.0.113.5:443"]),
            &[403],
            &["IpLiteral"],
        )
        .await;
    let spellings = [
        "3405803785:443",
        "0xcb007109:443",
        "0313.0.0161.011:443",
        "203.113.9:443",
        "0x7f.1:443",
        "127.1:443",
        "①②⑦.0.0.1:443",
    ];
    world
        .refuses(connects(&spellings), &[400, 403], &["IpLiteral", "BadAuthority"])
        .await;
    assert_eq!(world.dns().total(), 0, "no query for any of them");
}

#[tokio::test]
async fn what_is_no_name_leaves_the_column_of_names_empty_and_stands_as_it_was_sent_beside_it() {
    let world = World::usual().await;
    for (target, fqdn, port) in [
        ("foo..com:443", "", 443),
        ("*.contoso.com:443", "", 443),
        ("user@www.contoso.com:443", "", 443),
        ("https://www.contoso.com/", "", 0),
        ("0x7f.1:443", "", 443),
        ("198.51.100.5.:443", "198.51.100.5", 443),
        ("[2001:db8::1]:443", "2001:db8::1", 443),
    ] {
        let refused = world.client().connect(target).await.unwrap();
        assert!([400, 403].contains(&refused.status()), "{target}: {}", refused.phrase());
        let row = world.last_row()["properties"].clone();
        assert_eq!(
            (&row["Fqdn"], &row["DestinationPort"]),
            (&fqdn.into(), &port.into()),
            "{target}"
        );
        let requested = row["egret"]["requested"].as_str().unwrap();
        assert_eq!(requested, target.replace("user@", "***@"));
        let flow = &row["egret"]["flow"];
        let end = || {
            world
                .rows("EgretFlow")
                .into_iter()
                .find(|end| end["properties"]["FlowId"] == *flow)
        };
        until("the end of the flow", || end().is_some()).await;
        assert_eq!(end().unwrap()["properties"]["Fqdn"], fqdn, "as in the rule row");
    }
}

#[tokio::test]
async fn c_11_c_12_c_13_brackets_hold_ipv6_and_nothing_else() {
    let world = World::usual().await;
    let vectors = [
        "[fe80::1%25eth0]:443",
        "[fe80::1%eth0]:443",
        "2001:db8::1:443",
        "[api.example.com]:443",
        "[[api.example.com]]:443",
        "[api.example.com:443",
    ];
    world.refuses(connects(&vectors), BAD, &["BadAuthority"]).await;
}

#[tokio::test]
async fn c_15_an_address_inside_an_ipv6_address_is_seen() {
    let world = World::usual().await;
    let vectors = [
        "[::ffff:127.0.0.1]:443",
        "[::ffff:7f00:1]:443",
        "[::127.0.0.1]:443",
        "[64:ff9b::7f00:1]:443",
    ];
    // Until network rules match, no rule can allow an address at all.
    world
        .refuses(connects(&vectors), &[403], &["IpLiteral", "AddressDenied"])
        .await;
}

#[tokio::test]
async fn c_16_c_18_case_and_one_trailing_dot_do_not_change_a_name() {
    let world = World::usual().await;
    for (target, sni) in [
        ("api.example.com.:443", "api.example.com"),
        ("API.eXample.COM:443", "api.example.com"),
        ("api.example.com:443", "API.EXAMPLE.com"),
    ] {
        let mut connected = world.client().connect(target).await.unwrap();
        assert_eq!(connected.status(), 200, "{target}: {}", connected.phrase());
        connected
            .wire
            .handshake(&Hello::to(sni))
            .await
            .unwrap_or_else(|e| panic!("{target} with {sni}: {e}"));
        let row = world.last_row();
        assert_eq!(row["properties"]["Fqdn"], "api.example.com", "the normal form");
        assert_eq!(row["properties"]["egret"]["requested"], target, "and the raw one");
    }
}

#[tokio::test]
async fn c_17_c_19_c_23_what_is_no_name_is_refused() {
    let world = World::usual().await;
    let vectors = [
        "api.example.com..:443",
        ".api.example.com:443",
        "api..example.com:443",
        ".:443",
        "bücher.example:443",
        "b%C3%BCcher.example:443",
        "api.example.com%2eevil.test:443",
        "api%00.example.com:443",
        "api.example.com%00:443",
    ];
    world.refuses(connects(&vectors), &[400, 403], &["NameInvalid"]).await;
    assert_eq!(world.dns().total(), 0);
}

#[tokio::test]
async fn c_22_control_bytes_do_not_cut_a_name() {
    let world = World::usual().await;
    let vectors: Vec<Vec<u8>> = [0x00, 0x09, 0x0b, 0x7f, 0xa0]
        .iter()
        .map(|byte| {
            [
                b"CONNECT api.example.com",
                &[*byte][..],
                b".evil.test:443 HTTP/1.1\r\n\r\n",
            ]
            .concat()
        })
        .collect();
    world
        .refuses(vectors, &[400, 403], &["BadRequest", "NameInvalid"])
        .await;
    assert!(
        world.log.lines().iter().all(|line| line.bytes().all(|b| b >= 0x20)),
        "escaped in the rows"
    );
}

#[tokio::test]
async fn c_24_the_target_alone_decides_and_host_is_only_recorded() {
    let world = World::usual().await;
    let mut wire = world.client().open().await.unwrap();
    wire.send(b"CONNECT api.example.com:443 HTTP/1.1\r\nHost: evil.test:443\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(wire.reply("CONNECT").await.unwrap().status, 200);
    wire.handshake(&Hello::to("api.example.com")).await.unwrap();
    assert_eq!(world.dns().queries("evil.test"), 0);
    assert_eq!(world.site("forbidden").bytes(), 0);
    assert_eq!(world.last_row()["properties"]["egret"]["host"], "evil.test:443");
}

#[tokio::test]
async fn c_35_bytes_behind_the_head_are_held_and_are_the_first_flight() {
    let world = World::usual().await;
    let hello = Hello::to("api.example.com").bytes(&world.lab.authority).unwrap();
    let mut wire = world.client().open().await.unwrap();
    wire.send(&[connect("api.example.com:443").as_bytes(), &hello].concat())
        .await
        .unwrap();
    assert_eq!(wire.reply("CONNECT").await.unwrap().status, 200);
    until("the early hello arrives", || {
        world.site("allowed").bytes() >= hello.len() as u64
    })
    .await;
    assert_eq!(world.site("allowed").heard()[0][..hello.len()], hello);

    // Behind a denied CONNECT they go nowhere.
    let before = world.upstream_bytes();
    let request = [
        connect("evil.test:443").as_bytes(),
        b"GET http://api.example.com/ HTTP/1.1\r\n\r\n",
    ]
    .concat();
    assert_eq!(world.ask(request).await.0, 403);
    assert_eq!(world.upstream_bytes(), before);

    // Behind an allowed one, a request is no first flight of TLS.
    let mut wire = world.client().open().await.unwrap();
    let request = [
        connect("api.example.com:443").as_bytes(),
        b"GET http://evil.test/ HTTP/1.1\r\n\r\n",
    ]
    .concat();
    wire.send(&request).await.unwrap();
    assert_eq!(wire.reply("CONNECT").await.unwrap().status, 200);
    assert_eq!(wire.to_end().await.1, Ended::Closed);
    assert_eq!(world.last_reason(), "NotTls");
    assert_eq!(world.upstream_bytes(), before);
}

#[tokio::test]
async fn c_36_connect_has_no_content() {
    let world = World::usual().await;
    let vectors = [
        "CONNECT api.example.com:443 HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789",
        "CONNECT api.example.com:443 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ];
    world.refuses(vectors, BAD, &["Framing"]).await;
}

#[tokio::test]
async fn c_37_nothing_follows_a_denied_connect() {
    let world = World::usual().await;
    let mut wire = world.client().open().await.unwrap();
    wire.send(connect("evil.test:443").as_bytes()).await.unwrap();
    assert_eq!(wire.reply("CONNECT").await.unwrap().status, 403);
    let _ = wire
        .send(b"GET http://api.example.com/ HTTP/1.1\r\nHost: api.example.com\r\n\r\n")
        .await;
    let (rest, _) = wire.to_end().await;
    assert!(rest.is_empty(), "answered: {}", rest.escape_ascii());
    assert_eq!(world.upstream_bytes(), 0);
}

#[tokio::test]
async fn c_47_ports_are_part_of_the_rule() {
    let world = World::usual().await;
    let vectors = connects(&["api.example.com:22", "api.example.com:25", "api.example.com:3306"]);
    world.refuses(vectors, &[403], &["NoRuleMatched"]).await;
    assert_eq!(world.dns().total(), 0);
}
