//! What is not removed or restored, why, and that nothing has changed then.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use super::world::{TREE, World, assert_same, at, lane};
use crate::git::{ErrorClass, GitError};
use crate::removal::gather::gather;
use crate::removal::remove::carry_out;
use crate::removal::{BranchPlan, IfUnsaved, Reason, RemovalError, remove, restore};
use crate::session::state::Event;

/// Removing is refused, with a way out, and everything is as before.
fn refused(world: &World, unsaved: IfUnsaved) -> RemovalError {
    let before = world.snapshot();
    let error = world.remove(unsaved).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");
    assert!(error.hint().is_some(), "no way out of: {error}");
    assert!(!error.to_string().chars().any(char::is_control), "{error:?}");
    assert_same(&before, &world.snapshot());
    assert!(!world.store.root().join("trash").exists());
    error
}

fn only_reason(error: RemovalError) -> Reason {
    let RemovalError::Refused { mut reasons, .. } = error else { panic!("{error}") };
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    reasons.remove(0)
}

#[test]
fn row_58_unsaved_work_unless_it_was_asked_to_go_too() {
    let world = World::new();
    world.write("new", "x");
    world.write("README.md", "changed\n");
    let error = refused(&world, IfUnsaved::Refuse);
    assert!(error.to_string().contains("1 changed file: README.md; 1 new file: new"), "{error}");
    assert!(error.hint().unwrap().contains("--with-unsaved"));
    let removed = world.throw_away();
    assert_eq!(removed.unsaved, ["1 changed file: README.md", "1 new file: new"]);
}

#[test]
fn row_58_an_open_merge() {
    let world = World::new();
    world.git("repo", &["commit", "-q", "--allow-empty", "-m", "main's"]);
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "the lane's"]);
    world.git(TREE, &["merge", "-q", "--no-commit", "--no-ff", "main"]);
    let error = refused(&world, IfUnsaved::Refuse);
    assert!(error.to_string().contains("an open merge"), "{error}");
}

#[test]
fn row_41_a_submodule_with_why() {
    let world = World::new();
    world.fixture.init("library", &[]);
    world.git("library", &["commit", "-q", "--allow-empty", "-m", "one"]);
    world.git(TREE, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../../library"]);
    world.git(TREE, &["commit", "-q", "-m", "submodule"]);
    let error = refused(&world, IfUnsaved::Refuse);
    assert!(error.to_string().contains("1 repository within: library"), "{error}");
}

#[test]
fn row_35_a_worktree_that_the_user_locked_even_if_all_may_go() {
    let world = World::new();
    fs::remove_file(world.admin().join("locked")).unwrap();
    world.git("repo", &["worktree", "lock", "--reason", "on a stick", "../repo.ralph/t-1"]);
    for unsaved in [IfUnsaved::Refuse, IfUnsaved::ToTrash] {
        assert_eq!(only_reason(refused(&world, unsaved)), Reason::Locked("on a stick".into()));
    }
}

#[test]
fn row_80_a_symbolic_link_in_its_place() {
    let world = World::new();
    fs::rename(world.tree(), world.fixture.path("victim")).unwrap();
    symlink(world.fixture.path("victim"), world.tree()).unwrap();
    let error = world.remove(IfUnsaved::ToTrash).unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::SymlinkInTheWay { .. })), "{error}");
    assert!(world.fixture.path("victim/README.md").exists());
    assert!(world.admin().exists());
}

#[test]
fn row_36_something_else_in_its_place() {
    let world = World::new();
    fs::rename(world.tree(), world.fixture.path("moved")).unwrap();
    world.fixture.init(TREE, &[]);
    world.write("precious", "x");
    let error = world.remove(IfUnsaved::ToTrash).unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::MovedByHand { .. })), "{error}");
    assert!(error.hint().unwrap().contains("git worktree repair"));
    assert!(world.tree().join("precious").exists());
    // The remedy works, and the worktree goes from where it is.
    world.git("repo", &["worktree", "repair", "../moved"]);
    world.remove(IfUnsaved::ToTrash).unwrap();
    assert!(!world.fixture.path("moved").exists());
    assert!(world.tree().join("precious").exists());
}

