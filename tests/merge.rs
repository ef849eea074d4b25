//! `ralph worktree merge`: a lane's work comes into a branch as git itself would bring it there, no one's checkout is
//! disturbed, and what is refused has moved nothing (rows 73 to 75 of the catalogue of faults).

use std::fs;

use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::lanes::{keys, refused, text};
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi, wait};

impl Repo<'_> {
    /// `merge` with further arguments.
    fn merges(&self, args: &[&str]) -> Finished {
        self.worktree(&[&["merge", "--json"], args].concat()).run()
    }

    /// The result of `merge --json`, which must succeed.
    #[track_caller]
    fn merged(&self, args: &[&str]) -> Value {
        let merged = self.merges(args).ok().json();
        assert_eq!(merged["status"], "merged", "{merged:#}");
        self.fsck();
        merged
    }

    fn tree(&self, revision: &str) -> String {
        self.rev_parse(&format!("{revision}^{{tree}}"))
    }

    fn parents(&self, revision: &str) -> Vec<String> {
        self.git(&["show", "-s", "--format=%P", revision]).split(' ').map(str::to_owned).collect()
    }

    fn message(&self, revision: &str) -> String {
        self.git(&["show", "-s", "--format=%B", revision])
    }
}

/// A repository with a lane `T-1` whose agent made one commit.
struct Scene<'s> {
    sandbox: &'s Sandbox,
    repo: Repo<'s>,
    pi: ScriptedPi,
}

impl<'s> Scene<'s> {
    fn new(sandbox: &'s Sandbox) -> Self {
        Self::playing(sandbox, COMMITS)
    }

    fn playing(sandbox: &'s Sandbox, play: &str) -> Self {
        let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
        pi.plays(play);
        repo.finish("T-1", &[]);
        Self { sandbox, repo, pi }
    }

    /// The lane's worktree.
    fn lane(&self) -> Repo<'s> {
        self.repo.tree_of(self.sandbox, "T-1")
    }

    /// Refused with exit status 4, in a message that holds every one of `parts`, and nothing has changed.
    #[track_caller]
    fn refused(&self, args: &[&str], parts: &[&str]) -> Value {
        let look = || {
            // Objects that nothing leads to are nothing.
            Tree::of(self.sandbox.path("work")).without(&[
                "app/.git/ralph",
                "app/.git/objects",
                "app/.git/refs/ralph",
            ])
        };
        let before = look();
        let refs = self.repo.refs();
        let finished = self.repo.merges(&[&["T-1"], args].concat());
        finished.refused(4, parts);
        assert_eq!(self.repo.refs(), refs);
        let changes = before.changes_to(&look());
        // git may note that a file only looked changed.
        let changes: Vec<_> = changes.iter().filter(|change| !change.contains(".git/index")).collect();
        assert!(changes.is_empty(), "it was refused, but changed: {changes:#?}");
        assert_eq!(fs::read_dir(self.repo.store().join("queue")).map_or(0, Iterator::count), 0);
        finished.error()
    }
}

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
    for by_hand in [&["merge", "-q", "--no-edit"][..], &["merge", "-q", "--squash"]] {
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
            (&json!("main"), &json!(repo.head())),
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
fn row_74_what_the_user_has_in_the_checkout_stays_and_is_never_overwritten() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "printf 'theirs\\n' >README.md; printf 'x\\n' >new.txt; git add new.txt; commit README.md; answer",
    );
    let repo = &scene.repo;
    let clean = |scene: &Scene<'_>| {
        scene.repo.git(&["reset", "-q", "--hard"]);
        scene.repo.git(&["clean", "-q", "-fdx"]);
    };
    // What the merge touches is in the way, in whatever form: edited, staged, deleted, new, ignored, hidden.
    repo.write("README.md", "mine\n");
    scene.refused(&[], &["it is checked out in", "README.md holds what no commit has"]);
    repo.git(&["add", "README.md"]);
    scene.refused(&[], &["README.md"]);
    clean(&scene);
    fs::remove_file(repo.path().join("README.md")).unwrap();
    scene.refused(&[], &["README.md"]);
    clean(&scene);
    repo.write("new.txt", "mine\n");
    scene.refused(&[], &["new.txt"]);
    repo.write(".git/info/exclude", "new.txt\n");
    let error = scene.refused(&[], &["new.txt"]);
    assert!(text(&error["hint"]).contains("git stash"), "{error}");
    clean(&scene);
    repo.write("new.txt/inner", "mine\n");
    scene.refused(&[], &["new.txt/inner"]);
    fs::remove_dir_all(repo.path().join("new.txt")).unwrap();
    repo.git(&["update-index", "--assume-unchanged", "README.md"]);
    repo.write("README.md", "mine\n");
    scene.refused(&[], &["README.md"]);
    repo.git(&["update-index", "--no-assume-unchanged", "README.md"]);
    clean(&scene);
    // All else stays as it is: edited, staged, new, ignored.
    repo.write(".pi/prompts/tf.md", "edited\n");
    repo.write("staged.txt", "staged\n");
    repo.git(&["add", "staged.txt"]);
    repo.write("staged.txt", "edited since\n");
    repo.write("untracked.txt", "untracked\n");
    let status = repo.status_porcelain();
    assert_eq!(status.len(), 3, "{status:?}");
    repo.merged(&["T-1"]);
    assert_eq!(repo.status_porcelain(), status);
    assert_eq!(repo.git(&["show", ":staged.txt"]), "staged");
    assert_eq!(
        (repo.read("README.md"), repo.read("new.txt")),
        ("theirs\nwork on T-1, attempt 1\n".into(), "x\n".into())
    );
}

