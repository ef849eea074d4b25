//! What changed outside a session's worktree while its agent ran is noted after its end, and decides nothing.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::lanes::text;
use crate::helpers::schema::assert_manifest;
use crate::helpers::{Finished, Repo, Running, Sandbox, ScriptedPi, Session, wait};

/// A repository whose agents know where it is: `$MAIN`.
fn scene(sandbox: &Sandbox) -> (Repo<'_>, ScriptedPi) {
    let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
    sandbox.set_env("MAIN", sandbox.work().join("app"));
    (repo, pi)
}

/// What was noted of a session, kind and words, once its supervisor has gone.
fn leaks(sandbox: &Sandbox, session: &Session) -> Vec<(String, String)> {
    sandbox.wait_until_quiet();
    let manifest = session.manifest();
    assert_manifest(&manifest);
    let leaks = manifest["leaks"].as_array().into_iter().flatten();
    leaks.map(|leak| (text(&leak["kind"]).to_owned(), text(&leak["what"]).to_owned())).collect()
}

/// Plays one session of `T-1` and says what was noted.
fn leaks_of(sandbox: &Sandbox, repo: &Repo<'_>, pi: &ScriptedPi, play: &str) -> Vec<(String, String)> {
    pi.plays_for("T-1", &format!("commit; {play}; answer"));
    assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
    let session = Session::all(repo).pop().unwrap();
    let leaks = leaks(sandbox, &session);
    assert_eq!(fs::read(session.view()).unwrap(), fs::read(session.manifest_file()).unwrap());
    assert_eq!(fs::read_to_string(session.dir.join("supervisor.log")).unwrap_or_default(), "");
    leaks
}

/// A command that has come to this point, and waits there.
fn stopped(sandbox: &Sandbox, repo: &Repo<'_>, command: &[&str], point: &str) -> Running {
    let spec = format!("{point}:wait={}", sandbox.path(point).display());
    let running = repo.worktree(command).env("RALPH_FAILPOINT", spec).spawn();
    wait::until(point, || sandbox.path(format!("{point}.waiting")).exists().then_some(()));
    running
}

/// Lets it go on to its end.
fn go_on(sandbox: &Sandbox, point: &str, running: Running) -> Finished {
    sandbox.write(point, "");
    running.wait()
}

fn expected(leaks: &[(&str, &str)]) -> Vec<(String, String)> {
    leaks.iter().map(|(kind, what)| ((*kind).to_owned(), (*what).to_owned())).collect()
}

#[test]
fn an_agent_that_keeps_to_its_worktree_leaves_nothing_to_note() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    repo.create(&["T-2"]);
    assert_eq!(leaks_of(&sandbox, &repo, &pi, "git status >/dev/null; echo new >new.txt; rm new.txt"), []);
    assert_eq!(repo.lanes()[0]["leaks"], json!([]));
}

#[test]
fn the_last_thing_that_an_agent_does_is_noted() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-1", "commit; answer; echo x >\"$MAIN/x.txt\"");
    assert_eq!(repo.finish("T-1", &[])["outcome"], "succeeded");
    assert_eq!(leaks(&sandbox, &Session::only(&repo)), expected(&[("main_checkout", "x.txt is new")]));
}

#[test]
fn what_is_done_after_the_end_is_no_leak() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    repo.create(&["T-2"]);
    pi.plays_for("T-1", "commit; echo x >\"$MAIN/x.txt\"; answer");
    let go = sandbox.path("go");
    let dispatch = repo.ralph(&["worktree", "dispatch", "T-1", "--wait", "--json"]);
    let point = format!("supervise.released:wait={}", go.display());
    drop(dispatch.env("RALPH_FAILPOINT", point).run().ok());
    let session = Session::only(&repo);
    // Whoever is as fast as the file system's clock is taken for the agent.
    let ctime = |path: &Path| fs::metadata(path).map(|meta| (meta.ctime(), meta.ctime_nsec())).unwrap();
    let tick = sandbox.path("tick");
    wait::until("the file system's clock to tick", || {
        fs::write(&tick, "").unwrap();
        (ctime(&tick) > ctime(&session.manifest_file())).then_some(())
    });
    repo.write("README.md", "edited\n");
    repo.write("y.txt", "new\n");
    repo.git(&["branch", "mine"]);
    repo.git(&["switch", "-q", "mine"]);
    repo.git(&["update-ref", "refs/heads/ralph/T-2", "ralph/T-1"]);
    fs::write(&go, "").unwrap();
    assert_eq!(leaks(&sandbox, &session), expected(&[("main_checkout", "x.txt is new")]));
}

