//! What was typed. Nothing here means anything yet: defaults and sources are resolved by `config`, names by `session`.

pub mod batch;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::exit;
use crate::config::{
    self, Capture, Limit, MergeStrategy, Output, Size, Verify, Words, Workflow, WorktreeRoot,
};
use crate::id::{BranchName, Lane, RefName};

/// Run many coding agents side by side on one git repository: one ticket, one branch, one worktree, one supervised
/// session.
#[derive(Debug, Parser)]
#[command(name = "ralph", version, disable_help_subcommand = true, propagate_version = true)]
#[command(after_help = exit::all_in_words())]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Print JSON for programs: one document, or one object a line where it streams
    #[arg(long, global = true)]
    pub json: bool,
    /// The repository, or any folder in it [default: the folder you stand in]
    #[arg(long, global = true, value_name = "DIR")]
    pub repo: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create, dispatch and look after per-ticket worktrees
    #[command(subcommand, visible_alias = "wt")]
    Worktree(Box<WorktreeCommand>),
    /// Work through the open tickets: dispatch, merge what succeeded, close, go on, until none is ready
    Run(Box<batch::LoopArgs>),
    /// Try ralph on a small repository of its own, in a new folder under the temp directory
    Demo(DemoArgs),
    /// Check what ralph needs on this machine and in this repository
    Doctor,
    /// Print every effective setting and where it came from
    Config(ConfigArgs),
    /// Print the JSON Schema of the session manifest, or of a batch's events
    Schema(SchemaArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Write the manual pages into a folder
    Man(ManArgs),
}

/// The commands on worktrees.
#[derive(Debug, Subcommand)]
pub enum WorktreeCommand {
    /// Create or locate the ticket's worktree; launch nothing
    Create(CreateArgs),
    /// Create or locate the worktree, launch the agent in it, record the session, and return
    Dispatch(Box<DispatchArgs>),
    /// Work on many tickets, some at a time: dependencies and components respected, a free slot filled at once
    Batch(Box<batch::BatchArgs>),
    /// List every lane: state, outcome, age, recorded work
    List(ListArgs),
    /// Show the manifest of a ticket, of a path, or of the worktree you stand in
    Inspect(InspectArgs),
    /// Show what the agent said and did
    Logs(LogsArgs),
    /// Wait until the tickets' sessions have ended; the exit status tells how
    Wait(WaitArgs),
    /// End the tickets' sessions: gracefully, then by force; nothing of them is left
    Stop(StopArgs),
    /// Follow a session that runs; open pi on one that has ended
    Attach(LaneArg),
    /// Bring the ticket's work into a branch; no one's checkout is disturbed
    Merge(MergeArgs),
    /// Move a worktree to the trash, if nothing could be lost
    Remove(RemoveArgs),
    /// Bring back a worktree that was removed
    Restore(RestoreArgs),
    /// Settle every session that has no supervisor, as after a crash or a reboot
    Recover,
    /// Delete old ended sessions, their manifests too, and the trash; says what it would delete unless --yes
    #[command(after_help = "A lane's last session stays, and so do the journals of batches.")]
    Gc(GcArgs),
    /// Print the path of the ticket's worktree
    Path(LaneArg),
}

/// A lane by name.
#[derive(Debug, Clone, Args)]
pub struct LaneArg {
    /// The ticket, or TICKET@BASE where it has several lanes; a part of its id will do where a .tickets folder says
    /// which is meant
    #[arg(value_name = "TICKET")]
    pub lane: Lane,
}

/// Where a new lane starts.
#[derive(Debug, Clone, Args)]
pub struct PlaceArgs {
    /// The ticket, or TICKET@BASE; a part of its id will do where a .tickets folder says which is meant
    #[arg(value_name = "TICKET")]
    pub lane: Lane,
    /// Start from this branch, tag or commit [default: what is checked out where you stand]
    #[arg(long, value_name = "REF")]
    pub base: Option<RefName>,
    /// Work on this branch [default: ralph/TICKET]
    #[arg(long, value_name = "NAME")]
    pub branch: Option<BranchName>,
    /// Do not look the ticket up in .tickets
    #[arg(long)]
    pub no_ticket: bool,
}

