//! `ralph run`: the backlog goes in, finished and merged work comes out.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::COMMITS;
use crate::helpers::command::{Finished, Invocation};
use crate::helpers::lanes::{only, text};
use crate::helpers::session::names_in;
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// `ralph run`, with starts that are not staggered.
fn run<'s>(repo: &Repo<'s>, args: &[&str]) -> Invocation<'s> {
    repo.ralph(&[&["run", "--stagger", "0s", "--retry-delay", "0s"], args].concat())
}

/// The events of one kind, as the lanes that they are about.
fn lanes(ended: &Finished, kind: &str) -> Vec<String> {
    let events = ended.json_lines();
    let of_kind = events.iter().filter(|event| event["event"] == kind);
    of_kind.map(|event| text(&event["lane"]).to_owned()).collect()
}

/// A repository whose tickets git does not track; there is one, `T-1`.
fn with_untracked_ticket(sandbox: &Sandbox) -> Repo<'_> {
    let files = [(".pi/prompts/tf.md", "Work on $1\n"), (".gitignore", ".tickets\n")];
    let repo = Repo::with_files(sandbox, "app", &files);
    repo.ticket("T-1", "Not tracked");
    repo
}

fn status_of(repo: &Repo<'_>, ticket: &str) -> String {
    let file = repo.read(format!(".tickets/{ticket}.md"));
    file.lines().find_map(|line| line.strip_prefix("status: ")).unwrap().to_owned()
}

#[test]
fn it_goes_on_until_nothing_is_ready_and_closes_what_was_merged() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
    repo.ticket_with("T-3", "Needs two", "deps: [T-2, T-1]\n");
    repo.commit_all("Deps");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    // This one closes its ticket itself.
    pi.plays_for("T-4", "sed -i s/open/closed/ .tickets/T-4.md; git commit -qam 'T-4: done'; answer stop");
    let ended = run(&repo, &["--json"]).run().ok();
    let mut merged = lanes(&ended, "merged");
    assert_eq!(merged.iter().filter(|lane| *lane != "T-4").collect::<Vec<_>>(), ["T-1", "T-2", "T-3"]);
    merged.sort_unstable();
    assert_eq!(merged, ["T-1", "T-2", "T-3", "T-4"]);
    let mut closed = lanes(&ended, "closed");
    closed.sort_unstable();
    assert_eq!(closed, ["T-1", "T-2", "T-3"]);
    // What ralph did for them side by side is no leak of any.
    sandbox.wait_until_quiet();
    assert!(repo.lanes().iter().all(|lane| lane["leaks"] == json!([])), "{:#?}", repo.lanes());
    for ticket in ["T-1", "T-2", "T-3", "T-4"] {
        assert_eq!(status_of(&repo, ticket), "closed", "{ticket}");
    }
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    repo.fsck();
    // Nothing is left to be done.
    assert_eq!(lanes(&run(&repo, &["--json"]).run().ok(), "starting"), Vec::<String>::new());
    assert_eq!(pi.calls("T-1"), 1);
}

#[test]
fn the_users_hooks_have_their_say_in_the_commit_that_closes_a_ticket() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    drop(repo.hook("prepare-commit-msg", "[ \"$2\" != message ] || echo 'Prepared: yes' >>\"$1\""));
    drop(repo.hook("commit-msg", "! grep -q 'Close T-4' \"$1\" || { echo 'not T-4'; exit 1; }"));
    let ended = run(&repo, &["--json"]).run().ok();
    let closed = lanes(&ended, "closed");
    assert!(closed.contains(&"T-1".to_owned()) && !closed.contains(&"T-4".to_owned()), "{closed:?}");
    assert!(ended.stdout.contains("the hook commit-msg refused the commit for T-4: not T-4"), "{ended}");
    let closing = repo.git(&["log", "--format=%B", "--grep", "Close T-1", "main"]);
    assert_eq!(closing.trim(), "Close T-1\nPrepared: yes");
    assert_eq!((status_of(&repo, "T-1"), status_of(&repo, "T-4")), ("closed".into(), "open".into()));
    assert_eq!(repo.worktrees().len(), 1 + lanes(&ended, "launched").len());
}

