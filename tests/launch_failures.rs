//! What cannot be launched: said at once with the system's own word for it and a remedy, exit status 5, on record as
//! `launch_failed`, and no reason why the next dispatch should not work.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::{RESULT, keys, refused, text};
use crate::helpers::schema::assert_manifest;
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi};

/// Fails unless `ended` says that its session was never launched, and why; returns the error.
#[track_caller]
fn assert_not_launched(repo: &Repo<'_>, ended: &Finished) -> Value {
    assert_eq!(ended.code, Some(5), "{ended}");
    let (result, error) = (ended.json(), ended.error());
    assert_eq!(keys(&result), RESULT);
    assert_eq!((&result["status"], &result["pid"]), (&json!("failed"), &Value::Null));
    assert_eq!(result["error"], error["message"]);
    assert_eq!(error["kind"], "launch_failed");
    assert!(error["hint"].is_string(), "{error}");
    let manifest = repo.inspect(&["T-1"]);
    assert_eq!(manifest["session_id"], result["session_id"]);
    assert_eq!((&manifest["state"], &manifest["outcome"]), (&json!("ended"), &json!("launch_failed")));
    assert_eq!(manifest["reason"], error["message"]);
    assert_eq!((&manifest["started_at"], &manifest["exit"]), (&Value::Null, &Value::Null));
    assert!(
        !repo.git(&["worktree", "list", "--porcelain"]).contains("locked"),
        "the worktree is still locked"
    );
    let shown = fs::read_to_string(text(&result["manifest"])).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), manifest);
    error
}

#[test]
fn a_program_that_cannot_be_started_is_said_with_errno_and_remedy() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    fs::create_dir(sandbox.bin().join("folder")).unwrap();
    fs::write(sandbox.bin().join("plain"), "#!/bin/sh\n").unwrap();
    let program = |name: &str, content: &str| drop(sandbox.add_program(name, content));
    program("empty", "");
    program("no-shebang", "exit 0\n");
    program("no-interpreter", "#!/no/such/interpreter\n");
    program("no-env", "#!/usr/bin/env no-such-thing\n");
    let folder = sandbox.bin().join("folder").display().to_string();
    for (count, (agent, errno, remedy)) in [
        ("nowhere", "(ENOENT): looked in", "install it"),
        ("./nowhere", "(ENOENT): looked in", "correct the agent's path"),
        (&*folder, "(EACCES): it is a folder (errno 13)", "name the program inside"),
        ("plain", "(EACCES): it is not executable (errno 13)", "chmod +x"),
        ("empty", "(ENOEXEC): the file is empty (errno 8)", "install it again"),
        ("no-shebang", "no `#!` line (errno 8)", "#!/bin/sh"),
        ("no-interpreter", "its interpreter \"/no/such/interpreter\" was not found (errno 2)", "install"),
        ("no-env", "its interpreter \"no-such-thing\" was not found (errno 2)", "install"),
    ]
    .into_iter()
    .enumerate()
    {
        let ended = repo.worktree(&["dispatch", "T-1", "--agent", agent, "--json"]).run();
        let error = assert_not_launched(&repo, &ended);
        assert!(text(&error["message"]).contains(errno), "{agent}: {error}");
        assert!(text(&error["hint"]).contains(remedy), "{agent}: {error}");
        assert_eq!(repo.inspect(&["T-1"])["attempt"], count + 1);
    }
    // No half of any of them is in the way.
    let manifest = repo.finished(&["T-1"]);
    assert_eq!((&manifest["outcome"], &manifest["attempt"]), (&json!("succeeded"), &json!(9)));
    assert_eq!(pi.calls("T-1"), 1);
    assert_eq!(repo.inspect(&["--all"]).as_array().unwrap().len(), 9);
}

