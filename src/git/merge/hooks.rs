//! The user's commit hooks, run on a merge before there is a commit: in a worktree of the merge's own, in which
//! everything stands as it does in a checkout at that moment. `HEAD` is the target, the merged result is staged, and
//! `MERGE_HEAD` names what is merged.
//!
//! The hooks are those of the main checkout, by an absolute path: a branch does not bring its own. Those that only
//! report (`post-merge`, `post-commit`) are not run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::guard::hooks_folder;
use super::tree_id::TreeId;
use crate::git::program::{Call, GitProgram, Place};
use crate::git::{CommitId, GitError, Repo};

/// A commit that the hooks are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// What it follows.
    pub onto: &'a CommitId,
    /// What kind of commit it is.
    pub kind: DraftKind<'a>,
    /// What it says.
    pub message: &'a str,
}

/// Which kind of commit the hooks are asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DraftKind<'a> {
    /// It merges this one.
    Merge(&'a CommitId),
    /// It is a branch's commits as one.
    Squash,
    /// It is one with a message of its own, as by `git commit -m`.
    Plain,
}

impl<'a> DraftKind<'a> {
    /// What is merged by it, where it is a merge.
    pub fn merged(self) -> Option<&'a CommitId> {
        match self {
            Self::Merge(commit) => Some(commit),
            Self::Squash | Self::Plain => None,
        }
    }

    /// The hooks that have a say in it, in the order in which git asks them.
    fn asked(self) -> [&'static str; 3] {
        let check = if self.merged().is_some() { "pre-merge-commit" } else { "pre-commit" };
        [check, "prepare-commit-msg", "commit-msg"]
    }

    /// The file in which its message is worked on, and what `prepare-commit-msg` is told of where that comes from.
    fn message(self) -> (&'static str, &'static str) {
        match self {
            Self::Merge(_) => ("MERGE_MSG", "merge"),
            Self::Squash => ("COMMIT_EDITMSG", "squash"),
            Self::Plain => ("COMMIT_EDITMSG", "message"),
        }
    }
}

/// What the hooks made of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hooked {
    /// They let it pass, perhaps changed.
    Passed {
        /// What the commit is to hold.
        tree: TreeId,
        /// What it is to say.
        message: String,
    },
    /// One of them did not.
    Refused {
        /// Which.
        hook: &'static str,
        /// What it said.
        said: String,
    },
}

/// The hooks that git would run after a merge, and that are there.
pub fn reporting_hooks(repo: &Repo) -> Result<Vec<&'static str>, GitError> {
    let folder = hooks_folder(repo, &repo.settings()?);
    let hooks = ["post-merge", "post-commit"];
    Ok(hooks.into_iter().filter(|hook| can_run(&folder.join(hook))).collect())
}

/// Whether a hook has a say in such a commit.
pub fn has_hooks(repo: &Repo, kind: DraftKind<'_>) -> Result<bool, GitError> {
    let folder = hooks_folder(repo, &repo.settings()?);
    Ok(kind.asked().into_iter().any(|hook| can_run(&folder.join(hook))))
}

fn can_run(hook: &Path) -> bool {
    fs::metadata(hook).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Asks the hooks, in the worktree `top`, which has the merged result checked out and is registered in `admin`.
/// `variables` are added to what the hooks inherit.
pub fn run_hooks(
    repo: &Repo,
    admin: &Path,
    top: &Path,
    draft: &Draft<'_>,
    variables: &[(&str, String)],
) -> Result<Hooked, GitError> {
    let folder = hooks_folder(repo, &repo.settings()?);
    let index = admin.join("index");
    let mut program = repo.program().clone().with_env("GIT_INDEX_FILE", &index).with_env("GIT_EDITOR", ":");
    for (name, value) in variables {
        program = program.with_env(*name, value);
    }
    let stage = Stage { program: &program, top, folder: &folder };
    Call::write(repo.program(), Place::Tree { admin, top })
        .args(["update-ref", "--no-deref", "HEAD", draft.onto.as_str()])
        .succeed()?;
    let write = |name: &str, text: &str| {
        let file = admin.join(name);
        fs::write(&file, text).map_err(|e| GitError::io("write", &file, e)).map(|()| file)
    };
    if let Some(merged) = draft.kind.merged() {
        write("MERGE_HEAD", &format!("{merged}\n"))?;
    }
    let [check, prepare, message] = draft.kind.asked();
    if let Some(said) = stage.run(check, &[])? {
        return Ok(Hooked::Refused { hook: check, said });
    }
    let call = Call::write(repo.program(), Place::Tree { admin, top }).arg("write-tree");
    let tree = TreeId::printed(&call.succeed()?, &call)?;
    let (file, source) = draft.kind.message();
    let file = write(file, &format!("{}\n", draft.message.trim_end()))?;
    for (hook, args) in
        [(prepare, vec![file.as_os_str(), source.as_ref()]), (message, vec![file.as_os_str()])]
    {
        if let Some(said) = stage.run(hook, &args)? {
            return Ok(Hooked::Refused { hook, said });
        }
    }
    let text = fs::read_to_string(&file).map_err(|e| GitError::io("read", &file, e))?;
    let text = text.trim();
    if text.is_empty() {
        // git makes no commit of that.
        return Ok(Hooked::Refused { hook: message, said: "it left nothing of the message".to_owned() });
    }
    Ok(Hooked::Passed { tree, message: text.to_owned() })
}

struct Stage<'a> {
    program: &'a GitProgram,
    top: &'a Path,
    folder: &'a PathBuf,
}

impl Stage<'_> {
    /// What the hook said, where it refused.
    fn run(&self, hook: &str, args: &[&std::ffi::OsStr]) -> Result<Option<String>, GitError> {
        if !can_run(&self.folder.join(hook)) {
            return Ok(None);
        }
        let call = Call::write(self.program, Place::From(self.top))
            .setting("core.hooksPath", self.folder)
            .args(["hook", "run", "--ignore-missing", hook, "--"])
            .args(args);
        match call.succeed() {
            Ok(_) => Ok(None),
            Err(error) if error.was_interrupted() => Err(error),
            Err(GitError::ProgramFailed { status, stderr, .. }) => {
                Ok(Some(if stderr.is_empty() { status.to_string() } else { stderr }))
            }
            Err(error) => Err(error),
        }
    }
}
