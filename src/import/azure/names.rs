//! Names that rows can hold, each once; priorities that two share.

use super::draft::Draft;
use crate::printable::printable;
use std::collections::{HashMap, HashSet};

/// Longest name in egret's rows, in characters; a rule collection's in Azure as well.
pub(super) const LONGEST_NAME: usize = 80;

/// What a thing without a name is called.
pub(super) const NO_NAME: &str = "without a name";

/// Gives each thing a name of its own that rows can hold.
#[derive(Default)]
pub(super) struct Names {
    used: HashSet<String>,
    /// How often each name was wanted again.
    rounds: HashMap<String, usize>,
}

impl Names {
    pub fn take(&mut self, wanted: String, draft: &mut Draft) -> String {
        // None may steer a terminal or forge a line.
        let wanted = match wanted.trim() {
            "" => NO_NAME.to_owned(),
            _ => printable(&wanted),
        };
        let mut name: String = wanted.chars().take(LONGEST_NAME).collect();
        let round = self.rounds.entry(wanted.clone()).or_insert(1);
        while !self.used.insert(name.clone()) {
            *round += 1;
            let end = format!("-{round}");
            name = wanted.chars().take(LONGEST_NAME - end.len()).collect::<String>() + &end;
        }
        if name != wanted {
            draft.changed(format!(
                "called `{name}` here: each name once, at most {LONGEST_NAME} characters"
            ));
        }
        name
    }
}

/// Notes that another has this priority already.
pub(super) fn tie(taken: &mut HashMap<u16, String>, priority: u16, name: &str, draft: &mut Draft) {
    if let Some(other) = taken.insert(priority, name.to_owned()) {
        draft.remark(format!(
            "priority {priority} is that of `{other}` as well: the order of the file counts"
        ));
    }
}
