//! `ralph doctor`: what is found, what it says about it, how it exits.

use serde_json::Value;

use crate::helpers::sandbox::write_program;
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi};

/// Where everything is there that is needed.
fn ready(sandbox: &Sandbox) -> (Repo<'_>, ScriptedPi) {
    sandbox.set_env("OPENAI_API_KEY", "a-key-of-mine");
    (Repo::new(sandbox), ScriptedPi::new(sandbox))
}

/// The finding of one check.
#[track_caller]
fn finding(finished: &Finished, check: &str) -> Value {
    let findings = finished.json();
    let found = findings.as_array().expect("an array").iter().find(|finding| finding["check"] == check);
    found.unwrap_or_else(|| panic!("nothing on {check}: {finished}")).clone()
}

#[track_caller]
fn assert_status(finished: &Finished, check: &str, status: &str, said: &str) {
    let finding = finding(finished, check);
    assert_eq!(finding["status"], status, "{finding}");
    assert!(finding["detail"].as_str().expect("a text").contains(said), "{said:?} is not in {finding}");
}

#[test]
fn a_machine_that_has_everything_is_told_so() {
    let sandbox = Sandbox::new();
    let (repo, pi) = ready(&sandbox);
    let shown = repo.ralph(&["doctor"]).run().ok();
    assert!(shown.stdout.starts_with("CHECK"), "{shown}");
    assert!(!shown.stdout.contains("missing") && !shown.stdout.contains('→'), "{shown}");
    assert!(shown.stderr.contains("everything that ralph needs is there"), "{shown}");

    let told = repo.ralph(&["doctor", "--json"]).run().ok();
    assert_eq!(told.stderr, "");
    for finding in told.json().as_array().expect("an array") {
        let keys: Vec<&String> = finding.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["check", "status", "detail", "advice"], "{finding}");
        assert!(finding["status"] == "ok" || finding["check"] == "node", "{finding}");
    }
    assert_status(&told, "pi", "ok", "0.74.2");
    assert_status(&told, "pi", "ok", &sandbox.bin().join("pi").display().to_string());
    assert_status(&told, "prompt", "ok", ".pi/prompts/tf.md, of the commit");
    assert_status(&told, "repository", "ok", "(main)");
    assert_status(&told, "checkout", "ok", "by ralph");
    for feature in ["pidfd", "subreaper", "flock", "openat2", "close_range", "environ", "identity"] {
        assert_status(&told, feature, "ok", "");
    }
    assert_eq!(pi.tickets_called(), Vec::<String>::new(), "pi was started");
}

#[test]
fn a_machine_that_has_nothing_is_told_what_to_do() {
    let sandbox = Sandbox::new();
    let repo = Repo::with_files(&sandbox, "app", &[("README.md", "# app\n")]);
    let told = repo.ralph(&["doctor", "--json"]).run().expect_code(6);
    assert_status(&told, "pi", "missing", "\"pi\"");
    assert_status(&told, "node", "warning", "not found");
    assert_status(&told, "provider", "missing", "no key");
    assert_status(&told, "prompt", "missing", "/tf");
    for check in ["pi", "node", "provider", "prompt"] {
        assert!(finding(&told, check)["advice"].is_string(), "{check}: {told}");
    }
    let shown = repo.ralph(&["doctor"]).run().expect_code(6);
    assert!(shown.stdout.contains("→ "), "{shown}");
    assert!(shown.stderr.contains("3 things that ralph needs are missing"), "{shown}");
    sandbox.remove_tool("git");
    assert_status(&repo.ralph(&["doctor", "--json"]).run().expect_code(6), "git", "missing", "\"git\"");
}

#[test]
fn looking_changes_nothing() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    let before = Tree::of(sandbox.path(""));
    drop(repo.ralph(&["doctor"]).run().ok());
    assert_eq!(Tree::of(sandbox.path("")), before);
}

