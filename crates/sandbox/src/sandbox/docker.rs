//! Sandboxes that are Docker containers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker as Client;
use bollard::container::LogOutput;
use bollard::errors::Error as ClientError;
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, ResourcesUlimits};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use rustix::process::{Resource, getrlimit};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;
use trajforge_shim::protocol::{
    Hello, Pack, Packed, Request, Response, SECRET_FOLDER, SHIM_PATH, Unpack, Unpacked, VERSION,
};

use crate::archive::Archive;
use crate::connection::{Arrival, Connection};
use crate::engine::{Engine, status};
use crate::error::{Error, Result};
use crate::owner::{OWNER_LABEL, Owner, ROLLOUT_LABEL, RUN_LABEL};
use crate::sandbox::{Sandbox, Sandboxes, unexpected};
use crate::spec::{Network, SandboxSpec};

/// What the first process needs: to become the agent, to hand files over, to see and end what the agent does.
const CAPABILITIES: [&str; 7] = ["SETUID", "SETGID", "SETPCAP", "CHOWN", "FOWNER", "DAC_OVERRIDE", "KILL"];
/// The shim gives it to its owner: not every engine can mount it as somebody else's.
const SECRET_MOUNT: &str = "rw,nosuid,nodev,exec,mode=0700,size=64m";
/// Threads of the shim, which the agent's limit does not count.
const SHIM_PIDS: u32 = 16;
/// How long a container may take to end by itself once it was hung up on.
const REMOVAL: Duration = Duration::from_secs(20);

/// Makes containers.
#[derive(Debug)]
pub struct Docker {
    pub(crate) maker: Arc<Maker>,
}

/// What it takes to make a container.
#[derive(Debug)]
pub(crate) struct Maker {
    pub(crate) engine: Engine,
    shim: String,
    owner: String,
    cpus: f64,
    ulimits: Vec<ResourcesUlimits>,
    removals: Arc<Removals>,
}

impl Docker {
    /// Connects to the engine at an address as in `DOCKER_HOST` (the usual socket if absent); the shim is laid down
    /// below `cache`, which the engine must be able to mount from.
    pub async fn connect(address: Option<&str>, cache: &Path) -> Result<Self> {
        let engine = Engine::connect(address).await?;
        let info = engine.client.info().await.map_err(|error| engine.error("describe itself", error))?;
        let shim = crate::shim::lay_down(cache)?;
        let cpus = info.ncpu.and_then(|count| u32::try_from(count).ok());
        let mut ulimits = vec![ulimit("nofile", 4096)];
        if engine.is_podman().await? {
            ulimits.push(ulimit("nproc", most_processes()));
        }
        let work = TaskTracker::new();
        work.close();
        let maker = Maker {
            removals: Arc::new(Removals { engine: engine.clone(), work, runtime: Handle::current() }),
            engine,
            shim: shim.display().to_string(),
            owner: Owner::this().label(),
            cpus: cpus.map_or(f64::MAX, f64::from),
            ulimits,
        };
        Ok(Self { maker: Arc::new(maker) })
    }
}

impl Maker {
    async fn make(&self, spec: &SandboxSpec) -> Result<Container> {
        let made = self.engine.client.create_container(None, self.container(spec)).await;
        let id = match made {
            Ok(made) => made.id,
            Err(error) if status(&error) == Some(404) => {
                let image = spec.image.clone();
                return Err(Error::ImageMissing { image });
            }
            Err(error) => return Err(self.engine.error("create a container", error)),
        };
        match self.start(&id, spec).await {
            Ok(connection) => Ok(Container {
                id,
                spec: spec.clone(),
                connection,
                removals: Arc::clone(&self.removals),
                is_stopped: AtomicBool::new(false),
            }),
            Err(error) => {
                self.removals.force(id);
                Err(error)
            }
        }
    }

    async fn start(&self, id: &str, spec: &SandboxSpec) -> Result<Connection> {
        let attach = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(true)
            .stdout(true)
            .stderr(true)
            .build();
        let client = &self.engine.client;
        // Attached before it starts: nothing that it says can be missed, and no second look at it is needed.
        let attached = client
            .attach_container(id, Some(attach))
            .await
            .map_err(|error| self.engine.error("attach to a container", error))?;
        client
            .start_container(id, None)
            .await
            .map_err(|error| self.engine.error("start a container", error))?;
        let arriving = attached.output.map(|output| match output {
            Ok(LogOutput::StdOut { message }) => Ok(Arrival::Protocol(message)),
            Ok(other) => Ok(Arrival::Diagnostics(other.into_bytes())),
            Err(error) => Err(error.to_string()),
        });
        let connection = Connection::open(spec.rollout.to_string(), attached.input, arriving);
        match connection.call(&Request::Hello(hello(spec)), Vec::new()).await? {
            (Response::Hello(_), _) => Ok(connection),
            (other, _) => Err(unexpected(other)),
        }
    }

