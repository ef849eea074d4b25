//! The settings: one table of them, what one source said ([`Layer`]) and what holds in the end ([`Settings`]).
//!
//! A `Layer` has nothing but options; `Settings` has a value and an origin for every key, so nothing downstream
//! ever meets an unresolved default. The order of the layers is the order in which they are given to
//! [`Settings::merged`]: a later one wins, key by key.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::root::WorktreeRoot;
use super::size::Size;
use super::value::{
    Base, Capture, Limit, MergeStrategy, Output, ProjectTrust, PromptCheck, Refusal, Said, Value, Verify,
    Workflow,
};
use super::wording;
use super::words::{Command, Words};

/// Whether a setting may come from a repository as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guard {
    /// The worst that it can do is a session that ends early or looks different.
    Open,
    /// It runs a program, has one trusted, or chooses where files of the repository's making come to stand:
    /// from a repository it counts once its content was approved.
    Approval,
}

/// The table's rows: field, type, key, name, guard, default.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty, $key:ident = $name:literal, $guard:ident, $default:expr;)*) => {
        /// The name of a setting.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Key {
            $($(#[$doc])* $key,)*
        }

        impl Key {
            /// Every key, in the order in which `ralph config` shows them.
            pub const ALL: &'static [Self] = &[$(Self::$key),*];

            /// The name in a settings file.
            pub fn name(self) -> &'static str {
                match self { $(Self::$key => $name,)* }
            }

            pub(super) fn guard(self) -> Guard {
                match self { $(Self::$key => Guard::$guard,)* }
            }
        }

        /// What one source said: nothing but what it said.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Layer {
            $($(#[$doc])* pub $field: Option<$type>,)*
        }

        impl Layer {
            pub(super) fn set(&mut self, key: Key, said: &Said) -> Result<(), Refusal> {
                match key { $(Key::$key => self.$field = Some(Value::from_said(said)?),)* }
                Ok(())
            }

            pub(super) fn forget(&mut self, key: Key) {
                match key { $(Key::$key => self.$field = None,)* }
            }

            pub(super) fn shown(&self, key: Key) -> Option<String> {
                match key { $(Key::$key => self.$field.as_ref().map(Value::shown),)* }
            }

            pub(super) fn redacted(&self, key: Key) -> Option<String> {
                match key { $(Key::$key => self.$field.as_ref().map(Value::redacted),)* }
            }

            pub(super) fn canonical(&self, key: Key) -> Option<Vec<String>> {
                match key { $(Key::$key => self.$field.as_ref().map(Value::canonical),)* }
            }
        }

        /// What holds: a value for every setting, and where it came from.
        #[derive(Debug, Clone, PartialEq)]
        pub struct Settings {
            $($(#[$doc])* pub $field: $type,)*
            origins: BTreeMap<Key, Origin>,
        }

        impl Settings {
            /// The settings of `layers`, a later one over an earlier one, over the defaults.
            pub fn merged(layers: impl IntoIterator<Item = (Source, Layer)>) -> Self {
                let mut settings = Self { $($field: $default,)* origins: BTreeMap::new() };
                for (source, layer) in layers {
                    $(if let Some(value) = layer.$field {
                        settings.$field = value;
                        settings.origins.insert(Key::$key, source.origin(Key::$key));
                    })*
                }
                settings
            }

            fn redacted(&self, key: Key) -> String {
                match key { $(Key::$key => self.$field.redacted(),)* }
            }
        }
    };
}

settings! {
    /// What new work starts from.
    base: Base, Base = "base", Open, Base::Here;
    /// How long a session may take.
    timeout: Limit<Duration>, Timeout = "timeout", Open, Limit::At(Duration::from_secs(30 * 60));
    /// How long an agent may be silent.
    idle_timeout: Limit<Duration>, IdleTimeout = "idle-timeout", Open, Limit::Off;
    /// How long an agent has to end by itself before it is forced.
    grace: Duration, Grace = "grace", Open, Duration::from_secs(10);
    /// What becomes of the agent's output.
    output: Output, Output = "output", Open, Output::File;
    /// How much of each output file is kept: its beginning and its end.
    output_cap: Limit<Size>, OutputCap = "output-cap", Open, Limit::Off;
    /// In which form the agent is asked to write its output.
    capture: Capture, Capture = "capture", Open, Capture::Auto;
    /// The agent's command that opens the prompt.
    workflow: Workflow, Workflow = "workflow", Open, Workflow::tf();
    /// What follows the ticket in the prompt.
    flags: Words, Flags = "flags", Open, default_flags();
    /// The agent's program, and arguments that stand first.
    agent: Command, Agent = "agent", Approval, Command::pi();
    /// Further arguments for the agent.
    agent_args: Words, AgentArgs = "agent-args", Approval, Words::default();
    /// Where worktrees are made.
    worktree_root: WorktreeRoot, WorktreeRoot = "worktree-root", Approval, WorktreeRoot::Beside;
    /// Whether the agent is told to trust what the project brings for it.
    approve_project: ProjectTrust, ApproveProject = "approve-project", Approval, ProjectTrust::AgentDecides;
    /// Whether the workflow's prompt must be found in a file.
    prompt_check: PromptCheck, PromptCheck = "prompt-check", Open, PromptCheck::Files;
    /// How work comes into a branch.
    merge_strategy: MergeStrategy, MergeStrategy = "merge-strategy", Open, MergeStrategy::Merge;
    /// What a merged result has to pass before it lands.
    verify: Verify, Verify = "verify", Approval, Verify::Off;
    /// How long the check may take.
    verify_timeout: Limit<Duration>, VerifyTimeout = "verify-timeout", Open, Limit::At(Duration::from_secs(30 * 60));
}

fn default_flags() -> Words {
    Words::new(vec!["--auto".to_owned()]).unwrap_or_default()
}

impl Key {
    /// The key of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// The key that was likely meant by `name`.
    pub fn nearest(name: &str) -> Option<Self> {
        let names = Self::ALL.iter().map(|key| key.name());
        wording::nearest(&name.replace('_', "-"), names, 1).first().and_then(|name| Self::named(name))
    }

    /// The environment variable, such as `RALPH_IDLE_TIMEOUT`.
    pub fn variable(self) -> String {
        format!("RALPH_{}", self.name().to_ascii_uppercase().replace('-', "_"))
    }

    /// The flag that says it, where there is one.
    pub fn flag(self) -> Option<String> {
        match self {
            Self::MergeStrategy => Some("--strategy".to_owned()),
            // Further arguments stand behind `--`, and come on top of the settings.
            Self::AgentArgs | Self::ApproveProject | Self::PromptCheck => None,
            _ => Some(format!("--{self}")),
        }
    }

    /// The keys that count from a repository only once approved.
    pub(super) fn guarded() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|key| key.guard() == Guard::Approval)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The settings file of a pi-ticketflow project.
    Ticketflow,
    /// The user's settings file.
    UserFile(PathBuf),
    /// The `ralph.toml` of the repository's main checkout.
    RepositoryFile(PathBuf),
    /// Environment variables.
    Environment,
    /// Flags.
    CommandLine,
}