#[test]
fn settings_and_hooks_that_changed_meanwhile_are_noted() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    let play = "git config core.fsmonitor evil; git config alias.st '!evil'; git config branch.x.remote r; printf '#!/bin/sh\\n' >\"$MAIN/.git/hooks/post-merge\"";
    let all = [
        ("config", "the setting core.fsmonitor was added"),
        ("config", "the setting alias.st was added"),
        ("hook", "the hook post-merge was added"),
    ];
    assert_eq!(leaks_of(&sandbox, &repo, &pi, play), expected(&all));
    // What an earlier session changed is not the later one's doing.
    assert_eq!(
        leaks_of(&sandbox, &repo, &pi, "git config core.fsmonitor no"),
        expected(&[("config", "the setting core.fsmonitor was changed")])
    );
}

#[test]
fn branches_that_are_no_live_sessions_own_are_noted_when_they_change() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    for branch in ["kept", "old", "packed"] {
        repo.git(&["branch", branch]);
    }
    repo.git(&["pack-refs", "--all"]);
    repo.create(&["T-2"]);
    let play = "git branch feature/x; git branch -D old; git update-ref refs/heads/packed HEAD;
        git update-ref refs/heads/ralph/T-2 HEAD";
    let all = [
        ("branch", "feature/x was made"),
        ("branch", "old was deleted"),
        ("branch", "packed was moved"),
        ("branch", "ralph/T-2 was moved"),
    ];
    assert_eq!(leaks_of(&sandbox, &repo, &pi, play), expected(&all));
    // The housekeeping that git does by itself moves nothing.
    assert_eq!(
        leaks_of(&sandbox, &repo, &pi, "git pack-refs --all; git reflog expire --expire=now --all"),
        []
    );
    let play = "git update-ref refs/heads/ralph/T-2 HEAD~1; git update-ref -d refs/heads/feature/x";
    let all = [("branch", "feature/x was deleted"), ("branch", "ralph/T-2 was moved")];
    assert_eq!(leaks_of(&sandbox, &repo, &pi, play), expected(&all));
}

#[test]
fn of_more_branches_than_are_compared_none_is_noted_and_all_else_is() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    for number in 0..250 {
        fs::write(
            repo.common_dir().join(format!("refs/heads/b-{number}")),
            repo.git(&["rev-parse", "HEAD"]) + "\n",
        )
        .unwrap();
    }
    let play = "git update-ref refs/heads/b-7 HEAD; echo x >\"$MAIN/x.txt\"";
    assert_eq!(leaks_of(&sandbox, &repo, &pi, play), expected(&[("main_checkout", "x.txt is new")]));
    assert!(repo.git(&["pack-refs", "--all"]).is_empty());
    for number in 0..100 {
        repo.git(&["branch", "-q", "-D", &format!("b-{}", 100 + number)]);
    }
    let play = "git update-ref refs/heads/b-8 HEAD";
    assert_eq!(leaks_of(&sandbox, &repo, &pi, play), expected(&[("branch", "b-8 was moved")]));
}

#[test]
fn who_wants_a_lane_while_something_is_noted_of_its_session_is_not_told_that_it_runs() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-1", "commit; git branch feature; answer");
    let go = sandbox.path("go");
    let dispatch = repo.ralph(&["worktree", "dispatch", "T-1", "--wait", "--json"]);
    let noting = format!("supervise.noting:wait={}", go.display());
    drop(dispatch.env("RALPH_FAILPOINT", noting).run().ok());
    let waiting = sandbox.path("go.waiting");
    wait::until("the note to be written", || waiting.exists().then_some(()));
    let removal = repo.worktree(&["remove", "T-1", "--json"]);
    let seen = sandbox.path("seen");
    let removal = removal.env("RALPH_FAILPOINT", format!("store.probed:wait={}", seen.display())).spawn();
    let waiting = sandbox.path("seen.waiting");
    wait::until("the removal to see that the session is held", || waiting.exists().then_some(()));
    fs::write(&go, "").unwrap();
    fs::write(&seen, "").unwrap();
    drop(removal.wait().ok());
}

