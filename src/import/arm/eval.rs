//! The evaluator: a value as it is written becomes the value that Azure would deploy, or unknown.

use super::{
    Budget, Exhausted, MAX_EVAL_DEPTH,
    functions::{self, Fail},
    parameters::as_declared,
    parse::{Expression, Written, written},
    scope::{Bind, Env, Scope, Texts},
    template::Target,
    too_deep,
};
use crate::import::{
    json::shown,
    value::{Kind, List, Object, Place, Text, Unknown, Value, second_of_a_name},
};
use std::sync::Arc;

/// Most rounds of one copy loop. Azure's own bound is 800 ("ARM template limits").
const MOST_COPIES: i64 = 10_000;

/// Works out values in a scope. A copy of it is made at each level of recursion.
#[derive(Clone, Copy)]
pub(super) struct Evaluator<'a> {
    pub(super) scope: &'a Scope<'a>,
    pub(super) depth: u32,
}

type Evaluated = Result<Value, Exhausted>;

impl<'a> Evaluator<'a> {
    fn deeper(self, at: Place) -> Result<Self, Exhausted> {
        self.scope.budget.steps(1, at)?;
        let depth = self.depth + 1;
        if depth > MAX_EVAL_DEPTH {
            return Err(too_deep(at));
        }
        Ok(Self { depth, ..self })
    }

    /// A value as it is written: expressions are worked out, property loops unrolled.
    pub fn value(self, raw: &Value, env: Option<&Env<'_>>) -> Evaluated {
        let texts = self.scope.texts;
        match &raw.kind {
            _ if texts == Texts::Printed => Ok(raw.clone()),
            // An expression calls a function.
            Kind::Text(text) if texts == Texts::Fragment && !text.text.contains('(') => Ok(raw.clone()),
            Kind::Text(text) if text.text.starts_with('[') => {
                self.scope.budget.steps(text.text.len() / 16, raw.at)?;
                match written(&text.text) {
                    None => Ok(raw.clone()),
                    Some(Written::Literal(text)) => Ok(Value::text(text, raw.at)),
                    Some(Written::Broken(fault)) => Ok(Value::unknown(fault, raw.at)),
                    Some(Written::Expression(expression)) => self.deeper(raw.at)?.expression(&expression, env, raw.at),
                }
            }
            Kind::List(list) => {
                let deeper = self.deeper(raw.at)?;
                self.scope.budget.steps(list.items.len() / 4, raw.at)?;
                let items: Result<Vec<_>, _> = list.items.iter().map(|item| deeper.value(item, env)).collect();
                Value::list(items?, raw.at).map_err(|_| too_deep(raw.at))
            }
            Kind::Object(object) => self.object(object, env, raw.at),
            _ => Ok(raw.clone()),
        }
    }

    fn object(self, object: &Object, env: Option<&Env<'_>>, at: Place) -> Evaluated {
        let deeper = self.deeper(at)?;
        self.scope.budget.steps(object.entries.len() / 4, at)?;
        let mut entries = Vec::with_capacity(object.entries.len());
        let mut made_names = false;
        for (name, raw) in &object.entries {
            if name.eq_ignore_ascii_case("copy")
                && let Some(loops) = raw.as_list()
            {
                made_names = true;
                for one in loops {
                    let key = one.get("name").and_then(Value::as_str).unwrap_or_default();
                    entries.push((key.into(), deeper.copied(one, env)?));
                }
                continue;
            }
            let mut name = name.clone();
            if name.starts_with('[') {
                made_names = true;
                let made = deeper.value(&Value::text(name, at), env)?;
                name = match made.known_str() {
                    Some(made) => made.into(),
                    None => return Ok(no_name(&made, at)),
                };
            }
            entries.push((name, deeper.value(raw, env)?));
        }
        // Any member may be the one whose name is not known, and of two of one name nobody says which counts.
        if made_names && let Some(twice) = second_of_a_name(&entries) {
            return Ok(Value::unknown(
                format!("`{}` is there twice", shown(&entries[twice].0)),
                at,
            ));
        }
        Value::object(entries, at).map_err(|_| too_deep(at))
    }