#[test]
fn names_of_keys_are_shown_and_never_their_values() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    sandbox.set_env("ANTHROPIC_API_KEY", "hunter2-in-the-environment");
    sandbox.write("home/.pi/agent/auth.json", r#"{"google":{"type":"api_key","key":"hunter2-in-a-file"}}"#);
    sandbox.write("home/.pi/agent/models.json", r#"{"providers":{"own":{"apiKey":"hunter2-of-a-model"}}}"#);
    sandbox.set_env("RALPH_AGENT_ARGS", "--api-key hunter2-in-an-argument");
    let (shown, told) = (repo.ralph(&["doctor"]).run().ok(), repo.ralph(&["doctor", "--json"]).run().ok());
    assert_status(&told, "provider", "ok", "ANTHROPIC_API_KEY, OPENAI_API_KEY");
    assert_status(&told, "provider", "ok", "google");
    for finished in [shown, told] {
        assert!(!finished.to_string().contains("hunter2"), "{finished}");
        assert!(!finished.to_string().contains("a-key-of-mine"), "{finished}");
    }
}

#[test]
fn a_key_that_is_set_to_nothing_is_no_key() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    sandbox.set_env("OPENAI_API_KEY", "");
    assert_status(&repo.ralph(&["doctor", "--json"]).run().expect_code(6), "provider", "missing", "no key");
}

#[test]
fn outside_a_repository_the_machine_alone_counts() {
    let sandbox = Sandbox::new();
    let (_repo, _pi) = ready(&sandbox);
    let told = sandbox.ralph(&["doctor", "--json"]).run().ok();
    assert_status(&told, "repository", "skipped", "no git repository");
    assert_status(&told, "prompt", "skipped", "");
    assert!(told.json().as_array().expect("an array").iter().all(|f| f["check"] != "store"), "{told}");
    let home = sandbox.path("home").display().to_string();
    let named = sandbox.ralph(&["doctor", "--json", "--repo", &home]).run().expect_code(6);
    assert_status(&named, "repository", "missing", "no git repository");
}

#[test]
fn the_prompt_that_would_answer_is_named() {
    let sandbox = Sandbox::new();
    let _pi = ScriptedPi::new(&sandbox);
    sandbox.set_env("OPENAI_API_KEY", "x");
    let repo = Repo::with_files(&sandbox, "app", &[("README.md", "# app\n")]);
    let look = || repo.ralph(&["doctor", "--json"]).run();
    assert_status(&look().expect_code(6), "prompt", "missing", "app/.pi/prompts/tf.md");
    repo.write(".pi/prompts/tf.md", "Do $1\n");
    assert_status(&look().ok(), "prompt", "ok", "not committed");
    repo.commit_all("A prompt");
    assert_status(&look().ok(), "prompt", "ok", "of the commit");
    repo.git(&["rm", "-q", "-r", ".pi"]);
    repo.commit_all("No prompt");
    let global = sandbox.write("home/.pi/agent/prompts/tf.md", "Do $1\n").display().to_string();
    assert_status(&look().ok(), "prompt", "ok", &global);
    sandbox.set_env("RALPH_WORKFLOW", "/other");
    assert_status(&look().expect_code(6), "prompt", "missing", "/other");
}

#[test]
fn node_is_asked_for_its_version_where_pi_runs_on_it() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    sandbox
        .write("agents/pi/package.json", r#"{"name":"@earendil-works/pi-coding-agent","version":"1.5.2"}"#);
    write_program(&sandbox.path("agents/pi/dist/cli.sh"), "#!/usr/bin/env node\n");
    let look = || repo.ralph(&["doctor", "--json"]).run();
    assert_status(&look().expect_code(6), "pi", "missing", "interpreter \"node\"");
    sandbox.add_program("node", "#!/bin/sh\necho v20.20.2\n");
    let old = look().expect_code(6);
    assert_status(&old, "pi", "ok", "1.5.2");
    assert_status(&old, "node", "missing", "20.20.2");
    assert_status(&old, "node", "missing", "needs 22.19.0");
    sandbox.add_program("node", "#!/bin/sh\necho v22.19.0\n");
    assert_status(&look().ok(), "node", "ok", "22.19.0");
}

#[test]
fn another_agent_is_looked_for_instead_of_pi() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    sandbox.set_env("RALPH_AGENT", "mine {ticket}");
    assert_status(&repo.ralph(&["doctor", "--json"]).run().expect_code(6), "agent", "missing", "\"mine\"");
    sandbox.add_program("mine", "#!/bin/sh\n");
    let told = repo.ralph(&["doctor", "--json"]).run().ok();
    assert_status(&told, "agent", "ok", "bin/mine");
    assert!(!told.stdout.contains("\"provider\""), "{told}");
}

