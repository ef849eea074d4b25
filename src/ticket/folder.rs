//! The `.tickets` folder of the main checkout.
//!
//! The folder itself may be a link, as where several checkouts share their tickets; a file in it may not: what it
//! leads to was not put there as a ticket. Hidden files are none of ours (editors leave such locks and backups).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use super::backlog::Backlog;
use super::model::Ticket;
use super::problem::{Problem, Why};
use super::read;
use super::resolve::{self, Resolution};
use crate::durable::{self, FileError};
use crate::id::TicketId;

/// More files than this are not looked at.
const MOST: usize = 100_000;
/// A larger file is no ticket.
const LARGEST: u64 = 1 << 20;

/// The names of the tickets, as they were when the folder was opened: open it again to see what is new.
#[derive(Debug)]
pub struct TicketFolder {
    path: PathBuf,
    files: BTreeMap<TicketId, Files>,
    problems: Vec<Problem>,
}

/// The file of an id, and a second one where a letter of the id can be written in two ways.
#[derive(Debug)]
struct Files {
    file: PathBuf,
    second: Option<PathBuf>,
}

/// One ticket, and what is wrong in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The ticket.
    pub ticket: Ticket,
    /// What is wrong, none of which stood in the way of reading it.
    pub problems: Vec<Problem>,
}

/// All tickets, and what is wrong in the single files of the folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The tickets, in the order of their ids.
    pub tickets: Vec<Ticket>,
    /// What is wrong, in the order of the files.
    pub problems: Vec<Problem>,
}

/// The folder of tickets, below the top of a checkout.
pub const FOLDER: &str = ".tickets";

/// Where a ticket's file is, below the top of a checkout.
pub fn file_inside(ticket: &TicketId) -> PathBuf {
    Path::new(FOLDER).join(file_name(ticket))
}

fn file_name(ticket: &TicketId) -> String {
    format!("{ticket}.md")
}

impl TicketFolder {
    /// Where the file of a ticket is, or would be.
    pub fn file_of(&self, ticket: &TicketId) -> PathBuf {
        self.path.join(file_name(ticket))
    }

    /// Reads the names in the folder of `main_checkout`. `None`: it has no `.tickets` folder.
    pub fn open(main_checkout: &Path) -> Result<Option<Self>, FileError> {
        let path = main_checkout.join(FOLDER);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(FileError::io("list the tickets in", &path, error)),
        };
        let mut folder = Self { path, files: BTreeMap::new(), problems: Vec::new() };
        for (number, entry) in entries.enumerate() {
            if number >= MOST {
                folder.problems.push(Problem::of(&folder.path, Why::TooMany(MOST)));
                break;
            }
            folder.add(&entry.map_err(|e| FileError::io("list the tickets in", &folder.path, e))?);
        }
        Ok(Some(folder))
    }

    fn add(&mut self, entry: &DirEntry) {
        let name = entry.file_name();
        let bytes = name.as_encoded_bytes();
        let Some(stem) = bytes.strip_suffix(b".md").filter(|stem| !stem.starts_with(b".")) else { return };
        // A name that is nothing but the suffix is hidden too.
        if stem.is_empty() {
            return;
        }
        let mut path = entry.path();
        let id = match std::str::from_utf8(stem).map(str::parse::<TicketId>) {
            Ok(Ok(id)) => id,
            Ok(Err(error)) => return self.problems.push(Problem::of(&path, Why::Name(error))),
            Err(_) => return self.problems.push(Problem::of(&path, Why::NameNotText)),
        };
        // Where the kind cannot be told, reading will tell.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            return self.problems.push(Problem::of(&path, Why::Folder));
        }
        match self.files.entry(id) {
            Entry::Vacant(vacant) => {
                vacant.insert(Files { file: path, second: None });
            }
            Entry::Occupied(occupied) => {
                // Whatever the order of the folder's names, the same file comes first.
                let files = occupied.into_mut();
                if path < files.file {
                    std::mem::swap(&mut files.file, &mut path);
                }
                files.second = Some(path);
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The ids of the tickets, in order.
    pub fn ids(&self) -> impl Iterator<Item = &TicketId> + Clone {
        self.files.keys()
    }

    /// Which ticket `typed` stands for. No file is read.
    pub fn resolve(&self, typed: &str) -> Resolution {
        resolve::resolve(typed, self.ids())
    }

    /// The ids that look most like `typed`, the closest first.
    pub fn nearest(&self, typed: &str) -> Vec<TicketId> {
        resolve::nearest(typed, self.ids())
    }

    /// Reads one ticket and no other file. `Ok(None)`: there is none of that id, or no more; an error: there is,
    /// but it cannot be read, or it is in two files.
    pub fn find(&self, id: &TicketId) -> Result<Option<Found>, Problem> {
        let Some(files) = self.files.get(id) else { return Ok(None) };
        let path = files.only(id)?;
        let Some((ticket, mut problems)) = read(id, path)? else { return Ok(None) };
        if let Some((line, declared)) = ticket.other_id() {
            let why = Why::OtherId { declared: declared.clone(), named: id.clone() };
            problems.push(Problem::at(path, line, why));
        }
        Ok(Some(Found { ticket, problems }))
    }

    /// Reads every ticket.
    pub fn list(&self) -> Listing {
        let mut listing = Listing { tickets: Vec::new(), problems: self.problems.clone() };
        for (id, files) in &self.files {
            match files.only(id).and_then(|path| read(id, path)) {
                Ok(Some((ticket, problems))) => {
                    listing.tickets.push(ticket);
                    listing.problems.extend(problems);
                }
                Ok(None) => {}
                Err(problem) => listing.problems.push(problem),
            }
        }
        listing.problems.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
        listing
    }

    /// Reads every ticket into a backlog, with what is wrong in the single files. What cannot be read is not in it.
    /// What is wrong between the tickets, the backlog says itself.
    pub fn backlog(&self) -> (Backlog, Vec<Problem>) {
        let Listing { tickets, problems } = self.list();
        (Backlog::new(tickets), problems)
    }
}

impl Files {
    /// The file, unless it is not clear which one it is.
    fn only(&self, id: &TicketId) -> Result<&Path, Problem> {
        match &self.second {
            None => Ok(&self.file),
            Some(second) => {
                Err(Problem::of(second, Why::Duplicate { id: id.clone(), other: self.file.clone() }))
            }
        }
    }
}

/// `Ok(None)`: the file is gone.
fn read(id: &TicketId, path: &Path) -> Result<Option<(Ticket, Vec<Problem>)>, Problem> {
    let failed = |error| {
        Problem::of(
            path,
            match error {
                FileError::TooLarge { limit, .. } => Why::TooLarge(limit),
                FileError::Io { source, .. } if source.raw_os_error() == Some(LINK) => Why::SymbolicLink,
                FileError::Io { source, .. } => Why::Unreadable(source.to_string()),
            },
        )
    };
    let content = durable::read(path, LARGEST).map_err(failed)?;
    Ok(content.map(|content| read::read(id, path, &content)))
}

/// What the system says when it was told not to follow a link.
const LINK: i32 = rustix::io::Errno::LOOP.raw_os_error();

#[cfg(test)]
mod tests;