#[test]
fn row_74_every_worktree_that_has_the_target_checked_out_is_asked_and_follows() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let linked = repo.linked_worktree("linked", "next");
    linked.write("work-T-1.txt", "mine\n");
    let told = repo.merges(&["T-1", "--into", "next"]).expect_code(4).json();
    assert_eq!((&told["tree"], &told["files"]), (&json!(linked.path()), &json!(["work-T-1.txt"])));
    fs::remove_file(linked.path().join("work-T-1.txt")).unwrap();
    let merged = repo.merged(&["T-1", "--into", "next"]);
    assert_eq!(merged["trees"], json!([linked.path()]));
    assert_eq!(linked.read("work-T-1.txt"), "work on T-1, attempt 1\n");
    assert_eq!(linked.status_porcelain(), Vec::<String>::new());
}

#[test]
fn an_operation_that_is_open_is_not_walked_over() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.branch("other", "main");
    repo.commit_file("f", "main\n", "Main's");
    repo.git(&["switch", "-q", "other"]);
    repo.commit_file("f", "other\n", "Other's");
    repo.git(&["switch", "-q", "main"]);
    drop(repo.try_git(&["merge", "-q", "other"]));
    scene.refused(&[], &["a merge is open there"]);
    repo.git(&["merge", "--abort"]);
    drop(repo.try_git(&["rebase", "-q", "other"]));
    scene.refused(&[], &["it is being rebased there"]);
    repo.git(&["rebase", "--abort"]);
    repo.write(".git/index.lock", "");
    scene.refused(&[], &["index.lock"]);
    fs::remove_file(repo.path().join(".git/index.lock")).unwrap();
    // In the lane's own worktree too.
    let lane = scene.lane();
    lane.git(&["bisect", "start"]);
    let error = scene.refused(&[], &["a bisect is open in the worktree of T-1"]);
    assert!(text(&error["hint"]).contains("ralph worktree path T-1"), "{error}");
    lane.git(&["bisect", "reset"]);
    repo.merged(&["T-1"]);
}

#[test]
fn a_ticket_that_differs_only_in_its_status_is_not_in_the_way() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "sed -i s/open/closed/ .tickets/T-1.md; printf 'Done.\\n' >>.tickets/T-1.md; commit .tickets/T-1.md; \
         printf 'Note.\\n' >>.tickets/T-2.md; git commit -qam note; answer",
    );
    let repo = &scene.repo;
    for ticket in ["T-1", "T-2", "T-3"] {
        let file = format!(".tickets/{ticket}.md");
        repo.write(&file, repo.read(&file).replace("open", "in_progress"));
    }
    repo.merged(&["T-1"]);
    let status = |ticket: &str| repo.read(format!(".tickets/{ticket}.md"));
    assert!(status("T-1").contains("status: closed") && status("T-1").contains("Done."), "{}", status("T-1"));
    assert!(
        status("T-2").contains("status: in_progress") && status("T-2").contains("Note."),
        "{}",
        status("T-2")
    );
    assert!(status("T-3").contains("status: in_progress"));
    assert_eq!(repo.status_porcelain(), [" M .tickets/T-2.md", " M .tickets/T-3.md"]);
    assert!(repo.git(&["diff"]).lines().filter(|line| line.starts_with('+')).count() == 4);
}

