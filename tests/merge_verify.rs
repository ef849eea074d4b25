//! `ralph worktree merge --verify`: what a merge would make is checked as a whole before it lands.

use std::fs;

use serde_json::json;

use crate::helpers::lanes::text;
use crate::helpers::merging::Scene;
use crate::helpers::{Sandbox, wait};

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
fn what_a_check_shuts_keeps_nothing_from_landing() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let check = "mkdir -p out/deep && touch out/deep/x && chmod 500 out/deep && chmod 000 out . && exit 0";
    let words = ["worktree", "merge", "T-1", "--verify", check];
    let Some(merge) = sandbox.ralph_kept_out(&words) else {
        eprintln!("skipped: there is no setpriv to be kept out of a folder with, as root");
        return;
    };
    drop(merge.in_dir(scene.repo.path()).run().ok());
    assert!(scene.repo.has("work-T-1.txt"));
    assert!(!sandbox.work().join("app.ralph/.merges").exists());
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
    wait::until("the check to run", || here.exists().then_some(()));
    assert_eq!(repo.finish("T-2", &[])["outcome"], "succeeded");
    let moved = repo.commit_file("meanwhile.txt", "x\n", "Meanwhile");
    fs::write(&go, "").unwrap();
    drop(merge.wait().ok());
    assert_eq!(repo.rev_parse("main^1"), moved);
    assert_eq!(fs::read_to_string(&here).unwrap(), "x\nx\n");
}
