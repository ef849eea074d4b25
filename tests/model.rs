//! Random short lives of a few lanes, with real agents, kills and git, beside a model that says what must come of each
//! step. After every step: no work is lost, every record can be read and says what the model says, and the user's
//! checkout is as it was but for what was merged. At the end nothing runs and the repository is whole.
//!
//! A failing sequence is made as short as it can be, and its seed is kept in `tests/model/seeds.txt`. `PROPTEST_CASES`
//! says how many sequences are tried.

mod step;
mod world;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rustix::process::Signal;
use serde_json::Value;

use self::step::{Play, Step, TICKETS};
use self::world::{Session as Expected, World};
use crate::helpers::session::names_in;
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi, Session, wait};

/// The sequences that an ordinary run tries.
const CASES: u32 = 12;

fn config() -> ProptestConfig {
    let asked_for = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig::default();
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/seeds.txt");
    ProptestConfig {
        cases: if asked_for { default.cases } else { CASES },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(seeds))),
        max_shrink_iters: 150,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_happens_to_a_few_lanes_nothing_is_lost_and_nothing_is_left(
        steps in step::sequence(),
    ) {
        live(&steps);
    }
}

#[test]
fn a_life_in_which_everything_happens() {
    use Step::*;
    live(&[
        Dispatch(0, Play::RunsOn),
        Create(0),
        KillSupervisor(0),
        Dispatch(0, Play::LeavesFiles),
        Remove(0),
        RemoveWithUnsaved(0),
        Create(0),
        Restore(0),
        Dispatch(0, Play::Commits),
        Remove(0),
        Restore(0),
        Dispatch(1, Play::RunsOn),
        Merge(1),
        Stop(1),
        Merge(0),
        Merge(1),
        RemoveWithUnsaved(1),
        Retry(1),
        Recover,
        RemoveWithUnsaved(0),
        Restore(0),
        Dispatch(0, Play::Fails),
        Dispatch(0, Play::DoesNothing),
        Merge(0),
    ]);
}

fn live(steps: &[Step]) {
    let sandbox = Sandbox::new();
    let mut real = Real::new(&sandbox);
    let mut world = World::default();
    for (at, step) in steps.iter().enumerate() {
        let expected = world.take(at, *step);
        let ended = real.take(at, *step);
        let code = ended.as_ref().map_or(Some(0), |ended| ended.code);
        assert_eq!(
            code,
            Some(expected),
            "step {at}, {step:?}: {}",
            ended.map_or_else(String::new, |e| e.to_string())
        );
        if matches!(step, Step::Merge(_)) {
            real.checkout = Real::look(&real.repo);
        }
        real.assert_is(&world);
    }
    let live =
        |ticket: &usize| world.tickets[*ticket].lane.as_ref().is_some_and(|l| l.session == Expected::Live);
    let stops: Vec<Step> = (0..TICKETS.len()).filter(live).map(Step::Stop).collect();
    for (at, step) in stops.into_iter().chain([Step::Recover]).enumerate() {
        assert_eq!(world.take(steps.len() + at, step), 0);
        drop(real.take(steps.len() + at, step).expect("a command").ok());
    }
    real.assert_is(&world);
    sandbox.wait_until_quiet();
    real.repo.fsck();
}

/// The real thing.
struct Real<'s> {
    repo: Repo<'s>,
    pi: ScriptedPi,
    /// The user's checkout.
    checkout: Tree,
    /// Where agents note the commits that they have made.
    made: PathBuf,
    /// The folder of the worktrees.
    trees: PathBuf,
}

impl<'s> Real<'s> {
    fn new(sandbox: &'s Sandbox) -> Self {
        let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
        let made = sandbox.path("made");
        fs::create_dir(&made).unwrap();
        let (checkout, trees) = (Self::look(&repo), sandbox.work().join("app.ralph"));
        Self { repo, pi, checkout, made, trees }
    }

    fn look(repo: &Repo<'_>) -> Tree {
        Tree::of(repo).without(&[".git"])
    }

