//! What would be lost with a worktree, kind by kind: git's own `worktree remove` overlooks most of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::fixture::{Fixture, dispatch_on};
use crate::git::{
    BranchStanding, CommitId, Folder, GitError, Repo, Site, Subject, UnsavedItem, branch_standing,
    registered, unsaved,
};

const TREE: &str = "repo.ralph/t-1";

struct Lane {
    fixture: Fixture,
    repo: Repo,
    site: Site,
    base: CommitId,
}

impl Lane {
    fn new() -> Self {
        Self::of(Fixture::new())
    }

    fn of(fixture: Fixture) -> Self {
        let (repo, site) = (fixture.repo(), fixture.site("t-1"));
        let created = fixture.dispatch(&repo, &site);
        Self { fixture, repo, site, base: created.start }
    }

    fn git(&self, args: &[&str]) -> String {
        self.fixture.git(TREE, args)
    }

    fn write(&self, name: &str, content: &str) {
        self.fixture.write(&format!("{TREE}/{name}"), content);
    }

    /// What is found, one line a kind, without what depends on the run.
    fn found(&self) -> Vec<String> {
        self.items(&self.repo).iter().map(short).collect()
    }

    fn items(&self, repo: &Repo) -> Vec<UnsavedItem> {
        let standing = registered(repo, &self.site).unwrap().unwrap();
        let base = repo.head_base().unwrap();
        let branch_standing =
            branch_standing(repo, &self.site.branch, Some(&base), Some(&standing.id)).unwrap();
        let subject = Subject {
            standing: &standing,
            branch: &self.site.branch,
            branch_standing: &branch_standing,
            base: &self.base,
            not_work: &[PathBuf::from(".tickets/t-1.md")],
        };
        unsaved(repo, &subject).items
    }
}

fn short(item: &UnsavedItem) -> String {
    match item {
        UnsavedItem::Commits(several) => format!("{} commits", several.count),
        UnsavedItem::Unchecked { what, .. } => format!("unchecked: {what}"),
        other => other.to_string(),
    }
}

#[test]
fn a_worktree_as_it_was_made_holds_nothing() {
    assert_eq!(Lane::new().found(), Vec::<String>::new());
}

#[test]
fn a_worktree_whose_work_is_committed_holds_nothing() {
    let lane = Lane::new();
    lane.write("new", "x");
    lane.fixture.commit_all(TREE, "work");
    assert_eq!(lane.found(), Vec::<String>::new());
}

#[test]
fn changed_staged_and_deleted_files_are_found() {
    let lane = Lane::new();
    lane.write("README.md", "changed\n");
    fs::remove_file(lane.site.path.join("src/main.rs")).unwrap();
    lane.write("staged", "x");
    lane.git(&["add", "staged"]);
    assert_eq!(lane.found(), ["3 changed files: README.md, src/main.rs, staged"]);
}

#[test]
fn an_exec_bit_is_a_change() {
    let lane = Lane::new();
    lane.git(&["update-index", "--chmod=+x", "README.md"]);
    assert_eq!(lane.found(), ["1 changed file: README.md"]);
}

#[test]
fn new_files_are_found_though_the_user_never_wants_to_see_them() {
    let lane = Lane::new();
    lane.fixture.git("repo", &["config", "status.showUntrackedFiles", "no"]);
    lane.write("notes/a.md", "x");
    lane.write("notes/b.md", "x");
    symlink("nowhere", lane.site.path.join("link")).unwrap();
    assert_eq!(lane.found(), ["3 new files: link, notes/a.md, notes/b.md"]);
}

#[test]
fn ignored_files_are_found_unless_a_build_makes_them_again() {
    let lane = Lane::new();
    lane.write(".gitignore", ".env\n/target/\nnode_modules/\n*.pyc\n/notes/\n");
    lane.fixture.commit_all(TREE, "ignore");
    for product in ["target/debug/x", "web/node_modules/a/index.js", "a/b.pyc"] {
        lane.write(product, "x");
    }
    assert_eq!(lane.found(), Vec::<String>::new());
    lane.write(".env", "SECRET=1\n");
    lane.write("notes/plan.md", "x");
    assert_eq!(lane.found(), ["2 ignored files: .env, notes/"]);
}

#[test]
fn what_the_exclude_file_hides_is_found_too() {
    let lane = Lane::new();
    lane.fixture.write("repo/.git/info/exclude", "*\n");
    lane.write("work.txt", "x");
    assert_eq!(lane.found(), ["1 ignored file: work.txt"]);
}

