//! A lane that has nothing of its own follows its base; any other is left as it is.

use super::fixture::{Fixture, PATIENCE, present};
use crate::git::{Forwarded, Site, fast_forward};

const TREE: &str = "repo.ralph/t-1";

/// A lane, and a base that has moved on by two commits since.
fn behind_by_two() -> (Fixture, Site) {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fixture.dispatch(&fixture.repo(), &site);
    fixture.write("repo/README.md", "changed\n");
    fixture.write("repo/new.txt", "new\n");
    fixture.commit_all("repo", "two");
    fixture.git("repo", &["commit", "-q", "--allow-empty", "-m", "three"]);
    (fixture, site)
}

fn forward(fixture: &Fixture, site: &Site) -> Forwarded {
    let repo = fixture.repo();
    let guard = repo.lock(PATIENCE).unwrap();
    fast_forward(&repo, &guard, &present(&repo, site), &repo.head_base().unwrap(), &["ticket.md".into()])
        .unwrap()
}

#[test]
fn a_lane_without_work_of_its_own_follows_its_base() {
    let (fixture, site) = behind_by_two();
    assert_eq!(forward(&fixture, &site), Forwarded::Moved { by: 2 });
    assert_eq!(fixture.git(TREE, &["rev-parse", "ralph/t-1"]), fixture.git("repo", &["rev-parse", "main"]));
    assert_eq!(fixture.git(TREE, &["status", "--porcelain"]), "");
    assert!(site.path.join("new.txt").exists());
    assert_eq!(forward(&fixture, &site), Forwarded::UpToDate);
}

#[test]
fn a_copied_ticket_and_the_manifests_view_are_no_work() {
    let (fixture, site) = behind_by_two();
    fixture.write(&format!("{TREE}/ticket.md"), "x");
    fixture.write(&format!("{TREE}/.ralph/manifest.json"), "x");
    assert_eq!(forward(&fixture, &site), Forwarded::Moved { by: 2 });
}

#[test]
fn a_lane_with_commits_of_its_own_is_continued() {
    let (fixture, site) = behind_by_two();
    fixture.write(&format!("{TREE}/work"), "x");
    fixture.commit_all(TREE, "work");
    assert_eq!(forward(&fixture, &site), Forwarded::Continued { behind: 2, ahead: 1 });
}

#[test]
fn a_lane_with_anything_uncommitted_is_continued_and_untouched() {
    for (file, content) in [("README.md", "mine\n"), ("scratch", "mine\n"), ("src/main.rs", "mine\n")] {
        let (fixture, site) = behind_by_two();
        let tip = fixture.git(TREE, &["rev-parse", "HEAD"]);
        fixture.write(&format!("{TREE}/{file}"), content);
        assert_eq!(forward(&fixture, &site), Forwarded::Continued { behind: 2, ahead: 0 }, "{file}");
        assert_eq!(std::fs::read_to_string(site.path.join(file)).unwrap(), content);
        assert_eq!(fixture.git(TREE, &["rev-parse", "HEAD"]), tip);
    }
}

#[test]
fn a_file_that_is_ignored_here_and_tracked_by_the_base_is_not_overwritten() {
    let (fixture, site) = behind_by_two();
    fixture.write("repo/.git/info/exclude", "new.txt\n");
    fixture.write(&format!("{TREE}/new.txt"), "mine\n");
    assert_eq!(forward(&fixture, &site), Forwarded::Continued { behind: 2, ahead: 0 });
    assert_eq!(std::fs::read_to_string(site.path.join("new.txt")).unwrap(), "mine\n");
}

#[test]
fn an_open_operation_or_another_branch_is_left_as_it_is() {
    let (fixture, site) = behind_by_two();
    fixture.git(TREE, &["bisect", "start"]);
    assert_eq!(forward(&fixture, &site), Forwarded::Continued { behind: 2, ahead: 0 });
    fixture.git(TREE, &["bisect", "reset"]);
    fixture.git(TREE, &["checkout", "-q", "--detach"]);
    assert_eq!(forward(&fixture, &site), Forwarded::Continued { behind: 2, ahead: 0 });
}

#[test]
fn no_hook_of_the_repository_runs() {
    let (fixture, site) = behind_by_two();
    let ran = fixture.path("ran");
    for hook in
        ["post-merge", "pre-merge-commit", "reference-transaction", "post-checkout", "post-index-change"]
    {
        let name = format!("repo/.git/hooks/{hook}");
        fixture.write(&name, format!("#!/bin/sh\ntouch '{}'\n", ran.display()));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(fixture.path(&name), mode).unwrap();
    }
    assert_eq!(forward(&fixture, &site), Forwarded::Moved { by: 2 });
    assert!(!ran.exists());
}
