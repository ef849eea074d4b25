//! Whether a lane may be removed, and what becomes of its branch. Pure.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::git::{BranchFate, BranchStanding, Unsaved};
use crate::id::{BranchName, SessionId};
use crate::process::inside::Occupant;

/// What to do about work that is nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfUnsaved {
    /// Refuse, and say what there is.
    Refuse,
    /// Let it go to the trash too.
    ToTrash,
}

/// What was found about a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its current session.
    pub session: SessionFact,
    /// Why the user locked its worktree, where they did.
    pub users_lock: Option<String>,
    /// Processes that work in its worktree.
    pub occupants: Vec<Occupant>,
    /// What is nowhere else.
    pub unsaved: Unsaved,
    /// Its branch.
    pub branch: BranchFacts,
}

/// What was found about a lane's current session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionFact {
    /// There is none, or nothing of it is left.
    None,
    /// It has ended.
    Ended,
    /// It lives.
    Running(SessionId),
    /// It has no supervisor, and its end is not on record.
    Unsettled(SessionId),
    /// It cannot be told whether it has ended.
    Unclear(SessionId, String),
}

/// What was found about a lane's branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchFacts {
    /// Its name.
    pub name: BranchName,
    /// How it stands to the others.
    pub standing: BranchStanding,
    /// Who chose its name.
    pub named: Named,
}

/// Who chose the name of a lane's branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// ralph did: it is the lane's own.
    ByRalph,
    /// The user did: it may have been there before, and mean something.
    ByUser,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// It may go, and this becomes of its branch.
    Allowed(BranchPlan),
    /// It stays, for all of these reasons.
    Refused(Vec<Reason>),
}

/// What becomes of the branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "fate")]
pub enum BranchPlan {
    /// There is none.
    Gone,
    /// It is deleted: all of its commits are in another one.
    Deleted {
        /// In which.
        contained_in: String,
    },
    /// It stays.
    Kept {
        /// Why.
        why: WhyKept,
    },
}

/// Why a branch stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyKept {
    /// No other branch has its commits.
    OwnCommits,
    /// It is in use here.
    InUse(PathBuf),
    /// Its name was not ralph's choice.
    UsersBranch,
    /// It moved while it was looked at.
    Moved,
}

/// Why a lane stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its session lives.
    Running(SessionId),
    /// Its session's end is not on record.
    Unsettled(SessionId),
    /// It cannot be told whether its session has ended, and why not.
    Unclear(SessionId, String),
    /// The user locked the worktree, and said why.
    Locked(String),
    /// Processes work in the worktree.
    Occupied(Vec<Occupant>),
    /// Something is nowhere else.
    Unsaved(Unsaved),
}

/// Decides.
pub fn decide(facts: &Facts, unsaved: IfUnsaved) -> Removal {
    let mut reasons = Vec::new();
    match &facts.session {
        SessionFact::None | SessionFact::Ended => {}
        SessionFact::Running(id) => reasons.push(Reason::Running(*id)),
        SessionFact::Unsettled(id) => reasons.push(Reason::Unsettled(*id)),
        SessionFact::Unclear(id, why) => reasons.push(Reason::Unclear(*id, why.clone())),
    }
    let runs = matches!(facts.session, SessionFact::Running(_));
    reasons.extend(facts.users_lock.clone().map(Reason::Locked));
    // Of a session that lives, the processes are no news.
    if !facts.occupants.is_empty() && !runs {
        reasons.push(Reason::Occupied(facts.occupants.clone()));
    }
    if unsaved == IfUnsaved::Refuse && !facts.unsaved.is_empty() {
        reasons.push(Reason::Unsaved(facts.unsaved.clone()));
    }
    if reasons.is_empty() { Removal::Allowed(branch_plan(&facts.branch)) } else { Removal::Refused(reasons) }
}

fn branch_plan(branch: &BranchFacts) -> BranchPlan {
    let kept = |why| BranchPlan::Kept { why };
    match (&branch.standing, branch.named) {
        (BranchStanding::Gone, _) => BranchPlan::Gone,
        (BranchStanding::InUse { path, .. }, _) => kept(WhyKept::InUse(path.clone())),
        (BranchStanding::Own { .. }, _) => kept(WhyKept::OwnCommits),
        (BranchStanding::Contained { .. }, Named::ByUser) => kept(WhyKept::UsersBranch),
        (BranchStanding::Contained { by, .. }, Named::ByRalph) => {
            BranchPlan::Deleted { contained_in: by.clone() }
        }
    }
}

impl BranchPlan {
    pub(super) fn fate(&self) -> BranchFate {
        match self {
            Self::Deleted { .. } => BranchFate::Delete,
            Self::Gone | Self::Kept { .. } => BranchFate::Keep,
        }
    }
}

