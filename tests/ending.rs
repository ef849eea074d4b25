//! How sessions are ended, and that whatever the way, nothing of their process trees is left.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::NEVER_ENDS;
use crate::helpers::process::Process;
use crate::helpers::{Repo, Running, Sandbox, ScriptedPi, Session, wait};

/// An agent with what could outlive it: a process in a session of its own, and a daemon that has forked twice and
/// emptied its environment.
const WITH_SURVIVORS: &str = "leave child; leave_daemon daemon; here; forever";
/// The same, and neither agent nor survivors listen to SIGTERM.
const DEAF_WITH_SURVIVORS: &str =
    "leave child stubborn; leave_daemon daemon stubborn; ignore_term; here; forever";

/// How a session that ralph ended must have ended.
#[track_caller]
fn assert_ended(manifest: &Value, outcome: &str, ended_by: &str, forced: bool) {
    let seen = (&manifest["outcome"], &manifest["exit"]["ended_by"], &manifest["exit"]["forced"]);
    assert_eq!(seen, (&json!(outcome), &json!(ended_by), &json!(forced)), "{manifest:#}");
}

/// The agent of the session, once it and all that it leaves behind are there.
fn survivors(pi: &ScriptedPi, ticket: &str) -> Vec<Process> {
    ["child", "daemon", ticket].map(|name| pi.wait_here(name)).to_vec()
}

#[track_caller]
fn assert_gone(processes: &[Process]) {
    let alive: Vec<&Process> = processes.iter().filter(|process| process.is_alive()).collect();
    assert!(alive.is_empty(), "still alive: {alive:#?}");
}

/// Waits until the process catches the signals.
fn wait_until_caught(pid: i32, signals: &[Signal]) {
    wait::until("the program to listen to signals", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"))?;
        let caught = u64::from_str_radix(caught.trim(), 16).ok()?;
        let mask = signals.iter().fold(0, |mask, signal| mask | 1 << (signal.as_raw() - 1));
        (caught & mask == mask).then_some(())
    });
}

/// A dispatcher that stays, and whose session runs.
fn staying(repo: &Repo<'_>, pi: &ScriptedPi, args: &[&str]) -> (Running, Session) {
    let mut words = vec!["worktree", "dispatch", "T-1", "--wait", "--json"];
    words.extend(args);
    let dispatcher = repo.ralph(&words).spawn();
    pi.wait_here("T-1");
    let session = Session::only(repo);
    session.wait_for_state("running");
    (dispatcher, session)
}

mod limits {
    use super::*;

    #[test]
    fn a_session_is_ended_at_its_timeout_and_nothing_of_it_is_left() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(WITH_SURVIVORS);
        let manifest = repo.finish("T-1", &["--timeout=1s"]);
        sandbox.assert_nothing_runs();
        assert_ended(&manifest, "timed_out", "timeout", false);
        assert_eq!(manifest["exit"]["code"], 143);
        assert_eq!(manifest["limits"]["timeout_s"], 1);
    }

    #[test]
    fn a_session_without_a_sign_of_life_is_ended_at_its_idle_timeout() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let manifest = repo.finish("T-1", &["--idle-timeout=500ms", "--timeout=10m"]);
        sandbox.assert_nothing_runs();
        assert_ended(&manifest, "timed_out", "idle", false);
        assert!(manifest["reason"].as_str().unwrap().contains("idle timeout"), "{manifest:#}");
    }

    #[test]
    fn an_agent_that_writes_is_not_idle_however_long_it_runs() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(
            "end=$(($(date +%s) + 5)); while [ $(date +%s) -lt $end ]; do echo busy; sleep 0.1; done; answer",
        );
        let manifest = repo.finish("T-1", &["--idle-timeout=2s"]);
        assert_eq!(manifest["outcome"], "no_changes", "{manifest:#}");
        assert_eq!(manifest["exit"]["ended_by"], "agent");
    }

    #[test]
    fn the_session_file_and_standard_error_are_signs_of_life_too() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        let lives =
            "end=$(($(date +%s) + 4)); while [ $(date +%s) -lt $end ]; do SIGN; sleep 0.1; done; answer";
        pi.plays_for("T-1", &lives.replace("SIGN", "answer stop hm >/dev/null"));
        pi.plays_for("T-2", &lives.replace("SIGN", "echo hm >&2"));
        let session = Session::dispatch(&repo, "T-1", &["--idle-timeout=2s"]);
        let other = Session::dispatch(&repo, "T-2", &["--idle-timeout=2s"]);
        for session in [session, other] {
            assert_eq!(session.ended()["exit"]["ended_by"], "agent");
        }
    }

    #[test]
    fn a_session_that_ends_by_itself_in_time_is_not_timed_out() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; answer");
        let manifest = repo.finish("T-1", &["--timeout=10m", "--idle-timeout=10m"]);
        assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        assert_ended(&manifest, "succeeded", "agent", false);
    }
}

