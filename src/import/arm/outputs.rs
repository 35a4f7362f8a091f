//! `reference(..)` of a deployment that the template itself holds: its outputs can be worked out. All else is Azure's to know.

use super::{
    Exhausted,
    eval::Evaluator,
    functions::Fail,
    kinds::DEPLOYMENT,
    nested::{Nested, place},
    parameters::{Declared, as_declared},
    parse::Expression,
    scope::{Deployment, Env},
};
use crate::import::{
    ids::{Id, Part, Same, same_names, words},
    json::shown,
    value::{Kind, Place, Value},
};
use std::sync::Arc;

impl<'a> Evaluator<'a> {
    pub(super) fn reference(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let Some(first) = arguments.first() else {
            return Err(Fail::Bad("takes a resource".into()));
        };
        let target = self.expression(first, env, at)?;
        let deployment = self.find_deployment(&target, at)?;
        let outputs = match deployment {
            Some((index, raw)) => self.scope.outputs(index, at, || self.outputs_of(raw))?,
            None => Value::null(at),
        };
        if outputs.as_object().is_none() && outputs.doubt().is_none() {
            return Ok(Value::unknown("`reference` asks Azure for a resource as it runs", at));
        }
        self.scope.budget.object([Ok(("outputs".into(), outputs))], at)
    }

    fn outputs_of(self, raw: &Value) -> Result<Value, Exhausted> {
        let none = || Ok(Value::null(raw.at));
        let on = self.deeper_for(raw.at)?;
        // One that is not deployed has outputs of an earlier time, or none ("Conditional deployment in ARM templates", Runtime
        // functions).
        if on.condition(raw, None)? != Ok(true) {
            return none();
        }
        let Some(Ok(nested)) = Nested::of(on, raw, DEPLOYMENT, None)? else {
            return none();
        };
        let Some(outputs) = nested.template.get("outputs").and_then(Value::as_object) else {
            return none();
        };
        let scope;
        let inside = match nested.outer {
            true => on,
            false => {
                scope = nested.scope(on, None, nested.target(on, raw, None, &self.scope.here)?)?;
                scope.evaluator(on.depth)
            }
        };
        self.scope.budget.steps(outputs.entries.len(), raw.at)?;
        let mut there = Vec::with_capacity(outputs.entries.len());
        for (name, output) in &outputs.entries {
            // "Conditional output" ("Outputs in ARM templates"): one whose condition is false is not there.
            match inside.condition(output, None)? {
                Ok(true) => there.push((name, output)),
                Ok(false) => {}
                Err(doubt) => {
                    let (name, why) = (shown(name), &doubt.why);
                    let why = format!("whether there is an output `{name}` is not known: {why}");
                    return self.paid(Value::unknown(why, output.at));
                }
            }
        }
        let entries = there.into_iter().map(|(name, output)| {
            let declared = Declared::of(output, nested.template.get("definitions"));
            let value = inside.output(name, output, &declared)?;
            let output = inside.scope.budget.object([Ok(("value".into(), value))], output.at)?;
            Ok((name.clone(), output))
        });
        self.scope.budget.object(entries, raw.at)
    }

    /// The value of an output, or of its loop, as its type has it.
    fn output(self, name: &Arc<str>, output: &Value, declared: &Declared) -> Result<Value, Exhausted> {
        let value = match (output.get("copy").and_then(Value::as_object), output.written("value")) {
            (Some(copy), _) => {
                let name = ("name".into(), Value::text(name.clone(), output.at));
                let entries = copy.entries.iter().cloned();
                let one = [name].into_iter().chain(entries).map(Ok);
                let one = self.scope.budget.object(one, output.at)?;
                self.copied(&one, None)?
            }
            (None, Some(value)) => self.value(value, None)?,
            (None, None) => Value::unknown("an output without `value`", output.at),
        };
        let at = value.at;
        let what = || format!("output `{}`", shown(name));
        Ok(as_declared(&value, declared, what, at).unwrap_or_else(|unknown| Value::in_doubt(&unknown, at)))
    }

    /// What is known of the id of a deployment. One of a subscription, which says a `location`, is in no resource group.
    fn id_of(self, raw: &Value) -> Result<Option<Id>, Exhausted> {
        let (Some(name), None) = (raw.get("name"), raw.get("scope")) else {
            return Ok(None);
        };
        let Kind::Text(name) = self.value(name, None)?.kind else {
            return Ok(None);
        };
        let here = &self.scope.here;
        let (subscription, group) = place(self, raw, None)?;
        let (subscription, group) = (
            subscription.as_ref().or(here.subscription.as_ref()),
            group.as_ref().or(here.resource_group.as_ref()),
        );
        let in_no_group = raw.get("location").is_some() && raw.get("resourceGroup").is_none();
        Ok(Some(Id {
            subscription: Part::of_value(subscription, here.template),
            group: match in_no_group {
                true => Part::Anywhere,
                false => Part::of_value(group, here.template),
            },
            kind: Some(DEPLOYMENT.into()),
            names: words(&name),
        }))
    }

    /// The only deployment that is certainly meant, and which one of the template's resources it is.
    fn find_deployment(self, target: &Value, at: Place) -> Result<Option<(usize, &'a Value)>, Exhausted> {
        let Kind::Text(target) = &target.kind else {
            return Ok(None);
        };
        let wanted = Id::of(target);
        let by_name = wanted.kind.is_none() && wanted.names.len() == 1 && !target.text.contains('/');
        if !by_name && wanted.kind.as_deref() != Some(DEPLOYMENT) {
            return Ok(None);
        }
        let is_meant = |id: &Id| {
            let same_place = by_name || (wanted.subscription == id.subscription && wanted.group == id.group);
            let sure = by_name || wanted.same_place(id) == Same::Yes;
            same_place && sure && same_names(&wanted.names, &id.names) == Same::Yes
        };
        let mut found = None;
        for one in self.deployments(at)? {
            self.scope.budget.steps(1, at)?;
            let is_symbol = |symbol: &str| target.stands_for.is_none() && symbol.eq_ignore_ascii_case(&target.text);
            if one.symbol.as_deref().is_some_and(is_symbol) {
                found = Some(one.index);
                break;
            }
            if one.id.as_ref().is_some_and(is_meant) {
                // Two of one name, of two resource groups: which is meant is not known.
                match found {
                    Some(_) => return Ok(None),
                    None => found = Some(one.index),
                }
            }
        }
        Ok(found.and_then(|index| Some((index, self.scope.resource(index)?.1))))
    }

    /// The deployments among the template's resources. What they are called is worked out once, however often one is asked for.
    fn deployments(self, at: Place) -> Result<&'a [Deployment], Exhausted> {
        if let Some(known) = self.scope.deployments.get() {
            return Ok(known);
        }
        self.scope.begin_deployments(at)?;
        let mut found = Vec::new();
        for index in 0.. {
            let Some((symbol, raw)) = self.scope.resource(index) else {
                break;
            };
            self.scope.budget.steps(1, at)?;
            let kind = raw.get("type").and_then(Value::as_str);
            if kind.is_some_and(|kind| kind.eq_ignore_ascii_case(DEPLOYMENT)) && raw.get("copy").is_none() {
                let (symbol, id) = (symbol.cloned(), self.id_of(raw)?);
                found.push(Deployment { index, symbol, id });
            }
        }
        Ok(self.scope.deployments.get_or_init(|| found))
    }
}
