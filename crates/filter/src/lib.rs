//! Which trajectories go into a dataset: keep or drop, always with a reason, everything counted.

mod actions;
mod consistency;
mod error;
mod gates;
mod judge;

pub use error::{Error, Result};
pub use gates::Filter;
pub use judge::Judge;
