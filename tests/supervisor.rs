//! What a supervisor and its agent are made of: descriptors, terminal, folder, group, environment, modes of files; and
//! that waiting costs nothing.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::process::{self, Process};
use crate::helpers::session::{SESSION_MARK, names_in};
use crate::helpers::tree::{Entry, Tree};
use crate::helpers::{Repo, Sandbox, ScriptedPi, Session, wait};

/// A repository with a session that runs until it is stopped.
fn running<'s>(sandbox: &'s Sandbox, play: &str, args: &[&str]) -> (Repo<'s>, ScriptedPi, Session) {
    let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
    pi.plays(play);
    let session = Session::dispatch(&repo, "T-1", args);
    pi.wait_here("T-1");
    (repo, pi, session)
}

fn stop(repo: &Repo<'_>) {
    drop(repo.ralph(&["worktree", "stop", "--all", "--now"]).run().ok());
}

/// A process's open files, by number.
fn files_of(process: &Process) -> BTreeMap<u32, PathBuf> {
    let folder = PathBuf::from(format!("/proc/{}/fd", process.pid));
    let open = names_in(&folder).into_iter().filter_map(|name| {
        // One that is closed meanwhile is not there.
        let target = fs::read_link(folder.join(&name)).ok()?;
        Some((name.parse().expect("a number"), target))
    });
    open.collect()
}

/// A field of `/proc/<pid>/stat`, counted from 1 as proc_pid_stat(5) does.
fn stat_field(process: &Process, number: usize) -> i64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).expect("a live process");
    let behind_name = &stat[stat.rfind(')').expect("a name") + 1..];
    let field = behind_name.split_ascii_whitespace().nth(number - 3).expect("the field");
    field.parse().expect("a number")
}

mod leaving_the_caller {
    use super::*;

    #[test]
    fn dispatch_returns_and_nothing_of_its_output_stays_open() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        // `wait` fails where anyone still holds either stream.
        let dispatched = repo.ralph(&["worktree", "dispatch", "T-1"]).spawn().wait().ok();
        assert!(dispatched.stdout.contains("T-1 runs"), "{dispatched}");
        assert!(pi.wait_here("T-1").is_alive());
        stop(&repo);
    }

    #[test]
    fn another_descriptor_of_the_callers_is_closed_too() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        // The pipe that is read is held as descriptor 9 only.
        let script = "exec 9>&1 8>&2 >/dev/null 2>&1; \"$@\"; echo \"dispatched $?\" >&9";
        let ralph = env!("CARGO_BIN_EXE_ralph");
        let shell = sandbox.run("sh", &["-c", script, "sh", ralph, "worktree", "dispatch", "T-1"]);
        let called = shell.in_dir(&repo).spawn().wait().ok();
        assert_eq!(called.stdout, "dispatched 0\n");
        assert!(pi.wait_here("T-1").is_alive());
        stop(&repo);
    }

    #[test]
    fn the_supervisor_has_no_terminal_no_folder_and_no_group_of_its_callers() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let terminal = repo.ralph(&["worktree", "dispatch", "T-1"]).on_terminal();
        let caller = terminal.pid();
        drop(terminal.wait().ok());
        pi.wait_here("T-1");
        let session = Session::only(&repo);
        let supervisor = session.supervisor();
        assert_eq!((supervisor.pgid, supervisor.sid), (supervisor.pid, supervisor.pid));
        assert_ne!(supervisor.sid, caller);
        assert_eq!(stat_field(&supervisor, 7), 0, "it has a terminal");
        assert_eq!(fs::read_link(format!("/proc/{}/cwd", supervisor.pid)).unwrap(), Path::new("/"));
        assert_eq!(stat_field(&session.agent(), 7), 0, "the agent has a terminal");
        stop(&repo);
    }

    #[test]
    fn the_supervisor_holds_its_lock_and_its_log_and_no_other_file() {
        let sandbox = Sandbox::new();
        let (repo, _pi, session) = running(&sandbox, NEVER_ENDS, &[]);
        let files = files_of(&session.supervisor());
        let null = PathBuf::from("/dev/null");
        assert_eq!((&files[&0], &files[&1]), (&null, &null));
        assert_eq!(files[&2], session.dir.join("supervisor.log"));
        let others: Vec<&PathBuf> =
            files.iter().filter(|(number, _)| **number > 2).map(|(_, file)| file).collect();
        let inner = |file: &Path| {
            let name = file.to_string_lossy();
            ["socket:", "anon_inode:[pidfd]", "anon_inode:[eventpoll]"]
                .iter()
                .any(|kind| name.starts_with(kind))
        };
        let real: Vec<&PathBuf> = others.into_iter().filter(|file| !inner(file)).collect();
        assert_eq!(real, [&session.dir.join("lock")], "{files:#?}");
        stop(&repo);
    }

    #[test]
    fn row_70_a_terminal_that_closes_after_the_dispatch_ends_nothing() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("here; wait_for_go; commit; answer");
        let ralph = env!("CARGO_BIN_EXE_ralph");
        let script = "\"$@\"; echo shell ready; read line";
        let shell = sandbox.run("sh", &["-c", script, "sh", ralph, "worktree", "dispatch", "T-1"]);
        let mut terminal = shell.in_dir(&repo).on_terminal();
        terminal.wait_for("shell ready");
        let agent = pi.wait_here("T-1");
        terminal.hang_up();
        drop(terminal.wait());
        assert!(agent.is_alive());
        pi.go("T-1");
        assert_eq!(Session::only(&repo).ended()["outcome"], "succeeded");
    }
}

