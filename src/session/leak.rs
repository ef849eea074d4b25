//! What changed outside a session's worktree while its agent ran. A note and no verdict, since people work there too:
//! it is taken after the session's end is on record, and changes nothing of its outcome. Pure.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::BranchName;

/// Something outside the worktree that changed while the agent ran: by the agent, or by someone else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Leak {
    /// What kind of thing it is.
    pub kind: LeakKind,
    /// What changed, and how.
    pub what: String,
    /// What a newer version wrote beside the above; kept.
    #[serde(flatten)]
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub extra: Map<String, Value>,
}

/// What changed outside a worktree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum LeakKind {
    /// git's settings, attributes or replacements, which the whole repository shares.
    Config,
    /// Its hooks.
    Hook,
    /// A branch that is not the session's own, nor that of a session that ran meanwhile.
    Branch,
    /// The main checkout: what it has checked out, or its files.
    MainCheckout,
    /// The worktree of a lane that no session was at.
    Worktree,
    /// A kind of a newer version.
    #[serde(untagged)]
    Unknown(String),
}

/// The repository around a session's worktree, as it was when its agent was launched.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Around {
    /// Hashes of git's settings, hooks and attributes; none where those that a merge compares are as new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<BTreeMap<String, String>>,
    /// Hashes of all other settings; none where an older ralph launched the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<BTreeMap<String, String>>,
    /// How many sessions ran.
    #[serde(default)]
    pub running: usize,
    /// What the main checkout has checked out, in words; none where there is no main checkout.
    pub head: Option<String>,
    /// The local branches and the beginnings of their commits' names; none where there are too many.
    pub branches: Option<BTreeMap<String, String>>,
    /// The branches that merges were moving, with the worktrees that have them checked out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub landing: Vec<BranchName>,
}

/// As many leaks of one kind are told one by one, and as many characters of each: names may be of any length, and a
/// record is not.
const MOST_OF_A_KIND: usize = 20;
const MOST_CHARS: usize = 200;

impl Leak {
    /// A leak.
    pub fn new(kind: LeakKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into(), extra: Map::new() }
    }

    /// The leak in words, with where it is where those do not say so.
    pub fn in_words(&self) -> String {
        let what = &self.what;
        match &self.kind {
            LeakKind::Branch => format!("branch {what}"),
            LeakKind::MainCheckout => format!("in the main checkout, {what}"),
            LeakKind::Worktree => format!("in the worktree of {what}"),
            LeakKind::Config | LeakKind::Hook | LeakKind::Unknown(_) => what.clone(),
        }
    }
}

/// Leaks of one kind, of which there may be many: the first of them, and how many more there are.
pub fn told(kind: &LeakKind, what: Vec<String>) -> Vec<Leak> {
    let more = what.len().saturating_sub(MOST_OF_A_KIND);
    let more = (more > 0).then(|| format!("and {more} more"));
    let told = what.into_iter().take(MOST_OF_A_KIND).map(shortened).chain(more);
    told.map(|what| Leak::new(kind.clone(), what)).collect()
}

/// Its end says what happened, so its middle goes.
fn shortened(what: String) -> String {
    let count = what.chars().count();
    if count <= MOST_CHARS {
        return what;
    }
    let half = MOST_CHARS / 2;
    let end: String = what.chars().skip(count - half).collect();
    what.chars().take(half).chain(['…']).collect::<String>() + &end
}

/// A branch that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchChange<'a> {
    /// Its name.
    pub name: &'a str,
    /// What became of it.
    pub to: BranchNow<'a>,
}

/// What became of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchNow<'a> {
    /// It is new.
    Added,
    /// It is at another commit.
    Moved {
        /// How the name of the commit begins that it was at; nothing where that was not read.
        from: &'a str,
    },
    /// It is gone.
    Deleted,
}

impl BranchChange<'_> {
    /// The change in words.
    pub fn in_words(&self) -> String {
        let did = match self.to {
            BranchNow::Added => "was made",
            BranchNow::Moved { .. } => "was moved",
            BranchNow::Deleted => "was deleted",
        };
        format!("{} {did}", self.name)
    }
}

/// What differs between two looks at the branches.
pub fn branch_changes<'a>(
    before: &'a BTreeMap<String, String>,
    now: &'a BTreeMap<String, String>,
) -> Vec<BranchChange<'a>> {
    let names: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let change = |name: &'a String| {
        let to = match (before.get(name), now.get(name)) {
            (None, Some(_)) => BranchNow::Added,
            (Some(_), None) => BranchNow::Deleted,
            (Some(from), Some(now)) if from != now => BranchNow::Moved { from },
            _ => return None,
        };
        Some(BranchChange { name, to })
    };
    names.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branches(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, commit)| ((*name).to_owned(), (*commit).to_owned())).collect()
    }

    #[test]
    fn a_branch_is_made_moved_or_deleted() {
        let before = branches(&[("gone", "1"), ("main", "1"), ("same", "1")]);
        let now = branches(&[("main", "2"), ("new", "3"), ("same", "1")]);
        let words: Vec<String> = branch_changes(&before, &now).iter().map(BranchChange::in_words).collect();
        assert_eq!(words, ["gone was deleted", "main was moved", "new was made"]);
        assert_eq!(branch_changes(&now, &now), []);
    }

    #[test]
    fn of_many_the_first_are_told_and_how_many_more_there_are() {
        let many = |count: usize| (0..count).map(|n| format!("branch {n}")).collect::<Vec<_>>();
        assert_eq!(told(&LeakKind::Branch, many(20)).len(), 20);
        let told = told(&LeakKind::Branch, many(23));
        assert_eq!((told.len(), told[20].what.as_str()), (21, "and 3 more"));
        let long = super::told(&LeakKind::Config, vec![format!("{} was added", "é".repeat(1 << 20))]);
        assert_eq!(long[0].what.chars().count(), 201);
        assert!(long[0].what.ends_with("é was added"), "{}", long[0].what);
    }

    #[test]
    fn a_kind_that_is_not_known_is_kept() {
        let text = r#"{"kind":"moon","what":"it was full","since":1}"#;
        let leak: Leak = serde_json::from_str(text).unwrap();
        assert_eq!(leak.kind, LeakKind::Unknown("moon".to_owned()));
        assert_eq!(serde_json::to_string(&leak).unwrap(), text);
    }
}
