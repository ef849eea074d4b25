//! Settings: files, variables and flags in their order, what a repository may not decide alone, and what is said of
//! what cannot be meant.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::{Value, json};

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::{refused, text};
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// What `ralph config --json` says of one setting: its value and where that came from.
#[track_caller]
fn setting(repo: &Repo<'_>, key: &str) -> (String, String) {
    let rows = repo.ralph(&["config", "--json"]).run().ok().json();
    let row = rows.as_array().unwrap().iter().find(|row| row["key"] == key).unwrap().clone();
    (text(&row["value"]).to_owned(), text(&row["origin"]).to_owned())
}

#[test]
fn every_setting_has_a_value_and_an_origin() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let said = repo.ralph(&["config"]).run().ok().stdout;
    let cells = |line: &str| line.split_whitespace().collect::<Vec<_>>().join("  ");
    let table: Vec<String> = sandbox.redact(&said).lines().map(cells).collect();
    insta::assert_snapshot!(table.join("\n"), @r#"
    SETTING  VALUE  FROM
    base  .  default
    timeout  30m  default
    idle-timeout  none  default
    grace  10s  default
    output  file  default
    output-cap  none  default
    capture  auto  default
    workflow  /tf  default
    flags  ["--auto"]  default
    agent  ["pi"]  default
    agent-args  []  default
    worktree-root  [SANDBOX]/work/app.ralph  default
    approve-project  false  default
    prompt-check  files  default
    merge-strategy  merge  default
    verify  none  default
    verify-timeout  30m  default
    "#);
    let rows = repo.ralph(&["config", "--json"]).run().ok().json();
    assert_eq!(rows.as_array().unwrap().len(), said.lines().count() - 1);
    // Outside of any repository there still are the user's own.
    sandbox.write("config/ralph/config.toml", "grace = \"3s\"\n");
    let outside = Repo::at(&sandbox, sandbox.path("home"));
    let user = sandbox.path("config/ralph/config.toml").display().to_string();
    assert_eq!(setting(&outside, "grace"), ("3s".to_owned(), user));
    let error = outside.ralph(&["config", "approve", "--json"]).run().expect_code(3).error();
    assert!(text(&error["message"]).starts_with("there is no git repository"), "{error}");
}

#[test]
fn a_flag_beats_a_variable_beats_the_repository_beats_the_user_key_by_key() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = ScriptedPi::new(&sandbox);
    let user = sandbox
        .write("config/ralph/config.toml", "timeout = \"1m\"\ngrace = \"1s\"\nidle-timeout = \"1h\"\n");
    let repository = repo.write("ralph.toml", "timeout = \"2m\"\ngrace = 2\n");
    sandbox.set_env("RALPH_TIMEOUT", "3m");
    let (user, repository) = (user.display().to_string(), repository.display().to_string());
    assert_eq!(setting(&repo, "timeout"), ("3m".into(), "RALPH_TIMEOUT".into()));
    assert_eq!(setting(&repo, "grace"), ("2s".into(), repository));
    assert_eq!(setting(&repo, "idle-timeout"), ("1h".into(), user));
    let limits = |args: &[&str]| repo.finished(&[&["T-1"], args].concat())["limits"].clone();
    assert_eq!(limits(&[]), json!({ "timeout_s": 180, "idle_timeout_s": 3600, "grace_s": 2 }));
    assert_eq!(
        limits(&["--timeout", "none", "--idle-timeout", "1500ms"]),
        json!({ "timeout_s": null, "idle_timeout_s": 1.5, "grace_s": 2 })
    );
    // A worktree's own ralph.toml is an agent's to write, and counts nowhere.
    let tree = repo.tree_of(&sandbox, "T-1");
    tree.write("ralph.toml", "grace = \"59s\"\n");
    assert_eq!(setting(&tree, "grace").0, "2s");
}

