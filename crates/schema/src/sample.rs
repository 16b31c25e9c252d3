//! Made-up trajectories that are consistent in themselves, for the tests of other crates.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::action::Action;
use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::model::{ModelTurn, Usage};
use crate::outcome::{Ending, Outcome};
use crate::provenance::Provenance;
use crate::record::{Header, Summary, Trajectory, WIRE_VERSION};
use crate::rollout::RolloutSpec;
use crate::state::{Delta, EntryKind, Manifest, ManifestEntry, State};
use crate::step::{CheckResult, Observation, Reward, RewardComponent, Step};
use crate::task::Difficulty;
use crate::units::{MicroDollars, Seed, Tokens};

/// The moment at which every sample starts: 2026-01-02T03:04:05Z.
pub const STARTED: Timestamp = Timestamp(1_767_323_045_000);

/// What a sample should look like.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The template: `category/name`.
    pub template: &'static str,
    /// The seed; it also names the task and its cluster.
    pub seed: u64,
    /// The scaffold.
    pub scaffold: &'static str,
    /// The model, for scaffolds that have one.
    pub model: Option<&'static str>,
    /// Who acts.
    pub provenance: Provenance,
    /// From 1.
    pub attempt: u32,
    /// How many steps; the last one submits.
    pub steps: u32,
    /// The total reward, in [0, 1].
    pub reward: f64,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            template: "python-debugging/lost-update",
            seed: 7,
            scaffold: "tools",
            model: Some("small-model"),
            provenance: Provenance::Model,
            attempt: 1,
            steps: 4,
            reward: 1.0,
        }
    }
}

impl Sample {
    /// What the template's oracle would leave behind: no model, no turns, reward 1.
    pub fn oracle() -> Self {
        Self { scaffold: "oracle", model: None, provenance: Provenance::Oracle, ..Self::default() }
    }

    /// What the control that does nothing leaves behind.
    pub fn nop() -> Self {
        Self {
            scaffold: "nop",
            model: None,
            provenance: Provenance::Control,
            steps: 0,
            reward: 0.0,
            ..Self::default()
        }
    }

    /// The rollout that the sample is the record of.
    ///
    /// # Panics
    /// If `template` is no template id.
    pub fn rollout(&self) -> RolloutSpec {
        let name = self.template.split('/').next_back().unwrap_or_default();
        let task = format!("{name}-{}-{}", self.seed, Digest::of(self.template.as_bytes()).short());
        let task = task.parse().expect("a slug, a number and a digest make a task id");
        RolloutSpec {
            id: RolloutSpec::id_for(&task, self.scaffold, self.model, self.attempt),
            template: self.template.parse().expect("samples name valid templates"),
            version: 1,
            seed: Seed(self.seed),
            task,
            model: self.model.map(str::to_owned),
            scaffold: self.scaffold.to_owned(),
            attempt: self.attempt,
        }
    }

    /// The whole trajectory.
    ///
    /// # Panics
    /// If `template` is no template id.
    pub fn trajectory(&self) -> Trajectory {
        let header = self.header();
        let steps: Vec<Step> = (1..=self.steps).map(|number| self.step(number)).collect();
        let turns: Vec<ModelTurn> = match self.model {
            Some(_) => steps.iter().map(turn_of).collect(),
            None => Vec::new(),
        };
        let summary = Some(self.summary(&steps, &turns));
        Trajectory { header, turns, steps, joined: None, summary }
    }

