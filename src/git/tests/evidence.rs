//! What a look at a worktree finds, held against git's own answers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::fixture::{Fixture, PATIENCE};
use crate::git::{
    CommitId, Found, GitError, GitProgram, Head, Look, Operation, Repo, Site, Tree, glance, look, pin, unpin,
};

const TREE: &str = "repo.ralph/t-1";

struct Lane {
    fixture: Fixture,
    site: Site,
    start: CommitId,
}

fn lane() -> Lane {
    lane_in(Fixture::new())
}

fn lane_in(fixture: Fixture) -> Lane {
    let site = fixture.site("t-1");
    let start = fixture.dispatch(&fixture.repo(), &site).start;
    Lane { fixture, site, start }
}

impl Lane {
    fn look(&self) -> Found {
        self.look_with(&self.fixture.repo(), &[])
    }

    fn look_with(&self, repo: &Repo, ignore: &[PathBuf]) -> Found {
        let what = Look { worktree: &self.site.path, branch: &self.site.branch, start: &self.start, ignore };
        look(repo, &what).unwrap()
    }

    fn write(&self, name: &str, content: &str) {
        self.fixture.write(&format!("{TREE}/{name}"), content);
    }

    fn git(&self, args: &[&str]) -> String {
        self.fixture.git(TREE, args)
    }

    fn commit(&self, message: &str) {
        self.fixture.commit_all(TREE, message);
    }
}

#[test]
fn nothing_was_done() {
    let lane = lane();
    let found = lane.look();
    assert_eq!(found.head, Head::Branch("ralph/t-1".to_owned()));
    assert_eq!(found.head_commit.as_ref(), Some(&lane.start));
    assert_eq!(found.branch_tip.as_ref(), Some(&lane.start));
    assert_eq!((found.commits, found.files_changed, found.uncommitted, found.untracked), (0, 0, 0, 0));
    assert_eq!((found.operation, found.start_reachable, found.tree), (None, true, Tree::Present));
}

#[test]
fn commits_and_lines_are_counted_as_git_counts_them() {
    let lane = lane();
    lane.write("README.md", "read me\nand more\nand more\n");
    lane.write("new.txt", "1\n2\n3\n");
    lane.commit("one");
    fs::remove_file(lane.site.path.join("src/main.rs")).unwrap();
    lane.write("binary", "a\0b");
    lane.write("moved.txt", "1\n2\n3\n");
    fs::remove_file(lane.site.path.join("new.txt")).unwrap();
    lane.commit("two");
    let expected = lane.git(&["diff", "--no-renames", "--shortstat", lane.start.as_str(), "HEAD"]);
    assert_eq!(expected, " 4 files changed, 5 insertions(+), 1 deletion(-)");
    for repo in through_both(&lane) {
        let found = lane.look_with(&repo, &[]);
        assert_eq!((found.commits, found.files_changed, found.insertions, found.deletions), (2, 4, 5, 1));
        assert_eq!(found.branch_tip, found.head_commit);
        assert!(found.start_reachable);
    }
}

/// The lane's repository, opened through each engine.
fn through_both(lane: &Lane) -> [Repo; 2] {
    let by_libgit2 = lane.fixture.repo();
    lane.fixture.git("repo", &["config", "core.repositoryFormatVersion", "1"]);
    lane.fixture.git("repo", &["config", "extensions.partialClone", "origin"]);
    [by_libgit2, lane.fixture.repo()]
}

#[test]
fn uncommitted_and_untracked_files_are_counted_one_by_one() {
    let lane = lane();
    lane.write(".gitignore", "*.o\n");
    lane.commit("ignore");
    lane.write("README.md", "changed\n");
    fs::remove_file(lane.site.path.join("src/main.rs")).unwrap();
    lane.write("staged", "x");
    lane.git(&["add", "staged"]);
    for name in ["new folder/a", "new folder/b", "odd\nname", "built.o"] {
        lane.write(name, "x");
    }
    for repo in through_both(&lane) {
        let found = lane.look_with(&repo, &[]);
        assert_eq!((found.uncommitted, found.untracked), (3, 3));
    }
}

