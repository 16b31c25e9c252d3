//! Trajectories in, a dataset out: splits, Parquet files, statistics and a card.
//!
//! The same trajectories, in any order, give the same bytes: nothing here reads a clock, and every sum is taken in
//! the order of the rows.

mod build;
mod card;
mod columns;
mod error;
mod feature;
mod message;
mod metadata;
mod plots;
mod row;
mod split;
mod spool;
mod statistics;
mod stats;
mod table;

pub use build::{DatasetBuilder, Settings};
pub use error::{Error, Result};
pub use metadata::{
    Balance, ColumnInfo, FileInfo, Lengths, Metadata, RateInfo, RawInfo, Spending, SplitInfo,
};
pub use row::Row;
pub use split::{Split, SplitPolicy};
pub use stats::stats;
