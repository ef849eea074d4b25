//! What was removed comes back as it was, byte for byte, whatever was going on in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::world::{TREE, World, assert_same, lane};
use crate::git::tests::fixture::Fixture;
use crate::git::{BranchBack, HeadBack};
use crate::removal::{IfUnsaved, Place, Stage, restore, trash};
use crate::session::store::Store;

/// Removes the lane, lets git throw away what it can meanwhile, and brings the lane back.
fn there_and_back(world: &World) {
    let before = world.snapshot();
    world.throw_away();
    world.git("repo", &["worktree", "prune", "--expire=now"]);
    world.git("repo", &["reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all"]);
    world.git("repo", &["gc", "--quiet", "--prune=now"]);
    let restored = world.restore().unwrap();
    assert_eq!(restored.path, world.tree());
    assert_eq!(restored.head, HeadBack::AsItWas);
    assert_same(&before, &world.snapshot());
    world.git("repo", &["fsck", "--strict", "--no-dangling"]);
    assert!(world.git(TREE, &["worktree", "list"]).contains("/t-1 "));
    // Nothing stays behind in the trash.
    assert_eq!(world.git("repo", &["for-each-ref", "refs/ralph"]), "");
    assert_eq!(fs::read_dir(world.store.root().join("trash")).unwrap().count(), 0);
    let left: Vec<_> = fs::read_dir(world.fixture.path("repo.ralph/.trash")).unwrap().collect();
    assert_eq!(left.len(), 1, "only .gitignore: {left:?}");
}

#[test]
fn a_clean_worktree() {
    there_and_back(&World::new());
}

#[test]
fn a_worktree_with_commits_of_its_own() {
    let world = World::new();
    world.write("new", "x");
    world.fixture.commit_all(TREE, "work");
    there_and_back(&world);
}

#[test]
fn files_of_every_kind_staged_and_not_and_ignored() {
    let world = World::new();
    world.write(".gitignore", "*.log\n/secret/\n");
    world.write("run.sh", "#!/bin/sh\n");
    world.write("gone", "x");
    world.write("both", "committed\n");
    world.fixture.commit_all(TREE, "work");
    // Staged, and then changed once more: three versions, of which only the index holds the second.
    world.write("both", "staged\n");
    world.write("only staged", "nowhere else\n");
    world.git(TREE, &["add", "both", "only staged"]);
    world.write("both", "unstaged\n");
    fs::remove_file(world.tree().join("only staged")).unwrap();
    world.git(TREE, &["rm", "-q", "gone"]);
    world.git(TREE, &["mv", "README.md", "renamed.md"]);
    world.write("intent", "to add\n");
    world.git(TREE, &["add", "--intent-to-add", "intent"]);
    fs::set_permissions(world.tree().join("run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    world.write("untracked/deep/file", [0, 159, 146, 150]);
    world.write("run.log", "ignored\n");
    world.write("secret/.env", "KEY=value\n");
    fs::set_permissions(world.tree().join("secret/.env"), fs::Permissions::from_mode(0o400)).unwrap();
    fs::create_dir(world.tree().join("empty folder")).unwrap();
    symlink("../outside", world.tree().join("link")).unwrap();
    symlink("/nowhere", world.tree().join("secret/dangling")).unwrap();
    world.write(".ralph/manifest.json", "{}");
    world.git(TREE, &["update-index", "--assume-unchanged", "src/main.rs"]);
    world.write("src/main.rs", "hidden change\n");
    there_and_back(&world);
}

fn contradict(world: &World) {
    world.write("README.md", "the lane's\n");
    world.fixture.commit_all(TREE, "the lane's");
    world.fixture.write("repo/README.md", "main's\n");
    world.fixture.commit_all("repo", "main's");
}

#[test]
fn a_merge_at_a_conflict_which_can_then_be_ended() {
    let world = World::new();
    contradict(&world);
    world.git_stops(TREE, &["merge", "main"]);
    there_and_back(&world);
    world.write("README.md", "both\n");
    world.git(TREE, &["commit", "-q", "-a", "--no-edit"]);
    assert_eq!(world.git(TREE, &["log", "-1", "--format=%P"]).split(' ').count(), 2);
}

#[test]
fn a_conflict_that_was_resolved_and_can_be_made_again() {
    let world = World::new();
    contradict(&world);
    world.git_stops(TREE, &["merge", "main"]);
    world.write("README.md", "both\n");
    world.git(TREE, &["add", "README.md"]);
    there_and_back(&world);
    world.git(TREE, &["checkout", "--merge", "README.md"]);
    assert!(fs::read_to_string(world.tree().join("README.md")).unwrap().contains("<<<<<<<"));
}

#[test]
fn a_stopped_rebase_which_can_then_be_called_off_with_all_that_was_put_aside() {
    let world = World::new();
    contradict(&world);
    let tip = world.git(TREE, &["rev-parse", "HEAD"]);
    world.write("src/main.rs", "uncommitted\n");
    world.git_stops(TREE, &["rebase", "--autostash", "main"]);
    there_and_back(&world);
    world.git(TREE, &["rebase", "--abort"]);
    assert_eq!(world.git(TREE, &["rev-parse", "HEAD"]), tip);
    assert_eq!(fs::read_to_string(world.tree().join("src/main.rs")).unwrap(), "uncommitted\n");
}

#[test]
fn a_detached_head_with_commits_that_nothing_else_leads_to() {
    let world = World::new();
    world.git(TREE, &["switch", "-q", "--detach"]);
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "first try"]);
    let first = world.git(TREE, &["rev-parse", "HEAD"]);
    world.git(TREE, &["commit", "-q", "--allow-empty", "--amend", "-m", "second try"]);
    there_and_back(&world);
    assert_eq!(world.git(TREE, &["cat-file", "-t", &first]), "commit");
}

