//! The tables: every ticket, tickets by bases, every session, every warning. What the timeline shows stands here in words.

use std::collections::HashMap;

use super::super::board::{Item, Phase, Verdict};
use super::html::{Html, one_line};
use super::look::Look;
use super::story::{Measured, Row, Story, why};
use super::timeline::session_length;
use super::words::{clock, grouped, length, money, short_commit};

/// So many files of a conflict are named.
const MOST_FILES: usize = 12;
/// So many warnings are listed.
const MOST_WARNINGS: usize = 200;
/// So many lanes of a warning are named.
const MOST_LANES: usize = 8;
/// A title is cut there, in characters.
const LONGEST_TITLE: usize = 160;
/// The table of sessions is open at first if it has no more rows than this.
const OPEN_SESSIONS: usize = 60;

/// What a column is, and how it is set.
type Column = (&'static str, &'static str);

const NUMBER: &str = "num";
const TEXT: &str = "text";

fn heads(html: &mut Html, columns: &[Column]) {
    html.within("thead", &[], |html| {
        html.within("tr", &[], |html| {
            for (name, class) in columns {
                html.leaf("th", &[("scope", "col"), ("class", class)], name);
            }
        });
    });
}

/// A table that scrolls by itself where it is too wide.
fn table(html: &mut Html, label: &str, content: impl FnOnce(&mut Html)) {
    let scroll = [("class", "scroll"), ("tabindex", "0"), ("role", "region"), ("aria-label", label)];
    html.within("div", &scroll, |html| html.within("table", &[], content));
}

/// Every ticket.
pub(super) fn tickets(html: &mut Html, story: &Story<'_>) {
    let columns = [
        ("Lane", TEXT),
        ("Title", "text wide"),
        ("Outcome", "text wide"),
        ("Attempts", NUMBER),
        ("Waited", NUMBER),
        ("Ran", NUMBER),
        ("Commits", NUMBER),
        ("Files", NUMBER),
        ("Lines", NUMBER),
        ("Tokens", NUMBER),
        ("Cost", NUMBER),
        ("Merge", "text wide"),
    ];
    html.within("section", &[("aria-labelledby", "h-tickets")], |html| {
        html.leaf("h2", &[("id", "h-tickets")], "Tickets");
        table(html, "Tickets", |html| {
            heads(html, &columns);
            html.within("tbody", &[], |html| {
                for row in &story.rows {
                    if let Some(item) = story.item(row) {
                        ticket(html, story, row, item);
                    }
                }
            });
            html.within("tfoot", &[], |html| total(html, story));
        });
    });
}

fn ticket(html: &mut Html, story: &Story<'_>, row: &Row<'_>, item: &Item) {
    let number = |html: &mut Html, text: &str| html.leaf("td", &[("class", NUMBER)], text);
    let id = format!("t{}", row.item);
    html.within("tr", &[("id", &id), ("data-k", row.look.name())], |html| {
        html.within("th", &[("scope", "row"), ("class", "lane")], |html| {
            html.within("a", &[("href", &format!("#r{}", row.item))], |html| {
                html.foreign(&item.record.lane.to_string());
            });
        });
        let title = item.record.title.as_deref().unwrap_or("–");
        html.within("td", &[], |html| html.foreign(&one_line(title, LONGEST_TITLE)));
        html.within("td", &[], |html| outcome(html, row, item));
        let sum = row.sum();
        let (ran, measured) = row.ran();
        number(html, &row.sessions.len().to_string());
        number(html, &length(row.waited(story)));
        number(
            html,
            &match measured {
                Measured::Exactly => length(ran),
                Measured::AtMost => format!("≤ {}", length(ran)),
            },
        );
        number(html, &grouped(sum.commits));
        number(html, &grouped(sum.files));
        number(html, &format!("+{} −{}", grouped(sum.insertions), grouped(sum.deletions)));
        number(html, &grouped(sum.used.tokens));
        number(html, &money(sum.used.cost));
        html.within("td", &[], |html| merge(html, row, item));
    });
}

fn word(html: &mut Html, look: Look) {
    html.within("span", &[("class", &format!("word {}", look.tone().class()))], |html| {
        html.leaf("b", &[("aria-hidden", "true")], look.mark());
        html.text(look.word());
    });
}

