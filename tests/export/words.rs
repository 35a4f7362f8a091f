//! Names, texts and tags as Azure takes them.

use super::*;

/// The rules that the export of this configuration has, and its notes.
fn exported(text: &str) -> (Vec<Value>, Vec<String>) {
    let exported = export::azure_firewall(&checked(text), &Beside::default()).unwrap();
    (rules(&exported.template).clone(), exported.notes)
}

#[test]
fn a_bracket_is_doubled_only_where_a_template_would_read_an_expression() {
    let rule = |name: &str, description: &str| {
        let (rules, _) = exported(&format!(
            r#"
            [[application_rule_collection]]
            name = "c"
            priority = 100
            action = "Allow"
              [[application_rule_collection.rule]]
              name = "{name}"
              description = "{description}"
              source_addresses = ["*"]
              protocols = [{{ type = "Https" }}]
              destination_fqdns = ["a.example"]
            "#
        ));
        [rules[0]["name"].clone(), rules[0]["description"].clone()]
    };
    assert_eq!(
        rule("[CHG1] github", "[CHG1] for the build"),
        ["[CHG1] github", "[CHG1] for the build"]
    );
    assert_eq!(rule("[CHG1]", "[[x]"), ["[[CHG1]", "[[[x]"]);
}

#[test]
fn a_denied_tag_is_written_in_the_names_that_are_denied_here_and_is_imported_again() {
    let text = r#"
        [[application_rule_collection]]
        name = "c"
        priority = 100
        action = "Deny"
          [[application_rule_collection.rule]]
          name = "r"
          source_addresses = ["*"]
          protocols = [{ type = "Https" }, { type = "Http" }]
          destination_fqdn_tags = ["WindowsUpdate"]
        "#;
    let (rules, _) = exported(text);
    assert!(
        rules.iter().all(|rule| rule["fqdnTags"] == serde_json::json!([])),
        "{rules:#?}"
    );
    assert!(
        rules
            .iter()
            .any(|rule| !rule["targetFqdns"].as_array().unwrap().is_empty())
    );
    let template = export::azure_firewall(&checked(text), &Beside::default())
        .unwrap()
        .template;
    let files = [("ex.json".to_owned(), template.to_string().into_bytes())];
    azure_firewall(&files, None, &Options::default()).unwrap();
}

#[test]
fn a_rule_keeps_its_name_beside_the_parts_of_another_and_a_part_is_told_of() {
    let (rules, notes) = exported(
        r#"
        [[network_rule_collection]]
        name = "c"
        priority = 100
        action = "Allow"
          [[network_rule_collection.rule]]
          name = "n"
          source_addresses = ["*"]
          protocols = ["TCP"]
          destination_addresses = ["192.0.2.1"]
          destination_fqdns = ["a.example"]
          destination_ports = ["443"]
          [[network_rule_collection.rule]]
          name = "n-2"
          source_addresses = ["*"]
          protocols = ["TCP"]
          destination_addresses = ["192.0.2.2"]
          destination_ports = ["22"]
        "#,
    );
    let names: Vec<_> = rules.iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["n", "n-3", "n-2"]);
    let told: Vec<_> = notes.iter().filter(|note| note.contains("`n-3`")).collect();
    assert_eq!(told.len(), 1, "{notes:?}");
    assert!(told[0].contains("/c/n`"), "{told:?}");
}
