//! The loop of a batch: it waits for what happens, writes it down, and starts what may be started then.
//!
//! One thread owns the board and the journal. It sleeps until a message comes, or until time alone changes something: a
//! start that was held back, a look at what running agents use where that matters. It never waits for a session, a
//! merge or a lock.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::board::{Board, Phase, Verdict};
use super::budget::Budget;
use super::event::{Entry, Event, Halt, ItemRecord, Skip, Slow};
use super::journal::{Journal, JournalError};
use super::pace::Pace;
use super::policy::{Conditions, Decision, Rules, decide, room};
use super::retry::{Landing, RetryRules, StoppedFor};
use super::watch::Watch;
use super::workers::{Lander, Message, Workers};
use crate::dispatch::{Environment, Request};
use crate::git::CommitId;
use crate::id::SessionId;
use crate::launch::stop::{Wish, request_stop};
use crate::process::identity::Machine;
use crate::process::memory;
use crate::session::store::{Store, StoreError, Urgency};

/// How often running agents' records are looked at, where something depends on them.
const WATCH: Duration = Duration::from_secs(1);
/// How soon memory is looked at again that was short.
const MEMORY_WATCH: Duration = Duration::from_secs(1);

/// How a batch is run.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Where it was asked for.
    pub environment: Environment,
    /// The machine.
    pub machine: Machine,
    /// Which items may run together.
    pub rules: Rules,
    /// How often a session is tried again.
    pub retry: RetryRules,
    /// What is done with work that succeeded.
    pub landing: Landing,
    /// What the whole batch may use.
    pub budget: Budget,
    /// What each ticket may use.
    pub ticket_budget: Budget,
    /// The least time between two starts.
    pub stagger: Duration,
    /// The memory that must be free for a start, in bytes, while others run.
    pub memory_per_start: u64,
    /// What Ctrl-C does.
    pub on_interrupt: OnInterrupt,
    /// How many tickets are worked on at most.
    pub most_tickets: Option<usize>,
    /// How many sessions are begun at the same moment, at most.
    pub starters: usize,
}

/// What Ctrl-C does to running sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInterrupt {
    /// It ends them.
    End,
    /// It leaves them.
    Leave,
}

/// What a session of an item begins with.
#[derive(Debug)]
pub struct Start {
    /// What is dispatched.
    pub request: Request,
    /// The commits whose work a new branch starts from, joined; none: its base.
    pub stacked_on: Vec<CommitId>,
}

/// Where items come from, as they are at this moment.
pub trait Source {
    /// What to dispatch for a first session of the item; or why it is not worked on after all.
    fn start(&mut self, item: &ItemRecord, board: &Board) -> Result<Start, Skip>;

    /// Items that are there by now and not on the board.
    fn further(&mut self, board: &Board) -> Vec<ItemRecord>;

    /// Something worth a warning that has become known since, such as siblings that touch the same files.
    fn warnings(&mut self, board: &Board) -> Vec<Event>;

    /// How often that is looked for.
    fn rhythm(&self, board: &Board) -> Option<Duration>;
}

/// Who watches a batch.
pub trait Observer {
    /// Something happened; the board shows it already.
    fn told(&mut self, entry: &Entry, board: &Board);

    /// A moment to draw, if that is wanted.
    fn draw(&mut self, board: &Board, watch: &Watch);

    /// How often that is wanted.
    fn rhythm(&self) -> Option<Duration>;
}

/// How a batch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// Every item has had its last word.
    Finished,
    /// It was interrupted; it can be taken up again.
    Interrupted,
    /// It was left; its sessions go on, and it can be taken up again.
    Left,
}

/// A batch that could not go on. Its sessions go on without it, and it can be taken up again.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// The journal could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A thread could not be started.
    #[error("could not start a thread of the batch: {0}")]
    Thread(#[from] io::Error),
    /// Nothing runs and nothing may be started, and yet not everything is done.
    #[error("the batch has come to a stop with {0} of its tickets waiting: this is a bug in ralph")]
    Stuck(usize),
}

/// A batch that runs.
pub struct Engine<'a> {
    pub(super) setup: &'a Setup,
    pub(super) store: &'a Store,
    pub(super) source: &'a mut dyn Source,
    observer: &'a mut dyn Observer,
    journal: Journal,
    pub(super) board: Board,
    pub(super) workers: Workers,
    messages: Receiver<Message>,
    pub(super) pace: Pace,
    pub(super) watch: Watch,
    /// When items that wait to be tried again may be.
    pub(super) held_until: HashMap<usize, Instant>,
    /// The sessions that the batch itself has ended.
    pub(super) stopped_for: HashMap<SessionId, StoppedFor>,
    /// The items whose sessions were taken up and had no one who could be told to end them: their ends are being settled.
    pub(super) unheld: HashSet<usize>,
    /// The items whose work was given to the lander and has not come back.
    pub(super) landing: HashSet<usize>,
    memory: Memory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    Enough,
    Short,
}