#[test]
fn what_was_merged_before_and_left_open_is_closed_without_a_session() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
    repo.commit_all("Deps");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    drop(repo.worktree(&["batch", "T-1", "T-3", "T-4", "--stagger", "0s", "--merge"]).run().ok());
    assert_eq!(["T-1", "T-3", "T-4"].map(|ticket| status_of(&repo, ticket)), ["open"; 3]);
    // A branch that is gone has nothing that would not be merged.
    repo.git(&[
        "worktree",
        "remove",
        "--force",
        "--force",
        repo.tree_of(&sandbox, "T-3").path().to_str().unwrap(),
    ]);
    repo.git(&["branch", "-q", "-D", "ralph/T-3"]);
    let plan = run(&repo, &["--dry-run", "--json"]).run().ok().json();
    let left = plan["items"].as_array().unwrap().iter();
    let left: Vec<_> = left.map(|item| (text(&item["item"]["lane"]), &item["left"])).collect();
    let closing = &json!("closing");
    assert_eq!(left, [("T-1", closing), ("T-3", closing), ("T-4", closing), ("T-2", &Value::Null)]);
    let told = run(&repo, &["T-4"]).run().ok();
    assert!(
        told.stdout.contains("T-4: it had been merged before: only its ticket was left to be closed")
            && told.stdout.contains("T-4's ticket was closed"),
        "{told}"
    );
    let ended = run(&repo, &["--json"]).run().ok();
    assert_eq!(
        (lanes(&ended, "closed"), lanes(&ended, "starting")),
        (["T-1", "T-3", "T-2"].map(str::to_owned).to_vec(), vec!["T-2".to_owned()])
    );
    for ticket in ["T-1", "T-2", "T-3", "T-4"] {
        assert_eq!((status_of(&repo, ticket), pi.calls(ticket)), ("closed".to_owned(), 1), "{ticket}");
    }
    assert_eq!(repo.log("main").iter().filter(|line| **line == "Close T-1").count(), 1);
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
}

/// Opens the tickets again, in a commit.
fn reopen(repo: &Repo<'_>, tickets: &[&str]) {
    for ticket in tickets {
        let file = format!(".tickets/{ticket}.md");
        repo.write(&file, repo.read(&file).replace("status: closed", "status: open"));
    }
    repo.commit_all("Open them again");
}

#[test]
fn what_was_opened_again_since_it_was_merged_is_worked_on_again() {
    for strategy in ["merge", "squash", "rebase"] {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
        repo.commit_all("Deps");
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("commit work-$ticket-$attempt.txt; answer stop");
        // This one closes its ticket itself.
        let closes = "sed -i s/open/closed/ .tickets/T-4.md; git commit -qam done";
        pi.plays_on("T-4", 1, &format!("commit; {closes}; answer stop"));
        let args = ["T-1", "T-4", "--strategy", strategy, "--json"];
        assert_eq!(lanes(&run(&repo, &args).run().ok(), "closed"), ["T-1"], "{strategy}");
        repo.commit_file("later.txt", "later\n", "The base goes on");
        reopen(&repo, &["T-1", "T-4"]);
        let ready = repo.worktree(&["batch", "--ready", "--dry-run", "--json"]).run().ok().json();
        let ready = ready["items"].as_array().unwrap().iter();
        let ready: Vec<_> = ready.map(|item| text(&item["item"]["lane"]).to_owned()).collect();
        assert_eq!(ready, ["T-1", "T-3", "T-4"], "{strategy}");
        let ended = run(&repo, &["-j", "1", "--strategy", strategy, "--json"]).run().ok();
        let merged = lanes(&ended, "merged");
        // What needs it has waited for it.
        let at = |lane: &str| merged.iter().position(|merged| merged == lane).unwrap();
        assert!(at("T-1") < at("T-2"), "{merged:?}");
        let tickets = ["T-1", "T-2", "T-3", "T-4"];
        assert_eq!(tickets.map(|ticket| pi.calls(ticket)), [2, 1, 1, 2], "{strategy}");
        assert_eq!(tickets.map(|ticket| status_of(&repo, ticket)), ["closed"; 4], "{strategy}");
        assert!(repo.has("work-T-1-1.txt") && repo.has("work-T-1-2.txt") && repo.has("later.txt"));
        assert_eq!(lanes(&run(&repo, &["--json"]).run().ok(), "starting"), Vec::<String>::new());
    }
}

