//! The models of a run, ready to be asked; simulated ones are started.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use trajforge_router::{Endpoint, Simulated, Stream};
use trajforge_schema::{RunPlan, Seed, Task, Unpriced};
use trajforge_template::Library;

use crate::error::Error;
use crate::world::World;

/// Every model that a plan may ask.
pub(crate) struct Models {
    /// By the names of their entries.
    pub(crate) endpoints: BTreeMap<String, Arc<Endpoint>>,
    /// Those that are programs of this process.
    pub(crate) simulated: Vec<Simulated>,
}

impl Models {
    /// Those that the plan and its route name. One whose price is unknown is refused unless that is allowed.
    pub(crate) async fn of(
        world: &World,
        library: &Library,
        plan: &RunPlan,
        unpriced: Unpriced,
    ) -> Result<Self, Error> {
        let mut models = Self { endpoints: BTreeMap::new(), simulated: Vec::new() };
        for name in names(world, plan)? {
            let mut entry = world.catalog.entry(&name)?.clone();
            if entry.price.is_none() && unpriced == Unpriced::Refuse {
                return Err(trajforge_router::Error::Unpriced { model: name }.into());
            }
            if let Some(skill) = entry.simulated.clone() {
                let seed = Stream::new(0, &format!("simulated {name}")).bits();
                let started = Simulated::start(entry, skill, tasks(library, plan)?, seed).await;
                let simulated = started.map_err(|source| trajforge_router::Error::Listen {
                    address: "the loopback interface".to_owned(),
                    source,
                })?;
                entry = simulated.entry().clone();
                models.simulated.push(simulated);
            }
            models.endpoints.insert(name, world.endpoint_of(entry)?);
        }
        Ok(models)
    }
}

fn names(world: &World, plan: &RunPlan) -> Result<BTreeSet<String>, Error> {
    let mut names: BTreeSet<String> = plan.rollouts.iter().filter_map(|spec| spec.model.clone()).collect();
    if let Some(route) = &plan.route {
        if world.catalog.entry(&route.name).is_ok() {
            let message = "a model has the same name".to_owned();
            return Err(trajforge_router::Error::Route { name: route.name.clone(), message }.into());
        }
        names.remove(&route.name);
        names.extend(route.everyone());
    }
    Ok(names)
}

/// The tasks of a plan, each once.
fn tasks(library: &Library, plan: &RunPlan) -> Result<Vec<Arc<Task>>, Error> {
    let mut members: BTreeMap<&str, BTreeSet<Seed>> = BTreeMap::new();
    for spec in &plan.rollouts {
        members.entry(spec.template.as_str()).or_default().insert(spec.seed);
    }
    let mut tasks = Vec::new();
    for (template, seeds) in members {
        let template = library.template(template)?;
        for seed in seeds {
            tasks.push(Arc::new(template.make(seed)?));
        }
    }
    Ok(tasks)
}
