//! What is asked for, from flags and settings: where a lane is, and what is run in it.

use super::args::{PlaceArgs, RunArgs};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::naming::TicketLookup;
use super::surroundings::Surroundings;
use crate::agent::{Agent, Capture};
use crate::config::{self, Layer, Limit, Settings};
use crate::dispatch::{AgentRequest, Place, PromptCheck, Request};
use crate::id::RefName;
use crate::session::launch::OutputMode;
use crate::session::manifest::Limits;

impl Surroundings {
    /// `HEAD` by what it means here and now: a lane keeps its base, and HEAD will mean something else.
    pub fn not_head(&self, name: RefName) -> CliResult<RefName> {
        if name.as_str() != "HEAD" {
            return Ok(name);
        }
        let means = self.context.repo.head_base()?.name;
        means.parse().map_err(|error| CliError::new(Exit::Usage, format!("HEAD: {error}")))
    }

    /// Where a lane is or would be.
    pub fn place(&self, args: &PlaceArgs, settings: &Settings) -> CliResult<Place> {
        let lookup = if args.no_ticket { TicketLookup::Skip } else { TicketLookup::InFolder };
        let (ticket, ticket_file) = self.ticket(&args.lane, lookup)?;
        let base = match (&args.base, args.lane.base()) {
            (Some(flag), Some(named)) if flag != named => {
                return Err(CliError::new(
                    Exit::Usage,
                    format!("{} names the base {named}, and --base {flag} another one", args.lane),
                ));
            }
            (flag, named) => flag.as_ref().or(named).cloned(),
        };
        let base = base.map(|name| self.not_head(name)).transpose()?;
        let default_base = match &settings.base {
            config::Base::Here => None,
            config::Base::Named(name) => Some(name.clone()),
        };
        let worktree_root = settings.worktree_root.of(self.main());
        Ok(Place {
            ticket,
            base,
            default_base,
            branch: args.branch.clone(),
            worktree_root,
            ticket_file,
            start_at: None,
        })
    }
}

/// The flags as the topmost layer of settings. Further agent arguments come on top of those from elsewhere.
pub fn layer(run: &RunArgs) -> Layer {
    Layer {
        timeout: run.timeout,
        idle_timeout: run.idle_timeout,
        grace: run.grace,
        output: run.output,
        output_cap: run.output_cap,
        capture: run.capture,
        workflow: run.workflow.clone(),
        flags: run.flags.clone(),
        agent: run.agent.clone(),
        worktree_root: run.worktree_root.clone(),
        ..Layer::default()
    }
}

/// What is run, from the settings.
pub fn agent_request(settings: &Settings, further: &[String]) -> CliResult<AgentRequest> {
    let command = &settings.agent;
    let words: Vec<String> =
        std::iter::once(command.program().to_owned()).chain(command.arguments().iter().cloned()).collect();
    let extra: Vec<String> = settings.agent_args.as_slice().iter().chain(further).cloned().collect();
    let agent = Agent::from_words(&words)
        .and_then(|agent| agent.accepts(&extra).map(|()| agent))
        .map_err(|error| CliError::new(Exit::Usage, error.to_string()).hint(error.hint()))?;
    Ok(AgentRequest {
        agent,
        workflow: settings.workflow.as_str().to_owned(),
        flags: settings.flags.as_slice().to_vec(),
        capture: match settings.capture {
            config::Capture::Auto => None,
            config::Capture::Text => Some(Capture::Text),
            config::Capture::Json => Some(Capture::Json),
        },
        extra,
        prompt_check: match settings.prompt_check {
            config::PromptCheck::Files => PromptCheck::Required,
            config::PromptCheck::Off => PromptCheck::Skip,
        },
        project_trust: settings.approve_project,
        resume: None,
    })
}

/// The limits, from the settings.
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        timeout_s: settings.timeout.bound().map(Into::into),
        idle_timeout_s: settings.idle_timeout.bound().map(Into::into),
        grace_s: settings.grace.into(),
        extra: serde_json::Map::new(),
    }
}

/// Where output goes, from the settings: what is shown live is kept too.
pub fn output_mode(settings: &Settings) -> OutputMode {
    match settings.output {
        config::Output::File | config::Output::Inherit => OutputMode::File,
        config::Output::Discard => OutputMode::Discard,
    }
}

/// The output cap in bytes, from the settings.
pub fn output_cap(settings: &Settings) -> Option<u64> {
    match settings.output_cap {
        Limit::Off => None,
        Limit::At(size) => Some(size.as_bytes()),
    }
}

/// Refuses a limit on silence where nothing would be heard: every session would be ended as idle.
pub fn refuse_blind_idle_timeout(request: &Request) -> CliResult<()> {
    let nothing_to_look_at =
        request.output == OutputMode::Discard && !matches!(request.agent.agent, Agent::Pi(_));
    if request.limits.idle_timeout_s.is_none() || !nothing_to_look_at {
        return Ok(());
    }
    Err(CliError::new(
        Exit::Usage,
        "an idle timeout looks at the agent's output, which is discarded, and this agent keeps no record of its own",
    )
    .hint("keep the output (--output file), or drop the idle timeout (--idle-timeout none)"))
}
