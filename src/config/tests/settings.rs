//! What is set beside the rules: listeners, DNS, overrides, limits of Azure Firewall.

use super::*;

#[test]
fn listeners() {
    check_all(&[
        (
            "no port",
            "[listeners]\nproxy = [\"127.0.0.1\"]".into(),
            &["2:10 error: `127.0.0.1` is no address with a port"],
        ),
        (
            "a name",
            "[listeners]\nproxy = [\"localhost:3128\"]".into(),
            &["2:10 error", "127.0.0.1:3128"],
        ),
        (
            "the same twice",
            "[listeners]\nproxy = [\"127.0.0.1:1\", \"127.0.0.1:1\"]".into(),
            &["2:25 error", "taken"],
        ),
        (
            "all and one",
            "[listeners]\nproxy = [\"0.0.0.0:1\"]\nhealth = [\"127.0.0.1:1\"]".into(),
            &["3:11 error", "taken"],
        ),
        (
            "none",
            "[listeners]\nproxy = []".into(),
            &["2:9 error: no proxy listener"],
        ),
        (
            "admin for others",
            "[listeners]\nadmin = [\"10.0.0.4:9180\"]".into(),
            &["2:10 error: admin listener", "listeners.health"],
        ),
        (
            "an open listener and a rule for anyone",
            rule("destination_fqdns = [\"a.example\"]") + "[listeners]\nproxy = [\"0.0.0.0:3128\"]",
            &["6:8 error: rule `r` names no source, and `0.0.0.0:3128` is open to others"],
        ),
    ]);
    load_text("[listeners]\nproxy = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nhealth = []");
    load_text(
        &(rule("source_addresses = [\"*\"]\ndestination_fqdns = [\"a.example\"]")
            + "[listeners]\nproxy = [\"0.0.0.0:3128\"]"),
    );
}

#[test]
fn dns() {
    let zone = |lines: &str| format!("[[dns.zone]]\nname = \"corp.example\"\n{lines}");
    check_all(&[
        (
            "a forwarder by name",
            "[dns]\nforwarders = [\"dns.example\"]".into(),
            &["2:15 error", "a forwarder has no name"],
        ),
        // Threat D-27 in the part that can be seen here.
        (
            "egret itself",
            "[dns]\nforwarders = [\"127.0.0.1:3128\"]".into(),
            &["2:15 error", "a listener of egret itself"],
        ),
        (
            "nobody",
            "[dns]\nforwarders = [\"0.0.0.0\"]".into(),
            &["2:15 error", "cannot be asked"],
        ),
        (
            "a zone without servers",
            zone("forwarders = []"),
            &["3:14 error", "never asked instead"],
        ),
        (
            "a zone without the key",
            zone(""),
            &["1:1 error: key `forwarders` is missing"],
        ),
        (
            "the default zone",
            zone("forwarders = [\"10.0.0.4\"]").replace("corp.example", "."),
            &["2:8 error", "`[dns]`"],
        ),
        (
            "a zone with a star",
            zone("forwarders = [\"10.0.0.4\"]").replace("corp", "*.corp"),
            &["2:8 error", "`corp.example`"],
        ),
        (
            "a zone twice",
            zone("forwarders = [\"10.0.0.4\"]\n").repeat(2),
            &["5:8 error", "there twice"],
        ),
        (
            "networks that do nothing",
            zone("forwarders = [\"10.0.0.4\"]\nnetworks = [\"10.0.0.0/8\"]"),
            &["4:12 warning", "no effect"],
        ),
        (
            "an alias with addresses",
            "[[dns.record]]\nname = \"a.example\"\na = [\"10.0.0.1\"]\ncname = \"b.example\"".into(),
            &["4:9 error", "not both"],
        ),
        (
            "a record that says nothing",
            "[[dns.record]]\nname = \"a.example\"".into(),
            &["2:8 error", "says nothing"],
        ),
        (
            "a record twice",
            "[[dns.record]]\nname = \"a.example\"\na = [\"10.0.0.1\"]\n".repeat(2),
            &["5:8 error", "twice"],
        ),
        (
            "not IPv4",
            "[[dns.record]]\nname = \"a.example\"\na = [\"fd00::1\"]".into(),
            &["3:6 error", "IPv4"],
        ),
        (
            "a try longer than all",
            "[dns]\ntry_ms = 6000".into(),
            &["2:10 error", "longer than the whole"],
        ),
        (
            "no time to connect",
            "[dns]\ntotal_ms = 9000".into(),
            &["2:12 warning", "no time to connect"],
        ),
        (
            "TTLs crossed",
            "[dns.cache]\nmin_ttl_seconds = 60\nmax_ttl_seconds = 30".into(),
            &["2:19 error", "shortest TTL"],
        ),
        (
            "the private zone forwarded alone",
            "[[dns.zone]]\nname = \"privatelink.openai.azure.com\"\nforwarders = [\"10.0.0.4\"]".into(),
            &["2:8 warning: `privatelink.openai.azure.com` is forwarded, `openai.azure.com` is not"],
        ),
    ]);
    let both = "[[dns.zone]]\nname = \"privatelink.openai.azure.com\"\nforwarders = [\"10.0.0.4\"]\n\
                [[dns.zone]]\nname = \"openai.azure.com\"\nforwarders = [\"10.0.0.4\"]";
    assert_eq!(told(both), "", "both are forwarded");
}

