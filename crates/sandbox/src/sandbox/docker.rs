//! Sandboxes that are Docker containers.

mod container;
mod limits;
mod removal;
mod warm;

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HealthConfig, HostConfig, HostConfigLogConfig, ResourcesUlimits};
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::oneshot;
use trajforge_schema::Event;
use trajforge_shim::protocol::{HOST_FOLDER, Hello, Request, Response, SECRET_FOLDER, SHIM_PATH, VERSION};

use self::container::Container;
use self::removal::Removals;
use self::warm::{Shape, Warm};
use crate::connection::{Arrival, Connection};
use crate::disk;
use crate::engine::{Engine, status};
use crate::error::{Error, Result};
use crate::owner::{OWNER_LABEL, Owner, ROLLOUT_LABEL, RUN_LABEL};
use crate::sandbox::{Room, Sandbox, Sandboxes, unexpected};
use crate::spec::{Network, SandboxSpec};
use crate::tunnel::{self, Sockets};

/// What the first process needs: to become the agent, to hand files over, to see and end what the agent does.
const CAPABILITIES: [&str; 7] = ["SETUID", "SETGID", "SETPCAP", "CHOWN", "FOWNER", "DAC_OVERRIDE", "KILL"];
/// The shim gives it to its owner: not every engine can mount it as somebody else's.
const SECRET_MOUNT: &str = "rw,nosuid,nodev,exec,mode=0700,size=64m";
/// Threads of the shim, which the agent's limit does not count.
const SHIM_PIDS: u32 = 16;

/// The rollout of a container that is prepared ahead of need. Once it is needed its name tells which one it serves.
const AHEAD: &str = "warm";

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
    /// Where sandboxes have their folders of sockets.
    pub(crate) tunnels: PathBuf,
    cpus: f64,
    ulimits: Vec<ResourcesUlimits>,
    warm: Warm,
    removals: Arc<Removals>,
}

/// A container that runs, and whose shim waits for the handshake.
struct Blank {
    id: String,
    shape: Shape,
    connection: Connection,
    sockets: Sockets,
}

impl fmt::Debug for Blank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blank").field("id", &self.id).field("shape", &self.shape).finish_non_exhaustive()
    }
}

impl Docker {
    /// Connects to the engine at an address as in `DOCKER_HOST` (the usual socket if absent); the shim is laid down
    /// below `cache`, which the engine must be able to mount from.
    pub async fn connect(address: Option<&str>, cache: &Path) -> Result<Self> {
        Self::connect_warm(address, cache, 0).await
    }

    /// The same, with up to so many sandboxes of one shape prepared ahead of need, as soon as one of it was asked for.
    pub async fn connect_warm(address: Option<&str>, cache: &Path, depth: usize) -> Result<Self> {
        let engine = Engine::connect(address).await?;
        let info = engine.client.info().await.map_err(|error| engine.error("describe itself", error))?;
        let shim = crate::shim::lay_down(cache)?;
        let cpus = info.ncpu.and_then(|count| u32::try_from(count).ok());
        let ulimits = limits::of(&engine).await?;
        let maker = Maker {
            removals: Arc::new(Removals::new(engine.clone())),
            engine,
            shim: shim.display().to_string(),
            owner: Owner::this().label(),
            tunnels: tunnels(cache)?,
            cpus: cpus.map_or(f64::MAX, f64::from),
            ulimits,
            warm: Warm::new(depth),
        };
        Ok(Self { maker: Arc::new(maker) })
    }

    /// Prepares one more, in the background, if there are too few.
    fn refill(&self, shape: Shape) {
        if !self.maker.warm.wants(&shape) {
            return;
        }
        let maker = Arc::clone(&self.maker);
        self.maker.removals.work.spawn(async move {
            let surplus = match maker.blank(shape.clone(), AHEAD).await {
                Ok(blank) => maker.warm.add(blank),
                Err(error) => {
                    // Whoever needs one will meet the same error, and can tell of it.
                    tracing::debug!(image = shape.image, %error, "a sandbox could not be prepared");
                    maker.warm.miss(&shape);
                    None
                }
            };
            if let Some(blank) = surplus {
                maker.discard(&blank);
            }
        });
    }
}

impl Maker {
    async fn make(&self, spec: &SandboxSpec) -> Result<Container> {
        let shape = Shape::of(spec);
        if let Some(blank) = self.warm.take(&shape) {
            let id = blank.id.clone();
            match self.greet(blank, spec).await {
                Ok(container) => {
                    self.removals.rename(id, spec.rollout.as_str());
                    return Ok(container);
                }
                Err(error) => tracing::debug!(container = %id, %error, "a prepared sandbox was of no use"),
            }
        }
        self.greet(self.blank(shape, spec.rollout.as_str()).await?, spec).await
    }

