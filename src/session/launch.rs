//! `launch.json`: all that a supervisor needs to start a session's agent, on this machine or another.
//!
//! Arguments that look like secrets are `***` here as everywhere; their values travel in the supervisor's environment
//! (`RALPH_ARG_<position>`) and nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::leak::Around;
use super::manifest::Limits;
use super::record::encode;
use super::store::{Record, SessionDir, Store, StoreError};
use crate::durable;
use crate::id::{BranchName, SessionId, TicketId};

/// The version of this format.
pub const LAUNCH_VERSION: u32 = 1;

const MAX_BYTES: u64 = 4 << 20;

/// The variable that everything a session starts bears in its environment: the session's id.
pub const SESSION_VARIABLE: &str = "RALPH_SESSION_ID";

/// What a supervisor is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchSpec {
    /// The version of this format.
    pub schema_version: u32,
    /// The session.
    pub session_id: SessionId,
    /// Its ticket.
    pub ticket_id: TicketId,
    /// The worktree: the agent's working directory.
    pub worktree: String,
    /// The worktree's own folder in the git directory, where its index is.
    pub admin_dir: String,
    /// The lane's branch.
    pub branch: BranchName,
    /// The lane's base.
    pub base_commit: String,
    /// The branch's commit at the start.
    pub start_commit: String,
    /// The program's absolute path.
    pub program: String,
    /// Its arguments; secret ones are `***`.
    pub argv: Vec<String>,
    /// The positions in `argv` of the secret ones.
    pub secret_args: Vec<usize>,
    /// Variables that bind to another repository and are not handed on.
    pub removed_environment: Vec<String>,
    /// What the agent's own account of the session is, if it keeps one.
    pub account: AccountSource,
    /// Where its output goes.
    pub output: OutputMode,
    /// How many bytes of each output file are kept; null: all.
    pub output_cap: Option<u64>,
    /// The limits.
    pub limits: Limits,
    /// Whether the manifest shows in the worktree.
    pub view: ViewMode,
    /// Paths below the worktree that ralph put there: they are no work of the agent's.
    pub not_work: Vec<String>,
    /// Hashes of git's settings, hooks and attributes, by what they are of, when the lane's first session that is not
    /// merged was launched; none where an older ralph launched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<BTreeMap<String, String>>,
    /// The repository around the worktree, to notice what changes there meanwhile; none where an older ralph launched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub around: Option<Around>,
}

/// Where an agent's own account of a session is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AccountSource {
    /// In pi's session file, from this byte on: what is before belongs to an earlier session.
    Pi {
        /// The file.
        session_file: String,
        /// The first byte of this session.
        from: u64,
    },
    /// Nowhere: exit status and git alone decide.
    None,
}

/// Where an agent's output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputMode {
    /// Into the session's folder.
    File,
    /// Nowhere.
    Discard,
}

/// Whether the manifest shows in the worktree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewMode {
    /// As `.ralph/manifest.json`.
    Shown,
    /// Not at all, since the repository tracks a path of that name.
    Hidden,
}

/// The variable that carries the secret argument at `position` to the supervisor.
pub fn secret_variable(position: usize) -> String {
    format!("RALPH_ARG_{position}")
}

/// A commit that a session keeps from being collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// What it started from, which earlier sessions made: while it runs, and after it if it was rewritten.
    Start,
    /// What it left checked out beside its branch.
    Head,
}

/// The name of the pin, below `refs/ralph/`.
pub fn pin_name(session: SessionId, pinned: Pinned) -> String {
    let what = match pinned {
        Pinned::Start => "start",
        Pinned::Head => "head",
    };
    format!("sessions/{session}/{what}")
}

/// What ralph itself put into a lane's worktree, by what its last session was launched with: paths below it that are no
/// one's work. A record that cannot be read exempts nothing.
pub fn not_work_of(store: &Store, session: Option<SessionId>) -> Vec<PathBuf> {
    let spec = session.and_then(|id| LaunchSpec::read(&store.session_dir(id)).ok().flatten());
    spec.into_iter().flat_map(|spec| spec.not_work).map(PathBuf::from).collect()
}

impl LaunchSpec {
    /// Writes the spec into the session's folder.
    pub fn write(&self, dir: &SessionDir) -> Result<(), StoreError> {
        Ok(durable::write(&dir.launch(), &encode("a launch spec", self)?)?)
    }

    /// Reads the spec of a session; `None` where it was never written.
    pub fn read(dir: &SessionDir) -> Result<Option<Self>, StoreError> {
        let path = dir.launch();
        durable::read(&path, MAX_BYTES)?.map(|bytes| Self::parse(&path, &bytes)).transpose()
    }

    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, StoreError> {
        let damaged =
            |why: String| StoreError::Damaged { record: Record::Launch, path: path.to_owned(), why };
        let spec: Self = serde_json::from_slice(bytes).map_err(|e| damaged(e.to_string()))?;
        if spec.schema_version != LAUNCH_VERSION {
            let version = u64::from(spec.schema_version);
            return Err(StoreError::Newer { path: path.to_owned(), version });
        }
        if spec.secret_args.iter().any(|position| *position >= spec.argv.len()) {
            return Err(damaged("it names a secret argument that is not there".into()));
        }
        Ok(spec)
    }
}
