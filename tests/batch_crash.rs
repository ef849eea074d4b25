//! A batch that is killed or interrupted at an awkward moment: whatever it was doing is done when it is taken up again.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process_group, prlimit};

use crate::batch::{WHEN_TOLD, about, batch, events, lanes, of_kind};
use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::command::Invocation;
use crate::helpers::lanes::{only, text};
use crate::helpers::process::{Process, children};
use crate::helpers::session::Session;
use crate::helpers::{Repo, Running, Sandbox, ScriptedPi, wait};

/// Waits until a process has come to the point that `RALPH_FAILPOINT` has it wait at.
fn waiting(sandbox: &Sandbox, gate: &str) {
    let arrived = sandbox.path(format!("{gate}.waiting"));
    wait::until(&format!("someone at {gate}"), || arrived.exists().then_some(()));
}

/// The batch that was left over last is taken up.
fn taken_up<'s>(repo: &Repo<'s>) -> Invocation<'s> {
    repo.worktree(&["batch", "--resume", "--json"])
}

/// What of a batch's sessions was told to have ended, and how.
fn outcomes(events: &[serde_json::Value]) -> Vec<(&str, &str)> {
    let ended = of_kind(events, "ended");
    ended.into_iter().map(|event| (text(&event["outcome"]), text(&event["next"]["do"]))).collect()
}

mod while_git_writes_files {
    use super::*;

    /// A repository in whose first worktree git comes no further than a filter that waits for `go`.
    fn slow<'s>(sandbox: &'s Sandbox) -> Repo<'s> {
        let repo = Repo::new(sandbox);
        let at = |name: &str| sandbox.path(name).display().to_string();
        let smudge = format!(
            "if mkdir '{}' 2>/dev/null; then until [ -e '{}' ]; do sleep 0.01; done; fi; cat",
            at("first"),
            at("go")
        );
        repo.git(&["config", "filter.slow.smudge", &smudge]);
        repo.git(&["config", "filter.slow.clean", "cat"]);
        repo.write(".gitattributes", "*.slow filter=slow\n");
        repo.write("a.slow", "a\n");
        repo.commit_all("Slow");
        repo
    }

    fn killed(sandbox: &Sandbox, running: Running) {
        wait::until("the filter", || sandbox.path("first").exists().then_some(()));
        running.signal(Signal::KILL);
        drop(running.wait());
    }

    #[test]
    fn a_ticket_is_worked_on_once_that_is_over_and_holds_up_no_other() {
        let sandbox = Sandbox::new();
        let repo = slow(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(WHEN_TOLD);
        let running = batch(&repo, &["-j", "2", "T-1", "T-2"]).spawn();
        let tickets = ["T-1", "T-2"];
        let other = wait::until("an agent", || tickets.into_iter().find(|ticket| pi.is_here(ticket)));
        killed(&sandbox, running);
        let resumed = taken_up(&repo).spawn();
        pi.go(other);
        resumed.wait_for("\"ended\"");
        sandbox.write("go", "");
        tickets.iter().for_each(|ticket| pi.go(ticket));
        let events = events(&resumed.wait().ok());
        assert_eq!(lanes(&events, "ended").first(), Some(&other));
        assert_eq!(outcomes(&events), [("succeeded", "nothing"); 2]);
        assert_eq!(tickets.map(|ticket| pi.calls(ticket)), [1, 1]);
    }

    #[test]
    fn ctrl_c_does_not_wait_for_it_either() {
        let sandbox = Sandbox::new();
        let repo = slow(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        killed(&sandbox, batch(&repo, &["T-1"]).spawn());
        let resumed = taken_up(&repo).spawn();
        resumed.wait_for("\"resumed\"");
        resumed.signal(Signal::INT);
        let left = events(&resumed.wait().expect_code(130));
        assert_eq!((outcomes(&left), of_kind(&left, "finished").len()), (vec![], 0));
        sandbox.write("go", "");
        let after = events(&taken_up(&repo).run().ok());
        assert_eq!(outcomes(&after), [("succeeded", "nothing")]);
    }
}

#[test]
fn a_session_that_cannot_be_waited_for_for_want_of_descriptors_is_not_given_up() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(WHEN_TOLD);
    // When the launch is on record, and before its end is waited for.
    let point = format!("batch.journaled#3:wait={}", sandbox.path("launched").display());
    let running = batch(&repo, &["T-1", "--json"]).env("RALPH_FAILPOINT", point).spawn();
    waiting(&sandbox, "launched");
    let may_open = |files| prlimit(Pid::from_raw(running.pid()), Resource::Nofile, files).unwrap();
    let files = getrlimit(Resource::Nofile);
    may_open(Rlimit { current: Some(3), maximum: files.maximum });
    sandbox.write("launched", "");
    pi.wait_here("T-1");
    pi.go("T-1");
    assert_eq!(repo.worktree(&["wait", "T-1"]).run().code, Some(0));
    may_open(files);
    assert_eq!(outcomes(&events(&running.wait().ok())), [("succeeded", "nothing")]);
}

