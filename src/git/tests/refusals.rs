//! What is refused before anything has changed, and that the refusal names the path and the way out.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::fixture::{Fixture, PATIENCE, listing};
use crate::git::{ErrorClass, GitError, Located, Site, create, locate};

/// Locating and creating are refused with the same error, and the worktree's folder is as it was.
fn refused(fixture: &Fixture, site: &Site) -> GitError {
    let repo = fixture.repo();
    let branches = fixture.git("repo", &["for-each-ref"]);
    let error = locate(&repo, site).unwrap_err();
    let base = repo.head_base().unwrap();
    let again = create(&repo, &repo.lock(PATIENCE).unwrap(), site, &base, "ralph test").unwrap_err();
    assert_eq!(error.to_string(), again.to_string());
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");
    assert!(error.hint().is_some(), "no way out of: {error}");
    assert_eq!(fixture.git("repo", &["for-each-ref"]), branches);
    error
}

fn names(error: &GitError, path: &Path) {
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
}

#[test]
fn a_branch_that_is_checked_out_elsewhere() {
    let fixture = Fixture::new();
    fixture.git("repo", &["checkout", "-q", "-b", "ralph/t-1"]);
    let error = refused(&fixture, &fixture.site("t-1"));
    assert!(matches!(&error, GitError::BranchInUse { how: "checked out", .. }), "{error}");
    names(&error, &fixture.path("repo"));
    fixture.git("repo", &["checkout", "-q", "main"]);
    fixture.git("repo", &["worktree", "add", "-q", "../mine", "ralph/t-1"]);
    let error = refused(&fixture, &fixture.site("t-1"));
    names(&error, &fixture.path("mine"));
    // A branch of that name would be born there with the next commit.
    fixture.git("mine", &["checkout", "-q", "--orphan", "ralph/t-2"]);
    let error = refused(&fixture, &fixture.site("t-2"));
    assert!(matches!(&error, GitError::BranchInUse { how: "checked out", .. }), "{error}");
    names(&error, &fixture.path("mine"));
}

#[test]
fn a_branch_that_is_rebased_or_bisected_elsewhere() {
    let fixture = Fixture::new();
    for n in ["a", "b", "c"] {
        fixture.write("repo/README.md", n);
        fixture.commit_all("repo", n);
    }
    fixture.git("repo", &["branch", "ralph/t-1"]);
    fixture.git("repo", &["branch", "below", "ralph/t-1~1"]);
    fixture.git("repo", &["worktree", "add", "-q", "../mine", "ralph/t-1"]);
    let rebase = |args: &[&str]| {
        let editor = "sequence.editor=sed -i s/^pick/edit/";
        fixture.git("mine", &[&["-c", editor, "rebase", "-q", "-i"], args].concat());
    };
    rebase(&["HEAD~2"]);
    let error = refused(&fixture, &fixture.site("t-1"));
    assert!(matches!(&error, GitError::BranchInUse { how: "being rebased", .. }), "{error}");
    names(&error, &fixture.path("mine"));
    fixture.git("mine", &["rebase", "--abort"]);
    rebase(&["--update-refs", "HEAD~2"]);
    let below = Site { branch: "below".parse().unwrap(), ..fixture.site("t-1") };
    let error = refused(&fixture, &below);
    assert!(matches!(&error, GitError::BranchInUse { how: "being rebased", .. }), "{error}");
    fixture.git("mine", &["rebase", "--abort"]);
    fixture.git("mine", &["bisect", "start", "HEAD", "HEAD~3"]);
    let error = refused(&fixture, &fixture.site("t-1"));
    assert!(matches!(&error, GitError::BranchInUse { how: "being bisected", .. }), "{error}");
}

#[test]
fn a_branch_that_a_reference_stands_in_the_way_of() {
    let fixture = Fixture::new();
    fixture.git("repo", &["branch", "ralph"]);
    let error = refused(&fixture, &fixture.site("t-1"));
    assert!(matches!(&error, GitError::BranchNameTaken { by, .. } if by == "refs/heads/ralph"), "{error}");
    fixture.git("repo", &["branch", "-D", "-q", "ralph"]);
    fixture.git("repo", &["branch", "ralph/t-1/x"]);
    fixture.git("repo", &["pack-refs", "--all"]);
    let error = refused(&fixture, &fixture.site("t-1"));
    assert!(
        matches!(&error, GitError::BranchNameTaken { by, .. } if by == "refs/heads/ralph/t-1/x"),
        "{error}"
    );
}

#[test]
fn a_branch_that_is_another_one_by_a_second_name() {
    let fixture = Fixture::new();
    fixture.git("repo", &["symbolic-ref", "refs/heads/ralph/t-1", "refs/heads/main"]);
    let error = refused(&fixture, &fixture.site("t-1"));
    assert!(
        matches!(&error, GitError::BranchIsAlias { target, .. } if target == "refs/heads/main"),
        "{error}"
    );
}

