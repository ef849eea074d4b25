//! The harness shows that it does what the other tests rely on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::process::{self, Process};
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Running, Sandbox, ScriptedPi, wait};

/// What the play says on standard output after `pi -p "/tf T-1 --auto"` in a fresh repository.
fn play(sandbox: &Sandbox, repo: &Repo<'_>, script: &str) -> Finished {
    let pi = ScriptedPi::new(sandbox);
    pi.plays(script);
    call(sandbox, repo).run()
}

fn call<'s>(sandbox: &'s Sandbox, repo: &Repo<'_>) -> crate::helpers::command::Invocation<'s> {
    let session = sandbox.path("session.jsonl").display().to_string();
    sandbox.run("pi", &["--session", &session, "-p", "/tf T-1 --auto"]).in_dir(repo)
}

fn start(sandbox: &Sandbox, repo: &Repo<'_>, script: &str) -> (Running, Process) {
    let pi = ScriptedPi::new(sandbox);
    pi.plays(script);
    let running = call(sandbox, repo).spawn();
    let process = pi.wait_here("T-1");
    (running, process)
}

fn session_messages(sandbox: &Sandbox) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(sandbox.path("session.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter(|entry| entry["type"] == "message").map(|mut entry| entry["message"].take()).collect()
}

mod the_tests_themselves {
    use super::*;

    /// The modules that a file declares.
    fn declared_in(file: &Path) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let modules = text.lines().filter_map(|line| {
            let line = line.trim_start().trim_start_matches("pub ");
            line.strip_prefix("mod ")?.strip_suffix(';')
        });
        modules.map(str::to_owned).collect()
    }

    /// Files below `folder` that the file `root` does not declare, with those of its folders.
    fn undeclared(root: &Path, folder: &Path) -> Vec<String> {
        let declared = declared_in(root);
        let mut missing = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "node_modules" {
                let inner = path.join("mod.rs");
                let inner = if inner.exists() { inner } else { path.with_extension("rs") };
                missing.extend(undeclared(&inner, &path));
            }
            let is_root = path == root || name == "mod" || name == "main";
            if path.extension().is_some_and(|e| e == "rs") && !is_root && !declared.contains(&name) {
                missing.push(path.display().to_string());
            }
        }
        missing
    }

    #[test]
    fn every_file_of_tests_is_declared() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        assert_eq!(undeclared(&tests.join("main.rs"), &tests), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_is_not_declared_is_found() {
        let sandbox = Sandbox::new();
        let root = sandbox.write("work/tests/main.rs", "//! Tests.\nmod known;\n    pub mod folder;\n");
        for file in
            ["known.rs", "forgotten.rs", "folder/mod.rs", "folder/inner.rs", "folder/node_modules/x.rs"]
        {
            sandbox.write(Path::new("work/tests").join(file), "");
        }
        let missing = undeclared(&root, &sandbox.path("work/tests"));
        let mut missing: Vec<String> = missing.iter().map(|path| sandbox.redact(path)).collect();
        missing.sort();
        assert_eq!(missing, ["[SANDBOX]/work/tests/folder/inner.rs", "[SANDBOX]/work/tests/forgotten.rs"]);
    }
}

mod sandbox {
    use super::*;

