//! The fuzz targets: for each family of bytes that others write, what holds whatever they are. Each room states it in a
//! `fuzz.rs` of its own, where it can see what it keeps to itself.
//!
//! `fuzz/` drives these with libFuzzer; the ordinary tests drive them with the corpus that it found.

use crate::{agent, batch, config, git, id, merge, process, removal, session, ticket};

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its program and of its corpus.
    pub name: &'static str,
    /// Panics where something does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "batch_journal", run: batch::fuzz::journal },
    Target { name: "git_kept", run: git::fuzz::kept },
    Target { name: "git_printed", run: git::fuzz::printed },
    Target { name: "lane", run: session::fuzz::lane },
    Target { name: "launch", run: session::fuzz::launch },
    Target { name: "manifest", run: session::fuzz::manifest },
    Target { name: "merge_entry", run: merge::fuzz::entry },
    Target { name: "merge_status", run: merge::fuzz::status },
    Target { name: "names", run: id::fuzz::names },
    Target { name: "pi_session", run: agent::pi::fuzz::session },
    Target { name: "pi_version", run: agent::pi::fuzz::version },
    Target { name: "proc", run: process::fuzz::proc },
    Target { name: "settings", run: config::fuzz::settings },
    Target { name: "ticket", run: ticket::fuzz::file },
    Target { name: "ticketflow", run: config::fuzz::ticketflow },
    Target { name: "trash", run: removal::fuzz::record },
];

/// Runs the target of that name; a name that there is not is a mistake in `fuzz/`.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    assert!(target.is_some(), "no target is called {name:?}");
    if let Some(target) = target {
        (target.run)(data);
    }
}
