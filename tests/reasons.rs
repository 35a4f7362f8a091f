//! `docs/reasons.md` is the table of reasons, written out.

use egret::policy::Reason;
use egret::policy::reason::Actor;
use std::path::Path;
use std::{env, fs};

const HEAD: &str = "# Reasons

Every decision has one reason out of a closed set. Its name is what the answer to the client, the row (`egret.reason`), `EgretFlow` and the
metrics say. The status is that of the answer while none has been sent; inside a tunnel, after the 200, a refusal is the TLS alert
`access_denied` and a close. `error` is the parameter of `Proxy-Status` (RFC 9209).

Azure's columns: `ActionReason` as below; where `Action` is `Allow` it is that of the decision, empty if a rule made it. `Action` is `Allow` where a rule allowed and the flow went on or failed for want of an upstream
(`UpstreamRefused`, `UpstreamUnreachable`, `UpstreamTimeout`, `UpstreamClosed`, `UpstreamInvalid`) or of its client (`ClientClosed`), and `Deny` for everything else; in audit
mode a denial by the rules is let through, its `Action` is `Allow` all the same, and `egret.audit` says what it would have been. A collection in audit mode lets through only what stands behind it
does: what that denies is its denial.

This page is written by `EGRET_GOLDEN=write cargo test --test reasons`.

| reason | status | error | meaning | who must act | what to do | `ActionReason` |
|---|---|---|---|---|---|---|
";

fn who(actor: Actor) -> &'static str {
    match actor {
        Actor::Nobody => "nobody",
        Actor::Workload => "the workload",
        Actor::PolicyAuthor => "the policy's author",
        Actor::DnsOwner => "whoever runs DNS and private endpoints",
        Actor::Upstream => "the destination",
        Actor::Operator => "whoever runs egret",
    }
}

fn page() -> String {
    let rows = Reason::ALL.iter().map(|reason| {
        let row = reason.row();
        let azure = match reason.azure_action_reason() {
            "" => "(empty)".to_string(),
            text => format!("`{text}`"),
        };
        format!(
            "| `{}` | {} | `{}` | {} | {} | {} | {azure} |\n",
            row.name,
            row.status,
            row.proxy_error,
            row.meaning,
            who(row.actor),
            row.remedy,
        )
    });
    rows.fold(HEAD.to_string(), |page, row| page + &row)
}

#[test]
fn the_page_of_reasons_is_the_table_of_reasons() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reasons.md");
    if env::var_os("EGRET_GOLDEN").is_some_and(|value| value == "write") {
        fs::write(&path, page()).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/reasons.md differs: EGRET_GOLDEN=write cargo test --test reasons"
    );
}

#[test]
fn a_remedy_names_only_keys_that_exist() {
    let keys = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/config.md")).unwrap();
    for reason in Reason::ALL {
        let words = reason
            .row()
            .remedy
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        for key in words.filter(|w| {
            ["limits.", "proxy.", "dns.", "log."]
                .iter()
                .any(|table| w.len() > table.len() && w.starts_with(table))
        }) {
            let (_, leaf) = key.trim_end_matches('.').rsplit_once('.').unwrap();
            assert!(keys.contains(leaf), "{reason}: {key} is no key of docs/config.md");
        }
    }
}
