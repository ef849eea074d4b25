//! The history of all branches, drawn by git itself.

use super::repo::Repo;
use super::{CommitId, GitError};

/// One line of the drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphLine {
    /// The strokes that lead from commit to commit.
    pub strokes: String,
    /// The commit on this line, if there is one.
    pub commit: Option<Drawn>,
}

/// A commit in the drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// Its name.
    pub id: CommitId,
    /// The branches and tags that stand on it.
    pub refs: Vec<String>,
    /// The first line of its message, as it is.
    pub subject: String,
}

impl Repo {
    /// Draws the newest `most` commits of all branches: `git log --graph --branches`.
    pub fn graph(&self, most: u32) -> Result<Vec<GraphLine>, GitError> {
        let call = self
            .read()
            // Else git would run a program for each commit.
            .setting("log.showSignature", "false")
            .args(["log", "--graph", "--branches", "--no-color", "--decorate=short"])
            .arg(format!("--max-count={most}"))
            .arg("--format=%x00%H%x00%D%x00%s");
        let text = call.succeed()?;
        let text = String::from_utf8_lossy(&text);
        text.lines().map(|line| parse(line).ok_or_else(|| call.unclear())).collect()
    }
}

pub(super) fn parse(line: &str) -> Option<GraphLine> {
    let Some((strokes, commit)) = line.split_once('\0') else {
        return Some(GraphLine { strokes: line.trim_end().to_owned(), commit: None });
    };
    let mut fields = commit.splitn(3, '\0');
    let id = fields.next()?.parse().ok()?;
    let refs = fields.next()?.split(", ").filter(|name| !name.is_empty());
    let refs = refs.map(|name| name.trim_start_matches("HEAD -> ").to_owned()).collect();
    let subject = fields.next()?.to_owned();
    Some(GraphLine { strokes: strokes.to_owned(), commit: Some(Drawn { id, refs, subject }) })
}
