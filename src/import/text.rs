//! [`Text`]: a text of which parts may be known to Azure alone, and which parts those are.

use super::value::Unknown;
use std::{
    hash::{Hash, Hasher},
    ops::Range,
    sync::Arc,
};

/// A text, and what it stands in for if Azure alone knows the real one (`uniqueString`, `resourceGroup().name`).
///
/// A stand-in certainly is a text. Two stand-ins are certainly the same only if they are one: clones of one value, which
/// share their allocation. What they read alike by chance says nothing ([`Text::same`]).
#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub text: Arc<str>,
    pub stands_for: Option<Arc<Unknown>>,
    /// What of a stand-in is not what Azure has, in order; no two overlap.
    guesses: Option<Arc<Vec<Guess>>>,
}

/// A stretch of a text that reads otherwise than Azure's.
#[derive(Clone, Debug)]
struct Guess {
    bytes: Range<usize>,
    of: Symbol,
}

/// Something that Azure alone knows. It is the same as itself, whatever it reads as.
#[derive(Clone, Debug)]
pub(crate) struct Symbol {
    of: Arc<Unknown>,
    case: Case,
    /// Where it stands, Azure takes nothing with a slash.
    slashless: bool,
}

/// The letters that a stand-in was put into. For a name they are all the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Case {
    #[default]
    AsItIs,
    Lower,
    Upper,
}

/// A part of what a stand-in is made of: what is made by the same function of the same is the same wherever it is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ingredient {
    Is(String),
    Of(Symbol, Case),
    /// Where a template is deployed, by how that reads. Files that are given together are taken to belong together ([`super::ids::Part`]).
    Here(String, Case),
    Number(i64),
    Bool(bool),
    /// What comes is another argument.
    Next,
}

impl Symbol {
    pub fn new(of: Unknown) -> Self {
        Self {
            slashless: of.slashless,
            of: Arc::new(of),
            case: Case::AsItIs,
        }
    }

    /// Where a template is deployed, by its number: where things are of which nothing else is said.
    pub fn here(&self) -> Option<u32> {
        self.of.here
    }

    /// Whether it certainly holds no slash.
    pub fn is_slashless(&self) -> bool {
        self.slashless
    }
}

impl PartialEq for Symbol {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.of, &other.of)
    }
}

impl Eq for Symbol {}

impl Hash for Symbol {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.of).hash(state);
    }
}

impl Text {
    pub fn known(text: impl Into<Arc<str>>) -> Self {
        Self {
            text: text.into(),
            stands_for: None,
            guesses: None,
        }
    }

    /// Whether the two are the same text; `None` if Azure alone knows.
    pub fn same(&self, other: &Self) -> Option<bool> {
        match (&self.stands_for, &other.stands_for) {
            (None, None) => Some(self.text == other.text),
            (Some(_), Some(_)) if Arc::ptr_eq(&self.text, &other.text) => Some(true),
            (None, _) if self.text.is_empty() && other.is_something() => Some(false),
            (_, None) if other.text.is_empty() && self.is_something() => Some(false),
            _ => None,
        }
    }

    /// A text of its own that stands in for what is not known: of one that does already, in the same parts.
    pub fn stand_in(self, doubt: &Arc<Unknown>) -> Self {
        let text: Arc<str> = Arc::from(&*self.text);
        let whole = || {
            let (bytes, of) = (0..text.len(), Symbol::new(doubt.of_another()));
            Arc::new(vec![Guess { bytes, of }])
        };
        Self {
            stands_for: self.stands_for.or_else(|| Some(doubt.clone())),
            guesses: Some(self.guesses.unwrap_or_else(whole)),
            text,
        }
    }

    /// What the text as a whole stands for.
    pub fn symbol(&self) -> Option<&Symbol> {
        match self.guesses.as_deref().map(Vec::as_slice) {
            Some([only]) if only.bytes == (0..self.text.len()) => Some(&only.of),
            _ => None,
        }
    }

    /// The same text, as a whole the stand-in for this.
    pub fn of(self, of: Symbol) -> Self {
        let bytes = 0..self.text.len();
        Self {
            guesses: Some(Arc::new(vec![Guess { bytes, of }])),
            ..self
        }
    }

    /// What it is made of.
    pub fn ingredients(&self) -> impl Iterator<Item = Ingredient> {
        self.pieces().map(|(piece, of)| match of {
            None => Ingredient::Is(piece.to_owned()),
            Some(of) if of.here().is_some() => Ingredient::Here(piece.to_ascii_lowercase(), of.case),
            Some(of) => Ingredient::Of(of.clone(), of.case),
        })
    }

    /// What it takes to copy it, in bytes: of a stand-in of many pieces these take most.
    pub fn cost(&self) -> usize {
        self.text.len() + self.guesses() * size_of::<Guess>()
    }

    /// How many of its stretches are not what Azure has.
    pub fn guesses(&self) -> usize {
        self.guesses.as_deref().map_or(0, Vec::len)
    }

