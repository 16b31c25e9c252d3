//! A token bucket: so much a minute, with a short burst.

use std::time::Duration;

use tokio::time::Instant;

/// Seconds of the rate that may be used at once.
const BURST_SECONDS: f64 = 6.0;

/// How much may be taken, growing with time. It may be in debt: what is larger than the burst is let through when the
/// bucket is full, and paid off before the next.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    most: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// A full bucket that grows by so much a minute.
    pub(super) fn new(per_minute: u64, now: Instant) -> Self {
        let per_second = per_minute.max(1) as f64 / 60.0;
        let most = (per_second * BURST_SECONDS).max(1.0);
        Self { per_second, most, level: most, at: now }
    }

    /// How long until that much may be taken; nothing if it may be at once.
    pub(super) fn ready(&mut self, amount: u64, now: Instant) -> Duration {
        let grown = now.saturating_duration_since(self.at).as_secs_f64() * self.per_second;
        self.level = (self.level + grown).min(self.most);
        self.at = now;
        let missing = (amount as f64).min(self.most) - self.level;
        // Less than a nanosecond's worth is rounding.
        if missing <= 1e-9 * self.per_second {
            Duration::ZERO
        } else {
            // One more, as the timer counts in whole milliseconds.
            Duration::from_secs_f64(missing / self.per_second) + Duration::from_millis(1)
        }
    }

    pub(super) fn take(&mut self, amount: u64) {
        self.level -= amount as f64;
    }

    /// Puts right what was taken when it is known what was used.
    pub(super) fn correct(&mut self, taken: u64, used: u64) {
        self.level = (self.level + taken as f64 - used as f64).min(self.most);
    }
}
