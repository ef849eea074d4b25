//! What a branch, an agent or a careless command line could do harm with (rows 77 to 81 and 86 of the catalogue of
//! faults). An agent runs as the same user and shares `.git`: a worktree is not a sandbox. But nothing that it leaves
//! lying about makes ralph itself write, signal, reveal or display what it should not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::helpers::agents::{COMMITS, DOES_NOTHING, NEVER_ENDS};
use crate::helpers::lanes::{refused, text};
use crate::helpers::merging::Scene;
use crate::helpers::process::Process;
use crate::helpers::tree::{Entry, Tree};
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// Sets a title, hides text, clears the screen, in both forms of the introducer.
const HOSTILE: &str = "\u{1b}]0;owned\u{7}\u{1b}[8m\u{1b}[2J\u{9b}2J\u{8}";

/// Fails if what stands on a terminal would do what [`HOSTILE`] does.
#[track_caller]
fn assert_harmless(screen: &str) {
    for sequence in ["\u{1b}]", "\u{1b}[8m", "\u{1b}[2J", "\u{9b}", "\u{7}", "\u{8}"] {
        assert!(!screen.contains(sequence), "{sequence:?} reached the terminal: {screen:?}");
    }
}

/// The files below `folder` that hold `needle`.
fn files_with(folder: &Path, needle: &str) -> Vec<String> {
    let tree = Tree::of(folder);
    let holds = |entry: &Entry| match entry {
        Entry::File { content, .. } => content.windows(needle.len()).any(|part| part == needle.as_bytes()),
        _ => false,
    };
    tree.0.iter().filter(|(_, entry)| holds(entry)).map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn row_77_no_secret_of_the_environment_or_the_command_line_is_written_down() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let agent = ScriptedPi::other(&sandbox, "agent");
    agent.plays("here; wait_for_go");
    let secrets =
        ["environment-secret-1", "option-secret-2", "assigned-secret-3", "bearer-secret-4", "url-secret-5"];
    let args = [
        "T-1",
        "--agent",
        "agent {prompt} --api-key option-secret-2",
        "--",
        "API_TOKEN=assigned-secret-3",
        "Authorization: Bearer bearer-secret-4",
        "https://me:url-secret-5@example.invalid/x",
    ];
    let dispatch = |flags: &[&str]| {
        let call = repo.worktree(&[&["dispatch"], flags, &args[..]].concat());
        call.env("API_KEY", "environment-secret-1").run().ok()
    };
    let plan = dispatch(&["--dry-run"]);
    let launched = dispatch(&[]);
    let process = agent.wait_here("T-1");
    // The agent itself has them all.
    let call = agent.call("T-1", 1);
    assert_eq!(call.env["API_KEY"], "environment-secret-1");
    let asked = call.args.join("\n");
    assert!(secrets[1..].iter().all(|secret| asked.contains(secret)), "{asked}");
    assert!(!call.env.keys().any(|name| name.starts_with("RALPH_ARG")), "{:?}", call.env);
    // No one else: not the supervisor's command line, no file, no output.
    let supervisor = Process::find(process.ppid).unwrap();
    assert!(supervisor.command.contains("__supervise"), "{supervisor:?}");
    agent.go("T-1");
    let shown = repo.worktree(&["wait", "T-1"]).run();
    let inspected = repo.worktree(&["inspect", "T-1", "--json"]).run().ok();
    for secret in secrets {
        assert!(!supervisor.command.contains(secret), "{supervisor:?}");
        for said in [&plan, &launched, &shown, &inspected] {
            assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret), "{said}");
        }
        for place in ["work", "home", "config", "state", "data", "cache", "run", "tmp"] {
            assert_eq!(files_with(&sandbox.path(place), secret), Vec::<String>::new(), "{secret} in {place}");
        }
    }
    let argv = inspected.json()["agent"]["argv"].clone();
    assert_eq!(argv[2], "***", "{argv}");
    assert_eq!(argv[3], "API_TOKEN=***", "{argv}");
}

