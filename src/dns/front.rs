//! [`Front`]: answers that a worker has used, before the [`Cache`](super::cache::Cache) of all.
//!
//! A hit in the cache of all takes a lock and counts references that every worker takes and counts; here each worker has
//! copies of its own. They expire with the entry that they were copied from.

use crate::{
    policy::{Answer, Fqdn},
    seeded::Seeded,
    stripe::{self, Padded, STRIPES},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Names that a worker keeps, or its part of what the cache may keep if that is less. When it has as many it forgets them all:
/// those in use come back from the cache.
const NAMES: usize = 512;

/// Addresses and links of an answer that is kept: of a larger one every worker would have a copy.
const RECORDS: usize = 16;

/// One for each worker.
#[derive(Debug)]
pub(super) struct Front {
    parts: [Padded<Part>; STRIPES],
    names: usize,
}

#[derive(Debug)]
struct Part(Mutex<Answers>);

type Answers = HashMap<Fqdn, (Arc<Answer>, Instant), Seeded>;

impl Front {
    /// Before a cache of so many entries.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            parts: std::array::from_fn(|_| Padded(Part(Mutex::new(Answers::with_hasher(Seeded::new()))))),
            names: NAMES.min(entries / STRIPES),
        }
    }

    /// What this worker knows of a name.
    pub(super) fn find(&self, name: &Fqdn, now: Instant) -> Option<Arc<Answer>> {
        let answers = lock(self.own());
        let (answer, expires) = answers.get(name)?;
        (now < *expires).then(|| answer.clone())
    }

    /// A copy of an answer that shares nothing with it, kept until it expires; a large answer stays as it is.
    pub(super) fn keep(&self, answer: Arc<Answer>, expires: Instant) -> Arc<Answer> {
        if self.names == 0 || answer.links.len() + answer.addresses.len() > RECORDS {
            return answer;
        }
        let copy = Arc::new(answer.copied());
        let mut answers = lock(self.own());
        if answers.len() >= self.names && !answers.contains_key(&copy.name) {
            answers.clear();
        }
        answers.insert(copy.name.clone(), (copy.clone(), expires));
        copy
    }

    fn own(&self) -> &Part {
        &self.parts[stripe::own()].0
    }
}

fn lock(part: &Part) -> MutexGuard<'_, Answers> {
    part.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AnswerAddress;
    use std::time::Duration;

    fn answer(name: &str) -> Answer {
        let owner = Fqdn::parse(name).unwrap();
        let address = AnswerAddress {
            ip: [203, 0, 113, 5].into(),
            owner: owner.clone(),
            zone: ".".into(),
            server: "s".into(),
            ttl: 60,
        };
        Answer {
            name: owner,
            links: vec![],
            addresses: vec![address],
        }
    }

    #[test]
    fn a_worker_has_a_copy_of_its_own_until_it_expires() {
        let (front, now) = (Front::new(1000), Instant::now());
        let of_all = Arc::new(answer("a.test"));
        let kept = front.keep(of_all.clone(), now + Duration::from_secs(5));
        assert_eq!(kept, of_all);
        assert!(!Arc::ptr_eq(&kept.addresses[0].zone, &of_all.addresses[0].zone));
        assert_eq!(front.find(&of_all.name, now), Some(kept));
        assert_eq!(front.find(&of_all.name, now + Duration::from_secs(5)), None);
        assert_eq!(front.find(&Fqdn::parse("b.test").unwrap(), now), None);
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| front.find(&of_all.name, now)).join().unwrap());
        assert_eq!(elsewhere, None, "another worker has its own");
    }

    #[test]
    fn f_06_a_worker_keeps_a_bounded_number_of_names() {
        let now = Instant::now();
        for (entries, most) in [(100_000, NAMES), (160, 10), (15, 0)] {
            let front = Front::new(entries);
            for i in 0..3 * NAMES {
                front.keep(Arc::new(answer(&format!("n{i}.test"))), now + Duration::from_secs(5));
                assert!(lock(front.own()).len() <= most);
            }
        }
        let (front, mut large) = (Front::new(1000), answer("a.test"));
        large.addresses = vec![large.addresses[0].clone(); RECORDS + 1];
        let large = Arc::new(large);
        assert!(Arc::ptr_eq(
            &front.keep(large.clone(), now + Duration::from_secs(5)),
            &large
        ));
        assert_eq!(front.find(&large.name, now), None);
    }
}