#[test]
fn a_bisection_with_references_of_its_own() {
    let world = World::new();
    for n in 0..4 {
        world.git(TREE, &["commit", "-q", "--allow-empty", "-m", &n.to_string()]);
    }
    world.git(TREE, &["bisect", "start", "HEAD", "HEAD~4"]);
    world.git(TREE, &["update-ref", "refs/worktree/mine", "HEAD~1"]);
    there_and_back(&world);
    world.git(TREE, &["bisect", "good"]);
}

#[test]
fn a_worktree_that_was_moved_by_git() {
    let world = World::new();
    world.git("repo", &["worktree", "unlock", "../repo.ralph/t-1"]);
    world.git("repo", &["worktree", "move", "../repo.ralph/t-1", "../elsewhere"]);
    world.fixture.write("elsewhere/new", "x");
    let removed = world.remove(IfUnsaved::ToTrash).unwrap();
    assert_eq!(removed.path, world.fixture.path("elsewhere"));
    assert!(!removed.path.exists());
    assert!(removed.trash.unwrap().starts_with(world.fixture.path("repo.ralph/.trash")));
    let restored = world.restore().unwrap();
    assert_eq!(restored.path, world.fixture.path("elsewhere"));
    assert_eq!(world.git("elsewhere", &["status", "--porcelain"]), "?? new");
}

