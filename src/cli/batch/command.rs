//! The command that begins a batch: written down without its secrets, and repeated when the batch is taken up.

use super::ticketflow;
use super::wish::Wish;
use crate::batch::journal::Known;
use crate::cli::args::batch::BatchArgs;
use crate::cli::args::{Cli, Command, WorktreeCommand};
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::cli::render::Out;
use crate::cli::surroundings::Surroundings;
use crate::redact::{REDACTED, redacted, redacted_line, redacted_script};

/// What the command asked for that began a batch.
pub fn again(here: &Surroundings, known: &Known, out: &Out) -> CliResult<Wish> {
    use clap::Parser;
    let command = known.command().unwrap_or_default();
    let refuse = |why: &str| {
        let message = format!("the command that began batch {} cannot be repeated: {why}", known.id);
        CliError::new(Exit::Usage, message).hint("give the same command again")
    };
    if command.iter().any(|word| word.contains(REDACTED)) {
        return Err(refuse("it held what looks like a secret, which was not written down")
            .hint("give the same command again, secret and all: it takes the batch up where it was"));
    }
    let words = std::iter::once("ralph").chain(command.iter().map(String::as_str));
    let parsed = Cli::try_parse_from(words).map_err(|_| refuse("it is of another version of ralph"))?;
    let wish = match parsed.command {
        Command::Run(args) => Some(ticketflow::over(Wish::of_run(&args), here.main(), out)?),
        Command::Worktree(worktree) => match *worktree {
            // The items are on record.
            WorktreeCommand::Batch(args) => Some(Wish::of_batch(&BatchArgs { from: None, ..*args })?),
            _ => None,
        },
        _ => None,
    };
    wish.ok_or_else(|| refuse("it is none that begins a batch"))
}

/// What was typed, as far as it may be written down: the manifests do not have these secrets either.
pub fn command() -> Vec<String> {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    written_down(&words.collect::<Vec<_>>())
}

fn written_down(words: &[String]) -> Vec<String> {
    let mut safe = redacted(words);
    for (at, word) in words.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        let (given, line) = match (before, word.split_once('=')) {
            (Some(option), _) if line_of(option).is_some() => (option.as_str(), word.as_str()),
            (_, Some(halves)) => halves,
            _ => continue,
        };
        let (Some(safe), Some(line_without)) = (safe.get_mut(at), line_of(given)) else { continue };
        let kept = word.strip_suffix(line).unwrap_or_default();
        *safe = format!("{kept}{}", line_without(line));
    }
    safe
}

/// How the secrets are taken out of what this option is given, where that is a whole command line.
fn line_of(option: &str) -> Option<fn(&str) -> String> {
    match option {
        "--agent" | "--flags" => Some(redacted_line),
        "--verify" => Some(redacted_script),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_written_down_without_the_secrets_in_its_command_lines() {
        let cases: &[(&[&str], &[&str])] = &[
            (&["batch", "--agent", "ag --password hunter2"], &["batch", "--agent", "ag --password ***"]),
            (&["--agent=ag --password=hunter2 x", "T-1"], &["--agent=ag --password=*** x", "T-1"]),
            (&["--verify", "make && up --token hunter2"], &["--verify", "make && up --token ***"]),
            (&["--verify", "TOKEN=$T up --token $T"], &["--verify", "TOKEN=$T up --token $T"]),
            (&["--flags=--key-file=x --token hunter2"], &["--flags=--key-file=x --token ***"]),
            (&["T-1", "--", "--api-key", "hunter2"], &["T-1", "--", "--api-key", "***"]),
        ];
        for (typed, safe) in cases {
            let typed: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(written_down(&typed), *safe, "{typed:?}");
        }
    }
}
