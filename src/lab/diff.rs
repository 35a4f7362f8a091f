//! `egret lab --diff A B`: what came out otherwise in one run of the lab than in another.
//!
//! In: the JSON lines of two runs (`egret lab --json`), through egret, another proxy or none. Out: each attempt of either,
//! the same, different (decision, rule, reason), or missing. Rule and reason are compared where both runs have rows: another
//! proxy has none.

use super::decision::Decision;
use crate::config::problem::printable;
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

/// Longest file that is read, in bytes: a run of every shipped scenario has a quarter of a MiB.
const MAX_BYTES: u64 = 64 << 20;

/// Which attempt: scenario, client, name, and how many of this name came before it.
type Key = (String, String, String, usize);

/// What came of one attempt in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Outcome {
    decision: Decision,
    /// `None`: no row. A group of a parent policy may have the name of one of ours.
    rule: Option<String>,
    reason: Option<String>,
    /// Why another firewall with the same rules may decide otherwise.
    elsewhere: Option<String>,
    told: String,
}

/// Two runs, compared.
#[derive(Debug)]
pub struct Diff {
    names: [String; 2],
    attempts: Vec<(Key, Verdict)>,
    /// Attempts of which one run has no row: of them only the decision is compared.
    without_rows: usize,
}

#[derive(Debug)]
enum Verdict {
    Same,
    Differs(Vec<Difference>, [String; 2]),
    /// Another decision of a firewall that writes no rows, for this reason.
    Elsewhere(Difference, String),
    /// In the first or the second run.
    Missing(usize),
}

#[derive(Debug)]
struct Difference {
    what: &'static str,
    values: [String; 2],
}

impl Diff {
    /// Reads both files and compares them.
    ///
    /// # Errors
    /// A file cannot be read, or is not what `egret lab --json` prints.
    pub fn read(a: &Path, b: &Path) -> anyhow::Result<Self> {
        Self::of(
            [a.display().to_string(), b.display().to_string()],
            [&text_of(a)?, &text_of(b)?],
        )
    }

    fn of(names: [String; 2], texts: [&str; 2]) -> anyhow::Result<Self> {
        let [a, b] = [outcomes(&names[0], texts[0])?, outcomes(&names[1], texts[1])?];
        let keys: BTreeSet<&Key> = a.keys().chain(b.keys()).collect();
        let mut without_rows = 0;
        let attempts = keys.into_iter().map(|key| {
            let verdict = match (a.get(key), b.get(key)) {
                (Some(a), Some(b)) => {
                    without_rows += usize::from(a.reason.is_none() != b.reason.is_none());
                    compare(a, b)
                }
                (found, _) => Verdict::Missing(usize::from(found.is_some())),
            };
            (key.clone(), verdict)
        });
        Ok(Self {
            attempts: attempts.collect(),
            names,
            without_rows,
        })
    }

    /// Every attempt came out the same, or otherwise for a known reason, and none is missing.
    pub fn same(&self) -> bool {
        self.attempts
            .iter()
            .all(|(_, verdict)| matches!(verdict, Verdict::Same | Verdict::Elsewhere(..)))
    }

    fn count(&self, of: impl Fn(&Verdict) -> bool) -> usize {
        self.attempts.iter().filter(|(_, verdict)| of(verdict)).count()
    }

    /// What differs and what is missing, then a line of counts.
    pub fn text(&self) -> String {
        let mut text = format!("A: {}\nB: {}\n", self.names[0], self.names[1]);
        for (key, verdict) in &self.attempts {
            let (scenario, client, name, before) = key;
            let again = if *before > 0 {
                format!(" ({})", before + 1)
            } else {
                String::new()
            };
            let title = format!("\n{scenario}: {client} tries: {name}{again}");
            let title = format!("\n{}\n", printable(title.trim_start()));
            match verdict {
                Verdict::Same => {}
                Verdict::Differs(differences, told) => {
                    text += &title;
                    for Difference { what, values: [a, b] } in differences {
                        let _ = writeln!(text, "  {what}: {} in A, {} in B", printable(a), printable(b));
                    }
                    let [a, b] = told.each_ref().map(|told| printable(told));
                    let _ = writeln!(text, "  client was told: {a} in A, {b} in B");
                }
                Verdict::Elsewhere(Difference { what, values: [a, b] }, why) => {
                    text += &title;
                    let _ = writeln!(text, "  {what}: {a} in A, {b} in B, as may be: {}", printable(why));
                }
                Verdict::Missing(run) => {
                    text += &title;
                    let _ = writeln!(text, "  missing in {}", ["A", "B"][*run]);
                }
            }
        }
        let same = self.count(|verdict| matches!(verdict, Verdict::Same));
        let differ = self.count(|verdict| matches!(verdict, Verdict::Differs(..)));
        let missing = self.count(|verdict| matches!(verdict, Verdict::Missing(_)));
        let _ = writeln!(text, "\n{same} the same, {differ} different, {missing} missing.");
        let elsewhere = self.count(|verdict| matches!(verdict, Verdict::Elsewhere(..)));
        if elsewhere > 0 {
            let _ = writeln!(
                text,
                "{elsewhere} decided otherwise where the rules do not say it; not counted as different."
            );
        }
        if self.without_rows > 0 {
            let _ = writeln!(
                text,
                "{} attempts have a row in one run only: of these rule and reason were not compared.",
                self.without_rows
            );
        }
        text
    }

