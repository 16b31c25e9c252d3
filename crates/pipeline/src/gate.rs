//! The template gate: what makes a template worth having is proven in real containers.

mod play;

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use trajforge_schema::{CheckKind, Seed, Task};
use trajforge_template::{Balance, Finding, Similarity, Template, balance, check_render, near_copies};

use crate::error::Error;
use crate::tasks::Selection;
use crate::world::World;
use play::{Part, Played, play};

/// What to check.
#[derive(Debug, Clone)]
pub struct GateOrder {
    /// The templates.
    pub templates: Selection,
    /// Over which seeds.
    pub seeds: Vec<Seed>,
    /// Plays at the same time.
    pub workers: usize,
    /// Leave out everything that needs a container.
    pub render_only: bool,
}

/// What the gate says.
#[derive(Debug, Clone, Serialize)]
pub struct GateReport {
    /// Each template.
    pub templates: Vec<TemplateReport>,
    /// How evenly the templates spread.
    pub balance: Vec<Balance>,
    /// Pairs that are too much alike.
    pub near_copies: Vec<Similarity>,
    /// The most similar pair, whatever it is.
    pub most_similar: Option<Similarity>,
    /// Whether everything holds.
    pub passed: bool,
}

/// What the gate says of one template.
#[derive(Debug, Clone, Serialize)]
pub struct TemplateReport {
    /// Its id.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// What is wrong; nothing, if it passes.
    pub findings: Vec<Finding>,
    /// What was played.
    pub plays: Vec<PlayReport>,
}

/// One play of the gate.
#[derive(Debug, Clone, Serialize)]
pub struct PlayReport {
    /// Which: `oracle`, `nothing`, `trap NAME` ...
    pub part: String,
    /// On which seed.
    pub seed: Seed,
    /// What it earned.
    pub reward: f64,
    /// How many steps it took.
    pub steps: u32,
    /// Seconds from the first action to the last.
    pub seconds: f64,
    /// The checks that failed.
    pub failing: Vec<String>,
}

/// Hears of each play as it ends: the template's id, and what came of it.
pub type OnPlay<'a> = &'a (dyn Fn(&str, &PlayReport) + Sync);

/// What every play of a check needs.
struct Gate<'a> {
    world: &'a World,
    workers: usize,
    cancel: &'a CancellationToken,
    on_play: OnPlay<'a>,
}

/// Checks templates; `on_play` hears of each play as it ends.
pub async fn check(
    world: &World,
    order: &GateOrder,
    cancel: &CancellationToken,
    on_play: OnPlay<'_>,
) -> Result<GateReport, Error> {
    let gate = Gate { world, workers: order.workers.max(1), cancel, on_play };
    let templates = order.templates.templates(&world.library()?)?;
    let mut reports = Vec::new();
    let mut members = Vec::new();
    for template in &templates {
        let (tasks, findings) = check_render(template, &order.seeds)?;
        let mut report = TemplateReport {
            id: template.id.to_string(),
            version: template.definition.version,
            findings,
            plays: Vec::new(),
        };
        if !order.render_only {
            gate.in_containers(template, &tasks, &mut report).await?;
        }
        members.extend(tasks.into_iter().next());
        reports.push(report);
    }
    let (near_copies, most_similar) = near_copies(&members);
    let passed = near_copies.is_empty() && reports.iter().all(|report| report.findings.is_empty());
    Ok(GateReport { templates: reports, balance: balance(&templates), near_copies, most_similar, passed })
}

impl Gate<'_> {
    async fn in_containers(
        &self,
        template: &Template,
        tasks: &[Task],
        report: &mut TemplateReport,
    ) -> Result<(), Error> {
        let Self { world, cancel, .. } = self;
        let names = BTreeSet::from([template.definition.environment.image.clone()]);
        let images = world.images(&names).await?;
        let image = images.values().next().map(String::as_str).unwrap_or_default();
        let parts =
            tasks.iter().flat_map(|task| parts(task, tasks).into_iter().map(move |part| (task, part)));
        let plays =
            parts.map(|(task, part)| async move { (task, play(world, cancel, image, task, part).await) });
        let mut plays = stream::iter(plays).buffer_unordered(self.workers);
        let mut played = Vec::new();
        while let Some((task, one)) = plays.next().await {
            let one = one?;
            let row = row(task, &one);
            (self.on_play)(&report.id, &row);
            report.plays.push(row);
            played.push((task, one));
        }
        report.plays.sort_by(|a, b| (a.seed, &a.part).cmp(&(b.seed, &b.part)));
        for (task, one) in &played {
            judge(task, one, &mut report.findings);
        }
        same_world(&played, &mut report.findings);
        report.findings.sort_by(|a, b| (a.rule, &a.detail).cmp(&(b.rule, &b.detail)));
        Ok(())
    }
}

