//! Trajectories in, verdicts out, and every one of them counted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use trajforge_filter::{Error, Filter, Judge};
use trajforge_schema::sample::Sample;
use trajforge_schema::{
    Action, Difficulty, Digest, DropReason, Ending, Failure, FailureCode, Outcome, Provenance, Rate,
    Timestamp, Trajectory, Verdict,
};

fn verdict(filter: Filter, trajectory: &Trajectory) -> Option<DropReason> {
    reason(&Judge::new(filter).unwrap().judge(trajectory))
}

fn reason(verdict: &Verdict) -> Option<DropReason> {
    match verdict {
        Verdict::Keep => None,
        Verdict::Drop { reason, detail } => {
            assert!(!detail.is_empty());
            Some(*reason)
        }
    }
}

fn broken(code: FailureCode) -> Trajectory {
    let mut trajectory = Sample { reward: 0.0, ..Sample::default() }.trajectory();
    let summary = trajectory.summary.as_mut().unwrap();
    summary.outcome = Outcome::Error;
    summary.ending = Ending::Failed { failure: Failure::new(code, "it broke") };
    summary.checks.clear();
    trajectory
}

#[test]
fn a_model_or_an_oracle_that_did_its_work_is_kept() {
    for sample in [Sample::default(), Sample::oracle(), Sample { reward: 0.4, ..Sample::default() }] {
        assert_eq!(verdict(Filter::default(), &sample.trajectory()), None, "{sample:?}");
    }
}

#[test]
fn a_rollout_that_did_not_finish_is_incomplete() {
    let mut unfinished = Sample::default().trajectory();
    unfinished.summary = None;
    assert_eq!(verdict(Filter::default(), &unfinished), Some(DropReason::Incomplete));
    let mut cancelled = Sample::default().trajectory();
    cancelled.summary.as_mut().unwrap().ending = Ending::Cancelled;
    assert_eq!(verdict(Filter::default(), &cancelled), Some(DropReason::Incomplete));
}

#[test]
fn a_failure_outside_the_agents_work_is_an_error_even_if_nobody_had_acted_yet() {
    assert_eq!(verdict(Filter::default(), &broken(FailureCode::DiskFull)), Some(DropReason::Error));
    let mut before_any_step = broken(FailureCode::ModelUnreachable);
    before_any_step.steps.clear();
    assert_eq!(verdict(Filter::default(), &before_any_step), Some(DropReason::Error));
}

#[test]
fn a_control_is_left_out_unless_it_is_asked_for() {
    let control = Sample::nop().trajectory();
    assert_eq!(verdict(Filter::default(), &control), Some(DropReason::Control));
    let keep = Filter { keep_controls: true, ..Filter::default() };
    assert_eq!(verdict(keep, &control), None);
    let silent_model = Sample { steps: 0, reward: 0.0, ..Sample::default() }.trajectory();
    assert_eq!(verdict(Filter::default(), &silent_model), Some(DropReason::Control));
}

#[test]
fn a_program_in_the_place_of_a_model_is_refused_unless_it_is_allowed() {
    let simulated = Sample { provenance: Provenance::Simulated, ..Sample::default() }.trajectory();
    assert_eq!(verdict(Filter::default(), &simulated), Some(DropReason::Simulated));
    let allow = Filter { allow_simulated: true, ..Filter::default() };
    assert_eq!(verdict(allow, &simulated), None);
}

#[test]
fn a_reward_below_what_was_asked_for_is_low() {
    let half = Sample { reward: 0.5, ..Sample::default() }.trajectory();
    let nothing = Sample { reward: 0.0, ..Sample::default() }.trajectory();
    let at_least = |least| Filter { min_reward: Some(least), ..Filter::default() };
    assert_eq!(verdict(at_least(0.5), &half), None);
    assert_eq!(verdict(at_least(0.6), &half), Some(DropReason::LowReward));
    assert_eq!(verdict(Filter::default(), &nothing), None);
    let no_failures = Filter { keep_failures: false, ..Filter::default() };
    assert_eq!(verdict(no_failures, &nothing), Some(DropReason::LowReward));
    assert_eq!(verdict(no_failures, &half), None);
}

