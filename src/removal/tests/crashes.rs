//! Killed anywhere, a removal or a comeback leaves a lane that is whole, or one that is made whole afterwards.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::world::{TREE, World, assert_same, lane};
use crate::removal::{IfUnsaved, RemovalError, Settled, remove, restore, settle, trash};

const FOLDER: &str = "RALPH_TEST_CRASH";
const DO: &str = "RALPH_TEST_CRASH_DO";
const NAME: &str = "removal::tests::crashes::does_what_it_is_told_and_is_killed";

const REMOVING: [&str; 11] = [
    "remove.decided",
    "remove.recorded",
    "remove.pinned",
    "trash.ready",
    "trash.unregistered",
    "trash.moved",
    "trash.unlinked",
    "trash.log",
    "trash.branch",
    "remove.forgotten",
    "remove.done",
];

const RESTORING: [&str; 9] = [
    "restore.recorded",
    "restore.branch",
    "restore.linked",
    "restore.moved",
    "restore.registered",
    "restore.lane",
    "restore.done",
    "restore.released",
    "trash.closing",
];

/// Not a test by itself: what the tests below run in a process of its own.
#[test]
fn does_what_it_is_told_and_is_killed() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let world = World::at(folder.into());
    match std::env::var(DO).unwrap().as_str() {
        "remove" => drop(world.remove(IfUnsaved::ToTrash).unwrap()),
        "restore" => drop(world.restore().unwrap()),
        "settle" => drop(settle(&world.place()).unwrap()),
        other => panic!("{other}"),
    }
}

fn killed_at(world: &World, what: &str, point: &str) {
    let out = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME])
        .env(FOLDER, &world.fixture.root)
        .env(DO, what)
        .env("RALPH_FAILPOINT", format!("{point}:kill"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(out.status.signal(), Some(9), "{what} was not killed at {point}: {said}");
}

/// A lane with something of every kind to lose, whose branch goes with it.
fn lane_with_work() -> World {
    let world = World::new();
    world.write("staged", "x");
    world.git(TREE, &["add", "staged"]);
    world.write("staged", "y");
    world.write("new", "x");
    world.git(TREE, &["switch", "-q", "--detach"]);
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "alone"]);
    world.git(TREE, &["update-ref", "--create-reflog", "refs/heads/ralph/t-1", "main"]);
    world
}

/// Nothing is in the trash, and nothing is left of it.
fn assert_tidy(world: &World, point: &str) {
    assert_eq!(world.git("repo", &["for-each-ref", "refs/ralph"]), "", "{point}");
    assert_eq!(trash(&world.store).unwrap().0.len(), 0, "{point}");
    world.git("repo", &["fsck", "--strict", "--no-dangling"]);
}

/// Whatever git throws away at such a moment, nothing of ours is in it.
fn throw_loose_ends_away(world: &World) {
    world.git("repo", &["worktree", "prune", "--expire=now"]);
    world.git("repo", &["pack-refs", "--all"]);
    world.git("repo", &["prune", "--expire=now"]);
}

#[test]
fn a_removal_that_was_killed_anywhere_is_undone_by_restoring() {
    for point in REMOVING {
        let world = lane_with_work();
        let before = world.snapshot();
        killed_at(&world, "remove", point);
        throw_loose_ends_away(&world);
        match world.restore() {
            Ok(_) => {}
            // It had not begun.
            Err(RemovalError::NotInTrash { .. }) if point == "remove.decided" => {}
            Err(error) => panic!("{point}: {error}"),
        }
        println!("{point}");
        assert_same(&before, &world.snapshot());
        assert_tidy(&world, point);
    }
}

#[test]
fn a_removal_that_was_killed_anywhere_is_finished_by_removing_again() {
    for point in REMOVING {
        let world = lane_with_work();
        let before = world.snapshot();
        killed_at(&world, "remove", point);
        throw_loose_ends_away(&world);
        match remove(&world.place(), &lane("t-1"), IfUnsaved::ToTrash) {
            Ok(removed) => assert!(removed.trash.unwrap().is_dir(), "{point}"),
            // It had been done.
            Err(RemovalError::NoSuchLane { .. }) if point == "remove.done" => {}
            Err(error) => panic!("{point}: {error}"),
        }
        assert!(!world.tree().exists(), "{point}");
        assert_eq!(world.store.lane(&lane("t-1")).unwrap(), None, "{point}");
        assert_eq!(trash(&world.store).unwrap().0.len(), 1, "{point}");
        throw_loose_ends_away(&world);
        world.restore().unwrap();
        println!("{point}");
        assert_same(&before, &world.snapshot());
        assert_tidy(&world, point);
    }
}

