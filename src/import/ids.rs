//! Names and resource ids, as far as they are known: two of them are the same, or not, or Azure alone knows ([`Same`]). There
//! is no other way to compare them.

use super::{
    text::{Symbol, Text},
    value::{Kind, Value},
};
use std::sync::Arc;

/// What exports that were made anonymous have for a subscription.
const NO_SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// Longest name or resource id, in bytes: a group's id has at most 400 (subscription 36, resource group 90, policy 80, group 80:
/// "Naming rules and restrictions for Azure resources"). A longer text is no name, so that none is copied for each resource.
pub(crate) const MAX_ID_BYTES: usize = 512;

/// Most pieces of a name or an id of which some are stand-ins.
const MOST_PIECES: usize = 64;

/// Most parts of a name or an id between slashes: an id in a resource group has 8 with one name, and 2 more for each further one.
const MOST_PARTS: usize = 24;

/// Whether a text is no name and no id of Azure's.
pub(crate) fn is_too_long(text: &Text) -> bool {
    let parts = || text.text.bytes().filter(|byte| *byte == b'/').count();
    text.text.len() > MAX_ID_BYTES || text.guesses() > MOST_PIECES || parts() > MOST_PARTS
}

/// Whether two are one and the same, the least certain first to be combined with `min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Same {
    No,
    /// Azure alone knows.
    InDoubt,
    Yes,
}

/// A name, or a part of a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Word {
    /// What Azure has, in lower case: it compares names without regard to case.
    Known(String),
    /// The same as what is made of the same.
    StandIn(Arc<[Piece]>),
    /// The same as nothing for certain, not even as itself.
    InDoubt,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    Is(String),
    /// What it stands for, and as what it reads.
    Of(Symbol, String),
}

impl Piece {
    fn known(&self) -> Option<&str> {
        match self {
            Self::Is(text) => Some(text),
            Self::Of(..) => None,
        }
    }
}

impl Word {
    /// What it takes to compare it, in steps.
    pub fn weight(&self) -> usize {
        match self {
            Self::StandIn(pieces) => {
                let bytes: usize = pieces.iter().filter_map(Piece::known).map(str::len).sum();
                1 + pieces.len() / 4 + bytes / 32
            }
            Self::Known(text) => 1 + text.len() / 128,
            Self::InDoubt => 0,
        }
    }

    pub fn is_known(&self) -> bool {
        matches!(self, Self::Known(_))
    }

    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Known(known) if known == word)
    }

    /// The number of the template that is deployed there.
    fn here(&self) -> Option<u32> {
        match self {
            Self::StandIn(pieces) => match &**pieces {
                [Piece::Of(of, _)] => of.here(),
                _ => None,
            },
            Self::Known(_) | Self::InDoubt => None,
        }
    }

    pub fn same(&self, other: &Self) -> Same {
        match (self, other) {
            (Self::Known(one), Self::Known(other)) if one != other => Same::No,
            (Self::InDoubt, _) | (_, Self::InDoubt) => Same::InDoubt,
            _ if self == other => Same::Yes,
            (Self::StandIn(one), Self::StandIn(other)) if part(one, other) || differ(one, other) => Same::No,
            (Self::StandIn(pieces), Self::Known(known)) | (Self::Known(known), Self::StandIn(pieces)) => {
                match may_read(pieces, known) {
                    true => Same::InDoubt,
                    false => Same::No,
                }
            }
            _ => Same::InDoubt,
        }
    }
}

/// Whether two are certainly not the same: what is not known is the same in both at the same end, and what is left differs.
fn differ(one: &[Piece], other: &[Piece]) -> bool {
    let begin = one.iter().zip(other).take_while(|(one, other)| one == other).count();
    let (one, other) = (&one[begin..], &other[begin..]);
    let pairs = one.iter().rev().zip(other.iter().rev());
    let end = pairs.take_while(|(one, other)| one == other).count();
    let known = |pieces: &[Piece]| -> Option<String> {
        let texts = pieces.iter().map(|piece| match piece {
            Piece::Is(text) => Some(text.as_str()),
            Piece::Of(..) => None,
        });
        texts.collect()
    };
    match (known(&one[..one.len() - end]), known(&other[..other.len() - end])) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}

