//! The files of a new worktree are those that `git worktree add` writes, whichever engine writes them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::fixture::{Fixture, PATIENCE, lane_lock, listing, present, program};
use crate::git::attributes::attribute_files;
use crate::git::engine::Route;
use crate::git::listing::Writer;
use crate::git::{
    Created, Engine, ErrorClass, Files, GitError, GitProgram, Repo, Site, WhyGitProgram, create, finish,
    write_files,
};

/// A lane's worktree that has no files yet.
fn registered(repo: &Repo, site: &Site) -> Created {
    create(repo, &repo.lock(PATIENCE).unwrap(), site, &repo.head_base().unwrap(), "ralph test").unwrap()
}

/// Dispatches a lane beside a worktree that git makes, and holds the two against each other.
fn same_as_git(fixture: &Fixture) -> Engine {
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let created = registered(&repo, &site);
    let engine = write_files(&repo, &created, &lane_lock(&site)).unwrap();
    let ours = "repo.ralph/t-1";
    // Before any other command had a chance to refresh the index: the file facts in it are true.
    assert_eq!(fixture.git(ours, &["diff-files"]), "", "{engine:?}");
    assert_eq!(fixture.git(ours, &["status", "--porcelain"]), "", "{engine:?}");
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "../theirs"]);
    assert_eq!(listing(&site.path), listing(&fixture.path("theirs")), "{engine:?}");
    let index = ["ls-files", "--stage", "-t"];
    assert_eq!(fixture.git(ours, &index), fixture.git("theirs", &index), "{engine:?}");
    assert_eq!(present(&repo, &site).files, Files::Complete);
    fixture.git(ours, &["fsck", "--no-dangling"]);
    engine
}

