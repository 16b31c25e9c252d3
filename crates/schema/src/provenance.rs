//! Who acts: a language model, or what stands in for one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether what acts is a model, or a program that stands in for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// A language model.
    #[default]
    Model,
    /// A template's oracle, played step by step.
    Oracle,
    /// A program that answers like a model.
    Simulated,
    /// Nobody: a control.
    Control,
}

impl Provenance {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Oracle => "oracle",
            Self::Simulated => "simulated",
            Self::Control => "control",
        }
    }
}
