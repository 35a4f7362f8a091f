//! The lab itself: its scenario holds, what it shows is what got through, and it cannot be fooled into passing.

use egret::lab::course::{Course, Finding, Way};
use egret::lab::open_proxy::OpenProxy;
use egret::lab::report;
use egret::lab::scenario::{CORE, SHIPPED, Scenario, Shipped};
use egret::lab::world::Ground;

const FILE: &str = "src/lab/scenarios/core.toml";
const DOCS: &str = include_str!("../../docs/lab.md");

fn read(text: &str) -> Scenario {
    Scenario::parse(FILE, text).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

fn play(text: &str, way: Way) -> Vec<Finding> {
    let course = Course::new(read(text), way, &Ground::Mapped).unwrap_or_else(|e| panic!("{e}"));
    played(&course)
}

fn played(course: &Course) -> Vec<Finding> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(course.play())
}

/// The core scenario with one thing changed.
fn edited(from: &str, to: &str) -> String {
    assert_eq!(CORE.matches(from).count(), 1, "the scenario says once: {from}");
    CORE.replacen(from, to, 1)
}

/// Attempts that are not as expected, with their first fault.
fn faulty(findings: &[Finding]) -> Vec<(&str, &str)> {
    let faults = findings.iter().filter(|finding| !finding.faults.is_empty());
    faults
        .map(|finding| (finding.attempt.name.as_str(), finding.faults[0].as_str()))
        .collect()
}

fn has(faults: &[(&str, &str)], name: &str, fault: &str) -> bool {
    faults.iter().any(|(n, f)| n.contains(name) && f.contains(fault))
}

#[test]
fn every_shipped_scenario_holds_and_every_denial_has_two_controls() {
    for shipped in &SHIPPED {
        let findings = play(shipped.text, Way::Egret);
        assert_eq!(faulty(&findings), [], "{}", shipped.name);
        let refused: Vec<&Finding> = findings.iter().filter(|f| f.attempt.expect.refused()).collect();
        assert!(refused.len() >= 5 && findings.len() >= 12, "{}", shipped.name);
        for finding in refused {
            let by: Vec<&str> = finding.controls.iter().map(|control| control.by).collect();
            assert!(
                matches!(by[..], ["direct", "allow-all" | "open proxy" | "with the proxy"]),
                "{}: {by:?}",
                finding.attempt.name
            );
            assert!(finding.controls.iter().all(|control| control.bytes > 0));
        }
    }
}

#[test]
fn a_denial_whose_control_reaches_nothing_does_not_pass() {
    // The address is nobody's forbidden site any more: what egret denies could not have done harm.
    let text = edited(
        "addresses = [\"169.254.169.254\"]\nserves = \"metadata\"\nforbidden = true",
        "addresses = [\"169.254.169.254\"]",
    );
    let findings = play(&text, Way::Egret);
    let faults = faulty(&findings);
    assert_eq!(faults.len(), 2, "{faults:?}");
    for way in ["direct", "open proxy"] {
        let told = |f: &&Finding| {
            f.faults
                .iter()
                .any(|fault| fault.contains(&format!("control {way} reached no")))
        };
        assert_eq!(findings.iter().filter(told).count(), 2, "{faults:?}");
    }
}

#[test]
fn without_a_firewall_the_lab_shows_each_thing_that_gets_through() {
    for shipped in &SHIPPED {
        for finding in play(shipped.text, Way::Direct) {
            let shown = finding.faults.iter().any(|fault| fault.starts_with("let through: "));
            let (name, faults) = (&finding.attempt.name, &finding.faults);
            assert_eq!(
                shown,
                finding.attempt.needs_control(),
                "{}: {name}: {faults:?}",
                shipped.name
            );
        }
    }
    let findings = play(CORE, Way::Direct);
    assert!(has(
        &faulty(&findings),
        "chat completion by the private endpoint",
        "public-door answered"
    ));
}

