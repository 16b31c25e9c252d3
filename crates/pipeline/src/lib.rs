//! The one page that joins the rooms: every stage is named here, and none of them names another.

pub mod dataset;
mod error;
mod externals;
pub mod gate;
pub mod gateway;
mod keeper;
mod kinds;
mod look;
mod models;
mod routing;
pub mod run;
pub mod scaffolds;
mod tasks;
mod worker;
mod world;

pub use error::{Code, Error};
pub use look::{Spending, recorded, run_spending, run_status};
pub use run::{RunOrder, RunReport, run};
pub use tasks::{Selection, make_task, parse_seeds};
pub use world::{Events, Home, ImageSource, World};

pub use trajforge_router::{Catalog, Endpoint, Secret, check_route, read_route};
pub use trajforge_sandbox::doctor::{self, Finding, Grade};
pub use trajforge_sandbox::{Destination, ImageStatus, Images, Isolation};
pub use trajforge_scheduler::{Counts, Row, RowState};
pub use trajforge_template as template;
pub use trajforge_trajectory as trajectory;
