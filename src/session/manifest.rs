//! The manifest: the JSON record of one session, version 1.
//!
//! Fields are only ever added. What a reader does not know it keeps (`extra`, at every level) and writes back; an
//! enum value from a newer version is read as unknown and kept as it was. A file of a newer version can be shown and
//! must not be rewritten: [`parse`] says so in its type.

use std::time::Duration;

use jiff::Timestamp;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::leak::Leak;
use super::left_open::LeftOpen;
use crate::id::{BranchName, Lane, SessionId, TicketId};

/// The version that this program writes.
pub const SCHEMA_VERSION: u32 = 1;

/// The largest manifest that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;

/// The record of one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Manifest {
    /// The version of this format: 1.
    pub schema_version: u32,
    /// The session's id, a UUIDv7.
    pub session_id: SessionId,
    /// The ticket worked on.
    pub ticket_id: TicketId,
    /// `TICKET` or `TICKET@BASE`: what owns the worktree and the branch.
    pub lane: Lane,
    /// 1 for the lane's first session, then one more for each.
    pub attempt: u32,
    /// Where the session is in its life.
    pub state: State,
    /// How it ended; null until then.
    pub outcome: Option<Outcome>,
    /// One sentence on the outcome, for people; null where there is nothing to add.
    pub reason: Option<String>,
    /// Where the work happens.
    pub worktree: WorktreeRecord,
    /// What is run.
    pub agent: AgentRecord,
    /// What started the supervisor.
    pub launcher: LauncherRecord,
    /// Which processes the session is.
    pub process: ProcessRecord,
    /// Where the agent's output goes.
    pub output: OutputRecord,
    /// The limits it runs under.
    pub limits: Limits,
    /// How the agent's process ended; null until then, or where no one saw it.
    pub exit: Option<ExitRecord>,
    /// What the worktree held at the end; null until then, or where it could not be read.
    pub work: Option<Work>,
    /// What the agent used, by its own account; null where it gave none.
    pub usage: Option<Usage>,
    /// What changed outside the worktree while the agent ran, as far as it was noticed: by the agent or by others.
    /// Looked for only after the end is on record; it decides nothing. Absent where nothing was noticed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaks: Vec<Leak>,
    /// When the session was made.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub created_at: Timestamp,
    /// When its supervisor was asked for.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub launched_at: Option<Timestamp>,
    /// When the agent's process was there.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub started_at: Option<Timestamp>,
    /// When it was over, its process tree gone and its worktree looked at.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub ended_at: Option<Timestamp>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// Where a session is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Recorded; the worktree is being created or located.
    Preparing,
    /// Handed to a launcher that will start it later.
    Queued,
    /// The supervisor has been asked for.
    Launching,
    /// The agent's process exists.
    Running,
    /// The agent is being ended.
    Stopping,
    /// Over.
    Ended,
    /// A state of a newer version.
    #[serde(untagged)]
    Unknown(String),
}

/// How a session ended, decided from evidence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Exit 0, a normal stop by the agent's own account, and commits beyond where it started.
    Succeeded,
    /// Exit 0, and nothing to show.
    NoChanges,
    /// Exit 0, but work lies uncommitted, a merge or rebase is open, or commits are not on the lane's branch.
    Uncommitted,
    /// The agent failed, or its success could not be shown.
    Failed,
    /// Ended by ralph at its timeout or idle timeout.
    TimedOut,
    /// Ended by ralph: someone asked, the batch's or ticket's budget was used up, or its supervisor was told to end,
    /// as at a shutdown.
    Stopped,
    /// The agent was never started.
    LaunchFailed,
    /// No one saw it end.
    Lost,
    /// An outcome of a newer version.
    #[serde(untagged)]
    Unknown(String),
}

/// Where the work happens. Paths are absolute; commits are full ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct WorktreeRecord {
    /// The worktree's path.
    pub path: String,
    /// The lane's branch, without `refs/heads/`.
    pub branch: BranchName,
    /// The base's name, or its commit where HEAD was detached.
    pub base_ref: String,
    /// The commit that the lane's work is counted from: where its branch left its base, or was last brought up to it; of
    /// a stacked lane, the work that it started from.
    pub base_commit: String,
    /// The branch's commit when this session started; null until the worktree is there.
    pub start_commit: Option<String>,
    /// The worktree's commit when this session had ended; null until then.
    pub head_commit: Option<String>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// What is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct AgentRecord {
    /// The program: a path once it was found, before that the name that was asked for.
    pub program: String,
    /// Its arguments after the program; those that look like secrets are `***`.
    pub argv: Vec<String>,
    /// Its version, where that could be known without running it.
    pub version: Option<String>,
    /// The agent's own record of the session, where it keeps one.
    pub session_file: Option<String>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// What started the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct LauncherRecord {
    /// The kind of launcher.
    pub kind: LauncherKind,
    /// The launcher's own name for the job, where it has one.
    pub job: Option<String>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// A way to start a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LauncherKind {
    /// A detached process on this machine.
    Local,
    /// A launcher of a newer version.
    #[serde(untagged)]
    Unknown(String),
}

