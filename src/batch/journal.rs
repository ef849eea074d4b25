//! A batch's journal: `<store>/batches/<id>/journal.jsonl`, one entry a line, durable before the act that it announces.
//!
//! Who holds the batch's lock appends; the file only grows. A last line that a crash cut off was never acted upon: it is
//! cut away before anything is appended. A journal with an event that only a newer version knows is told of, and not
//! taken up.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::event::{BatchId, EVENTS_VERSION, Entry, Event};
use crate::durable::{self, FileError, HeldLock};
use crate::failpoint;
use crate::id::RefName;
use crate::session::store::Store;

/// The folder with a name for each batch in which something is left to be done.
const OPEN: &str = "open";

/// The largest journal that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// A program that a killed batch was just starting has the batch's lock until it runs: so long it is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// A journal that could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file could not be read, written or locked.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is no entry.
    #[error("{} is damaged in line {line}: {why}", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// A line holds an entry that only a newer version knows.
    #[error("{} was written by a newer ralph: line {line} {what}", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is new there.
        what: String,
    },
    /// An entry could not be put into JSON.
    #[error("could not encode an entry of a batch: {0}")]
    Encode(serde_json::Error),
    /// Another process runs this batch.
    #[error("batch {0} is being run by another ralph")]
    Busy(BatchId),
}

/// The right to append to a batch's journal.
#[derive(Debug)]
#[must_use = "the batch's lock is let go when this is dropped"]
pub struct Journal {
    file: File,
    path: PathBuf,
    open: PathBuf,
    _lock: HeldLock,
}

/// A batch that has a journal.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// The batch.
    pub id: BatchId,
    /// Its entries.
    pub entries: Vec<Entry>,
}

impl Journal {
    /// The journal of a new batch.
    pub fn begin(store: &Store, id: BatchId) -> Result<Self, JournalError> {
        let dir = dir(store, id);
        durable::create_private_dir(&dir)?;
        let open_dir = root(store).join(OPEN);
        durable::create_private_dir(&open_dir)?;
        let entry = open_dir.join(id.to_string());
        durable::write(&entry, b"")?;
        let lock = HeldLock::try_take(&dir.join("lock"))?.ok_or(JournalError::Busy(id))?;
        let path = dir.join("journal.jsonl");
        let file = open(&path)?;
        durable::sync_dir(&dir)?;
        Ok(Self { file, path, open: entry, _lock: lock })
    }

    /// The journal of a batch that no one runs any more, and its entries.
    pub fn take_up(store: &Store, id: BatchId) -> Result<(Self, Vec<Entry>), JournalError> {
        let dir = dir(store, id);
        let lock = HeldLock::take_within(&dir.join("lock"), PATIENCE)?.ok_or(JournalError::Busy(id))?;
        let path = dir.join("journal.jsonl");
        let (entries, whole) = read(&path)?;
        let file = open(&path)?;
        file.set_len(whole).map_err(|e| FileError::io("cut off the torn end of", &path, e))?;
        let entry = root(store).join(OPEN).join(id.to_string());
        Ok((Self { file, path, open: entry, _lock: lock }, entries))
    }

    /// Nothing is left to be done in the batch: no one looks for it any more.
    pub fn close(&self) -> Result<(), JournalError> {
        Ok(durable::remove(&self.open)?)
    }

    /// Appends the entries, and returns when they are on disk.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), JournalError> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(JournalError::Encode)?;
            lines.push(b'\n');
        }
        let failed = |operation| {
            let path = self.path.clone();
            move |e: io::Error| FileError::io(operation, &path, e)
        };
        let end = self.file.seek(SeekFrom::End(0)).map_err(failed("write"))?;
        if let Err(error) = self.file.write_all(&lines) {
            // A part of an entry would make what follows it unreadable.
            drop(self.file.set_len(end));
            return Err(failed("write")(error).into());
        }
        self.file.sync_data().map_err(failed("bring to disk"))?;
        failpoint::hit("batch.journaled");
        Ok(())
    }
}

