//! `ralph worktree merge`: a lane's work comes into a branch as git itself would bring it there, and what is refused has
//! moved nothing (rows 73 and 75 of the catalogue of faults).

use std::fs;

use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::lanes::{keys, refused, text};
use crate::helpers::merging::Scene;
use crate::helpers::tree::Tree;
use crate::helpers::{Repo, Sandbox, ScriptedPi, wait};

#[test]
fn a_merge_makes_the_commit_that_git_makes_and_the_checkout_follows() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.commit_file("mine.txt", "mine\n", "Mine");
    let (before, tip) = (repo.head(), repo.rev_parse("ralph/T-1"));
    let oracle = scene.repo.linked_worktree("oracle", "oracle");
    oracle.git(&["merge", "-q", "--no-ff", "-m", "oracle", "ralph/T-1"]);

    let merged = repo.merged(&["T-1"]);
    assert_eq!(
        merged,
        json!({
            "status": "merged", "lane": "T-1", "ticket_id": "T-1", "branch": "ralph/T-1", "tip": tip,
            "target": "main", "before": before, "commit": repo.head(), "strategy": "merge",
            "trees": [repo.path()], "notes": [],
        })
    );
    assert_eq!(repo.tree("main"), repo.tree("oracle"));
    assert_eq!(repo.parents("main"), [before, tip]);
    let session = repo.inspect(&["T-1"])["session_id"].clone();
    assert_eq!(
        repo.message("main"),
        format!("Merge ralph/T-1: Ticket number 1\n\nRalph-Ticket: T-1\nRalph-Session: {}", text(&session))
    );
    // The checkout shows it, and has nothing to say about it.
    assert_eq!(repo.read("work-T-1.txt"), "work on T-1, attempt 1\n");
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    assert_eq!(repo.git(&["reflog", "-1", "--format=%gs", "main"]), "merge ralph/T-1: merge (by ralph)");
    // Nothing of it is left but the merge.
    assert_eq!(repo.git(&["for-each-ref", "refs/ralph"]), "");
    assert_eq!(fs::read_dir(repo.store().join("queue")).unwrap().count(), 0);
    assert_eq!(repo.worktrees().len(), 3);
    // Again is nothing.
    let again = repo.merges(&["T-1"]).ok();
    assert_eq!(again.json(), json!({ "status": "nothing_to_merge", "lane": "T-1", "target": "main" }));
    let people = repo.worktree(&["merge", "T-1"]).run().ok();
    assert!(people.stderr.contains("main has all of ralph/T-1 already"), "{people}");
}

#[test]
fn what_someone_else_has_merged_is_recorded_as_merged_where_there_was_work() {
    for (by_hand, brought_in) in
        [(&["merge", "-q", "--no-edit"][..], "main~1"), (&["merge", "-q", "--squash"], "main")]
    {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox);
        let repo = &scene.repo;
        repo.commit_file("mine.txt", "mine\n", "Mine");
        repo.git(&[by_hand, &["ralph/T-1"]].concat());
        repo.commit_all("By hand");
        let nothing = json!({ "status": "nothing_to_merge", "lane": "T-1", "target": "main" });
        // By content only, where it was squashed.
        let squash = ["T-1", "--strategy", "squash"];
        assert_eq!(repo.merges(&[&squash[..], &["--dry-run"]].concat()).ok().json(), nothing);
        assert_eq!(repo.lanes()[0]["merged"], Value::Null, "nothing was to be done");
        assert_eq!(repo.merges(&squash).ok().json(), nothing);
        let merged = repo.lanes()[0]["merged"].clone();
        assert_eq!(
            (&merged["into"], &merged["commit"]),
            (&json!("main"), &json!(repo.rev_parse(brought_in))),
            "{by_hand:?}"
        );
        assert_eq!(repo.merges(&squash).ok().json(), nothing);
        assert_eq!(repo.lanes()[0]["merged"], merged, "once");
    }
    let sandbox = Sandbox::new();
    let scene = Scene::playing(&sandbox, "answer stop");
    assert_eq!(scene.repo.merges(&["T-1"]).ok().json()["status"], "nothing_to_merge");
    assert_eq!(scene.repo.lanes()[0]["merged"], Value::Null, "there was no work");
}

