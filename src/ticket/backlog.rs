//! All tickets together: which are ready, which are blocked and by what, and what is wrong between them.
//!
//! Ready and blocked mean what they mean to `tk`: a ticket that is open or in progress is ready if all its deps are
//! closed, and blocked otherwise; a dep that no ticket is stays open for ever. A file whose front matter has no id,
//! or that of another file, is no ticket to `tk`, so it is neither. Values only: no file is read here.

use std::collections::BTreeMap;
use std::path::Path;

use super::graph::Graph;
use super::model::{Declared, Dep, Status, Ticket};
use super::order;
use super::problem::{Cycle, Problem, Why};
use crate::id::TicketId;

/// The tickets of a folder, and how far each is.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    /// In the order of their ids.
    entries: Vec<Entry>,
    /// Between the places in `entries`.
    graph: Graph,
    /// The places in `entries`, the most urgent ticket's first.
    ranked: Vec<usize>,
    duplicates: Vec<Problem>,
}

#[derive(Debug, Clone)]
struct Entry {
    ticket: Ticket,
    status: Option<Status>,
    /// Whether it is a ticket to `tk`.
    is_listed: bool,
}

/// A ticket that has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked<'a> {
    /// The ticket.
    pub ticket: &'a Ticket,
    /// What it waits for, in the order of its deps.
    pub by: Vec<Blocker<'a>>,
}

