//! Egret's policy becomes another firewall's. Pure: a checked policy comes in, JSON goes out.

mod azure;
mod beside;
mod ip_groups;
mod limits;
mod rules;

pub use azure::{Exported, azure_firewall};
pub use beside::Beside;
