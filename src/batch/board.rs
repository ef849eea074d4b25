//! Where every item of a batch stands: the entries of its journal, folded. Pure.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::event::{BatchId, Entry, Event, Halt, ItemRecord, Next, Skip};
use super::graph::{Graph, Need};
use crate::id::{BranchName, Lane, SessionId};
use crate::session::manifest::{Outcome, Usage, Work};

/// Where every item stands.
#[derive(Debug, Default)]
pub struct Board {
    batch: Option<BatchId>,
    begun_at: Option<Timestamp>,
    jobs: usize,
    items: Vec<Item>,
    by_lane: HashMap<Lane, usize>,
    graph: Graph,
    halt: Option<Halt>,
    halts: u32,
    finished: bool,
}

/// One item.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// What it is.
    pub record: ItemRecord,
    /// Where it stands.
    pub phase: Phase,
    /// Where its work is, once a session has run.
    pub place: Option<WorkPlace>,
    /// Its sessions in this batch, in order.
    pub sessions: Vec<SessionId>,
    /// How many of them were cut short by an interrupted batch.
    pub interrupted: u32,
    /// Why the batch has told the session that it has now to end, or was about to.
    pub halted: Option<Halt>,
    /// How its last session ended.
    pub last: Option<LastSession>,
    /// What all its ended sessions used.
    pub used: Used,
}

/// Where an item's work is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkPlace {
    /// The branch.
    pub branch: BranchName,
    /// The commit that the work is counted from.
    pub base_commit: String,
}

/// Where an item stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// It has not been started, or waits to be started again.
    Waiting,
    /// Its session is being begun.
    Starting {
        /// The session.
        session: SessionId,
        /// Since when.
        since: Timestamp,
    },
    /// Its session runs.
    Running {
        /// The session.
        session: SessionId,
        /// Since when.
        since: Timestamp,
    },
    /// Its work waits to be merged, or is being merged.
    Merging {
        /// Since when.
        since: Timestamp,
    },
    /// That was its last word.
    Over(Verdict),
}

/// An item's last word.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It was worked on, and its last session ended like this.
    Ended(Outcome),
    /// Its work has landed.
    Merged {
        /// The branch that has it.
        into: String,
        /// The commit that the branch is at.
        commit: String,
    },
    /// It succeeded, and could not be merged.
    NotMerged {
        /// Why.
        reason: String,
        /// The files in conflict or in the way.
        files: Vec<String>,
        /// What to do next, where that is known.
        hint: Option<String>,
    },
    /// Its session could not be begun.
    NotLaunched {
        /// Why.
        reason: String,
        /// What to do next, where that is known.
        hint: Option<String>,
    },
    /// It was not worked on.
    Skipped(Skip),
}

/// How an item's last session ended.
#[derive(Debug, Clone, PartialEq)]
pub struct LastSession {
    /// Its outcome.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<String>,
    /// What it left.
    pub work: Option<Work>,
}

/// Tokens and money.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Tokens sent and received.
    pub tokens: u64,
    /// US dollars.
    pub cost: f64,
}

impl Used {
    /// This and the other together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { tokens: self.tokens.saturating_add(other.tokens), cost: self.cost + other.cost }
    }
}

impl From<&Usage> for Used {
    fn from(usage: &Usage) -> Self {
        Self { tokens: usage.input_tokens.saturating_add(usage.output_tokens), cost: usage.cost_usd }
    }
}

/// Whether what an item needs is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It is.
    Now,
    /// Not yet.
    NotYet,
    /// It never will be.
    Never(Skip),
}

/// What counts as done for those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handover {
    /// Work that has landed in the base.
    Landed,
    /// Work that has landed, or that is finished on its own branch, from which the next one starts.
    Stacked,
    /// Nothing that is done in this batch: what is done stays on its own branch.
    Nothing,
}

impl Board {
    /// The board that these entries make.
    pub fn of<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Self {
        let mut board = Self::default();
        for entry in entries {
            board.fold(entry);
        }
        // Once, and not for each of hundreds of items that were added one by one.
        board.link();
        board
    }

