//! What changes while a merge is about to land, and what a merge does that has landed and cannot be brought along.

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use crate::helpers::lanes::text;
use crate::helpers::merging::Scene;
use crate::helpers::{Finished, Repo, Running, Sandbox, wait};

/// A merge of `T-1` into `next` that waits at a point.
struct HeldMerge {
    merge: Running,
    go: PathBuf,
}

impl HeldMerge {
    fn at(point: &str, scene: &Scene<'_>) -> Self {
        let go = scene.sandbox.path("go");
        let call = scene.repo.worktree(&["merge", "--json", "T-1", "--into", "next"]);
        let merge = call.env("RALPH_FAILPOINT", format!("{point}:wait={}", go.display())).spawn();
        wait::until("the merge to wait", || scene.sandbox.path("go.waiting").exists().then_some(()));
        Self { merge, go }
    }

    fn goes_on(self) -> Finished {
        fs::write(&self.go, "").unwrap();
        self.merge.wait()
    }
}

#[test]
fn a_worktree_that_comes_to_have_the_target_while_a_merge_is_about_to_land_follows_too() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.branch("next", "main");
    let merge = HeldMerge::at("merge.held", &scene);
    drop(repo.create(&["T-2", "--branch", "next"]));
    let merged = merge.goes_on().ok().json();
    let lane = repo.tree_of(&sandbox, "T-2");
    assert_eq!(lane.status_porcelain(), Vec::<String>::new());
    assert_eq!(merged["trees"], json!([lane.path()]));
    assert!(lane.has("work-T-1.txt"));
}

#[test]
fn no_branch_is_moved_under_a_session_that_starts_while_a_merge_is_about_to_land() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.branch("next", "main");
    drop(repo.create(&["T-2", "--branch", "next"]));
    scene.pi.plays_for("T-2", "here; wait_for_go; commit; answer");
    let before = repo.rev_parse("next");
    let merge = HeldMerge::at("merge.recorded", &scene);
    drop(repo.dispatch(&["T-2"]));
    drop(scene.pi.wait_here("T-2"));
    merge.goes_on().refused(4, &["that worktree is in use"]);
    let lane = repo.tree_of(&sandbox, "T-2");
    assert_eq!((repo.rev_parse("next"), lane.status_porcelain()), (before, Vec::new()));
    scene.pi.go("T-2");
    drop(repo.worktree(&["wait", "T-2"]).run().ok());
}

#[test]
fn a_checkout_that_has_the_target_by_a_second_name_is_not_left_behind() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.git(&["symbolic-ref", "refs/heads/trunk", "refs/heads/main"]);
    repo.git(&["switch", "-q", "trunk"]);
    let error = scene.refused(&["--into", "main"], &["by its second name trunk only"]);
    assert!(text(&error["hint"]).contains("`git switch main`"), "{error}");
    let linked = repo.linked_worktree("linked", "next");
    repo.git(&["symbolic-ref", "refs/heads/later", "refs/heads/next"]);
    linked.git(&["switch", "-q", "later"]);
    scene.refused(&["--into", "next"], &["by its second name later only", "linked"]);
    linked.git(&["switch", "-q", "next"]);
    repo.merged(&["T-1", "--into", "next"]);
    repo.git(&["switch", "-q", "main"]);
    repo.merged(&["T-1", "--into", "main"]);
    assert_eq!((repo.status_porcelain(), linked.status_porcelain()), (Vec::new(), Vec::new()));
}

#[test]
fn a_merge_that_can_neither_be_brought_along_nor_be_undone_is_finished_later() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let lock = repo.path().join(".git/refs/heads/main.lock");
    repo.filter("work-*", &format!("touch {}; false", lock.display()));
    let merged = repo.worktree(&["merge", "T-1", "--accept-changes"]).run().ok();
    assert!(merged.stderr.contains("could not be brought along"), "{merged}");
    assert!(merged.stderr.contains("main.lock"), "{merged}");
    let head = repo.head();
    let refused = repo.try_git(&["commit", "-q", "--allow-empty", "-m", "Mine"]);
    assert!(refused.stderr.contains("index.lock"), "{refused}");
    fs::remove_file(lock).unwrap();
    repo.filter("work-*", "cat");
    drop(repo.worktree(&["recover"]).run().ok());
    assert_eq!((repo.head(), repo.status_porcelain()), (head, Vec::new()));
    assert!(repo.has("work-T-1.txt") && !repo.has(".git/index.lock"));
}

#[test]
fn a_branch_is_not_moved_back_under_a_checkout_that_was_left_half_way() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let second = sandbox.work().join("second");
    repo.git(&["worktree", "add", "-q", "-f", second.to_str().unwrap(), "main"]);
    let second = Repo::at(&sandbox, second);
    // The first is written, but may have got something staged meanwhile; nothing of the second is.
    repo.filter("work-*", "case $PWD in */app) rm .git/index.lock; cat;; *) false;; esac");
    let merged = repo.merges(&["T-1", "--accept-changes"]).ok().json();
    let notes = merged["notes"].as_array().unwrap();
    let not_along = notes.iter().filter(|note| text(note).contains("could not be brought along"));
    assert_eq!(not_along.count(), 2, "{notes:?}");
    repo.filter("work-*", "cat");
    drop(repo.worktree(&["recover"]).run().ok());
    assert_eq!(text(&merged["commit"]), repo.head());
    for checkout in [repo, &second] {
        assert_eq!(checkout.status_porcelain(), Vec::<String>::new());
        assert!(checkout.has("work-T-1.txt"));
    }
}