#[test]
fn overrides() {
    let entry = |from: &str, to: &str| format!("[[dial.override]]\nfrom = \"{from}\"\nto = \"{to}\"");
    for (from, net, port) in [
        ("10.1.0.0/16:443", "10.1.0.0/16", Some(443)),
        ("203.0.113.5:*", "203.0.113.5/32", None),
        ("[fd00::]/8:443", "fd00::/8", Some(443)),
        ("[::1]:*", "::1/128", None),
    ] {
        let checked = load_text(&entry(from, "127.0.0.1:18443"));
        let wanted = DialOverride {
            from: net.parse().unwrap(),
            port,
            to: "127.0.0.1:18443".parse().unwrap(),
        };
        assert_eq!(checked.overrides, [wanted], "{from}");
    }
    check_all(&[
        (
            "no port",
            entry("10.1.0.0/16", "127.0.0.1:1"),
            &["2:8 error", "no prefix with a port"],
        ),
        ("a range", entry("10.1.0.0-10.1.0.9:443", "127.0.0.1:1"), &["2:8 error"]),
        ("no target port", entry("10.1.0.0/16:443", "127.0.0.1"), &["3:6 error"]),
    ]);
}

#[test]
fn private_endpoints_may_be_asked_of_one_tag() {
    let text = rule("destination_fqdns = [\"a.example.com\"]\ndestination_fqdn_tags = [\"AzureOpenAI\"]");
    let bound = "[fqdn_tag.AzureOpenAI]\nresource = [\"contoso-ai\"]\n[private_endpoints.tags]\n";
    let checked = load_text(&format!("{bound}AzureOpenAI = \"require\"\n{text}"));
    let tagged: Vec<_> = checked
        .addresses
        .tagged
        .iter()
        .map(|(p, mode)| (p.to_string(), *mode))
        .collect();
    assert_eq!(
        tagged,
        [(
            "contoso-ai.openai.azure.com".to_string(),
            crate::policy::PrivateEndpoints::Require
        )]
    );
    let checked = load_text(&format!("{bound}EntraID = \"require\"\n{text}"));
    assert_eq!(checked.addresses.tagged, []);
    assert!(
        checked.warnings[0]
            .found
            .contains("no rule names the FQDN tag `EntraID`"),
        "{:?}",
        checked.warnings
    );
}

#[test]
fn answers_kept_longer_than_by_azure_firewall_are_told_of() {
    assert_eq!(
        told("[dns.cache]\nmax_ttl_seconds = 3600\nnegative_ttl_seconds = 1800")
            .matches("longer than by Azure")
            .count(),
        0
    );
    let over = told("[dns.cache]\nmax_ttl_seconds = 3601\nnegative_ttl_seconds = 1801");
    assert_eq!(over.matches("longer than by Azure").count(), 2, "{over}");
}

