//! Merging without a checkout: results computed from commits alone, branches moved by compare-and-swap, and the
//! worktrees that have a moved branch checked out brought along.
//!
//! What a merge comes to is git's own answer, in every part: `git merge-tree`, `git rebase`, `git commit-tree`,
//! `git read-tree` and `git update-ref` do the work, with the user's settings, merge drivers and attributes. Without a
//! process is done what can have one answer only: merges of different files (`plain`), and commits that are not signed,
//! by whom the settings name (`identity`). Hooks do not run by themselves; see `hooks`.
//!
//! Limits: a submodule that both sides moved is a conflict, since only its own checkout could tell more. Unfinished
//! merges of other tools are none of ours.

mod attributes;
mod changed;
mod commit;
mod edit;
mod follow;
mod follower;
mod followers;
mod guard;
mod held_index;
mod hooks;
mod identity;
mod join;
mod land;
mod objects;
mod plain;
mod rebase;
mod signature;
mod touched;
mod tree;
mod tree_id;
mod workshop;

pub use changed::{Change, last_change, touched_files};
pub use commit::{NewCommit, Signing, commit_tree, refuse_without_identity, signing, squashed_commits};
pub use edit::{TrackedFile, edited_tree, is_tracked, tracked_file};
pub use follow::{Reconcile, Versions, Way, follow, resume, way};
pub use follower::{Follower, Kept};
pub use followers::{Blocked, WhyBlocked, are_all};
pub use guard::{Guard, Watched, guard, guard_changes, watched};
pub use held_index::{HeldIndex, let_go_of_index};
pub use hooks::{Draft, DraftKind, Hooked, has_hooks, reporting_hooks, run_hooks};
pub use join::{Joined, join};
pub use land::{Named, advance, contains, named, pin_merge, unpin_merge};
pub use rebase::{Rebased, rebase};
pub use signature::unverified;
pub use tree::{TreeMerge, merge_trees, tree_of};
pub use tree_id::TreeId;
pub use workshop::Workshop;
