//! Starting an agent: without a step between fork and exec, so that a file that cannot be run is an error.
//!
//! With a step of our own in between (`pre_exec`), the standard library would fork and call `execvp`, which hands an
//! empty or shebang-less file to a shell; such an agent would seem to succeed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::identity::look;
use super::signal::Handle;
use crate::failpoint;

/// A program to start.
#[derive(Debug)]
pub struct Program {
    /// Its absolute path.
    pub path: PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
    /// The folder it starts in.
    pub directory: PathBuf,
    /// Variables that are added to the environment it inherits.
    pub added_environment: BTreeMap<String, OsString>,
    /// Variables that it does not inherit.
    pub removed_environment: Vec<OsString>,
    /// Its standard output; `None` discards it.
    pub stdout: Option<File>,
    /// Its standard error; `None` discards it.
    pub stderr: Option<File>,
}

/// Starts a program at the head of a process group of its own, with nothing to read.
pub fn spawn(program: Program) -> io::Result<Handle> {
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .current_dir(&program.directory)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(program.stdout.map_or_else(Stdio::null, Stdio::from))
        .stderr(program.stderr.map_or_else(Stdio::null, Stdio::from));
    for name in &program.removed_environment {
        command.env_remove(name);
    }
    command.envs(&program.added_environment);
    let mut child = command.spawn()?;
    failpoint::hit("process.spawned");
    match hold(child.id().cast_signed()) {
        Ok(handle) => Ok(handle),
        Err(error) => {
            // What cannot be held could not be ended later either.
            child.kill()?;
            child.wait()?;
            Err(error)
        }
    }
}

/// Not waited for yet, so the pid is this child's until we do.
fn hold(pid: i32) -> io::Result<Handle> {
    let identity = look(pid)?.ok_or_else(|| gone(pid))?.identity;
    Handle::open(identity)?.ok_or_else(|| gone(pid))
}

fn gone(pid: i32) -> io::Error {
    io::Error::other(format!("process {pid} was just started and is not in /proc"))
}
