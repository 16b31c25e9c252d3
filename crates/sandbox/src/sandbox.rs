//! The sandbox: a small part that every backend provides, and everything that is built on it.

pub(crate) mod docker;
pub(crate) mod scripted;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::from_slice;
use trajforge_schema::{Delta, Event, Manifest};
use trajforge_shim::protocol::{
    self, Identity, Kill, Meanwhile, Owner, Pack, Packed, ProblemKind, Request, Response, Started, Stopped,
    Tree, Unpack, Unpacked, Usage,
};

use crate::archive::{Archive, File};
use crate::error::{Error, Result};
use crate::exec::{Exec, Ran, Shown};
use crate::fork::Change;
use crate::spec::SandboxSpec;

/// Makes sandboxes.
#[async_trait]
pub trait Sandboxes: Send + Sync {
    /// A sandbox that is ready: its shim has answered and the workspace exists.
    async fn create(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>>;

    /// Tells how many sandboxes like this one will be asked for from now on, so that none is prepared in vain. What was
    /// never told of is prepared as it is asked for.
    fn expect(&self, _spec: &SandboxSpec, _count: u64) {}

    /// Waits until everything that was stopped or dropped is really gone.
    async fn drain(&self);

    /// Removes what dead workers left, tells of each, and says how much room there is. A double has nothing to tend.
    async fn tend(&self, _tell: &mut (dyn FnMut(Event) + Send)) -> Result<Room> {
        Ok(Room::default())
    }
}

/// What is left of what sandboxes need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the fullest disk that the engine or the cache is on, where they can be looked at from here.
    pub disk_bytes: Option<u64>,
}

/// One isolated environment. Every method may be called from several tasks at once.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// What it was made from.
    fn spec(&self) -> &SandboxSpec;

    /// One request and its response, each with its raw part.
    async fn call(&self, request: Request, payload: Vec<u8>) -> Result<(Response, Vec<u8>)>;

    /// An archive of some paths.
    async fn pack(&self, pack: Pack) -> Result<(Packed, Archive)>;

    /// Lays an archive out.
    async fn unpack(&self, unpack: Unpack, archive: Archive) -> Result<Unpacked>;

    /// What differs from the image, in the order of paths; mounts of the engine may be among it. A double without an image
    /// refuses.
    async fn changes(&self) -> Result<Vec<Change>> {
        Err(Error::Refused { reason: "this sandbox has no image that it could differ from".to_owned() })
    }

    /// A port of its own loopback that leads to an address of the host, for as long as it lives: the way out of a sandbox
    /// without a network. Any free port if 0; gives back which. A double without ports refuses.
    async fn tunnel(&self, port: u16, to: SocketAddr) -> Result<u16> {
        Err(Error::Refused { reason: format!("this sandbox has no port {port} that could lead to {to}") })
    }

    /// Ends it, with everything in it. The removal may go on after this returns: [`Sandboxes::drain`] waits for it.
    /// Every later call fails; a second stop does nothing.
    async fn stop(&self) -> Result<()>;
}

/// What the rest of trajforge calls; all of it is made of [`Sandbox`]'s few methods.
#[async_trait]
pub trait SandboxExt: Sandbox {
    /// Runs a command in the named persistent bash session, as the agent. Working directory, variables, functions and
    /// background jobs survive between commands; standard input is `/dev/null`.
    async fn shell(&self, session: &str, command: &str, timeout: Duration) -> Result<Ran> {
        let request = typed(self.spec(), (session, command), timeout, (Identity::Agent, Meanwhile::Running));
        ran(self.call(request, Vec::new()).await?)
    }

    /// The same as root, in a session of its own, while the agent's processes stand still (services go on): for what is
    /// looked at again and again, and must not cost a program's start each time.
    async fn look(&self, session: &str, command: &str, timeout: Duration) -> Result<Ran> {
        let request = typed(self.spec(), (session, command), timeout, (Identity::Root, Meanwhile::Stopped));
        ran(self.call(request, Vec::new()).await?)
    }

    /// Runs a program apart from the sessions.
    async fn exec(&self, exec: Exec) -> Result<Ran> {
        let request = Request::Exec(protocol::Exec {
            command: exec.command,
            identity: exec.identity,
            cwd: exec.cwd,
            variables: exec.variables,
            meanwhile: exec.meanwhile,
            timeout_ms: milliseconds(exec.timeout),
            output_bytes: exec.output_bytes.unwrap_or(self.spec().output_bytes),
        });
        ran(self.call(request, exec.stdin).await?)
    }