    /// Takes the step `at`; what the command came to, where it is one.
    fn take(&mut self, at: usize, step: Step) -> Option<Finished> {
        let run = |args: &[&str]| Some(self.repo.worktree(args).run());
        match step {
            Step::Create(ticket) => run(&["create", TICKETS[ticket]]),
            Step::Dispatch(ticket, play) => self.dispatch(at, TICKETS[ticket], play),
            Step::Retry(ticket) => {
                let again = self.made.join(format!("again-{at}"));
                let again = again.display();
                let commits = self.play(at, Play::Commits);
                let play = format!("if [ -e '{again}' ]; then {commits}; else : >'{again}'; fails; fi");
                self.pi.plays_for(TICKETS[ticket], &play);
                run(&["batch", TICKETS[ticket], "--retries=1", "--retry-delay=0s", "--stagger=0s"])
            }
            Step::Stop(ticket) => run(&["stop", TICKETS[ticket]]),
            Step::KillSupervisor(ticket) => {
                self.kill_supervisor(TICKETS[ticket]);
                None
            }
            Step::Recover => run(&["recover"]),
            Step::Merge(ticket) => run(&["merge", TICKETS[ticket]]),
            Step::Remove(ticket) => run(&["remove", TICKETS[ticket]]),
            Step::RemoveWithUnsaved(ticket) => run(&["remove", "--with-unsaved", TICKETS[ticket]]),
            Step::Restore(ticket) => run(&["restore", TICKETS[ticket]]),
        }
    }

    fn dispatch(&self, at: usize, ticket: &str, play: Play) -> Option<Finished> {
        self.pi.plays_for(ticket, &self.play(at, play));
        let dispatch = self.repo.worktree(&["dispatch", ticket, "--grace=5s"]);
        let ended = if play == Play::RunsOn { dispatch.run() } else { dispatch.arg("--wait").run() };
        if play == Play::RunsOn && ended.code == Some(0) {
            self.pi.wait_here(&here(at));
        }
        Some(ended)
    }

    /// The play of an agent at the step `at`. What it commits and leaves is named after the step, and a commit is noted
    /// once it is made.
    fn play(&self, at: usize, play: Play) -> String {
        let commits = format!("commit work-{at}.txt; git rev-parse HEAD >'{}/{at}'; ", self.made.display());
        let leaves = format!(
            "echo 'edited {at}' >>README.md; echo new >new-{at}.txt; echo staged >staged-{at}.txt; \
             git add staged-{at}.txt; "
        );
        let end = match play {
            Play::Commits | Play::DoesNothing | Play::LeavesFiles => "answer stop".to_owned(),
            Play::Fails => "fails".to_owned(),
            Play::RunsOn => format!("here {}; forever", here(at)),
        };
        let commits = if play.commits() { commits } else { String::new() };
        let leaves = if play.leaves_files() { leaves } else { String::new() };
        commits + &leaves + &end
    }

    fn kill_supervisor(&self, ticket: &str) {
        let live = Session::all(&self.repo).into_iter().filter(|session| session.is_held());
        for session in live.filter(|session| session.manifest()["ticket_id"] == ticket) {
            session.supervisor().signal(Signal::KILL);
            wait::until("the supervisor's end", || (!session.is_held()).then_some(()));
        }
    }

    /// Fails unless everything is as the model says, and every bit of work is still there.
    fn assert_is(&self, world: &World) {
        let lanes = self.repo.lanes();
        self.assert_sessions(world, &lanes);
        self.assert_commits(world);
        self.assert_files(world, &lanes);
        let changes = self.checkout.changes_to(&Self::look(&self.repo));
        assert!(changes.is_empty(), "the user's checkout was changed: {changes:#?}");
        assert_eq!(self.repo.status_porcelain(), Vec::<String>::new());
        assert_eq!(self.repo.current_branch().as_deref(), Some("main"));
    }

