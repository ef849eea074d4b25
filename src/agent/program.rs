//! Finding the program of an agent, and saying beforehand why it could not be started.
//!
//! The search is that of execvp(3). What the kernel would refuse is refused here with the same errno, but with the
//! cause named: a file that is empty or has no shebang (ENOEXEC; a shell would take it for a script and an empty one
//! would "succeed"), and a script whose interpreter is not there (ENOENT, which otherwise reads as if the script were
//! missing). Programs of formats registered with binfmt_misc are not known here and count as not executable.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// Where execvp(3) looks when there is no `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// As much of a file as the kernel reads to decide how to run it.
const HEAD: u64 = 256;

/// Why a program cannot be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// There is no such file.
    #[error("could not find the program {program:?} (ENOENT): {}", looked(searched))]
    Missing {
        /// The program as it was asked for.
        program: String,
        /// Where it was looked for: one path, or the folders of `PATH`.
        searched: Vec<PathBuf>,
    },
    /// It is a folder.
    #[error("could not run {path:?} (EACCES): it is a folder")]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// It is a file, or another thing, without permission to be executed.
    #[error("could not run {path:?} (EACCES): it is not executable")]
    NotExecutable {
        /// The file.
        path: PathBuf,
    },
    /// It is an empty file.
    #[error("could not run {path:?} (ENOEXEC): the file is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It is neither a binary nor a script that names its interpreter.
    #[error("could not run {path:?} (ENOEXEC): it is no ELF program and has no `#!` line")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The interpreter that its first line names is not there.
    #[error("could not run {path:?} (ENOENT): its interpreter {interpreter:?} was not found")]
    InterpreterMissing {
        /// The script.
        path: PathBuf,
        /// The interpreter: a path, or a name for `env` to find.
        interpreter: String,
    },
    /// The system did not let it be looked at.
    #[error("could not look at the program {path:?} ({}): {}", name_of(*errno), io::Error::from_raw_os_error(*errno))]
    Unreachable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        errno: i32,
    },
}

impl ProgramError {
    /// The number that exec would fail with.
    pub fn errno(&self) -> i32 {
        match self {
            Self::Missing { .. } | Self::InterpreterMissing { .. } => Errno::NOENT.raw_os_error(),
            Self::Folder { .. } | Self::NotExecutable { .. } => Errno::ACCESS.raw_os_error(),
            Self::Empty { .. } | Self::UnknownFormat { .. } => Errno::NOEXEC.raw_os_error(),
            Self::Unreachable { errno, .. } => *errno,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Missing { program, .. } if program.is_empty() => "name the agent's program".to_owned(),
            Self::Missing { program, .. } if program.contains('/') => {
                "correct the agent's path in the settings, or install the program there".to_owned()
            }
            Self::Missing { .. } => {
                "install it, add its folder to PATH, or give the agent's full path in the settings".to_owned()
            }
            Self::Folder { path } => format!("name the program inside {path:?}"),
            Self::NotExecutable { path } => format!("make it executable: chmod +x {path:?}"),
            Self::Empty { path } => format!("install it again: nothing is in {path:?}"),
            Self::UnknownFormat { .. } => {
                "start it with a line such as `#!/bin/sh`, or configure its interpreter as the agent's program"
                    .to_owned()
            }
            Self::InterpreterMissing { interpreter, .. } => {
                format!("install {interpreter:?}, or correct the script's first line")
            }
            Self::Unreachable { path, .. } => format!("check the permissions on the way to {path:?}"),
        }
    }
}

fn looked(searched: &[PathBuf]) -> String {
    if searched.is_empty() {
        return "PATH names no folder".to_owned();
    }
    let places: Vec<String> = searched.iter().map(|place| format!("{place:?}")).collect();
    format!("looked in {}", places.join(", "))
}

fn name_of(errno: i32) -> &'static str {
    const NAMES: &[(Errno, &str)] = &[
        (Errno::NOENT, "ENOENT"),
        (Errno::ACCESS, "EACCES"),
        (Errno::NOEXEC, "ENOEXEC"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::LOOP, "ELOOP"),
        (Errno::NAMETOOLONG, "ENAMETOOLONG"),
        (Errno::IO, "EIO"),
        (Errno::PERM, "EPERM"),
        (Errno::STALE, "ESTALE"),
        (Errno::INVAL, "EINVAL"),
    ];
    NAMES.iter().find(|(known, _)| known.raw_os_error() == errno).map_or("errno", |(_, name)| name)
}

/// Finds `program`: in the folders of `path` (`PATH`'s value), or, if it has a slash, from `cwd`. The answer is
/// absolute where `cwd` is, is not resolved through symbolic links, and could be executed when it was looked at.
pub fn resolve(program: &str, path: Option<&OsStr>, cwd: &Path) -> Result<PathBuf, ProgramError> {
    let found = find(program, path, cwd)?;
    check_format(&found, path, cwd)?;
    Ok(found)
}

