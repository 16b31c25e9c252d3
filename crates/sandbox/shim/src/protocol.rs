//! What can be asked of the shim, and what it answers: the JSON header of calls and replies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Raised with every change that the other side would not understand.
pub const VERSION: u32 = 2;

/// Where the shim is mounted in every sandbox.
pub const SHIM_PATH: &str = "/trajforge/shim";

/// The root-only folder (a tmpfs) for what an agent must never see.
pub const SECRET_FOLDER: &str = "/run/trajforge";

/// Owner of everything secret: not the agent, and not root either, so that an agent who is root without
/// capabilities is kept out too.
pub const SECRET_UID: u32 = 65_532;

/// A request. "Payload" is the raw part of the frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// The first one; answered with [`Response::Hello`].
    Hello(Hello),
    /// Runs a program; the payload is its standard input. [`Response::Ran`], payload: output.
    Exec(Exec),
    /// Runs a command in a persistent bash session. [`Response::Ran`], payload: output.
    Shell(Shell),
    /// Shows lines of a text file. [`Response::Shown`].
    Read(Read),
    /// The bytes of a regular file. [`Response::Raw`], payload: the bytes.
    ReadRaw(ReadRaw),
    /// Writes a whole file; the payload is its content. [`Response::Shown`].
    Write(Write),
    /// Replaces a piece of a file. [`Response::Shown`].
    Edit(Edit),
    /// Finds lines. [`Response::Shown`].
    Search(Search),
    /// Lists a folder. [`Response::Shown`].
    List(List),
    /// Everything below a root, which also becomes what the next delta is taken against.
    /// [`Response::Manifest`], payload: JSON of a manifest.
    Manifest(Tree),
    /// What changed below a root since the last manifest or delta. [`Response::Delta`], payload: JSON of a delta.
    Delta(Tree),
    /// An archive of paths. [`Response::Packed`], then a stream.
    Pack(Pack),
    /// Lays an archive out; a stream follows the call. [`Response::Unpacked`].
    Unpack(Unpack),
    /// Starts a service and waits until it is ready. [`Response::Service`], payload: the end of its output.
    StartService(Service),
    /// Stops all services, gracefully first. [`Response::Services`].
    StopServices,
    /// Kills every process but the shim and, if asked, the services. [`Response::Killed`].
    Kill(Kill),
    /// What the sandbox has used. [`Response::Usage`].
    Usage,
}

/// Who a program or file operation acts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The agent's user, without any capability.
    #[default]
    Agent,
    /// Root, as far as the container has it: for the checks, never for what an agent asks.
    Root,
}

/// The handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the host side.
    pub version: u32,
    /// The agent's user.
    pub uid: u32,
    /// The agent's group.
    pub gid: u32,
    /// The agent's user name.
    pub user: String,
    /// The agent's home.
    pub home: String,
    /// Absolute; made for the agent when absent.
    pub workspace: String,
    /// Bytes that may be written: in one file, and in all together before the agent's processes are killed.
    pub disk_bytes: u64,
    /// Added to the environment of everything that runs.
    pub variables: BTreeMap<String, String>,
}

/// A program to be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Milliseconds until it is interrupted.
    pub timeout_ms: u64,
    /// Bytes of output that are kept: half from the beginning, half from the end.
    pub output_bytes: u64,
}

/// What the agent's processes do while a program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meanwhile {
    /// They go on.
    #[default]
    Running,
    /// They stand still, services excepted, so that they can't look on: the arguments of every process are public.
    Stopped,
}

/// How a program is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// The program and its arguments.
    Argv(Vec<String>),
    /// A script for `bash -c`, or `sh -c` where there is no bash.
    Bash(String),
}

/// A command for a persistent session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shell {
    /// Which session; begun when first named.
    pub session: String,
    /// The command, as typed.
    pub command: String,
    /// Milliseconds until it is interrupted.
    pub timeout_ms: u64,
    /// Bytes of output that are kept: half from the beginning, half from the end.
    pub output_bytes: u64,
}

/// Lines to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// The session whose working directory a relative path starts at.
    pub session: String,
    /// The file.
    pub path: String,
    /// The first line, from 1.
    pub offset: u64,
    /// How many lines, at most.
    pub limit: u64,
}

/// A file whose bytes are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRaw {
    /// Absolute, or relative to the workspace.
    pub path: String,
    /// As whom.
    pub identity: Identity,
    /// A longer file is refused.
    pub max_bytes: u64,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Write {
    /// The session whose working directory a relative path starts at.
    pub session: String,
    /// The file.
    pub path: String,
}

/// A replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The session whose working directory a relative path starts at.
    pub session: String,
    /// The file.
    pub path: String,
    /// What is replaced.
    pub old: String,
    /// What takes its place.
    pub new: String,
    /// Whether every occurrence is meant; if not there must be exactly one.
    pub all: bool,
}

/// A search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// The session whose working directory a relative path starts at.
    pub session: String,
    /// A regular expression.
    pub pattern: String,
    /// A file or folder; the working directory if absent.
    pub path: Option<String>,
}

