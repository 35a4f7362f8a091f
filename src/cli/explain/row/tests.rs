use super::*;
use crate::{
    config,
    policy::{Fqdn, FqdnPattern, Policy},
};

/// What it would be now, and all that is told.
fn compare(policy: &str, row: &str) -> anyhow::Result<(String, String)> {
    compare_with(&CompiledPolicy::new(model(policy)), row)
}

fn model(policy: &str) -> Policy {
    config::from_text("test.toml", policy).expect("the policy loads").policy
}

fn compare_with(policy: &CompiledPolicy, row: &str) -> anyhow::Result<(String, String)> {
    let compared = Compared::new(policy, "rows.ndjson:1", &Row::parse(row.as_bytes())?)?;
    Ok((compared.now.word.clone(), compared.text()))
}

fn azure(category: &str, columns: &str) -> String {
    format!(r#"{{"category":"{category}","properties":{{"SourceIp":"10.1.0.5","SourcePort":1,{columns}}}}}"#)
}

fn application(more: &str) -> String {
    azure(
        "AZFWApplicationRule",
        &format!(r#""Protocol":"HTTPS","DestinationPort":443,"IsExplicitProxyRequest":false,{more}"#),
    )
}

const ALLOWED: &str =
    r#""Fqdn":"api.contoso.com","Action":"Allow","RuleCollectionGroup":"default","RuleCollection":"app","Rule":"c""#;

/// Action and destination of network rules.
type Network = &'static [(&'static str, &'static str)];

/// An application rule for `*.contoso.com`, behind network rules.
fn policy(network: Network) -> String {
    let mut text = String::from(
        "[[application_rule_collection]]\nname = \"app\"\npriority = 900\naction = \"Allow\"\n\
         [[application_rule_collection.rule]]\nname = \"c\"\nsource_addresses = [\"*\"]\n\
         destination_fqdns = [\"*.contoso.com\"]\n",
    );
    for (at, (action, to)) in network.iter().enumerate() {
        text += &format!(
            "[[network_rule_collection]]\nname = \"n{at}\"\npriority = {}\naction = \"{action}\"\n\
             [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
             destination_ports = [\"443\"]\n{to}\n",
            100 + at
        );
    }
    text
}

const EVERYWHERE: &str = "destination_addresses = [\"*\"]";
const ALL_IPV4: &str = "destination_addresses = [\"0.0.0.0/0\"]";
const SOMEWHERE: &str = "destination_addresses = [\"198.51.100.0/24\"]";
const BY_NAME: &str = "destination_fqdns = [\"sql.contoso.com\"]";

#[test]
fn a_rule_whose_address_the_row_does_not_tell_is_never_taken_as_missed() {
    let depends = "the row does not tell enough";
    let cases: [(Network, Result<&str, &str>); 9] = [
        (&[], Ok("Allow")),
        (&[("Deny", EVERYWHERE)], Ok("Deny")),
        (&[("Deny", ALL_IPV4)], Ok("Deny")),
        (&[("Deny", SOMEWHERE)], Err(depends)),
        (&[("Deny", BY_NAME)], Err(depends)),
        (&[("Allow", SOMEWHERE)], Ok("Allow")),
        (&[("Allow", SOMEWHERE), ("Deny", EVERYWHERE)], Err(depends)),
        (&[("Deny", SOMEWHERE), ("Deny", EVERYWHERE)], Ok("Deny")),
        (&[("Allow", EVERYWHERE), ("Deny", SOMEWHERE)], Ok("Allow")),
    ];
    for (rules, wanted) in cases {
        let found = compare(&policy(rules), &application(ALLOWED));
        match (found, wanted) {
            (Ok((word, _)), Ok(wanted)) => assert_eq!(word, wanted, "{rules:?}"),
            (Err(error), Err(wanted)) => assert!(error.to_string().contains(wanted), "{rules:?}: {error}"),
            (found, wanted) => panic!("{rules:?}: {found:?}, not {wanted:?}"),
        }
    }
}

#[test]
fn what_a_row_does_not_tell_is_not_guessed() {
    let deny = |more: &str| application(&format!(r#""Action":"Deny",{more}"#));
    for (row, said) in [
        (
            deny(r#""Fqdn":"","ActionReason":"SNI TLS extension was missing.""#),
            "not decided by the policy alone",
        ),
        (deny(r#""Fqdn":"""#), "neither a name nor an address"),
        (deny(r#""Fqdn":"*.contoso.com""#), "neither host name nor address"),
        (
            azure(
                "AZFWNetworkRule",
                r#""Protocol":"TCP","DestinationIp":"","DestinationPort":443,"Action":"Deny""#,
            ),
            "neither a name nor an address",
        ),
        (
            azure(
                "AZFWNetworkRule",
                r#""Protocol":"TCP","DestinationIp":"sql.contoso.com","DestinationPort":443,"Action":"Deny""#,
            ),
            "`DestinationIp` is no address",
        ),
        (
            r#"{"category":"AZFWNetworkRule","properties":null}"#.into(),
            "no `properties`",
        ),
        (
            azure(
                "AZFWDnsQuery",
                r#""Protocol":"UDP","DestinationIp":"10.0.0.4","DestinationPort":53"#,
            ),
            "no decision",
        ),
        ("[]".into(), "no `properties`"),
        (r#"{"records":[]}"#.into(), "`records` is empty"),
        (r#"{"records":[{},{}]}"#.into(), "2 rows in `records`"),
    ] {
        let error = compare(&policy(&[]), &row).expect_err(&row);
        assert!(format!("{error:#}").contains(said), "{row}\n{error:#}");
    }
}

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

#[test]
fn rows_are_taken_in_every_form_that_azure_delivers_and_shown_without_control_characters() {
    let sentence = |operation: &str, msg: &str, more: &str| {
        format!(
            r#"{{"category":"AzureFirewallNetworkRule","operationName":"{operation}","properties":{{"msg":"{msg}"{more}}}}}"#
        )
    };
    let in_text = r#"{"category":"AZFWApplicationRule","properties":"{\"Protocol\":\"HTTPS\",\"SourceIp\":\"10.1.0.5\",\"DestinationPort\":443,\"Fqdn\":\"api.contoso.com\",\"Action\":\"Allow\"}"}"#;
    let names = "Policy: p. Rule Collection Group: default. Rule Collection: app. Rule: c";
    let legacy = format!("HTTPS request from 10.1.0.5:5555 to api.contoso.com:443. Action: Allow. {names}");
    for (row, said) in [
        (
            format!(
                r#"{{"Type":"AzureDiagnostics","Category":"AzureFirewallApplicationRule","OperationName":"AzureFirewallApplicationRuleLog","msg_s":"{legacy}"}}"#
            ),
            "decided alike\n",
        ),
        (
            format!(r#"{{"records":[{}]}}"#, application(ALLOWED)),
            "decided alike\n",
        ),
        (in_text.to_owned(), "https api.contoso.com:443 from 10.1.0.5"),
        (
            sentence(
                "AzureFirewallApplicationRuleLog",
                &format!("HTTPS request from 10.1.0.5:5555 to api.contoso.com:443. Action: Allow. {names}"),
                "",
            ),
            "decided alike\n",
        ),
        (
            sentence(
                "AzureFirewallNetworkRuleLog",
                "TCP request from 10.1.0.5:5555 to 10.9.0.1:22. Action: Deny. No rule matched. Proceeding with default action",
                r#","egret":{"reason":"NoRuleMatched"}"#,
            ),
            "decided alike",
        ),
        (
            application(r#""Fqdn":"1.2.3.4:443","Action":"Deny""#),
            "https 1.2.3.4:443",
        ),
        (
            application(r#""Fqdn":"[2001:db8::1]:443","Action":"Deny""#),
            "https [2001:db8::1]:443",
        ),
        (
            application(&ALLOWED.replace(r#""c""#, r#""c\u001b[31m""#)),
            "then       Allow by default/app/c\\u{1b}[31m",
        ),
        (
            azure(
                "AZFWApplicationRule",
                r#""Protocol":"MSSQL","DestinationPort":1433,"Fqdn":"sql.contoso.com","Action":"Deny","ActionReason":"Default Action""#,
            ),
            "now        Deny, NoRuleMatched",
        ),
    ] {
        let (_, text) = compare(&policy(&[]), &row).unwrap_or_else(|error| panic!("{row}\n{error:#}"));
        assert!(text.contains(said) && !text.contains('\u{1b}'), "{row}\n{text}");
    }
}

/// Azure's older sentence does not say whether it came by the explicit proxy, where network rules are not asked.
#[test]
fn what_depends_on_the_way_it_came_is_not_guessed_either() {
    let row = application(ALLOWED).replace(r#""IsExplicitProxyRequest":false,"#, "");
    let denied = policy(&[("Deny", EVERYWHERE)]);
    assert!(compare(&denied, &row).is_err());
    assert_eq!(compare(&policy(&[]), &row).expect("comparable").0, "Allow");
}

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

#[test]
fn a_rule_of_a_parent_is_another_one_than_ours_of_the_same_name() {
    let app = |table: &str, name: &str| {
        format!(
            "[[{table}]]\nname = \"c\"\npriority = 100\naction = \"Allow\"\n[[{table}.rule]]\nname = \"r\"\n\
             source_addresses = [\"*\"]\ndestination_fqdns = [\"{name}\"]\n"
        )
    };
    let group = "rule_collection_group.application_rule_collection";
    let text = format!(
        "[[parent_policy]]\nname = \"base\"\n[[parent_policy.rule_collection_group]]\nname = \"g\"\npriority = 100\n{}\
         [[rule_collection_group]]\nname = \"g\"\npriority = 100\n{}",
        app(&format!("parent_policy.{group}"), "a.contoso.com"),
        app(group, "b.contoso.com")
    );
    for (row_policy, end) in [
        (r#""Policy":"egret","#, "decided alike, by another rule\n"),
        (r#""Policy":"base","#, "decided alike\n"),
        // A row of another firewall, or of an older name of ours, tells nothing of it.
        (r#""Policy":"contoso-firewall","#, "decided alike\n"),
        ("", "decided alike\n"),
    ] {
        let row = application(&format!(
            r#"{row_policy}"Fqdn":"a.contoso.com","Action":"Allow","RuleCollectionGroup":"g","RuleCollection":"c","Rule":"r""#
        ));
        let (_, said) = compare(&text, &row).expect("comparable");
        assert!(said.contains(end) && said.contains("by base: g/c/r"), "{said}");
    }
}

#[test]
fn what_is_decided_alike_by_a_rule_and_by_none_is_told_as_such() {
    let denied = r#""Fqdn":"api.fabrikam.com","Action":"Deny""#;
    let by_rule = format!(r#"{denied},"RuleCollectionGroup":"default","RuleCollection":"never","Rule":"r""#);
    let (_, said) = compare(&policy(&[]), &application(&by_rule)).expect("comparable");
    assert!(said.contains("decided alike, now by no rule"), "{said}");
    let (_, said) = compare(&policy(&[("Deny", EVERYWHERE)]), &application(denied)).expect("comparable");
    assert!(said.contains("decided alike, now by a rule"), "{said}");
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

/// Names of application rules for another port are not tried one by one against the names of network rules, which took a debug
/// build more than a minute.
#[test]
fn a_row_is_judged_at_once_however_many_names_the_rules_have() {
    let names = |kind: &str, count: usize| {
        let names: Vec<String> = (0..count).map(|at| format!("\"{kind}{at}.contoso.com\"")).collect();
        names.join(", ")
    };
    let by_name = format!(
        "[[network_rule_collection]]\nname = \"n\"\npriority = 100\naction = \"Allow\"\n\
         [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
         destination_ports = [\"443\"]\ndestination_fqdns = [{}]\n",
        names("db", 1_000)
    );
    let web = policy(&[]).replace("\"*.contoso.com\"", &names("web", 2_000));
    let policy = CompiledPolicy::new(model(&(by_name + &web)));
    let row = azure(
        "AZFWNetworkRule",
        r#""Protocol":"TCP","DestinationIp":"203.0.113.77","DestinationPort":8443,"Action":"Deny""#,
    );
    let started = std::time::Instant::now();
    let (word, _) = compare_with(&policy, &row).expect("it is told");
    assert_eq!(word, "Deny");
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
