//! [`Source`]: what an expression of a template is in terms of where its parts are written, be that the template around it.

use super::{
    super::{
        Budget, Exhausted,
        parameters::Declared,
        parse::{Expression, Written, written},
        parts::{self, Definition},
        scope::{Around, Bind, Env},
    },
    Evaluator,
    alike::shows_alike,
};
use crate::import::value::{Kind, Place, Value};
use std::sync::Arc;

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
pub(super) struct Source<'a> {
    pub on: Evaluator<'a>,
    pub env: Option<&'a Env<'a>>,
    raw: Raw<'a>,
    /// What it is declared to be on the way here.
    declared: Vec<Definition<'a>>,
}

/// What stands there, or an expression of it.
enum Raw<'a> {
    Is(&'a Value),
    Of(Expression),
}

impl<'a> Evaluator<'a> {
    /// Where that is written which an expression leads to: a variable, what a deployment is given, or a part of one of these.
    pub(super) fn source(
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
                    arguments if what == "format" && !shows_alike(arguments) => Ok(None),
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
    pub fn has_texts(&self, at: Place) -> Result<bool, Exhausted> {
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
    pub fn expression(self, at: Place) -> Result<Option<Expression>, Exhausted> {
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

fn same_env<'e>(one: Option<&'e Env<'e>>, other: Option<&'e Env<'e>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => std::ptr::eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
