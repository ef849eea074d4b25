//! `ralph worktree inspect`: the manifest of a session, however it is asked for; and what becomes of manifests of
//! other versions.

use std::fs;

use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, NEVER_ENDS};
use crate::helpers::lanes::{refused, text};
use crate::helpers::{Repo, Sandbox, ScriptedPi};

#[test]
fn a_session_is_found_by_ticket_id_path_and_where_one_stands() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let first = repo.finished(&["T-1"]);
    let second = repo.finished(&["T-1"]);
    let other = repo.finished(&["T-2"]);
    let tree = repo.tree_of(&sandbox, "T-1");
    fs::create_dir_all(tree.path().join("a/b")).unwrap();
    let id = |manifest: &Value| text(&manifest["session_id"]).to_owned();
    // The ticket: its current session. The id: that very one, whatever came after.
    assert_eq!(repo.inspect(&["T-1"]), second);
    assert_eq!(repo.inspect(&[&id(&first)]), first);
    assert_eq!(repo.inspect(&["T-2"]), other);
    let path = |relative: &str| tree.path().join(relative).to_str().unwrap().to_owned();
    for path in [path(""), path("a/b"), path("README.md"), path(".ralph/manifest.json")] {
        assert_eq!(repo.inspect(&[&path]), second, "{path}");
    }
    let inside = Repo::at(&sandbox, tree.path().join("a/b"));
    for args in [&[][..], &["."], &[".."], &["../../README.md"]] {
        assert_eq!(inside.inspect(args), second, "{args:?}");
    }
    // From a worktree one can ask about other lanes too.
    assert_eq!(inside.inspect(&["T-2"]), other);
    assert_eq!(inside.inspect(&["--all"]), json!([first, second, other]));
}

#[test]
fn what_there_is_not_is_said_with_what_to_do() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.create(&["T-1"]);
    let tree = repo.tree_of(&sandbox, "T-1");
    let unknown = "01931f5e-7c11-7abc-8def-0123456789ab";
    for (asked, code, said) in [
        ("T-1", 3, "T-1 has no session yet"),
        (tree.path().to_str().unwrap(), 3, "T-1 has no session yet"),
        ("T-2", 3, "T-2 has no worktree of ralph's in this repository"),
        (unknown, 3, "there is no session 01931f5e-7c11-7abc-8def-0123456789ab"),
        (".", 3, "this is not a worktree of ralph's"),
        ("./nowhere", 3, "there is nothing at "),
        ("/", 3, "there is no git repository at \"/\""),
    ] {
        let error = refused(&sandbox, repo.worktree(&["inspect", asked]), code);
        assert!(text(&error["message"]).starts_with(said), "{asked}: {error}");
        assert!(asked == unknown || asked == "./nowhere" || error["hint"].is_string(), "{asked}: {error}");
    }
    refused(&sandbox, repo.worktree(&["inspect", "T-1", "--all"]), 2);
    refused(&sandbox, repo.worktree(&["inspect", "--under", "nowhere"]), 3);
}

#[test]
fn every_worktree_of_every_repository_below_a_folder_is_found() {
    let sandbox = Sandbox::new();
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let app = Repo::new(&sandbox);
    let other = app.clone_as("group/other", &[]);
    let bare = app.bare_clone("group/bare.git");
    let mut expected = vec![
        app.finished(&["T-1"]),
        app.finished(&["T-2"]),
        other.finished(&["T-1"]),
        bare.finished(&["T-3"]),
        // One whose folder was moved to where it would not be expected, and one inside its repository.
        app.finished(&["T-4", "--worktree-root", "trees"]),
    ];
    let moved = sandbox.work().join("group/deep/moved");
    fs::create_dir(moved.parent().unwrap()).unwrap();
    app.git(&["worktree", "move", text(&expected[1]["worktree"]["path"]), moved.to_str().unwrap()]);
    // Only the current session of each.
    expected[0] = app.finished(&["T-1"]);
    app.create(&["T-3"]);
    app.linked_worktree("linked", "topic");
    let ids = |manifests: &Value| {
        let mut ids: Vec<String> =
            manifests.as_array().unwrap().iter().map(|m| text(&m["session_id"]).to_owned()).collect();
        ids.sort();
        ids
    };
    // From outside of any repository.
    let outside = Repo::at(&sandbox, sandbox.path("home"));
    let found = outside.inspect(&["--under", sandbox.work().to_str().unwrap()]);
    assert_eq!(ids(&found), ids(&json!(expected)));
    let relative = Repo::at(&sandbox, sandbox.work());
    let group = relative.inspect(&["--under", "group"]);
    assert_eq!(ids(&group), ids(&json!([expected[1], expected[2], expected[3]])));
    fs::create_dir(sandbox.work().join("empty")).unwrap();
    assert_eq!(relative.inspect(&["--under", "empty"]), json!([]));

    // A view that was deleted is no matter; a repository that is gone leaves the views.
    fs::remove_dir_all(moved.join(".ralph")).unwrap();
    fs::remove_dir_all(&other).unwrap();
    let said = relative.worktree(&["inspect", "--under", "group"]).run().ok();
    assert_eq!(ids(&relative.inspect(&["--under", "group"])), ids(&group));
    assert!(said.stderr.contains("other.ralph"), "{said}");
}