    /// Shows lines of a text file as the agent would see them, numbered; `offset` counts from 1. A relative path
    /// starts at the session's working directory. What fails for the agent (no such file ...) is a text, no error.
    async fn read(
        &self,
        session: &str,
        path: &str,
        offset: Option<u64>,
        limit: Option<u64>,
    ) -> Result<Shown> {
        let request = Request::Read(protocol::Read {
            session: session.to_owned(),
            path: path.to_owned(),
            offset: offset.unwrap_or(1),
            limit: limit.unwrap_or(2000),
        });
        shown(self.call(request, Vec::new()).await?)
    }

    /// Writes a whole file as the agent, making its folders; an existing file keeps its mode.
    async fn write(&self, session: &str, path: &str, content: &str) -> Result<Shown> {
        let request = Request::Write(protocol::Write { session: session.to_owned(), path: path.to_owned() });
        shown(self.call(request, content.as_bytes().to_vec()).await?)
    }

    /// Replaces a piece of a file as the agent.
    async fn edit(&self, edit: protocol::Edit) -> Result<Shown> {
        shown(self.call(Request::Edit(edit), Vec::new()).await?)
    }

    /// Finds lines that match a regular expression, as the agent.
    async fn search(&self, session: &str, pattern: &str, path: Option<&str>) -> Result<Shown> {
        let request = Request::Search(protocol::Search {
            session: session.to_owned(),
            pattern: pattern.to_owned(),
            path: path.map(str::to_owned),
        });
        shown(self.call(request, Vec::new()).await?)
    }

    /// Lists a folder two levels deep, as the agent.
    async fn list(&self, session: &str, path: Option<&str>) -> Result<Shown> {
        let request =
            Request::List(protocol::List { session: session.to_owned(), path: path.map(str::to_owned) });
        shown(self.call(request, Vec::new()).await?)
    }

