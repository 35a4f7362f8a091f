//! The command line, and dispatch: one module a command, which holds its arguments as well. Each command answers
//! yes or no, or fails; `main` makes the exit code of it.

pub mod azure;
pub mod catalogue;
pub mod check;
pub mod config;
pub mod env;
pub mod explain;
pub mod export;
pub mod health;
pub mod import;
pub mod lab;
mod output;
pub mod run;
pub mod schema;

use clap::{Parser, Subcommand};

/// An egress firewall for Azure AI labs: Azure Firewall's decisions and log rows, in one binary.
///
/// Exit codes: 0 fine, 1 the answer is no, 2 it could not run.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  egret lab                                 a whole world on loopback
  egret run --allow AzureOpenAI=contoso-ai  a sidecar for one resource
  egret run --config egret.toml             everything, from a file
  egret check egret.toml                    every problem of a file, with its line
  egret explain https://contoso-ai.openai.azure.com --config egret.toml
  egret catalogue AzureOpenAI               what a tag holds, and how to bind it
  eval \"$(egret env)\"                       point this shell's clients at the proxy";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy: from a file or from flags; with neither it denies everything.
    Run(run::RunArgs),
    /// Build a lab on loopback, offline, and try every way out of it.
    Lab(lab::LabArgs),
    /// Check configuration files: every problem at once, without binding anything.
    Check(check::CheckArgs),
    /// Explain how one attempt is decided, rule by rule: exit code 0 allowed, 1 denied.
    Explain(explain::ExplainArgs),
    /// Print FQDN tags: all, one of them, or what one comes to for resources of yours
    Catalogue(catalogue::CatalogueArgs),
    /// Print the proxy variables that clients of this configuration need.
    Env(env::EnvArgs),
    /// Ask a running egret whether it is ready: for exec probes.
    Health(health::HealthArgs),
    /// Print the JSON Schema of the configuration file, or of policy tests.
    Schema(schema::SchemaArgs),
    /// Make a configuration of another firewall's policy.
    Import(import::ImportArgs),
    /// Write the policy as another firewall's.
    Export(export::ExportArgs),
}

/// What a command has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Fine: exit code 0.
    Yes,
    /// The answer is no: exit code 1.
    No,
    /// There is none, and what was printed says why: exit code 2.
    Untold,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// Carries out a command. An error means that it could not run.
pub fn dispatch(cli: Cli) -> anyhow::Result<Answer> {
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Lab(args) => lab::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Catalogue(args) => catalogue::run(&args),
        Command::Env(args) => env::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Schema(args) => schema::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_file_and_flags_exclude_each_other() {
        for line in [
            "egret run --config a.toml --allow b.example",
            "egret run --config a.toml --listen 127.0.0.1:1",
            "egret run --config a.toml --clients *",
            "egret health 127.0.0.1:9181 --config a.toml",
            "egret lab --direct --proxy http://127.0.0.1:3128",
            "egret lab --list --once",
            "egret lab --print core --json",
            "egret lab --scenario",
            "egret check",
            "egret explain",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
