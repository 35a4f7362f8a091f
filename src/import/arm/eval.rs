//! The evaluator: a value as it is written becomes the value that Azure would deploy, or unknown.

mod alike;
mod length;
mod named;
mod source;

use super::{
    Budget, Exhausted, MAX_EVAL_DEPTH,
    functions::{self, Fail},
    made::MEMBER,
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
        let (budget, texts) = (self.scope.budget, self.scope.texts);
        match &raw.kind {
            _ if texts == Texts::Printed => Ok(raw.clone()),
            // An expression calls a function.
            Kind::Text(text) if texts == Texts::Fragment && !text.text.contains('(') => Ok(raw.clone()),
            Kind::Text(text) if text.text.starts_with('[') => {
                budget.steps(text.text.len() / 16, raw.at)?;
                match written(&text.text) {
                    None => Ok(raw.clone()),
                    Some(Written::Literal(text)) => {
                        budget.text(text.len(), raw.at)?;
                        Ok(Value::text(text, raw.at))
                    }
                    Some(Written::Broken(fault)) => self.paid(Value::unknown(fault, raw.at)),
                    Some(Written::Expression(expression)) => self.deeper(raw.at)?.expression(&expression, env, raw.at),
                }
            }
            Kind::List(list) => {
                let deeper = self.deeper(raw.at)?;
                budget.list(list.items.iter().map(|item| deeper.value(item, env)), raw.at)
            }
            Kind::Object(object) => {
                let made = self.object(object, env, raw.at)?;
                self.paid(made)
            }
            _ => Ok(raw.clone()),
        }
    }

    /// A reason that came up here is paid for like any other text.
    pub(super) fn paid(self, value: Value) -> Evaluated {
        if let Kind::Unknown(unknown) = &value.kind
            && Arc::strong_count(unknown) == 1
        {
            self.scope.budget.text(unknown.cost(), value.at)?;
        }
        Ok(value)
    }

    fn object(self, object: &Object, env: Option<&Env<'_>>, at: Place) -> Evaluated {
        let deeper = self.deeper(at)?;
        let budget = self.scope.budget;
        let mut entries = Vec::new();
        let mut made_names = 0;
        for (name, raw) in &object.entries {
            if name.eq_ignore_ascii_case("copy")
                && let Some(loops) = raw.as_list()
            {
                for one in loops {
                    budget.steps(MEMBER, at)?;
                    let key = one.get("name").and_then(Value::as_text).unwrap_or_default();
                    made_names += 1 + key.len();
                    entries.push((key, deeper.copied(one, env)?));
                }
                continue;
            }
            budget.steps(MEMBER, at)?;
            let mut name = name.clone();
            if name.starts_with('[') {
                let made = deeper.value(&Value::text(name, at), env)?;
                name = match (made.doubt(), made.as_text()) {
                    (None, Some(made)) => made,
                    (Some(doubt), _) => return Ok(Value::in_doubt(doubt, at)),
                    (None, None) => return Ok(Value::unknown("the name of a member is no text", at)),
                };
                made_names += 1 + name.len();
            }
            entries.push((name, deeper.value(raw, env)?));
        }
        for (name, _) in &entries {
            budget.name(name, at)?;
        }
        // Any member may be the one whose name is not known, and of two of one name nobody says which counts.
        if made_names > 0 {
            budget.steps(entries.len() + made_names / 16, at)?;
            if let Some(twice) = second_of_a_name(&entries) {
                let why = format!("`{}` is there twice", shown(&entries[twice].0));
                return Ok(Value::unknown(why, at));
            }
        }
        entries.shrink_to_fit();
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
        let rounds = (0..count).map(|index| {
            let index = Value::new(Kind::Int(index), at);
            let resource = false;
            let bind = Bind::Copy {
                name,
                index: &index,
                resource,
            };
            deeper.value(input, Some(&Env { bind, outer: env }))
        });
        self.scope.budget.list(rounds, at)
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
        let guids = self.scope.budget.guids();
        let value = match expression {
            Expression::Text(text) => return Ok(Value::text(text.clone(), at)),
            Expression::Int(number) => return Ok(Value::new(Kind::Int(*number), at)),
            Expression::Call(name, arguments) => deeper.call(name, arguments, env, at)?,
            Expression::Index(of, key) => match part_of_azure(self.scope.budget, &self.scope.here, of, key, at)? {
                Some(part) => {
                    self.scope.budget.text(part.cost(), at)?;
                    Value::new(Kind::Text(part), at)
                }
                None => {
                    let of = deeper.expression(of, env, at)?;
                    let key = deeper.expression(key, env, at)?;
                    deeper.index(&of, &key, at)?
                }
            },
        };
        let value = self.paid(value)?;
        // What a new GUID is part of is never the same again.
        match self.scope.budget.guids() == guids {
            true => self.written_alike(expression, env, value),
            false => Ok(value),
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
            "references" => self.references(arguments, env, at),
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
        if let Some((of, name, number)) = length::compared(name, arguments) {
            let of = self.expression(of, env, at)?;
            return self.length_with(&of, name, number, at);
        }
        let mut values = Vec::with_capacity(arguments.len());
        for argument in arguments {
            values.push(match functions::takes_texts(name) {
                true => self.certainly_text(argument, env, at)?,
                false => self.expression(argument, env, at)?,
            });
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
            let others = of.uncertain().cloned().map_or(Member::None, Member::Unknown);
            Ok(member.map_or(others, |value| Member::Is(value.clone())))
        }
        (Kind::List(list), Kind::Int(index)) => element(budget, list, usize::try_from(*index).ok(), at),
        _ => Ok(Member::None),
    }
}

/// An element of a list. Of texts whose number is not known, some text: another may be in its place than the one that is shown, so
/// that it is the same as none of them, and what is known of one is not known of it.
pub(super) fn element(budget: &Budget, list: &List, index: Option<usize>, at: Place) -> Result<Member, Exhausted> {
    let item = index.and_then(|index| list.items.get(index));
    let Some(doubt) = &list.uncertain else {
        return Ok(item.map_or(Member::None, |item| Member::Is(item.clone())));
    };
    budget.steps(list.items.len() / 64, at)?;
    let texts = list.items.iter().all(|item| matches!(item.kind, Kind::Text(_)));
    Ok(match item.and_then(Value::as_text).filter(|_| texts) {
        Some(text) => {
            budget.text(text.len(), at)?;
            Member::Is(Value::text(text, at).stand_in(doubt))
        }
        None => Member::Unknown(doubt.clone()),
    })
}

/// `resourceGroup().location` and the like: Azure alone knows, and a name may be made of it.
fn part_of_azure(
    budget: &Budget,
    here: &Target,
    of: &Expression,
    key: &Expression,
    at: Place,
) -> Result<Option<Text>, Exhausted> {
    let (Expression::Call(function, arguments), Expression::Text(key)) = (of, key) else {
        return Ok(None);
    };
    let function = function.strip_prefix("sys.").unwrap_or(function);
    match arguments.is_empty() {
        true => functions::resources::part(budget, here, function, key, at),
        false => Ok(None),
    }
}
