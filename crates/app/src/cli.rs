//! The command line: names are fixed, options may grow.

mod dataset;
mod gateway;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use trajforge_schema::{Price, TokenPrice};

pub(crate) use dataset::{DatasetBuild, DatasetCommand, SplitChoice};
pub(crate) use gateway::Gateway;

/// Training data for language-model agents: tasks from templates, executed in containers, recorded, verified, curated.
#[derive(Debug, Parser)]
#[command(
    name = "trajforge",
    version,
    arg_required_else_help = true,
    after_help = "Example:\n  trajforge quickstart\n\nExit codes: 0 done; 1 done, and something does not hold; 2 wrong usage; 3 wrong input; \
                  4 this machine; 5 a model; 70 a defect; 130 interrupted.\nEach error names a code; its page is docs/errors/CODE.md."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub(crate) struct Global {
    /// Print data as JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on stderr; twice for everything.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The folder that holds templates/, images/ and models/; found from here or from the program where absent.
    #[arg(long, global = true, env = "TRAJFORGE_HOME", hide_env_values = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// One more root of templates, which wins over the ones before it.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) templates: Vec<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A dataset from nothing, on this machine, without a model.
    Quickstart(Quickstart),
    /// What is missing or leaking on this machine, and how to mend it.
    Doctor(Doctor),
    /// Families of tasks: list, show, check, new, schema.
    Template {
        #[command(subcommand)]
        command: TemplateCommand,
    },
    /// One concrete task.
    Task {
        #[command(subcommand)]
        command: TaskCommand,
    },
    /// What sandboxes start from: list, build, prune.
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Models there are.
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Plan rollouts and execute them here; interrupted or killed, go on with --resume.
    Run(Run),
    /// How far a run is.
    Status(Status),
    /// One trajectory: its steps for people, or the whole of it with --json.
    Show(Show),
    /// Curated, versioned exports of runs.
    Dataset {
        #[command(subcommand)]
        command: DatasetCommand,
    },
    /// Serve models to any client, and record every exchange.
    Gateway(Gateway),
    /// Print a shell's completions.
    #[command(after_help = "Example:\n  trajforge completions bash > /etc/bash_completion.d/trajforge")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  trajforge quickstart --seeds 0..10")]
pub(crate) struct Quickstart {
    /// The seeds of each template.
    #[arg(long, default_value = "0..10")]
    pub(crate) seeds: String,
    /// Rollouts at the same time; two for each core where absent.
    #[arg(long)]
    pub(crate) workers: Option<usize>,
    /// Where the run goes.
    #[arg(long, default_value = "runs/quickstart", value_name = "DIR")]
    pub(crate) run: PathBuf,
    /// Where the dataset goes.
    #[arg(long, default_value = "datasets/quickstart", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Remove what an earlier quickstart left in those two folders.
    #[arg(long)]
    pub(crate) fresh: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  trajforge doctor --repair")]
pub(crate) struct Doctor {
    /// Remove what dead workers left.
    #[arg(long)]
    pub(crate) repair: bool,
    /// Make every image that is missing.
    #[arg(long)]
    pub(crate) images: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// The templates there are.
    #[command(after_help = "Example:\n  trajforge template list --json | jq -r '.[].id'")]
    List,
    /// What a template says.
    #[command(after_help = "Example:\n  trajforge template show debugging/parcel-rates")]
    Show {
        /// Its id.
        id: String,
    },
    /// Prove templates in real containers: the oracle earns everything, nothing else does.
    #[command(after_help = "Example:\n  trajforge template check debugging/parcel-rates --seeds 0..3")]
    Check {
        /// Ids or categories; all where absent.
        ids: Vec<String>,
        /// Over these seeds.
        #[arg(long, default_value = "0..3")]
        seeds: String,
        /// Leave out everything that needs a container.
        #[arg(long)]
        render_only: bool,
        /// Plays at the same time; two for each core where absent.
        #[arg(long)]
        workers: Option<usize>,
    },
    /// Begin a template from a small one that works.
    #[command(after_help = "Example:\n  trajforge template new debugging/lost-update --root my-templates")]
    New {
        /// Its id: category/name.
        id: String,
        /// The root to put it into.
        #[arg(long, default_value = "templates", value_name = "DIR")]
        root: PathBuf,
    },
    /// The JSON Schema of template.yaml, steps.yaml or a trap, for editors.
    #[command(after_help = "Example:\n  trajforge template schema > template.schema.json")]
    Schema {
        /// Of which file.
        #[arg(value_enum, default_value_t = SchemaOf::Template)]
        of: SchemaOf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SchemaOf {
    /// template.yaml
    Template,
    /// solution/steps.yaml
    Steps,
    /// traps/NAME.yaml
    Trap,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Render one task into a folder that a person can read.
    #[command(
        after_help = "Example:\n  trajforge task make --template debugging/parcel-rates --seed 3 --out /tmp/task"
    )]
    Make {
        /// The template's id.
        #[arg(long)]
        template: String,
        /// Which member.
        #[arg(long)]
        seed: u64,
        /// The folder to make.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// The recipes of images/, and whether their images are there.
    #[command(after_help = "Example:\n  trajforge image list")]
    List,
    /// Make images that are not there; all where none is named.
    #[command(after_help = "Example:\n  trajforge image build base data")]
    Build {
        /// Names of recipes.
        names: Vec<String>,
    },
    /// Remove images whose recipes have changed since, or are gone.
    #[command(after_help = "Example:\n  trajforge image prune --dry-run")]
    Prune {
        /// Say what would be removed, and remove nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// The entries of models/.
    #[command(after_help = "Example:\n  trajforge model list")]
    List,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  trajforge run --scaffold oracle --seeds 0..10 --out runs/oracle\n  \
                        trajforge run --scaffold tools --model local-vllm --attempts 4 --out runs/first\n  \
                        trajforge run --scaffold tools --model qwen --base-url http://127.0.0.1:8000/v1 --allow-unpriced\n  \
                        trajforge run --resume --out runs/first")]
pub(crate) struct Run {
    /// Templates by id or category; all where absent.
    #[arg(long = "template", value_name = "ID")]
    pub(crate) template: Vec<String>,
    /// The seeds of each template: 0..10, 0..=9, 1,4,7.
    #[arg(long, default_value = "0..10")]
    pub(crate) seeds: String,
    /// Scaffolds: oracle, nop, tools.
    #[arg(long = "scaffold", value_name = "NAME", default_value = "oracle", value_delimiter = ',')]
    pub(crate) scaffolds: Vec<String>,
    /// Models by the name of their entry.
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
    /// Run models whose price is unknown.
    #[arg(long)]
    pub(crate) allow_unpriced: bool,
    /// Attempts at each task by each scaffold with each model.
    #[arg(long, default_value_t = 1)]
    pub(crate) attempts: u32,
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

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  trajforge status runs/first")]
pub(crate) struct Status {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// List every rollout.
    #[arg(long)]
    pub(crate) rollouts: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  trajforge show runs/first ROLLOUT\n  trajforge show runs/first ROLLOUT --json | jq .total_reward"
)]
pub(crate) struct Show {
    /// The run's folder.
    pub(crate) run: PathBuf,
    /// The rollout's id, or its beginning if that is unique.
    pub(crate) id: String,
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
