use super::*;

const ARM: &str = include_str!("../../../tests/data/config/nsg-arm.json");
const CLI: &str = include_str!("../../../tests/data/config/nsg-cli.json");

fn packet(destination: &str, transport: Transport, port: u16) -> Packet {
    Packet {
        source: "10.1.0.7".parse().unwrap(),
        destination: destination.parse().unwrap(),
        transport,
        port,
    }
}

fn tags() -> ServiceTags {
    ServiceTags::parse(include_bytes!("../../../tests/data/service-tags.json")).unwrap()
}

/// The rule that decides, or what is not known.
fn decided(json: &str, packet: Packet, tags: &ServiceTags) -> Result<(String, bool), String> {
    let groups = read::groups(json.as_bytes()).unwrap();
    let virtual_network = ["10.0.0.0/8".parse().unwrap()];
    let view = TagView {
        tags,
        virtual_network: &virtual_network,
    };
    let rule = groups[0]
        .decide(&packet, &view)
        .map_err(|unknown| unknown.to_string())?;
    let rule = rule.expect("the default rules match everything");
    Ok((rule.name.clone(), rule.allows))
}

#[test]
fn rules_are_judged_by_priority_and_the_first_match_stops() {
    for (to, transport, port, rule, allows) in [
        ("203.0.113.5", Transport::Tcp, 443, "AllowStorage", true),
        ("203.0.113.5", Transport::Tcp, 80, "DenyInternet", false),
        ("192.0.2.1", Transport::Udp, 53, "DenyInternet", false),
        ("10.9.9.9", Transport::Tcp, 3128, "AllowFirewall", true),
        ("10.9.9.9", Transport::Tcp, 22, "AllowVnetOutBound", true),
        ("10.9.9.9", Transport::Icmp, 0, "AllowVnetOutBound", true),
    ] {
        let found = decided(ARM, packet(to, transport, port), &tags());
        assert_eq!(found, Ok((rule.to_owned(), allows)), "{to} {transport:?} {port}");
    }
}

#[test]
fn the_form_of_the_cli_is_read_too_with_the_default_rules_that_it_holds() {
    let found = decided(CLI, packet("192.0.2.1", Transport::Tcp, 443), &tags());
    assert_eq!(found, Ok(("AllowInternetOutBound".into(), true)));
    let found = decided(CLI, packet("198.51.100.7", Transport::Tcp, 443), &tags());
    assert_eq!(found, Ok(("no-telemetry".into(), false)));
}

#[test]
fn a_bare_list_of_rules_gets_the_default_rules() {
    let rules = r#"[{"name":"none","direction":"Outbound","access":"Deny","priority":4096,"protocol":"*",
        "sourceAddressPrefix":"*","destinationAddressPrefix":"Internet","sourcePortRange":"*","destinationPortRange":"*"}]"#;
    let found = decided(rules, packet("10.2.0.1", Transport::Tcp, 443), &tags());
    assert_eq!(found, Ok(("AllowVnetOutBound".into(), true)));
    let found = decided(rules, packet("192.0.2.1", Transport::Tcp, 443), &tags());
    assert_eq!(found, Ok(("none".into(), false)));
}

#[test]
fn what_an_export_does_not_tell_is_no_answer() {
    let none = ServiceTags::default();
    let found = decided(ARM, packet("192.0.2.9", Transport::Tcp, 443), &none).unwrap_err();
    assert!(
        found.contains("rule `AllowStorage`") && found.contains("`Storage`"),
        "{found}"
    );
    let plain = decided(ARM, packet("192.0.2.9", Transport::Tcp, 25), &none);
    assert_eq!(
        plain,
        Ok(("DenyInternet".into(), false)),
        "the tag does not matter on another port"
    );
    let group = CLI.replace(
        "\"destinationAddressPrefix\": \"198.51.100.0/24\"",
        "\"destinationApplicationSecurityGroups\": [{\"id\": \"/x/asg-db\"}]",
    );
    let found = decided(&group, packet("192.0.2.9", Transport::Tcp, 443), &none).unwrap_err();
    assert!(found.contains("asg-db"), "{found}");
}

