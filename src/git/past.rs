//! What a file holds in a commit, and what it has held since another one.

use std::path::Path;

use super::merge::{contains, tracked_file};
use super::repo::{Backend, Repo};
use super::{CommitId, GitError};

/// A larger file is not read whole.
const LARGEST: usize = 16 << 20;

impl Repo {
    /// What a commit has in the file at `path`; `None` where that is nothing, no file of its own, or too large.
    pub fn content(&self, commit: &CommitId, path: &Path) -> Result<Option<Vec<u8>>, GitError> {
        if let Backend::Libgit2(repo) = self.backend() {
            let failed = |e| GitError::libgit2("read a file of", commit, e);
            let tree = repo.find_commit(commit.oid()?).and_then(|c| c.tree()).map_err(failed)?;
            let entry = match tree.get_path(path) {
                Ok(entry) => entry,
                Err(e) if e.code() == git2::ErrorCode::NotFound => return Ok(None),
                Err(e) => return Err(failed(e)),
            };
            if entry.filemode() & 0o170_000 != 0o100_000 {
                return Ok(None);
            }
            let (size, _) = repo.odb().and_then(|odb| odb.read_header(entry.id())).map_err(failed)?;
            if size > LARGEST {
                return Ok(None);
            }
            let blob = repo.find_blob(entry.id()).map_err(failed)?;
            return Ok(Some(blob.content().to_owned()));
        }
        Ok(tracked_file(self, commit, path)?.map(|file| file.content))
    }
}

/// Whether the file at `path` has held that in `since`, or in a commit that `tip` has and `since` has not.
pub fn has_held(
    repo: &Repo,
    since: &CommitId,
    tip: &CommitId,
    path: &Path,
    that: &dyn Fn(&[u8]) -> bool,
) -> Result<bool, GitError> {
    let held = |commit: &CommitId| Ok::<_, GitError>(repo.content(commit, path)?.is_some_and(|c| that(&c)));
    if held(since)? {
        return Ok(true);
    }
    // A merge that took one side as it was is left out; the commit that made that side what it is, is not.
    let out = repo
        .read()
        .args(["--literal-pathspecs", "rev-list", "--full-history"])
        .args([tip.as_str(), &format!("^{since}"), "--"])
        .arg(path)
        .succeed()?;
    for line in String::from_utf8_lossy(&out).lines() {
        if held(&line.parse()?)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first commit of a branch that has `tip`: `now` is the branch's commit, and the way is that of first parents. `tip`
/// itself where the branch has been there.
pub fn first_with(repo: &Repo, tip: &CommitId, now: &CommitId) -> Result<CommitId, GitError> {
    let out = repo
        .read()
        .args(["rev-list", "--first-parent", "--parents", now.as_str(), &format!("^{tip}"), "--"])
        .succeed()?;
    // The newest first, each with its first parent behind it.
    let text = String::from_utf8_lossy(&out);
    let line: Vec<&str> = text.lines().collect();
    let commit = |line: &str| line.split(' ').next().unwrap_or_default().parse::<CommitId>();
    // From some commit on all of them have it.
    let (mut with, mut without) = (0, line.len());
    while with < without {
        let middle = with + (without - with) / 2;
        match contains(repo, &commit(line[middle])?, tip)? {
            true => with = middle + 1,
            false => without = middle,
        }
    }
    let Some(first) = with.checked_sub(1).map(|at| line[at]) else { return Ok(now.clone()) };
    match first.split(' ').nth(1) == Some(tip.as_str()) {
        true => Ok(tip.clone()),
        false => commit(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::fixture::Fixture;

    #[test]
    fn what_a_file_has_held_since_is_found_on_whatever_way_it_came() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let commit = |content: &str, message: &str| -> CommitId {
            fixture.write("repo/notes.txt", content);
            fixture.commit_all("repo", message);
            fixture.git("repo", &["rev-parse", "HEAD"]).parse().unwrap()
        };
        commit("before", "Before");
        let since = commit("one", "One");
        fixture.git("repo", &["switch", "-q", "-c", "side"]);
        commit("side", "Side");
        fixture.git("repo", &["switch", "-q", "main"]);
        fixture.write("repo/other.txt", "other");
        fixture.commit_all("repo", "Other");
        fixture.git("repo", &["merge", "-q", "--no-edit", "side"]);
        let tip = commit("one", "One again");
        let path = Path::new("notes.txt");
        let held = |content: &str| has_held(&repo, &since, &tip, path, &|c| c == content.as_bytes()).unwrap();
        assert_eq!(["before", "one", "side", "two"].map(held), [false, true, true, false]);
        assert_eq!(repo.content(&tip, path).unwrap().as_deref(), Some(b"one".as_slice()));
        assert_eq!(repo.content(&tip, Path::new("none")).unwrap(), None);
        std::os::unix::fs::symlink("notes.txt", fixture.path("repo/link")).unwrap();
        fixture.commit_all("repo", "A link");
        let tip = fixture.git("repo", &["rev-parse", "HEAD"]).parse().unwrap();
        assert_eq!(repo.content(&tip, Path::new("link")).unwrap(), None);
    }

    #[test]
    fn the_first_commit_that_has_a_tip_is_where_it_came_in() {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let at = |name: &str| -> CommitId { fixture.git("repo", &["rev-parse", name]).parse().unwrap() };
        let empty = |message: &str| {
            fixture.git("repo", &["commit", "-q", "--allow-empty", "-m", message]);
            at("HEAD")
        };
        fixture.git("repo", &["switch", "-q", "-c", "side"]);
        let side = empty("Side");
        fixture.git("repo", &["switch", "-q", "main"]);
        let before = empty("Before");
        fixture.git("repo", &["merge", "-q", "--no-edit", "side"]);
        let merged = at("HEAD");
        let mut now = empty("After");
        assert_eq!(first_with(&repo, &side, &merged).unwrap(), merged);
        assert_eq!(first_with(&repo, &side, &now).unwrap(), merged);
        assert_eq!(first_with(&repo, &side, &before).unwrap(), before, "it does not have it");
        // Where the branch has been itself.
        assert_eq!(first_with(&repo, &before, &now).unwrap(), before);
        assert_eq!(first_with(&repo, &now, &now).unwrap(), now);
        for _ in 0..4 {
            now = empty("More");
        }
        assert_eq!(first_with(&repo, &side, &now).unwrap(), merged);
    }
}
