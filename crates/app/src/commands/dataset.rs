//! `trajforge dataset`.
use crate::cli::{DatasetCommand, Global};
use std::process::ExitCode;
pub(crate) fn dataset(_: &Global, _: DatasetCommand) -> anyhow::Result<ExitCode> {
    anyhow::bail!("x")
}
