//! Agents that misbehave, one test for each line of the catalogue: whatever an agent does, its session ends on record
//! as it was, nothing of it is left running, and nothing that it made is lost.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, DOES_NOTHING};
use crate::helpers::compiler::add_compiled;
use crate::helpers::process::Process;
use crate::helpers::session::is_locked;
use crate::helpers::{Repo, Sandbox, ScriptedPi, Session, rows, wait};

/// Runs the play to its end; nothing of it may be left.
#[track_caller]
fn played<'s>(sandbox: &'s Sandbox, play: &str, args: &[&str]) -> (Repo<'s>, Value) {
    let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
    pi.plays(play);
    let manifest = repo.finish("T-1", args);
    sandbox.assert_nothing_runs();
    (repo, manifest)
}

#[track_caller]
fn assert_outcome(manifest: &Value, outcome: &str, reason: &str) {
    assert_eq!(manifest["outcome"], outcome, "{manifest:#}");
    let said = manifest["reason"].as_str().unwrap_or_default();
    assert!(said.contains(reason), "no {reason:?} in {said:?}");
}

fn path<'m>(manifest: &'m Value, pointer: &str) -> &'m Path {
    Path::new(manifest.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer}")))
}

fn worktree(manifest: &Value) -> &Path {
    path(manifest, "/worktree/path")
}

mod that_do_not_end {
    use super::*;

    #[test]
    fn row_49_an_agent_that_ignores_term_is_killed_after_its_grace() {
        let sandbox = Sandbox::new();
        let (_, manifest) = played(&sandbox, "ignore_term; forever", &["--timeout=300ms", "--grace=200ms"]);
        assert_outcome(&manifest, "timed_out", "ended by force at its timeout");
        let exit = &manifest["exit"];
        assert_eq!(
            (&exit["signal"], &exit["code"], &exit["forced"]),
            (&9.into(), &Value::Null, &true.into())
        );
    }

    #[test]
    fn row_50_a_process_in_a_session_of_its_own_is_swept_when_the_agent_has_ended() {
        let sandbox = Sandbox::new();
        let (_, manifest) = played(&sandbox, "leave child; commit; answer", &[]);
        assert_outcome(&manifest, "succeeded", "1 process that the agent left running was ended");
    }

    #[test]
    fn row_50_more_processes_than_the_supervisor_may_have_files_are_swept_all() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("n=0; while [ $n -lt 100 ]; do setsid sleep 1000 & n=$((n + 1)); done; commit; answer");
        let few = ["-c", "ulimit -n 64; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_ralph")];
        let words = ["worktree", "dispatch", "T-1", "--wait", "--json"];
        let manifest = sandbox.run("sh", &[&few[..], &words].concat()).in_dir(repo.path()).run().ok().json();
        sandbox.assert_nothing_runs();
        assert_outcome(&manifest, "succeeded", "100 processes that the agent left running were ended");
    }

    #[test]
    fn row_51_a_daemon_with_an_empty_environment_is_swept() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("leave_daemon daemon; here; wait_for_go; commit; answer");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        let daemon = pi.wait_here("daemon");
        // Its parents are gone, it bears no mark, it stands elsewhere: only descent leads to it.
        let supervisor = session.supervisor();
        assert_eq!((daemon.ppid, daemon.env("RALPH_SESSION_ID")), (supervisor.pid, None));
        pi.go("T-1");
        let manifest = session.ended();
        assert!(!daemon.is_alive());
        assert_outcome(&manifest, "succeeded", "left running was ended");
    }

    #[test]
    fn row_51_what_a_stubborn_daemon_starts_while_it_is_swept_is_swept_too() {
        let sandbox = Sandbox::new();
        let again = "trap '' TERM; n=0; while [ $n -lt 40 ]; do setsid sleep 1000 & n=$((n + 1)); done; wait";
        let play = format!("setsid sh -c '{}' & commit; answer", again.replace('\'', "'\\''"));
        let (_, manifest) = played(&sandbox, &play, &["--grace=100ms"]);
        assert_outcome(&manifest, "succeeded", "that the agent left running were ended");
    }

    #[test]
    fn row_52_an_agent_that_stopped_itself_is_continued_to_be_ended() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; here; stop_itself; forever");
        let session = Session::dispatch(&repo, "T-1", &["--grace=10m"]);
        let agent = pi.wait_here("T-1");
        wait::until("the agent to be stopped", || Process::find(agent.pid).filter(|now| now.state == 'T'));
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        sandbox.assert_nothing_runs();
        let manifest = session.ended();
        assert_outcome(&manifest, "stopped", "ended on request");
        // By its own handler: it heard SIGTERM.
        assert_eq!((&manifest["exit"]["code"], &manifest["exit"]["forced"]), (&143.into(), &false.into()));
        assert_eq!(manifest["work"]["commits"], 1);
    }

    #[test]
    fn row_52_a_stopped_process_that_it_left_is_ended_too() {
        let sandbox = Sandbox::new();
        let play = "setsid sh -c 'kill -STOP $$' & until grep -q 'State:.T' /proc/$!/status; do :; done; commit; answer";
        let (_, manifest) = played(&sandbox, play, &["--grace=10m"]);
        assert_outcome(&manifest, "succeeded", "left running was ended");
    }

    #[test]
    fn row_61_an_agent_that_never_ends_is_ended_at_its_timeout() {
        let sandbox = Sandbox::new();
        let (_, manifest) = played(&sandbox, "commit; forever", &["--timeout=500ms"]);
        assert_outcome(&manifest, "timed_out", "ended at its timeout");
        assert_eq!(manifest["exit"]["ended_by"], "timeout");
        assert_eq!(manifest["work"]["commits"], 1, "{manifest:#}");
    }
}

