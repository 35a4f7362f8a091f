//! [`Scope`]: the names that one template defines, and [`Env`]: those that a loop or a function binds on the way.

use super::{
    Budget, Exhausted,
    deployments::Deployments,
    eval::Evaluator,
    parameters::{Declared, as_declared, followed, reference_steps},
    parse::Expression,
    template::Target,
    too_deep,
};
use crate::import::{
    json::shown,
    text::Symbol,
    value::{Kind, Object, Place, Unknown, Value},
};
use std::{
    cell::{OnceCell, RefCell},
    collections::HashMap,
    sync::Arc,
};

/// The parameters, variables, functions and deployments of one template. What is asked for is worked out once.
pub(super) struct Scope<'a> {
    pub budget: &'a Budget,
    template: Value,
    /// Or why it is not known what is given.
    given: Result<HashMap<String, Value>, Arc<Unknown>>,
    /// Where what is given is written: the template around it, and a deployment's `parameters` there.
    pub around: Option<Around<'a>>,
    /// Where it is deployed.
    pub here: Target,
    /// It is a template of its own: what its parameters are is said from outside.
    is_file: bool,
    /// What the texts are, if not those of a template.
    pub texts: Texts,
    memo: RefCell<HashMap<(Section, String), Memo>>,
    /// What expressions stand for that Azure alone knows, with the rounds of loops in them: the same for the same.
    pub symbols: RefCell<HashMap<Expression, Symbol>>,
    /// Places of variable loops by name in lower case.
    loops: OnceCell<HashMap<String, usize>>,
    /// Places of the template's own namespaces of functions, likewise.
    spaces: OnceCell<HashMap<String, usize>>,
    /// The deployments among its resources, worked out once.
    pub deployments: OnceCell<Deployments>,
}

/// A deployment in the template around.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub on: Evaluator<'a>,
    pub env: Option<&'a Env<'a>>,
    pub parameters: &'a Value,
}

/// Where texts stand, which says whether they are expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Texts {
    Template,
    /// Cut out of a template or printed: what cannot be an expression is none.
    Fragment,
    /// Printed by Azure: none is an expression.
    Printed,
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
    /// The parameters of one of the template's own functions, by name in lower case: inside, no others exist.
    Arguments(&'e HashMap<String, Value>),
}

impl<'e> Env<'e> {
    /// From the innermost outwards.
    pub fn chain(env: Option<&'e Env<'e>>) -> impl Iterator<Item = &'e Bind<'e>> {
        std::iter::successors(env, |env| env.outer).map(|env| &env.bind)
    }
}

impl<'a> Scope<'a> {
    /// The scope of what stands outside any template, of this number of a file ([`Target`]): there are no names to draw on.
    pub fn outside(budget: &'a Budget, at: Place, texts: Texts, file: u32) -> Self {
        let mut scope = Self::new(budget, Value::null(at), Ok(HashMap::new()));
        scope.here.template = file;
        Self { texts, ..scope }
    }

    /// The scope of a template that is deployed with these parameters, by name in lower case.
    pub fn new(budget: &'a Budget, template: Value, given: Result<HashMap<String, Value>, Arc<Unknown>>) -> Self {
        Self {
            budget,
            template,
            given,
            around: None,
            here: Target::default(),
            memo: RefCell::default(),
            symbols: RefCell::default(),
            loops: OnceCell::new(),
            spaces: OnceCell::new(),
            deployments: OnceCell::new(),
            is_file: false,
            texts: Texts::Template,
        }
    }

    /// What a definition of this template declares.
    pub fn declared(&self, definition: &Value) -> Result<Declared, Exhausted> {
        let definitions = self.template.get("definitions");
        for one in followed(definition, definitions) {
            self.budget.steps(2 * reference_steps(one), definition.at)?;
        }
        Ok(Declared::of(definition, definitions))
    }

    fn section(&self, name: &str) -> Option<&Object> {
        self.template.get(name).and_then(Value::as_object)
    }

