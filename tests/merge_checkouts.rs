//! A merge disturbs no one's checkout: what a user has there stays, the rest follows as git would write it, and what can be
//! written only in part is taken back (row 74 of the catalogue of faults).

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::helpers::lanes::text;
use crate::helpers::merging::Scene;
use crate::helpers::{Sandbox, wait};

#[test]
fn row_74_what_the_user_has_in_the_checkout_stays_and_is_never_overwritten() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "printf 'theirs\\n' >README.md; printf 'x\\n' >new.txt; git add new.txt; commit README.md; answer",
    );
    let repo = &scene.repo;
    let clean = |scene: &Scene<'_>| {
        scene.repo.git(&["reset", "-q", "--hard"]);
        scene.repo.git(&["clean", "-q", "-fdx"]);
    };
    // What the merge touches is in the way, in whatever form: edited, staged, deleted, new, ignored, hidden.
    repo.write("README.md", "mine\n");
    scene.refused(&[], &["it is checked out in", "README.md holds what no commit has"]);
    repo.git(&["add", "README.md"]);
    scene.refused(&[], &["README.md"]);
    clean(&scene);
    fs::remove_file(repo.path().join("README.md")).unwrap();
    scene.refused(&[], &["README.md"]);
    clean(&scene);
    repo.write("new.txt", "mine\n");
    scene.refused(&[], &["new.txt"]);
    repo.write(".git/info/exclude", "new.txt\n");
    let error = scene.refused(&[], &["new.txt"]);
    assert!(text(&error["hint"]).contains("git stash"), "{error}");
    clean(&scene);
    repo.write("new.txt/inner", "mine\n");
    scene.refused(&[], &["new.txt/inner"]);
    fs::remove_dir_all(repo.path().join("new.txt")).unwrap();
    repo.git(&["update-index", "--assume-unchanged", "README.md"]);
    repo.write("README.md", "mine\n");
    scene.refused(&[], &["README.md"]);
    repo.git(&["update-index", "--no-assume-unchanged", "README.md"]);
    clean(&scene);
    // All else stays as it is: edited, staged, new, ignored.
    repo.write(".pi/prompts/tf.md", "edited\n");
    repo.write("staged.txt", "staged\n");
    repo.git(&["add", "staged.txt"]);
    repo.write("staged.txt", "edited since\n");
    repo.write("untracked.txt", "untracked\n");
    let status = repo.status_porcelain();
    assert_eq!(status.len(), 3, "{status:?}");
    repo.merged(&["T-1"]);
    assert_eq!(repo.status_porcelain(), status);
    assert_eq!(repo.git(&["show", ":staged.txt"]), "staged");
    assert_eq!(
        (repo.read("README.md"), repo.read("new.txt")),
        ("theirs\nwork on T-1, attempt 1\n".into(), "x\n".into())
    );
}

#[test]
fn a_submodule_takes_the_place_of_no_file_or_link_that_no_commit_has() {
    let sandbox = Sandbox::new();
    let work = "for at in sub libs/x; do git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),$at; done; \
        git commit -qm work; answer";
    let scene = Scene::playing(&sandbox, work);
    let repo = &scene.repo;
    repo.write(".git/info/exclude", "sub\nlibs\n");
    let (sub, libs) = (repo.path().join("sub"), repo.path().join("libs"));
    repo.write("sub", "mine\n");
    scene.refused(&[], &["sub holds what no commit has"]);
    fs::remove_file(&sub).unwrap();
    symlink(sandbox.path("elsewhere"), &sub).unwrap();
    scene.refused(&[], &["sub holds what no commit has"]);
    fs::remove_file(&sub).unwrap();
    symlink(sandbox.work(), &libs).unwrap();
    scene.refused(&[], &["libs holds what no commit has"]);
    fs::remove_file(&libs).unwrap();
    // What is in a submodule's folder is left alone by git.
    repo.write("sub/inner", "mine\n");
    repo.merged(&["T-1"]);
    assert_eq!(repo.read("sub/inner"), "mine\n");
}

