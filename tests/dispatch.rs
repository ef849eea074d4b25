//! `ralph worktree dispatch`: one ticket to one running session, what it says, and how it exits.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, DOES_NOTHING, NEVER_ENDS};
use crate::helpers::lanes::{RESULT, keys, only, refused, text};
use crate::helpers::tree::Tree;
use crate::helpers::{Repo, Sandbox, ScriptedPi};

#[test]
fn it_returns_while_the_agent_works_with_a_result_that_says_where_everything_is() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("here; wait_for_go; commit; answer stop");
    let result = repo.dispatch(&["T-1"]);
    let agent = pi.wait_here("T-1");
    assert_eq!(keys(&result), RESULT);
    let session = repo.common_dir().join(format!("ralph/sessions/{}", text(&result["session_id"])));
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!(
        result,
        json!({
            "schema_version": 1, "status": "launched", "ticket_id": "T-1", "lane": "T-1",
            "session_id": result["session_id"], "pid": agent.pid, "worktree": tree.path(), "branch": "ralph/T-1",
            "base_commit": repo.head(), "manifest": tree.path().join(".ralph/manifest.json"),
            "output": { "stdout": session.join("stdout"), "stderr": session.join("stderr"), "truncated_bytes": 0 },
            "error": null,
        })
    );
    let shown: Value = serde_json::from_str(&tree.read(".ralph/manifest.json")).unwrap();
    assert_eq!((&shown["state"], &shown["process"]["agent"]["pid"]), (&json!("running"), &json!(agent.pid)));
    assert_eq!(repo.inspect(&["T-1"]), shown);
    pi.go("T-1");
    drop(repo.worktree(&["wait", "T-1"]).run().ok());
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 1"]);
}

#[test]
fn people_are_told_what_runs_where_and_what_to_do_next() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("wait_for_go; answer stop");
    let said = repo.worktree(&["dispatch", "T-1"]).run().ok();
    let pid = format!(", pid {}\n", pi.call("T-1", 1).pid);
    let stdout = sandbox.redact(&said.stdout.replace(&pid, ", pid [PID]\n"));
    insta::assert_snapshot!(stdout, @r"
    T-1 runs: session [UUID], pid [PID]
      worktree  [SANDBOX]/work/app.ralph/t-1-d73f0481
      branch    ralph/T-1
    ");
    assert_eq!(
        said.stderr,
        "ralph: follow it: ralph worktree logs -f T-1 · end it: ralph worktree stop T-1\n"
    );
    pi.go("T-1");
    let waited = repo.worktree(&["wait", "T-1"]).run().expect_code(1);
    assert_eq!(waited.stdout, "T-1 no_changes (0 commits on ralph/T-1)\n");
}

#[test]
fn the_agent_is_given_the_prompt_the_worktree_and_who_it_is() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    let manifest =
        repo.finished(&["T-1", "--workflow", "/tf", "--flags", "--auto --fast", "--", "--model", "m"]);
    let call = pi.call("T-1", 1);
    assert_eq!(call.prompt(), Some("/tf T-1 --auto --fast"));
    assert_eq!(call.option("--session"), manifest["agent"]["session_file"].as_str());
    assert_eq!((call.option("--model"), call.option("--mode")), (Some("m"), None));
    assert_eq!(json!(call.args), manifest["agent"]["argv"]);
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!(call.folder, tree.path());
    let given = |name: &str| call.env[name].clone();
    assert_eq!(given("RALPH_SESSION_ID"), text(&manifest["session_id"]));
    assert_eq!((given("RALPH_TICKET_ID"), given("RALPH_BASE_COMMIT")), ("T-1".to_owned(), repo.head()));
    assert_eq!(given("RALPH_WORKTREE"), tree.path().to_str().unwrap());
    assert_eq!(
        (given("GIT_CONFIG_KEY_0"), given("GIT_CONFIG_VALUE_0")),
        ("maintenance.auto".into(), "false".into())
    );
    assert_eq!((given("GIT_CONFIG_KEY_1"), given("GIT_CONFIG_VALUE_1")), ("gc.auto".into(), "0".into()));
    assert_eq!(given("GIT_CONFIG_COUNT"), "2");
    assert_eq!(call.files[&0].to_str(), Some("/dev/null"));
    assert_eq!(call.pgid, call.pid);
    assert_eq!(
        (&manifest["agent"]["version"], &manifest["agent"]["program"]),
        (&json!("0.74.2"), &json!(sandbox.bin().join("pi")))
    );
}

