//! Creating, finding, continuing and taking back a lane's worktree.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use jiff::Timestamp;
use rustix::process::{Resource, Rlimit, setrlimit};

use super::fixture::{Fixture, PATIENCE, dispatch_on, lane_lock, listing, present};
use crate::git::{
    Files, GitError, Head, Located, LockOutcome, Look, Origin, Tree, create, finish, forget_missing, locate,
    lock, look, undo, unlock_if, write_files,
};
use crate::id::RefName;

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
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), "");
    assert_eq!(fixture.git("repo.ralph/t-1", &["symbolic-ref", "HEAD"]), "refs/heads/ralph/t-1");
    assert!(
        !fs::read_to_string(fixture.path("repo/.git/config")).unwrap().contains("branch"),
        "it tracks something"
    );
    assert_eq!(fs::metadata(fixture.path("repo.ralph")).unwrap().permissions().mode() & 0o777, 0o700);
    let found = present(&repo, &site);
    assert_eq!(found.id, "t-1");
    assert_eq!(found.files, Files::Complete);
    assert_eq!(found.head, Head::Branch("ralph/t-1".to_owned()));
    assert_eq!(found.tip.as_ref(), Some(&created.start));
}

#[test]
fn the_registration_is_one_that_git_and_libgit2_hold_for_their_own() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    fixture.dispatch(&repo, &fixture.site("t-1"));
    let list = fixture.git("repo", &["worktree", "list", "--porcelain"]);
    let tree = fixture.path("repo.ralph/t-1");
    assert!(list.contains(&format!("worktree {}\n", tree.display())), "{list}");
    assert!(list.contains("branch refs/heads/ralph/t-1\nlocked ralph test"), "{list}");
    fixture.git("repo", &["worktree", "prune", "--expire=now"]);
    assert!(tree.join("README.md").exists());
    // The session's lock keeps the worktree from a forced removal, and the branch from deletion.
    assert!(
        !fixture
            .command("repo.ralph/t-1", &["worktree", "remove", "--force", "."])
            .output()
            .unwrap()
            .status
            .success()
    );
    assert!(!fixture.command("repo", &["branch", "-D", "ralph/t-1"]).output().unwrap().status.success());
    let opened = git2::Repository::open(&tree).unwrap();
    assert!(opened.is_worktree());
    assert_eq!(opened.statuses(None).unwrap().len(), 0);
}

#[test]
fn a_worktree_survives_the_move_of_its_repository() {
    let fixture = Fixture::new();
    fixture.dispatch(&fixture.repo(), &fixture.site("t-1"));
    fs::rename(fixture.path("repo"), fixture.path("moved")).unwrap();
    fixture.git("moved", &["worktree", "repair"]);
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), "");
}

#[test]
fn a_worktree_is_found_from_everywhere_and_wherever_it_was_moved() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fixture.dispatch(&fixture.repo(), &site);
    fixture.git("repo", &["worktree", "unlock", "../repo.ralph/t-1"]);
    fixture.git("repo", &["worktree", "move", "../repo.ralph/t-1", "../elsewhere"]);
    for from in ["repo", "repo/src", "elsewhere", "elsewhere/src"] {
        assert_eq!(present(&fixture.open(from), &site).path, fixture.path("elsewhere"), "from {from}");
    }
}

#[test]
fn a_worktree_stays_its_lanes_when_the_agent_switches_branches() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fixture.dispatch(&fixture.repo(), &site);
    fixture.git("repo.ralph/t-1", &["switch", "-q", "-c", "aside"]);
    assert_eq!(present(&fixture.repo(), &site).head, Head::Branch("aside".to_owned()));
    fixture.git("repo.ralph/t-1", &["checkout", "-q", "--detach"]);
    assert!(matches!(present(&fixture.repo(), &site).head, Head::Detached(_)));
    fixture.git("repo.ralph/t-1", &["branch", "-q", "-D", "ralph/t-1"]);
    assert!(matches!(present(&fixture.repo(), &site).head, Head::Detached(_)));
}