#[test]
fn the_manifest_and_the_copied_ticket_are_no_work_but_their_neighbours_are() {
    let lane = Lane::new();
    lane.write(".ralph/manifest.json", "{}");
    lane.write(".ralph/.gitignore", "*\n");
    lane.write(".tickets/t-1.md", "x");
    assert_eq!(lane.found(), Vec::<String>::new());
    lane.write(".tickets/t-2.md", "x");
    assert_eq!(lane.found(), ["1 new file: .tickets/t-2.md"]);
}

#[test]
fn a_tracked_ticket_is_work_like_any_tracked_file() {
    let fixture = Fixture::new();
    fixture.write("repo/.tickets/t-1.md", "x");
    fixture.commit_all("repo", "ticket");
    let lane = Lane::of(fixture);
    lane.write(".tickets/t-1.md", "done");
    assert_eq!(lane.found(), ["1 changed file: .tickets/t-1.md"]);
}

#[test]
fn files_that_git_was_told_not_to_look_at_are_found() {
    let lane = Lane::new();
    lane.git(&["update-index", "--assume-unchanged", "README.md"]);
    lane.git(&["update-index", "--skip-worktree", "src/main.rs"]);
    lane.write("README.md", "hidden work\n");
    lane.write("src/main.rs", "hidden work\n");
    assert_eq!(lane.git(&["status", "--porcelain"]), "");
    assert_eq!(lane.found(), ["2 files that git was told not to look at: README.md, src/main.rs"]);
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_nothing_that_could_be_lost() {
    let fixture = Fixture::new();
    fixture.git("repo", &["sparse-checkout", "set", "src"]);
    fixture.write("repo/docs/a.md", "x");
    fixture.git("repo", &["add", "--sparse", "-A"]);
    fixture.git("repo", &["commit", "-q", "-m", "docs"]);
    let lane = Lane::of(fixture);
    assert!(lane.git(&["ls-files", "-v"]).contains("S docs/a.md"));
    assert_eq!(lane.found(), Vec::<String>::new());
}

#[test]
fn a_merge_that_stopped_at_a_conflict_is_found_with_its_files() {
    let lane = Lane::new();
    conflict(&lane);
    drop(lane.fixture.command(TREE, &["merge", "-q", "main"]).output());
    assert_eq!(lane.found(), ["1 file in conflict: README.md", "an open merge"]);
}

/// Commits that contradict each other, on the lane's branch and on main.
fn conflict(lane: &Lane) {
    lane.write("README.md", "the lane's\n");
    lane.fixture.commit_all(TREE, "the lane's");
    lane.fixture.write("repo/README.md", "main's\n");
    lane.fixture.commit_all("repo", "main's");
}

#[test]
fn a_merge_that_only_waits_for_its_commit_is_found_in_a_clean_tree() {
    let lane = Lane::new();
    lane.fixture.git("repo", &["commit", "-q", "--allow-empty", "-m", "empty"]);
    lane.git(&["commit", "-q", "--allow-empty", "-m", "empty, too"]);
    lane.git(&["merge", "-q", "--no-commit", "--no-ff", "main"]);
    assert_eq!(lane.git(&["status", "--porcelain"]), "");
    assert_eq!(lane.found(), ["an open merge"]);
}

#[test]
fn a_stopped_rebase_is_found_with_what_it_put_aside() {
    let lane = Lane::new();
    conflict(&lane);
    lane.write("src/main.rs", "uncommitted\n");
    drop(lane.fixture.command(TREE, &["rebase", "-q", "--autostash", "main"]).output());
    let found = lane.found();
    assert!(found.contains(&"an open rebase".to_owned()), "{found:?}");
    assert!(found.contains(&"changes that git put aside for it".to_owned()), "{found:?}");
    // The stash and the commit under rebase: nothing else leads to the former.
    assert!(found.iter().any(|item| item.ends_with("commits")), "{found:?}");
}

#[test]
fn other_things_that_git_began_are_found() {
    let begun: [(&str, &[&str]); 3] = [
        ("cherry-pick", &["cherry-pick", "main"]),
        ("revert", &["revert", "--no-edit", "HEAD~1"]),
        ("bisect", &["bisect", "start"]),
    ];
    for (operation, args) in begun {
        let lane = Lane::new();
        lane.write("README.md", "in between\n");
        lane.fixture.commit_all(TREE, "in between");
        conflict(&lane);
        drop(lane.fixture.command(TREE, args).output());
        let found = lane.found();
        assert!(found.contains(&format!("an open {operation}")), "{operation}: {found:?}");
    }
}

#[test]
fn commits_of_a_detached_head_are_found_until_something_leads_to_them() {
    let lane = Lane::new();
    lane.git(&["switch", "-q", "--detach"]);
    lane.git(&["commit", "-q", "--allow-empty", "-m", "one"]);
    lane.git(&["commit", "-q", "--allow-empty", "-m", "two"]);
    assert_eq!(lane.found(), ["2 commits"]);
    let commit = lane.git(&["rev-parse", "HEAD"]);
    // A pin of the trash goes with the trash.
    lane.git(&["update-ref", "refs/ralph/trash/x/tip", &commit]);
    assert_eq!(lane.found(), ["2 commits"]);
    lane.git(&["update-ref", "refs/ralph/sessions/x/head", &commit]);
    assert_eq!(lane.found(), Vec::<String>::new());
}

#[test]
fn commits_that_only_the_reflog_has_are_found() {
    let lane = Lane::new();
    lane.git(&["commit", "-q", "--allow-empty", "-m", "first try"]);
    lane.git(&["commit", "-q", "--allow-empty", "--amend", "-m", "second try"]);
    assert_eq!(lane.found(), ["1 commits"]);
}

#[test]
fn commits_of_the_branch_s_own_reflog_count_where_the_branch_may_go() {
    let lane = Lane::new();
    let before = lane.git(&["rev-parse", "HEAD"]);
    let commit = lane.git(&["commit-tree", "-m", "from elsewhere", "HEAD^{tree}"]);
    lane.fixture.git("repo", &["update-ref", "refs/heads/ralph/t-1", &commit]);
    lane.fixture.git("repo", &["update-ref", "refs/heads/ralph/t-1", &before]);
    let own_log = lane.repo.common_dir().join("worktrees/t-1/logs/HEAD");
    assert!(!fs::read_to_string(own_log).unwrap_or_default().contains(&commit));
    assert_eq!(lane.found(), ["1 commits"]);
    lane.git(&["commit", "-q", "--allow-empty", "-m", "so that the branch stays"]);
    assert_eq!(lane.found(), Vec::<String>::new());
}

#[test]
fn what_was_only_fetched_is_somebody_else_s() {
    let lane = Lane::new();
    lane.fixture.init("other", &[]);
    lane.fixture.git("other", &["commit", "-q", "--allow-empty", "-m", "theirs"]);
    lane.git(&["fetch", "-q", "../../other", "main"]);
    assert_eq!(lane.found(), Vec::<String>::new());
}

#[test]
fn repositories_within_are_found_wherever_they_are() {
    let lane = Lane::new();
    lane.write(".gitignore", "/ignored/\n");
    lane.fixture.commit_all(TREE, "ignore");
    for name in ["beside", "src", "ignored"] {
        lane.fixture.git(".", &["init", "-q", &format!("{TREE}/{name}")]);
        lane.fixture.git(&format!("{TREE}/{name}"), &["commit", "-q", "--allow-empty", "-m", "inside"]);
    }
    // Of the one among tracked files, `git status` says nothing at all.
    assert_eq!(lane.found(), ["1 ignored file: ignored/", "2 repositories within: beside, src"]);
}

#[test]
fn a_submodule_is_found_while_it_is_checked_out_and_afterwards() {
    let fixture = Fixture::new();
    fixture.init("library", &[]);
    fixture.write("library/lib.rs", "x");
    fixture.commit_all("library", "one");
    fixture.git("repo", &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library"]);
    fixture.git("repo", &["commit", "-q", "-m", "submodule"]);
    let lane = Lane::of(fixture);
    assert_eq!(lane.found(), Vec::<String>::new(), "nothing of it is here yet");
    lane.git(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    assert_eq!(lane.found(), ["1 repository within: library"]);
    lane.git(&["submodule", "--quiet", "deinit", "--force", "library"]);
    assert_eq!(lane.found(), ["1 repository within: a submodule that is not checked out"]);
}

#[test]
fn git_at_work_is_found_by_its_lock() {
    let lane = Lane::new();
    fs::write(lane.repo.common_dir().join("worktrees/t-1/index.lock"), "").unwrap();
    assert_eq!(lane.found(), ["git's lock on the index (index.lock)"]);
}

#[test]
fn a_check_that_fails_could_hide_anything() {
    let lane = Lane::new();
    fs::write(lane.repo.common_dir().join("worktrees/t-1/index"), "no index").unwrap();
    assert_eq!(
        lane.found(),
        ["unchecked: files that git does not look at", "unchecked: changed and new files"]
    );
    let broken = Repo::open_with(&lane.fixture.path("repo"), crate::git::GitProgram::new("/nonexistent/git"));
    let found: Vec<String> = lane.items_without_git(&broken.unwrap());
    assert_eq!(
        found,
        [
            "unchecked: files that git does not look at",
            "unchecked: changed and new files",
            "unchecked: commits that only the worktree has"
        ]
    );
}

impl Lane {
    fn items_without_git(&self, repo: &Repo) -> Vec<String> {
        let standing = registered(repo, &self.site).unwrap().unwrap();
        let branch_standing = BranchStanding::Own { tip: self.base.clone() };
        let subject = Subject {
            standing: &standing,
            branch: &self.site.branch,
            branch_standing: &branch_standing,
            base: &self.base,
            not_work: &[],
        };
        unsaved(repo, &subject).items.iter().map(short).collect()
    }
}

#[test]
fn a_worktree_whose_folder_is_gone_still_has_what_was_staged() {
    let lane = Lane::new();
    fs::remove_dir_all(&lane.site.path).unwrap();
    assert_eq!(registered(&lane.repo, &lane.site).unwrap().unwrap().folder, Folder::Missing);
    assert_eq!(lane.found(), Vec::<String>::new());
    let lane = Lane::new();
    lane.write("staged", "x");
    lane.git(&["add", "staged"]);
    fs::remove_dir_all(&lane.site.path).unwrap();
    assert_eq!(lane.found(), ["1 changed file: staged"]);
}

#[test]
fn a_worktree_that_was_never_complete_holds_nothing() {
    let fixture = Fixture::new();
    let (repo, site) = (fixture.repo(), fixture.site("t-1"));
    let base = repo.head_base().unwrap();
    let lock = repo.lock(super::fixture::PATIENCE).unwrap();
    let created = crate::git::create(&repo, &lock, &site, &base, "ralph test").unwrap();
    drop(lock);
    let lane = Lane { fixture, repo, site, base: created.start };
    assert_eq!(lane.found(), Vec::<String>::new());
}

#[test]
fn no_program_that_someone_configured_meanwhile_runs() {
    let lane = Lane::new();
    let witness = lane.fixture.path("witness");
    let command = format!("touch {}; cat", witness.display());
    lane.fixture.git("repo", &["config", "core.fsmonitor", &command]);
    lane.fixture.git("repo", &["config", "filter.evil.clean", &command]);
    lane.write(".gitattributes", "* filter=evil\n");
    lane.write("README.md", "changed\n");
    lane.write("new", "x\n");
    let found = lane.found();
    assert_eq!(found, ["1 changed file: README.md", "2 new files: .gitattributes, new"]);
    assert!(!witness.exists());
}

#[test]
fn names_are_bounded_and_said_without_control_characters() {
    let lane = Lane::new();
    for n in 0..30 {
        lane.write(&format!("f{n:02}\u{1b}[31m"), "x");
    }
    let items = lane.items(&lane.repo);
    let [UnsavedItem::Untracked(several)] = items.as_slice() else { panic!("{items:?}") };
    assert_eq!((several.count, several.first.len()), (30, 10));
    let said = items[0].to_string();
    assert!(said.starts_with("30 new files: f00") && said.ends_with(", …"), "{said}");
    assert!(!said.chars().any(char::is_control));
}

#[test]
fn a_folder_that_is_not_certainly_the_worktree_is_refused() {
    let refused = |lane: &Lane| registered(&lane.repo, &lane.site).unwrap_err();
    // Row 80: a symbolic link in its place.
    let lane = Lane::new();
    fs::rename(&lane.site.path, lane.fixture.path("moved")).unwrap();
    symlink(lane.fixture.path("moved"), &lane.site.path).unwrap();
    assert!(matches!(refused(&lane), GitError::SymlinkInTheWay { .. }));
    // Row 36: something else in its place.
    fs::remove_file(&lane.site.path).unwrap();
    lane.fixture.init(TREE, &[]);
    let error = refused(&lane);
    assert!(matches!(error, GitError::MovedByHand { .. }), "{error}");
    assert!(error.hint().unwrap().contains("git worktree repair"));
    // A registration that is gone while the folder is there.
    let lane = Lane::new();
    fs::remove_dir_all(lane.repo.common_dir().join("worktrees/t-1")).unwrap();
    let error = refused(&lane);
    assert!(matches!(error, GitError::NotRegistered { .. }), "{error}");
    assert!(error.hint().unwrap().contains("git worktree repair"));
    // Row 81: a registration that was made to name a folder around the repository.
    let lane = Lane::new();
    let admin = lane.repo.common_dir().join("worktrees/t-1");
    fs::copy(lane.site.path.join(".git"), lane.fixture.path(".git")).unwrap();
    fs::write(admin.join("gitdir"), format!("{}\n", lane.fixture.path(".git").display())).unwrap();
    let error = refused(&lane);
    assert!(matches!(error, GitError::HoldsRepository { .. }), "{error}");
}

#[test]
fn a_lane_with_neither_folder_nor_registration_stands_nowhere() {
    let lane = Lane::new();
    fs::remove_dir_all(&lane.site.path).unwrap();
    fs::remove_dir_all(lane.repo.common_dir().join("worktrees/t-1")).unwrap();
    assert!(registered(&lane.repo, &lane.site).unwrap().is_none());
    fs::create_dir(&lane.site.path).unwrap();
    assert!(registered(&lane.repo, &lane.site).unwrap().is_none(), "an empty folder is nothing");
}

#[test]
fn a_branch_is_contained_in_its_base_or_in_another_branch_or_stands_alone() {
    let lane = Lane::new();
    let how = || {
        let base = lane.repo.head_base().unwrap();
        branch_standing(&lane.repo, &lane.site.branch, Some(&base), Some("t-1")).unwrap()
    };
    let tip = || lane.git(&["rev-parse", "ralph/t-1"]).parse::<CommitId>().unwrap();
    assert_eq!(how(), BranchStanding::Contained { tip: tip(), by: "main".into() });
    lane.git(&["commit", "-q", "--allow-empty", "-m", "work"]);
    assert_eq!(how(), BranchStanding::Own { tip: tip() });
    lane.git(&["tag", "v1"]);
    assert_eq!(how(), BranchStanding::Own { tip: tip() }, "a tag is no branch");
    lane.git(&["branch", "copy"]);
    assert_eq!(how(), BranchStanding::Contained { tip: tip(), by: "copy".into() });
    lane.git(&["switch", "-q", "--detach"]);
    lane.fixture.git("repo", &["switch", "-q", "ralph/t-1"]);
    assert!(matches!(how(), BranchStanding::InUse { how: "checked out", .. }));
    lane.fixture.git("repo", &["switch", "-q", "main"]);
    lane.git(&["branch", "-q", "-D", "ralph/t-1"]);
    assert_eq!(how(), BranchStanding::Gone);
}

#[test]
fn a_lock_of_the_user_is_told_and_one_of_ralph_s_own_is_not() {
    let lane = Lane::new();
    let lock = || registered(&lane.repo, &lane.site).unwrap().unwrap().users_lock;
    assert_eq!(lock(), None);
    fs::write(lane.repo.common_dir().join("worktrees/t-1/locked"), "on a stick\n").unwrap();
    assert_eq!(lock().as_deref(), Some("on a stick"));
}

#[test]
fn a_repository_that_only_the_program_opens_is_looked_at_the_same_way() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "--bare", "repo", "origin.git"]);
    fixture.git("origin.git", &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", fixture.path("origin.git").display());
    fixture.git(".", &["clone", "-q", "--filter=blob:none", &url, "partial"]);
    let repo = fixture.open("partial");
    let site = fixture.site("t-1");
    let base = repo.head_base().unwrap();
    let start = dispatch_on(&repo, &site, &base).start;
    let lane = Lane { fixture, repo, site, base: start };
    assert_eq!(lane.found(), Vec::<String>::new());
    lane.write("new", "x");
    lane.git(&["switch", "-q", "--detach"]);
    lane.git(&["commit", "-q", "--allow-empty", "-m", "alone"]);
    assert_eq!(lane.found(), ["1 new file: new", "1 commits"]);
}