#[test]
fn a_least_reward_that_makes_no_sense_is_refused() {
    for value in [-0.1, 1.1, f64::NAN] {
        let filter = Filter { min_reward: Some(value), ..Filter::default() };
        let error = Judge::new(filter).unwrap_err();
        assert!(matches!(error, Error::LeastReward { .. }));
        assert!(error.hint().is_some());
    }
}

/// A way of making a record contradict itself.
type Break = (&'static str, fn(&mut Trajectory));

const BREAKS: [Break; 17] = [
    ("a step number is missing", |t| t.steps[1].step = 3),
    ("a turn number is missing", |t| t.turns[1].turn = 7),
    ("a step names a turn that is not there", |t| {
        t.steps[2].turn = Some(9);
    }),
    ("a step took less than no time", |t| t.steps[0].seconds = -1.0),
    ("a step's time is no number", |t| t.steps[0].seconds = f64::NAN),
    ("it ended before it began", |t| {
        t.header.started = Timestamp(u64::MAX);
    }),
    ("no check was carried out", |t| {
        t.summary.as_mut().unwrap().checks.clear();
    }),
    ("a success failed a check", |t| {
        t.summary.as_mut().unwrap().checks[0].passed = false;
    }),
    ("the rewards do not add up", |t| t.steps[0].reward = 0.1),
    ("a reward is no number", |t| t.steps[0].reward = f64::NAN),
    ("the total is more than 1", |t| {
        t.summary.as_mut().unwrap().reward.total = 1.5;
    }),
    ("the outcome does not fit the total", |t| {
        t.summary.as_mut().unwrap().outcome = Outcome::Partial;
    }),
    ("a component is more than 1", |t| {
        t.summary.as_mut().unwrap().reward.components[0].value = 2.0;
    }),
    ("a path is removed that was not there", |t| {
        t.steps[1].state.files.removed.push("nowhere".to_owned());
    }),
    ("a path is both changed and removed", |t| {
        t.steps[1].state.files.removed.push("out-2.txt".to_owned());
    }),
    ("there is no working directory", |t| t.steps[1].state.cwd.clear()),
    ("the final digest is another", |t| {
        t.summary.as_mut().unwrap().final_digest = Digest::of(b"x");
    }),
];

#[test]
fn a_record_that_contradicts_itself_is_inconsistent() {
    for (name, make) in BREAKS {
        let mut trajectory = Sample::default().trajectory();
        make(&mut trajectory);
        assert_eq!(verdict(Filter::default(), &trajectory), Some(DropReason::Inconsistent), "{name}");
    }
}

#[test]
fn rounding_in_the_rewards_is_no_contradiction() {
    let mut trajectory = Sample::default().trajectory();
    trajectory.steps[0].reward = 0.1 + 0.2;
    trajectory.steps[3].reward = 0.7;
    assert_eq!(verdict(Filter::default(), &trajectory), None);
}

#[test]
fn of_those_that_do_the_same_the_first_one_is_kept() {
    let mut judge = Judge::new(Filter::default()).unwrap();
    let first = Sample::default().trajectory();
    assert_eq!(judge.judge(&first), Verdict::Keep);

    let mut again = Sample { attempt: 2, ..Sample::default() }.trajectory();
    for step in &mut again.steps {
        step.reasoning = "other words".to_owned();
        match &mut step.action {
            Action::Bash { command, timeout_seconds } => {
                command.push_str(" \n");
                *timeout_seconds = Some(5);
            }
            Action::Submit { message } => *message = None,
            other => panic!("the sample has no {other:?}"),
        }
    }
    let verdict = judge.judge(&again);
    let Verdict::Drop { reason: DropReason::Duplicate, detail } = verdict else {
        panic!("{verdict:?}");
    };
    assert!(detail.contains(first.header.rollout.id.as_str()), "{detail}");

    let mut different = Sample { attempt: 3, ..Sample::default() }.trajectory();
    different.steps[0].action = Action::List { path: None };
    assert_eq!(judge.judge(&different), Verdict::Keep);
    let mut elsewhere = again;
    elsewhere.header.cluster = "another".to_owned();
    assert_eq!(judge.judge(&elsewhere), Verdict::Keep);
}

#[test]
fn what_is_dropped_does_not_make_a_later_one_a_duplicate() {
    let mut judge = Judge::new(Filter { min_reward: Some(1.0), ..Filter::default() }).unwrap();
    let poor = Sample { reward: 0.5, ..Sample::default() }.trajectory();
    assert_eq!(reason(&judge.judge(&poor)), Some(DropReason::LowReward));
    assert_eq!(judge.judge(&Sample::default().trajectory()), Verdict::Keep);
}

#[test]
fn raw_rates_count_attempts_before_anything_is_dropped() {
    let mut judge = Judge::new(Filter { min_reward: Some(1.0), ..Filter::default() }).unwrap();
    judge.judge(&Sample::oracle().trajectory());
    judge.judge(&Sample { seed: 8, reward: 0.5, ..Sample::default() }.trajectory());
    judge.judge(&broken(FailureCode::SandboxLost));
    judge.judge(&Sample::nop().trajectory());
    judge.never_began(&Sample { seed: 9, ..Sample::default() }.rollout());
    let tally = judge.tally();
    assert_eq!((tally.submitted, tally.kept), (5, 1));
    assert_eq!(tally.attempts, Rate { rollouts: 3, successes: 1 });
    assert_eq!(tally.by_difficulty[&Difficulty::Medium], Rate { rollouts: 2, successes: 1 });
    assert_eq!(tally.by_difficulty[&Difficulty::Hard], Rate { rollouts: 1, successes: 0 });
    assert_eq!(tally.by_category["python-debugging"], tally.attempts);
    assert_eq!(tally.by_llm["oracle"], Rate { rollouts: 1, successes: 1 });
    assert_eq!(tally.by_llm["small-model"], Rate { rollouts: 2, successes: 0 });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever comes in, in whatever order and with whatever settings, is kept once or dropped once.
    #[test]
    fn nothing_is_lost_and_nothing_is_counted_twice(
        kinds in prop::collection::vec((0usize..24, 0u64..4, 0u32..5, 0usize..3), 0..60),
        min_reward in prop::option::of(0.0f64..=1.0),
        (keep_failures, keep_controls, allow_simulated) in any::<(bool, bool, bool)>(),
    ) {
        let filter = Filter { min_reward, keep_failures, keep_controls, allow_simulated };
        let mut judge = Judge::new(filter).unwrap();
        let (mut kept, mut dropped) = (0, 0);
        for (kind, seed, steps, reward) in &kinds {
            let reward = if *steps == 0 { 0.0 } else { [0.0, 0.5, 1.0][*reward] };
            let sample = Sample { seed: *seed, steps: *steps, reward, ..Sample::default() };
            let mut trajectory = match kind {
                0 => Sample { seed: *seed, ..Sample::nop() }.trajectory(),
                1 => Sample { provenance: Provenance::Simulated, ..sample }.trajectory(),
                2 => Sample { provenance: Provenance::Oracle, model: None, ..sample }.trajectory(),
                3 => broken(FailureCode::Internal),
                _ => sample.trajectory(),
            };
            match kind {
                4 => trajectory.summary = None,
                5..22 if trajectory.steps.len() == 4 => BREAKS[kind - 5].1(&mut trajectory),
                _ => {}
            }
            match judge.judge(&trajectory) {
                Verdict::Keep => kept += 1,
                Verdict::Drop { .. } => dropped += 1,
            }
            prop_assert!(judge.tally().is_conserved());
        }
        let tally = judge.tally();
        prop_assert_eq!(tally.submitted, kinds.len() as u64);
        prop_assert_eq!(tally.kept, kept);
        prop_assert_eq!(tally.dropped.values().sum::<u64>(), dropped);
        let by_category: u64 = tally.by_category.values().map(|rate| rate.rollouts).sum();
        prop_assert_eq!(by_category, tally.attempts.rollouts);
    }
}
