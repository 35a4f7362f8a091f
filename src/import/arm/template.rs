//! A template becomes the resources that it deploys, nested deployments included. Only what an Azure Firewall is made of is
//! worked out: a fault in a virtual machine beside it is nobody's concern here.

use super::{
    Budget, Exhausted,
    eval::Evaluator,
    parameters::Given,
    scope::{Bind, Env, Scope, either},
    too_deep,
};
use crate::import::value::{Kind, Place, Unknown, Value};
use std::{collections::HashMap, sync::Arc};

const DEPLOYMENT: &str = "microsoft.resources/deployments";

/// Types that are worked out, in lower case; their children as well.
const WANTED: [&str; 3] = [
    "microsoft.network/firewallpolicies",
    "microsoft.network/azurefirewalls",
    "microsoft.network/ipgroups",
];

/// A resource that the template deploys.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Full type in lower case.
    pub kind: String,
    /// Full name, `parent/child`; unknown if a parameter of it is.
    pub name: Value,
    /// All its properties, worked out.
    pub body: Value,
    /// RFC 9535 path in its file.
    pub path: String,
    /// Why it is not known whether it is deployed at all.
    pub doubt: Option<Arc<Unknown>>,
}

/// What a template deploys.
#[derive(Debug, Default)]
pub(crate) struct Deployed {
    pub resources: Vec<Resource>,
    /// Not deployed, since the condition is false: type and place.
    pub left_out: Vec<(String, String, Place)>,
    /// Deployments whose template is not in the file: path and place.
    pub elsewhere: Vec<(String, Place)>,
}

/// Works out a template that stands at `path` of its file. Fails only if a bound is reached.
pub(crate) fn deploy(budget: &Budget, template: &Value, given: &Given, path: &str) -> Result<Deployed, Exhausted> {
    let scope = Scope::of_file(budget, template.clone(), given);
    let mut walk = Walk::default();
    let site = Site {
        path: format!("{path}.resources"),
        parent: None,
        doubt: None,
    };
    walk.resources(scope.evaluator(0), template.get("resources"), None, &site)?;
    Ok(walk.deployed)
}

/// Where resources stand: their path, the resource they are children of, and whether that is deployed.
#[derive(Clone)]
struct Site {
    path: String,
    parent: Option<(String, Value)>,
    doubt: Option<Arc<Unknown>>,
}

#[derive(Default)]
struct Walk {
    deployed: Deployed,
}

type Walked = Result<(), Exhausted>;

impl Walk {
    /// `resources`: a list, or an object of symbolic names.
    fn resources(&mut self, on: Evaluator<'_>, raw: Option<&Value>, env: Option<&Env<'_>>, site: &Site) -> Walked {
        let named: Vec<(String, &Value)> = match raw.map(|raw| &raw.kind) {
            Some(Kind::List(list)) => {
                let items = list.items.iter().enumerate();
                items.map(|(index, item)| (format!("[{index}]"), item)).collect()
            }
            Some(Kind::Object(object)) => {
                let entries = object.entries.iter();
                entries.map(|(name, item)| (member_path(name), item)).collect()
            }
            _ => return Ok(()),
        };
        for (key, resource) in named {
            let path = format!("{}{key}", site.path);
            self.looped(on, resource, env, &Site { path, ..site.clone() })?;
        }
        Ok(())
    }

    /// One resource, as often as its loop says.
    fn looped(&mut self, on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>, site: &Site) -> Walked {
        if raw.get("existing").and_then(Value::as_bool) == Some(true) {
            return Ok(());
        }
        let Some(copy) = raw.get("copy").filter(|copy| copy.as_object().is_some()) else {
            return self.resource(on, raw, env, site);
        };
        let name = copy.get("name").and_then(Value::as_str).unwrap_or_default();
        let resource = true;
        match on.count(copy, env)? {
            Ok(count) => {
                for round in 0..count {
                    let index = &Value::new(Kind::Int(round), copy.at);
                    let bind = Bind::Copy { name, index, resource };
                    let path = site.path.clone();
                    self.resource(on, raw, Some(&Env { bind, outer: env }), &Site { path, ..site.clone() })?;
                }
                Ok(())
            }
            // How many there are is unknown, so it is unknown whether there is one.
            Err(unknown) => {
                let doubt = either(site.doubt.as_ref(), unknown.as_unknown());
                let index = &unknown;
                let bind = Bind::Copy { name, index, resource };
                self.resource(
                    on,
                    raw,
                    Some(&Env { bind, outer: env }),
                    &Site { doubt, ..site.clone() },
                )
            }
        }
    }