    #[test]
    fn a_command_sees_nothing_of_the_environment_outside() {
        let sandbox = Sandbox::new();
        let seen = sandbox.run("env", &[]).env("MINE", "1").without_env("TZ").run().ok();
        let names = seen.stdout.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "GIT_AUTHOR_EMAIL",
                "GIT_AUTHOR_NAME",
                "GIT_COMMITTER_EMAIL",
                "GIT_COMMITTER_NAME",
                "GIT_CONFIG_GLOBAL",
                "GIT_CONFIG_NOSYSTEM",
                "GIT_CONFIG_SYSTEM",
                "GIT_TERMINAL_PROMPT",
                "HOME",
                "LC_ALL",
                "MINE",
                "PATH",
                "RALPH_TEST_SANDBOX",
                "TMPDIR",
                "XDG_CACHE_HOME",
                "XDG_CONFIG_HOME",
                "XDG_DATA_HOME",
                "XDG_RUNTIME_DIR",
                "XDG_STATE_HOME",
            ]
        );
        assert!(seen.stdout.contains(&format!("PATH={}\n", sandbox.bin().display())));
    }

    #[test]
    fn the_program_under_test_runs_in_it() {
        let sandbox = Sandbox::new();
        drop(sandbox.ralph(&["--version"]).run().ok());
    }

    #[test]
    fn the_end_of_a_program_is_seen_as_it_was() {
        let sandbox = Sandbox::new();
        let ended = sandbox.run("sh", &["-c", "cat; echo problem >&2; exit 3"]).input("{\"a\": 1}").run();
        assert_eq!((ended.code, ended.signal), (Some(3), None));
        assert_eq!((ended.json(), ended.stderr.as_str()), (json!({"a": 1}), "problem\n"));
        let killed = sandbox.run("sh", &["-c", "printf '\\377'; kill -SEGV $$"]).run();
        assert_eq!((killed.code, killed.signal), (None, Some(11)));
        assert_eq!((killed.stdout.as_str(), killed.stdout_bytes), ("\u{fffd}", vec![0xff]));
    }

    #[test]
    fn json_lines_and_json_errors_are_read() {
        let sandbox = Sandbox::new();
        let script = r#"echo '{"a":1}'; echo '{"a":2}'; echo note >&2; echo '{"error":{"kind":"busy"}}' >&2"#;
        let ended = sandbox.run("sh", &["-c", script]).run().ok();
        assert_eq!(ended.json_lines(), [json!({"a": 1}), json!({"a": 2})]);
        assert_eq!(ended.error(), json!({"kind": "busy"}));
    }

    #[test]
    fn a_running_program_can_be_watched_and_signalled() {
        let sandbox = Sandbox::new();
        let script = "trap 'echo bye; exit 5' TERM; echo hello; while :; do sleep 0.01; done";
        let mut running = sandbox.run("sh", &["-c", script]).spawn();
        running.wait_for("hello");
        assert!(!running.has_ended());
        running.signal(Signal::TERM);
        let ended = running.wait().expect_code(5);
        assert_eq!(ended.stdout, "hello\nbye\n");
    }

    #[test]
    fn a_running_program_that_is_given_up_is_killed() {
        let sandbox = Sandbox::new();
        let running = sandbox.run("sleep", &["1000"]).spawn();
        let process = Process::find(running.pid()).unwrap();
        drop(running);
        assert!(!process.is_alive());
    }

    #[test]
    fn a_process_left_behind_fails_a_test_that_passed_and_is_ended() {
        let left = {
            let sandbox = Sandbox::new();
            sandbox.set_way_out(Duration::ZERO);
            drop(sandbox.run("sh", &["-c", "setsid sleep 1000 >/dev/null 2>&1 &"]).run().ok());
            let left = wait::until("the sleeper", || sandbox.processes().pop());
            let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(sandbox)));
            let message = *dropped.unwrap_err().downcast::<String>().unwrap();
            assert!(message.contains("left processes behind") && message.contains("sleep 1000"), "{message}");
            left
        };
        assert!(!left.is_alive());
    }

    #[test]
    fn a_declared_leftover_is_ended_without_a_word() {
        let sandbox = Sandbox::new();
        sandbox.leaves_processes();
        drop(sandbox.run("sh", &["-c", "setsid sleep 1000 >/dev/null 2>&1 &"]).run().ok());
        let left = wait::until("the sleeper", || sandbox.processes().pop());
        drop(sandbox);
        assert!(!left.is_alive());
    }

    #[test]
    fn a_tool_can_be_taken_away_and_given_back_and_a_program_added() {
        let sandbox = Sandbox::new();
        let look = || sandbox.run("sh", &["-c", "command -v wc"]).run().code;
        sandbox.remove_tool("wc");
        assert_eq!(look(), Some(127));
        assert!(sandbox.link_tool("wc"));
        assert_eq!(look(), Some(0));
        assert!(!sandbox.link_tool("no-such-program-anywhere"));
        sandbox.add_program("mine", "#!/bin/sh\necho \"$1\"\n");
        assert_eq!(sandbox.run("mine", &["x"]).run().ok().stdout, "x\n");
    }

    #[test]
    fn variables_can_be_set_for_everything() {
        let sandbox = Sandbox::new();
        sandbox.set_env("KEY", "value");
        assert_eq!(sandbox.run("sh", &["-c", "echo $KEY"]).run().ok().stdout, "value\n");
        sandbox.unset_env("KEY");
        assert_eq!(sandbox.run("sh", &["-c", "echo $KEY"]).run().ok().stdout, "\n");
    }

    #[test]
    fn what_differs_from_run_to_run_is_redacted() {
        let sandbox = Sandbox::new();
        let document = json!({
            "path": sandbox.path("work/app"),
            "session_id": "01931f5e-7c11-7abc-8def-0123456789ab",
            "commit": "0123456789abcdef0123456789abcdef01234567",
            "created_at": "2026-01-02T03:04:05.123456Z",
            "process": {"pid": 17, "start_ticks": 99, "host": "box", "attempt": 1},
            "text": "session 01931f5e-7c11-7abc-8def-0123456789ab.",
        });
        assert_eq!(
            sandbox.redact_json(&document),
            r#"{
  "path": "[SANDBOX]/work/app",
  "session_id": "[UUID]",
  "commit": "[COMMIT]",
  "created_at": "[TIME]",
  "process": {
    "pid": "[NUMBER]",
    "start_ticks": "[NUMBER]",
    "host": "[STRING]",
    "attempt": 1
  },
  "text": "session [UUID]."
}"#
        );
    }
}

