//! Files that ralph writes itself are git's, to the byte, wherever it takes them from.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use proptest::prelude::*;

use super::fixture::{Fixture, PATIENCE, create_on, dispatch_on, lane_lock, listing, present};
use crate::git::{Base, Engine, Files, WhyGitProgram, finish, undo, write_files};

/// A repository with a few files of every kind, committed.
fn of_every_kind() -> Fixture {
    let fixture = Fixture::new();
    fixture.write("repo/run.sh", "#!/bin/sh\n");
    fs::set_permissions(fixture.path("repo/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fixture.write("repo/a/b/deep", vec![b'd'; 100_000]);
    fixture.write("repo/a.txt", "before a/\n");
    fixture.write("repo/a0", "after a/\n");
    fixture.write("repo/empty", "");
    symlink("a/b", fixture.path("repo/link")).unwrap();
    fixture.commit_all("repo", "every kind");
    fixture
}

/// Writes a lane's files from `base`, and holds them against the worktree that git makes of the same commit.
fn assert_as_git_makes_it(fixture: &Fixture, base: &str) {
    let repo = fixture.repo();
    let base = repo.resolve_base(&base.parse().unwrap()).unwrap();
    let site = fixture.site("t-1");
    let commit = base.commit.clone();
    assert_eq!(repo.engine_for(&commit).unwrap(), Engine::Direct);
    dispatch_on(&repo, &site, &base);
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "../theirs", commit.as_str()]);
    assert_eq!(listing(&site.path), listing(&fixture.path("theirs")));
    let index = ["ls-files", "--stage", "-t"];
    assert_eq!(fixture.git("repo.ralph/t-1", &index), fixture.git("theirs", &index));
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), "");
    assert_eq!(
        tree_cache(&fixture.path("repo/.git/worktrees/t-1/index")),
        tree_cache(&fixture.path("repo/.git/worktrees/theirs/index"))
    );
}

/// The part of an index that names the tree of every folder.
fn tree_cache(index: &Path) -> Vec<u8> {
    let bytes = fs::read(index).unwrap();
    let at = bytes.windows(4).rposition(|four| four == b"TREE").expect("a tree cache");
    let length = u32::from_be_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
    bytes[at + 8..at + 8 + length].to_vec()
}

#[test]
fn what_the_main_checkout_has_of_them_or_has_not_makes_no_difference() {
    let fixture = of_every_kind();
    let repo = fixture.path("repo");
    // As long as before, so that nothing but the content tells.
    fixture.write("repo/README.md", "read you\n");
    fs::remove_file(repo.join("run.sh")).unwrap();
    symlink("README.md", repo.join("run.sh")).unwrap();
    fs::remove_file(repo.join("link")).unwrap();
    symlink("a/c", repo.join("link")).unwrap();
    fs::remove_file(repo.join("empty")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, repo.join("empty"), 0o600.into()).unwrap();
    fs::rename(repo.join("a"), fixture.path("elsewhere")).unwrap();
    symlink("../elsewhere", repo.join("a")).unwrap();
    fs::remove_file(repo.join("a0")).unwrap();
    fs::create_dir(repo.join("a0")).unwrap();
    fs::set_permissions(repo.join("a.txt"), fs::Permissions::from_mode(0o000)).unwrap();
    assert_as_git_makes_it(&fixture, "main");
}

#[test]
fn another_commit_than_the_one_that_is_checked_out_is_written_as_it_is() {
    let fixture = of_every_kind();
    fixture.git("repo", &["tag", "old"]);
    fixture.git("repo", &["rm", "-q", "-r", "a"]);
    fixture.write("repo/README.md", "read you\n");
    fixture.write("repo/empty", "no more\n");
    fixture.commit_all("repo", "two");
    assert_as_git_makes_it(&fixture, "old");
}

