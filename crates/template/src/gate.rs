//! The template gate's pure half: what can be proven without a container.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use trajforge_schema::{Action, CheckKind, Seed, Task};

use crate::error::Error;
use crate::library::Template;

/// The oracle's fewest actions.
const FEWEST_ORACLE_STEPS: usize = 12;
/// The fewest traps that apply to a member.
const FEWEST_TRAPS: usize = 3;
/// The milestones of a template.
const FEWEST_MILESTONES: usize = 4;
/// Consecutive hidden lines that a visible file may share with the verification before it counts as a leak.
const LEAK_LINES: usize = 4;
/// Jaccard similarity of five-word shingles from which two templates count as copies of each other.
const COPY_SIMILARITY: f64 = 0.5;

/// Something that the gate says of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule: a short kebab-case word.
    pub rule: &'static str,
    /// What was found, for people.
    pub detail: String,
}

fn finding(rule: &'static str, detail: impl Into<String>) -> Finding {
    Finding { rule, detail: detail.into() }
}

/// Renders each seed twice and looks at what comes out; an empty list means that this half of the gate is passed.
pub fn check_render(template: &Template, seeds: &[Seed]) -> Result<(Vec<Task>, Vec<Finding>), Error> {
    let mut findings = Vec::new();
    let mut tasks = Vec::new();
    for seed in seeds {
        let task = template.make(*seed)?;
        if task.digest != template.make(*seed)?.digest {
            findings.push(finding("same-bytes", format!("seed {seed} renders differently the second time")));
        }
        of_task(&task, &mut findings);
        tasks.push(task);
    }
    if seeds.len() >= 3 {
        let clusters: BTreeSet<_> = tasks.iter().map(|task| &task.cluster).collect();
        if clusters.len() < 2 {
            findings.push(finding(
                "variation",
                "all seeds have the same answer: the parameters change nothing that matters",
            ));
        }
        let shapes: BTreeSet<_> = tasks.iter().map(shape).collect();
        if shapes.len() < 2 {
            findings.push(finding(
                "variation",
                "the oracle does the same on all seeds, but for names and numbers",
            ));
        }
    }
    Ok((tasks, findings))
}

fn of_task(task: &Task, findings: &mut Vec<Finding>) {
    let seed = task.seed;
    let acting = |step: &&trajforge_schema::OracleStep| {
        !matches!(step.action, Action::Think { .. } | Action::Submit { .. })
    };
    let actions = task.solution.iter().filter(acting).count();
    if actions < FEWEST_ORACLE_STEPS {
        let detail =
            format!("seed {seed}: the oracle takes {actions} actions, fewer than {FEWEST_ORACLE_STEPS}");
        findings.push(finding("oracle-length", detail));
    }
    if task.solution.iter().any(|step| step.reasoning.len() < 20) {
        findings.push(finding(
            "reasoning",
            format!("seed {seed}: a step of the oracle has no reasoning worth reading"),
        ));
    }
    if !matches!(task.solution.last().map(|step| &step.action), Some(Action::Submit { .. })) {
        findings.push(finding("submit", format!("seed {seed}: the oracle does not end with submit")));
    }
    let looks =
        task.solution.iter().position(|step| step.action.may_change_state() && is_change(&step.action));
    if looks.is_some_and(|first| first < 3) {
        findings.push(finding(
            "looks-first",
            format!("seed {seed}: the oracle changes something within its first three steps"),
        ));
    }
    if task.traps.len() < FEWEST_TRAPS {
        findings.push(finding(
            "traps",
            format!("seed {seed}: {} traps apply, fewer than {FEWEST_TRAPS}", task.traps.len()),
        ));
    }
    if task.milestones.len() < FEWEST_MILESTONES {
        findings.push(finding(
            "milestones",
            format!("{} milestones, fewer than {FEWEST_MILESTONES}", task.milestones.len()),
        ));
    }
    if !task.verification.checks.iter().any(|check| check.kind == CheckKind::Goal) {
        findings.push(finding("goals", format!("seed {seed}: there is no goal among the checks")));
    }
    leaks(task, findings);
}

fn is_change(action: &Action) -> bool {
    matches!(action, Action::Write { .. } | Action::Edit { .. })
}

/// Hidden text that stands in a visible file.
fn leaks(task: &Task, findings: &mut Vec<Finding>) {
    let ours = ["params.json", "trajforge_check.py"];
    let shared: BTreeSet<&str> = task.setup_files.iter().map(|file| file.path.as_str()).collect();
    let hidden: Vec<_> = task
        .verification
        .files
        .iter()
        .filter(|file| !ours.contains(&file.path.as_str()) && !shared.contains(file.path.as_str()))
        .filter_map(|file| Some((file.path.as_str(), file.content.as_text()?)))
        .collect();
    for visible in &task.files {
        let Some(text) = visible.content.as_text() else {
            continue;
        };
        for (name, secret) in &hidden {
            if shared_lines(text, secret) {
                let detail = format!(
                    "seed {}: {} shares {LEAK_LINES} lines with verify/{name}",
                    task.seed, visible.path
                );
                findings.push(finding("leak", detail));
            }
        }
    }
}