mod terminals {
    use super::*;

    #[test]
    fn a_program_on_a_terminal_sees_one_and_its_size() {
        let sandbox = Sandbox::new();
        let script = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo yes >/dev/tty; exit 4";
        let ended = sandbox.run("sh", &["-c", script]).on_terminal().wait().expect_code(4);
        assert_eq!(ended.stdout, "yes\r\n");
    }

    #[test]
    fn what_is_typed_arrives_and_ctrl_c_interrupts() {
        let sandbox = Sandbox::new();
        let script =
            "trap 'echo interrupted; exit 130' INT; read line; echo \"got $line\"; while :; do read x; done";
        let mut terminal = sandbox.run("sh", &["-c", script]).on_terminal();
        terminal.type_text("hello\n");
        terminal.wait_for("got hello");
        assert_eq!(Process::find(terminal.pid()).unwrap().sid, terminal.pid());
        terminal.type_text("\u{3}");
        assert!(terminal.wait().expect_code(130).stdout.ends_with("interrupted\r\n"));
    }

    #[test]
    fn a_terminal_that_goes_takes_its_program_along() {
        let sandbox = Sandbox::new();
        let mut terminal = sandbox.run("sh", &["-c", "echo ready; read x; exit 9"]).on_terminal();
        terminal.wait_for("ready");
        terminal.hang_up();
        assert_eq!(terminal.wait().signal, Some(1));
    }

    #[test]
    fn a_program_on_a_terminal_that_is_given_up_is_killed() {
        let sandbox = Sandbox::new();
        let terminal = sandbox.run("sleep", &["1000"]).on_terminal();
        let process = Process::find(terminal.pid()).unwrap();
        drop(terminal);
        assert!(!process.is_alive());
    }
}

mod repositories {
    use super::*;

