//! `ralph demo`: what it shows, what it leaves, how it ends, and that it touches nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::Value;

use crate::helpers::agents::{COMMITS, DOES_NOTHING};
use crate::helpers::sandbox::write_program;
use crate::helpers::tree::Tree;
use crate::helpers::{Finished, ModelServer, RealPi, Repo, Sandbox, ScriptedPi, Turn};

const TICKETS: [&str; 4] = ["td-4mfq", "td-8c2e", "td-b7xn", "td-k9wd"];

/// The folders of demos in the sandbox.
fn folders(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = fs::read_dir(sandbox.path("tmp")).expect("the temp folder");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The folder of the only demo.
#[track_caller]
fn the_folder(sandbox: &Sandbox) -> PathBuf {
    let folders = folders(sandbox);
    assert_eq!(folders.len(), 1, "{folders:?}");
    let name = folders[0].file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.starts_with("ralph-demo-"), "{name}");
    folders[0].clone()
}

/// All of the sandbox but the folder for temporary files.
fn everything_else(sandbox: &Sandbox) -> Tree {
    let mut tree = Tree::of(sandbox.path(""));
    tree.0.retain(|path, _| !path.starts_with("tmp"));
    tree
}

/// How each ticket ended, in the store.
fn outcomes(sandbox: &Sandbox, folder: &Path) -> Vec<(String, String)> {
    let repo = folder.join("todo").display().to_string();
    let lanes = sandbox.ralph(&["worktree", "list", "--json", "--repo", &repo]).run().ok().json();
    let text = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let lanes = lanes.as_array().expect("an array").iter();
    lanes.map(|lane| (text(&lane["lane"]), text(&lane["outcome"]))).collect()
}

/// Those that had ended by then are as they were; the last of them had not.
#[track_caller]
fn assert_stopped(sandbox: &Sandbox) {
    let outcomes = outcomes(sandbox, &the_folder(sandbox));
    assert_eq!(outcomes.len(), 4);
    for (id, outcome) in outcomes {
        assert!(outcome == "stopped" || outcome == "succeeded" && id != "td-b7xn", "{id} is {outcome}");
    }
}

/// A world in which nothing is set up: no home, no identity, and a variable that leads git astray.
fn bare_world() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"] {
        sandbox.unset_env(format!("GIT_{name}"));
    }
    for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
        sandbox.unset_env(name);
    }
    sandbox.set_env("HOME", "");
    sandbox.set_env("GIT_DIR", "/nowhere/.git");
    sandbox.set_env("GIT_WORK_TREE", "/nowhere");
    sandbox
}

