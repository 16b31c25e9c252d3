//! The command line of `trajforge dataset`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum DatasetCommand {
    /// Filter the trajectories of runs, split them, and write Parquet, metadata and card.
    #[command(after_help = "Example:\n  trajforge dataset build runs/first runs/second --out datasets/v1")]
    Build(DatasetBuild),
    /// What a dataset holds, and whether it is whole.
    #[command(after_help = "Example:\n  trajforge dataset stats datasets/v1")]
    Stats {
        /// The dataset's folder.
        dataset: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DatasetBuild {
    /// The runs' folders.
    #[arg(required = true)]
    pub(crate) runs: Vec<PathBuf>,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The dataset's name on its card; the folder's where absent.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The licence on its card, as the Hub writes it.
    #[arg(long, default_value = "apache-2.0")]
    pub(crate) license: String,
    /// Leave out trajectories whose total reward is lower.
    #[arg(long)]
    pub(crate) min_reward: Option<f64>,
    /// How it is divided: 80/10/10 by task clusters, or everything into train.
    #[arg(long, value_enum, default_value_t = SplitChoice::Standard)]
    pub(crate) split: SplitChoice,
    /// Keep controls (nop).
    #[arg(long)]
    pub(crate) keep_controls: bool,
    /// Keep trajectories in which a program played the model.
    #[arg(long)]
    pub(crate) allow_simulated: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SplitChoice {
    /// 80/10/10, whole task clusters.
    Standard,
    /// Everything into train.
    AllTrain,
}