fn find(program: &str, path: Option<&OsStr>, cwd: &Path) -> Result<PathBuf, ProgramError> {
    if program.contains('/') {
        let file = cwd.join(program);
        return check_file(&file, program).map(|()| file);
    }
    let mut refused = None;
    let mut searched = Vec::new();
    if !program.is_empty() {
        for folder in std::env::split_paths(path.unwrap_or(OsStr::new(DEFAULT_PATH))) {
            let file = cwd.join(&folder).join(program);
            searched.push(cwd.join(folder));
            match check_file(&file, program) {
                Ok(()) => return Ok(file),
                Err(ProgramError::Missing { .. }) => {}
                // Like execvp: a file that may not be executed is passed over, and is the answer only if no other is.
                Err(error) => refused = refused.or(Some(error)),
            }
        }
    }
    Err(refused.unwrap_or_else(|| ProgramError::Missing { program: program.to_owned(), searched }))
}

fn check_file(file: &Path, program: &str) -> Result<(), ProgramError> {
    let path = || file.to_owned();
    match std::fs::metadata(file) {
        Ok(found) if found.is_dir() => Err(ProgramError::Folder { path: path() }),
        Ok(found) if !found.is_file() => Err(ProgramError::NotExecutable { path: path() }),
        Ok(_) => match rustix::fs::access(file, rustix::fs::Access::EXEC_OK) {
            Ok(()) => Ok(()),
            Err(Errno::ACCESS) => Err(ProgramError::NotExecutable { path: path() }),
            Err(errno) => Err(ProgramError::Unreachable { path: path(), errno: errno.raw_os_error() }),
        },
        Err(error) => match error.raw_os_error() {
            Some(errno) if errno != Errno::NOENT.raw_os_error() && errno != Errno::NOTDIR.raw_os_error() => {
                Err(ProgramError::Unreachable { path: path(), errno })
            }
            // A NUL in the name has no errno; no file has such a name.
            _ => Err(ProgramError::Missing { program: program.to_owned(), searched: vec![path()] }),
        },
    }
}

fn check_format(file: &Path, path: Option<&OsStr>, cwd: &Path) -> Result<(), ProgramError> {
    let Ok(head) = head_of(file) else {
        // A program that may be executed but not read runs all the same.
        return Ok(());
    };
    if head.is_empty() {
        return Err(ProgramError::Empty { path: file.to_owned() });
    }
    if head.starts_with(b"\x7fELF") {
        return Ok(());
    }
    let Some(interpreter) = Interpreter::of(&head) else {
        return Err(ProgramError::UnknownFormat { path: file.to_owned() });
    };
    let missing = |interpreter: &str| {
        Err(ProgramError::InterpreterMissing { path: file.to_owned(), interpreter: interpreter.to_owned() })
    };
    if !std::fs::metadata(cwd.join(&interpreter.program)).is_ok_and(|found| found.is_file()) {
        return missing(&interpreter.program);
    }
    match interpreter.found_by_env() {
        Some(program) if find(program, path, cwd).is_err() => missing(program),
        _ => Ok(()),
    }
}

fn head_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    open_nonblocking(file)?.take(HEAD).read_to_end(&mut head)?;
    Ok(head)
}

/// Opens for reading without waiting, should the file have become a named pipe meanwhile.
fn open_nonblocking(file: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(file)
}

/// What a script's first line says to run it with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interpreter {
    program: String,
    argument: String,
}

impl Interpreter {
    fn of(head: &[u8]) -> Option<Self> {
        let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let line = String::from_utf8_lossy(line);
        let line = line.trim_matches([' ', '\t', '\r', '\0']);
        let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        if program.is_empty() {
            return None;
        }
        Some(Self { program: program.to_owned(), argument: argument.trim().to_owned() })
    }

    /// The program that `env` is asked for, as in `#!/usr/bin/env node` and `#!/usr/bin/env -S node --x`.
    fn found_by_env(&self) -> Option<&str> {
        if Path::new(&self.program).file_name() != Some(OsStr::new("env")) {
            return None;
        }
        let argument = self.argument.strip_prefix("-S").unwrap_or(&self.argument);
        argument.split_whitespace().next().filter(|word| !word.starts_with('-') && !word.contains('='))
    }
}

/// The interpreter of a script, by the name it is called: `node` for `#!/usr/bin/env node` and `#!/opt/bin/node`.
/// `None` for a binary, and for what cannot be read.
pub fn interpreter_name(program: &Path) -> Option<String> {
    let interpreter = Interpreter::of(&head_of(program).ok()?)?;
    let program = interpreter.found_by_env().unwrap_or(&interpreter.program);
    Some(Path::new(program).file_name()?.to_string_lossy().into_owned())
}