/// What is known at the begin of a name, byte by byte.
fn begin(pieces: &[Piece]) -> impl Iterator<Item = u8> {
    pieces.iter().map_while(Piece::known).flat_map(str::bytes)
}

/// What is known at its end, from the last byte on.
fn end(pieces: &[Piece]) -> impl Iterator<Item = u8> {
    let known = pieces.iter().rev().map_while(Piece::known);
    known.flat_map(|text| text.bytes().rev())
}

/// Whether two begin otherwise, or end otherwise, whatever is between.
fn part(one: &[Piece], other: &[Piece]) -> bool {
    let begins = begin(one).zip(begin(other)).all(|(one, other)| one == other);
    let ends = end(one).zip(end(other)).all(|(one, other)| one == other);
    !begins || !ends
}

/// Whether a name may turn out to be this text.
fn may_read(pieces: &[Piece], text: &str) -> bool {
    let least: usize = pieces.iter().filter_map(Piece::known).map(str::len).sum();
    text.len() >= least
        && begin(pieces).zip(text.bytes()).all(|(one, other)| one == other)
        && end(pieces).zip(text.bytes().rev()).all(|(one, other)| one == other)
}

/// The names of a resource with its parents', the last its own: none if they are not known, and then nobody knows which they are.
pub(crate) fn same_names(ours: &[Word], theirs: &[Word]) -> Same {
    if ours.is_empty() || theirs.is_empty() {
        return Same::InDoubt;
    }
    if ours.len() != theirs.len() {
        // What is not known may have slashes in it.
        return match ours.iter().chain(theirs).all(Word::is_known) {
            true => Same::No,
            false => Same::InDoubt,
        };
    }
    let each = ours.iter().zip(theirs).map(|(one, other)| one.same(other));
    each.min().unwrap_or(Same::InDoubt)
}

/// What stands between the slashes of a text; a slash that is not known for certain parts nothing. Nothing of what is too long.
pub(crate) fn words(text: &Text) -> Vec<Word> {
    if is_too_long(text) {
        return Vec::new();
    }
    let mut words = vec![Vec::new()];
    let is_known = text.stands_for.is_none();
    for (piece, of) in text.pieces() {
        let piece = if is_known { piece.trim() } else { piece };
        let lower = || piece.to_lowercase();
        match of {
            Some(of) => push(&mut words, Piece::Of(of.clone(), lower())),
            None => {
                for (index, part) in lower().split('/').enumerate() {
                    if index > 0 {
                        words.push(Vec::new());
                    }
                    push(&mut words, Piece::Is(part.to_owned()));
                }
            }
        }
    }
    let words = words.into_iter().map(word);
    words.filter(|word| !word.is("")).collect()
}

fn push(words: &mut [Vec<Piece>], piece: Piece) {
    if let Some(last) = words.last_mut() {
        last.push(piece);
    }
}

fn word(mut pieces: Vec<Piece>) -> Word {
    pieces.retain(|piece| !matches!(piece, Piece::Is(text) if text.is_empty()));
    let known = pieces.iter().map(|piece| match piece {
        Piece::Is(text) => Some(text.as_str()),
        Piece::Of(..) => None,
    });
    match known.collect::<Option<String>>() {
        Some(known) => Word::Known(known),
        None => Word::StandIn(pieces.into()),
    }
}

/// A part of where a resource is: its subscription, its resource group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// A name alone may be anywhere.
    Anywhere,
    /// Where the template of this number is deployed; 0 if that is none of the files.
    Here(u32),
    Said(Word),
}

impl Part {
    pub fn of(word: Word) -> Self {
        match word.here() {
            Some(template) => Self::Here(template),
            None if word.is(NO_SUBSCRIPTION) => Self::Here(0),
            None => Self::Said(word),
        }
    }

    /// Of what a deployment in the template of this number says of where it puts its resources.
    pub fn of_value(value: Option<&Value>, template: u32) -> Self {
        match value.map(|value| &value.kind) {
            None | Some(Kind::Null) => Self::Here(template),
            Some(Kind::Text(text)) => match <[Word; 1]>::try_from(words(text)) {
                Ok([word]) => Self::of(word),
                Err(_) => Self::Said(Word::InDoubt),
            },
            Some(_) => Self::Said(Word::InDoubt),
        }
    }

