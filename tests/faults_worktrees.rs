//! What repositories and worktrees can be in the middle of (rows 31 to 41 and 44 to 48 of the catalogue of
//! faults): continued, worked with as git itself would, or refused with a way out.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::helpers::agents::{COMMITS, DOES_NOTHING};
use crate::helpers::lanes::{only, refused, text};
use crate::helpers::session::wait_until_supervisors_left;
use crate::helpers::tree::Tree;
use crate::helpers::{Repo, Sandbox, ScriptedPi, Session, rows};

/// A sandbox whose pi commits one file.
fn working_pi(sandbox: &Sandbox) -> ScriptedPi {
    let pi = ScriptedPi::new(sandbox);
    pi.plays(COMMITS);
    pi
}

#[test]
fn row_31_a_branch_with_commits_is_continued_and_said_and_never_reset() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = working_pi(&sandbox);
    repo.git(&["switch", "-q", "-c", "ralph/T-1"]);
    let theirs = repo.commit_file("before.txt", "x\n", "Before ralph");
    repo.git(&["switch", "-q", "main"]);
    repo.commit_file("other.txt", "x\n", "Meanwhile");
    let ended = repo.worktree(&["dispatch", "T-1", "--wait"]).run().ok();
    assert!(ended.stderr.contains("the branch ralph/T-1 is there already and is continued"), "{ended}");
    assert!(
        ended.stderr.contains("ralph/T-1 is continued as it is; it is 1 commit behind main\n"),
        "{ended}"
    );
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 1", "Before ralph"]);
    let manifest = repo.inspect(&["T-1"]);
    assert_eq!(
        (&manifest["worktree"]["start_commit"], &manifest["work"]["commits"]),
        (&theirs.into(), &1.into())
    );
    assert_eq!(pi.calls("T-1"), 1);
}

#[test]
fn row_32_a_branch_in_use_elsewhere_is_refused_naming_where() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.git(&["switch", "-q", "-c", "ralph/T-1"]);
    let error = refused(&sandbox, repo.worktree(&["dispatch", "T-1"]), 4);
    assert!(text(&error["message"]).contains(repo.path().to_str().unwrap()), "{error}");

    let linked = repo.linked_worktree("linked", "ralph/T-2");
    let error = refused(&sandbox, repo.worktree(&["create", "T-2"]), 4);
    assert!(text(&error["message"]).contains("is checked out in"), "{error}");
    assert!(text(&error["message"]).contains(linked.path().to_str().unwrap()), "{error}");

    // A stopped rebase has the branch, although HEAD is detached.
    linked.commit_file("README.md", "theirs\n", "Theirs");
    repo.git(&["switch", "-q", "main"]);
    repo.commit_file("README.md", "ours\n", "Ours");
    assert_ne!(linked.try_git(&["rebase", "-q", "main"]).code, Some(0));
    assert_eq!(linked.current_branch(), None);
    let error = refused(&sandbox, repo.worktree(&["create", "T-2"]), 4);
    assert!(text(&error["message"]).contains("is being rebased in"), "{error}");
    assert_eq!(repo.log("ralph/T-2"), ["Theirs", "Start"]);
}

#[test]
fn row_33_a_folder_in_the_way_is_refused_and_nothing_of_ours_is_left() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let place = text(&repo.worktree(&["create", "T-1", "--dry-run", "--json"]).run().ok().json()["worktree"])
        .to_owned();
    fs::create_dir_all(&place).unwrap();
    fs::write(Path::new(&place).join("keep"), "mine").unwrap();
    let error = refused(&sandbox, repo.worktree(&["create", "T-1"]), 4);
    assert!(text(&error["message"]).contains(&place), "{error}");
    refused(&sandbox, repo.worktree(&["dispatch", "T-1"]), 4);
    assert_eq!(repo.branches(), ["main"]);
    // An empty folder is in no one's way.
    fs::remove_file(Path::new(&place).join("keep")).unwrap();
    repo.create(&["T-1"]);
}