#[test]
fn a_removal_that_was_killed_anywhere_is_settled_one_way_or_the_other() {
    for point in REMOVING {
        let world = lane_with_work();
        let before = world.snapshot();
        killed_at(&world, "remove", point);
        throw_loose_ends_away(&world);
        let settled = settle(&world.place()).unwrap();
        let expected = match point {
            "remove.decided" | "remove.done" => settled.is_empty(),
            "remove.recorded" | "remove.pinned" | "trash.ready" => matches!(*settled, [Settled::Stays(_)]),
            _ => matches!(*settled, [Settled::Removed(_)]),
        };
        assert!(expected, "{point}: {settled:?}");
        assert!(settle(&world.place()).unwrap().is_empty(), "{point}: twice is once");
        if world.store.lane(&lane("t-1")).unwrap().is_none() {
            world.restore().unwrap();
        }
        println!("{point}");
        assert_same(&before, &world.snapshot());
        assert_tidy(&world, point);
    }
}

#[test]
fn a_comeback_that_was_killed_anywhere_is_finished_by_restoring_or_settling() {
    for point in RESTORING {
        for again in ["restore", "settle", "remove"] {
            let world = lane_with_work();
            let before = world.snapshot();
            world.throw_away();
            killed_at(&world, "restore", point);
            throw_loose_ends_away(&world);
            match again {
                "restore" => match restore(&world.place(), &lane("t-1")) {
                    Ok(_) => {}
                    // It was back: only traces of the way are left.
                    Err(RemovalError::NotInTrash { .. }) => drop(settle(&world.place()).unwrap()),
                    Err(error) => panic!("{point}: {error}"),
                },
                "settle" => drop(settle(&world.place()).unwrap()),
                _ => {
                    world.throw_away();
                    throw_loose_ends_away(&world);
                    world.restore().unwrap();
                }
            }
            println!("{point}");
            assert_same(&before, &world.snapshot());
            assert_tidy(&world, point);
        }
    }
}

#[test]
fn a_lane_that_was_used_again_before_its_comeback_was_settled_keeps_its_record() {
    let world = lane_with_work();
    world.throw_away();
    killed_at(&world, "restore", "restore.lane");
    let record = world.store.lane(&lane("t-1")).unwrap().unwrap();
    let used = crate::session::lane::LaneRecord { attempts: 7, ..record };
    world.store.write_lane(&world.claim("t-1"), &used).unwrap();
    assert!(matches!(*settle(&world.place()).unwrap(), [Settled::Restored(_)]));
    assert_eq!(world.store.lane(&lane("t-1")).unwrap(), Some(used));
}

#[test]
fn being_killed_again_while_settling_changes_nothing() {
    for first in ["trash.unregistered", "trash.moved"] {
        for second in ["trash.moved", "trash.unlinked", "trash.log", "trash.branch", "remove.forgotten"] {
            if first == second {
                continue;
            }
            let world = lane_with_work();
            let before = world.snapshot();
            killed_at(&world, "remove", first);
            killed_at(&world, "settle", second);
            settle(&world.place()).unwrap();
            world.restore().unwrap();
            assert_same(&before, &world.snapshot());
            assert_tidy(&world, second);
        }
    }
}

#[test]
fn a_lane_that_was_begun_anew_after_an_interruption_is_left_alone() {
    let world = lane_with_work();
    // Everything has gone but the last word in the record.
    killed_at(&world, "remove", "remove.forgotten");
    world.make_lane("t-1");
    world.write("the new one's", "x");
    let before = world.snapshot();
    let settled = settle(&world.place()).unwrap();
    assert!(matches!(*settled, [Settled::Removed(_)]), "{settled:?}");
    assert_same(&before, &world.snapshot());
}
