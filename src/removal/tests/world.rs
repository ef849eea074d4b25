//! A repository with a lane in it, and everything that can be seen of that lane.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::git::tests::fixture::Fixture;
use crate::git::{Repo, Site};
use crate::id::{Lane, SessionId};
use crate::removal::{IfUnsaved, Place, RemovalError, Removed, Restored, remove, restore};
use crate::session::lane::{LANE_VERSION, LaneRecord};
use crate::session::manifest::{
    AgentRecord, LauncherKind, LauncherRecord, Limits, Manifest, OutputRecord, ProcessRecord, WorktreeRecord,
};
use crate::session::outcome::{End, Evidence, WorkFound};
use crate::session::state::{Birth, Event, begin};
use crate::session::store::{LaneClaim, LaneLock, Store};
use crate::session::writer::SessionWriter;

/// The lane's worktree, below the fixture's folder.
pub(super) const TREE: &str = "repo.ralph/t-1";

/// No two lanes are made at the same moment.
static MADE: AtomicI64 = AtomicI64::new(0);

pub(super) struct World {
    pub(super) fixture: Fixture,
    pub(super) repo: Repo,
    pub(super) store: Store,
    root: PathBuf,
}

impl World {
    /// A repository with the lane `t-1`, as a dispatch leaves it.
    pub(super) fn new() -> Self {
        let world = Self::over(Fixture::new());
        world.make_lane("t-1");
        world
    }

    /// The same, where another process made it.
    pub(super) fn at(root: PathBuf) -> Self {
        Self::over(Fixture::at(root))
    }

    pub(super) fn over(fixture: Fixture) -> Self {
        let repo = fixture.repo();
        let store = Store::at(repo.common_dir());
        let root = fixture.path("repo.ralph");
        Self { fixture, repo, store, root }
    }

    pub(super) fn make_lane(&self, name: &str) -> LaneRecord {
        self.make_lane_at(name, &self.fixture.site(name).path)
    }

    pub(super) fn make_lane_at(&self, name: &str, path: &Path) -> LaneRecord {
        let site = Site { path: path.to_owned(), ..self.fixture.site(name) };
        let created = self.fixture.dispatch(&self.repo, &site);
        let record = LaneRecord {
            schema_version: LANE_VERSION,
            lane: lane(name),
            base_ref: "main".into(),
            base_commit: created.start.to_string(),
            branch: format!("ralph/{name}").parse().unwrap(),
            worktree_id: created.worktree.id,
            worktree: created.worktree.path.to_str().unwrap().into(),
            current_session: None,
            guarded_by: None,
            attempts: 1,
            created_at: at(MADE.fetch_add(1, Ordering::Relaxed)),
            extra: [("kept".to_owned(), serde_json::json!({ "by": "a newer ralph" }))].into_iter().collect(),
        };
        self.store.write_lane(&self.claim(name), &record).unwrap();
        record
    }

