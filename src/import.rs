//! Policies of other firewalls become egret's: JSON comes in, egret's own TOML and an account of every part goes out.
//!
//! The way of an Azure policy: `json` reads it with places, `arm` works out what a template deploys, `azure` reads the
//! shapes it may have into a `model`, `toml` writes that down. `run`, `check` and `explain` load a JSON through the very
//! same TOML, so that there is one front door and one validation. Pure: bytes in, text out.
//!
//! Never wider: what cannot be known or enforced offline is left out of what allows, and stops what denies.

mod arm;
mod azure;
mod budget;
mod ids;
mod json;
mod model;
mod path;
mod report;
mod text;
mod toml;
mod value;

pub use azure::{ImportFault, Options, azure_firewall};
pub use report::{Count, ImportReport, Item, ItemKind, Outcome, Unset};
pub use toml::Origins;

/// Most bytes of all files of an import: a firewall policy has at most 60 groups of 2 MB, in practice a few MB in all.
pub const MAX_IMPORT_BYTES: u64 = 32 << 20;

/// What is wrong with the file that exceeds them.
pub(crate) const TOO_LARGE: &str = "makes more than 32 MiB with the files before it";

/// Egret's configuration made of another firewall's, and the account of it.
#[derive(Debug)]
pub struct Imported {
    /// The rules in TOML.
    pub toml: String,
    /// Where each line of it came from.
    pub origins: Origins,
    /// What became of each part.
    pub report: ImportReport,
}
