//! Rows that egret wrote: names at the proxy port with where they led, and what came of the destination.

use super::*;

/// A name that egret denied by network rules, at the proxy port.
fn of_egret(more: &str) -> String {
    let row = azure(
        "AZFWNetworkRule",
        &format!(
            r#""Protocol":"TCP","DestinationIp":"","DestinationPort":443,"Action":"Deny","egret":{{"reason":"RuleMatched",{more}}}"#
        ),
    );
    row.replace(
        r#""Action":"Deny""#,
        r#""Action":"Deny","RuleCollectionGroup":"default","RuleCollection":"gone","Rule":"r""#,
    )
}

/// The table of network rules writes TCP, whatever was spoken: without the rule, application rules are asked.
#[test]
fn a_row_of_network_rules_may_be_let_through_by_an_application_rule_today() {
    let http = "protocols = [{ type = \"Http\", port = 443 }]\n";
    let both = "protocols = [{ type = \"Http\", port = 443 }, { type = \"Https\", port = 443 }]\n";
    let explicit = |protocols: &str| format!("explicit_network_rules = true\n{}{protocols}", policy(&[]));
    let named = |requested: &str| of_egret(&format!(r#""fqdn":"aud.contoso.com","requested":"{requested}""#));
    let routed = azure(
        "AZFWNetworkRule",
        r#""Protocol":"TCP","DestinationIp":"203.0.113.77","DestinationPort":443,"Action":"Deny","RuleCollectionGroup":"default","RuleCollection":"gone","Rule":"r""#,
    );
    let depends = "depending on whether TLS or HTTP is spoken";
    for (policy, row, said) in [
        (explicit(both), named("aud.contoso.com:443"), Ok("Allow")),
        (explicit(both), named("aud.contoso.com"), Ok("Allow")),
        (explicit(http), named("aud.contoso.com"), Ok("Allow")),
        (explicit(""), named("aud.contoso.com"), Ok("Deny")),
        (explicit(""), named("aud.contoso.com:443"), Err(depends)),
        (
            explicit(""),
            of_egret(r#""fqdn":"aud.fabrikam.com","requested":"aud.fabrikam.com:443""#),
            Ok("Deny"),
        ),
        (policy(&[]), routed.clone(), Err("what is spoken, and to which name")),
        (policy(&[]), routed.replace("443", "22"), Ok("Deny")),
        (policy(&[]), routed.replace("TCP", "UDP"), Ok("Deny")),
        (policy(&[("Deny", ALL_IPV4)]), routed.clone(), Ok("Deny")),
        // Where the name of that rule leads is not known, and may be elsewhere.
        (
            policy(&[("Deny", BY_NAME)]),
            routed.clone(),
            Err("what is spoken, and to which name"),
        ),
        (
            policy(&[("Deny", BY_NAME), ("Deny", ALL_IPV4)]),
            routed.clone(),
            Ok("Deny"),
        ),
        (policy(&[("Allow", ALL_IPV4)]), routed, Ok("Allow")),
    ] {
        match (compare(&policy, &row), said) {
            (Ok((word, _)), Ok(wanted)) => assert_eq!(word, wanted, "{policy}{row}"),
            (Err(error), Err(wanted)) => assert!(error.to_string().contains(wanted), "{error}"),
            (found, wanted) => panic!("{policy}{row}: {found:?}, not {wanted:?}"),
        }
    }
}

/// Two addresses, of which a collection in audit mode would deny the first: the gateway tells it as allowed.
#[test]
fn a_name_is_judged_by_all_the_addresses_that_the_row_says_it_led_to() {
    let net = |mode: &str, to: &str| {
        format!(
            "explicit_network_rules = true\n{}\n[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Deny\"\n{mode}\n\
             [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
             destination_ports = [\"443\"]\ndestination_addresses = [{to}]\n",
            policy(&[])
        )
    };
    let (one, two) = ("\"203.0.113.1\"", "\"203.0.113.1\", \"203.0.113.3\"");
    let dns = r#""dns":["api.contoso.com A 203.0.113.1 (zone ., server record, 300 s)","api.contoso.com A 203.0.113.3 (zone ., server record, 300 s)"]"#;
    let row = |more: &str| {
        let rule = r#""RuleCollectionGroup":"default","RuleCollection":"app","Rule":"c""#;
        azure(
            "AZFWApplicationRule",
            &format!(
                r#""Protocol":"HTTPS","DestinationPort":443,"Fqdn":"api.contoso.com","Action":"Allow",{rule},"egret":{{"reason":"RuleMatched",{dns}{more}}}"#
            ),
        )
    };
    let (audit, enforce) = ("mode = \"audit\"", "");
    let dialled = r#","address":"203.0.113.1""#;
    for (mode, to, more, said) in [
        (audit, one, dialled, Ok("Allow")),
        (audit, two, dialled, Ok("Deny")),
        (enforce, one, dialled, Ok("Allow")),
        (enforce, two, dialled, Ok("Deny")),
        // Whether the other address would be dialled is not known: nobody may have vouched for it.
        (
            enforce,
            "\"203.0.113.3\"",
            r#","refused":["203.0.113.1"]"#,
            Err("which of its addresses are dialled"),
        ),
        (enforce, two, r#","refused":["203.0.113.1"]"#, Ok("Deny")),
    ] {
        match (compare(&net(mode, to), &row(more)), said) {
            (Ok((word, _)), Ok(wanted)) => assert_eq!(word, wanted, "{mode} {to}"),
            (Err(error), Err(wanted)) => assert!(error.to_string().contains(wanted), "{error}"),
            (found, wanted) => panic!("{mode} {to} {more}: {found:?}, not {wanted:?}"),
        }
    }
}

/// At the proxy port a name is judged before anybody asks where it leads, and for the protocol that it settles.
#[test]
fn no_rule_for_addresses_decides_a_name_that_is_not_let_in() {
    let denied = |name: &str| {
        application(&format!(
            r#""Fqdn":"{name}","Action":"Deny","egret":{{"reason":"NoRuleMatched","name_source":"connect","requested":"{name}:443"}}"#
        ))
        .replace("\"IsExplicitProxyRequest\":false", "\"IsExplicitProxyRequest\":true")
    };
    let explicit = |rules: String| format!("explicit_network_rules = true\n{rules}");
    let some = explicit(policy(&[("Deny", SOMEWHERE)]));
    let (_, said) = compare(&some, &denied("nope.example")).expect("comparable");
    assert!(
        said.contains("now        Deny, NoRuleMatched\n           decided alike\n"),
        "{said}"
    );
    let http = explicit(policy(&[("Deny", SOMEWHERE)])).replace(
        "destination_fqdns = [\"*.contoso.com\"]\n",
        "destination_fqdns = [\"*.contoso.com\"]\nprotocols = [{ type = \"Http\", port = 443 }]\n",
    );
    let led =
        r#""fqdn":"api.contoso.com","requested":"api.contoso.com:443","dns":["api.contoso.com A 198.51.100.7 (zone)"]"#;
    let (_, said) = compare(&http, &of_egret(&format!(r#"{led},"name_source":"connect""#))).expect("comparable");
    assert!(
        said.contains("now        Deny, RuleMatched by default/n0/r\n"),
        "{said}"
    );
    let (_, said) = compare(&http, &of_egret(led)).expect("comparable");
    assert!(
        said.contains("RuleMatched by default/n0/r or the default (NoRuleMatched)\n"),
        "{said}"
    );
}

/// Vetting takes it out of the answer before rules are asked, and the row tells it as the destination.
#[test]
fn an_address_that_is_never_dialled_is_no_way_round_a_denial() {
    let denied = format!("explicit_network_rules = true\n{}", policy(&[("Deny", SOMEWHERE)]));
    let row = of_egret(
        r#""fqdn":"api.contoso.com","requested":"api.contoso.com:443","name_source":"sni","refused":["169.254.1.1","198.51.100.7"],"dns":["api.contoso.com A 169.254.1.1 (zone)","api.contoso.com A 198.51.100.7 (zone)"]"#,
    );
    let row = row.replace(r#""DestinationIp":"""#, r#""DestinationIp":"169.254.1.1""#);
    assert_eq!(compare(&denied, &row).expect("comparable").0, "Deny");
}

/// The rules allowed it, and its destination did not answer: `Action` is theirs.
#[test]
fn an_allowed_row_whose_destination_did_not_answer_is_compared() {
    let row = |reason: &str| application(&format!(r#"{ALLOWED},"egret":{{"reason":"{reason}"}}"#));
    let (word, said) = compare(&policy(&[]), &row("UpstreamRefused")).expect("comparable");
    assert_eq!(word, "Allow");
    assert!(said.contains("decided alike\n"), "{said}");
    let denied = row("UpstreamRefused").replace("\"Allow\"", "\"Deny\"");
    assert!(
        compare(&policy(&[]), &denied).is_err(),
        "let through in audit mode, or not at all"
    );
}

/// What audit mode let through is told as the rules' denial, whatever became of it.
#[test]
fn a_row_of_audit_mode_whose_destination_did_not_answer_is_compared() {
    let row = |reason: &str| {
        let by_rule = ALLOWED.replace("\"app\"", "\"n0\"").replace("\"c\"", "\"r\"");
        let egret = format!(r#""egret":{{"reason":"{reason}","mode":"audit","audit":{{"action":"Deny"}}}}"#);
        azure(
            "AZFWNetworkRule",
            &format!(r#""Protocol":"TCP","DestinationIp":"198.51.100.7","DestinationPort":443,{by_rule},{egret}"#),
        )
    };
    for (now, word, end) in [
        ("Deny", "Deny", "decided alike\n"),
        ("Allow", "Allow", "decided otherwise\n"),
    ] {
        let network: Network = if now == "Deny" {
            &[("Deny", SOMEWHERE)]
        } else {
            &[("Allow", SOMEWHERE)]
        };
        let policy = format!("explicit_network_rules = true\n{}", policy(network));
        for reason in ["UpstreamRefused", "RuleMatched"] {
            let row = row(reason).replace(r#""Fqdn":"api.contoso.com","#, "");
            let (found, said) = compare(&policy, &row).expect("comparable");
            assert_eq!(found, word, "{reason}: {said}");
            assert!(said.contains(end), "{reason}: {said}");
        }
    }
}

/// A CONNECT that rules deny is denied before anything is spoken: `HTTPS` stands for either protocol.
#[test]
fn a_connect_that_was_denied_is_judged_for_both_protocols() {
    let web = |action: &str, protocol: &str, port: u16| {
        let protocols = format!("protocols = [{{ type = \"{protocol}\", port = {port} }}]\n");
        (policy(&[]) + &protocols).replace("\"Allow\"", &format!("\"{action}\""))
    };
    let row = |protocol: &str, port: u16, more: &str| {
        azure(
            "AZFWApplicationRule",
            &format!(
                r#""Protocol":"{protocol}","DestinationPort":{port},"IsExplicitProxyRequest":true,"Fqdn":"api.contoso.com","Action":"Deny","egret":{{"reason":"NoRuleMatched","name_source":"connect"{more}}}"#
            ),
        )
    };
    // TLS in a tunnel for plain HTTP, which that policy denies too, leaves the same row.
    let open = Err("depending on whether TLS or HTTP is spoken");
    let dns = r#","dns":["api.contoso.com A 203.0.113.7 (zone .)"]"#;
    for (policy, row, said) in [
        (web("Allow", "Http", 8080), row("HTTPS", 8080, ""), open),
        (web("Deny", "Http", 8080), row("HTTPS", 8080, ""), Ok("Deny")),
        (web("Allow", "Http", 8081), row("HTTPS", 8080, ""), Ok("Deny")),
        (web("Allow", "Https", 8080), row("HTTPS", 8080, ""), Ok("Allow")),
        (web("Allow", "Http", 80), row("HTTP", 80, ""), Ok("Allow")),
        (web("Allow", "Https", 80), row("HTTP", 80, ""), Ok("Allow")),
        // TLS was spoken.
        (web("Allow", "Http", 80), row("HTTPS", 80, ""), Ok("Deny")),
        (web("Allow", "Http", 8080), row("HTTPS", 8080, dns), Ok("Deny")),
    ] {
        match (compare(&policy, &row), said) {
            (Ok((word, text)), Ok(wanted)) => assert_eq!(word, wanted, "{policy}{row}\n{text}"),
            (Err(error), Err(wanted)) => assert!(error.to_string().contains(wanted), "{error}"),
            (found, wanted) => panic!("{policy}{row}\n{found:?}, not {wanted:?}"),
        }
    }
}

/// Its destination did not answer, or its client left: the protocol of its row stands for either, in audit mode too.
#[test]
fn a_connect_that_nothing_was_spoken_in_is_judged_for_both_protocols() {
    let web = |protocol: &str, port: u16| {
        policy(&[]) + &format!("protocols = [{{ type = \"{protocol}\", port = {port} }}]\n")
    };
    let row = |protocol: &str, reason: &str, more: &str| {
        let columns = format!(
            r#""Protocol":"{protocol}","DestinationPort":8080,"IsExplicitProxyRequest":true,{ALLOWED},"egret":{{"reason":"{reason}"{more}}}"#
        );
        azure("AZFWApplicationRule", &columns)
    };
    let connect =
        r#","name_source":"connect","address":"203.0.113.7","dns":["api.contoso.com A 203.0.113.7 (zone .)"]"#;
    let audited = format!(r#"{connect},"audit":{{"action":"Deny"}}"#);
    let tls = connect.replace("connect", "sni");
    for (policy, row, now, end) in [
        (
            web("Http", 8080),
            row("HTTPS", "ClientClosed", connect),
            "Allow",
            "decided alike\n",
        ),
        (
            web("Http", 8080),
            row("HTTPS", "UpstreamRefused", connect),
            "Allow",
            "decided alike\n",
        ),
        (
            web("Https", 8080),
            row("HTTP", "UpstreamTimeout", connect),
            "Allow",
            "decided alike\n",
        ),
        (
            web("Http", 8081),
            row("HTTP", "UpstreamTimeout", connect),
            "Deny",
            "decided otherwise\n",
        ),
        (
            web("Http", 8080),
            row("HTTPS", "ClientClosed", &audited),
            "Allow",
            "decided otherwise\n",
        ),
        // It was spoken.
        (
            web("Http", 8080),
            row("HTTPS", "UpstreamTimeout", &tls),
            "Deny",
            "decided otherwise\n",
        ),
        (
            web("Http", 8080),
            row("HTTPS", "RuleMatched", connect),
            "Deny",
            "decided otherwise\n",
        ),
    ] {
        let (word, said) = compare(&policy, &row).unwrap_or_else(|error| panic!("{policy}{row}\n{error:#}"));
        assert!(word == now && said.contains(end), "{policy}{row}\n{said}");
        let way = if row.contains("HTTPS") {
            "https api."
        } else {
            "http api."
        };
        assert!(said.starts_with(way), "{said}");
    }
}

/// Network rules, asked at the proxy port, before an application rule for plain HTTP on their port.
fn over_http(network: Network) -> String {
    let names = "destination_fqdns = [\"*.contoso.com\"]\n";
    let web = format!("{names}protocols = [{{ type = \"Http\", port = 443 }}]\n");
    format!(
        "explicit_network_rules = true\n{}",
        policy(network).replace(names, &web)
    )
}

/// The rule that denies an address goes before the usual last one, which denies them all.
#[test]
fn a_denial_of_an_address_is_by_the_first_rule_that_holds_it() {
    let denied = over_http(&[("Deny", SOMEWHERE), ("Deny", EVERYWHERE)]);
    let row = of_egret(
        r#""fqdn":"api.contoso.com","requested":"api.contoso.com:443","name_source":"connect","refused":["198.51.100.7"],"dns":["api.contoso.com A 198.51.100.7 (zone)"]"#,
    );
    let row = row
        .replace("\"gone\"", "\"n0\"")
        .replace(r#""DestinationIp":"""#, r#""DestinationIp":"198.51.100.7""#);
    let (_, said) = compare(&denied, &row).expect("comparable");
    assert!(
        said.contains("Deny, RuleMatched by default/n0/r\n           decided alike\n"),
        "{said}"
    );
}

/// Requests of a kept connection tell the address that they went to, and not where else the name leads.
#[test]
fn a_row_with_one_address_of_a_name_is_compared_as_far_as_that_decides() {
    let row = |address: &str, audit: &str| {
        let columns = r#""IsExplicitProxyRequest":true,"Protocol":"HTTP","DestinationPort":443,"Fqdn":"api.contoso.com","Action":"Allow","RuleCollectionGroup":"default","RuleCollection":"app","Rule":"c""#;
        azure(
            "AZFWApplicationRule",
            &format!(
                r#"{columns},"egret":{{"reason":"RuleMatched","name_source":"host","requested":"api.contoso.com","address":"{address}"{audit}}}"#
            ),
        )
    };
    let audit = |policy: String| policy.replace("name = \"n0\"", "name = \"n0\"\nmode = \"audit\"");
    let denied = over_http(&[("Deny", SOMEWHERE)]);
    let open = Err("where else its name leads");
    for (policy, row, said) in [
        (denied.clone(), row("203.0.113.7", ""), Ok("Allow")),
        (denied.clone(), row("198.51.100.7", ""), open),
        (audit(denied.clone()), row("198.51.100.7", ""), open),
        (
            audit(denied),
            row("198.51.100.7", r#","dns":["api.contoso.com A 198.51.100.7 (zone)"]"#),
            Ok("Deny"),
        ),
        // Wherever it leads, and by the name.
        (over_http(&[("Deny", EVERYWHERE)]), row("203.0.113.7", ""), Ok("Deny")),
        (
            over_http(&[("Deny", SOMEWHERE), ("Deny", EVERYWHERE)]),
            row("198.51.100.7", ""),
            Ok("Deny"),
        ),
        (
            over_http(&[("Deny", "destination_fqdns = [\"api.contoso.com\"]")]),
            row("203.0.113.7", ""),
            Ok("Deny"),
        ),
        (policy(&[]), row("203.0.113.7", ""), Ok("Deny")),
    ] {
        match (compare(&policy, &row), said) {
            (Ok((word, text)), Ok(wanted)) => assert_eq!(word, wanted, "{policy}{row}\n{text}"),
            (Err(error), Err(wanted)) => assert!(error.to_string().contains(wanted), "{error}"),
            (found, wanted) => panic!("{policy}{row}\n{found:?}, not {wanted:?}"),
        }
    }
    // Lists may hold another one.
    let mut model = model(&over_http(&[]));
    model.threat_intelligence.mode = ThreatMode::Deny;
    model.threat_intelligence.addresses = vec!["192.0.2.1/32".parse().expect("a prefix")];
    let (word, said) = compare_with(&CompiledPolicy::new(model), &row("203.0.113.7", "")).expect("comparable");
    assert_eq!(word, "Allow");
    assert!(said.contains("were asked of one address alone"), "{said}");
}
