//! A repository made from nothing, with one commit. For demonstrations and tries, so it stands on its own: nothing
//! that the user or the machine configured (templates, hooks, signing, line ends, ignored files, maintenance) has a
//! part in it.

use std::path::Path;

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

use super::{CommitId, GitError};

/// Who commits.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// A name.
    pub name: &'a str,
    /// A mail address.
    pub email: &'a str,
}

/// The first commit of a repository.
#[derive(Debug, Clone, Copy)]
pub struct FirstCommit<'a> {
    /// The branch that it begins.
    pub branch: &'a str,
    /// What it says.
    pub message: &'a str,
    /// Who makes it, and every later commit unless it says otherwise.
    pub author: Author<'a>,
}

/// Settings that keep what others configured out of the repository.
const ON_ITS_OWN: [(&str, &str); 8] = [
    ("core.hooksPath", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.autocrlf", "false"),
    ("core.fsmonitor", "false"),
    ("commit.gpgSign", "false"),
    ("tag.gpgSign", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
];

/// Makes a repository of the folder `path`, whose files become its first commit.
pub fn begin(path: &Path, first: &FirstCommit<'_>) -> Result<CommitId, GitError> {
    let failed = |operation| move |e| GitError::libgit2(operation, path.display(), e);
    let FirstCommit { branch, message, author } = *first;
    let mut options = RepositoryInitOptions::new();
    options.no_reinit(true).external_template(false).initial_head(branch);
    let repo = Repository::init_opts(path, &options).map_err(failed("make a repository of"))?;
    let mut settings = repo.config().map_err(failed("configure"))?;
    let identity = [("user.name", author.name), ("user.email", author.email)];
    for (key, value) in ON_ITS_OWN.into_iter().chain(identity) {
        settings.set_str(key, value).map_err(failed("configure"))?;
    }
    let tree = repo.index().and_then(|mut index| {
        index.add_all(["*"], IndexAddOption::FORCE, None)?;
        index.write()?;
        repo.find_tree(index.write_tree()?)
    });
    let tree = tree.map_err(failed("add the files of"))?;
    let signature = Signature::now(author.name, author.email).map_err(failed("commit in"))?;
    let commit = repo.commit(Some("HEAD"), &signature, &signature, message, &tree, &[]);
    commit.map(CommitId::from).map_err(failed("commit in"))
}
