//! The trajforge binary: command line in, data on stdout, words on stderr, exit code out.

mod cli;
mod commands;
mod fail;
mod output;
mod progress;
mod system;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    system::start_log(cli.global.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail::report(&anyhow::Error::new(error).context("start the runtime"), cli.global.json);
        }
    };
    let json = cli.global.json;
    match runtime.block_on(commands::carry_out(cli)) {
        Ok(code) => code,
        Err(error) => fail::report(&error, json),
    }
}