#[test]
fn row_74_every_worktree_that_has_the_target_checked_out_is_asked_and_follows() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let linked = repo.linked_worktree("linked", "next");
    linked.write("work-T-1.txt", "mine\n");
    let told = repo.merges(&["T-1", "--into", "next"]).expect_code(4).json();
    assert_eq!((&told["tree"], &told["files"]), (&json!(linked.path()), &json!(["work-T-1.txt"])));
    fs::remove_file(linked.path().join("work-T-1.txt")).unwrap();
    let merged = repo.merged(&["T-1", "--into", "next"]);
    assert_eq!(merged["trees"], json!([linked.path()]));
    assert_eq!(linked.read("work-T-1.txt"), "work on T-1, attempt 1\n");
    assert_eq!(linked.status_porcelain(), Vec::<String>::new());
}

#[test]
fn an_operation_that_is_open_is_not_walked_over() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.branch("other", "main");
    repo.commit_file("f", "main\n", "Main's");
    repo.git(&["switch", "-q", "other"]);
    repo.commit_file("f", "other\n", "Other's");
    repo.git(&["switch", "-q", "main"]);
    drop(repo.try_git(&["merge", "-q", "other"]));
    scene.refused(&[], &["a merge is open there"]);
    repo.git(&["merge", "--abort"]);
    drop(repo.try_git(&["rebase", "-q", "other"]));
    scene.refused(&[], &["it is being rebased there"]);
    repo.git(&["rebase", "--abort"]);
    repo.write(".git/index.lock", "");
    scene.refused(&[], &["index.lock"]);
    fs::remove_file(repo.path().join(".git/index.lock")).unwrap();
    // In the lane's own worktree too.
    let lane = scene.lane();
    lane.git(&["bisect", "start"]);
    let error = scene.refused(&[], &["a bisect is open in the worktree of T-1"]);
    assert!(text(&error["hint"]).contains("ralph worktree path T-1"), "{error}");
    lane.git(&["bisect", "reset"]);
    repo.merged(&["T-1"]);
}

#[test]
fn half_of_the_commits_that_an_agent_was_picking_is_not_merged() {
    let sandbox = Sandbox::new();
    let play = "git switch -qc side; echo a >a; git add a; git commit -qm a; echo b >b; git add b; git commit -qm b; \
                git switch -q ralph/T-1; echo c >a; git add a; git commit -qm c; \
                git cherry-pick side~1 side >/dev/null 2>&1 || :; git add a; git commit -qm resolved; answer";
    let scene = Scene::playing(&sandbox, play);
    scene.refused(&[], &["a cherry-pick is open in the worktree of T-1"]);
    scene.lane().git(&["-c", "core.editor=true", "cherry-pick", "--continue"]);
    scene.repo.merged(&["T-1"]);
    assert_eq!(scene.repo.read("b"), "b\n");
}

#[test]
fn a_ticket_that_differs_only_in_its_status_is_not_in_the_way() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "sed -i s/open/closed/ .tickets/T-1.md; printf 'Done.\\n' >>.tickets/T-1.md; commit .tickets/T-1.md; \
         printf 'Note.\\n' >>.tickets/T-2.md; git commit -qam note; answer",
    );
    let repo = &scene.repo;
    for ticket in ["T-1", "T-2", "T-3"] {
        let file = format!(".tickets/{ticket}.md");
        repo.write(&file, repo.read(&file).replace("open", "in_progress"));
    }
    repo.merged(&["T-1"]);
    let status = |ticket: &str| repo.read(format!(".tickets/{ticket}.md"));
    assert!(status("T-1").contains("status: closed") && status("T-1").contains("Done."), "{}", status("T-1"));
    assert!(
        status("T-2").contains("status: in_progress") && status("T-2").contains("Note."),
        "{}",
        status("T-2")
    );
    assert!(status("T-3").contains("status: in_progress"));
    assert_eq!(repo.status_porcelain(), [" M .tickets/T-2.md", " M .tickets/T-3.md"]);
    assert!(repo.git(&["diff"]).lines().filter(|line| line.starts_with('+')).count() == 4);
}