/// A listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// The session whose working directory a relative path starts at.
    pub session: String,
    /// The folder; the working directory if absent.
    pub path: Option<String>,
}

/// The folder that a manifest or delta is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Absolute.
    pub root: String,
}

/// What an archive is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Absolute; those that don't exist are left out.
    pub paths: Vec<String>,
    /// Refused when the files together are larger.
    pub max_bytes: u64,
}

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpack {
    /// Absolute; made when absent.
    pub root: String,
    /// Whose it will be.
    pub owner: Owner,
    /// Absolute paths that are removed first, so that what is laid out is all there is.
    pub clear: Vec<String>,
    /// Refused when the files together are larger.
    pub max_bytes: u64,
}

/// Whose the files of an archive will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The agent's.
    Agent,
    /// Root's, and readable as their modes say.
    Root,
    /// Out of the agent's reach: the root folder is closed to all but the checks.
    Secret,
}

/// A program that runs beside the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its name, unique among those that run.
    pub name: String,
    /// A script for `bash -c` that stays in the foreground.
    pub run: String,
    /// Repeated until it exits with 0.
    pub ready: String,
    /// Milliseconds until it must be ready.
    pub ready_ms: u64,
    /// As whom.
    pub identity: Identity,
}

/// What is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// Whether services live on.
    pub spare_services: bool,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Hello`].
    Hello(Welcome),
    /// To [`Request::Exec`] and [`Request::Shell`].
    Ran(Ran),
    /// To what an agent asks of files; the payload is the text for the agent.
    Shown(Shown),
    /// To [`Request::ReadRaw`].
    Raw {
        /// Permission bits.
        mode: u32,
    },
    /// To [`Request::Manifest`].
    Manifest(Counted),
    /// To [`Request::Delta`].
    Delta(Counted),
    /// To [`Request::Pack`]; the stream follows.
    Packed(Packed),
    /// To [`Request::Unpack`].
    Unpacked(Unpacked),
    /// To [`Request::StartService`].
    Service(Started),
    /// To [`Request::StopServices`].
    Services {
        /// Each, in the order of their names.
        stopped: Vec<Stopped>,
    },
    /// To [`Request::Kill`].
    Killed {
        /// How many processes, at least.
        processes: u64,
    },
    /// To [`Request::Usage`].
    Usage(Usage),
    /// The request could not be carried out.
    Failed(Problem),
}

/// The answer to the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`] of the shim.
    pub version: u32,
    /// Whether there is a bash, without which there are no sessions.
    pub bash: bool,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ran {
    /// 128 + n after signal n, as a shell would say.
    pub exit_code: i32,
    /// Whether it had to be interrupted.
    pub timed_out: bool,
    /// How many payload bytes are the output's beginning; the rest is its end.
    pub head_bytes: u64,
    /// How many bytes were cut between the two.
    pub cut_bytes: u64,
    /// Microseconds that it took.
    pub duration_us: u64,
    /// Of a session: the working directory afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Of a session: whether it had to be begun again, which loses its variables, functions and jobs.
    #[serde(default)]
    pub restarted: bool,
}

/// About a text that an agent will see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shown {
    /// Whether the operation failed from the agent's point of view.
    pub is_error: bool,
    /// Bytes or lines left out are declared in the text; this counts the bytes where that is known.
    pub cut_bytes: u64,
}

/// About a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counted {
    /// Entries below the root.
    pub entries: u64,
    /// Bytes of its regular files together.
    pub bytes: u64,
}

/// About an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Packed {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of the files together.
    pub bytes: u64,
    /// Devices, pipes and sockets, which are left out.
    pub skipped: u64,
}

/// About an archive that was laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unpacked {
    /// Files, folders and links.
    pub entries: u64,
    /// Bytes of the files together.
    pub bytes: u64,
}

/// How a service's start went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Whether its readiness check passed in time.
    pub ready: bool,
    /// Its exit code, if it has ended already.
    pub exit_code: Option<i32>,
    /// Milliseconds until ready, or until it was given up.
    pub waited_ms: u64,
}

/// How a service ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Which.
    pub name: String,
    /// Its exit code.
    pub exit_code: i32,
    /// Whether it had to be killed.
    pub killed: bool,
}

/// What the sandbox has used; absent where the kernel doesn't say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// The most memory at any time, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// CPU time, in microseconds.
    pub cpu_us: Option<u64>,
    /// Processes and threads at the moment.
    pub pids: Option<u64>,
}

/// Why a request could not be carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// For people.
    pub message: String,
}

/// What kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The two sides speak different versions.
    Version,
    /// The request makes no sense.
    Malformed,
    /// The path does not exist or is not what it has to be.
    NoSuchFile,
    /// A limit of the sandbox: size, processes, entries.
    Limit,
    /// Something that is never done: paths that leave their root, devices ...
    Refused,
    /// The image lacks what it takes (bash).
    Unsupported,
    /// The system refused.
    Io,
}