fn outcome(html: &mut Html, row: &Row<'_>, item: &Item) {
    word(html, row.look);
    // Why work was not merged stands with the merge.
    let is_about_merge = matches!(item.phase, Phase::Over(Verdict::NotMerged { .. }));
    if let Some(why) = why(item, row).filter(|_| !is_about_merge) {
        html.within("small", &[], |html| html.foreign(&why));
    }
}

fn merge(html: &mut Html, row: &Row<'_>, item: &Item) {
    match &item.phase {
        Phase::Over(Verdict::Merged { into, commit }) => {
            html.within("code", &[("title", commit)], |html| html.text(&short_commit(commit)));
            html.within("small", &[], |html| {
                html.constant("in ");
                html.foreign(into);
                html.constant(if row.closed { "; ticket closed" } else { "" });
            });
        }
        Phase::Over(Verdict::NotMerged { reason, files, hint }) => {
            html.foreign(reason);
            if let Some(hint) = hint {
                html.within("small", &[], |html| html.foreign(hint));
            }
            if !files.is_empty() {
                html.within("ul", &[("class", "files")], |html| {
                    for file in files.iter().take(MOST_FILES) {
                        html.within("li", &[], |html| {
                            html.within("code", &[], |html| html.foreign(file));
                        });
                    }
                    let more = files.len().saturating_sub(MOST_FILES);
                    if more > 0 {
                        html.leaf("li", &[], &format!("and {} more", grouped(more as u64)));
                    }
                });
            }
        }
        Phase::Over(_)
        | Phase::Waiting
        | Phase::Starting { .. }
        | Phase::Running { .. }
        | Phase::Merging { .. } => html.text("–"),
    }
}

fn total(html: &mut Html, story: &Story<'_>) {
    let sum = story.sum();
    let waited = story.rows.iter().map(|row| row.waited(story));
    let ran = story.rows.iter().map(|row| row.ran().0);
    let add = |lengths: &mut dyn Iterator<Item = jiff::SignedDuration>| {
        length(lengths.fold(jiff::SignedDuration::ZERO, jiff::SignedDuration::saturating_add))
    };
    html.within("tr", &[], |html| {
        html.leaf("th", &[("scope", "row")], "All");
        html.leaf("td", &[("colspan", "2")], "");
        let numbers = [
            grouped(sum.sessions),
            add(&mut { waited }),
            add(&mut { ran }),
            grouped(sum.commits),
            grouped(sum.files),
            format!("+{} −{}", grouped(sum.insertions), grouped(sum.deletions)),
            grouped(sum.used.tokens),
            money(sum.used.cost),
        ];
        for number in numbers {
            html.leaf("td", &[("class", NUMBER)], &number);
        }
        html.leaf("td", &[], "");
    });
}

