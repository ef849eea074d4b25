//! What ralph says about itself: help, version, completions, manual pages.

use std::fs;

use crate::helpers::Sandbox;
use crate::helpers::lanes::text;

#[test]
fn every_command_explains_itself_and_the_exit_statuses_are_listed() {
    let sandbox = Sandbox::new();
    let help = sandbox.ralph(&["--help"]).run().ok().stdout;
    assert!(help.contains("Exit status: 0 done") && help.contains("130 interrupted"), "{help}");
    let listed = |help: &str| -> Vec<String> {
        let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names =
            commands.take_while(|line| line.starts_with("  ")).filter(|line| !line.starts_with("   "));
        names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
    };
    let top = listed(&help);
    assert!(top.contains(&"worktree".to_owned()), "{top:?}");
    for command in &top {
        drop(sandbox.ralph(&[command, "--help"]).run().ok());
    }
    let worktree = listed(&sandbox.ralph(&["worktree", "--help"]).run().ok().stdout);
    assert_eq!(worktree, listed(&sandbox.ralph(&["wt", "--help"]).run().ok().stdout));
    assert!(worktree.len() >= 13, "{worktree:?}");
    for command in &worktree {
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
