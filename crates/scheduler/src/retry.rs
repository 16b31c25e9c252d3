//! Which failures are tried again, and after how long.

use std::time::Duration;

use trajforge_schema::{Digest, Failure, RolloutId};

/// Waits that double from try to try up to a limit, spread so that rollouts which failed together come back apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The longest wait after the first try.
    pub first: Duration,
    /// The longest wait after any try.
    pub longest: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { first: Duration::from_secs(2), longest: Duration::from_mins(5) }
    }
}

impl RetryPolicy {
    /// How long to wait before the next try, `tries` being those that were made, from 1; nothing where another try
    /// would end the same way unless a person changes something. (How many tries there are at most is the queue's.)
    ///
    /// The wait is between half and all of `first * 2^(tries - 1)`, limited by `longest`; where in between follows
    /// from the rollout's id and the try, so that a plan behaves the same each time.
    pub fn wait(&self, rollout: &RolloutId, tries: u32, failure: &Failure) -> Option<Duration> {
        if !failure.code.is_transient() {
            return None;
        }
        let doublings = tries.saturating_sub(1).min(31);
        let whole = self.first.saturating_mul(1 << doublings).min(self.longest);
        Some(whole.mul_f64(0.5 + spread(rollout, tries) / 2.0))
    }
}

/// In [0, 1), evenly over rollouts and tries.
fn spread(rollout: &RolloutId, tries: u32) -> f64 {
    let digest = Digest::of(format!("{rollout} {tries}").as_bytes());
    let number = u32::from_str_radix(&digest.as_str()[..8], 16).expect("a digest is hexadecimal");
    f64::from(number) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use trajforge_schema::FailureCode;

    use super::*;

    fn wait(rollout: &str, tries: u32, code: FailureCode) -> Option<Duration> {
        let policy = RetryPolicy::default();
        policy.wait(&rollout.parse().unwrap(), tries, &Failure::new(code, "x"))
    }

    #[test]
    fn waits_double_up_to_the_limit_and_never_fall_below_half() {
        for tries in 1..=100 {
            let whole = (2.0 * 2f64.powi(i32::try_from(tries).unwrap() - 1)).min(300.0);
            let waited = wait("a", tries, FailureCode::ModelTimeout).unwrap().as_secs_f64();
            assert!((whole / 2.0..=whole).contains(&waited), "try {tries} waits {waited}");
        }
    }

    #[test]
    fn rollouts_that_fail_together_come_back_apart_and_the_same_way_each_time() {
        let waits: Vec<_> =
            (0..50).map(|number| wait(&format!("r{number}"), 1, FailureCode::SandboxLost).unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
        assert_eq!(distinct.len(), 50);
        assert_eq!(waits[7], wait("r7", 1, FailureCode::SandboxLost).unwrap());
    }

    #[test]
    fn what_only_a_person_can_mend_is_not_tried_again() {
        for code in [FailureCode::ImageMissing, FailureCode::DiskFull, FailureCode::ModelRefused] {
            assert_eq!(wait("a", 1, code), None);
        }
    }
}
