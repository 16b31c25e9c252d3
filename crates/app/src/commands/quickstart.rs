//! `trajforge quickstart`.
use crate::cli::{Global, Quickstart};
use std::process::ExitCode;
pub(crate) async fn quickstart(_: &Global, _: Quickstart) -> anyhow::Result<ExitCode> {
    anyhow::bail!("x")
}
