//! What a merge without a checkout comes to is what git itself makes of the same commits in one.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fixture::Fixture;
use crate::git::{
    CommitId, GitError, GitProgram, Joined, Rebased, Repo, TreeMerge, join, merge_trees, rebase,
    touched_files,
};

/// What a merge or a rebase came to: the trees of the commits, or the files in conflict.
#[derive(Debug, PartialEq, Eq)]
enum Result {
    Trees(Vec<String>),
    Conflict(BTreeSet<PathBuf>),
}

fn id(fixture: &Fixture, name: &str) -> CommitId {
    fixture.git("repo", &["rev-parse", &format!("{name}^{{commit}}")]).parse().unwrap()
}

fn scratch(fixture: &Fixture) -> PathBuf {
    let folder = fixture.path("scratch");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What git makes of it in a checkout of its own.
fn by_git(fixture: &Fixture, at: &str, args: &[&str]) -> Result {
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "../oracle", at]);
    let done = fixture.command("oracle", args).output().unwrap();
    let result = match done.status.success() {
        true => Result::Trees(vec![fixture.git("oracle", &["rev-parse", "HEAD^{tree}"])]),
        false => {
            let files = fixture.git("oracle", &["diff", "--name-only", "--diff-filter=U"]);
            assert!(!files.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
            let plain = |file: &str| {
                let ends = ["~HEAD".to_owned(), format!("~{}", args.last().unwrap())];
                PathBuf::from(ends.iter().find_map(|end| file.strip_suffix(end.as_str())).unwrap_or(file))
            };
            Result::Conflict(files.lines().map(plain).collect())
        }
    };
    fixture.git("repo", &["worktree", "remove", "--force", "../oracle"]);
    result
}

fn merged(fixture: &Fixture, ours: &str, theirs: &str) -> Result {
    let (ours, theirs) = (id(fixture, ours), id(fixture, theirs));
    match merge_trees(&fixture.repo(), &scratch(fixture), &ours, &theirs).unwrap() {
        TreeMerge::Clean(tree) => Result::Trees(vec![tree.as_str().to_owned()]),
        TreeMerge::Conflict(files) => Result::Conflict(files.into_iter().collect()),
    }
}

fn rebased(fixture: &Fixture, onto: &str, tip: &str) -> Result {
    let (onto, tip) = (id(fixture, onto), id(fixture, tip));
    match rebase(&fixture.repo(), &scratch(fixture), &onto, &tip).unwrap() {
        Rebased::Clean(commit) => {
            Result::Trees(vec![fixture.git("repo", &["rev-parse", &format!("{commit}^{{tree}}")])])
        }
        Rebased::Conflict { files, .. } => Result::Conflict(files.into_iter().collect()),
    }
}

/// Merging and rebasing come to what git makes of it; answers whether the merge is clean.
#[track_caller]
fn assert_as_git_does(fixture: &Fixture, ours: &str, theirs: &str) -> bool {
    let oracle = by_git(fixture, ours, &["merge", "-q", "--no-ff", "-m", "merge", theirs]);
    assert_eq!(merged(fixture, ours, theirs), oracle, "merging {theirs} into {ours}");
    let rebase = by_git(fixture, theirs, &["rebase", "-q", "--merge", ours]);
    assert_eq!(rebased(fixture, ours, theirs), rebase, "rebasing {theirs} onto {ours}");
    matches!(oracle, Result::Trees(_))
}

fn lines(count: usize) -> String {
    (1..=count).map(|n| format!("line {n}\n")).collect()
}

/// A repository whose `main` and `side` both changed something since `base`.
struct Forked(Fixture);

impl Forked {
    fn new(base: impl FnOnce(&Fixture), main: impl FnOnce(&Fixture), side: impl FnOnce(&Fixture)) -> Self {
        let fixture = Fixture::new();
        base(&fixture);
        fixture.commit_all("repo", "base");
        fixture.git("repo", &["switch", "-q", "-c", "side"]);
        side(&fixture);
        fixture.commit_all("repo", "side");
        fixture.git("repo", &["switch", "-q", "main"]);
        main(&fixture);
        fixture.commit_all("repo", "main");
        Self(fixture)
    }
}

fn git(fixture: &Fixture, args: &[&str]) {
    drop(fixture.git("repo", args));
}

