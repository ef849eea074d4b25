//! A merge that is killed anywhere has either not happened, or is finished by whatever command comes next (row 7 of
//! the catalogue of faults): the target, the checkout that has it checked out, and the lane's record agree.

use std::fs;

use serde_json::{Value, json};

use crate::helpers::session::names_in;
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// Before these, nothing that anyone sees has happened; from the first of the others on, the merge has.
const BEFORE: [&str; 4] = ["merge.begun", "merge.made", "merge.recorded", "merge.held"];
const AFTER: [&str; 6] =
    ["merge.landed", "follow.ready", "follow.read", "merge.followed", "merge.lane", "merge.unpinned"];

/// An agent that changes, adds, deletes and moves, and edits a ticket that the user has in another status.
const WORK: &str = "printf 'edited\\n' >>README.md; mkdir sub; printf 'new, and of some length\\n' >sub/new; \
    git rm -q gone.txt; git mv here.txt there.txt; printf 'Note.\\n' >>.tickets/T-2.md; git add -A; \
    git commit -qm 'T-1: work'; answer";

struct Scene<'s> {
    sandbox: &'s Sandbox,
    repo: Repo<'s>,
    before: String,
}

impl<'s> Scene<'s> {
    fn new(sandbox: &'s Sandbox) -> Self {
        let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
        repo.write("gone.txt", "will go\n");
        repo.write("here.txt", "will move\n");
        repo.commit_all("More");
        pi.plays(WORK);
        pi.plays_for("T-3", "commit; answer");
        assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
        let before = repo.commit_file("mine.txt", "mine\n", "Mine");
        // What the user has lying about.
        repo.write("mine.txt", "edited by me\n");
        repo.write("untracked.txt", "untracked\n");
        let ticket = repo.read(".tickets/T-2.md");
        repo.write(".tickets/T-2.md", ticket.replace("open", "in_progress"));
        Self { sandbox, repo, before }
    }

    #[track_caller]
    fn kill_at(&self, command: &[&str], point: &str) {
        let killed = self.repo.worktree(command).env("RALPH_FAILPOINT", format!("{point}:kill")).run();
        assert_eq!(killed.signal, Some(9), "not killed at {point}: {killed}");
    }

    /// Nothing of a merge is left over, and nothing of the user's is lost.
    #[track_caller]
    fn assert_order(&self, point: &str) {
        let repo = &self.repo;
        assert_eq!(names_in(&repo.store().join("queue")), Vec::<String>::new(), "{point}");
        assert_eq!(repo.git(&["for-each-ref", "refs/ralph"]), "", "{point}");
        assert_eq!(
            repo.status_porcelain(),
            [" M .tickets/T-2.md", " M mine.txt", "?? untracked.txt"],
            "{point}"
        );
        assert!(repo.read(".tickets/T-2.md").contains("status: in_progress"), "{point}");
        assert_eq!(repo.read("mine.txt"), "edited by me\n", "{point}");
        assert!(!repo.path().join(".git/index.lock").exists(), "{point}");
        repo.fsck();
    }

    fn merged(&self) -> Value {
        self.repo.lanes()[0]["merged"].clone()
    }

    /// The merge has happened, once.
    #[track_caller]
    fn assert_merged(&self, point: &str) {
        let repo = &self.repo;
        assert_eq!(repo.rev_parse("main^1"), self.before, "{point}");
        assert_eq!(repo.rev_parse("main^2"), repo.rev_parse("ralph/T-1"), "{point}");
        assert_eq!(self.merged()["commit"], json!(repo.head()), "{point}");
        assert_eq!(repo.read("README.md"), "# app\nedited\n", "{point}");
        assert!(repo.has("sub/new") && repo.has("there.txt"), "{point}");
        assert!(!repo.has("gone.txt") && !repo.has("here.txt"), "{point}");
        assert!(repo.read(".tickets/T-2.md").contains("Note."), "{point}");
        self.assert_order(point);
    }
}

#[test]
fn row_7_killed_before_it_landed_a_merge_has_not_happened() {
    for point in BEFORE {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox);
        scene.kill_at(&["merge", "T-1"], point);
        assert_eq!(scene.repo.head(), scene.before, "{point}");
        let recovered = scene.repo.worktree(&["recover"]).run().ok();
        assert!(recovered.stderr.contains("T-1: its interrupted merge had not happened"), "{recovered}");
        assert_eq!(scene.repo.head(), scene.before, "{point}");
        scene.assert_order(point);
        assert_eq!(scene.merged(), Value::Null, "{point}");
        let again = scene.repo.worktree(&["recover"]).run().ok();
        assert!(!again.stderr.contains("merge"), "{again}");
        drop(scene.repo.worktree(&["merge", "T-1"]).run().ok());
        scene.assert_merged(point);
    }
}

