//! What holds of what git prints, and of what it or anyone keeps in a repository's folder, whatever the bytes are.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::attributes::Asked;
use super::graph;
use super::hold::{Hold, Holder};
use super::printed::{
    FileKind, NumStat, RawDiff, Records, SettingList, Staged, Status, Tagged, TreeEntry, merged_tree,
};
use super::reach::collect_names;
use super::registry::{Head, parse_head, without_dots, without_line_end};

/// Output of the program: pieces as long as the first byte says, which come to the same records however they are cut.
pub(crate) fn printed(data: &[u8]) {
    let Some((size, out)) = data.split_first() else { return };
    let size = usize::from(*size).max(1);
    let whole = records(std::iter::once(out));
    assert_eq!(records(out.chunks(size)), whole, "in pieces of {size} bytes");
    let (mut diff, mut list) = (RawDiff::default(), SettingList::default());
    let mut changes = 0;
    for record in &whole {
        each(record);
        let was_clear = diff.is_clear();
        if let Some((_, path)) = diff.take(record) {
            assert!(!was_clear && path == record, "a path comes behind its change");
            changes += 1;
        }
        list.take(record);
    }
    assert!(!diff.is_clear() || changes * 2 == whole.len(), "{changes} changes");
    let (tree, files) = merged_tree(out);
    assert!(files.into_iter().all(|path| !path.is_empty() && !path.contains(&0)) && !tree.contains(&0));
    for line in String::from_utf8_lossy(out).lines() {
        graph::parse(line);
    }
}

fn records<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let (mut records, mut found) = (Records::default(), Vec::new());
    for piece in pieces {
        records.push(piece, &mut |record| found.push(record.to_owned()));
    }
    found
}

/// A path stands at a record's end, and is found there whatever it is.
fn each(record: &[u8]) {
    if let Some(status) = Status::of(record) {
        assert!(record.ends_with(status.path));
        let before: &[u8] = match status.kind {
            FileKind::Edited => b"1 .M N... 1 2 3 4 5 ",
            FileKind::Changed => b"1 M. N... 1 2 3 4 5 ",
            FileKind::Unmerged => b"u UU N... 1 2 3 4 5 6 7 ",
            FileKind::Untracked => b"? ",
            FileKind::Ignored => b"! ",
        };
        assert_eq!(Status::of(&[before, status.path].concat()), Some(status), "written and read again");
    }
    if let Some(staged) = Staged::of(record) {
        assert!(record.ends_with(staged.path));
        let text = [format!("{} {} 0\t", staged.mode, staged.object).as_bytes(), staged.path].concat();
        assert_eq!(Staged::of(&text), Some(staged), "written and read again");
    }
    if let Some(entry) = TreeEntry::of(record) {
        let text = [format!("{} blob {}\t", entry.mode, entry.object).as_bytes(), entry.path].concat();
        assert_eq!(TreeEntry::of(&text), Some(entry), "written and read again");
    }
    if let Some(file) = Tagged::of(record) {
        assert_eq!(
            Tagged::of(&[&[file.tag, b' '], file.path].concat()),
            Some(file),
            "written and read again"
        );
    }
    if let Some(stat) = NumStat::of(record) {
        let text = [format!("{}\t{}\t", stat.insertions, stat.deletions).as_bytes(), stat.path].concat();
        assert_eq!(NumStat::of(&text), Some(stat), "written and read again");
    }
}

/// Files of a git directory: HEAD and other pointers, reflogs, attributes, the reason of a lock.
pub(crate) fn kept(data: &[u8]) {
    let (length, line) = without_line_end(data);
    assert!(length == data.len() && data.starts_with(line.as_bytes()));
    match parse_head(&line) {
        Head::Branch(name) => {
            assert_eq!(parse_head(OsStr::new(&format!("ref: refs/heads/{name}"))), Head::Branch(name));
        }
        Head::Detached(commit) => {
            assert_eq!(parse_head(OsStr::new(commit.as_str())), Head::Detached(commit.clone()));
        }
        _ => {}
    }
    let mut names = BTreeSet::new();
    collect_names(data, &mut names);
    assert!(
        names.iter().all(|name| name.len() == 40 && name.parse::<super::CommitId>().is_ok()),
        "{names:?}"
    );
    let mut asked = Asked::default();
    asked.note(data, ".gitattributes");
    let plain = without_dots(&Path::new("/").join(OsStr::from_bytes(data)));
    assert!(
        plain.components().all(|part| !matches!(part, Component::ParentDir | Component::CurDir)),
        "{plain:?}"
    );
    let reason = String::from_utf8_lossy(data).into_owned();
    let holder = Hold { admin_dir: PathBuf::new(), reason: reason.clone() }.holder();
    let said = match &holder {
        Holder::Session(session) => session.to_string(),
        Holder::Creation(lane) => lane.ticket().to_string(),
        Holder::Unknown => String::new(),
    };
    assert!(matches!(holder, Holder::Creation(_)) || reason.ends_with(&said), "{holder:?}");
}
