//! Carrying a dispatch out: the lane is claimed, its session begun, its worktree made ready, its agent found, and the
//! whole handed to a supervisor. From the moment that the session's record exists, every failure is recorded in it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::Timestamp;

use super::error::DispatchError;
use super::plan::{LanePlan, choose_lane, plan};
use super::preflight::{AgentReady, NotReady, Subject, preflight};
use super::prepare::{Ready, lane_record, make_ready, pin_earlier_work};
use super::ticket_file::bring_ticket;
use super::{Context, LANE_PATIENCE, Place, Request};
use crate::durable::{self, LockState};
use crate::failpoint;
use crate::git::{
    Checkout, Guard, LOCAL_ENV_VARS, Located, Watched, branches, held_by_session, is_untouched, unlock_for,
    watched,
};
use crate::id::SessionId;
use crate::launch::Probe;
use crate::launch::local::{self, Launched, Supervisor, SupervisorEnvironment, origin, probe};
use crate::session::landing::landing;
use crate::session::lane::LaneRecord;
use crate::session::launch::{LAUNCH_VERSION, LaunchSpec, OutputMode, ViewMode, secret_variable};
use crate::session::leak::Around;
use crate::session::manifest::{
    AgentRecord, LauncherKind, LauncherRecord, Manifest, OutputRecord, ProcessRecord, WorktreeRecord,
};
use crate::session::outcome::{End, Evidence, WorkFound};
use crate::session::state::{Birth, Event, begin};
use crate::session::store::{LaneClaim, LaneLock, Loaded};
use crate::session::unmerged::{Guarded, guarded};
use crate::session::view;
use crate::session::writer::{SessionWriter, ViewPlace};

/// A session that runs.
#[derive(Debug)]
pub struct Dispatched {
    /// Its manifest, as it was when the agent was there.
    pub manifest: Manifest,
    /// What there is to say about the lane.
    pub notes: Vec<String>,
    /// Its supervisor, for who stays long enough to see its end.
    pub supervisor: Supervisor,
}

/// Dispatches. The result is a running session, or an error that left nothing half-done behind.
pub fn dispatch(context: &Context, request: &Request) -> Result<Dispatched, DispatchError> {
    let (claim, plan) = claim_planned(context, &request.place)?;
    let id = request.session;
    let guarded = plan.record.as_ref().map_or(Ok(Guarded::No), |record| guarded(&context.store, record))?;
    let manifest = begin(birth(context, request, &plan, id)?, Timestamp::now());
    failpoint::hit("dispatch.planned");
    let writer = SessionWriter::begin(&context.store, &claim, manifest)?;
    failpoint::hit("dispatch.begun");
    let notes = plan.notes();
    let mut session = Session { context, request, plan: &plan, claim: &claim, writer, guarded, notes };
    match session.bring_up() {
        Ok(environment) => session.hand_over(&environment),
        Err(error) => Err(session.record_failure(error)),
    }
}

struct Session<'a> {
    context: &'a Context,
    request: &'a Request,
    plan: &'a LanePlan,
    claim: &'a LaneLock,
    writer: SessionWriter,
    /// Under whose guard the work is that was there before.
    guarded: Guarded,
    notes: Vec<String>,
}

