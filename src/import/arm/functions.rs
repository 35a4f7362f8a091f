//! The functions of templates whose arguments are all worked out first (Azure documentation, "ARM template functions"). One
//! table of names here, one file a subject.

mod cidr;
mod convert;
pub(super) mod lambdas;
mod lists;
mod numbers;
pub(super) mod resources;
mod sets;
mod text;

pub(super) use numbers::at_least;

use super::template::Target;
use super::{Budget, Exhausted};
use crate::import::{
    ids::is_too_long,
    text::{Ingredient, Joined},
    value::{Kind, Place, Unknown, Value},
};
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
    /// Where the template is deployed.
    here: &'a Target,
    arguments: &'a [Value],
    at: Place,
    knows: Knows,
}

type Made = Result<Value, Fail>;

fn bad<T>(why: impl Into<String>) -> Result<T, Fail> {
    Err(Fail::Bad(why.into()))
}

/// What a function knows of its outcome while something in an argument is in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// Nothing: the outcome is unknown.
    Nothing,
    /// It certainly is a text, or a list of texts from [`text`]: it becomes a stand-in.
    Text,
    /// It says itself of each part whether that is known. No text in doubt can be read by it (see [`Call::str`]), and no
    /// list whose length is (see [`Call::items`]); it hands on values whole.
    Parts,
}

/// Whether all that a function takes is text: Azure refuses anything else.
pub(super) fn takes_texts(name: &str) -> bool {
    name.ends_with("resourceid") || matches!(name, "guid" | "tolower" | "toupper" | "trim" | "uniquestring")
}

/// Every function loses what it knows, but for these.
fn knows(name: &str, arguments: &[Value]) -> Knows {
    let of_parts = arguments
        .first()
        .is_some_and(|value| matches!(value.kind, Kind::List(_) | Kind::Object(_)));
    match name {
        "array" | "contains" | "createarray" | "createobject" | "empty" | "equals" | "flatten" | "intersection"
        | "items" | "objectkeys" | "shallowmerge" | "tryget" | "union" => Knows::Parts,
        "concat" | "first" | "indexfromend" | "last" | "length" | "skip" | "take" | "tryindexfromend" if of_parts => {
            Knows::Parts
        }
        "split" if text::has_known_parts(arguments) => Knows::Parts,
        "base64"
        | "base64tostring"
        | "concat"
        | "datauri"
        | "datauritostring"
        | "first"
        | "format"
        | "guid"
        | "join"
        | "last"
        | "newguid"
        | "padleft"
        | "replace"
        | "skip"
        | "split"
        | "string"
        | "substring"
        | "take"
        | "tolower"
        | "toupper"
        | "trim"
        | "uniquestring"
        | "uri"
        | "uricomponent"
        | "uricomponenttostring"
        | "resourceid"
        | "extensionresourceid"
        | "subscriptionresourceid"
        | "tenantresourceid"
        | "managementgroupresourceid" => Knows::Text,
        _ => Knows::Nothing,
    }
}

/// Calls a function by its name in lower case. It pays for all that it may look at, and doubt in an argument is doubt in the
/// outcome: both here, for every function.
pub(super) fn call(budget: &Budget, here: &Target, name: &str, arguments: &[Value], at: Place) -> Made {
    for argument in arguments {
        budget.steps(1 + weight(argument) / 64, at)?;
    }
    if arguments
        .iter()
        .filter_map(Value::as_str)
        .any(|text| is_others(name, text))
    {
        let why = format!("`{name}` of characters that Azure counts or compares in its own way");
        return Ok(Value::unknown(why, at));
    }
    // Of an object that has members of which nothing is known.
    let hands_on = matches!(name, "array" | "createarray" | "createobject" | "equals" | "tryget");
    let mut objects = arguments.iter().filter(|one| one.as_object().is_some() && !hands_on);
    if let Some(doubt) = objects.find_map(Value::uncertain) {
        return Ok(Value::in_doubt(doubt, at));
    }
    let knows = knows(name, arguments);
    let call = Call {
        budget,
        here,
        arguments,
        at,
        knows,
    };
    match (named(&call, name), call.doubt()) {
        (Ok(value), Some(doubt)) => Ok(match knows {
            Knows::Nothing => Value::in_doubt(doubt, at),
            Knows::Text => alike(&call, name, value.stand_in(doubt))?,
            Knows::Parts => value,
        }),
        (Err(Fail::Bad(_)), Some(doubt)) => Ok(Value::in_doubt(doubt, at)),
        (made, _) => alike(&call, name, made?),
    }
}

/// What stands for a text that is not known at all, the same wherever the same function makes it of the same.
fn alike(call: &Call<'_>, name: &str, made: Value) -> Made {
    let Kind::Text(text) = &made.kind else {
        return Ok(made);
    };
    let Some(symbol) = text.symbol().filter(|_| !matches!(name, "newguid" | "utcnow")) else {
        return Ok(made);
    };
    let mut made_of = vec![Ingredient::Is(name.to_owned())];
    for argument in call.arguments {
        made_of.push(Ingredient::Next);
        match &argument.kind {
            Kind::Text(text) if !is_too_long(text) => made_of.extend(text.ingredients()),
            Kind::Int(number) => made_of.push(Ingredient::Number(*number)),
            Kind::Bool(yes) => made_of.push(Ingredient::Bool(*yes)),
            _ => return Ok(made),
        }
    }
    let symbol = call.budget.alike(made_of, symbol.clone(), call.at)?;
    Ok(Value::new(Kind::Text(text.clone().of(symbol)), made.at))
}

