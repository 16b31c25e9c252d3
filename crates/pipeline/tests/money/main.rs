//! Runs with models, policies and caps: scripted sandboxes, and models over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod bench;
mod caps;
mod policies;