    /// A property or variable loop: `{ name, count, input }` becomes a list.
    pub(super) fn copied(self, one: &Value, env: Option<&Env<'_>>) -> Evaluated {
        let at = one.at;
        let deeper = self.deeper(at)?;
        let (Some(name), Some(input)) = (
            one.get("name").and_then(Value::as_str),
            one.as_object().and_then(|object| object.get("input")),
        ) else {
            return Ok(Value::unknown("a copy loop without `name` or `input`", at));
        };
        let count = match deeper.count(one, env)? {
            Ok(count) => count,
            Err(unknown) => return Ok(unknown),
        };
        let mut items = Vec::new();
        for index in 0..count {
            let index = Value::new(Kind::Int(index), at);
            let resource = false;
            let bind = Bind::Copy {
                name,
                index: &index,
                resource,
            };
            items.push(deeper.value(input, Some(&Env { bind, outer: env }))?);
        }
        Value::list(items, at).map_err(|_| too_deep(at))
    }

    /// The rounds of a loop, or why they are not known.
    pub(super) fn count(self, one: &Value, env: Option<&Env<'_>>) -> Result<Result<i64, Value>, Exhausted> {
        let Some(raw) = one.get("count") else {
            return Ok(Err(Value::unknown("a copy loop without `count`", one.at)));
        };
        let count = self.value(raw, env)?;
        if let Some(unknown) = count.doubt() {
            return Ok(Err(Value::new(Kind::Unknown(unknown.clone()), raw.at)));
        }
        match count.as_int() {
            Some(count @ 0..=MOST_COPIES) => Ok(Ok(count)),
            Some(count) => Err(Exhausted {
                at: raw.at,
                found: format!("a copy loop of {count} rounds: at most {MOST_COPIES}"),
            }),
            None => Ok(Err(Value::unknown("`count` of a copy loop is no number", raw.at))),
        }
    }

    pub(super) fn expression(self, expression: &Expression, env: Option<&Env<'_>>, at: Place) -> Evaluated {
        let deeper = self.deeper(at)?;
        match expression {
            Expression::Text(text) => Ok(Value::text(text.clone(), at)),
            Expression::Int(number) => Ok(Value::new(Kind::Int(*number), at)),
            Expression::Call(name, arguments) => {
                let value = deeper.call(name, arguments, env, at)?;
                self.scope.written_alike(expression, env, value)
            }
            Expression::Index(of, key) => {
                let value = match part_of_azure(&self.scope.here, of, key, at) {
                    Some(part) => part,
                    None => {
                        let of = deeper.expression(of, env, at)?;
                        let key = deeper.expression(key, env, at)?;
                        deeper.index(&of, &key, at)?
                    }
                };
                self.scope.written_alike(expression, env, value)
            }
        }
    }

    fn index(self, of: &Value, key: &Value, at: Place) -> Evaluated {
        Ok(match member(self.scope.budget, of, key, at)? {
            Member::Is(value) => value,
            Member::None => {
                let key = key.as_str().map(|key| format!("`{}`", shown(key)));
                let key = key.unwrap_or_else(|| "that position".into());
                Value::unknown(format!("{} has no {key}", of.type_name()), at)
            }
            Member::Unknown(doubt) => Value::in_doubt(&doubt, at),
        })
    }

    fn call(self, name: &str, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Evaluated {
        let bare = name.to_ascii_lowercase();
        let bare = bare.strip_prefix("sys.").unwrap_or(&bare);
        let made = match bare {
            "if" => self.choose(arguments, env, at),
            "and" | "or" => self.logic(bare == "and", arguments, env, at),
            "coalesce" => self.coalesce(arguments, env, at),
            "parameters" | "variables" | "lambdavariables" => self.named(bare, arguments, env, at),
            "copyindex" => self.copy_index(arguments, env, at),
            "reference" => self.reference(arguments, env, at),
            "filter" | "map" | "reduce" | "sort" | "toobject" | "mapvalues" | "groupby" => {
                functions::lambdas::call(self, bare, arguments, env, at)
            }
            _ if bare.contains('.') => self.own_function(name, arguments, env, at),
            _ => self.strict(bare, arguments, env, at),
        };
        match made {
            Ok(value) => Ok(value),
            Err(Fail::Exhausted(exhausted)) => Err(exhausted),
            Err(Fail::Bad(why)) => Ok(Value::unknown(format!("`{name}`: {why}"), at)),
        }
    }

    /// A function of values that are all worked out first.
    fn strict(self, name: &str, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(self.expression(argument, env, at)?);
        }
        functions::call(self.scope.budget, &self.scope.here, name, &values, at)
    }