    /// What the engine is asked for.
    pub(crate) fn container(&self, spec: &SandboxSpec) -> ContainerCreateBody {
        let labels = [
            (RUN_LABEL, spec.run.as_str()),
            (ROLLOUT_LABEL, spec.rollout.as_str()),
            (OWNER_LABEL, &self.owner),
        ];
        ContainerCreateBody {
            image: Some(spec.image.clone()),
            entrypoint: Some(vec![SHIM_PATH.to_owned()]),
            cmd: Some(Vec::new()),
            user: Some("0:0".to_owned()),
            working_dir: Some("/".to_owned()),
            hostname: Some("sandbox".to_owned()),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(false),
            stop_timeout: Some(1),
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            labels: Some(
                labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            ),
            host_config: Some(self.host_config(spec)),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, spec: &SandboxSpec) -> HostConfig {
        let limits = &spec.limits;
        let memory = i64::try_from(limits.memory_mb << 20).unwrap_or(i64::MAX);
        HostConfig {
            auto_remove: Some(true),
            network_mode: Some(
                match spec.network {
                    Network::None => "none",
                    Network::Bridge => "bridge",
                }
                .to_owned(),
            ),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some(nano_cpus(limits.cpus.min(self.cpus))),
            pids_limit: Some(i64::from(limits.pids.saturating_add(SHIM_PIDS))),
            ulimits: Some(self.ulimits.clone()),
            binds: Some(vec![format!("{}:{SHIM_PATH}:ro", self.shim)]),
            tmpfs: Some(HashMap::from([(SECRET_FOLDER.to_owned(), SECRET_MOUNT.to_owned())])),
            ipc_mode: Some("private".to_owned()),
            init: Some(false),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }
    }
}

/// Podman's own default is more than a machine that is itself confined may allow; above the kernel's it never goes.
fn most_processes() -> i64 {
    let allowed = getrlimit(Resource::Nproc).maximum.and_then(|most| i64::try_from(most).ok());
    let possible = std::fs::read_to_string("/proc/sys/kernel/pid_max");
    let possible = possible.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(32_768);
    allowed.map_or(possible, |allowed| possible.min(allowed))
}

fn ulimit(name: &str, most: i64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.to_owned()), soft: Some(most), hard: Some(most) }
}

#[expect(clippy::cast_possible_truncation, reason = "no machine has so many cores that this overflows")]
fn nano_cpus(cpus: f64) -> i64 {
    (cpus.max(0.01) * 1e9) as i64
}

fn hello(spec: &SandboxSpec) -> Hello {
    let (uid, gid) = spec.user.ids();
    Hello {
        version: VERSION,
        uid,
        gid,
        user: spec.user.name().to_owned(),
        home: spec.user.home().to_owned(),
        workspace: spec.workspace.clone(),
        disk_bytes: spec.limits.disk_mb << 20,
        variables: spec.variables.clone(),
    }
}

#[async_trait]
impl Sandboxes for Docker {
    async fn create(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>> {
        // A task of its own: whoever stops waiting for it does not leave a container behind that nobody knows.
        let (maker, spec) = (Arc::clone(&self.maker), spec.clone());
        let rollout = spec.rollout.to_string();
        let (done, making) = oneshot::channel();
        self.maker.removals.work.spawn(async move {
            // If nobody waits any more the sandbox is dropped right here, before this task counts as done.
            let _ = done.send(maker.make(&spec).await);
        });
        match making.await {
            Ok(made) => Ok(Box::new(made?)),
            Err(_) => Err(Error::Lost { sandbox: rollout, reason: "it was never made".to_owned() }),
        }
    }

    async fn drain(&self) {
        self.maker.removals.work.wait().await;
    }
}

/// One container.
struct Container {
    id: String,
    spec: SandboxSpec,
    connection: Connection,
    removals: Arc<Removals>,
    is_stopped: AtomicBool,
}

#[async_trait]
impl Sandbox for Container {
    fn spec(&self) -> &SandboxSpec {
        &self.spec
    }

    async fn call(&self, request: Request, payload: Vec<u8>) -> Result<(Response, Vec<u8>)> {
        self.connection.call(&request, payload).await
    }

    async fn pack(&self, pack: Pack) -> Result<(Packed, Archive)> {
        self.connection.pack(pack).await
    }

    async fn unpack(&self, unpack: Unpack, archive: Archive) -> Result<Unpacked> {
        self.connection.unpack(unpack, archive).await
    }

    async fn stop(&self) -> Result<()> {
        self.end();
        Ok(())
    }
}

impl Container {
    fn end(&self) {
        if !self.is_stopped.swap(true, Ordering::Relaxed) {
            self.connection.close();
            self.removals.await_end(self.id.clone());
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !*self.is_stopped.get_mut() {
            tracing::warn!(rollout = %self.spec.rollout, container = %self.id, "a sandbox was dropped without being stopped");
            self.end();
        }
    }
}

/// Removals under way: they go on while the next rollout has begun, and somebody can still wait for all of them.
#[derive(Debug)]
struct Removals {
    engine: Engine,
    work: TaskTracker,
    runtime: Handle,
}

impl Removals {
    /// Of a container that is about to end.
    fn await_end(&self, id: String) {
        let removal = gone(self.engine.client.clone(), id);
        self.work.spawn_on(removal, &self.runtime);
    }

    /// Of a container that may never have begun.
    fn force(&self, id: String) {
        let removal = remove(self.engine.client.clone(), id);
        self.work.spawn_on(removal, &self.runtime);
    }
}

/// Waits until a container that was hung up on has removed itself; removes it by force if it takes too long.
async fn gone(client: Client, id: String) {
    let options = WaitContainerOptionsBuilder::default().condition("removed").build();
    let mut ending = client.wait_container(&id, Some(options));
    let ended = async {
        loop {
            match ending.next().await {
                Some(Ok(_)) => {}
                // With which code it ended doesn't matter, nor that it was gone already.
                None | Some(Err(ClientError::DockerContainerWaitError { .. })) => return true,
                Some(Err(error)) => return status(&error) == Some(404),
            }
        }
    };
    if tokio::time::timeout(REMOVAL, ended).await == Ok(true) {
        return;
    }
    remove(client, id).await;
}

async fn remove(client: Client, id: String) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match client.remove_container(&id, Some(options)).await {
        Ok(()) => {}
        Err(error) if matches!(status(&error), Some(404 | 409)) => {}
        Err(error) => tracing::warn!(container = %id, %error, "failed to remove a container"),
    }
}
