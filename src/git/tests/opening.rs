//! Finding, judging and opening the repository where one stands.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::fixture::{Fixture, PATIENCE, program};
use crate::git::config::Settings;
use crate::git::conversions::LineEnds;
use crate::git::{ErrorClass, GitError, GitProgram, Repo, Unsupported};

/// A program whose user is at home there.
fn at_home(home: &Path) -> GitProgram {
    program().with_env("HOME", home)
}

#[test]
fn includes_that_libgit2_does_not_follow_are_followed_as_git_follows_them() {
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap().trim().to_owned();
    let fixture = Fixture::new();
    std::fs::create_dir(fixture.path("repo/p")).unwrap();
    std::os::unix::fs::symlink(&fixture.root, fixture.path("home")).unwrap();
    let home = fixture.path("home");
    fixture.write("repo/.git/more", "[core]\n\tautocrlf\n\thooksPath = /hooks\n[commit]\n\tgpgSign = true\n");
    let plain = std::fs::read_to_string(fixture.path("repo/.git/config")).unwrap();
    let remote = "[remote \"origin\"]\n\turl = https://example.com/a\n";
    let path = format!("path = {}\n", fixture.path("repo/.git/more").display());
    let mut followed = Vec::new();
    for lines in [
        format!("{remote}[includeIf \"hasconfig:remote.*.url:https://example.com/**\"]\n{path}"),
        format!("{remote}[includeIf \"hasconfig:remote.*.url:https://example.org/**\"]\n{path}"),
        format!("[includeIf \"gitdir:~/repo/\"]\n{path}"),
        format!("[includeIf \"gitdir:~/other/\"]\n{path}"),
        format!("[includeIf \"gitdir:./\"]\n{path}"),
        format!("[include]\n{path}"),
        format!("[core]\n\tattributesFile = ~{user}/none\n"),
        format!("[core]\n\thooksPath = ~{user}/none\n"),
    ] {
        fixture.write("repo/.git/config", format!("{plain}{lines}"));
        let repo = Repo::open_with(&fixture.path("repo"), at_home(&home)).unwrap();
        let settings = repo.settings().unwrap();
        let said = |kind: &str, key: &str| {
            let args = ["config", kind, "--get", key];
            let out = fixture.command("repo", &args).env("HOME", &home).output().unwrap().stdout;
            let text = String::from_utf8(out).unwrap().trim_end().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let is_on = |key| said("--type=bool", key).is_some_and(|text| text == "true");
        assert_eq!(settings.flag("commit.gpgSign"), is_on("commit.gpgSign"), "{lines}");
        assert_eq!(LineEnds::of(&settings).unwrap().rewrite(), is_on("core.autocrlf"), "{lines}");
        let said = |key| said("--type=path", key).map(PathBuf::from);
        assert_eq!(settings.attributes_file(), said("core.attributesFile"), "{lines}");
        assert_eq!(settings.hooks_path(), said("core.hooksPath"), "{lines}");
        followed.push(settings.flag("commit.gpgSign"));
    }
    assert_eq!(followed, [true, false, true, false, false, true, false, false]);
}

#[test]
fn git_is_asked_for_settings_only_where_libgit2_may_hide_some() {
    let fixture = Fixture::new();
    let asks = |home: &Path| {
        let repo = Repo::open_with(&fixture.path("repo"), at_home(home)).unwrap();
        matches!(repo.settings().unwrap(), Settings::Listed(..))
    };
    fixture.git("repo", &["config", "include.path", "~/none"]);
    fixture.git("repo", &["config", "includeIf.onbranch:x.path", "none"]);
    fixture.git("repo", &["config", "includeIf.gitdir:~/work/.path", "none"]);
    fixture.git("repo", &["config", "core.hooksPath", "~/hooks"]);
    assert!(!asks(&fixture.root));
    std::os::unix::fs::symlink(&fixture.root, fixture.path("home")).unwrap();
    assert!(asks(&fixture.path("home")));
}

#[test]
fn the_same_repository_is_found_from_every_place_in_it() {
    let fixture = Fixture::new();
    fixture.git("repo", &["worktree", "add", "-q", "../linked"]);
    fixture.git(".", &["clone", "-q", "--separate-git-dir=apart.git", "repo", "clone"]);
    let main = fixture.path("repo");
    for (from, current) in [
        ("repo", Some("repo")),
        ("repo/src", Some("repo")),
        ("repo/.git", None),
        ("repo/.git/worktrees/linked", None),
        ("linked", Some("linked")),
        ("linked/src", Some("linked")),
    ] {
        let repo = fixture.open(from);
        assert_eq!(repo.common_dir(), main.join(".git"), "from {from}");
        assert_eq!(repo.main_checkout(), Some(main.as_path()), "from {from}");
        assert_eq!(repo.current_worktree(), current.map(|c| fixture.path(c)).as_deref(), "from {from}");
    }
    let apart = fixture.open("clone/src");
    assert_eq!(apart.common_dir(), fixture.path("apart.git"));
    assert_eq!(apart.main_checkout(), Some(fixture.path("clone").as_path()));
}

#[test]
fn a_submodule_is_a_repository_of_its_own() {
    let fixture = Fixture::new();
    fixture.init("inner", &[]);
    fixture.write("inner/file", "x");
    fixture.commit_all("inner", "one");
    fixture.git("repo", &["-c", "protocol.file.allow=always", "submodule", "-q", "add", "../inner", "sub"]);
    fixture.git("repo", &["commit", "-q", "-m", "sub"]);
    let repo = fixture.open("repo/sub");
    assert_eq!(repo.common_dir(), fixture.path("repo/.git/modules/sub"));
    assert_eq!(repo.main_checkout(), Some(fixture.path("repo/sub").as_path()));
    assert_eq!(fixture.open("repo/.git/modules/sub").main_checkout(), repo.main_checkout());
}

#[test]
fn a_bare_repository_has_no_main_checkout_and_its_worktrees_find_it() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "--bare", "repo", "bare.git"]);
    fixture.git("bare.git", &["worktree", "add", "-q", "-b", "other", "../linked"]);
    for from in ["bare.git", "bare.git/refs", "linked"] {
        let repo = fixture.open(from);
        assert_eq!(repo.common_dir(), fixture.path("bare.git"), "from {from}");
        assert_eq!(repo.main_checkout(), None, "from {from}");
        assert!(repo.is_bare());
    }
    assert_eq!(fixture.open("linked").head_base().unwrap().name, "other");
    assert_eq!(fixture.open("bare.git").head_base().unwrap().name, "main");
}

