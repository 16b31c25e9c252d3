//! Simulated models: as able as they are said to be, the same each time, labelled, and served over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use trajforge_router::simulated::{Mistake, Play};
use trajforge_router::{ChatRequest, Endpoint, Simulated};
use trajforge_schema::{
    Action, Difficulty, Digest, Environment, Limits, ModelEntry, OracleStep, Position, Provenance, Seed,
    Skill, Task, Trap, Verification,
};

fn step(action: Action) -> OracleStep {
    OracleStep { reasoning: "So.".to_owned(), action }
}

fn environment() -> Environment {
    Environment {
        image: "base".to_owned(),
        user: "agent".to_owned(),
        workspace: "/workspace".to_owned(),
        setup: Vec::new(),
        services: Vec::new(),
        carry: Vec::new(),
        variables: BTreeMap::new(),
        limits: Limits::default(),
    }
}

fn task(number: u64, difficulty: Difficulty) -> Task {
    let write = |content: &str| Action::Write { path: "a.txt".to_owned(), content: content.to_owned() };
    let edit = Action::Edit {
        path: "a.txt".to_owned(),
        old: "port = 1".to_owned(),
        new: "port = 80".to_owned(),
        occurrence: Position::Unique,
    };
    let bash = Action::Bash { command: "make".to_owned(), timeout_seconds: None };
    Task {
        id: format!("t-{number}-0123456789ab").parse().unwrap(),
        digest: Digest::of(&number.to_le_bytes()),
        template: "debugging/t".parse().unwrap(),
        version: 1,
        seed: Seed(number),
        cluster: number.to_string(),
        instruction: format!("Repair number {number}.\n"),
        category: "debugging".to_owned(),
        difficulty,
        languages: Vec::new(),
        skills: Vec::new(),
        expected_steps: 5,
        parameters: BTreeMap::new(),
        environment: environment(),
        files: Vec::new(),
        setup_files: Vec::new(),
        verification: Verification { files: Vec::new(), checks: Vec::new() },
        milestones: Vec::new(),
        solution: [
            Action::List { path: None },
            write("port = 1\n"),
            edit,
            bash,
            Action::Submit { message: None },
        ]
        .map(step)
        .into(),
        traps: vec![Trap {
            name: "by-hand".to_owned(),
            why: "It is quicker.".to_owned(),
            fails: Vec::new(),
            steps: vec![step(write("port = 81\n"))],
        }],
    }
}

fn skill(easy: f64, hard: f64) -> Skill {
    let competence = BTreeMap::from([(Difficulty::Easy, easy), (Difficulty::Hard, hard)]);
    Skill { competence, recovers: 0.0, stubborn: 0.0, latency_ms: 0 }
}

fn succeeds(task: &Task, play: &Play) -> bool {
    Play::does_the_oracles_steps(task, play.moves.iter().filter_map(|one| one.action.as_ref()))
}

/// The share of first attempts that go right over many tasks.
fn rate(skill: &Skill, difficulty: Difficulty) -> f64 {
    let right = |number: &u64| {
        let task = task(*number, difficulty);
        succeeds(&task, &Play::of(&task, skill, 1, 7))
    };
    (0..2_000).filter(right).count() as f64 / 2_000.0
}

#[test]
fn a_player_is_as_able_as_it_is_said_to_be() {
    for expected in [0.0, 0.3, 0.85, 1.0] {
        for stubborn in [0.0, 0.7] {
            let skill = Skill { stubborn, ..skill(expected, 0.1) };
            let (easy, hard) = (rate(&skill, Difficulty::Easy), rate(&skill, Difficulty::Hard));
            assert!((easy - expected).abs() < 0.04, "{easy} for {expected}");
            assert!((hard - 0.1).abs() < 0.04, "{hard}");
        }
    }
}

