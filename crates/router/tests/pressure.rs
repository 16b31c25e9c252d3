//! Pressure, with a clock that jumps: rates hold, Retry-After holds for all, overloads halve, breakers open and close.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trajforge_router::pressure::{BreakerState, Open, Parking, Permit, Pressure, Pressures};
use trajforge_schema::{ModelEntry, RateLimits, Tokens};

const SECOND: Duration = Duration::from_secs(1);

fn limits(requests: Option<u64>, tokens: Option<u64>, concurrency: Option<u32>) -> RateLimits {
    RateLimits { requests_per_minute: requests, tokens_per_minute: tokens, concurrency }
}

async fn admit(pressure: &Arc<Pressure>, tokens: u64) -> Permit {
    pressure.admit(Tokens(tokens)).await
}

fn all_succeed(permits: impl IntoIterator<Item = Permit>) {
    for permit in permits {
        permit.succeeded(Tokens(1));
    }
}

/// When each of so many requests leaves, in seconds, if all come at once and each is answered at once.
async fn departures(pressure: &Arc<Pressure>, count: usize, tokens: u64) -> Vec<f64> {
    let begin = Instant::now();
    let requests = (0..count).map(|_| {
        let pressure = Arc::clone(pressure);
        tokio::spawn(async move {
            let permit = admit(&pressure, tokens).await;
            let left = begin.elapsed().as_secs_f64();
            permit.succeeded(Tokens(tokens));
            left
        })
    });
    let mut left = Vec::new();
    for request in requests.collect::<Vec<_>>() {
        left.push(request.await.unwrap());
    }
    left
}

#[tokio::test(start_paused = true)]
async fn requests_leave_in_a_short_burst_and_then_at_the_rate() {
    let pressure = Pressure::new(limits(Some(60), None, Some(100)), 1);
    let left = departures(&pressure, 66, 1).await;
    assert!(left[..6].iter().all(|at| *at < 0.01), "{left:?}");
    for (number, at) in left.iter().enumerate().skip(6) {
        let due = number as f64 - 5.0;
        assert!((due..due + 0.2).contains(at), "request {number} left at {at}");
    }
    assert!(left.is_sorted(), "first come, first served: {left:?}");
}

