//! From `ralph __supervise` to a running agent.
//!
//! The order matters: descriptors first, so that no child can inherit the lock and no caller's pipe is kept open; then
//! the signals, so that none is lost; then the agent; then its record; and only then the word to the dispatcher.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;

use super::conclude::{LOOK_PATIENCE, conclude};
use super::leaks::{NoticeError, notice};
use super::patience::{Outcome, within};
use super::watch::{Ended, Signalled, Watch, WatchError};
use crate::durable::FileError;
use crate::failpoint;
use crate::git::GitProgram;
use crate::id::{NameError, SessionId};
use crate::process::descendants::{Kin, Mark};
use crate::process::detach::{Handed, detach};
use crate::process::ending::{Pace, SweepError, sweep};
use crate::process::identity::{Identity, Machine, this_process};
use crate::process::priority::give_way;
use crate::process::signal::Handle;
use crate::process::spawn::{Program, spawn};
use crate::process::wait::{Listener, reap};
use crate::session::launch::{LaunchSpec, OutputMode, SESSION_VARIABLE, secret_variable};
use crate::session::manifest::{AgentProcess, ProcessRecord, RecordedPid, SupervisorProcess};
use crate::session::outcome::End;
use crate::session::state::{Event, supervised_by};
use crate::session::store::{Store, StoreError};
use crate::session::writer::{SessionWriter, ViewPlace};

