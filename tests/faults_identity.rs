//! Who is who: pids that became another's, names that look like something else, reboots, clocks, terminals and other
//! machines. Nothing is ever signalled that is not certainly the session's.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::process::{Process, program_of_this_machine};
use crate::helpers::{Repo, Running, Sandbox, ScriptedPi, Session, rows, wait};

/// A session that runs, with its agent.
fn running<'s>(sandbox: &'s Sandbox) -> (Repo<'s>, Session, Process) {
    let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
    pi.plays("commit; here; forever");
    let session = Session::dispatch(&repo, "T-1", &["--grace=2s"]);
    let agent = pi.wait_here("T-1");
    (repo, session, agent)
}

/// A session whose supervisor was killed, with its agent, which lives.
fn abandoned<'s>(sandbox: &'s Sandbox) -> (Repo<'s>, Session, Process) {
    let (repo, session, agent) = running(sandbox);
    session.supervisor().signal(Signal::KILL);
    wait::until("the lock to be free", || (!session.is_held()).then_some(()));
    (repo, session, agent)
}

/// A process of someone else's.
fn victim(sandbox: &Sandbox) -> (Running, Process) {
    let running = sandbox.run("sleep", &["1000"]).spawn();
    let process = wait::until("the victim", || {
        Process::find(running.pid()).filter(|process| process.command.ends_with("sleep 1000"))
    });
    (running, process)
}

/// Makes both of a session's processes on record the victim, start time and all.
fn blame(session: &Session, victim: &Process) {
    session.forge(|manifest| {
        for role in ["supervisor", "agent"] {
            manifest["process"][role]["pid"] = json!(victim.pid);
            manifest["process"][role]["start_ticks"] = json!(victim.start_ticks);
        }
    });
}

mod forged_pids {
    use super::*;

    #[test]
    fn row_66_a_recovery_does_not_touch_a_process_that_only_the_record_names() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = abandoned(&sandbox);
        let (_running, victim) = victim(&sandbox);
        blame(&session, &victim);
        // Its start time is the victim's, and later than the agent's, which the forger would spare by that.
        session.forge(|manifest| manifest["process"]["supervisor"]["start_ticks"] = json!(1));
        repo.recover();
        assert!(victim.is_alive());
        assert!(!agent.is_alive());
        assert_eq!(session.manifest()["outcome"], "lost");
    }

    #[test]
    fn row_66_stop_does_not_signal_a_process_that_is_no_supervisor_and_finds_the_one_that_is() {
        let sandbox = Sandbox::new();
        let (repo, session, _agent) = running(&sandbox);
        let (_running, victim) = victim(&sandbox);
        blame(&session, &victim);
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        assert!(victim.is_alive());
        assert_eq!(session.ended()["outcome"], "stopped");
    }

    #[test]
    fn row_66_another_sessions_supervisor_is_not_stopped_in_place_of_ones_own() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let (mine, other) = (Session::dispatch(&repo, "T-1", &[]), Session::dispatch(&repo, "T-2", &[]));
        pi.wait_here("T-2");
        blame(&mine, &other.supervisor());
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        assert_eq!(mine.ended()["outcome"], "stopped");
        assert!(other.is_held() && other.agent().is_alive());
        drop(repo.ralph(&["worktree", "stop", "T-2"]).run().ok());
    }

    /// In a pid namespace of its own, where pids can be chosen: the supervisor's is given to someone else.
    #[test]
    fn row_66_a_pid_that_was_given_to_another_process_is_left_alone() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("exec sleep 1000");
        let space = ["-Ur", "--pid", "--fork", "--mount-proc", "sh", "-c"];
        let choose = [&space[..], &["echo 100 >/proc/sys/kernel/ns_last_pid"]].concat();
        if !sandbox.link_tool("unshare") || sandbox.run("unshare", &choose).run().code != Some(0) {
            rows::skip(66, "this machine does not let a test choose a pid");
            return;
        }
        let ralph = env!("CARGO_BIN_EXE_ralph");
        let script = format!(
            r#"set -eu
            {ralph} worktree dispatch T-1 >&2
            set -- "$PWD"/.git/ralph/sessions/*/manifest.json
            number() {{ sed -n "/\"$1\": {{/,/}}/s/.*\"pid\": \([0-9]*\).*/\1/p" "$2" | head -n 1; }}
            supervisor=$(number supervisor "$1")
            agent=$(number agent "$1")
            kill -KILL "$supervisor" "$agent"
            # Reaped by the namespace's first process; the agent bears the number too, as its session.
            until [ ! -e "/proc/$supervisor" ] && [ ! -e "/proc/$agent" ]; do sleep 0.01; done
            victim=0
            # The kernel gives the number back a moment after the process is gone.
            until [ "$victim" = "$supervisor" ]; do
                [ "$victim" = 0 ] || kill -KILL "$victim"
                echo $((supervisor - 1)) >/proc/sys/kernel/ns_last_pid
                sleep 1000 &
                victim=$!
            done
            echo "pid $victim of $supervisor"
            {ralph} worktree stop T-1 >&2 || :
            {ralph} worktree recover >&2
            kill -0 "$victim" && echo "the victim lives"
            kill -KILL "$victim""#
        );
        // The shell around it is the first process, and waits: so it reaps orphans.
        let first = format!("sh -c '{}' & wait $!", script.replace('\'', "'\\''"));
        let words = [&space[..], &[&first]].concat();
        let ended = sandbox.run("unshare", &words).in_dir(&repo).run().ok();
        let given = ended.stdout.lines().next().unwrap().strip_prefix("pid ").unwrap();
        let (victim, supervisor) = given.split_once(" of ").unwrap();
        assert_eq!(victim, supervisor, "the number was not given away: {ended}");
        assert!(ended.stdout.ends_with("the victim lives\n"), "{ended}");
        assert_eq!(Session::only(&repo).manifest()["outcome"], "lost");
    }
}