/// Arguments of `create`.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// Which lane, and where it starts.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `dispatch`.
#[derive(Debug, Clone, Args)]
pub struct DispatchArgs {
    /// Which lane, and where it starts.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// What is run and within which limits.
    #[command(flatten)]
    pub run: RunArgs,
    /// Stay until the session has ended, and exit by its outcome
    #[arg(long)]
    pub wait: bool,
    /// Print the full plan and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Further arguments for the agent
    #[arg(last = true, value_name = "AGENT ARGUMENT")]
    pub agent_args: Vec<String>,
}

/// What is run and within which limits: the settings that can also stand in a file or in the environment.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// End the session after this long: 30m, 1h30m, none
    #[arg(long, value_name = "TIME")]
    pub timeout: Option<Limit<Duration>>,
    /// End the session after this long without a sign of life
    #[arg(long, value_name = "TIME")]
    pub idle_timeout: Option<Limit<Duration>>,
    /// How long the agent has to end itself before it is killed
    #[arg(long, value_name = "TIME", value_parser = config::duration::parse)]
    pub grace: Option<Duration>,
    /// Where the agent's output goes; inherit is file, and `dispatch` stays and shows it live
    #[arg(long, value_name = "file|inherit|discard")]
    pub output: Option<Output>,
    /// Keep at most this much of each output file: 64M, 1G, none
    #[arg(long, value_name = "SIZE")]
    pub output_cap: Option<Limit<Size>>,
    /// What pi writes to its standard output [default: text below pi 0.84, json from there]
    #[arg(long, value_name = "text|json")]
    pub capture: Option<Capture>,
    /// The prompt template that pi is given with the ticket's id
    #[arg(long, value_name = "/NAME")]
    pub workflow: Option<Workflow>,
    /// What follows the ticket's id in the prompt
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true)]
    pub flags: Option<Words>,
    /// The agent: pi, a path to it, or another command with placeholders such as {ticket}
    #[arg(long, value_name = "COMMAND")]
    pub agent: Option<config::Command>,
    /// The folder for new worktrees [default: ../REPOSITORY.ralph]
    #[arg(long, value_name = "DIR")]
    pub worktree_root: Option<WorktreeRoot>,
}

/// Arguments of `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Look at the trees now: uncommitted and untracked files
    #[arg(long)]
    pub dirty: bool,
}

/// Arguments of `inspect`.
#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// A ticket or a part of its id, a session id, or a path in a worktree [default: the folder you stand in]
    #[arg(value_name = "TICKET|PATH", conflicts_with_all = ["all", "under"])]
    pub what: Option<String>,
    /// Every session of this repository
    #[arg(long, conflicts_with = "under")]
    pub all: bool,
    /// The manifest of every worktree of every repository below this folder
    #[arg(long, value_name = "DIR")]
    pub under: Option<PathBuf>,
}

/// Arguments of `logs`.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The ticket, or TICKET@BASE where it has several lanes; a part of its id will do where a .tickets folder says
    /// which is meant
    #[arg(value_name = "TICKET")]
    pub lane: Lane,
    /// Go on until the session has ended
    #[arg(short, long)]
    pub follow: bool,
    /// The bytes of the agent's standard output as they are: on a terminal its control sequences act
    #[arg(long)]
    pub raw: bool,
    /// The standard error instead
    #[arg(long)]
    pub stderr: bool,
}

/// Arguments of `wait`.
#[derive(Debug, Clone, Args)]
pub struct WaitArgs {
    /// The tickets; a part of an id will do where a .tickets folder says which is meant
    #[arg(value_name = "TICKET", required = true)]
    pub lanes: Vec<Lane>,
}

/// Arguments of `stop`.
#[derive(Debug, Clone, Args)]
pub struct StopArgs {
    /// The tickets; a part of an id will do where a .tickets folder says which is meant
    #[arg(value_name = "TICKET", required_unless_present = "all", conflicts_with = "all")]
    pub lanes: Vec<Lane>,
    /// Every session that runs in this repository
    #[arg(long)]
    pub all: bool,
    /// Do not wait for the agent to end itself
    #[arg(long)]
    pub now: bool,
}

