//! The end of containers: waited for in the background, and enforced where it does not come by itself.

use std::time::Duration;

use bollard::Docker as Client;
use bollard::errors::Error as ClientError;
use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::engine::{Engine, status};

/// How long a container may take to end by itself once it was hung up on.
const REMOVAL: Duration = Duration::from_secs(20);

/// How long the engine may take to tell of an end before it is asked in another way, at first.
const DOUBT: Duration = Duration::from_millis(250);
/// How long a container must have served before it is named after what it serves: the engine writes its whole record
/// again for that.
const BRIEF: Duration = Duration::from_secs(1);

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

    /// Gives a container a name that tells the rollout it serves, for people who look at the engine. One that is gone
    /// before anybody can look is not worth it.
    pub(super) fn rename(&self, id: String, rollout: &str, is_gone: CancellationToken) {
        let short = id.get(..12).unwrap_or(&id);
        let options = RenameContainerOptionsBuilder::default().name(&format!("{rollout}-{short}")).build();
        let client = self.engine.client.clone();
        let rename = async move {
            if tokio::time::timeout(BRIEF, is_gone.cancelled()).await.is_ok() {
                return;
            }
            if let Err(error) = client.rename_container(&id, options).await {
                tracing::debug!(container = %id, %error, "a container keeps its name");
            }
        };
        self.work.spawn_on(rename, &self.runtime);
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
    if tokio::time::timeout(REMOVAL, removed(&client, &id)).await == Ok(true) {
        return;
    }
    remove(client, id).await;
}

/// Waits until a container that is ending is no more; false if the engine can't tell.
pub(crate) async fn removed(client: &Client, id: &str) -> bool {
    let told = told(client, id);
    tokio::pin!(told);
    let mut pause = DOUBT;
    loop {
        if let Ok(removed) = tokio::time::timeout(pause, &mut told).await {
            return removed;
        }
        // Whoever asks in the moment of the removal is never answered (seen with 20.10).
        if client.inspect_container(id, None).await.is_err_and(|error| status(&error) == Some(404)) {
            return true;
        }
        pause *= 2;
    }
}

/// As the engine tells it.
async fn told(client: &Client, id: &str) -> bool {
    let options = WaitContainerOptionsBuilder::default().condition("removed").build();
    let mut ending = client.wait_container(id, Some(options));
    loop {
        match ending.next().await {
            Some(Ok(_)) => {}
            // With which code it ended doesn't matter, nor that it was gone already.
            None | Some(Err(ClientError::DockerContainerWaitError { .. })) => return true,
            Some(Err(error)) => return status(&error) == Some(404),
        }
    }
}

async fn remove(client: Client, id: String) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match client.remove_container(&id, Some(options)).await {
        Ok(()) => {}
        Err(error) if matches!(status(&error), Some(404 | 409)) => {}
        Err(error) => tracing::warn!(container = %id, %error, "failed to remove a container"),
    }
}
