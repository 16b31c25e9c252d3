//! The folder of a run: made whole or not at all, worked on by one process, its tries never overwritten.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use trajforge_schema::sample::{STARTED, Sample};
use trajforge_schema::{Record, RunPlan, Trajectory, WIRE_VERSION};
use trajforge_trajectory::{Error, RunStore};

fn plan(seeds: u64) -> RunPlan {
    let rollouts = (0..seeds).map(|seed| Sample { seed, ..Sample::oracle() }.rollout()).collect();
    RunPlan {
        wire_version: WIRE_VERSION,
        name: "first".parse().unwrap(),
        created: STARTED,
        caps: trajforge_schema::Caps::default(),
        unpriced: trajforge_schema::Unpriced::default(),
        ledger: None,
        route: None,
        trajforge_version: "0.1.0".to_owned(),
        rollouts,
    }
}

fn write(store: &RunStore, trajectory: &Trajectory, whole: bool) {
    let mut journal = store.begin(&trajectory.header.rollout.id).unwrap();
    journal.append(&Record::Header(Box::new(trajectory.header.clone()))).unwrap();
    for step in &trajectory.steps {
        journal.append(&Record::Step(step.clone())).unwrap();
    }
    if whole {
        let summary = trajectory.summary.clone().unwrap();
        journal.append(&Record::Summary(Box::new(summary))).unwrap();
    }
    journal.finish().unwrap();
}

fn oracle(seed: u64) -> Trajectory {
    Sample { seed, ..Sample::oracle() }.trajectory()
}

#[test]
fn a_run_is_found_again_as_it_was_made() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/runs/first");
    let made = RunStore::create(&path, plan(2)).unwrap();
    let opened = RunStore::open(&path).unwrap();
    assert_eq!(opened.plan(), made.plan());
    assert_eq!(opened.queue_path(), path.join("queue.sqlite"));
    let siblings = fs::read_dir(path.parent().unwrap()).unwrap().count();
    assert_eq!(siblings, 1, "a draft was left behind");
}

#[test]
fn an_existing_folder_is_refused_and_left_as_it_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("first");
    fs::create_dir(&path).unwrap();
    let error = RunStore::create(&path, plan(1)).unwrap_err();
    assert!(matches!(error, Error::RunExists { .. }));
    assert!(error.hint().unwrap().contains("--resume"));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
}

#[test]
fn a_folder_without_a_plan_is_no_run() {
    let folder = TempDir::new().unwrap();
    assert!(matches!(RunStore::open(folder.path()), Err(Error::NoRun { .. })));
    assert!(matches!(RunStore::open(Path::new("/nowhere/at/all")), Err(Error::NoRun { .. })));
    fs::write(folder.path().join("run.json"), "{\"wire_version\": 99}").unwrap();
    assert!(matches!(RunStore::open(folder.path()), Err(Error::Newer { .. })));
    fs::write(folder.path().join("run.json"), "{").unwrap();
    assert!(matches!(RunStore::open(folder.path()), Err(Error::Parse { .. })));
}

#[test]
fn of_many_that_want_to_work_on_a_run_one_may() {
    let folder = TempDir::new().unwrap();
    let store = RunStore::create(&folder.path().join("first"), plan(1)).unwrap();
    let (barrier, allowed) = (Barrier::new(8), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                barrier.wait();
                let lock = store.lock("process 4711");
                if lock.is_ok() {
                    allowed.fetch_add(1, Ordering::SeqCst);
                }
                barrier.wait();
                drop(lock);
            });
        }
    });
    assert_eq!(allowed.load(Ordering::SeqCst), 1);
}

#[test]
fn the_refused_are_told_who_holds_the_lock() {
    let folder = TempDir::new().unwrap();
    let store = RunStore::create(&folder.path().join("first"), plan(1)).unwrap();
    let lock = store.lock("process 4711").unwrap();
    let error = store.lock("process 4712").unwrap_err();
    assert!(error.to_string().contains("process 4711 works on it"), "{error}");
    lock.release();
    store.lock("process 4712").unwrap();
}

#[test]
fn an_earlier_try_is_kept_beside_the_one_that_counts() {
    let folder = TempDir::new().unwrap();
    let store = RunStore::create(&folder.path().join("first"), plan(1)).unwrap();
    let trajectory = oracle(0);
    let id = &trajectory.header.rollout.id;
    write(&store, &trajectory, false);
    write(&store, &trajectory, false);
    write(&store, &trajectory, true);
    assert_eq!(store.read(id).unwrap().unwrap().trajectory, trajectory);
    let lost = store.lost(id);
    assert_eq!(lost.len(), 2);
    assert!(lost[1].ends_with(format!("{id}.lost-2.jsonl")));
    assert_eq!(trajforge_trajectory::read(&lost[0]).unwrap().trajectory.summary, None);
}

#[test]
fn rollouts_are_listed_and_read_in_the_order_of_the_plan() {
    let folder = TempDir::new().unwrap();
    let store = RunStore::create(&folder.path().join("first"), plan(4)).unwrap();
    write(&store, &oracle(2), true);
    write(&store, &oracle(1), false);
    write(&store, &oracle(0), true);
    fs::write(store.journal_path(&oracle(3).header.rollout.id), "{\"crc\"").unwrap();

    let ids =
        |seeds: &[u64]| -> Vec<_> { seeds.iter().map(|seed| oracle(*seed).header.rollout.id).collect() };
    assert_eq!(store.finished().unwrap(), ids(&[0, 2]));
    assert_eq!(store.unfinished().unwrap(), ids(&[1, 3]));
    let recorded: Vec<_> = store.trajectories().map(Result::unwrap).collect();
    let found: Vec<_> = recorded.iter().map(|one| one.journal.is_some()).collect();
    assert_eq!(found, [true, true, true, false]);
    assert_eq!(recorded[0].journal.as_ref().unwrap().trajectory, oracle(0));
}

#[test]
fn an_attempt_that_was_added_is_listed_once_after_the_plan_and_a_torn_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run");
    let store = RunStore::create(&path, plan(2)).unwrap();
    let (first, second) = (store.plan().rollouts[0].next(), store.plan().rollouts[1].next());
    assert_eq!(first.attempt, 2);
    store.follow(&first).unwrap();
    store.follow(&first).unwrap();
    let listed = |path: &std::path::Path| {
        RunStore::open(path).unwrap().rollouts().map(|spec| spec.id.to_string()).collect::<Vec<_>>()
    };
    let whole = listed(&path);
    assert_eq!((whole.len(), whole[2].as_str()), (3, first.id.as_str()));
    let file = path.join("followed.jsonl");
    let mut torn = std::fs::read(&file).unwrap();
    torn.extend_from_slice(b"{\"id\": \"to");
    std::fs::write(&file, torn).unwrap();
    assert_eq!(listed(&path), whole);
    store.follow(&second).unwrap();
    assert_eq!(listed(&path)[3], second.id.as_str());
}