/// A supervisor that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    /// It was not started by a dispatcher.
    #[error("{} is not a session's folder in a repository's store", .0.display())]
    NotASession(PathBuf),
    /// The folder's name is not an id.
    #[error(transparent)]
    Name(#[from] NameError),
    /// It could not leave its caller.
    #[error("could not detach: {0}")]
    Detach(#[source] io::Error),
    /// It does not know itself.
    #[error("could not read this process's identity from /proc")]
    Identity,
    /// The system refused something.
    #[error("could not {0}: {1}")]
    System(&'static str, #[source] io::Error),
    /// The store could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to launch.
    #[error("session {0} has no launch.json")]
    NoSpec(SessionId),
    /// The agent could not be waited for.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// What changed around the session, whose end is on record, could not be looked at.
    #[error(transparent)]
    Notice(#[from] NoticeError),
}

/// Looks a variable up in the environment that the supervisor was started with.
pub type Inherited<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Runs the session whose folder is `session_dir` to its recorded end. Its lock comes as standard input; standard
/// output takes one byte as soon as the agent runs.
pub fn supervise(session_dir: &Path, inherited: Inherited<'_>) -> Result<(), SupervisorError> {
    failpoint::hit("supervise.begun");
    let handed = detach().map_err(SupervisorError::Detach)?;
    let (store, id) = place(session_dir)?;
    let Handed { lock, readiness } = handed;
    let mut writer = SessionWriter::adopt(store, id, lock)?;
    writer.dir().mark_supervised().map_err(StoreError::from)?;
    let spec = LaunchSpec::read(writer.dir())?.ok_or(SupervisorError::NoSpec(id))?;
    writer.show_in(ViewPlace::of(&spec));
    // The settings are where they were for the dispatcher, which left its environment to this process.
    let git = || GitProgram::in_environment(inherited);
    let ended = match start(&mut writer, &spec, inherited) {
        Ok(Started { mut listener, agent, at }) => {
            tell_ready(readiness);
            failpoint::hit("supervise.running");
            Watch::over(&mut writer, &mut listener, agent, &spec, at).until_over()?
        }
        Err(NotStarted(why)) => {
            let ended = Ended {
                end: End::NeverStarted(why),
                signalled: Signalled::No,
                truncated_bytes: 0,
                notes: Vec::new(),
            };
            conclude(&mut writer, &spec, ended, &git())?;
            // Closed without a byte: the dispatcher reads why in the manifest.
            drop(readiness);
            return Ok(());
        }
    };
    failpoint::hit("supervise.agent-ended");
    let git = git();
    conclude(&mut writer, &spec, ended, &git)?;
    let store = writer.store().clone();
    // Whoever waits for the session's end is told now.
    drop(writer);
    failpoint::hit("supervise.released");
    // And what they do next comes first.
    give_way();
    // The session is over: what cannot be looked at in time is not waited for, and nothing is said of it.
    match within(LOOK_PATIENCE, move || notice(&store, &spec, git)) {
        Outcome::Done(noticed) => Ok(noticed?),
        Outcome::TooSlow => Ok(()),
        Outcome::NotBegun(error) => Err(SupervisorError::System("start a thread", error)),
    }
}

/// An agent that runs, and what listens for its end.
struct Started {
    listener: Listener,
    agent: Handle,
    at: Instant,
}

/// Why the agent does not run.
struct NotStarted(String);

fn start(
    writer: &mut SessionWriter,
    spec: &LaunchSpec,
    inherited: Inherited<'_>,
) -> Result<Started, NotStarted> {
    let listener = Listener::start().map_err(|e| NotStarted(format!("could not listen for signals: {e}")))?;
    failpoint::hit("supervise.before-spawn");
    let program = program(writer, spec, inherited).map_err(|error| NotStarted(error.to_string()))?;
    let at = Instant::now();
    let agent = spawn(program).map_err(|error| NotStarted(not_started(&spec.program, &error)))?;
    failpoint::hit("supervise.spawned");
    match record_start(writer, agent.identity()) {
        Ok(()) => Ok(Started { listener, agent, at }),
        // An agent that no record leads to must not run: no one could ever find it.
        Err(error) => {
            let ended = end_unrecorded(&agent, spec);
            let ended = ended.map_or_else(|e| format!("; it could not be ended: {e}"), |()| String::new());
            Err(NotStarted(format!("the agent's start could not be recorded: {error}{ended}")))
        }
    }
}

fn record_start(writer: &mut SessionWriter, identity: Identity) -> Result<(), SupervisorError> {
    let pid = recorded(identity.pid)?;
    let extra = serde_json::Map::new();
    let agent = AgentProcess { pid, pgid: pid, start_ticks: identity.start_ticks, extra };
    // That the view could not be written shows in the worktree; the original is what counts.
    let _view = writer.step(Event::Started { process: process_record()?, agent }, Timestamp::now())?;
    Ok(())
}

fn end_unrecorded(agent: &Handle, spec: &LaunchSpec) -> Result<(), SweepError> {
    let failed = |e: rustix::io::Errno| SweepError::Signal { pid: agent.identity().pid, source: e.into() };
    agent.send(Signal::KILL).map_err(failed)?;
    let supervisor = rustix::process::getpid().as_raw_nonzero().get();
    let mark = Mark::new(SESSION_VARIABLE, &spec.session_id.to_string());
    let kin = Kin::OfSupervisor { supervisor, mark };
    sweep(&kin, Duration::ZERO, || reap().map(|(_, remaining)| (Pace::AtOnce, remaining))).map(|_| ())
}

fn not_started(program: &str, error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(errno) => {
            let said = error.to_string();
            let said = said.strip_suffix(&format!(" (os error {errno})")).unwrap_or(&said);
            format!("could not start {program}: {said} (errno {errno})")
        }
        None => format!("could not start {program}: {error}"),
    }
}

/// This supervisor, on this machine.
fn process_record() -> Result<ProcessRecord, SupervisorError> {
    let machine = Machine::this().map_err(|e| SupervisorError::System("read this machine's identity", e))?;
    let me = this_process().ok_or(SupervisorError::Identity)?;
    let extra = serde_json::Map::new();
    let Machine { host, boot_id, pid_ns } = machine;
    let nobody = ProcessRecord { host, boot_id, pid_ns, supervisor: None, agent: None, extra: extra.clone() };
    let supervisor = SupervisorProcess { pid: recorded(me.pid)?, start_ticks: me.start_ticks, extra };
    Ok(supervised_by(&nobody, supervisor))
}

fn recorded(pid: i32) -> Result<RecordedPid, SupervisorError> {
    RecordedPid::try_from(i64::from(pid)).map_err(|_| SupervisorError::Identity)
}

fn program(
    writer: &SessionWriter,
    spec: &LaunchSpec,
    inherited: Inherited<'_>,
) -> Result<Program, SupervisorError> {
    let (stdout, stderr) = match spec.output {
        OutputMode::Discard => (None, None),
        OutputMode::File => (Some(output(&writer.dir().stdout())?), Some(output(&writer.dir().stderr())?)),
    };
    let mut arguments: Vec<OsString> = spec.argv.iter().map(OsString::from).collect();
    let mut removed: Vec<OsString> = spec.removed_environment.iter().map(OsString::from).collect();
    for position in &spec.secret_args {
        let name = secret_variable(*position);
        if let (Some(value), Some(argument)) = (inherited(&name), arguments.get_mut(*position)) {
            *argument = value;
        }
        removed.push(name.into());
    }
    Ok(Program {
        path: PathBuf::from(&spec.program),
        arguments,
        directory: PathBuf::from(&spec.worktree),
        added_environment: agent_environment(spec),
        removed_environment: removed,
        stdout,
        stderr,
    })
}

/// The variables that every agent's environment has beside what it inherits.
pub const ADDED_VARIABLES: [&str; 9] = [
    SESSION_VARIABLE,
    "RALPH_TICKET_ID",
    "RALPH_WORKTREE",
    "RALPH_BASE_COMMIT",
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_KEY_0",
    "GIT_CONFIG_VALUE_0",
    "GIT_CONFIG_KEY_1",
    "GIT_CONFIG_VALUE_1",
];

/// What the agent's environment has beside what it inherits: who it is, and git settings that keep its commits from
/// starting a maintenance of the repository that all agents share, in the background, where it would be cut short.
fn agent_environment(spec: &LaunchSpec) -> BTreeMap<String, OsString> {
    let values = [
        spec.session_id.to_string(),
        spec.ticket_id.to_string(),
        spec.worktree.clone(),
        spec.base_commit.clone(),
        "2".to_owned(),
        "maintenance.auto".to_owned(),
        "false".to_owned(),
        // What a git before 2.29 goes by.
        "gc.auto".to_owned(),
        "0".to_owned(),
    ];
    ADDED_VARIABLES.iter().map(|name| (*name).to_owned()).zip(values.map(OsString::from)).collect()
}

fn output(path: &Path) -> Result<File, SupervisorError> {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    Ok(opened.map_err(|e| StoreError::from(FileError::io("open", path, e)))?)
}

/// The dispatcher may be gone already: then no one needs to be told.
fn tell_ready(readiness: OwnedFd) {
    _ = rustix::io::write(&readiness, b"R");
    drop(readiness);
}

fn place(session_dir: &Path) -> Result<(Store, SessionId), SupervisorError> {
    let not_a_session = || SupervisorError::NotASession(session_dir.to_owned());
    let id = session_dir.file_name().and_then(|name| name.to_str()).ok_or_else(not_a_session)?.parse()?;
    let common_dir = session_dir.ancestors().nth(3).ok_or_else(not_a_session)?;
    let store = Store::at(common_dir);
    if store.session_dir(id).path() != session_dir {
        return Err(not_a_session());
    }
    Ok((store, id))
}