    /// Takes the next entry.
    pub fn apply(&mut self, entry: &Entry) {
        self.fold(entry);
        if matches!(entry.event, Event::Begun { .. } | Event::Added { .. }) {
            self.link();
        }
    }

    /// Finds out which item waits for which.
    fn link(&mut self) {
        let records: Vec<ItemRecord> = self.items.iter().map(|item| item.record.clone()).collect();
        self.graph = Graph::of(&records);
    }

    fn fold(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.event {
            Event::Begun { batch_id, jobs, items, .. } => {
                self.batch = Some(*batch_id);
                self.begun_at = Some(at);
                self.jobs = *jobs;
                self.items = items.iter().cloned().map(Item::new).collect();
                self.by_lane = items.iter().enumerate().map(|(at, item)| (item.lane.clone(), at)).collect();
            }
            Event::Added { item } if !self.by_lane.contains_key(&item.lane) => {
                self.by_lane.insert(item.lane.clone(), self.items.len());
                self.items.push(Item::new(item.as_ref().clone()));
            }
            Event::Resumed => {
                self.halt = self.halt.filter(|halt| !halt.is_for_now());
                self.halts = 0;
            }
            Event::Halted { why } => {
                self.halt = Some(*why);
                // Who interrupts then has not been there before.
                self.halts = if *why == Halt::DiskFull { 0 } else { self.halts.saturating_add(1) };
                if why.ends_sessions() {
                    self.items.iter_mut().filter(|i| i.is_active()).for_each(|i| i.halted = Some(*why));
                }
            }
            Event::Finished => self.finished = true,
            Event::Added { .. } | Event::Warning { .. } | Event::Slowed { .. } | Event::Closed { .. } => {}
            event => {
                let found = event.lane().and_then(|lane| self.by_lane.get(lane));
                if let Some(item) = found.and_then(|at| self.items.get_mut(*at)) {
                    item.apply(event, at);
                }
            }
        }
    }

    /// The batch's id.
    pub fn batch(&self) -> Option<BatchId> {
        self.batch
    }

    /// When it began.
    pub fn begun_at(&self) -> Option<Timestamp> {
        self.begun_at
    }

    /// How many sessions may run at the same time.
    pub fn jobs(&self) -> usize {
        self.jobs
    }

    /// Why nothing is started any more, if that is so.
    pub fn halt(&self) -> Option<Halt> {
        self.halt
    }

    /// How often it was halted since it was begun or taken up: more than once means that it is to be over at once.
    pub fn halts(&self) -> u32 {
        self.halts
    }

    /// Whether every item has had its last word.
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// The items, in the order in which slots are given out.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The position of a lane's item.
    pub fn position(&self, lane: &Lane) -> Option<usize> {
        self.by_lane.get(lane).copied()
    }

    /// How many items, one after the other, wait for this one at most.
    pub fn chain(&self, item: usize) -> u32 {
        self.graph.chain(item)
    }

    /// The items that this one waits for.
    pub fn needed_items(&self, item: usize) -> impl Iterator<Item = &Item> {
        self.graph.needs(item).iter().filter_map(|need| match need {
            Need::Item(at) => self.items.get(*at),
            Need::Outside { .. } => None,
        })
    }

    /// What all ended sessions used together.
    pub fn used(&self) -> Used {
        self.items.iter().fold(Used::default(), |sum, item| sum.and(item.used))
    }

    /// Whether what the item needs is there.
    pub fn readiness(&self, item: usize, handover: Handover) -> Ready {
        if let Some(path) = self.graph.cycle(item) {
            return Ready::Never(Skip::Cycle { path: path.to_vec() });
        }
        let mut ready = Ready::Now;
        for need in self.graph.needs(item) {
            match self.need(need, handover) {
                Ready::Now => {}
                Ready::NotYet => ready = Ready::NotYet,
                never @ Ready::Never(_) => return never,
            }
        }
        ready
    }