#[test]
fn row_81_a_folder_that_is_not_registered_whatever_the_records_say() {
    let world = World::new();
    fs::create_dir_all(world.fixture.path("home/documents")).unwrap();
    let record = world.store.lane(&lane("t-1")).unwrap().unwrap();
    let forged = crate::session::lane::LaneRecord {
        worktree: world.fixture.path("home").to_str().unwrap().into(),
        ..record
    };
    world.store.write_lane(&world.claim("t-1"), &forged).unwrap();
    // The registration says where the worktree is, not the record.
    world.throw_away();
    assert!(world.fixture.path("home/documents").exists());
    // And without one, nothing is a worktree.
    let world = World::new();
    fs::remove_dir_all(world.admin()).unwrap();
    let error = world.remove(IfUnsaved::ToTrash).unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::NotRegistered { .. })), "{error}");
    assert!(world.tree().join("README.md").exists());
}

#[test]
fn a_lane_whose_session_runs() {
    let world = World::new();
    let writer = world.begun_session("t-1");
    let id = writer.manifest().session_id;
    let error = refused(&world, IfUnsaved::ToTrash);
    assert!(error.hint().unwrap().contains("ralph worktree stop t-1"));
    assert_eq!(only_reason(error), Reason::Running(id));
    // Killed, it is gone, and its end is not on record.
    drop(writer);
    let error = refused(&world, IfUnsaved::ToTrash);
    assert!(error.hint().unwrap().contains("ralph worktree recover"));
    assert_eq!(only_reason(error), Reason::Unsettled(id));
}

#[test]
fn a_lane_whose_session_s_record_cannot_be_read() {
    let world = World::new();
    let id = world.ended_session("t-1", at(1));
    fs::write(world.store.session_dir(id).manifest(), "{").unwrap();
    assert!(matches!(only_reason(refused(&world, IfUnsaved::ToTrash)), Reason::Unclear(..)));
}

#[test]
fn a_lane_whose_session_has_ended_goes_while_its_supervisor_lets_go() {
    let world = World::new();
    let id = world.ended_session("t-1", at(1));
    world.throw_away();
    assert!(world.store.session_dir(id).manifest().exists(), "logs stay until they expire");
    let restored = world.restore().unwrap();
    assert_eq!(world.store.lane(&restored.lane).unwrap().unwrap().current_session, Some(id));
}

#[test]
fn a_worktree_that_someone_works_in() {
    let world = World::new();
    let mut inside = Command::new("cat")
        .current_dir(world.tree().join("src"))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let reason = only_reason(refused(&world, IfUnsaved::ToTrash));
    let Reason::Occupied(occupants) = reason else { panic!("{reason:?}") };
    assert_eq!(occupants.iter().map(|o| o.pid).collect::<Vec<_>>(), [inside.id().cast_signed()]);
    drop(inside.stdin.take());
    inside.wait().unwrap();
    world.throw_away();
}

#[test]
fn names_that_mean_no_lane_or_several() {
    let world = World::new();
    let place = world.place();
    let error = remove(&place, &lane("t-2"), IfUnsaved::ToTrash).unwrap_err();
    assert!(matches!(error, RemovalError::NoSuchLane { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::NotFound);
    let error = restore(&place, &lane("t-1")).unwrap_err();
    assert!(matches!(error, RemovalError::NotInTrash { .. }), "{error}");
    let record = world.store.lane(&lane("t-1")).unwrap().unwrap();
    let other = crate::session::lane::LaneRecord { lane: lane("t-1@rel"), base_ref: "rel".into(), ..record };
    world.store.write_lane(&world.claim("t-1@rel"), &other).unwrap();
    let error = remove(&place, &lane("t-1"), IfUnsaved::ToTrash).unwrap_err();
    assert!(error.to_string().contains("t-1@main, t-1@rel"), "{error}");
    remove(&place, &lane("t-1@main"), IfUnsaved::ToTrash).unwrap();
}

#[test]
fn restoring_over_a_lane_or_a_folder_that_is_there_again() {
    let world = World::new();
    world.write("new", "x");
    world.throw_away();
    world.write("someone's", "x");
    let error = world.restore().unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::PathTaken { .. })), "{error}");
    assert!(error.hint().is_some());
    fs::remove_dir_all(world.tree()).unwrap();
    world.make_lane("t-1");
    let before = world.snapshot();
    let error = world.restore().unwrap_err();
    assert!(matches!(error, RemovalError::LaneExists { .. }), "{error}");
    assert_same(&before, &world.snapshot());
    // The hint leads out of it.
    let removed = world.remove(IfUnsaved::Refuse).unwrap();
    fs::remove_dir_all(removed.trash.unwrap()).unwrap();
    let error = world.restore().unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::TrashIncomplete { .. })), "{error}");
}