    #[test]
    fn the_standard_repository_is_clean_and_always_the_same() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        assert_eq!(repo.status_porcelain(), Vec::<String>::new());
        assert_eq!(repo.log("main"), ["Start"]);
        assert_eq!(repo.current_branch().as_deref(), Some("main"));
        assert!(repo.read(".tickets/T-1.md").ends_with("# Ticket number 1\n"));
        let other = Sandbox::new();
        assert_eq!(repo.head(), Repo::new(&other).head());
        repo.fsck();
    }

    #[test]
    fn worktrees_branches_clones_and_refs_are_seen() {
        let sandbox = Sandbox::new();
        let repo = Repo::with_files(&sandbox, "lib", &[("src/a.txt", "a\n")]);
        let first = repo.head();
        repo.branch("release", "main");
        let linked = repo.linked_worktree("lib-linked", "topic");
        let second = linked.commit_file("b.txt", "b\n", "Add b");
        assert_eq!(repo.branches(), ["main", "release", "topic"]);
        assert_eq!(repo.worktrees(), [repo.path(), linked.path()]);
        assert_eq!(linked.common_dir(), repo.path().join(".git"));
        assert_eq!(repo.log("main..topic"), ["Add b"]);
        assert!(repo.refs().contains(&format!("refs/heads/topic {second}")));
        assert_eq!(repo.rev_parse("release"), first);
        linked.git(&["switch", "--quiet", "--detach"]);
        assert_eq!(linked.current_branch(), None);
        let bare = repo.bare_clone("lib.git");
        assert_eq!(bare.git(&["rev-parse", "--is-bare-repository"]), "true");
        let shallow = linked.clone_as("shallow", &["--depth=1", "--branch=topic"]);
        assert_eq!(shallow.log("HEAD"), ["Add b"]);
        assert!(Repo::at(&sandbox, shallow.path()).has(".git/shallow"));
    }

    #[test]
    fn unborn_and_bare_repositories_can_be_made() {
        let sandbox = Sandbox::new();
        let unborn = Repo::unborn(&sandbox, "new");
        assert_ne!(unborn.try_git(&["rev-parse", "--verify", "HEAD"]).code, Some(0));
        unborn.ticket_with("T-9", "Later", "deps: [T-1]\n");
        assert_eq!(unborn.status_porcelain(), ["?? .tickets/T-9.md"]);
        assert!(Repo::init(&sandbox, "bare.git", &["--bare"]).has("HEAD"));
        drop(unborn.ralph(&["--version"]).run().ok());
    }

    #[test]
    fn a_changed_tree_is_noticed() {
        let sandbox = Sandbox::new();
        let repo = Repo::with_files(&sandbox, "app", &[("a", "a"), ("b", "b"), ("c/d", "d")]);
        let before = Tree::of(&repo);
        before.assert_unchanged(&repo);
        repo.write("a", "A");
        fs::remove_file(repo.path().join("b")).unwrap();
        repo.write("c/e", "e");
        let changes = before.changes_to(&Tree::of(&repo).without(&[".git/none"]));
        assert_eq!(
            changes,
            [
                "changed a (file 644, 1 bytes; now file 644, 1 bytes)",
                "removed b (file 644, 1 bytes)",
                "added c/e (file 644, 1 bytes)"
            ]
        );
        assert_eq!(Tree::of(sandbox.path("nowhere")).0.len(), 0);
    }
}

mod agents {
    use super::*;

