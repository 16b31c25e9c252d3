//! The budget: with any number of requests at once no cap is passed by a micro-dollar, and no money is lost.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use trajforge_router::budget::{Listener, Purse, Scope};
use trajforge_router::{Account, Budget, Error, Stream};
use trajforge_schema::{Caps, Clock, Event, MicroDollars, RolloutId, Timestamp};

/// A clock that stands where it is put.
struct Standing(AtomicU64);

impl Clock for Standing {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

const NOON: u64 = 12 * 60 * 60 * 1000;
const DAY: u64 = 2 * NOON;

fn clock() -> Arc<Standing> {
    Arc::new(Standing(AtomicU64::new(NOON)))
}

fn quiet() -> Listener {
    Arc::new(|_| {})
}

fn account(rollout: usize, key: usize) -> Account {
    Account {
        rollout: Some(format!("r-{rollout}").parse().unwrap()),
        run: Some("run".parse().unwrap()),
        key: Some(format!("key-{key}")),
    }
}

fn run() -> Purse {
    Purse::Run("run".parse().unwrap())
}

/// How a request ends.
async fn request(budget: &Arc<Budget>, account: &Account, stream: &mut Stream) -> Result<u64, Error> {
    let worst = MicroDollars(1 + stream.bits() % 900);
    let reservation = budget.reserve(account, worst).await?;
    // Whatever others do at this moment, every cap holds.
    let caps = budget.caps();
    let held = [
        (run(), caps.run),
        (Purse::Rollout(account.rollout.clone().unwrap()), caps.rollout),
        (Purse::Key(account.key.clone().unwrap()), caps.key),
        (Purse::on_day_of(budget.now()), caps.day),
    ];
    for (purse, cap) in held {
        let balance = budget.balance(&purse);
        assert!(balance.spent + balance.reserved <= cap.unwrap(), "{purse:?}: {balance:?} of {cap:?}");
    }
    if stream.happens(0.5) {
        tokio::task::yield_now().await;
    }
    let used = MicroDollars(stream.bits() % (worst.0 + 1));
    Ok(match stream.index(5) {
        0 => {
            drop(reservation);
            worst.0
        }
        1 => {
            reservation.release();
            0
        }
        // A broken endpoint says that it cost more than it can.
        2 => reservation.settle(worst + MicroDollars(1_000_000)).0,
        _ => reservation.settle(used).0,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_rollouts_at_once_pass_no_cap_and_lose_no_money() {
    for seed in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spend.jsonl");
        let caps = Caps {
            request: Some(MicroDollars(880)),
            rollout: Some(MicroDollars(9_000)),
            run: Some(MicroDollars(400_000 + seed * 100_001)),
            key: Some(MicroDollars(170_000 + seed * 50_007)),
            day: Some(MicroDollars(500_000)),
        };
        let budget = Budget::open(&path, caps, clock(), quiet()).unwrap();
        let tasks = (0..100).map(|number| {
            let budget = Arc::clone(&budget);
            tokio::spawn(async move {
                let account = account(number, number % 3);
                let mut stream = Stream::new(seed, &format!("task {number}"));
                let (mut charged, mut refused) = (0, 0);
                for _ in 0..60 {
                    match request(&budget, &account, &mut stream).await {
                        Ok(cost) => charged += cost,
                        Err(Error::CapReached(_)) => refused += 1,
                        Err(error) => panic!("{error}"),
                    }
                }
                (account.rollout.unwrap(), charged, refused)
            })
        });
        let mut by_rollout: BTreeMap<RolloutId, u64> = BTreeMap::new();
        let mut refusals = 0;
        for task in tasks.collect::<Vec<_>>() {
            let (rollout, charged, refused) = task.await.unwrap();
            by_rollout.insert(rollout, charged);
            refusals += refused;
        }
        assert!(refusals > 0, "no cap was reached, so nothing was tried");
        let total = by_rollout.values().sum::<u64>();
        assert_eq!(budget.balance(&run()).spent.0, total);
        assert_eq!(budget.balance(&run()).reserved.0, 0);
        let written = Budget::spent_in(&path).unwrap();
        assert_eq!(written[&run()].0, total);
        for (rollout, charged) in by_rollout {
            let spent = written.get(&Purse::Rollout(rollout)).copied().unwrap_or_default();
            assert_eq!(spent.0, charged);
        }
    }
}

#[tokio::test]
async fn a_request_that_others_keep_from_leaving_waits_for_them_and_then_leaves() {
    let caps = Caps { run: Some(MicroDollars(100)), ..Caps::default() };
    let budget = Budget::new(caps, clock(), quiet());
    let first = budget.reserve(&account(1, 1), MicroDollars(80)).await.unwrap();
    let waiting = tokio::spawn({
        let budget = Arc::clone(&budget);
        async move {
            budget.reserve(&account(2, 1), MicroDollars(80)).await.map(|held| held.settle(MicroDollars(70)))
        }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    first.settle(MicroDollars(20));
    assert_eq!(waiting.await.unwrap().unwrap(), MicroDollars(70));
    assert_eq!(budget.balance(&run()).spent, MicroDollars(90));
}

#[tokio::test]
async fn a_request_that_can_not_be_paid_is_refused_by_the_scope_that_lacks_the_money() {
    let refused_by = |caps: Caps| async move {
        let budget = Budget::new(caps, clock(), quiet());
        match budget.reserve(&account(1, 1), MicroDollars(11)).await {
            Err(Error::CapReached(reached)) => (reached.scope, budget.exhausted().is_some()),
            other => panic!("{:?}", other.err()),
        }
    };
    let cap = Some(MicroDollars(10));
    assert_eq!(refused_by(Caps { request: cap, ..Caps::default() }).await, (Scope::Request, false));
    assert_eq!(refused_by(Caps { rollout: cap, ..Caps::default() }).await, (Scope::Rollout, false));
    assert_eq!(refused_by(Caps { run: cap, ..Caps::default() }).await, (Scope::Run, true));
    assert_eq!(refused_by(Caps { key: cap, ..Caps::default() }).await, (Scope::Key, true));
    assert_eq!(refused_by(Caps { day: cap, ..Caps::default() }).await, (Scope::Day, true));
}

#[tokio::test]
async fn a_new_day_has_its_own_money() {
    let clock = clock();
    let caps = Caps { day: Some(MicroDollars(10)), ..Caps::default() };
    let budget = Budget::new(caps, clock.clone(), quiet());
    budget.reserve(&account(1, 1), MicroDollars(10)).await.unwrap().settle(MicroDollars(10));
    assert!(budget.reserve(&account(1, 1), MicroDollars(1)).await.is_err());
    clock.0.store(NOON + DAY, Ordering::Relaxed);
    assert!(budget.reserve(&account(1, 1), MicroDollars(10)).await.is_ok());
}

#[tokio::test]
async fn what_was_spent_counts_after_a_restart_and_what_was_under_way_at_its_worst() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spend.jsonl");
    let caps = Caps { run: Some(MicroDollars(100)), ..Caps::default() };
    let budget = Budget::open(&path, caps, clock(), quiet()).unwrap();
    budget.reserve(&account(1, 1), MicroDollars(30)).await.unwrap().settle(MicroDollars(5));
    // As if the process had been killed: nobody settles this one.
    std::mem::forget(budget.reserve(&account(2, 1), MicroDollars(40)).await.unwrap());
    for _ in 0..3 {
        let again = Budget::open(&path, caps, clock(), quiet()).unwrap();
        assert_eq!(again.balance(&run()).spent, MicroDollars(45));
        assert!(again.reserve(&account(3, 1), MicroDollars(56)).await.is_err());
        drop(again);
        let higher = Caps { run: Some(MicroDollars(101)), ..Caps::default() };
        let higher = Budget::open(&path, higher, clock(), quiet()).unwrap();
        higher.reserve(&account(3, 1), MicroDollars(56)).await.unwrap().release();
    }
}

#[tokio::test]
async fn a_torn_last_line_is_passed_over_and_a_broken_one_in_the_middle_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spend.jsonl");
    let budget = Budget::open(&path, Caps::default(), clock(), quiet()).unwrap();
    budget.reserve(&account(1, 1), MicroDollars(30)).await.unwrap().settle(MicroDollars(5));
    drop(budget);
    let whole = std::fs::read(&path).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let spent = Budget::spent_in(&path).unwrap().get(&run()).copied().unwrap_or_default();
        assert!([0, 5, 30].contains(&spent.0), "cut at {cut}: {spent}");
    }
    std::fs::write(&path, [b"{\"nonsense\": 1}\n", whole.as_slice()].concat()).unwrap();
    assert!(matches!(Budget::spent_in(&path), Err(Error::Ledger { .. })));
}

#[tokio::test]
async fn whoever_listens_hears_of_every_micro_dollar() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener: Listener = Arc::new({
        let heard = Arc::clone(&heard);
        move |event| heard.lock().unwrap().push(event)
    });
    let budget = Budget::new(Caps { rollout: Some(MicroDollars(10)), ..Caps::default() }, clock(), listener);
    let one = account(1, 1);
    budget.reserve(&one, MicroDollars(8)).await.unwrap().settle(MicroDollars(3));
    assert!(budget.reserve(&one, MicroDollars(8)).await.is_err());
    let rollout = one.rollout;
    let expected = [
        Event::BudgetReserved { rollout: rollout.clone(), amount: MicroDollars(8) },
        Event::BudgetSettled { rollout: rollout.clone(), reserved: MicroDollars(8), cost: MicroDollars(3) },
        Event::CapReached {
            rollout,
            scope: "rollout".to_owned(),
            cap: MicroDollars(10),
            spent: MicroDollars(3),
            asked: MicroDollars(8),
        },
    ];
    assert_eq!(*heard.lock().unwrap(), expected);
}

/// Two processes are two budgets on one file.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_never_pass_the_caps_of_a_key_and_a_day_that_they_share() {
    let folder = tempfile::tempdir().unwrap();
    let joint = folder.path().join("joint.jsonl");
    let caps = Caps { key: Some(MicroDollars(9_000)), day: Some(MicroDollars(15_000)), ..Caps::default() };
    let budgets: Vec<Arc<Budget>> = (0..3)
        .map(|number| {
            let own = folder.path().join(format!("{number}.jsonl"));
            Budget::open_jointly(&own, &joint, caps, clock(), quiet()).unwrap()
        })
        .collect();
    let mut at_work = tokio::task::JoinSet::new();
    for number in 0..90 {
        let budget = Arc::clone(&budgets[number % 3]);
        at_work.spawn(async move {
            let mut stream = Stream::new(number as u64, "joint");
            let account = account(number, number % 2);
            let mut paid = 0;
            while let Ok(reservation) = budget.reserve(&account, MicroDollars(1 + stream.bits() % 400)).await
            {
                tokio::task::yield_now().await;
                let cost = MicroDollars(stream.bits() % (reservation.worst().0 + 1));
                paid += reservation.settle(cost).0;
            }
            (number % 2, paid)
        });
    }
    let mut paid = [0, 0];
    while let Some(done) = at_work.join_next().await {
        let (key, amount) = done.unwrap();
        paid[key] += amount;
    }
    assert!(paid.iter().all(|&paid| paid <= 9_000) && paid[0] + paid[1] <= 15_000, "{paid:?}");
    assert!(paid[0] + paid[1] > 14_000, "money was left: {paid:?}");
    let spent: u64 =
        budgets.iter().map(|budget| budget.balance(&Purse::on_day_of(budget.now())).spent.0).sum();
    assert_eq!(spent, paid[0] + paid[1]);
    // A process that begins later knows all of it.
    let later =
        Budget::open_jointly(&folder.path().join("later.jsonl"), &joint, caps, clock(), quiet()).unwrap();
    assert!(later.reserve(&account(0, 0), MicroDollars(401)).await.is_err());
}

#[tokio::test]
async fn what_a_killed_process_had_reserved_counts_as_spent() {
    let folder = tempfile::tempdir().unwrap();
    let (own, joint) = (folder.path().join("own.jsonl"), folder.path().join("joint.jsonl"));
    let caps = Caps { key: Some(MicroDollars(1_000)), ..Caps::default() };
    drop(Budget::open_jointly(&own, &joint, caps, clock(), quiet()).unwrap());
    // No process has so high a number; the last line was cut by the kill.
    let dead =
        "{\"reserved\":{\"process\":2147483647,\"purses\":[{\"key\":\"key-0\"}],\"worst\":700}}\n{\"reser";
    let mut text = std::fs::read_to_string(&joint).unwrap();
    text.push_str(dead);
    std::fs::write(&joint, text).unwrap();
    let budget = Budget::open_jointly(&own, &joint, caps, clock(), quiet()).unwrap();
    assert!(budget.reserve(&account(0, 0), MicroDollars(301)).await.is_err());
    budget.reserve(&account(0, 0), MicroDollars(300)).await.unwrap().release();
    budget.reserve(&account(0, 1), MicroDollars(900)).await.unwrap().release();
}