#[test]
fn one_that_git_does_not_track_is_worked_on_again_too() {
    let sandbox = Sandbox::new();
    let repo = with_untracked_ticket(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("commit work-$attempt.txt; answer stop");
    drop(repo.worktree(&["batch", "T-1", "--merge"]).run().ok());
    for calls in [1, 2] {
        assert_eq!(lanes(&run(&repo, &["--json"]).run().ok(), "closed"), ["T-1"]);
        assert_eq!(pi.calls("T-1"), calls);
        repo.ticket("T-1", "Not tracked");
    }
}

#[test]
fn so_is_one_that_someone_else_has_merged() {
    for by_hand in ["--no-ff", "--ff-only"] {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("commit work-$attempt.txt; answer stop");
        assert_eq!(repo.finished(&["T-1"])["outcome"], "succeeded");
        repo.git(&["merge", "-q", "--no-edit", by_hand, "ralph/T-1"]);
        let merged = repo.head();
        let open = repo.read(".tickets/T-1.md");
        repo.commit_file(".tickets/T-1.md", &open.replace("status: open", "status: closed"), "Close it");
        reopen(&repo, &["T-1"]);
        // Only now ralph finds that it is merged.
        drop(repo.worktree(&["merge", "T-1"]).run().ok());
        assert_eq!(repo.lanes()[0]["merged"]["commit"], merged, "{by_hand}");
        let ended = run(&repo, &["T-1", "--json"]).run().ok();
        assert_eq!((lanes(&ended, "merged"), pi.calls("T-1")), (vec!["T-1".to_owned()], 2), "{by_hand}");
    }
}

#[test]
fn what_is_passed_over_for_its_lane_is_named_with_the_reason() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    for number in 5..=7 {
        repo.ticket(&format!("T-{number}"), "One more");
    }
    repo.commit_all("Tickets");
    repo.branch("next", "main");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    // Closed by run, and open in the checkout only.
    drop(run(&repo, &["T-1"]).run().ok());
    repo.ticket("T-1", "Ticket number 1");
    for ticket in ["T-2", "T-3", "T-4", "T-5"] {
        assert_eq!(repo.finished(&[ticket])["outcome"], "succeeded");
    }
    let before = repo.head();
    drop(repo.worktree(&["merge", "T-2"]).run().ok());
    repo.git(&["reset", "-q", "--keep", &before]);
    drop(repo.worktree(&["merge", "T-3", "--into", "next"]).run().ok());
    drop(repo.worktree(&["merge", "T-4"]).run().ok());
    repo.tree_of(&sandbox, "T-4").commit_file("more.txt", "more\n", "More");
    pi.plays_for("T-6", "here; wait_for_go; commit; answer stop");
    repo.dispatch(&["T-6"]);
    pi.wait_here("T-6");
    drop(repo.worktree(&["batch", "T-7", "--merge"]).run().ok());
    let reasons = [
        "T-1: passed over: its work is in main, and it is closed there; to have it worked on again, open it in a \
         commit on main",
        "T-2: passed over: its work was merged into main, which does not have it any more; `ralph worktree merge` \
         brings it in again",
        "T-3: passed over: its work was merged into next, which is not in its base main; `ralph worktree merge` \
         brings it in",
        "T-4: passed over: its work was merged into main, and ralph/T-4 has more by now; `ralph worktree merge` \
         brings that in",
        "T-5: passed over: it is finished on its branch and not merged; `ralph worktree merge` brings it in",
        "T-6: passed over: its session runs",
        "T-7: passed over: its work is in main, and it was left open there; `ralph run` closes it",
    ];
    let told = repo.worktree(&["batch", "--ready"]).run().ok();
    let plan = repo.worktree(&["batch", "--ready", "--dry-run"]).run().ok();
    for reason in reasons {
        assert!(told.stdout.contains(reason), "{reason}: {told}");
        assert!(plan.stderr.contains(reason), "{reason}: {plan}");
    }
    let plan = run(&repo, &["--dry-run", "--json"]).run().ok().json();
    let passed_over = plan["passed_over"].as_array().unwrap().iter();
    let mut passed_over: Vec<_> = passed_over.map(|passed| passed["lanes"].clone()).collect();
    passed_over.sort_by_key(Value::to_string);
    // What is finished is merged by run, what was left open is closed, and a session that runs is told when it is met.
    assert_eq!(passed_over, [json!(["T-1"]), json!(["T-2"]), json!(["T-3"]), json!(["T-4"])]);
    pi.go("T-6");
    assert_eq!(repo.worktree(&["wait", "T-6"]).run().code, Some(0));
}