impl Source {
    fn origin(&self, key: Key) -> Origin {
        match self {
            Self::Ticketflow => Origin::Ticketflow,
            Self::UserFile(path) => Origin::UserFile(path.clone()),
            Self::RepositoryFile(path) => Origin::RepositoryFile(path.clone()),
            Self::Environment => Origin::Variable(key.variable()),
            Self::CommandLine => Origin::Flag(key),
        }
    }
}

/// Where the value of one setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// No one said anything.
    Default,
    /// The settings file of a pi-ticketflow project.
    Ticketflow,
    /// The user's settings file.
    UserFile(PathBuf),
    /// The `ralph.toml` of the repository's main checkout.
    RepositoryFile(PathBuf),
    /// The environment variable of that name.
    Variable(String),
    /// The flag of that setting.
    Flag(Key),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Ticketflow => f.write_str(super::ticketflow::FILE),
            Self::UserFile(path) | Self::RepositoryFile(path) => f.write_str(&wording::path(path)),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(key) => f.write_str(key.flag().as_deref().unwrap_or("the command line")),
        }
    }
}

/// One line of `ralph config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The setting.
    pub key: Key,
    /// Its value, safe on a terminal and without secrets.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
}

impl Settings {
    /// Where the value of `key` came from.
    pub fn origin(&self, key: Key) -> Origin {
        self.origins.get(&key).cloned().unwrap_or(Origin::Default)
    }

    /// Every setting with its value and where that came from.
    pub fn rows(&self) -> Vec<Row> {
        let row = |key: &Key| Row { key: *key, value: self.redacted(*key), origin: self.origin(*key) };
        Key::ALL.iter().map(row).collect()
    }

