//! Many at once.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::fixture::{Fixture, listing, present};
use crate::git::Files;

const LANES: usize = 64;

#[test]
fn sixty_four_lanes_at_the_same_moment_get_sixty_four_worktrees() {
    let fixture = Fixture::new();
    let start = Barrier::new(LANES);
    thread::scope(|scope| {
        for n in 0..LANES {
            let (fixture, start) = (&fixture, &start);
            scope.spawn(move || {
                start.wait();
                fixture.dispatch(&fixture.repo(), &fixture.site(&format!("t{n}")));
            });
        }
    });
    let repo = fixture.repo();
    for n in 0..LANES {
        assert_eq!(present(&repo, &fixture.site(&format!("t{n}"))).files, Files::Complete);
    }
    assert_eq!(fixture.git("repo", &["branch", "--list", "ralph/*"]).lines().count(), LANES);
    assert_eq!(fixture.git("repo", &["worktree", "list"]).lines().count(), LANES + 1);
}

#[test]
fn lanes_of_one_base_that_are_written_at_the_same_moment_are_each_whole() {
    let fixture = Fixture::new();
    for file in 0..700 {
        fixture.write(&format!("repo/f{}/{file}", file / 20), format!("content {file}\n"));
    }
    fixture.commit_all("repo", "many");
    let start = Barrier::new(6);
    thread::scope(|scope| {
        for n in 0..6 {
            let (fixture, start) = (&fixture, &start);
            scope.spawn(move || {
                let repo = fixture.repo();
                start.wait();
                fixture.dispatch(&repo, &fixture.site(&format!("t{n}")));
            });
        }
    });
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "../theirs"]);
    for n in 0..6 {
        let lane = format!("repo.ralph/t{n}");
        assert_eq!(listing(&fixture.path(&lane)), listing(&fixture.path("theirs")));
        assert_eq!(fixture.git(&lane, &["diff-files"]), "");
        assert_eq!(fixture.git(&lane, &["status", "--porcelain"]), "");
    }
}

#[test]
fn pruning_in_a_loop_takes_no_worktree_away() {
    let fixture = Fixture::new();
    // One that git itself registers, and so has moments at which it can be pruned.
    fixture.git(".", &["clone", "-q", "repo", "sparse"]);
    fixture.git("sparse", &["sparse-checkout", "set", "src"]);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for from in ["repo", "sparse"] {
            let (fixture, over) = (&fixture, &over);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // It fails where the folder of the registrations goes under it: that is part of the disturbance.
                    drop(fixture.command(from, &["worktree", "prune", "--expire=now"]).output());
                }
            });
        }
        let made = thread::scope(|scope| {
            let threads = ["repo", "sparse"].map(|from| {
                let fixture = &fixture;
                scope.spawn(move || {
                    for n in 0..20 {
                        let site = crate::git::Site {
                            path: fixture.path(&format!("{from}.ralph/t{n}")),
                            ..fixture.site(&format!("t{n}"))
                        };
                        let repo = fixture.open(from);
                        fixture.dispatch(&repo, &site);
                        present(&repo, &site);
                    }
                })
            });
            threads.map(|thread| thread.join().is_ok())
        });
        over.store(true, Ordering::Relaxed);
        assert_eq!(made, [true, true]);
    });
}
