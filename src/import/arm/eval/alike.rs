//! What Azure alone knows is the same wherever it is written the same, be that by way of a variable or of what a deployment is given.

use super::{
    super::{
        Exhausted,
        functions::{self, Fail},
        parse::{Expression, Written, written},
        scope::{Bind, Env},
    },
    Evaluated, Evaluator,
    source::Source,
};
use crate::import::value::{Kind, Place, Value};

/// Functions that make a text of texts, and take something else as well ([`functions::takes_texts`]).
const OF_TEXTS: [&str; 5] = ["concat", "format", "padleft", "replace", "substring"];

/// What belongs where an expression stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belongs {
    Text,
    Anything,
}

/// Whether `format` writes a number as it writes the text of that: a format of its own (`{0:D3}`) is for numbers alone.
pub(super) fn shows_alike(arguments: &[Expression]) -> bool {
    matches!(arguments.first(), Some(Expression::Text(format)) if !format.contains(':'))
}

impl<'a> Evaluator<'a> {
    /// The name of a resource, which certainly is a text. What of it is not known at all (a member of an object without a value)
    /// stands for itself: what is named after the same is told from what is named after something else.
    pub fn name(self, raw: &Value, env: Option<&Env<'_>>) -> Evaluated {
        let value = self.value(raw, env)?;
        let (Kind::Unknown(_), Kind::Text(text)) = (&value.kind, &raw.kind) else {
            return Ok(value);
        };
        self.scope.budget.steps(text.text.len() / 16, raw.at)?;
        let Some(Written::Expression(expression)) = written(&text.text) else {
            return Ok(value);
        };
        self.certainly_text(&expression, env, raw.at)
    }

    /// What is a text, or Azure refuses it: put together of texts, or not known as a whole.
    pub(super) fn certainly_text(self, expression: &Expression, env: Option<&Env<'_>>, at: Place) -> Evaluated {
        self.known_in_parts(expression, env, at, Belongs::Text)
    }

    /// The same of what may be something else, as an argument of `format` may: a list of two is no two texts.
    fn known_in_parts(self, expression: &Expression, env: Option<&Env<'_>>, at: Place, belongs: Belongs) -> Evaluated {
        let guids = self.scope.budget.guids();
        let value = self.expression(expression, env, at)?;
        let Kind::Unknown(doubt) = &value.kind else {
            return Ok(value);
        };
        let deeper = self.deeper(at)?;
        if let Expression::Call(name, arguments) = expression {
            let name = name.to_ascii_lowercase();
            if OF_TEXTS.contains(&name.as_str())
                && let Some(made) = deeper.put_together(&name, arguments, env, at, belongs)?
            {
                return Ok(made);
            }
        }
        if let Some(source) = deeper.source(expression, env, at)?
            && let Some(made) = deeper.as_written(source, at, belongs)?
        {
            return Ok(made);
        }
        let reads = expression.reads_as();
        self.scope.budget.text(reads.len(), at)?;
        let text = Value::text(reads, at).stand_in(doubt);
        // A new GUID is never the same again.
        match self.scope.budget.guids() == guids {
            true => self.written_alike(expression, env, text),
            false => Ok(text),
        }
    }

    /// What a function makes of arguments that certainly are texts; `None` if it makes no text of them.
    fn put_together(
        self,
        name: &str,
        arguments: &[Expression],
        env: Option<&Env<'_>>,
        at: Place,
        belongs: Belongs,
    ) -> Result<Option<Value>, Exhausted> {
        if name == "format" && !shows_alike(arguments) {
            return Ok(None);
        }
        if name == "concat" && belongs == Belongs::Anything && !self.has_text(arguments, env, at)? {
            return Ok(None);
        }
        let belongs = if name == "format" {
            Belongs::Anything
        } else {
            Belongs::Text
        };
        let parts = arguments.iter().map(|part| self.known_in_parts(part, env, at, belongs));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        match functions::call(self.scope.budget, &self.scope.here, name, &parts, at) {
            Ok(made) => Ok(Some(made).filter(|made| matches!(made.kind, Kind::Text(_)))),
            Err(Fail::Exhausted(exhausted)) => Err(exhausted),
            Err(Fail::Bad(_)) => Ok(None),
        }
    }

    /// Whether one of these certainly is a text.
    fn has_text(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<bool, Exhausted> {
        for argument in arguments {
            if matches!(self.expression(argument, env, at)?.kind, Kind::Text(_)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The text that is written there, if nothing that is known there is not known here.
    fn as_written(self, source: Source<'a>, at: Place, belongs: Belongs) -> Result<Option<Value>, Exhausted> {
        let (on, env) = (source.on, source.env);
        // `format` takes what is no text too.
        let shows_all = source.has_texts(at)?;
        let Some(expression) = source.expression(at)?.filter(|_| !shows_all) else {
            return Ok(None);
        };
        let made = on.known_in_parts(&expression, env, at, belongs)?;
        let made = Value { at, ..made };
        Ok(Some(made).filter(|made| matches!(made.kind, Kind::Text(_)) && made.doubt().is_some()))
    }

    /// A text that Azure alone knows is the same wherever it is written the same: there the same symbol stands for it.
    pub(super) fn written_alike(self, expression: &Expression, env: Option<&Env<'_>>, value: Value) -> Evaluated {
        let Kind::Text(text) = &value.kind else {
            return Ok(value);
        };
        let Some(symbol) = text.symbol() else {
            return Ok(value);
        };
        self.scope.budget.steps(4 * expression.size(), value.at)?;
        let is_bound = Env::chain(env).any(|bind| !matches!(bind, Bind::Copy { .. }));
        let Some(expression) = self.in_its_round(expression, env, value.at)?.filter(|_| !is_bound) else {
            return Ok(value);
        };
        let mut symbols = self.scope.symbols.borrow_mut();
        let symbol = symbols.entry(expression).or_insert(symbol.clone()).clone();
        Ok(Value::new(Kind::Text(text.clone().of(symbol)), value.at))
    }

    /// The expression with the rounds of loops that it asks for; `None` if one is not known.
    fn in_its_round(
        self,
        expression: &Expression,
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Option<Expression>, Exhausted> {
        if !expression.counts_rounds() {
            return Ok(Some(expression.clone()));
        }
        let each = |one: &Expression| self.in_its_round(one, env, at);
        Ok(match expression {
            Expression::Call(name, _) if Expression::is_round(name) => {
                let round = self.expression(expression, env, at)?;
                match round.kind {
                    Kind::Int(round) => Some(Expression::Int(round)),
                    _ => None,
                }
            }
            Expression::Call(name, arguments) => {
                let arguments = arguments.iter().map(each).collect::<Result<Option<Vec<_>>, _>>()?;
                arguments.map(|arguments| Expression::Call(name.clone(), arguments))
            }
            Expression::Index(of, key) => {
                let parts = each(of)?.zip(each(key)?);
                parts.map(|(of, key)| Expression::Index(of.into(), key.into()))
            }
            Expression::Text(_) | Expression::Int(_) => Some(expression.clone()),
        })
    }
}
