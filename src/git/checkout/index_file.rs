//! The index of a new worktree, in the second version of git's format, which every git reads.
//!
//! Each entry holds the file facts of what was just written, and the tree of each folder stands in the cache, so that
//! the first `git status` reads neither a file nor a tree.

use rustix::fs::Stat;
use sha1::{Digest, Sha1};

use crate::git::listing::{Folder, Kind, Listing};

/// The file facts that an index keeps. Numbers are cut to 32 bits, as git cuts them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts([u32; 10]);

impl Facts {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "git keeps the low 32 bits")]
    pub(super) fn of(stat: &Stat, kind: Kind) -> Self {
        Self([
            stat.st_ctime as u32,
            stat.st_ctime_nsec as u32,
            stat.st_mtime as u32,
            stat.st_mtime_nsec as u32,
            stat.st_dev as u32,
            stat.st_ino as u32,
            mode(kind),
            stat.st_uid,
            stat.st_gid,
            stat.st_size as u32,
        ])
    }

    /// Of a file that is still to be written: they fit none, so that git takes it for one that is not as it should be.
    pub(super) fn of_none(kind: Kind) -> Self {
        Self([0, 0, 0, 0, 0, 0, mode(kind), 0, 0, 0])
    }
}

fn mode(kind: Kind) -> u32 {
    match kind {
        Kind::File => 0o100_644,
        Kind::Program => 0o100_755,
        Kind::Link => 0o120_000,
        Kind::Submodule => 0o160_000,
    }
}

/// The bytes of the index whose entries have these file facts, in the order of the listing's items.
pub(super) fn bytes(listing: &Listing, facts: &[Facts]) -> Vec<u8> {
    let mut out = Vec::with_capacity(facts.len() * 128);
    out.extend_from_slice(b"DIRC");
    out.extend_from_slice(&2_u32.to_be_bytes());
    out.extend_from_slice(&number(listing.items.len()));
    for (item, facts) in listing.items.iter().zip(facts) {
        let start = out.len();
        out.extend(facts.0.iter().flat_map(|fact| fact.to_be_bytes()));
        out.extend_from_slice(item.id.as_bytes());
        let path = listing.path(item);
        // A longer path says only that it is longer.
        let length = u16::try_from(path.len()).unwrap_or(u16::MAX).min(0xfff);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(path);
        // One zero at least, and as many as make the length a multiple of eight.
        let padded = (out.len() - start + 8) & !7;
        out.resize(start + padded, 0);
    }
    let cache = tree_cache(listing);
    out.extend_from_slice(b"TREE");
    out.extend_from_slice(&number(cache.len()));
    out.extend_from_slice(&cache);
    let sum = Sha1::digest(&out);
    out.extend_from_slice(&sum);
    out
}

/// Every folder with its tree: name, entries below, folders in it; those in git's own order, shorter names first.
fn tree_cache(listing: &Listing) -> Vec<u8> {
    let mut inside: Vec<Vec<&Folder>> = vec![Vec::new(); listing.folders.len()];
    for folder in listing.folders.iter().skip(1) {
        inside[folder.parent].push(folder);
    }
    for folders in &mut inside {
        folders.sort_by_key(|folder| (listing.folder_name(folder).len(), listing.folder_name(folder)));
    }
    let mut out = Vec::new();
    let mut left = listing.folders.first().into_iter().collect::<Vec<_>>();
    while let Some(folder) = left.pop() {
        let below = &inside[folder.place];
        out.extend_from_slice(listing.folder_name(folder));
        out.extend_from_slice(format!("\0{} {}\n", folder.items.len(), below.len()).as_bytes());
        out.extend_from_slice(folder.id.as_bytes());
        left.extend(below.iter().rev());
    }
    out
}

/// A listing has fewer entries than that; see its limits.
fn number(count: usize) -> [u8; 4] {
    u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes()
}
