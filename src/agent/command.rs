//! An agent that is not pi: a command whose words hold placeholders.
//!
//! `my-agent --dir {worktree} {prompt}` is split into words once, when it is configured; what is put in for a
//! placeholder stays within its word, whatever it holds. `{{` and `}}` stand for braces. Nothing is known about such
//! an agent but its exit status.

use super::{AgentError, Invocation, path_text, prompt};

/// A configured command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAgent {
    program: String,
    arguments: Vec<Template>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Placeholder {
    Ticket,
    Prompt,
    Worktree,
    Branch,
    BaseCommit,
    SessionId,
    SessionDir,
}

const PLACEHOLDERS: [(&str, Placeholder); 7] = [
    ("ticket", Placeholder::Ticket),
    ("prompt", Placeholder::Prompt),
    ("worktree", Placeholder::Worktree),
    ("branch", Placeholder::Branch),
    ("base_commit", Placeholder::BaseCommit),
    ("session_id", Placeholder::SessionId),
    ("session_dir", Placeholder::SessionDir),
];

/// The placeholders that there are, for messages.
pub(super) fn known_placeholders() -> String {
    PLACEHOLDERS.map(|(name, _)| format!("{{{name}}}")).join(" ")
}

impl CommandAgent {
    /// Takes the words of a command: the program, then its arguments.
    pub fn from_words(words: &[String]) -> Result<Self, AgentError> {
        let (first, rest) = words.split_first().ok_or(AgentError::NoCommand)?;
        let program = Template::parse(first)?
            .literal()
            .ok_or_else(|| AgentError::PlaceholderInProgram { word: first.clone() })?;
        if program.is_empty() {
            return Err(AgentError::NoCommand);
        }
        let arguments = rest.iter().map(|word| Template::parse(word)).collect::<Result<_, _>>()?;
        Ok(Self { program, arguments })
    }

    /// The program as it was configured: a name or a path.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The arguments of one session, after the program.
    pub fn argv(&self, invocation: &Invocation) -> Result<Vec<String>, AgentError> {
        let mut argv = Vec::with_capacity(self.arguments.len() + invocation.extra_args.len());
        for template in &self.arguments {
            argv.push(template.expand(invocation)?);
        }
        argv.extend(invocation.extra_args.iter().cloned());
        Ok(argv)
    }
}

/// Whether a word of a command holds a placeholder, or something that looks like one.
pub(super) fn has_placeholder(word: &str) -> bool {
    Template::parse(word).map_or(true, |template| template.literal().is_none())
}

impl Template {
    fn parse(word: &str) -> Result<Self, AgentError> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = word;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            text.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                text.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                text.push('}');
                rest = after;
            } else {
                let (name, after) = from
                    .strip_prefix('{')
                    .and_then(|inner| inner.split_once('}'))
                    .ok_or_else(|| AgentError::StrayBrace { word: word.to_owned() })?;
                let (_, value) = PLACEHOLDERS
                    .iter()
                    .find(|(known, _)| *known == name)
                    .ok_or_else(|| AgentError::UnknownPlaceholder { name: name.to_owned() })?;
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(Part::Value(*value));
                rest = after;
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        Ok(Self(parts))
    }

    fn literal(&self) -> Option<String> {
        match self.0.as_slice() {
            [] => Some(String::new()),
            [Part::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }

    fn expand(&self, invocation: &Invocation) -> Result<String, AgentError> {
        let mut word = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => word.push_str(text),
                Part::Value(Placeholder::Ticket) => word.push_str(invocation.ticket.as_str()),
                Part::Value(Placeholder::Prompt) => word.push_str(&prompt(invocation)?),
                Part::Value(Placeholder::Worktree) => word.push_str(path_text(&invocation.worktree)?),
                Part::Value(Placeholder::Branch) => word.push_str(invocation.branch.as_str()),
                Part::Value(Placeholder::BaseCommit) => word.push_str(&invocation.base_commit),
                Part::Value(Placeholder::SessionId) => word.push_str(&invocation.session.to_string()),
                Part::Value(Placeholder::SessionDir) => word.push_str(path_text(&invocation.session_dir)?),
            }
        }
        Ok(word)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::invocation;
    use super::*;
    use proptest::prelude::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn placeholders_are_filled_in_and_never_split() {
        let agent = CommandAgent::from_words(&words(&[
            "agent",
            "--dir={worktree}",
            "{prompt}",
            "{ticket}/{branch}",
            "{base_commit}",
            "{session_id}",
            "{session_dir}",
            "{{literal}}",
        ]))
        .unwrap();
        let mut given = invocation();
        given.worktree = "/trees/with space/and $(x) \"quotes\" {ticket}".into();
        given.extra_args = words(&["--extra", "{ticket}"]);
        assert_eq!(agent.program(), "agent");
        assert_eq!(
            agent.argv(&given).unwrap(),
            [
                "--dir=/trees/with space/and $(x) \"quotes\" {ticket}",
                "/tf T-1 --auto",
                "T-1/ralph/T-1",
                "0123456789012345678901234567890123456789",
                &given.session.to_string(),
                "/store/s",
                "{literal}",
                "--extra",
                "{ticket}",
            ]
        );
    }

    #[test]
    fn what_is_not_a_placeholder_is_refused_by_name() {
        let error = CommandAgent::from_words(&words(&["agent", "{tikcet}"])).unwrap_err();
        assert_eq!(error, AgentError::UnknownPlaceholder { name: "tikcet".to_owned() });
        assert!(error.hint().contains("{ticket} {prompt} {worktree}"), "{}", error.hint());
        for word in ["{", "}", "a{ticket", "{ticket}}", "{}", "{ ticket }"] {
            assert!(CommandAgent::from_words(&words(&["agent", word])).is_err(), "{word:?} was taken");
        }
        assert!(CommandAgent::from_words(&words(&["{ticket}"])).is_err());
        assert!(CommandAgent::from_words(&words(&[""])).is_err());
        assert!(CommandAgent::from_words(&[]).is_err());
    }

    proptest! {
        #[test]
        fn no_word_makes_it_panic(word: String) {
            if let Ok(agent) = CommandAgent::from_words(&["agent".to_owned(), word]) {
                prop_assert!(agent.argv(&invocation()).is_ok());
            }
        }

        #[test]
        fn a_word_without_braces_stays_as_it_is(word in "[^{}]*") {
            let agent = CommandAgent::from_words(&["agent".to_owned(), word.clone()]).unwrap();
            prop_assert_eq!(agent.argv(&invocation()).unwrap(), [word]);
        }
    }
}