mod the_agent {
    use super::*;

    #[test]
    fn it_has_nothing_to_read_and_only_its_output_files() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        repo.finish("T-1", &[]);
        let session = Session::only(&repo);
        let expected = BTreeMap::from([
            (0, PathBuf::from("/dev/null")),
            (1, session.dir.join("stdout")),
            (2, session.dir.join("stderr")),
        ]);
        assert_eq!(pi.call("T-1", 1).files, expected);
    }

    #[test]
    fn with_its_output_discarded_it_has_no_file_at_all() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("echo noise; commit; answer");
        let manifest = repo.finish("T-1", &["--output=discard"]);
        assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        let null = PathBuf::from("/dev/null");
        let expected = BTreeMap::from([(0, null.clone()), (1, null.clone()), (2, null)]);
        assert_eq!(pi.call("T-1", 1).files, expected);
        assert!(manifest["output"]["stdout"].is_null() && manifest["output"]["stderr"].is_null());
        assert!(!Session::only(&repo).dir.join("stdout").exists());
    }

    #[test]
    fn it_leads_a_group_of_its_own_in_the_supervisors_session_and_stands_in_the_worktree() {
        let sandbox = Sandbox::new();
        let (repo, pi, session) = running(&sandbox, NEVER_ENDS, &[]);
        let call = pi.call("T-1", 1);
        let (agent, supervisor) = (session.agent(), session.supervisor());
        assert_eq!((call.pid, call.pgid, call.sid), (agent.pid, agent.pid, supervisor.pid));
        assert_eq!(agent.ppid, supervisor.pid);
        assert_eq!(call.folder, session.worktree);
        assert_eq!(session.manifest()["process"]["agent"]["pgid"], agent.pid);
        stop(&repo);
    }

    #[test]
    fn while_it_works_its_supervisor_gives_its_own_code_back() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(NEVER_ENDS);
        let gate = sandbox.path("gate");
        let waits = format!("supervise.running:wait={}", gate.display());
        drop(repo.ralph(&["worktree", "dispatch", "T-1"]).env("RALPH_FAILPOINT", waits).run().ok());
        let supervisor = Session::only(&repo).supervisor();
        let before = resident_code(supervisor.pid);
        sandbox.write("gate", "");
        wait::until("less of its code", || (resident_code(supervisor.pid) < before).then_some(()));
        stop(&repo);
    }

    /// How much of ralph's own file a process has in memory, in kilobytes.
    fn resident_code(pid: i32) -> u64 {
        let smaps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
        let mut is_ralphs = false;
        let mut sum = 0;
        for line in smaps.lines() {
            if let Some(size) = line.strip_prefix("Rss:") {
                let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
                sum += if is_ralphs { size } else { 0 };
            } else if line.split(' ').next().is_some_and(|first| first.contains('-')) {
                is_ralphs = line.ends_with("/ralph");
            }
        }
        assert!(sum > 0, "{smaps}");
        sum
    }

    #[test]
    fn it_does_not_hold_the_sessions_lock() {
        let sandbox = Sandbox::new();
        let (repo, _pi, session) = running(&sandbox, NEVER_ENDS, &[]);
        let agent = session.agent();
        assert!(session.is_held());
        session.supervisor().signal(Signal::KILL);
        wait::until("the lock to be free", || (!session.is_held()).then_some(()));
        assert!(agent.is_alive());
        repo.recover();
        assert!(!agent.is_alive());
    }

    #[test]
    fn its_environment_is_the_callers_with_who_it_is_and_no_maintenance() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays(COMMITS);
        // git itself says which variables bind it to one repository.
        let bound = repo.git(&["rev-parse", "--local-env-vars"]);
        let mut dispatch = repo.ralph(&["worktree", "dispatch", "T-1", "--wait", "--json"]);
        for name in bound.lines() {
            dispatch = dispatch.env(name, "/nowhere");
        }
        let manifest = dispatch.env("MINE", "a b\nc").run().ok().json();
        let session = Session::only(&repo);
        let mut env = pi.call("T-1", 1).env;
        let settings = [
            ("GIT_CONFIG_COUNT", "2"),
            ("GIT_CONFIG_KEY_0", "maintenance.auto"),
            ("GIT_CONFIG_VALUE_0", "false"),
            ("GIT_CONFIG_KEY_1", "gc.auto"),
            ("GIT_CONFIG_VALUE_1", "0"),
        ];
        for (name, value) in settings {
            assert_eq!(env.remove(name).as_deref(), Some(value), "{name}");
        }
        for name in bound.lines() {
            assert_eq!(env.get(name), None, "{name}");
        }
        let base = manifest["worktree"]["base_commit"].as_str().unwrap();
        let added = [
            (SESSION_MARK, session.id.as_str()),
            ("RALPH_TICKET_ID", "T-1"),
            ("RALPH_WORKTREE", session.worktree.to_str().unwrap()),
            ("RALPH_BASE_COMMIT", base),
        ];
        for (name, value) in added {
            assert_eq!(env.remove(name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(env.remove("MINE").as_deref(), Some("a b\nc"));
        // A shell adds these of its own.
        for name in ["PWD", "OLDPWD", "SHLVL", "_"] {
            env.remove(name);
        }
        let inherited = sandbox.env().into_iter();
        let inherited = inherited
            .map(|(name, value)| (name.into_string().expect("text"), value.into_string().expect("text")));
        assert_eq!(env, inherited.collect());
    }

    #[test]
    fn a_dispatch_from_inside_a_session_is_refused() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        let ralph = env!("CARGO_BIN_EXE_ralph");
        pi.plays(&format!("{ralph} worktree dispatch T-2 >inner 2>&1 || echo $? >>inner; answer"));
        repo.finish("T-1", &[]);
        let session = Session::only(&repo);
        let inner = fs::read_to_string(session.worktree.join("inner")).unwrap();
        assert!(inner.contains(&session.id) && inner.ends_with("\n4\n"), "{inner}");
    }
}

