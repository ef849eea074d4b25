//! Crash windows: the process is killed at every point where that could matter, and afterwards `recover` brings back
//! order, once and for all: an ended manifest, nothing running, no lock, all work kept, and the next dispatch works.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::helpers::agents::COMMITS;
use crate::helpers::process::Process;
use crate::helpers::session::{is_locked, names_in, wait_until_supervisors_left};
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi, Session, wait};

/// An agent with a commit and a process that outlives it.
const AT_WORK: &str = "commit; leave child; here; forever";

/// A repository before the crash.
pub struct Scene<'s> {
    /// Its world.
    pub sandbox: &'s Sandbox,
    /// The repository.
    pub repo: Repo<'s>,
    /// Its agents.
    pub pi: ScriptedPi,
    /// What `main` and the user's checkout were.
    checkout: Tree,
}

impl<'s> Scene<'s> {
    /// A lane that was never dispatched before.
    pub fn new(sandbox: &'s Sandbox, play: &str) -> Self {
        let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
        pi.plays(play);
        let checkout = Tree::of(&repo).without(&[".git"]);
        Self { sandbox, repo, pi, checkout }
    }

    /// A lane whose first session succeeded: its commit must survive everything.
    fn second_attempt(sandbox: &'s Sandbox, play: &str) -> Self {
        let scene = Self::new(sandbox, play);
        scene.pi.plays_on("T-1", 1, COMMITS);
        assert_eq!(scene.repo.finish("T-1", &[])["outcome"], "succeeded");
        scene
    }

    fn dispatch_dying_at(&self, point: &str) -> Finished {
        let dispatch = self.repo.ralph(&["worktree", "dispatch", "T-1", "--json", "--grace=2s"]);
        dispatch.env("RALPH_FAILPOINT", format!("{point}:kill")).run()
    }

    /// The dispatcher is killed at `point`.
    #[track_caller]
    fn kill_dispatcher_at(&self, point: &str) {
        let finished = self.dispatch_dying_at(point);
        assert_eq!(finished.signal, Some(9), "not killed at {point}: {finished}");
    }

    /// The supervisor is killed at `point`; the dispatcher sees it before its agent runs, or not at all.
    #[track_caller]
    fn kill_supervisor_at(&self, point: &str, dispatcher: i32) {
        drop(self.dispatch_dying_at(point).expect_code(dispatcher));
        wait_until_supervisors_left(self.sandbox, &self.repo);
    }

    /// Recovers twice and shows that everything is in order after the first, and that the second changed nothing.
    #[track_caller]
    pub fn recover(&self) -> Vec<Value> {
        let recovered = self.repo.recover();
        self.assert_order();
        let before = Tree::of(self.sandbox.work());
        assert_eq!(self.repo.recover(), Vec::<Value>::new(), "after {recovered:#?}");
        before.assert_unchanged(self.sandbox.work());
        recovered
    }

    #[track_caller]
    fn assert_order(&self) {
        self.sandbox.assert_nothing_runs();
        let store = self.repo.store();
        assert_eq!(entries_in(&store.join("running")), Vec::<String>::new());
        for session in Session::all(&self.repo) {
            assert!(!session.is_held(), "{} is held", session.id);
            let manifest = session.manifest();
            assert_eq!(manifest["state"], "ended", "{manifest:#}");
            assert!(manifest["outcome"].is_string() && manifest["ended_at"].is_string(), "{manifest:#}");
        }
        let sessions: Vec<String> = names_in(&store.join("sessions"));
        assert!(sessions.iter().all(|name| !name.starts_with('.')), "{sessions:?}");
        for lane in names_in(&store.join("lanes")) {
            assert!(!is_locked(&store.join("lanes").join(&lane).join("lock")), "lane {lane} is held");
        }
        assert!(!is_locked(&store.join("repo.lock")), "the repository is held");
        for name in names_in(&self.repo.common_dir().join("worktrees")) {
            let admin = self.repo.common_dir().join("worktrees").join(name);
            assert!(!admin.join("locked").exists(), "{} is locked", admin.display());
        }
        self.checkout.assert_unchanged_but(&self.repo);
        self.repo.fsck();
    }

