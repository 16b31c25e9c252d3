//! What `trajforge scaffold` takes.

use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub(crate) enum ScaffoldCommand {
    /// The scaffolds there are: those of this program, and those with a manifest.
    #[command(after_help = "Example:\n  trajforge scaffold list --json | jq -r '.[].name'")]
    List,
    /// Begin a scaffold from a small one in Python that works.
    #[command(after_help = "Example:\n  trajforge scaffold new my-agent --root my-scaffolds")]
    New {
        /// Its name: lower case letters, digits and dashes.
        name: String,
        /// The folder to put it into.
        #[arg(long, default_value = "scaffolds", value_name = "DIR")]
        root: PathBuf,
    },
    /// Whether a scaffold keeps to the rules; needs no Docker and no model.
    #[command(after_help = "Example:\n  trajforge scaffold check my-agent --scaffolds my-scaffolds")]
    Check {
        /// Its name.
        name: String,
    },
    /// The JSON Schema of scaffold.yaml, or of what passes over the standard streams of a scaffold on the host.
    #[command(after_help = "Example:\n  trajforge scaffold schema > scaffold.schema.json")]
    Schema {
        /// Of what.
        #[arg(value_enum, default_value_t = ScaffoldSchema::Manifest)]
        of: ScaffoldSchema,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ScaffoldSchema {
    /// scaffold.yaml
    Manifest,
    /// The lines that are said and told.
    Stdio,
}