#[test]
fn a_file_that_one_side_renamed_and_the_other_edited() {
    let forked = Forked::new(
        |f| f.write("repo/old", lines(20)),
        |f| f.write("repo/old", lines(20).replace("line 15", "main's")),
        |f| {
            git(f, &["mv", "old", "new"]);
            f.write("repo/new", lines(20).replace("line 3", "side's"));
        },
    );
    assert!(assert_as_git_does(&forked.0, "main", "side"));
    // The other way round, and with renames switched off by the user.
    assert!(assert_as_git_does(&forked.0, "side", "main"));
    git(&forked.0, &["config", "merge.renames", "false"]);
    assert_as_git_does(&forked.0, "main", "side");
}

#[test]
fn a_folder_that_one_side_renamed_and_the_other_added_to() {
    let forked = Forked::new(
        |f| {
            f.write("repo/dir/a", lines(9));
            f.write("repo/dir/b", lines(12));
        },
        |f| f.write("repo/dir/c", "new here"),
        |f| git(f, &["mv", "dir", "moved"]),
    );
    for setting in ["true", "false", "conflict"] {
        git(&forked.0, &["config", "merge.directoryRenames", setting]);
        assert_eq!(assert_as_git_does(&forked.0, "main", "side"), setting != "conflict", "{setting}");
    }
}

#[test]
fn files_of_every_kind_in_conflict() {
    let forked = Forked::new(
        |f| {
            f.write("repo/edited", lines(3));
            f.write("repo/deleted", lines(3));
            f.write("repo/mode", lines(3));
            f.write("repo/clean", lines(20));
        },
        |f| {
            f.write("repo/edited", lines(3).replace("line 2", "main's"));
            f.write("repo/deleted", lines(3).replace("line 2", "main's"));
            f.write("repo/both-added", "main's");
            f.write("repo/clean", lines(20).replace("line 2\n", "main's\n"));
            symlink("main", f.path("repo/link")).unwrap();
            f.write("repo/folder-or-file", "file");
        },
        |f| {
            f.write("repo/edited", lines(3).replace("line 2", "side's"));
            fs::remove_file(f.path("repo/deleted")).unwrap();
            f.write("repo/both-added", "side's");
            f.write("repo/clean", lines(20).replace("line 19\n", "side's\n"));
            symlink("side", f.path("repo/link")).unwrap();
            f.write("repo/folder-or-file/x", "in a folder");
        },
    );
    assert!(!assert_as_git_does(&forked.0, "main", "side"));
}