#[test]
fn it_is_not_recorded_where_the_agent_changed_gits_settings_and_that_is_said() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(&sandbox, "commit; git config core.sshCommand evil; answer stop");
    let repo = &scene.repo;
    repo.git(&["merge", "-q", "--no-edit", "ralph/T-1"]);
    let told = repo.worktree(&["merge", "T-1"]).run().ok();
    for part in ["could not be recorded: since its agent was launched", "core.sshcommand", "--accept-changes"]
    {
        assert!(told.stderr.contains(part), "{told}");
    }
    assert_eq!(repo.lanes()[0]["merged"], Value::Null);
    drop(repo.worktree(&["merge", "T-1", "--accept-changes"]).run().ok());
    assert_eq!(repo.lanes()[0]["merged"]["into"], "main");
}

#[test]
fn each_strategy_makes_the_history_that_git_makes_by_it() {
    for (strategy, by_git) in [
        ("squash", &["merge", "-q", "--squash", "ralph/T-1"][..]),
        ("rebase", &["rebase", "-q", "oracle", "ralph-copy"]),
        ("ff", &["merge", "-q", "--ff-only", "ralph/T-1"]),
    ] {
        let sandbox = Sandbox::new();
        let scene = Scene::playing(&sandbox, "commit a One; commit b 'Two & three'; answer");
        let repo = &scene.repo;
        if strategy != "ff" {
            repo.commit_file("mine.txt", "mine\n", "Mine");
        }
        let (before, tip) = (repo.head(), repo.rev_parse("ralph/T-1"));
        let oracle = repo.linked_worktree("oracle", "oracle");
        repo.branch("ralph-copy", "ralph/T-1");
        oracle.git(by_git);
        if strategy == "squash" {
            oracle.git(&["commit", "-q", "-m", "oracle"]);
        }
        let merged = repo.merged(&["T-1", "--strategy", strategy]);
        assert_eq!((&merged["tip"], &merged["before"]), (&json!(tip), &json!(before)), "{strategy}");
        assert_eq!(repo.tree("main"), oracle.tree("HEAD"), "{strategy}");
        match strategy {
            "squash" => {
                assert_eq!(repo.parents("main"), [before]);
                let message = repo.message("main");
                let expected =
                    "Ticket number 1 (T-1)\n\n* One\n* Two & three\n\nRalph-Ticket: T-1\nRalph-Session: ";
                assert!(message.starts_with(expected), "{message}");
            }
            "rebase" => {
                assert_eq!(repo.log(&format!("{before}..main")), ["Two & three", "One"]);
                assert_eq!(repo.parents("main^"), [before]);
                assert_eq!(
                    repo.git(&["show", "-s", "--format=%an %cn", "main"]),
                    "Ada Author Cole Committer"
                );
                // The lane's own branch stays as it was.
                assert_eq!(repo.rev_parse("ralph/T-1"), tip);
            }
            _ => assert_eq!(repo.rev_parse("main"), tip),
        }
        assert_eq!(repo.status_porcelain(), Vec::<String>::new(), "{strategy}");
        let again = repo.merges(&["T-1", "--strategy", strategy]).ok().json();
        assert_eq!(again["status"], "nothing_to_merge", "{strategy}");
    }
}

#[test]
fn a_branch_that_has_gone_on_is_not_fast_forwarded() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    scene.repo.commit_file("mine.txt", "mine\n", "Mine");
    let error = scene.refused(&["--strategy=ff"], &["main cannot be fast-forwarded to ralph/T-1"]);
    assert!(text(&error["hint"]).contains("--strategy merge"), "{error}");
}

