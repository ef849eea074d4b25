//! The agent: what is run in a worktree, with which arguments, and what its own records say.
//!
//! pi is known well: how it is started, which file answers its prompt, what its session file shows. Any other agent
//! is a command with placeholders, of which only the exit status counts. Nothing here reads the environment: what it
//! needs is given. What an agent wrote is read as hostile: bounded, and never trusted to be well-formed.

pub mod command;
pub mod pi;
pub mod printable;
pub mod program;

use std::path::{Path, PathBuf};

use crate::id::{BranchName, SessionId, TicketId};
use crate::redact::redacted_argument;

/// The agent that was configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Agent {
    /// pi, by whatever path.
    Pi(pi::Pi),
    /// Any other command.
    Command(command::CommandAgent),
}

/// Everything about one session that an agent's arguments can be made of.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The ticket to work on.
    pub ticket: TicketId,
    /// The session.
    pub session: SessionId,
    /// The lane's branch.
    pub branch: BranchName,
    /// The worktree, absolute.
    pub worktree: PathBuf,
    /// The commit that the lane's work is based on.
    pub base_commit: String,
    /// The session's directory in the store, absolute.
    pub session_dir: PathBuf,
    /// What the prompt begins with: `/tf`, or plain words.
    pub workflow: String,
    /// What it ends with, after the ticket.
    pub flags: Vec<String>,
    /// What the agent's standard output shall hold.
    pub capture: Capture,
    /// Further arguments for the agent.
    pub extra_args: Vec<String>,
    /// The file that shall answer the workflow: what [`pi::prompt::PromptFound::template`] says.
    pub prompt_template: Option<PathBuf>,
    /// The prompt, where it is not made of workflow, ticket and flags: what an agent that goes on is told.
    pub prompt: Option<String>,
}

/// What an agent's standard output shall hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    /// The final answer.
    Text,
    /// Every event, one JSON object a line.
    Json,
}

/// Why an agent's command or arguments cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AgentError {
    /// There is no word in it.
    #[error("the agent's command is empty")]
    NoCommand,
    /// A placeholder that there is not.
    #[error("the agent's command has an unknown placeholder {name:?}")]
    UnknownPlaceholder {
        /// What stands between the braces.
        name: String,
    },
    /// A brace that belongs to no placeholder.
    #[error(
        "the agent's command has a `{{` or `}}` that belongs to no placeholder, in {:?}",
        redacted_argument(word)
    )]
    StrayBrace {
        /// The word.
        word: String,
    },
    /// The program itself is a placeholder.
    #[error("the agent's program cannot be a placeholder: {word:?}")]
    PlaceholderInProgram {
        /// The word.
        word: String,
    },
    /// A prompt that pi would take for something else.
    #[error("the workflow {workflow:?} cannot be used: {why}")]
    BadWorkflow {
        /// The workflow.
        workflow: String,
        /// Why not.
        why: &'static str,
    },
    /// A flag that cannot be part of a prompt.
    #[error("the workflow flag {:?} cannot be used: it holds a control character", redacted_argument(flag))]
    BadFlag {
        /// The flag.
        flag: String,
    },
    /// A path that cannot be written into an argument.
    #[error("could not pass the path {path:?} to the agent: it is not UTF-8")]
    PathNotUtf8 {
        /// The path.
        path: PathBuf,
    },
    /// An argument for pi that would take away what ralph relies on.
    #[error("could not pass the argument {:?} to pi: {why}", redacted_argument(argument))]
    ReservedArgument {
        /// The argument.
        argument: String,
        /// Why not.
        why: &'static str,
    },
    /// An argument that no program can be given.
    #[error(
        "could not pass the argument {:?} to the agent: it holds a NUL character",
        redacted_argument(argument)
    )]
    NulInArgument {
        /// The argument.
        argument: String,
    },
}

