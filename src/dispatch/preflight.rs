//! What would be run, exactly: the program as it is found, its version, the prompt that will answer, every argument.
//! Nothing is started to find out.

use std::path::{Path, PathBuf};

use super::earlier::EarlierRecord;
use super::{AgentRequest, Context, ProjectTrust};
use crate::agent::pi::prompt::{PromptFound, PromptSearch, prompt_inside};
use crate::agent::pi::version::{self, PiVersion};
use crate::agent::pi::{Pi, default_capture};
use crate::agent::{Agent, AgentError, Capture, Invocation, program};
use crate::git::CommitId;
use crate::id::{BranchName, SessionId, TicketId};
use crate::redact;
use crate::session::launch::AccountSource;
use crate::session::manifest::AgentRecord;

/// An agent that could be started.
#[derive(Debug, Clone)]
pub struct AgentReady {
    /// Its program's absolute path.
    pub program: PathBuf,
    /// Its arguments, secrets included: for the supervisor only.
    pub argv: Vec<String>,
    /// Its version, where known.
    pub version: Option<String>,
    /// Where its own account of the session is.
    pub account: AccountSource,
    /// The record of the earlier session that is gone on from.
    pub earlier: Option<EarlierRecord>,
    /// What there is to say.
    pub notes: Vec<String>,
}

impl AgentReady {
    /// The positions of the arguments that look like secrets.
    pub fn secret_positions(&self) -> Vec<usize> {
        redact::secret_positions(&self.argv)
    }

    /// What may be written down of it.
    pub fn record(&self) -> AgentRecord {
        AgentRecord {
            program: self.program.to_string_lossy().into_owned(),
            argv: redact::redacted(&self.argv),
            version: self.version.clone(),
            session_file: match &self.account {
                AccountSource::Pi { session_file, .. } => Some(session_file.clone()),
                AccountSource::None => None,
            },
            extra: serde_json::Map::new(),
        }
    }
}

/// Why the agent cannot be started, and what to do about it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{reason}")]
pub struct NotReady {
    /// What is wrong, with errno where the system would give one.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

impl From<AgentError> for NotReady {
    fn from(error: AgentError) -> Self {
        Self { reason: error.to_string(), hint: Some(error.hint()) }
    }
}

/// One session, as far as the agent's arguments are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Its ticket.
    pub ticket: &'a TicketId,
    /// The session.
    pub session: SessionId,
    /// The lane's branch.
    pub branch: &'a BranchName,
    /// The worktree.
    pub worktree: &'a Path,
    /// The commit that will be checked out in it.
    pub start: &'a CommitId,
    /// The lane's base.
    pub base_commit: &'a str,
}

/// Finds out what would be run.
pub fn preflight(
    context: &Context,
    request: &AgentRequest,
    subject: Subject<'_>,
) -> Result<AgentReady, NotReady> {
    let environment = &context.environment;
    let found =
        program::resolve(request.agent.program(), environment.search_path.as_deref(), &environment.directory);
    let program = found.map_err(|error| NotReady {
        reason: format!("{error} (errno {})", error.errno()),
        hint: Some(error.hint()),
    })?;
    let session_dir = context.store.session_dir(subject.session);
    let mut notes = Vec::new();
    let mut invocation = Invocation {
        ticket: subject.ticket.clone(),
        session: subject.session,
        branch: subject.branch.clone(),
        worktree: subject.worktree.to_owned(),
        base_commit: subject.base_commit.to_owned(),
        session_dir: session_dir.path().to_owned(),
        workflow: request.workflow.clone(),
        flags: request.flags.clone(),
        capture: Capture::Text,
        extra_args: request.extra.clone(),
        prompt_template: None,
        prompt: None,
    };
    let mut account = AccountSource::None;
    let mut earlier = None;
    let mut known = None;
    if let Agent::Pi(pi) = &request.agent {
        let version = version::read(&program);
        invocation.capture = request.capture.unwrap_or_else(|| default_capture(version.as_ref()));
        invocation.extra_args.extend(trust(request.project_trust, version.as_ref()));
        let further = &invocation.extra_args;
        let (template, note) =
            find_prompt(context, request, pi, &subject, &program, version.as_ref(), further)?;
        notes.extend(note);
        invocation.prompt_template = template;
        let session_file = session_dir.pi_session().to_string_lossy().into_owned();
        if let Some(resume) = &request.resume {
            earlier = EarlierRecord::of(&context.store.session_dir(resume.session).pi_session());
            invocation.prompt = earlier.as_ref().map(|_| resume.prompt.clone());
        }
        account = AccountSource::Pi { session_file, from: earlier.as_ref().map_or(0, |e| e.bytes) };
        known = version.map(|version| version.to_string());
    }
    let argv = request.agent.argv(&invocation)?;
    Ok(AgentReady { program, argv, version: known, account, earlier, notes })
}

/// Which file will answer the prompt, as an argument for pi. Of a worktree that is not there yet (a dry run), the
/// commit says what it will hold.
fn find_prompt(
    context: &Context,
    request: &AgentRequest,
    pi: &Pi,
    subject: &Subject<'_>,
    program: &Path,
    version: Option<&PiVersion>,
    further: &[String],
) -> Result<(Option<PathBuf>, Option<String>), NotReady> {
    let environment = &context.environment;
    let search = PromptSearch {
        workflow: &request.workflow,
        worktree: subject.worktree,
        main_checkout: context.repo.main_checkout(),
        agent_dir: environment.pi_dir.as_deref(),
        home: environment.home.as_deref(),
        program: Some(program),
        version,
        extra_args: further,
        check: request.prompt_check,
    };
    if !subject.worktree.exists()
        && let Some(inside) = prompt_inside(&request.workflow)
        && context.repo.tracks(subject.start, &inside).unwrap_or(false)
    {
        return Ok((Some(subject.worktree.join(inside)), None));
    }
    let found = pi.find_prompt(&search);
    let found = found.map_err(|error| NotReady { reason: error.to_string(), hint: Some(error.hint()) })?;
    let note = match &found {
        PromptFound::Unseen { what } => Some(format!("whether pi has this prompt could not be told: {what}")),
        PromptFound::File { .. } | PromptFound::Extension { .. } | PromptFound::NotNeeded => None,
    };
    Ok((found.template().map(Path::to_owned), note))
}

/// pi asks for a project's trust from 0.79 on; before, it does not know the option.
fn trust(trust: ProjectTrust, version: Option<&PiVersion>) -> Option<String> {
    let asks = version.is_some_and(|version| *version >= PiVersion::new(0, 79, 0));
    (trust == ProjectTrust::Approve && asks).then(|| "--approve".to_owned())
}
