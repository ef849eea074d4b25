//! `ralph worktree batch` and `ralph run`: many tickets, some at a time.

mod bases;
mod command;
mod live;
mod report;
mod setup;
mod show;
mod summary;
mod ticketflow;
mod wish;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::mpsc::Sender;

use super::args::Global;
use super::args::batch::{BatchArgs, LoopArgs};
use super::error::{CliError, CliResult};
use super::exit::Exit;
use super::merge::verify_of;
use super::naming::TicketLookup;
use super::render::{Form, Out};
use super::request::layer;
use super::surroundings::Surroundings;
use super::waiting::{Heard, listen};
use crate::batch::after_merge::AfterMerge;
use crate::batch::board::Board;
use crate::batch::event::{BatchId, EVENTS_VERSION, Entry, Event, Halt, ItemRecord, Skip};
use crate::batch::items::Workshop;
use crate::batch::journal::{Journal, JournalError, Known, unfinished};
use crate::batch::land::{BaseLander, Closing};
use crate::batch::overlay::{Overlay, Shown};
use crate::batch::page::ReportFile;
use crate::batch::run::{BatchError, Engine, Finish, Parts, Setup, all_good};
use crate::batch::siblings::Siblings;
use crate::batch::source::{Intake, Lookup, TicketSource};
use crate::batch::workers::{Lander, Message, Order};
use crate::config::{Layer, Settings};
use crate::dispatch::run::dry_run;
use crate::dispatch::{Place, Request};
use crate::id::{Lane, RefName, TicketId};
use crate::merge::IfChanged;
use crate::ticket::TicketFolder;
use bases::refuse_bases;
use command::{again, command};
use report::{Page, Reported};
use setup::{default_base, setup, template};
use show::Show;
use wish::{Act, Tickets, Wish};

/// Runs `batch`.
pub fn run(global: &Global, args: &BatchArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    here.refuse_inside_a_session()?;
    if !args.resume {
        return Batch::of(&here, Wish::of_batch(args)?, out)?.run(out);
    }
    let known = last_left_over(&here, out)?;
    let mut wish = again(&here, &known, out)?;
    // A new page may be asked for; everything else is as it was begun.
    wish.report = args.report.clone().or(wish.report);
    Batch::of(&here, wish, out)?.take_up(&known, out)
}

/// Runs `run`.
pub fn run_loop(global: &Global, args: &LoopArgs, out: &Out) -> CliResult {
    let here = Surroundings::read(global)?;
    here.refuse_inside_a_session()?;
    let wish = ticketflow::over(Wish::of_run(args), here.main(), out)?;
    Batch::of(&here, wish, out)?.run(out)
}

/// The batches that were killed or interrupted, the newest first, as far as their journals can be read.
fn left_over(here: &Surroundings, out: &Out) -> CliResult<Vec<Known>> {
    let (batches, unreadable) = unfinished(here.store())?;
    unreadable.into_iter().for_each(|error| note_unreadable(error, out));
    Ok(batches)
}

/// The batch that was killed or interrupted last. Where none can be read, what is wrong with those is the answer.
fn last_left_over(here: &Surroundings, out: &Out) -> CliResult<Known> {
    let (batches, unreadable) = unfinished(here.store())?;
    let mut unreadable = unreadable.into_iter();
    let found = batches.into_iter().next().ok_or_else(|| match unreadable.next() {
        Some(error) => error.into(),
        None => CliError::new(Exit::NotFound, "no batch of this repository was left unfinished")
            .hint("begin one: ralph worktree batch TICKET..."),
    });
    unreadable.for_each(|error| note_unreadable(error, out));
    found
}

fn note_unreadable(error: JournalError, out: &Out) {
    let CliError { message, hint, .. } = error.into();
    out.note(&message);
    hint.iter().for_each(|hint| out.note(hint));
}

/// A batch that is about to be run.
struct Batch<'a> {
    here: &'a Surroundings,
    wish: Wish,
    template: Request,
    default_base: Option<RefName>,
    settings: Settings,
    setup: Setup,
    report: Option<ReportFile>,
}

/// Items, and what is known of them from the beginning.
#[derive(Default)]
struct Items {
    records: Vec<ItemRecord>,
    skips: Vec<(usize, Skip)>,
    done: Vec<(usize, Left)>,
    /// Why which lanes are passed over.
    passed_over: BTreeMap<String, Vec<Lane>>,
}