#[test]
fn row_7_killed_after_it_landed_a_merge_is_finished_by_the_next_command() {
    for point in AFTER {
        let all = ["recover", "merge", "merge another", "dispatch"];
        // What comes next matters only where something is left to do and where something is not.
        let next = if matches!(point, "merge.landed" | "merge.lane") { &all[..] } else { &all[..1] };
        for next in next.iter().copied() {
            let sandbox = Sandbox::new();
            let scene = Scene::new(&sandbox);
            if next == "merge another" {
                scene.repo.finish("T-3", &[]);
            }
            scene.kill_at(&["merge", "T-1"], point);
            let landed = scene.repo.rev_parse("main");
            let ended = match next {
                "recover" => scene.repo.worktree(&["recover"]).run().ok(),
                "merge" => scene.repo.worktree(&["merge", "T-1"]).run().ok(),
                "merge another" => scene.repo.worktree(&["merge", "T-3", "--into", "main"]).run().ok(),
                _ => scene.repo.worktree(&["dispatch", "T-3", "--wait"]).run().ok(),
            };
            assert!(ended.stderr.contains("T-1: its interrupted merge was finished"), "{point}: {ended}");
            if next == "merge another" {
                assert_eq!(scene.repo.rev_parse("main^1"), landed, "{point}");
                scene.assert_order(point);
                // So that the rest can be looked at as after the others.
                scene.repo.git(&["read-tree", "-m", "-u", "HEAD", &landed]);
                scene.repo.git(&["update-ref", "refs/heads/main", &landed]);
            }
            scene.assert_merged(&format!("{point}, then {next}"));
        }
    }
}

#[test]
fn row_8_killed_while_it_is_finished_it_is_finished_by_the_next() {
    for (first, second) in [
        ("merge.landed", "follow.ready"),
        ("merge.landed", "follow.read"),
        ("follow.read", "merge.lane"),
        ("follow.ready", "merge.unpinned"),
    ] {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox);
        scene.kill_at(&["merge", "T-1"], first);
        scene.kill_at(&["recover"], second);
        drop(scene.repo.worktree(&["recover"]).run().ok());
        scene.assert_merged(&format!("{first}, {second}"));
    }
}

#[test]
fn a_check_that_was_killed_leaves_no_worktree_and_no_process() {
    for point in ["verify.registered", "verify.open", "verify.ended", "while it runs"] {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox);
        let repo = &scene.repo;
        let here = sandbox.path("here");
        let check = format!("echo $$ >{} && setsid sleep 1000 & sleep 1000", here.display());
        if point == "while it runs" {
            let running = repo.worktree(&["merge", "T-1", "--verify", &check]).spawn();
            crate::helpers::wait::until("the check to run", || here.exists().then_some(()));
            running.signal(rustix::process::Signal::KILL);
            assert_eq!(running.wait().signal, Some(9));
            assert!(sandbox.processes().iter().any(|process| process.command.contains("sleep 1000")));
        } else {
            scene.kill_at(&["merge", "T-1", "--verify", "true"], point);
        }
        assert_eq!(repo.worktrees().len(), 3, "{point}");
        let recovered = repo.worktree(&["recover"]).run().ok();
        assert!(recovered.stderr.contains("T-1: its interrupted merge had not happened"), "{recovered}");
        assert_eq!(repo.worktrees().len(), 2, "{point}");
        assert_eq!(
            names_in(&repo.store().join("queue")).iter().filter(|name| name.ends_with("json")).count(),
            0
        );
        fs::remove_dir_all(repo.store().join("queue")).unwrap();
        scene.assert_order(point);
        assert_eq!(names_in(&sandbox.work().join("app.ralph")).len(), 1, "{point}");
        sandbox.assert_nothing_runs();
        assert_eq!(repo.head(), scene.before);
    }
}

#[test]
fn a_checkout_that_git_was_killed_in_is_taken_up_where_it_stopped() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    scene.kill_at(&["merge", "T-1"], "merge.landed");
    // Written whole, in part, taken away, not begun: git writes the index last.
    repo.write("README.md", "# app\nedited\n");
    repo.write("sub/new", "new, and of");
    fs::remove_file(repo.path().join("gone.txt")).unwrap();
    drop(repo.worktree(&["recover"]).run().ok());
    scene.assert_merged("in the middle");
}

