//! Programs apart from the sessions, with their two outputs kept apart.

use std::sync::atomic::{AtomicU64, Ordering};

use trajforge_sandbox::{Exec, SandboxExt as _};

use super::Shared;
use super::problem::{Class, Problem};
use super::session::after;
use super::wire::{Execute, Executed, Words, time};

/// Bytes of each output that are kept.
const KEPT: u64 = 1 << 20;

/// Tells the files of two commands that run at once apart.
static NUMBER: AtomicU64 = AtomicU64::new(0);

impl Shared {
    /// Runs a program to its end.
    pub(super) async fn execute(&self, request: Execute) -> Result<Executed, Problem> {
        let errors = format!("/tmp/.swerex-{}.err", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut argv = words(&request);
        if !request.merge_output_streams {
            // The sandbox has one stream for both: the other goes to a file.
            let apart = ["sh", "-c", "exec \"$@\" 2>\"$0\"", &errors];
            argv.splice(0..0, apart.map(str::to_owned));
        }
        let mut exec = Exec::argv(argv).within(time(request.timeout));
        exec.cwd.clone_from(&request.cwd);
        exec.variables = request.env.clone().unwrap_or_default();
        exec.output_bytes = Some(KEPT);
        let ran = self.sandbox.exec(exec).await?;
        let stderr = if request.merge_output_streams { String::new() } else { self.take(&errors).await? };
        if ran.timed_out {
            let seconds = request.timeout.unwrap_or_default();
            let message = format!("Timeout ({seconds}s) exceeded while running command");
            return Err(Problem::new(Class::CommandTimeout, message));
        }
        let (stdout, code) = (ran.output.text(), ran.exit_code);
        if request.check && code != 0 {
            let command = serde_json::to_string(&request.command).unwrap_or_default();
            let message = format!(
                "Command {command} failed with exit code {code}. Stdout:\n{stdout:?}\nStderr:\n{stderr:?}"
            );
            return Err(Problem::new(Class::NonZeroExitCode, after(&request.error_msg, message)));
        }
        Ok(Executed { stdout, stderr, exit_code: Some(code) })
    }

    /// What a file holds, which is gone afterwards.
    async fn take(&self, path: &str) -> Result<String, Problem> {
        let mut exec = Exec::argv(["sh", "-c", "cat \"$0\"; rm -f \"$0\"", path]);
        exec.output_bytes = Some(KEPT);
        Ok(self.sandbox.exec(exec).await?.output.text())
    }
}

/// The words that Python's `subprocess.run` would start.
fn words(request: &Execute) -> Vec<String> {
    let given = match &request.command {
        Words::One(line) => vec![line.clone()],
        Words::Many(words) => words.clone(),
    };
    if !request.shell {
        return given;
    }
    let mut argv = vec!["sh".to_owned(), "-c".to_owned()];
    argv.extend(given);
    argv
}