#[test]
fn the_users_settings_hide_nothing() {
    let lane = lane();
    lane.fixture.git("repo", &["config", "status.showUntrackedFiles", "no"]);
    lane.fixture.git("repo", &["config", "diff.ignoreSubmodules", "all"]);
    lane.write("new", "x");
    assert_eq!(lane.look().untracked, 1);
}

#[test]
fn the_manifests_view_and_copied_files_never_count() {
    let lane = lane();
    lane.write(".ralph/manifest.json", "x");
    lane.write(".tickets/t-1.md", "x");
    lane.write(".tickets/t-2.md", "x");
    lane.write(".ralphs", "x");
    let ignore = [PathBuf::from(".tickets/t-1.md")];
    let repo = lane.fixture.repo();
    assert_eq!(lane.look_with(&repo, &ignore).untracked, 2);
    lane.commit("all of it");
    let found = lane.look_with(&repo, &ignore);
    assert_eq!((found.files_changed, found.insertions), (2, 2));
    lane.write(".ralph/manifest.json", "y");
    lane.write(".tickets/t-1.md", "y");
    assert_eq!(lane.look_with(&repo, &ignore).uncommitted, 0);
    assert_eq!(lane.look_with(&repo, &[PathBuf::from(".tickets")]).files_changed, 1);
}

#[test]
fn nested_repositories_and_submodules_count_as_git_counts_them() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "repo", "inner"]);
    fixture.git("repo", &["-c", "protocol.file.allow=always", "submodule", "-q", "add", "../inner", "sub"]);
    fixture.git("repo", &["commit", "-q", "-m", "sub"]);
    let lane = lane_in(fixture);
    lane.git(&["-c", "protocol.file.allow=always", "submodule", "-q", "update", "--init"]);
    assert_eq!((lane.look().uncommitted, lane.look().untracked), (0, 0));
    lane.fixture.git(TREE, &["init", "-q", "nested"]);
    lane.write("nested/file", "x");
    assert_eq!((lane.look().uncommitted, lane.look().untracked), (0, 1));
    lane.write("sub/README.md", "changed");
    // The users' settings hide a submodule's changes from them, not from the evidence.
    lane.git(&["config", "submodule.sub.ignore", "all"]);
    assert_eq!((lane.look().uncommitted, lane.look().untracked), (1, 1));
}

#[test]
fn work_on_another_branch_or_on_none_is_told_apart() {
    let lane = lane();
    lane.write("a", "x");
    lane.commit("on the lane's branch");
    lane.git(&["checkout", "-q", "--detach"]);
    lane.write("b", "x");
    lane.commit("on none");
    let tip = lane.git(&["rev-parse", "HEAD"]);
    for repo in through_both(&lane) {
        let found = lane.look_with(&repo, &[]);
        assert!(matches!(&found.head, Head::Detached(commit) if commit.as_str() == tip));
        assert_eq!((found.commits, found.files_changed, found.off_branch), (1, 1, 1));
        assert_eq!(found.head_commit.unwrap().as_str(), tip);
    }
    lane.git(&["branch", "-q", "-D", "ralph/t-1"]);
    let found = lane.look();
    assert_eq!((found.branch_tip, found.commits, found.files_changed, found.off_branch), (None, 2, 2, 0));
    lane.git(&["switch", "-q", "-c", "aside"]);
    assert_eq!(lane.look().head, Head::Branch("aside".to_owned()));
}

#[test]
fn a_branch_that_was_deleted_under_its_worktree_is_found_gone() {
    let lane = lane();
    lane.git(&["update-ref", "-d", "refs/heads/ralph/t-1"]);
    let found = lane.look();
    assert_eq!((found.head_commit, found.branch_tip, found.commits), (None, None, 0));
    assert!(!found.start_reachable);
}

#[test]
fn rewritten_history_is_seen() {
    let lane = lane();
    lane.git(&["commit", "-q", "--amend", "-m", "rewritten"]);
    for repo in through_both(&lane) {
        let found = lane.look_with(&repo, &[]);
        assert_eq!((found.start_reachable, found.commits), (false, 1));
    }
}