#[test]
fn the_strategy_is_a_setting_and_the_target_a_choice() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.branch("next", "main");
    repo.write("ralph.toml", "merge-strategy = 'squash'\n");
    let merged = repo.merged(&["T-1", "--into", "next"]);
    assert_eq!((&merged["target"], &merged["strategy"]), (&json!("next"), &json!("squash")));
    // No one has it checked out: nothing follows.
    assert_eq!(merged["trees"], json!([]));
    assert!(!repo.has("work-T-1.txt"));
    assert_eq!(repo.log("main..next"), ["Ticket number 1 (T-1)"]);
}

#[test]
fn row_73_a_conflict_names_the_files_and_moves_nothing() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(&sandbox, "printf 'theirs\\n' >README.md; commit README.md; commit; answer");
    let ours = scene.repo.commit_file("README.md", "ours\n", "Ours");
    for strategy in ["merge", "squash", "rebase"] {
        let args = ["--strategy", strategy];
        let by = format!("(changed there by {} \"Ours\")", &ours[..10]);
        scene.refused(&args, &["ralph/T-1 conflicts with main in README.md", &by]);
        let told = scene.repo.merges(&["T-1", "--strategy", strategy]).json();
        assert_eq!(told["status"], "conflict", "{strategy}");
        assert_eq!(
            told["files"],
            json!([{ "file": "README.md", "other_side": {
                "ticket_id": null, "lane": null, "branch": null, "commit": ours, "subject": "Ours",
            } }]),
            "{strategy}"
        );
    }
    // The lane is there, and once it is made to fit it is merged.
    let lane = scene.lane();
    drop(lane.try_git(&["merge", "-q", "main"]));
    lane.write("README.md", "both\n");
    lane.commit_all("Make it fit");
    scene.repo.merged(&["T-1"]);
    assert_eq!(scene.repo.read("README.md"), "both\n");
}

#[test]
fn row_73_a_conflict_names_the_ticket_on_the_other_side_however_that_was_merged() {
    for (strategy, branch) in
        [("merge", "null"), ("squash", "null"), ("rebase", "ralph/T-2"), ("ff", "ralph/T-2")]
    {
        let sandbox = Sandbox::new();
        let scene =
            Scene::playing(&sandbox, "printf '%s\\n' \"$ticket\" >README.md; commit README.md; answer");
        scene.repo.finish("T-2", &[]);
        scene.repo.merged(&["T-2", "--strategy", strategy]);
        scene.repo.commit_file("unrelated.txt", "x\n", "Unrelated");
        scene.refused(&[], &["in README.md (changed there by T-2)"]);
        let other = &scene.repo.merges(&["T-1"]).json()["files"][0]["other_side"];
        assert_eq!((&other["ticket_id"], &other["lane"]), (&json!("T-2"), &json!("T-2")), "{strategy}");
        assert_eq!(other["branch"].as_str().unwrap_or("null"), branch, "{strategy}");
    }
}

#[test]
fn only_a_branch_of_this_repository_is_a_target() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.git(&["tag", "v1"]);
    repo.git(&["update-ref", "refs/remotes/origin/topic", "main"]);
    scene.refused(&["--into", "v1"], &["it is no branch"]);
    scene.refused(&["--into", &repo.head()], &["it is no branch"]);
    let error = scene.refused(&["--into", "origin/topic"], &["another repository's branch"]);
    assert!(text(&error["hint"]).contains("git branch --track NAME origin/topic"), "{error}");
    scene.refused(&["--into", "ralph/T-1"], &["it is the lane's own branch"]);
    repo.merges(&["T-1", "--into", "nowhere"]).refused(3, &["there is no such branch"]);
    repo.merges(&["T-9"]).refused(3, &["T-9 has no worktree"]);
    // A lane that started from a tag or a commit needs to be told.
    repo.finish("T-2", &["--base", "v1"]);
    repo.merges(&["T-2"]).refused(4, &["T-2@v1 cannot be merged into \"v1\": it is no branch"]);
    repo.merged(&["T-2", "--into", "main"]);
    // And one whose base has gone.
    repo.branch("topic", "main");
    repo.finish("T-3", &["--base", "topic"]);
    repo.git(&["branch", "-q", "-D", "topic"]);
    repo.merges(&["T-3"]).refused(3, &["into \"topic\": there is no such branch"]);
    repo.git(&["branch", "-q", "-m", "ralph/T-3@topic", "moved"]);
    repo.merges(&["T-3", "--into", "main"])
        .refused(4, &["is not there any more, so there is nothing to merge"]);
}

