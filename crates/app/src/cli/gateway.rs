//! The command line of `trajforge gateway`.

use std::path::PathBuf;

use clap::Args;
use trajforge_schema::MicroDollars;

use super::run::TapeFile;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trajforge gateway --port 8400 --capture exchanges.jsonl --max-cost 5\n  \
                  trajforge gateway --model local-vllm --cassette tape.jsonl --record\n  \
                  trajforge gateway --model local-vllm --cassette tape.jsonl --replay --json\n\n\
                  Clients of OpenAI's dialects take the base URL, clients of Anthropic's the one for them; both take the key.\n\
                  It runs until Ctrl-C."
)]
pub(crate) struct Gateway {
    /// The entries of models; those under --home where absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) models: Option<PathBuf>,
    /// Serve only these models; where absent, all whose keys are in the environment.
    #[arg(long = "model", value_name = "NAME", value_delimiter = ',')]
    pub(crate) model: Vec<String>,
    /// The port on the loopback interface; any that is free where absent.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    pub(crate) port: u16,
    /// Add every exchange to this file, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(crate) capture: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) tape: TapeFile,
    /// The most that may be spent, in US dollars: no request leaves that could pass it.
    #[arg(long, value_name = "DOLLARS")]
    pub(crate) max_cost: Option<MicroDollars>,
    /// The most replies that are given.
    #[arg(long, value_name = "N")]
    pub(crate) max_steps: Option<u64>,
    /// Serve models whose price is unknown.
    #[arg(long)]
    pub(crate) allow_unpriced: bool,
}