#[test]
fn waiting_exits_by_the_outcome_and_prints_the_final_manifest_only() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    for (ticket, play, code, outcome, line) in [
        ("T-1", COMMITS, 0, "succeeded", "T-1 succeeded (1 commit on ralph/T-1)\n"),
        ("T-2", DOES_NOTHING, 1, "no_changes", "T-2 no_changes (0 commits on ralph/T-2)\n"),
        (
            "T-3",
            "echo x >new; answer stop",
            1,
            "uncommitted",
            "T-3 uncommitted: 1 new file is not committed (0 commits on ralph/T-3)\n",
        ),
        (
            "T-4",
            "commit; fails",
            1,
            "failed",
            "T-4 failed: the agent exited with status 1: 500 stub failure (1 commit on ralph/T-4)\n",
        ),
    ] {
        pi.plays_for(ticket, play);
        let ended = repo.worktree(&["dispatch", ticket, "--wait", "--json"]).run().expect_code(code);
        assert_eq!((ended.json()["outcome"].as_str(), ended.stderr.as_str()), (Some(outcome), ""), "{ended}");
        assert_eq!(ended.json(), repo.inspect(&[ticket]));
        let waited = repo.worktree(&["wait", ticket]).run().expect_code(code);
        assert_eq!(waited.stdout, line);
        let complaint = waited.stderr.contains(&format!("ralph worktree logs --stderr {ticket}"));
        assert_eq!(complaint, outcome == "failed", "{waited}");
    }
    pi.plays("here; forever");
    let ended =
        repo.worktree(&["dispatch", "T-1", "--wait", "--timeout", "10ms", "--json"]).run().expect_code(1);
    assert_eq!(ended.json()["outcome"], "timed_out");
}

#[test]
fn ctrl_c_while_waiting_ends_the_session_and_exits_130() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(NEVER_ENDS);
    let running = repo.worktree(&["dispatch", "T-1", "--wait", "--json"]).spawn();
    let agent = pi.wait_here("T-1");
    running.wait_until_it_listens();
    running.signal(Signal::INT);
    let ended = running.wait().expect_code(130);
    assert_eq!(ended.json()["outcome"], "stopped");
    assert!(!agent.is_alive());
}

