//! The merge of two commits that neither deleted a file nor touched the same one, computed without a process.
//!
//! Such a merge has one answer, whatever the settings: nothing was renamed, since a rename begins with a file that
//! went away, and there is no file whose two versions a driver or an algorithm would have to bring together. Each
//! path is taken from the side that changed it. Everything else is `git merge-tree`'s to answer; so is whatever git
//! reads differently than libgit2 does: replaced objects, shallow histories, partial clones, odd trees.

use std::collections::BTreeMap;

use git2::{ErrorCode, Oid, Repository, Tree};

use super::objects::sync_objects;
use super::tree_id::TreeId;
use crate::git::repo::Backend;
use crate::git::{CommitId, GitError, Repo};

/// A tree that is deeper is no one's project.
const DEEPEST: usize = 256;
const FOLDER: i32 = 0o040_000;
const USUAL_MODES: [i32; 5] = [FOLDER, 0o100_644, 0o100_755, 0o120_000, 0o160_000];

/// An entry of a tree: its mode and what it names.
type Entry = (i32, Oid);

/// Why a merge is not one of these: git has to be asked, or libgit2 failed.
enum Other {
    AskGit,
    Failed(git2::Error),
}

impl From<git2::Error> for Other {
    fn from(error: git2::Error) -> Self {
        Self::Failed(error)
    }
}

/// The tree of the merge, durable; `None` where git has to be asked.
pub(super) fn merge_plainly(
    repo: &Repo,
    ours: &CommitId,
    theirs: &CommitId,
) -> Result<Option<TreeId>, GitError> {
    let Backend::Libgit2(libgit2) = repo.backend() else { return Ok(None) };
    if libgit2.is_shallow() || !repo.refs_below("refs/replace/")?.is_empty() {
        return Ok(None);
    }
    let mut merge = Merge { repo: libgit2, written: Vec::new() };
    match merge.commits(ours.oid()?, theirs.oid()?) {
        Ok(tree) => {
            sync_objects(repo, &merge.written)?;
            Ok(Some(TreeId::of(tree)))
        }
        Err(Other::AskGit) => Ok(None),
        Err(Other::Failed(error)) => {
            Err(GitError::libgit2("merge the commits", format!("{ours} and {theirs}"), error))
        }
    }
}

struct Merge<'r> {
    repo: &'r Repository,
    written: Vec<Oid>,
}

/// What the three trees have under one name: the base, ours, theirs.
type Sides = [Option<Entry>; 3];

impl Merge<'_> {
    fn commits(&mut self, ours: Oid, theirs: Oid) -> Result<Oid, Other> {
        let bases = match self.repo.merge_bases(ours, theirs) {
            Ok(bases) => bases,
            Err(error) if error.code() == ErrorCode::NotFound => return Err(Other::AskGit),
            Err(error) => return Err(error.into()),
        };
        let [base] = bases[..] else { return Err(Other::AskGit) };
        let mut trees = [None; 3];
        for (tree, commit) in trees.iter_mut().zip([base, ours, theirs]) {
            *tree = Some((FOLDER, self.repo.find_commit(commit)?.tree_id()));
        }
        self.entry(trees, 0).map(|(_, tree)| tree)
    }

    /// What the merge has where the sides have this.
    fn entry(&mut self, sides: Sides, depth: usize) -> Result<Entry, Other> {
        match sides {
            [base, Some(ours), Some(theirs)] if ours == theirs && base.is_none_or(|base| base == ours) => {
                Ok(ours)
            }
            [None, Some(added), None] | [None, None, Some(added)] => Ok(added),
            [Some((FOLDER, base)), Some((FOLDER, ours)), Some((FOLDER, theirs))] => {
                self.folder(Some(base), ours, theirs, depth)
            }
            [None, Some((FOLDER, ours)), Some((FOLDER, theirs))] => self.folder(None, ours, theirs, depth),
            [Some(base), Some(ours), Some(theirs)]
                if [base, ours, theirs].iter().all(|it| it.0 != FOLDER) =>
            {
                match (base == ours, base == theirs) {
                    (true, _) => Ok(theirs),
                    (_, true) => Ok(ours),
                    _ if ours == theirs => Ok(ours),
                    _ => Err(Other::AskGit),
                }
            }
            _ => Err(Other::AskGit),
        }
    }

    /// Goes through the whole of what either side changed: also where the other changed nothing, a file that went
    /// away may be one that was renamed.
    fn folder(&mut self, base: Option<Oid>, ours: Oid, theirs: Oid, depth: usize) -> Result<Entry, Other> {
        if depth > DEEPEST {
            return Err(Other::AskGit);
        }
        let ours_tree = self.repo.find_tree(ours)?;
        let mut names: BTreeMap<Vec<u8>, Sides> = BTreeMap::new();
        if let Some(base) = base {
            collect(&mut names, 0, &self.repo.find_tree(base)?)?;
        }
        collect(&mut names, 1, &ours_tree)?;
        collect(&mut names, 2, &self.repo.find_tree(theirs)?)?;
        let mut changed = Vec::new();
        for (name, sides) in names {
            let merged = self.entry(sides, depth + 1)?;
            if sides[1] != Some(merged) {
                changed.push((name, merged));
            }
        }
        if changed.is_empty() {
            return Ok((FOLDER, ours));
        }
        let mut builder = self.repo.treebuilder(Some(&ours_tree))?;
        for (name, (mode, id)) in changed {
            // A name that libgit2 would not write.
            builder.insert(name.as_slice(), id, mode).map_err(|_| Other::AskGit)?;
        }
        let merged = builder.write()?;
        if merged != theirs {
            self.written.push(merged);
        }
        Ok((FOLDER, merged))
    }
}

fn collect(names: &mut BTreeMap<Vec<u8>, Sides>, side: usize, tree: &Tree<'_>) -> Result<(), Other> {
    for entry in tree {
        let mode = entry.filemode_raw();
        let place = &mut names.entry(entry.name_bytes().to_owned()).or_default()[side];
        // A mode that git would write otherwise, or a name that is there twice.
        if !USUAL_MODES.contains(&mode) || place.is_some() {
            return Err(Other::AskGit);
        }
        *place = Some((mode, entry.id()));
    }
    Ok(())
}
