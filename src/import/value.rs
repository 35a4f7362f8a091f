//! A JSON value that remembers where it was written, and may say that it is not known offline.
//!
//! Doubt is a property of every value: a list or an object is in doubt as soon as anything in it is ([`Value::doubt`]).
//! Whoever makes a value of others asks for it; what is in doubt is never told apart from outside by its text alone.

mod unknown;

pub(crate) use super::text::Text;
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock, OnceLock},
};
pub(crate) use unknown::Unknown;

/// Deepest nesting of a value, written or computed: dropping and comparing values recurse.
///
/// Compiled Bicep nests a rule about 20 deep inside a template inside a deployment.
pub(crate) const MAX_DEPTH: u16 = 100;

/// Longest name of a member, in bytes: names are hashed and made small wherever objects meet. Azure's own have at most 512, and
/// those that an expression makes are written as one.
pub(crate) const MAX_NAME_BYTES: usize = 2_048;

/// What is wrong with a longer one.
pub(crate) fn long_name() -> String {
    format!("the name of a member has more than {MAX_NAME_BYTES} bytes")
}

/// Where a value was written: file (an index into the files of the import), line and column from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    pub file: u16,
    pub line: u32,
    pub column: u32,
}

/// A list with the depth of its nesting.
#[derive(Debug)]
pub(crate) struct List {
    pub items: Vec<Value>,
    depth: u16,
    doubt: Option<Arc<Unknown>>,
    /// Why neither the length nor a position is known: an element may not be there, or there may be more. At least one
    /// element is in doubt then, so that whoever looks at the elements alone finds out.
    pub uncertain: Option<Arc<Unknown>>,
}

/// An object in written order. Names are compared without regard to case, as Resource Manager does, and are always known:
/// an object with a name in doubt is unknown as a whole, since it may hold any member. One that `is_open` has others too.
#[derive(Debug)]
pub(crate) struct Object {
    pub entries: Vec<(Arc<str>, Value)>,
    depth: u16,
    is_open: bool,
    doubt: Option<Arc<Unknown>>,
    /// Of more than a few members, where each is: hash of its name, place among the entries. Made when one is asked for.
    index: OnceLock<Vec<(u64, u32)>>,
}

/// Members that are compared one by one: most objects have fewer.
const FEW: usize = 16;

impl Object {
    /// Why it has others than these members.
    pub fn others(&self) -> Option<&Arc<Unknown>> {
        self.doubt.as_ref().filter(|_| self.is_open)
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entry(key).map(|(_, value)| value)
    }

    /// A member with its name as it is written.
    pub fn entry(&self, key: &str) -> Option<&(Arc<str>, Value)> {
        self.entries.get(self.place(key)?)
    }

    /// Which of the members it is. A look takes the same time however many there are: outside input decides how many, and how often
    /// one looks.
    pub fn place(&self, key: &str) -> Option<usize> {
        let named = |place: &usize| self.entries[*place].0.eq_ignore_ascii_case(key);
        match self.entries.len() <= FEW {
            true => (0..self.entries.len()).find(named),
            false => {
                let index = self.index.get_or_init(|| by_hash(&self.entries));
                let hash = hash_of(key);
                let from = index.partition_point(|(other, _)| *other < hash);
                let alike = index[from..].iter().take_while(|(other, _)| *other == hash);
                alike.map(|(_, place)| *place as usize).find(named)
            }
        }
    }

    /// What the next look takes, in comparisons: the first of a great object puts its members in order.
    pub fn look(&self) -> usize {
        match self.entries.len() > FEW && self.index.get().is_none() {
            true => self.entries.len(),
            false => FEW,
        }
    }
}

/// The hash of a name without regard to case. Hashes differ from run to run, so that no file is made for names that share one.
fn hash_of(name: &str) -> u64 {
    static HASHES: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    HASHES.hash_one(name.to_ascii_lowercase())
}

/// The places of members, in the order of the hashes of their names.
fn by_hash(entries: &[(Arc<str>, Value)]) -> Vec<(u64, u32)> {
    let mut order: Vec<(u64, u32)> = entries.iter().map(|(name, _)| hash_of(name)).zip(0..).collect();
    order.sort_unstable();
    order
}

