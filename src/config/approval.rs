//! What a repository may have run: only what the user has seen and approved.
//!
//! An approval is for exact values in one repository: the hash of the guarded settings of its `ralph.toml` and of
//! the path of its common directory. A changed value, a further setting or another repository is not approved.
//! Approvals are the user's state, kept outside of any repository, and hold hashes and paths only.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::settings::{Key, Layer};
use super::wording;
use crate::durable::{self, FileError, HeldLock};

const FORMAT: u64 = 1;
const LARGEST: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// Why approvals could not be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum ApprovalError {
    /// The system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not what ralph writes.
    #[error(
        "could not read the approvals in {}: {source}; move the file away and approve again",
        wording::path(path)
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: serde_json::Error,
    },
    /// A newer ralph wrote the file, and may keep something in it that this one would drop.
    #[error("could not add to the approvals in {}: a newer version of ralph wrote them", wording::path(path))]
    Newer {
        /// The file.
        path: PathBuf,
    },
    /// Another ralph has held the file for longer than its work takes.
    #[error("could not lock the approvals in {} within 5 s: another ralph holds them", wording::path(path))]
    Busy {
        /// The file.
        path: PathBuf,
    },
}

/// The hash of what is approved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Every part goes in with its length, so that no two lists of values are the same bytes.
    fn of(common_dir: &Path, guarded: &Layer) -> Self {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        part(b"ralph approval 1");
        part(common_dir.as_os_str().as_bytes());
        for key in Key::guarded() {
            if let Some(values) = guarded.canonical(key) {
                part(key.name().as_bytes());
                part(&(values.len() as u64).to_le_bytes());
                values.iter().for_each(|value| part(value.as_bytes()));
            }
        }
        Self(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A guarded setting that a repository asks for. Its values are safe on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which.
    pub key: Key,
    /// What counts once it is approved, secrets included: for who approves it.
    pub value: String,
    /// The same for everyone else.
    pub redacted: String,
}

impl Asked {
    fn of(layer: &Layer, key: Key) -> Option<Self> {
        let (value, redacted) = layer.shown(key).zip(layer.redacted(key))?;
        Some(Self { key, value, redacted })
    }
}

/// The guarded settings of a repository's `ralph.toml`: what there is to show, and to approve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The settings file.
    pub file: PathBuf,
    /// The repository's common directory.
    pub repository: PathBuf,
    /// The settings, in the order in which `ralph config` shows them.
    pub settings: Vec<Asked>,
    fingerprint: Fingerprint,
}

impl Request {
    /// What `layer`, read from `file`, asks for. `None`: nothing that needs approval.
    pub(super) fn of(file: &Path, common_dir: &Path, layer: &Layer) -> Option<Self> {
        let settings: Vec<_> = Key::guarded().filter_map(|key| Asked::of(layer, key)).collect();
        (!settings.is_empty()).then(|| Self {
            file: file.to_owned(),
            repository: common_dir.to_owned(),
            settings,
            fingerprint: Fingerprint::of(common_dir, layer),
        })
    }

    /// The hash that an approval is kept under.
    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }
}

/// How a repository's guarded settings stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approval {
    /// Its `ralph.toml` has none.
    NotNeeded,
    /// They were approved as they are, and count.
    Given(Request),
    /// They were not, and do not count.
    Wanted(Request),
}

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    version: u64,
    approved: BTreeMap<Fingerprint, Entry>,
}

/// For the person who reads the file: what it was that was approved, and when.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    repository: String,
    at: Timestamp,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// What the user has approved so far.
#[derive(Debug)]
pub struct Approvals {
    record: Record,
}

impl Approvals {
    /// Reads the approvals in `path`; where there is no file, there are none.
    pub fn load(path: &Path) -> Result<Self, ApprovalError> {
        let record = match durable::read(path, LARGEST)? {
            None => Record { version: FORMAT, approved: BTreeMap::new() },
            Some(content) => serde_json::from_slice(&content)
                .map_err(|source| ApprovalError::Damaged { path: path.to_owned(), source })?,
        };
        Ok(Self { record })
    }

    /// Whether exactly this was approved.
    pub fn is_approved(&self, fingerprint: &Fingerprint) -> bool {
        self.record.approved.contains_key(fingerprint)
    }