#[test]
fn a_session_that_lives_is_not_merged_and_what_is_not_committed_is_said() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(&sandbox, "commit; answer");
    scene.pi.plays_for("T-2", NEVER_ENDS);
    scene.repo.dispatch(&["T-2"]);
    scene.pi.wait_here("T-2");
    let call = scene.repo.worktree(&["merge", "T-2"]);
    let error = refused(&sandbox, call, 4);
    assert!(text(&error["message"]).contains("T-2 is running, session"), "{error}");
    let lane = scene.lane();
    lane.write("work-T-1.txt", "more\n");
    lane.write("new.txt", "new\n");
    let people = scene.repo.worktree(&["merge", "T-1"]).run().ok();
    assert!(
        people
            .stderr
            .contains("1 changed file and 1 new file in the worktree of T-1 not committed, and not merged"),
        "{people}"
    );
    assert_eq!(people.stdout.lines().count(), 2, "{people}");
    assert!(
        people.stdout.contains("T-1 is merged into main: ") && people.stdout.contains("has followed"),
        "{people}"
    );
    assert_eq!(lane.read("work-T-1.txt"), "more\n");
    drop(scene.repo.worktree(&["stop", "T-2", "--now"]).run().ok());
}

#[test]
fn a_dry_run_says_what_would_happen_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let (refs, before) = (repo.refs(), Tree::of(repo.path()).without(&[".git"]));
    let planned = repo.merges(&["T-1", "--dry-run"]).ok().json();
    assert_eq!(
        keys(&planned),
        ["status", "lane", "ticket_id", "branch", "tip", "target", "before", "strategy", "trees", "notes"]
    );
    assert_eq!((&planned["status"], &planned["trees"]), (&json!("dry_run"), &json!([repo.path()])));
    let people = repo.worktree(&["merge", "T-1", "--dry-run"]).run().ok();
    assert!(people.stdout.contains("would be merged into main"), "{people}");
    repo.write("work-T-1.txt", "mine\n");
    repo.merges(&["T-1", "--dry-run"]).refused(4, &["work-T-1.txt"]);
    fs::remove_file(repo.path().join("work-T-1.txt")).unwrap();
    assert_eq!(repo.refs(), refs);
    let changes = before.changes_to(&Tree::of(repo.path()).without(&[".git"]));
    assert!(changes.is_empty(), "{changes:#?}");
}

#[test]
fn row_75_a_target_that_moves_meanwhile_is_merged_anew() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let go = sandbox.path("go");
    let merge = repo
        .worktree(&["merge", "T-1"])
        .env("RALPH_FAILPOINT", format!("merge.made#1:wait={}", go.display()));
    let running = merge.spawn();
    wait::until("the merge to be made", || sandbox.path("go.waiting").exists().then_some(()));
    let moved = repo.commit_file("meanwhile.txt", "x\n", "Meanwhile");
    fs::write(&go, "").unwrap();
    let ended = running.wait().ok();
    assert!(ended.stderr.contains("main has moved meanwhile: the merge is made again"), "{ended}");
    assert_eq!(repo.parents("main"), [moved, repo.rev_parse("ralph/T-1")]);
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    assert_eq!((repo.read("meanwhile.txt").as_str(), repo.has("work-T-1.txt")), ("x\n", true));
}

