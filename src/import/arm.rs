//! Azure Resource Manager templates: what a template deploys, worked out offline.
//!
//! [`template`] walks parameters, variables, copy loops, conditions and nested deployments; [`parse`] reads the expressions
//! in texts, [`eval`] works them out with the [`functions`]. Pure: a parsed file comes in, [`Resource`]s go out.
//!
//! What only Azure knows (`reference`, `listKeys`, a parameter without a value) is a value of its own, which spreads through
//! whatever is made of it and keeps the place where it came in. An expression that Azure would refuse is unknown as well,
//! with what is wrong. What Azure knows and a name may still be made of (`uniqueString`, `resourceGroup().name`) is a
//! stand-in: a text that keeps that it is none that Azure would make. Whatever comes out as known, Azure would work out the
//! same, whatever the unknown turns out to be: [`functions`] lose what they know by default, and the tests try it at random.
//!
//! Every walk takes from one [`Budget`], so that no template costs more than about a second or 256 MiB.

mod eval;
mod functions;
mod outputs;
mod parameters;
mod parse;
mod scope;
mod template;

pub(crate) use parameters::Given;
pub(crate) use template::{DEPLOYMENT, Resource, deploy, deploys, member_path, resource, wanted};

use super::value::{Object, Place, Value};
use std::{cell::Cell, sync::Arc};

/// Most steps of one import: a step is about 100 ns. The 700 KB template of the tests takes 60,000.
const MOST_STEPS: u64 = 1_000_000;

/// Most bytes of text that all expressions may make together. A rule collection group has at most 2 MB.
const MOST_TEXT_BYTES: u64 = 32 << 20;

/// Deepest recursion of the evaluator: expressions in variables in parameters in functions.
const MAX_EVAL_DEPTH: u32 = 150;

/// A bound is reached: the import ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exhausted {
    pub at: Place,
    pub found: String,
}

/// What is left of the bounds.
#[derive(Debug)]
pub(crate) struct Budget {
    steps: Cell<u64>,
    text: Cell<u64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: Cell::new(MOST_STEPS),
            text: Cell::new(MOST_TEXT_BYTES),
        }
    }
}

impl Budget {
    /// Takes `count` steps, for work at `at`.
    fn steps(&self, count: usize, at: Place) -> Result<(), Exhausted> {
        take(&self.steps, count).ok_or_else(|| Exhausted {
            at,
            found: format!("the template takes more than {MOST_STEPS} steps to work out"),
        })
    }

    /// A member of an object, in any case of its name. Names of one length are compared byte by byte.
    fn member<'v>(&self, object: &'v Object, key: &str, at: Place) -> Result<Option<&'v Value>, Exhausted> {
        let place = self.place_of(&object.entries, key, at)?;
        Ok(place.map(|place| &object.entries[place].1))
    }

    fn place_of(&self, entries: &[(Arc<str>, Value)], key: &str, at: Place) -> Result<Option<usize>, Exhausted> {
        self.steps(entries.len() * (4 + key.len()) / 128, at)?;
        Ok(entries.iter().position(|(name, _)| name.eq_ignore_ascii_case(key)))
    }

    /// Takes `bytes` of text, before it is made.
    fn text(&self, bytes: usize, at: Place) -> Result<(), Exhausted> {
        take(&self.text, bytes).ok_or_else(|| Exhausted {
            at,
            found: format!(
                "the template's expressions make more than {} MiB of text",
                MOST_TEXT_BYTES >> 20
            ),
        })
    }
}

fn take(left: &Cell<u64>, count: usize) -> Option<()> {
    let rest = left.get().checked_sub(u64::try_from(count).ok()?)?;
    left.set(rest);
    Some(())
}

/// Nesting beyond what evaluation recurses into.
fn too_deep(at: Place) -> Exhausted {
    let found = "expressions nest too deep, or a variable, parameter or deployment needs itself".into();
    Exhausted { at, found }
}

/// Works out a value that stands outside any template: its expressions have no names to draw on.
pub(crate) fn evaluate(budget: &Budget, value: &Value) -> Result<Value, Exhausted> {
    let scope = scope::Scope::new(budget, Value::null(value.at), Ok(std::collections::HashMap::new()));
    scope.evaluator(0).value(value, None)
}

#[cfg(test)]
mod tests;