#[test]
fn it_goes_as_planned_where_nothing_is_set_up_and_touches_nothing_but_its_folder() {
    let sandbox = bare_world();
    let before = everything_else(&sandbox);
    let shown = sandbox.ralph(&["demo"]).in_dir("/").run().ok();
    assert_eq!(everything_else(&sandbox), before);
    let folder = the_folder(&sandbox);
    let mode = fs::metadata(&folder).expect("the folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "others can look into it");

    let said = |text: &str| assert!(shown.stdout.contains(text), "{text:?} is not in {shown}");
    said("a stand-in built into ralph: no model, no network");
    said(&folder.display().to_string());
    said("3 of 4 succeeded");
    said("td-b7xn ended as uncommitted, on purpose");
    said("(ralph/td-8c2e) Show open items first, by date");
    said("td-8c2e is merged into main");
    said("(main) Merge ralph/td-k9wd: Describe the file format");
    said("\"outcome\": \"uncommitted\"");
    assert!(!shown.stdout.contains('\u{1b}'), "a pipe is no terminal: {shown}");

    let planned = ["succeeded", "succeeded", "uncommitted", "succeeded"];
    let planned: Vec<_> =
        TICKETS.iter().zip(planned).map(|(id, end)| ((*id).to_owned(), end.to_owned())).collect();
    assert_eq!(outcomes(&sandbox, &folder), planned);

    sandbox.unset_env("GIT_DIR");
    sandbox.unset_env("GIT_WORK_TREE");
    let repo = Repo::at(&sandbox, folder.join("todo"));
    repo.fsck();
    assert_eq!(repo.status_porcelain(), Vec::<String>::new(), "the main checkout was touched");
    assert_eq!(repo.current_branch().as_deref(), Some("main"));
    assert_eq!(repo.log("main").len(), 8, "the first commit, four of three tickets, three merges");
    assert!(repo.read("README.md").contains("## The file"), "the checkout has followed");
    let tree = Repo::at(&sandbox, folder.join("todo.ralph/td-b7xn"));
    assert_eq!(tree.status_porcelain(), ["?? test_todo.py"]);
    assert_eq!(repo.git(&["log", "-1", "--format=%an", "ralph/td-4mfq"]), "ralph's stand-in agent");
    assert!(
        Repo::at(&sandbox, folder.join("todo.ralph/td-4mfq")).read(".tickets/td-4mfq.md").contains("closed")
    );
    the_commands_can_be_copied(&sandbox, &shown);
}

/// What stands under "Look further" is typed into a shell, to the last line, which deletes the demo.
fn the_commands_can_be_copied(sandbox: &Sandbox, shown: &Finished) {
    let (_, commands) = shown.stdout.split_once("Look further\n").expect("commands");
    let script: String = commands.lines().map(|command| format!("{}\n", command.trim())).collect();
    assert!(script.contains("worktree logs") && script.contains("rm -rf "), "{script}");
    let typed = sandbox.run("sh", &["-e", "-u", "-c", &script]).run().ok();
    assert!(typed.stdout.contains("commits: Begin with an empty list"), "{typed}");
    assert!(typed.stdout.contains("?? test_todo.py"), "{typed}");
    assert_eq!(folders(sandbox), Vec::<PathBuf>::new());
}

#[test]
fn programs_are_told_one_event_a_line() {
    let sandbox = Sandbox::new();
    // From a folder that has gone, of which no command may make anything.
    let ralph = env!("CARGO_BIN_EXE_ralph");
    let script = format!("mkdir gone && cd gone && rmdir ../gone && exec '{ralph}' demo --json");
    let told = sandbox.run("sh", &["-c", &script]).run().ok();
    let events = told.json_lines();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    assert_eq!(events[0]["event"], "begun");
    assert_eq!(events[0]["agent"], "stand-in");
    assert_eq!(events[0]["folder"], the_folder(&sandbox).display().to_string());
    for kind in ["launched", "ended"] {
        let mut tickets: Vec<_> = of(kind).iter().map(|event| event["ticket_id"].as_str().unwrap()).collect();
        tickets.sort_unstable();
        assert_eq!(tickets, TICKETS, "{kind}");
    }
    let commits = of("said").iter().filter(|e| e["line"].as_str().unwrap().starts_with("commits: ")).count();
    assert_eq!(commits, 5, "{told}");
    for event in of("ended") {
        assert!(Path::new(event["manifest"].as_str().unwrap()).is_file(), "{event}");
    }
    assert_eq!(of("graph")[0]["lines"].as_array().unwrap().iter().filter(is_a_commit).count(), 9);
    let merged: Vec<_> = of("merged").iter().map(|event| event["ticket_id"].clone()).collect();
    assert_eq!(merged, ["td-4mfq", "td-8c2e", "td-k9wd"]);
    assert_eq!(of("manifest")[0]["manifest"]["outcome"], "uncommitted");
    let last = &events[events.len() - 1];
    assert_eq!((&last["event"], &last["as_planned"]), (&Value::from("done"), &Value::from(true)));
    assert!(last["next"].as_array().unwrap().iter().all(Value::is_string), "{last}");
    assert_eq!(told.stderr, "");
}

fn is_a_commit(line: &&Value) -> bool {
    line.as_str().is_some_and(|line| line.contains('*'))
}

#[test]
fn what_is_configured_for_git_has_no_part_in_it() {
    let sandbox = Sandbox::new();
    let hook = "#!/bin/sh\n: >\"$HOME/a-hook-ran\"\nexit 1\n";
    for name in ["pre-commit", "commit-msg", "post-checkout", "reference-transaction"] {
        write_program(&sandbox.path("home/hooks").join(name), hook);
        write_program(&sandbox.path("home/template/hooks").join(name), hook);
    }
    sandbox.write("home/ignored", "*.py\n.tickets\n.pi\n");
    let settings = format!(
        "[core]\nhooksPath = {0}/hooks\nexcludesFile = {0}/ignored\nautocrlf = true\n[commit]\ngpgSign = true\n\
         [init]\ntemplateDir = {0}/template\ndefaultBranch = other\n[gpg]\nprogram = {0}/hooks/pre-commit\n",
        sandbox.path("home").display()
    );
    sandbox.write("home/.gitconfig", settings);
    sandbox.unset_env("GIT_CONFIG_GLOBAL");
    drop(sandbox.ralph(&["demo"]).run().ok());
    assert!(!sandbox.path("home/a-hook-ran").exists());
}

#[test]
fn on_a_terminal_each_ticket_is_one_line_that_is_drawn_again() {
    let sandbox = Sandbox::new();
    sandbox.set_env("TERM", "xterm-256color");
    sandbox.set_env("NO_COLOR", "1");
    let shown = sandbox.ralph(&["demo"]).on_terminal().wait().ok();
    let (before, frames) = shown.stdout.split_once("\u{1b}[J").expect("a first frame");
    assert!(before.contains("Four tickets") && before.contains("makes the worktree"), "{shown}");
    let frames: Vec<&str> = frames.split("\u{1b}[J").collect();
    let drawn: Vec<&&str> = frames.iter().filter(|frame| frame.starts_with("\r\u{1b}[4A")).collect();
    assert!(drawn.len() > 10, "{} frames: {shown}", drawn.len());
    for frame in &drawn {
        let rows: Vec<&str> = frame.trim_start_matches("\r\u{1b}[4A").lines().collect();
        assert_eq!(rows.len(), 4, "{frame:?}");
        for (row, id) in rows.iter().zip(TICKETS) {
            assert!(row.starts_with(id) && row.ends_with("\u{1b}[K"), "{row:?}");
            assert!(row.trim_end_matches("\u{1b}[K").chars().count() < 120, "{row:?}");
        }
    }
    assert!(
        drawn.iter().any(|frame| frame.contains("running") && frame.contains("edits todo.py")),
        "{shown}"
    );
    let last = drawn[drawn.len() - 1];
    assert!(!last.contains("running") && last.contains("uncommitted"), "{last:?}");
    assert!(!shown.stdout.contains("\u{1b}[0m"), "NO_COLOR was set: {shown}");
}

#[test]
fn ctrl_c_ends_all_four_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.set_env("TERM", "xterm-256color");
    let mut terminal = sandbox.ralph(&["demo"]).on_terminal();
    terminal.wait_for("edits todo.py");
    terminal.type_text("\u{3}");
    let shown = terminal.wait().expect_code(130);
    assert!(shown.stdout.contains("ending all of them; Ctrl-C again"), "{shown}");
    assert!(shown.stdout.contains("\u{1b}[33mstopped\u{1b}[0m"), "{shown}");
    assert_stopped(&sandbox);
}