    /// One JSON line for each attempt.
    pub fn json(&self) -> String {
        let line = |((scenario, client, name, before), verdict): &(Key, Verdict)| {
            let mut line = json!({ "scenario": scenario, "client": client, "attempt": name, "before": before });
            match verdict {
                Verdict::Same => line["verdict"] = "same".into(),
                Verdict::Differs(differences, told) => {
                    line["verdict"] = "differs".into();
                    line["told"] = json!(told);
                    for Difference { what, values } in differences {
                        line[*what] = json!(values);
                    }
                }
                Verdict::Elsewhere(Difference { what, values }, why) => {
                    line["verdict"] = "elsewhere".into();
                    line["why"] = why.as_str().into();
                    line[*what] = json!(values);
                }
                Verdict::Missing(run) => {
                    line["verdict"] = "missing".into();
                    line["missing_in"] = ["A", "B"][*run].into();
                }
            }
            format!("{line}\n")
        };
        self.attempts.iter().map(line).collect()
    }
}

fn compare(a: &Outcome, b: &Outcome) -> Verdict {
    let difference = |what, a: &str, b: &str| {
        (a != b).then(|| Difference {
            what,
            values: [a.to_owned(), b.to_owned()],
        })
    };
    let mut found: Vec<Difference> = difference("decision", a.decision.text(), b.decision.text())
        .into_iter()
        .collect();
    if a.reason.is_some() != b.reason.is_some() {
        // Who writes no rows says no more than whether it went through.
        found.retain(|_| a.decision.lets_through() != b.decision.lets_through());
        let ours = if a.reason.is_some() { a } else { b };
        if let Some(why) = &ours.elsewhere
            && let Some(difference) = found.pop()
        {
            return Verdict::Elsewhere(difference, why.clone());
        }
    }
    if let (Some(reason_a), Some(reason_b)) = (&a.reason, &b.reason) {
        let rule = |outcome: &Outcome| outcome.rule.clone().unwrap_or_else(|| "none".to_owned());
        found.extend(difference("rule", &rule(a), &rule(b)));
        found.extend(difference("reason", reason_a, reason_b));
    }
    match found.is_empty() {
        true => Verdict::Same,
        false => Verdict::Differs(found, [a.told.clone(), b.told.clone()]),
    }
}

fn text_of(path: &Path) -> anyhow::Result<String> {
    let file = path.display();
    let length = fs::metadata(path).with_context(|| format!("--diff {file}"))?.len();
    if length > MAX_BYTES {
        bail!("--diff {file}: {length} bytes, more than any run of the lab writes");
    }
    fs::read_to_string(path).with_context(|| format!("--diff {file}"))
}

