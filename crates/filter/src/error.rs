//! What can be wrong with a filter's settings.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a filter can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A least reward that no total reward can be compared with.
    #[error("filter trajectories: the least reward {value} is not between 0 and 1")]
    LeastReward {
        /// What was asked for.
        value: f64,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::LeastReward { .. } => Some("1 keeps full successes only, 0 keeps everything"),
        }
    }
}
