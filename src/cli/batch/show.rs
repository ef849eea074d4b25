//! A batch while it runs: lines drawn in place on a terminal, else a line an event; for programs an entry a line.

use std::time::Duration;

use super::live::Live;
use super::words;
use crate::batch::board::Board;
use crate::batch::event::Entry;
use crate::batch::run::Observer;
use crate::batch::watch::Watch;
use crate::cli::error::{CliError, CliResult};
use crate::cli::render::{Form, Out};
use crate::git::GitProgram;
use crate::session::store::Store;

/// How often lines are drawn in place.
const RHYTHM: Duration = Duration::from_secs(1);

/// How a batch is shown.
pub struct Show<'a> {
    out: &'a Out,
    way: Way,
    /// Why standard output could not be written: from there on nothing is, so that no event is missing in between.
    unwritten: Option<CliError>,
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
        Self { out, way, unwritten: None }
    }

    /// Takes the lines that are drawn in place away. What could not be written is told now: the batch went on without it.
    pub fn close(self) -> CliResult<()> {
        if let Way::Live(live) = self.way {
            live.close();
        }
        self.unwritten.map_or(Ok(()), Err)
    }

    fn written(&mut self, written: CliResult) {
        if let Err(error) = written {
            self.unwritten = Some(error.hint(
                "the batch itself went on, and its journal has every event: `ralph worktree list` shows the lanes",
            ));
        }
    }
}

impl Observer for Show<'_> {
    fn told(&mut self, entry: &Entry, board: &Board) {
        match &mut self.way {
            Way::Live(live) => live.told(&entry.event, board),
            // A full disk is no reason to leave the sessions alone, as a reader that has gone is none.
            Way::Json | Way::Lines if self.unwritten.is_some() => {}
            Way::Json => {
                let written = self.out.json_line(entry);
                self.written(written);
            }
            Way::Lines => {
                if let Some(line) = words::line(&entry.event, board) {
                    let written = self.out.line(&line);
                    self.written(written);
                }
            }
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
