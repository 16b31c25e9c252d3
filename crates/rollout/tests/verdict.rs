//! Verification in real containers, of what a hostile agent leaves behind: there is a verdict, and it is the right one.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

use std::path::Path;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use trajforge_rollout::scaffold::Oracle;
use trajforge_rollout::{Attempt, Error, Finished, Recorder, Rollout};
use trajforge_sandbox::{Docker, Images, Sandboxes};
use trajforge_schema::{Action, Clock, Ending, Event, Limit, Outcome, Record, RolloutSpec, Task, Timestamp};

struct Standing;

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

struct Kept(Vec<Record>);

impl Recorder for Kept {
    fn record(&mut self, record: &Record) -> Result<(), Error> {
        self.0.push(record.clone());
        Ok(())
    }
}

/// A task whose goal is a file and whose first check runs what the agent has written.
fn task(hostile: &str) -> Task {
    let check = |name: &str, kind: &str, run: &str| json!({"name": name, "kind": kind, "weight": 1.0, "run": run, "timeout_seconds": 4});
    let step = |command: &str| json!({"reasoning": "", "action": {"type": "bash", "command": command}});
    let limits = json!({"memory_mb": 256, "pids": 64, "disk_mb": 64, "action_seconds": 20});
    serde_json::from_value(json!({
        "id": "verdict-1", "digest": "0".repeat(64), "template": "testing/verdict", "version": 1, "seed": 1, "cluster": "verdict-1",
        "instruction": "write program and done", "category": "testing", "difficulty": "easy", "languages": [], "skills": [],
        "expected_steps": 1, "parameters": {}, "files": [], "setup_files": [], "milestones": [], "traps": [],
        "environment": {"image": "base", "user": "agent", "workspace": "/workspace", "setup": [], "services": [], "carry": ["/home/agent"],
                        "variables": {}, "limits": limits},
        "verification": {
            "files": [{"path": "expected", "mode": 420, "content": "done\n"}],
            "checks": [
                check("program", "goal", "as-agent sh -c 'cd /workspace; ./program'"),
                check("done", "goal", "cat \"$WORKSPACE/done\" | cmp -s - expected"),
            ],
        },
        "solution": [step(hostile), step("printf '%s\\n' done > done; chmod +x program; true")],
    }))
    .unwrap()
}

/// Which checks passed, and what the rollout came to.
async fn verdict(hostile: &str) -> (Vec<bool>, Outcome) {
    let (Finished { summary, .. }, _) = play(&task(hostile)).await;
    (summary.checks.iter().map(|check| check.passed).collect(), summary.outcome)
}

/// The end of a rollout, and what was recorded of it.
async fn play(task: &Task) -> (Finished, Vec<Record>) {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../images");
    let images = Images::open(None, &recipes, &cache).await.unwrap();
    let mut tell = |event: Event| drop(event);
    let tags = images.ensure(&["base"], &mut tell).await.unwrap();
    let docker = Docker::connect(None, &cache).await.unwrap();
    let rollout = RolloutSpec {
        id: RolloutSpec::id_for(&task.id, "oracle", None, std::process::id()),
        template: task.template.clone(),
        version: 1,
        seed: task.seed,
        task: task.id.clone(),
        model: None,
        scaffold: "oracle".to_owned(),
        attempt: 1,
    };
    let run = "rollout-tests".parse().unwrap();
    let attempt = Attempt { task, rollout: &rollout, run: &run, image: &tags["base"], choice: None };
    let world =
        Rollout { sandboxes: &docker, clock: &Standing, cancel: &CancellationToken::new(), alike: None };
    let mut kept = Kept(Vec::new());
    let finished = world.run(&attempt, &mut Oracle::of(task), &mut kept).await.unwrap();
    docker.drain().await;
    assert!(matches!(kept.0.last(), Some(Record::Summary(_))), "{:?}", kept.0);
    (finished, kept.0)
}

