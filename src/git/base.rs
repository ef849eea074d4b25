//! What a lane starts from: a branch, a tag or a commit, recorded as name and commit.

use super::repo::Repo;
use super::{CommitId, GitError, Head, registry};
use crate::id::RefName;

/// A base: what it is called, and the commit that this was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The branch or tag, or the commit's full name where neither was given.
    pub name: String,
    /// The commit.
    pub commit: CommitId,
    /// Set where the base is a local branch that lags behind the branch it follows.
    pub upstream_ahead: Option<UpstreamAhead>,
}

/// How far the branch that a base follows is ahead of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamAhead {
    /// Its short name, such as `origin/main`.
    pub upstream: String,
    /// The commits that the base lacks.
    pub by: usize,
}

const NEAREST: usize = 3;
/// Fewer hexadecimal digits are not taken for a commit.
const SHORTEST_COMMIT: usize = 4;

impl Repo {
    /// What is checked out where one stands.
    pub fn head_base(&self) -> Result<Base, GitError> {
        match registry::head_of(self.git_dir())? {
            Some(Head::Branch(name)) => match self.commit_of(&format!("refs/heads/{name}"))? {
                Some(commit) => self.branch_base(name, commit),
                None => Err(GitError::Unborn { path: self.common_dir().to_owned(), branch: name }),
            },
            Some(Head::Detached(commit)) => Ok(Base::plain(commit.to_string(), commit)),
            Some(Head::Unclear) | None => match self.commit_of("HEAD")? {
                Some(commit) => Ok(Base::plain(commit.to_string(), commit)),
                None => {
                    Err(GitError::Unborn { path: self.common_dir().to_owned(), branch: "HEAD".to_owned() })
                }
            },
        }
    }

    /// The branch, tag or commit of this name, looked for in this order; never an expression.
    pub fn resolve_base(&self, name: &RefName) -> Result<Base, GitError> {
        let name = name.as_str();
        if name == "HEAD" {
            return self.head_base();
        }
        if name.starts_with("refs/") {
            return match self.commit_of(name)? {
                Some(commit) => match name.strip_prefix("refs/heads/") {
                    Some(branch) => self.branch_base(branch.to_owned(), commit),
                    None => Ok(Base::plain(name.to_owned(), commit)),
                },
                None => self.no_such_base(name),
            };
        }
        if let Some(commit) = self.commit_of(&format!("refs/heads/{name}"))? {
            return self.branch_base(name.to_owned(), commit);
        }
        for place in ["refs/tags/", "refs/remotes/"] {
            if let Some(commit) = self.commit_of(&format!("{place}{name}"))? {
                return Ok(Base::plain(name.to_owned(), commit));
            }
        }
        let hex = name.bytes().all(|b| b.is_ascii_hexdigit());
        if hex
            && (SHORTEST_COMMIT..=40).contains(&name.len())
            && let Some(commit) = self.commit_by_prefix(&name.to_ascii_lowercase())?
        {
            return Ok(Base::plain(commit.to_string(), commit));
        }
        self.no_such_base(name)
    }

    fn branch_base(&self, name: String, commit: CommitId) -> Result<Base, GitError> {
        let mut base = Base::plain(name, commit);
        if let Some(full) = self.upstream_of(&base.name)?
            && let Some(theirs) = self.commit_of(&full)?
            && theirs != base.commit
        {
            let by = self.distance(&base.commit, &theirs)?.behind;
            let short =
                full.strip_prefix("refs/remotes/").or(full.strip_prefix("refs/heads/")).unwrap_or(&full);
            base.upstream_ahead = (by > 0).then(|| UpstreamAhead { upstream: short.to_owned(), by });
        }
        Ok(base)
    }

    fn no_such_base(&self, name: &str) -> Result<Base, GitError> {
        let remote = self.refs_below("refs/remotes/")?;
        let remote = remote.iter().filter_map(|full| full.strip_prefix("refs/remotes/")).map(str::to_owned);
        let mut close: Vec<(f64, String)> = self
            .local_branches()?
            .into_iter()
            .chain(remote)
            .map(|branch| (strsim::jaro_winkler(name, &branch), branch))
            .filter(|(likeness, _)| *likeness > 0.7)
            .collect();
        close.sort_by(|a, b| b.0.total_cmp(&a.0));
        let nearest = close.into_iter().take(NEAREST).map(|(_, branch)| branch).collect();
        Err(GitError::NoSuchBase { name: name.to_owned(), nearest })
    }
}

impl Base {
    fn plain(name: String, commit: CommitId) -> Self {
        Self { name, commit, upstream_ahead: None }
    }
}