    fn need(&self, need: &Need, handover: Handover) -> Ready {
        use super::event::Standing;
        match need {
            Need::Outside { ticket, standing } => match (standing, handover) {
                (Standing::Closed, _) | (Standing::OnItsBranch, Handover::Stacked) => Ready::Now,
                (Standing::OnItsBranch, _) => Ready::Never(Skip::DepNotMerged { ticket_id: ticket.clone() }),
                (Standing::Open, _) => Ready::Never(Skip::DepOpen { ticket_id: ticket.clone() }),
                (Standing::Missing, _) => Ready::Never(Skip::DepMissing { ticket_id: ticket.clone() }),
            },
            Need::Item(at) => {
                let Some(item) = self.items.get(*at) else { return Ready::Now };
                let ticket_id = item.record.ticket_id.clone();
                let failed = || Ready::Never(Skip::DepFailed { ticket_id: ticket_id.clone() });
                match (&item.phase, handover) {
                    (Phase::Over(Verdict::Merged { .. } | Verdict::Skipped(Skip::Closed)), _) => Ready::Now,
                    (_, Handover::Nothing) => Ready::Never(Skip::DepNotMerged { ticket_id }),
                    (
                        Phase::Over(Verdict::Ended(Outcome::Succeeded) | Verdict::Skipped(Skip::Done { .. })),
                        Handover::Stacked,
                    ) => Ready::Now,
                    (Phase::Over(_), _) => failed(),
                    (Phase::Waiting | Phase::Starting { .. } | Phase::Running { .. }, _) => Ready::NotYet,
                    (Phase::Merging { .. }, _) => Ready::NotYet,
                }
            }
        }
    }
}

impl Item {
    fn new(record: ItemRecord) -> Self {
        let (phase, used) = (Phase::Waiting, Used::default());
        let (place, halted, last) = (None, None, None);
        Self { record, phase, place, sessions: Vec::new(), interrupted: 0, halted, last, used }
    }

    /// How many sessions it has had.
    pub fn attempts(&self) -> u32 {
        u32::try_from(self.sessions.len()).unwrap_or(u32::MAX)
    }

    /// How many of them count for retries: who interrupts a batch has not tried a ticket in vain.
    pub fn tries(&self) -> u32 {
        self.attempts().saturating_sub(self.interrupted)
    }

    /// The session that is being begun, or runs.
    pub fn session(&self) -> Option<SessionId> {
        match &self.phase {
            Phase::Starting { session, .. } | Phase::Running { session, .. } => Some(*session),
            Phase::Waiting | Phase::Merging { .. } | Phase::Over(_) => None,
        }
    }

    /// Whether it takes a slot.
    pub fn is_active(&self) -> bool {
        self.session().is_some()
    }

    /// Whether others that share one of its components must wait: until its work has landed, or never will.
    pub fn holds_components(&self) -> bool {
        self.is_active() || matches!(self.phase, Phase::Merging { .. })
    }