    pub(super) fn claim(&self, name: &str) -> LaneLock {
        match self.store.claim_lane(&lane(name), Duration::from_secs(60)).unwrap() {
            LaneClaim::Claimed(claim) => claim,
            LaneClaim::Busy(by) => panic!("busy: {by:?}"),
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place { repo: &self.repo, store: &self.store, root: &self.root, now: at(1000) }
    }

    pub(super) fn remove(&self, unsaved: IfUnsaved) -> Result<Removed, RemovalError> {
        remove(&self.place(), &lane("t-1"), unsaved)
    }

    pub(super) fn restore(&self) -> Result<Restored, RemovalError> {
        restore(&self.place(), &lane("t-1"))
    }

    /// Removes whatever there is, and asserts that it is gone from where it was.
    pub(super) fn throw_away(&self) -> Removed {
        let removed = self.remove(IfUnsaved::ToTrash).unwrap();
        assert!(!self.tree().exists());
        assert_eq!(self.store.lane(&lane("t-1")).unwrap(), None);
        assert!(!self.git("repo", &["worktree", "list"]).contains("t-1"));
        removed
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.fixture.path(TREE)
    }

    pub(super) fn admin(&self) -> PathBuf {
        self.repo.common_dir().join("worktrees/t-1")
    }

    pub(super) fn git(&self, folder: &str, args: &[&str]) -> String {
        self.fixture.git(folder, args)
    }

    /// Runs git where it is expected to stop half-way.
    pub(super) fn git_stops(&self, folder: &str, args: &[&str]) {
        let status = self.fixture.command(folder, args).output().unwrap().status;
        assert!(!status.success(), "git {args:?} did not stop");
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        self.fixture.write(&format!("{TREE}/{name}"), content);
    }

    /// A session of the lane that has ended; the lane's current one from now on.
    pub(super) fn ended_session(&self, name: &str, ended_at: Timestamp) -> SessionId {
        let mut writer = self.begun_session(name);
        let evidence = Evidence {
            end: End::NeverStarted("a test".into()),
            account: None,
            work: WorkFound::NotLooked,
            usage: None,
            notes: Vec::new(),
        };
        let event = Event::Ended { evidence: Box::new(evidence), head_commit: None, truncated_bytes: 0 };
        writer.step(event, ended_at).unwrap().0.unwrap();
        writer.manifest().session_id
    }

    /// A session of the lane that lives for as long as its writer; the lane's current one from now on.
    pub(super) fn begun_session(&self, name: &str) -> SessionWriter {
        let claim = self.claim(name);
        let record = self.store.lane(&lane(name)).unwrap().unwrap();
        let manifest = manifest(&record, SessionId::generate());
        let writer = SessionWriter::begin(&self.store, &claim, manifest).unwrap();
        let current_session = Some(writer.manifest().session_id);
        self.store.write_lane(&claim, &LaneRecord { current_session, ..record }).unwrap();
        writer
    }

    /// Everything there is of the lane: files, registration, branch, record, and what git says of it. Changes nothing.
    pub(super) fn snapshot(&self) -> BTreeMap<String, String> {
        let mut all = everything(&self.tree(), "tree");
        all.extend(everything(&self.admin(), "admin"));
        for args in [
            &["status", "--porcelain=v2", "--branch", "--ignored", "--untracked-files=all"][..],
            &["-c", "diff.autoRefreshIndex=false", "diff"],
            &["diff", "--cached"],
            &["log", "--format=%H %s"],
        ] {
            let mut command = self.fixture.command(TREE, args);
            let out = command.env("GIT_OPTIONAL_LOCKS", "0").output().unwrap();
            all.insert(format!("git {args:?}"), String::from_utf8_lossy(&out.stdout).into_owned());
        }
        let refs = ["for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/ralph"];
        all.insert("refs".into(), self.git("repo", &refs));
        all.insert("lane".into(), format!("{:?}", self.store.lane(&lane("t-1")).unwrap()));
        all
    }
}

/// Asserts that two snapshots are the same, and says where they are not.
pub(super) fn assert_same(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let other: Vec<String> = keys
        .into_iter()
        .filter(|key| before.get(*key) != after.get(*key))
        .map(|key| format!("{key}:\n  {:?}\n  {:?}", before.get(key), after.get(key)))
        .collect();
    assert!(other.is_empty(), "it came back otherwise:\n{}", other.join("\n"));
}

/// Every file below a folder with all that there is to a file, `.git` included.
fn everything(top: &Path, name: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for item in walkdir::WalkDir::new(top) {
        let item = item.unwrap();
        let path = item.path().strip_prefix(top).unwrap();
        let meta = item.path().symlink_metadata().unwrap();
        let content = if meta.is_symlink() {
            format!("{:?}", fs::read_link(item.path()).unwrap())
        } else if meta.is_file() {
            format!("{:?}", String::from_utf8_lossy(&fs::read(item.path()).unwrap()))
        } else {
            String::new()
        };
        // A folder's time tells when an entry came or went: for the top ones, that is now. The time of a shared index
        // tells when git last looked at it.
        let shared_index = item.file_name().to_string_lossy().starts_with("sharedindex.");
        let timeless = item.depth() == 0 || shared_index;
        let time = if timeless { 0 } else { meta.mtime_nsec() };
        let key = format!("{name}/{}", path.display());
        found.insert(key, format!("{:o} {} {time} {content}", meta.mode(), meta.ino()));
    }
    found
}

pub(super) fn lane(name: &str) -> Lane {
    name.parse().unwrap()
}

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::new(1_700_000_000 + second, 0).unwrap()
}

fn manifest(record: &LaneRecord, session_id: SessionId) -> Manifest {
    let extra = serde_json::Map::new;
    let birth = Birth {
        session_id,
        lane: record.lane.clone(),
        attempt: 1,
        worktree: WorktreeRecord {
            path: record.worktree.clone(),
            branch: record.branch.clone(),
            base_ref: record.base_ref.clone(),
            base_commit: record.base_commit.clone(),
            start_commit: None,
            head_commit: None,
            extra: extra(),
        },
        agent: AgentRecord {
            program: "agent".into(),
            argv: Vec::new(),
            version: None,
            session_file: None,
            extra: extra(),
        },
        launcher: LauncherRecord { kind: LauncherKind::Local, job: None, extra: extra() },
        process: ProcessRecord {
            host: "here".into(),
            boot_id: "now".into(),
            pid_ns: 1,
            supervisor: None,
            agent: None,
            extra: extra(),
        },
        output: OutputRecord { stdout: None, stderr: None, truncated_bytes: 0, extra: extra() },
        limits: Limits {
            timeout_s: None,
            idle_timeout_s: None,
            grace_s: Duration::from_secs(10).into(),
            extra: extra(),
        },
    };
    begin(birth, at(0))
}
