//! Tickets: Markdown files in the `.tickets` folder of the main checkout, as the `tk` script writes them.
//!
//! A ticket's id is the name of its file. The folder's names are read once, when it is opened; a ticket's content
//! only when it is asked for. Whatever the files hold, reading them ends in a ticket, in a [`Problem`] that names
//! file and line, or in both: never in a panic, and never in a wait. What a [`Backlog`] says of many tickets agrees
//! with the script; where a file says more than the script sees, such as a list over several lines, that counts.

mod backlog;
mod close;
mod fields;
mod folder;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod graph;
mod layout;
mod model;
mod order;
mod problem;
mod read;
mod resolve;
mod tree;
mod yaml;

pub use backlog::{Backlog, Blocked, Blocker};
pub use close::close;
pub use folder::{FOLDER, Found, Listing, TicketFolder, file_inside};
pub use graph::Graph;
pub use model::{Dep, Priority, Status, Ticket};
pub use problem::{Cycle, Problem, Why};
pub use read::status_of;
pub use resolve::Resolution;
pub use tree::{Draw, tree};

#[cfg(test)]
mod tests;
