//! A batch that is shown, and told in a page for the browser where one was asked for.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::show::Show;
use crate::batch::board::Board;
use crate::batch::event::Entry;
use crate::batch::page::{ReportFile, page};
use crate::batch::run::Observer;
use crate::batch::watch::Watch;
use crate::cli::error::{CliError, CliResult};
use crate::cli::exit::Exit;
use crate::cli::render::note;

/// While the batch runs, the page is made anew no more often than this.
const RHYTHM: Duration = Duration::from_secs(5);
/// And so often where nothing happens: what runs grows longer.
const QUIET: Duration = Duration::from_secs(30);

/// Shows a batch and keeps its page.
pub struct Reported<'a> {
    show: Show<'a>,
    page: Option<Page>,
}

/// A page that is made anew as the batch goes on.
pub struct Page {
    file: ReportFile,
    entries: Vec<Entry>,
    written: Option<Instant>,
}

impl Page {
    /// The page in this file, of a batch with these entries so far.
    pub fn new(file: ReportFile, entries: &[Entry]) -> Self {
        Self { file, entries: entries.to_vec(), written: None }
    }

    /// At the end it is written once more, and what is wrong with it told.
    fn write_if_older(&mut self, than: Duration) {
        if self.written.is_none_or(|at| at.elapsed() >= than) {
            drop(self.write());
        }
    }

    fn write(&mut self) -> CliResult<()> {
        self.written = Some(Instant::now());
        let written = self.file.write(&page(&self.entries, Timestamp::now()));
        written.map_err(|error| CliError::new(Exit::CannotDo, error.to_string()))
    }
}

impl<'a> Reported<'a> {
    /// Shown so, with this page.
    pub fn new(show: Show<'a>, page: Option<Page>) -> Self {
        Self { show, page }
    }

    /// The last word: the lines that are drawn in place go, and the page is made whole.
    pub fn close(self) -> CliResult<()> {
        let shown = self.show.close();
        let Some(mut page) = self.page else { return shown };
        match page.write() {
            Ok(()) => note(&format!("the page is {}", page.file.path().display())),
            Err(error) if shown.is_ok() => return Err(error),
            Err(error) => note(&error.message),
        }
        shown
    }
}

impl Observer for Reported<'_> {
    fn told(&mut self, entry: &Entry, board: &Board) {
        self.show.told(entry, board);
        let Some(page) = &mut self.page else { return };
        page.entries.push(entry.clone());
        page.write_if_older(RHYTHM);
    }

    fn draw(&mut self, board: &Board, watch: &Watch) {
        self.show.draw(board, watch);
        if let Some(page) = &mut self.page {
            page.write_if_older(QUIET);
        }
    }

    fn rhythm(&self) -> Option<Duration> {
        self.show.rhythm().or(self.page.as_ref().map(|_| QUIET))
    }
}