mod stop {
    use super::*;

    #[test]
    fn stop_once_asks_the_agent_to_end_and_leaves_nothing() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(WITH_SURVIVORS);
        let session = Session::dispatch(&repo, "T-1", &[]);
        let all = survivors(&pi, "T-1");
        let stopped = repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json();
        assert_gone(&all);
        sandbox.assert_nothing_runs();
        assert_eq!(stopped, session.ended());
        assert_ended(&stopped, "stopped", "stop", false);
        assert_eq!(stopped["exit"]["code"], 143);
        let wish: Value = serde_json::from_slice(&fs::read(session.dir.join("stop.json")).unwrap()).unwrap();
        assert_eq!(wish["uid"], rustix::process::getuid().as_raw());
        assert!(wish["requested_at"].is_string() && wish["pid"].is_number(), "{wish}");
    }

    #[test]
    fn a_supervisor_that_its_agent_froze_is_told_all_the_same() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("kill -STOP $PPID; here; forever");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        wait::until("the supervisor to be stopped", || (session.supervisor().state == 'T').then_some(()));
        let stopped = repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json();
        assert_eq!(stopped["outcome"], "stopped");
        sandbox.assert_nothing_runs();
    }

    #[test]
    fn a_tool_in_a_session_of_its_own_is_ended_by_the_agent_or_else_by_ralph() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("tool 'exec sleep 1000'");
        let session = Session::dispatch(&repo, "T-1", &[]);
        let tool = wait::until("the tool", || {
            session.marked().into_iter().find(|process| process.command == "sleep 1000")
        });
        assert_eq!(tool.sid, tool.pid);
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        assert_gone(&[tool]);
        sandbox.assert_nothing_runs();
    }

    #[test]
    fn an_agent_that_does_not_listen_is_killed_after_its_grace() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(DEAF_WITH_SURVIVORS);
        let session = Session::dispatch(&repo, "T-1", &["--grace=300ms"]);
        let all = survivors(&pi, "T-1");
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        assert_gone(&all);
        sandbox.assert_nothing_runs();
        let manifest = session.ended();
        assert_ended(&manifest, "stopped", "stop", true);
        assert_eq!((&manifest["exit"]["code"], &manifest["exit"]["signal"]), (&Value::Null, &json!(9)));
    }

    #[test]
    fn stop_now_waits_for_no_grace() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(DEAF_WITH_SURVIVORS);
        let session = Session::dispatch(&repo, "T-1", &["--grace=10m"]);
        let all = survivors(&pi, "T-1");
        drop(repo.ralph(&["worktree", "stop", "T-1", "--now"]).run().ok());
        assert_gone(&all);
        sandbox.assert_nothing_runs();
        assert_ended(&session.ended(), "stopped", "stop", true);
    }

    #[test]
    fn a_second_stop_does_not_wait_for_the_grace_of_the_first() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("ignore_term; here; forever");
        let session = Session::dispatch(&repo, "T-1", &["--grace=10m"]);
        pi.wait_here("T-1");
        let first = repo.ralph(&["worktree", "stop", "T-1"]).spawn();
        session.wait_for_state("stopping");
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        drop(first.wait().ok());
        assert_ended(&session.ended(), "stopped", "stop", true);
        sandbox.assert_nothing_runs();
    }

    #[test]
    fn two_stops_at_once_end_the_session_once() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(WITH_SURVIVORS);
        let session = Session::dispatch(&repo, "T-1", &[]);
        survivors(&pi, "T-1");
        let stops = [0, 1].map(|_| repo.ralph(&["worktree", "stop", "T-1", "--json"]).spawn());
        let answers = stops.map(|stop| stop.wait().ok().json());
        sandbox.assert_nothing_runs();
        let manifest = session.ended();
        assert_eq!(manifest["outcome"], "stopped", "{manifest:#}");
        assert_eq!(answers, [manifest.clone(), manifest]);
    }

    #[test]
    fn a_session_that_is_still_launching_is_stopped() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("leave child; here; forever");
        let gate = sandbox.path("gate");
        let dispatcher = repo
            .ralph(&["worktree", "dispatch", "T-1"])
            .env("RALPH_FAILPOINT", format!("supervise.before-spawn:wait={}", gate.display()))
            .spawn();
        wait::until("the session", || Session::all(&repo).pop()).wait_for_state("launching");
        let session = Session::only(&repo);
        let stop = repo.ralph(&["worktree", "stop", "T-1", "--json"]).spawn();
        wait::until("the wish", || session.dir.join("stop.json").exists().then_some(()));
        sandbox.write("gate", "");
        drop(dispatcher.wait());
        let stopped = stop.wait().ok().json();
        sandbox.assert_nothing_runs();
        assert_eq!(stopped, session.ended());
        assert_eq!(stopped["outcome"], "stopped", "{stopped:#}");
    }

    #[test]
    fn stop_now_of_a_session_that_is_still_launching_waits_for_no_grace() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("ignore_term; here; forever");
        let gate = sandbox.path("gate");
        let dispatcher = repo
            .ralph(&["worktree", "dispatch", "T-1", "--grace=10m"])
            .env("RALPH_FAILPOINT", format!("supervise.spawned:wait={}", gate.display()))
            .spawn();
        // The agent lives, and its supervisor has not come to its first look at what is wished.
        pi.wait_here("T-1");
        let session = Session::only(&repo);
        let stop = repo.ralph(&["worktree", "stop", "T-1", "--now"]).spawn();
        wait::until("the wish", || session.dir.join("stop.json").exists().then_some(()));
        sandbox.write("gate", "");
        drop((dispatcher.wait(), stop.wait().ok()));
        sandbox.assert_nothing_runs();
        assert_ended(&session.ended(), "stopped", "stop", true);
    }

    #[test]
    fn a_session_that_is_still_being_prepared_is_stopped() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let gate = sandbox.path("gate");
        let dispatcher = repo
            .ralph(&["worktree", "dispatch", "T-1"])
            .env("RALPH_FAILPOINT", format!("dispatch.begun:wait={}", gate.display()))
            .spawn();
        let session = wait::until("the session", || Session::all(&repo).pop());
        let stop = repo.ralph(&["worktree", "stop", "T-1"]).spawn();
        wait::until("the wish", || session.dir.join("stop.json").exists().then_some(()));
        sandbox.write("gate", "");
        drop((dispatcher.wait(), stop.wait().ok()));
        sandbox.assert_nothing_runs();
        assert_eq!(session.ended()["outcome"], "stopped");
    }

    #[test]
    fn a_session_that_has_ended_stays_as_it_is() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; answer");
        let manifest = repo.finish("T-1", &[]);
        let stop = repo.ralph(&["worktree", "stop", "T-1"]).run().ok();
        assert!(stop.stderr.contains("T-1 does not run"), "{stop}");
        let session = Session::only(&repo);
        assert_eq!(session.manifest(), manifest);
        assert!(!session.dir.join("stop.json").exists());
        assert_eq!(repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json(), manifest);
    }

    #[test]
    fn stop_all_ends_every_session_of_the_repository() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let sessions = ["T-1", "T-2", "T-3"].map(|ticket| Session::dispatch(&repo, ticket, &[]));
        for ticket in ["T-1", "T-2", "T-3"] {
            pi.wait_here(ticket);
        }
        let stopped = repo.ralph(&["worktree", "stop", "--all", "--json"]).run().ok();
        assert_eq!(stopped.json_lines().len(), 3);
        sandbox.assert_nothing_runs();
        for session in &sessions {
            assert_ended(&session.ended(), "stopped", "stop", false);
        }
        assert_eq!(repo.ralph(&["worktree", "stop", "--all", "--json"]).run().ok().stdout, "");
    }

    #[test]
    fn a_lane_that_is_not_there_is_not_found() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().refused(3, &["T-1"]);
    }
}

