//! `ralph worktree batch`: many tickets, some at a time.

use std::fs;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, DOES_NOTHING};
use crate::helpers::command::{Finished, Invocation};
use crate::helpers::lanes::{only, refused, text};
use crate::helpers::session::{Session, names_in};
use crate::helpers::{Repo, Sandbox, ScriptedPi, schema, wait};

/// A play that says it is there, and commits when it is told to.
pub const WHEN_TOLD: &str = "here; wait_for_go; commit; answer stop";

/// `ralph worktree batch`, with starts that are not staggered; one that is resumed goes on as it was begun.
pub fn batch<'s>(repo: &Repo<'s>, args: &[&str]) -> Invocation<'s> {
    let rules: &[&str] = match args.contains(&"--resume") {
        true => &[],
        false => &["--stagger", "0s", "--retry-delay", "0s"],
    };
    repo.worktree(&[&["batch"], rules, args].concat())
}

/// The events of a batch that has come to its end, each as the published format has it.
pub fn events(ended: &Finished) -> Vec<Value> {
    let events = ended.json_lines();
    let published: Value =
        serde_json::from_str(include_str!("../docs/batch-events.schema.json")).expect("the published schema");
    for event in &events {
        assert_eq!(schema::problems(&published, event), Vec::<String>::new(), "{event:#}");
    }
    events
}

/// The events of one kind.
pub fn of_kind<'e>(events: &'e [Value], kind: &str) -> Vec<&'e Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

/// The one event of that kind about that lane.
#[track_caller]
pub fn about<'e>(events: &'e [Value], kind: &str, lane: &str) -> &'e Value {
    only(of_kind(events, kind).into_iter().filter(|event| event["lane"] == lane).collect())
}

/// The lanes that events of one kind are about, in order.
pub fn lanes<'e>(events: &'e [Value], kind: &str) -> Vec<&'e str> {
    of_kind(events, kind).into_iter().map(|event| text(&event["lane"])).collect()
}

/// A repository whose tickets have these further lines in their heads.
pub fn with_tickets<'s>(sandbox: &'s Sandbox, tickets: &[(&str, &str)]) -> Repo<'s> {
    let repo = Repo::new(sandbox);
    for (id, head) in tickets {
        repo.ticket_with(id, &format!("About {id}"), head);
    }
    repo.commit_all("Tickets");
    repo
}

#[test]
fn no_more_run_than_may_and_a_free_slot_is_filled_at_once() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    let running = batch(&repo, &["-j", "2", "T-1", "T-2", "T-3", "T-4", "--json"]).spawn();
    pi.wait_here("T-1");
    pi.wait_here("T-2");
    assert_eq!(pi.tickets_called(), ["T-1", "T-2"]);
    pi.go("T-2");
    // T-1 has not ended, and holds up no one.
    pi.wait_here("T-3");
    assert!(!pi.is_here("T-4"));
    ["T-1", "T-3", "T-4"].iter().for_each(|ticket| pi.go(ticket));
    let events = events(&running.wait().ok());
    assert_eq!(lanes(&events, "ended").first(), Some(&"T-2"));
    assert!(of_kind(&events, "ended").iter().all(|event| event["outcome"] == "succeeded"));
    assert_eq!(of_kind(&events, "finished").len(), 1);
    assert_eq!(events[0]["jobs"], 2);
}

#[test]
fn worktrees_of_many_files_are_begun_at_once_whatever_cores_there_are() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    // An index of a mebibyte, as of ten thousand files, by few whose paths are long.
    let deep = vec!["d".repeat(250); 12].join("/");
    for number in 0..350 {
        repo.write(format!("{deep}/{number}"), "x\n");
    }
    repo.commit_all("Many");
    let lanes = ["L-1", "L-2", "L-3", "L-4", "L-5", "L-6", "L-7", "L-8"];
    let point = format!("dispatch.begun:wait={}", sandbox.path("gate").display());
    let args = [&["-j", "8", "--no-ticket", "--agent", "true", "--json"], &lanes[..]].concat();
    let running = batch(&repo, &args).env("RALPH_FAILPOINT", point).spawn();
    let begun = || names_in(&repo.store().join("running")).len();
    wait::until("eight sessions to be begun", || (begun() == lanes.len()).then_some(()));
    sandbox.write("gate", "");
    let events = events(&running.wait());
    assert_eq!(of_kind(&events, "ended").len(), lanes.len(), "{events:#?}");
}

