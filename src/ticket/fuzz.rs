//! What holds of a ticket whatever is in its file: it is read, what is shown of it is bounded and safe for a terminal,
//! and closing it changes nothing but its status.

use std::path::Path;

use super::close;
use super::layout::{Layout, Shape};
use super::model::Status;
use super::read::read;
use crate::id::TicketId;

/// A ticket's file.
pub(crate) fn file(data: &[u8]) {
    let Ok(id) = "T-1".parse::<TicketId>() else { return };
    let path = Path::new(".tickets/T-1.md");
    let layout = Layout::of(data);
    let mut at = layout.front;
    for entry in &layout.entries {
        assert!(at <= entry.bytes.start && entry.bytes.start < entry.bytes.end, "{layout:?}");
        at = entry.bytes.end;
    }
    assert!(at <= layout.body && layout.body <= data.len(), "{layout:?}");

    let (ticket, problems) = read(&id, path, data);
    let shown = [&ticket.title, &ticket.kind, &ticket.assignee].into_iter().flatten().chain(&ticket.tags);
    for text in shown {
        assert!(text.chars().count() <= 200 && !text.chars().any(char::is_control), "{text:?}");
    }
    let lines = 1 + data.iter().filter(|byte| **byte == b'\n').count();
    for problem in &problems {
        let said = problem.to_string();
        assert!(said.len() < 2000 && !said.chars().any(char::is_control), "{said:?}");
        assert!(
            problem.line.is_none_or(|line| (1..=lines).contains(&line)),
            "line {:?} of {lines}",
            problem.line
        );
    }

    let Some(closed) = close(data) else { return assert_eq!(layout.shape, Shape::Absent) };
    assert_eq!(
        read(&id, path, &closed).0.status(),
        Some(Status::Closed),
        "{:?}",
        String::from_utf8_lossy(&closed)
    );
    assert_eq!(close(&closed).as_ref(), Some(&closed), "closed twice");
    let (body, after) = (&data[layout.body..], &closed[Layout::of(&closed).body..]);
    assert_eq!(body, after, "the body changed");
}
