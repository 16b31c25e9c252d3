//! The mistakes that models make, as a simulated one makes them.

use serde::{Deserialize, Serialize};
use trajforge_schema::{Action, Position, Task};

use crate::stream::Stream;

use super::play::{Move, Play};

/// How often a loop repeats itself before it gives up.
const ROUNDS: usize = 12;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mistake {
    /// One of the task's traps: a plausible wrong solution.
    Trap,
    /// A step is left out.
    Forgotten,
    /// A step is done with the wrong content.
    WrongEdit,
    /// The work is left half done and declared finished.
    GaveUp,
    /// The same look again and again, until there is no patience left.
    Loop,
}

/// A play that goes wrong in a way that the task allows; mended with the given probability where that can be.
pub(super) fn mistaken(task: &Task, recovers: f64, stream: &mut Stream) -> Play {
    let changes: Vec<usize> = places(task, Action::may_change_state);
    let edits: Vec<usize> = places(task, |action| wrong(action).is_some());
    let mut kinds = vec![Mistake::GaveUp, Mistake::Loop];
    kinds.extend((!changes.is_empty()).then_some(Mistake::Forgotten));
    // The most common of all.
    kinds.extend([Mistake::WrongEdit; 2].into_iter().filter(|_| !edits.is_empty()));
    kinds.extend([Mistake::Trap; 2].into_iter().filter(|_| !task.traps.is_empty()));
    let mistake = kinds[stream.index(kinds.len())];
    let can_be_mended = matches!(mistake, Mistake::Forgotten | Mistake::WrongEdit);
    let mended = can_be_mended && stream.happens(recovers);
    let moves = match mistake {
        Mistake::Trap => {
            let trap = &task.traps[stream.index(task.traps.len())];
            let mut moves: Vec<Move> = trap.steps.iter().map(Move::of).collect();
            let ends = matches!(moves.last(), Some(Move { action: Some(Action::Submit { .. }), .. }));
            moves.extend((!ends).then(submit));
            moves
        }
        Mistake::Forgotten => forgotten(task, changes[stream.index(changes.len())], mended),
        Mistake::WrongEdit => wrong_edit(task, edits[stream.index(edits.len())], mended),
        Mistake::GaveUp => {
            let mut moves = half_done(task, &changes, stream);
            moves.push(submit());
            moves
        }
        Mistake::Loop => {
            let mut moves = half_done(task, &changes, stream);
            let again = Move::new("Where was that again?", Action::List { path: None });
            moves.extend(std::iter::repeat_n(again, ROUNDS));
            moves.push(Move { reasoning: "I can't find it, so I stop here.".to_owned(), action: None });
            moves
        }
    };
    Play { moves, mistake: Some(mistake), mended }
}

fn places(task: &Task, fits: impl Fn(&Action) -> bool) -> Vec<usize> {
    let fitting = task.solution.iter().enumerate().filter(|(_, step)| fits(&step.action));
    fitting.map(|(place, _)| place).collect()
}

/// The first steps, up to some point before the last change.
fn half_done(task: &Task, changes: &[usize], stream: &mut Stream) -> Vec<Move> {
    let until = stream.index(changes.last().map_or(task.solution.len(), |last| last + 1));
    task.solution[..until].iter().map(Move::of).collect()
}

fn submit() -> Move {
    Move::new("That should be all.", Action::Submit { message: None })
}

/// Every step but one; where it is noticed, that one comes later than it should, after a look.
fn forgotten(task: &Task, place: usize, mended: bool) -> Vec<Move> {
    let mut moves = Vec::new();
    for (index, step) in task.solution.iter().enumerate() {
        if index != place {
            moves.push(Move::of(step));
        } else if mended {
            moves.push(Move::new("Is anything missing so far?", Action::List { path: None }));
            moves.push(Move {
                reasoning: format!("I had left this out. {}", step.reasoning),
                ..Move::of(step)
            });
        }
    }
    moves
}

/// Every step, one of them wrongly; where it is noticed it is taken back, and done as it should be.
fn wrong_edit(task: &Task, place: usize, mended: bool) -> Vec<Move> {
    let mut moves = Vec::new();
    for (index, step) in task.solution.iter().enumerate() {
        let Some(wrong) = (index == place).then(|| wrong(&step.action)).flatten() else {
            moves.push(Move::of(step));
            continue;
        };
        moves.push(Move { reasoning: step.reasoning.clone(), action: Some(wrong.clone()) });
        if mended {
            if let Some(back) = taken_back(&wrong) {
                moves.push(Move::new("That was wrong, so back to what it was.", back));
            }
            moves.push(Move { reasoning: format!("As it should be: {}", step.reasoning), ..Move::of(step) });
        }
    }
    moves
}

/// An action that looks like this one and does something else; nothing where none can be made that can be mended.
fn wrong(action: &Action) -> Option<Action> {
    match action {
        Action::Write { path, content } => {
            Some(Action::Write { path: path.clone(), content: garbled(content)? })
        }
        Action::Edit { path, old, new, occurrence: Position::Unique } => {
            let (path, old, new) = (path.clone(), old.clone(), garbled(new)?);
            (new != old).then_some(Action::Edit { path, old, new, occurrence: Position::Unique })
        }
        _ => None,
    }
}

/// What undoes a wrong edit; a file that was written whole is simply written again.
fn taken_back(wrong: &Action) -> Option<Action> {
    match wrong {
        Action::Edit { path, old, new, occurrence } => Some(Action::Edit {
            path: path.clone(),
            old: new.clone(),
            new: old.clone(),
            occurrence: *occurrence,
        }),
        _ => None,
    }
}

/// The last digit one more, or the last letter another one.
fn garbled(text: &str) -> Option<String> {
    let place = text.rfind(|c: char| c.is_ascii_digit());
    let place = place.or_else(|| text.rfind(|c: char| c.is_ascii_lowercase()))?;
    let byte = text.as_bytes()[place];
    let other = match byte {
        b'9' => '0',
        b'z' => 'a',
        _ => char::from(byte + 1),
    };
    Some(format!("{}{other}{}", &text[..place], &text[place + 1..]))
}
