//! The functions of templates whose arguments are all worked out first (Azure documentation, "ARM template functions"). One
//! table of names here, one file a subject.

mod cidr;
mod convert;
pub(super) mod lambdas;
mod lists;
mod numbers;
mod resources;
mod text;

use super::{Budget, Exhausted, too_deep};
use crate::import::value::{Kind, Place, Text, TooDeep, Unknown, Value};
use std::sync::Arc;

/// Why a function has no value.
pub(super) enum Fail {
    /// Azure would refuse it: the value is unknown.
    Bad(String),
    /// A bound is reached: the import ends.
    Exhausted(Exhausted),
}

impl From<Exhausted> for Fail {
    fn from(exhausted: Exhausted) -> Self {
        Self::Exhausted(exhausted)
    }
}

/// What a function has to work with.
struct Call<'a> {
    budget: &'a Budget,
    arguments: &'a [Value],
    at: Place,
}

type Made = Result<Value, Fail>;

fn bad<T>(why: impl Into<String>) -> Result<T, Fail> {
    Err(Fail::Bad(why.into()))
}

/// Functions that only pick or put together: what is unknown inside stays where it is.
const KEEPERS: [&str; 9] = [
    "createarray",
    "createobject",
    "array",
    "concat",
    "union",
    "flatten",
    "null",
    "tryget",
    "shallowmerge",
];

/// Calls a function by its name in lower case.
pub(super) fn call(budget: &Budget, name: &str, arguments: &[Value], at: Place) -> Made {
    budget.steps(arguments.len(), at)?;
    let call = Call { budget, arguments, at };
    let keeps = KEEPERS.contains(&name);
    let doubt = match name {
        // `same` and the number of elements know about stand-ins.
        "equals" => None,
        "length" | "empty" | "contains" => arguments.iter().find_map(own_doubt),
        _ if keeps => None,
        _ => call.doubt(),
    };
    if let Some(unknown) = call.unknown_argument(name, keeps) {
        return Ok(Value::new(Kind::Unknown(unknown), at));
    }
    match (named(&call, name), doubt) {
        (Ok(value), Some(doubt)) => Ok(stand_in(value, &doubt)),
        (Err(Fail::Bad(_)), Some(doubt)) => Ok(Value::new(Kind::Unknown(doubt), at)),
        (made, _) => made,
    }
}

fn named(call: &Call<'_>, name: &str) -> Made {
    match name {
        "base64" | "base64tostring" | "base64tojson" | "json" | "string" | "bool" | "int" | "float" | "datauri"
        | "datauritostring" => convert::call(call, name),
        "contains" | "empty" | "length" | "first" | "last" | "skip" | "take" | "indexof" | "lastindexof" | "concat"
        | "union" | "intersection" | "array" | "createarray" | "flatten" | "range" | "min" | "max" | "createobject"
        | "items" | "objectkeys" | "tryget" | "shallowmerge" | "indexfromend" | "tryindexfromend" => {
            lists::call(call, name)
        }
        "endswith"
        | "format"
        | "join"
        | "padleft"
        | "replace"
        | "split"
        | "startswith"
        | "substring"
        | "tolower"
        | "toupper"
        | "trim"
        | "uri"
        | "uricomponent"
        | "uricomponenttostring" => text::call(call, name),
        "add" | "sub" | "mul" | "div" | "mod" | "equals" | "less" | "lessorequals" | "greater" | "greaterorequals"
        | "not" | "true" | "false" | "null" => numbers::call(call, name),
        "parsecidr" | "cidrsubnet" | "cidrhost" => cidr::call(call, name),
        _ => resources::call(call, name),
    }
}

impl<'a> Call<'a> {
    /// Exactly `N` arguments.
    fn exactly<const N: usize>(&self) -> Result<&'a [Value; N], Fail> {
        self.arguments
            .try_into()
            .or_else(|_| bad(format!("takes {N} arguments")))
    }

    fn str(&self, index: usize) -> Result<&'a str, Fail> {
        match self
            .arguments
            .get(index)
            .map(|value| (value.as_str(), value.type_name()))
        {
            Some((Some(text), _)) => Ok(text),
            Some((None, name)) => bad(format!("{name} where a text belongs")),
            None => bad("an argument is missing"),
        }
    }

    fn int(&self, index: usize) -> Result<i64, Fail> {
        match self.arguments.get(index).map(|value| &value.kind) {
            Some(Kind::Int(number)) => Ok(*number),
            Some(_) => bad("a whole number belongs there"),
            None => bad("an argument is missing"),
        }
    }

    /// A number of elements or characters: negative counts as none.
    fn size(&self, index: usize) -> Result<usize, Fail> {
        Ok(usize::try_from(self.int(index)?).unwrap_or(0))
    }

    fn text(&self, text: String) -> Made {
        self.budget.text(text.len(), self.at)?;
        Ok(Value::text(text, self.at))
    }

    fn yes(&self, yes: bool) -> Made {
        Ok(Value::new(Kind::Bool(yes), self.at))
    }

    fn number(&self, number: i64) -> Made {
        Ok(Value::new(Kind::Int(number), self.at))
    }

    fn list(&self, items: Vec<Value>) -> Made {
        self.budget.steps(items.len(), self.at)?;
        Ok(Value::list(items, self.at).map_err(|TooDeep| too_deep(self.at))?)
    }

    fn object(&self, entries: Vec<(Arc<str>, Value)>) -> Made {
        self.budget.steps(entries.len(), self.at)?;
        Ok(Value::object(entries, self.at).map_err(|TooDeep| too_deep(self.at))?)
    }

    /// An argument whose being unknown makes the outcome so.
    fn unknown_argument(&self, name: &str, keeps: bool) -> Option<Arc<Unknown>> {
        // An element may be unknown, but not the list or object to which others are added.
        let whole = match name {
            "createarray" | "createobject" | "array" => return None,
            _ => self.arguments.iter().find_map(|value| value.as_unknown()),
        };
        let uncertain = || {
            self.arguments.iter().find_map(|value| match &value.kind {
                Kind::List(list) if list.uncertain && !keeps && !matches!(name, "equals" | "contains") => {
                    list.items.iter().find_map(|item| item.as_unknown())
                }
                _ => None,
            })
        };
        whole.or_else(uncertain).cloned()
    }

    /// The first stand-in among the arguments and the elements of lists among them.
    fn doubt(&self) -> Option<Arc<Unknown>> {
        self.arguments.iter().find_map(|value| match &value.kind {
            Kind::List(list) => list.items.iter().find_map(own_doubt),
            _ => own_doubt(value),
        })
    }
}