#[test]
fn a_worktree_that_git_registered_carries_its_lanes_mark_too() {
    let fixture = Fixture::new();
    fixture.git("repo", &["sparse-checkout", "set", "src"]);
    let site = fixture.site("t-1");
    fixture.dispatch(&fixture.repo(), &site);
    fixture.git("repo.ralph/t-1", &["switch", "-q", "-c", "aside"]);
    fixture.git("repo", &["worktree", "unlock", "../repo.ralph/t-1"]);
    fixture.git("repo", &["worktree", "move", "../repo.ralph/t-1", "../elsewhere"]);
    assert_eq!(present(&fixture.repo(), &site).path, fixture.path("elsewhere"));
}

#[test]
fn an_existing_branch_is_continued_and_never_reset() {
    let fixture = Fixture::new();
    fixture.git("repo", &["checkout", "-q", "-b", "ralph/t-1"]);
    fixture.write("repo/work", "work");
    fixture.commit_all("repo", "work");
    let tip = fixture.git("repo", &["rev-parse", "HEAD"]);
    fixture.git("repo", &["checkout", "-q", "main"]);
    fixture.git("repo", &["pack-refs", "--all"]);
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    assert!(matches!(locate(&repo, &site).unwrap(), Located::BranchOnly { tip: t } if t.as_str() == tip));
    let created = fixture.dispatch(&repo, &site);
    assert_eq!(created.branch, Origin::Continued);
    assert_eq!(created.start.as_str(), tip);
    assert_eq!(fixture.git("repo.ralph/t-1", &["rev-parse", "HEAD"]), tip);
    assert!(site.path.join("work").exists());
}

#[test]
fn a_lane_starts_from_the_base_that_was_named() {
    let fixture = Fixture::new();
    fixture.git("repo", &["tag", "v1"]);
    fixture.write("repo/later", "x");
    fixture.commit_all("repo", "later");
    let repo = fixture.repo();
    let base = repo.resolve_base(&"v1".parse::<RefName>().unwrap()).unwrap();
    dispatch_on(&repo, &fixture.site("t-1"), &base);
    assert!(!fixture.path("repo.ralph/t-1/later").exists());
}

#[test]
fn it_works_on_bare_repositories_and_from_inside_a_worktree() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "--bare", "repo", "bare.git"]);
    fixture.dispatch(&fixture.open("bare.git"), &fixture.site("t-1"));
    fixture.dispatch(&fixture.open("repo.ralph/t-1/src"), &fixture.site("t-2"));
    assert_eq!(fixture.git("repo.ralph/t-2", &["status", "--porcelain", "-b"]), "## ralph/t-2");
}

#[test]
fn it_works_in_submodules_and_with_a_git_directory_kept_apart() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "repo", "inner"]);
    fixture.git("repo", &["-c", "protocol.file.allow=always", "submodule", "-q", "add", "../inner", "sub"]);
    fixture.git(".", &["clone", "-q", "--separate-git-dir=apart.git", "repo", "clone"]);
    for (from, ticket) in [("repo/sub", "t-1"), ("clone", "t-2")] {
        let site = fixture.site(ticket);
        let tree = format!("repo.ralph/{ticket}");
        let repo = fixture.open(from);
        let start = fixture.dispatch(&repo, &site).start;
        assert_eq!(fixture.git(&tree, &["status", "--porcelain"]), "", "{from}");
        assert_eq!(fixture.git(from, &["status", "--porcelain"]), "", "{from}");
        assert_eq!(present(&fixture.open(&tree), &site).path, site.path);
        fixture.write(&format!("{tree}/new"), "x");
        let what = Look { worktree: &site.path, branch: &site.branch, start: &start, ignore: &[] };
        let found = look(&repo, &what).unwrap();
        assert_eq!((found.untracked, found.uncommitted, found.tree), (1, 0, Tree::Present), "{from}");
    }
}

