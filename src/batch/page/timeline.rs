//! The timeline: one row an item, its sessions as bars; above them how many ran; what concerns all as vertical marks.
//!
//! Rows are elements and not one drawing, so that they can be filtered, break across printed pages, and keep their
//! labels in sight while the time scrolls. Everything that a bar's colour says stands in its text or its tooltip too.

use super::super::board::Item;
use super::super::event::Slow;
use super::html::{Html, Path, one_line};
use super::look::Look;
use super::scale::{Scale, Stretch};
use super::story::{Mark, MarkKind, Measured, Pause, PauseKind, Row, Session, Story};
use super::words::{clock, grouped, length, many, money};
use crate::id::TicketId;

/// How high the drawing of the load is, in its own units.
const LOAD_HEIGHT: f64 = 40.0;
/// So many marks are drawn and listed.
const MOST_MARKS: usize = 100;
/// Marks that stand closer than this, in percent, share one number on the axis.
const MARK_ROOM: f64 = 1.6;

/// The whole section.
pub(super) fn section(html: &mut Html, story: &Story<'_>) {
    let scale = Scale::new(story.whole, &story.away);
    html.within("section", &[("aria-labelledby", "h-timeline")], |html| {
        html.leaf("h2", &[("id", "h-timeline")], "Timeline");
        legend(html);
        let scroll: [(&str, &str); 4] = [
            ("class", "scroll"),
            ("tabindex", "0"),
            ("role", "region"),
            ("aria-label", "Timeline of every session; the tables below say the same"),
        ];
        html.within("div", &scroll, |html| {
            html.within("div", &[("class", "timeline")], |html| {
                under(html, story, &scale);
                html.within("div", &[("class", "top")], |html| {
                    axis(html, story, &scale);
                    load(html, story, &scale);
                });
                html.within("div", &[("role", "list")], |html| {
                    let mut before: Option<&TicketId> = None;
                    for row in &story.rows {
                        let Some(item) = story.item(row) else { continue };
                        let is_next = before.is_some_and(|ticket| *ticket != item.record.ticket_id);
                        track(html, story, &scale, row, item, if is_next { "row next" } else { "row" });
                        before = Some(&item.record.ticket_id);
                    }
                });
            });
        });
        marks(html, story);
    });
}

fn legend(html: &mut Html) {
    let session = |html: &mut Html, look: Look, text: &str| {
        html.within("span", &[], |html| {
            html.leaf("i", &[("class", &format!("key bar {}", look.tone().class()))], look.mark());
            html.text(text);
        });
    };
    let pause = |html: &mut Html, class: &str, text: &str| {
        html.within("span", &[], |html| {
            html.leaf("i", &[("class", &format!("key {class}"))], "");
            html.text(text);
        });
    };
    html.within("p", &[("class", "legend")], |html| {
        session(html, Look::Succeeded, "succeeded");
        session(html, Look::Failed, "failed, timed out, lost");
        session(html, Look::Uncommitted, "uncommitted, no changes");
        session(html, Look::Stopped, "stopped");
        session(html, Look::Running, "runs still");
        pause(html, "waits", "waiting");
        pause(html, "again", "waiting to be tried again");
        pause(html, "queued", "waiting to be merged");
        pause(html, "merges", "merging");
        for look in [Look::Merged, Look::NotMerged, Look::Skipped] {
            html.within("span", &[], |html| {
                let tone = format!("keymark {}", look.tone().class());
                html.leaf("b", &[("class", &tone)], look.mark());
                html.text(look.word());
            });
        }
        html.leaf("span", &[("class", "hint")], "The number in a bar is the attempt.");
    });
}

fn place(scale: &Scale, stretch: Stretch) -> String {
    let (from, to) = (scale.at(stretch.from), scale.at(stretch.to));
    format!("left:{from:.2}%;width:{:.2}%", (to - from).max(0.0))
}

fn point(at: f64) -> String {
    format!("left:{at:.2}%")
}

