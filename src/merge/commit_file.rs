//! A commit with one changed file on a branch, such as a ticket that is closed: it lands as a merge does.

use std::path::Path;

use super::commit::{Desk, New, commit, refuse_changes};
use super::error::MergeError;
use super::land::{Landed, Load, discard, keep, land};
use super::queue::{self, Entry, wait_for_turn};
use super::settle::settle_and_tell;
use super::{IfChanged, Place, Progress, WhyNoTarget};
use crate::git::{
    BY_RALPH, CommitId, DraftKind, edited_tree, keep_collector_off, refuse_without_identity, tip_of,
    tracked_file,
};
use crate::id::{BranchName, Lane};

/// A changed file to be committed.
#[derive(Clone, Copy)]
pub struct FileEdit<'a> {
    /// For whom, for messages.
    pub lane: &'a Lane,
    /// The branch.
    pub target: &'a BranchName,
    /// The file, relative to the repository's top.
    pub path: &'a Path,
    /// Makes the new content from what the branch has; `None`: there is nothing to change.
    pub edit: &'a dyn Fn(&[u8]) -> Option<Vec<u8>>,
    /// What the commit says.
    pub message: &'a str,
    /// What to do if git's settings or hooks were changed since the lane's agent was launched.
    pub changes: IfChanged,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edited {
    /// The branch was moved to this commit.
    Committed(CommitId),
    /// The file is as it should be.
    Unchanged,
    /// The branch has no such file.
    NotTracked,
}

const TRIES: usize = 5;

/// Commits it. A worktree that has the branch checked out follows, or is in the way, as with a merge. The
/// user's commit hooks have their say.
pub fn commit_file(
    place: &Place<'_>,
    edit: &FileEdit<'_>,
    progress: &dyn Progress,
) -> Result<Edited, MergeError> {
    let what = format!("{} on {}", edit.path.display(), edit.target);
    let cancelled = || MergeError::Cancelled { lane: edit.lane.clone() };
    let turn = wait_for_turn(place.store, &what, progress)?.ok_or_else(cancelled)?;
    settle_and_tell(place, &turn, None, progress)?;
    if let Some(record) = place.store.lane(edit.lane)? {
        refuse_changes(place, &record, edit.changes)?;
    }
    let mut entry = queue::begin(place, &turn, &what)?;
    let desk = Desk { place, turn: &turn, lane: edit.lane, progress };
    let edited = until_landed(desk, &mut entry, edit);
    if matches!(entry.stage, queue::Stage::Making) {
        discard(place, &mut entry)?;
    }
    edited
}

