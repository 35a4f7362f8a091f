//! What a hostile file may cost: of each generator, a file twice as large takes at most twice as much, or ends at a bound.
//!
//! Steps are measured and not time. What is not paid for looks at each thing a fixed number of times; the sizes are such that a
//! loop within a loop would be felt.

use super::*;
use crate::import::value;
use generators::{GENERATORS, KEPT, LONG};

mod generators;
mod paid;

/// A template with these variables and resources.
fn template(variables: &str, resources: &str) -> String {
    format!("{{\"contentVersion\": \"1\", \"variables\": {{{variables}}}, \"resources\": [{resources}]}}")
}

fn many(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

fn texts(count: usize, start: &str) -> String {
    many(count, |index| format!("\"{start}{index}\""))
}

const IP_GROUP: &str = "\"type\": \"Microsoft.Network/ipGroups\", \"name\": \"g\"";

/// A group with one collection that allows, of these rules.
fn rules(rules: &str) -> String {
    format!(
        r#"{{"type": "Microsoft.Network/firewallPolicies/ruleCollectionGroups", "name": "p/g", "properties": {{"priority": 100,
        "ruleCollections": [{{"ruleCollectionType": "FirewallPolicyFilterRuleCollection", "name": "c", "priority": 100,
        "action": {{"type": "Allow"}}, "rules": [{rules}]}}]}}}}"#
    )
}

/// An application rule with these fields and names.
fn rule(fields: &str, fqdns: &str) -> String {
    format!(
        r#"{{"ruleType": "ApplicationRule", {fields} "sourceAddresses": ["*"], "targetFqdns": {fqdns},
        "protocols": [{{"protocolType": "Https", "port": 443}}]}}"#
    )
}

fn names(fqdns: &str) -> String {
    rules(&rule("\"name\": \"a\",", fqdns))
}

fn nested(levels: usize, inner: &str) -> String {
    format!("{}{inner}{}", "{\"x\":".repeat(levels), "}".repeat(levels))
}

/// A loop of 2,000 rounds of a resource with this type, and these fields.
fn looped(kind: &str, fields: &str) -> String {
    format!("{{\"type\": \"{kind}\", \"copy\": {{\"name\": \"l\", \"count\": 2000}}, {fields}}}")
}

/// Most bytes that a name, an id or a path is copied with.
const MOST_COPIED: usize = 2_048;