mod names {
    use super::*;

    #[test]
    fn row_67_processes_with_brackets_and_spaces_in_their_names_are_told_apart() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let agent = ScriptedPi::other(&sandbox, "a b) c");
        sandbox.link_tool("cp");
        agent.plays("cp -L \"$(command -v sleep)\" \"$TMPDIR/x) S 1 1\"; setsid \"$TMPDIR/x) S 1 1\" 1000 & here; forever");
        let option = format!("--agent='{}'", sandbox.bin().join("a b) c").display());
        let session = Session::dispatch(&repo, "T-1", &[&option]);
        let process = agent.wait_here("T-1");
        assert_eq!(fs::read_to_string(format!("/proc/{}/comm", process.pid)).unwrap(), "a b) c\n");
        let named = |process: &Process| {
            fs::read_to_string(format!("/proc/{}/comm", process.pid)).is_ok_and(|name| name == "x) S 1 1\n")
        };
        let odd = wait::until("the oddly named process", || sandbox.processes().into_iter().find(named));
        let record = session.manifest()["process"]["agent"].clone();
        assert_eq!(
            (&record["pid"], &record["start_ticks"]),
            (&json!(process.pid), &json!(process.start_ticks))
        );
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
        assert!(!odd.is_alive() && !process.is_alive());
        assert_eq!(session.ended()["outcome"], "stopped");
    }
}

mod reboots {
    use super::*;

    #[test]
    fn row_68_after_a_reboot_every_session_is_lost_nothing_is_signalled_and_trees_are_kept() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; here; forever");
        let sessions = ["T-1", "T-2"].map(|ticket| Session::dispatch(&repo, ticket, &[]));
        let agents = ["T-1", "T-2"].map(|ticket| pi.wait_here(ticket));
        for session in &sessions {
            session.supervisor().signal(Signal::KILL);
            wait::until("the lock to be free", || (!session.is_held()).then_some(()));
            session.forge(|manifest| {
                manifest["process"]["boot_id"] = json!("00000000-0000-4000-8000-000000000000");
            });
        }
        let recovered = repo.recover();
        assert_eq!(recovered.len(), 2);
        for (session, agent) in sessions.iter().zip(&agents) {
            assert!(agent.is_alive(), "it was signalled");
            let manifest = session.manifest();
            assert_eq!(manifest["outcome"], "lost");
            assert!(manifest["reason"].as_str().unwrap().contains("started again"), "{manifest:#}");
            assert_eq!(manifest["work"]["commits"], 1, "{manifest:#}");
            assert!(session.worktree.join("README.md").exists());
            agent.signal(Signal::KILL);
        }
        pi.plays_for("T-1", COMMITS);
        assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
    }

    #[test]
    fn row_68_a_machine_that_was_renamed_while_it_ran_is_the_same_machine() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = abandoned(&sandbox);
        session.forge(|manifest| manifest["process"]["host"] = json!("as-it-was-called"));
        repo.recover();
        assert!(!agent.is_alive());
        assert_eq!(session.manifest()["outcome"], "lost");
    }
}

mod clocks {
    use super::*;