#[test]
fn plain_files_links_modes_and_odd_names() {
    let fixture = Fixture::new();
    for name in [
        "empty",
        "with space",
        "new\nline",
        "back\\slash",
        "-dash",
        "ünï",
        "sub/.hidden",
        "a/b/c/d/e/f",
        "Case",
        "case",
    ] {
        fixture.write(&format!("repo/{name}"), name);
    }
    fixture.write("repo/empty", "");
    fs::write(fixture.path("repo").join(OsStr::from_bytes(b"latin\xe9")), "x").unwrap();
    fixture.write("repo/run.sh", "#!/bin/sh\n");
    fs::set_permissions(fixture.path("repo/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fixture.write("repo/large", vec![b'x'; 3 << 20]);
    fixture.write("repo/binary", [0, 1, 2, 255, 13, 10, 13, 10]);
    for (target, link) in
        [("README.md", "link"), ("nowhere", "dangling"), ("a/b", "to-folder"), ("/etc/passwd", "absolute")]
    {
        symlink(target, fixture.path("repo").join(link)).unwrap();
    }
    fixture.commit_all("repo", "odd");
    assert_eq!(same_as_git(&fixture), Engine::Direct);
}

#[test]
fn line_ends_and_keywords_by_attributes_at_every_level() {
    let fixture = Fixture::new();
    fixture.write(
        "repo/.gitattributes",
        "*.dos eol=crlf\n*.id ident\n*.bin binary\n[attr]dosmac eol=crlf\n*.mac dosmac\n",
    );
    fixture.write("repo/z/.gitattributes", "*.dos eol=lf\n*.md text eol=crlf\n");
    fixture.write("repo/a/.gitattributes", "sub/*.txt eol=crlf\n*.id -ident\n");
    for folder in ["", "a/", "a/sub/", "z/"] {
        for ext in ["dos", "txt", "md", "bin", "mac"] {
            fixture.write(&format!("repo/{folder}f.{ext}"), "one\ntwo\n");
        }
        fixture.write(&format!("repo/{folder}f.id"), "$Id$\n");
        fixture.write(&format!("repo/{folder}.gitignore"), "*.o\n");
    }
    fixture.commit_all("repo", "attributes");
    fixture.write("repo/.git/info/attributes", "*.md eol=crlf\n");
    assert_eq!(same_as_git(&fixture), Engine::Direct);
    assert_eq!(fs::read_to_string(fixture.path("repo.ralph/t-1/f.dos")).unwrap(), "one\r\ntwo\r\n");
    assert_eq!(fs::read_to_string(fixture.path("repo.ralph/t-1/z/f.dos")).unwrap(), "one\ntwo\n");
}

#[test]
fn line_ends_by_configuration() {
    for (key, value) in [("core.autocrlf", "true"), ("core.autocrlf", "input"), ("core.eol", "crlf")] {
        let fixture = Fixture::new();
        fixture.write("repo/.gitattributes", "*.auto text=auto\n*.text text\n*.not -text\n");
        for ext in ["auto", "text", "not", "other"] {
            fixture.write(&format!("repo/lf.{ext}"), "one\ntwo\n");
            fixture.write(&format!("repo/nul.{ext}"), "one\n\0two\n");
        }
        fixture.commit_all("repo", "ends");
        fixture.git("repo", &["config", key, value]);
        assert_eq!(same_as_git(&fixture), Engine::Direct, "{key}={value}");
    }
}

#[test]
fn a_switch_without_a_value_is_on_as_it_is_for_git() {
    for (lines, engine) in [
        ("autocrlf", Engine::Direct),
        ("symlinks", Engine::Direct),
        ("ignorecase", Engine::GitProgram(WhyGitProgram::OddFileSystem)),
        ("autocrlf = 2k", Engine::Direct),
        ("autocrlf =", Engine::Direct),
    ] {
        let fixture = Fixture::new();
        let config = fs::read_to_string(fixture.path("repo/.git/config")).unwrap();
        fixture.write("repo/.git/config", format!("{config}[core]\n\t{lines}\n"));
        assert_eq!(same_as_git(&fixture), engine, "{lines}");
        let written = fs::read_to_string(fixture.path("repo.ralph/t-1/README.md")).unwrap();
        let is_on = lines.starts_with("autocrlf") && !lines.ends_with('=');
        assert_eq!(written.ends_with("\r\n"), is_on, "{lines}");
    }
}

#[test]
fn a_setting_that_git_does_not_take_is_refused_in_its_words() {
    for key in ["core.autocrlf", "core.symlinks", "core.ignorecase"] {
        let fixture = Fixture::new();
        let repo = fixture.repo();
        let created = registered(&repo, &fixture.site("t-1"));
        fixture.git("repo", &["config", key, "maybe"]);
        let repo = fixture.repo();
        let engine = repo.engine_for(&created.start).unwrap();
        assert_eq!(engine, Engine::GitProgram(WhyGitProgram::UnclearSetting(key.to_owned())));
        let error = write_files(&repo, &created, &lane_lock(&fixture.site("t-1"))).unwrap_err();
        assert!(error.to_string().contains("bad boolean config value 'maybe'"), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("setting")), "{error}");
    }
}

#[test]
fn a_submodule_is_an_empty_folder_as_with_git() {
    let fixture = Fixture::new();
    fixture.git(".", &["clone", "-q", "repo", "inner"]);
    fixture.git("repo", &["-c", "protocol.file.allow=always", "submodule", "-q", "add", "../inner", "sub"]);
    fixture.git("repo", &["commit", "-q", "-m", "sub"]);
    assert_eq!(same_as_git(&fixture), Engine::Direct);
}

#[test]
fn an_empty_commit_has_a_worktree_too() {
    let fixture = Fixture::empty();
    fixture.init("repo", &[]);
    fixture.git("repo", &["commit", "-q", "--allow-empty", "-m", "Begin"]);
    assert_eq!(same_as_git(&fixture), Engine::Direct);
}

#[test]
fn a_filter_that_the_commit_asks_for_is_run_by_git_on_those_files() {
    let fixture = Fixture::new();
    let (smudge, clean) = ("filter.caps.smudge", "filter.caps.clean");
    fixture.git("repo", &["config", smudge, "tr a-z A-Z"]);
    fixture.git("repo", &["config", clean, "tr A-Z a-z"]);
    assert_eq!(
        fixture.repo().engine_for(&fixture.repo().head_base().unwrap().commit).unwrap(),
        Engine::Direct
    );
    fixture.write("repo/sub/.gitattributes", "*.txt filter=caps\n");
    fixture.write("repo/sub/f.txt", "shout\n");
    fixture.write("repo/sub/f.md", "keep\n");
    fixture.commit_all("repo", "filter");
    assert_eq!(same_as_git(&fixture), Engine::Shared(WhyGitProgram::Filter("caps".to_owned())));
    assert_eq!(fs::read_to_string(fixture.path("repo.ralph/t-1/sub/f.txt")).unwrap(), "SHOUT\n");
    // Dated as ralph dates its files: git has not written it again.
    let dated = |file: &str| fixture.path(file).metadata().unwrap().mtime_nsec();
    assert_eq!(dated("repo.ralph/t-1/sub/f.md"), 0);
    assert_ne!(dated("repo.ralph/t-1/sub/f.txt"), 0);
}

#[test]
fn a_filter_configured_for_repositories_below_a_folder_is_found() {
    let fixture = Fixture::new();
    fixture.write("included", "[filter \"caps\"]\n\tsmudge = tr a-z A-Z\n");
    fixture.git(
        "repo",
        &["config", "includeIf.gitdir:**/repo/.path", fixture.path("included").to_str().unwrap()],
    );
    fixture.write("repo/.gitattributes", "*.txt filter=caps\n");
    fixture.write("repo/f.txt", "shout\n");
    fixture.commit_all("repo", "filter");
    let engine = fixture.repo().engine_for(&fixture.repo().head_base().unwrap().commit).unwrap();
    assert_eq!(engine, Engine::Shared(WhyGitProgram::Filter("caps".to_owned())));
}

#[test]
fn a_filter_through_a_macro_is_run_by_git_and_one_that_no_file_needs_by_no_one() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.lfs.process", "false"]);
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.write("repo/.gitattributes", "[attr]big filter=lfs -text\n*.none big\n");
    fixture.commit_all("repo", "filter");
    assert_eq!(same_as_git(&fixture), Engine::Direct);
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.git("repo", &["config", "filter.caps.clean", "tr A-Z a-z"]);
    fixture.write("repo/.gitattributes", "[attr]big filter=caps -text\n*.none big\n");
    fixture.write("repo/x.none", "shout\n");
    fixture.commit_all("repo", "filter");
    assert_eq!(same_as_git(&fixture), Engine::Shared(WhyGitProgram::Filter("caps".to_owned())));
}

