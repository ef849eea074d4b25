//! From tickets to items: what each one needs, touches, and is called. Pure.

use std::collections::BTreeSet;

use super::after_merge::AfterMerge;
use super::event::{Dep, ItemRecord, Skip, Standing};
use super::overlay::{Overlay, Shown};
use crate::id::{RefName, TicketId};
use crate::ticket::{self, Backlog, Status, Ticket};

/// Where items are made from.
#[derive(Clone, Copy)]
pub struct Workshop<'a> {
    /// The tickets, as far as there are any.
    pub backlog: Option<&'a Backlog>,
    /// What ended sessions show.
    pub overlay: &'a Overlay,
    /// What a tag that names a component begins with.
    pub component_prefix: &'a str,
}

/// An item, and why it is not worked on if that is known from the beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// The item.
    pub record: ItemRecord,
    /// Why it is not worked on.
    pub skip: Option<Skip>,
}

/// How urgent a ticket is that does not say so.
const USUAL_PRIORITY: u8 = 2;

impl Workshop<'_> {
    /// The item of a ticket on a base.
    pub fn item(&self, ticket_id: &TicketId, base: Option<&RefName>) -> Made {
        let ticket = self.backlog.and_then(|backlog| backlog.get(ticket_id));
        let mut skip = None;
        let mut deps = Vec::new();
        for dep in ticket.map(Ticket::deps).unwrap_or_default() {
            match dep {
                ticket::Dep::Ticket(id) => {
                    deps.push(Dep { ticket_id: id.clone(), standing: self.standing(id, base) });
                }
                ticket::Dep::Unusable(text) => {
                    let reason = format!("it needs {text:?}, which cannot be a ticket's id");
                    skip = Some(Skip::Unreadable { reason });
                }
            }
        }
        Made {
            record: ItemRecord {
                lane: self.overlay.lane(ticket_id, base),
                ticket_id: ticket_id.clone(),
                base: base.cloned(),
                title: ticket.and_then(|ticket| ticket.title().map(str::to_owned)),
                priority: ticket.map_or(USUAL_PRIORITY, |ticket| ticket.priority().number()),
                deps,
                components: ticket.map(|ticket| self.components(ticket)).unwrap_or_default(),
            },
            skip,
        }
    }

    /// The tickets that can be worked on now, the most urgent first: open, nothing they need is, no session works on them
    /// or has finished them.
    pub fn ready(&self) -> Vec<TicketId> {
        let untouched = |ticket: &TicketId| self.overlay.of(ticket, None).is_none();
        self.ready_but_for_lanes().into_iter().filter(untouched).collect()
    }

    /// The same with those that sessions work on or have finished.
    pub fn ready_but_for_lanes(&self) -> Vec<TicketId> {
        let ready = self.backlog.map(Backlog::ready).unwrap_or_default();
        ready.into_iter().map(|ticket| ticket.id().clone()).collect()
    }

    /// Whether the ticket's work is merged, and it was not opened again.
    pub fn is_merged(&self, ticket: &TicketId) -> bool {
        self.overlay.of(ticket, None) == Some(Shown::Merged)
    }

    /// The tickets that are not closed, each behind those that it needs.
    pub fn open(&self) -> Vec<TicketId> {
        let Some(backlog) = self.backlog else { return Vec::new() };
        let ordered: Vec<&Ticket> = backlog.order();
        let known: BTreeSet<&TicketId> = ordered.iter().map(|ticket| ticket.id()).collect();
        // Those in a circle, or behind one, come last: they are told why they are not worked on.
        let blocked = backlog.blocked().into_iter().map(|blocked| blocked.ticket);
        let rest = blocked.filter(|ticket| !known.contains(ticket.id()));
        ordered.iter().copied().chain(rest).map(|ticket| ticket.id().clone()).collect()
    }

    /// Those of the tickets of this backlog that were never closed since their work was merged.
    pub fn left_open(&self) -> Vec<TicketId> {
        let is_left = |ticket: &TicketId| {
            matches!(self.overlay.after_merge(ticket, None), Some(AfterMerge::LeftOpen { .. }))
        };
        self.open().into_iter().filter(is_left).collect()
    }

    /// Why the ticket is not among those that are worked on by themselves, as far as that is its lane's doing.
    pub fn passed_over(&self, ticket: &TicketId) -> Option<String> {
        Some(match self.overlay.of(ticket, None)? {
            Shown::Merged => match self.overlay.after_merge(ticket, None) {
                Some(after) => after.to_string(),
                None => "its work is merged".to_owned(),
            },
            Shown::Finished => {
                "it is finished on its branch and not merged; `ralph worktree merge` brings it in".to_owned()
            }
            Shown::Live => "its session runs".to_owned(),
        })
    }

    /// How a ticket that another one needs stands.
    fn standing(&self, ticket: &TicketId, base: Option<&RefName>) -> Standing {
        let status = self.backlog.and_then(|backlog| backlog.status(ticket));
        match (self.overlay.of(ticket, base), status) {
            (Some(Shown::Merged), _) | (_, Some(Status::Closed)) => Standing::Closed,
            (Some(Shown::Finished), _) => Standing::OnItsBranch,
            (_, None) if self.backlog.is_none_or(|backlog| backlog.get(ticket).is_none()) => {
                Standing::Missing
            }
            (Some(Shown::Live) | None, _) => Standing::Open,
        }
    }

    fn components(&self, ticket: &Ticket) -> BTreeSet<String> {
        let named = |tag: &String| tag.strip_prefix(self.component_prefix).map(str::to_owned);
        ticket.tags().iter().filter_map(named).filter(|component| !component.is_empty()).collect()
    }
}