#[test]
fn one_failure_stops_nothing_else_and_the_summary_says_each() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-1", "fails '500 stub failure'");
    pi.plays_for("T-3", DOES_NOTHING);
    let ended = batch(&repo, &["-j", "1", "T-1", "T-2", "T-3"]).run().expect_code(1);
    let words = |lane: &str| -> Vec<String> {
        let row = ended.stdout.lines().rfind(|line| line.starts_with(lane)).unwrap();
        row.split_whitespace().take(3).map(str::to_owned).collect()
    };
    assert_eq!(words("T-1")[..2], ["T-1", "failed"]);
    assert_eq!(words("T-2")[..2], ["T-2", "succeeded"]);
    assert_eq!(words("T-3")[..3], ["T-3", "no", "changes"]);
    assert!(ended.stdout.contains("1 of 3 tickets came to a good end"), "{ended}");
    assert!(ended.stdout.contains("500 stub failure"), "{ended}");
}

#[test]
fn tickets_that_share_a_component_never_run_together() {
    let sandbox = Sandbox::new();
    let tags = [
        ("T-1", "tags: [component:db, fast]\n"),
        ("T-2", "tags:\n  - component:db\n"),
        ("T-3", "tags: [area:db]\n"),
    ];
    let repo = with_tickets(&sandbox, &tags);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    let running = batch(&repo, &["-j", "9", "T-1", "T-2", "T-3", "--json"]).spawn();
    pi.wait_here("T-1");
    pi.wait_here("T-3");
    assert_eq!(pi.calls("T-2"), 0);
    pi.go("T-1");
    pi.wait_here("T-2");
    ["T-2", "T-3"].iter().for_each(|ticket| pi.go(ticket));
    drop(running.wait().ok());
    let plan =
        |args: &[&str]| batch(&repo, &[&["--ready", "--dry-run", "--json"], args].concat()).run().ok().json();
    assert_eq!(plan(&["--component-prefix", "area:"])["items"][0]["item"]["components"], json!([]));
}

#[test]
fn an_untagged_ticket_can_be_kept_alone() {
    let sandbox = Sandbox::new();
    let repo = with_tickets(&sandbox, &[("T-2", "tags: [component:db]\n")]);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    let running = batch(&repo, &["-j", "9", "T-1", "T-2", "--untagged-alone", "--json"]).spawn();
    pi.wait_here("T-1");
    assert_eq!(pi.calls("T-2"), 0);
    pi.go("T-1");
    pi.wait_here("T-2");
    pi.go("T-2");
    drop(running.wait().ok());
}

#[test]
fn who_needs_what_stays_on_a_branch_is_told_so_before_anything_starts() {
    let sandbox = Sandbox::new();
    let deps = [("T-2", "deps: [T-1]\n"), ("T-3", "deps: [T-2]\n"), ("T-4", "deps: [T-9, T-4]\n")];
    let repo = with_tickets(&sandbox, &deps);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let ended = batch(&repo, &["T-1", "T-2", "T-3", "T-4", "--json"]).run().expect_code(1);
    let events = events(&ended);
    let kinds: Vec<&str> = events.iter().map(|event| text(&event["event"])).collect();
    assert_eq!(kinds[..5], ["begun", "skipped", "skipped", "skipped", "starting"]);
    assert_eq!(
        about(&events, "skipped", "T-2")["why"],
        json!({ "kind": "dep_not_merged", "ticket_id": "T-1" })
    );
    assert_eq!(about(&events, "skipped", "T-4")["why"]["kind"], "cycle");
    assert_eq!(pi.tickets_called(), ["T-1"]);
}

