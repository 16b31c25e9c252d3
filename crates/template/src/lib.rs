//! Templates: a folder that describes a family of tasks, and a seed that picks one member of it.
//!
//! Pure: the same template version and seed give the same bytes on every machine and in every release.
//! There is no clock, no network and no container here; files are read, and written only by [`lay_out`].

mod definition;
mod draw;
mod error;
mod gate;
mod layout;
mod library;
mod make;
mod render;
mod steps;
mod stream;
mod words;
mod yaml;

pub use definition::{Definition, definition_schema, steps_schema, trap_schema};
pub use error::{Error, Fault};
pub use gate::{Balance, Finding, Similarity, balance, check_render, near_copies};
pub use layout::lay_out;
pub use library::{Library, Template};
pub use stream::Stream;
