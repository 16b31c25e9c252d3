//! The protocol between a sandbox's host side and the shim inside it, and the archive format that both speak.

pub mod archive;
pub mod frame;
pub mod protocol;
pub mod text;