    /// Of the stretches that are not what Azure has, where each begins and ends.
    pub fn unknown_places(&self) -> Vec<(usize, usize)> {
        let guesses = self.guesses.as_deref().map_or(&[][..], Vec::as_slice);
        guesses
            .iter()
            .map(|guess| (guess.bytes.start, guess.bytes.end))
            .collect()
    }

    /// Its stretches in order, with what they stand for if they are not what Azure has.
    pub fn pieces(&self) -> impl Iterator<Item = (&str, Option<&Symbol>)> {
        let mut at = 0;
        let guesses = self.guesses.as_deref().map_or(&[][..], Vec::as_slice);
        let pieces = guesses.iter().flat_map(move |guess| {
            let before = (at..guess.bytes.start, None);
            at = guess.bytes.end;
            [before, (guess.bytes.clone(), Some(&guess.of))]
        });
        let end = guesses.last().map_or(0, |guess| guess.bytes.end);
        let pieces = pieces.chain([(end..self.text.len(), None)]);
        let pieces = pieces.filter(|(bytes, of)| of.is_some() || !bytes.is_empty());
        pieces.filter_map(|(bytes, of)| Some((self.text.get(bytes)?, of)))
    }

    /// The stretches that are what Azure has, however long the others turn out to be.
    pub fn known_pieces(&self) -> impl Iterator<Item = &str> {
        self.pieces().filter_map(|(piece, of)| of.is_none().then_some(piece))
    }

    /// Whether it certainly is not empty.
    pub fn is_something(&self) -> bool {
        self.known_pieces().next().is_some()
    }

    /// How many characters it has at least: those that are known.
    pub fn least(&self) -> usize {
        self.known_pieces().map(|piece| piece.chars().count()).sum()
    }

    /// Whether whatever is not known of it certainly holds no slash.
    pub fn is_slashless(&self) -> bool {
        self.pieces().all(|(_, of)| of.is_none_or(Symbol::is_slashless))
    }

    /// What stands between the slashes that are known.
    pub fn between_slashes(&self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut part = Joined::default();
        for (piece, of) in self.pieces() {
            match (of, &self.stands_for) {
                (Some(of), Some(doubt)) => part.push_guess(piece, of, doubt),
                _ => {
                    for (index, piece) in piece.split('/').enumerate() {
                        if index > 0 {
                            parts.push(std::mem::take(&mut part).finish());
                        }
                        part.push_str(piece);
                    }
                }
            }
        }
        parts.push(part.finish());
        parts
    }

    /// The same in other letters, in the same parts; only of ASCII.
    pub fn in_case(&self, text: String, case: Case) -> Option<Self> {
        let guesses = self.guesses.as_ref().map(|guesses| {
            let guess = |guess: &Guess| Guess {
                bytes: guess.bytes.clone(),
                of: Symbol {
                    case,
                    ..guess.of.clone()
                },
            };
            Arc::new(guesses.iter().map(guess).collect())
        });
        (text.is_ascii() && self.text.is_ascii() && text.len() == self.text.len()).then(|| Self {
            text: text.into(),
            guesses,
            ..self.clone()
        })
    }
}

/// A text that is put together: it is known in the parts in which what it is made of is.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    text: String,
    guesses: Vec<Guess>,
    doubt: Option<Arc<Unknown>>,
}

impl Joined {
    pub fn push_str(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub fn push(&mut self, text: &Text) {
        self.push_as(text, Symbol::clone);
    }

    /// A text of which Azure takes nothing with a slash here.
    pub fn push_slashless(&mut self, text: &Text) {
        let slashless = true;
        self.push_as(text, |of| Symbol {
            slashless,
            ..of.clone()
        });
    }

    fn push_as(&mut self, text: &Text, symbol: impl Fn(&Symbol) -> Symbol) {
        for (piece, of) in text.pieces() {
            match (of, &text.stands_for) {
                (Some(of), Some(doubt)) => self.push_guess(piece, &symbol(of), doubt),
                _ => self.push_str(piece),
            }
        }
    }

    /// What stands for something of its own that nobody knows.
    pub fn push_unknown(&mut self, text: &str, doubt: Unknown) {
        self.push_symbol(text, &Symbol::new(doubt));
    }

    pub fn push_symbol(&mut self, text: &str, of: &Symbol) {
        self.push_guess(text, of, &of.of);
    }

    fn push_guess(&mut self, text: &str, of: &Symbol, doubt: &Arc<Unknown>) {
        let start = self.text.len();
        self.text.push_str(text);
        let (bytes, of) = (start..self.text.len(), of.clone());
        self.guesses.push(Guess { bytes, of });
        self.doubt.get_or_insert_with(|| doubt.clone());
    }

    /// See [`Text::cost`].
    pub fn cost(&self) -> usize {
        self.text.len() + self.guesses.len() * size_of::<Guess>()
    }

    pub fn finish(self) -> Text {
        Text {
            text: self.text.into(),
            stands_for: self.doubt,
            guesses: (!self.guesses.is_empty()).then(|| Arc::new(self.guesses)),
        }
    }
}