#[test]
fn who_needs_what_failed_is_skipped_and_who_needs_what_was_merged_starts_from_it() {
    let sandbox = Sandbox::new();
    let deps = [("T-2", "deps: [T-1]\n"), ("T-3", "deps: [T-2]\n"), ("T-4", "deps: [T-1]\n")];
    let repo = with_tickets(&sandbox, &deps);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-2", "cat work-T-1.txt && fails 'no luck'");
    let ended = batch(&repo, &["T-1", "T-2", "T-3", "T-4", "--merge", "--json"]).run().expect_code(1);
    let events = events(&ended);
    assert!(text(&about(&events, "ended", "T-2")["reason"]).contains("no luck"), "it saw the work of T-1");
    assert_eq!(about(&events, "skipped", "T-3")["why"], json!({ "kind": "dep_failed", "ticket_id": "T-2" }));
    let mut merged = lanes(&events, "merged");
    merged.sort_unstable();
    assert_eq!(merged, ["T-1", "T-4"]);
    assert_eq!(repo.read("work-T-4.txt"), "work on T-4, attempt 1\n", "the checkout has followed");
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    repo.fsck();
}

#[test]
fn a_ticket_is_tried_again_in_its_worktree_with_what_the_agent_knew() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_on("T-1", 1, "used 100 10 0.5; commit; fails 'out of luck'");
    pi.plays_on("T-1", 2, "used 7 3 0.25; cat work-T-1.txt; commit; answer stop");
    let args = ["T-1", "--retries", "1", "--escalate", "big/one", "--timeout", "100s", "--json"];
    let events = events(&batch(&repo, &args).run().ok());
    let ended = of_kind(&events, "ended");
    assert_eq!((&ended[0]["outcome"], &ended[0]["next"]["do"]), (&json!("failed"), &json!("retry")));
    assert_eq!((&ended[1]["outcome"], &ended[1]["next"]["do"]), (&json!("succeeded"), &json!("nothing")));
    let second = pi.call("T-1", 2);
    assert_eq!(second.folder, pi.call("T-1", 1).folder);
    assert_eq!(second.option("--model"), Some("big/one"));
    assert!(second.prompt().unwrap().starts_with("Continue with ticket T-1"), "{second:?}");
    let sessions = Session::all(&repo);
    let files: Vec<String> = sessions
        .iter()
        .map(|session| {
            fs::read_to_string(session.manifest_file().with_file_name("pi-session.jsonl")).unwrap()
        })
        .collect();
    assert!(files[1].starts_with(&files[0]) && files[1].len() > files[0].len());
    let manifest = sessions[1].manifest();
    assert_eq!(manifest["usage"]["input_tokens"], 7, "what the first one used is not counted again");
    assert_eq!(manifest["limits"]["timeout_s"], 150);
    assert_eq!((&manifest["attempt"], &manifest["work"]["commits"]), (&json!(2), &json!(1)));
}

#[test]
fn an_agent_that_has_nothing_to_add_when_it_is_tried_again_has_finished() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_on("T-1", 1, "commit; fails 'at the very end'");
    pi.plays_on("T-1", 2, DOES_NOTHING);
    let events = events(&batch(&repo, &["T-1", "--retries", "2", "--merge", "--json"]).run().ok());
    assert_eq!(of_kind(&events, "ended")[1]["outcome"], "no_changes");
    assert_eq!(lanes(&events, "merged"), ["T-1"]);
}

#[test]
fn what_was_finished_is_not_ready_any_more_also_where_the_last_session_had_nothing_to_add() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_on("T-1", 1, "commit; fails 'at the very end'");
    pi.plays_on("T-1", 2, DOES_NOTHING);
    drop(batch(&repo, &["T-1", "T-2", "--retries", "1"]).run().ok());
    let plan = batch(&repo, &["--ready", "--dry-run", "--json"]).run().ok().json();
    let lanes: Vec<&str> =
        plan["items"].as_array().unwrap().iter().map(|item| text(&item["item"]["lane"])).collect();
    assert_eq!(lanes, ["T-3", "T-4"]);
}

