mod egret;
mod lists;

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
            deny(r#""Fqdn":"a.contoso.com","egret":{"reason":"NoRuleMatched","address":"10.0.0.4:443"}"#),
            "`egret.address` is no address",
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
    let long = "\u{e4}*".repeat(100_000);
    let error = compare(&policy(&[]), &deny(&format!(r#""Fqdn":"{long}""#))).expect_err("no name");
    assert!(error.to_string().len() < 1_000, "{} bytes", error.to_string().len());
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