/// What a batch is run with.
pub struct Parts<'a> {
    /// How.
    pub setup: &'a Setup,
    /// The store.
    pub store: &'a Store,
    /// Where items come from.
    pub source: &'a mut dyn Source,
    /// Who watches.
    pub observer: &'a mut dyn Observer,
    /// Who merges, if anyone.
    pub lander: Option<Box<dyn Lander>>,
}

impl<'a> Engine<'a> {
    /// A batch over this journal and its entries so far. The sender takes a person's wishes.
    pub fn new(
        parts: Parts<'a>,
        journal: Journal,
        entries: &[Entry],
    ) -> Result<(Self, Sender<Message>), BatchError> {
        let Parts { setup, store, source, observer, lander } = parts;
        let (sender, messages) = channel();
        let mut workers =
            Workers::start(setup.starters, &setup.environment, &setup.machine, store, sender.clone())?;
        if let Some(lander) = lander {
            workers.merge_with(lander)?;
        }
        let engine = Self {
            setup,
            store,
            source,
            observer,
            journal,
            board: Board::of(entries),
            workers,
            messages,
            pace: Pace::new(setup.stagger),
            watch: Watch::default(),
            held_until: HashMap::new(),
            stopped_for: HashMap::new(),
            unheld: HashSet::new(),
            landing: HashSet::new(),
            memory: Memory::Enough,
        };
        Ok((engine, sender))
    }

    /// Runs the batch from its beginning, with what there is to say at once. The items `skips` are not worked on; those of `done` are finished on their
    /// branches, or merged, and only to be merged or closed.
    pub fn begin(
        mut self,
        begun: Event,
        notes: Vec<Event>,
        skips: Vec<(usize, Skip)>,
        done: &[usize],
    ) -> Result<(Finish, Board), BatchError> {
        self.record(vec![begun])?;
        self.record(notes)?;
        self.skip(skips)?;
        for item in done {
            self.merge_what_is_there(*item)?;
        }
        let hopeless = super::policy::hopeless(&self.board, self.setup.rules.handover);
        self.skip(hopeless)?;
        self.go()
    }

    /// Takes the batch up where its journal ends.
    pub fn resume(mut self) -> Result<(Finish, Board), BatchError> {
        self.record(vec![Event::Resumed])?;
        self.take_up()?;
        self.go()
    }

    fn go(mut self) -> Result<(Finish, Board), BatchError> {
        loop {
            self.look()?;
            let held_back = self.start_what_may_start()?;
            self.observer.draw(&self.board, &self.watch);
            if let Some(finish) = self.finish_or_go_on(held_back)? {
                return Ok((finish, self.board));
            }
            let message = match self.next_look(held_back, Instant::now()) {
                None => self.messages.recv().ok(),
                Some(at) => self.messages.recv_timeout(at.saturating_duration_since(Instant::now())).ok(),
            };
            let mut next = message;
            while let Some(message) = next {
                self.take(message)?;
                next = self.messages.try_recv().ok();
            }
        }
    }

    /// Writes down what happened, in this order: the journal, the board, whoever watches.
    pub(super) fn record(&mut self, events: Vec<Event>) -> Result<(), BatchError> {
        let now = Timestamp::now();
        let entries: Vec<Entry> = events.into_iter().map(|event| Entry { at: now, event }).collect();
        self.journal.append(&entries)?;
        for entry in &entries {
            self.board.apply(entry);
            self.observer.told(entry, &self.board);
        }
        Ok(())
    }

    /// Looks at what the running agents have used, where something depends on it.
    fn look(&mut self) -> Result<(), BatchError> {
        let budgeted = self.setup.budget.is_bounded() || self.setup.ticket_budget.is_bounded();
        let shown = self.observer.rhythm().is_some();
        if !self.watch.is_empty() && (budgeted || shown || self.someone_waits()) {
            let limits = self.watch.look();
            self.slow_down(limits)?;
        }
        if budgeted && self.board.halt().is_none() {
            self.keep_budgets()?;
        }
        let warnings = self.source.warnings(&self.board);
        self.record(warnings)
    }

    pub(super) fn slow_down(&mut self, rate_limits: u64) -> Result<(), BatchError> {
        if rate_limits == 0 {
            return Ok(());
        }
        match self.pace.rate_limited(Instant::now()) {
            Some(wait) if self.someone_waits() => {
                self.record(vec![Event::Slowed { why: Slow::RateLimits, seconds: wait.as_secs_f64() }])
            }
            _ => Ok(()),
        }
    }