mod secrets {
    use super::*;

    /// Fails if `secret` stands in any file below `folder`.
    #[track_caller]
    fn assert_nowhere_in(folder: &Path, secret: &str) {
        for (path, entry) in Tree::of(folder).0 {
            if let Entry::File { content, .. } = entry {
                let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "{} holds the secret", folder.join(path).display());
            }
        }
    }

    #[test]
    fn row_77_no_value_of_the_environment_is_written_down() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; here; forever");
        let secrets = [("OPENAI_API_KEY", "sk-hunter2hunter2"), ("PLAIN_VARIABLE", "ordinary-but-mine")];
        let mut dispatch = repo.ralph(&["worktree", "dispatch", "T-1"]);
        for (name, value) in secrets {
            dispatch = dispatch.env(name, value);
        }
        drop(dispatch.run().ok());
        pi.wait_here("T-1");
        let session = Session::only(&repo);
        assert_eq!(pi.call("T-1", 1).env["OPENAI_API_KEY"], "sk-hunter2hunter2");
        // While it runs, and when it has ended.
        for _ in 0..2 {
            for (_, value) in secrets {
                assert_nowhere_in(&repo.common_dir(), value);
                assert_nowhere_in(&session.worktree, value);
            }
            stop(&repo);
        }
    }

    #[test]
    fn row_77_arguments_that_look_like_secrets_reach_the_agent_and_no_file() {
        let sandbox = Sandbox::new();
        let repo = Repo::new(&sandbox);
        let agent = ScriptedPi::other(&sandbox, "helper");
        agent.plays("here; forever");
        let args = [
            "--agent=helper {ticket}",
            "--",
            "--api-key",
            "s3cr3t-one",
            "--header=Authorization: s3cr3t-two",
        ];
        let session = Session::dispatch(&repo, "T-1", &args);
        let process = agent.wait_here("T-1");
        let call = agent.call("T-1", 1);
        assert_eq!(call.args, ["T-1", "--api-key", "s3cr3t-one", "--header=Authorization: s3cr3t-two"]);
        assert_eq!(process.pid, call.pid);
        assert!(call.env.keys().all(|name| !name.starts_with("RALPH_ARG")), "{:?}", call.env.keys());
        assert!(!session.supervisor().command.contains("s3cr3t"));
        let argv = &session.manifest()["agent"]["argv"];
        assert_eq!((&argv[0], &argv[1], &argv[2]), (&"T-1".into(), &"--api-key".into(), &"***".into()));
        stop(&repo);
        for folder in [&repo.common_dir(), &session.worktree] {
            assert_nowhere_in(folder, "s3cr3t");
        }
    }
}

