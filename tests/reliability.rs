//! docs/RELIABILITY.md and the tests agree: every row of the catalogue of faults has a line, every test that bears a
//! row's number is named in that line, and every test that is named there exists.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::helpers::source::Source;

/// How many rows there are.
const ROWS: u32 = 86;

/// A line of the table: the row, and the tests that it names.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    row: u32,
    tests: BTreeSet<String>,
}

impl Line {
    /// Reads one of a table's lines; `None` for every other.
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [row, fault, promise, tests] = cells[..] else { return None };
        let row = row.parse().ok()?;
        assert!(!fault.is_empty() && !promise.is_empty(), "row {row} says nothing");
        let tests = tests.split(", ").map(|name| name.trim_matches('`').to_owned());
        Some(Self { row, tests: tests.filter(|name| !name.is_empty()).collect() })
    }
}

/// The rows whose numbers stand at the beginning of a test's name: `row_7_…`, `row_23_24_25_…`, `rows_14_and_15_…`.
fn rows_of(name: &str) -> BTreeSet<u32> {
    let Some(rest) = name.strip_prefix("row_").or_else(|| name.strip_prefix("rows_")) else {
        return BTreeSet::new();
    };
    let numbers = rest.split('_').filter(|part| *part != "and").map(str::parse).take_while(Result::is_ok);
    numbers.flatten().collect()
}

/// What the document lacks or has too much of: `sources` are the names of all tests that bear a row's number, and whether
/// it is one of the whole program.
fn disagreements(lines: &[Line], sources: &BTreeMap<String, bool>) -> Vec<String> {
    let mut wrong = Vec::new();
    let listed: Vec<u32> = lines.iter().map(|line| line.row).collect();
    if listed != (1..=ROWS).collect::<Vec<u32>>() {
        wrong.push(format!("the rows are not 1 to {ROWS}, one line each: {listed:?}"));
    }
    for line in lines {
        let row = line.row;
        for name in line.tests.iter().filter(|name| !sources.contains_key(*name)) {
            wrong.push(format!("row {row} names {name}, which is no test"));
        }
        for name in line.tests.iter().filter(|name| !rows_of(name).contains(&row)) {
            wrong.push(format!("row {row} names {name}, which is another row's"));
        }
        let of_the_row = sources.iter().filter(|(name, _)| rows_of(name).contains(&row));
        for (name, _) in of_the_row.clone().filter(|(name, _)| !line.tests.contains(*name)) {
            wrong.push(format!("row {row} does not name {name}"));
        }
        if !of_the_row.clone().any(|(_, of_the_program)| *of_the_program) {
            wrong.push(format!("row {row} is not tested on the whole program"));
        }
    }
    wrong
}

/// Every name that bears a row's number, below `folder`.
fn names_below(folder: &Path) -> BTreeSet<String> {
    let walk = walkdir::WalkDir::new(folder).into_iter();
    let files = walk
        .filter_entry(|entry| entry.file_name() != "node_modules")
        .map(|entry| entry.unwrap().into_path());
    let files = files.filter(|path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names = BTreeSet::new();
    for file in files {
        let source = Source::parse(&fs::read_to_string(file).unwrap());
        names.extend(
            source.tokens.into_iter().map(|token| token.text).filter(|name| !rows_of(name).is_empty()),
        );
    }
    names
}

#[test]
fn the_document_and_the_tests_agree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/RELIABILITY.md")).unwrap();
    let lines: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    let mut sources: BTreeMap<String, bool> = BTreeMap::new();
    for (folder, of_the_program) in [("src", false), ("tests", true)] {
        for name in names_below(&root.join(folder)) {
            let before = sources.insert(name.clone(), of_the_program);
            assert_eq!(before, None, "two tests are called {name}");
        }
    }
    assert_eq!(disagreements(&lines, &sources), Vec::<String>::new());
}

#[test]
fn a_document_that_disagrees_is_caught() {
    let source = |name: &str, of_the_program| (name.to_owned(), of_the_program);
    let all = (1..=ROWS).map(|row| source(&format!("row_{row}_holds"), true));
    let sources: BTreeMap<String, bool> = all.chain([source("row_7_of_a_room", false)]).collect();
    let line = |row: u32| {
        let more = if row == 7 { ", `row_7_of_a_room`" } else { "" };
        Line::parse(&format!("| {row} | a fault | a promise | `row_{row}_holds`{more} |")).unwrap()
    };
    let lines: Vec<Line> = (1..=ROWS).map(line).collect();
    assert_eq!(disagreements(&lines, &sources), Vec::<String>::new());

    let changed = |change: fn(&mut Vec<Line>)| {
        let mut lines: Vec<Line> = (1..=ROWS).map(line).collect();
        change(&mut lines);
        disagreements(&lines, &sources).join("; ")
    };
    assert!(changed(|lines| drop(lines.pop())).contains("the rows are not 1 to 86"));
    let forgotten = changed(|lines| drop(lines[6].tests.pop_last()));
    assert_eq!(forgotten, "row 7 does not name row_7_of_a_room");
    let invented = changed(|lines| lines[1].tests.extend(["row_2_is_fiction".to_owned()]));
    assert_eq!(invented, "row 2 names row_2_is_fiction, which is no test");
    let astray = changed(|lines| lines[1].tests.extend(["row_3_holds".to_owned()]));
    assert_eq!(astray, "row 2 names row_3_holds, which is another row's");
    let mut only_a_room = sources.clone();
    only_a_room.remove("row_9_holds");
    assert!(
        disagreements(&lines, &only_a_room).contains(&"row 9 is not tested on the whole program".to_owned())
    );
}

#[test]
fn a_tests_name_says_which_rows_it_is_of() {
    for (name, rows) in [
        ("row_7_killed", &[7][..]),
        ("row_23_24_25_a_ticket", &[23, 24, 25]),
        ("rows_14_and_15_nonsense", &[14, 15]),
        ("rows_82_83_and_85_what", &[82, 83, 85]),
        ("row_78_with_umask_000_files", &[78]),
        ("row_of_a_table", &[]),
        ("rows", &[]),
        ("arrow_7_flies", &[]),
    ] {
        assert_eq!(rows_of(name), rows.iter().copied().collect(), "{name}");
    }
}
