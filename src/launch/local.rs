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
use crate::id::SessionId;
use crate::process::identity::{Identity, Machine};
use crate::process::signal::{Delivery, Handle};
use crate::session::manifest::{Manifest, ProcessRecord};
use crate::session::store::{Loaded, Store};
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

/// A supervisor that was started and has not said yet whether its agent runs.
#[derive(Debug)]
#[must_use = "whether the agent runs is not known yet"]
pub struct Launching {
    store: Store,
    session: SessionId,
    reader: OwnedFd,
}

/// Starts the session's supervisor and hands it the session's lock, as its standard input. The dispatcher then closes
/// its copy, which does not unlock it, by dropping `writer`. After an error, no supervisor was started.
pub fn launch(writer: &SessionWriter, environment: &SupervisorEnvironment) -> Result<Launching, LaunchError> {
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
    command.spawn().map_err(|source| LaunchError::Start { program, source })?;
    // With the command goes our end of the pipe: the supervisor's is then the last.
    Ok(Launching { store, session, reader })
}

impl Launching {
    /// Waits until the agent runs or cannot. The session's lock must have been let go here.
    pub fn wait(self) -> Result<Launched, LaunchError> {
        let Self { store, session, reader } = self;
        if wait_for_word(reader)? {
            return Ok(Launched::Running);
        }
        // The supervisor has let go of the pipe; what it recorded is there once it has let go of the lock.
        store.wait_until_free(session)?;
        match store.load(session)? {
            Loaded::Manifest(manifest) if manifest.is_ended() => Ok(Launched::NotStarted),
            _ => {
                let log = store.session_dir(session).supervisor_log();
                Err(LaunchError::Vanished { session, detail: said(&log) })
            }
        }
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