#[test]
fn a_command_that_a_repository_asks_for_counts_once_it_was_approved_as_it_stands() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let other = ScriptedPi::other(&sandbox, "other");
    other.plays(COMMITS);
    let third = ScriptedPi::other(&sandbox, "third");
    repo.write("ralph.toml", "agent = \"other {ticket}\"\ngrace = \"5s\"\n");
    let approved = sandbox.path("state/ralph/approved.json");

    let ended = repo.worktree(&["dispatch", "T-1", "--wait"]).run().ok();
    let notice = "sets agent = [\"other\", \"{ticket}\"], which is not approved and does not count; `ralph config approve`";
    assert!(ended.stderr.contains(notice), "{ended}");
    assert_eq!((pi.calls("T-1"), other.calls("T-1")), (1, 0));
    assert_eq!(repo.inspect(&["T-1"])["limits"]["grace_s"], 5, "what needs no approval counts");
    assert!(!approved.exists());

    // Least of all by the agent that may have written it.
    for args in [&["config", "approve"][..], &["config", "approve", "--repo", "."]] {
        let error = refused(&sandbox, repo.ralph(args).env("RALPH_SESSION_ID", "s"), 4);
        let message = "this is session s itself: a session does not approve the repository's settings";
        assert_eq!(error["message"], message);
    }
    drop(repo.ralph(&["config"]).env("RALPH_SESSION_ID", "s").run().ok());
    let ended = repo.ralph(&["config", "approve"]).run().ok();
    assert_eq!(ended.stdout, "agent = [\"other\", \"{ticket}\"]\n");
    assert!(ended.stderr.contains("approved for "), "{ended}");
    assert_eq!(fs::metadata(&approved).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(repo.ralph(&["config", "approve"]).run().ok().stderr.contains("approved already"));
    repo.finished(&["T-1"]);
    assert_eq!((pi.calls("T-1"), other.calls("T-1")), (1, 1));
    // What needs no approval may change; the command may not; and another repository's is another matter.
    repo.write("ralph.toml", "agent = \"other {ticket}\"\ngrace = \"6s\"\n");
    assert_eq!(setting(&repo, "agent").0, "[\"other\", \"{ticket}\"]");
    repo.write("ralph.toml", "agent = \"third {ticket}\"\n");
    assert_eq!(setting(&repo, "agent"), ("[\"pi\"]".into(), "default".into()));
    repo.finished(&["T-1"]);
    assert_eq!((pi.calls("T-1"), other.calls("T-1"), third.calls("T-1")), (2, 1, 0));
    repo.write("ralph.toml", "agent = \"other {ticket}\"\n");
    assert_eq!(setting(&repo, "agent").0, "[\"other\", \"{ticket}\"]");
    let clone = repo.clone_as("clone", &[]);
    clone.write("ralph.toml", "agent = \"other {ticket}\"\n");
    assert_eq!(setting(&clone, "agent").1, "default");
    // The user's own word needs no one's approval.
    sandbox.set_env("RALPH_AGENT", "third {ticket}");
    assert_eq!(setting(&clone, "agent"), ("[\"third\", \"{ticket}\"]".into(), "RALPH_AGENT".into()));
}

#[test]
fn everything_else_that_could_do_harm_needs_approval_too() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.write(
        "ralph.toml",
        "agent-args = [\"--extension\", \"./x\"]\nworktree-root = \"/tmp/elsewhere\"\napprove-project = true\n",
    );
    let guarded = ["agent-args", "worktree-root", "approve-project"];
    assert!(guarded.iter().all(|key| setting(&repo, key).1 == "default"));
    let asked = repo.ralph(&["config", "approve", "--json"]).run().ok().json();
    let keys: Vec<&str> = asked["settings"].as_array().unwrap().iter().map(|row| text(&row["key"])).collect();
    assert_eq!((keys, text(&asked["status"])), (guarded.to_vec(), "approved"));
    assert!(guarded.iter().all(|key| setting(&repo, key).1.ends_with("ralph.toml")));
    fs::remove_file(repo.path().join("ralph.toml")).unwrap();
    assert_eq!(
        repo.ralph(&["config", "approve", "--json"]).run().ok().json(),
        json!({ "status": "not_needed", "file": Value::Null, "settings": [] })
    );
}

