//! `experiment`: an A/B comparison. Which model gets a task follows from the task's id alone.

use crate::stream::Stream;

use super::weighted::drawn;
use super::{Need, Pick, Policy};

/// Arms to which tasks are assigned by a digest of the experiment's name and their id: every attempt at a task, in every
/// run of the same experiment, is in the same arm, and the arms see the same mix of tasks.
#[derive(Debug, Clone)]
pub struct Experiment {
    name: String,
    arms: Vec<(String, u32)>,
}

impl Experiment {
    /// An experiment of that name between these models, each with its share of the tasks.
    pub fn new(name: String, arms: Vec<(String, u32)>) -> Self {
        Self { name, arms }
    }
}

impl Policy for Experiment {
    fn choose(&mut self, need: &Need<'_>) -> Pick {
        let mut stream = Stream::new(0, &format!("experiment {} {}", self.name, need.task));
        let (model, ..) = drawn(&self.arms, &mut stream);
        Pick::of(model, format!("the task is in this arm of {}", self.name))
    }
}
