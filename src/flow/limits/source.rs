//! What one source address holds, may ask and was told.

use crate::config::settings::Limits as Settings;
use std::time::{Duration, Instant};

/// One source address. An IPv6 source is its address too, not its /64: a subnet of Azure is exactly a /64, and shared.
#[derive(Debug)]
pub(super) struct Source {
    pub connections: usize,
    /// Bytes that wait to be judged.
    pub held: usize,
    /// Its refused connections that linger.
    pub lingering: usize,
    pub tokens: f64,
    refilled: Instant,
    pub told: Told,
}

/// Rows that this second has seen about what is refused at a limit.
#[derive(Debug)]
pub(super) struct Told {
    rows: u32,
    since: Instant,
}

/// Attempts that a source may make at once.
pub(super) fn burst(settings: &Settings) -> f64 {
    f64::from(settings.attempts_burst_per_source)
}

impl Told {
    pub(super) fn new() -> Self {
        Self {
            rows: 0,
            since: Instant::now(),
        }
    }

    /// Whether another row is within so many in this second.
    pub(super) fn one_more(&mut self, most: u32) -> bool {
        if self.since.elapsed() >= Duration::from_secs(1) {
            *self = Self::new();
        }
        self.rows = self.rows.saturating_add(1);
        self.rows <= most
    }
}

impl Source {
    /// One that nothing is known of.
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            connections: 0,
            held: 0,
            lingering: 0,
            tokens: burst(settings),
            refilled: Instant::now(),
            told: Told::new(),
        }
    }

    /// What its rate has added since it was last asked.
    pub(super) fn refill(&mut self, settings: &Settings) {
        let now = Instant::now();
        let seconds = now.saturating_duration_since(self.refilled).as_secs_f64();
        let rate = f64::from(settings.attempts_per_second_per_source);
        self.tokens = (self.tokens + seconds * rate).min(burst(settings));
        self.refilled = now;
    }
}
