//! Arguments to command to exit code; nothing else.

use clap::Parser;
use egret::cli::{Answer, Cli, dispatch};
use std::process::ExitCode;

/// Gives memory back when a crowd of clients has left; see `Cargo.toml`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::Untold) => ExitCode::from(2),
        Err(error) => {
            eprintln!("egret: {error:#}");
            ExitCode::from(2)
        }
    }
}
