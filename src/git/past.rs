//! What a file holds in a commit, and what it has held since another one.

use std::path::Path;

use super::merge::tracked_file;
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
}
