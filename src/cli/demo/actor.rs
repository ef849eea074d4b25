//! One ticket of the demo, from its dispatch to its end.

use jiff::Timestamp;

use super::event::Event;
use super::project::DemoTicket;
use crate::cli::error::CliResult;
use crate::cli::stop::request_stop;
use crate::cli::surroundings::Surroundings;
use crate::cli::tail::{Rest, Tail};
use crate::cli::waiting::{ended_manifest, is_live};
use crate::id::SessionId;
use crate::session::manifest::Manifest;
use crate::session::store::Urgency;

/// Who is told what happens.
pub type Tell<'a> = &'a mut dyn FnMut(&Event<'_>) -> CliResult<()>;

/// What a dispatch came to: the manifest of a session that runs.
pub type Launched = Box<Manifest>;

/// A ticket and its session.
pub struct Actor {
    /// The ticket.
    pub ticket: &'static DemoTicket,
    /// How far it is.
    pub state: State,
    /// The last line that its agent printed.
    pub said: String,
}

/// How far a ticket is.
pub enum State {
    /// Its worktree is being made.
    Waiting,
    /// Its agent runs.
    Running {
        /// Its manifest, as it was when the agent was started.
        manifest: Launched,
        /// What its agent prints.
        tail: Box<Tail>,
    },
    /// Its session has ended.
    Ended(Launched),
    /// It never ran: why.
    NotLaunched(String),
}

impl Actor {
    /// A ticket that is about to be dispatched.
    pub fn new(ticket: &'static DemoTicket) -> Self {
        Self { ticket, state: State::Waiting, said: String::new() }
    }

    /// Whether its session runs.
    pub fn is_running(&self) -> bool {
        self.running().is_some()
    }

    /// Its session, while that runs.
    pub fn running(&self) -> Option<SessionId> {
        match &self.state {
            State::Running { manifest, .. } => Some(manifest.session_id),
            State::Waiting | State::Ended(_) | State::NotLaunched(_) => None,
        }
    }

    /// How long its agent has run, or did.
    pub fn age(&self, now: Timestamp) -> Option<jiff::SignedDuration> {
        match &self.state {
            State::Running { manifest, .. } | State::Ended(manifest) => {
                Some(manifest.ended_at.unwrap_or(now).duration_since(manifest.started_at?))
            }
            State::Waiting | State::NotLaunched(_) => None,
        }
    }

    /// Takes what its dispatch came to.
    pub fn enter(&mut self, launched: CliResult<Launched>, tell: Tell<'_>) -> CliResult<()> {
        match launched {
            Ok(manifest) => {
                tell(&Event::Launched { manifest: &manifest })?;
                let tail = Box::new(Tail::of(&manifest));
                self.state = State::Running { manifest, tail };
            }
            Err(error) => {
                tell(&Event::NotLaunched { ticket: self.ticket.id, why: &error.message })?;
                self.state = State::NotLaunched(error.message);
            }
        }
        Ok(())
    }

    /// Looks at what its agent printed, and whether it has ended.
    pub fn look(&mut self, here: &Surroundings, tell: Tell<'_>) -> CliResult<()> {
        let State::Running { manifest, tail } = &mut self.state else { return Ok(()) };
        // Asked first: what is printed before the end is then read to its end.
        let is_over = !is_live(here, manifest.session_id)?;
        let rest = if is_over { Rest::Too } else { Rest::Later };
        for line in tail.new_lines(rest) {
            tell(&Event::Said { ticket: self.ticket.id, line: &line })?;
            self.said = line;
        }
        if is_over {
            let manifest = Box::new(ended_manifest(here, manifest.session_id)?);
            tell(&Event::Ended { manifest: &manifest })?;
            self.state = State::Ended(manifest);
        }
        Ok(())
    }

    /// Asks for its end.
    pub fn stop(&self, here: &Surroundings, urgency: Urgency) -> CliResult<()> {
        let Some(session) = self.running() else { return Ok(()) };
        request_stop(here, session, urgency)
    }
}
