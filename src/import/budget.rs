//! [`Budget`]: what an import may cost, about a second and 256 MiB. Every loop over what a file says pays here, or looks at each
//! thing a fixed number of times.

use super::{
    MAX_IMPORT_BYTES,
    json::MOST_VALUES,
    text::{Ingredient, Symbol},
    value::{Object, Place, Value},
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, HashMap},
};

/// Most steps of one import: a step is about 100 ns. The 700 KB template of the tests takes 60,000.
const MOST_STEPS: u64 = 1_000_000;

/// Most bytes of text that all expressions, and all paths, may make together. A rule collection group has at most 2 MB.
const MOST_TEXT_BYTES: u64 = 32 << 20;

/// What the rules and their account may come to: each entry of a list counts 1, and 1 for 16 bytes of it, a protocol 4, any other
/// field 1, and 1 for 32 bytes of it, an item of the report 2, and 1 for 64 bytes of it. Lists may be shared by many rules, so that
/// a small file holds more than this. A name of 20 bytes takes about 600 bytes until it is part of a policy.
const MOST_ENTRIES: u64 = 300_000;

/// A bound is reached: the import ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub at: Place,
    pub found: String,
}

/// What is left of the bounds, and what was asked for on the way.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: Cell<u64>,
    text: Cell<u64>,
    entries: Cell<u64>,
    /// How many values the files that are not read yet may hold: what is printed by Azure is kept as it was read.
    pub values: Cell<usize>,
    /// How many bytes they may have.
    bytes: Cell<u64>,
    /// What was not enough, where nobody could be told at once.
    spent: RefCell<Option<Exhausted>>,
    /// How many GUIDs were made anew.
    guids: Cell<u32>,
    /// How many deployments there were.
    deployments: Cell<u32>,
    asked: RefCell<Asked>,
    /// What stands for what Azure alone knows, by what that is made of.
    alike: RefCell<HashMap<Vec<Ingredient>, Symbol>>,
}

/// Parameters of whole files that were asked for and that nobody gave: a value from outside would change what comes out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Those without a value, by the place of their definition.
    pub unset: BTreeMap<Place, String>,
    /// Values that Azure refuses, by their place: of which parameter, and why.
    pub refused: BTreeMap<Place, (String, String)>,
    /// Those that have their default, by its place.
    pub defaults: BTreeMap<Place, String>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: Cell::new(MOST_STEPS),
            text: Cell::new(MOST_TEXT_BYTES),
            entries: Cell::new(MOST_ENTRIES),
            values: Cell::new(MOST_VALUES),
            bytes: Cell::new(MAX_IMPORT_BYTES),
            spent: RefCell::default(),
            guids: Cell::new(0),
            deployments: Cell::new(0),
            asked: RefCell::default(),
            alike: RefCell::default(),
        }
    }
}

impl Budget {
    /// What stands for what is made of these: `new`, if nothing does yet.
    pub fn alike(&self, made_of: Vec<Ingredient>, new: Symbol, at: Place) -> Result<Symbol, Exhausted> {
        self.steps(1 + made_of.len() / 4, at)?;
        if let Some(known) = self.alike.borrow().get(&made_of) {
            return Ok(known.clone());
        }
        let bytes = made_of.iter().map(|part| match part {
            Ingredient::Is(text) | Ingredient::Here(text, _) => text.len(),
            _ => 0,
        });
        self.text(100 + bytes.sum::<usize>() + made_of.len() * size_of::<Ingredient>(), at)?;
        self.alike.borrow_mut().insert(made_of, new.clone());
        Ok(new)
    }

    /// Keeps which parameters are asked for and not given.
    pub fn ask(&self, keep: impl FnOnce(&mut Asked)) {
        keep(&mut self.asked.borrow_mut());
    }

    /// The values that Azure refuses, so far: place, parameter, why.
    pub fn refused(&self) -> Vec<(Place, String, String)> {
        let asked = self.asked.borrow();
        let refused = asked.refused.iter();
        refused
            .map(|(at, (name, why))| (*at, name.clone(), why.clone()))
            .collect()
    }

    /// Which parameters were asked for and not given, so far.
    pub fn take_asked(&self) -> Asked {
        self.asked.take()
    }

    /// Takes the bytes of a file. `false`: with those before it, they are too many.
    pub fn reads(&self, bytes: usize) -> bool {
        take(&self.bytes, bytes).is_some()
    }

    /// Takes `count` steps, for work at `at`.
    pub fn steps(&self, count: usize, at: Place) -> Result<(), Exhausted> {
        take(&self.steps, count).ok_or_else(|| Exhausted {
            at,
            found: format!("the template takes more than {MOST_STEPS} steps to work out"),
        })
    }

    /// A member of an object, in any case of its name.
    pub fn member<'v>(&self, object: &'v Object, key: &str, at: Place) -> Result<Option<&'v Value>, Exhausted> {
        self.steps(1 + (object.look() + key.len()) / 32, at)?;
        Ok(object.get(key))
    }

    /// Takes `bytes` of text, before it is made.
    pub fn text(&self, bytes: usize, at: Place) -> Result<(), Exhausted> {
        take(&self.text, bytes).ok_or_else(|| Exhausted {
            at,
            found: format!(
                "the template's expressions and its resources make more than {} MiB of text",
                MOST_TEXT_BYTES >> 20
            ),
        })
    }

    /// Takes what is kept of something at `at`. `false`: there is not enough left, and the import will fail ([`Self::kept`]).
    pub fn keeps(&self, count: usize, at: Place) -> bool {
        self.goes_on(|| {
            take(&self.entries, count).ok_or_else(|| Exhausted {
                at,
                found: format!(
                    "the rules and what is to be said of them come to more than {MOST_ENTRIES} entries of lists"
                ),
            })
        })
    }

    /// Takes steps, likewise.
    pub fn looks(&self, count: usize, at: Place) -> bool {
        self.goes_on(|| self.steps(count, at))
    }

    fn goes_on(&self, take: impl FnOnce() -> Result<(), Exhausted>) -> bool {
        let mut spent = self.spent.borrow_mut();
        if spent.is_none() {
            *spent = take().err();
        }
        spent.is_none()
    }

    /// Fails if there was not enough for everything that is kept, and looked at on the way.
    pub fn kept(&self) -> Result<(), Exhausted> {
        self.spent.borrow().clone().map_or(Ok(()), Err)
    }

    /// Counts a GUID that is like no other.
    pub fn new_guid(&self) {
        self.guids.set(self.guids.get().wrapping_add(1));
    }

    /// The number of another deployment.
    pub fn deployment(&self) -> u32 {
        self.deployments.set(self.deployments.get().saturating_add(1));
        self.deployments.get()
    }

    /// How many there were so far.
    pub fn guids(&self) -> u32 {
        self.guids.get()
    }

    /// What was taken: steps, bytes of text, entries.
    #[cfg(test)]
    pub fn taken(&self) -> [u64; 3] {
        let all = Self::default();
        let taken = |all: Cell<u64>, left: &Cell<u64>| all.get() - left.get();
        [
            taken(all.steps, &self.steps),
            taken(all.text, &self.text),
            taken(all.entries, &self.entries),
        ]
    }
}

fn take(left: &Cell<u64>, count: usize) -> Option<()> {
    let rest = left.get().checked_sub(u64::try_from(count).ok()?)?;
    left.set(rest);
    Some(())
}
