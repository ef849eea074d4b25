//! Doing what was decided, one session at a time, under its lane's lock and its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::census::Census;
use super::decide::{Decision, Known, Leftovers, Supervised, WhyLeft, decide};
use super::error::RecoverError;
use super::mend::mend;
use crate::durable::{self, LockState};
use crate::failpoint;
use crate::git::{GitProgram, Hold, Holder, held_by_session, holds, unlock_for, unlock_if};
use crate::id::{Lane, SessionId};
use crate::launch::{Origin, Probe, local};
use crate::process::descendants::{Kin, Mark, living};
use crate::process::ending::{Pace, SweepError, sweep};
use crate::process::identity::Machine;
use crate::process::wait::Remaining;
use crate::session::launch::{LaunchSpec, SESSION_VARIABLE};
use crate::session::manifest::{Manifest, Outcome, State};
use crate::session::outcome::{End, Evidence, WorkFound};
use crate::session::state::Event;
use crate::session::store::{LaneClaim, Loaded, Store, StoreError};
use crate::session::writer::{
    SessionWriter, ViewPlace, discard_unfinished, is_shown_in, remove_running_entry,
};
use crate::supervisor::{Ended, Signalled, conclude};
use crate::words::count;

/// How long what was left running has to end by itself, at most: others wait for it.
const GRACE: Duration = Duration::from_secs(5);

/// So many sessions are settled at once at most, and with fewer than these no one is called in to help.
const MOST_HANDS: usize = 8;
const FEW: usize = 8;

/// Where it is done.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The repository's store.
    pub store: &'a Store,
    /// The machine.
    pub machine: &'a Machine,
    /// The git that knows the settings that count here.
    pub git: &'a GitProgram,
}

/// How far a recovery looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Sessions on record as living: cheap, and run before every command that changes something.
    Living,
    /// Every lane's current session too, in case that record itself was lost.
    Everything,
}

/// What became of a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// It lives.
    Alive,
    /// It ended, and is now on record as such.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: Option<String>,
        /// Whether its manifest had to be made good, and from what.
        mended: Option<String>,
    },
    /// It had never come into place, and nothing of it is left.
    Discarded,
    /// Its end was on record already.
    Retired,
    /// Someone else is at its lane, and may be settling it.
    Contended,
    /// It was left as it is: why.
    Left(String),
}

/// One session's recovery.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// The session.
    pub session: SessionId,
    /// Its lane, where known.
    pub lane: Option<Lane>,
    /// What became of it.
    pub settled: Settled,
}

/// What a recovery came to.
#[derive(Debug, Default)]
pub struct Recovery {
    /// Every session that was looked at.
    pub sessions: Vec<Recovered>,
    /// What could not be looked at: why.
    pub unseen: Vec<RecoverError>,
}

/// Settles every session in scope. What cannot be read or settled does not keep others from being settled.
pub fn recover(place: Place<'_>, scope: Scope) -> Result<Recovery, RecoverError> {
    let store = place.store;
    let running = store.running()?;
    let census = Census::take(store, &running);
    let mut recovery = Recovery { sessions: recover_all(place, &running, &census), unseen: Vec::new() };
    if scope == Scope::Everything {
        let done: Vec<SessionId> = recovery.sessions.iter().map(|r| r.session).collect();
        let (lanes, damaged) = store.lanes()?;
        recovery.unseen.extend(damaged.into_iter().map(RecoverError::from));
        for record in lanes {
            let Some(session) = record.current_session.filter(|id| !done.contains(id)) else { continue };
            let open = match store.load(session) {
                Ok(Loaded::Manifest(manifest)) => !manifest.is_ended(),
                Ok(Loaded::Newer { .. }) => false,
                // What cannot be read now is told by who tries to settle it.
                Ok(Loaded::Damaged { .. } | Loaded::Missing) | Err(_) => true,
            };
            if open {
                recovery.sessions.push(recover_one(place, session, Ok(Some(record.lane)), &census));
            }
        }
        let held = holds(store.common_dir())?;
        recovery.unseen.extend(held.iter().filter_map(|hold| let_go(store, hold).err()));
    }
    Ok(recovery)
}