    /// The next dispatch runs, in the same worktree, on what was there.
    #[track_caller]
    fn assert_next_dispatch_works(&self, commits: &[&str]) {
        self.pi.plays_for("T-1", "commit work-T-1.txt 'at last'; answer");
        let manifest = self.repo.finish("T-1", &[]);
        assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
        let mut expected = vec!["at last"];
        expected.extend(commits);
        assert_eq!(self.repo.log("main..ralph/T-1"), expected);
        let tree = Repo::at(self.sandbox, manifest["worktree"]["path"].as_str().unwrap());
        assert_eq!(tree.status_porcelain(), Vec::<String>::new());
        assert_eq!(tree.read("README.md"), "# app\n");
        assert_eq!(self.repo.worktrees().len(), 2);
        self.assert_order();
    }
}

/// The names in a folder without those of files that someone was killed over before they were in place.
fn entries_in(folder: &Path) -> Vec<String> {
    names_in(folder).into_iter().filter(|name| !(name.starts_with('.') && name.ends_with(".tmp"))).collect()
}

impl Tree {
    /// Fails unless the user's checkout still holds exactly this.
    #[track_caller]
    fn assert_unchanged_but(&self, repo: &Repo<'_>) {
        let changes = self.changes_to(&Self::of(repo).without(&[".git"]));
        assert!(changes.is_empty(), "the user's checkout was changed: {changes:#?}");
    }
}

/// The dispatcher is killed at the point, in a new lane and in one that holds work, and the session that it began is
/// settled as never launched.
fn dispatcher_killed_at(point: &str) {
    for again in [false, true] {
        let sandbox = Sandbox::new();
        let scene =
            if again { Scene::second_attempt(&sandbox, COMMITS) } else { Scene::new(&sandbox, COMMITS) };
        let before = Session::all(&scene.repo).len();
        scene.kill_dispatcher_at(point);
        scene.recover();
        assert_eq!(scene.pi.calls("T-1"), before, "an agent ran");
        for session in Session::all(&scene.repo).iter().skip(before) {
            let manifest = session.manifest();
            assert_eq!(manifest["outcome"], "launch_failed", "{manifest:#}");
        }
        scene.assert_next_dispatch_works(if again { &["T-1: attempt 1"] } else { &[] });
    }
}

/// The same without `recover`: the next dispatch settles what it finds.
fn next_dispatch_after_dispatcher_killed_at(point: &str) {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, COMMITS);
    scene.kill_dispatcher_at(point);
    scene.assert_next_dispatch_works(&[]);
}

macro_rules! killed_dispatchers {
    ($($name:ident: $point:literal,)*) => {
        /// The points of a dispatcher that are killed at.
        const DISPATCHER_POINTS: &[&str] = &[$($point),*];
        $(
            #[test]
            fn $name() {
                dispatcher_killed_at($point);
                next_dispatch_after_dispatcher_killed_at($point);
            }
        )*
    };
}

// In the order in which a dispatch passes them.
killed_dispatchers! {
    row_8_killed_when_planned: "dispatch.planned",
    row_8_killed_when_only_the_entry_among_the_living_is_there: "begin.entry",
    row_8_killed_when_the_session_is_hidden_still: "begin.hidden",
    row_8_killed_when_the_session_is_in_place: "begin.done",
    row_8_killed_when_the_session_has_begun: "dispatch.begun",
    row_4_killed_between_worktree_and_launch_record: "dispatch.worktree",
    row_4_killed_before_the_launch_record: "dispatch.looked",
    row_4_killed_between_launch_record_and_launching: "dispatch.spec",
}