#[tokio::test(start_paused = true)]
async fn tokens_are_metered_and_what_was_not_used_is_given_back() {
    let pressure = Pressure::new(limits(None, Some(6_000), Some(100)), 1);
    // The burst is 600; what is larger leaves when the bucket is full, and is paid off before the next.
    let begin = Instant::now();
    admit(&pressure, 3_000).await.succeeded(Tokens(3_000));
    assert!(begin.elapsed() < SECOND);
    admit(&pressure, 100).await.succeeded(Tokens(100));
    assert!((25.0..25.2).contains(&begin.elapsed().as_secs_f64()), "{:?}", begin.elapsed());
    tokio::time::sleep(60 * SECOND).await;
    let begin = Instant::now();
    admit(&pressure, 3_000).await.succeeded(Tokens(100));
    admit(&pressure, 400).await.succeeded(Tokens(400));
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_for_every_worker() {
    let pressure = Pressure::new(limits(None, None, Some(100)), 1);
    admit(&pressure, 1).await.overloaded(Some(30 * SECOND));
    let left = departures(&pressure, 5, 1).await;
    assert!(left.iter().all(|at| (30.0..30.1).contains(at)), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn an_overload_halves_the_requests_at_once_and_calm_brings_them_back_one_by_one() {
    let pressure = Pressure::new(RateLimits::default(), 1);
    let mut permits = Vec::new();
    for _ in 0..8 {
        permits.push(admit(&pressure, 1).await);
    }
    assert_eq!(pressure.concurrency(), 8);
    // All eight left before the first overload was known: it counts once.
    for permit in permits {
        permit.overloaded(None);
    }
    assert_eq!(pressure.concurrency(), 4);
    let mut round = Vec::new();
    for _ in 0..4 {
        round.push(admit(&pressure, 1).await);
    }
    let fifth = tokio::time::timeout(60 * SECOND, admit(&pressure, 1)).await;
    assert!(fifth.is_err(), "a fifth request left");
    all_succeed(round);
    for _ in 0..8 {
        let round = [admit(&pressure, 1).await, admit(&pressure, 1).await, admit(&pressure, 1).await];
        all_succeed(round);
    }
    assert!((6..=10).contains(&pressure.concurrency()), "{}", pressure.concurrency());
    for _ in 0..20 {
        admit(&pressure, 1).await.overloaded(None);
    }
    assert_eq!(pressure.concurrency(), 1);
}

#[tokio::test(start_paused = true)]
async fn requests_that_use_little_of_what_is_allowed_do_not_raise_it() {
    let pressure = Pressure::new(RateLimits::default(), 1);
    for _ in 0..200 {
        admit(&pressure, 1).await.succeeded(Tokens(1));
    }
    assert_eq!(pressure.concurrency(), 8);
}

async fn open(pressure: &Arc<Pressure>) {
    for _ in 0..5 {
        assert_eq!(pressure.breaker(), BreakerState::Closed);
        admit(pressure, 1).await.failed();
    }
    assert_eq!(pressure.breaker(), BreakerState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_after_failures_in_a_row_and_closes_when_one_request_gets_through() {
    let pressure = Pressure::new(limits(None, None, Some(100)), 1);
    open(&pressure).await;
    let Err(Open { wait }) = pressure.admit_unless_open(Tokens(1)).await else {
        panic!("it was let through")
    };
    assert!((SECOND * 5..=SECOND * 10).contains(&wait), "{wait:?}");
    let begin = Instant::now();
    let probe = admit(&pressure, 1).await;
    assert!(begin.elapsed() >= wait, "{:?}", begin.elapsed());
    assert_eq!(pressure.breaker(), BreakerState::HalfOpen);
    // While one tries it, the others wait, or leave.
    assert!(pressure.admit_unless_open(Tokens(1)).await.is_err());
    assert!(tokio::time::timeout(60 * SECOND, admit(&pressure, 1)).await.is_err());
    probe.succeeded(Tokens(1));
    assert_eq!(pressure.breaker(), BreakerState::Closed);
    assert!(departures(&pressure, 20, 1).await.iter().all(|at| *at < 0.01));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_stays_open_longer_each_time_the_try_fails() {
    let pressure = Pressure::new(limits(None, None, Some(100)), 7);
    open(&pressure).await;
    let mut waits = Vec::new();
    for _ in 0..8 {
        let begin = Instant::now();
        let probe = admit(&pressure, 1).await;
        waits.push(begin.elapsed().as_secs_f64());
        probe.failed();
        assert_eq!(pressure.breaker(), BreakerState::Open);
    }
    for (number, wait) in waits.iter().enumerate() {
        let limit = (10.0 * 2f64.powi(i32::try_from(number).unwrap())).min(300.0);
        assert!((limit / 2.0..limit + 0.1).contains(wait), "{number}: {waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_about_the_endpoint_opens_no_breaker() {
    let pressure = Pressure::new(limits(None, None, Some(100)), 1);
    for _ in 0..50 {
        admit(&pressure, 1).await.refused();
        admit(&pressure, 1).await.overloaded(None);
        drop(admit(&pressure, 1).await);
        admit(&pressure, 1).await.failed();
    }
    assert_eq!(pressure.breaker(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_cancelled_makes_room_even_while_it_tries_the_endpoint() {
    let pressure = Pressure::new(limits(None, None, Some(1)), 1);
    drop(admit(&pressure, 1).await);
    admit(&pressure, 1).await.succeeded(Tokens(1));
    open(&pressure).await;
    let probe = admit(&pressure, 1).await;
    drop(probe);
    admit(&pressure, 1).await.succeeded(Tokens(1));
    assert_eq!(pressure.breaker(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_first_and_gives_up_holds_up_nobody() {
    let pressure = Pressure::new(limits(None, None, Some(1)), 1);
    let held = admit(&pressure, 1).await;
    assert!(tokio::time::timeout(SECOND, admit(&pressure, 1)).await.is_err());
    held.succeeded(Tokens(1));
    admit(&pressure, 1).await.succeeded(Tokens(1));
}

#[tokio::test(start_paused = true)]
async fn workers_with_the_same_key_share_and_others_do_not() {
    let pressures = Pressures::new(1);
    let entry = |name: &str, key: &str| ModelEntry {
        key_variable: Some(key.to_owned()),
        limits: limits(Some(60), None, None),
        ..ModelEntry::at(name, "http://127.0.0.1:9/v1")
    };
    assert!(Arc::ptr_eq(&pressures.of(&entry("m", "A")), &pressures.of(&entry("m", "A"))));
    assert!(!Arc::ptr_eq(&pressures.of(&entry("m", "A")), &pressures.of(&entry("m", "B"))));
    assert!(!Arc::ptr_eq(&pressures.of(&entry("m", "A")), &pressures.of(&entry("n", "A"))));
}

#[tokio::test(start_paused = true)]
async fn waits_that_overlap_are_parked_once() {
    let parking = Parking::default();
    let first = parking.park();
    tokio::time::sleep(SECOND).await;
    let second = parking.park();
    tokio::time::sleep(SECOND).await;
    drop(first);
    tokio::time::sleep(SECOND).await;
    assert!(parking.is_parked());
    assert_eq!(parking.time().as_secs(), 3);
    drop(second);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!((parking.time().as_secs(), parking.is_parked()), (3, false));
}
