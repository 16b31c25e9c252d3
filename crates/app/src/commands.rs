//! One file a command; this one only knows which is which.

mod dataset;
mod doctor;
mod gateway;
mod image;
mod model;
mod quickstart;
mod run;
mod scaffold;
mod show;
mod status;
mod task;
mod template;

use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command};

/// Carries out what the command line asks for.
pub(crate) async fn carry_out(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { global, command } = cli;
    match command {
        Command::Quickstart(order) => quickstart::quickstart(&global, order).await,
        Command::Doctor(order) => doctor::doctor(&global, &order).await,
        Command::Template { command } => template::template(&global, command).await,
        Command::Task { command } => task::task(&global, &command),
        Command::Image { command } => image::image(&global, command).await,
        Command::Scaffold { command } => scaffold::scaffold(&global, command).await,
        Command::Model { command } => model::model(&global, &command),
        Command::Run(order) => run::run(&global, *order).await,
        Command::Status(order) => status::status(&global, &order).await,
        Command::Show(order) => show::show(&global, &order),
        Command::Dataset { command } => dataset::dataset(&global, command),
        Command::Gateway(order) => gateway::gateway(&global, order).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "trajforge", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
