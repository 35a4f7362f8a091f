//! Rows of decisions as scenarios read them, and the denied network that many of them are about.

use crate::world::World;
use serde_json::Value;

/// A network rule that denies where `moved.example.com` leads.
pub const QUARANTINE: &str = r#"
[[network_rule_collection]]
name = "forbidden"
priority = 100
action = "Deny"
  [[network_rule_collection.rule]]
  name = "quarantine"
  protocols = ["Any"]
  source_addresses = ["*"]
  destination_addresses = ["198.51.100.128/25"]
  destination_ports = ["*"]
"#;

/// A column of a row.
pub fn of<'a>(row: &'a Value, column: &str) -> &'a Value {
    &row["properties"][column]
}

/// The rows of decisions so far: of either table.
pub fn decisions(world: &World) -> Vec<Value> {
    let decided = |row: &Value| row["category"] == "AZFWApplicationRule" || row["category"] == "AZFWNetworkRule";
    world.log.rows().into_iter().filter(decided).collect()
}
