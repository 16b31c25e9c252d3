//! `round_robin`: the models take turns along the plan.

use super::{Need, Pick, Policy};

/// The models take turns.
#[derive(Debug, Clone)]
pub struct RoundRobin(Vec<String>);

impl RoundRobin {
    /// In this order.
    pub fn new(models: Vec<String>) -> Self {
        Self(models)
    }
}

impl Policy for RoundRobin {
    fn choose(&mut self, need: &Need<'_>) -> Pick {
        let count = self.0.len() as u64;
        let turn = usize::try_from(need.place % count).unwrap_or(0);
        Pick::of(&self.0[turn], format!("turn {} of {count}", turn + 1))
    }
}
