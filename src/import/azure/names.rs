//! Names that rows can hold, each once; priorities that two share.

use super::draft::Draft;
use crate::printable::printable;
use std::collections::{HashMap, HashSet};

/// Longest name in egret's rows, in characters; a rule collection's in Azure as well.
pub(super) const LONGEST_NAME: usize = 80;

/// Longest number behind a name: there are at most as many names as entries of an import.
const LONGEST_END: usize = "-1000000".len();

/// What a thing without a name is called.
pub(super) const NO_NAME: &str = "without a name";

/// Gives each thing a name of its own that rows can hold.
#[derive(Default)]
pub(super) struct Names {
    used: HashSet<String>,
    /// How often names that start alike were wanted again. By the part that no number cuts, so that no number is tried twice.
    rounds: HashMap<String, usize>,
}

impl Names {
    pub fn take(&mut self, wanted: String, draft: &mut Draft) -> String {
        // None may steer a terminal or forge a line.
        let wanted = match wanted.trim() {
            "" => NO_NAME.to_owned(),
            _ => printable(&wanted),
        };
        let start = |length: usize| wanted.chars().take(length).collect::<String>();
        let mut name = start(LONGEST_NAME);
        let round = self.rounds.entry(start(LONGEST_NAME - LONGEST_END)).or_insert(1);
        while !self.used.insert(name.clone()) {
            *round += 1;
            let end = format!("-{round}");
            name = start(LONGEST_NAME - end.len()) + &end;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::azure::draft::Effect;

    #[test]
    fn names_that_start_alike_are_numbered_on_and_no_number_is_tried_twice() {
        let mut names = Names::default();
        let mut take = |wanted: String| names.take(wanted, &mut Draft::new(Effect::Allow));
        let start = "x".repeat(LONGEST_NAME);
        let last = (1..=10_000).map(|index| take(format!("{start}{index}"))).last();
        assert_eq!(last, Some(format!("{}-10000", "x".repeat(LONGEST_NAME - 6))));
        assert_eq!(take("a".into()), "a");
        assert_eq!(take("a-2".into()), "a-2");
        assert_eq!(take("a".into()), "a-3");
    }
}