#[test]
fn files_that_git_has_not_written_yet_are_written_when_the_rest_is_finished() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "false"]);
    fixture.git("repo", &["config", "filter.caps.clean", "tr A-Z a-z"]);
    fixture.git("repo", &["config", "filter.caps.required", "true"]);
    fixture.write("repo/.git/info/attributes", "*.txt filter=caps\n");
    fixture.write("repo/f.txt", "shout\n");
    fixture.commit_all("repo", "filter");
    let repo = fixture.repo();
    let site = fixture.site("t-1");
    let created = registered(&repo, &site);
    let error = write_files(&repo, &created, &lane_lock(&site)).unwrap_err();
    assert!(error.to_string().contains("caps"), "{error}");
    assert_eq!(present(&repo, &site).files, Files::Unfinished);
    fixture.write("repo.ralph/t-1/f.txt", "SHO");
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    let repo = fixture.repo();
    finish(&repo, &present(&repo, &site), &lane_lock(&site)).unwrap();
    assert_eq!(fs::read_to_string(site.path.join("f.txt")).unwrap(), "SHOUT\n");
    assert_eq!(fixture.git("repo.ralph/t-1", &["status", "--porcelain"]), "");
    assert_eq!(present(&repo, &site).files, Files::Complete);
}

#[test]
fn a_filter_asked_for_outside_the_commit_is_run_by_git() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.write("repo/.git/info/attributes", "*.md filter=caps\n");
    let engine = fixture.repo().engine_for(&fixture.repo().head_base().unwrap().commit).unwrap();
    assert_eq!(engine, Engine::Shared(WhyGitProgram::Filter("caps".to_owned())));
    fs::remove_file(fixture.path("repo/.git/info/attributes")).unwrap();
    fixture.write("attributes", "*.md filter=caps\n");
    fixture.git("repo", &["config", "core.attributesFile", fixture.path("attributes").to_str().unwrap()]);
    let engine = fixture.repo().engine_for(&fixture.repo().head_base().unwrap().commit).unwrap();
    assert_eq!(engine, Engine::Shared(WhyGitProgram::Filter("caps".to_owned())));
}

