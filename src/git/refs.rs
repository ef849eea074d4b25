//! References and the commits they lead to, through either engine.
//!
//! Names are always full (`refs/heads/…`): nothing here can be taken for an expression or an option. Writes compare
//! first: a reference that is not what it was thought to be is not written.

use std::path::Path;

use git2::ErrorCode;
use walkdir::WalkDir;

use super::program::{Call, Place};
use super::repo::{Backend, Repo};
use super::{CommitId, GitError, pipes, reflock};
use crate::durable::{self, FileError};
use crate::failpoint;

/// How far two commits are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Distance {
    /// Commits that only the first has.
    pub(super) ahead: usize,
    /// Commits that only the second has.
    pub(super) behind: usize,
}

impl Repo {
    /// The commit that a reference leads to, through tags and symbolic references; `None` where it is not there.
    pub(super) fn commit_of(&self, full: &str) -> Result<Option<CommitId>, GitError> {
        let repo = match self.backend() {
            Backend::Libgit2(repo) => repo,
            Backend::Program(_) => return self.rev_parse(full),
        };
        let Some(reference) = self.find(repo, full)? else { return Ok(None) };
        self.refuse_chain(repo, &reference)?;
        let object = match reference.peel(git2::ObjectType::Any) {
            Ok(object) => object,
            // A symbolic reference to a branch that is not there.
            Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
            Err(e) => return Err(GitError::libgit2("follow the reference", full, e)),
        };
        match object.peel_to_commit() {
            Ok(commit) => Ok(Some(commit.id().into())),
            Err(_) => {
                let kind = object.kind().map_or("object".to_owned(), |k| k.to_string());
                Err(GitError::NotACommit { name: full.to_owned(), kind })
            }
        }
    }

