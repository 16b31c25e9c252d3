//! Seeded named streams: the only source of variation.
//!
//! Each stream is the output of BLAKE3 in its key derivation mode (<https://github.com/BLAKE3-team/BLAKE3-specs>,
//! section 2.3) over template id, version, seed and the stream's name. Adding a parameter or a draw elsewhere never
//! shifts another stream's values. The mapping from bytes to values is ours and fixed for ever: golden tests hold it.

use trajforge_schema::{Seed, TemplateId};

const CONTEXT: &str = "trajforge template stream v1";

/// An endless, reproducible sequence of draws.
#[derive(Debug, Clone)]
pub struct Stream {
    reader: blake3::OutputReader,
}

impl Stream {
    /// The stream of that name for one member of a template's family.
    pub fn new(template: &TemplateId, version: u32, seed: Seed, name: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        for part in
            [template.as_str().as_bytes(), &version.to_le_bytes(), &seed.0.to_le_bytes(), name.as_bytes()]
        {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self { reader: hasher.finalize_xof() }
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.reader.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// Uniform in `0..bound`; 0 if the bound is 0. Rejection keeps it exactly uniform.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        let excess = (u64::MAX % bound + 1) % bound;
        loop {
            let bits = self.bits();
            if bits <= u64::MAX - excess {
                return bits % bound;
            }
        }
    }

    /// Uniform between both ends, which are included.
    pub fn int(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low);
        let drawn = if span == u64::MAX { self.bits() } else { self.below(span + 1) };
        low.wrapping_add_unsigned(drawn)
    }

    /// Uniform in [0, 1), on a grid of 2^-53.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An index into as many items.
    #[expect(clippy::cast_possible_truncation, reason = "the result is below a usize")]
    pub fn index(&mut self, count: usize) -> usize {
        self.below(count as u64) as usize
    }

    /// An index drawn in proportion to the weights; the first one if all are zero.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (index, weight) in weights.iter().enumerate() {
            if rest < *weight {
                return index;
            }
            rest -= weight;
        }
        0
    }

    /// A uniformly random order of `0..count` (Fisher-Yates, from the end).
    pub fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.index(last + 1));
        }
        order
    }

    /// That many lower-case hexadecimal digits.
    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits)
            .map(|_| char::from_digit(u32::try_from(self.below(16)).unwrap_or(0), 16).unwrap_or('0'))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(name: &str) -> Stream {
        Stream::new(&"debugging/example".parse().unwrap(), 1, Seed(7), name)
    }

    #[test]
    fn the_values_of_a_stream_never_change() {
        let mut s = stream("parameters.cause");
        let drawn = (s.bits(), s.int(-3, 12), s.index(5), s.hex(8), s.order(6), s.weighted(&[1, 0, 9]));
        assert_eq!(format!("{drawn:?}"), GOLDEN);
    }
    const GOLDEN: &str = "(13298177947939948082, 6, 0, \"b4ce5610\", [1, 5, 3, 2, 4, 0], 2)";

    #[test]
    fn streams_of_different_names_seeds_and_versions_differ() {
        let id: TemplateId = "debugging/example".parse().unwrap();
        let first = |version, seed, name: &str| Stream::new(&id, version, Seed(seed), name).bits();
        let all = [first(1, 7, "a"), first(1, 7, "b"), first(1, 8, "a"), first(2, 7, "a")];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
    }

    proptest::proptest! {
        #[test]
        fn draws_stay_within_their_bounds(low in -1_000_i64..1_000, span in 0_i64..1_000, name in "[a-z]{1,8}") {
            let mut s = stream(&name);
            for _ in 0..50 {
                let value = s.int(low, low + span);
                assert!(value >= low && value <= low + span);
                assert!((0.0..1.0).contains(&s.unit()));
            }
        }

        #[test]
        fn an_order_holds_every_index_once(count in 0_usize..200) {
            let mut order = stream("order").order(count);
            order.sort_unstable();
            assert_eq!(order, (0..count).collect::<Vec<_>>());
        }
    }
}
