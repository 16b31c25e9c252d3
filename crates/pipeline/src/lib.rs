//! The one page that joins the rooms.
pub use trajforge_template as template;
