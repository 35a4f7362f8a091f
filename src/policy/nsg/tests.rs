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