#[test]
fn an_edit_that_was_put_aside_is_there_again_where_the_checkout_could_not_follow() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "printf 'Note.\\n' >>.tickets/T-2.md; echo new >new.txt; git add -A; git commit -qm note; answer",
    );
    let repo = &scene.repo;
    let edited = repo.read(".tickets/T-2.md").replace("open", "in_progress");
    repo.write(".tickets/T-2.md", &edited);
    let before = repo.head();
    let go = sandbox.path("go");
    let point = format!("follow.ready:wait={}", go.display());
    let merge = repo.worktree(&["merge", "T-1"]).env("RALPH_FAILPOINT", point).spawn();
    wait::until("the edit to be put aside", || sandbox.path("go.waiting").exists().then_some(()));
    assert_ne!(repo.read(".tickets/T-2.md"), edited);
    repo.write("new.txt", "mine\n");
    fs::write(&go, "").unwrap();
    let refused = merge.wait();
    assert!(refused.stderr.contains("new.txt"), "{refused}");
    assert_eq!(repo.read(".tickets/T-2.md"), edited);
    assert_eq!((repo.head(), repo.read("new.txt")), (before, "mine\n".to_owned()));
    fs::remove_file(repo.path().join("new.txt")).unwrap();
    repo.merged(&["T-1"]);
    let merged = repo.read(".tickets/T-2.md");
    assert!(merged.contains("status: in_progress") && merged.contains("Note."), "{merged}");
}

#[test]
fn row_74_what_could_be_written_of_a_merge_only_in_part_is_taken_back() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.commit_file("gone.txt", "will go\n", "More");
    // A filter of the user's that fails at the last file.
    break_filter(repo, "new/3");
    let work = "printf 'edited\\n' >>README.md; git rm -q gone.txt; mkdir new; \
        for i in 1 2 3; do echo $i >new/$i; done; printf 'Note.\\n' >>.tickets/T-2.md; git add -A; \
        git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    repo.finish("T-3", &[]);
    repo.write(".tickets/T-2.md", repo.read(".tickets/T-2.md").replace("open", "in_progress"));
    repo.write("untracked.txt", "untracked\n");
    let (before, status) = (repo.head(), repo.status_porcelain());
    let refused = repo.worktree(&["merge", "T-3"]).run();
    assert!(refused.stderr.contains("new/3"), "{refused}");
    assert_eq!((repo.head(), repo.status_porcelain()), (before, status));
    assert!(repo.read(".tickets/T-2.md").contains("in_progress") && repo.has("gone.txt"));
    assert!(!repo.has("new"), "{:?}", fs::read_dir(repo.path().join("new")).unwrap().collect::<Vec<_>>());
    assert!(!repo.has(".git/index.lock") && !repo.has(".git/ralph.index"));
    repo.git(&["config", "filter.broken.smudge", "cat"]);
    repo.merged(&["T-3", "--accept-changes"]);
    assert!(repo.has("new/3") && !repo.has("gone.txt"));
}

#[test]
fn row_74_a_ticket_that_gave_way_is_there_again_where_the_checkout_could_not_follow() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    // The folder of tickets holds nothing else.
    repo.git(&["rm", "-q", "-r", ".tickets"]);
    repo.commit_all("No tickets");
    break_filter(repo, "new/3");
    repo.ticket("N-1", "Never committed");
    let mine = repo.read(".tickets/N-1.md");
    let work =
        "echo Done. >>.tickets/N-1.md; mkdir new; echo 3 >new/3; git add -A; git commit -qm work; answer";
    scene.pi.plays_for("N-1", work);
    repo.finish("N-1", &[]);
    let (before, status) = (repo.head(), repo.status_porcelain());
    assert_eq!(repo.worktree(&["merge", "N-1"]).run().code, Some(4));
    assert_eq!((repo.head(), repo.status_porcelain()), (before, status));
    assert_eq!(repo.read(".tickets/N-1.md"), mine);
}