/// Tickets by bases, where there are several.
pub(super) fn matrix(html: &mut Html, story: &Story<'_>) {
    let bases = story.bases();
    if bases.len() < 2 {
        return;
    }
    let mut lanes: Vec<(&str, HashMap<Option<&str>, &Row<'_>>)> = Vec::new();
    for row in &story.rows {
        let Some(item) = story.item(row) else { continue };
        let (ticket, base) =
            (item.record.ticket_id.as_str(), item.record.lane.base().map(|base| base.as_str()));
        match lanes.last_mut() {
            Some((last, on)) if *last == ticket => drop(on.insert(base, row)),
            _ => lanes.push((ticket, HashMap::from([(base, row)]))),
        }
    }
    html.within("section", &[("aria-labelledby", "h-matrix")], |html| {
        html.leaf("h2", &[("id", "h-matrix")], "Tickets on their bases");
        table(html, "Tickets on their bases", |html| {
            html.within("thead", &[], |html| {
                html.within("tr", &[], |html| {
                    html.leaf("th", &[("scope", "col")], "Ticket");
                    for base in &bases {
                        html.within("th", &[("scope", "col"), ("class", "lane")], |html| {
                            html.foreign(base.unwrap_or("(where it was begun)"));
                        });
                    }
                });
            });
            html.within("tbody", &[], |html| {
                for (ticket, on) in &lanes {
                    html.within("tr", &[], |html| {
                        html.within("th", &[("scope", "row"), ("class", "lane")], |html| {
                            html.foreign(ticket);
                        });
                        for base in &bases {
                            html.within("td", &[], |html| match on.get(base) {
                                Some(row) => {
                                    let href = format!("#t{}", row.item);
                                    html.within("a", &[("href", &href)], |html| word(html, row.look));
                                }
                                None => html.text("–"),
                            });
                        }
                    });
                }
            });
        });
    });
}

/// What is worth knowing and changed nothing.
pub(super) fn warnings(html: &mut Html, story: &Story<'_>) {
    if story.warnings.is_empty() {
        return;
    }
    html.within("section", &[("aria-labelledby", "h-warnings")], |html| {
        html.leaf("h2", &[("id", "h-warnings")], "Warnings");
        html.within("ul", &[("class", "warnings")], |html| {
            for warning in story.warnings.iter().take(MOST_WARNINGS) {
                html.within("li", &[], |html| {
                    html.leaf("time", &[], &clock(warning.at));
                    html.constant(" ");
                    for lane in warning.lanes.iter().take(MOST_LANES) {
                        html.within("code", &[], |html| html.foreign(&lane.to_string()));
                        html.constant(" ");
                    }
                    let more = warning.lanes.len().saturating_sub(MOST_LANES);
                    if more > 0 {
                        html.text(&format!("and {} more", grouped(more as u64)));
                        html.constant(": ");
                    }
                    html.foreign(warning.text);
                });
            }
        });
        let more = story.warnings.len().saturating_sub(MOST_WARNINGS);
        if more > 0 {
            html.leaf("p", &[("class", "more")], &format!("and {} more", grouped(more as u64)));
        }
    });
}

/// Every session.
pub(super) fn sessions(html: &mut Html, story: &Story<'_>) {
    let columns = [
        ("Lane", TEXT),
        ("Attempt", NUMBER),
        ("Outcome", "text wide"),
        ("Model", TEXT),
        ("Began", TEXT),
        ("Took", NUMBER),
        ("Commits", NUMBER),
        ("Files", NUMBER),
        ("Lines", NUMBER),
        ("Tokens", NUMBER),
        ("Cost", NUMBER),
        ("Session", TEXT),
    ];
    let count: usize = story.rows.iter().map(|row| row.sessions.len()).sum();
    if count == 0 {
        return;
    }
    html.within("section", &[("aria-labelledby", "h-sessions")], |html| {
        let open: &[(&str, &str)] = if count <= OPEN_SESSIONS { &[("open", "open")] } else { &[] };
        html.within("details", open, |html| {
            html.within("summary", &[], |html| {
                let heading = format!("Every session ({})", grouped(count as u64));
                html.leaf("h2", &[("id", "h-sessions")], &heading);
            });
            table(html, "Every session", |html| {
                heads(html, &columns);
                html.within("tbody", &[], |html| {
                    for row in &story.rows {
                        if let Some(item) = story.item(row) {
                            sessions_of(html, row, item);
                        }
                    }
                });
            });
        });
    });
}

fn sessions_of(html: &mut Html, row: &Row<'_>, item: &Item) {
    let number = |html: &mut Html, text: &str| html.leaf("td", &[("class", NUMBER)], text);
    for session in &row.sessions {
        html.within("tr", &[("data-k", row.look.name())], |html| {
            html.within("th", &[("scope", "row"), ("class", "lane")], |html| {
                html.foreign(&item.record.lane.to_string());
            });
            number(html, &session.attempt.to_string());
            html.within("td", &[], |html| {
                word(html, session.look());
                if let Some(reason) = session.reason() {
                    html.within("small", &[], |html| html.foreign(reason));
                }
            });
            html.within("td", &[], |html| html.foreign(session.model().unwrap_or("–")));
            html.leaf("td", &[("class", "clock")], &clock(session.stretch.from));
            let sum = session.sum();
            number(html, &session_length(session));
            number(html, &grouped(sum.commits));
            number(html, &grouped(sum.files));
            number(html, &format!("+{} −{}", grouped(sum.insertions), grouped(sum.deletions)));
            number(html, &grouped(sum.used.tokens));
            number(html, &money(sum.used.cost));
            html.within("td", &[("class", "id")], |html| html.leaf("code", &[], &session.id.to_string()));
        });
    }
}
