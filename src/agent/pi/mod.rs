//! pi: how it is started, and what its files say.
//!
//! One session is `pi [--mode json] --session FILE [-np --prompt-template FILE] ARGUMENTS... -p PROMPT`. The prompt is
//! one argument, the session file is ralph's choice, and nothing in the arguments may take either away. Written
//! against pi 0.74 and 1.5.

mod args;
mod files;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzz;
mod lines;
pub mod prompt;
pub mod provider;
mod resources;
pub mod session_file;
mod touched;
pub mod transcript;
pub mod version;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::{AgentError, Capture, Invocation, path_text};
use args::PiArgs;
use version::PiVersion;

/// pi as it was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pi {
    program: String,
    arguments: Vec<String>,
}

impl Pi {
    /// pi by this name or path, with these arguments in every session.
    pub fn new(program: String, arguments: Vec<String>) -> Result<Self, AgentError> {
        PiArgs::parse(&arguments).reserved()?;
        Ok(Self { program, arguments })
    }

    /// The program as it was configured: a name or a path.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments that every session gets, before a session's own.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Whether these can be given on top: nothing that ralph relies on may be taken away.
    pub fn accepts(&self, extra_args: &[String]) -> Result<(), AgentError> {
        PiArgs::parse(extra_args).reserved()
    }

    /// The arguments of one session, after the program.
    pub fn argv(&self, invocation: &Invocation) -> Result<Vec<String>, AgentError> {
        self.accepts(&invocation.extra_args)?;
        let mut argv = Vec::new();
        if invocation.capture == Capture::Json {
            argv.extend(["--mode".to_owned(), "json".to_owned()]);
        }
        let session_file = session_file_in(&invocation.session_dir);
        argv.extend(["--session".to_owned(), path_text(&session_file)?.to_owned()]);
        if let Some(template) = &invocation.prompt_template {
            // A template that pi finds by itself beats one that is named, unless it is told not to look for any.
            argv.extend(["-np".to_owned(), "--prompt-template".to_owned(), path_text(template)?.to_owned()]);
        }
        argv.extend(self.arguments.iter().cloned());
        argv.extend(invocation.extra_args.iter().cloned());
        argv.extend(["-p".to_owned(), super::prompt(invocation)?]);
        Ok(argv)
    }

    /// The arguments that open an ended session for a person, in the terminal.
    pub fn attach_argv(&self, session_file: &Path) -> Result<Vec<String>, AgentError> {
        let mut argv = vec!["--session".to_owned(), path_text(session_file)?.to_owned()];
        argv.extend(self.arguments.iter().cloned());
        Ok(argv)
    }
}

/// Where ralph lets pi keep its record of the session whose directory this is.
pub fn session_file_in(session_dir: &Path) -> PathBuf {
    session_dir.join("pi-session.jsonl")
}

/// What is captured unless something else was asked for: from 0.84 on an event holds only what is new; before, each
/// one repeats the whole message, which makes megabytes of a kilobyte.
pub fn default_capture(version: Option<&PiVersion>) -> Capture {
    match version {
        Some(version) if *version >= PiVersion::new(0, 84, 0) => Capture::Json,
        _ => Capture::Text,
    }
}

/// pi's folder for settings, models, keys and global prompts: `configured` (the value of `PI_CODING_AGENT_DIR`), else
/// `.pi/agent` in the home folder.
pub fn agent_dir(configured: Option<&OsStr>, home: Option<&Path>) -> Option<PathBuf> {
    match configured.filter(|value| !value.is_empty()) {
        Some(value) => files::expand_home(Path::new(value), home),
        None => home.map(|home| home.join(".pi/agent")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::invocation;
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn the_prompt_is_the_last_and_one_argument() {
        let pi = Pi::new("pi".to_owned(), words(&["--model", "a/b"])).unwrap();
        let mut given = invocation();
        assert_eq!(
            pi.argv(&given).unwrap(),
            ["--session", "/store/s/pi-session.jsonl", "--model", "a/b", "-p", "/tf T-1 --auto"]
        );
        given.capture = Capture::Json;
        given.prompt_template = Some("/repo/.pi/prompts/tf.md".into());
        given.extra_args = words(&["--thinking", "high"]);
        assert_eq!(
            pi.argv(&given).unwrap(),
            [
                "--mode",
                "json",
                "--session",
                "/store/s/pi-session.jsonl",
                "-np",
                "--prompt-template",
                "/repo/.pi/prompts/tf.md",
                "--model",
                "a/b",
                "--thinking",
                "high",
                "-p",
                "/tf T-1 --auto"
            ]
        );
    }

    #[test]
    fn no_argument_takes_away_the_session_file_or_the_prompt() {
        let pi = Pi::new("pi".to_owned(), Vec::new()).unwrap();
        for extra in [&["--no-session"][..], &["-c"], &["--mode", "rpc"], &["@file"], &["more words"]] {
            let mut given = invocation();
            given.extra_args = words(extra);
            assert!(matches!(pi.argv(&given), Err(AgentError::ReservedArgument { .. })), "{extra:?}");
            assert!(Pi::new("pi".to_owned(), words(extra)).is_err(), "{extra:?}");
        }
    }

    #[test]
    fn an_ended_session_is_opened_by_its_file() {
        let pi = Pi::new("pi".to_owned(), words(&["--offline"])).unwrap();
        assert_eq!(
            pi.attach_argv(Path::new("/s/pi-session.jsonl")).unwrap(),
            ["--session", "/s/pi-session.jsonl", "--offline"]
        );
    }

    #[test]
    fn events_are_captured_only_where_they_are_small() {
        for (version, wanted) in [
            (None, Capture::Text),
            (Some("0.74.2"), Capture::Text),
            (Some("0.83.9"), Capture::Text),
            (Some("0.84.0"), Capture::Json),
            (Some("1.5.2"), Capture::Json),
        ] {
            let version: Option<PiVersion> = version.map(|text| text.parse().unwrap());
            assert_eq!(default_capture(version.as_ref()), wanted, "{version:?}");
        }
    }

    #[test]
    fn the_agent_dir_is_the_configured_one_or_in_the_home_folder() {
        let home = Some(Path::new("/home/me"));
        assert_eq!(agent_dir(None, home), Some("/home/me/.pi/agent".into()));
        assert_eq!(agent_dir(Some(OsStr::new("")), home), Some("/home/me/.pi/agent".into()));
        assert_eq!(agent_dir(Some(OsStr::new("/x")), None), Some("/x".into()));
        assert_eq!(agent_dir(Some(OsStr::new("~/x")), home), Some("/home/me/x".into()));
        assert_eq!(agent_dir(None, None), None);
    }
}
