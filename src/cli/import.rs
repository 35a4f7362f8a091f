//! `egret import`: another firewall's policy becomes egret's TOML, with an account of every part.

use super::{
    Answer,
    azure::AzureArgs,
    output::{print, say},
};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::{
    fs,
    path::{Path, PathBuf},
};

const EXAMPLES: &str = "\
Examples:
  egret import azure-firewall policy.json -o egret.toml --report report.json
  egret import azure-firewall main.json --parameters main.parameters.json --set location=westeurope
  egret import azure-firewall base.json child.json ipgroups.json

Exit codes: 0 imported; 2 not, since something denies that could not be enforced, or a file cannot be read.";

/// `egret import`
#[derive(Clone, Debug, Args)]
#[command(disable_help_subcommand = true, after_help = EXAMPLES)]
pub struct ImportArgs {
    /// Whose policy it is.
    #[command(subcommand)]
    pub command: ImportCommand,
}

/// Whose policy is imported.
#[derive(Clone, Debug, Subcommand)]
pub enum ImportCommand {
    /// Azure Firewall: ARM templates, and what `az` and PowerShell print of policies
    AzureFirewall(ImportAzureArgs),
}

/// `egret import azure-firewall`
#[derive(Clone, Debug, Args)]
pub struct ImportAzureArgs {
    /// Files that hold the policy together: its groups, its parent, its IP groups
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How they are read.
    #[command(flatten)]
    pub azure: AzureArgs,
    /// Write the configuration here instead of to standard output
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write the account of every part here, as JSON
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

/// Imports. Fails if a file cannot be read, or if what denies could not be enforced.
pub fn run(args: &ImportArgs) -> anyhow::Result<Answer> {
    let ImportCommand::AzureFirewall(args) = &args.command;
    let beside = args.out.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
    // A configuration looks for its files beside itself.
    let imported = match beside == Path::new("") || beside == Path::new(".") {
        true => args.azure.load(&args.files)?,
        false => args.azure.absolute().load(&args.files)?,
    };
    if let Some(path) = &args.report {
        let json = serde_json::to_string_pretty(&imported.report)?;
        fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    say(imported.report.text().trim_end());
    match &args.out {
        Some(path) => fs::write(path, &imported.toml).with_context(|| format!("cannot write {}", path.display()))?,
        None => print(&imported.toml)?,
    }
    Ok(Answer::Yes)
}
