//! A JSON value that remembers where it was written, and may say that it is not known offline.

use std::sync::Arc;

/// Deepest nesting of a value, written or computed: dropping and comparing values recurse.
///
/// Compiled Bicep nests a rule about 20 deep inside a template inside a deployment.
pub(crate) const MAX_DEPTH: u16 = 100;

/// Where a value was written: file (an index into the files of the import), line and column from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub file: u16,
    pub line: u32,
    pub column: u32,
}

/// Why a value cannot be known offline, and where that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub why: String,
    pub at: Place,
    /// It stands for an element that may not be there at all: `filter` with a condition that is not known.
    pub perhaps: bool,
}

/// A text, and what it stands in for if Azure alone knows the real one (`uniqueString`, `resourceGroup().name`).
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub text: Arc<str>,
    pub stands_for: Option<Arc<Unknown>>,
}

/// A list with the depth of its nesting.
#[derive(Debug)]
pub(crate) struct List {
    pub items: Vec<Value>,
    depth: u16,
    /// Some element may not be there: neither the length nor a position is known.
    pub uncertain: bool,
}

/// An object in written order. Names are compared without regard to case, as Resource Manager does.
#[derive(Debug)]
pub(crate) struct Object {
    pub entries: Vec<(Arc<str>, Value)>,
    depth: u16,
}

impl Object {
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut entries = self.entries.iter();
        entries
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
            .map(|(_, value)| value)
    }
}

/// A value without its place.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    List(Arc<List>),
    Object(Arc<Object>),
    Unknown(Arc<Unknown>),
}

/// A value with its place. Cloning it is cheap.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub kind: Kind,
    pub at: Place,
}

/// A list or an object would nest deeper than [`MAX_DEPTH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooDeep;

impl Value {
    pub fn new(kind: Kind, at: Place) -> Self {
        Self { kind, at }
    }

    pub fn null(at: Place) -> Self {
        Self::new(Kind::Null, at)
    }

    pub fn text(text: impl Into<Arc<str>>, at: Place) -> Self {
        let (text, stands_for) = (text.into(), None);
        Self::new(Kind::Text(Text { text, stands_for }), at)
    }

    pub fn unknown(why: impl Into<String>, at: Place) -> Self {
        let (why, perhaps) = (why.into(), false);
        Self::new(Kind::Unknown(Arc::new(Unknown { why, at, perhaps })), at)
    }

    pub fn list(items: Vec<Value>, at: Place) -> Result<Self, TooDeep> {
        let depth = one_deeper(items.iter())?;
        let uncertain = items
            .iter()
            .any(|item| matches!(&item.kind, Kind::Unknown(unknown) if unknown.perhaps));
        let list = List {
            items,
            depth,
            uncertain,
        };
        Ok(Self::new(Kind::List(Arc::new(list)), at))
    }

    pub fn object(entries: Vec<(Arc<str>, Value)>, at: Place) -> Result<Self, TooDeep> {
        let depth = one_deeper(entries.iter().map(|(_, value)| value))?;
        Ok(Self::new(Kind::Object(Arc::new(Object { entries, depth })), at))
    }

    fn depth(&self) -> u16 {
        match &self.kind {
            Kind::List(list) => list.depth,
            Kind::Object(object) => object.depth,
            _ => 0,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match &self.kind {
            Kind::Text(text) => Some(&text.text),
            _ => None,
        }
    }

    /// The text, if it is the one that Azure would have: what decides what a thing is may not be a stand-in.
    pub fn known_str(&self) -> Option<&str> {
        self.as_str().filter(|_| self.doubt().is_none())
    }

    pub fn as_list(&self) -> Option<&[Value]> {
        match &self.kind {
            Kind::List(list) => Some(&list.items),
            _ => None,
        }
    }

    pub fn as_object(&self) -> Option<&Object> {
        match &self.kind {
            Kind::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_unknown(&self) -> Option<&Arc<Unknown>> {
        match &self.kind {
            Kind::Unknown(unknown) => Some(unknown),
            _ => None,
        }
    }

    /// A member of an object; a missing one and one that is null are both absent, as in Resource Manager.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let value = self.as_object()?.get(key)?;
        (!matches!(value.kind, Kind::Null)).then_some(value)
    }

    /// What Azure alone knows of this value: it is unknown, or a text that holds a stand-in.
    pub fn doubt(&self) -> Option<&Arc<Unknown>> {
        match &self.kind {
            Kind::Unknown(unknown) => Some(unknown),
            Kind::Text(text) => text.stands_for.as_ref(),
            _ => None,
        }
    }

    /// `true`, or the texts `true` and `false` in any case.
    pub fn as_bool(&self) -> Option<bool> {
        match &self.kind {
            Kind::Bool(yes) => Some(*yes),
            Kind::Text(text) if text.stands_for.is_some() => None,
            Kind::Text(text) if text.text.eq_ignore_ascii_case("true") => Some(true),
            Kind::Text(text) if text.text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    /// A whole number, or a text that holds one.
    pub fn as_int(&self) -> Option<i64> {
        match &self.kind {
            Kind::Int(number) => Some(*number),
            Kind::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
            Kind::Text(text) if text.stands_for.is_none() => text.text.trim().parse().ok(),
            _ => None,
        }
    }

    /// What it is called in a message.
    pub fn type_name(&self) -> &'static str {
        match &self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Object(_) => "an object",
            Kind::Unknown(_) => "unknown",
        }
    }
}

fn one_deeper<'a>(children: impl Iterator<Item = &'a Value>) -> Result<u16, TooDeep> {
    let depth = 1 + children.map(Value::depth).max().unwrap_or(0);
    if depth > MAX_DEPTH { Err(TooDeep) } else { Ok(depth) }
}
