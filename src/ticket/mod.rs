//! Tickets: Markdown files in the `.tickets` folder of the main checkout, as the `tk` script writes them.
//!
//! A ticket's id is the name of its file. The folder's names are read once, when it is opened; a ticket's content
//! only when it is asked for. Whatever the files hold, reading them ends in a ticket, in a [`Problem`] that names
//! file and line, or in both: never in a panic, and never in a wait.

mod folder;
mod markdown;
mod problem;
mod resolve;

pub use folder::{Found, Listing, TicketFolder};
pub use markdown::{Status, Ticket};
pub use problem::{Problem, Why};
pub use resolve::Resolution;