    /// Adds an approval to the file `path`, durably; two that are given at the same moment are both kept.
    pub fn approve(path: &Path, request: &Request, now: Timestamp) -> Result<(), ApprovalError> {
        durable::create_private_dir(path.parent().unwrap_or(path))?;
        let lock = HeldLock::take_within(&path.with_extension("lock"), PATIENCE)?
            .ok_or_else(|| ApprovalError::Busy { path: path.to_owned() })?;
        let mut record = Self::load(path)?.record;
        if record.version > FORMAT {
            return Err(ApprovalError::Newer { path: path.to_owned() });
        }
        let repository = wording::path(&request.repository);
        record.approved.insert(
            request.fingerprint.clone(),
            Entry { repository, at: now, unknown: serde_json::Map::new() },
        );
        let content = serde_json::to_vec_pretty(&record)
            .map_err(|source| ApprovalError::Damaged { path: path.to_owned(), source })?;
        durable::write(path, &content)?;
        drop(lock);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::value::Said;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn request(common_dir: &str, settings: &[(Key, &[&str])]) -> Request {
        let mut layer = Layer::default();
        for (key, words) in settings {
            let said = Said::Texts(words.iter().map(|word| (*word).to_owned()).collect());
            layer.set(*key, &said).unwrap();
        }
        Request::of(Path::new("/r/ralph.toml"), Path::new(common_dir), &layer).unwrap()
    }

    fn approve(path: &Path, request: &Request) -> Result<(), ApprovalError> {
        Approvals::approve(path, request, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_approval_is_for_exact_values_in_one_repository() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/ralph/approved.json");
        let approved = request("/r/.git", &[(Key::Agent, &["pi", "a b"])]);
        approve(&path, &approved).unwrap();
        let approvals = Approvals::load(&path).unwrap();
        assert!(approvals.is_approved(approved.fingerprint()));
        for other in [
            request("/r2/.git", &[(Key::Agent, &["pi", "a b"])]),
            request("/r/.git", &[(Key::Agent, &["pi", "a", "b"])]),
            request("/r/.git", &[(Key::Agent, &["pi", "a bc"])]),
            request("/r/.git", &[(Key::AgentArgs, &["pi", "a b"])]),
            request("/r/.git", &[(Key::Agent, &["pi", "a b"]), (Key::AgentArgs, &[])]),
        ] {
            assert!(!approvals.is_approved(other.fingerprint()), "{other:?} was approved");
        }
    }

    #[test]
    fn the_way_a_command_is_written_does_not_matter() {
        let mut layer = Layer::default();
        layer.set(Key::Agent, &Said::Text("pi 'a b'".to_owned())).unwrap();
        let text = Request::of(Path::new("/r/ralph.toml"), Path::new("/r/.git"), &layer).unwrap();
        assert_eq!(text.fingerprint(), request("/r/.git", &[(Key::Agent, &["pi", "a b"])]).fingerprint());
    }

    #[test]
    fn approvals_that_were_given_on_disk_hold_for_ever() {
        // Changing how the hash is made would silently withdraw every approval.
        let known = request("/r/.git", &[(Key::Agent, &["pi", "a b"]), (Key::AgentArgs, &["--x"])]);
        assert_eq!(
            known.fingerprint().to_string(),
            "53afd95803b4546fafcdfa70de9587a75c82675018fd28a5bc32644df759c024"
        );
    }

    #[test]
    fn approvals_are_private_and_added_one_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ralph/approved.json");
        let first = request("/r/.git", &[(Key::Agent, &["one"])]);
        let second = request("/r/.git", &[(Key::Agent, &["two"])]);
        approve(&path, &first).unwrap();
        approve(&path, &second).unwrap();
        let approvals = Approvals::load(&path).unwrap();
        assert!(approvals.is_approved(first.fingerprint()) && approvals.is_approved(second.fingerprint()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn approvals_that_are_given_at_once_are_all_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ralph/approved.json");
        let requests: Vec<_> =
            (0..8).map(|n| request(&format!("/r{n}/.git"), &[(Key::Agent, &["x"])])).collect();
        std::thread::scope(|scope| {
            for request in &requests {
                scope.spawn(|| approve(&path, request).unwrap());
            }
        });
        let approvals = Approvals::load(&path).unwrap();
        assert!(requests.iter().all(|request| approvals.is_approved(request.fingerprint())));
    }

    #[test]
    fn the_file_of_a_newer_version_counts_but_is_never_rewritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approved.json");
        let known = request("/r/.git", &[(Key::Agent, &["x"])]);
        let content = format!(
            r#"{{"version":2,"approved":{{"{}":{{"repository":"r","at":"2026-01-01T00:00:00Z"}}}}}}"#,
            known.fingerprint()
        );
        fs::write(&path, &content).unwrap();
        assert!(Approvals::load(&path).unwrap().is_approved(known.fingerprint()));
        assert!(matches!(approve(&path, &known), Err(ApprovalError::Newer { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }

    #[test]
    fn a_damaged_file_approves_nothing_and_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("approved.json");
        for content in ["", "{", "[]", "{\"version\":1}", "\u{0}"] {
            fs::write(&path, content).unwrap();
            assert!(matches!(Approvals::load(&path), Err(ApprovalError::Damaged { .. })), "{content:?}");
            assert!(approve(&path, &request("/r", &[(Key::Agent, &["x"])])).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &path).unwrap();
        assert!(Approvals::load(&path).is_err(), "a link was followed");
    }
}