#[test]
fn a_relative_filter_command_is_refused_before_it_runs() {
    let fixture = Fixture::new();
    fixture.write("repo/.gitattributes", "*.md filter=x\n");
    fixture.write("repo/tools/f", "#!/bin/sh\ntouch ran; cat\n");
    fixture.commit_all("repo", "filter");
    fixture.git("repo", &["config", "filter.x.smudge", "./tools/f"]);
    let repo = fixture.repo();
    let base = repo.head_base().unwrap();
    let error = repo.engine_for(&base.commit).unwrap_err();
    assert!(matches!(&error, GitError::RelativeFilter { command, .. } if command == "./tools/f"), "{error}");
    assert_eq!(error.class(), ErrorClass::CannotDo);
    let created = create(&repo, &repo.lock(PATIENCE).unwrap(), &fixture.site("t-1"), &base, "r").unwrap();
    assert!(matches!(
        write_files(&repo, &created, &lane_lock(&fixture.site("t-1"))),
        Err(GitError::RelativeFilter { .. })
    ));
    // One that is configured, and that the commit does not ask for, is in no one's way.
    fixture.git("repo", &["rm", "-q", ".gitattributes"]);
    fixture.git("repo", &["commit", "-q", "-m", "none"]);
    assert_eq!(repo.engine_for(&repo.head_base().unwrap().commit).unwrap(), Engine::Direct);
}

#[test]
fn a_relative_filter_command_is_refused_however_the_commit_asks_for_it() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.git("repo", &["config", "filter.caps.clean", "tr A-Z a-z"]);
    fixture.git("repo", &["config", "filter.x.clean", "tr A-Z a-z"]);
    fixture.write("repo/.gitattributes", "\"*.md\"filter=x\n*.txt filter=caps\n");
    fixture.write("repo/f.txt", "shout\n");
    fixture.commit_all("repo", "filter");
    fixture.git("repo", &["config", "filter.x.smudge", "./tools/f"]);
    let repo = fixture.repo();
    let error = repo.engine_for(&repo.head_base().unwrap().commit).unwrap_err();
    assert!(matches!(&error, GitError::RelativeFilter { command, .. } if command == "./tools/f"), "{error}");
    fixture.git("repo", &["config", "filter.x.smudge", "tr a-z A-Z"]);
    assert_eq!(same_as_git(&fixture), Engine::Shared(WhyGitProgram::Filter("caps".to_owned())));
}

#[test]
fn an_attributes_file_that_git_takes_in_only_in_part_counts_only_in_part() {
    let long = format!("*.txt -filter {}\n", "x".repeat(3_000));
    for (folder, attributes) in [
        ("", "\u{feff}*.txt eol=crlf\n".to_owned()),
        ("in/", "\u{feff}*.txt -filter\n".to_owned()),
        ("in/", "a b\n\0\n*.txt -filter\n".to_owned()),
        ("in/", long),
    ] {
        let fixture = Fixture::new();
        fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
        fixture.git("repo", &["config", "filter.caps.clean", "tr A-Z a-z"]);
        fixture.write("repo/.gitattributes", "*.txt filter=caps eol=lf\n");
        fixture.write("repo/in/f.txt", "shout\n");
        fixture.write(&format!("repo/{folder}.gitattributes"), &attributes);
        fixture.commit_all("repo", "in part");
        // As files on the disk they say something else, so that git's own status finds changes.
        fixture.dispatch(&fixture.repo(), &fixture.site("t-1"));
        fixture.git("repo", &["worktree", "add", "-q", "--detach", "../theirs"]);
        assert_eq!(listing(&fixture.site("t-1").path), listing(&fixture.path("theirs")), "{attributes:.40}");
    }
}

