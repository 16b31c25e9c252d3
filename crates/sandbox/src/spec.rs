//! What a sandbox is to be.

use std::collections::BTreeMap;
use std::str::FromStr;

use trajforge_schema::{Environment, Limits, RolloutId, RunName};

/// One sandbox to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct SandboxSpec {
    /// The exact tag of an image that is there.
    pub image: String,
    /// The run it belongs to: a label, so that the reaper finds what a dead worker left.
    pub run: RunName,
    /// The rollout it belongs to.
    pub rollout: RolloutId,
    /// Who the agent is.
    pub user: User,
    /// The workspace's absolute path; made when absent.
    pub workspace: String,
    /// What it may use.
    pub limits: Limits,
    /// Environment variables of everything that runs in it.
    pub variables: BTreeMap<String, String>,
    /// What it can reach.
    pub network: Network,
    /// Bytes of output that are kept of one command: half from its beginning, half from its end.
    pub output_bytes: u64,
    /// Folders that are mounted into it, read-only.
    pub layers: Vec<Layer>,
}

/// Programs and libraries of their own that are mounted into a sandbox, read-only: a named volume of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layer {
    /// The volume's name.
    pub volume: String,
    /// Where it lies inside, absolute.
    pub path: String,
}

impl SandboxSpec {
    /// Bytes of output that are kept unless said otherwise.
    pub const OUTPUT_BYTES: u64 = 32 << 10;

    /// The sandbox of a task's environment, from the exact tag of its image.
    ///
    /// # Errors
    /// When the environment names a user that is neither `agent` nor `root`.
    pub fn of(
        environment: &Environment,
        image: impl Into<String>,
        run: RunName,
        rollout: RolloutId,
    ) -> Result<Self, UnknownUser> {
        Ok(Self {
            image: image.into(),
            run,
            rollout,
            user: environment.user.parse()?,
            workspace: environment.workspace.clone(),
            limits: environment.limits.clone(),
            variables: environment.variables.clone(),
            network: Network::None,
            output_bytes: Self::OUTPUT_BYTES,
            layers: Vec::new(),
        })
    }
}

/// What a sandbox can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Its own loopback, and nothing else.
    #[default]
    None,
    /// Besides, through a proxy, what is listed for the engine ([`Isolation::egress`](crate::Isolation::egress)).
    Listed,
    /// What the engine's default bridge reaches.
    Bridge,
}

/// Who the agent is inside the sandbox; it has no capability in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum User {
    /// `agent`, uid and gid 1000, home `/home/agent`.
    #[default]
    Agent,
    /// `root`, home `/root`.
    Root,
}

impl User {
    /// The user's and the group's number.
    pub fn ids(self) -> (u32, u32) {
        match self {
            Self::Agent => (1000, 1000),
            Self::Root => (0, 0),
        }
    }

    /// The user's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Root => "root",
        }
    }

    /// The user's home.
    pub fn home(self) -> &'static str {
        match self {
            Self::Agent => "/home/agent",
            Self::Root => "/root",
        }
    }
}

/// A user that no sandbox has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no user of a sandbox: write agent or root")]
pub struct UnknownUser {
    /// What was written.
    pub name: String,
}

impl FromStr for User {
    type Err = UnknownUser;

    fn from_str(text: &str) -> Result<Self, UnknownUser> {
        match text {
            "agent" => Ok(Self::Agent),
            "root" => Ok(Self::Root),
            other => Err(UnknownUser { name: other.to_owned() }),
        }
    }
}
