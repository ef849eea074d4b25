//! `ralph worktree list`: every lane at a glance.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::lanes::{only, text};
use crate::helpers::process::Process;
use crate::helpers::tree::Tree;
use crate::helpers::{Repo, Sandbox, ScriptedPi};

fn lane<'l>(lanes: &'l [Value], name: &str) -> &'l Value {
    lanes.iter().find(|lane| lane["lane"] == name).unwrap()
}

#[test]
fn a_repository_without_lanes_says_how_to_begin_and_stays_as_it_is() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let before = Tree::of(sandbox.path("."));
    let ended = repo.worktree(&["list"]).run().ok();
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("no lanes yet; begin one: ralph worktree dispatch TICKET"), "{ended}");
    assert_eq!(repo.lanes(), Vec::<Value>::new());
    before.assert_unchanged(sandbox.path("."));
}

#[test]
fn every_lane_has_its_state_its_outcome_and_its_work() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_for("T-1", "used 1000 20 0.25; commit; commit other.txt; answer stop");
    pi.plays_for("T-2", "fails 'the model is tired'");
    pi.plays_for("T-3", NEVER_ENDS);
    let first = repo.finished(&["T-1"]);
    repo.finished(&["T-2"]);
    repo.dispatch(&["T-3"]);
    pi.wait_here("T-3");
    repo.create(&["T-4@main"]);
    let lanes = repo.lanes();
    let names: Vec<&str> = lanes.iter().map(|lane| text(&lane["lane"])).collect();
    assert_eq!(names, ["T-1", "T-2", "T-3", "T-4@main"]);
    assert_eq!(
        *lane(&lanes, "T-1"),
        json!({
            "lane": "T-1", "ticket_id": "T-1", "title": "Ticket number 1", "branch": "ralph/T-1", "base_ref": "main",
            "base_commit": repo.head(), "worktree": first["worktree"]["path"], "worktree_state": "present",
            "activity": "ended", "session_id": first["session_id"], "attempt": 1, "state": "ended",
            "outcome": "succeeded", "reason": null, "work": first["work"], "usage": first["usage"], "leaks": [],
            "created_at": first["created_at"], "started_at": first["started_at"], "ended_at": first["ended_at"],
            "merged": null,
        })
    );
    let failed = lane(&lanes, "T-2");
    assert_eq!(
        (&failed["outcome"], text(&failed["reason"])),
        (&json!("failed"), "the agent exited with status 1: the model is tired")
    );
    let running = lane(&lanes, "T-3");
    assert_eq!(
        (&running["activity"], &running["state"], &running["outcome"]),
        (&json!("live"), &json!("running"), &Value::Null)
    );
    let idle = lane(&lanes, "T-4@main");
    assert_eq!(
        (&idle["activity"], &idle["session_id"], &idle["attempt"]),
        (&json!("none"), &Value::Null, &json!(0))
    );

    let table = repo.worktree(&["list"]).run().ok().stdout;
    let mut rows = table
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>());
    assert_eq!(rows.next().unwrap(), ["LANE", "STATE", "AGE", "WORK", "COST", "BRANCH", "TITLE", "NOTE"]);
    let cells: Vec<Vec<&str>> = rows.collect();
    assert_eq!([cells[0][0], cells[0][1]], ["T-1", "succeeded"]);
    assert_eq!(cells[0][3..], ["2 +2 -0", "$0.25", "ralph/T-1", "Ticket number 1"]);
    assert!(cells[1].contains(&"the agent exited with status 1: the model is tired"), "{table}");
    assert_eq!([cells[2][1], cells[3][1]], ["running", "idle"]);
    assert!(table.lines().all(|line| !line.ends_with(' ')), "{table:?}");
    assert!(!table.contains('\u{1b}'), "colour without a terminal: {table:?}");
    drop(repo.worktree(&["stop", "T-3"]).run().ok());
    assert_eq!(lane(&repo.lanes(), "T-3")["outcome"], "stopped");
}

#[test]
fn what_lies_in_the_trees_now_is_looked_at_only_when_it_is_asked_for() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    repo.ticket("T-9", "Not tracked");
    repo.finished(&["T-9"]);
    repo.create(&["T-1"]);
    repo.create(&["T-2"]);
    let tree = repo.tree_of(&sandbox, "T-1");
    tree.write("README.md", "changed\n");
    tree.write("new/one.txt", "1");
    tree.write("new/two.txt", "2");
    assert!(repo.lanes().iter().all(|lane| lane.get("dirty").is_none()));
    fs::remove_dir_all(repo.tree_of(&sandbox, "T-2").path()).unwrap();
    let lanes = repo.worktree(&["list", "--dirty", "--json"]).run().ok().json();
    let lanes = lanes.as_array().unwrap();
    let seen = |uncommitted: u32, untracked: u32| json!({ "looked": "seen", "uncommitted": uncommitted, "untracked": untracked, "operation": null });
    assert_eq!(lane(lanes, "T-1")["dirty"], seen(1, 2));
    // Neither the view nor the ticket that was copied in is anyone's work.
    assert_eq!(lane(lanes, "T-9")["dirty"], seen(0, 0));
    assert_eq!(lane(lanes, "T-2")["dirty"]["looked"], "unknown");
    let table = repo.worktree(&["list", "--dirty"]).run().ok().stdout;
    assert!(table.contains("now 1 changed, 2 new") && table.contains("clean now"), "{table}");
}

#[test]
fn a_lane_without_a_supervisor_is_unsettled_until_it_is_recovered() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(NEVER_ENDS);
    repo.dispatch(&["T-1"]);
    let agent = pi.wait_here("T-1");
    let supervisor = Process::find(agent.ppid).unwrap();
    supervisor.signal(Signal::KILL);
    crate::helpers::wait::until("the supervisor's end", || (!supervisor.is_alive()).then_some(()));
    assert_eq!(only(repo.lanes())["activity"], "unsettled");
    let table = repo.worktree(&["list"]).run().ok().stdout;
    assert!(table.contains("unsettled") && table.contains("settle it: ralph worktree recover"), "{table}");
    drop(repo.worktree(&["recover"]).run().ok());
    let settled = only(repo.lanes());
    assert_eq!((&settled["activity"], &settled["outcome"]), (&json!("ended"), &json!("lost")));
}

#[test]
fn a_record_that_cannot_be_read_takes_no_other_lane_away() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.create(&["T-1"]);
    repo.create(&["T-2"]);
    let record = repo.common_dir().join("ralph/lanes/t-1-d73f0481/lane.json");
    fs::write(&record, "{").unwrap();
    let ended = repo.worktree(&["list"]).run().ok();
    assert!(ended.stdout.contains("T-2") && !ended.stdout.contains("T-1 "), "{ended}");
    assert!(ended.stderr.contains(&format!("{} is damaged", record.display())), "{ended}");
    assert_eq!(only(repo.lanes())["lane"], "T-2");
}

#[test]
fn colour_appears_on_a_terminal_and_never_with_no_color() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.create(&["T-1"]);
    let list = || repo.worktree(&["list"]).env("TERM", "xterm");
    assert!(list().on_terminal().wait().ok().stdout.contains("\u{1b}[1mT-1\u{1b}[0m"));
    let plain = list().env("NO_COLOR", "1").on_terminal().wait().ok().stdout;
    assert!(plain.contains("T-1") && !plain.contains('\u{1b}'), "{plain:?}");
}
