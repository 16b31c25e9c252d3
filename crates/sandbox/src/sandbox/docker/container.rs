//! One container, as a sandbox.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bollard::models::{ChangeType, FilesystemChange};
use tokio_util::sync::CancellationToken;
use trajforge_shim::protocol::{Pack, Packed, Request, Response, Tunnel, Unpack, Unpacked};

use super::removal::Removals;
use crate::archive::Archive;
use crate::connection::Connection;
use crate::error::Result;
use crate::fork::Change;
use crate::sandbox::{Sandbox, unexpected};
use crate::spec::SandboxSpec;
use crate::tunnel::Sockets;

/// One container.
pub(super) struct Container {
    id: String,
    spec: SandboxSpec,
    connection: Connection,
    sockets: Sockets,
    removals: Arc<Removals>,
    /// Cancelled once it was stopped.
    stopped: CancellationToken,
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

    async fn changes(&self) -> Result<Vec<Change>> {
        let engine = &self.removals.engine;
        let changes = engine.client.container_changes(&self.id).await;
        let changes = changes.map_err(|error| engine.error("compare a container with its image", error))?;
        let change = |change: FilesystemChange| match change.kind {
            ChangeType::_2 => Change::Removed(change.path),
            ChangeType::_0 | ChangeType::_1 => Change::Changed(change.path),
        };
        let mut changes: Vec<Change> = changes.unwrap_or_default().into_iter().map(change).collect();
        changes.sort_unstable();
        Ok(changes)
    }

    async fn tunnel(&self, port: u16, to: SocketAddr) -> Result<u16> {
        let socket = self.sockets.listen(to)?;
        let request = Request::Tunnel(Tunnel { port, socket });
        match self.connection.call(&request, Vec::new()).await? {
            (Response::Tunnel { port }, _) => Ok(port),
            (other, _) => Err(unexpected(other)),
        }
    }

    async fn stop(&self) -> Result<()> {
        self.end();
        Ok(())
    }
}

impl Container {
    pub(super) fn new(
        id: String,
        spec: SandboxSpec,
        (connection, sockets): (Connection, Sockets),
        removals: Arc<Removals>,
    ) -> Self {
        Self { id, spec, connection, sockets, removals, stopped: CancellationToken::new() }
    }

    /// Names it, in time, after the rollout that it serves.
    pub(super) fn rename(&self) {
        self.removals.rename(self.id.clone(), self.spec.rollout.as_str(), self.stopped.clone());
    }

    fn end(&self) {
        if !self.stopped.is_cancelled() {
            self.stopped.cancel();
            self.connection.close();
            self.removals.await_end(self.id.clone());
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if !self.stopped.is_cancelled() {
            tracing::warn!(rollout = %self.spec.rollout, container = %self.id, "a sandbox was dropped without being stopped");
            self.end();
        }
    }
}
