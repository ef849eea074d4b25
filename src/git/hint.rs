//! What a person can do about an error.

use std::path::Path;

use super::GitError;
use super::edit::Edit;
use crate::durable;

impl GitError {
    /// What to do next, where there is something.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotARepository { .. } => "stand in a repository, or name one with `--repo DIR`".to_owned(),
            Self::Unsupported { .. } => {
                "ralph works with repositories of sha1 objects and file references, git's defaults".to_owned()
            }
            Self::GitCannot { .. } => {
                "install a newer git, or take the extension out of the repository's settings".to_owned()
            }
            Self::ForeignOwner { path } => format!(
                "if you trust it, say so to git: `git config --global --add safe.directory {}`",
                quoted(path)
            ),
            Self::NotUtf8 { .. } => "give the folder a name in UTF-8".to_owned(),
            Self::Unborn { .. } => "make a first commit: `git commit --allow-empty -m 'Begin'`".to_owned(),
            Self::NoSuchBase { nearest, .. } if nearest.is_empty() => "`git branch` lists the branches".to_owned(),
            Self::NoSuchBase { nearest, .. } => format!("did you mean {}?", nearest.join(", ")),
            Self::AmbiguousBase { .. } => "give more digits of the commit".to_owned(),
            Self::NotACommit { .. } => "give a branch, a tag of a commit, or a commit".to_owned(),
            Self::LockBusy { path, .. } => {
                format!("try again; `fuser {}` shows the process that holds the lock", quoted(path))
            }
            Self::BranchInUse { path, .. } => format!(
                "switch {} to another branch, or, where that folder is gone, run `git worktree prune`",
                quoted(path)
            ),
            Self::BranchIsAlias { branch, .. } => {
                format!("remove the second name, `git symbolic-ref --delete refs/heads/{branch}`")
            }
            Self::BranchNameTaken { by, branch } => format!(
                "rename what is in the way, `git branch -m {} <new name>`, or give the lane another branch than {} \
                 with `--branch`",
                by.trim_start_matches("refs/heads/"),
                branch
            ),
            Self::MovedByHand { .. } => {
                "if the worktree was moved, run `git worktree repair <where it is now>`; nothing there was touched"
                    .to_owned()
            }
            Self::SymlinkInTheWay { path } => format!("move the link away: {}", quoted(path)),
            Self::PathTaken { path } => format!(
                "move it away; if it was a worktree whose registration is lost, move its work out of {} first",
                quoted(path)
            ),
            Self::RootNotOurs { .. } | Self::RootUnwritable { .. } => {
                "choose a folder of your own with the setting `worktree-root`".to_owned()
            }
            Self::RelativeFilter { filter, .. } => {
                format!("set `filter.{filter}.*` to a program on PATH, or to an absolute path")
            }
            Self::RelativeDriver { driver, .. } => {
                format!("set `merge.{driver}.driver` to a program on PATH, or to an absolute path")
            }
            Self::MergeStrategyUnknown { .. } => {
                "`git config --unset pull.twohead`, or merge by hand in a checkout".to_owned()
            }
            Self::NoIdentity => {
                "tell git: `git config --global user.name NAME` and `git config --global user.email ADDRESS`".to_owned()
            }
            Self::NotSigned { .. } => {
                "try `git commit -S` by hand; `git config commit.gpgSign false` turns signing off".to_owned()
            }
            Self::IndexLocked { path } => {
                format!("if no git is running there, remove it: `rm {}`", quoted(path))
            }
            Self::WouldWait { path, .. } | Self::NoReference { path } => {
                format!("whatever put it there, take it away: `rm {}`", quoted(path))
            }
            Self::HalfWritten { path, .. } => format!(
                "`git -C {0} status` shows what is left; `git -C {0} restore FILE` brings a file back",
                quoted(path)
            ),
            Self::ProgramMissing { .. } => "install git 2.38 or newer, and have it on PATH".to_owned(),
            Self::LockedByUser { path, .. } => format!("`git worktree unlock {}`, if that no longer holds", quoted(path)),
            Self::NotRegistered { path } => format!(
                "if it is a worktree whose registration is lost, run `git worktree repair {}`; nothing there was touched",
                quoted(path)
            ),
            Self::HoldsRepository { .. } => {
                "`git worktree repair` sets right where a worktree is; nothing there was touched".to_owned()
            }
            Self::HoldsWorktree { inner, .. } => format!(
                "move that out first, `git worktree move {} <new path>`, or remove it",
                quoted(inner)
            ),
            Self::BranchRewritten { branch, was, .. } => format!(
                "give the branch another name, `git branch -m {branch} <new name>`, and it is made again at {}",
                was.short()
            ),
            Self::HalfForwarded { path, from, .. } => format!(
                "keep what is yours elsewhere, then `git -C {} reset --hard {}`; or commit it there, and it is the lane's",
                quoted(path),
                from.short()
            ),
            Self::UnfinishedChanged { path, edit: Edit::File(file) } => format!(
                "move {} elsewhere, do this again, and bring it back once the other files are there",
                quoted(&path.join(file))
            ),
            Self::UnfinishedChanged { path, edit: Edit::Index } => format!(
                "`git -C {} reset` takes back what is staged and keeps every file; then do this again",
                quoted(path)
            ),
            Self::RegistryUnsteady { .. } => "stop what prunes worktrees in a loop, and try again".to_owned(),
            Self::File(error) => return error.hint().map(str::to_owned),
            Self::Io { source, .. } => return durable::remedy(source.kind()).map(str::to_owned),
            Self::Libgit2 { message: said, .. } | Self::ProgramFailed { stderr: said, .. } => {
                let lock = lock_in_the_way(said).map(|lock| {
                    format!("if no git is running in this repository, remove its lock: `rm {}`", quoted(lock))
                });
                let remedy = || durable::remedy_of(said).or_else(|| remedy_of_damage(said)).map(str::to_owned);
                return lock.or_else(remedy);
            }
            _ => return None,
        })
    }
}