#[test]
fn what_is_no_export_is_refused_with_its_fault() {
    for (json, fault) in [
        ("{", "is not JSON"),
        ("{\"rules\": []}", "holds no network security group"),
        (
            "{\"securityRules\": [{\"name\": \"r\", \"direction\": \"Outbound\", \"access\": \"[parameters('a')]\"}]}",
            "is an expression",
        ),
        (
            "{\"securityRules\": [{\"name\": \"r\", \"direction\": \"Outbound\", \"access\": \"Permit\"}]}",
            "neither Allow nor Deny",
        ),
        (
            "{\"securityRules\": [{\"name\": \"r\", \"direction\": \"Outbound\", \"access\": \"Deny\", \"protocol\": \"Sctp\", \"priority\": 100}]}",
            "protocol `Sctp`",
        ),
    ] {
        let error = read::groups(json.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(fault), "{json}: {error}");
    }
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    assert!(matches!(read::groups(deep.as_bytes()), Err(read::NsgError::TooMuch)));
}

#[test]
fn a_name_cannot_steer_the_terminal() {
    let forged = ARM.replacen("\"AllowStorage\"", "\"a\\n\\u001b[2J\"", 1);
    assert_ne!(forged, ARM);
    let to_storage = packet("203.0.113.5", Transport::Tcp, 443);
    assert_eq!(decided(&forged, to_storage, &tags()).unwrap().0, "a\\n\\u{1b}[2J");
}

const DENY_ALL: &str = r#""priority": 100, "direction": "Outbound", "access": "Deny", "protocol": "*",
    "sourceAddressPrefix": "*", "sourcePortRange": "*", "destinationAddressPrefix": "*", "destinationPortRange": "*""#;

