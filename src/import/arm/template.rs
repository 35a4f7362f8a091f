//! A template becomes the resources that it deploys, nested deployments included. Only what an Azure Firewall is made of is
//! worked out: a fault in a virtual machine beside it is nobody's concern here.

use super::{
    Budget, Exhausted,
    eval::Evaluator,
    kinds::{DEPLOYMENT, deploys, kind_of, wanted},
    nested::{Nested, is_of_group, place},
    parameters::Given,
    scope::{Bind, Env, Scope, Texts, either},
};
use crate::import::{
    ids::{MAX_ID_BYTES, is_too_long},
    path::Path,
    text::Joined,
    value::{Kind, Place, Unknown, Value},
};
use std::sync::Arc;

/// Why a resource is not deployed that is there already, or that another resource of the files is.
pub(crate) const EXISTING: &str = "the template only refers to it (`existing`)";

/// A resource that a template or a file holds, whether it is deployed or not.
#[derive(Debug)]
pub(crate) struct Resource {
    /// Full type in lower case; empty if it is not known.
    pub kind: String,
    /// Full name, `parent/child`; unknown if a parameter of it is.
    pub name: Value,
    pub target: Target,
    /// All its properties, worked out; null for a deployment.
    pub body: Value,
    /// Where in its file.
    pub path: Path,
    /// Why it is not known whether it is deployed at all.
    pub doubt: Option<Arc<Unknown>>,
    /// Why it is not deployed.
    pub left_out: Option<&'static str>,
    /// Number of the deployment that makes it: in one, Azure refuses two of one name.
    pub deployment: u32,
    /// It stands in a template, which deploys by type and name: an `id` counts outside alone, in what Azure printed.
    pub in_template: bool,
}

impl Resource {
    /// It is there already: the template means it, wherever it says that it is.
    pub fn is_existing(&self) -> bool {
        self.left_out == Some(EXISTING)
    }

    /// It says nothing but which resource is meant.
    pub fn only_refers(&self) -> bool {
        self.is_existing() && self.body.get("properties").is_none()
    }
}

/// Where a nested deployment puts its resources; `None` where it says nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Target {
    /// Number of the template that it stands in, however deep, among those of all files; what stands outside any makes one for each
    /// file.
    pub template: u32,
    pub subscription: Option<Value>,
    pub resource_group: Option<Value>,
    /// It certainly is a resource group that it is deployed to.
    pub in_group: bool,
}

/// Works out a template that stands at `path` of its file. Fails only if a bound is reached.
pub(crate) fn deploy(
    budget: &Budget,
    template: &Value,
    given: &Given,
    path: &Path,
) -> Result<Vec<Resource>, Exhausted> {
    let mut scope = Scope::of_file(budget, template.clone(), given);
    scope.check_given()?;
    let deployment = budget.deployment();
    scope.here.template = deployment;
    scope.here.in_group = is_of_group(template);
    let site = Site {
        path: path_below(path, template, &["resources"]),
        deployment,
        target: scope.here.clone(),
        in_template: true,
        ..Site::default()
    };
    let mut walk = Walk::default();
    walk.resources(scope.evaluator(0), template.get("resources"), None, &site)?;
    Ok(walk.met)
}

/// Works out a resource that stands outside any template, with its children: its expressions have no names to draw on, and what
/// Azure `printed` has none. `kind` is its type if it does not say one itself, `file` the number of what stands outside templates in
/// its file ([`Target`]). Fails only if a bound is reached.
pub(crate) fn resource(
    budget: &Budget,
    raw: &Value,
    kind: Option<&str>,
    printed: bool,
    path: &Path,
    file: u32,
) -> Result<Vec<Resource>, Exhausted> {
    let texts = if printed { Texts::Printed } else { Texts::Fragment };
    let scope = Scope::outside(budget, raw.at, texts, file);
    let site = Site {
        path: path.clone(),
        kind: kind.map(str::to_owned),
        deployment: budget.deployment(),
        target: scope.here.clone(),
        ..Site::default()
    };
    let mut walk = Walk::default();
    walk.looped(scope.evaluator(0), raw, None, &site)?;
    Ok(walk.met)
}

/// Where resources stand, and what they have from there.
#[derive(Clone, Default)]
struct Site {
    path: Path,
    /// Type of the resource, where it is not written.
    kind: Option<String>,
    /// Type and name of the resource that they are children of.
    parent: Option<(String, Value)>,
    target: Target,
    doubt: Option<Arc<Unknown>>,
    left_out: Option<&'static str>,
    deployment: u32,
    in_template: bool,
}

impl Site {
    /// A resource that stands here.
    fn holds(&self, kind: String, name: Value, body: Value) -> Resource {
        Resource {
            kind,
            name,
            body,
            target: self.target.clone(),
            path: self.path.clone(),
            doubt: self.doubt.clone(),
            left_out: self.left_out,
            deployment: self.deployment,
            in_template: self.in_template,
        }
    }
}

