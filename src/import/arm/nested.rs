//! An inline nested deployment: its template, and the names that this draws on.

use super::{
    Budget, Exhausted,
    eval::Evaluator,
    kinds::STACK,
    scope::{Around, Env, Scope},
    template::{Target, bounded},
    too_deep,
};
use crate::import::{
    json::shown,
    value::{Kind, Place, Unknown, Value},
};
use std::{collections::HashMap, sync::Arc};

/// An inline nested deployment.
pub(super) struct Nested<'v> {
    pub template: &'v Value,
    parameters: Option<&'v Value>,
    /// `parametersLink`: a file that is not here.
    linked: Option<&'v Value>,
    /// `deploymentScope` of a stack.
    pub elsewhere: Option<&'v Value>,
    /// Its expressions are those of the template around it, which is the default ("expressionEvaluationOptions") but of a stack.
    pub outer: bool,
}

impl<'v> Nested<'v> {
    /// What a resource of a type that deploys holds; `None` if its template is not there, and why not if it is not known whose
    /// names that draws on.
    pub fn of(
        on: Evaluator<'_>,
        raw: &'v Value,
        kind: &str,
        env: Option<&Env<'_>>,
    ) -> Result<Option<Result<Self, Arc<Unknown>>>, Exhausted> {
        let properties = raw.get("properties");
        let template = properties.and_then(|properties| properties.get("template"));
        let (Some(properties), Some(template)) = (properties, template.filter(|one| one.as_object().is_some())) else {
            return Ok(None);
        };
        let outer = match kind == STACK {
            true => Ok(false),
            false => is_outer(on, properties.get("expressionEvaluationOptions"), env)?,
        };
        Ok(Some(outer.map(|outer| Self {
            template,
            elsewhere: properties.get("deploymentScope").or(raw.get("scope")),
            parameters: properties.get("parameters"),
            linked: properties.get("parametersLink"),
            outer,
        })))
    }

    /// Where it puts its resources, if the template around it is deployed `around`.
    pub fn target(
        &self,
        on: Evaluator<'_>,
        raw: &Value,
        env: Option<&Env<'_>>,
        around: &Target,
    ) -> Result<Target, Exhausted> {
        let (subscription, group) = place(on, raw, env)?;
        let in_group = group.is_some()
            || (around.in_group && subscription.is_none() && self.elsewhere.is_none() && is_of_group(self.template));
        let elsewhere = self
            .elsewhere
            .map(|scope| Value::unknown("the scope that it deploys to is not worked out", scope.at));
        Ok(Target {
            template: around.template,
            subscription: subscription.or(elsewhere.clone()).or(around.subscription.clone()),
            resource_group: group.or(elsewhere).or(around.resource_group.clone()),
            in_group,
        })
    }

    /// The scope of its own, with the parameters that the template around it gives.
    pub fn scope<'a>(&self, on: Evaluator<'a>, env: Option<&'a Env<'a>>, here: Target) -> Result<Scope<'a>, Exhausted>
    where
        'v: 'a,
    {
        let given = match self.parameters {
            Some(raw) => given(on.scope.budget, &on.value(raw, env)?)?,
            None => Ok(HashMap::new()),
        };
        let given = match self.linked {
            Some(link) => Err(Unknown::new("its parameters are in a file elsewhere", link.at)),
            None => given,
        };
        let mut scope = Scope::new(on.scope.budget, self.template.clone(), given);
        scope.here = here;
        if let Some(parameters) = self.parameters {
            scope.give_alike(on, parameters, env)?;
            scope.around = Some(Around { on, env, parameters });
        }
        Ok(scope)
    }
}

/// Subscription and resource group that a deployment says.
pub(super) fn place(
    on: Evaluator<'_>,
    raw: &Value,
    env: Option<&Env<'_>>,
) -> Result<(Option<Value>, Option<Value>), Exhausted> {
    let said = |key: &str| raw.get(key).map(|raw| Ok(bounded(on.name(raw, env)?))).transpose();
    Ok((said("subscriptionId")?, said("resourceGroup")?))
}