mod that_are_traced {
    use super::*;

    /// Asks to be traced by its parent, then runs what it was told to, or waits.
    const TRACED: &str = r#"
        #include <sys/ptrace.h>
        #include <unistd.h>

        int main(int argc, char **argv) {
            alarm(300);
            if (ptrace(PTRACE_TRACEME, 0, 0, 0)) return 1;
            if (argc > 1) execvp(argv[1], argv + 1);
            for (;;) pause();
        }
    "#;

    #[test]
    fn row_60_a_stop_of_an_agent_that_asked_to_be_traced_is_not_its_end() {
        let sandbox = Sandbox::new();
        if !add_compiled(&sandbox, 60, "traced", TRACED) {
            return;
        }
        let (_, manifest) = played(&sandbox, "commit; exec traced sh -c 'exit 3'", &[]);
        assert_outcome(&manifest, "failed", "the agent exited with status 3");
        assert_eq!(manifest["exit"]["code"], 3);
    }

    #[test]
    fn row_60_a_signal_for_an_agent_that_asked_to_be_traced_arrives() {
        let sandbox = Sandbox::new();
        if !add_compiled(&sandbox, 60, "traced", TRACED) {
            return;
        }
        let (_, manifest) = played(&sandbox, "commit; exec traced", &["--timeout=1s", "--grace=10m"]);
        assert_outcome(&manifest, "timed_out", "ended at its timeout");
        assert_eq!((&manifest["exit"]["signal"], &manifest["exit"]["forced"]), (&15.into(), &false.into()));
    }
}

mod that_are_traced_by_what_they_leave {
    use super::*;

    /// Exits with 7, and is traced by a child of its own that does not listen to SIGTERM.
    const TRACED_BY_ITS_CHILD: &str = r#"
        #include <signal.h>
        #include <sys/prctl.h>
        #include <sys/ptrace.h>
        #include <unistd.h>

        int main(void) {
            int traced[2];
            char word;
            if (pipe(traced)) return 1;
            // Where only a parent may trace, unless it was said who else.
            prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
            if (fork()) {
                close(traced[1]);
                return read(traced[0], &word, 1) == 1 ? 7 : 1;
            }
            alarm(300);
            signal(SIGTERM, SIG_IGN);
            if (ptrace(PTRACE_SEIZE, getppid(), 0, 0) || write(traced[1], "", 1) != 1) return 1;
            for (;;) pause();
        }
    "#;

    #[test]
    fn row_60_the_status_of_an_agent_is_on_record_however_late_who_traces_it_lets_go() {
        let sandbox = Sandbox::new();
        if !add_compiled(&sandbox, 60, "traced-by-its-child", TRACED_BY_ITS_CHILD) {
            return;
        }
        let play = "commit; exec traced-by-its-child";
        let (_, manifest) = played(&sandbox, play, &["--timeout=2s", "--grace=200ms"]);
        assert_outcome(&manifest, "timed_out", "left running was ended");
        assert_eq!((&manifest["exit"]["code"], &manifest["exit"]["forced"]), (&7.into(), &false.into()));
    }
}

mod that_leave_what_is_hard_to_see {
    use super::*;

