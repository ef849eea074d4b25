//! Whose hooks, settings and filters a merge goes by (rows 76 and 82 to 85 of the catalogue of faults): the user's,
//! while they are what they were when the agent was launched. What was changed since runs nowhere, and the merge is
//! refused until the user has accepted it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::json;

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::text;
use crate::helpers::{Finished, Repo, Sandbox, ScriptedPi, Session};

impl Repo<'_> {
    fn merge(&self, args: &[&str]) -> Finished {
        self.worktree(&[&["merge", "T-1", "--json"], args].concat()).run()
    }

    /// Installs one of the user's hooks.
    pub fn hook(&self, name: &str, script: &str) -> PathBuf {
        let path = self.write(format!(".git/hooks/{name}"), format!("#!/bin/sh\n{script}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

fn scene<'s>(sandbox: &'s Sandbox, before: impl FnOnce(&Repo<'s>), play: &str) -> Repo<'s> {
    let (repo, pi) = (Repo::new(sandbox), ScriptedPi::new(sandbox));
    before(&repo);
    pi.plays(play);
    let manifest = repo.finish("T-1", &[]);
    assert!(matches!(text(&manifest["outcome"]), "succeeded" | "uncommitted"), "{manifest:#}");
    repo
}

#[test]
fn rows_82_83_and_85_what_an_agent_set_up_runs_nowhere_and_the_merge_is_refused_until_accepted() {
    let evil = "touch \"$STAGE/evil\"";
    for (does, changed) in [
        ("git config core.fsmonitor 'touch $STAGE/evil;'", "the setting core.fsmonitor was added"),
        ("git config core.hooksPath /tmp", "the setting core.hookspath was added"),
        ("git config core.sshCommand evil", "the setting core.sshcommand was added"),
        ("git config gpg.program evil", "the setting gpg.program was added"),
        ("git config diff.external evil", "the setting diff.external was added"),
        ("git config filter.x.smudge evil", "the setting filter.x.smudge was added"),
        ("git config merge.x.driver evil", "the setting merge.x.driver was added"),
        (
            "git config core.autocrlf input; git config core.autocrlf true",
            "the setting core.autocrlf was changed",
        ),
        (
            "printf '#!/bin/sh\\n$EVIL\\n' >\"$HOOKS/post-merge\"; chmod +x \"$HOOKS/post-merge\"",
            "the hook post-merge was added",
        ),
        ("printf '$EVIL\\n' >>\"$HOOKS/commit-msg\"", "the hook commit-msg was changed"),
        ("rm \"$HOOKS/commit-msg\"", "the hook commit-msg was removed"),
        ("chmod -x \"$HOOKS/commit-msg\"", "the hook commit-msg was changed"),
        ("printf '* merge=x\\n' >\"$HOOKS/../info/attributes\"", "info/attributes was added"),
        (
            "mkdir -p \"$XDG_CONFIG_HOME/git\"; printf '* merge=union\\n' >\"$XDG_CONFIG_HOME/git/attributes\"",
            "an attributes file of the user's or the machine's was changed",
        ),
        ("git replace HEAD HEAD^", "the replacement refs/replace/"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.set_env("STAGE", sandbox.path("tmp"));
        sandbox.set_env("EVIL", evil);
        sandbox.set_env("HOOKS", sandbox.work().join("app/.git/hooks"));
        let play = format!("commit; {does}; answer");
        let repo = scene(
            &sandbox,
            |repo| {
                repo.git(&["config", "core.autocrlf", "input"]);
                repo.hook("commit-msg", "exit 0");
            },
            &play,
        );
        let refs = repo.refs();
        let ended = repo.merge(&[]);
        ended.refused(4, &["since its agent was launched", changed, "the agent did that, or you did"]);
        assert!(text(&ended.error()["hint"]).contains("--accept-changes"), "{ended}");
        let told = ended.json();
        assert_eq!(told["status"], "config_changed");
        assert_eq!(told["changed"].as_array().unwrap().len(), 1, "{told:#}");
        assert_eq!(repo.refs(), refs);
        repo.merge(&["--dry-run"]).refused(4, &[changed]);
        assert!(!sandbox.path("tmp/evil").exists(), "{does} ran");
    }
}

#[test]
fn row_83_a_hook_among_hundreds_of_files_or_too_large_to_be_read_is_guarded_too() {
    let changes_it = "printf 'x\n' >>\"$HOOKS/commit-msg\"";
    let others = "the hook or another of the many files of its folder was changed";
    for (beside, bytes, does, changed) in [
        ("a", 0, changes_it, others),
        ("a/b/c", 0, changes_it, "the hook commit-msg was changed"),
        ("a/b/c", 0, "printf 'x\n' >>\"$HOOKS/a/b/c599\"", others),
        ("none", 17 << 20, changes_it, "the hook commit-msg was changed"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.set_env("HOOKS", sandbox.work().join("app/.git/hooks"));
        let repo = scene(
            &sandbox,
            |repo| {
                repo.hook("commit-msg", &format!("exit 0\n#{}", "x".repeat(bytes)));
                for number in 0..600 {
                    repo.write(format!(".git/hooks/{beside}{number:03}"), "");
                }
            },
            &format!("commit; {does}; answer"),
        );
        repo.merge(&[]).refused(4, &["since its agent was launched", changed]);
        assert_eq!(repo.merge(&["--accept-changes"]).ok().json()["status"], "merged");
    }
}

#[test]
fn row_83_hundreds_of_files_beside_the_hooks_are_no_change() {
    let sandbox = Sandbox::new();
    let before = |repo: &Repo<'_>| {
        (0..600).for_each(|number| drop(repo.write(format!(".git/hooks/a/b{number:03}"), "")));
    };
    let repo = scene(&sandbox, before, COMMITS);
    assert_eq!(repo.merge(&[]).ok().json()["status"], "merged");
}

#[test]
fn a_later_session_does_not_make_an_earlier_ones_changes_good() {
    let sandbox = Sandbox::new();
    let repo = scene(&sandbox, |_| {}, "commit; git config core.sshCommand evil; answer");
    drop(repo.finish("T-1", &[]));
    repo.merge(&[]).refused(4, &["the setting core.sshcommand was added"]);
    assert_eq!(repo.merge(&["--accept-changes"]).ok().json()["status"], "merged");
    // What was accepted is where the next work begins.
    drop(repo.finish("T-1", &[]));
    assert_eq!(repo.merge(&[]).ok().json()["status"], "merged");
}

#[test]
fn nor_do_the_changes_of_a_session_become_good_that_was_begun_after_a_merge() {
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    pi.plays(COMMITS);
    pi.plays_on("T-1", 2, "commit; git config core.sshCommand evil; fails 'for now'");
    drop(repo.finish("T-1", &[]));
    assert_eq!(repo.merge(&[]).ok().json()["status"], "merged");
    drop(repo.finish("T-1", &[]));
    drop(repo.finish("T-1", &[]));
    repo.merge(&[]).refused(4, &["the setting core.sshcommand was added"]);
}

#[test]
fn nor_where_the_clock_was_set_back_meanwhile() {
    let sandbox = Sandbox::new();
    let (repo, pi) = (Repo::new(&sandbox), ScriptedPi::new(&sandbox));
    pi.plays(COMMITS);
    pi.plays_on("T-1", 2, "commit; git config core.sshCommand evil; fails 'for now'");
    drop(repo.finish("T-1", &[]));
    assert_eq!(repo.merge(&[]).ok().json()["status"], "merged");
    repo.set_the_clock_back();
    drop(repo.finish("T-1", &[]));
    drop(repo.finish("T-1", &[]));
    repo.merge(&[]).refused(4, &["the setting core.sshcommand was added"]);
}

#[test]
fn a_dispatch_that_came_to_nothing_does_not_make_an_earlier_ones_changes_good() {
    let sandbox = Sandbox::new();
    let repo = scene(&sandbox, |_| {}, "commit; git config core.sshCommand evil; answer");
    drop(repo.worktree(&["dispatch", "T-1", "--agent", "/nowhere"]).run().expect_code(5));
    repo.merge(&[]).refused(4, &["the setting core.sshcommand was added"]);
    // Nor does the one after it.
    drop(repo.finish("T-1", &[]));
    repo.merge(&[]).refused(4, &["the setting core.sshcommand was added"]);
    assert_eq!(repo.merge(&["--accept-changes"]).ok().json()["status"], "merged");
    drop(repo.worktree(&["dispatch", "T-1", "--agent", "/nowhere"]).run().expect_code(5));
    drop(repo.finish("T-1", &[]));
    assert_eq!(repo.merge(&[]).ok().json()["status"], "merged");
}

#[test]
fn where_what_there_was_is_lost_the_merge_is_refused_until_accepted() {
    let sandbox = Sandbox::new();
    let repo = scene(&sandbox, |_| {}, COMMITS);
    let first = Session::only(&repo);
    drop(repo.worktree(&["dispatch", "T-1", "--agent", "/nowhere"]).run().expect_code(5));
    fs::remove_file(first.dir.join("launch.json")).unwrap();
    let ended = repo.merge(&[]);
    ended.refused(4, &["what they were cannot be told any more", &first.id]);
    assert!(text(&ended.error()["hint"]).contains("--accept-changes"), "{ended}");
    assert_eq!(repo.merge(&["--accept-changes"]).ok().json()["status"], "merged");
}

#[test]
fn what_every_push_writes_is_no_change() {
    let sandbox = Sandbox::new();
    let play = "commit; git config branch.ralph/T-1.merge refs/heads/x; git config remote.origin.url x; \
                git config color.ui never; answer";
    let repo = scene(&sandbox, |_| {}, play);
    assert_eq!(repo.merge(&[]).ok().json()["status"], "merged");
}

#[test]
fn row_84_a_filter_out_of_the_worktree_is_refused() {
    for command in [
        "./tools/f",
        "sh tools/f",
        "sh ./tools//f",
        "X=1 ./tools/f",
        "sh -c 'exec tools/f %f'",
        "cat | sh f.sh",
    ] {
        let sandbox = Sandbox::new();
        let play = "printf '* filter=x\\n' >.gitattributes; mkdir tools; printf 'touch %s/evil; cat\\n' \"$TMPDIR\" >tools/f; \
                    cp tools/f f.sh; chmod +x tools/f; git add .; git -c filter.x.smudge= commit -qm trap; answer";
        let repo = scene(&sandbox, |repo| drop(repo.git(&["config", "filter.x.smudge", command])), play);
        let refs = repo.refs();
        repo.merge(&[]).refused(6, &["the filter \"x\"", command, "a relative command would run whatever"]);
        assert_eq!(repo.refs(), refs);
        assert!(!sandbox.path("tmp/evil").exists(), "{command}");
    }
}

#[test]
fn row_84_a_filter_that_runs_nothing_of_the_branch_is_no_ones_concern() {
    for command in
        ["sed 's/a/b/' | sed -e s.md/x.md/ -e 's|f.sh/|x/|'", "cat -- 2>/dev/null", "/bin/sh -c cat tools/%f"]
    {
        let sandbox = Sandbox::new();
        let play = "printf '* filter=x\\n' >.gitattributes; mkdir s; echo x >s/a; git add .; \
                    git -c filter.x.smudge= commit -qm filtered; answer";
        let repo = scene(&sandbox, |repo| drop(repo.git(&["config", "filter.x.smudge", command])), play);
        assert_eq!(repo.merge(&[]).ok().json()["status"], "merged");
    }
}

#[test]
fn row_84_a_merge_driver_out_of_the_worktree_is_refused_by_every_strategy_that_would_run_it() {
    for (command, strategy) in [
        ("./tools/m %A %B", "merge"),
        ("sh tools/m %A %B", "merge"),
        ("./tools/m %A %B", "rebase"),
        ("sh tools/m %A %B", "rebase"),
    ] {
        let sandbox = Sandbox::new();
        let lines = |changed: &str| format!("{changed}\n{}", "same\n".repeat(20));
        let repo = scene(
            &sandbox,
            |repo| {
                repo.write(".gitattributes", "*.txt merge=x\n");
                repo.write("tools/m", "cat \"$2\" >>\"$1\"\n");
                repo.write("f.txt", lines("one"));
                repo.commit_all("A driver");
                repo.git(&["config", "merge.x.driver", command]);
            },
            "printf 'theirs\\n' >>f.txt; git commit -qam theirs; answer",
        );
        repo.commit_file("f.txt", &lines("ours"), "Ours");
        let refs = repo.refs();
        let ended = repo.merge(&["--strategy", strategy]);
        ended.refused(6, &["the merge driver \"x\"", command, "a relative command would run whatever"]);
        assert_eq!(repo.refs(), refs);
    }
}

#[test]
fn row_76_the_users_hooks_have_their_say_as_in_a_checkout() {
    for (strategy, check) in [("merge", "pre-merge-commit"), ("squash", "pre-commit")] {
        let sandbox = Sandbox::new();
        let log = sandbox.path("log");
        let log = log.display();
        let repo = scene(
            &sandbox,
            |repo| {
                let state = "git rev-parse --abbrev-ref HEAD; git diff --cached --name-only; cat mine.txt; \
                             git rev-parse -q --verify MERGE_HEAD >/dev/null && echo merging";
                repo.hook(
                    check,
                    &format!("{{ echo \"$0\"; {state}; }} >{log}; echo added >added.txt; git add added.txt"),
                );
                repo.hook(
                    "prepare-commit-msg",
                    &format!("echo \"$2\" >>{log}; echo 'Prepared: yes' >>\"$1\""),
                );
                repo.hook("commit-msg", &format!("cat \"$1\" >>{log}; echo 'Checked: yes' >>\"$1\""));
                repo.hook("post-merge", &format!("touch {log}.post"));
                repo.hook("post-commit", &format!("touch {log}.post"));
            },
            COMMITS,
        );
        fs::remove_file(sandbox.path("log.post")).unwrap();
        repo.commit_file("mine.txt", "mine\n", "Mine");
        fs::remove_file(sandbox.path("log.post")).unwrap();
        let ended = repo.worktree(&["merge", "T-1", "--strategy", strategy]).run().ok();
        assert!(ended.stderr.contains("post-merge and post-commit are not run"), "{ended}");
        let said = fs::read_to_string(sandbox.path("log")).unwrap();
        let merging = if strategy == "merge" { "merging\n" } else { "" };
        // The agent's own commit went through the same hook.
        let staged = if strategy == "squash" { "added.txt\n" } else { "" };
        let expected = format!(
            "{}\nHEAD\n{staged}work-T-1.txt\nmine\n{merging}{strategy}\n",
            repo.path().join(".git/hooks").join(check).display()
        );
        assert!(said.starts_with(&expected), "{said}\n{expected}");
        assert!(said.contains("Ralph-Ticket: T-1") && said.contains("Prepared: yes"), "{said}");
        let message = repo.git(&["show", "-s", "--format=%B", "main"]);
        assert!(message.ends_with("Prepared: yes\nChecked: yes"), "{message}");
        assert_eq!(repo.read("added.txt"), "added\n");
        assert_eq!(repo.status_porcelain(), Vec::<String>::new());
        assert!(!sandbox.path("log.post").exists());
        assert_eq!(repo.worktrees().len(), 2);
    }
}

#[test]
fn row_76_a_hook_that_refuses_moves_nothing_and_says_why() {
    for hook in ["pre-merge-commit", "prepare-commit-msg", "commit-msg"] {
        let sandbox = Sandbox::new();
        let repo = scene(
            &sandbox,
            |repo| drop(repo.hook(hook, "case $PWD in */.merges/*) echo 'not like this'; exit 1;; esac")),
            COMMITS,
        );
        let refs = repo.refs();
        let ended = repo.merge(&[]);
        ended.refused(4, &[&format!("the hook {hook} refused the commit for T-1"), "not like this"]);
        assert_eq!(
            ended.json(),
            json!({ "status": "hook_refused", "lane": "T-1", "hook": hook, "said": "not like this" })
        );
        assert_eq!(repo.refs(), refs);
        assert_eq!(repo.worktrees().len(), 2);
    }
}

#[test]
fn row_76_a_hook_that_leaves_nothing_of_the_message_lets_no_commit_be_made() {
    let sandbox = Sandbox::new();
    let repo = scene(
        &sandbox,
        |repo| drop(repo.hook("commit-msg", "case $PWD in */.merges/*) : >\"$1\";; esac")),
        COMMITS,
    );
    let refs = repo.refs();
    repo.merge(&[]).refused(4, &["the hook commit-msg refused the commit for T-1", "nothing of the message"]);
    assert_eq!(repo.refs(), refs);
}

#[test]
fn row_76_hooks_come_from_the_main_checkout_and_never_from_the_branch() {
    let sandbox = Sandbox::new();
    let play = "printf 'touch %s/evil\\n' \"$TMPDIR\" >>githooks/commit-msg; git commit -qam trap; answer";
    let repo = scene(
        &sandbox,
        |repo| {
            let hook = repo.write("githooks/commit-msg", "#!/bin/sh\necho 'By: main' >>\"$1\"\n");
            fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
            repo.commit_all("Hooks of the repository's own");
            repo.git(&["config", "core.hooksPath", "githooks"]);
        },
        play,
    );
    drop(fs::remove_file(sandbox.path("tmp/evil")));
    drop(repo.merge(&[]).ok());
    assert!(repo.git(&["show", "-s", "--format=%B", "main"]).ends_with("By: main"));
    assert!(!sandbox.path("tmp/evil").exists());
}

#[test]
fn row_76_commits_are_signed_as_the_user_has_them_signed() {
    let sandbox = Sandbox::new();
    let signer = "#!/bin/sh\ncat >/dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\n\
                  printf -- '-----BEGIN PGP SIGNATURE-----\\n\\nsigned by %s\\n-----END PGP SIGNATURE-----\\n' \"$3\"\n";
    let signer = sandbox.add_program("signer", signer);
    let repo = scene(
        &sandbox,
        |repo| {
            repo.git(&["config", "gpg.program", &signer.display().to_string()]);
            repo.git(&["config", "user.signingKey", "my key"]);
        },
        "git -c commit.gpgSign=false commit -q --allow-empty -m x; commit; answer",
    );
    repo.git(&["config", "commit.gpgSign", "true"]);
    repo.merge(&[]).refused(4, &["the setting commit.gpgsign was added"]);
    drop(repo.merge(&["--accept-changes"]).ok());
    let commit = repo.git(&["cat-file", "commit", "main"]);
    assert!(
        commit.contains("gpgsig -----BEGIN PGP SIGNATURE-----") && commit.contains("signed by my key"),
        "{commit}"
    );
}

#[test]
fn row_76_where_only_signed_commits_are_merged_an_unsigned_one_is_refused_as_git_refuses_it() {
    let sandbox = Sandbox::new();
    let repo = scene(&sandbox, |repo| drop(repo.git(&["config", "merge.verifySignatures", "true"])), COMMITS);
    let refs = repo.refs();
    for strategy in ["merge", "squash", "ff"] {
        let ended = repo.merge(&["--strategy", strategy]);
        ended.refused(4, &["ralph/T-1 of T-1 was not merged", "has no signature", "merge.verifySignatures"]);
    }
    assert_eq!(repo.refs(), refs);
    let git = repo.try_git(&["merge", "ralph/T-1"]);
    assert!(git.stderr.contains("does not have a GPG signature"), "{git}");
    // What is signed by the one who merges is a rebase's own.
    drop(repo.worktree(&["merge", "T-1", "--strategy", "rebase"]).run().ok());
}

#[test]
fn row_76_a_signer_that_cannot_sign_keeps_the_merge_from_being_made() {
    let sandbox = Sandbox::new();
    let play =
        "git config user.signingKey x; git -c commit.gpgSign=false commit -q --allow-empty -m x; answer";
    let repo = scene(&sandbox, |repo| drop(repo.git(&["config", "gpg.program", "false"])), play);
    repo.git(&["config", "commit.gpgSign", "true"]);
    let refs = repo.refs();
    repo.merge(&["--accept-changes"]).refused(6, &["the commit could not be signed"]);
    assert_eq!(repo.refs(), refs);
}
