//! Intervals: Wilson's for a rate, the bootstrap's for a mean.

use serde::Serialize;
use trajforge_router::Stream;

/// The quantile of the normal distribution that 95 % lie within.
const Z: f64 = 1.959_963_984_540_054;
/// Samples that the bootstrap draws.
const SAMPLES: usize = 2_000;

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Interval {
    pub(super) value: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// A rate: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", 1927.
pub(super) fn wilson(successes: usize, count: usize) -> Interval {
    let (n, p) = (count.max(1) as f64, successes as f64 / count.max(1) as f64);
    let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Interval { value: p, low: (middle - half).max(0.0), high: (middle + half).min(1.0) }
}

/// A ratio of two sums over the same cases, such as cost over successes; with ones below, a mean. B. Efron,
/// "Bootstrap methods: another look at the jackknife", 1979; the percentile interval.
pub(super) fn bootstrap(cases: &[(f64, f64)], seed: u64) -> Interval {
    let ratio = |(above, below): (f64, f64)| if below > 0.0 { above / below } else { f64::INFINITY };
    let sum = |sums: (f64, f64), case: &(f64, f64)| (sums.0 + case.0, sums.1 + case.1);
    let mut stream = Stream::new(seed, "bootstrap");
    let mut drawn: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let sample = (0..cases.len()).map(|_| &cases[stream.index(cases.len())]);
            ratio(sample.fold((0.0, 0.0), sum))
        })
        .collect();
    drawn.sort_by(f64::total_cmp);
    let at = |share: usize| drawn[(SAMPLES * share / 1_000).min(SAMPLES - 1)];
    Interval { value: ratio(cases.iter().fold((0.0, 0.0), sum)), low: at(25), high: at(975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // Newcombe (1998), table I: 81 of 263.
        let interval = wilson(81, 263);
        assert!(
            (interval.low - 0.2553).abs() < 5e-5 && (interval.high - 0.3662).abs() < 5e-5,
            "{interval:?}"
        );
        assert!(wilson(0, 10).low.abs() < 1e-12 && (wilson(10, 10).high - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_bootstraps_interval_holds_the_mean_and_narrows() {
        let cases = |count: usize| (0..count).map(|i| ((i % 10) as f64, 1.0)).collect::<Vec<_>>();
        let (few, many) = (bootstrap(&cases(50), 1), bootstrap(&cases(5_000), 1));
        for interval in [few, many] {
            assert!((interval.value - 4.5).abs() < 1e-9 && interval.low < 4.5 && interval.high > 4.5);
        }
        assert!(many.high - many.low < (few.high - few.low) / 5.0);
    }
}