    /// Holds a lock for as long as anything of it lives: in a session of its own, its first thread ended.
    const HEADLESS: &str = r#"
        #include <fcntl.h>
        #include <pthread.h>
        #include <sys/file.h>
        #include <unistd.h>

        static void *stay(void *unused) {
            (void)unused;
            for (;;) pause();
        }

        int main(int argc, char **argv) {
            pthread_t thread;
            // A test that fails leaves it behind, and no one sees it.
            alarm(300);
            setsid();
            if (argc < 2 || flock(open(argv[1], O_RDWR | O_CREAT, 0600), LOCK_EX)) return 1;
            if (pthread_create(&thread, NULL, stay, NULL)) return 1;
            pthread_exit(NULL);
        }
    "#;

    /// Starts it, and goes on once it is a zombie to see.
    const LEAVE_HEADLESS: &str = "headless \"$stage/lock\" </dev/null >/dev/null 2>&1 & \
        until grep -q 'State:.Z' \"/proc/$!/status\"; do :; done";

    #[test]
    fn row_51_a_process_whose_first_thread_has_ended_is_swept() {
        let sandbox = Sandbox::new();
        if !add_compiled(&sandbox, 51, "headless", HEADLESS) {
            return;
        }
        let (_, manifest) = played(&sandbox, &format!("{LEAVE_HEADLESS}; commit; answer"), &[]);
        assert!(!is_locked(&sandbox.path("stages/pi/lock")), "it lives");
        assert_outcome(&manifest, "succeeded", "1 process that the agent left running was ended");
    }

    /// Never the same process for longer than a look at all processes takes, and all of them hold a lock.
    const HOPPER: &str = r#"
        #include <fcntl.h>
        #include <sys/file.h>
        #include <time.h>
        #include <unistd.h>

        int main(int argc, char **argv) {
            // A test that fails leaves it behind, and no one sees it.
            time_t end = time(NULL) + 300;
            setsid();
            if (argc < 3 || flock(open(argv[1], O_RDWR | O_CREAT, 0600), LOCK_EX)) return 1;
            close(open(argv[2], O_RDWR | O_CREAT, 0600));
            while (fork() == 0 && time(NULL) < end) usleep(500);
            return 0;
        }
    "#;

    const LEAVE_HOPPER: &str = "hopper \"$stage/lock\" \"$stage/hops\" </dev/null >/dev/null 2>&1 & \
        until [ -e \"$stage/hops\" ]; do :; done";

    #[test]
    fn row_51_a_process_that_keeps_handing_on_to_a_new_one_is_swept() {
        let sandbox = Sandbox::new();
        if !add_compiled(&sandbox, 51, "hopper", HOPPER) {
            return;
        }
        let play = format!("{LEAVE_HOPPER}; commit; answer");
        let (_, manifest) = played(&sandbox, &play, &["--grace=100ms"]);
        assert!(!is_locked(&sandbox.path("stages/pi/lock")), "it lives");
        assert_outcome(&manifest, "succeeded", "left running w");
    }

    #[test]
    fn row_51_stop_ends_a_process_that_keeps_handing_on_to_a_new_one() {
        let sandbox = Sandbox::new();
        if !add_compiled(&sandbox, 51, "hopper", HOPPER) {
            return;
        }
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(&format!("{LEAVE_HOPPER}; here; forever"));
        Session::dispatch(&repo, "T-1", &["--grace=100ms"]);
        pi.wait_here("T-1");
        assert!(is_locked(&sandbox.path("stages/pi/lock")));
        let stopped = repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json();
        assert!(!is_locked(&sandbox.path("stages/pi/lock")), "it lives");
        assert_outcome(&stopped, "stopped", "ended on request");
    }

    #[test]
    fn row_51_a_recovery_sweeps_a_process_whose_first_thread_has_ended() {
        let sandbox = Sandbox::new();
        if !add_compiled(&sandbox, 51, "headless", HEADLESS) {
            return;
        }
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(&format!("{LEAVE_HEADLESS}; here; forever"));
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        assert!(is_locked(&sandbox.path("stages/pi/lock")));
        session.supervisor().signal(Signal::KILL);
        wait::until("the lock to be let go", || (!session.is_held()).then_some(()));
        assert_eq!(repo.recover().len(), 1);
        assert!(!is_locked(&sandbox.path("stages/pi/lock")), "it lives");
    }
}

mod and_their_output {
    use super::*;

    #[test]
    fn row_53_an_agent_that_closes_its_output_is_no_different() {
        let sandbox = Sandbox::new();
        let (_, manifest) = played(&sandbox, "answer; close_output; commit; exit 0", &["--output-cap=64k"]);
        assert_outcome(&manifest, "succeeded", "");
    }