    /// Its last word, once it has been spoken.
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.phase {
            Phase::Over(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// Its components.
    pub fn components(&self) -> &BTreeSet<String> {
        &self.record.components
    }

    fn apply(&mut self, event: &Event, at: Timestamp) {
        match event {
            Event::Starting { session_id, .. } => {
                if !self.sessions.contains(session_id) {
                    self.sessions.push(*session_id);
                }
                self.halted = None;
                self.phase = Phase::Starting { session: *session_id, since: at };
            }
            Event::Launched { session_id, branch, base_commit, .. } => {
                let (branch, base_commit) = (branch.clone(), base_commit.clone());
                self.place = Some(WorkPlace { branch, base_commit });
                self.phase = Phase::Running { session: *session_id, since: at };
            }
            Event::NotLaunched { reason, hint, .. } => {
                let (reason, hint) = (reason.clone(), hint.clone());
                self.phase = Phase::Over(Verdict::NotLaunched { reason, hint });
            }
            Event::Withdrawn { session_id, .. } => {
                self.sessions.retain(|known| known != session_id);
                self.phase = Phase::Waiting;
            }
            Event::Ended { outcome, reason, work, usage, next, .. } => {
                self.used = self.used.and(usage.as_deref().map(Used::from).unwrap_or_default());
                self.last = Some(LastSession {
                    outcome: outcome.clone(),
                    reason: reason.clone(),
                    work: work.as_deref().cloned(),
                });
                self.interrupted += u32::from(*next == Next::Resume);
                self.phase = match next {
                    Next::Nothing => Phase::Over(Verdict::Ended(outcome.clone())),
                    Next::Stands => Phase::Over(Verdict::Ended(Outcome::Succeeded)),
                    Next::Merge => Phase::Merging { since: at },
                    Next::Retry { .. } | Next::Resume => Phase::Waiting,
                };
            }
            Event::Merging { .. } => self.phase = Phase::Merging { since: at },
            Event::Merged { into, commit, .. } => {
                self.phase = Phase::Over(Verdict::Merged { into: into.clone(), commit: commit.clone() });
            }
            Event::NotMerged { reason, files, hint, .. } => {
                let (reason, files, hint) = (reason.clone(), files.clone(), hint.clone());
                self.phase = Phase::Over(Verdict::NotMerged { reason, files, hint });
            }
            Event::Skipped { why, .. } => {
                // One that was worked on, and is not tried again, is what its last session left.
                self.phase = Phase::Over(match &self.last {
                    Some(last) => Verdict::Ended(last.outcome.clone()),
                    None => Verdict::Skipped(why.clone()),
                });
            }
            Event::Begun { .. }
            | Event::Resumed
            | Event::Added { .. }
            | Event::Closed { .. }
            | Event::Warning { .. }
            | Event::Slowed { .. }
            | Event::Halted { .. }
            | Event::Finished => {}
        }
    }
}

impl Verdict {
    /// Whether it is what was wanted.
    pub fn is_good(&self) -> bool {
        matches!(
            self,
            Self::Merged { .. }
                | Self::Ended(Outcome::Succeeded)
                | Self::Skipped(Skip::Closed | Skip::Done { .. })
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::event::{Dep, Standing};
    use super::*;

    /// Items of these names with these needs; a need that is no item stands open outside.
    pub(crate) fn items(named: &[(&str, &[&str])]) -> Vec<ItemRecord> {
        let item = |(name, deps): &(&str, &[&str])| ItemRecord {
            lane: name.parse().unwrap(),
            ticket_id: name.parse().unwrap(),
            base: None,
            title: None,
            priority: 2,
            deps: deps
                .iter()
                .map(|dep| Dep { ticket_id: dep.parse().unwrap(), standing: Standing::Open })
                .collect(),
            components: BTreeSet::new(),
        };
        named.iter().map(item).collect()
    }

    /// The beginning of a batch of these items.
    pub(crate) fn begun(items: Vec<ItemRecord>) -> Event {
        Event::Begun {
            schema_version: super::super::event::EVENTS_VERSION,
            batch_id: BatchId::generate(),
            key: "k".into(),
            command: Vec::new(),
            jobs: 2,
            base: None,
            items,
        }
    }

    /// An entry of no particular moment.
    pub(crate) fn entry(event: Event) -> Entry {
        Entry { at: Timestamp::UNIX_EPOCH, event }
    }

    /// A board that these events made.
    pub(crate) fn board(events: Vec<Event>) -> Board {
        let entries: Vec<Entry> = events.into_iter().map(entry).collect();
        Board::of(&entries)
    }

    /// The session of a lane begins.
    pub(crate) fn starting(lane: &str) -> (SessionId, Event) {
        let session_id = SessionId::generate();
        (session_id, Event::Starting { lane: lane.parse().unwrap(), session_id, attempt: 1, model: None })
    }

    /// The session of a lane has ended.
    pub(crate) fn ended(lane: &str, session_id: SessionId, outcome: Outcome, next: Next) -> Event {
        let lane = lane.parse().unwrap();
        Event::Ended {
            lane,
            session_id,
            ended_at: None,
            outcome,
            reason: None,
            work: None,
            usage: None,
            next,
        }
    }

    fn through(outcome: Outcome, next: Next) -> Board {
        let (session, starting) = starting("a");
        board(vec![begun(items(&[("a", &[]), ("b", &["a"])])), starting, ended("a", session, outcome, next)])
    }

    #[test]
    fn who_waits_goes_on_when_what_it_needs_is_where_it_can_be_had() {
        let succeeded = || through(Outcome::Succeeded, Next::Nothing);
        let ticket_id = || "a".parse().unwrap();
        assert_eq!(succeeded().readiness(1, Handover::Stacked), Ready::Now);
        assert_eq!(
            succeeded().readiness(1, Handover::Landed),
            Ready::Never(Skip::DepFailed { ticket_id: ticket_id() })
        );
        assert_eq!(
            succeeded().readiness(1, Handover::Nothing),
            Ready::Never(Skip::DepNotMerged { ticket_id: ticket_id() })
        );
        let failed = through(Outcome::Failed, Next::Nothing);
        for handover in [Handover::Landed, Handover::Stacked] {
            assert_eq!(
                failed.readiness(1, handover),
                Ready::Never(Skip::DepFailed { ticket_id: ticket_id() })
            );
        }
        let retried = through(Outcome::Failed, Next::Retry { after_s: 1.0 });
        assert_eq!(retried.readiness(1, Handover::Landed), Ready::NotYet);
        assert_eq!(retried.items()[0].phase, Phase::Waiting);
        let mut merging = through(Outcome::Succeeded, Next::Merge);
        assert_eq!(merging.readiness(1, Handover::Landed), Ready::NotYet);
        merging.apply(&entry(Event::Merged {
            lane: "a".parse().unwrap(),
            into: "main".into(),
            commit: "c".into(),
        }));
        assert_eq!(merging.readiness(1, Handover::Landed), Ready::Now);
        assert_eq!(merging.readiness(1, Handover::Nothing), Ready::Now);
    }

    #[test]
    fn what_stands_outside_counts_as_it_stands() {
        let cases = [
            (Standing::Closed, Handover::Nothing, true),
            (Standing::OnItsBranch, Handover::Stacked, true),
            (Standing::OnItsBranch, Handover::Landed, false),
            (Standing::Open, Handover::Stacked, false),
            (Standing::Missing, Handover::Stacked, false),
        ];
        for (standing, handover, ready) in cases {
            let mut items = items(&[("a", &["x"])]);
            items[0].deps[0].standing = standing;
            let found = board(vec![begun(items)]).readiness(0, handover);
            assert_eq!(found == Ready::Now, ready, "{standing:?} {handover:?}: {found:?}");
        }
    }

    #[test]
    fn an_interruption_is_over_when_the_batch_is_taken_up_again_and_a_used_up_budget_is_not() {
        let halted =
            |why| board(vec![begun(items(&[("a", &[])])), Event::Halted { why }, Event::Resumed]).halt();
        assert_eq!(halted(Halt::Interrupted), None);
        assert_eq!(halted(Halt::CostUsedUp), Some(Halt::CostUsedUp));
    }

    #[test]
    fn what_halted_a_session_is_known_until_the_next_one_also_when_the_batch_was_taken_up_since() {
        let halted = |why, last: Event| {
            let (_, starting) = starting("a");
            let begun = begun(items(&[("a", &[]), ("b", &[])]));
            board(vec![begun, starting, Event::Halted { why }, Event::Resumed, last]).items()[0].halted
        };
        assert_eq!(halted(Halt::Interrupted, Event::Resumed), Some(Halt::Interrupted));
        assert_eq!(halted(Halt::Detached, Event::Resumed), None);
        assert_eq!(halted(Halt::Interrupted, starting("a").1), None);
    }

    #[test]
    fn every_session_is_counted_once_and_its_use_added_up() {
        let (one, first) = starting("a");
        let (two, second) = starting("a");
        let usage = Usage {
            input_tokens: 10,
            output_tokens: 5,
            cost_usd: 0.5,
            model: None,
            extra: serde_json::Map::new(),
        };
        let ended = |session_id| Event::Ended {
            lane: "a".parse().unwrap(),
            session_id,
            ended_at: None,
            outcome: Outcome::Failed,
            reason: None,
            work: None,
            usage: Some(Box::new(usage.clone())),
            next: Next::Retry { after_s: 0.0 },
        };
        let board =
            board(vec![begun(items(&[("a", &[])])), first.clone(), first, ended(one), second, ended(two)]);
        assert_eq!(board.items()[0].attempts(), 2);
        assert_eq!(board.used(), Used { tokens: 30, cost: 1.0 });
    }
}