/// What lies under all rows: the lines of the axis, and the marks.
fn under(html: &mut Html, story: &Story<'_>, scale: &Scale) {
    html.within("div", &[("class", "under"), ("aria-hidden", "true")], |html| {
        for tick in scale.ticks() {
            html.leaf("i", &[("class", "line"), ("style", &point(tick.at))], "");
        }
        for stretch in scale.breaks() {
            html.leaf("i", &[("class", "break"), ("style", &place(scale, stretch))], "");
        }
        for (_, mark) in numbered(&story.marks) {
            let class = format!("mark {}", mark_class(mark.kind));
            html.leaf("i", &[("class", &class), ("style", &place(scale, mark.stretch))], "");
        }
    });
}

fn axis(html: &mut Html, story: &Story<'_>, scale: &Scale) {
    html.within("div", &[("class", "row axis"), ("aria-hidden", "true")], |html| {
        html.leaf("div", &[("class", "label")], "time since it began");
        html.within("div", &[("class", "track")], |html| {
            for tick in scale.ticks() {
                html.leaf("span", &[("class", "tick"), ("style", &point(tick.at))], &tick.label);
            }
            for stretch in scale.breaks() {
                let title = format!(
                    "{} in which no one ran the batch, drawn short:\n{} to {}",
                    length(stretch.length()),
                    clock(stretch.from),
                    clock(stretch.to)
                );
                let style = place(scale, stretch);
                html.leaf("span", &[("class", "gap"), ("style", &style), ("title", &title)], "⋯");
            }
            let mut last = f64::NEG_INFINITY;
            for (number, mark) in numbered(&story.marks) {
                let at = scale.at(mark.stretch.from);
                if at - last >= MARK_ROOM {
                    let class = format!("flag {}", mark_class(mark.kind));
                    let (style, title) = (point(at), mark_words(mark));
                    let attributes = [("class", class.as_str()), ("style", &style), ("title", &title)];
                    html.leaf("span", &attributes, &number.to_string());
                    last = at;
                }
            }
        });
        html.leaf("div", &[("class", "verdict")], "");
    });
}

/// How many sessions there were at the same time.
fn load(html: &mut Html, story: &Story<'_>, scale: &Scale) {
    let load = story.load();
    let most = load.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let jobs = story.board.jobs();
    let top = most.max(jobs).max(1) as f64;
    let height = |count: usize| LOAD_HEIGHT - LOAD_HEIGHT * count as f64 / top;
    let (mut area, mut slots) = (Path::default(), Path::default());
    area.move_to(0.0, LOAD_HEIGHT);
    for (at, count) in &load {
        area.across(scale.at(*at) * 10.0);
        area.upright(height(*count));
    }
    area.across(scale.at(story.whole.to) * 10.0);
    area.upright(LOAD_HEIGHT);
    slots.move_to(0.0, height(jobs));
    slots.across(1000.0);
    let used = usage_of_slots(story);
    let label = format!("Sessions at the same time: at most {most}, of {jobs} slots. {used}");
    html.within("div", &[("class", "row load")], |html| {
        html.within("div", &[("class", "label"), ("aria-hidden", "true")], |html| {
            html.text("at the same time");
            html.leaf("small", &[], &format!("most {most} of {jobs}"));
        });
        html.within("div", &[("class", "track"), ("title", &label)], |html| {
            let viewbox = format!("0 -1 1000 {}", LOAD_HEIGHT + 1.0);
            let drawing = [
                ("viewBox", viewbox.as_str()),
                ("preserveAspectRatio", "none"),
                ("role", "img"),
                ("aria-label", &label),
            ];
            html.within("svg", &drawing, |html| {
                html.path("area", &area);
                html.path("slots", &slots);
            });
        });
        html.leaf("div", &[("class", "verdict"), ("aria-hidden", "true")], &used);
    });
}