#[test]
fn each_ticket_is_worked_on_from_each_base_and_shown_as_a_matrix() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.branch("release/1.x", "main");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-2", DOES_NOTHING);
    let args = ["T-1", "T-2", "--base", "main", "--base", "release/1.x", "-j", "1"];
    let ended = batch(&repo, &args).run().expect_code(1);
    let rows: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(rows.contains(&vec!["TICKET", "main", "release/1.x"]), "{ended}");
    assert!(rows.contains(&vec!["T-1", "succeeded", "succeeded"]), "{ended}");
    assert!(rows.contains(&vec!["T-2", "no", "changes", "no", "changes"]), "{ended}");
    let branches = repo.branches();
    assert_eq!(branches.iter().filter(|branch| branch.starts_with("ralph/T-1@")).count(), 2, "{branches:?}");
}

#[test]
fn tickets_come_from_a_file_from_standard_input_or_are_those_that_are_ready() {
    let sandbox = Sandbox::new();
    let heads = [("T-1", "deps: [T-2]\n"), ("T-3", "priority: 0\n"), ("T-4", "status: closed\n")];
    let repo = with_tickets(&sandbox, &heads);
    let plan = |args: &[&str], input: &str| {
        let call = batch(&repo, &[&["--dry-run", "--json"], args].concat()).input(input);
        let items = call.run().ok().json()["items"].clone();
        let items = items.as_array().unwrap().clone();
        items.iter().map(|item| text(&item["item"]["lane"]).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(plan(&["--from", "-"], "# two\nT-2\n\n  T-1\n"), ["T-2", "T-1"]);
    sandbox.write("list", "T-3\n");
    assert_eq!(plan(&["--from", sandbox.path("list").to_str().unwrap()], ""), ["T-3"]);
    assert_eq!(plan(&["--ready"], ""), ["T-2", "T-3"]);
    let error = refused(&sandbox, batch(&repo, &["--from", "-"]).input("T-1\n-rf\n"), 2);
    assert!(text(&error["message"]).contains("line 2"), "{error}");
    assert_eq!(plan(&["--from", "-"], "\u{feff}T-2\r\n"), ["T-2"], "as an editor on Windows writes it");
    refused(&sandbox, batch(&repo, &["--from", "-"]).input("\n"), 2);
    refused(&sandbox, batch(&repo, &["T-77"]), 3);
    refused(&sandbox, batch(&repo, &[]), 2);
    refused(&sandbox, batch(&repo, &["--resume"]), 3);
    // It goes on as it was begun: what cannot be changed is not passed over in silence.
    for changed in ["--agent=true", "--jobs=2", "--accept-changes", "--no-ticket", "--timeout=1m"] {
        let error = refused(&sandbox, batch(&repo, &["--resume", changed]), 2);
        let option = changed.split('=').next().unwrap();
        assert!(text(&error["message"]).contains(option), "{error}");
    }
}

#[test]
fn what_would_fail_for_every_ticket_fails_once_and_begins_nothing() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let error = refused(&sandbox, batch(&repo, &["T-1", "T-2"]), 5);
    assert!(text(&error["message"]).contains("could not find the program \"pi\""), "{error}");
    assert!(!repo.common_dir().join("ralph/batches").exists());
}

#[test]
fn a_base_that_nothing_can_start_from_or_be_merged_into_is_refused_before_anything_begins() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    repo.git(&["tag", "v1"]);
    let error = refused(&sandbox, batch(&repo, &["T-1", "--base", "main", "--base", "nope"]), 3);
    assert!(text(&error["message"]).contains("no branch, tag or commit \"nope\""), "{error}");
    let error = refused(&sandbox, batch(&repo, &["T-1", "--base", "v1", "--merge"]), 4);
    assert!(text(&error["message"]).contains("\"v1\" could not be merged into it"), "{error}");
    repo.git(&["switch", "--quiet", "--detach"]);
    refused(&sandbox, batch(&repo, &["T-1", "--merge"]), 4);
    drop(batch(&repo, &["T-1", "--base", "v1"]).run().ok());
}

#[test]
fn what_cannot_be_meant_is_refused_with_what_is_wrong() {
    let sandbox = Sandbox::new();
    let repo = Repo::with_files(&sandbox, "bare-of-tickets", &[("README.md", "")]);
    let error = refused(&sandbox, batch(&repo, &["--ready"]), 3);
    assert!(text(&error["message"]).starts_with("there is no folder .tickets in"), "{error}");
    for (option, said) in
        [("--max-cost", "more than nothing"), ("--max-tokens", "-1"), ("-j", "-1 is not in 1..")]
    {
        let error = refused(&sandbox, batch(&repo, &["T-1", option, "-1"]), 2);
        assert!(text(&error["message"]).contains(said), "{error}");
    }
}

