//! What every queue has to do, as one suite of tests: `conformance!(Backend)` beside a backend runs it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use trajforge_schema::sample::Sample;
use trajforge_schema::{Ending, Failure, FailureCode, MicroDollars, Outcome, RolloutId, Timestamp, Tokens};

use super::{Completion, Lease, Queue, Release, Released, RowState};
use crate::error::Error;
use crate::plan::Planned;

/// A place where one queue lives.
pub(crate) trait Backend: Send + Sync {
    /// A place without a queue.
    fn new() -> Self
    where
        Self: Sized;

    /// Opens the queue of this place, as another process would.
    fn open(&self, max_tries: u32) -> Arc<dyn Queue>;
}

const TTL: Duration = Duration::from_secs(10);
const START: Timestamp = Timestamp(1_000_000);

fn later(seconds: u64) -> Timestamp {
    Timestamp(START.0 + seconds * 1000)
}

fn planned(count: u64) -> Vec<Planned> {
    let rollout = |seed| Sample { seed, ..Sample::oracle() }.rollout();
    (0..count).map(|seed| Planned { spec: rollout(seed), priority: 0 }).collect()
}

fn id(seed: u64) -> RolloutId {
    planned(seed + 1).pop().unwrap().spec.id
}

fn completion(outcome: Outcome) -> Completion {
    Completion {
        outcome,
        ending: Ending::Submitted,
        reward: if outcome == Outcome::Success { 1.0 } else { 0.0 },
        cost: Some(MicroDollars(250)),
        tokens: Tokens(1_000),
        model: None,
        difficulty: None,
        steps: 12,
        seconds: 3.5,
        finished: later(4),
    }
}

fn failed(not_before: Timestamp) -> Release {
    let failure = Failure::new(FailureCode::SandboxLost, "the container is gone");
    Release::Failed { failure, not_before }
}

async fn take(queue: &dyn Queue, now: Timestamp) -> Option<Lease> {
    queue.lease("worker", now, TTL).await.unwrap()
}

async fn filled(backend: &dyn Backend, count: u64, max_tries: u32) -> Arc<dyn Queue> {
    let queue = backend.open(max_tries);
    assert_eq!(queue.submit(planned(count)).await.unwrap(), count);
    queue
}

pub(crate) async fn rollouts_come_by_priority_and_then_in_the_order_of_the_plan(backend: &dyn Backend) {
    let queue = backend.open(3);
    let mut rollouts = planned(5);
    rollouts[3].priority = 7;
    rollouts[1].priority = -1;
    queue.submit(rollouts).await.unwrap();
    let mut order = Vec::new();
    while let Some(lease) = take(&*queue, START).await {
        order.push(lease.spec.seed.0);
    }
    assert_eq!(order, [3, 0, 2, 4, 1]);
}

pub(crate) async fn a_lost_lease_is_offered_again(backend: &dyn Backend) {
    let queue = filled(backend, 1, 3).await;
    let first = take(&*queue, START).await.unwrap();
    assert_eq!(take(&*queue, later(9)).await, None);
    assert_eq!(queue.counts(later(10)).await.unwrap().waiting, 1);
    let second = take(&*queue, later(10)).await.unwrap();
    assert_eq!(second.spec, first.spec);
    assert!(second.fence > first.fence);
    assert_eq!((first.tries, second.tries), (1, 2));
    assert_eq!(queue.counts(later(11)).await.unwrap().retried, 1);
}

pub(crate) async fn a_stale_fence_can_not_settle_anything(backend: &dyn Backend) {
    let queue = filled(backend, 1, 3).await;
    let stale = take(&*queue, START).await.unwrap();
    let fresh = take(&*queue, later(20)).await.unwrap();
    let lost = |error| matches!(error, Error::LeaseLost { rollout } if rollout == id(0));
    assert!(lost(queue.heartbeat(&stale, later(20), TTL).await.unwrap_err()));
    assert!(lost(queue.release(&stale, Release::Unused, later(20)).await.unwrap_err()));
    assert!(lost(queue.complete(&stale, completion(Outcome::Failure)).await.unwrap_err()));
    queue.complete(&fresh, completion(Outcome::Success)).await.unwrap();
    assert!(lost(queue.complete(&fresh, completion(Outcome::Failure)).await.unwrap_err()));
    let counts = queue.counts(later(20)).await.unwrap();
    assert_eq!((counts.success, counts.failure), (1, 0));
}