/// What is left to do for an item on which no one has to work any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It was finished before, and is merged.
    Merging,
    /// It was merged before, and its ticket is closed.
    Closing,
}

impl Items {
    /// Says why tickets are passed over that no one named, as far as that is their lanes' doing.
    fn pass_over(
        &mut self,
        asked: &Tickets,
        as_written: &Workshop<'_>,
        workshop: &Workshop<'_>,
        wanted: &[(TicketId, Option<RefName>)],
    ) {
        // What is not ready for another reason than its lane is not passed over for that.
        let merged = || as_written.open().into_iter().filter(|ticket| workshop.is_merged(ticket));
        let could_be = match asked {
            Tickets::Named(_) => return,
            Tickets::Open => merged().collect(),
            Tickets::Ready => merged().chain(workshop.ready_but_for_lanes()).collect::<Vec<_>>(),
        };
        let wanted: BTreeSet<&TicketId> = wanted.iter().map(|(ticket, _)| ticket).collect();
        for ticket in could_be.iter().filter(|ticket| !wanted.contains(ticket)) {
            if let Some(why) = workshop.passed_over(ticket) {
                self.passed_over.entry(why).or_default().push(workshop.overlay.lane(ticket, None));
            }
        }
    }
}

impl<'a> Batch<'a> {
    fn of(here: &'a Surroundings, wish: Wish, out: &Out) -> CliResult<Self> {
        let landing = wish.landing.as_ref().map(|landing| landing.how.clone()).unwrap_or_default();
        let flags = Layer {
            merge_strategy: landing.strategy,
            verify: landing.verify,
            verify_timeout: landing.verify_timeout,
            ..layer(&wish.run)
        };
        let settings = here.settings_over(wish.ticketflow.clone(), flags, out)?;
        let template = template(here, &settings, &wish.agent_args)?;
        let setup = setup(here, &wish, &template, out)?;
        let report = wish.report.as_ref().map(|path| report_file(here, path)).transpose()?;
        // Where it starts from is told when it begins, or was when it began.
        Ok(Self { here, wish, template, default_base: None, settings, setup, report })
    }

    /// Runs it from its beginning, unless the same command was given before and is not done.
    fn run(mut self, out: &Out) -> CliResult {
        let key = self.wish.key();
        if self.wish.act == Act::Do
            && let Some(known) =
                left_over(self.here, out)?.into_iter().find(|known| known.key() == Some(&key))
        {
            out.note("the same command was not finished before: it is taken up where it was");
            return self.take_up(&known, out);
        }
        self.default_base = default_base(self.here, &self.settings)?;
        let Items { records, skips, done, passed_over } = self.items(out)?;
        refuse_bases(self.here, &self.wish, self.default_base.as_ref(), &records)?;
        if records.is_empty() {
            out.note("no ticket is to be worked on");
        }
        let batch_id = BatchId::generate();
        let begun = Event::Begun {
            schema_version: EVENTS_VERSION,
            batch_id,
            key,
            command: command(),
            jobs: self.setup.rules.jobs,
            // Where bases were named, each item has one of them.
            base: self.default_base.clone().filter(|_| self.wish.bases.is_empty()),
            items: records,
        };
        if self.wish.act == Act::Tell {
            let told = summary::Told { skips: &skips, done: &done, passed_over: &passed_over };
            return summary::plan(&begun, told, self.setup.rules.handover, out);
        }
        let done: Vec<usize> = done.into_iter().map(|(at, _)| at).collect();
        let idle: Vec<usize> = skips.iter().map(|(at, _)| *at).chain(done.iter().copied()).collect();
        self.refuse_unless_ready(&begun, &idle)?;
        let note = |(why, lanes)| Event::Warning { lanes, text: format!("passed over: {why}") };
        let notes = passed_over.into_iter().map(note).collect();
        let journal = Journal::begin(self.here.store(), batch_id)?;
        self.drive(journal, &[], out, |engine| engine.begin(begun, notes, skips, &done))
    }

    fn take_up(mut self, known: &Known, out: &Out) -> CliResult {
        // What is checked out by now may be another branch, which never was to have the work.
        self.default_base = match known.base() {
            Some(base) => Some(base.clone()),
            None => default_base(self.here, &self.settings)?,
        };
        let (journal, entries) = Journal::take_up(self.here.store(), known.id)?;
        self.drive(journal, &entries, out, |engine| engine.resume())
    }

