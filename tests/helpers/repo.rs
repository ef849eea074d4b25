//! Repositories made with the real git, and what git says about them afterwards. Commits have fixed authors and
//! times, so that the same steps give the same ids.

use std::fs;
use std::path::{Path, PathBuf};

use super::command::{Finished, Invocation};
use super::sandbox::Sandbox;

/// The time of every commit that a test makes (an agent's own commits have the true time).
const COMMIT_TIME: &str = "2026-01-02T03:04:05Z";

/// The prompt that `/tf` stands for.
pub const PROMPT: &str = "---\ndescription: Work on a ticket\n---\nWork on the ticket $1. Arguments: $@\n";

/// A repository, or one of its worktrees.
pub struct Repo<'s> {
    sandbox: &'s Sandbox,
    path: PathBuf,
}

impl AsRef<Path> for Repo<'_> {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl<'s> Repo<'s> {
    /// What most tests start from: `work/app` on `main`, one commit with a README, the prompt `/tf` and the open
    /// tickets T-1 to T-4.
    pub fn new(sandbox: &'s Sandbox) -> Self {
        let repo = Self::unborn(sandbox, "app");
        repo.write("README.md", "# app\n");
        repo.write(".pi/prompts/tf.md", PROMPT);
        for number in 1..=4 {
            repo.ticket(&format!("T-{number}"), &format!("Ticket number {number}"));
        }
        repo.commit_all("Start");
        repo
    }

    /// `work/<name>` on `main`, without a commit.
    pub fn unborn(sandbox: &'s Sandbox, name: &str) -> Self {
        Self::init(sandbox, name, &[])
    }

    /// `work/<name>`, made by `git init` with further arguments, such as `--ref-format=reftable`.
    pub fn init(sandbox: &'s Sandbox, name: &str, args: &[&str]) -> Self {
        let path = sandbox.work().join(name);
        let init = sandbox.git(&["init", "--quiet", "--initial-branch=main"]);
        args.iter().fold(init, |init, arg| init.arg(arg)).arg(&path).run().ok_in_passing();
        Self { sandbox, path }
    }

    /// `work/<name>` on `main`, one commit with these files.
    pub fn with_files(sandbox: &'s Sandbox, name: &str, files: &[(&str, &str)]) -> Self {
        let repo = Self::unborn(sandbox, name);
        for (path, content) in files {
            repo.write(path, content);
        }
        repo.commit_all("Start");
        repo
    }

    /// A bare clone of this repository, `work/<name>`.
    pub fn bare_clone(&self, name: &str) -> Self {
        self.clone_as(name, &["--bare"])
    }

    /// A clone of this repository, `work/<name>`, made by `git clone` with further arguments. It goes through
    /// `file://`, so that `--depth` and `--filter` do what they say.
    pub fn clone_as(&self, name: &str, args: &[&str]) -> Self {
        let path = self.sandbox.work().join(name);
        let clone = args.iter().fold(self.sandbox.git(&["clone", "--quiet"]), |clone, arg| clone.arg(arg));
        clone.arg(format!("file://{}", self.path.display())).arg(&path).run().ok_in_passing();
        Self { sandbox: self.sandbox, path }
    }

    /// A repository or worktree that is already there.
    pub fn at(sandbox: &'s Sandbox, path: impl AsRef<Path>) -> Self {
        Self { sandbox, path: path.as_ref().to_owned() }
    }

    /// Where it stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The program under test, run in this folder.
    pub fn ralph(&self, args: &[&str]) -> Invocation<'s> {
        self.sandbox.ralph(args).in_dir(&self.path)
    }

    /// What git prints, without the line's end. It must succeed.
    #[track_caller]
    pub fn git(&self, args: &[&str]) -> String {
        self.try_git(args).ok().stdout.trim_end_matches('\n').to_owned()
    }

    /// A git command that may fail.
    pub fn try_git(&self, args: &[&str]) -> Finished {
        let git = self.sandbox.git(args).in_dir(&self.path);
        git.env("GIT_AUTHOR_DATE", COMMIT_TIME).env("GIT_COMMITTER_DATE", COMMIT_TIME).run()
    }

    /// Writes a file, with its parents.
    pub fn write(&self, relative: impl AsRef<Path>, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(relative);
        fs::create_dir_all(path.parent().expect("a file stands in a folder")).expect("the file's folder");
        fs::write(&path, content).expect("the file's content");
        path
    }

    /// A file's content as text.
    #[track_caller]
    pub fn read(&self, relative: impl AsRef<Path>) -> String {
        let path = self.path.join(relative);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
    }

    /// Whether there is anything (also a dangling link) at this path.
    pub fn has(&self, relative: impl AsRef<Path>) -> bool {
        self.path.join(relative).symlink_metadata().is_ok()
    }

    /// Writes the open ticket `id` in the format of `tk`, without committing it.
    pub fn ticket(&self, id: &str, title: &str) -> PathBuf {
        self.ticket_with(id, title, "")
    }

    /// The same with further lines in its head, such as `deps: [T-1]`, each ended by a newline.
    pub fn ticket_with(&self, id: &str, title: &str, head: &str) -> PathBuf {
        let content = format!(
            "---\nid: {id}\nstatus: open\n{head}created: {COMMIT_TIME}\ntype: task\npriority: 2\n---\n# {title}\n"
        );
        self.write(format!(".tickets/{id}.md"), content)
    }

    /// Commits everything there is (or nothing: an empty commit), and returns the commit's id.
    #[track_caller]
    pub fn commit_all(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--no-verify", "-m", message]);
        self.head()
    }

    /// Writes one file and commits it, and returns the commit's id.
    #[track_caller]
    pub fn commit_file(&self, relative: &str, content: &str, message: &str) -> String {
        self.write(relative, content);
        self.git(&["add", "--", relative]);
        self.git(&["commit", "--quiet", "--no-verify", "-m", message]);
        self.head()
    }

    /// Makes a branch at `at` without switching to it.
    pub fn branch(&self, name: &str, at: &str) {
        self.git(&["branch", "--no-track", name, at]);
    }

    /// Makes a linked worktree `work/<name>` on the new branch `branch`.
    pub fn linked_worktree(&self, name: &str, branch: &str) -> Self {
        let path = self.sandbox.work().join(name);
        self.git(&["worktree", "add", "--quiet", "-b", branch, &path.display().to_string()]);
        Self { sandbox: self.sandbox, path }
    }

    /// The full id of HEAD's commit.
    #[track_caller]
    pub fn head(&self) -> String {
        self.rev_parse("HEAD")
    }

    /// The full id of what `revision` names.
    #[track_caller]
    pub fn rev_parse(&self, revision: &str) -> String {
        self.git(&["rev-parse", "--verify", "--end-of-options", revision])
    }

    /// The branch that HEAD is on; none where it is detached.
    pub fn current_branch(&self) -> Option<String> {
        let asked = self.try_git(&["symbolic-ref", "--quiet", "--short", "HEAD"]);
        (asked.code == Some(0)).then(|| asked.stdout.trim_end().to_owned())
    }

    /// Every branch's short name.
    pub fn branches(&self) -> Vec<String> {
        self.lines(&["for-each-ref", "--format=%(refname:short)", "refs/heads"])
    }

    /// Every reference: its name and commit.
    pub fn refs(&self) -> Vec<String> {
        self.lines(&["for-each-ref", "--format=%(refname) %(objectname)"])
    }

    /// The subjects of the commits that `range` names, newest first.
    pub fn log(&self, range: &str) -> Vec<String> {
        self.lines(&["log", "--format=%s", range])
    }

    /// The paths of every worktree that git knows, this repository's own first.
    pub fn worktrees(&self) -> Vec<PathBuf> {
        let lines = self.lines(&["worktree", "list", "--porcelain"]);
        lines.iter().filter_map(|line| line.strip_prefix("worktree ")).map(PathBuf::from).collect()
    }

    /// `git status --porcelain` with every untracked file.
    pub fn status_porcelain(&self) -> Vec<String> {
        self.lines(&["status", "--porcelain", "--untracked-files=all"])
    }

    /// The folder that all worktrees share: `.git`, or the bare repository itself.
    pub fn common_dir(&self) -> PathBuf {
        PathBuf::from(self.git(&["rev-parse", "--path-format=absolute", "--git-common-dir"]))
    }

    /// Fails unless every object and reference is whole.
    #[track_caller]
    pub fn fsck(&self) {
        let checked = self.try_git(&["fsck", "--strict", "--no-dangling"]).ok();
        assert!(!checked.stderr.contains("error"), "git fsck found a fault: {checked}");
    }

    #[track_caller]
    fn lines(&self, args: &[&str]) -> Vec<String> {
        self.git(args).lines().map(str::to_owned).collect()
    }
}

impl Finished {
    /// Fails unless it exited with 0; what it said is of no interest.
    #[track_caller]
    fn ok_in_passing(self) {
        drop(self.ok());
    }
}