#[test]
fn row_77_settings_and_merges_show_no_secret_but_to_who_approves_what_is_run() {
    let sandbox = Sandbox::new();
    let Scene { repo, .. } = Scene::new(&sandbox);
    let secrets = ["option-secret-1", "assigned-secret-2", "verify-secret-3"];
    repo.write(
        "ralph.toml",
        "agent = 'pi --api-key option-secret-1'\nagent-args = ['API_TOKEN=assigned-secret-2']\n\
         verify = 'false --token verify-secret-3'\n",
    );
    let shows_none = |words: &[&str]| {
        let said = repo.ralph(words).run();
        for secret in secrets {
            assert!(!said.stdout.contains(secret) && !said.stderr.contains(secret), "{said}");
        }
        said
    };
    let notice = shows_none(&["config"]).ok().stderr;
    assert!(notice.contains("\"--api-key\", \"***\""), "{notice}");
    let approved = repo.ralph(&["config", "approve"]).run().ok().stdout;
    assert!(secrets.iter().all(|secret| approved.contains(secret)), "{approved}");
    let settings = shows_none(&["config"]).ok().stdout;
    assert!(settings.contains("[\"pi\", \"--api-key\", \"***\"]"), "{settings}");
    drop(shows_none(&["config", "--json"]).ok());
    drop(shows_none(&["doctor"]));
    drop(shows_none(&["worktree", "merge", "T-1", "--dry-run"]).ok());
    // The check is not passed: it is told when it begins, and again when it has ended.
    let merged = shows_none(&["worktree", "merge", "T-1"]).expect_code(1);
    assert!(merged.stderr.contains("verifying: false --token ***"), "{merged}");
    for secret in secrets {
        for place in ["work/app/.git", "work/app.ralph", "state", "data", "cache", "run", "tmp"] {
            assert_eq!(files_with(&sandbox.path(place), secret), Vec::<String>::new(), "{secret} in {place}");
        }
    }
}

#[test]
fn row_78_with_an_open_umask_the_store_and_the_worktrees_are_still_private() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    repo.write("ralph.toml", "agent = 'pi'\n");
    let ralph = env!("CARGO_BIN_EXE_ralph");
    let script = format!("umask 000; {ralph} config approve && {ralph} worktree dispatch T-1 --wait");
    drop(sandbox.run("sh", &["-c", &script]).in_dir(&repo).run().ok());
    // pi makes its own session file as its umask says, in a folder that no one else enters.
    let of_pi = |path: &Path| path.ends_with("pi-session.jsonl");
    let tree = repo.tree_of(&sandbox, "T-1");
    for folder in [repo.common_dir().join("ralph"), tree.path().join(".ralph"), sandbox.path("state/ralph")] {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{folder:?}");
        for (path, entry) in Tree::of(&folder).0 {
            let private = match &entry {
                Entry::Folder { mode } => *mode == 0o700,
                Entry::File { mode, .. } => *mode == 0o600 || of_pi(&path),
                _ => false,
            };
            assert!(private, "{} in {} is a {entry}", path.display(), folder.display());
        }
    }
    let root = fs::metadata(sandbox.work().join("app.ralph")).unwrap();
    assert_eq!(root.permissions().mode() & 0o777, 0o700);
}

/// A victim of links: a folder that must stay as it is.
fn victim(sandbox: &Sandbox) -> std::path::PathBuf {
    sandbox.write("victim/manifest.json", "mine");
    sandbox.write("victim/T-1.md", "mine too");
    sandbox.path("victim")
}