#[tokio::test]
async fn who_fills_the_disk_ends_at_the_limit_with_what_can_be_judged() {
    let full = Ending::LimitReached { limit: Limit::Disk };
    // In /tmp it is in nobody's way; in the workspace nothing of that size is carried anywhere.
    for (place, checks) in [("/tmp", 2), (".", 0)] {
        let fills = format!(
            "while sleep 0.05; do number=$((number + 1)); head -c 20M /dev/zero > {place}/$number; done"
        );
        let (Finished { summary, steps }, _) = play(&task(&fills)).await;
        assert_eq!((&summary.ending, steps, summary.outcome), (&full, 1, Outcome::Failure), "{place}");
        assert_eq!((summary.checks.len(), summary.reward.total), (checks, 0.0), "{place}");
    }
}

#[tokio::test]
async fn an_honest_program_earns_everything() {
    assert_eq!(
        verdict("printf '#!/bin/sh\\nexit 0\\n' > program").await,
        (vec![true, true], Outcome::Success)
    );
}

#[tokio::test]
async fn a_program_that_forks_without_end_costs_only_its_own_check() {
    let bomb = "cat > program <<'END'\n#!/usr/bin/python3\nimport os\nwhile True:\n  try:\n    if os.fork() == 0: os.setsid()\n  \
                except OSError: pass\nEND";
    assert_eq!(verdict(bomb).await, (vec![false, true], Outcome::Partial));
}

#[tokio::test]
async fn a_program_that_fills_memory_disk_and_output_costs_only_its_own_check() {
    let greedy = "cat > program <<'END'\n#!/bin/bash\nfor number in 1 2 3; do head -c 40M /dev/zero > /tmp/$number; done &\n\
                  python3 -c 'x = bytearray(1 << 30)' &\nyes\nEND";
    assert_eq!(verdict(greedy).await, (vec![false, true], Outcome::Partial));
}

#[tokio::test]
async fn what_shadows_the_verifiers_commands_is_not_run() {
    let shadows = "for place in . ~ ~/bin ~/.local/bin; do mkdir -p $place; for name in cat cmp sh bash as-agent; do \
                   printf '#!/bin/sh\\nexit 0\\n' > $place/$name; chmod +x $place/$name; done; done; \
                   printf 'exit 0\\n' | tee .bashrc ~/.bashrc ~/.profile > ~/.bash_profile; export BASH_ENV=~/.bashrc PATH=.:~/bin:$PATH; \
                   printf '#!/bin/sh\\nexit 1\\n' > program";
    assert_eq!(verdict(shadows).await, (vec![false, true], Outcome::Partial));
}

#[tokio::test]
async fn milestones_are_told_apart_whatever_the_agent_does_to_the_workspace() {
    // What the file holds is the index of the milestone that is never reached.
    let mut task = task("echo 3 > made");
    // Root can take the workspace itself away.
    task.environment.user = "root".to_owned();
    let anew = "cd /; rm -rf /workspace; mkdir /workspace; cd /workspace; echo > done";
    task.solution[1].action = Action::Bash { command: anew.to_owned(), timeout_seconds: None };
    let milestone = |name: &str, run: &str| json!({"name": name, "weight": 1.0, "run": run});
    task.milestones = serde_json::from_value(json!([
        milestone("leaves", "cd / && test=1 && exit 0"),
        milestone("asks", "test -s made && ! grep -q 4 made"),
        milestone("prints", "grep . made"),
        milestone("never", "test -e never || grep -q never /workspace/done"),
        milestone("later", "test -e done"),
    ]))
    .unwrap();
    let (_, records) = play(&task).await;
    let reached: Vec<Vec<String>> = records
        .into_iter()
        .filter_map(|record| match record {
            Record::Step(step) => Some(step.milestones),
            _ => None,
        })
        .collect();
    assert_eq!(reached, [vec!["leaves", "asks", "prints"], vec!["later"]]);
}
