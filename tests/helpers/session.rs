//! A session as the tests see it: its files in the store, its lock, its processes.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::command::Finished;
use super::process::{self, Process};
use super::{Repo, Sandbox, wait};

/// The variable that everything a session starts bears.
pub const SESSION_MARK: &str = "RALPH_SESSION_ID";

/// One session of a repository.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id.
    pub id: String,
    /// Its folder in the store.
    pub dir: PathBuf,
    /// Its worktree.
    pub worktree: PathBuf,
}

impl Session {
    /// Dispatches a ticket, which must come to a running agent.
    #[track_caller]
    pub fn dispatch(repo: &Repo<'_>, ticket: &str, args: &[&str]) -> Self {
        let mut words = vec!["worktree", "dispatch", ticket, "--json"];
        words.extend(args);
        let result = repo.ralph(&words).run().ok().json();
        assert_eq!(result["status"], "launched", "{result}");
        let text = |name: &str| result[name].as_str().expect("a string").to_owned();
        let (id, worktree) = (text("session_id"), PathBuf::from(text("worktree")));
        Self { dir: repo.store().join("sessions").join(&id), id, worktree }
    }

    /// The only session that a repository has, in whatever state.
    #[track_caller]
    pub fn only(repo: &Repo<'_>) -> Self {
        match Self::all(repo).as_slice() {
            [only] => only.clone(),
            several => panic!("one session was expected: {several:#?}"),
        }
    }

    /// Every session that the store has a folder of, oldest first.
    pub fn all(repo: &Repo<'_>) -> Vec<Self> {
        let sessions = repo.store().join("sessions");
        let names = names_in(&sessions).into_iter().filter(|name| !name.starts_with('.'));
        let mut all: Vec<Self> = names.map(|id| Self::at(sessions.join(id))).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    fn at(dir: PathBuf) -> Self {
        let id = dir.file_name().expect("a session's folder").to_string_lossy().into_owned();
        let mut session = Self { id, dir, worktree: PathBuf::new() };
        if let Some(manifest) = session.try_manifest() {
            session.worktree = PathBuf::from(manifest["worktree"]["path"].as_str().unwrap_or_default());
        }
        session
    }

    /// Its manifest's file.
    pub fn manifest_file(&self) -> PathBuf {
        self.dir.join("manifest.json")
    }

    /// Its manifest as it is in the store now.
    #[track_caller]
    pub fn manifest(&self) -> Value {
        let text = fs::read_to_string(self.manifest_file()).expect("the session's manifest");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("no JSON ({error}): {text}"))
    }

    fn try_manifest(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.manifest_file()).ok()?).ok()
    }

    /// Changes its manifest in the store behind ralph's back.
    pub fn forge(&self, change: impl FnOnce(&mut Value)) {
        let mut manifest = self.manifest();
        change(&mut manifest);
        fs::write(self.manifest_file(), manifest.to_string()).expect("the forged manifest");
    }

    /// Whether someone holds its lock.
    pub fn is_held(&self) -> bool {
        is_locked(&self.dir.join("lock"))
    }

    /// Waits until no one holds it any more, and returns its manifest, which must say that it has ended.
    #[track_caller]
    pub fn ended(&self) -> Value {
        wait::until("the session to let go of its lock", || (!self.is_held()).then_some(()));
        let manifest = self.manifest();
        assert_eq!(manifest["state"], "ended", "{manifest:#}");
        wait_until_left(&manifest);
        manifest
    }

    /// Waits until its manifest is in `state`.
    #[track_caller]
    pub fn wait_for_state(&self, state: &str) {
        wait::until(&format!("the manifest to say {state:?}"), || {
            (self.try_manifest()?["state"] == state).then_some(())
        });
    }

    /// Its supervisor, which must live.
    #[track_caller]
    pub fn supervisor(&self) -> Process {
        self.process("supervisor")
    }

    /// Its agent, which must live.
    #[track_caller]
    pub fn agent(&self) -> Process {
        self.process("agent")
    }

    #[track_caller]
    fn process(&self, which: &str) -> Process {
        let record = &self.manifest()["process"][which];
        let pid = record["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        let process = pid.and_then(Process::find).unwrap_or_else(|| panic!("no {which} lives: {record}"));
        assert_eq!(Some(process.start_ticks), record["start_ticks"].as_u64(), "{record}");
        process
    }

    /// Every live process that bears its mark.
    pub fn marked(&self) -> Vec<Process> {
        process::with_env(SESSION_MARK, &self.id)
    }

    /// The copy of its manifest in its worktree.
    pub fn view(&self) -> PathBuf {
        self.worktree.join(".ralph/manifest.json")
    }
}