/// Settles the sessions side by side: they have nothing in common but the repository.
fn recover_all(place: Place<'_>, sessions: &[SessionId], census: &Census) -> Vec<Recovered> {
    let store = place.store;
    let settle_one = |session: SessionId| {
        let lane = match store.running_entry(session) {
            Ok(Some(entry)) => Ok(Some(entry.lane)),
            Ok(None) => return None,
            Err(_) => lane_of(store, session),
        };
        Some(recover_one(place, session, lane, census))
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let hands = cores.min(MOST_HANDS).min(sessions.len() / FEW + 1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some(session) = sessions.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.extend(settle_one(*session));
        }
        done
    };
    let mut recovered = thread::scope(|scope| {
        let others: Vec<_> = (1..hands).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for other in others {
            done.extend(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        done
    });
    // Two of one lane may have been in each other's way.
    for one in recovered.iter_mut().filter(|one| hands > 1 && one.settled == Settled::Contended) {
        *one = settle_one(one.session).unwrap_or_else(|| one.clone());
    }
    recovered.sort_by_key(|one| one.session);
    recovered
}

/// Unlocks a worktree whose holder is gone: what was killed after a session's end was on record, or while a worktree
/// was created, leaves git's lock behind.
fn let_go(store: &Store, hold: &Hold) -> Result<(), RecoverError> {
    let lane = match hold.holder() {
        Holder::Session(session) => lane_of(store, session)?,
        Holder::Creation(lane) => Some(lane),
        Holder::Unknown => None,
    };
    let Some(lane) = lane else { return Ok(()) };
    // Whoever locks a worktree has the lane.
    let LaneClaim::Claimed(_claim) = store.claim_lane(&lane, Duration::ZERO)? else { return Ok(()) };
    if let Holder::Session(session) = hold.holder()
        && (store.running()?.contains(&session) || store.probe(session)? == LockState::Held)
    {
        return Ok(());
    }
    Ok(unlock_if(&hold.admin_dir, &hold.reason)?)
}

/// The lane of a session whose entry among the living cannot be read.
fn lane_of(store: &Store, session: SessionId) -> Result<Option<Lane>, StoreError> {
    if let Loaded::Manifest(manifest) = store.load(session)? {
        return Ok(Some(manifest.lane));
    }
    let (lanes, _) = store.lanes()?;
    Ok(lanes.into_iter().find(|record| record.current_session == Some(session)).map(|record| record.lane))
}

fn recover_one(
    place: Place<'_>,
    session: SessionId,
    lane: Result<Option<Lane>, StoreError>,
    census: &Census,
) -> Recovered {
    let settled = match &lane {
        Ok(Some(lane)) => {
            settle(place, session, lane, census).unwrap_or_else(|e| Settled::Left(e.to_string()))
        }
        Ok(None) => Settled::Left("its lane is not known: its records are damaged".to_owned()),
        Err(error) => Settled::Left(format!("its lane is not known: {error}")),
    };
    Recovered { session, lane: lane.ok().flatten(), settled }
}

fn settle(
    place: Place<'_>,
    session: SessionId,
    lane: &Lane,
    census: &Census,
) -> Result<Settled, RecoverError> {
    let Place { store, machine: here, .. } = place;
    // A quick look first: whoever lives is not worth a lock.
    let (probe, known) = observe(store, here, session)?;
    if let Decision::Leave(why) = decide(probe, &known) {
        return Ok(match store.no_lock(session) {
            Some(error) => Settled::Left(format!("whether it still runs cannot be told: {error}")),
            None => left(why),
        });
    }
    let claim = match store.claim_lane(lane, Duration::ZERO)? {
        LaneClaim::Claimed(claim) => claim,
        LaneClaim::Busy(_) => return Ok(Settled::Contended),
    };
    let (probe, known) = observe(store, here, session)?;
    failpoint::hit("recover.claimed");
    let but_for = |leftovers| match leftovers {
        Leftovers::End if census.is_quiet(session) => Leftovers::Gone,
        other => other,
    };
    match decide(probe, &known) {
        Decision::Leave(why) => Ok(left(why)),
        Decision::Retire => {
            remove_running_entry(store, session)?;
            Ok(Settled::Retired)
        }
        Decision::Discard => {
            discard_unfinished(store, &claim, session)?;
            Ok(Settled::Discarded)
        }
        Decision::Mend => {
            let source = mend(store, here, lane, session)?;
            let (probe, known) = observe(store, here, session)?;
            match decide(probe, &known) {
                Decision::Leave(why) => Ok(left(why)),
                Decision::Retire => {
                    remove_running_entry(store, session)?;
                    ended(store, session, Some(source))
                }
                Decision::NeverStarted => {
                    finish(place, session, never_started(), Leftovers::Ignore, Some(source))
                }
                Decision::Lost(leftovers) => {
                    let end = End::Unseen(format!("{}; its manifest was damaged", unseen(&known)));
                    finish(place, session, end, but_for(leftovers), Some(source))
                }
                Decision::Discard | Decision::Mend => {
                    Ok(Settled::Left("its manifest could not be made good".to_owned()))
                }
            }
        }
        Decision::NeverStarted => finish(place, session, never_started(), Leftovers::Ignore, None),
        Decision::Lost(leftovers) => {
            finish(place, session, End::Unseen(unseen(&known)), but_for(leftovers), None)
        }
    }
}

fn never_started() -> End {
    End::NeverStarted("its dispatcher was ended before the agent was started".to_owned())
}

fn left(why: WhyLeft) -> Settled {
    match why {
        WhyLeft::Alive => Settled::Alive,
        WhyLeft::Unknown => Settled::Left(
            "it ran on another machine, and whether it still does cannot be told from here".into(),
        ),
        WhyLeft::Newer => Settled::Left("its manifest was written by a newer ralph".into()),
    }
}

fn unseen(known: &Known) -> String {
    match known {
        Known::Manifest { origin: Origin::EarlierBoot, .. } => {
            "the machine was started again while it ran".to_owned()
        }
        _ => "its supervisor was killed".to_owned(),
    }
}

fn observe(store: &Store, here: &Machine, session: SessionId) -> Result<(Probe, Known), StoreError> {
    if !store.session_dir(session).path().exists() {
        return Ok((Probe::Gone, Known::NeverInPlace));
    }
    let (lock, loaded) = store.observe(session)?;
    let gone_or_alive = match lock {
        LockState::Held => Probe::Alive,
        LockState::Free => Probe::Gone,
    };
    Ok(match loaded {
        Loaded::Manifest(manifest) => {
            let origin = local::origin(&manifest.process, here);
            let supervised = match store.session_dir(session).was_supervised() {
                true => Supervised::Maybe,
                false => Supervised::Never,
            };
            (local::probe(lock, origin), Known::Manifest { state: manifest.state, origin, supervised })
        }
        Loaded::Newer { .. } => (gone_or_alive, Known::Newer),
        Loaded::Damaged { .. } | Loaded::Missing => (gone_or_alive, Known::Damaged),
    })
}

/// Records the end of a session that no one else can record any more.
fn finish(
    place: Place<'_>,
    session: SessionId,
    end: End,
    leftovers: Leftovers,
    mended: Option<String>,
) -> Result<Settled, RecoverError> {
    let store = place.store;
    let Some(mut writer) = SessionWriter::take_over(store, session)? else { return Ok(Settled::Alive) };
    if writer.manifest().is_ended() {
        // Its supervisor came to the end since it was looked at.
        remove_running_entry(store, session)?;
        return Ok(Settled::Retired);
    }
    let mut notes = Vec::new();
    let mut signalled = match leftovers {
        Leftovers::End | Leftovers::Gone => signalled_before(&writer),
        Leftovers::Ignore => Signalled::No,
    };
    if leftovers == Leftovers::End {
        let grace = writer.manifest().limits.grace_s.duration().min(GRACE);
        // Before anyone is signalled: should this recovery be killed, the next must know whose locks are stale.
        if signalled == Signalled::No
            && living(&kin(writer.manifest())).is_ok_and(|living| !living.is_empty())
        {
            // Best effort: on a full disk what is left running is ended all the same.
            drop(durable::mark(&writer.dir().sweep_mark()));
        }
        // What it left running are no children of ours.
        match sweep(&kin(writer.manifest()), grace, || Ok((Pace::InTime, Remaining::None))) {
            Ok(swept) if swept.asked + swept.killed == 0 => {}
            Ok(swept) => {
                signalled = Signalled::Yes;
                let processes = count(swept.asked.max(swept.killed), "process");
                notes.push(format!("what it left running was ended ({processes})"));
            }
            Err(error @ (SweepError::Look(_) | SweepError::Signal { .. } | SweepError::Unkillable(_))) => {
                signalled = Signalled::InVain;
                notes.push(error.to_string());
            }
        }
    }
    failpoint::hit("recover.swept");
    match LaunchSpec::read(writer.dir()) {
        Ok(Some(spec)) => {
            writer.show_in(ViewPlace::of(&spec));
            conclude(&mut writer, &spec, Ended { end, signalled, truncated_bytes: 0, notes }, place.git)?;
        }
        Ok(None) | Err(_) => conclude_without_spec(store, &mut writer, end, notes)?,
    }
    drop(writer);
    ended(store, session, mended)
}

/// Whether its supervisor, or an earlier recovery, is on record to have told what it ran to end.
fn signalled_before(writer: &SessionWriter) -> Signalled {
    if writer.manifest().state == State::Stopping || writer.dir().sweep_mark().exists() {
        Signalled::Yes
    } else {
        Signalled::No
    }
}

/// A session that was ended before what to launch was on record: there is nothing to look at.
fn conclude_without_spec(
    store: &Store,
    writer: &mut SessionWriter,
    end: End,
    notes: Vec<String>,
) -> Result<(), StoreError> {
    let (id, lane) = (writer.manifest().session_id, writer.manifest().lane.clone());
    let record = store.lane(&lane)?;
    let tree = record.as_ref().map(|record| std::path::PathBuf::from(&record.worktree));
    // Only where its view already is: nothing is put into a worktree that may not be ready for it, or is another session's.
    if let Some(tree) = tree.filter(|tree| is_shown_in(tree, id)) {
        writer.show_in(ViewPlace::Worktree(tree));
    }
    let evidence = Evidence { end, account: None, work: WorkFound::NotLooked, usage: None, notes };
    let event = Event::Ended { evidence: Box::new(evidence), head_commit: None, truncated_bytes: 0 };
    let _view = writer.step(event, Timestamp::now())?;
    // Best effort: a lock that stays names a session that has ended, and is looked for when everything is.
    drop(unlock_for(store.common_dir(), &held_by_session(id)));
    Ok(())
}

fn kin(manifest: &Manifest) -> Kin {
    let mark = Mark::new(SESSION_VARIABLE, &manifest.session_id.to_string());
    let process = &manifest.process;
    let since = process.supervisor.as_ref().map(|s| s.start_ticks);
    Kin::Marked { mark, since_ticks: since.unwrap_or(0) }
}

fn ended(store: &Store, session: SessionId, mended: Option<String>) -> Result<Settled, RecoverError> {
    Ok(match store.load(session)? {
        Loaded::Manifest(manifest) => Settled::Ended {
            outcome: manifest.outcome.unwrap_or(Outcome::Lost),
            reason: manifest.reason,
            mended,
        },
        _ => Settled::Left("its manifest cannot be read".to_owned()),
    })
}