/// What a ticket waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocker<'a> {
    /// A ticket that is not closed.
    Unclosed(&'a Ticket),
    /// An id that no ticket has.
    Missing(&'a TicketId),
    /// What cannot be an id, escaped.
    Unusable(&'a str),
}

impl Backlog {
    /// The backlog of `tickets`, whatever their order. Of two with the same id the one whose path comes first counts.
    pub fn new(tickets: impl IntoIterator<Item = Ticket>) -> Self {
        let mut all: Vec<Ticket> = tickets.into_iter().collect();
        all.sort_by(|a, b| (&a.id, &a.path).cmp(&(&b.id, &b.path)));
        let mut backlog = Self::default();
        for ticket in all {
            match backlog.entries.last() {
                Some(last) if last.ticket.id == ticket.id => {
                    let why = Why::Duplicate { id: ticket.id, other: last.ticket.path.clone() };
                    backlog.duplicates.push(Problem::of(&ticket.path, why));
                }
                _ => {
                    let is_listed = ticket.declared != Declared::Nothing;
                    backlog.entries.push(Entry { status: ticket.status, is_listed, ticket });
                }
            }
        }
        backlog.unlist_copies();
        let place = |dep: &Dep| match dep {
            Dep::Ticket(id) => backlog.at(id),
            Dep::Unusable(_) => None,
        };
        let places = |entry: &Entry| entry.ticket.deps.iter().filter_map(place).collect();
        backlog.graph = Graph { edges: backlog.entries.iter().map(places).collect() };
        let mut ranked: Vec<usize> = (0..backlog.entries.len()).collect();
        ranked.sort_by(|a, b| order::by_urgency(&backlog.entries[*a].ticket, &backlog.entries[*b].ticket));
        backlog.ranked = ranked;
        backlog
    }

    /// Front matter whose id is another one than the file's name says: a copy of another ticket where that one is
    /// there, a slip otherwise.
    fn unlist_copies(&mut self) {
        let mut declared_in: BTreeMap<&TicketId, &Path> = BTreeMap::new();
        let mut copies = Vec::new();
        let mut problems = Vec::new();
        for (number, Entry { ticket, .. }) in self.entries.iter().enumerate() {
            let Some((line, declared)) = ticket.other_id() else { continue };
            let named_so = self.at(declared).map(|at| self.entries[at].ticket.path.as_path());
            let other = named_so.or_else(|| declared_in.get(declared).copied());
            let why = match other {
                Some(other) => {
                    copies.push(number);
                    Why::Duplicate { id: declared.clone(), other: other.to_owned() }
                }
                None => {
                    declared_in.insert(declared, &ticket.path);
                    Why::OtherId { declared: declared.clone(), named: ticket.id.clone() }
                }
            };
            problems.push(Problem::at(&ticket.path, line, why));
        }
        self.duplicates.extend(problems);
        for copy in copies {
            self.entries[copy].is_listed = false;
        }
    }

    /// The backlog with another status of one ticket, as it is known from elsewhere. An id that is none of the
    /// backlog's changes nothing.
    #[must_use]
    pub fn with_status(mut self, id: &TicketId, status: Status) -> Self {
        if let Some(at) = self.at(id) {
            self.entries[at].status = Some(status);
        }
        self
    }

    /// The tickets, in the order of their ids.
    pub fn tickets(&self) -> impl ExactSizeIterator<Item = &Ticket> {
        self.entries.iter().map(|entry| &entry.ticket)
    }

    /// The ticket of that id.
    pub fn get(&self, id: &TicketId) -> Option<&Ticket> {
        self.at(id).map(|at| &self.entries[at].ticket)
    }

    /// How far a ticket is: what its file says, unless more is known.
    pub fn status(&self, id: &TicketId) -> Option<Status> {
        self.at(id).and_then(|at| self.entries[at].status)
    }

    /// The tickets that can be worked on now, in the order of `tk ready`: the most urgent first, then by id. Those in
    /// progress are among them.
    pub fn ready(&self) -> Vec<&Ticket> {
        let is_ready = |at: &usize| self.is_active(*at) && self.blockers(*at).next().is_none();
        self.ranked.iter().filter(|at| is_ready(at)).map(|at| &self.entries[*at].ticket).collect()
    }

    /// The tickets that have to wait, in the same order.
    pub fn blocked(&self) -> Vec<Blocked<'_>> {
        let active = self.ranked.iter().filter(|at| self.is_active(**at));
        let waiting =
            active.map(|at| Blocked { ticket: &self.entries[*at].ticket, by: self.blockers(*at).collect() });
        waiting.filter(|blocked| !blocked.by.is_empty()).collect()
    }

    /// What keeps a ticket from being ready, in the order of its deps: nothing, where all are closed.
    pub fn waits_for(&self, id: &TicketId) -> Vec<Blocker<'_>> {
        self.at(id).map_or_else(Vec::new, |at| self.blockers(at).collect())
    }

    /// The tickets with work left, each behind those of its deps that have work left too; of several possible ones
    /// the one that [`Self::ready`] would name first comes first. Those in a cycle or behind one are left out.
    pub fn order(&self) -> Vec<&Ticket> {
        let mut rank = vec![0; self.entries.len()];
        for (number, at) in self.ranked.iter().enumerate() {
            rank[*at] = number;
        }
        let order = self.graph.order(|at| self.is_active(at), &rank);
        order.into_iter().map(|at| &self.entries[at].ticket).collect()
    }

    /// Cycles among tickets that are not closed, so many that each ticket of a cycle is in one of them (but at most
    /// a hundred), each once and in order.
    pub fn cycles(&self) -> Vec<Cycle> {
        let is_unclosed = |at: usize| self.entries[at].is_listed && !self.is_closed(at);
        let cycle = |places: Vec<usize>| {
            Cycle(places.into_iter().map(|at| self.entries[at].ticket.id.clone()).collect())
        };
        self.graph.cycles(is_unclosed).into_iter().map(cycle).collect()
    }

    /// What is wrong between the tickets: ids that two files claim, deps of unclosed tickets that no ticket is, and
    /// cycles. In the order of the files.
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems = self.duplicates.clone();
        for at in (0..self.entries.len()).filter(|at| self.is_active(*at)) {
            for blocker in self.blockers(at) {
                if let Blocker::Missing(id) = blocker {
                    problems.push(self.problem_of_deps(at, Why::MissingDep(id.clone())));
                }
            }
        }
        for cycle in self.cycles() {
            if let Some(first) = cycle.tickets().first().and_then(|id| self.at(id)) {
                problems.push(self.problem_of_deps(first, Why::Cycle(cycle)));
            }
        }
        problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        problems
    }

    fn problem_of_deps(&self, at: usize, why: Why) -> Problem {
        let ticket = &self.entries[at].ticket;
        Problem { path: ticket.path.clone(), line: ticket.deps_line, why }
    }

    fn blockers(&self, at: usize) -> impl Iterator<Item = Blocker<'_>> {
        self.entries[at].ticket.deps.iter().filter_map(|dep| match dep {
            Dep::Unusable(text) => Some(Blocker::Unusable(text)),
            Dep::Ticket(id) => match self.at(id) {
                None => Some(Blocker::Missing(id)),
                Some(at) if self.is_closed(at) => None,
                Some(at) => Some(Blocker::Unclosed(&self.entries[at].ticket)),
            },
        })
    }

    fn is_active(&self, at: usize) -> bool {
        self.entries[at].is_listed && self.entries[at].status.is_some_and(Status::is_active)
    }

    fn is_closed(&self, at: usize) -> bool {
        self.entries[at].is_listed && self.entries[at].status == Some(Status::Closed)
    }

    /// The place of a ticket, by which [`Self::deps_at`] names others.
    pub(super) fn at(&self, id: &TicketId) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.ticket.id.cmp(id)).ok()
    }

    /// The ticket at a place, and its status; none where it is no ticket to `tk`.
    pub(super) fn listed(&self, at: usize) -> Option<(&Ticket, Option<Status>)> {
        self.entries.get(at).filter(|entry| entry.is_listed).map(|entry| (&entry.ticket, entry.status))
    }

    /// The places of the deps of the ticket at a place, as far as they are tickets.
    pub(super) fn deps_at(&self, at: usize) -> &[usize] {
        self.graph.edges.get(at).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests;
