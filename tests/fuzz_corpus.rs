//! What the fuzzers found, read again: every input that once led into a corner of a reader, or broke it, still holds
//! what its target says. And no target is without a program or a corpus.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ralph::fuzz::TARGETS;

use crate::helpers::session::names_in;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

#[test]
fn every_target_has_a_program_and_a_corpus_and_none_is_left_over() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "two targets of one name");
    assert_eq!(BTreeSet::from_iter(names_in(&folder("corpus"))), targets);
    let programs = names_in(&folder("fuzz_targets"));
    let stems = programs.iter().map(|name| name.strip_suffix(".rs").expect("a program").to_owned());
    assert_eq!(BTreeSet::from_iter(stems), targets);
    let package = fs::read_to_string(folder("Cargo.toml")).expect("the package of the fuzzers");
    for target in &targets {
        let program =
            fs::read_to_string(folder("fuzz_targets").join(format!("{target}.rs"))).expect("a program");
        assert!(program.contains(&format!("ralph::fuzz::run(\"{target}\", data)")), "{program}");
        assert!(
            package.contains(&format!("name = \"{target}\"\npath = \"fuzz_targets/{target}.rs\"")),
            "{target}"
        );
    }
}

#[test]
fn what_the_fuzzers_found_holds() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let corpus = folder("corpus").join(target.name);
        let inputs = names_in(&corpus);
        assert!(!inputs.is_empty(), "the corpus of {} is empty", target.name);
        for name in inputs {
            let file = corpus.join(name);
            let data = fs::read(&file).expect("an input");
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&data))).is_err() {
                broken.push(file);
            }
        }
    }
    assert!(broken.is_empty(), "these no longer hold (what each panicked with stands above): {broken:#?}");
}