#[test]
fn what_another_session_did_to_its_own_branch_and_a_merge_of_it_are_no_leaks() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-1", "commit; here; wait_for_go; answer");
    pi.plays_for("T-2", "commit; here; wait_for_go; answer");
    pi.plays_for("T-3", NEVER_ENDS);
    repo.finish("T-4", &[]);
    repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    // One that ran meanwhile and was merged, one that runs still, one that was made, one that was removed.
    repo.dispatch(&["T-2"]);
    pi.wait_here("T-2");
    repo.dispatch(&["T-3"]);
    pi.wait_here("T-3");
    repo.create(&["X-1", "--no-ticket"]);
    drop(repo.worktree(&["remove", "T-4"]).run().ok());
    pi.go("T-2");
    let second = Session::all(&repo).remove(2);
    assert_eq!(second.ended()["outcome"], "succeeded");
    drop(repo.worktree(&["merge", "T-2"]).run().ok());
    assert_eq!(repo.read("work-T-2.txt"), "work on T-2, attempt 1\n");
    pi.go("T-1");
    let first = Session::all(&repo).remove(1);
    assert_eq!(first.ended()["outcome"], "succeeded");
    drop(repo.worktree(&["stop", "T-3"]).run().ok());
    assert_eq!(leaks(&sandbox, &first), []);
}

#[test]
fn the_branch_of_a_lane_whose_files_are_still_being_written_is_no_leak() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-1", "commit; here; wait_for_go; answer");
    repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    let point = format!("prepare.registered:wait={}", sandbox.path("go").display());
    let made = repo.worktree(&["create", "T-2"]).env("RALPH_FAILPOINT", point).spawn();
    wait::until("a branch without files", || sandbox.path("go.waiting").exists().then_some(()));
    assert!(repo.branches().contains(&"ralph/T-2".to_owned()));
    pi.go("T-1");
    let first = Session::only(&repo);
    assert_eq!(first.ended()["outcome"], "succeeded");
    wait::until("the supervisor's end", || {
        let alive = sandbox.processes();
        alive.iter().all(|process| !process.command.contains("__supervise")).then_some(())
    });
    assert!(first.manifest()["leaks"].as_array().is_none_or(Vec::is_empty), "{:#}", first.manifest());
    sandbox.write("go", "");
    drop(made.wait().ok());
}

#[test]
fn files_that_a_merge_brings_after_it_has_moved_the_branch_are_no_leaks() {
    let play =
        "commit; rm \"$MAIN/.tickets/T-3.md\"; here; wait_for_go; echo x >>\"$MAIN/README.md\"; answer";
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-4", COMMITS);
    repo.finish("T-4", &[]);
    sandbox.wait_until_quiet();
    let merging = stopped(&sandbox, &repo, &["merge", "T-4"], "merge.landed");
    pi.plays_for("T-1", play);
    repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    drop(go_on(&sandbox, "merge.landed", merging).ok());
    assert_eq!(repo.read("work-T-4.txt"), "work on T-4, attempt 1\n");
    pi.go("T-1");
    let session = Session::all(&repo).pop().unwrap();
    assert_eq!(session.ended()["outcome"], "succeeded");
    assert_eq!(leaks(&sandbox, &session), expected(&[("main_checkout", "README.md was written")]));
}

#[test]
fn nor_are_those_of_a_merge_that_moved_the_branch_while_the_session_was_being_prepared() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-4", COMMITS);
    repo.finish("T-4", &[]);
    sandbox.wait_until_quiet();
    pi.plays_for("T-1", "commit; here; wait_for_go; answer");
    let dispatching = stopped(&sandbox, &repo, &["dispatch", "T-1"], "dispatch.looked");
    let merging = stopped(&sandbox, &repo, &["merge", "T-4"], "merge.landed");
    drop(go_on(&sandbox, "dispatch.looked", dispatching).ok());
    pi.wait_here("T-1");
    drop(go_on(&sandbox, "merge.landed", merging).ok());
    pi.go("T-1");
    let session = Session::all(&repo).pop().unwrap();
    assert_eq!(session.ended()["outcome"], "succeeded");
    assert_eq!(leaks(&sandbox, &session), []);
}