#[test]
fn whatever_was_begun_and_not_ended_is_named() {
    let lane = lane();
    lane.write("README.md", "ours\n");
    lane.commit("ours");
    lane.git(&["branch", "ours"]);
    lane.git(&["switch", "-q", "-c", "theirs", lane.start.as_str()]);
    lane.write("README.md", "theirs\n");
    lane.commit("theirs");
    let patch = lane.git(&["format-patch", "-1", "--stdout"]);
    lane.fixture.write("patch", format!("{patch}\n"));
    lane.git(&["switch", "-q", "ralph/t-1"]);
    let patch = lane.fixture.path("patch");
    for (begin, end, operation) in [
        (vec!["merge", "theirs"], vec!["merge", "--abort"], Operation::Merge),
        (vec!["rebase", "theirs"], vec!["rebase", "--abort"], Operation::Rebase),
        (vec!["rebase", "--apply", "theirs"], vec!["rebase", "--abort"], Operation::Rebase),
        (vec!["cherry-pick", "theirs"], vec!["cherry-pick", "--abort"], Operation::CherryPick),
        (vec!["revert", "--no-commit", "HEAD"], vec!["revert", "--abort"], Operation::Revert),
        (vec!["am", "-q", patch.to_str().unwrap()], vec!["am", "--abort"], Operation::Am),
        (vec!["bisect", "start"], vec!["bisect", "reset"], Operation::Bisect),
    ] {
        // Most of them stop at a conflict, and say so by their exit status.
        drop(lane.fixture.command(TREE, &begin).output().unwrap());
        assert_eq!(lane.look().operation, Some(operation), "{begin:?}");
        if operation == Operation::Merge {
            assert_eq!(lane.look().uncommitted, 1, "an unmerged file is uncommitted work");
        }
        lane.git(&end);
        assert_eq!(lane.look().operation, None, "{end:?}");
    }
}

#[test]
fn what_is_left_of_several_commits_to_be_picked_or_reverted_is_an_operation_left_open() {
    for (begin, operation) in [("cherry-pick", Operation::CherryPick), ("revert", Operation::Revert)] {
        let lane = lane();
        for (branch, content) in [("theirs", ["theirs\n", "more\n"]), ("ralph/t-1", ["ours\n", "ours too\n"])]
        {
            lane.git(&["switch", "-q", "-C", branch, lane.start.as_str()]);
            for content in content {
                lane.write("README.md", content);
                lane.commit("change");
            }
        }
        let others =
            if operation == Operation::CherryPick { ["theirs~1", "theirs"] } else { ["HEAD~1", "HEAD"] };
        drop(lane.fixture.command(TREE, &[begin, "--no-edit", others[0], others[1]]).output().unwrap());
        assert_eq!(lane.look().operation, Some(operation));
        lane.write("README.md", "resolved\n");
        lane.commit("resolved");
        assert_eq!(lane.look().operation, Some(operation), "one is left");
        lane.git(&[begin, "--abort"]);
        assert_eq!(lane.look().operation, None);
    }
}

#[test]
fn a_folder_that_is_gone_leaves_the_branch_to_tell() {
    let lane = lane();
    lane.write("a", "x");
    lane.commit("work");
    fs::remove_dir_all(&lane.site.path).unwrap();
    let found = lane.look();
    assert_eq!((found.tree, found.commits), (Tree::Missing, 1));
    fs::create_dir(&lane.site.path).unwrap();
    assert_eq!(lane.look().tree, Tree::Missing);
    fs::remove_dir(&lane.site.path).unwrap();
    lane.fixture.git("repo", &["worktree", "unlock", lane.site.path.to_str().unwrap()]);
    lane.fixture.git("repo", &["worktree", "prune"]);
    let found = lane.look();
    assert_eq!((found.head, found.tree, found.commits), (Head::Unclear, Tree::Missing, 1));
}

