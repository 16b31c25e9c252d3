//! Policies: which model works on what, why, and what they learn.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;

use trajforge_router::policy::{Measured, Need, Tried};
use trajforge_router::{Catalog, Error, Router, Stream, read_route};
use trajforge_schema::{Choice, Difficulty, MicroDollars, ModelEntry, PolicyName, Route, TaskId};

const MODELS: [(&str, f64); 3] = [("dear", 5.0), ("cheap", 0.1), ("middle", 1.0)];

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for (name, dollars) in MODELS {
        let price =
            serde_json::from_value(serde_json::json!({ "input": dollars, "output": dollars })).unwrap();
        catalog.add(ModelEntry { price: Some(price), ..ModelEntry::at(name, "http://127.0.0.1:9/v1") });
    }
    catalog
}

fn route(text: &str) -> Route {
    serde_json::from_str(text).unwrap()
}

fn router(text: &str) -> Router {
    Router::new(route(text), &catalog(), 7).unwrap()
}

fn task(number: u64) -> TaskId {
    format!("task-{number}-0123456789ab").parse().unwrap()
}

fn tried(model: &str, success: bool, cost: u64) -> Tried {
    Tried { model: model.to_owned(), success, cost: MicroDollars(cost) }
}

/// The model for attempt `history + 1` at a task, with everything up.
fn chosen(router: &mut Router, number: u64, history: &[Tried]) -> Choice {
    choice(router, number, history, &|_| true)
}

fn choice(router: &mut Router, number: u64, history: &[Tried], up: &dyn Fn(&str) -> bool) -> Choice {
    let attempt = u32::try_from(history.len()).unwrap() + 1;
    let (task, difficulty) = (task(number), Difficulty::Medium);
    let need = Need { task: &task, category: "debugging", difficulty, attempt, place: number, history };
    router.choose(&need, up)
}

fn shares(router: &mut Router, tasks: u64) -> BTreeMap<String, u64> {
    let mut shares = BTreeMap::new();
    for number in 0..tasks {
        *shares.entry(chosen(router, number, &[]).model).or_default() += 1;
    }
    shares
}

