//! What attributes say of a path, against `git check-attr`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::Stdio;

use proptest::prelude::*;

use super::fixture::Fixture;
use crate::git::attributes::{Macros, Read, Rules, State};

/// The attributes that are asked about.
const NAMES: [&str; 16] =
    ["p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "a", "b", "m", "n", "text", "binary"];

type Files = BTreeMap<String, Vec<u8>>;

/// What git says, for each path and name.
fn by_git(fixture: &Fixture, paths: &[String], read: Read) -> Vec<String> {
    let mut args = vec!["check-attr", "-z", "--stdin"];
    if read == Read::FromIndex {
        args.push("--cached");
    }
    args.extend(NAMES);
    let mut command = fixture.command("repo", &args);
    let mut git = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut input = git.stdin.take().unwrap();
    input.write_all(paths.iter().map(|path| format!("{path}\0")).collect::<String>().as_bytes()).unwrap();
    drop(input);
    let answer = git.wait_with_output().unwrap();
    assert!(answer.status.success());
    let fields: Vec<String> = answer
        .stdout
        .split(|byte| *byte == 0)
        .map(|field| String::from_utf8_lossy(field).into_owned())
        .collect();
    fields.chunks_exact(3).map(<[String]>::concat).collect()
}

fn by_ralph(files: &Files, paths: &[String], read: Read) -> Vec<String> {
    let mut rules = Rules::about(NAMES);
    for (folder, content) in files {
        let macros = if folder.is_empty() { Macros::Taken } else { Macros::Ignored };
        rules.add(content, read, folder.as_bytes(), macros);
    }
    let mut rules = rules.finish();
    let mut said = Vec::new();
    for path in paths {
        for (name, state) in NAMES.iter().zip(rules.of(path.as_bytes())) {
            let state = match state {
                State::Set => "set".into(),
                State::Unset => "unset".into(),
                State::Unspecified => "unspecified".into(),
                State::Value(value) => String::from_utf8_lossy(value),
            };
            said.push(format!("{path}{name}{state}"));
        }
    }
    said
}

fn assert_as_git_says(fixture: &Fixture, files: &Files, paths: &[String]) {
    for (folder, content) in files {
        let file = format!("{folder}.gitattributes");
        fixture.write(&format!("repo/{file}"), content);
        let blob = fixture.git("repo", &["hash-object", "-w", "--no-filters", &file]);
        fixture.git("repo", &["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{file}")]);
    }
    for read in [Read::ByLine, Read::FromIndex] {
        let shown: Vec<_> = files.values().map(|content| String::from_utf8_lossy(content)).collect();
        assert_eq!(by_ralph(files, paths, read), by_git(fixture, paths, read), "{read:?} {shown:#?}");
    }
}

/// Each of these patterns for a name of its own, and these paths.
fn assert_patterns(fixture: &Fixture, patterns: &[String], paths: &[String]) {
    for patterns in patterns.chunks(10) {
        let lines = patterns.iter().enumerate().map(|(at, pattern)| format!("{pattern} p{at}\n"));
        assert_as_git_says(fixture, &Files::from([(String::new(), lines.collect::<String>().into())]), paths);
    }
}

