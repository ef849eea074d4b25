//! A repository from nothing, and its history drawn.

use super::fixture::{Fixture, program};
use crate::git::{Author, FirstCommit, Repo, begin};

const FIRST: FirstCommit<'_> =
    FirstCommit { branch: "main", message: "Begin", author: Author { name: "A B", email: "a@b.invalid" } };

#[test]
fn a_folder_becomes_a_repository_that_git_finds_clean() {
    let fixture = Fixture::empty();
    fixture.write("new/a.txt", "one\r\n");
    fixture.write("new/.hidden/b.txt", "two\n");
    let commit = begin(&fixture.path("new"), &FIRST).unwrap();
    assert_eq!(fixture.git("new", &["status", "--porcelain", "--ignored"]), "");
    assert_eq!(fixture.git("new", &["rev-parse", "main"]), commit.as_str());
    assert_eq!(fixture.git("new", &["log", "--format=%an <%ae> %s", "main"]), "A B <a@b.invalid> Begin");
    assert_eq!(fixture.git("new", &["ls-files"]), ".hidden/b.txt\na.txt");
    assert!(begin(&fixture.path("new"), &FIRST).is_err(), "a repository was begun a second time");
}

#[test]
fn branches_are_drawn_with_their_commits() {
    let fixture = Fixture::empty();
    fixture.write("new/a.txt", "one\n");
    let root = begin(&fixture.path("new"), &FIRST).unwrap();
    let repo = Repo::open_with(&fixture.path("new"), program()).unwrap();
    for branch in ["x", "y"] {
        fixture.git("new", &["switch", "-q", "-c", branch, "main"]);
        fixture.git("new", &["commit", "-q", "--allow-empty", "-m", &format!("On {branch} \u{1b}[31m")]);
    }
    let lines = repo.graph(10).unwrap();
    let commits: Vec<_> = lines.iter().filter_map(|line| line.commit.as_ref()).collect();
    assert_eq!(commits.len(), 3);
    assert_eq!((&commits[2].id, commits[2].refs.as_slice()), (&root, &["main".to_owned()][..]));
    let mut tips: Vec<_> = commits[..2].iter().map(|c| (c.refs.join(" "), c.subject.as_str())).collect();
    tips.sort();
    assert_eq!(tips, [("x".to_owned(), "On x \u{1b}[31m"), ("y".to_owned(), "On y \u{1b}[31m")]);
    assert!(lines.iter().any(|line| line.commit.is_none() && line.strokes.contains('/')), "{lines:?}");
    assert_eq!(repo.graph(1).unwrap().iter().filter(|line| line.commit.is_some()).count(), 1);
}
