//! Which pi it is, without starting it.
//!
//! Asking pi costs more than a second; its package.json, above the program's real path, says the same. Where that
//! finds nothing (a wrapper script, a shim), [`ask`] starts it, and the caller decides whether that is worth it.

use std::cmp::Ordering;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::files;

/// How many folders above the program are looked at.
const LEVELS: usize = 12;
/// How long pi may take to say its version.
const PATIENCE: Duration = Duration::from_secs(10);
/// How much of what it says is read.
const SAID: u64 = 64 * 1024;

/// A version of pi; a pre-release comes before the release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PiVersion {
    numbers: (u32, u32, u32),
    pre_release: Option<String>,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of pi")]
pub struct VersionError(String);

/// Why pi did not say its version.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It could not be run.
    #[error("could not ask {} for its version: {source}", program.display())]
    Io {
        /// The program.
        program: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// It did not end.
    #[error("could not ask {} for its version: it had not answered after {} seconds", program.display(), PATIENCE.as_secs())]
    TimedOut {
        /// The program.
        program: PathBuf,
    },
    /// What it said is no version.
    #[error("could not ask {} for its version: there is none in its answer", program.display())]
    NoAnswer {
        /// The program.
        program: PathBuf,
    },
}

impl PiVersion {
    /// A release.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { numbers: (major, minor, patch), pre_release: None }
    }
}

impl FromStr for PiVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refuse = || VersionError(text.chars().take(60).collect());
        if text.len() > 100 {
            return Err(refuse());
        }
        let plain = text.strip_prefix('v').unwrap_or(text).split('+').next().unwrap_or_default();
        let (numbers, pre_release) = match plain.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre.to_owned())),
            None => (plain, None),
        };
        let is_word = |pre: &String| {
            pre.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-')) && !pre.is_empty()
        };
        if !pre_release.iter().all(is_word) {
            return Err(refuse());
        }
        let mut parts = numbers.split('.').map(|part| {
            // `parse` would take a `+`.
            if part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok() } else { None }
        });
        match (parts.next().flatten(), parts.next().flatten(), parts.next().flatten(), parts.next()) {
            (Some(major), Some(minor), Some(patch), None) => {
                Ok(Self { numbers: (major, minor, patch), pre_release })
            }
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for PiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor, patch) = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        self.pre_release.iter().try_for_each(|pre| write!(f, "-{pre}"))
    }
}

impl Ord for PiVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (&self.pre_release, &other.pre_release) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(two)) => one.cmp(two),
        })
    }
}

impl PartialOrd for PiVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The version of the package that `program` belongs to. `None`: it cannot be told from the files.
pub fn read(program: &Path) -> Option<PiVersion> {
    package(program).map(|(_, version)| version)
}

/// The folder and the version of the package that `program` belongs to.
pub(super) fn package(program: &Path) -> Option<(PathBuf, PiVersion)> {
    let real = std::fs::canonicalize(program).ok()?;
    real.ancestors().skip(1).take(LEVELS).find_map(|folder| {
        let package = files::read_json(&folder.join("package.json"))?;
        // The name's scope has changed before, and forks have their own.
        if !package.get("name")?.as_str()?.ends_with("pi-coding-agent") {
            return None;
        }
        let version = package.get("version")?.as_str()?.parse().ok()?;
        Some((folder.to_owned(), version))
    })
}

/// Starts `program --version` and reads what it says on either output, for ten seconds at most.
pub fn ask(program: &Path) -> Result<PiVersion, AskError> {
    ask_within(program, PATIENCE)
}

fn ask_within(program: &Path, patience: Duration) -> Result<PiVersion, AskError> {
    let failed = |source| AskError::Io { program: program.to_owned(), source };
    // A file, not a pipe: nothing that the program leaves running can keep us waiting for its end.
    let mut said = tempfile::tempfile().map_err(failed)?;
    let (out, err) = (said.try_clone().map_err(failed)?, said.try_clone().map_err(failed)?);
    let mut child = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn()
        .map_err(failed)?;
    if !ended_within(&mut child, patience).map_err(failed)? {
        child.kill().and_then(|()| child.wait()).map_err(failed)?;
        return Err(AskError::TimedOut { program: program.to_owned() });
    }
    let answer = read_said(&mut said).map_err(failed)?;
    version_in(&answer).ok_or_else(|| AskError::NoAnswer { program: program.to_owned() })
}

