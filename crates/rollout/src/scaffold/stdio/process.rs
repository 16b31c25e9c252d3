//! A program on the host: its lines, its last words, and its end with everything that it started.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

/// Bytes of one line at most.
const LINE: usize = 4 << 20;
/// Lines that wait to be looked at.
const WAITING: usize = 16;
/// Bytes of what it says on its standard error that are kept.
const LAST_WORDS: usize = 4096;
/// How long a line may take to be taken.
const TAKING: Duration = Duration::from_secs(30);
/// How often what escaped is looked for before it is given up.
const ROUNDS: usize = 20;
/// Where programs are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The variable by which everything that a program starts is known.
const MARK: &str = "TRAJFORGE_SCAFFOLD_PROCESS";

/// Something that a program did.
#[derive(Debug)]
pub(in crate::scaffold) enum Output {
    /// A line.
    Line(String),
    /// A line without an end.
    TooLong,
    /// Its standard output is closed.
    Closed,
}

/// What became of a program when it was to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Leavings {
    /// Whether it had to be killed.
    pub killed: bool,
    /// Processes that outlived it, and were killed.
    pub processes: usize,
}

/// A running program.
pub(in crate::scaffold) struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    output: mpsc::Receiver<Output>,
    last_words: Arc<Mutex<VecDeque<u8>>>,
    mark: String,
}

impl Process {
    /// Starts a program in a folder, with these variables and no others of this process.
    pub(in crate::scaffold) fn start(
        command: &[String],
        folder: &Path,
        variables: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let mark = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let (program, arguments) =
            command.split_first().ok_or_else(|| io::Error::other("no program is named"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .envs([("PATH", PATH), ("LANG", "C.UTF-8"), ("PYTHONUNBUFFERED", "1")])
            .envs(variables)
            .env(MARK, &mark)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take();
        let (sender, output) = mpsc::channel(WAITING);
        if let Some(stdout) = child.stdout.take() {
            tokio::spawn(read_lines(stdout, sender));
        }
        let last_words = Arc::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(keep_the_end(stderr, Arc::clone(&last_words)));
        }
        Ok(Self { child, stdin, output, last_words, mark })
    }

    /// Sends a line; a program that does not take it has failed.
    pub(super) async fn send(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or_else(|| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let whole = format!("{line}\n");
        let sent = async {
            stdin.write_all(whole.as_bytes()).await?;
            stdin.flush().await
        };
        tokio::time::timeout(TAKING, sent)
            .await
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
    }

    /// The next thing that it does.
    pub(in crate::scaffold) async fn next(&mut self) -> Output {
        self.output.recv().await.unwrap_or(Output::Closed)
    }

    /// How it ended, if it does within this time.
    pub(in crate::scaffold) async fn ended(&mut self, within: Duration) -> Option<ExitStatus> {
        tokio::time::timeout(within, self.child.wait()).await.ok()?.ok()
    }

    /// What it said at last on its standard error.
    pub(in crate::scaffold) fn last_words(&self) -> String {
        let words = self.last_words.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = words.iter().copied().collect();
        String::from_utf8_lossy(&bytes).trim().to_owned()
    }

    /// Lets it end by itself for a while, then kills it and all that it started.
    pub(in crate::scaffold) async fn stop(mut self, grace: Duration) -> Leavings {
        self.stdin = None;
        // Whoever still writes must not be held up by lines that nobody reads.
        self.output.close();
        let killed = self.ended(grace).await.is_none();
        if killed {
            if let Some(group) = self.child.id().and_then(pid) {
                report(kill_process_group(group, Signal::KILL));
            }
            if self.ended(TAKING).await.is_none() {
                tracing::warn!("a scaffold on the host was killed, and did not end");
            }
        }
        Leavings { killed, processes: self.kill_what_is_left().await }
    }

    /// Kills what has left the program's process group, round after round, since it may still be forking.
    async fn kill_what_is_left(&self) -> usize {
        let mark = format!("{MARK}={}", self.mark);
        let mut killed = 0;
        for _ in 0..ROUNDS {
            let left = tokio::task::spawn_blocking({
                let mark = mark.clone();
                move || marked(&mark)
            });
            let left = left.await.unwrap_or_default();
            if left.is_empty() {
                return killed;
            }
            killed += left.len();
            for one in left {
                report(kill_process(one, Signal::KILL));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tracing::warn!("a scaffold on the host left processes that can't be ended");
        killed
    }
}

/// The processes whose environment holds a variable.
fn marked(mark: &str) -> Vec<Pid> {
    let holds = |path: &Path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = number.and_then(pid).filter(|_| holds(&entry.path())) {
            found.push(pid);
        }
    }
    found
}

fn pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

/// A process that is gone already needs no killing.
fn report(killed: rustix::io::Result<()>) {
    if let Err(error) = killed {
        tracing::debug!("a process of a scaffold could not be killed: {error}");
    }
}

async fn read_lines(stdout: impl AsyncRead + Unpin, sender: mpsc::Sender<Output>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let limit = u64::try_from(LINE).unwrap_or(u64::MAX);
        let read = (&mut reader).take(limit).read_until(b'\n', &mut line).await;
        let output = match read {
            Ok(0) | Err(_) => Output::Closed,
            Ok(_) if line.len() >= LINE => Output::TooLong,
            Ok(_) => Output::Line(String::from_utf8_lossy(&line).trim_end().to_owned()),
        };
        let is_last = !matches!(output, Output::Line(_));
        if sender.send(output).await.is_err() || is_last {
            break;
        }
    }
    // Until it ends, or it would be killed by its own next line.
    drop(tokio::io::copy(&mut reader, &mut tokio::io::sink()).await);
}

async fn keep_the_end(mut stderr: impl AsyncRead + Unpin, last_words: Arc<Mutex<VecDeque<u8>>>) {
    let mut piece = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut piece).await {
        let mut words = last_words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend(&piece[..count]);
        let extra = words.len().saturating_sub(LAST_WORDS);
        words.drain(..extra);
    }
}
