//! The plan of a run: every task with every scaffold and model, in an order of which any beginning is balanced.

use std::collections::{BTreeMap, HashSet};

use trajforge_schema::{Difficulty, RolloutSpec, Seed, TaskId, TemplateId};

use crate::error::{Error, Result};

/// What to plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanRequest {
    /// The tasks, in any order.
    pub tasks: Vec<PlannedTask>,
    /// The models' names, for the scaffolds that need one.
    pub models: Vec<String>,
    /// The scaffolds.
    pub scaffolds: Vec<ScaffoldUse>,
    /// Attempts at each task by each scaffold with each model; at least 1.
    pub attempts: u32,
}

/// What a plan has to know of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTask {
    /// The template.
    pub template: TemplateId,
    /// Its version.
    pub version: u32,
    /// Which member.
    pub seed: Seed,
    /// The task's id.
    pub task: TaskId,
    /// The category.
    pub category: String,
    /// How hard it is.
    pub difficulty: Difficulty,
}

/// A scaffold, and whether each model is to be tried with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScaffoldUse {
    /// The scaffold's name.
    pub name: String,
    /// False for `oracle`, `nop` and whatever else acts without a model.
    pub needs_model: bool,
}

/// A rollout with its place in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// What to do.
    pub spec: RolloutSpec,
    /// Higher ones come first; equal ones in the order of the plan.
    pub priority: i64,
}

/// Plans a run: tasks x scaffolds x models x attempts.
///
/// The order depends on the request's content and on the order of its models and scaffolds, not on that of its tasks.
/// All first attempts come before all second ones (and have the higher priority: 0, -1, ...). Among them the
/// categories take turns, within a category its templates, within a template its seeds; what is done with one task
/// stands together. So a run that is stopped early has seen as much variety as it could.
pub fn plan(request: &PlanRequest) -> Result<Vec<Planned>> {
    let counts = [
        ("tasks", request.tasks.len()),
        ("scaffolds", request.scaffolds.len()),
        ("attempts", request.attempts as usize),
    ];
    if let Some((what, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
        return Err(Error::NothingToPlan { what });
    }
    let actors = actors_of(request)?;
    let tasks = taking_turns(&request.tasks);
    let mut ids = HashSet::new();
    let mut planned = Vec::with_capacity(tasks.len() * actors.len() * request.attempts as usize);
    for attempt in 1..=request.attempts {
        for task in &tasks {
            for (scaffold, model) in &actors {
                let spec = spec_of(task, scaffold, *model, attempt);
                if !ids.insert(spec.id.clone()) {
                    return Err(Error::PlannedTwice { rollout: spec.id });
                }
                planned.push(Planned { spec, priority: 1 - i64::from(attempt) });
            }
        }
    }
    Ok(planned)
}

/// Each scaffold with each model, and once without where it needs none.
fn actors_of(request: &PlanRequest) -> Result<Vec<(&str, Option<&str>)>> {
    let mut actors = Vec::new();
    for scaffold in &request.scaffolds {
        if !scaffold.needs_model {
            actors.push((scaffold.name.as_str(), None));
            continue;
        }
        if request.models.is_empty() {
            return Err(Error::NoModel { scaffold: scaffold.name.clone() });
        }
        for model in &request.models {
            actors.push((scaffold.name.as_str(), Some(model.as_str())));
        }
    }
    Ok(actors)
}

fn taking_turns(tasks: &[PlannedTask]) -> Vec<&PlannedTask> {
    let mut categories: BTreeMap<&str, BTreeMap<&TemplateId, Vec<&PlannedTask>>> = BTreeMap::new();
    for task in tasks {
        let templates = categories.entry(&task.category).or_default();
        templates.entry(&task.template).or_default().push(task);
    }
    let mut ranked = Vec::with_capacity(tasks.len());
    for templates in categories.values_mut() {
        for (template_rank, members) in templates.values_mut().enumerate() {
            members.sort_by(|a, b| (a.seed, &a.task).cmp(&(b.seed, &b.task)));
            for (member_rank, task) in members.iter().enumerate() {
                ranked.push(((member_rank, template_rank), *task));
            }
        }
    }
    // Stable: among equal ranks the categories stay in their order.
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, task)| task).collect()
}

