//! Rows of the catalogue of faults that cannot be provoked, or not wholly, on the machine that runs the tests: each is
//! said, and `.ci/rows.py` counts them once all tests have run.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file that the skipped rows are written to, one a line.
const SKIPPED: &str = "RALPH_TEST_SKIPPED_ROWS";

/// Makes the rows be provoked as often and as large as the catalogue says, which takes long.
const IN_FULL: &str = "RALPH_TEST_IN_FULL";

/// Says that a test of this row goes no further here, and why.
pub fn skip(row: u32, why: &str) {
    // Past the capture of the test's output: a skipped test must not pass for one that ran.
    drop(writeln!(std::io::stderr(), "row {row} is skipped: {why}"));
    let Some(file) = std::env::var_os(SKIPPED) else { return };
    let line = format!("{row}\t{}\n", why.split_whitespace().collect::<Vec<_>>().join(" "));
    let file = OpenOptions::new().append(true).create(true).open(file);
    file.expect("the list of skipped rows").write_all(line.as_bytes()).expect("the list takes a line");
}

/// How often, or how much: `usually`, and as the catalogue says where that was asked for.
pub fn amount<T>(usually: T, in_full: T) -> T {
    if std::env::var_os(IN_FULL).is_some_and(|value| value == "1") { in_full } else { usually }
}
