//! Models behind endpoints: who they are, what they cost, and how to ask them.

mod catalog;
mod dialect;
mod error;
mod model;
mod scripted;
mod secret;
mod sse;

pub use catalog::Catalog;
pub use error::Error;
pub use model::{ChatRequest, Model, Reply, openai::OpenaiChat};
pub use scripted::{Scripted, ScriptedReply};
pub use secret::Secret;
