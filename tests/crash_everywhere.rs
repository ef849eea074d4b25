//! The process is killed at every point that it passes, whatever that is: a write, a rename, a lock, a spawn, a change of
//! git's. Points are counted and not named, so that none is forgotten. Usually each command is killed at every so many
//! of its points; in full at all; and `just crash-pairs` kills the recovery that follows at each of its own points too.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;

use crate::faults_crash::Scene;
use crate::helpers::command::Invocation;
use crate::helpers::lanes::text;
use crate::helpers::rows::amount;
use crate::helpers::session::wait_until_supervisors_left;
use crate::helpers::{Sandbox, Session, wait};

/// The points that stand in what all commands use.
pub const BELOW: [&str; 13] = [
    "lock.taken",
    "durable.marked",
    "process.spawned",
    "running.removed",
    "mend.kept",
    "view.opened",
    "ref.write",
    "ref.written",
    "ref.delete",
    "ref.deleted",
    "program.spawned",
    "program.ended",
    "hold.unlocked",
];

/// Asks for every pair of points.
const PAIRS: &str = "RALPH_TEST_CRASH_PAIRS";

/// Work of every kind: committed, staged, edited, new.
const WORK: &str = "commit; printf 's\\n' >staged.txt; git add staged.txt; printf 'e\\n' >>README.md;
    printf 'n\\n' >new.txt; answer";

/// The same, with something to note afterwards.
const LEAKS: &str = "git branch -f leaked HEAD;";

/// What is killed: who, and from which of its points on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The dispatcher, from its first claim of the lane on.
    Dispatcher,
    /// The supervisor of a session that ends by itself.
    Supervisor,
    /// The supervisor of a session that is stopped.
    StoppedSupervisor,
    /// `stop` itself.
    Stop,
    /// `merge`, into a branch that no one has checked out.
    Merge,
    /// `remove`, unsaved work included.
    Remove,
    /// `restore`.
    Restore,
    /// `recover`, of a session whose supervisor was killed.
    Recover,
}

/// What came of asking for the death of a process at one of its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Killed,
    /// It has not so many.
    Survived,
}

/// A scene for one victim, everything before its beginning done.
struct Stage<'s> {
    scene: Scene<'s>,
    victim: Victim,
}

impl<'s> Stage<'s> {
    fn set(sandbox: &'s Sandbox, victim: Victim) -> Self {
        let scene = Scene::new(sandbox, WORK);
        let repo = &scene.repo;
        match victim {
            Victim::Dispatcher | Victim::Supervisor | Victim::StoppedSupervisor => {}
            Victim::Stop | Victim::Recover => {
                scene.pi.plays(&WORK.replace("answer", "leave child; here; forever"));
                let session = Session::dispatch(repo, "T-1", &["--grace=2s"]);
                scene.pi.wait_here("T-1");
                if victim == Victim::Recover {
                    session.supervisor().signal(Signal::KILL);
                    wait::until("the lock to be free", || (!session.is_held()).then_some(()));
                }
            }
            Victim::Merge | Victim::Remove | Victim::Restore => {
                repo.branch("release", "main");
                assert_eq!(repo.finish("T-1", &[])["outcome"], "uncommitted");
                if victim == Victim::Restore {
                    drop(repo.worktree(&["remove", "T-1", "--with-unsaved"]).run().ok());
                }
            }
        }
        Self { scene, victim }
    }

    /// Runs the victim, to be killed at its `number`th point.
    fn kill(&self, number: usize) -> Fate {
        let repo = &self.scene.repo;
        let dying = |args: &[&str], from: &str| -> Invocation<'s> {
            // A supervisor leaves word of its death: no one sees its exit status.
            let word = self.word().display().to_string();
            repo.worktree(args).env("RALPH_FAILPOINT", format!("{from}*#{number}:kill={word}"))
        };
        let direct = |args: &[&str], from: &str| match dying(args, from).run().signal {
            Some(9) => Fate::Killed,
            _ => Fate::Survived,
        };
        match self.victim {
            Victim::Dispatcher => {
                let fate = direct(&["dispatch", "T-1", "--grace=2s"], "dispatch.claiming>");
                // What it had started by then goes on to its own end.
                self.scene.sandbox.wait_until_quiet();
                fate
            }
            Victim::Stop => {
                let fate = direct(&["stop", "T-1"], "");
                // One that was killed before it had said anything is run again by who wants the session to end.
                assert!(matches!(repo.worktree(&["stop", "T-1"]).run().code, Some(0 | 3 | 4)));
                fate
            }
            Victim::Merge => direct(&["merge", "T-1", "--into", "release"], ""),
            Victim::Remove => direct(&["remove", "T-1", "--with-unsaved"], ""),
            Victim::Restore => direct(&["restore", "T-1"], ""),
            Victim::Recover => direct(&["recover"], ""),
            Victim::Supervisor => {
                self.scene.pi.plays(&format!("{LEAKS} {WORK}"));
                drop(dying(&["dispatch", "T-1"], "supervise.before-spawn>").run());
                self.of_the_supervisor()
            }
            Victim::StoppedSupervisor => {
                self.scene.pi.plays(&format!("{LEAKS} {}", WORK.replace("answer", "here; forever")));
                let dispatched = dying(&["dispatch", "T-1", "--grace=2s"], "supervise.running>").run();
                drop(dispatched.ok());
                self.scene.pi.wait_here("T-1");
                for process in self.scene.sandbox.processes() {
                    if process.command.contains("__supervise") {
                        process.signal(Signal::TERM);
                    }
                }
                self.of_the_supervisor()
            }
        }
    }

    /// Where a supervisor that was killed says so.
    fn word(&self) -> PathBuf {
        self.scene.sandbox.path("killed")
    }

    fn of_the_supervisor(&self) -> Fate {
        wait_until_supervisors_left(self.scene.sandbox, &self.scene.repo);
        if self.word().exists() { Fate::Killed } else { Fate::Survived }
    }

    fn recover_dying_at(&self, number: usize) -> Fate {
        let recover = self.scene.repo.worktree(&["recover"]);
        let ended = recover.env("RALPH_FAILPOINT", format!("*#{number}:kill")).run();
        if ended.signal == Some(9) { Fate::Killed } else { Fate::Survived }
    }

    /// Everything is in order, and all work is there.
    #[track_caller]
    fn assert_invariants(&self) {
        self.scene.recover();
        let repo = &self.scene.repo;
        if repo.lanes().iter().all(|lane| lane["lane"] != "T-1") && self.victim != Victim::Dispatcher {
            drop(repo.worktree(&["restore", "T-1"]).run().ok());
        }
        if self.scene.pi.calls("T-1") > 0 {
            self.assert_work_is_there();
        }
        self.scene.pi.plays(WORK);
        let manifest = repo.finish("T-1", &[]);
        assert_eq!(manifest["state"], "ended", "{manifest:#}");
        let said = std::fs::read_to_string(text(&manifest["output"]["stderr"])).unwrap_or_default();
        assert!(matches!(manifest["outcome"].as_str(), Some("uncommitted")), "{manifest:#}\n{said}");
        self.scene.recover();
    }

    /// As far as the agent came, which is told by what it did last.
    #[track_caller]
    fn assert_work_is_there(&self) {
        let repo = &self.scene.repo;
        let tree = repo.tree_of(self.scene.sandbox, "T-1");
        if !tree.has("new.txt") {
            // Only where its supervisor was killed while it worked.
            assert!(matches!(self.victim, Victim::Supervisor | Victim::Dispatcher), "new.txt is gone");
            return;
        }
        assert_eq!(repo.log("main..ralph/T-1"), ["T-1: attempt 1"]);
        let status = tree.status_porcelain();
        assert_eq!(status, [" M README.md", "A  staged.txt", "?? new.txt"]);
        assert_eq!(
            (tree.read("README.md"), tree.read("new.txt")),
            ("# app\ne\n".to_owned(), "n\n".to_owned())
        );
    }
}