pub(crate) async fn a_heartbeat_keeps_the_lease(backend: &dyn Backend) {
    let queue = filled(backend, 1, 3).await;
    let lease = take(&*queue, START).await.unwrap();
    queue.heartbeat(&lease, later(8), TTL).await.unwrap();
    assert_eq!(take(&*queue, later(17)).await, None);
    assert!(take(&*queue, later(18)).await.is_some());
}

pub(crate) async fn eight_workers_never_share_a_rollout(backend: &dyn Backend) {
    let count = 64;
    filled(backend, count, 3).await;
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..8 {
        let queue = backend.open(3);
        workers.spawn(async move {
            let mut taken = Vec::new();
            while let Some(lease) = queue.lease(&format!("worker-{number}"), START, TTL).await.unwrap() {
                queue.complete(&lease, completion(Outcome::Success)).await.unwrap();
                taken.push(lease.spec.id);
            }
            taken
        });
    }
    let taken: Vec<RolloutId> = workers.join_all().await.into_iter().flatten().collect();
    assert_eq!(taken.len() as u64, count);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len() as u64, count);
}

pub(crate) async fn a_failed_try_waits_for_its_time_and_then_comes_again(backend: &dyn Backend) {
    let queue = filled(backend, 1, 3).await;
    let lease = take(&*queue, START).await.unwrap();
    let released = queue.release(&lease, failed(later(60)), later(1)).await.unwrap();
    assert_eq!(released, Released::Waiting);
    assert_eq!(take(&*queue, later(59)).await, None);
    let again = take(&*queue, later(60)).await.unwrap();
    assert_eq!(again.tries, 2);
    let row = queue.rows().await.unwrap().remove(0);
    assert_eq!(row.last_failure().unwrap().code, FailureCode::SandboxLost);
    assert_eq!(row.lost[0].at, later(1));
}

pub(crate) async fn tries_are_bounded_whether_they_fail_or_are_lost(backend: &dyn Backend) {
    let queue = filled(backend, 1, 2).await;
    let lease = take(&*queue, START).await.unwrap();
    queue.release(&lease, failed(START), START).await.unwrap();
    take(&*queue, START).await.unwrap();
    assert_eq!(take(&*queue, later(30)).await, None);
    let counts = queue.counts(later(30)).await.unwrap();
    assert_eq!((counts.error, counts.waiting, counts.retried), (1, 0, 2));

    queue.submit(planned(2)).await.unwrap();
    let lease = take(&*queue, START).await.unwrap();
    queue.release(&lease, failed(START), START).await.unwrap();
    let lease = take(&*queue, START).await.unwrap();
    let released = queue.release(&lease, failed(START), START).await.unwrap();
    assert_eq!(released, Released::GivenUp);
    let row = queue.rows().await.unwrap().pop().unwrap();
    let given_up = row.completion().unwrap();
    assert_eq!(given_up.outcome, Outcome::Error);
    assert!(
        matches!(&given_up.ending, Ending::Failed { failure } if failure.code == FailureCode::SandboxLost)
    );
}

pub(crate) async fn a_rollout_given_back_unused_does_not_count_as_tried(backend: &dyn Backend) {
    let queue = filled(backend, 1, 1).await;
    for _ in 0..3 {
        let lease = take(&*queue, START).await.unwrap();
        assert_eq!(lease.tries, 1);
        let released = queue.release(&lease, Release::Unused, START).await.unwrap();
        assert_eq!(released, Released::Waiting);
    }
    assert_eq!(queue.counts(START).await.unwrap().retried, 0);
}