#[test]
fn a_glance_sees_what_lies_there_and_waits_for_no_one() {
    let lane = lane();
    lane.write("README.md", "changed\n");
    lane.write("new", "new\n");
    let what = Look { worktree: &lane.site.path, branch: &lane.site.branch, start: &lane.start, ignore: &[] };
    let seen = glance(&lane.fixture.repo(), &what, PATIENCE).unwrap();
    assert_eq!((seen.tree, seen.uncommitted, seen.untracked, seen.operation), (Tree::Present, 1, 1, None));
    let slow = lane.fixture.path("slow-git");
    fs::write(&slow, "#!/bin/sh\nexec sleep 600\n").unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o755)).unwrap();
    let repo = Repo::open_with(&lane.fixture.path("repo"), GitProgram::new(slow)).unwrap();
    let seen = glance(&repo, &what, std::time::Duration::from_millis(1)).unwrap();
    assert!(matches!(&seen.tree, Tree::Unclear { why } if why.contains("after 0 seconds")), "{seen:?}");
}

#[test]
fn a_folder_that_is_no_longer_the_lanes_is_unclear_and_not_looked_into() {
    let lane = lane();
    fs::remove_file(lane.site.path.join(".git")).unwrap();
    lane.git(&["init", "-q"]);
    let found = lane.look();
    assert!(matches!(&found.tree, Tree::Unclear { why } if why.contains("not a file")), "{:?}", found.tree);
    assert_eq!((found.uncommitted, found.untracked), (0, 0));
}

#[test]
fn a_broken_index_is_unclear_and_hides_no_commit() {
    let lane = lane();
    lane.write("a", "x");
    lane.commit("work");
    lane.fixture.write("repo/.git/worktrees/t-1/index", "DIRCgarbage");
    let found = lane.look();
    assert!(matches!(found.tree, Tree::Unclear { .. }), "{:?}", found.tree);
    assert_eq!(found.commits, 1);
}

#[test]
fn a_worktree_of_a_bare_repository_is_looked_at() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "--bare", "repo", "bare.git"]);
    fs::remove_dir_all(fixture.path("repo")).unwrap();
    fs::rename(fixture.path("bare.git"), fixture.path("repo")).unwrap();
    let lane = lane_in(fixture);
    lane.write("a", "x");
    lane.commit("work");
    lane.write("README.md", "changed");
    let found = lane.look();
    assert_eq!((found.commits, found.uncommitted, found.untracked, found.tree), (1, 1, 0, Tree::Present));
}

#[test]
fn a_worktree_of_the_users_on_the_lanes_branch_is_not_the_lanes() {
    let lane = lane();
    lane.fixture.git("repo", &["worktree", "remove", "-f", "-f", "../repo.ralph/t-1"]);
    lane.fixture.git("repo", &["worktree", "add", "-q", "../mine", "ralph/t-1"]);
    lane.fixture.write("mine/new", "x");
    let found = lane.look();
    assert_eq!((found.tree, found.untracked), (Tree::Missing, 0));
}

#[test]
fn a_worktree_that_was_moved_is_found_by_its_branch() {
    let lane = lane();
    lane.fixture.git("repo", &["worktree", "unlock", "../repo.ralph/t-1"]);
    lane.fixture.git("repo", &["worktree", "move", "../repo.ralph/t-1", "../moved"]);
    lane.fixture.write("moved/new", "x");
    assert_eq!(lane.look().untracked, 1);
}

#[test]
fn a_filter_that_would_run_what_lies_in_the_worktree_does_not_run_for_a_look() {
    let fixture = Fixture::new();
    fixture.write("repo/.gitattributes", "* filter=x\n");
    fixture.commit_all("repo", "filtered");
    let ran = fixture.path("ran");
    fixture.git("repo", &["config", "filter.x.clean", "sh tools/f"]);
    let lane = lane_in(fixture);
    lane.write("tools/f", &format!("touch '{}'; cat\n", ran.display()));
    lane.write("README.md", "changed\n");
    assert_eq!(lane.look().uncommitted, 1);
    assert!(!ran.exists());
}

