//! The rows of a run, held against the policies that they name.

use super::{ALWAYS, TURNS, client::Counts};
use crate::{
    report::Report,
    rows::{OnRow, Row},
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Rows kept as they come, judged at the end.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Vec<Seen>>>);

struct Seen {
    generation: u64,
    hash: String,
    name: String,
    reason: String,
    allowed: bool,
    loss: bool,
}

impl Kept {
    /// What [`crate::process::Egret::spawn`] takes.
    pub fn keeper(&self) -> OnRow {
        let kept = self.0.clone();
        Box::new(move |row: &Row| {
            if row.is_decision() || row.is_loss() {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(Seen {
                    generation: row.generation(),
                    hash: row.policy_hash().into(),
                    name: row.fqdn().into(),
                    reason: row.reason().into(),
                    allowed: row.allowed(),
                    loss: row.is_loss(),
                });
            }
        })
    }

    /// Every decision must be what the policy says that its row names; `hashes` tells which of the two that is.
    pub fn judge(&self, hashes: &BTreeMap<String, usize>, counts: &Counts, report: &mut Report) {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        judge(&rows, hashes, counts, report);
    }
}

fn judge(rows: &[Seen], hashes: &BTreeMap<String, usize>, counts: &Counts, report: &mut Report) {
    let mut of_generation: BTreeMap<u64, &str> = BTreeMap::new();
    let (mut unexplained, mut two_policies, mut decisions, mut revoked) = (0, 0, 0, 0);
    for row in rows.iter().filter(|row| !row.loss) {
        let hash = *of_generation.entry(row.generation).or_insert(&row.hash);
        two_policies += u64::from(hash != row.hash);
        let turn = hashes.get(&row.hash);
        let expected = turn.map(|turn| row.name == ALWAYS || row.name == TURNS[*turn]);
        let known = ["RuleMatched", "NoRuleMatched", "Revoked"].contains(&row.reason.as_str());
        if expected != Some(row.allowed) || !known {
            unexplained += 1;
            if unexplained <= 5 {
                let Seen {
                    generation,
                    hash,
                    name,
                    reason,
                    allowed,
                    ..
                } = row;
                eprintln!("  unexplained: generation {generation} ({hash}), {name}, {reason}, allowed {allowed}");
            }
        }
        match row.reason.as_str() {
            "Revoked" => revoked += 1,
            _ => decisions += 1,
        }
    }
    report.exactly("rows of decisions, one an attempt", decisions, counts.attempts);
    // A tunnel cut before the client had its first bytes back was none to the client.
    report.bar(
        "rows of cut tunnels",
        revoked,
        format!(">= {}", counts.cut),
        revoked >= counts.cut,
    );
    report.note("generations that decided something", of_generation.len());
    report.none("generations with two policies", two_policies);
    report.none("rows that their generation's policy does not explain", unexplained);
    report.none("rows lost", rows.iter().filter(|row| row.loss).count() as u64);
}