/// Which processes the session is, and on which run of which machine those numbers mean anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ProcessRecord {
    /// The machine's name.
    pub host: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The inode of the pid namespace.
    pub pid_ns: u64,
    /// The supervisor; null until it runs.
    pub supervisor: Option<SupervisorProcess>,
    /// The agent; null until it runs.
    pub agent: Option<AgentProcess>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// A process id that can be signalled: never 0, 1 or negative, never beyond what Linux hands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct RecordedPid(i32);

#[cfg(feature = "schema")]
impl JsonSchema for RecordedPid {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RecordedPid".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 2, "maximum": 4_194_304 })
    }
}

impl RecordedPid {
    /// The pid as the system counts it.
    pub fn get(self) -> i32 {
        self.0
    }
}

impl TryFrom<i64> for RecordedPid {
    type Error = String;

    fn try_from(pid: i64) -> Result<Self, String> {
        match i32::try_from(pid) {
            Ok(pid @ 2..=4_194_304) => Ok(Self(pid)),
            _ => Err(format!("{pid} is no process id that a session can have")),
        }
    }
}

impl From<RecordedPid> for i64 {
    fn from(pid: RecordedPid) -> Self {
        pid.0.into()
    }
}

/// The supervisor's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct SupervisorProcess {
    /// Its process id.
    pub pid: RecordedPid,
    /// Its start time, in clock ticks since boot: with the pid, its identity.
    pub start_ticks: u64,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// The agent's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct AgentProcess {
    /// Its process id.
    pub pid: RecordedPid,
    /// Its process group, which it leads.
    pub pgid: RecordedPid,
    /// Its start time, in clock ticks since boot: with the pid, its identity.
    pub start_ticks: u64,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// Where the agent's output goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct OutputRecord {
    /// The file with its standard output; null where it is discarded.
    pub stdout: Option<String>,
    /// The file with its standard error; null where it is discarded.
    pub stderr: Option<String>,
    /// Bytes given back to the file system because of the output cap, counted over both files.
    pub truncated_bytes: u64,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// The limits a session runs under, in seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Limits {
    /// Ended after this long; null: never.
    pub timeout_s: Option<Seconds>,
    /// Ended after this long without a sign of life in its output or session file; null: never.
    pub idle_timeout_s: Option<Seconds>,
    /// How long the agent has to end itself once it was asked to.
    pub grace_s: Seconds,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// A length of time in seconds, at least 0 and at most a hundred years; written without a fraction where it has none.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Deserialize)]
#[serde(try_from = "f64")]
pub struct Seconds(Duration);

#[cfg(feature = "schema")]
impl JsonSchema for Seconds {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Seconds".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0 })
    }
}

impl Seconds {
    /// The length of time.
    pub fn duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for Seconds {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl TryFrom<f64> for Seconds {
    type Error = String;

    fn try_from(seconds: f64) -> Result<Self, String> {
        if !(0.0..=3.2e9).contains(&seconds) {
            return Err(format!("{seconds} is no length of time"));
        }
        Ok(Self(Duration::from_secs_f64(seconds)))
    }
}

impl Serialize for Seconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.subsec_nanos() {
            0 => serializer.serialize_u64(self.0.as_secs()),
            _ => serializer.serialize_f64(self.0.as_secs_f64()),
        }
    }
}

/// How the agent's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct ExitRecord {
    /// Its exit status, where it exited.
    pub code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// The stop reason of the agent's last message, where it keeps a record.
    pub stop_reason: Option<String>,
    /// What brought the end about.
    pub ended_by: EndedBy,
    /// Whether ralph had to kill it.
    pub forced: bool,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// What brought a session's end about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// The agent ended by itself.
    Agent,
    /// The timeout.
    Timeout,
    /// The idle timeout.
    Idle,
    /// Someone asked for it.
    Stop,
    /// The supervisor itself was told to end, as at a shutdown.
    Shutdown,
    /// The launcher, which never started it.
    Launcher,
    /// A cause of a newer version.
    #[serde(untagged)]
    Unknown(String),
}

