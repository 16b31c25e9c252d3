//! Seeded named streams of draws: waits, samples and simulated mistakes come from nowhere else.

use trajforge_schema::Digest;

/// An endless, reproducible sequence: SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators,
/// 2014), begun at a digest of its name.
#[derive(Debug, Clone)]
pub struct Stream {
    state: u64,
}

impl Stream {
    /// The stream of that name under a seed.
    pub fn new(seed: u64, name: &str) -> Self {
        let digest = Digest::of(format!("{seed} {name}").as_bytes());
        let state = u64::from_str_radix(&digest.as_str()[..16], 16).expect("a digest is hexadecimal");
        Self { state }
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Uniform in [0, 1), on a grid of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something of this probability happens.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Uniform in `0..count`, up to a bias of less than 2^-32 for the small counts it is used with; 0 if the count is 0.
    #[expect(clippy::cast_possible_truncation, reason = "the result is below a usize")]
    pub fn index(&mut self, count: usize) -> usize {
        (self.bits() % (count as u64).max(1)) as usize
    }

    /// Standard normal (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Beta distributed, from two gamma variates.
    pub fn beta(&mut self, alpha: f64, beta: f64) -> f64 {
        let (x, y) = (self.gamma(alpha), self.gamma(beta));
        if x + y > 0.0 { x / (x + y) } else { 0.5 }
    }

    /// Gamma distributed with scale 1 (Marsaglia and Tsang, 2000); a shape below 1 is raised as they say.
    fn gamma(&mut self, shape: f64) -> f64 {
        if shape < 1.0 {
            let lift = (1.0 - self.unit()).powf(1.0 / shape.max(1e-9));
            return self.gamma(shape + 1.0) * lift;
        }
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = (1.0 + c * x).powi(3);
            if v > 0.0 && (1.0 - self.unit()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_values_of_a_stream_never_change() {
        let mut stream = Stream::new(7, "a");
        assert_eq!((stream.bits(), stream.index(10)), GOLDEN);
    }
    const GOLDEN: (u64, usize) = (12_463_235_888_620_073_720, 5);

    #[test]
    fn streams_of_different_names_and_seeds_differ() {
        let first = |seed, name: &str| Stream::new(seed, name).bits();
        let all = [first(1, "a"), first(1, "b"), first(2, "a"), first(11, "a")];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    #[test]
    fn beta_draws_have_the_mean_and_spread_of_their_distribution() {
        for (alpha, beta) in [(0.5, 0.5), (1.0, 1.0), (2.0, 8.0), (40.0, 10.0)] {
            let mut stream = Stream::new(3, "beta");
            let draws: Vec<f64> = (0..20_000).map(|_| stream.beta(alpha, beta)).collect();
            let mean = draws.iter().sum::<f64>() / 20_000.0;
            let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 20_000.0;
            let whole: f64 = alpha + beta;
            assert!((mean - alpha / whole).abs() < 0.01, "{alpha} {beta}: {mean}");
            let expected = alpha * beta / (whole.powi(2) * (whole + 1.0));
            assert!((variance / expected - 1.0).abs() < 0.06, "{alpha} {beta}: {variance}");
        }
    }
}