#[test]
fn a_bare_repository_has_no_checkout_to_copy_from() {
    let fixture = of_every_kind();
    fixture.git(".", &["clone", "-q", "--bare", "repo", "bare"]);
    fs::remove_dir_all(fixture.path("repo")).unwrap();
    fs::rename(fixture.path("bare"), fixture.path("repo")).unwrap();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    fixture.dispatch(&repo, &site);
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "../theirs"]);
    assert_eq!(listing(&site.path), listing(&fixture.path("theirs")));
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), "");
}

#[test]
fn a_second_worktree_of_a_commit_that_is_nowhere_else_is_copied_from_the_first() {
    let fixture = of_every_kind();
    fixture.git("repo", &["tag", "old"]);
    fixture.write("repo/README.md", "read you\n");
    fixture.commit_all("repo", "two");
    let repo = fixture.repo();
    let old = repo.resolve_base(&"old".parse().unwrap()).unwrap();
    let readme = fixture.git("repo", &["rev-parse", "old:README.md"]);
    dispatch_on(&repo, &fixture.site("t-1"), &old);
    // What cannot be unpacked any more can only have come from there.
    let object = fixture.path("repo/.git/objects").join(&readme[..2]).join(&readme[2..]);
    fs::rename(&object, fixture.path("aside")).unwrap();
    dispatch_on(&repo, &fixture.site("t-2"), &old);
    assert_eq!(listing(&fixture.site("t-2").path), listing(&fixture.site("t-1").path));
    // What an agent has made of it is not taken.
    fs::rename(fixture.path("aside"), &object).unwrap();
    fixture.write("repo.ralph/t-2/README.md", "not this\n");
    dispatch_on(&repo, &fixture.site("t-3"), &old);
    assert_eq!(listing(&fixture.site("t-3").path), listing(&fixture.site("t-1").path));
    // And where all of that has gone, it is unpacked.
    for lane in ["t-1", "t-2", "t-3"] {
        fs::remove_dir_all(fixture.site(lane).path).unwrap();
    }
    dispatch_on(&repo, &fixture.site("t-4"), &old);
    assert_eq!(fixture.git("repo.ralph/t-4", &["status", "--porcelain"]), "");
}

#[test]
fn an_object_whose_content_is_another_ones_is_refused() {
    let fixture = of_every_kind();
    fixture.git("repo", &["tag", "old"]);
    fixture.git("repo", &["rm", "-q", "README.md"]);
    fixture.git("repo", &["commit", "-q", "-m", "gone"]);
    let object = |name: &str| {
        let id = fixture.git("repo", &["rev-parse", name]);
        fixture.path("repo/.git/objects").join(&id[..2]).join(&id[2..])
    };
    fs::rename(object("main:a0"), object("old:README.md")).unwrap();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let old = repo.resolve_base(&"old".parse().unwrap()).unwrap();
    let created = create_on(&repo, &site, &old);
    let error = write_files(&repo, &created, &lane_lock(&site)).unwrap_err();
    assert!(error.to_string().contains("the repository is damaged"), "{error}");
    assert_eq!(present(&repo, &site).files, Files::Unfinished);
    assert!(!site.path.join("README.md").exists());
}

#[test]
fn a_change_right_after_shows_however_alike_it_is() {
    let fixture = of_every_kind();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    fixture.dispatch(&repo, &site);
    fixture.write("repo.ralph/t-1/README.md", "read you\n");
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), " M README.md");
}

#[test]
fn no_file_has_to_be_read_for_the_first_status() {
    let fixture = of_every_kind();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    fixture.dispatch(&repo, &site);
    let written = fs::metadata(fixture.path("repo/.git/worktrees/t-1/index")).unwrap().mtime();
    for name in ["README.md", "a/b/deep", "link", "empty"] {
        let dated = site.path.join(name).symlink_metadata().unwrap().mtime();
        assert!((1..60).contains(&(written - dated)), "{name}: {dated}, and the index {written}");
    }
}