impl AgentError {
    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoCommand => "name a program, such as `pi`".to_owned(),
            Self::UnknownPlaceholder { .. } => {
                format!("there are: {}; write `{{{{` for a brace", command::known_placeholders())
            }
            Self::StrayBrace { .. } => "write `{{` and `}}` for braces".to_owned(),
            Self::PlaceholderInProgram { .. } => "name the program".to_owned(),
            Self::BadWorkflow { .. } => "give a prompt template's name, such as `/tf`, or words".to_owned(),
            Self::BadFlag { .. } => "give it without that character".to_owned(),
            Self::PathNotUtf8 { .. } => "rename the folder, or put the worktrees elsewhere".to_owned(),
            Self::ReservedArgument { .. } => "leave it out".to_owned(),
            Self::NulInArgument { .. } => "give it without that character".to_owned(),
        }
    }
}

impl Agent {
    /// Takes the words of a configured command. `pi`, by whatever path and with arguments of its own, is pi as long
    /// as no word has a placeholder; everything else is a command.
    pub fn from_words(words: &[String]) -> Result<Self, AgentError> {
        let (program, arguments) = words.split_first().ok_or(AgentError::NoCommand)?;
        let is_pi =
            Path::new(program).file_name().is_some_and(|name| name == "pi") && !program.ends_with('/');
        if is_pi && !words.iter().any(|word| command::has_placeholder(word)) {
            return Ok(Self::Pi(pi::Pi::new(program.clone(), arguments.to_vec())?));
        }
        command::CommandAgent::from_words(words).map(Self::Command)
    }

    /// The program as it was configured: a name or a path, for [`program::resolve`].
    pub fn program(&self) -> &str {
        match self {
            Self::Pi(pi) => pi.program(),
            Self::Command(command) => command.program(),
        }
    }

    /// Whether these further arguments can be given to it.
    pub fn accepts(&self, extra_args: &[String]) -> Result<(), AgentError> {
        match self {
            Self::Pi(pi) => pi.accepts(extra_args),
            Self::Command(_) => Ok(()),
        }
    }

    /// The arguments of one session, after the program.
    pub fn argv(&self, invocation: &Invocation) -> Result<Vec<String>, AgentError> {
        let argv = match self {
            Self::Pi(pi) => pi.argv(invocation),
            Self::Command(command) => command.argv(invocation),
        }?;
        match argv.iter().find(|argument| argument.contains('\0')) {
            Some(argument) => Err(AgentError::NulInArgument { argument: argument.clone() }),
            None => Ok(argv),
        }
    }

    /// Where the agent keeps its own record of a session, if it keeps one.
    pub fn session_file(&self, session_dir: &Path) -> Option<PathBuf> {
        match self {
            Self::Pi(_) => Some(pi::session_file_in(session_dir)),
            Self::Command(_) => None,
        }
    }
}

/// The prompt: one text, `<workflow> <ticket> <flags...>`, unless another one is given.
pub fn prompt(invocation: &Invocation) -> Result<String, AgentError> {
    if let Some(prompt) = &invocation.prompt {
        return checked_workflow(prompt).map(str::to_owned);
    }
    let workflow = checked_workflow(&invocation.workflow)?;
    let mut prompt = format!("{workflow} {}", invocation.ticket);
    for flag in &invocation.flags {
        if flag.chars().any(char::is_control) {
            return Err(AgentError::BadFlag { flag: flag.clone() });
        }
        prompt.push(' ');
        prompt.push_str(&quoted(flag));
    }
    Ok(prompt)
}

fn checked_workflow(workflow: &str) -> Result<&str, AgentError> {
    let refuse = |why| Err(AgentError::BadWorkflow { workflow: workflow.to_owned(), why });
    let trimmed = workflow.trim();
    if trimmed.is_empty() {
        return refuse("it is empty");
    }
    if trimmed.chars().any(char::is_control) {
        return refuse("it holds a control character");
    }
    if trimmed.starts_with('-') {
        return refuse("it would be taken for an option");
    }
    if trimmed.starts_with('@') {
        return refuse("it would be taken for a file");
    }
    Ok(trimmed)
}

/// A flag of several words stays one, in the way that pi's templates split their arguments.
fn quoted(flag: &str) -> String {
    match flag {
        _ if !flag.is_empty() && !flag.contains(char::is_whitespace) => flag.to_owned(),
        _ if !flag.contains('"') => format!("\"{flag}\""),
        _ if !flag.contains('\'') => format!("'{flag}'"),
        // Neither pi nor any template's reader has an escape that works in every version.
        _ => flag.to_owned(),
    }
}

