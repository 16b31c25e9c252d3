//! The reaper: removes the containers of workers that died without doing so themselves.

use std::collections::HashMap;

use bollard::models::ContainerSummary;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use trajforge_schema::Event;

use crate::engine::{Engine, status};
use crate::error::Result;
use crate::owner::{OWNER_LABEL, Owner, ROLLOUT_LABEL, RUN_LABEL};
use crate::sandbox::docker::Docker;

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Its id, in full.
    pub id: String,
    /// The run it belongs to.
    pub run: String,
    /// The rollout it belongs to.
    pub rollout: String,
}

impl Docker {
    /// Removes every container whose worker is dead, and tells of each; those of live workers are never touched.
    /// Gives back how many were removed.
    pub async fn reap(&self, tell: &mut (dyn FnMut(Event) + Send)) -> Result<usize> {
        reap(&self.maker.engine, tell).await
    }
}

pub(crate) async fn reap(engine: &Engine, tell: &mut (dyn FnMut(Event) + Send)) -> Result<usize> {
    let mut removed = 0;
    for leftover in leftovers(engine).await? {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match engine.client.remove_container(&leftover.id, Some(options)).await {
            Ok(()) => {
                removed += 1;
                tell(Event::Reaped { what: leftover.describe() });
            }
            // Gone or going: somebody else reaps too, or it ended by itself.
            Err(error) if matches!(status(&error), Some(404 | 409)) => {}
            Err(error) => return Err(engine.error("remove a leftover container", error)),
        }
    }
    Ok(removed)
}

/// The containers whose worker is dead.
pub(crate) async fn leftovers(engine: &Engine) -> Result<Vec<Leftover>> {
    let filters = HashMap::from([("label".to_owned(), vec![RUN_LABEL.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let containers = engine
        .client
        .list_containers(Some(options))
        .await
        .map_err(|error| engine.error("list containers", error))?;
    Ok(containers.into_iter().filter_map(leftover).collect())
}

fn leftover(container: ContainerSummary) -> Option<Leftover> {
    let labels = container.labels.unwrap_or_default();
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    let is_dead = Owner::parse(&label(OWNER_LABEL)).is_some_and(|owner| owner.is_dead());
    is_dead.then_some(Leftover { id: container.id?, run: label(RUN_LABEL), rollout: label(ROLLOUT_LABEL) })
}

impl Leftover {
    fn describe(&self) -> String {
        let id = self.id.get(..12).unwrap_or(&self.id);
        format!("container {id} of rollout {} in run {}", self.rollout, self.run)
    }
}