impl Repo<'_> {
    /// Where ralph keeps its records of this repository.
    pub fn store(&self) -> PathBuf {
        self.common_dir().join("ralph")
    }

    /// `ralph worktree dispatch TICKET --wait --json` with further arguments: the final manifest.
    #[track_caller]
    pub fn finish(&self, ticket: &str, args: &[&str]) -> Value {
        let mut words = vec!["worktree", "dispatch", ticket, "--wait", "--json"];
        words.extend(args);
        let finished = self.ralph(&words).run();
        assert!(matches!(finished.code, Some(0 | 1)), "{finished}");
        let manifest = finished.json();
        wait_until_left(&manifest);
        manifest
    }

    /// `ralph worktree recover --json`: what became of each session.
    #[track_caller]
    pub fn recover(&self) -> Vec<Value> {
        let recovered = self.ralph(&["worktree", "recover", "--json"]).run().ok();
        recovered.json().as_array().expect("a list").clone()
    }
}

/// Waits until no supervisor is there, and none of what one held is held: one that is killed has lost its name before it
/// lets go.
#[track_caller]
pub fn wait_until_supervisors_left(sandbox: &Sandbox, repo: &Repo<'_>) {
    wait::until("the supervisors' end", || {
        let alive = sandbox.processes();
        alive.iter().all(|process| !process.command.contains("__supervise")).then_some(())
    });
    for folder in ["sessions", "lanes"].map(|name| repo.store().join(name)) {
        for name in names_in(&folder) {
            let lock = folder.join(name).join("lock");
            wait::until("the supervisor to let go", || (!is_locked(&lock)).then_some(()));
        }
    }
}

/// Waits for the supervisor of a session that has ended to be gone: it may still have something to note.
#[track_caller]
pub fn wait_until_left(ended: &Value) {
    let pid = ended["process"]["supervisor"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    let supervisor = pid.and_then(Process::find).filter(|process| process.command.contains("__supervise"));
    let Some(supervisor) = supervisor else { return };
    wait::until("the supervisor to be gone", || (!supervisor.is_alive()).then_some(()));
}

impl Finished {
    /// Fails unless it was refused with `code`, in one JSON error whose message holds every one of `parts`.
    #[track_caller]
    pub fn refused(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, Some(code), "the exit status of {self}");
        let message = self.error()["message"].as_str().expect("a message").to_owned();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
    }
}

impl Sandbox {
    /// Fails if anything that came out of this sandbox lives, but for supervisors that are just leaving, and the git that
    /// such a one still asks: nothing of an agent's.
    #[track_caller]
    pub fn assert_nothing_runs(&self) {
        let (leaving, others): (Vec<Process>, Vec<Process>) =
            self.processes().into_iter().partition(|process| process.command.contains("__supervise"));
        let is_asked = |process: &Process| {
            process.env(SESSION_MARK).is_none() && leaving.iter().any(|one| one.pid == process.ppid)
        };
        let alive: Vec<Process> = others.into_iter().filter(|process| !is_asked(process)).collect();
        assert!(alive.is_empty(), "still running: {alive:#?}");
    }
}

/// Whether someone holds the lock in `file`.
pub fn is_locked(file: &Path) -> bool {
    let Ok(file) = File::open(file) else { return false };
    match file.try_lock_shared() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(error)) => panic!("could not look at the lock: {error}"),
    }
}

/// The names in a folder; none where there is no such folder.
pub fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
