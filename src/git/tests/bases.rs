//! What a lane starts from.

use super::fixture::Fixture;
use crate::git::{ErrorClass, GitError, Repo, UpstreamAhead};
use crate::id::RefName;

fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

/// Two commits on `main`, a tag of each kind, a remote branch, and a branch `old` that lags behind it.
fn history() -> Fixture {
    let fixture = Fixture::new();
    fixture.git("repo", &["tag", "light"]);
    fixture.git("repo", &["tag", "-a", "-m", "x", "heavy"]);
    fixture.git("repo", &["tag", "a-tree", "HEAD^{tree}"]);
    fixture.git("repo", &["branch", "old"]);
    fixture.git("repo", &["branch", "release/1.x"]);
    fixture.write("repo/two", "2");
    fixture.commit_all("repo", "two");
    fixture.git("repo", &["remote", "add", "origin", "."]);
    fixture.git("repo", &["update-ref", "refs/remotes/origin/main", "HEAD"]);
    fixture.git("repo", &["config", "branch.old.remote", "origin"]);
    fixture.git("repo", &["config", "branch.old.merge", "refs/heads/main"]);
    fixture
}

/// The same repository, opened through each engine.
fn both(fixture: &Fixture) -> [Repo; 2] {
    let by_libgit2 = fixture.repo();
    std::fs::rename(fixture.path("repo/.git/config"), fixture.path("config")).unwrap();
    let config = std::fs::read_to_string(fixture.path("config")).unwrap();
    let version = config.replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    fixture.write("repo/.git/config", format!("{version}[extensions]\n\tpartialClone = origin\n"));
    [by_libgit2, fixture.repo()]
}

#[test]
fn a_base_is_a_branch_a_tag_a_remote_branch_or_a_commit() {
    let fixture = history();
    let one = fixture.git("repo", &["rev-parse", "HEAD~1"]);
    let two = fixture.git("repo", &["rev-parse", "HEAD"]);
    for repo in both(&fixture) {
        for (given, called, commit) in [
            ("main", "main", &two),
            ("refs/heads/main", "main", &two),
            ("HEAD", "main", &two),
            ("release/1.x", "release/1.x", &one),
            ("light", "light", &one),
            ("heavy", "heavy", &one),
            ("refs/tags/heavy", "refs/tags/heavy", &one),
            ("origin/main", "origin/main", &two),
            (&one[..7], one.as_str(), &one),
            (&one.to_uppercase(), one.as_str(), &one),
        ] {
            let base = repo.resolve_base(&name(given)).unwrap();
            assert_eq!((base.name.as_str(), base.commit.as_str()), (called, commit.as_str()), "{given}");
        }
        let error = repo.resolve_base(&name("a-tree")).unwrap_err();
        assert_eq!(
            error.class(),
            if repo_is_program(&repo) { ErrorClass::NotFound } else { ErrorClass::Usage }
        );
    }
}

fn repo_is_program(repo: &Repo) -> bool {
    matches!(repo.backend(), crate::git::repo::Backend::Program(_))
}

#[test]
fn a_branch_comes_before_a_tag_and_a_tag_before_a_commit() {
    let fixture = history();
    let one = fixture.git("repo", &["rev-parse", "HEAD~1"]);
    let two = fixture.git("repo", &["rev-parse", "HEAD"]);
    fixture.git("repo", &["tag", "both", "HEAD"]);
    fixture.git("repo", &["branch", "both", "HEAD~1"]);
    fixture.git("repo", &["tag", &one[..8], "HEAD"]);
    for repo in both(&fixture) {
        assert_eq!(repo.resolve_base(&name("both")).unwrap().commit.as_str(), one);
        assert_eq!(repo.resolve_base(&name(&one[..8])).unwrap().commit.as_str(), two);
    }
}

#[test]
fn a_detached_head_is_named_by_its_commit() {
    let fixture = history();
    let one = fixture.git("repo", &["rev-parse", "HEAD~1"]);
    fixture.git("repo", &["checkout", "-q", "--detach", "HEAD~1"]);
    for repo in both(&fixture) {
        assert_eq!(repo.head_base().unwrap().name, one);
    }
}

#[test]
fn a_base_that_is_not_there_is_answered_with_the_nearest_branches() {
    let fixture = history();
    for repo in both(&fixture) {
        let error = repo.resolve_base(&name("relase/1.x")).unwrap_err();
        assert!(
            matches!(&error, GitError::NoSuchBase { nearest, .. } if nearest == &["release/1.x"]),
            "{error}"
        );
        assert_eq!(error.class(), ErrorClass::NotFound);
        for given in ["abc", "0123456789", "refs/heads/nope", "zzz"] {
            let error = repo.resolve_base(&name(given)).unwrap_err();
            assert!(matches!(error, GitError::NoSuchBase { .. }), "{given}: {error}");
        }
    }
}

#[test]
fn a_base_whose_upstream_is_ahead_says_by_how_many_commits() {
    let fixture = history();
    for repo in both(&fixture) {
        let base = repo.resolve_base(&name("old")).unwrap();
        assert_eq!(base.upstream_ahead, Some(UpstreamAhead { upstream: "origin/main".to_owned(), by: 1 }));
        assert_eq!(repo.resolve_base(&name("main")).unwrap().upstream_ahead, None);
    }
}

#[test]
fn a_shallow_clone_works() {
    let fixture = history();
    let url = format!("file://{}", fixture.path("repo").display());
    fixture.git(".", &["clone", "-q", "--depth=1", &url, "shallow"]);
    let repo = fixture.open("shallow");
    assert_eq!(repo.head_base().unwrap().name, "main");
    let site = crate::git::Site { path: fixture.path("shallow.ralph/t-1"), ..fixture.site("t-1") };
    fixture.dispatch(&repo, &site);
    assert_eq!(fixture.git("shallow.ralph/t-1", &["status", "--porcelain"]), "");
}
