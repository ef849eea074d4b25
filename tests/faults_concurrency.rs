//! Many commands at the same moment (rows 17 to 22 of the catalogue of faults): one session a lane, no lane too few, and
//! no harm by what git does meanwhile.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::helpers::agents::COMMITS;
use crate::helpers::session::names_in;
use crate::helpers::{Finished, Repo, Running, Sandbox, ScriptedPi, Session, rows, wait};

mod one_ticket {
    use super::*;

    const AT_ONCE: usize = 16;

    fn all_at_once<'s>(repo: &Repo<'s>) -> Vec<Finished> {
        let start = |_| repo.ralph(&["worktree", "dispatch", "T-1", "--json"]).spawn();
        let running: Vec<Running> = (0..AT_ONCE).map(start).collect();
        running.into_iter().map(Running::wait).collect()
    }

    #[test]
    fn row_17_sixteen_dispatches_of_one_ticket_begin_one_session_and_the_others_name_it() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("commit; here; forever");
        let rounds = rows::amount(4, 50);
        for round in 1..=rounds {
            let (won, lost): (Vec<_>, Vec<_>) =
                all_at_once(&repo).into_iter().partition(|finished| finished.code == Some(0));
            assert_eq!((won.len(), lost.len()), (1, AT_ONCE - 1), "{lost:#?}");
            let id = won[0].json()["session_id"].as_str().unwrap().to_owned();
            for loser in &lost {
                loser.refused(4, &["T-1", "already running", &id]);
            }
            assert_eq!(pi.call("T-1", round).env["RALPH_SESSION_ID"], id);
            assert_eq!(pi.calls("T-1"), usize::try_from(round).unwrap());
            let stopped = repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json();
            assert_eq!((&stopped["session_id"], &stopped["attempt"]), (&id.into(), &round.into()));
        }
        assert_eq!(repo.branches(), ["main", "ralph/T-1"]);
        assert_eq!(repo.worktrees().len(), 2);
        assert_eq!(Session::all(&repo).len(), usize::try_from(rounds).unwrap());
        repo.fsck();
    }

    #[test]
    fn row_17_sessions_that_end_at_once_follow_each_other_and_never_overlap() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        // An agent that finds another one at work says so.
        pi.plays("mkdir alone || exit 3; commit; rmdir alone; answer");
        let finished = all_at_once(&repo);
        let won = finished.iter().filter(|one| one.code == Some(0)).count();
        for loser in finished.iter().filter(|one| one.code != Some(0)) {
            loser.refused(4, &["T-1", "already running, session"]);
        }
        let sessions = Session::all(&repo);
        for session in &sessions {
            let manifest = session.ended();
            let work = (&manifest["outcome"], &manifest["work"]["commits"]);
            assert_eq!(work, (&"succeeded".into(), &1.into()), "{manifest:#}");
        }
        assert_eq!((won, pi.calls("T-1")), (sessions.len(), sessions.len()));
        assert_eq!(repo.log("main..ralph/T-1").len(), won);
    }
}

mod many_tickets {
    use super::*;

    #[test]
    fn row_18_sixty_four_tickets_at_once_give_sixty_four_worktrees_and_sessions() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::other(&sandbox, "helper"));
        pi.plays(COMMITS);
        let tickets: Vec<String> = (1..=64).map(|number| format!("N-{number}")).collect();
        let start = |ticket: &String| {
            let words = ["worktree", "dispatch", ticket, "--no-ticket", "--agent=helper", "--json"];
            repo.ralph(&words).spawn()
        };
        let running: Vec<Running> = tickets.iter().map(start).collect();
        let results: Vec<Value> = running.into_iter().map(|one| one.wait().ok().json()).collect();
        let distinct =
            |field: &str| results.iter().map(|r| r[field].to_string()).collect::<BTreeSet<_>>().len();
        assert_eq!((distinct("worktree"), distinct("session_id"), distinct("branch")), (64, 64, 64));
        let sessions = Session::all(&repo);
        assert_eq!(sessions.len(), 64);
        for session in &sessions {
            let manifest = session.ended();
            assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        }
        assert_eq!((repo.worktrees().len(), repo.branches().len()), (65, 65));
        assert_eq!(names_in(&repo.common_dir().join("worktrees")).len(), 64);
        let listed = repo.ralph(&["worktree", "list", "--json"]).run().ok().json();
        assert_eq!(listed.as_array().unwrap().len(), 64);
        for ticket in &tickets {
            assert_eq!(repo.log(&format!("main..ralph/{ticket}")).len(), 1);
        }
        repo.fsck();
    }
}

