//! Names and paths that tickets, branches and people choose (rows 23 to 30 of the catalogue of faults): refused before
//! anything is touched, or made to work.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::{only, refused, text};
use crate::helpers::tree::Tree;
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// Ids, names of bases and names of branches that lead out of where they belong, look like options, or are no names.
const HOSTILE: [&str; 14] = [
    "../x",
    "/abs",
    "..",
    "",
    "-rf",
    "--upload-pack=x",
    "x.lock",
    "a..b",
    "@{",
    "a~1",
    "a\nb",
    "a\u{1b}[31mb",
    "a b",
    ".x",
];

/// A short name that says the lane, as the folder of its worktree.
fn folder_of(created: &Value) -> String {
    let path = text(&created["worktree"]);
    path.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn row_23_24_25_a_ticket_that_is_no_id_is_refused_before_anything_is_touched() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let before = Tree::of(sandbox.path("."));
    for ticket in HOSTILE {
        for command in ["create", "path", "logs", "wait", "stop"] {
            let ended = repo.worktree(&[command, "--json", "--", ticket]).run().expect_code(2);
            let error = ended.error();
            assert_eq!(error["kind"], "usage", "{ended}");
            let message = text(&error["message"]);
            assert!(message.contains("is not a ticket id: "), "{message}");
            assert!(!ended.stderr.trim_end().contains(char::is_control), "{:?}", ended.stderr);
        }
        // What follows `--` is the agent's here, and before it no id can begin with `-`.
        drop(repo.worktree(&["dispatch", ticket]).run().expect_code(2));
    }
    before.assert_unchanged(sandbox.path("."));
    let call = repo.worktree(&["create", "--no-ticket", "T-1@-x"]);
    let error = refused(&sandbox, call, 2);
    assert!(text(&error["message"]).contains("\"-x\" is not a branch, tag or commit name"), "{error}");
}

#[test]
fn row_24_25_a_base_branch_or_target_that_is_no_name_is_refused_wherever_it_is_said() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    for name in HOSTILE.iter().filter(|name| !matches!(**name, "x.lock")) {
        refused(&sandbox, repo.worktree(&["create", "T-1", &format!("--base={name}")]), 2);
        refused(&sandbox, repo.worktree(&["create", "T-1", &format!("--branch={name}")]), 2);
        refused(&sandbox, repo.worktree(&["dispatch", &format!("T-1@{name}")]), 2);
        refused(&sandbox, repo.worktree(&["create", "T-1"]).env("RALPH_BASE", name), 2);
        refused(&sandbox, repo.worktree(&["merge", "T-1", &format!("--into={name}")]), 2);
    }
    // A NUL cannot be typed, but a file can hold one.
    repo.write("ralph.toml", "base = \"a\\u0000b\"\n");
    refused(&sandbox, repo.worktree(&["create", "T-1"]), 2);
    for reserved in ["HEAD", "refs/heads/x"] {
        fs::remove_file(repo.path().join("ralph.toml")).ok();
        refused(&sandbox, repo.worktree(&["create", "T-1", "--branch", reserved]), 2);
    }
}

#[test]
fn row_25_what_was_typed_cannot_act_on_the_terminal_that_shows_the_refusal() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    for call in [
        repo.worktree(&["create", "T-1\u{1b}]0;owned\u{7}\u{1b}[8m"]),
        repo.worktree(&["create", "T-1", "--nope\u{1b}]0;owned\u{7}\u{1b}[8m"]),
        repo.worktree(&["create", "T-1", "--base", "x\u{1b}]0;owned\u{7}\u{1b}[8m"]),
        repo.worktree(&["\u{1b}]0;owned\u{7}\u{1b}[8m"]),
        repo.worktree(&["create", "T-1", "--repo", "x\u{1b}]0;owned\u{7}\u{1b}[8m"]),
    ] {
        let ended = call.env("TERM", "xterm").on_terminal().wait();
        assert!(matches!(ended.code, Some(2 | 3)), "{ended}");
        assert!(
            !ended.stdout.contains("\u{1b}]") && !ended.stdout.contains("\u{1b}[8m"),
            "{:?}",
            ended.stdout
        );
        assert!(!ended.stdout.contains('\u{7}'), "{:?}", ended.stdout);
    }
}

#[test]
fn row_26_the_two_ways_to_write_an_accent_are_one_ticket_and_a_device_name_is_no_folder() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let composed = repo.create(&["--no-ticket", "caf\u{e9}"]);
    let decomposed = repo.create(&["--no-ticket", "cafe\u{301}"]);
    assert_eq!(composed, decomposed);
    only(repo.lanes());
    let accent = folder_of(&repo.create(&["--no-ticket", "\u{e9}"]));
    let device = folder_of(&repo.create(&["--no-ticket", "con"]));
    assert!(accent.is_ascii() && accent.starts_with(char::is_alphanumeric), "{accent}");
    assert!(device.starts_with("con-") && device.len() > 4, "{device}");
}

