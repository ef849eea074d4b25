//! Reading what the sources say: two files, the environment, flags; and settling what counts.
//!
//! Files are read bounded, and the repository's not through a symbolic link: only the `ralph.toml` of the main
//! checkout counts, never that of a linked worktree, which an agent can write. What is wrong in a file is an error
//! that names file and line; nothing is guessed and nothing is skipped.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::approval::{Approval, ApprovalError, Approvals, Asked, Request};
use super::places::Places;
use super::settings::{Key, Layer, Settings, Source};
use super::value::{Refusal, Said};
use super::wording;
use crate::durable::{self, FileError};
use crate::redact::redacted_line;

/// A settings file is at most this large.
const LARGEST: u64 = 1 << 20;
/// Messages stay readable whatever a file holds.
const VALUE_SHOWN: usize = 60;
const NOTICE_VALUE_SHOWN: usize = 200;

/// Why the settings could not be read. Each names the place, so that it can be put right.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The system refused, or the file is too large.
    #[error(transparent)]
    File(#[from] FileError),
    /// The repository's settings are a symbolic link.
    #[error("could not read {}: it is a symbolic link, which is not followed here", wording::path(path))]
    SymbolicLink {
        /// The file.
        path: PathBuf,
    },
    /// The file is not TOML.
    #[error("{place}: {why}")]
    Syntax {
        /// Where.
        place: Place,
        /// What is wrong there.
        why: String,
    },
    /// There is no such setting.
    #[error(
        "{place}: there is no setting {name}{}",
        nearest.map_or_else(|| "; `ralph config` lists them".to_owned(), |key| format!("; did you mean `{key}`?"))
    )]
    UnknownKey {
        /// Where.
        place: Place,
        /// The name, escaped.
        name: String,
        /// What was likely meant.
        nearest: Option<Key>,
    },
    /// The setting cannot be that.
    #[error("{place}: `{key}` cannot be {value}: {why}")]
    Value {
        /// Where.
        place: Place,
        /// The setting.
        key: Key,
        /// What was said, escaped.
        value: String,
        /// What is allowed.
        why: Refusal,
    },
    /// The approvals could not be read.
    #[error(transparent)]
    Approvals(#[from] ApprovalError),
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of a file, counted from 1.
    Line(PathBuf, usize),
    /// An environment variable.
    Variable(String),
    /// Wherever the setting's value came from.
    Origin(super::settings::Origin),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(path, line) => write!(f, "{}, line {line}", wording::path(path)),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Origin(origin) => write!(f, "{origin}"),
        }
    }
}

/// What a person should know about their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The repository sets what it may not without approval.
    NotApproved(Request),
    /// A variable that looks like a setting is none.
    UnknownVariable {
        /// Its name, escaped.
        name: String,
        /// What was likely meant.
        nearest: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApproved(request) => {
                let said = |asked: &Asked| {
                    format!("{} = {}", asked.key, wording::shortened(&asked.redacted, NOTICE_VALUE_SHOWN))
                };
                let settings: Vec<_> = request.settings.iter().map(said).collect();
                write!(
                    f,
                    "{} sets {}, which is not approved and does not count; `ralph config approve` shows and \
                     approves it",
                    wording::path(&request.file),
                    settings.join(", ")
                )
            }
            Self::UnknownVariable { name, nearest } => {
                write!(f, "the variable {name} is no setting and does not count; did you mean {nearest}?")
            }
        }
    }
}

/// The repository that settings are read for.
#[derive(Debug, Clone, Copy)]
pub struct Repository<'a> {
    /// The main checkout, as a canonical path; of a bare repository, the repository itself.
    pub main: &'a Path,
    /// Its common directory, as a canonical path.
    pub common_dir: &'a Path,
}

/// Everything that settings are read from.
#[derive(Debug)]
pub struct Sources<'a> {
    /// The user's own files.
    pub places: &'a Places,
    /// The repository, where there is one.
    pub repository: Option<Repository<'a>>,
    /// The environment.
    pub variables: &'a BTreeMap<String, String>,
    /// What a pi-ticketflow project says, where that counts: everything else is over it.
    pub ticketflow: Layer,
    /// The flags.
    pub flags: Layer,
}

/// What holds, and what to say about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolution {
    /// The settings.
    pub settings: Settings,
    /// What a person should know.
    pub notices: Vec<Notice>,
    /// How the repository's guarded settings stand.
    pub approval: Approval,
}

