//! How a story is told: the entries of a journal, one after the other. Pure.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::super::board::{Board, Item};
use super::super::event::{Entry, Event, Halt, Next, Skip, Slow};
use super::look::Look;
use super::scale::Stretch;
use super::story::{End, Mark, MarkKind, Measured, Pause, PauseKind, Row, Session, State, Story, Warning};
use crate::id::{Lane, SessionId};

/// Slow-downs that follow each other so closely are one.
const CLOSE: SignedDuration = SignedDuration::from_secs(60);

/// The story that these entries tell, as of `now`.
pub(super) fn tell(entries: &[Entry], now: Timestamp) -> Story<'_> {
    let board = Board::of(entries);
    let first = entries.first().map_or(now, |entry| entry.at);
    let last = entries.iter().map(|entry| entry.at).fold(first, Timestamp::max);
    let state = state(&board);
    let end = match state {
        State::Finished | State::Interrupted => last,
        State::Left | State::Unfinished => last.max(now),
    };
    let mut telling = Telling::new(&board);
    for entry in entries {
        telling.take(entry);
    }
    let away = telling.away;
    let tracks = telling.rows.into_iter().zip(board.items()).enumerate();
    let mut rows: Vec<Row<'_>> =
        tracks.map(|(at, (track, item))| track.finish(at, item, end, &away)).collect();
    put_lanes_of_a_ticket_together(&mut rows, &board);
    Story {
        command: telling.command,
        whole: Stretch { from: board.begun_at().unwrap_or(first), to: end },
        state,
        rows,
        marks: telling.marks,
        away,
        warnings: telling.warnings,
        board,
    }
}

fn put_lanes_of_a_ticket_together(rows: &mut [Row<'_>], board: &Board) {
    let mut first = HashMap::new();
    let items = board.items().iter().enumerate();
    let places = items.map(|(at, item)| *first.entry(&item.record.ticket_id).or_insert(at));
    let places: Vec<usize> = places.collect();
    rows.sort_by_key(|row| places.get(row.item).copied());
}

fn state(board: &Board) -> State {
    let is_active = board.items().iter().any(Item::is_active);
    match board.halt() {
        _ if board.is_finished() => State::Finished,
        Some(Halt::Detached) => State::Left,
        Some(Halt::Interrupted | Halt::DiskFull) if !is_active => State::Interrupted,
        _ => State::Unfinished,
    }
}

/// A story while it is told.
struct Telling<'e> {
    by_lane: HashMap<&'e Lane, usize>,
    rows: Vec<Track<'e>>,
    command: &'e [String],
    marks: Vec<Mark>,
    away: Vec<Stretch>,
    warnings: Vec<Warning<'e>>,
    last: Option<Timestamp>,
}

/// An item while its story is told.
struct Track<'e> {
    since: Option<(Timestamp, PauseKind)>,
    sessions: Vec<Session<'e>>,
    pauses: Vec<Pause>,
    landed: Option<Timestamp>,
    skipped: Option<(Timestamp, &'e Skip)>,
    closed: bool,
}

impl<'e> Telling<'e> {
    fn new(board: &Board) -> Self {
        Self {
            by_lane: HashMap::new(),
            rows: Vec::with_capacity(board.items().len()),
            command: &[],
            marks: Vec::new(),
            away: Vec::new(),
            warnings: Vec::new(),
            last: None,
        }
    }

    fn take(&mut self, entry: &'e Entry) {
        let at = entry.at;
        match &entry.event {
            Event::Begun { command, items, .. } => {
                self.command = command;
                self.by_lane.clear();
                self.rows.clear();
                for item in items {
                    self.add(&item.lane, at);
                }
            }
            Event::Added { item } if !self.by_lane.contains_key(&item.lane) => self.add(&item.lane, at),
            Event::Resumed => {
                let away = Stretch { from: self.last.unwrap_or(at), to: at };
                self.away.extend((!away.length().is_zero()).then_some(away));
                self.mark(at, MarkKind::Resumed(away.length()));
            }
            Event::Halted { why } => self.mark(at, MarkKind::Halted(*why)),
            Event::Slowed { why, seconds } => self.slowed(at, *why, *seconds),
            Event::Warning { lanes, text } => self.warnings.push(Warning { at, lanes, text }),
            event => {
                let found = event.lane().and_then(|lane| self.by_lane.get(lane));
                if let Some(row) = found.and_then(|row| self.rows.get_mut(*row)) {
                    row.take(event, at);
                }
            }
        }
        self.last = self.last.max(Some(at));
    }

    /// The board puts items in the same order.
    fn add(&mut self, lane: &'e Lane, at: Timestamp) {
        self.by_lane.insert(lane, self.rows.len());
        self.rows.push(Track {
            since: Some((at, PauseKind::Waits)),
            sessions: Vec::new(),
            pauses: Vec::new(),
            landed: None,
            skipped: None,
            closed: false,
        });
    }