/// Points that only a new worktree passes.
fn creator_killed_at(point: &str) {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, COMMITS);
    scene.kill_dispatcher_at(point);
    scene.recover();
    assert_eq!(scene.pi.calls("T-1"), 0, "an agent ran");
    assert_eq!(Session::only(&scene.repo).manifest()["outcome"], "launch_failed");
    scene.assert_next_dispatch_works(&[]);
    next_dispatch_after_dispatcher_killed_at(point);
}

macro_rules! killed_creators {
    ($($name:ident: $point:literal,)*) => {
        /// The points of the creation of a worktree that are killed at.
        const CREATION_POINTS: &[&str] = &[$($point),*];
        $(
            #[test]
            fn $name() {
                creator_killed_at($point);
            }
        )*
    };
}

killed_creators! {
    row_2_killed_between_branch_and_worktree: "git.branch",
    row_2_killed_when_the_registration_is_built_aside: "git.aside",
    row_2_killed_between_registration_and_folder: "git.registered",
    row_2_killed_when_the_folder_is_linked: "git.linked",
    row_3_killed_when_the_worktree_is_registered_and_has_no_files: "prepare.registered",
    row_3_killed_between_files_and_their_completion: "git.checked_out",
    row_4_killed_when_the_files_are_written: "prepare.files",
}

#[test]
fn row_2_a_branch_that_has_moved_on_since_the_crash_is_continued() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, COMMITS);
    let repo = &scene.repo;
    scene.kill_dispatcher_at("git.branch");
    let commit = repo.git(&["commit-tree", "-p", "ralph/T-1", "-m", "By hand", "main^{tree}"]);
    repo.git(&["update-ref", "refs/heads/ralph/T-1", &commit]);
    scene.recover();
    assert_eq!(repo.rev_parse("ralph/T-1"), commit);
    scene.assert_next_dispatch_works(&["By hand"]);
}

#[test]
fn row_3_killed_in_the_middle_of_the_checkout() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, COMMITS);
    for folder in 0..40 {
        for file in 0..20 {
            scene.repo.write(format!("many/{folder}/{file}.txt"), format!("{folder} {file}\n"));
        }
    }
    scene.repo.commit_all("Many files");
    let scene = Scene { checkout: Tree::of(&scene.repo).without(&[".git"]), ..scene };
    let dispatcher = scene.repo.ralph(&["worktree", "dispatch", "T-1"]).spawn();
    let tree = sandbox.work().join("app.ralph");
    wait::until("the first files", || {
        let lane = names_in(&tree).into_iter().find(|name| !name.starts_with('.'))?;
        tree.join(lane).join("many").exists().then_some(())
    });
    dispatcher.signal(Signal::KILL);
    drop(dispatcher.wait());
    // It may have come as far as a session that runs: that one ends by itself.
    wait::until("the end of whatever was started", || sandbox.processes().is_empty().then_some(()));
    scene.recover();
    let manifest = Session::only(&scene.repo).manifest();
    let commits = manifest["outcome"] == "succeeded";
    scene.assert_next_dispatch_works(if commits { &["T-1: attempt 1"] } else { &[] });
    assert_eq!(names_in(&Session::all(&scene.repo)[0].worktree.join("many")).len(), 40);
}

/// A worktree that was made, and whose base has moved on since, to a commit whose files go through a filter that waits
/// for `go`, and says so by making `waiting`.
fn behind_a_slow_filter<'s>(sandbox: &'s Sandbox) -> Repo<'s> {
    let repo = Repo::new(sandbox);
    repo.create(&["T-1"]);
    let at = |name: &str| sandbox.path(name).display().to_string();
    let smudge = format!(": >'{}'; until [ -e '{}' ]; do sleep 0.01; done; cat", at("waiting"), at("go"));
    repo.git(&["config", "filter.slow.smudge", &smudge]);
    repo.git(&["config", "filter.slow.clean", "cat"]);
    // git writes what goes through a filter in order, and what does not at the end.
    repo.git(&["config", "filter.quick.smudge", "cat"]);
    repo.git(&["config", "filter.quick.clean", "cat"]);
    repo.write(".gitattributes", "*.slow filter=slow\n*.quick filter=quick\n");
    repo.write("a.quick", "a\n");
    repo.write("b.slow", "b\n");
    repo.commit_all("Slow");
    repo
}

