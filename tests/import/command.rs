//! The command, and configurations that draw on a policy in JSON.

use super::*;
use crate::folder::Folder;

impl Folder {
    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.0.join(name), text).unwrap();
        self
    }

    fn egret(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_egret"));
        command.current_dir(&self.0).args(line.split(' ')).output().unwrap()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn the_command_writes_toml_and_a_report_and_refuses_with_2() {
    let folder = Folder::new("import-command");
    folder.write("p.json", &policy("Alert", &collection("Allow", rule(&json!({})))));
    let out = folder.egret("import azure-firewall p.json -o p.toml --report report.json");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stderr));
    assert!(
        text(&out.stderr).contains("1 application rules: 1 carried"),
        "{}",
        text(&out.stderr)
    );
    let report: Value = serde_json::from_slice(&fs::read(folder.0.join("report.json")).unwrap()).unwrap();
    assert_eq!(
        report["counts"]["application_rule"],
        json!({"held": 1, "carried": 1, "approximated": 0, "absent": 0})
    );
    assert_eq!(folder.egret("check p.toml").status.code(), Some(0));
    let allowed = folder.egret("explain https://a.example --source 10.1.1.1 --config p.toml");
    assert_eq!(allowed.status.code(), Some(0));

    // The TOML looks for its files beside itself, wherever it is written to.
    fs::create_dir(folder.0.join("sub")).unwrap();
    let tags = "{\"values\": [{\"name\": \"Sql\", \"properties\": {\"addressPrefixes\": [\"198.51.100.0/24\"]}}]}";
    folder.write("tags.json", tags).write("bad.txt", "bad.example\n");
    let lists = "--service-tags tags.json --threat-intelligence bad.txt";
    for out in ["sub/p.toml", "q.toml"] {
        let made = folder.egret(&format!("import azure-firewall p.json -o {out} {lists}"));
        assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
        let checked = folder.egret(&format!("check {out}"));
        assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    }

    folder.write("d.json", &policy("Deny", &json!([])));
    let out = folder.egret("import azure-firewall d.json -o d.toml");
    assert_eq!(out.status.code(), Some(2));
    let told = text(&out.stderr);
    assert!(
        told.contains("d.json:1:") && told.contains("$.resources[0].properties.threatIntelMode"),
        "{told}"
    );
    assert!(!folder.0.join("d.toml").exists());
}

#[test]
fn a_configuration_may_name_a_policy_in_json_and_problems_keep_their_place_there() {
    let folder = Folder::new("import-config");
    folder.write(
        "p.json",
        &policy(
            "Off",
            &collection("Allow", rule(&json!({"targetFqdns": ["*.openai.azure.com"]}))),
        ),
    );
    folder.write(
        "egret.toml",
        "[policy]\nazure_firewall = [\"p.json\"]\n\n[listeners]\nproxy = [\"127.0.0.1:0\"]\n",
    );
    let out = folder.egret("check egret.toml");
    assert_eq!(out.status.code(), Some(0), "{}", text(&out.stdout));
    let told = text(&out.stdout);
    assert!(
        told.contains("exfiltration path") && told.contains("--> p.json:1:"),
        "{told}"
    );
    assert!(
        told.contains("$.resources[1].properties.ruleCollections[0].rules[0]"),
        "{told}"
    );
    let allowed = folder.egret("explain https://a.openai.azure.com --source 10.1.1.1 --azure-policy p.json");
    assert_eq!(allowed.status.code(), Some(0), "{}", text(&allowed.stdout));
    let denied = folder.egret("explain https://b.example --source 10.1.1.1 --config egret.toml");
    assert_eq!(denied.status.code(), Some(1));

    folder.write("p.json", &policy("Deny", &json!([])));
    let out = folder.egret("check egret.toml");
    assert_eq!(out.status.code(), Some(1));
    assert!(
        text(&out.stdout).contains("cannot be enforced in full"),
        "{}",
        text(&out.stdout)
    );
    folder.write(
        "egret.toml",
        "[policy]\nazure_firewall = [\"p.json\"]\npartial = true\n",
    );
    assert_eq!(folder.egret("check egret.toml").status.code(), Some(0));
}

/// `GET` over a connection of its own.
fn get(address: std::net::SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn what_is_not_enforced_is_named_in_health_and_in_a_metric() {
    let folder = Folder::new("import-partial");
    folder.write(
        "p.json",
        &policy("Deny", &collection("Deny", rule(&json!({"terminateTLS": true})))),
    );
    let ports = "[listeners]\nproxy = [\"127.0.0.1:0\"]\nhealth = [\"127.0.0.1:0\"]\nadmin = [\"127.0.0.1:0\"]\n";
    folder.write(
        "egret.toml",
        // What the file says of denials itself cannot hide those of the import.
        &format!("[policy]\nazure_firewall = [\"p.json\"]\npartial = true\nnot_enforced = []\n\n{ports}"),
    );
    let checked = config::load(&folder.0.join("egret.toml")).unwrap_or_else(|problems| panic!("{}", shown(&problems)));
    assert_eq!(checked.sources, [folder.0.join("p.json")]);
    assert_eq!(checked.policy.not_enforced.len(), 2);
    let explained = folder.egret("explain https://a.example --source 10.1.1.1 --config egret.toml --json");
    let told: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!(told["not_enforced"].as_array().unwrap().len(), 2);
    let gateway = egret::gateway::Gateway::start(checked, egret::gateway::GatewayOptions::default()).unwrap();
    let (health, admin) = (gateway.health_addrs()[0], gateway.admin_addrs()[0]);
    let ready = get(health, "/readyz");
    assert!(
        ready.contains("\"partial\": true") && !ready.contains("g/c/r"),
        "{ready}"
    );
    assert!(get(admin, "/metrics").contains("egret_policy_not_enforced 2"));
    assert!(get(admin, "/status").contains("g/c/r"));
}

#[test]
fn explain_and_check_name_what_a_partial_import_does_not_deny() {
    let folder = Folder::new("import-partly");
    let denies = collection("Deny", rule(&json!({"targetFqdns": [], "webCategories": ["gambling"]})));
    let mut rules = denies.as_array().unwrap().clone();
    let mut allows = collection("Allow", rule(&json!({"targetFqdns": ["*"]})))[0].take();
    allows["name"] = "allow".into();
    allows["priority"] = 300.into();
    rules.push(allows);
    folder.write("p.json", &policy("Off", &json!(rules)));
    let explained = folder.egret("explain https://bets.example --source 10.1.1.1 --azure-policy p.json --partial");
    let told = text(&explained.stdout);
    assert!(told.contains("NOT ENFORCED") && told.contains("g/c/r: "), "{told}");
    let checked = folder.egret("check --azure-policy p.json --partial");
    let told = text(&checked.stderr) + &text(&checked.stdout);
    assert!(told.contains("NOT ENFORCED: `g/c/r` is absent"), "{told}");
    let denied = folder.egret("explain https://bets.example --source 192.0.2.1 --azure-policy p.json --partial");
    assert!(
        !text(&denied.stdout).contains("NOT ENFORCED"),
        "what is denied anyway is denied"
    );
}