mod modes {
    use super::*;

    #[test]
    fn row_78_with_umask_000_files_are_0600_and_folders_0700() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("echo out; echo err >&2; commit; answer; here; forever");
        let ralph = env!("CARGO_BIN_EXE_ralph");
        let shell = |words: &[&str]| {
            let all = [&["-c", "umask 000; exec \"$@\"", "sh", ralph, "worktree"], words].concat();
            sandbox.run("sh", &all).in_dir(&repo).run().ok()
        };
        drop(shell(&["dispatch", "T-1"]));
        pi.wait_here("T-1");
        drop(shell(&["stop", "T-1"]));
        let store = repo.store();
        let wrong: Vec<String> = Tree::of(&store).0.into_iter().filter_map(wrongly_open).collect();
        assert_eq!(wrong, Vec::<String>::new());
        for folder in
            [&store, Session::only(&repo).worktree.parent().expect("the worktrees' root")] as [&Path; 2]
        {
            let mode = fs::metadata(folder).unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o700, "{}", folder.display());
        }
    }

    fn wrongly_open((path, entry): (PathBuf, Entry)) -> Option<String> {
        let right = match &entry {
            Entry::Folder { mode } => *mode == 0o700,
            Entry::File { mode, .. } => *mode == 0o600,
            Entry::Link { .. } | Entry::Special => false,
        };
        (!right).then(|| format!("{}: {entry}", path.display()))
    }

    #[test]
    fn the_agent_keeps_the_callers_umask() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("umask >umask; answer");
        let ralph = env!("CARGO_BIN_EXE_ralph");
        let script = "umask 027; exec \"$@\"";
        let words = ["-c", script, "sh", ralph, "worktree", "dispatch", "T-1", "--output=discard"];
        drop(sandbox.run("sh", &words).in_dir(&repo).run().ok());
        let session = Session::only(&repo);
        session.ended();
        assert_eq!(fs::read_to_string(session.worktree.join("umask")).unwrap(), "0027\n");
    }
}

mod waiting {
    use super::*;

    /// How often a process was taken off its processor or went to sleep, over all its threads.
    fn switches(process: &Process) -> u64 {
        let tasks = format!("/proc/{}/task", process.pid);
        let status = |task: &String| fs::read_to_string(format!("{tasks}/{task}/status")).expect("a thread");
        let count = |status: String| -> u64 {
            let lines = status.lines().filter_map(|line| line.split_once("ctxt_switches:"));
            lines.map(|(_, number)| number.trim().parse::<u64>().expect("a number")).sum()
        };
        names_in(Path::new(&tasks)).iter().map(|task| count(status(task))).sum()
    }

    fn wait_until_asleep(process: &Process) {
        wait::until("the supervisor to sleep", || Process::find(process.pid).filter(|now| now.state == 'S'));
    }

    #[test]
    fn a_supervisor_that_waits_does_not_wake_up() {
        let sandbox = Sandbox::new();
        let (repo, pi, session) = running(&sandbox, "here; wait_for_go; commit; answer", &[]);
        let supervisor = session.supervisor();
        wait_until_asleep(&supervisor);
        let before = switches(&supervisor);
        // The window is as long as another session, which is ended at its timeout, and all that looks is in it.
        pi.plays_for("T-2", NEVER_ENDS);
        assert_eq!(repo.finish("T-2", &["--timeout=1500ms"])["outcome"], "timed_out");
        for words in [&["list"][..], &["inspect", "T-1"], &["logs", "T-1"], &["recover"]] {
            drop(repo.ralph(&[&["worktree"], words].concat()).run().ok());
        }
        assert_eq!(switches(&supervisor), before, "the supervisor woke up");
        assert_eq!(names_in(Path::new(&format!("/proc/{}/task", supervisor.pid))).len(), 1);
        pi.go("T-1");
        assert_eq!(session.ended()["outcome"], "succeeded");
    }

    #[test]
    fn orphans_come_to_the_supervisor_and_are_reaped() {
        let sandbox = Sandbox::new();
        let (_repo, pi, session) = running(&sandbox, "leave orphan; here; forever", &[]);
        let orphan = pi.wait_here("orphan");
        let supervisor = session.supervisor();
        // Its parent is the agent; when that goes, the supervisor.
        session.agent().signal(Signal::KILL);
        session.ended();
        process::until_none("the orphan", || Process::find(orphan.pid).into_iter().collect());
        let place = format!("/proc/{}", orphan.pid);
        wait::until("the orphan to be reaped", || (!Path::new(&place).exists()).then_some(()));
        process::until_none("the supervisor", || Process::find(supervisor.pid).into_iter().collect());
    }
}