fn waiting(sandbox: &Sandbox) {
    wait::until("the filter", || sandbox.path("waiting").exists().then_some(()));
}

#[test]
fn while_the_files_of_a_lane_are_brought_up_to_its_base_others_go_on() {
    let sandbox = Sandbox::new();
    let repo = behind_a_slow_filter(&sandbox);
    let slow = repo.worktree(&["create", "T-1", "--json"]).spawn();
    waiting(&sandbox);
    assert!(!is_locked(&repo.store().join("repo.lock")), "the repository is held");
    repo.create(&["T-2", "--base", &repo.git(&["rev-parse", "main~1"])]);
    sandbox.write("go", "");
    let created = slow.wait().ok().json();
    assert_eq!(created["base_commit"], repo.head(), "{created:#}");
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!((tree.head(), tree.status_porcelain()), (repo.head(), Vec::new()));
}

#[test]
fn who_waits_for_a_lane_finds_what_another_left_who_was_killed_meanwhile() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let [first_go, second_go] = ["first", "second"].map(|name| sandbox.path(name));
    let arrived = |name: &str| {
        let waiting = sandbox.path(format!("{name}.waiting"));
        wait::until(name, || waiting.exists().then_some(()));
    };
    let points = format!("dispatch.planned:wait={},prepare.files:kill", first_go.display());
    let first = repo.worktree(&["dispatch", "T-1"]).env("RALPH_FAILPOINT", points).spawn();
    arrived("first");
    // It has planned when there was nothing, and is about to ask for the lane.
    let points = format!("dispatch.claiming:wait={}", second_go.display());
    let second = repo.worktree(&["create", "T-1", "--json"]).env("RALPH_FAILPOINT", points).spawn();
    arrived("second");
    std::fs::write(first_go, "").unwrap();
    assert_eq!(first.wait().signal, Some(9));
    std::fs::write(second_go, "").unwrap();
    let created = second.wait().ok().json();
    assert_eq!(created["branch"], "ralph/T-1");
}

/// The point at which a ticket that git does not track is copied.
const TICKET_POINT: &str = "dispatch.ticket";

#[test]
fn row_4_killed_in_the_middle_of_a_tickets_copy_the_next_dispatch_has_the_whole_of_it() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox, "cp .tickets/T-9.md \"$STAGE\"; answer");
    sandbox.set_env("STAGE", sandbox.path("tmp"));
    let repo = &scene.repo;
    let ticket = repo.ticket("T-9", "Not tracked");
    let dispatch = repo.ralph(&["worktree", "dispatch", "T-9"]);
    let killed = dispatch.env("RALPH_FAILPOINT", format!("{TICKET_POINT}:kill")).run();
    assert_eq!(killed.signal, Some(9), "{killed}");
    let manifest = repo.finish("T-9", &[]);
    assert_eq!(manifest["work"]["untracked"], 0, "{manifest:#}");
    let original = std::fs::read_to_string(ticket).unwrap();
    assert_eq!(std::fs::read_to_string(sandbox.path("tmp/T-9.md")).unwrap(), original);
    let tickets = repo.tree_of(&sandbox, "T-9").path().join(".tickets");
    assert!(names_in(&tickets).iter().all(|name| !name.starts_with('.')), "{:?}", names_in(&tickets));
}

/// Points at which a worktree is brought up to its base.
const FORWARD_POINTS: &[&str] = &["forward.marked", "forward.files", "forward.landed"];

