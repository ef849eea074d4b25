//! Repositories whose files only git itself checks out right (rows 42 to 44 of the catalogue of faults): the worktree
//! that ralph makes is the one that `git worktree add` makes, and what an agent does in it is counted right.

use std::path::Path;

use crate::helpers::agents::COMMITS;
use crate::helpers::lanes::text;
use crate::helpers::repo::PROMPT;
use crate::helpers::sandbox::write_program;
use crate::helpers::tree::{Entry, Tree};
use crate::helpers::{Repo, Sandbox, ScriptedPi};

/// What git would have made: a worktree of the same commit, beside.
fn gits_own<'s>(sandbox: &'s Sandbox, repo: &Repo<'_>, name: &str) -> Repo<'s> {
    let path = sandbox.work().join(name);
    repo.git(&["worktree", "add", "--quiet", "--detach", path.to_str().unwrap(), "main"]);
    Repo::at(sandbox, path)
}

/// Fails unless the two worktrees hold the same files, and git sees the same in both.
#[track_caller]
fn assert_same(ours: &Repo<'_>, gits: &Repo<'_>) {
    let files = |repo: &Repo<'_>| Tree::of(repo).without(&[".git", ".ralph"]);
    let changes = files(gits).changes_to(&files(ours));
    assert!(changes.is_empty(), "ralph's worktree is not git's:\n{}", changes.join("\n"));
    for look in [
        &["ls-files", "-v", "--stage", "--sparse"][..],
        &["status", "--porcelain"],
        &["config", "--list", "--show-scope"],
    ] {
        assert_eq!(ours.git(look), gits.git(look), "git {}", look.join(" "));
    }
    assert_eq!(ours.status_porcelain(), Vec::<String>::new());
}

/// Makes a lane and compares; then lets an agent work in another, and looks at what was counted.
#[track_caller]
fn assert_works(sandbox: &Sandbox, repo: &Repo<'_>) {
    repo.create(&["T-1"]);
    assert_same(&repo.tree_of(sandbox, "T-1"), &gits_own(sandbox, repo, "gits"));
    let pi = ScriptedPi::new(sandbox);
    pi.plays(COMMITS);
    let manifest = repo.finished(&["T-2"]);
    assert_eq!(manifest["outcome"], "succeeded", "{manifest:#}");
    let counted = ["commits", "files_changed", "insertions", "uncommitted", "untracked"];
    assert_eq!(counted.map(|what| manifest["work"][what].as_u64().unwrap()), [1, 1, 1, 0, 0], "{manifest:#}");
    // And once more in the same worktree, which is looked at before it is used again.
    assert_eq!(repo.finished(&["T-2"])["outcome"], "succeeded");
    repo.fsck();
}

/// A repository with folders to leave out, the prompt and two tickets.
fn with_folders<'s>(sandbox: &'s Sandbox, name: &str) -> Repo<'s> {
    let repo = Repo::unborn(sandbox, name);
    repo.ticket("T-1", "One");
    repo.ticket("T-2", "Two");
    repo.write(".pi/prompts/tf.md", PROMPT);
    for path in ["in/a.txt", "in/deep/b.txt", "out/c.txt", "out/deep/d.txt", "top.txt"] {
        repo.write(path, format!("{path}\n"));
    }
    repo.commit_all("Start");
    repo
}

#[test]
fn row_42_filters_encodings_and_line_ends_are_gits() {
    let sandbox = Sandbox::new();
    let repo = with_folders(&sandbox, "app");
    repo.git(&["config", "filter.upper.smudge", "tr a-z A-Z"]);
    repo.git(&["config", "filter.upper.clean", "tr A-Z a-z"]);
    repo.git(&["config", "filter.upper.required", "true"]);
    repo.write("in/.gitattributes", "*.txt filter=upper\n");
    repo.write(".gitattributes", "*.crlf text eol=crlf\n*.id ident\n*.u16 working-tree-encoding=UTF-16LE\n");
    repo.write("lines.crlf", "one\r\ntwo\r\n");
    repo.write("name.id", "$Id$\n");
    repo.write("wide.u16", "w\0i\0d\0e\0\n\0");
    repo.write("run.sh", "#!/bin/sh\n");
    repo.git(&["add", "--chmod=+x", "run.sh"]);
    std::os::unix::fs::symlink("top.txt", repo.path().join("link")).unwrap();
    repo.commit_all("Filtered");
    assert_works(&sandbox, &repo);
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!(
        (tree.read("in/a.txt"), tree.read("lines.crlf")),
        ("IN/A.TXT\n".into(), "one\r\ntwo\r\n".into())
    );
}

