//! What Azure alone knows is the same wherever it is written the same, be that by way of a variable or of what a deployment is given.

use super::{
    super::{
        Budget, Exhausted,
        functions::{self, Fail},
        parameters::Declared,
        parse::{Expression, Written, written},
        parts,
        scope::{Around, Bind, Env},
    },
    Evaluated, Evaluator,
};
use crate::import::value::{Kind, Place, Value};
use std::sync::Arc;

/// Functions that make a text, and nothing else, of texts.
const OF_TEXTS: [&str; 10] = [
    "concat",
    "format",
    "guid",
    "padleft",
    "replace",
    "substring",
    "tolower",
    "toupper",
    "trim",
    "uniquestring",
];

/// In how many definitions it is looked for a type that converts: they may go round in circles.
const MOST_DEFINITIONS: u32 = 500;

/// Functions that make the same text of the same, be a number in it a text or not.
const PURE: [&str; 13] = [
    "coalesce",
    "concat",
    "empty",
    "equals",
    "first",
    "format",
    "if",
    "last",
    "replace",
    "split",
    "substring",
    "take",
    "tolower",
];

/// Where something is written: in a template, within these loops.
struct Source<'a> {
    on: Evaluator<'a>,
    env: Option<&'a Env<'a>>,
    raw: Raw<'a>,
    /// What it is declared to be on the way here.
    declared: Vec<Definition<'a>>,
}

/// A definition, with those of its template that it may refer to.
type Definition<'a> = (&'a Value, Option<&'a Value>);

