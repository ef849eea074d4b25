//! What an agent puts in the place of a file that is read, and that no one could read to its end: named pipes, and files
//! of petabytes. Its session ends all the same, and nothing else waits for it.

use rustix::process::Signal;

use crate::helpers::agents::{COMMITS, DOES_NOTHING};
use crate::helpers::session::wait_until_supervisors_left;
use crate::helpers::{Repo, Sandbox, ScriptedPi, Session};

/// Puts a named pipe in the place of a file of the repository's, or of the worktree's own.
fn pipe_at(place: &str) -> String {
    let common = "common=$(git rev-parse --path-format=absolute --git-common-dir); own=$(git rev-parse --absolute-git-dir)";
    format!("commit; {common}; f={place}; mkdir -p \"${{f%/*}}\"; rm -f \"$f\"; mkfifo \"$f\"")
}

const BRANCH: &str = "$common/refs/heads/ralph/T-1";

/// Every command that looks at a lane comes back, and so does a session of another one.
#[track_caller]
fn assert_no_one_waits(repo: &Repo<'_>, pi: &ScriptedPi, place: &str) {
    // Its own git would wait for the pipe.
    pi.plays_for("T-1", DOES_NOTHING);
    for words in [
        &["list", "--dirty"][..],
        &["inspect", "T-1"],
        &["recover"],
        &["dispatch", "T-1", "--wait"],
        &["remove", "T-1"],
        &["merge", "T-1"],
        &["gc"],
    ] {
        let finished = repo.worktree(words).run();
        assert!(matches!(finished.code, Some(0 | 1 | 3..=6)), "{place}: {finished}");
    }
    pi.plays_for("T-2", COMMITS);
    drop(repo.worktree(&["dispatch", "T-2", "--wait"]).run());
}

#[test]
fn row_58_an_agent_that_makes_its_branch_a_named_pipe_has_failed_and_no_one_waits_for_it() {
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    pi.plays(&format!("{}; answer", pipe_at(BRANCH)));
    let manifest = repo.finish("T-1", &[]);
    assert_eq!(manifest["outcome"], "failed", "{manifest:#}");
    let reason = manifest["reason"].as_str().unwrap();
    assert!(reason.contains("refs/heads/ralph/T-1") && reason.contains("a named pipe"), "{reason}");
    assert_no_one_waits(&repo, &pi, BRANCH);
    pi.plays_for("T-3", COMMITS);
    assert_eq!(repo.finish("T-3", &[])["outcome"], "succeeded");
    // Nor does a merge of another lane, whatever leads to that pipe.
    repo.write(".git/refs/heads/second", "ref: refs/heads/ralph/T-1\n");
    std::os::unix::fs::symlink("ralph/T-1", repo.path().join(".git/refs/heads/third")).unwrap();
    drop(repo.worktree(&["merge", "T-3"]).run().ok());
}

#[test]
fn row_58_a_session_whose_branch_is_a_named_pipe_is_settled_by_who_finds_it_dead() {
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    pi.plays(&format!("{}; here; forever", pipe_at(BRANCH)));
    let session = Session::dispatch(&repo, "T-1", &[]);
    pi.wait_here("T-1");
    session.supervisor().signal(Signal::KILL);
    wait_until_supervisors_left(&sandbox, &repo);
    pi.plays_for("T-2", COMMITS);
    assert_eq!(repo.finish("T-2", &[])["outcome"], "succeeded");
    assert_eq!(session.ended()["outcome"], "lost");
}

#[test]
fn row_58_a_session_ends_whatever_its_agent_made_a_named_pipe() {
    for place in [
        "$common/packed-refs",
        "$common/HEAD",
        "$common/config",
        "$common/shallow",
        "$common/info/grafts",
        "$common/objects/info/alternates",
        "$common/logs/HEAD",
        "$own/HEAD",
        "$own/index",
        "$own/config.worktree",
        "$own/commondir",
        "$own/gitdir",
    ] {
        let sandbox = Sandbox::new();
        let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
        pi.plays_for("T-1", &format!("{}; echo left >left", pipe_at(place)));
        let session = Session::dispatch(&repo, "T-1", &[]);
        session.ended();
        assert_no_one_waits(&repo, &pi, place);
    }
}

/// The session file becomes one of terabytes, all of them zeros.
const ENDLESS_RECORD: &str = "commit; answer; dd if=/dev/null of=\"$session\" bs=1 seek=8T 2>/dev/null";

#[test]
fn row_54_a_session_whose_agent_made_its_record_endless_ends() {
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    pi.plays_on("T-1", 1, ENDLESS_RECORD);
    pi.plays_on("T-1", 2, COMMITS);
    let manifest = repo.finish("T-1", &[]);
    assert_eq!(manifest["outcome"], "failed", "{manifest:#}");
    let reason = manifest["reason"].as_str().unwrap();
    assert!(reason.contains("no session's record is so long"), "{reason}");
    assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
    drop(repo.worktree(&["logs", "T-1"]).run().ok());
}

#[test]
fn row_54_a_batch_that_watches_such_a_record_goes_on() {
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    pi.plays_for("T-1", &format!("{ENDLESS_RECORD}; here; wait_for_go"));
    pi.plays_for("T-2", "commit; answer; here; wait_for_go");
    let batch = repo.worktree(&["batch", "--stagger", "0s", "-j", "2", "T-1", "T-2", "--json"]).spawn();
    pi.wait_here("T-1");
    pi.wait_here("T-2");
    pi.go("T-2");
    batch.wait_for("ended");
    pi.go("T-1");
    let ended = batch.wait();
    assert_eq!(ended.code, Some(1), "{ended}");
}
