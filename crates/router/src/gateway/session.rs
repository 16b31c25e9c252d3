//! What the gateway knows of one session while it is open.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use trajforge_schema::{MicroDollars, Usage};

use super::{OtherModels, Served, SessionReport, SessionSpec};
use crate::dialect::NATIVE;
use crate::secret::Secret;

/// A session.
pub(super) struct State {
    pub(super) spec: SessionSpec,
    token: String,
    key: Secret,
    progress: Mutex<Progress>,
    closed: watch::Sender<bool>,
    flights: watch::Sender<usize>,
    open_steps: watch::Sender<usize>,
}

#[derive(Default)]
struct Progress {
    requests: u64,
    steps: u64,
    usage: Usage,
    cost: MicroDollars,
    capped: Option<String>,
    /// The provider's own items of earlier replies, by the id of their first call: clients of another dialect don't
    /// send them back, and providers of signed reasoning insist on it.
    native: BTreeMap<String, Value>,
}

impl State {
    pub(super) fn new(spec: SessionSpec, token: String, key: Secret) -> Self {
        let progress = Mutex::default();
        let (closed, flights) = (watch::Sender::new(false), watch::Sender::new(0));
        Self { spec, token, key, progress, closed, flights, open_steps: watch::Sender::new(0) }
    }

    /// What stands in its URL.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Whether a client's key is the session's.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.key.reveal() == key
    }

    /// Takes in a request, and gives its number.
    pub(super) fn arrive(&self) -> u64 {
        self.flights.send_modify(|flights| *flights += 1);
        let mut progress = self.progress();
        progress.requests += 1;
        progress.requests
    }

    /// A request has ended, with what it used and cost.
    pub(super) fn leave(&self, usage: Usage, cost: MicroDollars) {
        {
            let mut progress = self.progress();
            progress.usage += usage;
            progress.cost += cost;
        }
        self.flights.send_modify(|flights| *flights -= 1);
    }

    /// Takes one of the steps that are left; the text says why there is none.
    pub(super) fn take_step(&self) -> Result<(), String> {
        let mut progress = self.progress();
        if let Some(capped) = &progress.capped {
            return Err(capped.clone());
        }
        match self.spec.max_steps {
            Some(most) if progress.steps >= most => {
                let message = format!("the cap of {most} steps for this session is reached");
                progress.capped = Some(message.clone());
                Err(message)
            }
            _ => {
                progress.steps += 1;
                Ok(())
            }
        }
    }

    /// A step is under way.
    pub(super) fn step_begins(&self) {
        self.open_steps.send_modify(|open| *open += 1);
    }

    /// A step is recorded, whatever came of it.
    pub(super) fn step_ends(&self) {
        self.open_steps.send_modify(|open| *open -= 1);
    }

    /// Comes back when every step that has begun is recorded.
    pub(super) async fn no_step_is_open(&self) {
        // The sender is this session's own: it can't be gone.
        let _ = self.open_steps.subscribe().wait_for(|open| *open == 0).await;
    }

    /// Gives a step back: the request brought no reply.
    pub(super) fn give_step_back(&self) {
        let mut progress = self.progress();
        progress.steps = progress.steps.saturating_sub(1);
    }

    /// Why nothing more may be asked, if so.
    pub(super) fn capped(&self) -> Option<String> {
        self.progress().capped.clone()
    }

    /// Lets nothing more through.
    pub(super) fn cap(&self, message: &str) {
        self.progress().capped.get_or_insert_with(|| message.to_owned());
    }

    /// The model of that name.
    pub(super) fn served(&self, model: &str) -> Option<&Served> {
        let models = &self.spec.models;
        let by = |name: fn(&Served) -> &String| models.iter().find(move |served| name(served) == model);
        by(|served| &served.entry.name).or_else(|| by(|served| &served.entry.model)).or_else(|| {
            match self.spec.other_models {
                OtherModels::Refuse => None,
                OtherModels::First => models.first(),
            }
        })
    }

    /// Remembers the provider's own items of a reply.
    pub(super) fn remember(&self, message: &Value) {
        if let (Some(id), native @ Value::Object(_)) = (first_call(message), &message[NATIVE]) {
            self.progress().native.insert(id.to_owned(), native.clone());
        }
    }

    /// Gives the messages of a conversation back what their client left out.
    pub(super) fn restore(&self, chat: &mut Value) {
        let progress = self.progress();
        if progress.native.is_empty() {
            return;
        }
        for message in chat["messages"].as_array_mut().into_iter().flatten() {
            let known = first_call(message).and_then(|id| progress.native.get(id));
            if let (Some(native), true) = (known, message[NATIVE].is_null()) {
                message[NATIVE] = native.clone();
            }
        }
    }

    /// Whether a key can be read in a text.
    pub(super) fn leaks(&self, text: &str) -> bool {
        let keys = self.spec.models.iter().filter_map(|served| served.key.as_ref());
        keys.chain([&self.key]).any(|key| key.is_in(text))
    }

    /// A text in which no key can be read.
    pub(super) fn mask(&self, text: &str) -> String {
        let keys = self.spec.models.iter().filter_map(|served| served.key.as_ref());
        keys.fold(self.key.mask(text), |text, key| key.mask(&text))
    }

    /// Comes back when the session is closed.
    pub(super) async fn closing(&self) {
        // The sender is this session's own: it can't be gone.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Cuts off what is under way, and waits until it is recorded.
    pub(super) async fn close(&self, longest: Duration) {
        self.closed.send_replace(true);
        let mut flights = self.flights.subscribe();
        let ended = flights.wait_for(|flights| *flights == 0);
        if tokio::time::timeout(longest, ended).await.is_err() {
            tracing::warn!("session {} is closed, and a client of it still holds on", self.spec.name);
        }
    }

    pub(super) fn report(&self) -> SessionReport {
        let progress = self.progress();
        SessionReport {
            requests: progress.requests,
            steps: progress.steps,
            usage: progress.usage,
            cost: progress.cost,
            capped: progress.capped.clone(),
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_call(message: &Value) -> Option<&str> {
    message["tool_calls"][0]["id"].as_str()
}