/// Whether `program` is a script that Node runs, so that Node's version matters.
pub fn is_node_script(program: &Path) -> bool {
    interpreter_name(program).is_some_and(|name| matches!(name.as_str(), "node" | "nodejs"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn put(path: &Path, content: &[u8], mode: u32) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_first_executable_file_of_path_is_the_program() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("plain/pi"), b"#!/bin/sh\n", 0o644);
        put(&dir.path().join("real/pi"), b"#!/bin/sh\n", 0o755);
        put(&dir.path().join("later/pi"), b"#!/bin/sh\n", 0o755);
        fs::create_dir_all(dir.path().join("folder/pi")).unwrap();
        let path = std::env::join_paths(
            ["none", "folder", "plain", "real", "later"].map(|name| dir.path().join(name)),
        )
        .unwrap();
        let found = resolve("pi", Some(&path), Path::new("/")).unwrap();
        assert_eq!(found, dir.path().join("real/pi"));
    }

    #[test]
    fn relative_places_count_from_the_given_folder() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("bin/pi"), b"\x7fELF...", 0o755);
        put(&dir.path().join("here"), b"\x7fELF...", 0o755);
        let in_path = resolve("pi", Some(OsStr::new("bin")), dir.path()).unwrap();
        assert_eq!(in_path, dir.path().join("bin/pi"));
        assert_eq!(resolve("./bin/pi", None, dir.path()).unwrap(), dir.path().join("./bin/pi"));
        let empty_entry = resolve("here", Some(OsStr::new("/none:")), dir.path()).unwrap();
        assert_eq!(empty_entry, dir.path().join("here"));
    }

    #[test]
    fn a_program_is_named_as_it_was_found_not_where_its_links_lead() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("real"), b"#!/bin/sh\n", 0o755);
        symlink("real", dir.path().join("link")).unwrap();
        assert_eq!(resolve("./link", None, dir.path()).unwrap(), dir.path().join("./link"));
    }

    #[test]
    fn every_cause_has_its_errno_and_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        put(&at("plain"), b"#!/bin/sh\n", 0o644);
        put(&at("empty"), b"", 0o755);
        put(&at("text"), b"echo hello\n", 0o755);
        put(&at("bare"), b"#! \nx", 0o755);
        put(&at("script"), b"#!/no/such/interpreter -x\n", 0o755);
        put(&at("node"), b"#!/usr/bin/env no-such-node\n", 0o755);
        fs::create_dir(at("folder")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("gone", at("dangling")).unwrap();
        let cases: &[(&str, &str, &str)] = &[
            ("none", "ENOENT", "looked in"),
            ("dangling", "ENOENT", "looked in"),
            ("plain/x", "ENOENT", "looked in"),
            ("plain", "EACCES", "not executable"),
            ("folder", "EACCES", "it is a folder"),
            ("empty", "ENOEXEC", "the file is empty"),
            ("text", "ENOEXEC", "no `#!` line"),
            ("bare", "ENOEXEC", "no `#!` line"),
            ("script", "ENOENT", "/no/such/interpreter"),
            ("node", "ENOENT", "no-such-node"),
            ("loop", "ELOOP", "look at the program"),
        ];
        for (name, errno, said) in cases {
            let error =
                resolve(&format!("./{name}"), Some(OsStr::new("/bin:/usr/bin")), dir.path()).unwrap_err();
            assert_eq!(name_of(error.errno()), *errno, "{name}");
            let message = error.to_string();
            assert!(message.contains(said) && message.contains(errno), "{name}: {message}");
            assert!(!error.hint().is_empty());
        }
        let none = resolve("no-such-pi", Some(dir.path().as_os_str()), Path::new("/")).unwrap_err();
        assert!(none.to_string().contains(&format!("{:?}", dir.path())), "{none}");
        assert_eq!(none.errno(), 2);
        assert!(resolve("", None, Path::new("/")).is_err());
    }

    #[test]
    fn a_program_that_is_found_but_not_executable_is_said_to_be_there() {
        let dir = tempfile::tempdir().unwrap();
        put(&dir.path().join("pi"), b"#!/bin/sh\n", 0o644);
        let error = resolve("pi", Some(dir.path().as_os_str()), Path::new("/")).unwrap_err();
        assert_eq!(error, ProgramError::NotExecutable { path: dir.path().join("pi") });
    }

    #[test]
    fn scripts_of_node_are_known() {
        let dir = tempfile::tempdir().unwrap();
        for (head, name) in [
            ("#!/usr/bin/env node\n", Some("node")),
            ("#!/usr/bin/env -S node --x\n", Some("node")),
            ("#! /opt/node/bin/node\r\n", Some("node")),
            ("#!/bin/sh\n", Some("sh")),
            ("\u{7f}ELF", None),
            ("", None),
        ] {
            let file = dir.path().join("program");
            put(&file, head.as_bytes(), 0o755);
            assert_eq!(interpreter_name(&file).as_deref(), name, "{head:?}");
            assert_eq!(is_node_script(&file), name == Some("node"));
        }
    }

    proptest! {
        #[test]
        fn no_first_line_makes_it_panic(head: Vec<u8>) {
            drop(Interpreter::of(&head).and_then(|found| found.found_by_env().map(str::to_owned)));
            drop(Interpreter::of(&[b"#!".as_slice(), &head].concat()));
        }

        #[test]
        fn no_name_makes_it_panic(program: String) {
            drop(resolve(&program, Some(OsStr::new("/none:")), Path::new("/none")));
        }
    }
}