    fn header(&self) -> Header {
        let rollout = self.rollout();
        let instruction = format!("Repair what ticket {} describes.", self.seed);
        let prompt = match self.model {
            Some(_) => vec![
                json!({"role": "system", "content": "You work in a shell."}),
                json!({"role": "user", "content": instruction}),
            ],
            None => Vec::new(),
        };
        let tools = match self.model {
            Some(_) => vec![json!({"type": "function", "function": {"name": "bash", "parameters": {
                "type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}}})],
            None => Vec::new(),
        };
        Header {
            wire_version: WIRE_VERSION,
            trajforge_version: "0.1.0".to_owned(),
            run: "sample".parse().expect("a word is a run name"),
            instruction,
            category: rollout.template.category().to_owned(),
            difficulty: match self.seed % 3 {
                0 => Difficulty::Easy,
                1 => Difficulty::Medium,
                _ => Difficulty::Hard,
            },
            languages: vec!["python".to_owned()],
            skills: vec!["debugging".to_owned(), "testing".to_owned()],
            expected_steps: 12,
            cluster: format!("{}:{}", self.template, self.seed),
            parameters: BTreeMap::from([("ticket".to_owned(), Value::from(self.seed))]),
            image: "trajforge/python:0123456789ab".to_owned(),
            provenance: self.provenance,
            scaffold_version: "1+0123456789ab".to_owned(),
            prompt,
            tools,
            choice: None,
            started: STARTED,
            rollout,
        }
    }

    fn step(&self, number: u32) -> Step {
        let last = number == self.steps;
        let action = if last {
            Action::Submit { message: Some("done".to_owned()) }
        } else {
            Action::Bash {
                command: format!("sed -i s/{number}/x/ src/part-{}.py", self.seed),
                timeout_seconds: None,
            }
        };
        let observation = Observation {
            text: if last { String::new() } else { format!("line {number}\n\u{e9}\u{1f600}\u{0}") },
            exit_code: (!last).then_some(0),
            is_error: false,
            truncated_bytes: 0,
        };
        Step {
            step: number,
            state: state_before(number),
            action,
            observation,
            reward: if last { self.reward } else { 0.0 },
            milestones: if last && self.reward > 0.0 { vec!["half-way".to_owned()] } else { Vec::new() },
            reasoning: format!("Step {number} has to come first."),
            turn: self.model.map(|_| number),
            tool_call_id: self.model.map(|_| format!("call-{number}")),
            seconds: 0.25,
        }
    }

    fn summary(&self, steps: &[Step], turns: &[ModelTurn]) -> Summary {
        let mut workspace = Manifest::default();
        for step in steps {
            workspace.apply(&step.state.files);
        }
        let final_state = state_before(self.steps + 1);
        workspace.apply(&final_state.files);
        let mut usage = Usage::default();
        for turn in turns {
            usage += turn.usage;
        }
        let passed = self.reward >= 1.0;
        Summary {
            outcome: Outcome::of_reward(self.reward),
            ending: if self.steps == 0 { Ending::Stopped } else { Ending::Submitted },
            reward: Reward {
                total: self.reward,
                components: vec![RewardComponent {
                    name: "check:behaviour".to_owned(),
                    version: 1,
                    value: self.reward,
                    weight: 1.0,
                }],
            },
            checks: vec![CheckResult {
                name: "behaviour".to_owned(),
                passed,
                exit_code: Some(i32::from(!passed)),
                output: String::new(),
                seconds: 0.5,
            }],
            // The sample is what a reader gives back, with the settlement in the last step.
            settlement: 0.0,
            final_digest: workspace.digest(),
            final_state,
            execution_seconds: 0.25 * f64::from(self.steps),
            verification_seconds: 0.5,
            usage,
            cost: turns.iter().map(|turn| turn.cost).sum(),
            finished: Timestamp(STARTED.0 + 60_000 + self.seed),
        }
    }
}

/// The state before a step: each step writes one file, and from the third on also removes one.
fn state_before(number: u32) -> State {
    let entry = |text: &str| ManifestEntry {
        kind: EntryKind::File,
        mode: 0o644,
        size: text.len() as u64,
        digest: Some(Digest::of(text.as_bytes())),
    };
    let mut files = Delta::default();
    if number == 1 {
        let folder = ManifestEntry { kind: EntryKind::Folder, mode: 0o755, size: 0, digest: None };
        files.changed.insert("src".to_owned(), folder);
        files.changed.insert("src/main.py".to_owned(), entry("print(1)\n"));
    } else {
        files.changed.insert(format!("out-{number}.txt"), entry(&number.to_string()));
    }
    if number > 2 {
        files.removed.push(format!("out-{}.txt", number - 1));
    }
    State { cwd: "/workspace".to_owned(), files }
}

fn turn_of(step: &Step) -> ModelTurn {
    let mut arguments = serde_json::to_value(&step.action).expect("an action is plain data");
    if let Some(fields) = arguments.as_object_mut() {
        fields.shift_remove("type");
    }
    ModelTurn {
        turn: step.step,
        message: json!({"role": "assistant", "content": null, "reasoning_content": step.reasoning,
            "tool_calls": [{"id": step.tool_call_id, "type": "function",
                "function": {"name": step.action.kind(), "arguments": arguments.to_string()}}]}),
        finish_reason: Some("tool_calls".to_owned()),
        usage: Usage { input: Tokens(100), cached_input: Tokens(50), output: Tokens(20), ..Usage::default() },
        cost: Some(MicroDollars(300)),
        requests: 1,
        seconds: 0.5,
        ..ModelTurn::default()
    }
}