    pub fn is_known(&self) -> bool {
        matches!(self, Self::Said(word) if word.is_known())
    }

    /// Files that are given together are taken to belong together: where a template is deployed is where they say, unless it names
    /// that place itself (`Places`). What Azure alone knows may be anywhere else.
    pub fn same(&self, other: &Self) -> Same {
        match (self, other) {
            (Self::Anywhere, _) | (_, Self::Anywhere) | (Self::Here(_), Self::Here(_)) => Same::Yes,
            (Self::Said(one), Self::Said(other)) => one.same(other),
            (Self::Here(_), Self::Said(word)) | (Self::Said(word), Self::Here(_)) => match word.is_known() {
                true => Same::Yes,
                false => Same::InDoubt,
            },
        }
    }
}

/// A resource id in its parts, or a name alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Id {
    pub subscription: Part,
    pub group: Part,
    /// The full type, in lower case; `None` if it is not said.
    pub kind: Option<String>,
    /// With its parents' before it; empty if it is not known.
    pub names: Vec<Word>,
}

impl Id {
    /// What a text refers to: `/subscriptions/S/resourceGroups/G/providers/NAMESPACE/TYPE/NAME/TYPE/NAME` or a name alone. What is
    /// neither, as several ids in one text, refers to nothing that is known.
    pub fn of(text: &Text) -> Self {
        let words = words(text);
        let is_known = words.iter().all(Word::is_known);
        let in_doubt = || Part::Said(Word::InDoubt);
        let Some(at) = words.iter().position(|word| word.is("providers")) else {
            let place = match words.as_slice() {
                [_] => Part::Anywhere,
                _ => in_doubt(),
            };
            let last = words
                .last()
                .filter(|last| (words.len() == 1 || !is_known) && is_name(last));
            return Self {
                subscription: place.clone(),
                group: place,
                kind: None,
                names: last.cloned().into_iter().collect(),
            };
        };
        let (before, after) = (&words[..at], &words[at + 1..]);
        let place = match before {
            [] => Some((Part::Anywhere, Part::Anywhere)),
            [scope, subscription] if scope.is("subscriptions") => {
                Some((Part::of(subscription.clone()), Part::Anywhere))
            }
            [scope, subscription, inner, group] if scope.is("subscriptions") && inner.is("resourcegroups") => {
                Some((Part::of(subscription.clone()), Part::of(group.clone())))
            }
            _ if !before.iter().all(Word::is_known) => Some((in_doubt(), in_doubt())),
            _ => None,
        };
        let (pairs, odd) = after.get(1..).unwrap_or_default().as_chunks::<2>();
        let has_one = !after.iter().any(|word| word.is("providers"));
        let is_whole = has_one && place.is_some() && odd.is_empty() && pairs.iter().all(|[_, name]| is_name(name));
        let (subscription, group) = place.unwrap_or_else(|| (in_doubt(), in_doubt()));
        let kinds = after.first().into_iter().chain(pairs.iter().map(|[kind, _]| kind));
        let kinds = kinds.map(|kind| match kind {
            Word::Known(kind) => Some(kind.as_str()),
            _ => None,
        });
        let kind = kinds.collect::<Option<Vec<_>>>().map(|kinds| kinds.join("/"));
        let names = pairs.iter().map(|[_, name]| name.clone());
        Self {
            subscription,
            group,
            kind: kind.filter(|_| is_whole && !pairs.is_empty()),
            names: names.filter(|_| is_whole).collect(),
        }
    }

    /// Whether both are in the same place.
    pub fn same_place(&self, other: &Self) -> Same {
        let subscription = self.subscription.same(&other.subscription);
        subscription.min(self.group.same(&other.group))
    }
}

/// Names have no blanks and nothing that stands between the entries of a list.
fn is_name(word: &Word) -> bool {
    !matches!(word, Word::Known(text) if text.contains(|c: char| c.is_whitespace() || matches!(c, ',' | ';')))
}
