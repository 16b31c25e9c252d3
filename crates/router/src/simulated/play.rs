//! What a simulated model does on one attempt: the oracle's steps, with slips and mistakes in between.

use trajforge_schema::{Action, OracleStep, Skill, Task};

use crate::stream::Stream;

use super::mistake::{Mistake, mistaken};

/// The probability of a harmless slip before a step.
const SLIP: f64 = 0.08;

/// One turn: an action, or words alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// What is said before it.
    pub reasoning: String,
    /// What is done.
    pub action: Option<Action>,
}

/// Everything that is done on one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Play {
    /// Turn by turn.
    pub moves: Vec<Move>,
    /// What goes wrong; nothing where the attempt goes right at the first go.
    pub mistake: Option<Mistake>,
    /// Whether the mistake is mended.
    pub mended: bool,
}

impl Move {
    pub(super) fn of(step: &OracleStep) -> Self {
        Self { reasoning: step.reasoning.clone(), action: Some(step.action.clone()) }
    }

    pub(super) fn new(reasoning: &str, action: Action) -> Self {
        Self { reasoning: reasoning.to_owned(), action: Some(action) }
    }
}

impl Play {
    /// The play of an attempt, from 1; the same for the same skill, task, attempt and seed.
    pub fn of(task: &Task, skill: &Skill, attempt: u32, seed: u64) -> Self {
        let mut stream = Stream::new(seed, &format!("play {} {attempt}", task.id));
        let competence = skill.competence(task.difficulty);
        let goes_right = if stream.happens(skill.stubborn) {
            // How hard the task is does not depend on who tries.
            Stream::new(0, &format!("hardness {}", task.id)).happens(competence)
        } else {
            stream.happens(competence)
        };
        let play = if goes_right {
            Self { moves: task.solution.iter().map(Move::of).collect(), mistake: None, mended: false }
        } else {
            mistaken(task, skill.recovers, &mut stream)
        };
        Self { moves: with_slips(play.moves, &mut stream), ..play }
    }

    /// Whether everything that the oracle changes is changed in its order: what a verifier would ask for.
    pub fn does_the_oracles_steps<'a>(task: &Task, done: impl IntoIterator<Item = &'a Action>) -> bool {
        let mut due =
            task.solution.iter().map(|step| &step.action).filter(|action| action.may_change_state());
        let mut next = due.next();
        for action in done {
            if next == Some(action) {
                next = due.next();
            }
        }
        next.is_none()
    }
}

/// A command that isn't there, or a file: noticed at once, and changing nothing.
fn with_slips(moves: Vec<Move>, stream: &mut Stream) -> Vec<Move> {
    let mut slipped = Vec::with_capacity(moves.len());
    for one in moves {
        if one.action.is_some() && stream.happens(SLIP) {
            let action = match stream.index(2) {
                0 => Action::Bash { command: "gti status".to_owned(), timeout_seconds: None },
                _ => Action::Read { path: "READMEE.md".to_owned(), offset: None, limit: None },
            };
            slipped.push(Move::new("A look around first.", action));
        }
        slipped.push(one);
    }
    slipped
}
