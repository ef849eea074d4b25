//! What a setting can be: one type a kind of value, each of which can only be made from what is allowed.

use std::str::FromStr;
use std::time::Duration;

use super::duration::{self, DurationError};
use super::size::{Size, SizeError};
use super::wording;
use crate::id::RefName;
use crate::redact::redacted_script;

/// Why a value is not allowed for a setting, as the end of a sentence about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is none of what the setting can be.
    #[error("it must be {0}")]
    Expected(&'static str),
    /// It is not a duration.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// It is not a size.
    #[error(transparent)]
    Size(#[from] SizeError),
    /// The cap is smaller than what can be cut off.
    #[error("it must be at least {0}, or none")]
    BelowLeastCap(Size),
    /// A quotation mark is never closed.
    #[error("it has a quotation mark that is never closed")]
    OpenQuote,
    /// `~` cannot be resolved.
    #[error("`~` means nothing here: HOME is not set")]
    NoHome,
}

/// A value as a source gave it, before it means anything.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    Text(String),
    Number(i64),
    Bool(bool),
    Texts(Vec<String>),
    Other,
}

/// A kind of value: how it is read, and how it is shown.
pub(super) trait Value: Sized {
    fn from_said(said: &Said) -> Result<Self, Refusal>;

    /// For people, and without a character that a terminal would act on.
    fn shown(&self) -> String;

    /// The same without what looks like a secret: for whoever has not asked what exactly would be run.
    fn redacted(&self) -> String {
        self.shown()
    }

    /// What an approval covers: two values that do different things never give the same list.
    fn canonical(&self) -> Vec<String> {
        vec![self.shown()]
    }
}

/// A bound that can be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// No bound: written `none`, or `0`.
    Off,
    /// The bound.
    At(T),
}

impl<T> Limit<T> {
    /// The bound, where there is one.
    pub fn bound(self) -> Option<T> {
        match self {
            Self::Off => None,
            Self::At(bound) => Some(bound),
        }
    }
}

impl FromStr for Limit<Duration> {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.trim() == "none" {
            return Ok(Self::Off);
        }
        match duration::parse(text) {
            Ok(Duration::ZERO) => Ok(Self::Off),
            Ok(bound) => Ok(Self::At(bound)),
            Err(DurationError::Form) => Err(Refusal::Expected(
                "a duration such as 30m, 90s, 1h30m or 500ms (a plain number is seconds), or none",
            )),
            Err(other) => Err(other.into()),
        }
    }
}

impl Value for Limit<Duration> {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        number_or_text(said, "a duration such as \"30m\", a number of seconds, or \"none\"")?.parse()
    }

    fn shown(&self) -> String {
        self.bound().map_or_else(|| "none".to_owned(), duration::shown)
    }
}

impl Value for Duration {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        Ok(duration::parse(&number_or_text(said, "a duration such as \"10s\", or a number of seconds")?)?)
    }

    fn shown(&self) -> String {
        duration::shown(*self)
    }
}

/// Less than this cannot be cut off a file block by block without losing the newest output too.
const LEAST_CAP: Size = Size::bytes(64 << 10);

impl FromStr for Limit<Size> {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.trim() == "none" {
            return Ok(Self::Off);
        }
        match text.parse::<Size>() {
            Ok(size) if size.as_bytes() == 0 => Ok(Self::Off),
            Ok(size) if size < LEAST_CAP => Err(Refusal::BelowLeastCap(LEAST_CAP)),
            Ok(size) => Ok(Self::At(size)),
            Err(SizeError::Form) => {
                Err(Refusal::Expected("a size such as 64M, 1G, 512k or a number of bytes, or none"))
            }
            Err(other) => Err(other.into()),
        }
    }
}

impl Value for Limit<Size> {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        number_or_text(said, "a size such as \"64M\", a number of bytes, or \"none\"")?.parse()
    }

    fn shown(&self) -> String {
        self.bound().map_or_else(|| "none".to_owned(), |size| size.to_string())
    }
}

