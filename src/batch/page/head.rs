//! The head of the page: which batch, how far it is, what it came to, and the choice of what is shown below.

use super::html::Html;
use super::look::Look;
use super::story::{State, Story};
use super::words::{clock, grouped, length, many, money};

/// The name of the page in a list of pages.
pub(super) fn title(story: &Story<'_>) -> String {
    let id = story.board.batch().map(|id| id.to_string()).unwrap_or_default();
    let counts = Look::ALL.iter().map(|look| (look, story.count(*look))).filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(look, count)| format!("{count} {}", look.word())).collect();
    format!("ralph batch {id}: {}", counts.join(", "))
}

/// The head.
pub(super) fn header(html: &mut Html, story: &Story<'_>) {
    html.within("header", &[], |html| {
        html.within("h1", &[], |html| {
            html.constant("Batch ");
            let id = story.board.batch().map(|id| id.to_string());
            html.leaf("code", &[], id.as_deref().unwrap_or("without a beginning"));
        });
        html.leaf("p", &[("class", "state")], &state(story));
        if !story.command.is_empty() {
            html.within("p", &[("class", "command")], |html| {
                html.constant("<code>ralph ");
                let command = story.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
                html.long_text(&command);
                html.constant("</code>");
            });
        }
        facts(html, story);
    });
}

fn state(story: &Story<'_>) -> String {
    let (from, to) = (clock(story.whole.from), clock(story.whole.to));
    let long = length(story.watched(story.whole));
    let away = story.whole.length().saturating_sub(story.watched(story.whole));
    let away =
        if away.is_zero() { String::new() } else { format!(", and {} in which no one ran it", length(away)) };
    let halt = story.board.halt().map(|halt| format!(" Halted: {halt}.")).unwrap_or_default();
    match story.state {
        State::Finished => format!("Finished. Began {from}, ended {to}, after {long}{away}.{halt}"),
        State::Interrupted => format!(
            "Interrupted, and not finished: the same command takes it up again. Began {from}, last word {to}, after \
             {long}{away}."
        ),
        State::Left => format!(
            "Left, and not finished: its sessions go on, and the same command takes it up again. Began {from}; as of \
             {to}, after {long}{away}."
        ),
        State::Unfinished => {
            format!("Not finished. Began {from}; as of {to}, after {long}{away}.{halt}")
        }
    }
}

/// As it would be typed.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./=,:@+%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn facts(html: &mut Html, story: &Story<'_>) {
    let sum = story.sum();
    let changes = format!("+{} −{}", grouped(sum.insertions), grouped(sum.deletions));
    let facts = [
        ("Time", length(story.watched(story.whole)), String::new()),
        (
            "Sessions",
            grouped(sum.sessions),
            format!("at most {} at a time", grouped(story.board.jobs() as u64)),
        ),
        ("Commits", grouped(sum.commits), String::new()),
        ("Changes", changes, many(sum.files, "file change")),
        ("Tokens", grouped(sum.used.tokens), String::new()),
        ("Cost", money(sum.used.cost), String::new()),
    ];
    html.within("dl", &[("class", "facts")], |html| {
        for (name, value, more) in facts {
            html.within("div", &[], |html| {
                html.leaf("dt", &[], name);
                html.within("dd", &[], |html| {
                    html.text(&value);
                    if !more.is_empty() {
                        html.leaf("small", &[], &more);
                    }
                });
            });
        }
    });
}

/// How many items stand how, and at the same time the choice of which of them are shown. Works without a script.
pub(super) fn choice(html: &mut Html, story: &Story<'_>) {
    html.within("fieldset", &[("class", "choice")], |html| {
        html.leaf("legend", &[], "Show");
        html.within("label", &[], |html| {
            let input = [("type", "radio"), ("name", "show"), ("id", "show-all"), ("checked", "checked")];
            html.void("input", &input);
            html.text(&many(story.rows.len() as u64, "ticket lane"));
        });
        for look in Look::ALL {
            let count = story.count(look);
            if count > 0 {
                html.within("label", &[("class", look.tone().class())], |html| {
                    let id = format!("show-{}", look.name());
                    html.void("input", &[("type", "radio"), ("name", "show"), ("id", &id)]);
                    html.leaf("b", &[("aria-hidden", "true")], look.mark());
                    html.text(&format!("{count} {}", look.word()));
                });
            }
        }
    });
}
