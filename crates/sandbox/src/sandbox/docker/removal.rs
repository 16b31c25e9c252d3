//! The end of containers: waited for in the background, and enforced where it does not come by itself.

use std::time::Duration;

use bollard::Docker as Client;
use bollard::errors::Error as ClientError;
use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::engine::{Engine, status};

/// How long a container may take to end by itself once it was hung up on.
const REMOVAL: Duration = Duration::from_secs(20);

/// Removals under way, and other work that nobody has to wait for: they go on while the next rollout has begun, and somebody can still wait for all of them.
#[derive(Debug)]
pub(super) struct Removals {
    pub(super) engine: Engine,
    pub(super) work: TaskTracker,
    runtime: Handle,
}

impl Removals {
    /// On the runtime that this is called on.
    pub(super) fn new(engine: Engine) -> Self {
        let work = TaskTracker::new();
        work.close();
        Self { engine, work, runtime: Handle::current() }
    }

    /// Gives a container a name that tells the rollout it serves, for people who look at the engine.
    pub(super) fn rename(&self, id: String, rollout: &str) {
        let short = id.get(..12).unwrap_or(&id);
        let options = RenameContainerOptionsBuilder::default().name(&format!("{rollout}-{short}")).build();
        let client = self.engine.client.clone();
        self.work.spawn_on(
            async move {
                if let Err(error) = client.rename_container(&id, options).await {
                    tracing::debug!(container = %id, %error, "a container keeps its name");
                }
            },
            &self.runtime,
        );
    }

    /// Of a container that is about to end.
    pub(super) fn await_end(&self, id: String) {
        let removal = gone(self.engine.client.clone(), id);
        self.work.spawn_on(removal, &self.runtime);
    }

    /// Of a container that may never have begun.
    pub(super) fn force(&self, id: String) {
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
