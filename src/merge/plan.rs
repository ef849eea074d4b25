//! Whether a lane may be merged, and into what. Pure.

use crate::git::{CommitId, Head, Named, Operation};
use crate::id::{BranchName, Lane, SessionId};

use super::error::{MergeError, WhyNoTarget};

/// What was found about a lane and its target.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) lane: Lane,
    pub(super) branch: BranchName,
    /// The commit of its branch.
    pub(super) tip: Option<CommitId>,
    pub(super) session: SessionFact,
    /// What is found in its worktree, where there is one.
    pub(super) tree: Option<TreeFacts>,
    /// The target's name, as it was given or recorded.
    pub(super) target_name: String,
    pub(super) target: Named,
    /// Whether the target has all of the lane's work already.
    pub(super) contained: bool,
}

/// What was found about a lane's current session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SessionFact {
    /// There is none, or it has ended.
    Over,
    /// It lives.
    Running(SessionId),
    /// Its end is not on record, and what is known of it.
    Unsettled(SessionId, String),
}

/// What was found in a lane's worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TreeFacts {
    pub(super) head: Head,
    pub(super) operation: Option<Operation>,
    pub(super) uncommitted: usize,
    pub(super) untracked: usize,
}

/// A merge that may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) lane: Lane,
    pub(super) branch: BranchName,
    pub(super) tip: CommitId,
    pub(super) target: BranchName,
    /// The target's commit when it was looked at.
    pub(super) before: CommitId,
    /// What there is to say.
    pub(super) notes: Vec<String>,
}

/// Decides.
pub(super) fn decide(facts: Facts) -> Result<Plan, MergeError> {
    let Facts { lane, branch, tip, session, tree, target_name, target, contained } = facts;
    match session {
        SessionFact::Over => {}
        SessionFact::Running(session) => return Err(MergeError::Busy { lane, session }),
        SessionFact::Unsettled(session, why) => return Err(MergeError::Unsettled { lane, session, why }),
    }
    let no_target = |why| Err(MergeError::NoTarget { lane: lane.clone(), name: target_name.clone(), why });
    let (target, before) = match target {
        Named::Branch(target, _) if target == branch => return no_target(WhyNoTarget::Itself),
        Named::Branch(target, commit) => (target, commit),
        Named::RemoteBranch => return no_target(WhyNoTarget::Remote),
        Named::Fixed => return no_target(WhyNoTarget::Fixed),
        Named::Nothing => return no_target(WhyNoTarget::Gone),
    };
    let Some(tip) = tip else { return Err(MergeError::NoBranch { lane, branch }) };
    if let Some(operation) = tree.as_ref().and_then(|tree| tree.operation) {
        return Err(MergeError::Unfinished { lane, operation });
    }
    let notes = tree.map(|tree| notes(&lane, &branch, &tree)).unwrap_or_default();
    if contained {
        return Err(MergeError::NothingToMerge { lane, branch, target, left: notes });
    }
    Ok(Plan { lane, branch, tip, target, before, notes })
}

fn notes(lane: &Lane, branch: &BranchName, tree: &TreeFacts) -> Vec<String> {
    let mut notes = Vec::new();
    let elsewhere = match &tree.head {
        Head::Branch(name) if name == branch.as_str() => None,
        Head::Branch(name) => Some(format!("the branch {name}")),
        Head::Detached(commit) => Some(format!("the commit {}", commit.short())),
        Head::Unclear => None,
    };
    if let Some(what) = elsewhere {
        notes.push(format!("{what} is checked out in the worktree of {lane}; {branch} is what is merged"));
    }
    let files = |count: usize, what: &str| match count {
        0 => None,
        1 => Some(format!("1 {what} file")),
        n => Some(format!("{n} {what} files")),
    };
    let left: Vec<String> =
        [files(tree.uncommitted, "changed"), files(tree.untracked, "new")].into_iter().flatten().collect();
    if !left.is_empty() {
        notes.push(format!("{} in the worktree of {lane} not committed, and not merged", left.join(" and ")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(digit: char) -> CommitId {
        digit.to_string().repeat(40).parse().unwrap()
    }

    fn facts() -> Facts {
        Facts {
            lane: "T-1".parse().unwrap(),
            branch: "ralph/T-1".parse().unwrap(),
            tip: Some(commit('a')),
            session: SessionFact::Over,
            tree: Some(tree()),
            target_name: "main".into(),
            target: Named::Branch("main".parse().unwrap(), commit('b')),
            contained: false,
        }
    }

    fn tree() -> TreeFacts {
        TreeFacts { head: Head::Branch("ralph/T-1".into()), operation: None, uncommitted: 0, untracked: 0 }
    }

    #[test]
    fn what_is_committed_goes_into_the_branch_that_was_named() {
        let plan = decide(facts()).unwrap();
        assert_eq!((plan.target.as_str(), &plan.before, &plan.tip), ("main", &commit('b'), &commit('a')));
        assert_eq!(plan.notes, Vec::<String>::new());
        assert!(decide(Facts { tree: None, ..facts() }).is_ok(), "the worktree is gone, the branch is not");
    }

    #[test]
    fn what_is_not_committed_is_said_and_stays() {
        let dirty = TreeFacts { uncommitted: 2, untracked: 1, head: Head::Detached(commit('c')), ..tree() };
        let plan = decide(Facts { tree: Some(dirty), ..facts() }).unwrap();
        assert_eq!(
            plan.notes,
            [
                "the commit cccccccccc is checked out in the worktree of T-1; ralph/T-1 is what is merged",
                "2 changed files and 1 new file in the worktree of T-1 not committed, and not merged",
            ]
        );
    }

    #[test]
    fn every_reason_against_it_is_told_apart() {
        let session: SessionId = "0193a1b2-0000-7000-8000-000000000000".parse().unwrap();
        let own = Named::Branch("ralph/T-1".parse().unwrap(), commit('a'));
        let open = TreeFacts { operation: Some(Operation::Rebase), ..tree() };
        let refused = |facts| decide(facts).unwrap_err();
        let why = |target| match refused(Facts { target, ..facts() }) {
            MergeError::NoTarget { why, .. } => why,
            other => panic!("{other:?}"),
        };
        assert!(matches!(
            refused(Facts { session: SessionFact::Running(session), ..facts() }),
            MergeError::Busy { .. }
        ));
        assert!(matches!(
            refused(Facts { session: SessionFact::Unsettled(session, "x".into()), ..facts() }),
            MergeError::Unsettled { .. }
        ));
        assert!(matches!(refused(Facts { tip: None, ..facts() }), MergeError::NoBranch { .. }));
        assert!(matches!(refused(Facts { tree: Some(open), ..facts() }), MergeError::Unfinished { .. }));
        assert!(matches!(refused(Facts { contained: true, ..facts() }), MergeError::NothingToMerge { .. }));
        assert_eq!(why(own), WhyNoTarget::Itself);
        assert_eq!(why(Named::RemoteBranch), WhyNoTarget::Remote);
        assert_eq!(why(Named::Fixed), WhyNoTarget::Fixed);
        assert_eq!(why(Named::Nothing), WhyNoTarget::Gone);
    }
}
