//! Models behind endpoints: who they are, what they cost, and how to ask them.

pub mod budget;
mod catalog;
mod error;
mod model;
pub mod policy;
pub mod pressure;
mod scripted;
mod secret;
mod stream;

pub use budget::{Account, Budget, Caps, Reservation};
pub use catalog::Catalog;
pub use error::Error;
pub use model::{ChatRequest, Model, Reply, openai::OpenaiChat};
pub use policy::{Policy, Route, Router};
pub use scripted::{Scripted, ScriptedReply};
pub use secret::Secret;
pub use stream::Stream;