#[test]
fn a_ticket_that_changes_while_the_batch_runs_is_taken_as_it_is_when_its_turn_comes() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.ticket("T-5", "Number five");
    repo.commit_all("One more");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    let running = batch(&repo, &["-j", "1", "T-1", "T-2", "T-3", "T-4", "T-5", "--json"]).spawn();
    pi.wait_here("T-1");
    repo.ticket_with("T-2", "Closed by hand", "");
    let file = repo.read(".tickets/T-2.md").replace("status: open", "status: closed");
    repo.write(".tickets/T-2.md", file);
    fs::remove_file(repo.path().join(".tickets/T-3.md")).unwrap();
    repo.ticket_with("T-4", "Needs more by now", "deps: [T-9]\n");
    ["T-1", "T-5"].iter().for_each(|ticket| pi.go(ticket));
    let events = events(&running.wait().expect_code(1));
    let why = |lane: &str| text(&about(&events, "skipped", lane)["why"]["kind"]).to_owned();
    assert_eq!([why("T-2"), why("T-3"), why("T-4")], ["closed", "gone", "dep_open"]);
    assert_eq!(pi.tickets_called(), ["T-1", "T-5"]);
}

#[test]
fn a_ticket_on_which_someone_elses_session_works_is_left_to_it() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    let theirs = repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    pi.go("T-2");
    let events = events(&batch(&repo, &["T-1", "T-2", "--json"]).run().expect_code(1));
    let why = &about(&events, "skipped", "T-1")["why"];
    assert_eq!(*why, json!({ "kind": "busy", "session_id": theirs["session_id"] }));
    assert_eq!(about(&events, "ended", "T-2")["outcome"], "succeeded");
    pi.go("T-1");
    assert_eq!(repo.worktree(&["wait", "T-1"]).run().code, Some(0));
}

#[test]
fn a_ticket_that_someone_else_finishes_meanwhile_is_not_worked_on_again_and_is_merged_if_all_is() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let run = |first: &str, second: &str, args: &[&str]| {
        pi.plays_for(first, WHEN_TOLD);
        let running = batch(&repo, &[&["-j", "1", first, second, "--json"], args].concat()).spawn();
        pi.wait_here(first);
        assert_eq!(repo.finished(&[second])["outcome"], "succeeded");
        pi.go(first);
        let events = events(&running.wait().ok());
        assert_eq!(pi.calls(second), 1);
        events
    };
    let left = run("T-1", "T-2", &[]);
    assert_eq!(about(&left, "skipped", "T-2")["why"]["kind"], "done");
    assert_eq!(lanes(&run("T-3", "T-4", &["--merge"]), "merged"), ["T-3", "T-4"]);
}

#[test]
fn a_base_that_goes_while_the_batch_runs_is_told_for_the_ticket_that_needed_it() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.branch("side", "main");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    let running = batch(&repo, &["-j", "1", "T-1", "T-2", "--base", "side", "--json"]).spawn();
    pi.wait_here("T-1");
    repo.git(&["branch", "-D", "side"]);
    pi.go("T-1");
    let events = events(&running.wait().expect_code(1));
    assert_eq!(of_kind(&events, "ended")[0]["outcome"], "succeeded");
    let told = about(&events, "not_launched", "T-2@side");
    assert!(text(&told["reason"]).contains("side") && text(&told["hint"]).contains("git branch"), "{told}");
}

#[test]
fn where_the_store_cannot_be_read_no_ticket_is_called_gone() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    let running = batch(&repo, &["-j", "1", "T-1", "T-2", "--json"]).spawn();
    pi.wait_here("T-1");
    fs::remove_file(repo.path().join(".tickets/T-2.md")).unwrap();
    let lanes = repo.store().join("lanes");
    let aside = lanes.with_extension("aside");
    fs::rename(&lanes, &aside).unwrap();
    fs::write(&lanes, "no folder").unwrap();
    pi.go("T-1");
    let events = events(&running.wait().expect_code(1));
    fs::remove_file(&lanes).unwrap();
    fs::rename(&aside, &lanes).unwrap();
    let why = &about(&events, "skipped", "T-2")["why"];
    assert_eq!(why["kind"], "unreadable", "{why}");
    assert!(text(&why["reason"]).contains("lanes"), "{why}");
}

