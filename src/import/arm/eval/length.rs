//! How long something is, compared with a number.

use super::{
    super::{
        functions::{self, Fail},
        parse::Expression,
    },
    Evaluator,
};
use crate::import::value::{Kind, Place, Value};

impl Evaluator<'_> {
    /// How long a text is compares with a number even if that is not known, where what is known of the text is long enough:
    /// `greater(length(id), 0)`.
    pub(super) fn length_with(self, of: &Value, name: &str, number: i64, at: Place) -> Result<Value, Fail> {
        let (budget, here) = (self.scope.budget, &self.scope.here);
        if let Kind::Text(text) = &of.kind
            && of.doubt().is_some()
        {
            budget.steps(1 + text.cost() / 64, at)?;
            let least = i64::try_from(text.least()).unwrap_or(0);
            if let Some(yes) = functions::at_least(name, least, number) {
                return Ok(Value::new(Kind::Bool(yes), at));
            }
        }
        let length = match functions::call(budget, here, "length", std::slice::from_ref(of), at) {
            Err(Fail::Bad(why)) => self.paid(Value::unknown(format!("`length`: {why}"), at))?,
            length => length?,
        };
        functions::call(budget, here, name, &[length, Value::new(Kind::Int(number), at)], at)
    }
}

/// What is measured, and how its length compares with which number, if that is what an expression asks for.
pub(super) fn compared<'e>(name: &'e str, arguments: &'e [Expression]) -> Option<(&'e Expression, &'e str, i64)> {
    let turned = match name {
        "less" => "greater",
        "lessorequals" => "greaterorequals",
        "greater" => "less",
        "greaterorequals" => "lessorequals",
        "equals" => "equals",
        _ => return None,
    };
    let (call, name, number) = match arguments {
        [call, Expression::Int(number)] => (call, name, number),
        [Expression::Int(number), call] => (call, turned, number),
        _ => return None,
    };
    match call {
        Expression::Call(length, of) if length.eq_ignore_ascii_case("length") && of.len() == 1 => {
            Some((&of[0], name, *number))
        }
        _ => None,
    }
}