    /// Every record can be read; the current session of each lane is what the model says, every other has ended.
    fn assert_sessions(&self, world: &World, lanes: &[Value]) {
        let listed: Vec<&str> = lanes.iter().filter_map(|lane| lane["ticket_id"].as_str()).collect();
        let expected = TICKETS.iter().zip(&world.tickets).filter(|(_, ticket)| ticket.lane.is_some());
        assert_eq!(listed, expected.map(|(name, _)| *name).collect::<Vec<_>>());
        let mut open = BTreeSet::new();
        for lane in lanes {
            let at = TICKETS.iter().position(|name| lane["ticket_id"] == **name).expect("a ticket of ours");
            let model = world.tickets[at].lane.as_ref().expect("a lane that is listed");
            assert!(worktree_of(lane).join("README.md").exists(), "{lane:#}");
            let said = (lane["activity"].as_str(), lane["outcome"].as_str());
            match model.session {
                Expected::None => assert!(lane["session_id"].is_null(), "{lane:#}"),
                Expected::Live => assert_eq!(said, (Some("live"), None), "{lane:#}"),
                Expected::Orphaned => assert_eq!(said, (Some("unsettled"), None), "{lane:#}"),
                Expected::Ended(outcome) => assert_eq!(said, (Some("ended"), Some(outcome)), "{lane:#}"),
            }
            if matches!(model.session, Expected::Live | Expected::Orphaned) {
                open.insert(lane["session_id"].as_str().expect("an id").to_owned());
            }
        }
        for session in Session::all(&self.repo) {
            let manifest = session.manifest();
            let state = manifest["state"].as_str().expect("a state");
            match open.contains(&session.id) {
                true => assert_eq!(state, "running", "{manifest:#}"),
                false => assert!(state == "ended" && manifest["outcome"].is_string(), "{manifest:#}"),
            }
        }
    }

    /// Every commit that an agent made can be reached from a reference; `main` has what was merged and nothing else.
    fn assert_commits(&self, world: &World) {
        let reached = |from: &str| -> BTreeSet<String> {
            self.repo.git(&["rev-list", from]).lines().map(str::to_owned).collect()
        };
        let (all, main) = (reached("--all"), reached("main"));
        for name in names_in(&self.made).into_iter().filter(|name| !name.starts_with("again")) {
            let commit = fs::read_to_string(self.made.join(&name)).unwrap().trim().to_owned();
            assert!(all.contains(&commit), "the commit of step {name} is lost");
            let at: usize = name.parse().unwrap();
            assert_eq!(
                main.contains(&commit),
                world.merged.contains(&at),
                "the commit of step {name} in main"
            );
            assert_eq!(self.repo.has(format!("work-{at}.txt")), world.merged.contains(&at), "its file");
            let is_ahead = world.tickets.iter().any(|ticket| ticket.ahead.contains(&at));
            assert!(
                is_ahead || world.merged.contains(&at),
                "step {name} made a commit that the model has not"
            );
        }
    }

    /// Every file that lies uncommitted is in its worktree, or in the trash.
    fn assert_files(&self, world: &World, lanes: &[Value]) {
        let trash = self.trees.join(".trash");
        for (name, ticket) in TICKETS.iter().zip(&world.tickets) {
            if let Some(lane) = &ticket.lane {
                let listed =
                    lanes.iter().find(|lane| lane["ticket_id"] == **name).expect("a lane that is listed");
                lane.dirty.iter().for_each(|at| assert_lies_in(worktree_of(listed), *at));
            }
            for lane in &ticket.trash {
                for at in &lane.dirty {
                    let mut trees = names_in(&trash).into_iter().map(|name| trash.join(name).join("tree"));
                    let tree = trees.find(|tree| tree.join(format!("new-{at}.txt")).exists());
                    let tree = tree.unwrap_or_else(|| panic!("the files of step {at} are not in the trash"));
                    assert_lies_in(&tree, *at);
                }
            }
        }
    }
}

fn worktree_of(lane: &Value) -> &Path {
    Path::new(lane["worktree"].as_str().expect("a path"))
}

fn here(at: usize) -> String {
    format!("step-{at}")
}

/// Fails unless what the agent of step `at` left uncommitted is in `tree`.
fn assert_lies_in(tree: &Path, at: usize) {
    let read = |name: &str| fs::read_to_string(tree.join(name)).unwrap_or_default();
    assert_eq!(read(&format!("new-{at}.txt")), "new\n", "in {}", tree.display());
    assert_eq!(read(&format!("staged-{at}.txt")), "staged\n", "in {}", tree.display());
    assert!(read("README.md").lines().any(|line| line == format!("edited {at}")), "in {}", tree.display());
}
