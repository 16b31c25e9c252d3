//! The floor of every benchmark: the same containers through the same engine, without anything of ours in between.

use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::ContainerConfig;
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptions,
};
use futures_util::StreamExt;

use crate::engine::status;
use crate::error::{Error, Result};
use crate::sandbox::docker::{Docker, removed};
use crate::spec::SandboxSpec;
use crate::tunnel::Sockets;

/// A container that was only created and started: nobody is attached, and its shim waits for ever. For benchmarks.
#[derive(Debug)]
pub struct Bare<'a> {
    docker: &'a Docker,
    id: String,
    /// Mounted; it goes when this does.
    _sockets: Sockets,
}

/// The image of a commit, which is to be discarded.
#[derive(Debug)]
pub struct Committed(String);

/// What the engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineVersion {
    /// Its version.
    pub engine: String,
    /// The kernel's.
    pub kernel: String,
}

impl Docker {
    /// Creates and starts a container with exactly the options of a sandbox. End it with [`Bare::remove`].
    pub async fn bare(&self, spec: &SandboxSpec) -> Result<Bare<'_>> {
        let engine = &self.maker.engine;
        let sockets = Sockets::create(&self.maker.tunnels)?;
        let made = engine.client.create_container(None, self.maker.ordered(spec, &sockets)).await;
        let made = made.map_err(|error| engine.error("create a container", error))?;
        let bare = Bare { docker: self, id: made.id, _sockets: sockets };
        match engine.client.start_container(&bare.id, None).await {
            Ok(()) => Ok(bare),
            Err(error) => {
                let error = engine.error("start a container", error);
                bare.remove().await?;
                Err(error)
            }
        }
    }

    /// The engine's version and the kernel's.
    pub async fn version(&self) -> Result<EngineVersion> {
        let engine = &self.maker.engine;
        let version =
            engine.client.version().await.map_err(|error| engine.error("tell its version", error))?;
        Ok(EngineVersion {
            engine: version.version.unwrap_or_default(),
            kernel: version.kernel_version.unwrap_or_default(),
        })
    }
}

impl Bare<'_> {
    /// Runs a program as `docker exec` does: make it, start it attached, wait for its end, ask for its exit code.
    pub async fn exec(&self, argv: &[&str]) -> Result<i64> {
        let engine = &self.docker.maker.engine;
        let failed = |error| engine.error("run a program in a container", error);
        let options = CreateExecOptions {
            cmd: Some(argv.iter().map(|&word| word.to_owned()).collect::<Vec<String>>()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            user: Some("1000:1000".to_owned()),
            ..CreateExecOptions::default()
        };
        let exec = engine.client.create_exec(&self.id, options).await.map_err(failed)?.id;
        if let StartExecResults::Attached { mut output, .. } =
            engine.client.start_exec(&exec, None).await.map_err(failed)?
        {
            while let Some(piece) = output.next().await {
                piece.map_err(failed)?;
            }
        }
        let ended = engine.client.inspect_exec(&exec).await.map_err(failed)?;
        ended.exit_code.ok_or_else(|| Error::Lost {
            sandbox: self.id.clone(),
            reason: "a program in it ended without an exit code".to_owned(),
        })
    }

    /// The engine's own way to fork: an image is committed of the container, and another container is started of that.
    pub async fn commit_and_run(&self, spec: &SandboxSpec) -> Result<(Bare<'_>, Committed)> {
        let engine = &self.docker.maker.engine;
        let options = CommitContainerOptionsBuilder::default().container(&self.id).pause(true).build();
        let made = engine.client.commit_container(options, ContainerConfig::default()).await;
        let image = made.map_err(|error| engine.error("commit a container", error))?.id;
        let committed = Committed(image);
        let fork = self.docker.bare(&SandboxSpec { image: committed.0.clone(), ..spec.clone() }).await;
        match fork {
            Ok(fork) => Ok((fork, committed)),
            Err(error) => {
                self.discard(committed).await?;
                Err(error)
            }
        }
    }

    /// Removes a committed image.
    pub async fn discard(&self, image: Committed) -> Result<()> {
        let engine = &self.docker.maker.engine;
        let removed = engine.client.remove_image(&image.0, None::<RemoveImageOptions>, None).await;
        removed.map(drop).map_err(|error| engine.error("remove an image", error))
    }

    /// Removes the container by force, and returns when it is gone.
    pub async fn remove(self) -> Result<()> {
        let engine = &self.docker.maker.engine;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        match engine.client.remove_container(&self.id, Some(options)).await {
            Ok(()) => Ok(()),
            Err(error) if status(&error) == Some(404) => Ok(()),
            // It has ended, and removes itself.
            Err(error) if status(&error) == Some(409) => {
                removed(&engine.client, &self.id).await;
                Ok(())
            }
            Err(error) => Err(engine.error("remove a container", error)),
        }
    }
}
