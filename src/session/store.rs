//! The store: `<git common dir>/ralph/`, where the records of lanes and sessions are kept.
//!
//! It survives `git clean -ffdx` and the removal of a worktree. Directories are 0700, files 0600. A manifest is
//! written only through a [`super::writer::SessionWriter`], which holds the session's lock; a lane's record only by
//! who holds the [`LaneLock`]. Looking takes no lock and changes nothing. No environment value is ever kept here.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::error::{Record, StoreError};
use super::lane::{LANE_VERSION, LaneRecord, PlainLaneRecord};
use super::manifest::{self, Glance, Manifest, Parsed, ProcessRecord, State};
use super::record::{decode, decode_known, encode, names_in};
use crate::durable::{self, FileError, Folder, HeldLock, LockState};
use crate::failpoint;
use crate::id::{Lane, SessionId, Slug, TicketId};
use crate::process::identity::{Identity, Machine, is_alive};

const MAX_SMALL_FILE: u64 = 1 << 20;
/// How often it is looked whether a session has ended that has no lock to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// A session's manifest, in its folder.
const MANIFEST: &str = "manifest.json";

/// The store of one repository. Nothing exists on disk until the first write.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// The files of one session.
#[derive(Debug, Clone)]
pub struct SessionDir {
    path: PathBuf,
}

/// Who may change a lane: held from the decision to dispatch until the supervisor has taken over.
#[derive(Debug)]
#[must_use = "the lane is let go when this is dropped"]
pub struct LaneLock {
    lane: Lane,
    lock: HeldLock,
}

impl LaneLock {
    /// The lane that is held.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// The lock itself, for a program that must not outlive it.
    pub fn lock(&self) -> &HeldLock {
        &self.lock
    }
}

/// What asking for a lane gave.
#[derive(Debug)]
pub enum LaneClaim {
    /// It is ours.
    Claimed(LaneLock),
    /// Someone else has it: the session that keeps it busy, where one is recorded already.
    Busy(Option<SessionId>),
}

/// What stands for a live session in `running/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningEntry {
    /// The session.
    pub session_id: SessionId,
    /// Its lane, whose lock guards the session's beginning and its settling.
    pub lane: Lane,
    /// The machine it was begun on, for when its manifest cannot say so any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<EntryMachine>,
}

/// Where the pids of a session have their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryMachine {
    /// The machine's name.
    pub host: String,
    /// The kernel's id of its boot.
    pub boot_id: String,
    /// The inode of the pid namespace.
    pub pid_ns: u64,
}

/// Someone's wish that a session end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// The version of this format: 1.
    pub schema_version: u32,
    /// Who asked: a user id and the asking process.
    pub uid: u32,
    /// The process that asked.
    pub pid: i32,
    /// When.
    pub requested_at: Timestamp,
    /// How soon.
    #[serde(default)]
    pub urgency: Urgency,
    /// Why, where that is worth telling in the session's record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How soon a session is to end. It stands in the request, because two signals in a row may arrive as one, and a
/// session that is only starting gets none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// The agent has its grace to end itself.
    #[default]
    Graceful,
    /// It is killed.
    AtOnce,
}

/// A manifest as it was found.
#[derive(Debug)]
pub enum Loaded {
    /// One that this version understands.
    Manifest(Box<Manifest>),
    /// One of a newer version: to be shown, not acted upon.
    Newer {
        /// Its version.
        schema_version: u64,
        /// The document.
        document: serde_json::Value,
    },
    /// One that cannot be read.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is none.
    Missing,
}

/// Lanes as they were read.
#[derive(Default)]
struct LanesRead {
    records: Vec<LaneRecord>,
    /// What is wrong with those that cannot be read, each with the name of its folder.
    damaged: Vec<(String, StoreError)>,
}

impl Store {
    /// The store of the repository with this common dir.
    pub fn at(common_dir: &Path) -> Self {
        Self { root: common_dir.join("ralph") }
    }

    /// The repository's common dir.
    pub fn common_dir(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// The store's own directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn lanes_dir(&self) -> PathBuf {
        self.root.join("lanes")
    }