#[test]
fn what_an_interrupted_checkout_left_is_written_anew_and_a_file_of_someone_elses_stays() {
    let fixture = of_every_kind();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    create_on(&repo, &site, &repo.head_base().unwrap());
    fixture.write("repo.ralph/t-1/README.md", "rea");
    fixture.write("repo.ralph/t-1/a/b/deep", "");
    fixture.write("repo.ralph/t-1/notes", "mine");
    fixture.write("repo/.git/worktrees/t-1/index.lock", "half of an index");
    finish(&repo, &present(&repo, &site), &lane_lock(&site)).unwrap();
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), "?? notes");
    assert_eq!(present(&repo, &site).files, Files::Complete);
}

#[test]
fn a_folder_in_the_place_of_a_file_is_said_and_left() {
    let fixture = of_every_kind();
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let created = create_on(&repo, &site, &repo.head_base().unwrap());
    fixture.write("repo.ralph/t-1/README.md/mine", "mine");
    let error = write_files(&repo, &created, &lane_lock(&site)).unwrap_err();
    assert!(error.to_string().contains("README.md"), "{error}");
    assert_eq!(fs::read_to_string(site.path.join("README.md/mine")).unwrap(), "mine");
    assert_eq!(present(&repo, &site).files, Files::Unfinished);
}

#[test]
fn no_link_leads_a_file_out_of_the_worktree() {
    let fixture = Fixture::new();
    fixture.write("outside/keep", "mine");
    let blob = fixture.git("repo", &["rev-parse", "HEAD:README.md"]);
    let inner = made_tree(&fixture, &format!("100644 blob {blob}\tevil\0"));
    let target = {
        fixture.write("target", "../../outside");
        fixture.git("repo", &["hash-object", "-w", "../target"])
    };
    // Both a link and a folder of the same name; no git makes such a tree, an author may.
    let commit = raw_commit(&fixture, &[("120000", "a", &target), ("40000", "a", &inner)]);
    let repo = fixture.repo();
    let base = Base { name: "evil".to_owned(), commit: commit.parse().unwrap(), upstream_ahead: None };
    let site = fixture.site("t-1");
    let created = create_on(&repo, &site, &base);
    drop(write_files(&repo, &created, &lane_lock(&site)));
    assert_eq!(fs::read_dir(fixture.path("outside")).unwrap().count(), 1);
}

#[test]
fn two_folders_of_one_name_are_left_to_git() {
    let fixture = Fixture::new();
    let blob = fixture.git("repo", &["rev-parse", "HEAD:README.md"]);
    let [one, two] = ["x", "y"].map(|name| made_tree(&fixture, &format!("100644 blob {blob}\t{name}\0")));
    let commit = raw_commit(&fixture, &[("40000", "a", &one), ("40000", "a", &two)]);
    let gits = Engine::GitProgram(WhyGitProgram::OddNames);
    assert_eq!(fixture.repo().engine_for(&commit.parse().unwrap()).unwrap(), gits);
    let plain = raw_commit(&fixture, &[("40000", "a", &one), ("40000", "b", &two)]);
    assert_eq!(fixture.repo().engine_for(&plain.parse().unwrap()).unwrap(), Engine::Direct);
}

#[test]
fn a_commit_that_git_itself_refuses_is_refused_in_its_words() {
    let fixture = Fixture::new();
    let blob = fixture.git("repo", &["rev-parse", "HEAD:README.md"]);
    let inner = made_tree(&fixture, &format!("100644 blob {blob}\tevil\0"));
    let entries = [
        ("100644", ".git", blob.as_str()),
        ("100644", "git~1", blob.as_str()),
        ("40000", ".GIT", inner.as_str()),
        ("40000", "..", inner.as_str()),
        ("120000", ".gitmodules", blob.as_str()),
    ];
    for entry in entries {
        let commit = raw_commit(&fixture, &[entry]);
        let args = ["worktree", "add", "-q", "--detach", "../theirs", &commit];
        let theirs = fixture.command("repo", &args).output().unwrap();
        assert_eq!(theirs.status.code(), Some(128), "{entry:?}");
        let repo = fixture.repo();
        let base = Base { name: "evil".to_owned(), commit: commit.parse().unwrap(), upstream_ahead: None };
        let site = fixture.site("t-1");
        let created = create_on(&repo, &site, &base);
        let error = write_files(&repo, &created, &lane_lock(&site)).unwrap_err();
        assert!(error.to_string().contains("invalid path"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("--base")), "{error}");
        undo(&repo, &repo.lock(PATIENCE).unwrap(), created).unwrap();
        assert!(!site.path.exists() && !fixture.path("repo/.git/worktrees/t-1").exists());
        assert_eq!(fixture.git("repo", &["for-each-ref", "refs/heads/ralph"]), "");
    }
}