fn own_doubt(value: &Value) -> Option<Arc<Unknown>> {
    match &value.kind {
        Kind::Text(text) => text.stands_for.clone(),
        _ => None,
    }
}

/// What is made of a stand-in is one; what is found out from it is unknown.
fn stand_in(value: Value, doubt: &Arc<Unknown>) -> Value {
    let at = value.at;
    let kind = match value.kind {
        Kind::Text(Text { text, stands_for }) => Kind::Text(Text {
            text,
            stands_for: stands_for.or_else(|| Some(doubt.clone())),
        }),
        Kind::List(list) => {
            let items = list.items.iter().map(|item| match item.kind {
                Kind::Text(_) => stand_in(item.clone(), doubt),
                _ => item.clone(),
            });
            return Value::list(items.collect(), at).unwrap_or_else(|TooDeep| Value::null(at));
        }
        Kind::Bool(_) | Kind::Int(_) | Kind::Float(_) => Kind::Unknown(doubt.clone()),
        other => other,
    };
    Value::new(kind, at)
}

/// Whether two values are the same; `None` if Azure alone knows. Objects compare without regard to the order of members.
fn same(budget: &Budget, one: &Value, other: &Value, at: Place) -> Result<Option<bool>, Exhausted> {
    budget.steps(1, at)?;
    Ok(match (&one.kind, &other.kind) {
        (Kind::Unknown(_), _) | (_, Kind::Unknown(_)) => None,
        (Kind::Text(one), Kind::Text(other)) => {
            budget.steps(one.text.len().min(other.text.len()) / 64, at)?;
            match one.text == other.text {
                true if one.stands_for.is_some() == other.stands_for.is_some() => Some(true),
                false if one.stands_for.is_none() && other.stands_for.is_none() => Some(false),
                _ => None,
            }
        }
        (Kind::List(one), Kind::List(other)) if one.uncertain || other.uncertain => None,
        (Kind::List(one), Kind::List(other)) => {
            if one.items.len() != other.items.len() {
                return Ok(Some(false));
            }
            all_same(budget, one.items.iter().zip(&other.items), at)?
        }
        (Kind::Object(one), Kind::Object(other)) => {
            budget.steps(one.entries.len() * other.entries.len() / 4, at)?;
            if one.entries.len() != other.entries.len() {
                return Ok(Some(false));
            }
            let mut pairs = Vec::with_capacity(one.entries.len());
            for (name, value) in &one.entries {
                match other.get(name) {
                    Some(other) => pairs.push((value, other)),
                    None => return Ok(Some(false)),
                }
            }
            all_same(budget, pairs.into_iter(), at)?
        }
        (Kind::Null, Kind::Null) => Some(true),
        (Kind::Bool(one), Kind::Bool(other)) => Some(one == other),
        (Kind::Int(one), Kind::Int(other)) => Some(one == other),
        (Kind::Float(one), Kind::Float(other)) => Some(one == other),
        (Kind::Int(one), Kind::Float(other)) | (Kind::Float(other), Kind::Int(one)) => Some(*one as f64 == *other),
        _ => match one.doubt().or(other.doubt()) {
            Some(_) => None,
            None => Some(false),
        },
    })
}

fn all_same<'v>(
    budget: &Budget,
    pairs: impl Iterator<Item = (&'v Value, &'v Value)>,
    at: Place,
) -> Result<Option<bool>, Exhausted> {
    let mut known = Some(true);
    for (one, other) in pairs {
        match same(budget, one, other, at)? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => known = None,
        }
    }
    Ok(known)
}

/// What is not known about a value or anything in it.
fn deep_doubt(budget: &Budget, value: &Value, at: Place) -> Result<Option<Arc<Unknown>>, Exhausted> {
    budget.steps(1, at)?;
    let mut parts: Box<dyn Iterator<Item = &Value>> = match &value.kind {
        Kind::List(list) => Box::new(list.items.iter()),
        Kind::Object(object) => Box::new(object.entries.iter().map(|(_, value)| value)),
        _ => return Ok(value.doubt().cloned()),
    };
    parts
        .find_map(|part| deep_doubt(budget, part, at).transpose())
        .transpose()
}
