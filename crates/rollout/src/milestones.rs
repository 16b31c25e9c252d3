//! Hidden partial credit: looked at by root after a change, out of the agent's reach.

mod asking;

use std::collections::BTreeMap;
use std::time::Duration;

use trajforge_sandbox::protocol::{Owner, SECRET_FOLDER};
use trajforge_sandbox::{Error, File, Sandbox, SandboxExt as _};
use trajforge_schema::{Failure, Milestone};

use self::asking::only_asks;
use crate::prepare::quoted;

/// How long one look at all of them may take; what it has not come to by then counts as not reached.
const LOOK_TIME: Duration = Duration::from_secs(10);
/// Where the looks are taken: one bash for all of them, since starting one takes longer than most looks.
const SESSION: &str = "milestones";

/// The milestones of one rollout.
pub(crate) struct Milestones<'a> {
    all: &'a [Milestone],
    reached: BTreeMap<String, bool>,
    weight: f64,
}

/// Lays the milestones' scripts where the agent can't read them.
pub(crate) async fn hide(sandbox: &dyn Sandbox, milestones: &[Milestone]) -> Result<(), Failure> {
    if milestones.is_empty() {
        return Ok(());
    }
    let scripts: Vec<File> = milestones
        .iter()
        .enumerate()
        .map(|(index, milestone)| File {
            path: format!("{index}.sh"),
            mode: 0o600,
            content: milestone.run.as_bytes().to_vec(),
        })
        .collect();
    sandbox.put(&folder(), Owner::Secret, &scripts).await?;
    Ok(())
}

fn folder() -> String {
    format!("{SECRET_FOLDER}/milestones")
}

impl<'a> Milestones<'a> {
    /// None of them reached.
    pub(crate) fn new(milestones: &'a [Milestone]) -> Self {
        let reached = milestones.iter().map(|milestone| (milestone.name.clone(), false)).collect();
        Self { all: milestones, reached, weight: milestones.iter().map(|milestone| milestone.weight).sum() }
    }

    /// Looks at those that were not reached before; gives the names of those that are now.
    pub(crate) async fn newly_reached(&mut self, sandbox: &dyn Sandbox) -> Result<Vec<String>, Error> {
        let left: Vec<usize> =
            (0..self.all.len()).filter(|index| !self.reached[&self.all[*index].name]).collect();
        if left.is_empty() {
            return Ok(Vec::new());
        }
        // The agent may have made the workspace anew since the last look.
        let mut look = format!("builtin cd -- {}\n", quoted(&sandbox.spec().workspace));
        for index in left {
            look.push_str(&self.look_at(index));
        }
        let found = match sandbox.look(SESSION, &look, LOOK_TIME).await {
            Ok(found) => found.output.text(),
            // The image has no bash, and so nothing that could look.
            Err(Error::Refused { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let newly: Vec<String> = found
            .lines()
            .filter_map(|index| Some(self.all.get(index.parse::<usize>().ok()?)?.name.clone()))
            .collect();
        for name in &newly {
            self.reached.insert(name.clone(), true);
        }
        Ok(newly)
    }

    /// A line of bash that prints the index of a milestone if it is reached. Each is looked at in a process of its own, since
    /// it may change folders, set variables, or exit; but for those that only ask.
    fn look_at(&self, index: usize) -> String {
        let script = self.all[index].run.trim();
        let look = if only_asks(script) {
            format!("{{ {script}; }}")
        } else {
            format!("(. {}/{index}.sh)", folder())
        };
        format!("{look} </dev/null >/dev/null 2>&1 && echo {index}\n")
    }

    /// The credit of some milestones: their share of all milestones' weight, times [`SHARE`](Self::SHARE).
    pub(crate) fn credit(&self, names: &[String]) -> f64 {
        let reached = self.all.iter().filter(|milestone| names.contains(&milestone.name));
        let weight: f64 = reached.map(|milestone| milestone.weight).sum();
        if weight == 0.0 { 0.0 } else { Self::SHARE * weight / self.weight }
    }

    /// Which have been reached.
    pub(crate) fn reached(&self) -> &BTreeMap<String, bool> {
        &self.reached
    }

    /// What all milestones together are worth on the way; the last step settles the rest of the total.
    pub(crate) const SHARE: f64 = 0.5;
}
