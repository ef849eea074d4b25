//! The wait loop: from the agent's start to the moment when nothing of it is left.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Signal, WaitStatus};

use super::cap::{self, CapError, CappedFile};
use super::idle::{IdleWatch, Signs, Verdict};
use crate::process::descendants::{Kin, Mark};
use crate::process::ending::{Pace, SweepError, sweep};
use crate::process::identity::is_alive;
use crate::process::memory::shed_code;
use crate::process::signal::{Delivery, Handle};
use crate::process::wait::{Listener, Remaining, Wake, reap};
use crate::session::launch::{AccountSource, LaunchSpec, OutputMode, SESSION_VARIABLE};
use crate::session::manifest::EndedBy;
use crate::session::outcome::{End, Status};
use crate::session::state::Event;
use crate::session::store::{StoreError, Urgency};
use crate::session::writer::SessionWriter;
use crate::words::count;

/// How long what an agent left running has between being asked to end and being killed, at most.
const LEFTOVER_GRACE: Duration = Duration::from_secs(2);

/// So many signals to end mean: at once.
const AT_ONCE: u32 = 2;

/// How long a killed agent may take to vanish before what it started is ended without waiting for it.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// How the agent's time ended.
#[derive(Debug)]
pub struct Ended {
    /// How its process ended.
    pub end: End,
    /// Whether ralph signalled anything of the session's: then a lock file may be stale.
    pub signalled: Signalled,
    /// Bytes of output given back because of the cap.
    pub truncated_bytes: u64,
    /// What went wrong on the way and is worth telling.
    pub notes: Vec<String>,
}

/// Whether ralph signalled a process of the session's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signalled {
    /// It did.
    Yes,
    /// It did, and something of it may live all the same.
    InVain,
    /// Everything ended by itself.
    No,
}

/// A supervisor that could not go on.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system refused something that waiting needs.
    #[error("could not wait for the agent: {0}")]
    Wait(#[from] io::Error),
    /// The manifest could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Watches one agent.
pub struct Watch<'a> {
    writer: &'a mut SessionWriter,
    listener: &'a mut Listener,
    agent: Handle,
    kin: Kin,
    grace: Duration,
    timeout: Option<Instant>,
    idle: Option<IdleWatch>,
    idle_at: Option<Instant>,
    signs: Vec<PathBuf>,
    capped: Vec<CappedFile>,
    cap_at: Option<Instant>,
    status: Option<WaitStatus>,
    remaining: Remaining,
    notes: Vec<String>,
}

impl<'a> Watch<'a> {
    /// Prepares to watch the agent that was just started.
    pub fn over(
        writer: &'a mut SessionWriter,
        listener: &'a mut Listener,
        agent: Handle,
        spec: &LaunchSpec,
        started: Instant,
    ) -> Self {
        let dir = writer.dir();
        let outputs = match spec.output {
            OutputMode::File => vec![dir.stdout(), dir.stderr()],
            OutputMode::Discard => Vec::new(),
        };
        let mut signs = outputs.clone();
        if let AccountSource::Pi { session_file, .. } = &spec.account {
            signs.push(session_file.into());
        }
        let mut notes = Vec::new();
        let capped: Vec<CappedFile> = spec
            .output_cap
            .map(|cap| {
                outputs.iter().map(|path| CappedFile::open(path, cap)).collect::<Result<_, CapError>>()
            })
            .transpose()
            .unwrap_or_else(|error| {
                notes.push(error.to_string());
                None
            })
            .unwrap_or_default();
        let limits = &spec.limits;
        let idle = limits.idle_timeout_s.map(|s| IdleWatch::start(s.duration(), modified(&signs), started));
        let supervisor = rustix::process::getpid().as_raw_nonzero().get();
        let mark = Mark::new(SESSION_VARIABLE, &spec.session_id.to_string());
        Self {
            writer,
            listener,
            agent,
            kin: Kin::OfSupervisor { supervisor, mark },
            grace: limits.grace_s.duration(),
            timeout: limits.timeout_s.and_then(|s| started.checked_add(s.duration())),
            idle_at: idle.as_ref().map(IdleWatch::first_look),
            idle,
            signs,
            cap_at: (!capped.is_empty()).then(|| started + cap::INTERVAL),
            capped,
            status: None,
            remaining: Remaining::Some,
            notes,
        }
    }

