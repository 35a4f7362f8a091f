//! The rows that a gateway writes, as far as the bars ask about them.

use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Called with every row.
pub type OnRow = Box<dyn FnMut(&Row) + Send>;

/// One row of any table.
#[derive(Debug, Deserialize)]
pub struct Row {
    /// The table.
    pub category: String,
    properties: Properties,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties {
    #[serde(rename = "Action")]
    action: String,
    #[serde(rename = "Fqdn")]
    fqdn: String,
    /// How a flow ended, and why: of the row of its end.
    #[serde(rename = "End")]
    end: String,
    #[serde(rename = "Reason")]
    reason: String,
    egret: Ours,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ours {
    reason: String,
    policy_hash: String,
    generation: u64,
}

impl Row {
    /// A row of a decision.
    pub fn is_decision(&self) -> bool {
        self.category == "AZFWApplicationRule"
    }

    /// A row that says that rows were lost.
    pub fn is_loss(&self) -> bool {
        self.category == "EgretLogLoss"
    }

    /// Whether the attempt was let through.
    pub fn allowed(&self) -> bool {
        self.properties.action == "Allow"
    }

    /// The name that was asked for.
    pub fn fqdn(&self) -> &str {
        &self.properties.fqdn
    }

    /// Why, in either row.
    pub fn reason(&self) -> &str {
        if self.is_decision() {
            &self.properties.egret.reason
        } else {
            &self.properties.reason
        }
    }

    /// How the flow ended, in the row of its end.
    pub fn end(&self) -> &str {
        &self.properties.end
    }

    /// Which configuration decided.
    pub fn policy_hash(&self) -> &str {
        &self.properties.egret.policy_hash
    }

    /// Which generation of it.
    pub fn generation(&self) -> u64 {
        self.properties.egret.generation
    }
}

/// Hands every row to `on_row` until the gateway closes its end.
pub fn read(from: impl Read, mut on_row: OnRow) {
    for line in BufReader::new(from).lines().map_while(Result::ok) {
        match serde_json::from_str::<Row>(&line) {
            Ok(row) => on_row(&row),
            Err(error) => eprintln!("  not a row ({error}): {line}"),
        }
    }
}

/// Rows counted by what they say.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Mutex<Counted>>);

#[derive(Debug, Default)]
struct Counted {
    decisions: BTreeMap<String, u64>,
    ends: BTreeMap<String, u64>,
    losses: u64,
}

impl Tally {
    /// What [`crate::process::Egret::spawn`] takes.
    pub fn counter(&self) -> OnRow {
        let tally = self.clone();
        Box::new(move |row| tally.count(row))
    }

    /// Counts one row.
    pub fn count(&self, row: &Row) {
        let mut counted = self.lock();
        if row.is_decision() {
            *counted.decisions.entry(row.reason().to_owned()).or_default() += 1;
        } else if row.is_loss() {
            counted.losses += 1;
        } else {
            let why = if row.end() == "Refused" {
                row.reason()
            } else {
                row.end()
            };
            *counted.ends.entry(why.to_owned()).or_default() += 1;
        }
    }

    /// Decisions with this reason.
    pub fn decisions(&self, reason: &str) -> u64 {
        self.lock().decisions.get(reason).copied().unwrap_or_default()
    }

    /// Ends of flows of this kind; for refused ones, with this reason.
    pub fn ends(&self, kind: &str) -> u64 {
        self.lock().ends.get(kind).copied().unwrap_or_default()
    }

    /// Ends of flows.
    pub fn all_ends(&self) -> u64 {
        self.lock().ends.values().sum()
    }

    /// Rows that tell of lost rows.
    pub fn losses(&self) -> u64 {
        self.lock().losses
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