#[test]
fn an_edit_that_was_put_aside_is_there_again_where_the_checkout_could_not_follow() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "printf 'Note.\\n' >>.tickets/T-2.md; echo new >new.txt; git add -A; git commit -qm note; answer",
    );
    let repo = &scene.repo;
    let edited = repo.read(".tickets/T-2.md").replace("open", "in_progress");
    repo.write(".tickets/T-2.md", &edited);
    let before = repo.head();
    let go = sandbox.path("go");
    let point = format!("follow.ready:wait={}", go.display());
    let merge = repo.worktree(&["merge", "T-1"]).env("RALPH_FAILPOINT", point).spawn();
    wait::until("the edit to be put aside", || sandbox.path("go.waiting").exists().then_some(()));
    assert_ne!(repo.read(".tickets/T-2.md"), edited);
    repo.write("new.txt", "mine\n");
    fs::write(&go, "").unwrap();
    let refused = merge.wait();
    assert!(refused.stderr.contains("new.txt"), "{refused}");
    assert_eq!(repo.read(".tickets/T-2.md"), edited);
    assert_eq!((repo.head(), repo.read("new.txt")), (before, "mine\n".to_owned()));
    fs::remove_file(repo.path().join("new.txt")).unwrap();
    repo.merged(&["T-1"]);
    let merged = repo.read(".tickets/T-2.md");
    assert!(merged.contains("status: in_progress") && merged.contains("Note."), "{merged}");
}

#[test]
fn row_74_what_could_be_written_of_a_merge_only_in_part_is_taken_back() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    // A file that becomes a folder, and a folder that becomes a file.
    repo.commit_file("gone.txt", "will go\n", "More");
    repo.commit_file("folder/in", "will go\n", "More");
    // A filter of the user's that fails at the last file.
    repo.filter("new/3", "false");
    let work = "printf 'edited\\n' >>README.md; git rm -q -r gone.txt folder; mkdir gone.txt new; \
        echo x >gone.txt/in; echo x >folder; for i in 1 2 3; do echo $i >new/$i; done; \
        printf 'Note.\\n' >>.tickets/T-2.md; git add -A; git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    repo.finish("T-3", &[]);
    repo.write(".tickets/T-2.md", repo.read(".tickets/T-2.md").replace("open", "in_progress"));
    repo.write("untracked.txt", "untracked\n");
    let (before, status) = (repo.head(), repo.status_porcelain());
    let refused = repo.worktree(&["merge", "T-3"]).run();
    assert!(refused.stderr.contains("new/3"), "{refused}");
    assert_eq!((repo.head(), repo.status_porcelain()), (before, status));
    assert!(repo.read(".tickets/T-2.md").contains("in_progress"));
    assert_eq!((repo.read("gone.txt"), repo.read("folder/in")), ("will go\n".into(), "will go\n".into()));
    assert!(!repo.has("new"), "{:?}", fs::read_dir(repo.path().join("new")).unwrap().collect::<Vec<_>>());
    assert!(!repo.has(".git/index.lock") && !repo.has(".git/ralph.index"));
    repo.git(&["config", "filter.users.smudge", "cat"]);
    repo.merged(&["T-3", "--accept-changes"]);
    assert!(repo.has("new/3") && repo.has("gone.txt/in") && repo.read("folder") == "x\n");
}

#[test]
fn row_74_a_ticket_that_gave_way_is_there_again_where_the_checkout_could_not_follow() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    // The folder of tickets holds nothing else.
    repo.git(&["rm", "-q", "-r", ".tickets"]);
    repo.commit_all("No tickets");
    repo.filter("new/3", "false");
    repo.ticket("N-1", "Never committed");
    let mine = repo.read(".tickets/N-1.md");
    let work =
        "echo Done. >>.tickets/N-1.md; mkdir new; echo 3 >new/3; git add -A; git commit -qm work; answer";
    scene.pi.plays_for("N-1", work);
    repo.finish("N-1", &[]);
    let (before, status) = (repo.head(), repo.status_porcelain());
    assert_eq!(repo.worktree(&["merge", "N-1"]).run().code, Some(4));
    assert_eq!((repo.head(), repo.status_porcelain()), (before, status));
    assert_eq!(repo.read(".tickets/N-1.md"), mine);
}

