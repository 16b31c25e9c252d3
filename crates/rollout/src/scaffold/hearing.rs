//! What the gateway hears of a scaffold with a program of its own, passed on in the order in which it happens.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use trajforge_router::gateway::{Capture, Exchange, Gate, Knock, View};
use trajforge_schema::ModelTurn;

/// Something that the gateway heard.
pub(super) enum Heard {
    /// A request for a step, held until it is answered here.
    Knock(Knock, oneshot::Sender<Result<(), String>>),
    /// An exchange, whole or not.
    Ended(Box<Exchange>),
}

/// The gateway's gate.
pub(super) struct Door(pub(super) mpsc::UnboundedSender<Heard>);

#[async_trait]
impl Gate for Door {
    async fn pass(&self, knock: Knock) -> Result<(), String> {
        let (answer, answered) = oneshot::channel();
        let over = || "the rollout is over".to_owned();
        self.0.send(Heard::Knock(knock, answer)).map_err(|_| over())?;
        answered.await.unwrap_or_else(|_| Err(over()))
    }
}

/// A capture that passes on, beside what another one does.
pub(super) fn capture(heard: mpsc::UnboundedSender<Heard>, also: Capture) -> Capture {
    Arc::new(move |exchange| {
        also(exchange);
        // A rollout that is over hears nothing more.
        drop(heard.send(Heard::Ended(Box::new(exchange.clone()))));
    })
}

/// The turn that a whole exchange is: its number, what the scaffold put before it, and how many requests it took.
pub(super) fn turn(exchange: Exchange, number: u32, inserted: Vec<Value>, requests: u32) -> ModelTurn {
    let Exchange { view, usage, cost, seconds, .. } = exchange;
    let View { reply, response_id, finish_reason, logprobs, token_ids, .. } = view;
    ModelTurn {
        turn: number,
        message: reply,
        inserted,
        response_id,
        finish_reason,
        usage,
        cost,
        logprobs,
        token_ids,
        requests,
        seconds,
        ..ModelTurn::default()
    }
}

/// What a conversation holds since its last reply.
pub(super) fn since_the_reply(view: &View) -> &[Value] {
    since_the_last(view.messages.as_array().map(Vec::as_slice).unwrap_or_default())
}

/// The same, of messages.
pub(super) fn since_the_last(messages: &[Value]) -> &[Value] {
    let last = messages.iter().rposition(|message| message["role"] == "assistant");
    &messages[last.map_or(0, |last| last + 1)..]
}
