//! The real pi against the model server: alone, which is what the rest stands on, and under ralph.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::helpers::real_pi::folder;
use crate::helpers::{Finished, ModelServer, RealPi, Repo, Sandbox, Turn, process, wait};

/// pi as ralph starts it, in `repo`, about the ticket T-1.
fn call<'s>(sandbox: &'s Sandbox, repo: &Repo<'_>, args: &[&str]) -> crate::helpers::command::Invocation<'s> {
    let session = sandbox.path("sessions/one/pi.jsonl");
    let call = sandbox.run("pi", args).in_dir(repo);
    call.arg("--session").arg(session).arg("-p").arg("/tf T-1 --auto")
}

fn run(pi: &RealPi, sandbox: &Sandbox, turns: impl IntoIterator<Item = Turn>) -> (Finished, usize) {
    let repo = Repo::new(sandbox);
    let server = ModelServer::start();
    server.plays("T-1", turns);
    pi.install(sandbox, &server);
    let ended = call(sandbox, &repo, &[]).run();
    (ended, server.requests_about("T-1").len())
}

/// The assistant's messages in pi's session file.
fn answers(sandbox: &Sandbox) -> Vec<Value> {
    let text = fs::read_to_string(sandbox.path("sessions/one/pi.jsonl")).unwrap();
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let messages =
        entries.filter(|entry| entry["type"] == "message").map(|mut entry| entry["message"].take());
    messages.filter(|message| message["role"] == "assistant").collect()
}

fn stop_reasons(sandbox: &Sandbox) -> Vec<String> {
    answers(sandbox).iter().map(|answer| answer["stopReason"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn its_lock_file_names_the_exact_version_and_no_registry() {
    let read = |name: &str| {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let wanted = "@earendil-works/pi-coding-agent";
    assert_eq!(read("package.json")["dependencies"][wanted], "0.74.2");
    let lock = read("package-lock.json");
    let packages = lock["packages"].as_object().unwrap();
    assert_eq!(packages[&format!("node_modules/{wanted}")]["version"], "0.74.2");
    for (name, package) in packages.iter().filter(|(name, _)| !name.is_empty()) {
        let source = package["resolved"].as_str().unwrap_or("https://registry.npmjs.org/");
        assert!(source.starts_with("https://registry.npmjs.org/"), "{name} comes from {source}");
        assert!(package["integrity"].is_string(), "{name} has no checksum");
    }
}

#[test]
fn a_tool_call_commits_and_the_session_file_says_how_it_ended_and_what_it_cost() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let commit = "echo done > work.txt && git add work.txt && git commit -q -m 'Work on T-1'";
    let turns = [Turn::bash(commit).using(1000, 10).in_deltas_of(4), Turn::text("All done.").using(2000, 20)];
    let (ended, requests) = run(&pi, &sandbox, turns);
    assert_eq!((ended.code, ended.stdout.as_str(), requests), (Some(0), "All done.\n", 2), "{ended}");
    assert_eq!(Repo::at(&sandbox, sandbox.work().join("app")).log("main"), ["Work on T-1", "Start"]);
    assert_eq!(stop_reasons(&sandbox), ["toolUse", "stop"]);
    let usage = answers(&sandbox).iter().map(|answer| answer["usage"].clone()).collect::<Vec<_>>();
    assert_eq!((&usage[0]["input"], &usage[1]["output"]), (&Value::from(1000), &Value::from(20)));
    let cost: f64 = usage.iter().map(|usage| usage["cost"]["total"].as_f64().unwrap()).sum();
    assert!(
        (cost - 0.033).abs() < 1e-9,
        "3000 tokens in at 10 and 30 out at 100 dollars a million, not {cost}"
    );
}

#[test]
fn the_prompt_is_the_projects_template_filled_in() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let server = ModelServer::start();
    server.plays("T-1", [Turn::text("ok")]);
    pi.install(&sandbox, &server);
    drop(call(&sandbox, &repo, &[]).run().ok());
    let request = server.wait_for_request("T-1", 1);
    let said = request.body["messages"].to_string();
    assert!(said.contains("Work on the ticket T-1. Arguments: T-1 --auto"), "{said}");
}

#[test]
fn a_server_that_always_fails_is_exit_1_after_twelve_tries() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let (ended, requests) = run(&pi, &sandbox, [Turn::error(500)]);
    assert_eq!((ended.code, requests), (Some(1), 12), "{ended}");
    assert!(ended.stderr.contains("stub failure"), "{ended}");
    assert_eq!(stop_reasons(&sandbox).last().map(String::as_str), Some("error"));
}

#[test]
fn rate_limits_are_waited_out() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let (ended, requests) = run(&pi, &sandbox, [Turn::rate_limit(4), Turn::text("at last")]);
    assert_eq!((ended.code, ended.stdout.as_str(), requests), (Some(0), "at last\n", 5), "{ended}");
    assert_eq!(stop_reasons(&sandbox).last().map(String::as_str), Some("stop"));
}

