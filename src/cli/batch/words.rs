//! What happens in a batch, in words: a line an event.

use crate::batch::board::{Board, Used, Verdict};
use crate::batch::event::{Event, Halt, Next, Slow};
use crate::cli::render::{Tone, one_line, outcome_word};
use crate::id::Lane;
use crate::session::manifest::{Outcome, Usage, Work};
use crate::words::count;

/// The line of an event; an event that the next one makes plain has none.
pub fn line(event: &Event, board: &Board) -> Option<String> {
    let line = match event {
        Event::Begun { batch_id, items, jobs, .. } => {
            format!("batch {batch_id}: {}, at most {jobs} at a time", count(items.len(), "ticket"))
        }
        Event::Resumed => {
            let done = board.items().iter().filter(|item| item.verdict().is_some()).count();
            let id = board.batch().map(|id| id.to_string()).unwrap_or_default();
            format!(
                "batch {id} is taken up again: {done} of {} are done",
                count(board.items().len(), "ticket")
            )
        }
        Event::Added { item } => format!("{} was added", strong(&item.lane)),
        Event::Launched { lane, .. } => {
            let attempts = board.position(lane).and_then(|at| board.items().get(at)).map(|i| i.attempts());
            match attempts {
                Some(attempt) if attempt > 1 => format!("{} runs, attempt {attempt}", strong(lane)),
                _ => format!("{} runs", strong(lane)),
            }
        }
        Event::NotLaunched { lane, reason, hint, .. } => {
            format!(
                "{} {}: {}{}",
                strong(lane),
                toned("was not launched", Tone::Bad),
                one_line(reason),
                advice(hint.as_deref())
            )
        }
        Event::Ended { lane, outcome, reason, work, usage, next, .. } => {
            ended(lane, outcome, reason.as_deref(), work.as_deref(), usage.as_deref(), next)
        }
        Event::Merged { lane, into, commit } => {
            let commit = commit.get(..12).unwrap_or(commit);
            format!("{} {} into {}, now {commit}", strong(lane), toned("merged", Tone::Good), one_line(into))
        }
        Event::NotMerged { lane, reason, files, hint } => {
            format!(
                "{} {}: {}{}; its work stays on its branch{}",
                strong(lane),
                toned("was not merged", Tone::Bad),
                one_line(reason),
                further(reason, files),
                advice(hint.as_deref())
            )
        }
        Event::Closed { lane } => format!("{}'s ticket was closed", strong(lane)),
        Event::Skipped { lane, why } => {
            format!("{} {}: {}", strong(lane), toned("skipped", Tone::Doubtful), one_line(&why.to_string()))
        }
        Event::Warning { lanes, text } => {
            let lanes: Vec<String> = lanes.iter().map(strong).collect();
            let about = if lanes.is_empty() { "note".to_owned() } else { lanes.join(", ") };
            format!("{about}: {}", one_line(text))
        }
        Event::Slowed { why, seconds } => match why {
            Slow::RateLimits => format!("the provider limits the rate: nothing is started for {seconds:.0}s"),
            Slow::Memory => "memory is short: nothing is started until there is more".to_owned(),
        },
        Event::Halted { why } => match why {
            Halt::Interrupted if board.halts() > 1 => "ending all sessions at once".to_owned(),
            Halt::Interrupted => "ending all sessions; Ctrl-C again: at once".to_owned(),
            Halt::Detached => "leaving; the sessions go on".to_owned(),
            Halt::CostUsedUp | Halt::TokensUsedUp => format!("{why}: ending what runs"),
            Halt::EnoughTickets => why.to_string(),
            Halt::DiskFull => format!("{why}: nothing more is started, what runs goes on"),
        },
        Event::Starting { .. } | Event::Withdrawn { .. } | Event::Merging { .. } | Event::Finished => {
            return None;
        }
    };
    Some(line)
}

