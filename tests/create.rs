//! `ralph worktree create` and `path`: a lane's worktree is made once and found again, wherever it stands and from
//! wherever it is asked for.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::helpers::lanes::{only, refused, text};
use crate::helpers::tree::Tree;
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// The notes of a `create --json`.
fn notes(created: &Value) -> Vec<&str> {
    created["notes"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_lane_is_created_once_and_then_located() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    let created = repo.create(&["T-1"]);
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!(
        created,
        json!({
            "schema_version": 1, "status": "ready", "ticket_id": "T-1", "lane": "T-1", "branch": "ralph/T-1",
            "worktree": tree.path(), "base_ref": "main", "base_commit": repo.head(), "notes": [],
        })
    );
    assert_eq!(tree.path().parent().unwrap(), sandbox.work().join("app.ralph"));
    assert_eq!((tree.current_branch().as_deref(), tree.head()), (Some("ralph/T-1"), repo.head()));
    assert_eq!((tree.read("README.md"), tree.status_porcelain()), ("# app\n".to_owned(), vec![]));
    assert!(!repo.git(&["worktree", "list", "--porcelain"]).contains("locked"));
    let before = Tree::of(&tree);
    assert_eq!(repo.create(&["T-1"]), created);
    assert_eq!(repo.worktree(&["create", "T-1"]).run().ok().stdout, format!("{}\n", tree.path().display()));
    before.assert_unchanged(&tree);
    let lane = only(repo.lanes());
    assert_eq!(
        (&lane["activity"], &lane["session_id"], &lane["attempt"]),
        (&json!("none"), &Value::Null, &json!(0))
    );
    assert_eq!(pi.tickets_called(), Vec::<String>::new());
}

#[test]
fn a_dry_run_of_create_changes_nothing() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let before = Tree::of(sandbox.path("."));
    let plan = repo.create(&["T-1@main", "--dry-run"]);
    drop(repo.worktree(&["create", "T-1", "--dry-run"]).run().ok());
    before.assert_unchanged(sandbox.path("."));
    let created = repo.create(&["T-1@main"]);
    for key in ["lane", "worktree", "branch", "base_ref", "base_commit"] {
        assert_eq!(plan[key], created[key], "{key}");
    }
}

#[test]
fn a_worktree_that_git_moved_is_found_by_every_command() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_for("T-1", "commit; answer stop");
    let first = repo.finished(&["T-1"]);
    let moved = sandbox.work().join("moved/far");
    fs::create_dir(moved.parent().unwrap()).unwrap();
    repo.git(&["worktree", "move", text(&first["worktree"]["path"]), moved.to_str().unwrap()]);
    let path = json!(moved);
    assert_eq!(json!(repo.tree_of(&sandbox, "T-1").path()), path);
    let lane = only(repo.lanes());
    assert_eq!((&lane["worktree"], &lane["worktree_state"]), (&path, &json!("present")));
    assert_eq!(repo.create(&["T-1"])["worktree"], path);
    assert_eq!(Repo::at(&sandbox, &moved).inspect(&[]), first);
    drop(repo.worktree(&["attach", "T-1"]).run().ok());
    assert_eq!(pi.call("none", 1).folder, moved);
    let again = repo.finished(&["T-1"]);
    assert_eq!((&again["worktree"]["path"], &again["attempt"]), (&path, &json!(2)));
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 2", "T-1: attempt 1"]);
    assert!(!std::path::Path::new(text(&first["worktree"]["path"])).exists());
}

