//! A creation that is killed at any point is completed by the next one.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::fixture::{Fixture, PATIENCE, lane_lock, present, program};
use crate::git::{Files, Located, Repo, create, finish, locate, write_files};

const INSIDE: &str = "RALPH_TEST_CRASH";
const NAME: &str = "git::tests::crashes::a_creation_that_was_killed_anywhere_is_completed_by_the_next";

/// What is left of a reference's lock by who was killed while making the branch `ralph/t-1` at HEAD.
fn left_locked(fixture: &Fixture, content: &str) -> PathBuf {
    let head = fixture.git("repo", &["rev-parse", "HEAD"]);
    fixture.write("repo/.git/ralph/writing-ref", format!("refs/heads/ralph/t-1\n{head}\n"));
    fixture.write("repo/.git/refs/heads/ralph/t-1.lock", content);
    fixture.path("repo/.git/refs/heads/ralph/t-1.lock")
}

#[test]
fn a_folder_in_the_place_of_the_note_is_kept_aside_and_in_no_ones_way() {
    let fixture = Fixture::new();
    fixture.write("repo/.git/ralph/writing-ref/inner", "kept");
    fixture.dispatch(&fixture.repo(), &fixture.site("t-1"));
    let store = fixture.path("repo/.git/ralph");
    assert!(!store.join("writing-ref").exists());
    let names = fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let aside: Vec<PathBuf> = names.filter(|path| path.join("inner").exists()).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
}

#[test]
fn a_lock_that_a_killed_writer_of_a_branch_left_is_taken_away_and_no_other() {
    let whole = |fixture: &Fixture| fixture.git("repo", &["rev-parse", "HEAD"]) + "\n";
    for part in [0, 7, 41] {
        let fixture = Fixture::new();
        let lock = left_locked(&fixture, &whole(&fixture)[..part]);
        fixture.dispatch(&fixture.repo(), &fixture.site("t-1"));
        assert!(!lock.exists() && !fixture.path("repo/.git/ralph/writing-ref").exists());
        fixture.git("repo.ralph/t-1", &["commit", "-q", "--allow-empty", "-m", "work"]);
    }
    // Someone else's: of another content, of another branch, made before or much later.
    for case in ["content", "branch", "before", "later", "unnoted"] {
        let fixture = Fixture::new();
        let lock = left_locked(&fixture, &whole(&fixture));
        let note = fixture.path("repo/.git/ralph/writing-ref");
        let moved = |by: i64| {
            let now = fs::metadata(&note).unwrap().modified().unwrap();
            let by_seconds = Duration::from_secs(by.unsigned_abs());
            let date = if by < 0 { now - by_seconds } else { now + by_seconds };
            fs::File::options().write(true).open(&lock).unwrap().set_modified(date).unwrap();
        };
        match case {
            "content" => fs::write(&lock, "ref: refs/heads/main\n").unwrap(),
            "branch" => fs::write(&note, "refs/heads/ralph/../t-1\n").unwrap(),
            "before" => moved(-1),
            "later" => moved(60),
            _ => fs::remove_file(&note).unwrap(),
        }
        let repo = fixture.repo();
        let guard = repo.lock(PATIENCE).unwrap();
        let base = repo.head_base().unwrap();
        let error = create(&repo, &guard, &fixture.site("t-1"), &base, "ralph test").unwrap_err();
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains(&format!("rm {}", lock.display())), "{case}: {error}: {hint}");
        assert!(lock.exists() && !note.exists(), "{case}");
    }
}

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
