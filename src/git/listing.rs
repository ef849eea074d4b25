//! What a commit holds, laid out as the plan of a checkout: every folder before what is in it, every file in the order
//! of the index.
//!
//! A commit is its author's: names that could lead into a git directory, trees out of order, too deep or too large
//! make no plan, and are left to git, which knows how to refuse them.

use std::ops::Range;

use git2::Oid;

use super::attributes::Asked;
use super::checkout::convert::Conversion;
use super::{CommitId, GitError};

/// More entries than any repository has: trees can name one another so that a few objects are billions of files.
const MOST_ENTRIES: usize = 5_000_000;
/// As deep as a plan goes; one descriptor a folder is open on the way down.
const DEEPEST: usize = 64;
/// What the kernel takes as a path, with room for the folder of the worktree.
const LONGEST_PATH: usize = 3_000;

/// The files and folders of a commit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing {
    /// All paths, one behind the other.
    paths: Vec<u8>,
    /// Each after the one that it is in; the first is the top.
    pub(super) folders: Vec<Folder>,
    /// In the order of the index.
    pub(super) items: Vec<Item>,
}

/// A folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Folder {
    path: Name,
    pub(super) id: Oid,
    /// Its own place.
    pub(super) place: usize,
    /// The place of the folder that it is in; the top is in itself.
    pub(super) parent: usize,
    pub(super) depth: usize,
    /// The places of what it holds, however deep.
    pub(super) items: Range<usize>,
}

/// Something that the index has an entry for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    path: Name,
    pub(super) kind: Kind,
    pub(super) id: Oid,
    /// The place of the folder that it is in.
    pub(super) folder: usize,
    pub(super) writer: Writer,
}

/// Who writes the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// ralph, which changes so much of it on the way.
    Ralph(Conversion),
    /// The git program: a filter has to be run, or the encoding changes.
    Git,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file that is not a program.
    File,
    /// A file that can be executed.
    Program,
    /// A symbolic link.
    Link,
    /// A submodule: an empty folder, until someone fills it.
    Submodule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    start: usize,
    /// Where its last part begins.
    last: usize,
    end: usize,
}

impl Listing {
    /// The path of an item, from the top.
    pub(super) fn path(&self, item: &Item) -> &[u8] {
        &self.paths[item.path.start..item.path.end]
    }

    /// The name of an item within its folder.
    pub(super) fn name(&self, item: &Item) -> &[u8] {
        &self.paths[item.path.last..item.path.end]
    }

    /// Whether the git program has to write some of the files.
    pub(super) fn is_shared(&self) -> bool {
        self.items.iter().any(|item| item.writer == Writer::Git)
    }

    /// The name of a folder within the one above; empty for the top.
    pub(super) fn folder_name(&self, folder: &Folder) -> &[u8] {
        &self.paths[folder.path.last..folder.path.end]
    }

    fn named(&mut self, parent: usize, name: &[u8]) -> Name {
        let above = self.folders[parent].path;
        let start = self.paths.len();
        self.paths.extend_from_within(above.start..above.end);
        if above.start != above.end {
            self.paths.push(b'/');
        }
        let last = self.paths.len();
        self.paths.extend_from_slice(name);
        Name { start, last, end: self.paths.len() }
    }
}

/// A tree that is being read, and how far.
struct Open<'r> {
    tree: git2::Tree<'r>,
    next: usize,
    folder: usize,
    /// The last folder in it.
    inner: Option<usize>,
}