    fn mark(&mut self, at: Timestamp, kind: MarkKind) {
        self.marks.push(Mark { stretch: Stretch { from: at, to: at }, kind });
    }

    fn slowed(&mut self, at: Timestamp, why: Slow, seconds: f64) {
        let long = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::ZERO);
        let to = at.checked_add(long.max(SignedDuration::ZERO)).unwrap_or(at);
        match self.marks.last_mut() {
            Some(Mark { stretch, kind: MarkKind::Slowed(before, times) })
                if *before == why && at.duration_since(stretch.to) <= CLOSE =>
            {
                stretch.to = stretch.to.max(to);
                *times = times.saturating_add(1);
            }
            _ => self.marks.push(Mark { stretch: Stretch { from: at, to }, kind: MarkKind::Slowed(why, 1) }),
        }
    }
}

impl<'e> Track<'e> {
    fn take(&mut self, event: &'e Event, at: Timestamp) {
        match event {
            Event::Starting { session_id, attempt, model, .. } => {
                self.pause_until(at);
                if !self.sessions.iter().any(|session| session.id == *session_id) {
                    self.sessions.push(Session {
                        id: *session_id,
                        attempt: *attempt,
                        model: model.as_deref(),
                        stretch: Stretch { from: at, to: at },
                        launched: None,
                        end: None,
                        measured: Measured::Exactly,
                    });
                }
            }
            Event::Launched { session_id, .. } => {
                if let Some(session) = self.session(*session_id) {
                    session.launched = Some(at);
                }
            }
            Event::NotLaunched { session_id, reason, .. } => {
                self.end(*session_id, at, End::NotLaunched { reason });
                self.since = None;
            }
            Event::Withdrawn { session_id, .. } => {
                let from = self.session(*session_id).map_or(at, |session| session.stretch.from);
                self.sessions.retain(|session| session.id != *session_id);
                let kind = if self.sessions.is_empty() { PauseKind::Waits } else { PauseKind::WaitsAgain };
                self.since = Some((from, kind));
            }
            Event::Ended { session_id, ended_at, outcome, reason, work, usage, next, .. } => {
                // Its own word on when it ended counts, where it can be true.
                let at = ended_at.unwrap_or(at).min(at);
                let (reason, work, usage) = (reason.as_deref(), work.as_deref(), usage.as_deref());
                self.end(*session_id, at, End::Ended { outcome, reason, work, usage });
                self.since = match next {
                    Next::Nothing | Next::Stands => None,
                    Next::Merge => Some((at, PauseKind::WaitsForMerge)),
                    Next::Retry { .. } | Next::Resume => Some((at, PauseKind::WaitsAgain)),
                };
            }
            Event::Merging { .. } => {
                self.pause_until(at);
                self.since = Some((at, PauseKind::Merges));
            }
            Event::Merged { .. } | Event::NotMerged { .. } => {
                self.pause_until(at);
                self.landed = Some(at);
            }
            Event::Closed { .. } => self.closed = true,
            Event::Skipped { why, .. } => {
                self.pause_until(at);
                self.skipped = Some((at, why));
            }
            Event::Begun { .. }
            | Event::Resumed
            | Event::Added { .. }
            | Event::Warning { .. }
            | Event::Slowed { .. }
            | Event::Halted { .. }
            | Event::Finished => {}
        }
    }

    fn session(&mut self, id: SessionId) -> Option<&mut Session<'e>> {
        self.sessions.iter_mut().find(|session| session.id == id)
    }

    fn end(&mut self, id: SessionId, at: Timestamp, end: End<'e>) {
        if let Some(session) = self.session(id) {
            session.stretch.to = at.max(session.stretch.from);
            session.end = Some(end);
        }
    }

    fn pause_until(&mut self, at: Timestamp) {
        if let Some((from, kind)) = self.since.take() {
            self.pauses.push(Pause { stretch: Stretch { from, to: at }, kind });
        }
    }

    /// The row; what is still under way ends where the story does.
    fn finish(mut self, item: usize, known: &Item, end: Timestamp, away: &[Stretch]) -> Row<'e> {
        self.pause_until(end);
        for session in &mut self.sessions {
            if session.end.is_none() {
                session.stretch.to = end;
            }
            let is_vague = away.iter().any(|away| !away.shared(session.stretch).is_zero());
            session.measured = if is_vague { Measured::AtMost } else { Measured::Exactly };
        }
        Row {
            item,
            look: Look::of_phase(&known.phase),
            sessions: self.sessions,
            pauses: self.pauses,
            landed: self.landed,
            skipped: self.skipped,
            closed: self.closed,
        }
    }
}
