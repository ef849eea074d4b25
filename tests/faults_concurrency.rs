//! Many commands at the same moment: one session a lane, and no lane too few.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::helpers::agents::COMMITS;
use crate::helpers::session::names_in;
use crate::helpers::{Finished, Repo, Running, Sandbox, ScriptedPi, Session, wait};

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
        for round in 1..=4 {
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
        assert_eq!(Session::all(&repo).len(), 4);
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
