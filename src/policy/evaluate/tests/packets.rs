//! What a network rule says of packets: protocols, ports, destinations, and the forms that embed an address.

use super::*;

/// Azure Firewall rule processing: since 2020-11-09 `Any` is every IANA IP protocol; with an explicit port TCP and UDP.
#[test]
fn protocols_and_ports_of_a_network_rule() {
    let rule = |protocols: &[IpProtocol], ports: &[PortRange]| {
        let rule = NetworkRule {
            ip_protocols: protocols.to_vec(),
            destination_ports: ports.to_vec(),
            ..network("net", &["192.0.2.0/24"], &[])
        };
        policy(vec![collection("n", 100, Action::Allow, Rules::Network(vec![rule]))])
    };
    let (all, https) = (&[PortRange::ANY][..], &[PortRange::one(443)][..]);
    let high = PortRange {
        first: 8000,
        last: 8100,
    };
    let written = PortRange {
        first: 1,
        last: u16::MAX,
    };
    use IpProtocol::{Any, Icmp, Tcp, Udp};
    let esp = Transport::Other(50);
    for (protocols, ports, transport, port, matches) in [
        (&[Tcp][..], https, Transport::Tcp, 443, true),
        (&[Tcp], https, Transport::Tcp, 444, false),
        (&[Tcp], https, Transport::Udp, 443, false),
        (&[Udp, Tcp], https, Transport::Udp, 443, true),
        (&[Tcp], &[high, PortRange::one(443)], Transport::Tcp, 8100, true),
        (&[Tcp], &[high, PortRange::one(443)], Transport::Tcp, 8101, false),
        (&[Tcp], all, Transport::Tcp, 1, true),
        (&[Tcp], all, Transport::Icmp, 0, false),
        (&[Icmp], https, Transport::Icmp, 0, true),
        (&[Icmp], all, Transport::Tcp, 443, false),
        (&[Any], https, Transport::Tcp, 443, true),
        (&[Any], https, Transport::Udp, 443, true),
        (&[Any], https, Transport::Icmp, 0, false),
        (&[Any], https, esp, 0, false),
        (&[Any], &[written], Transport::Icmp, 0, false),
        (&[Any], all, Transport::Icmp, 0, true),
        (&[Any], all, esp, 0, true),
        (&[Tcp, Udp, Icmp], all, esp, 0, false),
        (&[], all, Transport::Tcp, 443, false),
        (&[Tcp, Icmp], &[], Transport::Tcp, 443, false),
        (&[Tcp, Icmp], &[], Transport::Icmp, 0, false),
    ] {
        let flow = FlowAttempt {
            transport,
            port,
            ..routed("192.0.2.7", None)
        };
        let found = verdict(&rule(protocols, ports), &flow).0 == DecidedBy::Network;
        assert_eq!(found, matches, "{protocols:?} {ports:?}: {transport:?} {port}");
    }
}

#[test]
fn destinations_of_a_network_rule() {
    let tag = crate::policy::ServiceTag {
        name: "Storage.WestEurope".into(),
        prefixes: ["203.0.113.0/26".parse().unwrap()].into(),
    };
    let mut rule = network("net", &["192.0.2.0/24", "2001:db8::/32"], &["db.example.com"]);
    rule.destinations.service_tags.push(tag);
    let model = policy(vec![collection("n", 100, Action::Allow, Rules::Network(vec![rule]))]);
    let mut resolved = Resolved::default();
    resolved.set(fqdn("db.example.com"), vec![ip("198.51.100.5")]);
    for (to, matches, why) in [
        ("192.0.2.255", true, "a prefix"),
        ("2001:db8::9", true, "a prefix of IPv6"),
        ("203.0.113.63", true, "a service tag"),
        ("203.0.113.64", false, "beyond the service tag"),
        ("198.51.100.5", true, "an address of the destination FQDN"),
        ("198.51.100.6", false, "another address"),
    ] {
        let flow = FlowAttempt {
            resolved: &resolved,
            ..routed(to, None)
        };
        assert_eq!(verdict(&model, &flow).0 == DecidedBy::Network, matches, "{why}");
    }
    let nowhere = network("net", &[], &[]);
    let model = policy(vec![collection("n", 100, Action::Allow, Rules::Network(vec![nowhere]))]);
    assert_eq!(verdict(&model, &routed("192.0.2.1", None)).0, DecidedBy::Default);
}

#[test]
fn what_denies_an_address_denies_every_form_that_embeds_it() {
    let net = |name: &str, priority, action, addresses: &[&str]| {
        let rules = Rules::Network(vec![network(name, addresses, &[])]);
        collection(name, priority, action, rules)
    };
    let model = policy(vec![
        net("exception", 100, Action::Allow, &["192.0.2.9/32"]),
        net("deny", 200, Action::Deny, &["192.0.2.0/24"]),
        net("allow", 300, Action::Allow, &["*"]),
    ]);
    for (to, rule) in [
        ("192.0.2.1", "deny"),
        ("::ffff:192.0.2.1", "deny"),
        ("64:ff9b::192.0.2.1", "deny"),
        ("64:ff9b:1::192.0.2.1", "deny"),
        ("2002:c000:201::1", "deny"),
        ("2001:0:4136:e378:8000:63bf:3fff:fdfe", "deny"),
        ("2001:db8::5efe:192.0.2.1", "deny"),
        ("::192.0.2.1", "deny"),
        ("192.0.2.9", "exception"),
        // What allows an address says nothing of the way by a translator.
        ("64:ff9b::192.0.2.9", "deny"),
        ("64:ff9b::198.51.100.1", "allow"),
        ("2001:db8::c000:201", "allow"),
    ] {
        let (_, _, found) = verdict(&model, &routed(to, None));
        assert_eq!(found, rule, "{to}");
        let to = ip(to).to_canonical().to_string();
        let (_, _, found) = verdict(&model, &asked(None, Some(&to)));
        assert_eq!(found, rule, "{to}, explicit");
    }
}