#[test]
fn a_trash_that_leads_elsewhere_is_refused_and_nothing_has_moved() {
    let world = World::new();
    fs::create_dir(world.fixture.path("victim")).unwrap();
    symlink(world.fixture.path("victim"), world.fixture.path("repo.ralph/.trash")).unwrap();
    let before = world.snapshot();
    let error = world.remove(IfUnsaved::ToTrash).unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::SymlinkInTheWay { .. })), "{error}");
    assert_same(&before, &world.snapshot());
    assert_eq!(fs::read_dir(world.fixture.path("victim")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(world.store.root().join("trash")).unwrap().count(), 0);
}

#[test]
fn a_removal_that_fails_half_way_is_taken_back() {
    let world = World::new();
    world.write("new", "x");
    let before = world.snapshot();
    // git's own lock on the branch: by then everything else has gone, and the branch cannot.
    let lock = world.repo.common_dir().join("refs/heads/ralph/t-1.lock");
    fs::write(&lock, "").unwrap();
    let error = world.remove(IfUnsaved::ToTrash).unwrap_err();
    assert!(matches!(error, RemovalError::Git(_)), "{error}");
    fs::remove_file(&lock).unwrap();
    assert_same(&before, &world.snapshot());
    assert_eq!(fs::read_dir(world.store.root().join("trash")).unwrap().count(), 0);
    world.throw_away();
}

#[test]
fn what_was_worked_in_while_it_was_looked_at_stays() {
    let works: [(&str, &[&str]); 3] = [
        ("commits", &["commit", "-q", "--allow-empty", "-m", "meanwhile"]),
        ("switches", &["switch", "-q", "--detach"]),
        ("locks", &["worktree", "lock", "--reason", "mine", "."]),
    ];
    for (what, args) in works {
        let world = World::new();
        fs::remove_file(world.admin().join("locked")).unwrap();
        let claim = world.claim("t-1");
        let record = world.store.lane(&lane("t-1")).unwrap().unwrap();
        let gathered = gather(&world.place(), &record).unwrap();
        world.git(TREE, args);
        let before = world.snapshot();
        let plan = BranchPlan::Deleted { contained_in: "main".into() };
        let error = carry_out(&world.place(), &claim, record, &gathered, plan).unwrap_err();
        assert!(matches!(error, RemovalError::Git(GitError::ChangedMeanwhile { .. })), "{what}: {error}");
        assert_same(&before, &world.snapshot());
    }
}

#[test]
fn a_worktree_with_another_lane_s_in_its_folder() {
    let world = World::new();
    world.git(TREE, &["worktree", "add", "-q", "-b", "inner", "inside"]);
    let error = world.remove(IfUnsaved::ToTrash).unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::HoldsWorktree { .. })), "{error}");
    assert!(error.hint().unwrap().contains("git worktree move"));
    world.git("repo", &["worktree", "move", "../repo.ralph/t-1/inside", "../inner"]);
    world.throw_away();
    assert_eq!(world.git("inner", &["status", "--porcelain"]), "");
}