#[test]
fn row_42_settings_that_the_environment_names_are_everyones() {
    let sandbox = Sandbox::new();
    let settings = sandbox.write(
        "elsewhere/global",
        "[filter \"upper\"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n\trequired = true\n",
    );
    sandbox.set_env("GIT_CONFIG_GLOBAL", &settings);
    let settings = sandbox.write("elsewhere/system", "[core]\n\tautocrlf = true\n");
    sandbox.set_env("GIT_CONFIG_SYSTEM", &settings);
    sandbox.unset_env("GIT_CONFIG_NOSYSTEM");
    let origin = with_folders(&sandbox, "app");
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let system_only = sandbox.work().join("plain");
    origin.git(&["clone", "--quiet", ".", system_only.to_str().unwrap()]);
    assert_works(&sandbox, &Repo::at(&sandbox, &system_only));
    assert_eq!(Repo::at(&sandbox, &system_only).tree_of(&sandbox, "T-1").read("top.txt"), "top.txt\r\n");

    origin.commit_file("in/.gitattributes", "*.txt filter=upper\n", "Filtered");
    // Also where libgit2 does not open the repository.
    let partial = origin.clone_as("partial", &["--filter=blob:none"]);
    for repo in [&origin, &partial] {
        repo.create(&["T-1"]);
        let tree = repo.tree_of(&sandbox, "T-1");
        assert_eq!((tree.read("in/a.txt"), tree.status_porcelain()), ("IN/A.TXT\r\n".into(), Vec::new()));
    }
}

#[test]
fn row_42_settings_and_attributes_of_a_git_of_another_prefix_are_everyones() {
    let sandbox = Sandbox::new();
    let real = sandbox.bin().join("git").canonicalize().unwrap();
    let settings = sandbox.write("prefix/etc/gitconfig", "[core]\n\tautocrlf = true\n");
    // The real git, which can be told of other settings of the machine, but not of other attributes.
    let attributes = sandbox.path("prefix/etc/gitattributes");
    let git = format!(
        "#!/bin/sh\ncase \"$*\" in *'var GIT_ATTR_SYSTEM') echo '{}'; exit;; esac\nGIT_CONFIG_SYSTEM='{}' exec '{}' \"$@\"\n",
        attributes.display(),
        settings.display(),
        real.display()
    );
    write_program(&sandbox.path("prefix/bin/git"), git);
    for name in ["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"] {
        sandbox.unset_env(name);
    }
    sandbox.remove_tool("git");
    std::os::unix::fs::symlink(sandbox.path("prefix/bin/git"), sandbox.bin().join("git")).unwrap();
    let repo = with_folders(&sandbox, "app");
    assert_works(&sandbox, &repo);
    assert_eq!(repo.tree_of(&sandbox, "T-1").read("top.txt"), "top.txt\r\n");

    std::fs::remove_file(&settings).unwrap();
    std::fs::write(&attributes, "*.txt eol=crlf\n").unwrap();
    repo.ticket("T-3", "Three");
    repo.create(&["T-3"]);
    let tree = repo.tree_of(&sandbox, "T-3");
    assert_eq!((tree.read("top.txt"), tree.read("in/a.txt")), ("top.txt\r\n".into(), "in/a.txt\r\n".into()));
    // Where libgit2 would write them, which reads other attributes.
    repo.git(&["config", "core.ignorecase", "true"]);
    let doctor = sandbox.ralph(&["doctor"]).in_dir(repo.path()).run();
    assert!(doctor.stdout.contains("by the git program"), "{doctor}");
}

#[test]
fn row_48_a_variable_that_leads_elsewhere_moves_neither_files_nor_branches() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let elsewhere = sandbox.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for (name, value) in [
        ("GIT_WORK_TREE", elsewhere.to_str().unwrap()),
        ("GIT_NAMESPACE", "apart"),
        ("GIT_CEILING_DIRECTORIES", "/"),
    ] {
        sandbox.set_env(name, value);
    }
    repo.create(&["T-1"]);
    for name in ["GIT_WORK_TREE", "GIT_NAMESPACE", "GIT_CEILING_DIRECTORIES"] {
        sandbox.unset_env(name);
    }
    assert!(Tree::of(&elsewhere).0.is_empty());
    assert_eq!(repo.git(&["for-each-ref", "--format=%(refname)"]), "refs/heads/main\nrefs/heads/ralph/T-1");
    let tree = repo.tree_of(&sandbox, "T-1");
    assert_eq!((tree.status_porcelain(), tree.has("README.md")), (Vec::new(), true));
}

