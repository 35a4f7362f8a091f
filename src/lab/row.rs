//! egret's own rows, read back as the lab and the tests need them.

use crate::policy::Action;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

/// One `AZFWApplicationRule` row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Client address and port.
    pub source: SocketAddr,
    /// What the policy, the gate or vetting said.
    pub action: Action,
    /// `Reason` by name.
    pub reason: String,
    /// `group/collection/rule`; `None` if no rule matched.
    pub rule: Option<String>,
    /// A denial that audit mode let through.
    pub audit: bool,
    /// What was dialled.
    pub address: Option<SocketAddr>,
    /// The row as it was written.
    pub json: Value,
}

impl Row {
    /// `None` for rows of other tables.
    pub fn parse(line: &str) -> Option<Self> {
        let json: Value = serde_json::from_str(line).ok()?;
        if json["category"] != "AZFWApplicationRule" {
            return None;
        }
        todo!()
    }
}