#[test]
fn modes_and_links_that_only_one_side_changed() {
    let executable = |f: &Fixture, name: &str| {
        fs::set_permissions(f.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    };
    let forked = Forked::new(
        |f| {
            f.write("repo/script", lines(5));
            f.write("repo/becomes-link", "x");
            symlink("a", f.path("repo/link")).unwrap();
        },
        |f| f.write("repo/script", lines(5).replace("line 1", "main's")),
        |f| {
            executable(f, "repo/script");
            fs::remove_file(f.path("repo/becomes-link")).unwrap();
            symlink("b", f.path("repo/becomes-link")).unwrap();
            fs::remove_file(f.path("repo/link")).unwrap();
            symlink("b", f.path("repo/link")).unwrap();
        },
    );
    assert!(assert_as_git_does(&forked.0, "main", "side"));
}

#[test]
fn drivers_that_attributes_name_do_their_work() {
    for attributes in ["repo/.gitattributes", "repo/.git/info/attributes", "repo/sub/.gitattributes"] {
        let forked = Forked::new(
            |f| {
                f.write(attributes, "*.log merge=union\n*.own merge=own\n");
                for name in ["a.log", "a.own"] {
                    f.write(&format!("repo/sub/{name}"), "start\n");
                }
                git(f, &["config", "merge.own.driver", "cat %B >> %A"]);
            },
            |f| {
                f.write("repo/sub/a.log", "start\nmain\n");
                f.write("repo/sub/a.own", "start\nmain\n");
            },
            |f| {
                f.write("repo/sub/a.log", "start\nside\n");
                f.write("repo/sub/a.own", "start\nside\n");
            },
        );
        assert!(assert_as_git_does(&forked.0, "main", "side"), "{attributes}");
    }
}

#[test]
fn attributes_that_only_one_side_has_count_where_they_are_checked_out() {
    let forked = Forked::new(
        |f| f.write("repo/a.log", "start\n"),
        |f| f.write("repo/a.log", "start\nmain\n"),
        |f| {
            f.write("repo/.gitattributes", "*.log merge=union\n");
            f.write("repo/a.log", "start\nside\n");
        },
    );
    let merge = |ours, theirs| by_git(&forked.0, ours, &["merge", "-q", "--no-ff", "-m", "merge", theirs]);
    for (ours, theirs) in [("main", "side"), ("side", "main")] {
        assert_eq!(merged(&forked.0, ours, theirs), merge(ours, theirs), "{theirs} into {ours}");
    }
    assert!(matches!(merge("side", "main"), Result::Trees(_)));
    assert!(matches!(merge("main", "side"), Result::Conflict(_)));
}

#[test]
fn line_ends_are_made_the_same_where_the_user_wants_that() {
    let forked = Forked::new(
        |f| f.write("repo/text", lines(10).replace('\n', "\r\n")),
        |f| f.write("repo/text", lines(10).replace("line 9", "main's").replace('\n', "\r\n")),
        |f| {
            f.write("repo/.gitattributes", "* text=auto\n");
            f.write("repo/text", lines(10).replace("line 2", "side's"));
        },
    );
    for setting in ["true", "false"] {
        git(&forked.0, &["config", "merge.renormalize", setting]);
        let oracle = by_git(&forked.0, "main", &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        assert_eq!(merged(&forked.0, "main", "side"), oracle, "{setting}");
    }
}

#[test]
fn the_users_diff_algorithm_counts_as_it_does_for_git() {
    let base = "a\nb\nc\na\nb\nb\na\n";
    let forked = Forked::new(
        |f| f.write("repo/f", base),
        |f| f.write("repo/f", "c\na\nb\nb\na\nx\n"),
        |f| f.write("repo/f", "a\nb\nb\na\nb\nc\nb\n"),
    );
    for algorithm in ["myers", "minimal", "patience", "histogram"] {
        git(&forked.0, &["config", "diff.algorithm", algorithm]);
        assert_as_git_does(&forked.0, "main", "side");
    }
}

#[test]
fn histories_that_cross() {
    let fixture = Fixture::new();
    fixture.write("repo/f", lines(30));
    fixture.write("repo/g", lines(5));
    fixture.commit_all("repo", "base");
    git(&fixture, &["branch", "side"]);
    let edit = |branch: &str, file: &str, line: usize| {
        git(&fixture, &["switch", "-q", branch]);
        let text = fs::read_to_string(fixture.path(&format!("repo/{file}"))).unwrap();
        let text = text.replace(&format!("line {line}\n"), &format!("line {line} of {branch}\n"));
        fixture.write(&format!("repo/{file}"), text);
        fixture.commit_all("repo", branch);
    };
    edit("main", "f", 3);
    edit("side", "f", 20);
    git(&fixture, &["branch", "main-1", "main"]);
    git(&fixture, &["switch", "-q", "main"]);
    git(&fixture, &["merge", "-q", "-m", "cross", "side"]);
    git(&fixture, &["switch", "-q", "side"]);
    git(&fixture, &["merge", "-q", "-m", "cross", "main-1"]);
    edit("main", "f", 10);
    edit("side", "f", 28);
    assert!(assert_as_git_does(&fixture, "main", "side"));
    edit("main", "g", 1);
    edit("side", "g", 1);
    assert!(!assert_as_git_does(&fixture, "main", "side"));
}

#[test]
fn submodules_that_one_side_moved_and_that_both_did() {
    // Two histories of a submodule, of which the repository has only the names.
    let at = |f: &Fixture, digit: &str, path: &str| {
        let entry = format!("160000,{},{path}", digit.repeat(40));
        git(f, &["update-index", "--add", "--cacheinfo", &entry]);
        git(f, &["commit", "-q", "-m", digit]);
    };
    let fixture = Fixture::new();
    at(&fixture, "1", "mods/one");
    at(&fixture, "2", "mods/other");
    git(&fixture, &["branch", "side"]);
    at(&fixture, "3", "mods/one");
    git(&fixture, &["switch", "-q", "side"]);
    at(&fixture, "4", "mods/other");
    git(&fixture, &["switch", "-q", "main"]);
    assert!(matches!(merged(&fixture, "main", "side"), Result::Trees(_)));
    let oracle = fixture.git("repo", &["merge-tree", "--write-tree", "main", "side"]);
    assert_eq!(merged(&fixture, "main", "side"), Result::Trees(vec![oracle]));
    at(&fixture, "5", "mods/other");
    assert_eq!(merged(&fixture, "main", "side"), Result::Conflict(BTreeSet::from(["mods/other".into()])));
}

#[test]
fn what_cannot_be_merged_says_so() {
    let fixture = Fixture::new();
    git(&fixture, &["switch", "-q", "--orphan", "alone"]);
    git(&fixture, &["commit", "-q", "--allow-empty", "-m", "alone"]);
    git(&fixture, &["switch", "-q", "main"]);
    let merge = || {
        let (main, alone) = (id(&fixture, "main"), id(&fixture, "alone"));
        merge_trees(&fixture.repo(), &scratch(&fixture), &main, &alone)
    };
    assert!(matches!(merge(), Err(GitError::UnrelatedHistories { .. })));
    git(&fixture, &["config", "pull.twohead", "ours"]);
    assert!(matches!(merge(), Err(GitError::MergeStrategyUnknown { .. })));
}

#[test]
fn a_driver_out_of_the_worktree_is_refused_where_it_is_used() {
    let forked = Forked::new(
        |f| f.write("repo/src/lib.rs", lines(20)),
        |f| f.write("repo/src/lib.rs", lines(20).replace("line 3\n", "main's\n")),
        |f| f.write("repo/src/lib.rs", lines(20).replace("line 15\n", "side's\n")),
    );
    let fixture = &forked.0;
    git(fixture, &["config", "merge.tool.driver", "./tools/merge %A %B"]);
    let merge =
        || merge_trees(&fixture.repo(), &scratch(fixture), &id(fixture, "main"), &id(fixture, "side"));
    assert!(merge().is_ok());
    fixture.write("repo/.git/info/attributes", "*.rs merge=tool\n");
    assert!(matches!(merge(), Err(GitError::RelativeDriver { .. })));
}

#[test]
fn several_tips_are_joined_without_a_working_tree_and_always_to_the_same_commit() {
    let fixture = Fixture::new();
    fixture.write("repo/f", lines(30));
    fixture.commit_all("repo", "base");
    for (branch, line) in [("a", 3), ("b", 12), ("c", 25), ("d", 12)] {
        git(&fixture, &["switch", "-q", "-c", branch, "main"]);
        fixture.write("repo/f", lines(30).replace(&format!("line {line}\n"), &format!("{branch}'s\n")));
        fixture.commit_all("repo", branch);
    }
    git(&fixture, &["switch", "-q", "-c", "on-a", "a"]);
    fixture.write("repo/g", "x");
    fixture.commit_all("repo", "on a");
    git(&fixture, &["switch", "-q", "main"]);
    let tip = |name: &str| id(&fixture, name);
    let joined = |first: &str, others: &[&str]| {
        let others: Vec<CommitId> = others.iter().map(|name| tip(name)).collect();
        join(&fixture.repo(), &tip(first), &others, "Join").unwrap()
    };
    // One is itself, and so is one that has the others.
    assert_eq!(joined("a", &[]), Joined::Commit(tip("a")));
    assert_eq!(joined("a", &["a", "on-a", "main"]), Joined::Commit(tip("on-a")));
    let Joined::Commit(three) = joined("a", &["b", "c"]) else { panic!("they fit together") };
    assert_eq!(joined("a", &["b", "c"]), Joined::Commit(three.clone()));
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "../oracle", "a"]);
    fixture.git("oracle", &["merge", "-q", "-m", "x", "b"]);
    fixture.git("oracle", &["merge", "-q", "-m", "x", "c"]);
    let tree = |folder: &str, name: &str| fixture.git(folder, &["rev-parse", &format!("{name}^{{tree}}")]);
    assert_eq!(tree("repo", three.as_str()), tree("oracle", "HEAD"));
    assert_eq!(fixture.git("repo", &["rev-list", "--count", &format!("main..{three}")]), "5");
    let conflict = Joined::Conflict { files: vec!["f".into()], between: (tip("b"), tip("d")) };
    assert_eq!(joined("a", &["b", "c", "d"]), conflict);
    assert_eq!(fixture.git("repo", &["status", "--porcelain"]), "");
}