#[test]
fn row_42_a_filter_that_the_branch_itself_brings_along_is_not_run() {
    let sandbox = Sandbox::new();
    let repo = Repo::new(&sandbox);
    let ran = sandbox.path("ran");
    repo.git(&["config", "filter.own.smudge", "./tools/filter"]);
    repo.write(".gitattributes", "*.txt filter=own\n");
    repo.write("a.txt", "a\n");
    let program = format!("#!/bin/sh\ntouch '{}'\ncat\n", ran.display());
    crate::helpers::sandbox::write_program(&repo.path().join("tools/filter"), program);
    repo.commit_all("Its own filter");
    std::fs::remove_file(&ran).ok();
    let error = repo.worktree(&["create", "T-1", "--json"]).run().expect_code(6).error();
    assert!(text(&error["message"]).contains("\"./tools/filter\""), "{error}");
    assert!(text(&error["hint"]).contains("filter.own"), "{error}");
    assert!(!ran.exists());
    assert_eq!((repo.branches(), repo.worktrees().len()), (vec!["main".to_owned()], 1));
    assert!(Tree::of(sandbox.work().join("app.ralph")).0.is_empty());
}

#[test]
fn row_43_a_sparse_checkout_with_a_sparse_index_is_gits() {
    let sandbox = Sandbox::new();
    let repo = with_folders(&sandbox, "app");
    repo.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "in", ".pi", ".tickets"]);
    assert_works(&sandbox, &repo);
    let tree = repo.tree_of(&sandbox, "T-1");
    assert!(tree.has("in/deep/b.txt") && tree.has("top.txt") && !tree.has("out"));
}

#[test]
fn row_43_sparse_patterns_without_cones_are_gits() {
    let sandbox = Sandbox::new();
    let repo = with_folders(&sandbox, "app");
    repo.git(&["sparse-checkout", "set", "--no-cone", "/*", "!deep/", "out/deep/"]);
    assert_works(&sandbox, &repo);
    let tree = repo.tree_of(&sandbox, "T-1");
    assert!(tree.has("out/deep/d.txt") && !tree.has("in/deep"));
}

#[test]
fn row_43_a_split_index_is_gits() {
    for how in [&["update-index", "--split-index"][..], &["config", "core.splitIndex", "true"]] {
        let sandbox = Sandbox::new();
        let repo = with_folders(&sandbox, "app");
        repo.git(how);
        repo.git(&["status"]);
        assert_works(&sandbox, &repo);
    }
}

#[test]
fn row_43_settings_of_the_worktree_one_stands_in_come_along_as_gits_do() {
    let sandbox = Sandbox::new();
    let repo = with_folders(&sandbox, "app");
    repo.git(&["config", "extensions.worktreeConfig", "true"]);
    repo.git(&["config", "--worktree", "user.signingKey", "mine"]);
    assert_works(&sandbox, &repo);
}

#[test]
fn row_44_a_partial_clone_fetches_what_the_checkout_needs() {
    let sandbox = Sandbox::new();
    let origin = with_folders(&sandbox, "origin");
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    origin.commit_file("top.txt", "now\n", "Second");
    let repo = origin.clone_as("app", &["--filter=blob:none", "--no-checkout"]);
    let missing = || repo.git(&["rev-list", "--objects", "--missing=print", "--all"]).matches("\n?").count();
    assert!(missing() > 1, "the clone has everything");
    assert_works(&sandbox, &repo);
    let content = Tree::of(repo.tree_of(&sandbox, "T-1")).0.remove(Path::new("top.txt"));
    assert!(matches!(content, Some(Entry::File { content, .. }) if content == b"now\n"));
    assert!(missing() >= 1, "only what was needed was fetched");
}

#[test]
fn row_44_in_a_partial_clone_too_a_branch_that_stands_for_the_users_does_not_take_that_along() {
    let sandbox = Sandbox::new();
    let origin = with_folders(&sandbox, "origin");
    origin.git(&["config", "uploadpack.allowFilter", "true"]);
    let repo = origin.clone_as("app", &["--filter=blob:none"]);
    // As git itself writes it or not, by its version: libgit2 does not open such a repository.
    repo.git(&["config", "core.repositoryFormatVersion", "1"]);
    repo.git(&["config", "extensions.partialClone", "origin"]);
    let pi = ScriptedPi::new(&sandbox);
    pi.plays("git symbolic-ref refs/heads/ralph/T-1 refs/heads/main; answer");
    let main = repo.rev_parse("refs/heads/main");
    drop(repo.finished(&["T-1"]));
    drop(repo.worktree(&["remove", "T-1"]).run().ok());
    assert_eq!(repo.rev_parse("refs/heads/main"), main);
}
