//! Lists and objects that a template makes: each part is paid for before it is made.

use super::{Budget, Exhausted, too_deep};
use crate::import::value::{MAX_NAME_BYTES, Place, TooDeep, Unknown, Value, long_name};
use std::{collections::HashMap, sync::Arc};

/// Steps of an element of a list, which takes 48 bytes.
const ELEMENT: usize = 1;

/// Steps of a member of an object, which takes 64 bytes and is found by a hash.
pub(super) const MEMBER: usize = 2;

impl Budget {
    /// A list of these elements.
    pub fn list<E: From<Exhausted>>(
        &self,
        items: impl IntoIterator<Item = Result<Value, E>>,
        at: Place,
    ) -> Result<Value, E> {
        Ok(Value::list(self.each(items, ELEMENT, at)?, at).map_err(|TooDeep| too_deep(at))?)
    }

    /// A list of these elements, which has perhaps others too: see [`Value::uncertain_list`].
    pub fn uncertain_list<E: From<Exhausted>>(
        &self,
        items: impl IntoIterator<Item = Result<Value, E>>,
        doubt: &Arc<Unknown>,
        at: Place,
    ) -> Result<Value, E> {
        Ok(Value::uncertain_list(self.each(items, ELEMENT, at)?, doubt, at).map_err(|TooDeep| too_deep(at))?)
    }

    /// An object of these members, no two of one name.
    pub fn object<E: From<Exhausted>>(
        &self,
        entries: impl IntoIterator<Item = Result<(Arc<str>, Value), E>>,
        at: Place,
    ) -> Result<Value, E> {
        let entries = self.each(entries, MEMBER, at)?;
        for (name, _) in &entries {
            self.name(name, at)?;
        }
        Ok(Value::object(entries, at).map_err(|TooDeep| too_deep(at))?)
    }

    /// An object of these members, which has others too: see [`Value::open_object`].
    pub fn open_object(&self, entry: (&str, Value), doubt: &Arc<Unknown>, at: Place) -> Result<Value, Exhausted> {
        let entries = self.each([Ok::<_, Exhausted>((entry.0.into(), entry.1))], MEMBER, at)?;
        Value::open_object(entries, doubt, at).map_err(|TooDeep| too_deep(at))
    }

    /// The name of a member, which is to be hashed.
    pub fn name(&self, name: &str, at: Place) -> Result<(), Exhausted> {
        if name.len() > MAX_NAME_BYTES {
            let found = long_name();
            return Err(Exhausted { at, found });
        }
        self.steps(name.len() / 64, at)
    }

    fn each<T, E: From<Exhausted>>(
        &self,
        parts: impl IntoIterator<Item = Result<T, E>>,
        each: usize,
        at: Place,
    ) -> Result<Vec<T>, E> {
        let parts = parts.into_iter();
        let mut made = Vec::with_capacity(parts.size_hint().0);
        for part in parts {
            self.steps(each, at)?;
            made.push(part?);
        }
        made.shrink_to_fit();
        Ok(made)
    }
}

/// What is gathered under names: the last of each name, in any case of it, in the place of the first.
pub(super) struct Members<T> {
    pub entries: Vec<(Arc<str>, T)>,
    places: HashMap<String, usize>,
}

impl<T> Members<T> {
    pub fn new() -> Self {
        let (entries, places) = (Vec::new(), HashMap::new());
        Self { entries, places }
    }

    /// What stands under this name, if there is something.
    pub fn get(&mut self, budget: &Budget, name: &str, at: Place) -> Result<Option<&mut (Arc<str>, T)>, Exhausted> {
        budget.steps(1 + name.len() / 32, at)?;
        let place = self.places.get(&name.to_ascii_lowercase());
        Ok(place.and_then(|place| self.entries.get_mut(*place)))
    }

    pub fn put(&mut self, budget: &Budget, name: &Arc<str>, value: T, at: Place) -> Result<(), Exhausted> {
        if let Some((_, there)) = self.get(budget, name, at)? {
            *there = value;
            return Ok(());
        }
        self.places.insert(name.to_ascii_lowercase(), self.entries.len());
        self.entries.push((name.clone(), value));
        Ok(())
    }
}
