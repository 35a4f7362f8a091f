//! What a site keeps between requests: JSON values by key, and long uploads in a spool.

use super::spool::Spool;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Most values that a site keeps, and most bytes of them.
const MAX_VALUES: usize = 10_000;
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Values by key, for as long as the lab runs.
#[derive(Debug, Default)]
pub struct Kept {
    shelf: Mutex<Shelf>,
    numbers: AtomicU64,
    /// Long uploads.
    pub spool: Arc<Spool>,
}

#[derive(Debug, Default)]
struct Shelf {
    /// As text: its length is what counts.
    values: BTreeMap<String, String>,
    bytes: usize,
}

impl Kept {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a value in place of what was there; `false` if the site is full.
    #[must_use]
    pub fn put(&self, key: &str, value: &Value) -> bool {
        let text = value.to_string();
        let mut shelf = self.shelf();
        let before = shelf.values.get(key).map_or(0, |old| key.len() + old.len());
        let bytes = shelf.bytes - before + key.len() + text.len();
        if bytes > MAX_BYTES || (before == 0 && shelf.values.len() >= MAX_VALUES) {
            return false;
        }
        shelf.bytes = bytes;
        shelf.values.insert(key.to_owned(), text);
        true
    }

    /// The value of a key.
    pub fn find(&self, key: &str) -> Option<Value> {
        serde_json::from_str(self.shelf().values.get(key)?).ok()
    }

    /// Forgets a key; whether it was there.
    pub fn forget(&self, key: &str) -> bool {
        let mut shelf = self.shelf();
        let Some(old) = shelf.values.remove(key) else {
            return false;
        };
        shelf.bytes -= key.len() + old.len();
        true
    }

    /// Keys that begin so, in order, each without its beginning, with their values.
    pub fn under(&self, prefix: &str) -> Vec<(String, Value)> {
        let shelf = self.shelf();
        let range = shelf.values.range(prefix.to_owned()..);
        let here = range.map_while(|(key, text)| Some((key.strip_prefix(prefix)?, text)));
        here.filter_map(|(key, text)| Some((key.to_owned(), serde_json::from_str(text).ok()?)))
            .collect()
    }

    /// A number that no other call gets.
    pub fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_kept_until_the_site_is_full() {
        let kept = Kept::default();
        assert!(kept.put("a/1", &json!(1)) && kept.put("a/2", &json!("two")) && kept.put("b/1", &json!(3)));
        assert_eq!(
            kept.under("a/"),
            [("1".to_owned(), json!(1)), ("2".to_owned(), json!("two"))]
        );
        assert!(kept.put("a/1", &json!(7)));
        assert_eq!(kept.find("a/1"), Some(json!(7)));
        assert!(kept.forget("a/1") && !kept.forget("a/1"));
        let long = json!("x".repeat(MAX_BYTES / 2));
        assert!(kept.put("long", &long));
        assert!(!kept.put("longer", &long), "the site is full");
        assert!(kept.put("long", &long), "in place of itself it fits");
        assert!(kept.forget("long") && kept.put("longer", &long));
    }
}