    /// The bytes of a regular file; [`Error::Refused`] when there is none, [`Error::Limit`] when it is longer.
    async fn read_raw(&self, path: &str, identity: Identity, max_bytes: u64) -> Result<Vec<u8>> {
        let request = Request::ReadRaw(protocol::ReadRaw { path: path.to_owned(), identity, max_bytes });
        match self.call(request, Vec::new()).await? {
            (Response::Raw { .. }, bytes) => Ok(bytes),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Writes one file at an absolute path.
    async fn write_raw(&self, path: &str, content: Vec<u8>, mode: u32, owner: Owner) -> Result<()> {
        let relative = path
            .strip_prefix('/')
            .ok_or_else(|| Error::Refused { reason: format!("{path} is not absolute") })?;
        let file = File { path: relative.to_owned(), mode, content };
        self.put("/", owner, &[file]).await.map(drop)
    }

    /// Lays files down below an absolute root, which is made when absent. With [`Owner::Secret`] the root is closed to
    /// the agent: for hidden checks.
    async fn put(&self, root: &str, owner: Owner, files: &[File]) -> Result<Unpacked> {
        let unpack = Unpack { root: root.to_owned(), owner, clear: Vec::new(), max_bytes: self.disk_bytes() };
        self.unpack(unpack, Archive::of(files)).await
    }

    /// Everything in the workspace, which becomes what the next [`delta`](Self::delta) is taken against.
    async fn manifest(&self) -> Result<Manifest> {
        let root = self.spec().workspace.clone();
        match self.call(Request::Manifest(Tree { root }), Vec::new()).await? {
            (Response::Manifest(counted), json) => {
                within_disk(counted.bytes, self.disk_bytes())?;
                from_slice(&json).map_err(|error| malformed(&error))
            }
            (other, _) => Err(unexpected(other)),
        }
    }

    /// What changed in the workspace since the last manifest or delta. [`Error::Limit`] when the workspace has outgrown
    /// its limit.
    async fn delta(&self) -> Result<Delta> {
        let root = self.spec().workspace.clone();
        match self.call(Request::Delta(Tree { root }), Vec::new()).await? {
            (Response::Delta(counted), json) => {
                within_disk(counted.bytes, self.disk_bytes())?;
                from_slice(&json).map_err(|error| malformed(&error))
            }
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Packs absolute paths here and lays them out at the same places in another sandbox, owned by its agent; what
    /// passes is checked on the way, and what was at those places there is gone.
    async fn carry(&self, paths: &[String], other: &dyn Sandbox) -> Result<Packed> {
        let max_bytes = self.disk_bytes();
        let pack = Pack::of(paths.to_vec(), max_bytes);
        let (packed, archive) = self.pack(pack).await?;
        let unpack = Unpack { root: "/".to_owned(), owner: Owner::Agent, clear: paths.to_vec(), max_bytes };
        other.unpack(unpack, archive.checked(max_bytes)).await?;
        Ok(packed)
    }

    /// Starts a service of the task and waits until it is ready, or is not in time. The bytes are the end of what it
    /// has printed.
    async fn start_service(&self, service: &trajforge_schema::Service) -> Result<(Started, Vec<u8>)> {
        let request = Request::StartService(protocol::Service {
            name: service.name.clone(),
            run: service.run.clone(),
            ready: service.ready.clone(),
            ready_ms: service.ready_seconds.saturating_mul(1000),
            identity: Identity::Agent,
        });
        match self.call(request, Vec::new()).await? {
            (Response::Service(started), output) => Ok((started, output)),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Stops all services: asked first, killed after ten seconds.
    async fn stop_services(&self) -> Result<Vec<Stopped>> {
        match self.call(Request::StopServices, Vec::new()).await? {
            (Response::Services { stopped }, _) => Ok(stopped),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// Kills every process of the agent; the services live on.
    async fn kill_agent(&self) -> Result<u64> {
        let request = Request::Kill(Kill { spare_services: true });
        match self.call(request, Vec::new()).await? {
            (Response::Killed { processes }, _) => Ok(processes),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// What the sandbox has used.
    async fn usage(&self) -> Result<Usage> {
        match self.call(Request::Usage, Vec::new()).await? {
            (Response::Usage(usage), _) => Ok(usage),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// The workspace's limit, in bytes.
    fn disk_bytes(&self) -> u64 {
        self.spec().limits.disk_mb << 20
    }
}

impl<S: Sandbox + ?Sized> SandboxExt for S {}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A command for a session: as whom, and what the agent's processes do in the meantime.
fn typed(
    spec: &SandboxSpec,
    (session, command): (&str, &str),
    timeout: Duration,
    (identity, meanwhile): (Identity, Meanwhile),
) -> Request {
    Request::Shell(protocol::Shell {
        session: session.to_owned(),
        command: command.to_owned(),
        identity,
        meanwhile,
        timeout_ms: milliseconds(timeout),
        output_bytes: spec.output_bytes,
    })
}

pub(crate) fn ran((response, output): (Response, Vec<u8>)) -> Result<Ran> {
    match response {
        Response::Ran(ran) => Ok(Ran::from_wire(ran, output)),
        other => Err(unexpected(other)),
    }
}

fn shown((response, payload): (Response, Vec<u8>)) -> Result<Shown> {
    match response {
        Response::Shown(shown) => Ok(Shown {
            text: String::from_utf8_lossy(&payload).into_owned(),
            is_error: shown.is_error,
            cut_bytes: shown.cut_bytes,
        }),
        other => Err(unexpected(other)),
    }
}

fn within_disk(bytes: u64, max_bytes: u64) -> Result<()> {
    if bytes <= max_bytes {
        return Ok(());
    }
    Err(Error::Limit { reason: format!("the workspace holds {bytes} bytes, {max_bytes} are allowed") })
}

/// A failure as the shim reports it, or a response that doesn't fit the request.
pub(crate) fn unexpected(response: Response) -> Error {
    let Response::Failed(problem) = response else {
        return Error::Protocol { reason: format!("the response does not fit the request: {response:?}") };
    };
    let reason = problem.message;
    match problem.kind {
        ProblemKind::Version | ProblemKind::Malformed => Error::Protocol { reason },
        ProblemKind::Limit => Error::Limit { reason },
        ProblemKind::NoSuchFile | ProblemKind::Refused | ProblemKind::Unsupported | ProblemKind::Io => {
            Error::Refused { reason }
        }
    }
}

fn malformed(error: &serde_json::Error) -> Error {
    Error::Protocol { reason: error.to_string() }
}