#[test]
fn fixed_is_always_the_same_and_turns_are_taken_along_the_plan() {
    let mut fixed = router(r#"{"name": "r", "policy": "fixed", "models": ["dear"]}"#);
    assert_eq!(shares(&mut fixed, 10), BTreeMap::from([("dear".to_owned(), 10)]));
    let mut turns = router(r#"{"name": "r", "policy": "round_robin", "models": ["dear", "cheap"]}"#);
    let order: Vec<String> = (0..4).map(|number| chosen(&mut turns, number, &[]).model).collect();
    assert_eq!(order, ["dear", "cheap", "dear", "cheap"]);
}

#[test]
fn weights_are_shares_and_a_task_keeps_its_draw() {
    let text = r#"{"name": "r", "policy": "weighted", "models": {"dear": 1, "cheap": 3, "middle": 0}}"#;
    let mut weighted = router(text);
    let shares = shares(&mut weighted, 4_000);
    assert!((2_850..3_150).contains(&shares["cheap"]), "{shares:?}");
    assert!(!shares.contains_key("middle"));
    for number in 0..50 {
        assert_eq!(chosen(&mut weighted, number, &[]), chosen(&mut router(text), number, &[]));
    }
}

#[test]
fn an_experiment_keeps_every_attempt_at_a_task_in_its_arm() {
    let text =
        |name: &str| format!(r#"{{"name": "{name}", "policy": "experiment", "models": ["dear", "cheap"]}}"#);
    let mut first = router(&text("one"));
    let failed = [tried("dear", false, 1)];
    let mut moved = 0;
    for number in 0..400 {
        let arm = chosen(&mut first, number, &[]).model;
        assert_eq!(chosen(&mut first, number, &failed).model, arm);
        moved += u32::from(chosen(&mut router(&text("two")), number, &[]).model != arm);
    }
    // Another experiment draws its arms anew.
    assert!((140..260).contains(&moved), "{moved}");
    let shares = shares(&mut first, 4_000);
    assert!((1_850..2_150).contains(&shares["dear"]), "{shares:?}");
}

#[test]
fn a_cascade_climbs_from_the_cheapest_and_ends_at_the_first_success() {
    let mut cascade = router(r#"{"name": "r", "policy": "cascade", "models": ["dear", "cheap", "middle"]}"#);
    let mut history = Vec::new();
    let mut order = Vec::new();
    while cascade.goes_on(&history) {
        let choice = chosen(&mut cascade, 1, &history);
        order.push(choice.model.clone());
        history.push(tried(&choice.model, false, 1));
    }
    assert_eq!(order, ["cheap", "middle", "dear"]);
    assert!(!cascade.goes_on(&[tried("cheap", true, 1)]));
    let reason = chosen(&mut cascade, 1, &history[..1]).reason;
    assert!(reason.contains("cheap failed"), "{reason}");
    // A stand-in that failed counts as the rung it stood in for.
    assert_eq!(chosen(&mut cascade, 1, &[tried("stranger", false, 1)]).model, "middle");
}

#[test]
fn what_can_not_be_asked_is_passed_over_along_the_chain() {
    let mut cascade = router(
        r#"{"name": "r", "policy": "cascade", "models": ["cheap", "middle"], "failover": ["dear"], "attempts": 2}"#,
    );
    let without = |down: &'static [&'static str]| move |name: &str| !down.contains(&name);
    let model = |router: &mut Router, down| choice(router, 1, &[], &without(down));
    assert_eq!(model(&mut cascade, &[]).model, "cheap");
    let choice = model(&mut cascade, &["cheap"]);
    assert_eq!(choice.model, "dear");
    assert!(choice.reason.contains("failover") && choice.reason.contains("cheap"), "{}", choice.reason);
    assert_eq!(model(&mut cascade, &["cheap", "dear"]).model, "middle");
    assert_eq!(model(&mut cascade, &["cheap", "dear", "middle"]).model, "cheap");
}

/// Lets a router work on tasks of one kind, where each model passes at its rate; gives the choices for first attempts.
fn learn(router: &mut Router, rates: [(&str, f64, u64); 3], tasks: u64) -> Vec<String> {
    let mut world = Stream::new(11, "world");
    let mut firsts = Vec::new();
    for number in 0..tasks {
        let mut history: Vec<Tried> = Vec::new();
        while router.goes_on(&history) {
            let model = chosen(router, number, &history).model;
            if history.is_empty() {
                firsts.push(model.clone());
            }
            let (_, rate, cost) = *rates.iter().find(|(name, ..)| *name == model).unwrap();
            history.push(tried(&model, world.happens(rate), cost));
            let last = history.last().unwrap();
            router.learn(&Measured { category: "debugging", difficulty: Difficulty::Medium, tried: last });
        }
    }
    firsts
}

fn share_of(model: &str, firsts: &[String]) -> f64 {
    firsts.iter().filter(|first| *first == model).count() as f64 / firsts.len() as f64
}

#[test]
fn capability_learns_who_does_it_at_the_least_cost() {
    let text =
        r#"{"name": "r", "policy": "capability", "models": ["dear", "cheap", "middle"], "target": 0.8}"#;
    let late = |rates, model: &str| {
        let firsts = learn(&mut router(text), rates, 400);
        share_of(model, &firsts[200..])
    };
    // A cheap one that passes as often is taken.
    let able = [("cheap", 0.9, 100), ("middle", 0.9, 1_000), ("dear", 0.95, 5_000)];
    assert!(late(able, "cheap") > 0.8, "{}", late(able, "cheap"));
    // One that never passes is a waste, however cheap.
    let unable = [("cheap", 0.0, 600), ("middle", 0.9, 1_000), ("dear", 0.95, 5_000)];
    assert!(late(unable, "middle") > 0.8, "{}", late(unable, "middle"));
    // Where only the dear one passes, it is asked at once.
    let hard = [("cheap", 0.02, 1_000), ("middle", 0.05, 2_000), ("dear", 0.9, 5_000)];
    assert!(late(hard, "dear") > 0.7, "{}", late(hard, "dear"));
}

#[test]
fn a_policy_that_is_fed_the_same_results_chooses_the_same_again() {
    let text = r#"{"name": "r", "policy": "capability", "models": ["dear", "cheap", "middle"]}"#;
    let rates = [("cheap", 0.5, 100), ("middle", 0.7, 1_000), ("dear", 0.9, 5_000)];
    let (mut one, mut other) = (router(text), router(text));
    assert_eq!(learn(&mut one, rates, 100), learn(&mut other, rates, 100));
    let next = |router: &mut Router| (100..120).map(|task| chosen(router, task, &[])).collect::<Vec<_>>();
    assert_eq!(next(&mut one), next(&mut other));
}

#[test]
fn a_route_is_read_from_a_file_and_a_wrong_one_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("router.yaml");
    let read = |text: &str| {
        std::fs::write(&file, text).unwrap();
        read_route(&file)
    };
    let good = read("name: ladder\npolicy: cascade\nmodels: [cheap, dear]\nfailover: [middle]\n").unwrap();
    assert_eq!((good.policy, good.attempts()), (PolicyName::Cascade, 2));
    assert_eq!(good.everyone(), ["cheap", "dear", "middle"]);
    let weighted = read("name: ab\npolicy: experiment\nmodels: {cheap: 1, dear: 2}\n").unwrap();
    assert_eq!(weighted.models.weights(), [("cheap".to_owned(), 1), ("dear".to_owned(), 2)]);
    let error = read("name: x\npolicy: cascade\nmodles: [a]\n").unwrap_err().to_string();
    assert!(error.contains("router.yaml") && error.contains("line 3"), "{error}");
    for wrong in [
        "name: x\npolicy: cascade\nmodels: []\n",
        "name: x\npolicy: fixed\nmodels: [a, b]\n",
        "name: x\npolicy: weighted\nmodels: {a: 0}\n",
        "name: x\npolicy: capability\nmodels: [a]\ntarget: 80\n",
    ] {
        assert!(matches!(read(wrong), Err(Error::Route { .. })), "{wrong}");
    }
}

#[test]
fn a_route_over_a_model_that_is_not_there_is_refused() {
    let unknown =
        Router::new(route(r#"{"name": "r", "policy": "fixed", "models": ["none"]}"#), &catalog(), 1);
    assert!(matches!(unknown.err(), Some(Error::UnknownModel { .. })));
}