/// The lock that git or libgit2 found there and did not make: whoever made it is at work, or was killed.
fn lock_in_the_way(said: &str) -> Option<&Path> {
    let by_git = said.split_once("Unable to create '").filter(|_| said.contains("File exists"));
    let (_, rest) = by_git.or_else(|| said.split_once("failed to lock file '"))?;
    let (lock, _) = rest.split_once(".lock'")?;
    rest.get(..lock.len() + ".lock".len()).map(Path::new)
}

/// What to do where git says that a file of its own is damaged, or a commit no good: an agent may have written there.
fn remedy_of_damage(said: &str) -> Option<&'static str> {
    const INDEX: &str = "move that index away; `git reset` in the worktree makes it anew and touches no file";
    let causes = [
        ("index file smaller", INDEX),
        ("index file corrupt", INDEX),
        ("bad index file", INDEX),
        ("bad config", "mend that file of settings, and try again"),
        (
            "bad boolean config value",
            "mend that setting: `git config --show-origin --get-all` tells where it is",
        ),
        (
            "invalid path '",
            "git puts no such name into a worktree: start from a commit without it, with `--base`",
        ),
        (
            "not a git repository: '",
            "if its HEAD was damaged, write `ref: refs/heads/<its branch>` into the file HEAD there",
        ),
    ];
    causes.iter().find(|(words, _)| said.contains(words)).map(|(_, remedy)| *remedy)
}

/// A path as it can be pasted into a shell, whatever it holds.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-' | '+' | ',' | ':' | '@');
    if !text.is_empty() && text.chars().all(plain) {
        text.into_owned()
    } else if text.chars().any(char::is_control) {
        let escape = |b: &u8| match char::from(*b) {
            c if plain(c) => c.to_string(),
            _ => format!("\\x{b:02x}"),
        };
        format!("$'{}'", text.as_bytes().iter().map(escape).collect::<String>())
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{lock_in_the_way, remedy_of_damage};

    #[test]
    fn who_reads_that_a_file_of_gits_is_damaged_is_told_what_to_do() {
        let cases = [
            ("fatal: .git/worktrees/t-1/index: index file smaller than expected", "git reset"),
            ("fatal: .git/index: index file corrupt", "git reset"),
            ("error: invalid path '.git'", "--base"),
            ("fatal: bad config line 3 in file .git/config", "settings"),
            ("fatal: not a git repository: '.git/worktrees/t-1'", "HEAD"),
        ];
        for (said, expected) in cases {
            assert!(remedy_of_damage(said).is_some_and(|remedy| remedy.contains(expected)), "{said}");
        }
        assert_eq!(remedy_of_damage("fatal: something else"), None);
    }

    #[test]
    fn a_lock_that_is_in_the_way_is_named() {
        for said in [
            "failed to lock file '/a b/refs/heads/x.lock' for writing: ",
            "fatal: cannot lock ref 'refs/heads/x': Unable to create '/a b/refs/heads/x.lock': File exists.; Another",
        ] {
            assert_eq!(lock_in_the_way(said), Some(Path::new("/a b/refs/heads/x.lock")), "{said}");
        }
        for said in ["Unable to create '/a/x.lock': Permission denied", "something else"] {
            assert_eq!(lock_in_the_way(said), None, "{said}");
        }
    }
}