#[test]
fn row_79_what_a_branch_or_an_agent_puts_in_the_place_of_the_view_is_never_written_through() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    let victim = victim(&sandbox);
    let before = Tree::of(&victim);
    let plant = |branch: &str, name: &str| {
        repo.git(&["switch", "-q", "-c", branch]);
        repo.try_git(&["rm", "-rq", name]).code.unwrap();
        symlink(&victim, repo.path().join(name)).unwrap();
        repo.commit_all("A trap");
        repo.git(&["switch", "-q", "main"]);
    };
    // Committed as a link.
    plant("ralph/T-1", ".ralph");
    let ended = repo.worktree(&["dispatch", "T-1", "--wait"]).run();
    assert!(
        ended.stderr.contains("the repository tracks .ralph: the manifest is not shown there"),
        "{ended}"
    );
    let launched = repo.dispatch(&["T-1"]);
    let manifest = repo.inspect(&["T-1"]);
    assert_eq!(
        launched["manifest"],
        json!(
            repo.common_dir().join(format!("ralph/sessions/{}/manifest.json", text(&manifest["session_id"])))
        )
    );
    drop(repo.worktree(&["wait", "T-1"]).run());
    // Put there by the agent, as a folder and as a file.
    let link = |what: &str, to: &Path| format!("rm -rf {what}; ln -s '{}' {what}; answer stop", to.display());
    pi.plays_for("T-2", &link(".ralph", &victim));
    pi.plays_for("T-3", &link(".ralph/manifest.json", &victim.join("manifest.json")));
    for ticket in ["T-2", "T-3", "T-2", "T-3"] {
        assert_eq!(repo.finished(&[ticket])["outcome"], "no_changes");
        before.assert_unchanged(&victim);
    }
    // In the place of the tickets, where an untracked ticket is copied to.
    plant("ralph/T-9", ".tickets");
    repo.ticket("T-9", "Not tracked");
    let error = repo.worktree(&["dispatch", "T-9", "--json"]).run().expect_code(4).error();
    assert!(text(&error["message"]).contains("links are not followed"), "{error}");
    assert_eq!(repo.inspect(&["T-9"])["outcome"], "launch_failed");
    before.assert_unchanged(&victim);
}

#[test]
fn row_79_a_view_that_the_repository_tracks_stays_as_it_is() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    repo.write(".ralph/manifest.json", "ours");
    repo.commit_all("Track the place of the view");
    let manifest = repo.finished(&["T-1"]);
    assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!(tree.read(".ralph/manifest.json"), "ours");
    assert_eq!(tree.status_porcelain(), Vec::<String>::new());
    assert_eq!(tree.inspect(&[]), manifest);
}

#[test]
fn row_80_a_worktree_or_a_root_that_was_replaced_by_a_link_is_refused() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let _pi = ScriptedPi::new(&sandbox);
    let tree = text(&repo.create(&["T-1"])["worktree"]).to_owned();
    let elsewhere = sandbox.path("elsewhere");
    fs::rename(&tree, &elsewhere).unwrap();
    symlink(&elsewhere, &tree).unwrap();
    for command in ["create", "dispatch", "path", "remove"] {
        let error = refused(&sandbox, repo.worktree(&[command, "T-1"]), 4);
        assert!(text(&error["message"]).contains("is a symbolic link"), "{error}");
    }
    fs::remove_file(&tree).unwrap();
    let root = Path::new(&tree).parent().unwrap();
    fs::remove_dir_all(root).unwrap();
    symlink(sandbox.path("home"), root).unwrap();
    let error = repo.worktree(&["create", "T-2", "--json"]).run().expect_code(4).error();
    assert!(text(&error["message"]).contains("is a symbolic link"), "{error}");
    assert!(Tree::of(sandbox.path("home")).0.is_empty());
    assert_eq!(repo.branches(), ["main", "ralph/T-1"]);
}

/// A manifest of the same session that says what would make ralph do harm.
fn forged(manifest: &Value, sandbox: &Sandbox, victim: &Process) -> Value {
    let mut forged = manifest.clone();
    let process = json!({ "pid": victim.pid, "pgid": victim.pid, "start_ticks": victim.start_ticks });
    forged["state"] = json!("running");
    forged["outcome"] = Value::Null;
    forged["worktree"]["path"] = json!(sandbox.path("home"));
    forged["process"]["agent"] = process;
    forged["process"]["supervisor"] = json!({ "pid": victim.pid, "start_ticks": victim.start_ticks });
    forged["output"]["stdout"] = json!(sandbox.path("home/private"));
    forged["agent"]["session_file"] = json!(sandbox.path("home/private"));
    forged
}

