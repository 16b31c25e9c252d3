//! What the shim answers.

use serde::{Deserialize, Serialize};

/// A response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "response", rename_all = "snake_case")]
pub enum Response {
    /// To [`Request::Hello`](super::Request::Hello).
    Hello(Welcome),
    /// To [`Request::Exec`](super::Request::Exec) and [`Request::Shell`](super::Request::Shell).
    Ran(Ran),
    /// To what an agent asks of files; the payload is the text for the agent.
    Shown(Shown),
    /// To [`Request::ReadRaw`](super::Request::ReadRaw).
    Raw {
        /// Permission bits.
        mode: u32,
    },
    /// To [`Request::Manifest`](super::Request::Manifest).
    Manifest(Counted),
    /// To [`Request::Delta`](super::Request::Delta).
    Delta(Counted),
    /// To [`Request::Pack`](super::Request::Pack); the stream follows.
    Packed(Packed),
    /// To [`Request::Unpack`](super::Request::Unpack).
    Unpacked(Unpacked),
    /// To [`Request::StartService`](super::Request::StartService).
    Service(Started),
    /// To [`Request::StopServices`](super::Request::StopServices).
    Services {
        /// Each, in the order of their names.
        stopped: Vec<Stopped>,
    },
    /// To [`Request::Kill`](super::Request::Kill).
    Killed {
        /// How many processes, at least.
        processes: u64,
    },
    /// To [`Request::Tunnel`](super::Request::Tunnel).
    Tunnel {
        /// The port of the sandbox's loopback.
        port: u16,
    },
    /// To [`Request::Usage`](super::Request::Usage).
    Usage(Usage),
    /// The request could not be carried out.
    Failed(Problem),
}

/// The answer to the handshake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`VERSION`](super::VERSION) of the shim.
    pub version: u32,
    /// Whether there is a bash, without which there are no sessions.
    pub bash: bool,
    /// Whether the shim has called on the host's socket, and is spoken with there from now on.
    pub is_called_back: bool,
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
