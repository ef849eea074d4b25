//! Whether a commit may be merged where the user merges signed commits only.

use crate::git::{CommitId, GitError, Repo};

/// Why `git merge` would refuse the commit for its signature; `None`: it would not, or signatures are not asked for
/// (`merge.verifySignatures`).
pub fn unverified(repo: &Repo, commit: &CommitId) -> Result<Option<&'static str>, GitError> {
    let settings = repo.settings()?;
    if !settings.flag("merge.verifySignatures") {
        return Ok(None);
    }
    let call = repo.read().setting("log.showSignature", "false").args([
        "log",
        "-1",
        "--no-color",
        "--format=%G?",
        commit.as_str(),
    ]);
    let out = call.succeed()?;
    Ok(match (out.trim_ascii(), settings.text("gpg.minTrustLevel")) {
        (b"G", None) => None,
        // git's own answer takes the level into account.
        (b"G" | b"U", Some(_)) => match repo.read().args(["verify-commit", commit.as_str()]).succeed() {
            Ok(_) => None,
            Err(GitError::ProgramFailed { .. }) => Some("has a signature of too little trust"),
            Err(error) => return Err(error),
        },
        (b"U", None) => Some("has an untrusted signature"),
        (b"B", _) => Some("has a bad signature"),
        (b"N", _) => Some("has no signature"),
        _ => Some("has a signature that could not be verified"),
    })
}
