//! `ralph demo`: four tickets, four worktrees, four supervised agents at once, in a new folder that holds all of it.
//!
//! Everything goes the way of a real dispatch. Only the agent is a stand-in, unless pi is asked for; that is said.
//! No settings are read and none of the user's files: what is configured has no part in it.

mod actor;
mod ending;
mod event;
mod fill;
mod landing;
mod orders;
pub mod project;
mod show;
mod stage;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;

use super::args::{DemoArgs, Global};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::render::Out;
use super::stop::request_stop;
use super::surroundings::{NotInside, Surroundings, refuse_inside_a_session, variables};
use super::waiting::{Happening, Vigil};
use crate::session::store::Urgency;
use actor::{Actor, Launched};
use ending::{Planned, as_planned};
use event::Event;
use orders::Orders;
use project::TICKETS;
use show::Show;
use stage::{Cast, Stage};

/// How often the sessions are looked at, and drawn.
const TICK: Duration = Duration::from_millis(80);

/// Runs the command.
pub fn run(args: &DemoArgs, out: &Out) -> CliResult {
    let variables = variables();
    refuse_inside_a_session(&variables, NotInside::Dispatch)?;
    let cast = Cast::of(args.agent)?;
    let stage = Stage::build()?;
    // The folder that one stands in may be gone by now, or go; git needs one that is there.
    std::env::set_current_dir(&stage.folder).map_err(|e| {
        CliError::new(Exit::CannotDo, format!("could not go to {}: {e}", stage.folder.display()))
    })?;
    let mut show = Show::of(out, variables.get("TERM").map(String::as_str));
    show.opening(&stage, args.agent)?;
    let global = Global { json: false, repo: Some(stage.repository.clone()) };
    let here = Surroundings::read(&global)?;
    let mut play = Play { here: &here, actors: TICKETS.iter().map(Actor::new).collect(), orders: Orders::Go };
    play.perform(&cast, &global, &mut show)?;
    ending::tell(&stage, &here, &play.actors, args.agent, play.orders, out)?;
    Ok(match (play.orders, as_planned(&play.actors, args.agent)) {
        (Orders::Stop(_), _) => Exit::Interrupted,
        (Orders::Go, Planned::Yes) => Exit::Done,
        (Orders::Go, Planned::No) => Exit::NotSucceeded,
    })
}

/// Which ticket was dispatched, and what that came to.
type Launches = (usize, CliResult<Launched>);

struct Play<'a> {
    here: &'a Surroundings,
    actors: Vec<Actor>,
    orders: Orders,
}

impl Play<'_> {
    /// Dispatches all tickets at once, and shows them until each has ended.
    fn perform(&mut self, cast: &Cast, global: &Global, show: &mut Show) -> CliResult<()> {
        // From here on an interrupt comes to us: no session may be left behind by it.
        let vigil = Vigil::begin(self.here.store(), &[])?;
        let called_off = AtomicBool::new(false);
        thread::scope(|scope| {
            let (sender, launched) = mpsc::channel();
            for (number, actor) in self.actors.iter().enumerate() {
                let (sender, ticket, called_off) = (sender.clone(), actor.ticket, &called_off);
                scope.spawn(move || {
                    if !called_off.load(Ordering::SeqCst) {
                        // Whoever listens does so until all have been launched.
                        drop(sender.send((number, cast.dispatch(ticket, global))));
                    }
                });
            }
            drop(sender);
            let followed = self.follow(&vigil, &launched, &called_off, show);
            if followed.is_err() {
                called_off.store(true, Ordering::SeqCst);
                self.abandon(&launched);
            }
            followed
        })
    }

    /// Shows the tickets until each has ended.
    fn follow(
        &mut self,
        vigil: &Vigil,
        launched: &Receiver<Launches>,
        called_off: &AtomicBool,
        show: &mut Show,
    ) -> CliResult<()> {
        loop {
            let more_may_come = self.take_launched(launched, show)?;
            for actor in &mut self.actors {
                actor.look(self.here, &mut |event| show.event(event))?;
            }
            show.draw(&self.actors, self.orders, Timestamp::now())?;
            if !more_may_come && self.actors.iter().all(|actor| !actor.is_running()) {
                return Ok(());
            }
            match vigil.next(Some(TICK)) {
                Happening::Interrupt | Happening::Hangup => {
                    called_off.store(true, Ordering::SeqCst);
                    self.stop_once_more(show)?;
                }
                Happening::Free(_) | Happening::Nothing => {}
            }
        }
    }

    /// Ends what runs when no one can be shown anything any more. Best effort: each has its timeout.
    fn abandon(&self, launched: &Receiver<Launches>) {
        let running = self.actors.iter().filter_map(Actor::running);
        for session in running {
            drop(request_stop(self.here, session, Urgency::AtOnce));
        }
        for (_, launched) in launched {
            drop(launched.and_then(|manifest| request_stop(self.here, manifest.session_id, Urgency::AtOnce)));
        }
    }

    /// Takes what has been launched since; whether there may be more.
    fn take_launched(&mut self, launched: &Receiver<Launches>, show: &mut Show) -> CliResult<bool> {
        loop {
            match launched.try_recv() {
                Ok((number, result)) => {
                    let Some(actor) = self.actors.get_mut(number) else { continue };
                    actor.enter(result, &mut |event| show.event(event))?;
                    if let Orders::Stop(urgency) = self.orders {
                        actor.stop(self.here, urgency)?;
                    }
                }
                Err(mpsc::TryRecvError::Empty) => return Ok(true),
                Err(mpsc::TryRecvError::Disconnected) => return Ok(false),
            }
        }
    }

    /// Asks for the end of all: gracefully, and at once where that was asked for before.
    fn stop_once_more(&mut self, show: &mut Show) -> CliResult<()> {
        let urgency = match self.orders {
            Orders::Go => Urgency::Graceful,
            Orders::Stop(_) => Urgency::AtOnce,
        };
        self.orders = Orders::Stop(urgency);
        show.event(&Event::Stopping { urgency })?;
        // All of them are asked, even where one of the requests fails.
        let asked: Vec<CliResult<()>> =
            self.actors.iter().map(|actor| actor.stop(self.here, urgency)).collect();
        asked.into_iter().collect()
    }
}