fn ended(
    lane: &Lane,
    outcome: &Outcome,
    reason: Option<&str>,
    work: Option<&Work>,
    usage: Option<&Usage>,
    next: &Next,
) -> String {
    let mut line = format!("{} {}", strong(lane), toned(&spoken(outcome), Tone::of(outcome)));
    if let Some(reason) = reason {
        line.push_str(&format!(": {}", one_line(reason)));
    }
    let commits = work.map(|work| count(work.commits, "commit"));
    let used = usage.map(|usage| used(Used::from(usage))).filter(|used| !used.is_empty());
    let details: Vec<String> = commits.into_iter().chain(used).collect();
    if !details.is_empty() {
        line.push_str(&format!(" ({})", details.join(", ")));
    }
    match next {
        Next::Retry { after_s } if *after_s >= 1.0 => line.push_str(&format!("; again in {after_s:.0}s")),
        Next::Retry { .. } => line.push_str("; again"),
        Next::Resume => line.push_str("; to be taken up again"),
        Next::Stands => line.push_str("; what was done before stands"),
        Next::Nothing | Next::Merge => {}
    }
    line
}

/// An outcome as people say it.
pub fn spoken(outcome: &Outcome) -> String {
    outcome_word(outcome).replace('_', " ")
}

/// A last word as people say it.
pub fn verdict(verdict: &Verdict) -> (String, Tone) {
    match verdict {
        Verdict::Ended(outcome) => (spoken(outcome), Tone::of(outcome)),
        Verdict::Merged { .. } => ("merged".to_owned(), Tone::Good),
        Verdict::NotMerged { .. } => ("not merged".to_owned(), Tone::Bad),
        Verdict::NotLaunched { .. } => ("not launched".to_owned(), Tone::Bad),
        Verdict::Skipped(crate::batch::event::Skip::Closed) => ("closed".to_owned(), Tone::Faint),
        Verdict::Skipped(crate::batch::event::Skip::Done { .. }) => ("done".to_owned(), Tone::Good),
        Verdict::Skipped(_) => ("skipped".to_owned(), Tone::Doubtful),
    }
}

/// Tokens and money, as far as there are any.
pub fn used(used: Used) -> String {
    let mut parts = Vec::new();
    if used.tokens > 0 {
        parts.push(format!("{} tokens", short(used.tokens)));
    }
    if used.cost > 0.0 {
        parts.push(format!("${:.2}", used.cost));
    }
    parts.join(", ")
}

/// A large number in few characters.
pub fn short(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..10_000_000 => format!("{}k", number / 1000),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// The first few of many names.
pub fn some(names: &[String]) -> String {
    const MOST: usize = 5;
    let shown: Vec<String> = names.iter().take(MOST).map(|name| one_line(name)).collect();
    match names.len().checked_sub(MOST) {
        None | Some(0) => shown.join(", "),
        Some(more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The files that a reason does not name itself.
pub fn further(reason: &str, files: &[String]) -> String {
    let more: Vec<String> = files.iter().filter(|file| !reason.contains(file.as_str())).cloned().collect();
    if more.is_empty() { String::new() } else { format!(" ({})", some(&more)) }
}

fn advice(hint: Option<&str>) -> String {
    hint.map(|hint| format!("; {}", one_line(hint))).unwrap_or_default()
}

fn strong(lane: &Lane) -> String {
    toned(&lane.to_string(), Tone::Strong)
}

fn toned(text: &str, tone: Tone) -> String {
    let style = tone.style();
    format!("{style}{}{style:#}", one_line(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_said_where_work_was_not_merged_or_an_agent_not_launched() {
        let lane: Lane = "T-1".parse().unwrap();
        let hint = |text: &str| Some(text.to_owned());
        let reason = "why".to_owned();
        let not_merged = Event::NotMerged {
            lane: lane.clone(),
            reason: reason.clone(),
            files: Vec::new(),
            hint: hint("merge main"),
        };
        let session_id = crate::id::SessionId::generate();
        let not_launched = Event::NotLaunched { lane, session_id, reason, hint: hint("wait") };
        let said = |event| line(event, &Board::default()).unwrap();
        assert!(said(&not_merged).ends_with("why; its work stays on its branch; merge main"));
        assert!(said(&not_launched).ends_with("why; wait"));
    }

    #[test]
    fn files_are_named_once() {
        let files = ["a".to_owned(), "z".to_owned()];
        assert_eq!(further("conflicts in a.", &files), " (z)");
        assert_eq!(further("conflicts in z", &files[1..]), "");
    }
}
