//! Exponential back-off with full jitter, from a seeded stream.
//!
//! Marc Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015: waits drawn evenly from zero to the
//! doubling limit keep those that failed together apart with the least work.

use std::time::Duration;

use crate::stream::Stream;

/// Waits that grow.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    doublings: u32,
    stream: Stream,
}

impl Backoff {
    /// The first wait is at most `first`; the limit doubles up to `longest`.
    pub fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest, doublings: 0, stream: Stream::new(seed, "backoff") }
    }

    /// The next wait: evenly from zero to the limit.
    pub fn wait(&mut self) -> Duration {
        let share = self.stream.unit();
        self.next_limit().mul_f64(share)
    }

    /// The next wait: evenly from half of the limit to all of it.
    pub(super) fn wait_at_least_half(&mut self) -> Duration {
        let share = 0.5 + self.stream.unit() / 2.0;
        self.next_limit().mul_f64(share)
    }

    pub(super) fn reset(&mut self) {
        self.doublings = 0;
    }

    fn next_limit(&mut self) -> Duration {
        let limit = self.first.saturating_mul(1 << self.doublings.min(31)).min(self.longest);
        self.doublings += 1;
        limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_under_a_limit_that_doubles_and_differ_by_seed() {
        let waits = |seed| {
            let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(30), seed);
            (0..40).map(|_| backoff.wait().as_secs_f64()).collect::<Vec<_>>()
        };
        for (number, wait) in waits(1).into_iter().enumerate() {
            assert!(wait <= 2f64.powi(i32::try_from(number).unwrap()).min(30.0), "wait {number}: {wait}");
        }
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
        let late: Vec<f64> = waits(3).split_off(10);
        assert!(late.iter().any(|wait| *wait < 10.0) && late.iter().any(|wait| *wait > 20.0), "{late:?}");
    }
}
