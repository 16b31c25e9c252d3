//! One play of the gate: some steps on a fresh member, with everything that a rollout does but the journal.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::Oracle;
use trajforge_rollout::{Attempt, Recorder, Rollout};
use trajforge_schema::{Action, OracleStep, Record, RolloutSpec, State, Step, Summary, Task, Trap};

use crate::error::Error;
use crate::world::World;

/// What a tampering agent plants in the workspace and in its home: everything that a careless verifier would trip over.
const TAMPER: &str = include_str!("tamper.sh");
/// Lines of hidden text that are searched for in what the agent can read.
const TELLING_LINES: usize = 24;

/// What is played.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part<'a> {
    /// The oracle, and which time.
    Oracle(u8),
    /// Nothing that would help.
    Nothing,
    /// A search for hidden text, as the agent.
    Leak,
    /// Planted files that try to fool the verifier.
    Tamper,
    /// A plausible wrong solution.
    Trap(&'a Trap),
    /// Another member's solution.
    Cross(&'a Task),
}

impl Part<'_> {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Oracle(time) => format!("oracle {time}"),
            Self::Nothing => "nothing".to_owned(),
            Self::Leak => "leak".to_owned(),
            Self::Tamper => "tamper".to_owned(),
            Self::Trap(trap) => format!("trap {}", trap.name),
            Self::Cross(other) => format!("cross with seed {}", other.seed),
        }
    }

    fn steps(&self, task: &Task) -> Vec<OracleStep> {
        match self {
            Self::Oracle(_) => task.solution.clone(),
            // A change and its end, so that the milestones are looked at.
            Self::Nothing => vec![bash("touch .probe"), bash("rm .probe")],
            Self::Leak => vec![bash(&search_for_hidden_text(task))],
            Self::Tamper => vec![bash(TAMPER)],
            Self::Trap(trap) => trap.steps.clone(),
            Self::Cross(other) => other.solution.clone(),
        }
    }
}

/// What came of it.
pub(super) struct Played<'a> {
    pub(super) part: Part<'a>,
    pub(super) steps: Vec<Step>,
    pub(super) summary: Summary,
}

#[derive(Default)]
struct Kept(Vec<Step>);

impl Recorder for Kept {
    fn record(&mut self, record: &Record) -> Result<(), trajforge_rollout::Error> {
        if let Record::Step(step) = record {
            self.0.push(step.clone());
        }
        Ok(())
    }
}

pub(super) async fn play<'a>(
    world: &World,
    cancel: &CancellationToken,
    image: &str,
    task: &Task,
    part: Part<'a>,
) -> Result<Played<'a>, Error> {
    let name = part.name().replace(' ', "-");
    let spec = RolloutSpec {
        id: RolloutSpec::id_for(&task.id, &name, None, 1),
        template: task.template.clone(),
        version: task.version,
        seed: task.seed,
        task: task.id.clone(),
        model: None,
        scaffold: name,
        attempt: 1,
    };
    let run = "template-gate".parse().expect("this is a run name");
    let attempt = Attempt { task, rollout: &spec, run: &run, image, choice: None };
    let rollout = Rollout { sandboxes: &*world.sandboxes, clock: &*world.clock, cancel, alike: None };
    let mut kept = Kept::default();
    let mut scaffold = Oracle::playing(task, part.steps(task));
    match rollout.run(&attempt, &mut scaffold, &mut kept).await {
        Ok(finished) => Ok(Played { part, steps: kept.0, summary: finished.summary }),
        Err(trajforge_rollout::Error::Cancelled) => Err(Error::Interrupted),
        Err(trajforge_rollout::Error::Failed(failure)) => Err(Error::Stopped(failure)),
        Err(error @ trajforge_rollout::Error::Recorder(_)) => {
            unreachable!("what is kept in memory can't fail: {error}")
        }
    }
}

impl Played<'_> {
    pub(super) fn milestones_reached(&self) -> BTreeSet<&str> {
        self.steps.iter().flat_map(|step| &step.milestones).map(String::as_str).collect()
    }

    pub(super) fn milestones_missed(&self, task: &Task) -> Vec<String> {
        let reached = self.milestones_reached();
        let missed = task.milestones.iter().filter(|milestone| !reached.contains(milestone.name.as_str()));
        missed.map(|milestone| milestone.name.clone()).collect()
    }

    /// Commands may fail on purpose; an expert's file actions do not.
    pub(super) fn failed_file_actions(&self) -> impl Iterator<Item = (u32, &Step)> {
        let failed = |step: &&Step| step.observation.is_error && !matches!(step.action, Action::Bash { .. });
        self.steps.iter().filter(failed).map(|step| (step.step, step))
    }

    /// Where the search for hidden text found some.
    pub(super) fn leak(&self) -> Option<String> {
        let observation = &self.steps.first()?.observation;
        (observation.exit_code == Some(0)).then(|| observation.text.trim().replace('\n', ", "))
    }

    fn first_state(&self) -> &State {
        self.steps.first().map_or(&self.summary.final_state, |step| &step.state)
    }

    pub(super) fn differing_paths(&self, other: &Self) -> Vec<String> {
        let (one, two) = (&self.first_state().files.changed, &other.first_state().files.changed);
        let paths: BTreeSet<&String> = one.keys().chain(two.keys()).collect();
        paths.into_iter().filter(|path| one.get(*path) != two.get(*path)).take(5).cloned().collect()
    }
}

fn bash(command: &str) -> OracleStep {
    let action = Action::Bash { command: command.to_owned(), timeout_seconds: None };
    OracleStep { reasoning: String::new(), action }
}

/// A command that searches everything the agent can read for telling lines of the checks, and for what is left of
/// the setup. What the setup's own files say may well stand in the workspace: making it is what they are for.
fn search_for_hidden_text(task: &Task) -> String {
    let texts = |files: &'_ [trajforge_schema::TaskFile]| -> BTreeSet<String> {
        let lines = files.iter().filter_map(|file| file.content.as_text()).flat_map(str::lines);
        lines.map(|line| line.trim().to_owned()).collect()
    };
    let visible = texts(&task.files);
    let of_setup = texts(&task.setup_files);
    let hidden = task.verification.files.iter().filter(|file| file.path != "params.json");
    let lines = hidden.filter_map(|file| file.content.as_text());
    let mut telling: Vec<&str> = lines
        .flat_map(str::lines)
        .map(str::trim)
        .filter(|line| line.len() >= 40 && !visible.contains(*line) && !of_setup.contains(*line))
        .collect();
    telling.sort_by_key(|line| std::cmp::Reverse(line.len()));
    telling.truncate(TELLING_LINES);
    let patterns: Vec<String> =
        telling.iter().map(|line| format!("-e '{}'", line.replace('\'', r"'\''"))).collect();
    let left = "ls -d /setup /verify /setup/* /verify/* 2>/dev/null | head -5 | grep .";
    if patterns.is_empty() {
        return left.to_owned();
    }
    format!(
        "{left} || grep -rsIlF {} --exclude-dir=proc --exclude-dir=sys --exclude-dir=dev --exclude-dir=usr --exclude-dir=lib / | head -5 | grep .",
        patterns.join(" ")
    )
}
