//! A policy of network rules, as policy tests are tried against.

/// Name, action and destination of each, in this order and each of a collection of its own, before an application rule for
/// `*.contoso.test`.
pub fn network_rules(rules: &[(&str, &str, &str)]) -> String {
    let mut text = String::from(
        "explicit_network_rules = true\n[[application_rule_collection]]\nname = \"web\"\npriority = 100\naction = \"Allow\"\n\
         [[application_rule_collection.rule]]\nname = \"r\"\nsource_addresses = [\"*\"]\n\
         destination_fqdns = [\"*.contoso.test\"]\n",
    );
    for (at, (name, action, to)) in rules.iter().enumerate() {
        text += &format!(
            "[[network_rule_collection]]\nname = \"{name}\"\npriority = {}\naction = \"{action}\"\n\
             [[network_rule_collection.rule]]\nname = \"r\"\nprotocols = [\"TCP\"]\nsource_addresses = [\"*\"]\n\
             destination_ports = [\"443\"]\n{to}\n",
            100 + at
        );
    }
    text
}
