//! Numbers in sentences.

use std::fmt::Display;

/// So many things: `1 commit`, `2 commits`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, thing: &str) -> String {
    format!("{number} {thing}{}", ending(number, thing))
}

/// What makes a word mean so many things.
pub fn ending<N: Copy + PartialEq + From<u8>>(number: N, thing: &str) -> &'static str {
    match thing {
        _ if number == N::from(1) => "",
        _ if thing.ends_with('s') => "es",
        _ => "s",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_and_several() {
        assert_eq!([0, 1, 2].map(|number: u64| count(number, "file")), ["0 files", "1 file", "2 files"]);
        assert_eq!([1, 3].map(|number: usize| count(number, "process")), ["1 process", "3 processes"]);
    }
}