    fn resource(&mut self, on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>, site: &Site) -> Walked {
        let text = |key: &str| raw.get(key).map(|raw| on.value(raw, env)).transpose();
        let kind = text("type")?.and_then(|kind| kind.as_str().map(str::to_ascii_lowercase));
        let kind = match (&site.parent, kind) {
            (_, None) => return Ok(()),
            (Some((parent, _)), Some(kind)) if !kind.contains('.') => format!("{parent}/{kind}"),
            (_, Some(kind)) => kind,
        };
        let wanted = WANTED.iter().any(|wanted| kind.starts_with(wanted));
        let children = raw.get("resources");
        if !wanted && kind != DEPLOYMENT && children.is_none() {
            return Ok(());
        }
        let condition = match text("condition")? {
            None => None,
            Some(value) if value.as_bool() == Some(false) => {
                self.deployed.left_out.push((kind, site.path.clone(), raw.at));
                return Ok(());
            }
            Some(value) if value.as_bool() == Some(true) => None,
            Some(value) => Some(value.as_unknown().cloned().unwrap_or_else(|| {
                let why = "the condition is no boolean".into();
                let (at, perhaps) = (value.at, false);
                Arc::new(Unknown { why, at, perhaps })
            })),
        };
        let doubt = either(site.doubt.as_ref(), condition.as_ref());
        if kind == DEPLOYMENT {
            let path = site.path.clone();
            return self.deployment(
                on,
                raw,
                env,
                &Site {
                    doubt,
                    path,
                    parent: None,
                },
            );
        }
        let name = text("name")?.unwrap_or_else(|| Value::unknown("it has no name", raw.at));
        let name = match &site.parent {
            Some((_, parent))
                if !raw
                    .get("type")
                    .and_then(Value::as_str)
                    .is_some_and(|kind| kind.contains('.')) =>
            {
                child_name(parent, &name)
            }
            _ => name,
        };
        if wanted {
            let resource = Resource {
                kind: kind.clone(),
                name: name.clone(),
                body: own_properties(on, raw, env)?,
                path: site.path.clone(),
                doubt: doubt.clone(),
            };
            self.deployed.resources.push(resource);
        }
        let site = Site {
            path: format!("{}.resources", site.path),
            parent: Some((kind, name)),
            doubt,
        };
        self.resources(on, children, env, &site)
    }

    fn deployment(&mut self, on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>, site: &Site) -> Walked {
        let Some(nested) = Nested::of(raw) else {
            self.deployed.elsewhere.push((site.path.clone(), raw.at));
            return Ok(());
        };
        let on = on.deeper_for(raw.at)?;
        let inside = Site {
            path: format!("{}.properties.template.resources", site.path),
            ..site.clone()
        };
        let resources = nested.template.get("resources");
        if nested.outer {
            return self.resources(on, resources, env, &inside);
        }
        let scope = nested.scope(on, env)?;
        self.resources(scope.evaluator(on.depth), resources, None, &inside)
    }
}

/// An inline nested deployment.
struct Nested<'v> {
    template: &'v Value,
    parameters: Option<&'v Value>,
    /// Its expressions are those of the template around it, which is the default ("expressionEvaluationOptions").
    outer: bool,
}

impl<'v> Nested<'v> {
    fn of(raw: &'v Value) -> Option<Self> {
        let properties = raw.get("properties")?;
        let template = properties
            .get("template")
            .filter(|template| template.as_object().is_some())?;
        let scope = properties
            .get("expressionEvaluationOptions")
            .and_then(|options| options.get("scope")?.as_str());
        Some(Self {
            template,
            parameters: properties.get("parameters"),
            outer: !scope.is_some_and(|scope| scope.eq_ignore_ascii_case("inner")),
        })
    }

