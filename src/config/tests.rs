use super::*;

fn all(text: &str) -> String {
    match from_text("t.toml", text) {
        Ok(checked) => checked.warnings,
        Err(problems) => problems,
    }
    .iter()
    .map(|p| format!("{p}\n\n"))
    .collect()
}

#[test]
fn whole() {
    let text = include_str!("../../tests/data/config/whole.toml");
    println!("{}", all(text));
    println!(
        "{}",
        all(
            "listenerz = 1\n[proxy]\necho = 2\nech = \"Outer\"\n[limits]\ntunnels = 0\nidle_seconds=\"x\"\n[[rule_collection_group]]\npriority = 70\n  [[rule_collection_group.application_rule_collection]]\n  name=\"a\"\n  action=\"allow\"\n    [[rule_collection_group.application_rule_collection.rule]]\n    name=\"r\"\n    source_ip_groups = [\"x\"]\n    destination_fqdns=[\"api.*.x.com\", \"*.com\", \"https://x\", \"*.x.com\", \"a.x.com\"]\n    destination_urls=[]"
        )
    );
    println!("{}", all("a = \nb = 3\n[c\nd=4"));
    println!("{}", all(""));
}
