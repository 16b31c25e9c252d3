//! A policy chooses when a rollout is leased; what it chose and why is recorded; failures are followed up.

use std::collections::BTreeMap;

use trajforge_pipeline::trajectory::RunStore;
use trajforge_router::ScriptedReply;
use trajforge_schema::{Choice, Event, Models, Outcome, PolicyName, Provenance, Route};

use super::bench::{Bench, Order, greets};

fn route(policy: PolicyName, models: &[&str]) -> Route {
    Route {
        name: "route".to_owned(),
        policy,
        models: Models::Equal(models.iter().map(|name| (*name).to_owned()).collect()),
        failover: Vec::new(),
        attempts: None,
        target: None,
    }
}

fn order(route: Route) -> Order {
    Order { route: Some(route), ..Order::default() }
}

/// What is recorded of each rollout, by seed and attempt: the choice, and what came of it.
fn recorded(bench: &Bench) -> BTreeMap<(u64, u32), (Choice, Outcome)> {
    let store = RunStore::open(&bench.path()).unwrap();
    let mut found = BTreeMap::new();
    for one in store.trajectories() {
        let one = one.unwrap();
        let Some(read) = one.journal else { continue };
        let outcome = read.trajectory.summary.unwrap().outcome;
        assert_eq!(
            Some(read.trajectory.header.llm_model()),
            read.trajectory.header.choice.as_ref().map(|c| c.model.as_str())
        );
        found.insert((one.spec.seed.0, one.spec.attempt), (read.trajectory.header.choice.unwrap(), outcome));
    }
    found
}

/// A weak cheap model that can greet loudly only, and a strong dear one.
async fn weak_and_strong() -> Bench {
    Bench::new()
        .model("strong", 10.0, |body, _| greets(body, true))
        .await
        .model("weak", 1.0, |body, _| greets(body, body["messages"][1]["content"].to_string().contains('!')))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cascade_escalates_the_tasks_on_which_the_cheap_model_failed() {
    let bench = weak_and_strong().await;
    let report = bench.run(&order(route(PolicyName::Cascade, &["strong", "weak"]))).await.unwrap();
    assert!(report.complete);
    let recorded = recorded(&bench);
    let mut escalated = 0;
    for seed in 0..4 {
        let (first, outcome) = &recorded[&(seed, 1)];
        assert_eq!((first.policy.as_str(), first.model.as_str()), ("cascade", "weak"));
        match recorded.get(&(seed, 2)) {
            Some((second, settled)) => {
                assert_eq!((*outcome, *settled), (Outcome::Failure, Outcome::Success));
                assert!(second.model == "strong" && second.reason.contains("weak failed"), "{second:?}");
                escalated += 1;
            }
            None => assert_eq!(*outcome, Outcome::Success),
        }
    }
    assert!((1..4).contains(&escalated), "{escalated} of 4 were escalated");
    assert_eq!(report.counts.planned, 4 + escalated);
    assert_eq!(report.counts.success, 4);
    let planned = bench
        .events
        .lock()
        .unwrap()
        .iter()
        .filter(|event| matches!(event, Event::RolloutPlanned { .. }))
        .count();
    assert_eq!(planned as u64, escalated);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_should_have_followed_a_failure_is_made_up_for_when_the_run_goes_on() {
    let bench = weak_and_strong().await;
    let order = order(route(PolicyName::Cascade, &["strong", "weak"]));
    bench.run(&order).await.unwrap();
    let whole = recorded(&bench);
    // As if the process had been killed before it could write down what follows: the queue and the list are those of
    // the moment when only first attempts were done.
    let folder = bench.path();
    std::fs::remove_file(folder.join("followed.jsonl")).unwrap();
    for file in ["queue.sqlite", "queue.sqlite-wal", "queue.sqlite-shm"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
    let report = bench.resume(&order).await.unwrap();
    assert!(report.complete);
    assert_eq!(recorded(&bench), whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_sends_rollouts_along_the_chain() {
    // One rollout goes well; then the endpoint is down for good.
    let bench = Bench::new()
        .model("down", 1.0, |body, count| match count {
            0..3 => greets(body, true),
            _ => ScriptedReply::status(500, "oops"),
        })
        .await
        .model("standby", 2.0, |body, _| greets(body, true))
        .await;
    let mut route = route(PolicyName::Fixed, &["down"]);
    route.failover = vec!["standby".to_owned()];
    let report = bench.run(&Order { workers: 1, seeds: "0..3", ..order(route) }).await.unwrap();
    assert_eq!((report.counts.success, report.counts.planned), (3, 3));
    let recorded = recorded(&bench);
    let sent: Vec<_> = recorded.values().filter(|(choice, _)| choice.model == "standby").collect();
    assert!(!sent.is_empty(), "{recorded:?}");
    assert!(sent.iter().all(|(choice, _)| choice.reason.contains("failover")), "{sent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_and_turns_are_recorded_with_their_reasons() {
    for (policy, sign) in [(PolicyName::Experiment, "arm of route"), (PolicyName::RoundRobin, "of 2")] {
        let bench = weak_and_strong().await;
        bench.run(&order(route(policy, &["weak", "strong"]))).await.unwrap();
        let recorded = recorded(&bench);
        assert_eq!(recorded.len(), 4);
        for (choice, _) in recorded.values() {
            assert!(choice.reason.contains(sign), "{choice:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_is_named_like_a_model_is_refused_before_anything_is_written() {
    let bench = weak_and_strong().await;
    let mut twin = route(PolicyName::Fixed, &["weak"]);
    twin.name = "strong".to_owned();
    let error = bench.run(&order(twin)).await.unwrap_err();
    assert!(error.to_string().contains("same name"), "{error}");
    assert!(!bench.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_models_start_with_the_run_and_are_labelled_in_every_record() {
    let bench = Bench::new().simulated("able", 1.0).simulated("unable", 0.0);
    let models = vec!["able".to_owned(), "unable".to_owned()];
    let report = bench.run(&Order { models, ..Order::default() }).await.unwrap();
    assert_eq!((report.counts.success, report.counts.planned), (4, 8));
    assert!(report.spent.0 > 0);
    let store = RunStore::open(&bench.path()).unwrap();
    for one in store.trajectories() {
        let one = one.unwrap();
        let trajectory = one.journal.unwrap().trajectory;
        assert_eq!(trajectory.header.provenance, Provenance::Simulated);
        let able = one.spec.model.as_deref() == Some("able");
        assert_eq!(trajectory.summary.unwrap().outcome == Outcome::Success, able, "{}", one.spec.id);
    }
}