/// What new work starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// What is checked out where the user stands: written `.`.
    Here,
    /// A branch, a tag or a commit.
    Named(RefName),
}

impl FromStr for Base {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text == "." {
            return Ok(Self::Here);
        }
        text.parse().map(Self::Named).map_err(|_| {
            Refusal::Expected(
                "the name of a branch, tag or commit, or `.` for what is checked out where you stand",
            )
        })
    }
}

impl Value for Base {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        text(said, "text: the name of a branch, tag or commit")?.parse()
    }

    fn shown(&self) -> String {
        match self {
            Self::Here => ".".to_owned(),
            Self::Named(name) => wording::escaped(name.as_str()),
        }
    }
}

/// Defines a setting that is one of a few words.
macro_rules! choice {
    ($(#[$doc:meta])* $name:ident, $expected:literal, { $($(#[$case_doc:meta])* $case:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name {
            $($(#[$case_doc])* $case,)*
        }

        impl $name {
            /// The words that can be written, in the order in which help shows them.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word for this value.
            pub fn word(self) -> &'static str {
                match self { $(Self::$case => $word,)* }
            }
        }

        impl FromStr for $name {
            type Err = Refusal;

            fn from_str(text: &str) -> Result<Self, Refusal> {
                match text {
                    $($word => Ok(Self::$case),)*
                    _ => Err(Refusal::Expected($expected)),
                }
            }
        }

        impl Value for $name {
            fn from_said(said: &Said) -> Result<Self, Refusal> {
                match said {
                    Said::Text(text) => text.parse(),
                    Said::Bool(value) => value.to_string().parse(),
                    _ => Err(Refusal::Expected($expected)),
                }
            }

            fn shown(&self) -> String {
                self.word().to_owned()
            }
        }
    };
}

choice! {
    /// What becomes of the agent's output.
    Output, "file, inherit or discard", {
        /// Kept in the session's directory.
        File = "file",
        /// Kept, and shown live by a dispatcher that stays.
        Inherit = "inherit",
        /// Not kept: the agent's session file remains.
        Discard = "discard",
    }
}

choice! {
    /// In which form the agent is asked to write its output.
    Capture, "auto, text or json", {
        /// Text where the agent's JSON grows quadratically, JSON elsewhere.
        Auto = "auto",
        /// Text.
        Text = "text",
        /// One JSON event a line.
        Json = "json",
    }
}

choice! {
    /// Whether the agent is told to trust what the project brings for it (extensions, settings, prompts).
    ProjectTrust, "true or false", {
        /// The agent's own rules decide.
        AgentDecides = "false",
        /// The agent is told to trust the project.
        Approve = "true",
    }
}

choice! {
    /// Whether a dispatch is refused when the workflow's prompt is in no file that the agent would read.
    PromptCheck, "files or off", {
        /// The prompt must be found in a file.
        Files = "files",
        /// No check: a package or an extension of the agent brings the prompt.
        Off = "off",
    }
}

choice! {
    /// How a lane's work comes into a branch.
    MergeStrategy, "merge, squash, rebase or ff", {
        /// A merge commit, always.
        Merge = "merge",
        /// One commit that holds all of it.
        Squash = "squash",
        /// Its commits, each made anew on top of the branch.
        Rebase = "rebase",
        /// Its commits as they are, where the branch has no others.
        Ff = "ff",
    }
}

/// A check that a merged result has to pass: a command line for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verify {
    /// There is none: written `none`.
    Off,
    /// The command line.
    Shell(String),
}

impl Verify {
    /// The command line, where there is one.
    pub fn command(&self) -> Option<&str> {
        match self {
            Self::Off => None,
            Self::Shell(command) => Some(command),
        }
    }
}

impl FromStr for Verify {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        match text {
            "none" => Ok(Self::Off),
            "" => Err(Refusal::Expected("a command line for the shell, or none")),
            _ if text.contains('\0') => Err(Refusal::Expected("a command line without a NUL character")),
            _ => Ok(Self::Shell(text.to_owned())),
        }
    }
}

