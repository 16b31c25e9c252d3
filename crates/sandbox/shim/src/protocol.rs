//! What can be asked of the shim, and what it answers: the JSON header of calls and replies.

mod answer;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use answer::{
    Counted, Packed, Problem, ProblemKind, Ran, Response, Shown, Started, Stopped, Unpacked, Usage, Welcome,
};

/// Raised with every change that the other side would not understand.
pub const VERSION: u32 = 3;

/// Where the shim is mounted in every sandbox.
pub const SHIM_PATH: &str = "/trajforge/shim";

/// Where the folder with the host's sockets is mounted.
pub const HOST_FOLDER: &str = "/trajforge/host";

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
    /// Opens a port that leads to a socket of the host. [`Response::Tunnel`].
    Tunnel(Tunnel),
    /// What the sandbox has used. [`Response::Usage`].
    Usage,
}

/// Who a program or file operation acts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
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
    /// A socket in [`HOST_FOLDER`] on which the host waits for the shim to call, and which carries every later frame if
    /// it does. The first line stays open, and its end is still the end of the sandbox.
    pub line: Option<String>,
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
    /// As whom. Root's sessions have names of their own.
    pub identity: Identity,
    /// What the agent's processes do in the meantime.
    pub meanwhile: Meanwhile,
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
    /// Absolute, and packed without what is below them.
    #[serde(default)]
    pub shallow: Vec<String>,
    /// What the agent's processes do in the meantime.
    #[serde(default)]
    pub meanwhile: Meanwhile,
    /// Refused when the files together are larger.
    pub max_bytes: u64,
}

impl Pack {
    /// Paths with all that is below them, while the agent's processes go on.
    pub fn of(paths: Vec<String>, max_bytes: u64) -> Self {
        Self { paths, shallow: Vec::new(), meanwhile: Meanwhile::Running, max_bytes }
    }
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
    /// Each entry's own, as it was packed: for forks.
    Kept,
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

/// A port that leads out of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tunnel {
    /// A port of the sandbox's loopback; any free one if 0.
    pub port: u16,
    /// A socket in [`HOST_FOLDER`].
    pub socket: String,
}