#[test]
fn restoring_through_a_link_that_was_put_in_the_way() {
    let world = World::new();
    world.git("repo", &["worktree", "unlock", "../repo.ralph/t-1"]);
    fs::create_dir(world.fixture.path("elsewhere")).unwrap();
    world.git("repo", &["worktree", "move", "../repo.ralph/t-1", "../elsewhere/t-1"]);
    world.throw_away();
    fs::rename(world.fixture.path("elsewhere"), world.fixture.path("victim")).unwrap();
    symlink(world.fixture.path("victim"), world.fixture.path("elsewhere")).unwrap();
    let error = world.restore().unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::SymlinkInTheWay { .. })), "{error}");
    assert_eq!(fs::read_dir(world.fixture.path("victim")).unwrap().count(), 0);
}

#[test]
fn of_many_who_remove_a_lane_at_once_one_does() {
    let world = World::new();
    world.write("new", "x");
    let root = &world.fixture.root;
    let results: Vec<_> = std::thread::scope(|scope| {
        let removing = || World::at(root.clone()).remove(IfUnsaved::ToTrash);
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(removing)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (done, not): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1, "{done:?}");
    assert!(not.iter().all(|r| matches!(r, Err(RemovalError::NoSuchLane { .. }))), "{not:?}");
    let results: Vec<_> = std::thread::scope(|scope| {
        let restoring = || World::at(root.clone()).restore();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(restoring)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert_eq!(world.git(TREE, &["status", "--porcelain"]), "?? new");
}

#[test]
fn a_supervisor_that_has_recorded_the_end_is_waited_for() {
    let world = World::new();
    let mut writer = world.begun_session("t-1");
    let evidence = crate::session::outcome::Evidence {
        end: crate::session::outcome::End::NeverStarted("a test".into()),
        account: None,
        work: crate::session::outcome::WorkFound::NotLooked,
        usage: None,
        notes: Vec::new(),
    };
    let event = Event::Ended { evidence: Box::new(evidence), head_commit: None, truncated_bytes: 0 };
    writer.step(event, at(2)).unwrap().0.unwrap();
    let lock = writer.dir().lock();
    std::thread::scope(|scope| {
        let removing =
            scope.spawn(|| World::at(world.fixture.root.clone()).remove(IfUnsaved::Refuse).map(drop));
        while !is_waited_for(&lock) {
            assert!(!removing.is_finished(), "it did not wait");
            std::thread::yield_now();
        }
        drop(writer);
        removing.join().unwrap().unwrap();
    });
}

/// Whether someone waits for the lock, by the kernel's own list.
fn is_waited_for(lock: &std::path::Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let inode = format!(":{} ", fs::metadata(lock).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    locks.lines().any(|line| line.contains("-> FLOCK") && line.contains(&inode))
}

#[test]
fn git_that_still_works_in_it_is_waited_for_a_moment() {
    let world = World::new();
    let mut git = world.fixture.command(TREE, &["cat-file", "--batch"]);
    let mut git = git.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    // One that does not end is in the way like any other.
    assert!(matches!(only_reason(refused(&world, IfUnsaved::ToTrash)), Reason::Occupied(_)));
    std::thread::scope(|scope| {
        let removing =
            scope.spawn(|| World::at(world.fixture.root.clone()).remove(IfUnsaved::ToTrash).map(drop));
        drop(git.stdin.take());
        git.wait().unwrap();
        removing.join().unwrap().unwrap();
    });
}

#[test]
fn a_place_that_was_registered_for_another_worktree_meanwhile() {
    let world = World::new();
    world.write("new", "x");
    world.throw_away();
    world.git("repo", &["worktree", "add", "-q", "-b", "mine", "../repo.ralph/t-1"]);
    fs::remove_dir_all(world.tree()).unwrap();
    let error = world.restore().unwrap_err();
    assert!(matches!(error, RemovalError::Git(GitError::PathTaken { .. })), "{error}");
    assert!(!world.tree().exists());
    world.git("repo", &["worktree", "prune"]);
    world.restore().unwrap();
    assert_eq!(world.git(TREE, &["status", "--porcelain"]), "?? new");
}