/// Reads every source and settles what holds.
pub fn load(sources: Sources<'_>) -> Result<Resolution, ConfigError> {
    let mut layers = vec![(Source::Ticketflow, sources.ticketflow)];
    let mut notices = Vec::new();
    let mut approval = Approval::NotNeeded;
    if let Some(path) = &sources.places.user_file
        && let Some(layer) = read_user_file(path)?
    {
        layers.push((Source::UserFile(path.clone()), layer));
    }
    if let Some(repository) = sources.repository {
        let path = repository.main.join("ralph.toml");
        if let Some(mut layer) = read_repository_file(&path)? {
            approval = approval_of(&path, repository.common_dir, &layer, sources.places)?;
            if let Approval::Wanted(request) = &approval {
                Key::guarded().for_each(|key| layer.forget(key));
                notices.push(Notice::NotApproved(request.clone()));
            }
            layers.push((Source::RepositoryFile(path), layer));
        }
    }
    layers.push((Source::Environment, from_variables(sources.variables, &mut notices)?));
    layers.push((Source::CommandLine, sources.flags));

    let merged = Settings::merged(layers);
    let origin = merged.origin(Key::WorktreeRoot);
    let home = sources.places.home.as_deref();
    let settings = merged.at(home, sources.repository.map(|r| r.main)).map_err(|why| ConfigError::Value {
        place: Place::Origin(origin),
        key: Key::WorktreeRoot,
        value: "below `~`".to_owned(),
        why,
    })?;
    Ok(Resolution { settings, notices, approval })
}

/// Without a home there is nowhere to keep an approval, so nothing is approved.
fn approval_of(
    file: &Path,
    common_dir: &Path,
    layer: &Layer,
    places: &Places,
) -> Result<Approval, ConfigError> {
    let Some(request) = Request::of(file, common_dir, layer) else { return Ok(Approval::NotNeeded) };
    let approved = match &places.approvals {
        Some(path) => Approvals::load(path)?.is_approved(request.fingerprint()),
        None => false,
    };
    Ok(if approved { Approval::Given(request) } else { Approval::Wanted(request) })
}

/// The user's own file may be a link: that is how many keep such files in a repository of their own.
fn read_user_file(path: &Path) -> Result<Option<Layer>, ConfigError> {
    let real = match std::fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io("find", path, error).into()),
    };
    durable::read(&real, LARGEST)?.map(|content| parse(path, &content)).transpose()
}

fn read_repository_file(path: &Path) -> Result<Option<Layer>, ConfigError> {
    match durable::read(path, LARGEST) {
        Ok(content) => content.map(|content| parse(path, &content)).transpose(),
        Err(FileError::Io { source, .. }) if source.raw_os_error() == Some(LINK) => {
            Err(ConfigError::SymbolicLink { path: path.to_owned() })
        }
        Err(error) => Err(error.into()),
    }
}

/// What the system says when it was told not to follow a link.
const LINK: i32 = rustix::io::Errno::LOOP.raw_os_error();

/// Reads the content of a settings file.
pub(super) fn parse(path: &Path, content: &[u8]) -> Result<Layer, ConfigError> {
    let at = |bytes: &[u8]| {
        let line = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
        Place::Line(path.to_owned(), line)
    };
    let text = std::str::from_utf8(content).map_err(|error| ConfigError::Syntax {
        place: at(&content[..error.valid_up_to()]),
        why: "the file is not UTF-8 here".to_owned(),
    })?;
    let before = |offset: usize| at(&content[..offset.min(content.len())]);
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: before(error.span().map_or(0, |span| span.start)),
        why: wording::shortened(error.message(), 200),
    })?;
    let mut layer = Layer::default();
    for (name, value) in table.get_ref() {
        let place = || before(name.span().start);
        let key = Key::named(name.get_ref()).ok_or_else(|| ConfigError::UnknownKey {
            place: place(),
            name: quoted(name.get_ref()),
            nearest: Key::nearest(name.get_ref()),
        })?;
        layer.set(key, &said(value.get_ref())).map_err(|why| ConfigError::Value {
            place: place(),
            key,
            value: wording::shortened(
                &redacted_line(text.get(value.span()).unwrap_or_default()),
                VALUE_SHOWN,
            ),
            why,
        })?;
    }
    Ok(layer)
}

fn said(value: &DeValue<'_>) -> Said {
    match value {
        DeValue::String(text) => Said::Text(text.to_string()),
        DeValue::Boolean(value) => Said::Bool(*value),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Said::Other, Said::Number)
        }
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            texts.map_or(Said::Other, Said::Texts)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => Said::Other,
    }
}

/// Variables that are named like a setting are settings. Others may be anyone's (ralph itself gives some to agents),
/// so they are passed over, unless one looks like a slip.
fn from_variables(
    variables: &BTreeMap<String, String>,
    notices: &mut Vec<Notice>,
) -> Result<Layer, ConfigError> {
    let names: Vec<(String, Key)> = Key::ALL.iter().map(|key| (key.variable(), *key)).collect();
    let mut layer = Layer::default();
    for (name, value) in variables.range("RALPH_".to_owned()..).take_while(|(n, _)| n.starts_with("RALPH_")) {
        if let Some((_, key)) = names.iter().find(|(known, _)| known == name) {
            layer.set(*key, &Said::Text(value.clone())).map_err(|why| ConfigError::Value {
                place: Place::Variable(name.clone()),
                key: *key,
                value: quoted(&redacted_line(value)),
                why,
            })?;
        } else if let Some(nearest) = Key::nearest(&name["RALPH_".len()..]) {
            notices.push(Notice::UnknownVariable {
                name: wording::shortened(name, VALUE_SHOWN),
                nearest: nearest.variable(),
            });
        }
    }
    Ok(layer)
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", wording::shortened(text, VALUE_SHOWN))
}

#[cfg(test)]
mod tests;
