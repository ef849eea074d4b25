//! What was typed for `batch` and `run`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::RunArgs;
use crate::config::{self, Limit, MergeStrategy, Verify};
use crate::id::{Lane, RefName};

/// What `--resume` takes from the command that began the batch: everything but how it is shown. A group of arguments would
/// do too, but would be named whole where one is refused.
const AS_IT_WAS_BEGUN: [&str; 35] = [
    "dry_run",
    "tickets",
    "ready",
    "from",
    "bases",
    "stack",
    "merge",
    "no_ticket",
    "agent_args",
    "strategy",
    "verify",
    "verify_timeout",
    "accept_changes",
    "jobs",
    "retries",
    "retry_delay",
    "escalate",
    "stagger",
    "component_prefix",
    "untagged_alone",
    "max_cost",
    "max_tokens",
    "ticket_max_cost",
    "ticket_max_tokens",
    "detach_on_interrupt",
    "timeout",
    "idle_timeout",
    "grace",
    "output",
    "output_cap",
    "capture",
    "workflow",
    "flags",
    "agent",
    "worktree_root",
];

/// Arguments of `batch`.
#[derive(Debug, Clone, Args)]
pub struct BatchArgs {
    /// The tickets, each worked on in a worktree of its own; parts of ids will do
    #[arg(value_name = "TICKET", required_unless_present_any = ["ready", "from", "resume"])]
    pub tickets: Vec<Lane>,
    /// Every open ticket whose deps are closed and that no session works on or has finished, the most urgent first
    #[arg(long, conflicts_with_all = ["tickets", "from"])]
    pub ready: bool,
    /// The tickets that stand in this file, one a line; - for standard input
    #[arg(long, value_name = "FILE|-", conflicts_with = "tickets")]
    pub from: Option<PathBuf>,
    /// Start from this branch, tag or commit; given several times, each ticket is worked on from each
    #[arg(long = "base", value_name = "REF")]
    pub bases: Vec<RefName>,
    /// Merge what succeeded into the base it started from
    #[arg(long, conflicts_with = "stack")]
    pub merge: bool,
    /// Let a ticket start from the work of the tickets that it needs, before that is merged
    #[arg(long)]
    pub stack: bool,
    /// How work is merged.
    #[command(flatten)]
    pub landing: LandingArgs,
    /// Do not look the tickets up in .tickets
    #[arg(long, conflicts_with = "ready")]
    pub no_ticket: bool,
    /// How sessions are started, tried again and bounded.
    #[command(flatten)]
    pub pool: PoolArgs,
    /// Write a page on the batch into this file, readable in any browser
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take up the batch that was killed or interrupted last, as it was begun; the same command again does so too, with
    /// another -j if you like
    #[arg(long, conflicts_with_all = AS_IT_WAS_BEGUN)]
    pub resume: bool,
    /// What is run and within which limits.
    #[command(flatten)]
    pub run: RunArgs,
    /// Further arguments for the agent
    #[arg(last = true, value_name = "AGENT ARGUMENT")]
    pub agent_args: Vec<String>,
}

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
pub struct LoopArgs {
    /// The tickets; parts of ids will do [default: every open one, those that appear meanwhile too]
    #[arg(value_name = "TICKET")]
    pub tickets: Vec<Lane>,
    /// Work on at most so many tickets
    #[arg(long, value_name = "N")]
    pub max_tickets: Option<usize>,
    /// How work is merged.
    #[command(flatten)]
    pub landing: LandingArgs,
    /// How sessions are started, tried again and bounded.
    #[command(flatten)]
    pub pool: PoolArgs,
    /// Write a page on the batch into this file, readable in any browser
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// What is run and within which limits.
    #[command(flatten)]
    pub run: RunArgs,
    /// Further arguments for the agent
    #[arg(last = true, value_name = "AGENT ARGUMENT")]
    pub agent_args: Vec<String>,
}

/// How work is merged.
#[derive(Debug, Clone, Default, Args)]
pub struct LandingArgs {
    /// How work is merged: merge, squash, rebase or ff
    #[arg(long, value_name = "merge|squash|rebase|ff")]
    pub strategy: Option<MergeStrategy>,
    /// What a merged result has to pass before it lands: a command line for the shell
    #[arg(long, value_name = "CMD")]
    pub verify: Option<Verify>,
    /// End the check after this long: 30m, 1h, none
    #[arg(long, value_name = "TIME")]
    pub verify_timeout: Option<Limit<Duration>>,
    /// Merge although git's settings or hooks were changed since an agent was launched
    #[arg(long)]
    pub accept_changes: bool,
}

/// How the sessions of several tickets are started, tried again and bounded.
#[derive(Debug, Clone, Args)]
pub struct PoolArgs {
    /// At most so many sessions at a time [default: two a core, sixteen at most, as far as free memory goes]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), allow_negative_numbers = true)]
    pub jobs: Option<u16>,
    /// Try a ticket again so often: in the same worktree, going on with the agent's session, with more time [default: 0]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100), allow_negative_numbers = true)]
    pub retries: Option<u32>,
    /// Wait so long before a failed ticket is tried again, and twice as long each further time
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = config::duration::parse)]
    pub retry_delay: Duration,
    /// The models of the second try, the third …; the last one stays
    #[arg(long, value_name = "MODEL[,MODEL]", value_delimiter = ',', value_parser = model)]
    pub escalate: Vec<String>,
    /// The least time between two starts [default: for pi, two seconds of one core; else none]
    #[arg(long, value_name = "TIME", value_parser = config::duration::parse)]
    pub stagger: Option<Duration>,
    /// Tickets that share a tag with this prefix never run together
    #[arg(long, value_name = "TEXT", default_value = "component:")]
    pub component_prefix: String,
    /// A ticket without such a tag runs alone
    #[arg(long)]
    pub untagged_alone: bool,
    /// End the batch gracefully once it has cost so much, by the agents' own account
    #[arg(long, value_name = "USD", value_parser = positive, allow_negative_numbers = true)]
    pub max_cost: Option<f64>,
    /// End the batch gracefully once it has used so many tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    pub max_tokens: Option<u64>,
    /// End a ticket's session gracefully once the ticket has cost so much
    #[arg(long, value_name = "USD", value_parser = positive, allow_negative_numbers = true)]
    pub ticket_max_cost: Option<f64>,
    /// End a ticket's session gracefully once the ticket has used so many tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    pub ticket_max_tokens: Option<u64>,
    /// Ctrl-C leaves the running sessions as they are
    #[arg(long)]
    pub detach_on_interrupt: bool,
}

/// Which models there are, pi knows; nothing is the name of none.
fn model(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it must name a model, or several with one comma between two".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 =
        text.trim_start_matches('$').parse().map_err(|_| "it must be an amount such as 2.50")?;
    if number.is_finite() && number > 0.0 {
        Ok(number)
    } else {
        Err("it must be more than nothing".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use crate::cli::args::Cli;

    #[test]
    fn nothing_that_resume_would_pass_over_can_be_given_with_it() {
        let mut cli = Cli::command();
        cli.build();
        let batch = cli.find_subcommand("worktree").unwrap().find_subcommand("batch").unwrap();
        let given = |id: &str| batch.get_arguments().find(|argument| argument.get_id() == id).unwrap();
        let refused = batch.get_arg_conflicts_with(given("resume"));
        let refused: Vec<_> = refused.iter().map(|argument| argument.get_id()).collect();
        let taken = batch.get_arguments().map(clap::Arg::get_id).filter(|id| !refused.contains(id));
        assert_eq!(taken.collect::<Vec<_>>(), ["report", "resume", "json", "repo", "help", "version"]);
    }
}
