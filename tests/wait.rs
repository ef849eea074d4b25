//! `ralph worktree wait`: until sessions have ended, by themselves or not.

use rustix::process::Signal;
use serde_json::json;

use crate::helpers::agents::{COMMITS, DOES_NOTHING};
use crate::helpers::lanes::{refused, text};
use crate::helpers::process::Process;
use crate::helpers::schema::assert_manifest;
use crate::helpers::{Repo, Sandbox, ScriptedPi};

#[test]
fn it_waits_for_every_ticket_and_tells_each_as_it_ends() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("wait_for_go; commit; answer stop");
    repo.dispatch(&["T-1"]);
    repo.dispatch(&["T-2"]);
    let running = repo.worktree(&["wait", "T-1", "T-2", "T-1", "--json"]).spawn();
    pi.go("T-2");
    running.wait_for("\"ticket_id\":\"T-2\"");
    assert!(!running.stdout().contains("\"ticket_id\":\"T-1\""));
    pi.go("T-1");
    let ended = running.wait().ok();
    let manifests = ended.json_lines();
    manifests.iter().for_each(assert_manifest);
    let tickets: Vec<&str> = manifests.iter().map(|manifest| text(&manifest["ticket_id"])).collect();
    assert_eq!(tickets, ["T-2", "T-1"]);
    assert_eq!(manifests[1], repo.inspect(&["T-1"]));
}

#[test]
fn one_that_did_not_succeed_is_enough_for_exit_status_1() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_for("T-1", COMMITS);
    pi.plays_for("T-2", DOES_NOTHING);
    repo.finished(&["T-1"]);
    repo.finished(&["T-2"]);
    drop(repo.worktree(&["wait", "T-1"]).run().ok());
    let ended = repo.worktree(&["wait", "T-1", "T-2"]).run().expect_code(1);
    let mut lines: Vec<&str> = ended.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["T-1 succeeded (1 commit on ralph/T-1)", "T-2 no_changes (0 commits on ralph/T-2)"]);
    refused(&sandbox, repo.worktree(&["wait", "T-3"]), 3);
    refused(&sandbox, repo.worktree(&["wait"]), 2);
}

#[test]
fn ctrl_c_and_a_closed_terminal_end_the_waiting_and_nothing_else() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("here; wait_for_go; commit; answer stop");
    repo.dispatch(&["T-1"]);
    let agent = pi.wait_here("T-1");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let running = repo.worktree(&["wait", "T-1"]).spawn();
        running.wait_until_it_listens();
        running.signal(signal);
        assert_eq!(running.wait().expect_code(130).stdout, "");
        assert!(agent.is_alive());
    }
    pi.go("T-1");
    drop(repo.worktree(&["wait", "T-1"]).run().ok());
}

#[test]
fn a_session_that_lost_its_supervisor_is_settled_while_it_is_waited_for() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("here; wait_for_go");
    repo.dispatch(&["T-1"]);
    let agent = pi.wait_here("T-1");
    let running = repo.worktree(&["wait", "T-1", "--json"]).spawn();
    running.wait_until_it_listens();
    Process::find(agent.ppid).unwrap().signal(Signal::KILL);
    let ended = running.wait().expect_code(1);
    assert_eq!(ended.json()["outcome"], json!("lost"));
    assert!(!agent.is_alive());
}
