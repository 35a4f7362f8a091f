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
//! Every walk takes from the one [`Budget`] of the import.

mod allowed;
mod deployments;
mod eval;
mod functions;
mod kinds;
mod made;
mod nested;
mod outputs;
mod parameters;
mod parse;
mod parts;
mod scope;
mod template;

pub(crate) use kinds::{DEPLOYMENT, deploys, wanted};
pub(crate) use parameters::Given;
pub(crate) use template::{Resource, Target, deploy, resource};

use super::{
    budget::{Budget, Exhausted},
    value::{Place, Value},
};

/// Deepest recursion of the evaluator: expressions in variables in parameters in functions.
const MAX_EVAL_DEPTH: u32 = 150;

/// Nesting beyond what evaluation recurses into.
fn too_deep(at: Place) -> Exhausted {
    let found = "expressions nest too deep, or a variable, parameter or deployment needs itself".into();
    Exhausted { at, found }
}

/// Works out a value that stands outside any template: its expressions have no names to draw on. `file` is as of [`resource`].
pub(crate) fn evaluate(budget: &Budget, value: &Value, file: u32) -> Result<Value, Exhausted> {
    let scope = scope::Scope::outside(budget, value.at, scope::Texts::Fragment, file);
    scope.evaluator(0).value(value, None)
}

#[cfg(test)]
mod tests;
