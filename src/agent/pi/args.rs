//! pi's own reading of its arguments, as far as ralph must know it.
//!
//! Which word is an option, which is an option's value and which is a message decides whether the prompt still is the
//! only message. The rule for options that are not known here (an extension's) is pi's: the next word is the value
//! unless it begins with `-` or `@`.

use crate::agent::AgentError;

/// Options that take the next word as their value, whatever it is.
const WITH_VALUE: &[&str] = &[
    "--provider",
    "--model",
    "--api-key",
    "--system-prompt",
    "--append-system-prompt",
    "--name",
    "-n",
    "--models",
    "--tools",
    "-t",
    "--exclude-tools",
    "-xt",
    "--thinking",
    "--extension",
    "-e",
    "--skill",
    "--prompt-template",
    "--theme",
    "--use-theme",
    "--tui-mode",
];

/// Options without a value.
const ALONE: &[&str] = &[
    "--no-tools",
    "-nt",
    "--no-builtin-tools",
    "-nbt",
    "--no-extensions",
    "-ne",
    "--no-mcp",
    "--no-skills",
    "-ns",
    "--no-prompt-templates",
    "-np",
    "--no-themes",
    "--no-context-files",
    "-nc",
    "--verbose",
    "--approve",
    "-a",
    "--no-approve",
    "-na",
    "--offline",
];

/// Options that ralph gives itself, or that make pi do something else than one session.
const RESERVED: &[(&str, &str)] = &[
    ("--mode", "ralph chooses it by what it captures"),
    ("--session", "ralph chooses the session file"),
    ("--session-id", "ralph chooses the session file"),
    ("--session-dir", "ralph chooses the session file"),
    ("--no-session", "the session file is the evidence of how a session ended"),
    ("--continue", "ralph chooses the session file"),
    ("-c", "ralph chooses the session file"),
    ("--resume", "ralph chooses the session file"),
    ("-r", "ralph chooses the session file"),
    ("--fork", "ralph chooses the session file"),
    ("--print", "ralph gives the prompt"),
    ("-p", "ralph gives the prompt"),
    ("--export", "it does not run a session"),
    ("--help", "it does not run a session"),
    ("-h", "it does not run a session"),
    ("--version", "it does not run a session"),
    ("-v", "it does not run a session"),
    ("--list-models", "it does not run a session"),
    ("--", "what follows would be a message of its own"),
];

/// Arguments for pi, as pi will read them.
#[derive(Debug, Default)]
pub(super) struct PiArgs<'a> {
    /// The files and folders named with `--prompt-template`.
    pub templates: Vec<&'a str>,
    /// The sources named with `--extension`.
    pub extensions: Vec<&'a str>,
    /// Which extensions pi looks for.
    pub discovery: Discovery,
    /// What was said about trusting the project's own files.
    pub trust: Trust,
    reserved: Option<(&'a str, &'static str)>,
}

/// Which extensions pi loads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Discovery {
    /// Those it finds, and those that are named.
    #[default]
    All,
    /// Only those that are named.
    NamedOnly,
}

/// What the arguments say about the project's own files.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: pi decides.
    #[default]
    Unsaid,
    /// They are to be loaded.
    Approved,
    /// They are not.
    Refused,
}

impl<'a> PiArgs<'a> {
    pub fn parse(args: impl IntoIterator<Item = &'a String>) -> Self {
        let mut parsed = Self::default();
        let mut words = args.into_iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            if let Some((_, why)) = RESERVED.iter().find(|(reserved, _)| *reserved == word) {
                parsed.reserve(word, why);
            } else if WITH_VALUE.contains(&word) {
                match (word, words.next()) {
                    ("--prompt-template", Some(value)) => parsed.templates.push(value),
                    ("--extension" | "-e", Some(value)) => parsed.extensions.push(value),
                    (_, Some(_)) => {}
                    // It would take ralph's own next argument as its value.
                    (_, None) => parsed.reserve(word, "it needs a value"),
                }
            } else if ALONE.contains(&word) {
                match word {
                    "--no-extensions" | "-ne" => parsed.discovery = Discovery::NamedOnly,
                    "--approve" | "-a" => parsed.trust = Trust::Approved,
                    "--no-approve" | "-na" => parsed.trust = Trust::Refused,
                    _ => {}
                }
            } else if word.starts_with('@') {
                parsed.reserve(word, "the file would stand in front of the prompt");
            } else if !word.starts_with('-') {
                parsed.reserve(word, "it would be a message before the prompt");
            } else if word.starts_with("--") && !word.contains('=') {
                words.next_if(|next| !next.starts_with(['-', '@']));
            }
        }
        parsed
    }

    fn reserve(&mut self, word: &'a str, why: &'static str) {
        self.reserved = self.reserved.or(Some((word, why)));
    }

    /// Refuses arguments that would take away what ralph relies on.
    pub fn reserved(&self) -> Result<(), AgentError> {
        match self.reserved {
            Some((argument, why)) => Err(AgentError::ReservedArgument { argument: argument.to_owned(), why }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_value_is_never_taken_for_an_option() {
        for line in [
            "--model -c",
            "--append-system-prompt @x",
            "--tools read,bash --verbose",
            "--my-extension-flag value",
            "--my-extension-flag=value",
            "--thinking high -ns",
        ] {
            assert!(PiArgs::parse(&words(line)).reserved().is_ok(), "{line}");
        }
    }

    #[test]
    fn what_takes_away_the_prompt_or_the_session_file_is_refused() {
        for line in [
            "--session x",
            "--no-session",
            "-c",
            "-r",
            "--fork x",
            "-p hi",
            "--mode rpc",
            "--export a b",
            "--help",
            "--verbose hello",
            "hello",
            "@file",
            "--my-flag value hello",
            "--my-flag @file",
            "-- x",
            "--model",
            "--approve hello",
        ] {
            assert!(PiArgs::parse(&words(line)).reserved().is_err(), "{line}");
        }
    }

    #[test]
    fn what_the_preflight_needs_is_found() {
        let line = words("-ne -e ./x.ts --extension npm:y --prompt-template a.md --prompt-template b -a");
        let parsed = PiArgs::parse(&line);
        assert_eq!(parsed.extensions, ["./x.ts", "npm:y"]);
        assert_eq!(parsed.templates, ["a.md", "b"]);
        assert_eq!((parsed.discovery, parsed.trust), (Discovery::NamedOnly, Trust::Approved));
    }

    proptest! {
        #[test]
        fn never_panics(args: Vec<String>) {
            drop(PiArgs::parse(&args).reserved());
        }
    }
}