#[test]
fn what_a_sparse_checkout_leaves_out_and_a_submodule_keep_nothing_from_being_taken_back() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    for sub in ["sub", "removed", "replaced"] {
        fs::create_dir(repo.path().join(sub)).unwrap();
        repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{},{sub}", repo.head())]);
    }
    repo.write("plain", "plain\n");
    repo.git(&["add", "plain"]);
    repo.commit_file("out/x", "x\n", "Out");
    repo.filter("z/3", "false");
    let work = "echo more >>out/x; echo more >>README.md; mkdir z; echo 3 >z/3; git add -A; \
        git rm -q --cached removed replaced plain; rm -r removed replaced plain; echo x >replaced; mkdir plain; \
        git add replaced; for sub in sub plain; do \
        git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),$sub; done; git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    repo.finish("T-3", &[]);
    repo.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/out/"]);
    let (before, status) = (repo.head(), repo.status_porcelain());
    let refused = repo.worktree(&["merge", "T-3", "--accept-changes"]).run();
    assert_eq!(refused.code, Some(4), "{refused}");
    assert_eq!((repo.head(), repo.status_porcelain()), (before, status));
    assert_eq!(repo.read("plain"), "plain\n");
    assert!(!repo.has("out") && !repo.has(".git/index.lock"));
    repo.filter("z/3", "cat");
    repo.merged(&["T-3", "--accept-changes"]);
    assert_eq!((repo.read("replaced"), repo.status_porcelain()), ("x\n".to_owned(), Vec::new()));
}

#[test]
fn git_commits_nothing_in_a_checkout_that_is_left_half_way() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.commit_file("old.b", "old\n", "Old");
    scene.pi.plays_for("T-3", "git rm -q old.b; echo new >new.b; git add -A; git commit -qm work; answer");
    repo.finish("T-3", &[]);
    // What was removed cannot be written again either.
    repo.filter("*.b", "false");
    let merged = repo.worktree(&["merge", "T-3", "--accept-changes"]).run().ok();
    assert!(merged.stderr.contains("could not be brought along"), "{merged}");
    let head = repo.head();
    let refused = repo.try_git(&["commit", "-q", "--allow-empty", "-m", "Mine"]);
    assert!(refused.stderr.contains("index.lock"), "{refused}");
    repo.git(&["config", "filter.users.smudge", "cat"]);
    drop(repo.worktree(&["recover"]).run().ok());
    assert_eq!((repo.head(), repo.status_porcelain()), (head, Vec::new()));
    assert!(repo.has("new.b") && !repo.has("old.b") && !repo.has(".git/index.lock"));
}

#[test]
fn an_edit_within_the_second_of_a_commit_shows_after_a_merge() {
    let sandbox = Sandbox::new();
    let scene = Scene::playing(
        &sandbox,
        "printf 'Note.\\n' >>.tickets/T-2.md; echo new >new.txt; git add -A; git commit -qm note; answer",
    );
    let repo = &scene.repo;
    repo.write(".tickets/T-2.md", repo.read(".tickets/T-2.md").replace("open", "in_progress"));
    repo.commit_file("mine.txt", "one\n", "Mine");
    // As long, in the same place, and as old as the index: only by its date does git know to look at it.
    let index = fs::metadata(repo.path().join(".git/index")).unwrap().modified().unwrap();
    fs::write(repo.path().join("mine.txt"), "two\n").unwrap();
    let file = fs::File::options().write(true).open(repo.path().join("mine.txt")).unwrap();
    file.set_modified(index).unwrap();
    repo.git(&["config", "core.trustctime", "false"]);
    repo.git(&["config", "core.checkStat", "minimal"]);
    repo.merged(&["T-1", "--accept-changes"]);
    assert!(repo.status_porcelain().contains(&" M mine.txt".to_owned()), "{:?}", repo.status_porcelain());
}