/// Arguments of `merge`.
#[derive(Debug, Clone, Args)]
pub struct MergeArgs {
    /// The ticket, or TICKET@BASE where it has several lanes; a part of its id will do where a .tickets folder says
    /// which is meant
    #[arg(value_name = "TICKET")]
    pub lane: Lane,
    /// The branch to merge into [default: the one that the lane started from]
    #[arg(long, value_name = "BRANCH")]
    pub into: Option<RefName>,
    /// A merge commit, one commit that holds all, the commits made anew on top, or as they are
    #[arg(long, value_name = "merge|squash|rebase|ff")]
    pub strategy: Option<MergeStrategy>,
    /// Run this check on the merged result, in a worktree of its own, before it lands; none: no check
    #[arg(long, value_name = "COMMAND")]
    pub verify: Option<Verify>,
    /// End the check after this long: 30m, 1h, none
    #[arg(long, value_name = "TIME")]
    pub verify_timeout: Option<Limit<Duration>>,
    /// Merge although git's settings or hooks were changed since the agent was launched
    #[arg(long)]
    pub accept_changes: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `remove`.
#[derive(Debug, Clone, Args)]
pub struct RemoveArgs {
    /// The ticket, or TICKET@BASE where it has several lanes; a part of its id will do where a .tickets folder says
    /// which is meant
    #[arg(value_name = "TICKET")]
    pub lane: Lane,
    /// Move unsaved work to the trash too; `restore` brings it back until the trash expires
    #[arg(long)]
    pub with_unsaved: bool,
    /// Print what would be done and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `restore`.
#[derive(Debug, Clone, Args)]
pub struct RestoreArgs {
    /// The ticket by its full id, or TICKET@BASE where it had several lanes
    #[arg(value_name = "TICKET")]
    pub lane: Lane,
}

/// Arguments of `gc`.
#[derive(Debug, Clone, Args)]
pub struct GcArgs {
    /// Expire what ended or was removed longer ago than this: 30d, 12h
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = config::duration::parse)]
    pub older_than: Duration,
    /// Delete; without it, what would be deleted is only listed
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// The agent: the stand-in that is built into ralph, or the real pi
    #[arg(long, value_enum, default_value_t = DemoAgent::StandIn)]
    pub agent: DemoAgent,
}

/// The agents that the demo can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoAgent {
    /// A stand-in built into ralph: no model, no network
    StandIn,
    /// The pi on your PATH, with your provider and at your cost
    Pi,
}

/// Arguments of `config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// What to do instead of printing.
    #[command(subcommand)]
    pub action: Option<ConfigAction>,
}

/// What `config` can do beside printing.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigAction {
    /// Show the commands that the repository's ralph.toml would run, and approve them
    Approve,
}

/// Arguments of `schema`.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
    /// The format
    #[arg(value_enum, default_value_t = Format::Manifest)]
    pub of: Format,
}

/// The formats that are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The record of a session
    Manifest,
    /// What happens in a batch: the lines of `batch --json`
    Events,
}

/// Arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Arguments of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// The folder that the pages are written to
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::config::Key;

    fn flags_of(command: &clap::Command, found: &mut BTreeSet<String>) {
        found
            .extend(command.get_arguments().filter_map(|arg| arg.get_long()).map(|long| format!("--{long}")));
        command.get_subcommands().for_each(|inner| flags_of(inner, found));
    }

    #[test]
    fn the_flag_of_every_setting_is_one_that_can_be_typed() {
        let mut flags = BTreeSet::new();
        flags_of(&Cli::command(), &mut flags);
        for key in Key::ALL {
            match key.flag() {
                Some(flag) => assert!(flags.contains(&flag), "{key}: there is no {flag}"),
                None => assert!(!flags.contains(&format!("--{key}")), "{key} has a flag"),
            }
        }
    }
}