    /// The scope of its own, with the parameters that the template around it gives.
    fn scope<'a>(&self, on: Evaluator<'a>, env: Option<&Env<'_>>) -> Result<Scope<'a>, Exhausted> {
        let mut given = HashMap::new();
        let entries = self.parameters.and_then(Value::as_object);
        for (name, entry) in entries.map_or(&[][..], |object| &object.entries) {
            let value = match entry.as_object().and_then(|entry| entry.get("value")) {
                Some(raw) => on.value(raw, env)?,
                None => Value::unknown(format!("parameter `{name}` is a secret of a Key Vault"), entry.at),
            };
            given.insert(name.to_ascii_lowercase(), value);
        }
        Ok(Scope::new(on.scope.budget, self.template.clone(), given))
    }
}

impl<'a> Evaluator<'a> {
    fn deeper_for(self, at: Place) -> Result<Self, Exhausted> {
        // A deployment costs the stack as much as several expressions.
        let depth = self.depth + 8;
        if depth > super::MAX_EVAL_DEPTH {
            return Err(too_deep(at));
        }
        Ok(Self { depth, ..self })
    }

    /// `outputs` of a nested deployment of this template, by symbolic name or by name.
    pub(super) fn deployment_outputs(self, wanted: &str) -> Result<Option<Value>, Exhausted> {
        let Some(raw) = self.find_deployment(wanted)? else {
            return Ok(None);
        };
        let Some(nested) = Nested::of(raw) else {
            return Ok(None);
        };
        let on = self.deeper_for(raw.at)?;
        let Some(outputs) = nested.template.get("outputs") else {
            return Ok(None);
        };
        if nested.outer {
            return on.value(outputs, None).map(Some);
        }
        let scope = nested.scope(on, None)?;
        let value = scope.evaluator(on.depth).value(outputs, None)?;
        Ok(Some(value))
    }

    fn find_deployment(self, wanted: &str) -> Result<Option<&'a Value>, Exhausted> {
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
        for (symbol, raw) in entries {
            let kind = raw.get("type").and_then(Value::as_str);
            if !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(DEPLOYMENT)) || raw.get("copy").is_some() {
                continue;
            }
            let name = match (symbol, raw.get("name")) {
                (Some(symbol), _) if symbol.eq_ignore_ascii_case(wanted) => return Ok(Some(raw)),
                (_, Some(name)) => self.value(name, None)?,
                _ => continue,
            };
            if name.as_str().is_some_and(|name| name.eq_ignore_ascii_case(wanted)) {
                return Ok(Some(raw));
            }
        }
        Ok(None)
    }
}

/// Everything a resource says of itself but its children and what only deploying needs.
fn own_properties(on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>) -> Result<Value, Exhausted> {
    const NOT_ITS_OWN: [&str; 5] = ["resources", "copy", "condition", "dependsOn", "identity"];
    let entries = raw.as_object().map_or(&[][..], |object| &object.entries);
    let own = entries
        .iter()
        .filter(|(name, _)| !NOT_ITS_OWN.iter().any(|other| name.eq_ignore_ascii_case(other)));
    let own: Vec<_> = own.cloned().collect();
    let own = Value::object(own, raw.at).map_err(|_| too_deep(raw.at))?;
    on.value(&own, env)
}

fn child_name(parent: &Value, child: &Value) -> Value {
    match (&parent.kind, &child.kind) {
        (Kind::Text(one), Kind::Text(other)) => {
            let mut name = other.clone();
            name.text = format!("{}/{}", one.text, other.text).into();
            name.stands_for = one.stands_for.clone().or(name.stands_for);
            Value::new(Kind::Text(name), child.at)
        }
        (Kind::Unknown(_), _) => parent.clone(),
        _ => child.clone(),
    }
}

/// A member in a path: `.name`, or `['a b']` where it is no plain name.
pub(crate) fn member_path(name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain {
        format!(".{name}")
    } else {
        format!("['{}']", name.replace('\'', "\\'"))
    }
}