#[test]
fn paths_with_spaces_newlines_and_links_work() {
    let fixture = Fixture::new();
    for name in ["with space", "with\nnewline", "with'quote", "Größe"] {
        fs::rename(fixture.path("repo"), fixture.path(name)).unwrap();
        let site =
            crate::git::Site { path: fixture.path(&format!("{name}.ralph/t-1")), ..fixture.site("t-1") };
        fixture.dispatch(&fixture.open(name), &site);
        assert_eq!(fixture.git(&format!("{name}.ralph/t-1"), &["status", "--porcelain"]), "", "{name:?}");
        assert_eq!(present(&fixture.open(&format!("{name}.ralph/t-1")), &site).path, site.path);
        fixture.git(name, &["worktree", "remove", "-f", "-f", site.path.to_str().unwrap()]);
        fixture.git(name, &["branch", "-q", "-D", "ralph/t-1"]);
        fs::rename(fixture.path(name), fixture.path("repo")).unwrap();
    }
    std::os::unix::fs::symlink(&fixture.root, fixture.path("around")).unwrap();
    let site = crate::git::Site { path: fixture.path("around/trees/t-1"), ..fixture.site("t-1") };
    fixture.dispatch(&fixture.open("around/repo"), &site);
    assert_eq!(present(&fixture.repo(), &site).path, fixture.path("trees/t-1"));
}

#[test]
fn a_root_inside_the_checkout_is_kept_out_of_its_status() {
    let fixture = Fixture::new();
    let site = crate::git::Site { path: fixture.path("repo/trees/t-1"), ..fixture.site("t-1") };
    fixture.dispatch(&fixture.repo(), &site);
    assert_eq!(fixture.git("repo", &["status", "--porcelain"]), "");
    // Nor is that of a repository around.
    fixture.init("around", &[]);
    fixture.git(".", &["clone", "-q", "repo", "around/inner"]);
    fixture.write("around/.gitignore", "inner\n");
    fixture.commit_all("around", "one");
    let site = crate::git::Site { path: fixture.path("around/inner.ralph/t-1"), ..site };
    fixture.dispatch(&fixture.open("around/inner"), &site);
    assert_eq!(fixture.git("around", &["status", "--porcelain"]), "");
}

#[test]
fn a_root_that_would_dirty_the_checkout_or_the_git_directory_is_refused() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    fixture.write("repo/build/out", "x");
    for root in ["repo", "repo/src", "repo/build", "repo/.git", "repo/.git/trees"] {
        let site = crate::git::Site { path: fixture.path(root).join("t-1"), ..fixture.site("t-1") };
        let guard = repo.lock(PATIENCE).unwrap();
        let error = create(&repo, &guard, &site, &repo.head_base().unwrap(), "ralph test").unwrap_err();
        assert!(matches!(error, GitError::RootNotOurs { .. }), "{root}: {error}");
        assert!(!site.path.exists());
    }
    fixture.write("repo/.git/info/exclude", "/build/\n");
    let site = crate::git::Site { path: fixture.path("repo/build/t-1"), ..fixture.site("t-1") };
    fixture.dispatch(&repo, &site);
    assert_eq!(fixture.git("repo", &["status", "--porcelain"]), "");
}