#[test]
fn killed_between_the_steps_of_bringing_a_lane_up_to_its_base_nothing_looks_like_work() {
    for point in FORWARD_POINTS {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox, COMMITS);
        scene.repo.create(&["T-1"]);
        scene.repo.commit_file("new.txt", "new\n", "New");
        let scene = Scene { checkout: Tree::of(&scene.repo).without(&[".git"]), ..scene };
        scene.kill_dispatcher_at(point);
        scene.recover();
        let manifest = scene.repo.finish("T-1", &[]);
        assert_eq!(manifest["work"]["commits"], 1, "{point}: {manifest:#}");
        assert_eq!(manifest["worktree"]["base_commit"], scene.repo.head(), "{point}: {manifest:#}");
        assert_eq!(scene.repo.tree_of(&sandbox, "T-1").status_porcelain(), Vec::<String>::new());
        assert_eq!(scene.repo.log("main..ralph/T-1").len(), 1);
        scene.assert_order();
    }
}

#[test]
fn killed_while_a_lane_is_brought_up_to_its_base_nothing_looks_like_work() {
    let sandbox = Sandbox::new();
    let repo = behind_a_slow_filter(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let slow = repo.ralph(&["worktree", "dispatch", "T-1"]).spawn();
    waiting(&sandbox);
    slow.signal(Signal::KILL);
    drop(slow.wait());
    // git goes on, and no one meddles with the lane meanwhile.
    assert_eq!(repo.recover()[0]["reason"], "another command is at its lane");
    let gits = sandbox.processes();
    let git = gits.iter().find(|process| process.command.contains("read-tree")).expect("git runs");
    git.signal(Signal::KILL);
    sandbox.write("go", "");
    sandbox.wait_until_quiet();
    assert_eq!(repo.recover()[0]["outcome"], "launch_failed");

    let tree = repo.tree_of(&sandbox, "T-1");
    assert_ne!(tree.status_porcelain(), Vec::<String>::new(), "nothing was half done");
    let manifest = repo.finish("T-1", &[]);
    assert_eq!((&manifest["outcome"], &manifest["work"]["commits"]), (&"succeeded".into(), &1.into()));
    assert_eq!(manifest["worktree"]["base_commit"], repo.head(), "{manifest:#}");
    assert_eq!(tree.status_porcelain(), Vec::<String>::new());
    assert_eq!(repo.log("main..ralph/T-1").len(), 1);
    repo.fsck();
}

mod supervisors {
    use super::*;

    /// The supervisor is killed at the point while the agent works; the agent had come as far as its play says.
    fn killed_at(point: &str, play: &str, dispatcher: i32, outcome: &str, commits: &[&str]) {
        let sandbox = Sandbox::new();
        let scene = Scene::second_attempt(&sandbox, play);
        scene.kill_supervisor_at(point, dispatcher);
        scene.recover();
        let sessions = Session::all(&scene.repo);
        assert_eq!(sessions.len(), 2);
        let manifest = sessions[1].manifest();
        assert_eq!(manifest["outcome"], outcome, "{manifest:#}");
        assert_eq!(manifest["attempt"], 2);
        let mut expected = commits.to_vec();
        expected.push("T-1: attempt 1");
        assert_eq!(scene.repo.log("main..ralph/T-1"), expected);
        scene.assert_next_dispatch_works(&expected);
    }

    #[test]
    fn row_4_killed_before_the_supervisor_has_the_session() {
        killed_at("supervise.begun", AT_WORK, 5, "launch_failed", &[]);
    }

    #[test]
    fn row_5_killed_before_the_agent_is_spawned() {
        killed_at("supervise.before-spawn", AT_WORK, 5, "lost", &[]);
    }

    #[test]
    fn row_5_killed_between_the_spawn_and_its_record() {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox, AT_WORK);
        let gate = sandbox.path("gate");
        let point = format!("supervise.spawned:wait={},supervise.spawned:kill", gate.display());
        let dispatcher =
            scene.repo.ralph(&["worktree", "dispatch", "T-1"]).env("RALPH_FAILPOINT", point).spawn();
        let agent = scene.pi.wait_here("T-1");
        sandbox.write("gate", "");
        drop(dispatcher.wait().expect_code(5));
        assert!(agent.is_alive());
        let session = Session::only(&scene.repo);
        assert_eq!(session.manifest()["state"], "launching");
        assert!(session.manifest()["process"]["agent"].is_null());
        scene.recover();
        assert!(!agent.is_alive());
        assert_eq!(session.manifest()["outcome"], "lost");
        scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
    }

    #[test]
    fn row_1_killed_as_soon_as_the_agent_runs() {
        killed_at("supervise.running", "here; forever", 0, "lost", &[]);
    }

    #[test]
    fn row_6_killed_between_the_agents_exit_and_its_record() {
        for point in ["supervise.agent-ended", "conclude.judged"] {
            killed_at(point, COMMITS, 0, "lost", &["T-1: attempt 2"]);
        }
    }

    #[test]
    fn row_6_killed_when_the_exit_is_recorded() {
        killed_at("supervise.agent-ended>step.written", COMMITS, 0, "succeeded", &["T-1: attempt 2"]);
        killed_at("conclude.recorded", COMMITS, 0, "succeeded", &["T-1: attempt 2"]);
    }

    #[test]
    fn row_1_a_supervisor_that_is_killed_leaves_a_session_that_recover_ends() {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox, "commit; leave child; leave deaf stubborn; here; forever");
        let session = Session::dispatch(&scene.repo, "T-1", &["--grace=300ms"]);
        let alive: Vec<Process> =
            ["child", "deaf", "T-1"].iter().map(|name| scene.pi.wait_here(name)).collect();
        session.supervisor().signal(Signal::KILL);
        wait::until("the lock to be free", || (!session.is_held()).then_some(()));
        // It is not called running any more, and nothing was changed by looking.
        let list = scene.repo.ralph(&["worktree", "list", "--json"]).run().ok().json();
        assert_eq!(list[0]["activity"], "unsettled", "{list:#}");
        assert!(alive.iter().all(Process::is_alive));
        let recovered = scene.recover();
        assert_eq!((&recovered[0]["action"], &recovered[0]["outcome"]), (&"settled".into(), &"lost".into()));
        assert!(!alive.iter().any(Process::is_alive));
        let manifest = session.manifest();
        assert!(manifest["exit"].is_null() && manifest["work"]["commits"] == 1, "{manifest:#}");
        let reason = manifest["reason"].as_str().unwrap();
        assert!(reason.contains("its supervisor was killed"), "{manifest:#}");
        assert!(reason.contains("what it left running was ended (3 processes)"), "{manifest:#}");
        drop(scene.repo.ralph(&["worktree", "wait", "T-1"]).run().expect_code(1));
        scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
    }

    #[test]
    fn row_1_who_waits_for_it_is_told_that_it_is_lost() {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox, AT_WORK);
        let dispatcher = scene.repo.ralph(&["worktree", "dispatch", "T-1", "--wait", "--json"]).spawn();
        scene.pi.wait_here("T-1");
        let session = Session::only(&scene.repo);
        session.wait_for_state("running");
        session.supervisor().signal(Signal::KILL);
        let manifest = dispatcher.wait().expect_code(1).json();
        assert_eq!(manifest["outcome"], "lost", "{manifest:#}");
        scene.assert_order();
        scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
    }

    #[test]
    fn a_dispatcher_that_is_killed_once_the_agent_runs_takes_nothing_along() {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox, COMMITS);
        scene.kill_dispatcher_at("dispatch.launched");
        assert_eq!(Session::only(&scene.repo).ended()["outcome"], "succeeded");
        scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
    }

    #[test]
    fn a_dispatcher_that_is_killed_before_it_starts_the_supervisor_leaves_nothing_running() {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox, COMMITS);
        scene.kill_dispatcher_at("dispatch.launching");
        scene.recover();
        // No supervisor has said that it has the session: there was no agent whose end no one saw.
        assert_eq!(Session::only(&scene.repo).manifest()["outcome"], "launch_failed");
        scene.assert_next_dispatch_works(&[]);
    }
}

