//! Network and DNAT rules, lists of addresses and service tags.

use super::*;

#[test]
fn network_and_dnat_rules_that_no_proxy_flow_is_judged_by_are_warned_of() {
    let text = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
                destination_addresses = [\"*\", \"10.0.0.1-10.0.0.2\"]\ndestination_ports = [\"443\", \"8000-8100\"]\n\
                [[nat_rule_collection]]\nname = \"d\"\npriority = 100\naction = \"Dnat\"\n\
                [[nat_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\ndestination_address = \"10.0.0.1\"\n\
                destination_ports = [\"443\"]\ntranslated_address = \"10.0.0.2\"\ntranslated_port = 443\n";
    let checked = load_text(text);
    assert_eq!(checked.warnings.len(), 2);
    let collections = &checked.policy.groups[0].collections;
    let Rules::Nat(nat) = &collections[0].rules else {
        panic!("DNAT first")
    };
    let Rules::Network(network) = &collections[1].rules else {
        panic!("network next")
    };
    assert_eq!(nat[0].translated_port, 443);
    assert!(network[0].destinations.any);
    assert_eq!(network[0].destinations.addresses.len(), 2);
    let high = PortRange {
        first: 8000,
        last: 8100,
    };
    assert_eq!(network[0].destination_ports, [PortRange::one(443), high]);
    assert_eq!(collections[1].action, Action::Deny);
    check_all(&[
        (
            "a star in a network rule's name",
            text.replace(
                "destination_addresses = [\"*\"",
                "destination_fqdns = [\"*.a.example\"]\ndestination_addresses = [\"*\"",
            ),
            &["error", "`*.a.example`"],
        ),
        (
            "a port out of range",
            text.replace("8100", "81000"),
            &["error: `8000-81000` is no port"],
        ),
        (
            "no destination",
            text.replace("destination_addresses = [\"*\", \"10.0.0.1-10.0.0.2\"]\n", ""),
            &["6:8 error: rule `r` names no destination"],
        ),
        (
            "a service tag that no list holds, where the rule denies",
            text.replace("10.0.0.1-10.0.0.2", "Storage.WestEurope"),
            &[
                "error: no list holds a prefix of service tag `Storage.WestEurope`",
                "deny less",
            ],
        ),
        (
            "a name among addresses to translate to",
            text.replace(
                "translated_address = \"10.0.0.2\"",
                "translated_address = \"web.example\"",
            ),
            &["error: `web.example` is no address", "translated_fqdn"],
        ),
        (
            "translated to nothing",
            text.replace("translated_address = \"10.0.0.2\"\n", ""),
            &["error: rule `r` is translated to nothing"],
        ),
        (
            "a rule that allows and names no source on an open listener",
            format!(
                "explicit_network_rules = true\n[listeners]\nproxy = [\"0.0.0.0:3128\"]\n{}",
                text.replace("source_addresses = [\"*\"]\n", "")
                    .replace("\"Deny\"", "\"Allow\"")
            ),
            &["error: rule `r` names no source"],
        ),
    ]);
    let explicit = load_text(&format!("explicit_network_rules = true\n{text}"));
    assert!(explicit.policy.explicit_network_rules);
    assert_eq!(explicit.warnings.len(), 1, "DNAT alone is warned of");
    let named = text.replace(
        "destination_addresses = [\"*\", \"10.0.0.1-10.0.0.2\"]",
        "destination_fqdns = [\"a.example\"]",
    );
    assert!(!told(&named).contains("not the addresses that they lead to"));
    let named = format!("explicit_network_rules = true\n{named}");
    assert!(told(&named).contains("warning: rule `r` denies these names at the proxy port, and not the addresses"));
    assert!(!told(&named.replace("\"Deny\"", "\"Allow\"")).contains("not the addresses that they lead to"));
    let udp = format!(
        "explicit_network_rules = true\n{}",
        text.replacen("\"TCP\"", "\"UDP\"", 1)
    );
    assert!(told(&udp).contains("no rule of this collection is for TCP"));
    let allowed = text
        .replace("\"Deny\"", "\"Allow\"")
        .replace("10.0.0.1-10.0.0.2", "Storage.WestEurope");
    assert!(
        told(&allowed)
            .contains("warning: no list holds a prefix of service tag `Storage.WestEurope`: it matches nothing")
    );
}

#[test]
fn lists_and_service_tags_are_read_from_files_beside_the_configuration() {
    let folder = std::env::temp_dir().join(format!("egret-lists-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let tags = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/service-tags.json");
    std::fs::copy(tags, folder.join("tags.json")).unwrap();
    std::fs::write(
        folder.join("bad.txt"),
        "203.0.113.9 # one\n\n*.bad.example\nbad.example\n",
    )
    .unwrap();
    let empty = r#"{"values":[{"name":"Storage.WestEurope","properties":{"addressPrefixes":[]}}]}"#;
    std::fs::write(folder.join("empty-tags.json"), empty).unwrap();
    std::fs::write(folder.join("windows.txt"), "\u{feff}198.51.100.1\r\nbad.example\r\n").unwrap();
    std::fs::write(folder.join("comments.txt"), "# nothing yet\n").unwrap();
    std::fs::write(folder.join("broken.txt"), "203.0.113.9\n203.0.113.0/33\n*\n").unwrap();
    let network = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                   [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
                   destination_addresses = [\"storage.westeurope\"]\ndestination_ports = [\"443\"]\n";
    let load = |text: &str| {
        let path = folder.join("egret.toml");
        std::fs::write(&path, text).unwrap();
        super::load(&path)
    };
    let policy = load(&format!(
        "[service_tags]\nfile = \"tags.json\"\n[threat_intelligence]\nmode = \"Deny\"\nfiles = [\"bad.txt\"]\n{network}"
    ))
    .unwrap()
    .policy;
    let lists = &policy.threat_intelligence;
    assert_eq!((lists.addresses.len(), lists.fqdns.len()), (1, 2));
    let Rules::Network(rules) = &policy.groups[0].collections[0].rules else {
        panic!("a network collection")
    };
    let [tag] = &rules[0].destinations.service_tags[..] else {
        panic!("{:?}", rules[0])
    };
    assert_eq!((&*tag.name, tag.prefixes.len()), ("Storage.WestEurope", 1));
    for (text, wanted) in [
        (
            "[threat_intelligence]\nfiles = [\"broken.txt\"]\n",
            "broken.txt:2: `203.0.113.0/33` is no address, prefix or name",
        ),
        (
            "[threat_intelligence]\nfiles = [\"broken.txt\"]\n",
            "broken.txt:3: `*` is no address, prefix or name",
        ),
        ("[threat_intelligence]\nfiles = [\"gone.txt\"]\n", "cannot be read"),
        ("[service_tags]\nfile = \"bad.txt\"\n", "is not a list of service tags"),
        (
            &format!("[service_tags]\nfile = \"empty-tags.json\"\n{network}"),
            "no list holds a prefix of service tag `storage.westeurope`: this rule would deny less than it says",
        ),
    ] {
        let problems = load(text).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert!(told.iter().any(|told| told.contains(wanted)), "{wanted}: {told:?}");
    }
    let windows = load("[threat_intelligence]\nfiles = [\"windows.txt\"]\n").unwrap();
    let lists = windows.policy.threat_intelligence;
    assert_eq!((lists.addresses.len(), lists.fqdns.len()), (1, 1), "a BOM and CRLF");
    for text in ["files = [\"comments.txt\"]", "mode = \"Deny\""] {
        let empty = load(&format!("[threat_intelligence]\n{text}\n")).unwrap().warnings;
        assert!(
            empty
                .iter()
                .any(|warning| warning.found.contains("nothing is ever hit")),
            "{text}"
        );
    }
    let off = load("[threat_intelligence]\nmode = \"Off\"\nfiles = [\"broken.txt\"]\n").unwrap();
    assert_eq!(off.warnings.len(), 0, "what is off is not read");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Azure's rules know IPv4 alone, so that `0.0.0.0/0` is all there is.
#[test]
fn what_denies_all_of_ipv4_denies_ipv6_and_what_allows_it_does_not() {
    let text = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\n\
                source_addresses = [\"0.0.0.0/1\", \"128.0.0.0/1\"]\ndestination_addresses = [\"0.0.0.0/0\"]\n\
                destination_ports = [\"443\"]\n";
    let everywhere = |text: &str| {
        let policy = load_text(text).policy;
        let Rules::Network(rules) = &policy.groups[0].collections[0].rules else {
            panic!("a network collection")
        };
        (
            rules[0].destinations.any,
            rules[0].sources == Sources::Any { written: true },
        )
    };
    assert_eq!(everywhere(text), (true, true));
    assert_eq!(everywhere(&text.replace("Deny", "Allow")), (false, false));
    assert_eq!(
        everywhere(&text.replace("\"0.0.0.0/0\"", "\"0.0.0.0/1\"")),
        (false, true)
    );
    check_all(&[(
        "said once for sources, once for destinations",
        text.into(),
        &[
            "6:8 warning: rule `r` denies all of IPv4: IPv6 is denied with it",
            "`*` says the same",
        ],
    )]);
    assert!(
        !told(
            &text
                .replace("0.0.0.0/0\"", "0.0.0.0/0\", \"::/0\"")
                .replace("\"0.0.0.0/1\", \"128.0.0.0/1\"", "\"*\"")
        )
        .contains("IPv6")
    );
    let applications =
        rule("source_addresses = [\"0.0.0.0/0\"]\ndestination_fqdns = [\"a.example\"]").replace("Allow", "Deny");
    let Rules::Application(rules) = &load_text(&applications).policy.groups[0].collections[0].rules else {
        panic!("an application collection")
    };
    assert_eq!(rules[0].sources, Sources::Any { written: true });
}

#[test]
fn a_network_rule_without_a_port_or_protocol_is_told_of() {
    let text = "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n\
                [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
                destination_addresses = [\"10.0.0.0/8\"]\ndestination_ports = [\"443\"]\n";
    check_all(&[
        (
            "no port",
            text.replace("[\"443\"]", "[]"),
            &["10:21 warning: rule `r` has no port: it never matches"],
        ),
        (
            "no protocol",
            text.replace("[\"TCP\"]", "[]"),
            &["6:8 warning: rule `r` has no protocol: it never matches"],
        ),
    ]);
}