#[test]
fn row_81_a_forged_view_never_makes_ralph_act_on_another_path_or_process() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(NEVER_ENDS);
    sandbox.write("home/private", "private words\n");
    let sleeper = sandbox.run("sleep", &["1000"]).spawn();
    let victim = Process::find(sleeper.pid()).unwrap();
    let home = Tree::of(sandbox.path("home"));
    repo.dispatch(&["T-1"]);
    let agent = pi.wait_here("T-1");
    let tree = repo.tree_of(&sandbox, "T-1");
    let view = tree.path().join(".ralph/manifest.json");
    let forge = || {
        let manifest: Value = serde_json::from_str(&fs::read_to_string(&view).unwrap()).unwrap();
        fs::write(&view, forged(&manifest, &sandbox, &victim).to_string()).unwrap();
    };
    forge();
    let shown = repo.inspect(&["T-1"]);
    assert_eq!(shown["process"]["agent"]["pid"], agent.pid);
    assert_eq!(
        (tree.inspect(&[]), repo.inspect(&["--under", sandbox.work().to_str().unwrap()])[0].clone()),
        (shown.clone(), shown)
    );
    drop(repo.worktree(&["stop", "T-1"]).run().ok());
    assert!(!agent.is_alive() && victim.is_alive());

    // Also where the original is damaged, so that the view is all there is.
    pi.plays(DOES_NOTHING);
    let ended = repo.finished(&["T-1"]);
    forge();
    let id = text(&ended["session_id"]);
    let original = repo.common_dir().join(format!("ralph/sessions/{id}/manifest.json"));
    fs::write(&original, "damaged").unwrap();
    drop(repo.worktree(&["recover"]).run().ok());
    let mended = repo.inspect(&["T-1"]);
    assert_eq!(mended["worktree"]["path"], ended["worktree"]["path"], "{mended:#}");
    assert_eq!(mended["output"]["stdout"], ended["output"]["stdout"]);
    assert_eq!(mended["agent"]["session_file"], ended["agent"]["session_file"]);
    for command in [&["logs", "T-1"][..], &["logs", "--raw", "T-1"], &["attach", "T-1"], &["stop", "T-1"]] {
        let said = repo.worktree(command).run();
        assert!(!said.stdout.contains("private words"), "{said}");
    }
    assert_eq!(repo.finished(&["T-1"])["worktree"]["path"], ended["worktree"]["path"]);
    assert!(victim.is_alive());
    home.assert_unchanged(sandbox.path("home"));
}

#[test]
fn row_86_what_an_agent_wrote_cannot_act_on_a_terminal_and_is_kept_as_it_was() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let agent = ScriptedPi::other(&sandbox, "agent");
    sandbox.write("hostile", format!("before {HOSTILE}after\n"));
    let play = "cat '{0}'; cat '{0}' >&2; here; wait_for_go; exit 3";
    agent.plays(&play.replace("{0}", &sandbox.path("hostile").display().to_string()));
    let watch = |command: &[&str]| repo.worktree(command).env("TERM", "xterm").on_terminal();
    let dispatched = watch(&["dispatch", "T-1", "--agent", "agent", "--output", "inherit"]);
    agent.wait_here("T-1");
    let attached = watch(&["attach", "T-1"]);
    for running in [&dispatched, &attached] {
        running.wait_for("before after");
    }
    agent.go("T-1");
    for running in [dispatched, attached] {
        assert_harmless(&running.wait().stdout);
    }
    for stream in [&["logs", "T-1"][..], &["logs", "--stderr", "T-1"]] {
        let shown = watch(stream).wait();
        assert!(shown.stdout.contains("before after"), "{:?}", shown.stdout);
        assert_harmless(&shown.stdout);
    }
    for raw in [&["logs", "--raw", "T-1"][..], &["logs", "--raw", "--stderr", "T-1"]] {
        let kept = repo.worktree(raw).run().ok();
        assert_eq!(kept.stdout_bytes, fs::read(sandbox.path("hostile")).unwrap());
    }
}

