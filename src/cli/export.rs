//! `egret export`: the policy as another firewall's, to deploy what was proven here.

use super::{Answer, ExportArgs, ExportCommand, count, print, refuse, say};
use crate::export;
use anyhow::{Context, bail};
use std::fs;

/// Exports. Fails if the configuration does not load or the policy exceeds a limit of Azure's.
pub fn run(args: &ExportArgs) -> anyhow::Result<Answer> {
    let ExportCommand::AzureFirewall(args) = &args.command;
    let checked = args.config.load(&[], &[]).map_err(|problems| refuse(&problems))?;
    let exported = match export::azure_firewall(&checked.policy) {
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
    let json = format!("{:#}\n", exported.template);
    match &args.out {
        Some(path) => fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?,
        None => print(&json)?,
    }
    Ok(Answer::Yes)
}
