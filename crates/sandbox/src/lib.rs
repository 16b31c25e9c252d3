//! Sandboxes: one trait, its backends, the images that they start from, and the hygiene around them.

mod archive;
pub mod conformance;
mod connection;
mod disk;
pub mod doctor;
mod egress;
mod engine;
mod error;
mod exec;
mod floor;
mod fork;
pub mod images;
mod isolation;
mod owner;
mod reaper;
mod sandbox;
mod shim;
mod spec;
mod tunnel;

pub use archive::{Archive, File};
pub use error::{Error, Result};
pub use exec::{Exec, Output, Ran, Shown};
pub use floor::{Bare, Committed, EngineVersion};
pub use fork::{Change, fork};
pub use images::{ImageStatus, Images};
pub use isolation::{Destination, Isolation, NoDestination};
pub use owner::{OWNER_LABEL, ROLLOUT_LABEL, RUN_LABEL};
pub use reaper::Leftover;
pub use sandbox::docker::Docker;
pub use sandbox::scripted::{Reply, Scripted};
pub use sandbox::{Room, Sandbox, SandboxExt, Sandboxes};
pub use spec::{Layer, Network, SandboxSpec, UnknownUser, User};
pub use trajforge_shim::protocol;
pub use trajforge_shim::protocol::{
    Command, Counted, Identity, Meanwhile, Owner, Packed, Started, Stopped, Unpacked, Usage,
};