mod with_git_at_work {
    use super::*;

    /// Runs the git command again and again, in the repository, until `meanwhile` is done.
    fn while_looping<T>(repo: &Repo<'_>, args: &[&str], meanwhile: impl FnOnce() -> T) -> T {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let disturb = scope.spawn(|| {
                let mut rounds = 0;
                while !over.load(Ordering::Relaxed) {
                    // It fails where something goes under it: that is part of the disturbance.
                    drop(repo.try_git(args));
                    rounds += 1;
                }
                rounds
            });
            // Also where `meanwhile` panics, so that the loop ends and the failure shows.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(meanwhile));
            over.store(true, Ordering::Relaxed);
            let rounds = disturb.join().expect("the loop does not panic");
            let done = done.unwrap_or_else(|failure| std::panic::resume_unwind(failure));
            assert!(rounds > 3, "{args:?} ran {rounds} times only");
            done
        })
    }

    #[test]
    fn row_19_sixty_four_lanes_from_a_remotes_branch_do_without_the_settings_file_that_someone_locked() {
        let sandbox = Sandbox::new();
        let pi = ScriptedPi::other(&sandbox, "helper");
        pi.plays(COMMITS);
        let repo = Repo::new(&sandbox).clone_as("clone", &[]);
        let config = repo.read(".git/config");
        let lock = repo.write(".git/config.lock", "held by someone");
        let start = |number: usize| {
            let words =
                ["worktree", "dispatch", "--no-ticket", "--agent=helper", "--json", "--base=origin/main"];
            repo.ralph(&words).arg(format!("N-{number}")).spawn()
        };
        let running: Vec<Running> = (1..=64).map(start).collect();
        for one in running {
            drop(one.wait().ok());
        }
        for session in Session::all(&repo) {
            let manifest = session.ended();
            assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
            assert_eq!(manifest["worktree"]["base_ref"], "origin/main", "{manifest:#}");
        }
        assert_eq!((repo.worktrees().len(), repo.branches().len(), Session::all(&repo).len()), (65, 65, 64));
        // No branch follows another, and whoever locked the settings has them as they were.
        assert_eq!((repo.read(".git/config"), lock.exists()), (config, true));
    }

    #[test]
    fn row_20_pruning_in_a_loop_takes_no_session_its_worktree() {
        let sandbox = Sandbox::new();
        let pi = ScriptedPi::other(&sandbox, "helper");
        pi.plays(COMMITS);
        let plain = Repo::new(&sandbox);
        // One that git itself registers worktrees of, with moments at which they can be pruned.
        let sparse = plain.clone_as("sparse", &[]);
        sparse.git(&["sparse-checkout", "set", ".tickets"]);
        for repo in [&plain, &sparse] {
            let start = |number: &usize| {
                let words = ["worktree", "dispatch", "--no-ticket", "--agent=helper", "--json"];
                repo.ralph(&words).arg(format!("N-{number}")).spawn()
            };
            let numbers: Vec<usize> = (0..rows::amount(16, 60)).collect();
            while_looping(repo, &["worktree", "prune", "--expire=now"], || {
                for some in numbers.chunks(4) {
                    let running: Vec<Running> = some.iter().map(start).collect();
                    running.into_iter().for_each(|one| drop(one.wait().ok()));
                }
                Session::all(repo).iter().for_each(|session| drop(session.ended()));
            });
            for session in Session::all(repo) {
                let manifest = session.manifest();
                let said = std::fs::read_to_string(session.dir.join("stderr")).unwrap_or_default();
                assert_eq!(manifest["outcome"], "succeeded", "{said}\n{manifest:#}");
                assert!(session.worktree.join(".git").exists(), "{manifest:#}");
            }
            assert_eq!(repo.worktrees().len(), numbers.len() + 1);
            repo.fsck();
        }
    }

    /// An agent that does what git asks for: nothing is written while `gc --prune=now` runs. Between the two of them that
    /// is a risk that git names; what ralph itself does keeps to nothing of the kind.
    fn at_a_quiet_moment(play: &str) -> String {
        format!("exec 9>>\"$QUIET\"; flock 9; {play}; exec 9>&-; answer")
    }

    #[test]
    fn row_22_collecting_garbage_in_a_loop_takes_nothing_that_a_session_or_its_record_leads_to() {
        let sandbox = Sandbox::new();
        let quiet = sandbox.path("tmp/quiet");
        assert!(sandbox.link_tool("flock"), "flock is part of util-linux");
        sandbox.set_env("QUIET", &quiet);
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        let plays = [
            ("on its branch", "commit; commit more.txt More"),
            ("detached", "commit; git switch -q --detach; commit alone.txt Alone"),
            ("on another branch", "commit; git switch -q -c \"other-$ticket\"; commit other.txt Other"),
            ("reset away", "commit; commit gone.txt Gone; git reset -q --hard HEAD~1"),
            ("reset away from an earlier session", "git reset -q --hard HEAD~1"),
        ];
        for number in 1..=plays.len() {
            repo.ticket(&format!("T-{number}"), "A ticket");
        }
        repo.commit_all("Tickets");
        for (number, (_, play)) in plays.iter().enumerate() {
            pi.plays_for(&format!("T-{}", number + 1), &at_a_quiet_moment(play));
        }
        pi.plays_on("T-5", 1, &at_a_quiet_moment("commit"));

        let loop_of_gc = format!(
            "until [ -e '{0}.over' ]; do flock '{0}' git gc -q --prune=now || :; echo; done",
            quiet.display()
        );
        let gc = sandbox.run("sh", &["-c", &loop_of_gc]).in_dir(&repo).spawn();
        let mut merged = 0;
        for _ in 0..rows::amount(2, 10) {
            let start = |number: usize| repo.worktree(&["dispatch", &format!("T-{number}")]).spawn();
            let running: Vec<Running> = (1..=plays.len()).map(start).collect();
            running.into_iter().for_each(|one| drop(one.wait().ok()));
            Session::all(&repo).iter().for_each(|session| drop(session.ended()));
            for number in 1..=plays.len() {
                let ended = repo.worktree(&["merge", &format!("T-{number}"), "--json"]).run();
                assert!(matches!(ended.code, Some(0 | 4)), "{ended}");
                merged += usize::from(ended.code == Some(0));
            }
        }
        sandbox.write("tmp/quiet.over", "");
        let rounds = gc.wait().ok().stdout.lines().count();
        assert!(rounds > 3 && merged > 3, "{rounds} collections, {merged} merges");

        for look in ["right after", "when no reflog leads anywhere any more"] {
            repo.git(&["fsck", "--connectivity-only"]);
            for session in Session::all(&repo) {
                let manifest = session.manifest();
                for commit in ["base_commit", "start_commit", "head_commit"] {
                    let id = manifest["worktree"][commit].as_str().expect("a commit");
                    let there = repo.try_git(&["cat-file", "-e", &format!("{id}^{{tree}}")]);
                    assert_eq!(there.code, Some(0), "{look}: the {commit} is missing: {manifest:#}");
                    repo.git(&["rev-list", "--objects", "--quiet", id]);
                }
            }
            for tree in repo.worktrees() {
                Repo::at(&sandbox, &tree).git(&["status", "--porcelain"]);
            }
            repo.git(&["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
            repo.git(&["gc", "-q", "--prune=now"]);
        }
    }
}

mod dispatch_recover_and_merge {
    use super::*;

    #[test]
    fn row_21_while_a_session_runs_the_others_leave_its_lane_alone_and_name_it() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays_on("T-1", 1, "commit; here; wait_for_go; answer");
        pi.plays_on("T-1", 2, COMMITS);
        let session = Session::dispatch(&repo, "T-1", &[]);
        let agent = pi.wait_here("T-1");
        let refs = repo.refs();
        for command in ["dispatch", "merge", "remove"] {
            repo.worktree(&[command, "T-1", "--json"]).run().refused(4, &["T-1", &session.id]);
        }
        let rows = repo.recover();
        assert_eq!((rows.len(), &rows[0]["action"]), (1, &"alive".into()), "{rows:#?}");
        assert!(agent.is_alive() && session.is_held());
        assert_eq!(repo.refs(), refs);
        pi.go("T-1");
        assert_eq!(session.ended()["outcome"], "succeeded");
    }

    #[test]
    fn row_21_what_is_being_recovered_or_merged_is_waited_for() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        let held_at = |point: &str, words: &[&str]| {
            let gate = sandbox.path(point);
            let points = format!("{point}:wait={}", gate.display());
            let running = repo.worktree(words).env("RALPH_FAILPOINT", points).spawn();
            let waiting = sandbox.path(format!("{point}.waiting"));
            wait::until(point, || waiting.exists().then_some(()));
            running
        };
        pi.plays_on("T-1", 1, "commit; here; forever");
        pi.plays_on("T-1", 2, COMMITS);
        pi.plays_on("T-1", 3, COMMITS);
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        session.supervisor().signal(Signal::KILL);
        wait::until("the lock to be free", || (!session.is_held()).then_some(()));

        let recover = held_at("recover.claimed", &["recover", "--json"]);
        let second = repo.recover();
        assert_eq!(second[0]["reason"], "another command is at its lane", "{second:#?}");
        let mut dispatch = repo.worktree(&["dispatch", "T-1", "--wait", "--json"]).spawn();
        let mut merge = repo.worktree(&["merge", "T-1", "--json"]).spawn();
        assert!(!dispatch.has_ended() && !merge.has_ended() && pi.calls("T-1") == 1);
        sandbox.write("recover.claimed", "");
        assert_eq!(recover.wait().ok().json()[0]["outcome"], "lost");
        // Each comes after the recovery, or is told that the session is still being ended.
        let (dispatched, merged) = (dispatch.wait(), merge.wait());
        for ended in [&dispatched, &merged] {
            assert!(ended.code == Some(0) || ended.error()["kind"] == "refused", "{ended}");
        }
        if dispatched.code != Some(0) {
            repo.finish("T-1", &[]);
        }
        let second = Session::all(&repo).pop().unwrap().ended();
        assert_eq!((&second["outcome"], &second["attempt"]), (&"succeeded".into(), &2.into()));
        drop(repo.worktree(&["merge", "T-1"]).run());
        assert_eq!(repo.log("main").iter().filter(|subject| subject.contains("attempt")).count(), 2);

        // The third session waits until its lane is merged, and begins from what came of that.
        repo.finish("T-1", &[]);
        let merge = held_at("merge.made", &["merge", "T-1", "--json"]);
        let dispatch = repo.worktree(&["dispatch", "T-1", "--wait", "--json"]).spawn();
        assert_eq!(repo.recover(), Vec::<Value>::new());
        assert_eq!(pi.calls("T-1"), 3);
        sandbox.write("merge.made", "");
        assert_eq!(merge.wait().ok().json()["status"], "merged");
        let last = dispatch.wait().expect_code(1).json();
        assert_eq!(last["worktree"]["start_commit"], repo.head(), "{last:#}");
        repo.fsck();
    }

    #[test]
    fn row_21_all_at_once_each_session_is_settled_once_and_each_commit_merged_once() {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays("mkdir alone || exit 3; commit; rmdir alone; answer");
        let mut merged = 0;
        for _ in 0..rows::amount(8, 50) {
            let commands = [&["dispatch", "T-1"][..], &["recover"], &["merge", "T-1"], &["recover"]];
            let running = commands.map(|words| repo.worktree(&[words, &["--json"]].concat()).spawn());
            let [dispatched, recovered, merge, again] = running.map(Running::wait);
            assert!(matches!(dispatched.code, Some(0 | 4)), "{dispatched}");
            assert!(matches!(merge.code, Some(0 | 3 | 4)), "{merge}");
            merged += usize::from(merge.code == Some(0));
            for recovered in [recovered, again] {
                let rows = recovered.ok().json();
                let lost = rows.as_array().unwrap().iter().filter(|row| row["action"] == "settled").count();
                assert_eq!(lost, 0, "{rows:#}");
            }
            Session::all(&repo).iter().for_each(|session| drop(session.ended()));
        }
        let sessions = Session::all(&repo);
        for session in &sessions {
            assert_eq!(session.manifest()["outcome"], "succeeded", "{:#}", session.manifest());
        }
        drop(repo.worktree(&["merge", "T-1"]).run());
        let mut subjects = repo.log("main");
        subjects.retain(|subject| subject.contains("attempt"));
        assert_eq!((subjects.len(), pi.calls("T-1")), (sessions.len(), sessions.len()), "{merged} merges");
        assert_eq!(repo.status_porcelain(), Vec::<String>::new());
        repo.fsck();
    }
}