#[test]
fn files_that_a_merge_is_still_writing_when_a_session_ends_are_no_leaks() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    // git writes those files in the order of their names, and its index at the end.
    let begun = sandbox.write("begun", "");
    fs::remove_file(&begun).unwrap();
    let wait = format!("touch {0}; while ! test -e {0}.go; do sleep 0.01; done", begun.display());
    let smudge = format!("cat; if test %f = z.txt; then {wait}; fi");
    repo.commit_file(".gitattributes", "?.txt filter=slow\n", "Attributes");
    repo.git(&["config", "filter.slow.smudge", &smudge]);
    pi.plays_for("T-4", "echo a >a.txt; echo z >z.txt; git add -A; git commit -qm 'T-4: done'; answer");
    repo.finish("T-4", &[]);
    sandbox.wait_until_quiet();
    pi.plays_for("T-1", "commit; here; wait_for_go; answer");
    let awaited = sandbox.path("awaited");
    let point = format!("merge.awaited:wait={}", awaited.display());
    drop(repo.worktree(&["dispatch", "T-1"]).env("RALPH_FAILPOINT", point).run().ok());
    pi.wait_here("T-1");
    let merging = repo.worktree(&["merge", "T-4"]).spawn();
    wait::until("git to write the last file", || begun.exists().then_some(()));
    assert_eq!(repo.read("a.txt"), "a\n");
    pi.go("T-1");
    wait::until("the merge to be awaited", || sandbox.path("awaited.waiting").exists().then_some(()));
    sandbox.write("begun.go", "");
    drop(merging.wait().ok());
    fs::write(&awaited, "").unwrap();
    let session = Session::all(&repo).pop().unwrap();
    assert_eq!(session.ended()["outcome"], "succeeded");
    assert_eq!(leaks(&sandbox, &session), []);
}

#[test]
fn entries_of_merges_that_were_killed_or_cannot_be_read_hide_nothing() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-4", COMMITS);
    repo.finish("T-4", &[]);
    sandbox.wait_until_quiet();
    let queue = repo.store().join("queue");
    fs::create_dir_all(queue.join("01a217d8-ac5b-730d-a18b-96bdd6e67c90.json")).unwrap();
    let entry = json!({ "stage": { "at": "landing", "target": "main" } }).to_string();
    fs::write(queue.join("01a217d8-ac5b-730d-a18b-96bdd6e67c91.json"), &entry[1..]).unwrap();
    fs::write(queue.join("main.json"), entry).unwrap();
    pi.plays_for(
        "T-1",
        "commit; rm \"$MAIN/.tickets/T-3.md\"; here; wait_for_go; echo x >>\"$MAIN/README.md\"; answer",
    );
    repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    pi.go("T-1");
    let session = Session::all(&repo).pop().unwrap();
    assert_eq!(session.ended()["outcome"], "succeeded");
    let both = [("main_checkout", ".tickets/T-3.md was deleted"), ("main_checkout", "README.md was written")];
    assert_eq!(leaks(&sandbox, &session), expected(&both));
    repo.git(&["checkout", "-q", "."]);
    pi.plays_for("T-2", "commit; here; wait_for_go; echo x >>\"$MAIN/README.md\"; answer");
    repo.dispatch(&["T-2"]);
    pi.wait_here("T-2");
    let killed = repo.worktree(&["merge", "T-4"]).env("RALPH_FAILPOINT", "merge.landed:kill").run();
    assert_eq!(killed.signal, Some(9), "{killed}");
    pi.go("T-2");
    let session = Session::all(&repo).pop().unwrap();
    assert_eq!(session.ended()["outcome"], "succeeded");
    assert_eq!(leaks(&sandbox, &session), expected(&both[1..]));
}