/// Two branches that changed different files, among them in one folder.
fn apart() -> Forked {
    Forked::new(
        |f| {
            f.write("repo/both/a", "a");
            f.write("repo/both/b", "b");
        },
        |f| {
            f.write("repo/both/a", "main's");
            f.write("repo/both/deeper/new", "main's");
        },
        |f| {
            f.write("repo/both/b", "side's");
            fs::set_permissions(f.path("repo/both/b"), fs::Permissions::from_mode(0o755)).unwrap();
            f.write("repo/both/deeper/other", "side's");
        },
    )
}

#[test]
fn changes_of_different_files_are_joined_without_a_process_to_the_commit_that_git_makes() {
    let forked = apart();
    let fixture = &forked.0;
    let tips = [id(fixture, "main"), id(fixture, "side")];
    let joined = |repo: &Repo| join(repo, &tips[0], &tips[1..], "Join both\n\n").unwrap();
    let by_git = joined(&fixture.repo());
    git(fixture, &["config", "user.name", "A U Thor"]);
    git(fixture, &["config", "user.email", "author@example.com"]);
    let no_program = Repo::open_with(&fixture.path("repo"), GitProgram::new("/no/such/program")).unwrap();
    assert_eq!(joined(&no_program), by_git);
    assert!(assert_as_git_does(fixture, "main", "side"));
    // What the two together cannot tell is git's: here a name that git would not write as it is said.
    git(fixture, &["config", "user.name", "A U <Thor>"]);
    let refused = join(&no_program, &tips[0], &tips[1..], "Join both");
    assert!(matches!(refused, Err(GitError::ProgramMissing { .. })), "{refused:?}");
}

