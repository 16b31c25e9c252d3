//! Runs with models, policies, caps and small contexts: scripted sandboxes, and models over real HTTP.

#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod bench;
mod caps;
mod condensation;
mod policies;
