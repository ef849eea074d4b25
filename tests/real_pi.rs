//! The real pi against the model server, without ralph: what ralph's own tests of it rest on.

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
