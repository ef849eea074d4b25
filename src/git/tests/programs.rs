//! Running the git program: bounded in what it says and in time, and never bound to another repository.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::fixture::{Fixture, program};
use crate::git::program::{Call, Place};
use crate::git::{ErrorClass, GitError, GitProgram, LOCAL_ENV_VARS, Repo, guard};

/// A stand-in for git that runs this script.
fn stand_in(fixture: &Fixture, script: &str) -> GitProgram {
    fixture.write("stand-in", format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(fixture.path("stand-in"), fs::Permissions::from_mode(0o755)).unwrap();
    GitProgram::new(fixture.path("stand-in"))
}

#[test]
fn git_writes_many_files_with_as_many_processes_as_there_are_cores() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "checkout.workers", "1"]);
    let git_dir = fixture.path("repo/.git");
    let asked =
        Call::write(&program(), Place::GitDir(&git_dir)).args(["config", "checkout.workers"]).succeed();
    assert_eq!(asked.unwrap(), b"0\n");
}

#[test]
fn the_variables_that_are_removed_are_those_that_git_names() {
    let fixture = Fixture::empty();
    for name in fixture.git(".", &["rev-parse", "--local-env-vars"]).lines() {
        assert!(LOCAL_ENV_VARS.contains(&name), "{name} binds git to a repository, and is not removed");
    }
}

#[test]
fn a_failure_names_the_command_and_what_git_said_on_one_line() {
    let fixture = Fixture::new();
    let git = program();
    let error =
        Call::read(&git, Place::From(&fixture.path("repo"))).args(["cat-file", "-t", "nope"]).succeed();
    let text = error.unwrap_err().to_string();
    assert!(text.starts_with("`git cat-file -t nope` failed (exit status: 128): fatal:"), "{text}");
    let git = stand_in(&fixture, r"printf 'red \033[31m\n\nsecond\n' >&2; exit 3");
    let text = Call::read(&git, Place::Nowhere).arg("x").succeed().unwrap_err().to_string();
    assert!(text.ends_with("red [31m; second"), "{text}");
}

#[test]
fn a_missing_program_is_said_with_what_to_do() {
    let git = GitProgram::new("/nonexistent/git");
    let error = git.version().unwrap_err();
    assert!(matches!(error, GitError::ProgramMissing { .. }), "{error}");
    assert_eq!(error.class(), ErrorClass::CannotDo);
    assert!(error.hint().unwrap().contains("install git"));
}

#[test]
fn the_version_is_what_git_says() {
    let version = program().version().unwrap();
    assert!(version.starts_with("2."), "{version}");
}

#[test]
fn endless_output_ends_the_call() {
    let fixture = Fixture::empty();
    let git = stand_in(&fixture, "exec yes");
    let error = Call::read(&git, Place::Nowhere).succeed().unwrap_err();
    assert!(matches!(error, GitError::ProgramSaidTooMuch { .. }), "{error}");
}

#[test]
fn much_said_on_both_outputs_at_once_is_heard_and_bounded() {
    let fixture = Fixture::empty();
    let git = stand_in(&fixture, "yes err | head -c 1000000 >&2 & yes out | head -c 1000000; wait; exit 1");
    let answer = Call::read(&git, Place::Nowhere).run().unwrap();
    let error = answer.failure().to_string();
    assert!(error.len() < 10_000, "{}", error.len());
    assert_eq!(answer.code(), Some(1));
    let git = stand_in(&fixture, "yes err | head -c 1000000 >&2 & yes out | head -c 1000000; wait");
    assert_eq!(Call::read(&git, Place::Nowhere).succeed().unwrap().len(), 1_000_000);
}

#[test]
fn a_process_that_git_leaves_behind_is_not_waited_for() {
    for leftover in ["sleep 1000", "yes >&2"] {
        let fixture = Fixture::empty();
        let pid_file = fixture.path("left.pid");
        let git = stand_in(&fixture, &format!("{leftover} & echo $! > '{}'; echo done", pid_file.display()));
        assert_eq!(Call::read(&git, Place::Nowhere).succeed().unwrap(), b"done\n", "{leftover}");
        let pid = fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        // It may have ended by itself: no one reads what it writes any more.
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
    }
}

#[test]
fn git_gets_no_terminal_no_input_and_may_not_prompt() {
    let fixture = Fixture::empty();
    let script = "cat; echo $GIT_TERMINAL_PROMPT $LC_ALL $GIT_OPTIONAL_LOCKS $GIT_ALLOW_PROTOCOL";
    let git = stand_in(&fixture, script);
    assert_eq!(Call::read(&git, Place::Nowhere).succeed().unwrap(), b"0 C 0 none\n");
    assert_eq!(Call::write(&git, Place::Nowhere).succeed().unwrap(), b"0 C\n");
}

#[test]
fn what_is_guarded_is_the_same_whoever_reads_the_settings() {
    let fixture = Fixture::new();
    for key in ["core.hooksPath", "core.attributesFile"] {
        fixture.git("repo", &["config", key, fixture.path("elsewhere").to_str().unwrap()]);
    }
    fixture.write("elsewhere/pre-commit", "#!/bin/sh\n");
    let asked = GitProgram::in_environment(|name| (name == "GIT_CONFIG_NOSYSTEM").then(|| "1".into()))
        .with_env("GIT_CONFIG_GLOBAL", "/dev/null")
        .with_env("GIT_CONFIG_SYSTEM", "/dev/null");
    let by_git = guard(&Repo::open_with(&fixture.path("repo"), asked).unwrap()).unwrap();
    assert_eq!(by_git, guard(&fixture.repo()).unwrap());
    assert!(by_git.keys().any(|what| what.contains("pre-commit")), "{by_git:?}");
}
