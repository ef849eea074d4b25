//! Errors on their way to a person or a program: a kind, a sentence, and what to do next.

use std::fmt;

use super::exit::Exit;

/// An error as it is shown.
#[derive(Debug)]
pub struct CliError {
    /// How the program ends.
    pub exit: Exit,
    /// What failed, on what, and why; one line.
    pub message: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
}

impl CliError {
    /// An error without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// The same, with what to do next.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// What a command comes to.
pub type CliResult<T = Exit> = Result<T, CliError>;