    fn keep_budgets(&mut self) -> Result<(), BatchError> {
        let running: Vec<(usize, SessionId)> = self.running();
        let so_far = running.iter().fold(self.board.used(), |sum, (_, id)| sum.and(self.watch.used(*id)));
        if let Some(why) = self.setup.budget.used_up(so_far) {
            return self.halt(why, Urgency::Graceful);
        }
        for (at, id) in running {
            let Some(item) = self.board.items().get(at) else { continue };
            let used = item.used.and(self.watch.used(id));
            if self.stopped_for.contains_key(&id) || self.setup.ticket_budget.used_up(used).is_none() {
                continue;
            }
            let lane = item.record.lane.clone();
            self.stop(id, StoppedFor::TicketBudget, Urgency::Graceful)?;
            let text = "it has used as much as a ticket may, and is ended".to_owned();
            self.record(vec![Event::Warning { lanes: vec![lane], text }])?;
        }
        Ok(())
    }

    /// Starts nothing any more, and ends what runs, unless that is to go on.
    pub(super) fn halt(&mut self, why: Halt, urgency: Urgency) -> Result<(), BatchError> {
        self.record(vec![Event::Halted { why }])?;
        self.workers.halt_starts();
        if why.is_for_now() {
            self.workers.halt_landings();
        }
        if !why.ends_sessions() {
            return Ok(());
        }
        for (_, id) in self.running() {
            self.stop(id, StoppedFor::Halt(why), urgency)?;
        }
        Ok(())
    }

    /// Tells a session to end. One that cannot be told is waited for all the same.
    pub(super) fn stop(
        &mut self,
        id: SessionId,
        why: StoppedFor,
        urgency: Urgency,
    ) -> Result<(), BatchError> {
        self.stopped_for.insert(id, why);
        let reason = match why {
            StoppedFor::TicketBudget => "the ticket has used as much as it may".to_owned(),
            StoppedFor::Halt(halt) => halt.to_string(),
        };
        match request_stop(self.store, &self.setup.machine, id, Wish { urgency, reason: Some(reason) }) {
            Ok(()) => Ok(()),
            Err(error) => self.record(vec![Event::Warning { lanes: Vec::new(), text: error.to_string() }]),
        }
    }

    /// The sessions whose agents run, with their items.
    pub(super) fn running(&self) -> Vec<(usize, SessionId)> {
        let items = self.board.items().iter().enumerate();
        items
            .filter_map(|(at, item)| match item.phase {
                Phase::Running { session, .. } => Some((at, session)),
                _ => None,
            })
            .collect()
    }

    fn someone_waits(&self) -> bool {
        self.board.halt().is_none() && self.board.items().iter().any(|item| item.phase == Phase::Waiting)
    }

    fn skip(&mut self, items: Vec<(usize, Skip)>) -> Result<(), BatchError> {
        let skipped = |(at, why): (usize, Skip)| {
            let lane = self.board.items().get(at)?.record.lane.clone();
            Some(Event::Skipped { lane, why })
        };
        let events = items.into_iter().filter_map(skipped).collect();
        self.record(events)
    }

    /// Starts what may be started now. Says how many could be, were it not for pace and memory.
    fn start_what_may_start(&mut self) -> Result<usize, BatchError> {
        loop {
            let now = Instant::now();
            let conditions = Conditions { now, held_until: &self.held_until, fresh: self.fresh_allowed() };
            let decisions = decide(&self.board, self.setup.rules, &conditions);
            let mut starts = Vec::new();
            let mut skips = Vec::new();
            for decision in decisions {
                match decision {
                    Decision::Start(at) => starts.push(at),
                    Decision::Skip(at, why) => skips.push((at, why)),
                }
            }
            if !skips.is_empty() {
                // Whoever waits for one of these is to be told too.
                self.skip(skips)?;
                continue;
            }
            let allowed = self.pace.allowed(starts.len(), now).min(self.memory_allows(starts.len())?);
            let held_back = starts.len() - allowed;
            starts.truncate(allowed);
            if starts.is_empty() {
                return Ok(held_back);
            }
            let begun = self.begin_sessions(&starts)?;
            if begun > 0 {
                self.pace.started(now);
                return Ok(held_back);
            }
            // None of them was to be worked on after all: others may be.
        }
    }

    /// How many items that were never worked on may be, still.
    fn fresh_allowed(&self) -> usize {
        let begun = self.board.items().iter().filter(|item| !item.sessions.is_empty()).count();
        self.setup.most_tickets.map_or(usize::MAX, |most| most.saturating_sub(begun))
    }