#[test]
fn ctrl_c_does_not_stop_git_in_the_middle_of_a_checkout() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let (here, go) = (sandbox.path("here"), sandbox.path("go"));
    // A filter of the user's that waits, while git has written other files.
    repo.write(".git/info/attributes", "new/* filter=slow\n");
    repo.git(&["config", "filter.slow.clean", "cat"]);
    let waits = format!("touch {}; until [ -e {} ]; do sleep 0.02; done; cat", here.display(), go.display());
    repo.git(&["config", "filter.slow.smudge", &waits]);
    let work = "mkdir new; echo 1 >new/1; echo 2 >new/2; git add -A; git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    let mut terminal = repo.worktree(&["batch", "T-3", "--merge"]).on_terminal();
    wait::until("git to be in the middle of it", || here.exists().then_some(()));
    terminal.type_text("\x03");
    terminal.wait_for("ending all sessions");
    fs::write(&go, "").unwrap();
    let ended = terminal.wait();
    assert!(repo.has("new/1") && repo.has("new/2"), "{ended}");
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
    assert_eq!(repo.lanes()[1]["merged"]["commit"], json!(repo.head()));
}

#[test]
fn a_ticket_that_was_never_committed_gives_way_to_the_copy_that_the_agent_committed() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let pi = &scene.pi;
    for (ticket, work) in [
        ("N-1", "commit --all; answer"),
        (
            "N-2",
            "sed -i s/open/closed/ .tickets/N-2.md; printf 'Done.\\n' >>.tickets/N-2.md; git add -A; git commit -qm work; answer",
        ),
        ("N-3", "sed -i s/About/Above/ .tickets/N-3.md; git add -A; git commit -qm work; answer"),
    ] {
        repo.ticket(ticket, &format!("About {ticket}"));
        pi.plays_for(
            ticket,
            work.replace("commit --all", "echo x >x; git add -A; git commit -qm work").as_str(),
        );
        repo.finish(ticket, &[]);
    }
    repo.merged(&["N-1"]);
    repo.merged(&["N-2"]);
    assert!(
        repo.read(".tickets/N-2.md").contains("status: closed")
            && repo.read(".tickets/N-2.md").contains("Done.")
    );
    assert_eq!(repo.status_porcelain(), ["?? .tickets/N-3.md"]);
    let mine = repo.read(".tickets/N-3.md");
    let refused = repo.merges(&["N-3"]);
    refused.refused(4, &[".tickets/N-3.md"]);
    assert!(text(&refused.error()["hint"]).contains("commit"), "{refused}");
    assert_eq!(repo.read(".tickets/N-3.md"), mine);
}

#[test]
fn an_edit_is_given_back_in_a_file_that_git_writes_with_other_line_ends() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    repo.write(".git/info/attributes", "*.md text eol=crlf\n");
    scene.pi.plays_for("T-3", "printf 'Note.\\n' >>.tickets/T-2.md; git commit -qam note; answer");
    repo.finish("T-3", &[]);
    let edited = repo.read(".tickets/T-2.md").replace("open", "in_progress");
    repo.write(".tickets/T-2.md", &edited);
    repo.merged(&["T-3"]);
    let merged = repo.read(".tickets/T-2.md");
    assert!(merged.contains("status: in_progress") && merged.contains("Note."), "{merged:?}");
}

#[test]
fn many_files_of_another_encoding_come_into_the_checkout_as_git_writes_one() {
    let sandbox = Sandbox::new();
    let scene = Scene::new(&sandbox);
    let repo = &scene.repo;
    let work = "for d in d e; do mkdir $d; echo '*.txt working-tree-encoding=UTF-16LE' >$d/.gitattributes; \
        for i in $(seq 80); do printf 'a\\0\\n\\0' >$d/$i.txt; done; done; git add -A; git commit -qm work; answer";
    scene.pi.plays_for("T-3", work);
    repo.finish("T-3", &[]);
    repo.merged(&["T-3"]);
    assert_eq!(repo.git(&["cat-file", "blob", "HEAD:d/1.txt"]), "a");
    for file in ["d/1.txt", "e/80.txt"] {
        assert_eq!(fs::read(repo.path().join(file)).unwrap(), b"a\0\n\0", "{file}");
    }
    assert_eq!(repo.status_porcelain(), Vec::<String>::new());
}
