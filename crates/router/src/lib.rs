//! Models behind endpoints: who they are, what they cost, and how to ask them.

pub mod budget;
mod cassette;
mod catalog;
mod dialect;
mod error;
pub mod gateway;
mod lost;
mod model;
pub mod policy;
pub mod pressure;
mod scripted;
mod secret;
pub mod simulated;
mod sse;
mod stream;
mod wire;

pub use budget::{Account, Budget, Reservation};
pub use cassette::Cassette;
pub use catalog::Catalog;
pub use dialect::NATIVE;
pub use error::Error;
pub use gateway::{Gateway, GatewaySpec, Session, SessionSpec};
pub use lost::{Charge, Lost};
pub use model::endpoint::Endpoint;
pub use model::metered::{Left, Meter, Metered, Terms};
pub use model::{ChatRequest, Model, Reply};
pub use policy::{Policy, Router, check_route, read_route};
pub use scripted::{Scripted, ScriptedPart, ScriptedReply, ScriptedRequest, scripted_stream};
pub use secret::Secret;
pub use simulated::Simulated;
pub use stream::Stream;
