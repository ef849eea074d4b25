//! What git prints, record by record. Pure: nothing here runs git.
//!
//! A record is what stands between two NUL bytes (`-z`). What does not have the form of its kind is `None`: the caller
//! knows whether that may be. Paths are bytes, and may hold anything but NUL.

/// No path is that long: what has no end by then is not what git prints.
const LONGEST_RECORD: usize = 1 << 20;

/// The records of a stream, each of which ends with a NUL byte. What comes after the last one is none.
#[derive(Debug, Default)]
pub(super) struct Records {
    rest: Vec<u8>,
}

impl Records {
    /// Takes the next bytes and hands over every record that ended with them. Answers whether what is left could still
    /// become one.
    pub(super) fn push(&mut self, bytes: &[u8], take: &mut dyn FnMut(&[u8])) -> bool {
        let mut bytes = bytes;
        while let Some(end) = bytes.iter().position(|b| *b == 0) {
            if self.rest.is_empty() {
                take(&bytes[..end]);
            } else {
                self.rest.extend_from_slice(&bytes[..end]);
                take(&self.rest);
                self.rest.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.rest.extend_from_slice(bytes);
        self.rest.len() < LONGEST_RECORD
    }
}

/// What a file is to `git status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// Tracked, and changed in its file alone.
    Edited,
    /// Tracked, and changed otherwise: staged, deleted, of another kind.
    Changed,
    Unmerged,
    Untracked,
    Ignored,
}

/// A record of `git status --porcelain=v2 -z --no-renames`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status<'a> {
    pub(super) kind: FileKind,
    pub(super) path: &'a [u8],
}

impl<'a> Status<'a> {
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        // The fields before the path: `1 XY sub mH mI mW hH hI`, `u XY sub m1 m2 m3 mW h1 h2 h3`, `?`, `!`.
        let (fields, kind) = match record.first()? {
            b'1' if record.get(2..4) == Some(b".M") => (8, FileKind::Edited),
            b'1' => (8, FileKind::Changed),
            b'u' => (10, FileKind::Unmerged),
            b'?' => (1, FileKind::Untracked),
            b'!' => (1, FileKind::Ignored),
            _ => return None,
        };
        let path = record.splitn(fields + 1, |b| *b == b' ').nth(fields)?;
        Some(Self { kind, path })
    }
}

/// What one side of a raw difference has at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawSide {
    pub(super) mode: String,
    pub(super) object: String,
}

/// What stands before a path in `git diff-tree --raw -z --no-renames` and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawChange {
    pub(super) old: RawSide,
    pub(super) new: RawSide,
}

impl RawChange {
    /// `:<mode> <mode> <name> <name> <status>`
    fn of(record: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(record).ok()?.strip_prefix(':')?;
        let mut fields = text.split(' ').map(str::to_owned);
        let (old_mode, new_mode, old, new) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Self {
            old: RawSide { mode: old_mode, object: old },
            new: RawSide { mode: new_mode, object: new },
        })
    }
}

/// Raw differences: a [`RawChange`], and then its path as a record of its own, which may look like one.
#[derive(Debug, Default)]
pub(super) struct RawDiff {
    change: Option<RawChange>,
    has_unclear: bool,
}

impl RawDiff {
    /// Takes the next record; with a path, what changed there.
    pub(super) fn take<'r>(&mut self, record: &'r [u8]) -> Option<(RawChange, &'r [u8])> {
        if let Some(change) = self.change.take() {
            return Some((change, record));
        }
        self.change = RawChange::of(record);
        self.has_unclear |= self.change.is_none();
        None
    }

    /// Whether every record so far had the form of its kind, and every change its path.
    pub(super) fn is_clear(&self) -> bool {
        !self.has_unclear && self.change.is_none()
    }
}

/// A record of `git ls-files --stage -z`, and of `--unmerged` and `--resolve-undo`: `<mode> <name> <stage>\t<path>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Staged<'a> {
    pub(super) mode: &'a str,
    pub(super) object: &'a str,
    pub(super) path: &'a [u8],
}

impl<'a> Staged<'a> {
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        let ([mode, object, _], path) = facts(record)?;
        Some(Self { mode, object, path })
    }
}

/// A record of `git ls-tree -z`: `<mode> <kind> <name>\t<path>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TreeEntry<'a> {
    pub(super) mode: &'a str,
    pub(super) object: &'a str,
    pub(super) path: &'a [u8],
}

impl<'a> TreeEntry<'a> {
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        let ([mode, _, object], path) = facts(record)?;
        Some(Self { mode, object, path })
    }

    /// Whether it is a file of its own, and no link, submodule or folder.
    pub(super) fn is_file(&self) -> bool {
        self.mode.starts_with("100")
    }

    /// Whether it is a file or a link.
    pub(super) fn is_blob(&self) -> bool {
        self.is_file() || self.mode.starts_with("120")
    }

    /// Whether it is called `.gitattributes`, in whatever folder.
    pub(super) fn is_attributes(&self) -> bool {
        self.path.rsplit(|b| *b == b'/').next() == Some(b".gitattributes")
    }
}

/// Three words, a tab and a path.
fn facts(record: &[u8]) -> Option<([&str; 3], &[u8])> {
    let tab = record.iter().position(|b| *b == b'\t')?;
    let mut words = std::str::from_utf8(&record[..tab]).ok()?.split(' ');
    let words = [words.next()?, words.next()?, words.next()?];
    Some((words, &record[tab + 1..]))
}

/// A record of `git ls-files -v -z`: `<tag> <path>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tagged<'a> {
    pub(super) tag: u8,
    pub(super) path: &'a [u8],
}

