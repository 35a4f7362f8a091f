//! `egret check`: load and validate without binding; print every problem, then one line a file; then the policy tests.

mod expected;
mod show;

use super::{
    Answer,
    azure::AzurePolicyArgs,
    config::COMMAND_LINE,
    output::{print, quoted, refuse},
};
use crate::{
    config::{self, Checked, Problem},
    expect::Suite,
};
use clap::Args;
use expected::Tests;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  egret check egret.toml
  egret check egret.toml --expect egret-tests.toml --min-coverage 100

Exit codes: 0 everything loads and every test passes; 1 not so; 2 the tests themselves could not be read.";

/// `egret check`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Configuration files
    #[arg(required_unless_present = "azure_policy", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A policy of Azure Firewall.
    #[command(flatten)]
    pub azure: AzurePolicyArgs,
    /// Policy tests (TOML; `egret schema tests` describes it): attempts and the decisions expected of them; may be repeated
    #[arg(long, value_name = "FILE")]
    pub expect: Vec<PathBuf>,
    /// Fail if the attempts reach less than this part of the rules, in per cent
    #[arg(long, value_name = "PERCENT", requires = "expect", value_parser = per_cent)]
    pub min_coverage: Option<f64>,
    /// Fail if the tests notice less than this part of the changes tried on the rules they reach, in per cent
    #[arg(long, value_name = "PERCENT", requires = "expect", value_parser = per_cent)]
    pub min_mutation: Option<f64>,
    /// Print JSON lines, one a configuration file
    #[arg(long)]
    pub json: bool,
}

fn per_cent(text: &str) -> Result<f64, String> {
    let number = text.trim_end_matches('%').parse().ok();
    let number = number.filter(|number| (0.0..=100.0).contains(number));
    number.ok_or_else(|| "a number from 0 to 100 was expected".to_owned())
}

/// Checks each file. The answer is no if one of them would not load, or does not pass its tests.
pub fn run(args: &CheckArgs) -> anyhow::Result<Answer> {
    let suite = suite(args)?;
    let mut fine = true;
    let policy = args.azure.is_given().then(|| Found::of_policy(&args.azure));
    for found in policy.into_iter().chain(args.files.iter().map(|file| Found::of(file))) {
        let tests = match (&found.loaded, &suite) {
            (Ok(checked), Some(suite)) => Some(Tests::new(checked, suite, args)),
            _ => None,
        };
        print(&match args.json {
            true => show::json(&found, tests.as_ref()),
            false => show::text(&found, tests.as_ref()),
        })?;
        fine &= found.loaded.is_ok() && tests.is_none_or(|tests| tests.pass());
    }
    Ok(fine.into())
}

/// All expectations together; none were asked for: `None`.
fn suite(args: &CheckArgs) -> anyhow::Result<Option<Suite>> {
    if args.expect.is_empty() {
        return Ok(None);
    }
    let mut all = Suite::default();
    for file in &args.expect {
        let suite = Suite::load(file).map_err(|problems| refuse(&problems))?;
        all.expectations.extend(suite.expectations);
    }
    Ok(Some(all))
}

/// What became of one configuration file.
struct Found {
    file: String,
    /// The same configuration for another command.
    arguments: String,
    loaded: Result<Box<Checked>, Vec<Problem>>,
}

impl Found {
    /// A policy in JSON: the configuration that names it.
    fn of_policy(azure: &AzurePolicyArgs) -> Self {
        let files: Vec<String> = azure
            .azure_policy
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Self {
            file: files.join(", "),
            arguments: azure.again(),
            loaded: config::from_text(COMMAND_LINE, &azure.toml(&[])).map(Box::new),
        }
    }

    fn of(path: &Path) -> Self {
        Self {
            file: path.display().to_string(),
            arguments: format!("--config {}", quoted(&path.display().to_string())),
            loaded: config::load(path).map(Box::new),
        }
    }

    fn problems(&self) -> &[Problem] {
        match &self.loaded {
            Ok(checked) => &checked.warnings,
            Err(problems) => problems,
        }
    }
}
