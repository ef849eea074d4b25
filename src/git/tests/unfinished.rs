//! A worktree whose files were never complete, as far as ralph knows: what its checkout left there is written anew or taken
//! away, and what someone has made of it since is theirs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::fixture::{Fixture, PATIENCE, lane_lock, present};
use crate::git::{
    Created, Edit, Files, Finished, GitError, Repo, Site, Subject, branch_standing, create, finish,
    registered, unsaved, write_files,
};

const TREE: &str = "repo.ralph/t-1";
const MARK: &str = "repo/.git/worktrees/t-1/ralph-unfinished";

struct Scene {
    fixture: Fixture,
    repo: Repo,
    site: Site,
    created: Created,
}

impl Scene {
    /// Registered, and killed before the first file.
    fn without_files() -> Self {
        Self::of(Fixture::new())
    }

    fn of(fixture: Fixture) -> Self {
        let (repo, site) = (fixture.repo(), fixture.site("t-1"));
        let base = repo.head_base().unwrap();
        let created = create(&repo, &repo.lock(PATIENCE).unwrap(), &site, &base, "ralph test").unwrap();
        Self { fixture, repo, site, created }
    }

    /// Killed when all files were there.
    fn with_files(fixture: Fixture) -> Self {
        let scene = Self::of(fixture);
        write_files(&scene.repo, &scene.created, &lane_lock(&scene.site)).unwrap();
        scene.fixture.write(MARK, format!("{}\n", scene.created.start));
        assert_eq!(present(&scene.repo, &scene.site).files, Files::Unfinished);
        scene
    }

    /// A repository in which git writes a file after ralph has written the others, killed between the two.
    fn between_the_two() -> Self {
        let fixture = Fixture::new();
        fixture.git("repo", &["config", "filter.caps.smudge", "false"]);
        fixture.git("repo", &["config", "filter.caps.clean", "tr A-Z a-z"]);
        fixture.git("repo", &["config", "filter.caps.required", "true"]);
        fixture.write("repo/.gitattributes", "*.txt filter=caps\n");
        fixture.write("repo/f.txt", "shout\n");
        fixture.commit_all("repo", "filter");
        let scene = Self::of(fixture);
        write_files(&scene.repo, &scene.created, &lane_lock(&scene.site)).unwrap_err();
        scene.fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
        Self { repo: scene.fixture.repo(), ..scene }
    }

    fn write(&self, name: &str, content: &str) {
        self.fixture.write(&format!("{TREE}/{name}"), content);
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.site.path.join(name)).unwrap()
    }

    fn git(&self, args: &[&str]) -> String {
        self.fixture.git(TREE, args)
    }

    fn finish(&self) -> Result<Finished, GitError> {
        finish(&self.repo, &present(&self.repo, &self.site), &lane_lock(&self.site))
    }

    #[track_caller]
    fn refused_for(&self, expected: &Edit) {
        match self.finish().unwrap_err() {
            GitError::UnfinishedChanged { edit, .. } => assert_eq!(edit, *expected),
            other => panic!("{other}"),
        }
        assert_eq!(present(&self.repo, &self.site).files, Files::Unfinished);
        self.assert_nothing_beside();
    }

    fn assert_nothing_beside(&self) {
        let admin = self.fixture.path("repo/.git/worktrees/t-1");
        let names = fs::read_dir(admin).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.into_iter().any(|name| name.to_string_lossy().starts_with("ralph-index")));
    }

    fn unsaved(&self) -> Vec<String> {
        let standing = registered(&self.repo, &self.site).unwrap().unwrap();
        let base = self.repo.head_base().unwrap();
        let branch_standing =
            branch_standing(&self.repo, &self.site.branch, Some(&base), Some(&standing.id)).unwrap();
        let subject = Subject {
            standing: &standing,
            branch: &self.site.branch,
            branch_standing: &branch_standing,
            base: &self.created.start,
            not_work: &[PathBuf::from(".tickets/t-1.md")],
        };
        let found = unsaved(&self.repo, &subject).items.iter().map(ToString::to_string).collect();
        self.assert_nothing_beside();
        found
    }
}

fn file(path: &str) -> Edit {
    Edit::File(PathBuf::from(path))
}

#[test]
fn what_was_edited_where_all_files_are_there_stays_and_is_told() {
    let scene = Scene::with_files(Fixture::new());
    scene.write("README.md", "mine\n");
    fs::remove_file(scene.site.path.join("src/main.rs")).unwrap();
    assert_eq!(scene.unsaved(), ["2 changed files: README.md, src/main.rs"]);
    assert_eq!(scene.finish().unwrap(), Finished::AsItWas);
    assert_eq!(present(&scene.repo, &scene.site).files, Files::Complete);
    assert_eq!(scene.git(&["status", "--porcelain"]), " M README.md\n D src/main.rs");
}

#[test]
fn what_the_power_took_from_files_and_index_is_written_anew() {
    for index in ["", "\0\0\0\0\0\0\0\0"] {
        let scene = Scene::between_the_two();
        scene.fixture.write("repo/.git/worktrees/t-1/index", index);
        scene.write("README.md", "");
        assert!(matches!(scene.finish().unwrap(), Finished::Written(_)));
        assert_eq!(
            (scene.read("f.txt").as_str(), scene.git(&["status", "--porcelain"])),
            ("SHOUT\n", String::new())
        );
    }
    let scene = Scene::between_the_two();
    scene.write("README.md", "");
    fs::remove_file(scene.site.path.join("src/main.rs")).unwrap();
    assert!(matches!(scene.finish().unwrap(), Finished::Written(_)));
    assert_eq!(
        (scene.read("f.txt").as_str(), scene.git(&["status", "--porcelain"])),
        ("SHOUT\n", String::new())
    );
}