#[test]
fn attributes_of_a_tree_that_settings_name_are_left_to_git() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "attr.tree", "main"]);
    assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::AttributesOfATree));
}

#[test]
fn replaced_objects_are_replaced_in_a_worktree_too() {
    let fixture = Fixture::new();
    fixture.write("other", "instead\n");
    let [old, new] = [
        fixture.git("repo", &["rev-parse", "HEAD:README.md"]),
        fixture.git("repo", &["hash-object", "-w", "../other"]),
    ];
    fixture.git("repo", &["replace", &old, &new]);
    let repo = fixture.repo();
    let engine = repo.engine_for(&repo.head_base().unwrap().commit).unwrap();
    assert_eq!(engine, Engine::GitProgram(WhyGitProgram::ReplacedObjects));
    fixture.dispatch(&repo, &fixture.site("t-1"));
    assert_eq!(fs::read_to_string(fixture.path("repo.ralph/t-1/README.md")).unwrap(), "instead\n");
}

#[test]
fn settings_that_count_in_the_worktree_alone_are_followed_there() {
    for condition in ["gitdir:**/worktrees/**", "onbranch:ralph/"] {
        let fixture = Fixture::new();
        fixture.write("included", "[filter \"caps\"]\n\tsmudge = tr a-z A-Z\n\tclean = tr A-Z a-z\n");
        fixture.git(
            "repo",
            &["config", &format!("includeIf.{condition}.path"), fixture.path("included").to_str().unwrap()],
        );
        fixture.write("repo/.gitattributes", "*.txt filter=caps\n");
        fixture.write("repo/f.txt", "shout\n");
        fixture.commit_all("repo", "filter");
        let repo = fixture.repo();
        fixture.dispatch(&repo, &fixture.site("t-1"));
        let written = fs::read_to_string(fixture.path("repo.ralph/t-1/f.txt")).unwrap();
        assert_eq!(written, "SHOUT\n", "{condition}");
    }
}

#[test]
fn the_users_attributes_are_where_git_looks_for_them_and_nowhere_else() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.write("xdg/git/attributes", "*.md filter=caps\n");
    fixture.write("home/.config/git/attributes", "*.rs filter=caps\n");
    let home = program().with_env("HOME", fixture.path("home"));
    let xdg = home.clone().with_env("XDG_CONFIG_HOME", fixture.path("xdg"));
    let files = |program| {
        let repo = Repo::open_with(&fixture.path("repo"), program).unwrap();
        let Route::Shared(listing, ..) = repo.route_for(&repo.head_base().unwrap().commit, None).unwrap()
        else {
            panic!("no file is git's")
        };
        let gits = listing.items.iter().filter(|item| item.writer == Writer::Git);
        gits.map(|item| String::from_utf8(listing.path(item).to_owned()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(files(xdg), ["README.md"]);
    assert_eq!(files(home.clone().with_env("XDG_CONFIG_HOME", "")), ["src/main.rs"]);
    let machines = |program: &GitProgram| {
        let settings = fixture.repo().settings().unwrap();
        let files = attribute_files(&settings, &fixture.path("repo/.git"), program);
        files.all().any(|file| file.starts_with("/etc"))
    };
    assert!(machines(&home) && machines(&home.clone().with_env("GIT_ATTR_NOSYSTEM", "0")));
    assert!(!machines(&home.with_env("GIT_ATTR_NOSYSTEM", "1")));
}

#[test]
fn a_filter_that_is_required_and_does_nothing_fails_as_with_git() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", ""]);
    fixture.git("repo", &["config", "filter.caps.required", "true"]);
    fixture.write("repo/.git/info/attributes", "*.md filter=caps\n");
    fixture
        .command("repo", &["worktree", "add", "-q", "--detach", "../theirs"])
        .output()
        .map_or_else(|e| panic!("{e}"), |out| assert_eq!(out.status.code(), Some(128), "{out:?}"));
    let repo = fixture.repo();
    let created = registered(&repo, &fixture.site("t-1"));
    assert!(write_files(&repo, &created, &lane_lock(&fixture.site("t-1"))).is_err());
}

#[test]
fn a_folder_in_the_place_of_a_file_that_git_writes_is_left() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "filter.caps.smudge", "tr a-z A-Z"]);
    fixture.write("repo/.git/info/attributes", "*.md filter=caps\n");
    let (repo, site) = (fixture.repo(), fixture.site("t-1"));
    let created = registered(&repo, &site);
    fixture.write("repo.ralph/t-1/README.md/mine", "mine");
    assert!(write_files(&repo, &created, &lane_lock(&site)).is_err());
    assert_eq!(fs::read_to_string(site.path.join("README.md/mine")).unwrap(), "mine");
}

