//! One file, link or submodule, put in its folder. Whatever stands in the way of a file or link is replaced; a folder is not.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, Timestamps, fstat, futimens, openat, statat, symlinkat, unlinkat,
    utimensat,
};
use rustix::io::Errno;

use super::descent::make_folder;
use super::index_file::Facts;
use crate::git::listing::{Item, Kind, Writer};

/// Puts an item in its folder, with this content as it is kept; what the index says of it.
pub(super) fn put(
    folder: BorrowedFd<'_>,
    name: &[u8],
    item: &Item,
    content: &[u8],
    dates: &Timestamps,
) -> io::Result<Facts> {
    let Writer::Ralph(conversion) = item.writer else {
        // git would remove a folder, with whatever is in it.
        return match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_dir() => Err(Errno::ISDIR.into()),
            Ok(_) | Err(Errno::NOENT) => Ok(Facts::of_none(item.kind)),
            Err(e) => Err(e.into()),
        };
    };
    let stat = match item.kind {
        Kind::File | Kind::Program => {
            let mode = if item.kind == Kind::Program { 0o777 } else { 0o666 };
            let content = conversion.apply(content, item.id);
            write_file(folder, name, Mode::from_raw_mode(mode), &content, dates)?
        }
        Kind::Link => write_link(folder, name, content, dates)?,
        Kind::Submodule => {
            make_folder(folder, name)?;
            let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if !FileType::from_raw_mode(stat.st_mode).is_dir() {
                return Err(Errno::EXIST.into());
            }
            stat
        }
    };
    Ok(Facts::of(&stat, item.kind))
}

fn write_file(
    folder: BorrowedFd<'_>,
    name: &[u8],
    mode: Mode,
    content: &[u8],
    dates: &Timestamps,
) -> io::Result<Stat> {
    let how = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = anew(folder, name, || openat(folder, name, how, mode))?;
    let mut left = content;
    while !left.is_empty() {
        match rustix::io::write(&file, left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => left = &left[written..],
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    futimens(&file, dates)?;
    Ok(fstat(&file)?)
}

fn write_link(folder: BorrowedFd<'_>, name: &[u8], target: &[u8], dates: &Timestamps) -> io::Result<Stat> {
    anew(folder, name, || symlinkat(target, folder, name))?;
    utimensat(folder, name, dates, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Makes something under a name, in place of what an interrupted checkout left there.
fn anew<T>(folder: BorrowedFd<'_>, name: &[u8], make: impl Fn() -> Result<T, Errno>) -> io::Result<T> {
    match make() {
        Err(Errno::EXIST) => {
            unlinkat(folder, name, AtFlags::empty())?;
            Ok(make()?)
        }
        other => Ok(other?),
    }
}