#[test]
fn a_budget_that_is_used_up_ends_what_runs_and_starts_nothing_more() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("here; forever");
    pi.plays_for("T-1", "used 900 100 0.75; commit; answer stop");
    let running = batch(&repo, &["-j", "2", "T-1", "T-2", "T-3", "--max-tokens", "1000", "--json"]).spawn();
    let events = events(&running.wait().expect_code(1));
    assert_eq!(only(of_kind(&events, "halted"))["why"], "tokens_used_up");
    assert_eq!(about(&events, "ended", "T-1")["outcome"], "succeeded");
    let second = about(&events, "ended", "T-2");
    assert_eq!(second["outcome"], "stopped");
    assert!(text(&second["reason"]).contains("--max-tokens"), "{second}");
    assert_eq!(about(&events, "skipped", "T-3")["why"], json!({ "kind": "halted", "why": "tokens_used_up" }));
    assert_eq!(of_kind(&events, "finished").len(), 1);
}

#[test]
fn a_ticket_that_uses_too_much_is_ended_alone() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-1", "used 10 10 2.5; answer stop; forever");
    let args = ["T-1", "T-2", "--ticket-max-cost", "2", "--retries", "3", "--json"];
    let events = events(&batch(&repo, &args).run().expect_code(1));
    let first = about(&events, "ended", "T-1");
    assert_eq!((&first["outcome"], &first["next"]["do"]), (&json!("stopped"), &json!("nothing")));
    assert_eq!(about(&events, "ended", "T-2")["outcome"], "succeeded");
}

#[test]
fn siblings_that_touch_the_same_file_are_told() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("commit shared.txt; here; wait_for_go; answer stop");
    // What is committed shows, and what an agent says that it writes.
    pi.plays_for("T-2", "writes shared.txt; here; wait_for_go; git add shared.txt; commit; answer stop");
    let running = batch(&repo, &["T-1", "T-2", "--json"]).spawn();
    pi.wait_here("T-1");
    pi.wait_here("T-2");
    running.wait_for("both touch shared.txt");
    ["T-1", "T-2"].iter().for_each(|ticket| pi.go(ticket));
    let events = events(&running.wait().ok());
    assert_eq!(only(of_kind(&events, "warning"))["lanes"], json!(["T-1", "T-2"]));
}

#[test]
fn before_anything_starts_it_is_told_which_sessions_of_others_touch_the_same_files() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    // Work of an earlier session, and a session of someone else's that has just done the same.
    pi.plays("commit shared.txt; answer stop");
    drop(batch(&repo, &["T-1"]).run().ok());
    pi.plays("commit shared.txt; here; wait_for_go; answer stop");
    let other = repo.ralph(&["worktree", "dispatch", "T-2", "--wait"]).spawn();
    pi.wait_here("T-2");
    pi.plays(COMMITS);
    let events = events(&batch(&repo, &["T-1", "--json"]).run().ok());
    let at = |kind: &str| events.iter().position(|event| event["event"] == kind).unwrap();
    let warning = &events[at("warning")];
    assert_eq!(warning["lanes"], json!(["T-1", "T-2"]));
    assert_eq!(warning["text"], "both touch shared.txt (T-2 runs beside this batch)");
    assert!(at("warning") < at("launched"), "{events:?}");
    pi.go("T-2");
    drop(other.wait().ok());
}

