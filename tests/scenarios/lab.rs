//! The lab itself: its scenario holds, what it shows is what got through, and it cannot be fooled into passing.

use egret::lab::course::{Course, CourseError, Finding, Way};
use egret::lab::open_proxy::OpenProxy;
use egret::lab::report;
use egret::lab::scenario::{CORE, SHIPPED, Scenario};
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
    let findings = play(CORE, Way::Direct);
    for finding in &findings {
        let shown = finding.faults.iter().any(|fault| fault.starts_with("let through: "));
        assert_eq!(
            shown,
            finding.attempt.needs_control(),
            "{}: {:?}",
            finding.attempt.name,
            finding.faults
        );
    }
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

#[test]
fn the_ways_to_break_it_in_the_docs_do_what_they_say() {
    let require = "mode = \"require\"";
    let binding = "resource = [\"contoso-ai\", \"forgotten-ai\", \"flattened-ai\"]\n";
    let zone = "name = \"openai.azure.com\" ";
    for said in [
        require,
        binding.trim_end(),
        zone.trim_end(),
        "name = \"corp.contoso.example\"",
        "mode = \"off\"",
    ] {
        assert!(DOCS.contains(said), "docs/lab.md says {said}");
    }
    let findings = play(&edited(require, "mode = \"off\""), Way::Egret);
    assert!(has(&faulty(&findings), "forgotten", "let through: public-door"));

    let unbound = edited(binding, "").replace("[fqdn_tag.AzureOpenAI]", "# ");
    let findings = play(&unbound, Way::Egret);
    let said = "reason PublicResolution, expected NoRuleMatched";
    assert!(DOCS.contains(said) && has(&faulty(&findings), "another tenant's OpenAI", said));
    let findings = play(&unbound.replace(require, "mode = \"off\""), Way::Egret);
    assert!(has(&faulty(&findings), "another tenant", "let through: forbidden"));

    let findings = play(&edited(zone, "name = \"privatelink.openai.azure.com\" "), Way::Egret);
    assert!(
        !has(&faulty(&findings), "by the private endpoint", ""),
        "{:?}",
        faulty(&findings)
    );

    let findings = play(&edited(zone, "name = \"corp.contoso.example\" "), Way::Egret);
    assert!(
        has(&faulty(&findings), "by the private endpoint", "PublicResolution"),
        "{:?}",
        faulty(&findings)
    );
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
    let Err(CourseError::Config(problems)) = Course::new(read(&text), Way::Egret, &Ground::Mapped).map(|_| ()) else {
        panic!("it is no address");
    };
    assert_eq!(
        (problems[0].line as usize, &*problems[0].file),
        (line, FILE),
        "{}",
        problems[0]
    );
}
