//! `oracle`: plays the template's solution, or any other list of steps; same loop, same record.

use std::collections::VecDeque;

use async_trait::async_trait;
use trajforge_schema::{Ending, Failure, OracleStep, Provenance, Task};

use crate::scaffold::{Decision, Intent, Offer, Scaffold, Seen, tools};

/// Plays steps one by one.
#[derive(Debug, Clone)]
pub struct Oracle {
    steps: VecDeque<OracleStep>,
    offer: Offer,
}

impl Oracle {
    /// The oracle of a task.
    pub fn of(task: &Task) -> Self {
        Self::playing(task, task.solution.clone())
    }

    /// Other steps on the same task: a trap, or another seed's solution.
    pub fn playing(task: &Task, steps: Vec<OracleStep>) -> Self {
        Self { steps: steps.into(), offer: tools::STYLE.offer(task) }
    }
}

#[async_trait]
impl Scaffold for Oracle {
    fn offer(&self) -> Offer {
        self.offer.clone()
    }

    fn provenance(&self) -> Provenance {
        Provenance::Oracle
    }

    async fn decide(&mut self, _: &[Seen]) -> Result<Decision, Failure> {
        let Some(OracleStep { reasoning, action }) = self.steps.pop_front() else {
            return Ok(Decision { ending: Some(Ending::Stopped), ..Decision::default() });
        };
        let intent = Intent { action, reasoning, turn: None, tool_call_id: None, done: None };
        Ok(Decision { intents: vec![intent], ..Decision::default() })
    }
}
