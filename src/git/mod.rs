//! Everything that ralph does with git: the repository where one stands, the worktree manager, the evidence that a
//! worktree holds.
//!
//! Two engines stand behind one face. libgit2 reads and writes references, and it never runs a program that a
//! repository configured. What neither it nor ralph can do right (filters, sparse checkouts, odd names, see [`Engine`]) and
//! what git itself does best (looking at a worktree) goes through the `git` program, with hooks off, the
//! environment cleaned and every answer bounded. No other room knows either of them.
//!
//! Not handled, and refused when a repository is opened: sha256 and reftable repositories.

mod around;
mod attributes;
mod base;
mod begin;
mod branches;
mod checkout;
mod clean;
mod collector;
mod comeback;
mod commit;
mod config;
mod conversions;
mod create;
mod during;
mod edit;
mod elsewhere;
mod engine;
mod error;
mod forget;
mod forward;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod graph;
mod hint;
mod history;
mod hold;
mod keep;
mod listen;
mod listing;
mod merge;
mod parcel;
mod past;
mod pipes;
mod printed;
mod products;
mod program;
mod reach;
mod reflock;
mod refs;
mod registry;
mod relative;
mod repo;
mod standing;
mod system;
mod transition;
mod trash;
mod tree;
mod unsaved;
mod why;
mod work;
mod worktree;

#[cfg(test)]
pub(crate) mod tests;

pub use around::{Checkout, Written, Wrote};
pub use base::{Base, UpstreamAhead};
pub use begin::{Author, FirstCommit, begin};
pub use branches::{BY_RALPH, Branches, branches, branches_since, lane_of_branch, moved_by_ralph};
pub use checkout::{CheckoutProgress, CheckoutStage, Finished, finish, write_files};
pub use collector::{CollectorOff, keep_collector_off};
pub use comeback::{Back, BranchBack, Comeback, HeadBack, bring_back, comeback};
pub use commit::CommitId;
pub use create::{Created, Origin, create, undo};
pub use during::{Instant, Span};
pub use edit::Edit;
pub use engine::Engine;
pub use error::{ErrorClass, GitError, Unsupported};
pub use forget::{Forgotten, forget_missing};
pub use forward::{Forward, Forwarded, Interrupted, Landing, Outlook, complete_files, outlook, standing};
pub use graph::{Drawn, GraphLine};
pub use hold::{
    Hold, Holder, LockOutcome, held_by_creation, held_by_session, holds, lock, unlock_for, unlock_if,
};
pub use keep::{let_go, let_go_of_registration, let_go_of_session};
pub use merge::{
    Blocked, Change, Draft, DraftKind, Follower, Guard, HeldIndex, Hooked, Joined, Kept, Named, NewCommit,
    Rebased, Reconcile, Signing, TrackedFile, TreeId, TreeMerge, Versions, Watched, Way, WhyBlocked,
    Workshop, advance, are_all, commit_tree, contains, edited_tree, follow, guard, guard_changes, has_hooks,
    is_tracked, join, last_change, let_go_of_index, merge_trees, named, pin_merge, rebase,
    refuse_without_identity, reporting_hooks, resume, run_hooks, signing, squashed_commits, touched_files,
    tracked_file, tree_of, unpin_merge, unverified, watched, way,
};
pub use parcel::{BranchFate, Parcel, TrashId};
pub use past::{first_with, has_held};
pub use program::{GitProgram, LOCAL_ENV_VARS};
pub use registry::Head;
pub use repo::{Repo, RepoLock};
pub use standing::{BranchStanding, Folder, Standing, branch_standing, commits_beyond, registered, tip_of};
pub use trash::{BranchLeft, TRASH_FOLDER, has_left, held_of, pack, pin_parcel, take_away};
pub use unsaved::{Several, Subject, Unsaved, UnsavedItem, unsaved};
pub use why::WhyGitProgram;
pub use work::{Found, Glance, Look, Operation, Tree, glance, look, pin, unpin};
pub use worktree::{Files, Located, Missing, Registrations, Site, Worktree, is_untouched, locate, tree_now};