    #[test]
    fn an_agent_commits_and_answers_like_pi() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let ended = play(&sandbox, &repo, COMMITS).ok();
        assert_eq!(ended.stdout, "Done.\n");
        assert_eq!(repo.log("main"), ["T-1: attempt 1", "Start"]);
        let messages = session_messages(&sandbox);
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0]["content"][0]["text"], "/tf T-1 --auto");
        assert_eq!(messages[1]["stopReason"], "stop");
        assert_eq!(messages[1]["usage"]["cost"]["total"], 0.001);
    }

    #[test]
    fn what_it_was_called_with_is_recorded() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        assert_eq!(pi.calls("T-1"), 0);
        drop(call(&sandbox, &repo).env("RALPH_TICKET_ID", "T-1").run().ok());
        let seen = pi.call("T-1", 1);
        assert_eq!(seen.prompt(), Some("/tf T-1 --auto"));
        assert_eq!(seen.option("--session"), sandbox.path("session.jsonl").to_str());
        assert_eq!(seen.args.len(), 4);
        assert_eq!(seen.env["RALPH_TICKET_ID"], "T-1");
        assert_eq!(seen.folder, repo.path());
        assert_eq!(seen.files.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(seen.files[&0], Path::new("/dev/null"));
        assert_eq!(seen.process, None);
        assert!(seen.pid > 1);
        // It stays in the group and session of who started it: 0 where their leader is outside this pid namespace.
        let me = Process::find(std::process::id().try_into().unwrap()).unwrap();
        assert_eq!((seen.pgid, seen.sid), (me.pgid, me.sid));
        assert_eq!(pi.tickets_called(), ["T-1"]);
    }

    #[test]
    fn it_plays_by_ticket_and_by_attempt() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("exit 1");
        pi.plays_for("T-1", "exit 2");
        pi.plays_on("T-1", 2, "exit 3");
        let code = |prompt| sandbox.run("pi", &["-p", prompt]).in_dir(&repo).run().code;
        assert_eq!(
            [code("/tf T-1"), code("/tf T-1"), code("/tf T-1"), code("/tf T-2")].map(Option::unwrap),
            [2, 3, 2, 1]
        );
        assert_eq!(pi.calls("T-1"), 3);
    }

    #[test]
    fn it_refuses_options_that_its_version_does_not_know() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let approve = || sandbox.run("pi", &["--approve", "-p", "/tf T-1"]).in_dir(&repo).run();
        ScriptedPi::new(&sandbox);
        assert!(approve().expect_code(1).stderr.contains("Unknown option: --approve"));
        drop(sandbox.run("pi", &["--bogus"]).run().expect_code(1));
        ScriptedPi::of_version(&sandbox, "0.84.0");
        drop(approve().ok());
        assert_eq!(sandbox.run("pi", &["--version"]).run().ok().stderr, "0.84.0\n");
    }

    #[test]
    fn another_agent_takes_any_arguments() {
        let sandbox = Sandbox::new();
        let agent = ScriptedPi::other(&sandbox, "helper");
        agent.plays("exit 7");
        drop(
            sandbox.run("helper", &["--anything", "T-1"]).env("RALPH_TICKET_ID", "T-1").run().expect_code(7),
        );
        assert_eq!(agent.call("T-1", 1).args, ["--anything", "T-1"]);
    }

    #[test]
    fn the_test_and_the_agent_wait_for_each_other() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("here first; wait_for_go; commit; here second; wait_for_go early");
        pi.go("early");
        let running = call(&sandbox, &repo).spawn();
        assert!(pi.wait_here("first").is_alive());
        assert!(!pi.is_here("second"));
        pi.go("T-1");
        drop(running.wait().ok());
        assert!(pi.is_here("second"));
        assert_eq!(repo.log("main").len(), 2);
    }

    #[test]
    fn answers_have_any_reason_and_use() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let ended = play(&sandbox, &repo, r#"used 7 5 0.5; answer length 'a "b" \c'; fails 'no more'"#);
        assert_eq!(
            (ended.code, ended.stdout.as_str(), ended.stderr.as_str()),
            (Some(1), "a \"b\" \\c\n", "no more\n")
        );
        let messages = session_messages(&sandbox);
        assert_eq!(messages[1]["stopReason"], "length");
        assert_eq!(messages[1]["content"][0]["text"], "a \"b\" \\c");
        assert_eq!(messages[1]["usage"]["totalTokens"], 12);
        assert_eq!(messages[2]["stopReason"], "error");
        assert_eq!(messages[2]["errorMessage"], "no more");
    }

    #[test]
    fn in_json_mode_it_writes_events() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("tool 'echo hi'; answer aborted 'it was stopped'");
        let ended = sandbox.run("pi", &["--mode", "json", "-p", "/tf T-1"]).in_dir(&repo).run().ok();
        let reasons = ended.json_lines();
        let reasons: Vec<_> = reasons.iter().map(|e| e["message"]["stopReason"].as_str().unwrap()).collect();
        assert_eq!(reasons, ["toolUse", "aborted"]);
    }

    #[test]
    fn a_tool_call_is_recorded_and_its_process_ends_with_the_agent() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let (running, pi) = start(&sandbox, &repo, "tool 'echo out; exit 4'; here; tool 'exec sleep 1000'");
        let sleeper = wait::until("the tool", || {
            process::all().into_iter().find(|p| p.ppid == pi.pid && p.command == "sleep 1000")
        });
        assert_eq!((sleeper.pgid, sleeper.sid), (sleeper.pid, sleeper.pid));
        running.signal(Signal::TERM);
        drop(running.wait().expect_code(143));
        sandbox.wait_until_quiet();
        let messages = session_messages(&sandbox);
        assert_eq!(messages[1]["content"][0]["arguments"]["command"], "echo out; exit 4");
        assert_eq!(
            (&messages[2]["isError"], &messages[2]["content"][0]["text"]),
            (&json!(true), &json!("out"))
        );
    }

    #[test]
    fn it_ends_like_pi_when_it_is_told_to() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
            let (running, _) = start(&sandbox, &repo, NEVER_ENDS);
            running.signal(signal);
            drop(running.wait().expect_code(code));
            fs::remove_file(sandbox.path("stages/pi/here/T-1")).unwrap();
        }
    }

    #[test]
    fn it_can_ignore_what_it_is_told() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let (running, process) =
            start(&sandbox, &repo, "ignore_term; here; wait_for_go; here again; forever");
        process.signal(Signal::TERM);
        let pi = ScriptedPi::new(&sandbox);
        pi.go("T-1");
        pi.wait_here("again");
        running.signal(Signal::TERM);
        running.signal(Signal::KILL);
        assert_eq!(running.wait().signal, Some(9));
    }

    #[test]
    fn it_can_die_by_a_signal_or_stop_itself() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        assert_eq!(play(&sandbox, &repo, "kill -SEGV $$").signal, Some(11));
        let (running, process) = start(&sandbox, &repo, "here; stop_itself; exit 6");
        wait::until("the stop", || Process::find(process.pid).filter(|p| p.state == 'T'));
        running.signal(Signal::CONT);
        drop(running.wait().expect_code(6));
    }

    #[test]
    fn what_it_leaves_behind_is_found_whatever_it_did_to_hide() {
        let sandbox = Sandbox::new();
        sandbox.leaves_processes();
        let repo = Repo::new(&sandbox);
        drop(play(&sandbox, &repo, "leave child stubborn; leave_daemon daemon; answer").ok());
        let pi = ScriptedPi::new(&sandbox);
        let (child, daemon) = (pi.wait_here("child"), pi.wait_here("daemon"));
        assert_eq!(child.sid, child.pid);
        assert_eq!(daemon.env(crate::helpers::sandbox::MARK), None);
        let found = sandbox.processes();
        assert!(
            found.iter().any(|p| p.pid == child.pid) && found.iter().any(|p| p.pid == daemon.pid),
            "{found:?}"
        );
        let marked = process::with_env(sandbox.mark().name, &sandbox.mark().value);
        assert!(marked.iter().any(|p| p.pid == child.pid) && marked.iter().all(|p| p.pid != daemon.pid));
        child.signal(Signal::TERM);
        daemon.signal(Signal::TERM);
        process::until_none("the daemon", || Process::find(daemon.pid).into_iter().collect());
        assert!(child.is_alive());
    }

    #[test]
    fn it_can_flood_its_output_or_close_it() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        assert_eq!(play(&sandbox, &repo, "flood 1000000").ok().stdout.len(), 1_000_000);
        assert_eq!(play(&sandbox, &repo, "flood_binary 100000").ok().stdout_bytes.len(), 100_000);
        let closed = play(&sandbox, &repo, "close_output; commit").ok();
        assert_eq!((closed.stdout.as_str(), closed.stderr.as_str()), ("", ""));
        assert_eq!(repo.log("main").len(), 2);
    }

    #[test]
    fn it_can_leave_its_worktree_in_any_state() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        drop(play(&sandbox, &repo, "leave_merge_open; hold_index_lock").ok());
        assert!(repo.has(".git/MERGE_HEAD") && repo.has(".git/index.lock"));
        assert!(repo.read("conflict.txt").contains("<<<<<<<"));
        let linked = Repo::with_files(&sandbox, "other", &[("a", "a")]).linked_worktree("linked", "topic");
        drop(play(&sandbox, &linked, "git switch -q --detach; git branch -q -D topic; : >untracked").ok());
        assert_eq!(linked.status_porcelain(), ["?? untracked"]);
        drop(play(&sandbox, &linked, "git clean -q -ffdx; wipe").ok());
        assert!(!linked.path().exists());
    }

    #[test]
    fn like_pi_it_reads_its_input_to_the_end_first() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let pi = ScriptedPi::new(&sandbox);
        pi.plays("answer stop \"$prompt\"");
        let ended = sandbox.run("pi", &["-p", "/tf T-1"]).in_dir(&repo).input("extra").run().ok();
        assert_eq!(ended.stdout, "extra/tf T-1\n");
    }
}