    pub(super) fn sessions_dir(&self) -> PathBuf {
        self.root.join("sessions")
    }

    pub(super) fn running_dir(&self) -> PathBuf {
        self.root.join("running")
    }

    fn lane_dir(&self, lane: &Lane) -> PathBuf {
        self.lanes_dir().join(lane.slug().as_str())
    }

    /// The files of a session, whether they exist or not.
    pub fn session_dir(&self, id: SessionId) -> SessionDir {
        SessionDir { path: self.sessions_dir().join(id.to_string()) }
    }

    /// Whether anyone ever was at the lane: its folder comes before anything else of it.
    pub fn has_folder(&self, lane: &Lane) -> bool {
        self.lane_dir(lane).exists()
    }

    /// Takes the lane, or says which session has it. Waits at most `patience` for one that is just beginning or
    /// ending, since only then is it not known which session that is.
    pub fn claim_lane(&self, lane: &Lane, patience: Duration) -> Result<LaneClaim, StoreError> {
        let dir = self.lane_dir(lane);
        durable::create_private_dir(&dir)?;
        let path = dir.join("lock");
        let until = Instant::now() + patience;
        loop {
            if let Some(lock) = HeldLock::take_within(&path, Duration::from_millis(20))? {
                return Ok(LaneClaim::Claimed(LaneLock { lane: lane.clone(), lock }));
            }
            let current = self.lane(lane)?.and_then(|record| record.current_session);
            // Who holds one whose end is on record has only something to note, and lets go in a moment.
            if let Some(id) = current
                && let (LockState::Held, loaded) = self.observe(id)?
                && !matches!(loaded, Loaded::Manifest(manifest) if manifest.is_ended())
            {
                return Ok(LaneClaim::Busy(Some(id)));
            }
            if Instant::now() >= until {
                return Ok(LaneClaim::Busy(current));
            }
        }
    }

    /// Where the lane's record is, or would be.
    pub fn lane_file(&self, lane: &Lane) -> PathBuf {
        self.lane_dir(lane).join("lane.json")
    }

    /// The lane's record.
    pub fn lane(&self, lane: &Lane) -> Result<Option<LaneRecord>, StoreError> {
        let dir = self.lane_dir(lane);
        let Some(record) = read_lane(&dir.join("lane.json"))? else { return Ok(None) };
        if record.lane != *lane {
            let (found, wanted) = (record.lane.to_string(), lane.to_string());
            return Err(StoreError::OtherLane { path: dir, found, wanted });
        }
        Ok(Some(record))
    }

    /// Writes the lane's record.
    pub fn write_lane(&self, held: &LaneLock, record: &LaneRecord) -> Result<(), StoreError> {
        let path = self.lane_dir(&held.lane).join("lane.json");
        Ok(durable::write(&path, &encode("a lane", record)?)?)
    }

    /// Takes a lane's record away; its folder and lock stay.
    pub fn forget_lane(&self, held: &LaneLock) -> Result<(), StoreError> {
        let path = self.lane_dir(&held.lane).join("lane.json");
        Ok(durable::remove(&path)?)
    }

    /// Every lane's record, in the order of their names, and what is wrong with those that cannot be read.
    pub fn lanes(&self) -> Result<(Vec<LaneRecord>, Vec<StoreError>), StoreError> {
        let LanesRead { records, damaged } = self.lanes_in(|_| true)?;
        Ok((records, damaged.into_iter().map(|(_, error)| error).collect()))
    }

    fn lanes_in(&self, wanted: impl Fn(&str) -> bool) -> Result<LanesRead, StoreError> {
        let mut read = LanesRead::default();
        let Some(folder) = Folder::open(&self.lanes_dir())? else { return Ok(read) };
        // Hidden ones are somebody's unfinished work.
        let is_wanted = |name: &String| !name.starts_with('.') && wanted(name);
        for name in names_in(&self.lanes_dir())?.into_iter().filter(is_wanted) {
            let file = Path::new(&name).join("lane.json");
            match folder.read(&file, MAX_SMALL_FILE).map_err(StoreError::from).and_then(|bytes| {
                bytes.map(|bytes| parse_lane(&self.lanes_dir().join(&file), &bytes)).transpose()
            }) {
                Ok(Some(record)) => read.records.push(record),
                Ok(None) => {}
                Err(error) => read.damaged.push((name, error)),
            }
        }
        read.records.sort_by(|a, b| a.lane.cmp(&b.lane));
        Ok(read)
    }

