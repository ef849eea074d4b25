//! The launcher of this machine: a detached process, found again by its session's lock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, PipeReader, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{LaunchError, Origin, Probe};
use crate::durable::LockState;
use crate::id::SessionId;
use crate::process::identity::{self, Identity, Machine};
use crate::process::signal::{Delivery, Handle};
use crate::process::uninterrupted::uninterrupted;
use crate::session::manifest::ProcessRecord;
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

/// A supervisor that is our child. It goes on without us; while we live, it needs someone who waits for its end.
#[derive(Debug)]
pub struct Supervisor(Child);

impl Supervisor {
    /// Waits until its process has ended, which is a little after its session.
    pub fn wait(mut self) -> io::Result<()> {
        self.0.wait().map(drop)
    }
}

/// What a launch came to.
#[derive(Debug)]
pub enum Launched {
    /// The agent runs.
    Running(Supervisor),
    /// It was never started; the manifest says why.
    NotStarted,
}

/// A supervisor that was started and has not said yet whether its agent runs.
#[derive(Debug)]
#[must_use = "whether the agent runs is not known yet"]
pub struct Launching {
    store: Store,
    session: SessionId,
    reader: PipeReader,
    supervisor: Supervisor,
}

/// Starts the session's supervisor and hands it the session's lock, as its standard input. The dispatcher then closes
/// its copy, which does not unlock it, by dropping `writer`. After an error, no supervisor was started.
pub fn launch(writer: &SessionWriter, environment: &SupervisorEnvironment) -> Result<Launching, LaunchError> {
    let system = |operation| move |source| LaunchError::System { operation, source };
    let session = writer.manifest().session_id;
    let (dir, store) = (writer.dir().clone(), writer.store().clone());
    let lock = writer.lock().file().try_clone().map_err(system("copy the session's lock"))?;
    let (reader, readiness) = io::pipe().map_err(system("make a pipe"))?;
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
    // What a terminal sends to our process group is not meant for it, which leaves that as soon as it runs.
    let started = uninterrupted(|| command.spawn());
    let supervisor = Supervisor(started.map_err(|source| LaunchError::Start { program, source })?);
    // With the command goes our end of the pipe: the supervisor's is then the last.
    Ok(Launching { store, session, reader, supervisor })
}

impl Launching {
    /// Waits until the agent runs or cannot. The session's lock must have been let go here.
    pub fn wait(self) -> Result<Launched, LaunchError> {
        let Self { store, session, reader, supervisor } = self;
        if wait_for_word(reader)? {
            return Ok(Launched::Running(supervisor));
        }
        // The supervisor has let go of the pipe; what it recorded is there once it has let go of the lock.
        store.wait_until_free(session)?;
        // It has nothing left to do.
        supervisor
            .wait()
            .map_err(|source| LaunchError::System { operation: "wait for the supervisor", source })?;
        match store.load(session)? {
            Loaded::Manifest(manifest) if manifest.is_ended() => Ok(Launched::NotStarted),
            _ => {
                let log = store.session_dir(session).supervisor_log();
                Err(LaunchError::Vanished { session, detail: said(&log) })
            }
        }
    }
}

fn wait_for_word(mut reader: PipeReader) -> Result<bool, LaunchError> {
    let mut word = [0; 1];
    reader
        .read(&mut word)
        .map(|n| n == 1)
        .map_err(|source| LaunchError::System { operation: "wait for the supervisor", source })
}

fn said(log: &Path) -> String {
    let Ok(Some(bytes)) = crate::durable::read(log, 64 << 10) else { return String::new() };
    match String::from_utf8_lossy(&bytes).trim() {
        "" => String::new(),
        text => format!(": {text}"),
    }
}

/// Where the processes on record were. No two machines have the same boot, whatever they are called, and a machine may
/// be given another name while it runs.
pub fn origin(process: &ProcessRecord, here: &Machine) -> Origin {
    if process.boot_id != here.boot_id {
        return if process.host == here.host { Origin::EarlierBoot } else { Origin::Elsewhere };
    }
    if process.pid_ns == here.pid_ns { Origin::Here } else { Origin::OtherNamespace }
}