impl Session<'_> {
    /// Everything before the supervisor.
    fn bring_up(&mut self) -> Result<SupervisorEnvironment, DispatchError> {
        let (context, plan) = (self.context, self.plan);
        let id = self.writer.manifest().session_id;
        let ready = make_ready(context, plan, &self.request.place, self.claim, &held_by_session(id))?;
        self.notes.extend(ready.notes.iter().cloned());
        self.record_lane(&ready)?;
        failpoint::hit("dispatch.worktree");
        let view = self.place_view(&ready);
        let mut not_work = Vec::new();
        if let Some(file) = &self.request.place.ticket_file {
            not_work.extend(bring_ticket(context, file, &ready.worktree.path, &ready.start)?);
        }
        let subject = Subject {
            ticket: plan.lane.ticket(),
            session: id,
            branch: &plan.site.branch,
            worktree: &ready.worktree.path,
            start: &ready.start,
            base_commit: &ready.base_commit,
        };
        let agent = preflight(context, &self.request.agent, subject)?;
        self.notes.extend(agent.notes.iter().cloned());
        if let Some(earlier) = &agent.earlier {
            earlier.copy_to(&self.writer.dir().pi_session())?;
        }
        let spec = self.spec(&ready, &agent, view, &not_work)?;
        failpoint::hit("dispatch.looked");
        spec.write(self.writer.dir())?;
        pin_earlier_work(context, &ready, id)?;
        failpoint::hit("dispatch.spec");
        let worktree = WorktreeRecord {
            path: spec.worktree.clone(),
            base_commit: ready.base_commit.clone(),
            start_commit: Some(ready.start.to_string()),
            ..self.writer.manifest().worktree.clone()
        };
        let view = self.writer.step(Event::Launch { worktree, agent: agent.record() }, Timestamp::now())?;
        if let Err(error) = view.0 {
            self.notes.push(format!("the manifest cannot be shown in the worktree: {error}"));
        }
        failpoint::hit("dispatch.launching");
        Ok(supervisor_environment(&agent, &spec))
    }

    /// Gives the session to a supervisor and waits until its agent runs.
    fn hand_over(self, environment: &SupervisorEnvironment) -> Result<Dispatched, DispatchError> {
        let id = self.writer.manifest().session_id;
        let launching = match local::launch(&self.writer, environment) {
            Ok(launching) => launching,
            Err(error) => return Err(self.record_failure(error.into())),
        };
        let Self { context, writer, notes, .. } = self;
        // Closed, not unlocked: the supervisor has the lock.
        drop(writer);
        let launched = launching.wait()?;
        failpoint::hit("dispatch.launched");
        let manifest = match context.store.load(id)? {
            Loaded::Manifest(manifest) => *manifest,
            Loaded::Newer { .. } | Loaded::Damaged { .. } | Loaded::Missing => {
                return Err(
                    crate::launch::LaunchError::Vanished { session: id, detail: String::new() }.into()
                );
            }
        };
        match launched {
            Launched::Running(supervisor) => Ok(Dispatched { manifest, notes, supervisor }),
            Launched::NotStarted => {
                let disk = manifest.reason.as_deref().and_then(durable::remedy_of).map(str::to_owned);
                let by_hand = || format!("see whether it runs by hand: {}", manifest.agent.program);
                let hint = disk.unwrap_or_else(by_hand);
                Err(DispatchError::NotLaunched { manifest: Box::new(manifest), hint: Some(hint) })
            }
        }
    }

    fn record_lane(&self, ready: &Ready) -> Result<(), DispatchError> {
        let manifest = self.writer.manifest();
        let record = LaneRecord {
            current_session: Some(manifest.session_id),
            guarded_by: self.guarded.session(),
            attempts: manifest.attempt,
            ..lane_record(self.plan, ready, manifest.created_at)
        };
        Ok(self.context.store.write_lane(self.claim, &record)?)
    }

    /// The view is shown in the worktree unless the repository has something of its own in its place.
    fn place_view(&mut self, ready: &Ready) -> ViewMode {
        let tree = &ready.worktree.path;
        match self.context.repo.tracks(&ready.start, view::FOLDER) {
            Ok(false) => {
                self.writer.show_in(ViewPlace::Worktree(tree.clone()));
                ViewMode::Shown
            }
            Ok(true) => {
                let folder = view::FOLDER;
                self.notes.push(format!("the repository tracks {folder}: the manifest is not shown there"));
                ViewMode::Hidden
            }
            Err(error) => {
                self.notes.push(format!("the manifest is not shown in the worktree: {error}"));
                ViewMode::Hidden
            }
        }
    }

    fn spec(
        &mut self,
        ready: &Ready,
        agent: &AgentReady,
        view: ViewMode,
        not_work: &[PathBuf],
    ) -> Result<LaunchSpec, DispatchError> {
        let Watched { guard: now, others } = watched(&self.context.repo)?;
        let kept = self.kept_guard();
        let newer = kept.as_ref().filter(|kept| **kept != now).map(|_| now.clone());
        let around = self.around(newer, others);
        let manifest = self.writer.manifest();
        Ok(LaunchSpec {
            schema_version: LAUNCH_VERSION,
            session_id: manifest.session_id,
            ticket_id: manifest.ticket_id.clone(),
            worktree: text(&ready.worktree.path)?,
            admin_dir: text(&ready.worktree.admin_dir)?,
            branch: self.plan.site.branch.clone(),
            base_commit: ready.base_commit.clone(),
            start_commit: ready.start.to_string(),
            program: text(&agent.program)?,
            argv: agent.record().argv,
            secret_args: agent.secret_positions(),
            removed_environment: LOCAL_ENV_VARS.iter().map(|name| (*name).to_owned()).collect(),
            account: agent.account.clone(),
            output: self.request.output,
            output_cap: self.request.output_cap,
            limits: self.request.limits.clone(),
            view,
            not_work: not_work.iter().map(text).collect::<Result<_, _>>()?,
            guard: Some(kept.unwrap_or(now)),
            around,
        })
    }

    /// What a merge compares git's settings and hooks with. Work that is not merged yet keeps what was hashed when it
    /// was begun: a later session does not make an earlier one's changes good.
    fn kept_guard(&self) -> Option<Guard> {
        match &self.guarded {
            Guarded::By(_, spec) => spec.guard.clone(),
            // A guard that is lost refuses the merge, whatever it was.
            Guarded::No | Guarded::Lost(..) => None,
        }
    }

    /// The repository as it is now, for what changes in it to be noticed; `newer` is the guard where another one is kept,
    /// `settings` are those that are not guarded.
    fn around(&mut self, newer: Option<Guard>, settings: Guard) -> Option<Around> {
        let repo = &self.context.repo;
        let store = &self.context.store;
        let seen = || -> Result<_, DispatchError> {
            let (main, branches) = (Checkout::main(repo)?, branches(repo)?);
            // In this order: a branch that was seen moved is among these until its worktrees hold what it brought.
            Ok((main, branches, landing(store)?))
        };
        match seen() {
            Ok((main, branches, landing)) => {
                let running = store.running().map_or(0, |running| running.len());
                let head = main.map(|main| main.head_in_words());
                Some(Around { guard: newer, settings: Some(settings), running, head, branches, landing })
            }
            Err(error) => {
                self.notes.push(format!("changes outside the worktree will not be noticed: {error}"));
                None
            }
        }
    }

    /// Ends the session as one that was never launched, and lets its worktree go.
    fn record_failure(mut self, error: DispatchError) -> DispatchError {
        let evidence = Evidence {
            end: End::NeverStarted(error.to_string()),
            account: None,
            work: WorkFound::NotLooked,
            usage: None,
            notes: Vec::new(),
        };
        let event = Event::Ended { evidence: Box::new(evidence), head_commit: None, truncated_bytes: 0 };
        let id = self.writer.manifest().session_id;
        let recorded = self.writer.step(event, Timestamp::now());
        // Best effort: a lock that stays names a session that has ended, and `recover` takes it away.
        drop(unlock_for(self.context.repo.common_dir(), &held_by_session(id)));
        match (error, recorded) {
            (DispatchError::NotReady(not_ready), Ok(_view)) => DispatchError::NotLaunched {
                manifest: Box::new(self.writer.manifest().clone()),
                hint: not_ready.hint,
            },
            (DispatchError::NotReady(_), Err(error)) => error.into(),
            (error, _) => error,
        }
    }
}