#[test]
fn where_closing_fails_it_is_said_why_and_the_next_run_tries_again() {
    let sandbox = Sandbox::new();
    let repo = Repo::with_files(&sandbox, "app", &[(".pi/prompts/tf.md", "Work on $1\n")]);
    repo.ticket("T-1", "The only one");
    repo.commit_all("Tickets");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let noted = repo.read(".tickets/T-1.md") + "A note.\n";
    repo.write(".tickets/T-1.md", &noted);
    for asked in [&[][..], &[], &["T-1"]] {
        let ended = run(&repo, asked).run().ok();
        assert!(
            ended.stdout.contains("T-1: its ticket could not be closed and stays open: ")
                && ended.stdout.contains(".tickets/T-1.md"),
            "{ended}"
        );
        assert_eq!((repo.read(".tickets/T-1.md"), pi.calls("T-1")), (noted.clone(), 1));
    }
    repo.commit_all("A note");
    assert_eq!(lanes(&run(&repo, &["T-1", "--json"]).run().ok(), "closed"), ["T-1"]);
    assert_eq!((repo.read(".tickets/T-1.md"), pi.calls("T-1")), (noted.replace("open", "closed"), 1));
}

#[test]
fn a_ticket_that_git_does_not_track_is_closed_in_its_file() {
    let sandbox = Sandbox::new();
    let repo = with_untracked_ticket(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let before = repo.read(".tickets/T-1.md");
    let ended = run(&repo, &["--json"]).run().ok();
    assert_eq!(lanes(&ended, "closed"), ["T-1"]);
    assert_eq!(repo.read(".tickets/T-1.md"), before.replace("status: open", "status: closed"));
    assert_eq!(repo.log("main").iter().filter(|line| line.contains("Close")).count(), 0);
}

#[test]
fn a_ticket_that_only_the_users_branch_tracks_stays_open_there() {
    let sandbox = Sandbox::new();
    let repo = Repo::with_files(&sandbox, "app", &[(".pi/prompts/tf.md", "Work on $1\n")]);
    repo.branch("release", "main");
    repo.ticket("T-1", "Tracked on main");
    repo.commit_all("Tickets");
    repo.write("ralph.toml", "base = 'release'\n");
    repo.commit_all("Settings");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let ended = run(&repo, &[]).run().ok();
    assert!(repo.log("release").contains(&"T-1: attempt 1".to_owned()), "{ended}");
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    let said = "T-1: its ticket could not be closed and stays open: git tracks .tickets/T-1.md in";
    assert!(ended.stdout.contains(said), "{ended}");
}

#[test]
fn a_ticket_that_appears_while_it_runs_is_worked_on_too() {
    let sandbox = Sandbox::new();
    let repo = Repo::with_files(&sandbox, "app", &[(".pi/prompts/tf.md", "Work on $1\n")]);
    repo.ticket("T-1", "The first");
    repo.commit_all("Tickets");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-1", "here; wait_for_go; commit; answer stop");
    let running = run(&repo, &["--json"]).spawn();
    pi.wait_here("T-1");
    repo.ticket("T-9", "Came later");
    pi.go("T-1");
    let ended = running.wait().ok();
    let mut merged = lanes(&ended, "merged");
    // They may run side by side.
    merged.sort_unstable();
    assert_eq!(merged, ["T-1", "T-9"]);
    assert_eq!(ended.json_lines().iter().filter(|event| event["event"] == "added").count(), 1);
}

#[test]
fn what_was_finished_before_is_merged_without_being_worked_on_again() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    assert_eq!(repo.finished(&["T-1"])["outcome"], "succeeded");
    let ended = run(&repo, &["T-1", "--json"]).run().ok();
    assert_eq!(lanes(&ended, "merged"), ["T-1"]);
    assert_eq!(pi.calls("T-1"), 1);
}