#[test]
fn a_base_is_a_branch_a_tag_or_a_commit_and_is_recorded_as_name_and_commit() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let first = repo.head();
    repo.git(&["tag", "-a", "-m", "One", "v1"]);
    repo.branch("release/1.x", "main");
    repo.git(&["update-ref", "refs/remotes/origin/next", "main"]);
    repo.commit_file("later.txt", "x\n", "Later");
    for (base, recorded, slug) in [
        ("release/1.x", "release/1.x", "release-1.x-"),
        ("refs/heads/release/1.x", "release/1.x", "refs-heads-release-1.x-"),
        ("v1", "v1", "v1"),
        ("origin/next", "origin/next", "origin-next-"),
        (&first, &first, &first),
        (&first[..8], &first, &first[..8]),
    ] {
        let created = repo.create(&["T-1", "--base", base]);
        assert_eq!(
            (text(&created["base_ref"]), text(&created["base_commit"])),
            (recorded, &*first),
            "{base}"
        );
        assert_eq!(created["lane"], format!("T-1@{base}"));
        assert!(text(&created["branch"]).starts_with(&format!("ralph/T-1@{slug}")), "{created}");
        assert_eq!(repo.rev_parse(text(&created["branch"])), first);
        // The lane's own name says the same, and is found again under it.
        assert_eq!(repo.create(&[&format!("T-1@{base}")]), created);
        assert_eq!(json!(repo.tree_of(&sandbox, &format!("T-1@{base}")).path()), created["worktree"]);
    }
    assert_eq!(repo.lanes().len(), 6);
}

#[test]
fn a_base_that_is_not_there_is_named_with_those_that_are_called_nearly_so() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.branch("release/1.x", "main");
    repo.git(&["update-ref", "refs/remotes/origin/next", "main"]);
    repo.git(&["tag", "file", "HEAD:README.md"]);
    for (typed, code, said) in [
        ("mian", 3, "did you mean main?"),
        ("release/1.y", 3, "did you mean release/1.x?"),
        ("origin/nxt", 3, "did you mean origin/next?"),
        ("0123456789", 3, "`git branch` lists the branches"),
        ("file", 2, "give a branch, a tag of a commit, or a commit"),
    ] {
        let error = refused(&sandbox, repo.worktree(&["create", "T-1", "--base", typed]), code);
        assert!(text(&error["message"]).contains(typed), "{error}");
        assert_eq!(error["hint"], said, "{error}");
    }
    let error = refused(&sandbox, repo.worktree(&["create", "T-1@main", "--base", "release/1.x"]), 2);
    assert!(text(&error["message"]).contains("T-1@main names the base main"), "{error}");
}

#[test]
fn the_base_is_what_is_checked_out_where_one_stands() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let linked = repo.linked_worktree("linked", "topic");
    linked.commit_file("topic.txt", "x\n", "Topic");
    fs::create_dir_all(linked.path().join("a/b")).unwrap();
    let sub = Repo::at(&sandbox, linked.path().join("a/b"));
    let of_topic = sub.create(&["T-1"]);
    assert_eq!((&of_topic["base_ref"], &of_topic["base_commit"]), (&json!("topic"), &json!(linked.head())));
    // In a lane's worktree, that lane's base: not the lane's branch.
    let lane = repo.tree_of(&sandbox, "T-1");
    lane.commit_file("work.txt", "x\n", "Work of T-1");
    let beside = lane.create(&["T-2"]);
    assert_eq!((&beside["base_ref"], &beside["base_commit"]), (&json!("topic"), &json!(linked.head())));
    // A setting, and over it a flag.
    sandbox.write("config/ralph/config.toml", "base = \"main\"\n");
    assert_eq!(lane.create(&["T-3"])["base_ref"], "main");
    assert_eq!(lane.create(&["T-4", "--base", "topic"])["base_ref"], "topic");
    // HEAD is what it means here and now.
    assert_eq!(linked.create(&["T-4", "--base", "HEAD"])["lane"], "T-4@topic");
    assert_eq!(repo.create(&["T-4@HEAD"])["lane"], "T-4@main");
}

