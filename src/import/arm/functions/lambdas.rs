//! Functions that take a `lambda`: each element is worked out with its name bound.

use super::{Fail, Made, bad};
use crate::import::{
    arm::{
        eval::Evaluator,
        made::Members,
        parse::Expression,
        scope::{Bind, Env},
    },
    budget::Budget,
    value::{Kind, Place, Value},
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
    // A list whose length is not known goes through what takes element by element; to all else it says nothing.
    let by_element = matches!(name, "filter" | "map");
    if let Some(doubt) = of.as_unknown().or(of.uncertain().filter(|_| !by_element)) {
        return Ok(Value::in_doubt(doubt, at));
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

    fn budget(&self) -> &Budget {
        self.on.scope.budget
    }

    /// A list made of each element of another, whose length is as uncertain.
    fn list_from(&self, items: impl IntoIterator<Item = Made>, of: &Value) -> Made {
        match of.uncertain() {
            None => self.budget().list(items, self.at),
            Some(doubt) => self.budget().uncertain_list(items, doubt, self.at),
        }
    }

    /// An element whose condition is not known may or may not be there: it becomes unknown.
    fn filter(&self, of: &Value, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let mut kept = Vec::new();
        for (index, item) in self.items(of)?.iter().enumerate() {
            let wanted = self.apply(&lambda, &[item, &self.position(of, index)])?;
            match (wanted.doubt(), wanted.as_bool()) {
                (Some(doubt), _) => kept.push(Value::perhaps(doubt, item.at)),
                (None, Some(true)) => kept.push(item.clone()),
                (None, Some(false)) => {}
                (None, None) => return bad("the lambda gives no boolean"),
            }
        }
        self.list_from(kept.into_iter().map(Ok), of)
    }

    fn map(&self, of: &Value, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let items = self.items(of)?.iter().enumerate().map(|(index, item)| {
            let perhaps = item.as_unknown().is_some_and(|unknown| unknown.perhaps);
            match perhaps {
                true => Ok(item.clone()),
                false => self.apply(&lambda, &[item, &self.position(of, index)]),
            }
        });
        self.list_from(items, of)
    }

    fn map_values(&self, of: &Value, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let Some(object) = of.as_object() else {
            return bad("takes an object");
        };
        let entries = object.entries.iter();
        let entries = entries.map(|(key, value)| Ok((key.clone(), self.apply(&lambda, &[value])?)));
        self.budget().object(entries, self.at)
    }

    fn reduce(&self, of: &Value, initial: &Expression, lambda: &Expression) -> Made {
        let lambda = lambda_of(lambda)?;
        let mut value = self.on.expression(initial, self.env, self.at)?;
        for (index, item) in self.items(of)?.iter().enumerate() {
            value = self.apply(&lambda, &[&value, item, &self.position(of, index)])?;
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
                    (Some(doubt), _) => return Ok(Value::in_doubt(doubt, self.at)),
                    (None, Some(true)) => place -= 1,
                    _ => break,
                }
            }
            sorted.insert(place, item.clone());
        }
        self.budget().list(sorted.into_iter().map(Ok), self.at)
    }

    fn to_object(&self, of: &Value, key: &Expression, value: Option<&Expression>) -> Made {
        let key = lambda_of(key)?;
        let value = value.map(lambda_of).transpose()?;
        let mut members = Members::new();
        for item in self.items(of)? {
            let name = match self.key(&key, item)? {
                Ok(name) => name,
                Err(unknown) => return Ok(unknown),
            };
            let value = match &value {
                Some(value) => self.apply(value, &[item])?,
                None => item.clone(),
            };
            members.put(self.budget(), &name, value, self.at)?;
        }
        self.budget().object(members.entries.into_iter().map(Ok), self.at)
    }

    fn group_by(&self, of: &Value, key: &Expression) -> Made {
        let key = lambda_of(key)?;
        let mut groups: Members<Vec<Value>> = Members::new();
        for item in self.items(of)? {
            let name = match self.key(&key, item)? {
                Ok(name) => name,
                Err(unknown) => return Ok(unknown),
            };
            match groups.get(self.budget(), &name, self.at)? {
                Some((known, group)) if *known == name => group.push(item.clone()),
                Some(_) => return bad("two names that differ in case alone"),
                None => groups.put(self.budget(), &name, vec![item.clone()], self.at)?,
            }
        }
        let list = |items: Vec<Value>| self.budget().list(items.into_iter().map(Ok::<_, Fail>), self.at);
        let entries = groups.entries.into_iter();
        self.budget()
            .object(entries.map(|(name, items)| Ok((name, list(items)?))), self.at)
    }

    /// The name that a lambda gives an element: the object that is made is unknown if one of them is.
    fn key(&self, lambda: &Lambda<'_>, item: &Value) -> Result<Result<Arc<str>, Value>, Fail> {
        let name = self.apply(lambda, &[item])?;
        match (name.doubt(), &name.kind) {
            (Some(doubt), _) => Ok(Err(Value::in_doubt(doubt, self.at))),
            (None, Kind::Text(name)) => Ok(Ok(name.text.clone())),
            _ => bad("the lambda gives no text"),
        }
    }

    fn position(&self, of: &Value, index: usize) -> Value {
        if let Some(doubt) = of.uncertain() {
            return Value::in_doubt(doubt, self.at);
        }
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
            Expression::Text(name) => Some(&**name),
            _ => None,
        })
        .collect();
    names.map_or_else(
        || bad("a lambda's variables are texts"),
        |names| Ok(Lambda { names, body }),
    )
}