#[test]
fn a_proxy_that_looks_at_connect_names_alone_is_shown_to_let_the_rest_through() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let way = Way::Proxy(listener.local_addr().unwrap());
    let course = Course::new(read(CORE), way, &Ground::Mapped).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let allow = [
        "contoso-ai.openai.azure.com",
        "microsoftonline.com",
        "contoso.example",
        "partner.example",
    ];
    let proxy = OpenProxy {
        internet: course.world.internet(),
        allow: allow.map(str::to_owned).to_vec(),
    };
    let findings = runtime.block_on(async {
        tokio::spawn(proxy.serve(tokio::net::TcpListener::from_std(listener).unwrap()));
        course.play().await
    });
    let faults = faulty(&findings);
    for name in [
        "SNI differs",
        "no SNI",
        "SSH inside",
        "Host differs",
        "CONNECT to port 80",
        "alias",
        "rebinding",
        "metadata",
    ] {
        assert!(has(&faults, name, "let through: "), "{name}: {faults:?}");
    }
    for name in ["another tenant's OpenAI", "a raw address", "private endpoint forgotten"] {
        assert!(!has(&faults, name, ""), "the list refuses {name}: {faults:?}");
    }
    let tally = report::Tally::of(&findings, std::time::Duration::ZERO);
    let table = report::text(&course, way, &findings, &tally);
    assert!(
        table.contains("why it matters: at a shared front end the SNI chooses the tenant"),
        "{table}"
    );
}

#[test]
fn a_proxy_that_answers_nobody_does_not_pass_for_a_firewall() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let findings = play(CORE, Way::Proxy(closed));
    assert!(has(&faulty(&findings), "token from Entra ID", "did not answer"));
}

/// What egret says of a scenario, without the number of bytes.
fn said(text: &str) -> String {
    let course = Course::new(read(text), Way::Egret, &Ground::Mapped).unwrap_or_else(|e| panic!("{e}"));
    let findings = played(&course);
    let tally = report::Tally::of(&findings, std::time::Duration::ZERO);
    without_bytes(&report::text(&course, Way::Egret, &findings, &tally))
}

