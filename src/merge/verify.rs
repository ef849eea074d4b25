//! The user's check of a merged result, in a worktree of its own, before it lands.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::MergeError;
use super::open_workshop::{MARK_VARIABLE, close, open};
use super::queue::{self, Entry, MergeId, Turn};
use super::{Place, Progress};
use crate::durable::{self, FileError};
use crate::failpoint;
use crate::git::{CommitId, LOCAL_ENV_VARS};
use crate::id::{BranchName, Lane};
use crate::process::check::{Check, CheckEnd, run};
use crate::process::descendants::Mark;
use crate::redact::redacted_script;
use crate::session::launch::SESSION_VARIABLE;

/// The logs of so many checks that were not passed are kept.
const LOGS_KEPT: usize = 20;

/// What a merged result has to pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// A command line for the shell.
    pub command: String,
    /// How long it may take.
    pub timeout: Option<Duration>,
}

/// What is checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked<'a> {
    pub(super) lane: &'a Lane,
    pub(super) target: &'a BranchName,
    pub(super) commit: &'a CommitId,
}

/// Checks a result. Green is `Ok`, and leaves nothing behind; red leaves the log.
pub(super) fn verify(
    place: &Place<'_>,
    turn: &Turn,
    entry: &mut Entry,
    verify: &Verify,
    checked: Checked<'_>,
    progress: &dyn Progress,
) -> Result<(), MergeError> {
    let log = log_file(place, entry.id);
    let workshop = open(place, turn, entry, checked.commit, checked.lane)?;
    failpoint::hit("verify.open");
    progress.verifying(checked.lane, &redacted_script(&verify.command));
    let id = entry.id.to_string();
    let value = |text: &str| OsString::from(text);
    let added = [
        (MARK_VARIABLE, value(&id)),
        ("RALPH_TICKET_ID", value(checked.lane.ticket().as_str())),
        ("RALPH_WORKTREE", workshop.path().into()),
        ("RALPH_MERGE_TARGET", value(checked.target.as_str())),
        ("RALPH_MERGE_COMMIT", value(checked.commit.as_str())),
    ];
    // A check is no part of a session.
    let removed = LOCAL_ENV_VARS.iter().copied().chain([SESSION_VARIABLE]);
    let check = Check {
        command: &verify.command,
        directory: workshop.path(),
        added_environment: added
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<BTreeMap<_, _>>(),
        removed_environment: removed.map(OsString::from).collect(),
        output: create(&log)?,
        mark: Mark::new(MARK_VARIABLE, &id),
    };
    let end = run(check, verify.timeout, &|| progress.is_cancelled());
    failpoint::hit("verify.ended");
    close(place, entry)?;
    let failed = |how: String| {
        let (lane, command) = (checked.lane.clone(), verify.command.clone());
        Err(MergeError::VerifyFailed { lane, command, how, log: log.clone() })
    };
    match end {
        Ok(CheckEnd::Exited(0)) => {
            // A log of success is of no more use.
            drop(fs::remove_file(&log));
            Ok(())
        }
        Ok(CheckEnd::Cancelled) => {
            drop(fs::remove_file(&log));
            Err(MergeError::Cancelled { lane: checked.lane.clone() })
        }
        Ok(CheckEnd::Exited(code)) => failed(format!("exit status {code}")),
        Ok(CheckEnd::Signalled(signal)) => failed(format!("ended by signal {signal}")),
        Ok(CheckEnd::TimedOut) => {
            let limit = verify.timeout.map(crate::config::duration::shown).unwrap_or_default();
            failed(format!("not done within {limit}, and ended"))
        }
        Err(error) => failed(error.to_string()),
    }
}

fn log_file(place: &Place<'_>, id: MergeId) -> PathBuf {
    queue::scratch(place.store, id).with_extension("log")
}

/// Makes the log, in place of the oldest ones that were kept.
fn create(log: &Path) -> Result<File, MergeError> {
    let folder = log.parent().unwrap_or(log);
    let listing = fs::read_dir(folder).map_err(|e| FileError::io("list", folder, e))?;
    let mut logs: Vec<PathBuf> = listing
        .filter_map(|item| item.ok().map(|item| item.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    let too_many = (logs.len() + 1).saturating_sub(LOGS_KEPT);
    for old in logs.iter().take(too_many) {
        durable::remove(old)?;
    }
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(log);
    Ok(made.map_err(|e| FileError::io("create", log, e))?)
}