#[test]
fn a_request_to_end_ends_all_four() {
    let sandbox = Sandbox::new();
    let running = sandbox.ralph(&["demo"]).spawn();
    for id in TICKETS {
        running.wait_for(&format!("{id} says: reads"));
    }
    running.signal(Signal::TERM);
    let shown = running.wait().expect_code(130);
    assert!(shown.stderr.contains("ending all of them"), "{shown}");
    assert_stopped(&sandbox);
}

#[test]
fn a_terminal_that_goes_away_leaves_nothing_running() {
    let sandbox = Sandbox::new();
    sandbox.set_env("TERM", "xterm");
    let mut terminal = sandbox.ralph(&["demo"]).on_terminal();
    terminal.wait_for("looks for");
    terminal.hang_up();
    sandbox.wait_until_quiet();
    drop(terminal.wait());
    assert_stopped(&sandbox);
}

#[test]
fn a_session_does_not_begin_a_demo() {
    let sandbox = Sandbox::new();
    let refused = sandbox.ralph(&["demo", "--json"]).env("RALPH_SESSION_ID", "x").run().expect_code(4);
    assert_eq!(refused.error()["kind"], "refused");
    assert_eq!(folders(&sandbox), Vec::<PathBuf>::new());
}

#[test]
fn what_is_missing_is_said_before_anything_is_made() {
    let sandbox = Sandbox::new();
    let without_pi = sandbox.ralph(&["demo", "--agent", "pi"]).run().expect_code(5);
    assert!(
        without_pi.stderr.contains("\"pi\"") && without_pi.stderr.contains("needs no pi"),
        "{without_pi}"
    );
    sandbox.remove_tool("git");
    let without_git = sandbox.ralph(&["demo"]).run().expect_code(6);
    assert!(without_git.stderr.contains("install git"), "{without_git}");
    assert_eq!(folders(&sandbox), Vec::<PathBuf>::new());
    sandbox.link_tool("git");
    let nowhere = sandbox.ralph(&["demo"]).env("TMPDIR", "/proc").run().expect_code(6);
    assert!(nowhere.stderr.contains("TMPDIR"), "{nowhere}");
}