#[test]
fn a_lane_is_the_same_from_everywhere_in_the_repository() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let created = repo.create(&["T-1"]);
    let linked = repo.linked_worktree("linked", "topic");
    let tree = repo.tree_of(&sandbox, "T-1");
    fs::create_dir_all(tree.path().join("a/b")).unwrap();
    let places = [repo.path().join(".tickets"), linked.path().to_owned(), tree.path().join("a/b")];
    for place in places {
        let place = Repo::at(&sandbox, place);
        assert_eq!(place.create(&["T-1"]), created);
        assert_eq!(place.tree_of(&sandbox, "T-1").path(), tree.path());
    }
    let outside = Repo::at(&sandbox, sandbox.path("home"));
    assert_eq!(outside.create(&["T-1", "--repo", repo.path().to_str().unwrap()]), created);
    let relative = Repo::at(&sandbox, sandbox.work());
    assert_eq!(relative.create(&["T-1", "--repo", "app/.tickets"]), created);
    for (call, said) in [
        (outside.worktree(&["create", "T-1"]), "no git repository at"),
        (relative.worktree(&["create", "T-1", "--repo", "gone"]), "there is no folder"),
    ] {
        let error = refused(&sandbox, call, 3);
        assert!(text(&error["message"]).contains(said), "{error}");
    }
    let script = format!(
        "mkdir gone && cd gone && rmdir ../gone && exec '{}' worktree list",
        env!("CARGO_BIN_EXE_ralph")
    );
    let ended = sandbox.run("sh", &["-c", &script]).run().expect_code(3);
    assert!(ended.stderr.contains("hint: go to a folder that is there"), "{ended}");
}

#[test]
fn a_base_that_lags_behind_its_upstream_is_said_with_by_how_many() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let origin = repo.bare_clone("origin.git");
    repo.git(&["remote", "add", "origin", origin.path().to_str().unwrap()]);
    let other = repo.clone_as("other", &[]);
    for number in 1..=2 {
        other.commit_file("theirs.txt", &number.to_string(), "Theirs");
    }
    other.git(&["push", "-q", origin.path().to_str().unwrap(), "main"]);
    repo.git(&["fetch", "-q", "origin"]);
    repo.git(&["branch", "-q", "--set-upstream-to=origin/main"]);
    let said = "main is 2 commits behind origin/main: this lane starts from main as it is here";
    let ended = repo.worktree(&["create", "T-1"]).run().ok();
    assert_eq!(ended.stderr, format!("ralph: {said}\n"));
    assert_eq!(notes(&repo.create(&["T-2"])), [said]);
    assert_eq!(notes(&repo.create(&["T-3", "--base", "origin/main"])), Vec::<&str>::new());
    repo.git(&["merge", "-q", "--ff-only", "origin/main~1"]);
    let ended = repo.worktree(&["create", "T-4", "--dry-run"]).run().ok();
    assert!(ended.stderr.contains("main is 1 commit behind origin/main"), "{ended}");
}

#[test]
fn a_lane_without_work_of_its_own_follows_its_base_and_that_is_said() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.create(&["T-1"]);
    let tree = repo.tree_of(&sandbox, "T-1");
    repo.commit_file("one.txt", "1\n", "One");
    let head = repo.commit_file("two.txt", "2\n", "Two");
    let created = repo.create(&["T-1"]);
    assert_eq!(notes(&created), ["ralph/T-1 had nothing of its own and was moved on by 2 commits to main"]);
    assert_eq!(
        (created["base_commit"].clone(), tree.head(), tree.status_porcelain()),
        (json!(head), head, vec![])
    );
    // Work that was merged is no work of its own any more.
    tree.commit_file("work.txt", "x\n", "Work");
    repo.git(&["merge", "-q", "--no-ff", "--no-edit", "ralph/T-1"]);
    let created = repo.create(&["T-1"]);
    assert_eq!(notes(&created), ["ralph/T-1 had nothing of its own and was moved on by 1 commit to main"]);
    assert_eq!(tree.head(), repo.head());
    assert_eq!(notes(&repo.create(&["T-1"])), Vec::<&str>::new());
}