#[test]
fn a_dry_run_prints_the_full_plan_and_changes_nothing() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    let before = Tree::of(sandbox.path("."));
    let plan = repo.dispatch(&["T-1", "--dry-run", "--", "--model", "two words"]);
    let shown = repo.worktree(&["dispatch", "T-1", "--dry-run", "--", "--model", "two words"]).run().ok();
    before.assert_unchanged(sandbox.path("."));
    assert_eq!(keys(&plan), [&RESULT[..], &["plan"]].concat());
    assert_eq!(
        (&plan["status"], &plan["pid"], &plan["error"]),
        (&json!("dry_run"), &Value::Null, &Value::Null)
    );
    let lines = sandbox.redact(&shown.stdout.replace(&repo.head()[..12], "[BASE]"));
    insta::assert_snapshot!(lines, @r"
    lane       T-1 (attempt 1)
    worktree   [SANDBOX]/work/app.ralph/t-1-d73f0481 (to be created)
    branch     ralph/T-1 (to be created)
    base       main ([BASE])
    program    [SANDBOX]/bin/pi
      argument --session
      argument [SANDBOX]/work/app/.git/ralph/sessions/[UUID]/pi-session.jsonl
      argument -np
      argument --prompt-template
      argument [SANDBOX]/work/app.ralph/t-1-d73f0481/.pi/prompts/tf.md
      argument --model
      argument 'two words'
      argument -p
      argument '/tf T-1 --auto'
    adds       RALPH_SESSION_ID RALPH_TICKET_ID RALPH_WORKTREE RALPH_BASE_COMMIT GIT_CONFIG_COUNT GIT_CONFIG_KEY_0 GIT_CONFIG_VALUE_0 GIT_CONFIG_KEY_1 GIT_CONFIG_VALUE_1
    stdout     [SANDBOX]/work/app/.git/ralph/sessions/[UUID]/stdout
    stderr     [SANDBOX]/work/app/.git/ralph/sessions/[UUID]/stderr
    manifest   [SANDBOX]/work/app.ralph/t-1-d73f0481/.ralph/manifest.json
    ");
    // What is then run is what was planned, but for the session's id.
    let planned = |text: &str, id: &Value| text.replace(id.as_str().unwrap(), "[ID]");
    let manifest = repo.finished(&["T-1", "--", "--model", "two words"]);
    for (planned_at, found_at) in [
        ("/worktree", "/worktree/path"),
        ("/branch", "/worktree/branch"),
        ("/base_commit", "/worktree/base_commit"),
        ("/plan/base_ref", "/worktree/base_ref"),
        ("/plan/program", "/agent/program"),
        ("/plan/version", "/agent/version"),
        ("/plan/argv", "/agent/argv"),
        ("/output", "/output"),
    ] {
        let was = planned(&plan.pointer(planned_at).unwrap().to_string(), &plan["session_id"]);
        let is = planned(&manifest.pointer(found_at).unwrap().to_string(), &manifest["session_id"]);
        assert_eq!(was, is, "{planned_at}");
    }
    for name in plan["plan"]["environment_added"].as_array().unwrap() {
        assert!(pi.call("T-1", 1).env.contains_key(text(name)));
    }
    let again = repo.dispatch(&["T-1", "--dry-run"]);
    assert_eq!(
        (&again["plan"]["worktree_exists"], &again["plan"]["branch_exists"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(pi.calls("T-1"), 1);
}

#[test]
fn output_is_shown_live_on_request_or_discarded_but_for_pis_own_record() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("echo first; here; wait_for_go; commit; answer stop 'All done.'; echo second >&2");
    let running = repo.worktree(&["dispatch", "T-1", "--output", "inherit"]).spawn();
    pi.wait_here("T-1");
    running.wait_for("first\n");
    pi.go("T-1");
    let ended = running.wait().ok();
    assert_eq!(ended.stdout, "first\nAll done.\nT-1 succeeded (1 commit on ralph/T-1)\n");
    // The terminal is never the agent's, not even then; and what was shown is kept.
    assert!(pi.call("T-1", 1).files[&1].ends_with("stdout"));
    assert_eq!(repo.worktree(&["logs", "--raw", "T-1"]).run().ok().stdout, "first\nAll done.\n");

    pi.plays("commit; answer stop; echo noise");
    let manifest = repo.finished(&["T-2", "--output", "discard"]);
    assert_eq!((&manifest["outcome"], &manifest["output"]["stdout"]), (&json!("succeeded"), &Value::Null));
    let session = repo.common_dir().join(format!("ralph/sessions/{}", text(&manifest["session_id"])));
    assert!(!session.join("stdout").exists() && session.join("pi-session.jsonl").exists());
    let error = repo.worktree(&["logs", "--raw", "T-2", "--json"]).run().expect_code(3).error();
    assert_eq!(error["message"], "the output of T-2 was discarded");
    assert!(repo.worktree(&["logs", "T-2"]).run().ok().stdout.contains("Done."));
}

#[test]
fn pi_is_asked_for_json_from_0_84_on_or_when_it_is_wanted() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    for (version, flags, mode) in [
        ("0.74.2", &[][..], None),
        ("0.74.2", &["--capture", "json"], Some("json")),
        ("0.84.0", &[], Some("json")),
        ("1.5.2", &[], Some("json")),
        ("1.5.2", &["--capture", "text"], None),
    ] {
        let pi = ScriptedPi::of_version(&sandbox, version);
        let manifest = repo.finished(&[&["T-1"], flags].concat());
        let attempt = manifest["attempt"].as_u64().unwrap().try_into().unwrap();
        assert_eq!(pi.call("T-1", attempt).option("--mode"), mode, "{version} {flags:?}");
        assert_eq!(manifest["agent"]["version"], version);
        assert_eq!(manifest["outcome"], "no_changes");
    }
}

#[test]
fn a_session_does_not_dispatch_another() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    let ralph = env!("CARGO_BIN_EXE_ralph");
    let said = sandbox.path("said");
    pi.plays(&format!(
        "code=0; {ralph} worktree dispatch T-2 2>'{0}' || code=$?; echo $code >>'{0}'; answer stop",
        said.display()
    ));
    let manifest = repo.finished(&["T-1"]);
    let said = fs::read_to_string(said).unwrap();
    let session = text(&manifest["session_id"]);
    assert!(
        said.contains(&format!("this is session {session} itself: a session does not dispatch another")),
        "{said}"
    );
    assert!(said.ends_with("\n4\n"), "{said}");
    assert_eq!(pi.tickets_called(), ["T-1"]);
    // But it may look.
    drop(repo.worktree(&["list"]).env("RALPH_SESSION_ID", session).run().ok());
    refused(&sandbox, repo.worktree(&["dispatch", "T-2"]).env("RALPH_SESSION_ID", session), 4);
}

#[test]
fn a_lane_that_runs_is_refused_with_its_session_and_continued_once_that_ended() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays_on("T-1", 1, "here; wait_for_go; commit; answer stop");
    pi.plays_on("T-1", 2, COMMITS);
    let first = repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    let error = refused(&sandbox, repo.worktree(&["dispatch", "T-1"]), 4);
    assert_eq!(error["message"], format!("T-1 is already running, session {}", text(&first["session_id"])));
    assert!(text(&error["hint"]).contains("ralph worktree stop T-1"), "{error}");
    pi.go("T-1");
    drop(repo.worktree(&["wait", "T-1"]).run().ok());
    let second = repo.finished(&["T-1"]);
    assert_eq!((&second["attempt"], &second["work"]["commits"]), (&json!(2), &json!(1)));
    assert_ne!(second["session_id"], first["session_id"]);
    assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 2", "T-1: attempt 1"]);
    assert_eq!(only(repo.lanes())["attempt"], 2);
}
