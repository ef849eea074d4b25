//! The plan of the house, held: which room may use which, and what may be done in one room only. Each rule is shown
//! to catch an offence.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use crate::helpers::source::{Source, Token};

/// The rooms, from the top storey down. A room uses those of lower storeys only.
const STOREYS: &[&[&str]] = &[
    &["main"],
    &["cli", "fuzz"],
    &["batch"],
    &["recover"],
    &["dispatch", "supervisor", "merge", "removal", "report"],
    &["launch"],
    &["git", "session", "agent", "ticket"],
    &["config", "process", "durable", "id", "redact", "failpoint", "words"],
];

/// The rooms that every other may use, those of their own storey included.
const GROUND: &[&str] = &["durable", "id", "redact", "failpoint"];

/// The longest a file may be, test code not counted.
const MOST_LINES: usize = 600;

/// A file below src.
struct File {
    path: PathBuf,
    source: Source,
}

impl File {
    fn new(path: impl Into<PathBuf>, text: &str) -> Self {
        Self { path: path.into(), source: Source::parse(text) }
    }

    /// The room that the file belongs to; none for the root itself.
    fn room(&self) -> Option<String> {
        let first = self.path.iter().next().expect("a path").to_str().expect("UTF-8");
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (name != "lib").then(|| name.to_owned())
    }

    /// How many modules deep the file is.
    fn depth(&self) -> usize {
        let is_mod = self.path.file_stem().is_some_and(|stem| stem == "mod");
        self.path.iter().count() - usize::from(is_mod)
    }

    /// Whether the file is nothing but the tests of a module.
    fn is_test(&self) -> bool {
        self.path.iter().skip(1).any(|part| part == "tests" || part == "tests.rs")
    }

    fn offence(&self, at: usize, what: &str) -> String {
        format!("src/{}:{}: {what}", self.path.display(), self.source.tokens[at].line)
    }

    /// The indices of the names right below the root of the crate that the file uses.
    fn uses(&self) -> Vec<usize> {
        let source = &self.source;
        let mut uses = Vec::new();
        for (at, token) in source.tokens.iter().enumerate() {
            let is_path = source.text(at + 1) == ":" && source.text(at + 2) == ":";
            let starts_at_root = match token.text.as_str() {
                "crate" | "ralph" => true,
                // Every `super` of a chain is looked at; only the one that arrives at the root counts.
                "super" => self.depth() + token.depth == supers_until(&source.tokens, at),
                _ => false,
            };
            if is_path && starts_at_root {
                uses.extend(source.path_heads(at + 3));
            }
        }
        uses.retain(|at| source.text(*at) != "super");
        uses
    }
}

/// How many `super` the chain that ends at `at` has.
fn supers_until(tokens: &[Token], at: usize) -> usize {
    let before = at.checked_sub(3).filter(|before| tokens[*before].text == "super");
    1 + before.map_or(0, |before| supers_until(tokens, before))
}

fn storey(room: &str) -> Option<usize> {
    STOREYS.iter().position(|rooms| rooms.contains(&room))
}

/// Imports go down only.
fn layers(file: &File) -> Vec<String> {
    let Some(room) = file.room() else { return Vec::new() };
    let Some(own) = storey(&room) else {
        return vec![file.offence(0, &format!("the room `{room}` stands in no storey: give it one"))];
    };
    let judge = |at: usize| {
        let used = file.source.text(at);
        if used == room || used == "ralph" {
            return None;
        }
        let why = match storey(used) {
            Some(storey) if storey > own => return None,
            Some(storey) if storey == own && GROUND.contains(&used) => return None,
            Some(storey) if storey == own => "is on the same storey",
            Some(_) => "is on a higher storey",
            None => "is no room",
        };
        Some(file.offence(at, &format!("`{room}` uses `{used}`, which {why}")))
    };
    file.uses().into_iter().filter_map(judge).collect()
}

