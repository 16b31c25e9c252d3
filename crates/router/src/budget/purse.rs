//! Who pays for a request: several purses at once, each of its own scope.

use std::fmt;

use serde::{Deserialize, Serialize};
use trajforge_schema::{RolloutId, RunName, Timestamp};

/// Milliseconds of a day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Whose request it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The rollout that asks.
    pub rollout: Option<RolloutId>,
    /// The run that it belongs to.
    pub run: Option<RunName>,
    /// The name of the key that pays, such as its environment variable's; never the key.
    pub key: Option<String>,
}

/// What a cap is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// One request.
    Request,
    /// One rollout.
    Rollout,
    /// One run.
    Run,
    /// One key.
    Key,
    /// One day.
    Day,
}

/// Where money comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purse {
    /// A rollout's.
    Rollout(RolloutId),
    /// A run's.
    Run(RunName),
    /// A key's, by its name.
    Key(String),
    /// A day's: days since 1970-01-01, UTC.
    Day(u64),
}

impl Account {
    /// The purses that pay for a request of this moment.
    pub(super) fn purses(&self, now: Timestamp) -> Vec<Purse> {
        let mut purses = vec![Purse::on_day_of(now)];
        purses.extend(self.rollout.clone().map(Purse::Rollout));
        purses.extend(self.run.clone().map(Purse::Run));
        purses.extend(self.key.clone().map(Purse::Key));
        purses
    }
}

impl Purse {
    /// The purse of the day that a moment falls on.
    pub fn on_day_of(moment: Timestamp) -> Self {
        Self::Day(moment.0 / DAY)
    }

    /// What a cap on it is for.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Rollout(_) => Scope::Rollout,
            Self::Run(_) => Scope::Run,
            Self::Key(_) => Scope::Key,
            Self::Day(_) => Scope::Day,
        }
    }
}

impl Scope {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Rollout => "rollout",
            Self::Run => "run",
            Self::Key => "key",
            Self::Day => "day",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