#[test]
fn a_stream_that_is_always_cut_is_exit_1() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let (ended, _) = run(&pi, &sandbox, [Turn::cut("half an ans")]);
    assert_eq!(ended.code, Some(1), "{ended}");
    assert!(ended.stderr.contains("ended without finish_reason"), "{ended}");
    assert_eq!(stop_reasons(&sandbox).last().map(String::as_str), Some("error"));
}

#[test]
fn an_answer_cut_at_the_models_limit_is_exit_0_with_that_reason() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let (ended, _) = run(&pi, &sandbox, [Turn::length("too lo")]);
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_eq!(stop_reasons(&sandbox), ["length"]);
}

#[test]
fn sigterm_while_the_model_is_silent_is_exit_143() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let server = ModelServer::start();
    server.plays("T-1", [Turn::hang()]);
    pi.install(&sandbox, &server);
    let running = call(&sandbox, &repo, &[]).spawn();
    server.wait_for_request("T-1", 1);
    running.signal(Signal::TERM);
    drop(running.wait().expect_code(143));
    sandbox.wait_until_quiet();
}

#[test]
fn sigterm_while_a_tool_runs_ends_the_tool_which_is_in_a_session_of_its_own() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let server = ModelServer::start();
    server.plays("T-1", [Turn::bash("exec sleep 1000")]);
    pi.install(&sandbox, &server);
    let running = call(&sandbox, &repo, &[]).spawn();
    let tool = wait::until("pi's tool", || {
        process::all().into_iter().find(|p| p.ppid == running.pid() && p.command == "sleep 1000")
    });
    assert_eq!((tool.pgid, tool.sid), (tool.pid, tool.pid));
    running.signal(Signal::TERM);
    drop(running.wait().expect_code(143));
    sandbox.wait_until_quiet();
}

#[test]
fn several_sessions_talk_to_one_server_at_once() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = Sandbox::new();
    let server = ModelServer::start();
    pi.install(&sandbox, &server);
    let tickets = ["T-1", "T-2", "T-3"];
    let repo = Repo::new(&sandbox);
    for ticket in tickets {
        server.plays(ticket, [Turn::text(format!("{ticket} is done"))]);
    }
    let running = tickets
        .map(|ticket| sandbox.run("pi", &["-p", &format!("/tf {ticket} --auto")]).in_dir(&repo).spawn());
    let said = running.map(|running| running.wait().ok().stdout);
    assert_eq!(said, ["T-1 is done\n", "T-2 is done\n", "T-3 is done\n"]);
}

mod under_ralph {
    use serde_json::json;

    use super::*;
    use crate::helpers::lanes::{assert_close, text};