#[test]
fn so_is_what_was_finished_since_an_earlier_merge_whatever_the_clock_says() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("commit work-$attempt.txt; answer stop");
    drop(repo.finished(&["T-1"]));
    drop(repo.worktree(&["merge", "T-1"]).run().ok());
    repo.set_the_clock_back();
    drop(repo.finished(&["T-1"]));
    let ended = run(&repo, &["T-1", "--json"]).run().ok();
    assert_eq!((lanes(&ended, "merged"), pi.calls("T-1")), (vec!["T-1".to_owned()], 2));
}

#[test]
fn so_is_what_was_finished_in_a_lane_that_was_made_for_another_base() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.branch("release", "main");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    assert_eq!(repo.finished(&["T-1", "--base", "release"])["lane"], "T-1@release");
    let ended = run(&repo, &["T-1", "--json"]).run().ok();
    assert_eq!(lanes(&ended, "merged"), ["T-1@release"]);
    assert_eq!(pi.calls("T-1"), 1);
    assert!(
        repo.log("release").iter().any(|line| line.starts_with("Merge ralph/T-1@")),
        "{:?}",
        repo.log("release")
    );
}

#[test]
fn what_remains_and_why_is_its_last_word() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
    repo.ticket_with("T-3", "Needs nothing that is", "deps: [T-77]\n");
    repo.commit_all("Deps");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-1", "fails 'no luck'");
    let ended = run(&repo, &[]).run().expect_code(1);
    let (_, summary) = ended.stdout.split_once("LANE ").unwrap();
    for (lane, words) in [
        ("T-1", "the agent exited with status 1: no luck"),
        ("T-2", "needs T-1, which did not come to a good end"),
        ("T-3", "needs T-77, and there is no such ticket"),
        ("T-4", "main at "),
    ] {
        let row = summary.lines().find(|line| line.starts_with(lane)).unwrap();
        assert!(row.contains(words), "{row}");
    }
    assert!(summary.contains("1 of 4 tickets came to a good end"), "{ended}");
}

#[test]
fn a_conflict_moves_nothing_and_keeps_the_work_and_a_check_that_fails_does_not_land() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    let writes = |line: &str| {
        format!("here; wait_for_go; echo {line} >shared.txt; git add .; git commit -qm work; answer stop")
    };
    pi.plays_for("T-1", &writes("one"));
    pi.plays_for("T-2", &writes("two"));
    pi.plays_for("T-3", "touch broken; git add .; git commit -qm work; answer stop");
    let running = run(&repo, &["T-1", "T-2", "T-3", "--verify", "test ! -e broken", "--json"]).spawn();
    pi.wait_here("T-1");
    pi.wait_here("T-2");
    pi.go("T-1");
    running.wait_for("\"event\":\"merged\"");
    pi.go("T-2");
    let ended = running.wait().expect_code(1);
    assert_eq!(lanes(&ended, "merged"), ["T-1"]);
    let events = ended.json_lines();
    let not_merged = |lane: &str| -> Value {
        let of = |event: &&Value| event["event"] == "not_merged" && event["lane"] == lane;
        only(events.iter().filter(of).cloned().collect())
    };
    assert_eq!(not_merged("T-2")["files"], json!(["shared.txt"]));
    let advised = |lane: &str, hint: &str| {
        let told = not_merged(lane);
        assert!(text(&told["hint"]).contains(hint), "{told}");
    };
    advised("T-2", "cd \"$(ralph worktree path T-2)\" && git merge main");
    advised("T-3", "put it right in the lane, `ralph worktree dispatch T-3`");
    assert!(text(&not_merged("T-3")["reason"]).contains("test ! -e broken"), "{}", not_merged("T-3"));
    assert_eq!(repo.read("shared.txt"), "one\n");
    assert!(!repo.has("broken"));
    assert_eq!(repo.tree_of(&sandbox, "T-2").read("shared.txt"), "two\n");
    assert_eq!(["T-1", "T-2", "T-3"].map(|ticket| status_of(&repo, ticket)), ["closed", "open", "open"]);
}