/// The batches in which something is left to be done, the newest first, and what is wrong with those whose journal
/// cannot be read. Grows with those only.
pub fn unfinished(store: &Store) -> Result<(Vec<Known>, Vec<JournalError>), JournalError> {
    let open = root(store).join(OPEN);
    let entries = match fs::read_dir(&open) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(e) => return Err(FileError::io("list", &open, e).into()),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids: Vec<BatchId> = names.filter_map(|name| name.parse().ok()).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let mut batches: Vec<Known> = Vec::new();
    let mut damaged = Vec::new();
    for id in ids {
        match read(&dir(store, id).join("journal.jsonl")) {
            Ok((entries, _)) => batches.push(Known { id, entries }),
            Err(error) => damaged.push(error),
        }
    }
    batches.retain(Known::is_unfinished);
    Ok((batches, damaged))
}

impl Known {
    /// Whether something is left to be done in it: a crash may have come before its name was taken away.
    fn is_unfinished(&self) -> bool {
        let begun = matches!(self.entries.first(), Some(Entry { event: Event::Begun { .. }, .. }));
        begun && !self.entries.iter().any(|entry| entry.event == Event::Finished)
    }

    /// What the command that began it comes to.
    pub fn key(&self) -> Option<&str> {
        match self.entries.first() {
            Some(Entry { event: Event::Begun { key, .. }, .. }) => Some(key),
            _ => None,
        }
    }

    /// What items without a base of their own start from: told once, when it began. An older ralph did not write it down.
    pub fn base(&self) -> Option<&RefName> {
        match self.entries.first() {
            Some(Entry { event: Event::Begun { base, .. }, .. }) => base.as_ref(),
            _ => None,
        }
    }

    /// The command that began it.
    pub fn command(&self) -> Option<&[String]> {
        match self.entries.first() {
            Some(Entry { event: Event::Begun { command, .. }, .. }) => Some(command),
            _ => None,
        }
    }
}

fn root(store: &Store) -> PathBuf {
    store.root().join("batches")
}

fn dir(store: &Store, id: BatchId) -> PathBuf {
    root(store).join(id.to_string())
}

fn open(path: &Path) -> Result<File, FileError> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
        .map_err(|e| FileError::io("open", path, e))
}

/// The entries, and how many bytes of the file they are.
fn read(path: &Path) -> Result<(Vec<Entry>, u64), JournalError> {
    parse(path, &durable::read(path, MAX_BYTES)?.unwrap_or_default())
}

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, u64), JournalError> {
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let lines = bytes.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    let mut entries = Vec::new();
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.is_empty()) {
        let entry: Entry = serde_json::from_slice(line).map_err(|e| unreadable(path, number + 1, &e))?;
        if let Event::Begun { schema_version, .. } = entry.event
            && schema_version > EVENTS_VERSION
        {
            let (path, what) = (path.to_owned(), format!("begins version {schema_version} of the format"));
            return Err(JournalError::Newer { path, line: number + 1, what });
        }
        entries.push(entry);
    }
    Ok((entries, whole as u64))
}

/// What is wrong with a line: it is no entry, or holds something that a newer version has added. That may be an event,
/// or a reason or an outcome within one, so that only serde's words tell it of them all; the test below holds them.
fn unreadable(path: &Path, line: usize, error: &serde_json::Error) -> JournalError {
    let (path, why) = (path.to_owned(), error.to_string());
    let added = why.strip_prefix("unknown variant `").and_then(|rest| rest.split_once('`'));
    match added {
        Some((name, _)) => {
            let what = format!("holds {name:?}, which this one does not know");
            JournalError::Newer { path, line, what }
        }
        None => JournalError::Damaged { path, line, why },
    }
}

