//! What a recovery owes to sessions that died together, and to one that it is not the first to settle.

use rustix::process::Signal;
use serde_json::Value;

use crate::faults_crash::Scene;
use crate::helpers::session::wait_until_supervisors_left;
use crate::helpers::{Sandbox, Session, wait};

#[test]
fn of_many_that_died_together_what_each_left_running_is_ended() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, "commit; leave child; here; forever");
    scene.pi.plays_for("T-2", "commit; here; forever");
    let tickets = ["T-1", "T-2", "T-3"];
    let sessions = tickets.map(|ticket| Session::dispatch(&scene.repo, ticket, &[]));
    let agents = tickets.map(|ticket| scene.pi.wait_here(ticket));
    // Of the second, nothing is left.
    sessions.iter().for_each(|session| session.supervisor().signal(Signal::KILL));
    let second = || sandbox.processes().into_iter().filter(|process| process.sid == agents[1].sid);
    second().for_each(|process| process.signal(Signal::KILL));
    wait::until("the second to be gone", || second().next().is_none().then_some(()));
    wait_until_supervisors_left(&sandbox, &scene.repo);
    let recovered = scene.recover();
    assert_eq!(recovered.len(), 3, "{recovered:#?}");
    let told = |session: &Session| {
        let manifest = session.manifest();
        let reason = manifest["reason"].as_str().unwrap_or_default().to_owned();
        (manifest["outcome"].clone(), reason.contains("what it left running was ended"))
    };
    let lost = || Value::from("lost");
    assert_eq!(sessions.each_ref().map(told), [(lost(), true), (lost(), false), (lost(), true)]);
}

#[test]
fn what_was_left_running_is_counted_as_people_count() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, "commit; here; forever");
    let session = Session::dispatch(&scene.repo, "T-1", &[]);
    scene.pi.wait_here("T-1");
    session.supervisor().signal(Signal::KILL);
    wait_until_supervisors_left(&sandbox, &scene.repo);
    scene.recover();
    let manifest = session.manifest();
    let reason = manifest["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("what it left running was ended (1 process)"), "{manifest:#}");
}

#[test]
fn what_an_agent_held_that_a_killed_recovery_ended_is_stale_for_the_next() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, "commit; hold_index_lock; here; forever");
    let session = Session::dispatch(&scene.repo, "T-1", &[]);
    scene.pi.wait_here("T-1");
    session.supervisor().signal(Signal::KILL);
    wait_until_supervisors_left(&sandbox, &scene.repo);
    let recover = scene.repo.worktree(&["recover"]).env("RALPH_FAILPOINT", "recover.swept:kill").run();
    assert_eq!(recover.signal, Some(9), "{recover}");
    scene.recover();
    assert!(session.dir.join("index.lock").exists(), "{:#}", session.manifest());
    scene.pi.plays("commit; answer");
    assert_eq!(scene.repo.finish("T-1", &[])["outcome"], "succeeded");
}

#[test]
fn it_is_so_too_where_the_next_recovery_has_others_to_settle() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, "commit; hold_index_lock; here; forever");
    let sessions = ["T-1", "T-2"].map(|ticket| Session::dispatch(&scene.repo, ticket, &[]));
    let agents = ["T-1", "T-2"].map(|ticket| scene.pi.wait_here(ticket));
    sessions.iter().for_each(|session| session.supervisor().signal(Signal::KILL));
    wait_until_supervisors_left(&sandbox, &scene.repo);
    let recover = scene.repo.worktree(&["recover"]).env("RALPH_FAILPOINT", "recover.swept:kill").run();
    assert_eq!(recover.signal, Some(9), "{recover}");
    assert!(agents.iter().any(|agent| !agent.is_alive()), "one was ended");
    assert_eq!(scene.recover().len(), 2);
    for session in sessions {
        assert!(session.dir.join("index.lock").exists(), "{:#}", session.manifest());
    }
}

#[test]
fn what_an_agent_held_that_was_stopped_is_stale_though_its_supervisor_did_not_live_to_say_so() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, "commit; hold_index_lock; here; forever");
    let dispatch = scene.repo.worktree(&["dispatch", "T-1"]);
    drop(dispatch.env("RALPH_FAILPOINT", "supervise.agent-ended:kill").run().ok());
    scene.pi.wait_here("T-1");
    drop(scene.repo.worktree(&["stop", "T-1"]).run());
    wait_until_supervisors_left(&sandbox, &scene.repo);
    scene.recover();
    let session = Session::only(&scene.repo);
    assert!(session.dir.join("index.lock").exists(), "{:#}", session.manifest());
}

#[test]
fn a_session_that_came_to_nothing_is_not_shown_in_place_of_the_one_that_runs() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, "commit; here; forever");
    let dispatch = |name: &str, point: &str| {
        let points = format!("{point}:wait={}", sandbox.path(name).display());
        let words = ["worktree", "dispatch", "T-1", "--json"];
        let running = scene.repo.ralph(&words).env("RALPH_FAILPOINT", points).spawn();
        let waiting = sandbox.path(format!("{name}.waiting"));
        wait::until(name, || waiting.exists().then_some(()));
        running
    };
    let first = dispatch("first", "dispatch.begun");
    // It has looked at the first, which lives, and is about to ask for the lane.
    let second = dispatch("second", "dispatch.claiming");
    first.signal(Signal::KILL);
    drop(first.wait());
    sandbox.write("second", "");
    let launched = second.wait().ok().json();
    scene.pi.wait_here("T-1");
    let recovered = scene.repo.recover();
    assert_eq!(recovered[0]["outcome"], "launch_failed", "{recovered:#?}");
    let tree = scene.repo.tree_of(&sandbox, "T-1");
    let shown: Value = serde_json::from_str(&tree.read(".ralph/manifest.json")).unwrap();
    assert_eq!(shown["session_id"], launched["session_id"]);
    drop(scene.repo.worktree(&["stop", "T-1"]).run().ok());
}
