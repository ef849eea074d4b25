//! A creation that is killed at any point is completed by the next one.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::fixture::{Fixture, PATIENCE, lane_lock, present, program};
use crate::git::{Files, Located, Repo, create, finish, locate, write_files};

const INSIDE: &str = "RALPH_TEST_CRASH";
const NAME: &str = "git::tests::crashes::a_creation_that_was_killed_anywhere_is_completed_by_the_next";

#[test]
fn a_creation_that_was_killed_anywhere_is_completed_by_the_next() {
    if let Ok(folder) = std::env::var(INSIDE) {
        let fixture = Fixture::at(folder.into());
        fixture.dispatch(&fixture.repo(), &fixture.site("t-1"));
        return;
    }
    for point in ["git.branch", "git.aside", "git.registered", "git.linked", "git.checked_out"] {
        for from in ["repo", "sparse"] {
            let fixture = Fixture::new();
            if from == "sparse" {
                fixture.git("repo", &["sparse-checkout", "set", "src"]);
            }
            let status = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", NAME])
                .env(INSIDE, &fixture.root)
                .env("RALPH_FAILPOINT", format!("{point}:kill"))
                .output()
                .unwrap()
                .status;
            let killed = status.signal() == Some(9);
            assert!(
                killed || (from == "sparse" && matches!(point, "git.aside" | "git.linked")),
                "{point}: {status}"
            );
            complete(&fixture.repo(), &fixture);
            assert_eq!(
                fixture.git("repo.ralph/t-1", &["status", "--porcelain", "-b"]),
                "## ralph/t-1",
                "{point}"
            );
        }
    }
}

/// What a dispatch does with whatever it finds.
fn complete(repo: &Repo, fixture: &Fixture) {
    let site = fixture.site("t-1");
    let guard = repo.lock(PATIENCE).unwrap();
    match locate(repo, &site).unwrap() {
        Located::New | Located::BranchOnly { .. } => {
            let created = create(repo, &guard, &site, &repo.head_base().unwrap(), "ralph test").unwrap();
            write_files(repo, &created, &lane_lock(&site)).unwrap();
        }
        Located::Present(worktree) if worktree.files == Files::Unfinished => {
            finish(repo, &worktree, &lane_lock(&site)).unwrap();
        }
        Located::Present(_) => {}
        Located::Missing(missing) => panic!("{missing:?}"),
    }
    assert_eq!(present(&Repo::open_with(&site.path, program()).unwrap(), &site).files, Files::Complete);
}