/// Pays for a resource that is met, with what stands for it in the report, what it is looked for by and the members that it has.
fn paid(on: Evaluator<'_>, raw: &Value, name: &Value) -> Walked {
    let members = raw.as_object().map_or(0, |object| object.entries.len());
    let bytes = 400 + 4 * name.as_str().map_or(0, str::len) + 64 * members;
    on.scope.budget.text(bytes, raw.at)
}

/// The one walk over resources: whatever it meets that is wanted is in `met`, deployed or not.
#[derive(Default)]
struct Walk {
    met: Vec<Resource>,
}

type Walked = Result<(), Exhausted>;

impl Walk {
    /// `resources`: a list, or an object of symbolic names.
    fn resources(&mut self, on: Evaluator<'_>, raw: Option<&Value>, env: Option<&Env<'_>>, site: &Site) -> Walked {
        let mut at = |path: Path, resource: &Value| self.looped(on, resource, env, &Site { path, ..site.clone() });
        match raw.map(|raw| &raw.kind) {
            Some(Kind::List(list)) => {
                let mut items = list.items.iter().enumerate();
                items.try_for_each(|(index, item)| at(site.path.item(index), item))
            }
            Some(Kind::Object(object)) => {
                let mut entries = object.entries.iter();
                entries.try_for_each(|(name, item)| at(site.path.member(name), item))
            }
            None | Some(Kind::Null) => Ok(()),
            Some(_) => self.no_list(on, raw.map_or_else(Place::default, |raw| raw.at), site),
        }
    }

    /// Resources that are neither a list nor an object: Azure takes no expression there, and nothing of it is passed over.
    fn no_list(&mut self, on: Evaluator<'_>, at: Place, site: &Site) -> Walked {
        on.scope.budget.text(400, at)?;
        let body = Value::unknown("`resources` is neither a list nor an object", at);
        self.met.push(site.holds(String::new(), Value::null(at), body));
        Ok(())
    }

    /// One resource, as often as its loop says. One of no round is met all the same.
    fn looped(&mut self, on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>, site: &Site) -> Walked {
        let Some(copy) = raw.get("copy").filter(|copy| copy.as_object().is_some()) else {
            return self.resource(on, raw, env, site);
        };
        let name = copy.get("name").and_then(Value::as_str).unwrap_or_default();
        let mut round = |index: &Value, site: &Site| {
            let resource = true;
            let bind = Bind::Copy { name, index, resource };
            self.resource(on, raw, Some(&Env { bind, outer: env }), site)
        };
        match on.count(copy, env)? {
            Ok(0) => {
                let left_out = site.left_out.or(Some("its copy loop has no round"));
                let index = Value::unknown("a copy loop of no round has no index", copy.at);
                round(
                    &index,
                    &Site {
                        left_out,
                        ..site.clone()
                    },
                )
            }
            Ok(count) => (0..count).try_for_each(|index| round(&Value::new(Kind::Int(index), copy.at), site)),
            // How many there are is unknown, so it is unknown whether there is one.
            Err(unknown) => {
                let doubt = either(site.doubt.as_ref(), unknown.as_unknown());
                round(&unknown, &Site { doubt, ..site.clone() })
            }
        }
    }

    fn resource(&mut self, on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>, site: &Site) -> Walked {
        let text = |key: &str| raw.get(key).map(|raw| on.value(raw, env)).transpose();
        let written = text("type")?.and_then(|kind| kind_of(&kind));
        let is_short = written.as_ref().is_some_and(|kind| !kind.contains('.'));
        let parent = site.parent.as_ref().filter(|_| is_short);
        let kind = match (parent, site.kind.clone().or(written)) {
            (Some((parent, _)), Some(kind)) => format!("{parent}/{kind}"),
            (_, kind) => kind.unwrap_or_default(),
        };
        on.scope.budget.text(kind.len(), raw.at)?;
        let children = raw.get("resources");
        let is_deployment = deploys(&kind);
        let is_wanted = !is_deployment && (wanted(&kind) || kind.is_empty());
        if !is_wanted && !is_deployment && children.is_none() {
            return Ok(());
        }
        let own = condition(on, raw, env, site)?;
        if is_deployment {
            self.deployment(on, raw, &kind, env, &own)?;
            if children.is_none() {
                return Ok(());
            }
        }
        let name = raw.get("name").map(|name| on.name(name, env)).transpose()?;
        let name = bounded(name.unwrap_or_else(|| Value::unknown("it has no name", raw.at)));
        let name = parent.map_or_else(|| name.clone(), |(_, parent)| bounded(child_name(parent, &name)));
        if is_wanted {
            paid(on, raw, &name)?;
            let body = own_properties(on, raw, env)?;
            self.met.push(own.holds(kind.clone(), name.clone(), body));
        }
        // "Conditional deployment doesn't cascade to child resources" (Azure documentation, "Conditional deployment in ARM
        // templates"): they have what the site says, not what the condition does.
        let inside = Site {
            path: path_below(&site.path, raw, &["resources"]),
            kind: None,
            parent: Some((kind, name)),
            ..site.clone()
        };
        self.resources(on, children, env, &inside)
    }