#[test]
fn what_was_written_in_the_main_checkout_is_noted() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    repo.commit_file(".gitignore", "*.log\nbuild/\n", "Ignore");
    repo.commit_file("src/a.txt", "a\n", "A");
    repo.commit_file("src/b.txt", "b\n", "B");
    // What the user had changed before is no one's leak.
    repo.write("src/b.txt", "mine\n");
    repo.write("mine.txt", "mine\n");
    let play = "echo x >>\"$MAIN/README.md\"; rm \"$MAIN/src/a.txt\"; echo n >\"$MAIN/src/n.txt\";
        mkdir \"$MAIN/build\"; echo l >\"$MAIN/x.log\"; echo o >\"$MAIN/build/o\"";
    let all = [
        ("main_checkout", "README.md was written"),
        ("main_checkout", "src/a.txt was deleted"),
        ("main_checkout", "src/n.txt is new"),
    ];
    assert_eq!(leaks_of(&sandbox, &repo, &pi, play), expected(&all));
    assert_eq!(leaks_of(&sandbox, &repo, &pi, ":"), []);
    let discards = "git -C \"$MAIN\" checkout -q -- src/b.txt; git -C \"$MAIN\" switch -q -c theirs";
    let all = [
        ("branch", "theirs was made"),
        ("main_checkout", "it had branch main checked out, and has branch theirs"),
    ];
    assert_eq!(leaks_of(&sandbox, &repo, &pi, discards), expected(&all));
    repo.git(&["switch", "-q", "main"]);
    repo.git(&["checkout", "-q", "--", "src/a.txt"]);
    repo.write("src/b.txt", "mine again\n");
    let discards = "git -C \"$MAIN\" checkout -q -- src/b.txt";
    assert_eq!(
        leaks_of(&sandbox, &repo, &pi, discards),
        expected(&[("main_checkout", "src/b.txt was written")])
    );
}

#[test]
fn what_was_written_in_the_worktree_of_an_idle_lane_is_noted_and_shown() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    let idle = repo.create(&["T-2"]);
    sandbox.set_env("IDLE", text(&idle["worktree"]));
    let noted = leaks_of(&sandbox, &repo, &pi, "echo x >>\"$IDLE/README.md\"; echo y >\"$IDLE/y.txt\"");
    let all = [("worktree", "T-2: README.md was written"), ("worktree", "T-2: y.txt is new")];
    assert_eq!(noted, expected(&all));
    let listed = repo.worktree(&["list"]).run().ok().stdout;
    assert!(
        listed.contains("meanwhile, elsewhere: in the worktree of T-2: README.md was written (and 1 more)"),
        "{listed}"
    );
    assert_eq!(repo.lanes()[0]["leaks"].as_array().unwrap().len(), 2);
    let shown = repo.worktree(&["inspect", "T-1"]).run().ok().stdout;
    assert!(shown.contains("in the worktree of T-2: y.txt is new"), "{shown}");
    // A later session of the lane itself may do there what it likes.
    pi.plays_for("T-2", "commit README.md; answer");
    repo.finish("T-2", &[]);
    assert_eq!(leaks_of(&sandbox, &repo, &pi, ":"), []);
}

#[test]
fn no_one_waits_for_it_and_a_session_that_is_killed_there_has_ended() {
    let sandbox = Sandbox::new();
    let (repo, pi) = scene(&sandbox);
    pi.plays_for("T-1", "commit; git branch feature; answer");
    let go = sandbox.path("go");
    let dispatch = repo.ralph(&["worktree", "dispatch", "T-1", "--wait", "--json"]);
    let point = format!("supervise.released:wait={}", go.display());
    let manifest = dispatch.env("RALPH_FAILPOINT", point).run().ok().json();
    assert_eq!((&manifest["outcome"], &manifest["leaks"]), (&json!("succeeded"), &Value::Null));
    let session = Session::only(&repo);
    assert!(!session.is_held());
    // The lane is free for the next session, which is not disturbed by what is noted of this one.
    pi.plays_for("T-1", NEVER_ENDS);
    let next = repo.dispatch(&["T-1"]);
    pi.wait_here("T-1");
    fs::write(&go, "").unwrap();
    wait::until("what is noted", || (session.manifest()["leaks"].is_array()).then_some(()));
    let shown: Value = serde_json::from_slice(&fs::read(session.view()).unwrap()).unwrap();
    assert_eq!(shown["session_id"], next["session_id"]);
    drop(repo.worktree(&["stop", "T-1"]).run().ok());

    pi.plays_for("T-2", COMMITS);
    let dispatch = repo.ralph(&["worktree", "dispatch", "T-2", "--wait", "--json"]);
    let manifest = dispatch.env("RALPH_FAILPOINT", "supervise.released:kill").run().ok().json();
    assert_eq!(manifest["outcome"], "succeeded");
    sandbox.wait_until_quiet();
    assert_eq!(repo.recover(), Vec::<Value>::new());
}