    /// Gives paths that are said relative to the user's home or to the main checkout their meaning.
    pub(super) fn at(mut self, home: Option<&Path>, main: Option<&Path>) -> Result<Self, Refusal> {
        let root = self.worktree_root.with_home(home)?;
        self.worktree_root = match main {
            Some(main) => WorktreeRoot::At(root.of(main)),
            None => root,
        };
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layer(key: Key, value: &str) -> Layer {
        let mut layer = Layer::default();
        layer.set(key, &Said::Text(value.to_owned())).unwrap();
        layer
    }

    #[test]
    fn a_key_is_found_by_its_name_and_by_one_that_is_near() {
        for key in Key::ALL {
            assert!(key.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{key}");
            assert_eq!(Key::named(key.name()), Some(*key));
        }
        assert_eq!(Key::IdleTimeout.variable(), "RALPH_IDLE_TIMEOUT");
        assert_eq!(Key::nearest("idle_timeout"), Some(Key::IdleTimeout));
        assert_eq!(Key::nearest("timeot"), Some(Key::Timeout));
        assert_eq!(Key::nearest("colour"), None);
    }

    #[test]
    fn everything_has_a_value_where_no_one_said_anything() {
        let rows = Settings::merged([]).rows();
        let value = |name: &str| rows.iter().find(|row| row.key.name() == name).unwrap().value.as_str();
        assert_eq!(rows.len(), Key::ALL.len());
        assert!(rows.iter().all(|row| row.origin == Origin::Default));
        assert_eq!(value("timeout"), "30m");
        assert_eq!(value("idle-timeout"), "none");
        assert_eq!(value("grace"), "10s");
        assert_eq!(value("output"), "file");
        assert_eq!(value("output-cap"), "none");
        assert_eq!(value("workflow"), "/tf");
        assert_eq!(value("flags"), r#"["--auto"]"#);
        assert_eq!(value("agent"), r#"["pi"]"#);
        assert_eq!(value("approve-project"), "false");
        assert_eq!(value("prompt-check"), "files");
        assert_eq!(value("merge-strategy"), "merge");
        assert_eq!(value("verify"), "none");
        assert_eq!(value("verify-timeout"), "30m");
    }

    #[test]
    fn the_last_that_spoke_wins_key_by_key_and_is_named() {
        let mut user = layer(Key::Timeout, "1m");
        user.grace = Some(Duration::from_secs(1));
        user.output = Some(Output::Discard);
        let settings = Settings::merged([
            (Source::UserFile("/u.toml".into()), user),
            (Source::RepositoryFile("/r.toml".into()), layer(Key::Timeout, "2m")),
            (Source::Environment, layer(Key::Timeout, "3m")),
            (Source::CommandLine, layer(Key::Output, "inherit")),
        ]);
        assert_eq!(settings.timeout, Limit::At(Duration::from_secs(180)));
        assert_eq!(settings.origin(Key::Timeout).to_string(), "RALPH_TIMEOUT");
        assert_eq!(settings.origin(Key::Grace), Origin::UserFile("/u.toml".into()));
        assert_eq!(settings.output, Output::Inherit);
        assert_eq!(settings.origin(Key::Output).to_string(), "--output");
        assert_eq!(settings.origin(Key::Flags), Origin::Default);
    }

    #[test]
    fn the_worktree_root_that_is_shown_is_the_one_that_is_used() {
        let main = Path::new("/home/me/shop");
        let settings = Settings::merged([]).at(None, Some(main)).unwrap();
        assert_eq!(settings.worktree_root.of(main), Path::new("/home/me/shop.ralph"));
        assert!(settings.rows().iter().any(|row| row.value == "/home/me/shop.ralph"));
    }

    proptest! {
        #[test]
        fn no_value_makes_a_setting_panic_or_puts_an_escape_on_a_terminal(
            key in proptest::sample::select(Key::ALL),
            text in any::<String>(),
        ) {
            let mut layer = Layer::default();
            if layer.set(key, &Said::Text(text)).is_ok() {
                prop_assert!(!layer.shown(key).unwrap().chars().any(wording::is_unprintable));
                prop_assert!(!layer.redacted(key).unwrap().chars().any(wording::is_unprintable));
                prop_assert!(layer.canonical(key).is_some());
            }
        }
    }
}
