//! What was found, before anyone judges it.

use std::io;
use std::path::PathBuf;

use crate::agent::pi::prompt::PromptFound;
use crate::agent::pi::provider::ProviderSigns;
use crate::agent::pi::version::PiVersion;
use crate::git::Engine;
use crate::process::filesystem::FileSystem;
use crate::process::probe::{Feature, Use};

/// Everything that was found.
#[derive(Debug)]
pub struct Facts {
    /// The session that this is itself, if it is one.
    pub inside: Option<String>,
    /// The `git` program.
    pub git: Result<Git, Trouble>,
    /// What there is to say about the settings.
    pub settings: Result<Vec<String>, Trouble>,
    /// The agent.
    pub agent: Agent,
    /// The repository.
    pub place: Place,
    /// What the kernel offers.
    pub kernel: Vec<(Feature, io::Result<()>)>,
    /// The folder for temporary files.
    pub temporary: Folder,
}

/// Something that does not work, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is wrong.
    pub why: String,
    /// What to do.
    pub advice: Option<String>,
}

/// The `git` program.
#[derive(Debug)]
pub struct Git {
    /// Where it is.
    pub path: PathBuf,
    /// What it says its version is.
    pub version: String,
}

/// The agent that is configured.
#[derive(Debug)]
pub enum Agent {
    /// Its command cannot be used.
    Unusable(Trouble),
    /// pi.
    Pi(Box<Pi>),
    /// Another command.
    Other(Result<PathBuf, Trouble>),
}

/// pi, and what it needs.
#[derive(Debug)]
pub struct Pi {
    /// Its program and, where its package says it, its version.
    pub program: Result<(PathBuf, Option<PiVersion>), Trouble>,
    /// Whether Node runs it.
    pub runs_on: RunsOn,
    /// Node.
    pub node: Result<Node, Trouble>,
    /// What answers the prompt in a new worktree.
    pub prompt: Result<Prompt, Trouble>,
    /// Whether it has a model to talk to.
    pub provider: ProviderSigns,
}

/// What runs pi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunsOn {
    /// Node.
    Node,
    /// Itself, or something that is not known.
    Itself,
}

/// Node.
#[derive(Debug)]
pub struct Node {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, where it said one.
    pub version: Option<PiVersion>,
}

/// What answers the prompt.
#[derive(Debug)]
pub struct Prompt {
    /// Its name, such as `/tf`.
    pub name: String,
    /// What was found.
    pub found: Answer,
}

/// Where an answer to the prompt comes from.
#[derive(Debug)]
pub enum Answer {
    /// The commit brings it along, as this path.
    Committed(PathBuf),
    /// It is elsewhere.
    Elsewhere(PromptFound),
    /// It is in the main checkout, where no commit has it.
    NotCommitted(PathBuf),
}

/// Where one stands.
#[derive(Debug)]
pub enum Place {
    /// In no repository.
    Outside {
        /// Why not.
        trouble: Trouble,
        /// Whether this folder was asked for.
        asked: Asked,
    },
    /// In a repository that ralph cannot work with.
    Unusable(Trouble),
    /// In a repository.
    Inside(Box<Repository>),
}

/// Who chose the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `--repo` did.
    Named,
    /// It is where one stands.
    Here,
}

/// A repository.
#[derive(Debug)]
pub struct Repository {
    /// Its main checkout; itself, if it is bare.
    pub path: PathBuf,
    /// Whether it has a main checkout.
    pub bare: bool,
    /// What new work starts from: name and commit.
    pub base: Result<(String, String), Trouble>,
    /// What writes the files of a worktree.
    pub engine: Option<Result<Engine, Trouble>>,
    /// Where records are kept.
    pub store: Folder,
    /// Where worktrees are made.
    pub worktrees: Folder,
}

/// A folder that ralph writes to.
#[derive(Debug)]
pub struct Folder {
    /// Where it is, or will be.
    pub path: PathBuf,
    /// What is there.
    pub stands: Stands,
    /// The file system it is on, or will be.
    pub on: io::Result<FileSystem>,
    /// What came of writing to it, or to the folder that it will be made in.
    pub used: Use,
}

/// What is at a folder's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    /// A folder.
    There,
    /// Nothing yet.
    NotYet,
    /// A symbolic link.
    Link,
    /// Something else.
    InTheWay,
}
