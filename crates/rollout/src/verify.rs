//! Verification: a fresh sandbox from the same image, only the declared folders carried over; it fails closed.

use std::time::Duration;

use trajforge_sandbox::protocol::Owner;
use trajforge_sandbox::{Exec, Sandbox, SandboxExt as _, SandboxSpec, Sandboxes};
use trajforge_schema::{Boundary, Check, CheckResult, Failure, FailureCode};

use crate::prepare;
use crate::rollout::Attempt;

/// Where the hidden files lie.
const VERIFY_FOLDER: &str = "/verify";
/// Bytes of a check's output that are kept.
const OUTPUT_BYTES: u64 = 4 << 10;

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
            if let Err(error) = fresh.stop().await {
                tracing::warn!(rollout = %attempt.rollout.id, "a sandbox could not be stopped: {error}");
            }
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
    prepare::lay(sandbox, VERIFY_FOLDER, Owner::Secret, &task.verification.files).await?;
    let mut results = Vec::new();
    for check in &task.verification.checks {
        results.push(one(sandbox, check, &task.environment.workspace).await?);
    }
    Ok(results)
}

async fn one(sandbox: &dyn Sandbox, check: &Check, workspace: &str) -> Result<CheckResult, Failure> {
    let exec = Exec::bash(&check.run)
        .as_root()
        .in_folder(VERIFY_FOLDER)
        .with_variable("WORKSPACE", workspace)
        .with_variable("PYTHONDONTWRITEBYTECODE", "1")
        .within(Duration::from_secs(check.timeout_seconds));
    let ran = sandbox.exec(Exec { output_bytes: Some(OUTPUT_BYTES), ..exec }).await?;
    let exit_code = (!ran.timed_out).then_some(ran.exit_code);
    Ok(CheckResult {
        name: check.name.clone(),
        passed: exit_code == Some(0),
        exit_code,
        output: ran.output.text(),
        seconds: ran.duration.as_secs_f64(),
    })
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
