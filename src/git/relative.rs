//! Whether a configured command would run a file that the checked-out branch brings along.
//!
//! A program by a relative path would in any case. Beside it a word counts that names a file by a path, or where a script
//! stands by a name with an ending, if there is such a file: `sh tools/f`, `python3 f.py`, but not `sed s/a/b/`, nor
//! `test %f = f.py`. What a command makes up as it runs cannot be told from its words.

use std::path::{Component, Path, PathBuf};

use super::printed::TreeEntry;
use super::repo::Repo;
use super::{CommitId, GitError};

impl Repo {
    /// Whether the command would run something that a checkout of the commit holds.
    pub(super) fn runs_from(&self, command: &str, commit: &CommitId) -> Result<bool, GitError> {
        if has_relative_program(command) {
            return Ok(true);
        }
        for path in paths_in(command) {
            if self.has_file(commit, &path)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a checkout of the commit has a file at this path, behind a link perhaps.
    fn has_file(&self, commit: &CommitId, path: &Path) -> Result<bool, GitError> {
        for part in path.ancestors().filter(|part| !part.as_os_str().is_empty()) {
            let list = ["--literal-pathspecs", "ls-tree", "-z", "--full-tree", commit.as_str(), "--"];
            let mut found = false;
            self.fetching().args(list).arg(part).for_each_record(&mut |record| {
                let entry = TreeEntry::of(record).filter(TreeEntry::is_blob);
                found |= entry.is_some_and(|entry| part == path || !entry.is_file());
            })?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether the command would run something that lies in this worktree.
pub(super) fn runs_from_tree(command: &str, top: &Path) -> bool {
    has_relative_program(command) || paths_in(command).iter().any(|path| top.join(path).is_file())
}

/// A word of a command.
#[derive(Debug, PartialEq, Eq)]
struct Word {
    text: String,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Program,
    /// Behind the program and its options: what an interpreter runs.
    Script,
    Argument,
}

fn has_relative_program(command: &str) -> bool {
    let is_relative = |word: &Word| {
        word.place == Place::Program && word.text.contains('/') && !word.text.starts_with(['/', '~', '$'])
    };
    words(command).iter().any(is_relative)
}

/// The paths below the folder it is run in that the command may mean.
fn paths_in(command: &str) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for Word { text, place } in words(command) {
        // Scripts within quotes, and paths behind options: `sh -c 'tools/f'`, `--with=tools/f`.
        let parts = text.split(|c: char| c.is_whitespace() || "'\"`;&|()<>=:".contains(c));
        for part in std::iter::once(text.as_str()).chain(parts) {
            let path = Path::new(part);
            let is_script = place == Place::Script && part == text && path.extension().is_some();
            if part.contains('/') || is_script {
                paths.extend(below(path));
            }
        }
    }
    paths.dedup();
    paths
}

/// The path without detours; `None` where it leads out of the folder, or nowhere.
fn below(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    (!plain.as_os_str().is_empty()).then_some(plain)
}

/// The words of a command, as a shell takes them apart; what it would put in their place stays as it is.
fn words(command: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut place = Place::Program;
    let mut text = String::new();
    let mut quote = None;
    let mut chars = command.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None | Some('"'), '\\') => text.extend(chars.next()),
            (None, c) if c.is_whitespace() || ";&|()<>`".contains(c) => {
                place = end(&mut text, place, &mut words);
                if ";&|(`\n".contains(c) {
                    place = Place::Program;
                } else if "<>".contains(c) {
                    place = Place::Argument;
                }
            }
            (_, c) => text.push(c),
        }
    }
    end(&mut text, place, &mut words);
    words
}

/// Ends a word, if there is one, and answers what the next is.
fn end(text: &mut String, place: Place, words: &mut Vec<Word>) -> Place {
    if text.is_empty() {
        return place;
    }
    let text = std::mem::take(text);
    // A variable that is set for the program stands before it.
    let is_assignment = text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    });
    let (place, next) = match place {
        Place::Program if is_assignment => (Place::Argument, Place::Program),
        Place::Program => (Place::Program, Place::Script),
        Place::Script if text.starts_with('-') => (Place::Argument, Place::Script),
        Place::Script | Place::Argument => (place, Place::Argument),
    };
    words.push(Word { text, place });
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_by_a_relative_path_is_found_wherever_it_stands() {
        for command in [
            "./tools/f",
            "tools/f %f",
            "\"./tools/my f\" x",
            "X=1 ./f",
            "cat | ./f",
            "cd tools && ./f",
            "x $(tools/f)",
        ] {
            assert!(has_relative_program(command), "{command}");
        }
        for command in [
            "git-lfs smudge -- %f",
            "git-lfs filter-process",
            "/usr/bin/tool a/b",
            "~/bin/f",
            "$HOME/bin/f",
            "\"$HOME\"/bin/f",
            "'/opt/my tools/f'",
            "sed 's/a/b/;s/c/d/'",
            "sed s/a/b/ | tr / _",
            "X=a/b tool",
            "tool <a/b >c/d 2>&1",
            "",
        ] {
            assert!(!has_relative_program(command), "{command}");
        }
    }

    #[test]
    fn what_may_be_a_file_of_the_folder_is_told_from_what_is_not() {
        for (command, expected) in [
            ("sh tools/f", &["tools/f"][..]),
            ("python3 ./tools//../f.py %f", &["f.py"]),
            ("sh -c 'exec tools/f %f'", &["tools/f"]),
            ("sh \"my tools/f\"", &["my tools/f"]),
            ("java -jar=lib/x.jar", &["lib/x.jar"]),
            ("sh -e f.sh", &["f.sh"]),
            ("f.sh | cat", &[]),
            ("cat; if test %f = z.txt; then x; fi", &[]),
            ("git-lfs clean -- %f", &[]),
            ("gpg --recipient me -e /etc/key.pub", &[]),
            ("tool ../x.sh ~", &[]),
        ] {
            let found = paths_in(command);
            assert!(expected.iter().all(|path| found.contains(&PathBuf::from(path))), "{command}: {found:?}");
            assert!(!expected.is_empty() || found.is_empty(), "{command}: {found:?}");
        }
    }
}