impl<'a> Tagged<'a> {
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        Some(Self { tag: *record.first()?, path: record.get(2..)? })
    }

    /// Whether the file is marked skip-worktree.
    pub(super) fn is_skipped(&self) -> bool {
        matches!(self.tag, b'S' | b's')
    }

    /// Whether git was told not to look at the file: skip-worktree or assume-unchanged.
    pub(super) fn is_hidden(&self) -> bool {
        self.tag.is_ascii_lowercase() || self.is_skipped()
    }
}

/// A record of `git diff --numstat -z --no-renames`: `<insertions>\t<deletions>\t<path>`. A binary file has `-`, and no
/// lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NumStat<'a> {
    pub(super) insertions: usize,
    pub(super) deletions: usize,
    pub(super) path: &'a [u8],
}

impl<'a> NumStat<'a> {
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        let mut fields = record.splitn(3, |b| *b == b'\t');
        let number = |text: &[u8]| std::str::from_utf8(text).ok().and_then(|t| t.parse().ok()).unwrap_or(0);
        let (insertions, deletions) = (number(fields.next()?), number(fields.next()?));
        Some(Self { insertions, deletions, path: fields.next()? })
    }
}

/// The records of `git config --list --show-scope -z`: a scope, and then `<key>\n<value>` as a record of its own.
#[derive(Debug, Default)]
pub(super) struct SettingList {
    scope: Option<Vec<u8>>,
}

/// A setting, with what said so: `system`, `global`, `local`, `worktree` or `command`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) scope: Vec<u8>,
    pub(super) key: String,
    pub(super) value: String,
}

impl SettingList {
    pub(super) fn take(&mut self, record: &[u8]) -> Option<Setting> {
        let Some(scope) = self.scope.take() else {
            self.scope = Some(record.to_owned());
            return None;
        };
        let text = String::from_utf8_lossy(record);
        // A key without `=` is a switch that is on.
        let (key, value) = text.split_once('\n').unwrap_or((&text, "true"));
        Some(Setting { scope, key: key.to_owned(), value: value.to_owned() })
    }
}

/// What `git merge-tree -z --name-only --no-messages` answers: the name of the tree, and the paths in conflict.
pub(super) fn merged_tree(out: &[u8]) -> (&[u8], impl Iterator<Item = &[u8]>) {
    let mut fields = out.split(|b| *b == 0);
    let tree = fields.next().unwrap_or_default();
    (tree, fields.filter(|path| !path.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_whole_however_they_come() {
        let text = b"one\0\0two and more\0rest";
        for size in 1..text.len() {
            let mut found = Vec::new();
            let mut records = Records::default();
            for piece in text.chunks(size) {
                assert!(records.push(piece, &mut |record| found.push(record.to_owned())));
            }
            assert_eq!(found, [&b"one"[..], b"", b"two and more"], "{size} bytes at a time");
        }
        assert!(!Records::default().push(&[b'x'; LONGEST_RECORD], &mut |_| {}), "it has no end");
    }

    #[test]
    fn a_path_may_hold_spaces_tabs_and_what_looks_like_a_record() {
        let status = |text: &'static str| {
            Status::of(text.as_bytes()).map(|s| (s.kind, std::str::from_utf8(s.path).unwrap()))
        };
        assert_eq!(status("1 .M N... 1 2 3 4 5 a b"), Some((FileKind::Edited, "a b")));
        assert_eq!(status("1 M. N... 1 2 3 4 5 1 .M"), Some((FileKind::Changed, "1 .M")));
        assert_eq!(status("u UU N... 1 2 3 4 5 6 7 ? x"), Some((FileKind::Unmerged, "? x")));
        assert_eq!(status("?  a"), Some((FileKind::Untracked, " a")));
        assert_eq!(status("! a/"), Some((FileKind::Ignored, "a/")));
        assert_eq!(status("# branch.oid 1"), None);
        assert_eq!(status("1 .M N... 1 2 3 4 5"), None);
        let entry = TreeEntry::of(b"100644 blob aa\tx\ty/.gitattributes").unwrap();
        assert_eq!((entry.object, entry.path), ("aa", &b"x\ty/.gitattributes"[..]));
        assert!(entry.is_file() && entry.is_blob() && entry.is_attributes());
        for (record, is_blob) in [("120000 blob aa\tx", true), ("160000 commit aa\tx", false)] {
            let entry = TreeEntry::of(record.as_bytes()).unwrap();
            assert!(!entry.is_file() && entry.is_blob() == is_blob, "{record}");
        }
        assert_eq!(TreeEntry::of(b"100644 blob\tx"), None);
        let stat = NumStat::of(b"-\t3\ta\tb").unwrap();
        assert_eq!((stat.insertions, stat.deletions, stat.path), (0, 3, &b"a\tb"[..]));
    }

    #[test]
    fn a_path_that_looks_like_a_change_is_a_path() {
        let change = b":100644 100644 aa bb M";
        let mut diff = RawDiff::default();
        assert_eq!(diff.take(change), None);
        assert!(!diff.is_clear(), "its path is still to come");
        let (found, path) = diff.take(change).unwrap();
        assert_eq!((found.old.object.as_str(), found.new.object.as_str(), path), ("aa", "bb", &change[..]));
        assert!(diff.is_clear());
        assert_eq!(diff.take(b"no change"), None);
        assert!(!diff.is_clear());
    }

    #[test]
    fn a_setting_has_the_scope_before_it() {
        let mut list = SettingList::default();
        assert_eq!(list.take(b"local"), None);
        let setting = list.take(b"a.b\none\ntwo").unwrap();
        assert_eq!((setting.key.as_str(), setting.value.as_str()), ("a.b", "one\ntwo"));
        assert_eq!(list.take(b"command"), None);
        assert_eq!(list.take(b"a.switch").unwrap().value, "true");
    }
}