    pub fn parameter(&self, name: &str, depth: u32, at: Place) -> Result<Value, Exhausted> {
        self.once(Section::Parameter, name, at, || {
            let section = self.section("parameters");
            let definition = section
                .map(|section| self.budget.member(section, name, at))
                .transpose()?;
            let Some(definition) = definition.flatten() else {
                return Ok(Value::unknown(
                    format!("the template has no parameter `{}`", shown(name)),
                    at,
                ));
            };
            let declared = self.declared(definition)?;
            let given = match &self.given {
                Ok(given) => given.get(&name.to_ascii_lowercase()),
                Err(unknown) => return Ok(typed(name, &declared, unknown, at)),
            };
            let default = definition.written("defaultValue");
            let value = match (given, default) {
                // A null counts as not given where Bicep compiled a module call, and as null elsewhere.
                (Some(given), Some(_)) if matches!(given.kind, Kind::Null) => {
                    let why = format!(
                        "parameter `{}` is given null, for which its default may stand",
                        shown(name)
                    );
                    return Ok(typed(name, &declared, &Unknown::new(why, given.at), at));
                }
                (Some(given), _) => given.clone(),
                (None, Some(default)) => self.evaluator(depth).value(default, None)?,
                (None, None) => Value::null(definition.at),
            };
            if self.is_file {
                // Null that it may be is a value.
                let lacks = matches!(value.kind, Kind::Null) && !declared.nullable;
                let default = given.is_none().then_some(default).flatten();
                self.asked(name, lacks.then_some(definition.at), default);
            }
            let what = || format!("parameter `{}`", shown(name));
            let value = match as_declared(&value, &declared, what, at) {
                Ok(value) => match value.as_unknown() {
                    Some(unknown) => return Ok(typed(name, &declared, unknown, at)),
                    None => self.fitted(value, definition)?,
                },
                Err(unknown) => return Ok(typed(name, &declared, &unknown, at)),
            };
            Ok(match self.refused(&value, definition)? {
                Some(why) => typed(name, &declared, &Unknown::new(format!("{} has {why}", what()), at), at),
                None => value,
            })
        })
    }

    /// Keeps who was asked for and is not given: without a value (the place of its definition), or with the one of `default`.
    fn asked(&self, name: &str, lacks: Option<Place>, default: Option<&Value>) {
        self.budget.ask(|asked| {
            if let Some(definition) = lacks {
                asked.unset.insert(definition, name.to_owned());
            } else if let Some(default) = default {
                asked.defaults.insert(default.at, name.to_owned());
            }
        });
    }

    /// A variable as it is written, but for one that a loop makes.
    pub fn written_variable(&self, name: &str, at: Place) -> Result<Option<&Value>, Exhausted> {
        let section = self.section("variables");
        let raw = section.map(|section| self.budget.member(section, name, at));
        Ok(raw.transpose()?.flatten())
    }

    pub fn variable(&self, name: &str, depth: u32, at: Place) -> Result<Value, Exhausted> {
        self.once(Section::Variable, name, at, || {
            let evaluator = self.evaluator(depth);
            if let Some(raw) = self.written_variable(name, at)? {
                return evaluator.value(raw, None);
            }
            let loops = self
                .section("variables")
                .and_then(|section| section.get("copy")?.as_list())
                .unwrap_or_default();
            let places = self.places(&self.loops, loops, "name", at)?;
            match places
                .get(&name.to_ascii_lowercase())
                .and_then(|place| loops.get(*place))
            {
                Some(one) => evaluator.copied(one, None),
                None => Ok(Value::unknown(
                    format!("the template has no variable `{}`", shown(name)),
                    at,
                )),
            }
        })
    }

    /// `outputs` of the deployment at this position of the template's resources, in this round of its loop.
    pub fn outputs(
        &self,
        index: usize,
        round: Option<i64>,
        at: Place,
        make: impl FnOnce() -> Result<Value, Exhausted>,
    ) -> Result<Value, Exhausted> {
        let round = round.map_or_else(String::new, |round| format!(" {round}"));
        self.once(Section::Deployment, &format!("{index}{round}"), at, make)
    }