/// How much of the slots' time sessions took, while someone ran the batch.
fn usage_of_slots(story: &Story<'_>) -> String {
    let sessions = story.rows.iter().flat_map(|row| &row.sessions);
    let used: f64 = sessions.map(|session| story.watched(session.stretch).as_secs_f64()).sum();
    let whole = story.watched(story.whole).as_secs_f64() * story.board.jobs() as f64;
    if whole > 0.0 {
        format!("{:.0}% of slot time", (100.0 * used / whole).min(100.0))
    } else {
        String::new()
    }
}

fn track(html: &mut Html, story: &Story<'_>, scale: &Scale, row: &Row<'_>, item: &Item, class: &str) {
    let id = format!("r{}", row.item);
    let look = row.look;
    let attributes = [("class", class), ("id", &id), ("role", "listitem"), ("data-k", look.name())];
    html.within("div", &attributes, |html| {
        let lane = item.record.lane.to_string();
        let title = item.record.title.as_deref().unwrap_or_default();
        let tip = format!("{lane}\n{}", one_line(title, 300));
        html.within("div", &[("class", "label"), ("title", &tip)], |html| {
            html.within("a", &[("href", &format!("#t{}", row.item))], |html| html.foreign(&lane));
            html.constant(" ");
            html.within("small", &[], |html| html.foreign(title));
        });
        html.within("div", &[("class", "track")], |html| {
            for pause in &row.pauses {
                paused(html, story, scale, pause);
            }
            for session in &row.sessions {
                bar(html, story, scale, &lane, session);
            }
            point_marks(html, scale, row, item);
        });
        let verdict = format!("verdict {}", look.tone().class());
        html.leaf("div", &[("class", &verdict)], &format!("{} {}", look.mark(), look.word()));
    });
}

fn paused(html: &mut Html, story: &Story<'_>, scale: &Scale, pause: &Pause) {
    let (class, what) = match pause.kind {
        PauseKind::Waits => ("waits", "waited"),
        PauseKind::WaitsAgain => ("again", "waited to be tried again"),
        PauseKind::WaitsForMerge => ("queued", "waited to be merged"),
        PauseKind::Merges => ("merges", "was being merged"),
    };
    if pause.stretch.length().is_zero() && pause.kind != PauseKind::Merges {
        return;
    }
    let title =
        format!("{what} {}\nfrom {}", length(story.watched(pause.stretch)), clock(pause.stretch.from));
    html.leaf("i", &[("class", class), ("style", &place(scale, pause.stretch)), ("title", &title)], "");
}

fn bar(html: &mut Html, story: &Story<'_>, scale: &Scale, lane: &str, session: &Session<'_>) {
    let look = session.look();
    let class = format!("bar {}", look.tone().class());
    let style = place(scale, session.stretch);
    let title = session_words(story, lane, session);
    let attributes = [("class", class.as_str()), ("style", &style), ("role", "img"), ("title", &title)];
    html.within("span", &attributes, |html| {
        let whole = session.stretch.length().as_secs_f64();
        let starting = session.launched.map(|to| Stretch { from: session.stretch.from, to }.length());
        if let Some(part) = starting.filter(|part| whole > 0.0 && part.as_secs_f64() / whole > 0.005) {
            let width = format!("width:{:.1}%", 100.0 * part.as_secs_f64() / whole);
            html.leaf("i", &[("class", "starting"), ("style", &width)], "");
        }
        let model = session.model().map(|model| one_line(model, 40)).unwrap_or_default();
        html.leaf("b", &[], &format!("{}{} {model}", session.attempt, look.mark()));
    });
}