#[test]
fn patterns_match_as_gits_do() {
    let patterns = "a /a a/ !a a/b /a/b a* *a *a* ** **/a a/** a/**/b a**/b /**/b **b *b/a a/*b a/*/b ? a? ?b [ab] [!a]
        [^a] [a-c] [c-a] []a] [!]a] [a-] [-a] [a\\-c] [[:alpha:]] [[:digit:][:upper:]] [[:space:]] [[:nope:]] [[:alpha:
        [[:] [[:]] [[:a]] [a [ [!] \\a \\* \\ a\\ \\[a] a\\/b **\\/b *\\/b [a]/b [/] a[/]b a?b a*b a**b ***/b a/***/b
        [a-\\c] [\\]] [[] [[a] é [é] ?? [!é] * */ ** /* /** a*/b a*/*b *a**b/ab **/*b a/**/*b **/a*/b **/ **/a/** \"a\" \"a\\\"b\" \"a b\"
        \"\\141\" \"a [attr] [attr]q [attr]-q \"[attr]q\" #a \\#a a\\ b \"\" \"\\000\" \"a\\000b\" \"[attr]\\000x\" \"[attr]\\000\"";
    let patterns: Vec<String> = patterns.split_ascii_whitespace().map(str::to_owned).collect();
    let paths = "a b c ab ba a/b a/a/b b/a a/x/b a/x/y/b aXb ax/b ax/y/b /b a- a] ] [ [a a\\ \\ * a* é aé - ^ ! 5 Z #a \"a a\"b
        abc a.b a/b/c x/a x/a/b aa/ab \\#a a\\b";
    let paths = paths.split_ascii_whitespace().filter(|path| !path.starts_with('/')).map(str::to_owned);
    assert_patterns(&Fixture::new(), &patterns, &paths.chain(["a b".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn lines_are_read_as_git_reads_them() {
    let fixture = Fixture::new();
    let long = |length: usize| format!("a {}\nb p1\n", "p0 ".repeat(length / 3 + 1));
    let contents = [
        "\u{feff}a p0\nb p1".to_owned(),
        "\n\u{feff}a p0".to_owned(),
        "a p0\0p1\nb p2\n".to_owned(),
        "a p0\r\nb\tp1\r\n \ta p2\r".to_owned(),
        long(2040),
        long(2050),
        format!("a p0 {}\r\nb p1\r\n", " ".repeat(2042)),
        format!("a p0 {}\r\nb p1", " ".repeat(2043)),
        "[attr]m a -b n=1\na m\nb -m\nc !m\nab m=2".to_owned(),
        "[attr]m n\n[attr]n m a\na m\nb n b\n".to_owned(),
        "a m -a\n[attr]m a\n[attr]m b".to_owned(),
        "a binary\nb binary text\nc text binary\n[attr]binary a".to_owned(),
        "a p0 p0=1 -p0\na p1=\na =p2\na p3=x=y -p4=z !p5=z".to_owned(),
        "a p0 bad,name\nb p0 --p1\nc p0 -\nab p0 builtin_x\nba p0 !".to_owned(),
        "\"a\"p0\n\"b\" p1\n\"c\\q\" p2\n\"ab p3\n".to_owned(),
        "a p0 # p1\n#a p2\n a p3".to_owned(),
        "* p0\na !p0\n/* p1=1\nin/* p1=2".to_owned(),
    ];
    let paths = ["a", "b", "c", "ab", "ba", "in/a", "in/b", "\u{feff}a", "\"ab", "#a"].map(str::to_owned);
    for content in contents {
        for folder in ["", "in/"] {
            let mut files = Files::from([(String::new(), b"* p9\n".to_vec())]);
            files.insert(folder.to_owned(), content.clone().into());
            assert_as_git_says(&fixture, &files, &paths);
        }
        std::fs::remove_dir_all(fixture.path("repo/in")).unwrap();
        fixture.git("repo", &["rm", "-q", "--cached", "in/.gitattributes"]);
    }
}

#[test]
fn a_chain_of_many_macros_is_followed_without_recursion() {
    let many = 200_000;
    let mut content: String = (0..many).map(|n| format!("[attr]x{n} x{}\n", n + 1)).collect();
    content += &format!("[attr]x{many} a\n* x0\n");
    let mut rules = Rules::about(["a"]);
    rules.add(content.as_bytes(), Read::ByLine, b"", Macros::Taken);
    assert_eq!(rules.finish().of(b"any"), [&State::Set]);
}

fn pattern() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a",
        "b",
        "/",
        "/",
        "*",
        "*",
        "**",
        "?",
        "[ab]",
        "[!a]",
        "[^b/]",
        "[a-c]",
        "[]-b]",
        "[[:alpha:]]",
        "[[:punct:]b]",
        "[[:x:]]",
        "[a",
        "\\a",
        "\\",
        "\\*",
        "]",
        "-",
        "!",
        "[[:",
        ":]",
        "c",
    ]);
    prop::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["a", "b", "ab", "c", "ba", "a*", "\\a", "[", "-]", "!a", ":]"]);
    prop::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn line() -> impl Strategy<Value = String> {
    let pattern = prop_oneof![
        4 => pattern(),
        1 => pattern().prop_map(|pattern| format!("\"{}\"", pattern.replace('\\', "\\\\"))),
        1 => prop::sample::select(vec!["[attr]a", "[attr]m", "[attr]n", "[attr]binary", "*", "#", ""]).prop_map(str::to_owned),
    ];
    let state = prop::sample::select(vec![
        "a",
        "-a",
        "!a",
        "a=1",
        "b",
        "-b",
        "b=m",
        "m",
        "-m",
        "!m",
        "n",
        "n=",
        "text",
        "-text",
        "binary",
        "-binary",
        "p0",
        "=",
        "builtin_a",
        "a,b",
        "\r",
        "",
    ]);
    (pattern, prop::collection::vec(state, 0..5))
        .prop_map(|(pattern, states)| format!("{pattern} {}\n", states.join(" ")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_pattern_matches_what_it_matches_for_git(
        patterns in prop::collection::vec(pattern(), 40),
        paths in prop::collection::vec(path(), 40),
    ) {
        assert_patterns(&Fixture::new(), &patterns, &paths);
    }

    #[test]
    fn any_attributes_say_what_git_says(
        files in prop::collection::btree_map("(a/)?(b/)?", prop::collection::vec(line(), 0..8), 1..4),
        paths in prop::collection::vec(path(), 40),
    ) {
        let files = files.into_iter().map(|(folder, lines)| (folder, lines.concat().into())).collect();
        assert_as_git_says(&Fixture::new(), &files, &paths);
    }

    #[test]
    fn nothing_in_an_attributes_file_makes_the_reader_panic(content in any::<Vec<u8>>(), path in any::<Vec<u8>>()) {
        let mut rules = Rules::about(NAMES);
        rules.add(&content, Read::ByLine, b"", Macros::Taken);
        rules.add(&content, Read::FromIndex, b"a", Macros::Ignored);
        let mut rules = rules.finish();
        let _ = rules.of(&path);
    }
}
