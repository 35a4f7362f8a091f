//! Functions that take a `lambda`: each element is worked out with its name bound.

use super::{Fail, Made, bad, same};
use crate::import::{
    arm::{
        eval::Evaluator,
        parse::Expression,
        scope::{Bind, Env},
        too_deep,
    },
    value::{Kind, Place, TooDeep, Unknown, Value},
};
use std::sync::Arc;

/// A lambda: the names of its variables and its body.
struct Lambda<'e> {
    names: Vec<&'e str>,
    body: &'e Expression,
}

pub(in crate::import::arm) fn call(
    on: Evaluator<'_>,
    name: &str,
    arguments: &[Expression],
    env: Option<&Env<'_>>,
    at: Place,
) -> Made {
    let run = Run { on, env, at };
    let Some((first, rest)) = arguments.split_first() else {
        return bad("takes a list and a lambda");
    };
    let of = on.expression(first, env, at)?;
    if let Some(unknown) = of.as_unknown() {
        return Ok(Value::new(Kind::Unknown(unknown.clone()), at));
    }
    match (name, rest) {
        ("filter", [lambda]) => run.filter(&of, lambda),
        ("map", [lambda]) => run.map(&of, lambda),
        ("mapvalues", [lambda]) => run.map_values(&of, lambda),
        ("reduce", [initial, lambda]) => run.reduce(&of, initial, lambda),
        ("sort", [lambda]) => run.sort(&of, lambda),
        ("toobject", [key]) => run.to_object(&of, key, None),
        ("toobject", [key, value]) => run.to_object(&of, key, Some(value)),
        ("groupby", [key]) => run.group_by(&of, key),
        _ => bad("takes a list and a lambda"),
    }
}

struct Run<'a, 'e> {
    on: Evaluator<'a>,
    env: Option<&'e Env<'e>>,
    at: Place,
}

impl Run<'_, '_> {
    fn apply(&self, lambda: &Lambda<'_>, values: &[&Value]) -> Result<Value, Fail> {
        match (lambda.names.as_slice(), values) {
            ([], _) => Ok(self.on.expression(lambda.body, self.env, self.at)?),
            ([name, ..], [value, ..]) => self.bound(lambda, 0, name, value, values, self.env),
            _ => bad("the lambda has more variables than there are values"),
        }
    }

    /// Binds variable after variable, then works out the body.
    fn bound(
        &self,
        lambda: &Lambda<'_>,
        index: usize,
        name: &str,
        value: &Value,
        values: &[&Value],
        outer: Option<&Env<'_>>,
    ) -> Result<Value, Fail> {
        let bind = Bind::Lambda { name, value };
        let env = Env { bind, outer };
        let next = index + 1;
        match (lambda.names.get(next), values.get(next)) {
            (Some(name), Some(value)) => self.bound(lambda, next, name, value, values, Some(&env)),
            _ => Ok(self.on.expression(lambda.body, Some(&env), self.at)?),
        }
    }