#[test]
fn where_objects_were_replaced_git_is_asked() {
    let forked = apart();
    let fixture = &forked.0;
    let blob = |name: &str| fixture.git("repo", &["rev-parse", &format!("{name}:both/a")]);
    git(fixture, &["replace", &blob("side"), &blob("main")]);
    let repo = Repo::open_with(&fixture.path("repo"), GitProgram::new("/no/such/program")).unwrap();
    let asked = merge_trees(&repo, &scratch(fixture), &id(fixture, "main"), &id(fixture, "side"));
    assert!(matches!(asked, Err(GitError::ProgramMissing { .. })), "{asked:?}");
}

#[test]
fn the_files_that_a_branch_touched_are_counted_from_where_it_left_its_base() {
    let forked = Forked::new(
        |f| {
            f.write("repo/edited", "x");
            f.write("repo/old name", lines(9));
        },
        |f| f.write("repo/mains", "x"),
        |f| {
            f.write("repo/edited", "y");
            git(f, &["mv", "old name", "new\nname"]);
        },
    );
    let touched = touched_files(&forked.0.repo(), &id(&forked.0, "main"), &id(&forked.0, "side")).unwrap();
    assert_eq!(touched, BTreeSet::from(["edited", "new\nname", "old name"].map(PathBuf::from)));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Edit(u8, u8),
    Append(u8),
    Rename(u8, u8),
    Delete(u8),
    Executable(u8),
    Link(u8),
    Merge,
}

fn step() -> impl Strategy<Value = Step> {
    let file = 0..6u8;
    prop_oneof![
        4 => (file.clone(), 0..12u8).prop_map(|(file, line)| Step::Edit(file, line)),
        2 => file.clone().prop_map(Step::Append),
        2 => (file.clone(), 0..10u8).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => file.clone().prop_map(Step::Delete),
        1 => file.clone().prop_map(Step::Executable),
        1 => file.prop_map(Step::Link),
        1 => Just(Step::Merge),
    ]
}

fn name(file: u8) -> String {
    format!("{}/f{file}", if file.is_multiple_of(2) { "even" } else { "odd" })
}

