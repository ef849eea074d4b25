//! Where the user's own files lie, after the XDG base directory specification.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The paths of the user's files, from the environment that the caller read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The user's home.
    pub home: Option<PathBuf>,
    /// The user's settings: `$XDG_CONFIG_HOME/ralph/config.toml`.
    pub user_file: Option<PathBuf>,
    /// What the user approved: `$XDG_STATE_HOME/ralph/approved.json`.
    pub approvals: Option<PathBuf>,
}

impl Places {
    /// The paths that `variables` lead to. A path that is not absolute is no path, as the specification says.
    pub fn from_variables(variables: &BTreeMap<String, String>) -> Self {
        let absolute = |name: &str| variables.get(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME");
        let below = |name: &str, fallback: &str, file: &str| {
            let from_home = |home: &Path| home.join(fallback);
            absolute(name)
                .or_else(|| home.as_deref().map(from_home))
                .map(|root| root.join("ralph").join(file))
        };
        Self {
            user_file: below("XDG_CONFIG_HOME", ".config", "config.toml"),
            approvals: below("XDG_STATE_HOME", ".local/state", "approved.json"),
            home,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Places {
        let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Places::from_variables(&variables.iter().map(pair).collect())
    }

    #[test]
    fn the_users_files_lie_where_xdg_says() {
        let at_home = places(&[("HOME", "/h")]);
        assert_eq!(at_home.user_file, Some("/h/.config/ralph/config.toml".into()));
        assert_eq!(at_home.approvals, Some("/h/.local/state/ralph/approved.json".into()));
        let elsewhere = places(&[("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("XDG_STATE_HOME", "rel")]);
        assert_eq!(elsewhere.user_file, Some("/c/ralph/config.toml".into()));
        assert_eq!(elsewhere.approvals, Some("/h/.local/state/ralph/approved.json".into()));
        assert_eq!(places(&[("HOME", "")]), Places::default());
    }
}