#[test]
fn what_a_repository_is_decides_what_checks_it_out() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    let look = |repo: &Repo<'_>| repo.ralph(&["doctor", "--json"]).run();
    let bare = repo.bare_clone("app.git");
    assert_status(&look(&bare).ok(), "repository", "ok", "bare");
    repo.git(&["config", "filter.lfs.smudge", "git-lfs smudge -- %f"]);
    assert_status(&look(&repo).ok(), "checkout", "ok", "by ralph");
    repo.commit_file(".gitattributes", "*.bin filter=lfs\n", "Large files");
    assert_status(&look(&repo).ok(), "checkout", "ok", "by ralph, several files at a time");
    repo.commit_file("large.bin", "pointer\n", "A large file");
    let told = look(&repo).ok();
    assert_status(&told, "checkout", "ok", "in part by the git program: it uses the filter \"lfs\"");
    repo.git(&["config", "filter.lfs.smudge", "./out-of-the-tree"]);
    assert_status(&look(&repo).expect_code(6), "checkout", "missing", "./out-of-the-tree");
    let partial = bare.clone_as("partial", &["--filter=blob:none"]);
    assert_status(&look(&partial).ok(), "checkout", "ok", "partial clone");
}

#[test]
fn a_repository_that_ralph_cannot_work_with_is_missing_with_the_reason() {
    let sandbox = Sandbox::new();
    let (_repo, _pi) = ready(&sandbox);
    let sha256 = Repo::init(&sandbox, "other", &["--object-format=sha256"]);
    let told = sha256.ralph(&["doctor", "--json"]).run().expect_code(6);
    assert_status(&told, "repository", "missing", "sha256");
    let unborn = Repo::unborn(&sandbox, "new");
    let told = unborn.ralph(&["doctor", "--json"]).run().expect_code(6);
    assert_status(&told, "repository", "missing", "no commit yet");
    assert!(
        finding(&told, "repository")["advice"].as_str().expect("advice").contains("git commit"),
        "{told}"
    );
}

#[test]
fn folders_that_cannot_be_used_are_missing() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    let look = || repo.ralph(&["doctor", "--json"]).run();
    sandbox.set_env("RALPH_WORKTREE_ROOT", "/proc/trees");
    assert_status(&look().expect_code(6), "worktrees", "missing", "cannot be written");
    let file = sandbox.write("a-file", "");
    sandbox.set_env("RALPH_WORKTREE_ROOT", file);
    assert_status(&look().expect_code(6), "worktrees", "missing", "not a folder");
    sandbox.unset_env("RALPH_WORKTREE_ROOT");
    assert_status(&look().ok(), "worktrees", "ok", "app.ralph");
    assert_status(&look().ok(), "store", "ok", ".git/ralph");
    sandbox.set_env("TMPDIR", "/proc");
    assert_status(&look().expect_code(6), "temp", "missing", "cannot be written");
    // Empty, it names no folder, and least of all the one that one stands in.
    sandbox.set_env("TMPDIR", "");
    assert_status(&look().ok(), "temp", "ok", "/tmp");
}

#[test]
fn settings_that_cannot_be_read_do_not_end_the_look() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    repo.write("ralph.toml", "timeout = \"soon\"\n");
    let told = repo.ralph(&["doctor", "--json"]).run().expect_code(6);
    assert_status(&told, "settings", "missing", "ralph.toml, line 1");
    assert_status(&told, "pi", "ok", "");
    repo.write("ralph.toml", "agent = \"something else\"\n");
    let told = repo.ralph(&["doctor", "--json"]).run().ok();
    assert_eq!(finding(&told, "settings")["status"], "warning", "{told}");
}

#[test]
fn a_session_is_told_that_it_is_one() {
    let sandbox = Sandbox::new();
    let (repo, _pi) = ready(&sandbox);
    let told = repo.ralph(&["doctor", "--json"]).env("RALPH_SESSION_ID", "x\u{1b}[31m").run().ok();
    assert_eq!(finding(&told, "session")["status"], "warning");
    let shown = repo.ralph(&["doctor"]).env("RALPH_SESSION_ID", "x\u{1b}[31m").run().ok();
    assert!(!shown.stdout.contains('\u{1b}'), "{shown}");
}