#[test]
fn what_cannot_be_meant_is_said_with_file_and_line_and_nothing_is_done() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    for (content, said) in [
        (
            "grace = \"1s\"\ntimeot = \"5m\"\n",
            "line 2: there is no setting \"timeot\"; did you mean `timeout`?",
        ),
        ("timeout = \"soon\"\n", "line 1: `timeout` cannot be \"soon\""),
        ("output = 3\n", "line 1: `output` cannot be 3"),
        ("\n\ngrace = \n", "line 3: "),
        ("grace = \"1s\"\ngrace = \"2s\"\n", "line 2: "),
        ("base = \"a..b\"\n", "line 1: `base` cannot be \"a..b\""),
    ] {
        let file = repo.write("ralph.toml", content);
        for command in [&["config"][..], &["worktree", "create", "T-1"], &["worktree", "dispatch", "T-1"]] {
            let error = refused(&sandbox, repo.ralph(command), 2);
            let message = text(&error["message"]);
            assert!(message.starts_with(&format!("{}, {said}", file.display())), "{message}");
        }
        // Looking at what there is never depends on it.
        assert_eq!(repo.lanes(), Vec::<Value>::new());
    }
    fs::remove_file(repo.path().join("ralph.toml")).unwrap();
    symlink(sandbox.write("elsewhere.toml", "agent = 'x'\n"), repo.path().join("ralph.toml")).unwrap();
    let error = refused(&sandbox, repo.ralph(&["config"]), 2);
    assert!(text(&error["message"]).contains("it is a symbolic link, which is not followed here"), "{error}");
    fs::remove_file(repo.path().join("ralph.toml")).unwrap();
    let error = refused(&sandbox, repo.ralph(&["config"]).env("RALPH_GRACE", "-1"), 2);
    assert!(
        text(&error["message"]).starts_with("the variable RALPH_GRACE: `grace` cannot be \"-1\""),
        "{error}"
    );
    let ended = repo.ralph(&["config"]).env("RALPH_TIMEOT", "5m").env("RALPH_OF_OTHERS", "x").run().ok();
    assert_eq!(
        ended.stderr,
        "ralph: the variable RALPH_TIMEOT is no setting and does not count; did you mean RALPH_TIMEOUT?\n"
    );
}

#[test]
fn further_arguments_for_the_agent_come_on_top_of_the_settings() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    sandbox.write(
        "config/ralph/config.toml",
        "agent = [\"pi\", \"--provider\", \"a b\"]\nagent-args = [\"--model\", \"m\"]\nflags = [\"--auto\", \"two words\"]\nworkflow = \"/tf\"\n",
    );
    repo.finished(&["T-1", "--", "--thinking", "high"]);
    let call = pi.call("T-1", 1);
    let own: Vec<&str> = call.args[5..].iter().map(String::as_str).collect();
    assert_eq!(
        own,
        ["--provider", "a b", "--model", "m", "--thinking", "high", "-p", "/tf T-1 --auto \"two words\""]
    );
}

#[test]
fn a_limit_on_silence_where_nothing_would_be_heard_is_refused_by_all_that_begin_sessions() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let unheard = ["T-1", "--agent", "true", "--output", "discard", "--idle-timeout", "10m"];
    for command in [&["worktree", "dispatch"][..], &["worktree", "batch"], &["run"]] {
        let error = refused(&sandbox, repo.ralph(&[command, &unheard].concat()), 2);
        assert!(text(&error["message"]).contains("an idle timeout looks at"), "{command:?}: {error}");
        assert!(text(&error["hint"]).contains("--output file"), "{command:?}: {error}");
    }
}
