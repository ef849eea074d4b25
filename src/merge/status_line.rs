//! A ticket's file of the user's of which a merge loses nothing is not in its way. Pure.
//!
//! `tk start` and `tk close` write the status into the file in the user's checkout, while the branch may have changed
//! the same file. The merge's text wins, and the status of both: the branch's where it changed it, else the user's.
//!
//! A ticket that was never committed is copied into its worktree, and the agent may commit the copy. It takes the place
//! of the user's where it has every line of that, whatever it adds, ticks, or says of the status.

use std::path::Path;

use crate::git::Versions;
use crate::ticket;

/// What an edited file is to hold after a merge; `None` where the edit is in the way.
pub(super) fn reconcile(path: &Path, versions: Versions<'_>) -> Option<String> {
    if !is_ticket(path) {
        return None;
    }
    let Some(old) = versions.old else {
        return has_every_line(versions.mine, versions.new).then(|| versions.new.to_owned());
    };
    // git may write the file with other line ends than it keeps (`core.autocrlf`).
    if versions.mine.contains("\r\n") && !old.contains('\r') && !versions.new.contains('\r') {
        let mine = versions.mine.replace("\r\n", "\n");
        let then = reconcile(path, Versions { old: Some(old), mine: &mine, new: versions.new })?;
        return Some(then.replace('\n', "\r\n"));
    }
    let (old, mine, new) = (split(old)?, split(versions.mine)?, split(versions.new)?);
    if (old.before, old.after) != (mine.before, mine.after) {
        return None;
    }
    let status = if new.status == old.status { mine.status } else { new.status };
    Some(format!("{}{status}{}", new.before, new.after))
}

/// Whether the new text has all lines of the other one, in their order; but for the status, and for boxes that were ticked.
fn has_every_line(mine: &str, new: &str) -> bool {
    if mine == new {
        return true;
    }
    let (Some(mine), Some(new)) = (split(mine), split(new)) else { return false };
    let is_in = |mine: &str, new: &str| {
        let mut lines = new.lines();
        mine.lines().all(|line| lines.any(|other| other == line || other == line.replacen("[ ]", "[x]", 1)))
    };
    is_in(mine.before, new.before) && is_in(mine.after, new.after)
}

fn is_ticket(path: &Path) -> bool {
    path.parent() == Some(Path::new(ticket::FOLDER))
        && path.extension().is_some_and(|extension| extension == "md")
}

/// A ticket's text around the line of its status.
struct Parts<'a> {
    before: &'a str,
    status: &'a str,
    after: &'a str,
}

/// Takes the text apart at the `status:` line of its front matter.
fn split(text: &str) -> Option<Parts<'_>> {
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let bare = line.trim_end();
        match number {
            0 if bare != "---" => return None,
            0 => {}
            _ if bare == "---" => return None,
            _ if line.starts_with("status:") => {
                let (before, rest) = text.split_at_checked(at)?;
                let (status, after) = rest.split_at_checked(line.len())?;
                return Some(Parts { before, status, after });
            }
            _ => {}
        }
        at += line.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(status: &str, text: &str) -> String {
        format!("---\nid: T-1\nstatus: {status}\ndeps: []\n---\n# Title\n{text}")
    }

    #[test]
    fn only_an_edit_of_the_status_is_not_in_the_way() {
        let path = Path::new(".tickets/T-1.md");
        let old = ticket("open", "");
        let cases = [
            // The user's, the merge's, what comes of it.
            (ticket("in_progress", ""), ticket("open", "more\n"), Some(ticket("in_progress", "more\n"))),
            (ticket("in_progress", ""), ticket("closed", "more\n"), Some(ticket("closed", "more\n"))),
            (ticket("closed", "a note\n"), ticket("closed", ""), None),
            (ticket("in_progress", "").replace("deps: []", "deps: [T-2]"), ticket("closed", ""), None),
            (ticket("in_progress", ""), "no ticket any more\n".to_owned(), None),
            (
                ticket("in_progress", "").replace('\n', "\r\n"),
                ticket("open", "more\n"),
                Some(ticket("in_progress", "more\n").replace('\n', "\r\n")),
            ),
            (ticket("in_progress", "mine\n").replace('\n', "\r\n"), ticket("open", "more\n"), None),
            (String::new(), ticket("closed", ""), None),
        ];
        for (mine, new, expected) in cases {
            let versions = Versions { old: Some(&old), mine: &mine, new: &new };
            assert_eq!(reconcile(path, versions), expected, "{mine:?} {new:?}");
            assert_eq!(reconcile(Path::new("notes.md"), versions), None);
        }
    }

    #[test]
    fn a_status_line_outside_of_the_front_matter_is_text() {
        let path = Path::new(".tickets/T-1.md");
        let text = |status: &str| format!("---\nid: T-1\n---\nstatus: {status}\n");
        let (old, mine) = (text("open"), text("closed"));
        assert_eq!(reconcile(path, Versions { old: Some(&old), mine: &mine, new: &old }), None);
    }

    #[test]
    fn a_copy_takes_the_place_of_a_ticket_that_was_never_committed_if_nothing_of_it_is_lost() {
        let path = Path::new(".tickets/T-1.md");
        let mine = ticket("open", "Do it.\n- [ ] tests\n");
        let cases = [
            (ticket("open", "Do it.\n- [ ] tests\n"), true),
            (ticket("closed", "Do it.\n- [x] tests\n\n## Notes\nDone.\n"), true),
            (ticket("open", "Do it.\nAnd that.\n- [ ] tests\n"), true),
            (ticket("closed", "Do it.\n"), false),
            (ticket("closed", "- [x] tests\nDo it.\n"), false),
            (ticket("closed", "Do something else.\n- [x] tests\n"), false),
            ("Do it.\n- [ ] tests\n".to_owned(), false),
        ];
        for (new, taken) in cases {
            let versions = Versions { old: None, mine: &mine, new: &new };
            assert_eq!(reconcile(path, versions), taken.then(|| new.clone()), "{new:?}");
            assert_eq!(reconcile(Path::new("notes.md"), versions), None);
        }
        let plain = Versions { old: None, mine: "plain\n", new: "plain\n" };
        assert_eq!(reconcile(path, plain).as_deref(), Some("plain\n"));
    }
}