mod supervisors_told_to_end {
    use super::*;

    #[test]
    fn sigterm_without_a_wish_is_a_shutdown() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(WITH_SURVIVORS);
        let session = Session::dispatch(&repo, "T-1", &[]);
        let all = survivors(&pi, "T-1");
        session.supervisor().signal(Signal::TERM);
        let manifest = session.ended();
        assert_gone(&all);
        sandbox.assert_nothing_runs();
        assert_ended(&manifest, "stopped", "shutdown", false);
    }

    #[test]
    fn sigterm_twice_is_at_once() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(DEAF_WITH_SURVIVORS);
        let session = Session::dispatch(&repo, "T-1", &["--grace=10m"]);
        let all = survivors(&pi, "T-1");
        session.supervisor().signal(Signal::TERM);
        session.wait_for_state("stopping");
        session.supervisor().signal(Signal::TERM);
        let manifest = session.ended();
        assert_gone(&all);
        assert_ended(&manifest, "stopped", "shutdown", true);
    }

    #[test]
    fn what_the_agent_left_running_when_it_ended_by_itself_is_ended() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("leave child; leave deaf stubborn; leave_daemon daemon stubborn; commit; answer");
        let manifest = repo.finish("T-1", &["--grace=300ms"]);
        sandbox.assert_nothing_runs();
        assert_ended(&manifest, "succeeded", "agent", false);
        let reason = manifest["reason"].as_str().unwrap();
        assert!(reason.contains("3 processes that the agent left running were ended"), "{reason}");
    }
}

