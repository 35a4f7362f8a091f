//! [`Draft`]: what is wrong with a rule while it is read, and what becomes of it. Here, and only here, stands what "never
//! wider" means.

use crate::import::{report::Outcome, value::Unknown};

/// What became of a rule.
#[derive(Debug)]
pub(super) struct Verdict {
    pub outcome: Outcome,
    pub notes: Vec<String>,
    pub not_enforced: bool,
}

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
    /// The action is not known: it may be Deny.
    Unknown,
}

/// A rule that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    effect: Effect,
    /// Carried, but worth a word.
    remarks: Vec<String>,
    /// Parts that are left out: an allow rule is narrower without them, a deny rule lets more through.
    missing: Vec<String>,
    /// Why the rule as a whole cannot be carried.
    void: Vec<String>,
    /// Matches something else than in Azure, yet never more if it allows and never less if it denies.
    changed: Vec<String>,
}

impl Draft {
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            remarks: Vec::new(),
            missing: Vec::new(),
            void: Vec::new(),
            changed: Vec::new(),
        }
    }

    pub fn denies(&self) -> bool {
        self.effect != Effect::Allow
    }

    pub fn remark(&mut self, note: impl Into<String>) {
        self.remarks.push(note.into());
    }

    pub fn changed(&mut self, note: impl Into<String>) {
        self.changed.push(note.into());
    }

    pub fn missing(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.missing.contains(&note) {
            self.missing.push(note);
        }
    }

    pub fn void(&mut self, note: impl Into<String>) {
        self.void.push(note.into());
    }

    /// A list that is needed is written and holds nothing: what allows nothing does no harm, what was to deny denies nothing.
    pub fn nothing(&mut self, what: &str) {
        if self.denies() {
            self.void(format!(
                "its {what} are written and come to nothing, so that it denies nothing"
            ));
        }
    }

    /// How many parts were left out so far.
    pub fn missing_parts(&self) -> usize {
        self.missing.len()
    }

    /// Whether it was deployed at all is not known: an allow rule is taken as not there, a deny rule as there.
    pub fn doubted(&mut self, unknown: &Unknown) {
        if self.denies() {
            self.changed(format!(
                "taken as deployed, which depends on what is not known: {}",
                unknown.why
            ));
        } else {
            self.void(format!("whether it is deployed is not known: {}", unknown.why));
        }
    }

    /// Whether the rule goes into the policy.
    pub fn stays(&self) -> bool {
        self.void.is_empty()
    }

    pub fn verdict(self) -> Verdict {
        let stays = self.stays();
        let lossless = stays && self.missing.is_empty();
        let not_enforced = self.denies() && !lossless;
        let outcome = match (stays, lossless && self.changed.is_empty()) {
            (false, _) => Outcome::Absent,
            (true, true) => Outcome::Carried,
            (true, false) => Outcome::Approximated,
        };
        let mut notes = self.void;
        notes.extend(self.missing);
        notes.extend(self.changed);
        notes.extend(self.remarks);
        Verdict {
            outcome,
            notes,
            not_enforced,
        }
    }
}
