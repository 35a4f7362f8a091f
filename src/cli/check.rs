//! `egret check`: load and validate without binding; print every problem, then one line a file; then the policy tests.

mod expected;
mod show;

use super::{Answer, AzurePolicyArgs, COMMAND_LINE, CheckArgs, print, quoted, refuse};
use crate::{
    config::{self, Checked, Problem},
    expect::Suite,
};
use expected::Tests;
use std::path::Path;

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