/// The place of the first name that stands there already, in any case. By hashes, since names that start alike are slow to sort.
pub(crate) fn second_of_a_name(entries: &[(Arc<str>, Value)]) -> Option<usize> {
    let alike = |one: usize, other: usize| entries[one].0.eq_ignore_ascii_case(&entries[other].0);
    if entries.len() <= FEW {
        return (1..entries.len()).find(|index| (0..*index).any(|before| alike(before, *index)));
    }
    let order = by_hash(entries);
    let runs = order.chunk_by(|one, other| one.0 == other.0);
    let second = |run: &[(u64, u32)]| {
        let place = |at: usize| run[at].1 as usize;
        let twice = (1..run.len()).find(|at| (0..*at).any(|before| alike(place(before), place(*at))));
        twice.map(place)
    };
    runs.filter_map(second).min()
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
        Self::new(Kind::Text(Text::known(text)), at)
    }

    pub fn unknown(why: impl Into<Arc<str>>, at: Place) -> Self {
        Self::new(Kind::Unknown(Unknown::new(why, at)), at)
    }

    /// Unknown for a reason that came up before. The reason may be that of an element that is perhaps not there; this is.
    pub fn in_doubt(doubt: &Arc<Unknown>, at: Place) -> Self {
        let kind = match doubt.perhaps {
            true => Unknown::new(doubt.why.clone(), doubt.at),
            false => doubt.clone(),
        };
        Self::new(Kind::Unknown(kind), at)
    }

    /// An element that may not be there at all.
    pub fn perhaps(doubt: &Unknown, at: Place) -> Self {
        let doubt = Unknown {
            perhaps: true,
            ..doubt.clone()
        };
        Self::new(Kind::Unknown(Arc::new(doubt)), at)
    }

    pub fn list(items: Vec<Value>, at: Place) -> Result<Self, TooDeep> {
        let depth = one_deeper(items.iter())?;
        let doubt = items.iter().find_map(Value::doubt).cloned();
        let mut unknown = items.iter().filter_map(Value::as_unknown);
        let uncertain = unknown.find(|unknown| unknown.perhaps).cloned();
        let list = List {
            items,
            depth,
            doubt,
            uncertain,
        };
        Ok(Self::new(Kind::List(Arc::new(list)), at))
    }

    /// A list that has these elements and perhaps others, or one of them where two are shown. It has at least one.
    pub fn uncertain_list(mut items: Vec<Value>, doubt: &Arc<Unknown>, at: Place) -> Result<Self, TooDeep> {
        if items.iter().all(|item| item.doubt().is_none()) {
            items.push(Value::perhaps(doubt, at));
        }
        let depth = one_deeper(items.iter())?;
        let list = List {
            doubt: items.iter().find_map(Value::doubt).cloned(),
            items,
            depth,
            uncertain: Some(doubt.clone()),
        };
        Ok(Self::new(Kind::List(Arc::new(list)), at))
    }

    pub fn object(entries: Vec<(Arc<str>, Value)>, at: Place) -> Result<Self, TooDeep> {
        Self::object_of(entries, None, at)
    }

    /// An object that has these members and others of which nothing is known.
    pub fn open_object(entries: Vec<(Arc<str>, Value)>, doubt: &Arc<Unknown>, at: Place) -> Result<Self, TooDeep> {
        Self::object_of(entries, Some(doubt), at)
    }

    fn object_of(entries: Vec<(Arc<str>, Value)>, others: Option<&Arc<Unknown>>, at: Place) -> Result<Self, TooDeep> {
        let depth = one_deeper(entries.iter().map(|(_, value)| value))?;
        let doubt = entries.iter().find_map(|(_, value)| value.doubt());
        let (is_open, doubt) = (others.is_some(), others.or(doubt).cloned());
        let index = OnceLock::new();
        let object = Object {
            entries,
            depth,
            is_open,
            doubt,
            index,
        };
        Ok(Self::new(Kind::Object(Arc::new(object)), at))
    }

    /// A text, or a list of texts, as the stand-in for what Azure alone knows; all else is unknown. Only for what is
    /// certainly a text, or certainly a list of at least one text.
    pub fn stand_in(self, doubt: &Arc<Unknown>) -> Self {
        let at = self.at;
        let kind = match self.kind {
            Kind::Text(text) => Kind::Text(text.stand_in(doubt)),
            Kind::List(list) if list.items.iter().all(|item| matches!(item.kind, Kind::Text(_))) => {
                let items = list.items.iter().map(|item| item.clone().stand_in(doubt));
                return Value::uncertain_list(items.collect(), doubt, at)
                    .unwrap_or_else(|TooDeep| Value::in_doubt(doubt, at));
            }
            _ => return Value::in_doubt(doubt, at),
        };
        Value::new(kind, at)
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

    /// The text to keep, likewise a stand-in.
    pub fn as_text(&self) -> Option<Arc<str>> {
        match &self.kind {
            Kind::Text(text) => Some(text.text.clone()),
            _ => None,
        }
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

    /// A member of an object; a missing one and one that is null are both absent, as in Resource Manager. For a list of what
    /// a rule matches the two differ: see [`Value::written`].
    pub fn get(&self, key: &str) -> Option<&Value> {
        let value = self.as_object()?.get(key)?;
        (!matches!(value.kind, Kind::Null)).then_some(value)
    }

    /// Why neither the length of a list nor a position in it is known, nor all members of an object.
    pub fn uncertain(&self) -> Option<&Arc<Unknown>> {
        match &self.kind {
            Kind::List(list) => list.uncertain.as_ref(),
            Kind::Object(object) => object.others(),
            _ => None,
        }
    }

    /// A member of an object that somebody wrote, be it null.
    pub fn written(&self, key: &str) -> Option<&Value> {
        self.as_object()?.get(key)
    }

    /// What Azure alone knows of this value or of anything in it, the first: `None` if all of it is known.
    pub fn doubt(&self) -> Option<&Arc<Unknown>> {
        match &self.kind {
            Kind::Unknown(unknown) => Some(unknown),
            Kind::Text(text) => text.stands_for.as_ref(),
            Kind::List(list) => list.doubt.as_ref(),
            Kind::Object(object) => object.doubt.as_ref(),
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
