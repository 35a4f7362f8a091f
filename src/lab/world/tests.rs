use super::*;
use crate::lab::{
    client::{Client, Hello, Road},
    mocks::Serves,
};

fn spec(name: &str, hosts: &[&str], ports: &[u16]) -> SiteSpec {
    SiteSpec {
        name: name.to_owned(),
        hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
        addresses: vec![FRONT.parse().unwrap()],
        ports: ports.to_vec(),
        serves: Serves::Page,
        forbidden: false,
    }
}

const FRONT: &str = "203.0.113.20";

fn shared_front() -> (World, Client) {
    let specs = vec![
        spec("docs", &["docs.test"], &[]),
        spec("rest", &[], &[]),
        spec("ssh", &[], &[22]),
    ];
    let world = World::start(specs, &BTreeMap::new(), &Ground::Mapped).unwrap();
    let road = Road::Direct(world.internet());
    let client = Client::new("127.0.1.9".parse().unwrap(), road, world.authority.clone());
    (world, client)
}

/// Bytes of each site since it was last asked.
async fn heard(world: &World, before: &mut Vec<u64>) -> Vec<(String, bool)> {
    assert!(world.settle(Duration::from_secs(5)).await);
    let now: Vec<u64> = world.sites().iter().map(|site| site.bytes()).collect();
    before.resize(now.len(), 0);
    let names = world.sites().iter().map(|site| site.name().to_owned());
    let grown = names.zip(now.iter().zip(before.iter()).map(|(now, before)| now > before));
    let grown = grown.filter(|(_, grown)| *grown).collect();
    *before = now;
    grown
}

#[tokio::test]
async fn sni_and_host_choose_the_tenant_and_nameless_bytes_go_to_whoever_takes_the_rest() {
    let (world, client) = shared_front();
    let mut before = Vec::new();
    for (sni, tenant) in [(Some("docs.test"), "docs"), (Some("evil.test"), "rest"), (None, "rest")] {
        let mut wire = client.dial(FRONT, 443).await.unwrap();
        let hello = Hello {
            sni: sni.is_some(),
            ..Hello::to(sni.unwrap_or("docs.test"))
        };
        wire.handshake(&hello).await.unwrap();
        drop(wire);
        assert_eq!(heard(&world, &mut before).await, [(tenant.to_owned(), true)], "{sni:?}");
    }
    for (bytes, port, tenants) in [
        (&b"GET / HTTP/1.1\r\nHost: docs.test:80\r\n\r\n"[..], 80, &["docs"][..]),
        (
            b"GET / HTTP/1.1\r\nHost: DOCS.test.\r\n\r\nGET / HTTP/1.1\r\nHost: evil.test\r\n\r\n",
            80,
            &["docs", "rest"],
        ),
        (b"SSH-2.0-x\r\n", 443, &["rest"]),
        (b"SSH-2.0-x\r\n", 22, &["ssh"]),
        (b"G", 80, &["rest"]),
        (b"\x16\x03\x01\x00\x05hello", 443, &["rest"]),
        (b"", 443, &[]),
    ] {
        let mut wire = client.dial(FRONT, port).await.unwrap();
        wire.send(bytes).await.unwrap();
        wire.finish().await.unwrap();
        let _ = wire.to_end().await;
        drop(wire);
        let names: Vec<String> = heard(&world, &mut before)
            .await
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, tenants, "{}", bytes.escape_ascii());
    }
    assert_eq!(
        world.dialled(FRONT.parse().unwrap()),
        10,
        "silent connections count as dialled"
    );
    assert_eq!(world.site("ssh").unwrap().heard(), [b"SSH-2.0-x\r\n"]);
}

#[tokio::test]
async fn nobody_answers_where_no_site_stands() {
    let (_world, client) = shared_front();
    for address in ["203.0.113.21", "10.0.0.1", "[2001:db8::1]"] {
        assert!(client.dial(address, 443).await.is_err(), "{address}");
    }
}