#[test]
fn a_lane_whose_folder_is_gone_keeps_its_branch_and_loses_only_its_own_registration() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let (gone, other) = (fixture.site("t-1"), fixture.site("t-2"));
    fixture.dispatch(&repo, &gone);
    fixture.dispatch(&repo, &other);
    fs::remove_dir_all(&gone.path).unwrap();
    fs::remove_dir_all(&other.path).unwrap();
    let Located::Missing(missing) = locate(&repo, &gone).unwrap() else { panic!("it was found") };
    assert_eq!(missing.path, gone.path);
    let guard = repo.lock(PATIENCE).unwrap();
    let error = create(&repo, &guard, &gone, &repo.head_base().unwrap(), "ralph test").unwrap_err();
    assert!(matches!(error, GitError::TreeGone { .. }), "{error}");
    let aside = fixture.path("repo/.git/ralph/aside");
    fs::create_dir(&aside).unwrap();
    let kept = forget_missing(&repo, &guard, &missing, &aside, Timestamp::now()).unwrap().kept;
    drop(guard);
    assert!(kept.join("index").exists() && kept.join("HEAD").exists());
    assert!(matches!(locate(&repo, &gone).unwrap(), Located::BranchOnly { .. }));
    assert!(matches!(locate(&repo, &other).unwrap(), Located::Missing(_)));
    // A folder that was moved away may still lead to the old registration: its name is not used again.
    let again = crate::git::Site { recorded_id: Some(missing.id), ..gone };
    assert_eq!(fixture.dispatch(&repo, &again).worktree.id, "t-1-2");
    assert_eq!(present(&repo, &again).id, "t-1-2");
}

#[test]
fn a_registration_can_be_kept_on_another_file_system() {
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped: there is no second file system");
        return;
    };
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    fixture.dispatch(&repo, &site);
    fixture.git("repo.ralph/t-1", &["commit", "-q", "--allow-empty", "-m", "logged"]);
    fs::remove_dir_all(&site.path).unwrap();
    let Located::Missing(missing) = locate(&repo, &site).unwrap() else { panic!("it was found") };
    let before = listing(&missing.admin_dir);
    let lock = repo.lock(PATIENCE).unwrap();
    let kept = forget_missing(&repo, &lock, &missing, elsewhere.path(), Timestamp::now()).unwrap().kept;
    assert_eq!(listing(&kept), before);
    assert!(kept.join("logs/HEAD").exists());
    assert!(matches!(locate(&repo, &site).unwrap(), Located::BranchOnly { .. }));
}

#[test]
fn links_by_relative_paths_are_understood() {
    let fixture = Fixture::new();
    let site = fixture.site("t-1");
    fixture.dispatch(&fixture.repo(), &site);
    // As git writes them from 2.48 on, where `worktree.useRelativePaths` is set.
    fixture.write("repo.ralph/t-1/.git", "gitdir: ../../repo/.git/worktrees/t-1\n");
    fixture.write("repo/.git/worktrees/t-1/gitdir", "../../../../repo.ralph/t-1/.git\n");
    for from in ["repo", "repo.ralph/t-1/src"] {
        let repo = fixture.open(from);
        assert_eq!(present(&repo, &site).path, site.path);
        assert_eq!(repo.main_checkout(), Some(fixture.path("repo").as_path()));
    }
    fixture.dispatch(&fixture.repo(), &fixture.site("t-2"));
}

#[test]
fn a_lock_on_the_configuration_is_not_waited_for() {
    let fixture = Fixture::new();
    fixture.git("repo", &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    fixture.write("repo/.git/config.lock", "");
    let repo = fixture.repo();
    let base = repo.resolve_base(&"origin/main".parse::<RefName>().unwrap()).unwrap();
    dispatch_on(&repo, &fixture.site("t-1"), &base);
}

#[test]
fn an_emptied_folder_is_a_gone_one() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    fixture.dispatch(&repo, &site);
    fs::remove_dir_all(&site.path).unwrap();
    fs::create_dir(&site.path).unwrap();
    assert!(matches!(locate(&repo, &site).unwrap(), Located::Missing(_)));
}

#[test]
fn a_registration_that_the_user_locked_is_not_forgotten() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    fixture.dispatch(&repo, &site);
    fixture.git("repo", &["worktree", "unlock", "../repo.ralph/t-1"]);
    fixture.git("repo", &["worktree", "lock", "--reason", "on a stick", "../repo.ralph/t-1"]);
    fs::remove_dir_all(&site.path).unwrap();
    let Located::Missing(missing) = locate(&repo, &site).unwrap() else { panic!("it was found") };
    let error =
        forget_missing(&repo, &repo.lock(PATIENCE).unwrap(), &missing, &fixture.root, Timestamp::now())
            .unwrap_err();
    assert!(matches!(&error, GitError::LockedByUser { reason, .. } if reason == "on a stick"), "{error}");
}