    /// Waits for the agent's end and ends what it left running.
    pub fn until_over(mut self) -> Result<Ended, WatchError> {
        let cause = self.wait()?;
        let mut signalled = Signalled::No;
        let mut forced = false;
        if cause != EndedBy::Agent {
            signalled = Signalled::Yes;
            self.announce_ending();
            forced = self.end_agent()?;
        }
        if self.remaining == Remaining::Some {
            signalled = self.end_leftovers(signalled)?;
        }
        for file in &mut self.capped {
            // What was written since the last look; a failure was told then.
            drop(file.enforce());
        }
        let truncated_bytes = self.capped.iter().map(CappedFile::truncated).sum();
        let end = match self.status {
            Some(status) => End::Seen { status: plain(status), ended_by: cause, forced },
            None => End::Unseen("the agent did not end, however often it was told to".into()),
        };
        Ok(Ended { end, signalled, truncated_bytes, notes: self.notes })
    }

    /// Waits until the agent has ended by itself, or there is a reason to end it.
    fn wait(&mut self) -> Result<EndedBy, WatchError> {
        // A wish that came before anyone could signal us.
        if self.writer.dir().stop_requested().is_some() {
            return Ok(self.unless_over(EndedBy::Stop)?);
        }
        shed_code();
        loop {
            let next = [self.timeout, self.idle_at, self.cap_at].into_iter().flatten().min();
            match self.listener.next(next)? {
                Wake::Child => {
                    self.reap()?;
                    if let Some(status) = self.status {
                        return Ok(self.whose_end(status)?);
                    }
                }
                Wake::Terminate(_) => {
                    let cause = match self.writer.dir().stop_requested() {
                        Some(_) => EndedBy::Stop,
                        None => EndedBy::Shutdown,
                    };
                    return Ok(self.unless_over(cause)?);
                }
                Wake::Deadline => {
                    if let Some(cause) = self.deadline(Instant::now()) {
                        return Ok(self.unless_over(cause)?);
                    }
                }
            }
        }
    }

    /// When a whole machine or login is ended, agent and supervisor are told at the same moment: an agent that went
    /// down with us did not fail by itself.
    fn whose_end(&mut self, status: WaitStatus) -> io::Result<EndedBy> {
        let told = self.listener.terminations()? > 0;
        Ok(match self.writer.dir().stop_requested() {
            _ if status.exit_status() == Some(0) || !told => EndedBy::Agent,
            Some(_) => EndedBy::Stop,
            None => EndedBy::Shutdown,
        })
    }

    /// An agent that has ended by itself in the meantime was not ended by us.
    fn unless_over(&mut self, cause: EndedBy) -> io::Result<EndedBy> {
        self.reap()?;
        match self.status {
            Some(status) => self.whose_end(status),
            None => Ok(cause),
        }
    }

    fn deadline(&mut self, now: Instant) -> Option<EndedBy> {
        if self.timeout.is_some_and(|at| now >= at) {
            return Some(EndedBy::Timeout);
        }
        if let Some(idle) = &mut self.idle
            && self.idle_at.is_some_and(|at| now >= at)
        {
            match idle.look(modified(&self.signs), SystemTime::now(), now) {
                Verdict::Expired => return Some(EndedBy::Idle),
                Verdict::LookAgain(at) => self.idle_at = Some(at),
            }
        }
        if self.cap_at.is_some_and(|at| now >= at) {
            self.cap_at = Some(now + cap::INTERVAL);
            for file in &mut self.capped {
                if let Err(error) = file.enforce() {
                    self.notes.push(error.to_string());
                    self.cap_at = None;
                }
            }
        }
        None
    }