#[test]
fn a_large_file_that_git_was_killed_in_is_taken_up_too_and_an_own_one_stays() {
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    pi.plays("head -c 73400320 /dev/zero >large; git add -A; git commit -qm large; answer");
    repo.finish("T-1", &[]);
    let killed = repo.worktree(&["merge", "T-1"]).env("RALPH_FAILPOINT", "merge.landed:kill").run();
    assert_eq!(killed.signal, Some(9), "{killed}");
    let (large, mine) = (repo.path().join("large"), [&[0; 1000][..], b"mine"].concat());
    fs::write(&large, &mine).unwrap();
    let recovered = repo.worktree(&["recover"]).run().ok();
    assert!(recovered.stderr.contains("T-1: its interrupted merge is left as it is"), "{recovered}");
    assert_eq!(fs::read(&large).unwrap(), mine);
    fs::write(&large, []).unwrap();
    fs::File::options().write(true).open(&large).unwrap().set_len(66 << 20).unwrap();
    let recovered = repo.worktree(&["recover"]).run().ok();
    assert!(recovered.stderr.contains("T-1: its interrupted merge was finished"), "{recovered}");
    assert_eq!((fs::metadata(&large).unwrap().len(), repo.status_porcelain()), (70 << 20, Vec::new()));
}

#[test]
fn what_was_put_into_a_touched_file_since_the_crash_stays_and_is_told() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    scene.kill_at(&["merge", "T-1"], "merge.landed");
    repo.write("README.md", "precious\n");
    repo.write("sub/new", "precious too\n");
    for _ in 0..2 {
        let recovered = repo.worktree(&["recover"]).run().ok();
        assert!(recovered.stderr.contains("T-1: its interrupted merge is left as it is"), "{recovered}");
        assert_eq!(
            (repo.read("README.md"), repo.read("sub/new")),
            ("precious\n".into(), "precious too\n".into())
        );
    }
    // A merge that needs the same checkout has it in the way too.
    fs::rename(repo.path().join("README.md"), scene.sandbox.path("readme")).unwrap();
    fs::rename(repo.path().join("sub/new"), scene.sandbox.path("new")).unwrap();
    let recovered = repo.worktree(&["recover"]).run().ok();
    assert!(recovered.stderr.contains("T-1: its interrupted merge was finished"), "{recovered}");
    scene.assert_merged("moved away");
}

#[test]
fn a_checkout_that_went_on_to_something_else_after_the_crash_is_left_alone() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    scene.kill_at(&["merge", "T-1"], "merge.followed");
    // The user goes on: takes a part of it back, and commits.
    repo.git(&["checkout", "-q", "HEAD^", "--", "README.md"]);
    repo.git(&["commit", "-q", "-m", "Not this", "--", "README.md"]);
    let mine = repo.head();
    drop(repo.worktree(&["recover"]).run().ok());
    assert_eq!(repo.head(), mine);
    assert_eq!(repo.read("README.md"), "# app\n");
    scene.assert_order("gone on");
    // Or is on another branch by now.
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    scene.kill_at(&["merge", "T-1"], "merge.landed");
    let repo = &scene.repo;
    repo.git(&["update-ref", "refs/heads/mine", &scene.before]);
    repo.git(&["symbolic-ref", "HEAD", "refs/heads/mine"]);
    drop(repo.worktree(&["recover"]).run().ok());
    assert_eq!(repo.head(), scene.before);
    assert_eq!(repo.read("README.md"), "# app\n");
    scene.assert_order("on another branch");
}

#[test]
fn row_75_while_a_branch_moves_and_after_a_crash_git_itself_commits_nothing_that_would_take_the_merge_back() {
    for point in ["merge.landed", "follow.ready", "follow.read"] {
        let sandbox = Sandbox::new();
        let scene = Scene::new(&sandbox);
        let repo = &scene.repo;
        scene.kill_at(&["merge", "T-1"], point);
        let merged = repo.head();
        let refused = repo.try_git(&["commit", "-q", "-a", "-m", "Mine"]);
        assert!(refused.stderr.contains("index.lock"), "{point}: {refused}");
        assert_eq!(repo.head(), merged, "{point}");
        drop(repo.worktree(&["recover"]).run().ok());
        scene.assert_merged(point);
        repo.git(&["commit", "-q", "-m", "Mine", "--", "mine.txt"]);
        assert_eq!(repo.git(&["diff", "--name-only", &merged, "HEAD"]), "mine.txt", "{point}");
    }
}

#[test]
fn an_entry_that_cannot_be_read_keeps_no_one_from_merging() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let queue = scene.repo.store().join("queue");
    fs::create_dir_all(&queue).unwrap();
    for (name, content) in [
        ("0193a1b2-0000-7000-8000-000000000001.json", "{"),
        ("0193a1b2-0000-7000-8000-000000000002.json", "{\"schema_version\": 999}"),
        ("0193a1b2-0000-7000-8000-000000000003.json", "[]"),
        ("notes.txt", "mine"),
    ] {
        fs::write(queue.join(name), content).unwrap();
    }
    let merged = scene.repo.worktree(&["merge", "T-1"]).run().ok();
    assert_eq!(merged.stderr.matches("interrupted merge is left as it is").count(), 6, "{merged}");
    assert_eq!(names_in(&queue).len(), 4);
    fs::remove_dir_all(&queue).unwrap();
    scene.assert_merged("beside damaged entries");
}