#[test]
fn a_session_locks_and_unlocks_its_worktree_but_never_the_users_lock() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let worktree = fixture.dispatch(&repo, &site).worktree;
    assert_eq!(lock(&worktree, "ralph second").unwrap(), LockOutcome::Locked);
    unlock_if(&worktree.admin_dir, "ralph first").unwrap();
    assert_eq!(present(&repo, &site).locked.as_deref(), Some("ralph second"));
    unlock_if(&worktree.admin_dir, "ralph second").unwrap();
    assert_eq!(present(&repo, &site).locked, None);
    fixture.git("repo", &["worktree", "lock", "--reason", "mine", "../repo.ralph/t-1"]);
    assert_eq!(lock(&worktree, "ralph third").unwrap(), LockOutcome::TheUsers("mine".to_owned()));
    unlock_if(&worktree.admin_dir, "ralph third").unwrap();
    assert_eq!(present(&repo, &site).locked.as_deref(), Some("mine"));
}

#[test]
fn a_lock_that_could_not_be_written_is_no_lock() {
    const INSIDE: &str = "RALPH_TEST_FULL";
    const NAME: &str = "git::tests::lanes::a_lock_that_could_not_be_written_is_no_lock";
    if let Ok(folder) = std::env::var(INSIDE) {
        let fixture = Fixture::at(folder.into());
        let worktree = present(&fixture.repo(), &fixture.site("t-1"));
        // From here on a file can be made, and nothing be written into it, as on a full disk.
        let nothing = Rlimit { current: Some(0), maximum: Some(0) };
        setrlimit(Resource::Fsize, nothing).unwrap();
        drop(lock(&worktree, "ralph session"));
        return;
    }
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let worktree = fixture.dispatch(&repo, &site).worktree;
    unlock_if(&worktree.admin_dir, "ralph test").unwrap();
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(INSIDE, &fixture.root)
        .output()
        .unwrap()
        .status;
    // SIGXFSZ, as of writing the reason.
    assert_eq!(status.signal(), Some(25), "{status}");
    assert_eq!(present(&repo, &site).locked, None);
    assert_eq!(lock(&worktree, "ralph next").unwrap(), LockOutcome::Locked);
    // An empty one is what git makes for a user who gives no reason.
    unlock_if(&worktree.admin_dir, "ralph next").unwrap();
    fixture.git("repo", &["worktree", "lock", "../repo.ralph/t-1"]);
    assert_eq!(lock(&worktree, "ralph next").unwrap(), LockOutcome::TheUsers(String::new()));
}

#[test]
fn what_was_created_can_be_taken_back_until_its_files_are_complete() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let before = listing(&fixture.path("repo"));
    let guard = repo.lock(PATIENCE).unwrap();
    let created = create(&repo, &guard, &site, &repo.head_base().unwrap(), "ralph test").unwrap();
    undo(&repo, &guard, created).unwrap();
    assert!(matches!(locate(&repo, &site).unwrap(), Located::New));
    assert!(!site.path.exists());
    assert_eq!(listing(&fixture.path("repo")), before);
    drop(guard);
    let created = fixture.dispatch(&repo, &site);
    let error = undo(&repo, &repo.lock(PATIENCE).unwrap(), created).unwrap_err();
    assert!(matches!(error, GitError::AlreadyComplete { .. }), "{error}");
    assert!(site.path.join("README.md").exists());
}

#[test]
fn taking_back_leaves_a_continued_branch() {
    let fixture = Fixture::new();
    fixture.git("repo", &["branch", "ralph/t-1"]);
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let guard = repo.lock(PATIENCE).unwrap();
    let created = create(&repo, &guard, &site, &repo.head_base().unwrap(), "ralph test").unwrap();
    undo(&repo, &guard, created).unwrap();
    assert!(matches!(locate(&repo, &site).unwrap(), Located::BranchOnly { .. }));
}