fn outcomes(file: &str, text: &str) -> anyhow::Result<BTreeMap<Key, Outcome>> {
    let mut outcomes = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let not_ours = || format!("{file}:{number}: not a line of `egret lab --json`");
        let line: Value = serde_json::from_str(line).with_context(not_ours)?;
        let text = |key: &str| line[key].as_str().map(str::to_owned).with_context(not_ours);
        let (scenario, client, attempt) = (text("scenario")?, text("client")?, text("attempt")?);
        let before = seen
            .entry((scenario.clone(), client.clone(), attempt.clone()))
            .or_insert(0);
        let key = (scenario, client, attempt, *before);
        *before += 1;
        let properties = &line["row"]["properties"];
        let column = |name: &str| properties[name].as_str().unwrap_or_default();
        let names = ["RuleCollectionGroup", "RuleCollection", "Rule"].map(column).join("/");
        let rule = match (names.as_str(), column("Policy")) {
            ("//", _) => None,
            (_, "") => Some(names),
            (names, policy) => Some(format!("{policy}: {names}")),
        };
        let decision = Decision::parse(&text("decision")?).with_context(|| {
            let known = Decision::ALL.map(Decision::text).join("`, `");
            format!("{}: `decision` is none of `{known}`", not_ours())
        })?;
        let outcome = Outcome {
            decision,
            rule,
            reason: properties["egret"]["reason"].as_str().map(str::to_owned),
            elsewhere: line["elsewhere"].as_str().map(str::to_owned),
            told: text("told")?,
        };
        outcomes.insert(key, outcome);
    }
    if outcomes.is_empty() {
        bail!("{file}: no line of `egret lab --json` in it");
    }
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(attempt: &str, decision: &str, rule: &str, reason: &str) -> String {
        let row = match reason {
            "" => Value::Null,
            _ => json!({ "properties": {
                "RuleCollectionGroup": "g", "RuleCollection": "c", "Rule": rule, "egret": { "reason": reason },
            }}),
        };
        json!({ "scenario": "core", "client": "runner", "attempt": attempt, "decision": decision, "told": "200 OK", "row": row })
            .to_string()
            + "\n"
    }

    fn diff(a: &str, b: &str) -> Diff {
        Diff::of(["a".to_owned(), "b".to_owned()], [a, b]).unwrap()
    }

    #[test]
    fn each_attempt_is_the_same_different_or_missing() {
        let allowed = line("x", "Allow", "r", "RuleMatched");
        assert!(diff(&allowed, &allowed).same());
        for (other, said) in [
            (line("x", "Deny", "r", "SniMissing"), "decision: Allow in A, Deny in B"),
            (line("x", "Allow", "s", "RuleMatched"), "rule: g/c/r in A, g/c/s in B"),
            (
                line("x", "Allow", "r", "UpstreamClosed"),
                "reason: RuleMatched in A, UpstreamClosed in B",
            ),
            (line("y", "Allow", "r", "RuleMatched"), "missing in A"),
            (line("y", "Allow", "r", "RuleMatched"), "missing in B"),
            (format!("{allowed}{allowed}"), "tries: x (2)\n  missing in A"),
        ] {
            let found = diff(&allowed, &other);
            assert!(!found.same() && found.text().contains(said), "{said}: {}", found.text());
        }
    }

    #[test]
    fn a_rule_of_another_policy_is_another_rule() {
        let by = |policy: &str| {
            let of = format!("\"Policy\":\"{policy}\",\"Rule\":");
            line("x", "Allow", "r", "RuleMatched").replace("\"Rule\":", &of)
        };
        assert!(diff(&by("base"), &by("base")).same());
        let found = diff(&by("base"), &by("egret"));
        let said = "rule: base: g/c/r in A, egret: g/c/r in B";
        assert!(!found.same() && found.text().contains(said), "{}", found.text());
    }

    #[test]
    fn of_a_run_without_rows_only_the_decision_is_compared() {
        let (ours, theirs) = (line("x", "Allow", "r", "RuleMatched"), line("x", "Allow", "", ""));
        let found = diff(&ours, &theirs);
        assert!(found.same());
        assert!(found.text().contains("1 attempts have a row in one run only"));
        assert!(!diff(&ours, &line("x", "Deny", "", "")).same());
    }

    #[test]
    fn what_the_rules_do_not_say_may_come_out_otherwise_at_another_firewall() {
        let with = |line: String, why: &str| line.replace("\"row\"", &format!("\"elsewhere\":\"{why}\",\"row\""));
        let audited = || line("x", "audit: Deny", "r", "RuleMatched");
        let (carried_out, let_through) = (line("x", "Deny", "", ""), line("x", "Allow", "", ""));
        let found = diff(&with(audited(), "audit mode"), &carried_out);
        assert!(found.same());
        let said = found.text();
        assert!(
            said.contains("audit: Deny in A, Deny in B, as may be: audit mode"),
            "{said}"
        );
        assert!(
            said.contains("0 the same, 0 different, 0 missing.\n1 decided otherwise"),
            "{said}"
        );
        assert!(diff(&audited(), &let_through).same(), "it went through in both");
        assert!(!diff(&audited(), &carried_out).same(), "for no known reason");
        let denied = line("x", "Deny", "r", "AddressDenied");
        assert!(diff(&let_through, &with(denied.clone(), "vetting")).same());
        let allowed = line("x", "Allow", "r", "RuleMatched");
        assert!(
            !diff(&with(allowed, "vetting"), &denied).same(),
            "two runs through egret"
        );
    }

    #[test]
    fn what_is_no_run_cannot_be_compared() {
        let of = |text: &str| Diff::of(["a".to_owned(), "b".to_owned()], [text, text]).map(|_| ());
        for text in ["", "\n", "{}", "core ok", "[]", &line("x", "Maybe", "r", "RuleMatched")] {
            assert!(of(text).is_err(), "{text:?}");
        }
        let error = of("{\"scenario\":\"core\"}\n").unwrap_err().to_string();
        assert_eq!(error, "a:1: not a line of `egret lab --json`");
    }

    #[test]
    fn what_a_proxy_said_cannot_steer_the_terminal() {
        let told = |phrase: &str| line("x", "Deny", "r", "").replace("200 OK", phrase);
        let shown = diff(&told("a"), &told("403 \\u001b[2J\\nB: forged").replace("Deny", "Allow")).text();
        assert!(!shown.contains('\u{1b}') && !shown.contains("\nB: forged"), "{shown}");
    }
}
