//! What the loop does about each thing that happens, and how a batch is taken up again.

use std::time::{Duration, Instant};

use super::board::{Item, Phase};
use super::event::{Event, Halt, Next, Skip};
use super::retry::{self, Before, Ending, Landing, StoppedFor};
use super::run::{BatchError, Engine, OnInterrupt, Start, added};
use super::workers::{CameTo, Closed, How, Job, Landed, Message, Order};
use crate::agent::Agent;
use crate::dispatch::error::DispatchError;
use crate::dispatch::run::Dispatched;
use crate::dispatch::{Request, Resume};
use crate::durable::LockState;
use crate::id::SessionId;
use crate::launch::local::cancel;
use crate::session::manifest::{Manifest, Outcome, State};
use crate::session::store::{Loaded, Urgency};

impl Engine<'_> {
    /// Takes a message.
    pub(super) fn take(&mut self, message: Message) -> Result<(), BatchError> {
        match message {
            Message::Begun { item, session, came_to } => self.begun(item, session, came_to),
            Message::Ended { item, session, how } => self.let_go(item, session, how),
            Message::Landing { item } => self.about(item, |lane| Event::Merging { lane }),
            Message::Landed { item, landed } => self.landed(item, landed),
            Message::Order(Order::Interrupt) => self.interrupt(),
            Message::Order(Order::Hangup) => self.hang_up(),
        }
    }

    fn about(&mut self, item: usize, event: impl FnOnce(crate::id::Lane) -> Event) -> Result<(), BatchError> {
        match self.board.items().get(item).map(|item| item.record.lane.clone()) {
            Some(lane) => self.record(vec![event(lane)]),
            None => Ok(()),
        }
    }

    /// Writes the sessions down and hands them to the threads that begin them. Says how many there are.
    pub(super) fn begin_sessions(&mut self, items: &[usize]) -> Result<usize, BatchError> {
        let mut events = Vec::new();
        let mut jobs = Vec::new();
        let mut done = Vec::new();
        for at in items {
            let Some(item) = self.board.items().get(*at) else { continue };
            let lane = item.record.lane.clone();
            match self.source.start(&item.record, &self.board) {
                Err(Skip::Done { .. }) if self.setup.landing == Landing::Merge => {
                    events.push(Event::Merging { lane });
                    done.push(*at);
                }
                Err(why) => events.push(Event::Skipped { lane, why }),
                Ok(Start { request, stacked_on }) => {
                    let attempt = item.attempts().saturating_add(1);
                    let number = item.tries().saturating_add(1);
                    let model = self.setup.retry.model(number).map(str::to_owned);
                    let request = again(request, item.sessions.last().copied(), number, model.as_deref());
                    let session_id = request.session;
                    events.push(Event::Starting { lane, session_id, attempt, model });
                    let progress = self.watch.prepare(session_id);
                    jobs.push(Job { item: *at, request, stacked_on, progress });
                }
            }
        }
        self.record(events)?;
        done.into_iter().for_each(|at| self.land(at));
        let begun = jobs.len();
        for job in jobs {
            self.held_until.remove(&job.item);
            self.workers.begin(job);
        }
        Ok(begun)
    }

    fn begun(&mut self, item: usize, session_id: SessionId, came_to: CameTo) -> Result<(), BatchError> {
        self.watch.prepared(session_id);
        match came_to {
            CameTo::Running(dispatched) => {
                let Dispatched { manifest, notes, supervisor } = *dispatched;
                self.about(item, |lane| launched(lane, &manifest))?;
                for text in notes {
                    self.about(item, |lane| Event::Warning { lanes: vec![lane], text })?;
                }
                self.watch.begin(self.store, session_id);
                self.workers.wait_for(item, session_id, Some(supervisor))?;
                match self.board.halt() {
                    None => Ok(()),
                    Some(why) if !why.ends_sessions() => Ok(()),
                    Some(why) => self.stop(session_id, StoppedFor::Halt(why), self.urgency()),
                }
            }
            CameTo::Conflict { files } => {
                self.about(item, |lane| Event::Withdrawn { lane, session_id })?;
                self.about(item, |lane| Event::Skipped { lane, why: Skip::DepsConflict { files } })
            }
            CameTo::Withdrawn => self.about(item, |lane| Event::Withdrawn { lane, session_id }),
            // The same as when it is lost a moment later.
            CameTo::Vanished(how) => self.ended(item, session_id, how),
            CameTo::Failed(error) if error.is_full() => {
                let text = error.to_string();
                self.about(item, |lane| Event::Withdrawn { lane, session_id })?;
                self.about(item, |lane| Event::Warning { lanes: vec![lane], text })?;
                match self.board.halt() {
                    None => self.halt(Halt::DiskFull, Urgency::Graceful),
                    Some(_) => Ok(()),
                }
            }
            CameTo::Failed(error) => {
                let first = self.board.items().get(item).is_none_or(|item| item.attempts() <= 1);
                self.about(item, |lane| match error {
                    DispatchError::Busy { session, .. } if first => {
                        Event::Skipped { lane, why: Skip::Busy { session_id: Some(session) } }
                    }
                    DispatchError::Contended { .. } if first => {
                        Event::Skipped { lane, why: Skip::Busy { session_id: None } }
                    }
                    error => {
                        let (reason, hint) = (error.to_string(), error.hint());
                        Event::NotLaunched { lane, session_id, reason, hint }
                    }
                })
            }
        }
    }

    fn let_go(&mut self, item: usize, session_id: SessionId, how: How) -> Result<(), BatchError> {
        self.unheld.remove(&item);
        let Some(known) = self.board.items().get(item).filter(|i| i.session() == Some(session_id)) else {
            return Ok(());
        };
        let never_ran = matches!(known.phase, Phase::Starting { .. });
        let launch_failed = matches!(&how, Ok(manifest) if manifest.outcome == Some(Outcome::LaunchFailed));
        if never_ran && launch_failed {
            return self.about(item, |lane| Event::Withdrawn { lane, session_id });
        }
        self.ended(item, session_id, how)
    }

    /// A session has ended: what is next follows from how.
    fn ended(&mut self, item: usize, session_id: SessionId, how: How) -> Result<(), BatchError> {
        let tries = self.board.items().get(item).map_or(0, Item::tries);
        let (rate_limits, rate_limited) = self.watch.end(session_id);
        self.slow_down(rate_limits)?;
        let (mut before, mut ended_at) = (Before::Nothing, None);
        let (outcome, reason, work, usage) = match how {
            Ok(manifest) => {
                (before, ended_at) = (Before::of(&manifest), manifest.ended_at);
                let outcome = manifest.outcome.unwrap_or(Outcome::Lost);
                (outcome, manifest.reason, manifest.work.map(Box::new), manifest.usage.map(Box::new))
            }
            // Unknown is never success.
            Err(error) => (Outcome::Lost, Some(error.to_string()), None, None),
        };
        let stopped_for = self.stopped_for.remove(&session_id);
        let ending = Ending { outcome: &outcome, tries, before, rate_limited, stopped_for };
        let next = retry::next(ending, &self.setup.retry, self.setup.landing);
        if let Next::Retry { after_s } = next {
            let until = Duration::try_from_secs_f64(after_s).ok().and_then(|d| Instant::now().checked_add(d));
            self.held_until.extend(until.map(|until| (item, until)));
        }
        let merge = next == Next::Merge;
        self.about(item, |lane| Event::Ended {
            lane,
            session_id,
            ended_at,
            outcome,
            reason,
            work,
            usage,
            next,
        })?;
        if merge {
            self.land(item);
        }
        self.add_further()
    }

    /// Merges what a session has finished that was not this batch's.
    pub(super) fn merge_what_is_there(&mut self, item: usize) -> Result<(), BatchError> {
        self.about(item, |lane| Event::Merging { lane })?;
        self.land(item);
        Ok(())
    }

    fn land(&mut self, item: usize) {
        if let Some(known) = self.board.items().get(item) {
            self.landing.insert(item);
            self.workers.land(item, known.record.lane.clone(), known.record.title.clone());
        }
    }

    fn landed(&mut self, item: usize, landed: Landed) -> Result<(), BatchError> {
        self.landing.remove(&item);
        match landed {
            Landed::Merged { into, commit, closed, notes } => {
                self.about(item, |lane| Event::Merged { lane, into, commit })?;
                if closed == Closed::Yes {
                    self.about(item, |lane| Event::Closed { lane })?;
                }
                for text in notes {
                    self.about(item, |lane| Event::Warning { lanes: vec![lane], text })?;
                }
            }
            Landed::CalledOff => return Ok(()),
            Landed::Not { reason, files, hint } => {
                self.about(item, |lane| Event::NotMerged { lane, reason, files, hint })?;
            }
        }
        self.add_further()
    }

    fn add_further(&mut self) -> Result<(), BatchError> {
        let added = self.further().into_iter().map(added).collect();
        self.record(added)
    }

    fn interrupt(&mut self) -> Result<(), BatchError> {
        match (self.board.halt(), self.setup.on_interrupt) {
            (Some(Halt::Detached), _) => Ok(()),
            (None, OnInterrupt::Leave) => self.halt(Halt::Detached, Urgency::Graceful),
            (None, OnInterrupt::End) => self.halt(Halt::Interrupted, Urgency::Graceful),
            (Some(why), OnInterrupt::Leave) if why == Halt::DiskFull || !why.is_for_now() => {
                self.halt(Halt::Detached, Urgency::Graceful)
            }
            (Some(Halt::DiskFull), OnInterrupt::End) => self.halt(Halt::Interrupted, Urgency::Graceful),
            (Some(_), _) => self.halt(Halt::Interrupted, Urgency::AtOnce),
        }
    }

    /// How soon a session is to end that comes up when the batch was halted already.
    fn urgency(&self) -> Urgency {
        if self.board.halts() > 1 { Urgency::AtOnce } else { Urgency::Graceful }
    }

    /// The terminal has gone, and with it whoever would read on: the sessions stay, and nothing else does.
    fn hang_up(&mut self) -> Result<(), BatchError> {
        match self.board.halt() {
            Some(Halt::Interrupted | Halt::Detached) => Ok(()),
            Some(_) | None => self.halt(Halt::Detached, Urgency::Graceful),
        }
    }

    /// Finds out what became of what was under way when the batch was killed or left.
    pub(super) fn take_up(&mut self) -> Result<(), BatchError> {
        for at in 0..self.board.items().len() {
            let Some(item) = self.board.items().get(at) else { continue };
            match (&item.phase, item.session()) {
                (Phase::Merging { .. }, _) => self.land(at),
                (_, Some(session)) => self.take_up_session(at, session)?,
                (Phase::Waiting | Phase::Over(_), None)
                | (Phase::Starting { .. } | Phase::Running { .. }, None) => {}
            }
        }
        match self.board.halt().filter(|why| why.ends_sessions()) {
            Some(why) => self.carry_out(why),
            None => Ok(()),
        }
    }

    /// Ends the sessions that a halt was to end before the batch was killed.
    fn carry_out(&mut self, why: Halt) -> Result<(), BatchError> {
        for (item, id) in self.running() {
            if self.unheld.contains(&item) {
                // It is over, and only to be settled.
                self.stopped_for.insert(id, StoppedFor::Halt(why));
                continue;
            }
            let told = self.store.session_dir(id).stop_requested().is_some();
            match self.store.load(id)? {
                Loaded::Manifest(manifest) if manifest.is_ended() => {}
                Loaded::Manifest(manifest) if told => {
                    // The wish may be on record without its supervisor having been told; a second one would end it at once.
                    self.stopped_for.insert(id, StoppedFor::Halt(why));
                    if manifest.state == State::Running {
                        // A supervisor that is gone by now has nothing to be told.
                        drop(cancel(id, Some(&manifest.process), &self.setup.machine));
                    }
                }
                _ => self.stop(id, StoppedFor::Halt(why), Urgency::Graceful)?,
            }
        }
        Ok(())
    }

    fn take_up_session(&mut self, item: usize, session_id: SessionId) -> Result<(), BatchError> {
        let known = self.board.items().get(item);
        let starting = known.is_some_and(|i| matches!(i.phase, Phase::Starting { .. }));
        let halted = known.and_then(|i| i.halted);
        let (lock, loaded) = self.store.observe(session_id)?;
        match loaded {
            Loaded::Missing => return self.about(item, |lane| Event::Withdrawn { lane, session_id }),
            Loaded::Manifest(manifest) if starting && lock == LockState::Held => {
                self.about(item, |lane| launched(lane, &manifest))?;
            }
            Loaded::Manifest(_) | Loaded::Newer { .. } | Loaded::Damaged { .. } => {}
        }
        if let Some(why) = halted
            && self.store.session_dir(session_id).stop_requested().is_some()
        {
            self.stopped_for.insert(session_id, StoppedFor::Halt(why));
        }
        if lock == LockState::Free {
            self.unheld.insert(item);
        }
        self.watch.begin(self.store, session_id);
        Ok(self.workers.wait_for(item, session_id, None)?)
    }
}

