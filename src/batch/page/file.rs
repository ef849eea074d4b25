//! The file that a page is written to: the user's own, replaced whole.
//!
//! What stands at its name is replaced by rename, and only if it is a regular file: through a symbolic link, which the
//! repository may have placed there, nothing is written, and no device is renamed over.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::durable::FileError;

/// Of a file that is new; the umask takes what it takes.
const USUAL_MODE: u32 = 0o666;

/// Why no page can be written there.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Something else has this name.
    #[error("{} is {what}: name a file of its own for the report", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// There is no folder for it.
    #[error("there is no folder {} for the report: make it, or name another file", path.display())]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// It could not be written.
    #[error(transparent)]
    File(#[from] FileError),
}

/// A file for the page of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    path: PathBuf,
}

impl ReportFile {
    /// The file of this name, which need not be there yet. Refused now, and not when the batch has run for hours, where
    /// it can be seen that no file can be written there.
    pub fn named(path: &Path) -> Result<Self, ReportError> {
        let file = Self { path: path.to_owned() };
        let folder = file.folder();
        if !folder.is_dir() {
            return Err(ReportError::NoFolder { path: folder.to_owned() });
        }
        file.mode()?;
        Ok(file)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file with this page. Who reads it sees the old one or the new one, whole.
    pub fn write(&self, page: &str) -> Result<(), ReportError> {
        let (path, mode) = (self.path.as_path(), self.mode()?);
        let failed = |operation| move |e: io::Error| FileError::io(operation, path, e);
        let mut new = tempfile::Builder::new()
            .prefix(".ralph-report-")
            .permissions(Permissions::from_mode(mode.unwrap_or(USUAL_MODE)))
            .tempfile_in(self.folder())
            .map_err(failed("create a file beside"))?;
        if let Some(mode) = mode {
            let given = new.as_file().set_permissions(Permissions::from_mode(mode));
            given.map_err(failed("keep the permissions of"))?;
        }
        new.write_all(page.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed("write"))?;
        new.persist(path).map_err(|e| failed("replace")(e.error))?;
        Ok(())
    }

    /// The permissions of what is there.
    fn mode(&self) -> Result<Option<u32>, ReportError> {
        let kind = match fs::symlink_metadata(&self.path) {
            Ok(found) if found.is_file() => return Ok(Some(found.permissions().mode() & 0o777)),
            Ok(found) => found.file_type(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return self.unnamed(),
            Err(e) => return Err(FileError::io("look at", &self.path, e).into()),
        };
        let what = match kind {
            _ if kind.is_symlink() => "a symbolic link",
            _ if kind.is_dir() => "a folder",
            _ => "no regular file",
        };
        Err(ReportError::NoFile { path: self.path.clone(), what })
    }

    /// Nothing is there; a name that ends in `/` cannot be a file's either.
    fn unnamed(&self) -> Result<Option<u32>, ReportError> {
        use std::os::unix::ffi::OsStrExt;
        let is_name = self.path.file_name().is_some() && !self.path.as_os_str().as_bytes().ends_with(b"/");
        if is_name {
            return Ok(None);
        }
        Err(ReportError::NoFile { path: self.path.clone(), what: "no name of a file" })
    }

    fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_page_replaces_the_one_before_whole_and_keeps_its_permissions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.html");
        let file = ReportFile::named(&path).unwrap();
        file.write("one").unwrap();
        assert_ne!(mode(&path) & 0o400, 0);
        assert_eq!(mode(&path) & 0o111, 0);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let open = fs::File::open(&path).unwrap();
        file.write("two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(io::read_to_string(open).unwrap(), "one", "who reads the old one reads it to its end");
        assert_eq!(mode(&path), 0o640);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
    }

    #[test]
    fn a_new_page_has_the_permissions_of_any_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let (page, usual) = (folder.path().join("page"), folder.path().join("usual"));
        ReportFile::named(&page).unwrap().write("page").unwrap();
        fs::write(&usual, "file").unwrap();
        assert_eq!(mode(&page), mode(&usual));
    }

    #[test]
    fn nothing_is_written_through_a_link_or_over_what_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "precious").unwrap();
        symlink(&target, &link).unwrap();
        let missing = folder.path().join("missing");
        symlink(folder.path().join("nowhere"), &missing).unwrap();
        for (path, what) in [(&link, "a symbolic link"), (&missing, "a symbolic link")] {
            assert!(ReportFile::named(path).unwrap_err().to_string().contains(what));
        }
        assert!(ReportFile::named(folder.path()).unwrap_err().to_string().contains("a folder"));
        assert!(
            ReportFile::named(Path::new("/dev/null")).unwrap_err().to_string().contains("no regular file")
        );
        assert!(ReportFile::named(&folder.path().join("new/")).is_err());
        let nowhere = ReportFile::named(&folder.path().join("none/report.html")).unwrap_err();
        assert!(nowhere.to_string().contains("there is no folder"), "{nowhere}");

        let late = folder.path().join("late");
        let file = ReportFile::named(&late).unwrap();
        symlink(&target, &late).unwrap();
        assert!(file.write("page").is_err(), "a link that appeared since is none to write through either");
        assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    }
}