/// Plans, and takes the lane. What cannot be done is refused before anything is on disk. Once the lane is ours the plan
/// is made again, unless there is still nothing of it: a session that has ended since has moved its branch on, and who
/// was killed since has left a worktree.
pub(super) fn claim_planned(context: &Context, place: &Place) -> Result<(LaneLock, LanePlan), DispatchError> {
    let first = match plan(context, place) {
        Ok(first) => Some(first),
        Err(_) if context.store.has_folder(&choose_lane(context, place)?.0) => None,
        Err(error) => return Err(error),
    };
    failpoint::hit("dispatch.claiming");
    let claim = claim(context, place)?;
    match first {
        Some(first)
            if matches!(first.located, Located::New)
                && context.store.lane(&first.lane)?.is_none()
                && is_untouched(&context.repo, &first.site)? =>
        {
            Ok((claim, first))
        }
        _ => Ok((claim, plan(context, place)?)),
    }
}

/// Takes the lane for a new session or a change of its worktree. One whose session lives is busy.
fn claim(context: &Context, place: &Place) -> Result<LaneLock, DispatchError> {
    let (lane, _) = choose_lane(context, place)?;
    let name = lane.to_string();
    match context.store.claim_lane(&lane, LANE_PATIENCE)? {
        LaneClaim::Busy(Some(session)) => Err(DispatchError::Busy { lane: name, session }),
        LaneClaim::Busy(None) => Err(DispatchError::Contended { lane: name }),
        LaneClaim::Claimed(claim) => {
            let current = context.store.lane(&lane)?.and_then(|record| record.current_session);
            let Some(session) = current else { return Ok(claim) };
            let (lock, loaded) = context.store.observe(session)?;
            if let Loaded::Manifest(manifest) = &loaded
                && !manifest.is_ended()
                && probe(lock, origin(&manifest.process, &context.machine)) == Probe::Unknown
            {
                let host = manifest.process.host.clone();
                return Err(DispatchError::Elsewhere { lane: name, session, host });
            }
            match (matches!(loaded, Loaded::Manifest(m) if m.is_ended()), lock) {
                // One that has recorded its end lets go in a moment.
                (true, LockState::Held) => {
                    context.store.wait_until_free(session)?;
                    Ok(claim)
                }
                (true, LockState::Free) => Ok(claim),
                (false, LockState::Held) => Err(DispatchError::Busy { lane: name, session }),
                (false, LockState::Free) => Err(DispatchError::Unsettled { lane: name, session }),
            }
        }
    }
}