#[test]
fn what_fits_egret_and_not_azure_firewall_is_told_of_at_the_limit_and_not_below() {
    let warned = |text: &str| told(text).matches("fit egret, and not Azure Firewall").count();
    let groups = |number: u32| -> String {
        let group = |i| format!("[[rule_collection_group]]\nname = \"g{i}\"\npriority = {}\n", 100 + i);
        (0..number).map(group).collect()
    };
    let ip_group = |entries: u32| {
        let entry = |i: u32| format!("\"10.{}.{}.0/24\"", i / 256, i % 256);
        format!(
            "[ip_groups]\nmany = [{}]\n",
            (0..entries).map(entry).collect::<Vec<_>>().join(", ")
        )
    };
    let ip_groups = |number: u32| {
        let group = |i| format!("g{i} = [\"10.0.0.0/8\"]\n");
        format!("[ip_groups]\n{}", (0..number).map(group).collect::<String>())
    };
    let network = |sources: u32, destinations: u32, fqdns: u32| {
        let list = |number: u32, net: u32| {
            let entries = (0..number).map(|i| format!("\"10.{net}.{}.{}\"", i / 256, i % 256));
            entries.collect::<Vec<_>>().join(", ")
        };
        let names = (0..fqdns)
            .map(|i| format!("\"n{i}.example\""))
            .collect::<Vec<_>>()
            .join(", ");
        format!(
            "[[network_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n[[network_rule_collection.rule]]\n\
             name = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [{}]\ndestination_addresses = [{}]\n\
             destination_fqdns = [{names}]\ndestination_ports = [\"443\"]\n",
            list(sources, 1),
            list(destinations, 2)
        )
    };
    let group_of = |bytes: usize| {
        let name = |i: usize| format!("\"{}{i:07}.example\"", "n".repeat(45));
        let names = (0..bytes / 60).map(name).collect::<Vec<_>>().join(",\n");
        format!(
            "[[rule_collection_group]]\nname = \"g\"\npriority = 100\n[[rule_collection_group.application_rule_collection]]\n\
             name = \"c\"\npriority = 100\naction = \"Allow\"\n[[rule_collection_group.application_rule_collection.rule]]\n\
             name = \"r\"\ndestination_fqdns = [{names}]\n"
        )
    };
    let implicit = |bytes| {
        let text = group_of(bytes).replace("rule_collection_group.", "");
        text.replace("[[rule_collection_group]]\nname = \"g\"\npriority = 100\n", "")
    };
    // One address, and so many ports of it.
    let dnat = |ports: u32| {
        let ports: Vec<String> = (1..=ports).map(|port| format!("\"{port}\"")).collect();
        format!(
            "[[nat_rule_collection]]\nname = \"c\"\npriority = 100\naction = \"Dnat\"\n[[nat_rule_collection.rule]]\n\
             name = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\ndestination_address = \"20.1.1.1\"\n\
             destination_ports = [{}]\ntranslated_address = \"10.0.0.4\"\ntranslated_port = 443\n",
            ports.join(", ")
        )
    };
    for (why, fits, does_not) in [
        ("groups of a policy", groups(60), groups(61)),
        ("entries of an IP group", ip_group(5_000), ip_group(5_001)),
        ("IP groups", ip_groups(200), ip_groups(201)),
        ("pairs of ends", network(100, 200, 0), network(101, 200, 0)),
        ("FQDNs of network rules", network(1, 1, 1_000), network(1, 1, 1_001)),
        ("bytes of a group", group_of(2_090_000), group_of(2_110_000)),
        (
            "groups and the implicit one",
            groups(59) + &network(1, 1, 1),
            groups(60) + &network(1, 1, 1),
        ),
        ("bytes of the implicit group", implicit(2_090_000), implicit(2_110_000)),
        ("destinations of DNAT rules", dnat(249), dnat(250)),
    ] {
        assert_eq!((warned(&fits), warned(&does_not)), (0, 1), "{why}");
    }
}