#[test]
fn a_page_for_the_browser_says_what_came_of_each_ticket() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.ticket("T-2", "</title><script>alert(1)</script>");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-2", "fails 'no <b>luck</b>'");
    let page = sandbox.path("page.html");
    drop(batch(&repo, &["T-1", "T-2", "--report", page.to_str().unwrap()]).run().expect_code(1));
    let page = fs::read_to_string(page).unwrap();
    for text in ["T-1", "T-2", "succeeded", "failed", "no &lt;b&gt;luck"] {
        assert!(page.contains(text), "{text:?} is not in {page}");
    }
    for text in ["<script", "http:", "https:", "<b>luck"] {
        assert!(!page.contains(text), "{text:?} is in {page}");
    }
    refused(&sandbox, batch(&repo, &["T-1", "--report", "no/such/folder.html"]), 2);
    refused(&sandbox, batch(&repo, &["T-1", "--report", "/dev/null"]), 2);
}

mod paced {
    use super::*;

    /// What pi writes when its provider limits the rate.
    const LIMITED: &str = "429 Too Many Requests";

    #[test]
    fn starts_are_staggered() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(WHEN_TOLD);
        let running = repo.worktree(&["batch", "--stagger", "1h", "-j", "2", "T-1", "T-2", "--json"]).spawn();
        pi.wait_here("T-1");
        pi.go("T-1");
        running.wait_for("\"event\":\"ended\"");
        running.signal(Signal::INT);
        let events = events(&running.wait().expect_code(130));
        assert_eq!(lanes(&events, "starting"), ["T-1"]);
    }

    #[test]
    fn a_providers_rate_limit_holds_up_those_that_wait_to_be_started() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays_for("T-1", &format!("answer error '{LIMITED}'; here; wait_for_go; commit; answer stop"));
        let running = batch(&repo, &["-j", "1", "T-1", "T-2", "--json"]).spawn();
        pi.wait_here("T-1");
        running.wait_for("\"event\":\"slowed\"");
        running.signal(Signal::INT);
        let events = events(&running.wait().expect_code(130));
        assert_eq!(only(of_kind(&events, "slowed"))["why"], "rate_limits");
    }

    #[test]
    fn a_session_that_failed_because_of_it_is_tried_again_unasked_but_not_at_once() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(&format!("fails '{LIMITED}'"));
        let running = batch(&repo, &["T-1", "--json"]).spawn();
        running.wait_for("\"event\":\"ended\"");
        running.signal(Signal::INT);
        let events = events(&running.wait().expect_code(130));
        assert_eq!(about(&events, "ended", "T-1")["next"], json!({ "do": "retry", "after_s": 30.0 }));
        assert_eq!(pi.calls("T-1"), 1);
    }
}

mod merged {
    use super::*;

    #[test]
    fn in_the_way_that_was_asked_for() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("commit; commit other.txt; answer stop");
        let before = repo.head();
        drop(batch(&repo, &["T-1", "--merge", "--strategy", "squash"]).run().ok());
        assert_eq!(repo.git(&["log", "-1", "--format=%P", "main"]), before, "one commit, on what was there");
        assert!(repo.has("work-T-1.txt") && repo.has("other.txt"));
    }

    #[test]
    fn not_where_the_agent_changed_the_repositorys_hooks_unless_that_was_accepted() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        let hook = "$(git rev-parse --git-common-dir)/hooks/post-merge";
        pi.plays(
            &format!("mkdir -p \"${{hook%/*}}\"; echo x >\"{hook}\"; commit; answer stop")
                .replace("${hook%/*}", "$(git rev-parse --git-common-dir)/hooks"),
        );
        let refused = events(&batch(&repo, &["T-1", "--merge", "--json"]).run().expect_code(1));
        let refused = about(&refused, "not_merged", "T-1");
        let (reason, hint) = (text(&refused["reason"]), text(&refused["hint"]));
        assert!(
            reason.starts_with("since its agent was launched") && reason.contains("post-merge"),
            "{reason}"
        );
        assert!(hint.contains("ralph worktree merge T-1 --accept-changes"), "{hint}");
        let accepted = batch(&repo, &["T-1", "--merge", "--accept-changes", "--json"]).run().ok();
        assert_eq!(lanes(&events(&accepted), "merged"), ["T-1"]);
    }

    #[test]
    fn by_the_agent_itself_it_is_there_for_whoever_needs_it() {
        let sandbox = Sandbox::new();
        let repo = with_tickets(&sandbox, &[("T-2", "deps: [T-1]\n")]);
        sandbox.set_env("MAIN", repo.path());
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        pi.plays_for("T-1", "commit; git -C \"$MAIN\" merge -q --no-edit ralph/T-1; answer stop");
        let first = events(&batch(&repo, &["T-1", "--merge", "--json"]).run().ok());
        assert_eq!(lanes(&first, "merged"), ["T-1"]);
        let next = events(&batch(&repo, &["T-2", "--json"]).run().ok());
        assert_eq!((lanes(&next, "ended"), lanes(&next, "skipped")), (vec!["T-2"], vec![]));
    }
}