#[test]
fn a_lane_with_work_of_its_own_stays_and_how_far_behind_it_is_is_said() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    for (ticket, work) in [("T-1", "committed"), ("T-2", "uncommitted"), ("T-3", "untracked")] {
        repo.create(&[ticket]);
        let tree = repo.tree_of(&sandbox, ticket);
        match work {
            "committed" => drop(tree.commit_file("work.txt", "x\n", "Work")),
            "uncommitted" => drop(tree.write("README.md", "changed\n")),
            _ => drop(tree.write("new.txt", "x\n")),
        }
    }
    repo.create(&["T-4", "--branch", "stable"]);
    repo.commit_file("later.txt", "x\n", "Later");
    for ticket in ["T-1", "T-2", "T-3", "T-4"] {
        let tree = repo.tree_of(&sandbox, ticket);
        let before = (tree.head(), Tree::of(&tree));
        let created = repo.create(&[ticket]);
        let branch = text(&created["branch"]);
        assert_eq!(notes(&created), [format!("{branch} is continued as it is; it is 1 commit behind main")]);
        assert_eq!(tree.head(), before.0, "{ticket} was moved");
        before.1.assert_unchanged(&tree);
    }
}

#[test]
fn a_branch_can_be_chosen_and_is_the_lanes_from_then_on() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let created = repo.create(&["T-1", "--branch", "work/one"]);
    assert_eq!(created["branch"], "work/one");
    assert_eq!(repo.create(&["T-1"]), created);
    assert_eq!(repo.create(&["T-1", "--branch", "work/one"]), created);
    let error = refused(&sandbox, repo.worktree(&["create", "T-1", "--branch", "other"]), 4);
    assert_eq!(error["message"], "T-1 works on branch work/one, not on other");
    assert!(text(&error["hint"]).contains("leave --branch out"), "{error}");
    assert_eq!(repo.branches(), ["main", "work/one"]);
}

#[test]
fn a_ticket_with_several_lanes_is_named_with_its_base() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = ScriptedPi::new(&sandbox);
    repo.branch("release/1.x", "main");
    let plain = repo.create(&["T-1"]);
    let release = repo.create(&["T-1@release/1.x"]);
    assert_ne!(plain["worktree"], release["worktree"]);
    for command in ["create", "dispatch", "path", "inspect", "logs", "wait", "stop", "attach"] {
        let error = refused(&sandbox, repo.worktree(&[command, "T-1"]), 2);
        assert_eq!(error["message"], "T-1 has several lanes: T-1@main, T-1@release/1.x", "{command}");
    }
    // Each name that was listed is one.
    assert_eq!(repo.create(&["T-1@main"]), plain);
    assert_eq!(repo.finished(&["T-1@release/1.x"])["lane"], "T-1@release/1.x");
    assert_eq!(repo.finished(&["T-1", "--base", "main"])["lane"], "T-1");
    assert_eq!(repo.lanes().len(), 2);
    let error = refused(&sandbox, repo.worktree(&["path", "T-1@v1"]), 3);
    assert_eq!(error["message"], "T-1@v1 has no worktree of ralph's in this repository");
}

#[test]
fn the_root_of_the_worktrees_is_private_ours_and_named_where_it_cannot_be() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.create(&["T-1", "--branch", "x"]);
    let root = sandbox.work().join("app.ralph");
    let mode = |mode: u32| fs::set_permissions(&root, fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);
    mode(0o777);
    let error = repo.worktree(&["create", "T-2", "--json"]).run().expect_code(6).error();
    assert!(text(&error["message"]).contains("can be written by all users"), "{error}");
    assert!(text(&error["hint"]).contains("`worktree-root`"), "{error}");
    mode(0o700);
    sandbox.set_env("RALPH_WORKTREE_ROOT", repo.path().join("README.md/below"));
    let error = repo.worktree(&["create", "T-2", "--json"]).run().expect_code(6).error();
    assert!(text(&error["hint"]).contains("`worktree-root`"), "{error}");
    assert_eq!(repo.branches(), ["main", "x"]);
    sandbox.set_env("RALPH_WORKTREE_ROOT", "../trees");
    let created = repo.create(&["T-2"]);
    assert!(
        text(&created["worktree"]).starts_with(sandbox.work().join("trees/").to_str().unwrap()),
        "{created}"
    );
    // A lane stays where it is, whatever the setting says now.
    sandbox.unset_env("RALPH_WORKTREE_ROOT");
    assert_eq!(repo.create(&["T-2"]), created);
}