mod whatever_signals_ralph_was_started_with {
    use std::path::Path;
    use std::thread;

    use nix::sys::signal::{SigSet, Signal as Number};

    use super::*;
    use crate::helpers::Finished;
    use crate::helpers::command::Invocation;

    /// Runs a program that has signals blocked which it, or its children, wait for.
    fn run_deaf(invocation: Invocation<'_>) -> Finished {
        // A mask is a thread's own, and who is started by it has it too.
        let deaf = || {
            let signals = [Number::SIGCHLD, Number::SIGTERM, Number::SIGHUP, Number::SIGINT, Number::SIGUSR1];
            signals.into_iter().collect::<SigSet>().thread_block().unwrap();
            invocation.run()
        };
        thread::scope(|scope| scope.spawn(deaf).join().unwrap())
    }

    /// Blocks, ignores and catches nothing, as far as its agent says.
    #[track_caller]
    fn assert_as_usual(manifest: &Value) {
        let stdout = manifest["output"]["stdout"].as_str().unwrap();
        let said = fs::read_to_string(Path::new(stdout)).unwrap();
        for field in ["SigBlk:", "SigIgn:"] {
            let signals = said.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim();
            // Two are the C library's own, and no program's to change.
            let signals = u64::from_str_radix(signals, 16).unwrap() & !(0b11 << 31);
            assert_eq!(signals, 0, "{said}");
        }
    }

    const SAYS_ITS_SIGNALS: &str = "grep Sig /proc/self/status; commit; answer";

    #[test]
    fn the_agents_end_is_heard_where_signals_were_blocked() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(SAYS_ITS_SIGNALS);
        let manifest = run_deaf(repo.ralph(&["worktree", "dispatch", "T-1", "--wait", "--json"])).ok().json();
        assert_ended(&manifest, "succeeded", "agent", false);
        assert_as_usual(&manifest);
    }

    #[test]
    fn a_stop_is_heard_where_signals_were_blocked() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(WITH_SURVIVORS);
        drop(run_deaf(repo.ralph(&["worktree", "dispatch", "T-1"])).ok());
        let all = survivors(&pi, "T-1");
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        assert_gone(&all);
        assert_ended(&Session::only(&repo).ended(), "stopped", "stop", false);
    }

    #[test]
    fn row_70_a_batch_and_a_wait_by_nohup_outlive_the_terminal() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("here; wait_for_go; commit; answer");
        let nohup = |words: &[&str]| {
            let words = [&[env!("CARGO_BIN_EXE_ralph"), "worktree"], words].concat();
            sandbox.run("nohup", &words).in_dir(repo.path()).spawn()
        };
        let batch = nohup(&["batch", "T-1"]);
        pi.wait_here("T-1");
        let waiter = nohup(&["wait", "T-1"]);
        for running in [&batch, &waiter] {
            wait_until_caught(running.pid(), &[Signal::INT, Signal::TERM]);
            running.signal(Signal::HUP);
        }
        pi.go("T-1");
        for running in [batch, waiter] {
            drop(running.wait().ok());
        }
        assert_eq!(Session::only(&repo).ended()["outcome"], "succeeded");
    }

    #[test]
    fn children_are_waited_for_where_signals_were_ignored() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(SAYS_ITS_SIGNALS);
        let ignore = "trap '' CHLD TERM INT QUIT HUP USR1; exec \"$0\" \"$@\"";
        let words =
            ["-c", ignore, env!("CARGO_BIN_EXE_ralph"), "worktree", "dispatch", "T-1", "--wait", "--json"];
        let manifest = sandbox.run("sh", &words).in_dir(repo.path()).run().ok().json();
        assert_ended(&manifest, "succeeded", "agent", false);
        assert_as_usual(&manifest);
    }
}

