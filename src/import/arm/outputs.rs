//! `reference(..)` of a deployment that the template itself holds, `references(..)` of a loop of them: outputs can be worked out. All
//! else is Azure's to know.

use super::{
    Exhausted,
    deployments::{Deployment, Loop},
    eval::Evaluator,
    functions::Fail,
    kinds::DEPLOYMENT,
    nested::Nested,
    parameters::{Declared, as_declared},
    parse::Expression,
    scope::Env,
};
use crate::import::{
    json::shown,
    value::{Place, Unknown, Value},
};
use std::sync::Arc;

impl Evaluator<'_> {
    pub(super) fn reference(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let Some((first, rest)) = arguments.split_first() else {
            return Err(Fail::Bad("takes a resource".into()));
        };
        let target = self.expression(first, env, at)?;
        match self.find_deployment(&target, at)? {
            Some(Ok(one)) => self.answer(one, rest.get(1), env, at),
            Some(Err(unknown)) => Ok(self.paid(Value::in_doubt(&unknown, at))?),
            None => Ok(Value::unknown("`reference` asks Azure for a resource as it runs", at)),
        }
    }

    /// `references('loop')`: one for each round that is deployed, in their order ("Resource functions for ARM templates").
    pub(super) fn references(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let Some((first, rest)) = arguments.split_first() else {
            return Err(Fail::Bad("takes the symbolic name of a loop".into()));
        };
        let target = self.expression(first, env, at)?;
        let found = match target.known_str() {
            Some(name) => self.looped(name, at)?,
            None => None,
        };
        let Some(Loop { index, raw, count }) = found else {
            return Ok(Value::unknown("`references` asks Azure as it runs", at));
        };
        let count = match count {
            Ok(count) => count,
            Err(unknown) => return Ok(self.paid(Value::in_doubt(&unknown, at))?),
        };
        let mut there = Vec::new();
        for round in 0..count {
            let one = Deployment {
                index,
                round: Some(round),
                raw,
            };
            match one.bound(|env| self.condition(raw, env))? {
                Ok(true) => there.push(one),
                Ok(false) => {}
                Err(doubt) => return Ok(Value::in_doubt(&doubt, at)),
            }
        }
        let each = there.into_iter().map(|one| self.answer(one, rest.first(), env, at));
        self.scope.budget.list(each, at)
    }

    /// The `properties` of a deployment, of which only the outputs are known, or all of it if that is wanted.
    fn answer(
        self,
        one: Deployment<'_>,
        wanted: Option<&Expression>,
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Value, Fail> {
        let wanted = wanted.map(|wanted| self.expression(wanted, env, at)).transpose()?;
        let full = match wanted
            .as_ref()
            .map(|wanted| wanted.known_str().map(str::to_ascii_lowercase))
        {
            None => false,
            Some(wanted) => match wanted.as_deref() {
                Some("full") => true,
                Some("properties") => false,
                _ => return Err(Fail::Bad("whether all of the resource is wanted is not known".into())),
            },
        };
        let outputs = self.scope.outputs(one.index, one.round, at, || self.outputs_of(one))?;
        if let Some(unknown) = outputs.as_unknown() {
            return Ok(Value::in_doubt(unknown, at));
        }
        let budget = self.scope.budget;
        let more = self.more(at)?;
        let properties = budget.open_object(("outputs", outputs), &more, at)?;
        Ok(match full {
            true => budget.open_object(("properties", properties), &more, at)?,
            false => properties,
        })
    }

    /// What Azure has beside the values of outputs: `mode`, `provisioningState`, the type of each.
    fn more(self, at: Place) -> Result<Arc<Unknown>, Exhausted> {
        let more = Unknown::new("Azure has more of a deployment than the values of its outputs", at);
        self.scope.budget.text(more.cost(), at)?;
        Ok(more)
    }

    fn outputs_of(self, one: Deployment<'_>) -> Result<Value, Exhausted> {
        one.bound(|env| self.outputs_with(one.raw, env))
    }

    /// The outputs of a deployment, with the names of its loop.
    fn outputs_with(self, raw: &Value, env: Option<&Env<'_>>) -> Result<Value, Exhausted> {
        let none = |why: &str| self.paid(Value::unknown(why, raw.at));
        let on = self.deeper_for(raw.at)?;
        match on.condition(raw, env)? {
            Ok(true) if raw.get("existing").is_none() => {}
            // "Conditional deployment in ARM templates", Runtime functions.
            Ok(_) => return none("outputs of a deployment that is not deployed are of an earlier time"),
            Err(doubt) => {
                let why = format!("whether the deployment is deployed is not known: {}", doubt.why);
                return none(&why);
            }
        }
        let nested = match Nested::of(on, raw, DEPLOYMENT, env)? {
            Some(Ok(nested)) => nested,
            Some(Err(doubt)) => return Ok(Value::in_doubt(&doubt, raw.at)),
            None => return none("outputs of a deployment whose template is elsewhere are known to Azure alone"),
        };
        let Some(outputs) = nested.template.get("outputs").and_then(Value::as_object) else {
            return none("the deployment has no outputs");
        };
        let scope;
        let (inside, env) = match nested.outer {
            true => (on, env),
            false => {
                scope = nested.scope(on, env, nested.target(on, raw, env, &self.scope.here)?)?;
                (scope.evaluator(on.depth), None)
            }
        };
        self.scope.budget.steps(outputs.entries.len(), raw.at)?;
        let mut there = Vec::with_capacity(outputs.entries.len());
        for (name, output) in &outputs.entries {
            // "Conditional output" ("Outputs in ARM templates"): one whose condition is false is not there.
            match inside.condition(output, env)? {
                Ok(true) => there.push((name, output)),
                Ok(false) => {}
                Err(doubt) => {
                    let (name, why) = (shown(name), &doubt.why);
                    let why = format!("whether there is an output `{name}` is not known: {why}");
                    return self.paid(Value::unknown(why, output.at));
                }
            }
        }
        let more = self.more(raw.at)?;
        let entries = there.into_iter().map(|(name, output)| {
            let declared = Declared::of(output, nested.template.get("definitions"));
            let value = inside.output(name, output, &declared, env)?;
            let output = inside.scope.budget.open_object(("value", value), &more, output.at)?;
            Ok((name.clone(), output))
        });
        self.scope.budget.object(entries, raw.at)
    }

    /// The value of an output, or of its loop, as its type has it.
    fn output(
        self,
        name: &Arc<str>,
        output: &Value,
        declared: &Declared,
        env: Option<&Env<'_>>,
    ) -> Result<Value, Exhausted> {
        let value = match (output.get("copy").and_then(Value::as_object), output.written("value")) {
            (Some(copy), _) => {
                let name = ("name".into(), Value::text(name.clone(), output.at));
                let entries = copy.entries.iter().cloned();
                let one = [name].into_iter().chain(entries).map(Ok);
                let one = self.scope.budget.object(one, output.at)?;
                self.copied(&one, env)?
            }
            (None, Some(value)) if declared.kind.as_deref() == Some("string") && !declared.nullable => {
                self.name(value, env)?
            }
            (None, Some(value)) => self.value(value, env)?,
            (None, None) => Value::unknown("an output without `value`", output.at),
        };
        let at = value.at;
        let what = || format!("output `{}`", shown(name));
        Ok(as_declared(&value, declared, what, at).unwrap_or_else(|unknown| Value::in_doubt(&unknown, at)))
    }
}