#[test]
fn a_worktree_with_a_submodule() {
    let fixture = Fixture::new();
    fixture.init("library", &[]);
    fixture.write("library/lib.rs", "x");
    fixture.commit_all("library", "one");
    fixture.git("repo", &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library"]);
    fixture.git("repo", &["commit", "-q", "-m", "submodule"]);
    let world = World::over(fixture);
    world.make_lane("t-1");
    world.git(TREE, &["-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init"]);
    world.write("library/new", "x");
    there_and_back(&world);
    assert!(world.git(&format!("{TREE}/library"), &["status", "--porcelain"]).contains("new"));
}

#[test]
fn worktrees_of_unusual_repositories() {
    for settings in [
        &["core.splitIndex", "true"][..],
        &["core.untrackedCache", "true"],
        &["extensions.worktreeConfig", "true"],
        &["core.logAllRefUpdates", "false"],
    ] {
        let fixture = Fixture::new();
        fixture.git("repo", &["config", settings[0], settings[1]]);
        let world = World::over(fixture);
        world.make_lane("t-1");
        world.write("staged", "x");
        world.git(TREE, &["add", "staged"]);
        world.write("new", "x");
        there_and_back(&world);
    }
    let fixture = Fixture::new();
    fixture.git("repo", &["sparse-checkout", "set", "docs"]);
    let world = World::over(fixture);
    world.make_lane("t-1");
    world.write("new", "x");
    there_and_back(&world);
}

#[test]
fn a_worktree_that_is_linked_by_relative_paths() {
    let world = World::new();
    let (link, back) = (world.tree().join(".git"), world.admin().join("gitdir"));
    fs::write(link, "gitdir: ../../repo/.git/worktrees/t-1\n").unwrap();
    fs::write(back, "../../../../repo.ralph/t-1/.git\n").unwrap();
    world.write("new", "x");
    there_and_back(&world);
}

#[test]
fn a_registration_whose_name_was_taken_meanwhile_gets_another() {
    let world = World::new();
    world.write("new", "x");
    world.git(TREE, &["add", "new"]);
    world.throw_away();
    // git gives the user's own worktree the name that the lane's had.
    world.git("repo", &["worktree", "add", "-q", "-b", "mine", "../mine/t-1"]);
    assert!(world.admin().exists());
    let restored = world.restore().unwrap();
    assert_eq!(world.git(TREE, &["status", "--porcelain"]), "A  new");
    assert_eq!(world.git("mine/t-1", &["status", "--porcelain"]), "");
    assert_eq!(world.store.lane(&restored.lane).unwrap().unwrap().worktree_id, "t-1-2");
}

#[test]
fn while_it_is_in_the_trash_it_is_no_worktree_of_anyones() {
    let world = World::new();
    let trash = world.throw_away().trash.unwrap();
    world.make_lane("t-1");
    // The new lane's worktree has the old one's name; nothing in the trash leads to it.
    assert!(!trash.join(".git").exists());
    assert_eq!(world.git(TREE, &["status", "--porcelain"]), "");
}

#[test]
fn a_lane_whose_folder_is_gone_loses_only_its_registration() {
    let world = World::new();
    world.make_lane("t-2");
    world.git(TREE, &["commit", "-q", "--allow-empty", "-m", "work"]);
    fs::remove_dir_all(world.tree()).unwrap();
    // Row 34; that of another lane whose folder is gone stays.
    fs::remove_dir_all(world.fixture.path("repo.ralph/t-2")).unwrap();
    let removed = world.remove(IfUnsaved::Refuse).unwrap();
    assert_eq!(removed.trash, None);
    assert_eq!(world.store.lane(&lane("t-1")).unwrap(), None);
    assert_eq!(
        world.git("repo", &["branch", "--list", "--format=%(refname:short)", "ralph/t-1"]),
        "ralph/t-1"
    );
    assert!(!world.admin().exists());
    assert!(world.repo.common_dir().join("worktrees/t-2").exists());
    world.restore().unwrap();
    assert!(world.admin().exists());
    assert!(world.store.lane(&lane("t-1")).unwrap().is_some());
}

#[test]
fn a_lane_of_which_only_its_record_is_left() {
    let world = World::new();
    world.git("repo", &["worktree", "remove", "--force", "--force", "../repo.ralph/t-1"]);
    world.remove(IfUnsaved::Refuse).unwrap();
    assert_eq!(world.store.lane(&lane("t-1")).unwrap(), None);
    assert_eq!(world.git("repo", &["branch", "--list", "ralph/*"]), "");
    let restored = world.restore().unwrap();
    assert!(matches!(restored.branch_back, BranchBack::Remade(_)));
    assert!(world.store.lane(&lane("t-1")).unwrap().is_some());
    assert_ne!(world.git("repo", &["branch", "--list", "ralph/*"]), "");
}

#[test]
fn the_newest_of_several_comes_back_first() {
    let world = World::new();
    world.write("which", "the first\n");
    world.throw_away();
    world.make_lane("t-1");
    world.write("which", "the second\n");
    world.throw_away();
    assert_eq!(trash(&world.store).unwrap().0.iter().filter(|r| r.stage == Stage::Removed).count(), 2);
    let which = || fs::read_to_string(world.tree().join("which")).unwrap();
    world.restore().unwrap();
    assert_eq!(which(), "the second\n");
    world.throw_away();
    world.restore().unwrap();
    assert_eq!(which(), "the second\n");
}

#[test]
fn a_worktree_on_another_file_system_goes_to_a_trash_beside_it() {
    use std::os::unix::fs::MetadataExt;
    let world = World::over(Fixture::new());
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return println!("skipped: no /dev/shm") };
    let device = |path: &std::path::Path| fs::metadata(path).unwrap().dev();
    if device(other.path()) == device(&world.fixture.root) {
        return println!("skipped: /dev/shm is no file system of its own");
    }
    let path = other.path().canonicalize().unwrap().join("t-1");
    let record = world.make_lane_at("t-1", &path);
    assert_eq!(record.worktree, path.to_str().unwrap());
    fs::write(path.join("new"), "x").unwrap();
    fs::create_dir_all(world.fixture.path("repo.ralph")).unwrap();
    let removed = world.remove(IfUnsaved::ToTrash).unwrap();
    assert!(removed.trash.unwrap().starts_with(other.path().join(".trash")));
    world.restore().unwrap();
    assert_eq!(fs::read_to_string(path.join("new")).unwrap(), "x");
}

#[test]
fn a_worktree_of_a_bare_repository() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "--bare", "repo", "bare.git"]);
    fs::remove_dir_all(fixture.path("repo")).unwrap();
    fs::rename(fixture.path("bare.git"), fixture.path("repo")).unwrap();
    let world = World::over(fixture);
    world.make_lane("t-1");
    world.write("staged", "x");
    world.git(TREE, &["add", "staged"]);
    there_and_back(&world);
}

#[test]
fn a_worktree_of_a_repository_that_was_moved_meanwhile() {
    let world = World::new();
    world.write("staged", "x");
    world.git(TREE, &["add", "staged"]);
    world.throw_away();
    fs::rename(world.fixture.path("repo"), world.fixture.path("moved")).unwrap();
    let repo = world.fixture.open("moved");
    let store = Store::at(repo.common_dir());
    restore(&Place { repo: &repo, store: &store, ..world.place() }, &lane("t-1")).unwrap();
    assert_eq!(world.git(TREE, &["status", "--porcelain"]), "A  staged");
    assert!(world.git("moved", &["worktree", "list"]).contains("/t-1 "));
}