#[test]
fn row_34_a_worktree_that_was_deleted_by_hand_is_missing_and_made_again_from_its_branch() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = working_pi(&sandbox);
    let first = repo.finished(&["T-1"]);
    repo.create(&["T-2"]);
    fs::remove_dir_all(text(&first["worktree"]["path"])).unwrap();
    let lanes = repo.lanes();
    let states = lanes.iter().map(|lane| text(&lane["worktree_state"])).collect::<Vec<_>>();
    assert_eq!(states, ["missing", "present"]);
    let error = repo.worktree(&["path", "T-1", "--json"]).run().expect_code(3).error();
    assert!(text(&error["hint"]).contains("ralph worktree create T-1"), "{error}");
    drop(repo.worktree(&["attach", "T-1"]).run().expect_code(3));
    // What is on record can still be asked for.
    assert_eq!(repo.inspect(&["T-1"]), first);
    drop(repo.worktree(&["logs", "T-1"]).run().ok());

    let other =
        Tree::of(repo.common_dir().join("worktrees")).without(&[&registration(&first["worktree"]["path"])]);
    let ended = repo.worktree(&["dispatch", "T-1", "--wait"]).run().ok();
    assert!(ended.stderr.contains("is gone; its branch ralph/T-1 is continued in a new one"), "{ended}");
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 2", "T-1: attempt 1"]);
    let now = Tree::of(repo.common_dir().join("worktrees"));
    assert!(!other.0.is_empty() && other.0.iter().all(|(path, entry)| now.0.get(path) == Some(entry)));
}

/// The name of a lane's first registration: its folder's.
fn registration(path: &serde_json::Value) -> String {
    text(path).rsplit('/').next().unwrap().to_owned()
}

#[test]
fn row_35_the_users_lock_on_a_worktree_stays_and_is_said() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = working_pi(&sandbox);
    let tree = text(&repo.create(&["T-1"])["worktree"]).to_owned();
    repo.git(&["worktree", "lock", "--reason", "on my stick", &tree]);
    let ended = repo.worktree(&["dispatch", "T-1", "--wait"]).run().ok();
    assert!(ended.stderr.contains("locked by you (\"on my stick\") and stays so"), "{ended}");
    assert!(repo.git(&["worktree", "list", "--porcelain"]).contains("locked on my stick"));
    for also in [&[][..], &["--with-unsaved"]] {
        let error = refused(&sandbox, repo.worktree(&[&["remove", "T-1"], also].concat()), 4);
        assert!(text(&error["message"]).contains("on my stick"), "{error}");
        assert!(text(&error["hint"]).contains("git worktree unlock"), "{error}");
    }
    fs::remove_dir_all(&tree).unwrap();
    let error = refused(&sandbox, repo.worktree(&["create", "T-1"]), 4);
    assert!(text(&error["hint"]).contains("git worktree unlock"), "{error}");
}

#[test]
fn row_36_a_worktree_moved_by_hand_is_refused_until_it_is_repaired() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = working_pi(&sandbox);
    let old = text(&repo.create(&["T-1"])["worktree"]).to_owned();
    let new = sandbox.work().join("elsewhere");
    fs::rename(&old, &new).unwrap();
    fs::create_dir(&old).unwrap();
    fs::write(Path::new(&old).join("file"), "someone else's").unwrap();
    for command in ["create", "dispatch", "path", "remove"] {
        let error = refused(&sandbox, repo.worktree(&[command, "T-1"]), 4);
        assert!(text(&error["message"]).contains("does not belong to it"), "{error}");
        assert!(text(&error["hint"]).contains("git worktree repair"), "{error}");
    }
    assert_eq!(only(repo.lanes())["worktree_state"], "missing");
    repo.git(&["worktree", "repair", new.to_str().unwrap()]);
    let lane = only(repo.lanes());
    assert_eq!(
        (&lane["worktree_state"], text(&lane["worktree"])),
        (&"present".into(), new.to_str().unwrap())
    );
    let manifest = repo.finished(&["T-1"]);
    assert_eq!(
        (text(&manifest["worktree"]["path"]), &manifest["outcome"]),
        (new.to_str().unwrap(), &"succeeded".into())
    );
    assert_eq!(Tree::of(&old).0.len(), 1);
}