/// A filter of the user's, for these files, that can write none.
fn break_filter(repo: &Repo<'_>, files: &str) {
    repo.write(".git/info/attributes", format!("{files} filter=broken\n"));
    for (key, value) in [("clean", "cat"), ("smudge", "false"), ("required", "true")] {
        repo.git(&["config", &format!("filter.broken.{key}"), value]);
    }
}

#[test]
fn what_a_sparse_checkout_leaves_out_and_a_submodule_keep_nothing_from_being_taken_back() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    fs::create_dir(repo.path().join("sub")).unwrap();
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},sub", repo.head())]);
    repo.commit_file("out/x", "x\n", "Out");
    break_filter(repo, "new/3");
    let work = "echo more >>out/x; echo more >>README.md; mkdir new; echo 3 >new/3; git add -A; \
        git update-index --cacheinfo 160000,$(git rev-parse HEAD),sub; git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    repo.finish("T-3", &[]);
    repo.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/out/"]);
    let (before, status) = (repo.head(), repo.status_porcelain());
    let refused = repo.worktree(&["merge", "T-3", "--accept-changes"]).run();
    assert_eq!(refused.code, Some(4), "{refused}");
    assert_eq!((repo.head(), repo.status_porcelain()), (before, status));
    assert!(!repo.has("out") && !repo.has(".git/index.lock"));
}

#[test]
fn git_commits_nothing_in_a_checkout_that_is_left_half_way() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.commit_file("old.b", "old\n", "Old");
    scene.pi.plays_for("T-3", "git rm -q old.b; echo new >new.b; git add -A; git commit -qm work; answer");
    repo.finish("T-3", &[]);
    // What was removed cannot be written again either.
    break_filter(repo, "*.b");
    let merged = repo.worktree(&["merge", "T-3", "--accept-changes"]).run().ok();
    assert!(merged.stderr.contains("could not be brought along"), "{merged}");
    let head = repo.head();
    let refused = repo.try_git(&["commit", "-q", "--allow-empty", "-m", "Mine"]);
    assert!(refused.stderr.contains("index.lock"), "{refused}");
    repo.git(&["config", "filter.broken.smudge", "cat"]);
    drop(repo.worktree(&["recover"]).run().ok());
    assert_eq!((repo.head(), repo.status_porcelain()), (head, Vec::new()));
    assert!(repo.has("new.b") && !repo.has("old.b") && !repo.has(".git/index.lock"));
}

#[test]
fn an_edit_within_the_second_of_a_commit_shows_after_a_merge() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "printf 'Note.\\n' >>.tickets/T-2.md; echo new >new.txt; git add -A; git commit -qm note; answer",
    );
    let repo = &scene.repo;
    repo.write(".tickets/T-2.md", repo.read(".tickets/T-2.md").replace("open", "in_progress"));
    repo.commit_file("mine.txt", "one\n", "Mine");
    // As long, in the same place, and as old as the index: only by its date does git know to look at it.
    let index = fs::metadata(repo.path().join(".git/index")).unwrap().modified().unwrap();
    fs::write(repo.path().join("mine.txt"), "two\n").unwrap();
    let file = fs::File::options().write(true).open(repo.path().join("mine.txt")).unwrap();
    file.set_modified(index).unwrap();
    repo.git(&["config", "core.trustctime", "false"]);
    repo.git(&["config", "core.checkStat", "minimal"]);
    repo.merged(&["T-1", "--accept-changes"]);
    assert!(repo.status_porcelain().contains(&" M mine.txt".to_owned()), "{:?}", repo.status_porcelain());
}