    #[test]
    fn row_54_output_beyond_the_cap_is_given_back_and_never_blocks_the_agent() {
        let sandbox = Sandbox::new();
        let bytes: u64 = rows::amount(256 << 20, 1 << 30);
        let play = format!("echo first; flood {bytes}; echo last; commit; answer stop finished");
        let (repo, manifest) = played(&sandbox, &play, &["--output-cap=1M"]);
        assert_outcome(&manifest, "succeeded", "");
        let stdout = path(&manifest, "/output/stdout");
        let meta = fs::metadata(stdout).unwrap();
        let kept = std::os::unix::fs::MetadataExt::blocks(&meta) * 512;
        assert!(meta.len() > bytes && kept <= (1 << 20) + (64 << 10), "{kept} of {} bytes", meta.len());
        let truncated = manifest["output"]["truncated_bytes"].as_u64().unwrap();
        assert!(truncated >= bytes - (2 << 20) && truncated < meta.len(), "{truncated}");
        // Both ends are kept, and what is missing is said.
        let logs = repo.ralph(&["worktree", "logs", "T-1", "--raw"]).run().ok();
        assert!(logs.stdout.starts_with("first\n") && logs.stdout.ends_with("last\nfinished\n"));
        assert!(logs.stdout_bytes.len() <= (1 << 20) + (64 << 10));
        assert!(logs.stderr.contains("bytes were given back"), "{}", logs.stderr);
    }

    #[test]
    fn row_54_binary_output_is_kept_as_it_is_and_shown_harmless() {
        let sandbox = Sandbox::new();
        let play =
            r"printf '\377\000\033]0;title\007\033[31mred\033[0m\n'; flood_binary 100000; commit; answer";
        let (repo, manifest) = played(&sandbox, play, &[]);
        assert_outcome(&manifest, "succeeded", "");
        let kept = fs::read(path(&manifest, "/output/stdout")).unwrap();
        assert!(kept.starts_with(b"\xff\0\x1b]0;title\x07\x1b[31mred\x1b[0m\n") && kept.len() > 100_000);
        let raw = repo.ralph(&["worktree", "logs", "T-1", "--raw"]).run().ok();
        assert_eq!(raw.stdout_bytes, kept);
        // pi's own record is shown by default; an agent without one has its output shown.
        let agent = ScriptedPi::other(&sandbox, "helper");
        agent.plays(play);
        repo.finish("T-2", &["--agent=helper"]);
        let shown = repo.ralph(&["worktree", "logs", "T-2"]).on_terminal().wait().ok();
        let bare = shown.stdout_bytes.iter().filter(|byte| matches!(byte, 0 | 7 | 0x1b)).count();
        assert_eq!(bare, 0, "{:?}", &shown.stdout[..200.min(shown.stdout.len())]);
        assert!(shown.stdout.contains("red"));
    }

    #[test]
    fn row_54_a_capped_file_is_looked_at_while_the_agent_runs() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("flood 16777216; here; wait_for_go; commit; answer");
        let session = Session::dispatch(&repo, "T-1", &["--output-cap=64k"]);
        pi.wait_here("T-1");
        wait::until("the surplus to be given back", || {
            let meta = fs::metadata(session.dir.join("stdout")).ok()?;
            (std::os::unix::fs::MetadataExt::blocks(&meta) * 512 < 256 << 10).then_some(())
        });
        pi.go("T-1");
        assert_eq!(session.ended()["outcome"], "succeeded");
    }
}

mod and_their_worktrees {
    use super::*;

    /// The copy of the manifest in the worktree, which must be the one in the store.
    #[track_caller]
    fn assert_view_is_back(manifest: &Value) {
        let view = fs::read(worktree(manifest).join(".ralph/manifest.json")).expect("the copy");
        assert_eq!(&serde_json::from_slice::<Value>(&view).unwrap(), manifest);
    }

