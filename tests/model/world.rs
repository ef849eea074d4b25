//! What ralph is expected to do: the lanes, their sessions and their work, as a handful of facts. Pure.

use std::collections::BTreeSet;

use super::step::{Play, Step, TICKETS};

/// The current session of a lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session {
    /// None was ever begun.
    None,
    /// Its supervisor and its agent live.
    Live,
    /// Its supervisor was killed, and no one has noticed yet.
    Orphaned,
    /// It has ended so.
    Ended(&'static str),
}

/// A lane with a worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    pub session: Session,
    /// The steps whose files lie uncommitted in its worktree.
    pub dirty: BTreeSet<usize>,
}

/// A ticket, and all that there is of its work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ticket {
    pub lane: Option<Lane>,
    /// The lanes in the trash, the newest last.
    pub trash: Vec<Lane>,
    /// The commits of its branch that `main` does not have, by the step that made them.
    pub ahead: BTreeSet<usize>,
}

/// Everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct World {
    pub tickets: [Ticket; TICKETS.len()],
    /// The commits that `main` has, by the step that made them.
    pub merged: BTreeSet<usize>,
}

impl World {
    /// Takes the step `at`, and answers the exit status that it must have. A step that does not go through ralph has 0.
    pub fn take(&mut self, at: usize, step: Step) -> i32 {
        if step.settles_first() {
            self.settle();
        }
        let Self { tickets, merged } = self;
        match step {
            Step::Recover => 0,
            Step::Create(ticket) => tickets[ticket].create(),
            Step::Dispatch(ticket, play) => tickets[ticket].dispatch(at, play),
            Step::Retry(ticket) => tickets[ticket].retry(at),
            Step::Stop(ticket) => tickets[ticket].stop(),
            Step::KillSupervisor(ticket) => tickets[ticket].lose_supervisor(),
            Step::Merge(ticket) => tickets[ticket].merge(merged),
            Step::Remove(ticket) => tickets[ticket].remove(|lane| lane.dirty.is_empty()),
            Step::RemoveWithUnsaved(ticket) => tickets[ticket].remove(|_| true),
            Step::Restore(ticket) => tickets[ticket].restore(),
        }
    }

    /// Every session without a supervisor is noticed.
    fn settle(&mut self) {
        for lane in self.tickets.iter_mut().filter_map(|ticket| ticket.lane.as_mut()) {
            if lane.session == Session::Orphaned {
                lane.session = Session::Ended("lost");
            }
        }
    }
}

impl Ticket {
    fn lane(&mut self) -> &mut Lane {
        self.lane.get_or_insert_with(|| Lane { session: Session::None, dirty: BTreeSet::new() })
    }

    fn is_live(&self) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.session == Session::Live)
    }

    fn create(&mut self) -> i32 {
        if self.is_live() {
            return 4;
        }
        self.lane();
        0
    }

    fn dispatch(&mut self, at: usize, play: Play) -> i32 {
        if self.is_live() {
            return 4;
        }
        if play.commits() {
            self.ahead.insert(at);
        }
        let lane = self.lane();
        if play.leaves_files() {
            lane.dirty.insert(at);
        }
        let of_work = |outcome| if lane.dirty.is_empty() { outcome } else { "uncommitted" };
        lane.session = match play {
            Play::Commits => Session::Ended(of_work("succeeded")),
            Play::DoesNothing => Session::Ended(of_work("no_changes")),
            Play::LeavesFiles => Session::Ended("uncommitted"),
            Play::Fails => Session::Ended("failed"),
            Play::RunsOn => Session::Live,
        };
        match lane.session {
            Session::Ended("succeeded") | Session::Live => 0,
            _ => 1,
        }
    }

    /// A batch of one ticket, whose first session fails and whose second commits.
    fn retry(&mut self, at: usize) -> i32 {
        // One that is busy is skipped, and the batch has not come to a good end.
        if self.is_live() { 1 } else { self.dispatch(at, Play::Commits) }
    }

    fn stop(&mut self) -> i32 {
        match &mut self.lane {
            None => 3,
            Some(Lane { session: Session::None, .. }) => 3,
            Some(lane) => {
                match lane.session {
                    Session::Live => lane.session = Session::Ended("stopped"),
                    Session::Orphaned => lane.session = Session::Ended("lost"),
                    Session::None | Session::Ended(_) => {}
                }
                0
            }
        }
    }

    fn lose_supervisor(&mut self) -> i32 {
        if let Some(lane) = self.lane.as_mut().filter(|lane| lane.session == Session::Live) {
            lane.session = Session::Orphaned;
        }
        0
    }

    fn merge(&mut self, merged: &mut BTreeSet<usize>) -> i32 {
        if self.lane.is_none() {
            return 3;
        }
        if self.is_live() {
            return 4;
        }
        merged.append(&mut self.ahead);
        0
    }

    fn remove(&mut self, may: impl Fn(&Lane) -> bool) -> i32 {
        match self.lane.take() {
            None => 3,
            Some(lane) if lane.session == Session::Live || !may(&lane) => {
                self.lane = Some(lane);
                4
            }
            Some(lane) => {
                self.trash.push(lane);
                0
            }
        }
    }

    fn restore(&mut self) -> i32 {
        if self.trash.is_empty() {
            return 3;
        }
        if self.lane.is_some() {
            return 4;
        }
        self.lane = self.trash.pop();
        0
    }
}