mod once_it_was_halted {
    use super::*;

    #[test]
    fn what_was_interrupted_goes_on_when_the_batch_is_taken_up() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays_on("T-1", 1, "ignore_term; here; wait_for_go; answer stop");
        pi.plays_on("T-1", 2, COMMITS);
        let running = batch(&repo, &["T-1", "--grace", "10m"]).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::INT);
        let session = Session::only(&repo);
        session.wait_for_state("stopping");
        running.signal(Signal::KILL);
        drop(running.wait());
        // Killed once more before the session has ended, it still knows.
        let again = taken_up(&repo).spawn();
        again.wait_for("\"resumed\"");
        again.signal(Signal::KILL);
        drop(again.wait());
        pi.go("T-1");
        assert_eq!(session.ended()["outcome"], "stopped");
        let events = events(&taken_up(&repo).run().ok());
        assert_eq!(outcomes(&events), [("stopped", "resume"), ("succeeded", "nothing")]);
    }

    #[test]
    fn what_a_used_up_budget_was_to_end_is_ended_when_the_batch_is_taken_up() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("used 10 10 2.5; answer stop; forever");
        // Right behind the entry that says that it is halted.
        let killed = batch(&repo, &["T-1", "--max-cost", "2", "--json"])
            .env("RALPH_FAILPOINT", "batch.journaled#4:kill")
            .run();
        assert_eq!(killed.signal, Some(9), "{killed}");
        assert!(Session::only(&repo).is_held());
        let events = events(&taken_up(&repo).run().expect_code(1));
        let ended = about(&events, "ended", "T-1");
        assert_eq!(outcomes(&events), [("stopped", "nothing")]);
        assert!(text(&ended["reason"]).contains("--max-cost"), "{ended}");
    }
}

mod while_a_supervisor_is_started {
    use super::*;

    /// Whoever starts a command in the background may have it ignore what a terminal sends.
    const HEARS: &str = "--default-signal=INT,QUIT,HUP";
    const IGNORES: &str = "--ignore-signal=INT,QUIT,HUP";

    /// A command in a process group of its own, whose supervisor has not left that yet.
    fn starting(repo: &Repo<'_>, sandbox: &Sandbox, signals: &str, command: &[&str]) -> Running {
        let point = format!("supervise.begun:wait={}", sandbox.path("begun").display());
        let words = [&[signals, "setsid", env!("CARGO_BIN_EXE_ralph"), "worktree"], command].concat();
        let running = sandbox.run("env", &words).in_dir(repo.path()).env("RALPH_FAILPOINT", point).spawn();
        waiting(sandbox, "begun");
        running
    }

