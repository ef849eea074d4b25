//! A batch while it runs: lines drawn in place on a terminal, else a line an event; for programs an entry a line.

use std::time::Duration;

use super::live::Live;
use super::words;
use crate::batch::board::Board;
use crate::batch::event::Entry;
use crate::batch::run::Observer;
use crate::batch::watch::Watch;
use crate::cli::render::{Form, Out};
use crate::git::GitProgram;
use crate::session::store::Store;

/// How often lines are drawn in place.
const RHYTHM: Duration = Duration::from_secs(1);

/// How a batch is shown.
pub struct Show<'a> {
    out: &'a Out,
    way: Way,
}

enum Way {
    Live(Box<Live>),
    Lines,
    Json,
}

impl<'a> Show<'a> {
    /// In the way that was asked for, on a terminal of the kind that TERM says.
    pub fn of(out: &'a Out, store: &Store, git: &GitProgram, terminal: Option<&str>) -> Self {
        let way = match out.form() {
            Form::Json => Way::Json,
            Form::Text => {
                Live::on_terminal(store, git, terminal).map_or(Way::Lines, |live| Way::Live(live.into()))
            }
        };
        Self { out, way }
    }

    /// Takes the lines that are drawn in place away.
    pub fn close(self) {
        if let Way::Live(live) = self.way {
            live.close();
        }
    }
}

impl Observer for Show<'_> {
    fn told(&mut self, entry: &Entry, board: &Board) {
        match &mut self.way {
            // A reader that has gone is no reason to leave the sessions alone.
            Way::Json => drop(self.out.json_line(entry)),
            Way::Lines => {
                if let Some(line) = words::line(&entry.event, board) {
                    drop(self.out.line(&line));
                }
            }
            Way::Live(live) => live.told(&entry.event, board),
        }
    }

    fn draw(&mut self, board: &Board, watch: &Watch) {
        if let Way::Live(live) = &mut self.way {
            live.draw(board, watch);
        }
    }

    fn rhythm(&self) -> Option<Duration> {
        matches!(self.way, Way::Live(_)).then_some(RHYTHM)
    }
}