    fn drive(
        self,
        journal: Journal,
        entries: &[Entry],
        out: &Out,
        go: impl FnOnce(Engine<'_>) -> Result<(Finish, Board), BatchError>,
    ) -> CliResult {
        self.here.settle(&self.template.place.worktree_root, out)?;
        let show = Show::of(out, self.here.store(), &self.here.context.environment.git, self.here.terminal());
        let page = self.report.clone().map(|file| Page::new(file, entries));
        let mut show = Reported::new(show, page);
        let mut source = self.source();
        let parts = Parts {
            setup: &self.setup,
            store: self.here.store(),
            source: &mut source,
            observer: &mut show,
            lander: self.lander(),
        };
        let (engine, orders) = Engine::new(parts, journal, entries)?;
        hear(orders)?;
        let ended = go(engine);
        let closed = show.close();
        let (finish, board) = ended?;
        if out.form() == Form::Text {
            summary::show(&board, finish, out)?;
        }
        closed?;
        Ok(match finish {
            Finish::Interrupted if board.halt() == Some(Halt::DiskFull) => Exit::NotSucceeded,
            Finish::Interrupted | Finish::Left => Exit::Interrupted,
            Finish::Finished if all_good(&board) => Exit::Done,
            Finish::Finished => Exit::NotSucceeded,
        })
    }

    fn source(&self) -> TicketSource<'_> {
        let seen = match (self.wish.intake, self.here.context.repo.main_checkout()) {
            (Intake::Everything, Some(main)) => TicketFolder::open(main).ok().flatten(),
            _ => None,
        };
        TicketSource {
            repo: &self.here.context.repo,
            store: self.here.store(),
            template: self.template.clone(),
            default_base: self.default_base.clone(),
            lookup: self.wish.lookup,
            stacking: self.wish.stacking,
            intake: self.wish.intake,
            component_prefix: self.wish.pool.component_prefix.clone(),
            seen: seen.map(|folder| folder.ids().cloned().collect()).unwrap_or_default(),
            siblings: Siblings::default(),
        }
    }

    fn lander(&self) -> Option<Box<dyn Lander>> {
        self.wish.landing.as_ref().map(|landing| -> Box<dyn Lander> {
            Box::new(BaseLander {
                environment: self.here.context.environment.clone(),
                machine: self.here.context.machine.clone(),
                root: self.template.place.worktree_root.clone(),
                strategy: self.settings.merge_strategy,
                verify: verify_of(&self.settings),
                changes: if landing.how.accept_changes { IfChanged::Accept } else { IfChanged::Refuse },
                closing: landing.closing,
            })
        })
    }

    fn items(&self, out: &Out) -> CliResult<Items> {
        let mut overlay = Overlay::read(self.here.store())?;
        let written = match self.wish.lookup {
            Lookup::Skip => None,
            Lookup::InFolder => self.here.backlog(out)?,
        };
        if let Some(written) = &written {
            overlay = overlay.look_after_merges(&self.here.context.repo, written);
        }
        let backlog = written.clone().map(|written| overlay.over(written));
        if backlog.is_none() && matches!(self.wish.tickets, Tickets::Ready | Tickets::Open) {
            return Err(no_tickets(self.here));
        }
        let component_prefix = &self.wish.pool.component_prefix;
        let workshop = Workshop { backlog: backlog.as_ref(), overlay: &overlay, component_prefix };
        let closes = self.wish.landing.as_ref().is_some_and(|landing| landing.closing == Closing::IfOpen);
        let as_written = Workshop { backlog: written.as_ref(), ..workshop };
        let left_open = match closes && self.wish.tickets == Tickets::Open {
            true => as_written.left_open(),
            false => Vec::new(),
        };
        let wanted = left_open.into_iter().map(|ticket| (ticket, None)).chain(self.wanted(&workshop)?);
        let mut items = Items::default();
        let wanted: Vec<_> = wanted.collect();
        items.pass_over(&self.wish.tickets, &as_written, &workshop, &wanted);
        for (ticket, base) in wanted {
            let made = workshop.item(&ticket, base.as_ref());
            if items.records.iter().any(|known| known.lane == made.record.lane) {
                out.note(&format!("{} is named twice: it is worked on once", made.record.lane));
                continue;
            }
            let at = items.records.len();
            let is_finished = overlay.of(&ticket, base.as_ref()) == Some(Shown::Finished);
            match overlay.after_merge(&ticket, base.as_ref()) {
                Some(AfterMerge::LeftOpen { .. }) if closes => items.done.push((at, Left::Closing)),
                // What was finished before only has to be merged, where everything is.
                _ if self.wish.landing.is_some() && is_finished => items.done.push((at, Left::Merging)),
                _ => items.skips.extend(made.skip.map(|why| (at, why))),
            }
            items.records.push(made.record);
        }
        Ok(items)
    }