/// What decides about TCP 443 to a host of the network, or why it could not be told.
fn of_template(resources: &str) -> Result<String, String> {
    let json = format!(r#"{{"resources": [{resources}]}}"#);
    let groups = read::groups(json.as_bytes()).map_err(|error| error.to_string())?;
    let virtual_network = ["10.0.0.0/8".parse().unwrap()];
    let view = TagView {
        tags: &ServiceTags::default(),
        virtual_network: &virtual_network,
    };
    let packet = packet("10.9.9.9", Transport::Tcp, 443);
    for group in &groups {
        let rule = group.decide(&packet, &view).map_err(|unknown| unknown.to_string())?;
        if let Some(rule) = rule.filter(|rule| !rule.allows) {
            return Ok(rule.name.clone());
        }
    }
    Ok("allowed".into())
}

/// As Bicep, `az group export` and hand-written templates have them.
#[test]
fn rules_that_are_resources_of_their_own_belong_to_their_group() {
    let group = |name: &str, more: &str| {
        format!(
            r#"{{"type": "Microsoft.Network/networkSecurityGroups", "name": "{name}", "properties": {{"securityRules": []}}{more}}}"#
        )
    };
    let child = |name: &str, rule: &str| {
        format!(
            r#"{{"type": "Microsoft.Network/networkSecurityGroups/securityRules", "name": "{name}", "properties": {{{rule}}}}}"#
        )
    };
    for (owner, name) in [
        ("nsg-ai", "nsg-ai/deny-out"),
        ("NSG-ai", "nsg-AI/deny-out"),
        ("nsg-ai", "[format('{0}/{1}', 'nsg-ai', 'deny-out')]"),
        ("[parameters('nsg')]", "[concat(parameters('nsg'), '/deny-out')]"),
        (
            "[parameters('nsg')]",
            "[format('{0}/{1}', parameters('nsg'), 'deny-out')]",
        ),
    ] {
        let found = of_template(&format!("{}, {}", child(name, DENY_ALL), group(owner, "")));
        assert_eq!(found.as_deref(), Ok("deny-out"), "{owner} {name}");
    }
    let nested =
        format!(r#", "resources": [{{"type": "securityRules", "name": "deny-out", "properties": {{{DENY_ALL}}}}}]"#);
    assert_eq!(of_template(&group("n", &nested)).as_deref(), Ok("deny-out"));
    let inside = format!(r#"{{"name": "deny-out", "properties": {{{DENY_ALL}}}}}"#);
    let twice = group("n", "").replace("[]", &format!("[{inside}]"));
    let found = of_template(&format!("{twice}, {}", child("n/deny-out", DENY_ALL)));
    assert_eq!(found.as_deref(), Ok("deny-out"), "the same rule in both places");
    for (resources, fault) in [
        (
            format!("{twice}, {}", child("n/deny-out", &DENY_ALL.replace("100", "200"))),
            "group `n`: rule `deny-out` is there twice",
        ),
        (
            format!("{}, {}", group("n", ""), child("m/deny-out", DENY_ALL)),
            "rule `m/deny-out`: is a resource of a group",
        ),
        (
            format!(
                "{}, {}",
                group("n", ""),
                child("[concat(variables('x'), '/d')]", DENY_ALL)
            ),
            "is a resource of a group that the file does not tell",
        ),
        (
            format!(
                "{}, {}",
                group("n", ""),
                child("n/d", DENY_ALL).replace("\"name\"", "\"condition\": \"[x()]\", \"name\"")
            ),
            "`n/d`: has a condition",
        ),
        (
            group("n", "").replace("\"name\"", "\"existing\": true, \"name\""),
            "group `n`: is there already",
        ),
        (
            format!(
                r#"{{"type": "Microsoft.Resources/deployments", "name": "d", "condition": "[x()]",
                    "properties": {{"template": {{"resources": [{}]}}}}}}"#,
                group("n", "")
            ),
            "`d`: has a condition",
        ),
    ] {
        let found = of_template(&resources).unwrap_err();
        assert!(found.contains(fault), "{resources}: {found}");
    }
    let gone = group("n", "").replace("\"name\"", "\"condition\": false, \"name\"");
    assert!(of_template(&gone).unwrap_err().contains("no network security group"));
}

#[test]
fn a_group_whose_rules_cannot_be_read_is_named_and_not_passed_over() {
    let plain =
        r#"{"type": "Microsoft.Network/networkSecurityGroups", "name": "plain", "properties": {"securityRules": []}}"#;
    for (properties, fault) in [
        (
            r#"{"securityRules": "[variables('rules')]"}"#,
            "`securityRules` is an expression",
        ),
        (
            r#"{"securityRules": ["[variables('rule')]"]}"#,
            "`securityRules` is an expression",
        ),
        (
            r#"{"copy": [{"name": "securityRules", "count": 2, "input": {}}]}"#,
            "copy loop",
        ),
        (r#""[variables('properties')]""#, "`properties` is an expression"),
    ] {
        let other = plain
            .replace(r#"{"securityRules": []}"#, properties)
            .replace("\"plain\"", "\"other\"");
        let found = of_template(&format!("{plain}, {other}")).unwrap_err();
        assert!(
            found.contains("group `other`") && found.contains(fault),
            "{properties}: {found}"
        );
    }
    let looped = plain.replace("\"name\"", "\"copy\": {\"name\": \"x\", \"count\": 2}, \"name\"");
    assert!(of_template(&looped).unwrap_err().contains("copy loop"));
    assert_eq!(
        of_template(&plain.replace(r#"{"securityRules": []}"#, "{}")).as_deref(),
        Ok("allowed")
    );
}

/// A deployment beside a group may hold rules of it.
#[test]
fn a_deployment_of_which_the_template_is_elsewhere_is_named_and_not_passed_over() {
    let group =
        r#"{"type": "Microsoft.Network/networkSecurityGroups", "name": "n", "properties": {"securityRules": []}}"#;
    let deployment = |more: &str, properties: &str| {
        let kind = r#""type": "Microsoft.Resources/deployments", "name": "more""#;
        of_template(&format!(r#"{group}, {{{kind}{more}, "properties": {properties}}}"#))
    };
    let link = r#"{"templateLink": {"uri": "https://x.example"}}"#;
    let found = deployment("", link).unwrap_err();
    assert!(
        found.starts_with("deployment `more`: its template is in another file"),
        "{found}"
    );
    let conditional = deployment(r#", "condition": "[parameters('x')]""#, link).unwrap_err();
    assert!(conditional.contains("has a condition"), "{conditional}");
    for (more, properties) in [
        (r#", "condition": false"#, link),
        ("", r#"{"template": {"resources": []}}"#),
    ] {
        assert_eq!(deployment(more, properties).as_deref(), Ok("allowed"));
    }
}

#[test]
fn fields_of_a_rule_are_read_in_every_form_or_not_at_all() {
    let rule = |from: &str, to: &str| {
        format!(
            r#"{{"type": "Microsoft.Network/networkSecurityGroups", "name": "n",
                "properties": {{"securityRules": [{{"name": "deny", "properties": {{{}}}}}]}}}}"#,
            DENY_ALL.replace(from, to)
        )
    };
    for (from, to) in [
        (r#""destinationPortRange": "*""#, r#""destinationPortRange": 443"#),
        (
            r#""destinationPortRange": "*""#,
            r#""destinationPortRange": ["80", 443]"#,
        ),
        (
            r#""destinationPortRange": "*""#,
            r#""destinationPortRange": "", "destinationPortRanges": "443""#,
        ),
        (
            r#""sourceAddressPrefix": "*""#,
            r#""sourceAddressPrefix": null, "SourceAddressPrefixes": ["10.0.0.0/8"]"#,
        ),
        (r#""access": "Deny""#, r#""Access": "deny""#),
    ] {
        assert_eq!(of_template(&rule(from, to)).as_deref(), Ok("deny"), "{to}");
    }
    for (from, to, fault) in [
        (
            r#""sourceAddressPrefix": "*""#,
            r#""sourceAddressPrefixes": "[parameters('x')]""#,
            "is an expression",
        ),
        (
            r#""sourceAddressPrefix": "*""#,
            r#""sourceAddressPrefixes": []"#,
            "no source is said",
        ),
        (
            r#""destinationPortRange": "*""#,
            r#""destinationPortRange": """#,
            "no destination port is said",
        ),
        (
            r#""destinationPortRange": "*""#,
            r#""destinationPortRanges": [true]"#,
            "holds what is no text",
        ),
        (
            r#""sourceAddressPrefix": "*""#,
            r#""sourceApplicationSecurityGroups": "[variables('asgs')]""#,
            "`sourceApplicationSecurityGroups` is no list",
        ),
    ] {
        let found = of_template(&rule(from, to)).unwrap_err();
        assert!(found.contains("rule `deny`") && found.contains(fault), "{to}: {found}");
    }
}

#[test]
fn an_end_that_is_plain_settles_it_whatever_the_other_is() {
    let to_group = r#""destinationAddressPrefix": "", "destinationApplicationSecurityGroups": [{"id": "/x/asg1"}]"#;
    let json = |source: &str| {
        let rule = DENY_ALL
            .replace(r#""destinationAddressPrefix": "*""#, to_group)
            .replace(
                r#""sourceAddressPrefix": "*""#,
                &format!(r#""sourceAddressPrefix": "{source}""#),
            );
        format!(r#"{{"name": "n", "securityRules": [{{"name": "deny", {rule}}}]}}"#)
    };
    assert_eq!(of_template(&json("192.168.0.0/24")).as_deref(), Ok("allowed"));
    let found = of_template(&json("10.1.0.0/16")).unwrap_err();
    assert!(found.contains("application security group `asg1`"), "{found}");
}