#[test]
fn another_encoding_is_written_by_git() {
    let fixture = Fixture::new();
    fixture.write("repo/.gitattributes", "*.u16 text working-tree-encoding=UTF-16LE-BOM\n");
    fixture.commit_all("repo", "attributes");
    fixture.write("repo/f.u16", b"\xff\xfeh\0i\0\n\0");
    fixture.commit_all("repo", "utf-16");
    assert_eq!(same_as_git(&fixture), Engine::Shared(WhyGitProgram::WorkingTreeEncoding));
}

#[test]
fn another_encoding_is_written_as_git_writes_it_with_one_worker() {
    for (key, value) in [("core.eol", "native"), ("core.splitIndex", "true"), ("core.symlinks", "false")] {
        let fixture = Fixture::new();
        for folder in ["d", "e"] {
            let attributes = "*.txt working-tree-encoding=UTF-16LE\n";
            fixture.write(&format!("repo/{folder}/.gitattributes"), attributes);
            fixture.write(&format!("repo/{folder}/h.txt"), b"a\0b\0c\0\n\0");
        }
        fixture.write("repo/z", "z");
        fixture.commit_all("repo", "encoded");
        fixture.git("repo", &["config", key, value]);
        same_as_git(&fixture);
    }
}

#[test]
fn attributes_that_are_a_link_count_as_they_do_for_git() {
    let fixture = Fixture::new();
    fixture.write("repo/f.txt", "one\ntwo\n");
    fixture.commit_all("repo", "text");
    std::os::unix::fs::symlink("*.txt text eol=crlf filter=x", fixture.path("repo/.gitattributes")).unwrap();
    fixture.git("repo", &["add", ".gitattributes"]);
    fixture.git("repo", &["commit", "-q", "-m", "link"]);
    assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::LinkedAttributes));
    assert_eq!(fs::read_to_string(fixture.path("repo.ralph/t-1/f.txt")).unwrap(), "one\r\ntwo\r\n");
    fixture.git("repo", &["config", "filter.x.smudge", "./tools/f"]);
    let repo = fixture.repo();
    let error = repo.engine_for(&repo.head_base().unwrap().commit).unwrap_err();
    assert!(matches!(&error, GitError::RelativeFilter { .. }), "{error}");
}

#[test]
fn a_sparse_checkout_stays_sparse() {
    for index in ["--no-sparse-index", "--sparse-index"] {
        let fixture = Fixture::new();
        fixture.write("repo/big/file", "x");
        fixture.commit_all("repo", "big");
        fixture.git("repo", &["sparse-checkout", "set", "--cone", index, "src"]);
        assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::SparseCheckout), "{index}");
        assert!(!fixture.path("repo.ralph/t-1/big").exists());
    }
}