    /// Which ticket on which base, in the order in which they were named.
    fn wanted(&self, workshop: &Workshop<'_>) -> CliResult<Vec<(TicketId, Option<RefName>)>> {
        let named = self.wish.bases.iter().map(|base| self.here.not_head(base.clone()).map(Some));
        let mut bases = named.collect::<CliResult<Vec<_>>>()?;
        for base in bases.iter().flatten() {
            self.here.context.repo.resolve_base(base)?;
        }
        if bases.is_empty() {
            bases.push(None);
        }
        let tickets = match &self.wish.tickets {
            Tickets::Ready => workshop.ready().into_iter().map(|ticket| (ticket, None)).collect(),
            Tickets::Open => workshop.open().into_iter().map(|ticket| (ticket, None)).collect(),
            Tickets::Named(lanes) => {
                let lookup = match self.wish.lookup {
                    Lookup::Skip => TicketLookup::Skip,
                    Lookup::InFolder => TicketLookup::InFolder,
                };
                let found = lanes.iter().map(|lane| {
                    let (ticket, _) = self.here.ticket(lane, lookup)?;
                    Ok((ticket, lane.base().cloned()))
                });
                found.collect::<CliResult<Vec<_>>>()?
            }
        };
        let each = |(ticket, own): (TicketId, Option<RefName>)| {
            let bases = if own.is_some() { vec![own] } else { bases.clone() };
            bases.into_iter().map(move |base| (ticket.clone(), base)).collect::<Vec<_>>()
        };
        Ok(tickets.into_iter().flat_map(each).collect())
    }

    /// What would fail for every ticket alike fails once, before anything has begun. No session is begun for those of `idle`.
    fn refuse_unless_ready(&self, begun: &Event, idle: &[usize]) -> CliResult<()> {
        let Event::Begun { items, .. } = begun else { return Ok(()) };
        let Some((_, item)) = items.iter().enumerate().find(|(at, _)| !idle.contains(at)) else {
            return Ok(());
        };
        let place = Place {
            ticket: item.ticket_id.clone(),
            base: item.base.clone(),
            default_base: self.default_base.clone(),
            ..self.template.place.clone()
        };
        let request = Request { place, ..self.template.clone() };
        // What else is wrong concerns this one ticket, and is told as its outcome.
        let Ok(dry) = dry_run(&self.here.context, &request) else { return Ok(()) };
        match dry.agent {
            Ok(_) => Ok(()),
            Err(error) => Err(CliError { exit: Exit::NotLaunched, message: error.reason, hint: error.hint }),
        }
    }
}

/// The file for the page, refused before anything has begun where it cannot be one.
fn report_file(here: &Surroundings, path: &Path) -> CliResult<ReportFile> {
    let file = ReportFile::named(&here.context.environment.directory.join(path));
    file.map_err(|error| CliError::new(Exit::Usage, error.to_string()))
}

/// There is no folder that tickets could be read from.
fn no_tickets(here: &Surroundings) -> CliError {
    let message = match here.context.repo.main_checkout() {
        Some(main) => format!("there is no folder .tickets in {}", main.display()),
        None => "a bare repository has no checkout, and so no folder .tickets".to_owned(),
    };
    CliError::new(Exit::NotFound, message).hint("name the tickets: ralph worktree batch TICKET...")
}

/// Ctrl-C, a request to end and a terminal that goes become orders.
fn hear(orders: Sender<Message>) -> CliResult<()> {
    listen(move |heard| {
        let order = match heard {
            Heard::Interrupt => Order::Interrupt,
            Heard::Hangup => Order::Hangup,
        };
        orders.send(Message::Order(order)).is_ok()
    })
}