#[test]
fn while_files_take_long_one_line_says_how_far_they_are_and_goes_when_they_are_there() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let at = |name: &str| sandbox.path(name).display().to_string();
    repo.git(&[
        "config",
        "filter.slow.smudge",
        &format!("until [ -e '{}' ]; do sleep 0.01; done; cat", at("go")),
    ]);
    repo.git(&["config", "filter.slow.clean", "cat"]);
    repo.write(".gitattributes", "*.slow filter=slow\n");
    repo.write("a.slow", "a\n");
    repo.commit_all("Slow");
    let told = repo.worktree(&["create", "T-1"]).spawn();
    let silent = repo.worktree(&["create", "T-2", "--json"]).spawn();
    let drawn = repo.worktree(&["create", "T-3"]).env("TERM", "xterm").on_terminal();
    told.wait_for("ralph: git writes the worktree's files");
    drawn.wait_for("git writes the worktree's files");
    sandbox.write("go", "");
    assert_eq!(told.wait().ok().stderr, "ralph: git writes the worktree's files\n");
    assert_eq!(silent.wait().ok().stderr, "");
    let screen = drawn.wait().ok().stdout;
    assert!(
        screen.ends_with(&format!("{}\r\n", repo.tree_of(&sandbox, "T-3").path().display())),
        "{screen:?}"
    );
}

#[test]
fn row_3_work_in_a_worktree_whose_creation_was_killed_at_its_end_is_kept() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.create(&["T-1"]);
    let tree = repo.tree_of(&sandbox, "T-1");
    // Made again, in a lane that is on record.
    fs::remove_dir_all(tree.path()).unwrap();
    let create = repo.worktree(&["create", "T-1"]).env("RALPH_FAILPOINT", "git.checked_out:kill").run();
    assert_eq!(create.signal, Some(9), "{create}");
    tree.write("README.md", "mine\n");
    let error = refused(&sandbox, repo.worktree(&["remove", "T-1"]), 4);
    assert!(text(&error["message"]).contains("1 changed file: README.md"), "{error}");
    assert_eq!(notes(&repo.create(&["T-1"])), Vec::<&str>::new());
    assert_eq!(
        (tree.read("README.md"), tree.status_porcelain()),
        ("mine\n".into(), vec![" M README.md".into()])
    );
}

#[test]
fn row_3_a_worktree_whose_creation_was_killed_in_the_middle_is_not_completed_over_an_edit() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let point = "prepare.registered:kill";
    assert_eq!(repo.worktree(&["create", "T-1"]).env("RALPH_FAILPOINT", point).run().signal, Some(9));
    let tree = Repo::at(&sandbox, repo.worktrees().pop().unwrap());
    tree.write("README.md", "mine\n");
    let error = repo.worktree(&["create", "T-1", "--json"]).run().expect_code(4).error();
    assert!(text(&error["message"]).contains("\"README.md\" in it has been changed since"), "{error}");
    assert!(text(&error["hint"]).contains("elsewhere, do this again"), "{error}");
    assert_eq!(tree.read("README.md"), "mine\n");
    fs::remove_file(tree.path().join("README.md")).unwrap();
    assert_eq!(notes(&repo.create(&["T-1"])), ["its files were not complete and have been written again"]);
}