/// Whether a template is for a resource group: the schemas of those for a subscription and above are called after it.
pub(super) fn is_of_group(template: &Value) -> bool {
    let schema = template.get("$schema").and_then(Value::as_str).unwrap_or_default();
    let schema = schema.to_ascii_lowercase();
    !["subscription", "managementgroup", "tenant"]
        .iter()
        .any(|level| schema.contains(&format!("/{level}deploymenttemplate")))
}

/// Whether a nested template draws on the names of the one around it: `NotSpecified`, `Outer` or `Inner` in any case ("ARM template
/// reference", ExpressionEvaluationOptions). Fails with why that is not known.
fn is_outer(
    on: Evaluator<'_>,
    options: Option<&Value>,
    env: Option<&Env<'_>>,
) -> Result<Result<bool, Arc<Unknown>>, Exhausted> {
    let options = options.map(|options| on.value(options, env)).transpose()?;
    let Some(scope) = options.as_ref().and_then(|options| match options.doubt() {
        Some(_) => Some(options),
        None if options.as_object().is_none() && !matches!(options.kind, Kind::Null) => Some(options),
        None => options.get("scope"),
    }) else {
        return Ok(Ok(true));
    };
    let is_scope = options.as_ref().is_some_and(|options| options.as_object().is_some());
    let known = scope.known_str().filter(|_| is_scope).map(str::to_ascii_lowercase);
    Ok(match known.as_deref() {
        Some("outer" | "notspecified") => Ok(true),
        Some("inner") => Ok(false),
        _ => {
            let no_scope = || Unknown::new("`expressionEvaluationOptions` has no scope that Azure knows", scope.at);
            Err(scope.doubt().cloned().unwrap_or_else(no_scope))
        }
    })
}

/// Parameters by name in lower case, or why they are not known: any may be given then.
type Parameters = Result<HashMap<String, Value>, Arc<Unknown>>;

/// The parameters of a nested deployment.
fn given(budget: &Budget, parameters: &Value) -> Result<Parameters, Exhausted> {
    let entries = match &parameters.kind {
        Kind::Object(object) => object.entries.as_slice(),
        Kind::Null => &[],
        _ => {
            let no_object = || Unknown::new("`parameters` of a deployment is no object", parameters.at);
            return Ok(Err(parameters.doubt().cloned().unwrap_or_else(no_object)));
        }
    };
    let bytes: usize = entries.iter().map(|(name, _)| name.len()).sum();
    budget.steps(entries.len() + bytes / 32, parameters.at)?;
    let value = |name: &str, entry: &Value| match entry.written("value") {
        Some(value) => value.clone(),
        None if entry.as_unknown().is_some() => entry.clone(),
        None => Value::unknown(
            format!("parameter `{}` is a secret of a Key Vault", shown(name)),
            entry.at,
        ),
    };
    let given = entries
        .iter()
        .map(|(name, entry)| (name.to_ascii_lowercase(), value(name, entry)));
    Ok(Ok(given.collect()))
}

impl<'a> Evaluator<'a> {
    /// What a resource or an output says of whether it is there; or why that is not known.
    pub(super) fn condition(self, raw: &Value, env: Option<&Env<'_>>) -> Result<Result<bool, Arc<Unknown>>, Exhausted> {
        let Some(condition) = raw.get("condition") else {
            return Ok(Ok(true));
        };
        let value = self.value(condition, env)?;
        let no_boolean = || Unknown::new("the condition is no boolean", value.at);
        let doubt = || value.doubt().cloned().unwrap_or_else(no_boolean);
        Ok(value.as_bool().ok_or_else(doubt))
    }

    pub(super) fn deeper_for(self, at: Place) -> Result<Self, Exhausted> {
        // A deployment costs the stack as much as several expressions.
        let depth = self.depth + 8;
        if depth > super::MAX_EVAL_DEPTH {
            return Err(too_deep(at));
        }
        Ok(Self { depth, ..self })
    }
}