#[test]
fn mistakes_are_of_every_kind_and_only_mended_ones_succeed() {
    let skill = Skill { recovers: 0.5, ..skill(0.0, 0.0) };
    let mut kinds: BTreeMap<Mistake, (u32, u32)> = BTreeMap::new();
    for number in 0..2_000 {
        let task = task(number, Difficulty::Easy);
        let play = Play::of(&task, &skill, 1, 7);
        let (all, mended) = kinds.entry(play.mistake.unwrap()).or_default();
        *all += 1;
        *mended += u32::from(play.mended);
        assert_eq!(succeeds(&task, &play), play.mended, "{play:?}");
    }
    assert_eq!(kinds.len(), 5, "{kinds:?}");
    for (kind, (all, mended)) in kinds {
        let can_be = matches!(kind, Mistake::Forgotten | Mistake::WrongEdit);
        let share = f64::from(mended) / f64::from(all);
        assert!(if can_be { (0.4..0.6).contains(&share) } else { mended == 0 }, "{kind:?}: {share}");
    }
}

#[test]
fn a_play_follows_from_task_attempt_and_seed_alone() {
    let (task, skill) = (task(1, Difficulty::Easy), skill(0.5, 0.5));
    let play = |attempt, seed| Play::of(&task, &skill, attempt, seed);
    assert_eq!(play(1, 7), play(1, 7));
    let plays: Vec<Play> = (1..20).map(|attempt| play(attempt, 7)).collect();
    assert!(plays.iter().any(|other| *other != plays[0]));
    assert!((0..20).any(|seed| play(1, seed) != plays[0]));
}

#[test]
fn a_stubborn_player_fails_where_it_has_failed() {
    let skill = Skill { stubborn: 1.0, ..skill(0.5, 0.5) };
    for number in 0..50 {
        let task = task(number, Difficulty::Easy);
        let outcomes: Vec<bool> = (1..6).map(|n| succeeds(&task, &Play::of(&task, &skill, n, 7))).collect();
        assert!(outcomes.iter().all(|one| *one == outcomes[0]), "{outcomes:?}");
    }
}

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// A whole conversation with a served player: the actions that it asked for.
async fn converse(endpoint: &Endpoint, task: &Task) -> Vec<Value> {
    let mut request = ChatRequest { messages: vec![user(&task.instruction)], tools: Vec::new() };
    let mut calls = Vec::new();
    loop {
        let reply = endpoint.ask(&request).await.unwrap();
        let call = reply.message["tool_calls"][0].clone();
        if call.is_null() {
            return calls;
        }
        request.messages.push(reply.message);
        request.messages.push(json!({ "role": "tool", "tool_call_id": call["id"], "content": "ok" }));
        calls.push(call);
    }
}

#[tokio::test]
async fn a_player_over_http_knows_its_task_counts_attempts_and_says_what_it_is() {
    let task = Arc::new(task(3, Difficulty::Easy));
    let entry = ModelEntry::at("strong", "http://127.0.0.1:9/v1");
    let model = Simulated::start(entry, skill(1.0, 1.0), [Arc::clone(&task)], 7).await.unwrap();
    assert_eq!(model.entry().provenance, Provenance::Simulated);
    let endpoint = Endpoint::new(model.entry().clone(), None).unwrap();
    for attempt in 1..=3 {
        let calls = converse(&endpoint, &task).await;
        let id = format!("simulated-{attempt}-1");
        assert_eq!(calls[0]["id"], json!(id));
        let expected = Play::of(&task, &skill(1.0, 1.0), attempt, 7);
        assert_eq!(calls.len(), expected.moves.len());
        let submit = calls.last().unwrap();
        assert_eq!(submit["function"]["name"], "submit");
    }
    let unknown = ChatRequest { messages: vec![user("Something else.")], tools: Vec::new() };
    let reply = endpoint.ask(&unknown).await.unwrap();
    assert!(reply.message["content"].as_str().unwrap().contains("I am a program"));
    assert!(reply.message["tool_calls"].is_null());
}

#[tokio::test]
async fn a_slow_player_takes_its_time_before_each_reply() {
    let task = Arc::new(task(3, Difficulty::Easy));
    let skill = Skill { latency_ms: 120, ..skill(1.0, 1.0) };
    let entry = ModelEntry::at("slow", "http://127.0.0.1:9/v1");
    let model = Simulated::start(entry, skill, [Arc::clone(&task)], 7).await.unwrap();
    let endpoint = Endpoint::new(model.entry().clone(), None).unwrap();
    let request = ChatRequest { messages: vec![user(&task.instruction)], tools: Vec::new() };
    assert!(endpoint.ask(&request).await.unwrap().seconds >= 0.12);
}