    #[test]
    fn row_55_a_manifest_that_was_cleaned_away_comes_back() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; git clean -q -ffdx; here; wait_for_go; answer");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        assert!(!session.worktree.join(".ralph").exists());
        // The original answers meanwhile.
        let shown = repo.ralph(&["worktree", "inspect", "T-1", "--json"]).run().ok().json();
        assert_eq!(shown, session.manifest());
        pi.go("T-1");
        let manifest = session.ended();
        assert_outcome(&manifest, "succeeded", "");
        assert_view_is_back(&manifest);
        assert!(Repo::at(&sandbox, &session.worktree).status_porcelain().is_empty());
    }

    #[test]
    fn row_55_a_copy_that_was_changed_is_put_right() {
        let sandbox = Sandbox::new();
        let play =
            "echo '{\"outcome\":\"succeeded\"}' >.ralph/manifest.json; echo '!*' >.ralph/.gitignore; answer";
        let (_, manifest) = played(&sandbox, play, &[]);
        assert_outcome(&manifest, "no_changes", "");
        assert_view_is_back(&manifest);
    }

    #[test]
    fn row_56_a_worktree_that_was_deleted_is_told_and_its_branch_kept() {
        let sandbox = Sandbox::new();
        let (repo, manifest) = played(&sandbox, "commit; wipe; exit 0", &[]);
        assert_eq!(manifest["outcome"], "failed", "{manifest:#}");
        assert!(!worktree(&manifest).exists());
        assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 1"]);
        let listed = repo.ralph(&["worktree", "list", "--json"]).run().ok().json();
        assert_eq!(listed[0]["worktree_state"], "missing", "{listed:#}");
        // And it is made again from its branch.
        ScriptedPi::new(&sandbox).plays(COMMITS);
        assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
        assert_eq!(repo.log("main..ralph/T-1").len(), 2);
        assert!(worktree(&manifest).join("README.md").exists());
    }

    #[test]
    fn row_56_what_only_a_worktree_led_to_that_was_moved_away_is_kept_when_it_is_made_again() {
        let sandbox = Sandbox::new();
        let play = "git checkout -q --detach; echo q >q; git add q; git commit -qm precious; git rev-parse HEAD \
                    >\"$stage/precious\"; git checkout -q \"ralph/$ticket\"; echo staged >s; git add s; echo later >s";
        let (repo, manifest) = played(&sandbox, &format!("{play}; answer"), &[]);
        let precious = fs::read_to_string(sandbox.path("stages/pi/precious")).unwrap();
        let staged =
            sandbox.git(&["rev-parse", ":s"]).in_dir(worktree(&manifest)).run().ok().stdout.trim().to_owned();
        fs::rename(worktree(&manifest), sandbox.path("moved")).unwrap();
        ScriptedPi::new(&sandbox).plays(COMMITS);
        let told = repo.worktree(&["dispatch", "T-1", "--wait"]).run().ok();
        assert!(told.stderr.contains("what only the worktree that is gone led to is kept"), "{told}");
        repo.git(&["gc", "-q", "--prune=now"]);
        assert_eq!(repo.git(&["cat-file", "-t", precious.trim()]), "commit");
        assert_eq!(repo.git(&["cat-file", "-p", &staged]), "staged");
        // Until it is deleted with the registration that was kept.
        let deleted = repo.worktree(&["gc", "--older-than", "0s", "--yes"]).run().ok();
        assert!(deleted.stdout.starts_with("deleted: 0 ended sessions, 0 removed worktrees, "), "{deleted}");
        assert_eq!(repo.git(&["for-each-ref", "refs/ralph/trash"]), "");
    }

    #[test]
    fn row_56_git_itself_refuses_to_remove_or_prune_the_worktree_of_a_live_session() {
        let sandbox = Sandbox::new();
        let play = "commit; git worktree remove --force . 2>removal || :; git worktree prune; \
                    git branch -D \"$(git branch --show-current)\" 2>deletion || :; answer";
        let (repo, manifest) = played(&sandbox, play, &[]);
        let tree = worktree(&manifest);
        let id = manifest["session_id"].as_str().unwrap();
        let said = fs::read_to_string(tree.join("removal")).unwrap();
        assert!(said.contains("locked") && said.contains(&format!("ralph {id}")), "{said}");
        assert!(!fs::read_to_string(tree.join("deletion")).unwrap().is_empty());
        assert_eq!((repo.worktrees().len(), repo.log("main..ralph/T-1").len()), (2, 1));
        assert_outcome(&manifest, "uncommitted", "2 new files are not committed");
        // The lock goes with the session.
        assert!(!repo.git(&["worktree", "list", "--porcelain"]).contains("locked"));
    }

    #[test]
    fn row_56_a_registration_that_was_forced_away_is_told() {
        let sandbox = Sandbox::new();
        let (repo, manifest) = played(&sandbox, "commit; git worktree remove -f -f \"$PWD\"; exit 0", &[]);
        assert_eq!(manifest["outcome"], "failed", "{manifest:#}");
        assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 1"]);
        ScriptedPi::new(&sandbox).plays(COMMITS);
        assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
    }

    #[test]
    fn row_57_a_switch_to_another_branch_is_recorded_and_its_tip_pinned() {
        let sandbox = Sandbox::new();
        let play = "commit; git switch -q -c other; commit elsewhere.txt 'Elsewhere'; answer";
        let (repo, manifest) = played(&sandbox, play, &[]);
        assert_outcome(&manifest, "uncommitted", "another branch is checked out");
        assert_eq!(manifest["work"]["operation"], "other-branch");
        assert_eq!(manifest["work"]["commits"], 1);
        let head = manifest["worktree"]["head_commit"].as_str().unwrap();
        assert_eq!(head, repo.rev_parse("other"));
        assert!(
            repo.refs().iter().any(|r| r.starts_with("refs/ralph/") && r.ends_with(head)),
            "{:?}",
            repo.refs()
        );
    }

    #[test]
    fn row_57_commits_on_a_detached_head_are_pinned() {
        let sandbox = Sandbox::new();
        let play = "git switch -q --detach; commit; answer";
        let (repo, manifest) = played(&sandbox, play, &[]);
        assert_outcome(&manifest, "uncommitted", "HEAD is detached");
        assert_eq!(manifest["work"]["operation"], "detached");
        let inspected = repo.ralph(&["worktree", "inspect", "T-1"]).run().ok().stdout;
        assert!(inspected.contains("; HEAD is detached from the lane's branch"), "{inspected}");
        let head = manifest["worktree"]["head_commit"].as_str().unwrap();
        repo.git(&["worktree", "remove", "--force", worktree(&manifest).to_str().unwrap()]);
        repo.git(&["reflog", "expire", "--expire=now", "--all"]);
        repo.git(&["gc", "--quiet", "--prune=now"]);
        assert_eq!(repo.log(head)[0], "T-1: attempt 1");
    }

    #[test]
    fn row_57_a_branch_that_was_deleted_keeps_its_commits() {
        let sandbox = Sandbox::new();
        let play = "commit; git switch -q --detach; git branch -q -D ralph/T-1; answer";
        let (repo, manifest) = played(&sandbox, play, &[]);
        assert_outcome(&manifest, "uncommitted", "HEAD is detached");
        let head = manifest["worktree"]["head_commit"].as_str().unwrap();
        assert!(
            repo.refs().iter().any(|r| r.starts_with("refs/ralph/") && r.ends_with(head)),
            "{:?}",
            repo.refs()
        );
        assert_eq!(repo.log(head)[0], "T-1: attempt 1");
    }

    #[test]
    fn row_57_work_of_an_earlier_session_that_was_reset_away_is_pinned() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays_on("T-1", 1, COMMITS);
        pi.plays_on("T-1", 2, "git reset -q --hard HEAD~1; answer");
        let first = repo.finish("T-1", &[]);
        let head = first["worktree"]["head_commit"].as_str().unwrap();
        let second = repo.finish("T-1", &[]);
        assert_eq!(second["worktree"]["start_commit"], head);
        assert!(
            repo.refs().iter().any(|r| r.starts_with("refs/ralph/") && r.ends_with(head)),
            "{:?}",
            repo.refs()
        );
        assert!(second["reason"].as_str().unwrap().contains("refs/ralph/"), "{second:#}");
    }

    #[test]
    fn row_58_a_folder_that_cannot_be_looked_into_is_no_success() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; mkdir shut; echo work >shut/file; chmod 000 shut; answer");
        let Some(dispatch) = sandbox.ralph_kept_out(&["worktree", "dispatch", "T-1", "--wait", "--json"])
        else {
            rows::skip(58, "there is no setpriv to be kept out of a folder with, as root");
            return;
        };
        let manifest = dispatch.in_dir(repo.path()).run().expect_code(1).json();
        let shut = worktree(&manifest).join("shut");
        fs::set_permissions(&shut, fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs::read_to_string(shut.join("file")).unwrap(), "work\n");
        assert_outcome(&manifest, "failed", "could not open directory 'shut/'");
    }

    #[test]
    fn row_58_what_lies_uncommitted_is_kept_and_needs_attention() {
        let cases = [
            ("commit; echo more >>README.md; answer", json!([1, 0, null]), "1 changed file is not committed"),
            ("commit; echo new >new.txt; answer", json!([0, 1, null]), "1 new file is not committed"),
            ("echo a >a; git add a; answer", json!([1, 0, null]), "1 changed file is not committed"),
            ("leave_merge_open; answer", json!([1, 0, "merge"]), "a merge is open"),
            (
                "git switch -qc side; echo a >a; git add a; git commit -qm a; echo b >a; git commit -qam b; \
                 git switch -q ralph/T-1; echo c >a; git add a; git commit -qm c; \
                 git cherry-pick side~1 side >/dev/null 2>&1 || :; git add a; git commit -qm resolved; answer",
                json!([0, 0, "cherry-pick"]),
                "a cherry-pick is open",
            ),
            (
                "echo a >a; git add a; git commit -qm a; echo b >a; git commit -qam b; \
                 git rebase -q --exec false HEAD~1 >/dev/null 2>&1 || :; answer",
                json!([0, 0, "rebase"]),
                "a rebase is open",
            ),
        ];
        for (play, work, reason) in cases {
            let sandbox = Sandbox::new();
            let (_, manifest) = played(&sandbox, play, &[]);
            assert_outcome(&manifest, "uncommitted", reason);
            let seen = &manifest["work"];
            assert_eq!(json!([seen["uncommitted"], seen["untracked"], seen["operation"]]), work, "{play}");
            let status = Repo::at(&sandbox, worktree(&manifest)).status_porcelain();
            assert_eq!(status.is_empty(), work[0] == 0 && work[1] == 0, "{status:?}");
        }
    }

    #[test]
    fn row_59_an_agent_without_a_commit_did_not_succeed() {
        let sandbox = Sandbox::new();
        let (repo, manifest) = played(&sandbox, DOES_NOTHING, &[]);
        assert_outcome(&manifest, "no_changes", "");
        assert_eq!(manifest["exit"]["code"], 0);
        drop(repo.ralph(&["worktree", "wait", "T-1"]).run().expect_code(1));
    }

    #[test]
    fn row_65_an_index_lock_that_the_agent_left_is_told_and_stays() {
        let sandbox = Sandbox::new();
        let (repo, manifest) = played(&sandbox, "commit; hold_index_lock; answer", &[]);
        let lock = repo
            .common_dir()
            .join("worktrees")
            .join(worktree(&manifest).file_name().unwrap())
            .join("index.lock");
        assert!(lock.exists(), "{}", lock.display());
        let reason = manifest["reason"].as_str().unwrap();
        assert!(reason.contains("index.lock was left behind"), "{reason}");
    }

    #[test]
    fn row_65_the_index_lock_of_an_agent_that_was_ended_moves_into_its_session() {
        let sandbox = Sandbox::new();
        let (repo, manifest) = played(&sandbox, "commit; hold_index_lock; forever", &["--timeout=500ms"]);
        assert_outcome(&manifest, "timed_out", "stale index.lock was moved to");
        let session = Session::only(&repo);
        assert!(session.dir.join("index.lock").exists());
        let tree = Repo::at(&sandbox, worktree(&manifest));
        tree.commit_file("after.txt", "", "git works again");
    }

    #[test]
    fn row_65_so_do_those_on_its_head_and_its_branch() {
        let sandbox = Sandbox::new();
        let locks = ": >\"$(git rev-parse --git-path HEAD.lock)\"; : >\"$(git rev-parse --git-path refs/heads/ralph/T-1.lock)\"";
        let (repo, manifest) = played(&sandbox, &format!("commit; {locks}; forever"), &["--timeout=500ms"]);
        assert_outcome(&manifest, "timed_out", "stale HEAD.lock was moved to");
        assert_outcome(&manifest, "timed_out", "stale branch.lock was moved to");
        let session = Session::only(&repo);
        assert!(session.dir.join("HEAD.lock").exists() && session.dir.join("branch.lock").exists());
        Repo::at(&sandbox, worktree(&manifest)).commit_file("after.txt", "", "git works again");
    }
}

