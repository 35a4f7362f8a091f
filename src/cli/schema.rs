//! `egret schema`: the JSON Schemas of the files that egret reads.

use super::{Answer, output::print};
use crate::{config::schema, expect::read::FileSuite};
use clap::{Args, ValueEnum};

/// `egret schema`
#[derive(Clone, Copy, Debug, Args)]
pub struct SchemaArgs {
    /// Of what
    #[arg(value_enum, default_value_t)]
    pub of: SchemaOf,
}

/// Files that have a schema.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum SchemaOf {
    /// The configuration file
    #[default]
    Config,
    /// A file of policy tests, for `egret check --expect`
    Tests,
}

/// Prints a schema.
pub fn run(args: SchemaArgs) -> anyhow::Result<Answer> {
    let schema = match args.of {
        SchemaOf::Config => schema::schema(),
        SchemaOf::Tests => schema::schema_of::<FileSuite>(),
    };
    print(&format!("{schema:#}\n"))?;
    Ok(Answer::Yes)
}