/// Lays out what `commit` holds, and notes what its attributes ask for on the way. `None` where something in it is for
/// git to judge; the attributes are complete all the same.
pub(super) fn list(
    repo: &git2::Repository,
    commit: &CommitId,
    asked: &mut Asked,
) -> Result<Option<Listing>, GitError> {
    let failed = |e| GitError::libgit2("read the files of the commit", commit, e);
    let tree = repo.find_commit(commit.oid()?).and_then(|c| c.tree()).map_err(failed)?;
    let odb = repo.odb().map_err(failed)?;
    let top = Name { start: 0, last: 0, end: 0 };
    let root = Folder { path: top, id: tree.id(), place: 0, parent: 0, depth: 0, items: 0..0 };
    let mut listing = Listing { paths: Vec::new(), folders: vec![root], items: Vec::new() };
    let mut is_plain = true;
    // A tree may be as deep as its author likes: no recursion.
    let mut open = vec![Open { tree, next: 0, folder: 0, inner: None }];
    while let Some(at) = open.last_mut() {
        let (folder, before) = (at.folder, at.inner);
        let Some(entry) = at.tree.get(at.next) else {
            listing.folders[folder].items.end = listing.items.len();
            open.pop();
            continue;
        };
        at.next += 1;
        let (name, id) = (entry.name_bytes(), entry.id());
        let kind = Entry::of(entry.filemode_raw());
        if name == b".gitattributes"
            && let Some(Entry::Item(kind @ (Kind::File | Kind::Program | Kind::Link))) = kind
        {
            // Of a link, git takes the path that it leads to for attributes.
            asked.by_link |= kind == Kind::Link;
            // Of a commit that makes no plan, no one asks which folder it is in.
            let folder = listing.folders.get(folder).filter(|_| is_plain);
            let folder = folder.map_or(&[][..], |folder| &listing.paths[folder.path.start..folder.path.end]);
            asked.note_blob(&odb, id, folder, commit)?;
        }
        is_plain &= kind.is_some_and(|kind| is_plain_name(name, kind));
        if !is_plain {
            // Only the attributes still count: nothing more is laid out.
            listing.items.clear();
            listing.paths.clear();
        }
        let mut inner = before;
        let deeper = match kind {
            Some(Entry::Folder) => {
                let tree = repo.find_tree(id).map_err(failed)?;
                let mut next = 0;
                if is_plain {
                    let path = listing.named(folder, name);
                    let depth = listing.folders[folder].depth + 1;
                    let start = listing.items.len();
                    // Two of one name would be one on the disk, and two in the index.
                    let is_new = before.is_none_or(|at| listing.folder_name(&listing.folders[at]) != name);
                    is_plain = is_new && depth <= DEEPEST && path.end - path.start <= LONGEST_PATH;
                    next = listing.folders.len();
                    inner = Some(next);
                    let items = start..start;
                    listing.folders.push(Folder { path, id, place: next, parent: folder, depth, items });
                }
                Some(Open { tree, next: 0, folder: next, inner: None })
            }
            Some(Entry::Item(kind)) if is_plain => {
                let path = listing.named(folder, name);
                let before = listing.items.last().map(|before| listing.path(before));
                let in_order = before.is_none_or(|before| before < &listing.paths[path.start..path.end]);
                is_plain = in_order && listing.items.len() < MOST_ENTRIES;
                let writer = Writer::Ralph(Conversion::default());
                listing.items.push(Item { path, kind, id, folder, writer });
                None
            }
            Some(Entry::Item(_)) | None => None,
        };
        drop(entry);
        at.inner = inner;
        open.extend(deeper);
    }
    Ok(is_plain.then_some(listing))
}

/// What an entry of a tree is, by its mode.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder,
    Item(Kind),
}

impl Entry {
    fn of(mode: i32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o040_000 => Self::Folder,
            0o100_000 if mode & 0o100 != 0 => Self::Item(Kind::Program),
            0o100_000 => Self::Item(Kind::File),
            0o120_000 => Self::Item(Kind::Link),
            0o160_000 => Self::Item(Kind::Submodule),
            _ => return None,
        })
    }
}

/// Whether no file system takes the name for `.git`, or a link for one of the files that git follows no link to. Errs
/// towards no: names that are only like them count.
fn is_plain_name(name: &[u8], kind: Entry) -> bool {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') {
        return false;
    }
    name.split(|b| matches!(b, b'\\' | b':')).all(|part| {
        // What HFS+ ignores is not ASCII; what NTFS ignores stands at the end.
        let seen = part.iter().filter(|b| b.is_ascii()).map(u8::to_ascii_lowercase).collect::<Vec<_>>();
        let is_short = seen.starts_with(b"git~");
        let is_dot_git = seen.strip_prefix(b".git").is_some_and(|rest| {
            !rest.first().is_some_and(|b| b.is_ascii_alphanumeric() || b"-_".contains(b))
        });
        let is_special_link = kind == Entry::Item(Kind::Link)
            && (seen.starts_with(b".git") || (seen.starts_with(b"gi") && seen.contains(&b'~')));
        !is_short && !is_dot_git && !is_special_link
    })
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kind, is_plain_name};

    #[test]
    fn names_that_some_file_system_takes_for_git_are_not_plain() {
        let file = Entry::Item(Kind::File);
        for name in [
            "",
            ".",
            "..",
            "a/b",
            ".git",
            ".GIT",
            ".Git ",
            ".git.",
            ".git. .",
            "git~1",
            "GIT~2",
            ".git::$DATA",
            ".g\u{200c}it",
            "x\\.git",
            ".git\\x",
            "a:.git",
        ] {
            assert!(!is_plain_name(name.as_bytes(), file), "{name:?}");
            assert!(!is_plain_name(name.as_bytes(), Entry::Folder), "{name:?}");
        }
        for name in
            [".gitignore", ".gitmodules", ".github", ".git-x", "git", "a~1", "back\\slash", "ünï", "a:b"]
        {
            assert!(is_plain_name(name.as_bytes(), file), "{name:?}");
        }
        for name in [".gitmodules", ".gitattributes", ".GITIGNORE", "gi7eba~1", "gitmod~1"] {
            assert!(!is_plain_name(name.as_bytes(), Entry::Item(Kind::Link)), "{name:?}");
        }
    }

    #[test]
    fn modes_that_git_once_wrote_are_taken_as_it_takes_them() {
        assert!(Entry::of(0o100_664) == Some(Entry::Item(Kind::File)));
        assert!(Entry::of(0o100_775) == Some(Entry::Item(Kind::Program)));
        assert!(Entry::of(0o010_000).is_none());
    }
}
