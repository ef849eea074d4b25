//! What attributes ask a checkout for, read without regard to the patterns: a word counts wherever it stands. What they
//! say of one path, [`Rules`] tell.

mod glob;
mod rules;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use rules::{Finished, Macros, Read, Rules, State};

use super::config::Settings;
use super::printed::TreeEntry;
use super::program::GitProgram;
use super::repo::Repo;
use super::{CommitId, GitError};
use crate::durable::{self, FileError};

/// git takes in no larger attributes file.
const ATTRIBUTES_LIMIT: u64 = (100 << 20) - 1;

/// The attribute that names the encoding which a file is checked out in.
pub(super) const ENCODING: &str = "working-tree-encoding";

/// What a commit's attributes ask for, each with the file that says so.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The filters, each with the file that names it.
    pub(super) filters: BTreeMap<String, String>,
    /// Whether a file is kept in another encoding than it is checked out in.
    pub(super) encoding: bool,
    /// Whether it has a link of that name.
    pub(super) by_link: bool,
    /// Whether line ends or keywords may be written otherwise than they are kept.
    pub(super) rewrites: bool,
    /// The commit's own attribute files: the folder of each, and what it says. Only where they can be looked at at once.
    pub(super) files: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Asked {
    /// Notes what an attributes file asks for. Patterns are not looked at.
    pub(super) fn note(&mut self, content: &[u8], file: &str) {
        // An attribute may stand right behind the quotation mark that ends a pattern.
        let after_quotes = |word: &'_ [u8]| {
            let quotes: Vec<usize> =
                (0..word.len()).filter(|at| word[*at] == b'"').map(|at| at + 1).collect();
            std::iter::once(0).chain(quotes)
        };
        let words = content.split(u8::is_ascii_whitespace);
        let words = words.flat_map(|word| after_quotes(word).map(|start| &word[start..]));
        for word in words.filter_map(|word| std::str::from_utf8(word).ok()) {
            if let Some(name) = word.strip_prefix("filter=") {
                self.filters.entry(name.to_owned()).or_insert_with(|| file.to_owned());
            }
            self.rewrites |= word.starts_with("ident") || (word.starts_with("eol=") && word != "eol=lf");
            self.encoding |= word.trim_start_matches('-').starts_with(ENCODING);
        }
    }

    /// Notes what the attributes file with this object asks for, as git does: not where it is too large.
    pub(super) fn note_blob(
        &mut self,
        odb: &git2::Odb<'_>,
        id: git2::Oid,
        folder: &[u8],
        commit: &CommitId,
    ) -> Result<(), GitError> {
        let failed = |e| GitError::libgit2("read the attributes of the commit", commit, e);
        let (size, _) = odb.read_header(id).map_err(failed)?;
        if size as u64 <= ATTRIBUTES_LIMIT {
            let content = odb.read(id).map_err(failed)?;
            self.note(content.data(), ".gitattributes");
            self.files.push((folder.to_owned(), content.data().to_owned()));
        }
        Ok(())
    }
}

impl Repo {
    /// Notes what the attributes of a commit ask for, by the program.
    pub(super) fn list_attributes(&self, commit: &CommitId, asked: &mut Asked) -> Result<(), GitError> {
        let mut objects = Vec::new();
        let call = self.fetching().args(["ls-tree", "-r", "-z", "--full-tree", commit.as_str()]);
        call.for_each_record(&mut |record| {
            let entry = TreeEntry::of(record).filter(|entry| entry.is_attributes() && entry.is_blob());
            asked.by_link |= entry.as_ref().is_some_and(|entry| !entry.is_file());
            objects.extend(entry.map(|entry| entry.object.to_owned()));
        })?;
        for object in objects {
            let content = self.fetching().args(["cat-file", "blob", &object]).succeed()?;
            asked.note(&content, ".gitattributes");
        }
        Ok(())
    }
}

/// The attribute files outside the commit that git reads too.
pub(super) struct AttributeFiles {
    /// Those that any file of the commit overrules, the weakest first.
    pub(super) below: Vec<PathBuf>,
    /// The one that overrules all.
    pub(super) above: PathBuf,
}

impl AttributeFiles {
    /// All of them.
    pub(super) fn all(self) -> impl Iterator<Item = PathBuf> {
        self.below.into_iter().chain([self.above])
    }
}

/// Where they are, if they are there, for this program.
pub(super) fn attribute_files(settings: &Settings, common: &Path, program: &GitProgram) -> AttributeFiles {
    let variable = |name| program.variable(name).filter(|value| !value.is_empty());
    let mut below = Vec::new();
    let no_system = variable("GIT_ATTR_NOSYSTEM");
    if !no_system.is_some_and(|value| git2::Config::parse_bool(value).unwrap_or(false)) {
        below.push(program.system().attributes.clone());
    }
    below.extend(settings.attributes_file().or_else(|| {
        let named = variable("XDG_CONFIG_HOME").map(PathBuf::from);
        if let Some(folder) = named.or_else(|| Some(Path::new(variable("HOME")?).join(".config"))) {
            return Some(folder.join("git/attributes"));
        }
        // Of an environment that is not known, libgit2 says where the settings are.
        let beside = |file: PathBuf, name: &str| Some(file.parent()?.join(name));
        let xdg = git2::Config::find_xdg().ok().and_then(|file| beside(file, "attributes"));
        let home =
            || git2::Config::find_global().ok().and_then(|file| beside(file, ".config/git/attributes"));
        xdg.or_else(home)
    }));
    AttributeFiles { below, above: common.join("info/attributes") }
}

pub(super) fn read_attributes(file: &Path) -> Result<Option<Vec<u8>>, GitError> {
    // The user's own file may well be a link into a collection of settings.
    match file.canonicalize() {
        Ok(real) if real.is_file() => match durable::read(&real, ATTRIBUTES_LIMIT) {
            Err(FileError::TooLarge { .. }) => Ok(None),
            read => Ok(read?),
        },
        // `/dev/null` says that there are none.
        Ok(_) | Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_behind_a_quoted_pattern_is_seen() {
        for line in ["*.a filter=x", "\"*.a\"filter=x", "\"a \\\"b\"filter=x", "\"a\"-text filter=x"] {
            let mut asked = Asked::default();
            asked.note(line.as_bytes(), "here");
            assert!(asked.filters.contains_key("x"), "{line}");
        }
        let mut asked = Asked::default();
        asked.note(b"\"*.a\"eol=crlf \"*.b\"working-tree-encoding=UTF-16", "here");
        assert!(asked.rewrites && asked.encoding);
    }
}