/// One line, without control characters.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(id) => write!(f, "session {id} is running"),
            Self::Unsettled(id) => {
                write!(f, "session {id} has no supervisor and its end is not on record")
            }
            Self::Unclear(id, why) => {
                write!(f, "whether session {id} has ended cannot be told: {}", why.escape_debug())
            }
            Self::Locked(why) => write!(f, "its worktree is locked by you ({why:?})"),
            Self::Occupied(occupants) => {
                let shown: Vec<String> =
                    occupants.iter().take(5).map(|o| format!("{} ({})", o.name, o.pid)).collect();
                let more = if occupants.len() > shown.len() { ", …" } else { "" };
                write!(f, "in use by {}{more}", shown.join(", "))
            }
            Self::Unsaved(unsaved) => {
                let items: Vec<String> = unsaved.items.iter().map(ToString::to_string).collect();
                write!(f, "it holds {}", items.join("; "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::{CommitId, Several, UnsavedItem};

    fn id() -> SessionId {
        "0193f8a0-0000-7000-8000-000000000000".parse().unwrap()
    }

    fn tip() -> CommitId {
        "a".repeat(40).parse().unwrap()
    }

    fn facts() -> Facts {
        let standing = BranchStanding::Contained { tip: tip(), by: "main".into() };
        Facts {
            session: SessionFact::Ended,
            users_lock: None,
            occupants: Vec::new(),
            unsaved: Unsaved::default(),
            branch: BranchFacts { name: "ralph/T-1".parse().unwrap(), standing, named: Named::ByRalph },
        }
    }

    fn work() -> Unsaved {
        Unsaved { items: vec![UnsavedItem::Untracked(Several { count: 1, first: vec!["a\u{1b}b".into()] })] }
    }

    fn reasons(facts: &Facts, unsaved: IfUnsaved) -> Vec<Reason> {
        match decide(facts, unsaved) {
            Removal::Refused(reasons) => reasons,
            Removal::Allowed(plan) => panic!("allowed: {plan:?}"),
        }
    }

    #[test]
    fn what_is_in_use_or_not_settled_stays_whatever_was_asked_for() {
        let occupant = Occupant { pid: 7, name: "vi".into() };
        let cases = [
            (Facts { session: SessionFact::Running(id()), ..facts() }, Reason::Running(id())),
            (Facts { session: SessionFact::Unsettled(id()), ..facts() }, Reason::Unsettled(id())),
            (
                Facts { session: SessionFact::Unclear(id(), "x".into()), ..facts() },
                Reason::Unclear(id(), "x".into()),
            ),
            (Facts { users_lock: Some("mine".into()), ..facts() }, Reason::Locked("mine".into())),
            (Facts { occupants: vec![occupant.clone()], ..facts() }, Reason::Occupied(vec![occupant])),
        ];
        for (facts, reason) in cases {
            for unsaved in [IfUnsaved::Refuse, IfUnsaved::ToTrash] {
                assert_eq!(reasons(&facts, unsaved), std::slice::from_ref(&reason));
            }
        }
    }

    #[test]
    fn unsaved_work_goes_only_where_that_was_asked_for() {
        let facts = Facts { unsaved: work(), ..facts() };
        assert_eq!(reasons(&facts, IfUnsaved::Refuse), [Reason::Unsaved(work())]);
        assert!(matches!(decide(&facts, IfUnsaved::ToTrash), Removal::Allowed(_)));
    }

    #[test]
    fn all_reasons_are_said_at_once_and_without_control_characters() {
        let facts = Facts {
            session: SessionFact::Unsettled(id()),
            users_lock: Some("a\u{1b}b".into()),
            unsaved: work(),
            ..facts()
        };
        let reasons = reasons(&facts, IfUnsaved::Refuse);
        assert_eq!(reasons.len(), 3);
        let said: String = reasons.iter().map(ToString::to_string).collect();
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }

    #[test]
    fn the_processes_of_a_running_session_are_not_told_apart_from_it() {
        let occupants = vec![Occupant { pid: 7, name: "pi".into() }];
        let facts = Facts { session: SessionFact::Running(id()), occupants, ..facts() };
        assert_eq!(reasons(&facts, IfUnsaved::Refuse), [Reason::Running(id())]);
    }

    #[test]
    fn only_ralphs_own_branch_goes_and_only_if_another_one_has_its_commits() {
        let contained = || BranchStanding::Contained { tip: tip(), by: "main".into() };
        let in_use = BranchStanding::InUse { tip: tip(), how: "checked out", path: "/w".into() };
        let deleted = BranchPlan::Deleted { contained_in: "main".into() };
        let kept = |why| BranchPlan::Kept { why };
        let cases = [
            (contained(), Named::ByRalph, deleted),
            (contained(), Named::ByUser, kept(WhyKept::UsersBranch)),
            (BranchStanding::Own { tip: tip() }, Named::ByRalph, kept(WhyKept::OwnCommits)),
            (in_use, Named::ByRalph, kept(WhyKept::InUse("/w".into()))),
            (BranchStanding::Gone, Named::ByRalph, BranchPlan::Gone),
        ];
        for (standing, named, expected) in cases {
            let branch = BranchFacts { standing, named, ..facts().branch };
            let facts = Facts { branch, ..facts() };
            assert_eq!(decide(&facts, IfUnsaved::Refuse), Removal::Allowed(expected));
        }
    }
}