#[test]
fn with_pi_it_is_pi_that_works() {
    let sandbox = Sandbox::new();
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    // Settings are for real work.
    sandbox.write("config/ralph/config.toml", "agent = \"something else\"\nworkflow = \"/other\"\n");
    let shown = sandbox.ralph(&["demo", "--agent", "pi"]).run().ok();
    assert!(shown.stdout.contains("the pi on your PATH, with your provider and at your cost"), "{shown}");
    assert!(shown.stdout.contains("4 of 4 succeeded"), "{shown}");
    assert_eq!(pi.tickets_called(), TICKETS);
    let call = pi.call("td-8c2e", 1);
    assert_eq!(call.prompt(), Some("/tf td-8c2e --auto"));
    assert!(call.option("--prompt-template").expect("a prompt").ends_with(".pi/prompts/tf.md"));
}

#[test]
fn with_pi_an_end_without_success_is_told_and_counts() {
    let sandbox = Sandbox::new();
    let pi = ScriptedPi::new(&sandbox);
    pi.plays(COMMITS);
    pi.plays_for("td-4mfq", "printf 'No key for \\033[31manything\\nDo that\\n' >&2; exit 1");
    pi.plays_for("td-8c2e", DOES_NOTHING);
    let shown = sandbox.ralph(&["demo", "--agent", "pi"]).run().expect_code(1);
    let failed = "td-4mfq ended as failed: the agent exited with status 1: No key for anything\n";
    assert!(shown.stdout.contains(failed), "{shown}");
    assert!(shown.stdout.contains("td-8c2e ended as no_changes"), "{shown}");
    assert!(shown.stdout.contains("worktree logs td-4mfq --stderr"), "{shown}");
    assert!(shown.stderr.contains("ralph doctor"), "{shown}");
    assert!(!shown.stdout.contains("on purpose"), "{shown}");
}

#[test]
fn the_stand_in_works_in_the_demo_only() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    repo.ticket("td-4mfq", "A ticket of someone else's");
    let before = Tree::of(repo.path());
    let call = || repo.ralph(&["__stand-in-agent", "td-4mfq"]);
    drop(call().run().expect_code(2));
    let inside = call().env("RALPH_SESSION_ID", "x").env("RALPH_WORKTREE", repo.path());
    assert!(inside.run().expect_code(2).stderr.contains("another ticket than the demo's"));
    drop(repo.ralph(&["__stand-in-agent", "T-1"]).run().expect_code(2));
    assert_eq!(Tree::of(repo.path()), before);
}

#[test]
fn with_the_real_pi_its_own_commits_are_shown() {
    let Some(pi) = RealPi::find_or_skip() else { return };
    let sandbox = bare_world();
    let server = ModelServer::start();
    for id in TICKETS {
        let commit = format!("sed -i s/open/closed/ .tickets/{id}.md && git commit -q -a -m 'Work on {id}'");
        server.plays(id, [Turn::bash(&commit), Turn::text("All done.")]);
    }
    pi.install(&sandbox, &server);
    let told = sandbox.ralph(&["demo", "--agent", "pi", "--json"]).run().ok();
    let events = told.json_lines();
    let said = |text: &str| events.iter().any(|e| e["event"] == "said" && e["line"] == text);
    assert!(said("All done."), "{told}");
    let graph = events.iter().find(|event| event["event"] == "graph").expect("a graph").to_string();
    assert!(TICKETS.iter().all(|id| graph.contains(&format!("(ralph/{id}) Work on {id}"))), "{told}");
    assert_eq!(server.requests_about("td-8c2e").len(), 2);
}

#[test]
fn the_picture_in_the_readme_is_of_this_demo() {
    let picture =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/demo.svg")).expect("a picture");
    for id in TICKETS {
        assert!(picture.contains(&format!(">{id}</text>")), "{id}");
        assert!(picture.contains(&format!(">ralph/{id}</text>")), "the branch of {id}");
    }
    for text in ["Four tickets, four worktrees", "a stand-in built into ralph", "on purpose", "Look further"]
    {
        assert!(picture.contains(text), "{text:?}: draw it again with `just picture`");
    }
}
