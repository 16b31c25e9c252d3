//! The gate: a step is held until somebody has looked at what came of the one before.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::flight::Flight;
use super::session::State;

/// How long a step is held because an earlier one is not recorded yet: what a client has begun beside it may take as long as
/// it likes.
const UNRECORDED: Duration = Duration::from_millis(500);

/// Whoever looks at each request for a step before it goes on. Side calls don't pass here.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Holds the request until this returns. With a reason it is kept back, and so are all that follow: the client is told
    /// what it is told at a cap.
    async fn pass(&self, knock: Knock) -> Result<(), String>;
}

/// A request that waits at the gate, in the form of chat completions.
#[derive(Debug, Clone, PartialEq)]
pub struct Knock {
    /// Its number within the session.
    pub number: u64,
    /// How many times the client had sent it before, as it says itself.
    pub repeated: u32,
    /// The conversation.
    pub messages: Value,
    /// The tools on offer.
    pub tools: Value,
}

/// Holds a step at the session's gate, if it has one; the text says why it may not go on.
pub(super) async fn hold(state: &State, flight: &Flight) -> Result<(), String> {
    let Some(gate) = &state.spec.gate else { return Ok(()) };
    // A client may ask again before the last bytes that it was given are on record.
    if tokio::time::timeout(UNRECORDED, state.no_step_is_open()).await.is_err() {
        tracing::debug!("session {} asks for a step while another is open", state.spec.name);
    }
    let exchange = &flight.exchange;
    let knock = Knock {
        number: exchange.number,
        repeated: exchange.repeated,
        messages: exchange.view.messages.clone(),
        tools: exchange.view.tools.clone(),
    };
    let passed = tokio::select! {
        biased;
        () = state.closing() => Err("the session is closed".to_owned()),
        passed = gate.pass(knock) => passed,
    };
    passed.inspect_err(|reason| state.cap(reason))
}
