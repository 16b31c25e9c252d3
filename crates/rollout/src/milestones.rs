//! Hidden partial credit: looked at by root after a change, out of the agent's reach.

use std::collections::BTreeMap;
use std::time::Duration;

use trajforge_sandbox::protocol::{Owner, SECRET_FOLDER};
use trajforge_sandbox::{Exec, File, Sandbox, SandboxExt as _};
use trajforge_schema::{Failure, Milestone};

/// How long one look may take; longer counts as not reached.
const LOOK_TIME: Duration = Duration::from_secs(5);

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
    let script = |(index, milestone): (usize, &Milestone)| File {
        path: format!("{index}.sh"),
        mode: 0o600,
        content: milestone.run.clone().into_bytes(),
    };
    let scripts: Vec<File> = milestones.iter().enumerate().map(script).collect();
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
    pub(crate) async fn newly_reached(
        &mut self,
        sandbox: &dyn Sandbox,
    ) -> Result<Vec<String>, trajforge_sandbox::Error> {
        let mut newly = Vec::new();
        for (index, milestone) in self.all.iter().enumerate() {
            if self.reached[&milestone.name] {
                continue;
            }
            let script = format!("{}/{index}.sh", folder());
            let look = Exec::argv(["bash".to_owned(), script]).as_root().unobserved().within(LOOK_TIME);
            if sandbox.exec(look).await?.succeeded() {
                newly.push(milestone.name.clone());
            }
        }
        for name in &newly {
            self.reached.insert(name.clone(), true);
        }
        Ok(newly)
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