impl Step {
    /// Does it on the branch that is checked out, if it can be done there.
    fn take(&self, fixture: &Fixture, branch: &str, number: usize) {
        let path = |file: u8| fixture.path("repo").join(name(file));
        let text = |file: u8| fs::read_to_string(path(file)).ok();
        let mine = format!("{branch} {number}");
        match self {
            Self::Edit(file, line) => {
                if let Some(text) = text(*file) {
                    let edited = text.lines().enumerate().map(|(at, old)| {
                        if at == usize::from(*line) { format!("{mine}\n") } else { format!("{old}\n") }
                    });
                    fs::write(path(*file), edited.collect::<String>()).unwrap();
                }
            }
            Self::Append(file) => {
                fs::create_dir_all(path(*file).parent().unwrap()).unwrap();
                fs::write(path(*file), text(*file).unwrap_or_default() + &mine + "\n").unwrap();
            }
            Self::Rename(from, to) => {
                if path(*from).is_file() && path(*to).symlink_metadata().is_err() {
                    fs::create_dir_all(path(*to).parent().unwrap()).unwrap();
                    fs::rename(path(*from), path(*to)).unwrap();
                }
            }
            Self::Delete(file) => drop(fs::remove_file(path(*file))),
            Self::Executable(file) => {
                if path(*file).is_file() && !path(*file).is_symlink() {
                    fs::set_permissions(path(*file), fs::Permissions::from_mode(0o755)).unwrap();
                }
            }
            Self::Link(file) => {
                drop(fs::remove_file(path(*file)));
                fs::create_dir_all(path(*file).parent().unwrap()).unwrap();
                symlink(&mine, path(*file)).unwrap();
            }
            Self::Merge => {
                let other = if branch == "main" { "side" } else { "main" };
                let done = fixture.command("repo", &["merge", "-q", "-m", "cross", other]).output().unwrap();
                if !done.status.success() {
                    drop(fixture.command("repo", &["merge", "--abort"]).output().unwrap());
                }
            }
        }
        git(fixture, &["add", "-A"]);
        git(fixture, &["commit", "-q", "--allow-empty", "-m", &mine]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_two_histories_come_to_what_git_makes_of_them(
        steps in proptest::collection::vec((any::<bool>(), step()), 1..10),
    ) {
        let fixture = Fixture::new();
        for file in 0..6 {
            fixture.write(&format!("repo/{}", name(file)), lines(12));
        }
        fixture.write("repo/.gitattributes", "odd/* merge=union\n");
        fixture.commit_all("repo", "base");
        git(&fixture, &["branch", "side"]);
        for (number, (on_main, step)) in steps.iter().enumerate() {
            let branch = if *on_main { "main" } else { "side" };
            git(&fixture, &["switch", "-q", branch]);
            step.take(&fixture, branch, number);
        }
        git(&fixture, &["switch", "-q", "main"]);
        let before = fixture.git("repo", &["status", "--porcelain"]);
        let oracle = by_git(&fixture, "main", &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        // Nothing to do is nothing that is asked for.
        if id(&fixture, "side") != id(&fixture, "main") {
            prop_assert_eq!(merged(&fixture, "main", "side"), oracle);
        }
        prop_assert_eq!(fixture.git("repo", &["status", "--porcelain"]), before);
        prop_assert!(!Path::new(&fixture.path("repo/.git/worktrees")).exists());
    }

    #[test]
    fn changes_and_additions_on_two_sides_come_to_what_git_makes_of_them(
        changes in proptest::collection::vec((0..3u8, 0..2u8, 0..3u8, 0..4u8, any::<bool>()), 1..14),
    ) {
        let fixture = Fixture::new();
        for file in 0..3 {
            fixture.write(&format!("repo/d0/f{file}"), "old");
            fixture.write(&format!("repo/d1/deep/f{file}"), "old");
        }
        fixture.commit_all("repo", "base");
        git(&fixture, &["branch", "side"]);
        for branch in ["main", "side"] {
            git(&fixture, &["switch", "-q", branch]);
            for (folder, deep, file, content, _) in changes.iter().filter(|change| change.4 == (branch == "main")) {
                let deep = if *deep == 1 { "deep/" } else { "" };
                let name = format!("repo/d{folder}/{deep}f{file}");
                let path = fixture.path(&name);
                match content {
                    // The same on both sides, now and then.
                    0 | 1 => fixture.write(&name, format!("new {content}")),
                    2 => fixture.write(&name, branch),
                    _ if path.is_file() => fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap(),
                    _ => fixture.write(&name, "old"),
                }
            }
            git(&fixture, &["add", "-A"]);
            git(&fixture, &["commit", "-q", "--allow-empty", "-m", branch]);
        }
        git(&fixture, &["switch", "-q", "main"]);
        let oracle = by_git(&fixture, "main", &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        prop_assert_eq!(merged(&fixture, "main", "side"), oracle);
    }
}