    /// Memory holds starts back only while something runs that will give some back.
    fn memory_allows(&mut self, wanted: usize) -> Result<usize, BatchError> {
        let need = self.setup.memory_per_start;
        let active = self.board.items().iter().filter(|item| item.is_active()).count();
        let Some(free) = memory::available().filter(|_| wanted > 0) else { return Ok(wanted) };
        let allowed = room(free, need, active);
        let now = if allowed == 0 { Memory::Short } else { Memory::Enough };
        let newly = now == Memory::Short && self.memory == Memory::Enough;
        self.memory = now;
        if newly {
            self.record(vec![Event::Slowed { why: Slow::Memory, seconds: MEMORY_WATCH.as_secs_f64() }])?;
        }
        Ok(wanted.min(allowed))
    }

    /// When time alone may change something.
    fn next_look(&self, held_back: usize, now: Instant) -> Option<Instant> {
        let pace = (held_back > 0).then(|| match self.memory {
            Memory::Short => Some(now + MEMORY_WATCH),
            Memory::Enough => self.pace.next_start(now),
        });
        let held = self.held_until.values().filter(|at| **at > now).min().copied();
        let drawing = self.observer.rhythm().map(|rhythm| now + rhythm);
        let depends =
            self.setup.budget.is_bounded() || self.setup.ticket_budget.is_bounded() || self.someone_waits();
        let watching = (depends && !self.watch.is_empty()).then(|| now + WATCH);
        let warning = self.source.rhythm(&self.board).map(|rhythm| now + rhythm);
        [pace.flatten(), held, drawing, watching, warning].into_iter().flatten().min()
    }

    /// Finishes the batch if that was all. If nothing runs and more is left, it goes on: with items that are there since,
    /// or, where none may be begun any more, by giving up those that wait.
    fn finish_or_go_on(&mut self, held_back: usize) -> Result<Option<Finish>, BatchError> {
        let items = || self.board.items().iter().enumerate().filter(|(at, _)| !self.unheld.contains(at));
        let count = |is: fn(&Phase) -> bool| items().filter(|(_, item)| is(&item.phase)).count();
        let starting = count(|phase| matches!(phase, Phase::Starting { .. }));
        let running = count(|phase| matches!(phase, Phase::Running { .. }));
        let merging = count(|phase| matches!(phase, Phase::Merging { .. }));
        let waiting = count(|phase| matches!(phase, Phase::Waiting));
        match self.board.halt() {
            Some(Halt::Detached) if starting == 0 && self.landing.is_empty() => {
                return Ok(Some(Finish::Left));
            }
            Some(Halt::Interrupted | Halt::DiskFull)
                if starting + running == 0 && self.landing.is_empty() =>
            {
                if waiting + merging + self.unheld.len() == 0 {
                    self.finish()?;
                }
                return Ok(Some(Finish::Interrupted));
            }
            Some(_) | None => {}
        }
        if starting + running + merging + self.unheld.len() > 0 {
            return Ok(None);
        }
        if waiting == 0 {
            let more: Vec<Event> = self.further().into_iter().map(added).collect();
            if more.is_empty() {
                self.finish()?;
                return Ok(Some(Finish::Finished));
            }
            self.record(more)?;
            return self.start_what_may_start().map(|_| None);
        }
        if let Some(why) = self.board.halt() {
            self.give_up_waiting(why)?;
            return self.finish_or_go_on(0);
        }
        let now = Instant::now();
        if held_back > 0 || self.held_until.values().any(|at| *at > now) {
            return Ok(None);
        }
        if self.fresh_allowed() == 0 {
            self.halt(Halt::EnoughTickets, Urgency::Graceful)?;
            return self.finish_or_go_on(0);
        }
        Err(BatchError::Stuck(waiting))
    }

    fn finish(&mut self) -> Result<(), BatchError> {
        self.record(vec![Event::Finished])?;
        Ok(self.journal.close()?)
    }

    pub(super) fn further(&mut self) -> Vec<ItemRecord> {
        if self.board.halt().is_some() { Vec::new() } else { self.source.further(&self.board) }
    }

    fn give_up_waiting(&mut self, why: Halt) -> Result<(), BatchError> {
        let items = self.board.items().iter().enumerate();
        let waiting: Vec<(usize, Skip)> = items
            .filter(|(_, item)| item.phase == Phase::Waiting)
            .map(|(at, _)| (at, Skip::Halted { why }))
            .collect();
        self.skip(waiting)
    }
}

/// An item that came to the board late.
pub(super) fn added(item: ItemRecord) -> Event {
    Event::Added { item: Box::new(item) }
}

/// Whether everything that was to be worked on came to a good end.
pub fn all_good(board: &Board) -> bool {
    board.items().iter().all(|item| item.verdict().is_some_and(Verdict::is_good))
}