type Generator = (&'static str, fn(usize) -> String);

#[test]
fn the_pieces_of_a_stand_in_are_paid_for() {
    let concat = |what: &str| format!("\"[concat({})]\"", many(100, |_| what.into()));
    let mut variables = format!("\"v0\": {}", concat("parameters('x')"));
    for level in 1..3 {
        variables += &format!(", \"v{level}\": {}", concat(&format!("variables('v{}')", level - 1)));
    }
    let group = "{\"type\": \"Microsoft.Network/ipGroups\", \"name\": \"[variables('v2')]\", \"properties\": {}}";
    let variables = format!("{variables}}}, \"parameters\": {{\"x\": {{\"type\": \"string\"}}");
    let file = template(&variables, &format!("{group}, {}", names("[\"a.com\"]")));
    let made = azure_firewall(&[("a.json".to_owned(), file.into_bytes())], None, &Options::default());
    let faults = made.unwrap_err();
    assert!(faults[0].found.contains("MiB of text"), "{faults:?}");
}

#[test]
fn a_long_text_is_no_name_and_no_path_copies_it() {
    for (what, file) in LONG {
        let files = [("a.json".to_owned(), file(20_000).into_bytes())];
        let mut found = shapes::Found::default();
        let budget = Budget::default();
        let options = Options::default();
        let import = Import {
            names: vec!["a.json".into()],
            options: &options,
            budget: &budget,
        };
        let documents = import.read(0, &files[0].1).unwrap();
        let read = shapes::find(&budget, &arm::Given::default(), &documents, &mut found);
        assert!(read.is_ok_and(|any| any), "{what}");
        for one in &found.resources {
            let identity = format!("{:?}", identity::Identity::of(one));
            assert!(identity.len() < MOST_COPIED, "{what}: {}", identity.len());
            assert!(
                one.path.to_string().len() < MOST_COPIED && one.kind.len() < MOST_COPIED,
                "{what}"
            );
            assert!(one.name.as_str().is_none_or(|name| name.len() < MOST_COPIED), "{what}");
        }
        let (items, faults) = match within(&budget, &files, None, &options) {
            Ok(made) => (made.report.items, Vec::new()),
            Err(faults) => (Vec::new(), faults),
        };
        let long = |text: &str| text.len() > MOST_COPIED;
        assert!(!items.iter().any(|item| long(&item.path) || long(&item.name)), "{what}");
        assert!(
            !faults.iter().any(|fault| long(&fault.path) || long(&fault.found)),
            "{what}"
        );
    }
}

#[test]
fn a_hostile_file_twice_as_large_takes_at_most_twice_as_much() {
    for (what, file) in GENERATORS.into_iter().chain(KEPT) {
        let [one, two] = [1_500, 3_000].map(|size| {
            let budget = Budget::default();
            let files = [("a.json".to_owned(), file(size).into_bytes())];
            let made = within(&budget, &files, None, &Options::default());
            let faults = made.err().unwrap_or_default();
            let ended = faults.iter().any(|fault| fault.found.contains(" more than "));
            (ended, budget.taken())
        });
        let grows = one
            .1
            .iter()
            .zip(two.1)
            .any(|(one, two)| two > 2 * one + one / 20 + 1_000);
        assert!(two.0 || !grows, "{what}: {:?}, then {:?}", one.1, two.1);
    }
}

/// What an import took, and the faults that it ended with.
fn taken(file: String) -> ([u64; 3], Vec<ImportFault>) {
    let budget = Budget::default();
    let files = [("a.json".to_owned(), file.into_bytes())];
    let made = within(&budget, &files, None, &Options::default());
    (budget.taken(), made.err().unwrap_or_default())
}

#[test]
fn each_part_that_is_worked_out_takes_a_step_however_often() {
    let inputs = [
        format!("[{}]", many(1_000, |_| "1".into())),
        format!("{{{}}}", many(1_000, |index| format!("\"m{index}\": 1"))),
    ];
    for input in inputs {
        let list = format!("\"copy\": [{{\"name\": \"l\", \"count\": 20, \"input\": {input}}}]");
        let ([steps, ..], _) = taken(template(&list, &names("\"[string(length(variables('l')))]\"")));
        assert!(steps >= 20_000, "{steps}");
    }
}

#[test]
fn a_reason_is_short_and_paid_for_whatever_it_is_made_of() {
    let one = |index: usize| format!("\"[reference('{}{index}')]\"", "x".repeat(100));
    let ([_, text, _], _) = taken(template("", &names(&format!("[{}]", many(1_000, one)))));
    assert!(text >= 1_000 * 50, "{text}");
    let long = value::Unknown::new("x".repeat(10_000), Place::default());
    assert_eq!(long.why.chars().count(), 301);
}

#[test]
fn what_there_is_no_room_for_is_not_told() {
    let group = format!(
        "{{\"type\": \"Microsoft.Network/firewallPolicies/ruleCollectionGroups\", \"name\": \"p/g\", \
         \"properties\": {{\"priority\": 100, \"ruleCollections\": [{}]}}}}",
        many(300_000, |_| "1".into())
    );
    let files = [("a.json".to_owned(), template("", &group).into_bytes())];
    let (budget, options) = (Budget::default(), Options::default());
    let import = Import {
        names: vec!["a.json".into()],
        options: &options,
        budget: &budget,
    };
    let mut found = shapes::Found::default();
    let documents = import.read(0, &files[0].1).unwrap();
    shapes::find(&budget, &arm::Given::default(), &documents, &mut found).unwrap();
    let mut gather = chain::Gather::new(&import, found);
    let _ = gather.model();
    assert!(budget.kept().is_err());
    assert!(gather.into_items().len() < 10);
}

#[test]
fn the_values_of_all_files_are_counted_together() {
    let budget = Budget::default();
    budget.values.set(100);
    let files =
        ["a.json", "b.json"].map(|name| (name.to_owned(), format!("[{}]", many(40, |_| "{}".into())).into_bytes()));
    let faults = within(&budget, &files, None, &Options::default()).unwrap_err();
    let over: Vec<_> = faults.iter().filter(|fault| fault.found.contains(" values")).collect();
    assert_eq!(over.len(), 1, "{faults:?}");
    assert_eq!(&*over[0].file, "b.json");
}

#[test]
fn the_bytes_of_all_files_are_counted_together() {
    let files = ["a.json", "b.json"].map(|name| (name.to_owned(), format!("[{}]", " ".repeat(17 << 20)).into_bytes()));
    let faults = azure_firewall(&files, None, &Options::default()).unwrap_err();
    assert_eq!(&*faults[0].file, "b.json");
    assert!(faults[0].found.contains("32 MiB"), "{faults:?}");
}

#[test]
fn a_range_counts_as_what_it_becomes() {
    let rule = |addresses: &str| {
        let fields =
            "\"ruleType\": \"NetworkRule\", \"name\": \"n\", \"ipProtocols\": [\"TCP\"], \"sourceAddresses\": [\"*\"]";
        rules(&format!(
            "{{{fields}, \"destinationPorts\": [\"443\"], \"destinationAddresses\": [{addresses}]}}"
        ))
    };
    let entries = |addresses: &str| taken(template("", &rule(addresses))).0[2];
    let whole = "2001:db8::1-fdff:ffff:ffff:ffff:ffff:ffff:ffff:fffe";
    let prefixes = nets::nets(whole).unwrap().nets.len() as u64;
    assert!(prefixes > 200);
    assert!(entries(&format!("\"{whole}\"")) >= entries("\"2001:db8::1\"") + prefixes / 4);
}