fn ended_within(child: &mut Child, patience: Duration) -> io::Result<bool> {
    let until = Instant::now() + patience;
    loop {
        if child.try_wait()?.is_some() {
            return Ok(true);
        }
        if Instant::now() >= until {
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn read_said(said: &mut File) -> io::Result<String> {
    said.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    said.take(SAID).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last word that is a version: warnings may stand before it.
fn version_in(answer: &str) -> Option<PiVersion> {
    answer.split_whitespace().rev().find_map(|word| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn version(text: &str) -> PiVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_by_their_numbers() {
        let ordered = ["0.9.10", "0.74.2", "0.79.0-beta.1", "0.79.0", "0.84.0", "1.5.2", "1.10.0"];
        for pair in ordered.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("v1.5.2+build"), PiVersion::new(1, 5, 2));
        assert_eq!(version("0.79.0-beta.1").to_string(), "0.79.0-beta.1");
        for text in
            ["", "1", "1.2", "1.2.3.4", "a.b.c", "1.2.x", "1.2.-3", "1.+2.3", "1.2.3-", "1.2.3-\u{1b}"]
        {
            assert!(text.parse::<PiVersion>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_version_is_that_of_the_package_above_the_real_path() {
        let dir = tempfile::tempdir().unwrap();
        let package = dir.path().join("node_modules/@earendil-works/pi-coding-agent");
        fs::create_dir_all(package.join("dist/inner")).unwrap();
        fs::create_dir_all(dir.path().join("bin")).unwrap();
        fs::write(package.join("dist/cli.js"), "").unwrap();
        fs::write(
            package.join("package.json"),
            r#"{"name":"@earendil-works/pi-coding-agent","version":"0.74.2"}"#,
        )
        .unwrap();
        fs::write(package.join("dist/package.json"), r#"{"type":"module"}"#).unwrap();
        symlink(package.join("dist/cli.js"), dir.path().join("bin/pi")).unwrap();
        assert_eq!(read(&dir.path().join("bin/pi")), Some(version("0.74.2")));

        fs::write(package.join("package.json"), r#"{"name":"something-else","version":"0.74.2"}"#).unwrap();
        assert_eq!(read(&dir.path().join("bin/pi")), None);
        fs::write(package.join("package.json"), vec![b' '; 2 << 20]).unwrap();
        assert_eq!(read(&dir.path().join("bin/pi")), None);
        assert_eq!(read(&dir.path().join("none")), None);
    }

    /// A program that is checked in: one that a test has just written may still be open for writing in a child
    /// that another test is starting.
    fn program(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/pi/programs").join(name)
    }

    #[test]
    fn pi_is_asked_on_either_output() {
        assert_eq!(ask(&program("answers-on-stderr")).unwrap(), version("0.74.2"));
        assert_eq!(ask(&program("answers-on-stdout")).unwrap(), version("1.5.2"));
        assert!(matches!(ask(&program("answers-nothing")), Err(AskError::NoAnswer { .. })));
        assert!(matches!(ask(&program("none")), Err(AskError::Io { .. })));
    }

    #[test]
    fn a_pi_that_never_answers_is_not_waited_for() {
        let error = ask_within(&program("never-answers"), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, AskError::TimedOut { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text: String) {
            drop(text.parse::<PiVersion>());
            drop(version_in(&text));
        }

        #[test]
        fn a_version_is_read_as_it_is_written(a: u32, b: u32, c: u32) {
            let version = PiVersion::new(a, b, c);
            prop_assert_eq!(version.to_string().parse::<PiVersion>().unwrap(), version);
        }
    }
}