fn birth(
    context: &Context,
    request: &Request,
    plan: &LanePlan,
    session_id: SessionId,
) -> Result<Birth, DispatchError> {
    let extra = serde_json::Map::new;
    let dir = context.store.session_dir(session_id);
    let (stdout, stderr) = match request.output {
        OutputMode::File => (Some(text(dir.stdout())?), Some(text(dir.stderr())?)),
        OutputMode::Discard => (None, None),
    };
    let base_ref = plan.record.as_ref().map_or(&plan.base.name, |record| &record.base_ref).clone();
    Ok(Birth {
        session_id,
        lane: plan.lane.clone(),
        attempt: plan.next_attempt(),
        worktree: WorktreeRecord {
            path: text(plan.path())?,
            branch: plan.site.branch.clone(),
            base_ref,
            base_commit: plan.base_commit(),
            start_commit: None,
            head_commit: None,
            extra: extra(),
        },
        agent: AgentRecord {
            program: request.agent.agent.program().to_owned(),
            argv: Vec::new(),
            version: None,
            session_file: None,
            extra: extra(),
        },
        launcher: LauncherRecord { kind: LauncherKind::Local, job: None, extra: extra() },
        process: ProcessRecord {
            host: context.machine.host.clone(),
            boot_id: context.machine.boot_id.clone(),
            pid_ns: context.machine.pid_ns,
            supervisor: None,
            agent: None,
            extra: extra(),
        },
        output: OutputRecord { stdout, stderr, truncated_bytes: 0, extra: extra() },
        limits: request.limits.clone(),
    })
}

fn supervisor_environment(agent: &AgentReady, spec: &LaunchSpec) -> SupervisorEnvironment {
    let secrets = spec.secret_args.iter().filter_map(|position| {
        let value = agent.argv.get(*position)?;
        Some((secret_variable(*position), value.into()))
    });
    SupervisorEnvironment {
        added: secrets.collect::<BTreeMap<_, _>>(),
        removed: LOCAL_ENV_VARS.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn text(path: impl AsRef<std::path::Path>) -> Result<String, DispatchError> {
    let path = path.as_ref();
    path.to_str().map(str::to_owned).ok_or_else(|| DispatchError::NotUtf8(path.to_owned()))
}

/// What a session would be, without beginning it.
#[derive(Debug)]
pub struct DryRun {
    /// The lane and where it stands.
    pub plan: LanePlan,
    /// The session it would be.
    pub birth: Birth,
    /// What would be run, or why nothing could be.
    pub agent: Result<AgentReady, NotReady>,
}

/// Plans a dispatch and stops. Changes nothing.
pub fn dry_run(context: &Context, request: &Request) -> Result<DryRun, DispatchError> {
    let plan = plan(context, &request.place)?;
    let id = request.session;
    let birth = birth(context, request, &plan, id)?;
    let base_commit = plan.base_commit();
    let start = match &plan.located {
        Located::BranchOnly { tip } => tip.clone(),
        Located::Present(worktree) => worktree.tip.clone().unwrap_or_else(|| plan.base.commit.clone()),
        Located::Missing(missing) => missing.tip.clone().unwrap_or_else(|| plan.base.commit.clone()),
        Located::New => plan.base.commit.clone(),
    };
    let subject = Subject {
        ticket: plan.lane.ticket(),
        session: id,
        branch: &plan.site.branch,
        worktree: plan.path(),
        start: &start,
        base_commit: &base_commit,
    };
    let agent = preflight(context, &request.agent, subject);
    Ok(DryRun { plan, birth, agent })
}