#[test]
fn a_pi_ticketflow_projects_settings_count_where_nothing_else_was_said() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let config = json!({
        "parallelWorkers": 1, "workflow": "/tf", "workflowFlags": "--fast", "attemptTimeoutMs": 90_000,
        "maxRestarts": 1, "maxIterations": 2, "sleepBetweenTickets": 5,
    });
    repo.write(".tf/ralph/config.json", config.to_string());
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_on("T-1", 1, "fails 'the first time'");
    pi.plays_on("T-1", 2, COMMITS);
    let running = run(&repo, &["--json"]).run().expect_code(1);
    let events = running.json_lines();
    assert_eq!(events[0]["jobs"], 1);
    assert_eq!(pi.call("T-1", 1).prompt(), Some("/tf T-1 --fast"));
    assert_eq!(pi.calls("T-1"), 2);
    assert_eq!(pi.tickets_called(), ["T-1", "T-2"], "no more tickets than iterations");
    assert_eq!(events.iter().filter(|event| event["why"]["why"] == "enough_tickets").count(), 2);
    let noted = run(&repo, &["--dry-run"]).run().ok();
    assert!(noted.stderr.contains("these mean nothing here: sleepBetweenTickets"), "{noted}");
}

#[test]
fn what_the_user_the_repository_or_the_environment_says_is_over_them_and_so_is_a_flag_of_nothing() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let config = json!({
        "workflow": "/old", "workflowFlags": "--fast", "attemptTimeoutMs": 90_000, "maxRestarts": 1,
    });
    repo.write(".tf/ralph/config.json", config.to_string());
    sandbox.write("config/ralph/config.toml", "workflow = \"/tf\"\n");
    repo.write("ralph.toml", "flags = [\"--ours\"]\n");
    sandbox.set_env("RALPH_TIMEOUT", "2h");
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("fails 'each time'");
    drop(run(&repo, &["T-1", "--retries", "0"]).run().expect_code(1));
    assert_eq!((pi.calls("T-1"), pi.call("T-1", 1).prompt()), (1, Some("/tf T-1 --ours")));
    assert_eq!(repo.inspect(&["T-1"])["limits"]["timeout_s"], 7200);
}

#[test]
fn they_count_too_when_the_loop_is_taken_up_again() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.write(".tf/ralph/config.json", json!({ "workflowFlags": "--fast" }).to_string());
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_on("T-1", 1, "here; forever");
    pi.plays_on("T-1", 2, COMMITS);
    let running = run(&repo, &["T-1"]).spawn();
    pi.wait_here("T-1");
    running.signal(Signal::INT);
    drop(running.wait().expect_code(130));
    drop(repo.worktree(&["batch", "--resume"]).run().ok());
    let asked = pi.call("T-1", 2).prompt().map(str::to_owned);
    assert!(asked.is_some_and(|prompt| prompt.contains("/tf T-1 --fast")));
}

mod stacked {
    use super::*;

