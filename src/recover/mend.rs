//! Making a damaged manifest good again, from the best other record there is. The damaged file is kept beside it.

use std::path::Path;

use jiff::Timestamp;

use super::error::RecoverError;
use crate::id::{Lane, SessionId};
use crate::process::identity::Machine;
use crate::session::lane::LaneRecord;
use crate::session::launch::{AccountSource, LaunchSpec};
use crate::session::manifest::{
    AgentRecord, LauncherKind, LauncherRecord, Limits, Manifest, OutputRecord, ProcessRecord, State,
    WorktreeRecord,
};
use crate::session::state::{Birth, begin};
use crate::session::store::{EntryMachine, Loaded, Store, StoreError, load_manifest};
use crate::session::view;
use crate::session::writer::replace_damaged;

/// Puts a good manifest in the place of a damaged one and says what it was made from.
pub(super) fn mend(
    store: &Store,
    here: &Machine,
    lane: &Lane,
    session: SessionId,
) -> Result<String, RecoverError> {
    let record = store.lane(lane)?.filter(|record| record.current_session == Some(session));
    let spec = LaunchSpec::read(&store.session_dir(session)).ok().flatten();
    let worktree =
        spec.as_ref().map(|spec| &spec.worktree).or(record.as_ref().map(|record| &record.worktree));
    let manifest = rebuilt(store, here, lane, session, record.as_ref(), spec.as_ref())?;
    if let Some(copy) = worktree.and_then(|tree| copy_in(Path::new(tree), lane, session)) {
        replace_damaged(store, &believed(copy, manifest))?;
        return Ok("the copy in its worktree".to_owned());
    }
    replace_damaged(store, &manifest)?;
    Ok("its launch record and git".to_owned())
}

/// The copy in the worktree is an agent's to forge: it counts only as the manifest of this very session and lane.
fn copy_in(worktree: &Path, lane: &Lane, session: SessionId) -> Option<Manifest> {
    match load_manifest(&view::path_in(worktree)) {
        Ok(Loaded::Manifest(manifest)) if manifest.session_id == session && manifest.lane == *lane => {
            Some(*manifest)
        }
        _ => None,
    }
}

/// What of a copy is believed: how the session went. Every path, branch and machine that something could be done to
/// comes from the store's other records.
fn believed(copy: Manifest, known: Manifest) -> Manifest {
    let worktree = WorktreeRecord {
        path: known.worktree.path,
        branch: known.worktree.branch,
        start_commit: known.worktree.start_commit.or(copy.worktree.start_commit),
        ..copy.worktree
    };
    let agent = AgentRecord { session_file: known.agent.session_file, ..copy.agent };
    let output = OutputRecord {
        truncated_bytes: copy.output.truncated_bytes,
        extra: copy.output.extra,
        ..known.output
    };
    let process = ProcessRecord {
        supervisor: copy.process.supervisor,
        agent: copy.process.agent,
        extra: copy.process.extra,
        ..known.process
    };
    Manifest { worktree, agent, output, process, launcher: known.launcher, limits: known.limits, ..copy }
}

fn rebuilt(
    store: &Store,
    here: &Machine,
    lane: &Lane,
    session: SessionId,
    record: Option<&LaneRecord>,
    spec: Option<&LaunchSpec>,
) -> Result<Manifest, StoreError> {
    let extra = serde_json::Map::new;
    let dir = store.session_dir(session);
    let branch = spec.map(|s| &s.branch).or(record.map(|r| &r.branch));
    // Where nothing says where it was begun, it was here: others say so.
    let machine = store.running_entry(session).ok().flatten().and_then(|entry| entry.machine);
    let machine = machine.unwrap_or_else(|| EntryMachine {
        host: here.host.clone(),
        boot_id: here.boot_id.clone(),
        pid_ns: here.pid_ns,
    });
    let birth = Birth {
        session_id: session,
        lane: lane.clone(),
        attempt: record.map_or(1, |record| record.attempts),
        worktree: WorktreeRecord {
            path: spec.map(|s| &s.worktree).or(record.map(|r| &r.worktree)).cloned().unwrap_or_default(),
            branch: branch.cloned().unwrap_or_else(|| lane.default_branch()),
            base_ref: record.map(|record| record.base_ref.clone()).unwrap_or_default(),
            base_commit: record
                .map(|r| &r.base_commit)
                .or(spec.map(|s| &s.base_commit))
                .cloned()
                .unwrap_or_default(),
            start_commit: spec.map(|spec| spec.start_commit.clone()),
            head_commit: None,
            extra: extra(),
        },
        agent: AgentRecord {
            program: spec.map(|spec| spec.program.clone()).unwrap_or_default(),
            argv: spec.map(|spec| spec.argv.clone()).unwrap_or_default(),
            version: None,
            session_file: match spec.map(|spec| &spec.account) {
                Some(AccountSource::Pi { session_file, .. }) => Some(session_file.clone()),
                Some(AccountSource::None) => None,
                None => existing(&dir.pi_session()),
            },
            extra: extra(),
        },
        launcher: LauncherRecord { kind: LauncherKind::Local, job: None, extra: extra() },
        process: ProcessRecord {
            host: machine.host,
            boot_id: machine.boot_id,
            pid_ns: machine.pid_ns,
            supervisor: None,
            agent: None,
            extra: extra(),
        },
        output: OutputRecord {
            stdout: existing(&dir.stdout()),
            stderr: existing(&dir.stderr()),
            truncated_bytes: 0,
            extra: extra(),
        },
        limits: spec.map_or_else(
            || Limits {
                timeout_s: None,
                idle_timeout_s: None,
                grace_s: std::time::Duration::from_secs(10).into(),
                extra: extra(),
            },
            |spec| spec.limits.clone(),
        ),
    };
    let begun = begin(birth, Timestamp::now());
    // Whether it was launched is no longer known, and unknown is treated as launched.
    Ok(Manifest { state: State::Launching, ..begun })
}

fn existing(path: &Path) -> Option<String> {
    path.exists().then(|| path.to_string_lossy().into_owned())
}
