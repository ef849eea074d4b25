//! Errors on their way to a person or a program: a kind, a sentence, and what to do next.

use std::fmt;

use super::exit::Exit;
use super::text::{clean, one_line};
use crate::batch::journal::JournalError;
use crate::batch::run::BatchError;
use crate::dispatch::error::DispatchError;
use crate::durable::FileError;
use crate::git::{ErrorClass, GitError};
use crate::id::{NameError, TicketId};
use crate::launch::LaunchError;
use crate::launch::stop::StopError;
use crate::merge::MergeError;
use crate::recover::{EndedError, RecoverError};
use crate::removal::RemovalError;
use crate::session::choose::unambiguous_name;
use crate::session::lane::LaneRecord;
use crate::session::store::StoreError;

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

/// clap repeats what was typed as it is, control sequences included; so its text is taken apart and said again.
impl From<&clap::Error> for CliError {
    fn from(error: &clap::Error) -> Self {
        use clap::error::{ContextKind, ContextValue, ErrorKind};
        use std::error::Error as _;
        if let (ErrorKind::ValueValidation, Some(why), Some(ContextValue::String(argument))) =
            (error.kind(), error.source(), error.get(ContextKind::InvalidArg))
        {
            let message = match (why.is::<NameError>(), error.get(ContextKind::InvalidValue)) {
                (false, Some(ContextValue::String(typed))) => {
                    format!("{argument} cannot be {typed:?}: {why}")
                }
                // Names say themselves, escaped and shortened, what they are not.
                _ => format!("{argument}: {why}"),
            };
            return Self::new(Exit::Usage, message).hint("see --help");
        }
        let text = clean(&error.to_string());
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim();
        let (message, rest) = text.split_once("\n\n").unwrap_or((text, ""));
        let hint = rest.trim().trim_start_matches("tip: ").trim();
        let hint = if hint.is_empty() { "see --help" } else { hint };
        Self::new(Exit::Usage, one_line(message)).hint(hint)
    }
}

impl From<GitError> for CliError {
    fn from(error: GitError) -> Self {
        Self { exit: exit_of(error.class()), message: error.to_string(), hint: error.hint() }
    }
}

fn exit_of(class: ErrorClass) -> Exit {
    match class {
        ErrorClass::Refused => Exit::Refused,
        ErrorClass::NotFound => Exit::NotFound,
        ErrorClass::CannotDo | ErrorClass::Failed => Exit::CannotDo,
        ErrorClass::Usage => Exit::Usage,
    }
}

impl From<StoreError> for CliError {
    fn from(error: StoreError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { exit: Exit::CannotDo, message: error.to_string(), hint }
    }
}

impl From<FileError> for CliError {
    fn from(error: FileError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self { exit: Exit::CannotDo, message: error.to_string(), hint }
    }
}

impl From<RemovalError> for CliError {
    fn from(error: RemovalError) -> Self {
        Self { exit: exit_of(error.class()), message: error.to_string(), hint: error.hint() }
    }
}

impl From<MergeError> for CliError {
    fn from(error: MergeError) -> Self {
        let exit = match &error {
            MergeError::VerifyFailed { .. } => Exit::NotSucceeded,
            MergeError::Cancelled { .. } => Exit::Interrupted,
            other => exit_of(other.class()),
        };
        Self { exit, message: error.to_string(), hint: error.hint() }
    }
}

impl From<RecoverError> for CliError {
    fn from(error: RecoverError) -> Self {
        match error {
            RecoverError::Store(error) => error.into(),
            RecoverError::File(error) => error.into(),
            RecoverError::Git(error) => error.into(),
        }
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        let message = error.to_string();
        match error {
            JournalError::File(error) => error.into(),
            JournalError::Busy(_) => {
                Self::new(Exit::Refused, message).hint("see what it does: ralph worktree list")
            }
            JournalError::Newer { .. } => {
                Self::new(Exit::CannotDo, message).hint("take the batch up with the newer ralph")
            }
            JournalError::Damaged { path, .. } => {
                let folder = path.parent().unwrap_or(&path).display();
                Self::new(Exit::CannotDo, message).hint(format!(
                    "what its sessions did is in `ralph worktree list`: begin what is left as a batch of its own, and delete \
                     {folder} to hear no more of this one"
                ))
            }
            JournalError::Encode(_) => Self::new(Exit::Bug, message),
        }
    }
}

impl From<BatchError> for CliError {
    fn from(error: BatchError) -> Self {
        let message = error.to_string();
        let failed = match error {
            BatchError::Journal(error) => error.into(),
            BatchError::Store(error) => error.into(),
            BatchError::Thread(_) => Self::new(Exit::CannotDo, message),
            BatchError::Stuck(_) => Self::new(Exit::Bug, message),
        };
        let again = "its sessions go on; take it up again: ralph worktree batch --resume";
        let hint = failed.hint.as_ref().map_or(again.to_owned(), |first| format!("{first}; {again}"));
        failed.hint(hint)
    }
}

impl From<StopError> for CliError {
    fn from(error: StopError) -> Self {
        let message = error.to_string();
        match error {
            StopError::Elsewhere { .. } => Self::new(Exit::Refused, message).hint("stop it there"),
            StopError::Untold { .. } => Self::new(Exit::CannotDo, message)
                .hint("if another user began it, stop it as that user; `ralph worktree inspect` shows its processes"),
            StopError::Unrecorded { .. } => Self::new(Exit::CannotDo, message)
                .hint("it ends all the same; its record will not say that someone asked for it"),
            StopError::Unseen { .. } => {
                Self::new(Exit::CannotDo, message).hint("was it begun in a container? stop it there")
            }
            StopError::Store(error) => error.into(),
        }
    }
}