#[test]
fn a_look_changes_nothing_and_runs_nothing_that_was_configured_meanwhile() {
    let lane = lane();
    let ran = lane.fixture.path("ran");
    let trap = lane.fixture.path("trap");
    lane.fixture.write("trap", format!("#!/bin/sh\ntouch '{}'\ncat\n", ran.display()));
    fs::set_permissions(&trap, fs::Permissions::from_mode(0o755)).unwrap();
    let trap = trap.to_str().unwrap();
    for key in [
        "core.fsmonitor",
        "filter.trap.clean",
        "filter.trap.smudge",
        "filter.trap.process",
        "diff.external",
        "diff.trap.command",
        "diff.trap.textconv",
        "core.pager",
        "core.sshCommand",
    ] {
        lane.git(&["config", key, trap]);
    }
    lane.git(&["config", "filter.trap.required", "true"]);
    lane.git(&["config", "core.hooksPath", lane.fixture.path("hooks").to_str().unwrap()]);
    for hook in ["post-index-change", "reference-transaction", "fsmonitor-watchman"] {
        fs::create_dir_all(lane.fixture.path("hooks")).unwrap();
        fs::copy(trap, lane.fixture.path("hooks").join(hook)).unwrap();
    }
    lane.write("README.md", "changed, and of another length\n");
    lane.write(".gitattributes", "* filter=trap diff=trap\n");
    let index = fs::read(lane.fixture.path("repo/.git/worktrees/t-1/index")).unwrap();
    let found = lane.look();
    assert_eq!((found.uncommitted, found.untracked), (1, 1));
    assert!(!ran.exists());
    assert_eq!(fs::read(lane.fixture.path("repo/.git/worktrees/t-1/index")).unwrap(), index);
}

#[test]
fn a_filter_that_the_start_commit_asks_for_is_honoured() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.git("repo", &["config", "filter.caps.clean", "tr A-Z a-z"]);
    fixture.write("repo/.gitattributes", "*.txt filter=caps\n");
    fixture.write("repo/f.txt", "shout\n");
    fixture.commit_all("repo", "filter");
    let lane = lane_in(fixture);
    // Touched, so that git has to read it again.
    lane.write("f.txt", "SHOUT\n");
    assert_eq!(lane.look().uncommitted, 0);
}

#[test]
fn a_sparse_worktree_is_clean() {
    let fixture = Fixture::new();
    fixture.write("repo/big/file", "x");
    fixture.commit_all("repo", "big");
    fixture.git("repo", &["sparse-checkout", "set", "--cone", "--sparse-index", "src"]);
    let lane = lane_in(fixture);
    assert_eq!((lane.look().uncommitted, lane.look().untracked), (0, 0));
}

#[test]
fn a_pinned_commit_outlives_its_branch_and_a_collection() {
    let lane = lane();
    lane.git(&["checkout", "-q", "--detach"]);
    lane.write("a", "x");
    lane.commit("work");
    let tip: CommitId = lane.git(&["rev-parse", "HEAD"]).parse().unwrap();
    let repo = lane.fixture.repo();
    let guard = repo.lock(PATIENCE).unwrap();
    pin(&repo, &guard, "sessions/one", &tip).unwrap();
    pin(&repo, &guard, "sessions/one", &tip).unwrap();
    lane.git(&["checkout", "-q", "ralph/t-1"]);
    lane.git(&["reflog", "expire", "--expire=now", "--all"]);
    lane.git(&["gc", "-q", "--prune=now"]);
    assert_eq!(lane.git(&["cat-file", "-t", tip.as_str()]), "commit");
    assert_eq!(lane.git(&["rev-parse", "refs/ralph/sessions/one"]), tip.as_str());
}

/// The lane's repository, with no git program to ask.
fn without_git(lane: &Lane) -> Found {
    let repo = Repo::open_with(&lane.fixture.path("repo"), GitProgram::new("/nowhere/git")).unwrap();
    lane.look_with(&repo, &[PathBuf::from("notes")])
}