#[test]
fn what_was_edited_after_git_has_completed_the_files_stays() {
    let scene = Scene::without_files();
    scene.write("README.md", "rea");
    scene.git(&["reset", "-q", "--hard"]);
    scene.write("README.md", "mine\n");
    assert_eq!(scene.finish().unwrap(), Finished::AsItWas);
    assert_eq!(scene.read("README.md"), "mine\n");
}

#[test]
fn what_is_staged_stays_and_is_told() {
    let scene = Scene::with_files(Fixture::new());
    scene.write("README.md", "mine\n");
    scene.git(&["add", "README.md"]);
    assert_eq!(scene.unsaved(), ["1 changed file: what is staged"]);
    scene.refused_for(&Edit::Index);
    // What is said to help does.
    scene.git(&["reset", "-q"]);
    assert_eq!(scene.finish().unwrap(), Finished::AsItWas);
    assert_eq!(scene.git(&["status", "--porcelain"]), " M README.md");
}

#[test]
fn what_was_edited_where_files_are_missing_is_refused_by_name_and_told() {
    let scene = Scene::without_files();
    scene.write("README.md", "mine\n");
    scene.write("notes", "mine\n");
    assert_eq!(scene.unsaved(), ["1 changed file: README.md", "1 new file: notes"]);
    scene.refused_for(&file("README.md"));
    assert_eq!((scene.read("README.md"), scene.site.path.join("src").exists()), ("mine\n".into(), false));
    // What is said to help does.
    fs::rename(scene.site.path.join("README.md"), scene.fixture.path("aside")).unwrap();
    assert!(matches!(scene.finish().unwrap(), Finished::Written(_)));
    assert_eq!(scene.git(&["status", "--porcelain"]), "?? notes");
}

#[test]
fn what_stands_in_the_place_of_a_file_is_someones() {
    for kind in ["a link", "a folder", "a file above"] {
        let scene = Scene::without_files();
        let expected = match kind {
            "a link" => {
                symlink("/nowhere", scene.site.path.join("README.md")).unwrap();
                "README.md"
            }
            "a folder" => {
                scene.write("README.md/mine", "mine\n");
                "README.md"
            }
            _ => {
                scene.write("src", "mine\n");
                "src/main.rs"
            }
        };
        scene.refused_for(&file(expected));
    }
}

#[test]
fn a_file_that_git_was_still_to_write_is_written_and_an_edit_beside_it_refused() {
    let scene = Scene::between_the_two();
    scene.write("f.txt", "SHO");
    assert_eq!(scene.unsaved(), Vec::<String>::new());
    scene.write("README.md", "mine\n");
    scene.refused_for(&file("README.md"));
    // Also one that only lacks its end.
    scene.write("README.md", "read");
    scene.refused_for(&file("README.md"));
    assert_eq!(scene.unsaved(), ["1 changed file: README.md"]);
    scene.write("README.md", "read me\n");
    assert!(matches!(scene.finish().unwrap(), Finished::Written(_)));
    assert_eq!(
        (scene.read("f.txt"), scene.git(&["status", "--porcelain"])),
        ("SHOUT\n".into(), String::new())
    );
}

#[test]
fn an_edit_of_a_file_that_git_was_still_to_write_stays_where_nothing_else_is_missing() {
    let scene = Scene::between_the_two();
    scene.write("f.txt", "mine\n");
    assert_eq!(scene.finish().unwrap(), Finished::AsItWas);
    assert_eq!(
        (scene.read("f.txt"), scene.git(&["status", "--porcelain"])),
        ("mine\n".into(), " M f.txt".into())
    );
}

#[test]
fn files_that_were_converted_on_their_way_are_no_edits() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.git("repo", &["config", "filter.caps.clean", "tr A-Z a-z"]);
    let attributes =
        "*.crlf eol=crlf\n*.id ident\n*.u16 working-tree-encoding=UTF-16LE\n*.caps filter=caps\n";
    fixture.write("repo/.gitattributes", attributes);
    fixture.write("repo/a.crlf", "one\r\ntwo\r\n");
    fixture.write("repo/b.id", "$Id$\n");
    fixture.write("repo/c.u16", "w\0i\0d\0e\0\n\0");
    fixture.write("repo/d.caps", "SHOUT\n");
    fixture.commit_all("repo", "converted");
    let scene = Scene::with_files(fixture);
    let admin = Path::new("repo/.git/worktrees/t-1");
    for half in ["a.crlf", "b.id", "c.u16", "d.caps"] {
        // As if it had been killed before there was an index, in the middle of one of them.
        fs::remove_file(scene.fixture.path("").join(admin).join("index")).unwrap();
        let content = fs::read(scene.site.path.join(half)).unwrap();
        fs::write(scene.site.path.join(half), &content[..content.len() / 2]).unwrap();
        assert_eq!(scene.unsaved(), Vec::<String>::new(), "{half}");
        assert!(matches!(scene.finish().unwrap(), Finished::Written(_)), "{half}");
        assert_eq!(fs::read(scene.site.path.join(half)).unwrap(), content, "{half}");
        scene.fixture.write(MARK, format!("{}\n", scene.created.start));
    }
}

#[test]
fn what_a_checkout_left_half_way_holds_nothing() {
    let scene = Scene::without_files();
    assert_eq!(scene.unsaved(), Vec::<String>::new());
    scene.write("README.md", "rea");
    scene.fixture.write("repo/.git/worktrees/t-1/index.lock", "half of an index");
    assert_eq!(scene.unsaved(), Vec::<String>::new());
    scene.write(".gitignore", "*.key\n");
    scene.write("my.key", "mine\n");
    assert_eq!(scene.unsaved(), ["1 new file: .gitignore", "1 ignored file: my.key"]);
}
