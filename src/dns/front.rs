//! [`Front`]: answers that a worker has used, before the [`Cache`](super::cache::Cache) of all.
//!
//! A hit in the cache of all takes a lock and counts references that every worker takes and counts; here each worker has
//! copies of its own. They expire with the entry that they were copied from.

use crate::{
    policy::{Answer, Fqdn},
    stripe::{self, Padded, STRIPES},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// Names that a worker keeps. When it has as many it forgets them all: those in use come back from the cache.
const NAMES: usize = 512;

/// One for each worker.
#[derive(Debug)]
pub(super) struct Front([Padded<Part>; STRIPES]);

#[derive(Debug, Default)]
struct Part(Mutex<HashMap<Fqdn, (Arc<Answer>, Instant)>>);

impl Front {
    pub(super) fn new() -> Self {
        Self(Default::default())
    }

    /// What this worker knows of a name.
    pub(super) fn find(&self, name: &Fqdn, now: Instant) -> Option<Arc<Answer>> {
        let answers = lock(self.own());
        let (answer, expires) = answers.get(name)?;
        (now < *expires).then(|| answer.clone())
    }

    /// A copy of an answer that shares nothing with it, kept until it expires.
    pub(super) fn keep(&self, answer: &Answer, expires: Instant) -> Arc<Answer> {
        let copy = Arc::new(answer.copied());
        let mut answers = lock(self.own());
        if answers.len() >= NAMES && !answers.contains_key(&copy.name) {
            answers.clear();
        }
        answers.insert(copy.name.clone(), (copy.clone(), expires));
        copy
    }

    fn own(&self) -> &Part {
        &self.0[stripe::own()].0
    }
}

fn lock(part: &Part) -> MutexGuard<'_, HashMap<Fqdn, (Arc<Answer>, Instant)>> {
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
        let (front, now) = (Front::new(), Instant::now());
        let of_all = answer("a.test");
        let kept = front.keep(&of_all, now + Duration::from_secs(5));
        assert_eq!(*kept, of_all);
        assert!(!Arc::ptr_eq(&kept.addresses[0].zone, &of_all.addresses[0].zone));
        assert_eq!(front.find(&of_all.name, now), Some(kept));
        assert_eq!(front.find(&of_all.name, now + Duration::from_secs(5)), None);
        assert_eq!(front.find(&Fqdn::parse("b.test").unwrap(), now), None);
        let elsewhere = std::thread::scope(|scope| scope.spawn(|| front.find(&of_all.name, now)).join().unwrap());
        assert_eq!(elsewhere, None, "another worker has its own");
    }

    #[test]
    fn f_06_a_worker_keeps_a_bounded_number_of_names() {
        let (front, now) = (Front::new(), Instant::now());
        for i in 0..3 * NAMES {
            front.keep(&answer(&format!("n{i}.test")), now + Duration::from_secs(5));
            assert!(lock(front.own()).len() <= NAMES);
        }
    }
}
