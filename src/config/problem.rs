//! [`Problem`]: one thing that is wrong, or dubious, in a configuration.

use std::sync::Arc;

/// Whether a problem keeps the configuration from running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It does not load.
    Error,
    /// It loads, and this is printed.
    Warning,
}

/// One thing that is wrong or dubious, with its place and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the configuration loads all the same.
    pub severity: Severity,
    /// File name as given; `flags` for the command line.
    pub file: Arc<str>,
    /// Line, from 1; 0 where there is no position (flags, a file that cannot be read).
    pub line: u32,
    /// Column in characters, from 1; 0 where there is no position.
    pub column: u32,
    /// Path of the key (`rule_collection_group[0].priority`), empty for the whole file.
    pub key: String,
    /// What is there, said as a problem: `unknown key`, `priority 70 is out of range`.
    pub found: String,
    /// What would be right; empty if there is nothing to say.
    pub expected: String,
    /// What to do; empty if there is nothing to say.
    pub hint: String,
}
