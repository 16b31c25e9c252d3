//! Sandboxes that are Docker containers.

mod container;
mod limits;
mod order;
mod removal;
mod warm;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bollard::container::LogOutput;
use bollard::models::ResourcesUlimits;
use bollard::query_parameters::AttachContainerOptionsBuilder;
use futures_util::StreamExt;
use tokio::sync::oneshot;
use trajforge_schema::Event;
use trajforge_shim::protocol::{Hello, Request, Response, VERSION};

use self::container::Container;
use self::removal::Removals;
pub(crate) use self::removal::removed;
use self::warm::{Shape, Warm};
use crate::connection::{Arrival, Connection};
use crate::disk;
use crate::egress::{self, Proxy};
use crate::engine::{Engine, status};
use crate::error::{Error, Result};
use crate::exec::Exec;
use crate::isolation::Isolation;
use crate::owner::Owner;
use crate::sandbox::{Room, Sandbox, SandboxExt as _, Sandboxes, unexpected};
use crate::spec::{Network, SandboxSpec};
use crate::tunnel::{self, Sockets};

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
    isolation: Isolation,
    egress: Option<Proxy>,
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
        Self::connect_isolated(address, cache, depth, Isolation::default()).await
    }

    /// The same, with walls and ways out for all sandboxes.
    pub async fn connect_isolated(
        address: Option<&str>,
        cache: &Path,
        depth: usize,
        isolation: Isolation,
    ) -> Result<Self> {
        let engine = Engine::connect(address).await?;
        let info = engine.client.info().await.map_err(|error| engine.error("describe itself", error))?;
        if let Some(runtime) = &isolation.runtime {
            let known: Vec<String> = info.runtimes.iter().flatten().map(|(name, _)| name.clone()).collect();
            if !known.contains(runtime) {
                return Err(Error::RuntimeMissing { runtime: runtime.clone(), known: known.join(", ") });
            }
        }
        let egress = match isolation.egress.as_slice() {
            [] => None,
            listed => Some(Proxy::start(listed).await.map_err(|source| Error::File {
                path: "127.0.0.1".to_owned(),
                doing: "serve the way out of sandboxes".to_owned(),
                source,
            })?),
        };
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
            isolation,
            egress,
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
                    container.rename();
                    return Ok(container);
                }
                Err(error) => tracing::debug!(container = %id, %error, "a prepared sandbox was of no use"),
            }
        }
        self.greet(self.blank(shape, spec.rollout.as_str()).await?, spec).await
    }

    async fn greet(&self, blank: Blank, spec: &SandboxSpec) -> Result<Container> {
        let way_out = self.egress.as_ref().filter(|_| spec.network == Network::Listed);
        let mut hello = hello(spec);
        if way_out.is_some() {
            hello.variables = egress::variables().chain(hello.variables).collect();
        }
        let container = self.introduce(blank, spec, hello).await?;
        if self.isolation.read_only_root {
            // The engine gives what it mounts to root, with the mode that the image has for the owner.
            let (uid, gid) = spec.user.ids();
            let argv = ["chown".to_owned(), format!("{uid}:{gid}"), spec.user.home().to_owned()];
            container.exec(Exec::argv(argv).as_root()).await?;
        }
        if let Some(proxy) = way_out {
            container.tunnel(egress::PORT, proxy.address()).await?;
        }
        Ok(container)
    }

    async fn introduce(&self, mut blank: Blank, spec: &SandboxSpec, hello: Hello) -> Result<Container> {
        match handshake(&mut blank, hello).await {
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

/// Greets the shim, and moves to a socket of its own where it can call on one: four copies fewer of every frame than
/// through the engine, which serves the line that it is greeted on.
async fn handshake(blank: &mut Blank, hello: Hello) -> Result<()> {
    // Not every file system can hold a socket.
    let (line, listener) = blank.sockets.line().ok().unzip();
    let hello = Request::Hello(Hello { line: line.map(str::to_owned), ..hello });
    let answered = blank.connection.call(&hello, Vec::new()).await;
    blank.sockets.close_line();
    let welcome = match answered? {
        (Response::Hello(welcome), _) => welcome,
        (other, _) => return Err(unexpected(other)),
    };
    if let Some(listener) = listener.filter(|_| welcome.is_called_back) {
        // It has called before it answered.
        let (socket, _) = listener.accept().await.map_err(|source| Error::File {
            path: blank.sockets.folder().display().to_string(),
            doing: "speak with the shim in".to_owned(),
            source,
        })?;
        blank.connection.redirect(socket);
    }
    Ok(())
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
        line: None,
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

    fn expect(&self, spec: &SandboxSpec, count: u64) {
        self.maker.warm.expect(Shape::of(spec), count);
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
