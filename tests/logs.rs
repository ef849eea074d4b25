//! `ralph worktree logs`: what the agent said and did, for people and for programs, while it runs and afterwards.

use std::fs;

use serde_json::{Value, json};

use crate::helpers::agents::DOES_NOTHING;
use crate::helpers::lanes::{refused, text};
use crate::helpers::{Repo, Sandbox, ScriptedPi};

#[test]
fn pis_own_record_is_shown_as_messages_and_tool_calls() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("tool 'echo fine'; tool 'echo broken; exit 3'; answer length 'I was about to'; answer error 'overloaded'; exit 1");
    repo.finished(&["T-1"]);
    let logs = repo.worktree(&["logs", "T-1"]).run().ok();
    insta::assert_snapshot!(logs.stdout, @r"
    › /tf T-1 --auto
    → bash: echo fine
       fine
    → bash: echo broken; exit 3
       broken
    ● I was about to
    ! the answer was cut at the model's length limit
    ! error: overloaded
    ");
    let lines = repo.worktree(&["logs", "T-1", "--json"]).run().ok().json_lines();
    let kinds: Vec<&str> = lines.iter().map(|line| text(&line["kind"])).collect();
    assert_eq!(
        kinds,
        ["prompt", "tool_call", "tool_result", "tool_call", "tool_result", "text", "error", "error"]
    );
    assert_eq!((&lines[1]["name"], &lines[1]["summary"]), (&json!("bash"), &json!("echo fine")));
    assert_eq!([&lines[2]["is_error"], &lines[4]["is_error"]], [&json!(false), &json!(true)]);
    assert_eq!((&lines[6]["reason"], &lines[6]["message"]), (&json!("length"), &Value::Null));
    assert_eq!((&lines[7]["reason"], &lines[7]["message"]), (&json!("error"), &json!("overloaded")));
    assert!(lines.iter().all(|line| text(&line["at"]).ends_with('Z')));
}

#[test]
fn a_session_that_runs_is_followed_until_it_ends() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("here begun; wait_for_go first; tool 'echo from the tool'; here; wait_for_go second; commit; answer stop 'All done.'");
    repo.dispatch(&["T-1"]);
    pi.wait_here("begun");
    // Begun before there is anything to read.
    let people = repo.worktree(&["logs", "-f", "T-1"]).spawn();
    let programs = repo.worktree(&["logs", "--follow", "T-1", "--json"]).spawn();
    people.wait_until_it_listens();
    programs.wait_until_it_listens();
    pi.go("first");
    people.wait_for("from the tool");
    programs.wait_for("from the tool");
    let now = repo.worktree(&["logs", "T-1"]).run().ok();
    assert!(now.stdout.ends_with("from the tool\n"), "{now}");
    pi.go("second");
    let people = people.wait().ok();
    assert!(people.stdout.ends_with("● All done.\n"), "{people}");
    assert_eq!(people.stdout, repo.worktree(&["logs", "T-1"]).run().ok().stdout);
    assert_eq!(text(&programs.wait().ok().json_lines().last().unwrap()["text"]), "All done.");
    // One that has ended is simply shown.
    assert_eq!(repo.worktree(&["logs", "-f", "T-1"]).run().ok().stdout, people.stdout);
}

#[test]
fn the_bytes_of_both_outputs_are_kept_as_they_were() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("flood_binary 100000; cat README.md >&2; answer stop");
    let manifest = repo.finished(&["T-1"]);
    let raw = repo.worktree(&["logs", "--raw", "T-1"]).run().ok();
    assert_eq!(raw.stdout_bytes, fs::read(text(&manifest["output"]["stdout"])).unwrap());
    assert!(raw.stdout_bytes.len() > 100_000);
    assert_eq!(repo.worktree(&["logs", "--stderr", "T-1"]).run().ok().stdout, "# app\n");
    let mut followed = repo.worktree(&["logs", "-f", "--stderr", "--raw", "T-1"]).spawn();
    followed.wait_for("# app\n");
    crate::helpers::wait::until("the end", || followed.has_ended().then_some(()));
}

#[test]
fn an_agent_that_is_not_pi_is_shown_by_its_output() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let agent = ScriptedPi::other(&sandbox, "agent");
    agent.plays("echo working on $ticket; exit 3");
    let manifest = repo.finished(&["T-1", "--agent", "agent {ticket}"]);
    assert_eq!(
        (&manifest["outcome"], &manifest["agent"]["session_file"], &manifest["usage"]),
        (&json!("failed"), &Value::Null, &Value::Null)
    );
    assert_eq!(repo.worktree(&["logs", "T-1"]).run().ok().stdout, "working on T-1\n");
}

#[test]
fn where_nothing_was_written_it_is_said_where_something_was() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("echo 'Error: Unknown option' >&2; exit 1");
    repo.finished(&["T-1"]);
    let ended = repo.worktree(&["logs", "T-1"]).run().ok();
    assert_eq!(ended.stdout, "");
    assert_eq!(
        ended.stderr,
        "ralph: T-1 has recorded no message at all; but to its standard error: ralph worktree logs --stderr T-1\n"
    );
    pi.plays("echo only this; exit 1");
    repo.finished(&["T-1"]);
    let ended = repo.worktree(&["logs", "T-1"]).run().ok();
    assert!(ended.stderr.contains("but to its standard output: ralph worktree logs --raw T-1"), "{ended}");
    let ended = repo.worktree(&["logs", "--stderr", "T-1"]).run().ok();
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("", "ralph: T-1 has written nothing to its standard error at all\n")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("flood 1000000; answer stop");
    repo.finished(&["T-1"]);
    let ralph = env!("CARGO_BIN_EXE_ralph");
    let script = format!("{{ {ralph} worktree logs --raw T-1; echo $? >&2; }} | head -c 10");
    let ended = sandbox.run("sh", &["-c", &script]).in_dir(&repo).run().ok();
    assert_eq!((ended.stdout.len(), ended.stderr.as_str()), (10, "0\n"), "{ended}");
}

#[test]
fn a_lane_that_never_had_a_session_has_no_log() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(DOES_NOTHING);
    repo.create(&["T-1"]);
    let error = refused(&sandbox, repo.worktree(&["logs", "T-1"]), 3);
    assert_eq!(
        (text(&error["message"]), text(&error["hint"])),
        ("T-1 has no session yet", "begin one: ralph worktree dispatch T-1")
    );
    // The log is the current session's: of an attempt that has said nothing yet, not the one before.
    repo.finished(&["T-1"]);
    assert!(repo.worktree(&["logs", "T-1"]).run().ok().stdout.contains("Done."));
    pi.plays("here; wait_for_go");
    repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    let ended = repo.worktree(&["logs", "T-1"]).run().ok();
    assert_eq!(
        (ended.stdout.as_str(), ended.stderr.as_str()),
        ("", "ralph: T-1 has recorded no message yet\n")
    );
    pi.go("T-1");
    drop(repo.worktree(&["wait", "T-1"]).run());
}

#[test]
fn output_without_line_ends_is_told_to_programs_in_parts_of_bounded_length() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let agent = ScriptedPi::other(&sandbox, "agent");
    agent.plays("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo next; printf end");
    repo.finished(&["T-1", "--agent", "agent {ticket}"]);
    let lines = repo.worktree(&["logs", "T-1", "--json"]).run().ok().json_lines();
    let lengths: Vec<usize> = lines.iter().map(|line| text(&line["text"]).len()).collect();
    assert_eq!(lengths, [1 << 20, 1 << 20, 3_000_000 - (2 << 20), 4, 3]);
    assert_eq!(text(&lines[4]["text"]), "end");
}
