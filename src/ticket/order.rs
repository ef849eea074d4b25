//! The order of `tk ready` and `tk blocked`: by priority, then by id. Where that leaves two tickets equal, the older
//! comes first.
//!
//! `tk` compares ids as awk does: as numbers where both are numbers, else as bytes. That alone is no order (`10` <
//! `1a` < `9` < `10`); here numbers come before other ids, which agrees unless such a mixture begins with digits.

use std::cmp::Ordering;

use super::model::Ticket;
use crate::id::TicketId;

/// Which of two tickets comes first.
pub(super) fn by_urgency(a: &Ticket, b: &Ticket) -> Ordering {
    a.priority
        .cmp(&b.priority)
        .then_with(|| as_awk_compares(&a.id, &b.id))
        .then_with(|| age(a).cmp(&age(b)))
        .then_with(|| a.id.cmp(&b.id))
}

/// Which of two ids comes first.
pub(super) fn as_awk_compares(a: &TicketId, b: &TicketId) -> Ordering {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// The value of an id that awk takes for a number, such as `007`, `1.5` or `12e3`.
fn number(id: &TicketId) -> Option<f64> {
    let is_number = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | 'e' | 'E');
    let text = id.as_str();
    if text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(is_number) {
        text.parse().ok()
    } else {
        None
    }
}

/// Tickets of which it is not known when they were written come last.
fn age(ticket: &Ticket) -> (bool, Option<jiff::Timestamp>) {
    (ticket.created.is_none(), ticket.created)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::read::read;
    use std::path::Path;

    fn sorted(tickets: &[(&str, &str)]) -> Vec<String> {
        let read = |(id, fields): &(&str, &str)| {
            let content = format!("---\nid: {id}\nstatus: open\n{fields}\n---\n");
            read(&id.parse().unwrap(), Path::new("x"), content.as_bytes()).0
        };
        let mut tickets: Vec<Ticket> = tickets.iter().map(read).collect();
        tickets.sort_by(by_urgency);
        tickets.iter().map(|ticket| ticket.id.as_str().to_owned()).collect()
    }

    #[test]
    fn the_most_urgent_come_first_then_the_smaller_ids_then_the_older() {
        for (tickets, expected) in [
            (&[("b", "priority: 1"), ("a", ""), ("c", "priority: 0"), ("B", "priority: 1")][..], "c B b a"),
            (&[("b", "created: 2020-01-01"), ("a", "created: 2026-01-01")], "a b"),
            (&[("10", ""), ("9", ""), ("a", ""), ("1.5", "")], "1.5 9 10 a"),
            (&[("07", ""), ("7", "created: 2026-01-02"), ("007", "created: 2026-01-01")], "007 7 07"),
            (&[("7", ""), ("007", ""), ("ü", ""), ("z", "")], "007 7 z ü"),
            (&[("12e3", ""), ("9", ""), ("9x", ""), ("1.2.3", "")], "9 12e3 1.2.3 9x"),
        ] {
            assert_eq!(sorted(tickets).join(" "), expected, "{tickets:?}");
        }
    }
}