#[cfg(test)]
mod tests {
    use super::super::board::tests::{begun, entry, items};
    use super::super::event::Skip;
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::at(folder.path());
        (folder, store)
    }

    #[test]
    fn what_was_appended_is_read_again_and_only_one_may_append() {
        let (_folder, store) = store();
        let id = BatchId::generate();
        let mut journal = Journal::begin(&store, id).unwrap();
        let entries = [entry(begun(items(&[("a", &[])]))), entry(Event::Resumed)];
        journal.append(&entries).unwrap();
        assert!(matches!(Journal::take_up(&store, id), Err(JournalError::Busy(_))));
        drop(journal);
        let (mut journal, read) = Journal::take_up(&store, id).unwrap();
        assert_eq!(read, entries);
        assert_eq!(unfinished(&store).unwrap().0.len(), 1);

        journal.append(&[entry(Event::Finished)]).unwrap();
        assert_eq!(unfinished(&store).unwrap().0, []);
        journal.close().unwrap();
        assert_eq!(unfinished(&store).unwrap().0, []);
    }

    #[test]
    fn a_lock_that_is_about_to_be_let_go_is_waited_for() {
        let (_folder, store) = store();
        let id = BatchId::generate();
        let journal = Journal::begin(&store, id).unwrap();
        let last = std::thread::spawn(move || {
            std::thread::sleep(PATIENCE / 20);
            drop(journal);
        });
        drop(Journal::take_up(&store, id).unwrap());
        last.join().unwrap();
    }

    #[test]
    fn a_torn_last_line_was_never_written() {
        let (_folder, store) = store();
        let id = BatchId::generate();
        let mut journal = Journal::begin(&store, id).unwrap();
        journal.append(&[entry(begun(items(&[("a", &[])]))), entry(Event::Resumed)]).unwrap();
        drop(journal);
        let path = dir(&store, id).join("journal.jsonl");
        let whole = fs::read(&path).unwrap();
        let first = whole.iter().position(|byte| *byte == b'\n').unwrap();
        for end in first + 1..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            let (mut journal, entries) = Journal::take_up(&store, id).unwrap();
            assert_eq!(entries.len(), 1, "cut at {end}");
            journal.append(&[entry(Event::Finished)]).unwrap();
            assert_eq!(read(&path).unwrap().0[1], entry(Event::Finished), "cut at {end}");
        }
    }

    #[test]
    fn a_journal_that_is_damaged_is_told_with_its_line() {
        let (_folder, store) = store();
        let id = BatchId::generate();
        drop(Journal::begin(&store, id).unwrap());
        fs::write(dir(&store, id).join("journal.jsonl"), "{\"at\": 3}\n").unwrap();
        let (batches, damaged) = unfinished(&store).unwrap();
        assert!(batches.is_empty());
        assert!(damaged[0].to_string().contains("line 1"), "{}", damaged[0]);
    }

    #[test]
    fn a_journal_that_a_newer_version_wrote_is_told_from_a_damaged_one() {
        let (_folder, store) = store();
        let id = BatchId::generate();
        let mut journal = Journal::begin(&store, id).unwrap();
        let skipped = Event::Skipped { lane: "a".parse().unwrap(), why: Skip::Gone };
        let entries = [begun(items(&[("a", &[])])), Event::Resumed, skipped].map(entry);
        journal.append(&entries).unwrap();
        drop(journal);
        let path = dir(&store, id).join("journal.jsonl");
        let written = fs::read_to_string(&path).unwrap();
        for (from, to, said) in [
            ("\"resumed\"", "\"teleported\"", "line 2 holds \"teleported\", which this one does not know"),
            ("\"gone\"", "\"eclipsed\"", "line 3 holds \"eclipsed\", which this one does not know"),
            ("\"schema_version\":1", "\"schema_version\":2", "line 1 begins version 2 of the format"),
        ] {
            fs::write(&path, written.replace(from, to)).unwrap();
            let error = Journal::take_up(&store, id).unwrap_err();
            assert!(matches!(error, JournalError::Newer { .. }), "{error}");
            assert!(error.to_string().ends_with(said), "{error}");
        }
    }
}