fn without_bytes(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.split(" heard ").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_ways_to_break_it_in_the_docs_do_what_they_say() {
    let require = "mode = \"require\"";
    let binding = "resource = [\"contoso-ai\", \"forgotten-ai\", \"flattened-ai\"]\n";
    let zone = "name = \"openai.azure.com\" ";
    let (off, corporate) = ("mode = \"off\"", "name = \"corp.contoso.example\"");
    let private = "name = \"privatelink.openai.azure.com\"";
    for written in [require, binding.trim_end(), zone.trim_end(), off, corporate, private] {
        assert!(DOCS.contains(written), "docs/lab.md says {written}");
    }
    let unbound = edited(binding, "").replace("[fqdn_tag.AzureOpenAI]", "# ");
    let edits = [
        edited(require, off),
        unbound.clone(),
        unbound.replace(require, off),
        edited(zone, &format!("{corporate} ")),
    ];
    let (_, section) = DOCS.split_once("## Break it yourself").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let shown: Vec<&str> = section
        .split("```text\n")
        .skip(1)
        .map(|b| b.split("```").next().unwrap())
        .collect();
    assert_eq!(shown.len(), edits.len(), "an output for each edit");
    for (edit, shown) in edits.iter().zip(shown) {
        let said = said(edit);
        assert!(
            said.contains(without_bytes(shown).trim_end()),
            "docs/lab.md shows\n{shown}\negret says{said}"
        );
    }
    let findings = play(&edited(zone, &format!("{private} ")), Way::Egret);
    assert_eq!(faulty(&findings), [], "egret asks the private zone's server itself");
}

#[test]
fn every_shipped_scenario_is_in_the_docs_with_the_sum_of_all() {
    let (mut attempts, mut controls) = (0, 0);
    for shipped in &SHIPPED {
        assert!(DOCS.contains(&format!("\n| `{}` |", shipped.name)), "{}", shipped.name);
        let findings = play(shipped.text, Way::Egret);
        attempts += findings.len();
        controls += findings.iter().map(|finding| finding.controls.len()).sum::<usize>();
    }
    let sum = format!("{attempts} attempts and {controls} controls");
    assert!(DOCS.contains(&sum), "docs/lab.md says {sum}");
}

#[test]
fn every_group_has_rights_of_its_own_and_is_refused_what_another_may() {
    for shipped in &SHIPPED[1..] {
        let scenario = read(shipped.text);
        for client in ["workload", "build", "jumpbox"] {
            let tries = |refused: bool| {
                let of = scenario.attempts.iter().filter(|attempt| attempt.client == client);
                of.filter(|attempt| attempt.expect.refused() == refused).count()
            };
            assert!(
                tries(true) > 0 || shipped.name == "misconfigured",
                "{} {client}",
                shipped.name
            );
            let confined = shipped.name == "locked-down" && client == "jumpbox";
            assert_eq!(tries(false) == 0, confined, "{} {client}", shipped.name);
        }
    }
}

#[test]
fn each_mistake_says_what_to_mend_and_a_wrong_expectation_of_it_fails() {
    let shipped = Shipped::named("misconfigured").unwrap();
    let numbered = |name: &str| name.starts_with(|c: char| c.is_ascii_digit());
    for attempt in read(shipped.text).attempts {
        assert_eq!(numbered(&attempt.name), !attempt.mend.is_empty(), "{}", attempt.name);
    }
    let said = said(shipped.text);
    assert!(said.contains("\n  mend: add the tag EntraID to the rule\n"), "{said}");
    // Mended by what it says, the mistake does not show any more: the attempt is not as expected.
    let (from, to) = (
        "networks = [\"10.1.0.0/16\"] ",
        "networks = [\"10.1.0.0/16\", \"10.9.0.0/16\"] ",
    );
    assert_eq!(shipped.text.matches(from).count(), 1);
    let findings = play(&shipped.text.replace(from, to), Way::Egret);
    let faults = faulty(&findings);
    assert!(
        has(&faults, "4 a private endpoint outside", "let through: database"),
        "{faults:?}"
    );
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn the_scenario_of_the_docs_holds() {
    let (_, rest) = DOCS.split_once("```toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let findings = play(text, Way::Egret);
    assert_eq!(faulty(&findings), []);
    assert_eq!(findings.len(), 2);
}

#[test]
fn every_key_of_a_scenario_is_in_the_docs() {
    let keys = |value: &toml::Value| match value {
        toml::Value::Table(table) => table.keys().cloned().collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let all = |value: &toml::Value| value.as_array().unwrap().iter().flat_map(keys).collect::<Vec<_>>();
    for shipped in &SHIPPED {
        let file: toml::Value = toml::from_str(shipped.text).unwrap();
        let attempts = file["attempt"].as_array().unwrap();
        let requests = attempts.iter().filter_map(|a| a.get("request")).flat_map(all);
        let expects = attempts.iter().flat_map(|a| keys(&a["expect"]));
        for key in keys(&file)
            .into_iter()
            .chain(all(&file["site"]))
            .chain(all(&file["attempt"]))
            .chain(requests)
            .chain(expects)
        {
            assert!(
                DOCS.contains(&format!("`{key}`")) || DOCS.contains(&format!("{key}]")),
                "docs/lab.md explains {key}"
            );
        }
    }
}

#[test]
fn a_problem_of_the_configuration_has_its_line_in_the_scenario() {
    let text = edited("forwarders = [\"@private\"]", "forwarders = [\"@privat\"]");
    let line = 1 + text.lines().position(|line| line.contains("@privat\"")).unwrap();
    let problems = Scenario::parse(FILE, &text).map(|_| ()).expect_err("it is no address");
    assert_eq!(
        (problems[0].line as usize, &*problems[0].file),
        (line, FILE),
        "{}",
        problems[0]
    );
}

#[test]
fn problems_of_a_scenario_and_of_the_configuration_in_it_are_told_together() {
    let text = edited("forwarders = [\"@private\"]", "forwarder = [\"@private\"]");
    assert!(text.matches("client = \"workload\"").count() > 1);
    let text = text.replacen("client = \"workload\"", "client = \"worklod\"", 1);
    let problems = Scenario::parse(FILE, &text).map(|_| ()).expect_err("two mistakes");
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|problem| problem.contains("`worklod`")), "{told:?}");
    assert!(
        told.iter().any(|problem| problem.contains("unknown key `forwarder`")),
        "{told:?}"
    );
}