    fn choose(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let [condition, yes, no] = arguments else {
            return Err(Fail::Bad("takes a condition and two values".into()));
        };
        let condition = self.expression(condition, env, at)?;
        if let Some(doubt) = condition.doubt() {
            // Either may be the one: what it asks for is missed as well.
            for perhaps in [yes, no] {
                self.expression(perhaps, env, at)?;
            }
            return Ok(Value::in_doubt(doubt, at));
        }
        let chosen = match condition.as_bool() {
            Some(true) => yes,
            Some(false) => no,
            None => return Err(Fail::Bad("the condition is no boolean".into())),
        };
        Ok(self.expression(chosen, env, at)?)
    }

    /// `and`, `or`: one `false` or `true` decides, whatever is unknown beside it.
    fn logic(self, all: bool, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let mut unknown = None;
        for argument in arguments {
            let value = self.expression(argument, env, at)?;
            match (value.doubt(), value.as_bool()) {
                (Some(doubt), _) => unknown = unknown.or(Some(doubt.clone())),
                (None, Some(yes)) if yes != all => return Ok(Value::new(Kind::Bool(yes), at)),
                (None, Some(_)) => {}
                (None, None) => return Err(Fail::Bad("takes booleans".into())),
            }
        }
        Ok(Value::new(unknown.map_or(Kind::Bool(all), Kind::Unknown), at))
    }

    fn coalesce(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        for argument in arguments {
            let value = self.expression(argument, env, at)?;
            if !matches!(value.kind, Kind::Null) {
                return Ok(value);
            }
        }
        Ok(Value::null(at))
    }

    /// `parameters('a')`, `variables('a')`, `lambdaVariables('a')`.
    fn named(self, what: &str, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let [argument] = arguments else {
            return Err(Fail::Bad("takes one name".into()));
        };
        let name = self.expression(argument, env, at)?;
        if let Some(doubt) = name.doubt() {
            return Ok(Value::in_doubt(doubt, at));
        }
        let Some(name) = name.as_str() else {
            return Err(Fail::Bad("the name is no text".into()));
        };
        self.scope.budget.steps(name.len() / 16, at)?;
        if what == "variables" {
            return Ok(self.scope.variable(name, self.depth, at)?);
        }
        for bind in Env::chain(env) {
            match bind {
                Bind::Lambda { name: bound, value }
                    if what == "lambdavariables" && bound.eq_ignore_ascii_case(name) =>
                {
                    return Ok((*value).clone());
                }
                Bind::Arguments(arguments) if what == "parameters" => {
                    let mut named = arguments.iter().filter(|(bound, _)| bound.eq_ignore_ascii_case(name));
                    let found = named.next().map(|(_, value)| value.clone());
                    return found.ok_or_else(|| Fail::Bad(format!("the function has no parameter `{}`", shown(name))));
                }
                _ => {}
            }
        }
        match what {
            "parameters" => Ok(self.scope.parameter(name, self.depth, at)?),
            _ => Err(Fail::Bad(format!("no lambda variable `{}`", shown(name)))),
        }
    }

