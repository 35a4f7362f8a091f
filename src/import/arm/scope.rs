//! [`Scope`]: the names that one template defines, and [`Env`]: those that a loop or a function binds on the way.

use super::{Budget, Exhausted, eval::Evaluator, parameters::Given, too_deep};
use crate::import::value::{Kind, Object, Place, Text, Unknown, Value};
use std::{cell::RefCell, collections::HashMap, sync::Arc};

/// The parameters, variables, functions and deployments of one template. What is asked for is worked out once.
pub(super) struct Scope<'a> {
    pub budget: &'a Budget,
    template: Value,
    given: HashMap<String, Value>,
    memo: RefCell<HashMap<(Section, String), Memo>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Section {
    Parameter,
    Variable,
    Deployment,
}

enum Memo {
    /// It is being worked out: whoever asks now needs itself.
    Working,
    Done(Value),
}

/// Names bound by loops, lambdas and calls of the template's own functions; the innermost first.
pub(super) struct Env<'e> {
    pub bind: Bind<'e>,
    pub outer: Option<&'e Env<'e>>,
}

pub(super) enum Bind<'e> {
    /// A copy loop at its `index`, which is unknown if the count is.
    Copy {
        name: &'e str,
        index: &'e Value,
        resource: bool,
    },
    Lambda {
        name: &'e str,
        value: &'e Value,
    },
    /// The parameters of one of the template's own functions: inside, no others exist.
    Arguments(&'e [(String, Value)]),
}

impl<'e> Env<'e> {
    /// From the innermost outwards.
    pub fn chain(env: Option<&'e Env<'e>>) -> impl Iterator<Item = &'e Bind<'e>> {
        std::iter::successors(env, |env| env.outer).map(|env| &env.bind)
    }
}

impl<'a> Scope<'a> {
    /// The scope of a template that is deployed with these parameters, by name in lower case.
    pub fn new(budget: &'a Budget, template: Value, given: HashMap<String, Value>) -> Self {
        let memo = RefCell::default();
        Self {
            budget,
            template,
            given,
            memo,
        }
    }

    /// The scope of a whole file.
    pub fn of_file(budget: &'a Budget, template: Value, given: &Given) -> Self {
        let defined = template.get("parameters").and_then(Value::as_object);
        let entries = defined.map_or(&[][..], |object| &object.entries);
        let values = entries.iter().filter_map(|(name, definition)| {
            let value = given.value(name, definition)?;
            Some((name.to_ascii_lowercase(), value))
        });
        let values = values.collect();
        Self::new(budget, template, values)
    }

    /// The template as it is written.
    pub fn template(&self) -> &Value {
        &self.template
    }

    fn section(&self, name: &str) -> Option<&Object> {
        self.template.get(name).and_then(Value::as_object)
    }

    pub fn parameter(&self, name: &str, depth: u32, at: Place) -> Result<Value, Exhausted> {
        self.once(Section::Parameter, name, at, || {
            if let Some(value) = self.given.get(&name.to_ascii_lowercase()) {
                return Ok(value.clone());
            }
            let Some(definition) = self.section("parameters").and_then(|section| section.get(name)) else {
                return Ok(Value::unknown(format!("the template has no parameter `{name}`"), at));
            };
            if let Some(default) = definition.as_object().and_then(|object| object.get("defaultValue")) {
                return self.evaluator(depth).value(default, None);
            }
            if definition.get("nullable").and_then(Value::as_bool) == Some(true) {
                return Ok(Value::null(definition.at));
            }
            Ok(without_value(name, definition, at))
        })
    }

    pub fn variable(&self, name: &str, depth: u32, at: Place) -> Result<Value, Exhausted> {
        self.once(Section::Variable, name, at, || {
            let evaluator = self.evaluator(depth);
            let section = self.section("variables");
            if let Some(raw) = section.and_then(|section| section.get(name)) {
                return evaluator.value(raw, None);
            }
            let loops = section.and_then(|section| section.get("copy")?.as_list());
            let named = |one: &&Value| {
                one.get("name")
                    .and_then(Value::as_str)
                    .is_some_and(|loop_name| loop_name.eq_ignore_ascii_case(name))
            };
            match loops.and_then(|loops| loops.iter().find(named)) {
                Some(one) => evaluator.copied(one, None),
                None => Ok(Value::unknown(format!("the template has no variable `{name}`"), at)),
            }
        })
    }

    /// `outputs` of the deployment of this name in the template, symbolic or not; `None` if there is none.
    pub fn outputs(&self, name: &str, depth: u32, at: Place) -> Result<Option<Value>, Exhausted> {
        let outputs = self.once(Section::Deployment, name, at, || {
            let found = self.evaluator(depth).deployment_outputs(name)?;
            Ok(found.unwrap_or_else(|| Value::null(at)))
        })?;
        Ok(outputs.as_object().is_some().then_some(outputs))
    }

    /// The definition of one of the template's own functions, `namespace.name`.
    pub fn function(&self, name: &str) -> Option<&Value> {
        let (namespace, member) = name.split_once('.')?;
        let spaces = self.template.get("functions")?.as_list()?;
        let space = spaces.iter().find(|space| {
            let text = space.get("namespace").and_then(Value::as_str);
            text.is_some_and(|text| text.eq_ignore_ascii_case(namespace))
        })?;
        space.get("members")?.get(member)
    }

    pub fn evaluator(&self, depth: u32) -> Evaluator<'_> {
        Evaluator { scope: self, depth }
    }

    fn once(
        &self,
        section: Section,
        name: &str,
        at: Place,
        make: impl FnOnce() -> Result<Value, Exhausted>,
    ) -> Result<Value, Exhausted> {
        let key = (section, name.to_ascii_lowercase());
        match self.memo.borrow().get(&key) {
            Some(Memo::Done(value)) => return Ok(value.clone()),
            Some(Memo::Working) => return Err(too_deep(at)),
            None => {}
        }
        self.memo.borrow_mut().insert(key.clone(), Memo::Working);
        let value = make()?;
        self.memo.borrow_mut().insert(key, Memo::Done(value.clone()));
        Ok(value)
    }
}

/// A parameter that nobody gave a value. A text stands in for itself by name, so that what is named after it can be told apart.
fn without_value(name: &str, definition: &Value, at: Place) -> Value {
    let unknown = Value::unknown(format!("parameter `{name}` has no value"), at);
    let kind = definition.get("type").and_then(Value::as_str).unwrap_or_default();
    match unknown.kind {
        Kind::Unknown(why) if kind.eq_ignore_ascii_case("string") => Value::new(
            Kind::Text(Text {
                text: name.into(),
                stands_for: Some(why),
            }),
            at,
        ),
        _ => unknown,
    }
}

/// The first reason why a condition is not known, among an outer one and its own.
pub(super) fn either(outer: Option<&Arc<Unknown>>, own: Option<&Arc<Unknown>>) -> Option<Arc<Unknown>> {
    outer.or(own).cloned()
}