    async fn greet(&self, blank: Blank, spec: &SandboxSpec) -> Result<Container> {
        let welcome = blank.connection.call(&Request::Hello(hello(spec)), Vec::new()).await;
        match welcome.and_then(|(response, _)| match response {
            Response::Hello(_) => Ok(()),
            other => Err(unexpected(other)),
        }) {
            Ok(()) => {
                let Blank { id, connection, sockets, .. } = blank;
                Ok(Container::new(id, spec.clone(), (connection, sockets), Arc::clone(&self.removals)))
            }
            Err(error) => {
                self.removals.force(blank.id);
                Err(error)
            }
        }
    }

    fn discard(&self, blank: &Blank) {
        blank.connection.close();
        self.removals.await_end(blank.id.clone());
    }

    async fn blank(&self, shape: Shape, rollout: &str) -> Result<Blank> {
        let sockets = Sockets::create(&self.tunnels)?;
        let asked = self.container(&shape, rollout, &sockets);
        let made = self.engine.client.create_container(None, asked).await;
        let id = match made {
            Ok(made) => made.id,
            Err(error) if status(&error) == Some(404) => {
                return Err(Error::ImageMissing { image: shape.image });
            }
            Err(error) => return Err(self.engine.error("create a container", error)),
        };
        match self.start(&id, rollout).await {
            Ok(connection) => Ok(Blank { id, shape, connection, sockets }),
            Err(error) => {
                self.removals.force(id);
                Err(error)
            }
        }
    }

    async fn start(&self, id: &str, rollout: &str) -> Result<Connection> {
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
        Ok(Connection::open(rollout.to_owned(), attached.input, arriving))
    }

    /// What the engine is asked for, of a sandbox that is made to order.
    pub(crate) fn ordered(&self, spec: &SandboxSpec, sockets: &Sockets) -> ContainerCreateBody {
        self.container(&Shape::of(spec), spec.rollout.as_str(), sockets)
    }

    fn container(&self, shape: &Shape, rollout: &str, sockets: &Sockets) -> ContainerCreateBody {
        let labels = [(RUN_LABEL, shape.run.as_str()), (ROLLOUT_LABEL, rollout), (OWNER_LABEL, &self.owner)];
        ContainerCreateBody {
            image: Some(shape.image.clone()),
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
            host_config: Some(self.host_config(shape, sockets)),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, shape: &Shape, sockets: &Sockets) -> HostConfig {
        let memory = i64::try_from(shape.memory_mb << 20).unwrap_or(i64::MAX);
        let mut binds = vec![
            format!("{}:{SHIM_PATH}:ro", self.shim),
            format!("{}:{HOST_FOLDER}:ro", sockets.folder().display()),
        ];
        binds.extend(shape.layers.iter().map(|layer| format!("{}:{}:ro", layer.volume, layer.path)));
        HostConfig {
            auto_remove: Some(true),
            network_mode: Some(
                match shape.network {
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
            nano_cpus: Some(nano_cpus(shape.cpus.min(self.cpus))),
            pids_limit: Some(i64::from(shape.pids.saturating_add(SHIM_PIDS))),
            ulimits: Some(self.ulimits.clone()),
            binds: Some(binds),
            tmpfs: Some(HashMap::from([(SECRET_FOLDER.to_owned(), SECRET_MOUNT.to_owned())])),
            ipc_mode: Some("private".to_owned()),
            init: Some(false),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..HostConfig::default()
        }
    }
}

/// The folder for the sockets of this process's sandboxes; what earlier processes have left is removed.
fn tunnels(cache: &Path) -> Result<PathBuf> {
    tunnel::sweep(cache);
    let folder = tunnel::folder_of(cache, &Owner::this());
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::canonicalize(&folder)).map_err(|source| {
        Error::File {
            path: folder.display().to_string(),
            doing: "make the folder for sockets".to_owned(),
            source,
        }
    })
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
        let (maker, spec, shape) = (Arc::clone(&self.maker), spec.clone(), Shape::of(spec));
        let rollout = spec.rollout.to_string();
        let (done, making) = oneshot::channel();
        self.maker.removals.work.spawn(async move {
            // If nobody waits any more the sandbox is dropped right here, before this task counts as done.
            let _ = done.send(maker.make(&spec).await);
        });
        match making.await {
            Ok(made) => {
                let container = made?;
                self.refill(shape);
                Ok(Box::new(container))
            }
            Err(_) => Err(Error::Lost { sandbox: rollout, reason: "it was never made".to_owned() }),
        }
    }

    async fn tend(&self, tell: &mut (dyn FnMut(Event) + Send)) -> Result<Room> {
        self.reap(tell).await?;
        let info = self.maker.engine.client.info().await;
        let info = info.map_err(|error| self.maker.engine.error("describe itself", error))?;
        Ok(Room { disk_bytes: disk::free(&info, &self.maker.tunnels) })
    }

    async fn drain(&self) {
        for blank in &self.maker.warm.pause() {
            self.maker.discard(blank);
        }
        self.maker.removals.work.wait().await;
    }
}
