//! A lane that has nothing of its own follows its base; any other is left as it is.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::fixture::{Fixture, PATIENCE, lane_lock, present};
use crate::git::{
    ErrorClass, Forwarded, GitError, Interrupted, Landing, Outlook, Site, complete_files, outlook,
};

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
    let worktree = present(&repo, site);
    let forward = match outlook(&repo, &worktree, &repo.head_base().unwrap(), &["ticket.md".into()]).unwrap()
    {
        Outlook::Stays(stands) => return stands,
        Outlook::Clear(forward) => forward,
    };
    let continued = forward.continued();
    match forward.write_files(&repo, &lane_lock(site)).unwrap() {
        Some(landing) => landing.land(&repo, &repo.lock(PATIENCE).unwrap()).unwrap(),
        None => continued,
    }
}

/// What the next dispatch does with a move that was cut short.
fn complete(fixture: &Fixture, site: &Site) -> Result<&'static str, GitError> {
    let repo = fixture.repo();
    let land = |landing: Landing| landing.land(&repo, &repo.lock(PATIENCE)?);
    Ok(match complete_files(&repo, &present(&repo, site), &lane_lock(site))? {
        Interrupted::No => "no",
        Interrupted::Landed => "landed",
        Interrupted::Elsewhere => "elsewhere",
        Interrupted::Files(landing) => {
            land(*landing)?;
            "files"
        }
    })
}

