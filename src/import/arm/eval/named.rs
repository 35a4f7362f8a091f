//! What a name in an expression leads to: parameters, variables, loops, and functions of the template's own.

use super::{
    super::{
        functions::Fail,
        parameters::as_declared,
        parse::Expression,
        scope::{Bind, Env},
    },
    Evaluator,
};
use crate::import::{
    json::shown,
    value::{Kind, Place, Value},
};
use std::collections::HashMap;

impl Evaluator<'_> {
    /// `parameters('a')`, `variables('a')`, `lambdaVariables('a')`.
    pub(super) fn named(
        self,
        what: &str,
        arguments: &[Expression],
        env: Option<&Env<'_>>,
        at: Place,
    ) -> Result<Value, Fail> {
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
                    let found = arguments.get(&name.to_ascii_lowercase()).cloned();
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
    pub(super) fn copy_index(self, arguments: &[Expression], env: Option<&Env<'_>>, at: Place) -> Result<Value, Fail> {
        let (mut wanted, mut offset) = (None, 0);
        for argument in arguments {
            let value = self.expression(argument, env, at)?;
            if let Some(doubt) = value.doubt() {
                return Ok(Value::in_doubt(doubt, at));
            }
            match &value.kind {
                Kind::Text(text) => {
                    self.scope.budget.steps(text.text.len() / 16, at)?;
                    wanted = Some(text.text.clone());
                }
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
    pub(super) fn own_function(
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
        let mut bound = HashMap::new();
        for (index, argument) in arguments.iter().enumerate() {
            let definition = parameters.get(index);
            let name = definition.and_then(|one| one.get("name")?.as_str());
            let (Some(definition), Some(name)) = (definition, name) else {
                return Err(Fail::Bad(format!("takes {} arguments", parameters.len())));
            };
            self.scope.budget.steps(name.len() / 16, at)?;
            let declared = self.scope.declared(definition)?;
            let value = self.expression(argument, env, at)?;
            match as_declared(&value, &declared, || format!("`{}`", shown(name)), at) {
                Ok(value) => bound.entry(name.to_ascii_lowercase()).or_insert(value),
                Err(unknown) => return Ok(Value::in_doubt(&unknown, at)),
            };
        }
        if arguments.len() < parameters.len() {
            return Err(Fail::Bad(format!("takes {} arguments", parameters.len())));
        }
        let (bind, outer) = (Bind::Arguments(&bound), None);
        Ok(self.value(body, Some(&Env { bind, outer }))?)
    }
}
