//! `fixed`: one model for everything.

use super::{Need, Pick, Policy};

/// One model for everything.
#[derive(Debug, Clone)]
pub struct Fixed(String);

impl Fixed {
    /// Always this one.
    pub fn new(model: String) -> Self {
        Self(model)
    }
}

impl Policy for Fixed {
    fn choose(&mut self, _: &Need<'_>) -> Pick {
        Pick::of(&self.0, "the only one")
    }
}