#[test]
fn settings_of_a_worktree_are_copied_into_a_new_one_as_git_does() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "extensions.worktreeConfig", "true"]);
    fixture.git("repo", &["config", "--worktree", "core.autocrlf", "true"]);
    assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::WorktreeConfig));
    assert_eq!(fixture.git("repo.ralph/t-1", &["config", "core.autocrlf"]), "true");
}

#[test]
fn a_split_index_is_split_in_the_worktree_too() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "core.splitIndex", "true"]);
    assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::SplitIndex));
}

#[test]
fn settings_for_many_files_are_no_hindrance() {
    let fixture = Fixture::new();
    fixture.git("repo", &["config", "feature.manyFiles", "true"]);
    assert_eq!(same_as_git(&fixture), Engine::Direct);
}

#[test]
fn a_partial_clone_fetches_what_it_lacks() {
    let fixture = Fixture::new();
    fs::rename(fixture.path("repo"), fixture.path("origin")).unwrap();
    fixture.git("origin", &["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", fixture.path("origin").display());
    fixture.git(".", &["clone", "-q", "--filter=blob:none", "--no-checkout", &url, "repo"]);
    let missing = |fixture: &Fixture| {
        let all = fixture.git("repo", &["rev-list", "--objects", "--all", "--missing=print"]);
        all.lines().filter(|line| line.starts_with('?')).count()
    };
    assert_eq!(missing(&fixture), 2);
    assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::PartialClone));
    assert_eq!(missing(&fixture), 0);
}

#[test]
fn files_for_a_group_are_written_as_git_does() {
    const INSIDE: &str = "RALPH_TEST_UMASK";
    if std::env::var_os(INSIDE).is_none() {
        let name = "git::tests::checkouts::files_for_a_group_are_written_as_git_does";
        let me = std::env::current_exe().unwrap();
        let out = std::process::Command::new("sh")
            .args(["-c", "umask 002; exec \"$0\" --exact \"$1\""])
            .args([me.as_os_str(), OsStr::new(name)])
            .env(INSIDE, "1")
            .output()
            .unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        assert!(
            String::from_utf8_lossy(&out.stdout).contains("1 passed"),
            "the test did not run inside itself"
        );
        return;
    }
    assert_eq!(same_as_git(&Fixture::new()), Engine::Direct);
    let odd = Fixture::new();
    odd.git("repo", &["config", "core.ignoreCase", "true"]);
    assert_eq!(same_as_git(&odd), Engine::GitProgram(WhyGitProgram::OddFileSystem));
}

#[test]
fn a_file_system_that_knows_no_case_or_no_links_is_gits_to_write_to() {
    for (key, value) in [("core.ignoreCase", "true"), ("core.symlinks", "false"), ("core.symlinks", "")] {
        let fixture = Fixture::new();
        for name in ["Makefile", "makefile", "a/B", "a/b"] {
            fixture.write(&format!("repo/{name}"), name);
        }
        symlink("README.md", fixture.path("repo/link")).unwrap();
        fixture.commit_all("repo", "odd");
        fixture.git("repo", &["config", key, value]);
        assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::OddFileSystem), "{key}={value}");
    }
}

#[test]
fn odd_names_and_deep_folders_are_gits_to_write() {
    let deep = "d/".repeat(70) + "f";
    for name in [".git.md", ".git~", "a:.git.txt", "back\\.git.txt", &deep] {
        let fixture = Fixture::new();
        fixture.write("repo/.gitattributes", "* text=auto eol=crlf\n*.id ident\n");
        fixture.write("repo/-first.txt", "one\ntwo\n");
        fixture.write("repo/k.id", "$Id$ and $Id$\n");
        fixture.write("repo/nul.id", "$Id$ \0\n");
        fixture.write(&format!("repo/{name}"), "one\n");
        fixture.commit_all("repo", "odd");
        assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::OddNames), "{name}");
    }
    let fixture = Fixture::new();
    symlink("README.md", fixture.path("repo/.gitignore")).unwrap();
    fixture.commit_all("repo", "a link");
    assert_eq!(same_as_git(&fixture), Engine::GitProgram(WhyGitProgram::OddNames));
}