#[test]
fn variables_that_bind_git_to_another_repository_are_not_looked_at() {
    const INSIDE: &str = "RALPH_TEST_INSIDE_A_HOOK";
    if let Ok(folder) = std::env::var(INSIDE) {
        let folder = Path::new(&folder);
        let repo = Repo::open_with(&folder.join("repo"), program()).unwrap();
        assert_eq!(repo.common_dir(), folder.join("repo/.git"));
        let call = repo.read().args(["rev-parse", "--absolute-git-dir"]).succeed().unwrap();
        assert_eq!(String::from_utf8(call).unwrap().trim_end(), folder.join("repo/.git").to_str().unwrap());
        repo.read().args(["cat-file", "-e", "HEAD:README.md"]).succeed().unwrap();
        return;
    }
    let fixture = Fixture::new();
    fixture.init("other", &[]);
    let out = std::process::Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "git::tests::opening::variables_that_bind_git_to_another_repository_are_not_looked_at",
        ])
        .env(INSIDE, &fixture.root)
        .env("GIT_DIR", fixture.path("other/.git"))
        .env("GIT_WORK_TREE", fixture.path("other"))
        .env("GIT_INDEX_FILE", fixture.path("other/.git/index"))
        .env("GIT_OBJECT_DIRECTORY", fixture.path("other/.git/objects"))
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.worktree")
        .env("GIT_CONFIG_VALUE_0", "/nonexistent")
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    assert!(String::from_utf8_lossy(&out.stdout).contains("1 passed"), "the test did not run inside itself");
}