mod recoveries {
    use super::*;

    /// A session whose supervisor was killed while its agent worked.
    fn abandoned<'s>(sandbox: &'s Sandbox) -> (Scene<'s>, Session) {
        let scene = Scene::new(sandbox, AT_WORK);
        let session = Session::dispatch(&scene.repo, "T-1", &[]);
        scene.pi.wait_here("T-1");
        session.supervisor().signal(Signal::KILL);
        wait::until("the lock to be free", || (!session.is_held()).then_some(()));
        (scene, session)
    }

    impl Scene<'_> {
        fn recover_dying_at(&self, point: &str) -> Finished {
            let recover = self.repo.ralph(&["worktree", "recover"]);
            recover.env("RALPH_FAILPOINT", format!("{point}:kill")).run()
        }
    }

    #[test]
    fn row_8_a_recovery_that_is_killed_anywhere_is_finished_by_the_next() {
        for point in RECOVERY_POINTS {
            let sandbox = Sandbox::new();
            let (scene, session) = abandoned(&sandbox);
            let killed = scene.recover_dying_at(point);
            assert_eq!(killed.signal, Some(9), "not killed at {point}: {killed}");
            scene.recover();
            let manifest = session.manifest();
            assert_eq!((&manifest["outcome"], &manifest["work"]["commits"]), (&"lost".into(), &1.into()));
            scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
        }
    }

    #[test]
    fn row_8_the_recovery_of_a_damaged_manifest_that_is_killed_anywhere_is_finished_by_the_next() {
        for write in ["durable.write", "durable.rename", "durable.sync"] {
            for number in 1..=2 {
                let sandbox = Sandbox::new();
                let (scene, session) = abandoned(&sandbox);
                std::fs::write(session.manifest_file(), "{").unwrap();
                let killed = scene.recover_dying_at(&format!("recover.claimed>{write}#{number}"));
                assert_eq!(killed.signal, Some(9), "not killed at {write} {number}: {killed}");
                scene.recover();
                assert_eq!(session.manifest()["outcome"], "lost", "{write} {number}");
                scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
            }
        }
    }

    #[test]
    fn two_recoveries_at_once_settle_a_session_once() {
        let sandbox = Sandbox::new();
        let (scene, session) = abandoned(&sandbox);
        let both = [0, 1].map(|_| scene.repo.ralph(&["worktree", "recover", "--json"]).spawn());
        let settled: usize = both
            .map(|one| one.wait().ok().json())
            .iter()
            .map(|rows| rows.as_array().unwrap().iter().filter(|row| row["action"] == "settled").count())
            .sum();
        assert_eq!(settled, 1);
        assert_eq!(session.manifest()["outcome"], "lost");
        scene.recover();
    }
}

