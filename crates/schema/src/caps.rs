//! What may be spent, as a run says it.

use serde::{Deserialize, Serialize};

use crate::units::MicroDollars;

/// The most that may be spent; no limit where absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caps {
    /// By one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<MicroDollars>,
    /// By one rollout, over all its tries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<MicroDollars>,
    /// By one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<MicroDollars>,
    /// With one key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<MicroDollars>,
    /// On one day, from midnight to midnight UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<MicroDollars>,
}

/// What to do with a model whose price is unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// No request leaves: nothing could hold a cap over it.
    #[default]
    Refuse,
    /// It is asked, and counts as nothing.
    Allow,
}

impl Caps {
    /// These, and the others' where these have none.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            request: self.request.or(other.request),
            rollout: self.rollout.or(other.rollout),
            run: self.run.or(other.run),
            key: self.key.or(other.key),
            day: self.day.or(other.day),
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Unpriced {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) fn is_refused(&self) -> bool {
        *self == Self::Refuse
    }
}