#[test]
fn row_75_a_target_that_keeps_moving_is_given_up_on_and_nothing_is_overwritten() {
    const TRIES: usize = 5;
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let gate = |number: usize| sandbox.path(format!("go-{number}"));
    let points = (1..=TRIES).map(|number| format!("merge.made#{number}:wait={}", gate(number).display()));
    let points = points.collect::<Vec<_>>().join(",");
    let running = repo.worktree(&["merge", "T-1", "--json"]).env("RALPH_FAILPOINT", points).spawn();
    for number in 1..=TRIES {
        let waiting = gate(number).with_extension("waiting");
        wait::until("the merge to be made", || waiting.exists().then_some(()));
        repo.commit_file(&format!("{number}.txt"), "x\n", &format!("Meanwhile {number}"));
        fs::write(gate(number), "").unwrap();
    }
    let ended = running.wait();
    ended.refused(4, &["main", "5"]);
    assert!(text(&ended.error()["hint"]).contains("try again"), "{ended}");
    let expected = (1..=TRIES).rev().map(|number| format!("Meanwhile {number}"));
    assert_eq!(repo.log("main")[..TRIES], expected.collect::<Vec<_>>());
    assert_eq!((repo.status_porcelain(), repo.git(&["for-each-ref", "refs/ralph"])), (vec![], String::new()));
    repo.merged(&["T-1"]);
}

#[test]
fn merges_of_one_repository_go_one_after_another_and_say_whom_they_wait_for() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.finish("T-2", &[]);
    let go = sandbox.path("go");
    let first =
        repo.worktree(&["merge", "T-1"]).env("RALPH_FAILPOINT", format!("merge.made:wait={}", go.display()));
    let first = first.spawn();
    wait::until("the first merge to be made", || sandbox.path("go.waiting").exists().then_some(()));
    let second = repo.worktree(&["merge", "T-2"]).spawn();
    second.wait_for("T-2 waits for its turn: T-1 (process");
    // Neither holds up a dispatch.
    assert_eq!(repo.finish("T-3", &[])["outcome"], "succeeded");
    fs::write(&go, "").unwrap();
    drop(first.wait().ok());
    drop(second.wait().ok());
    assert_eq!(repo.git(&["rev-list", "--first-parent", "main"]).lines().count(), 3);
    assert!(repo.has("work-T-1.txt") && repo.has("work-T-2.txt"));
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
}

#[test]
fn a_bare_repository_merges_too_and_so_does_one_from_a_linked_worktree() {
    let sandbox = Sandbox::new();
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let bare = Repo::new(&sandbox).bare_clone("bare.git");
    bare.finish("T-1", &["--no-ticket"]);
    bare.merged(&["T-1"]);
    assert_eq!(bare.message("main").lines().next(), Some("Merge ralph/T-1"));
    let lane = bare.tree_of(&sandbox, "T-1");
    bare.branch("next", "main^");
    lane.merged(&["T-1", "--into", "next"]);
    assert_eq!(bare.tree("next"), bare.tree("main"));
}

#[test]
fn without_an_identity_nothing_is_committed_in_anyones_name() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    for who in ["AUTHOR", "COMMITTER"] {
        sandbox.unset_env(format!("GIT_{who}_NAME"));
        sandbox.unset_env(format!("GIT_{who}_EMAIL"));
    }
    scene.repo.git(&["config", "user.useConfigOnly", "true"]);
    let call = scene.repo.merges(&["T-1", "--accept-changes"]);
    call.refused(6, &["git does not know who you are"]);
    assert!(text(&call.error()["hint"]).contains("user.name"));
    // What needs no commit needs no name.
    scene.repo.merged(&["T-1", "--strategy=ff", "--accept-changes"]);
}
