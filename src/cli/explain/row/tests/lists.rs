//! Hits on lists, and translations.

use super::*;

#[test]
fn a_hit_on_a_list_is_compared_with_the_lists_of_today() {
    let lists = |mode, listed| {
        let mut model = model(&policy(&[]));
        model.threat_intelligence.mode = mode;
        model.threat_intelligence.fqdns = vec![FqdnPattern::Exact(Fqdn::parse(listed).expect("a name"))];
        CompiledPolicy::new(model)
    };
    // egret writes TCP where a CONNECT names what is listed.
    let row = azure(
        "AZFWThreatIntel",
        r#""Protocol":"TCP","DestinationIp":"","DestinationPort":443,"Fqdn":"evil.example","Action":"Alert","egret":{}"#,
    );
    for (policy, word, end) in [
        (lists(ThreatMode::Alert, "evil.example"), "Alert", "decided alike"),
        (lists(ThreatMode::Deny, "evil.example"), "Deny", "decided otherwise"),
        (
            lists(ThreatMode::Alert, "other.example"),
            "not listed",
            "decided otherwise",
        ),
    ] {
        let (found, text) = compare_with(&policy, &row).expect("comparable");
        assert_eq!(found, word);
        assert!(text.contains(end), "{text}");
    }
}

/// Of a name the older sentences tell no address, but for egret's.
#[test]
fn a_hit_by_an_address_that_the_row_does_not_tell_is_left_open() {
    let lists = |listed: &str, allowed: &str| {
        let mut model = model(&policy(&[]));
        let lists = &mut model.threat_intelligence;
        lists.mode = ThreatMode::Alert;
        lists.addresses = vec![listed.parse().expect("a prefix")];
        lists.fqdns = vec![FqdnPattern::Exact(Fqdn::parse("listed.example").expect("a name"))];
        lists.allowed_fqdns = vec![FqdnPattern::Exact(Fqdn::parse(allowed).expect("a name"))];
        CompiledPolicy::new(model)
    };
    let (here, elsewhere) = ("203.0.113.9/32", "192.0.2.0/24");
    let row = |name: &str, why: &str| {
        format!(
            r#"{{"category":"AzureFirewallNetworkRule","operationName":"AzureFirewallThreatIntelLog","properties":{{"msg":"HTTP request from 10.0.0.5:54074 to {name}:80. Action: Alert. ThreatIntel: {why}"}}}}"#
        )
    };
    let ours = "the destination 203.0.113.9 is listed";
    let open = Err("does not tell enough");
    for (policy, row, said) in [
        (lists(here, "other.example"), row("c2.example", ours), Ok("Alert")),
        (
            lists(elsewhere, "other.example"),
            row("c2.example", ours),
            Ok("not listed"),
        ),
        (lists(here, "other.example"), row("c2.example", "Bot Networks"), open),
        (
            lists(here, "other.example"),
            row("c2.example", "the name c2.example is listed"),
            open,
        ),
        // Whatever the address is.
        (
            lists(here, "other.example"),
            row("listed.example", "Bot Networks"),
            Ok("Alert"),
        ),
        (
            lists(here, "c2.example"),
            row("c2.example", "Bot Networks"),
            Ok("not listed"),
        ),
        (
            CompiledPolicy::new(model(&self::policy(&[]))),
            row("c2.example", "Bot Networks"),
            Ok("not listed"),
        ),
    ] {
        match (compare_with(&policy, &row), said) {
            (Ok((word, _)), Ok(wanted)) => assert_eq!(word, wanted, "{row}"),
            (Err(error), Err(wanted)) => assert!(error.to_string().contains(wanted), "{row}: {error}"),
            (found, wanted) => panic!("{row}: {found:?}, not {wanted:?}"),
        }
    }
}

const DNAT: &str = r#"
[[nat_rule_collection]]
name = "nat"
priority = 100
action = "Dnat"
  [[nat_rule_collection.rule]]
  name = "in"
  protocols = ["TCP"]
  source_addresses = ["*"]
  destination_address = "20.1.1.1"
  destination_ports = ["443"]
  translated_address = "10.0.0.5"
  translated_port = 8443
"#;

#[test]
fn a_translation_is_compared_with_that_of_today() {
    let row = |translated: &str| {
        azure(
            "AZFWNatRule",
            &format!(
                r#""Protocol":"TCP","DestinationIp":"20.1.1.1","DestinationPort":443,{translated},
                "RuleCollectionGroup":"default","RuleCollection":"nat","Rule":"in""#
            )
            .replace('\n', ""),
        )
    };
    for (policy, translated, end) in [
        (
            DNAT,
            r#""TranslatedIp":"10.0.0.5","TranslatedPort":8443"#,
            "decided alike\n",
        ),
        (
            DNAT,
            r#""TranslatedIp":"10.0.0.6","TranslatedPort":8443"#,
            "decided otherwise",
        ),
        (
            "mode = \"enforce\"",
            r#""TranslatedIp":"10.0.0.5","TranslatedPort":8443"#,
            "not translated: Deny",
        ),
    ] {
        let (_, text) = compare(policy, &row(translated)).expect("comparable");
        assert!(text.contains(end), "{text}");
    }
}

/// The row tells an address: whether the name of the rule leads there today, only a resolver knows.
#[test]
fn a_translation_to_a_name_is_not_compared_with_an_address() {
    let to_name = DNAT.replace(
        "translated_address = \"10.0.0.5\"",
        "translated_fqdn = \"web.contoso.com\"",
    );
    let row = |port| {
        azure(
            "AZFWNatRule",
            &format!(
                r#""Protocol":"TCP","DestinationIp":"20.1.1.1","DestinationPort":443,"TranslatedIp":"10.0.0.5","TranslatedPort":{port}"#
            ),
        )
    };
    let error = compare(&to_name, &row(8443)).expect_err("an address is no name");
    assert!(error.to_string().contains("translates to web.contoso.com"), "{error}");
    // Another port is another translation, whatever the name.
    let (word, text) = compare(&to_name, &row(443)).expect("comparable");
    assert_eq!(word, "translated to web.contoso.com, port 8443");
    assert!(text.contains("decided otherwise"), "{text}");
}

/// What its list denies is denied wherever else the name leads; what it does not may be denied for another address.
#[test]
fn other_addresses_are_spoken_of_only_where_they_may_decide() {
    let row = azure(
        "AZFWThreatIntel",
        r#""IsExplicitProxyRequest":true,"Protocol":"HTTP","DestinationIp":"203.0.113.9","DestinationPort":80,"Fqdn":"c2.example","Action":"Deny","egret":{"name_source":"host"}"#,
    );
    for (listed, word, spoken_of) in [("203.0.113.9/32", "Deny", false), ("192.0.2.0/24", "not listed", true)] {
        let mut model = model(&policy(&[]));
        let lists = &mut model.threat_intelligence;
        lists.mode = ThreatMode::Deny;
        lists.addresses = vec![listed.parse().expect("a prefix")];
        let (found, said) = compare_with(&CompiledPolicy::new(model), &row).expect("comparable");
        assert_eq!(found, word, "{said}");
        assert_eq!(said.contains("asked of one address alone"), spoken_of, "{said}");
    }
}
