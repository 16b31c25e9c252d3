//! Sandboxes: one trait, its backends, the images that they start from, and the hygiene around them.

mod archive;
mod error;
mod exec;
mod sandbox;
mod spec;

pub use archive::{Archive, File};
pub use error::{Error, Result};
pub use exec::{Exec, Output, Ran, Shown};
pub use sandbox::{Sandbox, SandboxExt, Sandboxes};
pub use spec::{Network, SandboxSpec, UnknownUser, User};
pub use trajforge_shim::protocol;
pub use trajforge_shim::protocol::{
    Command, Counted, Identity, Owner, Packed, Started, Stopped, Unpacked, Usage,
};