fn spec_of(task: &PlannedTask, scaffold: &str, model: Option<&str>, attempt: u32) -> RolloutSpec {
    RolloutSpec {
        id: RolloutSpec::id_for(&task.task, scaffold, model, attempt),
        template: task.template.clone(),
        version: task.version,
        seed: task.seed,
        task: task.task.clone(),
        model: model.map(str::to_owned),
        scaffold: scaffold.to_owned(),
        attempt,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use trajforge_schema::Digest;

    use super::*;

    fn task(template: &str, seed: u64) -> PlannedTask {
        let template: TemplateId = template.parse().unwrap();
        let digest = Digest::of(template.as_str().as_bytes());
        PlannedTask {
            version: 1,
            seed: Seed(seed),
            task: format!("{}-{seed}-{}", template.name(), digest.short()).parse().unwrap(),
            category: template.category().to_owned(),
            difficulty: Difficulty::Easy,
            template,
        }
    }

    fn request(templates: &[&str], seeds: u64) -> PlanRequest {
        let tasks = templates.iter().flat_map(|template| (0..seeds).map(|seed| task(template, seed)));
        PlanRequest {
            tasks: tasks.collect(),
            models: Vec::new(),
            scaffolds: vec![ScaffoldUse { name: "oracle".to_owned(), needs_model: false }],
            attempts: 1,
        }
    }

    fn tools() -> ScaffoldUse {
        ScaffoldUse { name: "tools".to_owned(), needs_model: true }
    }

    #[test]
    fn scaffolds_without_a_model_are_planned_once_and_the_others_for_each_model() {
        let mut request = request(&["a/x"], 1);
        request.scaffolds.push(tools());
        request.models = vec!["small".to_owned(), "large".to_owned()];
        request.attempts = 2;
        let planned = plan(&request).unwrap();
        let actors: Vec<_> = planned
            .iter()
            .map(|one| {
                (one.spec.scaffold.as_str(), one.spec.model.as_deref(), one.spec.attempt, one.priority)
            })
            .collect();
        assert_eq!(
            actors,
            [
                ("oracle", None, 1, 0),
                ("tools", Some("small"), 1, 0),
                ("tools", Some("large"), 1, 0),
                ("oracle", None, 2, -1),
                ("tools", Some("small"), 2, -1),
                ("tools", Some("large"), 2, -1),
            ]
        );
    }

    #[test]
    fn categories_take_turns_and_within_them_templates() {
        let planned = plan(&request(&["a/x", "a/y", "b/z"], 2)).unwrap();
        let order: Vec<_> = planned.iter().map(|one| (one.spec.template.as_str(), one.spec.seed.0)).collect();
        assert_eq!(order, [("a/x", 0), ("b/z", 0), ("a/y", 0), ("a/x", 1), ("b/z", 1), ("a/y", 1)]);
    }

    #[test]
    fn a_request_that_can_not_be_planned_says_what_is_missing() {
        let good = request(&["a/x"], 1);
        let without_model = PlanRequest { scaffolds: vec![tools()], ..good.clone() };
        assert!(matches!(plan(&without_model), Err(Error::NoModel { scaffold }) if scaffold == "tools"));
        let twice = PlanRequest {
            models: vec!["a/b".to_owned(), "a-b".to_owned()],
            scaffolds: vec![tools()],
            ..good.clone()
        };
        assert!(matches!(plan(&twice), Err(Error::PlannedTwice { .. })));
        for nothing in [
            PlanRequest { tasks: Vec::new(), ..good.clone() },
            PlanRequest { scaffolds: Vec::new(), ..good.clone() },
            PlanRequest { attempts: 0, ..good },
        ] {
            assert!(matches!(plan(&nothing), Err(Error::NothingToPlan { .. })));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Everything is planned once, in an order that does not depend on that of the tasks, and at any moment the
        /// templates of a category differ by at most one task.
        #[test]
        fn any_beginning_of_a_plan_is_balanced(templates in 1usize..7, seeds in 1u64..6, turn in 0usize..40) {
            let names = ["a/p", "a/q", "a/r", "b/p", "b/q", "c/p", "d/p"];
            let mut request = request(&names[..templates], seeds);
            let whole = plan(&request).unwrap();
            prop_assert_eq!(whole.len() as u64, templates as u64 * seeds);
            let count = request.tasks.len();
            request.tasks.rotate_left(turn % count);
            prop_assert_eq!(&plan(&request).unwrap(), &whole);
            let mut done: BTreeMap<_, _> = names[..templates].iter().map(|name| (*name, 0u64)).collect();
            for planned in &whole {
                *done.get_mut(planned.spec.template.as_str()).unwrap() += 1;
                let (least, most) = (done.values().min().unwrap(), done.values().max().unwrap());
                prop_assert!(most - least <= 1);
            }
        }
    }
}