fn path_text(path: &Path) -> Result<&str, AgentError> {
    path.to_str().ok_or_else(|| AgentError::PathNotUtf8 { path: path.to_owned() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn invocation() -> Invocation {
        Invocation {
            ticket: "T-1".parse().unwrap(),
            session: "01a2046c-4369-79c9-9f34-22141d69d200".parse().unwrap(),
            branch: "ralph/T-1".parse().unwrap(),
            worktree: "/trees/t-1".into(),
            base_commit: "0123456789012345678901234567890123456789".to_owned(),
            session_dir: "/store/s".into(),
            workflow: "/tf".to_owned(),
            flags: vec!["--auto".to_owned()],
            capture: Capture::Text,
            extra_args: Vec::new(),
            prompt_template: None,
            prompt: None,
        }
    }

    fn agent(line: &str) -> Result<Agent, AgentError> {
        Agent::from_words(&shlex::split(line).unwrap())
    }

    #[test]
    fn pi_is_known_by_its_name_and_everything_else_is_a_command() {
        for line in ["pi", "/opt/x/bin/pi", "./pi", "pi --model x", "'/with space/pi'"] {
            assert!(matches!(agent(line), Ok(Agent::Pi(_))), "{line}");
        }
        for line in ["codex {prompt}", "pi.sh", "/opt/pi/run", "pi -p {prompt}", "pip", "env pi", "my/pi/"] {
            assert!(matches!(agent(line), Ok(Agent::Command(_))), "{line}");
        }
    }

    #[test]
    fn words_are_not_expanded_and_none_are_no_command() {
        let agent = agent("run 'two words' \"$HOME\" *").unwrap();
        assert_eq!(agent.program(), "run");
        assert_eq!(agent.argv(&invocation()).unwrap(), ["two words", "$HOME", "*"]);
        assert_eq!(Agent::from_words(&[]), Err(AgentError::NoCommand));
    }

    #[test]
    fn the_prompt_is_one_text() {
        let mut given = invocation();
        assert_eq!(prompt(&given).unwrap(), "/tf T-1 --auto");
        given.workflow = " Solve ticket ".to_owned();
        given.flags = ["two words", "say \"hi\" now", ""].map(str::to_owned).to_vec();
        assert_eq!(prompt(&given).unwrap(), "Solve ticket T-1 \"two words\" 'say \"hi\" now' \"\"");
    }

    #[test]
    fn a_workflow_that_pi_would_take_for_something_else_is_refused() {
        for workflow in ["", "  ", "-p", " --auto", "@file", "/tf\nnow", "/tf\u{1b}[31m", "a\0b"] {
            let mut given = invocation();
            given.workflow = workflow.to_owned();
            let error = prompt(&given).unwrap_err();
            assert!(matches!(error, AgentError::BadWorkflow { .. }), "{workflow:?}");
            assert!(!error.to_string().chars().any(char::is_control), "{error}");
        }
        let mut given = invocation();
        given.flags = vec!["a\nb".to_owned()];
        assert!(matches!(prompt(&given), Err(AgentError::BadFlag { .. })));
    }

    #[test]
    fn no_argument_holds_a_nul() {
        let mut given = invocation();
        given.extra_args = vec!["a\0b".to_owned()];
        let error = agent("run").unwrap().argv(&given).unwrap_err();
        assert!(matches!(error, AgentError::NulInArgument { .. }));
    }

    #[test]
    fn a_path_that_is_not_text_is_refused_before_anything_runs() {
        use std::os::unix::ffi::OsStrExt;
        let mut given = invocation();
        given.worktree = Path::new(std::ffi::OsStr::from_bytes(b"/trees/\xff")).to_owned();
        given.session_dir = given.worktree.clone();
        for line in ["run {worktree}", "run {session_dir}", "pi"] {
            let error = agent(line).unwrap().argv(&given).unwrap_err();
            assert!(matches!(error, AgentError::PathNotUtf8 { .. }), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_command_makes_it_panic(words: Vec<String>) {
            if let Ok(agent) = Agent::from_words(&words) {
                drop(agent.argv(&invocation()));
            }
        }
    }
}
