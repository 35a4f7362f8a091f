//! `egret export`: the policy as another firewall's, to deploy what was proven here.

use super::{
    Answer,
    config::ConfigArgs,
    output::{count, print, refuse, say, tell},
};
use crate::{export, printable::steers};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use std::{fs, path::PathBuf};

/// `egret export`
#[derive(Clone, Debug, Args)]
#[command(disable_help_subcommand = true)]
pub struct ExportArgs {
    /// Whose policy is written.
    #[command(subcommand)]
    pub command: ExportCommand,
}

/// Whose policy is written.
#[derive(Clone, Debug, Subcommand)]
pub enum ExportCommand {
    /// Azure Firewall: an ARM template of the policy, its parents and IP groups, within Azure's limits
    AzureFirewall(ExportAzureArgs),
}

/// `egret export azure-firewall`
#[derive(Clone, Debug, Args)]
pub struct ExportAzureArgs {
    /// Where the rules come from.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Write the template here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Exports. Fails if the configuration does not load or the policy exceeds a limit of Azure's.
pub fn run(args: &ExportArgs) -> anyhow::Result<Answer> {
    let ExportCommand::AzureFirewall(args) = &args.command;
    let checked = args.config.load(&[], &[]).map_err(|problems| refuse(&problems))?;
    // What an import left out is in no template either.
    tell(&checked.warnings);
    let exported = match export::azure_firewall(&checked.policy, &export::Beside::of(&checked)) {
        Ok(exported) => exported,
        Err(faults) => {
            for fault in &faults {
                say(&format!("error: {fault}"));
            }
            bail!("not exported: {}", count(faults.len(), "limit"));
        }
    };
    for note in &exported.notes {
        say(&format!("note: {note}"));
    }
    let json = plain(&format!("{:#}\n", exported.template));
    match &args.out {
        Some(path) => fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?,
        None => print(&json)?,
    }
    Ok(Answer::Yes)
}

/// JSON in which nothing steers a terminal: what could is inside a text, where an escape says the same.
fn plain(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match steers(c) && c != '\n' {
            true => out += &format!("\\u{:04x}", u32::from(c)),
            false => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_terminal_is_an_escape_that_says_the_same() {
        let value = serde_json::json!({ "description": "a\u{202e}b\u{9b}c\nd" });
        let shown = plain(&format!("{value:#}"));
        assert!(!shown.chars().any(|c| steers(c) && c != '\n'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
