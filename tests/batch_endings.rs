//! What is left of a batch that is interrupted or killed, and how it is taken up again.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::batch::{WHEN_TOLD, about, batch, events, lanes, of_kind, with_tickets};
use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::{only, refused, text};
use crate::helpers::session::{Session, names_in};
use crate::helpers::{Repo, Sandbox, ScriptedPi, wait};

mod interrupted {
    use super::*;

    #[test]
    fn row_71_ctrl_c_ends_everything_gracefully_and_the_batch_can_be_taken_up() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("here; forever");
        let running = batch(&repo, &["-j", "2", "T-1", "T-2", "T-3", "--json"]).spawn();
        pi.wait_here("T-1");
        pi.wait_here("T-2");
        running.signal(Signal::INT);
        let before = events(&running.wait().expect_code(130));
        assert_eq!(only(of_kind(&before, "halted"))["why"], "interrupted");
        assert!(
            of_kind(&before, "ended")
                .iter()
                .all(|e| e["outcome"] == "stopped" && e["next"]["do"] == "resume")
        );
        // Nothing more was begun, and whoever was ended is listed.
        let mut ended = lanes(&before, "ended");
        // They end side by side.
        ended.sort_unstable();
        assert_eq!((ended, pi.calls("T-3")), (vec!["T-1", "T-2"], 0));
        pi.plays(COMMITS);
        let after = events(&batch(&repo, &["--resume", "--json"]).run().ok());
        assert_eq!(of_kind(&after, "ended").len(), 3);
        assert!(of_kind(&after, "ended").iter().all(|event| event["outcome"] == "succeeded"));
        refused(&sandbox, batch(&repo, &["--resume"]), 3);
    }

    #[test]
    fn row_71_ctrl_c_twice_ends_everything_at_once() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("ignore_term; here; forever");
        let running = batch(&repo, &["T-1", "--grace", "10m", "--json"]).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::INT);
        running.wait_for("\"halted\"");
        running.signal(Signal::INT);
        let events = events(&running.wait().expect_code(130));
        assert_eq!(of_kind(&events, "ended")[0]["outcome"], "stopped");
        assert_eq!(only(Session::all(&repo)).manifest()["exit"]["forced"], true);
    }

    #[test]
    fn who_interrupts_a_batch_uses_up_no_retry_and_calls_for_no_stronger_model() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays_on("T-1", 1, "here; forever");
        pi.plays_on("T-1", 2, "fails 'no luck'");
        pi.plays_on("T-1", 3, COMMITS);
        let running = batch(&repo, &["T-1", "--retries", "1", "--escalate", "big/one"]).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::INT);
        drop(running.wait().expect_code(130));
        let after = events(&batch(&repo, &["--resume", "--json"]).run().ok());
        let models: Vec<&Value> = of_kind(&after, "starting").iter().map(|event| &event["model"]).collect();
        assert_eq!(models, [&Value::Null, &json!("big/one")]);
    }

    #[test]
    fn sessions_can_be_left_running_and_are_found_again() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(WHEN_TOLD);
        let args = ["-j", "1", "T-1", "T-2", "--detach-on-interrupt", "--json"];
        let running = batch(&repo, &args).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::INT);
        let left = events(&running.wait().expect_code(130));
        assert_eq!(only(of_kind(&left, "halted"))["why"], "detached");
        assert_eq!(of_kind(&left, "ended").len(), 0);
        ["T-1", "T-2"].iter().for_each(|ticket| pi.go(ticket));
        let after = events(&batch(&repo, &args).run().ok());
        assert_eq!(lanes(&after, "ended"), ["T-1", "T-2"]);
        assert_eq!((pi.calls("T-1"), pi.calls("T-2")), (1, 1));
    }

    #[test]
    fn a_terminal_that_goes_leaves_the_sessions() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(WHEN_TOLD);
        let running = batch(&repo, &["T-1", "--json"]).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::HUP);
        drop(running.wait().expect_code(130));
        pi.go("T-1");
        assert_eq!(repo.worktree(&["wait", "T-1"]).run().code, Some(0));
        let after = events(&batch(&repo, &["--resume", "--json"]).run().ok());
        assert_eq!(about(&after, "ended", "T-1")["outcome"], "succeeded");
    }

    #[test]
    fn what_is_checked_out_when_it_is_taken_up_is_no_ones_base() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        repo.branch("feature", "main");
        repo.git(&["checkout", "--quiet", "feature"]);
        let feature = repo.commit_file("feature.txt", "not for main\n", "Feature");
        repo.git(&["checkout", "--quiet", "main"]);
        let args = ["-j", "1", "T-1", "T-2", "--merge", "--json"];
        pi.plays("here; forever");
        let running = batch(&repo, &args).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::INT);
        let before = events(&running.wait().expect_code(130));
        assert_eq!(before[0]["base"], "main");
        repo.git(&["checkout", "--quiet", "feature"]);
        pi.plays(COMMITS);
        let after = events(&batch(&repo, &["--resume", "--json"]).run().ok());
        let into: Vec<&Value> = of_kind(&after, "merged").iter().map(|event| &event["into"]).collect();
        assert_eq!(into, ["main", "main"]);
        assert_eq!(repo.rev_parse("feature"), feature);
        assert!(repo.try_git(&["cat-file", "-e", "main:feature.txt"]).code != Some(0));
    }

    #[test]
    fn a_batch_that_did_not_write_its_base_down_takes_what_is_checked_out() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        repo.branch("feature", "main");
        pi.plays("here; forever");
        let running = batch(&repo, &["-j", "1", "T-1", "T-2", "--merge"]).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::INT);
        drop(running.wait().expect_code(130));
        let batches = repo.common_dir().join("ralph/batches");
        let folder = only(names_in(&batches).into_iter().filter(|name| name != "open").collect());
        let journal = batches.join(folder).join("journal.jsonl");
        let written = fs::read_to_string(&journal).unwrap();
        let older = written.replacen("\"base\":\"main\",", "", 1);
        assert_ne!(older, written);
        fs::write(&journal, older).unwrap();
        repo.git(&["checkout", "--quiet", "feature"]);
        pi.plays(COMMITS);
        let after = events(&batch(&repo, &["--resume", "--json"]).run().ok());
        assert_eq!(about(&after, "merged", "T-2")["into"], "feature");
    }

    #[test]
    fn a_secret_in_its_command_is_written_nowhere_and_the_same_command_takes_it_up() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let _pi = ScriptedPi::new(&sandbox);
        let secret = "hunter2";
        let (here, go) = (sandbox.path("here"), sandbox.path("go"));
        let script = format!(
            "echo x >work; git add work; git commit -qm work; touch {}; while [ ! -e {} ]; do sleep 0.05; done",
            here.display(),
            go.display()
        );
        let agent = format!("sh -c '{script}' {{ticket}} --password {secret}");
        let verify = format!("false --token {secret}");
        let args = ["T-1", "--merge", "--agent", &agent, "--verify", &verify, "--json"];
        let running = batch(&repo, &args).spawn();
        wait::until("the agent", || here.exists().then_some(()));
        running.signal(Signal::HUP);
        let begun = events(&running.wait().expect_code(130));
        let command = begun[0]["command"].to_string();
        assert!(command.contains("{ticket} --password ***"), "{command}");
        assert!(command.contains("false --token ***"), "{command}");
        let error = refused(&sandbox, batch(&repo, &["--resume"]), 2);
        assert!(text(&error["message"]).contains("looks like a secret"), "{error}");
        assert!(text(&error["hint"]).contains("the same command again"), "{error}");
        fs::write(go, "").unwrap();
        let after = events(&batch(&repo, &args).run().expect_code(1));
        assert_eq!((&after[0]["event"], lanes(&after, "ended")), (&json!("resumed"), vec!["T-1"]));
        let reason = text(&about(&after, "not_merged", "T-1")["reason"]);
        assert!(reason.contains("false --token ***"), "{reason}");
        sandbox.wait_until_quiet();
        let store = repo.common_dir().join("ralph");
        let told = repo.try_git(&["grep", "--no-index", "-l", secret, "--", &store.display().to_string()]);
        assert_eq!(told.stdout, "", "these files hold the secret");
    }

    /// What a check of a merge waits for, or is: without it the check never ends.
    const CHECK: &str = "test -e passes || { : > checking; exec sleep 1000; }";

    #[test]
    fn a_terminal_that_goes_leaves_no_check_of_a_merge_behind() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        let folder = sandbox.path("checks");
        fs::create_dir(&folder).unwrap();
        let check = format!("cd {} && {CHECK}", folder.display());
        let running = batch(&repo, &["T-1", "--merge", "--verify", &check, "--json"]).spawn();
        wait::until("the check", || folder.join("checking").exists().then_some(()));
        running.signal(Signal::HUP);
        let left = events(&running.wait().expect_code(130));
        sandbox.wait_until_quiet();
        assert_eq!(only(of_kind(&left, "halted"))["why"], "detached");
        assert_eq!((of_kind(&left, "merged").len(), repo.log("main")), (0, vec!["Start".to_owned()]));
        fs::write(folder.join("passes"), "").unwrap();
        let after = events(&batch(&repo, &["--resume", "--json"]).run().ok());
        assert_eq!(lanes(&after, "merged"), ["T-1"]);
    }

    #[test]
    fn only_one_runs_a_batch() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(WHEN_TOLD);
        let running = batch(&repo, &["T-1"]).spawn();
        pi.wait_here("T-1");
        for again in [&["T-1"][..], &["--resume"]] {
            let error = refused(&sandbox, batch(&repo, again), 4);
            assert!(text(&error["message"]).contains("is being run by another ralph"), "{error}");
        }
        pi.go("T-1");
        drop(running.wait().ok());
    }
}

