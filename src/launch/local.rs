//! The launcher of this machine: a detached process, found again by its session's lock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;

use super::{LaunchError, Probe};
use crate::durable::LockState;
use crate::process::identity::{Identity, Machine};
use crate::process::signal::{Delivery, Handle};
use crate::session::manifest::{Manifest, ProcessRecord};
use crate::session::writer::SessionWriter;

/// The hidden subcommand that a supervisor is.
pub const SUPERVISE: &str = "__supervise";

/// What a supervisor's environment has beside what it inherits, and what it does not inherit.
#[derive(Debug, Default)]
pub struct SupervisorEnvironment {
    /// Added variables: the secret arguments.
    pub added: BTreeMap<String, OsString>,
    /// Variables left out.
    pub removed: Vec<String>,
}

/// What a launch came to.
#[derive(Debug)]
pub enum Launched {
    /// The agent runs.
    Running,
    /// It was never started; the manifest says why.
    NotStarted,
}

/// Starts the session's supervisor, hands it the session's lock, and waits until the agent runs or cannot.
///
/// The lock goes over as the supervisor's standard input and is never let go in between: the dispatcher's copy is
/// closed, not unlocked, when `writer` is dropped.
pub fn launch(writer: SessionWriter, environment: &SupervisorEnvironment) -> Result<Launched, LaunchError> {
    let system = |operation| move |source| LaunchError::System { operation, source };
    let session = writer.manifest().session_id;
    let (dir, store) = (writer.dir().clone(), writer.store().clone());
    let lock = writer.lock().file().try_clone().map_err(system("copy the session's lock"))?;
    let (reader, readiness) = pipe_with(PipeFlags::CLOEXEC)
        .map_err(|e| LaunchError::System { operation: "make a pipe", source: e.into() })?;
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(dir.supervisor_log())
        .map_err(system("open the supervisor's log"))?;
    let program = PathBuf::from("/proc/self/exe");
    let mut command = Command::new(&program);
    command.arg0("ralph");
    command.arg(SUPERVISE).arg(dir.path()).stdin(Stdio::from(lock)).stdout(readiness).stderr(log);
    for name in &environment.removed {
        command.env_remove(name);
    }
    command.envs(&environment.added);
    let child = command.spawn().map_err(|source| LaunchError::Start { program, source })?;
    // Closes our end of the pipe; the supervisor's is then the last.
    drop(command);
    drop(writer);
    let launched = wait_for_word(reader)?;
    if launched {
        return Ok(Launched::Running);
    }
    drop(child);
    // The supervisor has let go of the pipe; what it recorded is there once it has let go of the lock.
    store.wait_until_free(session)?;
    match store.load(session)? {
        crate::session::store::Loaded::Manifest(manifest) if manifest.is_ended() => Ok(Launched::NotStarted),
        _ => Err(LaunchError::Vanished { session, detail: said(&dir.supervisor_log()) }),
    }
}

fn wait_for_word(reader: OwnedFd) -> Result<bool, LaunchError> {
    let mut word = [0; 1];
    let read = File::from(reader).read(&mut word);
    read.map(|n| n == 1)
        .map_err(|source| LaunchError::System { operation: "wait for the supervisor", source })
}

fn said(log: &std::path::Path) -> String {
    let Ok(Some(bytes)) = crate::durable::read(log, 64 << 10) else { return String::new() };
    match String::from_utf8_lossy(&bytes).trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Whether a session with this manifest lives. Its lock alone says so, on the machine that it runs on; a lock may not
/// be visible across a network file system.
pub fn probe(lock: LockState, manifest: &Manifest, here: &Machine) -> Probe {
    match lock {
        LockState::Held => Probe::Alive,
        LockState::Free if manifest.process.host == here.host => Probe::Gone,
        LockState::Free => Probe::Unknown,
    }
}

/// Tells the session's supervisor to end it: once gracefully, twice at once.
pub fn cancel(manifest: &Manifest, here: &Machine) -> io::Result<Delivery> {
    let Some(supervisor) = supervisor(&manifest.process, here) else { return Ok(Delivery::Gone) };
    match Handle::open(supervisor)? {
        None => Ok(Delivery::Gone),
        Some(handle) => Ok(handle.send(Signal::TERM)?),
    }
}

/// The supervisor's identity, where its pid means anything here.
fn supervisor(process: &ProcessRecord, here: &Machine) -> Option<Identity> {
    let same = process.host == here.host && process.boot_id == here.boot_id && process.pid_ns == here.pid_ns;
    let supervisor = process.supervisor.as_ref().filter(|_| same)?;
    Some(Identity { pid: supervisor.pid.get(), start_ticks: supervisor.start_ticks })
}
