//! Reading the files of pi and of its packages: bounded, without waiting, following links as pi does.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The largest settings or package file that is looked at.
const LIMIT: u64 = 1 << 20;

/// Whether there is a file of that name that can be read.
pub(super) fn is_readable_file(path: &Path) -> bool {
    open(path).is_some()
}

/// The content of a small file; `None` where there is none, where it cannot be read, and where it is too large.
pub(super) fn read_small(path: &Path) -> Option<Vec<u8>> {
    read_up_to(path, LIMIT)
}

/// The same with a bound of the caller's.
pub(super) fn read_up_to(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    open(path)?.take(limit + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= limit).then_some(content)
}

/// A small JSON file.
pub(super) fn read_json(path: &Path) -> Option<Value> {
    let content = read_small(path)?;
    serde_json::from_slice(content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content)).ok()
}

/// `~` and `~/x` as pi expands them; `None` where the home folder is needed and not known.
pub(super) fn expand_home(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) if rest.as_os_str().is_empty() => home.map(Path::to_owned),
        Ok(rest) => home.map(|home| home.join(rest)),
        Err(_) => Some(path.to_owned()),
    }
}

fn open(path: &Path) -> Option<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    file.metadata().ok()?.is_file().then_some(file)
}
