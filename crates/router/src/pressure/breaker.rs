//! A circuit breaker: an endpoint that fails again and again is left alone, then tried with one request.

use std::time::Duration;

use tokio::time::Instant;

use super::Backoff;

/// Failures in a row that open it.
const MOST_FAILURES: u32 = 5;
/// How long it stays open at first, and at most.
const COOL_DOWN: (Duration, Duration) = (Duration::from_secs(10), Duration::from_mins(5));

/// Whether an endpoint is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It is asked.
    Closed,
    /// It is left alone.
    Open,
    /// One request may try it, or is trying it.
    HalfOpen,
}

#[derive(Debug)]
pub(super) struct Breaker {
    failures: u32,
    open_until: Option<Instant>,
    is_probing: bool,
    cool_down: Backoff,
}

impl Breaker {
    pub(super) fn new(seed: u64) -> Self {
        let cool_down = Backoff::new(COOL_DOWN.0, COOL_DOWN.1, seed);
        Self { failures: 0, open_until: None, is_probing: false, cool_down }
    }

    pub(super) fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if until > now => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// How long a request has to wait; nothing if it may leave. Zero: until the one that tries the endpoint ends.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let until = self.open_until?;
        match until.checked_duration_since(now).filter(|wait| !wait.is_zero()) {
            Some(wait) => Some(wait),
            None => self.is_probing.then_some(Duration::ZERO),
        }
    }

    /// A request leaves; gives what it is.
    pub(super) fn begin(&mut self, now: Instant) -> BreakerState {
        let state = self.state(now);
        self.is_probing = state == BreakerState::HalfOpen;
        state
    }

    pub(super) fn probe_ended(&mut self) {
        self.is_probing = false;
    }

    pub(super) fn succeeded(&mut self, now: Instant) {
        // A request that left before it opened and answers late is no sign of recovery.
        if self.state(now) != BreakerState::Open {
            self.failures = 0;
            self.open_until = None;
            self.cool_down.reset();
        }
    }

    pub(super) fn failed(&mut self, now: Instant) {
        if self.state(now) == BreakerState::Open {
            return;
        }
        self.failures += 1;
        if self.failures >= MOST_FAILURES {
            self.open_until = Some(now + self.cool_down.wait_at_least_half());
        }
    }
}