    /// What a program that is linked against this takes for the time of the day: the true one and the seconds that stand
    /// in the file that `CLOCK_OFF_BY` names. Other clocks stay as they are.
    const CLOCK: &str = r#"
        #define _GNU_SOURCE
        #include <stdio.h>
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>

        static long off_by(void) {
            const char *name = getenv("CLOCK_OFF_BY");
            FILE *file = name ? fopen(name, "re") : NULL;
            long seconds = 0;
            if (file) {
                if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
                fclose(file);
            }
            return seconds;
        }

        int clock_gettime(clockid_t clock, struct timespec *now) {
            int result = syscall(SYS_clock_gettime, clock, now);
            if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += off_by();
            return result;
        }

        time_t time(time_t *now) {
            struct timespec exact;
            clock_gettime(CLOCK_REALTIME, &exact);
            if (now) *now = exact.tv_sec;
            return exact.tv_sec;
        }

        int gettimeofday(struct timeval *now, void *zone) {
            struct timespec exact;
            (void)zone;
            clock_gettime(CLOCK_REALTIME, &exact);
            now->tv_sec = exact.tv_sec;
            now->tv_usec = exact.tv_nsec / 1000;
            return 0;
        }
    "#;

    const TEN_YEARS: i64 = 10 * 365 * 86_400;

    /// Lets the test set the clock that everything in the sandbox goes by; skips the row where nothing can be compiled.
    fn with_a_clock_of_its_own(sandbox: &Sandbox) -> Option<impl Fn(i64)> {
        let Some(compiler) = program_of_this_machine("cc") else {
            rows::skip(69, "there is no C compiler to make a clock with that a test can set");
            return None;
        };
        let (source, library) = (sandbox.write("clock.c", CLOCK), sandbox.path("clock.so"));
        let compile =
            Command::new(compiler).args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).output();
        let compiled = compile.expect("the compiler starts");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let off_by = sandbox.write("clock", "0");
        sandbox.set_env("CLOCK_OFF_BY", &off_by);
        sandbox.set_env("LD_PRELOAD", library);
        Some(move |seconds: i64| {
            let draft = off_by.with_extension("draft");
            fs::write(&draft, seconds.to_string()).expect("the clock's draft");
            fs::rename(draft, &off_by).expect("the clock");
        })
    }

    fn year(manifest: &Value, field: &str) -> i32 {
        let text = manifest[field].as_str().unwrap_or_else(|| panic!("no {field}: {manifest:#}"));
        text[..4].parse().expect("a year")
    }

    #[test]
    fn row_69_a_clock_that_is_set_forward_ends_no_session_and_is_what_is_shown() {
        let sandbox = Sandbox::new();
        let Some(set_clock) = with_a_clock_of_its_own(&sandbox) else { return };
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        // It shows signs of life for longer than it may be idle.
        pi.plays(
            "here; wait_for_go; for n in 1 2 3 4 5 6 7 8 9; do echo $n; sleep 0.5; done; commit; answer",
        );
        let session = Session::dispatch(&repo, "T-1", &["--timeout=1h", "--idle-timeout=3s"]);
        pi.wait_here("T-1");
        set_clock(TEN_YEARS);
        pi.go("T-1");
        let manifest = session.ended();
        let seen = (&manifest["outcome"], &manifest["exit"]["ended_by"]);
        assert_eq!(seen, (&"succeeded".into(), &"agent".into()), "{manifest:#}");
        assert!(year(&manifest, "ended_at") >= year(&manifest, "started_at") + 9, "{manifest:#}");
        assert_eq!(repo.recover(), Vec::<Value>::new());
    }

    #[test]
    fn row_69_a_clock_that_is_set_back_puts_off_no_deadline() {
        let sandbox = Sandbox::new();
        let Some(set_clock) = with_a_clock_of_its_own(&sandbox) else { return };
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; here; forever");
        for (ticket, limit, ended_by) in
            [("T-1", "--timeout=2s", "timeout"), ("T-2", "--idle-timeout=2s", "idle")]
        {
            set_clock(0);
            let session = Session::dispatch(&repo, ticket, &[limit]);
            pi.wait_here(ticket);
            set_clock(-TEN_YEARS);
            let manifest = session.ended();
            assert_eq!(manifest["exit"]["ended_by"], ended_by, "{manifest:#}");
            assert!(year(&manifest, "ended_at") <= year(&manifest, "started_at") - 9, "{manifest:#}");
        }
    }

    #[test]
    fn row_69_a_file_time_of_the_future_keeps_no_idle_session_alive() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("touch -d 2100-01-01 \"$(readlink /proc/$$/fd/1)\"; forever");
        let manifest = repo.finish("T-1", &["--idle-timeout=300ms", "--timeout=10m"]);
        assert_eq!(manifest["exit"]["ended_by"], "idle", "{manifest:#}");
    }

    #[test]
    fn row_69_a_file_time_of_the_past_ends_no_session_that_works() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        // Each sign of life looks decades older than the one before.
        pi.plays(
            "for year in 2025 2015 2005 1995 1985 1975; do \
             touch -d $year-01-01 \"$(readlink /proc/$$/fd/1)\"; sleep 0.5; done; answer",
        );
        let manifest = repo.finish("T-1", &["--idle-timeout=2s"]);
        assert_eq!(manifest["exit"]["ended_by"], "agent", "{manifest:#}");
    }
}