    fn batch<'s>(repo: &Repo<'s>, args: &[&str]) -> Invocation<'s> {
        repo.worktree(&[&["batch", "--stagger", "0s", "--stack", "--json"], args].concat())
    }

    #[track_caller]
    fn assert_starts_from(repo: &Repo<'_>, lane: &str, work: &str) {
        let session = repo.inspect(&[lane]);
        let start = text(&session["worktree"]["base_commit"]);
        let is_in = repo.try_git(&["merge-base", "--is-ancestor", work, start]);
        assert_eq!(is_in.code, Some(0), "{lane} starts at {start}, without {work}");
    }

    #[test]
    fn a_ticket_starts_from_the_work_of_all_that_it_needs() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ticket_with("T-3", "Needs both", "deps: [T-1, T-2]\n");
        repo.commit_all("Deps");
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        pi.plays_for("T-3", "cat work-T-1.txt work-T-2.txt && commit; answer stop");
        let main = repo.rev_parse("main");
        drop(batch(&repo, &["T-1", "T-2", "T-3"]).run().ok());
        assert_eq!(repo.rev_parse("main"), main, "nothing is merged");
        let third = repo.inspect(&["T-3"]);
        assert_eq!((&third["outcome"], &third["work"]["commits"]), (&json!("succeeded"), &json!(1)));
        assert_eq!(third["worktree"]["base_ref"], "main");
        for tip in ["ralph/T-1", "ralph/T-2"] {
            assert_starts_from(&repo, "T-3", tip);
        }
        // And what was finished in an earlier batch is started from too.
        repo.ticket_with("T-4", "Needs the third", "deps: [T-3]\n");
        drop(batch(&repo, &["T-4"]).run().ok());
        assert_starts_from(&repo, "T-4", "ralph/T-3");
    }

    #[test]
    fn also_where_the_plain_lane_of_what_it_needs_started_from_the_base_that_is_named() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
        repo.commit_all("Deps");
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        assert_eq!(repo.finished(&["T-1"])["lane"], "T-1");
        drop(batch(&repo, &["T-2", "--base", "main"]).run().ok());
        assert_starts_from(&repo, "T-2@main", "ralph/T-1");
    }

    #[test]
    fn also_where_the_only_lane_of_what_it_needs_was_made_for_another_base() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
        repo.commit_all("Deps");
        repo.branch("rel", "main");
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        let first = repo.finished(&["T-1", "--base", "rel"]);
        assert_eq!(first["lane"], "T-1@rel");
        drop(batch(&repo, &["T-2"]).run().ok());
        assert_starts_from(&repo, "T-2", text(&first["worktree"]["branch"]));
    }

    #[test]
    fn also_where_that_was_merged_before_and_was_opened_again() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
        repo.commit_all("Deps");
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("commit work-$ticket-$attempt.txt; answer stop");
        pi.plays_for("T-2", "cat work-T-1-1.txt work-T-1-2.txt && commit; answer stop");
        drop(run(&repo, &["T-1"]).run().ok());
        reopen(&repo, &["T-1"]);
        drop(batch(&repo, &["T-1", "T-2"]).run().ok());
        assert_eq!([pi.calls("T-1"), pi.calls("T-2")], [2, 1]);
    }

    #[test]
    fn whose_record_cannot_be_read_nothing_is_started_without() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ticket_with("T-2", "Needs one", "deps: [T-1]\n");
        repo.commit_all("Deps");
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        pi.plays_for("T-1", "here; wait_for_go; commit; answer stop");
        let running = batch(&repo, &["T-1", "T-2"]).spawn();
        pi.wait_here("T-1");
        let lanes = repo.store().join("lanes");
        fs::write(lanes.join(only(names_in(&lanes))).join("lane.json"), "{").unwrap();
        pi.go("T-1");
        let events = running.wait().expect_code(1).json_lines();
        let skipped = only(events.iter().filter(|event| event["event"] == "skipped").collect::<Vec<_>>());
        assert_eq!((&skipped["lane"], &skipped["why"]["kind"]), (&json!("T-2"), &json!("dep_unreadable")));
        let reason = text(&skipped["why"]["reason"]);
        assert!(reason.contains("lane.json is damaged"), "{reason}");
        assert_eq!(pi.calls("T-2"), 0);
    }

    #[test]
    fn works_that_do_not_go_together_are_told_before_anything_is_launched_on_them() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ticket_with("T-3", "Needs both", "deps: [T-1, T-2]\n");
        repo.commit_all("Deps");
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("echo $ticket >shared.txt; git add .; git commit -qm work; answer stop");
        let events = batch(&repo, &["T-1", "T-2", "T-3"]).run().expect_code(1).json_lines();
        let skipped: Vec<&Value> = events.iter().filter(|event| event["event"] == "skipped").collect();
        assert_eq!(only(skipped)["why"], json!({ "kind": "deps_conflict", "files": ["shared.txt"] }));
        assert_eq!(pi.calls("T-3"), 0);
        assert!(fs::read_dir(repo.path().with_file_name("app.ralph")).unwrap().count() >= 2);
    }
}
