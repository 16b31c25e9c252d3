//! What the gateway hears of an external scaffold, passed on to the rollout in the order in which it happens.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};
use trajforge_router::gateway::{Capture, Exchange, Gate, Knock};

/// Something that the gateway heard.
pub(in crate::scaffold) enum Heard {
    /// A request for a step, held until it is answered here.
    Knock(Knock, oneshot::Sender<Result<(), String>>),
    /// An exchange, whole or not.
    Ended(Box<Exchange>),
}

/// The gateway's gate.
pub(in crate::scaffold) struct Door(pub(in crate::scaffold) mpsc::UnboundedSender<Heard>);

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
pub(in crate::scaffold) fn capture(heard: mpsc::UnboundedSender<Heard>, also: Capture) -> Capture {
    Arc::new(move |exchange| {
        also(exchange);
        // A rollout that is over hears nothing more.
        drop(heard.send(Heard::Ended(Box::new(exchange.clone()))));
    })
}
