//! [`Counters`]: what the resolver has done, for the metrics.

use crate::stripe::Total;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Totals since the process started; shared by the resolvers of successive snapshots.
#[derive(Debug, Default)]
pub struct Counters {
    /// Names answered from the cache.
    pub(crate) hits: Total,
    /// Names that had to be resolved.
    pub misses: AtomicU64,
    /// Names that were being resolved for someone else already.
    pub joined: AtomicU64,
    /// Names refused because as many as may be were in flight.
    pub refused: AtomicU64,
    /// Resolutions that ended without an address.
    pub failures: AtomicU64,
    /// Questions sent over UDP, repeated ones included.
    pub queries_udp: AtomicU64,
    /// Questions sent over TCP.
    pub queries_tcp: AtomicU64,
    /// Replies taken.
    pub replies: AtomicU64,
    /// Datagrams dropped because they answer no question of ours (RFC 5452): wrong id, wrong question.
    pub ignored: AtomicU64,
    /// Replies with our id that could not be read.
    pub malformed: AtomicU64,
    /// Times the next server of a zone was asked because one had failed.
    pub failovers: AtomicU64,
}

/// One more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}