mod writes {
    use super::*;

    const WRITES: &[&str] = &["durable.write", "durable.rename", "durable.sync"];

    /// Kills at each of a process's writes in turn, all in one lane; `dispatch` says whether there was a write left to
    /// be killed at. Answers how many there were.
    fn killed_at_every(write: &str, scene: &Scene<'_>, mut killed: impl FnMut(&str) -> bool) -> usize {
        for number in 1.. {
            if !killed(&format!("{write}#{number}")) {
                return number - 1;
            }
            scene.recover();
        }
        unreachable!("it writes without end")
    }

    #[test]
    fn row_8_a_dispatcher_killed_at_any_of_its_writes() {
        for write in WRITES {
            let sandbox = Sandbox::new();
            let scene = Scene::new(&sandbox, COMMITS);
            let writes = killed_at_every(write, &scene, |point| {
                let ended = scene.dispatch_dying_at(&format!("dispatch.planned>{point}"));
                ended.signal == Some(9)
            });
            assert!(writes >= 4, "only {writes} times {write}");
            let last = Session::all(&scene.repo).pop().unwrap();
            assert_eq!(last.ended()["outcome"], "succeeded");
            scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
        }
    }

    #[test]
    fn row_8_a_supervisor_killed_at_any_of_its_writes() {
        for write in WRITES {
            let sandbox = Sandbox::new();
            let scene = Scene::new(&sandbox, "answer");
            let writes = killed_at_every(write, &scene, |point| {
                drop(scene.dispatch_dying_at(&format!("supervise.before-spawn>{point}")));
                let session = Session::all(&scene.repo).pop().unwrap();
                wait::until("the supervisor's end", || (!session.is_held()).then_some(()));
                session.manifest()["state"] != "ended"
                    || !entries_in(&scene.repo.store().join("running")).is_empty()
            });
            assert!(writes >= 2, "only {writes} times {write}");
            scene.assert_next_dispatch_works(&[]);
        }
    }