/// A commit of a tree with these entries, whatever they are.
fn raw_commit(fixture: &Fixture, entries: &[(&str, &str, &str)]) -> String {
    let mut raw = Vec::new();
    for (mode, name, id) in entries {
        raw.extend_from_slice(format!("{mode} {name}\0").as_bytes());
        raw.extend_from_slice(git2::Oid::from_str(id).unwrap().as_bytes());
    }
    fixture.write("raw", raw);
    let tree = fixture.git("repo", &["hash-object", "-w", "-t", "tree", "--literally", "../raw"]);
    fixture.git("repo", &["commit-tree", "-m", "raw", &tree])
}

fn made_tree(fixture: &Fixture, record: &str) -> String {
    fixture.write("record", record);
    let mut command = fixture.command("repo", &["mktree", "-z"]);
    command.stdin(fs::File::open(fixture.path("record")).unwrap());
    String::from_utf8(command.output().unwrap().stdout).unwrap().trim().to_owned()
}

/// A file of a random tree.
#[derive(Debug, Clone)]
enum Kind {
    File(Vec<u8>),
    Program(Vec<u8>),
    Link(String),
}

fn trees() -> impl Strategy<Value = BTreeMap<String, Kind>> {
    let part = prop_oneof!["[a-c]{1,2}", "[a-c][.0 -][a-c]", "[é\\\\~]x"];
    let path = prop::collection::vec(part, 1..4).prop_map(|parts| parts.join("/"));
    let content = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (0..70_000usize).prop_map(|length| vec![b'x'; length]),
    ];
    let kind = prop_oneof![
        4 => content.clone().prop_map(Kind::File),
        1 => content.prop_map(Kind::Program),
        1 => "[a-z./]{1,9}".prop_map(Kind::Link),
    ];
    prop::collection::btree_map(path, kind, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_is_written_as_git_writes_it(tree in trees(), changed in any::<prop::sample::Index>()) {
        let fixture = Fixture::new();
        let top = fixture.path("repo");
        for (path, kind) in &tree {
            let path = top.join(path);
            // Where a file has the name of a folder by now, what came first stays.
            if fs::create_dir_all(path.parent().unwrap()).is_err() || path.symlink_metadata().is_ok() {
                continue;
            }
            match kind {
                Kind::File(content) | Kind::Program(content) => fs::write(&path, content).unwrap(),
                Kind::Link(target) => symlink(target, &path).unwrap(),
            }
            if matches!(kind, Kind::Program(_)) {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        fixture.commit_all("repo", "random");
        let name = tree.keys().nth(changed.index(tree.len())).unwrap();
        drop(fs::remove_file(top.join(name)));
        assert_as_git_makes_it(&fixture, "main");
    }

    #[test]
    fn whatever_is_changed_on_the_way_is_changed_as_git_changes_it(
        files in prop::collection::btree_map("(in/)?(deep/)?[ab]\\.(txt|bin|id)", text(), 1..8),
        attributes in prop::collection::btree_map("(in/)?(deep/)?", prop::collection::vec(attribute_line(), 0..4), 0..3),
        outside in prop::collection::vec(attribute_line(), 0..2),
        autocrlf in prop_oneof![4 => Just(None), 1 => Just(Some("true")), 1 => Just(Some("input"))],
        eol in prop_oneof![4 => Just(None), 1 => Just(Some("crlf")), 1 => Just(Some("lf")), 1 => Just(Some("native"))],
    ) {
        let fixture = Fixture::new();
        // As it is kept: whatever a clean checkout would make of it.
        for (path, content) in &files {
            fixture.write(&format!("repo/{path}"), content);
        }
        fixture.git("repo", &["-c", "core.autocrlf=false", "add", "-A"]);
        for (folder, lines) in &attributes {
            fixture.write(&format!("repo/{folder}.gitattributes"), lines.join("\n") + "\n");
            // As it is: what it asks for may be for itself too.
            let file = format!("{folder}.gitattributes");
            let blob = fixture.git("repo", &["hash-object", "-w", "--no-filters", &file]);
            let entry = format!("100644,{blob},{file}");
            fixture.git("repo", &["update-index", "--add", "--cacheinfo", &entry]);
        }
        fixture.git("repo", &["commit", "-q", "-m", "texts"]);
        fixture.write("repo/.git/info/attributes", outside.join("\n") + "\n");
        fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
        for (key, value) in [("core.autocrlf", autocrlf), ("core.eol", eol)] {
            if let Some(value) = value {
                fixture.git("repo", &["config", key, value]);
            }
        }
        let repo = fixture.repo();
        let base = repo.head_base().unwrap();
        prop_assert!(matches!(repo.engine_for(&base.commit).unwrap(), Engine::Direct | Engine::Shared(_)));
        let site = fixture.site("t-1");
        dispatch_on(&repo, &site, &base);
        fixture.git("repo", &["worktree", "add", "-q", "--detach", "../theirs"]);
        prop_assert_eq!(listing(&site.path), listing(&fixture.path("theirs")));
        let index = ["ls-files", "--stage", "-t"];
        prop_assert_eq!(fixture.git("repo.ralph/t-1", &index), fixture.git("theirs", &index));
    }
}

/// A file with line ends and keywords of every kind.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => Just("line\n"), 2 => Just("line\r\n"), 1 => Just("lone\r"), 1 => Just("\0"), 1 => Just("\u{1a}"),
        2 => Just("$Id$"), 1 => Just("$Id: x $"), 1 => Just("$Id: two words $"), 1 => Just("$Id: open"), 1 => Just("$"),
        1 => Just("\n"), 1 => Just("\u{1}"), 1 => Just("$Id:$"), 1 => Just("$Id:x$\n"),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn attribute_line() -> impl Strategy<Value = String> {
    let pattern = prop_oneof![
        Just("*"),
        Just("*.txt"),
        Just("a.*"),
        Just("/b.id"),
        Just("deep/*"),
        Just("**/deep/*.txt"),
        Just("in/"),
        Just("[attr]dos"),
        Just("!*.bin"),
        Just("in/**"),
        Just("\"*.txt\""),
    ];
    let word = prop_oneof![
        2 => Just("text"), 1 => Just("-text"), 2 => Just("text=auto"), 1 => Just("text=input"), 1 => Just("!text"),
        3 => Just("eol=crlf"), 1 => Just("eol=lf"), 1 => Just("-eol"), 1 => Just("eol=odd"), 2 => Just("ident"),
        1 => Just("-ident"), 1 => Just("crlf"), 1 => Just("-crlf"), 1 => Just("crlf=input"), 1 => Just("binary"),
        1 => Just("dos"), 1 => Just("text=odd"), 2 => Just("filter=caps"), 1 => Just("-filter"), 1 => Just("filter=none"),
        2 => Just("working-tree-encoding=UTF-16LE"), 1 => Just("!working-tree-encoding"),
    ];
    (pattern, prop::collection::vec(word, 1..4))
        .prop_map(|(pattern, words)| format!("{pattern} {}", words.join(" ")))
}