/// What stands there, or an expression of it.
enum Raw<'a> {
    Is(&'a Value),
    Of(Expression),
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
        let guids = self.scope.budget.guids();
        let value = self.expression(expression, env, at)?;
        let Kind::Unknown(doubt) = &value.kind else {
            return Ok(value);
        };
        let deeper = self.deeper(at)?;
        if let Expression::Call(name, arguments) = expression {
            let name = name.to_ascii_lowercase();
            if OF_TEXTS.contains(&name.as_str())
                && let Some(made) = deeper.put_together(&name, arguments, env, at)?
            {
                return Ok(made);
            }
        }
        if let Some(source) = deeper.source(expression, env, at)?
            && let Some(made) = deeper.as_written(source, at)?
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
    ) -> Result<Option<Value>, Exhausted> {
        let parts = arguments.iter().map(|part| self.certainly_text(part, env, at));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        match functions::call(self.scope.budget, &self.scope.here, name, &parts, at) {
            Ok(made) => Ok(Some(made).filter(|made| matches!(made.kind, Kind::Text(_)))),
            Err(Fail::Exhausted(exhausted)) => Err(exhausted),
            Err(Fail::Bad(_)) => Ok(None),
        }
    }

    /// Where that is written which an expression leads to: a variable, what a deployment is given, or a part of one of these.
    fn source(
        self,
        expression: &Expression,
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Option<Source<'a>>, Exhausted> {
        match expression {
            Expression::Index(of, key) => {
                let on = self.deeper(at)?;
                match on.source(of, env, at)? {
                    Some(source) => source.part(on.expression(key, env, at)?, at),
                    None => Ok(None),
                }
            }
            Expression::Call(what, arguments) => {
                let what = what.to_ascii_lowercase();
                match arguments.as_slice() {
                    [Expression::Text(name)] if matches!(what.as_str(), "parameters" | "variables") => {
                        self.named_source(&what, name, env, at)
                    }
                    [of, Expression::Text(name)] if matches!(what.as_str(), "tryget" | "contains") => {
                        match self.deeper(at)?.source(of, env, at)? {
                            Some(source) => source.asked(&what, name, at),
                            None => Ok(None),
                        }
                    }
                    arguments if PURE.contains(&what.as_str()) => self.deeper(at)?.called(&what, arguments, env, at),
                    _ => Ok(None),
                }
            }
            Expression::Text(_) | Expression::Int(_) => Ok(None),
        }
    }

    /// A function of what is written in one and the same place, or stands here.
    fn called(
        self,
        what: &str,
        arguments: &[Expression],
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Option<Source<'a>>, Exhausted> {
        let mut place: Option<(Self, Option<&'a Env<'a>>)> = None;
        let mut made = Vec::with_capacity(arguments.len());
        let mut declared = Vec::new();
        for argument in arguments {
            if let Expression::Text(_) | Expression::Int(_) = argument {
                made.push(argument.clone());
                continue;
            }
            let Some(source) = self.source(argument, env, at)? else {
                return Ok(None);
            };
            let (on, env) = *place.get_or_insert((source.on, source.env));
            let is_there = std::ptr::eq(on.scope, source.on.scope) && same_env(env, source.env);
            declared.extend_from_slice(&source.declared);
            // A list or an object with a number is written otherwise than one with a text.
            let shows_all = what == "format" && source.has_texts(at)?;
            let Some(written) = source.expression(at)?.filter(|_| is_there && !shows_all) else {
                return Ok(None);
            };
            // A text equals no number.
            if what == "equals" && !matches!(on.expression(&written, env, at)?.kind, Kind::Text(_)) {
                return Ok(None);
            }
            made.push(written);
        }
        Ok(place.map(|(on, env)| Source {
            on,
            env,
            raw: Raw::Of(Expression::Call(what.to_owned(), made)),
            declared,
        }))
    }

    fn named_source(
        self,
        what: &str,
        name: &str,
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Option<Source<'a>>, Exhausted> {
        self.scope.budget.steps(1 + name.len() / 16, at)?;
        let is_argument = Env::chain(env).any(|bind| matches!(bind, Bind::Arguments(_)));
        Ok(match what {
            "variables" => self.scope.written_variable(name, at)?.map(|raw| Source {
                on: self,
                env: None,
                raw: Raw::Is(raw),
                declared: Vec::new(),
            }),
            "parameters" if !is_argument => {
                let found = self.scope.written_around(name, self.depth, at)?;
                found.map(|(Around { on, env, .. }, raw, definition)| Source {
                    on: Self {
                        depth: self.depth,
                        ..on
                    },
                    env,
                    raw: Raw::Is(raw),
                    declared: vec![definition],
                })
            }
            _ => None,
        })
    }

    /// The text that is written there, if nothing that is known there is not known here.
    fn as_written(self, source: Source<'a>, at: Place) -> Result<Option<Value>, Exhausted> {
        let (on, env) = (source.on, source.env);
        // `format` takes what is no text too.
        let shows_all = source.has_texts(at)?;
        let Some(expression) = source.expression(at)?.filter(|_| !shows_all) else {
            return Ok(None);
        };
        let made = on.certainly_text(&expression, env, at)?;
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

impl<'a> Source<'a> {
    /// A member, or an element, of what is written; `None` if it is not known which.
    fn part(self, key: Value, at: Place) -> Result<Option<Self>, Exhausted> {
        let budget = self.on.scope.budget;
        let key = match &key.kind {
            Kind::Text(text) if key.doubt().is_none() => Expression::Text(text.text.clone()),
            Kind::Int(index) => Expression::Int(*index),
            _ => return Ok(None),
        };
        let Self { on, env, raw, declared } = self;
        let declared = parts::of_part(budget, &declared, &key, at)?;
        let raw = match (raw, key) {
            (Raw::Of(of), key) => Some(Raw::Of(Expression::Index(of.into(), key.into()))),
            (Raw::Is(raw), key) => match (&raw.kind, &key) {
                (Kind::Object(object), Expression::Text(name)) => {
                    budget.steps(1 + object.entries.len() / 16, at)?;
                    let is_made = |name: &str| name.starts_with('[') || name.eq_ignore_ascii_case("copy");
                    match object.entries.iter().any(|(name, _)| is_made(name)) {
                        true => None,
                        false => budget.member(object, name, at)?.map(Raw::Is),
                    }
                }
                (Kind::List(list), Expression::Int(index)) => {
                    let item = usize::try_from(*index).ok().and_then(|index| list.items.get(index));
                    item.map(Raw::Is)
                }
                (Kind::Text(_), _) => {
                    let of = expression_of(on.scope.budget, raw, at)?;
                    of.map(|of| Raw::Of(Expression::Index(of.into(), key.into())))
                }
                _ => None,
            },
        };
        Ok(raw.map(|raw| Self { on, env, raw, declared }))
    }

    /// Whether it has a member of this name, or that member if it has it (`tryGet`). Of what may be a list or a text, `contains` asks for
    /// something else.
    fn asked(self, what: &str, name: &Arc<str>, at: Place) -> Result<Option<Self>, Exhausted> {
        let budget = self.on.scope.budget;
        let key = Expression::Text(name.clone());
        let is_object = |(one, all): &Definition<'_>| Declared::of(one, *all).kind.as_deref() == Some("object");
        let declared = match what {
            "tryget" => parts::of_part(budget, &self.declared, &key, at)?,
            _ if !self.declared.is_empty() && self.declared.iter().all(is_object) => Vec::new(),
            _ => return Ok(None),
        };
        let (on, env) = (self.on, self.env);
        let of = match self.raw {
            Raw::Of(of) => Some(of),
            Raw::Is(raw) if what == "tryget" && raw.as_object().is_some() => {
                return self.part(Value::text(name.clone(), at), at);
            }
            Raw::Is(raw) => expression_of(budget, raw, at)?,
        };
        Ok(of.map(|of| Self {
            on,
            env,
            raw: Raw::Of(Expression::Call(what.to_owned(), vec![of, key])),
            declared,
        }))
    }

    /// Whether it may be a list or an object in which a number is declared a text.
    fn has_texts(&self, at: Place) -> Result<bool, Exhausted> {
        let budget = self.on.scope.budget;
        let mut left = MOST_DEFINITIONS;
        for (definition, definitions) in &self.declared {
            let is_text = Declared::of(definition, *definitions).kind.as_deref() == Some("string");
            if !is_text
                && parts::declares(
                    budget,
                    definition,
                    *definitions,
                    &["int", "bool", "string"],
                    &mut left,
                    at,
                )?
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// As an expression, if it is one and what it makes is handed on as it is: what is declared a number or a boolean may be another
    /// text here.
    fn expression(self, at: Place) -> Result<Option<Expression>, Exhausted> {
        let budget = self.on.scope.budget;
        let mut left = MOST_DEFINITIONS;
        for (definition, definitions) in self.declared {
            if parts::declares(budget, definition, definitions, &["int", "bool"], &mut left, at)? {
                return Ok(None);
            }
        }
        match self.raw {
            Raw::Of(expression) => Ok(Some(expression)),
            Raw::Is(raw) => expression_of(budget, raw, at),
        }
    }
}

fn expression_of(budget: &Budget, raw: &Value, at: Place) -> Result<Option<Expression>, Exhausted> {
    let text = raw.as_str().unwrap_or_default();
    budget.steps(text.len() / 16, at)?;
    Ok(match written(text) {
        Some(Written::Expression(expression)) => Some(expression),
        _ => None,
    })
}

fn same_env(one: Option<&Env<'_>>, other: Option<&Env<'_>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            std::ptr::eq(std::ptr::from_ref(one).cast::<()>(), std::ptr::from_ref(other).cast())
        }
        (None, None) => true,
        _ => false,
    }
}
