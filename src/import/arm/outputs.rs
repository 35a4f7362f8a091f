//! `reference(..)` of a deployment that the template itself holds: its outputs can be worked out. All else is Azure's to know.

use super::{
    Exhausted,
    eval::Evaluator,
    functions::Fail,
    parse::{Expression, Written, written},
    scope::{Bind, Env},
    template::{DEPLOYMENT, Nested},
    too_deep,
};
use crate::import::value::{Kind, Place, Value};

/// A deployment by the name that a `reference` asks for.
struct Wanted<'e> {
    /// The symbolic name or the name, if it is known.
    name: Option<String>,
    /// The expression that makes the name. Where it is not known, the deployment whose name is written the same is meant,
    /// however it turns out.
    made_by: Option<&'e Expression>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn reference(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let Some(first) = arguments.first() else {
            return Err(Fail::Bad("takes a resource".into()));
        };
        let target = self.expression(first, env, at)?;
        let wanted = self.wanted(first, &target, env, at)?;
        let deployment = match wanted {
            Some(wanted) => self.find_deployment(&wanted)?,
            None => None,
        };
        let outputs = match deployment {
            Some((index, raw)) => self.scope.outputs(index, at, || self.outputs_of(raw))?,
            None => Value::null(at),
        };
        if outputs.as_object().is_none() {
            return Ok(Value::unknown("`reference` asks Azure for a resource as it runs", at));
        }
        Ok(Value::object(vec![("outputs".into(), outputs)], at).map_err(|_| too_deep(at))?)
    }

    /// `None`: it asks for no deployment. The id of a deployment is never known in whole; its last part may be.
    fn wanted<'e>(
        self,
        first: &'e Expression,
        target: &Value,
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Option<Wanted<'e>>, Exhausted> {
        let of_id = match first {
            Expression::Call(function, parts) if function.to_ascii_lowercase().ends_with("resourceid") => parts.last(),
            _ => None,
        };
        let id = target.as_str().unwrap_or_default();
        let name_of = |value: &Value| value.known_str().map(str::to_owned);
        let (name, made_by) = match of_id {
            Some(last) if id.to_ascii_lowercase().contains("/microsoft.resources/deployments/") => {
                (name_of(&self.expression(last, env, at)?), last)
            }
            None if !id.contains('/') => (name_of(target), first),
            _ => return Ok(None),
        };
        // Inside a function of the template's own the same words mean other parameters.
        let inside = Env::chain(env).any(|bind| matches!(bind, Bind::Arguments(_)));
        let made_by = Some(made_by).filter(|_| !inside);
        Ok(Some(Wanted { name, made_by }))
    }

    fn outputs_of(self, raw: &Value) -> Result<Value, Exhausted> {
        let none = || Ok(Value::null(raw.at));
        let Some(nested) = Nested::of(raw) else {
            return none();
        };
        let on = self.deeper_for(raw.at)?;
        let Some(outputs) = nested.template.get("outputs") else {
            return none();
        };
        if nested.outer {
            return on.value(outputs, None);
        }
        let scope = nested.scope(on, None)?;
        scope.evaluator(on.depth).value(outputs, None)
    }

    /// The only deployment that is certainly meant, and which one of the template's resources it is.
    fn find_deployment(self, wanted: &Wanted<'_>) -> Result<Option<(usize, &'a Value)>, Exhausted> {
        let resources = self.scope.template().get("resources");
        let entries: Vec<(Option<&str>, &Value)> = match resources.map(|raw| &raw.kind) {
            Some(Kind::List(list)) => list.items.iter().map(|item| (None, item)).collect(),
            Some(Kind::Object(object)) => object
                .entries
                .iter()
                .map(|(name, item)| (Some(&**name), item))
                .collect(),
            _ => return Ok(None),
        };
        let mut found = None;
        for (index, (symbol, raw)) in entries.into_iter().enumerate() {
            let kind = raw.get("type").and_then(Value::as_str);
            if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(DEPLOYMENT)) || raw.get("copy").is_some() {
                continue;
            }
            let is = |name: &str| {
                wanted
                    .name
                    .as_ref()
                    .is_some_and(|wanted| wanted.eq_ignore_ascii_case(name))
            };
            if symbol.is_some_and(is) {
                return Ok(Some((index, raw)));
            }
            let Some(name) = raw.get("name") else {
                continue;
            };
            if self.value(name, None)?.known_str().is_some_and(is) || is_written(name, wanted.made_by) {
                // Two of one name, of two resource groups: which is meant is not known.
                match found {
                    Some(_) => return Ok(None),
                    None => found = Some((index, raw)),
                }
            }
        }
        Ok(found)
    }
}

fn is_written(name: &Value, made_by: Option<&Expression>) -> bool {
    match name.as_str().and_then(written) {
        Some(Written::Expression(expression)) => made_by == Some(&expression),
        _ => false,
    }
}
