//! What becomes of branches: nothing that another branch does not have is ever deleted.

use super::world::{TREE, World, lane};
use crate::git::{BranchBack, GitError, HeadBack};
use crate::removal::{BranchPlan, IfUnsaved, RemovalError, WhyKept, plan};
use crate::session::lane::LaneRecord;

fn branches(world: &World) -> String {
    world.git("repo", &["branch", "--list", "--format=%(refname:short)", "ralph/*"])
}

#[test]
fn a_branch_that_its_base_contains_goes_and_comes_back_with_its_reflog() {
    let world = World::new();
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "work"]);
    world.git("repo", &["merge", "-q", "--ff-only", "ralph/t-1"]);
    let log = world.git("repo", &["reflog", "--format=%H %gs", "ralph/t-1"]);
    let removed = world.remove(IfUnsaved::Refuse).unwrap();
    assert_eq!(removed.branch_plan, BranchPlan::Deleted { contained_in: "main".into() });
    assert_eq!(branches(&world), "");
    let restored = world.restore().unwrap();
    assert!(matches!(restored.branch_back, BranchBack::Remade(_)));
    assert_eq!(branches(&world), "ralph/t-1");
    let after = world.git("repo", &["reflog", "--format=%H %gs", "ralph/t-1"]);
    assert!(after.ends_with(&log) && after.contains("ralph: restored"), "{after}");
    assert_eq!(world.git(TREE, &["status", "--porcelain", "--branch"]), "## ralph/t-1");
}

#[test]
fn a_branch_with_commits_of_its_own_stays_and_that_is_said() {
    let world = World::new();
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "work"]);
    let removed = world.remove(IfUnsaved::Refuse).unwrap();
    assert_eq!(removed.branch_plan, BranchPlan::Kept { why: WhyKept::OwnCommits });
    assert_eq!(branches(&world), "ralph/t-1");
}

#[test]
fn a_branch_that_the_user_named_stays_even_if_it_is_contained() {
    let world = World::new();
    world.git(TREE, &["branch", "-m", "develop"]);
    let record = world.store.lane(&lane("t-1")).unwrap().unwrap();
    let record = LaneRecord { branch: "develop".parse().unwrap(), ..record };
    world.store.write_lane(&world.claim("t-1"), &record).unwrap();
    let removed = world.throw_away();
    assert_eq!(removed.branch_plan, BranchPlan::Kept { why: WhyKept::UsersBranch });
    assert_ne!(world.git("repo", &["branch", "--list", "develop"]), "");
}

#[test]
fn a_branch_that_is_in_use_elsewhere_stays_and_the_worktree_still_goes() {
    let world = World::new();
    world.git(TREE, &["switch", "-q", "--detach"]);
    world.git("repo", &["switch", "-q", "ralph/t-1"]);
    let removed = world.remove(IfUnsaved::Refuse).unwrap();
    assert_eq!(removed.branch_plan, BranchPlan::Kept { why: WhyKept::InUse(world.fixture.path("repo")) });
    assert_eq!(world.git("repo", &["branch", "--show-current"]), "ralph/t-1");
}

#[test]
fn a_branch_that_moved_on_is_not_undone_by_the_index_that_comes_back() {
    let world = World::new();
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "work"]);
    world.write("new", "x");
    world.throw_away();
    let was = world.git("repo", &["rev-parse", "ralph/t-1"]);
    world.git("repo", &["switch", "-q", "ralph/t-1"]);
    world.fixture.write("repo/more", "x");
    world.fixture.commit_all("repo", "more");
    world.git("repo", &["switch", "-q", "main"]);
    let restored = world.restore().unwrap();
    assert_eq!(restored.branch_back, BranchBack::MovedOn);
    let HeadBack::Detached { commit, branch, why } = restored.head else { panic!("{restored:?}") };
    assert_eq!((commit.as_str(), branch.as_str(), why.as_str()), (&*was, "ralph/t-1", "it has moved on"));
    assert_eq!(world.git(TREE, &["status", "--porcelain"]), "?? new");
    assert_eq!(world.git(TREE, &["rev-parse", "HEAD"]), was);
}

#[test]
fn a_branch_that_is_checked_out_elsewhere_meanwhile_is_not_checked_out_twice() {
    let world = World::new();
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "work"]);
    world.remove(IfUnsaved::Refuse).unwrap();
    world.git("repo", &["switch", "-q", "ralph/t-1"]);
    let restored = world.restore().unwrap();
    assert!(matches!(restored.head, HeadBack::Detached { .. }), "{restored:?}");
    assert_eq!(world.git(TREE, &["branch", "--show-current"]), "");
}

#[test]
fn a_branch_that_was_rewritten_is_refused_and_nothing_has_moved() {
    let world = World::new();
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "work"]);
    let removed = world.remove(IfUnsaved::Refuse).unwrap();
    let was = world.git("repo", &["rev-parse", "ralph/t-1"]);
    world.git("repo", &["branch", "-q", "-f", "ralph/t-1", "main"]);
    let error = world.restore().unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::BranchRewritten { .. })), "{error}");
    assert!(error.hint().unwrap().contains("git branch -m ralph/t-1"));
    assert!(!world.tree().exists());
    // It is pinned, and the hint leads to it.
    let pin = format!("refs/ralph/trash/{}/tip", removed.id);
    assert_eq!(world.git("repo", &["rev-parse", &pin]), was);
    world.git("repo", &["branch", "-q", "-m", "ralph/t-1", "other"]);
    assert!(matches!(world.restore().unwrap().branch_back, BranchBack::Remade(_)));
    assert_eq!(world.git(TREE, &["rev-parse", "HEAD"]), was);
}

#[test]
fn a_branch_that_was_deleted_meanwhile_is_made_again_at_its_pin() {
    let world = World::new();
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "work"]);
    let was = world.git(TREE, &["rev-parse", "HEAD"]);
    world.remove(IfUnsaved::Refuse).unwrap();
    world.git("repo", &["branch", "-q", "-D", "ralph/t-1"]);
    world.git("repo", &["gc", "--quiet", "--prune=now"]);
    let restored = world.restore().unwrap();
    assert_eq!(restored.branch_back, BranchBack::Remade(was.parse().unwrap()));
    assert_eq!(world.git(TREE, &["rev-parse", "HEAD"]), was);
}

#[test]
fn planning_changes_nothing_and_says_what_will_be_done() {
    let world = World::new();
    world.write("new", "x");
    let before = world.snapshot();
    let error = plan(&world.place(), &lane("t-1"), IfUnsaved::Refuse).unwrap_err();
    assert!(matches!(error, RemovalError::Refused { .. }), "{error}");
    let planned = plan(&world.place(), &lane("t-1"), IfUnsaved::ToTrash).unwrap();
    assert_eq!(planned.path, world.tree());
    assert_eq!(planned.branch_plan, BranchPlan::Deleted { contained_in: "main".into() });
    assert_eq!(planned.unsaved.items.len(), 1);
    super::world::assert_same(&before, &world.snapshot());
    assert!(!world.store.root().join("trash").exists());
    assert!(!world.fixture.path("repo.ralph/.trash").exists());
}