/// `texts` stand only in `rooms`, test code aside where that is said.
fn only_in(file: &File, rooms: &[&str], tests: Tests, texts: &[&str]) -> Vec<String> {
    if file.room().is_some_and(|room| rooms.contains(&room.as_str())) {
        return Vec::new();
    }
    let places = file.source.find(texts);
    let places =
        places.filter(|at| tests == Tests::Too || !(file.is_test() || file.source.tokens[*at].is_test));
    let what = format!("`{}` belongs into {} only", texts.concat(), rooms.join(", "));
    places.map(|at| file.offence(at, &what)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tests {
    Too,
    Aside,
}

/// The engines of git are known to `git` alone.
fn git_engines(file: &File) -> Vec<String> {
    ["git2", "gix"].iter().flat_map(|engine| only_in(file, &["git"], Tests::Too, &[engine])).collect()
}

/// `unsafe` code is in `process` alone; a test may need one to cut itself off from the machine.
fn raw_calls(file: &File) -> Vec<String> {
    only_in(file, &["process"], Tests::Aside, &["unsafe"])
}

/// The environment is read by `cli` alone, and by the crash points, which are there for tests only.
fn environment(file: &File) -> Vec<String> {
    if file.room().is_some_and(|room| room == "cli" || room == "failpoint") {
        return Vec::new();
    }
    let readers = [
        "var",
        "var_os",
        "vars",
        "vars_os",
        "set_var",
        "remove_var",
        "args",
        "args_os",
        "temp_dir",
        "home_dir",
    ];
    let mut offences = Vec::new();
    for at in file.source.find(&["env", ":", ":"]) {
        if file.is_test() || file.source.tokens[at].is_test {
            continue;
        }
        for head in file.source.path_heads(at + 3) {
            let name = file.source.text(head);
            if readers.contains(&name) || name == "*" {
                offences.push(file.offence(head, &format!("`env::{name}` belongs into cli only")));
            }
        }
    }
    offences
}

/// What people and programs read is written by `cli` alone.
fn output(file: &File) -> Vec<String> {
    let forms: [&[&str]; 4] =
        [&["println", "!"], &["print", "!"], &["io", ":", ":", "stdout"], &["anstream", ":", ":"]];
    let mut offences: Vec<String> =
        forms.iter().flat_map(|form| only_in(file, &["cli"], Tests::Aside, form)).collect();
    // `use std::io::{self, stdout}` and a bare `stdout()`; a method or a function of that name is something else.
    if file.room().is_none_or(|room| room != "cli") {
        let bare = file.source.find(&["stdout", "("]).filter(|at| {
            let before = at.checked_sub(1).map_or("", |before| file.source.text(before));
            !matches!(before, "." | "fn" | ":") && !file.source.tokens[*at].is_test
        });
        offences.extend(bare.map(|at| file.offence(at, "`stdout()` belongs into cli only")));
    }
    offences
}

/// One file, one job.
fn length(file: &File) -> Vec<String> {
    let lines = file.source.lines;
    if file.is_test() || lines <= MOST_LINES {
        return Vec::new();
    }
    vec![format!("src/{}: {lines} lines without its tests, more than {MOST_LINES}", file.path.display())]
}

/// Files of one room that may import each other: a name that is parsed, and the room's error, which carries it.
const MUTUAL: &[[&str; 2]] = &[["git/commit", "git/error"]];

/// The files of the house by their modules, and which of them import which of the same room.
struct Imports {
    /// The path below src without its ending, `mod` left out: `git`, `git/work`.
    files: BTreeMap<String, BTreeSet<String>>,
}

impl Imports {
    fn of(files: &[File]) -> Self {
        let known: BTreeMap<String, &File> = files.iter().map(|file| (file.module(), file)).collect();
        let imports = known.iter().filter(|(_, file)| !file.is_test()).map(|(module, file)| {
            let paths = file.paths().into_iter().filter(|path| !path.is_reexport);
            let used = paths.filter_map(|path| resolve(&known, &path.names, 0));
            let used = used.filter(|used| used != module && room_of(used) == room_of(module));
            (module.clone(), used.collect())
        });
        Self { files: imports.collect() }
    }

    /// Import cycles between files of one room.
    fn cycles(&self) -> Vec<String> {
        let mut found = Vec::new();
        for start in self.files.keys() {
            // The shortest way back, told where the cycle's first file is.
            let mut ways = VecDeque::from([vec![start.as_str()]]);
            let mut seen = BTreeSet::new();
            while let Some(way) = ways.pop_front() {
                let Some(next) = self.files.get(way[way.len() - 1]) else { continue };
                for file in next.iter().filter(|file| !MUTUAL.contains(&pair(way[way.len() - 1], file))) {
                    if file == start && way.iter().min() == way.first() {
                        found.push(format!("src/{}: an import cycle: {} → {start}", start, way.join(" → ")));
                        ways.clear();
                        break;
                    }
                    if seen.insert(file) {
                        ways.push_back(way.iter().copied().chain([file.as_str()]).collect());
                    }
                }
            }
        }
        found
    }
}

fn pair<'a>(one: &'a str, other: &'a str) -> [&'a str; 2] {
    if one < other { [one, other] } else { [other, one] }
}

fn room_of(module: &str) -> &str {
    module.split('/').next().unwrap_or(module)
}

/// The file in which what `names` leads to is written: re-exports are followed.
fn resolve(known: &BTreeMap<String, &File>, names: &[String], depth: usize) -> Option<String> {
    for length in (1..=names.len()).rev() {
        let module = names[..length].join("/");
        let Some(file) = known.get(&module) else { continue };
        let exported = names.get(length).filter(|_| depth < 8).and_then(|name| {
            let paths = file.paths();
            let path = paths.iter().find(|path| path.is_reexport && path.names.last() == Some(name))?;
            resolve(known, &path.names, depth + 1)
        });
        return Some(exported.unwrap_or(module));
    }
    None
}

/// A path that a file names, from the root of the crate.
struct NamedPath {
    names: Vec<String>,
    /// `pub use`: the file passes it on, and need not know it.
    is_reexport: bool,
}

impl File {
    fn module(&self) -> String {
        let path = self.path.with_extension("");
        let path = if path.ends_with("mod") { path.parent().expect("a room").to_owned() } else { path };
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Every path in the file's own code that begins at the root, at the file's module, or above it.
    fn paths(&self) -> Vec<NamedPath> {
        let tokens = &self.source.tokens;
        let module: Vec<String> = self.module().split('/').map(str::to_owned).collect();
        let mut paths = Vec::new();
        for (at, token) in tokens.iter().enumerate().filter(|(_, token)| !token.is_test) {
            let before = at.checked_sub(1).map_or("", |before| self.source.text(before));
            if !token.text.starts_with(|c: char| c.is_ascii_lowercase()) || before == ":" {
                continue;
            }
            let inner = vec![String::new(); token.depth];
            let (mut base, mut next) = ([module.clone(), inner].concat(), at);
            match token.text.as_str() {
                "crate" => (base, next) = (Vec::new(), at + 3),
                "self" => next = at + 3,
                "super" => {
                    while self.source.text(next) == "super" {
                        base.pop();
                        next += 3;
                    }
                }
                // A child of this module, named as such.
                _ if self.is_path(at) && before == "use" => {}
                _ => continue,
            }
            if next > at && !self.is_path(at) {
                continue;
            }
            let start = (0..at).rev().find(|start| matches!(self.source.text(*start), ";" | "}" | "]"));
            let first = start.map_or(0, |start| start + 1);
            let is_reexport = (first..at).any(|i| self.source.text(i) == "use")
                && (first..at).any(|i| self.source.text(i) == "pub");
            for names in self.expanded(next, base.into_iter().filter(|name| !name.is_empty()).collect()) {
                paths.push(NamedPath { names, is_reexport });
            }
        }
        paths
    }

    fn is_path(&self, at: usize) -> bool {
        self.source.text(at + 1) == ":" && self.source.text(at + 2) == ":"
    }

    /// The paths that begin at the token `at`, groups taken apart.
    fn expanded(&self, at: usize, base: Vec<String>) -> Vec<Vec<String>> {
        if self.source.text(at) == "{" {
            let heads = self.source.path_heads(at);
            return heads.into_iter().flat_map(|head| self.expanded(head, base.clone())).collect();
        }
        let mut names = base;
        if self.source.text(at) != "self" {
            names.push(self.source.text(at).to_owned());
        }
        if self.is_path(at) { self.expanded(at + 3, names) } else { vec![names] }
    }
}

fn all_rules(file: &File) -> Vec<String> {
    [layers, git_engines, raw_calls, environment, output, length].iter().flat_map(|rule| rule(file)).collect()
}

#[test]
fn the_house_stands_as_planned() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut offences = Vec::new();
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(&src) {
        let path = entry.unwrap().into_path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let file = File::new(path.strip_prefix(&src).unwrap(), &fs::read_to_string(&path).unwrap());
            offences.extend(all_rules(&file));
            files.push(file);
        }
    }
    assert!(files.len() > 10, "only {} files below {}", files.len(), src.display());
    let imports = Imports::of(&files);
    let known = |[one, other]: &[&str; 2]| {
        imports.files[*one].contains(*other) && imports.files[*other].contains(*one)
    };
    assert!(MUTUAL.iter().all(known), "an exception that none needs");
    offences.extend(imports.cycles());
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

mod each_rule_catches {
    use super::*;

    /// The offences of a made-up file.
    fn offences(path: &str, text: &str) -> Vec<String> {
        all_rules(&File::new(path, text))
    }

    #[track_caller]
    fn assert_one(path: &str, text: &str, offence: &str) {
        assert_eq!(offences(path, text), [offence]);
    }

    #[track_caller]
    fn assert_none(path: &str, text: &str) {
        assert_eq!(offences(path, text), Vec::<String>::new());
    }

    #[test]
    fn an_import_that_goes_up() {
        let offence = "src/git/work.rs:2: `git` uses `dispatch`, which is on a higher storey";
        assert_one("git/work.rs", "//! Work.\nuse crate::dispatch::plan::Plan;", offence);
        assert_one("git/work.rs", "fn f() {\n    crate::dispatch::run() }", offence);
        assert_one("git/work.rs", "use crate::{\n    dispatch as d, id::{Lane, Slug}, git::repo};", offence);
        assert_one("git/work.rs", "\npub(in crate::dispatch) fn f() {}", offence);
        assert_one("id.rs", "use ralph::cli;", "src/id.rs:1: `id` uses `cli`, which is on a higher storey");
    }

    #[test]
    fn an_import_that_goes_sideways() {
        let beside =
            |room, used| format!("src/{room}/mod.rs:1: `{room}` uses `{used}`, which is on the same storey");
        assert_one("session/mod.rs", "use crate::git::Repo;", &beside("session", "git"));
        assert_one("supervisor/mod.rs", "use crate::removal;", &beside("supervisor", "removal"));
        assert_one("process/mod.rs", "use crate::config::Config;", &beside("process", "config"));
        assert_one("merge/mod.rs", "use crate::dispatch;", &beside("merge", "dispatch"));
    }

    #[test]
    fn a_cycle_between_files_of_one_room() {
        let cycles = |files: &[(&str, &str)]| {
            let files: Vec<File> = files.iter().map(|(path, text)| File::new(*path, text)).collect();
            Imports::of(&files).cycles()
        };
        let top = ("git/mod.rs", "mod a; mod b; mod c; pub use a::A; pub use b::{f, B};");
        for (a, b) in [
            ("use super::b::B;", "use super::a::A;"),
            ("use super::B;", "use super::{A, c};"),
            ("use crate::git::{b::{self}, c};", "fn g() { crate::git::A::new() }"),
            ("fn g() { super::f() }", "mod inner { use super::super::A; }"),
        ] {
            let found = cycles(&[top, ("git/a.rs", a), ("git/b.rs", b), ("git/c.rs", "")]);
            assert_eq!(found, ["src/git/a: an import cycle: git/a → git/b → git/a"], "{a} {b}");
        }
        let long = [
            top,
            ("git/a.rs", "use super::b;"),
            ("git/b.rs", "use super::c;"),
            ("git/c.rs", "use super::A;"),
        ];
        assert_eq!(cycles(&long), ["src/git/a: an import cycle: git/a → git/b → git/c → git/a"]);
        let with_top =
            [("cli/demo.rs", "mod show; use show::S; pub struct T;"), ("cli/demo/show.rs", "use super::T;")];
        assert_eq!(cycles(&with_top).len(), 1);
        // Passing on what a child has is no import, and tests may look at everything.
        let child = [("git/mod.rs", "mod a; pub use a::A; pub struct T;"), ("git/a.rs", "use super::T;")];
        assert_eq!(cycles(&child), Vec::<String>::new());
        let test = [
            top,
            ("git/a.rs", "use super::B;"),
            ("git/b.rs", "#[cfg(test)] mod tests { use super::super::A; }"),
        ];
        assert_eq!(cycles(&test), Vec::<String>::new());
    }

    #[test]
    fn an_import_that_takes_the_stairs_of_super() {
        let up = |line| format!("src/git/work.rs:{line}: `git` uses `cli`, which is on a higher storey");
        assert_one("git/work.rs", "use super::super::cli::run;", &up(1));
        assert_one("git/work.rs", "mod inner {\n    use super::super::super::cli::run;\n}", &up(2));
        assert_one("git/work.rs", "use super::super::{id, cli};", &up(1));
        assert_one(
            "removal.rs",
            "use super::cli;",
            "src/removal.rs:1: `removal` uses `cli`, which is on a higher storey",
        );
        assert_none("git/work.rs", "use super::cli; mod inner { use super::super::cli; }");
    }

    #[test]
    fn an_import_of_everything_or_of_nothing_known() {
        assert_one("git/mod.rs", "use crate::*;", "src/git/mod.rs:1: `git` uses `*`, which is no room");
        assert_one(
            "attic/mod.rs",
            "fn f() {}",
            "src/attic/mod.rs:1: the room `attic` stands in no storey: give it one",
        );
    }

    #[test]
    fn nothing_that_goes_down_or_stays_in_the_room() {
        assert_none("main.rs", "fn main() { ralph::cli::run() }");
        assert_none(
            "cli/run.rs",
            "use crate::batch; use crate::recover::{self, plan}; use crate::cli::args;",
        );
        assert_none("launch/mod.rs", "use crate::{session::store::Store, id, durable::Lock};");
        assert_none("config/mod.rs", "use crate::durable::{self, FileError}; pub(crate) fn f() {}");
        assert_none("git/work.rs", "// use crate::cli;\nconst TEXT: &str = \"crate::cli\";");
        assert_none("lib.rs", "pub mod cli;");
    }

    #[test]
    fn an_engine_of_git_outside_git() {
        let offence = "src/removal.rs:1: `git2` belongs into git only";
        assert_one("removal.rs", "fn f(repo: &git2::Repository) {}", offence);
        assert_one("removal.rs", "#[cfg(test)] mod tests { use git2::Repository; }", offence);
        assert_one("report.rs", "use gix;", "src/report.rs:1: `gix` belongs into git only");
        assert_none("git/work.rs", "use git2::Repository; use gix;");
    }

    #[test]
    fn unsafe_code_outside_process() {
        assert_one(
            "durable.rs",
            "fn f() { unsafe { g() } }",
            "src/durable.rs:1: `unsafe` belongs into process only",
        );
        assert_none("process/spawn.rs", "#[expect(unsafe_code)] fn f() { unsafe { g() } }");
        assert_none("git/tests/fixture.rs", "fn f() { unsafe { g() } }");
    }

    #[test]
    fn the_environment_read_outside_cli() {
        let offence = "src/config/mod.rs:1: `env::var` belongs into cli only";
        assert_one("config/mod.rs", "fn f() { std::env::var(\"HOME\") }", offence);
        assert_one("config/mod.rs", "use std::env::{current_exe, var};", offence);
        assert_one(
            "agent/pi.rs",
            "use std::env; fn f() { env::vars_os() }",
            "src/agent/pi.rs:1: `env::vars_os` belongs into cli only",
        );
        assert_none("cli/mod.rs", "fn f() { std::env::vars_os() }");
        assert_none("failpoint.rs", "fn f() { std::env::var(\"RALPH_FAILPOINT\") }");
        assert_none("launch/local.rs", "fn f() { std::env::current_exe() }");
        assert_none("config/mod.rs", "#[cfg(test)]\nmod tests { fn f() { std::env::temp_dir() } }");
    }

    #[test]
    fn output_outside_cli() {
        assert_one(
            "report.rs",
            "fn f() { println!(\"x\") }",
            "src/report.rs:1: `println!` belongs into cli only",
        );
        assert_one(
            "report.rs",
            "fn f() { std::io::stdout() }",
            "src/report.rs:1: `io::stdout` belongs into cli only",
        );
        assert_one(
            "report.rs",
            "use std::io::{self, stdout}; fn f() { stdout().lock() }",
            "src/report.rs:1: `stdout()` belongs into cli only",
        );
        assert_one(
            "report.rs",
            "use anstream::AutoStream;",
            "src/report.rs:1: `anstream::` belongs into cli only",
        );
        assert_none("cli/render.rs", "fn f() { println!(\"{}\", std::io::stdout()) }");
        assert_none(
            "process/spawn.rs",
            "fn f(c: Command) { c.stdout(x); rustix::stdio::stdout() } fn stdout() {}",
        );
        assert_none("report.rs", "#[test]\nfn f() { println!() }");
    }

    #[test]
    fn a_file_that_does_too_much() {
        let long = |lines: usize| "//\n".repeat(lines);
        assert_none("report.rs", &long(600));
        assert_one("report.rs", &long(601), "src/report.rs: 601 lines without its tests, more than 600");
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}fn f() {{}}\n}}\n", long(599), long(500));
        assert_none("report.rs", &tests);
        let after = format!("{tests}\n{}", long(20));
        assert_one("report.rs", &after, "src/report.rs: 620 lines without its tests, more than 600");
        assert_none("session/store/tests.rs", &long(700));
    }

    #[test]
    fn code_after_a_test_as_code() {
        let text =
            "#[cfg(test)]\nuse std::env;\n#[test]\nfn t() { env::var(\"x\") }\nfn f() { env::var(\"x\") }";
        assert_one("report.rs", text, "src/report.rs:5: `env::var` belongs into cli only");
        let whole = "#![cfg(test)]\nfn f() { env::var(\"x\") }";
        assert_none("report.rs", whole);
    }
}