    /// `copyIndex()`, `copyIndex('loop')`, either with an offset.
    fn copy_index(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let (mut wanted, mut offset) = (None, 0);
        for argument in arguments {
            let value = self.expression(argument, env, at)?;
            if let Some(doubt) = value.doubt() {
                return Ok(Value::in_doubt(doubt, at));
            }
            match &value.kind {
                Kind::Text(text) => wanted = Some(text.text.clone()),
                Kind::Int(number) => offset = *number,
                _ => return Err(Fail::Bad("takes the name of a loop and an offset".into())),
            }
        }
        // Without a name it is the loop of the resource; inside variables and properties a name is the rule.
        let of_loop = |bind: &&Bind<'_>| match (bind, &wanted) {
            (Bind::Copy { name, .. }, Some(wanted)) => name.eq_ignore_ascii_case(wanted),
            (Bind::Copy { resource, .. }, None) => *resource,
            _ => false,
        };
        let any_loop = |bind: &&Bind<'_>| matches!(bind, Bind::Copy { .. });
        let found = Env::chain(env).find(of_loop);
        let found = found.or_else(|| Env::chain(env).find(any_loop).filter(|_| wanted.is_none()));
        match found {
            Some(Bind::Copy { index, .. }) => match index.kind {
                Kind::Int(index) => Ok(Value::new(Kind::Int(index.saturating_add(offset)), at)),
                _ => Ok((*index).clone()),
            },
            _ => Err(Fail::Bad("no such loop around it".into())),
        }
    }

    /// A function of the template's own: it sees its parameters, no variables, and (as Bicep compiles them) its fellows.
    fn own_function(
        self,
        name: &str,
        arguments: &[Expression],
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Value, Fail> {
        let Some(function) = self.scope.function(name, at)? else {
            return Err(Fail::Bad("no such function in the template".into()));
        };
        let parameters = function.get("parameters").and_then(Value::as_list).unwrap_or_default();
        let Some(body) = function.get("output").and_then(|output| output.get("value")) else {
            return Err(Fail::Bad("the function has no output".into()));
        };
        let mut bound = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            let definition = parameters.get(index);
            let name = definition.and_then(|one| one.get("name")?.as_str());
            let (Some(definition), Some(name)) = (definition, name) else {
                return Err(Fail::Bad(format!("takes {} arguments", parameters.len())));
            };
            self.scope.budget.steps(name.len() / 16, at)?;
            let declared = self.scope.declared(definition);
            let value = as_declared(&self.expression(argument, env, at)?, &declared);
            bound.push((
                name.to_owned(),
                value.map_err(|why| Fail::Bad(format!("`{name}` {why}")))?,
            ));
        }
        if bound.len() < parameters.len() {
            return Err(Fail::Bad(format!("takes {} arguments", parameters.len())));
        }
        let (bind, outer) = (Bind::Arguments(&bound), None);
        Ok(self.value(body, Some(&Env { bind, outer }))?)
    }
}

/// An object with a name that is not known.
fn no_name(made: &Value, at: Place) -> Value {
    match made.doubt() {
        Some(doubt) => Value::unknown(format!("the name of a member is not known: {}", doubt.why), at),
        None => Value::unknown("the name of a member is no text", at),
    }
}

/// What a member or an element turns out to be.
pub(super) enum Member {
    Is(Value),
    None,
    /// Azure alone knows, for this reason.
    Unknown(Arc<Unknown>),
}

/// A member of an object, or an element of a list.
pub(super) fn member(budget: &Budget, of: &Value, key: &Value, at: Place) -> Result<Member, Exhausted> {
    if let Some(unknown) = of.as_unknown().or(key.doubt()) {
        return Ok(Member::Unknown(unknown.clone()));
    }
    match (&of.kind, &key.kind) {
        (Kind::Object(object), Kind::Text(Text { text, .. })) => {
            let member = budget.member(object, text, at)?;
            Ok(member.map_or(Member::None, |value| Member::Is(value.clone())))
        }
        (Kind::List(list), Kind::Int(index)) => element(budget, list, usize::try_from(*index).ok(), at),
        _ => Ok(Member::None),
    }
}

/// An element of a list. Of texts whose number is not known, some text: names are often taken from the parts of an id.
pub(super) fn element(budget: &Budget, list: &List, index: Option<usize>, at: Place) -> Result<Member, Exhausted> {
    let item = index.and_then(|index| list.items.get(index));
    let Some(doubt) = &list.uncertain else {
        return Ok(item.map_or(Member::None, |item| Member::Is(item.clone())));
    };
    budget.steps(list.items.len() / 64, at)?;
    let texts = list.items.iter().all(|item| matches!(item.kind, Kind::Text(_)));
    Ok(match item.filter(|_| texts) {
        Some(item) => Member::Is(item.clone().stand_in(doubt)),
        None => Member::Unknown(doubt.clone()),
    })
}

/// `resourceGroup().location` and the like: Azure alone knows, and a name may be made of it.
fn part_of_azure(here: &Target, of: &Expression, key: &Expression, at: Place) -> Option<Value> {
    let (Expression::Call(function, arguments), Expression::Text(key)) = (of, key) else {
        return None;
    };
    let function = function.strip_prefix("sys.").unwrap_or(function);
    match arguments.is_empty() {
        true => functions::resources::part(here, function, key, at),
        false => None,
    }
}
