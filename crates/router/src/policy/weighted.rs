//! `weighted`: each model gets its share of the attempts.

use crate::stream::Stream;

use super::{Need, Pick, Policy};

/// Each model gets its share, by a draw for each task and attempt.
#[derive(Debug, Clone)]
pub struct Weighted {
    weights: Vec<(String, u32)>,
    seed: u64,
}

impl Weighted {
    /// Models with their weights, of which one at least is not zero.
    pub fn new(weights: Vec<(String, u32)>, seed: u64) -> Self {
        Self { weights, seed }
    }
}

impl Policy for Weighted {
    fn choose(&mut self, need: &Need<'_>) -> Pick {
        let mut stream = Stream::new(self.seed, &format!("weighted {} {}", need.task, need.attempt));
        let (model, weight, total) = drawn(&self.weights, &mut stream);
        Pick::of(model, format!("drawn with weight {weight} of {total}"))
    }
}

/// One of the models, its weight, and the sum of all weights.
pub(super) fn drawn<'a>(weights: &'a [(String, u32)], stream: &mut Stream) -> (&'a str, u32, u64) {
    let total: u64 = weights.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut rest = stream.bits() % total.max(1);
    for (model, weight) in weights {
        if rest < u64::from(*weight) {
            return (model, *weight, total);
        }
        rest -= u64::from(*weight);
    }
    (&weights[0].0, weights[0].1, total)
}