#[test]
fn an_interrupted_creation_is_recognised_and_finished() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let guard = repo.lock(PATIENCE).unwrap();
    let created = create(&repo, &guard, &site, &repo.head_base().unwrap(), "ralph test").unwrap();
    drop(guard);
    // A checkout that was killed: a part of a file, and git's lock on the index.
    fixture.write("repo.ralph/t-1/README.md", "rea");
    fixture.write("repo/.git/worktrees/t-1/index.lock", "");
    let found = present(&repo, &site);
    assert_eq!(found.files, Files::Unfinished);
    finish(&repo, &found, &lane_lock(&site)).unwrap();
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), "");
    let found = present(&repo, &site);
    assert_eq!(found.files, Files::Complete);
    // From now on the files are someone's work.
    fixture.write("repo.ralph/t-1/README.md", "work");
    let error = finish(&repo, &found, &lane_lock(&site)).unwrap_err();
    assert!(matches!(error, GitError::AlreadyComplete { .. }), "{error}");
    assert_eq!(fs::read_to_string(created.worktree.path.join("README.md")).unwrap(), "work");
}

#[test]
fn an_unfinished_worktree_with_a_commit_of_its_own_is_left_alone() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let guard = repo.lock(PATIENCE).unwrap();
    create(&repo, &guard, &site, &repo.head_base().unwrap(), "ralph test").unwrap();
    drop(guard);
    fixture.write("repo.ralph/t-1/work", "x");
    fixture.commit_all("repo.ralph/t-1", "work");
    fixture.write("repo.ralph/t-1/work", "more");
    let error = finish(&repo, &present(&repo, &site), &lane_lock(&site)).unwrap_err();
    assert!(matches!(error, GitError::ChangedMeanwhile { .. }), "{error}");
    assert_eq!(fs::read_to_string(site.path.join("work")).unwrap(), "more");
}

#[test]
fn a_registration_whose_folder_was_never_made_is_finished_too() {
    for (ticket, folder) in [("t-1", "no folder"), ("t-2", "an empty folder")] {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let site = fixture.site(ticket);
        let guard = repo.lock(PATIENCE).unwrap();
        create(&repo, &guard, &site, &repo.head_base().unwrap(), "ralph test").unwrap();
        drop(guard);
        fs::remove_dir_all(&site.path).unwrap();
        if folder == "an empty folder" {
            fs::create_dir(&site.path).unwrap();
        }
        let found = present(&repo, &site);
        assert_eq!(found.files, Files::Unfinished, "{folder}");
        finish(&repo, &found, &lane_lock(&site)).unwrap();
        assert_eq!(fixture.git(&format!("repo.ralph/{ticket}"), &["status", "--porcelain"]), "", "{folder}");
    }
}

#[test]
fn a_failure_takes_back_what_was_made_and_nothing_else() {
    let fixture = Fixture::new();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let guard = repo.lock(PATIENCE).unwrap();
    // The registry is a link to nowhere: registering fails after the branch was made.
    std::os::unix::fs::symlink("/nonexistent/registry", fixture.path("repo/.git/worktrees")).unwrap();
    let base = repo.head_base().unwrap();
    let error = create(&repo, &guard, &site, &base, "ralph test").unwrap_err();
    assert!(matches!(error, GitError::RegistryUnsteady { .. }), "{error}");
    assert_eq!(fixture.git("repo", &["branch", "--list", "ralph/*"]), "");
    fixture.git("repo", &["branch", "ralph/t-1"]);
    create(&repo, &guard, &site, &base, "ralph test").unwrap_err();
    assert_eq!(fixture.git("repo", &["branch", "--list", "ralph/*"]), "  ralph/t-1");
    fs::remove_file(fixture.path("repo/.git/worktrees")).unwrap();
    let created = create(&repo, &guard, &site, &base, "ralph test").unwrap();
    write_files(&repo, &created, &lane_lock(&site)).unwrap();
}
