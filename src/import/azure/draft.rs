//! [`Draft`]: what is wrong with a rule while it is read, and what becomes of it. Here, and only here, stands what "never
//! wider" means.

use crate::import::{
    report::Outcome,
    value::{Unknown, Value},
};

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

/// Most notes of one sort about one rule: of the others, their number. A list may hold a great many entries that are no names.
pub(super) const MOST_NOTES: usize = 50;

/// Notes, each once.
#[derive(Debug, Default)]
struct Notes {
    said: Vec<String>,
    /// How many there are beyond [`MOST_NOTES`].
    more: usize,
}

impl Notes {
    fn add(&mut self, note: String) {
        if self.said.contains(&note) {
            return;
        }
        match self.said.len() < MOST_NOTES {
            true => self.said.push(note),
            false => self.more += 1,
        }
    }

    fn len(&self) -> usize {
        self.said.len() + self.more
    }

    fn into_texts(self) -> impl Iterator<Item = String> {
        let more = (self.more > 0).then(|| format!("and {} more such notes", self.more));
        self.said.into_iter().chain(more)
    }
}

/// A rule that is being read.
#[derive(Debug)]
pub(super) struct Draft {
    effect: Effect,
    /// Carried, but worth a word.
    remarks: Notes,
    /// Parts that are left out: an allow rule is narrower without them, a deny rule lets more through.
    missing: Notes,
    /// Why the rule as a whole cannot be carried.
    void: Notes,
    /// Matches something else than in Azure, yet never more if it allows and never less if it denies.
    changed: Notes,
}

impl Draft {
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            remarks: Notes::default(),
            missing: Notes::default(),
            void: Notes::default(),
            changed: Notes::default(),
        }
    }

    pub fn denies(&self) -> bool {
        self.effect != Effect::Allow
    }

    pub fn remark(&mut self, note: impl Into<String>) {
        self.remarks.add(note.into());
    }

    pub fn changed(&mut self, note: impl Into<String>) {
        self.changed.add(note.into());
    }

    pub fn missing(&mut self, note: impl Into<String>) {
        self.missing.add(note.into());
    }

    pub fn void(&mut self, note: impl Into<String>) {
        self.void.add(note.into());
    }

    /// A name or a description that is not known, of which nothing depends.
    pub fn words(&mut self, of: &Value) {
        for key in ["name", "description"] {
            if let Some(unknown) = of.get(key).and_then(Value::as_unknown) {
                self.remark(format!("its {key} is not known: {}", unknown.why));
            }
        }
    }

    /// Fields that nobody here knows and that hold nothing.
    pub fn unread(&mut self, names: impl Iterator<Item = String>) {
        for name in names {
            self.remark(format!("`{name}` is not read: egret does not know it"));
        }
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

    /// Whether it is in force at all is not known: an allow rule is taken as not there, a deny rule as there.
    pub fn doubted(&mut self, unknown: &Unknown) {
        if self.denies() {
            self.changed(format!(
                "taken as in force, which depends on what is not known: {}",
                unknown.why
            ));
        } else {
            self.void(format!("whether it is in force is not known: {}", unknown.why));
        }
    }

    /// Whether the rule goes into the policy.
    pub fn stays(&self) -> bool {
        self.void.len() == 0
    }

    pub fn verdict(self) -> Verdict {
        let stays = self.stays();
        let lossless = stays && self.missing.len() == 0;
        let not_enforced = self.denies() && !lossless;
        let outcome = match (stays, lossless && self.changed.len() == 0) {
            (false, _) => Outcome::Absent,
            (true, true) => Outcome::Carried,
            (true, false) => Outcome::Approximated,
        };
        let notes = [self.void, self.missing, self.changed, self.remarks];
        Verdict {
            outcome,
            notes: notes.into_iter().flat_map(Notes::into_texts).collect(),
            not_enforced,
        }
    }
}