pub(crate) async fn the_leases_of_the_dead_are_reclaimed_at_once(backend: &dyn Backend) {
    let queue = filled(backend, 3, 1).await;
    let stale = take(&*queue, START).await.unwrap();
    let done = take(&*queue, START).await.unwrap();
    queue.complete(&done, completion(Outcome::Success)).await.unwrap();
    let resumed = backend.open(1);
    assert_eq!(resumed.reclaim().await.unwrap(), 1);
    let again = take(&*resumed, START).await.unwrap();
    assert_eq!((again.spec, again.tries), (stale.spec.clone(), 1));
    assert!(queue.complete(&stale, completion(Outcome::Failure)).await.is_err());
}

pub(crate) async fn what_is_completed_survives_being_opened_again(backend: &dyn Backend) {
    let queue = filled(backend, 3, 3).await;
    let lease = take(&*queue, START).await.unwrap();
    queue.complete(&lease, completion(Outcome::Partial)).await.unwrap();
    drop(queue);
    let queue = backend.open(3);
    let rows = queue.rows().await.unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].completion(), Some(&completion(Outcome::Partial)));
    assert!(matches!(rows[1].state, RowState::Waiting { .. }));
}

pub(crate) async fn the_same_rollouts_can_be_submitted_twice(backend: &dyn Backend) {
    let queue = filled(backend, 2, 3).await;
    let lease = take(&*queue, START).await.unwrap();
    queue.complete(&lease, completion(Outcome::Success)).await.unwrap();
    assert_eq!(queue.submit(planned(3)).await.unwrap(), 1);
    let counts = queue.counts(START).await.unwrap();
    assert_eq!((counts.planned, counts.waiting, counts.success), (3, 2, 1));
}

pub(crate) async fn errors_can_be_opened_again_and_nothing_else(backend: &dyn Backend) {
    let queue = filled(backend, 3, 3).await;
    for outcome in [Outcome::Error, Outcome::Success] {
        let lease = take(&*queue, START).await.unwrap();
        queue.complete(&lease, completion(outcome)).await.unwrap();
    }
    assert_eq!(queue.reopen(&[id(0), id(1), id(2), id(9)]).await.unwrap(), 1);
    let lease = take(&*queue, START).await.unwrap();
    assert_eq!((lease.spec.id, lease.tries, lease.fence), (id(0), 1, 2));
}

pub(crate) async fn every_rollout_is_counted_once(backend: &dyn Backend) {
    let queue = filled(backend, 6, 3).await;
    for outcome in [Outcome::Success, Outcome::Partial, Outcome::Failure, Outcome::Error] {
        let lease = take(&*queue, START).await.unwrap();
        queue.complete(&lease, completion(outcome)).await.unwrap();
    }
    take(&*queue, START).await.unwrap();
    let counts = queue.counts(START).await.unwrap();
    assert_eq!(counts.planned, counts.waiting + counts.leased + counts.finished());
    assert_eq!((counts.waiting, counts.leased, counts.finished()), (1, 1, 4));
    assert_eq!((counts.cost, counts.tokens), (MicroDollars(1_000), Tokens(4_000)));
    assert_eq!(counts.success_rate(), Some(0.25));
}

/// Runs the suite against a backend.
macro_rules! conformance {
    ($backend:ty) => {
        $crate::queue::conformance::conformance!(
            $backend:
            rollouts_come_by_priority_and_then_in_the_order_of_the_plan,
            a_lost_lease_is_offered_again,
            a_stale_fence_can_not_settle_anything,
            a_heartbeat_keeps_the_lease,
            eight_workers_never_share_a_rollout,
            a_failed_try_waits_for_its_time_and_then_comes_again,
            tries_are_bounded_whether_they_fail_or_are_lost,
            a_rollout_given_back_unused_does_not_count_as_tried,
            the_leases_of_the_dead_are_reclaimed_at_once,
            what_is_completed_survives_being_opened_again,
            the_same_rollouts_can_be_submitted_twice,
            errors_can_be_opened_again_and_nothing_else,
            every_rollout_is_counted_once,
        );
    };
    ($backend:ty: $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
            async fn $case() {
                let backend = <$backend as $crate::queue::conformance::Backend>::new();
                $crate::queue::conformance::$case(&backend).await;
            }
        )+
    };
}
pub(crate) use conformance;
