//! What `trajforge run` takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use trajforge_pipeline::gateway::Tape;
use trajforge_pipeline::{Destination, Isolation};
use trajforge_schema::{Caps, MicroDollars, PolicyName, Price, TokenPrice, Unpriced};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  trajforge run --scaffold oracle --seeds 0..10 --out runs/oracle\n  \
                        trajforge run --scaffold tools --model local-vllm --attempts 4 --out runs/first\n  \
                        trajforge run --scaffold tools --model qwen --base-url http://127.0.0.1:8000/v1 --allow-unpriced\n  \
                        trajforge run --scaffold tools --policy cascade --model deepseek-v4-flash,openai-gpt-5.4 --max-cost 20\n  \
                        trajforge run --scaffold tools --policy weighted --model local-vllm=3,gemini-2.5-flash=1\n  \
                        trajforge run --scaffold tools --router router.yaml --max-cost 100 --max-cost-per-rollout 0.50\n  \
                        trajforge run --scaffold tools --model local-vllm --cassette tape.jsonl --record --out runs/first\n  \
                        trajforge run --resume --out runs/first --max-cost 40")]
pub(crate) struct Run {
    /// Templates by id or category; all where absent.
    #[arg(long = "template", value_name = "ID")]
    pub(crate) template: Vec<String>,
    /// The seeds of each template: 0..10, 0..=9, 1,4,7.
    #[arg(long, default_value = "0..10")]
    pub(crate) seeds: String,
    /// Scaffolds by name; `trajforge scaffold list` shows those there are.
    #[arg(long = "scaffold", value_name = "NAME", default_value = "oracle", value_delimiter = ',')]
    pub(crate) scaffolds: Vec<String>,
    /// Models by the name of their entry; with --policy weighted or experiment also NAME=WEIGHT.
    #[arg(long = "model", value_name = "NAME", value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    /// An OpenAI-compatible endpoint for the one --model, instead of an entry in models/.
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// With --base-url: the environment variable that holds the key.
    #[arg(long, value_name = "NAME", requires = "base_url")]
    pub(crate) key_variable: Option<String>,
    /// With --base-url: US dollars per million input and output tokens.
    #[arg(long, value_name = "INPUT,OUTPUT", value_parser = price, requires = "base_url")]
    pub(crate) price: Option<Price>,
    /// Let a policy choose among the models, one attempt after the other.
    #[arg(long, value_enum, value_name = "POLICY", requires = "models", conflicts_with = "base_url")]
    pub(crate) policy: Option<PolicyChoice>,
    /// With --policy: models to go to when one can't be asked, the first one first.
    #[arg(long, value_name = "NAME", value_delimiter = ',', requires = "policy")]
    pub(crate) failover: Vec<String>,
    /// With --policy capability: the pass rate that is wanted of each task, from 0 to 1.
    #[arg(long, value_name = "RATE", requires = "policy")]
    pub(crate) target: Option<f64>,
    /// A file that says all this: name, policy, models, failover, attempts, target.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy", "models", "base_url"])]
    pub(crate) router: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) money: Money,
    #[command(flatten)]
    pub(crate) tape: TapeFile,
    #[command(flatten)]
    pub(crate) walls: Walls,
    /// Attempts at each task by each scaffold with each model; with a policy, attempts until one succeeds.
    #[arg(long)]
    pub(crate) attempts: Option<u32>,
    /// Rollouts at the same time; two for each core where absent.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Tries of a rollout that fails outside the agent's work.
    #[arg(long, default_value_t = 3)]
    pub(crate) max_tries: u32,
    /// The run's name, and its folder under runs/ where --out is absent.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The run's folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in --out: finished rollouts stay, the rest is done.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Print what would be planned, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What may be spent, in US dollars. No request leaves that could pass one of these.