/// Everything about a session, a line each.
fn session_words(story: &Story<'_>, lane: &str, session: &Session<'_>) -> String {
    let since = Stretch { from: story.whole.from, to: session.stretch.from }.length();
    let sum = session.sum();
    let mut lines = vec![
        format!("{lane}, attempt {}: {}", session.attempt, session.look().word()),
        format!("began {} (after {})", clock(session.stretch.from), length(since)),
        format!("took {}", session_length(session)),
    ];
    if let Some(launched) = session.launched {
        let starting = Stretch { from: session.stretch.from, to: launched };
        lines.push(format!("of that {} until its agent ran", length(starting.length())));
    }
    lines.extend(session.model().map(|model| format!("model {}", one_line(model, 100))));
    if session.end.is_some() {
        lines.push(format!(
            "{}, {}, +{} −{}",
            many(sum.commits, "commit"),
            many(sum.files, "file"),
            grouped(sum.insertions),
            grouped(sum.deletions)
        ));
        lines.push(format!("{}, {}", many(sum.used.tokens, "token"), money(sum.used.cost)));
    }
    lines.push(format!("session {}", session.id));
    lines.extend(session.reason().map(|reason| one_line(reason, 300)));
    lines.join("\n")
}

/// How long a session took, as far as that is known.
pub(super) fn session_length(session: &Session<'_>) -> String {
    let long = length(session.stretch.length());
    match (session.measured, &session.end) {
        (_, None) => format!("{long} so far"),
        (Measured::Exactly, Some(_)) => long,
        (Measured::AtMost, Some(_)) => format!("at most {long}"),
    }
}

fn point_marks(html: &mut Html, scale: &Scale, row: &Row<'_>, item: &Item) {
    let mut mark = |at, look: Look, title: String| {
        let class = format!("point {}", look.tone().class());
        let style = point(scale.at(at));
        let attributes = [("class", class.as_str()), ("style", &style), ("role", "img"), ("title", &title)];
        html.leaf("b", &attributes, look.mark());
    };
    if let Some(at) = row.landed {
        let why = super::story::why(item, row).unwrap_or_default();
        let reason = if why.is_empty() { why } else { format!("\n{}", one_line(&why, 300)) };
        mark(at, row.look, format!("{} {}{reason}", row.look.word(), clock(at)));
    }
    if let Some((at, why)) = row.skipped {
        mark(at, Look::Skipped, format!("skipped {}\n{}", clock(at), one_line(&why.to_string(), 300)));
    }
}

fn numbered(marks: &[Mark]) -> impl Iterator<Item = (usize, &Mark)> {
    marks.iter().take(MOST_MARKS).enumerate().map(|(at, mark)| (at + 1, mark))
}

fn mark_class(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Slowed(..) => "slowed",
        MarkKind::Halted(_) => "halted",
        MarkKind::Resumed(_) => "resumed",
    }
}

fn mark_words(mark: &Mark) -> String {
    let at = clock(mark.stretch.from);
    match mark.kind {
        MarkKind::Slowed(why, times) => {
            let why = match why {
                Slow::RateLimits => "the provider limits the rate of requests",
                Slow::Memory => "memory is short",
            };
            let often = if times > 1 { format!(", {times} times") } else { String::new() };
            format!("{at}: starts were held back for {}{often}: {why}", length(mark.stretch.length()))
        }
        MarkKind::Halted(why) => format!("{at}: nothing was started any more: {why}"),
        MarkKind::Resumed(after) => format!("{at}: the batch was taken up again, after {}", length(after)),
    }
}

/// The numbered marks in words.
fn marks(html: &mut Html, story: &Story<'_>) {
    if story.marks.is_empty() {
        return;
    }
    html.within("ol", &[("class", "marks"), ("aria-label", "What concerned the whole batch")], |html| {
        for (number, mark) in numbered(&story.marks) {
            html.within("li", &[], |html| {
                let class = format!("flag {}", mark_class(mark.kind));
                html.leaf("span", &[("class", &class)], &number.to_string());
                html.constant(" ");
                html.text(&mark_words(mark));
            });
        }
    });
    let more = story.marks.len().saturating_sub(MOST_MARKS);
    if more > 0 {
        html.leaf("p", &[("class", "more")], &format!("and {} more", grouped(more as u64)));
    }
}
