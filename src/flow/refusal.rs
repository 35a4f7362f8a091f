//! What is refused before its 200: its rows, and the answer that says why.

use super::record::{Attempted, Record};
use super::{Denial, answer};
use crate::policy::Reason;

/// An attempt that ended before its 200.
pub(super) struct Refusal {
    pub denial: Denial,
    pub attempted: Attempted,
}

impl Refusal {
    /// Write its row. What its client is told; `None`: there is nobody to tell.
    pub(super) fn tell(self, record: &mut Record) -> Option<Vec<u8>> {
        let Self { denial, mut attempted } = self;
        record.denied(&denial);
        if denial.is_undecided() {
            return None;
        }
        if record.name.is_empty() {
            record.name.clone_from(&attempted.name);
        }
        let snapshot = attempted
            .snapshot
            .get_or_insert_with(|| record.shared.snapshot())
            .clone();
        record.generation = snapshot.generation;
        attempted.write_denial(record, &denial);
        if denial.reason == Reason::ClientClosed {
            return None;
        }
        let words = answer::words(
            denial.reason,
            denial.detail.as_deref(),
            &attempted.target(),
            record.id,
            &snapshot.settings.proxy,
        );
        Some(words.response())
    }
}
