//! `ralph worktree attach`: a session that runs is followed; one that has ended is opened in pi, by whoever is at the
//! terminal.

use rustix::process::Signal;
use serde_json::json;

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::{refused, text};
use crate::helpers::{Repo, Sandbox, ScriptedPi};

#[test]
fn a_session_that_runs_is_followed_to_its_end() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("tool 'echo from the tool'; here; wait_for_go; commit; answer stop 'All done.'");
    repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    let running = repo.worktree(&["attach", "T-1"]).spawn();
    running.wait_for("from the tool");
    assert!(running.stderr().contains("T-1 runs: following it; Ctrl-C leaves it running"));
    pi.go("T-1");
    let ended = running.wait().ok();
    assert!(ended.stdout.ends_with("● All done.\n"), "{ended}");
    assert_eq!(pi.calls("T-1"), 1);
}

#[test]
fn ctrl_c_leaves_a_session_that_is_followed_running() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("tool 'echo from the tool'; here; wait_for_go; commit; answer stop");
    repo.dispatch(&["T-1"]);
    let agent = pi.wait_here("T-1");
    for command in [&["attach", "T-1"][..], &["logs", "-f", "T-1"]] {
        let mut terminal = repo.worktree(command).on_terminal();
        // Ctrl-C is listened to before anything is shown.
        terminal.wait_for("from the tool");
        terminal.type_text("\u{3}");
        drop(terminal.wait().expect_code(130));
        assert!(agent.is_alive());
        let running = repo.worktree(command).spawn();
        running.wait_for("from the tool");
        running.signal(Signal::TERM);
        drop(running.wait().expect_code(130));
        assert!(agent.is_alive());
    }
    pi.go("T-1");
    drop(repo.worktree(&["wait", "T-1"]).run().ok());
}

#[test]
fn one_that_has_ended_is_opened_in_pi_in_its_worktree_on_its_session_file() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_for("T-1", COMMITS);
    let manifest = repo.finished(&["T-1"]);
    pi.plays_for("none", "[ -t 0 ] && [ -t 1 ] && echo 'a person is here'; exit 7");
    sandbox.set_env("RALPH_AGENT", "pi --model m");
    let ended = repo.worktree(&["attach", "T-1"]).on_terminal().wait().expect_code(7);
    assert_eq!(ended.stdout, "a person is here\r\n");
    let call = pi.call("none", 1);
    let session = text(&manifest["agent"]["session_file"]);
    assert_eq!(call.args, ["--session", session, "--model", "m"]);
    assert_eq!(json!(call.folder), manifest["worktree"]["path"]);
    // It is a person's pi now, and no session of ralph's.
    assert!(!call.env.contains_key("RALPH_SESSION_ID"));
    assert_eq!(repo.inspect(&["T-1"]), manifest);
}

#[test]
fn what_cannot_be_opened_says_what_can_be_done_instead() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    repo.create(&["T-1"]);
    let said = |ticket: &str, code: i32| refused(&sandbox, repo.worktree(&["attach", ticket]), code);
    assert_eq!(said("T-1", 3)["message"], "T-1 has no session yet");
    pi.plays("exit 1");
    repo.finished(&["T-1"]);
    let error = said("T-1", 3);
    assert_eq!(error["message"], "pi wrote no session file for T-1");
    assert_eq!(error["hint"], "dispatch it again: ralph worktree dispatch T-1");
    repo.finished(&["T-2", "--agent", "true"]);
    let error = said("T-2", 6);
    assert_eq!(error["message"], "T-2's session was not pi's: it cannot be opened");
    assert_eq!(error["hint"], "read it: ralph worktree logs T-2");
    pi.plays(COMMITS);
    repo.finished(&["T-1"]);
    sandbox.remove_tool("pi");
    assert!(text(&said("T-1", 5)["message"]).contains("could not find the program \"pi\""));
}