/// The worktree is clean, on its branch, and its branch is where the base is.
#[track_caller]
fn assert_moved(fixture: &Fixture, site: &Site) {
    assert_eq!(fixture.git(TREE, &["status", "--porcelain", "-b"]), "## ralph/t-1");
    assert_eq!(fixture.git(TREE, &["rev-parse", "ralph/t-1"]), fixture.git("repo", &["rev-parse", "main"]));
    assert_eq!(std::fs::read_to_string(site.path.join("README.md")).unwrap(), "changed\n");
    assert_eq!(complete(fixture, site).unwrap(), "no");
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
fn files_of_another_encoding_follow_as_git_writes_them_with_one_worker() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fixture.dispatch(&fixture.repo(), &site);
    for folder in ["d", "e"] {
        fixture.write(&format!("repo/{folder}/.gitattributes"), "*.txt working-tree-encoding=UTF-16LE\n");
        fixture.write(&format!("repo/{folder}/h.txt"), b"a\0b\0c\0\n\0");
    }
    fixture.commit_all("repo", "two");
    assert_eq!(forward(&fixture, &site), Forwarded::Moved { by: 1 });
    for folder in ["d", "e"] {
        assert_eq!(std::fs::read(site.path.join(folder).join("h.txt")).unwrap(), b"a\0b\0c\0\n\0");
    }
    assert_eq!(fixture.git(TREE, &["status", "--porcelain"]), "");
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

/// Moves the lane on in a process of its own, which is killed at `point`.
fn killed_at(point: &str, from: &str) -> (Fixture, Site) {
    let (fixture, site) = behind_by_two();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", from])
        .env(INSIDE, &fixture.root)
        .env("RALPH_FAILPOINT", format!("{point}:kill"))
        .output()
        .unwrap()
        .status;
    assert_eq!(status.signal(), Some(9), "{point}: {status}");
    (fixture, site)
}

const INSIDE: &str = "RALPH_TEST_FORWARD";
const NAME: &str = "git::tests::forwarding::a_move_that_was_killed_anywhere_is_completed_by_the_next";

#[test]
fn a_move_that_was_killed_anywhere_is_completed_by_the_next() {
    if let Ok(folder) = std::env::var(INSIDE) {
        let fixture = Fixture::at(folder.into());
        let site = fixture.site("t-1");
        forward(&fixture, &site);
        return;
    }
    for (point, found) in
        [("forward.marked", "files"), ("forward.files", "files"), ("forward.landed", "landed")]
    {
        let (fixture, site) = killed_at(point, NAME);
        assert_eq!(complete(&fixture, &site).unwrap(), found, "{point}");
        assert_moved(&fixture, &site);
    }
}

/// A lane whose move was cut short among its files, as by a power cut: one is new, one is old, one was being written.
fn half_moved() -> (Fixture, Site) {
    let (fixture, site) = behind_by_two();
    fixture.write("repo/long.txt", "a long text\n");
    fixture.commit_all("repo", "four");
    let commit = |name: &str| fixture.git("repo", &["rev-parse", name]);
    let mark = format!("{} {}\n", commit("ralph/t-1"), commit("main"));
    fixture.write("repo/.git/worktrees/t-1/ralph-forward", mark);
    fixture.write("repo/.git/worktrees/t-1/index.lock", "");
    fixture.write(&format!("{TREE}/new.txt"), "new\n");
    fixture.write(&format!("{TREE}/long.txt"), "a lo");
    (fixture, site)
}

#[test]
fn files_of_both_commits_are_no_ones_work() {
    let (fixture, site) = half_moved();
    assert_eq!(complete(&fixture, &site).unwrap(), "files");
    assert_moved(&fixture, &site);
    assert_eq!(std::fs::read_to_string(site.path.join("long.txt")).unwrap(), "a long text\n");
}

#[test]
fn what_someone_changed_since_is_neither_overwritten_nor_passed_over() {
    let changes: [&dyn Fn(&Fixture); 4] = [
        &|fixture| fixture.write(&format!("{TREE}/README.md"), "mine\n"),
        &|fixture| fixture.write(&format!("{TREE}/src/main.rs"), "mine\n"),
        &|fixture| fixture.write(&format!("{TREE}/long.txt"), "mine\n"),
        &|fixture| {
            std::fs::remove_file(fixture.path("repo/.git/worktrees/t-1/index.lock")).unwrap();
            fixture.write(&format!("{TREE}/staged"), "mine\n");
            fixture.git(TREE, &["add", "staged"]);
        },
    ];
    for change in changes {
        let (fixture, site) = half_moved();
        change(&fixture);
        let before = super::fixture::listing(&site.path);
        let error = complete(&fixture, &site).unwrap_err();
        assert!(matches!(error, GitError::HalfForwarded { .. }), "{error}");
        assert_eq!((error.class(), error.hint().is_some()), (ErrorClass::Refused, true));
        assert_eq!(super::fixture::listing(&site.path), before);
        // Committed, it is work like any other.
        drop(std::fs::remove_file(fixture.path("repo/.git/worktrees/t-1/index.lock")));
        fixture.commit_all(TREE, "mine");
        assert_eq!(complete(&fixture, &site).unwrap(), "no");
        assert_eq!(fixture.git(TREE, &["status", "--porcelain"]), "");
    }
}

#[test]
fn a_filter_that_fails_half_way_leaves_the_lane_as_it_was() {
    for filter in ["cat; kill -9 $PPID", "false"] {
        let (fixture, site) = behind_by_two();
        fixture.git("repo", &["config", "filter.bad.smudge", filter]);
        fixture.git("repo", &["config", "filter.bad.clean", "cat"]);
        fixture.git("repo", &["config", "filter.bad.required", "true"]);
        fixture.write("repo/.gitattributes", "zz.txt filter=bad\n");
        fixture.write("repo/zz.txt", "zz\n");
        fixture.commit_all("repo", "filtered");
        let tip = fixture.git(TREE, &["rev-parse", "HEAD"]);
        assert_eq!(forward(&fixture, &site), Forwarded::Continued { behind: 3, ahead: 0 }, "{filter}");
        assert_eq!(fixture.git(TREE, &["status", "--porcelain", "-b"]), "## ralph/t-1", "{filter}");
        assert_eq!(fixture.git(TREE, &["rev-parse", "HEAD"]), tip);
        assert_eq!(complete(&fixture, &site).unwrap(), "no");
    }
}

#[test]
fn a_branch_that_moved_meanwhile_is_not_moved_again() {
    let (fixture, site) = behind_by_two();
    let repo = fixture.repo();
    let base = repo.head_base().unwrap();
    let Outlook::Clear(forward) = outlook(&repo, &present(&repo, &site), &base, &[]).unwrap() else {
        panic!("it stays");
    };
    let landing = forward.write_files(&repo, &lane_lock(&site)).unwrap().unwrap();
    let tree = fixture.git("repo", &["rev-parse", "main~2^{tree}"]);
    let elsewhere = fixture.git("repo", &["commit-tree", "-p", "main~2", "-m", "elsewhere", &tree]);
    fixture.git("repo", &["update-ref", "refs/heads/ralph/t-1", &elsewhere]);
    let error = landing.land(&repo, &repo.lock(PATIENCE).unwrap()).unwrap_err();
    assert!(matches!(error, GitError::RefMoved { .. }), "{error}");
    assert_eq!(complete(&fixture, &site).unwrap(), "elsewhere");
    assert_eq!(fixture.git(TREE, &["rev-parse", "HEAD"]), elsewhere);
    assert_eq!(fixture.git(TREE, &["status", "--porcelain"]), "");
}

#[test]
fn folders_and_files_change_places_unless_something_ignored_is_in_the_way() {
    for (ignored, moves) in [(None, true), (Some("src/keys"), false), (Some("dir"), false)] {
        let (fixture, site) = behind_by_two();
        fixture.write("repo/.git/info/exclude", "keys\ndir\n");
        fixture.git("repo", &["rm", "-q", "-r", "src", "README.md"]);
        fixture.write("repo/src", "a file now\n");
        fixture.write("repo/README.md/inner", "a folder now\n");
        fixture.write("repo/dir/a", "new\n");
        fixture.git("repo", &["add", "-f", "."]);
        fixture.commit_all("repo", "changed places");
        if let Some(name) = ignored {
            fixture.write(&format!("{TREE}/{name}"), "precious\n");
        }
        let expected =
            if moves { Forwarded::Moved { by: 3 } } else { Forwarded::Continued { behind: 3, ahead: 0 } };
        assert_eq!(forward(&fixture, &site), expected, "{ignored:?}");
        assert_eq!(fixture.git(TREE, &["status", "--porcelain"]), "");
        if let Some(name) = ignored {
            assert_eq!(std::fs::read_to_string(site.path.join(name)).unwrap(), "precious\n");
        }
    }
}