mod looking_while_a_session_ends {
    use super::*;

    /// A session that ran when a command had just seen, for the `look`th time, that someone holds it, and that has
    /// ended by the time the command goes on.
    fn seen_alive<'s>(sandbox: &'s Sandbox, look: u32, words: &[&str]) -> (Repo<'s>, Session, Running) {
        let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
        pi.plays_on("T-1", 1, "here; wait_for_go; commit; answer");
        let session = Session::dispatch(&repo, "T-1", &[]);
        pi.wait_here("T-1");
        let gate = sandbox.path("gate");
        let command = repo.ralph(words);
        let command =
            command.env("RALPH_FAILPOINT", format!("store.probed#{look}:wait={}", gate.display())).spawn();
        wait::until("the command to have looked", || sandbox.path("gate.waiting").exists().then_some(()));
        pi.go("T-1");
        session.ended();
        sandbox.write("gate", "");
        (repo, session, command)
    }

    #[test]
    fn a_session_that_ends_while_the_lane_is_dispatched_again_is_neither_lost_nor_counted_twice() {
        let sandbox = Sandbox::new();
        let (repo, first, dispatch) =
            seen_alive(&sandbox, 2, &["worktree", "dispatch", "T-1", "--wait", "--json"]);
        let next = dispatch.wait().expect_code(1).json();
        assert_eq!((&next["attempt"], &next["outcome"]), (&2.into(), &"no_changes".into()), "{next:#}");
        assert_eq!(next["worktree"]["start_commit"], first.manifest()["worktree"]["head_commit"]);
        assert_eq!(Session::all(&repo).len(), 2);
    }

    #[test]
    fn a_session_that_ends_while_it_is_listed_is_not_shown_as_unsettled() {
        let sandbox = Sandbox::new();
        let (_, session, list) = seen_alive(&sandbox, 1, &["worktree", "list", "--json"]);
        let lanes = list.wait().ok().json();
        assert_eq!((&lanes[0]["activity"], &lanes[0]["outcome"]), (&"ended".into(), &"succeeded".into()));
        assert_eq!(lanes[0]["session_id"], session.id);
    }

    #[test]
    fn a_session_that_ends_while_everything_is_settled_keeps_its_own_end() {
        let sandbox = Sandbox::new();
        let (_, session, recover) = seen_alive(&sandbox, 1, &["worktree", "recover", "--json"]);
        let rows = recover.wait().ok().json();
        assert!(rows.as_array().unwrap().iter().all(|row| row["action"] != "settled"), "{rows:#}");
        assert_eq!(session.manifest()["outcome"], "succeeded");
    }
}
