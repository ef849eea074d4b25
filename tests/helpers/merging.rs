//! A lane that is ready to be merged, and what a merge made of it.

use std::fs;

use serde_json::Value;

use super::agents::COMMITS;
use super::tree::Tree;
use super::{Finished, Repo, Sandbox, ScriptedPi};

impl Repo<'_> {
    /// `merge` with further arguments.
    pub fn merges(&self, args: &[&str]) -> Finished {
        self.worktree(&[&["merge", "--json"], args].concat()).run()
    }

    /// The result of `merge --json`, which must succeed.
    #[track_caller]
    pub fn merged(&self, args: &[&str]) -> Value {
        let merged = self.merges(args).ok().json();
        assert_eq!(merged["status"], "merged", "{merged:#}");
        self.fsck();
        merged
    }

    /// A filter of the user's that writes these files: `smudge` is what it runs, `false` writes none.
    pub fn filter(&self, files: &str, smudge: &str) {
        self.write(".git/info/attributes", format!("{files} filter=users\n"));
        for (key, value) in [("clean", "cat"), ("smudge", smudge), ("required", "true")] {
            self.git(&["config", &format!("filter.users.{key}"), value]);
        }
    }

    pub fn tree(&self, revision: &str) -> String {
        self.rev_parse(&format!("{revision}^{{tree}}"))
    }

    pub fn parents(&self, revision: &str) -> Vec<String> {
        self.git(&["show", "-s", "--format=%P", revision]).split(' ').map(str::to_owned).collect()
    }

    pub fn message(&self, revision: &str) -> String {
        self.git(&["show", "-s", "--format=%B", revision])
    }
}

/// A repository with a lane `T-1` whose agent made one commit.
pub struct Scene<'s> {
    pub sandbox: &'s Sandbox,
    pub repo: Repo<'s>,
    pub pi: ScriptedPi,
}

impl<'s> Scene<'s> {
    pub fn new(sandbox: &'s Sandbox) -> Self {
        Self::playing(sandbox, COMMITS)
    }

    pub fn playing(sandbox: &'s Sandbox, play: &str) -> Self {
        let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
        pi.plays(play);
        repo.finish("T-1", &[]);
        Self { sandbox, repo, pi }
    }

    /// The lane's worktree.
    pub fn lane(&self) -> Repo<'s> {
        self.repo.tree_of(self.sandbox, "T-1")
    }

    /// Refused with exit status 4, in a message that holds every one of `parts`, and nothing has changed.
    #[track_caller]
    pub fn refused(&self, args: &[&str], parts: &[&str]) -> Value {
        let look = || {
            // Objects that nothing leads to are nothing.
            Tree::of(self.sandbox.path("work")).without(&[
                "app/.git/ralph",
                "app/.git/objects",
                "app/.git/refs/ralph",
            ])
        };
        let before = look();
        let refs = self.repo.refs();
        let finished = self.repo.merges(&[&["T-1"], args].concat());
        finished.refused(4, parts);
        assert_eq!(self.repo.refs(), refs);
        let changes = before.changes_to(&look());
        // git may note that a file only looked changed.
        let changes: Vec<_> = changes.iter().filter(|change| !change.contains(".git/index")).collect();
        assert!(changes.is_empty(), "it was refused, but changed: {changes:#?}");
        assert_eq!(fs::read_dir(self.repo.store().join("queue")).map_or(0, Iterator::count), 0);
        finished.error()
    }
}
