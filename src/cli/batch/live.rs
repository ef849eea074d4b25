//! One line a session that runs, and one for all of it, drawn in place at the end of a terminal's output.

use std::collections::HashMap;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};
use jiff::Timestamp;

use super::words;
use crate::batch::board::{Board, Item, Phase, Used};
use crate::batch::event::Event;
use crate::batch::watch::Watch;
use crate::cli::files_line;
use crate::cli::render::{Tone, age, on_terminal, one_line};
use crate::cli::tail::{Rest, Tail};
use crate::git::{CommitId, GitProgram, Repo, commits_beyond, tip_of};
use crate::id::{Lane, SessionId};
use crate::session::store::{Loaded, Store};
use crate::words::count;

/// The lines.
pub struct Live {
    store: Store,
    /// None where it cannot be opened: then no commits are shown.
    repo: Option<Repo>,
    all: MultiProgress,
    total: ProgressBar,
    lines: HashMap<Lane, Line>,
}

struct Line {
    bar: ProgressBar,
    session: Option<SessionId>,
    tail: Option<Tail>,
    said: String,
    commits: Commits,
}

/// The commits of a lane, as of the branch's last move.
#[derive(Default)]
struct Commits {
    tip: Option<CommitId>,
    count: usize,
}

impl Live {
    /// Lines on standard error; `None` where output is no terminal, or one that cannot go back. `kind` is what TERM
    /// says.
    pub fn on_terminal(store: &Store, git: &GitProgram, kind: Option<&str>) -> Option<Self> {
        if !on_terminal() || !std::io::stderr().is_terminal() || matches!(kind, None | Some("" | "dumb")) {
            return None;
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let total = all.add(line());
        let repo = Repo::open_with(store.common_dir(), git.clone()).ok();
        Some(Self { store: store.clone(), repo, all, total, lines: HashMap::new() })
    }

    /// Tells an event in a line that stays, above those that are drawn in place.
    pub fn told(&mut self, event: &Event, board: &Board) {
        // That it runs shows in its own line.
        if !matches!(event, Event::Launched { .. })
            && let Some(text) = words::line(event, board)
        {
            // A terminal that has gone is noticed by its signal.
            drop(self.all.println(colours(text)));
        }
    }

    /// Draws all lines.
    pub fn draw(&mut self, board: &Board, watch: &Watch) {
        let now = Timestamp::now();
        let store = &self.store;
        for item in board.items() {
            let lane = &item.record.lane;
            let (state, since) = match &item.phase {
                Phase::Starting { since, .. } => ("starting", since),
                Phase::Running { since, .. } => ("running", since),
                Phase::Merging { since } => ("merging", since),
                Phase::Waiting | Phase::Over(_) => {
                    if let Some(line) = self.lines.remove(lane) {
                        self.all.remove(&line.bar);
                    }
                    continue;
                }
            };
            let shown = self.lines.entry(lane.clone()).or_insert_with(|| Line {
                bar: self.all.insert_before(&self.total, line()),
                session: None,
                tail: None,
                said: String::new(),
                commits: Commits::default(),
            });
            shown.follow(store, item);
            if let Some(text) = item.session().and_then(|id| files_line::words(watch.files(id))) {
                shown.said = text;
            }
            shown.commits.look(self.repo.as_ref(), item);
            let running = item.session().map(|id| watch.used(id)).unwrap_or_default();
            let text = row(lane, state, &age(*since, now), item.used.and(running), shown);
            shown.bar.set_message(colours(text));
        }
        self.total.set_message(colours(total(board, watch, now)));
    }

    /// Takes the lines away.
    pub fn close(self) {
        // A terminal that has gone needs no clearing.
        drop(self.all.clear());
    }
}

impl Line {
    fn follow(&mut self, store: &Store, item: &Item) {
        if item.session() != self.session {
            self.session = item.session();
            self.tail = None;
        }
        if self.tail.is_none()
            && let (Phase::Running { .. }, Some(id)) = (&item.phase, self.session)
            && let Ok(Loaded::Manifest(manifest)) = store.load(id)
        {
            self.tail = Some(Tail::of(&manifest));
        }
        if let Some(last) = self.tail.as_mut().and_then(|tail| tail.new_lines(Rest::Later).pop()) {
            self.said = last;
        }
    }
}

impl Commits {
    fn look(&mut self, repo: Option<&Repo>, item: &Item) {
        let (Some(repo), Some(place)) = (repo, &item.place) else { return };
        let Ok(Some(tip)) = tip_of(repo, &place.branch) else { return };
        if self.tip.as_ref() == Some(&tip) {
            return;
        }
        let counted = place.base_commit.parse().and_then(|base| commits_beyond(repo, &base, &tip));
        self.count = counted.unwrap_or(self.count);
        self.tip = Some(tip);
    }
}

fn line() -> ProgressBar {
    ProgressBar::new_spinner().with_style(files_line::one_message())
}

fn row(lane: &Lane, state: &str, age: &str, used: Used, line: &Line) -> String {
    let (strong, faint) = (Tone::Strong.style(), Tone::Faint.style());
    let lane = one_line(&lane.to_string());
    let commits = Some(line.commits.count).filter(|count| *count > 0).map(|commits| count(commits, "commit"));
    let used = Some(words::used(used)).filter(|used| !used.is_empty());
    let done: String = commits.into_iter().chain(used).map(|part| format!("  {part}")).collect();
    format!(
        "{strong}{lane:<10}{strong:#}  {state:<8}  {age:>6}{done}  {faint}{}{faint:#}",
        one_line(&line.said)
    )
}

fn total(board: &Board, watch: &Watch, now: Timestamp) -> String {
    let items = board.items();
    let over = items.iter().filter(|item| item.verdict().is_some()).count();
    let good = items.iter().filter(|item| item.verdict().is_some_and(|verdict| verdict.is_good())).count();
    let running = items.iter().filter(|item| item.is_active()).count();
    let commits: u64 =
        items.iter().filter_map(|item| item.last.as_ref()?.work.as_ref()).map(|w| w.commits).sum();
    let used = items.iter().filter_map(Item::session).fold(board.used(), |sum, id| sum.and(watch.used(id)));
    let mut parts = vec![
        format!("{over} of {} done", items.len()),
        format!("{good} good"),
        format!("{running} running"),
        count(commits, "commit"),
    ];
    parts.extend(Some(words::used(used)).filter(|used| !used.is_empty()));
    parts.extend(board.begun_at().map(|begun| age(begun, now)));
    let faint = Tone::Faint.style();
    format!("{faint}──{faint:#} {}", parts.join(" · "))
}

/// The text as this terminal shows it: without colours where those are not wanted.
fn colours(text: String) -> String {
    match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(&text).to_string(),
        _ => text,
    }
}