#[test]
fn row_86_nor_can_what_pi_recorded_or_what_a_ticket_is_called() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    let escaped: String = HOSTILE
        .chars()
        .map(|c| if c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() })
        .collect();
    let said = format!(
        r#"{{"role":"assistant","content":[{{"type":"text","text":"before {escaped}after"}}],"model":"{escaped}m","stopReason":"error","errorMessage":"wrong {escaped}indeed"}}"#
    );
    pi.plays(&format!("ask; entry '{said}'; exit 1"));
    repo.ticket("T-1", &format!("Title {HOSTILE}of it"));
    drop(
        repo.worktree(&["dispatch", "T-1", "--wait"])
            .env("TERM", "xterm")
            .on_terminal()
            .wait()
            .expect_code(1),
    );
    for (command, expected) in [
        (&["logs", "T-1"][..], "before after"),
        (&["wait", "T-1"], "wrong indeed"),
        (&["inspect", "T-1"], "wrong indeed"),
        (&["inspect", "--all"], "failed"),
        (&["list"], "Title "),
        (&["dispatch", "T-1", "--wait"], "wrong indeed"),
    ] {
        let shown = repo.worktree(command).env("TERM", "xterm").on_terminal().wait();
        assert!(shown.stdout.contains(expected), "{}: {:?}", command.join(" "), shown.stdout);
        assert_harmless(&shown.stdout);
        let piped = repo.worktree(command).run();
        assert_harmless(&piped.stdout);
        assert_harmless(&piped.stderr);
    }
    // Nor what a record came to say, however it got there.
    let mut manifest = repo.inspect(&["T-1"]);
    manifest["reason"] = json!(format!("because {HOSTILE}of it"));
    manifest["agent"]["argv"] = json!([HOSTILE]);
    manifest["worktree"]["path"] = json!(format!("/tmp/{HOSTILE}x"));
    let session = format!("ralph/sessions/{}/manifest.json", text(&manifest["session_id"]));
    fs::write(repo.common_dir().join(session), manifest.to_string()).unwrap();
    for command in [&["list"][..], &["wait", "T-1"], &["inspect", "T-1"], &["inspect", "--all"]] {
        let shown = repo.worktree(command).env("TERM", "xterm").on_terminal().wait();
        assert!(shown.stdout.contains("because of it") || command[1..] == ["--all"], "{:?}", shown.stdout);
        assert_harmless(&shown.stdout);
    }
}

#[test]
fn row_86_nor_can_an_outcome_or_a_folder_that_an_agent_chose() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    let session = repo.finished(&["T-1"]);
    let odd = sandbox.path(format!("tmp/odd{HOSTILE}folder"));
    let tree = repo.tree_of(&sandbox, "T-1");
    tree.git(&["switch", "-q", "--detach"]);
    tree.git(&["worktree", "add", "-q", odd.to_str().unwrap(), "ralph/T-1"]);
    let unseen = "left-\u{202e}to-right";
    repo.branch(unseen, "ralph/T-1");
    let manifest =
        repo.common_dir().join(format!("ralph/sessions/{}/manifest.json", text(&session["session_id"])));
    let mut forged = session.clone();
    forged["outcome"] = json!(format!("odd{HOSTILE}outcome"));
    fs::write(&manifest, forged.to_string()).unwrap();
    let shown = |words: &[&str], expected: &str| {
        for screen in [
            repo.worktree(words).env("TERM", "xterm").on_terminal().wait().stdout,
            repo.worktree(words).run().stdout,
        ] {
            assert!(screen.contains(expected), "{}: {screen:?}", words.join(" "));
            assert_harmless(&screen);
            assert!(!screen.contains('\u{202e}'), "{screen:?}");
        }
    };
    shown(&["wait", "T-1"], "oddoutcome");
    fs::write(&manifest, session.to_string()).unwrap();
    shown(&["remove", "T-1", "--dry-run"], "oddfolder");
    repo.git(&["worktree", "remove", "--force", odd.to_str().unwrap()]);
    shown(&["remove", "T-1", "--dry-run"], "all of its commits are in left-to-right");
}
