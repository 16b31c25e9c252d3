//! Verification: a fresh sandbox from the same image, only the declared folders carried over; it fails closed.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use trajforge_sandbox::protocol::Owner;
use trajforge_sandbox::{Exec, Sandbox, SandboxExt as _, SandboxSpec, Sandboxes};
use trajforge_schema::{Boundary, Check, CheckResult, Failure, FailureCode};

use crate::prepare;
use crate::rollout::{Attempt, stop};

/// Where the hidden files lie.
const VERIFY_FOLDER: &str = "/verify";
/// Bytes of a check's output that are kept.
const OUTPUT_BYTES: u64 = 4 << 10;
/// Seconds that `checks.py` may take before and between its checks.
const START_SECONDS: u64 = 30;

/// What verification said, and how long it took.
#[derive(Debug, Default)]
pub(crate) struct Verified {
    /// Each check's result; none where there was no verdict.
    pub(crate) checks: Option<Vec<CheckResult>>,
    /// Seconds, the fresh sandbox included.
    pub(crate) seconds: f64,
}

/// Whether the final state can be judged although something failed: the sandbox must still be there.
pub(crate) fn is_judgeable(failure: &Failure) -> bool {
    matches!(failure.boundary, Boundary::Model | Boundary::Scaffold)
}

/// The sandbox of an attempt, for the agent and for the verification alike.
pub(crate) fn sandbox_spec(attempt: &Attempt<'_>) -> Result<SandboxSpec, Failure> {
    let (run, rollout) = (attempt.run.clone(), attempt.rollout.id.clone());
    SandboxSpec::of(&attempt.task.environment, attempt.image, run, rollout)
        .map_err(|error| Failure::new(FailureCode::SetupFailed, error.to_string()))
}

/// A fresh sandbox that holds what the agent left, and nothing else of its own.
pub(crate) async fn hand_over(
    sandboxes: &dyn Sandboxes,
    left: &dyn Sandbox,
    attempt: &Attempt<'_>,
) -> Result<Box<dyn Sandbox>, Failure> {
    let environment = &attempt.task.environment;
    left.kill_agent().await?;
    left.stop_services().await?;
    let fresh = sandboxes.create(&sandbox_spec(attempt)?).await?;
    let mut paths = vec![environment.workspace.clone()];
    paths.extend(environment.carry.iter().cloned());
    match left.carry(&paths, &*fresh).await {
        Ok(_) => Ok(fresh),
        Err(error) => {
            stop(&*fresh, attempt).await;
            Err(error.to_failure())
        }
    }
}

/// Runs the hidden checks.
pub(crate) async fn judge(sandbox: &dyn Sandbox, attempt: &Attempt<'_>) -> Result<Vec<CheckResult>, Failure> {
    let task = attempt.task;
    for service in task.environment.services.iter().filter(|service| service.in_verification) {
        if let Err(failure) = prepare::start(sandbox, service).await {
            // What the agent left does not start: that is its failure, not the verifier's.
            return Ok(task
                .verification
                .checks
                .iter()
                .map(|check| not_run(check, &failure.message))
                .collect());
        }
    }
    let workspace = task.environment.workspace.as_str();
    prepare::lay(sandbox, VERIFY_FOLDER, Owner::Secret, &task.verification.files).await?;
    let mut together = named(sandbox, &task.verification.checks, workspace).await?;
    let mut results = Vec::new();
    for check in &task.verification.checks {
        let result = match &check.run {
            Some(command) => {
                let result = one(sandbox, check, command, workspace).await?;
                // What the agent's code has started in one check must not stand in the way of the next.
                sandbox.kill_agent().await?;
                result
            }
            None => together.remove(&check.name).unwrap_or_else(|| not_run(check, "it was not run")),
        };
        results.push(result);
    }
    Ok(results)
}

/// A check that is a command of its own.
async fn one(
    sandbox: &dyn Sandbox,
    check: &Check,
    command: &str,
    workspace: &str,
) -> Result<CheckResult, Failure> {
    let exec = hidden(Exec::bash(command), workspace).within(Duration::from_secs(check.timeout_seconds));
    let ran = sandbox.exec(Exec { output_bytes: Some(OUTPUT_BYTES), ..exec }).await?;
    let exit_code = (!ran.timed_out).then_some(ran.exit_code);
    let report = Report { exit_code, output: ran.output.text(), seconds: ran.duration.as_secs_f64() };
    Ok(report.of(check))
}

/// The checks that are functions of `checks.py`: one interpreter, which forks for each of them.
async fn named(
    sandbox: &dyn Sandbox,
    checks: &[Check],
    workspace: &str,
) -> Result<BTreeMap<String, CheckResult>, Failure> {
    let named: Vec<&Check> = checks.iter().filter(|check| check.run.is_none()).collect();
    if named.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut argv = vec!["python3".to_owned(), "checks.py".to_owned(), "--each".to_owned()];
    argv.extend(named.iter().map(|check| format!("{}={}", check.name, check.timeout_seconds)));
    let seconds = named.iter().map(|check| check.timeout_seconds).sum::<u64>() + START_SECONDS;
    let exec = hidden(Exec::argv(argv), workspace).within(Duration::from_secs(seconds));
    let most = OUTPUT_BYTES * (2 + 8 * named.len() as u64);
    let ran = sandbox.exec(Exec { output_bytes: Some(most), ..exec }).await?;
    sandbox.kill_agent().await?;
    let said = ran.output.text();
    let mut results = BTreeMap::new();
    for line in said.lines() {
        let Ok(Named { name, report }) = serde_json::from_str(line) else { continue };
        if let Some(check) = named.iter().find(|check| check.name == name) {
            results.insert(name, report.of(check));
        }
    }
    for check in named {
        results.entry(check.name.clone()).or_insert_with(|| not_run(check, &said));
    }
    Ok(results)
}

fn hidden(exec: Exec, workspace: &str) -> Exec {
    exec.as_root()
        .in_folder(VERIFY_FOLDER)
        .with_variable("WORKSPACE", workspace)
        .with_variable("PYTHONDONTWRITEBYTECODE", "1")
}

/// How a check went.
#[derive(Deserialize)]
struct Report {
    exit_code: Option<i32>,
    output: String,
    seconds: f64,
}

/// A line of `checks.py --each`.
#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(flatten)]
    report: Report,
}

impl Report {
    fn of(self, check: &Check) -> CheckResult {
        CheckResult {
            name: check.name.clone(),
            passed: self.exit_code == Some(0),
            exit_code: self.exit_code,
            output: self.output,
            seconds: self.seconds,
        }
    }
}

fn not_run(check: &Check, why: &str) -> CheckResult {
    CheckResult {
        name: check.name.clone(),
        passed: false,
        exit_code: None,
        output: why.to_owned(),
        seconds: 0.0,
    }
}
