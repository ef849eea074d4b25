//! A ticket's file, brought into a worktree whose branch does not have it: whole, or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::Context;
use super::error::DispatchError;
use crate::durable::temporary_id;
use crate::failpoint;
use crate::git::CommitId;
use crate::ticket::FOLDER;

/// Where a ticket's file is, below the top of a worktree.
pub fn ticket_inside(file: &Path) -> Option<PathBuf> {
    Some(Path::new(FOLDER).join(file.file_name()?))
}

/// Brings a ticket's file into a worktree that starts from a commit which does not have it. Answers its path there, which
/// is no work of the agent's, or `None` where git tracks it. Never through a link that the branch holds.
pub fn bring_ticket(
    context: &Context,
    file: &Path,
    worktree: &Path,
    start: &CommitId,
) -> Result<Option<PathBuf>, DispatchError> {
    let failed = |source: io::Error| DispatchError::TicketFile { path: file.to_owned(), source };
    let Some(inside) = ticket_inside(file) else { return Ok(None) };
    if context.repo.tracks(start, &inside)? {
        return Ok(None);
    }
    if fs::symlink_metadata(worktree.join(&inside)).is_ok() {
        return Ok(Some(inside));
    }
    let Some(content) = crate::durable::read(file, 1 << 20)? else { return Ok(None) };
    let tree = rustix::fs::open(worktree, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|e| failed(e.into()))?;
    match rustix::fs::mkdirat(&tree, FOLDER, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(failed(e.into())),
    }
    let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let folder =
        rustix::fs::openat2(&tree, FOLDER, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), beneath)
            .map_err(|e| match e {
                Errno::LOOP | Errno::XDEV | Errno::NOTDIR => {
                    DispatchError::TicketFolder { path: worktree.join(FOLDER) }
                }
                e => failed(e.into()),
            })?;
    let name = Path::new(file.file_name().unwrap_or_default());
    forget_parts(folder.as_fd(), name).and_then(|()| put(folder.as_fd(), name, &content)).map_err(failed)?;
    Ok(Some(inside))
}

/// Puts the content there under a name that nothing has: a part of a ticket would be taken for the whole.
fn put(folder: BorrowedFd<'_>, name: &Path, content: &[u8]) -> io::Result<()> {
    let part = format!(".{}.{}.tmp", name.display(), uuid::Uuid::now_v7().simple());
    let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(folder, &part, new, Mode::from_raw_mode(0o644))?);
    failpoint::hit("dispatch.ticket");
    let placed = file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| {
        match rustix::fs::renameat_with(folder, &part, folder, name, RenameFlags::NOREPLACE) {
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(folder, &part, folder, name, AtFlags::empty())?;
                rustix::fs::unlinkat(folder, &part, AtFlags::empty())
            }
            other => other,
        }
        .map_err(io::Error::from)
    });
    if placed.is_err() {
        // The next dispatch looks for it too.
        _ = rustix::fs::unlinkat(folder, &part, AtFlags::empty());
    }
    placed
}

/// Takes away what someone was killed over: who brings a ticket has its lane.
fn forget_parts(folder: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let begins = format!(".{}.", name.display());
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let is_part = |name: &&str| name.starts_with(&begins) && temporary_id(name).is_some();
        if let Some(part) = entry.file_name().to_str().ok().filter(is_part) {
            rustix::fs::unlinkat(folder, part, AtFlags::empty())?;
        }
    }
    Ok(())
}