impl From<EndedError> for CliError {
    fn from(error: EndedError) -> Self {
        let message = error.to_string();
        match error {
            EndedError::NeverInPlace { .. } => Self::new(Exit::NotFound, message),
            EndedError::Newer { .. } => {
                Self::new(Exit::CannotDo, message).hint("look at it with the newer ralph")
            }
            EndedError::Left { .. } => {
                Self::new(Exit::CannotDo, message).hint("see `ralph worktree recover`")
            }
            EndedError::Recover(error) => error.into(),
            EndedError::Store(error) => error.into(),
        }
    }
}

impl From<LaunchError> for CliError {
    fn from(error: LaunchError) -> Self {
        let (message, hint) = (error.to_string(), error.hint().map(str::to_owned));
        let exit = match error {
            LaunchError::Store(_) => Exit::CannotDo,
            _ => Exit::NotLaunched,
        };
        Self { exit, message, hint }
    }
}

/// The error for a ticket that does not say which of its lanes is meant.
pub fn several_lanes(ticket: &TicketId, lanes: &[LaneRecord]) -> CliError {
    let names: Vec<String> = lanes.iter().map(unambiguous_name).collect();
    CliError::new(Exit::Usage, format!("{ticket} has several lanes: {}", names.join(", ")))
        .hint("name one of them")
}

/// The error for a lane whose worktree is no longer there.
pub fn worktree_gone(record: &LaneRecord) -> CliError {
    let message = format!("the worktree of {} at {} is gone", record.lane, record.worktree);
    CliError::new(Exit::NotFound, message)
        .hint(format!("make it again from its branch: ralph worktree create {}", record.lane))
}

impl From<DispatchError> for CliError {
    fn from(error: DispatchError) -> Self {
        let (message, hint) = (error.to_string(), error.hint());
        let exit = match error {
            DispatchError::Launch(error) => return error.into(),
            DispatchError::Git(error) => exit_of(error.class()),
            DispatchError::Store(_)
            | DispatchError::File(_)
            | DispatchError::NotUtf8(_)
            | DispatchError::TicketFile { .. } => Exit::CannotDo,
            DispatchError::Busy { .. }
            | DispatchError::Contended { .. }
            | DispatchError::Unsettled { .. }
            | DispatchError::Elsewhere { .. }
            | DispatchError::OtherBranch { .. }
            | DispatchError::TicketFolder { .. } => Exit::Refused,
            DispatchError::SeveralLanes { .. } | DispatchError::Agent(_) => Exit::Usage,
            DispatchError::NotReady(_) | DispatchError::NotLaunched { .. } => Exit::NotLaunched,
        };
        Self { exit, message, hint }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    #[test]
    fn what_cannot_be_ended_settled_or_copied_comes_with_what_to_do() {
        let session = crate::id::SessionId::generate();
        let full = || io::Error::from_raw_os_error(28);
        for told in [
            CliError::from(StopError::Untold { session, source: full() }),
            CliError::from(StopError::Unrecorded {
                session,
                source: FileError::io("write", Path::new("x"), full()).into(),
            }),
            CliError::from(EndedError::Newer { session }),
            CliError::from(EndedError::Left { session, why: "it is alive".to_owned() }),
            CliError::from(DispatchError::TicketFile { path: "x".into(), source: full() }),
        ] {
            assert!(told.hint.is_some(), "{told}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_comes_with_what_to_do() {
        for (errno, hint) in
            [(28, "make room"), (122, "make room"), (30, "must be able to write"), (13, "must be")]
        {
            let error = || FileError::io("write", Path::new("x"), io::Error::from_raw_os_error(errno));
            for told in [CliError::from(error()), CliError::from(StoreError::from(error()))] {
                assert!(told.hint.is_some_and(|text| text.contains(hint)), "{errno}");
            }
        }
        let full = FileError::io("write", Path::new("x"), io::Error::from_raw_os_error(28));
        let told = CliError::from(BatchError::from(JournalError::from(full)));
        assert!(told.hint.is_some_and(|text| text.contains("make room") && text.contains("--resume")));
        let other = FileError::io("write", Path::new("x"), io::Error::from_raw_os_error(5));
        assert_eq!(CliError::from(other).hint, None);
        // Whichever room the file belongs to, and whoever found the disk full.
        let io = |errno| GitError::Io {
            operation: "write",
            path: "x".into(),
            source: io::Error::from_raw_os_error(errno),
        };
        let said = |message: &str| GitError::Libgit2 {
            operation: "create",
            object: "x".to_owned(),
            message: message.to_owned(),
        };
        let file = || FileError::io("write", Path::new("x"), io::Error::from_raw_os_error(30));
        for (told, hint) in [
            (CliError::from(io(28)), Some("make room")),
            (CliError::from(io(30)), Some("must be able to write")),
            (CliError::from(said("could not write 'x': No space left on device")), Some("make room")),
            (
                CliError::from(said("could not write 'x': Read-only file system")),
                Some("must be able to write"),
            ),
            (CliError::from(said("something else")), None),
            (CliError::from(RemovalError::File(file())), Some("must be able to write")),
            (CliError::from(MergeError::File(file())), Some("must be able to write")),
        ] {
            let seen = told.hint.as_deref();
            let right = hint.map_or(seen.is_none(), |part| seen.is_some_and(|text| text.contains(part)));
            assert!(right, "{told}: {seen:?}");
        }
    }
}
