//! Models behind endpoints: who they are, what they cost, and how to ask them.

mod catalog;
mod dialect;
mod error;
mod lost;
mod model;
mod scripted;
mod secret;
mod sse;
mod wire;

pub use catalog::Catalog;
pub use dialect::NATIVE;
pub use error::Error;
pub use lost::{Charge, Lost};
pub use model::{ChatRequest, Model, Reply, endpoint::Endpoint};
pub use scripted::{Scripted, ScriptedPart, ScriptedReply, ScriptedRequest, scripted_stream};
pub use secret::Secret;