    /// The lanes of one ticket. Folders that cannot be its are told by their names and not read.
    pub fn lanes_of(&self, ticket: &TicketId) -> Result<Vec<LaneRecord>, StoreError> {
        let LanesRead { mut records, .. } =
            self.lanes_in(|folder| Slug::may_be_of(folder, ticket.as_str()))?;
        records.retain(|record| record.lane.ticket() == ticket);
        Ok(records)
    }

    /// What is wrong with a record that may be of a lane of the ticket: for who has found none that can be read, since
    /// there may be one.
    pub fn none_damaged_of(&self, ticket: &TicketId) -> Result<(), StoreError> {
        let LanesRead { damaged, .. } = self.lanes_in(|folder| Slug::may_be_of(folder, ticket.as_str()))?;
        damaged.into_iter().next().map_or(Ok(()), |(_, error)| Err(error))
    }

    /// The lane whose worktree has this registration. A registration is called after its lane, maybe with a number
    /// behind that: where no record names it, the one that may be its and cannot be read is the answer.
    pub fn lane_of_worktree(&self, id: &str) -> Result<Option<LaneRecord>, StoreError> {
        let LanesRead { records, damaged } = self.lanes_in(|_| true)?;
        match records.into_iter().find(|record| record.worktree_id == id) {
            None => damaged
                .into_iter()
                .find(|(folder, _)| id.starts_with(folder.as_str()))
                .map_or(Ok(None), |(_, error)| Err(error)),
            found => Ok(found),
        }
    }

    /// The sessions that live, or whose end no one has recorded yet. Grows with those only.
    pub fn running(&self) -> Result<Vec<SessionId>, StoreError> {
        ids_in(&self.running_dir())
    }

    /// The entry of a session in `running/`.
    pub fn running_entry(&self, id: SessionId) -> Result<Option<RunningEntry>, StoreError> {
        let path = self.running_dir().join(id.to_string());
        let Some(bytes) = durable::read(&path, MAX_SMALL_FILE)? else { return Ok(None) };
        decode(Record::Running, &path, &bytes).map(Some)
    }

    /// Every session there is a record of, oldest first.
    pub fn sessions(&self) -> Result<Vec<SessionId>, StoreError> {
        ids_in(&self.sessions_dir())
    }

    /// A session's manifest as a document, of whatever version, to be shown only: nothing in it was checked but that
    /// it is JSON and has an id of its own.
    pub fn document(&self, id: SessionId) -> Result<serde_json::Value, StoreError> {
        decode(Record::Manifest, &self.session_dir(id).manifest(), self.document_text(id)?.as_bytes())
    }