/// Kills `victim` at every `step`th point, and checks everything after each; answers the number of the last.
fn at_every(victim: Victim, step: usize) -> usize {
    let mut last = 0;
    for number in (1..).step_by(step) {
        let sandbox = Sandbox::new();
        let stage = Stage::set(&sandbox, victim);
        let fate = stage.kill(number);
        said(victim, number, None, || stage.assert_invariants());
        if fate == Fate::Survived {
            break;
        }
        last = number;
    }
    last
}

/// The same, and the recovery that follows is killed at each of its points; answers how many pairs there are.
fn at_every_pair(victim: Victim) -> usize {
    let mut pairs = 0;
    for number in 1.. {
        for second in 1.. {
            let sandbox = Sandbox::new();
            let stage = Stage::set(&sandbox, victim);
            if stage.kill(number) == Fate::Survived {
                return pairs;
            }
            let fate = stage.recover_dying_at(second);
            said(victim, number, Some(second), || stage.assert_invariants());
            if fate == Fate::Survived {
                break;
            }
            pairs += 1;
        }
    }
    unreachable!("it has points without end")
}

/// Says where the process had been killed, should what follows fail.
fn said(victim: Victim, number: usize, second: Option<usize>, check: impl FnOnce()) {
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
    if let Err(panic) = checked {
        let then = second.map(|second| format!(", its recovery at point {second}")).unwrap_or_default();
        eprintln!("{victim:?} was killed at point {number}{then}");
        std::panic::resume_unwind(panic);
    }
}

macro_rules! killed_everywhere {
    ($($name:ident: $victim:ident every $step:literal, at least $least:literal;)*) => {
        $(
            #[test]
            fn $name() {
                let points = at_every(Victim::$victim, amount($step, 1));
                assert!(points >= $least, "only {points} points");
                eprintln!("{:?}: killed up to point {points}", Victim::$victim);
            }
        )*

        /// Takes long: `just crash-pairs`.
        #[test]
        #[ignore = "takes long: just crash-pairs"]
        fn pairs() {
            let only = std::env::var(PAIRS).unwrap_or_default();
            for victim in [$(Victim::$victim),*] {
                if only.is_empty() || format!("{victim:?}") == only {
                    eprintln!("{victim:?}: killed at {} pairs of points", at_every_pair(victim));
                }
            }
        }
    };
}

killed_everywhere! {
    a_dispatcher_killed_anywhere: Dispatcher every 9, at least 30;
    a_supervisor_killed_anywhere: Supervisor every 9, at least 10;
    a_supervisor_that_ends_its_agent_killed_anywhere: StoppedSupervisor every 9, at least 10;
    a_stop_killed_anywhere: Stop every 1, at least 3;
    a_merge_killed_anywhere: Merge every 9, at least 20;
    a_removal_killed_anywhere: Remove every 9, at least 20;
    a_restoration_killed_anywhere: Restore every 9, at least 15;
    a_recovery_killed_anywhere: Recover every 9, at least 10;
}

#[test]
fn a_manifest_is_what_a_recovery_leaves_of_every_session() {
    // What the driver relies on: a session that was settled says so.
    let sandbox = Sandbox::new();
    let stage = Stage::set(&sandbox, Victim::Recover);
    assert_eq!(stage.kill(1_000_000), Fate::Survived);
    let manifest: Value = Session::only(&stage.scene.repo).manifest();
    assert_eq!((&manifest["outcome"], &manifest["work"]["commits"]), (&"lost".into(), &1.into()));
    stage.assert_invariants();
}
