//! Why the `git` program is needed, where ralph and libgit2 alone would do it wrong.

use std::fmt;

/// Why a repository, or a commit, goes through the `git` program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyGitProgram {
    /// Objects may have to be fetched first.
    PartialClone,
    /// A repository extension that libgit2 does not know.
    Extension(String),
    /// Only a part of the files is checked out.
    SparseCheckout,
    /// The index is kept in two files.
    SplitIndex,
    /// Worktrees have settings of their own, which git copies into a new one.
    WorktreeConfig,
    /// Files are rewritten by a filter, such as Git LFS.
    Filter(String),
    /// Files are kept in another encoding than they are checked out in.
    WorkingTreeEncoding,
    /// Attributes come from what a link of the commit leads to.
    LinkedAttributes,
    /// Objects stand in for others.
    ReplacedObjects,
    /// The attributes are those of a tree that settings name.
    AttributesOfATree,
    /// git finds in other files than libgit2 that the user trusts the repository.
    OtherSettings,
    /// Settings say that the file system cannot keep what a commit may hold.
    OddFileSystem,
    /// This setting is a switch, and has a value that git does not take for one.
    UnclearSetting(String),
    /// A name that some file system takes for one of git's own, two files of one name, a tree without an order or an end.
    OddNames,
}

impl fmt::Display for WhyGitProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PartialClone => f.write_str("it is a partial clone"),
            Self::Extension(name) => write!(f, "it uses the extension {name:?}"),
            Self::SparseCheckout => f.write_str("it is a sparse checkout"),
            Self::SplitIndex => f.write_str("it has a split index"),
            Self::WorktreeConfig => f.write_str("its worktrees have settings of their own"),
            Self::Filter(name) => write!(f, "it uses the filter {name:?}"),
            Self::WorkingTreeEncoding => f.write_str("it uses `working-tree-encoding`"),
            Self::LinkedAttributes => f.write_str("a `.gitattributes` of it is a link"),
            Self::ReplacedObjects => f.write_str("some of its objects are replaced (`git replace`)"),
            Self::AttributesOfATree => f.write_str("`attr.tree` names the tree that attributes come from"),
            Self::OtherSettings => f.write_str("the environment names other configuration files"),
            Self::OddFileSystem => f.write_str(
                "its settings say that the file system knows no links (`core.symlinks`) or no case (`core.ignoreCase`)",
            ),
            Self::UnclearSetting(key) => write!(f, "`{key}` has a value that git does not take"),
            Self::OddNames => f.write_str("it has names or folders that git has to judge"),
        }
    }
}
