//! What ralph says about itself: help, version, completions, manual pages.

use std::fs;

use crate::helpers::Sandbox;
use crate::helpers::lanes::text;

const README: &str = include_str!("../README.md");

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_variables_that_every_agent_has_are_in_the_readme() {
    let own = ralph::supervisor::ADDED_VARIABLES.iter().filter(|name| name.starts_with("RALPH_"));
    for name in own {
        assert!(README.contains(&format!("`{name}`")), "README.md does not name {name}");
    }
}

#[test]
fn every_command_explains_itself_and_the_exit_statuses_are_listed() {
    let sandbox = Sandbox::new();
    let help = sandbox.ralph(&["--help"]).run().ok().stdout;
    let readme = one_line(README);
    let (_, statuses) = help.split_once("Exit status: ").expect("exit statuses");
    let statuses: Vec<String> = one_line(statuses).split(" · ").map(str::to_owned).collect();
    let numbers: Vec<&str> = statuses.iter().filter_map(|status| status.split(' ').next()).collect();
    assert_eq!(numbers, ["0", "1", "2", "3", "4", "5", "6", "70", "130"]);
    for status in &statuses {
        assert!(readme.contains(status), "README.md does not say {status:?}");
    }
    let listed = |help: &str| -> Vec<String> {
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names =
            commands.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
        names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    let top = listed(&help);
    assert_eq!(top, ["worktree", "run", "demo", "doctor", "config", "schema", "completions", "man"]);
    for command in &top {
        drop(sandbox.ralph(&[command, "--help"]).run().ok());
    }
    let worktree = listed(&sandbox.ralph(&["worktree", "--help"]).run().ok().stdout);
    assert_eq!(worktree, listed(&sandbox.ralph(&["wt", "--help"]).run().ok().stdout));
    assert_eq!(
        worktree,
        [
            "create", "dispatch", "batch", "list", "inspect", "logs", "wait", "stop", "attach", "merge",
            "remove", "restore", "recover", "gc", "path"
        ]
    );
    for command in &top {
        assert!(
            [format!("`ralph {command}"), format!("`{command} ")].iter().any(|name| readme.contains(name)),
            "{command}"
        );
    }
    for command in &worktree {
        assert!(readme.contains(&format!("`ralph worktree {command}")), "README.md does not name {command}");
        let said = sandbox.ralph(&["worktree", command, "--help"]).run().ok().stdout;
        assert!(said.contains(&format!("Usage: ralph worktree {command}")), "{said}");
    }
    assert_eq!(
        sandbox.ralph(&["--version"]).run().ok().stdout,
        format!("ralph {}\n", env!("CARGO_PKG_VERSION"))
    );
    // Nothing was asked for: the help, on standard error, and no success.
    let nothing = sandbox.ralph(&[]).run().expect_code(2);
    assert!(nothing.stdout.is_empty() && nothing.stderr.contains("Commands:"), "{nothing}");
}

#[test]
fn what_is_not_understood_is_a_usage_error_in_both_forms() {
    let sandbox = Sandbox::new();
    for args in
        [&["nope"][..], &["worktree", "dispatch"], &["worktree", "list", "--nope"], &["completions", "nosh"]]
    {
        let said = sandbox.ralph(args).run().expect_code(2);
        assert!(said.stdout.is_empty() && said.stderr.starts_with("ralph: "), "{said}");
        let error = args
            .iter()
            .fold(sandbox.ralph(&["--json"]), |call, arg| call.arg(arg))
            .run()
            .expect_code(2)
            .error();
        assert_eq!(error["kind"], "usage");
        assert!(said.stderr.contains(text(&error["message"])), "{said}\n{error}");
        assert!(error["hint"].is_string(), "{error}");
    }
}

#[test]
fn completions_and_manual_pages_are_made_for_every_command() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.ralph(&["completions", shell]).run().ok().stdout;
        assert!(script.contains("dispatch") && script.contains("idle-timeout"), "{shell}: {script}");
        assert!(!script.contains("__supervise"), "{shell}");
    }
    let pages = sandbox.path("pages/man1");
    drop(sandbox.ralph(&["man", pages.to_str().unwrap()]).run().ok());
    for page in ["ralph.1", "ralph-worktree-dispatch.1", "ralph-config-approve.1"] {
        assert!(fs::read_to_string(pages.join(page)).unwrap().contains(".SH NAME"), "{page}");
    }
    let taken = sandbox.write("taken", "");
    let error = sandbox.ralph(&["man", taken.to_str().unwrap(), "--json"]).run().expect_code(6).error();
    assert!(text(&error["message"]).contains(taken.to_str().unwrap()), "{error}");
}