fn until_landed(desk: Desk<'_>, entry: &mut Entry, edit: &FileEdit<'_>) -> Result<Edited, MergeError> {
    let Desk { place, turn, .. } = desk;
    let FileEdit { lane, target, path, message, .. } = *edit;
    refuse_without_identity(place.repo)?;
    for _ in 0..TRIES {
        let Some(from) = tip_of(place.repo, target)? else {
            let (lane, name) = (lane.clone(), target.to_string());
            return Err(MergeError::NoTarget { lane, name, why: WhyNoTarget::Gone });
        };
        let Some(file) = tracked_file(place.repo, &from, path)? else { return Ok(Edited::NotTracked) };
        let Some(content) = (edit.edit)(&file.content).filter(|content| *content != file.content) else {
            return Ok(Edited::Unchanged);
        };
        let scratch = queue::scratch(place.store, entry.id);
        // Until a reference leads to what is made.
        let collector_off = keep_collector_off(place.repo)?;
        let tree = edited_tree(place.repo, &scratch, &from, path, &file.holding(content))?;
        let to = commit(
            desk,
            entry,
            New { tree, onto: &from, kind: DraftKind::Plain, message: message.to_owned() },
        )?;
        keep(place, entry, &to, &[&from])?;
        drop(collector_off);
        let log = format!("commit: {} {BY_RALPH}", message.lines().next().unwrap_or_default());
        let load = Load { target, from: &from, to: &to, log: &log, lane: None };
        match land(place, turn, entry, load, None)? {
            Landed::Done { notes, .. } => {
                notes.iter().for_each(|note| desk.progress.note(note));
                return Ok(Edited::Committed(to));
            }
            Landed::Moved => {}
        }
    }
    Err(MergeError::TargetKeptMoving { target: target.clone(), tries: TRIES })
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::fs;

    use super::*;
    use crate::git::tests::fixture::Fixture;
    use crate::process::identity::Machine;
    use crate::session::store::Store;

    #[derive(Default)]
    struct Heard(RefCell<Vec<String>>);

    impl Progress for Heard {
        fn note(&self, text: &str) {
            self.0.borrow_mut().push(text.to_owned());
        }
    }

    const TICKET: &str = "repo/.tickets/T-1.md";

    fn closed(text: &[u8]) -> Option<Vec<u8>> {
        Some(String::from_utf8_lossy(text).replace("open", "closed").into_bytes())
    }

    fn close(fixture: &Fixture, target: &str, path: &str) -> Result<Edited, MergeError> {
        let (closed, heard) = close_and_hear(fixture, target, path);
        assert_eq!(heard, Vec::<String>::new());
        closed
    }

    fn close_and_hear(
        fixture: &Fixture,
        target: &str,
        path: &str,
    ) -> (Result<Edited, MergeError>, Vec<String>) {
        let repo = fixture.repo();
        let (store, machine) = (Store::at(repo.common_dir()), Machine::this().unwrap());
        let root = fixture.path("repo.ralph");
        let place = Place { repo: &repo, store: &store, machine: &machine, root: &root };
        let (lane, target) = ("T-1".parse().unwrap(), target.parse().unwrap());
        let edit = FileEdit {
            lane: &lane,
            target: &target,
            path: path.as_ref(),
            edit: &closed,
            message: "Close T-1",
            changes: IfChanged::Refuse,
        };
        let heard = Heard::default();
        (commit_file(&place, &edit, &heard), heard.0.into_inner())
    }

    fn ticket(status: &str) -> String {
        format!("---\nid: T-1\nstatus: {status}\n---\n# Title\n")
    }

    #[test]
    fn a_ticket_is_closed_by_a_commit_and_the_checkout_follows() {
        let fixture = Fixture::new();
        fixture.write(TICKET, ticket("open"));
        fixture.commit_all("repo", "ticket");
        // What the user has staged stays staged, and an edited status gives way.
        fixture.write("repo/README.md", "staged");
        fixture.git("repo", &["add", "README.md"]);
        fixture.write(TICKET, ticket("in_progress"));
        let Edited::Committed(commit) = close(&fixture, "main", ".tickets/T-1.md").unwrap() else { panic!() };
        assert_eq!(fixture.git("repo", &["rev-parse", "main"]), commit.as_str());
        assert_eq!(
            fixture.git("repo", &["show", "--format=%s", "--name-only", "main"]),
            "Close T-1\n\n.tickets/T-1.md"
        );
        assert_eq!(std::fs::read_to_string(fixture.path(TICKET)).unwrap(), ticket("closed"));
        assert_eq!(fixture.git("repo", &["status", "--porcelain"]), "M  README.md");
        assert_eq!(close(&fixture, "main", ".tickets/T-1.md").unwrap(), Edited::Unchanged);
        assert_eq!(close(&fixture, "main", ".tickets/T-9.md").unwrap(), Edited::NotTracked);
        assert_eq!(close(&fixture, "main", ".tickets").unwrap(), Edited::NotTracked);
        assert!(matches!(close(&fixture, "none", ".tickets/T-1.md"), Err(MergeError::NoTarget { .. })));
        assert_eq!(fixture.git("repo", &["for-each-ref", "refs/ralph"]), "");
    }

    #[test]
    fn a_checkout_that_could_not_be_brought_along_when_a_ticket_was_closed_is_told_of() {
        let fixture = Fixture::new();
        fixture.write(TICKET, ticket("open"));
        fixture.commit_all("repo", "ticket");
        fixture.write("repo/.git/info/attributes", ".tickets/* filter=users\n");
        // Someone may have staged something while git's lock was gone.
        fixture.git("repo", &["config", "filter.users.smudge", "rm .git/index.lock; cat"]);
        let (closed, heard) = close_and_hear(&fixture, "main", ".tickets/T-1.md");
        assert!(matches!(closed, Ok(Edited::Committed(_))), "{closed:?}");
        assert!(matches!(&heard[..], [told] if told.contains("could not be brought along")), "{heard:?}");
    }

    #[test]
    fn an_interrupted_merge_that_cannot_be_finished_is_told_and_is_in_no_ones_way() {
        let fixture = Fixture::new();
        fixture.write(TICKET, ticket("open"));
        fixture.commit_all("repo", "ticket");
        let entry = format!("repo/.git/ralph/queue/{}.json", uuid::Uuid::now_v7());
        fs::create_dir_all(fixture.path("repo/.git/ralph/queue")).unwrap();
        fixture.write(&entry, "{");
        let (edited, told) = close_and_hear(&fixture, "main", ".tickets/T-1.md");
        assert!(matches!(edited, Ok(Edited::Committed(_))), "{edited:?}");
        let is_left = |note: &String| note.contains("is left as it is") && note.contains(".json is damaged");
        assert!(matches!(&told[..], [note] if is_left(note)), "{told:?}");
    }

    #[test]
    fn an_edit_of_more_than_the_status_is_in_the_way() {
        let fixture = Fixture::new();
        fixture.write(TICKET, ticket("open"));
        fixture.commit_all("repo", "ticket");
        fixture.write(TICKET, ticket("open") + "A note.\n");
        let before = fixture.git("repo", &["rev-parse", "main"]);
        assert!(matches!(close(&fixture, "main", ".tickets/T-1.md"), Err(MergeError::InTheWay { .. })));
        assert_eq!(fixture.git("repo", &["rev-parse", "main"]), before);
    }
}