    /// A repository, and the model that its pi talks to.
    fn world<'s>(
        pi: &RealPi,
        sandbox: &'s Sandbox,
        turns: impl IntoIterator<Item = Turn>,
    ) -> (Repo<'s>, ModelServer) {
        let repo = Repo::new(sandbox);
        let server = ModelServer::start();
        server.plays("T-1", turns);
        pi.install(sandbox, &server);
        (repo, server)
    }

    const COMMIT: &str = "echo done > work.txt && git add work.txt && git commit -q -m 'Work on T-1'";

    #[test]
    fn a_ticket_that_is_worked_on_succeeds_with_all_that_it_cost_and_can_be_read_and_opened() {
        let Some(pi) = RealPi::find_or_skip() else { return };
        let sandbox = Sandbox::new();
        let turns =
            [Turn::bash(COMMIT).using(1000, 10).in_deltas_of(4), Turn::text("All done.").using(2000, 20)];
        let (repo, server) = world(&pi, &sandbox, turns);
        let manifest = repo.finished(&["T-1"]);
        assert_eq!(
            (&manifest["outcome"], &manifest["reason"]),
            (&json!("succeeded"), &Value::Null),
            "{manifest:#}"
        );
        assert_eq!(
            (&manifest["exit"]["stop_reason"], &manifest["work"]["commits"]),
            (&json!("stop"), &json!(1))
        );
        let usage = &manifest["usage"];
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(3000), &json!(30)));
        assert_close(&usage["cost_usd"], 0.033);
        assert_eq!(
            (&usage["model"], &manifest["agent"]["version"]),
            (&json!("stub/stub-1"), &json!("0.74.2"))
        );
        let session = text(&manifest["agent"]["session_file"]);
        assert!(session.starts_with(repo.common_dir().join("ralph/sessions").to_str().unwrap()), "{session}");
        assert!(fs::metadata(session).unwrap().is_file());
        let tree = repo.tree_of(&sandbox, "T-1");
        assert_eq!(
            (tree.log("main..HEAD"), tree.status_porcelain()),
            (vec!["Work on T-1".to_owned()], vec![])
        );
        let asked = server.wait_for_request("T-1", 1).body["messages"].to_string();
        assert!(asked.contains("Work on the ticket T-1. Arguments: T-1 --auto"), "{asked}");

        let logs = repo.worktree(&["logs", "T-1"]).run().ok().stdout;
        assert!(logs.contains("Work on the ticket T-1. Arguments: T-1 --auto"), "{logs}");
        assert!(logs.contains("→ bash: echo done > work.txt") && logs.ends_with("● All done.\n"), "{logs}");
        assert_eq!(repo.worktree(&["logs", "--raw", "T-1"]).run().ok().stdout, "All done.\n");
        // For a person: the conversation is on the screen, in the worktree.
        let mut opened = repo.worktree(&["attach", "T-1"]).env("TERM", "xterm").on_terminal();
        opened.wait_for("All done.");
        opened.type_text("\u{4}");
        drop(opened.wait());
        assert_eq!(repo.inspect(&["T-1"]), manifest);
        assert_eq!(server.requests().len(), 2);
    }

    #[test]
    fn a_model_that_fails_is_a_failed_session_that_names_the_error() {
        let Some(pi) = RealPi::find_or_skip() else { return };
        let sandbox = Sandbox::new();
        let (repo, server) = world(&pi, &sandbox, [Turn::error(500)]);
        let ended = repo.worktree(&["dispatch", "T-1", "--wait"]).run().expect_code(1);
        assert!(
            ended.stdout.starts_with("T-1 failed: the agent exited with status 1: 500 stub failure"),
            "{ended}"
        );
        assert_eq!(server.requests_about("T-1").len(), 12);
        assert_eq!(repo.inspect(&["T-1"])["exit"]["stop_reason"], "error");
    }

    #[test]
    fn in_json_mode_an_error_that_pi_exits_0_for_is_no_success_either() {
        let Some(pi) = RealPi::find_or_skip() else { return };
        let sandbox = Sandbox::new();
        let turns = [Turn::bash(COMMIT), Turn::cut("half an ans")];
        let (repo, _server) = world(&pi, &sandbox, turns);
        let manifest = repo.finished(&["T-1", "--capture", "json"]);
        assert_eq!((&manifest["exit"]["code"], &manifest["work"]["commits"]), (&json!(0), &json!(1)));
        assert_eq!(manifest["outcome"], "failed", "{manifest:#}");
        assert!(text(&manifest["reason"]).contains("ended without finish_reason"), "{manifest:#}");
        let events = repo.worktree(&["logs", "--raw", "T-1"]).run().ok().json_lines();
        assert_eq!(events[0]["type"], "session");
        assert!(events.iter().any(|event| event["type"] == "agent_end"));
    }

    #[test]
    fn rate_limits_that_pi_waits_out_are_no_failure() {
        let Some(pi) = RealPi::find_or_skip() else { return };
        let sandbox = Sandbox::new();
        let turns = [Turn::rate_limit(4), Turn::bash(COMMIT), Turn::text("at last")];
        let (repo, server) = world(&pi, &sandbox, turns);
        let manifest = repo.finished(&["T-1"]);
        assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        assert_eq!(server.requests_about("T-1").len(), 6);
    }

    #[test]
    fn a_model_that_never_answers_ends_at_the_timeout_and_nothing_is_left() {
        let Some(pi) = RealPi::find_or_skip() else { return };
        let sandbox = Sandbox::new();
        let (repo, _server) = world(&pi, &sandbox, [Turn::hang()]);
        let manifest = repo.finished(&["T-1", "--timeout", "3s"]);
        assert_eq!(
            (&manifest["outcome"], &manifest["exit"]["ended_by"]),
            (&json!("timed_out"), &json!("timeout"))
        );
        assert_eq!(manifest["exit"]["forced"], false, "{manifest:#}");
        sandbox.wait_until_quiet();
    }

    #[test]
    fn stopping_leaves_nothing_of_what_its_tools_started_in_sessions_of_their_own() {
        let Some(pi) = RealPi::find_or_skip() else { return };
        let sandbox = Sandbox::new();
        let tool = "setsid sleep 1001 >/dev/null 2>&1 & exec sleep 1002";
        let (repo, _server) = world(&pi, &sandbox, [Turn::bash(tool)]);
        repo.dispatch(&["T-1"]);
        let find = |command: &str| {
            wait::until(command, || sandbox.processes().into_iter().find(|p| p.command == command))
        };
        let sleepers = [find("sleep 1001"), find("sleep 1002")];
        assert_ne!(sleepers[0].sid, sleepers[1].sid);
        let ended = repo.worktree(&["stop", "T-1"]).run().ok();
        assert!(ended.stdout.starts_with("T-1 stopped: ended on request"), "{ended}");
        assert!(sleepers.iter().all(|sleeper| !sleeper.is_alive()));
        sandbox.wait_until_quiet();
        assert_eq!(repo.inspect(&["T-1"])["exit"]["forced"], false);
    }

    #[test]
    fn without_its_prompt_nothing_is_asked_of_the_model() {
        let Some(pi) = RealPi::find_or_skip() else { return };
        let sandbox = Sandbox::new();
        let (repo, server) = world(&pi, &sandbox, [Turn::text("What is /tf?")]);
        repo.git(&["rm", "-q", "-r", ".pi"]);
        repo.commit_all("No prompts");
        let error = repo.worktree(&["dispatch", "T-1", "--json"]).run().expect_code(5).error();
        assert!(text(&error["message"]).starts_with("could not find the prompt \"/tf\" of pi"), "{error}");
        assert_eq!(server.requests().len(), 0);
        assert_eq!(repo.inspect(&["T-1"])["outcome"], "launch_failed");
    }
}