#[test]
fn row_37_a_repository_that_was_moved_finds_its_worktrees_again_once_they_are_repaired() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = working_pi(&sandbox);
    let first = repo.finished(&["T-1"]);
    let tree = text(&first["worktree"]["path"]).to_owned();
    let work = Tree::of(&tree).without(&[".git"]);
    fs::rename(repo.path(), sandbox.work().join("moved")).unwrap();
    let repo = Repo::at(&sandbox, sandbox.work().join("moved"));
    // Until then the worktree leads to where the repository was, and nothing touches it.
    for command in ["create", "dispatch", "path", "remove"] {
        let error = refused(&sandbox, repo.worktree(&[command, "T-1"]), 4);
        assert!(text(&error["message"]).contains("its `.git` leads elsewhere"), "{error}");
        assert!(text(&error["hint"]).contains("git worktree repair"), "{error}");
    }
    assert_eq!(only(repo.lanes())["worktree_state"], "missing");
    // What is on record moved along.
    assert_eq!(repo.inspect(&["T-1"]), first);
    assert!(repo.worktree(&["logs", "T-1"]).run().ok().stdout.contains("Done."));

    repo.git(&["worktree", "repair"]);
    work.assert_unchanged_in(&tree);
    assert_eq!(only(repo.lanes())["worktree_state"], "present");
    let second = repo.finished(&["T-1"]);
    assert_eq!((&second["outcome"], &second["worktree"]["path"]), (&"succeeded".into(), &tree.into()));
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 2", "T-1: attempt 1"]);
    repo.fsck();
}

impl Tree {
    /// Fails unless the worktree still holds exactly these files.
    #[track_caller]
    fn assert_unchanged_in(&self, tree: &str) {
        let changes = self.changes_to(&Self::of(tree).without(&[".git"]));
        assert!(changes.is_empty(), "{changes:#?}");
    }
}

#[test]
fn row_38_registrations_that_hold_nothing_are_told_apart_and_in_no_ones_way() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = working_pi(&sandbox);
    // Two side by side, which is what makes libgit2 fail; behind the lane's own in the order of names, and before it.
    for name in ["z1", "z2", "a1", "a2"] {
        fs::create_dir_all(repo.common_dir().join("worktrees").join(name)).unwrap();
    }
    let before = Tree::of(repo.common_dir().join("worktrees"));
    let manifest = repo.finished(&["T-1"]);
    assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
    assert_eq!(only(repo.lanes())["worktree_state"], "present");
    repo.finished(&["T-1"]);
    assert_eq!(repo.worktree(&["merge", "T-1", "--json"]).run().ok().json()["status"], "merged");
    drop(repo.worktree(&["remove", "T-1"]).run().ok());
    drop(repo.worktree(&["restore", "T-1"]).run().ok());
    // They are someone else's, and stay as they are.
    let now = Tree::of(repo.common_dir().join("worktrees"));
    assert!(before.0.iter().all(|(path, entry)| now.0.get(path) == Some(entry)), "{now:?}");
}

#[test]
fn row_39_bare_detached_and_shallow_repositories_work() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.commit_file("second.txt", "2\n", "Second");
    let _pi = working_pi(&sandbox);
    let bare = repo.bare_clone("bare.git");
    let shallow = repo.clone_as("shallow", &["--depth=1"]);
    repo.git(&["switch", "-q", "--detach", "HEAD~1"]);
    for (repo, base) in [(&bare, "main".to_owned()), (&shallow, "main".to_owned()), (&repo, repo.head())] {
        let manifest = repo.finished(&["T-1"]);
        assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        assert_eq!(text(&manifest["worktree"]["base_ref"]), base);
        assert_eq!(text(&manifest["worktree"]["base_commit"]), repo.rev_parse(&base));
        assert_eq!(repo.log(&format!("{base}..ralph/T-1")).len(), 1);
        repo.fsck();
    }
    assert!(sandbox.work().join("bare.ralph").is_dir(), "beside the bare repository");
}

#[test]
fn row_40_an_unborn_branch_is_refused_with_what_to_do() {
    let sandbox = Sandbox::new();
    let repo = Repo::unborn(&sandbox, "new");
    for command in ["create", "dispatch"] {
        let error = refused(&sandbox, repo.worktree(&[command, "T-1"]), 6);
        assert!(text(&error["message"]).contains("has no commit yet"), "{error}");
        assert!(text(&error["hint"]).contains("make a first commit"), "{error}");
    }
    assert!(repo.worktree(&["list"]).run().ok().stdout.is_empty());
}

