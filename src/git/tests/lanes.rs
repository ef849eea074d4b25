//! Creating, finding and continuing a lane's worktree.

use super::fixture::{Fixture, listing, present};
use crate::git::{Files, Head, Located, Look, Origin, Tree, locate, look};

#[test]
fn a_new_lane_gets_a_branch_and_a_worktree_that_git_finds_clean() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    assert!(matches!(locate(&repo, &site).unwrap(), Located::New));
    let created = fixture.dispatch(&repo, &site);
    assert_eq!(created.branch, Origin::Made);
    assert_eq!(created.worktree.path, site.path);
    assert_eq!(created.worktree.locked.as_deref(), Some("ralph test"));
    fixture.git("repo", &["worktree", "add", "-q", "--no-track", "-b", "other", "../theirs"]);
    assert_eq!(listing(&site.path), listing(&fixture.path("theirs")));
    let tree = "repo.ralph/t-1";
    assert_eq!(fixture.git(tree, &["status", "--porcelain"]), "");
    assert_eq!(fixture.git(tree, &["symbolic-ref", "HEAD"]), "refs/heads/ralph/t-1");
    let found = present(&repo, &site);
    assert_eq!(found.files, Files::Complete);
    assert_eq!(found.head, Head::Branch("ralph/t-1".to_owned()));
    let seen =
        look(&repo, &Look { worktree: &site.path, branch: &site.branch, start: &created.start, ignore: &[] })
            .unwrap();
    assert_eq!((seen.commits, seen.uncommitted, seen.untracked, seen.tree), (0, 0, 0, Tree::Present));
}
