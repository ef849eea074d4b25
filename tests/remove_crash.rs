//! A removal that is killed anywhere (row 7 of the catalogue of faults) is finished or undone by whatever comes next, and
//! what it took to the trash comes back byte for byte.

use crate::helpers::agents::COMMITS;
use crate::helpers::session::names_in;
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi};

/// In the order in which a removal passes them.
const POINTS: [&str; 11] = [
    "remove.decided",
    "remove.recorded",
    "remove.pinned",
    "trash.ready",
    "trash.unregistered",
    "trash.moved",
    "trash.unlinked",
    "trash.log",
    "trash.branch",
    "remove.forgotten",
    "remove.done",
];

/// A lane that was merged, with something of everything that no commit has.
struct Scene<'s> {
    repo: Repo<'s>,
    tree: Repo<'s>,
    files: Tree,
    status: Vec<String>,
    tip: String,
}

impl<'s> Scene<'s> {
    fn new(sandbox: &'s Sandbox) -> Self {
        let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
        repo.commit_file(".gitignore", "*.log\n", "Ignore");
        pi.plays(COMMITS);
        repo.finish("T-1", &[]);
        // So that its branch goes along.
        drop(repo.worktree(&["merge", "T-1"]).run().ok());
        let tree = repo.tree_of(sandbox, "T-1");
        tree.write("staged.txt", "staged\n");
        tree.git(&["add", "staged.txt"]);
        tree.write("staged.txt", "edited since\n");
        tree.write("README.md", "edited\n");
        tree.write("new/untracked.txt", "untracked\n");
        tree.write("ignored.log", "ignored\n");
        let (files, status) = (Tree::of(&tree), tree.status_porcelain());
        assert_eq!(status.len(), 3, "{status:?}");
        let tip = repo.rev_parse("ralph/T-1");
        Self { repo, tree, files, status, tip }
    }

    fn remove(&self) -> Finished {
        self.repo.worktree(&["remove", "T-1", "--with-unsaved"]).run()
    }

    #[track_caller]
    fn kill_removal_at(&self, point: &str) {
        let remove = self.repo.worktree(&["remove", "T-1", "--with-unsaved"]);
        let killed = remove.env("RALPH_FAILPOINT", format!("{point}:kill")).run();
        assert_eq!(killed.signal, Some(9), "not killed at {point}: {killed}");
    }

    /// The lane is back as it was, and nothing of a removal is left.
    #[track_caller]
    fn assert_as_before(&self, point: &str) {
        self.files.assert_unchanged(&self.tree);
        assert_eq!(self.tree.status_porcelain(), self.status, "{point}");
        assert_eq!(self.repo.lanes()[0]["worktree_state"], "present", "{point}");
        assert_eq!(self.repo.rev_parse("ralph/T-1"), self.tip, "{point}");
        assert_eq!(names_in(&self.repo.store().join("trash")), Vec::<String>::new(), "{point}");
        self.repo.fsck();
    }
}

#[test]
fn row_7_a_removal_that_is_killed_anywhere_is_finished_by_the_next_and_its_trash_is_whole() {
    for point in POINTS {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox);
        scene.kill_removal_at(point);
        let again = scene.remove();
        // Where it had got far enough, there is no such lane any more.
        assert!(matches!(again.code, Some(0 | 3)), "{point}: {again}");
        assert!(!scene.tree.path().exists() && scene.repo.lanes().is_empty(), "{point}");
        drop(scene.repo.worktree(&["restore", "T-1"]).run().ok());
        scene.assert_as_before(point);
    }
}

#[test]
fn row_7_a_removal_that_is_killed_anywhere_is_settled_by_a_recovery_once() {
    for point in POINTS {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox);
        scene.kill_removal_at(point);
        drop(scene.repo.worktree(&["recover"]).run().ok());
        let settled = Tree::of(sandbox.work());
        let again = scene.repo.worktree(&["recover"]).run().ok();
        assert!(!again.stderr.contains("remov"), "{point}: {again}");
        settled.assert_unchanged(sandbox.work());
        if scene.repo.lanes().is_empty() {
            assert!(!scene.tree.path().exists(), "{point}");
            drop(scene.repo.worktree(&["restore", "T-1"]).run().ok());
        }
        scene.assert_as_before(point);
    }
}