#[test]
fn row_41_a_worktree_with_an_initialised_submodule_is_not_removed_and_why_is_said() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let library = Repo::with_files(&sandbox, "library", &[("lib.txt", "library\n")]);
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "library"];
    repo.git(&["remote", "add", "origin", repo.path().to_str().unwrap()]);
    repo.git(&add);
    repo.commit_all("A submodule");
    let pi = ScriptedPi::new(&sandbox);
    let play = "git -c protocol.file.allow=always submodule --quiet update --init; commit; answer";
    pi.plays(play);
    let manifest = repo.finished(&["T-1"]);
    assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!(tree.read("library/lib.txt"), library.read("lib.txt"));

    // git itself does not remove such a worktree.
    let gits = repo.try_git(&["worktree", "remove", tree.path().to_str().unwrap()]);
    assert!(gits.code != Some(0) && gits.stderr.contains("submodule"), "{gits}");
    let error = refused(&sandbox, repo.worktree(&["remove", "T-1"]), 4);
    assert!(text(&error["message"]).contains("1 repository within: library"), "{error}");
    assert!(text(&error["hint"]).contains("--with-unsaved"), "{error}");

    // To the trash it goes whole, and comes back whole.
    let before = Tree::of(tree.path());
    drop(repo.worktree(&["remove", "T-1", "--with-unsaved"]).run().ok());
    assert!(!tree.path().exists());
    drop(repo.worktree(&["restore", "T-1"]).run().ok());
    before.assert_unchanged(tree.path());
    assert_eq!(
        (tree.status_porcelain(), tree.git(&["-C", "library", "log", "--format=%s"])),
        (vec![], "Start".into())
    );
}

#[test]
fn row_44_sha256_and_reftable_are_refused_in_one_sentence() {
    let sandbox = Sandbox::new();
    for (name, option, what) in [
        ("sha", "--object-format=sha256", "names its objects by sha256"),
        ("ref", "--ref-format=reftable", "stores its references as a reftable"),
    ] {
        let repo = Repo::init(&sandbox, name, &[option]);
        repo.commit_all("Start");
        for command in
            [&["create", "T-1"][..], &["dispatch", "T-1"], &["list"], &["inspect"], &["path", "T-1"]]
        {
            let error = refused(&sandbox, repo.worktree(command), 6);
            let message = text(&error["message"]);
            assert!(message.contains(what) && message.ends_with("which ralph cannot work with"), "{message}");
        }
    }
}

#[test]
fn row_45_an_extension_that_git_here_does_not_know_is_refused_in_gits_words() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.git(&["config", "core.repositoryFormatVersion", "1"]);
    repo.git(&["config", "extensions.relativeWorktrees", "true"]);
    if repo.try_git(&["status"]).code == Some(0) {
        // git 2.48 and later know it: then so does ralph.
        repo.create(&["T-1"]);
        repo.git(&["config", "extensions.fromTheFuture", "true"]);
    }
    let error = refused(&sandbox, repo.worktree(&["dispatch", "T-1"]), 6);
    assert!(text(&error["message"]).contains("unknown repository extension found: "), "{error}");
    assert!(text(&error["hint"]).contains("newer git"), "{error}");
}