#[test]
fn people_see_a_session_in_words() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("used 1000 20 0.25; commit; answer stop; echo x >new.txt");
    let manifest = repo.finished(&["T-1", "--timeout", "90s"]);
    let said = sandbox.redact(&repo.worktree(&["inspect", "T-1"]).run().ok().stdout);
    let mut said = said
        .replace("agent pid       ", "agent pid       #")
        .replace("supervisor pid  ", "supervisor pid  #");
    for number in ["/process/agent/pid", "/process/supervisor/pid"] {
        said = said.replace(&format!("#{}\n", manifest.pointer(number).unwrap()), "[PID]\n");
    }
    insta::assert_snapshot!(said, @r#"
    lane            T-1
    session         [UUID]
    attempt         1
    state           ended
    outcome         uncommitted
    reason          1 new file is not committed
    worktree        [SANDBOX]/work/app.ralph/t-1-d73f0481
    branch          ralph/T-1
    base            main
    base commit     [COMMIT]
    start commit    [COMMIT]
    head commit     [COMMIT]
    program         [SANDBOX]/bin/pi
    version         0.74.2
    agent pid       [PID]
    supervisor pid  [PID]
    stdout          [SANDBOX]/work/app/.git/ralph/sessions/[UUID]/stdout
    stderr          [SANDBOX]/work/app/.git/ralph/sessions/[UUID]/stderr
    session file    [SANDBOX]/work/app/.git/ralph/sessions/[UUID]/pi-session.jsonl
    cost in USD     0.25
    model           stub/stub-1
    created         [TIME]
    started         [TIME]
    ended           [TIME]
    exit            status 0, last stop reason "stop", ended by the agent
    work            1 commit, 1 file, +1 -0; not committed: 0 changed, 1 new
    tokens          1000 in, 20 out
    limits          timeout 90s, idle timeout none, grace 10s
    arguments       --session [SANDBOX]/work/app/.git/ralph/sessions/[UUID]/pi-session.jsonl -np --prompt-template [SANDBOX]/work/app.ralph/t-1-d73f0481/.pi/prompts/tf.md -p '/tf T-1 --auto'
    "#);
    let table = repo.worktree(&["inspect", "--all"]).run().ok().stdout;
    let mut lines = table.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["LANE", "ATTEMPT", "STATE", "CREATED", "SESSION", "WORKTREE"]
    );
    assert!(lines.next().unwrap().starts_with("T-1   1        uncommitted  "), "{table}");
}

#[test]
fn a_session_that_runs_is_shown_as_it_is_now() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(NEVER_ENDS);
    repo.dispatch(&["T-1"]);
    let agent = pi.wait_here("T-1");
    let running = repo.inspect(&["T-1"]);
    assert_eq!(
        (&running["state"], &running["outcome"], &running["exit"]),
        (&json!("running"), &Value::Null, &Value::Null)
    );
    assert_eq!(
        running["process"]["agent"],
        json!({ "pid": agent.pid, "pgid": agent.pid, "start_ticks": agent.start_ticks })
    );
    assert_eq!(running["process"]["supervisor"]["pid"], agent.ppid);
    drop(repo.worktree(&["stop", "T-1"]).run().ok());
    let ended = repo.inspect(&["T-1"]);
    assert_eq!((&ended["outcome"], &ended["exit"]["ended_by"]), (&json!("stopped"), &json!("stop")));
}