/// Whether .NET, of which Azure's texts are, sees another text than Rust does: it counts units of 16 bits, and has tables of its own
/// for the case of letters.
fn is_others(name: &str, text: &str) -> bool {
    let is_wide = || text.chars().any(|c| c > '\u{ffff}');
    match name {
        "tolower" | "toupper" | "startswith" | "endswith" | "indexof" | "lastindexof" => !text.is_ascii(),
        "substring" | "length" | "take" | "skip" | "first" | "last" | "padleft" => is_wide(),
        _ => false,
    }
}

/// Bytes of a text, elements of a list, members of an object: what one look at all of it takes.
fn weight(value: &Value) -> usize {
    match &value.kind {
        Kind::Text(text) => text.text.len(),
        Kind::List(list) => list.items.len(),
        Kind::Object(object) => object.entries.len(),
        _ => 0,
    }
}

fn named(call: &Call<'_>, name: &str) -> Made {
    match name {
        "base64" | "base64tostring" | "base64tojson" | "json" | "string" | "bool" | "int" | "float" | "datauri"
        | "datauritostring" => convert::call(call, name),
        "contains" | "empty" | "length" | "first" | "last" | "skip" | "take" | "indexof" | "lastindexof" | "concat"
        | "array" | "createarray" | "flatten" | "range" | "min" | "max" | "createobject" | "items" | "objectkeys"
        | "tryget" | "indexfromend" | "tryindexfromend" => lists::call(call, name),
        "union" | "intersection" | "shallowmerge" => sets::call(call, name),
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
        let Some(value) = self.arguments.get(index) else {
            return bad("an argument is missing");
        };
        match value.as_str() {
            Some(_) if self.knows == Knows::Parts && value.doubt().is_some() => bad("a text is not known"),
            Some(text) => Ok(text),
            None => bad(format!("{} where a text belongs", value.type_name())),
        }
    }

    fn int(&self, index: usize) -> Result<i64, Fail> {
        match self.arguments.get(index).map(|value| &value.kind) {
            Some(Kind::Int(number)) => Ok(*number),
            Some(_) => bad("a whole number belongs there"),
            None => bad("an argument is missing"),
        }
    }

    /// The elements of a list, all of them.
    fn items<'v>(&self, value: &'v Value) -> Result<&'v [Value], Fail> {
        match &value.kind {
            Kind::List(list) if list.uncertain.is_some() && self.knows == Knows::Parts => {
                bad("how many elements a list has is not known")
            }
            Kind::List(list) => Ok(&list.items),
            _ => bad(format!("{} where a list belongs", value.type_name())),
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

    fn joined(&self, text: Joined) -> Made {
        self.budget.text(text.cost(), self.at)?;
        Ok(Value::new(Kind::Text(text.finish()), self.at))
    }

    fn yes(&self, yes: bool) -> Made {
        Ok(Value::new(Kind::Bool(yes), self.at))
    }

    fn number(&self, number: i64) -> Made {
        Ok(Value::new(Kind::Int(number), self.at))
    }

    fn list(&self, items: impl IntoIterator<Item = Value>) -> Made {
        self.budget.list(items.into_iter().map(Ok), self.at)
    }

    /// A list that is made of elements of these.
    fn list_from(&self, items: impl IntoIterator<Item = Value>, from: &[Value]) -> Made {
        match from.iter().find_map(Value::uncertain) {
            Some(doubt) => self.uncertain_list(items, doubt),
            None => self.list(items),
        }
    }

    fn uncertain_list(&self, items: impl IntoIterator<Item = Value>, doubt: &Arc<Unknown>) -> Made {
        self.budget.uncertain_list(items.into_iter().map(Ok), doubt, self.at)
    }

    fn object(&self, entries: impl IntoIterator<Item = (Arc<str>, Value)>) -> Made {
        self.budget.object(entries.into_iter().map(Ok), self.at)
    }

    /// The first doubt in an argument.
    fn doubt(&self) -> Option<&'a Arc<Unknown>> {
        self.arguments.iter().find_map(Value::doubt)
    }
}

/// Whether two values are the same; `None` if Azure alone knows. Objects compare without regard to the order of members.
fn same(budget: &Budget, one: &Value, other: &Value, at: Place) -> Result<Option<bool>, Exhausted> {
    budget.steps(1, at)?;
    Ok(match (&one.kind, &other.kind) {
        (Kind::Unknown(_), _) | (_, Kind::Unknown(_)) => None,
        (Kind::Text(one), Kind::Text(other)) => {
            let stretches = one.guesses() + other.guesses();
            budget.steps((one.text.len().min(other.text.len()) + stretches) / 64, at)?;
            one.same(other)
        }
        (Kind::List(one), Kind::List(other)) if one.uncertain.is_some() || other.uncertain.is_some() => None,
        (Kind::List(one), Kind::List(other)) => {
            if one.items.len() != other.items.len() {
                return Ok(Some(false));
            }
            all_same(budget, one.items.iter().zip(&other.items), at)?
        }
        (Kind::Object(_), Kind::Object(_)) if one.uncertain().or(other.uncertain()).is_some() => None,
        (Kind::Object(one), Kind::Object(other)) => {
            if one.entries.len() != other.entries.len() {
                return Ok(Some(false));
            }
            let mut pairs = Vec::new();
            for (name, value) in &one.entries {
                match budget.member(other, name, at)? {
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