    /// A session's manifest as the text that it is: one JSON document, of whatever version, that is this session's.
    pub fn document_text(&self, id: SessionId) -> Result<String, StoreError> {
        #[derive(Deserialize)]
        struct Named<'a> {
            #[serde(borrow)]
            session_id: std::borrow::Cow<'a, str>,
        }
        let path = self.session_dir(id).manifest();
        let damaged = |why: String| StoreError::Damaged { record: Record::Manifest, path: path.clone(), why };
        let bytes =
            durable::read(&path, manifest::MAX_BYTES)?.ok_or_else(|| damaged("it is missing".to_owned()))?;
        let text = String::from_utf8(bytes).map_err(|e| damaged(e.to_string()))?;
        let named: Named<'_> = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
        match named.session_id == id.to_string() {
            true => Ok(text),
            false => Err(damaged(format!("it is not the manifest of session {id}"))),
        }
    }

    /// The folder of all sessions, for who reads many; `None` where there never was one.
    pub fn open_sessions(&self) -> Result<Option<Folder>, StoreError> {
        Ok(Folder::open(&self.sessions_dir())?)
    }

    /// A session as lists show it, where its end is on record.
    pub fn ended_glance(sessions: &Folder, id: SessionId) -> Option<Glance> {
        // Whatever is wrong with it shows when the whole of it is read.
        let bytes = sessions.read(&Path::new(&id.to_string()).join(MANIFEST), manifest::MAX_BYTES).ok()??;
        Glance::of(&bytes, id).filter(|glance| glance.state == State::Ended)
    }

    /// A session's manifest.
    pub fn load(&self, id: SessionId) -> Result<Loaded, StoreError> {
        let loaded = load_manifest(&self.session_dir(id).manifest())?;
        match loaded {
            Loaded::Manifest(manifest) if manifest.session_id != id => Ok(Loaded::Damaged {
                path: self.session_dir(id).manifest(),
                why: format!("it is the manifest of session {}", manifest.session_id),
            }),
            other => Ok(other),
        }
    }

    /// Whether someone holds the session's lock: its supervisor, or who is preparing or settling it. Where something else
    /// stands in its place, who holds it cannot be told: someone may, for as long as no end is on record and the supervisor
    /// that is on record may live.
    pub fn probe(&self, id: SessionId) -> Result<LockState, StoreError> {
        match durable::probe_lock(&self.session_dir(id).lock()) {
            Err(error) if error.is_of_another_kind() => Ok(match self.load(id)? {
                Loaded::Manifest(manifest) if manifest.is_ended() || is_orphaned(&manifest.process) => {
                    LockState::Free
                }
                _ => LockState::Held,
            }),
            other => Ok(other?),
        }
    }

    /// What stands in the place of the session's lock, where that is no lock.
    pub fn no_lock(&self, id: SessionId) -> Option<FileError> {
        durable::probe_lock(&self.session_dir(id).lock()).err().filter(FileError::is_of_another_kind)
    }

    /// Whether someone holds the session, and its manifest: in this order, so that what is read of a session that no
    /// one holds is its last word.
    pub fn observe(&self, id: SessionId) -> Result<(LockState, Loaded), StoreError> {
        let lock = self.probe(id)?;
        failpoint::hit("store.probed");
        Ok((lock, self.load(id)?))
    }

    /// Waits until no one holds the session's lock; where that is none, until its end is on record.
    pub fn wait_until_free(&self, id: SessionId) -> Result<(), StoreError> {
        match durable::wait_until_free(&self.session_dir(id).lock()) {
            Err(error) if error.is_of_another_kind() => {
                while self.probe(id)? == LockState::Held {
                    thread::sleep(LOOK_AGAIN);
                }
                Ok(())
            }
            other => Ok(other?),
        }
    }

    /// Leaves the wish that a session end. A second one means: at once.
    pub fn request_stop(&self, id: SessionId, request: &StopRequest) -> Result<(), StoreError> {
        let dir = self.session_dir(id);
        let mut request = request.clone();
        if dir.stop_requested().is_some() {
            request.urgency = Urgency::AtOnce;
        }
        let path = dir.stop_request();
        match durable::write(&path, &encode("a stop request", &request)?) {
            // Whatever filled the disk may be what is to be stopped. A request that cannot be read is one, too.
            Err(error) if error.is_full() => Ok(durable::mark(&path)?),
            other => Ok(other?),
        }
    }
}

