//! `cascade`: the cheapest model first; each failure hands the task to the next dearer one.

use std::collections::BTreeMap;

use trajforge_schema::MicroDollars;

use super::{Need, Pick, Policy};

/// A ladder of models, the cheapest first.
#[derive(Debug, Clone)]
pub struct Cascade {
    ladder: Vec<String>,
}

impl Cascade {
    /// The models in the order of what they are expected to cost; equal ones as they are given.
    pub fn new(models: &[String], costs: &BTreeMap<String, MicroDollars>) -> Self {
        let mut ladder = models.to_vec();
        ladder.sort_by_key(|model| costs.get(model).copied().unwrap_or_default());
        Self { ladder }
    }
}

impl Policy for Cascade {
    fn choose(&mut self, need: &Need<'_>) -> Pick {
        let rung_of = |model: &str| self.ladder.iter().position(|rung| rung == model);
        let above =
            need.history.iter().filter_map(|tried| rung_of(&tried.model)).max().map_or(0, |top| top + 1);
        // Whoever stood in for a rung counts as one, too.
        let rung = above.max(need.history.len()).min(self.ladder.len() - 1);
        let reason = match rung {
            0 => "the cheapest first".to_owned(),
            _ => format!("rung {} of {}, as {} failed", rung + 1, self.ladder.len(), self.ladder[rung - 1]),
        };
        Pick::of(&self.ladder[rung], reason)
    }
}
