//! Programs that run in a sandbox, and what comes back from them.

use std::collections::BTreeMap;
use std::time::Duration;

use trajforge_shim::protocol::{self, Command, Identity, Meanwhile};

/// A program to be run, apart from the shell sessions.
#[derive(Debug, Clone, PartialEq)]
pub struct Exec {
    /// What.
    pub command: Command,
    /// As whom.
    pub identity: Identity,
    /// Where; the workspace if absent.
    pub cwd: Option<String>,
    /// Added to the environment.
    pub variables: BTreeMap<String, String>,
    /// What the agent's processes do in the meantime.
    pub meanwhile: Meanwhile,
    /// Until it is interrupted, then terminated, then killed, with everything in its session.
    pub timeout: Duration,
    /// Standard input; `/dev/null` when empty.
    pub stdin: Vec<u8>,
    /// Bytes of output that are kept; the sandbox's own figure if absent.
    pub output_bytes: Option<u64>,
}

impl Exec {
    /// A script for `bash -c` (`sh -c` where there is no bash), as the agent, in the workspace, for a minute.
    pub fn bash(script: impl Into<String>) -> Self {
        Self::of(Command::Bash(script.into()))
    }

    /// A program with its arguments, as the agent, in the workspace, for a minute.
    pub fn argv<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self::of(Command::Argv(argv.into_iter().map(Into::into).collect()))
    }

    fn of(command: Command) -> Self {
        Self {
            command,
            identity: Identity::Agent,
            cwd: None,
            variables: BTreeMap::new(),
            meanwhile: Meanwhile::Running,
            timeout: Duration::from_mins(1),
            stdin: Vec::new(),
            output_bytes: None,
        }
    }

    /// The same, as root: for checks and milestones. `as-agent CMD...` is then on the PATH, and a script is not among
    /// the arguments that others can see.
    #[must_use]
    pub fn as_root(mut self) -> Self {
        self.identity = Identity::Root;
        self
    }

    /// The same, while the agent's processes stand still (services go on): for checks that the agent must not see at
    /// work, since the arguments of every process are public inside a container.
    #[must_use]
    pub fn unobserved(mut self) -> Self {
        self.meanwhile = Meanwhile::Stopped;
        self
    }

    /// The same, in another folder.
    #[must_use]
    pub fn in_folder(mut self, cwd: impl Into<String>) -> Self {
        self.cwd = Some(cwd.into());
        self
    }

    /// The same, with another time limit.
    #[must_use]
    pub fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same, with something on its standard input.
    #[must_use]
    pub fn with_stdin(mut self, stdin: impl Into<Vec<u8>>) -> Self {
        self.stdin = stdin.into();
        self
    }

    /// The same, with one more environment variable.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
}

/// How a program or a shell command ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ran {
    /// 128 + n after signal n; of a command that timed out, whatever it ended with when it was stopped.
    pub exit_code: i32,
    /// Whether it had to be stopped.
    pub timed_out: bool,
    /// Standard output and standard error in the order of their arrival.
    pub output: Output,
    /// How long it took.
    pub duration: Duration,
    /// Of a shell session: the working directory afterwards. Elsewhere empty.
    pub cwd: String,
    /// Of a shell session: whether it had to be begun again, which loses its variables, functions and jobs.
    pub restarted: bool,
}

impl Ran {
    /// Whether it ended by itself, with 0.
    pub fn succeeded(&self) -> bool {
        self.exit_code == 0 && !self.timed_out
    }

    pub(crate) fn from_wire(ran: protocol::Ran, payload: Vec<u8>) -> Self {
        let at = usize::try_from(ran.head_bytes).unwrap_or(usize::MAX).min(payload.len());
        let mut head = payload;
        let tail = head.split_off(at);
        Self {
            exit_code: ran.exit_code,
            timed_out: ran.timed_out,
            output: Output { head, tail, cut_bytes: ran.cut_bytes },
            duration: Duration::from_micros(ran.duration_us),
            cwd: ran.cwd.unwrap_or_default(),
            restarted: ran.restarted,
        }
    }
}

/// What a program printed, bounded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Output {
    /// The beginning; everything, if nothing was cut.
    pub head: Vec<u8>,
    /// The end, if something was cut.
    pub tail: Vec<u8>,
    /// Bytes between the two that are gone.
    pub cut_bytes: u64,
}

impl Output {
    /// The output as text, with the cut declared and invalid UTF-8 replaced.
    pub fn text(&self) -> String {
        let head = String::from_utf8_lossy(&self.head);
        if self.cut_bytes == 0 {
            return format!("{head}{}", String::from_utf8_lossy(&self.tail));
        }
        format!(
            "{head}\n[... {} bytes of output cut here ...]\n{}",
            self.cut_bytes,
            String::from_utf8_lossy(&self.tail)
        )
    }
}

/// What an agent sees of a file operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The text.
    pub text: String,
    /// Whether the operation failed from the agent's point of view.
    pub is_error: bool,
    /// Bytes that were left out, where that is known; the text declares it too.
    pub cut_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_declared_with_its_exact_size() {
        let ran = protocol::Ran { head_bytes: 3, cut_bytes: 10, ..Default::default() };
        let output = Ran::from_wire(ran, b"abcxyz".to_vec()).output;
        assert_eq!(output.text(), "abc\n[... 10 bytes of output cut here ...]\nxyz");
    }

    #[test]
    fn whole_output_is_left_alone() {
        let ran = protocol::Ran { head_bytes: 6, ..Default::default() };
        assert_eq!(Ran::from_wire(ran, b"abcxyz".to_vec()).output.text(), "abcxyz");
    }
}