mod killed {
    use super::*;

    #[test]
    fn the_same_command_takes_it_up_and_launches_nothing_twice() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(WHEN_TOLD);
        let args = ["-j", "2", "T-1", "T-2", "T-3", "--json"];
        let running = batch(&repo, &args).spawn();
        pi.wait_here("T-1");
        pi.wait_here("T-2");
        running.signal(Signal::KILL);
        drop(running.wait());
        pi.go("T-1");
        assert_eq!(repo.worktree(&["wait", "T-1"]).run().code, Some(0));
        let again = batch(&repo, &args).spawn();
        pi.wait_here("T-3");
        ["T-2", "T-3"].iter().for_each(|ticket| pi.go(ticket));
        let events = events(&again.wait().ok());
        assert_eq!(events[0]["event"], "resumed");
        assert_eq!(lanes(&events, "ended").len(), 3);
        assert_eq!(["T-1", "T-2", "T-3"].map(|ticket| pi.calls(ticket)), [1, 1, 1]);
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_told_with_what_to_do_and_holds_up_no_other_batch() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(WHEN_TOLD);
        let running = batch(&repo, &["T-1"]).spawn();
        pi.wait_here("T-1");
        running.signal(Signal::KILL);
        drop(running.wait());
        let batches = repo.common_dir().join("ralph/batches");
        let names = names_in(&batches).into_iter().filter(|name| name != "open");
        let folder = batches.join(only(names.collect()));
        let journal = folder.join("journal.jsonl");
        let written = fs::read_to_string(&journal).unwrap();
        for (content, said, hint) in [
            ("noise\n".to_owned(), "is damaged in line 1", folder.to_str().unwrap()),
            (
                written.replace("\"starting\"", "\"teleported\""),
                "was written by a newer ralph",
                "the newer ralph",
            ),
        ] {
            fs::write(&journal, content).unwrap();
            let error = refused(&sandbox, batch(&repo, &["--resume"]), 6);
            assert!(text(&error["message"]).contains(said), "{error}");
            assert!(text(&error["hint"]).contains(hint), "{error}");
        }
        pi.go("T-2");
        let other = batch(&repo, &["T-2"]).run().ok();
        assert!(other.stderr.contains("was written by a newer ralph"), "{other}");
        pi.go("T-1");
        assert_eq!(repo.worktree(&["wait", "T-1"]).run().code, Some(0));
    }

    /// At every entry of the journal, right behind it, the batch is killed; whatever came of that, taking it up brings
    /// every ticket to its end, with one session each.
    #[test]
    fn row_8_at_every_entry_of_its_journal() {
        for number in 1.. {
            let sandbox = Sandbox::new();
            let repo = with_tickets(&sandbox, &[("T-2", "deps: [T-1]\n")]);
            let pi = ScriptedPi::new(&sandbox);
            pi.plays(COMMITS);
            let args = ["-j", "2", "T-1", "T-2", "T-3", "--merge", "--json"];
            let kill = format!("batch.journaled#{number}:kill");
            let killed = batch(&repo, &args).env("RALPH_FAILPOINT", kill).run();
            assert_ne!(killed.code, Some(0), "it came to its end without its last word on record: {killed}");
            let again = batch(&repo, &args).run().ok();
            let finished = events(&again);
            if finished[0]["event"] == "begun" {
                // The last word was on record: the same command is a batch of its own again.
                assert!(number > 8, "it was killed at {number} places only");
                break;
            }
            assert_eq!(of_kind(&finished, "finished").len(), 1, "killed at entry {number}: {again}");
            let log = repo.log("main");
            for ticket in ["T-1", "T-2", "T-3"] {
                assert_eq!(pi.calls(ticket), 1, "{ticket}, killed at entry {number}: {again}");
                let merge = format!("Merge ralph/{ticket}");
                assert_eq!(
                    log.iter().filter(|line| line.starts_with(&merge)).count(),
                    1,
                    "{number}: {log:?}"
                );
            }
            assert_eq!(repo.status_porcelain(), Vec::<String>::new());
            sandbox.wait_until_quiet();
        }
    }

    #[test]
    fn a_session_whose_supervisor_was_killed_is_lost_and_tried_again() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays_on("T-1", 1, "here; forever");
        pi.plays_on("T-1", 2, COMMITS);
        let running = batch(&repo, &["T-1", "--retries", "1", "--json"]).spawn();
        pi.wait_here("T-1");
        Session::only(&repo).supervisor().signal(Signal::KILL);
        let events = events(&running.wait().ok());
        let outcomes: Vec<&str> = of_kind(&events, "ended").iter().map(|e| text(&e["outcome"])).collect();
        assert_eq!(outcomes, ["lost", "succeeded"]);
    }

    #[test]
    fn so_is_one_whose_supervisor_is_killed_before_its_agent_runs() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays(COMMITS);
        let each_time = "supervise.before-spawn:kill";
        let call = batch(&repo, &["T-1", "--retries", "1", "--json"]).env("RALPH_FAILPOINT", each_time);
        let events = events(&call.run().expect_code(1));
        let ended: Vec<(&str, &str)> = of_kind(&events, "ended")
            .iter()
            .map(|event| (text(&event["outcome"]), text(&event["next"]["do"])))
            .collect();
        assert_eq!(ended, [("lost", "retry"), ("lost", "nothing")]);
    }
}