#[derive(Debug, Clone, Args)]
pub(crate) struct Money {
    /// US dollars that the run may spend, resumes included.
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<MicroDollars>,
    /// US dollars that one rollout may spend, over all its tries.
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost_per_rollout: Option<MicroDollars>,
    /// US dollars that one request may cost at worst.
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost_per_request: Option<MicroDollars>,
    /// US dollars that may be spent with one key: by this run, or by all that share --ledger.
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost_per_key: Option<MicroDollars>,
    /// US dollars that may be spent on one day (UTC): by this run, or by all that share --ledger.
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost_per_day: Option<MicroDollars>,
    /// A file that several runs share, at the same time or one after the other: the caps for a key and for a day hold for all
    /// of them together.
    #[arg(long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// Ask models whose price is unknown; they count as nothing, so no cap holds them.
    #[arg(long)]
    pub(crate) allow_unpriced: bool,
}

/// Requests on file instead of, or beside, the models' endpoints.
#[derive(Debug, Clone, Args)]
pub(crate) struct TapeFile {
    /// A file of recorded requests and replies; say --record or --replay.
    #[arg(long, value_name = "FILE", requires = "tape_mode")]
    cassette: Option<PathBuf>,
    /// Add every exchange with a model to the cassette.
    #[arg(long, group = "tape_mode", requires = "cassette")]
    record: bool,
    /// Answer from the cassette alone; no key is needed, and nothing is sent. Use one worker where requests are equal.
    #[arg(long, group = "tape_mode", requires = "cassette")]
    replay: bool,
}

impl TapeFile {
    /// The file, and what to do with it.
    pub(crate) fn of(self) -> Option<(PathBuf, Tape)> {
        let tape = if self.replay { Tape::Replay } else { Tape::Record };
        self.cassette.map(|path| (path, tape))
    }
}

/// What holds for all sandboxes of the run, beyond what holds always.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Walls")]
pub(crate) struct Walls {
    /// An OCI runtime that the engine knows, such as runsc (gVisor) or kata.
    #[arg(long, value_name = "NAME")]
    pub(crate) runtime: Option<String>,
    /// Make everything read-only but the workspace, home and folders for temporary files, which then lie in memory.
    #[arg(long)]
    pub(crate) read_only_root: bool,
    /// Let agents reach a host through a proxy: pypi.org:443, *.example.org:443, 10.0.0.1:80; verification never does.
    #[arg(long = "allow-egress", value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) egress: Vec<Destination>,
}

impl From<Walls> for Isolation {
    fn from(walls: Walls) -> Self {
        let Walls { runtime, read_only_root, egress } = walls;
        Self { runtime, read_only_root, egress }
    }
}

/// The policies by the names that people type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyChoice {
    /// One model for everything.
    Fixed,
    /// The models take turns along the plan.
    RoundRobin,
    /// Each model gets its share of the attempts.
    Weighted,
    /// The cheapest first; a failure hands the task to the next dearer one.
    Cascade,
    /// What is expected to do a task of this category and difficulty at the least cost, learned from pass rates.
    Capability,
    /// A/B: each model gets its share of the tasks, by their ids.
    Experiment,
}

impl Money {
    pub(crate) fn caps(&self) -> Caps {
        Caps {
            request: self.max_cost_per_request,
            rollout: self.max_cost_per_rollout,
            run: self.max_cost,
            key: self.max_cost_per_key,
            day: self.max_cost_per_day,
        }
    }

    pub(crate) fn unpriced(&self) -> Unpriced {
        if self.allow_unpriced { Unpriced::Allow } else { Unpriced::Refuse }
    }
}

impl From<PolicyChoice> for PolicyName {
    fn from(choice: PolicyChoice) -> Self {
        match choice {
            PolicyChoice::Fixed => Self::Fixed,
            PolicyChoice::RoundRobin => Self::RoundRobin,
            PolicyChoice::Weighted => Self::Weighted,
            PolicyChoice::Cascade => Self::Cascade,
            PolicyChoice::Capability => Self::Capability,
            PolicyChoice::Experiment => Self::Experiment,
        }
    }
}

/// A price as people write it: `0.40,1.60`.
fn price(text: &str) -> Result<Price, String> {
    let wrong = || "write two numbers with a comma between them, such as 0.40,1.60".to_owned();
    let (input, output) = text.split_once(',').ok_or_else(wrong)?;
    let one = |text: &str| {
        let number = text.trim().parse::<f64>().map_err(|_| wrong())?;
        TokenPrice::try_from(number).map_err(|error| error.to_string())
    };
    Ok(Price::of(one(input)?, one(output)?))
}