#[test]
fn sha256_and_reftable_are_refused_in_one_sentence_and_nothing_has_changed() {
    let fixture = Fixture::empty();
    fixture.init("sha256", &["--object-format=sha256"]);
    fixture.init("reftable", &[]);
    // Written by hand: git 2.39 cannot make one.
    fixture.git("reftable", &["config", "core.repositoryFormatVersion", "1"]);
    fixture.git("reftable", &["config", "extensions.refStorage", "reftable"]);
    for (name, expected) in [("sha256", Unsupported::Sha256), ("reftable", Unsupported::Reftable)] {
        let error = Repo::open_with(&fixture.path(name), program()).unwrap_err();
        assert!(matches!(&error, GitError::Unsupported { what, .. } if *what == expected), "{error}");
        assert_eq!(error.class(), ErrorClass::CannotDo);
        assert!(!error.to_string().contains('\n'));
        assert!(!fixture.path(name).join(".git/ralph").exists());
    }
}

#[test]
fn a_repository_of_another_user_is_refused_with_what_to_say_to_git() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "--bare", "repo", "bare.git"]);
    fixture.git("repo", &["worktree", "add", "-q", "../linked"]);
    fixture.git(".", &["clone", "-q", "repo", "partial"]);
    fixture.git("partial", &["config", "core.repositoryFormatVersion", "1"]);
    fixture.git("partial", &["config", "extensions.partialClone", "origin"]);
    for name in ["repo", "bare.git", "linked", "partial"] {
        if !give_away(&fixture.path(name)) {
            eprintln!("skipped: only root can give files away");
            return;
        }
        let error = Repo::open_with(&fixture.path(name), program()).unwrap_err();
        assert!(matches!(&error, GitError::ForeignOwner { .. }), "{name}: {error}");
        assert_eq!(error.class(), ErrorClass::CannotDo);
        let advice = format!("safe.directory {}", fixture.path(name).display());
        assert!(error.hint().unwrap().ends_with(&format!("{advice}`")), "{:?}", error.hint());
    }
}

fn give_away(path: &Path) -> bool {
    walkdir::WalkDir::new(path)
        .into_iter()
        .all(|item| std::os::unix::fs::lchown(item.unwrap().path(), Some(12345), None).is_ok())
}

#[test]
fn a_path_that_no_record_can_hold_is_refused() {
    let fixture = Fixture::new();
    let odd = fixture.root.join(OsStr::from_bytes(b"re\xffpo"));
    std::fs::rename(fixture.path("repo"), &odd).unwrap();
    let error = Repo::open_with(&odd, program()).unwrap_err();
    assert!(matches!(error, GitError::NotUtf8 { .. }), "{error}");
}

#[test]
fn no_repository_is_said_with_where_was_looked() {
    let fixture = Fixture::empty();
    for name in [".", "not/there"] {
        let error = Repo::open_with(&fixture.path(name), program()).unwrap_err();
        assert!(matches!(error, GitError::NotARepository { .. }), "{error}");
        assert_eq!(error.class(), ErrorClass::NotFound);
    }
}

#[test]
fn an_unborn_head_is_refused_with_what_to_do() {
    let fixture = Fixture::empty();
    fixture.init("repo", &[]);
    let error = fixture.repo().head_base().unwrap_err();
    assert!(matches!(&error, GitError::Unborn { branch, .. } if branch == "main"), "{error}");
    assert!(error.hint().unwrap().contains("first commit"));
}

#[test]
fn row_19_the_lock_is_private_exclusive_and_waited_for_a_bounded_time() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let held = fixture.repo().lock(PATIENCE).unwrap();
    let error = fixture.repo().lock(Duration::from_millis(20)).unwrap_err();
    assert!(
        matches!(&error, GitError::LockBusy { path, .. } if path.ends_with("ralph/repo.lock")),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Refused);
    drop(held);
    drop(fixture.repo().lock(PATIENCE).unwrap());
    let mode = std::fs::metadata(fixture.path("repo/.git/ralph")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}
