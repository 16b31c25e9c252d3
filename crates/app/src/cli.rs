//! The command line: names are fixed, options may grow.

mod dataset;
mod gateway;
mod run;
mod scaffold;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use dataset::{DatasetBuild, DatasetCommand, SplitChoice};
pub(crate) use gateway::Gateway;
pub(crate) use run::Run;
pub(crate) use scaffold::{ScaffoldCommand, ScaffoldSchema};

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
    /// The folder that holds templates/, images/, models/ and scaffolds/; found from here or from the program where absent.
    #[arg(long, global = true, env = "TRAJFORGE_HOME", hide_env_values = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// One more root of templates, which wins over the ones before it.
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) templates: Vec<PathBuf>,
    /// One more folder of scaffolds, which wins over the ones before it.
    #[arg(long = "scaffolds", global = true, value_name = "DIR")]
    pub(crate) scaffold_folders: Vec<PathBuf>,
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
    /// What turns a model into an agent: list, new, check, schema.
    Scaffold {
        #[command(subcommand)]
        command: ScaffoldCommand,
    },
    /// Models there are.
    Model {
        #[command(subcommand)]
        command: ModelCommand,
    },
    /// Plan rollouts and execute them here; interrupted or killed, go on with --resume.
    Run(Box<Run>),
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