    /// What a nested deployment deploys: nothing if it is not deployed itself.
    fn deployment(&mut self, on: Evaluator<'_>, raw: &Value, kind: &str, env: Option<&Env<'_>>, site: &Site) -> Walked {
        let text = |key: &str| raw.get(key).map(|raw| on.value(raw, env)).transpose();
        let nested = match Nested::of(on, raw, kind, env)? {
            Some(Ok(nested)) => nested,
            not_known => {
                let why = not_known.and_then(Result::err);
                let name = bounded(text("name")?.unwrap_or_else(|| Value::null(raw.at)));
                paid(on, raw, &name)?;
                let body = why.map_or_else(|| Value::null(raw.at), |why| Value::in_doubt(&why, raw.at));
                self.met.push(site.holds(DEPLOYMENT.into(), name, body));
                return Ok(());
            }
        };
        let target = nested.target(on, raw, env, &site.target)?;
        let on = on.deeper_for(raw.at)?;
        let inside = Site {
            path: path_below(&site.path, raw, &["properties", "template", "resources"]),
            kind: None,
            parent: None,
            target: target.clone(),
            deployment: on.scope.budget.deployment(),
            in_template: true,
            ..site.clone()
        };
        let resources = nested.template.get("resources");
        if nested.outer {
            return self.resources(on, resources, env, &inside);
        }
        let scope = nested.scope(on, env, target)?;
        self.resources(scope.evaluator(on.depth), resources, None, &inside)
    }
}

/// The site with what the resource itself says of whether it is deployed.
fn condition(on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>, site: &Site) -> Result<Site, Exhausted> {
    let mut own = site.clone();
    let existing = raw
        .get("existing")
        .map(|existing| on.value(existing, env))
        .transpose()?;
    if existing.as_ref().and_then(Value::as_bool) == Some(true) {
        own.left_out = own.left_out.or(Some(EXISTING));
        // What is deployed goes where its deployment does; this may say another place.
        let (subscription, group) = place(on, raw, env)?;
        own.target.subscription = subscription.or(own.target.subscription);
        own.target.resource_group = group.or(own.target.resource_group);
    }
    match on.condition(raw, env)? {
        Ok(true) => {}
        Ok(false) => own.left_out = own.left_out.or(Some("its condition is false")),
        Err(unknown) => own.doubt = either(site.doubt.as_ref(), Some(&unknown)),
    }
    own.doubt = either(own.doubt.as_ref(), existing.as_ref().and_then(Value::doubt));
    Ok(own)
}

/// Everything a resource says of itself but its children, what only deploying needs and what says nothing of what passes.
fn own_properties(on: Evaluator<'_>, raw: &Value, env: Option<&Env<'_>>) -> Result<Value, Exhausted> {
    const NOT_ITS_OWN: [&str; 7] = [
        "resources",
        "copy",
        "condition",
        "dependsOn",
        "identity",
        "location",
        "tags",
    ];
    let entries = raw.as_object().map_or(&[][..], |object| &object.entries);
    on.scope.budget.steps(entries.len() / 4, raw.at)?;
    let own = entries
        .iter()
        .filter(|(name, _)| !NOT_ITS_OWN.iter().any(|other| name.eq_ignore_ascii_case(other)));
    let own = on.scope.budget.object(own.cloned().map(Ok), raw.at)?;
    on.value(&own, env)
}

/// A name. One that is longer than any id is not known: it would be copied for each of what is called so.
pub(super) fn bounded(name: Value) -> Value {
    match &name.kind {
        Kind::Text(text) if is_too_long(text) => Value::unknown(
            format!("it is longer than {MAX_ID_BYTES} bytes or has too many parts, and is no name"),
            name.at,
        ),
        _ => name,
    }
}

fn child_name(parent: &Value, child: &Value) -> Value {
    match (&parent.kind, &child.kind) {
        (Kind::Text(one), Kind::Text(other)) => {
            let mut name = Joined::default();
            name.push(one);
            name.push_str("/");
            name.push(other);
            Value::new(Kind::Text(name.finish()), child.at)
        }
        (Kind::Unknown(_), _) => parent.clone(),
        _ => child.clone(),
    }
}

/// The path of a member of a member of.., each in the letters of the file: names in paths are compared as they are written (RFC
/// 9535, section 2.3.1).
fn path_below(path: &Path, value: &Value, keys: &[&'static str]) -> Path {
    let mut path = path.clone();
    let mut here = Some(value);
    for key in keys {
        let entry = here.and_then(Value::as_object).and_then(|object| object.entry(key));
        path = entry.map_or_else(|| path.key(key), |(name, _)| path.member(name));
        here = entry.map(|(_, value)| value);
    }
    path
}