impl SessionDir {
    /// The files of a session under a path that is known already.
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.path.join(MANIFEST)
    }

    /// The lock that says that the session lives.
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// What a supervisor needs to start.
    pub fn launch(&self) -> PathBuf {
        self.path.join("launch.json")
    }

    /// The agent's standard output.
    pub fn stdout(&self) -> PathBuf {
        self.path.join("stdout")
    }

    /// The agent's standard error.
    pub fn stderr(&self) -> PathBuf {
        self.path.join("stderr")
    }

    /// pi's own record of the session.
    pub fn pi_session(&self) -> PathBuf {
        self.path.join("pi-session.jsonl")
    }

    /// Stands there from the moment that a recovery begins to end what the session left running.
    pub fn sweep_mark(&self) -> PathBuf {
        self.path.join("swept")
    }

    /// Someone's wish that the session end.
    fn stop_request(&self) -> PathBuf {
        self.path.join("stop.json")
    }

    /// What the supervisor itself had to say.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.path.join(".reserve")
    }

    /// Notes that a supervisor has the session: from here on there may be an agent.
    pub fn mark_supervised(&self) -> Result<(), FileError> {
        durable::mark(&self.supervised())
    }

    /// Whether a supervisor ever had it. Not to be believed after a loss of power.
    pub fn was_supervised(&self) -> bool {
        // What cannot be looked at may be there.
        self.supervised().try_exists().unwrap_or(true)
    }

    fn supervised(&self) -> PathBuf {
        self.path.join("supervised")
    }

    /// Whether someone has asked for the session to end, and how soon. A request that cannot be read is one; what is no
    /// file is none.
    pub fn stop_requested(&self) -> Option<Urgency> {
        if !fs::symlink_metadata(self.stop_request()).is_ok_and(|meta| meta.is_file()) {
            return None;
        }
        Some(self.stop_wish().map(|request| request.urgency).unwrap_or_default())
    }

    /// Why someone asked for the session to end, if they said so.
    pub fn stop_reason(&self) -> Option<String> {
        self.stop_wish().and_then(|request| request.reason)
    }

    fn stop_wish(&self) -> Option<StopRequest> {
        let path = self.stop_request();
        let read = durable::read(&path, MAX_SMALL_FILE).ok().flatten();
        read.and_then(|bytes| decode(Record::StopRequest, &path, &bytes).ok())
    }
}

/// Whether the supervisor on record is certainly gone: with an earlier boot of this machine, or from where its pid means
/// something here.
fn is_orphaned(process: &ProcessRecord) -> bool {
    let Ok(here) = Machine::this() else { return false };
    if process.boot_id != here.boot_id {
        return process.host == here.host;
    }
    let Some(supervisor) = &process.supervisor else { return false };
    process.pid_ns == here.pid_ns
        && !is_alive(Identity { pid: supervisor.pid.get(), start_ticks: supervisor.start_ticks })
}

/// Reads a manifest wherever it lies, trusting nothing in it.
pub fn load_manifest(path: &Path) -> Result<Loaded, StoreError> {
    let bytes = match durable::read(path, manifest::MAX_BYTES) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Loaded::Missing),
        Err(error @ FileError::TooLarge { .. }) => {
            return Ok(Loaded::Damaged { path: path.to_owned(), why: error.to_string() });
        }
        // Something else in its place is damage; what the system cannot read at this moment is not.
        Err(error) if error.is_of_another_kind() => {
            return Ok(Loaded::Damaged { path: path.to_owned(), why: "it is not a regular file".to_owned() });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(match manifest::parse(&bytes) {
        Ok(Parsed::Current(manifest)) => Loaded::Manifest(manifest),
        Ok(Parsed::Newer { schema_version, document }) => Loaded::Newer { schema_version, document },
        Err(error) => Loaded::Damaged { path: path.to_owned(), why: error.to_string() },
    })
}

fn read_lane(path: &Path) -> Result<Option<LaneRecord>, StoreError> {
    durable::read(path, MAX_SMALL_FILE)?.map(|bytes| parse_lane(path, &bytes)).transpose()
}

pub(super) fn parse_lane(path: &Path, bytes: &[u8]) -> Result<LaneRecord, StoreError> {
    // The usual record has nothing that is not known, and is read in half the time.
    if let Ok(record) = serde_json::from_slice::<PlainLaneRecord>(bytes)
        && record.schema_version == LANE_VERSION
    {
        return Ok(record.into());
    }
    decode_known(Record::Lane, path, bytes, LANE_VERSION)
}

fn ids_in(directory: &Path) -> Result<Vec<SessionId>, StoreError> {
    Ok(names_in(directory)?.iter().filter_map(|name| name.parse().ok()).collect())
}
