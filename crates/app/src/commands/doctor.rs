//! `trajforge doctor`.
use crate::cli::{Doctor, Global};
use std::process::ExitCode;
pub(crate) async fn doctor(_: &Global, _: &Doctor) -> anyhow::Result<ExitCode> {
    anyhow::bail!("x")
}