#[test]
fn on_a_full_disk_nothing_more_is_started_and_when_there_is_room_the_batch_is_taken_up() {
    let sandbox = Sandbox::new();
    let agent = ScriptedPi::other(&sandbox, "helper");
    agent.plays(COMMITS);
    for tool in ["unshare", "mount"] {
        sandbox.link_tool(tool);
    }
    let small = sandbox.path("small");
    fs::create_dir(&small).unwrap();
    let mount = "mount -t tmpfs -o size=3m,mode=700 tmpfs \"$1\"";
    let probe = sandbox.run("unshare", &["-Urm", "sh", "-c", mount, "sh"]).arg(&small).run();
    if probe.code != Some(0) {
        eprintln!("skipped: this machine does not let a test mount a small disk: {}", probe.stderr);
        return;
    }
    // Room for the files of one worktree, and not of two.
    let script = format!(
        "set -eu; {mount}; git init -q -b main app; cd app
         head -c 1000000 /dev/urandom >large; git add large; git commit -q -m Start
         head -c 1500000 /dev/zero >\"$1/filler\"
         export RALPH_WORKTREE_ROOT=\"$1/trees\"
         {ralph} worktree batch -j 1 T-1 T-2 T-3 --agent helper >&2 && exit 90 || [ $? -eq 1 ]
         [ ! -e .git/ralph/running/* ]
         rm \"$1/filler\" \"$1\"/trees/*/large
         {ralph} worktree batch --resume --json",
        ralph = env!("CARGO_BIN_EXE_ralph"),
    );
    let finished = sandbox.run("unshare", &["-Urm", "sh", "-c", &script, "sh"]).arg(&small).run();
    let told = &finished.stderr;
    assert!(told.contains("a disk is full: nothing more is started"), "{told}");
    assert!(told.contains("make room, then: ralph worktree batch --resume"), "{told}");
    let told = told.clone();
    let events = events(&finished.ok());
    assert_eq!(lanes(&events, "ended"), ["T-2", "T-3"], "{told}");
    assert!(of_kind(&events, "ended").iter().all(|event| event["outcome"] == "succeeded"), "{events:?}");
}