    #[test]
    fn row_8_a_supervisor_killed_at_any_write_of_a_stop() {
        for write in WRITES {
            let sandbox = Sandbox::new();
            let scene = Scene::new(&sandbox, AT_WORK);
            // After the two of the start and the end there is one more: that it is being ended.
            let point = format!("supervise.running>{write}#1:kill");
            let dispatch = scene.repo.ralph(&["worktree", "dispatch", "T-1"]).env("RALPH_FAILPOINT", point);
            drop(dispatch.run().ok());
            scene.pi.wait_here("T-1");
            let stopped = scene.repo.ralph(&["worktree", "stop", "T-1", "--json"]).run().ok().json();
            assert_eq!(stopped["outcome"], "lost", "{stopped:#}");
            scene.recover();
            scene.assert_next_dispatch_works(&["T-1: attempt 1"]);
        }
    }
}

/// Points that a supervisor is killed at.
const SUPERVISOR_POINTS: &[&str] = &[
    "supervise.begun",
    "supervise.before-spawn",
    "supervise.spawned",
    "supervise.running",
    "supervise.agent-ended",
    "conclude.judged",
    "step.written",
    "conclude.recorded",
    "supervise.released",
];

/// Points that a recovery is killed at, each passed with an agent left running.
const RECOVERY_POINTS: &[&str] = &[
    "recover.claimed",
    "recover.swept",
    "conclude.judged",
    "durable.write",
    "durable.rename",
    "durable.sync",
    "step.written",
    "conclude.recorded",
];

#[test]
fn row_8_every_crash_point_of_a_sessions_life_is_killed_at() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut passed = BTreeSet::new();
    for entry in walkdir::WalkDir::new(source) {
        let path = entry.unwrap().into_path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let names =
            text.split("failpoint::hit(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        passed.extend(names);
    }
    // Removals, merges and batches have crash tables of their own.
    let elsewhere = ["trash", "remove", "restore", "expire", "merge", "follow", "verify", "batch"];
    passed.retain(|point| !elsewhere.contains(&point.split('.').next().unwrap()));
    let others = [
        "dispatch.claiming",
        TICKET_POINT,
        "dispatch.launching",
        "dispatch.launched",
        "store.probed",
        "supervise.noting",
    ];
    // What every storey above uses: killed at by number, wherever a command passes them (tests/crash_everywhere.rs).
    passed.retain(|point| !crate::crash_everywhere::BELOW.contains(&point.as_str()));
    let tables =
        [DISPATCHER_POINTS, CREATION_POINTS, FORWARD_POINTS, SUPERVISOR_POINTS, RECOVERY_POINTS, &others];
    let killed: BTreeSet<String> = tables.concat().into_iter().map(str::to_owned).collect();
    assert_eq!(passed, killed);
}