    /// Marks that the deployments are being worked out: a name of one that asks for a deployment needs itself.
    pub fn begin_deployments(&self, at: Place) -> Result<(), Exhausted> {
        let key = (Section::Deployment, "names".to_owned());
        match self.memo.borrow_mut().insert(key, Memo::Working) {
            Some(_) => Err(too_deep(at)),
            None => Ok(()),
        }
    }

    /// One of the template's resources as it is written.
    pub fn resource(&self, index: usize) -> Option<&Value> {
        match &self.template.get("resources")?.kind {
            Kind::List(list) => list.items.get(index),
            Kind::Object(object) => object.entries.get(index).map(|(_, item)| item),
            _ => None,
        }
    }

    /// The resource of a symbolic name, and which one it is.
    pub fn symbol(&self, name: &str, at: Place) -> Result<Option<(usize, &Value)>, Exhausted> {
        let Some(resources) = self.section("resources") else {
            return Ok(None);
        };
        self.budget.steps(1 + (resources.look() + name.len()) / 32, at)?;
        let place = resources.place(name);
        Ok(place.and_then(|place| Some((place, &resources.entries.get(place)?.1))))
    }

    /// The definition of one of the template's own functions, `namespace.name`.
    pub fn function(&self, name: &str, at: Place) -> Result<Option<&Value>, Exhausted> {
        let spaces = self
            .template
            .get("functions")
            .and_then(Value::as_list)
            .unwrap_or_default();
        let places = self.places(&self.spaces, spaces, "namespace", at)?;
        let found = name.split_once('.').and_then(|(namespace, member)| {
            let space = spaces.get(*places.get(&namespace.to_ascii_lowercase())?)?;
            Some((space.get("members")?.as_object()?, member))
        });
        match found {
            Some((members, member)) => self.budget.member(members, member, at),
            None => Ok(None),
        }
    }

    pub fn evaluator(&self, depth: u32) -> Evaluator<'_> {
        Evaluator { scope: self, depth }
    }

    /// The places of the first of each name that stands under `key`, by name in lower case: they are kept.
    fn places<'k>(
        &self,
        kept: &'k OnceCell<HashMap<String, usize>>,
        items: &[Value],
        key: &str,
        at: Place,
    ) -> Result<&'k HashMap<String, usize>, Exhausted> {
        if kept.get().is_none() {
            let mut made = HashMap::new();
            for (place, one) in items.iter().enumerate() {
                let name = one.get(key).and_then(Value::as_str);
                self.budget.steps(1 + name.map_or(0, str::len) / 32, at)?;
                if let Some(name) = name {
                    made.entry(name.to_ascii_lowercase()).or_insert(place);
                }
            }
            return Ok(kept.get_or_init(|| made));
        }
        Ok(kept.get_or_init(HashMap::new))
    }

    fn once(
        &self,
        section: Section,
        name: &str,
        at: Place,
        make: impl FnOnce() -> Result<Value, Exhausted>,
    ) -> Result<Value, Exhausted> {
        self.budget.steps(name.len() / 32, at)?;
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

/// A parameter whose value is not known. A text stands in for itself by name, so that what is named after it can be told apart.
fn typed(name: &str, declared: &Declared, unknown: &Arc<Unknown>, at: Place) -> Value {
    match declared.kind.as_deref() == Some("string") && !declared.nullable {
        true => Value::text(name, at).stand_in(unknown),
        false => Value::in_doubt(unknown, at),
    }
}

/// The first reason why a condition is not known, among an outer one and its own.
pub(super) fn either(outer: Option<&Arc<Unknown>>, own: Option<&Arc<Unknown>>) -> Option<Arc<Unknown>> {
    outer.or(own).cloned()
}

mod given;