/// Whether a session with this manifest lives. Its lock alone says so, on the machine that it runs on; a lock may not
/// be visible across a network file system.
pub fn probe(lock: LockState, origin: Origin) -> Probe {
    match (lock, origin) {
        (LockState::Held, _) => Probe::Alive,
        (LockState::Free, Origin::Elsewhere) => Probe::Unknown,
        (LockState::Free, Origin::Here | Origin::EarlierBoot | Origin::OtherNamespace) => Probe::Gone,
    }
}

/// Tells the session's supervisor to end it: once gracefully, twice at once. Whoever the record names must be that
/// supervisor by its own words too; a record that leads to no one, or cannot be read, does not keep it from being found.
pub fn cancel(session: SessionId, record: Option<&ProcessRecord>, here: &Machine) -> io::Result<Delivery> {
    let recorded = record.and_then(|process| recorded_supervisor(process, here));
    let supervisor = match recorded.map(Handle::open).transpose()?.flatten() {
        Some(handle) if supervises(handle.identity().pid, session) => Some(handle),
        _ => find_supervisor(session)?,
    };
    // One that was stopped (SIGSTOP) by its agent goes on with it.
    supervisor.map_or(Ok(Delivery::Gone), |handle| Ok(handle.ask_to_end()?))
}

/// The supervisor's identity, where its pid means anything here.
fn recorded_supervisor(process: &ProcessRecord, here: &Machine) -> Option<Identity> {
    let here = process.host == here.host && origin(process, here) == Origin::Here;
    let supervisor = process.supervisor.as_ref().filter(|_| here)?;
    Some(Identity { pid: supervisor.pid.get(), start_ticks: supervisor.start_ticks })
}

fn find_supervisor(session: SessionId) -> io::Result<Option<Handle>> {
    for stat in identity::all()?.iter().filter(|stat| supervises(stat.identity.pid, session)) {
        // Opened, the process cannot become another one; it is asked once more who it is.
        match Handle::open(stat.identity)? {
            Some(handle) if supervises(stat.identity.pid, session) => return Ok(Some(handle)),
            _ => {}
        }
    }
    Ok(None)
}

/// Whether a process was started as the session's supervisor.
fn supervises(pid: i32, session: SessionId) -> bool {
    let words = identity::command_line(pid).unwrap_or_default();
    let dir = words.get(2).map(Path::new).and_then(Path::file_name);
    words.get(1).is_some_and(|word| word == SUPERVISE) && dir.is_some_and(|dir| *dir == *session.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_tells_machines_apart_and_a_name_only_where_the_boot_is_another() {
        let record = |host: &str, boot: &str, pid_ns| ProcessRecord {
            host: host.into(),
            boot_id: boot.into(),
            pid_ns,
            supervisor: None,
            agent: None,
            extra: serde_json::Map::new(),
        };
        let here = Machine { host: "box".into(), boot_id: "now".into(), pid_ns: 1 };
        let cases = [
            (record("box", "now", 1), Origin::Here),
            (record("renamed", "now", 1), Origin::Here),
            (record("box", "now", 2), Origin::OtherNamespace),
            (record("box", "earlier", 1), Origin::EarlierBoot),
            (record("other", "earlier", 1), Origin::Elsewhere),
        ];
        for (process, expected) in cases {
            assert_eq!(origin(&process, &here), expected, "{process:?}");
        }
    }

    #[test]
    fn a_lock_that_is_free_says_nothing_about_another_machine() {
        assert_eq!(probe(LockState::Held, Origin::Elsewhere), Probe::Alive);
        assert_eq!(probe(LockState::Free, Origin::Elsewhere), Probe::Unknown);
        assert_eq!(probe(LockState::Free, Origin::EarlierBoot), Probe::Gone);
    }
}