#[test]
fn a_model_without_a_name_is_no_stronger_one() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    for models in ["", ",m2", "m1,", "m1,,m2", " "] {
        for call in [batch(&repo, &["T-1", "--escalate", models]), repo.ralph(&["run", "--escalate", models])]
        {
            let error = refused(&sandbox, call, 2);
            assert!(text(&error["message"]).contains("it must name a model"), "{models:?}: {error}");
        }
    }
}

#[test]
fn a_batch_whose_output_cannot_be_written_comes_to_its_end_and_says_so() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let ended = |call: Invocation<'_>| {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let ended = call.command().stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).output().unwrap();
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    for (number, call) in [
        batch(&repo, &["T-1", "--merge", "--json"]),
        repo.ralph(&["run", "--json", "--stagger", "0s", "T-2"]),
        batch(&repo, &["T-3", "--merge"]),
    ]
    .into_iter()
    .enumerate()
    {
        let (code, told) = ended(call);
        assert_eq!(code, Some(6), "{told}");
        assert!(told.contains("could not write to standard output: No space left on device"), "{told}");
        // Nothing was left aside because of it.
        let merges = repo.log("main").iter().filter(|line| line.starts_with("Merge ralph/")).count();
        assert_eq!(merges, number + 1, "{told}");
        sandbox.wait_until_quiet();
        refused(&sandbox, batch(&repo, &["--resume"]), 3);
    }
}

#[test]
fn a_batch_whose_reader_has_gone_ends_as_it_would_have() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let call = batch(&repo, &["T-1", "--json"]);
    let ended = call.command().stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
}

#[test]
fn what_ctrl_c_ends_in_the_middle_of_a_beginning_is_begun_by_a_resume() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let (here, go) = (sandbox.path("here"), sandbox.path("go"));
    // A filter of the user's that waits: git writes the file of a new worktree by it.
    repo.write(".git/info/attributes", "*.slow filter=slow\n");
    repo.git(&["config", "filter.slow.clean", "cat"]);
    repo.commit_file("a.slow", "slow\n", "Slow");
    let waits = format!("touch {}; until [ -e {} ]; do sleep 0.02; done; cat", here.display(), go.display());
    repo.git(&["config", "filter.slow.smudge", &waits]);
    let mut terminal = batch(&repo, &["T-1"]).on_terminal();
    wait::until("git to be in the middle of it", || here.exists().then_some(()));
    terminal.type_text("\x03");
    let ended = terminal.wait();
    assert_eq!(ended.code, Some(130), "{ended}");
    fs::write(&go, "").unwrap();
    let resumed = batch(&repo, &["--resume", "--json"]).run().ok();
    assert_eq!(lanes(&events(&resumed), "ended"), ["T-1"], "{resumed}");
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 1"]);
}

#[test]
fn on_a_terminal_each_running_session_is_one_line_that_is_drawn_again() {
    let sandbox = Sandbox::new();
    sandbox.set_env("TERM", "xterm-256color");
    sandbox.set_env("NO_COLOR", "1");
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("used 900 100 0.25; answer toolUse 'looks around'; here; commit; wait_for_go; answer stop");
    let terminal = batch(&repo, &["T-1"]).on_terminal();
    pi.wait_here("T-1");
    terminal.wait_for("looks around");
    terminal.wait_for("1 commit");
    terminal.wait_for("1000 tokens, $0.25");
    terminal.wait_for("0 of 1 done");
    pi.go("T-1");
    let ended = terminal.wait().ok();
    assert!(ended.stdout.contains("\u{1b}[1A"), "nothing was drawn over: {ended}");
    assert!(ended.stdout.contains("1 of 1 ticket came to a good end"), "{ended}");
}
