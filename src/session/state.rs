//! The states a session passes through. Pure: what a state adds to the record enters only with its event.
//!
//! `preparing → [queued →] launching → running → [stopping →] ended`, and `ended` from anywhere before. A record that
//! has ended never changes again, but for a note of what changed elsewhere.

use jiff::Timestamp;

use super::leak::Leak;
use super::manifest::{
    AgentProcess, AgentRecord, LauncherRecord, Limits, Manifest, Outcome, OutputRecord, ProcessRecord,
    SCHEMA_VERSION, State, SupervisorProcess, WorktreeRecord,
};
use super::outcome::{Evidence, judge};
use crate::id::{Lane, SessionId};

/// What is known of a session before anything of it exists.
#[derive(Debug, Clone)]
pub struct Birth {
    /// Its id.
    pub session_id: SessionId,
    /// Its lane.
    pub lane: Lane,
    /// Which session of the lane it is, counted from 1.
    pub attempt: u32,
    /// Where it will work.
    pub worktree: WorktreeRecord,
    /// What it will run.
    pub agent: AgentRecord,
    /// What will start it.
    pub launcher: LauncherRecord,
    /// The machine it was made on; no process of it exists yet.
    pub process: ProcessRecord,
    /// Where its output will go.
    pub output: OutputRecord,
    /// The limits it will run under.
    pub limits: Limits,
}

/// Something that happens to a session, with all that is known from then on.
#[derive(Debug, Clone)]
pub enum Event {
    /// The worktree is there and the agent was found; the supervisor is about to be asked for.
    Launch {
        /// Where it works, with the commit it starts from.
        worktree: WorktreeRecord,
        /// What is run, exactly.
        agent: AgentRecord,
    },
    /// The agent's process exists.
    Started {
        /// The machine and the supervisor.
        process: ProcessRecord,
        /// The agent.
        agent: AgentProcess,
    },
    /// The agent is about to be ended.
    Ending,
    /// The session is over.
    Ended {
        /// What was found.
        evidence: Box<Evidence>,
        /// The worktree's commit, where it could be read.
        head_commit: Option<String>,
        /// Bytes of output that the cap gave back.
        truncated_bytes: u64,
    },
    /// After the end: what changed outside the worktree meanwhile was noticed.
    Noticed {
        /// What.
        leaks: Vec<Leak>,
    },
}

/// A step that a session in this state cannot take.
#[derive(Debug, thiserror::Error)]
#[error("session {session} is {from:?} and cannot {step}")]
pub struct IllegalStep {
    session: SessionId,
    from: State,
    step: &'static str,
}

/// The record of a session that was just decided on.
pub fn begin(birth: Birth, now: Timestamp) -> Manifest {
    Manifest {
        schema_version: SCHEMA_VERSION,
        session_id: birth.session_id,
        ticket_id: birth.lane.ticket().clone(),
        lane: birth.lane,
        attempt: birth.attempt,
        state: State::Preparing,
        outcome: None,
        reason: None,
        worktree: birth.worktree,
        agent: birth.agent,
        launcher: birth.launcher,
        process: birth.process,
        output: birth.output,
        limits: birth.limits,
        exit: None,
        work: None,
        usage: None,
        leaks: Vec::new(),
        created_at: now,
        launched_at: None,
        started_at: None,
        ended_at: None,
        extra: serde_json::Map::new(),
    }
}

/// The record after `event`.
pub fn step(manifest: &Manifest, event: Event, now: Timestamp) -> Result<Manifest, IllegalStep> {
    let from = &manifest.state;
    let refuse = |step| Err(IllegalStep { session: manifest.session_id, from: from.clone(), step });
    let mut next = manifest.clone();
    match event {
        Event::Launch { worktree, agent } => {
            if *from != State::Preparing {
                return refuse("be launched");
            }
            next.state = State::Launching;
            next.worktree = worktree;
            next.agent = agent;
            next.launched_at = Some(now);
        }
        Event::Started { process, agent } => {
            if !matches!(from, State::Launching | State::Queued) {
                return refuse("start");
            }
            next.state = State::Running;
            next.process = ProcessRecord { agent: Some(agent), ..process };
            next.started_at = Some(now);
        }
        Event::Ending => {
            if *from != State::Running {
                return refuse("begin to end");
            }
            next.state = State::Stopping;
        }
        Event::Ended { evidence, head_commit, truncated_bytes } => {
            if *from == State::Ended {
                return refuse("end again");
            }
            let verdict = judge(&evidence);
            next.state = State::Ended;
            next.outcome = Some(verdict.outcome);
            next.reason = verdict.reason;
            next.exit = evidence.exit_record();
            next.work = evidence.work_record();
            next.usage = evidence.usage;
            next.worktree.head_commit = head_commit;
            next.output.truncated_bytes = truncated_bytes;
            next.ended_at = Some(now);
        }
        Event::Noticed { leaks } => {
            if *from != State::Ended {
                return refuse("be looked around");
            }
            next.leaks = leaks;
        }
    }
    Ok(next)
}

/// Whether an outcome counts as done for who waits.
pub fn is_success(outcome: &Outcome) -> bool {
    *outcome == Outcome::Succeeded
}

/// The process record of a session whose supervisor is this one.
pub fn supervised_by(host: &ProcessRecord, supervisor: SupervisorProcess) -> ProcessRecord {
    ProcessRecord { supervisor: Some(supervisor), ..host.clone() }
}
