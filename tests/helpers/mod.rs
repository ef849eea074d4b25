//! What the tests stand on: a closed world to run the program in, repositories, agents that do as they are told,
//! and a way to see every process that came out of it.

pub mod agents;
pub mod command;
pub mod compiler;
pub mod lanes;
pub mod merging;
pub mod model_server;
pub mod process;
pub mod real_pi;
pub mod redact;
pub mod repo;
pub mod rows;
pub mod sandbox;
pub mod schema;
pub mod session;
pub mod source;
pub mod terminal;
pub mod tree;
pub mod wait;

pub use agents::ScriptedPi;
pub use command::{Finished, Running};
pub use model_server::{ModelServer, Turn};
pub use real_pi::RealPi;
pub use repo::Repo;
pub use sandbox::Sandbox;
pub use session::Session;