#[test]
fn a_worktree_in_which_nothing_is_changed_is_told_without_git() {
    let lane = lane();
    lane.write("notes/mine.txt", "not counted\n");
    lane.write(".ralph/manifest.json", "{}");
    assert_eq!(without_git(&lane).tree, Tree::Present);
    lane.write("src/new.rs", "new\n");
    lane.git(&["add", "src"]);
    lane.git(&["commit", "-q", "-m", "New"]);
    // Its index is as new as the file, until git has looked again later.
    let file = lane.site.path.join("src/new.rs");
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(86_400);
    fs::File::options().write(true).open(file).unwrap().set_modified(yesterday).unwrap();
    lane.git(&["status"]);
    let found = without_git(&lane);
    assert_eq!((found.tree, found.commits, found.uncommitted, found.untracked), (Tree::Present, 1, 0, 0));
}

#[test]
fn git_is_asked_about_a_worktree_in_which_anything_is_changed() {
    type Change = fn(&Lane);
    let changes: [(&str, Change); 11] = [
        ("a folder that was moved away behind a link", |lane| {
            let (folder, away) = (lane.site.path.join("src"), lane.fixture.path("away"));
            fs::rename(&folder, &away).unwrap();
            symlink(&away, &folder).unwrap();
        }),
        ("a named pipe as the index", |lane| {
            let index = lane.site.path.join(lane.git(&["rev-parse", "--git-path", "index"]));
            fs::remove_file(&index).unwrap();
            let mode = rustix::fs::Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(rustix::fs::CWD, &index, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        }),
        ("an edit", |lane| lane.write("README.md", "read me!\n")),
        ("an edit of the same size", |lane| {
            let path = lane.site.path.join("README.md");
            let before = fs::metadata(&path).unwrap().modified().unwrap();
            let text = fs::read_to_string(&path).unwrap().replace('e', "3");
            lane.write("README.md", &text);
            fs::File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
        }),
        ("a mode", |lane| {
            fs::set_permissions(lane.site.path.join("README.md"), fs::Permissions::from_mode(0o755)).unwrap();
        }),
        ("a deletion", |lane| fs::remove_file(lane.site.path.join("README.md")).unwrap()),
        ("a new file", |lane| lane.write("new.txt", "new\n")),
        ("a new file below", |lane| lane.write("src/new.txt", "new\n")),
        ("a staged file", |lane| {
            lane.write("new.txt", "new\n");
            lane.git(&["add", "new.txt"]);
            fs::remove_file(lane.site.path.join("new.txt")).unwrap();
        }),
        ("what is only staged", |lane| drop(lane.git(&["rm", "-q", "--cached", "README.md"]))),
        ("what git was told to believe", |lane| {
            lane.git(&["update-index", "--assume-unchanged", "README.md"]);
        }),
    ];
    for (what, change) in changes {
        let lane = lane();
        assert_eq!(without_git(&lane).tree, Tree::Present, "before {what}");
        change(&lane);
        assert!(matches!(without_git(&lane).tree, Tree::Unclear { .. }), "{what}");
    }
}

#[test]
fn a_pin_whose_name_was_made_to_stand_for_a_branch_neither_moves_nor_deletes_that() {
    let lane = lane();
    lane.write("new.txt", "x");
    lane.commit("two");
    let (tip, main) = (lane.look().branch_tip.unwrap(), lane.start.clone());
    for repo in through_both(&lane) {
        let lock = repo.lock(PATIENCE).unwrap();
        let plant =
            || lane.fixture.git("repo", &["symbolic-ref", "refs/ralph/sessions/x/head", "refs/heads/main"]);
        let mains = || lane.fixture.git("repo", &["rev-parse", "--verify", "refs/heads/main"]);
        plant();
        pin(&repo, &lock, "sessions/x/head", &tip).unwrap();
        assert_eq!(mains(), main.as_str());
        assert_eq!(lane.fixture.git("repo", &["rev-parse", "refs/ralph/sessions/x/head"]), tip.as_str());
        plant();
        let error = unpin(&repo, &lock, "sessions/x/head", &main).unwrap_err();
        assert!(matches!(error, GitError::RefMoved { .. }), "{error}");
        assert_eq!(mains(), main.as_str());
    }
}