#[test]
fn ctrl_c_does_not_stop_git_in_the_middle_of_a_checkout() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let (here, go) = (sandbox.path("here"), sandbox.path("go"));
    // A filter of the user's that waits, while git has written other files.
    repo.write(".git/info/attributes", "new/* filter=slow\n");
    repo.git(&["config", "filter.slow.clean", "cat"]);
    let waits = format!("touch {}; until [ -e {} ]; do sleep 0.02; done; cat", here.display(), go.display());
    repo.git(&["config", "filter.slow.smudge", &waits]);
    let work = "mkdir new; echo 1 >new/1; echo 2 >new/2; git add -A; git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    let mut terminal = repo.worktree(&["batch", "T-3", "--merge"]).on_terminal();
    wait::until("git to be in the middle of it", || here.exists().then_some(()));
    terminal.type_text("\x03");
    terminal.wait_for("ending all sessions");
    fs::write(&go, "").unwrap();
    let ended = terminal.wait();
    assert!(repo.has("new/1") && repo.has("new/2"), "{ended}");
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    assert_eq!(repo.lanes()[1]["merged"]["commit"], json!(repo.head()));
}

#[test]
fn a_ticket_that_was_never_committed_gives_way_to_the_copy_that_the_agent_committed() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let pi = &scene.pi;
    for (ticket, work) in [
        ("N-1", "commit --all; answer"),
        (
            "N-2",
            "sed -i s/open/closed/ .tickets/N-2.md; printf 'Done.\\n' >>.tickets/N-2.md; git add -A; git commit -qm work; answer",
        ),
        ("N-3", "sed -i s/About/Above/ .tickets/N-3.md; git add -A; git commit -qm work; answer"),
    ] {
        repo.ticket(ticket, &format!("About {ticket}"));
        pi.plays_for(
            ticket,
            work.replace("commit --all", "echo x >x; git add -A; git commit -qm work").as_str(),
        );
        repo.finish(ticket, &[]);
    }
    repo.merged(&["N-1"]);
    repo.merged(&["N-2"]);
    assert!(
        repo.read(".tickets/N-2.md").contains("status: closed")
            && repo.read(".tickets/N-2.md").contains("Done.")
    );
    assert_eq!(repo.status_porcelain(), ["?? .tickets/N-3.md"]);
    let mine = repo.read(".tickets/N-3.md");
    let refused = repo.merges(&["N-3"]);
    refused.refused(4, &[".tickets/N-3.md"]);
    assert!(text(&refused.error()["hint"]).contains("commit"), "{refused}");
    assert_eq!(repo.read(".tickets/N-3.md"), mine);
}

#[test]
fn an_edit_is_given_back_in_a_file_that_git_writes_with_other_line_ends() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.write(".git/info/attributes", "*.md text eol=crlf\n");
    scene.pi.plays_for("T-3", "printf 'Note.\\n' >>.tickets/T-2.md; git commit -qam note; answer");
    repo.finish("T-3", &[]);
    let edited = repo.read(".tickets/T-2.md").replace("open", "in_progress");
    repo.write(".tickets/T-2.md", &edited);
    repo.merged(&["T-3"]);
    let merged = repo.read(".tickets/T-2.md");
    assert!(merged.contains("status: in_progress") && merged.contains("Note."), "{merged:?}");
}

#[test]
fn many_files_of_another_encoding_come_into_the_checkout_as_git_writes_one() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let work = "for d in d e; do mkdir $d; echo '*.txt working-tree-encoding=UTF-16LE' >$d/.gitattributes; \
        for i in $(seq 80); do printf 'a\\0\\n\\0' >$d/$i.txt; done; done; git add -A; git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    repo.finish("T-3", &[]);
    repo.merged(&["T-3"]);
    assert_eq!(repo.git(&["cat-file", "blob", "HEAD:d/1.txt"]), "a");
    for file in ["d/1.txt", "e/80.txt"] {
        assert_eq!(fs::read(repo.path().join(file)).unwrap(), b"a\0\n\0", "{file}");
    }
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
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
    crate::helpers::wait::until("the merge to be made", || sandbox.path("go.waiting").exists().then_some(()));
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
        crate::helpers::wait::until("the merge to be made", || waiting.exists().then_some(()));
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
    crate::helpers::wait::until("the first merge to be made", || {
        sandbox.path("go.waiting").exists().then_some(())
    });
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

