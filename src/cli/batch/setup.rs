//! From what was asked for to how a batch is run: defaults that depend on the machine, and what every session has in
//! common.

use std::time::Duration;

use super::wish::Wish;
use crate::agent::Agent;
use crate::batch::board::Handover;
use crate::batch::budget::Budget;
use crate::batch::policy::{Rules, Untagged};
use crate::batch::retry::{Landing, RetryRules};
use crate::batch::run::{OnInterrupt, Setup};
use crate::batch::source::Stacking;
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::cli::render::Out;
use crate::cli::request::{agent_request, limits, output_cap, output_mode, refuse_blind_idle_timeout};
use crate::cli::surroundings::Surroundings;
use crate::config::Settings;
use crate::dispatch::{Place, Request};
use crate::id::{RefName, SessionId, TicketId};
use crate::process::memory;

/// What an agent takes until it answers: measured with pi, which is the hungriest there is.
const MEMORY_PER_START: u64 = 150 << 20;
/// From here on a checkout counts as one of many files: some ten thousand.
const INDEX_OF_MANY_FILES: u64 = 1 << 20;
/// So many worktrees of many files are begun at the same moment, however few cores there are.
const MOST_READ_TOGETHER: usize = 8;
const CPU_PER_START: Duration = Duration::from_secs(2);
/// More sessions at a time only on request: their provider is one.
const MOST_JOBS_BY_DEFAULT: usize = 16;

/// The base of plain lanes, told once: what is checked out may change while the batch runs.
pub fn default_base(here: &Surroundings, settings: &Settings) -> CliResult<Option<RefName>> {
    if let crate::config::Base::Named(name) = &settings.base {
        return Ok(Some(here.not_head(name.clone())?));
    }
    let standing_in = crate::dispatch::plan::lane_one_stands_in(&here.context)?;
    let name = match standing_in {
        Some(record) => record.base_ref,
        None => here.context.repo.head_base()?.name,
    };
    Ok(name.parse().ok())
}

/// What every session's request has in common.
pub fn template(here: &Surroundings, settings: &Settings, agent_args: &[String]) -> CliResult<Request> {
    // Replaced by each item's own.
    let nobody: TicketId =
        "ticket".parse().map_err(|error| CliError::new(Exit::Bug, format!("a ticket id: {error}")))?;
    let request = Request {
        session: SessionId::generate(),
        place: Place {
            ticket: nobody,
            base: None,
            default_base: None,
            branch: None,
            worktree_root: settings.worktree_root.of(here.main()),
            ticket_file: None,
            start_at: None,
        },
        agent: agent_request(settings, agent_args)?,
        output: output_mode(settings),
        output_cap: output_cap(settings),
        limits: limits(settings),
    };
    refuse_blind_idle_timeout(&request)?;
    Ok(request)
}

pub fn setup(here: &Surroundings, wish: &Wish, template: &Request, out: &Out) -> CliResult<Setup> {
    let pool = &wish.pool;
    let is_pi = matches!(template.agent.agent, Agent::Pi(_));
    if !is_pi && !pool.escalate.is_empty() {
        return Err(CliError::new(
            Exit::Usage,
            "--escalate chooses pi's model, and the agent is another one",
        )
        .hint("leave --escalate out"));
    }
    let budget = Budget { cost: pool.max_cost, tokens: pool.max_tokens };
    let ticket_budget = Budget { cost: pool.ticket_max_cost, tokens: pool.ticket_max_tokens };
    if !is_pi && (budget.is_bounded() || ticket_budget.is_bounded()) {
        out.note("this agent does not tell what it uses: the budget cannot be kept");
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let jobs = pool.jobs.map_or_else(|| default_jobs(cores, memory::available()), usize::from);
    let per_core = u32::try_from(cores).map_or(CPU_PER_START, |cores| CPU_PER_START / cores.max(1));
    let stagger = pool.stagger.unwrap_or(if is_pi { per_core } else { Duration::ZERO });
    Ok(Setup {
        environment: here.context.environment.clone(),
        machine: here.context.machine.clone(),
        rules: Rules {
            jobs,
            handover: match (&wish.landing, wish.stacking) {
                (Some(_), _) => Handover::Landed,
                (None, Stacking::FromDeps) => Handover::Stacked,
                (None, Stacking::FromBase) => Handover::Nothing,
            },
            untagged: if pool.untagged_alone { Untagged::Alone } else { Untagged::Together },
        },
        retry: RetryRules {
            retries: pool.retries.unwrap_or(0),
            delay: pool.retry_delay,
            escalate: pool.escalate.clone(),
        },
        landing: if wish.landing.is_some() { Landing::Merge } else { Landing::Leave },
        budget,
        ticket_budget,
        stagger,
        memory_per_start: MEMORY_PER_START,
        on_interrupt: if pool.detach_on_interrupt { OnInterrupt::Leave } else { OnInterrupt::End },
        most_tickets: wish.most_tickets,
        starters: starters(jobs, cores, index_size(here)),
    })
}

/// How many sessions are begun at the same moment. Worktrees of many files that are written at once are read once for all
/// of them; of few, more only get into each other's way.
fn starters(jobs: usize, cores: usize, index_size: u64) -> usize {
    let most = if index_size >= INDEX_OF_MANY_FILES { MOST_READ_TOGETHER } else { 0 };
    jobs.min(most.max(cores + 1))
}

/// What the index of the main checkout has in bytes: some hundred for each file of a worktree.
fn index_size(here: &Surroundings) -> u64 {
    here.context.repo.common_dir().join("index").metadata().map_or(0, |index| index.len())
}

/// Two sessions a core, since they mostly wait for their model; as many as memory has room for.
fn default_jobs(cores: usize, free: Option<u64>) -> usize {
    let fit = free.and_then(|free| usize::try_from(free / MEMORY_PER_START).ok()).unwrap_or(usize::MAX);
    (2 * cores).min(fit).clamp(1, MOST_JOBS_BY_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_run_at_a_time_as_cores_and_memory_allow() {
        let free = |starts: u64| Some(starts * MEMORY_PER_START);
        let cases =
            [(2, free(100), 4), (2, free(3), 3), (2, Some(0), 1), (64, free(1000), 16), (8, None, 16)];
        for (cores, free, jobs) in cases {
            assert_eq!(default_jobs(cores, free), jobs, "{cores} {free:?}");
        }
    }

    #[test]
    fn more_are_begun_at_once_where_files_are_many() {
        let many = INDEX_OF_MANY_FILES;
        let cases = [(50, 2, 0, 3), (50, 2, many, 8), (4, 2, many, 4), (50, 16, many, 17), (2, 2, 0, 2)];
        for (jobs, cores, index, most) in cases {
            assert_eq!(starters(jobs, cores, index), most, "{jobs} {cores} {index}");
        }
    }
}
