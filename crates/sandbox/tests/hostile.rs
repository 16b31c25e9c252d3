//! The hostile battery: what an agent may try against its container, the shim, the host and the verdict.
//!
//! Each act runs in a real container, and each is followed by the same proof: the sandbox ends, no container stays, and
//! the next sandbox of the same engine works and knows nothing of it. Proven elsewhere:
//!
//! - a memory bomb, a fork bomb, no network but the loopback: `docker/limits.rs`
//! - a kill -9 of the worker with daemons running: `docker/hygiene.rs`
//! - powers, secrets, links at read and write, pipes and devices: `conformance/isolation.rs`
//! - links, set-uid bits, sparse files and devices at carry-over and in a manifest: `conformance/transfer.rs`
//! - an end of a command that is forged, a process that ignores signals: `conformance/shell.rs`

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

#[path = "docker/engine.rs"]
mod engine;
mod hostile {
    pub(crate) mod ground;

    mod disk;
    mod exhaustion;
    mod files;
    mod processes;
    mod reach;
    mod verdict;
}