mod and_their_exits {
    use super::*;

    #[test]
    fn row_60_a_signal_and_its_exit_status_are_told_apart() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays_for("T-1", "commit; ulimit -c 0; kill -SEGV $$");
        pi.plays_for("T-2", "commit; exit 139");
        let (killed, exited) = (repo.finish("T-1", &[]), repo.finish("T-2", &[]));
        assert_outcome(&killed, "failed", "the agent was ended by signal 11");
        assert_outcome(&exited, "failed", "the agent exited with status 139");
        let exit = |manifest: &Value| json!([manifest["exit"]["code"], manifest["exit"]["signal"]]);
        assert_eq!((exit(&killed), exit(&exited)), (json!([null, 11]), json!([139, null])));
        assert_eq!((&killed["work"]["commits"], &exited["work"]["commits"]), (&1.into(), &1.into()));
    }

    #[test]
    fn row_60_an_agent_that_someone_else_ended_was_not_stopped_by_ralph() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        for (ticket, signal) in [("T-1", "TERM"), ("T-2", "KILL"), ("T-3", "HUP")] {
            pi.plays_for(ticket, &format!("kill -{signal} $$; forever"));
            let manifest = repo.finish(ticket, &[]);
            let seen = (&manifest["outcome"], &manifest["exit"]["ended_by"], &manifest["exit"]["forced"]);
            assert_eq!(seen, (&"failed".into(), &"agent".into(), &false.into()), "{signal}");
        }
    }

    #[test]
    fn row_62_an_agent_that_ends_at_once_always_has_its_status_recorded() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        // Not a shell: nothing ends faster.
        sandbox.link_tool("true");
        sandbox.link_tool("false");
        for round in 1..=rows::amount(30, 1000) {
            let (agent, code, outcome) = [("true", 0, "no_changes"), ("false", 1, "failed")][round % 2];
            let manifest = repo.finish("T-1", &[&format!("--agent={agent}")]);
            assert_eq!(manifest["exit"]["code"], code, "{manifest:#}");
            assert_eq!((&manifest["outcome"], &manifest["attempt"]), (&outcome.into(), &round.into()));
        }
    }

    /// What a dispatch of this agent says, which cannot be launched.
    #[track_caller]
    fn assert_cannot_launch(repo: &Repo<'_>, agent: &str, parts: &[&str]) {
        let before = Session::all(repo).len();
        let dispatched =
            repo.ralph(&["worktree", "dispatch", "T-1", "--json", &format!("--agent={agent}")]).run();
        dispatched.refused(5, parts);
        assert!(dispatched.error()["hint"].is_string(), "{dispatched}");
        assert_eq!(dispatched.json()["status"], "failed");
        let sessions = Session::all(repo);
        assert_eq!(sessions.len(), before + 1);
        let manifest = sessions.last().unwrap().ended();
        assert_eq!(manifest["outcome"], "launch_failed", "{manifest:#}");
        for part in parts {
            assert!(manifest["reason"].as_str().unwrap().contains(part), "no {part} in {manifest:#}");
        }
        assert!(manifest["exit"].is_null() && manifest["started_at"].is_null(), "{manifest:#}");
        assert!(!repo.git(&["worktree", "list", "--porcelain"]).contains("locked"));
    }

    #[test]
    fn row_63_a_program_that_is_missing_a_folder_or_not_executable_fails_to_launch_with_errno() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let plain = sandbox.write("plain.sh", "#!/bin/sh\n");
        let folder = sandbox.path("work");
        assert_cannot_launch(&repo, "no-such-agent", &["ENOENT", "errno 2", "no-such-agent"]);
        assert_cannot_launch(&repo, "/no/such/agent", &["ENOENT", "errno 2"]);
        assert_cannot_launch(&repo, &plain.display().to_string(), &["EACCES", "errno 13", "not executable"]);
        assert_cannot_launch(&repo, &folder.display().to_string(), &["EACCES", "errno 13", "folder"]);
        ScriptedPi::new(&sandbox).plays(COMMITS);
        assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
    }

    #[test]
    fn row_64_an_empty_program_or_one_without_a_shebang_does_not_succeed() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let empty = sandbox.add_program("empty", "");
        let bare = sandbox.add_program("bare", "exit 0\n");
        assert_cannot_launch(&repo, &empty.display().to_string(), &["ENOEXEC", "errno 8", "empty"]);
        assert_cannot_launch(&repo, &bare.display().to_string(), &["ENOEXEC", "errno 8"]);
    }

    #[test]
    fn row_64_a_program_that_only_the_kernel_refuses_fails_to_launch_with_its_errno() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        // It begins like a program and is none: nothing but exec itself finds that out.
        let broken = sandbox.add_program("broken", b"\x7fELF\x02\x01\x01 and no more");
        let dispatched = repo
            .ralph(&["worktree", "dispatch", "T-1", "--json", &format!("--agent={}", broken.display())])
            .run();
        dispatched.refused(5, &["errno 8"]);
        let manifest = Session::only(&repo).ended();
        assert_outcome(&manifest, "launch_failed", "errno 8");
        assert_eq!(dispatched.json()["status"], "failed");
        sandbox.assert_nothing_runs();
    }
}
