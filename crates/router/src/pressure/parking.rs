//! Time that a rollout spends waiting for a provider: its task's clock stands still.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long somebody was parked; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Parking(Arc<Mutex<Total>>);

#[derive(Debug, Default)]
struct Total {
    ended: Duration,
    /// How many wait, and since when the first of them does.
    waiting: u32,
    since: Option<Instant>,
}

/// Somebody is parked, until this is dropped.
#[derive(Debug)]
#[must_use]
pub struct Parked(Parking);

impl Parking {
    /// Stops the clock. Waits that overlap count once.
    pub fn park(&self) -> Parked {
        self.with(|total| {
            total.waiting += 1;
            total.since.get_or_insert_with(Instant::now);
        });
        Parked(self.clone())
    }

    /// All the time so far, with the wait that is under way.
    pub fn time(&self) -> Duration {
        self.with(|total| total.ended + total.since.map_or(Duration::ZERO, |since| since.elapsed()))
    }

    /// Whether the clock stands.
    pub fn is_parked(&self) -> bool {
        self.with(|total| total.waiting > 0)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Total) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.0.with(|total| {
            total.waiting -= 1;
            if let (0, Some(since)) = (total.waiting, total.since) {
                total.ended += since.elapsed();
                total.since = None;
            }
        });
    }
}