fn shared_lines(visible: &str, hidden: &str) -> bool {
    let telling = |text: &str| -> Vec<String> {
        let long =
            |line: &&str| line.len() >= 25 && !line.starts_with("import ") && !line.starts_with("from ");
        text.lines().map(str::trim).filter(long).map(str::to_owned).collect()
    };
    let (visible, hidden) = (telling(visible), telling(hidden));
    let windows: BTreeSet<&[String]> = visible.windows(LEAK_LINES).collect();
    hidden.windows(LEAK_LINES).any(|window| windows.contains(window))
}

/// What the oracle does, without names and numbers: kinds of action and the commands' first words.
fn shape(task: &Task) -> String {
    let word = |step: &trajforge_schema::OracleStep| match &step.action {
        Action::Bash { command, .. } => {
            let letters = |c: char| !c.is_ascii_alphabetic();
            let words: Vec<&str> = command.split(letters).filter(|word| word.len() > 1).collect();
            format!("bash {}", words.join(" "))
        }
        Action::Edit { old, new, .. } => format!("edit {} {}", without_digits(old), without_digits(new)),
        Action::Write { content, .. } => format!("write {}", without_digits(content)),
        other => other.kind().to_owned(),
    };
    task.solution.iter().map(word).collect::<Vec<_>>().join("\n")
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// How evenly templates spread over one property: exp(entropy) / N, 1 when perfectly even.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Balance {
    /// The property.
    pub property: &'static str,
    /// How many templates have each value.
    pub counts: BTreeMap<String, usize>,
    /// exp(entropy) / N.
    pub evenness: f64,
}

/// The balance over categories, skills, languages and difficulty.
pub fn balance(templates: &[Template]) -> Vec<Balance> {
    let count = |property: &'static str, values: &dyn Fn(&Template) -> Vec<String>| {
        let mut counts = BTreeMap::new();
        for value in templates.iter().flat_map(values) {
            *counts.entry(value).or_insert(0) += 1;
        }
        let evenness = evenness(counts.values().copied());
        Balance { property, counts, evenness }
    };
    vec![
        count("category", &|template| vec![template.id.category().to_owned()]),
        count("skill", &|template| template.definition.skills.clone()),
        count("language", &|template| template.definition.languages.clone()),
        count("difficulty", &|template| vec![template.definition.difficulty.as_str().to_owned()]),
    ]
}

fn evenness(counts: impl Iterator<Item = usize> + Clone) -> f64 {
    let total: usize = counts.clone().sum();
    let kinds = counts.clone().count();
    if total == 0 {
        return 0.0;
    }
    let entropy: f64 = counts.map(|count| count as f64 / total as f64).map(|share| -share * share.ln()).sum();
    entropy.exp() / kinds as f64
}

/// How alike two templates are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Similarity {
    /// One.
    pub left: String,
    /// The other.
    pub right: String,
    /// Jaccard similarity of the five-word shingles of instruction, solution and files.
    pub jaccard: f64,
}

/// The pairs of tasks, one per template, that are too much alike, and the most similar pair whatever it is.
pub fn near_copies(tasks: &[Task]) -> (Vec<Similarity>, Option<Similarity>) {
    let shingles: Vec<BTreeSet<String>> = tasks.iter().map(shingles).collect();
    let mut pairs = Vec::new();
    for left in 0..tasks.len() {
        for right in left + 1..tasks.len() {
            let common = shingles[left].intersection(&shingles[right]).count();
            let all = shingles[left].len() + shingles[right].len() - common;
            let jaccard = if all == 0 { 0.0 } else { common as f64 / all as f64 };
            let name = |index: usize| tasks[index].template.to_string();
            pairs.push(Similarity { left: name(left), right: name(right), jaccard });
        }
    }
    pairs.sort_by(|a, b| b.jaccard.total_cmp(&a.jaccard));
    let most = pairs.first().cloned();
    pairs.retain(|pair| pair.jaccard >= COPY_SIMILARITY);
    (pairs, most)
}

fn shingles(task: &Task) -> BTreeSet<String> {
    let mut text = task.instruction.clone();
    for step in &task.solution {
        text.push_str(&step.reasoning);
        text.push_str(&serde_json::to_string(&step.action).expect("an action always serialises"));
    }
    for file in &task.files {
        text.push_str(file.content.as_text().unwrap_or_default());
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(5).map(|window| window.join(" ")).collect()
}
