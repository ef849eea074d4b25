//! The demo while it runs: lines drawn in place on a terminal, else a line an event; for programs an object an event.

use jiff::Timestamp;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

use super::actor::{Actor, State};
use super::event::Event;
use super::orders::Orders;
use super::stage::Stage;
use crate::cli::args::DemoAgent;
use crate::cli::ended::show_end;
use crate::cli::error::CliResult;
use crate::cli::live::{Live, Row, width};
use crate::cli::render::{Cell, Form, Out, Tone, clean, outcome_word};
use crate::report::span;
use crate::session::manifest::Manifest;
use crate::session::store::Urgency;
use crate::session::view;
use crate::words::count;

/// In a narrower terminal the titles are left out.
const WIDTH_FOR_TITLES: usize = 96;

/// How the demo is shown.
pub struct Show<'a> {
    out: &'a Out,
    way: Way,
}

enum Way {
    Live(Live),
    Lines,
    Json,
}

impl<'a> Show<'a> {
    /// In the way that was asked for, on a terminal of the kind that TERM says.
    pub fn of(out: &'a Out, terminal: Option<&str>) -> Self {
        let way = match out.form() {
            Form::Json => Way::Json,
            Form::Text => Live::on_output(terminal).map_or(Way::Lines, Way::Live),
        };
        Self { out, way }
    }

    /// What is about to happen, and where.
    pub fn opening(&self, stage: &Stage, agent: DemoAgent) -> CliResult<()> {
        let (folder, repository) = (stage.folder.to_string_lossy(), stage.repository.to_string_lossy());
        if let Way::Json = self.way {
            let agent = match agent {
                DemoAgent::StandIn => "stand-in",
                DemoAgent::Pi => "pi",
            };
            self.out.json_line(&json!({
                "event": "begun", "folder": folder, "repository": repository, "agent": agent,
            }))?;
            return Ok(());
        }
        let strong = Tone::Strong.style();
        self.out.line(&format!("{strong}Four tickets, four worktrees, four agents at once{strong:#}"))?;
        let agent = match agent {
            DemoAgent::StandIn => {
                "a stand-in built into ralph: no model, no network, prepared edits, nothing clever"
            }
            DemoAgent::Pi => "the pi on your PATH, with your provider and at your cost",
        };
        let faint = Tone::Faint.style();
        for (label, text) in
            [("agent", agent), ("folder", &clean(&folder)), ("repository", &clean(&repository))]
        {
            self.out.line(&format!("  {faint}{label:<10}{faint:#}  {text}"))?;
        }
        self.out.line("")?;
        Ok(())
    }

    /// Tells an event.
    pub fn event(&mut self, event: &Event<'_>) -> CliResult<()> {
        match self.way {
            // It shows in the next drawing.
            Way::Live(_) => Ok(()),
            Way::Json => self.out.json_line(&as_json(event)).map(drop),
            Way::Lines => self.line(event),
        }
    }

    fn line(&self, event: &Event<'_>) -> CliResult<()> {
        match event {
            Event::Launched { manifest } => {
                self.out.line(&format!("{} runs: session {}", manifest.lane, manifest.session_id))?;
            }
            Event::NotLaunched { ticket, why } => {
                self.out.line(&format!("{ticket} was not launched: {}", clean(why)))?;
            }
            Event::Said { ticket, line } => {
                self.out.line(&format!("{ticket} says: {line}"))?;
            }
            Event::Ended { manifest } => {
                show_end(manifest, self.out)?;
            }
            Event::Stopping { urgency } => self.out.note(stopping(*urgency)),
        }
        Ok(())
    }

    /// Draws all tickets, where they are drawn in place.
    pub fn draw(&mut self, actors: &[Actor], orders: Orders, now: Timestamp) -> CliResult<()> {
        let Way::Live(live) = &mut self.way else { return Ok(()) };
        let titles = if width() >= WIDTH_FOR_TITLES { Titles::Shown } else { Titles::LeftOut };
        let mut rows: Vec<Row> = actors.iter().map(|actor| row(actor, titles, now)).collect();
        if let Orders::Stop(urgency) = orders
            && actors.iter().any(Actor::is_running)
        {
            rows.push(vec![(Cell::toned(stopping(urgency), Tone::Doubtful), 0)]);
        }
        live.draw(&rows, self.out).map(drop)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Titles {
    Shown,
    LeftOut,
}

fn stopping(urgency: Urgency) -> &'static str {
    match urgency {
        Urgency::Graceful => "ending all of them; Ctrl-C again: at once",
        Urgency::AtOnce => "ending all of them at once",
    }
}

fn row(actor: &Actor, titles: Titles, now: Timestamp) -> Row {
    let (state, tone) = match &actor.state {
        State::Waiting => ("waiting".to_owned(), Tone::Faint),
        State::Running { .. } => ("running".to_owned(), Tone::Plain),
        State::NotLaunched(_) => ("not launched".to_owned(), Tone::Bad),
        State::Ended(manifest) => match &manifest.outcome {
            Some(outcome) => (outcome_word(outcome), Tone::of(outcome)),
            None => ("ended".to_owned(), Tone::Doubtful),
        },
    };
    let last = match &actor.state {
        State::Waiting => "makes the worktree".to_owned(),
        State::Running { .. } => actor.said.clone(),
        State::NotLaunched(why) => why.clone(),
        State::Ended(manifest) => ended(manifest),
    };
    let age = actor.age(now).map(span).unwrap_or_default();
    let mut row = vec![(Cell::toned(actor.ticket.id, Tone::Strong), 7)];
    if titles == Titles::Shown {
        let longest = super::project::TICKETS.iter().map(|ticket| ticket.title().width()).max().unwrap_or(0);
        row.push((Cell::plain(actor.ticket.title()), longest));
    }
    row.extend([
        (Cell::toned(state, tone), "uncommitted".len()),
        (Cell::plain(age), 3),
        (Cell::toned(last, Tone::Faint), 0),
    ]);
    row
}

/// What a session left, in a few words.
fn ended(manifest: &Manifest) -> String {
    let commits = count(manifest.work.as_ref().map_or(0, |work| work.commits), "commit");
    match &manifest.reason {
        Some(reason) => format!("{commits}; {reason}"),
        None => commits,
    }
}

fn as_json(event: &Event<'_>) -> serde_json::Value {
    match event {
        Event::Launched { manifest } => json!({
            "event": "launched", "ticket_id": manifest.ticket_id, "session_id": manifest.session_id,
            "worktree": manifest.worktree.path, "branch": manifest.worktree.branch,
        }),
        Event::NotLaunched { ticket, why } => {
            json!({ "event": "not_launched", "ticket_id": ticket, "error": why })
        }
        Event::Said { ticket, line } => json!({ "event": "said", "ticket_id": ticket, "line": line }),
        Event::Ended { manifest } => json!({
            "event": "ended", "ticket_id": manifest.ticket_id, "outcome": manifest.outcome,
            "reason": manifest.reason, "work": manifest.work,
            "manifest": view::path_in(manifest.worktree.path.as_ref()).to_string_lossy(),
        }),
        Event::Stopping { urgency } => json!({ "event": "stopping", "urgency": urgency }),
    }
}
