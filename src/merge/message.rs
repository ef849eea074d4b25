//! What the commits of merges say. Pure.

use crate::config::MergeStrategy;
use crate::id::{BranchName, Lane, SessionId};

/// The trailer that names the ticket.
pub(super) const TICKET: &str = "Ralph-Ticket";
/// The trailer that names the lane, where that is more than the ticket.
pub(super) const LANE: &str = "Ralph-Lane";
/// The trailer that names the session that the work came from.
pub(super) const SESSION: &str = "Ralph-Session";

/// No more commits are listed in a message.
pub(super) const MOST_LISTED: usize = 200;

/// What a merge's message is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) lane: &'a Lane,
    pub(super) branch: &'a BranchName,
    pub(super) title: Option<&'a str>,
    pub(super) session: Option<SessionId>,
    /// The subjects of the lane's commits, oldest first.
    pub(super) commits: &'a [String],
}

/// The message of the commit that a strategy makes.
pub(super) fn message(strategy: MergeStrategy, subject: &Subject<'_>) -> String {
    let title = subject.title.map(one_line).filter(|title| !title.is_empty());
    let ticket = subject.lane.ticket();
    let (first, body) = match (strategy, title) {
        (MergeStrategy::Squash, title) => {
            let listed: Vec<String> =
                subject.commits.iter().map(|subject| format!("* {}", one_line(subject))).collect();
            let first = match (title, subject.commits) {
                (Some(title), _) => format!("{title} ({ticket})"),
                (None, [only]) => one_line(only),
                (None, _) => format!("Squash {}", subject.branch),
            };
            (first, listed.join("\n"))
        }
        (_, Some(title)) => (format!("Merge {}: {title}", subject.branch), String::new()),
        (_, None) => (format!("Merge {}", subject.branch), String::new()),
    };
    let mut parts = vec![first];
    if !body.is_empty() {
        parts.push(body);
    }
    parts.push(trailers(subject));
    parts.join("\n\n")
}

fn trailers(subject: &Subject<'_>) -> String {
    let mut lines = vec![format!("{TICKET}: {}", subject.lane.ticket())];
    if subject.lane.base().is_some() {
        lines.push(format!("{LANE}: {}", subject.lane));
    }
    lines.extend(subject.session.map(|session| format!("{SESSION}: {session}")));
    lines.join("\n")
}

fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(strategy: MergeStrategy, lane: &str, title: Option<&str>, commits: &[&str]) -> String {
        let lane: Lane = lane.parse().unwrap();
        let commits: Vec<String> = commits.iter().map(|c| (*c).to_owned()).collect();
        let branch = lane.default_branch();
        message(strategy, &Subject { lane: &lane, branch: &branch, title, session: None, commits: &commits })
    }

    #[test]
    fn a_merge_names_branch_and_ticket() {
        let merge = MergeStrategy::Merge;
        assert_eq!(
            said(merge, "T-1", Some("Sort the items"), &[]),
            "Merge ralph/T-1: Sort the items\n\nRalph-Ticket: T-1"
        );
        assert_eq!(said(merge, "T-1", None, &[]), "Merge ralph/T-1\n\nRalph-Ticket: T-1");
        assert_eq!(
            said(merge, "T-1@next", None, &[]),
            "Merge ralph/T-1@next\n\nRalph-Ticket: T-1\nRalph-Lane: T-1@next"
        );
    }

    #[test]
    fn a_squash_lists_what_it_holds() {
        let squash = MergeStrategy::Squash;
        assert_eq!(
            said(squash, "T-1", Some("Sort\u{1b}[31m it"), &["one", "two"]),
            "Sort [31m it (T-1)\n\n* one\n* two\n\nRalph-Ticket: T-1"
        );
        assert_eq!(said(squash, "T-1", None, &["one"]), "one\n\n* one\n\nRalph-Ticket: T-1");
        assert_eq!(said(squash, "T-1", Some(" "), &[]), "Squash ralph/T-1\n\nRalph-Ticket: T-1");
    }
}