mod machines {
    use super::*;

    fn on_another_machine(manifest: &mut Value) {
        manifest["process"]["host"] = json!("elsewhere");
        manifest["process"]["boot_id"] = json!("00000000-0000-4000-8000-000000000000");
    }

    #[test]
    fn row_72_a_session_of_another_machine_is_never_settled_or_signalled_from_here() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = abandoned(&sandbox);
        session.forge(on_another_machine);
        let before = session.manifest();
        for _ in 0..2 {
            let recovered = repo.recover();
            assert_eq!(recovered[0]["action"], "left", "{recovered:#?}");
            assert!(recovered[0]["reason"].as_str().unwrap().contains("another machine"), "{recovered:#?}");
        }
        repo.ralph(&["worktree", "dispatch", "T-1", "--json"])
            .run()
            .refused(4, &["runs on elsewhere", &session.id]);
        assert_eq!(session.manifest(), before);
        assert!(agent.is_alive());
        agent.signal(Signal::KILL);
    }

    #[test]
    fn row_72_stop_says_where_the_session_runs_and_leaves_it_alone() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = running(&sandbox);
        let own = session.manifest()["process"].clone();
        session.forge(on_another_machine);
        repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().refused(4, &["runs on elsewhere"]);
        assert!(agent.is_alive() && session.is_held());
        assert!(!session.dir.join("stop.json").exists());
        session.forge(|manifest| manifest["process"] = own);
        drop(repo.ralph(&["worktree", "stop", "T-1"]).run().ok());
    }

    #[test]
    fn each_of_several_sessions_that_stop_could_not_reach_is_named() {
        let sandbox = Sandbox::new();
        let (repo, first, _) = running(&sandbox);
        let second = Session::dispatch(&repo, "T-2", &[]);
        let sessions = [first, second];
        let own = sessions.each_ref().map(|session| session.manifest()["process"].clone());
        sessions.iter().for_each(|session| session.forge(on_another_machine));
        let said = repo.ralph(&["worktree", "stop", "T-1", "T-2", "--json"]).run();
        let [first, second] = &sessions;
        said.refused(
            4,
            &[&format!("{} runs on elsewhere", first.id), &format!("{} runs on elsewhere", second.id)],
        );
        for (session, own) in sessions.iter().zip(own) {
            session.forge(|manifest| manifest["process"] = own);
        }
        drop(repo.ralph(&["worktree", "stop", "--all"]).run().ok());
    }

    #[test]
    fn row_72_a_damaged_record_does_not_hide_that_it_is_another_machines() {
        let sandbox = Sandbox::new();
        let (repo, session, agent) = abandoned(&sandbox);
        // As it would be if it had been begun there.
        let entry = repo.store().join("running").join(&session.id);
        let mut record: Value = serde_json::from_slice(&fs::read(&entry).unwrap()).unwrap();
        record["machine"]["host"] = json!("elsewhere");
        record["machine"]["boot_id"] = json!("00000000-0000-4000-8000-000000000000");
        fs::write(&entry, record.to_string()).unwrap();
        fs::write(session.manifest_file(), "{").unwrap();
        let recovered = repo.recover();
        assert_eq!(recovered[0]["action"], "left", "{recovered:#?}");
        assert!(agent.is_alive());
        assert_eq!(session.manifest()["state"], "running");
        agent.signal(Signal::KILL);
    }

    #[test]
    fn row_72_of_a_session_that_ended_on_another_machine_nothing_is_left_to_wait_for() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(COMMITS);
        repo.finish("T-1", &[]);
        Session::only(&repo).forge(on_another_machine);
        assert_eq!(repo.finish("T-1", &[])["attempt"], 2);
    }
}