#[test]
fn a_prompt_that_is_nowhere_is_refused_and_one_that_is_written_there_found() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    repo.git(&["rm", "-q", "-r", ".pi"]);
    repo.commit_all("No prompts");
    let ended = repo.worktree(&["dispatch", "T-1", "--json"]).run();
    let error = assert_not_launched(&repo, &ended);
    let tree = repo.tree_of(&sandbox, "T-1");
    let places = [tree.path(), repo.path()].map(|folder| folder.join(".pi/prompts/tf.md"));
    let places = [&places[0], &sandbox.path("home/.pi/agent/prompts/tf.md"), &places[1]];
    for place in places {
        assert!(text(&error["message"]).contains(place.to_str().unwrap()), "{error}");
    }
    assert!(text(&error["hint"]).starts_with(&format!("write it to {:?}", places[2])), "{error}");
    assert_eq!(pi.calls("T-1"), 0);
    // As the hint says, and without a commit. Each place that comes earlier counts more.
    for place in places.iter().rev() {
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, "Work on $1\n").unwrap();
        let manifest = repo.finished(&["T-1"]);
        let attempt = u32::try_from(pi.calls("T-1")).unwrap();
        assert_eq!(pi.call("T-1", attempt).option("--prompt-template"), place.to_str(), "{manifest:#}");
    }
    // Plain words need no file, and who knows better can say so.
    repo.finished(&["T-1", "--workflow", "Please solve"]);
    assert_eq!(pi.call("T-1", 4).prompt(), Some("Please solve T-1 --auto"));
    sandbox.set_env("RALPH_PROMPT_CHECK", "off");
    repo.finished(&["T-1", "--workflow", "/nowhere"]);
    assert_eq!(pi.calls("T-1"), 5);
}

#[test]
fn a_dry_run_says_why_it_could_not_be_launched_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let before = Tree::of(sandbox.path("."));
    let ended = repo.worktree(&["dispatch", "T-1", "--dry-run", "--json"]).run().expect_code(5);
    assert_eq!(ended.json()["status"], "dry_run");
    assert_eq!(ended.json()["error"], ended.error()["message"]);
    assert!(
        text(&ended.error()["message"]).starts_with("could not find the program \"pi\" (ENOENT)"),
        "{ended}"
    );
    let said = repo.worktree(&["dispatch", "T-1", "--dry-run"]).run().expect_code(5);
    assert!(said.stdout.contains("worktree ") && said.stderr.contains("hint: install it"), "{said}");
    before.assert_unchanged(sandbox.path("."));
}

#[test]
fn waiting_for_what_was_never_launched_prints_its_manifest() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let ended = repo.worktree(&["dispatch", "T-1", "--wait", "--json"]).run().expect_code(5);
    assert_manifest(&ended.json());
    assert_eq!(ended.json()["outcome"], "launch_failed");
    let waited = repo.worktree(&["wait", "T-1"]).run().expect_code(1);
    assert!(waited.stdout.starts_with("T-1 launch_failed: could not find the program \"pi\""), "{waited}");
    let said = repo.worktree(&["dispatch", "T-1"]).run().expect_code(5);
    assert_eq!(said.stdout, "");
    assert!(said.stderr.starts_with("ralph: could not find the program \"pi\" (ENOENT)"), "{said}");
}

#[test]
fn a_program_that_the_kernel_refuses_only_when_it_is_started_is_said_too() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    // An ELF header and nothing behind it: what looks at files cannot know that the kernel will not have it.
    let broken = sandbox.add_program("broken", b"\x7fELF\x02\x01\x01 and nothing more");
    assert_eq!(fs::metadata(&broken).unwrap().permissions().mode() & 0o111, 0o111);
    let ended = repo.worktree(&["dispatch", "T-1", "--agent", "broken", "--json"]).run().expect_code(5);
    let message = text(&ended.error()["message"]).to_owned();
    assert!(message.contains(broken.to_str().unwrap()) && message.contains("(errno 8)"), "{ended}");
    assert!(ended.error()["hint"].is_string(), "{ended}");
    assert_eq!(repo.inspect(&["T-1"])["outcome"], "launch_failed");
}

#[test]
fn arguments_that_would_take_away_what_ralph_relies_on_are_a_matter_of_usage() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = ScriptedPi::new(&sandbox);
    for (args, said) in [
        (&["--", "--session", "x"][..], "could not pass the argument \"--session\" to pi"),
        (&["--", "-p"], "could not pass the argument \"-p\" to pi"),
        (&["--", "--continue"], "could not pass the argument \"--continue\" to pi"),
        (&["--workflow", "@file"], "--workflow </NAME> cannot be \"@file\""),
        (&["--workflow", ""], "--workflow </NAME> cannot be \"\""),
        (&["--agent", "pi {nothing}"], "unknown placeholder"),
        (&["--agent", "'pi"], "quotation mark that is never closed"),
    ] {
        let call = repo.worktree(&[&["dispatch", "T-1"], args].concat());
        let error = refused(&sandbox, call, 2);
        assert!(text(&error["message"]).contains(said), "{error}");
    }
}