    #[test]
    fn what_a_terminal_sends_does_not_reach_it_and_its_agent_hears_everything() {
        let from_terminal = [Signal::INT, Signal::QUIT, Signal::HUP];
        for (signal, started) in
            from_terminal.into_iter().flat_map(|signal| [(signal, HEARS), (signal, IGNORES)])
        {
            let sandbox = Sandbox::new();
            let repo = Repo::new(&sandbox);
            let pi = ScriptedPi::new(&sandbox);
            pi.plays("grep Sig /proc/self/status; commit; answer stop");
            let running = starting(&repo, &sandbox, started, &["dispatch", "T-1"]);
            kill_process_group(Pid::from_raw(running.pid()).unwrap(), signal).unwrap();
            sandbox.write("begun", "");
            drop(running.wait());
            let session = Session::only(&repo);
            // Who began it may be gone before its supervisor holds it.
            session.wait_for_state("ended");
            let manifest = session.ended();
            assert_eq!(manifest["outcome"], "succeeded", "{signal:?}, {started}: {manifest:#}");
            let said = fs::read_to_string(text(&manifest["output"]["stdout"])).unwrap();
            for field in ["SigBlk:", "SigIgn:"] {
                let signals = said.lines().find_map(|line| line.strip_prefix(field)).unwrap().trim();
                // Two are the C library's own.
                let signals = u64::from_str_radix(signals, 16).unwrap() & !(0b11 << 31);
                assert_eq!(signals, 0, "{said}");
            }
        }
    }

    #[test]
    fn row_71_ctrl_c_while_a_supervisor_is_started_loses_no_ticket() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays_on("T-1", 1, NEVER_ENDS);
        pi.plays_on("T-1", 2, COMMITS);
        let running = starting(&repo, &sandbox, HEARS, &["batch", "T-1", "--json"]);
        kill_process_group(Pid::from_raw(running.pid()).unwrap(), Signal::INT).unwrap();
        running.wait_for("\"halted\"");
        sandbox.write("begun", "");
        assert_eq!(outcomes(&events(&running.wait().expect_code(130))), [("stopped", "resume")]);
        let after = events(&taken_up(&repo).run().ok());
        assert_eq!(outcomes(&after), [("succeeded", "nothing")]);
    }

    #[test]
    fn one_that_is_killed_while_the_batch_is_interrupted_loses_no_ticket_either() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        let running = starting(&repo, &sandbox, HEARS, &["batch", "T-1", "--json"]);
        running.signal(Signal::INT);
        running.wait_for("\"halted\"");
        let started = children(running.pid()).into_iter().filter_map(Process::find);
        only(started.collect::<Vec<_>>()).signal(Signal::KILL);
        let left = events(&running.wait().expect_code(130));
        assert_eq!((outcomes(&left), lanes(&left, "withdrawn")), (vec![], vec!["T-1"]));
        let after = events(&taken_up(&repo).run().ok());
        assert_eq!(outcomes(&after), [("succeeded", "nothing")]);
    }
}

#[test]
fn row_71_ctrl_c_twice_ends_at_once_what_comes_up_afterwards() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("ignore_term; here; forever");
    let at = |gate: &str| sandbox.path(gate).display().to_string();
    // The fifth entry says that the session runs.
    let points = format!("prepare.files:wait={},batch.journaled#5:wait={}", at("files"), at("launched"));
    let running = batch(&repo, &["T-1", "--grace", "10m", "--json"]).env("RALPH_FAILPOINT", points).spawn();
    waiting(&sandbox, "files");
    for number in [1, 2] {
        running.signal(Signal::INT);
        wait::until("it to be halted", || {
            (running.stdout().matches("\"halted\"").count() == number).then_some(())
        });
    }
    sandbox.write("files", "");
    waiting(&sandbox, "launched");
    pi.wait_here("T-1");
    sandbox.write("launched", "");
    assert_eq!(outcomes(&events(&running.wait().expect_code(130))), [("stopped", "resume")]);
    assert_eq!(Session::only(&repo).manifest()["exit"]["forced"], true);
}

#[test]
fn supervisors_that_have_ended_are_not_left_for_the_batchs_end() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("T-4", WHEN_TOLD);
    let running = batch(&repo, &["-j", "4", "T-1", "T-2", "T-3", "T-4"]).spawn();
    pi.wait_here("T-4");
    wait::until("the batch to have one child", || (children(running.pid()).len() == 1).then_some(()));
    assert_eq!(["T-1", "T-2", "T-3"].map(|ticket| pi.calls(ticket)), [1, 1, 1]);
    pi.go("T-4");
    drop(running.wait().ok());
}