fn launched(lane: crate::id::Lane, manifest: &Manifest) -> Event {
    Event::Launched {
        lane,
        session_id: manifest.session_id,
        branch: manifest.worktree.branch.clone(),
        worktree: manifest.worktree.path.clone(),
        base_commit: manifest.worktree.base_commit.clone(),
        pid: manifest.process.agent.as_ref().map(|agent| agent.pid.get()),
    }
}

/// The request for the try of this number of an item: with more time, a stronger model, and what the agent knew before.
fn again(mut request: Request, last: Option<SessionId>, number: u32, model: Option<&str>) -> Request {
    request.limits.timeout_s = retry::timeout(request.limits.timeout_s, number);
    let Agent::Pi(_) = &request.agent.agent else { return request };
    if let Some(model) = model {
        request.agent.extra.extend(["--model".to_owned(), model.to_owned()]);
    }
    if let Some(session) = last {
        let ticket = &request.place.ticket;
        let workflow = [request.agent.workflow.clone(), ticket.to_string()];
        let task = workflow.into_iter().chain(request.agent.flags.iter().cloned());
        let task = task.collect::<Vec<_>>().join(" ");
        let prompt = format!(
            "Continue with ticket {ticket}: your last session was ended before it was done. Look at what is there, \
             finish the task ({task}) and commit it."
        );
        request.agent.resume = Some(Resume { session, prompt });
    }
    request
}
