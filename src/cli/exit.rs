//! The exit statuses: one table, of which `--help` is made; README.md repeats it, held by `tests/meta.rs`.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; with `--wait` and for `wait`: the session succeeded.
    Done,
    /// A session ended otherwise than with success, or a check was not passed.
    NotSucceeded,
    /// The command was not understood, or names more than one thing.
    Usage,
    /// No such ticket, session or worktree.
    NotFound,
    /// Refused: busy, in conflict, or something would be lost.
    Refused,
    /// The agent could not be launched.
    NotLaunched,
    /// This repository or machine cannot do that.
    CannotDo,
    /// A bug in ralph.
    Bug,
    /// Interrupted.
    Interrupted,
}

/// Every status with its meaning, for `--help`.
pub fn all_in_words() -> String {
    let meanings: Vec<String> =
        Exit::ALL.iter().map(|exit| format!("{} {}", exit.status(), exit.meaning())).collect();
    format!("Exit status: {}", meanings.join(" · "))
}

impl Exit {
    const ALL: [Self; 9] = [
        Self::Done,
        Self::NotSucceeded,
        Self::Usage,
        Self::NotFound,
        Self::Refused,
        Self::NotLaunched,
        Self::CannotDo,
        Self::Bug,
        Self::Interrupted,
    ];

    fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotSucceeded => "a session ended otherwise, or a check was not passed",
            Self::Usage => "usage",
            Self::NotFound => "no such ticket, session or worktree",
            Self::Refused => "refused: busy, conflict, or something would be lost",
            Self::NotLaunched => "could not launch",
            Self::CannotDo => "this repository or machine cannot do that",
            Self::Bug => "a bug in ralph",
            Self::Interrupted => "interrupted",
        }
    }

    /// The number that the shell sees.
    pub fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NotSucceeded => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::NotLaunched => 5,
            Self::CannotDo => 6,
            Self::Bug => 70,
            Self::Interrupted => 130,
        }
    }

    /// The word for it in the JSON form of an error.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotSucceeded => "not_succeeded",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::NotLaunched => "launch_failed",
            Self::CannotDo => "cannot_do",
            Self::Bug => "bug",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}
