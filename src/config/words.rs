//! Settings that are words of a command line.

use std::str::FromStr;

use super::value::{Refusal, Said, Value};
use super::wording;
use crate::redact::redacted;

/// Words of a command line: an array, or a text that is split as a shell would.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Words(Vec<String>);

impl Words {
    /// Takes words that are split already. `None`: one holds a NUL, which no argument can.
    pub fn new(words: Vec<String>) -> Option<Self> {
        words.iter().all(|word| !word.contains('\0')).then_some(Self(words))
    }

    /// The words.
    pub fn as_slice(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for Words {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let words = shlex::split(text).ok_or(Refusal::OpenQuote)?;
        Self::new(words).ok_or(Refusal::Expected("words without a NUL character"))
    }
}

impl Value for Words {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        match said {
            Said::Text(text) => text.parse(),
            Said::Texts(words) => {
                Self::new(words.clone()).ok_or(Refusal::Expected("words without a NUL character"))
            }
            _ => Err(Refusal::Expected("an array of texts, or one text that is split as a shell would")),
        }
    }

    fn shown(&self) -> String {
        wording::escaped(&format!("{:?}", self.0))
    }

    fn redacted(&self) -> String {
        Self(redacted(&self.0)).shown()
    }

    fn canonical(&self) -> Vec<String> {
        self.0.clone()
    }
}

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
}

impl Command {
    pub(super) fn pi() -> Self {
        Self { program: "pi".to_owned(), arguments: Vec::new() }
    }

    /// The program: a name that is looked for in PATH, or a path.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// Its arguments, before any that ralph adds.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    fn from_words(words: Words) -> Result<Self, Refusal> {
        let mut words = words.0.into_iter();
        match words.next().filter(|program| !program.is_empty()) {
            Some(program) => Ok(Self { program, arguments: words.collect() }),
            None => Err(Refusal::Expected("a command: a program and its arguments")),
        }
    }
}

impl FromStr for Command {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        Self::from_words(text.parse()?)
    }
}

impl Value for Command {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        Self::from_words(Words::from_said(said)?)
    }

    fn shown(&self) -> String {
        Words(self.canonical()).shown()
    }

    fn redacted(&self) -> String {
        Words(self.canonical()).redacted()
    }

    fn canonical(&self) -> Vec<String> {
        std::iter::once(&self.program).chain(&self.arguments).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_as_a_shell_would_or_given_as_words() {
        let split: Command = "pi --model 'a b'".parse().unwrap();
        let words = vec!["pi".to_owned(), "--model".to_owned(), "a b".to_owned()];
        assert_eq!(split, Command::from_said(&Said::Texts(words)).unwrap());
        assert_eq!(split.shown(), r#"["pi", "--model", "a b"]"#);
        assert_eq!("pi 'a".parse::<Command>(), Err(Refusal::OpenQuote));
        for text in ["", "  ", "''", "pi 'a\0b'"] {
            assert!(text.parse::<Command>().is_err(), "{text:?} was taken");
        }
    }
}