#[test]
fn a_folder_that_is_not_empty() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fixture.write("repo.ralph/t-1/precious", "x");
    let error = refused(&fixture, &site);
    assert!(matches!(error, GitError::PathTaken { .. }), "{error}");
    assert!(fixture.path("repo.ralph/t-1/precious").exists());
    fs::remove_file(fixture.path("repo.ralph/t-1/precious")).unwrap();
    assert!(
        matches!(locate(&fixture.repo(), &site).unwrap(), Located::New),
        "an empty folder is in no one's way"
    );
    fixture.dispatch(&fixture.repo(), &site);
}

#[test]
fn a_link_where_the_worktree_or_the_root_should_be() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fs::create_dir_all(fixture.path("victim")).unwrap();
    fs::create_dir_all(fixture.path("repo.ralph")).unwrap();
    symlink(fixture.path("victim"), &site.path).unwrap();
    assert!(matches!(refused(&fixture, &site), GitError::SymlinkInTheWay { .. }));
    fs::remove_file(&site.path).unwrap();
    fs::remove_dir(fixture.path("repo.ralph")).unwrap();
    symlink(fixture.path("victim"), fixture.path("repo.ralph")).unwrap();
    let repo = fixture.repo();
    let error =
        create(&repo, &repo.lock(PATIENCE).unwrap(), &site, &repo.head_base().unwrap(), "r").unwrap_err();
    assert!(matches!(error, GitError::SymlinkInTheWay { .. }), "{error}");
    assert_eq!(listing(&fixture.path("victim")).len(), 0);
}

#[test]
fn a_worktree_that_was_moved_by_hand() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fixture.dispatch(&fixture.repo(), &site);
    fs::rename(&site.path, fixture.path("moved")).unwrap();
    // Something else stands at the old place: another repository, a file, a link.
    fixture.init("repo.ralph/t-1", &[]);
    fixture.write("repo.ralph/t-1/precious", "x");
    let before = listing(&site.path);
    let error = refused(&fixture, &site);
    assert!(matches!(error, GitError::MovedByHand { .. }), "{error}");
    names(&error, &site.path);
    assert!(error.hint().unwrap().contains("git worktree repair"));
    assert_eq!(listing(&site.path), before);
    fs::remove_dir_all(&site.path).unwrap();
    fs::write(&site.path, "x").unwrap();
    assert!(matches!(refused(&fixture, &site), GitError::MovedByHand { .. }));
    fs::remove_file(&site.path).unwrap();
    symlink(fixture.path("moved"), &site.path).unwrap();
    assert!(matches!(refused(&fixture, &site), GitError::SymlinkInTheWay { .. }));
    fs::remove_file(&site.path).unwrap();
    // The remedy works.
    fixture.git("repo", &["worktree", "repair", "../moved"]);
    assert_eq!(super::fixture::present(&fixture.repo(), &site).path, fixture.path("moved"));
}

#[test]
fn a_root_that_cannot_be_trusted_or_written() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    let repo = fixture.repo();
    let refused = |site: &Site| {
        let guard = repo.lock(PATIENCE).unwrap();
        let error = create(&repo, &guard, site, &repo.head_base().unwrap(), "r").unwrap_err();
        assert!(error.hint().unwrap().contains("worktree-root"), "{error}");
        assert_eq!(error.class(), ErrorClass::CannotDo);
        assert_eq!(fixture.git("repo", &["branch", "--list", "ralph/*"]), "");
        error
    };
    let root = fixture.path("repo.ralph");
    fs::create_dir(&root).unwrap();
    fs::set_permissions(&root, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(refused(&site), GitError::RootNotOurs { .. }));
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).unwrap();
    if std::os::unix::fs::lchown(&root, Some(12345), None).is_ok() {
        assert!(matches!(refused(&site), GitError::RootNotOurs { .. }));
    }
    let nowhere = Site { path: "/proc/ralph/t-1".into(), ..site };
    assert!(matches!(refused(&nowhere), GitError::RootUnwritable { .. }));
}

#[test]
fn broken_registrations_are_in_no_ones_way() {
    let fixture = Fixture::new();
    for name in ["z1", "z2", "a1", "a2"] {
        fs::create_dir_all(fixture.path("repo/.git/worktrees").join(name)).unwrap();
    }
    fixture.write("repo/.git/worktrees/z3/gitdir", "");
    fixture.write("repo/.git/worktrees/z3/HEAD", "ref: refs/heads/ralph/t-1\n");
    fixture.write("repo/.git/worktrees/file", "x");
    fixture.dispatch(&fixture.repo(), &fixture.site("t-1"));
    // One that has the lane's name is passed by.
    fs::create_dir_all(fixture.path("repo/.git/worktrees/t-2")).unwrap();
    let created = fixture.dispatch(&fixture.repo(), &fixture.site("t-2"));
    assert_eq!(created.worktree.id, "t-2-2");
}

#[test]
fn another_worktree_with_the_lanes_name_is_not_taken_for_the_lanes() {
    let fixture = Fixture::new();
    fixture.git("repo", &["worktree", "add", "-q", "-b", "mine", "../elsewhere/t-1"]);
    let site = fixture.site("t-1");
    assert!(matches!(locate(&fixture.repo(), &site).unwrap(), Located::New));
    assert_eq!(fixture.dispatch(&fixture.repo(), &site).worktree.id, "t-1-2");
    assert_eq!(fixture.git("elsewhere/t-1", &["branch", "--show-current"]), "mine");
}
