//! Repositories for the tests, cut off from the configuration of the machine.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

use tempfile::TempDir;

use crate::durable::HeldLock;
use crate::git::{
    Base, Created, GitProgram, LOCAL_ENV_VARS, Located, Repo, Site, create, locate, write_files,
};
use crate::id::{BranchName, Slug};

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a repository in `repo`, and room for worktrees beside it.
pub(crate) struct Fixture {
    pub(crate) root: PathBuf,
    _dir: Option<TempDir>,
}

impl Fixture {
    /// A folder without a repository.
    pub(crate) fn empty() -> Self {
        cut_off_libgit2();
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        Self { root, _dir: Some(dir) }
    }

    /// A folder that another process made, and keeps.
    pub(crate) fn at(root: PathBuf) -> Self {
        cut_off_libgit2();
        Self { root, _dir: None }
    }

    /// A repository with one commit of a few files.
    pub(crate) fn new() -> Self {
        let fixture = Self::empty();
        fixture.init("repo", &[]);
        fixture.write("repo/README.md", "read me\n");
        fixture.write("repo/src/main.rs", "fn main() {}\n");
        fixture.commit_all("repo", "one");
        fixture
    }

    pub(crate) fn init(&self, name: &str, args: &[&str]) {
        let mut all = vec!["init", "-q", "-b", "main"];
        all.extend(args);
        all.push(name);
        self.git(".", &all);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn commit_all(&self, tree: &str, message: &str) {
        self.git(tree, &["add", "-A"]);
        self.git(tree, &["commit", "-q", "-m", message]);
    }

    /// Runs git in a folder of the fixture; it must succeed. What it printed, trimmed.
    pub(crate) fn git(&self, folder: &str, args: &[&str]) -> String {
        let out = self.command(folder, args).output().unwrap();
        let stderr = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "git {args:?} in {folder}: {stderr}");
        String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
    }

    pub(crate) fn command(&self, folder: &str, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        for name in LOCAL_ENV_VARS {
            command.env_remove(name);
        }
        command.envs(hermetic()).current_dir(self.path(folder)).args(args);
        command
    }

    pub(crate) fn repo(&self) -> Repo {
        self.open("repo")
    }

    pub(crate) fn open(&self, from: &str) -> Repo {
        Repo::open_with(&self.path(from), program()).unwrap()
    }

    pub(crate) fn site(&self, ticket: &str) -> Site {
        Site {
            slug: Slug::of(ticket),
            branch: format!("ralph/{ticket}").parse::<BranchName>().unwrap(),
            path: self.path("repo.ralph").join(Slug::of(ticket).as_str()),
            recorded_id: None,
        }
    }

    /// Creates a lane's worktree with its files, as a dispatch does.
    #[expect(clippy::unused_self, reason = "reads like the other steps")]
    pub(crate) fn dispatch(&self, repo: &Repo, site: &Site) -> Created {
        let base = repo.head_base().unwrap();
        dispatch_on(repo, site, &base)
    }
}

/// Creates a lane's worktree on a base, with its files.
pub(crate) fn dispatch_on(repo: &Repo, site: &Site, base: &Base) -> Created {
    let created = create_on(repo, site, base);
    write_files(repo, &created, &lane_lock(site)).unwrap();
    created
}

/// Creates a lane's worktree on a base, without its files.
pub(crate) fn create_on(repo: &Repo, site: &Site, base: &Base) -> Created {
    create(repo, &repo.lock(PATIENCE).unwrap(), site, base, "ralph test").unwrap()
}

/// The lock of the lane at a site; it stands beside the worktree.
pub(crate) fn lane_lock(site: &Site) -> HeldLock {
    HeldLock::try_take(&site.path.with_extension("lock")).unwrap().unwrap()
}

/// The git program without the machine's configuration.
pub(crate) fn program() -> GitProgram {
    hermetic().into_iter().fold(GitProgram::default(), |program, (name, value)| program.with_env(name, value))
}

fn hermetic() -> Vec<(&'static str, &'static str)> {
    vec![
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_SYSTEM", "/dev/null"),
        ("GIT_AUTHOR_NAME", "A U Thor"),
        ("GIT_AUTHOR_EMAIL", "author@example.com"),
        ("GIT_COMMITTER_NAME", "A U Thor"),
        ("GIT_COMMITTER_EMAIL", "author@example.com"),
        ("LC_ALL", "C"),
    ]
}

#[expect(
    unsafe_code,
    reason = "libgit2's search paths can be set in no other way; nothing has used it before"
)]
fn cut_off_libgit2() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for level in [
            git2::ConfigLevel::System,
            git2::ConfigLevel::XDG,
            git2::ConfigLevel::Global,
            git2::ConfigLevel::ProgramData,
        ] {
            // SAFETY: no other thread reads the paths while they are set, because all wait for this to be over.
            unsafe { git2::opts::set_search_path(level, "/nonexistent").unwrap() };
        }
    });
}

pub(crate) fn present(repo: &Repo, site: &Site) -> crate::git::Worktree {
    match locate(repo, site).unwrap() {
        Located::Present(worktree) => worktree,
        other => panic!("not there: {other:?}"),
    }
}

/// Everything below a folder: kind, permissions, and content or target, by path. Without `.git`.
pub(crate) fn listing(top: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for item in walkdir::WalkDir::new(top).min_depth(1).into_iter().filter_entry(|e| e.file_name() != ".git")
    {
        let item = item.unwrap();
        let name = item.path().strip_prefix(top).unwrap().to_string_lossy().into_owned();
        let meta = item.path().symlink_metadata().unwrap();
        let what = if meta.is_symlink() {
            format!("link {:?}", fs::read_link(item.path()).unwrap())
        } else if meta.is_dir() {
            format!("folder {:o}", meta.mode())
        } else {
            format!(
                "file {:o} {:?}",
                meta.permissions().mode(),
                String::from_utf8_lossy(&fs::read(item.path()).unwrap())
            )
        };
        found.insert(name, what);
    }
    found
}