    /// The reference itself; `None` where it is not there.
    fn find<'r>(
        &self,
        repo: &'r git2::Repository,
        full: &str,
    ) -> Result<Option<git2::Reference<'r>>, GitError> {
        pipes::refuse_reference(self.git_dir(), self.common_dir(), full)?;
        match repo.find_reference(full) {
            Ok(reference) => Ok(Some(reference)),
            Err(e) if matches!(e.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(e) => Err(GitError::libgit2("read the reference", full, e)),
        }
    }

    /// Refuses a symbolic reference that libgit2 would come to wait for where it follows it.
    fn refuse_chain(&self, repo: &git2::Repository, first: &git2::Reference<'_>) -> Result<(), GitError> {
        let mut next = target_of(first);
        for _ in 0..LONGEST_CHAIN {
            let Some(target) = next else { return Ok(()) };
            next = self.find(repo, &target)?.as_ref().and_then(target_of);
        }
        Ok(())
    }

    /// The reference that a symbolic reference stands for; `None` where it is an ordinary one, or is not there.
    pub(super) fn alias_target(&self, full: &str) -> Result<Option<String>, GitError> {
        match self.backend() {
            Backend::Libgit2(repo) => Ok(self.find(repo, full)?.as_ref().and_then(target_of)),
            Backend::Program(_) => {
                let call = self.read().args(["symbolic-ref", "--quiet", full]);
                let answer = call.run()?;
                if answer.code() == Some(1) {
                    return Ok(None);
                }
                parse_line(&answer.into_stdout()?, &call).map(Some)
            }
        }
    }

    /// The branches that are a second name of the branch with this full name, however many lie between.
    pub(super) fn second_names_of(&self, full: &str) -> Result<Vec<String>, GitError> {
        let mut names = Vec::new();
        match self.backend() {
            Backend::Libgit2(_) => {
                for name in self.symbolic_branches()? {
                    let mut next = name.clone();
                    // One that leads to nothing, or to what can't be read, is no name of anything.
                    for _ in 0..LONGEST_CHAIN {
                        let Ok(Some(target)) = self.alias_target(&next) else { break };
                        if target == full {
                            names.push(name);
                            break;
                        }
                        next = target;
                    }
                }
            }
            Backend::Program(_) => {
                let call = self.read().args(["for-each-ref", "--format=%(refname) %(symref)", "refs/heads/"]);
                let listed = call.succeed()?;
                let listed = String::from_utf8_lossy(&listed);
                let pairs = listed.lines().filter_map(|line| line.split_once(' '));
                names.extend(pairs.filter(|(_, to)| *to == full).map(|(name, _)| name.to_owned()));
            }
        }
        Ok(names)
    }

    /// The branches that stand for another reference: such a one is never packed. libgit2 would wait for a named pipe.
    fn symbolic_branches(&self) -> Result<Vec<String>, GitError> {
        let mut names = Vec::new();
        // One that goes meanwhile is none.
        let below = WalkDir::new(self.common_dir().join("refs/heads")).sort_by_file_name();
        for entry in below.into_iter().filter_map(Result::ok) {
            if !entry.file_type().is_file() {
                continue;
            }
            let content = match durable::read(entry.path(), pipes::LONGEST_REFERENCE) {
                Ok(content) => content.unwrap_or_default(),
                Err(FileError::TooLarge { .. }) => continue,
                Err(error) if error.is_of_another_kind() => continue,
                Err(error) => return Err(error.into()),
            };
            let name = entry.path().strip_prefix(self.common_dir()).ok().and_then(Path::to_str);
            names.extend(name.filter(|_| content.starts_with(b"ref:")).map(str::to_owned));
        }
        Ok(names)
    }

    /// The one commit whose name begins with these hexadecimal digits.
    pub(super) fn commit_by_prefix(&self, digits: &str) -> Result<Option<CommitId>, GitError> {
        let repo = match self.backend() {
            Backend::Libgit2(repo) => repo,
            Backend::Program(_) => return self.rev_parse(digits),
        };
        match repo.find_commit_by_prefix(digits) {
            Ok(commit) => Ok(Some(commit.id().into())),
            Err(e) if e.code() == ErrorCode::Ambiguous => {
                Err(GitError::AmbiguousBase { name: digits.to_owned() })
            }
            Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
            Err(e) => Err(GitError::libgit2("find the commit", digits, e)),
        }
    }

    fn rev_parse(&self, full: &str) -> Result<Option<CommitId>, GitError> {
        let call = self.read().args(["rev-parse", "--verify", "--quiet"]).arg(format!("{full}^{{commit}}"));
        let answer = call.run()?;
        if answer.code() == Some(1) {
            return Ok(None);
        }
        parse_line(&answer.into_stdout()?, &call)?.parse().map(Some)
    }

    /// The short names of the local branches.
    pub(super) fn local_branches(&self) -> Result<Vec<String>, GitError> {
        self.refs_below("refs/heads/").map(|names| {
            names.iter().filter_map(|n| n.strip_prefix("refs/heads/")).map(str::to_owned).collect()
        })
    }

    /// The full names of the references below `prefix`, which ends with `/`.
    pub(super) fn refs_below(&self, prefix: &str) -> Result<Vec<String>, GitError> {
        let repo = match self.backend() {
            Backend::Libgit2(repo) => repo,
            Backend::Program(_) => {
                let out = self.read().args(["for-each-ref", "--format=%(refname)"]).arg(prefix).succeed()?;
                return Ok(String::from_utf8_lossy(&out).lines().map(str::to_owned).collect());
            }
        };
        self.refuse_below(prefix)?;
        let failed = |e| GitError::libgit2("list the references below", prefix, e);
        let mut names = Vec::new();
        for name in repo.references_glob(&format!("{}*", glob_escaped(prefix))).map_err(failed)?.names() {
            names.push(name.map_err(failed)?.to_owned());
        }
        Ok(names)
    }

    /// Refuses to list where one of those to be listed could not be read without waiting.
    fn refuse_below(&self, prefix: &str) -> Result<(), GitError> {
        pipes::refuse(&self.common_dir().join("packed-refs"))?;
        // One that goes meanwhile is none.
        for entry in WalkDir::new(self.common_dir().join(prefix)).into_iter().filter_map(Result::ok) {
            if !entry.file_type().is_file() && !entry.file_type().is_dir() {
                pipes::refuse(entry.path())?;
            }
        }
        Ok(())
    }

    /// The reference that a local branch follows, as its full name.
    pub(super) fn upstream_of(&self, branch: &str) -> Result<Option<String>, GitError> {
        let full = format!("refs/heads/{branch}");
        match self.backend() {
            Backend::Libgit2(repo) => match repo.branch_upstream_name(&full) {
                Ok(name) => Ok(std::str::from_utf8(&name).ok().map(str::to_owned)),
                Err(e) if e.code() == ErrorCode::NotFound => Ok(None),
                Err(e) => Err(GitError::libgit2("read the upstream of", branch, e)),
            },
            Backend::Program(_) => {
                let out = self.read().args(["for-each-ref", "--format=%(upstream)"]).arg(&full).succeed()?;
                let text = String::from_utf8_lossy(&out);
                Ok(text.lines().next().filter(|line| !line.is_empty()).map(str::to_owned))
            }
        }
    }

    /// How many commits each of the two has that the other has not.
    pub(super) fn distance(&self, one: &CommitId, other: &CommitId) -> Result<Distance, GitError> {
        match self.backend() {
            Backend::Libgit2(repo) => repo
                .graph_ahead_behind(one.oid()?, other.oid()?)
                .map(|(ahead, behind)| Distance { ahead, behind })
                .map_err(|e| GitError::libgit2("compare the commit", one, e)),
            Backend::Program(_) => {
                let call =
                    self.read().args(["rev-list", "--left-right", "--count"]).arg(format!("{one}...{other}"));
                let out = call.succeed()?;
                let line = parse_line(&out, &call)?;
                let counts =
                    line.split_once('\t').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let (ahead, behind) = counts.ok_or_else(|| call.unclear())?;
                Ok(Distance { ahead, behind })
            }
        }
    }

    /// Makes a reference that must not exist yet.
    pub(super) fn create_ref(&self, full: &str, commit: &CommitId, log: &str) -> Result<(), GitError> {
        failpoint::hit("ref.write");
        let made = match self.backend() {
            Backend::Libgit2(repo) => {
                self.refuse_write(full)?;
                let _noted = reflock::note(&self.store_dir(), full, Some(commit))?;
                match repo.reference(full, commit.oid()?, false, log) {
                    Ok(_) => Ok(()),
                    Err(e) if e.code() == ErrorCode::Exists => {
                        Err(GitError::RefMoved { name: full.to_owned() })
                    }
                    Err(e) => Err(GitError::libgit2("create the reference", full, e)),
                }
            }
            Backend::Program(_) => self.update_ref(&["-m", log, full, commit.as_str(), ZERO]),
        };
        failpoint::hit("ref.written");
        made
    }

    /// Points a reference at `commit`, wherever it pointed before.
    pub(super) fn set_ref(&self, full: &str, commit: &CommitId, log: &str) -> Result<(), GitError> {
        failpoint::hit("ref.write");
        let set = match self.backend() {
            Backend::Libgit2(repo) => {
                self.refuse_write(full)?;
                let _noted = reflock::note(&self.store_dir(), full, Some(commit))?;
                repo.reference(full, commit.oid()?, true, log)
                    .map(|_| ())
                    .map_err(|e| GitError::libgit2("write the reference", full, e))
            }
            Backend::Program(_) => self.update_ref(&["-m", log, full, commit.as_str()]),
        };
        failpoint::hit("ref.written");
        set
    }

    /// Deletes a reference that still points at `expected`.
    pub(super) fn delete_ref(&self, full: &str, expected: &CommitId) -> Result<(), GitError> {
        failpoint::hit("ref.delete");
        let moved = || GitError::RefMoved { name: full.to_owned() };
        let deleted = match self.backend() {
            Backend::Libgit2(repo) => {
                self.refuse_write(full)?;
                let mut reference = repo
                    .find_reference(full)
                    .map_err(|e| GitError::libgit2("read the reference", full, e))?;
                if reference.target().map(CommitId::from).as_ref() != Some(expected) {
                    return Err(moved());
                }
                let _noted = reflock::note(&self.store_dir(), full, None)?;
                // libgit2 compares once more, under the reference's own lock.
                reference.delete().map_err(|e| GitError::libgit2("delete the reference", full, e))
            }
            // git would compare what a symbolic reference leads to.
            Backend::Program(_) if self.alias_target(full)?.is_some() => return Err(moved()),
            Backend::Program(_) => self.update_ref(&["-d", full, expected.as_str()]),
        };
        failpoint::hit("ref.deleted");
        deleted
    }

    fn refuse_write(&self, full: &str) -> Result<(), GitError> {
        pipes::refuse_reference(self.git_dir(), self.common_dir(), full)?;
        pipes::refuse_history(self.git_dir(), self.common_dir(), full)
    }

    /// Of the reference itself, never of what a symbolic one leads to: an agent may have made it one.
    fn update_ref(&self, args: &[&str]) -> Result<(), GitError> {
        Call::write(self.program(), Place::GitDir(self.common_dir()))
            .args(["update-ref", "--no-deref"])
            .args(args)
            .succeed()?;
        Ok(())
    }

    /// A call that reads this repository, seen from where one stands.
    pub(super) fn read(&self) -> Call<'_> {
        Call::read(self.program(), Place::GitDir(self.git_dir()))
    }

    /// A call that may fetch what a partial clone lacks.
    pub(super) fn fetching(&self) -> Call<'_> {
        Call::write(self.program(), Place::GitDir(self.git_dir()))
    }
}

/// The old value of a reference that is not there.
const ZERO: &str = "0000000000000000000000000000000000000000";

/// libgit2 follows no more symbolic references than these.
const LONGEST_CHAIN: usize = 10;

fn target_of(reference: &git2::Reference<'_>) -> Option<String> {
    reference.symbolic_target_bytes().map(|target| String::from_utf8_lossy(target).into_owned())
}

fn parse_line(out: &[u8], call: &Call<'_>) -> Result<String, GitError> {
    let text = std::str::from_utf8(out).map_err(|_| call.unclear())?;
    text.lines().next().map(str::to_owned).ok_or_else(|| call.unclear())
}

/// Reference names may not hold `*`, `?`, `[` or `\`, so that a checked name needs no escape at all; what came from
/// elsewhere gets one.
fn glob_escaped(prefix: &str) -> String {
    prefix.chars().filter(|c| !matches!(c, '*' | '?' | '[' | '\\')).collect()
}

/// Whether something stands where `path` says, without following a link there.
pub(super) fn there(path: &Path) -> Result<bool, GitError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(false)
        }
        Err(e) => Err(GitError::io("look at", path, e)),
    }
}