    fn items<'v>(&self, of: &'v Value) -> Result<&'v [Value], Fail> {
        of.as_list().map_or_else(|| bad("takes a list"), Ok)
    }

    fn list(&self, items: Vec<Value>) -> Made {
        Ok(Value::list(items, self.at).map_err(|TooDeep| too_deep(self.at))?)
    }

    fn object(&self, entries: Vec<(Arc<str>, Value)>) -> Made {
        Ok(Value::object(entries, self.at).map_err(|TooDeep| too_deep(self.at))?)
    }

    /// An element whose condition is not known may or may not be there: it becomes unknown.
    fn filter(&self, of: &Value, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let mut kept = Vec::new();
        for (index, item) in self.items(of)?.iter().enumerate() {
            let wanted = self.apply(&lambda, &[item, &self.position(index)])?;
            match (wanted.doubt(), wanted.as_bool()) {
                (Some(doubt), _) => {
                    let (why, at) = (doubt.why.clone(), doubt.at);
                    let perhaps = true;
                    kept.push(Value::new(
                        Kind::Unknown(Arc::new(Unknown { why, at, perhaps })),
                        item.at,
                    ));
                }
                (None, Some(true)) => kept.push(item.clone()),
                (None, Some(false)) => {}
                (None, None) => return bad("the lambda gives no boolean"),
            }
        }
        self.list(kept)
    }

    fn map(&self, of: &Value, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let mut items = Vec::new();
        for (index, item) in self.items(of)?.iter().enumerate() {
            let perhaps = item.as_unknown().is_some_and(|unknown| unknown.perhaps);
            items.push(match perhaps {
                true => item.clone(),
                false => self.apply(&lambda, &[item, &self.position(index)])?,
            });
        }
        self.list(items)
    }

    fn map_values(&self, of: &Value, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let Some(object) = of.as_object() else {
            return bad("takes an object");
        };
        let mut entries = Vec::new();
        for (key, value) in &object.entries {
            entries.push((key.clone(), self.apply(&lambda, &[value])?));
        }
        self.object(entries)
    }

    fn reduce(&self, of: &Value, initial: &Expression, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let mut value = self.on.expression(initial, self.env, self.at)?;
        for (index, item) in self.items(of)?.iter().enumerate() {
            value = self.apply(&lambda, &[&value, item, &self.position(index)])?;
        }
        Ok(value)
    }

    /// By insertion, with what the lambda says of two: it may contradict itself, which no order of ours may stumble over.
    fn sort(&self, of: &Value, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let mut sorted: Vec<Value> = Vec::new();
        for item in self.items(of)? {
            let mut place = sorted.len();
            while place > 0 {
                let before = self.apply(&lambda, &[item, &sorted[place - 1]])?;
                match (before.doubt(), before.as_bool()) {
                    (Some(doubt), _) => return Ok(Value::new(Kind::Unknown(doubt.clone()), self.at)),
                    (None, Some(true)) => place -= 1,
                    _ => break,
                }
            }
            sorted.insert(place, item.clone());
        }
        self.list(sorted)
    }

    fn to_object(&self, of: &Value, key: &Expression, value: Option<&Expression>) -> Made {
        let key = lambda_of(key)?;
        let value = value.map(lambda_of).transpose()?;
        let mut entries: Vec<(Arc<str>, Value)> = Vec::new();
        for item in self.items(of)? {
            let name = match self.apply(&key, &[item])?.kind {
                Kind::Text(name) => name.text,
                Kind::Unknown(unknown) => return Ok(Value::new(Kind::Unknown(unknown), self.at)),
                _ => return bad("the lambda gives no text"),
            };
            let value = match &value {
                Some(value) => self.apply(value, &[item])?,
                None => item.clone(),
            };
            self.on.scope.budget.steps(1 + entries.len() / 8, self.at)?;
            match entries.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                Some((_, old)) => *old = value,
                None => entries.push((name, value)),
            }
        }
        self.object(entries)
    }

    fn group_by(&self, of: &Value, key: &Expression) -> Made {
        let key = lambda_of(key)?;
        let mut groups: Vec<(Value, Vec<Value>)> = Vec::new();
        for item in self.items(of)? {
            let name = self.apply(&key, &[item])?;
            let mut place = None;
            for (index, (known, _)) in groups.iter().enumerate() {
                match same(self.on.scope.budget, known, &name, self.at)? {
                    Some(true) => place = Some(index),
                    Some(false) => {}
                    None => return Ok(Value::unknown("elements are grouped by what is not known", self.at)),
                }
            }
            match place {
                Some(index) => groups[index].1.push(item.clone()),
                None => groups.push((name, vec![item.clone()])),
            }
        }
        let mut entries = Vec::new();
        for (name, items) in groups {
            let Some(name) = name.as_str() else {
                return bad("the lambda gives no text");
            };
            entries.push((name.into(), self.list(items)?));
        }
        self.object(entries)
    }

    fn position(&self, index: usize) -> Value {
        Value::new(Kind::Int(i64::try_from(index).unwrap_or(i64::MAX)), self.at)
    }
}

fn lambda_of(expression: &Expression) -> Result<Lambda<'_>, Fail> {
    let Expression::Call(name, arguments) = expression else {
        return bad("a lambda belongs there");
    };
    let Some((body, names)) = arguments.split_last().filter(|_| name.eq_ignore_ascii_case("lambda")) else {
        return bad("a lambda belongs there");
    };
    let names: Option<Vec<&str>> = names
        .iter()
        .map(|name| match name {
            Expression::Text(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    names.map_or_else(
        || bad("a lambda's variables are texts"),
        |names| Ok(Lambda { names, body }),
    )
}
