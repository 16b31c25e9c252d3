//! How a scaffold with a program of its own reaches its model.

use std::sync::Arc;

use tokio::sync::mpsc;
use trajforge_router::gateway::{Capture, Gateway, OtherModels, Served, Session, SessionSpec, SideCalls};
use trajforge_router::{Account, Meter};
use trajforge_schema::{Failure, Unpriced};

use super::hearing::{self, Door, Heard};
use super::manifest::Manifest;
use super::reader::Collected;

/// How an external scaffold reaches its model, and where its records go.
pub struct Access {
    /// What serves the model.
    pub gateway: Arc<Gateway>,
    /// The model.
    pub served: Served,
    /// Who pays.
    pub account: Account,
    /// What has been spent, and how long it waited.
    pub meter: Meter,
    /// Whether it may be asked without a price.
    pub unpriced: Unpriced,
    /// Whoever takes the exchanges.
    pub capture: Capture,
    /// Whoever takes the files that it leaves.
    pub keep: Box<dyn Fn(&Collected) + Send + Sync>,
}

impl Access {
    /// Opens the session of a rollout, which may get so many replies; whatever passes through it is heard.
    pub(super) fn open(
        &self,
        rollout: &str,
        manifest: &Manifest,
        max_steps: u64,
        heard: &mpsc::UnboundedSender<Heard>,
    ) -> Result<Session, Failure> {
        let side_calls = SideCalls::new(manifest.side_calls.clone());
        let spec = SessionSpec {
            name: rollout.to_owned(),
            account: self.account.clone(),
            models: vec![self.served.clone()],
            other_models: OtherModels::Refuse,
            max_steps: Some(max_steps),
            at_cap: manifest.at_cap,
            side_calls: side_calls.map_err(|error| error.to_failure())?,
            unpriced: self.unpriced,
            capture: hearing::capture(heard.clone(), Arc::clone(&self.capture)),
            gate: Some(Arc::new(Door(heard.clone()))),
            parking: self.meter.parking().clone(),
        };
        self.gateway.open(spec).map_err(|error| error.to_failure())
    }
}