/// What the worktree held at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Work {
    /// Commits on the lane's branch beyond `start_commit`.
    pub commits: u64,
    /// Files that differ between `start_commit` and the branch.
    pub files_changed: u64,
    /// Lines added between the two.
    pub insertions: u64,
    /// Lines removed between the two.
    pub deletions: u64,
    /// Tracked files with changes that are not committed.
    pub uncommitted: u64,
    /// Files that git neither tracks nor ignores.
    pub untracked: u64,
    /// An operation left open (`merge`, `rebase`, `cherry-pick`, `revert`, `bisect`, `am`), or `detached` or
    /// `other-branch` where HEAD is not on the lane's branch; null where there is none.
    #[cfg_attr(feature = "schema", schemars(with = "Option<String>"))]
    pub operation: Option<LeftOpen>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// What the agent used, summed over the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Usage {
    /// Tokens sent to the model, cached ones included.
    pub input_tokens: u64,
    /// Tokens the model wrote.
    pub output_tokens: u64,
    /// What the agent says it cost, in US dollars.
    pub cost_usd: f64,
    /// The model of the last answer.
    pub model: Option<String>,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// What lists show of a session: a manifest without most of it, several times as fast to read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Glance {
    schema_version: u32,
    session_id: SessionId,
    /// Where the session is in its life.
    pub state: State,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// One sentence on the outcome.
    pub reason: Option<String>,
    /// What the worktree held at the end.
    pub work: Option<Work>,
    /// What the agent used.
    pub usage: Option<Usage>,
    /// What changed outside the worktree.
    #[serde(default)]
    pub leaks: Vec<Leak>,
    /// When the session was made.
    pub created_at: Timestamp,
    /// When the agent's process was there.
    pub started_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl Glance {
    /// Reads it from the bytes of `session`'s manifest. `None` where that is not this session's, not of this version, or
    /// none at all: the whole of it tells why.
    pub fn of(bytes: &[u8], session: SessionId) -> Option<Self> {
        let glance = serde_json::from_slice::<Self>(bytes).ok()?;
        (glance.schema_version == SCHEMA_VERSION && glance.session_id == session).then_some(glance)
    }
}

impl From<Manifest> for Glance {
    fn from(manifest: Manifest) -> Self {
        Self {
            schema_version: manifest.schema_version,
            session_id: manifest.session_id,
            state: manifest.state,
            outcome: manifest.outcome,
            reason: manifest.reason,
            work: manifest.work,
            usage: manifest.usage,
            leaks: manifest.leaks,
            created_at: manifest.created_at,
            started_at: manifest.started_at,
            ended_at: manifest.ended_at,
        }
    }
}

/// A manifest as it was found: one that this version may rewrite, or one that it may only show.
#[derive(Debug, Clone, PartialEq)]
pub enum Parsed {
    /// Of this version.
    Current(Box<Manifest>),
    /// Of a newer version: shown as it is, never rewritten, never acted upon.
    Newer {
        /// The version it says it has.
        schema_version: u64,
        /// The document.
        document: Value,
    },
}

/// Why a file is not a manifest.
#[derive(Debug, thiserror::Error)]
#[error("not a manifest: {0}")]
pub struct NotAManifest(String);

/// Reads a manifest from its bytes. Anything out of bounds (a pid of 1, a path for an id, doubled keys, bytes that
/// are not UTF-8) is refused as a whole.
pub fn parse(bytes: &[u8]) -> Result<Parsed, NotAManifest> {
    #[derive(Deserialize)]
    struct VersionOnly {
        schema_version: u64,
    }
    // A list of the values without their names is none, although it could be read as one.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(NotAManifest("it is not a JSON object".into()));
    }
    // The usual case takes one reading; only what is refused or of another version is looked at again.
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes)
        && manifest.schema_version == SCHEMA_VERSION
    {
        return Ok(Parsed::Current(Box::new(manifest)));
    }
    let refuse = |e: serde_json::Error| NotAManifest(e.to_string());
    let version = serde_json::from_slice::<VersionOnly>(bytes).map_err(refuse)?.schema_version;
    match version {
        0 => Err(NotAManifest("schema_version is 0".into())),
        v if v == u64::from(SCHEMA_VERSION) => {
            serde_json::from_slice(bytes).map(|m| Parsed::Current(Box::new(m))).map_err(refuse)
        }
        schema_version => {
            let document = serde_json::from_slice(bytes).map_err(refuse)?;
            Ok(Parsed::Newer { schema_version, document })
        }
    }
}

impl Manifest {
    /// The manifest's bytes: indented JSON and a final newline.
    pub fn to_bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Whether the session is over.
    pub fn is_ended(&self) -> bool {
        self.state == State::Ended
    }
}

/// The JSON Schema of the manifest, made from the types above: what docs/manifest.schema.json is held to.
#[cfg(feature = "schema")]
pub fn schema() -> Value {
    let mut schema = schemars::SchemaGenerator::default().into_root_schema_for::<Manifest>();
    schema.insert("title".into(), "ralph session manifest, version 1".into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_kept_to_its_last_digit() {
        let number = 5.287_017_398_867_132_4e-8;
        let mut document: Value =
            serde_json::from_str(include_str!("../../fixtures/manifests/v1.json")).unwrap();
        document["usage"]["cost_usd"] = number.into();
        document["from_a_newer_version"] = number.into();
        let Parsed::Current(manifest) = parse(document.to_string().as_bytes()).unwrap() else {
            panic!("a manifest of another version")
        };
        assert_eq!(manifest.usage.as_ref().map(|usage| usage.cost_usd), Some(number));
        let written = serde_json::from_slice::<Value>(&manifest.to_bytes().unwrap()).unwrap();
        assert_eq!(written["from_a_newer_version"], number);
    }
}