    /// The transition is recorded before the act; a full disk must not keep a session from being ended.
    fn announce_ending(&mut self) {
        match self.writer.step(Event::Ending, Timestamp::now()) {
            // That the view could not follow is told when the session has ended.
            Ok(_view) => {}
            Err(error) => self.notes.push(format!("that it was being ended could not be recorded: {error}")),
        }
    }

    /// Asks the agent to end, waits for as long as the grace lasts or until it is to be at once, then kills it. Says
    /// whether that was needed.
    fn end_agent(&mut self) -> Result<bool, WatchError> {
        self.noting(Handle::ask_to_end);
        let deadline = Instant::now() + self.grace;
        while !self.is_at_once()? && !self.has_ended() {
            if self.listener.next(Some(deadline))? == Wake::Deadline {
                break;
            }
            self.reap()?;
        }
        // Its end may have been announced together with the second request: nothing would wake us up again.
        self.reap()?;
        if self.has_ended() {
            return Ok(false);
        }
        self.noting(|agent| agent.send(Signal::KILL));
        // One that hangs in the kernel, or may not be signalled, must not keep its children from being ended.
        let deadline = Instant::now() + KILL_PATIENCE;
        while !self.has_ended() && self.listener.next(Some(deadline))? != Wake::Deadline {
            self.reap()?;
        }
        Ok(true)
    }

    /// Whether the agent has ended, which we may not have been told yet: who traces it is told first.
    fn has_ended(&self) -> bool {
        self.status.is_some() || !is_alive(self.agent.identity())
    }

    fn noting(&mut self, signal: impl FnOnce(&Handle) -> Result<Delivery, Errno>) {
        if let Err(errno) = signal(&self.agent) {
            self.notes.push(format!("the agent could not be signalled: {errno}"));
        }
    }

    /// Whether there is no time left for a grace: by the request's own word, or because we were told to end twice.
    fn is_at_once(&mut self) -> io::Result<bool> {
        let asked = self.writer.dir().stop_requested() == Some(Urgency::AtOnce);
        Ok(asked || self.listener.terminations()? >= AT_ONCE)
    }

    fn end_leftovers(&mut self, signalled: Signalled) -> Result<Signalled, WatchError> {
        let grace = if self.is_at_once()? { Duration::ZERO } else { self.grace.min(LEFTOVER_GRACE) };
        let kin = self.kin.clone();
        let between = || {
            // One that traced the agent kept its end from us until now.
            self.reap()?;
            Ok((if self.is_at_once()? { Pace::AtOnce } else { Pace::InTime }, self.remaining))
        };
        match sweep(&kin, grace, between) {
            Ok(swept) if swept.asked + swept.killed == 0 => Ok(signalled),
            Ok(swept) => {
                let ended = swept.asked.max(swept.killed);
                let were = if ended == 1 { "was" } else { "were" };
                let processes = count(ended, "process");
                self.notes.push(format!("{processes} that the agent left running {were} ended"));
                Ok(Signalled::Yes)
            }
            Err(error @ (SweepError::Unkillable(_) | SweepError::Signal { .. } | SweepError::Look(_))) => {
                self.notes.push(error.to_string());
                Ok(Signalled::InVain)
            }
        }
    }

    fn reap(&mut self) -> io::Result<()> {
        let (reaped, remaining) = reap()?;
        let agent = self.agent.identity().pid;
        self.status = self.status.or(reaped.iter().find(|r| r.pid == agent).map(|r| r.status));
        self.remaining = remaining;
        Ok(())
    }
}

/// The status without what only the system cares about.
fn plain(status: WaitStatus) -> Status {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Status::Exited(code),
        // WCOREDUMP of wait(2), which has no name of its own in the binding.
        (None, Some(signal)) => Status::Signalled { signal, core_dumped: status.as_raw() & 0x80 != 0 },
        (None, None) => Status::Exited(-1),
    }
}

fn modified(paths: &[PathBuf]) -> Signs {
    paths.iter().map(|path| fs::metadata(path).ok()?.modified().ok()).collect()
}