mod staying_with_a_session {
    use super::*;

    #[test]
    fn ctrl_c_once_ends_the_session_gracefully() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(WITH_SURVIVORS);
        let mut terminal = repo.ralph(&["worktree", "dispatch", "T-1", "--wait"]).on_terminal();
        terminal.wait_for("Ctrl-C ends it");
        let all = survivors(&pi, "T-1");
        terminal.type_text("\u{3}");
        let ended = terminal.wait().expect_code(130);
        assert_gone(&all);
        sandbox.assert_nothing_runs();
        assert!(ended.stdout.contains("stopped"), "{ended}");
        assert_ended(&Session::only(&repo).ended(), "stopped", "stop", false);
    }

    #[test]
    fn ctrl_c_twice_ends_the_session_at_once() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(DEAF_WITH_SURVIVORS);
        let mut terminal =
            repo.ralph(&["worktree", "dispatch", "T-1", "--wait", "--grace=10m"]).on_terminal();
        terminal.wait_for("Ctrl-C ends it");
        let all = survivors(&pi, "T-1");
        terminal.type_text("\u{3}");
        Session::only(&repo).wait_for_state("stopping");
        terminal.type_text("\u{3}");
        drop(terminal.wait().expect_code(130));
        assert_gone(&all);
        sandbox.assert_nothing_runs();
        assert_ended(&Session::only(&repo).ended(), "stopped", "stop", true);
    }

    #[test]
    fn a_terminal_that_goes_leaves_the_session_running() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("here; wait_for_go; commit; answer");
        let mut terminal = repo.ralph(&["worktree", "dispatch", "T-1", "--wait"]).on_terminal();
        terminal.wait_for("Ctrl-C ends it");
        let agent = pi.wait_here("T-1");
        terminal.hang_up();
        let ended = terminal.wait();
        // Nobody saw it succeed.
        assert_ne!(ended.code, Some(0), "{ended}");
        assert!(agent.is_alive());
        pi.go("T-1");
        assert_eq!(Session::only(&repo).ended()["outcome"], "succeeded");
    }

    #[test]
    fn sighup_leaves_the_session_running() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("here; wait_for_go; commit; answer");
        let (dispatcher, session) = staying(&repo, &pi, &[]);
        wait_until_caught(dispatcher.pid(), &[Signal::HUP, Signal::TERM]);
        dispatcher.signal(Signal::HUP);
        assert_ne!(dispatcher.wait().code, Some(0));
        assert!(session.is_held() && session.agent().is_alive());
        pi.go("T-1");
        assert_eq!(session.ended()["outcome"], "succeeded");
    }

    #[test]
    fn sigterm_ends_the_session_like_ctrl_c() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let (dispatcher, session) = staying(&repo, &pi, &[]);
        wait_until_caught(dispatcher.pid(), &[Signal::HUP, Signal::TERM]);
        dispatcher.signal(Signal::TERM);
        assert_eq!(dispatcher.wait().expect_code(130).json(), session.ended());
        assert_ended(&session.ended(), "stopped", "stop", false);
    }

    #[test]
    fn who_waits_is_told_how_it_ended() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let (dispatcher, session) = staying(&repo, &pi, &[]);
        let waiter = repo.ralph(&["worktree", "wait", "T-1", "--json"]).spawn();
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        let answers = [dispatcher, waiter].map(|running| running.wait().expect_code(1).json());
        assert_eq!(answers, [session.ended(), session.ended()]);
    }
}