#[test]
fn what_is_green_lands_and_was_checked_as_it_would_be() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.commit_file("mine.txt", "mine\n", "Mine");
    let out = sandbox.path("out");
    let check = format!(
        "cat mine.txt work-T-1.txt && test -z \"$GIT_DIR$RALPH_SESSION_ID\" && git status --porcelain && \
         {{ git rev-parse HEAD; pwd; echo \"$RALPH_TICKET_ID $RALPH_MERGE_TARGET $RALPH_MERGE_COMMIT\"; }} >{}",
        out.display()
    );
    let call = repo
        .worktree(&["merge", "T-1", "--verify", &check])
        .env("GIT_DIR", "/nowhere")
        .env("RALPH_SESSION_ID", "x");
    let ended = call.run().ok();
    assert!(ended.stderr.contains("T-1: verifying: cat mine.txt"), "{ended}");
    let told = fs::read_to_string(out).unwrap();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told[0], repo.head());
    assert!(
        told[1].starts_with(&format!("{}/app.ralph/.merges/merge-", sandbox.work().display())),
        "{told:?}"
    );
    assert_eq!(told[2], format!("T-1 main {}", repo.head()));
    // Nothing of it is left.
    assert_eq!(repo.worktrees().len(), 2);
    assert!(!sandbox.work().join("app.ralph/.merges").exists());
    assert_eq!(fs::read_dir(repo.store().join("queue")).unwrap().count(), 0);
}

#[test]
fn what_is_red_does_not_land_and_the_log_says_why() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let before = repo.head();
    for (check, how) in [
        ("echo broken; echo really >&2; exit 7", "exit status 7"),
        ("kill -KILL $$", "ended by signal 9"),
        (
            "echo slow; setsid sleep 1000 & mkdir deep && cd deep && touch x && chmod 500 . && sleep 1000",
            "not done within 1s, and ended",
        ),
    ] {
        let ended = repo.merges(&["T-1", "--verify", check, "--verify-timeout", "1s"]);
        ended.refused(1, &["the merge of T-1 was not passed by", how]);
        let told = ended.json();
        assert_eq!((&told["status"], &told["command"]), (&json!("verify_failed"), &json!(check)));
        let log = fs::read_to_string(text(&told["log"])).unwrap();
        match how {
            "exit status 7" => assert_eq!(log, "broken\nreally\n"),
            "ended by signal 9" => assert_eq!(log, ""),
            _ => assert_eq!(log, "slow\n"),
        }
        assert!(ended.error()["message"].as_str().unwrap().contains(text(&told["log"])));
        assert_eq!(repo.head(), before);
        assert_eq!(repo.worktrees().len(), 2, "{check}");
        assert!(!sandbox.work().join("app.ralph/.merges").exists(), "{check}");
        sandbox.assert_nothing_runs();
    }
    repo.merged(&["T-1"]);
}

#[test]
fn a_check_of_the_repositorys_own_counts_once_it_is_approved() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.write("ralph.toml", "verify = 'exit 7'\n");
    let dry = repo.worktree(&["merge", "T-1", "--dry-run"]).run().ok();
    assert!(dry.stderr.contains("sets verify = exit 7, which is not approved and does not count"), "{dry}");
    drop(repo.ralph(&["config", "approve"]).run().ok());
    repo.merges(&["T-1"]).refused(1, &["was not passed by \"exit 7\": exit status 7"]);
    repo.merged(&["T-1", "--verify", "none"]);
}

#[test]
fn a_long_check_holds_up_no_dispatch_and_is_made_again_where_the_target_moved() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let (here, go) = (sandbox.path("here"), sandbox.path("go"));
    let check = format!("echo x >>{} && until [ -e {} ]; do sleep 0.02; done", here.display(), go.display());
    let merge = repo.worktree(&["merge", "T-1", "--verify", &check]).spawn();
    crate::helpers::wait::until("the check to run", || here.exists().then_some(()));
    assert_eq!(repo.finish("T-2", &[])["outcome"], "succeeded");
    let moved = repo.commit_file("meanwhile.txt", "x\n", "Meanwhile");
    fs::write(&go, "").unwrap();
    drop(merge.wait().ok());
    assert_eq!(repo.rev_parse("main^1"), moved);
    assert_eq!(fs::read_to_string(&here).unwrap(), "x\nx\n");
}
