//! From checks and milestones to a reward: named components and one declared total.

use std::collections::BTreeMap;

use trajforge_schema::{CheckKind, CheckResult, Reward, RewardComponent, Task};

/// Raised when the meaning of a component changes.
const VERSION: u32 = 1;

/// The reward of a final state: the weighted share of goals that hold, times the weighted share of guards that do.
/// Without any result of a check the total is 0: verification fails closed.
pub(crate) fn of(task: &Task, results: &[CheckResult], reached: &BTreeMap<String, bool>) -> Reward {
    let passed = |name: &str| results.iter().any(|result| result.name == name && result.passed);
    let checks = &task.verification.checks;
    let share = |kind: CheckKind| {
        let of_kind = || checks.iter().filter(move |check| check.kind == kind);
        let all: f64 = of_kind().map(|check| check.weight).sum();
        let held = of_kind().filter(|check| passed(&check.name)).fold(0.0, |sum, check| sum + check.weight);
        if of_kind().next().is_none() { None } else { Some(if held >= all { 1.0 } else { held / all }) }
    };
    let guards = if results.is_empty() { 0.0 } else { share(CheckKind::Guard).unwrap_or(1.0) };
    let total = share(CheckKind::Goal).unwrap_or(0.0) * guards;
    let value = |holds: bool| if holds { 1.0 } else { 0.0 };
    let mut components: Vec<RewardComponent> = checks
        .iter()
        .map(|check| RewardComponent {
            name: format!("check:{}", check.name),
            version: VERSION,
            value: value(passed(&check.name)),
            weight: check.weight,
        })
        .collect();
    components.extend(task.milestones.iter().map(|milestone| RewardComponent {
        name: format!("milestone:{}", milestone.name),
        version: VERSION,
        value: value(reached.get(&milestone.name).copied().unwrap_or(false)),
        weight: milestone.weight,
    }));
    Reward { total, components }
}