impl Value for Verify {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        match said {
            Said::Texts(words) => {
                let words = words.iter().map(String::as_str);
                let joined =
                    shlex::try_join(words).map_err(|_| Refusal::Expected("words without a NUL character"))?;
                joined.parse()
            }
            other => text(other, "a command line for the shell, or \"none\"")?.parse(),
        }
    }

    fn shown(&self) -> String {
        wording::escaped(self.command().unwrap_or("none"))
    }

    fn redacted(&self) -> String {
        wording::escaped(&redacted_script(self.command().unwrap_or("none")))
    }

    fn canonical(&self) -> Vec<String> {
        vec![self.command().unwrap_or("none").to_owned()]
    }
}

/// The agent's command that opens the prompt, such as `/tf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workflow(String);

impl Workflow {
    pub(super) fn tf() -> Self {
        Self("/tf".to_owned())
    }

    /// The command as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Workflow {
    type Err = Refusal;

    /// The prompt is one argument of the agent: with a leading `-` it would be an option, with `@` a file to read.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let text = text.trim();
        let taken = !text.is_empty()
            && text.len() <= 1000
            && !text.starts_with(['-', '@'])
            && !text.chars().any(wording::is_unprintable);
        if !taken {
            return Err(Refusal::Expected(
                "one line such as /tf, at most 1000 bytes, that does not start with `-` or `@`",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Value for Workflow {
    fn from_said(said: &Said) -> Result<Self, Refusal> {
        text(said, "text, such as \"/tf\"")?.parse()
    }

    fn shown(&self) -> String {
        self.0.clone()
    }
}

pub(super) fn text<'a>(said: &'a Said, expected: &'static str) -> Result<&'a str, Refusal> {
    match said {
        Said::Text(text) => Ok(text),
        _ => Err(Refusal::Expected(expected)),
    }
}

fn number_or_text(said: &Said, expected: &'static str) -> Result<String, Refusal> {
    match said {
        Said::Number(number) => Ok(number.to_string()),
        other => text(other, expected).map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_optional_limits_can_be_switched_off() {
        for off in ["none", "0", "0s"] {
            assert_eq!(off.parse::<Limit<Duration>>(), Ok(Limit::Off), "{off}");
        }
        for off in ["none", "0"] {
            assert_eq!(off.parse::<Limit<Size>>(), Ok(Limit::Off), "{off}");
        }
        assert_eq!("30m".parse(), Ok(Limit::At(Duration::from_secs(1800))));
        assert_eq!("1k".parse::<Limit<Size>>(), Err(Refusal::BelowLeastCap(LEAST_CAP)));
        assert!(Duration::from_said(&Said::Text("none".to_owned())).is_err(), "grace cannot be off");
    }

    #[test]
    fn a_check_is_a_line_for_the_shell_or_words_that_become_one() {
        let of = |said: Said| Verify::from_said(&said).map(|verify| verify.command().map(str::to_owned));
        assert_eq!(of(Said::Text(" a && b ".into())), Ok(Some("a && b".into())));
        assert_eq!(of(Said::Texts(vec!["a".into(), "b c".into()])), Ok(Some("a 'b c'".into())));
        assert_eq!(of(Said::Text("none".into())), Ok(None));
        for none in [Said::Text("  ".into()), Said::Text("a\0".into()), Said::Texts(vec![]), Said::Number(1)]
        {
            assert!(of(none.clone()).is_err(), "{none:?} was taken");
        }
    }

    #[test]
    fn a_workflow_is_never_an_option_or_a_file_of_the_agent() {
        for text in ["", " ", "-p", "--flag", "@/etc/passwd", " @x", "/tf\n-x", "/tf\u{1b}[0m", "a\0"] {
            assert!(text.parse::<Workflow>().is_err(), "{text:?} was taken");
        }
        assert_eq!(" /tf ".parse::<Workflow>().unwrap().as_str(), "/tf");
    }
}