/// Everything that is played on one member.
fn parts<'a>(task: &'a Task, tasks: &'a [Task]) -> Vec<Part<'a>> {
    let mut parts = vec![Part::Oracle(1), Part::Oracle(2), Part::Nothing, Part::Leak, Part::Tamper];
    parts.extend(task.traps.iter().map(Part::Trap));
    let at = tasks.iter().position(|other| other.seed == task.seed).unwrap_or(0);
    let others = tasks[at + 1..].iter().chain(&tasks[..at]);
    let other = others.into_iter().find(|other| other.cluster != task.cluster);
    parts.extend(other.map(Part::Cross));
    parts
}

fn row(task: &Task, played: &Played<'_>) -> PlayReport {
    let summary = &played.summary;
    let failing = summary.checks.iter().filter(|check| !check.passed).map(|check| check.name.clone());
    PlayReport {
        part: played.part.name(),
        seed: task.seed,
        reward: summary.reward.total,
        steps: u32::try_from(played.steps.len()).unwrap_or(u32::MAX),
        seconds: summary.execution_seconds,
        failing: failing.collect(),
    }
}

/// Holds one play against the rule it stands for.
fn judge(task: &Task, played: &Played<'_>, findings: &mut Vec<Finding>) {
    let (summary, seed, name) = (&played.summary, task.seed, played.part.name());
    let total = summary.reward.total;
    let mut found = |rule: &'static str, detail: String| {
        findings.push(Finding { rule, detail: format!("seed {seed}, {name}: {detail}") });
    };
    for check in summary.checks.iter().filter(|check| !check.passed && check.exit_code != Some(1)) {
        let how = check.exit_code.map_or("a timeout".to_owned(), |code| format!("exit code {code}"));
        found("broken-check", format!("{} ended with {how}: {}", check.name, last_lines(&check.output)));
    }
    if summary.checks.is_empty() {
        found("verified", format!("there was no verdict: {:?}", summary.ending));
        return;
    }
    match &played.part {
        Part::Oracle(_) => {
            if total < 1.0 {
                let failing = summary.checks.iter().filter(|check| !check.passed);
                let why: Vec<String> =
                    failing.map(|check| format!("{} ({})", check.name, last_lines(&check.output))).collect();
                found("oracle", format!("earned {total:.3}: {}", why.join("; ")));
            }
            for milestone in played.milestones_missed(task) {
                found("oracle", format!("the milestone {milestone} was never reached"));
            }
            for (number, step) in played.failed_file_actions() {
                found("oracle", format!("step {number} failed: {}", last_lines(&step.observation.text)));
            }
        }
        Part::Nothing => {
            if total > 0.0 {
                found("nothing", format!("doing nothing earned {total:.3}"));
            }
            for milestone in played.milestones_reached() {
                found("nothing", format!("the milestone {milestone} holds at the start"));
            }
            let holds = |kind: CheckKind, passed: bool| {
                let of_kind = task.verification.checks.iter().filter(move |check| check.kind == kind);
                let names: Vec<&str> = of_kind.map(|check| check.name.as_str()).collect();
                let fits = move |result: &&trajforge_schema::CheckResult| {
                    result.passed == passed && names.contains(&result.name.as_str())
                };
                summary.checks.iter().filter(fits).map(|result| result.name.clone()).collect::<Vec<_>>()
            };
            for name in holds(CheckKind::Goal, true) {
                found("nothing", format!("the goal {name} holds at the start"));
            }
            for name in holds(CheckKind::Guard, false) {
                found("nothing", format!("the guard {name} does not hold at the start"));
            }
        }
        Part::Leak => {
            if let Some(leak) = played.leak() {
                found("leak", format!("the agent can read hidden text in {leak}"));
            }
        }
        Part::Tamper if total > 0.0 => found("tamper", format!("planted files earned {total:.3}")),
        Part::Trap(trap) => {
            if total >= 1.0 {
                found("traps", "it earned the full reward".to_owned());
            }
            for name in &trap.fails {
                if summary.checks.iter().any(|check| check.name == *name && check.passed) {
                    found("traps", format!("the check {name} passed and should have failed"));
                }
            }
        }
        Part::Cross(_) if total >= 1.0 => found("cross", "another answer earned the full reward".to_owned()),
        Part::Tamper | Part::Cross(_) => {}
    }
}

/// The workspace after setup is the same every time.
fn same_world(played: &[(&Task, Played<'_>)], findings: &mut Vec<Finding>) {
    for (task, one) in played {
        let Some((_, other)) = played.iter().find(|(other, _)| other.seed == task.seed) else { continue };
        let differing = one.differing_paths(other);
        if !differing.is_empty() {
            let detail =
                format!("seed {}: the setup makes {} differently each time", task.seed, differing.join(", "));
            let finding = Finding { rule: "same-bytes", detail };
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}
