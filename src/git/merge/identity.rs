//! Who commits, where the settings alone say it, and in words that git would take as they are.

use git2::{Repository, Signature, Time};

use crate::git::program::Ident;
use crate::git::repo::Backend;
use crate::git::{GitError, Repo};

/// What git strips from the ends of a name.
const STRIPPED: [char; 8] = ['.', ',', ':', ';', '"', '\\', '\'', ' '];

/// The author and committer of commits that ralph makes without a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    name: String,
    email: String,
}

/// The user by the settings, and the repository to commit to. `None` where git has to be asked: the environment has a
/// say, author and committer differ, messages have another encoding, nothing is said, or not plainly.
pub(super) fn identity(repo: &Repo) -> Result<Option<(Identity, &Repository)>, GitError> {
    let Backend::Libgit2(libgit2) = repo.backend() else { return Ok(None) };
    if repo.program().ident() == Ident::Environment {
        return Ok(None);
    }
    let settings = repo.settings()?;
    let others = ["author.name", "author.email", "committer.name", "committer.email", "i18n.commitEncoding"];
    if others.iter().any(|key| settings.text(key).is_some()) {
        return Ok(None);
    }
    let plain = |key| settings.text(key).filter(|text| is_plain(text));
    Ok(match (plain("user.name"), plain("user.email")) {
        (Some(name), Some(email)) => Some((Identity { name, email }, libgit2)),
        _ => None,
    })
}

impl Identity {
    /// The signature of a commit that is made at `time`, now without one.
    pub(super) fn signature(&self, time: Option<Time>) -> Result<Signature<'static>, GitError> {
        let made = match time {
            Some(time) => Signature::new(&self.name, &self.email, &time),
            None => Signature::now(&self.name, &self.email),
        };
        made.map_err(|e| GitError::libgit2("commit as", &self.name, e))
    }
}

/// Whether git would write the text as it is.
fn is_plain(text: &str) -> bool {
    let trimmed = text.trim_matches(|c: char| STRIPPED.contains(&c));
    !text.is_empty() && trimmed == text && !text.contains(|c: char| c.is_control() || matches!(c, '<' | '>'))
}