#[test]
fn row_27_a_long_id_is_refused_or_works_with_a_short_folder() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let error = refused(&sandbox, repo.worktree(&["create", "--no-ticket", &"x".repeat(300)]), 2);
    assert!(text(&error["message"]).len() < 300, "{error}");
    refused(&sandbox, repo.worktree(&["create", "--no-ticket", &"x".repeat(101)]), 2);
    for id in ["x".repeat(100), "\u{e9}".repeat(100)] {
        let manifest = repo.finished(&["--no-ticket", &id]);
        assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        let tree = text(&manifest["worktree"]["path"]).rsplit('/').next().unwrap();
        assert!(tree.len() <= 64, "{tree}");
        let branch = text(&manifest["worktree"]["branch"]);
        assert_eq!(repo.log(&format!("main..{branch}")).len(), 1);
    }
}

#[test]
fn row_28_ids_that_differ_in_case_only_have_folders_that_differ_in_more() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let folders = ["T-1", "t-1"].map(|id| folder_of(&repo.create(&["--no-ticket", id])));
    let distinct: BTreeSet<String> = folders.iter().map(|folder| folder.to_lowercase()).collect();
    assert_eq!(distinct.len(), 2, "{folders:?}");
    assert_eq!(repo.lanes().len(), 2);
    // Nor does a ticket get at another's folder by taking its name.
    let taken = folder_of(&repo.create(&["--no-ticket", &folders[0]]));
    assert!(!folders.contains(&taken), "{taken}");
}

#[test]
fn row_29_a_branch_that_makes_the_lanes_impossible_is_named_and_the_hint_helps() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.branch("ralph", "main");
    let error = refused(&sandbox, repo.worktree(&["create", "T-1"]), 4);
    assert!(text(&error["message"]).contains("\"refs/heads/ralph\""), "{error}");
    assert!(text(&error["hint"]).contains("git branch -m ralph <new name>"), "{error}");
    repo.git(&["branch", "-m", "ralph", "ralph-notes"]);
    repo.create(&["T-1"]);
    repo.branch("ralph/T-2/sub", "main");
    let error = refused(&sandbox, repo.worktree(&["dispatch", "T-2"]), 4);
    assert!(text(&error["message"]).contains("\"refs/heads/ralph/T-2/sub\""), "{error}");
    repo.create(&["T-2", "--branch", "work/T-2"]);
}

#[test]
fn row_30_a_repository_works_wherever_it_stands_or_is_refused_before_anything_starts() {
    let sandbox = Sandbox::new();
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    for name in ["with space", "new\nline", "quo'te\"s$HOME", "-dash"] {
        let original = Repo::new(&sandbox);
        let path = sandbox.work().join(name);
        fs::rename(original.path(), &path).unwrap();
        let repo = Repo::at(&sandbox, &path);
        let manifest = repo.finished(&["T-1"]);
        assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        let tree = repo.tree_of(&sandbox, "T-1");
        assert_eq!(tree.path().to_str().unwrap(), text(&manifest["worktree"]["path"]));
        assert_eq!(tree.log("main..HEAD").len(), 1);
        assert_eq!(tree.inspect(&[])["session_id"], manifest["session_id"]);
    }
    let original = Repo::new(&sandbox);
    let path = sandbox.work().join(OsStr::from_bytes(b"not\xfftext"));
    fs::rename(original.path(), &path).unwrap();
    let repo = Repo::at(&sandbox, &path);
    for command in ["create", "dispatch", "path"] {
        let error = refused(&sandbox, repo.worktree(&[command, "T-1"]), 6);
        assert!(text(&error["message"]).contains("not valid UTF-8"), "{error}");
    }
}

#[test]
fn row_30_a_repository_behind_a_link_is_the_same_repository() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    symlink(sandbox.work(), sandbox.path("link")).unwrap();
    let behind = Repo::at(&sandbox, sandbox.path("link/app"));
    let manifest = behind.finished(&["T-1"]);
    assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
    // Recorded without the link, so that it can go.
    assert_eq!(text(&manifest["worktree"]["path"]), repo.tree_of(&sandbox, "T-1").path().to_str().unwrap());
    assert_eq!(repo.inspect(&["T-1"]), manifest);
    assert_eq!(only(behind.lanes())["lane"], "T-1");
}