#[test]
fn row_46_a_repository_of_another_user_is_left_alone_until_it_is_declared_safe() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = working_pi(&sandbox);
    for entry in walkdir::WalkDir::new(&repo) {
        let given = std::os::unix::fs::lchown(entry.unwrap().path(), Some(12_345), Some(12_345));
        if let Err(error) = given {
            rows::skip(46, &format!("only root can give a folder to another user: {error}"));
            return;
        }
    }
    // Settings that libgit2 reads, and git does not here: the environment names others.
    sandbox.write("home/.gitconfig", "[safe]\n\tdirectory = *\n");
    for command in [&["create", "T-1"][..], &["dispatch", "T-1"], &["list"]] {
        let error = refused(&sandbox, repo.worktree(command), 6);
        assert!(text(&error["message"]).contains("belongs to another user"), "{error}");
        let advice = format!("git config --global --add safe.directory {}", repo.path().display());
        assert!(text(&error["hint"]).contains(&advice), "{error}");
    }
    fs::remove_file(sandbox.path("home/.gitconfig")).unwrap();
    let config =
        sandbox.write("elsewhere/settings", format!("[safe]\n\tdirectory = {}\n", repo.path().display()));
    sandbox.set_env("GIT_CONFIG_GLOBAL", &config);
    assert_eq!(repo.create(&["T-1"])["branch"], "ralph/T-1");
    // Whoever looks at the end of a session finds the same settings.
    sandbox.write("elsewhere/settings", "[safe]\n\tdirectory = *\n");
    assert_eq!(repo.finished(&["T-1"])["outcome"], "succeeded");
    pi.plays("commit; here; forever");
    let session = Session::dispatch(&repo, "T-2", &[]);
    pi.wait_here("T-2");
    session.supervisor().signal(Signal::KILL);
    wait_until_supervisors_left(&sandbox, &repo);
    repo.recover();
    assert_eq!(session.ended()["work"]["commits"], 1, "{:#}", session.manifest());
    // And so does what a batch shows while it runs.
    sandbox.set_env("TERM", "xterm");
    pi.plays("here; commit; wait_for_go; answer stop");
    let terminal = repo.worktree(&["batch", "T-3", "--no-ticket"]).on_terminal();
    pi.wait_here("T-3");
    terminal.wait_for("1 commit");
    pi.go("T-3");
    let ended = terminal.wait().ok();
    assert!(ended.stdout.contains("1 of 1 ticket came to a good end"), "{ended}");
}

#[test]
fn row_47_one_may_stand_in_a_linked_worktree_and_worktrees_may_stand_in_the_repository() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = working_pi(&sandbox);
    let linked = repo.linked_worktree("linked", "topic");
    linked.commit_file("topic.txt", "x\n", "Topic");
    let created = linked.create(&["T-1"]);
    assert_eq!((&created["base_ref"], text(&created["base_commit"])), (&"topic".into(), &*linked.head()));
    assert!(text(&created["worktree"]).starts_with(sandbox.work().join("app.ralph").to_str().unwrap()));
    assert!(!linked.has(".git/ralph") && repo.has(".git/ralph"));

    let manifest = repo.finished(&["T-2", "--worktree-root", "trees"]);
    assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
    assert!(text(&manifest["worktree"]["path"]).starts_with(repo.path().join("trees").to_str().unwrap()));
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    let under = repo.inspect(&["--under", repo.path().to_str().unwrap()]);
    assert_eq!(under[0]["session_id"], manifest["session_id"]);
}

#[test]
fn row_48_in_a_git_hook_ralph_and_the_agent_mean_the_repository_they_stand_in() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = working_pi(&sandbox);
    let ralph = env!("CARGO_BIN_EXE_ralph");
    // Only the user's own commit dispatches; the hook runs for the agent's too.
    let hook =
        format!("#!/bin/sh\n[ -n \"$RALPH_SESSION_ID\" ] || exec '{ralph}' worktree dispatch T-1 --wait\n");
    crate::helpers::sandbox::write_program(&repo.path().join(".git/hooks/post-commit"), hook);
    repo.git(&["commit", "-q", "--allow-empty", "-m", "From a hook"]);
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 1"]);
    assert_eq!(repo.log("main"), ["From a hook", "Start"]);
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    let call = pi.call("T-1", 1);
    // Of those there is only ralph's own: how many settings it gives.
    for variable in repo.git(&["rev-parse", "--local-env-vars"]).lines() {
        let is_ours = variable == "GIT_CONFIG_COUNT";
        assert_eq!(call.env.contains_key(variable), is_ours, "{variable}");
    }

    let astray = ["GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"];
    pi.plays(DOES_NOTHING);
    let call = repo.worktree(&["dispatch", "T-2", "--wait", "--json"]);
    let call = astray.iter().fold(call, |call, name| call.env(name, sandbox.path("nowhere")));
    let manifest = call.run().expect_code(1).json();
    assert_eq!(manifest["outcome"], "no_changes", "{manifest:#}");
    let call = pi.call("T-2", 1);
    assert!(astray.iter().all(|name| !call.env.contains_key(*name)), "{:?}", call.env);
}
